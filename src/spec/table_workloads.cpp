// Platform.spec: data services and programs of one's own; TrainingRun.
#include <array>

#include "spec/tables.hpp"

namespace tg::spec {

namespace {

using namespace rows;
using T = Type;

constexpr auto kWorkloads = std::to_array<Row>({
    row("spec.data", T::map, "Databases and brokers; Secret, exporter, dashboard and backup follow.")
        .else_("none"),
    row("spec.data.*", T::object, "A service, by its name.").as("use"),
    row("spec.data.*.use", T::choice, "What it is.")
        .must()
        .words("postgresql|timescaledb|valkey|kafka|aurora-postgresql")
        .meets("S1-58 S2-07 S2-31 F-63"),
    row("spec.data.*.instances", T::integer, "Members; the first writes, the others follow.")
        .of("1")
        .why("the smallest that works; three survive the loss of one")
        .in("instances")
        .from(1, 15)
        .meets("S2-23 S2-31"),
    row("spec.data.*.size", T::quantity, "Volume of each member.").of("10Gi").in("bytes").from(kMi, 64 * kTi),
    row("spec.data.*.class", T::label, "Storage class of the volumes.")
        .else_("the default class")
        .meets("S1-167"),
    row("spec.data.*.version", T::text, "Major version, in quotes.").else_("the pinned one"),
    row("spec.data.*.instanceType", T::text, "Size of a member of a cloud's service.")
        .else_("by the cloud's table"),
    row("spec.data.*.resources", T::object, "Processor and memory of a member."),
    row("spec.data.*.resources.requests", T::resources, "What is kept for it.").else_("by profile"),
    row("spec.data.*.resources.limits", T::resources, "What it may not exceed.").else_("by profile"),
    row("spec.data.*.topics", T::map, "Topics of Kafka.").else_("none"),
    row("spec.data.*.topics.*", T::object, "A topic, by its name.").as("partitions"),
    row("spec.data.*.topics.*.partitions", T::integer, "Consumers of one group that can share it.")
        .of("3")
        .in("partitions")
        .from(1, 10000),
    row("spec.data.*.topics.*.replicas", T::integer, "Copies of each partition.")
        .else_("3, with fewer instances as many")
        .from(1, 15),
    row("spec.data.*.topics.*.retention", T::duration, "How long messages stay.")
        .of("7d")
        .from(60 * kSeconds, 3650 * kDays),

    row("spec.apps", T::map, "Programs of one's own.").else_("none"),
    row("spec.apps.*", T::object, "A program, by its name.").as("image"),
    row("spec.apps.*.image", T::image, "Its image, with a fixed tag or digest.").must(),
    row("spec.apps.*.port", T::integer, "Port on which it listens.")
        .else_("none: it has no service")
        .from(1, 65535),
    row("spec.apps.*.hosts", T::text_list, "Names under which it is published.")
        .else_("none")
        .item(T::host)
        .meets("S1-158 S1-159"),
    row("spec.apps.*.paths", T::map, "Paths with rules of their own.").else_("none").keys(T::url_path),
    row("spec.apps.*.paths.*", T::object, "A path."),
    row("spec.apps.*.paths.*.rateLimit", T::object, "Requests to the path.")
        .as("rate")
        .like("spec.components.gateway.rateLimit")
        .meets("S1-33 S1-39"),
    row("spec.apps.*.uses", T::text_list,
        "Apps and data services that it calls; only those can be reached from it.")
        .else_("none")
        .item(T::label)
        .meets("S1-87 S1-108"),
    row("spec.apps.*.affinity", T::choice, "Requests of one client go to one replica, by a cookie.")
        .of("none")
        .words("none|cookie")
        .meets("S1-36"),
    row("spec.apps.*.webSocket", T::boolean, "Long connections in both directions.")
        .of("false")
        .meets("S1-35"),
    row("spec.apps.*.rateLimit", T::object, "Requests to the program.")
        .as("rate")
        .like("spec.components.gateway.rateLimit")
        .meets("S1-38 F-41"),
    row("spec.apps.*.canary", T::object, "A next version that gets a share of the requests.")
        .meets("S0-96 S1-105"),
    row("spec.apps.*.canary.image", T::image, "Its image.").must(),
    row("spec.apps.*.canary.weight", T::percent, "Its share.").of("10%").from(0, 1),
    row("spec.apps.*.volumes", T::map, "Volumes of the program.").else_("none").meets("S1-168 S1-170"),
    row("spec.apps.*.volumes.*", T::object, "A volume, by its name."),
    row("spec.apps.*.volumes.*.size", T::quantity, "Its size.").of("10Gi").in("bytes").from(kMi, 64 * kTi),
    row("spec.apps.*.volumes.*.class", T::label, "Its storage class.").else_("the default class"),
    row("spec.apps.*.volumes.*.mount", T::url_path, "Where the program sees it.").must(),
    row("spec.apps.*.resources", T::object, "Processor, memory and devices of a replica.").meets("S4-70"),
    row("spec.apps.*.resources.requests", T::resources, "What is kept for it.")
        .of("cpu: 100m, memory: 128Mi"),
    row("spec.apps.*.resources.limits", T::resources, "What it may not exceed.")
        .of("cpu: 500m, memory: 256Mi"),
    row("spec.apps.*.tenant", T::label, "Tenant in whose namespace it runs.")
        .else_("none: the namespace of apps")
        .meets("S2-33"),
    row("spec.apps.*.pool", T::label, "Pool that runs it.").else_("any without taints").meets("S2-29 F-94"),
    row("spec.apps.*.labels", T::text_map, "More labels of its pods; replicas keep apart by them.")
        .else_("none")
        .keys(T::qualified)
        .item(T::label_value)
        .meets("S4-89"),
    row("spec.apps.*.replicas", T::count, "Number of replicas.").else_("2 to 4"),
    row("spec.apps.*.replicas.min", T::integer, "Never fewer.")
        .of("2")
        .why("one can be lost or replaced")
        .in("replicas")
        .from(0, 1000)
        .meets("S4-68"),
    row("spec.apps.*.replicas.max", T::integer, "Never more.")
        .of("4")
        .in("replicas")
        .from(1, 1000)
        .meets("S4-68 F-14"),
    row("spec.apps.*.scale", T::object, "What the number of replicas follows."),
    row("spec.apps.*.scale.cpu", T::percent, "Share of the requested processor to hold.")
        .else_("70%, if nothing else is named")
        .why("there is time to start a replica before the rest is used up")
        .from(0.01, 10)
        .meets("S1-72 S2-26 S4-68 F-02"),
    row("spec.apps.*.scale.memory", T::percent, "Share of the requested memory to hold.")
        .else_("none")
        .from(0.01, 10)
        .meets("S1-72"),
    row("spec.apps.*.scale.requestsPerSecond", T::number, "Requests that one replica should get.")
        .else_("none")
        .in("requests/s")
        .from(0.001, 1e6)
        .meets("S1-73"),
    row("spec.apps.*.scale.kafka", T::object, "Messages that wait in a topic.").meets("S1-79"),
    row("spec.apps.*.scale.kafka.service", T::label, "The data service.").must(),
    row("spec.apps.*.scale.kafka.topic", T::text, "The topic.").must(),
    row("spec.apps.*.scale.kafka.group", T::text, "The consumer group.").else_("the app's name"),
    row("spec.apps.*.scale.kafka.lag", T::integer, "Messages that one replica may leave waiting.")
        .of("100")
        .in("messages")
        .from(1, 1e9),
    row("spec.apps.*.scale.redis", T::object, "Entries that wait in a list.").meets("S1-80"),
    row("spec.apps.*.scale.redis.service", T::label, "The data service.").must(),
    row("spec.apps.*.scale.redis.list", T::text, "The list.").must(),
    row("spec.apps.*.scale.redis.length", T::integer, "Entries that one replica may leave waiting.")
        .of("10")
        .in("entries")
        .from(1, 1e9),
    row("spec.apps.*.scale.cron", T::object_list, "Hours with a number of replicas.")
        .else_("none")
        .meets("S1-81"),
    row("spec.apps.*.scale.cron[].from", T::cron, "When they begin.").must(),
    row("spec.apps.*.scale.cron[].to", T::cron, "When they end.").must(),
    row("spec.apps.*.scale.cron[].timeZone", T::time_zone, "Whose clock it is.").of("UTC"),
    row("spec.apps.*.scale.cron[].replicas", T::integer, "At least this many then.")
        .must()
        .in("replicas")
        .from(1, 1000),
    row("spec.apps.*.scale.up", T::object, "How fast it grows.").meets("S1-74"),
    row("spec.apps.*.scale.up.pods", T::integer, "At most so many more in one period.")
        .else_("none")
        .in("replicas")
        .from(1, 1000),
    row("spec.apps.*.scale.up.percent", T::integer, "At most this share more in one period.")
        .of("100")
        .in("%")
        .from(1, 1000),
    row("spec.apps.*.scale.up.every", T::duration, "The period.").of("60s").from(kSeconds, 1800 * kSeconds),
    row("spec.apps.*.scale.up.after", T::duration, "How long the need must last.").of("0s").from(0, kHours),
    row("spec.apps.*.scale.down", T::object, "How fast it shrinks.").meets("S1-74"),
    row("spec.apps.*.scale.down.pods", T::integer, "At most so many fewer in one period.")
        .else_("none")
        .in("replicas")
        .from(1, 1000),
    row("spec.apps.*.scale.down.percent", T::integer, "At most this share fewer in one period.")
        .of("100")
        .in("%")
        .from(1, 100),
    row("spec.apps.*.scale.down.every", T::duration, "The period.").of("60s").from(kSeconds, 1800 * kSeconds),
    row("spec.apps.*.scale.down.after", T::duration, "How long the need must be gone.")
        .of("5m")
        .why("short gaps do not cost a start")
        .from(0, kHours),
    row("spec.apps.*.vertical", T::object, "Requests that follow what is used.").as("mode"),
    row("spec.apps.*.vertical.mode", T::choice, "Only recommend, set at start, change in place, or restart.")
        .of("recommend")
        .why("it changes nothing by itself")
        .words("recommend|initial|inPlace|recreate|off")
        .meets("S1-75 S1-76 F-60"),
    row("spec.apps.*.vertical.min", T::resources, "Never below.").else_("none").meets("S1-77"),
    row("spec.apps.*.vertical.max", T::resources, "Never above.").else_("none").meets("S1-77"),
});

constexpr auto kTrainingRun = std::to_array<Row>({
    row("spec.image", T::object, "The program that trains.").must(),
    row("spec.image.repository", T::text, "Where the image is.").must().meets("S0-33"),
    row("spec.image.tag", T::tag, "Its version, never latest.").must().meets("S0-34"),
    row("spec.image.pullPolicy", T::choice, "When a node asks the registry.")
        .of("IfNotPresent")
        .why("a fixed tag does not change")
        .words("IfNotPresent|Always|Never")
        .meets("S0-35"),
    row("spec.command", T::text_list, "Program and arguments in place of the image's.").else_("the image's"),
    row("spec.as", T::choice, "What runs it: a Job, a JobSet over several nodes, or a Deployment.")
        .else_("Job, with more than one node JobSet")
        .words("Job|JobSet|Deployment")
        .meets("S0-31"),
    row("spec.nodes", T::integer, "Nodes that train together.").of("1").in("nodes").from(1, 10000),
    row("spec.replicas", T::integer, "Copies of a Deployment.")
        .of("1")
        .in("replicas")
        .from(0, 1000)
        .meets("S0-32"),
    row("spec.pool", T::label, "Pool that runs it.").else_("the one with GPUs").meets("S0-46"),
    row("spec.resources", T::object, "Processor, memory and devices of each pod."),
    row("spec.resources.requests", T::resources, "What is kept for it.")
        .of("cpu: 8, memory: 32Gi, nvidia.com/gpu: 1")
        .meets("S0-36 S0-37 S0-38"),
    row("spec.resources.limits", T::resources, "What it may not exceed.")
        .of("cpu: 16, memory: 64Gi, nvidia.com/gpu: 1")
        .meets("S0-39 S0-40 S0-41"),
    row("spec.expose", T::object, "How the run is reached."),
    row("spec.expose.port", T::integer, "Port on which it listens.").of("8080").from(1, 65535).meets("S0-43"),
    row("spec.expose.service", T::choice, "Kind of its service.")
        .of("ClusterIP")
        .why("nothing outside the cluster needs a run")
        .words("ClusterIP|NodePort|LoadBalancer")
        .meets("S0-42"),
    row("spec.expose.host", T::host, "Name under which it is published.").else_("none"),
    row("spec.expose.metrics", T::url_path, "Path of its metrics.")
        .of("/metrics")
        .words("none")
        .meets("S0-70"),
    row("spec.volumes", T::map, "Volumes of the run.").else_("none").meets("S0-47"),
    row("spec.volumes.*", T::object, "A volume, by its name."),
    row("spec.volumes.*.size", T::quantity, "Its size.")
        .of("100Gi")
        .in("bytes")
        .from(kMi, 64 * kTi)
        .meets("S0-49"),
    row("spec.volumes.*.class", T::label, "Its storage class.")
        .else_("the default class")
        .meets("S0-48 F-74"),
    row("spec.volumes.*.type", T::text, "Its type, in the cloud's words.")
        .else_("that of the class")
        .meets("S0-50"),
    row("spec.volumes.*.mount", T::url_path, "Where the program sees it.").must(),
    row("spec.restart", T::object, "What happens when a pod is lost.").as("attempts"),
    row("spec.restart.attempts", T::integer, "How often it is started anew.")
        .of("3")
        .why("a node can be taken back; a fault of the program comes again")
        .in("times")
        .from(0, 1000),
    row("spec.restart.checkpointGrace", T::duration, "Time to write a checkpoint when it must stop.")
        .of("2m")
        .why("clouds give two minutes before they take a machine back")
        .from(0, kHours),
    row("spec.chart", T::object, "The chart that is rendered for it."),
    row("spec.chart.path", T::text, "Directory of the chart.")
        .of("helm/llm-application")
        .meets("S0-31 S0-61 F-75"),
    row("spec.chart.ingress", T::object, "Publishing by an Ingress of the chart.").as("enabled"),
    row("spec.chart.ingress.enabled", T::boolean, "Whether it has one.").of("false").meets("S0-44"),
    row("spec.chart.ingress.className", T::label, "Class of the Ingress.").of("nginx").meets("S0-45"),
    row("spec.chart.autoscaling", T::object, "Replicas of a Deployment that follow the processor.")
        .as("enabled"),
    row("spec.chart.autoscaling.enabled", T::boolean, "Whether they do.").of("false").meets("S0-51"),
    row("spec.chart.autoscaling.min", T::integer, "Never fewer.")
        .of("1")
        .in("replicas")
        .from(1, 1000)
        .meets("S0-52"),
    row("spec.chart.autoscaling.max", T::integer, "Never more.")
        .of("100")
        .in("replicas")
        .from(1, 1000)
        .meets("S0-53"),
});

}  // namespace

std::span<const rows::Row> platform_workload_rows() { return kWorkloads; }
std::span<const rows::Row> training_run_rows() { return kTrainingRun; }

}  // namespace tg::spec
