"""Weights are fetched from a host: what people see of it, and the budget of the cache."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest
from lib import client, documents
from lib.hub import Hub
from lib.wait import until
from program import Program

SIZE = 4 << 20
MODEL = documents.document(
    "Model", "big", {"source": "hf://owner/repo/big.gguf", "command": ["/bin/false"], "replicas": {"min": 1}, "memory": "64Mi"}
)  # fmt: skip


def lines(program: Program, message: str) -> list[dict]:
    text = (program.folder / "stderr").read_text()
    return [line for line in map(json.loads, text.splitlines()) if line["message"] == message]


@pytest.fixture
def hub():
    with Hub(os.urandom(SIZE)) as running:
        yield running


def test_off_a_terminal_one_line_at_each_quarter(binary, tmp_path, hub):
    """Start, 25, 50 and 75 percent, end: each as soon as it is reached, each once, and no control character."""
    with Program(binary, tmp_path, {"big.yaml": MODEL}, env={"HF_ENDPOINT": hub.url}) as program:
        for quarter in range(1, 4):
            hub.allow(SIZE * quarter // 4 + 1000)

            def said(quarter=quarter) -> bool:
                return len(lines(program, "fetching weights")) == quarter + 1

            until(f"the line at {25 * quarter} %", said)
        hub.allow(SIZE)
        (end,) = until("the end", lambda: lines(program, "weights are here"))
        assert (end["bytes"], end["sha256"]) == (SIZE, hub.sha256)
        start, *quarters = lines(program, "fetching weights")
        assert "percent" not in start
        assert [line["percent"] for line in quarters] == [25, 50, 75]
        assert [line["total"] for line in quarters] == [SIZE] * 3
        for line, quarter in zip(quarters, range(1, 4), strict=True):
            assert SIZE * quarter // 4 <= line["bytes"] <= SIZE * quarter // 4 + 1000
        assert "\x1b" not in (tmp_path / "stderr").read_text()
        assert "\r" not in (tmp_path / "stderr").read_text()


def test_on_a_terminal_one_line_is_redrawn(binary, tmp_path, hub):
    """Bytes, share, rate and the time left on one line, at most ten times a second; nothing of it in the end."""
    master, slave = pty.openpty()
    file = tmp_path / "big.yaml"
    file.write_text(MODEL)
    command = [str(binary), "up", "--data", str(tmp_path / "data"), "-f", str(file), "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]  # fmt: skip
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave,
        env={**os.environ, "HF_ENDPOINT": hub.url, "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    screen = b""

    def shown(pattern: str) -> None:
        nonlocal screen
        end = time.monotonic() + 20
        while not re.search(pattern, screen.decode()):
            assert select.select([master], [], [], max(0.0, end - time.monotonic()))[0], screen
            screen += os.read(master, 65536)

    try:
        begin = time.monotonic()
        for quarter in range(1, 4):
            hub.allow(SIZE * quarter // 4 + 1000)
            shown(rf"big\.gguf {quarter}\.0 MiB of 4\.0 MiB, {25 * quarter} %.*\x1b\[K\r")
        hub.allow(SIZE)
        shown("weights are here")
        drawn = re.findall(r"big\.gguf [^\x1b]*\x1b\[K\r", screen.decode())
        assert re.search(r"75 %, [0-9.]+ [KMG]?i?B/s, [0-9hms]+ left", drawn[-1] + drawn[-2] + drawn[-3]), drawn
        assert len(drawn) <= 10 * (time.monotonic() - begin) + 5, "ten a second, and the begin and each quarter"
        assert all(len(line) < 80 for line in drawn)
        assert screen.count(b"fetching weights") == 1, "where the line is drawn the log has the start only"
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(OSError):
            while select.select([master], [], [], 20)[0] and os.read(master, 65536):
                pass
        process.wait(20)
        os.close(master)


def test_cache_limit(binary, tmp_path, hub):
    """What does not fit is refused before its first byte, with the numbers; a larger limit lets it in."""
    arguments = ("--cache-limit", "3Mi")
    with Program(binary, tmp_path, {"big.yaml": MODEL}, arguments=arguments, env={"HF_ENDPOINT": hub.url}) as program:

        def reason() -> dict | None:
            (model,) = json.loads(program.command("models", "-o", "json").stdout)["items"]
            return model["reason"] if model["reason"]["code"] == "disk_budget" else None

        found = until("the refusal", reason)
        assert "4.0 MiB" in found["text"] and "3.0 MiB" in found["text"]
        assert hub.gets == 0
    hub.allow(SIZE)
    arguments = ("--cache-limit", "5Mi")
    with Program(binary, tmp_path, {"big.yaml": MODEL}, arguments=arguments, env={"HF_ENDPOINT": hub.url}) as program:
        until("the file is here", lambda: lines(program, "weights are here"))
    done = subprocess.run(
        [str(binary), "up", "--cache-limit", "much"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2 and "[bad_flag]" in done.stderr and "'much'" in done.stderr


def model(program: Program) -> dict:
    (found,) = json.loads(program.command("models", "-o", "json").stdout)["items"]
    return found


def refused(program: Program, code: str) -> client.Answer:
    """Within a start's time, long before the hold's deadline."""
    answer = client.post(program.address(), program.key, client.chat("big", "hi"), bound=15)
    assert (answer.status, answer.error["code"]) == (503, code), answer
    return answer


def test_an_engine_that_is_not_there(binary, tmp_path, hub):
    """Said when the documents are loaded; nothing is fetched for it. Once it is there, the next request starts it."""
    engine = tmp_path / "llama-server"
    text = documents.document(
        "Model", "big", {"source": "hf://owner/repo/big.gguf", "command": [str(engine)], "memory": "64Mi"}
    )
    with Program(binary, tmp_path, {"big.yaml": text}, env={"HF_ENDPOINT": hub.url}) as program:
        (line,) = lines(program, "model cannot start")
        assert (line["code"], str(engine) in line["reason"]) == ("engine_missing", True)
        found = model(program)
        assert (found["state"], found["reason"]["code"]) == ("failed", "engine_missing")
        refused(program, "engine_missing")
        assert (hub.heads, hub.gets) == (0, 0)
        engine.write_text("#!/bin/sh\nexec sleep 600\n")
        engine.chmod(0o755)
        hub.allow(SIZE)
        with client.Stream(program.address(), program.key, client.chat("big", "hi", stream=True)):
            until("the weights are fetched", lambda: lines(program, "weights are here"))


def test_weights_that_memory_cannot_hold(binary, tmp_path):
    """The host states the size, and the file is not asked for: not at first, and not again."""
    text = documents.document("Model", "big", {"source": "hf://owner/repo/big.gguf", "command": ["/bin/false"]})
    with (
        Hub(b"x" * 1000, stated=1 << 50) as hub,
        Program(binary, tmp_path, {"big.yaml": text}, env={"HF_ENDPOINT": hub.url}) as program,
    ):
        refused(program, "memory_short")
        found = model(program)["reason"]
        assert found["code"] == "memory_short" and "1126.4 TiB" in found["text"], found
        refused(program, "memory_short")
        assert (hub.heads, hub.gets) == (1, 0)
