"""Values files against the keys that their chart reads (test/oracles/values/, made by tools/import_chart_values.py)."""

from __future__ import annotations

import difflib
import functools
import json
import lzma
import pathlib
from collections.abc import Iterator

import yaml
from lib import kube_facts
from lib.oracles import Problem

FILE = pathlib.Path(__file__).resolve().parent.parent / "oracles/values/charts.json.xz"
# What a chart's own schema may ask for, by its JSON type.
TYPES = {
    "string": (str,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "integer": (int,),
    "number": (int, float),
}

# Keys that a chart hands on whole although its own values name some below them.
HANDED_ON = {("istiod", "meshConfig"): "merged into the mesh's own configuration"}


@functools.cache
def charts() -> dict:
    """Chart name -> {version, appVersion, values}."""
    return json.loads(lzma.decompress(FILE.read_bytes()))


class ChartValues:
    """check(what, chart="cert-manager"): unknown keys, and values that the chart's own schema would refuse.

    A key is unknown when its parent is an object that is neither open nor of type any, and has no such property.
    """

    name = "chart values"

    def available(self) -> str | None:
        return None

    def check(self, what: pathlib.Path | str | dict, *, chart: str, version: str | None = None) -> list[Problem]:
        known = charts().get(chart)
        if known is None:
            return [Problem(self.name, chart, "the keys of this chart are not known here")]
        if version is not None and version.lstrip("v") != known["version"].lstrip("v"):
            return [
                Problem(self.name, chart, f"version {version} is asked for, the keys known are of {known['version']}")
            ]
        if isinstance(what, pathlib.Path):
            what = what.read_text()
        if isinstance(what, str):
            what = yaml.load(what, kube_facts.StrictLoader)
        return [
            Problem(self.name, f"{chart}: {path}", message)
            for path, message in _walk(what or {}, known["values"], "")
            if (chart, path.split(".")[0]) not in HANDED_ON
        ]


def _walk(value: object, node: dict, path: str) -> Iterator[tuple[str, str]]:
    where = path or "."
    yield from ((where, message) for message in _type_findings(value, node))
    if not isinstance(value, dict):
        return
    properties = node.get("properties", {})
    free = node.get("type") != "object" or node.get("open", False)
    for key, child in value.items():
        below = f"{path}.{key}" if path else str(key)
        if key in properties:
            yield from _walk(child, properties[key], below)
        elif not free or node.get("closed"):
            near = difflib.get_close_matches(str(key), properties, 1)
            yield below, "the chart reads no such key" + (f"; {near[0]}?" if near else "")


def _type_findings(value: object, node: dict) -> Iterator[str]:
    if value is None:
        return
    wanted = node.get("schemaType")
    wanted = [wanted] if isinstance(wanted, str) else wanted or []
    allowed = tuple(t for w in wanted for t in TYPES.get(w, ()))
    if allowed and not (isinstance(value, allowed) and (not isinstance(value, bool) or bool in allowed)):
        yield f"{json.dumps(value)[:60]} is no {' or '.join(wanted)}"
    if "enum" in node and value not in node["enum"]:
        yield f"{value!r} is none of {node['enum']}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if "minimum" in node and value < node["minimum"]:
            yield f"{value} is below {node['minimum']}"
        if "maximum" in node and value > node["maximum"]:
            yield f"{value} is above {node['maximum']}"


chart_values = ChartValues()
