//! The facts of a run.

use shared::aws::snapshots::Database;
use shared::run::evidence::EvidenceError;
use shared::runtime::failure::CallError;

use super::journal::Journal;
use super::snapshot::Snapshot;

/// What there is.
pub(crate) struct Facts {
    /// The environment's snapshots in this region.
    pub home: Vec<Snapshot>,
    /// Those in the copies' region, if copies are wanted.
    pub away: Option<Result<Vec<Snapshot>, CallError>>,
    /// What is copied, when copies are wanted and the run makes them; or why that is not known.
    pub database: Option<Result<Database, String>>,
    /// What the runs before have left.
    pub journal: Result<Journal, EvidenceError>,
}

impl Facts {
    pub(crate) fn copies(&self) -> Option<&[Snapshot]> {
        self.away.as_ref()?.as_deref().ok()
    }
}
