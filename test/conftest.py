"""Shared by the wire and the end-to-end tests: which program is under test. This folder is importable from both."""

import os
import pathlib

import pytest
from lib.kube_fixture import api_server  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def binary() -> pathlib.Path:
    """The program under test: $TIDEGATE, else the newest of the release and dev builds."""
    given = os.environ.get("TIDEGATE")
    if given:
        path = pathlib.Path(given).resolve()
        if not path.exists():
            pytest.fail(f"TIDEGATE={given}: there is no such program; ./dev build release makes it")
        return path
    built = [p for p in (ROOT / f"build/{preset}/src/app/tidegate" for preset in ("release", "dev")) if p.exists()]
    if not built:
        pytest.fail("no program to test; ./dev build release makes it, or set TIDEGATE=PATH")
    return max(built, key=lambda p: p.stat().st_mtime)
