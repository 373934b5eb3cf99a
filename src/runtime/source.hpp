// `spec.source` as an address. Pure.
#pragma once

#include <string>

#include "base/error.hpp"

namespace tg::runtime {

struct WeightsSource {
  enum class Kind { file, hf, web };
  Kind kind = Kind::file;
  std::string path;         // file: absolute path
  std::string url;          // hf, web: where the bytes are
  std::string pointer_url;  // hf: where the LFS pointer of the file is
  std::string name;         // last part, for people
};

// file:///abs/path, hf://owner/repo/path/file (revision main), https://… and http://… (the documents allow
// https only). `hf_endpoint` empty = https://huggingface.co. Errors: `bad_source`, `weights_split` (a file of
// several parts).
Result<WeightsSource> parse_source(const std::string& source, const std::string& hf_endpoint);

}  // namespace tg::runtime
