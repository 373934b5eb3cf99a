#include "runtime/fetch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/fd.hpp"
#include "base/files.hpp"
#include "base/id.hpp"
#include "base/units.hpp"
#include "runtime/memory.hpp"
#include "runtime/transfer.hpp"

namespace tg::runtime {
namespace {

using Json = nlohmann::json;

std::optional<std::uint64_t> number_of(const std::map<std::string, std::string>& headers, const char* name) {
  const auto found = headers.find(name);
  std::uint64_t n = 0;
  if (found == headers.end()) return std::nullopt;
  const std::string& text = found->second;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::string value_of(const std::map<std::string, std::string>& headers, const char* name) {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

struct Plan {
  WeightsSource source;
  std::string name;    // the source as written
  std::string sha256;  // expected; empty = the host names none
  bool from_document = false;
  std::optional<std::uint64_t> size;
  std::vector<std::string> headers;
};

Error status_error(const Plan& plan, int status) {
  const std::string what = fmt::format("{}: the host answers with status {}", plan.name, status);
  const bool hf = plan.source.kind == WeightsSource::Kind::hf;
  if (status == 401 || status == 403) {
    return {"weights_denied", what,
            hf ? "accept the model's terms on the host and set HF_TOKEN"
               : "the host wants a login that tidegate cannot give"};
  }
  if (status == 404 || status == 410)
    return {"weights_missing", what, hf ? "check owner, repository and file name" : "check the address"};
  return {"weights_host", what, "try again later"};
}

// What to do without a network: the two places where the file may be put by hand.
Error without_network(const WeightsCache& cache, const Plan& plan, const Error& cause) {
  std::string hint =
      fmt::format("bring {} to this machine by other means and set spec.source to file:///PATH/{}",
                  plan.source.name, plan.source.name);
  if (!plan.sha256.empty()) hint += ", or put it at " + cache.file_path(plan.sha256);
  return {"weights_no_network", fmt::format("cannot fetch {}: {}", plan.name, cause.message),
          std::move(hint)};
}

Error stopped() { return {"stopped", "the download was stopped", ""}; }

// ---- Hashing ----

// Feeds the first `length` bytes of the file into `hash`. False: read error or stopped.
bool hash_prefix(int fd, std::uint64_t length, Sha256& hash, const std::stop_token& stop) {
  std::string block(1 << 20, '\0');
  for (std::uint64_t at = 0; at < length;) {
    if (stop.stop_requested()) return false;
    const ssize_t n =
        ::pread(fd, block.data(), std::min<std::uint64_t>(block.size(), length - at), static_cast<off_t>(at));
    if (n <= 0) return false;
    hash.update({block.data(), static_cast<std::size_t>(n)});
    at += static_cast<std::uint64_t>(n);
  }
  return true;
}

Result<std::string> digest_of_file(const std::string& path, const std::stop_token& stop) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!fd || ::fstat(fd.get(), &info) != 0) return fail_errno("weights_missing", path, errno);
  Sha256 hash;
  hash.begin();
  if (!hash_prefix(fd.get(), static_cast<std::uint64_t>(info.st_size), hash, stop)) {
    if (stop.stop_requested()) return std::unexpected(stopped());
    return fail("weights_missing", path + ": cannot be read to its end");
  }
  return to_hex(hash.end());
}

// ---- Before a byte is fetched ----

Result<> ask_pointer(Plan& plan, std::string& stated, const std::stop_token& stop) {
  std::string text;
  const auto answer =
      transfer({.url = plan.source.pointer_url, .headers = plan.headers},
               {.head = nullptr,
                .data =
                    [&text](std::string_view bytes) {
                      text += bytes;
                      return text.size() <= 4096;  // a pointer has some 130 bytes; more is the file itself
                    }},
               stop);
  if (!answer && answer.error().code != "refused_by_sink") return std::unexpected(answer.error());
  if (!answer || answer->status != 200) return {};
  if (const auto pointer = parse_lfs_pointer(text)) {
    stated = pointer->sha256;
    plan.size = pointer->size;
  }
  return {};
}

// Digest and size as the host states them.
// The hub's own answer about a file: its size and digest, beside a redirect to the store that has the bytes.
// The store is not asked: its addresses may be signed for GET alone. A redirect within the hub (a renamed
// repository) is followed.
Result<> ask_hub(Plan& plan, const std::stop_token& stop) {
  std::string url = plan.source.url;
  std::string stated;
  for (int hop = 0; hop < 8; ++hop) {
    const auto answer =
        transfer({.url = url, .head = true, .follow = false, .headers = plan.headers}, {}, stop);
    if (!answer) return std::unexpected(answer.error());
    if (answer->status >= 400) return std::unexpected(status_error(plan, answer->status));
    stated = digest_of_etag(value_of(answer->headers, "x-linked-etag"));
    plan.size = number_of(answer->headers, "x-linked-size");
    if (!plan.size && answer->status < 300) plan.size = number_of(answer->headers, "content-length");
    const std::string location = value_of(answer->headers, "location");
    if (!stated.empty() || answer->status < 300 || !location.starts_with('/')) break;
    const std::size_t path = url.find('/', url.find("://") + 3);
    if (path != std::string::npos) url.resize(path);
    url += location;
  }
  if (stated.empty()) {
    if (auto asked = ask_pointer(plan, stated, stop); !asked) return asked;
  }
  if (plan.sha256.empty()) plan.sha256 = stated;
  if (!stated.empty() && plan.sha256 != stated) {
    return fail(
        "digest_mismatch",
        fmt::format("{}: the host states SHA-256 {}, the document {}", plan.name, stated, plan.sha256),
        "correct spec.sha256, or find out why the file changed");
  }
  return {};
}

// Size of a file on the web. Hosts that allow GET alone are not asked twice: the size comes with the bytes.
Result<> ask_host(Plan& plan, const std::stop_token& stop) {
  if (plan.source.kind == WeightsSource::Kind::hf) return ask_hub(plan, stop);
  const auto answer = transfer({.url = plan.source.url, .head = true, .headers = plan.headers}, {}, stop);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status == 404 || answer->status == 410)
    return std::unexpected(status_error(plan, answer->status));
  if (answer->status == 200) plan.size = number_of(answer->headers, "content-length");
  return {};
}

// ---- The transfer ----

class Download {
 public:
  Download(WeightsCache& cache, Plan& plan, const MemoryBound& memory, const ProgressSink& progress,
           std::stop_token stop)
      : cache_(cache),
        plan_(plan),
        memory_(memory),
        progress_(progress),
        stop_(std::move(stop)),
        base_(cache.part_path(plan.source.url)) {}

