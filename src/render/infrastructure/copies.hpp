// Copies of the cluster's own store, made on the hosts and sent to the backup store. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// systemd's OnCalendar for a cron of five fields; empty if systemd cannot say the same (days of the month and
// of the week together).
std::string calendar(std::string_view cron);
// "daily", "weekly", "monthly" as a cron.
std::string cron_of(std::string_view word_or_cron);

// A unit with a timer, and the program that it runs.
struct Timed {
  std::string name{};  // "etcd-snapshot"
  std::string description{};
  std::string calendar{};
  std::string folder{};   // below files/: "control-plane"
  std::string program{};  // text of /usr/local/sbin/NAME
};
std::vector<Extra> timed(const Timed& what);

// upload.sh of the host programs: sends a file to the store of `backup`. Nothing without a store that speaks
// S3. `kubectl` is the command that reads the credentials' Secret.
struct Upload {
  std::string program{};  // text; empty if there is no store
  std::vector<SecretNeed> secrets{};
};
Upload upload(const Context& context, std::string_view kubectl, std::string_view folder);

}  // namespace tg::render
