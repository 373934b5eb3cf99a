"""An upstream that answers before it has read the whole request: the client gets that answer whole, whatever becomes of
the rest of the request. Its socket is closed with bytes unread, so the program sees a reset behind the answer."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import termios
import threading
import time

import notation
import pytest
from case import DOCUMENTS, UPSTREAM_KEY
from lib.listening import serve_each
from peers import BOUND_S, Peer, ask_chat, read_message, whole_answer
from program import Program

BODY = (
    b'{"model":"m","messages":[{"role":"user","content":"' + b"0123456789abcdef" * (249 << 10) + b'"}]}'
)  # just below the limit
REFUSAL = b'{"error":{"message":"too large for me","type":"invalid_request_error","param":null,"code":"too_large"}}'
LONG = b'{"error":{"message":"' + b"z" * 200_000 + b'","type":"invalid_request_error","param":null,"code":"too_large"}}'
SMALL = b'{"model":"m","messages":[]}'
SHORT = b'{"choices":[]}'


def framed(status: str, body: bytes, how: str, close: bool) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n" + ("Connection: close\r\n" if close else "")
    if how == "length":
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if how == "chunked":
        chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk
    return head.encode() + b"\r\n" + body


class HastyUpstream:
    """Answers each small request whole, and a large one as soon as its head is here; `end` says what follows."""

    def __init__(self, refusal: bytes, end: str):
        self.refusal = refusal
        self.end = end
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # so that most of the request stays behind
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.unread = 0  # bytes of the large request that the upstream did not take
        self.connections = 0
        self.may_close = threading.Event()
        self.before = lambda: None  # runs when a head is here and no answer sent
        self.gone = threading.Event()  # the connection of the large request is closed on this side
        serve_each(self.listener, self._serve)

    def __enter__(self) -> HastyUpstream:
        return self

    def __exit__(self, *_) -> None:
        self.may_close.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self, sock: socket.socket) -> None:
        self.connections += 1
        sock.settimeout(BOUND_S)
        raw = b""
        with contextlib.suppress(OSError), sock:
            while piece := sock.recv(1024):
                raw += piece
                request = read_message(raw, False, request=True)
                if request is None:
                    continue
                if request.header("content-length") != str(len(SMALL)):
                    self._refuse(sock, len(raw) - raw.index(b"\r\n\r\n") - 4)
                    break
                if request.complete:
                    sock.sendall(framed("200 OK", SHORT, "length", False))
                    raw = b""
        self.gone.set()

    def _refuse(self, sock: socket.socket, taken: int) -> None:
        self.unread = len(BODY) - taken
        self.before()
        sock.sendall(self.refusal)
        self._delivered(sock)
        if self.end == "stays":
            self.may_close.wait(BOUND_S)
        elif self.end == "half-closes":
            sock.shutdown(socket.SHUT_WR)
            self.may_close.wait(BOUND_S)
        elif self.end == "resets":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A close with bytes unread is a reset as well. Both come behind an answer that the program's kernel holds.

    @staticmethod
    def _delivered(sock: socket.socket) -> None:
        """Waits until the other kernel has every byte: a reset throws away what is still on this side."""
        end = time.monotonic() + BOUND_S
        while struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0] and time.monotonic() < end:
            time.sleep(0.0005)


def asking(running: Program, body: bytes) -> Peer:
    return ask_chat(running.address(), running.key, body)


@pytest.fixture
def program(binary, tmp_path):
    @contextlib.contextmanager
    def start(upstream: HastyUpstream):
        documents = notation.expand(DOCUMENTS, {"upstream": f"127.0.0.1:{upstream.port}".encode()}).decode()
        env = {"WIRE_UPSTREAM_KEY": UPSTREAM_KEY}
        with Program(binary, tmp_path, {"wire.yaml": documents}, arguments=("--workers", "1"), env=env) as running:
            yield running

    return start


# An answer up to the close has no end while the connection stands, and a reset is none (the last test but one).
ENDS = [(how, end) for how in ("length", "chunked") for end in ("closes", "resets", "half-closes", "stays")]


@pytest.mark.parametrize(("how", "end"), [*ENDS, ("until close", "half-closes")])
@pytest.mark.parametrize("body", [REFUSAL, LONG], ids=["short", "long"])
def test_the_answer_arrives_whole_answer(program, how, end, body):
    refusal = framed("413 Content Too Large", body, how, close=end != "stays")
    with HastyUpstream(refusal, end) as upstream, program(upstream) as running:
        got = whole_answer(asking(running, BODY))
        assert upstream.unread > 1 << 20, "the upstream did not read most of the request"
        assert (got.status, got.payload) == (413, body)
        assert upstream.connections == 1, "it is not sent again"
        (row,) = json.loads(running.command("usage", "--requests", "-o", "json").stdout)["items"]
        assert (row["status"], row["tokensIn"], row["tokensOut"]) == (413, 0, 0)


@pytest.mark.parametrize("end", ["closes", "resets"])
def test_answer_and_reset_in_one_turn(program, end):
    """The program learns of the reset by a write that fails, before it has read a byte of the answer."""
    refusal = framed("413 Content Too Large", REFUSAL, "length", close=True)
    with HastyUpstream(refusal, end) as upstream, program(upstream) as running:
        upstream.before = lambda: os.kill(running.process.pid, signal.SIGSTOP)
        client = asking(running, BODY)
        assert upstream.gone.wait(BOUND_S)
        os.kill(running.process.pid, signal.SIGCONT)
        got = whole_answer(client)
        assert (got.status, got.payload, upstream.connections) == (413, REFUSAL, 1)


def test_on_a_connection_that_was_used_before(program):
    """The state of the request before leaves no trace, and the connection is never used again."""
    refusal = framed("413 Content Too Large", REFUSAL, "length", False)
    with HastyUpstream(refusal, "closes") as upstream, program(upstream) as running:
        assert whole_answer(asking(running, SMALL)).payload == SHORT
        assert upstream.connections == 1
        got = whole_answer(asking(running, BODY))
        assert (got.status, got.payload, upstream.connections) == (413, REFUSAL, 1)
        assert whole_answer(asking(running, SMALL)).payload == SHORT
        assert upstream.connections == 2


def test_a_stream_request_refused_early(program):
    body = BODY[:-1] + b',"stream":true}'
    refusal = framed("413 Content Too Large", REFUSAL, "length", True)
    with HastyUpstream(refusal, "closes") as upstream, program(upstream) as running:
        got = whole_answer(asking(running, body))
        assert (got.status, got.payload) == (413, REFUSAL)


def test_an_answer_up_to_a_reset(program):
    """Without a length only the close ends an answer, and a reset may have cut it: the client must not take it for whole."""
    refusal = framed("413 Content Too Large", REFUSAL, "until close", True)
    with HastyUpstream(refusal, "closes") as upstream, program(upstream) as running:
        got = whole_answer(asking(running, BODY))
        assert (got.status, json.loads(got.payload)["error"]["code"]) == (502, "upstream_cut")


def test_an_early_answer_does_not_end_the_client(program):
    """The client's connection lives: its request was read whole by the program, so the next one is understood."""
    refusal = framed("413 Content Too Large", REFUSAL, "length", True)
    with HastyUpstream(refusal, "closes") as upstream, program(upstream) as running:
        client = asking(running, BODY)
        first = whole_answer(client)
        assert first.status == 413
        client.received = client.received[first.length :]
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {running.key}\r\n"
        client.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(SMALL) + SMALL)
        assert whole_answer(client).payload == SHORT
