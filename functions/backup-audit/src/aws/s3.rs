//! S3.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_s3::operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketVersioningStatus, ExpirationStatus,
    LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration, PublicAccessBlockConfiguration,
    ReplicationRuleStatus, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, VersioningConfiguration,
};
use aws_sdk_s3control::config::endpoint::{Endpoint, EndpointFuture, Params, ResolveEndpoint};
use futures_util::join;
use jiff::Timestamp;
use shared::aws::buckets::moved;
use shared::runtime::failure::CallError;

use super::{Page, instant};
use crate::findings::Report;
use crate::rules::facts::{Acl, BLOCKS, Bucket, Encryption, Lifecycle, Lock, Newest, Role, Seen};

type S3 = aws_sdk_s3::Client;
type S3Control = aws_sdk_s3control::Client;

/// Most pages that the search for the newest object reads: fifty thousand objects.
const PAGES: usize = 50;

/// Id of the lifecycle rule that a repair adds.
const OURS: &str = "moveongs-governance";

/// A page of the buckets whose names start with `prefix`, each with its region.
pub(crate) async fn buckets(
    client: &S3,
    prefix: &str,
    token: Option<String>,
) -> Seen<Page<(String, Option<String>)>> {
    let listed =
        client.list_buckets().prefix(prefix).max_buckets(1000).set_continuation_token(token).send().await;
    let listed = listed.map_err(CallError::during("s3:ListAllMyBuckets"))?;
    let buckets = listed.buckets.ok_or_else(|| CallError::empty("s3:ListAllMyBuckets"))?.into_iter();
    let named = buckets.filter_map(|bucket| Some((bucket.name?, bucket.bucket_region)));
    Ok((named.collect(), listed.continuation_token))
}

/// A client for the region of a bucket that the role may see; none if the bucket does not exist.
pub(crate) async fn reach(client: &S3, bucket: &str) -> Seen<Option<S3>> {
    let (mut client, mut has_moved) = (client.clone(), false);
    loop {
        let head = client.head_bucket().bucket(bucket).send().await;
        let other = head.as_ref().err().and_then(|error| moved(&client, error));
        if let Some(other) = other.filter(|_| !has_moved) {
            (client, has_moved) = (other, true);
            continue;
        }
        return match head.map_err(CallError::during("s3:ListBucket")) {
            Ok(_) => Ok(Some(client)),
            Err(call) if ["NotFound", "NoSuchBucket"].contains(&call.code.as_str()) => Ok(None),
            Err(call) => Err(call),
        };
    }
}

/// None if S3 answers with `code`: nothing is configured.
fn absent<T>(found: Result<T, CallError>, code: &str) -> Seen<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(call) if call.code == code => Ok(None),
        Err(call) => Err(call),
    }
}

/// All facts about a bucket that the rules need. The search for its newest object stops at one as new as `young`.
pub(crate) async fn bucket(
    client: &S3,
    name: &str,
    role: Role,
    account_open: &Seen<Vec<&'static str>>,
    marker: &str,
    young: Timestamp,
) -> Bucket {
    let (versioning, lifecycle, open, encryption, policy, acl) = join!(
        versioning(client, name),
        lifecycle(client, name),
        open(client, name),
        encryption(client, name),
        policy(client, name),
        acl(client, name)
    );
    let mut bucket = Bucket {
        name: name.to_owned(),
        role,
        elsewhere: None,
        versioning,
        lifecycle,
        open,
        account_open: account_open.clone(),
        acl,
        encryption,
        policy,
        lock: None,
        replicates: None,
        logs: None,
        newest: None,
    };
    match role {
        Role::Attachments => {
            let (locked, replicated, logged) =
                join!(lock(client, name), replicates(client, name), logs(client, name));
            (bucket.lock, bucket.replicates, bucket.logs) = (Some(locked), Some(replicated), Some(logged));
        }
        Role::Evidence => bucket.lock = Some(lock(client, name).await),
        Role::Uploads => bucket.newest = Some(newest(client, name, Some(marker), young).await),
        Role::Grafana => bucket.newest = Some(newest(client, name, None, young).await),
        Role::State | Role::Other => {}
    }
    bucket
}

