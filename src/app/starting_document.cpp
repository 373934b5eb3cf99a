#include "app/starting_document.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "app/terminal.hpp"
#include "text/emit.hpp"
#include "text/suggest.hpp"

namespace tg::app {

namespace {

constexpr auto kChoices = std::to_array<PlatformChoice>({
    {"bare-metal", "machines of your own, set up with kubeadm"},
    {"k3s", "one machine or a few small ones, with k3s"},
    {"aws", "Amazon Web Services"},
    {"otc", "Open Telekom Cloud"},
    {"google", "Google Cloud"},
    {"azure", "Azure"},
    {"cluster-api", "a cluster made by Cluster API, on this machine with docker"},
    {"existing", "a cluster that is there"},
});

bool is_cloud(std::string_view platform) {
  return platform == "aws" || platform == "otc" || platform == "google" || platform == "azure";
}
bool has_hosts(std::string_view platform) { return platform == "bare-metal" || platform == "k3s"; }

std::string_view default_region(std::string_view platform) {
  if (platform == "aws") return "eu-central-1";
  if (platform == "otc") return "eu-de";
  return platform == "google" ? "europe-west1" : "westeurope";
}

// Lines of YAML with comments in one column.
class Page {
 public:
  void line(const std::string& text, std::string_view comment = {}) {
    constexpr std::size_t kColumn = 56;
    out_ += text;
    if (!comment.empty()) {
      out_.append(text.size() < kColumn ? kColumn - text.size() : 1, ' ');
      out_ += fmt::format("# {}", comment);
    }
    out_ += '\n';
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

std::string scalar(std::string_view text) { return text::yaml_scalar(text); }

// "192.168.1.0/24" around an address, as most networks of machines are; empty if it is none.
std::string network_around(std::string_view address) {
  const std::size_t dot = address.rfind('.');
  if (dot == std::string_view::npos || std::count(address.begin(), address.end(), '.') != 3) return {};
  return fmt::format("{}.0/24", address.substr(0, dot));
}

using Host = std::pair<std::string, std::string>;  // name, address

Result<std::vector<Host>> parse_hosts(const Start& start) {
  std::vector<Host> out;
  for (const std::string& h : start.hosts) {
    const std::size_t equals = h.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == h.size()) {
      return fail("bad_flag", fmt::format("--host '{}': not NAME=ADDRESS", printable(h)),
                  "--host node1=192.168.1.20");
    }
    out.emplace_back(h.substr(0, equals), h.substr(equals + 1));
  }
  if (start.platform == "bare-metal" && out.size() < 2) {
    return fail("missing_argument", "--host: a control plane and a worker are two hosts at least",
                "--host cp1=192.168.1.11 --host worker1=192.168.1.12; one machine alone: --platform k3s");
  }
  return out;
}

void machines(Page& page, const Start& start, const std::vector<Host>& hosts) {
  const bool k3s = start.platform == "k3s";
  page.line(fmt::format("    {}:", k3s ? "k3s" : "machines"),
            k3s ? "next: ssh.user" : "next: os, ssh.user, virtualAddress");
  if (!k3s) page.line(fmt::format("      network: {{cidr: {}}}", scalar(start.network)));
  page.line("      hosts:", "next, of each: resources, so that sums are checked; pool");
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    std::string text =
        fmt::format("        {}: {{address: {}", scalar(hosts[i].first), scalar(hosts[i].second));
    if (i == 0) text += k3s ? ", role: server" : ", role: controlPlane";
    page.line(text + "}", i == 0 && !k3s ? "three of them and a loadBalancer survive a loss" : "");
  }
}

// The others have VPNs and peering, which no document can have by itself.
bool has_bastion(std::string_view platform) { return is_cloud(platform) && platform != "otc"; }

void cloud(Page& page, const Start& start) {
  const std::string region = scalar(start.region);
  if (start.platform == "otc") {
    page.line("    openTelekomCloud:", "next: network.cidr, keyPair, state.bucket");
    page.line(fmt::format("      region: {}", region));
    page.line("      account: {domainName: {env: OTC_DOMAIN_NAME}, tenantId: {env: OTC_TENANT_ID}}");
    return;
  }
  page.line(fmt::format("    {}:", start.platform), "next: zones, network.cidr, dns.zone, state.bucket");
  page.line(fmt::format("      region: {}", region));
  if (start.platform == "google") page.line(fmt::format("      project: {}", scalar(start.project)));
}

void infrastructure(Page& page, const Start& start, const std::vector<Host>& hosts) {
  page.line("  infrastructure:");
  if (has_hosts(start.platform)) return machines(page, start, hosts);
  if (is_cloud(start.platform)) return cloud(page, start);
  if (start.platform == "existing")
    return page.line(fmt::format("    existing: {{context: {}}}", scalar(start.context)));
  page.line("    clusterApi:", "next: provider, management.expose");
  const std::string host =
      start.domain.empty() ? "{env: RANCHER_HOSTNAME}" : scalar("rancher." + start.domain);
  page.line(fmt::format("      management: {{rancher: {{hostname: {}}}}}", host));
}

void components(Page& page, const Start& start) {
  if (start.domain.empty()) {
    page.line("  components:", "next: dashboards, logs, alerts.receivers, policy");
    page.line("    gateway: none", "nothing is published without a domain");
    page.line("    certificates: none");
    page.line("    chat: open-webui");
    page.line(fmt::format("  access: {{forward: {{open-webui: 8080}}{}}}",
                          has_bastion(start.platform) ? ", bastion: true" : ""),
              "a port of this machine leads in");
    return;
  }
  page.line("  components:", "next: dashboards.host, logs, alerts.receivers, policy");
  page.line(fmt::format("    chat: {{use: open-webui, host: {}}}", scalar("chat." + start.domain)));
  if (has_bastion(start.platform))
    page.line("  access: {bastion: true}", "the way to the private API server");
}

// A flag that this platform has no use for; empty if there is none.
std::string_view surplus(const Start& start) {
  const std::string_view p = start.platform;
  if (!start.region.empty() && !is_cloud(p)) return "--region";
  if (!start.project.empty() && p != "google") return "--project";
  if (!start.context.empty() && p != "existing") return "--context";
  if (!start.network.empty() && p != "bare-metal") return "--network";
  if (!start.hosts.empty() && !has_hosts(p)) return "--host";
  return {};
}

std::string_view meaning_of(std::string_view platform) {
  for (const PlatformChoice& c : kChoices) {
    if (c.word == platform) return c.meaning;
  }
  return {};
}

}  // namespace

std::span<const PlatformChoice> platform_choices() { return kChoices; }

std::vector<Question> questions(const Start& start) {
  std::vector<Question> out;
  const auto ask = [&](Question q) {
    const bool said = q.answer == nullptr ? !start.hosts.empty() : !(start.*q.answer).empty();
    if (!said) out.push_back(std::move(q));
  };
  ask({"--name", "Name of the platform", "llm", &Start::name});
  ask({"--domain", "Domain of what is published (empty: nothing is)", "", &Start::domain});
  // The authority that signs for the domain wants an account, and the chat page a first user.
  const bool published = !start.domain.empty();
  ask({"--email",
       published ? "E-mail of those who answer for it" : "E-mail of those who answer for it (empty: none)",
       "", &Start::email, published});
  if (is_cloud(start.platform))
    ask({"--region", "Region", std::string(default_region(start.platform)), &Start::region});
  if (start.platform == "google") ask({"--project", "Project", "", &Start::project, true});
  if (start.platform == "existing")
    ask({"--context", "Context of the kubeconfig", "", &Start::context, true});
  if (has_hosts(start.platform)) {
    ask({"--host",
         start.platform == "k3s" ? "Hosts as NAME=ADDRESS, the server first"
                                 : "Hosts as NAME=ADDRESS, the control plane first",
         "", nullptr, true});
  }
  return out;
}

Result<std::string> starting_document(Start start) {
  const std::string_view meaning = meaning_of(start.platform);
  if (meaning.empty()) {
    std::vector<std::string_view> words(kChoices.size());
    std::ranges::transform(kChoices, words.begin(), &PlatformChoice::word);
    const std::string near = text::did_you_mean(start.platform, words);
    return fail("bad_flag", fmt::format("--platform '{}': no such choice", printable(start.platform)),
                near.empty() ? "write " + text::join_words(words, "or") : near);
  }
  if (const std::string_view flag = surplus(start); !flag.empty()) {
    return fail("bad_flag", fmt::format("{} says nothing about the platform {}", flag, start.platform),
                fmt::format("leave {} out", flag));
  }
  for (const Question& q : questions(start)) {
    if (q.required)
      return fail(
          "missing_argument", fmt::format("{} is missing: nobody can guess it", q.flag),
          fmt::format("{} {}", q.flag, q.answer == nullptr ? "NAME=ADDRESS, once for each host" : "NAME"));
    if (q.answer != nullptr) start.*q.answer = q.fallback;
  }
  const auto hosts = parse_hosts(start);
  if (!hosts) return std::unexpected(hosts.error());
  if (start.network.empty() && !hosts->empty()) start.network = network_around(hosts->front().second);
  Page page;
  page.line(fmt::format("# The platform {}: {}.", start.name, meaning));
  page.line("# Each field, its default and why: tidegate explain Platform.spec");
  page.line("apiVersion: tidegate.dev/v1alpha1");
  page.line("kind: Platform");
  page.line(fmt::format("metadata: {{name: {}}}", scalar(start.name)));
  page.line("spec:");
  if (!start.domain.empty()) page.line(fmt::format("  domain: {}", scalar(start.domain)));
  if (!start.email.empty())
    page.line(fmt::format("  contacts: {{email: {}}}", scalar(start.email)), "next: team, slack, docs");
  infrastructure(page, start, *hosts);
  page.line("  # next: pools (GPUs, labels, taints), storage.classes, data, apps");
  components(page, start);
  page.line("  # next: access.login.oidc, backup.store, delivery.ci, upkeep.window");
  page.line("---");
  page.line("apiVersion: tidegate.dev/v1alpha1");
  page.line("kind: Model");
  page.line("metadata: {name: qwen3-0.6b}");
  page.line("spec:", "next: replicas, pool, resources");
  page.line("  source: hf://Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf");
  return page.take();
}

}  // namespace tg::app
