// Documents of platforms: values of each type, shorthands, merging, what was read, the schema.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.hpp"
#include "spec/decode.hpp"
#include "spec/load.hpp"
#include "spec/reader.hpp"
#include "spec/reference.hpp"
#include "spec/usage.hpp"

namespace tg::spec {
namespace {

const std::string kRoot = TIDEGATE_SOURCE_DIR;

std::string platform(std::string_view spec, std::string_view name = "p") {
  return fmt::format(
      "apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {{name: {}}}\nspec:\n"
      "  infrastructure: {{existing: here}}\n{}",
      name, spec);
}

DecodeResult read(std::string_view spec) { return decode({{"p.yaml", platform(spec)}}, Purpose::platform); }

std::vector<std::string> codes(const DecodeResult& result) {
  std::vector<std::string> out;
  for (const Finding& f : result.findings)
    out.push_back(fmt::format("{}:{} {} {}", f.at.line, f.at.column, f.code, f.path));
  return out;
}

std::vector<std::string> examples() {
  std::vector<Finding> none;
  std::vector<std::string> out;
  for (const std::string& file : list_files({kRoot + "/examples"}, none)) {
    const auto content = read_file(file);
    if (content && content->find("kind: Platform") != std::string::npos) out.push_back(file);
  }
  return out;
}

// ---- values: what is good is read, what is bad is told with its place and a hint

struct Case {
  std::string_view spec;      // its lines begin at line 6
  std::string_view expected;  // the finding, empty = good
};

class Value_ : public testing::TestWithParam<Case> {};

TEST_P(Value_, IsJudged) {
  const auto result = read(GetParam().spec);
  if (GetParam().expected.empty()) {
    EXPECT_TRUE(result.findings.empty()) << result.text();
    return;
  }
  ASSERT_EQ(codes(result), std::vector<std::string>{std::string(GetParam().expected)}) << result.text();
  EXPECT_FALSE(result.findings[0].hint.empty());
}

constexpr Case kCases[] = {
    {"  domain: a.example.com", ""},
    {"  domain: A.example.com", "6:11 bad_value spec.domain"},
    {"  domain: https://example.com/", "6:11 bad_value spec.domain"},
    {"  tags: {project: x, example.com/owner: y}", ""},
    {"  tags: {project: true}", "6:19 wrong_type spec.tags.project"},
    {"  tags: {pro ject: x}", "6:10 bad_key spec.tags.pro ject"},
    {"  tags: [a]", "6:9 wrong_type spec.tags"},
    {"  contacts: {email: a@b.example}", ""},
    {"  contacts: {email: ab.example}", "6:21 bad_value spec.contacts.email"},
    {"  cluster: {version: \"1.35\"}", ""},
    {"  cluster: {version: 1.35}", "6:22 wrong_type spec.cluster.version"},
    {"  cluster: {version: v1.35.2}", "6:22 bad_value spec.cluster.version"},
    {"  cluster: {endpoint: lb.example.com:6443}", ""},
    {"  cluster: {endpoint: lb.example.com}", "6:23 bad_value spec.cluster.endpoint"},
    {"  cluster: {endpoint: \"lb.example.com:66000\"}", "6:23 out_of_range spec.cluster.endpoint"},
    {"  cluster: {networks: {pods: 10.1.0.0/16}}", ""},
    {"  cluster: {networks: {pods: 10.1.0.1/16}}", "6:30 bad_value spec.cluster.networks.pods"},
    {"  cluster: {networks: {pods: 10.1.0.0/33}}", "6:30 out_of_range spec.cluster.networks.pods"},
    {"  cluster: {networks: {pods: 10.1.0.0}}", "6:30 bad_value spec.cluster.networks.pods"},
    {"  cluster: {networks: {pods: \"fd00::/64\"}}", ""},
    {"  cluster: {etcd: {defragment: weekly}}", ""},
    {"  cluster: {etcd: {defragment: \"0 3 * * SUN\"}}", ""},
    {"  cluster: {etcd: {defragment: sometimes}}", "6:32 bad_value spec.cluster.etcd.defragment"},
    {"  cluster: {etcd: {snapshots: \"30 */6 * * *\"}}", ""},
    {"  cluster: {etcd: {snapshots: \"60 * * * *\"}}", "6:31 bad_value spec.cluster.etcd.snapshots.schedule"},
    {"  cluster: {reserve: {eviction: {memory.available: 1Gi, nodefs.available: 10%}}}", ""},
    {"  cluster: {reserve: {system: {memory: 10%}}}", "6:40 wrong_unit spec.cluster.reserve.system.memory"},
    {"  cluster: {reserve: {system: {memory: 512m}}}",
     "6:40 out_of_range spec.cluster.reserve.system.memory"},
    {"  cluster: {reserve: {system: {cpu: 100m, nvidia.com/gpu: 2}}}", ""},
    {"  cluster: {reserve: {system: {cpu: 5000}}}", "6:37 out_of_range spec.cluster.reserve.system.cpu"},
    {"  pools: {a: {count: 2}}", ""},
    {"  pools: {a: {count: {min: 0, max: 2}}}", ""},
    {"  pools: {a: {count: {min: 3, max: 2}}}", "6:28 out_of_range spec.pools.a.count.min"},
    {"  pools: {a: {count: {min: 3}}}", "6:22 missing_field spec.pools.a.count"},
    {"  pools: {a: {count: two}}", "6:22 wrong_type spec.pools.a.count"},
    {"  pools: {A: {count: 2}}", "6:11 bad_key spec.pools.A"},
    {"  pools: {a: {cuont: 2}}", "6:15 unknown_field spec.pools.a.cuont"},
    {"  pools: {a: {taints: [\"a=b:NoSchedule\", \"c:NoExecute\"]}}", ""},
    {"  pools: {a: {taints: [\"a=b:NoShedule\"]}}", "6:24 unknown_choice spec.pools.a.taints[0]"},
    {"  pools: {a: {labels: {x: \"true\"}}}", ""},
    {"  pools: {a: {disk: 100Gi}}", ""},
    {"  pools: {a: {disk: 100}}", "6:21 out_of_range spec.pools.a.disk.size"},
    {"  pools: {a: {disk: 100GB}}", "6:21 wrong_unit spec.pools.a.disk.size"},
    {"  storage: {classes: {fast: block}}", ""},
    {"  storage: {classes: {fast: {iops: 3000}}}", "6:29 missing_field spec.storage.classes.fast.kind"},
    {"  storage: {classes: {fast: quick}}", "6:29 unknown_choice spec.storage.classes.fast.kind"},
    {"  apps: {a: {image: r.example.com/a:1.0, rateLimit: 50/s, paths: {/x: {rateLimit: {rate: 10/m, per: "
     "gateway}}}}}",
     ""},
    {"  apps: {a: {image: \"r.example.com:5000/a\"}}", "6:21 bad_value spec.apps.a.image"},
    {"  apps: {a: {image: \"r.example.com/a:latest\"}}", "6:21 bad_value spec.apps.a.image"},
    {"  apps: {a: {image: \"a:1\", rateLimit: 50}}", "6:39 wrong_type spec.apps.a.rateLimit.rate"},
    {"  apps: {a: {image: \"a:1\", rateLimit: 50/d}}", "6:39 wrong_unit spec.apps.a.rateLimit.rate"},
    {"  apps: {a: {image: \"a:1\", paths: {x: {}}}}", "6:36 bad_key spec.apps.a.paths.x"},
    {"  apps: {a: {image: \"a:1\", scale: {cron: [{from: \"0 8 * * *\", to: \"0 9 * * *\", timeZone: "
     "Brussels, replicas: 2}]}}}",
     "6:90 bad_value spec.apps.a.scale.cron[0].timeZone"},
    {"  components: {logs: none, gateway: traefik}", ""},
    {"  components: {logs: lokki}", "6:22 unknown_choice spec.components.logs.use"},
    {"  components: {placement: controlPlane}", ""},
    {"  components: {certificates: {issuer: selfSigned}}", ""},
    {"  components: {certificates: {issuer: {ca: {secretRef: a}}}}", ""},
    {"  components: {certificates: {challenges: [http02]}}",
     "6:44 unknown_choice spec.components.certificates.challenges[0]"},
    {"  components: {alerts: {receivers: {a: {webhook: {url: {secretRef: {name: a, key: b}}}}}}}", ""},
    {"  components: {alerts: {receivers: {a: {webhook: {url: abcdef}}}}}",
     "6:56 secret_in_document spec.components.alerts.receivers.a.webhook.url"},
    {"  components: {alerts: {receivers: {a: {webhook: {url: {secret: a}}}}}}",
     "6:57 unknown_field spec.components.alerts.receivers.a.webhook.url.secret"},
    {"  components: {alerts: {receivers: {a: {webhook: {url: {env: a-b}}}}}}",
     "6:62 bad_value spec.components.alerts.receivers.a.webhook.url.env"},
    {"  components: {alerts: {receivers: {a: {webhook: {url: {file: a, env: B}}}}}}",
     "6:66 one_of spec.components.alerts.receivers.a.webhook.url"},
    {"  components: {alerts: {rules: {HighUse: {gpu: 90%, for: 10m}}}}", ""},
    {"  delivery: {scan: {images: trivy}}", ""},
    {"  delivery: {scan: {infrastructure: [trivy, tfsec]}}",
     "6:45 unknown_choice spec.delivery.scan.infrastructure[1]"},
    {"  delivery: {environments: {staging: {cluster: {name: s}}, production: {after: staging}}}", ""},
    {"  delivery: {environments: {staging: {cluster: {nam: s}}}}",
     "6:49 unknown_field spec.delivery.environments.staging.cluster.nam"},
    {"  delivery: {environments: {staging: {delivery: {environments: {x: {}}}}}}",
     "6:65 unknown_field spec.delivery.environments.staging.delivery.environments.x"},
    {"  access: {forward: {chat: 8080}}", ""},
    {"  access: {forward: {chat: 80800}}", "6:28 out_of_range spec.access.forward.chat"},
    {"  access: {vpn: {peer: 1.2.3, networks: 10.0.0.0/8, preSharedKey: {env: K}}}",
     "6:24 bad_value spec.access.vpn.peer"},
    {"  upkeep: {window: \"Sun 03:00-05:00\"}", ""},
    {"  upkeep: {window: {at: \"Sat,Sun 23:00-02:00\", timeZone: Europe/Brussels}}", ""},
    {"  upkeep: {window: \"Son 03:00-05:00\"}", "6:20 bad_value spec.upkeep.window.at"},
    {"  upkeep: {window: \"Sun 03:00\"}", "6:20 bad_value spec.upkeep.window.at"},
    {"  upkeep: {window: \"Sun 03:00-03:00\"}", "6:20 out_of_range spec.upkeep.window.at"},
};

INSTANTIATE_TEST_SUITE_P(Cases, Value_, testing::ValuesIn(kCases));

TEST(Platform, GivenIsTextOrAVariable) {
  const auto rancher = [](std::string_view hostname) {
    return decode(
        {{"p.yaml", fmt::format("apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {{name: p}}\n"
                                "spec: {{infrastructure: {{clusterApi: {{management: {{rancher: {{hostname: "
                                "{}}}}}}}}}}}\n",
                                hostname)}},
        Purpose::platform);
  };
  const auto good = rancher("{env: HOST}");
  ASSERT_TRUE(good.ok()) << good.text();
  const Reader r(good.documents, good.documents.all.front());
  EXPECT_EQ(r.given("spec.infrastructure.clusterApi.management.rancher.hostname").env, "HOST");
  EXPECT_EQ(r.chosen("spec.infrastructure"), "clusterApi");
  EXPECT_TRUE(rancher("rancher.example.com").ok());
  EXPECT_FALSE(rancher("Rancher_1").ok());
  EXPECT_FALSE(rancher("{file: x}").ok());
}

TEST(Platform, AnotherCloudHasTheSameFields) {
  const std::string text =
      "apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {name: p}\nspec: {infrastructure: "
      "{google: {project: "
      "p1, region: europe-west1, network: {cidr: 10.4.0.0/16}}}}\n";
  const auto result = decode({{"p.yaml", text}}, Purpose::platform);
  ASSERT_TRUE(result.ok()) << result.text();
  const Reader r(result.documents, result.documents.all.front());
  EXPECT_EQ(r.text("spec.infrastructure.google.network.cidr"), "10.4.0.0/16");
  EXPECT_EQ(r.text("spec.infrastructure.google.network.egress"), "nat");
  const Reader network = r.sub("spec.infrastructure.google").sub("network");
  EXPECT_EQ(network.where("egress"), "spec.infrastructure.google.network.egress");
  EXPECT_EQ(network.text("egress"), "nat");
}

// ---- shorthands and readers

TEST(Platform, ShorthandsAreWrittenOut) {
  const auto result = read(
      "  components: {logs: elasticsearch, certificates: {issuer: selfSigned}}\n"
      "  pools: {a: {count: 3, disk: 50Gi}, b: {count: {min: 1, max: 2}, reserve: {system: {cpu: 1}}}}\n"
      "  delivery: {scan: {images: trivy}}\n"
      "  access: {forward: {chat: 8080, api: 4000}}\n"
      "  backup: {store: {s3: {endpoint: 'https://s', bucket: b, credentials: {secretRef: keys}}}}\n");
  ASSERT_TRUE(result.ok()) << result.text();
  const Reader r(result.documents, result.documents.all.front());
  EXPECT_EQ(r.text("spec.components.logs.use"), "elasticsearch");
  EXPECT_EQ(r.seconds("spec.components.logs.retention"), 31 * 86400);
  EXPECT_EQ(r.chosen("spec.components.certificates.issuer"), "selfSigned");
  EXPECT_EQ(r.list("spec.components.certificates.challenges"), std::vector<std::string>{"http01"});
  EXPECT_EQ(r.list("spec.delivery.scan.images"), std::vector<std::string>{"trivy"});
  EXPECT_EQ(r.list("spec.delivery.scan.infrastructure"), (std::vector<std::string>{"trivy", "checkov"}));
  const auto pools = r.named("spec.pools");
  ASSERT_EQ(pools.size(), 2U);
  EXPECT_EQ(pools[0].first, "a");
  EXPECT_EQ(pools[0].second.integer("count.min"), 3);
  EXPECT_EQ(pools[0].second.integer("count.max"), 3);
  EXPECT_EQ(pools[0].second.text("disk.size"), "50Gi");
  EXPECT_EQ(pools[0].second.number("disk.size"), 50.0 * (1U << 30));
  EXPECT_EQ(pools[1].second.quantities("reserve.system").at("cpu"), "1");
  EXPECT_EQ(pools[1].second.integer("count.max"), 2);
  EXPECT_EQ(pools[1].second.at("count.max").str(), "p.yaml:7:63");
  EXPECT_EQ(pools[1].second.where("count.max"), "spec.pools.b.count.max");
  EXPECT_EQ(r.texts_map("spec.access.forward").at("api"), "4000");
  const auto secret = r.secret("spec.backup.store.s3.credentials");
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->name, "keys");
  EXPECT_EQ(secret->how, SecretRef::How::secret_ref);
  EXPECT_FALSE(r.secret("spec.backup.store.s3.ca"));
  EXPECT_TRUE(r.flag("spec.backup.store.s3.pathStyle"));
  EXPECT_EQ(r.text("spec.cluster.version"), "");  // a description is no value
  EXPECT_FALSE(r.has("spec.cluster"));
}

TEST(Platform, TrainingRunsHaveDefaults) {
  const auto result = decode({{"t.yaml",
                               "apiVersion: tidegate.dev/v1alpha1\nkind: TrainingRun\nmetadata: {name: t}\n"
                               "spec: {image: {repository: r.example.com/t, tag: 1.4.2}}\n"}},
                             Purpose::platform);
  ASSERT_TRUE(result.ok()) << result.text();
  EXPECT_EQ(result.documents.training_runs, std::vector<std::string>{"t"});
  const Reader r(result.documents, result.documents.all.front());
  EXPECT_EQ(r.quantities("spec.resources.requests").at("nvidia.com/gpu"), "1");
  EXPECT_EQ(r.quantities("spec.resources.limits").at("memory"), "64Gi");
  EXPECT_EQ(r.integer("spec.expose.port"), 8080);
}

// ---- several files

TEST(Merge, LaterFilesWriteOver) {
  const std::string base = platform(
      "  components: {logs: {use: loki, retention: 5d}, traces: jaeger}\n"
      "  pools: {a: {count: 2, labels: {x: y}}, b: {count: 1}}\n");
  const std::string overlay =
      "apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {name: p}\nspec:\n"
      "  infrastructure: {existing: null, clusterApi: {management: {rancher: {hostname: r.example.com}}}}\n"
      "  components: {logs: elasticsearch, traces: null}\n"
      "  pools: {a: {count: {max: 5}}, b: null, c: {count: 0}}\n";
  const auto result = decode({{"base.yaml", base}, {"overlay.yaml", overlay}}, Purpose::platform);
  ASSERT_EQ(result.findings.size(), 1U) << result.text();
  EXPECT_EQ(result.findings[0].str().substr(0, 38), "overlay.yaml:7:53: error[out_of_range]");  // max: 0
  ASSERT_EQ(result.documents.all.size(), 1U);
  const Reader r(result.documents, result.documents.all.front());
  EXPECT_EQ(r.chosen("spec.infrastructure"), "clusterApi");
  EXPECT_EQ(r.text("spec.components.logs.use"), "elasticsearch");
  EXPECT_EQ(r.seconds("spec.components.logs.retention"), 5 * 86400);
  EXPECT_FALSE(r.has("spec.components.traces"));
  const auto pools = r.named("spec.pools");
  ASSERT_EQ(pools.size(), 2U);
  EXPECT_EQ(pools[0].second.integer("count.min"), 2);
  EXPECT_EQ(pools[0].second.integer("count.max"), 5);
  EXPECT_EQ(r.at("spec.components.logs.use").str(), "overlay.yaml:6:22");
  EXPECT_EQ(r.at("spec.components.logs.retention").str(), "base.yaml:6:45");
  EXPECT_EQ(result.documents.all.front().at.str(), "base.yaml:1:1");
}

TEST(Merge, AUnionHasOneMemberAfterwards) {
  const std::string overlay =
      "apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {name: p}\nspec:\n"
      "  infrastructure: {k3s: {hosts: {a: {address: 10.0.0.1, role: server}}}}\n";
  const auto result = decode({{"a", platform("")}, {"b", overlay}}, Purpose::platform);
  ASSERT_EQ(result.findings.size(), 1U) << result.text();
  EXPECT_EQ(result.findings[0].str(),
            "b:5:20: error[one_of] spec.infrastructure holds existing and k3s, only one is possible\n"
            "  hint: write existing: null in the later file");
}

TEST(Merge, TwiceInOneFileIsAnError) {
  const auto result = decode({{"a", platform("") + "\n---\n" + platform("")}}, Purpose::platform);
  ASSERT_EQ(result.findings.size(), 1U) << result.text();
  EXPECT_EQ(result.findings[0].code, "duplicate_document");
}

TEST(Merge, ASecretIsReplacedAsAWhole) {
  const auto text = [](std::string_view place) {
    return platform(fmt::format(
        "  access: {{login: {{oidc: {{issuer: 'https://l', clientId: c, clientSecret: {}}}}}}}\n", place));
  };
  const auto result = decode({{"a", text("{secretRef: x}")}, {"b", text("{env: Y}")}}, Purpose::platform);
  ASSERT_TRUE(result.ok()) << result.text();
  const Reader r(result.documents, result.documents.all.front());
  EXPECT_EQ(r.secret("spec.access.login.oidc.clientSecret")->name, "Y");
}

TEST(Merge, ModelsToo) {
  const std::string model = "apiVersion: tidegate.dev/v1alpha1\nkind: Model\nmetadata: {name: m}\nspec: ";
  const std::vector<Source> files{{"a", model + "{engine: simulated, slots: 2}\n"},
                                  {"b", model + "{slots: 8}\n"}};
  const auto result = decode(files, Purpose::platform);
  ASSERT_TRUE(result.ok()) << result.text();
  EXPECT_EQ(result.documents.models.at("m").slots, 8);
  EXPECT_FALSE(decode(files).ok());  // serving takes no variants
}

TEST(Environment, IsTheDocumentWithItsOverlay) {
  const auto result = read(
      "  cluster: {name: llm}\n"
      "  components: {traces: tempo}\n"
      "  delivery: {environments: {staging: {cluster: {name: llm-staging}, components: {traces: null}}, "
      "production: {after: staging, approval: true}}}\n");
  ASSERT_TRUE(result.ok()) << result.text();
  std::vector<Finding> findings;
  const auto staging = in_environment(result.documents, "p", "staging", findings);
  ASSERT_TRUE(staging);
  EXPECT_TRUE(findings.empty());
  const Reader r(*staging, *staging->find(DocumentKind::platform, "p"));
  EXPECT_EQ(r.text("spec.cluster.name"), "llm-staging");
  EXPECT_EQ(r.text("spec.components.traces.use"), "none");
  EXPECT_EQ(r.at("spec.cluster.name").str(), "p.yaml:8:55");
  const auto wrong = in_environment(result.documents, "p", "stagin", findings);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().hint, "did you mean 'staging'?");
}

