// Any bytes as a file of documents: no crash, every finding can be shown, what is good holds its own rules.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "spec/decode.hpp"
#include "spec/usage.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64 << 10) return 0;
  const tg::spec::Source source{"f.yaml", std::string(reinterpret_cast<const char*>(data), size)};
  // The same bytes as a document and as a later writing of it, for rendering.
  const auto rendered = tg::spec::decode({source, source}, tg::spec::Purpose::platform);
  for (const auto& f : rendered.findings) require(f.at.line >= 1 && !f.code.empty() && !f.str().empty());
  const auto unread = tg::spec::unused(rendered.documents, {});
  for (const auto& f : unread) require(f.at.line >= 1 && !f.path.empty());
  const auto result = tg::spec::decode({source});
  for (const auto& f : result.findings) require(f.at.line >= 1 && !f.code.empty() && !f.str().empty());
  if (!result.ok()) return 0;
  const auto& d = result.documents;
  require(d.tenants.contains("default"));
  for (const auto& [name, m] : d.models) {
    require(d.routes.contains(name) && m.name == name && m.replicas_min <= m.replicas_max && m.slots >= 1);
    require(m.same_revision(m));
  }
  for (const auto& [name, r] : d.routes) {
    require(!r.to.empty() && r.timeouts.total > 0);
    for (const auto& t : r.to)
      require(t.provider.empty() ? d.models.contains(t.model) : d.providers.contains(t.provider));
  }
  for (const auto& [name, t] : d.tenants) {
    for (const auto& route : t.routes) require(d.routes.contains(route));
  }
  return 0;
}
