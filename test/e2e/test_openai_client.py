"""The official client against the simulated engine: what it sends is served, what it parses is right, byte for byte."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import threading
import uuid

import openai
import pytest
from lib import client as plain
from lib import documents, simulated
from lib.wait import until
from program import Program

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a place.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}},
                "required": ["city", "days", "unit"],
            },
        },
    },
    {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}},
]
SLOTS = 8


@pytest.fixture(scope="module")
def program(binary, tmp_path_factory):
    text = documents.file(
        documents.simulated("quick", slots=SLOTS, idle="10m"),
        documents.simulated("slow", {"decode": 20}, idle="10m"),
        documents.document("Route", "alias", {"to": [{"model": "quick"}]}),
        documents.document("Tenant", "small", {"routes": ["quick"], "limits": {"concurrent": 1}}),
    )
    with Program(binary, tmp_path_factory.mktemp("openai"), {"models.yaml": text}) as running:
        yield running


@pytest.fixture(scope="module")
def client(program):
    with openai.OpenAI(base_url=program.url("/v1"), api_key=program.key, max_retries=0, timeout=30) as c:
        yield c


def new_key(program: Program, *words: str) -> str:
    name = f"test-{uuid.uuid4()}"  # names of active keys differ
    return program.command("keys", "create", "--name", name, "-o", "name", *words).stdout.strip()


def with_key(program: Program, key: str, **more) -> openai.OpenAI:
    return openai.OpenAI(base_url=program.url("/v1"), api_key=key, max_retries=0, timeout=30, **more)


def chat(text: str, **more) -> dict:
    return plain.chat(more.pop("model", "quick"), text, **more)


# --- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["hello", "", '漢字 🌊 "quoted" \\ \n end', "x" * 3000], ids=["short", "empty", "escapes", "long"]
)
def test_chat(client, text):
    request = chat(text, max_tokens=30, temperature=0.5, seed=7, user="somebody")
    raw = client.chat.completions.with_raw_response.create(**request)
    expected = simulated.chat(request)
    assert raw.content == expected.body
    answer = raw.parse()
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].finish_reason == expected.finish_reason
    assert answer.usage.model_dump(exclude_none=True) == expected.usage
    assert raw.headers["x-tidegate-request-id"].startswith("req_")


def test_history_and_parts(client):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "four"},
    ]
    raw = client.chat.completions.with_raw_response.create(model="quick", messages=messages)
    assert raw.content == simulated.chat({"model": "quick", "messages": messages}).body


@pytest.mark.parametrize("more", [{}, {"stream_options": {"include_usage": True}}, {"stream_options": {"include_usage": False}}], ids=["default", "usage", "no usage"])  # fmt: skip
def test_stream_bytes(client, more):
    request = chat("stream of bytes", max_tokens=40, stream=True, **more)
    with client.chat.completions.with_streaming_response.create(**request) as raw:
        assert raw.headers["content-type"].startswith("text/event-stream")
        assert b"".join(raw.iter_bytes()) == simulated.chat(request).stream


@pytest.mark.parametrize("wanted", [False, True])
def test_stream_parsed(client, wanted):
    more = {"stream_options": {"include_usage": True}} if wanted else {}
    request = chat("stream of chunks", stream=True, **more)
    expected = simulated.chat(request)
    chunks = list(client.chat.completions.create(**request))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == expected.text
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == expected.finish_reason
    usages = [c.usage for c in chunks if c.usage]
    assert [u.model_dump(exclude_none=True) for u in usages] == ([expected.usage] if wanted else [])
    assert len(chunks) == len(expected.events)


def test_the_helper_for_streams(client):
    request = chat("with the helper")
    with client.chat.completions.stream(**request) as stream:
        content = "".join(e.delta for e in stream if e.type == "content.delta")
        final = stream.get_final_completion()
    assert content == final.choices[0].message.content == simulated.chat(request).text


def test_tools(client):
    request = chat("weather or tide?", tools=TOOLS, tool_choice="auto")
    raw = client.chat.completions.with_raw_response.create(**request)
    expected = simulated.chat(request)
    assert raw.content == expected.body
    call = raw.parse().choices[0].message.tool_calls[0]
    wanted = expected.document["choices"][0]["message"]["tool_calls"][0]
    assert (call.id, call.function.name, call.function.arguments) == (wanted["id"], wanted["function"]["name"], wanted["function"]["arguments"])  # fmt: skip
    assert raw.parse().choices[0].finish_reason == "tool_calls"


def test_tools_stream(client):
    choice = {"type": "function", "function": {"name": "weather"}}
    request = chat("weather, streamed", tools=TOOLS, tool_choice=choice, stream=True)
    expected = simulated.chat(request)
    with client.chat.completions.with_streaming_response.create(**request) as raw:
        assert b"".join(raw.iter_bytes()) == expected.stream
    arguments, names = "", []
    for chunk in client.chat.completions.create(**request):
        for call in chunk.choices[0].delta.tool_calls or []:
            arguments += call.function.arguments or ""
            names += [call.function.name] if call.function.name else []
    assert names == ["weather"]
    assert set(json.loads(arguments)) == {"city", "days", "unit"}


def test_tool_result_is_answered_in_words(client):
    first = chat("weather please", tools=TOOLS)
    message = client.chat.completions.create(**first).choices[0].message
    messages = [*first["messages"], message.model_dump(exclude_none=True)]
    messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "12 degrees"})
    raw = client.chat.completions.with_raw_response.create(model="quick", messages=messages, tools=TOOLS)
    assert raw.content == simulated.chat({"model": "quick", "messages": messages, "tools": TOOLS}).body
    assert raw.parse().choices[0].finish_reason == "stop"


@pytest.mark.parametrize("prompt", ["Once", ["a", "b"]], ids=["text", "list"])
def test_completions(client, prompt):
    request = {"model": "quick", "prompt": prompt, "max_tokens": 12}
    expected = simulated.completion(request)
    raw = client.completions.with_raw_response.create(**request)
    assert raw.content == expected.body
    assert raw.parse().choices[0].text == expected.text
    request |= {"stream": True, "stream_options": {"include_usage": True}}
    with client.completions.with_streaming_response.create(**request) as raw:
        assert b"".join(raw.iter_bytes()) == simulated.completion(request).stream


@pytest.mark.parametrize("wanted", ["float", "base64", None])
def test_embeddings(client, wanted):
    texts = ["one", "zwei é 漢字", ""]
    more = {"encoding_format": wanted} if wanted else {}
    raw = client.embeddings.with_raw_response.create(model="quick", input=texts, dimensions=16, **more)
    # Without a format the client asks for base64 and decodes it.
    sent = {"model": "quick", "input": texts, "dimensions": 16, "encoding_format": wanted or "base64"}
    assert raw.content == simulated.embeddings(sent)
    answer = raw.parse()
    for text, item in zip(texts, answer.data, strict=True):
        vector = item.embedding
        if wanted == "base64":
            vector = list(struct.unpack("<16f", base64.b64decode(vector)))
        assert list(vector) == simulated.embedding_values(text, 16)
    assert answer.usage.prompt_tokens == sum(simulated.count_tokens(t) for t in texts)


def test_models(client, program):
    assert sorted(m.id for m in client.models.list()) == ["alias", "quick", "slow"]
    assert client.models.retrieve("slow").id == "slow"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")
    with with_key(program, new_key(program, "--model", "alias")) as limited:
        assert [m.id for m in limited.models.list()] == ["alias"]
        with pytest.raises(openai.NotFoundError):
            limited.models.retrieve("quick")


def test_listing_starts_no_engine(binary, tmp_path):
    text = documents.file(documents.simulated("asleep"))
    with Program(binary, tmp_path, {"models.yaml": text}) as program:
        with with_key(program, program.key) as c:
            assert [m.id for m in c.models.list()] == ["asleep"]
            assert c.models.retrieve("asleep").id == "asleep"
        found = json.loads(program.command("models", "-o", "json").stdout)["items"][0]
        assert (found["state"], found["replicas"]["desired"]) == ("zero", 0)
        assert 'tidegate_replica_starts_total{model="asleep",outcome="ready"} 0' in program.metrics()


def test_a_route_of_another_name(client):
    """Engines of ours serve one model and get the client's word for it."""
    request = chat("by way of a route", model="alias")
    raw = client.chat.completions.with_raw_response.create(**request)
    assert raw.content == simulated.chat(request).body


