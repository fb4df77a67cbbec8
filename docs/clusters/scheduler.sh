#!/bin/sh
# Begin a scheduler that workers and drivers with the same certificates reach: scheduler.sh TLS_DIR SCHEDULER_FILE [options]
# Dask answers plain HTTP even without a dashboard: to this machine alone.
set -eu
here=$(dirname "$(readlink -f "$0")")
export DASK_CONFIG="$here/dask.yaml"
tls=$1 file=$2
shift 2
exec dask scheduler --protocol tls --tls-ca-file "$tls/ca.pem" --tls-cert "$tls/cert.pem" --tls-key "$tls/key.pem" \
	--scheduler-file "$file" --no-dashboard --dashboard-address 127.0.0.1:0 "$@"
