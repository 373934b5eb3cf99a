// One HTTP/1.x connection from a client. Private to http/server.cpp and server_connection.cpp.
#pragma once

#include "http/chunked.hpp"
#include "http/server.hpp"

namespace tg::http {

class Http1Connection final : public net::Handler, public ServerStream, private net::Timer {
 public:
  Http1Connection(Server& server, Fd fd);

  void on_events(std::uint32_t events) override;

  void respond(int status, std::string_view headers, std::string_view body) override;
  void start(int status, std::string_view headers, Framing framing, std::uint64_t length) override;
  using ServerStream::write;
  void write(const std::string_view* parts, std::size_t count) override;
  void write_chunks(std::string_view framed) override;
  bool takes_chunks() const override { return chunked_answer_; }
  void flush() override;
  void finish(std::string_view framed) override;
  void finish_with(const std::string_view* parts, std::size_t count) override;
  void abort() override;
  bool blocked() const override { return blocked_; }
  std::size_t pending() const override { return out_.size(); }
  void set_write_stall(Nanos stall) override { write_stall_ = stall; }
  bool started() const override { return answer_started_; }
  bool http11() const override { return http11_; }
  bool head_method() const override { return head_method_; }
  net::Loop& loop() override { return server_.loop_; }

  // Answers 503 in place of a request. `linger`: the connection stays until the client has read it, or 2 s.
  void turn_away(bool linger);
  void drain();           // close now if idle, else after the exchange
  void cut() { gone(); }  // close, and the exchange is told
  void close();

  Http1Connection* next = nullptr;
  Http1Connection** back = nullptr;
  bool turned_away = false;

 private:
  enum class State : std::uint8_t {
    head,     // waiting for, or inside, a request head
    body,     // reading a body
    busy,     // the exchange has the request
    linger,   // answer sent to a request whose body was not read: reading it away so that the answer arrives
    closing,  // closes when pending output is gone
    closed
  };

  void on_timer(Nanos now) override;
  void set_deadline(Nanos delay);
  void read();
  bool take_bytes(std::string_view bytes);  // false: stop reading
  bool read_head();                         // from in_; false: need more bytes or stopped
  void begin_body(std::string_view rest);
  bool take_body(std::string_view& bytes);
  void body_complete();
  void refuse(int status, std::string_view reason);
  void exchange_done();
  void send_payload(const std::string_view* parts, std::size_t count, bool last);
  void send(const iovec* parts, int count);
  void continue_output();
  void gone();

  Server& server_;
  Fd fd_;
  Exchange* exchange_ = nullptr;
  net::Buffer in_;  // bytes not yet consumed: an incomplete head, or pipelined requests
  net::Buffer body_;
  net::Buffer out_;       // accepted answer bytes that the kernel has not taken
  net::Buffer head_out_;  // answer head that waits for the first write
  ChunkDecoder decoder_;
  std::uint64_t body_left_ = 0;
  std::size_t scanned_ = 0;
  Nanos deadline_ = 0;
  Nanos armed_for_ = 0;
  Nanos write_stall_ = 0;
  State state_ = State::head;
  bool http11_ = true;
  bool keep_alive_ = true;
  bool head_method_ = false;
  bool chunked_body_ = false;
  bool chunked_answer_ = false;
  bool answer_started_ = false;
  bool answered_ = false;     // respond() or finish() was called for the current request
  bool in_request_ = false;   // inside Service::on_request
  bool blocked_ = false;      // between the high and the low watermark, on the way down
  bool reading_ = false;      // inside read(): no recursion
  bool readable_ = false;     // bytes may be waiting in the socket
  bool peer_closed_ = false;  // FIN seen
  bool drain_ = false;
};

}  // namespace tg::http
