//! The state of each control: what was read, judged by its cadence. What was not read, or not verified, is unknown.

use std::collections::BTreeMap;

use incident::metrics::{Group, Metrics};
use jiff::{SignedDuration, Timestamp};
use shared::policy::Policy;

use super::control::{CONTROLS, Cadence, Control, Source};
use super::fold::{Folded, MOST_OPEN};
use super::view::{ChainRow, Figure, Proof, Row, Secret, State, Verdict, Why};

/// Most names of late items that a reason lists.
const MOST_ITEMS: usize = 20;

/// Lines of findings that `backup-audit` keeps in a record; beyond, a rule without a line may fail, too.
const MOST_LINES: usize = 200;

/// What was read.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Verified chains, by procedure.
    pub chains: BTreeMap<String, (ChainRow, Folded)>,
    /// The rotation sheet; the reason if it could not be read.
    pub secrets: Result<Vec<Secret>, String>,
    /// The newest month's metrics and its object; the reason if they could not be read; none without any.
    pub month: Result<Option<(Metrics, Proof)>, String>,
    /// The newest post-mortem's document; the reason if it could not be read.
    pub timeline: Result<Option<Proof>, String>,
}

/// Every control with its state, in the guide's order.
pub(crate) fn rows(facts: &Facts, policy: &Policy, now: Timestamp) -> Vec<Row> {
    let ahead = SignedDuration::from_hours(24 * i64::from(policy.report.ahead_days));
    let mut rows: Vec<Row> = CONTROLS
        .iter()
        .map(|control| {
            let owners = policy.responsible(control.area);
            let row = Row {
                id: control.id.to_owned(),
                guide: control.guide.to_owned(),
                procedure: control.procedure.to_owned(),
                owner: owners.primary.clone(),
                backup: owners.backup.clone(),
                since: now,
                ..Row::default()
            };
            judge(row, control, facts, ahead, now)
        })
        .collect();
    rows.sort_by(|one, other| one.guide.cmp(&other.guide));
    rows
}

fn judge(row: Row, control: &Control, facts: &Facts, ahead: SignedDuration, now: Timestamp) -> Row {
    match control.source {
        Source::Records => records(row, control, facts, &[], ahead, now),
        Source::Part(rules) => records(row, control, facts, rules, ahead, now),
        Source::Items => secrets(row, control, facts, ahead, now),
        Source::Incidents | Source::Response => incidents(row, control, facts, now),
        Source::Timeline => timeline(row, control, facts, ahead, now),
        Source::Chains => chains(row, facts, now),
    }
}

