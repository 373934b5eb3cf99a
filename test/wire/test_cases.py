"""Every case of cases/ through the real program. A case has a program, a data directory and an upstream of its own."""

import json
import pathlib

import notation
import pytest
from case import UPSTREAM_KEY, Case, Player, TooLate
from peers import Upstream
from program import Program

CASES = sorted((pathlib.Path(__file__).parent / "cases").glob("*.case"))
TRIES = 4  # of a case whose only fault is a missed bound of milliseconds


def play(case: Case, binary: pathlib.Path, folder: pathlib.Path) -> None:
    upstream = Upstream()
    documents = notation.expand(case.documents, {"upstream": upstream.address.encode()}).decode()
    env = {"WIRE_UPSTREAM_KEY": UPSTREAM_KEY}
    try:
        with Program(binary, folder, {"wire.yaml": documents}, arguments=case.arguments, env=env) as program:
            player = Player(
                case,
                program.address(),
                program.key,
                upstream,
                program.metrics,
                program.process.terminate,
                lambda: json.loads(program.command("usage", "--requests", "-o", "json").stdout)["items"],
            )
            try:
                player.play()
            except AssertionError as problem:
                problem.add_note(program.log())
                raise
            finally:
                player.release()
                upstream.release()
    finally:
        upstream.release()


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_case(path, binary, tmp_path):
    case = Case(path)
    for attempt in range(TRIES):
        try:
            play(case, binary, tmp_path / str(attempt))
            return
        except TooLate:
            if attempt == TRIES - 1:
                raise