def test_async(program):
    async def one(c: openai.AsyncOpenAI, number: int) -> None:
        request = chat(f"question {number}", max_tokens=20)
        if number % 2:
            answer = await c.chat.completions.create(**request)
            assert answer.choices[0].message.content == simulated.chat(request).text
            return
        request |= {"stream": True, "stream_options": {"include_usage": True}}
        text, usage = "", None
        async for chunk in await c.chat.completions.create(**request):
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            usage = chunk.usage or usage
        expected = simulated.chat(request)
        assert text == expected.text
        assert usage.model_dump(exclude_none=True) == expected.usage

    async def all_of_them() -> None:
        async with openai.AsyncOpenAI(base_url=program.url("/v1"), api_key=program.key, max_retries=0, timeout=50) as c:
            await asyncio.gather(*(one(c, n) for n in range(60)))

    asyncio.run(asyncio.wait_for(all_of_them(), 60))


def test_leaving_a_stream_frees_its_slot(program, client):
    """The client's close() of a stream is a cancel: the Model has no request in flight soon after."""
    stream = client.chat.completions.create(**chat("slow one", model="slow", stream=True))
    next(iter(stream))
    stream.close()

    def free() -> bool:
        items = json.loads(program.command("models", "-o", "json").stdout)["items"]
        return next(m["inFlight"] for m in items if m["name"] == "slow") == 0

    until("the slot is free", free)
    newest = json.loads(program.command("usage", "--requests", "--limit", "1", "-o", "json").stdout)["items"][0]
    assert (newest["model"], newest["outcome"], newest["usage"]) == ("slow", "client_gone", "estimated")


