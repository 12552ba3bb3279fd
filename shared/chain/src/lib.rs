//! The chains of evidence records, and the anchors that name their heads: their forms, and their verification.
//!
//! A chain is a folder of objects with numbers that count down: `evidence/<procedure>/<number>.json` for records,
//! `anchors/<project>/<environment>/<number>.json` for anchors. Each object names the previous one by its key and
//! SHA-256. What one chain cannot show (its end cut off, all of it rewritten consistently) its [witnesses](Pin) show:
//! anchors, the notes of runs, and the list of versions.
//!
//! Objects are judged one at a time, oldest first, and not kept. Data in, data out: no SDK, no clock, no file.

pub mod anchor;
mod fault;
mod folder;
mod listing;
mod note;
mod record;
mod verify;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use fault::{Fault, Harm, Unknown};
pub use folder::Folder;
pub use listing::{Entry, Listing, Version, versions};
pub use note::Notes;
pub use record::{MOST_BYTES, Record, Step};
pub use verify::{Late, State, Verdict, Verifier};

/// The procedures that keep a chain of records. A procedure that is removed from the product stays here: its chain does.
pub const PROCEDURES: [&str; 18] = [
    "attachment-restore-test",
    "backup-audit",
    "emergency-restore",
    "governance-report",
    "grafana-export",
    "incident-clock",
    "inventory-audit",
    "onboarding",
    "policy",
    "postmortem",
    "restore-test",
    "rotate-database",
    "rotate-external",
    "rotate-random",
    "rotation-audit",
    "rotation-followup",
    "snapshot-create",
    "snapshot-verify",
];

/// The stack that objects belong to.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Stack {
    /// Project of the stack.
    pub project: String,
    /// Environment of the stack: dev, staging or prod.
    pub environment: String,
}

/// An object's place and content, as the next object of its chain refers to it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    /// The object's key.
    pub key: String,
    /// SHA-256 of the object's bytes, in lower-case hexadecimal.
    pub sha256: String,
}

/// The newest object of a chain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Head {
    /// Its sequence: the first object of a chain has 1.
    pub sequence: u64,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// When its run ended, as the record says; when the anchor was made, as the anchor says.
    pub ended: Timestamp,
    /// In an anchor: SHA-256 of what the verification that found this head keeps for the next one, in lower-case
    /// hexadecimal. Only a caller that keeps something sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

impl Head {
    /// The pin of an earlier verification that found this head.
    pub fn pin(&self) -> Pin {
        Pin { sequence: self.sequence, sha256: Some(self.sha256.clone()), witness: Witness::Earlier }
    }
}

/// Proof that a chain has begun: one of its records. The note `runs/<procedure>/begun.json` is one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Mark {
    /// The record's sequence.
    pub sequence: u64,
    /// The record.
    #[serde(flatten)]
    pub record: Link,
}

/// A witness's statement about one object of a chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pin {
    /// Sequence of an object that existed.
    pub sequence: u64,
    /// SHA-256 of its bytes, in lower-case hexadecimal; none if the witness shows only that it existed.
    pub sha256: Option<String>,
    /// The witness.
    pub witness: Witness,
}

/// A source of knowledge about a chain: mostly an object outside of it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Witness {
    /// An earlier verification.
    Earlier,
    /// A run's note of the place for its record, which it took at the chain's end.
    Note {
        /// Key of the note.
        key: String,
    },
    /// The note that the chain has begun.
    Begun {
        /// Key of the note.
        key: String,
    },
    /// An anchor.
    Anchor {
        /// Key of the anchor.
        key: String,
        /// When it was made, as it says.
        at: Timestamp,
    },
}

/// SHA-256 of bytes, in lower-case hexadecimal, as `sha256sum` prints it.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
