"""The runbook and the plan say what the tree holds: nothing is missing in them, and nothing comes too early."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from conftest import ROOT, TREES, documents
from lib import kube_facts, shell_words

pytestmark = pytest.mark.parametrize("tree", TREES)


@pytest.fixture
def book(tree, rendered) -> str:
    return (rendered(tree) / "RUNBOOK.md").read_text(encoding="utf-8")


@pytest.fixture
def plan(tree, rendered) -> dict:
    return json.loads((rendered(tree) / "plan.json").read_text(encoding="utf-8"))


def objects_of(folder, phase: dict) -> list[dict]:
    paths = [folder / s["path"] for s in phase["steps"] if s["kind"] == "manifests"]
    return [o for path in paths for o in kube_facts.parse(path.read_text(encoding="utf-8"))]


def test_runbook_names_what_is_there(tree, rendered, book, plan):
    """Every part, every chart with its release, every Secret, and what to do for every alert of our own."""
    for phase in plan["phases"]:
        assert f"| {phase['name']} | `{phase['folder']}` |" in book
        for step in phase["steps"]:
            if step["kind"] == "helm":
                assert f"{step['chart']} {step['version']}" in book
    for secret in plan["secrets"]:
        assert f"| {secret['namespace']}/{secret['name']} |" in book
    for path in rendered(tree).glob("components/42-alerts/rules/*.yaml"):
        for rule in kube_facts.parse(path.read_text(encoding="utf-8")):
            for alert in (r["alert"] for g in rule["spec"]["groups"] for r in g["rules"] if "alert" in r):
                text = re.search(rf"(?m)^### Alert {alert}\n((?:(?!^#).+\n)+)", book)
                assert text and len(text[1]) > 20, alert
    titles = re.findall(r"(?m)^(?:## (.+)|### (.+))$", re.sub(r"(?s)```.*?```", "", book))
    chapter, seen = "", set()
    for head, section in titles:
        chapter = head or chapter
        assert (chapter, section) not in seen or not section, f"{chapter}: {section} stands twice"
        seen.add((chapter, section))


def test_first_user_of_the_chat_is_named(tree, rendered, book):
    """The chat makes no user without a name, and lets nobody register."""
    values = rendered(tree) / "components/52-chat/open-webui/values.yaml"
    if not values.exists():
        assert "### Chat\n" not in book
        return
    given = {e["name"]: e.get("value") for e in yaml.safe_load(values.read_text(encoding="utf-8"))["extraEnvVars"]}
    section = re.search(r"(?m)^### Chat\n(.+) · user (\S+) · password:\n\n    kubectl -n chat get secret", book)
    assert section and section[2] == given["WEBUI_ADMIN_EMAIL"]
    assert re.fullmatch(r"[^@\s]+@[^@\s]+", section[2])
    host = given.get("WEBUI_URL")
    assert section[1] == host if host else "port-forward service/open-webui 8080:80" in section[1]


def test_runbook_promises_no_support_that_is_over(book):
    table = (ROOT / "src/catalog/releases.cpp").read_text(encoding="utf-8")
    made = re.search(r'catalog_date\(\) \{ return "(\d{4}-\d\d-\d\d)"', table)
    assert made
    for how, day in re.findall(r"\(support (by the project ended on|ends) (\d{4}-\d\d-\d\d)", book):
        assert (how == "ends") == (day >= made[1])


def test_runbook_holds_the_document(tree, book):
    """What the user wrote stands there, merged: each name and each value of every document."""
    text = re.search(r"(?s)## The document\n.*?```yaml\n(.*?)```", book)
    assert text
    held = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(text[1])}
    wanted: dict = {}
    for path in documents(tree):
        for d in yaml.safe_load_all((ROOT / path).read_text(encoding="utf-8")):
            key = (d["kind"], d["metadata"]["name"])
            wanted[key] = merged(wanted.get(key, {}), d)
    assert set(wanted) <= set(held)
    for key, document in wanted.items():
        lacking = [p for p in leaves(document["spec"]) if not stands(held[key]["spec"], *p)]
        assert lacking == [], key


def merged(old, new):
    """JSON merge patch: null takes away."""
    if not isinstance(new, dict):
        return new
    old = old if isinstance(old, dict) else {}
    out = {k: v for k, v in old.items() if k not in new}
    return out | {k: merged(old.get(k, {}), v) for k, v in new.items() if v is not None}


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(child, (*path, str(key)))
    else:
        yield path, value


def stands(held, path, value) -> bool:
    for key in path:
        if not isinstance(held, dict) or key not in held:
            return False
        held = held[key]
    # A short form is written out: `logs: loki` is `logs: {use: loki}`, one of many is a list of one.
    whole = [*held, *held.values()] if isinstance(held, dict) else [held]
    return isinstance(value, list) or value in whole or [value] in whole


def test_plan_comes_after_what_it_needs(tree, rendered, plan):
    """A phase stands behind those it names, and whatever lies in a namespace behind the namespaces."""
    folder = rendered(tree)
    names = [p["name"] for p in plan["phases"]]
    assert len(set(names)) == len(names)
    before: dict[str, set[str]] = {}
    for phase in plan["phases"]:
        assert set(phase["after"]) <= set(before), f"{phase['name']} waits for what comes later"
        before[phase["name"]] = set(phase["after"]).union(*(before[n] for n in phase["after"]))
    made = {o["metadata"]["name"] for p in plan["phases"] for o in objects_of(folder, p) if o["kind"] == "Namespace"}
    for phase in plan["phases"]:
        behind = before[phase["name"]]
        kinds = [s["kind"] for s in phase["steps"]]
        assert kinds == sorted(kinds, key=lambda k: k == "wait"), "what is waited for must be there first"
        for o in objects_of(folder, phase):
            where = o["metadata"].get("namespace")
            if where in made and phase["name"] != "namespaces" and phase["folder"] != "infrastructure":
                assert "namespaces" in behind, f"{phase['name']}: {o['kind']} in {where}"
            if o["apiVersion"].startswith("monitoring.coreos.com/") and "monitoring-crds" in names:
                assert "monitoring-crds" in behind, f"{phase['name']}: {o['kind']} {o['metadata']['name']}"
        for step in phase["steps"]:
            inside = phase["folder"] != "infrastructure" and phase["name"] != "network"
            if step["kind"] == "helm" and "network" in names and inside:
                assert "network" in behind, f"pods of {step['release']} have no network"


VELERO = re.compile(
    r"(?<![\w/.-])velero (?:(?:-n|--namespace) (\S+) )?(?:backup|restore|schedule|repo|get|describe|create)\b"
)


def test_velero_is_asked_in_its_namespace(rendered, tree, plan):
    """Its program looks into a namespace of its own name unless it is told another."""
    steps = [s for phase in plan["phases"] for s in phase["steps"] if s.get("chart") == "velero"]
    asked = []
    for path in sorted(rendered(tree).rglob("*")):
        if path.is_file() and path.suffix in (".md", ".sh", ".yml", ".yaml", ""):
            asked += [(path.name, match) for match in VELERO.finditer(path.read_text(encoding="utf-8"))]
    assert bool(asked) == bool(steps)
    for name, match in asked:
        assert match[1] == steps[0]["namespace"], f"{name}: {match[0]}"


# --- programs --------------------------------------------------------------------------------------------------------

# Of every Debian and Ubuntu with ssh and systemd.
BASE = set(
    [
        "apt-cache",
        "apt-get",
        "apt-mark",
        "awk",
        "base64",
        "basename",
        "cat",
        "chmod",
        "chown",
        "cmp",
        "cp",
        "cut",
        "date",
        "df",
        "diff",
        "dirname",
        "dpkg-query",
        "du",
        "find",
        "getent",
        "grep",
        "head",
        "hostname",
        "id",
        "install",
        "journalctl",
        "ln",
        "ls",
        "mkdir",
        "mktemp",
        "mountpoint",
        "mv",
        "od",
        "readlink",
        "rm",
        "rmdir",
        "sed",
        "sha256sum",
        "sleep",
        "sort",
        "ssh",
        "ssh-keygen",
        "ssh-keyscan",
        "stat",
        "swapoff",
        "swapon",
        "systemctl",
        "tail",
        "tar",
        "tee",
        "timedatectl",
        "touch",
        "tr",
        "uname",
        "uniq",
        "update-initramfs",
        "wc",
        "xargs",
        "zramctl",
    ]
)
# Program -> the package that has it.
PACKAGES = {
    "conntrack": "conntrack",
    "containerd": "containerd.io",
    "crictl": "cri-tools",
    "ctr": "containerd.io",
    "curl": "curl",
    "etcdctl": "etcd-client",
    "etcdutl": "etcd-client",
    "ethtool": "ethtool",
    "free": "procps",
    "gpg": "gnupg2",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "kubeadm": "kubeadm",
    "kubectl": "kubectl",
    "modinfo": "kmod",
    "modprobe": "kmod",
    "nft": "nftables",
    "nvidia-ctk": "nvidia-container-toolkit",
    "nvidia-smi": "nvidia-open",
    "openssl": "openssl",
    "rclone": "rclone",
    "socat": "socat",
    "sqlite3": "sqlite3",
    "sysctl": "procps",
}
# What operators have on their own machine, or what is inside a pod or a cloud's shell.
OPERATORS = set(
    [
        "aws",
        "az",
        "bao",
        "bq",
        "base64",
        "curl",
        "gcloud",
        "git",
        "gpg",
        "helm",
        "istioctl",
        "jq",
        "k9s",
        "kubectl",
        "kyverno",
        "openssl",
        "rclone",
        "ssh-keyscan",
        "tidegate",
        "tofu",
        "trivy",
        "velero",
    ]
)


def installed(folder) -> set[str]:
    """Packages that the host scripts install, programs that they put in place, and those of k3s itself."""
    scripts = "".join(p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.sh")))
    packages = set()
    for line in re.findall(r"(?m)^\s*(?:install_packages|install_held|packages=\()\s*(.*?)\)?$", scripts):
        packages |= set(re.findall(r"(?<![$\w{])[a-z][\w.+-]+", line))
    out = {program for program, package in PACKAGES.items() if package in packages}
    out |= {path.name for path in folder.glob("files/*/usr/local/sbin/*")}
    if (folder / "k3s.sh").exists():
        out |= {"k3s", *re.findall(r"\w+", re.findall(r"for name in (.*); do\n.*ln -sfn k3s", scripts)[0])}
    return out


def test_every_program_is_there(rendered, tree, book):
    """What host scripts call is on a plain machine or installed by them; the runbook adds what operators have."""
    folder = rendered(tree) / "infrastructure"
    hosts = (folder / "prepare.sh").exists()
    # Images of nodes that others make have the program of their container runtime.
    there = BASE | installed(folder) if hosts else {"crictl"}
    if hosts:
        files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "inventory.sh"]
        scripts = {p: p.read_text(encoding="utf-8") for p in files if p.read_bytes()[:2] == b"#!" or p.name == "lib.sh"}
        functions = {name for text in scripts.values() for name in re.findall(r"(?m)^\s*(\w+)\(\)", text)}
        assert len(scripts) > 5
        for path, text in scripts.items():
            lacking = shell_words.programs(text) - functions - there
            # These run where the operator is, too.
            assert lacking == set(), f"{path.relative_to(folder)} calls what nobody installs"
    texts = re.sub(r"(?s)## The document\n.*?```yaml\n.*?```", "", book)
    fences = [text for kind, text in re.findall(r"(?s)```(\w*)\n(.*?)```", texts) if kind in ("", "sh", "bash")]
    spans = re.findall(r"`([a-z][\w-]* [^`\n]+)`", re.sub(r"(?s)```.*?```", "", texts))
    called = {w for text in fences for w in shell_words.programs(text)}
    called |= {w for w in (span.split()[0] for span in spans) if w in PACKAGES or w in ("etcd-restore", "k3s")}
    assert {"kubectl", "helm"} <= called
    assert called - there - OPERATORS - BASE == set(), "nobody has these programs"
