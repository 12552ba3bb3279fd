//! What the page needs of a procedure's records, taken from one record after another, so that no run has to read all of them
//! again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::audit::findings::key_of;

use super::view::{Change, Figure, Open, Proof, Restore};

/// Most measured restores that are kept: ten years of quarterly tests.
pub(crate) const MOST_RESTORES: usize = 40;

/// Most changes of the policy that are kept.
const MOST_POLICIES: usize = 50;

/// Most fields that a change of the policy names.
pub(crate) const MOST_CHANGES: usize = 12;

/// Most open findings of a procedure that are kept.
pub(crate) const MOST_OPEN: usize = 500;

/// A record, as far as the page needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub run_id: String,
    pub trigger: String,
    pub ended: Timestamp,
    pub succeeded: bool,
    /// Name and outcome of each step.
    pub steps: Vec<(String, String)>,
    pub findings: Vec<String>,
    pub key: String,
    pub sha256: String,
}

/// What is known of a procedure's records.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Folded {
    /// The last record that is evidence of the control.
    pub last: Option<Proof>,
    /// The last one that succeeded.
    pub good: Option<Proof>,
    /// What the last one measured.
    pub figure: Option<Figure>,
    /// Its findings, each with the record since which it has been found without a break.
    pub open: Vec<Open>,
    /// Findings beyond [`MOST_OPEN`].
    pub more: usize,
    /// Measured restores, the oldest first.
    pub restores: Vec<Restore>,
    /// Changes of the policy, the newest first.
    pub changes: Vec<Change>,
}

impl Folded {
    /// Takes the next record.
    pub(crate) fn take(&mut self, procedure: &str, run: &Run) {
        if procedure == "policy" {
            self.changes.insert(0, change(run));
            self.changes.truncate(MOST_POLICIES);
        }
        if !is_evidence(procedure, run) {
            return;
        }
        let proof = Proof {
            key: run.key.clone(),
            version: None,
            sha256: run.sha256.clone(),
            at: run.ended,
            succeeded: run.succeeded,
        };
        if run.succeeded {
            self.good = Some(proof.clone());
        }
        self.last = Some(proof);
        self.figure = figure(procedure, run);
        if let Some(Figure::Restore { rto_seconds, rpo_seconds }) = self.figure {
            let measured = Restore {
                at: run.ended,
                procedure: procedure.to_owned(),
                succeeded: run.succeeded,
                rto_seconds,
                rpo_seconds,
                key: run.key.clone(),
            };
            self.restores.push(measured);
            let beyond = self.restores.len().saturating_sub(MOST_RESTORES);
            self.restores.drain(..beyond);
        }
        self.find(procedure, run);
    }

    fn find(&mut self, procedure: &str, run: &Run) {
        let before: BTreeMap<&str, Timestamp> =
            self.open.iter().map(|open| (open.key.as_str(), open.since)).collect();
        let open = run.findings.iter().filter(|line| !is_remark(procedure, line)).map(|line| {
            let key = key_of(line);
            Open {
                procedure: procedure.to_owned(),
                since: before.get(key).copied().unwrap_or(run.ended),
                key: key.to_owned(),
                text: line.strip_prefix(key).unwrap_or_default().trim_start_matches(": ").to_owned(),
            }
        });
        let mut open: Vec<Open> = open.collect();
        self.more = open.len().saturating_sub(MOST_OPEN);
        open.truncate(MOST_OPEN);
        self.open = open;
    }
}

/// Whether a record is evidence of its control: a whole audit, a test, a rotation; not a baseline, a clean-up or a part.
///
/// The forms of run ids are those of `shared::run::evidence::Draft`.
fn is_evidence(procedure: &str, run: &Run) -> bool {
    let parts = run.run_id.split('/').count();
    let is_day = run.run_id.get(..10).is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok());
    match procedure {
        // The day, a later run of it, or a failed one; not one resource or a repair.
        "attachment-restore-test"
        | "backup-audit"
        | "grafana-export"
        | "inventory-audit"
        | "onboarding"
        | "postmortem"
        | "rotation-audit"
        | "snapshot-verify"
        | "governance-report" => is_day && parts <= 2,
        "restore-test" => parts == 1 && !["baseline", "snapshot"].contains(&run.trigger.as_str()),
        "emergency-restore" | "rotation-followup" => parts == 1,
        "rotate-database" | "rotate-external" | "rotate-random" => !run.run_id.contains("/retire"),
        _ => true,
    }
}

/// Whether a line is not a finding but a remark: an acceptance, a cause, who asked, the limits of a sample.
fn is_remark(procedure: &str, line: &str) -> bool {
    let remarks: &[&str] = match procedure {
        "attachment-restore-test" => {
            &["the table lacks the columns ", "there are more attachments ", "only the first "]
        }
        "backup-audit" => &["excepted "],
        "restore-test" => &["requested by: ", "reason: "],
        "snapshot-create" => &["deploy ", "requested by ", "kept until "],
        "incident-clock" => &["term of the notices: "],
        "emergency-restore" => &["no migration was run: "],
        _ => &[],
    };
    // Remarks that begin with a number or a name.
    let is_known = match procedure {
        "attachment-restore-test" => {
            // The name of an object may say the same.
            line.starts_with(|first: char| first.is_ascii_digit())
                && line.contains(" keys of the bucket without a row in attachments ")
        }
        "rotation-followup" => line.starts_with("the leaked value of ") && line.ends_with(": proved dead"),
        _ => false,
    };
    is_known || remarks.iter().any(|remark| line.starts_with(remark))
}

