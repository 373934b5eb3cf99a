// Finds where server-sent events end in a byte stream cut anywhere. An event ends after an empty line; lines
// end in LF, CRLF or CR. State is a few bits, bytes are never copied or changed.
#pragma once

#include <cstddef>
#include <string_view>

namespace tg::http {

class SseSplitter {
 public:
  // Scans on in `bytes` and returns the offset just after the first event end, or npos if all of it belongs
  // to an event that is not over yet. Call again with the rest. In a stream of CRLF lines an event is over
  // only with the LF, so that a cut between the two makes no half event; 0 means that the event had ended
  // with the bytes before.
  std::size_t event_end(std::string_view bytes);

  // True if the bytes so far end on an event boundary.
  bool at_boundary() const { return at_boundary_; }

 private:
  bool line_empty_ = true;  // no byte in the current line yet
  bool after_cr_ = false;   // the last byte was CR: an LF that follows belongs to the same line end
  bool at_boundary_ = true;
  bool crlf_ = false;  // the last complete line end was CRLF
  bool held_ = false;  // an empty line ended in a CR at the end of the bytes: its LF is awaited
};

// The payload of an event's first `data:` line (one leading space removed), or empty. Multi-line data is not
// joined: JSON payloads of the dialects stand on one line.
std::string_view sse_data(std::string_view event);

}  // namespace tg::http
