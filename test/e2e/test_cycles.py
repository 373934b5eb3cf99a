"""0 → N → 0, a hundred times under load, with engines killed in ten of them: no request is lost.

Each request ends as exactly one of: complete (bytes as the engine is known to produce), cut (its engine was killed after a
byte of the answer was relayed: an error event, no [DONE]), refused (429 or 503 with Retry-After, and no engine saw it).
Inside the hold bounds none is refused. TIDEGATE_CYCLES sets the number of cycles."""

from __future__ import annotations

import collections
import dataclasses
import http.server
import json
import os
import re
import signal
import threading
import time

import pytest
from lib import client, documents, simulated
from lib.processes import all_gone, replicas
from lib.wait import until
from program import Program

CYCLES = int(os.environ.get("TIDEGATE_CYCLES", "100"))
LINES = 5  # models that go through their cycles at the same time
SLOTS = 2
BURST = 12
CYCLE_BOUND_S = 60.0


def model(name: str, **spec) -> str:
    return documents.simulated(
        name, {"decode": 60}, replicas={"min": 0, "max": 3}, slots=SLOTS, idle="100ms", targets={"firstToken": "200ms"}, **spec
    )  # fmt: skip


def samples(program: Program) -> dict[str, float]:
    out = {}
    for line in program.metrics().splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            out[name] = float(value)
    return out


def replicas_now(found: dict[str, float], name: str) -> float:
    return sum(
        found[f'tidegate_model_replicas{{model="{name}",state="{s}"}}'] for s in ("ready", "starting", "draining")
    )


def starts(found: dict[str, float], name: str) -> float:
    return sum(v for k, v in found.items() if k.startswith(f'tidegate_replica_starts_total{{model="{name}",'))


@dataclasses.dataclass
class Sent:
    request: dict
    answer: client.Answer | None = None
    relayed: bool = False  # a byte of the answer came

    def outcome(self) -> str:
        answer = self.answer
        assert answer is not None
        expected = simulated.chat(self.request)
        wanted = expected.stream if self.request["stream"] else expected.body
        if answer.status == 200 and answer.whole and answer.body == wanted:
            return "complete"
        if answer.status in (429, 503) and answer.whole and int(answer.headers.get("retry-after", "0")) >= 1:
            return "refused"
        ended = client.error_event(answer.body)
        if answer.status == 200 and self.request["stream"] and not answer.whole and ended:
            before, error = ended
            if before and wanted.startswith(before) and before != wanted and error["code"] == "upstream_cut":
                return "cut"
        return f"lost: {answer}"


class Burst:
    """Requests of one cycle, all sent at once."""

    def __init__(self, program: Program, name: str, cycle: int, count: int, key: str):
        self.sent = [
            Sent(client.chat(name, f"{name} {cycle} {n}", stream=n % 2 == 0, max_tokens=20 + n, ignore_eos=True))
            for n in range(count)
        ]
        self.threads = [
            threading.Thread(target=self._send, args=(program.address(), key, s), daemon=True) for s in self.sent
        ]
        for t in self.threads:
            t.start()

    @staticmethod
    def _send(address: tuple[str, int], key: str, sent: Sent) -> None:
        def came(_: bytes) -> None:
            sent.relayed = True

        sent.answer = client.post(address, key, sent.request, bound=CYCLE_BOUND_S, on_bytes=came)

    def streaming(self) -> bool:
        return any(s.relayed and s.answer is None and s.request["stream"] for s in self.sent)

    def wait(self) -> None:
        end = time.monotonic() + CYCLE_BOUND_S
        for t in self.threads:
            t.join(max(0.1, end - time.monotonic()))
            assert not t.is_alive(), "a request has no end"


def kill_an_engine(program: Program, name: str, burst: Burst) -> int:
    """Kills an engine of this model while a stream is relayed. Returns how many requests it had: more cannot be cut.

    It is frozen first, so that no answer begins between the count and the kill."""

    def one() -> tuple | None:
        if not burst.streaming():
            return None
        items = json.loads(program.command("models", "-o", "json").stdout)["items"]
        instances = {i["id"]: i for m in items if m["name"] == name for i in m["instances"]}
        for replica in replicas(program.data):
            words = re.search(r"/([^/ ]+)\.log ", replica.supervisor.command_line())
            if replica.model == name and words and instances.get(words[1], {}).get("busy"):
                return replica.engine, words[1]
        return None

    engine, instance = until("an engine that works", one, CYCLE_BOUND_S)
    engine.send(signal.SIGSTOP)
    items = json.loads(program.command("models", "-o", "json").stdout)["items"]
    busy = sum(i["busy"] for m in items for i in m["instances"] if i["id"] == instance)
    engine.kill()
    return busy


