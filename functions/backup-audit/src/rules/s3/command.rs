//! Commands of the AWS CLI for buckets.

use serde_json::json;
use shared::command;
use shared::run::command::Command;

use crate::rules::facts::Bucket;
use crate::rules::rule::Context;

pub(super) fn put(bucket: &Bucket, operation: &str, change: &Command) -> Command {
    command!("aws s3api {operation} --bucket {bucket} {change}", operation, bucket = bucket.name, change)
}

/// Enables all four public access blocks, regardless of the account's.
pub(super) fn close(bucket: &Bucket) -> Command {
    put(
        bucket,
        "put-public-access-block",
        &command!(
            "--public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
        ),
    )
}

/// Invokes the repair's plan if the bucket can be repaired. Manual steps are a comment, since they cannot be pasted
/// unchanged.
pub(super) fn plan_or(bucket: &Bucket, rule: &str, by_hand: &Command, context: &Context<'_>) -> Command {
    if !bucket.role.is_repaired() || bucket.elsewhere.is_some() {
        return command!("# docs/backups.md#regras: {by_hand}", by_hand);
    }
    let function = format!("{}-{}-backup-audit", context.project, context.environment);
    let event = json!({"repair": {"resource": bucket.name, "rule": rule}});
    command!(
        r#"{invoke}  # "apply":true aplica / applies; ou / or: {by_hand}"#,
        invoke = Command::invoke(&function, &event),
        by_hand
    )
}

pub(super) fn lifecycle(bucket: &Bucket, rule: &str, context: &Context<'_>) -> Command {
    let by_hand = command!(
        r#"aws s3api get-bucket-lifecycle-configuration --bucket {bucket} --output json | jq '{{Rules: [.Rules[] | if has("Prefix") then .Filter = {{Prefix: .Prefix}} | del(.Prefix) else . end]}}' > lifecycle.json; NoncurrentDays ≥ {days} em cada regra que o tem / in each rule that has it; acrescentar / add: {{"ID":"moveongs-governance","Status":"Enabled","Filter":{{}},"NoncurrentVersionExpiration":{{"NoncurrentDays":{days}}},"AbortIncompleteMultipartUpload":{{"DaysAfterInitiation":{upload_days}}}}}; aws s3api put-bucket-lifecycle-configuration --bucket {bucket} --lifecycle-configuration file://lifecycle.json; se lá há TransitionDefaultMinimumObjectSize, o mesmo em / if it has one, the same in --transition-default-minimum-object-size"#,
        bucket = bucket.name,
        days = context.noncurrent_days,
        upload_days = context.policy.incomplete_upload_days
    );
    plan_or(bucket, rule, &by_hand, context)
}
