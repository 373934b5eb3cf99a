#include "gateway/headers.hpp"

#include <gtest/gtest.h>

#include "gateway/errors.hpp"
#include "gateway/snapshot.hpp"

namespace tg::gateway {
namespace {

TEST(Headers, WhatGoesUpstream) {
  const std::string text =
      "POST /v1/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer s\r\nX-API-Key: s\r\nCookie: c\r\nForwarded: "
      "f\r\nX-Forwarded-For: 1\r\nX-Tidegate-X: 1\r\n"
      "Connection: x-hop\r\nX-Hop: 1\r\nAccept-Encoding: gzip\r\nExpect: 100-continue\r\nContent-Length: "
      "2\r\nX-Foo: Bar\r\nContent-Type: application/json\r\n\r\n";
  http::RequestHead head;
  http::ParseError error;
  ASSERT_TRUE(http::parse_request_head(text, head, error));
  net::BufferPool pool;
  net::Buffer out;
  append_request_fields(head, pool, out);
  EXPECT_EQ(out.view(), "X-Foo: Bar\r\nContent-Type: application/json\r\n");
}

TEST(Headers, WhatTheClientGets) {
  const std::string text =
      "HTTP/1.1 200 OK\r\nServer: x\r\nSet-Cookie: c\r\nAlt-Svc: h3\r\nX-Request-Id: "
      "up\r\nx-ratelimit-limit-requests: 9\r\nRetry-After: 7\r\n"
      "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\n";
  http::ResponseHead head;
  http::ParseError error;
  ASSERT_TRUE(http::parse_response_head(text, head, error));
  net::BufferPool pool;
  net::Buffer out;
  append_response_fields(head, false, pool, out);
  EXPECT_EQ(out.view(),
            "X-Request-Id: up\r\nx-ratelimit-limit-requests: 9\r\nRetry-After: 7\r\nContent-Type: "
            "application/json\r\n");
  out.clear();
  append_response_fields(head, true, pool, out);
  EXPECT_EQ(out.view(), "X-Request-Id: up\r\nRetry-After: 7\r\nContent-Type: application/json\r\n");
}

TEST(Headers, ValuesAreWrittenWithOneSpaceBeforeThem) {
  const std::string text =
      "HTTP/1.1 200 OK\r\nA:1\r\nB:  2\r\nC: 3\t\r\nD:\r\nServer: x\r\nE: 5\r\nF: 6\r\n\r\n";
  http::ResponseHead head;
  http::ParseError error;
  ASSERT_TRUE(http::parse_response_head(text, head, error));
  net::BufferPool pool;
  net::Buffer out;
  append_response_fields(head, false, pool, out);
  EXPECT_EQ(out.view(), "A: 1\r\nB: 2\r\nC: 3\r\nD: \r\nE: 5\r\nF: 6\r\n");
}

TEST(Headers, TheKeyLeavesTheQuery) {
  EXPECT_EQ(query_without_key(""), "");
  EXPECT_EQ(query_without_key("key=tg-x"), "");
  EXPECT_EQ(query_without_key("a=1&key=tg-x&b=2"), "?a=1&b=2");
  EXPECT_EQ(query_without_key("monkey=1"), "?monkey=1");
}

TEST(Errors, RetryHeadersAsSdksReadThem) {
  ApiError error{429, error_type(429), "rate_limit_exceeded", "a \"b\"", {}, 1500 * kMillisecond};
  EXPECT_EQ(error_headers(error),
            "content-type: application/json\r\nretry-after: 2\r\nretry-after-ms: 1500\r\n");
  error.retry_after = 61 * kSecond;
  EXPECT_EQ(error_headers(error),
            "content-type: application/json\r\nretry-after: 61\r\nx-should-retry: false\r\n");
  EXPECT_EQ(
      error_body(error),
      R"({"error":{"message":"a \"b\"","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}})");
  EXPECT_EQ(error_event(error, true),
            "data: {\"error\":{\"message\":\"a "
            "\\\"b\\\"\",\"type\":\"rate_limit_error\",\"param\":null,\"code\":\"rate_limit_exceeded\","
            "\"status\":429}}\n\n");
}

TEST(Errors, TextsAreCutBetweenCharacters) {
  EXPECT_EQ(cut_utf8("abc", 3), "abc");
  EXPECT_EQ(cut_utf8("abcd", 3), "abc");
  EXPECT_EQ(cut_utf8("ab\u00e9d", 3), "ab");
  EXPECT_EQ(cut_utf8("ab\u00e9d", 4), "ab\u00e9");
  EXPECT_EQ(cut_utf8("\U0001F600", 3), "");
  EXPECT_EQ(cut_utf8("", 0), "");
}

TEST(Errors, ASnippetIsPrintableWhateverTheUpstreamSaid) {
  EXPECT_EQ(snippet_of("<p>\r\n\xE9\x7F~ ok"), "<p>    ~ ok");
  EXPECT_EQ(snippet_of(std::string(500, 'x')).size(), 200U);
}

TEST(Urls, AreTakenApart) {
  const auto plain = split_url("http://h:8000/v1/");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host, "h");
  EXPECT_EQ(plain->port, 8000);
  EXPECT_EQ(plain->path, "/v1");
  EXPECT_EQ(plain->authority, "h:8000");
  const auto secure = split_url("https://[::1]/x");
  ASSERT_TRUE(secure);
  EXPECT_TRUE(secure->tls);
  EXPECT_EQ(secure->host, "::1");
  EXPECT_EQ(secure->port, 443);
  for (const char* bad : {"", "h:80", "ftp://h", "http://", "http://:80/x", "http://h:x"})
    EXPECT_FALSE(split_url(bad)) << bad;
}

}  // namespace
}  // namespace tg::gateway
