// Which header fields pass, in both directions (the list of docs/security-model.md). Names and values pass as
// written.
#pragma once

#include <string>

#include "http/head.hpp"
#include "net/buffer.hpp"

namespace tg::gateway {

// Appends "name: value\r\n" for each field that goes upstream. Credentials, cookies, hop-by-hop and
// forwarding fields stay here; Host, Content-Length, Authorization and Accept-Encoding are written by the
// caller.
void append_request_fields(const http::RequestHead& head, net::BufferPool& pool, net::Buffer& out);

// Appends the fields of an upstream's answer that the client gets. `own_limits`: x-ratelimit-* are ours, so
// the upstream's stay away. Framing fields are never copied.
void append_response_fields(const http::ResponseHead& head, bool own_limits, net::BufferPool& pool,
                            net::Buffer& out);

// The query without `key=…` parameters (a credential), with its '?'; empty if nothing is left.
std::string query_without_key(std::string_view query);

}  // namespace tg::gateway
