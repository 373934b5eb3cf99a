"""The rules of Kyverno: an API server judges pods by what Kyverno makes of them, and Gatekeeper says the same."""

from __future__ import annotations

import contextlib
import copy
import pathlib
import subprocess

import pytest
import yaml
from conftest import ROOT
from lib import kube_facts, oracles
from lib.wait import until

TREE, OTHER = "otc-training+kyverno", "otc-training"
POLICIES = "components/28-policy/policies.yaml"


def changed(good: dict, change: dict) -> dict:
    """A pod that differs from the good one in its labels, its pod's fields, or its container's."""
    pod = copy.deepcopy(good)
    pod["metadata"]["name"] = "changed"
    pod["metadata"]["labels"] = change.get("labels", pod["metadata"]["labels"])
    pod["spec"].update(change.get("pod", {}))
    pod["spec"]["containers"][0].update(change.get("container", {}))
    return pod


def before(**fields) -> dict:
    """A container that runs before the others, good but for these fields."""
    good = {
        "name": "before",
        "image": "registry.example.com/before:2.0",
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}},
        "securityContext": {"readOnlyRootFilesystem": True},
    }
    return {"pod": {"initContainers": [{**good, **fields}]}}


def image(name: str) -> dict:
    return {"container": {"image": name}}


RULES = {
    "required-labels",
    "allowed-registries",
    "fixed-tags",
    "limits-required",
    "no-privileged-containers",
    "read-only-root",
}
PRIVILEGED = {"privileged": True, "readOnlyRootFilesystem": True}
# A pod, and the rules that it breaks.
CASES = {
    "nothing wrong": ({}, set()),
    "a digest": (image(f"registry.example.com/app@sha256:{'0' * 64}"), set()),
    "no labels": ({"labels": {}}, {"required-labels"}),
    "another label": ({"labels": {"app.kubernetes.io/name": "good", "app": "good"}}, {"required-labels"}),
    "no tag": (image("registry.example.com/app"), {"fixed-tags"}),
    "a port and no tag": (image("registry.example.com:5000/app"), {"allowed-registries", "fixed-tags"}),
    "latest": (image("registry.example.com/app:latest"), {"fixed-tags"}),
    "a name that begins alike": (image("registry.example.com.evil.net/app:1"), {"allowed-registries"}),
    "no resources": ({"container": {"resources": {}}}, {"limits-required"}),
    "no request": ({"container": {"resources": {"limits": {"memory": "1Mi"}}}}, {"limits-required"}),
    "no security context": ({"container": {"securityContext": {}}}, {"read-only-root"}),
    "privileged": ({"container": {"securityContext": PRIVILEGED}}, {"no-privileged-containers"}),
    "a good one before": (before(), set()),
    "no limit before": (before(resources={}), {"limits-required"}),
    "from elsewhere before": (before(image="quay.io/x:1"), {"allowed-registries"}),
    "a privileged one before": (before(securityContext=PRIVILEGED), {"no-privileged-containers"}),
    "everything": (
        {"labels": {}, "container": {"image": "x", "resources": {}, "securityContext": {"privileged": True}}},
        RULES,
    ),
}


def policies_of(folder: pathlib.Path) -> list[dict]:
    return kube_facts.parse((folder / POLICIES).read_text(encoding="utf-8"))


def good_pod(folder: pathlib.Path) -> dict:
    return yaml.safe_load((folder / "components/28-policy/tests/good.yaml").read_text(encoding="utf-8"))


def said_of(api_server, pod: dict) -> dict[str, bool]:
    """Name of each rule of ours that the API server names for a pod -> whether it refuses the pod by it."""
    said = {}
    for r in api_server.dry_run([pod]):
        if "'vpol-" in r.message:
            said[r.message.split("'vpol-", 1)[1].split("'", 1)[0]] = not r.warning
    return said


@contextlib.contextmanager
def judging(api_server, policies: list[dict], good: dict, only_told: bool = False):
    """The rules are made the API server's own, as Kyverno makes them. `only_told`: a server names one rule by which it
    refuses, but all of which it tells. A rule takes effect a moment after it is made, so that is waited for."""
    namespaces = {v for p in policies for v in scope(p)["values"]}
    # Without a level: what the namespaces of the platform refuse themselves is not the question.
    bare = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(namespaces)]
    assert [r for r in api_server.dry_run(bare) if not r.warning] == []
    made = [o for policy in policies for o in kube_facts.admission_policies(policy)]
    for o in made:
        if only_told and "validationActions" in o["spec"]:
            o["spec"]["validationActions"] = ["Warn"]
    everything = changed(good, CASES["everything"][0])
    everything["spec"]["containers"][0]["image"] = "x"
    here = {p["metadata"]["name"] for p in policies if good["metadata"]["namespace"] in scope(p)["values"]}
    told = only_told or all("Deny" not in p["spec"]["validationActions"] for p in policies)

    def in_effect() -> bool:
        said = set(said_of(api_server, everything))
        return said == here if told else bool(said)

    with api_server.holding(made):
        until("the rules take effect", in_effect, 30.0, 0.1)
        yield
    until("the rules are gone", lambda: not said_of(api_server, everything), 30.0, 0.1)


