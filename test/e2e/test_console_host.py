"""The console port answers to loopback hosts only: a web page may rebind a name of its own to 127.0.0.1."""

from __future__ import annotations

import http.client

import pytest
from program import Program

SIMULATED = """
apiVersion: tidegate.dev/v1alpha1
kind: Model
metadata: {name: simulated}
spec: {engine: {simulated: {}}}
"""


@pytest.fixture(scope="module")
def console(binary, tmp_path_factory):
    with Program(binary, tmp_path_factory.mktemp("console"), {"m.yaml": SIMULATED}) as program:
        yield program.up["console"]


def status_for(console: str, host: str) -> int:
    connection = http.client.HTTPConnection(console, timeout=10)
    connection.putrequest("GET", "/api/v1/status", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:4001", "localhost:1", "[::1]:4001", "127.1.2.3"])
def test_loopback_is_answered(console, host):
    assert status_for(console, host) == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1.evil.example", "127.evil.example:4001", "evil.example", "10.0.0.1", "localhost.evil.example"]
)
def test_other_names_are_not(console, host):
    assert status_for(console, host) == 403
