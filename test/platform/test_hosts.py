"""Files and scripts of own machines, judged by the programs that will read them, and run twice in a throw-away root.

The root is Debian 12 with the real packages of prepare.sh, load-balancer.sh and the copies. What no Debian mirror has
(containerd.io, kubelet, kubeadm, kubectl) is asked of recorders that stand in for apt and curl in that root.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import ssl
import stat
import subprocess
import tarfile
import tomllib
import urllib.error
import urllib.request

import pytest
import yaml
from lib import kube, oracles
from lib.wait import until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXAMPLES = {"webui-k3s": ROOT / "examples/webui-k3s.yaml", "bare-metal": ROOT / "examples/bare-metal.yaml"}
BOUND_S = 600
PACKAGES = [
    "apt-transport-https",
    "ca-certificates",
    "conntrack",
    "curl",
    "ethtool",
    "gnupg2",
    "iproute2",
    "kmod",
    "nftables",
    "openssl",
    "procps",
    "rclone",
    "socat",
    "software-properties-common",
    "sqlite3",
    "systemd",
    "unattended-upgrades",
    "haproxy",
    "keepalived",
    "etcd-server",
    "etcd-client",
]


def run(*command: object, check: bool = True, **options) -> subprocess.CompletedProcess:
    ended = subprocess.run(
        [str(c) for c in command],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=BOUND_S,
        stdin=None if "input" in options else subprocess.DEVNULL,
        **options,
    )
    if check:
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended


def need(program: str) -> str:
    found = oracles.program(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if not found:
        pytest.skip(f"not run: {program} is not here")
    return found


@pytest.fixture(scope="session")
def trees(rendered) -> dict[str, pathlib.Path]:
    """The infrastructure folder of each example."""
    return {name: rendered(name) / "infrastructure" for name in EXAMPLES}


@pytest.fixture(scope="session", params=sorted(EXAMPLES))
def tree(request, trees) -> pathlib.Path:
    return trees[request.param]


def with_overlay(binary, tmp_path, example: str, overlay: dict) -> pathlib.Path:
    name = yaml.safe_load_all(EXAMPLES[example].read_text()).__next__()["metadata"]["name"]
    over = tmp_path / "over.yaml"
    document = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Platform",
        "metadata": {"name": name},
        "spec": overlay,
    }
    over.write_text(yaml.safe_dump(document))
    run(binary, "render", "-f", EXAMPLES[example], "-f", over, "-o", tmp_path / "out")
    return tmp_path / "out/infrastructure"


def programs_of(tree: pathlib.Path) -> list[pathlib.Path]:
    found = [p for p in sorted(tree.rglob("*")) if p.is_file() and p.read_bytes()[:2] == b"#!"]
    assert len(found) > 5
    return found


# --- judged where they stand -----------------------------------------------------------------------------------------


def test_programs_are_executable_and_clean(tree):
    shellcheck = need("shellcheck")
    for path in [*programs_of(tree), tree / "lib.sh", tree / "inventory.sh"]:
        if path.read_bytes()[:2] == b"#!":
            assert path.stat().st_mode & stat.S_IXUSR, path
            assert "set -euo pipefail" in path.read_text(), path
        ended = run(shellcheck, "--severity=style", path, check=False)
        assert ended.returncode == 0, ended.stdout


def test_nothing_is_piped_from_the_network_into_a_shell(tree):
    for path in programs_of(tree):
        for line in path.read_text().splitlines():
            code = line.split("#")[0]
            assert not (("curl" in code or "fetch " in code) and "| sh" in code.replace("| bash", "| sh")), line


def test_every_step_has_its_hosts_and_every_program_its_step(tree):
    """run.sh knows each step of the plan, each program of the folder is run by one of them, no host is left out."""
    plan = json.loads((tree.parent / "plan.json").read_text())
    (phase,) = [p for p in plan["phases"] if p["folder"] == "infrastructure"]
    run_sh = (tree / "run.sh").read_text()
    targets = {s["what"]: s["where"].split(",") for s in phase["steps"] if s.get("what", "").startswith("run.sh ")}
    for what in targets:
        name = what.removeprefix("run.sh ")
        assert re.search(rf"(?m)^\s*(?:step {name} |if asked {name};|.*\*\" {name} \"\*)", run_sh), name
    hosts = {h["name"] for h in yaml.safe_load((tree / "inventory.yaml").read_text())["hosts"]}
    assert set(targets["run.sh prepare"]) == hosts
    assert {h for where in targets.values() for h in where} == hosts
    for path in tree.glob("*.sh"):
        if path.name not in ("run.sh", "lib.sh", "inventory.sh"):
            assert path.name in run_sh, f"nothing runs {path.name}"


def test_haproxy_takes_its_settings(trees, tmp_path):
    haproxy = need("haproxy")
    run(haproxy, "-c", "-f", trees["bare-metal"] / "load-balancer/haproxy.cfg")
    broken = tmp_path / "broken.cfg"
    text = (trees["bare-metal"] / "load-balancer/haproxy.cfg").read_text()
    broken.write_text(text.replace("default_backend kubernetes-control-planes", "default_backend nobody"))
    assert run(haproxy, "-c", "-f", broken, check=False).returncode != 0


def test_haproxy_keeps_watches_and_asks_for_readiness(trees):
    text = (trees["bare-metal"] / "load-balancer/haproxy.cfg").read_text()
    seconds = {"s": 1, "m": 60, "h": 3600}
    for name in ("client", "server", "tunnel"):
        values = [line.split()[2] for line in text.splitlines() if line.split()[:2] == ["timeout", name]]
        assert int(values[0][:-1]) * seconds[values[0][-1]] >= 1800, name
    assert "http-check send meth GET uri /readyz" in text
    servers = [line.split() for line in text.splitlines() if line.split()[:1] == ["server"]]
    assert [(s[1], s[2]) for s in servers] == [(f"kube{i}", f"192.168.1.3{i}:6443") for i in (1, 2, 3)]


def test_kubeadm_takes_its_settings(trees, tmp_path):
    kubeadm = need("kubeadm")
    files = sorted((trees["bare-metal"] / "files/hosts").rglob("kubeadm.yaml"))
    assert len(files) == 5
    # It wants to see the file that a join brings.
    way_in = tmp_path / "discovery.conf"
    way_in.write_text("")
    copy = tmp_path / "kubeadm.yaml"
    for path in files:
        copy.write_text(path.read_text().replace("/run/tidegate/join/discovery.conf", str(way_in)))
        run(kubeadm, "config", "validate", "--config", copy)
    copy.write_text(files[0].read_text().replace("imagePullPolicy", "imagePulPolicy"))
    assert run(kubeadm, "config", "validate", "--config", copy, check=False).returncode != 0


def documents(path: pathlib.Path) -> dict[str, dict]:
    return {d["kind"]: d for d in yaml.safe_load_all(path.read_text())}


def test_kubeadm_settings_say_what_the_document_says(trees):
    first = documents(trees["bare-metal"] / "files/hosts/kube1.telkom.be/etc/kubernetes/kubeadm.yaml")
    cluster = first["ClusterConfiguration"]
    assert cluster["controlPlaneEndpoint"] == "lb.telkom.be:6443"
    assert cluster["networking"]["podSubnet"] == "10.244.0.0/16"
    etcd = {a["name"]: a["value"] for a in cluster["etcd"]["local"]["extraArgs"]}
    assert etcd["auto-compaction-retention"] == "1h" and "experimental" not in " ".join(etcd)
    api = {a["name"]: a["value"] for a in cluster["apiServer"]["extraArgs"]}
    mounted = {v["mountPath"] for v in cluster["apiServer"]["extraVolumes"]}
    for name in ("encryption-provider-config", "audit-policy-file", "authentication-config"):
        assert str(pathlib.Path(api[name]).parent) in mounted
    worker = documents(trees["bare-metal"] / "files/hosts/jarvis.telkom.be/etc/kubernetes/kubeadm.yaml")
    registration = worker["JoinConfiguration"]["nodeRegistration"]
    assert registration["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}]
    arguments = {a["name"]: a["value"] for a in registration["kubeletExtraArgs"]}
    assert arguments["node-labels"] == "nvidia.com/gpu=true"
    joins = [documents(p) for p in (trees["bare-metal"] / "files/hosts").rglob("kubeadm.yaml")]
    for join in joins:
        assert "token" not in json.dumps(join).lower().replace("tokens", "")


def test_reserves_are_texts_and_no_signal_is_lost(trees):
    path = trees["bare-metal"] / "files/hosts/jarvis.telkom.be/etc/kubernetes/kubelet.conf.d/50-reserve.conf"
    reserve = yaml.safe_load(path.read_text())
    expected = {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "1Gi"}
    assert reserve["systemReserved"] == expected and reserve["kubeReserved"] == expected
    assert reserve["evictionHard"]["memory.available"] == "1Gi"
    assert set(reserve["evictionHard"]) == {
        "memory.available",
        "nodefs.available",
        "nodefs.inodesFree",
        "imagefs.available",
        "imagefs.inodesFree",
    }


def test_encryption_writes_with_the_first_and_reads_old_ones_last(trees):
    configuration = yaml.safe_load((trees["bare-metal"] / "encryption.yaml").read_text())
    (resource,) = configuration["resources"]
    assert [next(iter(p)) for p in resource["providers"]] == ["secretbox", "identity"]
    assert resource["providers"][0]["secretbox"]["keys"][0]["secret"] == "GENERATED-AT-APPLY"


def test_audit_never_holds_the_content_of_a_secret(tree):
    (path,) = [p for p in tree.rglob("*.yaml") if "audit" in str(p.relative_to(tree))]
    policy = yaml.safe_load(path.read_text())
    for rule in policy["rules"]:
        named = [r for group in rule.get("resources", []) for r in group.get("resources", [])]
        if "secrets" in named:
            assert rule["level"] == "Metadata"
            return
    pytest.fail("no rule names Secrets")


def test_containerd_settings_are_toml_of_version_3(trees):
    config = tomllib.loads((trees["bare-metal"] / "files/node/etc/containerd/config.toml").read_text())
    assert config["version"] == 3
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]
    assert runtime["runtimes"]["runc"]["options"]["SystemdCgroup"] is True


def test_k3s_server_trusts_the_pipeline_of_one_repository(trees):
    config = yaml.safe_load((trees["webui-k3s"] / "files/server/etc/rancher/k3s/config.yaml").read_text())
    assert "authentication-config=/etc/rancher/k3s/authentication.yaml" in config["kube-apiserver-arg"]
    login = yaml.safe_load((trees["webui-k3s"] / "files/server/etc/rancher/k3s/authentication.yaml").read_text())
    (jwt,) = login["jwt"]
    rules = {r["claim"]: r["requiredValue"] for r in jwt["claimValidationRules"] if "claim" in r}
    assert rules == {"repository": "example/webui", "ref": "refs/heads/master"}


def test_k3s_is_pinned_and_checked(trees):
    text = (trees["webui-k3s"] / "k3s.sh").read_text()
    assert "INSTALL_K3S_VERSION=v1.35." in text
    assert "sha256sum --check" in text and "get.k3s.io" not in text


def test_shared_address_has_one_owner_at_a_time(binary, tmp_path):
    hosts = {"lb2.telkom.be": {"address": "192.168.1.29", "role": "loadBalancer"}}
    machines = {"virtualAddress": "192.168.1.40", "hosts": hosts}
    tree = with_overlay(binary, tmp_path, "bare-metal", {"infrastructure": {"machines": machines}})
    texts = [p.read_text() for p in sorted((tree / "load-balancer").glob("keepalived-*.conf"))]
    assert len(texts) == 2
    priorities = [line.split()[1] for t in texts for line in t.splitlines() if line.split()[:1] == ["priority"]]
    assert len(set(priorities)) == 2
    names = dict(reversed(line.split()) for line in (tree / "hosts").read_text().splitlines())
    assert names["lb.telkom.be"] == "192.168.1.40"
    if shutil.which("keepalived"):
        config = tmp_path / "keepalived.conf"
        config.write_text(texts[0].replace("@INTERFACE@", "lo"))
        run("keepalived", "--config-test", "-f", config)


def test_swap_and_firewall_of_the_small_machine(trees):
    files = trees["webui-k3s"] / "files"
    assert "zram-size" in (files / "node/etc/systemd/zram-generator.conf").read_text()
    kubelet = files / "hosts/node1/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/50-platform.conf"
    settings = yaml.safe_load(kubelet.read_text())
    assert settings["failSwapOn"] is False and settings["memorySwap"] == {"swapBehavior": "LimitedSwap"}
    assert settings["systemReserved"] == {"cpu": "100m", "memory": "256Mi"}
    assert "6443 ip saddr @api accept" in (files / "all/etc/nftables/tidegate.nft").read_text()


def test_etcd_takes_its_flags(trees, tmp_path):
    """The real etcd starts with what kubeadm gives it, and does not with what it never had."""
    etcd = need("etcd")
    first = documents(trees["bare-metal"] / "files/hosts/kube1.telkom.be/etc/kubernetes/kubeadm.yaml")
    flags = [f"--{a['name']}={a['value']}" for a in first["ClusterConfiguration"]["etcd"]["local"]["extraArgs"]]
    client, peer, metrics = kube.free_ports(3)
    flags = [f.replace("http://0.0.0.0:2381", f"http://127.0.0.1:{metrics}") for f in flags]
    assert f"--listen-metrics-urls=http://127.0.0.1:{metrics}" in flags
    base = kube.etcd_flags(tmp_path, client, peer)
    refused = run(etcd, *base, "--encrypt-at-rest", check=False)
    assert refused.returncode != 0 and "encrypt-at-rest" in refused.stderr
    process = subprocess.Popen([etcd, *base, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:

        def healthy() -> bool:
            assert process.poll() is None, process.stderr.read()
            try:
                return b"true" in urllib.request.urlopen(f"http://127.0.0.1:{metrics}/health", timeout=5).read()
            except OSError:
                return False

        until("etcd is healthy", healthy, 60.0, 0.1)
    finally:
        process.terminate()
        process.wait(30)


# --- the API server itself --------------------------------------------------------------------------------------------


def status_without_login(server: kube.ApiServer, path: str) -> int:
    context = ssl.create_default_context(cafile=str(server.folder / "tls/apiserver.crt"))
    try:
        return urllib.request.urlopen(server.url + path, context=context, timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
def test_api_server_takes_its_files_and_encrypts(trees, tmp_path):
    if reason := kube.unavailable():
        pytest.skip(f"not run: {reason}")
    tree = trees["bare-metal"]
    encryption = tmp_path / "encryption.yaml"
    key = base64.b64encode(os.urandom(32)).decode()
    encryption.write_text((tree / "encryption.yaml").read_text().replace("GENERATED-AT-APPLY", key))
    first = documents(tree / "files/hosts/kube1.telkom.be/etc/kubernetes/kubeadm.yaml")["ClusterConfiguration"]
    flags = {a["name"]: a["value"] for a in first["apiServer"]["extraArgs"]}
    del flags["kubelet-certificate-authority"], flags["enable-admission-plugins"]
    flags["authentication-config"] = tree / "files/control-plane/etc/kubernetes/authentication/config.yaml"
    flags["audit-policy-file"] = tree / "files/control-plane/etc/kubernetes/audit/policy.yaml"
    flags["audit-log-path"] = tmp_path / "audit.log"
    flags["encryption-provider-config"] = encryption
    extra = [f"--{name}={value}" for name, value in flags.items()]
    extra.append("--enable-admission-plugins=ExtendedResourceToleration")
    with kube.ApiServer.start(tmp_path / "kube", extra) as server:
        word = "kept-to-itself-" + os.urandom(4).hex()
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": word}}
        assert server.request("POST", "/api/v1/namespaces/default/secrets", secret).status == 201
        assert status_without_login(server, "/readyz") == 200, "load balancers ask without a login"
        assert status_without_login(server, "/version") == 401
    stored = b"".join(p.read_bytes() for p in (tmp_path / "kube/etcd").rglob("*") if p.is_file())
    assert b"k8s:enc:secretbox:v1:key1:" in stored
    assert word.encode() not in stored and base64.b64encode(word.encode()) not in stored
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    (made,) = [e for e in lines if e["verb"] == "create" and e.get("objectRef", {}).get("resource") == "secrets"]
    assert made["level"] == "Metadata" and "requestObject" not in made


@pytest.mark.slow
def test_api_server_takes_the_files_of_k3s(trees, tmp_path):
    if reason := kube.unavailable():
        pytest.skip(f"not run: {reason}")
    folder = trees["webui-k3s"] / "files/server/etc/rancher/k3s"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    flags = dict(a.split("=", 1) for a in config["kube-apiserver-arg"])
    del flags["enable-admission-plugins"]
    flags |= {"audit-log-path": tmp_path / "audit.log", "anonymous-auth": "false"}  # k3s sets the latter itself
    flags["authentication-config"] = folder / "authentication.yaml"
    flags["audit-policy-file"] = folder / "audit-policy.yaml"
    extra = [f"--{name}={value}" for name, value in flags.items()]
    with kube.ApiServer.start(tmp_path / "kube", extra) as server:
        assert server.request("GET", "/readyz").status == 200
        assert status_without_login(server, "/version") == 401


# --- in a throw-away root --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> pathlib.Path:
    """A root with the real packages, made once and kept beside the build."""
    if os.geteuid() != 0:
        pytest.skip("not run: chroot needs root")
    mmdebstrap = need("mmdebstrap")
    key = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    path = ROOT / f"build/host-root-{key}.tar"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part.tar")
        made = run(mmdebstrap, "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", part, check=False)
        if made.returncode != 0:
            pytest.skip(f"not run: no Debian mirror: {made.stderr.splitlines()[-1:]}")
        part.rename(path)
    return path


class Box:
    """One root to break."""

    def __init__(self, place: pathlib.Path):
        self.place = place

    def run(self, *command: object, check: bool = True, env: dict | None = None) -> subprocess.CompletedProcess:
        path = "/recorders:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        variables = {"PATH": path, "HOME": "/root", "LC_ALL": "C", **(env or {})}
        return run("chroot", self.place, *command, check=check, env=variables)

    def state(self) -> dict[str, tuple]:
        """Every file with its mode and content, but for what apt and logs remember of the hour."""
        found = {}
        passing = ("var/log", "var/cache", "var/lib/apt", "proc", "sys", "dev", "run", "tmp", "scripts")
        for folder, below, names in os.walk(self.place):
            here = pathlib.Path(folder)
            below[:] = [d for d in below if str((here / d).relative_to(self.place)) not in passing]
            for path in (here / name for name in names if not name.startswith("recorded")):
                what = path.lstat()
                if not (stat.S_ISREG(what.st_mode) or stat.S_ISLNK(what.st_mode)):
                    continue
                content = os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path.relative_to(self.place))] = (oct(what.st_mode), what.st_uid, content)
        return found

    def recorder(self, name: str, text: str) -> None:
        path = self.place / "recorders" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\necho "' + name + ' $*" >>/recorded\n' + text)
        path.chmod(0o755)

    def recorded(self) -> list[str]:
        path = self.place / "recorded"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def box(archive, tmp_path):
    place = tmp_path / "root"
    place.mkdir()
    run("tar", "--extract", "--numeric-owner", f"--file={archive}", f"--directory={place}")
    shutil.copy("/etc/resolv.conf", place / "etc/resolv.conf")
    (place / "etc/fstab").write_text(
        "/dev/sda1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\n#/dev/sdb none swap sw 0 0\n"
    )
    with contextlib.ExitStack() as undo:
        run("mount", "-t", "proc", "proc", place / "proc")
        undo.callback(run, "umount", place / "proc")
        yield Box(place)


def put_scripts(box: Box, tree: pathlib.Path) -> None:
    shutil.copytree(tree, box.place / "scripts", dirs_exist_ok=True)


def call_itself(box: Box, os_id: str, version: str) -> None:
    release = box.place / "etc/os-release"
    release.unlink()
    release.write_text(f"ID={os_id}\nVERSION_ID={version}\nVERSION_CODENAME=x\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "host"), [("webui-k3s", "node1"), ("bare-metal", "kube1.telkom.be"), ("bare-metal", "lb.telkom.be")]
)
def test_preparing_twice_is_preparing_once(trees, box, example, host):
    put_scripts(box, trees[example])
    if example == "bare-metal":
        call_itself(box, "ubuntu", "22.04")
    else:
        # The generator of zram is no package of the archive: the mirror's is installed by the script itself.
        pass
    box.run("/scripts/prepare.sh", host)
    once = box.state()
    again = box.run("/scripts/prepare.sh", host)
    twice = box.state()
    assert {n for n in once.keys() | twice.keys() if once.get(n) != twice.get(n)} == set()
    assert "wrote" not in again.stderr
    fstab = (box.place / "etc/fstab").read_text()
    assert fstab.splitlines() == [
        "/dev/sda1 / ext4 defaults 0 1",
        "#/dev/sda2 none swap sw 0 0",
        "#/dev/sdb none swap sw 0 0",
    ]
    box.run("nft", "-c", "-f", "/etc/nftables/tidegate.nft")
    dump = box.run("apt-config", "dump").stdout
    assert 'APT::Periodic::Unattended-Upgrade "1";' in dump
    blocked = [line for line in dump.splitlines() if "Package-Blacklist::" in line]
    assert any("^kubelet$" in line for line in blocked) and any("^containerd" in line for line in blocked)
    reboots = 'Unattended-Upgrade::Automatic-Reboot "true";' in dump
    assert reboots == (host in ("node1", "lb.telkom.be")), "who cannot be drained restarts itself"
    hosts = (box.place / "etc/hosts").read_text()
    assert hosts.count("# begin tidegate") == 1 and host in hosts


@pytest.mark.slow
def test_load_balancer_twice(trees, box):
    put_scripts(box, trees["bare-metal"])
    box.run("/scripts/load-balancer.sh", "lb.telkom.be")
    once = box.state()
    box.run("/scripts/load-balancer.sh", "lb.telkom.be")
    assert box.state() == once
    assert "/readyz" in (box.place / "etc/haproxy/haproxy.cfg").read_text()


APT_GET = 'case "$*" in *install*) for a in "$@"; do case $a in *=*) echo "$a" >>/installed;; esac; done;; esac\n'
DPKG_QUERY = 'v=$(grep "^$3=" /installed 2>/dev/null | tail -1 | cut -d= -f2)\n[ -n "$v" ] && echo "installed $v"\n'
APT_CACHE = 'case $2 in containerd.io) v=2.2.1-1;; kube*) v=1.35.8-1.1;; *) v=1.0-1;; esac\necho "  Candidate: $v"\n'
APT_MARK = 'case $1 in showhold) grep -x "$2" /held 2>/dev/null;; hold) shift; for a in "$@"; do echo "$a" >>/held; done;; esac\ntrue\n'


@pytest.mark.slow
def test_kubernetes_packages_are_pinned_held_and_their_keys_checked(trees, box):
    put_scripts(box, trees["bare-metal"])
    call_itself(box, "ubuntu", "22.04")
    for name, text in {
        "apt-get": APT_GET,
        "apt-cache": APT_CACHE,
        "apt-mark": APT_MARK,
        "dpkg-query": DPKG_QUERY,
    }.items():
        box.recorder(name, text)
    box.recorder("systemctl", "true\n")
    box.recorder("kubeadm", "echo v1.35.8\n")
    box.recorder("containerd", "echo containerd x v2.2.1\n")
    # A key that is not the known one is refused, and nothing is installed.
    home = box.place / "keys"
    home.mkdir(mode=0o700)
    box.run("gpg", "--batch", "--quick-gen-key", "--passphrase", "", "nobody", env={"GNUPGHOME": "/keys"})
    key = box.run("gpg", "--armor", "--export", env={"GNUPGHOME": "/keys"}).stdout
    (box.place / "some.asc").write_text(key)
    box.recorder("curl", 'while [ "$1" != --output ]; do shift; done\ncp /some.asc "$2"\n')
    refused = box.run("/scripts/kubernetes.sh", "kube1.telkom.be", check=False)
    assert refused.returncode != 0 and "fingerprint" in refused.stderr
    assert not (box.place / "installed").exists()
    # With the known fingerprints (gpg's answer is replaced, the keys themselves cannot be had here) both runs agree.
    answer = (
        'case "$*" in *show-keys*) if grep -q docker /recorded.last; then f=9DC858229FC7DD38854AE2D88D81803C0EBFCD88; '
        'else f=DE15B14486CD377B9E876E1A234654DA9A296436; fi; echo "fpr:::::::::$f:";; *) cat;; esac\n'
    )
    box.recorder("gpg", answer)
    box.recorder("curl", 'echo "$*" >/recorded.last; while [ "$1" != --output ]; do shift; done\necho key >"$2"\n')
    box.recorded()
    box.run("/scripts/kubernetes.sh", "kube1.telkom.be")
    held = (box.place / "held").read_text().split()
    assert {"containerd.io", "kubelet", "kubeadm", "kubectl"} <= set(held)
    assert "kubelet=1.35.8-1.1" in (box.place / "installed").read_text()
    box.recorded()
    once = box.state()
    box.run("/scripts/kubernetes.sh", "kube1.telkom.be")
    assert box.state() == once
    assert [line for line in box.recorded() if line.startswith(("apt-get", "curl"))] == []


KUBEADM = """case "$1 $2" in
  "init phase") ;;
  init*) mkdir -p /etc/kubernetes; echo admin >/etc/kubernetes/admin.conf; echo kubelet >/etc/kubernetes/kubelet.conf ;;
