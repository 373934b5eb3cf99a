#include "http/head.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tg::http {
namespace {

// The status a server would answer with, 0 for an accepted head, -1 for "needs more bytes".
int verdict(const std::string& text) {
  std::size_t scanned = 0;
  std::size_t end = 0;
  ParseError error;
  const ParseStatus status = find_head_end(text, scanned, end, error);
  if (status == ParseStatus::incomplete) return -1;
  if (status == ParseStatus::error) return error.status;
  RequestHead head;
  return parse_request_head(std::string_view(text).substr(0, end), head, error) ? 0 : error.status;
}

std::string with(const std::string& fields) {
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

TEST(RequestHead, GoodOnesAreTakenApart) {
  const std::string text =
      "POST /v1/x?a=1&b=2 HTTP/1.1\r\nHost: example.com:80\r\nContent-Length: 12\r\nX-Empty:\r\nCONNECTION: "
      "close, X-Hop\r\nx-hop:  v \t\r\n\r\nrest";
  std::size_t scanned = 0;
  std::size_t end = 0;
  ParseError error;
  ASSERT_EQ(find_head_end(text, scanned, end, error), ParseStatus::complete);
  EXPECT_EQ(text.substr(end), "rest");
  RequestHead head;
  ASSERT_TRUE(parse_request_head(std::string_view(text).substr(0, end), head, error));
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.path, "/v1/x");
  EXPECT_EQ(head.query, "a=1&b=2");
  EXPECT_EQ(head.length, 12U);
  EXPECT_FALSE(head.keep_alive);
  EXPECT_TRUE(head.named_in_connection("x-hop"));
  EXPECT_FALSE(head.named_in_connection("x-empty"));
  EXPECT_EQ(head.fields[4].value, "v");
  EXPECT_EQ(head.find(FieldId::host), "example.com:80");
}

TEST(RequestHead, ControlsAreFoundWhereverTheyStandInAValue) {
  for (std::size_t at = 0; at < 40; ++at) {
    std::string value(40, 'v');
    value[at] = '\t';
    EXPECT_EQ(verdict(with("X: a" + value + "b\r\n")), 0) << at;
    value[at] = '\xFF';
    EXPECT_EQ(verdict(with("X: a" + value + "b\r\n")), 0) << at;
    for (const char c : {'\0', '\x01', '\r', '\x1F', '\x7F'}) {
      value[at] = c;
      EXPECT_EQ(verdict(with("X: a" + value + "b\r\n")), 400) << at << " " << static_cast<int>(c);
    }
  }
}

TEST(RequestHead, FieldNamesAreKnownInAnyCase) {
  EXPECT_EQ(field_id("host"), FieldId::host);
  EXPECT_EQ(field_id("CONTENT-LENGTH"), FieldId::content_length);
  EXPECT_EQ(field_id("Transfer-Encoding"), FieldId::transfer_encoding);
  EXPECT_EQ(field_id("openai-Organization"), FieldId::openai_organization);
  EXPECT_EQ(field_id("X-RateLimit-Reset"), FieldId::x_ratelimit);
  EXPECT_EQ(field_id("Proxy-Connection"), FieldId::proxy);
  EXPECT_EQ(field_id("content_length"), FieldId::other);
  EXPECT_EQ(field_id("content-lengtx"), FieldId::other);
  EXPECT_EQ(field_id("x-tidegat"), FieldId::other);
}

TEST(RequestHead, CutAnywhereNeedsMore) {
  const std::string text = with("Content-Length: 3\r\n");
  for (std::size_t n = 0; n < text.size(); ++n) EXPECT_EQ(verdict(text.substr(0, n)), -1) << n;
  EXPECT_EQ(verdict(text), 0);
}

TEST(RequestHead, SlowSendersResumeWhereTheyWere) {
  const std::string text = with("X: y\r\n");
  std::size_t scanned = 0;
  std::size_t end = 0;
  ParseError error;
  for (std::size_t n = 1; n < text.size(); ++n) {
    ASSERT_EQ(find_head_end(std::string_view(text).substr(0, n), scanned, end, error),
              ParseStatus::incomplete);
    ASSERT_LE(scanned, n);
  }
  EXPECT_EQ(find_head_end(text, scanned, end, error), ParseStatus::complete);
  EXPECT_EQ(end, text.size());
}

TEST(RequestHead, WhatSmugglersSend) {
  EXPECT_EQ(verdict(with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(verdict(with("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")), 400);
  EXPECT_EQ(verdict(with("Content-Length: 1\r\nContent-Length: 1\r\n")), 400);
  EXPECT_EQ(verdict(with("Content-Length: 1, 1\r\n")), 400);
  EXPECT_EQ(verdict(with("Content-Length: +1\r\n")), 400);
  EXPECT_EQ(verdict(with("Content-Length: -1\r\n")), 400);
  EXPECT_EQ(verdict(with("Content-Length: 0x1\r\n")), 400);
  EXPECT_EQ(verdict(with("Content-Length: \r\n")), 400);
  EXPECT_EQ(verdict(with("Content-Length: 1 1\r\n")), 400);
  EXPECT_EQ(verdict(with("Content-Length: 99999999999999999999\r\n")), 400);
  EXPECT_EQ(verdict(with("Content-Length : 1\r\n")), 400);
  EXPECT_EQ(verdict(with("Transfer-Encoding: xchunked\r\n")), 400);
  EXPECT_EQ(verdict(with("Transfer-Encoding: gzip, chunked\r\n")), 400);
  EXPECT_EQ(verdict(with("Transfer-Encoding: chunked, identity\r\n")), 400);
  EXPECT_EQ(verdict(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(verdict(with("Transfer-Encoding:\x0b"
                         "chunked\r\n")),
            400);
  EXPECT_EQ(verdict(with("X: a\r\n b\r\n")), 400);
  EXPECT_EQ(verdict(with("X: a\r\n\tb\r\n")), 400);
  EXPECT_EQ(verdict(with(std::string("X: a\0b\r\n", 8))), 400);
  EXPECT_EQ(verdict(with("X: a\rb\r\n")), 400);
  EXPECT_EQ(verdict(with(": a\r\n")), 400);
  EXPECT_EQ(verdict(with("X\r\n")), 400);
  EXPECT_EQ(verdict(with("X Y: a\r\n")), 400);
  EXPECT_EQ(verdict(with("X(: a\r\n")), 400);
  EXPECT_EQ(verdict(with("Host: b\r\n")), 400);
  EXPECT_EQ(verdict(with("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(verdict(with("Connection: close, content-length\r\nContent-Length: 1\r\n")), 400);
  EXPECT_EQ(verdict("POST / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(verdict("POST / HTTP/1.1\nHost: a\n\n"), 400);
  EXPECT_EQ(verdict("POST / HTTP/1.1\r\nHost: a\n\r\n"), 400);
  EXPECT_EQ(verdict("POST / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
  EXPECT_EQ(verdict("POST  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(verdict("POST / x HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(verdict("POST /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(verdict("POST http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
  EXPECT_EQ(verdict("POST http://a HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(verdict("POST ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(verdict("P@ST / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(verdict("POST / HTTP/1.2\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(verdict("POST / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(verdict("POST / http/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(verdict("POST / HTTP/1.1 \r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(verdict("\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(verdict("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(verdict("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(verdict(with("Expect: 200-ok\r\n")), 417);
}

TEST(RequestHead, SizesAreBounded) {
  EXPECT_EQ(verdict(with("X: " + std::string(kMaxHead, 'a') + "\r\n")), 431);
  EXPECT_EQ(verdict("POST /" + std::string(kMaxHead + 10, 'a')), 431);
  std::string many;
  for (int i = 0; i < 98; ++i) many += "X: y\r\n";
  EXPECT_EQ(verdict(with(many)), 0);
  EXPECT_EQ(verdict(with(many + "X: y\r\nX: y\r\n")), 431);
}

bool response(const std::string& text, ResponseHead& head) {
  ParseError error;
  return parse_response_head(text, head, error);
}

TEST(ResponseHead, FramingByTheBook) {
  ResponseHead head;
  ASSERT_TRUE(response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head));
  EXPECT_EQ(head.status, 200);
  EXPECT_FALSE(head.until_close);
  ASSERT_TRUE(response("HTTP/1.1 200\r\n\r\n", head));
  EXPECT_TRUE(head.until_close);
  EXPECT_FALSE(head.keep_alive);
  ASSERT_TRUE(response("HTTP/1.1 204 No Content\r\n\r\n", head));
  EXPECT_TRUE(head.has_length);
  EXPECT_EQ(head.length, 0U);
  ASSERT_TRUE(response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", head));
  EXPECT_TRUE(head.keep_alive);
  for (const char* bad : {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                          "HTTP/1.1 099 X\r\n\r\n", "200 OK\r\n\r\n"}) {
    EXPECT_FALSE(response(bad, head)) << bad;
  }
}

TEST(FieldIds, FamiliesAndNames) {
  EXPECT_EQ(field_id("Authorization"), FieldId::authorization);
  EXPECT_EQ(field_id("X-API-KEY"), FieldId::x_api_key);
  EXPECT_EQ(field_id("x-goog-api-key"), FieldId::x_goog_api_key);
  EXPECT_EQ(field_id("X-Forwarded-For"), FieldId::x_forwarded);
  EXPECT_EQ(field_id("X-Tidegate-Request-Id"), FieldId::tidegate);
  EXPECT_EQ(field_id("x-ratelimit-limit-requests"), FieldId::x_ratelimit);
  EXPECT_EQ(field_id("Proxy-Authorization"), FieldId::proxy);
  EXPECT_EQ(field_id("X-Foo"), FieldId::other);
}

}  // namespace
}  // namespace tg::http
