//! Commands of the AWS CLI for buckets.

use crate::rules::facts::Bucket;
use crate::rules::rule::Context;

pub(super) fn put(bucket: &Bucket, operation: &str, change: &str) -> String {
    format!("aws s3api {operation} --bucket {} {change}", bucket.name)
}

/// Enables all four public access blocks, regardless of the account's.
pub(super) fn close(bucket: &Bucket) -> String {
    put(
        bucket,
        "put-public-access-block",
        "--public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
    )
}

/// Invokes the repair's plan if the bucket can be repaired. Manual steps are a comment, since they cannot be pasted
/// unchanged.
pub(super) fn plan_or(bucket: &Bucket, rule: &str, by_hand: &str, context: &Context<'_>) -> String {
    if !bucket.role.is_repaired() || bucket.elsewhere.is_some() {
        return format!("# docs/backups.md#regras: {by_hand}");
    }
    format!(
        r#"echo '{{"repair":{{"rule":"{rule}","resource":"{}"}}}}' | aws lambda invoke --function-name {}-{}-backup-audit --cli-read-timeout 910 --payload fileb:///dev/stdin /dev/stdout  # "apply":true aplica / applies; ou / or: {by_hand}"#,
        bucket.name, context.project, context.environment
    )
}

pub(super) fn lifecycle(bucket: &Bucket, rule: &str, context: &Context<'_>) -> String {
    let by_hand = format!(
        r#"aws s3api get-bucket-lifecycle-configuration --bucket {0} --output json | jq '{{Rules: [.Rules[] | if has("Prefix") then .Filter = {{Prefix: .Prefix}} | del(.Prefix) else . end]}}' > lifecycle.json; NoncurrentDays ≥ {1} em cada regra que o tem / in each rule that has it; acrescentar / add: {{"ID":"moveongs-governance","Status":"Enabled","Filter":{{}},"NoncurrentVersionExpiration":{{"NoncurrentDays":{1}}},"AbortIncompleteMultipartUpload":{{"DaysAfterInitiation":{2}}}}}; aws s3api put-bucket-lifecycle-configuration --bucket {0} --lifecycle-configuration file://lifecycle.json; se lá há TransitionDefaultMinimumObjectSize, o mesmo em / if it has one, the same in --transition-default-minimum-object-size"#,
        bucket.name, context.noncurrent_days, context.policy.incomplete_upload_days
    );
    plan_or(bucket, rule, &by_hand, context)
}
