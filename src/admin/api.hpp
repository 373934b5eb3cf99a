// The one admin API for command line and console, as a function of a request: no sockets, no threads. The
// wiring calls it on the control thread, for requests that came over DIR/run/control.sock and over the
// console port.
//
//   GET  /api/v1/status                       GET  /api/v1/keys
//   GET  /api/v1/models                       POST /api/v1/keys[?dryRun=true]
//   {name,tenant,models,limits,count} GET  /api/v1/models/NAME                  POST
//   /api/v1/keys/revoke[?dryRun=true]   {key: name, first characters or text} GET /api/v1/models/NAME/explain
//   GET  /api/v1/usage[?by=key,model&since=24h&requests=true&limit=100] GET
//   /api/v1/models/NAME/logs[?replica=N&lines=N|after=OFFSET]
//
// Lists are {"items":[…]}, errors {"error":{"code","message","hint"}}, times RFC 3339 in UTC. A change
// answers with the changed objects and "dryRun"; with dryRun=true everything is checked and nothing is done.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "admin/sources.hpp"
#include "base/error.hpp"

namespace tg::admin {

struct Request {
  std::string method;                        // "GET"
  std::string path;                          // as on the wire, percent-encoded, without the query
  std::map<std::string, std::string> query;  // decoded
  std::string body;
  // The caller may change things and read logs: it came over the control socket, or proved a key to the
  // console port.
  bool trusted = false;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string allow;  // value of the Allow header with status 405, else empty
};

// Splits and decodes a request target ("/api/v1/usage?by=key%2Cmodel").
Request make_request(std::string_view method, std::string_view target, std::string body, bool trusted);

Response handle(const Request& request, Sources& sources);

// {"error":{"code":…,"message":…,"hint":…}}
std::string error_json(const Error& error);
// The HTTP status of an error of this API.
int error_status(std::string_view code);

// docs/reference/admin-api.md, whole.
std::string api_markdown();

// For paths and query values.
std::string percent_encode(std::string_view text);
std::string percent_decode(std::string_view text,
                           bool plus_is_space);  // what is no valid escape stays as it is

}  // namespace tg::admin
