"""From the JSON lines of a run to the tables of docs/benchmarks.md and the ratios on the terminal."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics

NOTES_BEGIN = "<!-- written by hand, kept by ./dev bench: begin -->"
NOTES_END = "<!-- written by hand, kept by ./dev bench: end -->"
RENDER_BEGIN = "<!-- written by ./dev bench render: begin -->"
RENDER_END = "<!-- written by ./dev bench render: end -->"
NO_NOTES = "Nothing is written here yet."
PEERS = ("tidegate", "nginx", "nginx+log", "haproxy", "envoy", "litellm", "direct")


@dataclasses.dataclass(frozen=True)
class Bar:
    """What tidegate has to reach. `kind`: ratio to nginx, added to the direct baseline, or the figure itself."""

    title: str
    cell: str
    field: str
    kind: str
    limit: float
    unit: str = ""
    stretch: float | None = None


BARS = (
    Bar("CPU per 1 KB request, 64 connections", "req64", "cpu_us", "ratio", 1.0, stretch=0.8),
    Bar("CPU per 100 KB request, 16 connections", "req100k", "cpu_us", "ratio", 1.2),
    Bar("CPU per event, 6,400 a second", "sse", "cpu_us", "ratio", 1.0, stretch=0.8),
    Bar("CPU per event, 32,000 a second", "sse2", "cpu_us", "ratio", 1.0, stretch=0.8),
    Bar("added latency, one connection, p50", "lat1", "latency_p50", "added", 65.0, "µs"),
    Bar("added latency, one connection, p99", "lat1", "latency_p99", "added", 120, "µs"),
    Bar("added time to the first event, p50", "ttft", "ttft_p50", "added", 100, "µs"),
    Bar("the same latency with the cores kept awake, p50", "lat1awake", "latency_p50", "added", 65.0, "µs"),
    Bar("the same latency with the cores kept awake, p99", "lat1awake", "latency_p99", "added", 120, "µs"),
    Bar("the same first event with the cores kept awake, p50", "ttftawake", "ttft_p50", "added", 100, "µs"),
    Bar("memory idle", "idle", "pss_mib", "figure", 12, "MiB"),
    Bar("memory per open stream, 1,000", "hold1000", "kib_per_stream", "figure", 8, "KiB"),
    Bar("memory per open stream, 9,000", "hold9000", "kib_per_stream", "figure", 8, "KiB"),
    Bar("memory with 9,000 streams", "hold9000", "during_mib", "figure", 90, "MiB"),
    Bar("memory per client that does not read, 4 MiB offered", "flood50", "mib_per_stream", "figure", 0.1, "MiB"),
    Bar("exec → first answer with 10,000 keys", "start10k", "ms", "figure", 50, "ms"),
    Bar("arrival at zero → start ordered", "cold", "start_ordered_ms", "figure", 50, "ms"),
    Bar("engine ready → first byte (upper bound)", "cold", "ready_to_answer_ms", "figure", 100, "ms"),
)


# --- numbers ---------------------------------------------------------------------------------------------------------


def rounds(lines: list[dict], cell: str, peer: str, field: str) -> dict[int, float]:
    """Value per round; a round that failed or has no such figure is absent."""
    return {
        line["round"]: line[field]
        for line in lines
        if line.get("cell") == cell and line.get("peer") == peer and line.get(field) is not None
    }


def median(lines: list[dict], cell: str, peer: str, field: str) -> float | None:
    values = rounds(lines, cell, peer, field).values()
    return statistics.median(values) if values else None


def paired(lines: list[dict], cell: str, field: str, peer: str, base: str, combine) -> float | None:
    """Median over the rounds of combine(peer, base): both from the same round, so that drift cancels."""
    ours, theirs = rounds(lines, cell, peer, field), rounds(lines, cell, base, field)
    both = [combine(ours[number], theirs[number]) for number in sorted(ours.keys() & theirs.keys())]
    return statistics.median(both) if both else None


def ratio(lines: list[dict], cell: str, field: str, peer: str, base: str) -> float | None:
    return paired(lines, cell, field, peer, base, lambda a, b: a / b if b else float("inf"))


def added(lines: list[dict], cell: str, field: str, peer: str) -> float | None:
    return paired(lines, cell, field, peer, "direct", lambda a, b: a - b)


def value_of(lines: list[dict], bar: Bar, peer: str) -> float | None:
    if bar.kind == "ratio":
        return ratio(lines, bar.cell, bar.field, peer, "nginx")
    if bar.kind == "added":
        return added(lines, bar.cell, bar.field, peer)
    return median(lines, bar.cell, peer, bar.field)


def number(value: float | None, suffix: str = "") -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}{suffix}"
    size = abs(value)
    text = f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return text + suffix


def spread(lines: list[dict], cell: str, peer: str, field: str) -> str:
    values = sorted(rounds(lines, cell, peer, field).values())
    if not values:
        return "not measured"
    if len(values) == 1:
        return number(values[0])
    return f"{number(statistics.median(values))} ({number(values[0])} to {number(values[-1])})"


def verdict(bar: Bar, value: float | None) -> str:
    if value is None:
        return "not measured"
    if bar.stretch is not None and value <= bar.stretch:
        return "met, stretch too"
    return "met" if value <= bar.limit else "**missed**"


def short(cell: str, values: dict) -> str:
    """One measurement in a few words, for the terminal."""
    names = {
        "cpu_us": "cpu {} us", "rate": "{}/s", "latency_p50": "p50 {} us", "latency_p99": "p99 {} us",
        "ttft_p50": "ttft {} us", "event_p50": "event {} us", "pss_mib": "{} MiB", "kib_per_stream": "{} KiB/stream",
        "during_mib": "{} MiB", "after_mib": "after {} MiB", "mib_per_stream": "{} MiB/stream", "ms": "{} ms",
        "start_ordered_ms": "ordered {} ms", "ready_to_answer_ms": "ready to answer {} ms", "per_request": "{} instructions",
        "held": "{} held", "errors": "{} errors",
    }  # fmt: skip
    skipped = {"rate", "latency_p50", "latency_p99"} if "ttft_p50" in values and values.get("chunks") else {"ttft_p50"}
    parts = [
        text.format(number(values[name]))
        for name, text in names.items()
        if name in values and name not in skipped and (values[name] or name not in ("errors",))
    ]
    return ", ".join(parts)


def ratios(lines: list[dict]) -> str:
    """For the terminal: each bar, each peer, met or not."""
    peers = [peer for peer in PEERS if peer != "direct" and any(line.get("peer") == peer for line in lines)]
    text = [f"{'':60}{'bar':>9}" + "".join(f"{peer:>12}" for peer in peers)]
    for bar in BARS:
        values = [value_of(lines, bar, peer) for peer in peers]
        if all(value is None for value in values):
            continue
        unit = "x nginx" if bar.kind == "ratio" else bar.unit
        row = f"{bar.title + ', ' + unit:60}{'≤ ' + number(bar.limit):>9}"
        row += "".join(f"{number(value) or '-':>12}" for value in values)
        if "tidegate" in peers:
            row += "  " + verdict(bar, value_of(lines, bar, "tidegate")).replace("*", "")
        text.append(row)
    return "\n".join(text)


# --- tables ----------------------------------------------------------------------------------------------------------


def table(head: list[str], rows: list[list[str]]) -> str:
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(text + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def present(lines: list[dict], cell: str) -> list[str]:
    return [peer for peer in PEERS if any(line.get("cell") == cell and line.get("peer") == peer for line in lines)]


def bars_table(lines: list[dict]) -> str:
    rows = []
    for bar in BARS:
        limit = f"≤ {number(bar.limit)}" + ("x nginx" if bar.kind == "ratio" else f" {bar.unit}")
        if bar.stretch is not None:
            limit += f", stretch {bar.stretch}x"
        value = value_of(lines, bar, "tidegate")
        shown = number(value, "x" if bar.kind == "ratio" else f" {bar.unit}") or "not measured"
        if bar.kind == "ratio":
            with_log = ratio(lines, bar.cell, bar.field, "tidegate", "nginx+log")
            others = f"{number(with_log, 'x') or '?'} of nginx with its log"
        else:
            others = ", ".join(
                f"{peer} {number(other)}"
                for peer in ("nginx", "haproxy", "envoy", "litellm")
                if (other := value_of(lines, bar, peer)) is not None
            )
        rows.append([bar.title, limit, shown, verdict(bar, value), others])
    return table(["what", "bar", "tidegate", "result", "beside it"], rows)


def cpu_table(lines: list[dict], cell: str, extra: list[tuple[str, str]]) -> str:
    rows = []
    for peer in present(lines, cell):
        bases = [number(ratio(lines, cell, "cpu_us", peer, base)) for base in ("nginx", "nginx+log")]
        share = median(lines, cell, peer, "user_share")
        row = [peer, spread(lines, cell, peer, "cpu_us"), *bases, "" if share is None else f"{share * 100:.0f} %"]
        row += [number(median(lines, cell, peer, field)) for _, field in extra]
        errors = sum(rounds(lines, cell, peer, "errors").values()) + sum(
            rounds(lines, cell, peer, "unfinished").values()
        )
        rows.append([*row, f"{errors:.0f} of {sum(rounds(lines, cell, peer, 'done').values()):,.0f}"])
    head = ["", "CPU µs", "÷ nginx", "÷ nginx+log", "of it in user space", *(title for title, _ in extra), "errors"]
    return table(head, rows)


def latency_table(lines: list[dict], cell: str, fields: list[tuple[str, str]]) -> str:
    rows = []
    for peer in present(lines, cell):
        row = [peer]
        for _, field in fields:
            row += [spread(lines, cell, peer, field)]
            row += ["" if peer == "direct" else number(added(lines, cell, field, peer))]
        rows.append([*row, number(median(lines, cell, peer, "cpu_us"))])
    head = ["", *(word for title, _ in fields for word in (f"{title}, µs", "added")), "CPU µs"]
    return table(head, rows)


def plain_table(lines: list[dict], cell: str, fields: list[tuple[str, str]]) -> str:
    rows = [
        [peer, *(number(median(lines, cell, peer, field)) or "not measured" for _, field in fields)]
        for peer in present(lines, cell)
    ]
    return table(["", *(title for title, _ in fields)], rows)


REQUEST = [("requests/s", "rate"), ("p50 µs", "latency_p50"), ("p99 µs", "latency_p99")]
EVENTS = [("event p50 µs", "event_p50"), ("event p99 µs", "event_p99"), ("first event p50 µs", "ttft_p50")]
LATENCY = [("p50", "latency_p50"), ("p99", "latency_p99")]
FIRST_EVENT = [("first event p50", "ttft_p50"), ("first event p99", "ttft_p99"), ("event p50", "event_p50")]
HELD = [
    ("streams", "held"), ("before, MiB", "before_mib"), ("with them, MiB", "during_mib"),
    ("after they closed, MiB", "after_mib"), ("KiB per stream", "kib_per_stream"),
]  # fmt: skip
SECTIONS = (
    ("req64", "1 KB request, 64 connections", lambda n: cpu_table(n, "req64", REQUEST)),
    ("req100k", "100 KB request, 16 connections", lambda n: cpu_table(n, "req100k", REQUEST)),
    ("sse", "64 streams, an event each every 10 ms", lambda n: cpu_table(n, "sse", EVENTS)),
    ("sse2", "64 streams, an event each every 2 ms", lambda n: cpu_table(n, "sse2", EVENTS)),
    ("sse50", "64 streams, an event each every 50 ms", lambda n: cpu_table(n, "sse50", EVENTS)),
    ("lat1", "One connection, back to back", lambda n: latency_table(n, "lat1", LATENCY)),
    ("lat1awake", "One connection, back to back, cores kept awake", lambda n: latency_table(n, "lat1awake", LATENCY)),
    ("lat200", "200 requests a second, open loop", lambda n: latency_table(n, "lat200", LATENCY)),
    ("lat50", "50 requests a second, open loop", lambda n: latency_table(n, "lat50", LATENCY)),
    ("ttft", "One stream at a time", lambda n: latency_table(n, "ttft", FIRST_EVENT)),
    ("ttftawake", "One stream at a time, cores kept awake", lambda n: latency_table(n, "ttftawake", FIRST_EVENT)),
    ("instructions", "Instructions per 1 KB request",
     lambda n: plain_table(n, "instructions", [("instructions", "per_request")])),
    ("idle", "Memory, idle", lambda n: plain_table(n, "idle", [("PSS, MiB", "pss_mib"), ("processes", "processes")])),
    ("hold1000", "Memory, 1,000 open streams", lambda n: plain_table(n, "hold1000", HELD)),
    ("hold9000", "Memory, 9,000 open streams", lambda n: plain_table(n, "hold9000", HELD)),
    ("flood50", "Memory, 50 clients that do not read", lambda n: plain_table(
        n, "flood50", [("before, MiB", "before_mib"), ("highest, MiB", "peak_mib"), ("MiB per stream", "mib_per_stream")])),
    ("start10k", "From exec to the first answer, 10,000 keys", lambda n: plain_table(
        n, "start10k", [("median, ms", "ms"), ("fastest", "ms_min"), ("slowest", "ms_max"), ("starts", "starts")])),
    ("cold", "A model at zero (simulated engine, 200 ms to load)", lambda n: plain_table(
        n, "cold", [("arrival → start ordered, ms", "start_ordered_ms"), ("load, ms", "load_ms"),
                    ("ready → request released, ms", "first_grant_ms"),
                    ("ready → answer at the client, ms", "ready_to_answer_ms"),
                    ("whole request, ms", "whole_ms"), ("starts", "starts")])),
)  # fmt: skip

METHOD = """
- The proxy runs alone on one core, with one worker. The mock upstream and the load generator share the other core, one
  thread each. Plain HTTP/1.1 on loopback, connections kept on both sides.
