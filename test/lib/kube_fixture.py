"""The fixture `api_server`: one real API server for all tests of a run, started by the first that asks for it."""

from __future__ import annotations

import pytest
from lib import kube


@pytest.fixture(scope="session")
def api_server(tmp_path_factory):
    reason = kube.unavailable()
    if reason:
        pytest.skip(f"not run: kube-apiserver: {reason}")
    with kube.ApiServer.start(tmp_path_factory.mktemp("kube")) as server:
        yield server
