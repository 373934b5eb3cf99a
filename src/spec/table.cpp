// The field table of the four kinds that serving acts on; table_*.cpp have the others. Defaults are text, so
// that the decoder, the schema and the reference page state the same one.
#include <array>
#include <map>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "spec/fields.hpp"
#include "spec/requirements.hpp"
#include "spec/tables.hpp"

namespace tg::spec {

namespace {

using rows::kMi;
using rows::kPi;
using rows::kTi;
using rows::Row;
using rows::row;

constexpr double kMs = static_cast<double>(kMillisecond);
constexpr double kDay = 24 * static_cast<double>(kHour);

constexpr Field kApiVersionField{.path = "apiVersion",
                                 .type = Type::text,
                                 .meaning = "The version of the form, always tidegate.dev/v1alpha1.",
                                 .required = true};
constexpr Field kKindField{
    .path = "kind", .type = Type::text, .meaning = "What the document describes.", .required = true};
constexpr Field kMetadataField{
    .path = "metadata", .type = Type::object, .meaning = "Identity of the document.", .required = true};
constexpr Field kLabelsField{.path = "metadata.labels",
                             .type = Type::any,
                             .meaning = "Labels for selectors in a cluster.",
                             .planned = true};
constexpr Field kAnnotationsField{.path = "metadata.annotations",
                                  .type = Type::any,
                                  .meaning = "Notes for other programs in a cluster.",
                                  .planned = true};
constexpr Field kSpecField{
    .path = "spec", .type = Type::object, .meaning = "What is wanted.", .required = true};

constexpr auto kModel = std::to_array<Field>({
    kApiVersionField,
    kKindField,
    kMetadataField,
    {.path = "metadata.name",
     .type = Type::dotted,
     .meaning = "Name of the Model, and of the Route that it gets unless a Route has that name.",
     .required = true},
    kLabelsField,
    kAnnotationsField,
    kSpecField,
    {.path = "spec.source",
     .type = Type::source,
     .meaning = "Where the weights come from: file:///PATH, hf://OWNER/REPO/FILE.gguf, https://… (with "
                "sha256) or ollama://NAME."},
    {.path = "spec.sha256",
     .type = Type::digest,
     .meaning = "Digest that the fetched file must have; demanded for https://."},
    {.path = "spec.engine",
     .type = Type::one_of,
     .fallback = "from the source",
     .meaning = "The program that runs the model: .gguf means llamacpp, ollama:// means ollama."},
    {.path = "spec.engine.llamacpp",
     .type = Type::object,
     .meaning = "llama-server of llama.cpp, one process per replica."},
    {.path = "spec.engine.simulated",
     .type = Type::object,
     .meaning = "An engine without weights whose every answer can be computed beforehand: for trying out and "
                "for tests."},
    {.path = "spec.engine.simulated.load",
     .type = Type::duration,
     .fallback = "2s",
     .meaning = "Time from start to ready.",
     .min = 0,
     .max = kDay},
    {.path = "spec.engine.simulated.prefill",
     .type = Type::number,
     .fallback = "2000",
     .unit = "tokens/s",
     .meaning = "Speed of reading the prompt.",
     .min = 0.001,
     .max = 1e9},
    {.path = "spec.engine.simulated.decode",
     .type = Type::number,
     .fallback = "40",
     .unit = "tokens/s",
     .meaning = "Speed of writing the answer, per sequence.",
     .min = 0.001,
     .max = 1e9},
    {.path = "spec.engine.simulated.context",
     .type = Type::integer,
     .fallback = "8192",
     .unit = "tokens",
     .meaning = "Longest prompt and answer together.",
     .min = 1,
     .max = 1e8},
    {.path = "spec.engine.simulated.fail",
     .type = Type::object_list,
     .fallback = "none",
     .meaning = "Scripted faults, for tests."},
    {.path = "spec.engine.simulated.fail[].request",
     .type = Type::integer,
     .meaning = "Which request of a replica's process fails, from 1; with at: load which start of the model, "
                "0 = every start.",
     .required = true,
     .min = 0,
     .max = 1e12},
    {.path = "spec.engine.simulated.fail[].at",
     .type = Type::fault_time,
     .fallback = "firstByte",
     .meaning = "When: load, firstByte, event:N (after N content events) or end.",
     .reason = "a failure before the first byte is the case that must be invisible to clients"},
    {.path = "spec.engine.simulated.fail[].do",
     .type = Type::fault_act,
     .fallback = "exit",
     .meaning = "What: exit, stall or error:STATUS.",
     .reason = "an engine that dies is the commonest failure"},
    {.path = "spec.engine.ollama",
     .type = Type::object,
     .meaning = "Ollama, one `ollama serve` per replica or a running one."},
    {.path = "spec.engine.ollama.url",
     .type = Type::url,
     .fallback = "none",
     .meaning =
         "A running Ollama to use in place of processes of our own, for example http://127.0.0.1:11434."},
    {.path = "spec.engine.external",
     .type = Type::object,
     .meaning = "An OpenAI-compatible server that somebody else runs."},
    {.path = "spec.engine.external.url",
     .type = Type::url,
     .meaning = "Its base URL, for example http://host:8000/v1.",
     .required = true},
    row("spec.engine.vllm", Type::object, "vLLM, in clusters.").unserved(),
    {.path = "spec.replicas", .type = Type::object, .meaning = "Bounds of the number of replicas."},
    {.path = "spec.replicas.min",
     .type = Type::integer,
     .fallback = "0",
     .unit = "replicas",
     .meaning = "Never fewer than this many.",
     .min = 0,
     .max = 1000},
    {.path = "spec.replicas.max",
     .type = Type::integer,
     .fallback = "1",
     .unit = "replicas",
     .meaning = "Never more than this many.",
     .min = 1,
     .max = 1000},
    {.path = "spec.context",
     .type = Type::integer,
     .fallback = "4096",
     .unit = "tokens per slot",
     .meaning = "Longest prompt and answer together of one request.",
     .min = 16,
     .max = 1e8},
    {.path = "spec.slots",
     .type = Type::integer,
     .fallback = "4",
     .unit = "requests",
     .meaning = "Requests that one replica works on at the same time.",
     .min = 1,
     .max = 1024},
    {.path = "spec.command",
     .type = Type::text_list,
     .fallback = "the engine's program on PATH",
     .meaning = "Program and first arguments to run in place of the engine's program."},
    {.path = "spec.args",
     .type = Type::text_list,
     .fallback = "none",
     .meaning = "More arguments for the engine, after ours."},
    {.path = "spec.memory",
     .type = Type::bytes,
     .fallback = "from the file",
     .unit = "bytes",
     .meaning = "Memory that one replica needs, in place of the estimate from the file.",
     .min = 1,
     .max = 1024 * kTi},
    {.path = "spec.targets",
     .type = Type::object,
     .meaning = "How fast answers should be; the number of replicas follows."},
    {.path = "spec.targets.firstToken",
     .type = Type::duration,
     .fallback = "2s",
     .meaning = "Time from request to first token.",
     .min = kMs,
     .max = kDay},
    {.path = "spec.targets.betweenTokens",
     .type = Type::any,
     .meaning = "Time from token to token.",
     .planned = true},
    {.path = "spec.targets.percentile",
     .type = Type::any,
     .meaning = "Share of requests that must meet the targets.",
     .planned = true},
    {.path = "spec.idle",
     .type = Type::duration,
     .fallback = "auto",
     .meaning = "How long a replica without work is kept; auto weighs the cold start against the time it "
                "stands idle.",
     .min = 0,
     .max = 365 * kDay,
     .words = "auto"},
    {.path = "spec.hold", .type = Type::object, .meaning = "Requests that wait while no replica is free."},
    {.path = "spec.hold.requests",
     .type = Type::integer,
     .fallback = "200",
     .unit = "requests",
     .meaning = "At most this many wait; more are refused with 429.",
     .min = 0,
     .max = 1e6},
    {.path = "spec.hold.bytes",
     .type = Type::bytes,
     .fallback = "64Mi",
     .unit = "bytes",
     .meaning = "At most these body bytes wait.",
     .min = 0,
     .max = kTi},
    {.path = "spec.hold.deadline",
     .type = Type::duration,
     .fallback = "2m",
     .meaning = "After this a waiting request is refused with 503 and Retry-After.",
     .min = kMs,
     .max = kDay},
    {.path = "spec.hold.keepAliveAfter",
     .type = Type::duration,
     .fallback = "15s",
     .meaning =
         "After this a waiting streaming client gets a comment, and again each time; never switches it off.",
     .min = 100 * kMs,
     .max = kDay,
     .words = "never"},
    row("spec.resources", Type::object, "Processor, memory and devices of one replica's pod."),
    row("spec.resources.requests", Type::resources, "What is kept for the pod.")
        .else_("memory and processors from the file, GPUs as the pool has"),
    row("spec.resources.limits", Type::resources, "What the pod may not exceed.")
        .else_("the memory requested"),
    row("spec.cache", Type::object, "Volume that keeps the weights between replicas and restarts.")
        .as("size"),
    row("spec.cache.size", Type::quantity, "Size of the volume.")
        .else_("the size of the weights and a fifth more")
        .in("bytes")
        .from(kMi, 100 * kTi),
    row("spec.cache.class", Type::label, "Storage class of the volume.")
        .else_("components.serving.cache, else the default class"),
    row("spec.pool", Type::label, "Node pool that runs the replicas.")
        .else_("the pool with the devices that the engine needs"),
});

constexpr auto kProvider = std::to_array<Field>({
    kApiVersionField,
    kKindField,
    kMetadataField,
    {.path = "metadata.name",
     .type = Type::label,
     .meaning = "Name of the Provider; Routes refer to it.",
     .required = true},
    kLabelsField,
    kAnnotationsField,
    kSpecField,
    {.path = "spec.dialect",
     .type = Type::choice,
     .fallback = "openai",
     .meaning = "The form of its API.",
     .reason = "the form that nearly every server speaks",
     .words = "openai",
     .later = "anthropic|gemini|ollama|azure|bedrock|vertex"},
    {.path = "spec.url",
     .type = Type::url,
     .meaning = "Base URL; the path after /v1 of a request is put behind it.",
     .required = true},
    {.path = "spec.credentials",
     .type = Type::secret,
     .fallback = "none",
     .meaning = "Where the key stands; it is sent as Authorization: Bearer."},
    {.path = "spec.credentials.env",
     .type = Type::variable,
     .meaning = "Name of the environment variable that holds the key."},
    {.path = "spec.credentials.file", .type = Type::text, .meaning = "File that holds the key."},
    row("spec.credentials.secretRef", Type::object, "Kubernetes Secret that holds the key.")
        .as("name")
        .unserved(),
    row("spec.credentials.secretRef.name", Type::dotted, "Name of the Secret.").must(),
    row("spec.credentials.secretRef.key", Type::text, "Entry of the Secret.").of("apiKey"),
    row("spec.credentials.vault", Type::text, "Path in the Platform's secret store that holds the key.")
        .unserved(),
    {.path = "spec.models",
     .type = Type::names,
     .meaning =
         "The provider's names of the models to offer; each gets a Route of its name unless a Route has it.",
     .required = true},
    {.path = "spec.prices", .type = Type::any, .meaning = "Prices per token.", .planned = true},
});

constexpr auto kRoute = std::to_array<Field>({
    kApiVersionField,
    kKindField,
    kMetadataField,
    {.path = "metadata.name",
     .type = Type::model_name,
     .meaning = "The model name that clients write.",
     .required = true},
    kLabelsField,
    kAnnotationsField,
    kSpecField,
    {.path = "spec.to",
     .type = Type::object_list,
     .meaning = "Where requests go, by weight.",
     .required = true},
    {.path = "spec.to[].model",
     .type = Type::model_name,
     .meaning = "A Model's name, or with provider a model name of that Provider.",
     .required = true},
    {.path = "spec.to[].provider",
     .type = Type::label,
     .fallback = "none: a Model",
     .meaning = "The Provider that has the model."},
    {.path = "spec.to[].weight",
     .type = Type::integer,
     .fallback = "1",
     .meaning = "Share of the requests, relative to the other entries; 0 gets none.",
     .reason = "equal shares",
     .min = 0,
     .max = 1e6},
    {.path = "spec.fallback",
     .type = Type::object_list,
     .fallback = "none",
     .meaning = "Tried in order when the first choice fails."},
    {.path = "spec.fallback[].model", .type = Type::model_name, .meaning = "As in to.", .required = true},
    {.path = "spec.fallback[].provider",
     .type = Type::label,
     .fallback = "none: a Model",
     .meaning = "As in to."},
    {.path = "spec.fallback[].when", .type = Type::object, .meaning = "What makes a request fall back."},
    {.path = "spec.fallback[].when.errors",
     .type = Type::boolean,
     .fallback = "true",
     .meaning = "Connection failures, 429 and 5xx.",
     .reason = "it is the only reason that this version knows"},
    row("spec.fallback[].when.heldFor", Type::duration, "A request that was held this long.")
        .else_("never")
        .from(kMs, kDay)
        .unserved(),
    row("spec.fallback[].when.contextExceeded", Type::boolean,
        "A prompt that is too long for the first choice.")
        .of("false")
        .unserved(),
    row("spec.balance", Type::choice, "How a replica is chosen.")
        .of("leastBusy")
        .why("it needs no knowledge of the prompts and never queues behind a busy replica while another is "
             "free")
        .words("leastBusy|prefixHash|weighted|session")
        .unserved(),
    {.path = "spec.retry", .type = Type::object, .meaning = "Sending a request again."},
    {.path = "spec.retry.attempts",
     .type = Type::integer,
     .fallback = "2",
     .unit = "tries",
     .meaning = "Tries in all, fallbacks included.",
     .min = 1,
     .max = 10},
    {.path = "spec.retry.budget",
     .type = Type::percent,
     .fallback = "20%",
     .meaning = "Retries per requests of the last 10 s; above it failures pass.",
     .min = 0,
     .max = 1},
    {.path = "spec.timeouts",
     .type = Type::object,
     .meaning = "Bounds of waiting; each is named in the error it causes."},
    {.path = "spec.timeouts.connect",
     .type = Type::duration,
     .fallback = "2s",
     .meaning = "TCP connection to the upstream.",
     .min = kMs,
     .max = kDay},
    {.path = "spec.timeouts.tls",
     .type = Type::duration,
     .fallback = "5s",
     .meaning = "TLS handshake with the upstream.",
     .min = kMs,
     .max = kDay},
    {.path = "spec.timeouts.requestBody",
     .type = Type::duration,
     .meaning = "Between two reads of the client's body. The Route is known only behind the body, so 30s "
                "hold for all.",
     .planned = true},
    {.path = "spec.timeouts.firstByte",
     .type = Type::duration,
     .fallback = "2m",
     .meaning = "From dispatch to the first answer byte, streams only.",
     .min = kMs,
     .max = kDay},
    {.path = "spec.timeouts.betweenEvents",
     .type = Type::duration,
     .fallback = "60s",
     .meaning = "Between two reads of a stream.",
     .min = kMs,
     .max = kDay},
    {.path = "spec.timeouts.total",
     .type = Type::duration,
     .fallback = "10m",
     .meaning = "From dispatch to the end; waiting while held is not counted.",
     .min = kMs,
     .max = kDay},
    {.path = "spec.timeouts.clientStalled",
     .type = Type::duration,
     .fallback = "30s",
     .meaning = "A client that takes nothing for this long is dropped.",
     .min = kMs,
     .max = kDay},
});

constexpr auto kTenant = std::to_array<Field>({
    kApiVersionField,
    kKindField,
    kMetadataField,
    {.path = "metadata.name",
     .type = Type::label,
     .meaning = "Name of the Tenant; keys belong to one. `default` always exists and may use every Route.",
     .required = true},
    kLabelsField,
    kAnnotationsField,
    kSpecField,
    {.path = "spec.routes",
     .type = Type::names,
     .fallback = "every Route",
     .meaning = "The Routes that its keys may use.",
     .reason = "a Tenant without the field is for limits only"},
    {.path = "spec.limits", .type = Type::object, .meaning = "Limits of each key of the Tenant."},
    {.path = "spec.limits.requestsPerMinute",
     .type = Type::integer,
     .fallback = "none",
     .unit = "requests",
     .meaning = "Requests per minute, with a burst of as many.",
     .reason = "a limit that nobody asked for is a surprise",
     .min = 1,
     .max = 1e9},
    {.path = "spec.limits.tokensPerMinute",
     .type = Type::integer,
     .fallback = "none",
     .unit = "tokens",
     .meaning = "Prompt and answer tokens per minute.",
     .reason = "a limit that nobody asked for is a surprise",
     .min = 1,
     .max = 1e12},
    {.path = "spec.limits.concurrent",
     .type = Type::integer,
     .fallback = "none",
     .unit = "requests",
     .meaning = "Requests at the same time, held ones included.",
     .reason = "a limit that nobody asked for is a surprise",
     .min = 1,
     .max = 1e6},
    {.path = "spec.limits.maxOutputTokens", .type = Type::any, .meaning = "Longest answer.", .planned = true},
    row("spec.tier", Type::label, "Class of the Tenant when requests compete.")
        .of("standard")
        .why("one class for all until someone pays for another")
        .unserved(),
    row("spec.weight", Type::integer, "Share of the Tenant within its tier when requests compete.")
        .of("1")
        .why("equal shares")
        .from(1, 1000)
        .unserved(),
    {.path = "spec.budget",
     .type = Type::any,
     .meaning = "Money per period and what happens when it is spent.",
     .planned = true},
    row("spec.quota", Type::object, "What all pods of the Tenant's namespace may take together."),
    row("spec.quota.requests", Type::resources, "Sum of the requests.").else_("no bound"),
    row("spec.quota.limits", Type::resources, "Sum of the limits.").else_("no bound"),
    row("spec.quota.pods", Type::integer, "Number of pods.").else_("no bound").in("pods").from(1, 100000),
    row("spec.quota.volumes", Type::integer, "Number of volume claims.")
        .else_("no bound")
        .in("claims")
        .from(1, 100000),
    row("spec.quota.storage", Type::quantity, "Sum of the volume claims.")
        .else_("no bound")
        .in("bytes")
        .from(kMi, 1024 * kPi),
    row("spec.defaults", Type::object, "For containers of the namespace that say nothing themselves."),
    row("spec.defaults.requests", Type::resources, "Requests of such a container.")
        .else_("a hundredth of the quota"),
    row("spec.defaults.limits", Type::resources, "Limits of such a container.").else_("twice the requests"),
    row("spec.roles", Type::map, "Who may do what in the namespace."),
    row("spec.roles.*", Type::object, "A role, by its name."),
    row("spec.roles.*.groups", Type::text_list, "Groups of the login that have the role.").else_("none"),
    row("spec.roles.*.users", Type::text_list, "Users that have the role.").else_("none"),
    row("spec.roles.*.can", Type::text_list, "What the role may do.")
        .must()
        .item(Type::choice)
        .words("view|logs|run-workloads|use-volumes|expose|read-secrets|manage"),
    row("spec.priority", Type::object, "Priority class of the Tenant's pods.").as("value"),
    row("spec.priority.name", Type::dotted, "Name of the class.").else_("the Tenant's name"),
    row("spec.priority.value", Type::integer, "Higher goes first and may evict lower.")
        .of("0")
        .why("what pods without a class have")
        .from(-2e9, 1e9),
    row("spec.priority.description", Type::text, "What the class is for.").else_("names the Tenant"),
    row("spec.isolation", Type::choice,
        "How the Tenant is kept apart: a namespace that others cannot reach, or none.")
        .of("namespace")
        .why("tenants do not know each other")
        .words("namespace|none"),
    row("spec.podSecurity", Type::choice, "Level that pods of the namespace must meet.")
        .of("restricted")
        .why("inference and training need no rights over the node")
        .words("restricted|baseline|privileged"),
    row("spec.secrets", Type::text_list, "Paths in the Platform's secret store to bring into the namespace.")
        .else_("none"),
});

constexpr auto kPlatformHead = std::to_array<Field>({
    kApiVersionField,
    kKindField,
    kMetadataField,
    {.path = "metadata.name", .type = Type::label, .meaning = "Name of the Platform.", .required = true},
    kLabelsField,
    kAnnotationsField,
    {.path = "spec",
     .type = Type::object,
     .meaning = "What is wanted; serving does not look into it.",
     .required = true,
     .platform = true},
});

constexpr auto kTrainingRunHead = std::to_array<Field>({
    kApiVersionField,
    kKindField,
    kMetadataField,
    {.path = "metadata.name", .type = Type::label, .meaning = "Name of the run.", .required = true},
    kLabelsField,
    kAnnotationsField,
    {.path = "spec",
     .type = Type::object,
     .meaning = "What is wanted; serving does not look into it.",
     .required = true,
     .platform = true},
});

// Rows that stand in this file, and what they decide.
struct Decision {
  std::string_view path, rows;
};
constexpr auto kModelDecides = std::to_array<Decision>({
    {"spec.source", "S2-06 S3-84"},
    {"spec.replicas.min", "S3-87"},
    {"spec.replicas.max", "S3-88"},
    {"spec.slots", "S3-89 F-107"},
    {"spec.cache", "F-107"},
    {"spec.pool", "S2-29 F-94"},
});
constexpr auto kProviderDecides = std::to_array<Decision>({
    {"spec.dialect", "S3-17"},
    {"spec.credentials", "S3-83 F-104"},
});
constexpr auto kRouteDecides = std::to_array<Decision>({
    {"spec.to", "S3-02 S3-82 S3-83"},
    {"spec.fallback", "S3-02"},
});
constexpr auto kTenantDecides = std::to_array<Decision>({
    {"spec.quota", "S4-40"},
    {"spec.quota.requests", "S4-41 S4-42 S4-43"},
    {"spec.quota.limits", "S4-44 S4-45 S4-46 F-13"},
    {"spec.defaults", "F-14"},
    {"spec.roles", "S4-72 F-33"},
    {"spec.priority", "S4-66"},
    {"spec.isolation", "S2-33 S2-34 S4-69 F-21"},
    {"spec.podSecurity", "S4-73 F-03"},
    {"spec.secrets", "S2-35"},
});

std::vector<std::span<const Row>> platform_rows() {
  return {platform_general_rows(),  platform_infrastructure_rows(), platform_cluster_rows(),
          platform_workload_rows(), platform_component_rows(),      platform_observability_rows(),
          platform_upkeep_rows()};
}

std::vector<Field> joined(std::span<const Field> head, const std::vector<std::span<const Row>>& parts) {
  std::vector<Field> out(head.begin(), head.end());
  for (const auto part : parts) {
    for (const Row& r : part) out.push_back(r.f);
  }
  return out;
}

using Decisions = std::unordered_map<std::string_view, std::string_view>;  // path → rows

Decisions decisions_of(DocumentKind kind) {
  Decisions out;
  const auto own = [&out](std::span<const Decision> all) {
    for (const Decision& d : all) out.emplace(d.path, d.rows);
  };
  const auto rows_of = [&out](std::span<const Row> all) {
    for (const Row& r : all) {
      if (!r.decides.empty()) out.emplace(r.f.path, r.decides);
    }
  };
  switch (kind) {
    case DocumentKind::model:
      own(kModelDecides);
      break;
    case DocumentKind::provider:
      own(kProviderDecides);
      break;
    case DocumentKind::route:
      own(kRouteDecides);
      break;
    case DocumentKind::tenant:
      own(kTenantDecides);
      break;
    case DocumentKind::platform:
      for (const auto part : platform_rows()) rows_of(part);
      break;
    case DocumentKind::training_run:
      rows_of(training_run_rows());
      break;
  }
  return out;
}

}  // namespace

std::span<const Field> fields(DocumentKind kind) {
  switch (kind) {
    case DocumentKind::model:
      return kModel;
    case DocumentKind::provider:
      return kProvider;
    case DocumentKind::route:
      return kRoute;
    case DocumentKind::tenant:
      return kTenant;
    case DocumentKind::platform: {
      static const std::vector<Field> all = joined(kPlatformHead, platform_rows());
      return all;
    }
    case DocumentKind::training_run: {
      static const std::vector<Field> all = joined(kTrainingRunHead, {training_run_rows()});
      return all;
    }
  }
  return {};
}

std::string_view own_meets(DocumentKind kind, const Field& field) {
  // Built at the first use and never changed.
  static const std::map<DocumentKind, Decisions> all = [] {
    std::map<DocumentKind, Decisions> made;
    for (const DocumentKind k : decoded_kinds()) made.emplace(k, decisions_of(k));
    return made;
  }();
  const Decisions& decisions = all.at(kind);
  const auto it = decisions.find(field.path);
  return it == decisions.end() ? std::string_view{} : it->second;
}

std::string_view meets(DocumentKind kind, const Field& field) {
  std::string_view path = field.path;
  for (const Field* f = &field; f != nullptr; f = find_field(kind, path)) {
    if (const std::string_view own = own_meets(kind, *f); !own.empty()) return own;
    const std::size_t dot = path.rfind('.');
    if (dot == std::string_view::npos) break;
    path = path.substr(0, dot);
    if (path.ends_with("[]")) path.remove_suffix(2);
  }
  return {};
}

}  // namespace tg::spec
