"""What a tenant may do and reach: asked of a real API server, and read from the network policies."""

from __future__ import annotations

import copy
import json

import pytest
from lib import kube, kube_facts
from lib.reach import End, Network, outside
from lib.wait import until


def pods(namespace: str, labels: dict[str, str] | None = None) -> End:
    return End(namespace, tuple(sorted((labels or {}).items())))


TREE = "bare-metal"
TENANT = "ai-projects"
SITE = "192.168.1.31"
DNS = pods("kube-system", {"k8s-app": "kube-dns"})
PROMETHEUS = pods("monitoring", {"app.kubernetes.io/name": "prometheus"})
APP = pods(TENANT, {"app": "ai-workload", "app.kubernetes.io/name": "ai-model-deployment"})
RESEARCH = pods(TENANT, {"job-name": "try"})


@pytest.fixture(scope="module")
def objects(rendered) -> list[dict]:
    folder = rendered(TREE)
    plan = json.loads((folder / "plan.json").read_text())
    files = [folder / s["path"] for p in plan["phases"] for s in p["steps"] if s["kind"] == "manifests"]
    return [o for path in files for o in kube_facts.parse(path.read_text())]


def of_tenant(objects: list[dict], *kinds: str) -> list[dict]:
    return [o for o in objects if o["kind"] in kinds and o["metadata"].get("namespace") == TENANT]


@pytest.fixture(scope="module")
def server(objects, tmp_path_factory):
    """An API server in which the tenant's namespace, rights and defaults are real."""
    if reason := kube.unavailable():
        pytest.skip(f"not run: {reason}")
    with kube.ApiServer.start(tmp_path_factory.mktemp("tenant")) as started:
        home = [o for o in objects if o["kind"] == "Namespace" and o["metadata"]["name"] == TENANT]
        wanted = ("ServiceAccount", "Role", "RoleBinding", "LimitRange")
        for o in [*home, *of_tenant(objects, *wanted)]:
            answer = started.apply(started.kind_of(o), o, dry=False)
            assert answer.status < 300, answer.body
        # The API server's authorizer reads roles behind the writes.
        until("the roles are known", lambda: may(started, "get", "pods"))
        yield started


def may(server, verb: str, resource: str, group: str = "", namespace: str = TENANT, subresource: str = "") -> bool:
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource}
    if subresource:
        attributes["subresource"] = subresource
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "someone", "groups": ["researchers"], "resourceAttributes": attributes},
    }
    answer = server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.status == 201, answer.body
    return answer.body["status"]["allowed"]


@pytest.mark.parametrize(
    ("group", "resource"),
    [("", "pods"), ("batch", "jobs"), ("apps", "deployments"), ("", "persistentvolumeclaims")],
)
def test_researchers_run_what_they_need(server, group, resource):
    for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
        assert may(server, verb, resource, group), verb


@pytest.mark.parametrize(
    "asked",
    [
        {"verb": "get", "resource": "secrets"},
        {"verb": "create", "resource": "pods", "subresource": "exec"},
        {"verb": "create", "resource": "serviceaccounts", "subresource": "token"},
        {"verb": "create", "resource": "rolebindings", "group": "rbac.authorization.k8s.io"},
        {"verb": "update", "resource": "resourcequotas"},
        {"verb": "delete", "resource": "networkpolicies", "group": "networking.k8s.io"},
        {"verb": "list", "resource": "pods", "namespace": "kube-system"},
        {"verb": "list", "resource": "nodes", "namespace": ""},
    ],
    ids=lambda a: " ".join(a.values()),
)
def test_researchers_reach_nothing_else(server, asked):
    assert not may(server, **asked)


def pod(spec: dict) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "try", "namespace": TENANT},
        "spec": {"containers": [{"name": "c", "image": "registry.telkom.be/ai/model:1.0.0"}], **spec},
    }


HARDENED = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "c",
            "image": "registry.telkom.be/ai/model:1.0.0",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}


def tried(server, spec: dict) -> kube.Answer:
    found = pod(spec)
    return server.apply(server.kind_of(found), found, dry=True)


def test_pods_without_sizes_get_those_of_the_tenant(server):
    answer = tried(server, HARDENED)
    assert answer.status < 300, answer.body
    assert answer.body["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"cpu": "8", "memory": "16Gi"},
    }


VOLUMES = {"configMap": {"name": "c"}, "secret": {"secretName": "s"}, "emptyDir": {}, "downwardAPI": {"items": []}}
VOLUMES |= {"projected": {"sources": []}, "persistentVolumeClaim": {"claimName": "p"}}


def test_only_the_six_kinds_of_volumes_are_taken(server):
    for kind, volume in VOLUMES.items():
        answer = tried(server, {**HARDENED, "volumes": [{"name": "v", kind: volume}]})
        assert answer.status < 300, answer.body
    for kind, volume in {"hostPath": {"path": "/"}, "nfs": {"server": "x", "path": "/"}}.items():
        answer = tried(server, {**HARDENED, "volumes": [{"name": "v", kind: volume}]})
        assert answer.status == 403 and "restricted" in answer.body["message"], answer.body


