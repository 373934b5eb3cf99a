"""The platform that makes its own cluster: what Fleet gets, what LiteLLM reads, what the script does."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest
import yaml
from lib import kube_facts, oracles

TREE = "self-scaling"
APPS = "self-scaling+apps-existing"
CHART = "components/85-gitops/llm-stack"


def templates(folder: pathlib.Path) -> dict[str, list[dict]]:
    """Conditions stand in comments, so a template is YAML before Helm has seen it."""
    return {
        p.name: kube_facts.parse(p.read_text(encoding="utf-8"))
        for p in sorted((folder / CHART / "templates").glob("*.yaml"))
    }


def delivered(folder: pathlib.Path) -> list[dict]:
    return [o for objects in templates(folder).values() for o in objects if o["kind"] in ("Bundle", "HelmOp")]


def test_api_server_takes_the_chart(rendered, api_server):
    everything = [o for objects in templates(rendered(TREE)).values() for o in objects]
    assert {o["kind"] for o in everything} >= {"ClusterClass", "KubeadmControlPlaneTemplate", "Bundle", "HelmOp"}
    refused = [str(r) for r in api_server.dry_run(everything, namespaces=("default",)) if not r.warning]
    assert refused == []


@pytest.mark.parametrize("tree", [TREE, APPS])
def test_fleet_gets_what_the_folders_hold(tree, rendered):
    folder = rendered(tree)
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    files, charts = {}, {}
    for phase in plan["phases"]:
        if phase.get("deliveredBy") != "fleet":
            continue
        for step in phase["steps"]:
            if step["kind"] == "manifests":
                files[pathlib.Path(step["path"]).name, phase["name"]] = folder / step["path"]
            if step["kind"] == "helm":
                charts[step["release"]] = step
    bundles = [o for o in delivered(folder) if o["kind"] == "Bundle"]
    held = {
        (r["name"], b["metadata"]["labels"]["app.kubernetes.io/component"]): r["content"]
        for b in bundles
        for r in b["spec"]["resources"]
    }
    assert held.keys() == files.keys()
    for key, path in files.items():
        assert kube_facts.parse(held[key]) == kube_facts.parse(path.read_text(encoding="utf-8"))
    operations = {o["metadata"]["name"]: o["spec"] for o in delivered(folder) if o["kind"] == "HelmOp"}
    assert operations.keys() == charts.keys()
    for name, step in charts.items():
        assert operations[name]["helm"]["version"] == step["version"]
        assert operations[name]["namespace"] == step["namespace"]
        assert operations[name]["helm"]["values"] == yaml.safe_load(
            (folder / step["values"]).read_text(encoding="utf-8")
        )


@pytest.mark.parametrize("tree", [TREE, APPS])
def test_bundles_wait_for_bundles_that_are_there(tree, rendered):
    waits = {
        o["metadata"]["name"]: [d["name"] for d in o["spec"].get("dependsOn", [])] for o in delivered(rendered(tree))
    }
    done: set[str] = set()
    while ready := [n for n, before in waits.items() if n not in done and done.issuperset(before)]:
        done.update(ready)
    assert done == set(waits)
    assert waits["namespaces"] == []
    assert waits["litellm"] == ["litellm-config"]


@pytest.mark.parametrize("tree", [TREE, APPS])
def test_bundles_are_small_enough_for_etcd(tree, rendered):
    for path in (rendered(tree) / CHART / "templates").glob("*.yaml"):
        assert path.stat().st_size < 900 * 1024


def test_chart_has_both_branches(rendered, tmp_path):
    oracles.need(oracles.helm_lint, oracles.helm_template)
    chart = rendered(TREE) / CHART
    kinds = {}
    for provider in ("docker", "apps"):
        values = tmp_path / f"{provider}.yaml"
        values.write_text(f"provider: {provider}\n", encoding="utf-8")
        assert oracles.errors(oracles.helm_lint.check(chart, values=[values])) == []
        kinds[provider] = {
            (o["kind"], o["metadata"]["name"]) for o in oracles.helm_template.objects(chart, values=[values])
        }
    assert kinds["apps"] < kinds["docker"]
    assert {k for k, _ in kinds["apps"]} == {"Bundle", "HelmOp"}
    assert "ClusterClass" in {k for k, _ in kinds["docker"]}


def test_litellm_reads_its_configuration(rendered, tmp_path):
    oracles.need(oracles.litellm)
    folder = rendered(TREE) / "components/50-serving"
    (config,) = kube_facts.parse((folder / "litellm-config.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "config.yaml"
    path.write_text(config["data"]["config.yaml"], encoding="utf-8")
    assert oracles.errors(oracles.litellm.check(path)) == []
    services = {
        f"http://{o['metadata']['name']}.{o['metadata']['namespace']}.svc.cluster.local"
        for o in kube_facts.parse((folder / "ollama.yaml").read_text(encoding="utf-8"))
    }
    asked = {m["litellm_params"]["api_base"] for m in yaml.safe_load(config["data"]["config.yaml"])["model_list"]}
    assert services <= asked
    assert {a for a in asked if ".svc." in a} <= services


def test_rancher_patches_build(rendered):
    kubectl = oracles.program("kubectl")
    if kubectl is None:
        pytest.skip("not run: kubectl: tools/oracles.sh kubernetes builds it")
    folder = rendered(TREE) / "infrastructure/manifests/infra/rancher"
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert {o["metadata"]["name"] for o in kube_facts.parse(done.stdout)} >= {"server-url", "agent-tls-mode"}


FAKE = r"""#!/bin/bash
# Answers as the real one does, writes down how it was called, and keeps what it made in $STATE.
name=${0##*/}
printf '%s %s\n' "$name" "$*" >>"$STATE/calls"
case "$name $*" in
  "kind get clusters") cat "$STATE/clusters" 2>/dev/null ;;
  "kind create cluster --name "*) echo "$4" >>"$STATE/clusters" ;;
  "kubectl version"*) printf '{"clientVersion": {\n"minor": "35"}}\n' ;;
  "kubectl kustomize "*) cat "$2"/*.yaml ;;
  "docker port "*) echo 0.0.0.0:34567 ;;
  "helm template "*) printf 'apiVersion: v1\nkind: List\nitems: []\n' ;;
  *"create secret generic "*) for a; do [[ $a != --from-file=* ]] || folder=${a#*=}; done
    for f in "$folder"/*; do printf '%s=%s\n' "${f##*/}" "$(<"$f")"; done >>"$STATE/secrets"; set -- "$@"; echo "$*" | sed -E 's/.*--namespace ([^ ]+) create secret generic ([^ ]+).*/\1 \2/' >>"$STATE/made" ;;
  *"get secret"*"-kubeconfig --output"*) printf 'apiVersion: v1\n' | base64 ;;
  *"get secret"*"--output"*) printf sk-copied | base64 ;;
  *"get secret "*-kubeconfig*) ;;
  *"get secret "*) echo "$*" | sed -E 's/.*--namespace ([^ ]+) get secret ([^ ]+).*/\1 \2/' | grep --quiet --line-regexp --file - "$STATE/made" 2>/dev/null || exit 1 ;;
  *"apply "*"-filename -"*) cat >/dev/null ;;
