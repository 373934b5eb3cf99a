// tidegate schema: the JSON Schema of a kind
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/view.hpp"
#include "app/words.hpp"
#include "spec/fields.hpp"
#include "spec/reference.hpp"
#include "text/suggest.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

}  // namespace

void add_schema(CommandLine& line) {
  auto kind = std::make_shared<std::string>();
  Word& word = line.root().sub("schema", "print the JSON Schema of a kind, for editors and checks");
  word.example("tidegate schema Model > model.schema.json").example("tidegate schema Route -o yaml");
  word.argument("KIND", *kind, "Model, Provider, Route, Tenant, Platform or TrainingRun");
  word.output_flag();
  word.action_result([kind, &word](Terminal& terminal) -> Result<int> {
    std::vector<std::string_view> names;
    for (const auto k : spec::decoded_kinds()) names.push_back(spec::kind_name(k));
    for (const auto k : spec::decoded_kinds()) {
      if (spec::kind_name(k) != *kind) continue;
      const std::string text = spec::schema_json(k);
      if (word.format() == Format::name) {
        terminal.out(*kind + "\n");
        return kGood;
      }
      // A schema has one form; as a table it is its JSON.
      if (auto r = print_object(terminal, word.format() == Format::yaml ? Format::yaml : Format::json, text);
          !r)
        return std::unexpected(r.error());
      return kGood;
    }
    const std::string near = text::did_you_mean(*kind, names);
    return fail("unknown_kind",
                fmt::format("'{}' is no kind of document that has a schema", printable(*kind)),
                near.empty() ? "write " + text::join_words(names, "or") : near);
  });
}

}  // namespace tg::app
