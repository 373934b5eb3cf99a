// Open WebUI: a page to talk to the models, its data in PostgreSQL, its first user made at apply.
#include <fmt/format.h>

#include "render/component/components.hpp"
#include "render/component/knative.hpp"
#include "render/workload/workloads.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "chat";
constexpr const char* kAdmin = "open-webui-admin";
constexpr int kPort = 8080;
constexpr int kRedis = 6379;

Labels pods() { return {{"app.kubernetes.io/component", "open-webui"}}; }
Labels socket_pods() { return {{"tidegate.dev/role", "chat-sockets"}}; }

std::string first_user(const Context& context) {
  const std::string email = context.component("chat").text("admin.email");
  return email.empty() ? context.spec().text("contacts.email") : email;
}

Json hardened_pod(int user) {
  return {{"runAsNonRoot", true},
          {"runAsUser", user},
          {"runAsGroup", user},
          {"fsGroup", user},
          {"seccompProfile", {{"type", "RuntimeDefault"}}}};
}

// Sockets of several replicas find each other through Redis, which keeps nothing.
Json sockets(const Context& context) {
  const Json container{{"allowPrivilegeEscalation", false},
                       {"readOnlyRootFilesystem", true},
                       {"capabilities", {{"drop", Json::array({"ALL"})}}}};
  Json pod_labels = Json::object();
  pod_labels["labels"] = to_json(socket_pods());
  Json redis{{"enabled", true},
             {"args", Json::array({"redis-server", "--save", "", "--appendonly", "no"})},
             {"pods", std::move(pod_labels)},
             {"resources", to_json(context.size("chat", "sockets"))},
             {"podSecurityContext", hardened_pod(999)},
             {"containerSecurityContext", container}};
  return {{"enabled", true},
          {"manager", "redis"},
          {"url", fmt::format("redis://open-webui-redis:{}/0", kRedis)},
          {"redis", std::move(redis)}};
}

// Files that users give it. Several replicas write one volume, so it must be one that they can share.
Json persistence(const Context& context, bool many) {
  const spec::Reader chat = context.component("chat");
  Json out{{"enabled", true}, {"size", chat.text("storage.size")}};
  std::string name = chat.text("storage.class");
  bool shared = false;
  for (const auto& [known, c] : context.spec().named("storage.classes")) {
    if (many && name.empty() && c.text("kind") == "shared") name = known;
    if (known == name) shared = c.text("kind") == "shared";
  }
  if (name.empty()) name = context.default_storage_class();
  if (!name.empty()) out["storageClass"] = name;
  if (!many) return out;
  out["accessModes"] = Json::array({"ReadWriteMany"});
  if (!shared) {
    context.refuse("needs_shared_class", chat.at("replicas"), chat.where("replicas"),
                   "replicas of the chat write one volume, and no storage class is shared",
                   "add a class with kind: shared, or write replicas: 1");
  }
  return out;
}

Json environment(const Context& context, const ModelApi& api) {
  const spec::Reader chat = context.component("chat");
  Json out = Json::array({env("WEBUI_ADMIN_EMAIL", first_user(context)),
                          env_from_secret("WEBUI_ADMIN_PASSWORD", kAdmin, "password"),
                          env_from_secret("WEBUI_SECRET_KEY", kAdmin, "session-key"),
                          // Nobody registers on his own: the first user invites.
                          env("ENABLE_SIGNUP", "false"), env("ENABLE_VERSION_UPDATE_CHECK", "false"),
                          env("ANONYMIZED_TELEMETRY", "false"), env("SCARF_NO_ANALYTICS", "true")});
  if (!api.ollama) {
    out.push_back(env("OPENAI_API_BASE_URL", api.url + "/v1"));
    out.push_back(env_from_secret("OPENAI_API_KEY", "open-webui-key", "key"));
  }
  if (const std::string database = chat.text("database"); !database.empty())
    out.push_back(env_from_secret("DATABASE_URL", database + "-postgresql", "url"));
  if (context.small()) {
    // The local embedding model alone is half of a small machine: search in documents asks the engine
    // instead.
    out.push_back(env("RAG_EMBEDDING_ENGINE", api.ollama ? "ollama" : "openai"));
    out.push_back(env("ENABLE_AUTOCOMPLETE_GENERATION", "false"));
    out.push_back(env("UVICORN_WORKERS", "1"));
  }
  if (!chat.text("host").empty()) out.push_back(env("WEBUI_URL", "https://" + chat.text("host")));
  return out;
}

