"""Which processes are there, told apart by pid and start time, so that a used-again pid is not taken for an old one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal

from lib.wait import until


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    start: int  # field 22 of /proc/PID/stat

    def alive(self) -> bool:
        """A zombie is dead: it waits only for its parent."""
        found = read_stat(self.pid)
        return found is not None and found[0] == self.start and found[2] not in "ZX"

    def send(self, number: int) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def command_line(self) -> str:
        with contextlib.suppress(OSError):
            return pathlib.Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return "gone"


def read_stat(pid: int) -> tuple[int, int, str] | None:
    """(start time, parent, state)"""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rsplit(")", 1)[1].split()
    return int(fields[19]), int(fields[1]), fields[0]


def identify(pid: int) -> Process:
    found = read_stat(pid)
    assert found, f"no process {pid}"
    return Process(pid, found[0])


def descendants(pid: int) -> list[Process]:
    """Of this process, without itself."""
    children: dict[int, list[Process]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := read_stat(int(entry))):
            children.setdefault(found[1], []).append(Process(int(entry), found[0]))
    out, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            out.append(child)
            todo.append(child.pid)
    return out


@dataclasses.dataclass(frozen=True)
class Replica:
    model: str
    supervisor: Process
    engine: Process


def replicas(data: pathlib.Path) -> list[Replica]:
    """What DIR/run says about engines, oldest first."""
    out = []
    paths = sorted((data / "run").glob("replica-*.json"), key=lambda p: int(p.stem.split("-")[1]))
    for path in paths:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            found = json.loads(path.read_text())
            pair = [Process(found[name]["pid"], found[name]["start"]) for name in ("supervisor", "engine")]
            out.append(Replica(found["model"], *pair))
    return out


def all_gone(processes: list[Process], bound: float) -> None:
    """Fails with the command lines of those that are still there after `bound` seconds."""
    try:
        until("processes end", lambda: not any(p.alive() for p in processes), bound, 0.02)
    except AssertionError:
        left = [f"{p.pid}: {p.command_line()}" for p in processes if p.alive()]
        if left:
            raise AssertionError(f"alive after {bound:g} s: {left}") from None
