//! The state of each control: what was read, judged by its cadence. What was not read, or not verified, is unknown.

use std::collections::{BTreeMap, BTreeSet};

use incident::metrics::{Group, Metrics};
use jiff::{SignedDuration, Timestamp};
use shared::audit::findings::{about_of, role_of};
use shared::policy::Policy;
use shared::runtime::language::Language;

use super::control::{CONTROLS, Cadence, Control, Source, is_of};
use super::fold::{Folded, MOST_OPEN};
use super::view::{ChainRow, Figure, Open, Proof, Row, Secret, State, Verdict, Why};

/// Most names of late items that a reason lists.
const MOST_ITEMS: usize = 20;

/// Lines of findings that `backup-audit` keeps in a record; beyond, a rule without a line may fail, too.
const MOST_LINES: usize = 200;

/// How far ahead of the page a record may have ended: one may be written while the page is made. A later one is from the future.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// Begins the finding of `inventory-audit` that the alarms could not be listed: of the other parts, it says nothing.
pub(super) const ALARMS: &str = "InsufficientData alarms";

/// The daily drill of the pager, as its metrics show it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Drill {
    /// When it came back last; none if it never has.
    pub returned: Option<Timestamp>,
    /// When it was late last.
    pub late: Option<Timestamp>,
}

/// What was read.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The page's language.
    pub language: Language,
    /// Verified chains, by procedure.
    pub chains: BTreeMap<String, (ChainRow, Folded)>,
    /// The rotation sheet; the reason if it could not be read.
    pub secrets: Result<Vec<Secret>, String>,
    /// The months' metrics, the oldest first, each with its object; the reason if they could not all be read.
    pub months: Result<Vec<(Metrics, Proof)>, String>,
    /// The pager's drill; the reason if its metrics could not be read.
    pub drill: Result<Drill, String>,
    /// The verdict on the anchors; none without a second place.
    pub anchors: Option<Verdict>,
}

/// The name of the anchors among the chains.
pub(crate) const ANCHORS: &str = "anchors";

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
            let mut row = judge(row, control, facts, ahead, now);
            if matches!(control.cadence, Cadence::Every { .. }) {
                // What was never proved is due now.
                row.next_due = row.next_due.or(Some(now));
            }
            row
        })
        .collect();
    rows.sort_by(|one, other| one.guide.cmp(&other.guide));
    rows
}

fn judge(row: Row, control: &Control, facts: &Facts, ahead: SignedDuration, now: Timestamp) -> Row {
    match control.source {
        Source::Records | Source::Part(..) => records(row, control, facts, ahead, now),
        Source::Items => secrets(row, control, facts, ahead, now),
        Source::Drill => drill(row, control, facts, now),
        Source::Response | Source::Updates => incidents(row, control, facts, now),
        Source::Chains => chains(row, facts, now),
    }
}

