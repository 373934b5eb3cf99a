#include "runtime/gguf.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/fd.hpp"

namespace tg::runtime {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as little endian");

constexpr std::size_t kHeadLimit = 64u << 20;  // vocabularies of 250,000 tokens take about 6 MiB
constexpr std::uint64_t kMaxKeys = 100'000;
constexpr std::uint64_t kMaxDimension = 1u << 24;  // of one figure; far above any model

enum Type : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

std::size_t scalar_size(std::uint32_t type) {
  switch (type) {
    case u8:
    case i8:
    case boolean:
      return 1;
    case u16:
    case i16:
      return 2;
    case u32:
    case i32:
    case f32:
      return 4;
    case u64:
    case i64:
    case f64:
      return 8;
    default:
      return 0;
  }
}

// A cursor that never leaves its bytes. After a failed read every further one fails too.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}

  template <class T>
  bool number(T& out) {
    if (rest_.size() < sizeof out) return cut();
    std::memcpy(&out, rest_.data(), sizeof out);
    rest_.remove_prefix(sizeof out);
    return true;
  }
  bool text(std::string_view& out) {
    std::uint64_t length = 0;
    if (!number(length) || rest_.size() < length) return cut();
    out = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }
  bool skip(std::uint64_t count, std::size_t size) {
    if (count > rest_.size() / size) return cut();
    rest_.remove_prefix(count * size);
    return true;
  }
  bool ok() const { return ok_; }

 private:
  bool cut() {
    ok_ = false;
    rest_ = {};
    return false;
  }
  std::string_view rest_;
  bool ok_ = true;
};

struct Value {
  bool integer = false;
  std::uint64_t number = 0;  // with integer; of an array the largest
  std::uint64_t sum = 0;     // of an array of integers
  std::uint64_t count = 0;
  std::string_view text;
};

enum class Outcome { good, cut, malformed };

bool read_integer(Cursor& in, std::uint32_t type, std::uint64_t& out) {
  const auto get = [&in, &out](auto value) {
    if (!in.number(value)) return false;
    out = value < 0 ? 0 : static_cast<std::uint64_t>(value);
    return true;
  };
  switch (type) {
    case u8:
    case boolean:
      return get(std::uint8_t{});
    case i8:
      return get(std::int8_t{});
    case u16:
      return get(std::uint16_t{});
    case i16:
      return get(std::int16_t{});
    case u32:
      return get(std::uint32_t{});
    case i32:
      return get(std::int32_t{});
    case u64:
      return get(std::uint64_t{});
    default:
      return get(std::int64_t{});
  }
}

bool is_integer(std::uint32_t type) { return type != f32 && type != f64 && scalar_size(type) != 0; }

Outcome read_array(Cursor& in, Value& value) {
  std::uint32_t type = 0;
  std::uint64_t count = 0;
  if (!in.number(type) || !in.number(count)) return Outcome::cut;
  if (type == string) {
    std::string_view ignored;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!in.text(ignored)) return Outcome::cut;
    }
    return Outcome::good;
  }
  const std::size_t size = scalar_size(type);
  if (size == 0) return Outcome::malformed;  // arrays of arrays: allowed by the format, used by nobody
  if (!is_integer(type) || count > 4096) return in.skip(count, size) ? Outcome::good : Outcome::cut;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t n = 0;
    if (!read_integer(in, type, n)) return Outcome::cut;
    n = std::min(n, kMaxDimension);
    value.number = std::max(value.number, n);
    value.sum += n;
  }
  value.integer = count > 0;
  value.count = count;
  return Outcome::good;
}

Outcome read_value(Cursor& in, Value& value) {
  std::uint32_t type = 0;
  if (!in.number(type)) return Outcome::cut;
  if (type == string) return in.text(value.text) ? Outcome::good : Outcome::cut;
  if (type == array) return read_array(in, value);
  const std::size_t size = scalar_size(type);
  if (size == 0) return Outcome::malformed;
  if (!is_integer(type)) return in.skip(1, size) ? Outcome::good : Outcome::cut;
  if (!read_integer(in, type, value.number)) return Outcome::cut;
  value.integer = true;
  value.count = 1;
  value.sum = value.number;
  return Outcome::good;
}

