"""The pipeline of every tree: a real API server says whether its identity may do all that it does and no more, and its
scanners pass the tree with nothing waived but what is named."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest
import yaml
from conftest import ROOT, TREES, documents
from lib import kube, kube_facts, oracles
from lib.wait import until

# What the charts make that pipelines install, by `helm template` of the pinned releases with our values.
CHARTS = {
    "ollama": {"/persistentvolumeclaims", "/serviceaccounts", "/services", "apps/deployments"},
    "open-webui": {
        "/persistentvolumeclaims",
        "/serviceaccounts",
        "/services",
        "apps/deployments",
        "apps/statefulsets",
    },
    "valkey": {
        "/configmaps",
        "/persistentvolumeclaims",
        "/serviceaccounts",
        "/services",
        "apps/deployments",
        "apps/statefulsets",
        "monitoring.coreos.com/servicemonitors",
        "policy/poddisruptionbudgets",
    },
}
OF_OPERATORS = {"LimitRange", "NetworkPolicy", "ResourceQuota", "Role", "RoleBinding", "PriorityClass"}
OVERLAY = "delivery: {ci: {use: github-actions, repository: example/platform}}"


@pytest.fixture(scope="module")
def piped(binary, tmp_path_factory):
    """piped("smallest") is the tree with a pipeline, asked for where the example has none."""
    made: dict[str, pathlib.Path] = {}

    def render(tree: str) -> pathlib.Path:
        if tree in made:
            return made[tree]
        folder = tmp_path_factory.mktemp(tree.replace("+", "-"))
        paths = [ROOT / d for d in documents(tree)]
        [platform] = [
            d for d in yaml.safe_load_all(paths[0].read_text(encoding="utf-8")) if d and d["kind"] == "Platform"
        ]
        overlay = folder / "overlay.yaml"
        head = (
            f"apiVersion: {platform['apiVersion']}\nkind: Platform\nmetadata: {{name: {platform['metadata']['name']}}}"
        )
        overlay.write_text(f"{head}\nspec:\n  {OVERLAY}\n", encoding="utf-8")
        own = "ci" in (platform["spec"].get("delivery") or {}) and "+existing" not in tree
        flags = [a for p in [*paths, *([] if own else [overlay])] for a in ("-f", str(p))]
        done = subprocess.run(
            [binary, "render", *flags, "-o", folder / "out"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        made[tree] = folder / "out"
        return made[tree]

    return render


def load(path: pathlib.Path) -> list[dict]:
    return kube_facts.parse(path.read_text(encoding="utf-8"))


class Deploys:
    """What ci/deploy.sh does, line by line."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.files: list[str] = []
        self.charts: list[tuple[str, str]] = []  # chart, namespace
        self.own: list[tuple[str, str]] = []  # folder of the chart, namespace
        for line in (folder / "ci/deploy.sh").read_text(encoding="utf-8").splitlines():
            if found := re.fullmatch(r"kubectl apply --server-side --filename (\S+)", line):
                self.files.append(found[1])
            elif found := re.match(r"helm upgrade --install \S+ (\S+) .*--namespace (\S+)", line):
                (self.own if (folder / found[1]).is_dir() else self.charts).append((found[1], found[2]))
            else:
                assert not line.startswith(("kubectl", "helm")), line

    def objects(self) -> list[dict]:
        return [o for f in self.files for o in load(self.folder / f)]

    def kinds(self) -> dict[str, set[str]]:
        """Group/plural of everything that is written, by namespace."""
        out: dict[str, set[str]] = {}
        for o in self.objects():
            kind = kube_facts.kind_of(o["apiVersion"], o["kind"])
            assert kind, kube_facts.title(o)
            out.setdefault(o["metadata"]["namespace"], set()).add(f"{kind.group}/{kind.plural}")
        for chart, namespace in self.charts:
            out.setdefault(namespace, set()).update(CHARTS[chart])
        for chart, namespace in self.own:
            out.setdefault(namespace, set()).update(self.of_own(chart))
        return out

    def of_own(self, chart: str) -> set[str]:
        out = set()
        for path in (self.folder / chart / "templates").glob("*.yaml"):
            text = path.read_text(encoding="utf-8")
            for version, kind in re.findall(r"(?m)^apiVersion: (\S+)\nkind: (\w+)$", text):
                found = kube_facts.kind_of(version, kind)
                assert found, (version, kind)
                out.add(f"{found.group}/{found.plural}")
        return out


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if reason := kube.unavailable():
        pytest.skip(f"not run: {reason}")
    with kube.ApiServer.start(tmp_path_factory.mktemp("pipeline")) as started:
        yield started


