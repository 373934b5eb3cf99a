"""Terraform JSON against the schemas of the providers (test/oracles/providers/, made by tools/import_provider_schema.py).

terraform_schema judges each resource, data source and provider block here: unknown and missing arguments, nesting, types
of what is written out. A text with ${ may become any type, so its type is not judged. It needs no program.
tofu_validate asks OpenTofu itself, with a stand-in for each provider that states the same schema
(test/oracles/schemaprovider/): references, expressions, types across resources, versions asked for.
tofu_plan goes on to `tofu plan` of a first apply with the same stand-in: every expression is evaluated, with unknown
values where a provider would set them.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import json
import lzma
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import yaml
from lib import kube
from lib.kube_facts import StrictLoader
from lib.oracles import Oracle, Problem, program, run

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "oracles/providers"
META = {"count", "depends_on", "for_each", "lifecycle", "provider", "provisioner", "connection", "//"}
SECTIONS = {
    "resource",
    "data",
    "provider",
    "variable",
    "output",
    "locals",
    "module",
    "terraform",
    "moved",
    "removed",
    "import",
}
SECTIONS |= {"check", "//"}
# Made by Terraform itself or by providers without infrastructure; not judged in terraform_schema.
PLAIN = {"terraform", "http", "archive", "external"}


@functools.cache
def provider(name: str) -> dict | None:
    """{version, provider, resource, data} of aws, azurerm, google or opentelekomcloud."""
    file = FOLDER / f"{name}.json.xz"
    return json.loads(lzma.decompress(file.read_bytes())) if file.exists() else None


class TerraformSchema:
    """check(what): a folder of .tf.json files, one of them, or its text."""

    name = "provider schema"

    def available(self) -> str | None:
        return None

    def check(self, what: pathlib.Path | str) -> list[Problem]:
        if isinstance(what, str):
            return self._file("main.tf.json", what)
        files = sorted(what.rglob("*.tf.json")) if what.is_dir() else [what]
        if not files:
            return [Problem(self.name, str(what), "holds no .tf.json file")]
        return [p for file in files for p in self._file(str(file), file.read_text())]

    def _file(self, name: str, text: str) -> list[Problem]:
        try:
            parsed = yaml.load(text, StrictLoader)
        except yaml.YAMLError as e:
            return [Problem(self.name, name, str(e))]
        return [Problem(self.name, f"{name}: {where}", message) for where, message in _document(parsed)]


def _document(parsed: dict) -> Iterator[tuple[str, str]]:
    for section in parsed:
        if section not in SECTIONS:
            yield section, "no such section" + _near(section, SECTIONS)
    for section in ("resource", "data"):
        for where, kind, body in _bodies(parsed, section, 2):
            prefix = kind.partition("_")[0]
            facts = provider(prefix)
            if facts is None:
                if prefix not in PLAIN:
                    yield where, f"the schema of the provider {prefix} is not known here"
                continue
            schema = facts[section].get(kind)
            if schema is None:
                yield where, f"{prefix} {facts['version']} has no such {section}" + _near(kind, facts[section])
            else:
                yield from _block(where, body, schema, META)
    for where, name, body in _bodies(parsed, "provider", 1):
        facts = provider(name)
        if facts is not None:
            yield from _block(where, body, facts["provider"], {"alias", "version", "//"})


def _bodies(parsed: dict, section: str, depth: int) -> Iterator[tuple[str, str, dict]]:
    """(place, first label, body) below a section of that many labels; a list holds several of the same labels."""

    def walk(node: object, labels: list[str]) -> Iterator[tuple[str, str, dict]]:
        if isinstance(node, list):
            for part in node:
                yield from walk(part, labels)
        elif len(labels) == depth:
            yield ".".join([section, *labels]), labels[0], node if isinstance(node, dict) else {}
        elif isinstance(node, dict):
            for label, child in node.items():
                if label != "//":
                    yield from walk(child, [*labels, str(label)])

    yield from walk(parsed.get(section) or {}, [])


def _near(name: str, known) -> str:
    near = difflib.get_close_matches(str(name), list(known), 1)
    return f"; {near[0]}?" if near else ""


def _block(where: str, body: dict, schema: dict, meta: set[str]) -> Iterator[tuple[str, str]]:
    attributes, blocks = schema["attributes"], schema.get("blocks", {})
    dynamic = body.get("dynamic") if isinstance(body.get("dynamic"), dict) else {}
    for name, value in body.items():
        at = f"{where}.{name}"
        if name in meta or (name == "dynamic" and dynamic):
            continue
        if name in attributes:
            yield from _attribute(at, value, attributes[name])
        elif name in blocks:
            yield from _nested(at, value, blocks[name])
        else:
            yield at, "no such argument" + _near(name, [*attributes, *blocks])
    for name, content in dynamic.items():
        if name not in blocks:
            yield f"{where}.dynamic.{name}", "no such block" + _near(name, blocks)
            continue
        for part in content if isinstance(content, list) else [content]:
            yield from _nested(f"{where}.dynamic.{name}", part.get("content", {}), blocks[name])
    for name, kind in attributes.items():
        if kind.endswith("!") and body.get(name) is None:
            yield where, f"the argument {name} is required"
    for name, block in blocks.items():
        if block.get("required") and body.get(name) in (None, []) and name not in dynamic:
            yield where, f"the block {name} is required"


def _nested(where: str, value: object, block: dict) -> Iterator[tuple[str, str]]:
    if block.get("computed"):
        yield where, "the provider sets this; it cannot be given"
        return
    if value is None or (isinstance(value, str) and "${" in value):
        return
    if block["nesting"] == "map" and isinstance(value, dict):
        items = list(value.values())
    else:
        items = value if isinstance(value, list) else [value]
    if block.get("max") == 1 and len(items) > 1:
        yield where, f"at most one is taken, {len(items)} are given"
    for i, item in enumerate(items):
        at = f"{where}[{i}]" if isinstance(value, list) else where
        if isinstance(item, dict):
            yield from _block(at, item, block, {"//"})
        elif not (isinstance(item, str) and "${" in item):
            yield at, f"{json.dumps(item)[:60]} is no block"


def _attribute(where: str, value: object, kind: str) -> Iterator[tuple[str, str]]:
    if kind.endswith("="):
        yield where, "the provider sets this; it cannot be given"
    elif value is None and kind.endswith("!"):
        yield where, "is required, and is null"
    elif value is not None and not _fits(value, kind.rstrip("!")):
        yield where, f"{json.dumps(value)[:60]} is no {kind.rstrip('!')}"


def _fits(value: object, kind: str) -> bool:
    if kind == "any" or (isinstance(value, str) and "${" in value):
        return True
    wrapped = re.fullmatch(r"(list|set|map)\((.*)\)", kind)
    if wrapped:
        if wrapped[1] == "map":
            return isinstance(value, dict) and all(_fits(v, wrapped[2]) for v in value.values())
        return isinstance(value, list) and all(_fits(v, wrapped[2]) for v in value)
    if kind == "string":  # Terraform makes texts of numbers and of truth values
        return isinstance(value, (str, int, float))
    if kind == "number":
        return (isinstance(value, (int, float)) and not isinstance(value, bool)) or _is_number(value)
    return isinstance(value, bool) or value in ("true", "false")


def _is_number(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) is not None


# --- OpenTofu --------------------------------------------------------------------------------------------------------


class TofuValidate(Oracle):
    """A root module: a folder, or the text of its only file. `init` and `validate` in a copy, no backend, no network.

    A provider whose facts are not here makes `init` fail, which is a problem. Its version is taken as the module asks
    for it, so what is judged is the schema of the version that the facts are of (provider(name)["version"]).
    """

    name = "tofu validate"
    programs = ("tofu", "schemaprovider")

    def check(self, what: pathlib.Path | str, **options) -> list[Problem]:
        with tempfile.TemporaryDirectory(prefix="tg-oracle-") as folder:
            copy = pathlib.Path(folder) / "root"
            if isinstance(what, pathlib.Path) and what.is_dir():
                shutil.copytree(what, copy, ignore=shutil.ignore_patterns(".terraform", ".terraform.lock.hcl"))
            else:
                copy.mkdir()
                text = what.read_text() if isinstance(what, pathlib.Path) else what
                (copy / "main.tf.json").write_text(text)
            return self.judge(copy)

    def judge(self, path: pathlib.Path) -> list[Problem]:
        env = _environment(path)
        ended = _tofu(path, env, "init", "-backend=false", "-input=false")
        if ended.returncode:
            return self.by_status(path, ended)
        ended = _tofu(path, env, "validate", "-json")
        try:
            found = json.loads(ended.stdout)["diagnostics"]
        except (ValueError, KeyError):
            return self.by_status(path, ended)
        return [self._diagnostic(d) for d in found]

    def _diagnostic(self, found: dict) -> Problem:
        at = found.get("range") or {}
        where = f"{at.get('filename', '?')}:{at.get('start', {}).get('line', '?')}"
        return self.problem(where, f"{found['summary']}. {found.get('detail', '')}", found["severity"] != "error")


class TofuPlan(TofuValidate):
    """The same root module, planned as on the first day: nothing exists, no backend is asked, no network.

    Variables have the values of the module's terraform.tfvars.json; one that has neither a value nor a default, and a
    collection that is empty, is given a placeholder of its type, so that what is repeated over it is planned too.
    Problems are what OpenTofu says, and each resource that is not planned to be created (`count` and `for_each` may
    make it several). plan() is the plan itself, in the form of `tofu show -json`.
    """

    name = "tofu plan"

    def judge(self, path: pathlib.Path) -> list[Problem]:
        return self._planned(path)[0]

    def plan(self, what: pathlib.Path) -> tuple[list[Problem], dict]:
        with tempfile.TemporaryDirectory(prefix="tg-oracle-") as folder:
            copy = pathlib.Path(folder) / "root"
            shutil.copytree(what, copy, ignore=shutil.ignore_patterns(".terraform", ".terraform.lock.hcl"))
            return self._planned(copy)

    def _planned(self, path: pathlib.Path) -> tuple[list[Problem], dict]:
        module = _parsed(path)
        values = path / "terraform.tfvars.json"
        given = json.loads(values.read_text()) if values.exists() else {}
        home = path.parent / "home"
        _files_of_home(home, module, given)
        (path / "local_override.tf.json").write_text(json.dumps({"terraform": {"backend": {"local": {}}}}))
        (path / "placeholders.auto.tfvars.json").write_text(json.dumps(_placeholders(module, given)))
        env = {**_environment(path), "HOME": str(home)}
        ended = _tofu(path, env, "init", "-input=false")
        if ended.returncode:
            return self.by_status(path, ended), {}
        out = path.parent / "plan"
        ended = _tofu(path, env, "plan", "-json", "-input=false", "-lock=false", "-detailed-exitcode", f"-out={out}")
        lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        problems = [self._diagnostic(line["diagnostic"]) for line in lines if "diagnostic" in line]
        if ended.returncode not in (0, 2):
            return problems or self.by_status(path, ended), {}
        ended = _tofu(path, env, "show", "-json", str(out))
        if ended.returncode:
            return self.by_status(path, ended), {}
        plan = json.loads(ended.stdout)
        return problems + [self.problem(where, why) for where, why in _not_created(module, plan)], plan


def _environment(path: pathlib.Path) -> dict[str, str]:
    """What makes OpenTofu take the stand-ins, and nothing else, for the providers of a module."""
    settings = path.parent / "tofu.rc"
    mirror = path.parent / "mirror"
    for source, version in _providers(path):
        _stand_in(mirror, source, version)
    settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
    return {
        "TF_CLI_CONFIG_FILE": str(settings),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "TIDEGATE_PROVIDER_FACTS": str(_plain_facts()),
    }


def _tofu(path: pathlib.Path, env: dict[str, str], command: str, *flags: str) -> subprocess.CompletedProcess:
    return run(program("tofu"), command, "-no-color", *flags, cwd=path, env=env)


def _parsed(folder: pathlib.Path) -> list[dict]:
    """The files of a root module; tofu says it where one cannot be read."""
    out = []
    for file in sorted(folder.glob("*.tf.json")):
        with contextlib.suppress(ValueError):
            out.append(json.loads(file.read_text()))
    return out


def _variables(module: list[dict]) -> Iterator[tuple[str, dict]]:
    for file in module:
        yield from ((name, body) for _, name, body in _bodies(file, "variable", 1))


def _files_of_home(home: pathlib.Path, module: list[dict], given: dict) -> None:
    """The files that whoever applies the module has at home, as their variables say."""
    for name, variable in _variables(module):
        value = given.get(name, variable.get("default"))
        if isinstance(value, str) and value.startswith("~/"):
            (home / value[2:]).parent.mkdir(parents=True, exist_ok=True)
            (home / value[2:]).write_text("placeholder\n")


def _placeholders(module: list[dict], given: dict) -> dict[str, object]:
    out = {}
    for name, variable in _variables(module):
        value = given.get(name, variable.get("default", _UNSET))
        if value is _UNSET or value in ([], {}):
            out[name] = _placeholder(name, variable.get("type", "string"))
    return out


_UNSET = object()


def _placeholder(name: str, kind: str) -> object:
    """A value of a variable's type."""
    wrapped = re.fullmatch(r"(list|set|map|optional)\((.*)\)", kind.strip(), re.S)
    if wrapped:
        inner = _placeholder(name, wrapped[2])
        return {"list": [inner], "set": [inner], "map": {"placeholder": inner}, "optional": inner}[wrapped[1]]
    return {"number": 1, "bool": True}.get(kind.strip(), f"placeholder-{name}")


