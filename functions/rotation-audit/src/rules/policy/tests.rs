use std::collections::{BTreeMap, BTreeSet};

use shared::aws::secrets::Listed;
use shared::runtime::failure::CallError;

use super::*;

const NOW: &str = "2026-03-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

const D: i64 = 86_400;
const H: i64 = 3_600;

/// A secret without findings, of the policy's key `JWT_SECRET`.
fn compliant() -> Secret {
    let policy: Policy = "".parse().unwrap();
    let labels = [("new", &["AWSCURRENT", "AWSPENDING"][..]), ("old", &["AWSPREVIOUS"])];
    let labels = labels
        .into_iter()
        .map(|(id, labels)| (id.to_owned(), labels.iter().map(|label| (*label).to_owned()).collect()));
    Secret {
        name: "/moveongs/dev/jwt".to_owned(),
        standard: standard(&policy, "JWT_SECRET"),
        facts: Some(Facts {
            listed: Listed {
                arn: "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3"
                    .to_owned(),
                created: Some(ago(400 * D)),
                changed: Some(ago(D)),
                accessed: Some(ago(D)),
                rotated: Some(ago(10 * D)),
                next: Some(ago(-80 * D)),
                enabled: true,
                function: Some(
                    "arn:aws:lambda:us-east-1:123456789012:function:moveongs-dev-rotate-random".to_owned(),
                ),
                labels: labels.collect(),
                ..Listed::default()
            },
            mark: Mark::Tagged,
            made: Ok(BTreeMap::from([("new".to_owned(), ago(10 * D)), ("old".to_owned(), ago(100 * D))])),
            value_made: Ok(None),
            resource_policy: Ok(None),
            accepts_iam: None,
        }),
    }
}

#[track_caller]
fn check(change: impl Fn(&mut Facts, &mut Standard), expected: &[&str]) -> Vec<Finding> {
    let mut secret = compliant();
    change(secret.facts.as_mut().unwrap(), &mut secret.standard);
    let policy: Policy = "".parse().unwrap();
    let found = findings(&secret, &policy.rotation.audit, now());
    let kinds: Vec<_> = found.iter().map(Finding::kind).collect();
    assert_eq!(kinds, expected);
    found
}

fn aged(facts: &mut Facts, seconds: i64) {
    facts.made.as_mut().unwrap().insert("new".to_owned(), ago(seconds));
}

fn denied() -> CallError {
    CallError {
        operation: "secretsmanager:GetResourcePolicy",
        code: "AccessDeniedException".to_owned(),
        message: "no".to_owned(),
    }
}

fn pending(facts: &mut Facts, since: Option<i64>) {
    facts.listed.labels.get_mut("new").unwrap().remove("AWSPENDING");
    facts.listed.labels.insert("next".to_owned(), BTreeSet::from(["AWSPENDING".to_owned()]));
    if let Some(since) = since {
        facts.made.as_mut().unwrap().insert("next".to_owned(), ago(since));
    }
}

#[test]
fn the_age_of_the_current_value() {
    check(|_, _| {}, &[]);
    check(|facts, _| aged(facts, 76 * D - 1), &[]);
    check(|facts, _| aged(facts, 76 * D), &["DueSoon"]);
    check(|facts, _| aged(facts, 90 * D), &["DueSoon"]);
    // The rotation's window is open for a day.
    check(|facts, _| aged(facts, 90 * D + 1), &["DueSoon"]);
    check(|facts, _| aged(facts, 91 * D), &["DueSoon"]);
    check(|facts, _| aged(facts, 91 * D + 1), &["Overdue"]);
    // The window is over, or rotation is off.
    let over = |facts: &mut Facts| facts.listed.next = Some(now());
    check(
        |facts, _| {
            over(facts);
            aged(facts, 90 * D);
        },
        &["DueSoon"],
    );
    let found = check(
        |facts, _| {
            over(facts);
            aged(facts, 90 * D + 1);
        },
        &["Overdue"],
    );
    assert_eq!(found[0].task(), Some(ago(1)));
    check(
        |facts, _| {
            facts.listed.enabled = false;
            aged(facts, 90 * D + 1);
        },
        &["Overdue", "RotationOff"],
    );
    // A tag moves the date of the last change, not the age.
    check(
        |facts, _| {
            facts.listed.changed = Some(now());
            aged(facts, 100 * D);
        },
        &["Overdue"],
    );
    // A short-lived secret is due soon only in the second half of its life.
    check(
        |facts, standard| {
            standard.max_age_days = Some(8);
            aged(facts, 4 * D - 1);
        },
        &[],
    );
    check(
        |facts, standard| {
            standard.max_age_days = Some(8);
            aged(facts, 4 * D);
        },
        &["DueSoon"],
    );
}

