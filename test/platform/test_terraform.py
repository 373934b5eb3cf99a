"""What holds for the Terraform of every tree: judged by the schemas of the providers, by OpenTofu where it is here
(validated, and planned as on the first day), and by what no schema says: references, variables, placeholders, tags,
secrets, addresses."""

from __future__ import annotations

import collections
import hashlib
import ipaddress
import itertools
import json
import pathlib
import re
from collections.abc import Iterator

import pytest
from conftest import TREES
from lib import oracles
from lib.oracles_terraform import provider, terraform_schema, tofu_plan, tofu_validate

pytestmark = pytest.mark.parametrize("tree", TREES)

ADDRESS = re.compile(
    r"(?<![\w.\"/-])(?:(?P<plain>var|local)\.(?P<variable>[a-z_0-9]+)"
    r"|(?:(?P<data>data)\.)?(?P<kind>[a-z][a-z0-9]*(?:_[a-z0-9]+)*)\.(?P<name>[A-Za-z_][\w-]*))"
)
KEPT = {"each", "path", "var", "local", "data", "self", "count", "terraform"}


@pytest.fixture
def module(tree, rendered) -> pathlib.Path:
    folder = rendered(tree) / "infrastructure/terraform"
    if not folder.is_dir():
        pytest.skip("nothing to ask: the tree has no Terraform")
    return folder