class Line(threading.Thread):
    """One model that goes through its cycles; a failure is kept for the test's own thread."""

    def __init__(self, program: Program, name: str, cycles: range, kills: set[int], burst: int, key: str):
        super().__init__(daemon=True)
        self.program, self.model, self.cycles, self.kills, self.burst, self.key = (
            program,
            name,
            cycles,
            kills,
            burst,
            key,
        )
        self.outcomes: collections.Counter = collections.Counter()
        self.statuses: collections.Counter = collections.Counter()
        self.lost: list[str] = []
        self.complete: list[Sent] = []
        self.cut_at_most = 0
        self.widest = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            for cycle in self.cycles:
                self.one(cycle)
        except BaseException as problem:
            self.failure = problem

    def one(self, cycle: int) -> None:
        before = samples(self.program)
        assert replicas_now(before, self.model) == 0
        burst = Burst(self.program, self.model, cycle, self.burst, self.key)
        if cycle in self.kills:
            self.cut_at_most += kill_an_engine(self.program, self.model, burst)
        burst.wait()
        for sent in burst.sent:
            outcome = sent.outcome()
            self.outcomes[outcome.split(":")[0]] += 1
            self.statuses[sent.answer.status] += 1
            if outcome.startswith("lost"):
                self.lost.append(f"{self.model} cycle {cycle}: {sent.request['messages'][0]['content']}: {outcome}")
            elif outcome == "complete":
                self.complete.append(sent)
        found = until(
            f"{self.model} at zero after cycle {cycle}",
            lambda: (now := samples(self.program)) and replicas_now(now, self.model) == 0 and now,
            CYCLE_BOUND_S,
            0.1,
        )
        self.widest = max(
            self.widest, int(starts(found, self.model) - starts(before, self.model)) - (cycle in self.kills)
        )


