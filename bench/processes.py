"""The processes of the comparison: how each is started, placed on its core, asked and measured."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "bench" / "work"
TEMPLATES = ROOT / "bench" / "peers"
UPSTREAM_KEY = "upstream-secret"
CLIENT_KEY = "tg-bench-client-key"
START_BOUND_S = 20
STOP_BOUND_S = 40
SETTLE_BOUND_S = 5
SETTLE_LOOK_S = 0.1
SETTLE_LOOKS = 12  # longer than the second after which nginx writes its log and tidegate its sums
SETTLE_SHARE = 0.01  # of a core
PLAIN_REQUEST = {"messages": [{"role": "user", "content": "Hello."}], "model": "bench-model"}


class BenchError(Exception):
    """Something around the measurement failed; the message is all that the user needs."""


# --- places and files ------------------------------------------------------------------------------------------------


class Machine:
    """The two cores of the method, and whether the real-time class may be used."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise BenchError("the comparison needs two cores: one for the proxy, one for its clients and the upstream")
        self.clients_core, self.proxy_core = cores[:2]
        self.all_cores = set(cores)
        self.real_time = True
        self.plain_policy = os.sched_getscheduler(0)
        self.plain_param = os.sched_getparam(0)
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            os.sched_setscheduler(0, self.plain_policy, self.plain_param)
        except PermissionError:
            self.real_time = False
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.open_files = hard

    @contextlib.contextmanager
    def placed(self, core: int | None) -> Iterator[None]:
        """What is started inside runs on `core` (None: any), in the real-time round-robin class where permitted."""
        os.sched_setaffinity(0, self.all_cores if core is None else {core})
        try:
            if self.real_time:
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            yield
        finally:
            if self.real_time:
                os.sched_setscheduler(0, self.plain_policy, self.plain_param)
            os.sched_setaffinity(0, self.all_cores)

    def spawn(self, core: int | None, command: list[str], **options) -> subprocess.Popen:
        with self.placed(core):
            return subprocess.Popen(command, **{"stdin": subprocess.DEVNULL, **options})


@contextlib.contextmanager
def stay_awake(machine: Machine) -> Iterator[None]:
    """While the block runs, neither of the two cores sleeps: on each turns a process that gives way to every other."""
    spinners: list[subprocess.Popen] = []
    try:
        for core in (machine.clients_core, machine.proxy_core):
            command = [sys.executable, "-S", "-E", str(ROOT / "bench" / "spinner.py"), str(core)]
            spinner = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            spinners.append(spinner)
            if spinner.stdout.readline().strip() != "awake":
                raise BenchError(f"no spinner on core {core}, status {spinner.poll()}")
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
            spinner.stdout.close()


_next_port = 18000


def free_port() -> int:
    """Below the range the kernel gives to clients, so that no client of ours can take it first."""
    global _next_port
    while True:
        _next_port += 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", _next_port))
                return _next_port


