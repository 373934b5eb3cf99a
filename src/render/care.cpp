#include "render/care.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "catalog/charts.hpp"
#include "catalog/instances.hpp"
#include "render/component/components.hpp"
#include "render/infrastructure/cloud.hpp"

namespace tg::render {

namespace {

using Chapter = Section::Chapter;

constexpr double kGi = 1024.0 * 1024.0 * 1024.0;

std::string commands(const std::string& lines) { return fmt::format("```sh\n{}```\n", lines); }

const Part* find(const std::vector<Part>& parts, std::string_view name) {
  const auto it = std::find_if(parts.begin(), parts.end(), [&](const Part& p) { return p.name == name; });
  return it == parts.end() ? nullptr : &*it;
}

bool installs(const std::vector<Part>& parts, std::string_view chart) {
  return std::any_of(parts.begin(), parts.end(), [&](const Part& p) {
    return std::any_of(p.releases.begin(), p.releases.end(),
                       [&](const Release& r) { return r.chart == chart; });
  });
}

// --- after the first apply, and every week

void first_look(std::vector<Section>& out, const Context& context, const std::vector<Part>& parts) {
  std::string lines = "kubectl get pods -A\n";
  if (context.has("gateway") && context.use("gateway") != "traefik")
    lines += fmt::format("kubectl get service -n {}\n", kGatewayNamespace);
  for (const char* ns : {"monitoring", "logging"}) {
    const bool ours = std::any_of(parts.begin(), parts.end(), [&](const Part& p) {
      return std::any_of(p.namespaces.begin(), p.namespaces.end(),
                         [&](const Namespace& n) { return n.name == ns; });
    });
    if (ours) lines += fmt::format("kubectl get pods -n {}\n", ns);
  }
  out.push_back({Chapter::first_steps, "Is everything there", lines});
}

void weekly(std::vector<Section>& out, const Context& context, const std::vector<Part>& parts) {
  if (context.has("certificates"))
    out.push_back({Chapter::weekly, "How long certificates last",
                   "kubectl get certificates -A -o custom-columns=NAMESPACE:.metadata.namespace,"
                   "NAME:.metadata.name,READY:.status.conditions[0].status,UNTIL:.status.notAfter,"
                   "RENEWAL:.status.renewalTime\n"});
  const Part* ci = find(parts, "pipeline");
  const std::string images = ci != nullptr ? "ci/images.sh"
                                           : "grep -rhoE 'image: [^ ]+' components workloads | cut -d' ' -f2 "
                                             "| sort -u";
  std::string text =
      ci != nullptr ? "The pipeline looks at every image of these files at each change. Between changes:\n\n"
                    : "New holes are found in old images. Look at each of these files:\n\n";
  text += commands(images +
                   " | while read -r image; do trivy image --severity HIGH,CRITICAL --ignore-unfixed "
                   "\"$image\"; done\n");
  out.push_back({Chapter::weekly, "Holes in images", std::move(text)});
}

void audit(std::vector<Section>& out, const std::vector<Part>& parts) {
  std::string lines =
      "kubectl get networkpolicies -A\n"
      "kubectl get namespaces -L pod-security.kubernetes.io/enforce\n";
  if (installs(parts, "gatekeeper")) lines += "kubectl get constrainttemplates,constraints\n";
  if (installs(parts, "kyverno")) lines += "kubectl get validatingpolicies,validatingadmissionpolicies\n";
  lines +=
      "kubectl get clusterrolebindings -o json | jq -r '.items[] | select(.roleRef.name == "
      "\"cluster-admin\") | .metadata.name'\n";
  out.push_back({Chapter::monthly, "Rules and rights",
                 "Every namespace denies what no policy allows, and its label says what its pods may be "
                 "(PodSecurityPolicy is gone since Kubernetes 1.25). Who is bound to `cluster-admin` must be "
                 "able to say why.\n\n" +
                     commands(lines)});
}

// --- what it takes and what it costs

std::string pools_table(const Context& context) {
  static const std::map<Site, std::string_view> kClouds{{Site::aws, "aws"},
                                                        {Site::google, "google"},
                                                        {Site::azure, "azure"},
                                                        {Site::open_telekom_cloud, "openTelekomCloud"}};
  std::string out = "| pool | machine | nodes | CPU | memory |\n|---|---|---|---|---|\n";
  for (const Pool& pool : pools(context)) {
    const catalog::MachineType type = catalog::machine_type(kClouds.at(context.site()), pool.types.front());
    const catalog::Machine& m = type.machine;
    const std::string size =
        type.name == catalog::TypeName::known
            ? fmt::format("{:g} to {:g} | {:g} to {:g} GiB", pool.min * m.cpu, pool.max * m.cpu,
                          pool.min * m.memory / kGi, pool.max * m.memory / kGi)
            : std::string("– | –");
    out += fmt::format("| {} | {} | {} to {} | {} |\n", pool.name, fmt::join(pool.types, ", "), pool.min,
                       pool.max, size);
  }
  return out;
}

std::string volumes_table(const Context& context) {
  std::string rows;
  const auto row = [&](const std::string& what, int copies, double bytes, const std::string& of) {
    rows += fmt::format("| {} | {} | {:g} GiB | {} |\n", what, copies, bytes / kGi, of.empty() ? "–" : of);
  };
  for (const auto& [name, d] : context.spec().named("data"))
    row(name, static_cast<int>(d.integer("instances")), d.number("size"), d.text("class"));
  if (const spec::Reader metrics = context.component("metrics"); context.use("metrics") == "prometheus")
    row("measurements", static_cast<int>(metrics.integer("replicas")), metrics.number("storage.size"),
        metrics.text("storage.class"));
  if (rows.empty()) return {};
  return "\n| volume of | copies | size | class |\n|---|---|---|---|\n" + rows;
}

// What the cloud says that it cost, for the whole platform: every resource carries its tag.
std::string bill(const Context& context) {
  switch (context.site()) {
    case Site::aws:
      return fmt::format(
          "aws ce get-cost-and-usage --granularity MONTHLY --metrics UnblendedCost \\\n"
          "  --time-period \"Start=$(date -d '-1 month' +%Y-%m-01),End=$(date +%Y-%m-01)\" \\\n"
          "  --filter '{{\"Tags\": {{\"Key\": \"platform\", \"Values\": [\"{}\"]}}}}' \\\n"
          "  --group-by Type=DIMENSION,Key=SERVICE\n",
          context.name());
    case Site::google:
      return fmt::format(
          "bq query --nouse_legacy_sql \"SELECT service.description, ROUND(SUM(cost), 2) AS cost \\\n"
          "  FROM \\`$BILLING_EXPORT\\`, UNNEST(labels) AS l \\\n"
          "  WHERE l.key = 'platform' AND l.value = '{}' AND invoice.month = '$(date -d '-1 month' +%Y%m)' "
          "\\\n"
          "  GROUP BY 1 ORDER BY 2 DESC\"\n",
          context.name());
    case Site::azure: {
      std::string group = context.infrastructure().text("resourceGroup");
      if (group.empty()) group = context.name();
      return fmt::format(
          "az consumption usage list --start-date \"$(date -d '-1 month' +%Y-%m-01)\" --end-date \"$(date "
          "+%Y-%m-01)\" \\\n"
          "  --query \"[?contains(instanceId, '/resourceGroups/{}')].[consumedService, pretaxCost]\" "
          "--output tsv |\n"
          "  awk '{{cost[$1] += $2}} END {{for (s in cost) print cost[s], s}}' | sort -rn\n",
          group);
    }
    default:
      return {};
  }
}

void cost(std::vector<Section>& out, const Context& context) {
  if (!context.cloud()) return;
  out.push_back({Chapter::cost, "What is asked for", pools_table(context) + volumes_table(context)});
  if (const std::string lines = bill(context); !lines.empty())
    out.push_back({Chapter::cost, "What the last month cost",
                   "By service, of what carries the tag `platform`:\n\n" + commands(lines) +
                       "\nWhat saves most: nodes that idle (`kubectl top nodes` against the table above), "
                       "requests above what the recommender says, volumes that nobody claims "
                       "(`kubectl get persistentvolumes --field-selector=status.phase=Released`).\n"});
}

// --- newer releases

std::string latest(const catalog::Chart& c) {
  if (c.repository.starts_with("oci://"))
    return fmt::format("helm show chart {}/{} | grep '^version'", c.repository, c.name);
  return fmt::format("helm show chart {} --repo {} | grep '^version'", c.name, c.repository);
}

void charts(std::vector<Section>& out, const std::vector<Part>& parts) {
  std::string lines, first;
  std::set<std::string_view> seen;
  std::string licences = "| chart | version | licence |\n|---|---|---|\n";
  for (const Part& p : parts) {
    for (const Release& r : p.releases) {
      const catalog::Chart& c = catalog::chart(r.chart);
      if (!seen.insert(c.name).second) continue;
      lines += fmt::format("{}  # {}\n", latest(c), c.version);
      licences += fmt::format("| {} | {} | {} |\n", c.name, c.version, c.licence);
      if (!first.empty() || c.repository.starts_with("oci://")) continue;
      first = fmt::format(
          "helm list -A\n"
          "helm repo add {0} {1}\nhelm repo update\nhelm search repo {0}/{2} --versions | head\n"
          "helm upgrade {3} {0}/{2} --version {4} --namespace {5} --values {6}/{3}/values.yaml --wait "
          "--dry-run=server\n",
          p.name, c.repository, c.name, r.release, c.version, r.ns, p.folder());
    }
  }
  if (seen.empty()) return;
  out.push_back(
      {Chapter::monthly, "Newer charts", "What runs stands behind each line:\n\n" + commands(lines)});
  if (!first.empty())
    out.push_back(
        {Chapter::upgrade, "One chart",
         "Versions and values belong together: a newer tidegate brings both, and `tidegate render --diff` "
         "shows what changes. What the cluster would make of it, for one of them:\n\n" +
             commands(first)});
  out.push_back({Chapter::overview, "Licences", licences});
}

// What the cloud offers next and what would break, before the version in the document is raised. The command
// line of the cloud only looks: what it changed, the next apply would change back.
std::string look_ahead(const Context& context) {
  if (!context.cloud()) return {};
  const spec::Reader site = context.infrastructure();
  const std::string cluster = context.cluster_name(), region = site.text("region");
  switch (context.site()) {
    case Site::aws:
      return fmt::format(
          "aws eks describe-cluster-versions --region {0} --query 'clusterVersions[].[clusterVersion, "
          "endOfStandardSupportDate]' --output text\n"
          "aws eks list-insights --region {0} --cluster-name {1} --filter categories=UPGRADE_READINESS\n",
          region, cluster);
    case Site::google:
      return fmt::format(
          "gcloud container get-server-config --project={0} --region={1} --flatten=channels "
          "--filter='channels.channel=REGULAR' --format='yaml(channels.validVersions)'\n"
          "gcloud recommender insights list --project={0} --location={1} "
          "--insight-type=google.container.DiagnosisInsight\n",
          site.text("project"), region);
    case Site::azure: {
      std::string group = site.text("resourceGroup");
      if (group.empty()) group = context.name();
      return fmt::format("az aks get-upgrades --resource-group {0} --name {1} --output table\n", group,
                         cluster);
    }
    default:
      return {};
  }
}

void cloud_upgrade(std::vector<Section>& out, const Context& context) {
  const std::string look = look_ahead(context);
  if (look.empty()) return;
  out.push_back(
      {Chapter::upgrade, "The control plane, then the nodes",
       "What runs, what the cloud offers and what stands in the way:\n\n" +
           commands("kubectl version\nkubectl get nodes\n" + look) +
           "\nThen raise `cluster.version` by one minor, render, and let Terraform do it: the control plane "
           "first, then pool by pool, a new node for each old one. Versions are raised nowhere else: what a "
           "command line changed, the next apply would change back.\n\n" +
           commands("tidegate render -f DOCUMENT -o .\n"
                    "tofu -chdir=infrastructure/terraform plan -out=tf.plan\n"
                    "tofu -chdir=infrastructure/terraform apply tf.plan\n"
                    "kubectl get nodes -w\n")});
}

// --- when all is lost

void drill(std::vector<Section>& out, const Context& context) {
  const std::string often = context.spec().text("backup.drill");
  if (often == "none") return;
  out.push_back(
      {Chapter::restore, "The drill",
       fmt::format(
           "It runs by itself ({}), restores one namespace beside the original, looks and removes it. "
           "A drill that failed is an alert (JobFailed). Now, and how the last ones went:\n\n",
           often) +
           commands("kubectl -n backup get cronjob restore-drill\n"
                    "kubectl -n backup create job --from=cronjob/restore-drill drill-by-hand\n"
                    "kubectl -n backup logs job/drill-by-hand -f\n"
                    "velero -n backup restore get\n")});
  if (often == "quarterly")
    out.push_back({Chapter::monthly, "A restore, by hand",
                   "Between two drills, in the months that have none:\n\n" +
                       commands("kubectl -n backup create job --from=cronjob/restore-drill drill-by-hand\n"
                                "kubectl -n backup wait --for=condition=complete job/drill-by-hand "
                                "--timeout=40m\n"
                                "kubectl -n backup delete job/drill-by-hand\n")});
}

void disaster(std::vector<Section>& out, const Context& context, const std::vector<Part>& parts) {
  if (!installs(parts, "velero")) return;
  drill(out, context);
  const spec::Reader store = context.spec().sub("backup.store");
  const std::string keep = context.spec().text("backup.keep"), region = store.text("region");
  std::string text = fmt::format(
      "Copies of objects and volumes lie in {}{}, outside of what they are copies of, and stay {}. What was "
      "written since the last schedule ({}) is lost.\n\n",
      store.has("s3") ? "the store of the document" : "the bucket",
      region.empty() ? std::string() : " in " + region, keep, context.spec().text("backup.schedule"));
  text += "1. Say so: team, mail and channel stand at the top of this file.\n";
  text += context.cloud()
              ? "2. In the document, move what is lost (`region`, `zones`), render, apply `infrastructure`.\n"
              : "2. In the document, put other machines in the place of those that are lost, render, run "
                "what `infrastructure` has.\n";
  text +=
      "3. Apply the phases of `plan.json` up to `backup`; the workloads wait.\n"
      "4. Nobody writes copies while they are read; then bring everything back:\n\n";
  text += commands(
      "kubectl -n backup patch backupstoragelocation default --type merge -p "
      "'{\"spec\":{\"accessMode\":\"ReadOnly\"}}'\n"
      "velero -n backup backup get\n"
      "velero -n backup restore create --from-schedule velero-daily --wait\n"
      "kubectl get pods,persistentvolumeclaims -A | grep -v Running | grep -v Bound\n"
      "kubectl -n backup patch backupstoragelocation default --type merge -p "
      "'{\"spec\":{\"accessMode\":\"ReadWrite\"}}'\n");
  text += context.cloud()
              ? "\n5. Apply the rest of the plan. Names follow the new address by themselves: they "
                "are Terraform's.\n"
              : "\n5. Apply the rest of the plan and give the names their new address.\n";
  text += "6. Write down how long it took and what this page did not say.\n";
  out.push_back({Chapter::restore, "A region or the whole platform is lost", std::move(text)});
}

// --- troubleshooting

std::string selector_text(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
  return out;
}

// Something that is published, as the proxy asks for it: the platform's own first.
std::string published_example(const std::vector<Part>& parts) {
  std::string out = "SERVICE.NAMESPACE.svc:PORT";
  for (const Part& p : parts) {
    if (p.published.empty()) continue;
    const Published& of = p.published.front();
    out = fmt::format("{}.{}.svc:{}", of.service, of.ns, of.port);
    if (p.where == Where::workload) return out;
  }
  return out;
}

void routes(std::vector<Section>& out, const Context& context, const std::vector<Part>& parts) {
  const Part* part = find(parts, "routes");
  if (part == nullptr) return;
  const Peer proxies = gateway_peer(context);
  const std::string pods = selector_text(proxies.labels);
  const std::string example = published_example(parts);
  const bool ingress = context.use("gateway") == "ingress-nginx";
  std::string lines = fmt::format("kubectl logs -n {} -l {} --all-containers --tail=100\n", proxies.ns, pods);
  lines += ingress ? "kubectl get ingress -A\nkubectl describe ingress -n NAMESPACE NAME\n"
                   : "kubectl get gateways,httproutes -A\nkubectl describe httproute -n NAMESPACE NAME\n";
  // From where requests come: a pod of one's own would be stopped by the policies.
  lines += fmt::format(
      "pod=$(kubectl get pods -n {0} -l {1} -o name | head -n 1)\n"
      "kubectl debug -n {0} \"$pod\" -it --profile=restricted --image=docker.io/curlimages/curl:8.16.0 -- "
      "curl -sv http://{2}/\n",
      proxies.ns, pods, example);
  out.push_back({Chapter::troubleshooting, "A name does not answer",
                 "From the outside in: the proxy's words, the route, then the app as the proxy sees it. The "
                 "test runs beside a proxy, so that the policies judge it as one.\n\n" +
                     commands(lines)});
}

void memory(std::vector<Section>& out, const std::vector<Part>& parts) {
  if (!installs(parts, "vertical-pod-autoscaler")) return;
  out.push_back({Chapter::troubleshooting, "What a pod would need",
                 "kubectl top pods -A --sort-by=memory\n"
                 "kubectl logs -n NAMESPACE POD --previous\n"
                 "kubectl get vpa -A\nkubectl describe vpa -n NAMESPACE NAME\n"});
}

}  // namespace

std::vector<Section> care(const Context& context, const std::vector<Part>& parts) {
  std::vector<Section> out;
  first_look(out, context, parts);
  weekly(out, context, parts);
  audit(out, parts);
  cost(out, context);
  charts(out, parts);
  cloud_upgrade(out, context);
  disaster(out, context, parts);
  routes(out, context, parts);
  memory(out, parts);
  return out;
}

}  // namespace tg::render
