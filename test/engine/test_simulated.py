"""The simulated engine against its own definition: every byte of its answers is computed in Python."""

import contextlib
import http.client
import json
import os
import random
import socket
import subprocess

import pytest
from lib import simulated

KEY = "engine-key"


class Engine:
    def __init__(self, binary, *words: str):
        env = {**os.environ, "TIDEGATE_SIMULATED_KEY": KEY}
        command = [str(binary), "_simulate", "--model", "m", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.port = int(line.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def post(self, path: str, request, key: str = KEY):
        with contextlib.closing(self.connection()) as c:
            body = request if isinstance(request, bytes) else json.dumps(request)
            c.request("POST", path, body, {"authorization": f"Bearer {key}", "content-type": "application/json"})
            answer = c.getresponse()
            return answer.status, answer.read()

    def get(self, path: str, key: str | None = KEY):
        with contextlib.closing(self.connection()) as c:
            c.request("GET", path, headers={"authorization": f"Bearer {key}"} if key else {})
            answer = c.getresponse()
            return answer.status, answer.read()


@pytest.fixture(scope="module")
def engine(binary):
    with Engine(binary, "--prefill", "0", "--decode", "0") as e:
        yield e


def user(text, **more) -> dict:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "height": {"type": "number"},
                "wind": {"type": "boolean"},
                "unit": {"type": "string", "enum": ["C", "F", "Größe"]},
                "list": {"type": "array"},
                "map": {"type": "object"},
            },
            "required": ["city", "days", "height", "wind", "unit", "list", "map", "unknown"],
        },
    },
}
OTHER = {"type": "function", "function": {"name": "tide"}}

CHATS = {
    "plain": user("hello"),
    "empty": user(""),
    "null content": {"model": "m", "messages": [{"role": "assistant", "content": None}]},
    "parts": user([{"type": "text", "text": "one"}, {"type": "image_url"}, {"type": "text", "text": " 漢字 🌊"}]),
    "many": {"model": "m", "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b\n\"c\"\\"}]},
    "limit": user("hello", max_tokens=3),
    "other limit": user("hello", max_completion_tokens=5, max_tokens=9),
    "high limit": user("hello", max_tokens=5000),
    "long": user("hello", max_tokens=700, ignore_eos=True),
    "model name": {**user("x"), "model": 'a "quoted" é'},
    "tool": user("weather?", tools=[TOOL]),
    "one of two tools": user("weather? tide?", tools=[TOOL, OTHER]),
    "named tool": user("x", tools=[TOOL, OTHER], tool_choice={"type": "function", "function": {"name": "tide"}}),
    "no tool wanted": user("x", tools=[TOOL], tool_choice="none"),
    "tool answered": {
        "model": "m",
        "tools": [TOOL],
        "messages": [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "1", "content": "12"}],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CHATS)
def test_chat(engine, name):
    request = CHATS[name]
    expected = simulated.chat(request)
    assert engine.post("/v1/chat/completions", request) == (200, expected.body)
    assert engine.post("/v1/chat/completions", {**request, "stream": True}) == (200, expected.stream)
    with_usage = {**request, "stream": True, "stream_options": {"include_usage": True}}
    assert engine.post("/v1/chat/completions", with_usage) == (200, simulated.chat(with_usage).stream)


def test_many_prompts(engine):
    letters = random.Random(7)
    for _ in range(100):
        text = "".join(letters.choice('ab \n"\\é漢🌊') for _ in range(letters.randrange(60)))
        request = user(text, max_tokens=letters.randrange(1, 80))
        assert engine.post("/v1/chat/completions", request) == (200, simulated.chat(request).body)


@pytest.mark.parametrize("prompt", ["once", "", ["a", "b"], "漢字"])
def test_completion(engine, prompt):
    request = {"model": "m", "prompt": prompt, "max_tokens": 20}
    assert engine.post("/v1/completions", request) == (200, simulated.completion(request).body)
    request |= {"stream": True, "stream_options": {"include_usage": True}}
    assert engine.post("/v1/completions", request) == (200, simulated.completion(request).stream)


@pytest.mark.parametrize("more", [{}, {"dimensions": 3}, {"encoding_format": "base64"}, {"dimensions": 4096}])
def test_embeddings(engine, more):
    for text in ("one", ["one", "zwei é", ""]):
        request = {"model": "m", "input": text, **more}
        assert engine.post("/v1/embeddings", request) == (200, simulated.embeddings(request))


def test_context_bounds_the_answer(binary):
    with Engine(binary, "--prefill", "0", "--decode", "0", "--context", "20") as engine:
        request = user("x" * 40, ignore_eos=True)
        expected = simulated.chat(request, context=20)
        assert len(expected.tokens) == 20 - simulated.count_tokens("user\n" + "x" * 40 + "\n")
        assert engine.post("/v1/chat/completions", request) == (200, expected.body)
        status, body = engine.post("/v1/chat/completions", user("x" * 80))
        assert status == 400
        assert json.loads(body)["error"]["code"] == "context_length_exceeded"


