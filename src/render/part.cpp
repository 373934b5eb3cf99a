#include "render/part.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tg::render {

void Part::add(std::string_view file, Json object) {
  const auto it =
      std::find_if(manifests.begin(), manifests.end(), [&](const Manifest& m) { return m.file == file; });
  Manifest& manifest = it != manifests.end() ? *it : manifests.emplace_back(Manifest{std::string(file), {}});
  manifest.objects.push_back(std::move(object));
}

std::string Part::folder() const {
  switch (where) {
    case Where::infrastructure:
      return "infrastructure";
    case Where::component:
      return fmt::format("components/{:02}-{}", order, name);
    case Where::workload:
      return "workloads/" + name;
    case Where::delivery:
      return "ci";
  }
  return name;
}

}  // namespace tg::render
