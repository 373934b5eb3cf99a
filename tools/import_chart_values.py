#!/usr/bin/env python3
"""Makes test/oracles/values/ from a folder of facts about charts.

usage: tools/import_chart_values.py [--add] FOLDER [OUT]

FOLDER holds NAME.json, the tree of the keys that a chart reads: {chart, version, appVersion, values: NODE}. NODE says
`type`, `properties`, `open` (free-form below), `enum`, `schemaType` and more. Or FOLDER is one chart, with its Chart.yaml:
its tree is what its values and those of the charts in it name, and what its templates read. OUT (default test/oracles/values) gets
charts.json.xz, chart name -> {version, appVersion, values}, less what no check needs (defaults, origins). With --add the
charts that OUT has stay, unless FOLDER names them too.
"""

from __future__ import annotations

import json
import lzma
import pathlib
import re
import sys

import yaml

KEPT = ("type", "open", "closed", "schemaType", "enum", "minimum", "maximum")


def compact(node: dict) -> dict:
    out = {key: node[key] for key in KEPT if key in node}
    if "properties" in node:
        out["properties"] = {name: compact(child) for name, child in node["properties"].items()}
    return out


TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", type(None): "null"}
READ = re.compile(r"\.Values\.([A-Za-z_][\w.]*)")
# What a template does to a map that it hands on without looking into it.
WHOLE = re.compile(r"\b(toYaml|toJson|with|range)\b")


def node(value: object) -> dict:
    if isinstance(value, dict):
        below = {str(key): node(child) for key, child in value.items()}
        return {"type": "object", "properties": below, **({} if below else {"open": True})}
    return {"type": TYPES.get(type(value), "any")}


def note_reads(tree: dict, text: str) -> None:
    """Adds the keys that a template reads, and opens the maps that it hands on."""
    for line in text.splitlines():
        for path in READ.findall(line):
            at = tree
            for key in path.strip(".").split("."):
                if at["type"] != "object":
                    break
                at = at["properties"].setdefault(key, {"type": "any"})
            else:
                if at["type"] == "object" and WHOLE.search(line):
                    at["open"] = True


def of_chart(folder: pathlib.Path) -> dict:
    """The facts of one chart, as NAME.json would have them."""
    about = yaml.safe_load((folder / "Chart.yaml").read_text())
    values = folder / "values.yaml"
    tree = node((yaml.safe_load(values.read_text()) if values.exists() else None) or {})
    for path in sorted(folder.glob("templates/**/*")):
        if path.is_file():
            note_reads(tree, path.read_text())
    for inner in sorted(folder.glob("charts/*/Chart.yaml")):
        below = of_chart(inner.parent)
        merge(tree["properties"].setdefault(below["chart"], {"type": "object", "properties": {}}), below["values"])
    return {"chart": about["name"], "version": about["version"], "appVersion": about.get("appVersion"), "values": tree}


def merge(tree: dict, more: dict) -> None:
    for key, child in more.get("properties", {}).items():
        here = tree["properties"].setdefault(key, child)
        if here is not child and here["type"] == child["type"] == "object":
            merge(here, child)


def main(arguments: list[str]) -> int:
    add = arguments[:1] == ["--add"]
    arguments = arguments[1:] if add else arguments
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    default = pathlib.Path(__file__).resolve().parent.parent / "test/oracles/values"
    out = pathlib.Path(arguments[1]) if len(arguments) == 2 else default
    file = out / "charts.json.xz"
    charts = json.loads(lzma.decompress(file.read_bytes())) if add else {}
    folder = pathlib.Path(arguments[0])
    if (folder / "Chart.yaml").exists():
        chart = of_chart(folder)
        found = {chart["chart"]: chart}
    else:
        found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    for name, chart in found.items():
        charts[name] = {
            "version": chart["version"],
            "appVersion": chart.get("appVersion"),
            "values": compact(chart["values"]),
        }
    if not charts:
        print(f"{folder}: holds no NAME.json and is no chart", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(charts, sort_keys=True, separators=(",", ":"))
    file.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{file}: {len(charts)} charts, {file.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
