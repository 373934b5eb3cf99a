"""What is known of Kubernetes without a server: kinds, their names in paths, custom definitions, strict JSON schemas.

The facts are test/oracles/crds/ (tools/import_crds.py makes them): custom definitions by API group, and the OpenAPI
definitions of Kubernetes. Read only and shared by all tests of a process.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import lzma
import pathlib
from collections.abc import Iterable, Iterator

import yaml

FACTS = pathlib.Path(__file__).resolve().parent.parent / "oracles" / "crds"
# Definitions written by hand, of projects whose own are not among the facts.
OWN = FACTS.parent / "own-crds"
# Files of these groups are read by a program from its disk; no API server serves them.
FILE_GROUPS = {
    "apiserver.config.k8s.io",
    "audit.k8s.io",
    "cli.kyverno.io",
    "kind.x-k8s.io",
    "kubeadm.k8s.io",
    "kubelet.config.k8s.io",
    "kubeproxy.config.k8s.io",
    "kustomize.config.k8s.io",
    "test.gatekeeper.sh",
    "tidegate.dev",
}


# --- objects ---------------------------------------------------------------------------------------------------------


class StrictLoader(yaml.CSafeLoader):
    """YAML as the tools of Kubernetes read it: a key given twice is an error, and a plain `=` is a text."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                at = key.start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} stands twice", at)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


StrictLoader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))
# Kubernetes takes JSON types; a date is a text there.
StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def parse(text: str) -> list[dict]:
    """The objects of a YAML or JSON text; `List` objects are taken apart. yaml.YAMLError says where it is wrong."""
    return list(flatten(yaml.load_all(text, StrictLoader)))


def flatten(objects: Iterable) -> Iterator[dict]:
    for found in objects:
        if found is None:
            continue
        if isinstance(found, dict) and str(found.get("kind", "")).endswith("List") and "items" in found:
            yield from flatten(found["items"])
        else:
            yield found


def title(found: object) -> str:
    """How a finding names an object: apps/v1 Deployment chat/web."""
    if not isinstance(found, dict):
        return f"no object: {str(found)[:60]}"
    metadata = found.get("metadata") or {}
    name = metadata.get("name") or f"{metadata.get('generateName', '?')}*"
    place = f"{metadata['namespace']}/{name}" if metadata.get("namespace") else name
    return f"{found.get('apiVersion', '?')} {found.get('kind', '?')} {place}"


# What stands beside the pod's own fields in the template of a Knative Service.
OF_REVISION = ("containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds")


def pods_of(objects: Iterable[dict]) -> list[dict]:
    """A Pod for each pod template among the objects, as its controller would make it; of custom kinds too."""
    found = []
    for owner in objects:
        metadata = owner.get("metadata") or {}
        for template in _templates(owner.get("spec")):
            made = dict(template.get("metadata") or {})
            made.pop("name", None)
            made["generateName"] = f"{metadata.get('name', 'pod')}-"
            if metadata.get("namespace"):
                made["namespace"] = metadata["namespace"]
            spec = dict(template["spec"])
            if str(owner.get("apiVersion", "")).startswith("serving.knative.dev/"):
                spec = {key: value for key, value in spec.items() if key not in OF_REVISION}
            if owner.get("kind") in ("Job", "CronJob", "JobSet"):
                spec.setdefault("restartPolicy", "Never")
            claims = (owner.get("spec") or {}).get("volumeClaimTemplates") or []  # of a StatefulSet
            if claims:
                names = [(c.get("metadata") or {}).get("name") for c in claims]
                volumes = [{"name": n, "persistentVolumeClaim": {"claimName": f"{n}-0"}} for n in names]
                spec["volumes"] = [*(spec.get("volumes") or []), *volumes]
            found.append({"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": spec})
    return found


def _templates(part: object) -> Iterator[dict]:
    if isinstance(part, list):
        for child in part:
            yield from _templates(child)
    elif isinstance(part, dict):
        template = part.get("template")
        spec = template.get("spec") if isinstance(template, dict) else None
        if isinstance(template, dict) and isinstance(spec, dict) and isinstance(spec.get("containers"), list):
            yield template
            return
        for child in part.values():
            yield from _templates(child)


# --- kinds -----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Kind:
    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        middle = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{self.root}{middle}/{self.plural}" + (f"/{name}" if name else "")


@functools.cache
def openapi() -> dict:
    """`schemas`, `kinds`, `resources`, `kubernetes` of the built-in API."""
    return json.loads(gzip.decompress(max(FACTS.glob("kubernetes-*.json.gz")).read_bytes()))


@functools.cache
def custom_groups() -> frozenset[str]:
    own = {p.stem for p in OWN.glob("*.json")}
    return frozenset(own | {p.name.removesuffix(".json.xz") for p in FACTS.glob("*.json.xz")})


