"""A client that does not read stops the upstream. When it reads again, every byte arrives; after clientStalled it is
dropped."""

import contextlib
import hashlib
import os
import select
import socket
import threading
import time

import notation
from case import DOCUMENTS, UPSTREAM_KEY, sample_sum
from peers import Peer, Upstream, WireFailure, read_message
from program import Program

OFFERED = 24 << 20  # far above every buffer of the kernel and of the program
STALLED_S = 0.5  # an upstream that cannot write for so long is taken to be stopped


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as text:
        return int(text.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_client_that_does_not_read(binary, tmp_path):
    upstream = Upstream()
    documents = notation.expand(DOCUMENTS, {"upstream": upstream.address.encode()}).decode()
    event = b"data: " + bytes(range(48, 123)) * 13 + b"\n\n"
    framed = b"%x\r\n%s\r\n" % (len(event), event)
    body = b'{"model":"m","messages":[],"stream":true}'
    try:
        with Program(binary, tmp_path, {"wire.yaml": documents}, env={"WIRE_UPSTREAM_KEY": UPSTREAM_KEY}) as program:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(program.address())
            client = Peer(sock, "client", reading=False)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {program.key}\r\n"
            client.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            peer, _ = upstream.next_request()
            before = resident(program.process.pid)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            events, rest = 0, b""
            while events * len(framed) < OFFERED:
                rest = rest or framed * 64
                if not select.select([], [peer.sock], [], STALLED_S)[1]:
                    break
                sent = peer.sock.send(rest, socket.MSG_DONTWAIT)
                events += 64 if sent == len(rest) else 0
                rest = rest[sent:]
            else:
                raise AssertionError(f"{OFFERED} bytes were taken for a client that reads nothing")
            grown = resident(program.process.pid) - before
            assert grown < 4 << 20, f"{grown} bytes more memory for one client that does not read"
            events += 64 if rest else 0
            client.start_reading()
            peer.send(rest + b"0\r\n\r\n")
            client.wait("every byte", lambda: client.received.endswith(b"\r\n0\r\n\r\n"), bound=60)
            answer = read_message(client.received, False, request=False)
            assert answer.complete
            assert len(answer.payload) == events * len(event)
            assert hashlib.sha256(answer.payload).digest() == hashlib.sha256(event * events).digest()
            client.close()
            upstream.release()
    finally:
        upstream.release()


STALL_S = 0.5
TWO_ROUTES = """\
apiVersion: tidegate.dev/v1alpha1
kind: Provider
metadata: {name: up}
spec: {dialect: openai, url: "http://{{upstream}}/v1", models: [m]}
---
apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata: {name: impatient}
spec: {to: [{provider: up, model: m}], timeouts: {clientStalled: 500ms}}
---
apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata: {name: patient}
spec: {to: [{provider: up, model: m}]}
"""


class Flood(threading.Thread):
    """Sends a stream far larger than every buffer, as fast as it is taken, until it is whole or the program closes."""

    def __init__(self, peer: Peer):
        super().__init__(daemon=True)
        self.peer = peer
        self.event = b"data: " + b"0123456789abcdef" * 512 + b"\n\n"
        self.count = OFFERED // len(self.event)
        self.start()

    def run(self) -> None:
        framed = b"%x\r\n%s\r\n" % (len(self.event), self.event)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        with contextlib.suppress(WireFailure, OSError):
            self.peer.send(head)
            for _ in range(self.count):
                self.peer.send(framed)
            self.peer.send(b"0\r\n\r\n")


def ask_without_reading(program: Program, route: str) -> Peer:
    sock = socket.socket()
    # Far smaller than what is offered, and large enough to be read quickly in the end.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
    sock.connect(program.address())
    client = Peer(sock, f"client of {route}", reading=False)
    body = b'{"model":"%s","messages":[],"stream":true}' % route.encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {program.key}\r\n"
    client.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return client


def read_to(sock: socket.socket, end: bytes | None) -> bytes:
    """What comes until these bytes, or until the close."""
    sock.settimeout(60)
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(1 << 20):
            got += piece
            if end and got.endswith(end):
                break
    return bytes(got)


def test_client_stalled_drops_one_who_takes_nothing(binary, tmp_path):
    """Two clients that read nothing. The one whose Route says so is dropped, its upstream told, and not before its time;
    the other one's Route has the default of 30 s, and it gets every byte when it reads."""
    upstream = Upstream()
    documents = notation.expand(TWO_ROUTES, {"upstream": upstream.address.encode()}).decode()
    try:
        with Program(binary, tmp_path, {"wire.yaml": documents}) as program:
            patient = ask_without_reading(program, "patient")
            patient_peer, _ = upstream.next_request()
            flood = Flood(patient_peer)
            begin = time.monotonic()
            impatient = ask_without_reading(program, "impatient")
            impatient_peer, _ = upstream.next_request()
            Flood(impatient_peer)
            at = impatient_peer.wait("the close after clientStalled", lambda: impatient_peer.closed_at)
            assert at - begin >= STALL_S, f"dropped after {at - begin:.3f} s"
            end = time.monotonic() + 10
            while (
                sample_sum(program.metrics(), "tidegate_requests_total", 'route="impatient",outcome="client_gone"') != 1
            ):
                assert time.monotonic() < end, "the drop is not counted"
                time.sleep(0.01)
            answer = read_message(read_to(impatient.sock, None), True, request=False)
            assert answer.status == 200 and not answer.complete, "the dropped answer must be seen as cut"
            assert b"[DONE]" not in answer.payload

            assert patient_peer.closed_at is None, "30 s hold for the other Route"
            assert flood.is_alive(), "its upstream must be stopped by now, or this shows nothing"
            answer = read_message(read_to(patient.sock, b"\r\n0\r\n\r\n"), False, request=False)
            assert answer.complete
            assert hashlib.sha256(answer.payload).digest() == hashlib.sha256(flood.event * flood.count).digest()
            patient.close()
            impatient.close()
            upstream.release()
    finally:
        upstream.release()
