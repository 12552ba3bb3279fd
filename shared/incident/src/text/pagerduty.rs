//! Events for PagerDuty.
//!
//! The incident's id is the dedup key: the same event twice has the effect of one, so a sender may always repeat it.
//!
//! Source: [Events API v2](https://developer.pagerduty.com/docs/events-api-v2-overview).

use serde_json::{Map, Value, json};

use crate::Severity;
use crate::incident::{Incident, State};
use crate::text::{self, Language, MOST_LABELS, block, cut, https, line};

/// PagerDuty's limits, in characters.
const SUMMARY_LIMIT: usize = 1_024;
const KEY_LIMIT: usize = 255;

/// Most characters of other fields. The whole body may have 512 KB.
const VALUE_LIMIT: usize = 255;
const REASON_LIMIT: usize = 10_000;
const COMMAND_LIMIT: usize = 5_000;

/// The body for `/v2/enqueue` without `routing_key`, which is a secret.
///
/// Names of fields are English, because PagerDuty's rules refer to them; the texts are in the operators' language.
pub fn event(incident: &Incident, language: Language) -> Value {
    let short = |text: &str| cut(&line(text), VALUE_LIMIT, "…", char::len_utf16);
    let first = |texts: [&str; 3]| texts.map(short).into_iter().find(|text| !text.is_empty());
    let source = first([&incident.resource, &incident.source, &incident.environment]);
    let mut payload = json!({
        "summary": cut(&text::headline(incident, language), SUMMARY_LIMIT, "…", char::len_utf16),
        "source": source.unwrap_or_else(|| "incident".to_owned()),
        "severity": severity(incident.severity),
        "timestamp": incident.first_at.to_string(),
        "custom_details": details(incident, language),
    });
    let classes =
        [("component", &incident.resource), ("group", &incident.environment), ("class", &incident.source)];
    if let Some(payload) = payload.as_object_mut() {
        let classes = classes.into_iter().map(|(name, text)| (name, short(text)));
        let classes = classes.filter(|(_, text)| !text.is_empty());
        payload.extend(classes.map(|(name, text)| (name.to_owned(), text.into())));
    }
    let links =
        [("Runbook", &incident.runbook), (language.pick("Abrir o alerta", "Open the alert"), &incident.link)];
    let links = links.into_iter().filter_map(|(text, url)| Some(json!({"href": https(url)?, "text": text})));
    json!({
        "event_action": action(incident.state),
        "dedup_key": incident.id.chars().take(KEY_LIMIT).collect::<String>(),
        "payload": payload,
        "links": links.collect::<Vec<_>>(),
        "client": "incident-page",
    })
}

/// PagerDuty has no state between acknowledged and resolved: a mitigated incident stays acknowledged.
fn action(state: State) -> &'static str {
    match state {
        State::Triggered => "trigger",
        State::Acknowledged | State::Mitigated => "acknowledge",
        State::Resolved => "resolve",
    }
}

/// The two that wake people are critical; how urgently PagerDuty pages for the others is a setting of its service. A drill
/// keeps its severity, because it tests the real path.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::S0 | Severity::S1 => "critical",
        Severity::S2 => "error",
        Severity::S3 => "warning",
    }
}

fn details(incident: &Incident, language: Language) -> Map<String, Value> {
    let short = |text: &str| cut(&line(text), VALUE_LIMIT, "…", char::len_utf16);
    let command = block(&incident.command);
    // Half a command does something else.
    let command = if command.chars().count() <= COMMAND_LIMIT { command } else { String::new() };
    let labels = incident.labels.iter().take(MOST_LABELS).map(|(name, value)| (short(name), short(value)));
    let labels = labels.filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let labels = labels.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    let texts = [
        ("incident", short(&incident.id)),
        ("state", text::state(incident.state, language).to_owned()),
        ("level", text::level(incident.severity).to_owned()),
        ("reason", cut(&block(&incident.reason), REASON_LIMIT, "…", char::len_utf16)),
        ("command", command),
        ("owner", short(&incident.owner)),
        ("backup", short(&incident.backup)),
        ("on_call", short(&incident.on_call)),
        ("runbook", short(&incident.runbook)),
        ("problem", short(&incident.problem)),
        ("labels", labels.join("\n")),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let mut details: Map<String, Value> = texts.map(|(name, text)| (name.to_owned(), text.into())).collect();
    details.insert("events".to_owned(), incident.count.into());
    details.insert("drill".to_owned(), incident.is_drill.into());
    details.insert("understood".to_owned(), incident.understood.into());
    details
}
