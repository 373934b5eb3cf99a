// Who may do what in AWS: a role for each service account that needs the cloud, and the add-ons that need
// one.
#include <fmt/format.h>

#include "render/infrastructure/aws.hpp"

namespace tg::render {

namespace {

// Rights of the controller that makes load balancers: what it must see, and what it may change if it made it.
std::vector<Statement> load_balancer_rights() {
  const std::string made = "aws:ResourceTag/elbv2.k8s.aws/cluster";
  const std::string asked = "aws:RequestTag/elbv2.k8s.aws/cluster";
  const auto exists = [](const std::string& tag) { return condition("Null", tag, Json::array({"false"})); };
  const auto creates = [](const char* service, Json actions) {
    return condition("StringEquals", fmt::format("{}:CreateAction", service), std::move(actions));
  };
  const std::vector<std::string> groups{"arn:aws:elasticloadbalancing:*:*:targetgroup/*/*",
                                        "arn:aws:elasticloadbalancing:*:*:loadbalancer/net/*/*",
                                        "arn:aws:elasticloadbalancing:*:*:loadbalancer/app/*/*"};
  return {
      {{"ec2:DescribeAccountAttributes",
        "ec2:DescribeAddresses",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeVpcs",
        "ec2:DescribeVpcPeeringConnections",
        "ec2:DescribeSubnets",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeInstances",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeTags",
        "ec2:DescribeRouteTables",
        "ec2:GetCoipPoolUsage",
        "ec2:DescribeCoipPools",
        "ec2:GetSecurityGroupsForVpc",
        "ec2:DescribeIpamPools",
        "elasticloadbalancing:Describe*",
        "acm:ListCertificates",
        "acm:DescribeCertificate",
        "wafv2:GetWebACLForResource",
        "shield:GetSubscriptionState"},
       {"*"}},
      {{"ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"},
       {"*"}},
      {{"ec2:CreateTags"},
       {"arn:aws:ec2:*:*:security-group/*"},
       Json::array({creates("ec2", Json::array({"CreateSecurityGroup"})), exists(asked)})},
      {{"ec2:CreateTags", "ec2:DeleteTags"},
       {"arn:aws:ec2:*:*:security-group/*"},
       Json::array({exists(made)})},
      {{"ec2:DeleteSecurityGroup"}, {"*"}, Json::array({exists(made)})},
      {{"elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"},
       {"*"},
       Json::array({exists(asked)})},
      {{"elasticloadbalancing:CreateListener", "elasticloadbalancing:DeleteListener",
        "elasticloadbalancing:CreateRule", "elasticloadbalancing:DeleteRule"},
       {"*"}},
      {{"elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"},
       groups,
       Json::array({exists(made)})},
      {{"elasticloadbalancing:AddTags"},
       groups,
       Json::array({creates("elasticloadbalancing", Json::array({"CreateTargetGroup", "CreateLoadBalancer"})),
                    exists(asked)})},
      {{"elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:SetIpAddressType",
        "elasticloadbalancing:SetSecurityGroups", "elasticloadbalancing:SetSubnets",
        "elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:ModifyTargetGroup",
        "elasticloadbalancing:ModifyTargetGroupAttributes", "elasticloadbalancing:DeleteTargetGroup",
        "elasticloadbalancing:ModifyListenerAttributes", "elasticloadbalancing:ModifyCapacityReservation"},
       {"*"},
       Json::array({exists(made)})},
      {{"elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"},
       {"arn:aws:elasticloadbalancing:*:*:targetgroup/*/*"}},
      {{"elasticloadbalancing:ModifyListener", "elasticloadbalancing:AddListenerCertificates",
        "elasticloadbalancing:RemoveListenerCertificates", "elasticloadbalancing:ModifyRule",
        "elasticloadbalancing:SetRulePriorities"},
       {"*"}},
  };
}

void autoscaler(Aws& a) {
  const std::string owned = fmt::format("aws:ResourceTag/k8s.io/cluster-autoscaler/{}", a.c.cluster);
  pod_role(a, {.name = "cluster-autoscaler",
               .ns = "kube-system",
               .account = "cluster-autoscaler",
               .statements = {
                   {{"autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances",
                     "autoscaling:DescribeLaunchConfigurations", "autoscaling:DescribeScalingActivities",
                     "autoscaling:DescribeTags", "ec2:DescribeImages", "ec2:DescribeInstanceTypes",
                     "ec2:DescribeLaunchTemplateVersions", "ec2:GetInstanceTypesFromInstanceRequirements",
                     "eks:DescribeNodegroup"},
                    {"*"}},
                   {{"autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"},
                    {"*"},
                    Json::array({condition("StringEquals", owned, Json::array({"owned"}))})}}});
}

}  // namespace

Block policy_document(Aws& a, const std::string& name, const std::vector<Statement>& statements) {
  Json all = Json::array();
  for (const Statement& s : statements) {
    Json one{{"actions", s.actions}, {"resources", s.resources}};
    if (!s.conditions.empty()) one["condition"] = s.conditions;
    all.push_back(std::move(one));
  }
  return a.tf.data("identity", "aws_iam_policy_document", identifier(name), {{"statement", std::move(all)}});
}

Json condition(std::string_view test, std::string_view variable, Json values) {
  return {{"test", test}, {"variable", variable}, {"values", std::move(values)}};
}

Json nested(std::string_view key, Json value) {
  Json out = Json::object();
  out[std::string(key)] = std::move(value);
  return out;
}

namespace {

Json principal(const char* kind, Json who) {
  return {{"type", kind}, {"identifiers", Json::array({std::move(who)})}};
}

// Who may take the role on: the agent on the node for its pod, or whoever shows the account's token.
Json pod_trust(Aws& a, const PodRole& r) {
  Json agent{{"sid", "PodIdentity"},
             {"actions", Json::array({"sts:AssumeRole", "sts:TagSession"})},
             {"principals", principal("Service", "pods.eks.amazonaws.com")}};
  const auto equals = [&](const char* what, std::string value) {
    return condition("StringEquals", fmt::format("{}:{}", expression(a.issuer()), what),
                     Json::array({std::move(value)}));
  };
  const std::string account = fmt::format("system:serviceaccount:{}:{}", r.ns, r.account);
  Json token{{"sid", "ServiceAccount"},
             {"actions", Json::array({"sts:AssumeRoleWithWebIdentity"})},
             {"principals", principal("Federated", a.oidc.at("arn"))},
             {"condition", Json::array({equals("sub", account), equals("aud", "sts.amazonaws.com")})}};
  return nested("statement", Json::array({std::move(agent), std::move(token)}));
}

}  // namespace

Block service_trust(Aws& a, std::string_view file, std::string_view name, std::string_view service,
                    bool session) {
  Json actions = Json::array({"sts:AssumeRole"});
  if (session) actions.push_back("sts:TagSession");
  Json statement{{"actions", std::move(actions)}, {"principals", principal("Service", service)}};
  return a.tf.data(file, "aws_iam_policy_document", name, nested("statement", std::move(statement)));
}

Block pod_role(Aws& a, const PodRole& r) {
  const Block trust =
      a.tf.data("identity", "aws_iam_policy_document", identifier(r.name) + "_trust", pod_trust(a, r));
  const Block role = a.tf.resource("identity", "aws_iam_role", identifier(r.name),
                                   {{"name", fmt::format("${{var.cluster_name}}-{}", r.name)},
                                    {"description", fmt::format("Pods of {} in {}", r.account, r.ns)},
                                    {"assume_role_policy", trust.at("json")}});
  if (!r.statements.empty())
    a.tf.resource("identity", "aws_iam_role_policy", identifier(r.name),
                  {{"name", r.name},
                   {"role", role.at("id")},
                   {"policy", policy_document(a, r.name, r.statements).at("json")}});
  for (const std::string& policy : r.policies)
    a.tf.resource("identity", "aws_iam_role_policy_attachment", identifier(r.name + "_" + policy),
                  {{"role", role.at("name")}, {"policy_arn", "arn:aws:iam::aws:policy/" + policy}});
  if (r.associate)
    a.tf.resource("identity", "aws_eks_pod_identity_association", identifier(r.name),
                  {{"cluster_name", a.cluster.at("name")},
                   {"namespace", r.ns},
                   {"service_account", r.account},
                   {"role_arn", role.at("arn")}});
  return role;
}

namespace {

// Only texts below names of the zone: what DNS-01 writes.
void certificates(Aws& a) {
  const std::string zone = "${aws_route53_zone.main.arn}";
  Json texts = Json::array({condition("ForAllValues:StringEquals",
                                      "route53:ChangeResourceRecordSetsRecordTypes", Json::array({"TXT"}))});
  pod_role(a, {.name = "cert-manager",
               .ns = "cert-manager",
               .account = "cert-manager",
               .statements = {{{"route53:GetChange"}, {"arn:aws:route53:::change/*"}},
                              {{"route53:ListHostedZonesByName"}, {"*"}},
                              {{"route53:ListResourceRecordSets"}, {zone}},
                              {{"route53:ChangeResourceRecordSets"}, {zone}, std::move(texts)}}});
}

void external_secrets(Aws& a) {
  const Block account = a.tf.data("identity", "aws_caller_identity", "here", Json::object());
  const auto kept = [&](const std::string& path) {
    return fmt::format("arn:aws:secretsmanager:${{var.region}}:{}:secret:{}", account.at("account_id"), path);
  };
  const Block role = pod_role(
      a, {.name = "external-secrets",
          .ns = "secrets",
          .account = "external-secrets",
          .statements = {
              {{"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"}, {kept(a.c.name + "/*")}},
              {{"kms:Decrypt"}, {a.key.at("arn")}}}});
  a.tf.output("external_secrets_role_arn", "Role of External Secrets", role.at("arn"));
}

}  // namespace

void aws_identities(Aws& a) {
  const Context& context = a.context;
  if (a.c.gateway)
    pod_role(a, {.name = "load-balancer-controller",
                 .ns = "kube-system",
                 .account = "aws-load-balancer-controller",
                 .statements = load_balancer_rights()});
  const std::string nodes = context.spec().text("components.autoscaling.nodes");
  bool scales = false;
  for (const Pool& p : a.c.pools) scales = scales || p.scales();
  if (by_karpenter(context))
    aws_karpenter(a);
  else if (nodes == "cluster-autoscaler" || (nodes.empty() && scales))
    autoscaler(a);
  if (!a.c.zone.empty() && a.c.gateway) certificates(a);
  if (context.use("secrets") == "external-secrets") external_secrets(a);
  if (context.use("logs") == "cloudwatch")
    pod_role(a, {.name = "logs",
                 .ns = "logging",
                 .account = "fluent-bit",
                 .policies = {"CloudWatchAgentServerPolicy"}});
}

// What the cloud keeps up to date in the cluster, each at the version that it gives to this minor version.
void aws_addons(Aws& a) {
  Terraform& tf = a.tf;
  bool shared = false;
  for (const auto& [name, c] : a.context.spec().named("storage.classes"))
    shared = shared || (c.text("kind") == "shared" && !c.flag("existing"));
  struct Addon {
    const char* name;
    const char* account = nullptr;  // that needs the cloud
    const char* policy = nullptr;
    Json settings = nullptr;
    bool early = false;  // before the nodes
  };
  std::vector<Addon> all{
      {"vpc-cni", "aws-node", "AmazonEKS_CNI_Policy",
       Json{{"enableNetworkPolicy", "true"}, {"env", {{"ENABLE_PREFIX_DELEGATION", "true"}}}}, true},
      {"kube-proxy", nullptr, nullptr, nullptr, true},
      {"eks-pod-identity-agent", nullptr, nullptr, nullptr, true},
      {"coredns", nullptr, nullptr, nullptr, false},
      {"aws-ebs-csi-driver", "ebs-csi-controller-sa", "service-role/AmazonEBSCSIDriverPolicy", nullptr,
       false}};
  if (shared)
    all.push_back({"aws-efs-csi-driver", "efs-csi-controller-sa", "service-role/AmazonEFSCSIDriverPolicy",
                   nullptr, false});
  const spec::Reader storage = a.context.spec().sub("storage");
  if (!storage.has("snapshots") || storage.flag("snapshots"))
    all.push_back({"snapshot-controller", nullptr, nullptr, nullptr, false});
  for (const Addon& addon : all) {
    const Block version =
        tf.data("cluster", "aws_eks_addon_version", addon.name,
                {{"addon_name", addon.name}, {"kubernetes_version", a.cluster.at("version")}});
    Json body{{"cluster_name", a.cluster.at("name")},
              {"addon_name", addon.name},
              {"addon_version", version.at("version")},
              {"resolve_conflicts_on_create", "OVERWRITE"},
              {"resolve_conflicts_on_update", "PRESERVE"}};
    if (!addon.settings.is_null()) body["configuration_values"] = addon.settings.dump();
    if (addon.account != nullptr) {
      const Block role = pod_role(a, {.name = addon.name,
                                      .ns = "kube-system",
                                      .account = addon.account,
                                      .policies = {addon.policy},
                                      .associate = false});
      body["pod_identity_association"] = {{"service_account", addon.account}, {"role_arn", role.at("arn")}};
    }
    // Deployments wait for a node; the rest is what a node waits for.
    if (!addon.early) body["depends_on"] = Json::array({a.node_role.address});
    tf.resource("cluster", "aws_eks_addon", addon.name, std::move(body));
  }
}

}  // namespace tg::render
