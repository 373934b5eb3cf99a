"""The chart of a training run: helm takes it in each of its forms, the API server takes what it makes, and the
platform's own policies let it in."""

from __future__ import annotations

import json
import pathlib

import pytest
import yaml
from lib import oracles
from lib.oracles import helm_lint, helm_template

TREE = "otc-training"
FOLDER = "workloads/llm-application/helm/llm-application"
DEPLOYMENT = {"kind": "Deployment", "persistence": {"enabled": True, "perReplica": True}}
NEXT = {"next": {"tag": "1.5.0", "replicas": 1, "active": True}}
FORMS = {
    "as rendered": {},
    "a set of nodes": {"kind": "JobSet", "nodes": 4, "persistence": {"perReplica": True}},
    "a deployment": DEPLOYMENT,
    "a deployment with one claim": {"kind": "Deployment"},
    "growing": {**DEPLOYMENT, "autoscaling": {"enabled": True}},
    "a canary": {**DEPLOYMENT, "strategy": "canary", **NEXT},
    "blue and green": {**DEPLOYMENT, "strategy": "blue-green", **NEXT},
    "published": {"ingress": {"enabled": True, "host": "train.example.com", "tlsSecretName": "train-tls"}},
    "without volumes": {"persistence": {"enabled": False}},
}
WRONG = {
    "no tag": ({"image": {"tag": ""}}, "image.tag must name a version"),
    "latest": ({"image": {"tag": "latest"}}, "latest is no version"),
    "a job that grows": ({"autoscaling": {"enabled": True}}, "autoscaling needs kind: Deployment"),
    "another kind": ({"kind": "Pod"}, "kind"),
    "a port that is none": ({"service": {"port": 0}}, "port"),
    "a canary of a rolling one": ({**DEPLOYMENT, "strategy": "rolling", **NEXT}, "next.tag needs strategy"),
    "two versions on one disk": ({"kind": "Deployment", "strategy": "canary", **NEXT}, "one node holds"),
}


@pytest.fixture
def chart(rendered) -> pathlib.Path:
    oracles.need(helm_template)
    return rendered(TREE) / FOLDER


@pytest.fixture
def make(chart, tmp_path):
    """make({...}) is what helm makes of the chart with these values on top."""

    def template(values: dict) -> list[dict]:
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps(values), encoding="utf-8")
        return helm_template.objects(chart, values=[file], namespace="training")

    return template


def one(objects: list[dict], kind: str, name: str = "release") -> dict:
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    assert len(found) == 1, [(o["kind"], o["metadata"]["name"]) for o in objects]
    return found[0]


def pod_of(o: dict) -> dict:
    spec = o["spec"]
    if o["kind"] == "JobSet":
        spec = spec["replicatedJobs"][0]["template"]["spec"]
    return spec["template"]


@pytest.mark.parametrize("form", FORMS)
def test_helm_takes_it(form, chart, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(FORMS[form]), encoding="utf-8")
    assert oracles.errors(helm_lint.check(chart, values=[file])) == []


@pytest.mark.parametrize("form", FORMS)
def test_api_server_takes_it(form, make, api_server):
    objects = make(FORMS[form])
    api = api_server
    refused = [str(r) for r in api.dry_run(objects, namespaces=("default", "kube-system", "training")) if not r.warning]
    assert refused == []


@pytest.mark.parametrize("mistake", WRONG)
def test_helm_refuses(mistake, chart, tmp_path):
    values, expected = WRONG[mistake]
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values), encoding="utf-8")
    problems = helm_template.check(chart, values=[file], namespace="training")
    assert problems, f"{mistake} is taken"
    assert expected in str(problems[0])


