"""Every oracle takes one good input and refuses one bad one. An oracle that takes everything would prove nothing."""

from __future__ import annotations

import pathlib
import textwrap

import pytest
from lib import kube, kube_facts, oracles, oracles_terraform, oracles_values


def text(block: str) -> str:
    return textwrap.dedent(block).lstrip("\n")


DEPLOYMENT = text("""
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web, namespace: chat}
    spec:
      replicas: 2
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          containers:
            - name: web
              image: registry.example/web:1
              ports: [{name: http, containerPort: 8080}]
    """)
MONITOR = text("""
    apiVersion: monitoring.coreos.com/v1
    kind: ServiceMonitor
    metadata: {name: web, namespace: chat}
    spec:
      selector: {matchLabels: {app: web}}
      endpoints: [{port: http, interval: 30s}]
    """)
TEMPLATE = text("""
    apiVersion: templates.gatekeeper.sh/v1
    kind: ConstraintTemplate
    metadata: {name: needlabels}
    spec:
      crd:
        spec:
          names: {kind: NeedLabels}
          validation:
            openAPIV3Schema:
              type: object
              properties: {labels: {type: array, items: {type: string}}}
      targets:
        - target: admission.k8s.gatekeeper.sh
          rego: |
            package needlabels
            violation[{"msg": msg}] {
              wanted := input.parameters.labels[_]
              not input.review.object.metadata.labels[wanted]
              msg := sprintf("the label %v is missing", [wanted])
            }
    """)
CONSTRAINT = text("""
    apiVersion: constraints.gatekeeper.sh/v1beta1
    kind: NeedLabels
    metadata: {name: team}
    spec:
      match: {kinds: [{apiGroups: [""], kinds: [Namespace]}]}
      parameters: {labels: [team]}
    """)


def namespace(labels: str = "{}") -> str:
    return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: chat, labels: {labels}}}\n"


def file(folder: pathlib.Path, name: str, content: str) -> pathlib.Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(content))
    return path


def takes(oracle, what, **options) -> None:
    oracles.need(oracle)
    assert oracles.errors(oracle.check(what, **options)) == []


def refuses(oracle, what, saying: str, **options) -> None:
    oracles.need(oracle)
    found = "\n".join(oracles.errors(oracle.check(what, **options)))
    assert saying in found


# --- the API server --------------------------------------------------------------------------------------------------

GOOD_OBJECTS = {
    "built in": DEPLOYMENT,
    "custom": MONITOR,
    "list": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}\n",
    "constraint with its template": TEMPLATE + "---\n" + CONSTRAINT,
    "written by hand": (
        "apiVersion: helm.cattle.io/v1\nkind: HelmChartConfig\nmetadata: {name: traefik, namespace: kube-system}\n"
        "spec: {valuesContent: 'a: 1'}\n"
    ),
    "JSON": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}',
}


@pytest.mark.parametrize("name", GOOD_OBJECTS)
def test_api_server_takes(api_server, name):
    takes(oracles.api_server, GOOD_OBJECTS[name], server=api_server)