- {class_line}
- All peers are started once; in each round each is measured once per cell, {rounds} rounds. Tables show the median and
  the range. A ratio is the median over the rounds of the ratio inside the round, so drift of the machine cancels; the
  same holds for added latency.
- CPU is the sum of `/proc/PID/task/*/schedstat` over the process tree, before and after the cell, divided by the
  completed requests or by the events that arrived. Both readings wait until the peer has rested for more than a second,
  so what it puts off (journal, log) is counted with the load that caused it, not with the next one. tidegate counts with all its threads; its keys, limits, usage
  records, journal, access log and metrics are on.
- `nginx` writes no access log, `nginx+log` writes one with a 64 KiB buffer. Bars hold against `nginx`.
- Every peer does the same job, checked before the run: a wrong key gets 401, the client's key is replaced by the
  upstream's, the answer's bytes are the upstream's. Only tidegate reads the JSON, routes by model and counts usage.
- Every answer is checked: status 200, complete; streams end with `[DONE]` and carry no usage event that the client did
  not ask for. Answers that fail are counted as errors.
- Envoy and LiteLLM are measured on request: `./dev bench --peers tidegate,nginx,haproxy,envoy,litellm`. They come as
  Python packages (`bench/peers/*.requirements.txt`) into environments of their own below `.tidegate/peers`. LiteLLM
  writes each answer anew, so for it the check above compares the answer's text, and without a database it answers 400
  to a wrong key. Its CPU is `utime` + `stime` of its process, for it ends threads while it serves.
