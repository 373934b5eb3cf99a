"""The runbook and the plan say what the tree holds: nothing is missing in them, and nothing comes too early."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from conftest import ROOT, TREES, documents
from lib import kube_facts

pytestmark = pytest.mark.parametrize("tree", TREES)


@pytest.fixture
def book(tree, rendered) -> str:
    return (rendered(tree) / "RUNBOOK.md").read_text(encoding="utf-8")


@pytest.fixture
def plan(tree, rendered) -> dict:
    return json.loads((rendered(tree) / "plan.json").read_text(encoding="utf-8"))


def objects_of(folder, phase: dict) -> list[dict]:
    paths = [folder / s["path"] for s in phase["steps"] if s["kind"] == "manifests"]
    return [o for path in paths for o in kube_facts.parse(path.read_text(encoding="utf-8"))]


def test_runbook_names_what_is_there(tree, rendered, book, plan):
    """Every part, every chart with its release, every Secret, and what to do for every alert of our own."""
    for phase in plan["phases"]:
        assert f"| {phase['name']} | `{phase['folder']}` |" in book
        for step in phase["steps"]:
            if step["kind"] == "helm":
                assert f"{step['chart']} {step['version']}" in book
    for secret in plan["secrets"]:
        assert f"| {secret['namespace']}/{secret['name']} |" in book
    for path in rendered(tree).glob("components/42-alerts/rules/*.yaml"):
        for rule in kube_facts.parse(path.read_text(encoding="utf-8")):
            for alert in (r["alert"] for g in rule["spec"]["groups"] for r in g["rules"] if "alert" in r):
                text = re.search(rf"(?m)^### Alert {alert}\n((?:(?!^#).+\n)+)", book)
                assert text and len(text[1]) > 20, alert
    titles = re.findall(r"(?m)^(?:## (.+)|### (.+))$", re.sub(r"(?s)```.*?```", "", book))
    chapter, seen = "", set()
    for head, section in titles:
        chapter = head or chapter
        assert (chapter, section) not in seen or not section, f"{chapter}: {section} stands twice"
        seen.add((chapter, section))


def test_runbook_promises_no_support_that_is_over(book):
    table = (ROOT / "src/catalog/releases.cpp").read_text(encoding="utf-8")
    made = re.search(r'catalog_date\(\) \{ return "(\d{4}-\d\d-\d\d)"', table)
    said = re.search(r"This platform runs \S+ \(support (by the project ended on|ends) (\d{4}-\d\d-\d\d)", book)
    assert made and said
    assert (said[1] == "ends") == (said[2] >= made[1])


def test_runbook_holds_the_document(tree, book):
    """What the user wrote stands there, merged: each name and each value of every document."""
    text = re.search(r"(?s)## The document\n.*?```yaml\n(.*?)```", book)
    assert text
    held = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(text[1])}
    wanted: dict = {}
    for path in documents(tree):
        for d in yaml.safe_load_all((ROOT / path).read_text(encoding="utf-8")):
            key = (d["kind"], d["metadata"]["name"])
            wanted[key] = merged(wanted.get(key, {}), d)
    assert set(wanted) <= set(held)
    for key, document in wanted.items():
        lacking = [p for p in leaves(document["spec"]) if not stands(held[key]["spec"], *p)]
        assert lacking == [], key


def merged(old, new):
    """JSON merge patch: null takes away."""
    if not isinstance(new, dict):
        return new
    old = old if isinstance(old, dict) else {}
    out = {k: v for k, v in old.items() if k not in new}
    return out | {k: merged(old.get(k, {}), v) for k, v in new.items() if v is not None}


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(child, (*path, str(key)))
    else:
        yield path, value


def stands(held, path, value) -> bool:
    for key in path:
        if not isinstance(held, dict) or key not in held:
            return False
        held = held[key]
    # A short form is written out: `logs: loki` is `logs: {use: loki}`, one of many is a list of one.
    whole = [*held, *held.values()] if isinstance(held, dict) else [held]
    return isinstance(value, list) or value in whole or [value] in whole


def test_plan_comes_after_what_it_needs(tree, rendered, plan):
    """A phase stands behind those it names, and whatever lies in a namespace behind the namespaces."""
    folder = rendered(tree)
    names = [p["name"] for p in plan["phases"]]
    assert len(set(names)) == len(names)
    before: dict[str, set[str]] = {}
    for phase in plan["phases"]:
        assert set(phase["after"]) <= set(before), f"{phase['name']} waits for what comes later"
        before[phase["name"]] = set(phase["after"]).union(*(before[n] for n in phase["after"]))
    made = {o["metadata"]["name"] for p in plan["phases"] for o in objects_of(folder, p) if o["kind"] == "Namespace"}
    for phase in plan["phases"]:
        behind = before[phase["name"]]
        kinds = [s["kind"] for s in phase["steps"]]
        assert kinds == sorted(kinds, key=lambda k: k == "wait"), "what is waited for must be there first"
        for o in objects_of(folder, phase):
            where = o["metadata"].get("namespace")
            if where in made and phase["name"] != "namespaces" and phase["folder"] != "infrastructure":
                assert "namespaces" in behind, f"{phase['name']}: {o['kind']} in {where}"
            if o["apiVersion"].startswith("monitoring.coreos.com/") and "monitoring-crds" in names:
                assert "monitoring-crds" in behind, f"{phase['name']}: {o['kind']} {o['metadata']['name']}"
        for step in phase["steps"]:
            inside = phase["folder"] != "infrastructure" and phase["name"] != "network"
            if step["kind"] == "helm" and "network" in names and inside:
                assert "network" in behind, f"pods of {step['release']} have no network"
