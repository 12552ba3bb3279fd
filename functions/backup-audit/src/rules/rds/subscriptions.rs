//! Subscriptions to RDS's events.

use shared::command;

use super::state::is_spare;
use crate::rules::facts::{Form, Instance, Subscription};
use crate::rules::rule::{Meta, Rule, Severity, Verdict, seen};

pub(super) const EVENTS: Rule<Instance> = Rule {
    meta: Meta {
        id: "rds.events",
        severity: Severity::Medium,
        guide: "4.1",
        title: ["eventos de falha e de backup assinados", "subscription to failure and backup events"],
        why: [
            "sem assinatura ninguém recebe o evento em que o RDS diz que o banco ou um backup falhou",
            "without a subscription no one receives RDS's event that the database or a backup failed",
        ],
    },
    check: |db, _| {
        (!is_spare(db)).then(|| match &db.unsubscribed {
            None => Verdict::Unknown("the event subscriptions were not read".to_owned()),
            Some(unsubscribed) => seen(unsubscribed, |unsubscribed| {
                Verdict::of(
                    unsubscribed.is_empty(),
                    format!("no subscription to {}", unsubscribed.join(", ")),
                    "an enabled subscription",
                )
            }),
        })
    },
    command: |db, context| {
        let unsubscribed = db.unsubscribed.as_ref().and_then(|unsubscribed| unsubscribed.as_ref().ok());
        let unsubscribed = unsubscribed.map(Vec::as_slice).unwrap_or_default();
        let commands = unsubscribed.iter().filter_map(|one| {
            let (source, category) = one.split_once(' ')?;
            let Instance { name, .. } = db;
            let names = (source != "db-cluster-snapshot").then(|| command!(" --source-ids {name}", name));
            Some(command!(
                "aws rds create-event-subscription --subscription-name {project}-{environment}-{name}-{source}-{category} --sns-topic-arn … --source-type {source} --event-categories {category}{names}",
                project = context.project,
                environment = context.environment,
                name,
                source,
                category,
                names
            ))
        });
        commands.reduce(|all, next| command!("{all}; {next}", all, next)).unwrap_or_default()
    },
};

/// Events of a database that no subscription covers, as source type and category. RDS reports a cluster's backups as
/// events of its snapshots, whose names are not known in advance.
pub(crate) fn unsubscribed(db: &Instance, subscriptions: &[Subscription]) -> Vec<String> {
    let wanted: &[(&str, &str)] = match db.form {
        Form::Single => &[("db-instance", "backup"), ("db-instance", "failure")],
        Form::Member(_) => &[("db-instance", "failure")],
        Form::Cluster => &[("db-cluster", "failure"), ("db-cluster-snapshot", "backup")],
    };
    let is_covered = |source: &str, category: &str| {
        subscriptions.iter().any(|one| {
            one.is_sending
                && one.source.as_deref().is_none_or(|of| of == source)
                && (one.names.is_empty() || one.names.contains(&db.name))
                && (one.categories.is_empty() || one.categories.iter().any(|of| of == category))
        })
    };
    let unsubscribed = wanted.iter().filter(|(source, category)| !is_covered(source, category));
    unsubscribed.map(|(source, category)| format!("{source} {category}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rds::tests::{cluster, instance, member};
    use crate::rules::rule::tests::{CLUSTER, DB};

    #[test]
    fn a_subscription_covers_its_type_its_names_and_its_categories() {
        let all = Subscription { is_sending: true, ..Subscription::default() };
        let of = |source: &str, names: &[&str], categories: &[&str]| Subscription {
            source: Some(source.to_owned()),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            categories: categories.iter().map(|one| (*one).to_owned()).collect(),
            ..all.clone()
        };
        let (backup, failure) = ("db-instance backup", "db-instance failure");
        let both = of("db-instance", &[], &["backup", "failure"]);
        for (subscriptions, expected) in [
            (vec![], vec![backup, failure]),
            (vec![all.clone()], vec![]),
            (vec![Subscription { is_sending: false, ..all.clone() }], vec![backup, failure]),
            (vec![both.clone()], vec![]),
            (vec![of("db-instance", &[], &["backup", "failure", "maintenance"])], vec![]),
            (vec![of("db-instance", &[DB], &[])], vec![]),
            (vec![of("db-instance", &["another"], &[])], vec![backup, failure]),
            (vec![of("db-instance", &["another", DB], &["failure"])], vec![backup]),
            (vec![of("db-instance", &[], &["failure"]), of("db-instance", &[], &["backup"])], vec![]),
            (vec![of("db-snapshot", &[], &[])], vec![backup, failure]),
        ] {
            assert_eq!(unsubscribed(&instance(), &subscriptions), expected, "{subscriptions:?}");
        }
        let of_cluster =
            [of("db-cluster", &[CLUSTER], &["failure"]), of("db-cluster-snapshot", &[], &["backup"])];
        assert_eq!(unsubscribed(&cluster(), &of_cluster), [""; 0]);
        assert_eq!(unsubscribed(&cluster(), &of_cluster[..1]), ["db-cluster-snapshot backup"]);
        assert_eq!(
            unsubscribed(&cluster(), std::slice::from_ref(&both)),
            ["db-cluster failure", "db-cluster-snapshot backup"]
        );
        let member = Instance { form: member(), ..instance() };
        assert_eq!(unsubscribed(&member, &[of("db-instance", &[], &["failure"])]), [""; 0]);
    }
}
