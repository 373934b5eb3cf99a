// The container images that our own manifests name: one pinned release of each. Constant data, any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tg::catalog {

struct Image {
  std::string_view name;        // what manifests ask for: "postgresql"
  std::string_view repository;  // "docker.io/library/postgres"
  std::string_view tag;         // never latest
  std::string_view digest{};    // "sha256:…" where it was seen
};

std::span<const Image> images();
// "REPOSITORY:TAG", with "@DIGEST" where known. A name that is not in the table is a fault of this program:
// it ends with a message.
std::string image(std::string_view name);

}  // namespace tg::catalog
