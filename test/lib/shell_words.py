"""The programs that shell text calls: the first word of each command, without keywords, builtins and own functions."""

from __future__ import annotations

import re

WORDS = {
    "!", "[", "[[", "{", "}", "(", ")", "((", ":", ".", "alias", "break", "case", "cd", "command", "continue", "declare",
    "do", "done", "echo", "elif", "else", "esac", "eval", "exec", "exit", "export", "false", "fi", "for", "function",
    "if", "in", "local", "mapfile", "popd", "printf", "pushd", "pwd", "read", "readonly", "return", "select", "set",
    "shift", "shopt", "source", "test", "then", "time", "trap", "true", "type", "ulimit", "umask", "unset", "until",
    "wait", "while",
}  # fmt: skip
# After these the next word is the program.
BEFORE = {"!", "command", "do", "elif", "else", "env", "exec", "if", "nice", "sudo", "then", "time", "until", "while"}
HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")


def without_heredocs(text: str) -> str:
    out, lines = [], iter(text.splitlines())
    for line in lines:
        out.append(line)
        for match in HEREDOC.finditer(line):
            if line[max(0, match.start() - 1) : match.start()] == "<":
                continue  # a here-string
            for held in lines:
                if held.strip() == match[2]:
                    break
    return "\n".join(out)


def commands(text: str) -> list[str]:
    """The text cut at what separates commands; quoted text is a word, what is substituted in it is commands again."""
    found, current, quote, depth = [], [], "", []
    position = 0
    while position < len(text):
        two, one = text[position : position + 2], text[position]
        if one == "\\" and quote != "'":
            if text[position + 1 : position + 2] != "\n":
                current.append("x")
            position += 2
            continue
        if quote == "'":
            quote = "" if one == "'" else quote
        elif two == "$(" and text[position + 2 : position + 3] != "(":
            depth.append((quote, current))
            quote, current = "", []
            position += 1
        elif quote == '"':
            quote = "" if one == '"' else quote
        elif one in "'\"":
            quote = one
            current.append("Q")
        elif one == "#" and (position == 0 or text[position - 1] in " \t\n;"):
            position = text.find("\n", position)
            if position < 0:
                break
            continue
        elif one == ")" and depth:
            found.append("".join(current))
            quote, current = depth.pop()
            current.append("Q")
        elif two in ("<(", ">("):
            depth.append((quote, current))
            quote, current = "", []
            position += 1
        elif one in "\n;&|" and not (
            one == "&" and (text[position - 1] in "<>" or text[position + 1 : position + 2] == ">")
        ):
            found.append("".join(current))
            current = []
        else:
            current.append(one)
        position += 1
    found.append("".join(current))
    return found


def programs(text: str) -> set[str]:
    text = re.sub(r"\$\{[^{}]*\}", "Q", without_heredocs(text))
    functions = set(re.findall(r"(?m)^\s*(\w+)\(\) *\{", text))
    out = set()
    for command in commands(text):
        words = (
            command.replace("{", " ").replace("}", " ").split() if command.lstrip().startswith("{") else command.split()
        )
        if "command" in words and "-v" in words:
            continue  # it only asks
        while words:
            word = words.pop(0)
            if word.startswith("(("):
                break  # it counts
            word = word.lstrip("(")
            if not word or word in BEFORE or re.fullmatch(r"\w+\+?=\S*|\w+\[.*\]=\S*|\d?[<>]\S*|--?\w\S*", word):
                continue
            if word.endswith(")") or word in ("case", "for", "select", "function") or "()" in word:
                if not word.endswith(")") or "()" in word:
                    break
                continue  # a pattern of a case
            if re.fullmatch(r"[a-z][\w.+-]*", word) and word not in WORDS and word not in functions:
                out.add(word)
            break
    return out
