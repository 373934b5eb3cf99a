#include "render/secrets_by_hand.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "render/component/cert_manager.hpp"
#include "render/infrastructure/script.hpp"

namespace tg::render {

namespace {

using Chapter = Section::Chapter;
using From = SecretNeed::From;

constexpr std::string_view kCopy = "copy of ";

bool is_copy(const SecretNeed& need) { return need.reference.starts_with(kCopy); }

std::string word_after(std::string_view text, std::string_view before) {
  if (!text.starts_with(before)) return {};
  text.remove_prefix(before.size());
  return std::string(text.substr(0, text.find_first_of(", ")));
}

// A key as the name of a shell variable: "access-key" is access_key.
std::string variable(std::string_view key) {
  std::string out(key);
  std::replace_if(out.begin(), out.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return out;
}

// The names inside of ${…}, in their order.
std::vector<std::string> names_in(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = text.find("${"); at != std::string_view::npos; at = text.find("${", at + 1))
    out.emplace_back(text.substr(at + 2, text.find('}', at) - at - 2));
  return out;
}

// Text with ${KEY} in it as arguments of the shell's printf, which hands no argument to another program.
std::string printed(std::string_view text) {
  std::string format, arguments;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("${")) {
      const std::size_t end = text.find('}', i);
      arguments += fmt::format(" \"${}\"", variable(text.substr(i + 2, end - i - 2)));
      format += "%s";
      i = end;
    } else if (text[i] == '\n') {
      format += "\\n";
    } else if (text[i] == '%' || text[i] == '\\') {
      format += std::string(2, text[i]);
    } else {
      format += text[i];
    }
  }
  return fmt::format("printf {}{}", shell_word(format), arguments);
}

// --- what there is

const Part* find(const std::vector<Part>& parts, std::string_view name) {
  const auto it = std::find_if(parts.begin(), parts.end(), [&](const Part& p) { return p.name == name; });
  return it == parts.end() ? nullptr : &*it;
}

// Brought Secrets that stand in the store, by what the operator makes of them.
class Stored {
 public:
  explicit Stored(const std::vector<Part>& parts) {
    for (const Part& p : parts) {
      for (const Manifest& m : p.manifests) {
        for (const Json& o : m.objects) {
          if (o.value("kind", std::string()) == "ExternalSecret") add(o);
        }
      }
    }
  }

  // Where in the store, or null.
  const std::string* path(const SecretNeed& need) const {
    const auto it = paths_.find({need.ns, need.name});
    return it == paths_.end() ? nullptr : &it->second;
  }

 private:
  void add(const Json& o) {
    const Json& spec = o["spec"];
    std::string path = spec.contains("data") ? spec["data"][0]["remoteRef"]["key"].get<std::string>()
                                             : spec["dataFrom"][0]["extract"]["key"].get<std::string>();
    paths_.emplace(
        std::pair(o["metadata"]["namespace"].get<std::string>(), spec["target"]["name"].get<std::string>()),
        std::move(path));
  }

  std::map<std::pair<std::string, std::string>, std::string> paths_;
};

// The script of the managing cluster makes what can be made without a person.
bool made_by_script(const std::vector<Part>& parts, const Part& part, const SecretNeed& need) {
  if (find(parts, "cluster-api") == nullptr || need.from == From::asked) return false;
  return part.where == Where::infrastructure || need.from == From::generated || is_copy(need) ||
         need.reference.starts_with("env ");
}

// A certificate is not made at random.
bool brought(const SecretNeed& need) {
  const bool certificate = std::find(need.keys.begin(), need.keys.end(), "tls.key") != need.keys.end();
  return (need.from == From::reference && !is_copy(need)) || (need.from == From::generated && certificate);
}

// --- where values come from

// One folder for each reference of the document, however many Secrets it becomes.
std::string folder(const SecretNeed& need) {
  if (const std::string name = word_after(need.reference, "secretRef "); !name.empty()) return name;
  if (std::string path = word_after(need.reference, "vault "); !path.empty()) {
    std::replace(path.begin(), path.end(), '/', '-');
    return path;
  }
  return need.name;
}

// The keys that a person brings: those that do not follow from others.
std::vector<std::string> brought_keys(const SecretNeed& need) {
  std::vector<std::string> out;
  for (const std::string& key : need.keys) {
    if (!need.values.contains(key)) out.push_back(key);
  }
  return out;
}

