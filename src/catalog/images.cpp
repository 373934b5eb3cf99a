#include "catalog/images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace tg::catalog {

namespace {

constexpr auto kImages = std::to_array<Image>({
    {"postgresql", "docker.io/library/postgres", "17.7-bookworm"},
    {"postgres-exporter", "quay.io/prometheuscommunity/postgres-exporter", "v0.18.1"},
});

}  // namespace

std::span<const Image> images() { return kImages; }

std::string image(std::string_view name) {
  const auto it =
      std::find_if(kImages.begin(), kImages.end(), [&](const Image& i) { return i.name == name; });
  if (it == kImages.end()) {
    std::fprintf(stderr, "no image %.*s in the catalog\n", static_cast<int>(name.size()), name.data());
    std::abort();
  }
  return fmt::format("{}:{}{}{}", it->repository, it->tag, it->digest.empty() ? "" : "@", it->digest);
}

}  // namespace tg::catalog
