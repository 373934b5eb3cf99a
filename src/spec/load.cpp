#include "spec/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/files.hpp"

namespace tg::spec {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLargestFile = 4 << 20;

bool is_document_name(const std::string& name) {
  return !name.starts_with('.') &&
         (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

Finding cannot(std::string_view code, const std::string& path, std::string message, std::string hint) {
  return {std::string(code), Severity::error, {path, 0, 0}, {}, std::move(message), std::move(hint)};
}

// Appends the documents of a directory. False with `error` if it cannot be listed.
bool list_directory(const std::string& path, std::vector<std::string>& files, std::error_code& error) {
  std::vector<std::string> found;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (is_document_name(it->path().filename().string()) && !it->is_directory(ignored))
      found.push_back(it->path().string());
  }
  if (error) return false;
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
  return true;
}

}  // namespace

std::vector<std::string> list_files(const std::vector<std::string>& paths, std::vector<Finding>& out) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (path == "-" || !fs::is_directory(path, error)) {
      files.push_back(path);
    } else if (!list_directory(path, files, error)) {
      out.push_back(cannot("cannot_read", path, fmt::format("cannot list the directory: {}", error.message()),
                           "check its permissions"));
    }
  }
  std::vector<std::string> once;
  for (std::string& f : files) {
    if (std::find(once.begin(), once.end(), f) == once.end()) once.push_back(std::move(f));
  }
  return once;
}

DecodeResult load(const std::vector<std::string>& paths, std::string_view standard_input, Purpose purpose) {
  std::vector<Finding> findings;
  std::vector<Source> sources;
  for (const std::string& path : list_files(paths, findings)) {
    if (path == "-") {
      sources.push_back({path, std::string(standard_input)});
      continue;
    }
    auto content = read_file(path, kLargestFile);
    if (content) {
      sources.push_back({path, std::move(*content)});
      continue;
    }
    // The message of read_file begins with the path, which stands in front of every finding already.
    std::string message = content.error().message;
    if (message.starts_with(path + ": ")) message.erase(0, path.size() + 2);
    findings.push_back(cannot(
        content.error().code, path, message,
        content.error().code == "file_too_large" ? "split the file" : "check the path and its permissions"));
  }
  DecodeResult result = decode(sources, purpose, findings.empty());
  findings.insert(findings.end(), std::make_move_iterator(result.findings.begin()),
                  std::make_move_iterator(result.findings.end()));
  result.findings = std::move(findings);
  return result;
}

}  // namespace tg::spec
