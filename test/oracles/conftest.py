"""The API server is shared by all files of a run; see lib/kube_fixture.py."""

from lib.kube_fixture import api_server  # noqa: F401
