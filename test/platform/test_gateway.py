"""The gateways' own files, judged by a server that reads them: the firewall's rules let by and hold back."""

from __future__ import annotations

import pathlib

import pytest
import yaml
from conftest import TREES
from lib import oracles

pytestmark = pytest.mark.parametrize("tree", TREES)

RULES = "Include /etc/modsecurity/crs/crs-setup.conf\nInclude /usr/share/modsecurity-crs/rules/*.conf\n"
LET_BY = ["/?name=chat", "/v1/usage?from=2026-01-01&to=2026-02-01", ("POST", "/login", b"user=ada&next=%2Fhome")]
HELD_BACK = [
    "/?id=1%27%20or%20%271%27=%271",
    "/?q=<script>alert(1)</script>",
    "/?file=../../../../etc/passwd",
    ("POST", "/login", b"user=ada%27%20UNION%20SELECT%20password%20FROM%20users--"),
    ("PROPFIND", "/", b""),
]


def firewall(folder: pathlib.Path) -> str:
    path = folder / "components/70-routes/firewall.conf"
    if not path.exists():
        pytest.skip("this platform has no firewall")
    return path.read_text(encoding="utf-8")


def test_firewall_lets_by_and_holds_back(tree, rendered):
    oracles.need(oracles.nginx_waf)
    text = firewall(rendered(tree)) + RULES
    assert oracles.errors(oracles.nginx_waf.check(text)) == []
    statuses = oracles.nginx_waf.statuses(text, [*LET_BY, ("DELETE", "/v1/keys/7", b""), *HELD_BACK])
    assert statuses == [200] * (len(LET_BY) + 1) + [403] * len(HELD_BACK)
    only_tells = oracles.nginx_waf.statuses(text.replace("Engine On", "Engine DetectionOnly"), HELD_BACK[:-1])
    assert only_tells == [200] * (len(HELD_BACK) - 1)


def test_gateway_is_told_what_the_file_says(tree, rendered):
    """Envoy's module and nginx' configuration have the same lines as the file that was tried."""
    folder = rendered(tree)
    lines = [line for line in firewall(folder).splitlines() if line and not line.startswith("#")]
    policies = folder / "components/70-routes/policies.yaml"
    if policies.exists():
        found = [
            o for o in yaml.safe_load_all(policies.read_text(encoding="utf-8")) if o["metadata"]["name"] == "firewall"
        ]
        directives = found[0]["spec"]["dynamicModule"][0]["config"]["directives"]
        assert [d for d in directives if not d.startswith("Include")] == lines
        assert directives[-1] == "Include @owasp_crs/*.conf"
        return
    path = next(folder.glob("components/*-gateway/ingress-nginx/values.yaml"))
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    snippet = values["controller"]["config"]["modsecurity-snippet"]
    assert snippet.replace("\\'", "'").splitlines() == lines
    # The controller writes it between single quotes.
    oracles.need(oracles.nginx)
    config = (
        "pid nginx.pid;\nevents {}\nhttp {\n  access_log off;\n  modsecurity on;\n"
        f"  modsecurity_rules '{snippet}';\n  server {{ listen 127.0.0.1:1; return 204; }}\n}}\n"
    )
    assert oracles.errors(oracles.nginx.check(config, waf=True)) == []
