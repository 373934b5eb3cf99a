"""A real llama.cpp server behind the program. Its words are known to the byte: the model is made here to say them."""

from __future__ import annotations

import json
import pathlib
import threading
import time

import openai
import pytest
from lib import client, documents, gguf_models, llama_server
from lib.processes import all_gone, descendants, identify, replicas
from lib.wait import until
from program import Program

PIECES = [
    "Low ",
    "water at ",
    "nine, ",
    '"high"',
    " water\n\n",
    "at three; ",
    "Größe ",
    "水位 ",
    "🌊 ",
    "C:\\ the",
    " end.",
]
SCRIPT = "".join(PIECES)
ROUND = ["ebb ", "slack ", "flood ", "... "]
CALL = ["<tool_call>", '{"name": "wea', 'ther", "argum', 'ents": {"ci', 'ty": "Brem', 'en"}', "}</tool_call>"]
# What stands last decides what is said: a line feed begins the words, a tab the tool call.
TEMPLATE = """\
{% if tools %}<tools>{% for t in tools %}{{ t | tojson }}{% endfor %}</tools>{% endif %}\
{% for m in messages %}{{ m['role'] }}: {{ m['content'] }} \
{% if m.tool_calls %}{% for c in m.tool_calls %}<tool_call>{"name": "{{ c.function.name }}", \
"arguments": {{ c.function.arguments | tojson }}}</tool_call>{% endfor %}{% endif %}{% endfor %}\
{% if tools %}\t{% else %}{{ '\\n' }}{% endif %}"""
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
START_S = 60.0


@pytest.fixture(scope="module")
def engine() -> str:
    found = llama_server.find()
    if not found:
        pytest.skip(llama_server.NONE)
    problem = llama_server.works(found)
    if problem:
        pytest.skip(f"not run: {found} does not start: {problem}")
    return found


@pytest.fixture(scope="module")
def weights(engine):
    with llama_server.folder_for_weights(engine) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        scripts = [gguf_models.Script("\n", PIECES), gguf_models.Script("\t", CALL)]
        gguf_models.scripted(folder / "scripted.gguf", scripts, TEMPLATE)
        gguf_models.scripted(
            folder / "slow.gguf", [gguf_models.Script("\n", ROUND, endless=True)], TEMPLATE, inner=4096
        )
        gguf_models.noise(folder / "noise.gguf")
        assert (folder / "noise.gguf").stat().st_size < 600_000
        yield folder


def model(engine: str, weights: pathlib.Path, name: str, **spec) -> str:
    return documents.document(
        "Model", name, {"source": f"file://{weights / name}.gguf", "engine": {"llamacpp": {}}, "command": [engine],
                        "args": ["--threads", "1", "--threads-batch", "1"], "context": 2048, "slots": 2, "idle": "10m", **spec},
    )  # fmt: skip


@pytest.fixture(scope="module")
def program(binary, engine, weights, tmp_path_factory):
    text = documents.file(*(model(engine, weights, name) for name in ("scripted", "slow", "noise")))
    with Program(binary, tmp_path_factory.mktemp("llamacpp"), {"models.yaml": text}) as running:
        yield running


@pytest.fixture(scope="module")
def sdk(program):
    with openai.OpenAI(base_url=program.url("/v1"), api_key=program.key, max_retries=0, timeout=START_S) as c:
        yield c


def prompt_tokens(text: str) -> int:
    """One for the beginning, one a byte; SentencePiece puts a space before it all and writes spaces as U+2581."""
    rendered = f" user: {text} \n"
    return 1 + len(rendered.replace(" ", "\u2581").encode())


def row_of(program: Program, request_id: str) -> dict:
    rows = json.loads(program.command("usage", "--requests", "--limit", "1000", "-o", "json").stdout)["items"]
    (row,) = [r for r in rows if r["id"] == request_id]
    return row


def contents(stream: bytes) -> tuple[str, list[dict]]:
    """(the words of a whole or broken stream, its events)"""
    events = [json.loads(e[6:]) for e in stream.decode().split("\n\n") if e.startswith("data: {")]
    words = "".join(c["delta"].get("content") or "" for e in events for c in e.get("choices", []))
    return words, events


# --- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["hello", "Größe 水位", ""], ids=["ascii", "more bytes", "empty"])
def test_chat(program, sdk, text):
    raw = sdk.chat.completions.with_raw_response.create(**client.chat("scripted", text), max_tokens=100)
    answer = raw.parse()
    assert answer.choices[0].message.content == SCRIPT
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (prompt_tokens(text), len(PIECES) + 1)
    row = row_of(program, raw.headers["x-tidegate-request-id"])
    assert (row["tokensIn"], row["tokensOut"], row["usage"]) == (prompt_tokens(text), len(PIECES) + 1, "reported")
    # The engine's own fields pass.
    assert json.loads(raw.content)["timings"]["predicted_n"] == len(PIECES) + 1


