"""What the controller of AWS' load balancers may do, decided as IAM decides: an action is allowed when a statement has
it, its resource and its conditions. Asked is what the controller's release asks for (docs/install/iam_policy.json)."""

from __future__ import annotations

import fnmatch
import json

import pytest

pytestmark = pytest.mark.parametrize("tree", ["saas-aws", "analytics-hub"])
ELB = "elasticloadbalancing"
MINE, ASKED = {"aws:ResourceTag/elbv2.k8s.aws/cluster": "a"}, {"aws:RequestTag/elbv2.k8s.aws/cluster": "a"}


@pytest.fixture
def statements(tree, rendered) -> list[dict]:
    path = rendered(tree) / "infrastructure/terraform/identity.tf.json"
    data = json.loads(path.read_text(encoding="utf-8"))["data"]["aws_iam_policy_document"]
    return data["load-balancer-controller"]["statement"]


def holds(condition: dict, keys: dict) -> bool:
    value = keys.get(condition["variable"])
    match condition["test"]:
        case "Null":
            return (value is None) == (condition["values"] == ["true"])
        case "StringEquals":
            return value in condition["values"]
    raise AssertionError(condition)


def allowed(statements: list[dict], action: str, resource: str = "*", keys: dict | None = None) -> bool:
    return any(
        any(fnmatch.fnmatchcase(action, a) for a in s["actions"])
        and any(fnmatch.fnmatchcase(resource, r) for r in s["resources"])
        and all(holds(c, keys or {}) for c in s.get("condition", []))
        for s in statements
    )


def arn(what: str, service: str = ELB) -> str:
    return f"arn:aws:{service}:us-east-1:111111111111:{what}"


BALANCER, GROUP, LISTENER = arn("loadbalancer/net/a/1"), arn("targetgroup/a/1"), arn("listener/net/a/1/2")
SECURITY = arn("security-group/sg-1", "ec2")


def created(by: str, service: str = ELB) -> dict:
    return {f"{service}:CreateAction": by}


NEEDED = [
    ("iam:CreateServiceLinkedRole", "*", {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}),
    ("ec2:DescribeSubnets", "*", {}),
    ("ec2:GetSecurityGroupsForVpc", "*", {}),
    (f"{ELB}:DescribeListenerAttributes", "*", {}),
    ("ec2:CreateSecurityGroup", "*", {}),
    ("ec2:AuthorizeSecurityGroupIngress", SECURITY, {}),
    ("ec2:CreateTags", SECURITY, created("CreateSecurityGroup", "ec2") | ASKED),
    ("ec2:DeleteTags", SECURITY, MINE),
    ("ec2:DeleteSecurityGroup", SECURITY, MINE),
    (f"{ELB}:CreateLoadBalancer", BALANCER, ASKED),
    (f"{ELB}:CreateTargetGroup", GROUP, ASKED),
    (f"{ELB}:AddTags", BALANCER, created("CreateLoadBalancer") | ASKED),
    (f"{ELB}:AddTags", GROUP, created("CreateTargetGroup") | ASKED),
    (f"{ELB}:CreateListener", BALANCER, {}),
    # A listener is tagged as it is made, and nothing of the balancer's tags is known then.
    (f"{ELB}:AddTags", LISTENER, {}),
    (f"{ELB}:RemoveTags", LISTENER, {}),
    (f"{ELB}:AddTags", arn("listener-rule/app/a/1/2/3"), {}),
    (f"{ELB}:RemoveTags", BALANCER, MINE),
    (f"{ELB}:ModifyListener", LISTENER, {}),
    (f"{ELB}:ModifyListenerAttributes", LISTENER, MINE),
    (f"{ELB}:ModifyTargetGroupAttributes", GROUP, MINE),
    (f"{ELB}:ModifyIpPools", BALANCER, MINE),
    (f"{ELB}:RegisterTargets", GROUP, {}),
    (f"{ELB}:DeleteLoadBalancer", BALANCER, MINE),
]
REFUSED = [
    ("iam:CreateServiceLinkedRole", "*", {"iam:AWSServiceName": "ecs.amazonaws.com"}),
    ("iam:PassRole", "*", {}),
    ("ec2:DeleteSecurityGroup", SECURITY, {}),
    ("ec2:CreateTags", arn("instance/i-1", "ec2"), MINE),
    # The mark of whose it is stays as it was made.
    ("ec2:CreateTags", SECURITY, MINE | ASKED),
    (f"{ELB}:AddTags", BALANCER, MINE | ASKED),
    (f"{ELB}:AddTags", BALANCER, {}),
    (f"{ELB}:CreateLoadBalancer", BALANCER, {}),
    (f"{ELB}:DeleteLoadBalancer", BALANCER, {}),
    (f"{ELB}:ModifyTargetGroup", GROUP, {}),
]


def test_it_may_what_its_release_asks_for(statements):
    assert [a for a in NEEDED if not allowed(statements, *a)] == []


def test_it_changes_nothing_of_others(statements):
    assert [a for a in REFUSED if allowed(statements, *a)] == []
