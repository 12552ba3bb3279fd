//! The notes that runs leave outside their chain.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::folder::Folder;
use crate::{Mark, Pin, Unknown, Witness, sha256};

/// Name of the note that the chain has begun.
const BEGUN: &str = "begun.json";

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

    /// The name of an object of the procedure's notes.
    fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix("runs/")?.strip_prefix(self.folder.chain())?.strip_prefix('/')
    }

    /// Takes an object of the procedure's notes; one that is no note is a document of another kind.
    pub fn note(&mut self, key: &str, bytes: &[u8]) {
        let Some(name) = self.name(key) else { return };
        if name == BEGUN {
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

    /// Takes an object that is too large to be read: more than [`MOST_BYTES`](crate::MOST_BYTES). Documents of other kinds
    /// may be; the note that the chain has begun is not.
    pub fn large(&mut self, key: &str, bytes: u64) {
        if self.name(key) == Some(BEGUN) {
            self.unread(key, &format!("it has {bytes} bytes, and a note has some hundred"));
        }
    }

    /// Takes a note that could not be read.
    pub fn unread(&mut self, key: &str, reason: &str) {
        let (chain, key, reason) = (self.folder.chain().to_owned(), key.to_owned(), reason.to_owned());
        self.unknown.push(Unknown { chain, sequence: None, key, reason });
    }

    /// Whether the notes show that the chain has a record, or could not be read and may show it. A run that noted the first
    /// place may have died before it wrote the record.
    pub fn is_witness(&self) -> bool {
        self.pins().next().is_some() || !self.unknown.is_empty()
    }

    /// The highest sequence that a run noted.
    pub fn newest(&self) -> Option<u64> {
        self.last.as_ref().map(|(sequence, _)| *sequence)
    }

    /// Whether the note that the chain has begun was read.
    pub fn has_begun(&self) -> bool {
        self.mark.is_some()
    }

    /// The pins that the notes show.
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
