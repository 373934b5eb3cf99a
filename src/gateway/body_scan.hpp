// What the gateway must know of a request body, found in one walk; the bytes themselves stay as the client
// sent them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/error.hpp"
#include "text/json_scan.hpp"

namespace tg::gateway {

struct BodyFacts {
  std::string_view model_raw;  // the value with its quotes, as it stands in the body
  std::string_view model;      // decoded; points into the body or into the scanner
  bool stream = false;
  std::int64_t max_tokens = -1;         // max_completion_tokens, else max_tokens; -1 = not given
  std::int64_t choices = 1;             // `n`
  std::int64_t prompt_code_points = 0;  // of all string values but the model's and inline data

  // Where to ask for usage: the object's first byte after '{', or the value to replace.
  enum class Usage { no_options, null_options, options_without, said_false, said_true };
  Usage usage = Usage::no_options;
  std::size_t root_open = 0;  // offset just behind the root's '{'
  bool root_empty = false;
  std::string_view options_raw;  // null_options: the null. options_without: the object
  bool options_empty = false;
  std::string_view usage_raw;  // said_false: the false
};

// One per worker. Error codes: invalid_json, invalid_utf8, json_too_deep, duplicate_key, model_required,
// bad_field.
class BodyScanner final : private text::JsonVisitor {
 public:
  // `facts` stays valid as long as the body and until the next scan.
  Result<> scan(std::string_view body, BodyFacts& facts);

 private:
  void on_value(const text::JsonToken& token) override;
  void on_close(const text::JsonToken& token) override;
  void top_level(std::string_view key, const text::JsonToken& token);
  bool known_key(std::string_view raw, std::vector<std::string_view>& seen, std::string_view& decoded);
  void problem(std::string_view code, std::string message);

  text::JsonScanner scanner_;
  BodyFacts* facts_ = nullptr;
  std::string_view body_;
  Result<> problem_;
  std::vector<std::string_view> root_keys_;
  std::vector<std::string_view> option_keys_;
  std::unordered_set<std::string_view> many_keys_;
  std::vector<std::string> decoded_;  // decoded escaped keys; kept so that views stay valid
  std::string model_decoded_;
  bool in_options_ = false;
  bool has_completion_tokens_ = false;
};

}  // namespace tg::gateway
