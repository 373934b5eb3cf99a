#!/usr/bin/env python3
"""load_litellm.py CONFIG: reads a LiteLLM configuration as its proxy does and makes its router. Status 1 and the reason
when it refuses. Runs in the environment of the oracles, which holds litellm. Nothing is sent anywhere.

LiteLLM itself takes unknown keys of router_settings to mean a Python argument, and ignores unknown keys elsewhere; the
known ones are those of its own signatures and types, so a misspelt one is found here.
"""

from __future__ import annotations

import inspect
import os
import pathlib
import re
import sys

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network for prices

import yaml


def main(path: str) -> int:
    from litellm import Router
    from litellm.types.router import LiteLLM_Params, ModelInfo

    text = pathlib.Path(path).read_text()
    config = yaml.safe_load(text)
    wrong = []
    wrong += [f"{key}: no such section" for key in config if key not in SECTIONS]
    for name in set(re.findall(r"os\.environ/([A-Za-z0-9_]+)", text)):
        os.environ.setdefault(name, "sk-not-a-secret")
    for i, entry in enumerate(config.get("model_list") or []):
        where = f"model_list[{i}]"
        wrong += [f"{where}.{k}: no such key" for k in entry if k not in ("model_name", "litellm_params", "model_info")]
        wrong += [
            f"{where}.litellm_params.{k}: no such key"
            for k in entry.get("litellm_params", {})
            if k not in LiteLLM_Params.model_fields and k not in KNOWN_EXTRA
        ]
        ModelInfo(**entry.get("model_info", {}))
    settings = config.get("router_settings") or {}
    known = set(inspect.signature(Router.__init__).parameters)
    wrong += [f"router_settings.{k}: no such key" for k in settings if k not in known]
    if not wrong:
        router = Router(model_list=config.get("model_list") or [], **settings)
        wrong += [
            f"model {e['model_name']} is not in the router"
            for e in config["model_list"]
            if e["model_name"] not in router.model_names
        ]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


SECTIONS = {"model_list", "router_settings", "litellm_settings", "general_settings", "environment_variables"}
SECTIONS |= {"callback_settings", "credential_list", "files_settings", "guardrails", "mcp_servers"}
# Given on to the engine with each request, so the type does not list them.
KNOWN_EXTRA = {
    "temperature",
    "top_p",
    "max_tokens",
    "extra_body",
    "extra_headers",
    "headers",
    "keep_alive",
    "num_ctx",
    "think",
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
