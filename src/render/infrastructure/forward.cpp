// portforward.sh: ports of this machine that lead to parts of the platform, as long as it runs.
#include <fmt/format.h>

#include <optional>

#include "render/component/knative.hpp"
#include "render/infrastructure/cluster_api.hpp"
#include "render/infrastructure/script.hpp"

namespace tg::render {

namespace {

struct Target {
  std::string ns, what;
  int port;
  bool pod;  // `what` selects a pod: no Service leads to it
};

std::optional<Target> target(const Context& context, const std::string& part) {
  if (part == "open-webui" && context.use("chat") == "open-webui")
    return Target{"chat", "service/open-webui", 80, false};
  const std::string serving = context.use("serving");
  if (part == "gateway" && serving == "knative")
    return Target{kModelNamespace, "service/litellm", 4000, false};
  if (part == "ollama" && serving == "ollama") return Target{kModelNamespace, "service/ollama", 11434, false};
  if (part == "ollama" && serving == "knative") {
    const auto models = context.all(spec::DocumentKind::model);
    if (models.empty()) return std::nullopt;
    // Knative's gateway goes by the name of the host, which a port of this machine does not have.
    return Target{kModelNamespace, "serving.knative.dev/service=ollama-" + models.front().first, 11434, true};
  }
  if (part == "gateway" && serving == "tidegate")
    return Target{kModelNamespace, "service/tidegate", 4000, false};
  if (part == "grafana" && context.has("dashboards"))
    return Target{"monitoring", "service/grafana", 80, false};
  return std::nullopt;
}

constexpr std::string_view kBody = R"BASH(
running=()
trap 'trap - EXIT; (( ${#running[@]} == 0 )) || kill "${running[@]}" 2>/dev/null; wait' EXIT
trap 'exit 0' INT TERM

# forward LOCAL NAMESPACE WHAT PORT: again whenever the pod behind it is replaced. Only this machine reaches it.
forward() {
  while true; do
    "${kubectl[@]}" --namespace "$2" port-forward --address 127.0.0.1 "$3" "$1:$4" >/dev/null || true
    sleep 2
  done
}
forward_to_pod() {
  local pod
  while true; do
    pod=$("${kubectl[@]}" --namespace "$2" get pods --selector "$3" --field-selector status.phase=Running --output name | head -n 1)
    if [[ -n $pod ]]; then
      "${kubectl[@]}" --namespace "$2" port-forward --address 127.0.0.1 "$pod" "$1:$4" >/dev/null || true
    fi
    sleep 2
  done
}
)BASH";

}  // namespace

std::vector<Part> forward(const Context& context) {
  const spec::Reader& spec = context.spec();
  const auto ports = spec.texts_map("access.forward");
  if (ports.empty()) return {};
  std::string text =
      "#!/usr/bin/env bash\n# Written by tidegate render. Change the document, not this file.\n"
      "# Leads ports of this machine into the platform until it is ended.\nset -euo pipefail\n";
  if (context.site() == Site::cluster_api) {
    text += "here=$(cd \"$(dirname \"${BASH_SOURCE[0]}\")\" && pwd)\n";
    text += fmt::format("kubectl=(kubectl --kubeconfig \"$here/{}\")\n", workload_kubeconfig(context));
  } else if (context.site() == Site::existing) {
    text +=
        fmt::format("kubectl=(kubectl --context {})\n", shell_word(context.infrastructure().text("context")));
  } else {
    text += "kubectl=(kubectl)\n";
  }
  text += kBody;
  std::string list, section = "```sh\ninfrastructure/portforward.sh\n```\n\n";
  for (const auto& [part, port] : ports) {
    const auto t = target(context, part);
    if (!t) {
      context.refuse("cannot_render", spec.at("access.forward"), fmt::format("spec.access.forward.{}", part),
                     fmt::format("{} is not a part of this platform that can be reached so", part),
                     "open-webui, gateway, ollama and grafana can, if the platform has them");
      continue;
    }
    list += fmt::format("{} {} {} {} {} &\nrunning+=($!)\n", t->pod ? "forward_to_pod" : "forward", port,
                        t->ns, shell_word(t->what), t->port);
    list +=
        fmt::format("printf '%s\\n' {}\n", shell_word(fmt::format("{}: http://localhost:{}", part, port)));
    section += fmt::format("- {}: http://localhost:{}\n", part, port);
  }
  text += "\n" + list + "wait\n";
  Part out;
  out.where = Where::infrastructure;
  out.name = "forward";
  out.extras.push_back({"portforward.sh", std::move(text), true});
  out.sections.push_back(
      {.chapter = Section::Chapter::access, .title = "Ports of this machine", .text = std::move(section)});
  return {std::move(out)};
}

}  // namespace tg::render
