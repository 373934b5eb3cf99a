"""A plain HTTP client of one request per connection, which says exactly what came and how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import socket
import time
from collections.abc import Callable

BOUND_S = 60.0


@dataclasses.dataclass
class Answer:
    status: int  # 0: the connection ended before a head came
    headers: dict[str, str]  # names in small letters
    body: bytes  # framing taken away
    whole: bool  # the framing says that this is all of it
    first_byte_s: float | None = None
    problem: str = ""

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self) -> dict:
        return self.json["error"]


def post(
    address: tuple[str, int],
    key: str,
    request: dict | bytes,
    *,
    path: str = "/v1/chat/completions",
    bound: float = BOUND_S,
    headers: dict[str, str] | None = None,
    on_bytes: Callable[[bytes], object] | None = None,
) -> Answer:
    """`on_bytes` is called with the payload so far whenever some came; True from it means: leave now."""
    body = request if isinstance(request, bytes) else json.dumps(request, ensure_ascii=False).encode()
    head = {"authorization": f"Bearer {key}", "content-type": "application/json", **(headers or {})}
    started = time.monotonic()
    answer = Answer(0, {}, b"", False)
    connection = http.client.HTTPConnection(*address, timeout=bound)
    try:
        connection.request("POST", path, body, head)
        got = connection.getresponse()
        answer.status = got.status
        answer.headers = {n.lower(): v for n, v in got.getheaders()}
        while True:
            piece = got.read1(65536)
            if not piece:
                break
            if answer.first_byte_s is None:
                answer.first_byte_s = time.monotonic() - started
            answer.body += piece
            if on_bytes and on_bytes(answer.body):
                answer.problem = "left"
                return answer
        # read1 answers b"" for a cut body of known length too; a body up to the close cannot be known to be whole.
        answer.whole = got.chunked or got.length == 0
        if not answer.whole:
            answer.problem = f"{got.length} bytes are missing"
    except http.client.IncompleteRead as problem:
        answer.body += problem.partial
        answer.problem = "the last chunk is missing"
    except (http.client.HTTPException, OSError) as problem:
        answer.problem = f"{type(problem).__name__}: {problem}"
    finally:
        with contextlib.suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
    return answer


class Stream:
    """A streaming answer read step by step, from a thread of the test's own."""

    def __init__(self, address: tuple[str, int], key: str, request: dict, path: str = "/v1/chat/completions"):
        self.connection = http.client.HTTPConnection(*address, timeout=BOUND_S)
        head = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.connection.request("POST", path, json.dumps(request), head)
        self.answer: http.client.HTTPResponse | None = None
        self.body = b""

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def head(self) -> int:
        if self.answer is None:
            self.answer = self.connection.getresponse()
        return self.answer.status

    def read_events(self, count: int) -> bytes:
        """Reads until `count` events came in all."""
        self.head()
        while self.body.count(b"\n\n") < count:
            piece = self.answer.read1(65536)
            assert piece, f"the answer ended after {self.body!r}"
            self.body += piece
        return self.body

    def read_rest(self) -> bool:
        """Reads to the end; True when the framing says that it is whole."""
        self.head()
        try:
            while piece := self.answer.read1(65536):
                self.body += piece
        except (http.client.IncompleteRead, ConnectionError) as problem:
            self.body += getattr(problem, "partial", b"")
            return False
        return True

    def close(self) -> None:
        if self.answer is not None:
            self.answer.close()
        with contextlib.suppress(OSError, AttributeError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def chat(model: str, text: str, **more) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def error_event(body: bytes) -> tuple[bytes, dict] | None:
    """(what stands before it, the error) when a stream ends with an error event and no [DONE]."""
    if not body.endswith(b"\n\n") or b"data: [DONE]" in body:
        return None
    before, mark, last = body[:-2].rpartition(b"data: ")
    if not mark or (before and not before.endswith(b"\n\n")):
        return None
    with contextlib.suppress(ValueError):
        found = json.loads(last)
        if isinstance(found, dict) and "error" in found:
            return before, found["error"]
    return None
