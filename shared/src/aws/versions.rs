//! The versions of a secret.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;

use crate::runtime::failure::CallError;
use crate::runtime::time::instant;

/// Creation time of each version of a secret, including versions without labels. The service may omit the AWSPENDING
/// version.
///
/// # Errors
///
/// The [`CallError`] of ListSecretVersionIds.
pub async fn made(client: &Client, secret_id: &str) -> Result<BTreeMap<String, Timestamp>, CallError> {
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
