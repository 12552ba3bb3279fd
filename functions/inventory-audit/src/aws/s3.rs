//! Buckets.

use std::collections::BTreeMap;

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use shared::aws::buckets::moved;
use shared::runtime::failure::{CallError, chain};

use super::{Clients, Found, S3, unclear};
use crate::rules::facts::Details;
use crate::rules::settings::{Rule, Setting, lifecycle};

impl Clients {
    /// A bucket without tags answers NoSuchTagSet. The role may not read another account's bucket of that name, which
    /// is an error.
    pub(super) async fn bucket(&self, name: &str) -> Result<Option<Found>, CallError> {
        let arn = format!("arn:{}:s3:::{name}", self.partition());
        let (mut client, mut has_moved) = (self.s3.clone(), false);
        let tags = loop {
            let found = client.get_bucket_tagging().bucket(name).send().await;
            let other = found.as_ref().err().and_then(|error| moved(&client, error));
            if let Some(other) = other.filter(|_| !has_moved) {
                (client, has_moved) = (other, true);
                continue;
            }
            break match found {
                Ok(found) => Ok(found.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect()),
                Err(error) if error.code() == Some("NoSuchTagSet") => Ok(BTreeMap::new()),
                Err(error) if error.code() == Some("NoSuchBucket") => return Ok(None),
                Err(error) => return Err(CallError::during("s3:GetBucketTagging")(error)),
            };
        };
        let settings = [
            (Setting::Versioning, versioning(&client, name).await.map_err(|error| chain(&error))),
            (Setting::Lifecycle, rules(&client, name).await.map_err(|error| chain(&error))),
        ];
        Ok(Some(Found::new(Some(arn), tags, Details { settings: settings.into(), ..Details::default() })))
    }
}

/// Versioning of a bucket; `Disabled`, Terraform's word, if it was never on.
async fn versioning(client: &S3, bucket: &str) -> Result<String, CallError> {
    let found = client.get_bucket_versioning().bucket(bucket).send().await;
    let found = found.map_err(CallError::during("s3:GetBucketVersioning"))?;
    Ok(found.status.map_or_else(|| "Disabled".to_owned(), |status| status.as_str().to_owned()))
}

async fn rules(client: &S3, bucket: &str) -> Result<String, CallError> {
    let found = match client.get_bucket_lifecycle_configuration().bucket(bucket).send().await {
        Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => return Ok(lifecycle([])),
        found => found.map_err(CallError::during("s3:GetLifecycleConfiguration"))?,
    };
    let rules = found.rules.ok_or_else(|| unclear("s3:GetLifecycleConfiguration"))?;
    Ok(lifecycle(rules.into_iter().map(|rule| Rule {
        is_enabled: rule.status().as_str() == "Enabled",
        prefix: prefix(&rule).unwrap_or_default().to_owned(),
        expires: rule.expiration().and_then(|expiration| expiration.days()),
        noncurrent: rule.noncurrent_version_expiration().and_then(|expiration| expiration.noncurrent_days()),
        incomplete: rule.abort_incomplete_multipart_upload().and_then(|abort| abort.days_after_initiation()),
        id: rule.id.unwrap_or_default(),
    })))
}

/// Prefix of the keys that a rule applies to.
fn prefix(rule: &aws_sdk_s3::types::LifecycleRule) -> Option<&str> {
    #[expect(deprecated, reason = "rules from before 2016 have it instead of a filter")]
    let of_rule = rule.prefix();
    let filter = rule.filter();
    let both = filter.and_then(|filter| filter.and()).and_then(|both| both.prefix());
    filter.and_then(|filter| filter.prefix()).or(both).or(of_rule)
}
