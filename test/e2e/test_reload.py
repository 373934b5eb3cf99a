"""Documents change under a running program: all or nothing, and running requests keep what they began with."""

from __future__ import annotations

import json
import os
import pathlib
import threading

import openai
import pytest
from lib import client, documents, simulated
from lib.processes import replicas
from lib.wait import until
from program import Program

FIRST = documents.simulated("first", {"decode": 100}, idle="10m")


def reload_of(program: Program) -> dict:
    return json.loads(program.command("status", "-o", "json").stdout)["lastReload"]


def models(program: Program) -> list[str]:
    with openai.OpenAI(base_url=program.url("/v1"), api_key=program.key, max_retries=0) as c:
        return sorted(m.id for m in c.models.list())


def metric(program: Program, name: str) -> float:
    return float(next(x for x in program.metrics().splitlines() if x.startswith(name + " ")).split(" ")[1])


def ask(program: Program, model: str, text: str = "hello") -> client.Answer:
    return client.post(program.address(), program.key, client.chat(model, text, max_tokens=5))


def answered(program: Program, model: str, text: str = "hello") -> None:
    answer = ask(program, model, text)
    assert answer.status == 200, answer
    assert answer.body == simulated.chat(client.chat(model, text, max_tokens=5)).body


def write(path: pathlib.Path, text: str) -> None:
    """As editors do it: a new file beside, renamed over the old one."""
    new = path.with_name("." + path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.rename(path)


@pytest.fixture
def program(binary, tmp_path):
    with Program(binary, tmp_path, {"models.yaml": documents.file(FIRST)}) as running:
        yield running


BROKEN = {
    "syntax": ("kind: [", "models.yaml:"),
    "unknown field": (FIRST.replace('"idle"', '"idel"'), "idle"),
    "unknown model": (documents.file(FIRST, documents.document("Route", "r", {"to": [{"model": "nobody"}]})), "nobody"),
    "not supported yet": (FIRST.replace('"idle": "10m"', '"targets": {"percentile": 95}'), "not supported yet"),
}


@pytest.mark.parametrize("how", ["rename", "in place"])
@pytest.mark.parametrize("what", BROKEN)
def test_an_invalid_file_changes_nothing(program, what, how):
    text, word = BROKEN[what]
    path = program.documents[0]
    answered(program, "first")
    assert metric(program, "tidegate_documents_valid") == 1
    write(path, text) if how == "rename" else path.write_text(text)
    until("the new file is refused", lambda: not reload_of(program)["ok"])
    assert models(program) == ["first"]
    answered(program, "first", "after the mistake")
    assert metric(program, "tidegate_documents_valid") == 0
    assert metric(program, 'tidegate_document_loads_total{outcome="refused"}') >= 1
    assert word in json.dumps(reload_of(program)["findings"])
    log = (program.folder / "stderr").read_text()
    assert word in log, log
    # And a right one is taken again.
    write(path, documents.file(FIRST, documents.simulated("second")))
    until("the right file is taken", lambda: models(program) == ["first", "second"])
    assert reload_of(program)["ok"]
    assert metric(program, "tidegate_documents_valid") == 1
    answered(program, "second")


def test_a_file_with_one_wrong_document_is_refused_whole(program):
    write(program.documents[0], documents.file(documents.simulated("second"), '{"kind": "Nothing"}'))
    until("the new file is refused", lambda: not reload_of(program)["ok"])
    assert models(program) == ["first"]


def test_a_deleted_file(program):
    """Nothing is left to serve from: that is a mistake, not a wish."""
    program.documents[0].unlink()
    until("the loss is noticed", lambda: not reload_of(program)["ok"])
    answered(program, "first")


def test_removed_model(binary, tmp_path):
    """Its running stream goes on, its held requests get 404 with the reason, its engine ends when the stream has."""
    text = documents.file(documents.simulated("m", {"decode": 40}, slots=1, idle="10m"), documents.simulated("stays"))
    with Program(binary, tmp_path, {"models.yaml": text}) as program:
        request = client.chat("m", "runs", stream=True, ignore_eos=True, max_tokens=80)
        with client.Stream(program.address(), program.key, request) as stream:
            stream.read_events(3)
            answers: list[client.Answer] = []
            held = [
                threading.Thread(target=lambda n=n: answers.append(ask(program, "m", f"held {n}")), daemon=True)
                for n in range(3)
            ]
            for t in held:
                t.start()
            until("they wait", lambda: 'tidegate_held_requests{model="m"} 3' in program.metrics())
            engines = [r.engine for r in replicas(program.data) if r.model == "m"]
            write(program.documents[0], documents.file(documents.simulated("stays")))
            for t in held:
                t.join(10)
                assert not t.is_alive()
            assert len(answers) == 3
            for answer in answers:
                assert (answer.status, answer.error["type"]) == (404, "invalid_request_error"), answer
                assert answer.error["code"] in ("model_removed", "model_not_found")
                assert "removed" in answer.error["message"]
            assert ask(program, "m").status == 404
            assert models(program) == ["stays"]
            assert stream.read_rest(), stream.body[-200:]
            assert stream.body == simulated.chat(request).stream
        until("the engine ends", lambda: not any(e.alive() for e in engines))
        answered(program, "stays")


def test_a_changed_engine_starts_a_new_revision(binary, tmp_path):
    """The stream on the old engine ends well; what comes after is served by an engine of the new document."""
    old, new = (documents.simulated("m", {"decode": 40, "context": n}, slots=1, idle="10m") for n in (8192, 100))
    with Program(binary, tmp_path, {"models.yaml": documents.file(old)}) as program:
        request = client.chat("m", "on the old one", stream=True, ignore_eos=True, max_tokens=80)
        with client.Stream(program.address(), program.key, request) as stream:
            stream.read_events(3)
            (before,) = replicas(program.data)
            write(program.documents[0], documents.file(new))
            until(
                "the file is taken", lambda: metric(program, 'tidegate_document_loads_total{outcome="accepted"}') >= 2
            )
            # The context of 100 tokens is the new engine's: it cuts the answer there.
            sent = client.chat("m", "on the new one", ignore_eos=True, max_tokens=400)
            answer = client.post(program.address(), program.key, sent)
            assert answer.body == simulated.chat(sent, context=100).body
            assert stream.read_rest()
            assert stream.body == simulated.chat(request).stream
        until("the old engine ends", lambda: not before.engine.alive())
        (after,) = replicas(program.data)
        assert "--context 100" in after.engine.command_line()


def test_changes_that_need_no_new_engine(program):
    """Bounds and idle times change in place: the engine that serves stays."""
    answered(program, "first")
    (before,) = replicas(program.data)
    write(program.documents[0], documents.file(documents.simulated("first", {"decode": 100}, idle="9m", replicas={"min": 1, "max": 2}, hold={"requests": 7})))  # fmt: skip

    def taken() -> bool:
        found = json.loads(program.command("models", "-o", "json").stdout)["items"][0]
        return found["replicas"]["max"] == 2 and found["queue"]["limit"]["requests"] == 7

    until("the file is taken", taken)
    answered(program, "first")
    assert before.engine.alive()
    assert replicas(program.data) == [before]


def test_symlink_swap(binary, tmp_path):
    """As a ConfigMap is mounted: DIR/models.yaml -> ..data/models.yaml, ..data -> a folder that is swapped by rename."""
    folder = tmp_path / "documents"
    for name, text in (("v1", FIRST), ("v2", documents.simulated("second")), ("v3", "kind: [")):
        (folder / name).mkdir(parents=True)
        (folder / name / "models.yaml").write_text(documents.file(text))
    (folder / "..data").symlink_to("v1")
    (folder / "models.yaml").symlink_to("..data/models.yaml")

    def swap(to: str) -> None:
        (folder / "..tmp").symlink_to(to)
        os.rename(folder / "..tmp", folder / "..data")

    program = Program(binary, tmp_path / "run", {})
    program.documents = [folder / "models.yaml"]
    with program:
        assert models(program) == ["first"]
        swap("v2")
        until("the new folder is served", lambda: models(program) == ["second"])
        answered(program, "second")
        swap("v3")
        until("the wrong folder is refused", lambda: not reload_of(program)["ok"])
        assert models(program) == ["second"]
        swap("v1")
        until("the first folder is served again", lambda: models(program) == ["first"])


def test_folders_and_links_that_are_replaced(binary, tmp_path):
    """Each name on the way to the documents may be exchanged, and what is exchanged is watched from then on."""
    folder = tmp_path / "place"
    for name, text in (("v1", FIRST), ("v2", documents.simulated("second"))):
        (folder / name).mkdir(parents=True)
        (folder / name / "models.yaml").write_text(documents.file(text))
    (folder / "current").symlink_to("v1")
    program = Program(binary, tmp_path / "run", {})
    program.documents = [folder / "current"]
    with program:
        assert models(program) == ["first"]
        (folder / "next").symlink_to("v2")
        os.rename(folder / "next", folder / "current")
        until("the link's new folder is served", lambda: models(program) == ["second"])
        write(folder / "v2" / "models.yaml", documents.file(documents.simulated("third")))
        until("a file in it is followed", lambda: models(program) == ["third"])
        os.rename(folder / "v2", folder / "old")
        until("the missing folder is told", lambda: not reload_of(program)["ok"])
        os.rename(folder / "v1", folder / "v2")
        until("the folder in its place is served", lambda: models(program) == ["first"])
        write(folder / "v2" / "more.yaml", documents.file(documents.simulated("fourth")))
        until("and watched", lambda: models(program) == ["first", "fourth"])
        (folder / "v2" / "more.yaml").unlink()
        (folder / "v2" / "more.yaml").symlink_to(folder / "old" / "models.yaml")
        until("a linked file is served", lambda: models(program) == ["first", "third"])
        write(folder / "old" / "models.yaml", documents.file(documents.simulated("fifth")))
        until("and followed to where it lies", lambda: models(program) == ["fifth", "first"])


def test_a_directory_of_documents(binary, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "first.yaml").write_text(documents.file(FIRST))
    program = Program(binary, tmp_path / "run", {})
    program.documents = [folder]
    with program:
        assert models(program) == ["first"]
        write(folder / "second.yaml", documents.file(documents.simulated("second")))
        until("a new file is served", lambda: models(program) == ["first", "second"])
        (folder / "first.yaml").unlink()
        until("a deleted file is not", lambda: models(program) == ["second"])


def test_limits_live_through_a_reload(program):
    """A reload gives nobody a fresh allowance."""
    key = program.command(
        "keys", "create", "--name", "limited", "--requests-per-minute", "2", "-o", "name"
    ).stdout.strip()
    request = client.chat("first", "limited", max_tokens=2)
    for _ in range(2):
        assert client.post(program.address(), key, request).status == 200
    write(program.documents[0], documents.file(FIRST, documents.simulated("second")))
    until("the file is taken", lambda: models(program) == ["first", "second"])
    assert client.post(program.address(), key, request).status == 429


def test_a_tenants_limit_changes_at_once(program):
    for limits, statuses in (
        ({"requestsPerMinute": 2}, [200, 200, 429]),
        ({}, [200] * 4),
        ({"concurrent": 3}, [200] * 4),
    ):
        loads = metric(program, 'tidegate_document_loads_total{outcome="accepted"}')
        write(program.documents[0], documents.file(FIRST, documents.document("Tenant", "default", {"limits": limits} if limits else {})))  # fmt: skip
        until("the file is taken", lambda loads=loads: metric(program, 'tidegate_document_loads_total{outcome="accepted"}') > loads)  # fmt: skip
        assert [ask(program, "first").status for _ in statuses] == statuses
