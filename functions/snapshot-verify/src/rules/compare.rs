//! The comparison of the findings with those of the previous record.

use std::collections::BTreeSet;

use shared::audit::findings::{about_of, key_of};

use super::finding::{Finding, Judged, key};
use super::scope::covers;
use crate::event::Trigger;

/// Differences between the findings and those of the previous record, as keys.
pub(crate) struct Changes {
    pub new: BTreeSet<String>,
    pub resolved: BTreeSet<String>,
    pub still: BTreeSet<String>,
    /// Lines of findings that this run did not check again.
    pub carried: Vec<String>,
}

/// Compares findings with the previous record's lines. A finding that is out of scope or could not be checked again is
/// carried over, not resolved.
pub(crate) fn changes(
    trigger: &Trigger,
    region: Option<&str>,
    before: &[String],
    judged: &[Judged],
) -> Changes {
    let all = judged.iter().flat_map(|judged| {
        judged.findings.iter().map(move |finding| (&judged.subject, finding, key(&judged.subject, finding)))
    });
    let unseen: Vec<String> = all
        .clone()
        .filter(|(_, finding, _)| matches!(finding, Finding::InsufficientData { .. }))
        .map(|(subject, _, _)| subject.label())
        .collect();
    let is_unseen = |key: &str| {
        let label = about_of(key);
        unseen.iter().any(|unseen| match unseen.strip_prefix("region") {
            Some(region) => label.ends_with(region),
            None => label == unseen,
        })
    };
    let after: BTreeSet<String> = all.map(|(_, _, key)| key).collect();
    let mut changes = Changes {
        new: BTreeSet::new(),
        resolved: BTreeSet::new(),
        still: BTreeSet::new(),
        carried: Vec::new(),
    };
    let mut known = BTreeSet::new();
    for line in before {
        let key = key_of(line).to_owned();
        if after.contains(&key) {
            changes.still.insert(key.clone());
        } else if !covers(trigger, region, &key) || is_unseen(&key) {
            changes.carried.push(line.clone());
        } else {
            changes.resolved.insert(key.clone());
        }
        known.insert(key);
    }
    changes.new = after.difference(&known).cloned().collect();
    changes
}
