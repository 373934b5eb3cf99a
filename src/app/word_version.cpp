// tidegate version
#include <fmt/format.h>
#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "app/view.hpp"
#include "app/words.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

Json version_object() {
  utsname system{};
  ::uname(&system);
  Json j;
  j["version"] = program_version();
#if defined(__clang__)
  j["compiler"] = fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  j["compiler"] = fmt::format("gcc {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
#ifdef NDEBUG
  j["build"] = "release";
#else
  j["build"] = "debug";
#endif
  j["architecture"] = system.machine;
  j["kernel"] = system.release;
  return j;
}

}  // namespace

void add_version(CommandLine& line) {
  Word& word = line.root().sub("version", "print the version of this program");
  word.example("tidegate version").example("tidegate version -o json");
  word.output_flag();
  word.action_result([&word](Terminal& terminal) -> Result<int> {
    const View view{[] { return Result<std::string>(version_object().dump()); },
                    [](Terminal& t, const Json& j, bool wide) {
                      t.out(fmt::format("tidegate {}\n", text_at(j, "/version")));
                      if (!wide) return;
                      for (const auto& [name, value] : j.items())
                        t.out(fmt::format("{:<13} {}\n", name, value.get<std::string>()));
                    },
                    [](const Json& j) { return std::vector<std::string>{text_at(j, "/version")}; }};
    if (auto r = show(terminal, word.format(), view); !r) return std::unexpected(r.error());
    return kGood;
  });
}

}  // namespace tg::app
