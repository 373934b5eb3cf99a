"""Writes docs/coverage.md from requirements.yaml: row, where it is met, what proves it, state."""

from __future__ import annotations

import pathlib

import yaml
from assertions import Loader

ROOT = pathlib.Path(__file__).resolve().parents[2]


def state(entry) -> str:
    if isinstance(entry, list):
        return "asserted"
    for key in ("missing", "cluster", "test", "instead"):
        if key in entry:
            return {
                "missing": "missing",
                "cluster": "needs a cluster",
                "test": "tested",
                "instead": "judged otherwise",
            }[key]
    return "asserted"


def proof(entry) -> str:
    entries = entry if isinstance(entry, list) else entry.get("assert", [])
    lines = [
        f"`{e['tree']}` `{e['file']}` {e.get('object', '')} `{e.get('at', '')}`".replace(" ``", "") for e in entries
    ]
    if isinstance(entry, dict):
        for key, text in (("test", "`{}`"), ("cluster", "{}"), ("instead", "{}"), ("missing", "{}")):
            if key in entry:
                lines.append(text.format(entry[key]))
    return "<br>".join(line.replace("|", "\\|") for line in lines)


def main() -> None:
    rows = yaml.load((ROOT / "test/coverage/requirements.yaml").read_text(encoding="utf-8"), Loader=Loader)
    counts: dict[str, int] = {}
    for entry in rows.values():
        counts[state(entry)] = counts.get(state(entry), 0) + 1
    lines = [
        "# Coverage of the requirements",
        "",
        "Written by `test/coverage/report.py` from `test/coverage/requirements.yaml`; `test/coverage/test_coverage.py` runs every",
        "assertion and breaks each on purpose. *Asserted*: a value in a rendered tree. *Tested*: by the named test. *Judged",
        "otherwise*: the row is wrong today, the text says what stands instead. *Needs a cluster*: only a running one can prove it.",
        "",
        "| state | rows |",
        "|---|---|",
        *[f"| {name} | {count} |" for name, count in sorted(counts.items())],
        "",
        "| row | state | where, proof |",
        "|---|---|---|",
        *[f"| {name} | {state(entry)} | {proof(entry)} |" for name, entry in sorted(rows.items())],
    ]
    (ROOT / "docs/coverage.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
