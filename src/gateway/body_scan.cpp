#include "gateway/body_scan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gateway/errors.hpp"

namespace tg::gateway {

using text::JsonKind;
using text::JsonToken;

namespace {
constexpr std::size_t kFewKeys = 32;  // beyond, a set: comparing all pairs would be quadratic

std::string_view inside_quotes(std::string_view raw) { return raw.substr(1, raw.size() - 2); }
}  // namespace

Result<> BodyScanner::scan(std::string_view body, BodyFacts& facts) {
  facts = BodyFacts{};
  facts_ = &facts;
  body_ = body;
  problem_ = {};
  root_keys_.clear();
  option_keys_.clear();
  many_keys_.clear();
  decoded_.clear();
  in_options_ = has_completion_tokens_ = false;
  if (auto scanned = scanner_.scan(body, *this); !scanned) return scanned;
  if (!problem_) return problem_;
  if (facts.model_raw.empty()) {
    return fail("model_required", "the body names no model",
                "add \"model\": \"NAME\"; GET /v1/models lists the names");
  }
  return {};
}

void BodyScanner::problem(std::string_view code, std::string message) {
  if (problem_) problem_ = fail(code, std::move(message));  // the first one is told
}

// Decodes the key and says whether it is the first of its name at this place.
bool BodyScanner::known_key(std::string_view raw, std::vector<std::string_view>& seen,
                            std::string_view& decoded) {
  decoded = raw;
  if (raw.find('\\') != std::string_view::npos) {
    std::string text;
    if (!text::json_unescape(raw, text)) {
      problem("invalid_json", fmt::format("invalid JSON: a key has a bad escape: \"{}\"", raw));
      return false;
    }
    if (decoded_.size() == decoded_.capacity()) {
      // Growing would move short strings and with them the views: keys with escapes are rare, so a fixed
      // bound is enough.
      if (decoded_.capacity() >= 64) {
        problem("invalid_json", "more than 64 keys with escapes");
        return false;
      }
      decoded_.reserve(64);
    }
    decoded_.push_back(std::move(text));
    decoded = decoded_.back();
  }
  bool duplicate = false;
  if (&seen == &root_keys_ && seen.size() >= kFewKeys) {
    if (many_keys_.empty()) many_keys_.insert(seen.begin(), seen.end());
    duplicate = !many_keys_.insert(decoded).second;
  } else {
    duplicate = std::find(seen.begin(), seen.end(), decoded) != seen.end();
  }
  if (duplicate) {
    problem("duplicate_key", fmt::format("the key \"{}\" stands twice in the body", cut_utf8(decoded, 60)));
    return false;
  }
  seen.push_back(decoded);
  return true;
}

void BodyScanner::on_value(const JsonToken& token) {
  if (!problem_) return;
  if (token.depth == 0) {
    if (token.kind != JsonKind::object) problem("invalid_json", "the body is not a JSON object");
    facts_->root_open = static_cast<std::size_t>(token.raw.data() - body_.data()) + 1;
    facts_->root_empty = true;
    return;
  }
  if (token.depth == 1) {
    facts_->root_empty = false;
    std::string_view key;
    if (!known_key(token.key, root_keys_, key)) return;
    top_level(key, token);
    return;
  }
  if (in_options_ && token.depth == 2) {
    facts_->options_empty = false;
    std::string_view key;
    if (!known_key(token.key, option_keys_, key)) return;
    if (key != "include_usage") return;
    if (token.kind == JsonKind::literal_true) {
      facts_->usage = BodyFacts::Usage::said_true;
    } else if (token.kind == JsonKind::literal_false || token.kind == JsonKind::literal_null) {
      facts_->usage = BodyFacts::Usage::said_false;
      facts_->usage_raw = token.raw;
    } else {
      problem("bad_field", "stream_options.include_usage is not true or false");
    }
    return;
  }
  // Inline pictures and files ("data:…") are no text that a tokenizer sees.
  if (token.kind == JsonKind::string && !token.raw.starts_with("\"data:")) {
    facts_->prompt_code_points += text::json_code_points_about(inside_quotes(token.raw));
  }
}

void BodyScanner::top_level(std::string_view key, const JsonToken& token) {
  if (key == "model") {
    if (token.kind != JsonKind::string || token.raw.size() < 3) {
      problem("model_required", "\"model\" is not a name in quotes");
      return;
    }
    facts_->model_raw = token.raw;
    facts_->model = inside_quotes(token.raw);
    if (facts_->model.find('\\') != std::string_view::npos) {
      if (!text::json_unescape(facts_->model, model_decoded_)) {
        problem("invalid_json", "invalid JSON: \"model\" has a bad escape");
        return;
      }
      facts_->model = model_decoded_;
    }
  } else if (key == "stream") {
    if (token.kind == JsonKind::literal_true) {
      facts_->stream = true;
    } else if (token.kind != JsonKind::literal_false && token.kind != JsonKind::literal_null) {
      problem("bad_field", "\"stream\" is not true or false");
    }
  } else if (key == "stream_options") {
    if (token.kind == JsonKind::literal_null) {
      facts_->usage = BodyFacts::Usage::null_options;
      facts_->options_raw = token.raw;
    } else if (token.kind == JsonKind::object) {
      facts_->usage = BodyFacts::Usage::options_without;
      facts_->options_raw = token.raw;
      facts_->options_empty = true;
      in_options_ = true;
    } else {
      problem("bad_field", "\"stream_options\" is not an object");
    }
  } else if (key == "max_tokens" || key == "max_completion_tokens" || key == "n") {
    if (token.kind == JsonKind::literal_null) return;
    const std::int64_t value = text::json_integer(token.raw);
    if (token.kind != JsonKind::number || value < 0) return;  // the upstream says what it thinks of it
    if (key == "n") {
      facts_->choices = std::clamp<std::int64_t>(value, 1, 1024);
    } else if (key == "max_completion_tokens" || !has_completion_tokens_) {
      facts_->max_tokens = value;
      has_completion_tokens_ = has_completion_tokens_ || key == "max_completion_tokens";
    }
  } else if (token.kind == JsonKind::string) {
    facts_->prompt_code_points += text::json_code_points_about(inside_quotes(token.raw));
  }
}

void BodyScanner::on_close(const JsonToken& token) {
  if (in_options_ && token.depth == 1) in_options_ = false;
}

}  // namespace tg::gateway
