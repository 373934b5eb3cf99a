"""The cells: what is measured, and how one measurement of one peer is taken."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable

import processes
from processes import BenchError, Machine, Mock, Server, Tidegate

EVENT_PAUSE_FOR_EVER_US = 3_600_000_000
FLOOD_STREAMS = 50
FLOOD_BYTES = 4 << 20
CHUNK_BYTES = 200
COLD_STARTS = 5
KEYS = 10_000


@dataclasses.dataclass(frozen=True)
class Times:
    """How long things take in this run."""

    cell_s: float  # one measurement of a closed loop
    warm_up_s: float
    idle_s: float
    flood_s: float
    settle_s: float
    first_answers: int  # starts in the cell of that name


FULL = Times(cell_s=2.5, warm_up_s=0.5, idle_s=10, flood_s=8, settle_s=1, first_answers=20)
QUICK = Times(cell_s=0.3, warm_up_s=0.1, idle_s=1, flood_s=1.5, settle_s=0.3, first_answers=3)


@dataclasses.dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    machine: Machine
    tools: pathlib.Path
    mock: Mock
    times: Times
    tidegate: pathlib.Path
    quick: bool

    def generator(self, mode: str, server: Server, *options: str) -> list[str]:
        target = f"127.0.0.1:{server.port}"
        return [str(self.tools / "load_generator"), mode, "--target", target, "--key", server.key, *options]

    def generate(self, mode: str, server: Server, *options: str) -> dict:
        """Runs the load generator to its end."""
        command = self.generator(mode, server, *options)
        process = self.machine.spawn(
            self.machine.clients_core, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            out, err = process.communicate(timeout=180)
        finally:
            process.kill()
        if process.returncode != 0:
            raise BenchError(f"load generator, {mode} on {server.name}: {err.strip() or process.returncode}")
        return json.loads(out)

    def control(self, server: Server, **values: int) -> None:
        """Sets the upstream that `server` speaks to."""
        (server if isinstance(server, Mock) else self.mock).set(**values)


# --- CPU and latency: processes that stay, all peers once per round --------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Load:
    """One run of the load generator against a warm peer."""

    mode: str
    options: tuple[str, ...]
    warm_up: tuple[str, ...]  # of mode req, and for sse with one connection of mode sse
    stream: dict[str, int] = dataclasses.field(default_factory=dict)
    timed: bool = False  # takes --seconds of the run
    unit: str = "good"  # the field of the generator's output that the CPU is divided by
    awake: bool = False  # no core sleeps meanwhile

    def run(self, bench: Bench, server: Server) -> dict:
        with processes.stay_awake(bench.machine) if self.awake else contextlib.nullcontext():
            return self.measure(bench, server)

    def measure(self, bench: Bench, server: Server) -> dict:
        if self.stream:
            bench.control(server, **self.stream)
        warm_up_mode = "sse" if "--repeat" in self.warm_up else "req"
        bench.generate(warm_up_mode, server, *self.warm_up)
        options = (*self.options, "--seconds", str(bench.times.cell_s)) if self.timed else self.options
        pids = server.pids()
        # What a peer puts off (a journal's sync, a log's buffer) is counted with the load that caused it.
        server.settle(pids)
        before, before_parts, begin = server.cpu_ns(pids), processes.user_and_system_s(pids), time.monotonic()
        result = bench.generate(self.mode, server, *options)
        elapsed = time.monotonic() - begin
        server.settle(pids)
        cpu = server.cpu_ns(pids) - before
        user, system = (b - a for a, b in zip(before_parts, processes.user_and_system_s(pids), strict=True))
        units = result[self.unit]
        if units == 0:
            raise BenchError(f"{server.name}: nothing was answered, first error: {result['first_error']}")
        return {
            **result,
            "cpu_us": cpu / units / 1000,
            "user_share": user / (user + system) if user + system > 0 else None,
            "busy": cpu / 1e9 / elapsed,
        }


def stream_of(chunks: int, delay_us: int) -> dict[str, int]:
    return {"chunks": chunks, "delay_us": delay_us, "chunk_bytes": CHUNK_BYTES}


# Open-loop cells offer work by the clock. A peer that cannot keep up with them would only show how long its queue grew,
# so it is left out there, and all peers of its run are measured at rates that it can carry as well.
TOO_FAST = ("sse", "sse2", "lat200", "hold9000")
SLOW = ("sse50", "lat50")


def loads(times: Times, quick: bool) -> dict[str, Load]:
    warm = ("--seconds", str(times.warm_up_s))
    many = ("--connections", "64", *warm)
    few = ("--connections", "16", "--body-bytes", "102400", *warm)
    one = ("--connections", "1", *warm)
    lat1 = Load("req", ("--connections", "1"), one, timed=True)
    ttft = Load(
        "sse",
        ("--connections", "1", "--repeat", "2" if quick else "8"),
        ("--connections", "1", "--repeat", "1"),
        stream_of(20, 20_000),
        unit="chunks",
    )
    return {
        "req64": Load("req", ("--connections", "64"), many, timed=True),
        "req100k": Load("req", ("--connections", "16", "--body-bytes", "102400"), few, timed=True),
        "sse": Load("sse", ("--connections", "64"), many, stream_of(50 if quick else 200, 10_000), unit="chunks"),
        "sse2": Load("sse", ("--connections", "64"), many, stream_of(200 if quick else 1000, 2_000), unit="chunks"),
        "lat1": lat1,
        "lat1awake": dataclasses.replace(lat1, awake=True),
        "lat200": Load("rate", ("--rate", "200", "--connections", "8", "--seconds", "0.5" if quick else "3"), one),
        "sse50": Load("sse", ("--connections", "64"), many, stream_of(20 if quick else 100, 50_000), unit="chunks"),
        "lat50": Load("rate", ("--rate", "50", "--connections", "8", "--seconds", "1" if quick else "3"), one),
        "ttft": ttft,
        "ttftawake": dataclasses.replace(ttft, awake=True),
    }


# --- memory: a fresh process for every measurement, alone, for PSS shares pages among those that run ------------------


def idle(bench: Bench, server: Server) -> dict:
    time.sleep(bench.times.idle_s)
    pids = server.pids()
    return {"pss_mib": processes.pss_kib(pids) / 1024, "processes": len(pids)}


@contextlib.contextmanager
def waiting_generator(bench: Bench, command: list[str]):
    """A load generator that works until the block ends; yields the process after its first line of output."""
    process = bench.machine.spawn(
        bench.machine.clients_core, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process, json.loads(process.stdout.readline() or "{}")
    finally:
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()
        process.stdout.close()


def hold(bench: Bench, server: Server, streams: int) -> dict:
    """Memory of streams that have had one event and then wait."""
    bench.control(server, chunks=2, delay_us=EVENT_PAUSE_FOR_EVER_US, chunk_bytes=CHUNK_BYTES)
    time.sleep(bench.times.settle_s)
    before = processes.pss_kib(server.pids())
    command = bench.generator("hold", server, "--streams", str(streams), "--ramp", "2000")
    with waiting_generator(bench, command) as (_, first):
        held = first.get("held", 0)
        time.sleep(bench.times.settle_s)
        during = processes.pss_kib(server.pids())
    if held == 0:
        raise BenchError(f"{server.name}: none of {streams} streams brought an event")
    after = during
    end = time.monotonic() + 5 * bench.times.settle_s
    while time.monotonic() < end:
        time.sleep(0.1)
        after = min(after, processes.pss_kib(server.pids()))
    return {
        "streams": streams, "held": held, "kib_per_stream": (during - before) / held,
        "before_mib": before / 1024, "during_mib": during / 1024, "after_mib": after / 1024,
    }  # fmt: skip


def flood(bench: Bench, server: Server) -> dict:
    """The highest memory while clients do not read what the upstream offers."""
    bench.control(server, chunks=FLOOD_BYTES // CHUNK_BYTES, delay_us=0, chunk_bytes=CHUNK_BYTES)
    time.sleep(bench.times.settle_s)
    before = peak = processes.pss_kib(server.pids())
    command = bench.generator("flood", server, "--streams", str(FLOOD_STREAMS), "--receive-buffer", "4096")
    with waiting_generator(bench, command):
        end = time.monotonic() + bench.times.flood_s
        while time.monotonic() < end:
            peak = max(peak, processes.pss_kib(server.pids()))
            time.sleep(0.02)
    return {
        "before_mib": before / 1024, "peak_mib": peak / 1024,
        "mib_per_stream": (peak - before) / 1024 / FLOOD_STREAMS,
    }  # fmt: skip


def largest_hold(machine: Machine) -> int:
    """A stream is two files of the proxy; 200 are left for the rest."""
    return min(9000, (machine.open_files - 400) // 2)


def memory_cells(machine: Machine) -> dict[str, Callable[[Bench, Server], dict]]:
    return {
        "idle": idle,
        "hold1000": lambda bench, server: hold(bench, server, 1000),
        "hold9000": lambda bench, server: hold(bench, server, largest_hold(machine)),
        "flood50": flood,
    }


# --- tidegate alone --------------------------------------------------------------------------------------------------


def first_answer(bench: Bench) -> dict:
    """From just before exec until the whole answer to a first request is here, with 10,000 keys; warm page cache."""
    server = Tidegate(bench.machine, bench.tidegate, bench.mock.port)
    server.folder.mkdir(parents=True)
    try:
        prepare_keys(server)
        # The first start is not counted: it brings program and database into the page cache.
        times = [start_and_ask(bench, server) for _ in range(bench.times.first_answers + 1)][1:]
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)
    return {
        "keys": KEYS, "starts": len(times), "ms": statistics.median(times), "ms_min": min(times), "ms_max": max(times),
    }  # fmt: skip


def prepare_keys(server: Tidegate) -> None:
    server.launch(server.command(), None)
    try:
        server.wait_until_up()
    finally:
        server.stop()
    server.word("keys", "create", "--count", str(KEYS))


def start_and_ask(bench: Bench, server: Tidegate) -> float:
    """Milliseconds. The asking process runs on the clients' core, the starting one on the proxies'."""
    body = json.dumps(processes.PLAIN_REQUEST).encode()
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    command = server.command()
    begin = time.monotonic()
    server.launch(command, bench.machine.proxy_core)
    try:
        with bench.machine.placed(bench.machine.clients_core):
            while True:
                answer = raw_answer(server.port, request)
                took = (time.monotonic() - begin) * 1000
                if b" 200 " in answer[:20]:
                    return took
                if took > 10_000 or server.process.poll() is not None:
                    raise BenchError(f"tidegate gives no first answer: {answer[:200]!r}\n{server.output()}")
                time.sleep(0.0002)
    finally:
        server.stop()


def raw_answer(port: int, request: bytes) -> bytes:
    with socket.socket() as client:
        client.settimeout(10)
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(request)
            parts = []
            while part := client.recv(65536):
                parts.append(part)
            return b"".join(parts)
        except ConnectionError:
            return b""


class ColdTidegate(Tidegate):
    name = "tidegate-cold"
    document = "tidegate-cold.yaml"

    def start(self) -> None:
        self.launch(self.command(), None)
        self.wait_until_up()


# What `tidegate explain model NAME -o json` says of a start, in its list "coldStarts", newest first; milliseconds.
COLD_START_FIELDS = {
    "start_ordered_ms": "startOrderedMs",  # last byte of the request's body → exec ordered
    "fetch_ms": "fetchMs",
    "load_ms": "loadMs",
    "first_grant_ms": "readyToFirstGrantMs",  # the engine says ready → the held request may go
}


def cold_start_phases(explain: dict) -> dict[str, float | None]:
    """What the program says of its last cold start; None for a phase that it did not have or does not report."""
    starts = explain.get("coldStarts") or [{}]
    return {name: starts[0].get(member) for name, member in COLD_START_FIELDS.items()}


def cold_start(bench: Bench) -> dict:
    """One request to a model at zero, in a fresh process each time.

    The phases are tidegate's own account. What they leave of the time the client saw is the way from "ready" to the
    answer at the client: an upper bound of "ready → first byte sent to the engine".
    """
    seen: dict[str, list[float]] = {}
    body = {"messages": [{"role": "user", "content": "Hello."}], "model": "bench-cold", "max_tokens": 4}
    starts = 2 if bench.quick else COLD_STARTS
    for _ in range(starts):
        with ColdTidegate(bench.machine, bench.tidegate, bench.mock.port) as server:
            begin = time.monotonic()
            status, text = processes.ask(server.port, "/v1/chat/completions", key=server.key, body=body, bound_s=30)
            whole = (time.monotonic() - begin) * 1000
            if status != 200:
                raise BenchError(f"the cold request was answered with {status}: {text[:300]!r}")
            phases = cold_start_phases(json.loads(server.word("explain", "model", "bench-cold", "-o", "json")))
        values = {"whole_ms": whole, **phases}
        if phases["start_ordered_ms"] is not None and phases["load_ms"] is not None:
            before = phases["start_ordered_ms"] + (phases["fetch_ms"] or 0) + phases["load_ms"]
            values["ready_to_answer_ms"] = whole - before
        for name, value in values.items():
            if value is not None:
                seen.setdefault(name, []).append(value)
    return {"starts": starts, **{name: statistics.median(values) for name, values in seen.items()}}


# --- instructions ----------------------------------------------------------------------------------------------------


def count_event(event: str, pids: list[int], work: Callable[[], dict], output: pathlib.Path) -> tuple[dict, int | None]:
    """Runs `work` while perf counts `event` in the processes. None where the machine cannot count it."""
    command = ["perf", "stat", "-x", ",", "-e", event, "-p", ",".join(map(str, pids)), "-o", str(output)]
    perf = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)  # perf says nothing when it has attached; the peers are idle, so an early start costs nothing
        result = work()
    finally:
        if perf.poll() is None:
            perf.send_signal(signal.SIGINT)
        perf.wait(10)
    for line in output.read_text().splitlines():
        if line and not line.startswith("#"):
            value = line.split(",")[0]
            return result, int(float(value)) if value.replace(".", "").isdigit() else None
    return result, None


def can_count_instructions() -> str:
    """Empty if perf counts instructions here, else the reason."""
    if shutil.which("perf") is None:
        return "perf is not installed"
    probe = subprocess.run(
        ["perf", "stat", "-x", ",", "-e", "instructions", "true"], capture_output=True, text=True, check=False
    )
    value = probe.stderr.strip().split(",")[0]
    if probe.returncode == 0 and value.isdigit():
        return ""
    return f"perf stat -e instructions says: {value or probe.returncode}"


def instructions(bench: Bench, server: Server) -> dict:
    """Instructions of one 1 KB request, user and kernel."""
    options = ("--connections", "64", "--seconds", str(min(1.0, bench.times.cell_s)))
    result, counted = count_event(
        "instructions", server.pids(), lambda: bench.generate("req", server, *options), server.folder / "perf"
    )
    return {"per_request": counted / result["good"] if counted and result["good"] else None}


# --- where the time goes ---------------------------------------------------------------------------------------------


def profile(bench: Bench, server: Server, load: Load, output: pathlib.Path) -> None:
    """One more run of a load under perf's clock sampling; the functions by their share of CPU go to `output`."""
    data = server.folder / "perf.data"
    pids = ",".join(map(str, server.pids()))
    perf = subprocess.Popen(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-p", pids, "-o", str(data)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(0.3)
        load.run(bench, server)
    finally:
        if perf.poll() is None:
            perf.send_signal(signal.SIGINT)
        perf.wait(30)
    words = ["perf", "report", "--stdio", "-q", "-i", str(data), "--sort", "dso,symbol", "--percent-limit", "0.3"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0 or not done.stdout.strip():
        raise BenchError(f"perf report: {done.stderr.strip()[:300] or 'no samples'}")
    output.write_text(done.stdout)
