"""Requirements as assertions on rendered trees: reading, evaluating, and breaking them on purpose.

A row of requirements.yaml:

    S2-19:
      - {tree: webui-k3s, file: ci/.github/workflows/deploy.yml, at: on.push.branches, has: master}
    S2-12:
      test: test/e2e/test_cli_points.py      # proven by this test, not by a file
    S1-120:
      cluster: kubectl get pods -A            # its proof needs a running cluster; the rendered command is asserted too
    S4-46:
      instead: why the row is wrong today, and what stands in its place
      assert: [...]
    S9-99:
      missing: why it is not there yet

`tree` is an example, with `+variant` for each overlay of examples/variants that is merged over it. `object` picks one
object of a file with several: KIND/NAME or KIND/NAMESPACE/NAME. `at` is a path: `spec.ports[0].port`, `env[name=A].value`,
keys with dots in quotes: `metadata.labels."a.b/c"`. Relations: is, has (list or text contains), matches (regular
expression), min, max, count, absent: true. Without `at` the relation holds for the text of the file.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import pathlib
import re

import yaml

RELATIONS = ("is", "has", "matches", "min", "max", "count", "absent")
STEP = re.compile(
    r"""\.?(?:"(?P<quoted>[^"]+)"|\[(?P<key>[^=\]]+)=(?P<value>[^\]]+)\]|\[(?P<index>-?\d+)\]|(?P<name>[^.\[\]"]+))"""
)


class Loader(yaml.SafeLoader):
    """YAML 1.2 as Kubernetes reads it: `on` and `yes` are words, `=` is text."""


Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:value", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


@dataclasses.dataclass(frozen=True)
class Assertion:
    tree: str
    file: str
    object: str
    at: str
    relation: str
    expected: object

    def __str__(self) -> str:
        where = " ".join(part for part in (self.file, self.object, self.at) if part)
        return f"{self.tree}: {where} {self.relation} {self.expected!r}"


def parse(entry: dict) -> Assertion:
    known = {"tree", "file", "object", "at", *RELATIONS}
    if unknown := set(entry) - known:
        raise ValueError(f"unknown keys {sorted(unknown)} in {entry}")
    relations = [r for r in RELATIONS if r in entry]
    if len(relations) != 1:
        raise ValueError(f"one relation is needed, there are {relations} in {entry}")
    return Assertion(
        entry["tree"], entry["file"], entry.get("object", ""), entry.get("at", ""), relations[0], entry[relations[0]]
    )


def steps(path: str) -> list[re.Match]:
    out, position = [], 0
    while position < len(path):
        match = STEP.match(path, position)
        if not match or match.end() == position:
            raise ValueError(f"cannot read the path {path!r} at {position}")
        out.append(match)
        position = match.end()
    return out


def walk(value, match: re.Match):
    """The container's key or index that one step of a path means, or None."""
    if match["index"] is not None:
        index = int(match["index"])
        return index if isinstance(value, list) and -len(value) <= index < len(value) else None
    if match["key"] is not None:
        if not isinstance(value, list):
            return None
        for index, item in enumerate(value):
            if isinstance(item, dict) and str(item.get(match["key"])) == match["value"]:
                return index
        return None
    name = match["quoted"] or match["name"]
    return name if isinstance(value, dict) and name in value else None


def find(value, path: str):
    """(container, key) of the last step, or None when the path leads nowhere."""
    container, key = None, None
    for match in steps(path):
        if container is not None or key is not None:
            value = container[key]
        container, key = value, walk(value, match)
        if key is None:
            return None
    return container, key


def load(path: pathlib.Path):
    """Objects of a file: a list for YAML and JSON, else its text. What helm has to fill in first is text."""
    text = path.read_text(encoding="utf-8")
    if "templates" in path.parts and re.search(r"(?m)^\s*(\{\{-|[\w-]+: \{\{)", text):
        return text
    if path.suffix in (".yaml", ".yml"):
        return [o for o in yaml.load_all(text, Loader=Loader) if o is not None]
    if path.suffix == ".json":
        return [json.loads(text)]
    return text


def select(content, assertion: Assertion):
    """Index of the object that the assertion means, or None."""
    if not assertion.object:
        return 0 if content else None
    wanted = assertion.object.split("/")
    for index, o in enumerate(content):
        metadata = o.get("metadata", {})
        name = (
            [o.get("kind"), metadata.get("name")]
            if len(wanted) == 2
            else [o.get("kind"), metadata.get("namespace"), metadata.get("name")]
        )
        if name == wanted:
            return index
    return None


