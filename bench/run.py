"""The comparison: tidegate, nginx and haproxy side by side in one run, Envoy and LiteLLM with them on request
(`--peers tidegate,nginx,haproxy,envoy,litellm`). `./dev bench` builds the tools and calls this.

Results go to build/bench/*.jsonl as they come; the tables go to docs/benchmarks.md when every cell was run, else to
build/bench/benchmarks.md. No number makes the run fail. docs/benchmarks.md says how each figure is taken.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import http.client
import json
import pathlib
import platform
import signal
import subprocess
import sys
import time

import cells
import on_request
import processes
import report
from processes import BenchError, Haproxy, Machine, Mock, Nginx, NginxWithLog, Server, Tidegate

OUT = processes.ROOT / "build" / "bench"
DOCUMENT = processes.ROOT / "docs" / "benchmarks.md"
RELEASE = processes.ROOT / "build" / "release"
PEERS = ("tidegate", "nginx", "nginx+log", "haproxy")  # those of every run
ALL_PEERS = (*PEERS, *on_request.PEERS)
ALL_CELLS = (
    "req64", "req100k", "sse", "sse2", "lat1", "lat1awake", "lat200", "ttft", "ttftawake", "instructions",
    "idle", "hold1000", "hold9000", "flood50", "start10k", "cold",
)  # fmt: skip
WITH_DIRECT = ("req64", "lat1", "lat1awake", "lat200", "lat50", "ttft", "ttftawake")


class Record:
    """The JSON lines of this run."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.lines: list[dict] = []

    def add(self, **line) -> None:
        self.lines.append(line)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--cells", default="", help=f"comma-separated, of: {','.join((*ALL_CELLS, *cells.SLOW))}")
    parser.add_argument(
        "--peers",
        default=",".join(PEERS),
        help=f"comma-separated, of: {','.join(ALL_PEERS)}; nginx brings nginx+log with it; the last two are installed first",
    )
    parser.add_argument("--rounds", type=int, default=0, help="of the CPU and latency cells (default 5, quick 1)")
    parser.add_argument("--seconds", type=float, default=0, help="of one closed loop (default 2.5, quick 0.3)")
    parser.add_argument("--tidegate", type=pathlib.Path, default=RELEASE / "src" / "app" / "tidegate", metavar="PATH")
    parser.add_argument("--tools", type=pathlib.Path, default=RELEASE / "bench", help="folder of the two load tools")
    parser.add_argument("--out", type=pathlib.Path, help="the tables (default docs/benchmarks.md for a whole run)")
    parser.add_argument(
        "--quick", action="store_true", help="tiny rounds: shows that all works, its numbers say little"
    )
    parser.add_argument(
        "--profile", action="store_true", help="after the rounds, perf's view of each peer in each load"
    )
    parser.add_argument("--render", type=pathlib.Path, nargs="+", metavar="JSONL", help="only write the tables of runs")
    chosen = parser.parse_args()
    names = split(parser, "--peers", chosen.peers, ALL_PEERS)
    if "nginx" in names and "nginx+log" not in names:
        names.insert(names.index("nginx") + 1, "nginx+log")
    chosen.peers = names
    every = [*ALL_CELLS, *(cells.SLOW if any(slow(name) for name in names) else ())]
    chosen.cells = split(parser, "--cells", chosen.cells, (*ALL_CELLS, *cells.SLOW)) or every
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 5)
    return chosen


def split(parser: argparse.ArgumentParser, option: str, text: str, known: tuple[str, ...]) -> list[str]:
    words = [word for word in text.split(",") if word]
    for word in words:
        if word not in known:
            parser.error(f"{option}: '{word}' is none of {', '.join(known)}")
    return words


def slow(peer: str) -> bool:
    return peer in on_request.PEERS and on_request.PEERS[peer].saturates


def left_out(cell: str, peer: str) -> bool:
    return slow(peer) and cell in cells.TOO_FAST


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return ((done.stdout + done.stderr).strip().splitlines() or ["?"])[0]


