"""Restoring etcd of own machines: the program of a control plane, among stand-ins for the machine's own."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from lib.hosts import run

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
