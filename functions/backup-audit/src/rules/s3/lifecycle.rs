//! Lifecycle rules: the objects and versions that they delete, and when.

use crate::rules::facts::{Bucket, Lifecycle, Role};
use crate::rules::rule::{Context, Verdict};

/// Whether a rule only applies below a prefix whose objects may expire by the policy.
fn may_expire(bucket: &Bucket, rule: &Lifecycle, context: &Context<'_>) -> bool {
    let prefixes = &context.policy.expiring_prefixes;
    let prefixes = match bucket.role {
        Role::Attachments => &prefixes.attachments,
        Role::Uploads => &prefixes.uploads,
        _ => return false,
    };
    prefixes.iter().any(|prefix| rule.prefix.starts_with(prefix.as_str()))
}

/// Text for a rule: its id and scope.
pub(crate) fn named(rule: &Lifecycle) -> String {
    let scope = if rule.prefix.is_empty() { "whole bucket" } else { rule.prefix.as_str() };
    let filter = if rule.is_filtered { ", by tag or size" } else { "" };
    format!("rule {}, {scope}{filter}", if rule.id.is_empty() { "without ID" } else { &rule.id })
}

pub(super) fn expiration(bucket: &Bucket, rules: &[Lifecycle], context: &Context<'_>) -> Verdict {
    let expires = |rule: &&Lifecycle| rule.is_enabled && rule.expires && !may_expire(bucket, rule, context);
    let found: Vec<_> = rules.iter().filter(expires).map(named).collect();
    Verdict::of(
        found.is_empty(),
        format!("Expiration of current objects: {}", found.join("; ")),
        "no Expiration outside the prefixes in backups.audit.expiring_prefixes",
    )
}

/// The rule that deletes old versions first, other than those whose objects may expire. A rule that also keeps a number
/// of newer versions keeps more; only its days count.
pub(crate) fn shortest<'a>(
    bucket: &Bucket,
    rules: &'a [Lifecycle],
    context: &Context<'_>,
) -> Option<(&'a Lifecycle, i32)> {
    let enabled = rules.iter().filter(|rule| rule.is_enabled && !may_expire(bucket, rule, context));
    enabled.filter_map(|rule| Some((rule, rule.noncurrent_days?))).min_by_key(|(_, days)| *days)
}