bool from_file(const SecretNeed& need) { return word_after(need.reference, "env ").empty(); }

// "name=$(…)" for each value that is needed.
std::string read_values(const SecretNeed& need) {
  std::string out;
  for (const std::string& key : brought_keys(need)) {
    const std::string env = word_after(need.reference, "env "), path = word_after(need.reference, "file ");
    if (!env.empty())
      out += fmt::format("{}=${{{}:?}}\n", variable(key), env);
    else if (path.starts_with("~/"))
      out += fmt::format("{}=$(cat \"$HOME\"/{})\n", variable(key), shell_word(path.substr(2)));
    else if (!path.empty())
      out += fmt::format("{}=$(cat {})\n", variable(key), shell_word(path));
    else
      out += fmt::format("{}=$(cat \"$from\"/{}/{})\n", variable(key), folder(need), key);
  }
  return out;
}

// Random values, each once; what is made of them follows.
std::string make_values(const SecretNeed& need) {
  std::set<std::string> wanted;
  for (const std::string& key : need.keys) {
    const auto value = need.values.find(key);
    if (value == need.values.end())
      wanted.insert(key);
    else
      for (const std::string& name : names_in(value->second)) wanted.insert(name);
  }
  std::string out;
  for (const std::string& key : wanted) {
    if (!need.values.contains(key)) out += fmt::format("  {}=$(openssl rand -hex 16)\n", variable(key));
  }
  return out;
}

std::string from_key(const SecretNeed& need, const std::string& key) {
  const auto value = need.values.find(key);
  if (value == need.values.end())
    return fmt::format("--from-file={}=<(printf %s \"${}\")", key, variable(key));
  if (names_in(value->second).empty())
    return fmt::format("--from-literal={}={}", key, shell_word(value->second));
  return fmt::format("--from-file={}=<({})", key, printed(value->second));
}

std::string create(const SecretNeed& need, std::string_view indent) {
  std::string out = fmt::format("{}kubectl -n {} create secret generic {}", indent, need.ns, need.name);
  for (const std::string& key : need.keys) out += fmt::format(" \\\n{}  {}", indent, from_key(need, key));
  return out + "\n";
}

constexpr std::string_view kMissing =
    "missing() { ! kubectl -n \"$1\" get secret \"$2\" >/dev/null 2>&1; }\n";

std::string make_namespaces(const std::vector<Part>& parts) {
  const Part* part = find(parts, "namespaces");
  if (part == nullptr || part->manifests.empty()) return {};
  return fmt::format("kubectl apply --server-side -f {}/{}\n", part->folder(), part->manifests.front().file);
}

std::string block(const std::string& lines) {
  return fmt::format("```sh\n(\nset -euo pipefail\n{})\n```\n", lines);
}

// --- the chapters

struct Wanted {
  const Part* part;
  const SecretNeed* need;
};

// Each Secret once, whoever asks for it.
std::vector<Wanted> wanted(const std::vector<Part>& parts) {
  std::vector<Wanted> out;
  std::set<std::pair<std::string, std::string>> seen;
  for (const Part& p : parts) {
    for (const SecretNeed& s : p.secrets) {
      if (!made_by_script(parts, p, s) && seen.emplace(s.ns, s.name).second) out.push_back({&p, &s});
    }
  }
  return out;
}

std::string generated(const std::vector<Part>& parts) {
  std::string lines;
  for (const auto& [part, need] : wanted(parts)) {
    if (need->from != From::generated || brought(*need)) continue;
    lines += fmt::format("if missing {0} {1}; then  # {2}\n{3}{4}fi\n", need->ns, need->name, need->why,
                         make_values(*need), create(*need, "  "));
  }
  return lines.empty() ? lines : block(make_namespaces(parts) + std::string(kMissing) + lines);
}

