"""What a tree does to a cluster, command by command, as its plan and its runbook say it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterable, Iterator

import yaml
from lib import kube_facts

# Whose definitions a chart brings, by API group; the charts themselves are not here.
DEFINES = {
    "argo-cd": {"argoproj.io"},
    "aws-load-balancer-controller": {"elbv2.k8s.aws", "gateway.k8s.aws"},
    "base": {"extensions.istio.io", "networking.istio.io", "security.istio.io", "telemetry.istio.io"},
    "cert-manager": {"acme.cert-manager.io", "cert-manager.io"},
    "cloudnative-pg": {"postgresql.cnpg.io"},
    "crd.projectcalico.org.v1": {"crd.projectcalico.org", "operator.tigera.io", "policy.networking.k8s.io"},
    "eck-operator": {"elasticsearch.k8s.elastic.co", "kibana.k8s.elastic.co", "logstash.k8s.elastic.co"},
    "external-secrets": {"external-secrets.io", "generators.external-secrets.io"},
    "fleet-crd": {"fleet.cattle.io"},
    "gatekeeper": {"config.gatekeeper.sh", "mutations.gatekeeper.sh", "templates.gatekeeper.sh"},
    "gateway-crds-helm": {"gateway.networking.k8s.io"},
    "gateway-helm": {"gateway.envoyproxy.io", "gateway.networking.k8s.io", "gateway.networking.x-k8s.io"},
    "gpu-operator": {"nfd.k8s-sigs.io", "nvidia.com"},
    "jobset": {"jobset.x-k8s.io"},
    "karpenter": {"karpenter.k8s.aws", "karpenter.sh"},
    "keda": {"eventing.keda.sh", "keda.sh"},
    "keda-add-ons-http": {"http.keda.sh"},
    "knative-operator": {"operator.knative.dev"},
    "kubeflow-trainer": {"jobset.x-k8s.io", "trainer.kubeflow.org"},
    "kueue": {"kueue.x-k8s.io"},
    "kyverno": {"kyverno.io", "policies.kyverno.io"},
    "ngrok-operator": {"bindings.k8s.ngrok.com", "ingress.k8s.ngrok.com", "ngrok.k8s.ngrok.com"},
    "prometheus-operator-crds": {"monitoring.coreos.com"},
    "rancher": {"management.cattle.io", "provisioning.cattle.io", "turtles-capi.cattle.io", "fleet.cattle.io"},
    "rancher-turtles-providers": {"cluster.x-k8s.io"},
    "strimzi-kafka-operator": {"core.strimzi.io", "kafka.strimzi.io"},
    "traefik": {"traefik.io"},
    "velero": {"velero.io"},
    "vertical-pod-autoscaler": {"autoscaling.k8s.io"},
}
# Charts that put objects of groups which they do not define; the values that ask for it.
MONITORS = ("servicemonitor", "podmonitor", "servicemonitors")
# Where a chart says how the pods of its installation's jobs are placed, and which value leaves the job out.
INSTALLERS = {
    "gatekeeper": (("crds", "upgradeCRDs.enabled"), ("postInstall", "postInstall.labelNamespace.enabled")),
    "gateway-helm": (("certgen.job", ""),),
    "cert-manager": (("startupapicheck", "startupapicheck.enabled"),),
    "kube-prometheus-stack": (
        ("prometheusOperator.admissionWebhooks.patch", "prometheusOperator.admissionWebhooks.enabled"),
    ),
    "ingress-nginx": (("controller.admissionWebhooks.patch", "controller.admissionWebhooks.patch.enabled"),),
}


@dataclasses.dataclass
class Command:
    """One that ends before the next begins: a chart, definitions, the manifests of one kubectl apply."""

    phase: str
    what: str
    defines: set[str] = dataclasses.field(default_factory=set)  # API groups that are there when it has ended
    objects: list[dict] = dataclasses.field(default_factory=list)
    chart: str = ""
    namespace: str = ""
    values: dict = dataclasses.field(default_factory=dict)


def plan(folder: pathlib.Path) -> dict:
    return json.loads((folder / "plan.json").read_text(encoding="utf-8"))


def groups(names: Iterable[str]) -> set[str]:
    """Of whole names of definitions."""
    return {name.split(".", 1)[1] for name in names}


def definitions_among(objects: Iterable[dict]) -> set[str]:
    return {o["spec"]["group"] for o in objects if o["kind"] == "CustomResourceDefinition"}


def commands(folder: pathlib.Path) -> list[Command]:
    """Of all components and workloads, in the order of the plan; whoever delivers them keeps to the same order."""
    out: list[Command] = []
    for phase in plan(folder)["phases"]:
        if phase["folder"] in ("infrastructure", "ci"):
            continue
        open_apply: Command | None = None
        for step in phase["steps"]:
            name = f"{phase['name']}: {step['kind']}"
            if step["kind"] == "manifests":
                if open_apply is None:
                    open_apply = Command(phase["name"], f"{name} {step['path']}")
                    out.append(open_apply)
                found = kube_facts.parse((folder / step["path"]).read_text(encoding="utf-8"))
                open_apply.objects += found
                open_apply.defines |= definitions_among(found)
                continue
            open_apply = None
            if step["kind"] == "helm":
                values = yaml.safe_load((folder / step["values"]).read_text(encoding="utf-8")) or {}
                out.append(
                    Command(
                        phase["name"],
                        f"{name} {step['release']}",
                        DEFINES.get(step["chart"], set()),
                        chart=step["chart"],
                        namespace=step["namespace"],
                        values=values,
                    )
                )
            elif step["kind"] == "definitions":
                out.append(
                    Command(phase["name"], name, groups(step["names"]) | DEFINES.get(step.get("chart", ""), set()))
                )
            elif step["kind"] == "wait" and step["what"].startswith("crd/"):
                out.append(Command(phase["name"], name, groups([step["what"].split()[0].removeprefix("crd/")])))
            elif step["kind"] == "kustomize":
                out.append(Command(phase["name"], name))
    return out


def at(values: object, path: str) -> object:
    for key in path.split(".") if path else ():
        values = values.get(key) if isinstance(values, dict) else None
    return values


def walk(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value with its keys, containers too."""
    yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from walk(child, (*path, str(key)))


