"""`tidegate render` as a command: what it refuses, where it writes; `tidegate explain -f` over what it wrote."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
from conftest import ROOT, TREES, documents, run

EXAMPLE = str(ROOT / "examples/webui-k3s.yaml")
WRONG = sorted((ROOT / "test/fixtures/wrong").glob("*.yaml"))
FINDING = re.compile(r"^(.*): (error|warning)\[([a-z_0-9]+)\] ", re.MULTILINE)


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("document", WRONG, ids=lambda p: p.stem)
def test_refuses_what_check_refuses(binary, tmp_path, document):
    """The same findings at the same places, each with what to do, and not one file."""
    lines = document.read_text().splitlines()
    base = [str(ROOT / lines[0].removeprefix("# base: "))] if lines[0].startswith("# base: ") else []
    flags = [word for path in (*base, str(document)) for word in ("-f", path)]
    checked = run(binary, ["check", *flags], tmp_path)
    done = run(binary, ["render", *flags, "-o", "out"], tmp_path)
    told = FINDING.findall(done.stderr)
    assert told and told == FINDING.findall(checked.stdout)
    assert all(re.search(r":\d+:\d+$", place) for place, _, _ in told)
    assert done.stderr.count("\n  hint: ") >= len(told)
    wrong = any(severity == "error" for _, severity, _ in told)
    if re.search(r"# *(\^|base \d+:\d+) error\[", document.read_text()):
        assert wrong
    assert checked.returncode == done.returncode == int(wrong)
    assert (tmp_path / "out").exists() != wrong


def test_writes_only_below_its_folder(binary, tmp_path):
    assert run(binary, ["render", "-f", EXAMPLE, "-o", "out"], tmp_path).returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    listed = (tmp_path / "out/.tidegate-files").read_text().splitlines()
    assert sorted([*listed, ".tidegate-files"]) == sorted(files_of(tmp_path / "out"))


def test_refuses_a_folder_that_it_did_not_write(binary, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine\n")
    done = run(binary, ["render", "-f", EXAMPLE, "-o", "mine"], tmp_path)
    assert done.returncode == 1 and "[not_a_tree]" in done.stderr and "hint: " in done.stderr
    assert files_of(tmp_path / "mine") == {"notes.txt": b"mine\n"}
    (tmp_path / "file").write_text("a file\n")
    assert run(binary, ["render", "-f", EXAMPLE, "-o", "file"], tmp_path).returncode == 1
    assert (tmp_path / "file").read_text() == "a file\n"


def test_a_format_is_no_folder(binary, tmp_path):
    for word in ("json", "yaml", "table", "wide", "name", "csv"):
        done = run(binary, ["render", "-f", EXAMPLE, "-o", word], tmp_path)
        assert done.returncode == 2 and f"-o ./{word}" in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []
    assert run(binary, ["render", "-f", EXAMPLE, "-o", "./json"], tmp_path).returncode == 0


def test_again_changes_only_its_own_files(binary, tmp_path):
    out = tmp_path / "out"
    assert run(binary, ["render", "-f", EXAMPLE, "-o", "out"], tmp_path).returncode == 0
    first = files_of(out)
    (out / "notes.txt").write_text("kept\n")
    smaller = tmp_path / "smaller.yaml"
    smaller.write_text(
        "apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {name: webui}\n"
        "spec: {components: {logs: null, chat: null}, data: null, backup: null}\n"
    )
    again = run(binary, ["render", "-f", EXAMPLE, "-f", str(smaller), "-o", "out"], tmp_path)
    assert again.returncode == 0, again.stderr
    second = files_of(out)
    assert second["notes.txt"] == b"kept\n"
    assert any(p.startswith("components/52-chat/") for p in first)
    assert not any(p.startswith("components/52-chat/") for p in second) and not (out / "components/52-chat").exists()
    # A file of somebody else where one of the tree is to come is kept, and nothing else changes.
    (out / "components/52-chat").mkdir()
    (out / "components/52-chat/open-webui").mkdir()
    (out / "components/52-chat/open-webui/values.yaml").write_text("mine\n")
    back = run(binary, ["render", "-f", EXAMPLE, "-o", "out"], tmp_path)
    assert back.returncode == 1 and "in the way" in back.stderr, back.stderr
    assert (out / "components/52-chat/open-webui/values.yaml").read_text() == "mine\n"
    assert {k: v for k, v in files_of(out).items() if "52-chat" not in k} == second


def test_no_link_leads_out(binary, tmp_path):
    assert run(binary, ["render", "-f", EXAMPLE, "-o", "out"], tmp_path).returncode == 0
    (tmp_path / "outside").mkdir()
    (tmp_path / "out/components").rename(tmp_path / "moved")
    (tmp_path / "out/components").symlink_to(tmp_path / "outside")
    done = run(binary, ["render", "-f", EXAMPLE, "-o", "out"], tmp_path)
    assert done.returncode == 1 and "[not_a_tree]" in done.stderr
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("tree", TREES)
def test_every_file_has_its_origin(binary, rendered, tmp_path, tree):
    """`explain -f` of the top of each folder covers all files that render writes, and names true places."""
    flags = [word for d in documents(tree) for word in ("-f", str(ROOT / d))]
    out = rendered(tree)
    listed = set((out / ".tidegate-files").read_text().splitlines())
    explained, written, defaults = set(), 0, 0
    for top in sorted({path.split("/")[0] + "/" * ("/" in path) for path in listed}):
        done = run(binary, ["explain", *flags, top, "-o", "json"], tmp_path)
        assert done.returncode == 0, done.stderr
        for origin in json.loads(done.stdout)["origins"]:
            explained |= {f["path"] for f in origin["files"]}
            for field in origin["fields"]:
                assert field["meaning"]
                if not field["written"]:
                    defaults += 1
                    continue
                written += 1
                line = pathlib.Path(field["file"]).read_text().splitlines()[field["line"] - 1]
                start = line[field["column"] - 1 :]
                if not start.startswith(("[", "{", '"', "'", "- ", "|", ">")) and ", " not in field["value"]:
                    assert start.startswith(field["value"].split("\n")[0]), f"{field}: {line}"
            whole = [f["path"] for f in origin["files"] if f["path"] in ("RUNBOOK.md", "plan.json")]
            assert origin["decidedBy"] == ("all" if whole else "fields")
            if whole:
                named = {f["field"] for f in origin["fields"]}
                assert {"spec.cluster.version", "spec.components.profile"} <= named, f"{whole}: {sorted(named)}"
    assert explained == listed
    assert written > 10 and defaults > 20


def test_explain_names_value_reason_and_rows(binary, tmp_path):
    """A choice in a rendered file is led back to the field, and the field to what acts on it."""
    done = run(binary, ["explain", "-f", EXAMPLE, "components/metrics", "-o", "json"], tmp_path)
    fields = {f["field"]: f for o in json.loads(done.stdout)["origins"] for f in o["fields"]}
    retention = fields["spec.components.metrics.retention"]
    assert retention["written"] and retention["value"] == "5d" and retention["rows"] == ["S1-52", "F-44"]
    assert retention["file"] == EXAMPLE and retention["document"] == "webui"
    replicas = fields["spec.components.metrics.replicas"]
    assert not replicas["written"] and replicas["value"] == "1" and replicas["rows"] == ["S1-51", "F-44"]
    text = run(binary, ["explain", "-f", EXAMPLE, "components/metrics"], tmp_path).stdout
    assert "made by the part metrics" in text and "Rows: S1-52 F-44." in text and "\nby default\n" in text
    field = run(binary, ["explain", "-f", EXAMPLE, "platform.spec.components.metrics.retention"], tmp_path).stdout
    assert re.search(r"^  rows     S1-52 F-44$", field, re.MULTILINE)
    assert re.search(r"^here +spec.components.metrics.retention: 5d \(.*webui-k3s.yaml:\d+:\d+\)$", field, re.MULTILINE)
    assert re.search(r"^acts on +components/40-metrics", field, re.MULTILINE)
    missing = run(binary, ["explain", "-f", EXAMPLE, "components/40-metrix"], tmp_path)
    assert missing.returncode == 1 and "[nothing_there]" in missing.stderr
    alone = run(binary, ["explain", "components/40-metrics/prometheus/values.yaml"], tmp_path)
    assert alone.returncode == 2 and "explain -f FILE" in alone.stderr


def test_explain_says_what_decides_the_runbook(binary, tmp_path):
    """All fields do that decide a part; those that it reads itself are named."""
    text = run(binary, ["explain", "-f", EXAMPLE, "RUNBOOK.md"], tmp_path).stdout
    assert "made from all parts: every field that decides a part decides this too" in text
    assert re.search(r"webui-k3s\.yaml:7:\d+ Platform\.spec\.contacts\.email: devops@example\.com$", text, re.MULTILINE)


def test_alerts_that_nobody_gets_are_reported(binary, tmp_path):
    """The runbook says how to add a receiver: what stands there is taken, and ends the warning."""
    smallest = str(ROOT / "examples/smallest.yaml")
    told = FINDING.findall(run(binary, ["check", "-f", smallest], tmp_path).stdout)
    assert (f"{smallest}:9:15", "warning", "nobody_is_told") in told
    assert run(binary, ["render", "-f", smallest, "-o", "silent"], tmp_path).returncode == 0
    assert "receiver: nobody" in (tmp_path / "silent/components/42-alerts/alertmanager.yaml").read_text()
    book = (tmp_path / "silent/RUNBOOK.md").read_text(encoding="utf-8")
    section = book.partition("### Critical alerts\n")[2].partition("\n###")[0]
    assert section.startswith("**Nobody is told**")
    (tmp_path / "told.yaml").write_text(section.partition("```yaml\n")[2].partition("```")[0])
    both = ["-f", smallest, "-f", "told.yaml"]
    assert "nobody_is_told" not in run(binary, ["check", *both], tmp_path).stdout
    assert run(binary, ["render", *both, "-o", "told"], tmp_path).returncode == 0
    assert "to: ops@example.com" in (tmp_path / "told/components/42-alerts/alertmanager.yaml").read_text()
    assert "### Critical alerts\nThey go to mail." in (tmp_path / "told/RUNBOOK.md").read_text(encoding="utf-8")
