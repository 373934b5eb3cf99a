#include "render/infrastructure/runbook.hpp"

#include <fmt/format.h>

#include "catalog/releases.hpp"
#include "render/infrastructure/script.hpp"
#include "render/infrastructure/window.hpp"

namespace tg::render {

namespace {

using Chapter = Section::Chapter;

constexpr std::string_view kKubeconfig = R"sh(as_root
name=${1:?whose kubeconfig: name a person}
if [[ -e /etc/kubernetes/admin.conf ]]; then
  export KUBECONFIG=/etc/kubernetes/admin.conf
else
  export KUBECONFIG=/etc/rancher/k3s/k3s.yaml
fi
umask 077
# What the certificate may do hangs on its group.
kubectl apply --server-side --filename "$here/operators.yaml" >/dev/null
request=operator-$name-$(date +%s)
openssl ecparam -name prime256v1 -genkey -noout -out "$work/key"
openssl req -new -key "$work/key" -subj "/O=tidegate:operators/CN=$name" -out "$work/csr"
kubectl create --filename - >/dev/null <<REQUEST
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata:
  name: $request
spec:
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: $(( kubeconfig_hours * 3600 ))
  usages: ["client auth"]
  request: $(base64 --wrap 0 <"$work/csr")
REQUEST
kubectl certificate approve "$request" >/dev/null
kubectl wait --for=jsonpath='{.status.certificate}' --timeout=60s "csr/$request" >/dev/null
kubectl get csr "$request" --output 'jsonpath={.status.certificate}' | base64 --decode >"$work/crt"
kubectl delete csr "$request" >/dev/null
kubectl config view --raw --minify --output 'jsonpath={.clusters[0].cluster.certificate-authority-data}' |
  base64 --decode >"$work/ca"
export KUBECONFIG=$work/config
kubectl config set-cluster "$platform" --server="https://$endpoint" --certificate-authority="$work/ca" --embed-certs >/dev/null
kubectl config set-credentials "$name" --client-certificate="$work/crt" --client-key="$work/key" --embed-certs >/dev/null
kubectl config set-context "$platform" --cluster="$platform" --user="$name" >/dev/null
kubectl config use-context "$platform" >/dev/null
cat "$work/config"
)sh";

std::string table(const std::vector<Host>& all) {
  std::string out = "| host | address | role | pool |\n|---|---|---|---|\n";
  for (const Host& h : all)
    out += fmt::format("| {} | {} | {} | {} |\n", h.name, h.address, h.role, h.pool.empty() ? "-" : h.pool);
  return out;
}

Section access(const Context& context) {
  const auto hours = static_cast<int>(context.spec().seconds("cluster.kubeconfig.validFor") / 3600);
  return {.chapter = Chapter::access,
          .title = "kubectl and k9s",
          .text = fmt::format(
              "`infrastructure/run.sh kubeconfig` writes `infrastructure/{0}.kubeconfig` (mode 0600). Its "
              "certificate is "
              "good for {1} "
              "hours and belongs to the group `tidegate:operators`; issue a new one when it has ended.\n\n"
              "```sh\nexport KUBECONFIG=$PWD/infrastructure/{0}.kubeconfig\nkubectl get nodes\nk9s\n```\n\n"
              "k9s shows the whole cluster in a terminal: `:pods`, `:events`, `l` for logs, `d` to describe, "
              "`?` for "
              "help. The certificate that the cluster's own root holds stays on the hosts.\n",
              context.name(), hours)};
}

Section first_steps(const Context& context, const std::vector<Host>& all, std::string_view steps) {
  std::string addresses;
  for (const Host& h : all) addresses += " " + h.address;
  const std::int64_t port = context.infrastructure().integer("ssh.port");
  return {.chapter = Chapter::first_steps,
          .title = "Set up the hosts",
          .text = fmt::format(
              "{0}\nssh goes only to hosts that it knows. Compare the fingerprints with those that each host "
              "shows on its console (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`), then keep them:\n\n"
              "```sh\nssh-keyscan -p {2} -t ed25519{3} > hosts.keys\nssh-keygen -lf hosts.keys\n"
              "cat hosts.keys >> ~/.ssh/known_hosts && rm hosts.keys\n```\n\n"
              "```sh\ninfrastructure/run.sh                 # all of: {1}\n"
              "infrastructure/run.sh prepare         # one of them\n"
              "export KUBECONFIG=$PWD/infrastructure/{4}.kubeconfig\n```\n\n"
              "Every script may be run again: what is already as wanted is left alone.\n",
              table(all), steps, port, addresses, context.name())};
}

std::string api_is_away(const Context& context, const std::vector<Host>& all, const Host& first) {
  const std::vector<Host> balancers = with_role(all, "load-balancer");
  std::string out = fmt::format(
      "```sh\ncurl --insecure https://{}/readyz\nkubectl --server https://{}:6443 get --raw "
      "'/readyz?verbose'     # past the load balancer\n```\n\n",
      endpoint(context, all).text(), first.address);
  if (balancers.empty()) return out;
  std::string names;
  for (const Host& h : balancers) names += (names.empty() ? "" : " and ") + h.name;
  out += fmt::format(
      "On {}: `systemctl status haproxy` and `echo 'show servers state' | socat stdio "
      "/run/haproxy/admin.sock` "
      "say which control planes it takes for ready. ",
      names);
  out += balancers.size() > 1
             ? "`ip address` shows which of them has the shared address; the other one takes it over within "
               "seconds.\n"
             : "There is one of them: while it is away pods run on and nothing changes. A second host with "
               "`role: loadBalancer` and a `virtualAddress` in the document ends that.\n";
  return out;
}

}  // namespace

