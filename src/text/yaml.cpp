#include "text/yaml.hpp"

#include <fmt/format.h>
#include <simdjson.h>
#include <yaml.h>

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <utility>

namespace tg::text {

namespace {

constexpr std::string_view kCore = "tag:yaml.org,2002:";

Mark mark_of(const yaml_mark_t& m) {
  return {static_cast<int>(m.line) + 1, static_cast<int>(m.column) + 1, 0};
}

std::string place(Mark m) { return fmt::format("line {} column {}", m.line, m.column); }

std::string_view text_of(const yaml_char_t* text) {
  return text == nullptr ? std::string_view{} : reinterpret_cast<const char*>(text);
}

Mark mark_at(std::string_view content, std::size_t offset) {
  Mark m{1, 1, 0};
  for (std::size_t i = 0; i < offset && i < content.size(); ++i) {
    if (content[i] == '\n') {
      ++m.line;
      m.column = 1;
    } else if ((static_cast<unsigned char>(content[i]) & 0xC0) != 0x80) {
      ++m.column;
    }
  }
  return m;
}

// The inverse of mark_at, for lines that end in a line feed.
std::size_t offset_of(std::string_view content, Mark at) {
  std::size_t offset = 0;
  for (int line = 1; line < at.line && offset < content.size(); ++offset)
    line += content[offset] == '\n' ? 1 : 0;
  for (int column = 1; column < at.column && offset < content.size(); ++column) {
    do ++offset;
    while (offset < content.size() && (static_cast<unsigned char>(content[offset]) & 0xC0) == 0x80);
  }
  return offset;
}

// Offset of the first byte that does not belong to well-formed UTF-8. Called only when there is one.
std::size_t first_invalid(std::string_view content) {
  std::size_t good = 0;
  std::size_t bad = content.size();  // prefixes of length `good` are valid, up to an incomplete character
  while (good < content.size()) {
    const auto lead = static_cast<unsigned char>(content[good]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (good + length > content.size() || !simdjson::validate_utf8(content.data() + good, length)) {
      bad = good;
      break;
    }
    good += length;
  }
  return bad;
}

// Owns libyaml's parser and one event.
class Events {
 public:
  explicit Events(std::string_view content) {
    ok_ = yaml_parser_initialize(&parser_) == 1;
    if (!ok_) return;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(content.data()),
                                 content.size());
  }
  ~Events() {
    drop();
    if (ok_) yaml_parser_delete(&parser_);
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  // The next event, valid until the next call; nullptr on a fault of the input (see parser()).
  const yaml_event_t* next() {
    drop();
    if (!ok_ || yaml_parser_parse(&parser_, &event_) == 0) return nullptr;
    held_ = true;
    return &event_;
  }
  const yaml_parser_t& parser() const { return parser_; }

 private:
  void drop() {
    if (held_) yaml_event_delete(&event_);
    held_ = false;
  }
  yaml_parser_t parser_{};
  yaml_event_t event_{};
  bool ok_ = false;
  bool held_ = false;
};

struct Size {
  std::size_t nodes = 0;
  std::size_t bytes = 0;
  int height = 0;  // 0 for a scalar
};

Size measure(const Node& node) {
  Size s{1, node.text.size() + node.tag.size(), 0};
  const auto add = [&s](const Node& child) {
    const Size c = measure(child);
    s.nodes += c.nodes;
    s.bytes += c.bytes;
    s.height = std::max(s.height, c.height);
  };
  for (const Node& item : node.items) add(item);
  for (const Member& member : node.members) {
    s.bytes += member.key.size();
    add(member.value);
  }
  if (node.kind != Node::Kind::scalar) ++s.height;
  return s;
}

// A value that aliases may repeat. Without its node when it is beyond the budget of aliases.
struct Anchor {
  Node node;
  Size size;
};

// Hints for the mistakes that people make, told by libyaml's words.
std::string hint_for(std::string_view problem, std::string_view content, Mark at) {
  const std::size_t offset = offset_of(content, at);
  const char c = offset < content.size() ? content[offset] : '\0';
  if (problem == "found character that cannot start any token") {
    if (c == '\t') return "indent with spaces, not tabs";
    return "put the value in quotes";
  }
  if (problem == "mapping values are not allowed in this context") {
    return "a value with ': ' in it needs quotes; else check the indentation of this line";
  }
  if (problem == "could not find expected ':'") return "write KEY: VALUE, with a space after the colon";
  if (problem.starts_with("did not find expected"))
    return "check brackets, commas and the indentation of this line";
  if (problem == "found invalid Unicode character escape code")
    return "write the character itself instead of \\u escapes";
  return {};
}

// Builds the tree from events. One per file; ends at the first problem that leaves no sure continuation.
class Builder {
 public:
  Builder(std::string_view content, const YamlLimits& limits, YamlFile& out)
      : content_(content), limits_(limits), out_(out), events_(content) {}

  void run() {
    for (;;) {
      const yaml_event_t* e = next();
      if (e == nullptr || e->type == YAML_STREAM_END_EVENT) return;
      if (e->type != YAML_DOCUMENT_START_EVENT) continue;  // the start of the stream
      anchors_.clear();
      e = next();
      if (e == nullptr) return;
      auto root = node(*e, 0);
      if (!root) return;
      e = next();  // the document's end
      if (e == nullptr) return;
      if (root->kind != Node::Kind::scalar || resolve(*root) != ScalarType::null)
        out_.documents.push_back(std::move(*root));
    }
  }

 private:
  using MaybeNode = std::optional<Node>;

  const yaml_event_t* next() {
    const yaml_event_t* e = events_.next();
    if (e == nullptr) syntax_problem();
    return e;
  }

  void problem(std::string_view code, Mark at, std::string message, std::string hint = {}) {
    out_.problems.push_back({std::string(code), at, std::move(message), std::move(hint)});
  }

  void syntax_problem() {
    const yaml_parser_t& p = events_.parser();
    const std::string_view what = p.problem == nullptr ? "out of memory" : p.problem;
    if (p.error == YAML_READER_ERROR) {
      problem(
          "control_character", mark_at(content_, p.problem_offset),
          fmt::format("character U+{:04X} is not allowed in YAML", p.problem_value < 0 ? 0 : p.problem_value),
          "remove it, or write it as an escape in double quotes");
      return;
    }
    const Mark at = mark_of(p.problem_mark);
    std::string message = fmt::format("not valid YAML: {}", what);
    if (p.context != nullptr) {
      message += fmt::format(" {}", p.context);
      const Mark from = mark_of(p.context_mark);
      if (from.line != at.line || from.column != at.column)
        message += fmt::format(" that starts at {}", place(from));
    }
    problem("yaml_syntax", at, std::move(message), hint_for(what, content_, at));
  }

  // Counts one more node. False when the file has too many.
  bool count(Mark at, std::size_t n = 1) {
    nodes_ += n;
    if (nodes_ <= limits_.nodes) return true;
    problem("too_many_nodes", at, fmt::format("more than {} values in one file", limits_.nodes),
            "split the file");
    return false;
  }

  bool deep(Mark at, int depth) {
    if (depth <= limits_.depth) return false;
    problem("too_deep", at, fmt::format("nested deeper than {} levels", limits_.depth),
            "no document needs that");
    return true;
  }

  std::string tag(const yaml_char_t* raw, Mark at) {
    const std::string_view name = text_of(raw);
    if (name.empty() || name == "!") return {};
    static constexpr std::array<std::string_view, 7> kKnown{"str",  "int", "float", "bool",
                                                            "null", "map", "seq"};
    if (name.starts_with(kCore) &&
        std::find(kKnown.begin(), kKnown.end(), name.substr(kCore.size())) != kKnown.end())
      return std::string(name);
    problem("unknown_tag", at, fmt::format("the tag {} is not known", name),
            "remove it: the type follows from the field");
    return {};
  }

  // Keeps a copy for aliases. Nested anchors copy the same values again and again, so the copies have a bound
  // of their own; a value that no alias could use within its budget is not copied at all. False on a problem.
  bool remember(const std::string& anchor, const Node& n) {
    if (anchor.empty()) return true;
    const Size size = measure(n);
    anchored_nodes_ += size.nodes;
    if (anchored_nodes_ > limits_.nodes) {
      problem("alias_bomb", n.start, fmt::format("anchors hold more than {} values", limits_.nodes),
              "use fewer anchors");
      return false;
    }
    const bool usable = size.nodes <= limits_.alias_nodes && size.bytes <= limits_.alias_bytes;
    anchors_.insert_or_assign(anchor, usable ? Anchor{n, size} : Anchor{{}, size});
    return true;
  }

  MaybeNode node(const yaml_event_t& e, int depth) {
    const Mark at = mark_of(e.start_mark);
    if (!count(at)) return std::nullopt;
    switch (e.type) {
      case YAML_SCALAR_EVENT:
        return scalar(e);
      case YAML_SEQUENCE_START_EVENT:
        return sequence(e, depth + 1);
      case YAML_MAPPING_START_EVENT:
        return mapping(e, depth + 1);
      case YAML_ALIAS_EVENT:
        return alias(e, depth);
      default:
        break;
    }
    problem("yaml_syntax", at, "not valid YAML: a value is expected here");
    return std::nullopt;
  }

  MaybeNode scalar(const yaml_event_t& e) {
    Node n;
    n.start = mark_of(e.start_mark);
    n.end = mark_of(e.end_mark);
    const auto& s = e.data.scalar;
    n.text.assign(reinterpret_cast<const char*>(s.value), s.length);
    n.plain = s.style == YAML_PLAIN_SCALAR_STYLE;
    // The tag `!` alone says "not plain".
    if (text_of(s.tag) == "!") n.plain = false;
    n.tag = tag(s.tag, n.start);
    if (!remember(std::string(text_of(s.anchor)), n)) return std::nullopt;
    return n;
  }

  MaybeNode sequence(const yaml_event_t& start, int depth) {
    Node n;
    n.kind = Node::Kind::sequence;
    n.start = mark_of(start.start_mark);
    if (deep(n.start, depth)) return std::nullopt;
    n.tag = tag(start.data.sequence_start.tag, n.start);
    const std::string anchor(text_of(start.data.sequence_start.anchor));
    for (;;) {
      const yaml_event_t* e = next();
      if (e == nullptr) return std::nullopt;
      if (e->type == YAML_SEQUENCE_END_EVENT) {
        n.end = mark_of(e->end_mark);
        break;
      }
      auto item = node(*e, depth);
      if (!item) return std::nullopt;
      n.items.push_back(std::move(*item));
    }
    if (!remember(anchor, n)) return std::nullopt;
    return n;
  }

  MaybeNode mapping(const yaml_event_t& start, int depth) {
    Node n;
    n.kind = Node::Kind::mapping;
    n.start = mark_of(start.start_mark);
    if (deep(n.start, depth)) return std::nullopt;
    n.tag = tag(start.data.mapping_start.tag, n.start);
    const std::string anchor(text_of(start.data.mapping_start.anchor));
    std::unordered_map<std::string, Mark> seen;
    for (;;) {
      const yaml_event_t* e = next();
      if (e == nullptr) return std::nullopt;
      if (e->type == YAML_MAPPING_END_EVENT) {
        n.end = mark_of(e->end_mark);
        break;
      }
      auto key = node(*e, depth);
      if (!key) return std::nullopt;
      e = next();
      if (e == nullptr) return std::nullopt;
      auto value = node(*e, depth);
      if (!value) return std::nullopt;
      if (key->kind != Node::Kind::scalar) {
        problem("bad_key", key->start, fmt::format("a key must be text, this one is {}", describe(*key)),
                "write KEY: VALUE; for a template value use quotes");
        continue;
      }
      const auto [it, fresh] = seen.emplace(key->text, key->start);
      if (!fresh) {
        problem("duplicate_key", key->start,
                fmt::format("the key '{}' is there twice, first at {}", key->text, place(it->second)),
                "remove one of them");
        continue;
      }
      n.members.push_back({std::move(key->text), key->start, std::move(*value)});
    }
    if (!remember(anchor, n)) return std::nullopt;
    return n;
  }

  MaybeNode alias(const yaml_event_t& e, int depth) {
    const Mark at = mark_of(e.start_mark);
    const std::string name(text_of(e.data.alias.anchor));
    const auto found = anchors_.find(name);
    if (found == anchors_.end()) {
      problem("unknown_alias", at, fmt::format("*{} names no anchor before it", name),
              fmt::format("write &{} at the value that is meant; an anchor cannot hold itself", name));
      return std::nullopt;
    }
    const Size size = found->second.size;
    alias_nodes_ += size.nodes;
    alias_bytes_ += size.bytes;
    if (alias_nodes_ > limits_.alias_nodes || alias_bytes_ > limits_.alias_bytes) {
      problem("alias_bomb", at,
              fmt::format("aliases make more than {} values or {} bytes", limits_.alias_nodes,
                          limits_.alias_bytes),
              "write the values out, or use fewer aliases");
      return std::nullopt;
    }
    if (!count(at, size.nodes) || deep(at, depth + size.height)) return std::nullopt;
    Node copy = found->second.node;
    copy.start = at;
    copy.end = mark_of(e.end_mark);
    return copy;
  }

  std::string_view content_;
  const YamlLimits& limits_;
  YamlFile& out_;
  Events events_;
  std::unordered_map<std::string, Anchor> anchors_;
  std::size_t anchored_nodes_ = 0;
  std::size_t nodes_ = 0;
  std::size_t alias_nodes_ = 0;
  std::size_t alias_bytes_ = 0;
};

}  // namespace

YamlFile parse_yaml(std::string_view content, const YamlLimits& limits) {
  YamlFile out;
  if (content.size() > limits.bytes) {
    out.problems.push_back({"file_too_large",
                            {1, 1},
                            fmt::format("{} bytes, more than {}", content.size(), limits.bytes),
                            "split the file"});
    return out;
  }
  if (content.starts_with("\xEF\xBB\xBF")) content.remove_prefix(3);
  if (!simdjson::validate_utf8(content.data(), content.size())) {
    const std::size_t bad = first_invalid(content);
    out.problems.push_back(
        {"invalid_utf8", mark_at(content, bad),
         fmt::format("byte 0x{:02X} is not UTF-8", static_cast<unsigned char>(content[bad])),
         "save the file as UTF-8"});
    return out;
  }
  Builder(content, limits, out).run();
  return out;
}

void stamp_source(Node& tree, int source) {
  tree.start.source = tree.end.source = source;
  for (Node& item : tree.items) stamp_source(item, source);
  for (Member& member : tree.members) {
    member.at.source = source;
    stamp_source(member.value, source);
  }
}

}  // namespace tg::text
