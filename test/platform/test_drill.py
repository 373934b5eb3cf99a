"""The restore drill, run against a kubectl that plays a cluster with velero."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest
from lib import kube_facts

KUBECTL = """#!/bin/sh
echo "$*" >>"$HERE/asked"
case "$*" in
  "get backups"*) cat "$HERE/backups" ;;
  "create -f -") cat >"$HERE/restore.json" ;;
  "get restores"*) sed -n 1p "$HERE/phases"; sed -i 1d "$HERE/phases" ;;
esac
"""
BACKUPS = "2026-11-20T01:00:00Z velero-daily-20261120\n2026-11-21T01:00:00Z velero-daily-20261121\n"


@pytest.fixture
def drill(rendered, tmp_path):
    objects = kube_facts.parse((rendered("bare-metal") / "components/60-backup/drill.yaml").read_text())
    (config,) = [o for o in objects if o["kind"] == "ConfigMap"]
    script = tmp_path / "drill.sh"
    script.write_text(config["data"]["drill.sh"])
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"kubectl": KUBECTL, "sleep": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def run(backups: str, phases: list[str]) -> tuple[subprocess.CompletedProcess, list[str]]:
        (tmp_path / "backups").write_text(backups)
        (tmp_path / "phases").write_text("".join(f"{p}\n" for p in phases))
        env = {"PATH": f"{programs}:{os.environ['PATH']}", "HERE": str(tmp_path)}
        done = subprocess.run(["sh", script], env=env, capture_output=True, text=True, timeout=60, check=False)
        return done, (tmp_path / "asked").read_text().splitlines()

    run.folder = tmp_path
    return run


def restore_of(folder: pathlib.Path) -> dict:
    return json.loads((folder / "restore.json").read_text())


def test_the_drill_restores_beside_the_original(drill):
    done, asked = drill(BACKUPS, ["", "InProgress", "Completed"])
    assert done.returncode == 0, done.stderr
    spec = restore_of(drill.folder)["spec"]
    assert spec["backupName"] == "velero-daily-20261121", "the newest"
    assert spec["includedNamespaces"] == ["ai-projects"]
    assert spec["namespaceMapping"] == {"ai-projects": "ai-projects-drill"}
    deletes = [line for line in asked if line.startswith("delete")]
    assert deletes == ["delete namespace ai-projects-drill --wait=false"]


@pytest.mark.parametrize("phase", ["Failed", "PartiallyFailed", "FailedValidation"])
def test_a_failed_restore_fails_the_drill(drill, phase):
    done, asked = drill(BACKUPS, ["InProgress", phase])
    assert done.returncode == 1 and phase in done.stderr
    assert [line for line in asked if line.startswith("delete")] == [], "what is left is looked at"


def test_no_backup_and_no_end_fail_the_drill(drill):
    done, _ = drill("", [])
    assert done.returncode == 1 and "no completed backup" in done.stderr
    done, _ = drill(BACKUPS, ["InProgress"] * 200)
    assert done.returncode == 1 and "did not end" in done.stderr