def scope(policy: dict) -> dict:
    (expression,) = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("kubernetes.io/metadata.name", "In")
    return expression


def test_api_server_judges_by_them(rendered, api_server):
    folder = rendered(TREE)
    good = good_pod(folder)
    with judging(api_server, policies_of(folder), good, only_told=True):
        for name, (change, breaks) in CASES.items():
            pod = changed(good, change)
            assert set(said_of(api_server, pod)) == breaks, name
            pod["metadata"]["namespace"] = "default"
            assert said_of(api_server, pod) == {}, f"{name}: judged where nothing of one's own runs"


@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_refuses(rule, rendered, api_server):
    folder = rendered(TREE)
    good = good_pod(folder)
    (policy,) = (p for p in policies_of(folder) if p["metadata"]["name"] == rule)
    bad = yaml.safe_load((folder / f"components/28-policy/tests/bad-{rule}.yaml").read_text(encoding="utf-8"))
    with judging(api_server, [policy], good):
        assert said_of(api_server, bad) == {rule: True}
        assert said_of(api_server, good) == {}


@pytest.mark.parametrize("case", CASES)
def test_gatekeeper_says_the_same(case, rendered, tmp_path):
    oracles.need(oracles.gator)
    folder = rendered(OTHER)
    change, breaks = CASES[case]
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(changed(good_pod(folder), change)), encoding="utf-8")
    more = [folder / f"components/28-policy/{name}.yaml" for name in ("templates", "constraints")]
    rules = {c["kind"]: c["metadata"]["name"] for c in kube_facts.parse(more[1].read_text(encoding="utf-8"))}
    assert {rules[p.message.split(":")[0]] for p in oracles.gator.check(file, more=more)} == breaks


@pytest.fixture
def with_kyverno(binary, tmp_path):
    """with_kyverno("saas-aws", mode="report") is the folder of an example whose rules are Kyverno's."""

    def render(example: str, **policy) -> pathlib.Path:
        source = ROOT / f"examples/{example}.yaml"
        platform = next(yaml.safe_load_all(source.read_text(encoding="utf-8")))
        over = {key: platform[key] for key in ("apiVersion", "kind", "metadata")}
        over["spec"] = {"components": {"policy": {"use": "kyverno", **policy}}}
        file = tmp_path / "over.yaml"
        file.write_text(yaml.safe_dump(over), encoding="utf-8")
        command = [binary, "render", "-f", source, "-f", file, "-o", tmp_path / "tree"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return tmp_path / "tree"

    return render


def test_own_pods_pass(with_kyverno, api_server):
    """A rule that refuses the platform's own programs would stop them at the first restart."""
    folder = with_kyverno("analytics-hub")
    policies = policies_of(folder)
    judged = {v for p in policies for v in scope(p)["values"]}
    objects = [*oracles.objects_of(folder / "workloads"), *oracles.objects_of(folder / "components")]
    pods = [p for p in kube_facts.pods_of(objects) if p["metadata"].get("namespace") in judged]
    assert pods
    with judging(api_server, policies, good_pod(folder), only_told=True):
        for pod in pods:
            for key in ("serviceAccountName", "priorityClassName"):  # what is not there would be refused first
                pod["spec"].pop(key, None)
            assert said_of(api_server, pod) == {}, pod["metadata"]


def test_a_report_refuses_nothing(with_kyverno, api_server):
    folder = with_kyverno("otc-training", mode="report")
    policies, good = policies_of(folder), good_pod(folder)
    assert {p["spec"]["failurePolicy"] for p in policies} == {"Ignore"}
    with judging(api_server, policies, good):
        assert said_of(api_server, changed(good, CASES["everything"][0])) == dict.fromkeys(RULES, False)


def test_people_are_told_and_not_stopped(with_kyverno):
    """In a namespace in which people try things, manners are advice; what is unsafe is refused there too."""
    said = {p["metadata"]["name"]: p for p in policies_of(with_kyverno("bare-metal"))}
    actions = {name: p["spec"]["validationActions"] for name, p in said.items()}
    assert actions["required-labels-advice"] == actions["read-only-root-advice"] == ["Audit", "Warn"]
    assert actions["no-privileged-containers"] == actions["limits-required"] == actions["fixed-tags"] == ["Deny"]
    assert "ai-projects" in scope(said["required-labels-advice"])["values"]
    assert "ai-projects" in scope(said["no-privileged-containers"])["values"]
    assert "no-privileged-containers-advice" not in said
