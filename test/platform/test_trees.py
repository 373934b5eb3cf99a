"""What holds for every rendered tree, judged by the programs that will read it."""

from __future__ import annotations

import collections
import json
import pathlib
import re
import subprocess

import pytest
import yaml
from conftest import ROOT, TREES, documents
from lib import kube_facts, oracles
from lib.oracles_values import ChartValues

pytestmark = pytest.mark.parametrize("tree", TREES)

# Definitions alone: it has no values to set.
WITHOUT_VALUES = ("prometheus-operator-crds",)
# Namespaces that every cluster has.
GIVEN = ("default", "kube-system", "kube-public", "kube-node-lease")


def manifests(folder: pathlib.Path) -> list[pathlib.Path]:
    """Files that apply sends to the API server, as the plan lists them."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    return [folder / s["path"] for p in plan["phases"] for s in p["steps"] if s["kind"] == "manifests"]


def objects(folder: pathlib.Path) -> list[dict]:
    return [o for path in manifests(folder) for o in kube_facts.parse(path.read_text(encoding="utf-8"))]


def files(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    return sorted(p for p in folder.rglob(pattern) if p.is_file())


def test_api_server_takes_every_object(tree, rendered, api_server):
    everything = objects(rendered(tree))
    assert everything
    refused = [str(r) for r in api_server.dry_run(everything, namespaces=GIVEN, pods=True) if not r.warning]
    assert refused == []


def test_pods_keep_to_the_level_of_their_namespace(tree, rendered, api_server):
    """The admission of a real API server takes each pod of our manifests, by the labels of its namespace."""
    everything = objects(rendered(tree))
    namespaces = [o for o in everything if o["kind"] == "Namespace"]
    # A template of no namespace is judged where it is used.
    pods = [pod for pod in kube_facts.pods_of(everything) if pod["metadata"].get("namespace") not in (*GIVEN, None)]
    accounts = {(p["metadata"]["namespace"], p["spec"].get("serviceAccountName", "default")) for p in pods}
    needs = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
        for namespace, name in sorted(accounts)
    ]
    for pod in pods:
        for key in ("serviceAccountName", "priorityClassName"):  # neither decides on the level
            pod["spec"].pop(key, None)
    refused = [str(r) for r in api_server.dry_run([*namespaces, *needs, *pods], namespaces=GIVEN) if not r.warning]
    assert refused == []


def test_no_object_stands_twice(tree, rendered):
    """What comes later under the same name would replace what was there."""
    names = [
        (o["apiVersion"].split("/")[0], o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"])
        for o in objects(rendered(tree))
    ]
    assert [n for n, count in collections.Counter(names).items() if count > 1] == []


def test_kubeconform(tree, rendered):
    oracle = oracles.Kubeconform()
    oracles.need(oracle)
    # Kinds that templates of this tree introduce have no schema but theirs: the API server judged them by it.
    own = [
        o["spec"]["crd"]["spec"]["names"]["kind"] for o in objects(rendered(tree)) if o["kind"] == "ConstraintTemplate"
    ]
    problems = oracle.check_all(manifests(rendered(tree)), skip=own)
    assert oracles.errors(problems) == []


def test_charts_read_every_value(tree, rendered):
    problems = []
    for pin in files(rendered(tree), "chart.yaml"):
        chart = yaml.safe_load(pin.read_text(encoding="utf-8"))
        if chart["chart"] in WITHOUT_VALUES:
            assert yaml.safe_load(pin.with_name("values.yaml").read_text(encoding="utf-8")) in (None, {})
            continue
        problems += ChartValues().check(pin.with_name("values.yaml"), chart=chart["chart"], version=chart["version"])
    assert oracles.errors(problems) == []


def test_scripts(tree, rendered):
    oracles.need(oracles.shellcheck)
    problems = [p for path in files(rendered(tree), "*.sh") for p in oracles.shellcheck.check(path)]
    assert [str(p) for p in problems] == []


def test_yaml_is_clean(tree, rendered):
    oracle = oracles.Yamllint()
    oracles.need(oracle)
    found = oracle.check_all(p for p in files(rendered(tree), "*.y*ml") if "templates" not in p.parts)
    assert oracles.errors(found) == []


def test_pipelines(tree, rendered):
    oracle = oracles.Actionlint()
    workflows = files(rendered(tree), ".github/workflows/*.yml")
    if not workflows:
        return
    oracles.need(oracle)
    assert oracles.errors([p for path in workflows for p in oracle.check(path)]) == []


def test_actions_are_pinned_by_commit(tree, rendered):
    for path in files(rendered(tree), ".github/workflows/*.yml"):
        for uses in re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", uses), f"{path.name}: {uses}"


def test_alerts(tree, rendered):
    """Rules parse, and each alert fires and is silent when its test says so."""
    rules = [p for p in files(rendered(tree), "*.yaml") if "kind: PrometheusRule" in p.read_text(encoding="utf-8")]
    tests = [p for p in files(rendered(tree), "tests/*.test.yaml")]
    if not rules:
        return
    oracles.need(oracles.PromtoolRules(), oracles.promtool_tests)
    problems = [p for path in rules for p in oracles.PromtoolRules().check(path)]
    problems += [p for path in tests for p in oracles.promtool_tests.check(path)]
    assert oracles.errors(problems) == []
    names = {
        rule["alert"]
        for path in rules
        for o in kube_facts.parse(path.read_text(encoding="utf-8"))
        for group in o["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    tested = {
        case["alertname"]
        for path in tests
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for case in test.get("alert_rule_test", [])
    }
    assert names == tested


# Where alerts of each platform have to arrive.
ROUTES = {
    "smallest": [({"severity": "critical"}, ["nobody"])],  # it names no receiver; Grafana shows them
    "otc-training": [
        ({"severity": "critical"}, ["oncall", "chat"]),
        ({"severity": "warning"}, ["chat", "mail"]),
        ({"severity": "info"}, ["hook"]),
    ],
    "analytics-hub": [
        ({"severity": "critical", "team": "data"}, ["oncall", "chat"]),
        ({"severity": "warning", "team": "data"}, ["mail"]),
        ({"severity": "warning", "team": "platform-team"}, ["chat"]),
        ({"alertname": "Watchdog"}, ["nobody"]),
    ],
    "webui-k3s": [({"severity": "warning"}, ["mail"]), ({"severity": "critical"}, ["mail"])],
    "saas-aws": [({"severity": "critical"}, ["oncall"]), ({"severity": "warning"}, ["chat"])],
    "bare-metal": [({"severity": "warning"}, ["mail"])],
}


def test_alerts_arrive(tree, rendered):
    """Alertmanager reads its configuration, the values of the stack have the same, and each alert goes where it should."""
    folder = rendered(tree)
    config = folder / "components/42-alerts/alertmanager.yaml"
    if not config.exists():
        return
    oracles.need(oracles.amtool_config, oracles.amtool_routes)
    assert oracles.errors(oracles.amtool_config.check(config)) == []
    stack = folder / "components/40-metrics/prometheus/values.yaml"
    if stack.exists():
        values = yaml.safe_load(stack.read_text(encoding="utf-8"))
        assert values["alertmanager"]["config"] == yaml.safe_load(config.read_text(encoding="utf-8"))
    cases = ROUTES.get(tree.split("+")[0], [])
    assert cases, "no route of this platform is tested"
    assert oracles.errors(oracles.amtool_routes.check(config, cases=cases)) == []


def test_policies(tree, rendered):
    """Each rule lets a good pod pass and refuses a bad one, says the program of its engine."""
    if cases := files(rendered(tree), "tests/kyverno-test.yaml"):
        oracles.need(oracles.kyverno_test)
        assert oracles.errors(oracles.kyverno_test.check_all(cases)) == []
    suites = files(rendered(tree), "tests/suite.yaml")
    if not suites:
        return
    gator = oracles.program("gator")
    if gator is None:
        pytest.skip("not run: gator: tools/oracles.sh gator builds it")
    for suite in suites:
        done = subprocess.run([gator, "verify", suite], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_own_pods_pass_the_own_policies(tree, rendered, tmp_path):
    """A rule that refuses the platform's own programs would stop them at the first restart."""
    folder = rendered(tree)
    rules = [folder / f"components/28-policy/{name}.yaml" for name in ("templates", "constraints")]
    if not all(r.exists() for r in rules):
        return
    oracles.need(oracles.gator)
    pods = []
    for number, pod in enumerate(kube_facts.pods_of(objects(folder))):
        pod["metadata"]["name"] = f"pod-{number}"
        pod["metadata"].pop("generateName", None)
        pods.append(pod)
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump_all(pods))
    for rule in rules:
        (tmp_path / rule.name).write_text(rule.read_text(encoding="utf-8"))
    assert pods
    assert oracles.errors(oracles.gator.check(tmp_path)) == []


