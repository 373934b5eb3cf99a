"""An engine of our own that answers with given bytes and lives on: to be run in place of the simulated one.

`command(folder, scripts)` is what stands in spec.command. A request gets the scripts of the first word that its body
contains, one after the other and the last one again and again; then its connection is closed."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import sys
import threading

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
NO_KEY = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def command(folder: pathlib.Path, scripts: dict[str, list[bytes]]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "asked").touch()
    (folder / "scripts.json").write_text(
        json.dumps({word: [s.hex() for s in those] for word, those in scripts.items()})
    )
    return [sys.executable, __file__, str(folder)]


def asked(folder: pathlib.Path) -> list[str]:
    """The word of each request that came, in order."""
    return (folder / "asked").read_text().split()


def read_request(sock: socket.socket) -> tuple[bytes, bytes]:
    raw = b""
    while b"\r\n\r\n" not in raw:
        piece = sock.recv(65536)
        if not piece:
            return b"", b""
        raw += piece
    head, _, body = raw.partition(b"\r\n\r\n")
    length = next(
        (int(v) for k, _, v in (h.partition(b":") for h in head.split(b"\r\n")) if k.lower() == b"content-length"), 0
    )
    while len(body) < length and (piece := sock.recv(65536)):
        body += piece
    return head, body


def serve(sock: socket.socket, folder: pathlib.Path, scripts: dict[str, list[bytes]], lock: threading.Lock) -> None:
    with sock:
        head, body = read_request(sock)
        if head.startswith(b"GET "):
            key = os.environ["TIDEGATE_SIMULATED_KEY"].encode()
            sock.sendall(OK if b"Bearer " + key in head else NO_KEY)
        elif head:
            word = next(w for w in scripts if w.encode() in body)
            with lock:
                those = scripts[word]
                answer = those.pop(0) if len(those) > 1 else those[0]
                with open(folder / "asked", "a", encoding="ascii") as out:
                    out.write(word + "\n")
            sock.sendall(answer)


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    scripts = {
        w: [bytes.fromhex(s) for s in those] for w, those in json.loads((folder / "scripts.json").read_text()).items()
    }
    listener = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
    lock = threading.Lock()
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, folder, scripts, lock), daemon=True).start()


if __name__ == "__main__":
    main()
