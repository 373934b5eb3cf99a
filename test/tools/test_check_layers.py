"""The checker of the house finds what it must find: each rule has one tree that keeps it and one that breaks it."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(tree: pathlib.Path, files: dict[str, str], *options: str) -> subprocess.CompletedProcess:
    for name, text in files.items():
        path = tree / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [sys.executable, str(ROOT / "tools/check_layers.py"), "--root", str(tree), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


BASE = {"base/a.hpp": "#pragma once\n", "net/n.hpp": '#pragma once\n#include "base/a.hpp"\n'}


def test_a_clean_tree_passes(tmp_path):
    done = run(tmp_path, BASE)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("base/b.cpp", '#include "net/n.hpp"\n', "src/base/b.cpp:1: upward include"),
        ("base/b.cpp", '// x\n#  include   "net/n.hpp"\n', "src/base/b.cpp:2: upward include"),
        ("base/b.cpp", "#include <net/n.hpp>\n", "src/base/b.cpp:1: upward include"),
        ("runtime/r.cpp", '#include "gateway/g.hpp"\n', "forbidden include"),
        ("gateway/g.cpp", '#include "runtime/r.hpp"\n', "forbidden include"),
        ("spec/s.cpp", '#include "net/n.hpp"\n', "forbidden include"),
        ("text/t.cpp", '#include "http/h.hpp"\n', "forbidden include"),
        ("scale/s.cpp", '#include "net/n.hpp"\n', "forbidden include"),
        ("net/m.cpp", '#include "n.hpp"\n', 'write "net/n.hpp"'),
        ("net/m.cpp", '#include "base/none.hpp"\n', "no such file"),
        ("odd/o.cpp", "", "folder odd/ has no place"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(tmp_path, file, text, message):
    tree = {**BASE, "gateway/g.hpp": "", "runtime/r.hpp": "", "http/h.hpp": "", file: text}
    done = run(tmp_path, tree, "--includes-only")
    assert done.returncode == 1
    assert message in done.stdout


def test_a_header_that_needs_a_neighbour_is_found_and_found_again(tmp_path):
    bad = {**BASE, "net/s.hpp": "#pragma once\nstd::string name();\n"}
    for _ in range(2):
        done = run(tmp_path, bad)
        assert done.returncode == 1
        assert "src/net/s.hpp:1: header does not compile alone" in done.stdout


def test_a_header_is_compiled_again_when_one_below_it_changes(tmp_path):
    good = {
        "base/a.hpp": "#pragma once\nstruct A {};\n",
        "net/n.hpp": '#pragma once\n#include "base/a.hpp"\nA make();\n',
    }
    assert run(tmp_path, good).returncode == 0
    done = run(tmp_path, {"base/a.hpp": "#pragma once\nstruct B {};\n"})
    assert done.returncode == 1
    assert "src/net/n.hpp" in done.stdout
