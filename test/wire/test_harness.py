"""The harness itself: read against known bytes, and the cases against a plain pipe in place of the program. A pipe relays
every byte and knows nothing, so the cases that ask for more must fail there, and those that ask for bytes must pass."""

import contextlib
import pathlib
import socket
import threading

import notation
import peers
import pytest
from case import Case, Player, same, sample_sum
from peers import Upstream, WireFailure, read_message

CASES = pathlib.Path(__file__).parent / "cases"


class Pipe:
    """Every connection is joined to a connection of its own to `target`, byte for byte, closes included."""

    def __init__(self, target: str):
        host, port = target.split(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(a, b), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (sink, source):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def play_through_pipe(name: str) -> None:
    upstream = Upstream()
    pipe = Pipe(upstream.address)
    case = Case(CASES / name)
    case.steps = [
        step for step in case.steps if not step.words.startswith(("metric ", "record "))
    ]  # a pipe counts nothing
    player = Player(case, pipe.listener.getsockname(), "tg-none", upstream, lambda: "")
    try:
        player.play()
    finally:
        player.release()
        upstream.release()
        pipe.close()


@pytest.mark.parametrize(
    "name",
    [
        "01_client_leaves_mid_stream.case",
        "02_client_leaves_before_the_answer.case",
        "07_no_done.case",
        "13_request_bytes_are_the_clients.case",
        "14_big_integers.case",
        "21_invalid_utf8_in_an_answer.case",
        "23_character_split_over_chunks.case",
        "24_comments_events_crlf.case",
        "49_request_split_at_each_place.case",
    ],
)
def test_a_pipe_passes(name):
    play_through_pipe(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("05_upstream_closes_after_five_events.case", "not one error event"),
        ("06_upstream_drops_inside_an_event.case", "not one error event"),
        ("09_usage_is_asked_for_and_cut_out.case", "more than one insertion"),
        ("10_two_models_allowed_first.case", "an answer with status 400: not within"),
        ("15_answer_bytes_are_the_upstreams.case", "x-tidegate-request-id"),
        ("17_upstream_502_with_html.case", "content-type"),
        ("18_upstream_closes_without_an_answer.case", "an answer with status 502: not within"),
        ("19_short_answer_cut.case", "status 200, not 502"),
        ("22_invalid_utf8_in_a_request.case", "an answer with status 400: not within"),
        ("29_client_headers_upstream.case", "expected"),
        ("30_upstream_headers_at_the_client.case", "x-tidegate-request-id"),
        ("34_surplus_bytes_after_an_answer.case", "the close: not within"),
    ],
)
def test_a_pipe_fails(name, reason, monkeypatch):
    monkeypatch.setattr(peers, "BOUND_S", 0.3)
    with pytest.raises(WireFailure, match=reason) as failure:
        play_through_pipe(name)
    assert str(failure.value).startswith(f"{name}:"), "a failure names its line"


def test_every_case_reads():
    from case import STEPS

    for path in sorted(CASES.glob("*.case")):
        for step in Case(path).steps:
            known = any(pattern.fullmatch(step.words) for pattern, _ in STEPS)
            assert known or step.words.startswith("repeat ") or step.words == "again", (
                f"{path}:{step.line}: {step.words}"
            )


def test_notation():
    variables = {"key": b"K"}
    assert notation.expand("a{{0d 0a}}{{3*xy}}{{key}}", variables) == b"a\r\nxyxyxyK"
    assert notation.message(["A: {{length}}", "", "x", "y"], {}) == b"A: 3\r\n\r\nx\ny"
    assert notation.joined(["a{{0a}}{{-}}", "b"], "\r\n", {}) == b"a\nb\r\n"
    with pytest.raises(ValueError, match="neither"):
        notation.expand("{{nothing}}", {})


@pytest.mark.parametrize(
    ("raw", "eof", "payload", "complete"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", False, b"ab", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", False, b"abc", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", True, b"ab", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r", True, b"ab", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", False, b"ab", True),
        (b"HTTP/1.1 200 OK\r\n\r\nab", False, b"ab", False),
        (b"HTTP/1.1 200 OK\r\n\r\nab", True, b"ab", True),
    ],
)
def test_read_message(raw, eof, payload, complete):
    found = read_message(raw, eof, request=False)
    assert (found.payload, found.complete) == (payload, complete)


def test_bad_framing_is_a_failure():
    for raw in (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    ):
        with pytest.raises(WireFailure):
            read_message(raw, False, request=False)


def test_the_first_different_byte_is_shown():
    with pytest.raises(WireFailure, match="different from byte 2"):
        same("x", b"abXd", b"abcd")


def test_samples_are_summed_over_labels():
    text = '# HELP a b\na_total{x="1",y="2"} 3\na_total{x="1",y="3"} 4\na_total{x="2",y="2"} 5\nb_total 7\n'
    assert sample_sum(text, "a_total", 'x="1"') == 7
    assert sample_sum(text, "b_total", "") == 7
    assert sample_sum(text, "c_total", "") == 0
