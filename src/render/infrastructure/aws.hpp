// Amazon Web Services: the pieces of aws.cpp and what they share.
#pragma once

#include <string>
#include <vector>

#include "render/infrastructure/cloud.hpp"

namespace tg::render {

struct Aws {
  const Context& context;
  const Cloud& c;
  Terraform& tf;
  Block vpc{}, key{}, cluster{}, oidc{}, node_role{};
  std::vector<Block> private_subnets{}, public_subnets{}, private_tables{};
  std::string issuer() const;  // inside an expression: the issuer of pods' tokens without https://
  Json private_ids() const;
  Json public_ids() const;
};

// A role that pods of one service account take on: by EKS Pod Identity, and by the account's annotation
// (IRSA). `statements` are its own policy; `policies` are names of policies that the cloud keeps.
struct PodRole {
  std::string name, ns, account;
  std::vector<Statement> statements{};
  std::vector<std::string> policies{};
  bool associate = true;  // false: somebody else ties it to the account
};
Block pod_role(Aws& a, const PodRole& role);
// "{actions, resources, condition}" blocks as a document.
Block policy_document(Aws& a, const std::string& name, const std::vector<Statement>& statements);
// {key: value}: an inner block by name, so that literals stay shallow.
Json nested(std::string_view key, Json value);
// {test, variable, values}: under what a statement holds.
Json condition(std::string_view test, std::string_view variable, Json values);
// Who may take a role on: programs of the cloud itself ("ec2.amazonaws.com"). `session` lets them name tags.
Block service_trust(Aws& a, std::string_view file, std::string_view name, std::string_view service,
                    bool session = false);
// A door of a security group for one port; `from` names the other end: {"cidr_ipv4", "10.0.0.0/16"}.
void open_port(Aws& a, std::string_view file, std::string_view name, std::string_view why, const Json& group,
               int port, const std::pair<const char*, Json>& from);

// A pool as groups of one purchase option and one shape each.
std::vector<Group> aws_groups(const Pool& pool);
// Those of them that Terraform makes: all, or what Karpenter does not start.
std::vector<Group> aws_managed_groups(const Context& context, const Pool& pool);
bool by_karpenter(const Context& context);
std::string karpenter_queue(const Context& context);  // of the cloud's announcements
void aws_karpenter(Aws& a);
Part karpenter(const Context& context);
void aws_addons(Aws& a);
void aws_identities(Aws& a);
void aws_pools(Aws& a);
void aws_data(Aws& a);
void aws_access(Aws& a);

}  // namespace tg::render
