// The scripts of machines that kubeadm sets up, one for each group of hosts.
#include "render/infrastructure/machines.hpp"
#include "render/infrastructure/script.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kKubernetes = R"sh(as_root
host=$(this_host "${1:-}")
[[ ${role[$host]} != load-balancer ]] || die "$host is no node"

# shellcheck source=/dev/null
. /etc/os-release
apt_key "https://pkgs.k8s.io/core:/stable:/v$kubernetes_minor/deb/Release.key" /etc/apt/keyrings/kubernetes.gpg \
  DE15B14486CD377B9E876E1A234654DA9A296436
apt_key "https://download.docker.com/linux/$ID/gpg" /etc/apt/keyrings/docker.gpg \
  9DC858229FC7DD38854AE2D88D81803C0EBFCD88

put "$here/apt/kubernetes.sources" /etc/apt/sources.list.d/kubernetes.sources
put "$here/apt/docker.sources" /etc/apt/sources.list.d/docker.sources
install_held containerd.io
install_held cri-tools kubernetes-cni kubelet kubeadm kubectl

# The process may be older than its settings: by this run, or by prepare.sh before it.
enable_service containerd.service
if booted; then
  started=$(date -d "$(systemctl show --property ActiveEnterTimestamp --value containerd.service)" +%s)
  if (( $(stat -c %Y /etc/containerd/config.toml) > started )); then restart_service containerd.service; fi
