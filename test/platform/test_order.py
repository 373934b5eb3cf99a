"""What each command of a tree needs is there when it runs: kinds, namespaces, Secrets, nodes. Worked out for every tree
from its plan, which the runbook and the pipeline's script must follow."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from conftest import TREES
from lib import kube_facts, steps

pytestmark = pytest.mark.parametrize("tree", TREES)

# Namespaces that every cluster has.
GIVEN = {"default", "kube-system", "kube-public", "kube-node-lease"}
# Groups that the cluster brings: of its own, of its distribution, of an add-on that its Terraform names.
OWN_GROUPS = {"helm.cattle.io", "apiregistration.k8s.io", "metrics.k8s.io"}
SNAPSHOTS = "snapshot.storage.k8s.io"
# Secrets that an operator makes from an object: (pattern of the name, kind).
MADE = ((r"^{}-es-(elastic-user|http-certs-public)$", "Elasticsearch"),)


@pytest.fixture
def folder(tree, rendered):
    return rendered(tree)


@pytest.fixture
def commands(folder) -> list[steps.Command]:
    found = steps.commands(folder)
    assert len(found) > 5
    return found


def custom(o: dict) -> str:
    """The API group of an object if the API server does not know it by itself."""
    group = kube_facts.group_of(o["apiVersion"])
    return group if "." in group and kube_facts.builtin_kinds().get((o["apiVersion"], o["kind"])) is None else ""


def brings_snapshots(folder) -> bool:
    found = sorted((folder / "infrastructure/terraform").glob("*.tf.json"))
    text = "".join(p.read_text(encoding="utf-8") for p in found)
    # Google, Azure and Open Telekom Cloud bring them with the cluster; on AWS they are an add-on.
    return bool(found) and ('"aws_eks_cluster"' not in text or '"snapshot-controller"' in text)


def given_groups(folder) -> set[str]:
    there = set(OWN_GROUPS)
    if brings_snapshots(folder):
        there.add(SNAPSHOTS)
    addons = folder / "infrastructure/terraform/addons.tf.json"
    if addons.exists() and '"cie-collector"' in addons.read_text(encoding="utf-8"):
        there.add("monitoring.coreos.com")  # the cloud's own monitoring
    return there


def test_kinds_are_defined_before_objects_of_them(folder, commands):
    there = given_groups(folder)
    early = []
    for command in commands:
        # kubectl maps all files of a command to kinds before it sends the first.
        early += [
            f"{command.what}: {o['kind']} {o['metadata']['name']}"
            for o in command.objects
            if custom(o) not in there | {""}
        ]
        there |= command.defines
    assert early == []


def test_charts_that_make_objects_of_foreign_kinds_come_after_them(folder, commands):
    there = given_groups(folder)
    for command in commands:
        if command.chart and steps.asks_for_monitors(command.values):
            assert "monitoring.coreos.com" in there, command.what
        if command.chart == "tigera-operator":
            assert "operator.tigera.io" in there, "the chart's Installation is of a kind that it does not define"
        there |= command.defines


def test_nobody_asks_for_the_gateway_api_before_it_is_there(folder, commands):
    """cert-manager ends at once when the kinds that it is told to watch do not exist."""
    there: set[str] = set()
    gateways = [
        o for c in commands for o in c.objects if kube_facts.group_of(o["apiVersion"]) == "gateway.networking.k8s.io"
    ]
    for command in commands:
        if command.chart == "cert-manager":
            asked = steps.at(command.values, "config.enableGatewayAPI") is True
            assert not asked or "gateway.networking.k8s.io" in there, command.what
            assert asked == bool(gateways), "it watches Gateways where there are any, and only there"
        there |= command.defines


def test_namespaces_are_there_before_what_lies_in_them(commands):
    there = set(GIVEN)
    for command in commands:
        there |= {o["metadata"]["name"] for o in command.objects if o["kind"] == "Namespace"}
        wanted = {o["metadata"].get("namespace", "") for o in command.objects} | {command.namespace}
        assert wanted - {""} <= there, command.what


def secrets_of(command: steps.Command):
    """Names that a command brings: what it makes itself, and what a controller makes of it."""
    for o in command.objects:
        name, namespace, kind = o["metadata"]["name"], o["metadata"].get("namespace", ""), o["kind"]
        if kind in ("Secret", "ConfigMap"):
            yield kind, namespace, name, set(o.get("data") or {}) | set(o.get("stringData") or {})
        elif kind == "ExternalSecret":
            keys = {d["secretKey"] for d in o["spec"].get("data") or ()}
            yield "Secret", namespace, o["spec"].get("target", {}).get("name", name), keys
        elif kind == "Certificate":
            yield "Secret", namespace, o["spec"]["secretName"], {"tls.crt", "tls.key", "ca.crt"}


def test_what_pods_name_is_there_when_they_start(folder, commands):
    """Secrets and ConfigMaps, in the namespace of the pod, in no later phase, with the keys that are asked for."""
    needs = {("Secret", s["namespace"], s["name"]): set(s["keys"]) for s in steps.plan(folder)["secrets"]}
    owners = {
        (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for c in commands for o in c.objects
    }
    order = [p["name"] for p in steps.plan(folder)["phases"]]
    brought: dict[tuple, tuple[int, set[str]]] = {}
    for command in commands:
        for kind, namespace, name, keys in secrets_of(command):
            brought.setdefault((kind, namespace, name), (order.index(command.phase), keys))
    lacking = []
    for command in commands:
        pods = [(p["metadata"].get("namespace", ""), p["spec"]) for p in kube_facts.pods_of(command.objects)]
        if command.chart:
            pods.append((command.namespace, command.values))
        for namespace, spec in pods:
            for kind, name, keys in steps.needs_of(spec):
                if any(
                    (owner, namespace, match[1]) in owners
                    for pattern, owner in MADE
                    if (match := re.match(pattern.format("(.+)"), name))
                ):
                    continue
                place = (kind, namespace, name)
                where = f"{command.what}: {kind} {namespace}/{name}"
                at, known = brought.get(place, (-1, needs.get(place)))
                if known is None:
                    lacking.append(f"{where} comes from nowhere")
                elif at > order.index(command.phase):
                    lacking.append(f"{where} comes later")
                elif known and not set(keys) <= known:
                    lacking.append(f"{where} has no {sorted(set(keys) - known)}")
    assert lacking == []


def test_every_need_is_met_by_somebody(folder, commands):
    """With a store, what is referred to comes from it in each namespace; a copy is of something that is there."""
    needs = steps.plan(folder)["secrets"]
    by_place = {(s["namespace"], s["name"]): s for s in needs}
    external = {
        (o["metadata"]["namespace"], o["metadata"]["name"])
        for c in commands
        for o in c.objects
        if o["kind"] == "ExternalSecret"
    }
    store = any(o["kind"] == "ClusterSecretStore" for c in commands for o in c.objects)
    for need in needs:
        place, said = (need["namespace"], need["name"]), need["from"]
        if said.startswith("copy of "):
            source = by_place.get(tuple(said.removeprefix("copy of ").split("/")))
            assert source is not None, f"{place}: {said}, which nobody makes"
            said = source["from"]
        # A program of the platform is asked for some: the runbook has the command.
        if store and said != "generated" and not said.startswith("kubectl "):
            assert place in external, f"{place} is in the store, and nothing brings it here"


def terraform(folder, kind: str) -> dict:
    out: dict = {}
    for path in sorted((folder / "infrastructure/terraform").glob("*.tf.json")):
        out |= json.loads(path.read_text(encoding="utf-8")).get("resource", {}).get(kind, {})
    return out


def test_secrets_of_the_clouds_databases_are_kept_where_they_are_read(tree, folder, commands):
    """Terraform writes what the ExternalSecret reads, from the password that the database got, and nobody changes it."""
    clusters = terraform(folder, "aws_rds_cluster")
    kept = terraform(folder, "aws_secretsmanager_secret")
    written = terraform(folder, "aws_secretsmanager_secret_version")
    read = {
        d["remoteRef"]["key"]: {k["secretKey"] for k in o["spec"]["data"]}
        for c in commands
        for o in c.objects
        if o["kind"] == "ExternalSecret"
        for d in o["spec"].get("data") or ()
        if d["remoteRef"]["key"].endswith("-postgresql")
    }
    assert set(read) == {kept[name]["name"] for name in clusters}
    for name, cluster in clusters.items():
        assert "manage_master_user_password" not in cluster, "the cloud changes it every week; a copied URL then fails"
        password = cluster["master_password_wo"]
        assert password == f"${{var.{name}_password}}"
        said = written[name]
        assert said["secret_id"] == f"${{aws_secretsmanager_secret.{name}.id}}"
        text = said["secret_string_wo"]
        keys = set(re.findall(r"(\w+) = ", text))
        assert keys == read[kept[name]["name"]] == {"username", "password", "database", "url"}
        assert f"var.{name}_password" in text and f"aws_rds_cluster.{name}.endpoint" in text
        assert said["secret_string_wo_version"] == cluster["master_password_wo_version"]
        variables = json.loads((folder / "infrastructure/terraform/variables.tf.json").read_text(encoding="utf-8"))
        assert variables["variable"][f"{name}_password"]["ephemeral"] is True, "it is in no state and no plan"
        book = (folder / "RUNBOOK.md").read_text(encoding="utf-8")
        assert f'export TF_VAR_{name}_password="$(openssl rand -hex 24)"' in book


def test_stores_are_open_before_what_reads_them(folder):
    """A store in the cluster is opened by people: what needs its values waits for that."""
    phases = steps.plan(folder)["phases"]
    names = [p["name"] for p in phases]
    if "vault" not in names:
        return
    vault = phases[names.index("vault")]
    kinds = [s["kind"] for s in vault["steps"]]
    assert kinds == ["helm", "people", "wait"]
    assert vault["steps"][2]["what"] == "clustersecretstore/platform Ready"
    assert {"certificates", "secrets"} <= set(vault["after"]), "it mounts a certificate"
    referring = {
        p["name"]
        for p in phases
        if p["folder"].startswith(("components/", "workloads/")) and "secrets" in p["after"] and p["name"] != "vault"
    }
    assert referring
    for name in referring:
        assert "vault" in phases[names.index(name)]["after"], name
        assert names.index(name) > names.index("vault"), name
    book = (folder / "RUNBOOK.md").read_text(encoding="utf-8")
    block = re.search(r"(?s)# vault\n(.*?)\n# [a-z-]+\n", book)
    assert block
    helm, people, wait = (
        block[1].find(w) for w in ("helm upgrade --install openbao", '# Now "Unseal OpenBao"', "kubectl wait")
    )
    assert -1 < helm < people < wait


def open_nodes(document: dict) -> int:
    """Nodes that are always there and take pods without tolerations."""
    out = 0
    for pool in (document["spec"].get("pools") or {}).values():
        gpu = (pool.get("gpu") or {}).get("vendor", "none")
        count = pool.get("count", 1)
        if not pool.get("taints") and gpu == "none":
            out += count["min"] if isinstance(count, dict) else count
    return out


def document_of(folder) -> dict:
    book = (folder / "RUNBOOK.md").read_text(encoding="utf-8")
    text = re.search(r"(?s)## The document\n.*?```yaml\n(.*?)```", book)
    assert text
    return next(d for d in yaml.safe_load_all(text[1]) if d["kind"] == "Platform")


def test_copies_that_must_be_apart_find_nodes(folder, commands):
    nodes = open_nodes(document_of(folder))
    for command in commands:
        if command.chart == "openbao":
            affinity = steps.at(command.values, "server.affinity")
            # The chart's own demands a node for each copy.
            apart = affinity is None or "requiredDuringSchedulingIgnoredDuringExecution" in json.dumps(affinity)
            assert not apart or steps.at(command.values, "server.ha.replicas") <= nodes, command.what
            assert steps.at(command.values, "server.podManagementPolicy") == "Parallel", (
                "the first is ready when opened"
            )
        for o in command.objects:
            terms = steps.at(
                o, "spec.template.spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution"
            )
            if terms and not steps.at(o, "spec.template.spec.tolerations"):
                assert o["spec"].get("replicas", 1) <= nodes, f"{o['kind']} {o['metadata']['name']}"


def test_jobs_of_an_installation_run_where_it_does(folder, commands):
    """Where all nodes keep pods away, a hook without tolerations never runs, and Helm waits for it in vain."""
    placement = document_of(folder)["spec"].get("components", {}).get("placement")
    for command in commands:
        for path, switch in steps.INSTALLERS.get(command.chart, ()):
            if switch and steps.at(command.values, switch) is False:
                continue
            if steps.at(command.values, f"{path.rpartition('.')[0]}.certManager.enabled") is True:
                continue  # cert-manager does what the job would
            tolerations = steps.at(command.values, f"{path}.tolerations")
            assert bool(tolerations) == bool(placement), f"{command.what}: {path}"


def test_policy_stops_nobody_who_can_bring_it_back(commands):
    """What is refused while Gatekeeper is away is what it judges: pods of the named namespaces, and its own rules."""
    for command in commands:
        if command.chart != "gatekeeper":
            continue
        judged = {
            n
            for c in commands
            for o in c.objects
            if custom(o) == "constraints.gatekeeper.sh"
            for n in o["spec"]["match"].get("namespaces", ())
        }
        if not judged:
            exempt = command.values["validatingWebhookExemptNamespacesLabels"]
            assert "kube-system" in exempt["kubernetes.io/metadata.name"]
            assert exempt["app.kubernetes.io/managed-by"] == ["tidegate"]
            continue
        conditions = command.values["validatingWebhookMatchConditions"]
        assert len(conditions) == 1
        said = conditions[0]["expression"]
        named = re.fullmatch(
            r"request\.resource\.group\.endsWith\('\.gatekeeper\.sh'\) \|\| request\.namespace in \[(.*)\]", said
        )
        assert named and set(re.findall(r"'([^']+)'", named[1])) == judged
        assert judged.isdisjoint(GIVEN | {"gatekeeper-system", "calico-system", "tigera-operator"})
        rules = command.values["validatingWebhookCustomRules"]
        assert {r for rule in rules if "" in rule["apiGroups"] for r in rule["resources"]} == {
            "pods",
            "pods/ephemeralcontainers",
        }
        assert all(g == "" or g.endswith(".gatekeeper.sh") for rule in rules for g in rule["apiGroups"])
        # The job that tries the webhook is let to it by no policy; the namespace has its labels from us.
        assert steps.at(command.values, "postInstall.probeWebhook.enabled") is False
        assert steps.at(command.values, "postInstall.labelNamespace.enabled") is False


def test_runbook_and_pipeline_keep_to_the_plan(folder):
    phases = steps.plan(folder)["phases"]
    order = [p["name"] for p in phases if p["folder"].startswith(("components/", "workloads/", "ci"))]
    said = steps.hand_order(folder)
    assert said == [n for n in order if n in said]
    assert {
        p["name"]
        for p in phases
        if p["name"] in order and p["steps"] and not p.get("deliveredBy") and p["folder"] != "ci"
    } <= set(said)
    script = folder / "ci/deploy.sh"
    if script.exists():
        folders = [p["folder"] for p in phases]
        used = [m for m in re.findall(r"((?:components|workloads)/[a-z0-9-]+)/", script.read_text(encoding="utf-8"))]
        places = [folders.index(f) for f in used]
        assert places == sorted(places), "the pipeline deploys in another order"


def test_programs_come_after_their_databases(folder, commands):
    """Whoever reads the Secret of a database in its start comes after that database."""
    phases = {p["name"]: p for p in steps.plan(folder)["phases"]}
    data = {n for n, p in phases.items() if p["folder"] == f"workloads/{n}"}
    for command in commands:
        pods = [p["spec"] for p in kube_facts.pods_of(command.objects)]
        if command.chart:
            pods.append(command.values)
        named = {name for spec in pods for kind, name, _ in steps.needs_of(spec) if kind == "Secret"}
        for name in named:
            base = re.sub(r"-(postgresql|valkey)$", "", name)
            if base != name and base in data and base != command.phase and command.phase not in ("backup", "scaling"):
                assert base in phases[command.phase]["after"], f"{command.what} needs {base}"


def test_training_runtimes_need_nothing_of_the_internet(commands):
    """The Trainer's own installer is root and fetches kubectl; restricted namespaces refuse its pod."""
    for command in commands:
        if command.chart != "kubeflow-trainer":
            continue
        runtimes = command.values["runtimes"]
        assert runtimes["defaultEnabled"] is False
        assert not [v for v in runtimes.values() if isinstance(v, dict) and v.get("enabled")]
        own = [o for c in commands for o in c.objects if o["kind"] == "ClusterTrainingRuntime"]
        assert [o["metadata"]["name"] for o in own] == ["torch-distributed"]
        job = own[0]["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]
        pod = job["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False


def test_snapshots_of_databases_can_be_restored(commands):
    """Without an archive of the log, only a snapshot of an instance that stands still is worth something."""
    for command in commands:
        for o in command.objects:
            backup = steps.at(o, "spec.backup") if o["kind"] == "Cluster" and "cnpg.io" in o["apiVersion"] else None
            if backup and "volumeSnapshot" in backup and "barmanObjectStore" not in backup:
                assert backup["volumeSnapshot"]["online"] is False
                assert backup["target"] == "prefer-standby"
