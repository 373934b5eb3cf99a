"""A stream, cut at every byte offset: into two reads, where the payload must not change by a byte; and for good, where
the client must get whole events, then an error event, and never a last chunk."""

import json
import socket

import notation
import pytest
from case import DOCUMENTS, UPSTREAM_KEY
from peers import Peer, Upstream, read_message
from program import Program

BODY = b'{"model":"m","messages":[],"stream":true}'
EVENTS = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}\n\n',
    b": comment\n\n",
    'data: {"id":"c","choices":[{"index":0,"delta":{"content":"é😀\\ud83d\\ude00"}}],"usage":null}\n\n'.encode(),
    b'event: odd\r\ndata: {"x":1}\r\n\r\n',
    b'data:{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
]
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}\n\n'
DONE = b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# Chunks that end with events and chunks that do not; the usage event shares its chunk with both neighbours.
PAYLOAD = b"".join(EVENTS) + DONE
STREAM = (
    HEAD
    + chunk(EVENTS[0])
    + chunk(EVENTS[1] + EVENTS[2][:70])
    + chunk(EVENTS[2][70:] + EVENTS[3])
    + chunk(EVENTS[4] + USAGE + DONE)
    + b"0\r\n\r\n"
)


def event_ends() -> set[int]:
    ends, at = {0}, 0
    for event in [*EVENTS, DONE]:
        at += len(event)
        ends.add(at)
        if event.endswith(b"\r\n\r\n"):
            ends.add(at - 1)  # a CR alone ends a line too, so the event is whole before its last LF
    return ends


@pytest.fixture
def wire(binary, tmp_path):
    # A program for each test, so that none begins with a connection of the last in the pool.
    upstream = Upstream()
    documents = notation.expand(DOCUMENTS, {"upstream": upstream.address.encode()}).decode()
    try:
        with Program(binary, tmp_path, {"wire.yaml": documents}, env={"WIRE_UPSTREAM_KEY": UPSTREAM_KEY}) as program:
            yield program, upstream
            upstream.release()
    finally:
        upstream.release()


def ask(program: Program) -> Peer:
    client = Peer(socket.create_connection(program.address()), "client")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {program.key}\r\n"
    client.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
    return client


def answer_of(client: Peer):
    return read_message(client.received, client.closed_at is not None, request=False)


def test_two_reads(wire):
    program, upstream = wire
    for cut in range(1, len(STREAM)):
        client = ask(program)
        peer, _ = upstream.next_request()
        peer.send(STREAM[:cut])
        peer.drained()
        peer.send(STREAM[cut:])
        answer = client.wait(f"the end, cut at {cut}", lambda c=client: (a := answer_of(c)) and a.complete and a)
        assert answer.status == 200
        assert answer.payload == PAYLOAD, (
            f"cut at {cut}: …{STREAM[max(0, cut - 30) : cut]!r} | {STREAM[cut : cut + 30]!r}…"
        )
        client.close()


def test_one_byte_at_a_time(wire):
    program, upstream = wire
    client = ask(program)
    peer, _ = upstream.next_request()
    for at in range(len(STREAM)):
        peer.send(STREAM[at : at + 1])
        peer.drained()
    answer = client.wait("the end", lambda: (a := answer_of(client)) and a.complete and a)
    assert answer.payload == PAYLOAD
    client.close()


def test_gone_for_good(wire):
    program, upstream = wire
    ends = event_ends()
    for cut in range(0, len(STREAM)):
        client = ask(program)
        peer, _ = upstream.next_request()
        if cut:
            peer.send(STREAM[:cut])
            peer.drained()
        peer.close()
        place = f"gone after {cut}: …{STREAM[max(0, cut - 30) : cut]!r}"
        client.wait(f"an end, {place}", lambda c=client: c.closed_at or ((a := answer_of(c)) and a.complete))
        answer = answer_of(client)
        assert answer, place
        if answer.status == 502:  # nothing was relayed yet
            assert answer.complete, place
            error = json.loads(answer.payload)["error"]
            assert cut < len(HEAD) + len(chunk(EVENTS[0])), f"{place}: an event was whole, and 502 came"
            assert error["code"] == ("upstream_no_answer" if cut == 0 else error["code"]), f"{place}: {error}"
        else:
            assert answer.status == 200, f"{place}: {answer}"
            relayed, error = answer.payload, b""
            if not relayed.endswith(
                DONE
            ):  # [DONE] is the end of the answer; only the transfer's own end is missing then
                assert not answer.complete, f"{place}: the cut stream ends as if it were whole"
                at = relayed.rfind(b'data: {"error":')
                assert at >= 0, f"{place}: no error event after {relayed[-80:]!r}"
                relayed, error = relayed[:at], relayed[at:]
                assert error.endswith(b"\n\n") and json.loads(error[6:])["error"]["code"], place
            assert PAYLOAD.startswith(relayed), place
            assert len(relayed) in ends, f"{place}: half an event was relayed: {relayed[-60:]!r}"
        client.close()
