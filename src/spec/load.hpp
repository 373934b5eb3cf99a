// Documents from the disk: reads files and directories, then decodes. Blocking file reads; any thread;
// nothing thrown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "spec/decode.hpp"

namespace tg::spec {

// A path is a file (any name), a directory (its *.yaml, *.yml and *.json in order of name, not what is below;
// hidden files are left out) or "-" (`standard_input`). What cannot be read is a finding with code
// cannot_read or file_too_large and a Position without a line. The same file twice is read once.
DecodeResult load(const std::vector<std::string>& paths, std::string_view standard_input = {},
                  Purpose purpose = Purpose::serve);

// The files that load() would read, in order; directories that cannot be listed give findings.
std::vector<std::string> list_files(const std::vector<std::string>& paths, std::vector<Finding>& out);

}  // namespace tg::spec
