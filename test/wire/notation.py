"""How bytes are written in the files of this folder.

A payload is a list of lines of UTF-8 text. Between double braces stand bytes that text cannot show:
  {{0d0a}}    bytes in hex            {{300*ab}}  a text, repeated
  {{name}}    a variable              {{-}}       at the end of a line: this line has no line end
"""

from __future__ import annotations

import re

ITEM = re.compile(rb"\{\{([^{}\"]*)\}\}")


def expand(text: str, variables: dict[str, bytes]) -> bytes:
    def item(match: re.Match[bytes]) -> bytes:
        word = match[1].decode().strip()
        if re.fullmatch(r"([0-9a-f]{2}\s*)+", word):
            return bytes.fromhex(word)
        repeated = re.fullmatch(r"(\d+)\*(.+)", word)
        if repeated:
            return repeated[2].encode() * int(repeated[1])
        if word in variables:
            return variables[word]
        raise ValueError(f"{{{{{word}}}}}: neither hex bytes, nor N*text, nor one of {sorted(variables)}")

    return ITEM.sub(item, text.encode())


def joined(lines: list[str], end: str, variables: dict[str, bytes]) -> bytes:
    """Every line with `end` after it, unless the line ends in {{-}}."""
    out = b""
    for line in lines:
        if line.endswith("{{-}}"):
            out += expand(line.removesuffix("{{-}}"), variables)
        else:
            out += expand(line, variables) + end.encode()
    return out


def body(lines: list[str], variables: dict[str, bytes]) -> bytes:
    """Lines with LF between them and none after the last."""
    return (
        joined(lines, "\n", variables)[:-1]
        if lines and not lines[-1].endswith("{{-}}")
        else joined(lines, "\n", variables)
    )


def message(lines: list[str], variables: dict[str, bytes]) -> bytes:
    """A head in lines with CRLF, then after the first empty line the body; {{length}} is the body's length."""
    cut = lines.index("") if "" in lines else len(lines)
    content = body(lines[cut + 1 :], variables)
    variables = {**variables, "length": str(len(content)).encode()}
    return joined(lines[:cut], "\r\n", variables) + b"\r\n" + content
