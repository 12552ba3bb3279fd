//! Events of AWS Health.
//!
//! An event that is closed resolves its problem, except for an account's notification: AWS closes it because its time has
//! passed, not because anybody did what it asks for. Notifications and planned changes are S3, except that a retirement,
//! an expiry or a suspension is S2, since it ends in an outage. Abuse and exposed credentials are S1, whatever their
//! category. An issue's severity is for people to decide.

use serde_json::Value;

use super::json::{arn, instant_at, list, text};
use super::{Origin, blank};
use crate::{Change, Severity, Signal, Source};

/// Most affected resources that are shown.
const MOST_RESOURCES: usize = 10;

/// The signal of an event; `None` without anything that identifies it.
pub(super) fn signal(value: &Value, origin: Origin<'_>) -> Option<Signal> {
    let detail = value.get("detail")?;
    let field = |name: &str| text(detail, &format!("/{name}"));
    let account = field("affectedAccount").or_else(|| text(value, "/account")).unwrap_or_default();
    let (code, service) = (field("eventTypeCode").unwrap_or_default(), field("service").unwrap_or_default());
    // The event's own region is that of the delivery.
    let region = field("eventRegion").unwrap_or_default();
    let problem = match field("eventArn").and_then(arn) {
        Some(arn) => format!("{arn}|{account}"),
        None if code.is_empty() => return None,
        None => format!("{service}|{code}|{region}|{account}"),
    };
    let status = field("statusCode").unwrap_or_default().to_lowercase();
    let updated = instant_at(detail, "/lastUpdatedTime");
    let update = match (field("communicationId"), updated) {
        (Some(id), _) => id.to_owned(),
        (None, Some(time)) => format!("{status}{}", time.as_millisecond()),
        (None, None) => format!("{status}{}", origin.key(&value.to_string())),
    };
    // The last update may have the communication of the one before it.
    let is_closed = status == "closed";
    let end = if is_closed { "|closed" } else { "" };
    let category = field("eventTypeCategory").unwrap_or_default();
    let change = match (is_closed, category) {
        (false, _) => Change::Triggered,
        (true, "accountNotification") => Change::Note,
        (true, _) => Change::Resolved,
    };
    let resources: Vec<&str> = list(detail, "/affectedEntities")
        .iter()
        .filter_map(|entity| text(entity, "/entityValue"))
        .take(MOST_RESOURCES)
        .collect();
    let resources = resources.join(", ");
    let labels = [
        ("account", account),
        ("category", category),
        ("end", field("endTime").unwrap_or_default()),
        ("event_type", code),
        ("region", region),
        ("resources", resources.as_str()),
        ("scope", field("eventScopeCode").unwrap_or_default()),
        ("service", service),
        ("start", field("startTime").unwrap_or_default()),
        ("status", status.as_str()),
    ];
    let event = format!("health|{problem}|{update}{end}");
    Some(Signal {
        change,
        changed_at: updated
            .or_else(|| instant_at(detail, "/startTime"))
            .or_else(|| instant_at(value, "/time")),
        title: format!("{service} {code} {region}").trim().to_owned(),
        reason: description(detail).unwrap_or(code).to_owned(),
        severity: severity(text(value, "/detail-type").unwrap_or_default(), service, code, category),
        labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..blank(Source::Health, problem, event)
    })
}

/// The description, in Portuguese if there is one.
fn description(detail: &Value) -> Option<&str> {
    let all = list(detail, "/eventDescription");
    let is_portuguese = |entry: &&Value| text(entry, "/language").is_some_and(|name| name.starts_with("pt"));
    let mut best_first = all.iter().filter(is_portuguese).chain(all);
    best_first.find_map(|entry| text(entry, "/latestDescription"))
}

fn severity(kind: &str, service: &str, code: &str, category: &str) -> Option<Severity> {
    let names = |words: &[&str]| words.iter().any(|word| code.contains(word));
    let is_abuse = kind.contains("Abuse") || service == "ABUSE" || service == "RISK";
    if is_abuse || names(&["ABUSE", "CREDENTIALS_EXPOSED", "CREDENTIALS_COMPROMISED"]) {
        return Some(Severity::S1);
    }
    if !["accountNotification", "scheduledChange"].contains(&category) {
        return None;
    }
    let ends = names(&["RETIREMENT", "EXPIR", "SUSPEN", "END_OF_SUPPORT"]);
    Some(if ends { Severity::S2 } else { Severity::S3 })
}
