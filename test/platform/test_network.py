"""Who may talk to whom in a rendered tree, worked out from its NetworkPolicies alone."""

from __future__ import annotations

import json

import pytest
from conftest import TREES
from lib import kube_facts

pytestmark = pytest.mark.parametrize("tree", TREES)

PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}
MONITORING = {"kubernetes.io/metadata.name": "monitoring"}


def objects(folder, without: str = "-") -> list[dict]:
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    paths = [s["path"] for p in plan["phases"] for s in p["steps"] if s["kind"] == "manifests"]
    kept = [path for path in paths if not path.startswith(without)]
    return [o for path in kept for o in kube_facts.parse((folder / path).read_text(encoding="utf-8"))]


def policies(everything: list[dict]) -> list[dict]:
    return [o for o in everything if o["kind"] == "NetworkPolicy"]


def selects(policy: dict, labels: dict) -> bool:
    return policy["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()


def test_every_namespace_denies_first(tree, rendered):
    folder = rendered(tree)
    everything = objects(folder)
    denied = {o["metadata"]["namespace"] for o in policies(everything) if o["metadata"]["name"] == "default-deny"}
    made = kube_facts.parse((folder / "components/00-namespaces/namespaces.yaml").read_text(encoding="utf-8"))
    assert {o["metadata"]["name"] for o in made} <= denied


def test_no_policy_opens_a_namespace_to_all(tree, rendered):
    """A way in names who comes, or the ports; only those that users and machines come through are open to all."""
    everybody = ({"namespaceSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}})
    for o in policies(objects(rendered(tree))):
        for rule in o["spec"].get("ingress", []):
            where = f"{o['metadata']['namespace']}/{o['metadata']['name']}"
            wide = not rule.get("from") or any(peer in everybody for peer in rule.get("from", []))
            assert not wide or rule.get("ports"), f"{where} lets everybody in to every port"


def allowed(everything: list[dict], namespace: str, labels: dict, port: int) -> bool:
    for o in policies(everything):
        if o["metadata"]["namespace"] != namespace or not selects(o, labels):
            continue
        for rule in o["spec"].get("ingress", []):
            ports = {p["port"] for p in rule.get("ports", [])}
            if ports and port not in ports:
                continue
            for peer in rule.get("from", []):
                names = peer.get("namespaceSelector", {}).get("matchLabels")
                pods = peer.get("podSelector", {}).get("matchLabels", {})
                if names is not None and names.items() <= MONITORING.items() and pods.items() <= PROMETHEUS.items():
                    return True
    return False


def pods_with(everything: list[dict], namespace: str, labels: dict) -> list[tuple[dict, dict]]:
    """Labels and named ports of the pods of our own manifests; of others only the labels that are asked for."""
    found = []
    for pod in kube_facts.pods_of([o for o in everything if o["metadata"].get("namespace") == namespace]):
        own = pod["metadata"].get("labels", {})
        if labels.items() <= own.items():
            ports = [p for c in pod["spec"]["containers"] for p in c.get("ports", [])]
            found.append((own, {p.get("name"): p["containerPort"] for p in ports}))
    return found or [(labels, {})]


def test_prometheus_reaches_every_monitored_port(tree, rendered):
    """Of what is monitored by objects of the tree, as far as its pods are in the tree or its port is a number."""
    everything = objects(rendered(tree))
    judged = 0
    for o in everything:
        if o["kind"] not in ("PodMonitor", "ServiceMonitor"):
            continue
        labels = o["spec"]["selector"].get("matchLabels", {})
        if o["kind"] == "ServiceMonitor":
            services = [
                s
                for s in everything
                if s["kind"] == "Service" and labels.items() <= s["metadata"].get("labels", {}).items()
            ]
            if not services:
                continue
            labels = services[0]["spec"]["selector"]
        namespace = (o["spec"].get("namespaceSelector", {}).get("matchNames") or [o["metadata"]["namespace"]])[0]
        endpoints = o["spec"].get("podMetricsEndpoints", []) + o["spec"].get("endpoints", [])
        for own, named in pods_with(everything, namespace, labels):
            for endpoint in endpoints:
                port = endpoint.get("portNumber") or named.get(endpoint.get("port"))
                if port is None:
                    continue
                judged += 1
                name = f"{o['kind']} {namespace}/{o['metadata']['name']}"
                assert allowed(everything, namespace, own, port), f"{name}: no policy lets Prometheus in to {port}"
    if tree.startswith("analytics-hub"):
        assert judged >= 2


def test_prometheus_may_leave_where_pods_let_it_in(tree, rendered):
    """An edge has two ends: what lets Prometheus in is among the ways that Prometheus may take out."""
    everything = objects(rendered(tree))
    ways = [
        rule
        for o in policies(everything)
        if o["metadata"]["namespace"] == "monitoring" and selects(o, PROMETHEUS)
        for rule in o["spec"].get("egress", [])
    ]
    for o in policies(everything):
        if o["metadata"]["namespace"] == "kube-system":
            continue  # its pods come from the distribution
        for rule in o["spec"].get("ingress", []):
            if not any(
                peer.get("podSelector", {}).get("matchLabels") == PROMETHEUS
                and peer.get("namespaceSelector", {}).get("matchLabels") == MONITORING
                for peer in rule.get("from", [])
            ):
                continue
            wanted = {p["port"] for p in rule.get("ports", [])}
            target = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": o["metadata"]["namespace"]}}}
            if selector := o["spec"]["podSelector"].get("matchLabels"):
                target["podSelector"] = {"matchLabels": selector}
            assert any(
                target in way.get("to", []) and wanted <= {p["port"] for p in way.get("ports", [])} for way in ways
            ), f"{o['metadata']['namespace']}/{o['metadata']['name']}: Prometheus has no way to {wanted}"
