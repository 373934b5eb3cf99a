// The greatest value of the last W nanoseconds for any W up to the kept age. Pure value. Holds at most one
// point per distinct value (a point that a later one equals or exceeds can never be the greatest again), so
// replica counts need a few dozen.
#pragma once

#include <algorithm>
#include <deque>

#include "base/clock.hpp"

namespace tg::scale {

class PeakWindow {
 public:
  void push(Nanos at, int value) {
    while (!points_.empty() && points_.back().value <= value) points_.pop_back();
    points_.push_back({at, value});
  }
  void forget_before(Nanos at) {
    while (!points_.empty() && points_.front().at < at) points_.pop_front();
  }
  // The greatest value pushed at or after `from`; `none` if there is none.
  int peak_since(Nanos from, int none = 0) const {
    for (const auto& p : points_) {
      if (p.at >= from) return p.value;
    }
    return none;
  }
  bool operator==(const PeakWindow&) const = default;

 private:
  struct Point {
    Nanos at;
    int value;
    bool operator==(const Point&) const = default;
  };
  std::deque<Point> points_;  // times rise, values fall
};

}  // namespace tg::scale