BAD_OBJECTS = {
    "unknown field": (DEPLOYMENT.replace("replicas", "replica"), "replica"),
    "wrong type": (DEPLOYMENT.replace("replicas: 2", "replicas: two"), "replicas"),
    "judged in code": (DEPLOYMENT.replace("labels: {app: web}}", "labels: {app: other}}"), "selector"),
    "port name too long": (DEPLOYMENT.replace("name: http", "name: a-very-long-port-name"), "no more than 15"),
    "two of one name": (DEPLOYMENT.replace("ports:", "env: [{name: A}, {name: A}]\n          ports:"), "duplicate"),
    "unknown field of a custom kind": (MONITOR.replace("interval", "intervall"), "intervall"),
    "pattern of a custom kind": (MONITOR.replace("30s", "thirty"), "interval"),
    "rule of a custom kind": (
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: {name: a}
        spec:
          gatewayClassName: a
          listeners:
            - {name: a, port: 80, protocol: HTTP, tls: {mode: Terminate}}
        """,
        "tls must not be specified",
    ),
    "unknown kind": ("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n", "this kind"),
    "unknown version": (MONITOR.replace("com/v1", "com/v7"), "this kind"),
    "unknown parameter of a constraint": (TEMPLATE + "---\n" + CONSTRAINT.replace("{labels:", "{label:"), "label"),
    "namespace where none belongs": (
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: a, namespace: chat}\n",
        "belongs to no namespace",
    ),
    "no object": ("just a text", "is no object"),
}


@pytest.mark.parametrize("name", BAD_OBJECTS)
def test_api_server_refuses(api_server, name):
    what, saying = BAD_OBJECTS[name]
    refuses(oracles.api_server, textwrap.dedent(what), saying, server=api_server)


def test_api_server_asks_for_the_namespace(api_server):
    what = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: nowhere}\n"
    refuses(oracles.api_server, what, "nothing makes its namespace nowhere", server=api_server, namespaces=[])


def test_api_server_warns_of_what_the_namespace_forbids(api_server):
    what = namespace("{pod-security.kubernetes.io/warn: restricted}") + "---\n" + DEPLOYMENT
    found = oracles.api_server.check(what, server=api_server)
    assert any(p.warning and "PodSecurity" in p.message for p in found), found


def test_api_server_judges_pods_by_what_their_namespace_enforces(api_server):
    what = namespace("{pod-security.kubernetes.io/enforce: restricted}").replace("chat", "strict") + "---\n"
    what += DEPLOYMENT.replace("namespace: chat", "namespace: strict")
    takes(oracles.api_server, what, server=api_server)
    refuses(oracles.api_server, what, "violates PodSecurity", server=api_server, pods=True)


def test_pods_of_workloads():
    claims = "volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]\n  template:"
    (made,) = kube_facts.pods_of(kube_facts.parse(DEPLOYMENT.replace("template:", claims)))
    assert made["metadata"] == {"labels": {"app": "web"}, "generateName": "web-", "namespace": "chat"}
    assert made["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}]


def test_api_server_keeps_nothing_of_a_dry_run(api_server):
    takes(oracles.api_server, DEPLOYMENT.replace("name: web, n", "name: never-made, n"), server=api_server)
    kind = kube_facts.kind_of("apps/v1", "Deployment")
    assert api_server.request("GET", kind.path("chat", "never-made")).status == 404


def test_all_own_definitions_are_taken(api_server):
    for group in sorted(kube_facts.custom_groups()):
        api_server.kind_of({"apiVersion": f"{group}/v1", "kind": "None"})  # raises when one is refused


def test_a_second_server_runs_beside(api_server, tmp_path):
    with kube.ApiServer.start(tmp_path) as other:
        assert other.dry_run(kube_facts.parse(DEPLOYMENT)) == []
        processes = other._processes
    assert [p.poll() is None for p in processes] == [False, False]


# --- YAML ------------------------------------------------------------------------------------------------------------


def test_a_key_given_twice_is_an_error():
    with pytest.raises(kube_facts.yaml.YAMLError, match="'a' stands twice"):
        kube_facts.parse("a: 1\nb: {a: 2}\na: 3\n")


# --- the other judges of objects -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [DEPLOYMENT, MONITOR])
def test_kubeconform_takes(what):
    takes(oracles.kubeconform, what)


@pytest.mark.parametrize(
    ("what", "saying"),
    [
        (DEPLOYMENT.replace("replicas: 2", "replicas: two"), "replicas"),
        (DEPLOYMENT.replace("selector", "selectr"), "selectr"),
        (MONITOR.replace("port: http", "prt: http"), "prt"),
        ("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n", "could not find schema"),
    ],
)
def test_kubeconform_refuses(what, saying):
    refuses(oracles.kubeconform, what, saying)


def test_kube_score():
    probe = "{httpGet: {path: /, port: http}}"
    container = f"""
          imagePullPolicy: Always
          readinessProbe: {probe}
          resources:
            requests: {{cpu: 100m, memory: 64Mi, ephemeral-storage: 1Gi}}
            limits: {{cpu: 100m, memory: 64Mi, ephemeral-storage: 1Gi}}
          securityContext: {{readOnlyRootFilesystem: true, runAsUser: 20000, runAsGroup: 20000}}
    """
    careful = DEPLOYMENT.rstrip() + container
    policy = """---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: chat}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]}
"""
    spare = """---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: chat}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