@functools.cache
def definitions(group: str) -> tuple[dict, ...]:
    """The CustomResourceDefinitions of a group."""
    if group not in custom_groups():
        return ()
    own = OWN / f"{group}.json"
    if own.exists():
        return tuple(json.loads(own.read_text()))
    return tuple(json.loads(lzma.decompress((FACTS / f"{group}.json.xz").read_bytes())))


def kinds_of(definition: dict) -> dict[tuple[str, str], Kind]:
    """(apiVersion, kind) -> Kind of the served versions of one definition."""
    spec = definition["spec"]
    names = spec["names"]
    found = {}
    for version in spec["versions"]:
        if version["served"]:
            kind = Kind(spec["group"], version["name"], names["kind"], names["plural"], spec["scope"] == "Namespaced")
            found[f"{spec['group']}/{version['name']}", names["kind"]] = kind
    return found


@functools.cache
def builtin_kinds() -> dict[tuple[str, str], Kind]:
    found = {}
    for r in openapi()["resources"]:
        if "/" not in r["resource"]:
            kind = Kind(r["group"], r["version"], r["kind"], r["resource"], r["namespaced"])
            found[f"{r['group']}/{r['version']}".lstrip("/"), r["kind"]] = kind
    definition = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", False)
    found.setdefault(("apiextensions.k8s.io/v1", "CustomResourceDefinition"), definition)
    service = Kind("apiregistration.k8s.io", "v1", "APIService", "apiservices", False)
    found.setdefault(("apiregistration.k8s.io/v1", "APIService"), service)
    return found


@functools.cache
def custom_kinds(group: str) -> dict[tuple[str, str], Kind]:
    return {key: kind for d in definitions(group) for key, kind in kinds_of(d).items()}


def group_of(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def kind_of(api_version: str, kind: str) -> Kind | None:
    """None when neither Kubernetes nor a known definition has it."""
    key = (api_version, kind)
    return builtin_kinds().get(key) or custom_kinds(group_of(api_version)).get(key)


# --- what the Gatekeeper controller would make ------------------------------------------------------------------------


def constraint_definition(template: dict) -> dict:
    """The definition of the constraint kind that a ConstraintTemplate introduces, parameters by its own schema."""
    names = template["spec"]["crd"]["spec"]["names"]
    kind = names["kind"]
    validation = template["spec"]["crd"]["spec"].get("validation") or {}
    parameters = structural(validation.get("openAPIV3Schema") or {"type": "object"})
    if not parameters.get("properties"):
        parameters.setdefault("x-kubernetes-preserve-unknown-fields", True)
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {
        "type": "object",
        "properties": {
            "enforcementAction": {"type": "string", "enum": ["deny", "dryrun", "warn", "scoped"]},
            "scopedEnforcementActions": {"type": "array", "items": free},
            "match": MATCH,
            "parameters": parameters,
        },
    }
    schema = {"type": "object", "properties": {"metadata": {"type": "object"}, "spec": spec, "status": free}}
    plural = kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.constraints.gatekeeper.sh"},
        "spec": {
            "group": "constraints.gatekeeper.sh",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": plural},
            "scope": "Cluster",
            "versions": [
                {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    }


_TEXTS = {"type": "array", "items": {"type": "string"}}
_SELECTOR = {
    "type": "object",
    "properties": {
        "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
        "matchExpressions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"key": {"type": "string"}, "operator": {"type": "string"}, "values": _TEXTS},
            },
        },
    },
}
# The fields of a constraint's `match`, as the documentation of Gatekeeper lists them.
MATCH = {
    "type": "object",
    "properties": {
        "kinds": {
            "type": "array",
            "items": {"type": "object", "properties": {"apiGroups": _TEXTS, "kinds": _TEXTS}},
        },
        "scope": {"type": "string", "enum": ["*", "Cluster", "Namespaced"]},
        "namespaces": _TEXTS,
        "excludedNamespaces": _TEXTS,
        "labelSelector": _SELECTOR,
        "namespaceSelector": _SELECTOR,
        "name": {"type": "string"},
        "source": {"type": "string", "enum": ["All", "Generated", "Original"]},
    },
}


def structural(schema: dict) -> dict:
    """A copy in which each part names a type, as an API server wants it of a definition."""
    out = dict(schema)
    if "properties" in out:
        out["properties"] = {k: structural(v) for k, v in out["properties"].items()}
        out.setdefault("type", "object")
    if isinstance(out.get("items"), dict):
        out["items"] = structural(out["items"])
        out.setdefault("type", "array")
    if isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = structural(out["additionalProperties"])
        out.setdefault("type", "object")
    if "type" not in out and "x-kubernetes-int-or-string" not in out:
        out["x-kubernetes-preserve-unknown-fields"] = True
    return out


# --- what the Kyverno controller would make ---------------------------------------------------------------------------

OF_ADMISSION = ("auditAnnotations", "matchConditions", "matchConstraints", "validations", "variables")


def admission_policies(policy: dict) -> list[dict]:
    """The ValidatingAdmissionPolicy and its binding that Kyverno makes of a ValidatingPolicy which asks for that."""
    spec, api = policy["spec"], "admissionregistration.k8s.io/v1"
    autogen = spec.get("autogen") or {}
    if not (autogen.get("validatingAdmissionPolicy") or {}).get("enabled"):
        raise ValueError(f"{title(policy)} asks for no ValidatingAdmissionPolicy")
    if (autogen.get("podControllers") or {}).get("controllers") != []:
        raise ValueError(f"{title(policy)} is for controllers of pods too: Kyverno makes nothing of it")
    name = f"vpol-{policy['metadata']['name']}"
    judged = {key: spec[key] for key in OF_ADMISSION if key in spec}
    bound = {"policyName": name, "validationActions": spec.get("validationActions") or ["Deny"]}
    return [
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": judged},
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": f"{name}-binding"},
            "spec": bound,
        },
    ]


