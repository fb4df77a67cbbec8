#!/bin/sh
# Make certificates for one cluster: certificates.sh DIR. Whoever has the folder may have its workers run any code.
set -eu
mkdir -p "$1"
chmod 700 "$1"
openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=study -keyout "$1/key.pem" -out "$1/cert.pem"
cp "$1/cert.pem" "$1/ca.pem"
