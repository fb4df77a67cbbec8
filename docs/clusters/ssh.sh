#!/bin/sh
# Workers on machines that are reached by SSH, with the repository and its environment at the same path as here:
# ssh.sh TLS_DIR tls://HOST:8786 MACHINE...
set -eu
here=$(dirname "$(readlink -f "$0")")
tls=$1 scheduler=$2
shift 2
for machine in "$@"; do
	ssh "$machine" "cd '$PWD' && PATH='$PATH' exec '$here/workers.sh' '$tls' '$scheduler'" &
done
wait