# Critical findings of kube-score that are decided otherwise here, and why.
OTHERWISE = {
    "container-cpu-requests-equal-limits": "a limit of the processor slows down what could run; requests are asserted",
    "container-ephemeral-storage-request-and-limit": "scratch volumes have bounds of their own, roots are read-only",
    "container-image-pull-policy": "tags are fixed: what is there is what was asked for",
    "container-resources": "no limits of the processor; requests and memory limits are asserted above",
    "container-security-context-privileged": "admission lets it into namespaces only that say why",
    "container-security-context-user-group-id": "images name their own low users; none is root without a reason",
    "ingress-targets-service": "Services of charts are not in the tree",
    "networkpolicy-targets-pod": "pods of charts are not in the tree",
    "pod-networkpolicy": "test_network.py judges the policies of the tree together",
    "pod-probes": "programs without a port have nothing to ask",
    "pod-probes-identical": "a document names a port, not a path; the second probe is far more patient",
    "service-targets-pod": "pods of charts are not in the tree",
    "statefulset-has-servicename": "one replica is found by its Service; nobody asks for a pod by its name",
}


def test_kube_score(tree, rendered, tmp_path):
    oracle = oracles.KubeScore()
    oracles.need(oracle)
    judged = [
        o
        for o in objects(rendered(tree))
        if not o["metadata"].get("annotations", {}).get("tidegate.dev/privileged-because")
    ]
    path = tmp_path / "everything.yaml"
    path.write_text(yaml.safe_dump_all(judged, sort_keys=False))
    assert oracles.errors(oracle.check(path, ignore=OTHERWISE)) == []


