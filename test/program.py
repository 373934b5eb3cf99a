"""One running `tidegate up`, with its own data directory, key and free ports."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.request

START_BOUND_S = 30
STOP_BOUND_S = 45


class Program:
    """Starts on entry, is ended by SIGTERM on exit; an exit status other than 0 fails the test."""

    def __init__(
        self,
        binary: pathlib.Path,
        folder: pathlib.Path,
        documents: dict[str, str],
        *,
        arguments: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ):
        self.binary = binary
        self.folder = folder
        self.data = folder / "data"
        self.arguments = arguments
        self.env = {**os.environ, **(env or {})}
        self.process: subprocess.Popen | None = None
        self.up: dict = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.documents = []
        for name, text in documents.items():
            path = folder / name
            path.write_text(text, encoding="utf-8")
            self.documents.append(path)

    def __enter__(self) -> Program:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    def start(self) -> None:
        up = self.data / "run" / "up.json"
        up.unlink(missing_ok=True)
        files = [word for path in self.documents for word in ("-f", str(path))]
        command = [str(self.binary), "up", "--data", str(self.data), *files]
        for flag in ("--listen", "--console"):
            command += [] if flag in self.arguments else [flag, "127.0.0.1:0"]
        command += self.arguments
        with open(self.folder / "stdout", "ab") as out, open(self.folder / "stderr", "ab") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.env)
        end = time.monotonic() + START_BOUND_S
        while True:
            with contextlib.suppress(FileNotFoundError):
                self.up = json.loads(up.read_text())
                if self.up["pid"] == self.process.pid:
                    return
            if self.process.poll() is not None:
                raise AssertionError(f"{' '.join(command)}\nended with {self.process.returncode}\n{self.log()}")
            if time.monotonic() > end:
                raise AssertionError(f"{' '.join(command)}\ndoes not serve after {START_BOUND_S} s\n{self.log()}")
            time.sleep(0.002)

    def stop(self) -> None:
        """SIGTERM; the drain must end with status 0 within the bound."""
        process = self.process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_BOUND_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {STOP_BOUND_S} s after SIGTERM\n{self.log()}") from None
        self.process = None
        assert process.returncode == 0, f"ended with {process.returncode} after SIGTERM\n{self.log()}"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def log(self, lines: int = 40) -> str:
        """The last lines the program wrote, for failure messages."""
        both = [(self.folder / name).read_text(errors="replace").splitlines()[-lines:] for name in ("stdout", "stderr")]
        return "\n".join("| " + line for part in both for line in part)

    @property
    def key(self) -> str:
        return (self.data / "key").read_text().strip()

    def address(self, which: str = "listen") -> tuple[str, int]:
        host, port = self.up[which].rsplit(":", 1)
        return host, int(port)

    def url(self, path: str, which: str = "listen") -> str:
        return f"http://{self.up[which]}{path}"

    def metrics(self) -> str:
        with urllib.request.urlopen(self.url("/metrics", "console"), timeout=10) as answer:
            return answer.read().decode()

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess:
        """`tidegate WORDS --data DIR` beside the running one."""
        done = subprocess.run(
            [str(self.binary), *words, "--data", str(self.data)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=self.env, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done
