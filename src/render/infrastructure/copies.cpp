#include "render/infrastructure/copies.hpp"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "render/infrastructure/hosts.hpp"
#include "render/infrastructure/script.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kHead = "# Written by tidegate render. Change the document, not this file.\n";

std::vector<std::string> fields_of(std::string_view cron) {
  std::vector<std::string> out;
  while (!cron.empty()) {
    const std::size_t blank = cron.find(' ');
    if (blank != 0) out.emplace_back(cron.substr(0, blank));
    cron = blank == std::string_view::npos ? std::string_view{} : cron.substr(blank + 1);
  }
  return out;
}

// "*/6" → "0/6": a calendar steps from its first value, which for days and months is 1. "1-5" → "1..5".
std::string numbers(std::string_view field, int first) {
  std::string out;
  for (const char c : field) {
    if (c == '-') {
      out += "..";
    } else {
      out += c;
    }
  }
  if (out.starts_with("*/")) out = fmt::format("{}{}", first, out.substr(1));
  return out;
}

std::string week(std::string_view field) {
  static constexpr std::array<std::string_view, 8> kDays{"Sun", "Mon", "Tue", "Wed",
                                                         "Thu", "Fri", "Sat", "Sun"};
  std::string out;
  for (const char c : field) {
    if (c >= '0' && c <= '7') {
      out += kDays[static_cast<std::size_t>(c - '0')];
    } else if (c == '-') {
      out += "..";
    } else {
      out += c;
    }
  }
  return out;
}

constexpr std::string_view kUpload = R"sh(
# Credentials come from the cluster when they are needed and stay in the memory of this process.
secret_value() {
  $KUBECTL --namespace kube-system get secret "$1" --output "go-template={{index .data \"$2\" | base64decode}}"
}
RCLONE_CONFIG_STORE_TYPE=s3
RCLONE_CONFIG_STORE_PROVIDER=Other
RCLONE_CONFIG_STORE_ENV_AUTH=false
RCLONE_CONFIG_STORE_NO_CHECK_BUCKET=true
RCLONE_CONFIG_STORE_ACCESS_KEY_ID=$(secret_value "$CREDENTIALS" access-key)
RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY=$(secret_value "$CREDENTIALS" secret-key)
export RCLONE_CONFIG_STORE_TYPE RCLONE_CONFIG_STORE_PROVIDER RCLONE_CONFIG_STORE_ENV_AUTH
export RCLONE_CONFIG_STORE_NO_CHECK_BUCKET RCLONE_CONFIG_STORE_ACCESS_KEY_ID RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY
options=(--config /dev/null --contimeout 30s --retries 5)
if [[ -n $AUTHORITY ]]; then
  scratch=$(mktemp)
  trap 'rm -f "$scratch"' EXIT
  secret_value "$AUTHORITY" "$AUTHORITY_KEY" >"$scratch"
  options+=(--ca-cert "$scratch")
fi
rclone "${options[@]}" copyto "$1" "store:$BUCKET/$PREFIX/$(hostname -s)/$(basename "$1")"
rclone "${options[@]}" delete --min-age "$KEEP" "store:$BUCKET/$PREFIX/$(hostname -s)"
)sh";

}  // namespace

std::string cron_of(std::string_view word) {
  if (word == "daily") return "15 1 * * *";
  if (word == "weekly") return "15 1 * * 0";
  if (word == "monthly") return "15 1 1 * *";
  return std::string(word);
}

std::string calendar(std::string_view cron) {
  const std::vector<std::string> f = fields_of(cron);
  if (f.size() != 5 || (f[2] != "*" && f[4] != "*")) return {};
  const auto two = [](std::string text) { return text.size() == 1 && text != "*" ? "0" + text : text; };
  std::string out = f[4] == "*" ? std::string() : week(f[4]) + " ";
  out += fmt::format("*-{}-{} {}:{}:00", two(numbers(f[3], 1)), two(numbers(f[2], 1)), two(numbers(f[1], 0)),
                     two(numbers(f[0], 0)));
  return out;
}

std::vector<Extra> timed(const Timed& what) {
  const std::string units = fmt::format("files/{}/etc/systemd/system/{}", what.folder, what.name);
  std::vector<Extra> out;
  out.push_back({.path = fmt::format("files/{}/usr/local/sbin/{}", what.folder, what.name),
                 .content = what.program,
                 .executable = true});
  out.push_back(
      {.path = units + ".service",
       .content = fmt::format("{}[Unit]\nDescription={}\n\n[Service]\nType=oneshot\n"
                              "ExecStart=/usr/local/sbin/{}\nUMask=0077\nNice=10\nIOSchedulingClass=idle\n"
                              "PrivateTmp=yes\nProtectHome=yes\n",
                              kHead, what.description, what.name)});
  out.push_back(
      {.path = units + ".timer",
       .content = fmt::format("{}[Unit]\nDescription={}\n\n[Timer]\nOnCalendar={}\n"
                              // Made up for after a time without power.
                              "Persistent=true\nAccuracySec=1m\n\n[Install]\nWantedBy=timers.target\n",
                              kHead, what.description, what.calendar)});
  return out;
}

Upload upload(const Context& context, std::string_view kubectl, std::string_view folder) {
  const spec::Reader store = context.spec().sub("backup.store.s3");
  if (context.spec().text("backup.use") == "none" || !context.spec().has("backup.store.s3")) return {};
  Upload out;
  std::string authority, authority_key;
  const auto need = [&out](std::string name, std::vector<std::string> keys, const spec::SecretRef& ref,
                           std::string why) {
    out.secrets.push_back({.name = std::move(name),
                           .ns = "kube-system",
                           .keys = std::move(keys),
                           .from = SecretNeed::From::reference,
                           .reference = "secretRef " + ref.name,
                           .why = std::move(why)});
  };
  if (const auto ref = store.secret("credentials"))
    need("backup-store", {"access-key", "secret-key"}, *ref, "hosts send copies of the cluster's store");
  if (const auto ref = store.secret("ca")) {
    authority = ref->name;
    authority_key = ref->key.empty() ? "ca.crt" : ref->key;
    need(authority, {authority_key}, *ref, "authority of the backup store");
  }
  const auto days = static_cast<int>(context.spec().seconds("backup.keep") / 86400);
  out.program =
      "#!/usr/bin/env bash\n" + std::string(kHead) +
      "# Sends a file to the store of the platform's backups and removes old ones there. Usage: NAME FILE\n"
      "set -euo pipefail\n";
  const auto put = [&out](std::string_view name, const std::string& value) {
    out.program += fmt::format("{}={}\n", name, shell_word(value));
  };
  out.program += fmt::format("KUBECTL='{}'\n", kubectl);
  put("CREDENTIALS", "backup-store");
  put("AUTHORITY", authority);
  put("AUTHORITY_KEY", authority_key);
  put("BUCKET", store.text("bucket"));
  put("PREFIX", context.name() + "/" + std::string(folder));
  put("KEEP", fmt::format("{}d", days));
  out.program += fmt::format("export RCLONE_CONFIG_STORE_ENDPOINT={}\n", shell_word(store.text("endpoint")));
  out.program += fmt::format("export RCLONE_CONFIG_STORE_REGION={}\n", shell_word(store.text("region")));
  out.program += fmt::format("export RCLONE_CONFIG_STORE_FORCE_PATH_STYLE={}\n", store.flag("pathStyle"));
  out.program += kUpload;
  return out;
}

}  // namespace tg::render