esac
"""


@pytest.fixture
def machine(tmp_path, rendered):
    """Runs deploy_infra.sh of a copy of the tree with programs that only pretend."""
    tree, tools, state = tmp_path / "tree", tmp_path / "bin", tmp_path / "state"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    subprocess.run(["cp", "-r", rendered(TREE), tree], check=True)
    tools.mkdir()
    state.mkdir()
    for name in ("docker", "kind", "kubectl", "helm"):
        (tools / name).write_text(FAKE, encoding="utf-8")
        (tools / name).chmod(0o755)

    def deploy(*phases: str, **variables: str):
        (state / "calls").write_text("", encoding="utf-8")
        env = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "STATE": str(state),
            "TMPDIR": str(scratch),
            "NGROK_API_KEY": "ngrok-key-of-the-test",
            "NGROK_AUTHTOKEN": "ngrok-token-of-the-test",
            "RANCHER_HOSTNAME": "rancher.example.com",
        } | variables
        done = subprocess.run(
            [tree / "infrastructure/deploy_infra.sh", *phases],
            env={k: v for k, v in env.items() if v}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert list(scratch.iterdir()) == [], "however it ended, no secret is left behind"
        return done, (state / "calls").read_text(encoding="utf-8").splitlines()

    deploy.state = state
    return deploy


def order(calls: list[str], *parts: str) -> list[int]:
    return [next((i for i, c in enumerate(calls) if p in c), -1) for p in parts]


def test_script_runs_its_phases_in_order_and_again(machine):
    done, calls = machine()
    assert done.returncode == 0, done.stdout + done.stderr
    places = order(
        calls,
        "kind create cluster --name llm-rancher",
        "upgrade --install cert-manager",
        "upgrade --install ngrok-operator",
        "upgrade --install rancher rancher",
        "upgrade --install rancher-turtles-providers",
        "capi-providers.yaml",
        "upgrade --install llm-stack",
        "create configmap calico",
        "capi-cluster.yaml",
        "helm template definitions crd.projectcalico.org.v1",
        "cluster-autoscaler.yaml",
        "create secret generic litellm-master-key",
        "wait bundles",
    )
    assert -1 not in places
    assert places == sorted(places)
    first = (machine.state / "secrets").read_text(encoding="utf-8")
    assert "\nkey=sk-" in first
    again, calls = machine()
    assert again.returncode == 0, again.stderr
    assert not [c for c in calls if c.startswith("kind create")]
    assert not [c for c in calls if "create secret generic litellm-master-key" in c]


def test_script_shows_no_secret_to_other_users(machine):
    _, calls = machine()
    assert [c for c in calls if "of-the-test" in c or "sk-" in c] == []
    assert "ngrok-token-of-the-test" in (machine.state / "secrets").read_text(encoding="utf-8")


def test_script_that_fails_in_the_middle_leaves_no_secret(machine):
    for program in ("kubectl", "helm"):
        fake = machine.state.parent / "bin" / program
        fake.write_text(
            fake.read_text(encoding="utf-8").replace(
                'case "$name $*" in', 'case "$name $*" in\n  *"create secret generic"*|"helm template "*) exit 1 ;;', 1
            ),
            encoding="utf-8",
        )
    done, _ = machine()
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"NGROK_AUTHTOKEN": ""}, "NGROK_AUTHTOKEN is not set"),
        ({"RANCHER_HOSTNAME": "https://rancher.example.com/"}, "is not a host name"),
        ({"CLUSTER_NAME": "Not_A_Name"}, "cannot be the name of a cluster"),
    ],
)
def test_script_refuses_before_it_changes_anything(machine, variables, words):
    done, calls = machine(**variables)
    assert done.returncode == 1
    assert words in done.stderr
    assert not [c for c in calls if c.startswith(("helm", "kind create"))]


def test_script_takes_the_names_of_the_environment(machine):
    _, calls = machine(CLUSTER_NAME="other", RANCHER_VERSION="v2.15.3")
    assert any(c.startswith("kind create cluster --name other ") for c in calls)
    assert any(
        "--install rancher rancher" in c and "--version 2.15.3" in c and "hostname=rancher.example.com" in c
        for c in calls
    )
