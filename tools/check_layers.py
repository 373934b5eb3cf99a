#!/usr/bin/env python3
"""Checks the house: each folder of src/ includes only folders below it, and each header compiles alone.

usage: tools/check_layers.py [--root DIR] [--jobs N] [--includes-only]

Prints one line per finding, `file:line: message`, and ends with status 1 when there is one. A header that compiled
alone is remembered by the digest of its text and of every file it includes from src/, so a second run is quick.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import hashlib
import pathlib
import re
import subprocess
import sys

# Lower folders first. A folder may include itself and those to its left, less the pairs below. A folder that stands in
# src/ and not here is an error: a new folder gets its place on purpose.
ORDER = (
    "base", "net", "http", "text", "spec", "catalog", "verify", "render", "ledger", "scale", "replica", "gateway", "runtime", "admin", "app",
)  # fmt: skip
FORBIDDEN = {("gateway", "runtime"), ("runtime", "gateway"), ("verify", "render"), ("render", "verify")}
# These are functions of values: no socket, no event loop.
FORBIDDEN |= {
    (pure, edge) for pure in ("text", "spec", "catalog", "verify", "render", "scale") for edge in ("net", "http")
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)
COMPILE = (
    "g++-12",
    "-std=c++23",
    "-fsyntax-only",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wconversion",
    "-Werror",
    "-x",
    "c++",
)


def allowed(user: str, used: str) -> bool:
    """True when folder `user` may include folder `used`."""
    if user == used:
        return True
    return (user, used) not in FORBIDDEN and ORDER.index(used) < ORDER.index(user)


def includes(path: pathlib.Path) -> list[tuple[int, str, str]]:
    """(line, quote, name) of each include directive."""
    text = path.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in INCLUDE.finditer(text)]


def sources(src: pathlib.Path) -> list[pathlib.Path]:
    return sorted(p for p in src.rglob("*") if p.suffix in (".hpp", ".cpp", ".h"))


def layer_findings(src: pathlib.Path) -> list[str]:
    """Upward and forbidden includes, and includes that are not written as "folder/file.hpp"."""
    found = []
    folders = {p.name for p in src.iterdir() if p.is_dir()}
    for name in sorted(folders - set(ORDER)):
        found.append(f"{src / name}: folder {name}/ has no place in the order of folders (ORDER in {__file__})")
    for path in sources(src):
        user = path.relative_to(src).parts[0]
        if user not in ORDER:
            continue
        for line, quote, name in includes(path):
            used = name.split("/", 1)[0] if "/" in name else None
            ours = used in ORDER and (quote == '"' or (src / name).exists())
            if quote == '"' and not ours:
                beside = (path.parent / name).exists()
                hint = f'write "{user}/{name}"' if beside else "write <…> for a file that is not ours"
                found.append(f'{path}:{line}: include "{name}" is not of the form "folder/file.hpp"; {hint}')
            elif ours and not (src / name).exists():
                found.append(f'{path}:{line}: include "{name}": there is no such file in src/')
            elif ours and not allowed(user, used):
                way = "forbidden" if (user, used) in FORBIDDEN else "upward"
                found.append(f'{path}:{line}: {way} include "{name}": {user}/ may not use {used}/')
    return found


class Alone:
    """Compiles headers alone and remembers the good ones below build/."""

    def __init__(self, root: pathlib.Path):
        self.src = root / "src"
        self.seen = root / "build" / "headers_alone"
        self.seen.mkdir(parents=True, exist_ok=True)

    @functools.cache  # noqa: B019  one object per run
    def closure(self, path: pathlib.Path) -> frozenset[pathlib.Path]:
        """The header and every file of ours that it reaches."""
        reached, todo = {path}, [path]
        while todo:
            for _, _, name in includes(todo.pop()):
                other = self.src / name
                if other.is_file() and other not in reached:
                    reached.add(other)
                    todo.append(other)
        return frozenset(reached)

    def digest(self, path: pathlib.Path) -> str:
        h = hashlib.sha256(" ".join(COMPILE).encode())
        for part in sorted(self.closure(path)):
            h.update(str(part.relative_to(self.src)).encode() + b"\0" + part.read_bytes() + b"\0")
        return h.hexdigest()

    def finding(self, path: pathlib.Path) -> str | None:
        mark = self.seen / self.digest(path)
        if mark.exists():
            return None
        # Included from a file of nothing else: `#pragma once in main file` would be a warning otherwise.
        text = f'#include "{path.relative_to(self.src)}"\n'
        run = subprocess.run([*COMPILE, f"-I{self.src}", "-"], input=text, capture_output=True, text=True, check=False)
        if run.returncode:
            first = [line for line in run.stderr.splitlines() if "error:" in line][:3] or run.stderr.splitlines()[:3]
            return f"{path}:1: header does not compile alone\n  " + "\n  ".join(first)
        mark.touch()
        return None


def header_findings(root: pathlib.Path, jobs: int) -> list[str]:
    alone = Alone(root)
    headers = [p for p in sources(root / "src") if p.suffix in (".hpp", ".h")]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return [f for f in pool.map(alone.finding, headers) if f]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--includes-only", action="store_true", help="do not compile headers")
    args = parser.parse_args()
    root = args.root.resolve()
    found = layer_findings(root / "src")
    if not args.includes_only:
        found += header_findings(root, args.jobs)
    for line in found:
        print(line.replace(f"{root}/", ""))
    print(f"layers: {len(sources(root / 'src'))} files, {len(found)} findings", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