async fn versioning(client: &S3, bucket: &str) -> Seen<Option<String>> {
    let found = client.get_bucket_versioning().bucket(bucket).send().await;
    let found = found.map_err(CallError::during("s3:GetBucketVersioning"))?;
    Ok(found.status.map(|status| status.as_str().to_owned()))
}

async fn lifecycle(client: &S3, bucket: &str) -> Seen<Vec<Lifecycle>> {
    let found = configured(client, bucket).await?;
    Ok(found.and_then(|found| found.rules).unwrap_or_default().iter().map(rule).collect())
}

/// The lifecycle configuration; none if the bucket has none.
async fn configured(client: &S3, bucket: &str) -> Seen<Option<GetBucketLifecycleConfigurationOutput>> {
    let found = client.get_bucket_lifecycle_configuration().bucket(bucket).send().await;
    let found = absent(
        found.map_err(CallError::during("s3:GetLifecycleConfiguration")),
        "NoSuchLifecycleConfiguration",
    )?;
    // S3 has no configuration without rules, so the answer was not understood. A repair would take it for an empty
    // configuration and replace existing rules.
    if found.as_ref().is_some_and(|found| found.rules().is_empty()) {
        return Err(CallError::empty("s3:GetLifecycleConfiguration"));
    }
    Ok(found)
}

fn rule(rule: &LifecycleRule) -> Lifecycle {
    #[expect(deprecated, reason = "rules from before 2016 have it")]
    let prefix = rule.prefix();
    let filter = rule.filter();
    let all = filter.and_then(|filter| filter.and());
    let prefix = prefix.or_else(|| filter?.prefix()).or_else(|| all?.prefix()).unwrap_or_default();
    let is_filtered = filter.is_some_and(|filter| {
        filter.tag().is_some()
            || filter.object_size_greater_than().is_some()
            || filter.object_size_less_than().is_some()
    }) || all.is_some_and(|all| {
        !all.tags().is_empty()
            || all.object_size_greater_than().is_some()
            || all.object_size_less_than().is_some()
    });
    Lifecycle {
        id: rule.id().unwrap_or_default().to_owned(),
        is_ours: rule.id() == Some(OURS),
        is_enabled: *rule.status() == ExpirationStatus::Enabled,
        prefix: prefix.to_owned(),
        is_filtered,
        expires: rule
            .expiration()
            .is_some_and(|expiration| expiration.days().is_some() || expiration.date().is_some()),
        noncurrent_days: rule
            .noncurrent_version_expiration()
            .and_then(|expiration| expiration.noncurrent_days()),
        incomplete_days: rule
            .abort_incomplete_multipart_upload()
            .and_then(|abort| abort.days_after_initiation()),
    }
}

/// S3's error code where no public access block is configured.
const NO_BLOCK: &str = "NoSuchPublicAccessBlockConfiguration";

/// The blocks that are off.
fn off(on: [Option<bool>; 4]) -> Vec<&'static str> {
    BLOCKS.into_iter().zip(on).filter(|(_, is_on)| *is_on != Some(true)).map(|(name, _)| name).collect()
}

async fn open(client: &S3, bucket: &str) -> Seen<Vec<&'static str>> {
    let found = client.get_public_access_block().bucket(bucket).send().await;
    let found = absent(found.map_err(CallError::during("s3:GetBucketPublicAccessBlock")), NO_BLOCK)?;
    let Some(found) = found else { return Ok(BLOCKS.to_vec()) };
    let found = found
        .public_access_block_configuration
        .ok_or_else(|| CallError::empty("s3:GetBucketPublicAccessBlock"))?;
    Ok(off([
        found.block_public_acls,
        found.ignore_public_acls,
        found.block_public_policy,
        found.restrict_public_buckets,
    ]))
}

