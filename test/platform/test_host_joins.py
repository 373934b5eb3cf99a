"""The first control plane, and the machines that join it with what it gives them, in a throw-away root."""

from __future__ import annotations

import base64
import shutil
import stat
import subprocess

import pytest
import yaml
from lib import oracles
from lib.hosts import BOUND_S, documents, put_scripts, run

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
