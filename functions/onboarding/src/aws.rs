//! The AWS calls of this function alone. No other file names SDK operations.

use std::collections::BTreeSet;

use serde::Deserialize;
use shared::chain::{Folder, Link, MOST_BYTES, Stack, State, Verifier};
use shared::run::documents::Documents;
use shared::runtime::failure::{CallError, chain};
use shared::runtime::language::Language;

use crate::error::OnboardingError;

/// Names of the IAM users in a group.
pub(crate) async fn group(client: &aws_sdk_iam::Client, name: &str) -> Result<BTreeSet<String>, CallError> {
    let mut pages = client.get_group().group_name(name).into_paginator().send();
    let mut users = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("iam:GetGroup"))?;
        users.extend(page.users.into_iter().map(|user| user.user_name));
    }
    Ok(users)
}

/// An intact record of a run, as it is stored.
pub(crate) struct Stored {
    /// Its place and SHA-256.
    pub link: Link,
    /// The object's bytes.
    pub bytes: Vec<u8>,
}

/// A run's note: the place of its record.
#[derive(Deserialize)]
struct Noted {
    key: String,
}

/// The record of a run of another procedure, if it is intact: stored once, and named by the record after it, if there is
/// one, with its SHA-256.
///
/// # Errors
///
/// [`OnboardingError::NoRecord`], [`OnboardingError::NotIntact`], or that of a failed call.
pub(crate) async fn record(
    documents: &Documents,
    procedure: &'static str,
    run: &str,
    stack: Stack,
) -> Result<Stored, OnboardingError> {
    let none = || OnboardingError::NoRecord(procedure.to_owned());
    let documents = documents.of(procedure);
    let Noted { key } = documents.get(run).await?.ok_or_else(none)?;
    let harmed = |reason: &str| OnboardingError::NotIntact {
        procedure: procedure.to_owned(),
        key: key.clone(),
        reason: reason.to_owned(),
    };
    let folder = Folder::records(procedure);
    let sequence = folder.sequence(&key).ok_or_else(|| harmed("its key is not that of a record"))?;
    let Some(bytes) = only(&documents, &key).await?.map_err(harmed)? else { return Err(none()) };
    let mut verifier = Verifier::new(procedure).of(stack).starting(sequence);
    // Its place was noted, and another run took it.
    let is_of_run = verifier.record(&key, &bytes, None).is_none_or(|record| record.run_id == run);
    if !is_of_run {
        return Err(none());
    }
    let next = folder.key(sequence.saturating_add(1));
    if let Some(bytes) = only(&documents, &next).await?.map_err(harmed)? {
        verifier.record(&next, &bytes, None);
    }
    let verdict = verifier.finish();
    if verdict.state() != State::Verified {
        let fault = verdict.faults.first().map(|fault| fault.what(Language::English));
        return Err(harmed(&fault.unwrap_or_else(|| "it could not be read".to_owned())));
    }
    let sha256 = shared::chain::sha256(&bytes);
    Ok(Stored { link: Link { key, sha256 }, bytes })
}

/// The bytes of an object that was written once; none if there is no such object. The inner error says what is wrong.
async fn only(documents: &Documents, key: &str) -> Result<Result<Option<Vec<u8>>, &'static str>, CallError> {
    let Documents { client, bucket, .. } = documents;
    let listed = client.list_object_versions().bucket(bucket).prefix(key).max_keys(2).send().await;
    let listed = listed.map_err(CallError::during("s3:ListBucketVersions"))?;
    if !listed.delete_markers().is_empty() {
        return Ok(Err("a delete marker hides it"));
    }
    let size = match listed.versions() {
        [] => return Ok(Ok(None)),
        [only] => only.size().unwrap_or_default(),
        _ => return Ok(Err("it was written more than once")),
    };
    if u64::try_from(size).is_ok_and(|size| size > MOST_BYTES) {
        return Ok(Err("it is too large for a record"));
    }
    let object = client.get_object().bucket(bucket).key(key).send().await;
    let object = object.map_err(CallError::during("s3:GetObject"))?;
    let bytes = object.body.collect().await.map_err(|error| CallError {
        operation: "s3:GetObject",
        code: "NoServiceCode".to_owned(),
        message: chain(&error),
    })?;
    Ok(Ok(Some(bytes.into_bytes().to_vec())))
}