// ---- serving

TEST(Serving, SaysWhatOnlyRenderingActsOn) {
  const std::string text =
      "apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {name: p}\nspec: {anything: {goes: "
      "here}}\n---\n"
      "apiVersion: tidegate.dev/v1alpha1\nkind: Model\nmetadata: {name: m}\nspec: {engine: simulated, pool: "
      "gpu, resources: {requests: {cpu: 1}}}\n";
  const auto served = decode({{"x", text}});
  EXPECT_TRUE(served.ok()) << served.text();
  EXPECT_EQ(codes(served),
            (std::vector<std::string>{"9:27 cluster_only spec.pool", "9:38 cluster_only spec.resources"}));
  const auto rendered = decode({{"x", text}}, Purpose::platform);
  EXPECT_EQ(codes(rendered), (std::vector<std::string>{"4:7 missing_field spec.infrastructure",
                                                       "4:8 unknown_field spec.anything"}));
}

TEST(Serving, RefusesWhatItWouldHaveToActOn) {
  const std::string text =
      "apiVersion: tidegate.dev/v1alpha1\nkind: Provider\nmetadata: {name: p}\nspec: {url: 'https://h/v1', "
      "models: [a], "
      "credentials: {secretRef: key}}\n---\n"
      "apiVersion: tidegate.dev/v1alpha1\nkind: Model\nmetadata: {name: m}\nspec: {source: "
      "'hf://Qwen/Qwen3-32B', engine: vllm}\n---\n"
      "apiVersion: tidegate.dev/v1alpha1\nkind: Route\nmetadata: {name: r}\nspec: {to: [{model: m}], "
      "balance: leastBusy, "
      "fallback: [{provider: p, model: a, when: {errors: false, heldFor: 20s}}]}\n---\n"
      "apiVersion: tidegate.dev/v1alpha1\nkind: Tenant\nmetadata: {name: t}\nspec: {tier: premium, weight: "
      "3}\n";
  const auto served = decode({{"x", text}});
  EXPECT_EQ(std::count_if(served.findings.begin(), served.findings.end(),
                          [](const Finding& f) { return f.code == "not_supported_yet"; }),
            6)
      << served.text();
  const auto rendered = decode({{"x", text}}, Purpose::platform);
  EXPECT_TRUE(rendered.findings.empty()) << rendered.text();
  const Document* provider = rendered.documents.find(DocumentKind::provider, "p");
  ASSERT_NE(provider, nullptr);
  const Reader r(rendered.documents, *provider);
  EXPECT_EQ(r.secret("spec.credentials")->name, "key");
}

