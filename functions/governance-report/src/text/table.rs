//! The controls, and the rotation sheet, as tables for spreadsheets.

use jiff::Timestamp;
use shared::run::csv;
use shared::runtime::language::Language;

use crate::rules::view::{Proof, Secret, View};
use crate::text::{figure, requirement, unmeasured, why};

const COLUMNS: [&str; 15] = [
    "id",
    "guide",
    "procedure",
    "requirement",
    "state",
    "why",
    "since_utc",
    "evidence_at_utc",
    "evidence_key",
    "evidence_sha256",
    "last_good_at_utc",
    "figure",
    "next_due_utc",
    "owner",
    "backup",
];

/// The state, in the table, of a requirement that is not measured.
const NOT_MEASURED: &str = "not_measured";

/// `controls.csv`.
pub(crate) fn controls(view: &View, language: Language) -> String {
    let rows = view.controls.iter().map(|row| {
        let of = |proof: &Option<Proof>, field: fn(&Proof) -> String| {
            proof.as_ref().map(field).unwrap_or_default()
        };
        [
            row.id.clone(),
            row.guide.clone(),
            row.procedure.clone(),
            requirement(&row.id, language).to_owned(),
            row.state.name().to_owned(),
            why(&row.why, language),
            row.since.to_string(),
            of(&row.evidence, |proof| proof.at.to_string()),
            of(&row.evidence, |proof| proof.key.clone()),
            of(&row.evidence, |proof| proof.sha256.clone()),
            of(&row.last_good, |proof| proof.at.to_string()),
            row.figure.as_ref().map(|known| figure(known, language)).unwrap_or_default(),
            instant(row.next_due),
            row.owner.clone(),
            row.backup.clone(),
        ]
    });
    let gaps = view.unmeasured.iter().map(|gap| {
        let (what, why) = unmeasured(gap, language);
        let (id, guide) = (gap.id.as_str(), gap.guide.as_str());
        [id, guide, "", what, NOT_MEASURED, why, "", "", "", "", "", "", "", "", ""].map(str::to_owned)
    });
    csv::table(COLUMNS, rows.chain(gaps))
}

const SHEET: [&str; 11] = [
    "secret",
    "key",
    "procedure",
    "state",
    "rotated_utc",
    "outcome",
    "reason",
    "by",
    "next_due_utc",
    "owner",
    "backup",
];

/// The rotation sheet.
pub(crate) fn sheet(secrets: &[Secret]) -> String {
    let rows = secrets.iter().map(|secret| {
        [
            secret.secret.clone(),
            secret.key.clone(),
            secret.procedure.clone(),
            secret.state.name().to_owned(),
            instant(secret.rotated),
            secret.outcome.clone(),
            secret.reason.clone(),
            secret.by.clone(),
            instant(secret.next_due),
            secret.owner.clone(),
            secret.backup.clone(),
        ]
    });
    csv::table(SHEET, rows)
}

fn instant(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}
