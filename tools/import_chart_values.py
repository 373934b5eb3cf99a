#!/usr/bin/env python3
"""Makes test/oracles/values/ from a folder of facts about charts.

usage: tools/import_chart_values.py [--add] FOLDER [OUT]

FOLDER holds NAME.json, the tree of the keys that a chart reads: {chart, version, appVersion, values: NODE}. NODE says
`type`, `properties`, `open` (free-form below), `enum`, `schemaType` and more. OUT (default test/oracles/values) gets
charts.json.xz, chart name -> {version, appVersion, values}, less what no check needs (defaults, origins). With --add the
charts that OUT has stay, unless FOLDER names them too.
"""

from __future__ import annotations

import json
import lzma
import pathlib
import sys

KEPT = ("type", "open", "closed", "schemaType", "enum", "minimum", "maximum")


def compact(node: dict) -> dict:
    out = {key: node[key] for key in KEPT if key in node}
    if "properties" in node:
        out["properties"] = {name: compact(child) for name, child in node["properties"].items()}
    return out


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
    for path in sorted(pathlib.Path(arguments[0]).glob("*.json")):
        chart = json.loads(path.read_text())
        charts[path.stem] = {
            "version": chart["version"],
            "appVersion": chart.get("appVersion"),
            "values": compact(chart["values"]),
        }
    if not charts:
        print(f"{arguments[0]}: holds no NAME.json", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(charts, sort_keys=True, separators=(",", ":"))
    file.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{file}: {len(charts)} charts, {file.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
