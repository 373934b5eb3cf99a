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

// A pool as groups of one purchase option and one shape each.
std::vector<Group> aws_groups(const Pool& pool);
void aws_addons(Aws& a);
void aws_identities(Aws& a);
void aws_pools(Aws& a);
void aws_data(Aws& a);
void aws_access(Aws& a);

}  // namespace tg::render
