#include "render/order.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <tuple>
#include <utility>

namespace tg::render {

namespace {

class Line {
 public:
  explicit Line(const std::vector<Part>& parts) {
    for (const Part& p : parts) by_name_.emplace(p.name, &p);
  }

  void put(const Part& part) {
    State& state = states_[&part];
    if (state == State::placed) return;
    if (state == State::open) {
      std::fprintf(stderr, "part %s is to come after itself\n", part.name.c_str());
      std::abort();
    }
    state = State::open;
    for (const std::string& name : part.after) {
      if (const auto it = by_name_.find(name); it != by_name_.end()) put(*it->second);
    }
    states_[&part] = State::placed;
    out_.push_back(&part);
  }

  std::vector<const Part*> take() { return std::move(out_); }

 private:
  enum class State : std::uint8_t { waiting, open, placed };
  std::map<std::string, const Part*> by_name_;
  std::map<const Part*, State> states_;
  std::vector<const Part*> out_;
};

}  // namespace

std::vector<const Part*> in_order(const std::vector<Part>& parts) {
  // They lie one behind the other: whoever came first stays first.
  std::vector<const Part*> wanted;
  for (const Part& p : parts) wanted.push_back(&p);
  std::sort(wanted.begin(), wanted.end(), [](const Part* a, const Part* b) {
    return std::tie(a->where, a->order, a) < std::tie(b->where, b->order, b);
  });
  Line line(parts);
  for (const Part* p : wanted) line.put(*p);
  return line.take();
}

}  // namespace tg::render
