#include "render/component/model_pods.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "catalog/images.hpp"
#include "render/component/components.hpp"

namespace tg::render {

namespace {

constexpr const char* kCache = "/models";
constexpr const char* kShared = "models-cache";
constexpr const char* kDefaultCache = "50Gi";
constexpr const char* kGpu = "nvidia.com/gpu";

std::string dns(std::string name) {
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) c = '-';
  }
  return name.substr(0, 50);
}

bool has_prefix(const std::string& text, std::string_view prefix) { return text.starts_with(prefix); }

std::string engine_of(const spec::Reader& model) {
  if (const std::string_view chosen = model.chosen("engine"); !chosen.empty()) return std::string(chosen);
  const std::string source = model.text("source");
  if (has_prefix(source, "ollama://")) return "ollama";
  if (source.ends_with(".gguf")) return "llamacpp";
  return source.empty() ? "" : "vllm";
}

Resources sizes(const Context& context, const spec::Reader& model) {
  Resources out = context.size("serving", "model");
  for (const auto& [resource, amount] : model.quantities("resources.requests"))
    out.requests[resource] = amount;
  // What is held in memory cannot be given back: the limit is what is kept.
  out.limits = {{"memory", out.requests["memory"]}};
  if (const auto gpus = out.requests.find(kGpu); gpus != out.requests.end()) out.limits[kGpu] = gpus->second;
  for (const auto& [resource, amount] : model.quantities("resources.limits")) out.limits[resource] = amount;
  return out;
}

// "hf://Qwen/Qwen3-4B-GGUF/file.gguf" → "Qwen/Qwen3-4B-GGUF", "file.gguf".
struct Repository {
  std::string name, file;
};
std::optional<Repository> repository(const std::string& source) {
  constexpr std::string_view kScheme = "hf://";
  if (!has_prefix(source, kScheme)) return std::nullopt;
  const std::string rest = source.substr(kScheme.size());
  const std::size_t owner = rest.find('/');
  if (owner == std::string::npos) return std::nullopt;
  const std::size_t end = rest.find('/', owner + 1);
  if (end == std::string::npos) return Repository{rest, {}};
  return Repository{rest.substr(0, end), rest.substr(end + 1)};
}

bool llama(const ModelPod& plan, const spec::Reader& model, bool gpu, Container& c) {
  const std::string source = model.text("source");
  const std::int64_t slots = model.integer("slots");
  c.image = catalog::image(gpu ? "llama-server-cuda" : "llama-server");
  c.args = {"--host", "0.0.0.0", "--port", std::to_string(kModelPort), "--alias", plan.model, "--metrics"};
  const auto add = [&c](std::initializer_list<std::string> more) { c.args.insert(c.args.end(), more); };
  add({"--parallel", std::to_string(slots), "--ctx-size", std::to_string(slots * model.integer("context"))});
  if (gpu) add({"--n-gpu-layers", "999"});
  if (const auto repo = repository(source)) {
    add({"--hf-repo", repo->name});
    if (!repo->file.empty()) add({"--hf-file", repo->file});
  } else if (has_prefix(source, "https://")) {
    add({"--model-url", source, "--model", fmt::format("{}/{}.gguf", kCache, plan.name)});
  } else {
    return false;
  }
  c.env = {env("LLAMA_CACHE", kCache), env("HOME", "/tmp")};
  c.readiness = http_probe("/health", "http", 5);
  c.liveness = http_probe("/health", "http", 20, 6);
  c.startup = http_probe("/health", "http", 10, 360);
  return true;
}

bool vllm(const ModelPod& plan, const spec::Reader& model, const Resources& size, Container& c) {
  const auto repo = repository(model.text("source"));
  if (!repo) return false;
  c.image = catalog::image("vllm");
  c.args = {"--model",
            repo->name,
            "--served-model-name",
            plan.model,
            "--host",
            "0.0.0.0",
            "--port",
            std::to_string(kModelPort),
            "--download-dir",
            kCache,
            "--max-num-seqs",
            std::to_string(model.integer("slots"))};
  const auto add = [&c](std::initializer_list<std::string> more) { c.args.insert(c.args.end(), more); };
  if (const auto gpus = size.requests.find(kGpu); gpus != size.requests.end() && gpus->second != "1")
    add({"--tensor-parallel-size", gpus->second});
  if (model.has("context")) add({"--max-model-len", std::to_string(model.integer("context"))});
  // Compiled kernels and settings go where the root file system is not.
  c.env = {env("HOME", "/tmp"),
           env("USER", "vllm"),
           env("HF_HOME", std::string(kCache) + "/huggingface"),
           env("VLLM_CACHE_ROOT", "/tmp/vllm"),
           env("TRITON_CACHE_DIR", "/tmp/triton"),
           env("VLLM_NO_USAGE_STATS", "1")};
  c.readiness = http_probe("/health", "http", 5);
  c.liveness = http_probe("/health", "http", 20, 6);
  c.startup = http_probe("/health", "http", 10, 360);
  return true;
}

// The server has no model until one is fetched; the gateway asks for it by the Model's name.
void ollama(const ModelPod& plan, const spec::Reader& model, Container& c) {
  const std::string source = model.text("source").substr(std::string_view("ollama://").size());
  c.image = catalog::image("ollama");
  c.command = {"sh", "-c"};
  c.args = {
      "ollama serve & server=$!\n"
      "until ollama list >/dev/null 2>&1; do sleep 1; done\n"
      "ollama pull \"$SOURCE\" && ollama cp \"$SOURCE\" \"$MODEL\"\n"
      "wait \"$server\"\n"};
  c.env = {env("SOURCE", source),
           env("MODEL", plan.model),
           env("HOME", kCache),
           env("OLLAMA_MODELS", kCache),
           env("OLLAMA_HOST", fmt::format("0.0.0.0:{}", kModelPort)),
           env("OLLAMA_NUM_PARALLEL", std::to_string(model.integer("slots"))),
           env("OLLAMA_CONTEXT_LENGTH", std::to_string(model.integer("context"))),
           env("OLLAMA_KEEP_ALIVE", "-1")};
  const std::vector<std::string> shown{"sh", "-c", "ollama show \"$MODEL\" >/dev/null"};
  c.startup = exec_probe(shown, 10, 360);
  c.readiness = exec_probe(shown, 10);
  c.liveness = http_probe("/", "http", 20, 6);
}

