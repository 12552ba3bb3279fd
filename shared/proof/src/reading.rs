//! Everything that was read from one server, and what is left to read.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::content::{Content, KeyRange, Progress, Sample, Span};
use crate::foreign_key::ForeignKey;
use crate::newest::Newest;
use crate::physical::Physical;
use crate::sequence::Sequence;
use crate::structure::Structure;

/// One server, read in one or more pieces. Stored as JSON between them; some 5 KiB per table that has rows.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Reading {
    /// The server; `None` before the first piece.
    pub server: Option<Server>,
    /// Definitions of all objects.
    pub structure: Outcome<Structure>,
    /// Tables and materialized views that hold rows, by qualified name.
    pub tables: BTreeMap<String, Table>,
    /// Foreign keys by `table.constraint`; a copy's only, like the digest chain and the pages.
    pub foreign_keys: BTreeMap<String, Outcome<ForeignKey>>,
    /// Sequences by qualified name.
    pub sequences: BTreeMap<String, Outcome<Sequence>>,
    /// The digest chain; `None` if the plan has none.
    pub chain: Option<Outcome<Chain>>,
    /// Tables' pages, by qualified name.
    pub heaps: BTreeMap<String, Outcome<Physical>>,
    /// Indexes' pages, by qualified name.
    pub indexes: BTreeMap<String, Outcome<Physical>>,
    /// Newest rows, by `table.column`; of source and copy.
    pub newest: BTreeMap<String, Outcome<Newest>>,
    /// When and how long.
    pub times: Times,
    /// Foreign keys of which some ranges are read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub key_parts: BTreeMap<String, Parts>,
    /// Tables of whose pages some ranges are checked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heap_parts: BTreeMap<String, Parts>,
    /// Statements that broke the connection, with how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub breaks: BTreeMap<String, u32>,
}

/// Ranges of one check.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Parts {
    /// Ranges that are left.
    pub left: Vec<Span>,
    /// Orphans or problems in the others.
    pub found: u64,
    /// The first problem.
    pub first: Option<String>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { left: vec![Span::ALL], found: 0, first: None }
    }
}

/// The server and database of a reading.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Server {
    /// Full version, e.g. `15.18`.
    pub version: String,
    /// Major version, e.g. 15.
    pub major: u32,
    /// The database's name.
    pub database: String,
    /// The role that read.
    pub reader: String,
    /// Whether pages carry checksums, and a wrong one is an error.
    pub data_checksums: bool,
    /// Whether the extension amcheck is there.
    pub amcheck: bool,
}

/// One table's rows.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Table {
    /// Whether the table is unlogged: a snapshot does not keep its rows.
    pub unlogged: bool,
    /// Size with TOAST and without indexes, in bytes, when its reading began.
    pub bytes: u64,
    /// Size without TOAST, in blocks; `None` before it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u32>,
    /// Count and hashes of all rows.
    pub content: Outcome<Content>,
    /// Ranges that are read; `None` before the first and after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Least and greatest primary key; `None` inside if the table is empty or has no such key.
    pub keys: Outcome<Option<KeyRange>>,
    /// Hash of the first rows; `None` inside if the table has no primary key.
    pub sample: Outcome<Option<Sample>>,
}

/// The result of reading one object.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<T> {
    /// Not read yet.
    #[default]
    Pending,
    /// Read.
    Read(T),
    /// Will not be read.
    Failed(Failure),
}

impl<T> Outcome<T> {
    /// The value, if read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Pending | Self::Failed(_) => None,
        }
    }

    /// Whether it is neither read nor failed yet.
    pub fn pending(&self) -> bool {
        matches!(self, Self::Pending)
    }

    /// The reason, if it failed.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Pending | Self::Read(_) => None,
        }
    }

    /// Gives up what is pending.
    pub(crate) fn fail(&mut self, failure: impl FnOnce() -> Failure) {
        if self.pending() {
            *self = Self::Failed(failure());
        }
    }
}

impl<T> From<Result<T, Failure>> for Outcome<T> {
    fn from(result: Result<T, Failure>) -> Self {
        match result {
            Ok(value) => Self::Read(value),
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// Why an object was not read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// Decides the verdict.
    pub kind: FailureKind,
    /// The server's code, if it answered with an error.
    pub sqlstate: Option<String>,
    /// What the server said where it cannot quote a row: for [`FailureKind::Denied`], [`FailureKind::Corrupt`] and
    /// [`FailureKind::Unavailable`].
    pub message: String,
}

/// The reasons that differ in their verdict.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The role lacks a right, or row-level security would hide rows.
    Denied,
    /// The server found damaged data.
    Corrupt,
    /// Longer than the statement time-out, in small ranges too.
    TimedOut,
    /// Another session held the lock, twice.
    Locked,
    /// The object went away while the server was read.
    Vanished,
    /// This server has no such check.
    Unavailable,
    /// Any other error.
    Other,
}

/// The parts of a reading, for their durations.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Definitions.
    Structure,
    /// Every row of every table, key ranges and samples.
    Tables,
    /// Foreign keys.
    ForeignKeys,
    /// Sequences.
    Sequences,
    /// The digest chain.
    Chain,
    /// Newest rows.
    Newest,
    /// Pages of tables and indexes.
    Physical,
}

