// Buckets of Open Telekom Cloud: logs beside the platform, copies in another region.
#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

void logs(Otc& o) {
  Json body;
  body["bucket"] = o.c.logs_bucket;
  body["acl"] = "private";
  body["versioning"] = false;
  body["tags"] = kOtcTags;
  o.tf.resource("storage", "opentelekomcloud_obs_bucket", "logs", std::move(body));
}

Block backup_key(Otc& o) {
  Json body;
  body["provider"] = "opentelekomcloud.backup";
  body["key_alias"] = o.c.backup_bucket;
  body["key_description"] = "Encrypts the backups";
  body["pending_days"] = "30";
  body["rotation_enabled"] = true;
  body["tags"] = kOtcTags;
  return o.tf.resource("backup", "opentelekomcloud_kms_key_v1", "backup", std::move(body));
}

// What Velero deletes stays as an old version for as long again.
Json old_versions(int days) {
  Json rule;
  rule["name"] = "old-versions";
  rule["enabled"] = true;
  rule["noncurrent_version_expiration"]["days"] = days;
  rule["abort_incomplete_multipart_upload"]["days"] = 7;
  return rule;
}

void backup(Otc& o) {
  const Block key = backup_key(o);
  Json body;
  body["provider"] = "opentelekomcloud.backup";
  body["bucket"] = o.c.backup_bucket;
  body["region"] = o.c.backup_region;
  body["acl"] = "private";
  body["versioning"] = true;
  body["server_side_encryption"]["algorithm"] = "kms";
  body["server_side_encryption"]["kms_key_id"] = key.at("id");
  body["lifecycle_rule"] = Json::array({old_versions(o.c.keep_days)});
  body["tags"] = kOtcTags;
  body["lifecycle"]["prevent_destroy"] = true;
  const Block bucket = o.tf.resource("backup", "opentelekomcloud_obs_bucket", "backup", std::move(body));
  o.tf.output("backup_bucket", "Bucket of the backups", bucket.at("bucket"));
}

}  // namespace

void otc_buckets(Otc& o) {
  if (!o.c.logs_bucket.empty()) logs(o);
  if (!o.c.backup_bucket.empty()) backup(o);
}

}  // namespace tg::render