- LiteLLM cannot keep up with the open-loop cells of 200 requests, 6,400 and 32,000 events a second and opens no 9,000
  streams; there one would measure how long its queue grew. It is left out of `lat200`, `sse`, `sse2` and `hold9000`,
  and a run with it has `lat50` and `sse50` for all peers: 50 requests and 1,280 events a second. In `hold1000` it
  opens as many streams as its pool has connections to one upstream; the others wait, the client for at most 30 s.
- *direct* is a second mock upstream on the proxies' core: the client's way to another core without a proxy. Added
  latency is the difference to it, from the same round.
- A core with nothing to do sleeps, and in a virtual machine its waking can cost more than all that is measured here:
  in `lat1` and `ttft` the `direct` row itself is mostly that, and every hop adds two of them or more. `lat1awake` and
  `ttftawake` are the same cells while on each of the two cores a process of the class `SCHED_IDLE` turns, which gives
  way to every other at once, for every peer alike and for `direct`. They show what the program costs, the plain ones
  what a machine without load shows a client. The bars hold for both, each for itself.
- Event latency is arrival minus the time stamp that the upstream wrote into the event; both are `CLOCK_MONOTONIC`.
- Memory is PSS of the process tree, from a fresh process that runs without other peers: shared pages would be divided
  among them. Kernel socket buffers are not in it. Idle: {idle} after one request.
