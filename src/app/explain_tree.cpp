#include "app/explain_tree.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "app/view.hpp"
#include "spec/requirements.hpp"
#include "text/suggest.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;
using spec::Read;

// Maps say nothing by themselves: what is in them is read too.
bool says_something(const Read& r) {
  if (r.written) return !r.value.empty();
  return !r.field->fallback.empty();
}

Json read_json(const Read& r) {
  Json j{{"kind", std::string(spec::kind_name(r.document->kind))},
         {"document", r.document->name},
         {"field", r.where},
         {"written", r.written},
         {"value", r.written ? r.value : std::string(r.field->fallback)},
         {"file", r.at.file},
         {"line", r.at.line},
         {"column", r.at.column},
         {"meaning", std::string(r.field->meaning)}};
  // The reason is that of the default.
  if (!r.written && !r.field->reason.empty()) j["reason"] = std::string(r.field->reason);
  j["rows"] = rows_json(spec::meets(r.document->kind, *r.field));
  return j;
}

std::string joined(const Json& rows) {
  std::vector<std::string> words;
  for (const Json& r : rows) words.push_back(r.get<std::string>());
  return fmt::format("{}", fmt::join(words, " "));
}

Json origin_json(const render::Origin& origin, const render::Tree& wanted) {
  Json files = Json::array();
  for (const render::OriginFile& f : origin.files) {
    if (wanted.find(f.path) != nullptr) files.push_back({{"path", f.path}, {"what", f.what}});
  }
  if (files.empty()) return nullptr;
  Json fields = Json::array();
  for (const bool written : {true, false}) {
    for (const Read& r : origin.reads) {
      if (r.written == written && says_something(r)) fields.push_back(read_json(r));
    }
  }
  return {{"part", origin.part},
          {"collected", origin.collected},
          {"decidedBy", origin.part.empty() ? "all" : "fields"},
          {"files", std::move(files)},
          {"fields", std::move(fields)}};
}

std::string field_line(const Terminal& t, const Json& f) {
  std::string out = "  ";
  if (f.at("written").get<bool>())
    out += fmt::format("{}:{}:{} ", text_at(f, "/file"), number_at(f, "/line"), number_at(f, "/column"));
  out += t.out_paint(Style::strong, fmt::format("{}.{}", text_at(f, "/kind"), text_at(f, "/field")));
  out += fmt::format(": {}\n      {}", text_at(f, "/value"), text_at(f, "/meaning"));
  if (f.contains("reason")) out += fmt::format(" Why: {}.", text_at(f, "/reason"));
  if (!f.at("rows").empty()) out += fmt::format(" Rows: {}.", joined(f.at("rows")));
  return out + "\n";
}

std::string made_by(const Json& origin) {
  const std::string part = text_at(origin, "/part");
  if (part.empty())
    return "from all parts: every field that decides a part decides this too; beside those it reads";
  return fmt::format("by the part {}{}", part,
                     origin.at("collected").get<bool>() ? ", of what the other parts declare" : "");
}

}  // namespace

Result<Json> tree_json(const RenderedDocuments& rendered, const std::string& path) {
  const render::Tree wanted = rendered.tree.only(path);
  Json origins = Json::array();
  for (const render::Origin& o : rendered.origins) {
    if (Json j = origin_json(o, wanted); !j.is_null()) origins.push_back(std::move(j));
  }
  if (origins.empty()) {
    std::vector<std::string> paths;
    for (const auto& [name, file] : rendered.tree.files()) paths.push_back(name);
    const std::string near = text::did_you_mean(path, std::span<const std::string>(paths));
    return fail("nothing_there", fmt::format("there is nothing at {} in the tree", printable(path)),
                near.empty() ? "tidegate render -f FILE -o DIR shows what there is" : near);
  }
  return Json{{"path", path}, {"origins", std::move(origins)}};
}

std::string tree_text(const Terminal& terminal, const Json& object) {
  std::string out;
  for (const Json& origin : object.at("origins")) {
    if (!out.empty()) out += "\n";
    for (const Json& f : origin.at("files")) {
      const std::string what = text_at(f, "/what");
      out += terminal.out_paint(Style::strong, text_at(f, "/path")) +
             (what.empty() ? std::string("\n") : fmt::format("\n  {}\n", what));
    }
    out += "made " + made_by(origin) + "\n";
    std::string_view last;
    for (const Json& f : origin.at("fields")) {
      const std::string_view head = f.at("written").get<bool>() ? "as the documents say" : "by default";
      if (head != last) out += fmt::format("{}\n", head);
      last = head;
      out += field_line(terminal, f);
    }
  }
  return out;
}

void add_uses(const RenderedDocuments& rendered, const std::vector<FieldPlace>& places, Json& fields) {
  for (std::size_t i = 0; i < places.size(); ++i) {
    const FieldPlace& place = places[i];
    if (place.field == nullptr) continue;
    Json here = Json::array();
    std::set<std::string> seen, folders;
    for (const render::Origin& o : rendered.origins) {
      for (const Read& r : o.reads) {
        if (r.document->kind != place.kind || r.field != place.field) continue;
        for (const render::OriginFile& f : o.files) folders.insert(f.path.substr(0, f.path.rfind('/')));
        if (!says_something(r)) continue;
        Json j = read_json(r);
        if (seen.insert(j.dump()).second) here.push_back(std::move(j));
      }
    }
    Json readers = Json::array();
    std::string above;
    for (const std::string& f : folders) {
      // A folder in one that is named already adds nothing.
      if (!above.empty() && f.starts_with(above + "/")) continue;
      readers.push_back(f);
      above = f;
    }
    fields["items"][i]["here"] = std::move(here);
    fields["items"][i]["readBy"] = std::move(readers);
  }
}

std::string uses_text(const Json& fields) {
  std::string out;
  for (const Json& item : fields.at("items")) {
    if (!item.contains("here")) continue;
    for (const Json& h : item.at("here")) {
      out += fmt::format("here      {}: {}{}\n", text_at(h, "/field"), text_at(h, "/value"),
                         h.at("written").get<bool>()
                             ? fmt::format(" ({}:{}:{})", text_at(h, "/file"), number_at(h, "/line"),
                                           number_at(h, "/column"))
                             : " (default)");
    }
    for (const Json& f : item.at("readBy")) out += fmt::format("acts on   {}\n", f.get<std::string>());
    if (item.at("readBy").empty()) out += "acts on   nothing of what these documents give\n";
  }
  return out;
}

}  // namespace tg::app
