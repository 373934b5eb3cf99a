#include "runtime/transfer.hpp"

#include <curl/curl.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace tg::runtime {
namespace {

// The functions used, by name. Loaded once in the life of the process and never unloaded.
struct Curl {
  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_easy_setopt) setopt;
  decltype(&curl_easy_strerror) strerror;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;
  decltype(&curl_multi_init) multi_init;
  decltype(&curl_multi_cleanup) multi_cleanup;
  decltype(&curl_multi_add_handle) multi_add;
  decltype(&curl_multi_remove_handle) multi_remove;
  decltype(&curl_multi_perform) multi_perform;
  decltype(&curl_multi_poll) multi_poll;
  decltype(&curl_multi_info_read) multi_info_read;
};

Result<Curl> load_curl() {
  const auto missing = [](const char* what) {
    return fail("curl_missing", fmt::format("downloads need libcurl: {}", what),
                "install it: apt-get install libcurl4");
  };
  void* library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return missing(::dlerror());
  Curl c{};
  const char* absent = nullptr;
  const auto get = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
    if (function == nullptr) absent = name;
  };
  get(c.global_init, "curl_global_init");
  get(c.easy_init, "curl_easy_init");
  get(c.easy_cleanup, "curl_easy_cleanup");
  get(c.setopt, "curl_easy_setopt");
  get(c.strerror, "curl_easy_strerror");
  get(c.slist_append, "curl_slist_append");
  get(c.slist_free_all, "curl_slist_free_all");
  get(c.multi_init, "curl_multi_init");
  get(c.multi_cleanup, "curl_multi_cleanup");
  get(c.multi_add, "curl_multi_add_handle");
  get(c.multi_remove, "curl_multi_remove_handle");
  get(c.multi_perform, "curl_multi_perform");
  get(c.multi_poll, "curl_multi_poll");
  get(c.multi_info_read, "curl_multi_info_read");
  if (absent != nullptr) return missing(absent);
  if (c.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return missing("it does not start");
  return c;
}

const Result<Curl>& curl() {
  static const Result<Curl> loaded = load_curl();
  return loaded;
}

struct Running {
  const Curl& api;
  const TransferSink& sink;
  CURL* easy;
  bool follow;
  TransferAnswer answer;
  bool told = false;  // the sink knows the head
  bool refused = false;
};

void take_status_line(Running& r, std::string_view line) {
  r.answer.headers.clear();
  const std::size_t space = line.find(' ');
  r.answer.status = 0;
  for (std::size_t i = space + 1;
       space != std::string_view::npos && i < line.size() && line[i] >= '0' && line[i] <= '9'; ++i) {
    r.answer.status = r.answer.status * 10 + (line[i] - '0');
  }
}

std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& r = *static_cast<Running*>(user);
  std::string_view line(bytes, size * count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n' || line.back() == ' '))
    line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    take_status_line(r, line);
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    r.answer.headers[name] = value;
  }
  return size * count;
}

bool tell(Running& r) {
  if (r.told) return true;
  r.told = true;
  return !r.sink.head || r.sink.head(r.answer);
}

std::size_t on_data(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& r = *static_cast<Running*>(user);
  // The body of a redirect that is followed is nobody's.
  if (r.follow && r.answer.status >= 300 && r.answer.status < 400 && r.answer.headers.contains("location"))
    return size * count;
  if (!tell(r) || (r.sink.data && !r.sink.data({bytes, size * count}))) {
    r.refused = true;
    return 0;
  }
  return size * count;
}

bool is_tls(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
         code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CERTPROBLEM;
}

// Drives the transfer, looking at the token ten times a second. False: stopped.
bool drive(const Curl& api, CURLM* multi, const std::stop_token& stop, CURLcode& code) {
  for (;;) {
    int running = 0;
    if (api.multi_perform(multi, &running) != CURLM_OK) return true;
    int left = 0;
    while (const CURLMsg* message = api.multi_info_read(multi, &left)) {
      if (message->msg == CURLMSG_DONE) code = message->data.result;
    }
    if (running == 0) return true;
    if (stop.stop_requested()) return false;
    api.multi_poll(multi, nullptr, 0, 100, nullptr);
  }
}

}  // namespace

Result<TransferAnswer> transfer(const TransferRequest& request, const TransferSink& sink,
                                std::stop_token stop) {
  const auto& loaded = curl();
  if (!loaded) return std::unexpected(loaded.error());
  const Curl& api = *loaded;
  const std::unique_ptr<CURL, decltype(api.easy_cleanup)> easy(api.easy_init(), api.easy_cleanup);
  const std::unique_ptr<CURLM, decltype(api.multi_cleanup)> multi(api.multi_init(), api.multi_cleanup);
  if (!easy || !multi) return fail("network", "out of memory");
  curl_slist* raw_headers = nullptr;
  for (const std::string& h : request.headers) raw_headers = api.slist_append(raw_headers, h.c_str());
  const std::unique_ptr<curl_slist, decltype(api.slist_free_all)> headers(raw_headers, api.slist_free_all);

  Running running{.api = api, .sink = sink, .easy = easy.get(), .follow = request.follow, .answer = {}};
  char problem[CURL_ERROR_SIZE] = {};
  CURL* h = easy.get();
  const char* protocols = request.url.starts_with("https://") ? "https" : "http,https";
  api.setopt(h, CURLOPT_URL, request.url.c_str());
  api.setopt(h, CURLOPT_PROTOCOLS_STR, protocols);
  api.setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
  api.setopt(h, CURLOPT_NOSIGNAL, 1L);
  api.setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  api.setopt(h, CURLOPT_QUICK_EXIT, 1L);
  api.setopt(h, CURLOPT_NOBODY, request.head ? 1L : 0L);
  api.setopt(h, CURLOPT_FOLLOWLOCATION, request.follow ? 1L : 0L);
  api.setopt(h, CURLOPT_MAXREDIRS, 8L);
  api.setopt(h, CURLOPT_CONNECTTIMEOUT_MS, 15'000L);
  api.setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1024L);
  api.setopt(h, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.low_speed_s));
  api.setopt(h, CURLOPT_USERAGENT, "tidegate");
  api.setopt(h, CURLOPT_HTTPHEADER, headers.get());
  api.setopt(h, CURLOPT_ERRORBUFFER, problem);
  api.setopt(h, CURLOPT_HEADERFUNCTION, &on_header);
  api.setopt(h, CURLOPT_HEADERDATA, static_cast<void*>(&running));
  api.setopt(h, CURLOPT_WRITEFUNCTION, &on_data);
  api.setopt(h, CURLOPT_WRITEDATA, static_cast<void*>(&running));
  api.multi_add(multi.get(), h);
  CURLcode code = CURLE_OK;
  const bool finished = drive(api, multi.get(), std::move(stop), code);
  api.multi_remove(multi.get(), h);
  if (!finished) return fail("stopped", "the download was stopped");
  if (running.refused) return fail("refused_by_sink", "the download was refused");
  if (code != CURLE_OK) {
    return fail(is_tls(code) ? "tls" : "network",
                fmt::format("{}: {}", request.url, problem[0] != 0 ? problem : api.strerror(code)));
  }
  if (!tell(running)) return fail("refused_by_sink", "the download was refused");
  return std::move(running.answer);
}

}  // namespace tg::runtime