- Streams of the memory cells: one event, then silence. Per stream: change of PSS ÷ streams. The large cell is 9,000
  streams or what the limit of open files ({files}) allows. *After they closed* is the lowest PSS in the seconds after.
- From exec to the first answer: the clock starts before the process is made and stops when a whole answer with status
  200 is here; a client tries every 0.2 ms. One start before is not counted, so the page cache is warm.
- A model at zero: a fresh process, one request. The phases are what `tidegate explain` says of the start. *Ready →
  answer at the client* is what they leave of the time that the client saw, so an upper bound of "ready → first byte
  sent to the engine".
- 50 clients with 4 KiB receive buffers never read; the upstream offers each 4 MiB. The highest PSS counts.
- The mock upstream answers 1,024 bytes of JSON, or events of 200 bytes. Requests are SDK-shaped: messages first, then
  `model`, `stream` last.
"""

AWAKE_NOTE = """\
*Cores kept awake*: cells of their own, with a process on each core that runs only where nothing else wants to. Without
it, the rows above them contain the waking of sleeping cores, for `direct`, nginx and haproxy as for tidegate.
"""

CONFIGURATION = """
| peer | configuration |
|---|---|
| tidegate | `bench/peers/tidegate.yaml`: one Provider, the default Tenant with three limits, one key; `--workers 1` |
| nginx | `bench/peers/nginx.conf`: one worker, `map` on the Authorization header, upstream keep-alive, no buffering |
| haproxy | `bench/peers/haproxy.cfg`: one thread, one header comparison, `http-reuse always`, `http-no-delay`, no log |
| envoy, on request | `bench/peers/envoy.yaml`: `--concurrency 1`, header match in the route, header overwritten, no request ids, circuit breakers at 40,000, no access log |
| litellm, on request | `bench/peers/litellm.yaml`: one model, its master key, one worker, `LITELLM_MODE=PRODUCTION`, log level ERROR, local price map, no retries, no database |
"""


def kept_render(path: pathlib.Path) -> list[str]:
    """The section that ./dev bench render writes, as it stands."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if RENDER_BEGIN not in text or RENDER_END not in text:
        return []
    section = text.split(RENDER_BEGIN, 1)[1].split(RENDER_END, 1)[0]
    return ["## Render\n", RENDER_BEGIN + section + RENDER_END + "\n"]


