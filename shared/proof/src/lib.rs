//! Proves a restored PostgreSQL database: reads servers, and judges the copy against its source.
//!
//! [`read`] makes a [`Reading`] of one server, in pieces that fit an invocation. [`judge`] compares the readings of the
//! source with the one of the copy and gives one [`Line`] per check and object. [`text::sentence`] writes it out.
//!
//! * No row leaves the server: it hashes them, and sends sums. Memory does not grow with the rows.
//! * An object that cannot be read never stops the rest and never passes: its [`Failure`] becomes a verdict.
//! * On the source, every statement waits at most 2 s for a lock, and every table's `ACCESS SHARE` lock ends with its
//!   own transaction, so that a migration waits for one table's reading at most.
//! * Hidden rows are not missing rows: sessions run with `row_security = off`, so that a policy that would hide rows
//!   makes the statement fail. On the copy it is repeated as the role that logged in; otherwise the table is not verified.
//! * No code of the database runs with the reader's rights: `search_path` is empty, functions of amcheck are called with
//!   all their types, values of users' types are written by their output functions, and views are not read.
//!
//! * A row's hash is made of `hashtextextended` with collation `C`, `hashint8extended`, `uuid_hash_extended` and
//!   `timestamp_hash_extended`. PostgreSQL does not promise that they stay as they are, but from 13 to 18 they do, and a
//!   test compares 15 and 18 in all types. If a later version changes them, tables differ across that upgrade: that is
//!   a failed proof, never a false one.
//!
//! PostgreSQL 13 to 18. Connections and secrets are the caller's.

mod chain;
mod content;
mod foreign_key;
mod judge;
mod newest;
mod physical;
mod plan;
mod reader;
mod reading;
mod sequence;
mod session;
mod structure;
pub mod text;

pub use chain::Chain;
pub use content::{BUCKETS, Buckets, Content, KeyRange, Progress, Sample, Span};
pub use foreign_key::ForeignKey;
pub use judge::{Check, Facts, Figure, Line, Verdict, judge, worst};
pub use newest::Newest;
pub use physical::Physical;
pub use plan::{AgedColumn, DigestChain, Plan};
pub use reader::{ReadError, read};
pub use reading::{Extent, Failure, FailureKind, Left, Outcome, Part, Reading, Server, Table, Times};
pub use sequence::Sequence;
pub use structure::{Aspect, CollationVersion, Structure};

/// Which server is read, and so what is read of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The living source: structure, rows, sequences and newest rows, each table in one snapshot.
    Source,
    /// The restored copy, which does not change: all of it. Reads as [`ROLE`].
    Copy,
}

/// The role that [`PREPARE`] creates on the restored copy; sessions of [`Role::Copy`] act as it.
pub const ROLE: &str = "restore_proof";

/// SQL for the restored copy's master user, once per database before [`read`]; running it again changes nothing.
///
/// Creates the extension amcheck, and [`ROLE`] with the right to read everything and to run amcheck's functions. What
/// the server refuses is left out: the checks that need it are then not verified.
pub const PREPARE: &str = include_str!("prepare.sql");
