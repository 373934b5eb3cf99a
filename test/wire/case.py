"""Reads a .case file and plays it: a client and an upstream of raw sockets with the program between them.

README.md explains the form. Each step is one function below; its docstring is the reference."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import socket
import time
from collections.abc import Callable

import notation
from peers import BOUND_S, Message, Peer, Upstream, WireFailure, read_message

DOCUMENTS = """\
apiVersion: tidegate.dev/v1alpha1
kind: Provider
metadata: {name: up}
spec:
  dialect: openai
  url: http://{{upstream}}/v1
  credentials: {env: WIRE_UPSTREAM_KEY}
  models: [m, n]
"""
UPSTREAM_KEY = "sk-upstream-secret"


class TooLate(WireFailure):
    """A bound in milliseconds was missed. Another process may have had the core, so the case may be tried again."""


class Step:
    def __init__(self, line: int, words: str):
        self.line = line
        self.words = words
        self.payload: list[str] = []


class Case:
    def __init__(self, path: pathlib.Path):
        self.path = path
        self.title = ""
        self.documents = DOCUMENTS
        self.arguments: tuple[str, ...] = ()
        self.steps: list[Step] = []
        self._parse(path.read_text(encoding="utf-8").split("\n"))

    def _parse(self, lines: list[str]) -> None:
        blocks: list[Step] = []
        for number, line in enumerate(lines, 1):
            if line.startswith("    "):
                if not blocks:
                    raise ValueError(f"{self.path}:{number}: a payload without a step")
                blocks[-1].payload.append(line[4:])
            elif not line.strip():
                if blocks:
                    blocks[-1].payload.append("")
            elif line.startswith("#"):
                self.title = self.title or line.lstrip("# ")
            else:
                blocks.append(Step(number, line.strip()))
        for block in blocks:
            while block.payload and block.payload[-1] == "":
                block.payload.pop()
            if block.words == "documents":
                self.documents = "\n".join(block.payload) + "\n"
            elif block.words == "more documents":
                self.documents += "---\n" + "\n".join(block.payload) + "\n"
            elif block.words.startswith("arguments "):
                self.arguments = tuple(block.words.split()[1:])
            else:
                self.steps.append(block)
        if not self.title or not self.steps:
            raise ValueError(f"{self.path}: a case has a title (# …) and steps")


STEPS: list[tuple[re.Pattern[str], Callable]] = []


def step(pattern: str):
    def register(function: Callable) -> Callable:
        STEPS.append((re.compile(pattern), function))
        return function

    return register


class Player:
    """Plays the steps of one case. `gateway` and `console` are addresses, `key` opens the gateway."""

    def __init__(
        self,
        case: Case,
        gateway: tuple[str, int],
        key: str,
        upstream: Upstream,
        metrics: Callable[[], str],
        terminate: Callable[[], None] | None = None,
        records: Callable[[], list[dict]] | None = None,
    ):
        self.case = case
        self.gateway = gateway
        self.upstream = upstream
        self.metrics = metrics
        self.terminate = terminate
        self.records = records
        self.variables = {
            "key": key.encode(),
            "upstream": upstream.address.encode(),
            "upstream_key": UPSTREAM_KEY.encode(),
        }
        self.clients: dict[str, Peer] = {}
        self.requests: dict[str, tuple[Peer, Message]] = {}  # claimed upstream requests
        self.answer_start: dict[str, int] = {}
        self.left_at = 0.0  # when a client last left
        self.payload: list[str] = []

    def play(self) -> None:
        at = 0
        loop: tuple[int, int] | None = None
        while at < len(self.case.steps):
            now = self.case.steps[at]
            try:
                if match := re.fullmatch(r"repeat (\d+) times", now.words):
                    loop = (at, int(match[1]))
                elif now.words == "again":
                    start, left = loop or (0, 0)
                    if left > 1:
                        loop, at = (start, left - 1), start
                else:
                    self._one(now)
            except WireFailure as problem:
                place = f"{self.case.path.name}:{now.line}: {now.words}"
                raise type(problem)(f"{place}\n{problem}") from None
            at += 1
        rest = [data[:300] for _, data in self.upstream.unclaimed()]
        if rest:
            raise WireFailure(f"{self.case.path.name}: at the end the upstream holds bytes nobody expected: {rest}")

    def _one(self, now: Step) -> None:
        self.payload = now.payload
        for pattern, function in STEPS:
            if match := pattern.fullmatch(now.words):
                words = {k: v for k, v in match.groupdict().items() if v is not None}
                function(self, **words)
                return
        raise ValueError(f"{self.case.path}:{now.line}: no such step: {now.words}")

    def release(self) -> None:
        for peer in self.clients.values():
            with contextlib.suppress(OSError):
                peer.close()

    # ---- helpers ------------------------------------------------------------------------------------------------

    def client(self, who: str) -> Peer:
        """The connection of this client; a new one when the case saw the last one close, and only then."""
        peer = self.clients.get(who)
        if peer is None or peer.sock.fileno() < 0:
            peer = self.clients[who] = Peer(socket.create_connection(self.gateway), f"client {who}")
        return peer

    def peer(self, who: str) -> Peer:
        return self.requests[who][0]

    def answer(self, who: str) -> Message | None:
        """The answer that the client is reading, as far as it is there."""
        peer = self.clients[who]
        return read_message(peer.received[peer.used :], peer.closed_at is not None, request=False)

    def text(self) -> bytes:
        return notation.body(self.payload, self.variables)

    def message(self) -> bytes:
        return notation.message(self.payload, self.variables)


def same(what: str, got: bytes, wanted: bytes) -> None:
    if got == wanted:
        return
    at = next((i for i, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), min(len(got), len(wanted)))
    raise WireFailure(
        f"{what}: {len(got)} bytes where {len(wanted)} are expected, different from byte {at}\n"
        f"  got      …{got[max(0, at - 40) : at + 120]!r}\n  expected …{wanted[max(0, at - 40) : at + 120]!r}"
    )


WHO = r"(?P<kind>client|upstream)(?: (?P<who>\d+))?"

# ---- both sides -----------------------------------------------------------------------------------------------------


@step(WHO + " sends")
def sends(p: Player, kind: str, who: str = "1") -> None:
    """A message: head lines, an empty line, the body. {{length}} is the length of the body."""
    data = p.message()
    peer = p.client(who) if kind == "client" else p.peer(who)
    peer.sent_payload = data.partition(b"\r\n\r\n")[2]
    peer.send(data)


@step(WHO + " sends bytes")
def sends_bytes(p: Player, kind: str, who: str = "1") -> None:
    """The payload lines with nothing between them."""
    data = notation.joined(p.payload, "", p.variables)
    (p.client(who) if kind == "client" else p.peer(who)).send(data)


@step(WHO + " (?P<how>closes|resets|half-closes)")
def leaves(p: Player, kind: str, how: str, who: str = "1") -> None:
    """FIN, RST, or FIN while still reading."""
    peer = p.client(who) if kind == "client" else p.peer(who)
    at = {"closes": peer.close, "resets": peer.reset, "half-closes": peer.half_close}[how]()
    if kind == "client":
        p.left_at = at


@step(r"(?P<kind>upstream|client)(?: (?P<who>\d+))? was read")
def was_read(p: Player, kind: str, who: str = "1") -> None:
    """Waits until the program has taken in all that this side sent; the next bytes come in another read."""
    (p.client(who) if kind == "client" else p.peer(who)).drained()


# ---- the client -----------------------------------------------------------------------------------------------------


@step(r"client(?: (?P<who>\d+))? asks(?: (?P<path>/\S+))?")
def client_asks(p: Player, who: str = "1", path: str = "/v1/chat/completions") -> None:
    """An ordinary POST with the key; the payload is the body."""
    content = p.text()
    peer = p.client(who)
    peer.sent_payload = content
    head = f"POST {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {p.variables['key'].decode()}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    peer.send(head.encode() + content)


@step(r"client(?: (?P<who>\d+))? gets (?P<status>\d+)")
def client_gets(p: Player, status: str, who: str = "1") -> None:
    """The head of the next answer. Payload lines: `name: value` must be there, `name: *` with any value, `!name` not."""
    peer = p.clients[who]
    found = peer.wait(f"an answer with status {status}", lambda: p.answer(who))
    if found.status != int(status):
        rest = peer.wait(
            "the rest of the answer", lambda: (f := p.answer(who)) and (f.complete or peer.closed_at) and f
        )
        raise WireFailure(f"status {found.status}, not {status}; {rest.headers}\n{rest.payload[:600]!r}")
    check_headers(found, [notation.expand(line, p.variables).decode("latin-1") for line in p.payload])
    if found.status < 200:  # the real answer is still to come
        peer.used += found.length


def check_headers(found: Message, lines: list[str]) -> None:
    for line in lines:
        if line.startswith("!"):
            if found.header(line[1:]) is not None:
                raise WireFailure(f"{line[1:]}: {found.header(line[1:])} must not be there")
            continue
        name, _, value = line.partition(": ")
        got = found.header(name)
        if got is None or (value != "*" and got != value):
            raise WireFailure(f"{name}: {got!r}, expected {value!r}\n  all: {found.headers}")


def whole_answer(p: Player, who: str) -> Message:
    peer = p.clients[who]

    def ended():
        found = p.answer(who)
        return found if found and (found.complete or peer.closed_at is not None) else None

    found = peer.wait("the end of the answer", ended)
    if not found.complete:
        raise WireFailure(f"the answer is cut after {len(found.payload)} bytes: {found.payload[-300:]!r}")
    return found


@step(r"client(?: (?P<who>\d+))? body(?P<as_sent> as sent)?")
def client_body(p: Player, who: str = "1", as_sent: str | None = None) -> None:
    """The whole body of the answer is the payload, or what the upstream sent last, byte for byte."""
    found = whole_answer(p, who)
    same("body at the client", found.payload, p.peer(who).sent_payload if as_sent else p.text())
    p.clients[who].used += found.length


@step(r"client(?: (?P<who>\d+))? body contains")
def client_body_contains(p: Player, who: str = "1") -> None:
    """Each payload line is somewhere in the whole body."""
    found = whole_answer(p, who)
    missing = [line for line in p.payload if line.encode() not in found.payload]
    if missing:
        raise WireFailure(f"the body lacks {missing}: {found.payload[:600]!r}")
    p.clients[who].used += found.length


@step(r"client(?: (?P<who>\d+))? error(?: (?P<code>\w+))?")
def client_error(p: Player, code: str | None = None, who: str = "1") -> None:
    """The whole body is an error object in the OpenAI form with this code; it has our request id. Payload: texts in it."""
    found = whole_answer(p, who)
    if not (found.header("x-tidegate-request-id") or "").startswith("req_"):
        raise WireFailure(f"no x-tidegate-request-id: {found.headers}")
    error_object(p, found.payload, code)
    p.clients[who].used += found.length


def error_object(p: Player, text: bytes, code: str | None) -> dict:
    try:
        error = json.loads(text)["error"]
        missing = {"message", "type", "param", "code"} - set(error)
    except (ValueError, KeyError, TypeError):
        raise WireFailure(f"not an error object: {text[:400]!r}") from None
    if missing or (code and error["code"] != code):
        raise WireFailure(f"error {error} has not the code {code}, or lacks {missing}")
    for line in p.payload:
        if line not in error["message"]:
            raise WireFailure(f"the message {error['message']!r} does not contain {line!r}")
    return error


@step(r"client(?: (?P<who>\d+))? has(?P<as_sent> all that was sent)?")
def client_has(p: Player, who: str = "1", as_sent: str | None = None) -> None:
    """The payload relayed so far becomes exactly these bytes, and the answer goes on."""
    wanted = p.peer(who).sent_payload if as_sent else p.text()
    peer = p.clients[who]

    def far():
        found = p.answer(who)
        if not found:
            return None
        if not wanted.startswith(found.payload[: len(wanted)]) or len(found.payload) > len(wanted):
            same("payload at the client", found.payload, wanted)
        return found if found.payload == wanted else None

    found = peer.wait(f"{len(wanted)} bytes of payload", far)
    if found.complete:
        raise WireFailure("the answer has ended already")
    p.answer_start[who] = len(wanted)


@step(r"client(?: (?P<who>\d+))? error event (?P<code>\w+)")
def client_error_event(p: Player, code: str, who: str = "1") -> None:
    """After what the client has comes exactly one `data: {"error":…}` with a blank line, then a close without last chunk."""
    peer = p.clients[who]
    peer.wait("the close", lambda: peer.closed_at)
    found = p.answer(who)
    rest = found.payload[p.answer_start.get(who, 0) :]
    if not rest.startswith(b"data: ") or not rest.endswith(b"\n\n") or rest.count(b"\n\n") != 1:
        raise WireFailure(f"not one error event: {rest!r}")
    error_object(p, rest.removeprefix(b"data: "), code)
    if found.complete:
        raise WireFailure("the cut answer ends with a last chunk: a client takes it as whole")
    peer.close()


COMMENT = b": \n\n"


@step(r"client(?: (?P<who>\d+))? hears (?P<count>\d+) comments")
def client_hears_comments(p: Player, count: str, who: str = "1") -> None:
    """At least so many comments and nothing else came, each a chunk of its own; the answer goes on."""
    peer = p.clients[who]

    def enough():
        found = p.answer(who)
        if not found or len(found.payload) < len(COMMENT) * int(count):
            return None
        return found

    found = peer.wait(f"{count} comments", enough)
    rest = peer.received[peer.used :].partition(b"\r\n\r\n")[2]
    same("the first chunks", rest[: 9 * int(count)], b"4\r\n: \n\n\r\n" * int(count))
    if found.payload.replace(COMMENT, b"") or found.complete:
        raise WireFailure(f"not only comments: {found}")


@step(r"client(?: (?P<who>\d+))? ends with the error (?P<code>\w+) and status (?P<status>\d+)")
def client_ends_with_error(p: Player, code: str, status: str, who: str = "1") -> None:
    """After comments comes one error event that names the status, and the whole end; no [DONE]."""
    found = whole_answer(p, who)
    rest = found.payload
    while rest.startswith(COMMENT):
        rest = rest[len(COMMENT) :]
    if not rest.startswith(b"data: ") or not rest.endswith(b"\n\n") or rest.count(b"\n\n") != 1:
        raise WireFailure(f"not one error event after the comments: {rest!r}")
    error = error_object(p, rest.removeprefix(b"data: "), code)
    if error.get("status") != int(status):
        raise WireFailure(f"the status of {error} is not {status}")
    p.clients[who].used += found.length


@step(r"client(?: (?P<who>\d+))? ends (?P<how>whole|cut|closed)")
def client_ends(p: Player, how: str, who: str = "1") -> None:
    """whole: last chunk or full length; closed: whole, and the connection closes; cut: it closes and is not whole."""
    peer = p.clients[who]
    if how == "cut":
        peer.wait("the close", lambda: peer.closed_at)
        if p.answer(who).complete:
            raise WireFailure("the answer is whole where it must be seen as cut")
        peer.close()
        return
    found = p.answer(who)
    if found:  # else it was used by `client body`
        peer.used += whole_answer(p, who).length
    if how == "closed":
        peer.wait("the close", lambda: peer.closed_at)
    if peer.received[peer.used :]:
        raise WireFailure(f"bytes after the answer: {peer.received[peer.used :][:300]!r}")
    if how == "closed":
        peer.close()


@step(r"client(?: (?P<who>\d+))? sees the close")
def client_sees_close(p: Player, who: str = "1") -> None:
    """The program closes the connection, and nothing unexpected came before."""
    peer = p.clients[who]
    peer.wait("the close", lambda: peer.closed_at)
    if peer.received[peer.used :]:
        raise WireFailure(f"bytes before the close: {peer.received[peer.used :][:300]!r}")
    peer.close()


# ---- the upstream ---------------------------------------------------------------------------------------------------


@step(r"upstream(?: (?P<who>\d+))? gets(?: (?P<start_line>\S+ \S+))?")
def upstream_gets(p: Player, who: str = "1", start_line: str | None = None) -> None:
    """The next whole request, on whatever connection. Payload lines: as in `client gets`."""
    p.requests[who] = p.upstream.next_request()
    found = p.requests[who][1]
    if start_line and found.start_line != start_line + " HTTP/1.1":
        raise WireFailure(f"{found.start_line!r}, expected {start_line!r}")
    check_headers(found, [notation.expand(line, p.variables).decode("latin-1") for line in p.payload])


@step(r"upstream(?: (?P<who>\d+))? headers are")
def upstream_headers_are(p: Player, who: str = "1") -> None:
    """These headers and no other, in any order; `name: *` for any value."""
    found = p.requests[who][1]
    check_headers(found, [notation.expand(line, p.variables).decode("latin-1") for line in p.payload])
    extra = {n.lower() for n, _ in found.headers} - {line.partition(":")[0].lower() for line in p.payload}
    if extra:
        raise WireFailure(f"headers that nobody expected: {[h for h in found.headers if h[0].lower() in extra]}")


@step(r"upstream(?: (?P<who>\d+))? body(?: (?P<how>as sent|plus include_usage))?")
def upstream_body(p: Player, who: str = "1", how: str | None = None) -> None:
    """The body is the payload, or the client's bytes, or those with one insertion that asks for usage."""
    got = p.requests[who][1].payload
    if how != "plus include_usage":
        same("body upstream", got, p.clients[who].sent_payload if how else p.text())
        return
    sent = p.clients[who].sent_payload
    length = len(got) - len(sent)
    front = next((i for i, (a, b) in enumerate(zip(got, sent, strict=False)) if a != b), min(len(got), len(sent)))
    # The insertion may begin anywhere in what it shares with its neighbours, so every place up to the first
    # difference is tried.
    fits = [i for i in range(front + 1) if length > 0 and got[:i] + got[i + length :] == sent]
    if not fits:
        raise WireFailure(f"more than one insertion into the body\n  sent {sent!r}\n  got  {got!r}")
    inserted = got[fits[-1] : fits[-1] + length]
    if json.loads(got).get("stream_options", {}).get("include_usage") is not True:
        raise WireFailure(f"the insertion {inserted!r} does not ask for usage: {got!r}")


