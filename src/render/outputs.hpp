// What only the infrastructure knows once it stands: the id of a network, the role of a program. Until then
// files hold "output:NAME" in its place, where NAME is an output of the rendered Terraform module. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "render/part.hpp"
#include "spec/finding.hpp"

namespace tg::render {

// One place that waits for an output.
struct OutputUse {
  std::string file{};  // "components/08-storage/classes.yaml"
  std::string path{};  // "StorageClass nfs parameters.fileSystemId"
  std::string name{};  // of the output
};

// In the order of the parts. Names that no part declares are nobody's placeholders.
std::vector<OutputUse> output_uses(const std::vector<Part>& parts);

// A line of shell that ends the shell it runs in while a place is open; empty if there is none. From the
// folder of the tree.
std::string output_guard(const std::vector<OutputUse>& uses);

// What `tofu output -json` printed.
class OutputValues {
 public:
  // `source` names the file in findings. Error bad_outputs: it is something else.
  static Result<OutputValues> read(const std::string& text, std::string source);

  // Puts the values where their names stand. Findings: output_missing, output_not_text, output_is_secret.
  void fill(std::vector<Part>& parts, std::vector<spec::Finding>& findings) const;

 private:
  struct Value {
    Json value{};
    bool sensitive = false;
  };
  const std::string* text_of(const OutputUse& use, std::vector<spec::Finding>& findings) const;

  std::string source_;
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace tg::render
