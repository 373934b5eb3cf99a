"""Two kinds of GGUF that a real llama.cpp loads, made in a second and small.

`scripted`: what it says is known to the byte. Attention and feed-forward weights are zero, so a token's final state is its
own embedding, a unit vector; the output matrix maps it to the one token that follows. Each script begins after a start
token, which the chat template puts at the prompt's end, and goes on piece by piece to the end token, or round and round.

`noise`: random weights; for all that does not depend on the words."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib

import gguf
import numpy as np

UNKNOWN, BEGIN, END = 0, 1, 2
BYTES = 3  # token of byte 0x00
NORMAL_TYPE, UNKNOWN_TYPE, CONTROL_TYPE, BYTE_TYPE = 1, 2, 3, 6


@dataclasses.dataclass
class Script:
    after: str  # the one byte after which it begins
    pieces: list[str]  # one token each, all different within one model
    endless: bool = False  # begins again after the last piece


def _writer(path: pathlib.Path, name: str, *, context: int, width: int, layers: int, heads: int, kv_heads: int, inner: int) -> gguf.GGUFWriter:  # fmt: skip
    w = gguf.GGUFWriter(path, "llama")
    w.add_name(name)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_context_length(context)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_feed_forward_length(inner)
    w.add_head_count(heads)
    w.add_head_count_kv(kv_heads)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(width // heads)
    w.add_rope_freq_base(10000.0)
    return w


def _vocabulary(w: gguf.GGUFWriter, pieces: list[str]) -> int:
    """Control tokens, all bytes, then `pieces`. A SentencePiece vocabulary writes a space as U+2581. Returns its size."""
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{b:02X}>" for b in range(256)),
        *(p.replace(" ", "\u2581") for p in pieces),
    ]
    types = [UNKNOWN_TYPE, CONTROL_TYPE, CONTROL_TYPE, *[BYTE_TYPE] * 256, *[NORMAL_TYPE] * len(pieces)]
    # So low a score that the tokeniser prefers bytes: a prompt costs one token a byte, however it is worded.
    scores = [-1e6] * len(tokens)
    w.add_vocab_size(len(tokens))
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list([t.encode() for t in tokens])
    w.add_token_scores(scores)
    w.add_token_types(types)
    w.add_bos_token_id(BEGIN)
    w.add_eos_token_id(END)
    w.add_unk_token_id(UNKNOWN)
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)
    return len(tokens)


def _finish(w: gguf.GGUFWriter) -> None:
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def scripted(path: pathlib.Path, scripts: list[Script], template: str, *, context: int = 4096, inner: int = 32) -> None:
    """A larger `inner` makes it slower: all those zeros are multiplied for each token."""
    pieces = [p for s in scripts for p in s.pieces]
    assert len(set(pieces)) == len(pieces)
    size = 259 + len(pieces)
    width = -(-size // 32) * 32
    w = _writer(path, "scripted", context=context, width=width, layers=1, heads=2, kv_heads=2, inner=inner)
    assert _vocabulary(w, pieces) == size
    w.add_chat_template(template)
    embedding = np.eye(size, width, dtype=np.float32)
    output = np.zeros((size, width), np.float32)
    output[END] = 1  # whatever has no script ends at once
    token = 259
    for script in scripts:
        own = list(range(token, token + len(script.pieces)))
        token += len(own)
        chain = [BYTES + ord(script.after), *own, own[0] if script.endless else END]
        for here, following in itertools.pairwise(chain):
            output[:, here] = 0
            output[following, here] = 4
    w.add_tensor("token_embd.weight", embedding)
    w.add_tensor("output_norm.weight", np.ones(width, np.float32))
    w.add_tensor("output.weight", output)
    for name, shape in _block(width, width, inner).items():
        w.add_tensor(
            f"blk.0.{name}.weight", np.ones(shape, np.float32) if name.endswith("norm") else np.zeros(shape, np.float32)
        )
    _finish(w)


def noise(path: pathlib.Path, seed: int = 1) -> None:
    width, layers, heads, kv_heads, inner = 64, 2, 4, 2, 176
    rng = np.random.default_rng(seed)
    w = _writer(path, "noise", context=2048, width=width, layers=layers, heads=heads, kv_heads=kv_heads, inner=inner)
    size = _vocabulary(w, [" ", *(chr(c) + "·" for c in range(97, 112))])
    w.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: ")

    def weights(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * 0.05).astype(np.float32)

    w.add_tensor("token_embd.weight", weights(size, width))
    w.add_tensor("output_norm.weight", np.ones(width, np.float32))
    w.add_tensor("output.weight", weights(size, width))
    for layer in range(layers):
        for name, shape in _block(width, width // heads * kv_heads, inner).items():
            w.add_tensor(
                f"blk.{layer}.{name}.weight", np.ones(shape, np.float32) if name.endswith("norm") else weights(*shape)
            )
    _finish(w)


def _block(width: int, kv_width: int, inner: int) -> dict[str, tuple[int, ...]]:
    """Tensors of one llama block; numpy's shape is (out, in)."""
    return {
        "attn_norm": (width,), "attn_q": (width, width), "attn_k": (kv_width, width), "attn_v": (kv_width, width),
        "attn_output": (width, width), "ffn_norm": (width,), "ffn_gate": (inner, width), "ffn_up": (inner, width),
        "ffn_down": (width, inner),
    }  # fmt: skip