class Identity:
    """Whoever the bindings of ci/role.yaml name, asked for by SubjectAccessReviews."""

    def __init__(self, server: kube.ApiServer, roles: list[dict]):
        self.server = server
        [subject] = {tuple(sorted(s.items())) for o in roles if o["kind"] == "RoleBinding" for s in o["subjects"]}
        named = dict(subject)
        if named["kind"] == "Group":
            self.who = {"user": "pipeline:somebody", "groups": [named["name"], "system:authenticated"]}
        else:
            self.who = {"user": f"system:serviceaccount:{named['namespace']}:{named['name']}"}

    def may(self, verb: str, what: str, namespace: str = "", subresource: str = "") -> bool:
        group, resource = what.split("/")
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        if subresource:
            attributes["subresource"] = subresource
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {**self.who, "resourceAttributes": attributes},
        }
        answer = self.server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        assert answer.status == 201, answer.body
        return answer.body["status"]["allowed"]


@pytest.fixture
def identity(request, server, piped):
    """That of one tree, with its rights in place; they are taken away behind the test."""
    roles = load(piped(request.param) / "ci/role.yaml")
    for namespace in sorted({o["metadata"]["namespace"] for o in roles}):
        home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        assert server.apply(server.kind_of(home), home, dry=False).status < 300
    for o in roles:
        answer = server.apply(server.kind_of(o), o, dry=False)
        assert answer.status < 300, answer.body
    who = Identity(server, roles)
    last = [o for o in roles if o["kind"] == "Role"][-1]
    rule, namespace = last["rules"][0], last["metadata"]["namespace"]
    first = f"{rule['apiGroups'][0]}/{rule['resources'][0]}"
    until("the roles are known", lambda: who.may("get", first, namespace), 30.0, 0.02)
    yield request.param, who
    for o in roles:
        kind = server.kind_of(o)
        server.request("DELETE", kind.path(o["metadata"]["namespace"], o["metadata"]["name"]))
    until("the roles are gone", lambda: not who.may("get", first, namespace), 30.0, 0.02)


every_identity = pytest.mark.parametrize("identity", TREES, indirect=True)


@every_identity
def test_it_may_write_all_that_it_deploys(identity, piped):
    tree, who = identity
    deploys = Deploys(piped(tree))
    assert deploys.kinds(), tree
    refused = [
        f"{verb} {what} in {namespace}"
        for namespace, kinds in deploys.kinds().items()
        for what in sorted(kinds)
        for verb in ("get", "create", "patch")
        if not who.may(verb, what, namespace)
    ]
    assert refused == []
    for chart, namespace in deploys.charts + deploys.own:
        # Helm keeps releases in Secrets, removes what a chart no longer has, and waits for pods.
        for verb in ("get", "list", "create", "update", "delete"):
            assert who.may(verb, "/secrets", namespace), (chart, verb)
        for what in ("/pods", "apps/replicasets"):
            assert who.may("list", what, namespace), (chart, what)
        for what in CHARTS.get(chart, ()):
            assert who.may("delete", what, namespace), (chart, what)


NEVER = (
    ("get", "/secrets", ""),
    ("create", "/pods", ""),
    ("create", "/pods", "exec"),
    ("create", "/serviceaccounts", "token"),
    ("create", "rbac.authorization.k8s.io/roles", ""),
    ("patch", "rbac.authorization.k8s.io/rolebindings", ""),
    ("bind", "rbac.authorization.k8s.io/roles", ""),
    ("escalate", "rbac.authorization.k8s.io/roles", ""),
    ("patch", "/resourcequotas", ""),
    ("patch", "/limitranges", ""),
    ("delete", "networking.k8s.io/networkpolicies", ""),
    ("create", "external-secrets.io/externalsecrets", ""),
)


@every_identity
def test_it_may_do_nothing_else(identity, piped):
    tree, who = identity
    deploys = Deploys(piped(tree))
    with_helm = {namespace for _, namespace in deploys.charts + deploys.own}
    homes = {*deploys.kinds(), "kube-system", "default"}
    for namespace in sorted(homes):
        for verb, what, subresource in NEVER:
            if what == "/secrets" and namespace in with_helm:
                continue
            assert not who.may(verb, what, namespace, subresource), (verb, what, namespace)
    for verb, what in (
        ("list", "/nodes"),
        ("get", "/secrets"),
        ("create", "/namespaces"),
        ("impersonate", "/users"),
        ("create", "rbac.authorization.k8s.io/clusterrolebindings"),
        ("patch", "admissionregistration.k8s.io/validatingwebhookconfigurations"),
    ):
        assert not who.may(verb, what), (verb, what)
    for namespace in {"kube-system", "default", "secrets", "cert-manager"} - set(deploys.kinds()):
        for what in ("/configmaps", "apps/deployments", "/services"):
            assert not who.may("patch", what, namespace), (what, namespace)