# --- errors ------------------------------------------------------------------------------------------------------------


def test_wrong_key(program):
    for key in ("tg-" + "0" * 46, "sk-something", "none"):
        with with_key(program, key) as c, pytest.raises(openai.AuthenticationError) as raised:
            c.chat.completions.create(**chat("x"))
        assert raised.value.status_code == 401
        assert raised.value.body["type"] == "authentication_error"
        assert key not in str(raised.value)


def test_revoked_key(program):
    made = json.loads(program.command("keys", "create", "--name", "short-lived", "-o", "json").stdout)["items"][0]
    with with_key(program, made["key"]) as c:
        c.chat.completions.create(**chat("x"))
        program.command("keys", "revoke", made["prefix"])
        with pytest.raises(openai.AuthenticationError):
            c.chat.completions.create(**chat("x"))


def test_unknown_and_forbidden_models_look_the_same(program, client):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(**chat("x", model="nobody"))
    with with_key(program, new_key(program, "--model", "alias")) as limited:
        limited.chat.completions.create(**chat("x", model="alias"))
        with pytest.raises(openai.NotFoundError) as forbidden:
            limited.chat.completions.create(**chat("x", model="slow"))
    assert unknown.value.code == forbidden.value.code == "model_not_found"
    assert str(unknown.value).replace("nobody", "slow") == str(forbidden.value)
    assert unknown.value.request_id.startswith("req_")


def test_tenant_with_routes(program):
    with with_key(program, new_key(program, "--tenant", "small")) as c:
        assert [m.id for m in c.models.list()] == ["quick"]
        with pytest.raises(openai.NotFoundError):
            c.chat.completions.create(**chat("x", model="slow"))


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"model":"quick","messages":[]', b'{"model":"quick","model":"slow","messages":[]}'])  # fmt: skip
def test_bad_body(program, broken):
    answer = plain.post(program.address(), program.key, broken)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


def test_engine_errors_pass(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**chat("x", n=2))
    assert raised.value.body["type"] == "invalid_request_error"
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**chat("x" * 40_000))
    assert raised.value.code == "context_length_exceeded"


def test_other_methods_and_paths(client):
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="quick", prompt="x")
    with pytest.raises(openai.APIStatusError) as raised:
        client.get("/chat/completions", cast_to=object)
    assert raised.value.status_code == 405


# --- limits ------------------------------------------------------------------------------------------------------------


def test_requests_per_minute(program):
    with with_key(program, new_key(program, "--requests-per-minute", "3")) as c:
        for left in (2, 1, 0):
            raw = c.chat.completions.with_raw_response.create(**chat("x"))
            assert raw.headers["x-ratelimit-limit-requests"] == "3"
            assert raw.headers["x-ratelimit-remaining-requests"] == str(left)
        with pytest.raises(openai.RateLimitError) as raised:
            c.chat.completions.create(**chat("x"))
    headers = raised.value.response.headers
    assert raised.value.code == "rate_limit_exceeded"
    assert 1 <= int(headers["retry-after"]) <= 20
    assert 0 < int(headers["retry-after-ms"]) <= 20_000
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-reset-requests"]


