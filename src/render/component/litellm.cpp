// LiteLLM as the one door to all models: a Deployment with its configuration and a master key, no database.
// Its names are the Routes; a Route with several targets becomes several entries of one name, its fallbacks
// become LiteLLM's.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "base/id.hpp"
#include "catalog/images.hpp"
#include "render/component/knative.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr int kPort = 4000;
constexpr const char* kName = "litellm";
constexpr const char* kMasterKey = kLiteLlmKey;

using Named = std::vector<std::pair<std::string, spec::Reader>>;

// "open-ai" → "OPEN_AI_API_KEY".
std::string variable_of(const std::string& provider) {
  std::string out;
  for (const char c : provider)
    out += std::isalnum(static_cast<unsigned char>(c)) != 0
               ? static_cast<char>(std::toupper(static_cast<unsigned char>(c)))
               : '_';
  return out + "_API_KEY";
}

const spec::Reader* find(const Named& all, const std::string& name) {
  const auto it = std::find_if(all.begin(), all.end(), [&](const auto& p) { return p.first == name; });
  return it == all.end() ? nullptr : &it->second;
}

// What a Provider's key is in the cluster: a Secret and its entry.
struct Key {
  std::string secret, entry, variable, reference;
};

std::optional<Key> key_of(const std::string& provider, const spec::Reader& p) {
  const auto secret = p.secret("credentials");
  if (!secret) return std::nullopt;
  Key out{.secret = "provider-" + provider,
          .entry = "apiKey",
          .variable = variable_of(provider),
          .reference = describe(*secret)};
  if (secret->how == spec::SecretRef::How::secret_ref) {
    out.secret = secret->name;
    if (!secret->key.empty()) out.entry = secret->key;
  }
  return out;
}

class Config {
 public:
  explicit Config(const Context& context)
      : context_(context),
        models_(context.all(spec::DocumentKind::model)),
        providers_(context.all(spec::DocumentKind::provider)),
        routes_(context.all(spec::DocumentKind::route)) {}

  Json json() {
    wanted();
    for (std::size_t i = 0; i < queue_.size(); ++i) offer(queue_[i]);
    Json out{{"model_list", list_}};
    // A model that starts answers nothing for a while: try again before the fallback is asked.
    Json router{{"routing_strategy", "simple-shuffle"},
                {"num_retries", retries_},
                {"timeout", 600},
                {"allowed_fails", 3},
                {"cooldown_time", 10},
                {"enable_pre_call_checks", true}};
    if (!fallbacks_.empty()) router["fallbacks"] = fallbacks_;
    if (!long_fallbacks_.empty()) router["context_window_fallbacks"] = long_fallbacks_;
    out["router_settings"] = std::move(router);
    // Parameters that a model does not know are left out rather than refused; nothing is sent to LiteLLM's
    // makers.
    out["litellm_settings"] = {{"drop_params", true}, {"telemetry", false}, {"json_logs", true}};
    out["general_settings"] = {{"master_key", "os.environ/LITELLM_MASTER_KEY"},
                               {"disable_spend_logs", true},
                               {"infer_model_from_keys", false}};
    return out;
  }

  const std::set<std::string>& used_models() const { return used_models_; }
  const std::set<std::string>& used_providers() const { return used_providers_; }

 private:
  // The Routes that a Tenant may use, and those that Models and Providers bring themselves.
  void wanted() {
    const Named tenants = context_.all(spec::DocumentKind::tenant);
    bool all = tenants.empty();
    for (const auto& [name, t] : tenants) {
      const std::vector<std::string> list = t.list("routes");
      all |= list.empty();
      for (const std::string& route : list) want(route);
    }
    if (!all) return;
    for (const auto& [name, r] : routes_) want(name);
    for (const auto& [name, m] : models_) want(name);
    for (const auto& [name, p] : providers_) {
      for (const std::string& model : p.list("models")) want(model);
    }
  }
  void want(const std::string& route) {
    if (std::find(queue_.begin(), queue_.end(), route) == queue_.end()) queue_.push_back(route);
  }

