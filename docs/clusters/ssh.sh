#!/bin/sh
# Workers on machines that are reached by SSH, with the repository and its environment at the same path as here:
# ssh.sh TLS_DIR tls://HOST:8786 MACHINE...
# Ctrl-C, or SIGTERM, ends the workers too: each machine has a terminal, whose end they see, and hand back what they train.
set -eu
here=$(dirname "$(readlink -f "$0")")
tls=$1 scheduler=$2
shift 2
trap 'trap "" TERM INT; kill -TERM $sessions; wait; exit' TERM INT
sessions=
for machine in "$@"; do
	ssh -tt "$machine" "cd '$PWD' && PATH='$PATH' exec '$here/workers.sh' '$tls' '$scheduler'" </dev/null &
	sessions="$sessions $!"
done
wait
