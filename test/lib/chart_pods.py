"""What charts make and a tree does not show: the pods behind their Services, and what their monitors scrape.

Read from the charts' templates at the releases of the catalog, rendered with such values as trees have. A switch of a
monitor that a tree sets and that is not known here is an error, so that a new one is looked up.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Iterator

import yaml
from lib import kube_facts
from lib.reach import End

NAME, INSTANCE, COMPONENT = (f"app.kubernetes.io/{word}" for word in ("name", "instance", "component"))
SWITCH = re.compile(r"(?i)((service|pod)monitor\.enabled|podMonitorEnabled|prometheus\.monitor\.enabled)$")


@dataclasses.dataclass(frozen=True)
class Release:
    """A chart as a tree installs it."""

    chart: str
    name: str
    namespace: str
    values: dict

    def value(self, path: str, default=None):
        value = self.values
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return default if value is None else value

    def switches(self) -> set[str]:
        """Paths of the switches of monitors that are on."""
        return {path for path, value in leaves(self.values) if value is True and SWITCH.search(path)}


@dataclasses.dataclass(frozen=True)
class Target:
    """Pods, and a port that is asked there."""

    pods: End
    port: int


def leaves(value, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(child, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def releases(folder: pathlib.Path) -> list[Release]:
    """Every chart of a tree."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    out = []
    for phase in plan["phases"]:
        for step in phase["steps"]:
            if step["kind"] != "helm":
                continue
            values = yaml.load((folder / step["values"]).read_text(encoding="utf-8"), kube_facts.StrictLoader) or {}
            out.append(Release(step["chart"], step["release"], step["namespace"], values))
    return out


def end(r: Release, labels: dict[str, str]) -> End:
    return End(r.namespace, tuple(sorted(labels.items())))


def named(r: Release, port: int, name: str = "", **more: str) -> Target:
    """The recommended labels; `component` and others beside them."""
    labels = {NAME: name or r.value("nameOverride", r.chart), INSTANCE: r.name}
    labels |= {COMPONENT if key == "component" else key: value for key, value in more.items()}
    return Target(end(r, labels), port)


# --- what monitors scrape --------------------------------------------------------------------------------------------


def loki(r: Release) -> list[Target]:
    if r.value("deploymentMode") != "Distributed":
        return [named(r, 3100, component="single-binary")]
    tasks = ("distributor", "ingester", "querier", "query-frontend", "query-scheduler", "compactor", "index-gateway")
    out = [named(r, 3100, component=task) for task in tasks]
    if r.value("gateway.enabled", True):
        out.append(named(r, 4040, component="gateway"))
    for key, task in (("chunksCache", "memcached-chunks-cache"), ("resultsCache", "memcached-results-cache")):
        if r.value(f"{key}.enabled", True):
            out.append(named(r, 9150, component=task))
    return out


def stack(r: Release) -> list[Target]:
    """Of kube-prometheus-stack, which has no one switch: what is not of the nodes."""
    operator = 8080 if r.value("prometheusOperator.tls.enabled") is False else 10250
    alertmanager = {NAME: "alertmanager", "alertmanager": f"{r.name}-alertmanager"}
    prometheus = dict(prometheus_pods(r).labels)
    return [
        Target(end(r, {"app": "kube-prometheus-stack-operator", "release": r.name}), operator),
        named(r, 8080, "kube-state-metrics"),
        *(Target(end(r, alertmanager), port) for port in (9093, 8080)),
        *(Target(end(r, prometheus), port) for port in (9090, 8080)),
    ]


def prometheus_pods(r: Release) -> End:
    return end(r, {NAME: "prometheus", INSTANCE: f"{r.name}-prometheus"})


def kyverno(r: Release, what: str) -> list[Target]:
    labels = {COMPONENT: what, INSTANCE: r.name, "app.kubernetes.io/part-of": r.name}
    return [Target(end(r, labels), 8000)]


def exporter(port: int) -> Callable[[Release], list[Target]]:
    return lambda r: [named(r, port)]


