//! Lists all secrets.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::SecretListEntry;

use crate::aws::secrets::Listed;
use crate::runtime::failure::CallError;
use crate::runtime::time::instant;

/// All secrets in the account and region except those pending deletion. Changes of the last minutes may be missing:
/// ListSecrets is eventually consistent.
///
/// # Errors
///
/// The [`CallError`] of ListSecrets.
pub async fn secrets(client: &Client) -> Result<Vec<Listed>, CallError> {
    let mut pages = client.list_secrets().max_results(100).into_paginator().send();
    let mut listed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("secretsmanager:ListSecrets"))?;
        let secrets = page.secret_list.ok_or_else(|| CallError::empty("secretsmanager:ListSecrets"))?;
        listed.extend(secrets.into_iter().map(entry));
    }
    Ok(listed)
}

fn entry(entry: SecretListEntry) -> Listed {
    let tags = entry.tags.unwrap_or_default().into_iter();
    let labels = entry.secret_versions_to_stages.unwrap_or_default().into_iter();
    Listed {
        name: entry.name.unwrap_or_default(),
        arn: entry.arn.unwrap_or_default(),
        tags: tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect(),
        created: instant(entry.created_date),
        changed: instant(entry.last_changed_date),
        accessed: instant(entry.last_accessed_date),
        rotated: instant(entry.last_rotated_date),
        next: instant(entry.next_rotation_date),
        enabled: entry.rotation_enabled == Some(true),
        function: entry.rotation_lambda_arn,
        labels: labels.map(|(id, labels)| (id, labels.into_iter().collect())).collect(),
    }
}