def test_tokens_per_minute(program):
    request = chat("x" * 400, max_tokens=10)
    prompt_tokens = simulated.chat(request).usage["prompt_tokens"]
    spent = prompt_tokens + 10
    with with_key(program, new_key(program, "--tokens-per-minute", str(2 * spent))) as c:
        raw = c.chat.completions.with_raw_response.create(**request)
        assert raw.headers["x-ratelimit-limit-tokens"] == str(2 * spent)
        # After the first answer exactly its tokens are spent (some have come back in the meantime).
        c.chat.completions.create(**chat("y", max_tokens=1))
        with pytest.raises(openai.RateLimitError) as raised:
            for _ in range(2):
                c.chat.completions.create(**request)
    assert raised.value.code == "rate_limit_exceeded"
    assert int(raised.value.response.headers["retry-after"]) >= 1
    assert "x-ratelimit-remaining-tokens" in raised.value.response.headers


def test_larger_than_the_whole_limit(program):
    with (
        with_key(program, new_key(program, "--tokens-per-minute", "50")) as c,
        pytest.raises(openai.BadRequestError) as raised,
    ):
        c.chat.completions.create(**chat("x" * 4000))
    assert raised.value.code == "request_exceeds_limit"
    assert "retry-after" not in raised.value.response.headers


@pytest.mark.parametrize("words", [("--concurrent", "1"), ("--tenant", "small")], ids=["key", "tenant"])
def test_concurrent(program, words):
    key = new_key(program, *words)
    text = "concurrent, long enough to overlap"
    with plain.Stream(program.address(), key, chat(text, stream=True, ignore_eos=True, max_tokens=8000)) as first:
        first.read_events(2)
        with with_key(program, key) as c, pytest.raises(openai.RateLimitError) as raised:
            c.chat.completions.create(**chat("second"))
        assert int(raised.value.response.headers["retry-after"]) >= 1
    with with_key(program, key) as c:

        def allowed() -> bool:
            try:
                c.chat.completions.create(**chat("third"))
            except openai.RateLimitError:
                return False
            return True

        until("the limit is free again", allowed)


def test_the_client_waits_as_told_and_succeeds(program):
    """With its default of two retries the client obeys our retry-after."""
    key = new_key(program, "--requests-per-minute", "60", "--concurrent", "1")
    blocker = plain.Stream(program.address(), key, chat("blocks", stream=True, ignore_eos=True, max_tokens=8000))
    with blocker, with_key(program, key).with_options(max_retries=5) as c:
        blocker.read_events(2)
        timer = threading.Timer(0.3, blocker.close)
        timer.start()
        request = chat("waits")
        raw = c.chat.completions.with_raw_response.create(**request)
        timer.join()
    assert raw.content == simulated.chat(request).body
    assert raw.retries_taken >= 1


# --- usage -------------------------------------------------------------------------------------------------------------


def test_usage_is_exact_for_every_form(program):
    key = new_key(program)
    with with_key(program, key) as c:
        requests = [chat("plain"), chat("with tools", tools=TOOLS)]
        for request in requests:
            c.chat.completions.create(**request)
        for request in requests:
            list(c.chat.completions.create(**request, stream=True))
        c.completions.create(model="quick", prompt="complete", max_tokens=9)
        c.embeddings.create(model="quick", input="embed this text")
    chats = [simulated.chat(r).usage for r in requests] * 2
    done = simulated.completion({"model": "quick", "prompt": "complete", "max_tokens": 9}).usage
    expected = sorted((u["prompt_tokens"], u["completion_tokens"]) for u in [*chats, done])
    expected = sorted([*expected, (simulated.count_tokens("embed this text"), 0)])
    rows = json.loads(program.command("usage", "--requests", "-o", "json").stdout)["items"]
    mine = [r for r in rows if key[:8] in r["key"]]
    assert sorted((r["tokensIn"], r["tokensOut"]) for r in mine) == expected
    assert {r["usage"] for r in mine} == {"reported"}
    assert {r["outcome"] for r in mine} == {"complete"}
    assert sorted({r["operation"] for r in mine}) == ["chat", "completions", "embeddings"]
    sums = json.loads(program.command("usage", "--by", "key", "-o", "json").stdout)["items"]
    mine = next(r for r in sums if key[:8] in json.dumps(r))
    assert (mine["requests"], mine["reportedIn"], mine["reportedOut"]) == (6, sum(e[0] for e in expected), sum(e[1] for e in expected))  # fmt: skip
