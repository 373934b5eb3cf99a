// What documents say about nodes and what runs on them, as numbers, for all rules. Pure.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "verify/rules.hpp"

namespace tg::verify {

// Amounts of the resources that are compared. Units: cores, bytes, devices.
struct Amounts {
  double cpu = 0;
  double memory = 0;
  double gpus = 0;

  Amounts& operator+=(const Amounts& o);
  Amounts operator*(double n) const { return {cpu * n, memory * n, gpus * n}; }
  // The first resource of which there is less here than in `need`: "cpu", "memory", "nvidia.com/gpu"; empty
  // if there is enough of each.
  std::string_view lacks(const Amounts& need) const;
  double of(std::string_view resource) const;
};
Amounts amounts(const std::map<std::string, std::string>& quantities);
// "500m", "4", "768Mi", "2.5Gi": an amount of a resource as a person writes it.
std::string shown(std::string_view resource, double amount);

// Equal nodes: a pool of a cloud, or one host.
struct Nodes {
  std::string name;         // of the pool or host
  std::string pool;         // pool whose labels and taints they have; of a cloud the same, else maybe empty
  spec::Reader reader;      // of the pool or host
  std::string path;         // where their size stands: "instanceTypes", "resources"
  bool known = false;       // the amounts are
  Amounts whole{}, left{};  // of one node, and what pods get of it
  double min = 0, max = 0;  // how many
  bool tainted = false;     // what is not told to go there does not
  bool control_plane = false;
};
std::vector<Nodes> nodes(const Subject& s);
// Those on which pods of `pool` run; without a pool those without taints.
std::vector<Nodes> nodes_for(const std::vector<Nodes>& all, std::string_view pool);

// Replicas of one program.
struct Pods {
  std::string what;      // "the app api"
  spec::Reader reader;   // of the app, Model …
  std::string requests;  // path of the requests: "resources.requests"
  std::string bound;     // path of the greatest number: "replicas.max"
  std::string pool;
  std::string tenant;
  Amounts needs, limits;  // of one
  double min = 0, max = 0;
};
// Apps, Models, TrainingRuns and data services of the documents.
std::vector<Pods> programs(const Subject& s);

// Parts of the platform with their requests, by the catalog.
struct Share {
  std::string component;  // "metrics"
  std::string workload;   // "prometheus"
  Amounts needs;          // of all its pods together
};
// `node_count`: nodes on which agents run.
std::vector<Share> parts(const Subject& s, double node_count);

struct Claim {
  std::string what;  // "the app api"
  spec::Reader reader;
  std::string size;  // path of the size
  std::string class_path;
  std::string class_name;  // as written, else the default class, empty if there is none
  double bytes = 0;
  double count = 1;     // claims of this size
  bool shared = false;  // by several pods at the same time
};
std::vector<Claim> claims(const Subject& s);

// Storage classes of the document, by name, and the default one (empty if none is declared so).
Named classes(const Subject& s);
std::string default_class(const Subject& s);
// A local class whose volumes are disks of hosts, in place of directories made at each claim.
bool is_static(const Subject& s, const std::string& name, const spec::Reader& storage_class);

// A host that is published.
struct Published {
  std::string what;  // "the app api"
  spec::Reader reader;
  std::string path;
  text::Position at;
  std::string where;
  std::string host;
  std::string url_path = "/";
  bool operators = false;  // needs the operators' login
};
std::vector<Published> published(const Subject& s);

std::vector<std::string> names(const Named& named);
// "did you mean …?", else what there is: "a pool can be a or b".
std::string propose(std::string_view word, const std::vector<std::string>& names, std::string_view what);
// Memory that an Ollama or Hugging Face model of this name needs by the parameters in its name ("3b"), with
// weights of four bits and a small context; 0 if the name does not say.
double memory_by_name(std::string_view source);

}  // namespace tg::verify
