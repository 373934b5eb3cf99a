#!/usr/bin/env bash
# Written by tidegate render. Change the document, not this file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export KUBECONFIG=kubeconfig
PATH=$PWD/bin:$PATH

helm upgrade --install ollama ollama --repo https://otwld.github.io/ollama-helm --version 1.77.0 --namespace models --values components/50-serving/ollama/values.yaml --atomic --wait --timeout 10m
helm upgrade --install open-webui open-webui --repo https://helm.openwebui.com --version 16.0.0 --namespace chat --values components/52-chat/open-webui/values.yaml --atomic --wait --timeout 10m
kubectl apply --server-side --field-manager=pipeline --filename workloads/app/postgresql.yaml
