"""Who reaches whom: the ways that a platform needs are open, the walls between its parts and tenants stand."""

from __future__ import annotations

import pytest
from lib.reach import End, Network, outside, pod

PORTS = (80, 443, 5432, 8080, 8443, 9090)
DNS = End("kube-system", (("k8s-app", "kube-dns"),))
GATEWAY = pod("models", app="tidegate")
ACME, GLOBEX = pod("acme", app="shop"), pod("globex", app="bank")
CHAT = pod("chat", component="open-webui")
LITELLM = pod("models", app="litellm")
KOURIER = End("knative-serving", (("app", "3scale-kourier-gateway"),))
ACTIVATOR = End("knative-serving", (("app", "activator"),))
OLLAMA = End("models", (("serving.knative.dev/service", "ollama-tinyllama"),))


@pytest.fixture
def network(rendered):
    return lambda tree: Network.of(rendered(tree))


@pytest.mark.parametrize("tree", ["saas-aws", "saas-aws+karpenter"])
def test_tenants_are_apart(tree, network):
    n = network(tree)
    for port in PORTS:
        assert n.reaches(ACME, pod("acme", app="other"), port)
        assert not n.reaches(ACME, GLOBEX, port)
        assert not n.reaches(GLOBEX, ACME, port)
        assert not n.reaches(outside("203.0.113.7"), ACME, port)
        assert not n.reaches(CHAT, ACME, port)
    for tenant in (ACME, GLOBEX):
        assert n.reaches(tenant, GATEWAY, 4000)
        assert n.reaches(tenant, DNS, 53, "UDP")
        assert not n.reaches(tenant, pod("models", app="qwen3-4b"), 8080)
        assert not n.reaches(tenant, GATEWAY, 4001)
        assert not n.reaches(tenant, outside("203.0.113.7"), 443)


def test_gateway_asks_the_models(network):
    n = network("saas-aws")
    prometheus = pod("monitoring", app="prometheus")
    for model in ("qwen3-4b", "qwen3-32b"):
        assert n.reaches(GATEWAY, pod("models", app=model), 8080)
    assert n.reaches(prometheus, GATEWAY, 4001)
    assert not n.reaches(prometheus, GATEWAY, 4000)
    assert n.reaches(CHAT, GATEWAY, 4000)
    # What scales models from nothing asks how many requests wait.
    assert n.reaches(pod("keda", app="keda-operator"), prometheus, 9090)
    assert n.reaches(CHAT, End("chat", (("tidegate.dev/role", "chat-sockets"),)), 6379)
    assert not n.reaches(ACME, End("chat", (("tidegate.dev/role", "chat-sockets"),)), 6379)


def test_models_are_asked_through_their_gateways(network):
    n = network("self-scaling")
    assert n.reaches(CHAT, LITELLM, 4000)
    assert n.reaches(LITELLM, KOURIER, 8081)
    assert n.reaches(KOURIER, ACTIVATOR, 8012)
    assert n.reaches(ACTIVATOR, OLLAMA, 8012)
    for port in (8012, 8013, 11434):
        assert not n.reaches(CHAT, OLLAMA, port)
        assert not n.reaches(LITELLM, OLLAMA, port)
    assert not n.reaches(CHAT, KOURIER, 8081)
    assert not n.reaches(OLLAMA, LITELLM, 4000)


def test_tidegate_serves_without_knative(network):
    n = network("self-scaling+tidegate-serving")
    assert n.reaches(CHAT, GATEWAY, 4000)
    assert n.reaches(GATEWAY, pod("models", app="tinyllama"), 8080)
    assert not n.reaches(CHAT, pod("models", app="tinyllama"), 8080)