/// Judges by the procedure's records; with `rules`, by the part of the findings that begin so.
fn records(
    mut row: Row,
    control: &Control,
    facts: &Facts,
    rules: &[&str],
    ahead: SignedDuration,
    now: Timestamp,
) -> Row {
    let Some((chain, folded)) = facts.chains.get(control.procedure) else {
        return unknown(row, Why::Unread("not read".to_owned()));
    };
    row.evidence.clone_from(&folded.last);
    row.figure.clone_from(&folded.figure);
    if let Some(why) = unverified(chain) {
        return unknown(row, why);
    }
    let Some(last) = &folded.last else {
        let why = if control.cadence == Cadence::Case { Why::NoCase } else { Why::NoEvidence };
        return unknown(row, why);
    };
    let lines = folded.open.iter().map(|open| open.key.as_str());
    let (found, proves) = match rules.is_empty() {
        true => {
            let found: Vec<State> = lines.filter_map(finding).collect();
            // A failed run without a line that says why is a failure.
            let is_explained = last.succeeded || found.iter().any(|state| !state.is_good());
            (if is_explained { found } else { vec![State::Failing] }, last.succeeded)
        }
        false => {
            let lines: Vec<&str> = lines.collect();
            let is_own = |line: &&&str| rules.iter().any(|rule| rule_of(line).starts_with(rule));
            let found: Vec<State> = lines.iter().filter(is_own).filter_map(|line| finding(line)).collect();
            row.figure = Some(Figure::Findings(found.len()));
            let is_whole = folded.more == 0 && lines.len() < MOST_LINES.min(MOST_OPEN) && is_read(&lines);
            let ran = last.succeeded || !lines.is_empty();
            match (found.is_empty(), is_whole && ran) {
                (true, false) => (vec![State::Unknown], false),
                _ => (found.clone(), found.iter().all(|state| state.is_good())),
            }
        }
    };
    if !proves {
        row.last_good.clone_from(&folded.good);
    }
    let worst = found.iter().min().copied().unwrap_or(State::Ok);
    // With a part, the whole run may fail for something else.
    let proved_at = if proves { Some(last.at) } else { folded.good.as_ref().map(|good| good.at) };
    let (by_age, late) = age(control, Some(last.at).filter(|_| proves).or(proved_at), ahead, now);
    row.next_due = due(control, proved_at);
    row.state = worst.min(by_age);
    let count = found.iter().filter(|state| **state == worst).count();
    row.why = match row.state {
        State::Failing => Why::Found(count),
        State::Overdue if worst == State::Overdue => Why::Found(count),
        State::Overdue => late.map_or(Why::NoEvidence, Why::LateSince),
        State::Unknown => Why::NotAllRead,
        State::Due if worst == State::Due => Why::Found(count),
        State::Due => Why::DueSoon,
        State::Ok => Why::Proved,
    };
    row
}

/// The state that a finding means for its control; none for a remark that leaves it good.
fn finding(key: &str) -> Option<State> {
    let kind = key.split(' ').next().unwrap_or_default();
    match kind {
        "Overdue" | "PostmortemOverdue" | "ActionOverdue" | "OnboardingOverdue" | "RotationLate" => {
            Some(State::Overdue)
        }
        "DueSoon" | "PostmortemDueSoon" | "ActionDueSoon" | "OnboardingDueSoon" => Some(State::Due),
        "unknown" | "unverified" | "not-finished" | "could-not-verify" | "InsufficientData" | "NotSeen"
        | "NothingRead" | "ListUnread" | "StateUnreadable" | "RunbookUnchecked" => Some(State::Unknown),
        // Warnings, which do not make their audit fail.
        "TagsContradict" | "TagsMissing" | "NoPolicy" | "Unused" | "NeverRotated" | "Repeated" => None,
        _ => Some(State::Failing),
    }
}

/// The kind, or the rule after its verdict.
fn rule_of<'a>(key: &&'a str) -> &'a str {
    let mut words = key.split(' ');
    match words.next() {
        Some("fail" | "unknown" | "excepted") => words.next().unwrap_or_default(),
        word => word.unwrap_or_default(),
    }
}

/// Whether the audit read everything.
fn is_read(lines: &[&str]) -> bool {
    !lines.iter().any(|line| rule_of(line) == "audit.coverage" || line.starts_with("NothingRead"))
}

/// The state by age, and since when it is late.
fn age(
    control: &Control,
    proved: Option<Timestamp>,
    ahead: SignedDuration,
    now: Timestamp,
) -> (State, Option<Timestamp>) {
    let Cadence::Every { days, grace } = control.cadence else { return (State::Ok, None) };
    let Some(due) = due(control, proved) else { return (State::Overdue, None) };
    let late = due + SignedDuration::from_hours(grace);
    // A daily control would always be due.
    let ahead = ahead.min(SignedDuration::from_hours(24 * days / 7));
    match now {
        now if now > late => (State::Overdue, Some(due)),
        now if days > 7 && due.duration_since(now) <= ahead => (State::Due, None),
        _ => (State::Ok, None),
    }
}

fn due(control: &Control, proved: Option<Timestamp>) -> Option<Timestamp> {
    let Cadence::Every { days, .. } = control.cadence else { return None };
    proved?.checked_add(SignedDuration::from_hours(24 * days)).ok()
}

