"""Files of own machines, judged by the programs that will read them. Their scripts: test_host_*.py."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import re
import shutil
import ssl
import stat
import subprocess
import tomllib
import urllib.error
import urllib.request

import pytest
import yaml
from lib import kube
from lib.hosts import EXAMPLES, documents, need, run
from lib.wait import until


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


def test_programs_are_executable_and_clean(host_tree):
    shellcheck = need("shellcheck")
    for path in [*programs_of(host_tree), host_tree / "lib.sh", host_tree / "inventory.sh"]:
        if path.read_bytes()[:2] == b"#!":
            assert path.stat().st_mode & stat.S_IXUSR, path
            assert "set -euo pipefail" in path.read_text(), path
        ended = run(shellcheck, "--severity=style", path, check=False)
        assert ended.returncode == 0, ended.stdout


def test_nothing_is_piped_from_the_network_into_a_shell(host_tree):
    for path in programs_of(host_tree):
        for line in path.read_text().splitlines():
            code = line.split("#")[0]
            assert not (("curl" in code or "fetch " in code) and "| sh" in code.replace("| bash", "| sh")), line


def test_every_step_has_its_hosts_and_every_program_its_step(host_tree):
    """run.sh knows each step of the plan, each program of the folder is run by one of them, no host is left out."""
    plan = json.loads((host_tree.parent / "plan.json").read_text())
    (phase,) = [p for p in plan["phases"] if p["folder"] == "infrastructure"]
    run_sh = (host_tree / "run.sh").read_text()
    targets = {s["what"]: s["where"].split(",") for s in phase["steps"] if s.get("what", "").startswith("run.sh ")}
    for what in targets:
        name = what.removeprefix("run.sh ")
        assert re.search(rf"(?m)^\s*(?:step {name} |if asked {name};|.*\*\" {name} \"\*)", run_sh), name
    hosts = {h["name"] for h in yaml.safe_load((host_tree / "inventory.yaml").read_text())["hosts"]}
    assert set(targets["run.sh prepare"]) == hosts
    assert {h for where in targets.values() for h in where} == hosts
    for path in host_tree.glob("*.sh"):
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


def test_audit_never_holds_the_content_of_a_secret(host_tree):
    (path,) = [p for p in host_tree.rglob("*.yaml") if "audit" in str(p.relative_to(host_tree))]
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
