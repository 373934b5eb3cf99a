"""Nothing outlives the program, however it ends, and two of it do not fight over a directory or a port."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess

import pytest
from lib import client, documents, processes, simulated
from lib.processes import all_gone, descendants, identify, replicas
from lib.wait import until
from program import Program

GONE_S = 15.0
LOADING = documents.file(documents.simulated("m", {"load": "10m"}))
SERVING = documents.file(documents.simulated("m", {"load": "20ms", "decode": 20}, replicas={"min": 0, "max": 2}, slots=2, idle="10m"))  # fmt: skip
LONG = {"stream": True, "ignore_eos": True, "max_tokens": 4000}


def start_a_request(program: Program, text: str = "long") -> client.Stream:
    """Sends a request and returns at once."""
    stream = client.Stream(program.address(), program.key, client.chat("m", text, **LONG))
    return stream


def family(program: Program, engines: int) -> list[processes.Process]:
    """All processes of a program with so many engines: supervisors, guards, engines, itself."""
    until(f"{engines} engines", lambda: len(replicas(program.data)) >= engines)
    found = replicas(program.data)
    named = {p for r in found for p in (r.supervisor, r.engine)}
    below = descendants(program.process.pid)
    assert named <= set(below), f"{named} are not all below {program.process.pid}"
    assert all(p.alive() for p in named)
    return [identify(program.process.pid), *below]


@pytest.mark.parametrize("phase", ["load", "serving"])
@pytest.mark.parametrize("victim", ["program", "supervisor", "both", "engine"])
def test_kill(binary, tmp_path, phase, victim):
    program = Program(binary, tmp_path, {"m.yaml": LOADING if phase == "load" else SERVING})
    with program:
        stream = start_a_request(program)
        if phase == "serving":
            stream.read_events(3)
        all_of_them = family(program, 1)
        me = all_of_them[0]
        replica = replicas(program.data)[0]
        if victim in ("program", "both"):
            me.kill()
        if victim in ("supervisor", "both"):
            replica.supervisor.kill()
        if victim == "engine":
            replica.engine.kill()
        if victim in ("program", "both"):
            program.process.wait()
            program.process = None
            all_gone(all_of_them, GONE_S)
            stream.close()
            return
        # The program lives: what belonged to this replica goes, and a stream that was relayed ends as an error.
        all_gone([p for p in all_of_them if p != me], GONE_S)
        if phase == "serving":
            assert not stream.read_rest()
            assert client.error_event(stream.body), stream.body[-300:]
        stream.close()
        everything = [me, *descendants(me.pid)]
        program.stop()
        all_gone(everything, GONE_S)
    assert not replicas(program.data)


def test_a_new_start_ends_what_a_crash_left(binary, tmp_path):
    """A frozen supervisor hears no pipe's end, so it and its engine outlive the program: the next start ends both."""
    program = Program(binary, tmp_path, {"m.yaml": SERVING})
    with program:
        stream = start_a_request(program)
        stream.read_events(3)
        everything = family(program, 1)
        replica = replicas(program.data)[0]
        for p in (replica.supervisor, replica.engine):
            p.send(signal.SIGSTOP)
        everything[0].kill()
        program.process.wait()
        program.process = None
        stream.close()
        assert replica.engine.alive()
        assert replica.supervisor.alive()
        program.start()
        all_gone(everything, GONE_S)
        request = client.chat("m", "after the crash", max_tokens=5)
        assert client.post(program.address(), program.key, request).body == simulated.chat(request).body


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_drains(binary, tmp_path, number):
    with Program(binary, tmp_path, {"m.yaml": SERVING}) as program:
        request = client.chat("m", "drained", stream=True, ignore_eos=True, max_tokens=40)  # two seconds
        with client.Stream(program.address(), program.key, request) as stream:
            stream.read_events(3)
            everything = family(program, 1)
            program.process.send_signal(number)
            until("the port is closed", lambda: not connects(program.address()))
            assert program.process.poll() is None, "it does not wait for the stream"
            assert stream.read_rest()
            assert stream.body == simulated.chat(request).stream
        assert program.process.wait(GONE_S) == 0
        program.process = None
        all_gone(everything, GONE_S)


def test_two_signals_end_at_once(binary, tmp_path):
    with Program(binary, tmp_path, {"m.yaml": SERVING}) as program:
        with client.Stream(program.address(), program.key, client.chat("m", "long", **LONG)) as stream:
            stream.read_events(3)
            everything = family(program, 1)
            program.process.send_signal(signal.SIGINT)
            until("it drains", lambda: not connects(program.address()))
            assert program.process.poll() is None
            program.process.send_signal(signal.SIGINT)
            program.process.wait(5)
            assert not stream.read_rest()
        program.process = None
        all_gone(everything, GONE_S)


def connects(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError:
        return False
    return True


def up(program: Program, *words: str, data=None) -> subprocess.CompletedProcess:
    command = [str(program.binary), "up", "--data", str(data or program.data), "-f", str(program.documents[0]), *words]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False)


def test_second_up_on_the_same_directory(binary, tmp_path):
    with Program(binary, tmp_path, {"m.yaml": SERVING}) as program:
        done = up(program, "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0")
        assert done.returncode == 2, done.stderr
        assert re.search(rf"\b{program.process.pid}\b", done.stderr), done.stderr
        assert str(program.data) in done.stderr
        assert json.loads((program.data / "run" / "up.json").read_text())["pid"] == program.process.pid
        request = client.chat("m", "still there", max_tokens=4)
        assert client.post(program.address(), program.key, request).body == simulated.chat(request).body


@pytest.mark.parametrize("flag", ["--listen", "--console"])
def test_taken_port(binary, tmp_path, flag):
    with Program(binary, tmp_path, {"m.yaml": SERVING}) as program, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = {"--listen": "--console", "--console": "--listen"}[flag]
        done = up(program, flag, f"127.0.0.1:{port}", other, "127.0.0.1:0", data=tmp_path / "other")
        assert done.returncode == 2, done.stderr
        for word in (str(port), str(os.getpid()), flag):
            assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", done.stderr), f"no {word} in: {done.stderr}"


def test_taken_by_a_tidegate(binary, tmp_path):
    with Program(binary, tmp_path, {"m.yaml": SERVING}) as program:
        done = up(program, "--listen", program.up["listen"], "--console", "127.0.0.1:0", data=tmp_path / "other")
        assert done.returncode == 2, done.stderr
        assert re.search(rf"\b{program.process.pid}\b", done.stderr), done.stderr
        assert "--listen" in done.stderr


def test_many_starts_and_stops_leave_nothing(binary, tmp_path):
    """Ended in the middle of a start, ten times at different moments: no process, no record, no lock is left."""
    program = Program(binary, tmp_path, {"m.yaml": SERVING})
    seen: set[processes.Process] = set()
    for round_ in range(10):
        with program:
            stream = start_a_request(program, f"round {round_}")
            if round_ % 2:
                family(program, 1)
            seen |= {identify(program.process.pid), *descendants(program.process.pid)}
            stream.close()
            program.stop()
    all_gone(list(seen), GONE_S)
    assert not replicas(program.data)
