//! Retention of automated backups: RDS's, or that of an AWS Backup plan.

use serde_json::json;
use shared::command;
use shared::run::command::Command;

use super::command::modify;
use super::state::is_source;
use crate::rules::facts::{Form, Instance};
use crate::rules::plans::{Plan, select};
use crate::rules::rule::{Context, Meta, Rule, Severity, Verdict, seen};

pub(super) const RETENTION: Rule<Instance> = Rule {
    meta: Meta {
        id: "rds.retention",
        severity: Severity::High,
        guide: "2.1.1",
        title: ["retenção dos backups automáticos", "retention of automated backups"],
        why: [
            "o guia pede 7 dias em dev e staging e 30 em produção",
            "the guide requires 7 days in dev and staging, and 30 in prod",
        ],
    },
    check: |instance, context| is_source(instance).then(|| retention(instance, context)),
    command: change_retention,
};

pub(super) const BACKUPS_ON: Rule<Instance> = Rule {
    meta: Meta {
        id: "rds.backups-on",
        severity: Severity::Critical,
        guide: "2.1.1",
        title: ["backups automáticos ligados", "automated backups are on"],
        why: [
            "com retenção 0 o RDS não guarda backup nenhum, nem ponto no tempo",
            "with a retention of 0 RDS keeps no backups and no point in time",
        ],
    },
    check: |instance, _| {
        is_source(instance).then(|| match certain_days(instance) {
            None => Verdict::missing("BackupRetentionPeriod"),
            Some(days) => Verdict::of(days > 0, shown_days(instance), "BackupRetentionPeriod ≥ 1"),
        })
    },
    command: change_retention,
};

pub(super) const BACKUP_PLAN: Rule<Instance> = Rule {
    meta: Meta {
        id: "rds.backup-plan",
        severity: Severity::Low,
        guide: "app 7",
        title: ["banco num plano do AWS Backup", "database in an AWS Backup plan"],
        why: [
            "uma segunda via dos backups, com cofre próprio",
            "a second copy of the backups, in a separate vault",
        ],
    },
    check: |db, _| {
        is_source(db).then(|| match &db.plans {
            None => Verdict::Unknown("the AWS Backup plans were not read".to_owned()),
            Some(plans) => seen(plans, |plans| Verdict::of(!plans.is_empty(), "no plan", "one plan or more")),
        })
    },
    command: |db, _| select(&db.name, &db.arn),
};

/// Plans through which AWS Backup owns a database's automated backups, each with the name of its rule and its retention
/// in days.
fn continuous(db: &Instance) -> Vec<(&Plan, &str, i64)> {
    let plans = db.plans.as_ref().and_then(|plans| plans.as_ref().ok());
    let rules = plans.into_iter().flatten().flat_map(|plan| plan.rules.iter().map(move |rule| (plan, rule)));
    let kept = rules.filter(|(_, rule)| rule.is_continuous).filter_map(|(plan, rule)| {
        #[expect(clippy::cast_possible_truncation, reason = "days, at most 35")]
        let days = rule.lifecycle.delete_after_days? as i64;
        Some((&**plan, rule.rule_name.as_str(), days))
    });
    kept.collect()
}

/// The retention in days that is certain: a pending shorter one will apply, a pending longer one may be withdrawn.
pub(super) fn certain_days(instance: &Instance) -> Option<i32> {
    let days = instance.retention_days?;
    Some(instance.pending_retention_days.map_or(days, |pending| pending.min(days)))
}

pub(super) fn shown_days(instance: &Instance) -> String {
    let days = instance.retention_days.map_or_else(|| "?".to_owned(), |days| days.to_string());
    let pending = instance.pending_retention_days.map(|days| format!(", pending {days}")).unwrap_or_default();
    format!("BackupRetentionPeriod {days}{pending}")
}

/// The retention to set, in days: the policy's, never less than the present one.
pub(crate) fn wanted_days(instance: &Instance, least: u16) -> i32 {
    instance.retention_days.unwrap_or(0).max(least.into())
}

pub(super) fn change_retention(instance: &Instance, context: &Context<'_>) -> Command {
    let days = wanted_days(instance, context.retention_days.unwrap_or(7));
    if instance.recovery_point.is_some() {
        return change_plans(instance, context, days);
    }
    // Switching backups on restarts the instance. A cluster always has them.
    let outage = (instance.retention_days == Some(0) && instance.form == Form::Single)
        .then(|| command!(" --apply-immediately  # reinicia a instância / outage"));
    modify(instance, &command!("--backup-retention-period {days}{outage}", days, outage))
}

