// A part of a platform as a value: what one file of this folder contributes. Parts are built one by one from
// the documents; then those that need all of them (namespaces, network policies, gateway, alerts, dashboards,
// runbook, plan) are made from the list. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/charts.hpp"
#include "render/object.hpp"

namespace tg::render {

// One end of a network edge.
struct Peer {
  enum class Kind : std::uint8_t {
    pods,        // of namespace `ns` with `labels`; no labels = every pod of it
    any_pod,     // of the whole cluster
    cidr,        // addresses outside the cluster
    everywhere,  // any address
    api_server,
    nodes,  // the machines themselves: kubelets, host network
  };
  Kind kind = Kind::pods;
  std::string ns{};
  Labels labels{};
  std::string cidr{};

  static Peer pods(std::string ns, Labels labels = {}) {
    return {Kind::pods, std::move(ns), std::move(labels), {}};
  }
  static Peer any_pod() { return {Kind::any_pod, {}, {}, {}}; }
  static Peer addresses(std::string cidr) { return {Kind::cidr, {}, {}, std::move(cidr)}; }
  static Peer everywhere() { return {Kind::everywhere, {}, {}, {}}; }
  static Peer api_server() { return {Kind::api_server, {}, {}, {}}; }
  static Peer nodes() { return {Kind::nodes, {}, {}, {}}; }
};

// Who may talk to whom: the only source of NetworkPolicies (and of AuthorizationPolicies and diagrams).
// DNS is open to every pod and needs no edge.
struct Edge {
  Peer from{}, to{};
  std::vector<Port> ports{};  // none = all
  std::string why{};          // "stores its chats"
};

enum class Level : std::uint8_t { restricted, baseline, privileged };  // Pod Security Standards

struct Namespace {
  std::string name{};
  Level level = Level::restricted;
  std::string reason{};  // why not restricted
  Labels labels{};
};

// A chart with its values. `release` and `ns` as given to helm.
struct Release {
  std::string_view chart{};  // name in the catalog
  std::string release{};
  std::string ns{};
  Json values = Json::object();
};

// Definitions of kinds that a chart brings. They are put in before anything uses them, and kept current,
// which Helm does not do with those that a chart merely carries along.
struct Definitions {
  std::string_view chart{};             // name in the catalog
  bool among_templates = false;         // else in the folder of definitions that Helm installs once
  std::vector<std::string> settings{};  // of its templates: "crds.gatewayAPI.enabled=true"
  std::vector<std::string> wait_for{};  // whole names, "gateways.gateway.networking.k8s.io"
};

// Objects that stand in one file. They are written below the part's folder as `file`.
struct Manifest {
  std::string file{};
  std::vector<Json> objects{};
  std::vector<std::string> makes{};  // whole names of definitions that a controller makes from them
};

// One time series of promtool's unit tests, for example {"up{job=\"a\"}", "0x10"}.
struct Series {
  std::string series{}, values{};
};
struct Alert {
  std::string name{}, expr{}, duration{}, severity{};  // severity: info, warning, critical
  std::string summary{}, description{};                // may use {{ $labels.x }} and {{ $value }}
  std::string action{};                                // what to do; goes to the runbook
  Labels labels{};
  // The proof: with `input`, one sample a minute, it is silent at `quiet` and fires at `fires` with
  // `expected` labels beside those of the alert.
  std::vector<Series> input{};
  std::string quiet{}, fires{};
  Labels expected{};
  // What `{{ $value … }}` of the texts reads at `fires`. Empty: only that it fires is proven, not its texts.
  std::string value{};
};

struct Query {
  std::string expr, legend{};
};
struct Panel {
  std::string title{};
  std::vector<Query> queries{};
  std::string unit{};                 // Grafana's name: "bytes", "percentunit", "reqps", "s"
  std::string kind = "timeseries";    // stat, table, logs, bargauge
  std::string source = "prometheus";  // or "loki"
  int width = 12;                     // of 24
};
struct Dashboard {
  std::string uid{}, title{}, folder{};
  std::vector<Panel> panels{};
};

// A name under which something can be reached from outside.
struct Published {
  std::string host{};
  std::string path = "/";
  std::string ns{}, service{};
  int port = 0;
  Labels pods{};     // the Service's pods and the port they listen on, for the edge from the gateway
  int pod_port = 0;  // 0 = as `port`
  bool operators_only = false;  // login in front of it
  bool web_socket = false;
  std::string rate_limit{};  // "50/s", empty = the gateway's
  bool cookie_affinity = false;
};

// A Secret that must exist before the part runs. It is never rendered.
struct SecretNeed {
  std::string name{}, ns{};
  std::vector<std::string> keys{};
  // asked: of a program of the platform that runs before the part does.
  enum class From : std::uint8_t { generated, reference, asked } from = From::generated;
  // What the document said: "secretRef smtp", "env NAME". "copy of NAMESPACE/NAME" of another one. Of asked:
  // the command that prints the value of its only key.
  std::string reference{};
  std::string why{};
  // Keys that are neither random nor brought: a text in which ${KEY} is the value of another key and
  // ${random} a random one.
  Labels values{};
};

// Data that must survive: a volume claim, or a PostgreSQL database that is dumped.
struct Keep {
  enum class Kind : std::uint8_t { volume, postgresql } kind = Kind::volume;
  std::string ns{}, name{};  // of the claim, or of the database's Service
  std::string secret{};      // of the database: keys username, password, database
  int user = 65532;          // who owns the files
};

// A paragraph of the runbook.
struct Section {
  enum class Chapter : std::uint8_t {
    overview,
    access,
    first_steps,
    daily,
    weekly,
    monthly,
    upgrade,
    backup,
    restore,
    troubleshooting,
    cost,
  };
  Chapter chapter = Chapter::overview;
  std::string title{}, text{};  // Markdown
};

// A file that is not a Kubernetes object: Terraform, host files, scripts.
struct Extra {
  std::string path{};  // relative to the part's folder
  std::string content{};
  bool executable = false;
};

// What apply does with the part beside charts and manifests, in order.
struct Step {
  std::string kind{};   // terraform, script, kustomize, wait; people: chapters that people do by hand
  std::string what{};   // folder or file in the part's folder, what is waited for, or what is to be done
  std::string where{};  // host or hosts of a script
  std::string timeout{};
};

enum class Where : std::uint8_t { infrastructure, component, workload, delivery };

struct Part {
  Where where = Where::component;
  std::string name{};                // "metrics"
  int order = 0;                     // of components: the number in front of the folder's name
  std::vector<std::string> after{};  // names of parts that must be there first
  std::vector<Namespace> namespaces{};
  std::vector<Definitions> definitions{};
  std::vector<Release> releases{};
  std::vector<Manifest> manifests{};
  std::vector<Edge> edges{};
  std::vector<Alert> alerts{};
  std::vector<Dashboard> dashboards{};
  std::vector<Published> published{};
  std::vector<SecretNeed> secrets{};
  std::vector<Keep> keeps{};
  std::vector<Section> sections{};
  std::vector<std::string> outputs{};  // names of what its Terraform module tells
  std::vector<Extra> extras{};
  std::vector<Step> steps{};

  // Adds to the manifest of this file name.
  void add(std::string_view file, Json object);
  // "components/40-metrics", "infrastructure", "workloads/api", "ci".
  std::string folder() const;
};

}  // namespace tg::render
