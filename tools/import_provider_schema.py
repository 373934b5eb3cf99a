#!/usr/bin/env python3
"""Makes test/oracles/providers/NAME.json.xz: what a Terraform provider takes, read out of the package of its bindings.

usage: tools/import_provider_schema.py NAME PACKAGE.whl [OUT]

The package is cdktf-cdktf-provider-NAME of the Python index (`pip download --no-deps` fetches it). Nothing of it is
run: its generated files state names, types, nesting, required and computed of every resource and data source, and only
these facts are kept.

A schema is {"attributes": {name: TYPE}, "blocks": {name: BLOCK}}. TYPE is the type as Terraform writes it, with `!`
when the attribute is required and `=` when only the provider sets it. BLOCK is a schema with `nesting` (single, list,
set, map), and where they hold `max` (1), `required`, `computed` (the provider alone sets it) and `attribute` (written
as an argument). Whether an optional attribute is computed too is not stated by the package.
"""

from __future__ import annotations

import io
import json
import lzma
import pathlib
import re
import sys
import tarfile
import zipfile

ATTRIBUTE = re.compile(
    r'^ +"?(\w+)"?: \{\s+value: (.*?),\s+isBlock: (true|false),\s+type: "(\w+)",\s+storageClassType: "([^"]+)",\s+\}',
    re.M,
)
STRUCT = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{\n(.*?)^\}", re.M | re.S)
CLASS = re.compile(r"^class (\w+) extends cdktf\.(\w+) \{\n(.*?)^\}", re.M | re.S)
GETTER = re.compile(r"(Fn\.tolist\()?this\.get(\w+?)Attribute\('(\w+)'\)")
COMPLEX = re.compile(r'new (cdktf\.)?(\w+)\(this, "(\w+)"(?:, (true|false))?\)')
OF_STRUCT = re.compile(r"(?<![.\w])(\w+)ToHclTerraform")
INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{\n(.*?)^\}", re.M | re.S)
REQUIRED = re.compile(r"^    readonly (\w+): ", re.M)
OPTIONAL = re.compile(r"^    readonly (\w+)\?: ", re.M)
# A large resource keeps its structures in files of their own, which are read as if they were one.
PARTS = re.compile(r"(?:index|index-structs/structs\d+)\.(js|d\.ts)")
ELSEWHERE = re.compile(r"\b(?:index_structs|structs\d+)_1\.")
FIELD = re.compile(r"(?:struct|this)\.(\w+)(?:\.internalValue)?\)?$")

SIMPLE = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "StringMap": "map(string)",
    "NumberMap": "map(number)",
}
SIMPLE |= {
    "BooleanMap": "map(bool)",
    "AnyMap": "map(any)",
    "Any": "any",
    "NumberList": "list(number)",
    "List": "list(string)",
}
SIMPLE |= {"StringMapList": "list(map(string))", "BooleanList": "list(bool)"}
STORED = {"string": "string", "number": "number", "boolean": "bool", "any": "any"}


def stored_type(stored: str, kind: str) -> str:
    """The Terraform type of a storage class such as stringMap or numberListList."""
    match = re.fullmatch(r"(string|number|boolean|any)((?:List|Map|Set)*)", stored)
    if not match:
        return "any"
    out = STORED[match[1]]
    for wrap in re.findall("List|Map|Set", match[2]):
        out = f"{wrap.lower()}({out})"
    return f"set{out[4:]}" if kind == "set" and out.startswith("list(") else out