def test_values_decide(make):
    objects = make({})
    job = next(o for o in objects if o["kind"] == "Job")
    container = pod_of(job)["spec"]["containers"][0]
    assert container["image"] == "registry.example.com/llm-training:1.4.2"
    assert container["resources"]["requests"] == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}
    assert container["resources"]["limits"] == {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "1"}
    tolerated = {"key": "gpu-node", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
    assert pod_of(job)["spec"]["tolerations"] == [tolerated]
    claims = [o for o in objects if o["kind"] == "PersistentVolumeClaim"]
    assert {c["metadata"]["name"] for c in claims} == {"release-data", "release-checkpoints"}
    for c in claims:
        assert c["spec"]["storageClassName"] == "csi-disk"
        assert c["spec"]["accessModes"] == ["ReadWriteOnce"]
        assert c["metadata"]["annotations"]["everest.io/disk-volume-type"] == "SAS"
    service = one(objects, "Service")
    assert (service["spec"]["type"], service["spec"]["ports"][0]["port"]) == ("ClusterIP", 8080)
    assert not [o for o in objects if o["kind"] in ("Ingress", "HorizontalPodAutoscaler", "Deployment")]


def test_each_switch_works(make):
    ingress = one(make(FORMS["published"]), "Ingress")
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["rules"][0]["host"] == "train.example.com"
    scaler = one(make(FORMS["growing"]), "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 100)
    grown = one(make(FORMS["growing"]), "Deployment")
    assert "replicas" not in grown["spec"], "the autoscaler has the number"
    assert one(make(DEPLOYMENT), "Deployment")["spec"]["replicas"] == 1
    assert not [o for o in make(FORMS["without volumes"]) if o["kind"] == "PersistentVolumeClaim"]
    assert not [o for o in make({"metrics": {"enabled": False}}) if o["kind"] == "ServiceMonitor"]


def test_monitor_finds_the_service(make):
    objects = make({})
    monitor, service = one(objects, "ServiceMonitor"), one(objects, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    names = {p["name"] for p in service["spec"]["ports"]}
    assert {e["port"] for e in monitor["spec"]["endpoints"]} <= names
    pods = pod_of(next(o for o in objects if o["kind"] == "Job"))
    assert service["spec"]["selector"].items() <= pods["metadata"]["labels"].items()


def test_a_changed_run_has_another_name(make):
    """A Job cannot be changed: helm has to make a new one, and only then."""

    def name(values: dict) -> str:
        return next(o["metadata"]["name"] for o in make(values) if o["kind"] == "Job")

    assert name({}) == name({})
    assert name({"image": {"tag": "1.5.0"}}) != name({})


def test_nodes_find_the_first(make):
    objects = make(FORMS["a set of nodes"])
    run = next(o for o in objects if o["kind"] == "JobSet")
    env = {e["name"]: e.get("value") for e in pod_of(run)["spec"]["containers"][0]["env"]}
    name = run["metadata"]["name"]
    assert env["MASTER_ADDR"] == f"{name}-node-0-0.{run['spec']['network']['subdomain']}"
    assert len(f"{name}-node-0-0") <= 63
    assert env["NNODES"] == "4"
    assert run["spec"]["replicatedJobs"][0]["template"]["spec"]["completions"] == 4
    assert run["spec"]["failurePolicy"]["maxRestarts"] == 5


def test_a_canary_gets_a_share_and_green_gets_all(make):
    canary = make(FORMS["a canary"])
    service = one(canary, "Service")
    for name, image in (("release", "1.4.2"), ("release-next", "1.5.0")):
        pods = pod_of(one(canary, "Deployment", name))
        assert pods["spec"]["containers"][0]["image"].endswith(image)
        assert service["spec"]["selector"].items() <= pods["metadata"]["labels"].items()
    both = make(FORMS["blue and green"])
    wanted = one(both, "Service")["spec"]["selector"]
    assert wanted.items() <= pod_of(one(both, "Deployment", "release-next"))["metadata"]["labels"].items()
    assert not wanted.items() <= pod_of(one(both, "Deployment"))["metadata"]["labels"].items()


@pytest.mark.parametrize("form", FORMS)
def test_policies_let_it_in(form, make, rendered, tmp_path):
    """Gatekeeper's constraints judge Pods, so the pods of the run are asked for."""
    oracles.need(oracles.GatorTest())
    policies = rendered(TREE) / "components/28-policy"
    for o in make(FORMS[form]):
        if o["kind"] not in ("Job", "JobSet", "Deployment"):
            continue
        template = pod_of(o)
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        pod["metadata"] = {**template["metadata"], "name": "run", "namespace": "training"}
        file = tmp_path / "pod.yaml"
        file.write_text(yaml.safe_dump(pod), encoding="utf-8")
        more = [policies / "templates.yaml", policies / "constraints.yaml"]
        assert oracles.errors(oracles.GatorTest().check(file, more=more)) == []
        pod["spec"]["containers"][0]["image"] = "elsewhere.example.net/llm-training:1.4.2"
        file.write_text(yaml.safe_dump(pod), encoding="utf-8")
        assert any("AllowedRegistries" in str(p) for p in oracles.GatorTest().check(file, more=more))
