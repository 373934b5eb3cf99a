"""What the simulated engine answers, byte for byte, from the rules in src/runtime/simulated_answer.hpp.

expected = simulated.chat(request)      # request = the JSON object that was sent
expected.body                           # bytes of the answer without `stream`
expected.stream                         # bytes of the event stream, chunk framing removed
expected.text, expected.tokens, expected.usage, expected.finish_reason
"""

from __future__ import annotations

import base64
import dataclasses
import json
import struct

MASK = (1 << 64) - 1
PIECES = [
    "the ", "tide", " ris", "es a", "nd f", "alls", " by ", "moon", "ligh", "t.\n\n", "Gate", "s op", "en, ", "wate",
    "r fi", "nds ", "its ", "way ", "to s", "ea: ", '"ebb', '" — ', "C:\\f", "Größ", "e 12", "水位潮汐", "🌊 up", '{"a"',
    ": [1", "]}, ", "été ", "</p>",
]  # fmt: skip
CONTEXT = 8192  # the document's default


def fnv1a(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def random_numbers(seed: int):
    """splitmix64."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        yield z ^ z >> 31


def count_tokens(text: str) -> int:
    return (len(text) + 3) // 4


def dumps(value) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text_of(message: dict) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return ""


def chat_prompt(messages: list[dict]) -> str:
    return "".join(f"{m['role']}\n{text_of(m)}\n" for m in messages)


@dataclasses.dataclass
class Answer:
    tokens: list[str]  # one content event each
    finish_reason: str
    usage: dict
    events: list[dict]  # of the stream, without [DONE]
    document: dict  # the answer that is not streamed

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @property
    def body(self) -> bytes:
        return dumps(self.document).encode()

    @property
    def stream(self) -> bytes:
        return "".join(f"data: {dumps(e)}\n\n" for e in self.events).encode() + b"data: [DONE]\n\n"


def plain_text(prompt: str, limit: int | None, ignore_eos: bool, context: int) -> tuple[list[str], str]:
    seed = fnv1a(prompt)
    natural = 16 + seed % 49
    room = context - count_tokens(prompt)
    bound = room if limit is None else min(limit, room)
    length = bound if ignore_eos else min(natural, bound)
    numbers = random_numbers(seed)
    tokens = [PIECES[next(numbers) >> 59] for _ in range(length)]
    return tokens, "length" if ignore_eos or length < natural else "stop"


def argument_value(schema, seed: int):
    if not isinstance(schema, dict):
        return None
    if schema.get("enum"):
        return schema["enum"][seed % len(schema["enum"])]
    return {
        "string": f"tide {seed & 0xFFFF:04x}",
        "integer": seed % 100,
        "number": seed % 100 + 0.5,
        "boolean": bool(seed & 1),
        "array": [],
        "object": {},
    }.get(schema.get("type"))


def tool_call(request: dict, seed: int) -> dict | None:
    tools = request.get("tools")
    choice = request.get("tool_choice")
    if not tools or choice == "none" or request["messages"][-1]["role"] == "tool":
        return None
    if isinstance(choice, dict):
        function = next(t["function"] for t in tools if t["function"]["name"] == choice["function"]["name"])
    else:
        function = tools[seed % len(tools)]["function"]
    parameters = function.get("parameters") or {}
    properties = parameters.get("properties", {})
    arguments = {name: argument_value(properties.get(name), seed) for name in parameters.get("required", [])}
    return {"id": f"call_{seed:016x}", "name": function["name"], "arguments": dumps(arguments)}


def limit_of(request: dict) -> int | None:
    return request.get("max_completion_tokens") or request.get("max_tokens")


def wants_usage(request: dict) -> bool:
    return bool((request.get("stream_options") or {}).get("include_usage"))


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def chat(request: dict, context: int = CONTEXT) -> Answer:
    prompt = chat_prompt(request["messages"])
    seed = fnv1a(prompt)
    call = tool_call(request, seed)
    if call:
        text = call["arguments"]
        tokens, finish = [text[i : i + 4] for i in range(0, len(text), 4)], "tool_calls"
    else:
        tokens, finish = plain_text(prompt, limit_of(request), request.get("ignore_eos") is True, context)
    usage = usage_of(count_tokens(prompt), len(tokens))
    head = {"id": f"chatcmpl-{seed:016x}", "object": "chat.completion.chunk", "created": 0, "model": request["model"]}

    def event(delta: dict, reason: str | None = None) -> dict:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**head, "choices": [choice]}

    if call:
        function = {"name": call["name"], "arguments": ""}
        first = {"index": 0, "id": call["id"], "type": "function", "function": function}
        events = [event({"role": "assistant", "content": None}), event({"tool_calls": [first]})]
        events += [event({"tool_calls": [{"index": 0, "function": {"arguments": t}}]}) for t in tokens]
        function = {"name": call["name"], "arguments": call["arguments"]}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call["id"], "type": "function", "function": function}],
        }
    else:
        events = [event({"role": "assistant", "content": ""})] + [event({"content": t}) for t in tokens]
        message = {"role": "assistant", "content": "".join(tokens)}
    events.append(event({}, finish))
    if wants_usage(request):
        events.append({**head, "choices": [], "usage": usage})
    document = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": usage,
    }
    return Answer(tokens, finish, usage, events, document)


def completion(request: dict, context: int = CONTEXT) -> Answer:
    prompt = request["prompt"]
    if isinstance(prompt, list):
        prompt = "\n".join(prompt)
    tokens, finish = plain_text(prompt, limit_of(request), request.get("ignore_eos") is True, context)
    usage = usage_of(count_tokens(prompt), len(tokens))
    head = {"id": f"cmpl-{fnv1a(prompt):016x}", "object": "text_completion", "created": 0, "model": request["model"]}

    def event(text: str, reason: str | None = None) -> dict:
        return {**head, "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}]}

    events = [event(t) for t in tokens] + [event("", finish)]
    if wants_usage(request):
        events.append({**head, "choices": [], "usage": usage})
    document = {**event("".join(tokens), finish), "usage": usage}
    return Answer(tokens, finish, usage, events, document)


def embedding_values(text: str, dimensions: int = 32) -> list[float]:
    numbers = random_numbers(fnv1a(text))
    return [((next(numbers) >> 53) - 1024) / 1024 for _ in range(dimensions)]


def embeddings(request: dict) -> bytes:
    """The body of the answer."""
    inputs = request["input"] if isinstance(request["input"], list) else [request["input"]]
    data = []
    for index, text in enumerate(inputs):
        values = embedding_values(text, request.get("dimensions") or 32)
        if request.get("encoding_format") == "base64":
            vector = dumps(base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode())
        else:
            # Whole numbers without ".0": -1.0 and 0.0 occur.
            vector = "[" + ",".join(str(int(v)) if v == int(v) else repr(v) for v in values) + "]"
        data.append(f'{{"object":"embedding","index":{index},"embedding":{vector}}}')
    tokens = sum(count_tokens(t) for t in inputs)
    usage = dumps({"prompt_tokens": tokens, "total_tokens": tokens})
    return f'{{"object":"list","data":[{",".join(data)}],"model":{dumps(request["model"])},"usage":{usage}}}'.encode()