#[test]
fn a_missed_rotation_is_late() {
    check(|facts, _| facts.listed.next = Some(ago(24 * H)), &[]);
    check(|facts, _| facts.listed.next = Some(ago(24 * H + 1)), &["RotationLate"]);
    check(|facts, _| facts.listed.next = None, &[]);
    check(
        |facts, _| {
            facts.listed.enabled = false;
            facts.listed.next = Some(ago(9 * D));
        },
        &["RotationOff"],
    );
    check(
        |facts, standard| {
            facts.listed.enabled = false;
            standard.rotator = None;
        },
        &[],
    );
    check(|facts, _| facts.listed.rotated = None, &["NeverRotated"]);
    check(
        |facts, _| {
            facts.listed.rotated = None;
            aged(facts, 92 * D);
        },
        &["Overdue"],
    );
}

#[test]
fn a_pending_version_that_stays_is_stuck() {
    check(|facts, _| pending(facts, Some(24 * H)), &[]);
    let found = check(|facts, _| pending(facts, Some(24 * H + 1)), &["StuckPending"]);
    assert!(matches!(
        &found[0],
        Finding::StuckPending { pending, current: Some(current), may_be_in_force: false, .. }
            if pending == "next" && current == "new"
    ));
    // If the service omits the version, the last change is the latest date at which it was created.
    check(|facts, _| pending(facts, None), &[]);
    check(
        |facts, _| {
            pending(facts, None);
            facts.listed.changed = Some(ago(D + 1));
        },
        &["StuckPending"],
    );
    // With any other function the pending value may be the one in force.
    for function in [Some("arn:…:moveongs-dev-rotate-database"), Some("arn:…:SecretsManagerPostgres")] {
        let found = check(
            |facts, _| {
                pending(facts, Some(2 * D));
                facts.listed.function = function.map(str::to_owned);
            },
            &["StuckPending"],
        );
        assert!(matches!(&found[0], Finding::StuckPending { may_be_in_force: true, .. }));
    }
}

#[test]
fn a_missing_fact_never_passes() {
    check(|facts, _| facts.made = Err(denied()), &["InsufficientData"]);
    check(|facts, _| facts.resource_policy = Err(denied()), &["InsufficientData"]);
    check(|facts, _| facts.resource_policy = Ok(Some("{".to_owned())), &["InsufficientData"]);
    check(
        |facts, _| {
            facts.made = Err(denied());
            facts.resource_policy = Err(denied());
            facts.listed.next = Some(ago(2 * D));
        },
        &["RotationLate", "InsufficientData", "InsufficientData"],
    );
    let found = check(
        |facts, _| {
            facts.made.as_mut().unwrap().remove("new");
        },
        &["InsufficientData"],
    );
    assert!(found[0].fails());
    check(
        |facts, _| {
            facts.listed.labels.remove("new");
        },
        &["Empty"],
    );
    let policy: Policy = "".parse().unwrap();
    let missing = Secret { facts: None, ..compliant() };
    assert_eq!(findings(&missing, &policy.rotation.audit, now()), [Finding::Missing]);
}

#[test]
fn an_unread_or_unknown_secret_is_a_finding() {
    // The service reports only the day.
    check(|facts, _| facts.listed.accessed = Some("2025-12-01T00:00:00Z".parse().unwrap()), &[]);
    check(|facts, _| facts.listed.accessed = Some("2025-11-30T00:00:00Z".parse().unwrap()), &["Unused"]);
    let never = |facts: &mut Facts, created| {
        facts.listed.accessed = None;
        facts.listed.created = Some(ago(created));
    };
    check(|facts, _| never(facts, 90 * D), &[]);
    check(|facts, _| never(facts, 90 * D + 1), &["Unused"]);
    check(|_, standard| standard.max_age_days = None, &["NoPolicy"]);
}

#[test]
fn a_login_by_iam_has_no_age_if_rds_accepts_it() {
    let old = |takes: Option<Result<bool, CallError>>| {
        move |facts: &mut Facts, standard: &mut Standard| {
            aged(facts, 400 * D);
            facts.listed.enabled = false;
            facts.accepts_iam = takes.clone();
            standard.iam_login = takes.is_some().then(|| "moveongs-dev-db".to_owned());
        }
    };
    check(old(None), &["Overdue", "RotationOff"]);
    check(old(Some(Ok(true))), &[]);
    let off = check(old(Some(Ok(false))), &["Overdue", "IamLoginOff", "RotationOff"]);
    assert!(off[1].fails() && !off[1].pages());
    check(old(Some(Err(denied()))), &["Overdue", "InsufficientData", "RotationOff"]);
    // RDS's answer counts only if the policy declares the login.
    check(
        |facts, standard| {
            old(Some(Ok(true)))(facts, standard);
            standard.iam_login = None;
        },
        &["Overdue", "RotationOff"],
    );
    // Findings that are not about passwords remain.
    check(
        |facts, standard| {
            old(Some(Ok(true)))(facts, standard);
            facts.listed.accessed = Some(ago(200 * D));
            pending(facts, Some(2 * D));
            facts.resource_policy = Err(denied());
        },
        &["StuckPending", "InsufficientData", "Unused"],
    );
}