// Files that are to be filled, and the commands that make their folders.
std::string files(const Context& context, const std::vector<const SecretNeed*>& needs) {
  std::map<std::string, std::map<std::string, std::set<std::string>>> folders;
  for (const SecretNeed* need : needs) {
    if (!from_file(*need) || !word_after(need->reference, "file ").empty()) continue;
    const auto keys = need->keys.empty() ? std::vector<std::string>{"all.json"} : brought_keys(*need);
    for (const std::string& key : keys) folders[folder(*need)][key].insert(need->why);
  }
  if (folders.empty()) return {};
  std::string made, rows;
  for (const auto& [name, keys] : folders) {
    made += fmt::format(" ~/{}-secrets/{}", context.name(), name);
    for (const auto& [key, why] : keys)
      rows += fmt::format("| `{}/{}` | {} |\n", name, key, fmt::join(why, "; "));
  }
  return fmt::format(
      "Each value is put into a file of its own, outside of this tree; a line feed at the end does not "
      "count.\n\n```sh\numask 077\nmkdir -p{}\n```\n\n| file in `~/{}-secrets` | for |\n|---|---|\n{}\n",
      made, context.name(), rows);
}

std::string end_of(const Context& context) {
  return fmt::format(
      "\nWhen they are kept where your team keeps its keys, the files go: `rm -r ~/{}-secrets`.\n",
      context.name());
}

std::string into_cluster(const Context& context, const std::vector<Part>& parts, const Stored& stored) {
  std::vector<const SecretNeed*> needs;
  std::string lines;
  for (const auto& [part, need] : wanted(parts)) {
    if (!brought(*need) || need->keys.empty() || stored.path(*need) != nullptr) continue;
    needs.push_back(need);
    lines += fmt::format("# {}\n{}if missing {} {}; then\n{}fi\n", need->why, read_values(*need), need->ns,
                         need->name, create(*need, "  "));
  }
  if (lines.empty()) return {};
  const std::string list = files(context, needs);
  return list +
         block(make_namespaces(parts) + fmt::format("from=~/{}-secrets\n", context.name()) +
               std::string(kMissing) + lines) +
         (list.empty() ? list : end_of(context));
}

// A shell function that writes standard input into the store under the name $1.
std::string put_function(const Context& context) {
  const spec::Reader from = context.component("secrets").sub("from");
  const std::string_view chosen = context.component("secrets").chosen("from");
  const auto text = [&](const char* own, const char* other) {
    const std::string value = from.text(own);
    return value.empty() ? context.infrastructure().text(other) : value;
  };
  if (chosen == "awsSecretsManager")
    return fmt::format(
        "put() {{\n"
        "  if aws secretsmanager describe-secret --region {0} --secret-id \"$1\" >/dev/null 2>&1; then\n"
        "    aws secretsmanager put-secret-value --region {0} --secret-id \"$1\" --secret-string "
        "file:///dev/stdin\n"
        "  else\n"
        "    aws secretsmanager create-secret --region {0} --name \"$1\" --secret-string file:///dev/stdin\n"
        "  fi\n}}\n",
        text("awsSecretsManager.region", "region"));
  if (chosen == "googleSecretManager")
    return fmt::format(
        "put() {{\n"
        "  gcloud secrets describe \"$1\" --project={0} >/dev/null 2>&1 ||\n"
        "    gcloud secrets create \"$1\" --project={0} --replication-policy=automatic </dev/null\n"
        "  gcloud secrets versions add \"$1\" --project={0} --data-file=-\n}}\n",
        text("googleSecretManager.project", "project"));
  if (chosen == "azureKeyVault") {
    const std::string url = from.text("azureKeyVault.url");
    return fmt::format(
        "vault={}\nvault=${{vault#https://}}\n"
        "put() {{\n  az keyvault secret set --vault-name \"${{vault%%.*}}\" --name \"$1\" --encoding utf-8 "
        "\\\n    --file /dev/stdin --output none\n}}\n",
        url.empty() ? "$(tofu -chdir=infrastructure/terraform output -raw key_vault_url)" : shell_word(url));
  }
  const std::string mount = from.text("vault.path");
  if (own_vault(context))
    return fmt::format("put() {{ kubectl -n secrets exec -i openbao-0 -- bao kv put -mount={} \"$1\" -; }}\n",
                       mount);
  return fmt::format("export BAO_ADDR={}\nput() {{ bao kv put -mount={} \"$1\" -; }}\n",
                     shell_word(from.text("vault.url")), mount);
}

// A value with ${KEY} in it as jq writes it, from the environment.
std::string jq_text(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("${")) {
      const std::size_t end = text.find('}', i);
      out += fmt::format("\\(env.{})", variable(text.substr(i + 2, end - i - 2)));
      i = end;
    } else {
      const std::string letter = Json(std::string(1, text[i])).dump();
      out += letter.substr(1, letter.size() - 2);
    }
  }
  return "\"" + out + "\"";
}

