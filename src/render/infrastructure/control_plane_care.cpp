// What control planes do by themselves: snapshots and defragmentation of etcd, certificates of kubelets.
#include <fmt/format.h>

#include "render/infrastructure/copies.hpp"
#include "render/infrastructure/machines.hpp"
#include "render/infrastructure/script.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kHead =
    "#!/usr/bin/env bash\n# Written by tidegate render. Change the document, not this file.\n";

// The programs of the machine, or those in etcd's own container, which always have the right version.
constexpr std::string_view kEtcdctl = R"sh(set -euo pipefail
pki=${ETCD_PKI:-/etc/kubernetes/pki/etcd}
export ETCDCTL_API=3
inside() {
  if command -v "$1" >/dev/null; then
    "$@"
  else
    crictl exec "$(crictl ps --name '^etcd$' --state running --quiet | head -1)" "$@"
  fi
}
etcd() {
  inside etcdctl --endpoints=https://127.0.0.1:2379 --cacert="$pki/ca.crt" --cert="$pki/server.crt" --key="$pki/server.key" "$@"
}
)sh";

constexpr std::string_view kSnapshot = R"sh(
umask 077
place=${ETCD_COPIES:-/var/backups/etcd}
# Written where etcd's container can write, then moved away.
part=${ETCD_DATA:-/var/lib/etcd}/snapshot.part
mkdir -p "$place"
rm -f "$part"
trap 'rm -f "$part"' EXIT
etcd snapshot save "$part"
# A snapshot that cannot be read is none. Before etcd 3.6 etcdctl itself looked into files.
reader=etcdutl
if command -v etcdctl >/dev/null && ! command -v etcdutl >/dev/null; then reader=etcdctl; fi
inside "$reader" snapshot status "$part" --write-out=table
file=$place/etcd-$(date -u +%Y%m%dT%H%M%SZ).db
mv "$part" "$file"
# Without the key of encryption at rest and the authority a snapshot is of no use.
if [[ -d /etc/kubernetes/pki ]]; then
  keys=(pki)
  if [[ -d /etc/kubernetes/encryption ]]; then keys+=(encryption); fi
  tar --create --gzip --file "${file%.db}.keys.tar.gz" --directory /etc/kubernetes "${keys[@]}"
fi
for kind in db keys.tar.gz; do
  find "$place" -maxdepth 1 -name "etcd-*.$kind" -printf '%f\n' | sort -r | tail -n "+$((keep + 1))" |
    while read -r old; do rm -f "$place/$old"; done
done
if [[ -x /usr/local/sbin/upload-copy ]]; then
  /usr/local/sbin/upload-copy "$file"
  if [[ -f ${file%.db}.keys.tar.gz ]]; then /usr/local/sbin/upload-copy "${file%.db}.keys.tar.gz"; fi
fi
)sh";

constexpr std::string_view kDefragment = R"sh(
# This member only; the others have their own hour. A member that defragments does not answer for a moment.
etcd endpoint health
etcd defrag
etcd endpoint status --write-out=table
etcd alarm list
)sh";

// The image that the static pod of etcd runs has the program that reads snapshots, in the right version.
constexpr std::string_view kRestore = R"sh(set -euo pipefail
kubernetes=${KUBERNETES:-/etc/kubernetes}
data=${ETCD_DATA:-/var/lib/etcd}
die() { echo "error: $*" >&2; exit 1; }
[[ $# -eq 1 ]] || die "usage: etcd-restore stop, everywhere; then etcd-restore SNAPSHOT, everywhere"
name='' cluster=''
addresses=$(ip -oneline address show)
for member in "${!address[@]}"; do
  if [[ $addresses == *" ${address[$member]}/"* ]]; then name=$member; fi
  cluster+=${cluster:+,}$member=https://${address[$member]}:2380
done
[[ -n $name ]] || die "this machine has the address of no control plane"

# The kubelet ends what has no manifest any more.
stop() {
  if [[ -d $kubernetes/manifests ]]; then mv "$kubernetes/manifests" "$kubernetes/manifests.off"; fi
  for _ in {1..90}; do
    [[ -n $(crictl ps --state running --name '^(etcd|kube-apiserver)$' --quiet) ]] || return 0
    sleep 2
  done
  die "etcd or the API server has not ended in three minutes: crictl ps"
}
if [[ $1 == stop ]]; then
  stop
  echo "etcd of $name is stopped; when it is everywhere: etcd-restore SNAPSHOT"
  exit
fi

snapshot=$(readlink -e "$1") || die "there is no file $1"
[[ -f $kubernetes/pki/etcd/ca.crt ]] || die "no keys here: unpack the .keys.tar.gz of the snapshot into $kubernetes"
stop
image=$(sed -n 's/^ *image: *//p' "$kubernetes/manifests.off/etcd.yaml")
[[ -n $image ]] || die "no image in $kubernetes/manifests.off/etcd.yaml"
known=$(ctr --namespace k8s.io images ls --quiet)
if ! grep -qxF "$image" <<<"$known"; then ctr --namespace k8s.io images pull "$image" >/dev/null; fi
place=$data.restore
rm -rf "$place"
install -d -m 0700 "$place" "$data"
trap 'rm -rf "$place"' EXIT
cp "$snapshot" "$place/snapshot.db"
# Whoever watched has seen later revisions: new ones begin far behind them.
ctr --namespace k8s.io run --rm --mount "type=bind,src=$place,dst=/restore,options=rbind:rw" "$image" "etcd-restore-$$" \
  etcdutl snapshot restore /restore/snapshot.db --data-dir /restore/data --name "$name" \
  --initial-cluster "$cluster" --initial-cluster-token "restored-$(sha256sum <"$snapshot" | cut -c 1-16)" \
  --initial-advertise-peer-urls "https://${address[$name]}:2380" --bump-revision 1000000000 --mark-compacted
[[ -d $place/data/member ]] || die "the snapshot gave no data"
if [[ -d $data/member ]]; then
  old=$data.old-$(date -u +%Y%m%dT%H%M%SZ)
  install -d -m 0700 "$old"
  mv "$data/member" "$old/member"
  echo "what was there lies in $old"
fi
mv "$place/data/member" "$data/member"
mv "$kubernetes/manifests.off" "$kubernetes/manifests"
echo "$name has the snapshot; the API answers when more than half of the members have it"
)sh";

constexpr std::string_view kApprove = R"sh(set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
# A kubelet may only get a certificate for its own name and its own address, and only if we know both.
kubectl get csr --field-selector spec.signerName=kubernetes.io/kubelet-serving \
  --output 'go-template={{range .items}}{{if not .status.conditions}}{{.metadata.name}} {{.spec.username}} {{.spec.request}}{{"\n"}}{{end}}{{end}}' |
  while read -r request user body; do
    node=${user#system:node:}
    [[ -n ${address[$node]:-} && $user == "system:node:$node" ]] || { echo "$request: no node $user" >&2; continue; }
    base64 --decode <<<"$body" >"$scratch"
    names=$(openssl req -in "$scratch" -noout -text | sed -n '/Subject Alternative Name/{n;s/^ *//;p}' | tr -d ' ' | tr ',' '\n' | sort)
    wanted=$(printf 'DNS:%s\nIPAddress:%s\n' "$node" "${address[$node]}" | sort)
    if [[ $names == "$wanted" ]]; then
      kubectl certificate approve "$request"
    else
      echo "$request: $node asks for other names than its own: ${names//$'\n'/ }" >&2
    fi
  done
)sh";

void add(Part& part, const Timed& what, std::vector<std::string>& timers) {
  for (Extra& e : timed(what)) part.extras.push_back(std::move(e));
  timers.push_back(what.name + ".timer");
}

}  // namespace

