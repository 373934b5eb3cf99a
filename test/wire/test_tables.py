"""smuggling.txt and answers.txt: messages that must not pass, sent byte for byte."""

import contextlib
import json
import pathlib
import re
import socket

import notation
import pytest
from case import DOCUMENTS, UPSTREAM_KEY
from peers import Peer, Upstream, WireFailure, read_message
from program import Program

HERE = pathlib.Path(__file__).parent
GOOD = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"choices":[]}'


def table(name: str) -> list:
    """[(status texts, name, lines)] as pytest parameters."""
    rows = []
    for line in (HERE / name).read_text(encoding="utf-8").split("\n"):
        if head := re.fullmatch(r"== (\S+) (.*)", line):
            rows.append(pytest.param(head[1].split("|"), [], id=head[2]))
        elif rows:
            rows[-1].values[1].append(line)
        elif line and not line.startswith("#"):
            raise ValueError(f"{name}: {line!r} stands before the first entry")
    for row in rows:
        while row.values[1] and row.values[1][-1] == "":
            row.values[1].pop()
        if not row.values[1][-1].endswith("{{-}}"):
            row.values[1].append("")  # no body: the empty line that ends the head was taken for the end of the entry
    return rows


class Wire:
    """One program in front of one upstream, for a whole table."""

    def __init__(self, program: Program, upstream: Upstream):
        self.program = program
        self.upstream = upstream
        self.variables = {"key": program.key.encode()}

    def connect(self) -> Peer:
        return Peer(socket.create_connection(self.program.address()), "client")

    def fence(self) -> None:
        """An ordinary request passes, so whatever was sent before it has been dealt with."""
        client = self.connect()
        client.send(self.ordinary())
        answer = client.wait("the answer to an ordinary request", lambda: whole(client))
        assert answer.status == 200, answer
        client.close()

    def ordinary(self) -> bytes:
        lines = ["POST /v1/chat/completions HTTP/1.1", "Host: gateway", "Authorization: Bearer {{key}}"]
        return notation.message(
            [*lines, "Content-Length: {{length}}", "", '{"model":"m","messages":[]}'], self.variables
        )


def whole(peer: Peer):
    found = read_message(peer.received, peer.closed_at is not None, request=False)
    return found if found and found.complete else None


@contextlib.contextmanager
def wired(binary, folder: pathlib.Path, upstream: Upstream):
    documents = notation.expand(DOCUMENTS, {"upstream": upstream.address.encode()}).decode()
    try:
        with Program(binary, folder, {"wire.yaml": documents}, env={"WIRE_UPSTREAM_KEY": UPSTREAM_KEY}) as program:
            yield Wire(program, upstream)
            upstream.release()
    finally:
        upstream.release()


@pytest.fixture(scope="module", params=[GOOD], ids=["good"])
def answering(binary, tmp_path_factory, request):
    with wired(binary, tmp_path_factory.mktemp("smuggling"), Upstream(automatic=request.param)) as wire:
        yield wire


@pytest.mark.parametrize(("statuses", "lines"), table("smuggling.txt"))
def test_request(statuses, lines, answering):
    wire = answering
    before = wire.upstream.claimed
    client = wire.connect()
    raw = notation.joined(lines, "\r\n", wire.variables)
    with contextlib.suppress(WireFailure):  # it may close before the last of a long request
        client.send(raw)
    answer = client.wait(f"an answer to {raw[:300]!r}", lambda: whole(client))
    assert str(answer.status) in statuses, f"{answer}\nto {raw[:600]!r}"
    if statuses == ["200"]:
        assert wire.upstream.claimed == before + 1
    else:
        client.wait("the close after the refusal", lambda: client.closed_at)
        assert client.received[answer.length :] == b"", "bytes after the refusal: a second request was read"
        assert answer.header("connection") == "close"
        error = json.loads(answer.payload)["error"]
        assert error["message"], error
        wire.fence()
        assert wire.upstream.claimed == before + 1, "the refused request reached the upstream"
    assert not wire.upstream.unclaimed()
    client.close()


@pytest.fixture(scope="module")
def scripted(binary, tmp_path_factory):
    with wired(binary, tmp_path_factory.mktemp("answers"), Upstream()) as wire:
        yield wire


@pytest.mark.parametrize(("statuses", "lines"), table("answers.txt"))
def test_answer(statuses, lines, scripted):
    wire = scripted
    client = wire.connect()
    client.send(wire.ordinary())
    peer, _ = wire.upstream.next_request()
    raw = notation.joined(lines, "\r\n", {})
    peer.send(raw)
    answer = client.wait(f"an answer after {raw[:300]!r}", lambda: whole(client))
    assert str(answer.status) in statuses, f"{answer}\nafter {raw[:600]!r}"
    if statuses == ["200"]:
        assert answer.payload == b"{}"
    else:
        assert json.loads(answer.payload)["error"]["code"] == "upstream_malformed"
        peer.wait("the close of the upstream connection", lambda: peer.closed_at)
    assert not wire.upstream.unclaimed()
    client.close()
