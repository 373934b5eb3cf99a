"""Which llama-server the tests run: $LLAMA_SERVER, else the one on PATH, else the wrapper that `./dev up` makes."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STATE = ROOT / ".tidegate"
GEMMA = STATE / "weights" / "gemma-3-270m-q4_k_m.gguf"
NONE = "not run: no llama-server ($LLAMA_SERVER, PATH, or the one that ./dev up installs)"


def find() -> str | None:
    given = os.environ.get("LLAMA_SERVER")
    if given:
        return given
    return shutil.which("llama-server") or (str(STATE / "llama-server") if (STATE / "llama-server").exists() else None)


def works(command: str) -> str:
    """Empty, or why it does not start."""
    try:
        done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    return "" if done.returncode == 0 else (done.stderr + done.stdout).strip()[-300:]


def folder_for_weights(command: str) -> tempfile.TemporaryDirectory:
    """The wrapper's root shows only the weights below .tidegate/, under their own path."""
    inside = STATE / "weights" if command == str(STATE / "llama-server") else None
    return tempfile.TemporaryDirectory(prefix="e2e-", dir=inside)
