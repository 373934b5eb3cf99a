#!/usr/bin/env bash
# Written by tidegate render. Change the document, not this file.
# First server or control plane: a short-lived certificate for an operator.
# Usage: kubeconfig.sh PERSON >FILE, as root.
# What is not set here comes from inventory.sh.
# shellcheck disable=SC2154
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/inventory.sh"
# shellcheck source=/dev/null
. "$here/lib.sh"

as_root
name=${1:?whose kubeconfig: name a person}
if [[ -e /etc/kubernetes/admin.conf ]]; then
  export KUBECONFIG=/etc/kubernetes/admin.conf
else
  export KUBECONFIG=/etc/rancher/k3s/k3s.yaml
fi
umask 077
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
request=operator-$name-$(date +%s)
openssl ecparam -name prime256v1 -genkey -noout -out "$scratch/key"
openssl req -new -key "$scratch/key" -subj "/O=tidegate:operators/CN=$name" -out "$scratch/csr"
kubectl create --filename - >/dev/null <<REQUEST
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata:
  name: $request
spec:
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: $(( kubeconfig_hours * 3600 ))
  usages: ["client auth"]
  request: $(base64 --wrap 0 <"$scratch/csr")
REQUEST
kubectl certificate approve "$request" >/dev/null
kubectl wait --for=jsonpath='{.status.certificate}' --timeout=60s "csr/$request" >/dev/null
kubectl get csr "$request" --output 'jsonpath={.status.certificate}' | base64 --decode >"$scratch/crt"
kubectl delete csr "$request" >/dev/null
kubectl config view --raw --minify --output 'jsonpath={.clusters[0].cluster.certificate-authority-data}' |
  base64 --decode >"$scratch/ca"
export KUBECONFIG=$scratch/config
kubectl config set-cluster "$platform" --server="https://$endpoint" --certificate-authority="$scratch/ca" --embed-certs >/dev/null
kubectl config set-credentials "$name" --client-certificate="$scratch/crt" --client-key="$scratch/key" --embed-certs >/dev/null
kubectl config set-context "$platform" --cluster="$platform" --user="$name" >/dev/null
kubectl config use-context "$platform" >/dev/null
cat "$scratch/config"
