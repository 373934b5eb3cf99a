"""The two ends of a wire: raw sockets that record every byte and the time of the close, and an HTTP/1.1 reading of it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable

BOUND_S = 10.0


class WireFailure(AssertionError):
    """What was seen is not what the case demands."""


@dataclasses.dataclass
class Message:
    """As much of one HTTP message as `raw` holds. `payload` is what remains after the framing is taken away."""

    start_line: str
    headers: list[tuple[str, str]]
    payload: bytes
    complete: bool
    length: int  # bytes of `raw` that belong to it so far

    @property
    def status(self) -> int:
        return int(self.start_line.split(" ")[1])

    def header(self, name: str) -> str | None:
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        if len(values) > 1:
            raise WireFailure(f"{name} is there {len(values)} times: {values}")
        return values[0] if values else None


def read_chunks(raw: bytes) -> tuple[bytes, bool, int]:
    """(payload, complete, bytes used). Strict about what the program under test writes."""
    payload, at = bytearray(), 0
    while True:
        end = raw.find(b"\r\n", at)
        if end < 0:
            return bytes(payload), False, len(raw)
        head = raw[at:end].split(b";")[0]
        if not head or head.strip(b"0123456789abcdefABCDEF"):
            raise WireFailure(f"bad chunk head {raw[at:end]!r}")
        size, start = int(head, 16), end + 2
        if size == 0:
            tail = raw.find(b"\r\n", start)
            while tail > start:  # trailer lines
                start = tail + 2
                tail = raw.find(b"\r\n", start)
            return bytes(payload), tail == start, (tail + 2 if tail == start else len(raw))
        payload += raw[start : start + size]
        if len(raw) < start + size + 2:
            return bytes(payload), False, len(raw)
        if raw[start + size : start + size + 2] != b"\r\n":
            raise WireFailure(f"chunk of {size} bytes is not followed by CRLF")
        at = start + size + 2


def read_message(raw: bytes, eof: bool, request: bool) -> Message | None:
    """The first message in `raw`, or None while its head is not complete. 1xx answers are messages of their own."""
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = raw[:end].decode("latin-1").split("\r\n")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise WireFailure(f"bad header line {line!r}")
        headers.append((name, value.strip()))
    found = Message(lines[0], headers, b"", False, end + 4)
    rest = raw[end + 4 :]
    length, coding = found.header("content-length"), found.header("transfer-encoding")
    if length is not None and coding is not None:
        raise WireFailure("both Content-Length and Transfer-Encoding are there")
    if not request and (found.status < 200 or found.status in (204, 304)):
        found.complete = True
    elif coding is not None:
        if coding.lower() != "chunked":
            raise WireFailure(f"Transfer-Encoding: {coding}")
        found.payload, found.complete, used = read_chunks(rest)
        found.length += used
    elif length is not None:
        found.payload = rest[: int(length)]
        found.complete = len(found.payload) == int(length)
        found.length += len(found.payload)
    elif request:
        found.complete = True
    else:  # up to the close; only the close can end it, and nothing can prove that it is whole
        found.payload, found.length = rest, len(raw)
        found.complete = eof
    return found


class Peer:
    """A connected socket. A thread of its own records what arrives; all sends are made by the case."""

    def __init__(self, sock: socket.socket, name: str, reading: bool = True):
        self.sock = sock
        self.name = name
        self.received = b""
        self.used = 0  # bytes that the case has dealt with
        self.sent_payload = b""  # what this side sent in its last message, framing taken away
        self.closed_at: float | None = None  # when the other side closed, by time.monotonic()
        self.was_reset = False
        self.changed = threading.Condition()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.thread = threading.Thread(target=self._read, name=name, daemon=True)
        if reading:
            self.thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = self.sock.recv(1 << 16)
                reset = False
            except (ConnectionError, OSError):
                data, reset = b"", True
            now = time.monotonic()
            with self.changed:
                if data:
                    self.received += data
                else:
                    self.closed_at, self.was_reset = now, reset
                self.changed.notify_all()
            if not data:
                return

    def start_reading(self) -> None:
        self.thread.start()

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except ConnectionError as problem:
            raise WireFailure(f"{self.name}: the program closed before {len(data)} bytes were sent") from problem

    def wait(self, what: str, test: Callable[[], object], bound: float | None = None):
        """Waits until test() is true, and returns its value."""
        bound = bound or BOUND_S
        end = time.monotonic() + bound
        with self.changed:
            while True:
                value = test()
                if value:
                    return value
                left = end - time.monotonic()
                if left <= 0:
                    state = "closed" if self.closed_at is not None else "open"
                    tail = self.received[self.used :]
                    shown = tail if len(tail) < 1500 else tail[:700] + b" ... " + tail[-700:]
                    raise WireFailure(f"{self.name}: {what}: not within {bound} s; {state}, unread: {shown!r}")
                self.changed.wait(left)

    def close(self) -> float:
        """FIN, and nothing is read any more. Returns the time just before."""
        now = time.monotonic()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        if self.thread.is_alive():
            self.thread.join(BOUND_S)
        self.sock.close()
        return now

    def half_close(self) -> float:
        now = time.monotonic()
        self.sock.shutdown(socket.SHUT_WR)
        return now

    def reset(self) -> float:
        """RST. A close would wait for the reading thread, so the connection is aborted by connecting to nothing."""
        now = time.monotonic()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        libc_disconnect(self.sock)
        return now

    def drained(self) -> None:
        """Waits until the program has read every byte that was sent to it (not only the kernel)."""
        ours, theirs = self.sock.getsockname(), self.sock.getpeername()
        end = time.monotonic() + BOUND_S
        while time.monotonic() < end:
            unsent = struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0" * 4))[0]
            if unsent == 0 and receive_queue(theirs, ours) in (0, None):
                return
            time.sleep(0.0002)
        raise WireFailure(f"{self.name}: the program does not read")


def libc_disconnect(sock: socket.socket) -> None:
    """connect(AF_UNSPEC) aborts a TCP connection: with zero linger time the other side gets a reset."""
    import ctypes

    address = struct.pack("=H14x", socket.AF_UNSPEC)
    ctypes.CDLL(None, use_errno=True).connect(sock.fileno(), address, len(address))


def receive_queue(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """Bytes waiting in the kernel for the owner of this end of a connection, or None when there is none such."""

    def word(address: tuple[str, int]) -> str:
        return f"{struct.unpack('=I', socket.inet_aton(address[0]))[0]:08X}:{address[1]:04X}"

    wanted = f" {word(local)} {word(remote)} "
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            if wanted in line:
                return int(line.split()[4].split(":")[1], 16)
    return None


class Upstream:
    """A listening socket. Every connection becomes a Peer; requests are claimed in the order in which they arrive whole.

    With `automatic`, each request is answered at once with these bytes."""

    def __init__(self, automatic: bytes | None = None):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        host, port = self.listener.getsockname()
        self.address = f"{host}:{port}"
        self.peers: list[Peer] = []
        self.automatic = automatic
        self.claimed = 0
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            peer = Peer(sock, f"upstream connection {len(self.peers) + 1}", reading=False)
            peer.changed = self.changed  # one condition for all, so that a case can wait for any of them
            with self.changed:
                self.peers.append(peer)
                self.changed.notify_all()
            peer.start_reading()
            if self.automatic is not None:
                threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: Peer) -> None:
        with contextlib.suppress(WireFailure, OSError):
            while True:
                request = peer.wait("a request", lambda: self._whole(peer) or peer.closed_at, bound=3600)
                if not isinstance(request, Message):
                    return
                with self.changed:
                    peer.used += request.length
                    self.claimed += 1
                peer.send(self.automatic)

    @staticmethod
    def _whole(peer: Peer) -> Message | None:
        found = read_message(peer.received[peer.used :], peer.closed_at is not None, request=True)
        return found if found and found.complete else None

    def unclaimed(self) -> list[tuple[Peer, bytes]]:
        """Bytes that arrived and that no step of the case asked for."""
        return [(p, p.received[p.used :]) for p in self.peers if p.received[p.used :]]

    def next_request(self) -> tuple[Peer, Message]:
        end = time.monotonic() + BOUND_S
        with self.changed:
            while True:
                for peer in self.peers:
                    found = self._whole(peer)
                    if found:
                        peer.used += found.length
                        self.claimed += 1
                        return peer, found
                left = end - time.monotonic()
                if left <= 0:
                    seen = [bytes(rest[:200]) for _, rest in self.unclaimed()]
                    raise WireFailure(f"no request upstream within {BOUND_S} s; {len(self.peers)} connections, {seen}")
                self.changed.wait(left)

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.peers:
            peer.close()


def ask_chat(address: tuple[str, int], key: str, body: bytes) -> Peer:
    """A client that has sent one chat request."""
    client = Peer(socket.create_connection(address), "client")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {key}\r\n"
    client.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return client


def whole_answer(client: Peer) -> Message:
    """The client's answer, once all of it is there."""

    def found() -> Message | None:
        got = read_message(client.received, client.closed_at is not None, request=False)
        return got if got and got.complete else None

    return client.wait("a whole answer", found)