std::string put_line(const SecretNeed& need, const std::string& path) {
  if (need.keys.empty())
    return fmt::format("# {}\nput {} <\"$from\"/{}/all.json\n", need.why, path, folder(need));
  std::string fields, names;
  for (const std::string& key : need.keys) {
    const auto value = need.values.find(key);
    fields += fmt::format("{}\"{}\": {}", fields.empty() ? "" : ", ", key,
                          value == need.values.end() ? "env." + variable(key) : jq_text(value->second));
  }
  for (const std::string& key : brought_keys(need)) names += " " + variable(key);
  return fmt::format("# {}\n{}export{}\njq -n '{{{}}}' | put {}\n", need.why, read_values(need), names,
                     fields, path);
}

std::string into_store(const Context& context, const std::vector<Part>& parts, const Stored& stored) {
  std::vector<const SecretNeed*> needs;
  std::set<std::string> told;
  std::string lines;
  for (const auto& [part, need] : wanted(parts)) {
    const std::string* path = stored.path(*need);
    // What Terraform made it also wrote there.
    if (path == nullptr || !brought(*need) || need->reference.starts_with("Terraform")) continue;
    if (!told.insert(*path).second) continue;
    needs.push_back(need);
    lines += put_line(*need, *path);
  }
  if (lines.empty()) return {};
  const std::string list = files(context, needs);
  return list +
         (std::any_of(needs.begin(), needs.end(), [](const SecretNeed* n) { return n->keys.empty(); })
              ? "`all.json` is one map: the names and values as they are to be in the Secret.\n\n"
              : "") +
         block(fmt::format("from=~/{}-secrets\n", context.name()) + put_function(context) + lines) +
         (list.empty() ? list : end_of(context));
}

constexpr const char* kStoreIntro =
    "The operator reads them from the store and writes the Secrets; a value that changes is put in again by "
    "the "
    "same command.\n\n";

}  // namespace

std::vector<Section> secrets_before(const Context& context, const std::vector<Part>& parts) {
  const Stored stored(parts);
  std::vector<Section> out;
  if (const std::string text = generated(parts); !text.empty())
    out.push_back(
        {Chapter::first_steps, "Secrets that are made here",
         "Random values, made once: what is there is left alone. Nobody needs to see them.\n\n" + text});
  if (const std::string text = into_cluster(context, parts, stored); !text.empty())
    out.push_back({Chapter::first_steps, "Secrets that you bring", text});
  if (own_vault(context)) return out;
  if (const std::string text = into_store(context, parts, stored); !text.empty())
    out.push_back({Chapter::first_steps, "Secrets in the store", kStoreIntro + text});
  return out;
}

Section secrets_of_own_vault(const Context& context, const std::vector<Part>& parts) {
  if (!own_vault(context)) return {};
  const std::string text = into_store(context, parts, Stored(parts));
  return {Chapter::first_steps, "Secrets in the store",
          (text.empty() ? std::string("Nothing is kept there yet.\n") : kStoreIntro + text) +
              "\nThen the first token is revoked:\n\n```sh\nkubectl -n secrets exec openbao-0 -- bao token "
              "revoke -self\n```\n"};
}

std::string secrets_for(const Context& context, const Part& part, const std::vector<Part>& parts) {
  static_cast<void>(context);
  const Stored stored(parts);
  std::string out;
  for (const SecretNeed& need : part.secrets) {
    if (made_by_script(parts, part, need) || stored.path(need) != nullptr) continue;
    if (need.from == From::asked) {
      const std::string key = variable(need.keys.front());
      out += fmt::format("if ! kubectl -n {0} get secret {1} >/dev/null 2>&1; then\n  {2}=$({3})\n{4}fi\n",
                         need.ns, need.name, key, need.reference, create(need, "  "));
    } else if (is_copy(need)) {
      const std::string from = need.reference.substr(kCopy.size());
      const std::size_t slash = from.find('/');
      out += fmt::format(
          "kubectl -n {} get secret {} -o json |\n"
          "  jq '{{apiVersion, kind, type, data, metadata: {{name: \"{}\", namespace: \"{}\"}}}}' |\n"
          "  kubectl apply --server-side -f -\n",
          from.substr(0, slash), from.substr(slash + 1), need.name, need.ns);
    }
  }
  return out;
}

}  // namespace tg::render