/// Changes all plan rules whose retention is too short, the shortest first. Every one must change: the shortest
/// decides.
fn change_plans(instance: &Instance, context: &Context<'_>, days: i32) -> Command {
    let least = i64::from(context.retention_days.unwrap_or(7));
    let mut short: Vec<_> = continuous(instance).into_iter().filter(|(.., kept)| *kept < least).collect();
    short.sort_by_key(|(.., kept)| *kept);
    let mut ids: Vec<&str> = Vec::new();
    for (plan, ..) in &short {
        if !ids.contains(&plan.id.as_str()) {
            ids.push(&plan.id);
        }
    }
    // The answer has the rules' ids, and the update refuses them.
    let update = |id: &str| {
        let rules = short.iter().filter(|(plan, ..)| plan.id == id);
        let names: Vec<_> = rules.map(|(_, rule, _)| format!(".RuleName == {}", json!(rule))).collect();
        let filter = format!(
            "del(.Rules[].RuleId) | (.Rules[] | select({}).Lifecycle.DeleteAfterDays) = {days}",
            names.join(" or ")
        );
        command!(
            "aws backup get-backup-plan --backup-plan-id {id} --query BackupPlan --output json | jq {filter} > plan.json && aws backup update-backup-plan --backup-plan-id {id} --backup-plan file://plan.json",
            id,
            filter
        )
    };
    match ids.into_iter().map(update).reduce(|updates, next| updates.and(&next)) {
        Some(updates) => command!("{updates}  # {name}", updates, name = instance.name),
        None => command!("aws backup describe-protected-resource --resource-arn {arn}", arn = instance.arn),
    }
}