#[test]
fn a_resource_policy_that_admits_strangers() {
    let wide = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}"#;
    let found = check(|facts, _| facts.resource_policy = Ok(Some(wide.to_owned())), &["WidePolicy"]);
    assert!(found[0].pages() && found[0].is_critical() && found[0].fails());
    // One foreign account does not page, but fails the run.
    let one = wide.replace(r#""*", "Action"#, r#"{"AWS": "arn:aws:iam::210987654321:root"}, "Action"#);
    let found = check(|facts, _| facts.resource_policy = Ok(Some(one.clone())), &["WidePolicy"]);
    assert!(!found[0].pages() && found[0].fails());
    // A public secret comes before an old one.
    check(
        |facts, _| {
            facts.resource_policy = Ok(Some(wide.to_owned()));
            facts.listed.enabled = false;
            aged(facts, 400 * D);
        },
        &["WidePolicy", "Overdue", "RotationOff"],
    );
    let closed = wide.replace("Allow", "Deny");
    check(|facts, _| facts.resource_policy = Ok(Some(closed.clone())), &[]);
}

#[test]
fn a_restored_old_value_keeps_its_age() {
    check(|facts, _| facts.value_made = Ok(Some(ago(95 * D))), &["Overdue"]);
    // It is at least as old as its version.
    for (days, expected) in [(10, &["InsufficientData"][..]), (95, &["Overdue", "InsufficientData"])] {
        check(
            |facts, _| {
                facts.value_made = Err("s3:GetObject failed".to_owned());
                aged(facts, days * D);
            },
            expected,
        );
    }
    for (rotated, expected) in [(Some(10 * D), false), (Some(10 * D + 1), true), (None, true)] {
        let mut facts = compliant().facts.unwrap();
        facts.listed.rotated = rotated.map(ago);
        assert_eq!(facts.is_by_hand(), expected, "{rotated:?}");
    }
}

#[test]
fn a_secret_with_this_environments_name_lacks_tags_and_another_environments_is_not_judged() {
    let missing = vec![("Environment", "dev".to_owned())];
    check(|facts, _| facts.mark = Mark::Untagged(missing.clone()), &["TagsMissing"]);
    let contradicted = |is_here| Mark::Contradicted {
        tag: "Environment",
        value: "prod".to_owned(),
        named: "dev".to_owned(),
        is_here,
    };
    let old = |is_here| {
        move |facts: &mut Facts, _: &mut Standard| {
            facts.mark = contradicted(is_here);
            aged(facts, 400 * D);
        }
    };
    let found = check(old(true), &["Overdue", "TagsContradict"]);
    assert!(!found[1].fails());
    let found = check(old(false), &["TagsContradict"]);
    assert!(!found[0].pages() && found[0].fails());
}

#[test]
fn a_standard_has_age_rotator_and_team() {
    let policy: Policy =
        r#"{"rotation": {"secrets": {"reports": {"max_age_days": 30, "test_sql": ["SELECT 1"]}, "key": {"max_age_days": 9}}}}"#
            .parse()
            .unwrap();
    let of = |key: &str| {
        let standard = standard(&policy, key);
        (standard.max_age_days, standard.rotator, standard.responsible.primary)
    };
    assert_eq!(of("JWT_SECRET"), (Some(90), Some(Rotator::Random), "Squad Infra".to_owned()));
    for key in EXTERNAL {
        assert_eq!(of(key), (Some(180), Some(Rotator::External), "Squad Infra".to_owned()));
    }
    assert_eq!(of("DATABASE_URL"), (Some(90), Some(Rotator::Database), "Squad Dados".to_owned()));
    assert_eq!(of("reports"), (Some(30), Some(Rotator::Database), "Squad Dados".to_owned()));
    assert_eq!(of("key"), (Some(9), None, "Squad Infra".to_owned()));
    assert_eq!(of("other"), (None, None, "Squad Infra".to_owned()));
}

#[test]
fn some_findings_page_and_some_need_a_task() {
    let at = now();
    assert!(Finding::Overdue { due: at }.pages() && Finding::RotationLate { since: at }.pages());
    assert!(!Finding::DueSoon { due: at }.pages() && !Finding::DueSoon { due: at }.fails());
    assert_eq!(Finding::DueSoon { due: at }.task(), Some(at));
    assert_eq!(Finding::NoPolicy.task(), None);
    assert!(Finding::Missing.fails() && !Finding::NeverRotated.fails());
    let off = Finding::RotationOff { rotator: Rotator::Random };
    assert!(off.fails() && !off.pages());
}