esac
"""


@pytest.mark.slow
def test_first_control_plane_is_made_once(trees, box):
    put_scripts(box, trees["bare-metal"])
    host = "kube1.telkom.be"
    settings = trees["bare-metal"] / f"files/hosts/{host}/etc/kubernetes/kubeadm.yaml"
    (box.place / "etc/kubernetes").mkdir(parents=True)
    shutil.copy(settings, box.place / "etc/kubernetes/kubeadm.yaml")
    box.recorder("kubeadm", KUBEADM)
    box.recorder("kubectl", """echo '{"gitVersion": "v1.35.8"}'\n""")
    box.recorder("systemctl", "true\n")
    box.run("/scripts/first-control-plane.sh", host)
    assert "kubeadm init --config /etc/kubernetes/kubeadm.yaml --upload-certs --skip-token-print" in box.recorded()
    encryption = box.place / "etc/kubernetes/encryption/config.yaml"
    assert stat.S_IMODE(encryption.stat().st_mode) == 0o600
    (key,) = yaml.safe_load(encryption.read_text())["resources"][0]["providers"][0]["secretbox"]["keys"]
    assert len(base64.b64decode(key["secret"])) == 32
    once = box.state()
    box.run("/scripts/first-control-plane.sh", host)
    assert box.state() == once
    assert [line for line in box.recorded() if line.startswith("kubeadm init")] == []
    # A change of the settings goes into the static pods.
    changed = box.place / "etc/kubernetes/kubeadm.yaml"
    changed.write_text(changed.read_text() + "# changed\n")
    box.run("/scripts/first-control-plane.sh", host)
    assert any(line.startswith("kubeadm init phase control-plane all") for line in box.recorded())
    # Another release does not come this way.
    box.recorder("kubectl", """echo '{"gitVersion": "v1.34.1"}'\n""")
    changed.write_text(changed.read_text() + "# again\n")
    refused = box.run("/scripts/first-control-plane.sh", host, check=False)
    assert refused.returncode != 0 and "run.sh upgrade" in refused.stderr
    assert [line for line in box.recorded() if line.startswith("kubeadm")] == []


CLUSTER_INFO = """apiVersion: v1
kind: Config
clusters:
- name: ""
  cluster: {server: "https://lb.telkom.be:6443", certificate-authority-data: AAAA}
