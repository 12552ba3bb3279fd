//! What leaves the stack: the month's mail to the manager, and the rotation sheet to the team's drive. Each fails alone: it is
//! logged in full, counted, and tried again by the next run.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use shared::aws::secrets;
use shared::run::documents::DocumentError;
use shared::run::evidence::Step;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::failure::chain as causes;
use shared::runtime::web;

use crate::rules::mail::month;
use crate::rules::view::View;
use crate::text::{mail, table};
use crate::{App, aws};

/// Time after which a mail whose sending was not confirmed is sent again: rather twice than never.
const LEASE: SignedDuration = SignedDuration::from_mins(20);

/// Timeout of the drive's answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Name of the document about the sheet that was sent last.
const SHEET: &str = "sheet";

/// A month's mail.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Sent {
    at: Timestamp,
    is_confirmed: bool,
}

/// The sheet that the drive has.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
struct Sheet {
    sha256: String,
}

/// Sends the month's mail, once a month; none if it is not due.
pub(crate) async fn to_manager(app: &App, view: &View, now: Timestamp) -> Option<Step> {
    let mailing = app.mailing.as_ref()?;
    let settings = &app.base.settings;
    let month = month(now, settings.policy.report.mail_day)?;
    let name = format!("mail/{month}");
    let documents = &app.base.reporter.documents;
    let sending = Sent { at: now, is_confirmed: false };
    let is_stale = |sent: &Sent| !sent.is_confirmed && now.duration_since(sent.at) > LEASE;
    let step = format!("mail {month}");
    let claim = match documents.claim(&name, &sending, is_stale).await {
        Ok(claim) => claim?,
        Err(error) => return Some(failed(app, &step, &causes(&error), "")),
    };
    let mail = mail::mail(view, &month, settings.language);
    let sent = aws::by_mail(&app.ses, &mailing.from, &mailing.to, &mail.subject, &mail.text).await;
    if let Err(error) = sent {
        return Some(failed(app, &step, &causes(&error), &mail.text));
    }
    let settled = documents.settle(claim, &Sent { is_confirmed: true, ..sending }).await;
    if let Err(error) = settled {
        tracing::warn!(message = format!("the mail was sent, which was not noted: {}", causes(&error)));
    }
    Some(Step::now(step, "succeeded"))
}

/// Sends the rotation sheet, if the drive does not have it; none if it has, or the stack has no drive.
pub(crate) async fn to_drive(app: &App, view: &View) -> Option<Step> {
    let secret = app.sheet_secret.as_ref()?;
    // What was not read must not replace what the drive has, nor an empty sheet what a ledger once said.
    if view.ledger_unread.is_some() || view.secrets.iter().all(|secret| secret.rotated.is_none()) {
        return None;
    }
    let csv = table::sheet(&view.secrets);
    let sha256 = chain::sha256(csv.as_bytes());
    let documents = &app.base.reporter.documents;
    let step = "rotation sheet to the drive";
    let known = match documents.get::<Sheet>(SHEET).await {
        Ok(known) => known.unwrap_or_default(),
        Err(error) => return Some(failed(app, step, &causes(&error), &csv)),
    };
    if known.sha256 == sha256 {
        return None;
    }
    match post(app, secret, &csv, &sha256).await {
        Ok(()) => {
            let noted: Result<(), DocumentError> =
                documents.update(SHEET, |sheet: &mut Sheet| sheet.sha256.clone_from(&sha256)).await;
            if let Err(error) = noted {
                // The drive gets the same sheet again.
                tracing::warn!(
                    message = format!("the sheet was sent, which was not noted: {}", causes(&error))
                );
            }
            Some(Step::now(step, "succeeded"))
        }
        Err(why) => Some(failed(app, step, &why, &csv)),
    }
}

/// Posts the sheet. The address is a secret: it is in no text.
async fn post(app: &App, secret: &str, csv: &str, sha256: &str) -> Result<(), String> {
    let address = secrets::value(&app.secrets, secret, None).await.map_err(|error| causes(&error))?;
    let address: Endpoint = address
        .expose_secret()
        .trim()
        .parse()
        .map_err(|_| format!("the secret {secret} must contain only the webhook's https address"))?;
    let settings = &app.base.settings;
    let name = format!("{}-{}-rotation.csv", settings.project, settings.environment);
    let http = app.http.as_ref().map_err(Clone::clone)?;
    let request = http
        .post(address.to_string())
        .header(CONTENT_TYPE, "text/csv; charset=utf-8")
        .header(CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))
        .header("Idempotency-Key", sha256)
        .body(csv.to_owned());
    let unanswered = |error: reqwest::Error| causes(&error.without_url());
    let answer = http.execute(request.build().map_err(unanswered)?).await.map_err(unanswered)?;
    let status = answer.status();
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    if is_accepted(status.as_u16(), location) {
        return Ok(());
    }
    Err(format!("the webhook answered HTTP {}", status.as_u16()))
}

/// Whether an answer means that the drive took the sheet.
///
/// A Google Apps Script web app runs, then redirects to its output; any other redirect, as to a login, took nothing. Source:
/// [Content Service](https://developers.google.com/apps-script/guides/content#redirects).
fn is_accepted(status: u16, location: Option<&str>) -> bool {
    let is_output = |location: &str| location.starts_with("https://script.googleusercontent.com/");
    (200..300).contains(&status) || (status == 302 && location.is_some_and(is_output))
}

fn failed(app: &App, what: &str, why: &str, undelivered: &str) -> Step {
    app.base.reporter.lost(
        "NotificationFailures",
        "NotificationFailed",
        &format!("{what}: {why}"),
        undelivered,
    );
    Step::now(what, format!("failed: {why}"))
}

/// A client for the drive; the reason if it could not be built.
pub(crate) fn client() -> Result<reqwest::Client, String> {
    web::client(PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_page_is_no_acceptance() {
        for (status, location, expected) in [
            (200, None, true),
            (204, None, true),
            (302, Some("https://script.googleusercontent.com/macros/echo?x"), true),
            (302, Some("https://accounts.google.com/ServiceLogin"), false),
            (302, Some("https://script.googleusercontent.com.evil.example/"), false),
            (302, None, false),
            (307, Some("https://script.googleusercontent.com/x"), false),
            (401, None, false),
            (500, None, false),
        ] {
            assert_eq!(is_accepted(status, location), expected, "{status} {location:?}");
        }
    }
}
