"""A drain has a bound: what is still open after 30 s is cut, and the program ends all the same."""

from __future__ import annotations

import json
import time

from case import DOCUMENTS, UPSTREAM_KEY
from lib.wait import until
from peers import Upstream, ask_chat
from program import Program

DRAIN_S = 30


def test_a_drain_ends(binary, tmp_path):
    """An upstream that never answers holds up the end of the program for 30 s, and no longer."""
    upstream = Upstream()
    try:
        documents = DOCUMENTS.replace("{{upstream}}", upstream.address)
        with Program(binary, tmp_path, {"m.yaml": documents}, env={"WIRE_UPSTREAM_KEY": UPSTREAM_KEY}) as program:
            client = ask_chat(program.address(), program.key, b'{"model":"m","messages":[]}')
            upstream.next_request()
            begin = time.monotonic()
            program.process.terminate()
            closed = client.wait("the cut", lambda: client.closed_at, bound=DRAIN_S + 15)
            assert closed - begin >= DRAIN_S
            assert client.received == b""
            until("the program's end", lambda: program.process.poll() is not None)
            assert "drain time is over: open requests are cut" in program.log()
            client.close()
        (row,) = json.loads(program.command("usage", "--requests", "-o", "json").stdout)["items"]
        assert (row["outcome"], row["reason"]) == ("cut", "shutting_down"), row
    finally:
        upstream.release()