@pytest.mark.parametrize("tree", TREES)
def test_each_right_is_used(tree, piped):
    """Beside what is written: the Secrets of helm's releases, and what helm waits for."""
    deploys = Deploys(piped(tree))
    kinds = deploys.kinds()
    with_helm = {namespace for _, namespace in deploys.charts + deploys.own}
    for o in load(piped(tree) / "ci/role.yaml"):
        if o["kind"] != "Role":
            continue
        namespace = o["metadata"]["namespace"]
        for rule in o["rules"]:
            verbs = set(rule["verbs"])
            for what in (f"{g}/{r}" for g in rule["apiGroups"] for r in rule["resources"]):
                if namespace in with_helm and (what == "/secrets" or verbs == {"get", "list", "watch"}):
                    continue
                assert what in kinds[namespace] or (deploys.own and namespace in dict(map(reversed, deploys.own)))
                assert namespace in with_helm or verbs == {"get", "create", "patch"}, (namespace, rule)


@pytest.mark.parametrize("tree", TREES)
def test_what_it_leaves_belongs_to_the_operators(tree, piped):
    """No file of a workload is forgotten, and the runbook applies the rights of the pipeline."""
    folder = piped(tree)
    deploys = Deploys(folder)
    for path in sorted((folder / "workloads").rglob("*.yaml")):
        name = str(path.relative_to(folder))
        if name in deploys.files or path.name in ("values.yaml", "chart.yaml") or "/helm/" in name:
            continue
        kinds = {o["kind"] for o in load(path)}
        assert kinds & OF_OPERATORS, name
    for o in deploys.objects():
        assert o["kind"] not in OF_OPERATORS and o["metadata"].get("namespace"), kube_facts.title(o)
    assert "-f ci/role.yaml" in (folder / "RUNBOOK.md").read_text(encoding="utf-8")


OPEN = {
    "webui-k3s",
    "webui-k3s+existing",
    "self-scaling+apps-existing",
}  # everybody reaches their API servers, or nobody knows


@pytest.mark.parametrize("tree", TREES)
def test_it_runs_where_the_api_server_is_reached(tree, piped):
    folder = piped(tree)
    jobs = yaml.safe_load((folder / "ci/.github/workflows/deploy.yml").read_text(encoding="utf-8"))["jobs"]
    for name, job in jobs.items():
        if name.startswith("deploy") and tree not in OPEN:
            assert job["runs-on"][0] == "self-hosted" and len(job["runs-on"]) == 2, name
            text = (folder / "RUNBOOK.md").read_text(encoding="utf-8")
            assert f"register one as a runner of the repository with the label `{job['runs-on'][1]}`" in text
        else:
            assert job["runs-on"] == "ubuntu-24.04", name


# Whose API servers trust the tokens of the pipeline's jobs; the others are given a kubeconfig.
TRUSTED = ("webui-k3s", "smallest", "bare-metal", "analytics-hub", "saas-aws")


@pytest.mark.parametrize("tree", TREES)
def test_a_token_is_sent_only_to_who_trusts_it(tree, piped):
    folder = piped(tree)
    [deploy, *_] = [
        j
        for n, j in yaml.safe_load((folder / "ci/.github/workflows/deploy.yml").read_text(encoding="utf-8"))[
            "jobs"
        ].items()
        if n.startswith("deploy")
    ]
    trusted = tree.split("+")[0] in TRUSTED and not tree.endswith(("+google", "+azure", "+existing"))
    assert (deploy["permissions"].get("id-token") == "write") == trusted
    subjects = [s for o in load(folder / "ci/role.yaml") if o["kind"] == "RoleBinding" for s in o["subjects"]]
    assert {s["kind"] for s in subjects} == {"Group" if trusted else "ServiceAccount"}
    runbook = (folder / "RUNBOOK.md").read_text(encoding="utf-8")
    assert ("create token pipeline" in runbook) == (not trusted)


@pytest.mark.parametrize("tree", ["saas-aws", "analytics-hub"])
def test_eks_trusts_one_branch_and_one_environment(tree, rendered):
    identity = rendered(tree) / "infrastructure/terraform/identity.tf.json"
    provider = yaml.safe_load(identity.read_text(encoding="utf-8"))["resource"]["aws_eks_identity_provider_config"]
    oidc = provider["pipeline"]["oidc"]
    assert oidc["required_claims"] == {
        "repository": {"saas-aws": "example/llm-saas", "analytics-hub": "example/llm-analytics"}[tree],
        "ref": "refs/heads/main",
        "environment": "production",
    }
    # The group of its Role is what the API server makes of the claim.
    group = oidc["groups_prefix"] + oidc["required_claims"][oidc["groups_claim"]]
    roles = load(rendered(tree) / "ci/role.yaml")
    assert {s["name"] for o in roles if o["kind"] == "RoleBinding" for s in o["subjects"]} == {group}