def describe(machine: Machine, chosen: argparse.Namespace) -> dict:
    cpu = next(
        (line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    memory = pathlib.Path("/proc/meminfo").read_text().splitlines()[0].split()[1]
    versions = {}
    if "nginx" in chosen.peers:
        versions["nginx"] = first_line(processes.find_program("nginx"), "-v").removeprefix("nginx version: nginx/")
    if "haproxy" in chosen.peers:
        versions["haproxy"] = first_line(processes.find_program("haproxy"), "-v").split()[2]
    if "tidegate" in chosen.peers:
        versions["tidegate"] = first_line(str(chosen.tidegate), "--version").removeprefix("tidegate ")
        commit = first_line("git", "-C", str(processes.ROOT), "rev-parse", "--short=12", "HEAD")
        versions["tidegate"] += f" (commit {commit})"
    versions |= {name: on_request.PEERS[name].version() for name in chosen.peers if name in on_request.PEERS}
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": cpu,
        "cores": len(machine.all_cores),
        "memory_gib": round(int(memory) / (1 << 20)),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "?"),
        "proxy_core": machine.proxy_core,
        "clients_core": machine.clients_core,
        "real_time": machine.real_time,
        "open_files": machine.open_files,
        "rounds": chosen.rounds,
        "quick": chosen.quick,
        "versions": versions,
    }


class Run:
    def __init__(self, bench: cells.Bench, chosen: argparse.Namespace, record: Record):
        self.bench = bench
        self.chosen = chosen
        self.record = record

    def peer(self, name: str) -> Server:
        machine, upstream = self.bench.machine, self.bench.mock.port
        if name == "tidegate":
            return Tidegate(machine, self.bench.tidegate, upstream)
        kinds = {"nginx": Nginx, "nginx+log": NginxWithLog, "haproxy": Haproxy, **on_request.PEERS}
        return kinds[name](machine, upstream)

    def measure(self, cell: str, peer: str, number: int, take) -> None:
        """A measurement that cannot be taken is written down with its reason, and the run goes on."""
        try:
            values = take()
        except (BenchError, OSError, ValueError, http.client.HTTPException, subprocess.TimeoutExpired) as error:
            self.record.add(cell=cell, peer=peer, round=number, failed=str(error))
            say(f"{cell:12} {peer:10} round {number}: not measured: {error}")
            return
        self.record.add(cell=cell, peer=peer, round=number, **values)
        say(f"{cell:12} {peer:10} round {number}: {report.short(cell, values)}")

    def load_cells(self, wanted: list[str]) -> None:
        """All peers run; in each round each is measured once per cell."""
        loads = cells.loads(self.bench.times, self.chosen.quick)
        reason = cells.can_count_instructions() if "instructions" in wanted else ""
        if reason:
            self.record.add(cell="instructions", peer="all", round=1, failed=reason)
            say(f"instructions are not counted: {reason}")
        with contextlib.ExitStack() as stack:
            servers: list[Server] = []
            for name in self.chosen.peers:
                try:
                    server = stack.enter_context(self.peer(name))
                    processes.check_same_job(server, self.bench.mock)
                    servers.append(server)
                except BenchError as error:
                    self.record.add(cell="start", peer=name, round=0, failed=str(error))
                    say(f"{name} is left out: {error}")
            direct = None
            if any(cell in WITH_DIRECT for cell in wanted):
                direct = stack.enter_context(Mock(self.bench.machine, self.bench.tools, self.bench.machine.proxy_core))
            for number in range(1, self.chosen.rounds + 1):
                for cell in wanted:
                    if cell == "instructions":
                        continue
                    row = [direct, *servers] if direct is not None and cell in WITH_DIRECT else servers
                    for server in row:
                        if left_out(cell, server.name):
                            continue
                        self.measure(cell, server.name, number, lambda c=cell, s=server: loads[c].run(self.bench, s))
            if "instructions" in wanted and not reason:
                for server in servers:
                    self.measure("instructions", server.name, 1, lambda s=server: cells.instructions(self.bench, s))

            if self.chosen.profile:
                for cell in wanted:
                    for server in servers if cell in loads else []:
                        if left_out(cell, server.name):
                            continue
                        self.profile(cell, server, loads[cell])

    def profile(self, cell: str, server: Server, load: cells.Load) -> None:
        output = OUT / f"profile-{cell}-{server.name}.txt"
        try:
            cells.profile(self.bench, server, load, output)
            say(f"profile: {output.relative_to(processes.ROOT)}")
        except (BenchError, OSError, subprocess.TimeoutExpired) as error:
            say(f"profile of {server.name} in {cell}: not taken: {error}")

    def memory_cells(self, wanted: list[str]) -> None:
        takes = cells.memory_cells(self.bench.machine)
        for cell in wanted:
            for name in self.chosen.peers:
                if name == "nginx+log":
                    continue  # the same process as nginx as far as memory goes
                if left_out(cell, name):
                    continue

                def take(cell: str = cell, name: str = name) -> dict:
                    with self.peer(name) as server:
                        return takes[cell](self.bench, server)

                self.measure(cell, name, 1, take)

    def own_cells(self, wanted: list[str]) -> None:
        if "start10k" in wanted:
            self.measure("start10k", "tidegate", 1, lambda: cells.first_answer(self.bench))
        if "cold" in wanted:
            self.measure("cold", "tidegate", 1, lambda: cells.cold_start(self.bench))

    def all(self) -> None:
        wanted = self.chosen.cells
        if some := [cell for cell in wanted if cell in cells.loads(self.bench.times, False) or cell == "instructions"]:
            self.load_cells(some)
        if some := [cell for cell in wanted if cell in cells.memory_cells(self.bench.machine)]:
            self.memory_cells(some)
        if "tidegate" in self.chosen.peers:
            self.own_cells(wanted)