@step(r"upstream(?: (?P<who>\d+))? answers(?: (?P<status>\d+))?")
def upstream_answers(p: Player, who: str = "1", status: str = "200") -> None:
    """A JSON answer with Content-Length; the payload is the body."""
    peer = p.peer(who)
    peer.sent_payload = p.text()
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {len(peer.sent_payload)}\r\n\r\n"
    peer.send(head.encode() + peer.sent_payload)


@step(r"upstream(?: (?P<who>\d+))? streams")
def upstream_streams(p: Player, who: str = "1") -> None:
    """The head of a chunked event stream; with a payload, its lines are more headers."""
    peer = p.peer(who)
    peer.sent_payload = b""
    more = notation.joined(p.payload, "\r\n", p.variables)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    peer.send(head + more + b"\r\n")


@step(r"upstream(?: (?P<who>\d+))? (?P<what>event|hidden event|chunk)")
def upstream_event(p: Player, what: str, who: str = "1") -> None:
    """One chunk. event: the payload and a blank line; hidden: not part of what the client must have; chunk: as it is."""
    peer = p.peer(who)
    data = p.text() + (b"\n\n" if what != "chunk" else b"")
    if what != "hidden event":
        peer.sent_payload += data
    peer.send(b"%x\r\n%s\r\n" % (len(data), data))


