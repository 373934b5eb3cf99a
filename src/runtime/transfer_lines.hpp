// What a person sees of running downloads. On a terminal one line is redrawn, at most ten times a second:
// bytes, share, rate and the time that is left, of each transfer. Elsewhere there is a log line at a quarter,
// a half and three quarters; start and end are logged by whoever runs the downloads. One thread.
#pragma once

#include <map>
#include <string>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "replica/backend.hpp"

namespace tg::runtime {

// 0 to 4: how many quarters are here; 0 while the size is not known.
int quarters(const replica::Progress& progress);

class TransferLines {
 public:
  // `terminal` is the descriptor of a person's terminal, -1 if there is none.
  TransferLines(Logger& log, int terminal) : log_(log), terminal_(terminal) {}

  void progressed(const std::string& source, const replica::Progress& progress, Nanos now);
  // Removes it from the drawn line. To be called before the end is logged.
  void ended(const std::string& source);

 private:
  struct One {
    Nanos began = 0;
    std::uint64_t had = 0;  // when it was first seen: a resumed one has no rate for what was there
    replica::Progress progress;
    int quarters = 0;
  };
  static std::string rate_and_rest(const One& one, Nanos now);
  void draw(Nanos now);
  void write(const std::string& text) const;

  Logger& log_;
  int terminal_;
  std::map<std::string, One> running_;
  Nanos drawn_ = 0;
};

}  // namespace tg::runtime