def run_lines(
    program: Program, cycles: int, kills: int, burst: int, key: str
) -> tuple[list[Line], collections.Counter]:
    """`cycles` in all, spread over the models, with an engine killed in `kills` of them, spread as well."""
    each = [cycles // LINES + (n < cycles % LINES) for n in range(LINES)]
    killed = [kills // LINES + (n < kills % LINES) for n in range(LINES)]
    lines = []
    for n in range(LINES):
        step = max(1, each[n] // max(1, killed[n]))
        chosen = {step // 2 + k * step for k in range(killed[n])}
        lines.append(Line(program, f"m{n}", range(each[n]), {c for c in chosen if c < each[n]}, burst, key))
    for line in lines:
        line.start()
    for line in lines:
        line.join(CYCLE_BOUND_S * max(each))
        assert not line.is_alive()
    for line in lines:
        if line.failure:
            raise line.failure
    return lines, sum((line.outcomes for line in lines), collections.Counter())


def check_ledger(program: Program, complete: list[Sent], others: int) -> None:
    """Each complete answer is there once, with its exact tokens."""
    text = program.command("usage", "--requests", "--limit", "100000", "-o", "json").stdout
    rows = json.loads(text)["items"]
    by_id = {r["id"]: r for r in rows}
    assert len(by_id) == len(rows) == len(complete) + others
    for sent in complete:
        row = by_id[sent.answer.headers["x-tidegate-request-id"]]
        usage = simulated.chat(sent.request).usage
        assert (row["outcome"], row["tokensIn"], row["tokensOut"]) == ("complete", usage["prompt_tokens"], usage["completion_tokens"])  # fmt: skip


@pytest.mark.slow
def test_cycles(binary, tmp_path):
    text = documents.file(*(model(f"m{n}") for n in range(LINES)))
    with Program(binary, tmp_path, {"models.yaml": text}) as program:
        kills = max(1, CYCLES // 10)
        lines, outcomes = run_lines(program, CYCLES, kills, BURST, program.key)
        lost = [text for line in lines for text in line.lost]
        assert not lost, f"{len(lost)} lost of {outcomes.total()}:\n" + "\n".join(lost[:5])
        assert outcomes["refused"] == 0, outcomes
        assert outcomes["cut"] <= sum(line.cut_at_most for line in lines), outcomes
        assert outcomes.total() == CYCLES * BURST
        assert all(line.widest >= 2 for line in lines), [line.widest for line in lines]
        check_ledger(program, [s for line in lines for s in line.complete], outcomes["cut"])
        engines = [p for r in replicas(program.data) for p in (r.engine, r.supervisor)]
        all_gone(engines, 15)
        print(f"{CYCLES} cycles, {kills} kills: {dict(outcomes)}, widest {[line.widest for line in lines]}")


@pytest.mark.slow
def test_cycles_beyond_the_bounds(binary, tmp_path):
    """More than may wait, and longer than they may wait: some are refused with a time to come back, none is lost.

    How long an engine takes to start is the machine's affair. So the lines whose engines are killed have a deadline that no
    machine misses and a bound of the count that every burst meets; the deadline is met by an engine that is late by itself."""
    hold = {"requests": 6, "deadline": "50s"}
    late = documents.simulated(
        "late", {"load": "4s"}, slots=SLOTS, idle="100ms", hold={"requests": 6, "deadline": "500ms"}
    )
    text = documents.file(*(model(f"m{n}", hold=hold) for n in range(LINES)), late)
    cycles, kills = max(LINES, CYCLES // 4), max(1, CYCLES // 40)
    with Program(binary, tmp_path, {"models.yaml": text}) as program:
        lines, outcomes = run_lines(program, cycles, kills, 3 * BURST, program.key)
        in_time = outcomes.copy()
        last = Line(program, "late", range(2), set(), 3 * BURST, program.key)
        last.run()
        if last.failure:
            raise last.failure
        assert last.statuses[503] > 0, f"no request met the deadline: {last.statuses}"
        lines.append(last)
        outcomes += last.outcomes
        lost = [text for line in lines for text in line.lost]
        assert not lost, f"{len(lost)} lost of {outcomes.total()}:\n" + "\n".join(lost[:5])
        assert sum(line.statuses[429] for line in lines) > 0, "the bound of the count was never met"
        assert in_time["complete"] + in_time["cut"] >= cycles * hold["requests"], in_time
        assert outcomes["cut"] <= sum(line.cut_at_most for line in lines), outcomes
        assert outcomes.total() == (cycles + 2) * 3 * BURST
        complete = [s for line in lines for s in line.complete]
        check_ledger(program, complete, outcomes["cut"] + outcomes["refused"])
        print(f"{cycles} cycles, {kills} kills: {dict(outcomes)}")


class Counting:
    """An engine of Python's own that counts the requests it sees, and answers when it is let."""

    def __init__(self):
        self.seen: list[str] = []
        self.let = threading.Event()
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.answer(b'{"object":"list","data":[]}')

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with outer.lock:
                    outer.seen.append(request["messages"][0]["content"])
                outer.let.wait(60)
                self.answer(simulated.chat(request).body)

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a probe or a client that left

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.let.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("bound", ["requests", "bytes", "deadline"])
def test_refused_requests_reach_no_engine(binary, tmp_path, bound):
    """20 requests for an engine with 2 slots that is stuck: what the bounds refuse is 429 or 503 with Retry-After, and the
    engine has counted exactly the others."""
    hold = {
        "requests": {"requests": 5, "deadline": "60s"},
        "bytes": {"requests": 200, "bytes": "1Ki", "deadline": "60s"},  # room for three bodies
        "deadline": {"requests": 200, "deadline": "1s"},
    }[bound]
    engine = Counting()
    text = documents.document("Model", "m", {"engine": {"external": {"url": engine.url}}, "slots": 2, "hold": hold})
    try:
        with Program(binary, tmp_path, {"m.yaml": text}) as program:
            sent = []
            threads = []
            for n in range(20):
                request = client.chat("m", f"{n} " + "x" * 200, stream=False)
                one = Sent(request)
                sent.append(one)

                def run(one=one):
                    one.answer = client.post(program.address(), program.key, one.request)

                threads.append(threading.Thread(target=run, daemon=True))
                threads[-1].start()
            held = {"requests": 5, "bytes": 3, "deadline": 0}[bound]
            until("the bounds have refused", lambda: sum(s.answer is not None for s in sent) == 18 - held, 30)
            assert len(engine.seen) == 2
            engine.let.set()
            for t in threads:
                t.join(30)
            outcomes = collections.Counter(s.outcome() for s in sent)
            assert outcomes == {"complete": 2 + held, "refused": 18 - held}
            complete = sorted(s.request["messages"][0]["content"] for s in sent if s.outcome() == "complete")
            assert sorted(engine.seen) == complete
            statuses = {s.answer.status for s in sent if s.outcome() == "refused"}
            assert statuses == ({503} if bound == "deadline" else {429})
    finally:
        engine.close()