@step(r"upstream(?: (?P<who>\d+))? last chunk")
def upstream_last_chunk(p: Player, who: str = "1") -> None:
    p.peer(who).send(b"0\r\n\r\n")


@step(r"upstream(?: (?P<who>\d+))? sees the close(?: within (?P<ms>\d+) ms)?")
def upstream_sees_close(p: Player, who: str = "1", ms: str | None = None) -> None:
    """The program closes the upstream connection; the bound counts from when the client left."""
    peer = p.peer(who)
    at = peer.wait("the close", lambda: peer.closed_at)
    late = (at - p.left_at) * 1000
    if ms and late > int(ms):
        raise TooLate(f"closed {late:.1f} ms after the client left, bound {ms} ms")


@step(r"upstream has (?P<count>\d+) connections?")
def upstream_connections(p: Player, count: str) -> None:
    """So many connections were made in the whole case."""
    if len(p.upstream.peers) != int(count):
        raise WireFailure(f"{len(p.upstream.peers)} connections were made, expected {count}")


@step(r"upstream got nothing")
def upstream_nothing(p: Player) -> None:
    """No byte reached the upstream: a request made now is the first it sees."""
    before = p.upstream.claimed
    seen = [peer.received[:200] for peer in p.upstream.peers if peer.received]
    if seen and not before:
        raise WireFailure(f"the upstream got {seen}")
    p.payload = ['{"model":"m","fence":true}']
    client_asks(p, who="9")
    peer, found = p.upstream.next_request()
    if b'"fence":true' not in found.payload:
        raise WireFailure(f"the upstream got {found.start_line} {found.payload[:300]!r}")
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    p.payload = []
    client_gets(p, status="200", who="9")
    p.clients["9"].used += whole_answer(p, "9").length