/// The blocks that are off for the account.
pub(crate) async fn account_open(client: &S3Control, account: &str) -> Seen<Vec<&'static str>> {
    let found = client.get_public_access_block().account_id(account).send().await;
    let found = absent(found.map_err(CallError::during("s3:GetAccountPublicAccessBlock")), NO_BLOCK)?;
    let Some(found) = found else { return Ok(BLOCKS.to_vec()) };
    let found = found
        .public_access_block_configuration
        .ok_or_else(|| CallError::empty("s3:GetAccountPublicAccessBlock"))?;
    Ok(off([
        found.block_public_acls,
        found.ignore_public_acls,
        found.block_public_policy,
        found.restrict_public_buckets,
    ]))
}

/// A client for the account's settings. The SDK prefixes the host's name with the account. A configured endpoint,
/// possibly an IP address, is used unchanged.
pub(crate) fn control(aws: &SdkConfig) -> S3Control {
    let mut config = aws_sdk_s3control::config::Builder::from(aws);
    if let Some(url) = aws.endpoint_url() {
        config = config.endpoint_resolver(Fixed(url.to_owned()));
    }
    S3Control::from_conf(config.build())
}

#[derive(Debug)]
struct Fixed(String);

impl ResolveEndpoint for Fixed {
    fn resolve_endpoint<'a>(&'a self, _: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(Endpoint::builder().url(self.0.clone()).build()))
    }
}

async fn acl(client: &S3, bucket: &str) -> Seen<Acl> {
    let found = client.get_bucket_acl().bucket(bucket).send().await;
    let found = found.map_err(CallError::during("s3:GetBucketAcl"))?;
    if found.grants.is_none() {
        return Err(CallError::empty("s3:GetBucketAcl"));
    }
    let mut acl = Acl { owner: found.owner.and_then(|owner| owner.id), ..Acl::default() };
    for grantee in found.grants.unwrap_or_default().into_iter().filter_map(|grant| grant.grantee) {
        acl.accounts.extend(grantee.id);
        let group = grantee.uri.as_deref().and_then(|uri| uri.rsplit('/').next());
        // The third group is S3's own log delivery, which acts for the bucket's owner.
        acl.groups.extend(group.filter(|group| *group != "LogDelivery").map(str::to_owned));
    }
    Ok(acl)
}

async fn encryption(client: &S3, bucket: &str) -> Seen<Option<Encryption>> {
    let found = client.get_bucket_encryption().bucket(bucket).send().await;
    let code = "ServerSideEncryptionConfigurationNotFoundError";
    let found = absent(found.map_err(CallError::during("s3:GetEncryptionConfiguration")), code)?;
    let Some(found) = found else { return Ok(None) };
    let found = found.server_side_encryption_configuration;
    let found = found.ok_or_else(|| CallError::empty("s3:GetEncryptionConfiguration"))?;
    let default = found.rules.into_iter().find_map(|rule| rule.apply_server_side_encryption_by_default);
    Ok(default.map(|default| Encryption {
        algorithm: default.sse_algorithm.as_str().to_owned(),
        key: default.kms_master_key_id,
    }))
}

/// The bucket policy; none if the bucket has none.
pub(crate) async fn policy(client: &S3, bucket: &str) -> Seen<Option<String>> {
    let found = client.get_bucket_policy().bucket(bucket).send().await;
    let found = absent(found.map_err(CallError::during("s3:GetBucketPolicy")), "NoSuchBucketPolicy")?;
    // A successful answer always has a policy. A repair would take an answer without one for a bucket without a policy.
    found.map(|found| found.policy.ok_or_else(|| CallError::empty("s3:GetBucketPolicy"))).transpose()
}

