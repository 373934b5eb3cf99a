// A cluster that is there: only its name in the kubeconfig matters, nothing below it is rendered.
#include <fmt/format.h>

#include "render/infrastructure/infrastructure.hpp"

namespace tg::render {

std::vector<Part> existing(const Context& context) {
  if (context.site() != Site::existing) return {};
  const std::string name = context.infrastructure().text("context");
  Part part;
  part.where = Where::infrastructure;
  part.name = "existing";
  part.steps.push_back({.kind = "context", .what = name});
  part.sections.push_back(
      {.chapter = Section::Chapter::access,
       .title = "The cluster",
       .text = fmt::format(
           "The platform runs on a cluster that somebody else looks after. Everything here uses its "
           "context in your kubeconfig:\n\n```sh\nkubectl --context {0} get nodes\nk9s --context {0}\n"
           "```\n",
           name)});
  return {std::move(part)};
}

}  // namespace tg::render
