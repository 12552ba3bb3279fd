//! The last export of Grafana, as the functions see it that did not make it.
//!
//! `grafana-export` writes the note.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::documents::{DocumentError, Documents};

/// The procedure that exports: the folder of its function and of its evidence.
pub const PROCEDURE: &str = "grafana-export";

/// Name of the note in that folder.
pub const NOTE: &str = "last export";

/// The last export, and the last check that it can be restored.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Export {
    /// When Grafana was last read completely.
    pub exported_at: Option<Timestamp>,
    /// Key of the export in the evidence bucket.
    pub key: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// The last release for which it was made; empty before the first.
    pub release: String,
    /// Grafana's version.
    pub version: String,
    /// Number of dashboards.
    pub dashboards: usize,
    /// Number of groups of alert rules.
    pub rule_groups: usize,
    /// Number of objects that it has in their earlier form, or not at all: they could not be read, or have a secret.
    pub left_out: usize,
    /// Objects of each kind; of a kind that shrank, as many as there were before, until that is accepted.
    pub lengths: BTreeMap<String, usize>,
    /// The pull request with the export's files, if one was open.
    pub pull_request: Option<u64>,
    /// When a check last compared a restored export with the stored one.
    pub checked_at: Option<Timestamp>,
    /// SHA-256 of the export that it restored.
    pub checked_sha256: String,
    /// The first difference that it found; none if it found none.
    pub fault: Option<String>,
    /// Since when the stored export has been another one than that; none if it is the same.
    pub unchecked_since: Option<Timestamp>,
}

impl Export {
    /// Reads the note; `documents` may be those of any procedure. None before the first export.
    ///
    /// # Errors
    ///
    /// The [`DocumentError`] of reading it.
    pub async fn read(documents: &Documents) -> Result<Option<Self>, DocumentError> {
        documents.of(PROCEDURE).get(NOTE).await
    }
}