def asks_for_monitors(values: dict) -> bool:
    return any(
        isinstance(value, dict) and path and path[-1].lower() in MONITORS and value.get("enabled") is True
        for path, value in walk(values)
    ) or any(path and path[-1] == "podMonitorEnabled" and value is True for path, value in walk(values))


def needs_of(value: object) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """("Secret", name, keys) of what pods in `value` name: variables, volumes, whole environments."""
    for path, part in walk(value):
        if not isinstance(part, dict) or part.get("optional") is True:
            continue
        last = path[-1] if path else ""
        if last == "secretKeyRef" and part.get("name"):
            yield "Secret", part["name"], (part["key"],)
        elif last == "configMapKeyRef" and part.get("name"):
            yield "ConfigMap", part["name"], (part["key"],)
        elif last in ("secretRef", "configMapRef") and "envFrom" in path and part.get("name"):
            yield ("Secret" if last == "secretRef" else "ConfigMap"), part["name"], ()
        elif last == "secret" and part.get("secretName"):
            yield "Secret", part["secretName"], tuple(i["key"] for i in part.get("items") or ())
        elif last == "configMap" and part.get("name") and ("volumes" in path or "sources" in path):
            yield "ConfigMap", part["name"], tuple(i["key"] for i in part.get("items") or ())


def hand_order(folder: pathlib.Path) -> list[str]:
    """Names of the parts in the order in which the runbook applies them."""
    book = (folder / "RUNBOOK.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"(?s)```sh\n(.*?)```", book) if re.search(r"(?m)^# namespaces$", b))
    known = {p["name"] for p in plan(folder)["phases"]}
    return [n for n in re.findall(r"(?m)^# ([a-z0-9-]+)$", block) if n in known]