pub(super) fn noncurrent(bucket: &Bucket, rules: &[Lifecycle], context: &Context<'_>) -> Verdict {
    let least = context.noncurrent_days;
    let expected = format!("NoncurrentDays ≥ {least}, whole bucket");
    let is_whole = |rule: &Lifecycle| rule.is_enabled && rule.is_whole() && rule.noncurrent_days.is_some();
    match shortest(bucket, rules, context) {
        None => Verdict::fail("no NoncurrentVersionExpiration", expected),
        Some((rule, days)) => Verdict::of(
            rules.iter().any(is_whole) && days >= i32::from(least),
            format!("NoncurrentDays {days} ({})", named(rule)),
            expected,
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::policy::BackupAudit;

    use super::{Bucket, Context, Lifecycle, Role, Verdict};
    use crate::rules::rule::tests::{FILES, audit, context, row, word};
    use crate::rules::s3::BUCKET;
    use crate::rules::s3::tests::{bucket, whole};

    #[track_caller]
    fn noncurrent(rules: Vec<Lifecycle>, expected: &str) {
        let change = |bucket: &mut Bucket| bucket.lifecycle = Ok(rules.clone());
        let row = row(BUCKET, "s3.noncurrent", FILES, &bucket(Role::Attachments), change, &context());
        assert_eq!(word(row.as_ref()), expected, "{row:?}");
    }

    #[test]
    fn the_shortest_enabled_rule_counts_and_one_must_cover_the_bucket() {
        let rule = |days| whole(Some(days), None);
        let part = |days| Lifecycle { prefix: "a/".to_owned(), ..rule(days) };
        let disabled = |days| Lifecycle { is_enabled: false, ..rule(days) };
        noncurrent(vec![rule(30), rule(90)], "pass");
        noncurrent(vec![rule(30), rule(29)], "fail");
        noncurrent(vec![rule(30), part(29)], "fail");
        noncurrent(vec![rule(30), part(30)], "pass");
        noncurrent(vec![part(90)], "fail");
        noncurrent(vec![disabled(90)], "fail");
        noncurrent(vec![rule(30), disabled(1)], "pass");
        noncurrent(vec![whole(None, Some(7))], "fail");
    }

    #[test]
    fn partial_or_disabled_rules_about_incomplete_uploads_do_not_count() {
        let rule = whole(None, Some(7));
        for (rules, expected) in [
            (vec![rule.clone(), whole(None, Some(30))], "pass"),
            (vec![Lifecycle { is_filtered: true, ..rule.clone() }], "fail"),
            (vec![Lifecycle { is_enabled: false, ..rule }], "fail"),
        ] {
            let change = |bucket: &mut Bucket| bucket.lifecycle = Ok(rules.clone());
            let row = row(BUCKET, "s3.incomplete-uploads", FILES, &bucket(Role::Other), change, &context());
            assert_eq!(word(row.as_ref()), expected, "{rules:?}");
        }
    }

    /// The case's lifecycle rules.
    fn lifecycle_of_case_17() -> Vec<Lifecycle> {
        let case = include_str!("../../../../../tests/cases/17-lifecycle-tmp-prefix.json");
        let case: serde_json::Value = serde_json::from_str(case).unwrap();
        let days = |rule: &serde_json::Value, place: &str| {
            rule.pointer(place).and_then(serde_json::Value::as_i64).map(|days| i32::try_from(days).unwrap())
        };
        let rule = |rule: &serde_json::Value| Lifecycle {
            id: rule["ID"].as_str().unwrap().to_owned(),
            is_enabled: rule["Status"] == "Enabled",
            prefix: rule["Filter"]["Prefix"].as_str().unwrap_or_default().to_owned(),
            expires: days(rule, "/Expiration/Days").is_some(),
            noncurrent_days: days(rule, "/NoncurrentVersionExpiration/NoncurrentDays"),
            incomplete_days: days(rule, "/AbortIncompleteMultipartUpload/DaysAfterInitiation"),
            ..Lifecycle::default()
        };
        case["Rules"].as_array().unwrap().iter().map(rule).collect()
    }

    #[test]
    fn case_17_a_rule_that_deletes_current_objects_is_named_or_its_prefix_may_expire() {
        let letting = |prefixes: &[&str]| audit(json!({"expiring_prefixes": {"attachments": prefixes}}));
        let judged = |rules: Vec<Lifecycle>, role: Role, policy: &BackupAudit| {
            let context = Context { policy, ..context() };
            let change = |bucket: &mut Bucket| bucket.lifecycle = Ok(rules.clone());
            row(BUCKET, "s3.expiration", FILES, &bucket(role), change, &context).unwrap()
        };
        let none = letting(&[]);
        let row = judged(lifecycle_of_case_17(), Role::Attachments, &none);
        let Verdict::Fail { found, .. } = &row.verdict else { panic!("{row:?}") };
        assert_eq!(found, "Expiration of current objects: rule tmp, tmp/");
        let rule = |prefix: &str, is_filtered| Lifecycle {
            id: "x".to_owned(),
            is_enabled: true,
            prefix: prefix.to_owned(),
            is_filtered,
            expires: true,
            ..Lifecycle::default()
        };
        let case = lifecycle_of_case_17;
        for (rules, prefixes, role, expected) in [
            (case(), &["tmp/"][..], Role::Attachments, "pass"),
            (case(), &["cache/", "tmp/"], Role::Attachments, "pass"),
            (case(), &["tmp/a/"], Role::Attachments, "fail"),
            (case(), &["TMP/"], Role::Attachments, "fail"),
            (case(), &["tmp/"], Role::Uploads, "fail"),
            (case(), &["tmp/"], Role::State, "fail"),
            (case(), &["tmp/"], Role::Evidence, "fail"),
            (vec![rule("tmp/cache/", false)], &["tmp/"], Role::Attachments, "pass"),
            (vec![rule("tmp/", true)], &["tmp/"], Role::Attachments, "pass"),
            (vec![rule("tmp", false)], &["tmp/"], Role::Attachments, "fail"),
            (vec![rule("", true)], &["tmp/"], Role::Attachments, "fail"),
            (vec![rule("", false)], &["tmp/"], Role::Attachments, "fail"),
            ([case(), vec![rule("reports/", false)]].concat(), &["tmp/"], Role::Attachments, "fail"),
        ] {
            let row = judged(rules.clone(), role, &letting(prefixes));
            assert_eq!(row.verdict.word(), expected, "{rules:?} {prefixes:?} {role:?}");
        }
        for (rule, expected) in [
            (rule("", true), "rule x, whole bucket, by tag or size"),
            (Lifecycle { id: String::new(), ..rule("a/", false) }, "rule without ID, a/"),
        ] {
            let Verdict::Fail { found, .. } = judged(vec![rule], Role::Attachments, &none).verdict else {
                panic!()
            };
            assert_eq!(found, format!("Expiration of current objects: {expected}"));
        }
    }

    #[test]
    fn case_17_versions_are_kept_long_enough_unless_their_prefix_may_expire() {
        noncurrent(lifecycle_of_case_17(), "pass");
        let short = Lifecycle { prefix: "tmp/".to_owned(), ..whole(Some(1), None) };
        let rules = [lifecycle_of_case_17(), vec![short]].concat();
        noncurrent(rules.clone(), "fail");
        let letting = audit(json!({"expiring_prefixes": {"attachments": ["tmp/"]}}));
        let context = Context { policy: &letting, ..context() };
        let change = |bucket: &mut Bucket| bucket.lifecycle = Ok(rules.clone());
        let kept = row(BUCKET, "s3.noncurrent", FILES, &bucket(Role::Attachments), change, &context);
        assert_eq!(word(kept.as_ref()), "pass", "{kept:?}");
    }
}
