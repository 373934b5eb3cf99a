"""No Secret is rendered: the runbook's commands make each one. Here they run, in front of programs that only tell."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import TREES
from lib import kube_facts, oracles

pytestmark = pytest.mark.parametrize("tree", TREES)

# kubectl, helm and the stores' programs: what they are told to keep they write into a file, with all arguments.
STAND_IN = """#!{python}
import base64, fcntl, json, os, pathlib, sys
words = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
# Two of one pipe run at once: who waits for the other has no hold of the state yet.
piped = words[-1] == "-" or "--data-file=-" in words or any(w.endswith("/dev/stdin") for w in words)
given = sys.stdin.read() if piped else ""
path = pathlib.Path(os.environ["STATE"])
lock = open(str(path) + ".lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
state = json.loads(path.read_text())
state["calls"].append(words)
def end(code=0, out=""):
    path.write_text(json.dumps(state))
    sys.stdout.write(out)
    sys.exit(code)
def flag(*names):
    for i, word in enumerate(words):
        for name in names:
            if word == name: return words[i + 1]
            if word.startswith(name + "="): return word[len(name) + 1:]
    return ""
def keep(name): state["store"][name] = json.loads(given)
def secret(where):
    if where in state["secrets"]: return state["secrets"][where]
    stored = state["stored"].get(where)
    if stored is None or stored["path"] not in state["store"]: return None
    values = state["store"][stored["path"]]
    return {{k: values[k] for k in stored["keys"] or values}}
if words[0] == "aws" and words[2] == "describe-secret": end(0 if flag("--secret-id") in state["store"] else 254)
if words[0] == "aws":
    assert flag("--secret-string") == "file:///dev/stdin", words
    keep(flag("--name", "--secret-id"))
if words[:3] == ["gcloud", "secrets", "describe"]: end(0 if words[3] in state["store"] else 1)
if words[:4] == ["gcloud", "secrets", "versions", "add"]: keep(words[4])
if words[:4] == ["az", "keyvault", "secret", "set"]:
    assert flag("--vault-name") and flag("--file") == "/dev/stdin", words
    keep(flag("--name"))
if "bao" in words[:1] + words[-7:] and "put" in words: keep(words[-2])
if words[0] == "tofu": end(0, "https://made-vault.vault.azure.net/")
if words[0] != "kubectl": end()
if "keys" in words and "create" in words: end(0, "tg-made-by-the-gateway\\n")
namespace = flag("-n", "--namespace")
if "create" in words and "secret" in words:
    name = namespace + "/" + words[words.index("generic") + 1]
    if namespace not in state["namespaces"] or name in state["secrets"]: end(1)
    kept = {{}}
    for word in words:
        if word.startswith("--from-literal="):
            key, _, value = word[len("--from-literal="):].partition("=")
            kept[key] = value
        if word.startswith("--from-file="):
            key, _, file = word[len("--from-file="):].partition("=")
            kept[key] = pathlib.Path(file).read_text()
    state["secrets"][name] = kept
elif "get" in words and "secret" in words:
    name = words[words.index("secret") + 1]
    found = secret(namespace + "/" + name)
    if found is None: end(1)
    data = {{k: base64.b64encode(v.encode()).decode() for k, v in found.items()}}
    whole = {{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
             "metadata": {{"name": name, "namespace": namespace, "uid": "1"}}}}
    end(0, json.dumps(whole) if flag("-o") == "json" else "")
elif "apply" in words and flag("-f") == "-":
    if given.strip():
        o = json.loads(given)
        assert set(o["metadata"]) == {{"name", "namespace"}}, o
        if o["metadata"]["namespace"] not in state["namespaces"]: end(1)
        state["secrets"][o["metadata"]["namespace"] + "/" + o["metadata"]["name"]] = {{
            k: base64.b64decode(v).decode() for k, v in o["data"].items()}}
elif "apply" in words and any("00-namespaces" in w for w in words):
    state["namespaces"] = state["all_namespaces"]
end()
"""


def objects(folder: pathlib.Path) -> list[dict]:
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    paths = [folder / s["path"] for p in plan["phases"] for s in p["steps"] if s["kind"] == "manifests"]
    return [o for path in paths for o in kube_facts.parse(path.read_text(encoding="utf-8"))]


def stored(everything: list[dict]) -> dict[str, dict]:
    """What the operator makes of the store: Secret -> where it reads, and which keys (none: all)."""
    out = {}
    for o in everything:
        if o["kind"] != "ExternalSecret":
            continue
        data = o["spec"].get("data", [])
        paths = {d["remoteRef"]["key"] for d in data} or {o["spec"]["dataFrom"][0]["extract"]["key"]}
        assert len(paths) == 1
        keys = [d["secretKey"] for d in data]
        assert keys == [d["remoteRef"]["property"] for d in data]
        where = f"{o['metadata']['namespace']}/{o['spec']['target']['name']}"
        out[where] = {"path": paths.pop(), "keys": keys}
    return out


def by_terraform(folder: pathlib.Path) -> str:
    """What Terraform writes into the store of its cloud."""
    path = folder / "infrastructure/terraform/data.tf.json"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def blocks(folder: pathlib.Path) -> list[tuple[str, str]]:
    """Commands of First steps that make Secrets, under their headings, in the order of the book."""
    book = (folder / "RUNBOOK.md").read_text(encoding="utf-8")
    first = book[book.index("\n## First steps\n") : book.index("\n## Every day\n")]
    out = []
    for title, text in re.findall(r"(?ms)^### ([^\n]+)\n(.*?)(?=^### |\Z)", first):
        if title.startswith("Secrets ") or title == "Put everything in place":
            out += [(title, block) for block in re.findall(r"(?ms)^```sh\n(.*?)^```$", text)]
    return out


class Run:
    """The commands of a tree, run with stand-ins; `env` is brought as the document says."""

    def __init__(self, folder: pathlib.Path, scratch: pathlib.Path):
        self.folder, self.home, self.state = folder, scratch / "home", scratch / "state.json"
        bin_ = scratch / "bin"
        bin_.mkdir()
        for name in ("kubectl", "helm", "aws", "gcloud", "az", "bao", "tofu"):
            (bin_ / name).write_text(STAND_IN.format(python=sys.executable))
            (bin_ / name).chmod(0o755)
        everything = objects(folder)
        self.plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        names = [o["metadata"]["name"] for o in everything if o["kind"] == "Namespace"]
        self.stored = stored(everything)
        start = {"calls": [], "secrets": {}, "store": {}, "stored": self.stored, "namespaces": ["kube-system"]}
        for where in self.stored.values():
            if where["path"] in by_terraform(folder):
                start["store"][where["path"]] = {key: f"made by terraform {key}" for key in where["keys"]}
        start["all_namespaces"] = [*names, "kube-system"]
        self.state.write_text(json.dumps(start))
        self.environment = os.environ | {
            "PATH": f"{bin_}:{os.environ['PATH']}", "STATE": str(self.state), "HOME": str(self.home),
        }  # fmt: skip
        for s in self.plan["secrets"]:
            for name in re.findall(r"env ([A-Z_0-9]+)", s["from"]):
                self.environment[name] = f"brought-{name}"

    def bring(self) -> None:
        """Fills the files that the book names, each with a line feed at its end."""
        book = (self.folder / "RUNBOOK.md").read_text(encoding="utf-8")
        for name, rows in re.findall(r"(?m)^\| file in `~/([^`]+)` \| for \|\n\|---\|---\|\n((?:\|.*\n)+)", book):
            for file in re.findall(r"(?m)^\| `([^`]+)` \|", rows):
                path = self.home / name / file
                assert path.parent.is_dir(), "the commands make the folders"
                one = json.dumps({"one": f"brought {file}"}) if file.endswith("/all.json") else f"brought {file}"
                path.write_text(one + "\n")

    def all(self) -> dict:
        for title, text in blocks(self.folder):
            text = re.sub(r"(?ms)^if grep -rnE 'output:.*?^fi\n", "", text)
            done = subprocess.run(
                ["bash", "-c", text], cwd=self.folder, env=self.environment,
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (title, text, done.stderr)
            if "mkdir" in text:
                self.bring()
        return json.loads(self.state.read_text())


@pytest.fixture
def run(tree, rendered, tmp_path) -> Run:
    oracles.need(oracles.shellcheck)
    return Run(rendered(tree), tmp_path)


def needs(run: Run) -> Iterator[dict]:
    """Those of the plan that people make; what deploy_infra.sh makes has a line there."""
    script = run.folder / "infrastructure/deploy_infra.sh"
    lines = script.read_text(encoding="utf-8") if script.is_file() else ""
    for s in run.plan["secrets"]:
        where = rf"{re.escape(s['namespace'])} {re.escape(s['name'])}"
        if re.search(rf"(?m)^  secret_(generated|copied|given) {where} ", lines):
            continue
        if script.is_file() and s["namespace"] == "ngrok-operator":
            assert s["name"] in lines
            continue
        yield s


def test_every_secret_has_its_command(run, tree):
    state = run.all()
    arguments = [word for call in state["calls"] for word in call]
    wanted = {f"{s['namespace']}/{s['name']}": s for s in needs(run)}
    for where, need in wanted.items():
        if where in run.stored:
            assert where not in state["secrets"], "two would own it"
            path = run.stored[where]["path"]
            assert path in state["store"], f"{where}: nothing puts {path} into the store"
            made = state["store"][path]
        else:
            made = state["secrets"].get(where)
            assert made is not None, f"no command makes {where}"
        assert set(need["keys"]) <= set(made) and made, where
        assert all(made.values()), where
        for key, value in made.items():
            assert not value.endswith("\n") or key == "cloud", (where, key)
            if value not in ("admin", "app"):
                assert not any(value in word for word in arguments), f"{where} {key} stands in an argument"
        if need["from"] == "generated":
            password = made.get("password") or made.get("admin-password") or next(iter(made.values()))
            assert len(password) >= 32
            assert "url" not in made or f":{password}@" in made["url"]
        if need["from"].startswith("copy of "):
            source = need["from"].removeprefix("copy of ")
            origin = state["secrets"].get(source) or state["store"][run.stored[source]["path"]]
            assert set(made.values()) <= set(origin.values())
        if "cloud" in made:
            pair = "[default]\naws_access_key_id={access-key}\naws_secret_access_key={secret-key}\n"
            assert made["cloud"].strip() == pair.format(**made).strip()
    assert set(state["secrets"]) <= set(wanted), "a Secret that nobody asked for"
    again = run.all()
    assert (again["secrets"], again["store"]) == (state["secrets"], state["store"]), "a second run changes values"


def test_commands_are_clean(run, tree, tmp_path):
    for number, (_, text) in enumerate(blocks(run.folder)):
        path = tmp_path / f"{number}.sh"
        path.write_text("#!/usr/bin/env bash\n" + text)
        assert [str(p) for p in oracles.shellcheck.check(path)] == []


# Of an object NAME its operator makes the Secret NAME-ENDING.
MADE_BY_OPERATORS = {"Cluster": ("kubeconfig",), "Elasticsearch": ("es-elastic-user", "es-http-certs-public")}
# Where values of charts name Secrets; the rest of what they hold are other things.
NAMES = ("existingSecret", "existingSecretName", "secretName")


def referred(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from referred(child)
    if not isinstance(node, dict):
        return
    for key, child in node.items():
        if key in NAMES and isinstance(child, str) and child:
            yield child
        elif key in ("secretKeyRef", "secretRef", "clientSecret") and isinstance(child, dict) and "name" in child:
            if not child.get("optional"):
                yield child["name"]
        elif key == "secretTargetRef":
            yield from (entry["name"] for entry in child)
        else:
            yield from referred(child)


def test_every_reference_is_known(run, tree):
    """Whatever a rendered object or a chart is told to read is made: by a rendered object, or by a command."""
    everything = objects(run.folder)
    known = {f"{s['namespace']}/{s['name']}" for s in run.plan["secrets"]} | set(run.stored)
    for o in everything:
        if o["kind"] == "Certificate":
            known.add(f"{o['metadata']['namespace']}/{o['spec']['secretName']}")
        for ending in MADE_BY_OPERATORS.get(o["kind"], ()):
            known.add(f"{o['metadata'].get('namespace')}/{o['metadata']['name']}-{ending}")
    asked = set()
    for o in everything:
        if o["kind"] in ("Certificate", "CustomResourceDefinition", "Ingress", "ClusterSecretStore"):
            continue
        namespace = o["metadata"].get("namespace")
        if namespace:
            asked |= {f"{namespace}/{name}" for name in referred(o)}
    for phase in run.plan["phases"]:
        for step in phase["steps"]:
            if step["kind"] == "helm" and phase["folder"] != "infrastructure":
                values = kube_facts.parse((run.folder / step["values"]).read_text(encoding="utf-8"))
                asked |= {f"{step['namespace']}/{name}" for name in referred(values)}
    assert sorted(asked - known) == []
