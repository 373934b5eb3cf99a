// What Karpenter needs of AWS: rights on what it made itself, and the queue that says which machines the
// cloud takes back.
#include <fmt/format.h>

#include "render/infrastructure/aws.hpp"

namespace tg::render {

namespace {

struct Marks {
  std::string cluster;
  // Holds for things of this cluster that Karpenter made, or asks to make; `kind` says of what.
  Json of(const char* tag, const char* kind) const {
    return Json::array(
        {condition("StringEquals", fmt::format("aws:{}/kubernetes.io/cluster/{}", tag, cluster),
                   Json::array({"owned"})),
         condition("StringLike", fmt::format("aws:{}/{}", tag, kind), Json::array({"*"}))});
  }
};

constexpr const char* kPool = "karpenter.sh/nodepool";
constexpr const char* kClass = "karpenter.k8s.aws/ec2nodeclass";

std::vector<std::string> machines(std::initializer_list<const char*> kinds) {
  std::vector<std::string> out;
  for (const char* kind : kinds) out.push_back(fmt::format("arn:aws:ec2:${{var.region}}:*:{}/*", kind));
  return out;
}

std::vector<Statement> machine_rights(const Marks& marks) {
  const std::vector<std::string> made = machines(
      {"fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request"});
  std::vector<std::string> used = machines({"security-group", "subnet", "capacity-reservation"});
  for (const char* kind : {"image", "snapshot"})
    used.push_back(fmt::format("arn:aws:ec2:${{var.region}}::{}/*", kind));
  Json created = marks.of("RequestTag", kPool);
  created.push_back(condition("StringEquals", "ec2:CreateAction",
                              Json::array({"RunInstances", "CreateFleet", "CreateLaunchTemplate"})));
  Json named = marks.of("ResourceTag", kPool);
  named.push_back(condition("ForAllValues:StringEquals", "aws:TagKeys",
                            Json::array({"eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"})));
  return {
      {{"ec2:RunInstances", "ec2:CreateFleet"}, used},
      {{"ec2:RunInstances", "ec2:CreateFleet"},
       machines({"launch-template"}),
       marks.of("ResourceTag", kPool)},
      {{"ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"},
       made,
       marks.of("RequestTag", kPool)},
      {{"ec2:CreateTags"}, made, std::move(created)},
      {{"ec2:CreateTags"}, machines({"instance"}), std::move(named)},
      {{"ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"},
       machines({"instance", "launch-template"}),
       marks.of("ResourceTag", kPool)},
  };
}

std::vector<Statement> identity_rights(const Aws& a, const Marks& marks) {
  const std::vector<std::string> profiles{"arn:aws:iam::*:instance-profile/*"};
  Json both = marks.of("ResourceTag", kClass);
  for (Json& c : marks.of("RequestTag", kClass)) both.push_back(std::move(c));
  return {
      {{"iam:PassRole"},
       {a.node_role.at("arn")},
       Json::array({condition("StringEquals", "iam:PassedToService", Json::array({"ec2.amazonaws.com"}))})},
      {{"iam:CreateInstanceProfile"}, profiles, marks.of("RequestTag", kClass)},
      {{"iam:TagInstanceProfile"}, profiles, std::move(both)},
      {{"iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"},
       profiles,
       marks.of("ResourceTag", kClass)},
      {{"iam:GetInstanceProfile"}, profiles},
      {{"iam:ListInstanceProfiles"}, {"*"}},
  };
}

std::vector<Statement> view_rights(const Aws& a, const Block& queue) {
  return {
      {{"ec2:DescribeCapacityReservations", "ec2:DescribeImages", "ec2:DescribeInstances",
        "ec2:DescribeInstanceStatus", "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplates", "ec2:DescribePlacementGroups", "ec2:DescribeSecurityGroups",
        "ec2:DescribeSpotPriceHistory", "ec2:DescribeSubnets"},
       {"*"},
       Json::array({condition("StringEquals", "aws:RequestedRegion", Json::array({"${var.region}"}))})},
      {{"ssm:GetParameter"}, {"arn:aws:ssm:${var.region}::parameter/aws/service/*"}},
      {{"pricing:GetProducts"}, {"*"}},
      {{"eks:DescribeCluster"}, {a.cluster.at("arn")}},
      {{"sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"}, {queue.at("arn")}},
  };
}

Block queue(Aws& a) {
  const Block out = a.tf.resource("karpenter", "aws_sqs_queue", "interruptions",
                                  {{"name", karpenter_queue(a.context)},
                                   {"message_retention_seconds", 300},
                                   {"sqs_managed_sse_enabled", true}});
  Json senders{{"type", "Service"},
               {"identifiers", Json::array({"events.amazonaws.com", "sqs.amazonaws.com"})}};
  Json send{{"actions", Json::array({"sqs:SendMessage"})},
            {"resources", Json::array({out.at("arn")})},
            {"principals", std::move(senders)}};
  Json anybody{{"type", "*"}, {"identifiers", Json::array({"*"})}};
  Json plain{{"effect", "Deny"},
             {"actions", Json::array({"sqs:*"})},
             {"resources", Json::array({out.at("arn")})},
             {"principals", std::move(anybody)},
             {"condition", condition("Bool", "aws:SecureTransport", Json::array({"false"}))}};
  const Block document = a.tf.data("karpenter", "aws_iam_policy_document", "interruptions",
                                   nested("statement", Json::array({std::move(send), std::move(plain)})));
  a.tf.resource("karpenter", "aws_sqs_queue_policy", "interruptions",
                {{"queue_url", out.at("url")}, {"policy", document.at("json")}});
  return out;
}

// Events of the cloud that announce the end of a machine.
void announcements(Aws& a, const Block& queue) {
  struct Event {
    const char *name, *source, *kind;
  };
  for (const Event& e : {Event{"spot", "aws.ec2", "EC2 Spot Instance Interruption Warning"},
                         Event{"rebalance", "aws.ec2", "EC2 Instance Rebalance Recommendation"},
                         Event{"state", "aws.ec2", "EC2 Instance State-change Notification"},
                         Event{"health", "aws.health", "AWS Health Event"}}) {
    const Json pattern{{"source", Json::array({e.source})}, {"detail-type", Json::array({e.kind})}};
    const Block rule = a.tf.resource("karpenter", "aws_cloudwatch_event_rule", e.name,
                                     {{"name", fmt::format("${{var.cluster_name}}-karpenter-{}", e.name)},
                                      {"description", e.kind},
                                      {"event_pattern", pattern.dump()}});
    a.tf.resource("karpenter", "aws_cloudwatch_event_target", e.name,
                  {{"rule", rule.at("name")}, {"target_id", "karpenter"}, {"arn", queue.at("arn")}});
  }
}

}  // namespace

bool by_karpenter(const Context& context) {
  return context.spec().text("components.autoscaling.nodes") == "karpenter";
}

std::string karpenter_queue(const Context& context) { return context.cluster_name() + "-karpenter"; }

void aws_karpenter(Aws& a) {
  const Marks marks{a.c.cluster};
  const Block messages = queue(a);
  announcements(a, messages);
  std::vector<Statement> rights = machine_rights(marks);
  for (Statement& s : identity_rights(a, marks)) rights.push_back(std::move(s));
  for (Statement& s : view_rights(a, messages)) rights.push_back(std::move(s));
  pod_role(
      a, {.name = "karpenter", .ns = "kube-system", .account = "karpenter", .statements = std::move(rights)});
  a.tf.output("node_role_name", "Role of the nodes that Karpenter starts", a.node_role.at("name"));
}

}  // namespace tg::render
