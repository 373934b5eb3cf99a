#include "base/id.hpp"

#include <openssl/evp.h>
#include <sys/random.h>

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace tg {

void random_bytes(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = getrandom(out.data() + done, out.size() - done, 0);
    if (n > 0) done += static_cast<std::size_t>(n);
  }
}

std::uint64_t random_u64() {
  std::array<std::uint8_t, 8> bytes{};
  random_bytes(bytes);
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

namespace {
EVP_MD_CTX* context_of(void* p) { return static_cast<EVP_MD_CTX*>(p); }
}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  // The digest is fetched once here; later initialisations with a null type reuse it (a fetch costs more than
  // the hash).
  if (context_ == nullptr || EVP_DigestInit_ex(context_of(context_), EVP_sha256(), nullptr) != 1)
    std::abort();
}
Sha256::~Sha256() { EVP_MD_CTX_free(context_of(context_)); }

Digest Sha256::of(std::string_view bytes) {
  begin();
  update(bytes);
  return end();
}
void Sha256::begin() { EVP_DigestInit_ex(context_of(context_), nullptr, nullptr); }
void Sha256::update(std::string_view bytes) {
  EVP_DigestUpdate(context_of(context_), bytes.data(), bytes.size());
}
Digest Sha256::end() {
  Digest digest{};
  unsigned length = 0;
  EVP_DigestFinal_ex(context_of(context_), digest.data(), &length);
  return digest;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t b : bytes) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82F63B78U : crc >> 1;
    table[i] = crc;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

std::uint32_t crc_portable(std::span<const std::byte> bytes, std::uint32_t crc) {
  for (const std::byte b : bytes) crc = kCrcTable[(crc ^ static_cast<std::uint32_t>(b)) & 0xFF] ^ crc >> 8;
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc_sse42(std::span<const std::byte> bytes,
                                                          std::uint32_t crc) {
  std::uint64_t wide = crc;
  const std::byte* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, p += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<std::uint32_t>(wide);
  for (; left > 0; --left, ++p) crc = _mm_crc32_u8(crc, static_cast<std::uint8_t>(*p));
  return crc;
}
#endif

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed) {
  const std::uint32_t start = ~seed;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2") != 0) return ~crc_sse42(bytes, start);
#endif
  return ~crc_portable(bytes, start);
}

UlidBytes UlidMaker::next(std::int64_t utc_ns) {
  const std::int64_t ms = utc_ns / 1'000'000;
  if (ms > last_ms_) {
    last_ms_ = ms;
    if (left_ == 0) {
      random_bytes(random_);
      left_ = random_.size();
    }
    std::memcpy(last_.data() + 6, random_.data() + random_.size() - left_, kRandom);
    left_ -= kRandom;
    last_[6] &= 0x7F;  // room to count up within the millisecond
    for (std::size_t i = 0; i < 6; ++i) last_[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  } else {
    for (std::size_t i = 15; i >= 6 && ++last_[i] == 0; --i) {
    }
  }
  return last_;
}

void format_ulid(const UlidBytes& id, char* out) {
  constexpr char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  // 128 bits as 26 digits of 5 bits: the first digit holds the top 3 bits.
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  for (std::size_t i = 0; i < 8; ++i) high = high << 8 | id[i];
  for (std::size_t i = 8; i < 16; ++i) low = low << 8 | id[i];
  for (int i = 25; i >= 0; --i) {
    out[i] = alphabet[low & 31];
    low = low >> 5 | high << 59;
    high >>= 5;
  }
}

std::string request_id_text(const UlidBytes& id) {
  std::string text = "req_";
  text.resize(30);
  format_ulid(id, text.data() + 4);
  return text;
}

namespace {
constexpr std::string_view kBase62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kKeyBody = 43;  // "tg-" + 40

std::string key_checksum(std::string_view body) {
  std::uint32_t crc = crc32c(std::as_bytes(std::span(body.data(), body.size())));
  std::string text(6, '0');
  for (std::size_t i = 6; i-- > 0; crc /= 62) text[i] = kBase62[crc % 62];
  return text;
}
}  // namespace

std::string make_key() {
  std::string key = "tg-";
  while (key.size() < kKeyBody) {
    std::array<std::uint8_t, 64> bytes{};
    random_bytes(bytes);
    for (const std::uint8_t b : bytes) {
      // 248 = 4 × 62: larger bytes are thrown away so that every character is equally likely.
      if (b < 248 && key.size() < kKeyBody) key += kBase62[b % 62];
    }
  }
  return key + key_checksum(key);
}

bool is_well_formed_key(std::string_view key) {
  if (key.size() != kKeyLength || !key.starts_with("tg-")) return false;
  return key_checksum(key.substr(0, kKeyBody)) == key.substr(kKeyBody);
}

}  // namespace tg