# --- JSON schemas for kubeconform -------------------------------------------------------------------------------------

_TYPES = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
}


def _strict(schema: object, refs: set[str] | None) -> object:
    """A copy that refuses unknown fields, null optional fields aside. Names of definitions met go to refs."""
    if isinstance(schema, list):
        return [_strict(s, refs) for s in schema]
    if not isinstance(schema, dict):
        return schema
    if refs is not None and isinstance(schema.get("$ref"), str):
        refs.add(schema["$ref"])
        return {"$ref": f"#/definitions/{schema['$ref']}"}
    if schema.get("x-kubernetes-int-or-string"):
        return {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    out = {}
    for key, value in schema.items():
        if key.startswith("x-kubernetes-") or key in ("default", "format", "nullable"):
            continue
        if key in ("properties", "patternProperties") and isinstance(value, dict):
            out[key] = {k: _strict(v, refs) for k, v in value.items()}
        elif key in ("enum", "required"):
            out[key] = value
        else:
            out[key] = _strict(value, refs)
    open_object = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if "properties" in out and "additionalProperties" not in out and not open_object:
        out["additionalProperties"] = False
    if schema.get("nullable") and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
        if "enum" in out:
            out["enum"] = [*out["enum"], None]
    return out


def write_json_schemas(folder: pathlib.Path) -> int:
    """folder/GROUP/KIND_VERSION.json, kind in lower case, `v1` for the group without a name. Their number."""
    document = openapi()
    parts = {}
    for name, schema in document["schemas"].items():
        refs: set[str] = set()
        parts[name] = (_TYPES.get(name) or _strict(schema, refs), refs)
    count = 0
    for key, name in document["kinds"].items():
        *api, kind = key.split("/")
        group, version = api if len(api) == 2 else (api[0], api[0])
        needed: dict[str, object] = {}
        todo = [name]
        while todo:
            part = todo.pop()
            if part not in needed and part in parts:
                needed[part], refs = parts[part]
                todo.extend(refs)
        count += _write(folder, group, kind, version, {"$ref": f"#/definitions/{name}", "definitions": needed})
    for group in sorted(custom_groups()):
        for definition in definitions(group):
            for version in definition["spec"]["versions"]:
                schema = dict(version["schema"]["openAPIV3Schema"])
                texts = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
                schema["properties"] = {**schema.get("properties", {}), **texts}
                strict = _strict_custom(schema)
                count += _write(folder, group, definition["spec"]["names"]["kind"], version["name"], strict)
    return count


def _strict_custom(schema: dict) -> dict:
    """Structural schemas say all their fields outside of oneOf, anyOf, allOf and not, so only there are they closed."""
    out = _strict(schema, None)
    assert isinstance(out, dict)
    _open_branches(out)
    return out


def _open_branches(schema: object) -> None:
    if isinstance(schema, list):
        for part in schema:
            _open_branches(part)
        return
    if not isinstance(schema, dict):
        return
    for key in ("oneOf", "anyOf", "allOf", "not"):
        if key in schema:
            _drop_closing(schema[key])
    for key, part in schema.items():
        if key in ("properties", "patternProperties"):
            for child in part.values():
                _open_branches(child)
        elif key in ("items", "additionalProperties"):
            _open_branches(part)


def _drop_closing(schema: object) -> None:
    if isinstance(schema, list):
        for part in schema:
            _drop_closing(part)
    elif isinstance(schema, dict):
        if schema.get("additionalProperties") is False:
            del schema["additionalProperties"]
        for part in schema.values():
            _drop_closing(part)


def _write(folder: pathlib.Path, group: str, kind: str, version: str, schema: dict) -> int:
    path = folder / group / f"{kind.lower()}_{version}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    path.write_text(json.dumps(whole, separators=(",", ":")))
    return 1
