//! What an export leaves out because it looks like a secret, for a person who decides whether it is one. Only this answer has
//! the values' SHA-256: by it, a weak password can be guessed. Nothing is written: no export, no record, no message.

use std::collections::BTreeSet;

use jiff::Span;
use serde::Serialize;
use serde_json::{Value, json};
use shared::policy::Accepted;
use shared::runtime::lambda::Invocation;

use crate::audit::REPORTING;
use crate::error::ExportError;
use crate::export::today;
use crate::grafana::read;
use crate::rules::finding::Finding;
use crate::rules::secret::Suspect;
use crate::{App, text};

/// Days for which a value is accepted, unless a person writes another date.
const DAYS: i64 = 180;

/// What an export leaves out, and how the policy accepts it.
#[derive(Debug, PartialEq, Serialize)]
pub struct Explained {
    /// The values that look like secrets.
    pub secrets: Vec<Suspected>,
    /// Patch of the policy that accepts those that may be accepted, with the entries that are in force; none if there are none
    /// of them. A person writes reason and owner: empty ones are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Value>,
}

/// A value that looks like a secret.
#[derive(Debug, PartialEq, Serialize)]
pub struct Suspected {
    /// The object's file in the export.
    pub object: String,
    /// The value's place in it, as a JSON pointer.
    pub place: String,
    /// `found`; `expired` if the policy has accepted it; `token` if it has a known form, which is never accepted.
    pub state: &'static str,
    /// What to do.
    pub next: &'static str,
}

/// Reads Grafana, and says what an export would leave out.
///
/// # Errors
///
/// [`ExportError`]; the person sees it.
pub(crate) async fn explain(app: &App, invocation: &Invocation) -> Result<Explained, ExportError> {
    let session = app.session().await?;
    let settings = &app.base.settings;
    let (list, today) = (&settings.policy.grafana.accepted, today(invocation.now));
    let work = Box::pin(read::everything(&session, list, today));
    let read = invocation.before_deadline(REPORTING, work).await??;
    let key = |one: &Accepted| (one.object.clone(), one.place.clone(), one.sha256.clone());
    // A list in a patch replaces the whole list.
    let mut all: Vec<Accepted> = list.iter().filter(|one| today <= one.until).cloned().collect();
    // The policy refuses an entry that it has already: an object may have a value twice in what is one place to it.
    let mut known: BTreeSet<_> = all.iter().map(key).collect();
    let in_force = all.len();
    let mut secrets = Vec::new();
    for finding in read.findings {
        let Finding::SecretFound { object, secrets: found, .. } = finding else { continue };
        for Suspect { place, sha256, is_token, accepted } in found {
            let state = match (is_token, accepted) {
                (true, _) => "token",
                (false, Some(_)) => "expired",
                (false, None) => "found",
            };
            let next = text::finding::explained(is_token, settings.language);
            secrets.push(Suspected { object: object.clone(), place: place.clone(), state, next });
            if !is_token {
                let until = today.checked_add(Span::new().days(DAYS)).unwrap_or(today);
                let (reason, owner) = (String::new(), String::new());
                let object = object.clone();
                let entry = Accepted { object, place, sha256, reason, owner, until };
                if known.insert(key(&entry)) {
                    all.push(entry);
                }
            }
        }
    }
    let policy = (all.len() > in_force).then(|| json!({"grafana": {"accepted": all}}));
    Ok(Explained { secrets, policy })
}
