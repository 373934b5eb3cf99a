"""What tidegate keeps belongs to the user who runs it, whatever that user's umask is."""

from __future__ import annotations

import os
import stat
import urllib.request

from lib import documents
from program import Program


def test_nobody_else_may_look(binary, tmp_path):
    """The control socket, the key, the ledger and every other file of DIR: no right for group or others."""
    before = os.umask(0)
    try:
        program = Program(binary, tmp_path, {"m.yaml": documents.simulated("m")})
        program.start()
    finally:
        os.umask(before)
    try:
        request = urllib.request.Request(program.url("/v1/models"), headers={"Authorization": f"Bearer {program.key}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        socket = (program.data / "run" / "control.sock").stat()
        assert stat.S_ISSOCK(socket.st_mode)
        assert stat.S_IMODE(socket.st_mode) == 0o600
        assert stat.S_IMODE((program.data / "key").stat().st_mode) == 0o600
        seen = 0
        for path in [program.data, *program.data.rglob("*")]:
            mode = stat.S_IMODE(path.lstat().st_mode)
            assert mode & 0o077 == 0, f"{path}: {mode:o}"
            seen += 1
        assert seen > 8, "DIR holds more than that"
    finally:
        program.stop()
