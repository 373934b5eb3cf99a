// What the gateway must know of an answer: usage, errors, how much text it carried. Works on one JSON text: a
// whole answer or the data of one event.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/json_scan.hpp"

namespace tg::gateway {

struct Usage {
  std::int64_t prompt_tokens = -1;  // -1 = not told
  std::int64_t completion_tokens = -1;
  std::int64_t cached_tokens = 0;
  bool told() const { return prompt_tokens >= 0 || completion_tokens >= 0; }
};

struct AnswerFacts {
  bool valid = false;  // it is JSON
  Usage usage;
  bool usage_only = false;  // usage with an empty list of choices: the event that include_usage asks for
  bool error = false;       // a top-level "error" that is not null
  // Of content, reasoning, refusals, tool arguments and completion text, for an estimate: not counted where
  // the usage is told.
  std::int64_t code_points = 0;
  // The bytes of the one such text, if there is exactly one and neither usage nor an error: what the next
  // event of a stream will differ in. Points into the scanned JSON.
  std::string_view only_text;
};

class AnswerScanner final : private text::JsonVisitor {
 public:
  AnswerFacts scan(std::string_view json);

 private:
  void on_value(const text::JsonToken& token) override;
  void on_close(const text::JsonToken& token) override;
  text::JsonScanner scanner_;
  AnswerFacts facts_;
  std::vector<std::string_view> texts_;  // what code_points counts; the usage stands behind it
  bool in_usage_ = false;
  bool in_choices_ = false;
  bool choices_seen_ = false;
  bool choices_empty_ = false;
};

}  // namespace tg::gateway
