"""Who reaches whom through NetworkPolicies: their meaning for two ends and a port, without a cluster.

An end is a pod (namespace and labels) or an address outside the pods. A policy that selects a pod closes the directions
that it names; what any of them allows is open. Ports with names are not followed: our policies write numbers.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Pod:
    namespace: str
    labels: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Address:
    ip: str


def selects(selector: dict | None, labels: dict) -> bool:
    """A label selector; {} is everything."""
    selector = selector or {}
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for e in selector.get("matchExpressions", []):
        value, values = labels.get(e["key"]), e.get("values", [])
        kept = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[e["operator"]]
        if not kept:
            return False
    return True


class Policies:
    def __init__(self, objects: Iterable[dict]):
        objects = list(objects)
        self._policies = [o for o in objects if o["kind"] == "NetworkPolicy"]
        self._namespaces = {
            o["metadata"]["name"]: o["metadata"].get("labels", {}) for o in objects if o["kind"] == "Namespace"
        }

    def _labels_of_namespace(self, name: str) -> dict:
        return {**self._namespaces.get(name, {}), "kubernetes.io/metadata.name": name}

    def _is_peer(self, peer: dict, home: str, end: Pod | Address) -> bool:
        if block := peer.get("ipBlock"):
            if isinstance(end, Pod):
                return False
            ip = ipaddress.ip_address(end.ip)
            return ip in ipaddress.ip_network(block["cidr"]) and not any(
                ip in ipaddress.ip_network(e) for e in block.get("except", [])
            )
        if isinstance(end, Address):
            return False
        if "namespaceSelector" in peer:
            if not selects(peer["namespaceSelector"], self._labels_of_namespace(end.namespace)):
                return False
        elif end.namespace != home:
            return False
        return selects(peer.get("podSelector"), end.labels)

    def _lets(self, way: str, pod: Pod, other: Pod | Address, port: int, protocol: str) -> bool:
        field, side = ("egress", "to") if way == "Egress" else ("ingress", "from")
        mine = [
            p
            for p in self._policies
            if p["metadata"]["namespace"] == pod.namespace
            and selects(p["spec"].get("podSelector"), pod.labels)
            and way in p["spec"].get("policyTypes", ["Ingress"])
        ]
        if not mine:
            return True
        for policy in mine:
            for rule in policy["spec"].get(field) or []:
                peers, ports = rule.get(side), rule.get("ports")
                if peers and not any(self._is_peer(p, pod.namespace, other) for p in peers):
                    continue
                if not ports or any(
                    p.get("protocol", "TCP") == protocol
                    and (p.get("port") is None or p["port"] <= port <= p.get("endPort", p["port"]))
                    for p in ports
                ):
                    return True
        return False

    def open(self, source: Pod | Address, target: Pod | Address, port: int, protocol: str = "TCP") -> bool:
        return not (
            (isinstance(source, Pod) and not self._lets("Egress", source, target, port, protocol))
            or (isinstance(target, Pod) and not self._lets("Ingress", target, source, port, protocol))
        )