@step(r"the program is told to stop")
def program_terminates(p: Player) -> None:
    """SIGTERM. The step waits until nobody listens any more."""
    p.terminate()
    end = time.monotonic() + BOUND_S
    while True:
        try:
            socket.create_connection(p.gateway).close()
        except ConnectionRefusedError:
            return
        if time.monotonic() > end:
            raise WireFailure("still accepts connections")
        time.sleep(0.005)


# ---- what is counted ------------------------------------------------------------------------------------------------


def sample_sum(text: str, name: str, labels: str) -> float:
    """The sum of the samples of `name` whose labels contain all of `labels` (a="b",c="d")."""
    wanted = set(re.findall(r'\w+="[^"]*"', labels))
    total = 0.0
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)(?: .*)?", line)
        if match and match[1] == name and wanted <= set(re.findall(r'\w+="[^"]*"', match[2] or "")):
            total += float(match[3])
    return total


@step(r"metric (?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? becomes (?P<value>[\d.]+)")
def metric_becomes(p: Player, name: str, value: str, labels: str = "") -> None:
    """The sum over the samples with these labels reaches the value and is not above it."""
    end = time.monotonic() + 10
    while (seen := sample_sum(p.metrics(), name, labels)) != float(value):
        if time.monotonic() > end or seen > float(value):
            raise WireFailure(f"{name}{{{labels}}} is {seen}, expected {value}")
        time.sleep(0.01)


