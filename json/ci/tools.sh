#!/usr/bin/env bash
# Written by tidegate render. Change the document, not this file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kubectl_version=1.35.8
helm_version=3.22.0
trivy_version=0.67.2
mkdir -p bin
fetch() { curl --fail --silent --show-error --location --proto '=https' --tlsv1.2 --output "$2" "$1"; }
for tool in "$@"; do
  case $tool in
    kubectl)
      base=https://dl.k8s.io/release/v$kubectl_version/bin/linux/amd64
      fetch "$base/kubectl" bin/kubectl
      fetch "$base/kubectl.sha256" bin/kubectl.sha256
      echo "$(cat bin/kubectl.sha256)  bin/kubectl" | sha256sum --check --quiet
      chmod 755 bin/kubectl ;;
    helm)
      archive=helm-v$helm_version-linux-amd64.tar.gz
      fetch "https://get.helm.sh/$archive" "bin/$archive"
      fetch "https://get.helm.sh/$archive.sha256sum" bin/helm.sha256
      (cd bin && sha256sum --check --quiet helm.sha256)
      tar -xzf "bin/$archive" -C bin --strip-components=1 linux-amd64/helm ;;
    trivy)
      archive=trivy_${trivy_version}_Linux-64bit.tar.gz
      base=https://github.com/aquasecurity/trivy/releases/download/v$trivy_version
      fetch "$base/$archive" "bin/$archive"
      fetch "$base/trivy_${trivy_version}_checksums.txt" bin/trivy.sha256
      (cd bin && grep " $archive\$" trivy.sha256 | sha256sum --check --quiet)
      tar -xzf "bin/$archive" -C bin trivy ;;
    *) echo "no tool $tool" >&2; exit 2 ;;
  esac
done
