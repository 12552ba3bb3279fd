//! The export that this product makes of Grafana (guide, 2.3). An export by other means is a bucket, with the rules of buckets.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::run::command::Command;
use shared::run::grafana::{Export, PROCEDURE};

use super::facts::Seen;
use super::rule::{Context, Meta, Rule, Severity, Verdict, seen, utc};

/// Name of the export in findings.
pub(crate) const NAME: &str = "grafana";

/// Age at which an export without a restore check is a violation. Each run checks one that it has not, and one runs every day.
const UNCHECKED: SignedDuration = SignedDuration::from_hours(48);

/// The last export; none before the first.
#[derive(Clone, Debug)]
pub(crate) struct Exported(pub Seen<Option<Export>>);

/// Every rule for the export.
pub(crate) static EXPORT: &[Rule<Exported>] = &[
    Rule {
        meta: Meta {
            id: "grafana.exported",
            severity: Severity::Medium,
            guide: "2.3",
            title: [
                "idade da exportação do Grafana pela governança",
                "age of Grafana's export by this product",
            ],
            why: [
                "dashboards e alertas se exportam a cada release",
                "dashboards and alerts are exported with each release",
            ],
        },
        check: |Exported(export), context| {
            Some(seen(export, |export| {
                let export = export.clone().unwrap_or_default();
                match export.left_out {
                    0 => young("export", export.exported_at, context),
                    count => {
                        Verdict::fail(format!("export without {count} objects as they are"), "all objects")
                    }
                }
            }))
        },
        command: |_, context| invoke(&json!({}), context),
    },
    Rule {
        meta: Meta {
            id: "grafana.restorable",
            severity: Severity::Medium,
            guide: "2.3",
            title: ["teste de restauração da exportação do Grafana", "restore check of Grafana's export"],
            why: [
                "exportação que nunca voltou para um Grafana pode não voltar",
                "an export that never was put back into a Grafana may not be usable",
            ],
        },
        check: |Exported(export), context| {
            Some(seen(export, |export| {
                let export = export.clone().unwrap_or_default();
                let is_late = |since: &Timestamp| context.now.duration_since(*since) > UNCHECKED;
                match (export.fault, export.unchecked_since.filter(is_late)) {
                    (Some(fault), _) => Verdict::fail(format!("restore check failed: {fault}"), "no fault"),
                    (None, Some(since)) => {
                        Verdict::fail(format!("export of {} not checked", utc(since)), "checked within 2 d")
                    }
                    (None, None) => young("restore check", export.checked_at, context),
                }
            }))
        },
        command: |_, context| invoke(&json!({"check": true}), context),
    },
];

fn young(what: &str, at: Option<Timestamp>, context: &Context<'_>) -> Verdict {
    let days = context.policy.grafana_days;
    let expected = format!("≤ {days} d");
    let Some(at) = at else { return Verdict::fail(format!("no {what}"), expected) };
    let is_young = context.now.duration_since(at) <= SignedDuration::from_hours(24 * i64::from(days));
    Verdict::of(is_young, format!("{what} {}", utc(at)), expected)
}

fn invoke(event: &serde_json::Value, context: &Context<'_>) -> Command {
    Command::invoke(&format!("{}-{}-{PROCEDURE}", context.project, context.environment), event)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::rule::tests::Case::{Broken, Dark, Edge, Holds};
    use crate::rules::rule::tests::{DAY, Rows, ago, check, unread};

    fn export() -> Export {
        Export { exported_at: Some(ago(DAY)), checked_at: Some(ago(DAY)), ..Export::default() }
    }

    fn with(exported: &mut Exported, change: impl Fn(&mut Export)) {
        let mut export = export();
        change(&mut export);
        exported.0 = Ok(Some(export));
    }

    pub(crate) const EXPORTS: Rows<Exported> = &[
        ("grafana.exported", Holds, |_| ()),
        ("grafana.exported", Edge("pass"), |it| with(it, |export| export.exported_at = Some(ago(31 * DAY)))),
        ("grafana.exported", Edge("fail"), |it| {
            with(it, |export| export.exported_at = Some(ago(31 * DAY + 1)))
        }),
        ("grafana.exported", Broken, |it| with(it, |export| export.left_out = 1)),
        ("grafana.exported", Broken, |it| it.0 = Ok(None)),
        ("grafana.exported", Broken, |it| with(it, |export| export.exported_at = None)),
        ("grafana.exported", Dark, |it| it.0 = unread()),
        ("grafana.restorable", Holds, |_| ()),
        ("grafana.restorable", Edge("pass"), |it| with(it, |export| export.checked_at = Some(ago(31 * DAY)))),
        ("grafana.restorable", Edge("fail"), |it| {
            with(it, |export| export.checked_at = Some(ago(31 * DAY + 1)))
        }),
        ("grafana.restorable", Broken, |it| {
            with(it, |export| export.fault = Some("/title differs".to_owned()))
        }),
        ("grafana.restorable", Edge("pass"), |it| {
            with(it, |export| export.unchecked_since = Some(ago(2 * DAY)))
        }),
        ("grafana.restorable", Edge("fail"), |it| {
            with(it, |export| export.unchecked_since = Some(ago(2 * DAY + 1)))
        }),
        ("grafana.restorable", Broken, |it| it.0 = Ok(None)),
        ("grafana.restorable", Dark, |it| it.0 = unread()),
    ];

    #[test]
    fn every_rule_of_the_export() {
        check(EXPORT, NAME, &Exported(Ok(Some(export()))), EXPORTS);
    }
}
