"""Every requirement is asserted on a rendered tree, and every assertion can fail."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import subprocess

import pytest
import yaml
from assertions import Assertion, Loader, holds, load, mutants, parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TIDEGATE", str(ROOT / "build/release/src/app/tidegate"))
ROWS = {"S0": 102, "S1": 226, "S2": 39, "S3": 91, "S4": 96}


@functools.cache
def requirements() -> dict:
    return yaml.load((ROOT / "test/coverage/requirements.yaml").read_text(encoding="utf-8"), Loader=Loader)


def assertions_of(row) -> list[Assertion]:
    entries = row if isinstance(row, list) else row.get("assert", [])
    return [parse(e) for e in entries]


@pytest.fixture(scope="session")
def render(tmp_path_factory):
    """Renders a tree once: "webui-k3s", "analytics-hub+google"."""

    @functools.cache
    def rendered(tree: str) -> pathlib.Path:
        example, *variants = tree.split("+")
        out = tmp_path_factory.mktemp(tree.replace("+", "-"))
        files = ["-f", str(ROOT / f"examples/{example}.yaml")]
        for v in variants:
            files += ["-f", str(ROOT / f"examples/variants/{v}.yaml")]
        done = subprocess.run(
            [BINARY, "render", *files, "-o", str(out)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{tree}:\n{done.stderr}"
        return out

    return rendered


@functools.cache
def content(path: pathlib.Path):
    return load(path) if path.is_file() else None


def test_every_row_is_there():
    expected = {f"{seed}-{n:02d}" for seed, count in ROWS.items() for n in range(1, count + 1)}
    assert set(requirements()) == expected


@pytest.mark.parametrize("row", sorted(requirements()))
def test_row(row, render):
    entry = requirements()[row]
    todo = assertions_of(entry)
    if isinstance(entry, dict) and "test" in entry:
        name = entry["test"].split("::")
        source = ROOT / name[0]
        assert source.is_file(), f"{row} names {name[0]}, which is not there"
        if len(name) > 1:
            assert re.search(rf"\b{re.escape(name[-1])}\b", source.read_text(encoding="utf-8")), (
                f"no {name[-1]} in {name[0]}"
            )
    elif isinstance(entry, dict) and "missing" in entry:
        assert not todo, f"{row} is missing and asserted"
        pytest.skip(f"missing: {entry['missing']}")
    else:
        assert todo, f"{row} asserts nothing"
    for a in todo:
        assert holds(content(render(a.tree) / a.file), a), str(a)


@pytest.mark.parametrize("row", sorted(r for r, e in requirements().items() if assertions_of(e)))
def test_mutation(row, render):
    """Drops or changes each asserted value: the assertion goes red."""
    for a in assertions_of(requirements()[row]):
        original = content(render(a.tree) / a.file)
        for what, broken in mutants(original, a):
            assert not holds(broken, a), f"{a} still holds with {what}"