  Result<Fetched> run();

 private:
  Result<> open();
  Result<> fits(std::uint64_t size, std::uint64_t have) const;
  Result<> attempt();
  bool on_head(const TransferAnswer& answer);
  bool on_data(std::string_view bytes);
  Result<Fetched> finish();
  bool start_over();
  void read_validator();
  void write_validator(const TransferAnswer& answer);
  void refuse(Error error) { refusal_ = std::move(error); }

  WeightsCache& cache_;
  Plan& plan_;
  const MemoryBound& memory_;
  const ProgressSink& progress_;
  std::stop_token stop_;
  std::string base_;
  Fd fd_;
  std::uint64_t have_ = 0;
  std::string validator_;
  Sha256 hash_;
  bool resumed_ = false;
  bool writing_ = false;
  std::optional<Error> refusal_;
};

void Download::read_validator() {
  const auto text = read_file(base_ + ".json", 64 << 10);
  const Json json = text ? Json::parse(*text, nullptr, false) : Json();
  validator_ = json.is_object() && json.contains("etag") && json["etag"].is_string()
                   ? json["etag"].get<std::string>()
                   : "";
}

void Download::write_validator(const TransferAnswer& answer) {
  const std::string etag = value_of(answer.headers, "etag");
  validator_ = etag.starts_with("\"") ? etag : "";  // weak ones cannot prove that the bytes are the same
  (void)replace_file(base_ + ".json", Json{{"url", plan_.source.url}, {"etag", validator_}}.dump(
                                          -1, ' ', false, Json::error_handler_t::replace));
}

// Whether memory and disk have room for a file of that size.
Result<> Download::fits(std::uint64_t size, std::uint64_t have) const {
  if (const std::uint64_t need = least_need(size); memory_.total != 0 && need > memory_.total) {
    return fail("memory_short",
                fmt::format("{} has {}: a replica needs {} at least, engines may use {} in all ({})",
                            plan_.source.name, format_bytes(size), format_bytes(need),
                            format_bytes(memory_.total), memory_.limited_by),
                "choose a smaller model, or raise the memory limit");
  }
  return cache_.room_for(size, have, plan_.source.name);
}

bool Download::start_over() {
  have_ = 0;
  hash_.begin();
  return ::ftruncate(fd_.get(), 0) == 0;
}

Result<> Download::open() {
  if (auto made = make_directories(cache_.options().cache_dir + "/parts"); !made) return made;
  fd_.reset(::open((base_ + ".part").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  struct stat info{};
  if (!fd_ || ::fstat(fd_.get(), &info) != 0) return fail_errno("disk_full", base_ + ".part", errno);
  have_ = static_cast<std::uint64_t>(info.st_size);
  read_validator();
  hash_.begin();
  // A part may go on if a validator or a digest will tell that its head belongs to the same file.
  const bool usable = (!validator_.empty() || !plan_.sha256.empty()) && (!plan_.size || have_ <= *plan_.size);
  if (!usable) start_over();
  if (have_ != 0 && !hash_prefix(fd_.get(), have_, hash_, stop_)) {
    if (stop_.stop_requested()) return std::unexpected(stopped());
    start_over();
  }
  return {};
}

bool Download::on_head(const TransferAnswer& answer) {
  writing_ = false;
  if (answer.status >= 400) return true;  // its body is dropped, the status is looked at afterwards
  if (answer.status == 206) {
    const std::string range = value_of(answer.headers, "content-range");
    if (!range.starts_with(fmt::format("bytes {}-", have_))) {
      refuse({"weights_host",
              fmt::format("{}: asked for bytes from {}, the host sends '{}'", plan_.name, have_, range), ""});
      return false;
    }
    resumed_ = true;
  } else {
    if (have_ != 0 && !start_over()) return false;
    if (const auto length = number_of(answer.headers, "content-length")) {
      if (plan_.size && *plan_.size != *length) {
        refuse(
            {"wrong_length",
             fmt::format("{}: the host sends {} bytes, {} were announced", plan_.name, *length, *plan_.size),
             ""});
        return false;
      }
      plan_.size = length;
      if (auto room = fits(*length, 0); !room) {
        refuse(room.error());
        return false;
      }
    }
    write_validator(answer);
  }
  writing_ = true;
  return true;
}

bool Download::on_data(std::string_view bytes) {
  if (!writing_) return true;
  if (plan_.size && have_ + bytes.size() > *plan_.size) {
    refuse({"wrong_length",
            fmt::format("{}: the host sends more than the {} bytes it announced", plan_.name, *plan_.size),
            ""});
    return false;
  }
  hash_.update(bytes);
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(have_));
    if (n <= 0) {
      refuse(fail_errno("disk_full", base_ + ".part", errno).error());
      return false;
    }
    have_ += static_cast<std::uint64_t>(n);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  progress_({have_, plan_.size.value_or(0)});
  return true;
}

Result<> Download::attempt() {
  if (plan_.size && have_ == *plan_.size) return {};  // all of it is here; the digest will tell
  TransferRequest request{.url = plan_.source.url, .headers = plan_.headers};
  if (have_ != 0) {
    request.headers.push_back(fmt::format("Range: bytes={}-", have_));
    if (!validator_.empty()) request.headers.push_back("If-Range: " + validator_);
  }
  refusal_.reset();
  const auto answer = transfer(request,
                               {.head = [this](const TransferAnswer& a) { return on_head(a); },
                                .data = [this](std::string_view bytes) { return on_data(bytes); }},
                               stop_);
  if (refusal_) return std::unexpected(*refusal_);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status == 416) {
    start_over();  // the part is longer than the file is now
    return fail("network", fmt::format("{}: the host has no bytes from there on", plan_.name));
  }
  if (answer->status == 429 || answer->status >= 500)
    return fail("network", status_error(plan_, answer->status).message);
  if (answer->status >= 400) return std::unexpected(status_error(plan_, answer->status));
  if (plan_.size && have_ < *plan_.size)
    return fail("network", fmt::format("{}: cut after {} of {} bytes", plan_.name, have_, *plan_.size));
  return {};
}

Result<Fetched> Download::finish() {
  const std::string digest = to_hex(hash_.end());
  if (!plan_.sha256.empty() && digest != plan_.sha256) {
    ::unlink((base_ + ".part").c_str());
    ::unlink((base_ + ".json").c_str());
    return fail("digest_mismatch",
                fmt::format("{}: the {} bytes fetched have SHA-256 {}, expected {}", plan_.name, have_,
                            digest, plan_.sha256),
                plan_.from_document ? "is spec.sha256 the digest of this file?"
                                    : "the transfer or the host is broken");
  }
  const std::string path = cache_.file_path(digest);
  if (auto made = make_directories(cache_.options().cache_dir + "/sha256"); !made)
    return std::unexpected(made.error());
  ::fchmod(fd_.get(), 0400);
  if (::fsync(fd_.get()) != 0 || ::rename((base_ + ".part").c_str(), path.c_str()) != 0)
    return fail_errno("disk_full", path, errno);
  ::unlink((base_ + ".json").c_str());
  return Fetched{.source = plan_.name, .path = path, .sha256 = digest, .size = have_};
}

Result<Fetched> Download::run() {
  if (auto opened = open(); !opened) return std::unexpected(opened.error());
  progress_({have_, plan_.size.value_or(0)});
  if (plan_.size) {
    if (auto room = fits(*plan_.size, have_); !room) return std::unexpected(room.error());
  }
  Nanos pause = cache_.options().retry_pause;
  std::uint64_t before = have_;
  for (int left = cache_.options().attempts - 1;;) {
    auto done = attempt();
    if (done) {
      const bool again = resumed_;
      auto fetched = finish();
      // A part that did not belong to the file as it is now: once more from the start.
      if (fetched || fetched.error().code != "digest_mismatch" || !again) return fetched;
      resumed_ = false;
      if (auto opened = open(); !opened) return std::unexpected(opened.error());
      continue;
    }
    if (done.error().code != "network") return std::unexpected(std::move(done.error()));
    if (have_ > before) left = cache_.options().attempts - 1;  // it moves: be patient
    before = have_;
    if (left-- <= 0) return std::unexpected(without_network(cache_, plan_, done.error()));
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    if (wake.wait_for(lock, stop_, std::chrono::nanoseconds(pause), [] { return false; });
        stop_.stop_requested()) {
      return std::unexpected(stopped());
    }
    pause *= 2;
  }
}

// ---- Sources ----

Result<Fetched> use_file(const WeightsSource& source, const std::string& name, const std::string& sha256,
                         const std::stop_token& stop) {
  struct stat info{};
  if (::stat(source.path.c_str(), &info) != 0) return fail_errno("weights_missing", source.path, errno);
  if (!S_ISREG(info.st_mode))
    return fail("weights_missing", source.path + ": is not a file", "name the .gguf file itself");
  Fetched fetched{
      .source = name, .path = source.path, .sha256 = "", .size = static_cast<std::uint64_t>(info.st_size)};
  fetched.modified_ns = static_cast<std::int64_t>(info.st_mtim.tv_sec) * kSecond + info.st_mtim.tv_nsec;
  if (sha256.empty()) return fetched;
  auto digest = digest_of_file(source.path, stop);
  if (!digest) return std::unexpected(digest.error());
  if (*digest != sha256) {
    return fail("digest_mismatch",
                fmt::format("{} has SHA-256 {}, expected {}", source.path, *digest, sha256),
                "is spec.sha256 the digest of this file?");
  }
  fetched.sha256 = *digest;
  return fetched;
}

// A file that stands under its digest already: put there by hand, or fetched for another source.
std::optional<Fetched> cached(const WeightsCache& cache, const std::string& name, const std::string& sha256,
                              const std::stop_token& stop) {
  if (sha256.empty()) return std::nullopt;
  const std::string path = cache.file_path(sha256);
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const auto digest = digest_of_file(path, stop);
  if (!digest || *digest != sha256) return std::nullopt;
  return Fetched{
      .source = name, .path = path, .sha256 = sha256, .size = static_cast<std::uint64_t>(info.st_size)};
}

}  // namespace

