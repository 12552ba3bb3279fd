//! The notes that runs leave outside their chain.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::folder::Folder;
use crate::{Mark, Pin, Unknown, Witness, sha256};

/// A procedure's notes, read from `runs/<procedure>/`.
///
/// A run notes the place for its record before it writes it, in `runs/<procedure>/<SHA-256 of the run id>.json`. The
/// place follows the newest record, so a note shows that the record before it existed.
#[derive(Clone, Debug)]
pub struct Notes {
    folder: Folder,
    /// Noted sequences, by SHA-256 of the run's id.
    places: BTreeMap<String, u64>,
    last: Option<(u64, String)>,
    mark: Option<Pin>,
    unknown: Vec<Unknown>,
}

/// A run's note. Other documents beside it have other fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    key: String,
}

impl Notes {
    /// No notes yet.
    pub fn new(procedure: &str) -> Self {
        let folder = Folder::records(procedure);
        Self { folder, places: BTreeMap::new(), last: None, mark: None, unknown: Vec::new() }
    }

    /// Takes an object of the procedure's notes; one that is no note is a document of another kind.
    pub fn note(&mut self, key: &str, bytes: &[u8]) {
        let chain = self.folder.chain();
        let Some(name) = key.strip_prefix("runs/").and_then(|key| key.strip_prefix(chain)?.strip_prefix('/'))
        else {
            return;
        };
        if name == "begun.json" {
            match mark(&self.folder, bytes) {
                Ok(Mark { sequence, record }) => {
                    let witness = Witness::Begun { key: key.to_owned() };
                    self.mark = Some(Pin { sequence, sha256: Some(record.sha256), witness });
                }
                Err(reason) => self.unread(key, &reason),
            }
            return;
        }
        let Some(run) = name.strip_suffix(".json") else { return };
        let Ok(Place { key: place }) = serde_json::from_slice(bytes) else { return };
        let Some(sequence) = self.folder.sequence(&place) else { return };
        self.places.insert(run.to_owned(), sequence);
        if self.last.as_ref().is_none_or(|(last, _)| *last < sequence) {
            self.last = Some((sequence, key.to_owned()));
        }
    }

    /// Takes a note that could not be read.
    pub fn unread(&mut self, key: &str, reason: &str) {
        let (chain, key, reason) = (self.folder.chain().to_owned(), key.to_owned(), reason.to_owned());
        self.unknown.push(Unknown { chain, sequence: None, key, reason });
    }

    /// What the notes show about the chain.
    pub(crate) fn pins(&self) -> impl Iterator<Item = Pin> {
        let last = self.last.as_ref().filter(|(sequence, _)| *sequence > 1).map(|(sequence, key)| Pin {
            sequence: sequence - 1,
            sha256: None,
            witness: Witness::Note { key: key.clone() },
        });
        self.mark.clone().into_iter().chain(last)
    }

    /// The sequence that a run noted.
    pub(crate) fn place(&self, run_id: &str) -> Option<u64> {
        self.places.get(&sha256(run_id.as_bytes())).copied()
    }

    pub(crate) fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }
}

/// The note that a chain has begun.
fn mark(folder: &Folder, bytes: &[u8]) -> Result<Mark, String> {
    let mark: Mark =
        serde_json::from_slice(bytes).map_err(|error| crate::record::shortened(&error.to_string()))?;
    if folder.sequence(&mark.record.key) != Some(mark.sequence) {
        return Err("its key is not that of its sequence".to_owned());
    }
    Ok(mark)
}