def number(value) -> float:
    if isinstance(value, bool):
        raise TypeError("a truth value is no number")
    if isinstance(value, (int, float)):
        return float(value)
    match = re.fullmatch(r"([0-9.]+)(Ki|Mi|Gi|Ti|k|M|G|T|m)?", str(value))
    if not match:
        raise TypeError(f"{value!r} is no number")
    factor = {
        None: 1,
        "Ki": 2**10,
        "Mi": 2**20,
        "Gi": 2**30,
        "Ti": 2**40,
        "k": 1e3,
        "M": 1e6,
        "G": 1e9,
        "T": 1e12,
        "m": 1e-3,
    }
    return float(match[1]) * factor[match[2]]


def related(value, relation: str, expected) -> bool:
    match relation:
        case "is":
            return value == expected and isinstance(value, bool) == isinstance(expected, bool)
        case "has":
            if isinstance(value, dict):
                return expected in value
            if isinstance(value, list):
                return any(
                    expected == item
                    or (isinstance(expected, dict) and isinstance(item, dict) and expected.items() <= item.items())
                    for item in value
                )
            return isinstance(value, str) and str(expected) in value
        case "matches":
            return re.search(expected, value if isinstance(value, str) else json.dumps(value)) is not None
        case "min":
            return number(value) >= number(expected)
        case "max":
            return number(value) <= number(expected)
        case "count":
            return isinstance(value, (list, dict)) and len(value) == expected
    raise ValueError(relation)


def holds(content, assertion: Assertion) -> bool:
    """`content` as load() gives it; None when the file is not there."""
    absent = assertion.relation == "absent"
    if content is None:
        return absent and not assertion.at
    if isinstance(content, str) or (not assertion.at and not assertion.object):
        text = content if isinstance(content, str) else "\n".join(json.dumps(o) for o in content)
        return not absent and related(text, assertion.relation, assertion.expected)
    index = select(content, assertion)
    if index is None:
        return absent and not assertion.at
    if not assertion.at:
        return not absent and related(content[index], assertion.relation, assertion.expected)
    place = find(content[index], assertion.at)
    if place is None:
        return absent
    container, key = place
    return not absent and related(container[key], assertion.relation, assertion.expected)


def changed(value):
    """Something else of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return -value - 1
    if isinstance(value, str):
        return "changed-by-the-mutation-run"
    if isinstance(value, list):
        return [] if value else ["changed-by-the-mutation-run"]
    return {} if value else {"changed": "by-the-mutation-run"}


def mutants(content, assertion: Assertion):
    """Copies of the content, each with what the assertion looks at dropped or changed."""
    if assertion.relation == "absent":
        if content is None:
            yield "file added", [{"kind": "Added"}]
            return
        # What must not be there is put there.
        broken = copy.deepcopy(content)
        index = select(broken, assertion)
        if index is None:
            return
        value = broken[index]
        path = steps(assertion.at)
        for match in path[:-1]:
            key = walk(value, match)
            if key is None:
                value[match["quoted"] or match["name"]] = {}
                key = match["quoted"] or match["name"]
            value = value[key]
        if path[-1]["key"] is not None:
            value.append({path[-1]["key"]: path[-1]["value"]})
        else:
            value[path[-1]["quoted"] or path[-1]["name"]] = "added"
        yield "added", broken
        return
    yield "file dropped", None
    if isinstance(content, str) or (not assertion.at and not assertion.object):
        text = content if isinstance(content, str) else "\n".join(json.dumps(o) for o in content)
        pattern = assertion.expected if assertion.relation == "matches" else re.escape(str(assertion.expected))
        yield "text changed", re.sub(pattern, "changed", text)
        return
    index = select(content, assertion)
    dropped = copy.deepcopy(content)
    del dropped[index]
    yield "object dropped", dropped
    if not assertion.at:
        return
    for what in ("dropped", "changed"):
        broken = copy.deepcopy(content)
        container, key = find(broken[index], assertion.at)
        if what == "dropped":
            del container[key]
        elif assertion.relation == "max":
            container[key] = 10**18
        elif assertion.relation == "count":
            container[key] = []
        else:
            container[key] = changed(container[key])
        yield f"value {what}", broken