# --- what the kernel says of a process tree --------------------------------------------------------------------------


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    found, todo = [], [pid]
    while todo:
        at = todo.pop()
        found.append(at)
        for path in pathlib.Path(f"/proc/{at}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                todo += [int(word) for word in path.read_text().split()]
    return found


def cpu_ns(pids: list[int]) -> int:
    """Time on a core, user and kernel, of all threads that live."""
    total = 0
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(path.read_text().split()[0])
    return total


def user_and_system_s(pids: list[int]) -> tuple[float, float]:
    user = system = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        user += int(fields[11])
        system += int(fields[12])
    ticks = os.sysconf("SC_CLK_TCK")
    return user / ticks, system / ticks


def pss_kib(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


# --- asking ----------------------------------------------------------------------------------------------------------


def ask(port: int, path: str, *, key: str = "", body: dict | None = None, bound_s: float = 10) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=bound_s)
    try:
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        text = None if body is None else json.dumps(body, separators=(",", ":"))
        connection.request("GET" if body is None else "POST", path, body=text, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ask_until_answered(port: int, key: str, process: subprocess.Popen, body: dict, bound_s: float) -> None:
    """Asks again every 0.1 ms until the answer is 200."""
    end = time.monotonic() + bound_s
    status: int | str = "no connection"
    while time.monotonic() < end:
        if process.poll() is not None:
            raise BenchError(f"{process.args[0]} ended with status {process.returncode}")
        try:
            status, _ = ask(port, "/v1/chat/completions", key=key, body=body, bound_s=bound_s)
            if status == 200:
                return
        except OSError:
            pass
        time.sleep(0.0001)
    raise BenchError(f"{process.args[0]} on port {port} does not answer within {bound_s} s, last: {status}")


# --- the processes ---------------------------------------------------------------------------------------------------


class Server:
    """A process that listens on `port`, with its files in `folder`. Started fresh each time."""

    name = ""
    key = CLIENT_KEY
    relays_bytes = True  # the answer's body is the upstream's, byte for byte
    refuses_with: tuple[int, ...] = (401,)  # the status for a wrong key
    start_bound_s = START_BOUND_S
    ends_threads = False  # while it serves, so that what they used is missing from the threads that live
    saturates = False  # below the rates of the open-loop cells: measured in the slow ones

    def __init__(self, machine: Machine, upstream: int = 0):
        self.machine = machine
        self.upstream = upstream
        self.port = free_port()
        self.folder = WORK / f"{self.name.replace('+', '-')}-{self.port}"
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> Server:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Returns when a request has been answered with 200."""
        self.launch(self.command(), self.machine.proxy_core)
        self.wait_until_served()

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {**os.environ, "MOCK_KEY": UPSTREAM_KEY}

    def launch(self, command: list[str], core: int | None) -> None:
        with open(self.folder / "output", "ab") as output:
            self.process = self.machine.spawn(core, command, stdout=output, stderr=output, env=self.environment())

    def wait_until_served(self) -> None:
        assert self.process is not None
        try:
            ask_until_answered(self.port, self.key, self.process, PLAIN_REQUEST, self.start_bound_s)
        except BenchError as error:
            raise BenchError(f"{error}\n{self.output()}") from None

    def output(self) -> str:
        text = (self.folder / "output").read_text(errors="replace")
        return "\n".join("| " + line for line in text.splitlines()[-20:])

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_BOUND_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def pids(self) -> list[int]:
        assert self.process is not None
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended with status {self.process.returncode}\n{self.output()}")
        return tree(self.process.pid)

    def cpu_ns(self, pids: list[int]) -> int:
        """Time on a core so far. utime and stime of a process know its ended threads, but count in ticks of 10 ms."""
        return int(sum(user_and_system_s(pids)) * 1e9) if self.ends_threads else cpu_ns(pids)

    def settle(self, pids: list[int]) -> None:
        """Returns when the process has done next to nothing for a while. One that is never at rest is given up on."""
        end = time.monotonic() + SETTLE_BOUND_S
        before, quiet = self.cpu_ns(pids), 0
        while quiet < SETTLE_LOOKS and time.monotonic() < end:
            time.sleep(SETTLE_LOOK_S)
            now = self.cpu_ns(pids)
            quiet = quiet + 1 if now - before < SETTLE_LOOK_S * 1e9 * SETTLE_SHARE else 0
            before = now

    def write_template(self, source: str, extra: dict[str, str]) -> pathlib.Path:
        text = (TEMPLATES / source).read_text()
        values = {
            "DIR": str(self.folder), "LISTEN": f"127.0.0.1:{self.port}", "UPSTREAM": f"127.0.0.1:{self.upstream}",
            "KEY": self.key, "UPSTREAM_KEY": UPSTREAM_KEY, **extra,
        }  # fmt: skip
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        path = self.folder / source
        path.write_text(text)
        return path


class Mock(Server):
    """The upstream. On the clients' core it serves the proxies; on the proxies' core it is the direct baseline."""

    name = "direct"
    key = UPSTREAM_KEY

    def __init__(self, machine: Machine, tools: pathlib.Path, core: int):
        super().__init__(machine)
        self.binary = tools / "mock_upstream"
        self.core = core

    def start(self) -> None:
        self.launch([str(self.binary), "--listen", f"127.0.0.1:{self.port}", "--key", UPSTREAM_KEY], self.core)
        self.wait_until_served()

    def set(self, **values: int) -> None:
        query = "&".join(f"{name}={value}" for name, value in values.items())
        status, text = ask(self.port, f"/ctl?{query}")
        if status != 200:
            raise BenchError(f"mock upstream: {text.decode()}")

    def last_request(self) -> bytes:
        return ask(self.port, "/ctl/last")[1]


class Nginx(Server):
    name = "nginx"
    access_log = "access_log off;"

    def command(self) -> list[str]:
        config = self.write_template(
            "nginx.conf",
            {
                "USER": "user root;" if os.geteuid() == 0 else "",
                "FILES": str(self.machine.open_files - 50),
                "ACCESS_LOG": self.access_log.replace("@DIR@", str(self.folder)),
            },
        )
        return [find_program("nginx"), "-p", str(self.folder), "-c", str(config), "-e", str(self.folder / "error.log")]


class NginxWithLog(Nginx):
    name = "nginx+log"
    access_log = "access_log @DIR@/access.log combined buffer=64k flush=1s;"


class Haproxy(Server):
    name = "haproxy"

    def command(self) -> list[str]:
        config = self.write_template("haproxy.cfg", {"CONNECTIONS": str(self.machine.open_files // 2 - 100)})
        return [find_program("haproxy"), "-db", "-f", str(config)]


class Tidegate(Server):
    name = "tidegate"
    document = "tidegate.yaml"

    def __init__(self, machine: Machine, binary: pathlib.Path, upstream: int = 0):
        super().__init__(machine, upstream)
        self.binary = binary
        self.data = self.folder / "data"

    def command(self) -> list[str]:
        document = self.write_template(self.document, {})
        return [
            str(self.binary), "up", "--data", str(self.data), "-f", str(document),
            "--listen", f"127.0.0.1:{self.port}", "--console", "127.0.0.1:0", "--workers", "1",
        ]  # fmt: skip

    def start(self) -> None:
        self.launch(self.command(), self.machine.proxy_core)
        self.wait_until_up()
        self.wait_until_served()

    def wait_until_up(self) -> None:
        assert self.process is not None
        end = time.monotonic() + START_BOUND_S
        while True:
            with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
                if json.loads((self.data / "run" / "up.json").read_text())["pid"] == self.process.pid:
                    break
            if self.process.poll() is not None or time.monotonic() > end:
                raise BenchError(f"tidegate does not come up, status {self.process.poll()}\n{self.output()}")
            time.sleep(0.002)
        self.key = (self.data / "key").read_text().strip()

    def word(self, *words: str, bound_s: float = 60) -> str:
        """`tidegate WORDS --data DIR`; its standard output."""
        command = [str(self.binary), *words, "--data", str(self.data)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=bound_s, check=False
        )
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def find_program(name: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise BenchError(f"{name} is not installed\nhint: ./dev setup bench")
    return path


def check_same_job(server: Server, mock: Mock) -> None:
    """Every proxy must do the job that is compared: refuse a wrong key, put the upstream's in, relay the bytes (a peer
    that writes answers anew: the text)."""
    status, body = ask(server.port, "/v1/chat/completions", key=server.key, body=PLAIN_REQUEST)
    expected = ask(mock.port, "/v1/chat/completions", key=UPSTREAM_KEY, body=PLAIN_REQUEST)[1]
    same = body == expected if server.relays_bytes else status == 200 and text_of(body) == text_of(expected)
    if status != 200 or not same:
        raise BenchError(f"{server.name} does not relay the answer as it is: status {status}, {len(body)} bytes")
    ask(server.port, "/v1/chat/completions", key=server.key, body=PLAIN_REQUEST)
    seen = mock.last_request()
    if f"Bearer {UPSTREAM_KEY}".encode() not in seen or server.key.encode() in seen:
        raise BenchError(f"{server.name} does not replace the client's key by the upstream's")
    status, _ = ask(server.port, "/v1/chat/completions", key="tg-wrong", body=PLAIN_REQUEST)
    if status not in server.refuses_with:
        raise BenchError(f"{server.name} answers {status} to a wrong key, not {server.refuses_with[-1]}")


def text_of(body: bytes) -> str:
    return json.loads(body)["choices"][0]["message"]["content"]