/// Judges by the procedure's records, or by the control's part of their findings.
fn records(mut row: Row, control: &Control, facts: &Facts, ahead: SignedDuration, now: Timestamp) -> Row {
    let Some((chain, folded)) = facts.chains.get(control.procedure) else {
        return unknown(row, Why::Unread(facts.language.pick("não foi lida", "not read").to_owned()));
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
    if last.at.duration_since(now) > SKEW {
        // It would prove the control until long after that time.
        let Proof { key, at, .. } = last;
        let why = shared::tr!(
            facts.language,
            "{key} termina em {at}, que ainda não chegou",
            "{key} ends at {at}, which is to come",
        );
        return unknown(row, Why::Unread(why));
    }
    row.stopped = age(control, Some(last.at), ahead, now).1;
    let open = &folded.open;
    let (found, proves) = match control.source {
        Source::Part(..) => {
            let found: Vec<State> = open.iter().filter_map(|open| of_part(control, open)).collect();
            row.figure = Some(Figure::Findings(found.len()));
            let is_whole = folded.more == 0 && open.len() < MOST_LINES.min(MOST_OPEN) && is_read(open);
            // Without a subject, a line is no finding but the reason why the audit stopped.
            let is_stopped = open.is_empty() || open.iter().any(|open| about_of(&open.key).is_empty());
            let ran = last.succeeded || !is_stopped;
            match (found.is_empty(), is_whole && ran) {
                (true, false) => (vec![State::Unknown], false),
                _ => (found.clone(), found.iter().all(|state| state.is_good())),
            }
        }
        _ => {
            let found: Vec<State> = open.iter().filter_map(|open| finding(control, &open.key)).collect();
            // A failed run without a line that says why is a failure.
            let is_explained = last.succeeded || found.iter().any(|state| !state.is_good());
            (if is_explained { found } else { vec![State::Failing] }, last.succeeded)
        }
    };
    if !proves {
        row.last_good.clone_from(&folded.good);
    }
    let worst = found.iter().min().copied().unwrap_or(State::Ok);
    // The last good run says nothing about a part: for months, the whole may fail for another reason.
    let is_part = matches!(control.source, Source::Part(..));
    let proved_at = if proves || is_part { Some(last.at) } else { folded.good.as_ref().map(|good| good.at) };
    let (by_age, late) = age(control, proved_at, ahead, now);
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

/// The state that a finding means for a control that is judged by a part of the findings; none for another part's.
fn of_part(control: &Control, open: &Open) -> Option<State> {
    let ruled = ruled(&open.key);
    let is_named = matches!(control.source, Source::Part(rules, _) if rules.contains(&ALARMS));
    if open.key.starts_with(ALARMS) && !is_named {
        return None;
    }
    match is_of(control, ruled, role_of(&open.text)) {
        Some(true) => finding(control, &open.key),
        Some(false) => None,
        // It may be of this part: a record of an older program, or an exception for several buckets.
        None => Some(State::Unknown),
    }
}

/// The state that a finding means for its control; none for a remark that leaves it good.
fn finding(control: &Control, key: &str) -> Option<State> {
    let kind = key.split(' ').next().unwrap_or_default();
    match kind {
        "Overdue" | "PostmortemOverdue" | "ActionOverdue" | "OnboardingOverdue" | "RotationLate" => {
            Some(State::Overdue)
        }
        "DueSoon" | "PostmortemDueSoon" | "ActionDueSoon" | "OnboardingDueSoon" => Some(State::Due),
        "unknown" | "unverified" | "not-finished" | "could-not-verify" | "InsufficientData" | "NotSeen"
        | "LoginUnknown" | "NotChecked" | "NotListed" | "NobodyListed" | "NothingRead" | "ListUnread"
        | "StateUndeclared" | "StateUnreadable" | "RunbookUnchecked" | "PhoneUnverified"
        | "policy.unverified" => Some(State::Unknown),
        // Tags are what the inventory is about.
        "TagsMissing" if control.procedure == "inventory-audit" => Some(State::Failing),
        // Warnings, which do not make their audit fail.
        "TagsContradict" | "TagsMissing" | "NoPolicy" | "Unused" | "NeverRotated" | "Repeated"
        | "MentorUnreachable" | "PersonInAccounts" => None,
        _ if kind.starts_with('+') => Some(State::Unknown),
        _ => Some(State::Failing),
    }
}

/// Kind, or rule without its verdict, and subject. An exception that expired belongs to the rule that it excepts.
fn ruled(key: &str) -> &str {
    let rest = ["fail ", "unknown ", "excepted "].iter().find_map(|verdict| key.strip_prefix(verdict));
    let rest = rest.unwrap_or(key);
    rest.strip_prefix("audit.exception-expired ").unwrap_or(rest)
}

/// Whether the audit read everything, and its record has room for all that it found.
fn is_read(open: &[Open]) -> bool {
    !open.iter().any(|open| {
        let key = &open.key;
        ruled(key).starts_with("audit.coverage") || key.starts_with("NothingRead") || key.starts_with('+')
    })
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
    let by_records = records(row.clone(), control, facts, ahead, now);
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
    let worst = own.iter().map(|secret| secret.state).min().unwrap_or_default();
    match by_records.why {
        why @ (Why::ChainDamaged | Why::Unread(_)) => return unknown(row, why),
        // A secret that should have been rotated is a case.
        why @ (Why::NoEvidence | Why::NoCase) if own.is_empty() || worst.is_good() => {
            return unknown(row, why);
        }
        _ if own.is_empty() => return unknown(row, Why::NoEvidence),
        _ => {}
    }
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

/// Judges by the pager's daily drill, which goes the way of every alert. The last record of this function says what it saw of it.
/// A drill that is late has an alarm of its own.
fn drill(mut row: Row, control: &Control, facts: &Facts, now: Timestamp) -> Row {
    if let Some((_, own)) = facts.chains.get("governance-report") {
        row.evidence.clone_from(&own.last);
    }
    let Drill { returned, late } = match &facts.drill {
        Ok(drill) => *drill,
        Err(why) => return unknown(row, Why::Unread(why.clone())),
    };
    row.figure = returned.map(Figure::Drill);
    row.next_due = due(control, returned);
    if late > returned {
        return Row { state: State::Failing, why: Why::DrillLost, ..row };
    }
    let Some(returned) = returned else { return unknown(row, Why::NoEvidence) };
    (row.state, row.why) = match age(control, Some(returned), SignedDuration::ZERO, now).1 {
        Some(since) => (State::Overdue, Why::LateSince(since)),
        None => (State::Ok, Why::Proved),
    };
    row
}

/// Judges by the newest incidents, of this month or the one before, in the metrics that the daily run of `postmortem` writes.
fn incidents(mut row: Row, control: &Control, facts: &Facts, now: Timestamp) -> Row {
    let months = match &facts.months {
        Ok(months) => months,
        Err(why) => return unknown(row, Why::Unread(why.clone())),
    };
    let Some(newest) = months.last() else { return unknown(row, Why::NoEvidence) };
    let all = |metrics: &Metrics| -> usize {
        let rows = metrics.rows.iter().filter(|row| row.group == Group::Incident);
        rows.map(|row| row.incidents).sum()
    };
    let found = months.iter().rev().take(2).find(|(metrics, _)| all(metrics) > 0);
    let (metrics, proof) = found.unwrap_or(newest);
    let (measured, lists) = match control.source {
        Source::Updates => ("silent", vec![&metrics.silent]),
        _ => ("unclassified", vec![&metrics.unacknowledged, &metrics.unclassified]),
    };
    let missed = lists.into_iter().flatten().filter(|named| named.group == Group::Incident);
    let missed: BTreeSet<String> = missed.map(|named| named.incident.clone()).collect();
    let all = all(metrics);
    row.evidence = Some(proof.clone());
    if !metrics.definitions.contains_key(measured) {
        // An older program did not measure it.
        return unknown(row, Why::NoEvidence);
    }
    row.figure = Some(Figure::Incidents { all, missed: missed.len() });
    let (by_age, late) = age(control, Some(newest.1.at), SignedDuration::ZERO, now);
    row.next_due = due(control, Some(newest.1.at));
    (row.state, row.why) = match (missed.is_empty(), by_age, late) {
        (false, ..) => (State::Failing, Why::Items(missed.into_iter().take(MOST_ITEMS).collect())),
        (_, State::Overdue, Some(since)) => (State::Overdue, Why::LateSince(since)),
        _ if all == 0 => (State::Unknown, Why::NoCase),
        _ => (State::Ok, Why::Proved),
    };
    row
}

/// Judges by all chains, and the anchors' own.
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
        let anchors = facts.anchors.iter().map(|verdict| (ANCHORS, verdict));
        let named = all.clone().map(|chain| (chain.procedure.as_str(), &chain.verdict)).chain(anchors);
        let named = named.filter(|(_, verdict)| is(verdict));
        named.map(|(name, _)| name.to_owned()).take(MOST_ITEMS).collect()
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

/// The heads could not be kept in their second place: what the page says of the evidence is then no better than unknown.
pub(crate) fn unanchored(rows: &mut [Row]) {
    if let Some(row) = rows.iter_mut().find(|row| row.id == "evidence" && row.state.is_good()) {
        (row.state, row.why) = (State::Unknown, Why::Items(vec![ANCHORS.to_owned()]));
    }
}

#[cfg(test)]
mod tests {
    use incident::metrics::{Named, Row as Month, Stat};
    use shared::audit::findings::{key_of, with_role};

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
        let open = lines.iter().map(|line| Open {
            key: key_of(line).to_owned(),
            text: line.strip_prefix(key_of(line)).unwrap_or_default().to_owned(),
            ..Open::default()
        });
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
            language: Language::Portuguese,
            chains: BTreeMap::from([(procedure.to_owned(), chain)]),
            secrets: Ok(Vec::new()),
            months: Ok(Vec::new()),
            drill: Ok(Drill::default()),
            anchors: None,
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
            // The record had no room for two lines.
            (true, &["NeverRotated a", "+2"], (State::Unknown, Why::NotAllRead)),
            (false, &["Overdue a", "+2"], (State::Overdue, Why::Found(1))),
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
        // What was never proved is due at once, unless it waits for a case.
        for row in rows(&none, &"".parse().unwrap(), at(0)) {
            let control = CONTROLS.iter().find(|control| control.id == row.id).unwrap();
            let is_scheduled = control.cadence != Cadence::Case;
            assert_eq!(row.next_due, is_scheduled.then(|| row.next_due.unwrap().max(at(0))), "{row:?}");
        }
    }

    #[test]
    fn a_record_of_a_time_to_come_proves_nothing() {
        let second = SignedDuration::from_secs(1);
        for (procedure, id) in
            [("rotation-audit", "rotation-planned"), ("backup-audit", "uploads-sent"), ("policy", "policy")]
        {
            let facts = facts(procedure, verified(ran(0, true, &[])));
            assert_eq!(state(&facts, id, at(0) - SKEW).0, State::Ok, "{id}");
            let why = Why::Unread(format!(" termina em {}, que ainda não chegou", at(0)));
            assert_eq!(state(&facts, id, at(0) - SKEW - second), (State::Unknown, why), "{id}");
        }
    }

    #[test]
    fn a_part_of_the_backup_audit_is_judged_by_its_own_rules() {
        let lines = &[
            "fail rds.retention db",
            "unknown terraform.lock table",
            "fail s3.public b: x, role: attachments",
        ];
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
        for lines in
            [&["unknown audit.coverage s3"][..], &["fail rds.retention db", "+ 7 more findings"], &many, &[]]
        {
            let facts = facts("backup-audit", verified(ran(0, false, lines)));
            assert_eq!(state(&facts, "uploads-sent", at(0)).0, State::Unknown, "{lines:?}");
        }
    }

    #[test]
    fn a_buckets_finding_is_of_the_control_of_its_role_alone() {
        let of_buckets = [
            "attachments-protected",
            "uploads-sent",
            "terraform-state",
            "evidence-protected",
            "grafana-kept",
        ];
        let state_of = |line: &str, id: &str| {
            let audited = facts("backup-audit", verified(ran(0, false, &[line])));
            state(&audited, id, at(0)).0
        };
        for (key, found) in [
            ("fail s3.exists b", State::Failing),
            ("fail s3.versioning b", State::Failing),
            ("unknown s3.versioning b", State::Unknown),
            ("unknown s3.exists b", State::Unknown),
            ("fail s3.uploads-fresh b", State::Failing),
            ("fail audit.exception-expired s3.versioning b", State::Failing),
        ] {
            for (role, own) in [
                ("attachments", "attachments-protected"),
                ("other", "attachments-protected"),
                ("uploads", "uploads-sent"),
                ("state", "terraform-state"),
                ("evidence", "evidence-protected"),
                ("grafana", "grafana-kept"),
            ] {
                let line = with_role(&format!("{key}: is x"), role);
                for id in of_buckets {
                    let expected = if id == own { found } else { State::Ok };
                    assert_eq!(state_of(&line, id), expected, "{line} {id}");
                }
                assert_eq!(state_of(&line, "database-backups"), State::Ok, "{line}");
            }
            // A record that was written before lines had roles, and a role of a newer program.
            for line in [format!("{key}: is x"), with_role(&format!("{key}: is x"), "lake")] {
                for id in of_buckets {
                    assert_eq!(state_of(&line, id), State::Unknown, "{line} {id}");
                }
                assert_eq!(state_of(&line, "log-filters"), State::Ok, "{line}");
            }
        }
    }

    #[test]
    fn a_finding_contradicts_its_control_and_no_other() {
        for (procedure, line, failing) in [
            ("backup-audit", "fail rds.retention db", &["database-backups"][..]),
            ("backup-audit", "fail rds.snapshot-public s", &["database-backups"]),
            ("backup-audit", "fail rds.encryption db", &["database-backups"]),
            ("backup-audit", "fail rds.encryption-key db", &["database-settings"]),
            ("backup-audit", "fail rds.minor-upgrades db", &["database-settings"]),
            ("backup-audit", "fail rds.force-ssl db", &["database-settings"]),
            ("backup-audit", "fail rds.events db", &["alarms"]),
            ("backup-audit", "fail rds.backup-plan db", &["backup-plans"]),
            ("backup-audit", "fail account.in-backup-plan b", &["backup-plans"]),
            ("backup-audit", "fail terraform.state terraform", &["terraform-state"]),
            ("backup-audit", "fail uploads.declared b", &["uploads-sent"]),
            ("backup-audit", "fail grafana.restorable grafana", &["grafana-kept"]),
            ("backup-audit", "fail iam.object-versions role", &["application-settings"]),
            ("inventory-audit", "Missing secret a", &["inventory", "terraform-tracked"]),
            ("inventory-audit", "NotInState secret a", &["inventory", "terraform-tracked"]),
            ("inventory-audit", "TagsMissing secret a", &["inventory"]),
            ("inventory-audit", "Drift secret a rotation", &["terraform-tracked"]),
            ("inventory-audit", "RunbookMissing runbook a", &["runbooks"]),
            ("inventory-audit", "RotationGap on-call Squad Infra", &["on-call"]),
            ("inventory-audit", "SquadUnreachable on-call Squad Infra", &["on-call"]),
        ] {
            let found = facts(procedure, verified(ran(0, false, &[line])));
            let own = rows(&found, &"".parse().unwrap(), at(0));
            let own: Vec<_> = own.iter().filter(|row| row.procedure == procedure).collect();
            for row in &own {
                let expected = if failing.contains(&row.id.as_str()) { State::Failing } else { State::Ok };
                assert_eq!(row.state, expected, "{line}: {row:?}");
            }
            assert!(failing.iter().all(|id| own.iter().any(|row| row.id == *id)), "{line}");
        }
        // Not even warnings and what was not verified leave a control good that they contradict.
        for (procedure, line, id) in [
            ("inventory-audit", "PhoneUnverified on-call Ana", "on-call"),
            ("policy", "policy.unverified policy/current.json", "policy"),
        ] {
            let found = facts(procedure, verified(ran(0, false, &[line])));
            assert_eq!(state(&found, id, at(0)).0, State::Unknown, "{line}");
        }
        // What is unknown of a part is not late because the whole run was never good.
        let never = Folded { good: None, ..ran(0, false, &["fail s3.exists b"]) };
        let never = facts("backup-audit", verified(never));
        assert_eq!(state(&never, "terraform-state", at(0)), (State::Unknown, Why::NotAllRead));
        assert_eq!(state(&never, "terraform-state", at(2)).0, State::Overdue);
        // Beside what could not be read, too.
        let lines = &["InsufficientData secret b", "TagsMissing secret a"];
        let found = facts("inventory-audit", verified(ran(0, false, lines)));
        assert_eq!(state(&found, "inventory", at(0)), (State::Failing, Why::Found(1)));
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
        // No rotation was ever recorded, and one is overdue.
        let mut never = facts("rotate-random", verified(Folded::default()));
        for (found, expected) in [
            (State::Overdue, (State::Overdue, Why::Items(vec!["s".to_owned()]))),
            (State::Ok, (State::Unknown, Why::NoCase)),
        ] {
            never.secrets = Ok(vec![Secret { rotated: None, ..secret(found, 0) }]);
            assert_eq!(state(&never, "rotate-random", at(1)), expected);
        }
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
    fn what_stopped_an_audit_proves_no_part_of_it() {
        let stopped = &["FileFailed"];
        let of_backups = facts("backup-audit", verified(ran(0, false, stopped)));
        let of_inventory = facts("inventory-audit", verified(ran(0, false, stopped)));
        for control in CONTROLS.iter().filter(|control| matches!(control.source, Source::Part(..))) {
            for facts in [&of_backups, &of_inventory] {
                assert_eq!(state(facts, control.id, at(0)).0, State::Unknown, "{}", control.id);
            }
        }
    }

    #[test]
    fn what_the_inventory_could_not_read_is_unknown_in_its_part_alone() {
        for (line, runbooks, tracked) in [
            ("InsufficientData alarms moveongs-dev", State::Unknown, State::Ok),
            ("RunbookUnchecked runbook docs/a.md", State::Unknown, State::Ok),
            ("RunbookMissing runbook docs/a.md", State::Failing, State::Ok),
            ("InsufficientData secret a", State::Ok, State::Unknown),
            ("ListUnread tagged-resources moveongs-dev", State::Ok, State::Unknown),
            ("StateUnreadable terraform-state a", State::Ok, State::Unknown),
            ("StateUndeclared terraform-state moveongs-dev", State::Ok, State::Unknown),
            ("Drift secret a rotation", State::Ok, State::Failing),
            ("NothingRead inventory moveongs-dev", State::Unknown, State::Unknown),
            ("+2", State::Unknown, State::Unknown),
            ("Missing secret a", State::Ok, State::Failing),
            ("TagsMissing secret a", State::Ok, State::Ok),
        ] {
            let facts = facts("inventory-audit", verified(ran(0, false, &[line])));
            let of = |id: &str| state(&facts, id, at(0)).0;
            assert_eq!((of("runbooks"), of("terraform-tracked")), (runbooks, tracked), "{line}");
        }
    }

    #[test]
    fn an_exception_that_expired_fails_the_control_of_its_rule() {
        let lines = &["fail audit.exception-expired s3.access-logging b: until x, role: attachments"];
        let audited = facts("backup-audit", verified(ran(0, false, lines)));
        assert_eq!(state(&audited, "attachments-protected", at(0)).0, State::Failing);
        assert_eq!(state(&audited, "database-backups", at(0)).0, State::Ok);
    }

    #[test]
    fn a_run_that_is_missing_is_seen_whatever_the_last_one_found() {
        let hours = SignedDuration::from_hours;
        let stopped = |facts: &Facts, now| {
            let rows = rows(facts, &"".parse().unwrap(), now);
            rows.into_iter().find(|row| row.id == "rotation-planned").unwrap().stopped
        };
        for lines in [&["StuckPending a"][..], &["InsufficientData a"], &["Overdue a"]] {
            let mut found = ran(0, false, lines);
            let facts = facts("rotation-audit", verified(found.clone()));
            assert_eq!(stopped(&facts, at(0) + hours(30)), None, "{lines:?}");
            assert_eq!(stopped(&facts, at(0) + hours(31)), Some(at(1)), "{lines:?}");
            // Without good evidence for days, it still runs.
            found.good = Some(proof(-9, true));
            let facts = super::tests::facts("rotation-audit", verified(found));
            assert_eq!(stopped(&facts, at(0)), None, "{lines:?}");
        }
    }

    #[test]
    fn the_pager_is_proved_by_its_drill() {
        let mut seen = facts("x", verified(Folded::default()));
        for (returned, late, expected) in [
            (None, None, (State::Unknown, Why::NoEvidence)),
            (None, Some(at(1)), (State::Failing, Why::DrillLost)),
            (Some(at(0)), None, (State::Ok, Why::Proved)),
            (Some(at(0)), Some(at(1)), (State::Failing, Why::DrillLost)),
            // Late, and then it came back.
            (Some(at(1)), Some(at(1)), (State::Ok, Why::Proved)),
            (Some(at(-1)), None, (State::Overdue, Why::LateSince(at(0)))),
        ] {
            seen.drill = Ok(Drill { returned, late });
            let all = rows(&seen, &"".parse().unwrap(), at(1));
            assert_eq!(all.iter().find(|row| row.id == "incident-page").unwrap().stopped, None);
            assert_eq!(state(&seen, "incident-page", at(1)), expected, "{returned:?} {late:?}");
        }
        seen.drill = Err("denied".to_owned());
        assert_eq!(state(&seen, "incident-page", at(1)).0, State::Unknown);
    }

    #[test]
    fn incidents_are_judged_by_what_was_measured_of_them() {
        let named = |group| Named {
            incident: "INC-1".to_owned(),
            severity: incident::Severity::S1,
            group,
            first_at: at(0),
        };
        let both = |facts: &Facts, now| {
            (state(facts, "incident-classified", now), state(facts, "incident-updates", now))
        };
        let (good, none) = ((State::Ok, Why::Proved), (State::Unknown, Why::NoCase));
        let missed = (State::Failing, Why::Items(vec!["INC-1".to_owned()]));
        let late = (State::Overdue, Why::LateSince(at(1)));
        let mut seen = facts("x", verified(Folded::default()));
        let unknown = (State::Unknown, Why::NoEvidence);
        assert_eq!(both(&seen, at(1)), (unknown.clone(), unknown.clone()));
        let stat = Stat::default();
        let (group, severity) = (Group::Incident, incident::Severity::S1);
        let row = Month { group, severity, incidents: 1, tta: stat, ttm: stat, ttr: stat, impact: stat };
        let definitions = ["silent", "unclassified"].map(|name| (name.to_owned(), String::new()));
        let blank = Metrics { definitions: definitions.into(), ..Metrics::default() };
        let month = Metrics { rows: vec![row], ..blank.clone() };
        let with = |change: fn(&mut Metrics, Named), group| {
            let mut month = month.clone();
            change(&mut month, named(group));
            month
        };
        type Change = fn(&mut Metrics, Named);
        let nobody: Change = |month, named| month.unacknowledged.push(named);
        let unclassified: Change = |month, named| month.unclassified.push(named);
        let silent: Change = |month, named| month.silent.push(named);
        for (months, now, expected) in [
            (vec![blank.clone()], at(1), (none.clone(), none.clone())),
            // Of an older program, which did not measure it.
            (
                vec![Metrics { definitions: BTreeMap::new(), ..month.clone() }],
                at(1),
                (unknown.clone(), unknown),
            ),
            (vec![month.clone()], at(1), (good.clone(), good.clone())),
            (vec![month.clone()], at(2), (late.clone(), late)),
            (vec![with(nobody, Group::Incident)], at(1), (missed.clone(), good.clone())),
            (vec![with(nobody, Group::Drill)], at(1), (good.clone(), good.clone())),
            (vec![with(unclassified, Group::Incident)], at(1), (missed.clone(), good.clone())),
            (vec![with(silent, Group::Incident)], at(1), (good.clone(), missed.clone())),
            // The first days of a month without an incident.
            (vec![with(nobody, Group::Incident), blank.clone()], at(1), (missed, good)),
            (vec![month.clone(), blank.clone(), blank], at(1), (none.clone(), none)),
        ] {
            seen.months = Ok(months.into_iter().map(|month| (month, proof(0, true))).collect());
            assert_eq!(both(&seen, now), expected, "{:?}", seen.months);
        }
        seen.months = Err("denied".to_owned());
        assert_eq!(both(&seen, at(1)).0.0, State::Unknown);
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

    #[test]
    fn the_anchors_are_a_part_of_the_evidence() {
        let mut all = facts("a", verified(Folded::default()));
        let why = || Why::Items(vec![ANCHORS.to_owned()]);
        for (anchors, expected) in [
            (None, (State::Ok, Why::Proved)),
            (Some(Verdict::Verified), (State::Ok, Why::Proved)),
            (Some(Verdict::Empty), (State::Ok, Why::Proved)),
            (Some(Verdict::Unknown), (State::Unknown, why())),
            (Some(Verdict::Damaged(Vec::new())), (State::Failing, why())),
        ] {
            all.anchors.clone_from(&anchors);
            assert_eq!(state(&all, "evidence", at(0)), expected, "{anchors:?}");
        }
        all.anchors = None;
        let mut rows = rows(&all, &"".parse().unwrap(), at(0));
        unanchored(&mut rows);
        let row = rows.iter().find(|row| row.id == "evidence").unwrap();
        assert_eq!((row.state, &row.why), (State::Unknown, &why()));
    }
}
