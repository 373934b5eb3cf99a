// tidegate explain: a field of the documents, a reason code, a rendered file, or the state of a Model
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "admin/reasons.hpp"
#include "app/admin_call.hpp"
#include "app/explain_model.hpp"
#include "app/explain_tree.hpp"
#include "app/field_text.hpp"
#include "app/platform_documents.hpp"
#include "app/view.hpp"
#include "app/words.hpp"
#include "text/suggest.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

struct ExplainFlags {
  std::string data, platform;
  std::vector<std::string> words, files;
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

// With -f: a field as these documents have it, or a file of the tree that they give.
Result<int> explain_rendered(Terminal& terminal, const ExplainFlags& flags, Format format) {
  const std::string& what = flags.words.front();
  auto read = read_platform(flags.files);
  if (!read) return std::unexpected(read.error());
  if (const auto bad = first_error(read->findings)) {
    return fail("documents_invalid", fmt::format("the documents have errors, the first: {}", *bad),
                fmt::format("tidegate check {}", fmt::join(flags.files, " ")));
  }
  std::vector<render::Origin> origins;
  auto rendered = render::render(read->documents, flags.platform, &origins);
  if (!rendered) return std::unexpected(rendered.error());
  const RenderedDocuments all{rendered->tree, origins};
  // A folder of the tree is told by its slash: "components/" is one, "components" a field.
  const bool is_path = what.find('/') != std::string::npos || rendered->tree.find(what) != nullptr;
  if (const auto places = is_path ? std::vector<FieldPlace>() : find_fields(what); !places.empty()) {
    Json fields = fields_json(places);
    add_uses(all, places, fields);
    const View view{[&] { return Result<std::string>(fields.dump()); },
                    [&](Terminal& t, const Json& j, bool) { t.out(fields_text(places) + uses_text(j)); },
                    fields_view(places).names};
    if (auto r = show(terminal, format, view); !r) return std::unexpected(r.error());
    return kGood;
  }
  auto object = tree_json(all, what);
  if (!object) return std::unexpected(object.error());
  const View view{[&] { return Result<std::string>(object->dump()); },
                  [](Terminal& t, const Json& j, bool) { t.out(tree_text(t, j)); },
                  [](const Json& j) {
                    std::vector<std::string> names;
                    for (const Json& o : j.at("origins")) {
                      for (const Json& f : o.at("files")) names.push_back(text_at(f, "/path"));
                    }
                    return names;
                  }};
  if (auto r = show(terminal, format, view); !r) return std::unexpected(r.error());
  return kGood;
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
  if (!flags.files.empty()) return explain_rendered(terminal, flags, format);
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
  if (near.empty() && first.find('/') != std::string::npos) {
    return fail("unknown_name",
                fmt::format("'{}' may be a rendered file: of which documents?", printable(first)),
                fmt::format("tidegate explain -f FILE {}", printable(first)));
  }
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
  word.example("tidegate explain -f platform.yaml components/metrics");
  word.arguments("WHAT", flags->words, "a field's path, a kind, a reason code, or: model NAME");
  word.list("-f,--file", "PATH", flags->files, "WHAT is a field of these documents, or a path in their tree");
  word.option("--platform", "NAME", flags->platform, "with -f: which Platform, when there are several");
  word.data_flag(flags->data).output_flag();
  word.action_result([flags, &word](Terminal& terminal) { return explain(terminal, *flags, word.format()); });
}

}  // namespace tg::app
