"""Scripts of own machines, run twice in a throw-away root: the second run changes nothing."""

from __future__ import annotations

import hashlib
import shutil
import stat

import pytest
from lib.hosts import call_itself, put_scripts


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
