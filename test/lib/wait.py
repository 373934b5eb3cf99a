"""Waiting for something that has no event of its own: asked often, bounded, and said plainly when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable

STEP_S = 0.01


def until(what: str, test: Callable[[], object], bound: float = 20.0, step: float = STEP_S):
    """Returns the first true value of test()."""
    end = time.monotonic() + bound
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {bound:g} s")
        time.sleep(step)
