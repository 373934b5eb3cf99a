// Random bytes, digests, checksums and identifiers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace tg {

// From the kernel's generator (getrandom). Cannot fail on a supported kernel.
void random_bytes(std::span<std::uint8_t> out);
std::uint64_t random_u64();

using Digest = std::array<std::uint8_t, 32>;

// SHA-256 of the bytes. `Sha256` reuses one OpenSSL context: one per thread, about 0.25 µs for a key.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  Digest of(std::string_view bytes);
  // Incremental form for files: begin, update as often as needed, end.
  void begin();
  void update(std::string_view bytes);
  Digest end();

 private:
  void* context_;
};

// A digest is uniformly distributed, so its first bytes are a good hash.
struct DigestHash {
  std::size_t operator()(const Digest& d) const noexcept {
    std::size_t h = 0;
    for (std::size_t i = 0; i < sizeof h; ++i) h = h << 8 | d[i];
    return h;
  }
};

std::string to_hex(std::span<const std::uint8_t> bytes);

// CRC-32C (Castagnoli, as in RFC 3720), by the SSE4.2 instruction where the processor has it.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed = 0);

// ULID (48 bits of UTC milliseconds, 80 random bits), 26 characters of Crockford base 32. Not thread safe:
// one maker a thread. Ids of one maker rise strictly, also within one millisecond. Random bytes are fetched
// for many milliseconds at once: a quiet server would else make a system call for each request.
using UlidBytes = std::array<std::uint8_t, 16>;
class UlidMaker {
 public:
  UlidBytes next(std::int64_t utc_ns);

 private:
  static constexpr std::size_t kRandom = 10;  // random bytes of one id
  std::int64_t last_ms_ = -1;
  UlidBytes last_{};
  std::array<std::uint8_t, 32 * kRandom> random_{};
  std::size_t left_ = 0;  // unused bytes at the end of random_
};
// Writes exactly kUlidText characters to `out`.
inline constexpr std::size_t kUlidText = 26;
void format_ulid(const UlidBytes& id, char* out);
std::string request_id_text(const UlidBytes& id);  // "req_" + ULID

// Client keys: "tg-" + 40 base62 characters + 6 base62 characters of checksum (CRC-32C of the first 43
// characters).
inline constexpr std::size_t kKeyLength = 49;
std::string make_key();
bool is_well_formed_key(std::string_view key);

}  // namespace tg
