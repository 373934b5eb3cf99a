"""A cluster that is there: nothing below it is made, and external-dns writes what it publishes into the zone it may."""

from __future__ import annotations

import json

import yaml

TREE = "webui-k3s+existing"


def test_names_are_written_into_one_zone_by_its_owner(rendered):
    values = yaml.safe_load(
        (rendered(TREE) / "components/72-names/external-dns/values.yaml").read_text(encoding="utf-8")
    )
    assert values["provider"] == {"name": "cloudflare"}
    assert values["sources"] == ["gateway-httproute"]
    assert values["domainFilters"] == ["example.com"]
    assert (values["policy"], values["registry"], values["txtOwnerId"]) == ("sync", "txt", "webui")
    mount = values["extraVolumeMounts"][0]
    assert values["env"][0]["value"] == f"file:{mount['mountPath']}/credentials"
    plan = json.loads((rendered(TREE) / "plan.json").read_text(encoding="utf-8"))
    wanted = [s for s in plan["secrets"] if s["name"] == "external-dns"]
    assert wanted == [
        {
            "name": "external-dns",
            "namespace": "external-dns",
            "keys": ["credentials"],
            "from": "secretRef cloudflare",
            "why": "writes names into the zone",
        }
    ]


def test_nothing_below_the_cluster_is_made(rendered):
    assert [p.name for p in (rendered(TREE) / "infrastructure").rglob("*") if p.is_file()] == []
