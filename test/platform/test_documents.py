"""How long the documents are: each platform is one document, and what changes it is an overlay of a few lines."""

from __future__ import annotations

import pytest
import yaml
from conftest import EXAMPLES, ROOT, VARIANTS

WIDEST = 250  # a line is no place to hide many


def lines_of(path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= WIDEST, f"{path.name} is crowded"
    return lines


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_platform_is_one_document_of_under_120_lines(name):
    path = ROOT / f"examples/{name}.yaml"
    assert len(lines_of(path)) < (15 if name == "smallest" else 120)
    kinds = [d["kind"] for d in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    assert kinds.count("Platform") == 1


@pytest.mark.parametrize("path", sorted((ROOT / "examples/variants").glob("*.yaml")), ids=lambda p: p.stem)
def test_an_overlay_is_under_ten_lines_and_rendered(path):
    lines = lines_of(path)
    assert len(lines) < 10
    head, _, what = lines[0].partition(": ")
    assert f"{head.removeprefix('# over ')}+{path.stem}" in VARIANTS, "no test renders it"
    assert what, "it does not say what it is for"
    assert all(d["kind"] for d in yaml.safe_load_all("\n".join(lines)))