void take(GgufInfo& info, std::string_view key, const Value& value) {
  if (key == "general.architecture") {
    info.architecture = value.text.substr(0, 64);
    return;
  }
  if (!value.integer || info.architecture.empty() || !key.starts_with(info.architecture)) return;
  key.remove_prefix(info.architecture.size());
  const std::uint64_t n = std::min(value.number, kMaxDimension);
  if (key == ".block_count") info.layers = n;
  if (key == ".embedding_length") info.embedding = n;
  if (key == ".context_length") info.trained_context = n;
  if (key == ".attention.head_count") info.heads = n;
  if (key == ".attention.head_count_kv")
    info.kv_heads = std::min(kMaxDimension, (value.sum + value.count - 1) / value.count);
  if (key == ".attention.key_length") info.key_length = n;
  if (key == ".attention.value_length") info.value_length = n;
}

}  // namespace

std::uint64_t GgufInfo::kv_bytes_per_token() const {
  std::uint64_t product = 2;
  for (const std::uint64_t factor : {layers, kv_heads, key_length + value_length}) {
    if (__builtin_mul_overflow(product, factor, &product)) return std::numeric_limits<std::uint64_t>::max();
  }
  return product;
}

Result<GgufInfo> parse_gguf(std::string_view bytes) {
  if (!bytes.starts_with("GGUF"))
    return fail("not_gguf", "does not begin with GGUF", "give the path of a .gguf file");
  Cursor in(bytes.substr(4));
  std::uint32_t version = 0;
  std::uint64_t tensors = 0, keys = 0;
  const auto cut = [] {
    return fail("gguf_truncated", "the file ends inside its head", "is the download complete?");
  };
  if (!in.number(version) || !in.number(tensors) || !in.number(keys)) return cut();
  if (version != 2 && version != 3)
    return fail("gguf_malformed", fmt::format("GGUF version {} is not known", version));
  if (keys > kMaxKeys) return fail("gguf_malformed", fmt::format("the head states {} keys", keys));
  GgufInfo info;
  for (std::uint64_t i = 0; i < keys; ++i) {
    std::string_view key;
    Value value;
    if (!in.text(key)) return cut();
    const Outcome outcome = read_value(in, value);
    if (outcome == Outcome::cut) return cut();
    if (outcome == Outcome::malformed)
      return fail("gguf_malformed", fmt::format("key {} of {} has a type that is not known", i + 1, keys));
    take(info, key, value);
  }
  if (info.kv_heads == 0) info.kv_heads = info.heads;
  if (info.heads != 0) {
    if (info.key_length == 0) info.key_length = info.embedding / info.heads;
    if (info.value_length == 0) info.value_length = info.embedding / info.heads;
  }
  return info;
}

Result<GgufInfo> read_gguf(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("weights_missing", path, errno);
  struct stat file{};
  if (::fstat(fd.get(), &file) != 0 || file.st_size == 0) return fail("not_gguf", path + ": empty");
  // Read in growing pieces and never mapped: somebody may cut the file meanwhile.
  const std::size_t size = std::min<std::size_t>(static_cast<std::size_t>(file.st_size), kHeadLimit);
  std::string head(std::min<std::size_t>(size, 1u << 20), '\0');
  for (;;) {
    const ssize_t n = ::pread(fd.get(), head.data(), head.size(), 0);
    if (n < 0) return fail_errno("weights_missing", path, errno);
    auto info = parse_gguf(std::string_view(head).substr(0, static_cast<std::size_t>(n)));
    if (info || info.error().code != "gguf_truncated" || head.size() >= size) {
      if (!info) return std::unexpected(std::move(info.error()).context(path));
      return info;
    }
    head.resize(std::min(size, head.size() * 4));  // a large vocabulary lies in between
  }
}

}  // namespace tg::runtime
