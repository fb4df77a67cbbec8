#!/bin/sh
# Begin a worker for each core, and begin it again whenever it ends, as when the scheduler restarts:
# workers.sh TLS_DIR SCHEDULER [options], where SCHEDULER is tls://HOST:PORT, or the file that the scheduler wrote.
# SIGTERM, of a machine that is preempted, or the end of its terminal, has the workers hand back what they train, and end.
set -eu
here=$(dirname "$(readlink -f "$0")")
tls=$1 scheduler=$2
shift 2

work() {
	worker=
	trap 'trap "" TERM HUP; test -z "$worker" || kill -TERM "$worker"; wait; exit' TERM INT HUP
	while true; do
		"$here/worker.sh" "$tls" "$scheduler" "$@" &
		worker=$!
		wait "$worker" || true
		sleep 2
	done
}

trap 'trap "" TERM HUP; kill -TERM $workers; wait; exit' TERM INT HUP
workers=
for _ in $(seq "${WORKERS:-$(nproc)}"); do
	work "$@" &
	workers="$workers $!"
done
wait
