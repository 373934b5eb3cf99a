// Platform.spec: delivery, access, backup and upkeep.
#include <array>

#include "spec/tables.hpp"

namespace tg::spec {

namespace {

using namespace rows;
using T = Type;

constexpr auto kUpkeep = std::to_array<Row>({
    row("spec.delivery", T::object, "How changes arrive."),
    row("spec.delivery.ci", T::object, "The pipeline that is written.").as("use"),
    row("spec.delivery.ci.use", T::choice, "Whose.")
        .of("none")
        .words("github-actions|gitlab-ci|none")
        .meets("S2-04"),
    row("spec.delivery.ci.repository", T::text, "OWNER/NAME of the repository.").else_("none"),
    row("spec.delivery.ci.branch", T::text, "Branch whose changes are deployed.").of("main").meets("S2-19"),
    row("spec.delivery.ci.environment", T::label, "Protected environment of the pipeline.")
        .of("production")
        .meets("S2-20"),
    row("spec.delivery.ci.login", T::choice,
        "How it gets into the cluster: with its own short-lived token, or a kubeconfig.")
        .of("oidc")
        .why("nothing that lasts can leak")
        .words("oidc|kubeconfig")
        .meets("S2-20 F-95"),
    row("spec.delivery.ci.runner", T::text,
        "Label of the machine that deploys: one of your own in the network of a private API server.")
        .else_("ubuntu-24.04 if everybody reaches the API server, else the platform's name")
        .why("machines of others have no fixed address"),
    row("spec.delivery.scan", T::object, "Searches for known holes before a deployment."),
    row("spec.delivery.scan.images", T::text_list, "In images.")
        .of("trivy")
        .item(T::choice)
        .words("trivy|none")
        .as("[]")
        .meets("S0-82 S1-193 F-83"),
    row("spec.delivery.scan.infrastructure", T::text_list, "In the rendered files.")
        .of("trivy, checkov")
        .item(T::choice)
        .words("trivy|checkov|none")
        .as("[]")
        .meets("S0-89 F-82"),
    row("spec.delivery.updates", T::choice, "Who proposes newer versions.")
        .of("renovate")
        .why("it knows charts, images and modules alike")
        .words("renovate|dependabot|none")
        .meets("S0-91 S0-95"),
    row("spec.delivery.environments", T::map, "Variants of the platform, each a change of this document.")
        .else_("production, without changes")
        .meets("S0-96"),
    row("spec.delivery.environments.*", T::object,
        "A variant; what it names is put over the document, null removes.")
        .like("spec")
        .partial(),
    row("spec.delivery.environments.*.after", T::label, "The one that must be good first.").else_("none"),
    row("spec.delivery.environments.*.approval", T::boolean, "A person must agree.").of("false"),
    row("spec.delivery.strategy", T::choice, "How a new version takes over.")
        .of("rolling")
        .words("rolling|canary|blue-green")
        .meets("S0-96"),
    row("spec.delivery.gitops", T::object, "Who keeps the cluster like the repository.").as("use"),
    row("spec.delivery.gitops.use", T::choice, "Which one.")
        .of("none")
        .words("fleet|argo-cd|none")
        .meets("S3-29 F-110"),
    row("spec.delivery.gitops.chart", T::label, "Chart that holds everything.")
        .else_("the Platform's name")
        .meets("S3-34"),

    row("spec.access", T::object, "Ways in."),
    row("spec.access.api", T::choice, "Who can reach the API server.")
        .of("private")
        .why("what cannot be reached cannot be attacked")
        .words("private|public")
        .meets("S0-81"),
    row("spec.access.from", T::text_list, "Networks that may, when it is public.")
        .else_("none")
        .item(T::cidr),
    row("spec.access.vpn", T::object, "A tunnel to another site.").meets("S0-60 S0-81 S1-28"),
    row("spec.access.vpn.peer", T::ip, "Its end there.").must(),
    row("spec.access.vpn.networks", T::text_list, "Networks there.").must().item(T::cidr).as("[]"),
    row("spec.access.vpn.preSharedKey", T::secret_ref, "Where the shared key stands.").must(),
    row("spec.access.peering", T::object_list, "Networks of the same cloud to connect with.")
        .else_("none")
        .meets("S0-81"),
    row("spec.access.peering[].vpcId", T::text, "The other network.").must(),
    row("spec.access.peering[].networks", T::text_list, "Its addresses.").must().item(T::cidr).as("[]"),
    row("spec.access.bastion", T::boolean, "A small machine to jump from.").of("false").meets("S1-28"),
    row("spec.access.login", T::object, "How operators say who they are."),
    row("spec.access.login.oidc", T::object, "By an OpenID Connect provider; guards every host of operators.")
        .else_("none: those hosts are not published")
        .meets("S1-60 F-57"),
    row("spec.access.login.oidc.issuer", T::url, "Its address.").must(),
    row("spec.access.login.oidc.clientId", T::text, "Name of the platform there.").must(),
    row("spec.access.login.oidc.clientSecret", T::secret_ref, "Where the secret stands.").must(),
    row("spec.access.login.oidc.authorizationUrl", T::url, "Where users are sent to.")
        .else_("ISSUER/authorize"),
    row("spec.access.login.oidc.tokenUrl", T::url, "Where codes become tokens.").else_("ISSUER/token"),
    row("spec.access.login.oidc.userinfoUrl", T::url, "Where it says who somebody is.")
        .else_("ISSUER/userinfo"),
    row("spec.access.forward", T::map, "Ports of this machine that lead to parts of the platform.")
        .else_("none")
        .meets("S3-60 S3-61 S3-62 S3-63"),
    row("spec.access.forward.*", T::integer, "The port, by the part.").from(1, 65535),

    row("spec.backup", T::object, "Copies outside the platform.").as("use").meets("S0-98"),
    row("spec.backup.use", T::choice, "Who makes them.")
        .else_("velero; on k3s with profile small copies of the databases")
        .words("velero|copies|none")
        .meets("S4-77 F-27"),
    row("spec.backup.schedule", T::cron, "When.")
        .of("0 2 * * *")
        .why("at night, before the hours of upkeep")
        .meets("S4-80"),
    row("spec.backup.keep", T::duration, "How long they stay.").of("30d").from(kHours, 3650 * kDays),
    row("spec.backup.store", T::object, "Where they go; not where the platform is.")
        .as("bucket")
        .meets("S1-220 S4-79 F-27"),
    row("spec.backup.store.bucket", T::dotted, "Bucket of the platform's cloud.").else_("one that is made"),
    row("spec.backup.store.region", T::label, "Region of that bucket.")
        .else_("another one than the platform's"),
    row("spec.backup.store.s3", T::object, "Any store that speaks S3.").meets("S4-78 S4-79 F-28"),
    row("spec.backup.store.s3.endpoint", T::url, "Its address.").must(),
    row("spec.backup.store.s3.bucket", T::dotted, "The bucket.").must(),
    row("spec.backup.store.s3.region", T::label, "Region to name.")
        .of("us-east-1")
        .why("what stores without regions expect"),
    row("spec.backup.store.s3.pathStyle", T::boolean, "The bucket stands in the path, not in the host name.")
        .of("true")
        .why("own stores have no names for buckets"),
    row("spec.backup.store.s3.ca", T::secret_ref, "Where its authority's certificate stands.")
        .else_("the public ones"),
    row("spec.backup.store.s3.credentials", T::secret_ref, "Where its keys stand.").must(),
    row("spec.backup.volumes", T::choice, "How volumes are copied: file by file, by snapshots, or not.")
        .of("fileSystem")
        .why("it works with every class")
        .words("fileSystem|snapshots|none")
        .meets("F-27"),
    row("spec.backup.class", T::label, "Storage class of the volumes through which snapshots are read.")
        .else_("the class of the snapshot")
        .meets("S1-169"),
    row("spec.backup.drill", T::choice, "How often a restore is tried.")
        .of("monthly")
        .why("a copy that was never restored is a hope")
        .words("weekly|monthly|quarterly|none")
        .meets("S1-208 S1-219"),

    row("spec.upkeep", T::object, "Planned care."),
    row("spec.upkeep.window", T::object, "When the platform may be disturbed.").as("at").meets("S0-99"),
    row("spec.upkeep.window.at", T::window, "Days and hours.").of("Sun 03:00-05:00"),
    row("spec.upkeep.window.timeZone", T::time_zone, "Whose clock it is.").of("UTC"),
    row("spec.upkeep.notice", T::object, "Word to those who are concerned.").as("before").meets("S0-99"),
    row("spec.upkeep.notice.before", T::duration, "How long before.").of("3d").from(0, 90 * kDays),
    row("spec.upkeep.notice.to", T::text_list, "Receivers of alerts that get it.")
        .else_("none")
        .item(T::label)
        .as("[]"),
    row("spec.upkeep.reboot", T::object, "Restarts that updates ask for.").as("at").meets("F-29"),
    row("spec.upkeep.reboot.at", T::window, "When.").else_("upkeep.window").words("never"),
    row("spec.upkeep.reboot.timeZone", T::time_zone, "Whose clock it is.").else_("that of upkeep.window"),
    row("spec.upkeep.reboot.drain", T::boolean, "Pods leave the node first.").of("true"),
    row("spec.upkeep.securityUpdates", T::choice,
        "Packages of hosts; what belongs to Kubernetes is held back.")
        .of("automatic")
        .words("automatic|manual")
        .meets("S4-83 F-29"),
    row("spec.upkeep.cis", T::choice, "How often the cluster is compared with the CIS benchmark.")
        .of("monthly")
        .words("weekly|monthly|none")
        .meets("S1-194 S4-86 F-30"),
});

}  // namespace

std::span<const rows::Row> platform_upkeep_rows() { return kUpkeep; }

}  // namespace tg::spec