def _not_created(module: list[dict], plan: dict) -> Iterator[tuple[str, str]]:
    """(address, why) of each resource that the plan does not create, or does not repeat as it says."""
    actions: dict[str, dict[object, list]] = {}
    for change in plan.get("resource_changes", []):
        address = change["address"].partition("[")[0]
        actions.setdefault(address, {})[change.get("index")] = change["change"]["actions"]
    for file in module:
        for where, _, body in _bodies(file, "resource", 2):
            found = actions.get(where.removeprefix("resource."), {})
            if not found and body.get("count") != 0:
                yield where, "is not in the plan"
            for index, what in found.items():
                if what != ["create"]:
                    yield f"{where}[{index!r}]", f"is planned to {what}, not to be created"
            wanted = _repeated(body)
            if wanted is not None and set(found) != wanted:
                yield where, f"is planned for {sorted(map(str, found))}, wanted {sorted(map(str, wanted))}"


def _repeated(body: dict) -> set | None:
    """The indices that are written out, or None where an expression makes them."""
    if "for_each" in body:
        written = body["for_each"]
        return set(written) if isinstance(written, dict) and not any("${" in key for key in written) else None
    if "count" in body:
        return set(range(body["count"])) if isinstance(body["count"], int) else None
    return {None}


def _providers(folder: pathlib.Path) -> set[tuple[str, str]]:
    """(source, version) of the providers that the modules in a folder ask for by name or by the kind of a resource."""
    wanted: dict[str, tuple[str, str]] = {}
    used = set()
    for file in sorted(folder.rglob("*.tf.json")):
        try:
            parsed = json.loads(file.read_text())
        except ValueError:
            continue  # tofu says where it is wrong
        for section in ("resource", "data"):
            used |= {kind.partition("_")[0] for _, kind, _ in _bodies(parsed, section, 2)}
        used |= {name for _, name, _ in _bodies(parsed, "provider", 1)}
        for _, name, entry in _bodies({"p": _required_providers(parsed)}, "p", 1):
            wanted[name] = (entry.get("source", f"hashicorp/{name}"), entry.get("version", ""))
    for name in used - set(wanted):
        wanted[name] = (f"hashicorp/{name}", "")
    return {(source, _version(source, constraint)) for source, constraint in wanted.values()}