/// What a run measured.
fn figure(procedure: &str, run: &Run) -> Option<Figure> {
    match procedure {
        "restore-test" => {
            let step = |name: &str| run.steps.iter().find(|(step, _)| step == name);
            let rto = step("recovery: all tables read").and_then(|(_, outcome)| number(outcome));
            let rpo = step("recovery point").and_then(|(_, outcome)| number(outcome));
            Some(Figure::Restore { rto_seconds: rto, rpo_seconds: rpo })
        }
        "emergency-restore" => {
            let step = |name: &str| run.steps.iter().find(|(step, _)| step == name);
            let rto = step("RTO").and_then(|(_, outcome)| number(outcome));
            let rpo = step("RPO").and_then(|(_, outcome)| number(outcome)).map(|minutes| minutes * 60);
            Some(Figure::Restore { rto_seconds: rto, rpo_seconds: rpo })
        }
        "attachment-restore-test" => {
            // The first step is the summary; a page is a step, too.
            let checks = run.steps.iter().skip(1).filter(|(name, _)| !name.starts_with("page "));
            let (good, all) = checks.fold((0, 0), |(good, all), (_, outcome)| {
                (good + usize::from(outcome.starts_with("pass: ")), all + 1)
            });
            Some(Figure::Checks { good, all })
        }
        "backup-audit" | "inventory-audit" | "onboarding" | "postmortem" | "rotation-audit"
        | "snapshot-verify" => {
            let found = run.findings.iter().filter(|line| !is_remark(procedure, line)).count();
            Some(Figure::Findings(found))
        }
        _ => None,
    }
}

/// The number at the beginning of a text.
fn number(text: &str) -> Option<i64> {
    text.split(' ').next()?.parse().ok()
}

