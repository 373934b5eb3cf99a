#include "gateway/answer_scan.hpp"

namespace tg::gateway {

using text::JsonKind;
using text::JsonToken;

AnswerFacts AnswerScanner::scan(std::string_view json) {
  facts_ = AnswerFacts{};
  texts_.clear();
  in_usage_ = in_choices_ = choices_seen_ = choices_empty_ = false;
  facts_.valid = scanner_.scan(json, *this).has_value();
  if (!facts_.valid) facts_ = AnswerFacts{};
  facts_.usage_only = facts_.usage.told() && choices_seen_ && choices_empty_;
  if (facts_.valid && !facts_.usage.told()) {
    for (const std::string_view text : texts_) facts_.code_points += text::json_code_points(text);
    if (texts_.size() == 1 && !facts_.error) facts_.only_text = texts_.front();
  }
  return facts_;
}

void AnswerScanner::on_value(const JsonToken& token) {
  if (token.depth == 1) {
    if (token.key == "usage") in_usage_ = token.kind == JsonKind::object;
    if (token.key == "choices" && token.kind == JsonKind::array)
      in_choices_ = choices_seen_ = choices_empty_ = true;
    if (token.key == "error") facts_.error = token.kind != JsonKind::literal_null;
    return;
  }
  if (in_usage_) {
    if (token.kind != JsonKind::number) return;
    if (token.depth == 2 && token.key == "prompt_tokens")
      facts_.usage.prompt_tokens = text::json_integer(token.raw);
    if (token.depth == 2 && token.key == "completion_tokens")
      facts_.usage.completion_tokens = text::json_integer(token.raw);
    if (token.depth == 3 && token.key == "cached_tokens")
      facts_.usage.cached_tokens = text::json_integer(token.raw);
    return;
  }
  if (in_choices_) {
    choices_empty_ = false;
    if (token.kind != JsonKind::string || token.depth < 3) return;
    const std::string_view key = token.key;
    if (key == "content" || key == "text" || key == "arguments" || key == "reasoning_content" ||
        key == "reasoning" || key == "refusal") {
      texts_.push_back(token.raw.substr(1, token.raw.size() - 2));
    }
  }
}

void AnswerScanner::on_close(const JsonToken& token) {
  if (token.depth == 1) in_usage_ = in_choices_ = false;
}

}  // namespace tg::gateway
