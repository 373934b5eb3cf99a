"""A client that does not read stops the upstream; when it reads again, every byte arrives."""

import hashlib
import os
import select
import socket

import notation
from case import DOCUMENTS, UPSTREAM_KEY
from peers import Peer, Upstream, read_message
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
