"""What the ledger says, against what clients saw: through kill -9, through restarts, and on a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import subprocess
import threading

import pytest
from lib import client, documents, simulated
from lib.processes import all_gone, descendants, identify
from lib.wait import until
from program import Program

MODELS = documents.file(
    documents.simulated("quick", slots=8, replicas={"min": 1, "max": 1}, hold={"requests": 400}),
    documents.simulated("slow", {"decode": 30}, slots=8, replicas={"min": 1, "max": 1}, hold={"requests": 400}),
)


def requests_of(program: Program) -> list[dict]:
    return json.loads(program.command("usage", "--requests", "--limit", "100000", "-o", "json").stdout)["items"]


def sums_of(program: Program, by: str) -> list[dict]:
    return json.loads(program.command("usage", "--by", by, "-o", "json").stdout)["items"]


class Load:
    """Clients that send one request after the other until told to stop. Every answer is kept with its request."""

    def __init__(self, program: Program, clients: int, seed: int):
        self.address, self.key = program.address(), program.key
        self.seen: list[tuple[dict, client.Answer]] = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(n, seed), daemon=True) for n in range(clients)]
        for t in self.threads:
            t.start()

    def _run(self, number: int, seed: int) -> None:
        chance = random.Random(f"{seed}-{number}")
        while not self.ended.is_set():
            model = chance.choice(["quick", "slow"])
            request = client.chat(model, f"{seed} {number} {chance.random()}", stream=chance.random() < 0.5)
            if chance.random() < 0.5:
                request["max_tokens"] = chance.randrange(1, 40)
            answer = client.post(self.address, self.key, request)
            with self.lock:
                self.seen.append((request, answer))

    def complete(self) -> list[tuple[dict, client.Answer]]:
        with self.lock:
            return [(r, a) for r, a in self.seen if a.whole]

    def stop(self) -> None:
        self.ended.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive()


def check_bytes(request: dict, answer: client.Answer) -> simulated.Answer:
    expected = simulated.chat(request)
    assert answer.status == 200, answer
    assert answer.body == (expected.stream if request["stream"] else expected.body)
    return expected


def test_kill_under_load(binary, tmp_path):
    """Three times killed under load. Whoever got a whole answer is in the ledger, exactly once, with its exact tokens."""
    program = Program(binary, tmp_path, {"models.yaml": MODELS})
    seen: list[tuple[dict, client.Answer]] = []
    with program:
        for round_ in range(3):
            load = Load(program, 8, round_)
            until("many answers", lambda load=load: len(load.complete()) >= 80, 60)
            everything = [identify(program.process.pid), *descendants(program.process.pid)]
            program.process.kill()
            program.process.wait()
            load.stop()
            seen += load.seen
            all_gone(everything, 15)
            program.start()
        rows = requests_of(program)
        interrupted_metric = [
            x for x in program.metrics().splitlines() if x.startswith("tidegate_ledger_interrupted_requests_total")
        ]
        sums = sums_of(program, "model,outcome")
    by_id = {r["id"]: r for r in rows}
    assert len(by_id) == len(rows), "a request is there twice"
    for request, answer in seen:
        if not answer.whole:
            continue
        expected = check_bytes(request, answer)
        row = by_id[answer.headers["x-tidegate-request-id"]]
        assert row["outcome"] == "complete"
        assert (row["tokensIn"], row["tokensOut"], row["usage"]) == (
            expected.usage["prompt_tokens"], expected.usage["completion_tokens"], "reported",
        )  # fmt: skip
        assert (row["model"], row["status"], row["stream"]) == (request["model"], 200, request["stream"])
    # An answer that was cut by the kill: begun, so there, and `interrupted`; or settled just before its last byte went out.
    cut = [(r, a) for r, a in seen if not a.whole]
    assert cut, "no answer was under way at the kills"
    for _, answer in cut:
        assert client.error_event(answer.body) is None
        if answer.status:
            assert by_id[answer.headers["x-tidegate-request-id"]]["outcome"] in ("interrupted", "complete")
    interrupted = [r for r in rows if r["outcome"] == "interrupted"]
    assert interrupted
    assert len(interrupted) <= len(cut)
    assert all(r["usage"] == "estimated" and r["tokensIn"] > 0 for r in interrupted)
    whole_ids = {a.headers["x-tidegate-request-id"] for _, a in seen if a.whole}
    assert {r["id"] for r in rows if r["outcome"] == "complete"} >= whole_ids
    assert len(rows) <= len(seen)
    assert interrupted_metric, "no metric counts the interrupted"
    # The sums agree with the single requests.
    for model in ("quick", "slow"):
        mine = [r for r in rows if (r["model"], r["outcome"]) == (model, "complete")]
        row = next(s for s in sums if s["group"] == [model, "complete"]) if "group" in sums[0] else next(
            s for s in sums if (s["model"], s["outcome"]) == (model, "complete")
        )  # fmt: skip
        assert row["requests"] == row["reportedRequests"] == len(mine)
        assert (row["reportedIn"], row["reportedOut"]) == (sum(r["tokensIn"] for r in mine), sum(r["tokensOut"] for r in mine))  # fmt: skip


def test_usage_without_a_running_program(binary, tmp_path):
    """After a kill -9, and with nothing running, `usage` recovers by itself and says the same as the next start."""
    program = Program(binary, tmp_path, {"models.yaml": MODELS})
    with program:
        load = Load(program, 4, 99)
        until("some answers", lambda: len(load.complete()) >= 20, 60)
        everything = [identify(program.process.pid), *descendants(program.process.pid)]
        program.process.kill()
        program.process.wait()
        load.stop()
        all_gone(everything, 15)
        before, sums_before = requests_of(program), sums_of(program, "key,model,outcome")
        assert {a.headers["x-tidegate-request-id"] for _, a in load.complete()} <= {r["id"] for r in before}
        assert not [r for r in before if r["outcome"] not in ("complete", "interrupted")]
        assert requests_of(program) == before
        program.start()
        assert requests_of(program) == before
        assert sums_of(program, "key,model,outcome") == sums_before


def test_torn_tail(binary, tmp_path):
    """Bytes of a record that was never finished, as a power cut leaves them: the records before them count, and no more."""
    program = Program(binary, tmp_path, {"models.yaml": MODELS}, arguments=("--workers", "1"))
    with program:
        for n in range(5):
            request = client.chat("quick", f"whole {n}", stream=False)
            check_bytes(request, client.post(program.address(), program.key, request))
        everything = [identify(program.process.pid), *descendants(program.process.pid)]
        program.process.kill()
        program.process.wait()
        all_gone(everything, 15)
        (segment,) = (program.data / "journal").glob("w0-*.log")
        data = segment.read_bytes()
        end = len(data.rstrip(b"\0"))
        end += -end % 8
        with segment.open("r+b") as f:
            f.seek(end)
            f.write(b"\x78\x00\x00\x00\xde\xad\xbe\xef" + b"\x03" * 40)
        program.start()
        rows = requests_of(program)
        assert len(rows) == 5
        assert {r["outcome"] for r in rows} == {"complete"}
        request = client.chat("quick", "afterwards", stream=False)
        check_bytes(request, client.post(program.address(), program.key, request))
        assert len(requests_of(program)) == 6


def test_clients_that_leave_are_charged_an_estimate(binary, tmp_path):
    with Program(binary, tmp_path, {"models.yaml": MODELS}) as program:
        request = client.chat("slow", "somebody leaves", stream=True, ignore_eos=True, max_tokens=2000)
        answer = client.post(program.address(), program.key, request, on_bytes=lambda b: b.count(b"\n\n") > 12)
        assert answer.problem == "left"
        row = until("the record", lambda: [r for r in requests_of(program) if not r.get("running") and r["outcome"] == "client_gone"], step=0.1)[0]  # fmt: skip
        assert row["id"] == answer.headers["x-tidegate-request-id"]
        assert row["usage"] == "estimated"
        # 4 code points a token is what the engine does and what an estimate begins with.
        assert 12 <= row["tokensOut"] <= 2000
        assert row["tokensIn"] > 0
        assert row["status"] == 200


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 160 MiB: room for two segments and little else. Needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"not run: a small file system needs root here ({done.stderr.strip()})")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=False)


def fill(place: pathlib.Path) -> pathlib.Path:
    """Leaves less than a page free."""
    path = place / "filler"
    with path.open("wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(1 << 20))
    with path.open("ab", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(4096))
    return path


def metric(program: Program, name: str) -> float:
    lines = [x for x in program.metrics().splitlines() if x.startswith(name) and x[len(name)] in " {"]
    assert lines, f"no metric {name}"
    return sum(float(x.rsplit(" ", 1)[1]) for x in lines)


def test_full_disk(binary, tmp_path, small_disk):
    """The disk fills up while it serves: requests go on, the segment that is there takes their records, and the books are
    right again when there is room."""
    program = Program(binary, tmp_path, {"models.yaml": MODELS}, arguments=("--workers", "1"))
    program.data = small_disk / "data"
    with program:
        first = client.chat("quick", "before", stream=False)
        check_bytes(first, client.post(program.address(), program.key, first))
        filler = fill(small_disk)
        ids = []
        for n in range(50):
            request = client.chat("quick", f"on a full disk {n}", stream=n % 2 == 0)
            answer = client.post(program.address(), program.key, request)
            check_bytes(request, answer)
            ids.append(answer.headers["x-tidegate-request-id"])
        filler.unlink()
        # The writer tries again by itself.
        until("the sums are complete", lambda: sum(s["requests"] for s in sums_of(program, "model")) == 51, 30, 0.2)
        assert {r["id"] for r in requests_of(program)} >= set(ids)
        assert metric(program, "tidegate_journal_lost_records_total") == 0


def test_no_room_for_the_first_segment(binary, tmp_path, small_disk):
    """No segment at all: it serves, and says in a metric and in the log what the books lose."""
    program = Program(binary, tmp_path, {"models.yaml": MODELS}, arguments=("--workers", "1"))
    program.data = small_disk / "data"
    with (small_disk / "filler").open("wb") as f:
        os.posix_fallocate(f.fileno(), 0, 120 << 20)  # 40 MiB remain, a segment has 64
    with program:
        usage = 0
        for n in range(3):
            request = client.chat("quick", f"unbooked {n}", stream=n % 2 == 0)
            answer = client.post(program.address(), program.key, request)
            usage += check_bytes(request, answer).usage["total_tokens"]
        assert metric(program, "tidegate_journal_lost_records_total") >= 3
        assert metric(program, "tidegate_journal_lost_tokens_total") == usage
        assert "journal" in program.log(200)
        # With room again the next requests are booked, without a restart.
        (small_disk / "filler").unlink()

        def booked() -> bool:
            request = client.chat("quick", "booked", stream=False)
            check_bytes(request, client.post(program.address(), program.key, request))
            return bool(requests_of(program))

        until("requests are booked again", booked, 30, 0.2)
