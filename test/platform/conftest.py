"""Rendered trees for the tests: each example, alone and with the variants that change it."""

from __future__ import annotations

import functools
import pathlib
import subprocess

import pytest
from lib.hosts import archive, box, host_tree, trees  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Platforms whose every part renders; the others are decoded and checked, and render once their parts are there.
EXAMPLES = (
    "smallest",
    "webui-k3s",
    "bare-metal",
    "analytics-hub",
    "otc-training",
    "saas-aws",
    "self-scaling",
)
# The same with overlays of examples/variants.
VARIANTS = (
    "analytics-hub+google",
    "analytics-hub+azure",
    "analytics-hub+ingress-nginx",
    "analytics-hub+own-ca",
    "analytics-hub+self-signed",
    "analytics-hub+vertical",
    "webui-k3s+existing",
    "self-scaling+apps-existing",
    "self-scaling+tidegate-serving",
    "saas-aws+karpenter",
    "otc-training+elasticsearch",
    "otc-training+cce-monitoring",
    "otc-training+training-deployment",
    "bare-metal+kubeflow",
    "bare-metal+two-load-balancers",
)
TREES = EXAMPLES + VARIANTS


def documents(tree: str) -> list[str]:
    example, *more = tree.split("+")
    return [f"examples/{example}.yaml", *(f"examples/variants/{m}.yaml" for m in more)]


def run(binary, words: list[str], folder: pathlib.Path, **more) -> subprocess.CompletedProcess:
    """A word of the program, in this folder."""
    return subprocess.run(
        [binary, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )


@pytest.fixture(scope="session")
def rendered(binary, tmp_path_factory):
    """rendered("webui-k3s") is the folder of its tree; each is rendered once."""

    @functools.cache
    def render(tree: str) -> pathlib.Path:
        out = tmp_path_factory.mktemp(tree.replace("+", "-"))
        flags = [argument for document in documents(tree) for argument in ("-f", str(ROOT / document))]
        done = subprocess.run(
            [binary, "render", *flags, "-o", out], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return out

    return render