/// Why a chain proves nothing.
fn unverified(chain: &ChainRow) -> Option<Why> {
    match &chain.verdict {
        Verdict::Damaged(_) => Some(Why::ChainDamaged),
        Verdict::Unknown => Some(Why::Unread(chain.unread.join("; "))),
        Verdict::Verified | Verdict::Empty => None,
    }
}

fn unknown(row: Row, why: Why) -> Row {
    Row { state: State::Unknown, why, ..row }
}

/// Judges by the secrets of the rotation sheet that the procedure rotates.
fn secrets(mut row: Row, control: &Control, facts: &Facts, ahead: SignedDuration, now: Timestamp) -> Row {
    let by_records = records(row.clone(), control, facts, &[], ahead, now);
    row.evidence = by_records.evidence;
    row.last_good = by_records.last_good;
    let sheet = match &facts.secrets {
        Ok(sheet) => sheet,
        Err(why) => return unknown(row, Why::Unread(why.clone())),
    };
    let own: Vec<&Secret> = sheet.iter().filter(|secret| secret.procedure == control.procedure).collect();
    let good = own.iter().filter(|secret| secret.state.is_good()).count();
    row.figure = (!own.is_empty()).then_some(Figure::Secrets { good, all: own.len() });
    row.next_due = own.iter().filter_map(|secret| secret.next_due).min();
    match by_records.why {
        why @ (Why::ChainDamaged | Why::Unread(_) | Why::NoEvidence | Why::NoCase) => {
            return unknown(row, why);
        }
        _ if own.is_empty() => return unknown(row, Why::NoEvidence),
        _ => {}
    }
    let worst = own.iter().map(|secret| secret.state).min().unwrap_or_default();
    // A rotation that failed since counts, too, unless the secret was rotated after it.
    let failed_after = row.evidence.as_ref().is_some_and(|last| {
        !last.succeeded && own.iter().all(|secret| secret.rotated.is_none_or(|rotated| rotated < last.at))
    });
    row.state = if failed_after { State::Failing } else { worst };
    row.why = match row.state {
        State::Ok => Why::Proved,
        State::Failing if failed_after && worst != State::Failing => Why::Found(1),
        state => {
            let names = own.iter().filter(|secret| secret.state == state);
            Why::Items(names.map(|secret| secret.secret.clone()).take(MOST_ITEMS).collect())
        }
    };
    row
}

/// Judges by the newest month's metrics, which the daily run of `postmortem` writes.
fn incidents(mut row: Row, control: &Control, facts: &Facts, now: Timestamp) -> Row {
    let (metrics, proof) = match &facts.month {
        Ok(Some(month)) => month,
        Ok(None) => return unknown(row, Why::NoEvidence),
        Err(why) => return unknown(row, Why::Unread(why.clone())),
    };
    let rows = metrics.rows.iter().filter(|row| row.group == Group::Incident);
    let all = rows.map(|row| row.incidents).sum();
    let unacknowledged: Vec<String> = metrics
        .unacknowledged
        .iter()
        .filter(|named| named.group == Group::Incident)
        .map(|named| named.incident.clone())
        .collect();
    row.figure = Some(Figure::Incidents { all, unacknowledged: unacknowledged.len() });
    row.evidence = Some(proof.clone());
    let (by_age, late) = age(control, Some(proof.at), SignedDuration::ZERO, now);
    row.next_due = due(control, Some(proof.at));
    let is_unanswered = control.source == Source::Response && !unacknowledged.is_empty();
    (row.state, row.why) = match (is_unanswered, by_age, late) {
        (true, ..) => (State::Failing, Why::Items(unacknowledged.into_iter().take(MOST_ITEMS).collect())),
        (_, State::Overdue, Some(since)) => (State::Overdue, Why::LateSince(since)),
        _ => (State::Ok, Why::Proved),
    };
    row
}