fi
enable_service kubelet.service
if booted && [[ -e /etc/kubernetes/kubelet.conf ]]; then
  started=$(date -d "$(systemctl show --property ActiveEnterTimestamp --value kubelet.service)" +%s)
  newest=$(stat -c %Y /etc/default/kubelet /etc/kubernetes/kubelet.conf.d/*.conf | sort -n | tail -1)
  if (( newest > started )); then restart_service kubelet.service; fi
fi
say "$host has $(kubeadm version --output short) and $(containerd --version | awk '{print $3}')"
)sh";

constexpr std::string_view kLoadBalancer = R"sh(as_root
host=$(this_host "${1:-}")
[[ ${role[$host]} == load-balancer ]] || die "$host is no load balancer"

install_packages haproxy
haproxy -c -q -f "$here/load-balancer/haproxy.cfg" || die "haproxy refuses its settings: nothing was changed"
put "$here/load-balancer/haproxy.cfg" /etc/haproxy/haproxy.cfg
enable_service haproxy.service
# A reload keeps the connections that are open.
if has_changed /etc/haproxy/haproxy.cfg && booted; then systemctl reload-or-restart haproxy.service; fi

if [[ -f $here/load-balancer/keepalived-$host.conf ]]; then
  install_packages keepalived
  # The interface is the one that leads to the other load balancers.
  for peer in "${load_balancers[@]}"; do
    if [[ $peer != "$host" ]]; then
      interface=$(ip -o route get "${address[$peer]}" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
      break
    fi
  done
  [[ -n ${interface:-} ]] || die "no way to the other load balancers"
  sed "s/@INTERFACE@/$interface/" "$here/load-balancer/keepalived-$host.conf" >"$work/keepalived.conf"
  put "$work/keepalived.conf" /etc/keepalived/keepalived.conf
  enable_service keepalived.service
  if has_changed /etc/keepalived/keepalived.conf; then restart_service keepalived.service; fi
fi
say "$host hands $endpoint to ${control_planes[*]}"
)sh";

constexpr std::string_view kFirst = R"sh(as_root
host=$(this_host "${1:-}")
[[ $host == "${control_planes[0]}" ]] || die "the first control plane is ${control_planes[0]}"
settings=/etc/kubernetes/kubeadm.yaml
export KUBECONFIG=/etc/kubernetes/admin.conf

# The key of encryption at rest is made here, once, and stays on the control planes.
if [[ -f $here/encryption.yaml && ! -s /etc/kubernetes/encryption/config.yaml ]]; then
  key=$(head -c 32 /dev/urandom | base64 --wrap 0)
  (umask 077; mkdir -p /etc/kubernetes/encryption; sed "s|GENERATED-AT-APPLY|$key|" "$here/encryption.yaml" >"$work/encryption.yaml")
  put "$work/encryption.yaml" /etc/kubernetes/encryption/config.yaml 0600
fi
(umask 077; mkdir -p /var/log/kubernetes/audit)

if [[ ! -e /etc/kubernetes/admin.conf ]]; then
  kubeadm config validate --config "$settings"
  kubeadm config images pull --config "$settings"
  kubeadm init --config "$settings" --upload-certs --skip-token-print
  # The token of init would live for a day; machines that join get their own, for an hour.
  kubeadm token list --output 'go-template={{.token}}{{"\n"}}' |
    while read -r token; do kubeadm token delete "${token%%.*}"; done
  put "$settings" /etc/kubernetes/kubeadm.applied.yaml 0600
elif ! cmp -s "$settings" /etc/kubernetes/kubeadm.applied.yaml; then
  # Another release comes by upgrade.sh alone, which moves one machine after the other.
  if ! kubectl get --raw /version | grep -q "\"v$kubernetes_version\""; then
    die "the cluster does not run $kubernetes_version yet: ./run.sh prepare, then ./run.sh upgrade"
  fi
  # Settings that changed: into the cluster's own record, then into the static pods of this machine.
  kubeadm config validate --config "$settings"
  kubeadm init phase upload-config all --config "$settings"
  kubeadm init phase etcd local --config "$settings"
  kubeadm init phase control-plane all --config "$settings"
  put "$settings" /etc/kubernetes/kubeadm.applied.yaml 0600
fi
own_kubeconfig
wait_for 300 kubectl get --raw /readyz
enable_service "${timers[@]}"
say "the control plane answers at $endpoint"
)sh";

constexpr std::string_view kMaterial = R"sh(as_root
for_role=${1:?for which role: control-plane or worker}
export KUBECONFIG=/etc/kubernetes/admin.conf
umask 077
mkdir "$work/join"

# The cluster's address and authority with a token that is good for an hour.
kubectl --namespace kube-public get configmap cluster-info --output 'jsonpath={.data.kubeconfig}' >"$work/join/discovery.conf"
token=$(kubeadm token create --ttl 1h --description 'machines that join now')
kubectl config --kubeconfig "$work/join/discovery.conf" set-credentials join --token "$token" >/dev/null
kubectl config --kubeconfig "$work/join/discovery.conf" set-context join \
  --cluster "$(kubectl config --kubeconfig "$work/join/discovery.conf" view --output 'jsonpath={.clusters[0].name}')" --user join >/dev/null
kubectl config --kubeconfig "$work/join/discovery.conf" use-context join >/dev/null
if [[ $for_role == control-plane ]]; then
  # The certificates lie in the cluster for two hours, locked with this key.
  kubeadm init phase upload-certs --upload-certs --config /etc/kubernetes/kubeadm.yaml 2>/dev/null | tail -1 >"$work/join/certificate-key"
  if [[ -f /etc/kubernetes/encryption/config.yaml ]]; then cp /etc/kubernetes/encryption/config.yaml "$work/join/encryption.yaml"; fi
fi
tar --create --file=- --directory="$work/join" .
)sh";

constexpr std::string_view kControlPlane = R"sh(as_root
host=$(this_host "${1:-}")
[[ ${role[$host]} == control-plane && $host != "${control_planes[0]}" ]] || die "$host is not one of the other control planes"
join=/run/tidegate/join
export KUBECONFIG=/etc/kubernetes/admin.conf
(umask 077; mkdir -p /var/log/kubernetes/audit)

if [[ -f $join/encryption.yaml ]]; then
  (umask 077; mkdir -p /etc/kubernetes/encryption)
  put "$join/encryption.yaml" /etc/kubernetes/encryption/config.yaml 0600
fi
if [[ ! -e /etc/kubernetes/kubelet.conf ]]; then
  [[ -f $join/discovery.conf ]] || die "no way in: run.sh brings it from ${control_planes[0]}"
  # In quotes: a key of digits alone would be a number.
  (umask 077; sed "s/^controlPlane:\$/&\n  certificateKey: '$(<"$join/certificate-key")'/" /etc/kubernetes/kubeadm.yaml >"$join/kubeadm.yaml")
  kubeadm config validate --config "$join/kubeadm.yaml"
  kubeadm join --config "$join/kubeadm.yaml"
  put /etc/kubernetes/kubeadm.yaml /etc/kubernetes/kubeadm.applied.yaml 0600
else
  # What changed in the cluster's record goes into the static pods of this machine.
  kubeadm upgrade node
fi
rm -rf "$join"
own_kubeconfig
enable_service "${timers[@]}"
say "$host is a control plane"
)sh";

constexpr std::string_view kWorker = R"sh(as_root
host=$(this_host "${1:-}")
[[ ${role[$host]} == worker ]] || die "$host is no worker"
join=/run/tidegate/join

if [[ ! -e /etc/kubernetes/kubelet.conf ]]; then
  [[ -f $join/discovery.conf ]] || die "no way in: run.sh brings it from ${control_planes[0]}"
  kubeadm config validate --config /etc/kubernetes/kubeadm.yaml
  kubeadm join --config /etc/kubernetes/kubeadm.yaml
fi
rm -rf "$join"
say "$host is a worker"
)sh";

constexpr std::string_view kDisks = R"sh(as_root
host=$(this_host "${1:-}")
for path in ${disks[$host]:-}; do
  mkdir -p "$path"
  # A volume on a directory of the system disk can fill that disk: its size is not enforced.
  mountpoint --quiet "$path" || say "warning: $path on $host is no file system of its own; mount one there"
done
)sh";

constexpr std::string_view kGpu = R"sh(as_root
host=$(this_host "${1:-}")
put "$here/gpu/nouveau.conf" /etc/modprobe.d/nouveau.conf
if has_changed /etc/modprobe.d/nouveau.conf && command -v update-initramfs >/dev/null; then update-initramfs -u; fi
# The driver, here or in its container, is built for the kernel that runs.
if booted; then install_packages "linux-headers-$(uname -r)"; fi

if [[ $gpu_software == operator ]]; then
  [[ -z $(version_of nvidia-open) ]] || die "$host has a driver of its own: remove it, or write components.gpu: host"
  say "driver and toolkit of $host come from the operator"
  exit 0
fi

# shellcheck source=/dev/null
. /etc/os-release
cuda=https://developer.download.nvidia.com/compute/cuda/repos/$ID${VERSION_ID//./}/$(uname -m)
apt_key "$cuda/3bf863cc.pub" /etc/apt/keyrings/nvidia-cuda.gpg EB693B3035CD5710E231E123A4B469963BF863CC
apt_key https://nvidia.github.io/libnvidia-container/gpgkey /etc/apt/keyrings/nvidia-toolkit.gpg \
  C95B321B61E88C1809C4F759DDCAE044F796ECB0
put_text /etc/apt/sources.list.d/nvidia-cuda.sources 0644 <<SOURCES
Types: deb
URIs: $cuda/
Suites: /
Signed-By: /etc/apt/keyrings/nvidia-cuda.gpg
SOURCES
put "$here/gpu/nvidia-toolkit.sources" /etc/apt/sources.list.d/nvidia-toolkit.sources
put "$here/gpu/preferences" /etc/apt/preferences.d/nvidia
install_held nvidia-open nvidia-container-toolkit

# containerd learns of the runtime from a file beside its own.
before=$(sha256sum /etc/containerd/conf.d/99-nvidia.toml 2>/dev/null || true)
nvidia-ctk runtime configure --runtime=containerd --cdi.enabled --drop-in-config=/etc/containerd/conf.d/99-nvidia.toml
if [[ $(sha256sum /etc/containerd/conf.d/99-nvidia.toml) != "$before" ]]; then restart_service containerd.service; fi
if booted; then nvidia-smi --list-gpus; fi
)sh";

constexpr std::string_view kFinish = R"sh(as_root
export KUBECONFIG=/etc/kubernetes/admin.conf
for host in "${control_planes[@]}" "${workers[@]}"; do
  wait_for 300 kubectl get node "$host"
  for label in ${labels[$host]:-}; do kubectl label node "$host" --overwrite "$label"; done
  for taint in ${taints[$host]:-}; do kubectl taint node "$host" --overwrite "$taint"; done
done
/usr/local/sbin/approve-kubelet-certificates
kubectl get nodes --output wide
)sh";

constexpr std::string_view kRewrite = R"sh(as_root
export KUBECONFIG=/etc/kubernetes/admin.conf
# Written again, every Secret is locked with the first key of the file. Done once for each state of the file.
now=$(sha256sum </etc/kubernetes/encryption/config.yaml)
if [[ $(cat /etc/kubernetes/encryption/rewritten 2>/dev/null || true) == "$now" ]]; then exit 0; fi
kubectl get secrets --all-namespaces --output json | kubectl replace --filename - >/dev/null
(umask 077; printf '%s\n' "$now" >/etc/kubernetes/encryption/rewritten)
say "all Secrets are encrypted with the first key"
)sh";

constexpr std::string_view kUpgrade = R"sh(as_root
host=$(this_host "${1:-}")
admin=(kubectl --kubeconfig /etc/kubernetes/admin.conf)
pinned() { apt-cache policy "$1" | awk '$1 == "Candidate:" {print $2}'; }
take() {
  apt-mark unhold "$@" >/dev/null
  local name wanted=()
  for name in "$@"; do wanted+=("$name=$(pinned "$name")"); done
  apt_get install --no-install-recommends "${wanted[@]}"
  apt-mark hold "$@" >/dev/null
}

# The pin of the new release came with prepare.sh; each minor version has a repository of its own.
put "$here/apt/kubernetes.sources" /etc/apt/sources.list.d/kubernetes.sources
refresh_packages
if [[ $(version_of kubeadm) != "$(pinned kubeadm)" ]]; then take kubeadm; fi
if [[ $(version_of kubelet) == "$(pinned kubelet)" && $(version_of containerd.io) == "$(pinned containerd.io)" ]]; then
  say "$host is up to date"
  exit 0
fi
if [[ $host == "${control_planes[0]}" ]]; then
  kubeadm upgrade plan "v$kubernetes_version"
  kubeadm upgrade apply --yes "v$kubernetes_version"
else
  kubeadm upgrade node
fi
# Workers are drained by run.sh from a control plane: their own login may not.
if [[ ${role[$host]} == control-plane ]]; then "${admin[@]}" drain "$host" --ignore-daemonsets --delete-emptydir-data --timeout 15m; fi
take containerd.io cri-tools kubernetes-cni kubelet kubectl
reload_units
restart_service containerd.service
restart_service kubelet.service
if [[ ${role[$host]} == control-plane ]]; then
  wait_for 300 "${admin[@]}" get --raw /readyz
  "${admin[@]}" uncordon "$host"
fi
)sh";

constexpr std::string_view kSteps = R"sh(
asked() { (( ! ${#wanted[@]} )) || [[ " ${wanted[*]} " == *" $1 "* ]]; }
# bring ROLE HOST: the way in, from the first control plane, through this machine's memory only.
bring() {
  if on "$2" 'test -e /etc/kubernetes/kubelet.conf'; then return 0; fi
  on "${control_planes[0]}" "$place/join-material.sh $1" |
    on "$2" "sh -c 'umask 077; mkdir -p /run/tidegate/join; tar --extract --file=- --directory=/run/tidegate/join'"
}

step prepare prepare.sh "${all[@]}"
step load-balancers load-balancer.sh "${load_balancers[@]}"
step kubernetes kubernetes.sh "${control_planes[@]}" "${workers[@]}"
step disks disks.sh "${workers[@]}"
step gpu gpu.sh "${gpu_hosts[@]}"
step first-control-plane first-control-plane.sh "${control_planes[0]}"
for target in "${control_planes[@]:1}"; do
  if asked control-planes; then bring control-plane "$target"; fi
  step control-planes control-plane.sh "$target"
done
for target in "${workers[@]}"; do
  if asked workers; then bring worker "$target"; fi
  step workers worker.sh "$target"
done
step finish finish.sh "${control_planes[0]}"
step rewrite-secrets rewrite-secrets.sh "${control_planes[0]}"
# Only when it is asked for by name: to the release that the document pins, host by host.
if [[ " ${wanted[*]} " == *" upgrade "* ]]; then
  for target in "${control_planes[@]}"; do step upgrade upgrade.sh "$target"; done
  for target in "${workers[@]}"; do
    on "${control_planes[0]}" "kubectl --kubeconfig /etc/kubernetes/admin.conf drain $target --ignore-daemonsets --delete-emptydir-data --timeout 30m"
    step upgrade upgrade.sh "$target"
    on "${control_planes[0]}" "kubectl --kubeconfig /etc/kubernetes/admin.conf uncordon $target"
  done
fi
if asked kubeconfig; then
  (umask 077; on "${control_planes[0]}" "$place/kubeconfig.sh $(id -un)" >"$platform.kubeconfig")
  say "wrote $platform.kubeconfig; it is good for $kubeconfig_hours hours"
fi
)sh";

// The administrator's file for root and for who called sudo.
constexpr std::string_view kOwnKubeconfig = R"sh(own_kubeconfig() {
  local home owner=${SUDO_USER:-root}
  for user in root "$owner"; do
    home=$(getent passwd "$user" | cut -d: -f6)
    [[ -d $home ]] || continue
    if cmp -s /etc/kubernetes/admin.conf "$home/.kube/config"; then continue; fi
    install -d -m 0700 -o "$user" -g "$(id -gn "$user")" "$home/.kube"
    install -m 0600 -o "$user" -g "$(id -gn "$user")" /etc/kubernetes/admin.conf "$home/.kube/config"
  done
}

)sh";

}  // namespace

std::vector<Extra> machine_scripts() {
  const std::string own(kOwnKubeconfig);
  return {
      script("kubernetes.sh",
             "All nodes: containerd, kubelet, kubeadm and kubectl, pinned and held.\nUsage: kubernetes.sh "
             "[HOST], as root, after prepare.sh.",
             kKubernetes),
      script("load-balancer.sh",
             "Load balancers: HAProxy before the API servers; keepalived where there are several.\nUsage: "
             "load-balancer.sh [HOST], as root.",
             kLoadBalancer),
      script("first-control-plane.sh",
             "First control plane: the cluster itself.\nUsage: first-control-plane.sh [HOST], as root, after "
             "kubernetes.sh.",
             own + std::string(kFirst)),
      script("join-material.sh",
             "First control plane: what a machine needs to join, as a tar archive on standard output. It is "
             "secret.\nUsage: join-material.sh control-plane|worker, as root.",
             kMaterial),
      script("control-plane.sh",
             "Other control planes: join, or take up what changed.\nUsage: control-plane.sh [HOST], as root, "
             "after kubernetes.sh.",
             own + std::string(kControlPlane)),
      script("worker.sh", "Workers: join.\nUsage: worker.sh [HOST], as root, after kubernetes.sh.", kWorker),
      script("disks.sh", "Workers: the places of local volumes.\nUsage: disks.sh [HOST], as root.", kDisks),
      script("gpu.sh",
             "Workers with GPUs: what the host needs for its driver, or the driver and the toolkit "
             "themselves.\nUsage: gpu.sh [HOST], as root.",
             kGpu),
      script("finish.sh",
             "First control plane: labels, taints and serving certificates of all nodes.\nUsage: finish.sh, "
             "as root.",
             kFinish),
      script("rewrite-secrets.sh",
             "First control plane: writes every Secret again, so that all are encrypted.\nUsage: "
             "rewrite-secrets.sh, as root.",
             kRewrite),
      script("upgrade.sh",
             "One node to the pinned release; control planes before workers, the first one first.\nUsage: "
             "upgrade.sh [HOST], as root, after prepare.sh.",
             kUpgrade),
      script_run(std::string(kSteps).substr(1)),
  };
}

}  // namespace tg::render
