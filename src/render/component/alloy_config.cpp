// The configuration of Alloy, line by line. The chart runs it through its templates, so there are no braces
// in pairs.
#include <fmt/format.h>

#include "render/component/logs.hpp"

namespace tg::render::observability {

namespace {

class Lines {
 public:
  void open(std::string_view head) {
    line(fmt::format("{} {}", head, '{'));
    ++depth_;
  }
  void close() {
    --depth_;
    line("}");
    if (depth_ == 0) text_ += "\n";
  }
  void line(std::string_view text) { text_ += std::string(depth_ * 2, ' ') + std::string(text) + "\n"; }
  std::string take() {
    while (text_.ends_with("\n\n")) text_.pop_back();
    return std::move(text_);
  }

 private:
  std::string text_;
  std::size_t depth_ = 0;
};

void rule(Lines& out, std::string_view source, std::string_view target) {
  out.open("rule");
  out.line(fmt::format("source_labels = [\"{}\"]", source));
  out.line(fmt::format("target_label  = \"{}\"", target));
  out.close();
}

void pods(Lines& out) {
  out.open("discovery.kubernetes \"pods\"");
  out.line("role = \"pod\"");
  out.open("selectors");
  out.line("role  = \"pod\"");
  out.line("field = \"spec.nodeName=\" + sys.env(\"HOSTNAME\")");
  out.close();
  out.close();

  out.open("discovery.relabel \"pods\"");
  out.line("targets = discovery.kubernetes.pods.targets");
  rule(out, "__meta_kubernetes_namespace", "namespace");
  rule(out, "__meta_kubernetes_pod_name", "pod");
  rule(out, "__meta_kubernetes_pod_container_name", "container");
  rule(out, "__meta_kubernetes_pod_node_name", "node");
  // The recommended label, else the older one.
  out.open("rule");
  out.line(
      "source_labels = [\"__meta_kubernetes_pod_label_app_kubernetes_io_name\", "
      "\"__meta_kubernetes_pod_label_app\"]");
  out.line("separator     = \";\"");
  out.line("regex         = \"^;*([^;]+)(;.*)?$\"");
  out.line("replacement   = \"$1\"");
  out.line("target_label  = \"app\"");
  out.close();
  out.open("rule");
  out.line("source_labels = [\"__meta_kubernetes_pod_uid\", \"__meta_kubernetes_pod_container_name\"]");
  out.line("separator     = \"/\"");
  out.line("replacement   = \"/var/log/pods/*$1/*.log\"");
  out.line("target_label  = \"__path__\"");
  out.close();
  out.close();

  out.open("local.file_match \"pods\"");
  out.line("path_targets = discovery.relabel.pods.output");
  out.close();

  out.open("loki.source.file \"pods\"");
  out.line("targets    = local.file_match.pods.targets");
  out.line("forward_to = [loki.process.pods.receiver]");
  out.close();

  out.open("loki.process \"pods\"");
  out.line("forward_to = [loki.write.store.receiver]");
  out.line("stage.cri { }");
  // The level of JSON and logfmt lines. A label must have few values: only known words become one.
  out.open("stage.regex");
  out.line(
      "expression = `(?i)(?:level|lvl|severity)\"?\\s*[=:]\\s*\"?"
      "(?P<level>trace|debug|info|warn|error|fatal|critical)`");
  out.close();
  out.open("stage.labels");
  out.line("values = { level = \"\" }");
  out.close();
  // What has many values stands beside the line, not in the index.
  out.open("stage.structured_metadata");
  out.line("values = { pod = \"\", node = \"\" }");
  out.close();
  out.open("stage.label_drop");
  out.line("values = [\"pod\", \"node\", \"filename\", \"stream\"]");
  out.close();
  out.close();
}

void journal(Lines& out) {
  out.open("loki.relabel \"journal\"");
  out.line("forward_to = []");
  rule(out, "__journal__systemd_unit", "unit");
  rule(out, "__journal__hostname", "node");
  out.close();

  out.open("loki.source.journal \"machine\"");
  out.line("path          = \"/var/log/journal\"");
  out.line("max_age       = \"12h\"");
  out.line("relabel_rules = loki.relabel.journal.rules");
  out.line("labels        = { job = \"journal\" }");
  out.line("forward_to    = [loki.write.store.receiver]");
  out.close();
}

void audit(Lines& out, std::string_view folder) {
  out.open("local.file_match \"audit\"");
  out.line(
      fmt::format("path_targets = [{{ \"__path__\" = \"{}/audit.log\", \"job\" = \"audit\" }}]", folder));
  out.close();

  out.open("loki.source.file \"audit\"");
  out.line("targets    = local.file_match.audit.targets");
  out.line("forward_to = [loki.write.store.receiver]");
  out.close();
}

}  // namespace

std::string alloy_config(const Context& context, std::string_view push) {
  Lines out;
  out.open("logging");
  out.line("level  = \"warn\"");
  out.line("format = \"logfmt\"");
  out.close();
  pods(out);
  const bool own_machines = context.site() == Site::machines || context.site() == Site::k3s;
  if (own_machines) journal(out);
  if (own_machines && context.spec().text("cluster.audit") != "none")
    audit(out, context.site() == Site::k3s ? kK3sLogs : "/var/log/kubernetes/audit");
  out.open("loki.write \"store\"");
  out.open("endpoint");
  out.line(fmt::format("url = \"{}\"", push));
  out.close();
  out.line(fmt::format("external_labels = {{ cluster = \"{}\" }}", context.cluster_name()));
  out.close();
  return out.take();
}

}  // namespace tg::render::observability