void add_control_plane_care(const Context& context, const std::vector<Host>& all, Part& part,
                            std::vector<std::string>& timers) {
  const spec::Reader etcd = context.spec().sub("cluster.etcd");
  const auto when = [&](const std::string& cron, std::string_view path) {
    std::string out = calendar(cron);
    if (out.empty()) {
      context.refuse("cannot_render", etcd.at(path), etcd.where(path),
                     "a day of the month and of the week together cannot be scheduled on a host",
                     "name one of them and write * for the other");
    }
    return out;
  };
  Timed snapshot{.name = "etcd-snapshot",
                 .description = "Snapshot of etcd",
                 .calendar = when(etcd.text("snapshots.schedule"), "snapshots.schedule"),
                 .folder = "control-plane"};
  snapshot.program = fmt::format("{}# A snapshot of etcd on this machine, and away from it.\nkeep={}\n{}{}",
                                 kHead, etcd.integer("snapshots.keep"), kEtcdctl, kSnapshot);
  add(part, snapshot, timers);
  if (const std::string word = etcd.text("defragment"); word != "none") {
    // Each member an hour after the one before: never two at a time.
    Timed defragment{.name = "etcd-defragment",
                     .description = "Gives the space of old revisions back",
                     .calendar = when(cron_of(word), "defragment"),
                     .folder = "control-plane"};
    defragment.program = fmt::format("{}# Compaction frees revisions, this gives their space back.\n{}{}",
                                     kHead, kEtcdctl, kDefragment);
    add(part, defragment, timers);
    const std::vector<Host> members = with_role(all, "control-plane");
    for (std::size_t i = 0; i < members.size(); ++i) {
      part.extras.push_back(settings(
          fmt::format("files/hosts/{}/etc/systemd/system/etcd-defragment.service.d/turn.conf",
                      members[i].name),
          "This member's turn: one after another.",
          fmt::format("[Service]\nExecStartPre=/usr/bin/sleep {}\nTimeoutStartSec=infinity\n", 900 * i)));
    }
  }
  std::vector<std::pair<std::string, std::string>> members;
  for (const Host& h : with_role(all, "control-plane")) members.emplace_back(h.name, h.address);
  part.extras.push_back(
      {.path = "files/control-plane/usr/local/sbin/etcd-restore",
       .content = fmt::format("{}# Puts a snapshot in the place of etcd's data, when more than half of the "
                              "members are lost.\ndeclare -A address={}\n{}",
                              kHead, shell_map(members), kRestore),
       .executable = true});
  std::vector<std::pair<std::string, std::string>> addresses;
  for (const Host& h : all) {
    if (h.node()) addresses.emplace_back(h.name, h.address);
  }
  Timed approve{.name = "approve-kubelet-certificates",
                .description = "Serving certificates of known kubelets",
                .calendar = "*:0/10",
                .folder = "control-plane"};
  approve.program = fmt::format(
      "{}# Kubelets ask for serving certificates again and again; those of known nodes get them.\n"
      "declare -A address={}\n{}",
      kHead, shell_map(addresses), kApprove);
  add(part, approve, timers);
  Upload up = upload(context, "kubectl --kubeconfig /etc/kubernetes/admin.conf", "etcd");
  if (up.program.empty()) return;
  part.extras.push_back(
      {.path = "files/control-plane/usr/local/sbin/upload-copy", .content = up.program, .executable = true});
  for (SecretNeed& s : up.secrets) part.secrets.push_back(std::move(s));
}

}  // namespace tg::render