def run(chosen: argparse.Namespace) -> list[dict]:
    for tool in ("mock_upstream", "load_generator"):
        if not (chosen.tools / tool).exists():
            raise BenchError(f"{chosen.tools / tool} does not exist\nhint: ./dev build release {tool}")
    if "tidegate" in chosen.peers and not chosen.tidegate.exists():
        raise BenchError(
            f"{chosen.tidegate} does not exist\nhint: ./dev build release tidegate, or --peers nginx,haproxy"
        )
    machine = Machine()
    if not machine.real_time:
        say("the real-time class is not permitted here: other work on the machine will disturb the figures more")
    times = cells.QUICK if chosen.quick else cells.FULL
    if chosen.seconds:
        times = dataclasses.replace(times, cell_s=chosen.seconds)
    OUT.mkdir(parents=True, exist_ok=True)
    record = Record(OUT / time.strftime("run-%Y%m%d-%H%M%S.jsonl", time.gmtime()))
    record.add(machine=describe(machine, chosen) | {"seconds": times.cell_s})
    say(f"results: {record.path.relative_to(processes.ROOT)}")
    with Mock(machine, chosen.tools, machine.clients_core) as mock:
        bench = cells.Bench(machine, chosen.tools, mock, times, chosen.tidegate.resolve(), chosen.quick)
        Run(bench, chosen, record).all()
    return record.lines


def main() -> int:
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes are ended
    try:
        if chosen.render:
            lines = [json.loads(line) for path in chosen.render for line in path.read_text().splitlines()]
        else:
            lines = run(chosen)
    except BenchError as error:
        say(f"bench: {error}")
        return 2
    whole = not chosen.quick and set(chosen.cells) == set(ALL_CELLS) and set(chosen.peers) == set(PEERS)
    out = chosen.out or (DOCUMENT if whole else OUT / "benchmarks.md")
    report.write(lines, out)
    print(report.ratios(lines))
    say(f"tables: {out}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
