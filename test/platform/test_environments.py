"""delivery.environments: each has a tree of its own that differs in what the document says, and the pipeline goes
from one to the next."""

from __future__ import annotations

import json
import pathlib
import subprocess

import pytest
import yaml
from conftest import ROOT

DOCUMENT = ROOT / "examples/otc-training.yaml"


def render(binary, folder: pathlib.Path, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [binary, "render", "-f", DOCUMENT, *more, "-o", folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def staging(binary, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("staging")
    done = render(binary, folder, "--environment", "staging")
    assert done.returncode == 0, done.stderr
    return folder


def files(folder: pathlib.Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in sorted(folder.rglob("*")) if p.is_file()}


def test_only_what_the_document_changes_differs(staging, rendered):
    one, other = files(rendered("otc-training")), files(staging)
    assert set(one) == set(other)
    changed = {path for path in one if one[path] != other[path]}
    # Where the name of the cluster stands, and what is said of the environments themselves.
    expected = {
        "RUNBOOK.md",
        "ci/.github/workflows/deploy.yml",
        "components/46-logs/alloy/values.yaml",
        "components/40-metrics/prometheus/values.yaml",
        "infrastructure/terraform/terraform.tfvars.json",
        "plan.json",
    }
    assert changed <= expected | {".tidegate-files"}, changed - expected
    assert "infrastructure/terraform/terraform.tfvars.json" in changed


def test_staging_is_a_cluster_of_its_own(staging, rendered):
    place = "infrastructure/terraform/terraform.tfvars.json"
    ours = json.loads((staging / place).read_text(encoding="utf-8"))
    theirs = json.loads((rendered("otc-training") / place).read_text(encoding="utf-8"))
    assert ours.pop("cluster_name") == "llm-cluster-staging"
    assert theirs.pop("cluster_name") == "llm-cluster"


def test_an_environment_that_is_none(binary, tmp_path):
    done = render(binary, tmp_path / "out", "--environment", "stagin")
    assert done.returncode != 0
    assert "has no environment stagin" in done.stderr
    assert "staging" in done.stderr


def test_what_an_environment_cannot_render_is_told(binary, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        "apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {name: llm-training}\n"
        "spec: {delivery: {environments: {staging: {access: {bastion: true}}}}}\n",
        encoding="utf-8",
    )
    done = render(binary, tmp_path / "out", "-f", str(overlay))
    assert done.returncode != 0
    assert "error[not_here] in the environment staging: " in done.stderr
    assert "reached by VPN" in done.stderr


def test_production_waits_for_staging_and_a_person(rendered):
    text = (rendered("otc-training") / "ci/.github/workflows/deploy.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["deploy-staging"]["needs"] == "check"
    assert jobs["deploy-production"]["needs"] == "deploy-staging"
    guard = jobs["deploy-production"]["steps"][0]["run"]
    assert "required_reviewers" in guard and "environments/production" in guard
    assert not any("required_reviewers" in step.get("run", "") for step in jobs["deploy-staging"]["steps"])
    runs = [step.get("run", "") for step in jobs["deploy-staging"]["steps"]]
    assert "environments/staging/ci/deploy.sh" in runs