/// When the server was read, by its own clock.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Times {
    /// Before the first piece's first query.
    pub started: Option<Timestamp>,
    /// After the first row of the first query of a table.
    pub first_query: Option<Timestamp>,
    /// After the last row of the last table.
    pub tables_read: Option<Timestamp>,
    /// After everything.
    pub finished: Option<Timestamp>,
    /// Sum of the statements' durations per part, in microseconds: over all sessions, so more than the wall's clock.
    pub parts: BTreeMap<Part, u64>,
    /// Calls of [`crate::read`].
    pub pieces: u32,
}

impl Times {
    /// Adds a statement's duration.
    pub(crate) fn add(&mut self, part: Part, took: Duration) {
        let total = self.parts.entry(part).or_default();
        *total = total.saturating_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

/// What is left to read, for the log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Left {
    /// Objects: tables, foreign keys, sequences, indexes and so on.
    pub objects: usize,
    /// Objects that are read.
    pub done: usize,
    /// Bytes of tables whose rows are not read.
    pub bytes: u64,
}

/// How far a reading is.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Extent {
    /// Objects that are read.
    objects: usize,
    /// Blocks that are read, of the objects that are not.
    blocks: u64,
    /// Statements that broke the connection.
    breaks: u32,
}

impl Reading {
    /// What is left to read. A reading that never began has one object left.
    pub fn left(&self) -> Left {
        fn count<'a, T: 'a>(left: &mut Left, outcomes: impl IntoIterator<Item = &'a Outcome<T>>) {
            for outcome in outcomes {
                if outcome.pending() {
                    left.objects += 1;
                } else {
                    left.done += 1;
                }
            }
        }
        let mut left = Left::default();
        count(&mut left, [&self.structure]);
        for table in self.tables.values() {
            count(&mut left, [&table.content]);
            count(&mut left, [&table.keys]);
            count(&mut left, [&table.sample]);
            if table.content.pending() {
                left.bytes = left.bytes.saturating_add(table.bytes);
            }
        }
        count(&mut left, self.foreign_keys.values());
        count(&mut left, self.sequences.values());
        count(&mut left, &self.chain);
        count(&mut left, self.heaps.values());
        count(&mut left, self.indexes.values());
        count(&mut left, self.newest.values());
        left
    }

    /// How far the reading is: of two readings of one server, the greater one has more. Ranges count too, and statements
    /// that broke the connection, since the second time leaves their object out.
    pub fn progress(&self) -> Extent {
        let rows = self.tables.values().filter_map(|table| Some(&table.progress.as_ref()?.left));
        let parts = self.key_parts.values().chain(self.heap_parts.values()).map(|parts| &parts.left);
        let blocks = rows.chain(parts).map(|left| Span::outside(left)).sum();
        Extent { objects: self.left().done, blocks, breaks: self.breaks.values().sum() }
    }

    /// Whether nothing is left to read.
    pub fn complete(&self) -> bool {
        self.left().objects == 0
    }

    /// Sum of the rows of all tables that were read.
    pub fn rows(&self) -> u64 {
        self.tables.values().filter_map(|table| table.content.value()).map(|content| content.rows).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_and_every_break_is_progress() {
        let span = |from, to| Span { from, to, narrow: false };
        let mut reading = Reading::default();
        let mut last = reading.progress();
        let mut grows = |reading: &Reading| {
            assert!(reading.progress() > last, "{:?} after {last:?}", reading.progress());
            last = reading.progress();
        };
        reading.tables.insert("a".to_owned(), Table::default());
        let mut of = |left: Vec<Span>| {
            let progress = Progress { left, ..Progress::default() };
            reading.tables.insert("a".to_owned(), Table { progress: Some(progress), ..Table::default() });
            grows(&reading);
        };
        of(vec![span(0, Some(10)), span(20, None)]);
        // One range divided in two says nothing, the first of them does.
        of(vec![span(5, Some(10)), span(20, None)]);
        of(vec![span(20, None)]);
        reading.breaks.insert("rows a 20".to_owned(), 1);
        grows(&reading);
        reading.heap_parts.insert("a".to_owned(), Parts { left: vec![span(1, None)], ..Parts::default() });
        grows(&reading);
        reading
            .tables
            .insert("a".to_owned(), Table { content: Outcome::Read(Content::default()), ..Table::default() });
        grows(&reading);
    }
}
