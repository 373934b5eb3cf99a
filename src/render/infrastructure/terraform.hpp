// A root module of Terraform as typed values: what is declared gives a handle, and references are made from
// handles, so that a rendered module refers to nothing that it lacks. Written as JSON, which Terraform and
// OpenTofu both read. Pure; one thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "render/part.hpp"

namespace tg::render {

// "${...}": a value that Terraform reckons.
std::string expression(std::string_view text);
// A text as it stands inside an expression, in double quotes.
std::string literal(std::string_view text);

// A declared block. `address` as in depends_on: "aws_vpc.main", "data.aws_region.here", "var.region".
struct Block {
  std::string address;
  // Inside an expression: path("arn") = "aws_vpc.main.arn".
  std::string path(std::string_view attribute) const;
  // As a whole value: at("arn") = "${aws_vpc.main.arn}".
  std::string at(std::string_view attribute) const;
  std::string value() const;  // "${var.region}"
};

struct Variable {
  std::string name{}, type{}, description{};  // type as Terraform writes it: "list(string)"
  Json fallback = nullptr;                    // null = none: a value must be given
  bool optional = false;                      // the fallback null is meant
  bool sensitive = false;
  bool ephemeral = false;              // never in a state or a plan: for arguments that are only written
  std::string condition{}, message{};  // of a validation, may be empty
};

class Terraform {
 public:
  Terraform();
  // `file` without its ending: "network". The same address twice is a fault of this program.
  Block resource(std::string_view file, std::string_view type, std::string_view name, Json body);
  Block data(std::string_view file, std::string_view type, std::string_view name, Json body);
  Block variable(const Variable& variable);
  // What terraform.tfvars.json says of a variable.
  void given(std::string_view variable, Json value);
  void output(std::string_view name, std::string_view description, Json value, bool sensitive = false);
  Block local(std::string_view name, Json value);
  // `source` is the registry's: "hashicorp/aws". Settings of several aliases come one after another.
  void require(std::string_view name, std::string_view source, std::string_view version);
  void provider(std::string_view name, Json settings);
  void backend(std::string_view kind, Json settings);
  std::vector<std::string> outputs() const;  // their names
  // Below `folder`: one file for each name and terraform.tfvars.json. Files without content are left out.
  std::vector<Extra> files(std::string_view folder) const;

 private:
  void put(std::string_view file, std::string_view section, std::string_view type, std::string_view name,
           Json body);
  std::map<std::string, Json, std::less<>> files_;
  Json given_ = Json::object();
};

// A policy of AWS and of others that write it so: statements as blocks of aws_iam_policy_document.
struct Statement {
  std::vector<std::string> actions, resources;
  Json conditions = Json::array();  // {test, variable, values}
};

}  // namespace tg::render
