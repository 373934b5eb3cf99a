#include "net/resolver.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

namespace tg::net {

struct Resolver::State {
  struct Job {
    Loop* loop;
    std::string host;
    std::uint16_t port;
    Callback callback;
  };
  struct Cached {
    std::vector<Address> addresses;
    Nanos until = 0;
  };
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> jobs;
  std::map<std::string, Cached> cache;
  bool stop = false;
  bool started = false;
  std::thread thread;
};

namespace {

void set_port(Address& address, std::uint16_t port) {
  if (address.storage.ss_family == AF_INET)
    reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port);
  if (address.storage.ss_family == AF_INET6)
    reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port = htons(port);
}

Result<std::vector<Address>> look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int problem = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (problem != 0)
    return fail("name_not_resolved", fmt::format("cannot resolve {}: {}", host, ::gai_strerror(problem)));
  std::vector<Address> addresses;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    Address address;
    std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    address.length = at->ai_addrlen;
    addresses.push_back(address);
  }
  ::freeaddrinfo(list);
  return addresses;
}

}  // namespace

Resolver::Resolver() : state_(std::make_shared<State>()) {}

Resolver::~Resolver() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
    state_->jobs.clear();
  }
  state_->wake.notify_all();
  if (state_->thread.joinable()) state_->thread.join();
}

void Resolver::resolve(Loop& loop, const std::string& host, std::uint16_t port, Callback callback) {
  if (const auto numeric = numeric_address(host, port)) {
    callback(std::vector<Address>{*numeric});
    return;
  }
  std::vector<Address> known;
  {
    const std::lock_guard lock(state_->mutex);
    const auto it = state_->cache.find(host);
    if (it != state_->cache.end() && it->second.until > loop.now()) {
      known = it->second.addresses;
    } else {
      state_->jobs.push_back({&loop, host, port, std::move(callback)});
      if (!state_->started) {
        // Started at the first name only: many setups need none.
        state_->started = true;
        state_->thread = std::thread([state = state_.get()] {
          std::unique_lock lock_in_thread(state->mutex);
          for (;;) {
            state->wake.wait(lock_in_thread, [&] { return state->stop || !state->jobs.empty(); });
            if (state->stop) return;
            State::Job job = std::move(state->jobs.front());
            state->jobs.pop_front();
            lock_in_thread.unlock();
            auto result = look_up(job.host);
            lock_in_thread.lock();
            if (state->stop) return;
            if (result) state->cache[job.host] = {*result, mono_now() + 30 * kSecond};
            if (result) {
              for (Address& a : *result) set_port(a, job.port);
            }
            job.loop->post([job_callback = std::move(job.callback), answer = std::move(result)] {
              job_callback(answer);
            });
          }
        });
      }
      state_->wake.notify_one();
      return;
    }
  }
  for (Address& a : known) set_port(a, port);
  callback(known);
}

}  // namespace tg::net