// ---- what was read

TEST(Usage, NamesWhatNobodyRead) {
  const auto result = read(
      "  cluster: {name: c, swap: zram}\n"
      "  tags: {a: b}\n"
      "  access: {from: [10.0.0.0/8]}\n"
      "  components: {alerts: {routes: [{severity: critical, to: [x]}], receivers: {x: {webhook: {url: {env: "
      "U}}}}}}\n");
  ASSERT_TRUE(result.ok()) << result.text();
  Usage usage;
  const Reader r(result.documents, result.documents.all.front(), &usage);
  r.text("spec.infrastructure.existing.context");
  r.text("spec.cluster.name");
  r.texts_map("spec.tags");
  const auto receivers = r.named("spec.components.alerts.receivers");
  receivers.front().second.secret("webhook.url");
  r.entries("spec.components.alerts.routes").front().list("to");
  std::vector<std::string> left;
  for (const Finding& f : unused(result.documents, usage)) left.push_back(f.path);
  EXPECT_EQ(left, (std::vector<std::string>{"spec.cluster.swap", "spec.access.from",
                                            "spec.components.alerts.routes[0].severity"}));
  const auto finding = unused(result.documents, usage).front();
  EXPECT_EQ(finding.at.str(), "p.yaml:6:28");
  EXPECT_EQ(finding.code, "nothing_renders");
}

