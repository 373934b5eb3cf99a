"""An upstream behind TLS: whom the program trusts, what it says of itself, and that bytes and ends are as without TLS."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest
from case import UPSTREAM_KEY, sample_sum
from lib.certificates import Authority, Certificate
from lib.listening import serve_each
from peers import BOUND_S, Message, Peer, ask_chat, read_message, whole_answer
from program import Program

ANSWER = b'{"choices":[]}'
BODY = b'{"model":"m","messages":[]}'
STREAM = b'{"model":"m","messages":[],"stream":true}'


@dataclasses.dataclass
class Seen:
    """One connection, as the upstream saw it."""

    sni: str | None = None
    resumed: bool = False
    version: str | None = None
    problem: str = ""  # why there was no session
    requests: list[Message] = dataclasses.field(default_factory=list)
    closed: bool = False


Reply = Callable[[ssl.SSLSocket, Message], None]


def answer(sock: ssl.SSLSocket, _: Message, more: str = "", body: bytes = ANSWER) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)


def answer_and_close(sock: ssl.SSLSocket, request: Message) -> None:
    answer(sock, request, "Connection: close\r\n")
    sock.unwrap()


class TlsUpstream:
    """Serves each connection in a thread of its own; `reply` is called for each whole request."""

    def __init__(self, certificate: Certificate, reply: Reply = answer, only: ssl.TLSVersion | None = None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.file, certificate.key)
        self.context.sni_callback = self._named
        if only:
            self.context.minimum_version = self.context.maximum_version = only
        self.reply = reply
        self.seen: list[Seen] = []
        self.sockets: dict[int, Seen] = {}
        self.changed = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        serve_each(self.listener, self._serve)

    def __enter__(self) -> TlsUpstream:
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _named(self, sock: ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        self.sockets[id(sock)].sni = name

    def _serve(self, plain: socket.socket) -> None:
        one = Seen()
        plain.settimeout(60)
        sock = self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.sockets[id(sock)] = one
        try:
            sock.do_handshake()
            one.resumed, one.version = bool(sock.session_reused), sock.version()
        except (ssl.SSLError, OSError) as problem:
            one.problem = str(problem)
        with self.changed:
            self.seen.append(one)
            self.changed.notify_all()
        with contextlib.suppress(ssl.SSLError, OSError):
            if not one.problem:
                self._requests(sock, one)
        with self.changed:
            one.closed = True
            self.changed.notify_all()
        sock.close()

    def _requests(self, sock: ssl.SSLSocket, one: Seen) -> None:
        raw = bytearray()
        while piece := sock.recv(1 << 16):
            raw += piece
            request = read_message(bytes(raw), False, request=True)
            if request and request.complete:
                del raw[: request.length]
                with self.changed:
                    one.requests.append(request)
                    self.changed.notify_all()
                self.reply(sock, request)

    def wait(self, what: str, test: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(test, BOUND_S), f"{what}: not within {BOUND_S} s; {self.seen}"


def documents(url: str, **timeouts: str) -> dict[str, str]:
    provider = {"dialect": "openai", "url": url, "credentials": {"env": "WIRE_UPSTREAM_KEY"}, "models": ["m"]}
    route = {"to": [{"provider": "up", "model": "m"}], "timeouts": timeouts, "retry": {"attempts": 1}}
    texts = [
        json.dumps({"apiVersion": "tidegate.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
        for kind, name, spec in (("Provider", "up", provider), ("Route", "m", route))
    ]
    return {"tls.yaml": "\n---\n".join(texts)}


def program(binary, folder, url: str, trusted: str, **timeouts: str) -> Program:
    # One worker, for each has sessions of its own.
    env = {"WIRE_UPSTREAM_KEY": UPSTREAM_KEY, "SSL_CERT_FILE": trusted, "SSL_CERT_DIR": "/nonexistent"}
    return Program(binary, folder, documents(url, **timeouts), arguments=("--workers", "1"), env=env)


def ask(running: Program, body: bytes = BODY) -> Peer:
    return ask_chat(running.address(), running.key, body)


def whole(client: Peer) -> Message:
    got = whole_answer(client)
    client.close()
    return got


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def localhost(authority) -> Certificate:
    return authority.certificate("DNS:localhost,IP:127.0.0.1")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_trusted_named_and_resumed(binary, tmp_path, authority, localhost, version):
    """The name is sent, the request arrives as it is, and the second connection resumes the session of the first."""
    with (
        TlsUpstream(localhost, answer_and_close, version) as upstream,
        program(binary, tmp_path, f"https://localhost:{upstream.port}/v1", authority.file) as running,
    ):
        for n in (1, 2):
            got = whole(ask(running))
            assert (got.status, got.payload) == (200, ANSWER)
            upstream.wait("the end of the connection", lambda n=n: len(upstream.seen) == n and upstream.seen[-1].closed)
        first, second = upstream.seen
        assert (first.sni, second.sni) == ("localhost", "localhost")
        assert {first.version, second.version} == {{"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]}
        assert (first.resumed, second.resumed) == (False, True)
        for one in upstream.seen:
            (request,) = one.requests
            assert request.start_line == "POST /v1/chat/completions HTTP/1.1"
            assert request.payload == BODY
            assert request.header("authorization") == f"Bearer {UPSTREAM_KEY}"


def test_an_address_is_verified_and_not_sent_as_a_name(binary, tmp_path, authority, localhost):
    with (
        TlsUpstream(localhost) as upstream,
        program(binary, tmp_path, f"https://127.0.0.1:{upstream.port}/v1", authority.file) as running,
    ):
        for _ in range(2):
            assert whole(ask(running)).payload == ANSWER
        (one,) = upstream.seen
        assert one.sni is None
        assert len(one.requests) == 2, "the connection is kept"


FOREIGN = "its certificate is signed by nobody this machine trusts"
OTHER_NAME = "its certificate is for another name"
EXPIRED = "its certificate has expired"
# names, days, signer, what the upstream hears, what the client is told, OpenSSL's words in the log
REFUSED = {
    "unknown authority": ("DNS:localhost", 2, "other", "alert unknown ca", FOREIGN, "unable to get local issuer"),
    "wrong name": ("DNS:other.example", 2, "ours", "", OTHER_NAME, "hostname mismatch"),
    "only the address": ("IP:127.0.0.1", 2, "ours", "", OTHER_NAME, "hostname mismatch"),
    "expired": ("DNS:localhost", -1, "ours", "expired", EXPIRED, "certificate has expired"),
}


def refusal(got: Message, cause: str) -> None:
    """502 with its own code and the kind of reason; clients are not told of addresses."""
    assert got.status == 502
    error = json.loads(got.payload)["error"]
    assert error["code"] == "upstream_tls_failed"
    assert error["message"] == f"no trusted TLS session with the upstream: {cause}"


def warnings(running: Program) -> list[dict]:
    """What the log says of TLS sessions that did not come about."""
    lines = [json.loads(line) for line in (running.folder / "stderr").read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == "no TLS session with an upstream"]


@pytest.mark.parametrize("what", REFUSED)
def test_not_trusted(binary, tmp_path, authority, what):
    """A 502 that says why, no byte of the request leaves the program, the ledger charges nothing; the log has the rest."""
    names, days, signer, alert, cause, words = REFUSED[what]
    signed_by = authority if signer == "ours" else Authority(tmp_path / "other", "other")
    with (
        TlsUpstream(signed_by.certificate(names, days)) as upstream,
        program(binary, tmp_path, f"https://localhost:{upstream.port}/v1", authority.file) as running,
    ):
        refusal(whole(ask(running)), cause)
        upstream.wait("the refusal", lambda: upstream.seen)
        assert alert in upstream.seen[0].problem
        assert not any(one.requests for one in upstream.seen)
        (row,) = json.loads(running.command("usage", "--requests", "-o", "json").stdout)["items"]
        assert (row["outcome"], row["reason"], row["tokensIn"]) == ("upstream_error", "upstream_tls_failed", 0)
        (warning,) = warnings(running)
        assert (warning["level"], warning["upstream"], warning["cause"]) == ("warn", "provider/up", cause)
        assert words in warning["error"].lower()
        assert "localhost" in warning["error"], "the log names the host"
        refusal(whole(ask(running)), cause)
        assert len(warnings(running)) == 1, "one line in ten seconds for one upstream"


class PlainListener:
    """Takes connections and sends these bytes, or nothing; `closes`: ends each after the first bytes that come."""

    def __init__(self, greeting: bytes = b"", closes: bool = False):
        self.closes = closes
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.greeting = greeting
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.taken.append(sock)
                sock.sendall(self.greeting)
                if self.closes:
                    sock.recv(1 << 16)
                    sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> PlainListener:
        return self

    def __exit__(self, *_) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        for sock in (self.listener, *self.taken):
            sock.close()


def test_no_tls_at_the_other_end(binary, tmp_path, authority):
    with (
        PlainListener(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as listener,
        program(binary, tmp_path, f"https://localhost:{listener.port}/v1", authority.file) as running,
    ):
        refusal(whole(ask(running)), "it does not speak TLS")
        assert "wrong version number" in warnings(running)[0]["error"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # that these are old is the point
def test_no_version_in_common(binary, tmp_path, authority, localhost):
    """Below TLS 1.2 nothing is spoken."""
    with TlsUpstream(localhost) as upstream:
        upstream.context.minimum_version = ssl.TLSVersion.TLSv1
        upstream.context.maximum_version = ssl.TLSVersion.TLSv1_1
        upstream.context.set_ciphers("ALL:@SECLEVEL=0")
        with program(binary, tmp_path, f"https://localhost:{upstream.port}/v1", authority.file) as running:
            refusal(whole(ask(running)), "it has no TLS version in common with us")
            assert "version" in warnings(running)[0]["error"]


def test_the_other_end_closes_within_the_handshake(binary, tmp_path, authority):
    with (
        PlainListener(closes=True) as listener,
        program(binary, tmp_path, f"https://localhost:{listener.port}/v1", authority.file) as running,
    ):
        refusal(whole(ask(running)), "it closed the connection")
        assert warnings(running)[0]["error"].startswith("TLS handshake: ")


def test_the_handshake_has_a_timeout(binary, tmp_path, authority):
    with (
        PlainListener() as listener,
        program(binary, tmp_path, f"https://localhost:{listener.port}/v1", authority.file, tls="300ms") as running,
    ):
        begin = time.monotonic()
        got = whole(ask(running))
        assert time.monotonic() - begin >= 0.3
        assert (got.status, json.loads(got.payload)["error"]["code"]) == (504, "timeout_tls")


def test_large_bodies_both_ways(binary, tmp_path, authority, localhost):
    """3 MiB up and down: many records, partial writes, and not a byte different."""
    body = b'{"model":"m","messages":[{"role":"user","content":"' + b"0123456789abcdef" * (3 << 16) + b'"}]}'

    def echo(sock: ssl.SSLSocket, request: Message) -> None:
        answer(sock, request, body=request.payload)

    with (
        TlsUpstream(localhost, echo) as upstream,
        program(binary, tmp_path, f"https://localhost:{upstream.port}/v1", authority.file) as running,
    ):
        got = whole(ask(running, body))
        assert got.status == 200
        assert hashlib.sha256(got.payload).digest() == hashlib.sha256(body).digest()


def test_a_stream_and_a_client_that_leaves(binary, tmp_path, authority, localhost):
    event = b'data: {"choices":[{"delta":{"content":"one"}}]}\n\n'

    def stream(sock: ssl.SSLSocket, _: Message) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        sock.sendall(b"%x\r\n%s\r\n" % (len(event), event))

    with (
        TlsUpstream(localhost, stream) as upstream,
        program(binary, tmp_path, f"https://localhost:{upstream.port}/v1", authority.file) as running,
    ):
        client = ask(running, STREAM)

        def relayed() -> bool:
            got = read_message(client.received, False, request=False)
            return got is not None and got.payload == event

        client.wait("the event", relayed)
        client.close()
        upstream.wait("the close of the upstream", lambda: upstream.seen and upstream.seen[0].closed)
        end = time.monotonic() + BOUND_S
        while sample_sum(running.metrics(), "tidegate_requests_total", 'outcome="client_gone"') != 1:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("said", [True, False], ids=["said", "cut"])
def test_an_answer_up_to_the_close_ends_only_when_tls_says_so(binary, tmp_path, authority, localhost, said):
    """Without close_notify anybody on the way could have cut the connection, so the answer is not taken for whole."""

    def up_to_the_close(sock: ssl.SSLSocket, _: Message) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + ANSWER)
        if said:
            sock.unwrap()
        else:
            socket.socket.shutdown(sock, socket.SHUT_WR)

    with (
        TlsUpstream(localhost, up_to_the_close) as upstream,
        program(binary, tmp_path, f"https://localhost:{upstream.port}/v1", authority.file) as running,
    ):
        got = whole(ask(running))
        if said:
            assert (got.status, got.payload) == (200, ANSWER)
        else:
            assert (got.status, json.loads(got.payload)["error"]["code"]) == (502, "upstream_cut")
