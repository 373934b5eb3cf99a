"""An upstream whose host answers nothing: `timeouts.connect` ends the try."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest
from lib import documents
from peers import ask_chat, whole_answer
from program import Program


@contextlib.contextmanager
def deaf_port():
    """A listener with a full backlog: the kernel drops what knocks, as a host behind a silent firewall does."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(64):
            one = stack.enter_context(socket.socket())
            one.settimeout(0.3)
            try:
                one.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            pytest.fail("the kernel takes any number of connections")
        yield listener.getsockname()[1]


def test_connect_timeout(binary, tmp_path):
    with deaf_port() as port:
        provider = {"dialect": "openai", "url": f"http://127.0.0.1:{port}/v1", "models": ["m"]}
        route = {"to": [{"provider": "up", "model": "m"}], "timeouts": {"connect": "200ms"}, "retry": {"attempts": 1}}
        texts = documents.file(documents.document("Provider", "up", provider), documents.document("Route", "m", route))
        with Program(binary, tmp_path, {"m.yaml": texts}) as program:
            client = ask_chat(program.address(), program.key, b'{"model":"m","messages":[]}')
            answer = whole_answer(client)
            assert (answer.status, json.loads(answer.payload)["error"]["code"]) == (504, "timeout_connect"), answer
            client.close()