def write_render(section: str, path: pathlib.Path) -> None:
    """Puts the section into the page, in place of the one before; all else stays."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Benchmarks\n"
    whole = f"{RENDER_BEGIN}\n{section}\n{RENDER_END}"
    if RENDER_BEGIN in text and RENDER_END in text:
        text = text.split(RENDER_BEGIN, 1)[0] + whole + text.split(RENDER_END, 1)[1]
    else:
        before, figures, after = text.partition("## Figures\n")
        text = f"{before.rstrip()}\n\n## Render\n\n{whole}\n" + (f"\n{figures}{after}" if figures else "")
    path.write_text(text, encoding="utf-8")


def kept_notes(path: pathlib.Path) -> str:
    if not path.exists():
        return NO_NOTES
    text = path.read_text(encoding="utf-8")
    if NOTES_BEGIN not in text or NOTES_END not in text:
        return NO_NOTES
    return text.split(NOTES_BEGIN, 1)[1].split(NOTES_END, 1)[0].strip() or NO_NOTES


def write(lines: list[dict], path: pathlib.Path) -> None:
    machine = next(line["machine"] for line in lines if "machine" in line)
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    class_line = (
        "All of them run in the real-time round-robin class (`chrt -r 1`), so that other work disturbs less."
        if machine["real_time"]
        else "The real-time class was **not permitted** on this machine: other work disturbs these figures."
    )
    parts = [
        "# Benchmarks\n",
        "Written by `./dev bench`, all but the sections *Where the time goes* and *Render*. Ratios inside one run move little between\n"
        "machines, absolute figures move a lot.\n",
        f"{machine['date']} · {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB · "
        f"{machine['system']}, kernel {machine['kernel']} · {versions}\n",
    ]
    if machine["quick"]:
        parts.append("**A quick run: it shows that everything works; its numbers say little.**\n")
    parts += ["## Bars\n", bars_table(lines), AWAKE_NOTE]
    parts += ["## Where the time goes\n", NOTES_BEGIN, kept_notes(path), NOTES_END + "\n"]
    parts += kept_render(path)
    parts += ["## Figures\n"]
    for cell, title, render in SECTIONS:
        if present(lines, cell):
            parts += [f"### {title}\n", f"Cell `{cell}`.\n", render(lines)]
    failed = [line for line in lines if "failed" in line]
    if failed:
        parts.append("### Not measured\n")
        parts.append(
            "\n".join(
                f"- `{n['cell']}`, {n['peer']}, round {n['round']}: {n['failed'].splitlines()[0]}" for n in failed
            )
            + "\n"
        )
    idle = "1 s" if machine["quick"] else "10 s"
    method = METHOD.format(class_line=class_line, rounds=machine["rounds"], files=machine["open_files"], idle=idle)
    parts += ["## Method", method, "## Configurations", CONFIGURATION]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts), encoding="utf-8")