@pytest.mark.parametrize("what", ["privileged", "root", "host network", "capability", "bare"])
def test_pods_with_more_rights_are_refused(server, what):
    spec = copy.deepcopy(HARDENED)
    container = spec["containers"][0]
    match what:
        case "privileged":
            container["securityContext"] = {"privileged": True}
        case "root":
            spec["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}
        case "host network":
            spec["hostNetwork"] = True
        case "capability":
            container["securityContext"]["capabilities"]["add"] = ["SYS_ADMIN"]
        case "bare":
            spec = {}
    answer = tried(server, spec)
    assert answer.status == 403 and 'violates PodSecurity "restricted' in answer.body["message"], answer.body


def test_the_app_of_the_tenant_is_taken(server, objects):
    for found in kube_facts.pods_of(of_tenant(objects, "Deployment")):
        found["spec"].pop("priorityClassName", None)  # of the cluster, not of the namespace
        answer = server.apply(server.kind_of(found), found, dry=True)
        assert answer.status < 300, answer.body


# --- network ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def policies(objects) -> Network:
    return Network(objects)


def test_names_are_found_from_everywhere(policies, objects):
    for namespace in {o["metadata"]["namespace"] for o in objects if o["kind"] == "NetworkPolicy"}:
        for protocol in ("UDP", "TCP"):
            assert policies.reaches(pods(namespace, {"any": "thing"}), DNS, 53, protocol), (namespace, protocol)


def test_the_tenant_keeps_to_itself(policies):
    assert policies.reaches(RESEARCH, APP, 8080) and policies.reaches(APP, RESEARCH, 29500)
    assert policies.reaches(PROMETHEUS, APP, 8080)
    for other in (pods("monitoring", {"app.kubernetes.io/name": "grafana"}), pods("default"), pods("kube-system")):
        assert not policies.reaches(other, APP, 8080), other
        assert not policies.reaches(RESEARCH, other, 8080), other
    for address in ("1.1.1.1", SITE):
        assert not policies.reaches(RESEARCH, outside(address), 443), address
    assert not policies.reaches(PROMETHEUS, RESEARCH, 9090)


def test_the_system_is_closed_but_for_what_it_serves(policies):
    api_server = outside(SITE)
    metrics_server = pods("kube-system", {"app.kubernetes.io/name": "metrics-server"})
    assert policies.reaches(api_server, metrics_server, 10250), "kubectl top"
    assert policies.reaches(api_server, DNS, 8080), "probes of kubelets"
    assert policies.reaches(PROMETHEUS, DNS, 9153) and policies.reaches(PROMETHEUS, metrics_server, 10250)
    assert not policies.reaches(RESEARCH, metrics_server, 10250)
    assert not policies.reaches(pods("default"), DNS, 9153)
    assert not policies.reaches(pods("default"), pods("kube-system", {"app": "any"}), 8080)
    assert not policies.reaches(outside("203.0.113.1"), metrics_server, 10250)


def app(namespace: str, name: str) -> End:
    return pods(namespace, {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name})


NODE, BALANCER, MAIL = outside(SITE), outside("192.168.1.30"), outside("203.0.113.25")
DCGM = pods("gpu-operator", {"app": "nvidia-dcgm-exporter"})
WEBHOOK = pods("gatekeeper-system", {"control-plane": "controller-manager"})
MAKER = pods("backup", {"velero.io/pod-volume-backup": "b"})
WAYS = [
    # What is measured.
    *(("prometheus asks nodes", PROMETHEUS, NODE, p) for p in (10250, 2381, 10257, 10259, 10249, 9091, 9100, 6443)),
    ("prometheus asks the load balancer", PROMETHEUS, BALANCER, 8405),
    ("prometheus asks the GPUs", PROMETHEUS, DCGM, 9400),
    ("prometheus asks the backups", PROMETHEUS, app("backup", "velero"), 8085),
    ("prometheus asks kured", PROMETHEUS, app("upkeep", "kured"), 8080),
    ("prometheus asks the logs", PROMETHEUS, app("logging", "fluentd"), 24231),
    ("kured asks for alerts", app("upkeep", "kured"), PROMETHEUS, 9090),
    ("kubectl top asks kubelets", app("kube-system", "metrics-server"), NODE, 10250),
    # What is told.
    ("alerts arrive", PROMETHEUS, app("monitoring", "alertmanager"), 9093),
    ("mail leaves", app("monitoring", "alertmanager"), MAIL, 587),
    ("graphs are asked for", app("monitoring", "grafana"), PROMETHEUS, 9090),
    ("logs are sent", app("log-collector", "fluent-bit"), app("logging", "fluentd"), 24224),
    # What is kept, and what the API server asks.
    ("copies leave", MAKER, outside("198.51.100.7"), 8333),
    ("copies are told of", MAKER, NODE, 6443),
    ("policies are asked", NODE, WEBHOOK, 8443),
    ("runs are judged", NODE, app("training-system", "trainer"), 9443),
    ("volumes are made", app("local-path-storage", "local-path-provisioner"), NODE, 6443),
]
CLOSED = [
    ("a tenant reads no logs", RESEARCH, app("logging", "fluentd"), 24224),
    ("a tenant asks no metrics", RESEARCH, PROMETHEUS, 9090),
    ("a tenant reaches no node", RESEARCH, NODE, 10250),
    ("grafana leaves for nowhere", app("monitoring", "grafana"), MAIL, 443),
    ("nobody talks to the copies", PROMETHEUS, MAKER, 443),
    ("logs leave for nowhere", app("logging", "fluentd"), MAIL, 443),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda w: f"{w[0]} {w[3]}")
def test_parts_reach_what_they_need(policies, way):
    assert policies.reaches(*way[1:])


@pytest.mark.parametrize("way", CLOSED, ids=lambda w: w[0])
def test_parts_reach_nothing_else(policies, way):
    assert not policies.reaches(*way[1:])
