#!/usr/bin/env bash
# Builds or installs the tools that prove what is rendered, at the versions of test/oracles/versions.txt, into
# $TIDEGATE_ORACLES (default .tidegate/oracles). What is there at its version is left alone, so a second run does nothing.
# usage: tools/oracles.sh [--list | --ci | NAME...]
#   --list  says what is there, builds nothing
#   --ci    all but those for which the continuous build takes Debian's older program (promtool, amtool)
# A tool that cannot be had is named with its reason at the end and the status is 1; the others are built.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
oracles=$(mkdir -p "${TIDEGATE_ORACLES:-$root/.tidegate/oracles}" && cd "${TIDEGATE_ORACLES:-$root/.tidegate/oracles}" && pwd)
table=$root/test/oracles/versions.txt
bin=$oracles/bin
stamps=$oracles/stamps
jobs=${JOBS:-$(nproc)}
mkdir -p "$bin" "$stamps"

export CGO_ENABLED=0 GOFLAGS="-p=$jobs -buildvcs=false -trimpath" GOWORK=off
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*" >&2; }
cannot() { say "oracles: $*"; return 1; }

need_go() {
  command -v go >/dev/null || cannot "no Go compiler in PATH"$'\n'"hint: ./dev oracles fetches one"
}

# build_module FOLDER LINK...: one program, which runs as the part that its file name says. Kubernetes unstamped would
# call itself v0.0.0-master, which misleads every check of version skew.
build_module() {
  need_go || return
  local folder=$root/test/oracles/$1 program=$bin/parts-of-$1 version stamp='-s -w' package part
  version=$(sed -nE 's/^[[:space:]]*k8s.io\/kubernetes (v[0-9.]+)$/\1/p' "$folder/go.mod")
  if [[ -n $version ]]; then
    IFS=. read -r major minor _ <<<"${version#v}"
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
      stamp+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
    done
  fi
  (cd "$folder" && go build -mod=readonly -ldflags "$stamp" -o "$program.new" .) || return
  mv "$program.new" "$program"
  for part in "${@:2}"; do ln -sf "${program##*/}" "$bin/$part"; done
}

# build_go NAME PACKAGE@VERSION [OLD=NEW@VERSION...]: with replacements in a module made for it.
build_go() {
  need_go || return
  local name=$1 what=$2 work replace status
  shift 2
  if (( ! $# )); then
    GOBIN=$bin go install -ldflags '-s -w' "$what"
    return
  fi
  work=$(mktemp -d) || return
  (
    cd "$work" && go mod init build/oracle 2>/dev/null &&
      { for replace in "$@"; do go mod edit -replace "$replace" || exit; done; } &&
      go get "$what" && go build -ldflags '-s -w' -o "$bin/$name" "${what%@*}"
  )
  status=$?
  rm -rf "$work"
  return "$status"
}

install_pip() {                     # install_pip NAME PACKAGE==VERSION
  local python=$oracles/python
  [[ -x $python/bin/python ]] || /usr/bin/python3 -m venv "$python" || return
  "$python/bin/python" -m pip install --quiet "$2" || return
  ln -sf "../python/bin/$1" "$bin/$1"
}

# wanted NAME...: their lines of the table, in its order; all without a name.
wanted() { awk -v names=" $* " '!/^#/ && NF && (names == "  " || index(names, " " $1 " "))' "$table"; }

# Of a module the stamp covers its files, of the others their line.
digest_of() {
  local name=$1 how=$2
  if [[ $how == module ]]; then cat "$root/test/oracles/$3"/{go.mod,go.sum,*.go}; else printf '%s\n' "$*"; fi | sha256sum | cut -d' ' -f1
}

ready() { [[ $(cat "$stamps/$1" 2>/dev/null) == "$2" ]]; }

failed=()
make_one() {
  local name=$1 how=$2 digest start=$SECONDS status=0
  digest=$(digest_of "$@")
  ready "$name" "$digest" && return 0
  say "oracles: $name, $how ${*:3}"
  case $how in
    module) build_module "${@:3}" || status=$? ;;
    go) build_go "$name" "${@:3}" || status=$? ;;
    pip) install_pip "$name" "${@:3}" || status=$? ;;
    *) cannot "$table: $name: no way '$how' to get a tool"; status=2 ;;
  esac
  if (( status )); then failed+=("$name"); say "oracles: $name FAILED after $((SECONDS - start)) s"; return; fi
  printf '%s\n' "$digest" >"$stamps/$name"
  say "oracles: $name ready after $((SECONDS - start)) s"
}

list() {
  local line
  while read -r -a line; do
    if ready "${line[0]}" "$(digest_of "${line[@]}")"; then printf '%-12s ready\n' "${line[0]}"
    else printf '%-12s not here: tools/oracles.sh %s\n' "${line[0]}" "${line[0]}"; fi
  done < <(wanted)
}

names=("$@")
case ${1:-} in
  --list) list; exit ;;
  --ci) mapfile -t names < <(wanted | awk '$1 != "promtool" && $1 != "amtool" {print $1}') ;;
  -*) say "oracles: no option '$1'"; exit 2 ;;
esac
for name in "${names[@]}"; do
  [[ -n $(wanted "$name") ]] || { say "oracles: no tool '$name' in $table"; exit 2; }
done
exec {todo}< <(wanted "${names[@]}")
while read -r -u "$todo" -a line; do make_one "${line[@]}" </dev/null; done
if (( ${#failed[@]} )); then say "oracles: not to be had: ${failed[*]}"; exit 1; fi
