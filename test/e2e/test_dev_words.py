"""The words of ./dev: its help, its code and CONTRIBUTING name the same ones, and what else is written exists."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def words_of_help() -> set[str]:
    done = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, timeout=30, check=True)
    return set(re.findall(r"^  ([a-z0-9]+)\b", done.stdout + done.stderr, re.MULTILINE))


def named_in(path: str) -> set[str]:
    return set(re.findall(r"\./dev ([a-z0-9]+)", (ROOT / path).read_text()))


def test_contributing_has_each_word():
    assert words_of_help() == named_in("CONTRIBUTING.md")


def test_what_is_named_elsewhere_exists():
    for path in ("README.md", ".ci/run", "tools/packages.txt", "docs/operations.md", "docs/architecture.md"):
        assert named_in(path) <= words_of_help(), path