# --- scanners ---------------------------------------------------------------------------------------------------------


def commands(folder: pathlib.Path, word: str) -> list[str]:
    jobs = yaml.safe_load((folder / "ci/.github/workflows/deploy.yml").read_text(encoding="utf-8"))["jobs"]
    return [s["run"] for s in jobs["check"]["steps"] if word in s.get("run", "")]


CHECKOV_BOUND_S = 900  # half a minute on a quiet machine


@pytest.mark.parametrize("tree", TREES)
def test_checkov_passes(tree, piped):
    """The very line of the job, with the program that is here."""
    oracles.need(oracles.checkov)
    folder = piped(tree)
    lines = commands(folder, "checkov")
    if not lines:
        pytest.skip(f"{tree} asks for no Checkov")
    [line] = lines
    version = (ROOT / "test/oracles/versions.txt").read_text(encoding="utf-8")
    [wanted] = re.findall(r"(?m)^checkov\s+alone\s+(checkov==\S+)$", version)
    assert line.startswith(f"pipx run {wanted} ")
    command = [oracles.program("checkov"), *line.split()[3:]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=CHECKOV_BOUND_S, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


PRIVATE = {"/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr", "/var/lib/docker"}
GUARDED = {"services", "endpoints", "endpointslices", "networkpolicies", "ingresses"}


def warned_of(o: dict) -> set[str]:
    """What Trivy's checks of high severity say of an object, as far as they are about pods and Roles."""
    out = set()
    for spec in [p["spec"] for p in kube_facts.pods_of([o])]:
        containers = [*spec.get("containers", []), *spec.get("initContainers", [])]
        contexts = [c.get("securityContext") or {} for c in containers]
        out |= {"KSV-0008"} if spec.get("hostIPC") else set()
        out |= {"KSV-0009"} if spec.get("hostNetwork") else set()
        out |= {"KSV-0010"} if spec.get("hostPID") else set()
        out |= {"KSV-0014"} if not all(c.get("readOnlyRootFilesystem") for c in contexts) else set()
        out |= {"KSV-0017"} if any(c.get("privileged") for c in contexts) else set()
        out |= {"KSV-0024"} if any(p.get("hostPort") for c in containers for p in c.get("ports", [])) else set()
        out |= {"KSV-0118"} if not spec.get("securityContext") or not all(contexts) else set()
        mounted = {(v.get("hostPath") or {}).get("path") for v in spec.get("volumes", [])}
        out |= {"KSV-0121"} if mounted & PRIVATE else set()
    if o["kind"] in ("Role", "ClusterRole"):
        for rule in o.get("rules") or []:
            writes = set(rule["verbs"]) & {"create", "update", "patch", "delete", "deletecollection"}
            resources = set(rule.get("resources", []))
            out |= {"KSV-0056"} if resources & GUARDED and writes else set()
            out |= {"KSV-0041"} if o["kind"] == "ClusterRole" and "secrets" in resources else set()
            out |= {"KSV-0053"} if "pods/exec" in resources else set()
            out |= {"KSV-0047"} if "nodes/proxy" in resources else set()
    return out


@pytest.mark.parametrize("tree", TREES)
def test_trivy_is_told_of_each_exception_and_of_no_more(tree, piped):
    """Trivy itself is not run here."""
    folder = piped(tree)
    if not commands(folder, "trivy config"):
        pytest.skip(f"{tree} asks for no Trivy")
    settings = yaml.safe_load((folder / "ci/trivy.yaml").read_text(encoding="utf-8"))
    assert (settings["exit-code"], settings["severity"]) == (1, ["HIGH", "CRITICAL"])
    told = yaml.safe_load((folder / settings["ignorefile"]).read_text(encoding="utf-8"))["misconfigurations"]
    assert all(t["statement"] for t in told)
    found = set()
    for path in sorted(folder.rglob("*.yaml")):
        name = str(path.relative_to(folder))
        if "/tests/" in name or "/helm/" in name or path.name in ("values.yaml", "chart.yaml"):
            continue
        for o in oracles.objects_of(path):
            if isinstance(o, dict) and "kind" in o:
                found |= {(check, f"**/{name}") for check in warned_of(o)}
    assert {(t["id"].removeprefix("AVD-"), p) for t in told for p in t["paths"]} == found
