"""What GKE and AKS ask of policies beyond the others: API servers that call through a tunnel of pods, nodes that no
range of addresses means, tokens of identities from an address of the node."""

from __future__ import annotations

import json
import subprocess

import pytest
from conftest import ROOT, documents
from lib.reach import End, Network, outside, pod

GOOGLE, AZURE = "analytics-hub+google", "analytics-hub+azure"
TUNNELS = {GOOGLE: ("k8s-app", "konnectivity-agent"), AZURE: ("app", "konnectivity-agent")}
both = pytest.mark.parametrize("tree", TUNNELS)

API = pod("llm-analytics", app="api")
PROMETHEUS = pod("monitoring", app="prometheus")
WEBHOOK = pod("cert-manager", component="webhook", **{"app.kubernetes.io/instance": "cert-manager"})
CERTIFICATES = pod("cert-manager", component="controller", **{"app.kubernetes.io/instance": "cert-manager"})
NODE = outside("10.40.0.5")
METADATA = outside("169.254.169.254")


@both
def test_api_servers_call_webhooks_through_their_tunnel(tree, rendered):
    network = Network.of(rendered(tree))
    tunnel = End("kube-system", (TUNNELS[tree],))
    assert network.reaches(tunnel, WEBHOOK, 10250)
    assert not network.reaches(API, WEBHOOK, 10250)


@both
def test_prometheus_asks_nodes_and_nothing_else_of_them(tree, rendered):
    network = Network.of(rendered(tree))
    assert network.reaches(PROMETHEUS, NODE, 10250)
    assert not network.reaches(PROMETHEUS, NODE, 22)
    assert not network.reaches(API, NODE, 10250)


def test_only_who_has_an_identity_asks_for_its_token(rendered):
    network = Network.of(rendered(GOOGLE))
    assert network.reaches(CERTIFICATES, METADATA, 80)
    assert network.reaches(pod("logging", app="loki"), METADATA, 80)
    assert network.reaches(pod("backup", app="velero"), METADATA, 80)
    assert not network.reaches(API, METADATA, 80)


def test_names_are_looked_up_on_the_node(rendered):
    network = Network.of(rendered(GOOGLE))
    cache = End("kube-system", (("k8s-app", "node-local-dns"),))
    assert network.reaches(API, cache, 53, "UDP")
    assert not network.reaches(API, End("kube-system", (("k8s-app", "metrics-agent"),)), 53, "UDP")


@both
def test_names_of_secrets_are_what_the_store_takes(tree, rendered):
    text = (rendered(tree) / "components/10-secrets/external-secrets.yaml").read_text(encoding="utf-8")
    keys = {line.split(":", 1)[1].strip() for line in text.splitlines() if line.strip().startswith("key:")}
    assert keys
    assert not [key for key in keys if "/" in key]


def cluster_of(folder, kind: str) -> dict:
    module = json.loads((folder / "infrastructure/terraform/cluster.tf.json").read_text(encoding="utf-8"))
    return module["resource"][kind]["main"]


def rendered_with(binary, tmp_path, tree: str, window: dict) -> tuple:
    """(folder, what was said) of a tree whose upkeep.window is another."""
    overlay = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Platform", "metadata": {"name": "llm-analytics"}}
    overlay["spec"] = {"upkeep": {"window": window}}
    (tmp_path / "window.yaml").write_text(json.dumps(overlay))
    files = [*(ROOT / d for d in documents(tree)), tmp_path / "window.yaml"]
    words = ["render", *(w for f in files for w in ("-f", str(f))), "-o", tmp_path / "out"]
    done = subprocess.run([binary, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return tmp_path / "out", done.stderr


def test_google_cares_for_its_cluster_in_the_window(rendered):
    """Sun 03:00-05:00 in Brussels: by UTC, and as long as Google takes of one day a week."""
    policy = cluster_of(rendered(GOOGLE), "google_container_cluster")["maintenance_policy"]
    assert policy["recurring_window"] == {
        "start_time": "2024-01-07T02:00:00Z",
        "end_time": "2024-01-07T14:00:00Z",
        "recurrence": "FREQ=WEEKLY;BYDAY=SU",
    }
    assert "Sunday from 02:00 for 12 hours, by UTC" in (rendered(GOOGLE) / "RUNBOOK.md").read_text(encoding="utf-8")


def test_azure_cares_for_its_cluster_in_the_window(rendered):
    """The same, by the clock of Brussels' winter and four hours long, for patches, nodes and Azure's own parts."""
    cluster = cluster_of(rendered(AZURE), "azurerm_kubernetes_cluster")
    wanted = {"frequency": "Weekly", "interval": 1, "day_of_week": "Sunday", "start_time": "03:00"}
    wanted |= {"utc_offset": "+01:00", "duration": 4}
    assert cluster["maintenance_window_auto_upgrade"] == wanted
    assert cluster["maintenance_window_node_os"] == wanted
    assert cluster["maintenance_window"] == {"allowed": [{"day": "Sunday", "hours": [2, 3, 4, 5]}]}


@pytest.mark.parametrize(
    ("window", "google", "azure", "warned"),
    [
        (
            {"at": "Sun 00:30-04:30", "timeZone": "Europe/Brussels"},
            ("2024-01-06T23:30:00Z", "2024-01-07T11:30:00Z", "FREQ=WEEKLY;BYDAY=SA"),
            [{"day": "Saturday", "hours": [23]}, {"day": "Sunday", "hours": [0, 1, 2, 3]}],
            {"google": ["window_too_short"], "azure": []},
        ),
        (
            {"at": "Sat,Sun 18:00-00:00", "timeZone": "America/New_York"},
            ("2024-01-06T23:00:00Z", "2024-01-07T05:00:00Z", "FREQ=WEEKLY;BYDAY=SA,SU"),
            [
                {"day": "Monday", "hours": [0, 1, 2, 3, 4]},
                {"day": "Saturday", "hours": [23]},
                {"day": "Sunday", "hours": [0, 1, 2, 3, 4, 23]},
            ],
            {"google": [], "azure": []},
        ),
        (
            {"at": "daily 01:00-05:00", "timeZone": "UTC"},
            ("2024-01-01T01:00:00Z", "2024-01-01T05:00:00Z", "FREQ=DAILY"),
            [
                {"day": day, "hours": [1, 2, 3, 4]}
                for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
            ],
            {"google": [], "azure": []},
        ),
    ],
)
def test_windows_over_midnight_of_several_days_and_of_all(binary, tmp_path, window, google, azure, warned):
    (tmp_path / "google").mkdir()
    (tmp_path / "azure").mkdir()
    folder, said = rendered_with(binary, tmp_path / "google", GOOGLE, window)
    found = cluster_of(folder, "google_container_cluster")["maintenance_policy"]["recurring_window"]
    assert (found["start_time"], found["end_time"], found["recurrence"]) == google
    codes = ("window_too_short",)
    assert [code for code in codes if f"warning[{code}]" in said] == warned["google"]
    folder, said = rendered_with(binary, tmp_path / "azure", AZURE, window)
    cluster = cluster_of(folder, "azurerm_kubernetes_cluster")
    assert cluster["maintenance_window"]["allowed"] == azure
    nodes = cluster["maintenance_window_node_os"]
    assert (nodes["frequency"], "day_of_week" in nodes) == (("Daily", False) if len(azure) == 7 else ("Weekly", True))
    assert cluster["maintenance_window_auto_upgrade"]["frequency"] == "Weekly"
    assert [code for code in codes if f"warning[{code}]" in said] == warned["azure"]
