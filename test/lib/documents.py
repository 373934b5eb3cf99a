"""Documents for the program under test, as JSON: every JSON text is YAML."""

from __future__ import annotations

import json

API_VERSION = "tidegate.dev/v1alpha1"


def document(kind: str, name: str, spec: dict) -> str:
    return json.dumps({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec})


def file(*documents: str) -> str:
    return "\n---\n".join(documents) + "\n"


def simulated(name: str, engine: dict | None = None, **spec) -> str:
    """A Model with a quick simulated engine; `engine` are its fields, `spec` those of the Model."""
    fast = {"load": "50ms", "prefill": 1_000_000, "decode": 2000}
    return document("Model", name, {"engine": {"simulated": {**fast, **(engine or {})}}, **spec})
