"""The console port answers to loopback hosts only: a web page may rebind a name of its own to 127.0.0.1. On an address
that others reach, it gives metrics and health to a scraper by any name, and nothing else."""

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


def status_for(console: str, host: str, path: str = "/api/v1/status") -> int:
    connection = http.client.HTTPConnection(console, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
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


FACTS = ("/metrics", "/healthz", "/readyz")


@pytest.mark.parametrize("path", FACTS)
def test_metrics_on_loopback_are_for_loopback(console, path):
    assert status_for(console, "10.1.2.3:4001", path) == 403


def test_a_scraper_gets_metrics_and_nothing_else(binary, tmp_path):
    arguments = ("--console", "0.0.0.0:0")
    with Program(binary, tmp_path, {"m.yaml": SIMULATED}, arguments=arguments) as program:
        console = program.up["console"].replace("0.0.0.0", "127.0.0.1")
        for path in FACTS:
            assert status_for(console, "10.1.2.3:4001", path) == 200
        for path in ("/api/v1/status", "/api/v1/models", "/metrics/"):
            assert status_for(console, "10.1.2.3:4001", path) == 403
        assert status_for(console, "127.0.0.1:4001") == 200
