"""What only the infrastructure knows: places that wait for it, and `render --outputs`, which puts it in."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml
from conftest import ROOT, TREES, documents
from lib import kube_facts

LEFT = re.compile(r"output:[A-Za-z]")
# Clouds as `tidegate init` begins them: the examples of one of them publish nothing.
BEGUN = {"aws": ["--region", "us-east-1"], "otc": [], "google": ["--project", "my-project"], "azure": []}
GIVEN = ("default", "kube-system", "kube-public", "kube-node-lease")


class Case:
    """A tree as it is rendered first, its documents, and made outputs of its module."""

    def __init__(self, binary: pathlib.Path, flags: list[str], first: pathlib.Path, folder: pathlib.Path):
        self.binary, self.flags, self.first, self.folder = binary, flags, first, folder
        path = first / "infrastructure/terraform/outputs.tf.json"
        declared = json.loads(path.read_text(encoding="utf-8"))["output"] if path.is_file() else {}
        self.outputs = {
            name: {"sensitive": o.get("sensitive", False), "type": "string", "value": f"made-{name}".lower()}
            for name, o in declared.items()
        }
        self.open = json.loads((first / "plan.json").read_text(encoding="utf-8"))["outputs"]

    def render(self, outputs: dict, name: str = "filled") -> subprocess.CompletedProcess:
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(outputs), encoding="utf-8")
        words = [self.binary, "render", *self.flags, "-o", self.folder / name, "--outputs", file]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    def filled(self) -> pathlib.Path:
        done = self.render(self.outputs)
        assert done.returncode == 0, done.stderr
        return self.folder / "filled"


@pytest.fixture(params=[*TREES, *(f"init {cloud}" for cloud in BEGUN)])
def case(request, binary, rendered, tmp_path) -> Case:
    if not request.param.startswith("init "):
        flags = [word for d in documents(request.param) for word in ("-f", str(ROOT / d))]
        return Case(binary, flags, rendered(request.param), tmp_path)
    cloud = request.param.removeprefix("init ")
    start, first = tmp_path / "start.yaml", tmp_path / "first"
    more = ["--name", "lab", "--domain", "lab.example.org", "--email", "ops@example.org", "-o", str(start)]
    subprocess.run([binary, "init", "--platform", cloud, *BEGUN[cloud], *more], timeout=60, check=True)
    subprocess.run([binary, "render", "-f", start, "-o", first], timeout=60, check=True)
    case = Case(binary, ["-f", str(start)], first, tmp_path)
    assert case.open, "each cloud gives the gateway its address"
    return case


def files_of(folder: pathlib.Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file()}


def test_every_place_is_filled(case):
    before, after = files_of(case.first), files_of(case.filled())
    assert {path for path, text in before.items() if LEFT.search(text)} == {u["file"] for u in case.open}
    assert [path for path, text in after.items() if LEFT.search(text)] == []
    changed = {path for path in before if before[path] != after[path]}
    assert set(before) == set(after) and changed - {"plan.json"} == {u["file"] for u in case.open}
    assert json.loads(after["plan.json"])["outputs"] == []
    for use in case.open:
        assert use["output"] in case.outputs, "no module tells it"
        assert not case.outputs[use["output"]]["sensitive"]
        assert case.outputs[use["output"]]["value"] in after[use["file"]]
        leaf = re.split(r"[. ]", use["path"])[-1].strip('"')
        assert leaf.split("[")[0] in before[use["file"]], use


def test_api_server_takes_the_filled_objects(case, api_server):
    if not case.open:
        pytest.skip("nothing to ask: nothing waits")
    after = files_of(case.filled())
    paths = {u["file"] for u in case.open if not u["file"].endswith("/values.yaml")}
    objects = [o for path in sorted(paths) for o in kube_facts.parse(after[path])]
    namespaces = kube_facts.parse(after["components/00-namespaces/namespaces.yaml"])
    refused = api_server.dry_run([*namespaces, *objects], namespaces=GIVEN)
    assert [str(r) for r in refused if not r.warning] == []


def test_what_lacks_is_named(case):
    for use in case.open[:1]:
        name, place = use["output"], f"{use['file']}: {use['path']}"
        wrong = {
            "output_missing": {k: v for k, v in case.outputs.items() if k != name},
            "output_not_text": case.outputs | {name: {"sensitive": False, "value": ["a", "b"]}},
            "output_is_secret": case.outputs | {name: {"sensitive": True, "value": "a"}},
        }
        for code, outputs in wrong.items():
            done = case.render(outputs, code)
            assert done.returncode == 1 and f"error[{code}] {place}" in done.stderr, done.stderr
            assert not (case.folder / code).exists()
        done = case.render(case.outputs | {name: {"sensitive": False, "value": ""}}, "empty")
        assert done.returncode == 1 and "error[output_not_text]" in done.stderr


def test_nothing_goes_on_while_something_waits(case, tmp_path):
    """The pipeline's script and the commands of the runbook, each run in both trees with helm and kubectl that tell."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for tool in ("kubectl", "helm"):
        (stubs / tool).write_text('#!/bin/sh\necho "$0" >>"$CALLS"\n')
        (stubs / tool).chmod(0o755)
    environment = os.environ | {"PATH": f"{stubs}:{os.environ['PATH']}"}
    for folder, waits in ((case.first, bool(case.open)), (case.filled(), False)):
        book = (folder / "RUNBOOK.md").read_text(encoding="utf-8")
        commands = re.search(r"(?s)### Put everything in place\n.*?```sh\n(.*?)```", book)
        assert commands
        scripts = {"commands": commands[1].split("\n# ")[0] + "\nkubectl\n)\n"}
        if (folder / "ci/deploy.sh").is_file():
            scripts["deploy"] = (folder / "ci/deploy.sh").read_text(encoding="utf-8")
        for name, text in scripts.items():
            calls = tmp_path / f"calls-{name}-{folder.name}"
            text = text.replace('cd "$(dirname "${BASH_SOURCE[0]}")/.."', "true")
            done = subprocess.run(
                ["bash", "-c", text], cwd=folder, env=environment | {"CALLS": str(calls)},
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            if waits:
                assert done.returncode == 1 and not calls.exists(), (name, done.stderr)
                assert "--outputs" in done.stderr
                assert all(f"output:{u['output']}" in done.stdout for u in case.open)
            else:
                assert "--outputs" not in done.stderr
                assert done.returncode == 0 and calls.exists(), (name, done.stderr)


def test_the_runbook_says_the_order(case):
    book = (case.first / "RUNBOOK.md").read_text(encoding="utf-8")
    first = book[book.index("\n## First steps\n") : book.index("\n## Every day\n")]
    wanted = ["### Put everything in place"]
    if case.open:
        wanted.insert(0, "tidegate render -f DOCUMENT -o . --outputs outputs.json")
        wanted.insert(0, "output -json")
    if case.outputs:
        steps = ("init", "plan -out=tf.plan", "apply tf.plan")
        wanted = [f"tofu -chdir=infrastructure/terraform {step}\n" for step in steps] + wanted
    places = [first.find(text) for text in wanted]
    assert -1 not in places and places == sorted(places), list(zip(wanted, places, strict=True))
    for use in case.open:
        assert re.search(rf"(?m)^\| {re.escape(use['output'])} \| .*`{re.escape(use['file'])}`", first), use


def test_words_of_the_flag(binary, tmp_path):
    """Files that are no outputs, and standard input."""
    example = str(ROOT / "examples/analytics-hub.yaml")

    def render(*words: str, stdin: str = "") -> subprocess.CompletedProcess:
        return subprocess.run(
            [binary, "render", "-f", *words, "-o", "out"],
            cwd=tmp_path, input=stdin, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    for text in ("", "no JSON", "[]", '{"vpc_id": "vpc-1"}', '{"vpc_id": {"sensitive": 1, "value": "vpc-1"}}'):
        (tmp_path / "outputs.json").write_text(text)
        done = render(example, "--outputs", "outputs.json")
        assert done.returncode == 1 and "bad_outputs" in done.stderr and "output -json" in done.stderr, done.stderr
    assert "missing.json" in render(example, "--outputs", "missing.json").stderr
    done = render("-", "--outputs", "-", stdin="{}")
    assert done.returncode == 2 and "standard input" in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()
    done = render(example)
    assert "4 places wait for outputs of the infrastructure" in done.stderr
    declared = json.loads((tmp_path / "out/infrastructure/terraform/outputs.tf.json").read_text())["output"]
    piped = {name: {"sensitive": False, "type": "string", "value": name.upper()} for name in declared}
    done = render(example, "--outputs", "-", stdin=json.dumps(piped))
    assert done.returncode == 0 and "wait" not in done.stderr, done.stderr
    classes = yaml.safe_load_all((tmp_path / "out/components/08-storage/classes.yaml").read_text())
    shared = next(c for c in classes if c["metadata"]["name"] == "nfs-storage")
    assert shared["parameters"]["fileSystemId"] == "EFS_NFS-STORAGE_ID"


@pytest.mark.parametrize(
    ("channel", "wanted"),
    [("#output:stdout", "#output:stdout"), ("#my-output:vpc_id", None), ("#output:vpc_id", "#x-1")],
)
def test_only_declared_names_are_places(binary, tmp_path, channel, wanted):
    """A text of the document that looks like a place and names no output stays; inside of a text one is filled."""
    (tmp_path / "more.yaml").write_text(
        "apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {name: llm-analytics}\n"
        f"spec: {{components: {{alerts: {{receivers: {{chat: {{slack: {{channel: '{channel}'}}}}}}}}}}}}\n"
    )
    flags = ["-f", str(ROOT / "examples/analytics-hub.yaml"), "-f", "more.yaml"]
    names = ("vpc_id", "external_secrets_role_arn", "efs_nfs-storage_id", "gateway_address_ids")
    outputs = {name: {"sensitive": False, "value": "x-1"} for name in names}
    (tmp_path / "outputs.json").write_text(json.dumps(outputs))
    done = subprocess.run(
        [binary, "render", *flags, "-o", "out", "--outputs", "outputs.json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    values = (tmp_path / "out/components/40-metrics/prometheus/values.yaml").read_text()
    assert f'channel: "{wanted or channel}"' in values or f"channel: '{wanted or channel}'" in values
