"""The tools that make the facts of the oracles, each on a small source."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import pathlib
import subprocess
import sys
import tarfile
import textwrap
import zipfile

TOOLS = pathlib.Path(__file__).resolve().parent.parent.parent / "tools"


def run(tool: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def unpack(path: pathlib.Path):
    return json.loads(lzma.decompress(path.read_bytes()))


def version(name: str, stored: bool, **more) -> dict:
    names = {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing", "scope": "Namespaced"}
    return {
        "group": "example.k8s.io",
        "version": name,
        **names,
        "served": True,
        "storage": stored,
        "schema": {},
        **more,
    }


def test_definitions_are_put_together_again(tmp_path):
    source, out = tmp_path / "facts", tmp_path / "out"
    for found in (version("v1", True, shortNames=["th"]), version("v1beta1", False, deprecated=True)):
        path = source / "example.k8s.io" / found["version"] / "Thing.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(found))
    (source / "kubernetes-1.99.json.gz").write_bytes(gzip.compress(b"{}"))
    ended = run("import_crds.py", source, out)
    assert ended.returncode == 0, ended.stderr
    (definition,) = unpack(out / "example.k8s.io.json.xz")
    assert definition["metadata"]["name"] == "things.example.k8s.io"
    assert "api-approved.kubernetes.io" in definition["metadata"]["annotations"]
    assert definition["spec"]["names"]["shortNames"] == ["th"]
    assert [(v["name"], v["storage"]) for v in definition["spec"]["versions"]] == [("v1", True), ("v1beta1", False)]
    first = [p.read_bytes() for p in sorted(out.iterdir())]
    assert run("import_crds.py", source, out).returncode == 0
    assert [p.read_bytes() for p in sorted(out.iterdir())] == first
    assert run("import_crds.py", tmp_path / "nothing", out).returncode == 1


DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.k8s.io}
spec:
  group: example.k8s.io
  names: {kind: Thing, listKind: ThingList, plural: things, singular: thing}
  scope: Cluster
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          description: A thing.
          type: object
          properties:
            description: {description: A property of that name., type: string}
            parts: {type: array, items: {description: One of them., type: string}}
---
apiVersion: v1
kind: Namespace
metadata: {name: beside}
"""


def test_definitions_of_projects_are_read_without_their_prose(tmp_path):
    source, out = tmp_path / "facts", tmp_path / "out"
    source.mkdir()
    (source / "things.yaml").write_text(DEFINITION)
    ended = run("import_crds.py", "--add", source, out)
    assert ended.returncode == 0, ended.stderr
    (definition,) = unpack(out / "example.k8s.io.json.xz")
    assert (definition["metadata"]["name"], definition["spec"]["scope"]) == ("things.example.k8s.io", "Cluster")
    (version,) = definition["spec"]["versions"]
    parts = {"description": {"type": "string"}, "parts": {"type": "array", "items": {"type": "string"}}}
    assert version["schema"] == {"openAPIV3Schema": {"type": "object", "properties": parts}}
    (source / "things.yaml").write_text("kind: Namespace")
    assert run("import_crds.py", "--add", source, out).returncode == 1