"""
# The first control plane: what it knows is made up, files are written and judged by the real programs.
KUBECTL_OF_JOIN = """case "$*" in
  *cluster-info*) cat /cluster-info ;;
  config*) exec /oracles/kubectl "$@" ;;
esac
"""
KUBEADM_OF_JOIN = """case "$1 $2 $3" in
  "config validate "*) exec /oracles/kubeadm "$@" ;;
  "token create "*) echo abcdef.0123456789abcdef ;;
  "init phase upload-certs") echo '[upload-certs] Using certificate key:'; printf '%064d\\n' 7 ;;
  join*) cp "$3" /joined.yaml; mkdir -p /etc/kubernetes; echo kubelet >/etc/kubernetes/kubelet.conf; echo admin >/etc/kubernetes/admin.conf ;;
esac
"""


@pytest.mark.slow
@pytest.mark.parametrize(("host", "script"), [("kube2.telkom.be", "control-plane"), ("jarvis.telkom.be", "worker")])
def test_machines_join_with_what_the_first_one_gives(trees, box, tmp_path, host, script):
    programs = {name: oracles.program(name) for name in ("kubeadm", "kubectl")}
    if not all(programs.values()):
        pytest.skip(f"not run: {programs}")
    (box.place / "oracles").mkdir()
    for name, path in programs.items():
        shutil.copy(path, box.place / "oracles" / name)
    put_scripts(box, trees["bare-metal"])
    settings = box.place / "etc/kubernetes/kubeadm.yaml"
    settings.parent.mkdir(parents=True)
    shutil.copy(trees["bare-metal"] / f"files/hosts/{host}/etc/kubernetes/kubeadm.yaml", settings)
    (box.place / "cluster-info").write_text(CLUSTER_INFO)
    box.recorder("kubectl", KUBECTL_OF_JOIN)
    box.recorder("kubeadm", KUBEADM_OF_JOIN)
    box.recorder("systemctl", "true\n")
    without = box.run(f"/scripts/{script}.sh", host, check=False)
    assert without.returncode != 0 and "no way in" in without.stderr
    way_in = tmp_path / "way-in.tar"
    command = ["chroot", str(box.place), "/scripts/join-material.sh", script]
    path = {"PATH": "/recorders:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    with way_in.open("wb") as out:
        subprocess.run(command, stdout=out, env=path, timeout=BOUND_S, check=True)
    assert list((box.place / "tmp").iterdir()) == [], "a secret was left behind"
    join = box.place / "run/tidegate/join"
    join.mkdir(parents=True)
    run("tar", "--extract", f"--file={way_in}", f"--directory={join}")
    kubeconfig = yaml.safe_load((join / "discovery.conf").read_text())
    assert kubeconfig["current-context"] == "join"
    assert kubeconfig["users"] == [{"name": "join", "user": {"token": "abcdef.0123456789abcdef"}}]
    box.recorded()
    box.run(f"/scripts/{script}.sh", host)
    asked = box.recorded()
    judged = next(i for i, line in enumerate(asked) if line.startswith("kubeadm config validate"))
    assert asked[judged + 1].startswith("kubeadm join --config"), "what was judged is what is used"
    joined = documents(box.place / "joined.yaml")["JoinConfiguration"]
    assert joined["nodeRegistration"]["name"] == host
    assert joined["discovery"] == {"file": {"kubeConfigPath": "/run/tidegate/join/discovery.conf"}}
    if script == "control-plane":
        assert joined["controlPlane"]["certificateKey"] == f"{7:064d}"
        assert joined["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == "192.168.1.32"
    assert not join.exists(), "the way in is gone"
    once = box.state()
    box.run(f"/scripts/{script}.sh", host)
    assert box.state() == once
    assert [line for line in box.recorded() if line.startswith("kubeadm join")] == []


@pytest.mark.slow
def test_failed_scripts_leave_nothing_behind(trees, box):
    put_scripts(box, trees["bare-metal"])
    call_itself(box, "ubuntu", "22.04")
    box.recorder("curl", 'while [ "$1" != --output ]; do shift; done\necho no key >"$2"\n')
    assert box.run("/scripts/kubernetes.sh", "kube1.telkom.be", check=False).returncode != 0
    assert list((box.place / "tmp").iterdir()) == []
    # The file beside the one that is replaced, when the disk is full or the target cannot be moved to.
    target = box.place / "etc/haproxy/haproxy.cfg"
    target.unlink()
    target.mkdir()
    (target / "in-the-way").write_text("")
    before = sorted(target.parent.iterdir())
    box.run("/scripts/load-balancer.sh", "lb.telkom.be", check=False)
    assert sorted(target.parent.iterdir()) == before
    assert list((box.place / "tmp").iterdir()) == []


@pytest.mark.slow
def test_k3s_is_refused_when_its_digest_differs(trees, box):
    put_scripts(box, trees["webui-k3s"])
    shutil.copytree(trees["webui-k3s"] / "files/server", box.place, dirs_exist_ok=True)
    binary = "#!/bin/sh\\necho k3s version v1.35.8+k3s1\\n"
    box.recorder(
        "curl",
        'while [ $# -gt 2 ]; do [ "$1" = --output ] && out=$2; shift; done\n'
        f"case $2 in *sums|*txt) printf '{'0' * 64}  k3s\\n' >\"$out\";; *) printf '{binary}' >\"$out\";; esac\n",
    )
    box.recorder("systemctl", "true\n")
    box.recorder("uname", "echo x86_64\n")
    refused = box.run("/scripts/k3s.sh", "node1", check=False)
    assert refused.returncode != 0 and "not what its release says" in refused.stderr
    assert not (box.place / "usr/local/bin/k3s").exists()
    digest = hashlib.sha256(b"#!/bin/sh\necho k3s version v1.35.8+k3s1\n").hexdigest()
    box.run("/scripts/k3s.sh", "node1", env={"INSTALL_K3S_SHA256": digest})
    token = box.place / "etc/rancher/k3s/token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600 and len(token.read_text()) == 64
    once = box.state()
    box.recorded()
    box.run("/scripts/k3s.sh", "node1", env={"INSTALL_K3S_SHA256": digest})
    assert box.state() == once
    assert [line for line in box.recorded() if line.startswith("curl")] == []


@pytest.mark.slow
def test_copies_of_sqlite_are_good_and_few(trees, box):
    shutil.copytree(trees["webui-k3s"] / "files/server", box.place, dirs_exist_ok=True)
    (box.place / "usr/local/sbin/upload-copy").unlink()
    data = box.place / "var/lib/rancher/k3s/server"
    for name in ("db", "tls", "cred"):
        (data / name).mkdir(parents=True, exist_ok=True)
    (data / "token").write_text("t")
    box.run("sqlite3", "/var/lib/rancher/k3s/server/db/state.db", "create table kine(a); insert into kine values (7);")
    old = box.place / "var/backups/k3s"
    old.mkdir(parents=True)
    for i in range(40):
        (old / f"k3s-20200101T0000{i:02}Z.tar.gz").write_text("")
    box.run("/usr/local/sbin/k3s-copy")
    kept = sorted(old.glob("*.tar.gz"))
    assert len(kept) == 28
    with tarfile.open(kept[-1]) as tar:
        assert {"./state.db", "token", "tls", "cred"} <= set(tar.getnames())
        (box.place / "copy.db").write_bytes(tar.extractfile("./state.db").read())
    assert box.run("sqlite3", "/copy.db", "select a from kine").stdout.strip() == "7"
    assert stat.S_IMODE(kept[-1].stat().st_mode) == 0o600


def certificates(place: pathlib.Path) -> None:
    """An authority and one certificate for etcd, as kubeadm lays them out."""
    place.mkdir(parents=True)
    new = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    run("openssl", "req", "-x509", *new, "-subj", "/CN=etcd-ca", "-keyout", place / "ca.key", "-out", place / "ca.crt")
    run("openssl", "req", *new[:3], "-subj", "/CN=n", "-keyout", place / "server.key", "-out", place / "server.csr")
    (place / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    run(
        *("openssl", "x509", "-req", "-days", "2", "-in", place / "server.csr", "-out", place / "server.crt"),
        *("-CA", place / "ca.crt", "-CAkey", place / "ca.key", "-CAcreateserial", "-extfile", place / "names"),
    )


@pytest.mark.slow
def test_snapshots_of_a_real_etcd_are_good_and_few(trees, box):
    shutil.copytree(trees["bare-metal"] / "files/control-plane", box.place, dirs_exist_ok=True)
    (box.place / "usr/local/sbin/upload-copy").unlink()
    pki = box.place / "etc/kubernetes/pki/etcd"
    certificates(pki)
    (box.place / "etc/kubernetes/encryption").mkdir()
    (box.place / "etc/kubernetes/encryption/config.yaml").write_text("k\n")
    inside = pathlib.Path("/etc/kubernetes/pki/etcd")
    flags = [f"--{a}={inside / b}" for a, b in (("cert-file", "server.crt"), ("key-file", "server.key"))]
    peer = "http://127.0.0.1:2380"
    # In a network of its own the usual ports are free.
    command = ["unshare", "--net", "--fork", "--kill-child", "chroot", box.place, "/bin/bash", "-c"]
    text = f"""
        ip link set lo up
        etcd --data-dir /var/lib/etcd --log-level error --listen-client-urls https://127.0.0.1:2379 \\
          --advertise-client-urls https://127.0.0.1:2379 --listen-peer-urls {peer} \\
          --initial-advertise-peer-urls {peer} --initial-cluster default={peer} --trusted-ca-file {inside}/ca.crt --client-cert-auth {" ".join(flags)} &
        export ETCDCTL_API=3 PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
        ask() {{ etcdctl --endpoints=https://127.0.0.1:2379 --cacert={inside}/ca.crt --cert={inside}/server.crt --key={inside}/server.key "$@"; }}
        for i in $(seq 60); do ask --command-timeout=1s endpoint health >/dev/null 2>&1 && break; sleep 0.5; done
        ask put a 7 && etcd-snapshot && etcd-snapshot && etcd-defragment; result=$?
        kill %1; wait; exit $result
    """
    old = box.place / "var/backups/etcd"
    old.mkdir(parents=True)
    for i in range(40):
        (old / f"etcd-20200101T0000{i:02}Z.db").write_text("")
    run(*command, text)
    kept = sorted(old.glob("*.db"))
    assert len(kept) == 28 and stat.S_IMODE(kept[-1].stat().st_mode) == 0o600
    status = box.run("etcdctl", "snapshot", "status", f"/var/backups/etcd/{kept[-1].name}", "-w", "json")
    assert json.loads(status.stdout)["totalKey"] >= 1
    with tarfile.open(sorted(old.glob("*.keys.tar.gz"))[-1]) as tar:
        assert {"pki/etcd/ca.key", "encryption/config.yaml"} <= set(tar.getnames())


ETCD_YAML = """apiVersion: v1
kind: Pod
metadata:
  name: etcd
spec:
  containers:
  - command:
    - etcd
    image: registry.k8s.io/etcd:3.6.6-0
"""
# Stand-ins: `ip` knows the second control plane; etcd ends at the third look; the image is pulled, and its program
# writes what the real one would.
STANDINS = {
    "ip": "echo '2: eth0    inet 192.168.1.32/24 scope global eth0'",
    "sleep": ":",
    "crictl": """echo "crictl $*" >>"$HERE/asked"; n=$(cat "$HERE/left"); echo $((n - 1)) >"$HERE/left"
[ "$n" -le 0 ] || echo 0123456789ab""",
    "ctr": """echo "ctr $*" >>"$HERE/asked"
for word; do case $word in type=bind,src=*) place=${word#type=bind,src=}; place=${place%%,*} ;; esac; done
case "$*" in *" run "*) cmp -s "$place/snapshot.db" "$HERE/etcd.db" && [ ! -e "$HERE/broken" ] &&
  mkdir -p "$place/data/member" && cp "$HERE/etcd.db" "$place/data/member/db" ;; esac""",
}


@pytest.fixture
def restore(trees, tmp_path):
    """restore("stop") runs the program of a control plane among stand-ins; .tree is its root."""
    bin_dir, etc, data = tmp_path / "bin", tmp_path / "kubernetes", tmp_path / "etcd"
    bin_dir.mkdir()
    for name, body in STANDINS.items():
        (bin_dir / name).write_text(f"#!/bin/sh\n{body}\n")
        (bin_dir / name).chmod(0o755)
    (etc / "manifests").mkdir(parents=True)
    (etc / "manifests/etcd.yaml").write_text(ETCD_YAML)
    (etc / "pki/etcd").mkdir(parents=True)
    (etc / "pki/etcd/ca.crt").write_text("")
    (data / "member").mkdir(parents=True)
    (data / "member/db").write_text("old")
    (tmp_path / "etcd.db").write_text("snapshot")
    (tmp_path / "left").write_text("2")
    program = trees["bare-metal"] / "files/control-plane/usr/local/sbin/etcd-restore"

    def call(*words: str, path: str = f"{bin_dir}:{os.environ['PATH']}") -> subprocess.CompletedProcess:
        env = {"PATH": path, "HERE": str(tmp_path), "KUBERNETES": str(etc), "ETCD_DATA": str(data)}
        return run("bash", program, *words, check=False, env=env)

    call.tree = tmp_path
    return call


def test_a_snapshot_takes_the_place_of_lost_members(restore):
    """Without a program of etcd on the machine: it comes from the image of etcd's own pod."""
    tree = restore.tree
    stopped = restore("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert not (tree / "kubernetes/manifests").exists()
    done = restore(str(tree / "etcd.db"))
    assert done.returncode == 0, done.stderr
    assert (tree / "etcd/member/db").read_text() == "snapshot"
    [old] = tree.glob("etcd.old-*")
    assert (old / "member/db").read_text() == "old"
    assert (tree / "kubernetes/manifests/etcd.yaml").exists() and not (tree / "etcd.restore").exists()
    asked = (tree / "asked").read_text()
    assert asked.index("crictl ps") < asked.index("ctr --namespace k8s.io images pull registry.k8s.io/etcd:3.6.6-0")
    [line] = [x for x in asked.splitlines() if "snapshot restore" in x]
    members = [f"kube{n}.telkom.be=https://192.168.1.3{n}:2380" for n in (1, 2, 3)]
    assert "--rm --mount type=bind" in line and " registry.k8s.io/etcd:3.6.6-0 " in line
    assert sorted(re.search(r"--initial-cluster (\S+)", line)[1].split(",")) == members
    assert "--name kube2.telkom.be " in line and "--initial-advertise-peer-urls https://192.168.1.32:2380 " in line
    assert line.endswith("--bump-revision 1000000000 --mark-compacted")


def test_a_snapshot_that_cannot_be_read_changes_nothing(restore):
    tree = restore.tree
    (tree / "broken").touch()
    assert restore(str(tree / "etcd.db")).returncode != 0
    assert (tree / "etcd/member/db").read_text() == "old"
    assert restore(str(tree / "nothing.db")).returncode != 0
    (tree / "left").write_text("1000")
    assert "has not ended" in restore("stop").stderr


@pytest.mark.slow
def test_timers_and_units_are_what_systemd_takes(tree, box):
    units = [p for p in tree.rglob("*") if p.suffix in (".service", ".timer") and "systemd/system" in str(p)]
    assert units
    for unit in units:
        shutil.copy(unit, box.place / "etc/systemd/system" / unit.name)
        for line in unit.read_text().splitlines():
            if line.startswith("OnCalendar="):
                box.run("systemd-analyze", "calendar", line.removeprefix("OnCalendar="))
            if line.startswith("ExecStart=/usr/local"):
                program = box.place / line.removeprefix("ExecStart=/").split()[0]
                program.parent.mkdir(parents=True, exist_ok=True)
                program.write_text("#!/bin/sh\n")
                program.chmod(0o755)
    for unit in units:
        verified = box.run("systemd-analyze", "verify", "--man=no", f"/etc/systemd/system/{unit.name}", check=False)
        assert unit.name not in verified.stderr, verified.stderr
