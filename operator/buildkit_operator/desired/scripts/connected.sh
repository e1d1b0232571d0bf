#!/bin/sh
# connected.sh SECONDS: succeeds when the connector's socket is there; then the kubelet starts the job's containers.
# Fails after SECONDS, and the kubelet starts the connector anew; its log says why it did not come up.
socket=${BUILDKIT_HOST#unix://}
polls=$(($1 * 40))
until [ -S "$socket" ]; do
  polls=$((polls - 1))
  [ "$polls" -gt 0 ] || exit 1
  sleep 0.02
done