@pytest.mark.parametrize("asked", [False, True], ids=["no usage", "usage"])
def test_stream(program, asked):
    more = {"stream_options": {"include_usage": True}} if asked else {}
    request = client.chat("scripted", "streamed", stream=True, max_tokens=100, **more)
    answer = client.post(program.address(), program.key, request)
    assert (answer.status, answer.whole) == (200, True), answer
    assert answer.body.endswith(b"data: [DONE]\n\n")
    words, events = contents(answer.body)
    assert words == SCRIPT
    pieces = [c["delta"]["content"] for e in events for c in e["choices"] if c["delta"].get("content")]
    assert pieces == PIECES, "one event a token, as the engine sends them"
    usages = [e["usage"] for e in events if e.get("usage")]
    assert len(usages) == asked
    assert [e for e in events if not e["choices"]] == [e for e in events if e.get("usage")]
    if asked:
        assert (usages[0]["prompt_tokens"], usages[0]["completion_tokens"]) == (
            prompt_tokens("streamed"),
            len(PIECES) + 1,
        )
    row = row_of(program, answer.headers["x-tidegate-request-id"])
    assert (row["tokensIn"], row["tokensOut"], row["usage"]) == (prompt_tokens("streamed"), len(PIECES) + 1, "reported")


def test_token_limit(sdk):
    answer = sdk.chat.completions.create(**client.chat("scripted", "cut short"), max_tokens=3)
    assert answer.choices[0].message.content == "".join(PIECES[:3])
    assert answer.choices[0].finish_reason == "length"


def test_tools(program, sdk):
    request = client.chat("scripted", "weather", tools=TOOLS, max_tokens=100)
    call = sdk.chat.completions.create(**request).choices[0]
    assert call.finish_reason == "tool_calls"
    assert [(c.function.name, json.loads(c.function.arguments)) for c in call.message.tool_calls] == [("weather", {"city": "Bremen"})]  # fmt: skip
    names, arguments = [], ""
    for chunk in sdk.chat.completions.create(**request, stream=True):
        for part in chunk.choices[0].delta.tool_calls or []:
            names += [part.function.name] if part.function.name else []
            arguments += part.function.arguments or ""
    assert (names, json.loads(arguments)) == (["weather"], {"city": "Bremen"})


def test_completions(sdk):
    answer = sdk.completions.create(model="scripted", prompt="anything\n", max_tokens=100)
    assert answer.choices[0].text == SCRIPT
    text = "".join(
        c.choices[0].text for c in sdk.completions.create(model="scripted", prompt="\n", max_tokens=100, stream=True)
    )
    assert text == SCRIPT


def test_noise(sdk):
    """Random words, the same ones for the same seed: streamed or not."""
    request = client.chat("noise", "say something", max_tokens=40, temperature=0, seed=7)
    plain = sdk.chat.completions.create(**request).choices[0].message.content
    streamed = [
        c.choices[0].delta.content or "" for c in sdk.chat.completions.create(**request, stream=True) if c.choices
    ]
    assert "".join(streamed) == plain


def test_errors_of_the_engine_pass(sdk):
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.chat.completions.create(**client.chat("scripted", "x" * 5000))
    assert "context" in str(raised.value)
    with pytest.raises(openai.APIStatusError):
        sdk.embeddings.create(model="scripted", input="no embeddings here")


def test_a_stranger_cannot_use_the_engine(program, sdk):
    """Its port is guarded by a key of its own, which is not in its arguments."""
    sdk.chat.completions.create(**client.chat("scripted", "warm"), max_tokens=2)
    replica = next(r for r in replicas(program.data) if r.model == "scripted")
    words = replica.engine.command_line().split()
    port = int(words[words.index("--port") + 1])
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert "--api-key" not in words
    for key in ("", program.key):
        answer = client.post(("127.0.0.1", port), key, client.chat("scripted", "x"))
        assert answer.status == 401


def test_many_at_a_time(program):
    """More than the slots: all are served, in full."""
    answers: list[client.Answer] = []

    def one(number: int) -> None:
        request = client.chat("scripted", f"number {number}", stream=number % 2 == 0, max_tokens=100)
        answers.append(client.post(program.address(), program.key, request))

    threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    for answer in answers:
        assert (answer.status, answer.whole) == (200, True), answer
        streamed = answer.headers["content-type"].startswith("text/event-stream")
        assert (contents(answer.body)[0] if streamed else answer.json["choices"][0]["message"]["content"]) == SCRIPT


# --- lives of engines --------------------------------------------------------------------------------------------------


def state(program: Program, name: str) -> dict:
    return next(m for m in json.loads(program.command("models", "-o", "json").stdout)["items"] if m["name"] == name)