@pytest.fixture(scope="session")
def planned():
    """planned(module) is (problems, plan); overlays that leave the Terraform as it is are planned once."""
    known: dict[str, tuple[list, dict]] = {}

    def plan(module: pathlib.Path) -> tuple[list, dict]:
        digest = hashlib.sha256()
        for path in sorted(module.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        if digest.hexdigest() not in known:
            known[digest.hexdigest()] = tofu_plan.plan(module)
        return known[digest.hexdigest()]

    return plan


def merged(folder: pathlib.Path) -> dict:
    out: dict = {}
    for path in sorted(folder.glob("*.tf.json")):
        for section, content in json.loads(path.read_text(encoding="utf-8")).items():
            if section in ("resource", "data"):
                for kind, named in content.items():
                    known = out.setdefault(section, {}).setdefault(kind, {})
                    assert not set(known) & set(named), f"{path.name}: {kind} twice"
                    known.update(named)
            elif isinstance(content, dict):
                out.setdefault(section, {}).update(content)
    return out


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from texts(key)
            yield from texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from texts(child)


def expressions(text: str) -> Iterator[str]:
    """The insides of ${...}, with braces inside them counted."""
    start = text.find("${")
    while start >= 0:
        depth, end = 1, start + 2
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        yield text[start + 2 : end - 1]
        start = text.find("${", end)


def bodies(module: dict, section: str = "resource") -> Iterator[tuple[str, str, dict]]:
    for kind, named in module.get(section, {}).items():
        for name, body in named.items():
            yield kind, name, body


def declared(module: dict) -> set[str]:
    out = {f"{kind}.{name}" for kind, name, _ in bodies(module)}
    out |= {f"data.{kind}.{name}" for kind, name, _ in bodies(module, "data")}
    out |= {f"var.{name}" for name in module.get("variable", {})}
    return out | {f"local.{name}" for name in module.get("locals", {})}


def referred(module: dict) -> set[str]:
    out = set()
    for section in ("resource", "data", "output", "locals", "provider", "variable"):
        for text in texts(module.get(section, {})):
            for inside in expressions(text):
                bare = re.sub(r'"(?:[^"\\$]|\\.)*"', '""', inside)
                for plain, variable, data, kind, name in ADDRESS.findall(bare):
                    if plain:
                        out.add(f"{plain}.{variable}")
                    elif data or (kind not in KEPT and "_" in kind):
                        out.add(f"data.{kind}.{name}" if data else f"{kind}.{name}")
    for _, _, body in itertools.chain(bodies(module), bodies(module, "data")):
        out |= set(body.get("depends_on", []))
    return out


def test_providers_know_every_argument(module):
    assert oracles.errors(terraform_schema.check(module)) == []


def test_opentofu_takes_the_module(module):
    oracles.need(tofu_validate)
    assert oracles.errors(tofu_validate.check(module)) == []


def test_opentofu_plans_every_resource(module, planned):
    """All are created, none else; each condition of a variable or of a resource is decided, and holds."""
    oracles.need(tofu_plan)
    problems, plan = planned(module)
    assert oracles.errors(problems) == []
    undecided = [c["address"]["to_display"] for c in plan.get("checks") or [] if c["status"] != "pass"]
    assert undecided == []
    created = {c["address"].partition("[")[0] for c in plan["resource_changes"] if c["change"]["actions"] == ["create"]}
    assert created == {f"{kind}.{name}" for kind, name, _ in bodies(merged(module))}


def test_planned_things_have_names_of_their_own(module, planned):
    """What a cloud would refuse: two of a kind under one name. Records of one name differ in their type."""
    oracles.need(tofu_plan)
    found: dict[tuple, list[str]] = collections.defaultdict(list)
    for change in planned(module)[1]["resource_changes"]:
        after = change["change"]["after"]
        if change["mode"] == "managed" and after.get("name"):
            found[change["type"], after["name"], after.get("type")].append(change["address"])
    assert len(found) > 5
    assert [addresses for addresses in found.values() if len(addresses) > 1] == []


def test_references_lead_somewhere(module):
    everything = merged(module)
    assert sorted(referred(everything) - declared(everything)) == []


def test_variables_are_used_and_have_values(module):
    everything = merged(module)
    variables = everything.get("variable", {})
    given = json.loads((module / "terraform.tfvars.json").read_text(encoding="utf-8"))
    assert sorted(set(given) - set(variables)) == [], "values without a variable"
    uses = {text for text in referred(everything) if text.startswith("var.")}
    assert sorted(f"var.{name}" for name in variables if f"var.{name}" not in uses) == []
    for name, variable in variables.items():
        assert variable["description"] and variable["type"], name
        if variable.get("sensitive"):
            # One that is kept nowhere is given when it is written, and else is nothing.
            nothing = variable.get("ephemeral") is True and variable.get("default", "") is None
            assert nothing or "default" not in variable, f"{name}: a secret has no default"
            assert name not in given, f"{name}: a secret is not written down"
        else:
            assert "default" in variable or name in given or "key" in name, f"{name} has no value"


def test_placeholders_have_their_outputs(module, tree, rendered):
    outputs = merged(module).get("output", {})
    for path in sorted(rendered(tree).rglob("*")):
        if path.is_file() and module not in path.parents:
            for name in re.findall(r"output:([A-Za-z0-9_-]+)", path.read_text(encoding="utf-8")):
                assert name in outputs, f"{path.relative_to(rendered(tree))}: output:{name}"


def test_secrets_are_references(module):
    for kind, name, body in bodies(merged(module)):
        for key, value in body.items():
            if re.search(r"password$|psk|pre_?shared_key|secret_key|shared_secret$", key) and isinstance(value, str):
                assert value.startswith("${"), f"{kind}.{name}.{key}"
    everything = merged(module)
    for name, output in everything.get("output", {}).items():
        if re.search(r"client_key|private_key|certificate_data|password", name):
            assert output.get("sensitive") is True, f"output {name}"
    backend = json.dumps(everything["terraform"].get("backend", {}))
    assert not re.search(r"access_key|secret_key|token", backend)


def test_what_can_carry_tags_does(module):
    """AWS and Google have default tags of the provider; the others say them on each resource."""
    everything = merged(module)
    settings = json.dumps(everything["provider"])
    if "default_tags" in settings or "default_labels" in settings:
        return
    for kind, name, body in bodies(everything):
        facts = provider(kind.partition("_")[0])
        attributes = facts["resource"][kind]["attributes"]
        for key in ("tags", "user_tags"):
            if key in attributes and not attributes[key].endswith("="):
                assert "var.tags" in json.dumps(body.get(key)), f"{kind}.{name} has no {key}"


def test_kubeconfig_is_private(module):
    files = merged(module)["resource"]["local_sensitive_file"]
    assert {f["file_permission"] for f in files.values()} == {"0600"}


def test_subnets_are_inside_and_apart(module):
    everything = merged(module)
    given = json.loads((module / "terraform.tfvars.json").read_text(encoding="utf-8"))
    whole = ipaddress.ip_network(given.get("vpc_cidr") or given.get("network_cidr"))
    found = []
    for kind, _, body in bodies(everything):
        if "subnet" not in kind or "group" in kind or "association" in kind:
            continue
        for key in ("cidr", "cidr_block", "ip_cidr_range", "address_prefixes"):
            for text in texts(body.get(key)):
                found.append(ipaddress.ip_network(given["subnet_cidr"] if text == "${var.subnet_cidr}" else text))
    assert found
    for network in found:
        assert network.subnet_of(whole), network
    for left, right in itertools.combinations(found, 2):
        assert not left.overlaps(right), (left, right)


def test_data_is_protected(module):
    for kind, name, body in bodies(merged(module)):
        if kind in ("aws_rds_cluster", "aws_efs_file_system") or (kind.endswith("_bucket") and name == "backup"):
            assert body["lifecycle"]["prevent_destroy"] is True, f"{kind}.{name}"
