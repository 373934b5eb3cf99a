#!/usr/bin/env python3
"""Makes test/oracles/crds/ from a folder of CustomResourceDefinition facts.

usage: tools/import_crds.py [--add] FOLDER [OUT]

FOLDER holds GROUP/VERSION/KIND.json, each one version of one definition (names, scope, served, storage, subresources,
and `schema`, the structural schema), and kubernetes-VERSION.json.gz, the OpenAPI definitions of Kubernetes itself. It may
hold *.yaml too: whole definitions as projects publish them, of which the prose is left out.
OUT (default test/oracles/crds) gets GROUP.json.xz, a list of whole definitions as an API server takes them, and a copy
of the OpenAPI file. Bytes depend on the facts alone. With --add the groups that OUT has stay, unless FOLDER names them
too, and FOLDER needs no OpenAPI file.
"""

from __future__ import annotations

import collections
import gzip
import json
import lzma
import pathlib
import sys
from collections.abc import Iterator

import yaml

# Groups that no platform writes objects of: caches and inner states of operators, and products that are not offered.
LEFT_OUT = {
    "aga.k8s.aws",
    "agent.k8s.elastic.co",
    "apm.k8s.elastic.co",
    "autoops.k8s.elastic.co",
    "autoscaling.k8s.elastic.co",
    "beat.k8s.elastic.co",
    "connection.gatekeeper.sh",
    "disaggregatedset.x-k8s.io",
    "enterprisesearch.k8s.elastic.co",
    "groupsnapshot.storage.k8s.io",
    "hub.traefik.io",
    "leaderworkerset.x-k8s.io",
    "maps.k8s.elastic.co",
    "packageregistry.k8s.elastic.co",
    "stackconfigpolicy.k8s.elastic.co",
    "status.gatekeeper.sh",
}
# An API server refuses definitions of the protected groups without a word about their approval.
PROTECTED = ("k8s.io", "kubernetes.io")
APPROVAL = {"api-approved.kubernetes.io": "unapproved, a copy for tests"}
OF_VERSION = ("served", "storage", "deprecated", "deprecationWarning", "subresources", "selectableFields")


def versions_in(text: str) -> Iterator[dict]:
    """Each version of each CustomResourceDefinition of a YAML text."""
    for found in yaml.load_all(text, yaml.CSafeLoader):
        if (found or {}).get("kind") != "CustomResourceDefinition":
            continue
        spec = found["spec"]
        for version in spec["versions"]:
            schema = without_prose(version["schema"]["openAPIV3Schema"])
            kept = {key: version[key] for key in OF_VERSION if key in version}
            yield {
                **spec["names"],
                **kept,
                "group": spec["group"],
                "scope": spec["scope"],
                "version": version["name"],
                "schema": schema,
            }


def without_prose(schema: dict) -> dict:
    """A copy of a structural schema without descriptions; a property of that name stays."""
    out = {key: value for key, value in schema.items() if key != "description"}
    for key in ("items", "additionalProperties", "not"):
        if isinstance(out.get(key), dict):
            out[key] = without_prose(out[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in out:
            out[key] = [without_prose(part) for part in out[key]]
    if "properties" in out:
        out["properties"] = {name: without_prose(part) for name, part in out["properties"].items()}
    return out


def definition(group: str, versions: list[dict]) -> dict:
    """One CustomResourceDefinition of its versions; names are those of the stored one."""
    stored = next(v for v in versions if v["storage"])
    names = {
        k: stored[k] for k in ("plural", "singular", "kind", "listKind", "shortNames", "categories") if stored.get(k)
    }
    metadata: dict = {"name": f"{stored['plural']}.{group}"}
    if group.endswith(PROTECTED):
        metadata["annotations"] = APPROVAL
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": group,
            "names": names,
            "scope": stored["scope"],
            "versions": [
                {
                    "name": v["version"],
                    "schema": {"openAPIV3Schema": v["schema"]},
                    **{k: v[k] for k in OF_VERSION if k in v},
                }
                for v in sorted(versions, key=lambda v: v["version"])
            ],
        },
    }


def import_groups(source: pathlib.Path, out: pathlib.Path) -> dict[str, int]:
    """Group -> number of its definitions."""
    found: dict[str, dict[str, list[dict]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    versions = [json.loads(path.read_text()) for path in sorted(source.glob("*/*/*.json"))]
    for path in sorted(source.glob("*.yaml")):
        versions += versions_in(path.read_text())
    for version in versions:
        if version["group"] not in LEFT_OUT:
            found[version["group"]][version["plural"]].append(version)
    for group, kinds in found.items():
        definitions = [definition(group, kinds[plural]) for plural in sorted(kinds)]
        text = json.dumps(definitions, sort_keys=True, separators=(",", ":"))
        (out / f"{group}.json.xz").write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    return {group: len(kinds) for group, kinds in found.items()}


def main(arguments: list[str]) -> int:
    add = arguments[:1] == ["--add"]
    arguments = arguments[1:] if add else arguments
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    source = pathlib.Path(arguments[0])
    default = pathlib.Path(__file__).resolve().parent.parent / "test/oracles/crds"
    out = pathlib.Path(arguments[1]) if len(arguments) == 2 else default
    openapi = sorted(source.glob("kubernetes-*.json.gz"))
    if not (openapi or add) or not (any(source.glob("*/*/*.json")) or any(source.glob("*.yaml"))):
        print(
            f"{source}: holds no GROUP/VERSION/KIND.json or *.yaml, or no kubernetes-VERSION.json.gz", file=sys.stderr
        )
        return 1
    out.mkdir(parents=True, exist_ok=True)
    if not add:
        for old in [*out.glob("*.json.xz"), *out.glob("kubernetes-*.json.gz")]:
            old.unlink()
    groups = import_groups(source, out)
    if not groups:
        print(f"{source}: defines nothing", file=sys.stderr)
        return 1
    if openapi:
        text = gzip.decompress(openapi[-1].read_bytes())
        (out / openapi[-1].name).write_bytes(gzip.compress(text, mtime=0))
    size = sum(p.stat().st_size for p in out.iterdir())
    print(f"{out}: {len(groups)} groups, {sum(groups.values())} definitions, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
