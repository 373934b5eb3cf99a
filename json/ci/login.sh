#!/usr/bin/env bash
# Written by tidegate render. Change the document, not this file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The API server trusts tokens of this repository and branch only (authentication-config), and the role lets
# them into the namespaces that are deployed here. Nothing that outlives the job is kept anywhere.
umask 077
audience=kubernetes
if [[ -n ${ACTIONS_ID_TOKEN_REQUEST_URL:-} ]]; then
  JOB_TOKEN=$(curl --fail --silent --show-error -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
    "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$audience" | jq --raw-output .value)
fi
printf '%s' "$CLUSTER_CA" >cluster-ca.crt
export KUBECONFIG=kubeconfig
bin/kubectl config set-cluster platform --server="$CLUSTER_SERVER" --certificate-authority=cluster-ca.crt --embed-certs
bin/kubectl config set-credentials pipeline --token="$JOB_TOKEN"
bin/kubectl config set-context platform --cluster=platform --user=pipeline
bin/kubectl config use-context platform
rm cluster-ca.crt
