"""Who may talk to whom in a rendered tree, worked out from its NetworkPolicies alone."""

from __future__ import annotations

import json
import re

import pytest
from conftest import ROOT, TREES
from lib import chart_pods, kube_facts
from lib.reach import End, Network, outside

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


# --- requests from outside -------------------------------------------------------------------------------------------

# The proxies of each gateway: labels as its controller or chart sets them, and the ports that they listen on.
ENVOY = {
    "app.kubernetes.io/name": "envoy",
    "app.kubernetes.io/component": "proxy",
    "app.kubernetes.io/managed-by": "envoy-gateway",
    "gateway.envoyproxy.io/owning-gateway-name": "platform",
    "gateway.envoyproxy.io/owning-gateway-namespace": "gateway-system",
}
TRAEFIK = {"app.kubernetes.io/name": "traefik", "app.kubernetes.io/instance": "traefik-kube-system"}
NGINX = {
    "app.kubernetes.io/name": "ingress-nginx",
    "app.kubernetes.io/instance": "ingress-nginx",
    "app.kubernetes.io/component": "controller",
}
PROXIES = {
    "platform": (End("gateway-system", tuple(sorted(ENVOY.items()))), (10080, 10443)),
    "traefik": (End("kube-system", tuple(sorted(TRAEFIK.items()))), (8000, 8443)),
    "nginx": (End("gateway-system", tuple(sorted(NGINX.items()))), (80, 443)),
}
PUBLISHED = {"analytics-hub": 6, "saas-aws": 2, "webui-k3s": 2}


def proxies(everything: list[dict]) -> tuple[End, tuple[int, ...]] | None:
    names = {o["spec"]["gatewayClassName"] for o in everything if o["kind"] == "Gateway"}
    names |= {o["spec"]["ingressClassName"] for o in everything if o["kind"] == "Ingress"}
    assert len(names) <= 1, names
    return PROXIES[names.pop()] if names else None


def backends(everything: list[dict]) -> set[tuple[str, str, int]]:
    """Namespace, Service and its port of everything that is published."""
    out = set()
    for o in everything:
        if o["kind"] == "HTTPRoute":
            refs = [b for rule in o["spec"]["rules"] for b in rule.get("backendRefs", [])]
            out |= {(b.get("namespace", o["metadata"]["namespace"]), b["name"], b["port"]) for b in refs}
        if o["kind"] == "Ingress":
            paths = [path for rule in o["spec"]["rules"] for path in rule["http"]["paths"]]
            services = [path["backend"]["service"] for path in paths]
            out |= {(o["metadata"]["namespace"], s["name"], s["port"]["number"]) for s in services}
    return out


def behind(folder, everything: list[dict], namespace: str, name: str, port: int) -> list[chart_pods.Target]:
    """The pods behind a port of a Service, as they are labelled, and the port that they listen on."""
    for r in chart_pods.releases(folder):
        if r.namespace == namespace and (name, port) in (known := chart_pods.services(r)):
            return [known[name, port]]
    if name == "logs-kb-http":  # Kibana's Service is made by its operator
        labels = (("common.k8s.elastic.co/type", "kibana"), ("kibana.k8s.elastic.co/name", "logs"))
        return [chart_pods.Target(End(namespace, labels), port)]
    [service] = [
        o
        for o in everything
        if o["kind"] == "Service" and (o["metadata"].get("namespace"), o["metadata"]["name"]) == (namespace, name)
    ]
    [wanted] = [p for p in service["spec"]["ports"] if p["port"] == port]
    aim = wanted.get("targetPort", port)
    own = [o for o in everything if o["metadata"].get("namespace") == namespace]
    found = []
    for labels, ports in pods_with(own, namespace, service["spec"]["selector"]):
        found.append(chart_pods.Target(End(namespace, tuple(sorted(labels.items()))), ports.get(aim, aim)))
    return found


def test_the_gateway_reaches_everything_that_is_published(tree, rendered):
    """Out of the proxies and into the pods, at the port of the pods: policies judge after the Service."""
    folder = rendered(tree)
    everything = objects(folder)
    at = proxies(everything)
    published = backends(everything)
    example = tree.split("+")[0]
    if at is None:
        assert example not in PUBLISHED and not published
        return
    assert len(published) >= PUBLISHED.get(example, 1)
    network = Network(everything)
    for namespace, name, port in sorted(published):
        targets = behind(folder, everything, namespace, name, port)
        assert targets, f"{namespace}/{name} has no pods"
        for target in targets:
            assert isinstance(target.port, int)
            assert network.reaches(at[0], target.pods, target.port), f"{namespace}/{name}: {target}"


