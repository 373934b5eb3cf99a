"""Copies of the stores of own machines, and the timers that make them, in a throw-away root."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tarfile

import pytest
from lib.hosts import run


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
def test_timers_and_units_are_what_systemd_takes(host_tree, box):
    units = [p for p in host_tree.rglob("*") if p.suffix in (".service", ".timer") and "systemd/system" in str(p)]
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
