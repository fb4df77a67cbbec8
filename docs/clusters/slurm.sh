#!/bin/sh
#SBATCH --job-name=study
#SBATCH --array=0-255%64
#SBATCH --cpus-per-task=1
#SBATCH --mem=3G
#SBATCH --time=01:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
# Workers for a scheduler, a job each: sbatch docs/clusters/slurm.sh TLS_DIR SCHEDULER_FILE, in the repository.
# 256 jobs of an hour, 64 of them at a time: four hours. Submit it again for more; the driver waits meanwhile.
# Two minutes before a job ends, and when it is preempted, its worker hands back what it trains. A worker that dies is
# begun again, so that a run that kills its workers costs no job.
# The scheduler runs where it outlives the jobs, such as on the login node: docs/clusters/scheduler.sh.
set -eu
WORKERS=1 exec docs/clusters/workers.sh "$1" "$2"
