"""What the limit of open files leaves for connections and requests: beyond it clients are told 503 and when to come again."""

from __future__ import annotations

import json
import pathlib
import socket

import pytest
from case import check_headers
from lib import documents
from lib.wait import until
from peers import Message, Peer, ask_chat, whole_answer
from program import Program

ASLEEP = documents.simulated("m", {"load": "10m"}, hold={"requests": 1000})
HELD = b'{"model":"m","messages":[]}'


def bounded(binary: pathlib.Path, folder: pathlib.Path, soft: int, hard: int) -> Program:
    """The program with one worker under these limits of open files."""
    folder.mkdir(exist_ok=True)
    script = folder / "bounded"
    script.write_text(f'#!/bin/sh\nulimit -Sn {soft} && ulimit -Hn {hard} && exec "{binary}" "$@"\n')
    script.chmod(0o755)
    return Program(script, folder, {"m.yaml": ASLEEP}, arguments=("--workers", "1"))


def turned_away(answer: Message, text: str) -> None:
    assert answer.status == 503, answer
    check_headers(answer, ["retry-after: 1", "content-type: application/json", "x-tidegate-request-id: *"])
    error = json.loads(answer.payload)["error"]
    assert (error["code"], error["message"]) == ("overloaded", text)


def healthy(program: Program) -> Peer:
    """A connection that stays open after an answer."""
    peer = Peer(socket.create_connection(program.address()), "kept connection")
    peer.send(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
    assert whole_answer(peer).status == 200
    return peer


def logged(program: Program, because: str) -> int:
    return (program.folder / "stderr").read_text().count(f'"because":"{because}')


@pytest.mark.parametrize("speaks", ["first", "never"])
def test_connections(binary, tmp_path, speaks):
    """204 files leave 4 connections. Others get a whole 503 and no reset, said once in the log; a place that is free again
    is used."""
    with bounded(binary, tmp_path, 204, 204) as program:
        kept = [healthy(program) for _ in range(4)]
        for _ in range(3):
            more = Peer(socket.create_connection(program.address()), "one too many")
            if speaks == "first":
                more.send(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
            turned_away(whole_answer(more), "too many connections")
            more.wait("the close", lambda peer=more: peer.closed_at)
            assert not more.was_reset
            more.close()
        assert logged(program, "too many connections") == 1
        kept.pop().close()

        def served() -> bool:
            again = Peer(socket.create_connection(program.address()), "one more")
            again.send(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
            status = whole_answer(again).status
            again.close()
            return status == 200

        until("a free place is used", served)
        for peer in kept:
            peer.close()


def test_requests(binary, tmp_path):
    """402 files, though the soft limit is 100, leave 101 requests at a time."""
    with bounded(binary, tmp_path, 100, 402) as program:
        asking = [ask_chat(program.address(), program.key, HELD) for _ in range(101)]
        until("they are held", lambda: 'tidegate_held_requests{model="m"} 101\n' in program.metrics())
        more = ask_chat(program.address(), program.key, HELD)
        turned_away(whole_answer(more), "too many requests are open")
        assert 'tidegate_refused_requests_total{reason="overloaded"} 1\n' in program.metrics()
        assert logged(program, "too many requests are open") == 1
        for peer in [*asking, more]:
            peer.close()