class Module:
    """One folder of the package: a resource, a data source or the provider."""

    def __init__(self, script: str, types: str):
        self.classes = {name: (base, body) for name, base, body in CLASS.findall(script)}
        self.structs = {name.lower(): body for name, body in STRUCT.findall(script)}
        self.required = {name: set(REQUIRED.findall(body)) for name, body in INTERFACE.findall(types)}
        self.inputs = {
            name: set(OPTIONAL.findall(body)) | self.required[name] for name, body in INTERFACE.findall(types)
        }
        self.interfaces = {name.lower(): name for name in self.required}
        named = re.search(r'^(\w+)\.tfResourceType = "(\w+)";', script, re.M)
        self.main, self.type = (named[1], named[2]) if named else (None, None)
        version = re.search(r"providerVersion: '([\d.]+)'", script)
        self.version = version[1] if version else None

    def schema(self) -> dict:
        assert self.main
        _, body = self.classes[self.main]
        hcl = body.partition("synthesizeHclAttributes() {")[2]
        return self._node(body, hcl, f"{self.main}Config")

    def _node(self, body: str, hcl: str, interface: str) -> dict:
        """Of a class body, the text that lists what may be written, and the interface that says what must be."""
        required = self.required.get(interface, set())
        attributes: dict[str, str] = {}
        blocks: dict[str, dict] = {}
        complexes = {name: (cls, of_set == "true") for own, cls, name, of_set in COMPLEX.findall(body) if not own}
        for name, value, is_block, kind, stored in ATTRIBUTE.findall(hcl):
            field = FIELD.search(value)
            must = bool(field) and field[1].lstrip("_") in required
            struct = OF_STRUCT.search(value)
            if struct and struct[1].lower() in self.structs:
                blocks[name] = self._block(struct[1], complexes.get(name), kind, must, is_block == "true")
            else:
                attributes[name] = stored_type(stored, kind) + ("!" if must else "")
        for tolist, getter, name in GETTER.findall(body):
            if name not in attributes and name not in blocks:
                found = SIMPLE.get(getter, "any")
                attributes[name] = (f"set{found[4:]}" if tolist and found.startswith("list(") else found) + "="
        for own, cls, name, _ in COMPLEX.findall(body):
            if name in attributes or name in blocks:
                continue
            if own:
                attributes[name] = SIMPLE.get(cls, "any") + "="
            else:
                blocks[name] = self._computed(*complexes[name])
        return {"attributes": attributes, **({"blocks": blocks} if blocks else {})}

    def _block(self, struct: str, found: tuple[str, bool] | None, kind: str, must: bool, is_block: bool) -> dict:
        interface = self.interfaces.get(struct.lower(), "")
        body = self._item_body(found[0] if found else f"{interface}OutputReference")
        node = self._node(body, self.structs[struct.lower()], interface)
        single = found is None or found[0].endswith("OutputReference")
        node["nesting"] = "single" if kind == "struct" else kind
        if single and kind in ("list", "set"):
            node["max"] = 1
        if must:
            node["required"] = True
        if not is_block:
            node["attribute"] = True
        return node

    def _computed(self, cls: str, of_set: bool) -> dict:
        node = self._node(self._item_body(cls), "", "")
        base = self.classes.get(cls, ("", ""))[0]
        node["nesting"] = {"ComplexMap": "map", "ComplexObject": "single"}.get(base, "set" if of_set else "list")
        return {**node, "computed": True}

    def _item_body(self, cls: str) -> str:
        """Of a list, that of its items."""
        base, body = self.classes.get(cls, ("", ""))
        if base in ("ComplexList", "ComplexMap"):
            return self.classes.get(re.sub(r"(List|Map)$", "OutputReference", cls), ("", ""))[1]
        return body


def packed_files(wheel: pathlib.Path) -> dict[str, dict[str, str]]:
    """Folder -> {"js": text, "d.ts": text}; a folder is a resource, a data source, or `provider`."""
    found: dict[str, dict[str, str]] = {}
    with zipfile.ZipFile(wheel) as outer:
        inner = next(n for n in outer.namelist() if n.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner)), mode="r:gz") as archive:
            for member in archive:
                parts = member.name.split("/")
                if len(parts) < 4 or parts[1] != "lib" or not (match := PARTS.fullmatch("/".join(parts[3:]))):
                    continue
                file = archive.extractfile(member)
                assert file
                folder = found.setdefault(parts[2], {"js": "", "d.ts": ""})
                folder[match[1]] += ELSEWHERE.sub("", file.read().decode())
    return found


def provider_schema(files: dict[str, str]) -> dict:
    """The provider's own arguments, which have no type name."""
    module = Module(files["js"], files["d.ts"])
    module.main = next(name for name, (base, _) in module.classes.items() if base == "TerraformProvider")
    return module.schema()


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    name = arguments[0]
    default = pathlib.Path(__file__).resolve().parent.parent / "test/oracles/providers"
    out = pathlib.Path(arguments[2]) if len(arguments) == 3 else default
    folders = packed_files(pathlib.Path(arguments[1]))
    facts: dict = {"provider": provider_schema(folders.pop("provider")), "resource": {}, "data": {}}
    for _, files in sorted(folders.items()):
        module = Module(files["js"], files["d.ts"])
        if module.main:
            kind = "data" if module.classes[module.main][0] == "TerraformDataSource" else "resource"
            facts[kind][module.type] = module.schema()
            facts["version"] = module.version
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    file = out / f"{name}.json.xz"
    file.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    counts = f"{len(facts['resource'])} resources, {len(facts['data'])} data sources"
    print(f"{file}: provider {facts['version']}, {counts}, {len(text)} bytes, {file.stat().st_size} packed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
