"""Requests that wait for an engine: their order, what their clients see meanwhile, and how the wait can end."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from lib import client, documents, scripted_engine, simulated
from lib.listening import serve_each
from lib.processes import replicas
from lib.wait import until
from program import Program


def state(program: Program, name: str = "m") -> dict:
    return next(m for m in json.loads(program.command("models", "-o", "json").stdout)["items"] if m["name"] == name)


def rows(program: Program) -> list[dict]:
    return json.loads(program.command("usage", "--requests", "-o", "json").stdout)["items"]


def held(program: Program, count: int) -> bool:
    return f'tidegate_held_requests{{model="m"}} {count}\n' in program.metrics()


def serve(binary, folder, *models: str) -> Program:
    return Program(binary, folder, {"models.yaml": documents.file(*models)})


def test_order_is_the_order_of_arrival(binary, tmp_path):
    """Ten requests that arrive one after the other wait for one slot, and are answered in that order."""
    with serve(binary, tmp_path, documents.simulated("m", {"load": "1500ms"}, slots=1)) as program:
        answers: list[client.Answer] = []

        def one(number: int) -> None:
            request = client.chat("m", "in turn", max_tokens=20 + number, ignore_eos=True)
            answers.append(client.post(program.address(), program.key, request))

        threads = []
        for n in range(10):
            threads.append(threading.Thread(target=one, args=(n,), daemon=True))
            threads[-1].start()
            until(f"{n + 1} wait", lambda n=n: held(program, n + 1))
        for t in threads:
            t.join(30)
        assert [a.status for a in answers] == [200] * 10
        # The ledger lists by time of the end; when each thread of this test woke says nothing. Tokens tell who is who.
        assert [row["tokensOut"] - 20 for row in rows(program)] == list(range(10))


@pytest.mark.parametrize("phase", ["held", "before the answer", "in the answer"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_clients_leave(binary, tmp_path, phase, stream):
    """The place of one who leaves is free at once; who left while held never reached the engine."""
    engine = {"held": {"load": "2s"}, "before the answer": {"prefill": 1}, "in the answer": {"decode": 20}}[phase]
    with serve(binary, tmp_path, documents.simulated("m", engine, slots=1, idle="10m")) as program:
        request = client.chat("m", "leaves", stream=stream, ignore_eos=True, max_tokens=3000)
        leaver = client.Stream(program.address(), program.key, request)
        if phase == "held":
            until("it waits", lambda: held(program, 1))
        elif phase == "in the answer" and stream:
            leaver.read_events(3)
        else:
            until("it is under way", lambda: state(program)["inFlight"] == 1)
        leaver.close()
        if phase == "held":
            until("nobody waits", lambda: held(program, 0), 5)
            until("it is ready", lambda: state(program)["state"] == "ready")
            assert not [r for r in rows(program) if r["tokensIn"] or r["tokensOut"]]
            return
        until("the slot is free", lambda: state(program)["inFlight"] == 0, 5)
        row = until("its record", lambda: [r for r in rows(program) if r["outcome"] == "client_gone"], 5)[0]
        assert row["usage"] == "estimated"


def test_comments_while_held(binary, tmp_path):
    """A streaming client hears a comment each half second and then the answer; a plain one waits for the true status."""
    model = documents.simulated("m", {"load": "1800ms"}, hold={"keepAliveAfter": "500ms"})
    with serve(binary, tmp_path, model) as program:
        request = client.chat("m", "held and told so", stream=True)
        plain = client.chat("m", "held", stream=False)
        answers: list[client.Answer] = []
        other = threading.Thread(
            target=lambda: answers.append(client.post(program.address(), program.key, plain)), daemon=True
        )
        other.start()
        answer = client.post(program.address(), program.key, request)
        other.join(30)
        comments = answer.body.count(b": \n\n")
        assert answer.body == b": \n\n" * comments + simulated.chat(request).stream
        assert 2 <= comments <= 4
        assert (answer.status, answer.whole) == (200, True)
        assert answers[0].body == simulated.chat(plain).body


def test_no_comments_when_switched_off(binary, tmp_path):
    model = documents.simulated("m", {"load": "1s"}, hold={"keepAliveAfter": "never"})
    with serve(binary, tmp_path, model) as program:
        request = client.chat("m", "held in silence", stream=True)
        assert client.post(program.address(), program.key, request).body == simulated.chat(request).stream


def test_no_comments_for_http_1_0(binary, tmp_path):
    model = documents.simulated("m", {"load": "800ms"}, hold={"keepAliveAfter": "100ms"})
    with serve(binary, tmp_path, model) as program, socket.create_connection(program.address(), timeout=30) as s:
        request = client.chat("m", "an old client", stream=True)
        body = json.dumps(request).encode()
        head = f"POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer {program.key}\r\nContent-Length: {len(body)}\r\n\r\n"
        s.sendall(head.encode() + body)
        raw = b""
        while piece := s.recv(65536):
            raw += piece
        assert raw.split(b"\r\n\r\n", 1)[1] == simulated.chat(request).stream


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_deadline(binary, tmp_path, stream):
    """503 with Retry-After from the learned start; a stream that has got comments gets the same as an event."""
    hold = {"deadline": "1200ms", "keepAliveAfter": "400ms" if stream else "never"}
    with serve(binary, tmp_path, documents.simulated("m", {"load": "10m"}, hold=hold)) as program:
        answer = client.post(program.address(), program.key, client.chat("m", "x", stream=stream))
        if not stream:
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.error["code"] == "hold_deadline"
            return
        assert answer.status == 200
        found = client.error_event(answer.body)
        assert found, answer
        assert found[0].replace(b": \n\n", b"") == b""
        assert (found[1]["status"], found[1]["code"]) == (503, "hold_deadline")
        (row,) = rows(program)
        assert (row["outcome"], row["tokensIn"], row["tokensOut"]) == ("refused", 0, 0)


# --- what is sent again ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["firstByte", "event:1", "event:5", "end"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_engine_exits(binary, tmp_path, at, stream):
    """The second request of each engine kills it. Nothing relayed: sent again, and answered in full. Else: cut, said plainly."""
    fail = [{"request": 2, "at": at, "do": "exit"}]
    with serve(binary, tmp_path, documents.simulated("m", {"fail": fail}, slots=1, idle="10m")) as program:
        for n in range(4):
            request = client.chat("m", f"number {n}", stream=stream)
            expected = simulated.chat(request)
            answer = client.post(program.address(), program.key, request)
            assert answer.status == 200
            if n % 2 and stream and at != "firstByte":
                found = client.error_event(answer.body)
                if found is None:  # the engine died with the last byte on its way
                    assert answer.body == expected.stream, answer
                    continue
                assert not answer.whole
                assert expected.stream.startswith(found[0])
                assert found[1]["code"] == "upstream_cut"
                continue
            assert answer.whole
            assert answer.body == (expected.stream if stream else expected.body)
        assert 'tidegate_replica_starts_total{model="m",outcome="ready"} ' in program.metrics()


class Peer:
    """A server of somebody else, of raw sockets: for each connection that asks for an answer, the next of these scripts."""

    def __init__(self, *scripts: bytes):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.scripts = list(scripts)
        self.asked = 0
        serve_each(self.listener, self._serve)

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            raw = b""
            while b"\r\n\r\n" not in raw:
                piece = sock.recv(65536)
                if not piece:
                    return
                raw += piece
            if raw.startswith(b"GET "):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                return
            script = self.scripts[min(self.asked, len(self.scripts) - 1)]
            self.asked += 1
            sock.sendall(script)

    def close(self) -> None:
        self.listener.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nx-try: %d\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole_stream(number: int, stream: bytes) -> bytes:
    return HEAD % number + chunk(stream) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "broken", [b"", HEAD[:20], HEAD % 1, HEAD % 1 + b"5\r\ndata", HEAD % 1 + chunk(b"data: {}\n")],
    ids=["nothing", "half a head", "a head", "half a chunk", "half an event"],
)  # fmt: skip
def test_nothing_was_relayed_so_it_is_sent_again(binary, tmp_path, broken):
    request = client.chat("m", "twice", stream=True)
    expected = simulated.chat(request).stream
    command = scripted_engine.command(tmp_path / "engine", {"twice": [broken, whole_stream(2, expected)]})
    with serve(binary, tmp_path, documents.simulated("m", slots=1, command=command)) as program:
        answer = client.post(program.address(), program.key, request, bound=20)
        assert (answer.status, answer.whole, answer.body) == (200, True, expected), answer
        assert answer.headers["x-try"] == "2"
        assert len(scripted_engine.asked(tmp_path / "engine")) == 2
        (row,) = rows(program)
        assert (row["outcome"], row["retries"]) == ("complete", 1)


@pytest.mark.parametrize(
    ("broken", "code"), [(b"", "upstream_no_answer"), (HEAD % 1, "upstream_cut")], ids=["nothing", "a head"]
)
def test_a_request_that_breaks_each_connection_ends(binary, tmp_path, broken, code):
    """An engine that lives and breaks off: after three times the request ends, and who waits behind it is answered."""
    good = client.chat("m", "good", stream=True)
    expected = simulated.chat(good).stream
    scripts = {"poison": [broken], "good": [whole_stream(1, expected)]}
    command = scripted_engine.command(tmp_path / "engine", scripts)
    model = documents.simulated("m", slots=1, command=command, hold={"deadline": "8s"})
    with serve(binary, tmp_path, model) as program:
        bad: list[client.Answer] = []

        def send() -> None:
            bad.append(client.post(program.address(), program.key, client.chat("m", "poison", stream=True)))

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        until("the engine has it", lambda: scripted_engine.asked(tmp_path / "engine"))
        answer = client.post(program.address(), program.key, good)
        assert (answer.status, answer.body) == (200, expected), answer
        thread.join(client.BOUND_S)
        assert (bad[0].status, bad[0].error["code"]) == (502, code), bad
        assert scripted_engine.asked(tmp_path / "engine") == ["poison"] * 3 + ["good"]
        first = next(row for row in rows(program) if row["outcome"] != "complete")
        assert (first["outcome"], first["status"], first["retries"]) == ("upstream_error", 502, 2)
    assert not replicas(program.data)


def test_a_server_of_somebody_else_is_not_asked_twice(binary, tmp_path):
    """It had the request on a fresh connection and said nothing: nobody knows what it did. The next request is served."""
    request = client.chat("m", "once", stream=True)
    expected = simulated.chat(request).stream
    peer = Peer(b"", whole_stream(2, expected))
    model = documents.document("Model", "m", {"engine": {"external": {"url": peer.url}}, "slots": 1})
    with serve(binary, tmp_path, model) as program:
        answer = client.post(program.address(), program.key, request)
        assert (answer.status, answer.error["code"]) == (502, "upstream_no_answer"), answer
        assert peer.asked == 1
        answer = client.post(program.address(), program.key, request)
        assert (answer.status, answer.body) == (200, expected), answer
        assert [row["retries"] for row in rows(program)] == [0, 0]
    peer.close()
