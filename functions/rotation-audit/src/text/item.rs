//! A finding as an item of a message that groups findings.

use jiff::Timestamp;
use shared::audit::findings::{Item, NAME};
use shared::runtime::language::Language;

use super::sentence::sentence;
use super::step::next_step;
use crate::rules::facts::Secret;
use crate::rules::finding::Finding;

/// The item of a finding.
pub(super) fn item(secret: &Secret, finding: &Finding, now: Timestamp, language: Language) -> Item {
    let any = Secret { name: NAME.to_owned(), ..secret.clone() };
    let any_finding = match finding {
        Finding::StuckPending { since, may_be_in_force, .. } => Finding::StuckPending {
            pending: "PENDING_VERSION_ID".to_owned(),
            current: Some("CURRENT_VERSION_ID".to_owned()),
            since: *since,
            may_be_in_force: *may_be_in_force,
        },
        other => other.clone(),
    };
    Item {
        kind: finding.kind().to_owned(),
        about: secret.name.clone(),
        sentence: sentence(secret, finding, now, language),
        step: next_step(secret, finding, language),
        pattern: next_step(&any, &any_finding, language),
    }
}