  void offer(const std::string& route) {
    if (const spec::Reader* r = find(routes_, route); r != nullptr) {
      for (const spec::Reader& to : r->entries("to")) {
        add(route, to.text("model"), to.text("provider"), to.has("weight") ? to.integer("weight") : 0);
      }
      fall_back(route, *r);
      if (r->has("retry.attempts")) retries_ = std::max(retries_, r->integer("retry.attempts") - 1);
      return;
    }
    if (find(models_, route) != nullptr) {
      add(route, route, {}, 0);
      return;
    }
    for (const auto& [name, p] : providers_) {
      const std::vector<std::string> offered = p.list("models");
      if (std::find(offered.begin(), offered.end(), route) != offered.end()) {
        add(route, route, name, 0);
        return;
      }
    }
  }

  // LiteLLM falls back to names of its list: a target gets the name of its Model, or of the Provider's model.
  void fall_back(const std::string& route, const spec::Reader& r) {
    std::vector<std::string> errors, longer;
    for (const spec::Reader& f : r.entries("fallback")) {
      const std::string target = f.text("model");
      want(target);
      if (f.flag("when.errors")) errors.push_back(target);
      if (f.flag("when.contextExceeded")) longer.push_back(target);
      if (f.has("when.heldFor")) {
        context_.warn("cannot_render", f.at("when.heldFor"), f.where("when.heldFor"),
                      "LiteLLM does not know how long a request was held: it falls back on errors only",
                      "use serving: tidegate where the time of waiting must decide");
      }
    }
    const auto entry = [&](const std::vector<std::string>& to) {
      Json out = Json::object();
      out[route] = to;
      return out;
    };
    if (!errors.empty()) fallbacks_.push_back(entry(errors));
    if (!longer.empty()) long_fallbacks_.push_back(entry(longer));
  }

  void add(const std::string& route, const std::string& model, const std::string& provider,
           std::int64_t weight) {
    Json params = Json::object();
    Json info = Json::object();
    if (provider.empty()) {
      const spec::Reader* m = find(models_, model);
      if (m == nullptr) return;  // a reference to nothing is refused elsewhere
      const std::string name = ollama_name(m->text("source"));
      if (name.empty()) return;
      used_models_.insert(model);
      params["model"] = "ollama_chat/" + name;
      params["api_base"] = fmt::format("http://ollama-{}.{}.svc.{}", model, kModelNamespace,
                                       context_.spec().text("cluster.networks.domain"));
      params["keep_alive"] = "-1m";
      info = {{"mode", "chat"}, {"max_input_tokens", m->integer("context")}};
    } else {
      const spec::Reader* p = find(providers_, provider);
      if (p == nullptr) return;
      used_providers_.insert(provider);
      params["model"] = fmt::format("{}/{}", p->text("dialect"), model);
      params["api_base"] = p->text("url");
      if (const auto key = key_of(provider, *p)) params["api_key"] = "os.environ/" + key->variable;
    }
    if (weight > 0) params["weight"] = weight;
    Json out{{"model_name", route}, {"litellm_params", std::move(params)}};
    if (!info.empty()) out["model_info"] = std::move(info);
    list_.push_back(std::move(out));
  }

  const Context& context_;
  Named models_, providers_, routes_;
  std::vector<std::string> queue_;
  Json list_ = Json::array(), fallbacks_ = Json::array(), long_fallbacks_ = Json::array();
  std::int64_t retries_ = 1;
  std::set<std::string> used_models_, used_providers_;
};

std::string digest(const std::string& text) {
  Sha256 sha;
  sha.begin();
  sha.update(text);
  std::string out;
  for (const std::uint8_t byte : sha.end()) out += fmt::format("{:02x}", byte);
  return out.substr(0, 16);
}

