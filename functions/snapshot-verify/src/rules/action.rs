//! Completed copies and deletions.

use shared::aws::snapshots::{Progress, progress};

use super::facts::Facts;
use super::journal::Journal;
use super::snapshot::ExpiredSnapshot;
use crate::event::Trigger;

/// A completed copy or deletion.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Deleted(ExpiredSnapshot),
    /// A copy is available.
    Copied {
        /// The copy's ARN.
        arn: String,
        /// ARN of the source.
        source: String,
        /// Name of the copy.
        target: String,
        /// Its region.
        region: String,
    },
}

impl Action {
    /// Name of the record's step, by which a later run recognises that the action was reported.
    pub(crate) fn step(&self) -> String {
        match self {
            Self::Deleted(deletion) => match deletion.taken {
                Some(taken) => format!("delete {} of {taken}", deletion.arn),
                None => format!("delete {}", deletion.arn),
            },
            Self::Copied { arn, .. } => format!("copy {arn}"),
        }
    }
}

/// Actions that earlier runs began and that have since completed.
pub(crate) fn ended(
    trigger: &Trigger,
    facts: &Facts,
    region: Option<&str>,
    journal: &Journal,
) -> Vec<Action> {
    let mut actions = Vec::new();
    if let (Some(copies), Some(region), Trigger::Sweep | Trigger::Follow) = (facts.copies(), region, trigger)
    {
        for copy in journal.copies.iter().filter(|copy| !copy.reported) {
            let found = copies.iter().find(|one| copy.is(one));
            if let Some(found) = found.filter(|found| progress(&found.status) == Progress::Available) {
                actions.push(Action::Copied {
                    arn: found.arn.clone(),
                    source: copy.source.clone(),
                    target: copy.target.clone(),
                    region: region.to_owned(),
                });
            }
        }
    }
    if *trigger == Trigger::Sweep {
        // Skip deletions in a region that was not read: their state is unknown.
        let region = region.map(|region| format!(":{region}:"));
        let is_away =
            |deletion: &&ExpiredSnapshot| region.as_ref().is_some_and(|region| deletion.arn.contains(region));
        for deletion in
            journal.deleting.iter().filter(|deletion| !is_away(deletion) || facts.copies().is_some())
        {
            let all = facts.home.iter().chain(facts.copies().unwrap_or_default());
            let mut there = all.filter(|one| {
                one.is_same(&deletion.arn, deletion.taken) && progress(&one.status) != Progress::Deleted
            });
            if there.next().is_none() {
                actions.push(Action::Deleted(deletion.clone()));
            }
        }
    }
    actions
}