TEST(Usage, CopiesForEnvironmentsCount) {
  const auto result = read("  delivery: {environments: {s: {cluster: {name: x}}}}\n");
  ASSERT_TRUE(result.ok()) << result.text();
  std::vector<Finding> none;
  const auto changed = in_environment(result.documents, "p", "s", none);
  Usage usage;
  const Reader r(*changed, changed->all.front(), &usage);
  r.text("spec.infrastructure.existing.context");
  EXPECT_EQ(unused(result.documents, usage).size(), 1U);
  r.text("spec.cluster.name");
  EXPECT_TRUE(unused(result.documents, usage).empty());
}

// ---- the examples and the schema

class Example : public testing::TestWithParam<std::string> {};

TEST_P(Example, HasNoFindings) {
  const auto result = load({GetParam()}, {}, Purpose::platform);
  EXPECT_TRUE(result.findings.empty()) << result.text();
  EXPECT_EQ(result.documents.platforms.size(), 1U);
}

std::string example_name(const testing::TestParamInfo<std::string>& example) {
  std::string name = std::filesystem::path(example.param).stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, Example, testing::ValuesIn(examples()), example_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Example);

// Variants of the examples are a few lines over them.
struct Variant {
  std::string_view example, kind, name, spec;
};

class VariantOf : public testing::TestWithParam<Variant> {};