"""
    takes(oracles.kube_score, careful.rstrip() + "\n" + policy + spare)
    refuses(oracles.kube_score, DEPLOYMENT, "container-resources")


def test_gator():
    takes(oracles.gator, "---\n".join([TEMPLATE, CONSTRAINT, namespace("{team: a}")]))
    refuses(oracles.gator, "---\n".join([TEMPLATE, CONSTRAINT, namespace()]), "the label team is missing")


def test_gator_suite(tmp_path):
    file(tmp_path, "template.yaml", TEMPLATE)
    file(tmp_path, "constraint.yaml", CONSTRAINT)
    file(tmp_path, "allowed.yaml", namespace("{team: a}"))
    file(tmp_path, "denied.yaml", namespace())
    suite = """
        kind: Suite
        apiVersion: test.gatekeeper.sh/v1alpha1
        tests:
          - name: labels
            template: template.yaml
            constraint: constraint.yaml
            cases:
              - {name: allowed, object: allowed.yaml, assertions: [{violations: no}]}
              - {name: denied, object: DENIED, assertions: [{violations: yes}]}
        """
    takes(oracles.gator_suite, file(tmp_path, "good_suite.yaml", suite.replace("DENIED", "denied.yaml")))
    refuses(oracles.gator_suite, file(tmp_path, "bad_suite.yaml", suite.replace("DENIED", "allowed.yaml")), "FAIL")


# --- monitoring ------------------------------------------------------------------------------------------------------

RULES = text("""
    groups:
      - name: host
        rules:
          - alert: MemoryHigh
            expr: used / total > 0.8
            for: 5m
            labels: {severity: warning}
    """)


def test_promtool_rules():
    takes(oracles.promtool_rules, RULES)
    refuses(oracles.promtool_rules, RULES.replace("> 0.8", "> > 0.8"), "parse")
    whole = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: a}\nspec:\n"
    takes(oracles.promtool_rules, whole + textwrap.indent(RULES, "  "))
    refuses(oracles.promtool_rules, whole + textwrap.indent(RULES.replace("5m", "5 minutes"), "  "), "duration")


def test_promtool_unit_tests(tmp_path):
    file(tmp_path, "rules.yaml", RULES)
    tests = """
        rule_files: [rules.yaml]
        evaluation_interval: 1m
        tests:
          - interval: 1m
            input_series:
              - {series: used, values: "90x10"}
              - {series: total, values: "100x10"}
            alert_rule_test:
              - eval_time: TIME
                alertname: MemoryHigh
                exp_alerts: [{exp_labels: {severity: warning}}]
        """
    takes(oracles.promtool_tests, file(tmp_path, "good.yaml", tests.replace("TIME", "6m")))
    refuses(oracles.promtool_tests, file(tmp_path, "bad.yaml", tests.replace("TIME", "3m")), "FAILED")


ALERTMANAGER = text("""
    route:
      receiver: mail
      routes:
        - {matchers: ["team = data"], receiver: chat}
    receivers:
      - name: mail
      - name: chat
    """)


def test_amtool():
    takes(oracles.amtool_config, ALERTMANAGER)
    refuses(oracles.amtool_config, ALERTMANAGER.replace("receiver: chat", "receiver: cat"), "cat")
    takes(oracles.amtool_routes, ALERTMANAGER, cases=[({"team": "data"}, ["chat"]), ({"team": "web"}, ["mail"])])
    refuses(oracles.amtool_routes, ALERTMANAGER, "wanted chat", cases=[({"team": "web"}, ["chat"])])


# --- hosts and the edge ----------------------------------------------------------------------------------------------


def test_haproxy():
    good = text("""
        defaults
          mode tcp
          timeout connect 5s
          timeout client 1m
          timeout server 1m
        frontend api
          bind 127.0.0.1:6443
          default_backend planes
        backend planes
          server a 192.0.2.1:6443 check
        """)
    takes(oracles.haproxy, good)
    refuses(oracles.haproxy, good.replace("default_backend planes", "default_backend plans"), "plans")


def test_nginx():
    good = "pid nginx.pid;\nevents {}\nhttp { access_log off; server { listen 127.0.0.1:1; return 204; } }\n"
    takes(oracles.nginx, good)
    refuses(oracles.nginx, good.replace("return", "retrun"), "retrun")


def test_nginx_with_the_rules_of_a_wall():
    good = text("""
        SecRuleEngine On
        Include /etc/modsecurity/crs/crs-setup.conf
        Include /usr/share/modsecurity-crs/rules/*.conf
        SecRule ARGS:a "@streq b" "id:100001,phase:2,deny,status:403"
        """)
    takes(oracles.nginx_waf, good)
    refuses(oracles.nginx_waf, good.replace("SecRule ARGS", "SecRulez ARGS"), "unread text: 'z'")
    refuses(oracles.nginx_waf, good.replace("id:100001,", ""), "must have an ID")


def test_the_wall_lets_by_and_holds_back():
    oracles.need(oracles.nginx_waf)
    rules = text("""
        SecRuleEngine On
        SecRequestBodyAccess On
        Include /etc/modsecurity/crs/crs-setup.conf
        Include /usr/share/modsecurity-crs/rules/*.conf
        """)
    asked = ["/?name=chat", "/?id=1%27%20or%20%271%27=%271", "/?q=<script>alert(1)</script>"]
    assert oracles.nginx_waf.statuses(rules, asked) == [200, 403, 403]
    assert oracles.nginx_waf.statuses(rules.replace("Engine On", "Engine DetectionOnly"), asked) == [200, 200, 200]


def test_kubeadm():
    good = text("""
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: ClusterConfiguration
        kubernetesVersion: v1.35.8
        controlPlaneEndpoint: api.example:6443
        networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}
        """)
    takes(oracles.kubeadm, good)
    refuses(oracles.kubeadm, good.replace("podSubnet", "podSubnett"), "podSubnett")


def test_kustomize(tmp_path):
    file(tmp_path, "web.yaml", DEPLOYMENT)
    file(tmp_path, "kustomization.yaml", "resources: [web.yaml]\nnamePrefix: a-\n")
    takes(oracles.kustomize, tmp_path)
    file(tmp_path, "kustomization.yaml", "resources: [wed.yaml]\n")
    refuses(oracles.kustomize, tmp_path, "wed.yaml")


def test_actionlint(tmp_path):
    good = """
        on: {push: {branches: [main]}}
        permissions: {contents: read}
        jobs:
          test:
            runs-on: ubuntu-24.04
            steps:
              - run: make test
        """
    takes(oracles.actionlint, file(tmp_path, "good.yaml", good))
    refuses(oracles.actionlint, file(tmp_path, "bad.yaml", good.replace("runs-on", "run-on")), "run-on")


def test_shellcheck():
    takes(oracles.shellcheck, '#!/bin/sh\nset -eu\nprintf "%s\\n" "$1"\n')
    refuses(oracles.shellcheck, "#!/bin/sh\nrm $1\n", "SC2086")


def test_yamllint():
    takes(oracles.yamllint, "a: 1\nb:\n  - c\n")
    refuses(oracles.yamllint, "a: 1\nb: 2\na: 3\n", "duplication")


# --- charts ----------------------------------------------------------------------------------------------------------


def chart(folder: pathlib.Path, field: str) -> pathlib.Path:
    file(folder, "Chart.yaml", "apiVersion: v2\nname: own\nversion: 1.0.0\nicon: https://charts.example/own.png\n")
    file(folder, "values.yaml", "text: hello\n")
    file(
        folder,
        "templates/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {text: {{ .Values.FIELD | quote }}}\n".replace(
            "FIELD", field
        ),
    )
    return folder


def test_helm(tmp_path):
    good, bad = chart(tmp_path / "own", "text"), chart(tmp_path / "other", "text | nofunction")
    takes(oracles.helm_lint, good)
    refuses(oracles.helm_lint, bad, "nofunction")
    takes(oracles.helm_template, good)
    refuses(oracles.helm_template, bad, "nofunction")
    assert oracles.helm_template.objects(good)[0]["data"] == {"text": "hello"}


def test_values_of_charts():
    good = "crds: {enabled: true}\nreplicaCount: 2\nserviceAccount: {annotations: {a: b}}\n"
    takes(oracles_values.chart_values, good, chart="cert-manager")
    refuses(
        oracles_values.chart_values,
        good.replace("replicaCount", "replicasCount"),
        "replicaCount?",
        chart="cert-manager",
    )
    refuses(
        oracles_values.chart_values, good.replace("enabled: true", 'enabled: "yes"'), "boolean", chart="cert-manager"
    )
    refuses(oracles_values.chart_values, good, "not known here", chart="certs-manager")
    refuses(oracles_values.chart_values, good, "keys known are of", chart="cert-manager", version="v1.14.0")


# --- OpenTofu and LiteLLM --------------------------------------------------------------------------------------------


def test_tofu_validate_without_a_provider():
    good = '{"variable": {"zone": {"type": "string"}}, "output": {"zone": {"value": "${var.zone}"}}}'
    takes(oracles_terraform.tofu_validate, good)
    refuses(oracles_terraform.tofu_validate, good.replace("var.zone", "var.zones"), "zones")


TERRAFORM = """
{"terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": "~> 6.25"}}},
 "resource": {
  "aws_iam_role": {"main": {"assume_role_policy": "{}"}},
  "aws_subnet": {"a": {"vpc_id": "${aws_vpc.main.id}", "cidr_block": "10.0.1.0/24"}},
  "aws_vpc": {"main": {"cidr_block": "10.0.0.0/16", "enable_dns_hostnames": true, "tags": {"Name": "main"}}},
  "aws_eks_cluster": {"main": {
    "name": "main", "role_arn": "${aws_iam_role.main.arn}", "vpc_config": {"subnet_ids": ["${aws_subnet.a.id}"]}}}}}
"""


def test_provider_schema():
    takes(oracles_terraform.terraform_schema, TERRAFORM)


@pytest.mark.parametrize(
    ("old", "new", "saying"),
    [
        ("cidr_block", "cidrblock", "no such argument; cidr_block?"),
        ('"name": "main", ', "", "the argument name is required"),
        ('"vpc_config"', '"vpc_configs"', "the block vpc_config is required"),
        ('["${aws_subnet.a.id}"]', '"subnet"', "is no set(string)"),
        ("true", '"perhaps"', "is no bool"),
        ('"role_arn"', '"arn": "a", "role_arn"', "the provider sets this"),
        ('"subnet_ids"', '"subnets": [], "subnet_ids"', "no such argument; subnet_ids?"),
        ("aws_vpc", "aws_vcp", "has no such resource; aws_vpc?"),
        ("aws_vpc", "ibm_vpc", "the schema of the provider ibm is not known here"),
        ('"resource"', '"resources"', "no such section; resource?"),
    ],
)
def test_provider_schema_refuses(old, new, saying):
    assert old in TERRAFORM
    refuses(oracles_terraform.terraform_schema, TERRAFORM.replace(old, new), saying)


def test_tofu_validate_by_the_facts_of_a_provider():
    takes(oracles_terraform.tofu_validate, TERRAFORM)
    refuses(oracles_terraform.tofu_validate, TERRAFORM.replace("aws_subnet.a", "aws_subnet.b"), "undeclared resource")
    refuses(
        oracles_terraform.tofu_validate, TERRAFORM.replace("role.main.arn", "role.main.arm"), "Unsupported attribute"
    )
    refuses(oracles_terraform.tofu_validate, TERRAFORM.replace('"cidr_block"', '"cidrblock"'), "Extraneous JSON")
    refuses(oracles_terraform.tofu_validate, TERRAFORM.replace('"name": "main", ', ""), "name")


PLANNED = r"""
{"terraform": {"backend": {"s3": {"bucket": "state", "key": "state", "region": "eu-west-1"}}},
 "variable": {
  "cidr": {"type": "string", "default": "10.0.0.0/16", "validation": {
    "condition": "${can(cidrhost(var.cidr, 0))}", "error_message": "Write a network as 10.0.0.0/16."}},
  "names": {"type": "set(string)", "default": []},
  "token": {"type": "string", "sensitive": true}},
 "provider": {"tls": {"proxy": {"password": "${var.token}"}}},
 "data": {
  "tls_certificate": {"here": {"url": "https://example.org"}},
  "tls_public_key": {"main": {"private_key_pem": "${tls_private_key.main.private_key_pem}"}}},
 "resource": {
  "tls_private_key": {"main": {"algorithm": "ED25519", "lifecycle": {"precondition": {
    "condition": "${length(var.names) < 9}", "error_message": "Fewer names, please."}}}},
  "tls_cert_request": {"main": {
    "private_key_pem": "${tls_private_key.main.private_key_pem}", "dns_names": ["a.example"],
    "subject": {"common_name": "${local_file.a[\"two\"].content}"}}},
  "local_file": {"a": {
    "for_each": {"one": 1, "two": 2}, "content": "${cidrsubnet(var.cidr, 4, each.value)}",
    "filename": "${data.tls_certificate.here.certificates[0].subject}-${each.key}"}},
  "random_id": {"named": {"for_each": "${var.names}", "byte_length": 4}},
  "local_sensitive_file": {"key": {"filename": "key", "content": "${data.tls_public_key.main.public_key_openssh}"}}},
 "output": {"network": {"value": "${local_file.a[\"two\"].content}"},
            "fingerprint": {"value": "${tls_private_key.main.public_key_fingerprint_md5}"}}}
"""


def test_tofu_plan(tmp_path):
    (tmp_path / "main.tf.json").write_text(PLANNED)
    oracles.need(oracles_terraform.tofu_plan)
    problems, plan = oracles_terraform.tofu_plan.plan(tmp_path)
    assert problems == []
    found = {c["address"]: c["change"] for c in plan["resource_changes"]}
    assert {address: change["actions"] for address, change in found.items()} == {
        "tls_private_key.main": ["create"],
        "tls_cert_request.main": ["create"],
        'local_file.a["one"]': ["create"],
        'local_file.a["two"]': ["create"],
        'random_id.named["placeholder-names"]': ["create"],
        "local_sensitive_file.key": ["create"],
        "data.tls_public_key.main": ["read"],
    }
    second = found['local_file.a["two"]']
    assert (second["after"]["content"], second["after"]["filename"]) == ("10.0.32.0/20", "placeholder-subject-two")
    request = found["tls_cert_request.main"]
    assert request["after"]["subject"][0]["common_name"] == "10.0.32.0/20"
    assert request["after_unknown"]["id"] is True, "what the provider sets is not known"
    assert "private_key_pem" not in request["after"], "nor what follows from it"
    assert "content" not in found["local_sensitive_file.key"]["after"], "nor what is read with it"
    assert {c["address"]["to_display"]: c["status"] for c in plan["checks"]} == {
        "var.cidr": "pass",
        "tls_private_key.main": "pass",
    }


@pytest.mark.parametrize(
    ("old", "new", "saying"),
    [
        ('"${var.names}"', '"${toset([tls_private_key.main.id])}"', "Invalid for_each argument"),
        ('{"for_each": "${var.names}", ', '{"count": "${length(tls_private_key.main.id)}", ', "Invalid count argument"),
        ('"10.0.0.0/16", "val', '"10.0.0.0", "val', "Write a network as 10.0.0.0/16."),
        ("length(var.names) < 9", "length(var.names) < 1", "Fewer names, please."),
        ("each.value)", "each.value + 20)", "does not accommodate"),
        ("certificates[0]", "certificates[1]", "Invalid index"),
        (r'common_name": "${local_file.a[\"two\"]', r'common_name": "${local_file.a[\"three\"]', "Invalid index"),
        ('"${var.names}"', r'"${toset([for n in var.names : n if n == \"a\"])}"', "is not in the plan"),
    ],
)
def test_tofu_plan_refuses_what_is_valid(old, new, saying):
    assert old in PLANNED
    broken = PLANNED.replace(old, new)
    takes(oracles_terraform.tofu_validate, broken)
    refuses(oracles_terraform.tofu_plan, broken, saying)


@pytest.mark.parametrize("name", ["aws", "azurerm", "google", "opentelekomcloud"])
def test_provider_facts_are_whole(name):
    facts = oracles_terraform.provider(name)
    assert len(facts["resource"]) > 300
    assert len(facts["data"]) > 100
    assert all("attributes" in schema for schema in facts["resource"].values())


def test_litellm():
    good = text("""
        model_list:
          - model_name: chat
            litellm_params: {model: ollama_chat/qwen3, api_base: "http://ollama.models.svc:11434"}
        router_settings: {num_retries: 2}
        general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
        """)
    takes(oracles.litellm, good)
    refuses(oracles.litellm, good.replace("api_base", "api_bass"), "api_bass")
    refuses(oracles.litellm, good.replace("num_retries", "number_of_retries"), "number_of_retries")
