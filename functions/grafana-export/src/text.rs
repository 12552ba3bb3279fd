//! Texts that people read.

pub(crate) mod finding;
pub(crate) mod paper;
pub(crate) mod summary;

use crate::rules::bundle::Changes;

/// Numbers of changes, for the record.
pub(crate) fn changes(changes: &Changes) -> String {
    let Changes { added, changed, removed } = changes;
    format!(
        "{} files new, {} changed, {} removed since the last export",
        added.len(),
        changed.len(),
        removed.len()
    )
}
