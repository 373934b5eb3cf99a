// Databases and brokers of the document: `data`.
#include <fmt/format.h>

#include "catalog/images.hpp"
#include "render/workload/workloads.hpp"

namespace tg::render {

namespace {

constexpr int kPostgres = 5432;
constexpr int kExporter = 9187;

// One instance without an operator: for profile small, where an operator's memory is a tenth of the machine.
Part postgresql_single(const Context& context, const std::string& name, const spec::Reader& spec) {
  Part part;
  part.where = Where::workload;
  part.name = name;
  const std::string ns = "data";
  part.namespaces.push_back({.name = ns});
  part.secrets.push_back({.name = name + "-postgresql",
                          .ns = ns,
                          .keys = {"username", "password", "database", "url"},
                          .why = "owner of the database"});
  Container server{.name = "postgresql", .image = catalog::image("postgresql")};
  server.ports = {{"postgresql", kPostgres}};
  server.env = {env_from_secret("POSTGRES_USER", name + "-postgresql", "username"),
                env_from_secret("POSTGRES_PASSWORD", name + "-postgresql", "password"),
                env_from_secret("POSTGRES_DB", name + "-postgresql", "database"),
                env("PGDATA", "/var/lib/postgresql/data/pgdata")};
  server.resources = context.size("data", "postgresql");
  server.readiness = exec_probe({"sh", "-c", "exec pg_isready -U \"$POSTGRES_USER\" -d \"$POSTGRES_DB\""});
  server.liveness = exec_probe({"sh", "-c", "exec pg_isready -U \"$POSTGRES_USER\""}, 20, 6);
  server.mounts = {{"data", "/var/lib/postgresql/data"}, {"run", "/var/run/postgresql"}, {"tmp", "/tmp"}};
  Pod pod;
  pod.containers = {std::move(server)};
  pod.user = pod.group = 999;
  pod.grace_seconds = 60;
  pod.volumes = {volume_scratch("run", "16Mi"), volume_scratch("tmp", "64Mi")};
  part.add(
      "postgresql.yaml",
      stateful_set(name, ns, 1, pod, {claim("data", spec.text("size"), context.default_storage_class())}));
  part.add("postgresql.yaml", service(name, ns, selector(name), {{"postgresql", kPostgres}}));
  part.keeps.push_back(
      {.kind = Keep::Kind::postgresql, .ns = ns, .name = name, .secret = name + "-postgresql"});
  return part;
}

}  // namespace

std::vector<Part> data(const Context& context) {
  std::vector<Part> out;
  for (const auto& [name, spec] : context.spec().named("data")) {
    if (spec.text("use") == "postgresql" && context.small())
      out.push_back(postgresql_single(context, name, spec));
  }
  return out;
}

}  // namespace tg::render
