//! The facts of a run.

use shared::aws::snapshots::{Database, Snapshot};
use shared::run::documents::DocumentError;
use shared::runtime::failure::CallError;

use super::journal::Journal;

/// The facts that a run reads.
pub(crate) struct Facts {
    /// The environment's snapshots in this region.
    pub home: Vec<Snapshot>,
    /// Those in the copies' region, if the stack has copies.
    pub away: Option<Result<Vec<Snapshot>, CallError>>,
    /// The database to copy, or why it is unknown; none if the run makes no copies.
    pub database: Option<Result<Database, String>>,
    /// The runs' journal.
    pub journal: Result<Journal, DocumentError>,
}

impl Facts {
    pub(crate) fn copies(&self) -> Option<&[Snapshot]> {
        self.away.as_ref()?.as_deref().ok()
    }
}
