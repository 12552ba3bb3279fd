//! The findings of every snapshot in a run's scope.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::aws::snapshots::{Database, Kind};
use shared::runtime::failure::chain;
use shared::runtime::settings::Settings;

use super::facts::Facts;
use super::finding::{Finding, Judged, Subject};
use super::policy;
use super::scope::concerns;
use crate::event::Trigger;

/// The findings of each snapshot in the run's scope.
pub(crate) fn judge(
    trigger: &Trigger,
    facts: &Facts,
    region: Option<&str>,
    settings: &Settings,
    now: Timestamp,
) -> Vec<Judged> {
    let nothing = BTreeMap::new();
    let first_seen = facts.journal.as_ref().map_or(&nothing, |journal| &journal.first_seen);
    let mut judged = Vec::new();
    let mut automated: BTreeMap<(Kind, &str), Vec<Finding>> = BTreeMap::new();
    let lists = [(facts.home.as_slice(), None), (facts.copies().unwrap_or_default(), region)];
    for (all, region) in lists {
        for snapshot in all.iter().filter(|one| concerns(trigger, one, region.is_some())) {
            let (before, seen) = (policy::before(snapshot, all), first_seen.get(&snapshot.arn).copied());
            let mut found = policy::findings(snapshot, before, seen, region.is_some(), settings, now);
            if !snapshot.is_manual {
                let (of_instance, own) = found.into_iter().partition(policy::is_of_instance);
                let known = automated.entry((snapshot.kind, &snapshot.instance)).or_default();
                let new: Vec<Finding> = of_instance;
                known.extend(new.into_iter().filter(|one| !known.contains(one)).collect::<Vec<_>>());
                found = own;
            }
            judged.push(Judged {
                subject: Subject::Snapshot(Box::new(snapshot.clone()), region.map(str::to_owned)),
                findings: found,
            });
        }
    }
    // Report automated snapshots once per instance.
    if *trigger == Trigger::Sweep {
        judged.extend(automated.into_iter().map(|((kind, id), findings)| Judged {
            subject: Subject::Automated(Database { kind, id: id.to_owned() }),
            findings,
        }));
    }
    if let (Some(Err(call)), Some(region), Trigger::Sweep | Trigger::Follow) = (&facts.away, region, trigger)
    {
        let unseen = Finding::InsufficientData { why: chain(call) };
        judged.push(Judged::new(Subject::Region(region.to_owned()), unseen));
    }
    judged
}
