#include "verify/verify.hpp"

#include <utility>

#include "verify/rules.hpp"

namespace tg::verify {

std::vector<std::pair<std::string, spec::Reader>> Subject::all(spec::DocumentKind kind) const {
  std::vector<std::pair<std::string, spec::Reader>> out;
  for (const spec::Document& d : documents.all) {
    if (d.kind == kind) out.emplace_back(d.name, spec::Reader(documents, d).sub("spec"));
  }
  return out;
}

namespace {

spec::Finding finding(const spec::Reader& reader, std::string_view path, spec::Severity severity,
                      std::string_view code, std::string message, std::string hint) {
  return {std::string(code),  severity,           reader.at(path),
          reader.where(path), std::move(message), std::move(hint)};
}

}  // namespace

void Report::error(const spec::Reader& reader, std::string_view path, std::string_view code,
                   std::string message, std::string hint) {
  out_.push_back(finding(reader, path, spec::Severity::error, code, std::move(message), std::move(hint)));
}

void Report::warning(const spec::Reader& reader, std::string_view path, std::string_view code,
                     std::string message, std::string hint) {
  out_.push_back(finding(reader, path, spec::Severity::warning, code, std::move(message), std::move(hint)));
}

std::vector<spec::Finding> check(const spec::Documents& documents) {
  std::vector<spec::Finding> out;
  Report report(out);
  for (const spec::Document& d : documents.all) {
    if (d.kind != spec::DocumentKind::platform) continue;
    const spec::Reader spec = spec::Reader(documents, d).sub("spec");
    const Subject subject{documents, d, spec, std::string(spec.chosen("infrastructure"))};
    check_addresses(subject, report);
  }
  return out;
}

}  // namespace tg::verify
