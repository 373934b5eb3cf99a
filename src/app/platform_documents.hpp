// Documents of a Platform as `check`, `render`, `explain` and `init` read them: the same rules for all, so
// that what one accepts no other refuses for another reason.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/terminal.hpp"
#include "base/error.hpp"
#include "spec/decode.hpp"

namespace tg::app {

bool is_error(const spec::Finding& finding);
// In the order of files and places.
void sort_findings(std::vector<spec::Finding>& findings);
// Each with its hint on stderr, or on stdout where they are the data.
enum class Stream { out, err };
void print_findings(Terminal& terminal, const std::vector<spec::Finding>& findings, Stream stream);
// "platform.yaml:3:4: error[code] message" of the first error.
std::optional<std::string> first_error(const std::vector<spec::Finding>& findings);

// Appends what the rules between fields find, if the fields themselves are good.
void judge(spec::DecodeResult& result);

// Appends what rendering each Platform would refuse: fields that nothing renders among it.
void judge_rendering(spec::DecodeResult& result);

// Error bad_flag for `-o json` and other formats where -o is a place: whoever writes that means the format.
Result<> refuse_format(const std::string& place);

// Files, directories and "-", as render takes them, checked and judged. Errors: missing_argument for a
// terminal as standard input.
Result<spec::DecodeResult> read_platform(const std::vector<std::string>& files);

}  // namespace tg::app