void add_operators(Part& part) {
  Json binding = role_binding("tidegate-operators", {}, "ClusterRole", "cluster-admin",
                              {{"Group", "tidegate:operators", {}}});
  part.add("operators.yaml", std::move(binding));
}

Extra script_kubeconfig() {
  return script("kubeconfig.sh",
                "First server or control plane: a short-lived certificate for an operator.\n"
                "Usage: kubeconfig.sh PERSON >FILE, as root.",
                kKubeconfig);
}

std::vector<Section> k3s_sections(const Context& context, const std::vector<Host>& all) {
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  const std::string version(release == nullptr ? std::string_view{} : release->k3s);
  const std::string first = with_role(all, "server").front().name;
  std::vector<Section> out{access(context),
                           first_steps(context, all, "prepare, servers, agents, kubeconfig")};
  out.push_back(
      {.chapter = Chapter::upgrade,
       .title = "k3s",
       .text = fmt::format(
           "Pinned: `{0}`. Support of Kubernetes {1} ends on {2}. Change `cluster.version` in the document "
           "(one minor at a time), render, then:\n\n```sh\ninfrastructure/run.sh prepare servers "
           "agents\nkubectl get "
           "nodes "
           "--output wide\n```\n\nServers come first, one after another; pods keep running while k3s "
           "restarts. "
           "The binary is compared with its SHA-256 before it is put in place; `INSTALL_K3S_SHA256` in the "
           "environment of `k3s.sh` pins one that you have checked yourself.\n",
           version, context.kubernetes(), release == nullptr ? std::string_view{} : release->ends)});
  out.push_back(
      {.chapter = Chapter::backup,
       .title = "Store of k3s",
       .text =
           "`k3s-copy.timer` copies the database with its keys to `/var/backups/k3s` of every server and, "
           "where the document names a store, sends it there. Whoever can read a copy can read the "
           "cluster's Secrets: keep the bucket private.\n\n```sh\nsystemctl list-timers k3s-copy.timer\n"
           "systemctl start k3s-copy.service && ls -l /var/backups/k3s\n```\n"});
  out.push_back({.chapter = Chapter::restore,
                 .title = "Store of k3s",
                 .text = fmt::format(
                     "On {0}, as root, with the wanted copy:\n\n```sh\nsystemctl stop k3s\nrm -rf "
                     "/var/lib/rancher/k3s/server/db && mkdir -p /var/lib/rancher/k3s/server/db\ntar -xzf "
                     "COPY.tar.gz -C "
                     "/var/lib/rancher/k3s/server token tls cred\ncp /var/lib/rancher/k3s/server/token "
                     "/etc/rancher/k3s/token\ntar -xzf COPY.tar.gz -C "
                     "/var/lib/rancher/k3s/server/db ./state.db\nsystemctl start k3s\nkubectl get --raw "
                     "/readyz\n```\n\nOn a new machine run `infrastructure/run.sh prepare servers` before.\n",
                     first)});
  out.push_back(
      {.chapter = Chapter::troubleshooting,
       .title = "The node is not Ready",
       .text = fmt::format("On {0}: `journalctl -u k3s -n 200`, `crictl ps -a`, `free -m`, `zramctl`, `df -h "
                           "/var/lib/rancher`. `k3s check-config` names what the kernel lacks.\n",
                           first)});
  return out;
}

