#include "gateway/event_relay.hpp"

namespace tg::gateway {

namespace {
constexpr std::size_t kMaxPending = 64 * 1024;
}

void EventRelay::emit(std::string_view bytes) {
  counts_.bytes += bytes.size();
  if (!out_.empty() && out_.back().data() + out_.back().size() == bytes.data()) {
    out_.back() = {out_.back().data(), out_.back().size() + bytes.size()};
  } else {
    out_.push_back(bytes);
  }
}

// One whole event. Emits it unless it is to be cut.
void EventRelay::event(std::string_view bytes) {
  const std::string_view data = http::sse_data(bytes);
  if (const auto known = shape_.code_points(data)) {
    ++counts_.events;
    counts_.code_points += *known;
  } else if (data == "[DONE]") {
    counts_.done = true;
  } else if (!data.empty()) {
    ++counts_.events;
    const AnswerFacts facts = scanner_.scan(data);
    counts_.code_points += facts.code_points;
    counts_.error = counts_.error || facts.error;
    if (facts.only_text.data() != nullptr) shape_.learn(data, facts.only_text);
    // Some upstreams repeat usage cumulatively: the last word counts.
    if (facts.usage.told()) counts_.usage = facts.usage;
    if (cut_usage_ && facts.usage_only) {
      cut_ = true;
      return;
    }
  }
  emit(bytes);
}

void EventRelay::take(const http::BodyPart& part, net::BufferPool& pool) {
  out_.clear();
  cut_ = false;
  const bool started_clean = pending_.empty() && !overflow_;
  for (std::size_t i = 0; i < part.count; ++i) {
    std::string_view rest = part.payload[i];
    while (!rest.empty()) {
      const std::size_t end = splitter_.event_end(rest);
      if (end == std::string_view::npos) {
        if (overflow_ || pending_.size() + rest.size() > kMaxPending) {
          // Too long to wait for: what waited goes first, then the rest as it comes.
          if (!pending_.empty()) {
            completed_ = std::move(pending_);
            pending_ = net::Buffer();
            emit(completed_.view());
          }
          overflow_ = true;
          emit(rest);
        } else {
          pending_.append(pool, rest);
        }
        break;
      }
      const std::string_view bytes = rest.substr(0, end);
      if (overflow_) {
        overflow_ = false;
        emit(bytes);
      } else if (!pending_.empty()) {
        pending_.append(pool, bytes);
        completed_ = std::move(pending_);
        pending_ = net::Buffer();
        event(completed_.view());
      } else {
        event(bytes);
      }
      rest.remove_prefix(end);
    }
  }
  whole_ = started_clean && part.whole_chunks && pending_.empty() && !overflow_ && !cut_;
  framed_ = part.framed;
  if (part.last && !pending_.empty()) {
    // The upstream ended cleanly inside a line: verbatim, nothing added.
    completed_ = std::move(pending_);
    pending_ = net::Buffer();
    emit(completed_.view());
  }
}

void EventRelay::send(http::ServerStream& stream, bool last) {
  if (whole_ && stream.takes_chunks()) {
    if (last) {
      stream.finish(framed_);
    } else if (!framed_.empty()) {
      stream.write_chunks(framed_);
    }
  } else {
    if (last) {
      stream.finish_with(out_.data(), out_.size());
    } else if (!out_.empty()) {
      stream.write(out_.data(), out_.size());
    }
  }
  out_.clear();
  whole_ = false;
  completed_.release();
}

}  // namespace tg::gateway