TEST_P(VariantOf, HasNoFindings) {
  const Variant& v = GetParam();
  const std::string file = fmt::format("{}/examples/{}.yaml", kRoot, v.example);
  const auto base = read_file(file);
  if (!base) GTEST_SKIP() << file << " is not here";
  const std::string overlay =
      fmt::format("apiVersion: tidegate.dev/v1alpha1\nkind: {}\nmetadata: {{name: {}}}\nspec: {}\n", v.kind,
                  v.name, v.spec);
  const auto result = decode({{file, *base}, {"variant.yaml", overlay}}, Purpose::platform);
  EXPECT_TRUE(result.findings.empty()) << result.text();
}

constexpr Variant kVariants[] = {
    {"analytics-hub", "Platform", "llm-analytics",
     "{infrastructure: {aws: null, google: {project: llm-analytics, region: europe-west1, zones: "
     "[europe-west1-b, "
     "europe-west1-c, europe-west1-d], network: {cidr: 10.40.0.0/16}, dns: {zone: llm-analytics.io}, state: "
     "{bucket: "
     "llm-analytics-state}}}, pools: {general: {instanceTypes: [n2-standard-8], disk: {type: pd-balanced}}, "
     "data: "
     "{instanceTypes: [n2-standard-8]}}}"},
    {"analytics-hub", "Platform", "llm-analytics",
     "{infrastructure: {aws: null, azure: {region: westeurope, zones: [\"1\", \"2\", \"3\"], dns: {zone: "
     "llm-analytics.io}}}, pools: {general: {instanceTypes: [Standard_D8s_v5], disk: {type: Premium_LRS}}, "
     "data: "
     "{instanceTypes: [Standard_L8s_v3]}}}"},
    {"analytics-hub", "Platform", "llm-analytics", "{components: {gateway: ingress-nginx}}"},
    {"otc-training", "Platform", "llm-training", "{components: {logs: elasticsearch}}"},
    {"otc-training", "Platform", "llm-training", "{components: {metrics: cce-monitoring}}"},
    {"otc-training", "TrainingRun", "llm-application",
     "{as: Deployment, expose: {host: run.example.com}, chart: {ingress: true, autoscaling: true}}"},
    {"self-scaling", "Platform", "llm-stack",
     "{infrastructure: {clusterApi: null, existing: llm-workload}, pools: null}"},
    {"self-scaling", "Platform", "llm-stack", "{components: {serving: null}}"},
    {"bare-metal", "Platform", "telkom-ai",
     "{infrastructure: {machines: {virtualAddress: 192.168.1.29, hosts: {lb2.telkom.be: {address: "
     "192.168.1.35, role: "
     "loadBalancer}}}}}"},
    {"bare-metal", "Platform", "telkom-ai", "{components: {training: kubeflow}}"},
    {"saas-aws", "Platform", "llm-saas", "{components: {autoscaling: {nodes: karpenter}}}"},
};

INSTANTIATE_TEST_SUITE_P(Examples, VariantOf, testing::ValuesIn(kVariants));

TEST(Explain, FollowsNamesAndLikeness) {
  for (const std::string path :
       {"platform.spec.components.gateway.waf", "platform.spec.pools.*.count",
        "platform.spec.pools.gpu.count", "platform.spec.infrastructure.azure.network.cidr",
        "platform.spec.delivery.environments.staging.cluster.name", "trainingrun.spec.image.tag"}) {
    EXPECT_TRUE(explain_field(path)) << path;
  }
  EXPECT_EQ(*explain_field("platform.spec.pools.gpu.count"), *explain_field("platform.spec.pools.*.count"));
  EXPECT_NE(explain_field("platform.spec.pools")->find("  instanceTypes"), std::string::npos);
  EXPECT_NE(explain_field("platform.spec.components.logs")->find("in place of the map is its use"),
            std::string::npos);
}

}  // namespace
}  // namespace tg::spec
