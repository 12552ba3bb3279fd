//! The message and the record of retiring one secret's old credential.

use jiff::SignedDuration;
use shared::rotation::Base;
use shared::run::evidence::{Draft, Step};
use shared::run::ledger::Line;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::error::RotateError;
use crate::event::Declared;
use crate::retire::Retirement;
use crate::rules::retired::{Reason, Retired};
use crate::text::failure::Names;
use crate::text::retire::{self as text, Current};

/// Age of the current version from which a waiting retirement is reported.
const OVERDUE: SignedDuration = SignedDuration::from_hours(48);

/// Reports and records a change once, a failure once a day, and a wait once a day from [`OVERDUE`] on. Returns the
/// answer's line, and whether this is its first report.
pub(crate) async fn report(
    base: &Base,
    names: &Names<'_>,
    retirement: &Result<Retirement, RotateError>,
    declared: Option<&Declared>,
    invocation: &Invocation,
) -> (Line, bool) {
    let (settings, secret) = (&base.settings, names.secret);
    let day = time::local_date(invocation.now);
    let line =
        |did: &str, why: &str| Line { secret: secret.to_owned(), did: did.to_owned(), why: why.to_owned() };
    let (line, run_id, message) = match retirement {
        Ok(Retirement { retired: Retired::Nothing, .. }) => return (line("nothing", ""), false),
        Ok(Retirement { retired: Retired::Waits(reason), version, made, arn }) => {
            let line = line("waits", reason.name());
            let is_overdue = made.is_some_and(|made| invocation.now.duration_since(made) > OVERDUE);
            if !is_overdue || *reason == Reason::Deactivated {
                return (line, false);
            }
            let run_id = format!("{version}/retire/{}/{day}", line.why);
            let current = Current { arn, version };
            let message = text::waits(settings, &current, reason, names, &run_id);
            (line, run_id, message)
        }
        Ok(Retirement { retired, version, .. }) => {
            let line = line(retired.name(), "");
            let run_id = format!("{version}/retire/{}/{}", line.did, retired.key());
            let message = text::retired(settings, retired, names, &run_id);
            (line, run_id, message)
        }
        Err(error) => {
            let line = line("failed", error.kind());
            let run_id = format!("{secret}/retire/{}/{day}", error.fingerprint());
            let message = text::failed(settings, error, names, &run_id);
            (line, run_id, message)
        }
    };
    let begun = base.reporter.look(&run_id).await;
    let is_news = !begun.is_recorded();
    let ended = time::now();
    let outcome = match retirement {
        Ok(_) => "succeeded".to_owned(),
        Err(error) => format!("failed: {}", error.kind()),
    };
    let step = Step { name: format!("retire: {}", line.did), at: ended.into(), outcome };
    let mut findings: Vec<_> = retirement.as_ref().err().map(|error| chain(error)).into_iter().collect();
    findings.extend(declared.map(|declared| format!("{} vouches for {}", declared.by, declared.version)));
    let draft = Draft {
        trigger: "retire".to_owned(),
        subject: secret.to_owned(),
        steps: vec![step],
        findings,
        ..Draft::of(
            settings,
            &run_id,
            if retirement.is_ok() { "succeeded" } else { "failed" },
            invocation.now,
        )
    };
    base.reporter.report(draft, Some(&message), begun, invocation).await;
    (line, is_news)
}
