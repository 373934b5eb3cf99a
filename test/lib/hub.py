"""A host of weights with one file, which sends as much of it as the test allows."""

from __future__ import annotations

import hashlib
import http.server
import threading


class Hub:
    """For HF_ENDPOINT: any hf:// file is `content`, or as large as it is `stated` to be. At most `allowed` bytes of it are sent until more are."""

    def __init__(self, content: bytes, stated: int | None = None):
        self.content = content
        self.stated = len(content) if stated is None else stated
        self.heads = 0
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.gets = 0
        self._allowed = 0
        self._changed = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                outer.heads += 1
                self.head()

            def do_GET(self):
                outer.gets += 1
                self.head()
                outer.send(self.wfile)

            def head(self):
                self.send_response(200)
                self.send_header("content-length", str(len(outer.content)))
                self.send_header("x-linked-size", str(outer.stated))
                self.send_header("x-linked-etag", f'"{outer.sha256}"')
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def allow(self, upto: int) -> None:
        with self._changed:
            self._allowed = upto
            self._changed.notify_all()

    def send(self, out) -> None:
        at = 0
        while at < len(self.content):
            with self._changed:
                if not self._changed.wait_for(lambda at=at: self._allowed > at, 60):
                    return
                end = min(self._allowed, len(self.content))
            out.write(self.content[at:end])
            out.flush()
            at = end

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_) -> None:
        self.allow(len(self.content))
        self.server.shutdown()
        self.server.server_close()
