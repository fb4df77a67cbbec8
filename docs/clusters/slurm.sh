#!/bin/sh
#SBATCH --job-name=study
#SBATCH --array=0-63
#SBATCH --cpus-per-task=1
#SBATCH --mem=3G
#SBATCH --time=01:00:00
#SBATCH --requeue
# Workers for a scheduler, a job each: sbatch docs/clusters/slurm.sh TLS_DIR SCHEDULER_FILE, in the repository.
# A worker leaves a minute before its lifetime ends, or when its job is preempted (SIGTERM), and hands back what it trains.
# The scheduler runs where it outlives the jobs, such as on the login node: docs/clusters/scheduler.sh.
set -eu
exec srun docs/clusters/worker.sh "$1" "$2" --lifetime 55m