/// Judges by the procedure's records; without any, the newest post-mortem's timeline shows what the clock did.
fn timeline(row: Row, control: &Control, facts: &Facts, ahead: SignedDuration, now: Timestamp) -> Row {
    let row = records(row, control, facts, &[], ahead, now);
    if row.why != Why::NoCase {
        return row;
    }
    match &facts.timeline {
        Ok(Some(proof)) => Row { state: State::Ok, why: Why::Proved, evidence: Some(proof.clone()), ..row },
        Ok(None) => row,
        Err(why) => unknown(row, Why::Unread(why.clone())),
    }
}

/// Judges by all chains.
fn chains(mut row: Row, facts: &Facts, now: Timestamp) -> Row {
    let all = facts.chains.values().map(|(chain, _)| chain);
    let (verified, listed) = all
        .clone()
        .fold((0, 0), |(verified, listed), chain| (verified + chain.records, listed + chain.listed));
    row.figure = Some(Figure::Records { verified, all: listed });
    row.next_due = now.checked_add(SignedDuration::from_hours(24)).ok();
    if let Some((_, own)) = facts.chains.get("governance-report") {
        row.evidence.clone_from(&own.last);
    }
    let of = |is: fn(&Verdict) -> bool| -> Vec<String> {
        let named = all.clone().filter(|chain| is(&chain.verdict));
        named.map(|chain| chain.procedure.clone()).take(MOST_ITEMS).collect()
    };
    let damaged = of(|verdict| matches!(verdict, Verdict::Damaged(_)));
    let unread = of(|verdict| matches!(verdict, Verdict::Unknown));
    (row.state, row.why) = match (damaged.is_empty(), unread.is_empty(), listed) {
        (false, ..) => (State::Failing, Why::Items(damaged)),
        (_, false, _) => (State::Unknown, Why::Items(unread)),
        (_, _, 0) => (State::Unknown, Why::NoEvidence),
        _ => (State::Ok, Why::Proved),
    };
    row
}

#[cfg(test)]
mod tests {
    use incident::metrics::Named;