def test_users_reach_the_gateway_at_the_ports_of_the_web(tree, rendered):
    """A Service that gets an address, or node ports that the document fixes; k3s puts pods of its own before it."""
    folder = rendered(tree)
    everything = objects(folder)
    at = proxies(everything)
    if at is None:
        return
    network = Network(everything)
    user = outside("198.51.100.7")
    for port in at[1]:
        assert network.reaches(user, at[0], port)
    service = {}
    for o in everything:
        if o["kind"] == "EnvoyProxy":
            service = o["spec"]["provider"]["kubernetes"]["envoyService"]
    for r in chart_pods.releases(folder):
        if r.chart == "ingress-nginx":
            service = r.value("controller.service")
    if at[0].namespace != "kube-system":
        fixed = service.get("patch", {}).get("value", {}).get("spec", {}).get("ports") or service.get("nodePorts")
        assert service["type"] == ("NodePort" if fixed else "LoadBalancer")
    if (folder / "infrastructure/k3s.sh").exists():
        balancer = End(
            "kube-system",
            (
                ("app", "svclb-gateway-0a1b2c3d"),
                ("svccontroller.k3s.cattle.io/svcname", "gateway"),
                ("svccontroller.k3s.cattle.io/svcnamespace", at[0].namespace),
            ),
        )
        for port in (80, 443):
            assert network.reaches(user, balancer, port)
        assert not network.reaches(user, balancer, 6443)


# --- metrics ---------------------------------------------------------------------------------------------------------


def prometheus_of(folder) -> End | None:
    [*found] = [r for r in chart_pods.releases(folder) if r.chart == "kube-prometheus-stack"]
    return chart_pods.prometheus_pods(found[0]) if found else None


def test_prometheus_reaches_what_charts_let_it_scrape(tree, rendered):
    """Monitors that charts bring are not in the tree: what they scrape is known in lib/chart_pods.py."""
    folder = rendered(tree)
    prometheus = prometheus_of(folder)
    if prometheus is None:
        return
    network = Network(objects(folder))
    judged = 0
    for r in chart_pods.releases(folder):
        for target in chart_pods.monitored(r):
            judged += 1
            assert network.reaches(prometheus, target.pods, target.port), f"{r.chart} {r.name}: {target}"
    assert judged > 6


def test_every_switch_of_a_monitor_is_known(tree, rendered):
    for r in chart_pods.releases(rendered(tree)):
        for switch in r.switches():
            assert (r.chart, switch) in chart_pods.MONITORS, "look up in the chart what it scrapes"


# Who measures, by what the labels of a monitor's selector hold.
MEASURED_BY_LABEL = {
    "gateway.envoyproxy.io/owning-gateway-name": "envoy",
    "cnpg.io/cluster": "cloudnative-pg",
    "strimzi.io/name": "kafka-exporter",
    "tidegate.dev/metrics": "vllm",
}
MEASURED_BY_NAME = {
    "traefik": "traefik",
    "nvidia-dcgm-exporter": "dcgm-exporter",
    "dcgm-exporter": "dcgm-exporter",
    "kured": "kured",
    "tidegate": "tidegate",
    "gatekeeper": "gatekeeper",
    "jobset": "jobset",
    "kueue": "kueue",
}
MEASURED_BY_CHART = {
    "alloy": {"alloy"},
    "cert-manager": {"cert-manager"},
    "cloudnative-pg": {"cloudnative-pg"},
    "cluster-autoscaler": {"cluster-autoscaler"},
    "external-secrets": {"external-secrets"},
    "fluent-bit": {"fluent-bit"},
    "fluentd": {"fluentd"},
    "grafana": {"grafana"},
    "ingress-nginx": {"nginx-ingress"},
    "keda": {"keda"},
    "loki": {"loki"},
    "metrics-server": {"metrics-server"},
    "prometheus-kafka-exporter": {"kafka-exporter"},
    "prometheus-mysql-exporter": {"mysqld-exporter"},
    "prometheus-postgres-exporter": {"postgres-exporter"},
    "prometheus-rabbitmq-exporter": {"rabbitmq-exporter"},
    "prometheus-redis-exporter": {"redis-exporter"},
    "tempo": {"tempo"},
    "valkey": {"redis-exporter"},
    "velero": {"velero"},
}
# Of the stack: the switch of each, and what is measured when it is on.
STACK = {
    "kubeApiServer.enabled": "kube-apiserver",
    "kubelet.enabled": "kubelet",
    "coreDns.enabled": "coredns",
    "kubeScheduler.enabled": "kube-scheduler",
    "kubeEtcd.enabled": "etcd",
    "kubeProxy.enabled": "kube-proxy",
    "nodeExporter.enabled": "node-exporter",
    "kubeStateMetrics.enabled": "kube-state-metrics",
    "alertmanager.enabled": "alertmanager",
}