ALWAYS = {"kube-prometheus-stack": stack}
MONITORS: dict[tuple[str, str], Callable[[Release], list[Target]]] = {
    ("alloy", "serviceMonitor.enabled"): lambda r: [named(r, 12345)],
    ("cert-manager", "prometheus.servicemonitor.enabled"): lambda r: [
        named(r, 9402, component="controller"),
        named(r, 9402, "webhook", component="webhook"),
        named(r, 9402, "cainjector", component="cainjector"),
    ],
    ("cloudnative-pg", "monitoring.podMonitorEnabled"): lambda r: [named(r, 8080)],
    ("cluster-autoscaler", "serviceMonitor.enabled"): lambda r: [
        named(r, 8085, f"{r.value('cloudProvider', 'aws')}-cluster-autoscaler")
    ],
    ("external-dns", "serviceMonitor.enabled"): lambda r: [named(r, 7979)],
    ("external-secrets", "serviceMonitor.enabled"): lambda r: [
        named(r, 8080, f"external-secrets{tail}") for tail in ("", "-webhook", "-cert-controller")
    ],
    ("fluent-bit", "serviceMonitor.enabled"): lambda r: [named(r, 2020)],
    ("fluentd", "metrics.serviceMonitor.enabled"): lambda r: [named(r, 24231)],
    ("grafana", "serviceMonitor.enabled"): lambda r: [named(r, 3000)],
    ("ingress-nginx", "controller.metrics.serviceMonitor.enabled"): lambda r: [named(r, 10254, component="controller")],
    ("karpenter", "serviceMonitor.enabled"): lambda r: [named(r, 8080)],
    ("keda", "prometheus.operator.serviceMonitor.enabled"): lambda r: [named(r, 8080, "keda-operator")],
    ("keda", "prometheus.metricServer.serviceMonitor.enabled"): lambda r: [
        named(r, 8080, "keda-operator-metrics-apiserver")
    ],
    ("kyverno", "admissionController.serviceMonitor.enabled"): lambda r: kyverno(r, "admission-controller"),
    ("kyverno", "reportsController.serviceMonitor.enabled"): lambda r: kyverno(r, "reports-controller"),
    ("loki", "monitoring.serviceMonitor.enabled"): loki,
    ("metrics-server", "serviceMonitor.enabled"): lambda r: [named(r, 10250)],
    ("prometheus-kafka-exporter", "prometheus.serviceMonitor.enabled"): lambda r: [
        Target(end(r, {"app": r.chart, "release": r.name}), 9308)
    ],
    ("prometheus-mysql-exporter", "serviceMonitor.enabled"): exporter(9104),
    ("prometheus-postgres-exporter", "serviceMonitor.enabled"): exporter(9187),
    ("prometheus-rabbitmq-exporter", "prometheus.monitor.enabled"): lambda r: [
        Target(end(r, {"app": r.chart, "release": r.name}), 9419)
    ],
    ("prometheus-redis-exporter", "serviceMonitor.enabled"): exporter(9121),
    ("tempo", "serviceMonitor.enabled"): lambda r: [named(r, 3200)],
    ("valkey", "metrics.serviceMonitor.enabled"): lambda r: [named(r, 9121)],
    ("velero", "metrics.serviceMonitor.enabled"): lambda r: [named(r, 8085)],
}


def monitored(r: Release) -> list[Target]:
    """What the monitors of this chart scrape. KeyError: a switch that is not known here."""
    out = list(ALWAYS[r.chart](r)) if r.chart in ALWAYS else []
    for switch in sorted(r.switches()):
        out += MONITORS[r.chart, switch](r)
    return out


# --- what Services lead to -------------------------------------------------------------------------------------------


def services(r: Release) -> dict[tuple[str, int], Target]:
    """(name, port) of those Services that are published, and the pods behind them."""
    match r.chart:
        case "grafana":
            return {(r.name, 80): named(r, 3000)}
        case "kube-prometheus-stack":
            _, _, alertmanager, _, prometheus, _ = stack(r)
            return {("prometheus-prometheus", 9090): prometheus, ("prometheus-alertmanager", 9093): alertmanager}
        case "loki":
            return {
                ("loki", 3100): named(r, 3100, component="single-binary"),
                ("loki-gateway", 80): named(r, 8080, component="gateway"),
            }
        case "open-webui":
            pods = Target(end(r, {COMPONENT: "open-webui", INSTANCE: r.name}), 8080)
            return {("open-webui", 80): pods}
        case _:
            return {}