Container container(const Context& context) {
  Container c{.name = kName, .image = catalog::image("litellm")};
  c.args = {"--config", "/etc/litellm/config.yaml", "--port", std::to_string(kPort), "--num_workers", "1"};
  c.ports = {{"http", kPort}};
  c.env = {env_from_secret("LITELLM_MASTER_KEY", kMasterKey, "key"), env("HOME", "/tmp"),
           env("LITELLM_NON_ROOT", "true"),
           // Prices come with the image: nothing is fetched at the start.
           env("LITELLM_LOCAL_MODEL_COST_MAP", "True"), env("DISABLE_ADMIN_UI", "True"),
           env("NO_DOCS", "True")};
  c.resources = context.size("serving", "litellm");
  c.startup = http_probe("/health/liveliness", "http", 5, 60);
  c.readiness = http_probe("/health/readiness", "http");
  c.liveness = http_probe("/health/liveliness", "http", 15);
  c.mounts = {{"config", "/etc/litellm", true}, {"tmp", "/tmp"}};
  return c;
}

}  // namespace

Part litellm(const Context& context) {
  Part part;
  Config config(context);
  const std::string text = text::emit_yaml(config.json());
  part.add("litellm-config.yaml", config_map("litellm-config", kModelNamespace, {{"config.yaml", text}}));

  Pod pod;
  Container c = container(context);
  for (const auto& [name, p] : context.all(spec::DocumentKind::provider)) {
    if (!config.used_providers().contains(name)) continue;
    const auto key = key_of(name, p);
    if (!key) continue;
    // Without its key a provider refuses; the models of this cluster answer all the same.
    Json variable = env_from_secret(key->variable, key->secret, key->entry);
    variable["valueFrom"]["secretKeyRef"]["optional"] = true;
    c.env.push_back(std::move(variable));
    part.secrets.push_back({.name = key->secret,
                            .ns = kModelNamespace,
                            .keys = {key->entry},
                            .from = SecretNeed::From::reference,
                            .reference = key->reference,
                            .why = "the key of provider " + name});
  }
  pod.containers = {std::move(c)};
  pod.volumes = {volume_config("config", "litellm-config"), volume_scratch("tmp", "256Mi")};
  // Pods that run are replaced when the configuration changes.
  pod.annotations = {{"tidegate.dev/config", digest(text)}};
  pod.placement = context.add_on_placement();
  const int replicas = context.component("serving").has("replicas")
                           ? static_cast<int>(context.component("serving").integer("replicas"))
                           : context.replicas("serving", "litellm");
  part.add("litellm.yaml", deployment(kName, kModelNamespace, replicas, pod));
  part.add("litellm.yaml", service(kName, kModelNamespace, selector(kName), {{"http", kPort}}));
  if (replicas > 1) part.add("litellm.yaml", disruption_budget(kName, kModelNamespace, selector(kName)));
  part.secrets.push_back({.name = kMasterKey,
                          .ns = kModelNamespace,
                          .keys = {"key"},
                          .why = "begins with sk-; whoever has it may use every model, nobody else may",
                          .values = {{"key", "sk-${random}"}}});

  const Peer self = Peer::pods(kModelNamespace, selector(kName));
  part.edges.push_back({.from = self,
                        .to = Peer::pods("knative-serving", {{"app", "3scale-kourier-gateway"}}),
                        .ports = {{"http", 8081}},
                        .why = "asks models through Knative's inner gateway"});
  if (!config.used_providers().empty()) {
    part.edges.push_back(
        {.from = self, .to = Peer::everywhere(), .ports = {{"https", 443}}, .why = "asks providers"});
  }
  if (context.all(spec::DocumentKind::tenant).size() > 1) {
    const spec::Reader& spec = context.spec();
    context.warn("one_key", spec.at("components.serving"), "spec.components.serving",
                 "LiteLLM without a database has one key: Tenants are not told apart, limits do not hold",
                 "leave components.serving out: tidegate keeps keys, limits and budgets");
  }
  part.sections.push_back(
      {.chapter = Section::Chapter::access,
       .title = "The models' API",
       .text = fmt::format("Inside the cluster http://{0}.{1}.svc:{2}/v1, with the key\n\n```sh\n"
                           "kubectl -n {1} get secret {3} -o jsonpath='{{.data.key}}' | base64 -d\n```\n",
                           kName, kModelNamespace, kPort, kMasterKey)});
  return part;
}

}  // namespace tg::render