Json values(const Context& context, const ModelApi& api) {
  const spec::Reader chat = context.component("chat");
  const std::int64_t replicas = chat.integer("replicas");
  Json out{{"replicaCount", replicas}};
  out["ollama"] = {{"enabled", false}};  // the chart's own would be a second one
  out["pipelines"] = {{"enabled", false}};
  out["tika"] = {{"enabled", false}};
  // One replica needs nobody to find.
  out["websocket"] =
      replicas > 1 ? sockets(context) : Json{{"enabled", false}, {"redis", {{"enabled", false}}}};
  out["ollamaUrls"] = api.ollama ? Json::array({api.url}) : Json::array();
  out["enableOpenaiApi"] = !api.ollama;
  out["openaiApiKey"] = "";  // the chart's default is a key of its own; ours comes from a Secret
  out["image"] = {{"useSlim", context.small()}};
  out["serviceAccount"] = {{"automountServiceAccountToken", false}};
  out["persistence"] = persistence(context, replicas > 1);
  out["resources"] = to_json(context.size("chat", "open-webui"));
  out["extraEnvVars"] = environment(context, api);
  out["podSecurityContext"] = hardened_pod(65532);
  out["containerSecurityContext"] = {{"allowPrivilegeEscalation", false},
                                     {"capabilities", {{"drop", Json::array({"ALL"})}}}};
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) out["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) out["tolerations"] = where.tolerations;
  return out;
}

}  // namespace

std::vector<Part> chat(const Context& context) {
  if (!context.has("chat")) return {};
  const spec::Reader spec = context.component("chat");
  const ModelApi api = model_api(context);
  Part part = component("chat");
  part.after = {"namespaces", "network-policies", "storage", "serving"};
  part.namespaces.push_back({.name = kNamespace});
  part.secrets.push_back({.name = kAdmin,
                          .ns = kNamespace,
                          .keys = {"password", "session-key"},
                          .why = "first user of the chat, and the key of its sessions"});
  if (!api.ollama) {
    SecretNeed key{.name = "open-webui-key",
                   .ns = kNamespace,
                   .keys = {"key"},
                   .from = SecretNeed::From::asked,
                   .reference = fmt::format("kubectl -n {} exec tidegate-0 -- tidegate keys create --data "
                                            "/var/lib/tidegate --name open-webui --output name",
                                            kModelNamespace),
                   .why = "the chat's own key at the gateway"};
    if (context.use("serving") == "knative") {
      // LiteLLM without a database knows one key only.
      key.from = SecretNeed::From::reference;
      key.reference = fmt::format("copy of {}/{}", kModelNamespace, kLiteLlmKey);
      key.why = "the gateway's key, for the chat";
    }
    part.secrets.push_back(std::move(key));
  }
  part.releases.push_back(
      {.chart = "open-webui", .release = "open-webui", .ns = kNamespace, .values = values(context, api)});
  part.keeps.push_back({.ns = kNamespace, .name = "open-webui"});
  part.edges.push_back({.from = Peer::pods(kNamespace, pods()),
                        .to = api.pods,
                        .ports = {{"http", api.port}},
                        .why = "asks the models"});
  if (spec.integer("replicas") > 1) {
    part.edges.push_back({.from = Peer::pods(kNamespace, pods()),
                          .to = Peer::pods(kNamespace, socket_pods()),
                          .ports = {{"redis", kRedis}},
                          .why = "its replicas tell each other of open pages"});
  }
  if (const auto database = data_api(context, spec.text("database"))) {
    // Its first start makes the tables.
    part.after.push_back(spec.text("database"));
    part.secrets.push_back(copy_of_data_secret(*database, kNamespace, "stores its chats in PostgreSQL"));
    part.edges.push_back({.from = Peer::pods(kNamespace, pods()),
                          .to = database->peer,
                          .ports = {{"postgresql", database->port}},
                          .why = "stores its chats"});
  }
  if (const std::string host = spec.text("host"); !host.empty()) {
    part.published.push_back({.host = host,
                              .ns = kNamespace,
                              .service = "open-webui",
                              .port = 80,
                              .pods = pods(),
                              .pod_port = kPort,
                              .web_socket = true,
                              .cookie_affinity = spec.integer("replicas") > 1});
    part.sections.push_back(
        {Section::Chapter::access, "Chat",
         fmt::format("https://{} · user {} · password:\n\n"
                     "    kubectl -n chat get secret {} -o jsonpath='{{.data.password}}' | base64 -d\n",
                     host, first_user(context), kAdmin)});
  }
  return {std::move(part)};
}

}  // namespace tg::render
