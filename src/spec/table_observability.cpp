// Platform.spec.components: metrics, dashboards, logs, traces and alerts.
#include <array>

#include "spec/tables.hpp"

namespace tg::spec {

namespace {

using namespace rows;
using T = Type;

constexpr auto kObservability = std::to_array<Row>({
    row("spec.components.metrics", T::object, "Measurements of nodes, pods and programs.").as("use"),
    row("spec.components.metrics.use", T::choice, "Who collects them.")
        .of("prometheus")
        .words("prometheus|cce-monitoring|none")
        .meets("S0-80 S1-03 S2-36 S4-58"),
    row("spec.components.metrics.replicas", T::integer, "Copies that measure the same.")
        .of("1")
        .in("replicas")
        .from(1, 10)
        .meets("S1-51 F-44"),
    row("spec.components.metrics.retention", T::duration, "How long they stay.")
        .of("15d")
        .from(kHours, 3650 * kDays)
        .meets("S1-52 F-44"),
    row("spec.components.metrics.interval", T::duration, "Time between two measurements.")
        .else_("30s, small 60s")
        .from(kSeconds, kHours),
    row("spec.components.metrics.storage", T::object, "Volume of each copy.").as("size"),
    row("spec.components.metrics.storage.size", T::quantity, "Size.")
        .of("50Gi")
        .in("bytes")
        .from(kMi, 64 * kTi),
    row("spec.components.metrics.storage.class", T::label, "Storage class.").else_("the default class"),
    row("spec.components.metrics.remoteWrite", T::object_list, "Stores that get a copy.")
        .else_("none")
        .meets("S1-55"),
    row("spec.components.metrics.remoteWrite[].url", T::url, "Where it is pushed to.").must(),
    row("spec.components.metrics.remoteWrite[].credentials", T::secret_ref, "Where user and password stand.")
        .else_("none"),
    row("spec.components.metrics.exporters", T::map,
        "Services outside the platform to measure: mysql, postgres, "
        "rabbitmq, or any with an image of its own.")
        .else_("none")
        .meets("S0-66 S0-67 S0-68 S0-101"),
    row("spec.components.metrics.exporters.*", T::object, "An exporter, by what it measures."),
    row("spec.components.metrics.exporters.*.host", T::host, "The service that is measured.").else_("none"),
    row("spec.components.metrics.exporters.*.port", T::integer,
        "Port of the service, with an image that of its metrics.")
        .else_("the service's own")
        .from(1, 65535),
    row("spec.components.metrics.exporters.*.credentials", T::secret_ref, "Where its login stands.")
        .else_("none"),
    row("spec.components.metrics.exporters.*.image", T::image,
        "Exporter for a service that is not known here.")
        .else_("the known one"),
    row("spec.components.metrics.host", T::host, "Name under which operators reach it; needs access.login.")
        .else_("none")
        .meets("S1-155 F-57"),

    row("spec.components.dashboards", T::object, "Pages of graphs.").as("use"),
    row("spec.components.dashboards.use", T::choice, "Which one.")
        .else_("grafana where there are metrics, else none")
        .words("grafana|none")
        .meets("S1-03 S2-37"),
    row("spec.components.dashboards.host", T::host, "Name under which it is published.")
        .else_("none")
        .meets("S1-154 S1-164 S2-02"),
    row("spec.components.dashboards.path", T::url_path, "Path below the name.").of("/").meets("S2-02"),
    row("spec.components.dashboards.replicas", T::integer, "Copies.").of("1").in("replicas").from(1, 10),

    row("spec.components.logs", T::object, "What programs write.").as("use"),
    row("spec.components.logs.use", T::choice, "Where it is kept; without metrics only if it is asked for.")
        .of("loki")
        .why("it is read in the same pages as the metrics")
        .words("loki|elasticsearch|files|cloudwatch|none")
        .meets("S0-71 S0-72 S1-04 S1-66 S2-38"),
    row("spec.components.logs.collector", T::choice, "Who fetches it from the nodes.")
        .of("alloy")
        .words("alloy|fluentd")
        .meets("S1-67 S4-62 F-47 F-93"),
    row("spec.components.logs.retention", T::duration, "How long it stays, in whole days.")
        .of("31d")
        .why("a month can be looked back on")
        .from(24 * kHours, 3650 * kDays)
        .meets("S1-68 F-46"),
    row("spec.components.logs.mode", T::choice, "One program, or one for each task.")
        .of("monolithic")
        .why("it is enough up to about 20 GB a day")
        .words("monolithic|distributed")
        .meets("F-45"),
    row("spec.components.logs.storage", T::object, "Volume of the store.").as("size"),
    row("spec.components.logs.storage.size", T::quantity, "Size.").of("50Gi").in("bytes").from(kMi, 64 * kTi),
    row("spec.components.logs.storage.class", T::label, "Storage class.").else_("the default class"),
    row("spec.components.logs.storage.bucket", T::dotted, "Bucket in place of the volume.")
        .else_("one that is made with mode distributed on clouds, else none"),
    row("spec.components.logs.host", T::host, "Name under which operators reach it; needs access.login.")
        .else_("none")
        .meets("S1-157 F-57"),
    row("spec.components.logs.compress", T::choice, "How files are packed.")
        .of("gzip")
        .words("gzip|none")
        .meets("S4-85"),
    row("spec.components.logs.path", T::url_path, "Directory of files on each node.")
        .of("/var/log/fluent")
        .meets("S4-85 F-20"),

    row("spec.components.traces", T::object, "The way of single requests; takes Zipkin, Jaeger and OTLP.")
        .as("use"),
    row("spec.components.traces.use", T::choice, "Where they are kept.")
        .of("none")
        .words("tempo|jaeger|none")
        .meets("S0-73 S1-107 F-84"),
    row("spec.components.traces.sampling", T::percent, "Share of the requests that are followed.")
        .of("5%")
        .why("enough to see a pattern, little enough to store")
        .from(0, 1)
        .meets("S1-107"),
    row("spec.components.traces.retention", T::duration, "How long they stay.")
        .of("7d")
        .from(kHours, 3650 * kDays),

    row("spec.components.alerts", T::object, "Who is told, and when.").as("use"),
    row("spec.components.alerts.use", T::choice, "Who sends.")
        .else_("alertmanager where there are metrics, else none")
        .words("alertmanager|none")
        .meets("S0-74 S1-03"),
    row("spec.components.alerts.host", T::host, "Name under which operators reach it; needs access.login.")
        .else_("none")
        .meets("S1-156 F-57"),
    row("spec.components.alerts.receivers", T::map, "Where messages go.")
        .else_("none: alerts are only shown")
        .meets("S1-61 S1-62"),
    row("spec.components.alerts.receivers.*", T::one_of, "A receiver, by its name."),
    row("spec.components.alerts.receivers.*.slack", T::object, "A channel of Slack.")
        .meets("S0-76 S1-62 F-55"),
    row("spec.components.alerts.receivers.*.slack.channel", T::text, "Its name, in quotes with its #.")
        .must(),
    row("spec.components.alerts.receivers.*.slack.url", T::secret_ref,
        "Where the address of the hook stands.")
        .must(),
    row("spec.components.alerts.receivers.*.pagerDuty", T::object, "A service of PagerDuty.")
        .meets("S0-77 S1-166 F-56"),
    row("spec.components.alerts.receivers.*.pagerDuty.routingKey", T::secret_ref, "Where its key stands.")
        .must(),
    row("spec.components.alerts.receivers.*.email", T::object, "Mail.").meets("S0-75 S1-62"),
    row("spec.components.alerts.receivers.*.email.to", T::text_list, "Who gets it.")
        .must()
        .item(T::email)
        .as("[]"),
    row("spec.components.alerts.receivers.*.email.from", T::email, "Who sends it.").must(),
    row("spec.components.alerts.receivers.*.email.smtp", T::host_port, "Server that takes it.").must(),
    row("spec.components.alerts.receivers.*.email.credentials", T::secret_ref,
        "Where user and password stand.")
        .else_("none"),
    row("spec.components.alerts.receivers.*.webhook", T::object, "Any program that takes a POST.")
        .meets("S0-78"),
    row("spec.components.alerts.receivers.*.webhook.url", T::secret_ref, "Where its address stands.").must(),
    row("spec.components.alerts.routes", T::object_list, "Which alert goes where; the first that fits holds.")
        .else_("everything to the first receiver")
        .meets("S1-63 F-56"),
    row("spec.components.alerts.routes[].severity", T::choice, "Alerts of this severity.")
        .else_("any")
        .words("critical|warning|info"),
    row("spec.components.alerts.routes[].team", T::label, "Alerts with this team.").else_("any"),
    row("spec.components.alerts.routes[].to", T::text_list, "Receivers.").must().item(T::label).as("[]"),
    row("spec.components.alerts.group", T::object, "Alerts that are told together.").meets("S1-64"),
    row("spec.components.alerts.group.by", T::text_list, "Labels that they share.")
        .of("alertname, namespace"),
    row("spec.components.alerts.group.wait", T::duration, "How long the first waits for others.")
        .of("30s")
        .from(0, kHours),
    row("spec.components.alerts.group.interval", T::duration, "Time until new ones of a group are told.")
        .of("5m")
        .from(kSeconds, 24 * kHours),
    row("spec.components.alerts.group.repeat", T::duration, "Time until the same is told again.")
        .of("4h")
        .from(60 * kSeconds, 30 * kDays),
    row("spec.components.alerts.rules", T::map, "Rules besides those of the parts that are present.")
        .else_("none")
        .keys(T::label_value)
        .meets("S2-17 S4-84"),
    row("spec.components.alerts.rules.*", T::object, "A rule, by its name."),
    row("spec.components.alerts.rules.*.workload", T::label, "Program that it is about.")
        .else_("all of them"),
    row("spec.components.alerts.rules.*.cpu", T::percent, "Fires above this share of the processor limit.")
        .else_("not looked at")
        .from(0, 10),
    row("spec.components.alerts.rules.*.memory", T::percent, "Fires above this share of the memory limit.")
        .else_("not looked at")
        .from(0, 1)
        .meets("S2-17 F-97"),
    row("spec.components.alerts.rules.*.gpu", T::percent, "Fires above this use of a GPU.")
        .else_("not looked at")
        .from(0, 1)
        .meets("S4-84 F-18"),
    row("spec.components.alerts.rules.*.disk", T::percent, "Fires above this share of a volume.")
        .else_("not looked at")
        .from(0, 1),
    row("spec.components.alerts.rules.*.expr", T::text, "An expression of PromQL in place of a share.")
        .else_("none"),
    row("spec.components.alerts.rules.*.for", T::duration, "How long it must hold.")
        .of("5m")
        .from(0, 30 * kDays),
    row("spec.components.alerts.rules.*.severity", T::choice, "How bad it is.")
        .of("warning")
        .words("critical|warning|info"),
    row("spec.components.alerts.rules.*.summary", T::text, "What is told.").else_("made from the rule"),
});

}  // namespace

std::span<const rows::Row> platform_observability_rows() { return kObservability; }

}  // namespace tg::spec