@step(r"metric (?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? is above (?P<value>[\d.]+)")
def metric_is_above(p: Player, name: str, value: str, labels: str = "") -> None:
    """The sum over the samples with these labels is larger, soon."""
    end = time.monotonic() + BOUND_S
    while (seen := sample_sum(p.metrics(), name, labels)) <= float(value):
        if time.monotonic() > end:
            raise WireFailure(f"{name}{{{labels}}} is {seen}, expected more than {value}")
        time.sleep(0.01)


@step(r"record (?P<number>\d+) has (?P<pairs>.+)")
def record_has(p: Player, number: str, pairs: str) -> None:
    """The ledger's record of the so manieth request that ended, with these fields; `field>0` for any positive number."""
    end = time.monotonic() + BOUND_S
    while len(items := p.records()) < int(number):
        if time.monotonic() > end:
            raise WireFailure(f"only {len(items)} records: {items}")
        time.sleep(0.01)
    record = items[int(number) - 1]
    for pair in pairs.split():
        name, sign, value = re.fullmatch(r"(\w+)([=>])(\S*)", pair).groups()
        good = record[name] > int(value) if sign == ">" else str(record[name]) == value
        if not good:
            raise WireFailure(f"{name} is {record[name]!r}, expected {sign}{value}; {record}")
