#!/usr/bin/env bash
# Makes Go at the version below ready in $TIDEGATE_STATE/go and prints its bin folder; a Go in PATH that is new enough is
# taken as it is. The toolchain comes as the Go module golang.org/toolchain, which any Go downloads and checks against
# the checksum database; Debian 12's Go (1.19, package group go) is enough for that, but for nothing else here.
# usage: tools/go.sh    Exit 1 with the reason when there is none and none can be had.
set -euo pipefail
wanted=1.26.8
state=$(mkdir -p "${TIDEGATE_STATE:?}" && cd "$TIDEGATE_STATE" && pwd)
out=$state/go

say() { printf '%s\n' "$*" >&2; }
cannot() { say "no Go: $1"; [[ -z ${2:-} ]] || say "hint: $2"; exit 1; }

# new_enough GO: 1.26 or later. GOTOOLCHAIN=local: what it is, not what it would fetch.
new_enough() {
  local version
  version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return
  [[ $version =~ ^go([0-9]+)\.([0-9]+) ]] && (( BASH_REMATCH[1] > 1 || BASH_REMATCH[2] >= 26 ))
}

found=$(command -v go || true)
if [[ -n $found ]] && new_enough "$found"; then dirname "$found"; exit; fi
if [[ -x $out/bin/go ]] && new_enough "$out/bin/go"; then printf '%s\n' "$out/bin"; exit; fi
[[ -n $found ]] || cannot "there is no Go in PATH to fetch Go $wanted with" "./dev setup go"

case $(uname -m) in
  x86_64) architecture=amd64 ;;
  aarch64) architecture=arm64 ;;
  *) cannot "no toolchain for $(uname -m) is known here" "install Go $wanted" ;;
esac
say "fetching Go $wanted (70 MB)"
work=$(mktemp -d "$state/go.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
GOMODCACHE=$work/modules GOFLAGS='' GOWORK=off \
  "$found" mod download "golang.org/toolchain@v0.0.1-go$wanted.linux-$architecture" >&2 ||
  cannot "the module golang.org/toolchain could not be fetched" "is there a network?"
mv "$work/modules/golang.org/toolchain@v0.0.1-go$wanted.linux-$architecture" "$work/go"
# A module's archive holds neither modes nor files named go.mod: the toolchain's are named _go.mod in it.
chmod -R u+w "$work/go"
find "$work/go" -name _go.mod -execdir mv {} go.mod \;
chmod -R a+x "$work/go/bin" "$work/go/pkg/tool"
rm -rf "$out"
mv "$work/go" "$out"
new_enough "$out/bin/go" || cannot "$out/bin/go does not run"
printf '%s\n' "$out/bin"
