// tidegate explain: a field of the documents, a reason code, or the state of a Model
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "admin/reasons.hpp"
#include "app/admin_call.hpp"
#include "app/explain_model.hpp"
#include "app/field_text.hpp"
#include "app/view.hpp"
#include "app/words.hpp"
#include "text/suggest.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

struct ExplainFlags {
  std::string data;
  std::vector<std::string> words;
};

// Text of at most `columns` columns a line.
std::string wrapped(std::string_view text, std::size_t columns) {
  std::string out;
  while (text.size() > columns) {
    std::size_t space = text.rfind(' ', columns);
    if (space == std::string_view::npos || space == 0) space = std::min(text.find(' ', columns), text.size());
    out += std::string(text.substr(0, space)) + "\n";
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return out + std::string(text) + "\n";
}

View code_view(const admin::ReasonEntry& entry) {
  return {
      [&entry] {
        return Result<std::string>(
            Json{{"code", entry.code}, {"meaning", entry.meaning}, {"remedy", entry.remedy}}.dump());
      },
      [&entry](Terminal& t, const Json&, bool) {
        t.out(fmt::format("{}\n\n{}\n{}", t.out_paint(Style::strong, entry.code), wrapped(entry.meaning, 80),
                          wrapped("What to do: " + std::string(entry.remedy), 80)));
      },
      [&entry](const Json&) { return std::vector<std::string>{std::string(entry.code)}; }};
}

View fields_view(const std::vector<FieldPlace>& places) {
  return {[&places] { return Result<std::string>(fields_json(places).dump()); },
          [&places](Terminal& t, const Json&, bool) { t.out(fields_text(places)); },
          [](const Json& j) {
            std::vector<std::string> names;
            for (const Json& f : j.at("items"))
              names.push_back(text_at(f, "/kind") + "." + text_at(f, "/path"));
            return names;
          }};
}

Result<int> explain(Terminal& terminal, const ExplainFlags& flags, Format format) {
  const std::string& first = flags.words.front();
  if (first == "model" && flags.words.size() == 2) {
    auto call = AdminCall::open(terminal, flags.data);
    if (!call) return std::unexpected(call.error());
    const std::string target =
        fmt::format("/api/v1/models/{}/explain", admin::percent_encode(flags.words[1]));
    const View view{[&] { return call->get(target); },
                    [](Terminal& t, const Json& j, bool wide) { t.out(explain_model_text(t, j, wide)); },
                    [](const Json& j) { return std::vector<std::string>{text_at(j, "/name")}; }};
    if (auto r = show(terminal, format, view); !r) return std::unexpected(r.error());
    return kGood;
  }
  if (flags.words.size() > 1) {
    return fail("unknown_word", fmt::format("'{}' is one argument too many", printable(flags.words[1])),
                "tidegate explain --help");
  }
  if (const admin::ReasonEntry* entry = admin::find_reason(first)) {
    if (auto r = show(terminal, format, code_view(*entry)); !r) return std::unexpected(r.error());
    return kGood;
  }
  if (const auto places = find_fields(first); !places.empty()) {
    if (auto r = show(terminal, format, fields_view(places)); !r) return std::unexpected(r.error());
    return kGood;
  }
  std::vector<std::string> names = field_names();
  for (const admin::ReasonEntry& e : admin::reasons()) names.emplace_back(e.code);
  const std::string near = text::did_you_mean(first, names);
  return fail("unknown_name",
              fmt::format("'{}' is neither a reason code nor a field of the documents", printable(first)),
              near.empty() ? "tidegate explain Model lists the fields of a Model" : near);
}

}  // namespace

void add_explain(CommandLine& line) {
  auto flags = std::make_shared<ExplainFlags>();
  Word& word = line.root().sub("explain", "the long form of a field, a reason code or a Model's state");
  word.example("tidegate explain Model.spec.hold.deadline").example("tidegate explain memory_short");
  word.example("tidegate explain model qwen3-4b");
  word.arguments("WHAT", flags->words, "a field's path, a kind, a reason code, or: model NAME");
  word.data_flag(flags->data).output_flag();
  word.action_result([flags, &word](Terminal& terminal) { return explain(terminal, *flags, word.format()); });
}

}  // namespace tg::app