def test_no_secret_is_rendered(tree, rendered):
    assert [o["metadata"]["name"] for o in objects(rendered(tree)) if o["kind"] == "Secret"] == []
    pattern = re.compile(
        r"(?i)(BEGIN [A-Z ]*PRIVATE KEY|(password|secret|token|api[_-]?key)['\"]?\s*[:=]\s*['\"]?[A-Za-z0-9+/]{16,}['\"]?\s*$)",
        re.M,
    )
    for path in files(rendered(tree), "*"):
        if match := pattern.search(path.read_text(encoding="utf-8")):
            pytest.fail(f"{path.relative_to(rendered(tree))}: {match[0]!r} looks like a secret")


def test_every_workload_is_hardened(tree, rendered):
    """Requests, memory limit, restricted security context, read-only root: for every pod of our own manifests."""
    for o in objects(rendered(tree)):
        for pod in kube_facts.pods_of([o]):
            spec = pod["spec"]
            name = f"{o['kind']}/{o['metadata']['name']}"
            exempt = o["metadata"].get("annotations", {}).get("tidegate.dev/privileged-because")
            for c in spec["containers"] + spec.get("initContainers", []):
                where = f"{name}/{c['name']}"
                assert ":" in c["image"].rsplit("/", 1)[-1], f"{where}: image without tag"
                assert not c["image"].endswith(":latest"), where
                assert c.get("resources", {}).get("requests", {}).get("memory"), f"{where}: no memory request"
                assert c["resources"].get("limits", {}).get("memory"), f"{where}: no memory limit"
                if exempt:
                    continue
                context = c["securityContext"]
                assert context["allowPrivilegeEscalation"] is False, where
                assert context["capabilities"]["drop"] == ["ALL"], where
                assert context["readOnlyRootFilesystem"] is True, where
            if not exempt:
                assert spec["securityContext"]["runAsNonRoot"] is True, name
                assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name


def test_same_bytes_twice(tree, rendered, binary, tmp_path):
    flags = [argument for document in documents(tree) for argument in ("-f", str(ROOT / document))]
    subprocess.run([binary, "render", *flags, "-o", tmp_path], check=True, capture_output=True, timeout=60)
    done = subprocess.run(["diff", "-r", rendered(tree), tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_diff_is_empty_for_the_same_document(tree, rendered, binary):
    flags = [argument for document in documents(tree) for argument in ("-f", str(ROOT / document))]
    done = subprocess.run(
        [binary, "render", *flags, "--diff", rendered(tree)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


# Bindings to the administrator's role, and why.
ADMINISTRATORS = {"ClusterRoleBinding/tidegate-operators": "the people who look after the cluster"}


def test_roles_are_narrow(tree, rendered):
    """No role of ours takes everything, gives itself more, or is bound to the administrator's."""
    for o in objects(rendered(tree)):
        name = f"{o['kind']}/{o['metadata']['name']}"
        if o["kind"] in ("Role", "ClusterRole"):
            for rule in o.get("rules") or []:
                taken = {*rule.get("resources", []), *rule.get("verbs", []), *rule.get("apiGroups", [])}
                assert "*" not in taken, f"{name}: {rule}"
                assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"]), f"{name}: {rule}"
        if o["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            assert name in ADMINISTRATORS or o["roleRef"]["name"] not in ("cluster-admin", "admin"), name
            for subject in o["subjects"]:
                assert subject["name"] not in ("system:anonymous", "system:unauthenticated"), name
                assert subject["name"] != "system:authenticated" or o["kind"] == "RoleBinding", name