/// A change of the policy.
fn change(run: &Run) -> Change {
    let step = |name: &str| {
        let found = run.steps.iter().find(|(step, _)| step.starts_with(name));
        found.map(|(_, outcome)| outcome.clone()).unwrap_or_default()
    };
    let changed = run.steps.iter().filter(|(name, _)| name == "change").map(|(_, outcome)| outcome.clone());
    let removed = run.steps.iter().filter(|(name, _)| name == "the document was removed");
    let removed = removed.map(|(name, outcome)| format!("{name}: {outcome}"));
    Change {
        at: run.ended,
        author: step("author, "),
        commit: step("commit, "),
        reason: step("reason, "),
        merged: step("is the commit on main"),
        changes: removed.chain(changed).chain(run.findings.iter().cloned()).take(MOST_CHANGES).collect(),
        key: run.key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400 + 86_400 * day).unwrap()
    }

    fn run(run_id: &str, day: i64, succeeded: bool, findings: &[&str]) -> Run {
        Run {
            run_id: run_id.to_owned(),
            ended: at(day),
            succeeded,
            findings: findings.iter().map(|line| (*line).to_owned()).collect(),
            key: format!("key {day}"),
            ..Run::default()
        }
    }

    #[test]
    fn a_finding_is_as_old_as_the_first_record_that_has_it_without_a_break() {
        let mut folded = Folded::default();
        let open = |folded: &Folded| -> Vec<(String, Timestamp)> {
            folded.open.iter().map(|open| (open.key.clone(), open.since)).collect()
        };
        let audit = "rotation-audit";
        folded.take(audit, &run("2026-03-01", 0, false, &["Overdue a: since x", "DueSoon b: y"]));
        folded.take(audit, &run("2026-03-02", 1, false, &["Overdue a: since z"]));
        assert_eq!(open(&folded), [("Overdue a".to_owned(), at(0))]);
        assert_eq!(folded.open[0].text, "since z");
        folded.take(audit, &run("2026-03-03", 2, true, &["DueSoon b: y"]));
        assert_eq!(open(&folded), [("DueSoon b".to_owned(), at(2))]);
        folded.take(audit, &run("2026-03-04", 3, false, &["Overdue a: again"]));
        assert_eq!(open(&folded), [("Overdue a".to_owned(), at(3))]);
        assert_eq!(
            (folded.good.unwrap().at, folded.last.unwrap().at, folded.figure),
            (at(2), at(3), Some(Figure::Findings(1)))
        );
    }

    #[test]
    fn parts_baselines_and_audits_of_one_resource_are_no_evidence() {
        for (procedure, run_id, trigger, expected) in [
            ("backup-audit", "2026-03-01", "", true),
            ("backup-audit", "2026-03-01/0123abcd", "", true),
            ("backup-audit", "2026-03-01/arn:aws:s3:::b/2026-03-01T12:00:00Z", "", false),
            ("backup-audit", "repair/s3.versioning/b/2026-03-01T12:00:00Z", "", false),
            ("inventory-audit", "2026-03-01/ab12", "", true),
            ("postmortem", "2026-03-01", "", true),
            ("postmortem", "INC-20261129-7Q2MZK4A/closed/2", "", false),
            ("onboarding", "P-12345678/acknowledged", "", false),
            ("restore-test", "execution", "schedule", true),
            ("restore-test", "execution", "baseline", false),
            ("restore-test", "execution", "snapshot", false),
            ("restore-test", "execution/removed", "", false),
            ("emergency-restore", "run", "", true),
            ("emergency-restore", "run/began", "", false),
            ("rotation-followup", "execution", "", true),
            ("rotate-random", "5ad3c8e8", "", true),
            ("rotate-random", "5ad3c8e8/testSecret/ab/2026-03-01", "", true),
            ("rotate-database", "v1/retire/refused", "", false),
            ("snapshot-create", "db/deploy/available", "", true),
        ] {
            let run = Run { trigger: trigger.to_owned(), ..run(run_id, 0, true, &[]) };
            assert_eq!(is_evidence(procedure, &run), expected, "{procedure} {run_id} {trigger}");
        }
    }

    #[test]
    fn a_remark_is_no_finding() {
        for (procedure, line, is_remark) in [
            ("snapshot-create", "deploy github-1-1, commit 0123", true),
            ("snapshot-create", "requested by Ana: migration", true),
            ("snapshot-create", "kept until 2027-01-01", true),
            ("snapshot-create", "SnapshotFailed: x", false),
            ("attachment-restore-test", "only the first 1,000 keys of the bucket were listed (x)", true),
            (
                "attachment-restore-test",
                "5 of 80 keys of the bucket without a row in attachments (certificates and forms write there, too): a",
                true,
            ),
            (
                "attachment-restore-test",
                "rows of the database without an object among 80 keys of the bucket: 2",
                false,
            ),
            (
                "attachment-restore-test",
                "fail download a 5 keys of the bucket without a row in attachments (b: gone",
                false,
            ),
            ("attachment-restore-test", "unverified download a: NoApplication", false),
            ("rotation-followup", "the leaked value of /moveongs/dev/jwt: proved dead", true),
            ("rotation-followup", "the leaked value of /moveongs/dev/jwt: may still be good (x)", false),
            ("restore-test", "requested by: Ana", true),
            ("backup-audit", "excepted s3.public b: x", true),
            ("backup-audit", "deploy x", false),
        ] {
            let mut folded = Folded::default();
            folded.take(procedure, &run("2026-03-01", 0, true, &[line]));
            assert_eq!(folded.open.is_empty(), is_remark, "{procedure} {line}");
        }
    }

    #[test]
    fn a_restore_is_measured_and_kept_for_the_trend() {
        let steps = |all: &[(&str, &str)]| -> Vec<(String, String)> {
            all.iter().map(|(name, outcome)| ((*name).to_owned(), (*outcome).to_owned())).collect()
        };
        let mut folded = Folded::default();
        let measured = Run {
            steps: steps(&[
                ("recovery: available", "480 s after the request"),
                ("recovery: all tables read", "900 s after the request"),
                ("recovery point", "3000 s before the test"),
            ]),
            ..run("e1", 0, true, &["requested by: Ana", "reason: quarter"])
        };
        folded.take("restore-test", &measured);
        assert_eq!(folded.figure, Some(Figure::Restore { rto_seconds: Some(900), rpo_seconds: Some(3000) }));
        assert!(folded.open.is_empty());
        for day in 1..=MOST_RESTORES {
            folded.take("restore-test", &run("e", i64::try_from(day).unwrap(), false, &["RunDied: x"]));
        }
        assert_eq!(folded.restores.len(), MOST_RESTORES);
        assert_eq!((folded.restores[0].at, folded.restores[0].rto_seconds), (at(1), None));
        let emergency =
            Run { steps: steps(&[("RTO", "1200 s"), ("RPO", "5 min")]), ..run("r", 9, true, &[]) };
        let mut folded = Folded::default();
        folded.take("emergency-restore", &emergency);
        assert_eq!(folded.figure, Some(Figure::Restore { rto_seconds: Some(1200), rpo_seconds: Some(300) }));
    }

    #[test]
    fn a_change_of_the_policy_says_who_and_which_commit() {
        let mut folded = Folded::default();
        let steps = [
            ("author, according to the document", "Ana"),
            ("commit, according to the document", "0123"),
            ("is the commit on main, with this content", "no: ahead"),
            ("change", "backups.audit.exceptions[]: + {}"),
        ];
        let steps = steps.map(|(name, outcome)| (name.to_owned(), outcome.to_owned())).to_vec();
        folded.take("policy", &Run { steps, ..run("version", 0, false, &["PolicyUnmerged: x"]) });
        let [change] = folded.changes.as_slice() else { panic!("{folded:?}") };
        assert_eq!((change.author.as_str(), change.merged.as_str()), ("Ana", "no: ahead"));
        assert_eq!(change.changes, ["backups.audit.exceptions[]: + {}", "PolicyUnmerged: x"]);
    }
}
