"""How long `tidegate render` takes over the size of a platform: `./dev bench render`.

Documents of growing size are made here: a Platform with many apps, Tenants and edges between them. Each is rendered
several times by the release build; the table goes to the section "Render" of docs/benchmarks.md, the rest of the page
stays. No number makes the run fail.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
SIZES = (1_000, 5_000, 10_000, 50_000)  # objects
APPS_PER_TENANT = 25
GOAL_MS = 100  # of CPU for 1,000 objects

METHOD = """\
`./dev bench render`, release build. The documents are made by `bench/render.py`: a Platform on a cluster that is there
(`existing`), with all default components, and apps that call each other in chains of five whose first is published,
scaled by processor use, one Tenant for each {per_tenant} of them. *Objects* are the Kubernetes objects in the written tree, those of charts not
counted. *In memory* is `render --only plan.json`: reading, every check, the whole tree with its digests, one file
written. *Written* writes all files, to a folder in memory. Both are user and system time of the whole process, starting it included, the
median of {rounds} runs that follow each other; *memory* is the largest resident size, also from `wait4`."""


def platform(apps: int) -> list[str]:
    """Documents as files: the Platform cut at a size that one file may have."""
    head = "apiVersion: tidegate.dev/v1alpha1\nkind: {}\nmetadata: {{name: {}}}\nspec:\n"
    tenants = max(1, apps // APPS_PER_TENANT)
    files = []
    for begin in range(0, max(apps, 1), 2_000):
        text = head.format("Platform", "big")
        if begin == 0:
            text += "  domain: example.com\n  contacts: {email: ops@example.com}\n  infrastructure: {existing: {context: big}}\n"
        text += "  apps:\n" if apps else ""
        for n in range(begin, min(begin + 2_000, apps)):
            uses = f"uses: [app-{n - 1}]" if n % 5 else f"hosts: [app-{n}.example.com]"
            text += (
                f"    app-{n}: {{image: registry.example.com/team/app-{n}:1.0.{n}, port: 8080, "
                f"tenant: tenant-{n % tenants}, scale: {{cpu: 70%}}, {uses}}}\n"
            )
        files.append(text)
    roles = "roles: {dev: {groups: [dev], can: [view, logs]}}"
    files.append(
        "---\n".join(
            head.format("Tenant", f"tenant-{n}") + f"  quota: {{pods: 500}}\n  {roles}\n" for n in range(tenants)
        )
    )
    return files


def run(binary: pathlib.Path, arguments: list[str]) -> tuple[float, float]:
    """CPU milliseconds and largest resident MiB of one run."""
    process = subprocess.Popen([str(binary), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"bench: {binary} {' '.join(arguments)}:\n{said.decode()[:4000]}")
    return (usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss / 1024


def objects_in(tree: pathlib.Path) -> int:
    """Documents with a kind, of all manifests."""
    count = 0
    for path in tree.rglob("*.yaml"):
        if path.name not in ("values.yaml", "chart.yaml"):
            count += path.read_bytes().count(b"\nkind: ")
    return count


class Bench:
    def __init__(self, binary: pathlib.Path, folder: pathlib.Path, rounds: int):
        self.binary, self.folder, self.rounds = binary, folder, rounds

    def flags(self, apps: int) -> list[str]:
        documents = self.folder / f"documents-{apps}"
        documents.mkdir(exist_ok=True)
        out = []
        for n, text in enumerate(platform(apps)):
            path = documents / f"{n:03}.yaml"
            path.write_text(text)
            out += ["-f", str(path)]
        return out

    def objects(self, apps: int) -> int:
        tree = self.folder / "tree"
        run(self.binary, ["render", *self.flags(apps), "-o", str(tree)])
        count = objects_in(tree)
        shutil.rmtree(tree)
        return count

    def measure(self, apps: int) -> dict:
        flags, tree, part = self.flags(apps), self.folder / "tree", self.folder / "part"
        memory, written, largest = [], [], 0.0
        for _ in range(self.rounds):
            cpu, size = run(self.binary, ["render", *flags, "--only", "plan.json", "-o", str(part)])
            memory.append(cpu)
            largest = max(largest, size)
            shutil.rmtree(tree, ignore_errors=True)
            cpu, size = run(self.binary, ["render", *flags, "-o", str(tree)])
            written.append(cpu)
            largest = max(largest, size)
        files = sum(1 for p in tree.rglob("*") if p.is_file())
        result = {
            "apps": apps,
            "objects": objects_in(tree),
            "files": files,
            "bytes": sum(p.stat().st_size for p in tree.rglob("*") if p.is_file()),
            "memory_ms": statistics.median(memory),
            "written_ms": statistics.median(written),
            "mib": largest,
        }
        shutil.rmtree(tree)
        shutil.rmtree(part)
        return result


def row(line: dict, smallest: dict) -> list[str]:
    per_object = line["memory_ms"] / line["objects"]
    return [
        f"{line['objects']:,}",
        f"{line['apps']:,}",
        f"{line['files']:,}",
        f"{line['bytes'] / 1e6:.1f} MB",
        f"{line['memory_ms']:,.0f} ms",
        f"{1000 * per_object:.0f} µs",
        f"{per_object / (smallest['memory_ms'] / smallest['objects']):.2f}x",
        f"{line['written_ms']:,.0f} ms",
        f"{line['mib']:,.0f} MiB",
    ]


def section(lines: list[dict], rounds: int, binary: pathlib.Path) -> str:
    smallest = lines[0]
    version = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    met = "met" if smallest["memory_ms"] < GOAL_MS else "**missed**"
    return "\n".join(
        [
            f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, {version}. Goal: 1,000 objects in less than "
            f"{GOAL_MS} ms of CPU: {smallest['memory_ms']:.0f} ms, {met}.\n",
            report.table(
                ["objects", "apps", "files", "size", "in memory", "per object", "to the first", "written", "memory"],
                [row(line, smallest) for line in lines],
            ),
            METHOD.format(per_tenant=APPS_PER_TENANT, rounds=rounds),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench render", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--tidegate", type=pathlib.Path, default=ROOT / "build/release/src/app/tidegate", metavar="PATH"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of objects, comma-separated")
    parser.add_argument("--out", type=pathlib.Path, default=DOCUMENT, help="the page whose section is written")
    chosen = parser.parse_args()
    # In memory where that can be: the time of disks is not the point.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tidegate-render-", dir=place) as folder:
        bench = Bench(chosen.tidegate.resolve(), pathlib.Path(folder), chosen.rounds)
        few, more = bench.objects(APPS_PER_TENANT), bench.objects(5 * APPS_PER_TENANT)
        each = (more - few) / (4 * APPS_PER_TENANT)
        lines = []
        for size in map(int, chosen.sizes.split(",")):
            apps = max(1, round((size - few) / each) + APPS_PER_TENANT)
            lines.append(bench.measure(apps))
            print(" | ".join(row(lines[-1], lines[0])), file=sys.stderr, flush=True)
    report.write_render(section(lines, chosen.rounds, bench.binary), chosen.out)


if __name__ == "__main__":
    main()
