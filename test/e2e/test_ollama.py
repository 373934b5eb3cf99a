"""A real Ollama behind the program: its own `ollama serve` per replica, and one that runs already.

$OLLAMA, else the one on PATH, else the one that `./dev ollama` builds."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import subprocess
import urllib.request

import openai
import pytest
from lib import client, documents, gguf_models
from lib.processes import all_gone, descendants, identify, replicas
from lib.wait import until
from program import Program

BUILT = pathlib.Path(__file__).resolve().parents[2] / ".tidegate" / "ollama" / "ollama"
PIECES = ["Low ", "water ", "at ", "nine", "."]
SCRIPT = "".join(PIECES)
CHANGED = ["High ", "water ", "at ", "three", "."]
TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}{{ '\\n' }}"
MODELFILE = 'FROM {path}\nTEMPLATE """{{{{ .Prompt }}}}\n"""\n'


@pytest.fixture(scope="module")
def ollama() -> str:
    found = os.environ.get("OLLAMA") or shutil.which("ollama") or (str(BUILT) if BUILT.exists() else None)
    if not found:
        pytest.skip("not run: no ollama ($OLLAMA, PATH, or ./dev ollama)")
    return found


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("weights") / "scripted.gguf"
    gguf_models.scripted(path, [gguf_models.Script("\n", PIECES)], TEMPLATE)
    return path


@pytest.fixture(scope="module")
def running(ollama, weights, tmp_path_factory):
    """An `ollama serve` of the test's own, with the scripted model in it: (address, folder of its models)."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        address = f"127.0.0.1:{s.getsockname()[1]}"
    home = tmp_path_factory.mktemp("ollama")
    env = {**os.environ, "OLLAMA_HOST": address, "OLLAMA_MODELS": str(home / "models"), "HOME": str(home)}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([ollama, "serve"], env=env, stdout=log, stderr=log)
    try:

        def up() -> bool:
            assert process.poll() is None, (home / "log").read_text()
            try:
                return urllib.request.urlopen(f"http://{address}/api/version", timeout=5).status == 200
            except OSError:
                return False

        until("ollama serve", up, 30)
        modelfile = home / "Modelfile"
        modelfile.write_text(MODELFILE.format(path=weights))
        subprocess.run(
            [ollama, "create", "scripted", "-f", str(modelfile)], env=env, check=True, capture_output=True, timeout=60
        )
        yield address, home / "models"
    finally:
        process.terminate()
        process.wait(20)


def check(program: Program, name: str, text: str = "hello") -> None:
    with openai.OpenAI(base_url=program.url("/v1"), api_key=program.key, max_retries=0, timeout=60) as c:
        answer = c.chat.completions.create(**client.chat(name, text), max_tokens=50)
        assert answer.choices[0].message.content == SCRIPT
        request = client.chat(name, text, stream=True, stream_options={"include_usage": True}, max_tokens=50)
        chunks = list(c.chat.completions.create(**request))
        assert "".join(x.choices[0].delta.content or "" for x in chunks if x.choices) == SCRIPT
        assert [x.usage.completion_tokens for x in chunks if x.usage] == [answer.usage.completion_tokens]
    rows = json.loads(program.command("usage", "--requests", "-o", "json").stdout)["items"]
    assert [(r["usage"], r["tokensOut"]) for r in rows] == [("reported", answer.usage.completion_tokens)] * 2


def test_a_running_ollama(binary, running, tmp_path):
    address, _ = running
    spec = {"source": "ollama://scripted", "engine": {"ollama": {"url": f"http://{address}"}}}
    with Program(
        binary, tmp_path, {"m.yaml": documents.file(documents.document("Model", "scripted", spec))}
    ) as program:
        check(program, "scripted")


def test_an_ollama_of_our_own(binary, ollama, running, tmp_path):
    """From zero and back; it ends with all its children."""
    _, models = running
    spec = {"source": "ollama://scripted", "command": [ollama], "idle": "300ms"}
    text = documents.file(documents.document("Model", "own", spec))
    with Program(binary, tmp_path, {"m.yaml": text}, env={"OLLAMA_MODELS": str(models)}) as program:
        check(program, "own")
        (replica,) = replicas(program.data)
        family = [replica.engine, replica.supervisor, *descendants(identify(replica.supervisor.pid).pid)]
        until("zero again", lambda: not replicas(program.data), 30, 0.1)
        all_gone(family, 15)
        check_again = client.post(program.address(), program.key, client.chat("own", "again", max_tokens=50))
        assert check_again.json["choices"][0]["message"]["content"] == SCRIPT


def test_an_ollama_of_our_own_takes_a_file(binary, ollama, weights, tmp_path):
    """A GGUF file is imported at the first start and found at the second. Ollama knows no template for it, so the
    prompt is the message itself, and its line feed begins the script. A file that was replaced is imported again."""
    file = pathlib.Path(shutil.copy(weights, tmp_path / "file.gguf"))
    spec = {"source": f"file://{file}", "engine": {"ollama": {}}, "command": [ollama], "idle": "300ms"}
    text = documents.file(documents.document("Model", "file", spec))
    with Program(binary, tmp_path, {"m.yaml": text}, env={"OLLAMA_MODELS": str(tmp_path / "models")}) as program:
        check(program, "file", "hello\n")
        until("zero", lambda: not replicas(program.data), 30, 0.1)
        check_again = client.post(program.address(), program.key, client.chat("file", "again\n", max_tokens=50))
        assert check_again.json["choices"][0]["message"]["content"] == SCRIPT
        gguf_models.scripted(file, [gguf_models.Script("\n", CHANGED)], TEMPLATE)
        until("zero once more", lambda: not replicas(program.data), 30, 0.1)
        anew = client.post(program.address(), program.key, client.chat("file", "anew\n", max_tokens=50))
        assert anew.json["choices"][0]["message"]["content"] == "".join(CHANGED), "the old file was served"