def test_key_and_paths(engine):
    assert engine.get("/health", None) == (200, b'{"status":"ok"}')
    assert engine.get("/v1/models", None)[0] == 401
    assert json.loads(engine.get("/v1/models")[1])["data"][0]["id"] == "m"
    assert engine.post("/v1/chat/completions", user("x"), key="wrong")[0] == 401
    assert engine.get("/v1/chat/completions")[0] == 405
    assert engine.get("/nowhere")[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"model":1}', b'{"model":"m"}', b'{"model":"m","messages":[]}', b'{"model":"m","messages":[1]}',
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        json.dumps(user("x", max_tokens=0)).encode(), json.dumps(user("x", max_tokens="1")).encode(),
        json.dumps(user("x", n=2)).encode(), json.dumps(user("x", tools=[1])).encode(), json.dumps(user("x", tools={})).encode(),
    ],
)  # fmt: skip
def test_bad_requests(engine, body):
    status, answer = engine.post("/v1/chat/completions", body)
    assert status == 400
    assert json.loads(answer)["error"]["type"] == "invalid_request_error"


def test_loading_answers_503(binary):
    with Engine(binary, "--load-ms", "3600000") as engine:
        assert engine.get("/health", None)[0] == 503
        assert engine.get("/v1/models", None)[0] == 401
        assert engine.get("/v1/models")[0] == 503
        assert engine.post("/v1/chat/completions", user("x"))[0] == 503


def read_to_end(engine, request) -> bytes:
    """The raw bytes of one answer, however it ends."""
    body = json.dumps(request).encode()
    with socket.create_connection(("127.0.0.1", engine.port), timeout=30) as s:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
        s.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        raw = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := s.recv(65536):
                raw += piece
        return raw


def test_faults(binary):
    words = ["--fail", "1:firstByte:error:503", "--fail", "2:event:3:error:500", "--fail", "3:end:exit"]
    with Engine(binary, "--prefill", "0", "--decode", "0", *words) as engine:
        request = user("x", stream=True)
        expected = simulated.chat(request)
        assert read_to_end(engine, request).startswith(b"HTTP/1.1 503 ")
        second = read_to_end(engine, request)
        assert second.count(b"data: {") == 1 + 3 + 1  # role, three tokens, the error
        assert b'"code":"simulated_fault"' in second
        assert b"[DONE]" not in second
        third = read_to_end(engine, request)
        assert third.count(b'"content":') == 1 + len(expected.tokens)
        assert b"[DONE]" not in third
        assert engine.process.wait(10) == 1


def test_exit_after_some_events(binary):
    words = ["--prefill", "0", "--decode", "0", "--fail", "1:event:2:exit"]
    with Engine(binary, *words) as engine:
        raw = read_to_end(engine, user("x", stream=True))
        assert raw.count(b'"content":') == 1 + 2
        assert not raw.endswith(b"0\r\n\r\n")
        assert engine.process.wait(10) == 1


def test_fault_while_loading_counts_starts(binary):
    for start, ended in ((1, True), (2, False)):
        with Engine(binary, "--start", str(start), "--fail", "1:load:exit") as engine:
            if ended:
                assert engine.process.wait(10) == 1
            else:
                while engine.get("/health", None)[0] != 200:
                    assert engine.process.poll() is None


def test_more_requests_than_slots_wait_in_order(binary):
    """One slot and a stalled request in it: the next is answered only when the first client has left."""
    with Engine(binary, "--slots", "1", "--prefill", "0", "--decode", "0", "--fail", "1:event:1:stall") as engine:
        first, second = engine.connection(), engine.connection()
        headers = {"authorization": f"Bearer {KEY}"}
        first.request("POST", "/v1/chat/completions", json.dumps(user("a", stream=True)), headers)
        stalled = first.getresponse()
        assert stalled.readline().startswith(b"data: ")
        second.request("POST", "/v1/chat/completions", json.dumps(user("b")), headers)
        second.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            second.sock.recv(1, socket.MSG_PEEK)
        stalled.close()
        first.close()
        second.sock.settimeout(30)
        assert second.getresponse().read() == simulated.chat(user("b")).body


def test_pace(binary):
    """At 200 tokens/s, 40 tokens take at least 0.2 s: the pace is a lower bound, whatever else the machine does."""
    import time

    with Engine(binary, "--prefill", "0", "--decode", "200") as engine:
        begin = time.monotonic()
        engine.post("/v1/chat/completions", user("x", max_tokens=40, ignore_eos=True))
        assert time.monotonic() - begin >= 0.2
