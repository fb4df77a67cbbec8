#!/bin/sh
# One worker, of one thread: worker.sh TLS_DIR SCHEDULER [options]
# Without a nanny, so that SIGTERM reaches the worker itself: it ends its cohort at the next update, and hands it back.
set -eu
here=$(dirname "$(readlink -f "$0")")
export DASK_CONFIG="$here/dask.yaml" OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
tls=$1 scheduler=$2
shift 2
trap '' HUP # workers.sh ends it
case $scheduler in
*://*) set -- "$scheduler" "$@" ;;
*) set -- --scheduler-file "$scheduler" "$@" ;;
esac
exec dask worker --no-nanny --nthreads 1 --memory-limit 0 --no-dashboard --dashboard-address 127.0.0.1:0 \
	--tls-ca-file "$tls/ca.pem" --tls-cert "$tls/cert.pem" --tls-key "$tls/key.pem" "$@"
