"""What GKE and AKS ask of policies beyond the others: API servers that call through a tunnel of pods, nodes that no
range of addresses means, tokens of identities from an address of the node."""

from __future__ import annotations

import pytest
from lib.reach import End, Network, outside, pod

GOOGLE, AZURE = "analytics-hub+google", "analytics-hub+azure"
TUNNELS = {GOOGLE: ("k8s-app", "konnectivity-agent"), AZURE: ("app", "konnectivity-agent")}
both = pytest.mark.parametrize("tree", TUNNELS)

API = pod("llm-analytics", app="api")
PROMETHEUS = pod("monitoring", app="prometheus")
WEBHOOK = pod("cert-manager", component="webhook", **{"app.kubernetes.io/instance": "cert-manager"})
CERTIFICATES = pod("cert-manager", component="controller", **{"app.kubernetes.io/instance": "cert-manager"})
NODE = outside("10.40.0.5")
METADATA = outside("169.254.169.254")


@both
def test_api_servers_call_webhooks_through_their_tunnel(tree, rendered):
    network = Network.of(rendered(tree))
    tunnel = End("kube-system", (TUNNELS[tree],))
    assert network.reaches(tunnel, WEBHOOK, 10250)
    assert not network.reaches(API, WEBHOOK, 10250)


@both
def test_prometheus_asks_nodes_and_nothing_else_of_them(tree, rendered):
    network = Network.of(rendered(tree))
    assert network.reaches(PROMETHEUS, NODE, 10250)
    assert not network.reaches(PROMETHEUS, NODE, 22)
    assert not network.reaches(API, NODE, 10250)


def test_only_who_has_an_identity_asks_for_its_token(rendered):
    network = Network.of(rendered(GOOGLE))
    assert network.reaches(CERTIFICATES, METADATA, 80)
    assert network.reaches(pod("logging", app="loki"), METADATA, 80)
    assert network.reaches(pod("backup", app="velero"), METADATA, 80)
    assert not network.reaches(API, METADATA, 80)


def test_names_are_looked_up_on_the_node(rendered):
    network = Network.of(rendered(GOOGLE))
    cache = End("kube-system", (("k8s-app", "node-local-dns"),))
    assert network.reaches(API, cache, 53, "UDP")
    assert not network.reaches(API, End("kube-system", (("k8s-app", "metrics-agent"),)), 53, "UDP")


@both
def test_names_of_secrets_are_what_the_store_takes(tree, rendered):
    text = (rendered(tree) / "components/10-secrets/external-secrets.yaml").read_text(encoding="utf-8")
    keys = {line.split(":", 1)[1].strip() for line in text.splitlines() if line.strip().startswith("key:")}
    assert keys
    assert not [key for key in keys if "/" in key]
