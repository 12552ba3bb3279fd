//! Copies and deletions that ended since an earlier run began them.

use shared::aws::snapshots::{Progress, progress};

use super::facts::Facts;
use super::journal::Journal;
use super::snapshot::ExpiredSnapshot;
use crate::event::Trigger;

/// What became of something that was begun.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A snapshot was deleted.
    Deleted(ExpiredSnapshot),
    /// A copy has come to its end.
    Copied {
        /// The copy's ARN.
        arn: String,
        /// ARN of what it is a copy of.
        source: String,
        /// Name of the copy.
        target: String,
        /// Its region.
        region: String,
    },
}

impl Action {
    /// The step of the evidence that tells it, by which a later run knows that it was told.
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

/// What earlier runs have begun, and has come to its end since.
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
        // Of a region that was not seen nothing is known.
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