std::vector<Section> machines_sections(const Context& context, const std::vector<Host>& all) {
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  const std::string version(release == nullptr ? std::string_view{} : release->patch);
  const std::vector<Host> control = with_role(all, "control-plane");
  const std::string first = control.front().name;
  std::vector<Section> out{
      access(context),
      first_steps(
          context, all,
          "prepare, load-balancers, kubernetes, disks, gpu, first-control-plane, control-planes, workers, "
          "finish, rewrite-secrets, kubeconfig")};
  out.push_back(
      {.chapter = Chapter::upgrade,
       .title = "Kubernetes",
       .text = fmt::format(
           "Pinned: `{}`. Support of {} ends on {}. Change `cluster.version` in "
           "the document (one minor at a time), take a "
           "snapshot of etcd, render, then:\n\n```sh\ninfrastructure/run.sh prepare\ninfrastructure/run.sh "
           "upgrade          # control planes one by one, "
           "then each worker, drained before\nkubectl get nodes\n```\n",
           version, context.kubernetes(), release == nullptr ? std::string_view{} : release->ends)});
  out.push_back({.chapter = Chapter::monthly,
                 .title = "Certificates and keys",
                 .text = fmt::format("Certificates of the control plane are good for a year and are renewed "
                                     "by every upgrade; between upgrades:\n\n"
                                     "```sh\nkubeadm certs check-expiration          # on {0}\nkubeadm certs "
                                     "renew all && systemctl restart kubelet\n```\n\n"
                                     "A new key for Secrets at rest: put a second one *behind* the first in "
                                     "`/etc/kubernetes/encryption/config.yaml` of "
                                     "every control plane and restart their API servers; then move it to the "
                                     "front everywhere and restart again; then "
                                     "`infrastructure/run.sh rewrite-secrets`; then take the old one out.\n",
                                     first)});
  out.push_back({.chapter = Chapter::backup,
                 .title = "etcd",
                 .text = fmt::format("`etcd-snapshot.timer` on every control plane keeps {} snapshots in "
                                     "`/var/backups/etcd`, each with the keys that belong "
                                     "to it, and sends them to the store of the backups.\n\n```sh\nsystemctl "
                                     "list-timers 'etcd-*'\nsystemctl start "
                                     "etcd-snapshot.service && ls -l /var/backups/etcd\n```\n",
                                     context.spec().integer("cluster.etcd.snapshots.keep"))});
  out.push_back(
      {.chapter = Chapter::restore,
       .title = "etcd",
       .text = "Only when more than half of the members are lost. First on every control plane, as root:\n\n"
               "```sh\netcd-restore stop\n```\n\nThen on every one of them, with the same snapshot:\n\n"
               "```sh\netcd-restore SNAPSHOT.db\n```\n\nThe program that reads snapshots comes from etcd's "
               "own image; what was there before is kept beside it. New machines become control planes first "
               "(`./run.sh`); then unpack the `.keys.tar.gz` of the snapshot into `/etc/kubernetes` on each. "
               "At the end:\n\n```sh\nkubectl get --raw /readyz\n```\n"});
  out.push_back({.chapter = Chapter::troubleshooting,
                 .title = "The API does not answer",
                 .text = api_is_away(context, all, control.front())});
  out.push_back(
      {.chapter = Chapter::troubleshooting,
       .title = "A node is not Ready",
       .text =
           "On the host: `journalctl -u kubelet -n 200`, `crictl ps -a`, `systemctl status containerd`. "
           "`kubectl "
           "describe node NAME` says which condition fails. Logs and exec that fail with a certificate "
           "error: "
           "`kubectl get csr`, then `approve-kubelet-certificates` on a control plane says why it waits.\n"});
  return out;
}

}  // namespace tg::render