Result<Fetched> fetch_weights(WeightsCache& cache, const std::string& source, const std::string& sha256,
                              const MemoryBound& memory, const ProgressSink& progress,
                              const std::stop_token& stop) {
  auto parsed = parse_source(source, cache.options().hf_endpoint);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  Plan plan{.source = std::move(*parsed),
            .name = source,
            .sha256 = sha256,
            .from_document = !sha256.empty(),
            .size = {},
            .headers = {}};
  if (plan.source.kind == WeightsSource::Kind::file) return use_file(plan.source, source, sha256, stop);
  if (plan.source.kind == WeightsSource::Kind::web && sha256.empty()) {
    return fail("digest_missing", source + ": a digest is needed", "set spec.sha256 to the file's SHA-256");
  }
  if (auto found = cached(cache, source, sha256, stop)) return *found;
  if (plan.source.kind == WeightsSource::Kind::hf && !cache.options().hf_token.empty()) {
    plan.headers.push_back("Authorization: Bearer " + cache.options().hf_token);
  }
  if (auto asked = ask_host(plan, stop); !asked) {
    if (asked.error().code == "network") return std::unexpected(without_network(cache, plan, asked.error()));
    return std::unexpected(std::move(asked.error()));
  }
  const auto claim = cache.claim(plan.sha256.empty() ? plan.source.url : plan.sha256, stop);
  if (!claim) return std::unexpected(stopped());
  if (auto found = cached(cache, source, plan.sha256, stop)) return *found;
  if (stop.stop_requested()) return std::unexpected(stopped());
  return Download(cache, plan, memory, progress, stop).run();
}

bool worth_retrying(const Error& error) {
  for (const char* code : {"bad_source", "weights_split", "weights_denied", "digest_missing",
                           "digest_mismatch", "curl_missing"}) {
    if (error.code == code) return false;
  }
  // A host that says 404 will say so again; a missing local file may be put there.
  return error.code != "weights_missing" || !error.message.contains("status");
}

}  // namespace tg::runtime