def measured(folder, everything: list[dict]) -> set[str]:
    """The programs whose metrics Prometheus gets, in the words of the catalog of metrics."""
    out = {"prometheus"}
    for r in chart_pods.releases(folder):
        if r.switches():
            out |= MEASURED_BY_CHART.get(r.chart, set())
        if r.chart == "kube-prometheus-stack":
            out |= {source for switch, source in STACK.items() if r.value(switch, True)}
            out |= {"cadvisor"} if "kubelet" in out else set()
    for o in everything:
        if o["kind"] == "ScrapeConfig":
            out.add(o["metadata"]["name"])
        if o["kind"] not in ("PodMonitor", "ServiceMonitor"):
            continue
        labels = o["spec"]["selector"].get("matchLabels", {})
        ends = o["spec"].get("podMetricsEndpoints", []) + o["spec"].get("endpoints", [])
        out |= {MEASURED_BY_LABEL[key] for key in labels if key in MEASURED_BY_LABEL}
        out |= {MEASURED_BY_NAME[value] for value in labels.values() if value in MEASURED_BY_NAME}
        out |= {"istio"} if any(e.get("portNumber") == 15020 for e in ends) else set()
        for pod in kube_facts.pods_of([w for w in everything if w["metadata"].get("namespace") == "data"]):
            if labels.items() <= pod["metadata"].get("labels", {}).items():
                images = " ".join(c["image"] for c in pod["spec"]["containers"])
                out |= {"postgres-exporter"} if "/postgres-exporter:" in images else set()
    return out


def catalog() -> dict[str, str]:
    """Metric -> who exports it."""
    text = (ROOT / "src/catalog/metrics.cpp").read_text(encoding="utf-8")
    return dict(re.findall(r'\{"([a-zA-Z_:0-9]+)", "([a-z-]+)"[,}]', text))


def expressions(everything: list[dict]) -> list[tuple[str, str]]:
    out = []
    for o in everything:
        if o["kind"] == "PrometheusRule":
            rules = [r for g in o["spec"]["groups"] for r in g["rules"]]
            out += [(r.get("alert", r.get("record", "")), r["expr"]) for r in rules]
        if o["kind"] == "ConfigMap" and o["metadata"]["name"].startswith("dashboard-"):
            for text in o["data"].values():
                for panel in json.loads(text)["panels"]:
                    queries = [t["expr"] for t in panel.get("targets", []) if "expr" in t]
                    if panel.get("datasource", {}).get("type") != "loki":
                        out += [(f"{o['metadata']['name']}: {panel['title']}", q) for q in queries]
        if o["kind"] == "ScaledObject":
            triggers = [t["metadata"] for t in o["spec"]["triggers"] if t["type"] == "prometheus"]
            out += [(f"ScaledObject {o['metadata']['name']}", t["query"]) for t in triggers]
    return out


def test_every_metric_that_is_asked_for_is_measured(tree, rendered):
    """Of each alert, page and scaler: somebody who exports the metric is scraped in this tree."""
    folder = rendered(tree)
    everything = objects(folder)
    if prometheus_of(folder) is None:
        return
    known, alive = catalog(), measured(folder, everything)
    assert len(known) > 300
    silent = set()
    for where, expression in expressions(everything):
        for metric in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", expression):
            if metric in known and known[metric] not in {*alive, "pod"}:
                silent.add(f"{where}: {metric} of {known[metric]}")
    assert silent == set()