def test_zero_one_zero(binary, engine, weights, tmp_path):
    text = documents.file(model(engine, weights, "scripted", idle="300ms"))
    with Program(binary, tmp_path, {"models.yaml": text}) as program:
        for round_ in range(3):
            assert state(program, "scripted")["state"] == "zero"
            assert not replicas(program.data)
            answer = client.post(program.address(), program.key, client.chat("scripted", f"round {round_}"))
            assert answer.json["choices"][0]["message"]["content"] == SCRIPT
            (replica,) = replicas(program.data)
            family = [identify(program.process.pid), *descendants(program.process.pid)][1:]
            assert replica.engine in family
            until("zero again", lambda: state(program, "scripted")["state"] == "zero", 20, 0.1)
            all_gone(family, 15)
        log = program.command("models", "logs", "scripted").stdout
        assert "listening" in log or "server" in log, log


def test_client_leaves(program):
    """In both phases: the engine stops generating, which its own slots say."""
    request = client.chat("slow", "nobody waits", stream=True, max_tokens=1900)
    with client.Stream(program.address(), program.key, request) as stream:
        stream.read_events(8)
        assert state(program, "slow")["inFlight"] == 1
        stream.close()
        until("the slot is free", lambda: state(program, "slow")["inFlight"] == 0, 10)
    plain = client.chat("slow", "nobody waits for this either", max_tokens=1900)
    sent = client.Stream(program.address(), program.key, plain)
    until("it is sent", lambda: state(program, "slow")["inFlight"] == 1)
    sent.close()
    until("the slot is free", lambda: state(program, "slow")["inFlight"] == 0, 10)
    # Both slots of the engine are really free: two more are served at once, no later than one alone takes.
    begun = time.monotonic()
    for _ in range(2):
        words = client.post(program.address(), program.key, client.chat("slow", "still here?", max_tokens=4)).json
        assert words["choices"][0]["message"]["content"] == "".join(ROUND)
    assert time.monotonic() - begun < 20
    outcomes = [r["outcome"] for r in json.loads(program.command("usage", "--requests", "-o", "json").stdout)["items"] if r["model"] == "slow"]  # fmt: skip
    assert outcomes.count("client_gone") == 2


def test_engine_killed_in_a_stream(program):
    """An error event and no [DONE]; the request without an answer byte and all that follow are served by a new engine."""
    request = client.chat("slow", "will be cut", stream=True, max_tokens=1900)
    with client.Stream(program.address(), program.key, request) as stream:
        stream.read_events(8)
        plain = client.chat("slow", "will be sent again", max_tokens=8)
        answers: list[client.Answer] = []
        waiting = threading.Thread(
            target=lambda: answers.append(client.post(program.address(), program.key, plain)), daemon=True
        )
        waiting.start()
        before = next(r for r in replicas(program.data) if r.model == "slow")
        before.engine.kill()
        assert not stream.read_rest()
        ended = client.error_event(stream.body)
        assert ended, stream.body[-300:]
        words, _ = contents(ended[0])
        assert ended[1]["code"] == "upstream_cut"
        assert len(words) > 4
        assert ("".join(ROUND) * 600).startswith(words)
        waiting.join(START_S)
        assert answers, "the other request has no end"
        assert answers[0].json["choices"][0]["message"]["content"] == "".join(ROUND) * 2
        after = next(r for r in replicas(program.data) if r.model == "slow")
        assert after.engine != before.engine
        all_gone([before.engine, before.supervisor], 15)


def test_engine_that_cannot_start(binary, engine, tmp_path):
    """Weights that are none: the request ends with an error in bounded time, and `explain` shows the engine's words."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + bytes(1000))
    text = documents.document(
        "Model", "bad", {"source": f"file://{bad}", "command": [engine], "hold": {"deadline": "3s"}}
    )
    with Program(binary, tmp_path / "run", {"models.yaml": documents.file(text)}) as program:
        answer = client.post(program.address(), program.key, client.chat("bad", "x"))
        assert answer.status == 503, answer
        assert int(answer.headers["retry-after"]) >= 1
        assert str(tmp_path) not in answer.body.decode(), "the client learns a path"
        assert state(program, "bad")["state"] != "ready"
        assert program.command("explain", "model", "bad").stdout


@pytest.mark.skipif(not llama_server.GEMMA.exists(), reason="not run: no Gemma weights; ./dev up fetches them")
def test_gemma(binary, engine, tmp_path):
    text = documents.document(
        "Model", "gemma", {"source": f"file://{llama_server.GEMMA}", "command": [engine], "context": 1024, "slots": 2}
    )
    with (
        Program(binary, tmp_path, {"models.yaml": documents.file(text)}) as program,
        openai.OpenAI(base_url=program.url("/v1"), api_key=program.key, max_retries=0, timeout=120) as c,
    ):
        request = {"model": "gemma", "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0, "seed": 1}
        plain = c.completions.create(**request)
        assert "France" in plain.choices[0].text, "so much even the small base model knows"
        assert plain.usage.completion_tokens == 8
        streamed = "".join(x.choices[0].text for x in c.completions.create(**request, stream=True) if x.choices)
        assert streamed == plain.choices[0].text
