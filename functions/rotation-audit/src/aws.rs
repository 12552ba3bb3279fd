//! The AWS calls. The only file that names SDK operations; none of them reads a secret's value but that of the token.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::types::SecretListEntry;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use secrecy::SecretString;
use shared::failure::CallError;

use crate::policy::Facts;
use crate::text::Page;

type Secrets = aws_sdk_secretsmanager::Client;

/// A secret as the list shows it.
pub(crate) struct Listed {
    /// Name.
    pub name: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What the list tells; without what has calls of its own.
    pub facts: Facts,
}

/// Every secret of account and region that is not being deleted.
pub(crate) async fn list(client: &Secrets) -> Result<Vec<Listed>, CallError> {
    let mut pages = client.list_secrets().max_results(100).into_paginator().send();
    let mut listed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("secretsmanager:ListSecrets"))?;
        listed.extend(page.secret_list.unwrap_or_default().into_iter().map(entry));
    }
    Ok(listed)
}

fn entry(entry: SecretListEntry) -> Listed {
    let tags = entry.tags.unwrap_or_default().into_iter();
    let labels = entry.secret_versions_to_stages.unwrap_or_default().into_iter();
    Listed {
        name: entry.name.unwrap_or_default(),
        tags: tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect(),
        facts: Facts {
            arn: entry.arn.unwrap_or_default(),
            created: instant(entry.created_date),
            changed: instant(entry.last_changed_date),
            accessed: instant(entry.last_accessed_date),
            rotated: instant(entry.last_rotated_date),
            next: instant(entry.next_rotation_date),
            enabled: entry.rotation_enabled == Some(true),
            function: entry.rotation_lambda_arn,
            labels: labels.map(|(id, labels)| (id, labels.into_iter().collect())).collect(),
            made: Ok(BTreeMap::new()),
            resource_policy: Ok(None),
        },
    }
}

fn instant(at: Option<DateTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::from_second(at.secs()).ok())
}

/// When each version was made, those without a label too.
pub(crate) async fn versions(
    client: &Secrets,
    secret_id: &str,
) -> Result<BTreeMap<String, Timestamp>, CallError> {
    let listed = client.list_secret_version_ids().secret_id(secret_id).include_deprecated(true);
    let mut pages = listed.into_paginator().send();
    let mut made = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("secretsmanager:ListSecretVersionIds"))?;
        let versions = page.versions.unwrap_or_default().into_iter();
        made.extend(
            versions.filter_map(|version| Some((version.version_id?, instant(version.created_date)?))),
        );
    }
    Ok(made)
}

/// The resource policy, as JSON.
pub(crate) async fn resource_policy(client: &Secrets, secret_id: &str) -> Result<Option<String>, CallError> {
    let found = client.get_resource_policy().secret_id(secret_id).send().await;
    Ok(found.map_err(CallError::during("secretsmanager:GetResourcePolicy"))?.resource_policy)
}

/// The value of the secret that holds the board's token; read each time, so that a token that was replaced is used.
pub(crate) async fn token(client: &Secrets, secret_id: &str) -> Result<SecretString, CallError> {
    let value = client.get_secret_value().secret_id(secret_id).send().await;
    let value = value.map_err(CallError::during("secretsmanager:GetSecretValue"))?;
    Ok(SecretString::from(value.secret_string.unwrap_or_default()))
}

/// Publishes a page. Who reads mail reads the text, who is a program the attributes.
pub(crate) async fn publish(client: &aws_sdk_sns::Client, topic: &str, page: &Page) -> Result<(), CallError> {
    let attributes = [("dedup_key", &page.dedup_key), ("secret", &page.secret)];
    let attributes = attributes.into_iter().filter_map(|(name, value)| {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
        Some((name.to_owned(), value.ok()?))
    });
    let publish = client.publish().topic_arn(topic).subject(&page.subject).message(&page.text);
    let publish = publish.set_message_attributes(Some(attributes.collect()));
    publish.send().await.map_err(CallError::during("sns:Publish"))?;
    Ok(())
}
