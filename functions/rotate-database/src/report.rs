//! The message and the record about a leaked login.

use shared::run::evidence::{Draft, Step as Recorded};
use shared::run::ledger::Line;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::App;
use crate::error::{RotateError, Why};
use crate::rules::leak::Course;
use crate::text::retire::{ended_message, failed_message, replaced_message, waits_message};

/// Reports and records the result of retiring a login; failures and waits once a day each. Also returns whether this is
/// the first report of it.
pub(crate) async fn report(
    app: &App,
    secret: &str,
    done: &Result<Course, Why>,
    invocation: &Invocation,
) -> (Line, bool) {
    let settings = &app.base.settings;
    let day = time::local_date(invocation.now);
    let line =
        |did: &str, why: &str| Line { secret: secret.to_owned(), did: did.to_owned(), why: why.to_owned() };
    let (line, run_id, message, outcome) = match done {
        Ok(Course::Nothing) => return (line("none", ""), false),
        Ok(Course::Waits(waits)) => {
            let line = line("waits", waits.name());
            let run_id = format!("{secret}/retire/{}/{day}", line.why);
            let message = waits_message(settings, secret, *waits, &run_id);
            (line, run_id, message, "waits".to_owned())
        }
        // The leaked value cannot be tried, so never report it as proved to be refused.
        Ok(Course::Replaced(replaced)) => {
            let run_id = format!("{}/retire/replaced", replaced.version);
            let message = replaced_message(settings, secret, replaced, &run_id);
            (line("replaced", ""), run_id, message, "not proved: the leaked value is gone".to_owned())
        }
        Ok(Course::Ended(ended)) => {
            let run_id = format!("{}/retire/ended", ended.version);
            let message = ended_message(settings, secret, ended, &run_id);
            (line("ended", ""), run_id, message, "succeeded".to_owned())
        }
        Err(why) => {
            let error = RotateError::from(why.clone());
            let run_id = format!("{secret}/retire/{}/{day}", error.fingerprint());
            let message = failed_message(settings, secret, &error, &run_id);
            (line("failed", error.kind()), run_id, message, format!("failed: {}", error.kind()))
        }
    };
    let begun = app.base.reporter.look(&run_id).await;
    let is_news = !begun.is_recorded();
    let result = if matches!(done, Ok(Course::Ended(_))) { "succeeded" } else { "failed" };
    let draft = Draft {
        trigger: "retire".to_owned(),
        subject: secret.to_owned(),
        steps: vec![Recorded::now(format!("retire: {}", line.did), outcome)],
        findings: done.as_ref().err().map(|why| chain(why)).into_iter().collect(),
        ..Draft::of(settings, &run_id, result, invocation.now)
    };
    app.base.reporter.report(draft, Some(&message), begun, invocation).await;
    (line, is_news)
}