/// RDS shows the retention that AWS Backup set last; the plan has the one that it will set next.
pub(super) fn retention(instance: &Instance, context: &Context<'_>) -> Verdict {
    let Some(days) = certain_days(instance) else { return Verdict::missing("BackupRetentionPeriod") };
    let plans = continuous(instance);
    let (days, found) = match (&instance.recovery_point, plans.iter().map(|(.., days)| *days).min()) {
        (None, _) => (i64::from(days), shown_days(instance)),
        (Some(point), None) => {
            (i64::from(days), format!("{}, set by AWS Backup ({point})", shown_days(instance)))
        }
        (Some(_), Some(least)) => {
            let rules = plans.iter().map(|(plan, rule, days)| {
                format!("plan {} ({}), rule {rule}: DeleteAfterDays {days}", plan.name, plan.id)
            });
            (least, format!("AWS Backup: {}", rules.collect::<Vec<_>>().join("; ")))
        }
    };
    match context.retention_days {
        None => Verdict::Unknown(format!(
            "{found}, and the policy has no backups.retention_days.{}",
            context.environment
        )),
        Some(least) => Verdict::of(days >= i64::from(least), found, format!("≥ {least}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rules::plans::tests::plan;
    use crate::rules::plans::{Lifecycle, Scheduled};
    use crate::rules::rds::INSTANCE;
    use crate::rules::rds::tests::instance;
    use crate::rules::rule::judge;
    use crate::rules::rule::tests::{DB, case, context, row, word};

    /// tests/cases/08: AWS Backup owns the instance's backups.
    #[test]
    fn backups_that_aws_backup_owns_are_judged_by_its_plan() {
        let case = case(include_str!("../../../../../tests/cases/08-rds-instance-owned-by-aws-backup.json"));
        let point = case["AwsBackupRecoveryPointArn"].as_str().unwrap();
        let days = i32::try_from(case["BackupRetentionPeriod"].as_i64().unwrap()).unwrap();
        let owned = |plans: Vec<Option<i32>>| Instance {
            name: case["DBInstanceIdentifier"].as_str().unwrap().to_owned(),
            recovery_point: Some(point.to_owned()),
            retention_days: Some(days),
            backup_window: Some("14:00-15:00".to_owned()),
            plans: Some(Ok(plans.into_iter().map(|days| Arc::new(plan(json!({}), days))).collect())),
            ..instance()
        };
        let of_plan = |days: i32| format!("plan prod (p-1), rule daily: DeleteAfterDays {days}");
        for (plans, found) in [
            (vec![Some(30)], None),
            (vec![Some(8)], Some(format!("AWS Backup: {}", of_plan(8)))),
            (vec![Some(35), Some(29)], Some(format!("AWS Backup: {}; {}", of_plan(35), of_plan(29)))),
            (vec![], Some(format!("BackupRetentionPeriod 8, set by AWS Backup ({point})"))),
            (vec![None], Some(format!("BackupRetentionPeriod 8, set by AWS Backup ({point})"))),
        ] {
            let has_plan = plans.iter().flatten().next().is_some();
            let db = owned(plans);
            let rows = judge(INSTANCE, (DB, ""), &db, &context());
            let row = rows.iter().find(|row| row.rule.id == "rds.retention").unwrap();
            let expected = found.map_or(Verdict::Pass, |found| Verdict::fail(found, "≥ 30"));
            assert_eq!(row.verdict, expected);
            assert!(!rows.iter().any(|row| row.rule.id == "rds.backup-window"));
            // RDS refuses to change a setting that the plan decides.
            assert!(!row.next_step().contains("aws rds"), "{}", row.next_step());
            if row.verdict != Verdict::Pass {
                let expected = if has_plan {
                    "aws backup update-backup-plan --backup-plan-id p-1"
                } else {
                    "aws backup describe-protected-resource"
                };
                assert!(row.next_step().contains(expected), "{}", row.next_step());
            }
        }
    }

    /// The shortest plan decides; after its change the next one that is too short would.
    #[test]
    fn every_plan_with_a_short_retention_is_changed_the_shortest_first() {
        let of = |id: &str, rules: &[(&str, i32)]| {
            let mut plan = plan(json!({}), Some(35));
            plan.id = id.to_owned();
            plan.rules = rules
                .iter()
                .map(|(name, days)| Scheduled {
                    rule_name: (*name).to_owned(),
                    lifecycle: Lifecycle { delete_after_days: Some(f64::from(*days)) },
                    ..plan.rules[0].clone()
                })
                .collect();
            Arc::new(plan)
        };
        let change = |db: &mut Instance| {
            db.recovery_point = Some("arn:aws:rds:us-east-1:111122223333:auto-backup:ab-1".to_owned());
            db.plans = Some(Ok(vec![
                of("long", &[("a", 35)]),
                of("short", &[("b", 29), ("c", 30)]),
                of("shortest", &[("d", 8), ("e", 7)]),
            ]));
        };
        let row = row(INSTANCE, "rds.retention", DB, &instance(), change, &context()).unwrap();
        let step = row.next_step();
        let plans: Vec<_> = step.split("update-backup-plan --backup-plan-id ").skip(1).collect();
        assert_eq!(plans.len(), 2, "{step}");
        assert!(plans[0].starts_with("shortest ") && plans[1].starts_with("short "), "{step}");
        assert!(step.contains(r#"select(.RuleName == "e" or .RuleName == "d")"#), "{step}");
        assert!(step.contains(r#"select(.RuleName == "b")"#), "{step}");
        assert!(!step.contains(r#""a""#) && !step.contains(r#""c""#), "{step}");
    }

    #[test]
    fn each_environment_has_its_own_retention() {
        for (environment, least, days, expected) in [
            ("dev", Some(7), 7, "pass"),
            ("dev", Some(7), 6, "fail"),
            ("staging", Some(7), 7, "pass"),
            ("staging", Some(7), 0, "fail"),
            ("prod", Some(30), 30, "pass"),
            ("prod", Some(30), 29, "fail"),
            ("qa", None, 35, "unknown"),
        ] {
            let context = Context { environment, retention_days: least, ..context() };
            let change = |db: &mut Instance| db.retention_days = Some(days);
            let row = row(INSTANCE, "rds.retention", DB, &instance(), change, &context);
            assert_eq!(word(row.as_ref()), expected, "{row:?}");
        }
    }

    #[test]
    fn a_pending_retention_is_shown_but_does_not_count() {
        let change = |db: &mut Instance| (db.retention_days, db.pending_retention_days) = (Some(7), Some(30));
        let row = row(INSTANCE, "rds.retention", DB, &instance(), change, &context()).unwrap();
        assert_eq!(row.verdict, Verdict::fail("BackupRetentionPeriod 7, pending 30", "≥ 30"));
    }

    #[test]
    fn backups_that_are_off_are_reported_once_and_not_as_their_consequences() {
        let off = Instance {
            retention_days: Some(0),
            latest_restorable: None,
            newest_snapshot: Some(Ok(None)),
            ..instance()
        };
        let rows = judge(INSTANCE, (DB, ""), &off, &context());
        let failing: Vec<_> = rows.iter().filter(|row| row.verdict != Verdict::Pass).collect();
        let ids: Vec<_> = failing.iter().map(|row| row.rule.id).collect();
        assert_eq!(ids, ["rds.retention", "rds.backups-on"]);
        for row in failing {
            assert!(row.next_step().contains("--backup-retention-period 30 --apply-immediately"), "{row:?}");
        }
    }

    #[test]
    fn a_pending_switch_off_is_withdrawn_without_an_outage_or_a_shorter_retention() {
        let off = Instance { pending_retention_days: Some(0), ..instance() };
        let rows = judge(INSTANCE, (DB, ""), &off, &context());
        let failing: Vec<_> = rows.iter().filter(|row| row.verdict != Verdict::Pass).collect();
        let ids: Vec<_> = failing.iter().map(|row| row.rule.id).collect();
        assert_eq!(ids, ["rds.retention", "rds.backups-on"]);
        for row in failing {
            assert!(row.next_step().ends_with("--backup-retention-period 35"), "{row:?}");
            let Verdict::Fail { found, .. } = &row.verdict else { panic!("{row:?}") };
            assert_eq!(found, "BackupRetentionPeriod 35, pending 0");
        }
    }
}
