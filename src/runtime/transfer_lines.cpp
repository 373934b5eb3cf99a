#include "runtime/transfer_lines.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/units.hpp"

namespace tg::runtime {

namespace {

constexpr Nanos kDrawEvery = 100 * kMillisecond;

std::size_t columns(int terminal) {
  winsize size{};
  return ::ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string_view file_name(std::string_view source) { return source.substr(source.rfind('/') + 1); }

}  // namespace

int quarters(const replica::Progress& progress) {
  if (progress.total == 0) return 0;
  const double share = static_cast<double>(progress.done) / static_cast<double>(progress.total);
  return std::clamp(static_cast<int>(share * 4), 0, 4);
}

std::string TransferLines::rate_and_rest(const One& one, Nanos now) {
  const double seconds = static_cast<double>(now - one.began) / 1e9;
  if (one.progress.done <= one.had || seconds <= 0) return {};
  const double rate = static_cast<double>(one.progress.done - one.had) / seconds;
  std::string text = fmt::format(", {}/s", format_bytes(static_cast<std::uint64_t>(rate)));
  if (one.progress.total > one.progress.done) {
    const double left = static_cast<double>(one.progress.total - one.progress.done) / rate;
    const auto whole = static_cast<Nanos>(std::min(left, 1e6));
    text += fmt::format(", {} left", format_duration((whole + 1) * kSecond));
  }
  return text;
}

void TransferLines::progressed(const std::string& source, const replica::Progress& progress, Nanos now) {
  const auto [found, first] = running_.try_emplace(source);
  One& one = found->second;
  if (first || progress.done < one.progress.done) {  // begun, or begun again from nothing
    one.began = now;
    one.had = first ? progress.done : 0;
    one.quarters = first ? 0 : one.quarters;
  }
  one.progress = progress;
  const int quarter = quarters(progress);
  const bool crossed = quarter > one.quarters;
  one.quarters = std::max(one.quarters, quarter);
  if (terminal_ >= 0) {
    if (crossed || now - drawn_ >= kDrawEvery) draw(now);
  } else if (crossed && quarter < 4) {
    log_.info("fetching weights", {field("source", source), field("percent", 25 * quarter),
                                   field("bytes", progress.done), field("total", progress.total)});
  }
}

// The cursor goes back to the line's start, so that a log line, which is longer, replaces what is drawn.
void TransferLines::draw(Nanos now) {
  drawn_ = now;
  std::string line;
  for (const auto& [source, one] : running_) {
    if (!line.empty()) line += " | ";
    line += fmt::format("{} {}", file_name(source), format_bytes(one.progress.done));
    if (one.progress.total > 0) {
      line += fmt::format(" of {}, {} %", format_bytes(one.progress.total),
                          one.progress.done * 100 / one.progress.total);
    }
    line += rate_and_rest(one, now);
  }
  const std::size_t room = columns(terminal_) - 1;
  if (line.size() > room) line.resize(room);
  write(line + "\x1b[K\r");
}

void TransferLines::ended(const std::string& source) {
  if (running_.erase(source) == 0 || terminal_ < 0) return;
  write("\x1b[K");
  if (!running_.empty()) draw(drawn_);
}

void TransferLines::write(const std::string& text) const {
  [[maybe_unused]] const ssize_t n = ::write(terminal_, text.data(), text.size());
}

}  // namespace tg::runtime