    use super::super::view::{Fault, Open};
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400 + 86_400 * days).unwrap()
    }

    fn proof(days: i64, succeeded: bool) -> Proof {
        Proof { at: at(days), succeeded, ..Proof::default() }
    }

    fn verified(folded: Folded) -> (ChainRow, Folded) {
        (ChainRow { verdict: Verdict::Verified, records: 1, listed: 1, ..ChainRow::default() }, folded)
    }

    fn ran(days: i64, succeeded: bool, lines: &[&str]) -> Folded {
        let open = lines.iter().map(|key| Open { key: (*key).to_owned(), ..Open::default() });
        let last = proof(days, succeeded);
        Folded {
            good: Some(proof(days - i64::from(!succeeded), true)),
            last: Some(last),
            open: open.collect(),
            ..Folded::default()
        }
    }

    fn facts(procedure: &str, chain: (ChainRow, Folded)) -> Facts {
        Facts {
            chains: BTreeMap::from([(procedure.to_owned(), chain)]),
            secrets: Ok(Vec::new()),
            month: Ok(None),
            timeline: Ok(None),
        }
    }

    fn state(facts: &Facts, id: &str, now: Timestamp) -> (State, Why) {
        let rows = rows(facts, &"".parse().unwrap(), now);
        let row = rows.into_iter().find(|row| row.id == id).unwrap();
        (row.state, row.why)
    }

    #[test]
    fn a_daily_control_is_as_good_as_its_last_run_and_not_older_than_its_grace() {
        let hours = SignedDuration::from_hours;
        let good = facts("rotation-audit", verified(ran(0, true, &[])));
        for (now, expected) in [
            (at(0), (State::Ok, Why::Proved)),
            (at(0) + hours(30), (State::Ok, Why::Proved)),
            (at(0) + hours(30) + SignedDuration::from_secs(1), (State::Overdue, Why::LateSince(at(1)))),
        ] {
            assert_eq!(state(&good, "rotation-planned", now), expected, "{now}");
        }
        for (succeeded, lines, expected) in [
            (false, &["Overdue a"][..], (State::Overdue, Why::Found(1))),
            (false, &["Overdue a", "StuckPending b", "StuckPending c"], (State::Failing, Why::Found(2))),
            (false, &["InsufficientData a"], (State::Unknown, Why::NotAllRead)),
            (false, &[], (State::Failing, Why::Found(1))),
            (false, &["TagsMissing a"], (State::Failing, Why::Found(1))),
            (true, &["DueSoon a", "TagsMissing b"], (State::Due, Why::Found(1))),
            (true, &["NeverRotated a"], (State::Ok, Why::Proved)),
        ] {
            let facts = facts("rotation-audit", verified(ran(0, succeeded, lines)));
            assert_eq!(state(&facts, "rotation-planned", at(0)), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_quarterly_test_is_due_two_weeks_ahead_and_overdue_a_day_after() {
        let tested = facts("restore-test", verified(ran(0, true, &[])));
        for (day, expected) in
            [(1, State::Ok), (83, State::Ok), (84, State::Due), (98, State::Due), (99, State::Due)]
        {
            assert_eq!(state(&tested, "restore-test", at(day)).0, expected, "{day}");
        }
        assert_eq!(state(&tested, "restore-test", at(100)), (State::Overdue, Why::LateSince(at(98))));
        let failed = facts("restore-test", verified(ran(0, false, &["RunDied"])));
        assert_eq!(state(&failed, "restore-test", at(1)), (State::Failing, Why::Found(1)));
    }

    #[test]
    fn what_was_not_verified_is_unknown_however_good_it_looks() {
        for (verdict, why) in [
            (Verdict::Unknown, Why::Unread("denied".to_owned())),
            (Verdict::Damaged(vec![Fault::default()]), Why::ChainDamaged),
        ] {
            let (mut chain, folded) = verified(ran(0, true, &[]));
            (chain.verdict, chain.unread) = (verdict, vec!["denied".to_owned()]);
            let facts = facts("rotation-audit", (chain, folded));
            assert_eq!(state(&facts, "rotation-planned", at(0)), (State::Unknown, why));
        }
        let empty = facts(
            "rotation-audit",
            (ChainRow { verdict: Verdict::Empty, ..ChainRow::default() }, Folded::default()),
        );
        assert_eq!(state(&empty, "rotation-planned", at(0)), (State::Unknown, Why::NoEvidence));
        let none = facts("x", verified(Folded::default()));
        for row in rows(&none, &"".parse().unwrap(), at(0)) {
            assert!(row.id == "evidence" || row.state == State::Unknown, "{row:?}");
        }
        let case = facts("emergency-restore", verified(Folded::default()));
        assert_eq!(state(&case, "emergency-restore", at(0)), (State::Unknown, Why::NoCase));
    }

    #[test]
    fn a_part_of_the_backup_audit_is_judged_by_its_own_rules() {
        let lines = &["fail rds.retention db", "unknown terraform.lock table", "excepted s3.public b"];
        let audited = facts("backup-audit", verified(ran(0, false, lines)));
        for (id, expected) in [
            ("database-backups", (State::Failing, Why::Found(1))),
            ("terraform-state", (State::Unknown, Why::NotAllRead)),
            ("uploads-sent", (State::Ok, Why::Proved)),
        ] {
            assert_eq!(state(&audited, id, at(0)), expected, "{id}");
        }
        // A section that was not read, more findings than a record holds, a failed run: nothing is known of the rest.
        let many: Vec<String> = (0..200).map(|number| format!("fail rds.retention db{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for lines in [&["unknown audit.coverage s3"][..], &many, &[]] {
            let facts = facts("backup-audit", verified(ran(0, false, lines)));
            assert_eq!(state(&facts, "uploads-sent", at(0)).0, State::Unknown, "{lines:?}");
        }
    }

    #[test]
    fn rotations_are_judged_by_the_sheet_and_their_chain() {
        let secret = |state, rotated: i64| Secret {
            secret: "s".to_owned(),
            procedure: "rotate-random".to_owned(),
            state,
            rotated: Some(at(rotated)),
            ..Secret::default()
        };
        let mut rotated = facts("rotate-random", verified(ran(0, true, &[])));
        for expected in [State::Ok, State::Due, State::Overdue, State::Unknown, State::Failing] {
            rotated.secrets = Ok(vec![secret(State::Ok, 0), secret(expected, 0)]);
            assert_eq!(state(&rotated, "rotate-random", at(1)).0, expected);
        }
        rotated.secrets = Ok(Vec::new());
        assert_eq!(state(&rotated, "rotate-random", at(1)), (State::Unknown, Why::NoEvidence));
        rotated.secrets = Err("denied".to_owned());
        assert_eq!(state(&rotated, "rotate-random", at(1)).0, State::Unknown);
        // The last attempt failed, after the last rotation in the sheet or before it.
        let mut failed = facts("rotate-random", verified(ran(2, false, &["x"])));
        for (day, expected) in [(1, State::Failing), (3, State::Ok)] {
            failed.secrets = Ok(vec![secret(State::Ok, day)]);
            assert_eq!(state(&failed, "rotate-random", at(4)).0, expected, "{day}");
        }
    }

    #[test]
    fn incidents_are_judged_by_the_month_and_its_age() {
        let named = Named {
            incident: "INC-1".to_owned(),
            severity: incident::Severity::S1,
            group: Group::Incident,
            first_at: at(0),
        };
        let mut measured = facts("x", verified(Folded::default()));
        assert_eq!(state(&measured, "incident-page", at(0)), (State::Unknown, Why::NoEvidence));
        let mut metrics = Metrics::default();
        measured.month = Ok(Some((metrics.clone(), proof(0, true))));
        assert_eq!(state(&measured, "incident-classified", at(1)), (State::Ok, Why::Proved));
        assert_eq!(state(&measured, "incident-page", at(2)), (State::Overdue, Why::LateSince(at(1))));
        metrics.unacknowledged = vec![Named { group: Group::Drill, ..named.clone() }];
        measured.month = Ok(Some((metrics.clone(), proof(0, true))));
        assert_eq!(state(&measured, "incident-classified", at(1)).0, State::Ok);
        metrics.unacknowledged.push(named);
        measured.month = Ok(Some((metrics, proof(0, true))));
        assert_eq!(
            state(&measured, "incident-classified", at(1)),
            (State::Failing, Why::Items(vec!["INC-1".to_owned()]))
        );
        assert_eq!(state(&measured, "incident-page", at(1)).0, State::Ok);
        // The clock has no record of its own until data are compromised.
        measured.chains.insert("incident-clock".to_owned(), verified(Folded::default()));
        assert_eq!(state(&measured, "incident-updates", at(1)), (State::Unknown, Why::NoCase));
        measured.timeline = Ok(Some(proof(0, true)));
        assert_eq!(state(&measured, "incident-updates", at(1)), (State::Ok, Why::Proved));
    }

    #[test]
    fn one_damaged_chain_fails_the_evidence() {
        let mut all = facts("a", verified(Folded::default()));
        assert_eq!(state(&all, "evidence", at(0)), (State::Ok, Why::Proved));
        let chain = |procedure: &str, verdict| ChainRow {
            procedure: procedure.to_owned(),
            verdict,
            ..ChainRow::default()
        };
        all.chains.insert("b".to_owned(), (chain("b", Verdict::Unknown), Folded::default()));
        assert_eq!(state(&all, "evidence", at(0)), (State::Unknown, Why::Items(vec!["b".to_owned()])));
        all.chains.insert("c".to_owned(), (chain("c", Verdict::Damaged(Vec::new())), Folded::default()));
        assert_eq!(state(&all, "evidence", at(0)), (State::Failing, Why::Items(vec!["c".to_owned()])));
    }
}
