"""The order of a plan: what every tree must have before what, worked out from plan.json alone."""

from __future__ import annotations

import graphlib
import json

import pytest
from conftest import TREES

pytestmark = pytest.mark.parametrize("tree", TREES)


@pytest.fixture
def phases(tree, rendered) -> dict[str, dict]:
    plan = json.loads((rendered(tree) / "plan.json").read_text(encoding="utf-8"))
    found = {p["name"]: p for p in plan["phases"]}
    assert len(found) == len(plan["phases"]), "two phases have one name"
    return found


def before(phases: dict[str, dict], name: str) -> set[str]:
    """Every phase that is done before this one."""
    out: set[str] = set()
    left = list(phases[name]["after"])
    while left:
        at = left.pop()
        if at not in out:
            out.add(at)
            left += phases[at]["after"]
    return out


def test_order_exists(phases):
    graph = {name: set(p["after"]) for name, p in phases.items()}
    assert {a for after in graph.values() for a in after} <= set(phases), "a phase waits for one that is not there"
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(phases)


def test_namespaces_and_their_denial_come_first(phases):
    infrastructure = {n for n, p in phases.items() if p["folder"] == "infrastructure" and p["steps"]}
    if "namespaces" not in phases:
        return
    assert {n for n in infrastructure if "namespaces" not in before(phases, n)} <= before(phases, "namespaces")
    for name, phase in phases.items():
        if phase["folder"].startswith(("components/", "workloads/")) and name != "namespaces" and phase["steps"]:
            assert "namespaces" in before(phases, name), name


def test_kinds_of_monitors_are_there_before_monitors(phases, tree, rendered):
    if "monitoring-crds" not in phases:
        return
    for name, phase in phases.items():
        for step in phase["steps"]:
            if step["kind"] != "manifests":
                continue
            text = (rendered(tree) / step["path"]).read_text(encoding="utf-8")
            if "apiVersion: monitoring.coreos.com/" in text:
                assert "monitoring-crds" in before(phases, name), step["path"]
