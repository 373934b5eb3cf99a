"""Who reaches whom by the NetworkPolicies of a tree, as a network that enforces them decides it."""

from __future__ import annotations

import dataclasses
import ipaddress
import pathlib
from collections.abc import Iterable

from lib import kube_facts


@dataclasses.dataclass(frozen=True)
class End:
    """A pod, or an address outside the cluster when `namespace` is empty."""

    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    address: str = "10.255.255.254"  # of a pod: inside every pod network that is asked about

    def has(self, selector: dict) -> bool:
        return matches(selector, dict(self.labels))


def pod(namespace: str, **labels: str) -> End:
    """pod("models", app="tidegate"): `app` and `component` stand for the recommended labels."""
    short = {"app": "app.kubernetes.io/name", "component": "app.kubernetes.io/component"}
    named = {short.get(key, key): value for key, value in labels.items()}
    if "app" in labels:
        named.setdefault("app.kubernetes.io/instance", labels["app"])
    return End(namespace, tuple(sorted(named.items())))


def outside(address: str) -> End:
    return End(address=address)


def matches(selector: dict, labels: dict[str, str]) -> bool:
    if any(labels.get(k) != v for k, v in selector.get("matchLabels", {}).items()):
        return False
    for e in selector.get("matchExpressions", []):
        value, values = labels.get(e["key"]), e.get("values", [])
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[e["operator"]]
        if not holds:
            return False
    return True


class Network:
    def __init__(self, objects: Iterable[dict]):
        everything = list(objects)
        self.policies = [o for o in everything if o["kind"] == "NetworkPolicy"]
        self.namespaces = {
            o["metadata"]["name"]: {
                **o["metadata"].get("labels", {}),
                "kubernetes.io/metadata.name": o["metadata"]["name"],
            }
            for o in everything
            if o["kind"] == "Namespace"
        }

    @classmethod
    def of(cls, folder: pathlib.Path) -> Network:
        paths = [*folder.glob("components/05-network-policies/*.yaml"), *folder.glob("components/00-namespaces/*.yaml")]
        return cls(o for p in sorted(paths) for o in kube_facts.parse(p.read_text(encoding="utf-8")))

    def reaches(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        return self._open("Egress", source, target, port, protocol) and self._open(
            "Ingress", target, source, port, protocol
        )

    def _open(self, way: str, here: End, there: End, port: int, protocol: str) -> bool:
        """What the policies on `here` say about its traffic of one direction."""
        if not here.namespace:
            return True
        isolated = False
        for p in self.policies:
            spec = p["spec"]
            types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
            if p["metadata"]["namespace"] != here.namespace or way not in types or not here.has(spec["podSelector"]):
                continue
            isolated = True
            for rule in spec.get(way.lower(), []):
                peers = rule.get("to" if way == "Egress" else "from")
                if self._port(rule.get("ports"), port, protocol) and (
                    not peers or any(self._peer(peer, p["metadata"]["namespace"], there) for peer in peers)
                ):
                    return True
        return not isolated

    @staticmethod
    def _port(ports: list[dict] | None, port: int, protocol: str) -> bool:
        return not ports or any(
            p.get("protocol", "TCP") == protocol
            and ("port" not in p or p["port"] == port or p["port"] <= port <= p.get("endPort", p["port"]))
            for p in ports
        )

    def _peer(self, peer: dict, own: str, there: End) -> bool:
        if "ipBlock" in peer:
            address = ipaddress.ip_address(there.address)
            block = peer["ipBlock"]
            return address in ipaddress.ip_network(block["cidr"]) and not any(
                address in ipaddress.ip_network(e) for e in block.get("except", [])
            )
        if not there.namespace:
            return False
        if "namespaceSelector" in peer:
            labels = self.namespaces.get(there.namespace, {"kubernetes.io/metadata.name": there.namespace})
            if not matches(peer["namespaceSelector"], labels):
                return False
        elif there.namespace != own:
            return False
        return "podSelector" not in peer or there.has(peer["podSelector"])
