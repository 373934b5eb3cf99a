"""`tidegate init`: over every choice it writes a small document that `check` accepts and `render` renders."""

from __future__ import annotations

import os
import pathlib
import pty
import re
import select
import subprocess
import time

import pytest
import yaml
from conftest import run

BOUND_S = 60
# What each choice needs to be told, beside its name.
CHOICES = {
    "bare-metal": ["--host", "cp1=192.168.1.11", "--host", "worker1=192.168.1.12", "--host", "worker2=192.168.1.13"],
    "k3s": ["--host", "node1=192.168.1.20"],
    "aws": ["--region", "us-east-1"],
    "otc": [],
    "google": ["--project", "my-project"],
    "azure": [],
    "cluster-api": [],
    "existing": ["--context", "admin@cluster"],
}
COMMON = ["--name", "lab", "--domain", "lab.example.org", "--email", "ops@example.org"]
SITE = {
    "bare-metal": "machines", "k3s": "k3s", "aws": "aws", "otc": "openTelekomCloud", "google": "google",
    "azure": "azure", "cluster-api": "clusterApi", "existing": "existing",
}  # fmt: skip


@pytest.mark.parametrize("common", [COMMON, []], ids=["published", "nothing-published"])
@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_is_checked_and_rendered(binary, tmp_path, choice, common):
    made = run(binary, ["init", "--platform", choice, *CHOICES[choice], *common, "-o", "start.yaml"], tmp_path)
    assert made.returncode == 0, made.stderr
    assert "next: tidegate render -f start.yaml -o out" in made.stderr
    text = (tmp_path / "start.yaml").read_text()
    assert len(text.splitlines()) < 30, "a starting document is read at a glance"
    assert max(map(len, text.splitlines())) <= 120
    assert text.count("# next: ") >= 4, "comments name what to say next"
    platform, model = yaml.safe_load_all(text)
    assert list(platform["spec"]["infrastructure"]) == [SITE[choice]]
    assert platform["metadata"]["name"] == ("lab" if common else "llm")
    assert model["kind"] == "Model"
    checked = run(binary, ["check", "start.yaml"], tmp_path)
    assert checked.returncode == 0 and "error[" not in checked.stdout, checked.stdout
    done = run(binary, ["render", "-f", "start.yaml", "-o", "out"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/RUNBOOK.md").is_file() and (tmp_path / "out/plan.json").is_file()
    hosts = [p for p in (tmp_path / "out").rglob("*.yaml") if "lab.example.org" in p.read_text()]
    assert bool(hosts) == bool(common), "the domain is published, or nothing is"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "start.yaml"], "nothing is written beside them"


def test_fields_that_comments_name_exist(binary, tmp_path):
    """`# next: a, b.c` names fields; each can be explained."""
    for choice, flags in CHOICES.items():
        text = run(binary, ["init", "--platform", choice, *flags, *COMMON, "-o", "-"], tmp_path).stdout
        holder = []  # of the map that a line opens, by its indent
        for line in text.split("---")[0].splitlines():
            key = re.match(r"^( *)([A-Za-z0-9.-]+):", line)
            if key:
                holder = [*(h for h in holder if h[0] < len(key[1])), (len(key[1]), key[2])]
            comment = re.search(r"# next(?:, of each)?: (.*)$", line)
            if not comment:
                continue
            inside = [name for _, name in holder] if key else ["spec"]
            if "of each" in line:
                inside.append("cp1")
            for name in re.findall(r"[A-Za-z][A-Za-z0-9.]*", re.sub(r"\([^)]*\)|;.*|, so that.*", "", comment[1])):
                path = "Platform." + ".".join([*inside, name])
                done = run(binary, ["explain", path], tmp_path)
                assert done.returncode == 0, f"{choice}: {path}: {done.stderr}"


def test_nothing_is_overwritten(binary, tmp_path):
    words = ["init", "--platform", "k3s", *CHOICES["k3s"]]
    assert run(binary, words, tmp_path).returncode == 0
    first = (tmp_path / "platform.yaml").read_text()
    again = run(binary, [*words, "--name", "other"], tmp_path)
    assert again.returncode == 1 and "[file_exists]" in again.stderr
    assert (tmp_path / "platform.yaml").read_text() == first
    (tmp_path / "link.yaml").symlink_to("elsewhere.yaml")
    assert "[file_exists]" in run(binary, [*words, "-o", "link.yaml"], tmp_path).stderr
    assert not (tmp_path / "elsewhere.yaml").exists()


@pytest.mark.parametrize(
    "flags, code, status",
    [
        ([], "missing_argument", 2),
        (["--platform", "k3"], "bad_flag", 2),
        (["--platform", "k3s"], "missing_argument", 2),
        (["--platform", "google"], "missing_argument", 2),
        (["--platform", "existing"], "missing_argument", 2),
        (["--platform", "bare-metal", "--host", "one=10.0.0.1"], "missing_argument", 2),
        (["--platform", "k3s", "--host", "10.0.0.1"], "bad_flag", 2),
        (["--platform", "k3s", "--host", "one=here"], "documents_invalid", 2),
        (["--platform", "aws", "--domain", "example.org"], "missing_argument", 2),
        (["--platform", "aws", "--host", "one=10.0.0.1"], "bad_flag", 2),
        (["--platform", "k3s", "--host", "one=10.0.0.1", "--region", "eu-de"], "bad_flag", 2),
        (["--platform", "aws", "--name", "Not A Name"], "documents_invalid", 2),
        (["--platform", "aws", "--region", "mars-1"], "documents_invalid", 2),
        (["--platform", "bare-metal", "--host", "a=10.0.0.1", "--host", "b=10.1.0.1"], "documents_invalid", 2),
        (["--platform", "aws", "-o", "json"], "bad_flag", 2),
    ],
)
def test_wrong_answers_write_nothing(binary, tmp_path, flags, code, status):
    done = run(binary, ["init", *flags], tmp_path)
    assert done.returncode == status and f"[{code}]" in done.stderr, done.stderr
    assert "hint: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def talk(binary, folder, answers):
    """Runs init on a terminal and answers its questions in order."""
    master, slave = pty.openpty()
    process = subprocess.Popen([binary, "init"], cwd=folder, stdin=slave, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    seen, end = b"", time.monotonic() + BOUND_S
    try:
        for question, answer in answers:
            while question.encode() not in seen:
                assert select.select([master], [], [], max(0, end - time.monotonic()))[0], seen
                seen += os.read(master, 65536)
            seen = b""
            os.write(master, answer.encode() + b"\n")
        assert process.wait(max(0, end - time.monotonic())) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
        os.close(master)


def test_questions_on_a_terminal(binary, tmp_path):
    talk(
        binary,
        tmp_path,
        [
            ("Where does it run [k3s]: ", ""),
            ("Name of the platform [llm]: ", "home"),
            ("Domain of what is published", "example.org"),
            ("E-mail of those who answer for it: ", ""),
            ("E-mail of those who answer for it: ", "ops@example.org"),
            ("NAME=ADDRESS, the server first: ", ""),
            ("NAME=ADDRESS, the server first: ", "node1=10.0.0.5, node2=10.0.0.6"),
        ],
    )
    platform = next(yaml.safe_load_all((tmp_path / "platform.yaml").read_text()))
    assert platform["metadata"]["name"] == "home" and platform["spec"]["domain"] == "example.org"
    assert platform["spec"]["contacts"] == {"email": "ops@example.org"}
    hosts = platform["spec"]["infrastructure"]["k3s"]["hosts"]
    assert hosts == {"node1": {"address": "10.0.0.5", "role": "server"}, "node2": {"address": "10.0.0.6"}}
    assert pathlib.Path(tmp_path / "platform.yaml").read_text().startswith("# The platform home: ")
