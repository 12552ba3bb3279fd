//! Rules about the audit itself: its coverage, and the policy's exceptions.

use shared::command;
use shared::policy::Exception;

use super::rule::{Context, Meta, Row, Severity, Verdict};

/// Whether a section was read to its end.
pub(crate) static UNSEEN: Meta = Meta {
    id: "audit.coverage",
    severity: Severity::High,
    guide: "2",
    title: ["cobertura da auditoria", "coverage of the audit"],
    why: ["o que não foi lido não está verificado", "resources that were not read are not verified"],
};

/// An exception of the policy has expired.
pub(crate) static EXPIRED: Meta = Meta {
    id: "audit.exception-expired",
    severity: Severity::Medium,
    guide: "2",
    title: ["exceção vencida na política", "expired exception in the policy"],
    why: [
        "uma exceção vale até a data combinada; depois, ou se corrige, ou se renova",
        "an exception lasts until the agreed date; then fix the finding or renew the exception",
    ],
};

/// The exceptions that have expired.
pub(crate) fn expired(context: &Context<'_>) -> Vec<Row> {
    let today = context.now.to_zoned_datetime(shared::runtime::time::SAO_PAULO).date();
    let row = |exception: &Exception| Row {
        rule: &EXPIRED,
        resource: format!("{} {}", exception.rule, exception.resource),
        arn: String::new(),
        verdict: Verdict::fail(
            format!("until {} ({})", exception.until, exception.owner),
            format!("today, {today}, or later"),
        ),
        command: Some(command!("cargo xtask policy apply (backups.audit.exceptions)")),
    };
    context.policy.exceptions.iter().filter(|exception| exception.until < today).map(row).collect()
}