/// The tags of a bucket.
pub(crate) async fn tags(client: &S3, bucket: &str) -> Seen<BTreeMap<String, String>> {
    let found = client.get_bucket_tagging().bucket(bucket).send().await;
    let found = absent(found.map_err(CallError::during("s3:GetBucketTagging")), "NoSuchTagSet")?;
    let tags = found.map(|found| found.tag_set).unwrap_or_default();
    Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

async fn lock(client: &S3, bucket: &str) -> Seen<Option<Lock>> {
    let found = client.get_object_lock_configuration().bucket(bucket).send().await;
    let code = "ObjectLockConfigurationNotFoundError";
    let found = absent(found.map_err(CallError::during("s3:GetBucketObjectLockConfiguration")), code)?;
    let Some(found) = found else { return Ok(None) };
    let found = found.object_lock_configuration;
    let found = found.ok_or_else(|| CallError::empty("s3:GetBucketObjectLockConfiguration"))?;
    let retention = found.rule.and_then(|rule| rule.default_retention);
    Ok(retention.and_then(|retention| {
        let days = retention.days.or_else(|| Some(retention.years? * 365))?;
        Some(Lock { mode: retention.mode?.as_str().to_owned(), days })
    }))
}

async fn replicates(client: &S3, bucket: &str) -> Seen<bool> {
    let found = client.get_bucket_replication().bucket(bucket).send().await;
    let code = "ReplicationConfigurationNotFoundError";
    let found = absent(found.map_err(CallError::during("s3:GetReplicationConfiguration")), code)?;
    let Some(found) = found else { return Ok(false) };
    let found = found.replication_configuration;
    let found = found.ok_or_else(|| CallError::empty("s3:GetReplicationConfiguration"))?;
    Ok(found.rules.iter().any(|rule| *rule.status() == ReplicationRuleStatus::Enabled))
}

async fn logs(client: &S3, bucket: &str) -> Seen<bool> {
    let found = client.get_bucket_logging().bucket(bucket).send().await;
    Ok(found.map_err(CallError::during("s3:GetBucketLogging"))?.logging_enabled.is_some())
}

/// When the newest object was written: the marker's time if there is a marker, or else that of an object as new as
/// `young`. S3 does not list by age, so the search stops there.
async fn newest(client: &S3, bucket: &str, marker: Option<&str>, young: Timestamp) -> Seen<Newest> {
    if let Some(marker) = marker {
        let head = client.head_object().bucket(bucket).key(marker).send().await;
        match head.map_err(CallError::during("s3:GetObject")) {
            Ok(head) => {
                if let Some(at) = instant(head.last_modified) {
                    return Ok(Newest::At(at));
                }
            }
            Err(call) if call.code == "NotFound" => {}
            Err(call) => return Err(call),
        }
    }
    let mut objects = client.list_objects_v2().bucket(bucket).into_paginator().send();
    let (mut newest, mut count) = (None, 0);
    for _ in 0..PAGES {
        let Some(page) = objects.next().await else {
            return Ok(newest.map_or(Newest::Nothing, Newest::At));
        };
        let page = page.map_err(CallError::during("s3:ListBucket"))?;
        if page.is_truncated.is_none() {
            return Err(CallError::empty("s3:ListBucket"));
        }
        let times = page.contents.unwrap_or_default().into_iter().map(|object| instant(object.last_modified));
        for at in times {
            count += 1;
            newest = newest.max(at);
        }
        if let Some(at) = newest.filter(|at| *at >= young) {
            return Ok(Newest::At(at));
        }
    }
    Ok(Newest::NotAll(count))
}

/// Enables versioning.
pub(crate) async fn version(client: &S3, bucket: &str) -> Result<(), CallError> {
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let put = client.put_bucket_versioning().bucket(bucket).versioning_configuration(on).send().await;
    put.map_err(CallError::during("s3:PutBucketVersioning"))?;
    Ok(())
}

/// Blocks public access in all four ways.
pub(crate) async fn close(client: &S3, bucket: &str) -> Result<(), CallError> {
    let all = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    let put =
        client.put_public_access_block().bucket(bucket).public_access_block_configuration(all).send().await;
    put.map_err(CallError::during("s3:PutBucketPublicAccessBlock"))?;
    Ok(())
}

/// Sets a key as the default encryption.
pub(crate) async fn encrypt(client: &S3, bucket: &str, key: &str) -> Result<(), CallError> {
    let during = CallError::before("s3:PutEncryptionConfiguration");
    let default = ServerSideEncryptionByDefault::builder()
        .sse_algorithm(ServerSideEncryption::AwsKms)
        .kms_master_key_id(key);
    let default = default.build().map_err(&during)?;
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(default)
        .bucket_key_enabled(true)
        .build();
    let all = ServerSideEncryptionConfiguration::builder().rules(rule).build().map_err(&during)?;
    let put =
        client.put_bucket_encryption().bucket(bucket).server_side_encryption_configuration(all).send().await;
    put.map_err(CallError::during("s3:PutEncryptionConfiguration"))?;
    Ok(())
}

/// Replaces the bucket policy.
pub(crate) async fn put_policy(client: &S3, bucket: &str, policy: &str) -> Result<(), CallError> {
    let put = client.put_bucket_policy().bucket(bucket).policy(policy).send().await;
    put.map_err(CallError::during("s3:PutBucketPolicy"))?;
    Ok(())
}

/// Adds one lifecycle rule for the whole bucket and keeps the others; replaces the rule of an earlier repair.
pub(crate) async fn add_lifecycle(
    client: &S3,
    bucket: &str,
    noncurrent: Option<i32>,
    incomplete: Option<i32>,
) -> Result<(), CallError> {
    let found = configured(client, bucket).await?;
    let minimum = found.as_ref().and_then(|found| found.transition_default_minimum_object_size.clone());
    let rules = found.and_then(|found| found.rules).unwrap_or_default();
    let mut rules: Vec<_> = rules.into_iter().map(with_filter).collect();
    let before = rules.iter().position(|rule| rule.id() == Some(OURS)).map(|place| rules.remove(place));
    let noncurrent =
        noncurrent.map(|days| NoncurrentVersionExpiration::builder().noncurrent_days(days).build());
    let incomplete =
        incomplete.map(|days| AbortIncompleteMultipartUpload::builder().days_after_initiation(days).build());
    let before = before.as_ref();
    let added = LifecycleRule::builder()
        .id(OURS)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .set_noncurrent_version_expiration(
            noncurrent.or_else(|| before?.noncurrent_version_expiration.clone()),
        )
        .set_abort_incomplete_multipart_upload(
            incomplete.or_else(|| before?.abort_incomplete_multipart_upload.clone()),
        );
    let during = CallError::before("s3:PutLifecycleConfiguration");
    rules.push(added.build().map_err(&during)?);
    let all = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build().map_err(&during)?;
    let put = client.put_bucket_lifecycle_configuration().bucket(bucket).lifecycle_configuration(all);
    let put = put.set_transition_default_minimum_object_size(minimum).send().await;
    put.map_err(CallError::during("s3:PutLifecycleConfiguration"))?;
    Ok(())
}

/// Moves a rule's prefix into a `Filter`. S3 refuses a configuration that mixes rules with a `Filter` and rules with a
/// bare `Prefix`, the form from before 2016.
fn with_filter(mut rule: LifecycleRule) -> LifecycleRule {
    #[expect(deprecated, reason = "rules from before 2016 have it")]
    let prefix = rule.prefix.take();
    let has_filter =
        rule.filter.as_ref().is_some_and(|filter| *filter != LifecycleRuleFilter::builder().build());
    if let Some(prefix) = prefix.filter(|_| !has_filter) {
        rule.filter = Some(LifecycleRuleFilter::builder().prefix(prefix).build());
    }
    // A rule without both applies to the whole bucket.
    rule.filter.get_or_insert_with(|| LifecycleRuleFilter::builder().prefix("").build());
    rule
}

/// Stores a report from a file under a key; never overwrites an object.
pub(crate) async fn store(client: &S3, bucket: &str, key: &str, report: &Report) -> Result<(), CallError> {
    let body = ByteStream::from_path(report.file.path()).await.map_err(CallError::before("s3:PutObject"))?;
    let put = client.put_object().bucket(bucket).key(key).body(body).content_type(report.kind);
    // Object Lock requires a checksum, and the SDK cannot send a file's before its content.
    let put = put.checksum_sha256(report.checksum()).if_none_match("*").send().await;
    match put.map_err(CallError::during("s3:PutObject")) {
        // `PreconditionFailed`: an earlier attempt stored it, and its answer was lost.
        Err(call) if call.code != "PreconditionFailed" => Err(call),
        _ => Ok(()),
    }
}

/// Opens a stored report as a stream.
pub(crate) async fn open_report(client: &S3, bucket: &str, key: &str) -> Seen<ByteStream> {
    let object = client.get_object().bucket(bucket).key(key).send().await;
    Ok(object.map_err(CallError::during("s3:GetObject"))?.body)
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::StaticReplayClient;
    use shared::testing::{aws, replies};

    use super::*;

    const BUCKET: &str = "moveongs-prod-attachments";

    fn client(answers: &[&str]) -> (S3, StaticReplayClient) {
        let wire = replies(answers);
        (S3::new(&aws(&wire)), wire)
    }

    /// The operation that a read reports for an answer without a body, after one request.
    macro_rules! of_nothing {
        ($read:expr) => {{
            let (client, wire) = client(&[""]);
            let call: CallError = $read(&client).await.err().unwrap();
            assert_eq!(wire.actual_requests().count(), 1, "{call}");
            call.operation
        }};
    }

    #[tokio::test]
    async fn an_answer_without_a_body_is_an_error() {
        let young = Timestamp::UNIX_EPOCH;
        let found = [
            of_nothing!(async |client| buckets(client, "moveongs", None).await),
            of_nothing!(async |client| versioning(client, BUCKET).await),
            of_nothing!(async |client| lifecycle(client, BUCKET).await),
            of_nothing!(async |client| open(client, BUCKET).await),
            of_nothing!(async |client| acl(client, BUCKET).await),
            of_nothing!(async |client| encryption(client, BUCKET).await),
            of_nothing!(async |client| policy(client, BUCKET).await),
            of_nothing!(async |client| tags(client, BUCKET).await),
            of_nothing!(async |client| lock(client, BUCKET).await),
            of_nothing!(async |client| replicates(client, BUCKET).await),
            of_nothing!(async |client| logs(client, BUCKET).await),
            of_nothing!(async |client| newest(client, BUCKET, None, young).await),
        ];
        let expected = [
            "s3:ListAllMyBuckets",
            "s3:GetBucketVersioning",
            "s3:GetLifecycleConfiguration",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketAcl",
            "s3:GetEncryptionConfiguration",
            "s3:GetBucketPolicy",
            "s3:GetBucketTagging",
            "s3:GetBucketObjectLockConfiguration",
            "s3:GetReplicationConfiguration",
            "s3:GetBucketLogging",
            "s3:ListBucket",
        ];
        assert_eq!(found, expected);
    }

    /// In the Amazon S3 API Reference each of these answers has an element that proves that the list is complete.
    #[tokio::test]
    async fn a_list_without_proof_of_its_length_is_an_error() {
        let (client, _) =
            client(&["<ListAllMyBucketsResult/>", "<AccessControlPolicy/>", "<ListBucketResult/>"]);
        for call in [
            buckets(&client, "moveongs", None).await.map(drop).unwrap_err(),
            acl(&client, BUCKET).await.unwrap_err(),
            newest(&client, BUCKET, None, Timestamp::UNIX_EPOCH).await.map(drop).unwrap_err(),
        ] {
            assert_eq!(call.code, "EmptyAnswer", "{call}");
        }
    }

    /// The Amazon S3 API Reference has these answers for a bucket without any setting.
    #[tokio::test]
    async fn an_empty_element_means_that_nothing_is_set() {
        let xmlns = r#"xmlns="http://s3.amazonaws.com/doc/2006-03-01/""#;
        let (of_versions, _) = client(&[&format!("<VersioningConfiguration {xmlns}/>")]);
        assert_eq!(versioning(&of_versions, BUCKET).await, Ok(None));
        let (of_logs, _) = client(&[&format!("<BucketLoggingStatus {xmlns}/>")]);
        assert_eq!(logs(&of_logs, BUCKET).await, Ok(false));
    }

    #[tokio::test]
    async fn unread_lifecycle_rules_are_not_replaced() {
        for answer in ["", "<LifecycleConfiguration/>"] {
            let (client, wire) = client(&[answer, ""]);
            let refused = add_lifecycle(&client, BUCKET, Some(30), None).await.unwrap_err();
            assert_eq!(refused.operation, "s3:GetLifecycleConfiguration");
            assert!(refused.is_unanswered(), "{refused}");
            assert_eq!(wire.actual_requests().count(), 1, "only the read");
        }
    }

    /// S3 refuses a configuration that has both forms: "Filter element can only be used in Lifecycle V2".
    #[tokio::test]
    async fn a_rule_is_added_to_rules_of_the_old_form_which_keep_everything_but_their_prefix() {
        let rules = [
            "<Rule><ID>old</ID><Prefix>tmp/&amp;</Prefix><Status>Enabled</Status><Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition><NoncurrentVersionTransition><NoncurrentDays>9</NoncurrentDays><StorageClass>STANDARD_IA</StorageClass><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionTransition></Rule>",
            "<Rule><ID>all</ID><Prefix></Prefix><Status>Disabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>",
            "<Rule><ID>bare</ID><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>",
            "<Rule><ID>new</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>40</NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule>",
            "<Rule><ID>moveongs-governance</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>",
        ];
        let shown = format!("<LifecycleConfiguration>{}</LifecycleConfiguration>", rules.concat());
        let (reader, _) = client(&[&shown]);
        let before = configured(&reader, BUCKET).await.unwrap().unwrap().rules.unwrap();
        let (writer, wire) = client(&[&shown, ""]);
        add_lifecycle(&writer, BUCKET, Some(30), None).await.unwrap();
        let written = wire.actual_requests().nth(1).unwrap();
        let written = String::from_utf8(written.body().bytes().unwrap().to_vec()).unwrap();
        let (reader, _) = client(&[&written]);
        let after = configured(&reader, BUCKET).await.unwrap().unwrap().rules.unwrap();
        #[expect(deprecated, reason = "the old form must be gone")]
        let old = after.iter().filter(|rule| rule.prefix().is_some() || rule.filter().is_none()).count();
        assert_eq!(old, 0, "{written}");
        let (ours, others) = after.split_last().unwrap();
        assert_eq!((ours.id(), others.len()), (Some(OURS), 4));
        let days = ours.abort_incomplete_multipart_upload().and_then(|abort| abort.days_after_initiation());
        assert_eq!(days, Some(7), "an earlier repair's setting stays");
        for (before, after) in before.iter().zip(others) {
            assert_eq!(rule(before), rule(after));
            // Only the prefix moves.
            assert_eq!(with_filter(before.clone()), *after);
            assert_eq!(
                (before.id(), before.status(), before.expiration(), before.transitions()),
                (after.id(), after.status(), after.expiration(), after.transitions())
            );
        }
    }
}