def _required_providers(parsed: dict) -> list:
    blocks = parsed.get("terraform") or []
    return [b.get("required_providers") or {} for b in (blocks if isinstance(blocks, list) else [blocks])]


def _version(source: str, constraint: str) -> str:
    """The highest version that a part of the constraint names, else that of the facts."""
    named = [p for p in constraint.split(",") if p.strip() and not p.strip().startswith(("<", "!"))]
    numbers = [[int(n) for n in re.findall(r"\d+", p)[:3]] for p in named]
    if not numbers:
        facts = provider(source.rpartition("/")[2])
        return facts["version"] if facts else "0.0.0"
    highest = max(numbers)
    return ".".join(str(n) for n in highest + [0] * (3 - len(highest)))


def _stand_in(mirror: pathlib.Path, source: str, version: str) -> None:
    name = source.rpartition("/")[2]
    if provider(name) is None:
        return
    host = "" if source.count("/") == 2 else "registry.opentofu.org/"
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    place = mirror / f"{host}{source}" / version / f"linux_{machine}"
    place.mkdir(parents=True, exist_ok=True)
    own = pathlib.Path(program("schemaprovider") or "").resolve()
    target = place / f"terraform-provider-{name}_v{version}"
    try:
        os.link(own, target)
    except OSError:  # another disk
        shutil.copy2(own, target)


@functools.cache
def _plain_facts() -> pathlib.Path:
    """The facts unpacked, for the stand-in."""
    place = kube.folder_of_tools() / "provider-facts"
    place.mkdir(parents=True, exist_ok=True)
    for packed in FOLDER.glob("*.json.xz"):
        plain = place / packed.name.removesuffix(".xz")
        if not plain.exists() or plain.stat().st_mtime < packed.stat().st_mtime:
            plain.write_bytes(lzma.decompress(packed.read_bytes()))
    return place


terraform_schema = TerraformSchema()
tofu_validate = TofuValidate()
tofu_plan = TofuPlan()
