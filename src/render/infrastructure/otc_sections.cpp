// What the runbook says of Open Telekom Cloud beside what it says of every cloud.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

std::string key_place(const spec::Reader& site, const char* field, const char* variable) {
  const auto secret = site.secret(field);
  return secret ? describe(*secret) : fmt::format("env {}", variable);
}

std::string credentials(const Otc& o) {
  const spec::Reader site = o.context.infrastructure();
  std::string text = fmt::format(
      "The access key is a variable that no file holds (document: {}, {}). The bucket of the state has keys "
      "of its own, which are the same two:\n\n```sh\n"
      "export TF_VAR_otc_access_key=...\nexport TF_VAR_otc_secret_key=...\n"
      "export AWS_ACCESS_KEY_ID=$TF_VAR_otc_access_key AWS_SECRET_ACCESS_KEY=$TF_VAR_otc_secret_key\n",
      key_place(site, "credentials.accessKey", "TF_VAR_otc_access_key"),
      key_place(site, "credentials.secretKey", "TF_VAR_otc_secret_key"));
  if (!o.c.vpn_peer.empty())
    text += fmt::format("export TF_VAR_vpn_pre_shared_key=...   # {}\n", o.c.vpn_key);
  text +=
      "```\n\n`init` writes `.terraform.lock.hcl`, which pins the "
      "providers with their digests: it belongs into the repository.\n";
  if (!o.c.state_bucket.empty())
    text += fmt::format(
        "\nThe bucket `{}` must be there before the first `init`: make it once in the console, with "
        "versioning and encryption on.\n",
        o.c.state_bucket);
  return text +
         "\nHas CCE been used in the project before, its agency is there already; after `init` and before "
         "`plan`: "
         "`tofu -chdir=infrastructure/terraform import opentelekomcloud_identity_agency_v3.cce ID`.\n";
}

std::string audit(const Otc& o) {
  return fmt::format(
      "CCE takes no audit policy. In the console: cluster, Logging, Control Plane Audit Logs; choose group "
      "`{}-control-plane`, stream `audit`. No Terraform resource switches it on.\n",
      o.c.cluster);
}

std::string vpn(const Otc& o) {
  return fmt::format(
      "`tofu -chdir=infrastructure/terraform output vpn_addresses` names this end. At {}: IKEv2, AES-256, "
      "SHA2-256, group 15, networks here {}, there {}.\n",
      o.c.vpn_peer, o.c.subnets.front().cidr, fmt::join(o.c.vpn_networks, ", "));
}

}  // namespace

void otc_sections(Part& part, const Otc& o) {
  part.sections.push_back({Section::Chapter::first_steps, "Credentials of the cloud", credentials(o)});
  add_first_apply(part, o.c);
  if (o.c.audit != "none")
    part.sections.push_back({Section::Chapter::first_steps, "The audit log of the API server", audit(o)});
  if (!o.c.vpn_peer.empty()) part.sections.push_back({Section::Chapter::access, "The VPN", vpn(o)});
}

}  // namespace tg::render
