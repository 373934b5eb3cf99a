"""Tests of own machines: their rendered folders, and a throw-away root to run their scripts in.

The root is Debian 12 with the real packages of prepare.sh, load-balancer.sh and the copies. What no Debian mirror has
(containerd.io, kubelet, kubeadm, kubectl) is asked of recorders that stand in for apt and curl in that root.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess

import pytest
import yaml
from lib import oracles

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
def host_tree(request, trees) -> pathlib.Path:
    return trees[request.param]


def documents(path: pathlib.Path) -> dict[str, dict]:
    return {d["kind"]: d for d in yaml.safe_load_all(path.read_text())}


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
