//! Tests over the rules of all kinds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use shared::command;
use shared::policy::Policy;

use super::application::tests::{ACCOUNTS, PROTECTEDS, SERVICES, VAULTS};
use super::audit::expired;
use super::facts::Instance;
use super::grafana::tests::EXPORTS;
use super::rds::INSTANCE;
use super::rds::tests::{INSTANCES, SNAPSHOTS, instance};
use super::rule::declared;
use super::rule::tests::{DB, Rows, audit, can_be_run, context, row, word};
use super::s3::tests::BUCKETS;
use super::terraform::tests::TABLES;
use super::*;

/// Rules about the stack's names and about the audit itself, tested below and with the sweep.
const OF_NO_RESOURCE: [&str; 9] = [
    "audit.coverage",
    "audit.exception-expired",
    "ecs.exists",
    "grafana.declared",
    "rds.exists",
    "s3.exists",
    "terraform.lock",
    "terraform.state",
    "uploads.declared",
];

#[test]
fn every_rule_has_rows_of_each_kind() {
    fn kinds<T>(rows: Rows<T>) -> impl Iterator<Item = (&'static str, &'static str)> {
        rows.iter().map(|(id, case, _)| (*id, case.kind()))
    }
    let given = kinds(INSTANCES).chain(kinds(SNAPSHOTS)).chain(kinds(BUCKETS));
    let given = given.chain(kinds(TABLES)).chain(kinds(SERVICES)).chain(kinds(ACCOUNTS));
    let given = given.chain(kinds(PROTECTEDS)).chain(kinds(VAULTS)).chain(kinds(EXPORTS));
    let mut rows = BTreeMap::<_, BTreeSet<_>>::new();
    for (id, kind) in given {
        rows.entry(id).or_default().insert(kind);
    }
    for rule in all().filter(|rule| !OF_NO_RESOURCE.contains(&rule.id)) {
        let kinds: Vec<_> = rows.remove(rule.id).unwrap_or_default().into_iter().collect();
        assert_eq!(kinds, ["broken", "dark", "edge", "holds"], "{}", rule.id);
    }
    assert!(rows.is_empty(), "rows of no rule: {rows:?}");
}

#[test]
fn every_rule_has_texts_in_both_languages() {
    let mut ids = BTreeSet::new();
    for rule in all() {
        assert!(ids.insert(rule.id), "{} is not unique", rule.id);
        assert!(rule.id.contains('.'), "{}", rule.id);
        assert!(!rule.guide.is_empty(), "{}", rule.id);
        for [portuguese, english] in [rule.title, rule.why] {
            assert!(!portuguese.is_empty() && !english.is_empty(), "{}", rule.id);
            assert_ne!(portuguese, english, "{}", rule.id);
        }
    }
    assert!(OF_NO_RESOURCE.iter().all(|id| ids.contains(id)));
}

#[track_caller]
fn excepted(rule: &str, resource: &str, until: &str, expected: &str) {
    let exception =
        json!({"rule": rule, "resource": resource, "reason": "why", "owner": "Squad Dados", "until": until});
    let policy = audit(json!({"exceptions": [exception]}));
    let context = Context { policy: &policy, ..context() };
    let change = |db: &mut Instance| db.is_public = Some(true);
    let row = row(INSTANCE, "rds.public", DB, &instance(), change, &context).unwrap();
    assert_eq!(row.verdict.word(), expected, "{row:?}");
    assert!(can_be_run(&row.next_step()), "{row:?}");
}

/// Today is November 26 in São Paulo.
#[test]
fn an_exception_covers_one_rule_and_a_name_or_prefix_until_the_end_of_its_last_day() {
    excepted("rds.public", DB, "2026-11-26", "excepted");
    excepted("rds.public", DB, "2026-11-25", "fail");
    excepted("rds.public", "moveongs-prod-*", "2026-12-31", "excepted");
    excepted("rds.public", "*", "2026-12-31", "excepted");
    excepted("rds.public", "moveongs-prod-d", "2026-12-31", "fail");
    excepted("rds.public", "moveongs-dev-*", "2026-12-31", "fail");
    excepted("rds.encryption", DB, "2026-12-31", "fail");
}

#[test]
fn an_exception_covers_a_violation_and_not_an_unknown() {
    let exception =
        json!({"rule": "rds.public", "resource": "*", "reason": "r", "owner": "o", "until": "2026-12-31"});
    let policy = audit(json!({"exceptions": [exception]}));
    let context = Context { policy: &policy, ..context() };
    for (is_public, expected) in [(None, "unknown"), (Some(false), "pass")] {
        let change = |db: &mut Instance| db.is_public = is_public;
        let row = row(INSTANCE, "rds.public", DB, &instance(), change, &context);
        assert_eq!(word(row.as_ref()), expected);
    }
}

#[test]
fn an_expired_exception_is_a_finding() {
    let exception =
        |until| json!({"rule": "rds.public", "resource": until, "reason": "r", "owner": "o", "until": until});
    let policy = audit(json!({"exceptions": [exception("2026-11-25"), exception("2026-11-26")]}));
    // The first instant is the 26th in UTC and still the 25th in São Paulo; the second is the 26th in both.
    for (now, expected) in [
        ("2026-11-26T02:59:59Z", vec![]),
        ("2026-11-26T03:00:00Z", vec!["rds.public 2026-11-25"]),
        ("2026-11-27T03:00:00Z", vec!["rds.public 2026-11-25", "rds.public 2026-11-26"]),
    ] {
        let context = Context { policy: &policy, now: now.parse().unwrap(), ..context() };
        let rows = expired(&context);
        let names: Vec<_> = rows.iter().map(|row| row.resource.as_str()).collect();
        assert_eq!(names, expected, "{now}");
        for row in rows {
            assert_eq!((row.rule.id, row.verdict.word()), ("audit.exception-expired", "fail"));
            assert!(row.next_step().contains("backups.audit.exceptions"));
        }
    }
}

#[test]
fn a_named_resource_exists_or_is_missing_or_accepted() {
    let exception = json!({
        "rule": "terraform.state", "resource": "terraform", "reason": "r", "owner": "o", "until": "2026-11-26"
    });
    let policy = json!({"backups": {"audit": {"exceptions": [exception]}}}).to_string();
    let policy = policy.parse::<Policy>().unwrap().backups.audit;
    let accepting = Context { policy: &policy, ..context() };
    for (rule, exists, context, expected) in [
        (&terraform::DECLARED_STATE, true, context(), "pass"),
        (&terraform::DECLARED_STATE, false, context(), "fail"),
        (&terraform::DECLARED_STATE, false, accepting, "excepted"),
        (&terraform::DECLARED_LOCK, false, context(), "fail"),
        (&s3::GRAFANA_DECLARED, false, context(), "fail"),
        (&application::NO_SERVICE, true, context(), "pass"),
        (&application::NO_SERVICE, false, context(), "fail"),
        (&rds::MISSING, true, context(), "pass"),
        (&rds::MISSING, false, context(), "fail"),
    ] {
        let row = declared(rule, "terraform", exists, ("nothing", &command!("parameter P")), &context);
        assert_eq!(row.verdict.word(), expected, "{}", rule.id);
        assert_eq!(row.next_step(), if exists { "" } else { "parameter P" });
    }
}