def test_a_chart_is_read_with_the_charts_in_it(tmp_path):
    inner = tmp_path / "web/charts/crds"
    (tmp_path / "web/templates").mkdir(parents=True)
    inner.mkdir(parents=True)
    (tmp_path / "web/Chart.yaml").write_text("{name: web, version: 1.2.3, appVersion: v9}")
    (tmp_path / "web/values.yaml").write_text(
        "{replicas: 3, place: {zone: a}, pdb: {min: 1}, extra: {}, crds: {install: true}}"
    )
    (tmp_path / "web/templates/web.yaml").write_text(
        "{{ toYaml .Values.place }}\n{{ include .Values.pdb }}\n{{ .Values.hidden.key }}"
    )
    (inner / "Chart.yaml").write_text("{name: crds, version: 1.2.3}")
    (inner / "values.yaml").write_text("{groups: {own: true}}")
    ended = run("import_chart_values.py", tmp_path / "web", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    web = unpack(tmp_path / "out/charts.json.xz")["web"]
    assert (web["version"], web["appVersion"]) == ("1.2.3", "v9")
    keys = web["values"]["properties"]
    assert keys["replicas"] == {"type": "integer"}
    assert keys["place"] == {"type": "object", "open": True, "properties": {"zone": {"type": "string"}}}
    assert keys["pdb"] == {"type": "object", "properties": {"min": {"type": "integer"}}}
    assert keys["extra"] == {"type": "object", "open": True, "properties": {}}
    assert keys["hidden"] == {"type": "any"}
    assert set(keys["crds"]["properties"]) == {"install", "groups"}


def test_values_are_kept_without_their_defaults(tmp_path):
    source = tmp_path / "facts"
    source.mkdir()
    tree = {"type": "object", "properties": {"replicas": {"type": "integer", "default": 3}}}
    (source / "web.json").write_text(json.dumps({"chart": "web", "version": "1.2.3", "values": tree}))
    ended = run("import_chart_values.py", source, tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    kept = unpack(tmp_path / "out/charts.json.xz")
    assert kept["web"]["version"] == "1.2.3"
    assert kept["web"]["values"]["properties"] == {"replicas": {"type": "integer"}}


SCRIPT = """
function diskFilterToHclTerraform(struct) {
    const attrs = {
        max_size: {
            value: cdktf.numberToHclTerraform(struct.maxSize),
            isBlock: false,
            type: "simple",
            storageClassType: "number",
        },
    };
}
class DiskFilterOutputReference extends cdktf.ComplexObject {
    get maxSize() {
        return this.getNumberAttribute('max_size');
    }
}
class DiskPartsOutputReference extends cdktf.ComplexObject {
    get id() {
        return this.getStringAttribute('id');
    }
}
class DiskPartsList extends cdktf.ComplexList {
}
class Disk extends cdktf.TerraformResource {
    constructor(scope, id, config) {
        super(scope, id, { terraformGeneratorMetadata: { providerVersion: '1.2.3' } });
        this._parts = new DiskPartsList(this, "parts", false);
        this._filter = new DiskFilterOutputReference(this, "filter");
    }
    get diskName() {
        return this.getStringAttribute('disk_name');
    }
    get state() {
        return this.getStringAttribute('state');
    }
    synthesizeHclAttributes() {
        const attrs = {
            disk_name: {
                value: cdktf.stringToHclTerraform(this._diskName),
                isBlock: false,
                type: "simple",
                storageClassType: "string",
            },
            zones: {
                value: cdktf.listMapperHcl(cdktf.stringToHclTerraform, false)(this._zones),
                isBlock: false,
                type: "set",
                storageClassType: "stringList",
            },
            filter: {
                value: diskFilterToHclTerraform(this._filter.internalValue),
                isBlock: true,
                type: "list",
                storageClassType: "DiskFilterList",
            },
        };
    }
}
Disk.tfResourceType = "cloud_disk";
"""
TYPES = """
export interface DiskConfig extends cdktf.TerraformMetaArguments {
    readonly diskName: string;
    readonly zones?: string[];
    readonly filter: DiskFilter;
}
export interface DiskFilter {
    readonly maxSize?: number | cdktf.IResolvable;
}
"""
PROVIDER = """
class CloudProvider extends cdktf.TerraformProvider {
    synthesizeHclAttributes() {
        const attrs = {
            region: {
                value: cdktf.stringToHclTerraform(this._region),
                isBlock: false,
                type: "simple",
                storageClassType: "string",
            },
        };
    }
}
"""
WANTED = {
    "attributes": {"disk_name": "string!", "zones": "set(string)", "state": "string="},
    "blocks": {
        "filter": {"attributes": {"max_size": "number"}, "nesting": "list", "max": 1, "required": True},
        "parts": {"attributes": {"id": "string="}, "nesting": "list", "computed": True},
    },
}


def test_a_schema_is_read_out_of_the_bindings(tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for folder, script, types in (("disk", SCRIPT, TYPES), ("provider", PROVIDER, "")):
            for name, content in (("index.js", script), ("index.d.ts", types)):
                data = textwrap.dedent(content).encode()
                member = tarfile.TarInfo(f"package/lib/{folder}/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    wheel = tmp_path / "bindings.whl"
    with zipfile.ZipFile(wheel, "w") as outer:
        outer.writestr("cloud/_jsii/cloud.tgz", packed.getvalue())
    ended = run("import_provider_schema.py", "cloud", wheel, tmp_path)
    assert ended.returncode == 0, ended.stderr
    facts = unpack(tmp_path / "cloud.json.xz")
    assert facts["version"] == "1.2.3"
    assert facts["provider"] == {"attributes": {"region": "string"}}
    assert facts["resource"] == {"cloud_disk": WANTED}