std::string cache_class(const Context& context, const spec::Reader& model) {
  std::string out = model.text("cache.class");
  if (out.empty()) out = context.component("serving").text("cache");
  return out.empty() ? context.default_storage_class() : out;
}

bool shared(const Context& context, const std::string& storage_class) {
  for (const auto& [name, c] : context.spec().named("storage.classes")) {
    if (name == storage_class) return c.text("kind") == "shared";
  }
  return false;
}

// Weights are fetched once: into a volume that all Models share, into one of the Model's own, or, where
// replicas cannot share one, into one for each replica.
void add_cache(const Context& context, const spec::Reader& model, ModelPod& plan) {
  const std::string storage_class = cache_class(context, model);
  std::string size = model.text("cache.size");
  if (size.empty()) size = kDefaultCache;
  if (shared(context, storage_class)) {
    plan.pod.volumes.push_back(volume_claim("models", kShared));
    plan.claims.push_back(
        persistent_volume_claim(kShared, kModelsNamespace, "500Gi", storage_class, "ReadWriteMany"));
  } else if (plan.most == 1) {
    const std::string name = plan.name + "-cache";
    plan.pod.volumes.push_back(volume_claim("models", name));
    plan.claims.push_back(persistent_volume_claim(name, kModelsNamespace, size, storage_class));
    plan.one_node = true;
  } else {
    Json own = claim("models", size, storage_class);
    own.erase("metadata");
    plan.pod.volumes.push_back(
        {{"name", "models"}, {"ephemeral", {{"volumeClaimTemplate", std::move(own)}}}});
  }
}

std::optional<ModelPod> plan_of(const Context& context, const std::string& name, const spec::Reader& model) {
  ModelPod plan{.name = dns(name), .model = name, .engine = engine_of(model)};
  if (plan.engine.empty() || plan.engine == "simulated" || plan.engine == "external") return std::nullopt;
  if (plan.engine == "ollama" && model.has("engine.ollama.url")) return std::nullopt;
  plan.least = static_cast<int>(model.integer("replicas.min"));
  plan.replicas = std::max(1, plan.least);
  plan.most = std::max(plan.replicas, static_cast<int>(model.integer("replicas.max")));
  plan.slots = model.integer("slots");
  plan.metrics = plan.engine != "ollama";
  Container c{.name = "engine"};
  c.resources = sizes(context, model);
  const bool gpu = c.resources.requests.contains(kGpu);
  plan.gpu = gpu;
  bool runs = true;
  if (plan.engine == "llamacpp") {
    runs = llama(plan, model, gpu, c);
  } else if (plan.engine == "vllm") {
    runs = vllm(plan, model, c.resources, c);
  } else {
    ollama(plan, model, c);
  }
  if (!runs) {
    context.refuse(
        "engine_not_there", model.at("source"), model.where("source"),
        fmt::format("{}: in a cluster {} cannot fetch {}", name, plan.engine, model.text("source")),
        "write source: hf://OWNER/REPOSITORY, with /FILE.gguf for llama.cpp");
    return std::nullopt;
  }
  if (model.has("args")) {
    for (const std::string& argument : model.list("args")) c.args.push_back(argument);
  }
  if (model.has("command")) c.command = model.list("command");
  c.ports = {{"http", kModelPort}};
  c.mounts = {{"models", kCache}, {"tmp", "/tmp"}, {"shared-memory", "/dev/shm"}};
  plan.pod.volumes = {
      volume_scratch("tmp", "2Gi"),
      {{"name", "shared-memory"}, {"emptyDir", {{"medium", "Memory"}, {"sizeLimit", "8Gi"}}}}};
  if (!gpu) {
    plan.pod.volumes.pop_back();
    c.mounts.pop_back();
  }
  add_cache(context, model, plan);
  plan.pod.containers = {std::move(c)};
  plan.pod.grace_seconds = 60;  // streams that run come to their end
  if (const std::string pool = model.text("pool"); !pool.empty())
    plan.pod.placement = context.pool_placement(pool);
  return plan;
}

}  // namespace

std::string ModelPod::url() const {
  return fmt::format("http://{}.{}.svc:{}/v1", name, kModelsNamespace, kModelPort);
}

bool models_follow_requests(const Context& context) {
  if (!tidegate_serves(context) || context.use("metrics") != "prometheus") return false;
  const auto models = context.all(spec::DocumentKind::model);
  return std::any_of(models.begin(), models.end(), [](const auto& named) {
    const spec::Reader& model = named.second;
    const std::string engine = engine_of(model);
    if (engine != "vllm" && engine != "llamacpp") return false;
    const std::int64_t least = model.integer("replicas.min");
    const bool gpu = model.quantities("resources.requests").contains(kGpu);
    return least == 0 || (gpu && model.integer("replicas.max") > least);
  });
}

std::vector<ModelPod> model_pods(const Context& context) {
  std::vector<ModelPod> out;
  for (const auto& [name, model] : context.all(spec::DocumentKind::model)) {
    if (auto plan = plan_of(context, name, model)) out.push_back(std::move(*plan));
  }
  return out;
}

}  // namespace tg::render
