//! Webhooks of Alertmanager (version 4) and Grafana: one signal for each alert.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{hash, instant, list, map, one_of, scalar_at, text};
use super::{Origin, address, blank, highest, unread};
use crate::{Change, Signal, Source, Transport};

/// The signals of a webhook's payload; `None` if it is none.
pub(super) fn signals(value: &Value, origin: Origin<'_>) -> Option<Vec<Signal>> {
    let alerts = list(value, "/alerts");
    if alerts.is_empty() {
        return None;
    }
    let is_grafana = value.get("orgId").is_some() || text(value, "/state").is_some();
    let source = match origin.transport {
        Transport::Grafana => Source::Grafana,
        Transport::Alertmanager => Source::Alertmanager,
        _ if is_grafana => Source::Grafana,
        _ => Source::Alertmanager,
    };
    let of = |alert: &Value| {
        if alert.is_object() {
            signal(value, alert, source, origin)
        } else {
            unread(origin, &alert.to_string())
        }
    };
    let mut signals: Vec<Signal> = alerts.iter().map(of).collect();
    signals.extend(truncated(value, source, origin));
    Some(signals)
}

fn signal(value: &Value, alert: &Value, source: Source, origin: Origin<'_>) -> Signal {
    let mut labels = map(value, "/commonLabels");
    labels.extend(map(alert, "/labels"));
    // With the source before it, it equals no alarm's ARN and no page's key, whatever the sender writes.
    let fingerprint = text(alert, "/fingerprint").map_or_else(|| identity(&labels, alert), str::to_owned);
    let problem = format!("{}|{fingerprint}", source.name());
    // A time in UTC, whatever its offset; year 1 stands for "not yet".
    let time = |name: &str| text(alert, name).and_then(instant).filter(|time| time.as_second() > 0);
    let (starts, ends) = (time("/startsAt"), time("/endsAt"));
    let status = text(alert, "/status").or_else(|| one_of(value, &["/status", "/state"])).unwrap_or_default();
    let is_over = ["resolved", "ok"].iter().any(|word| status.eq_ignore_ascii_case(word));
    let began = starts.map_or_else(|| origin.key(&alert.to_string()), |time| time.to_string());
    let event = if is_over {
        let ended = ends.map_or_else(|| origin.key(&alert.to_string()), |time| time.to_string());
        format!("alert|{problem}|{began}|resolved|{ended}")
    } else {
        format!("alert|{problem}|{began}|firing")
    };

    let mut notes = map(value, "/commonAnnotations");
    notes.extend(map(alert, "/annotations"));
    let note = |names: &[&str]| names.iter().find_map(|name| notes.get(*name)).map(String::as_str);
    let label = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).map(String::as_str);
    let summary = note(&["summary", "title"]);
    let name = label(&["alertname"]);
    let title = match (name, summary) {
        (Some(name), Some(summary)) => format!("{name}: {summary}"),
        (name, summary) => name.or(summary).or(text(value, "/title")).unwrap_or(&fingerprint).to_owned(),
    };
    let reason =
        note(&["description", "message"]).or(summary).or(text(value, "/message")).unwrap_or_default();
    let numbers: Vec<String> =
        map(alert, "/values").iter().map(|(name, number)| format!("{name}={number}")).collect();
    let numbers = text(alert, "/valueString").map_or_else(|| numbers.join(" "), str::to_owned);
    let severities: Vec<String> = [(value, "/commonLabels"), (alert, "/labels"), (alert, "/annotations")]
        .into_iter()
        .filter_map(|(place, list)| scalar_at(place, &format!("{list}/severity")))
        .collect();
    let links =
        one_of(alert, &["/panelURL", "/dashboardURL", "/generatorURL"]).or(text(value, "/externalURL"));
    let runbook = note(&["runbook_url", "runbook"]).or(label(&["runbook_url", "runbook"])).map(str::to_owned);
    let owner = label(&["owner", "team"]).or(note(&["owner", "team"])).map(str::to_owned);

    let facts = [
        ("group_key", text(value, "/groupKey").unwrap_or_default().to_owned()),
        ("silence", text(alert, "/silenceURL").unwrap_or_default().to_owned()),
        ("values", numbers),
    ];
    labels.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    Signal {
        change: if is_over { Change::Resolved } else { Change::Triggered },
        changed_at: if is_over { ends } else { starts },
        title,
        reason: reason.to_owned(),
        severity: highest(severities.iter().map(String::as_str)),
        labels,
        runbook,
        owner,
        link: address(links),
        ..blank(source, problem, event)
    }
}

/// The identity of an alert without fingerprint.
fn identity(labels: &BTreeMap<String, String>, alert: &Value) -> String {
    if labels.is_empty() {
        return hash(&alert.to_string());
    }
    let words: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    hash(&words.join("\n"))
}

/// Alerts that the sender left out of a firing group are problems too.
fn truncated(value: &Value, source: Source, origin: Origin<'_>) -> Option<Signal> {
    let count = value.get("truncatedAlerts").and_then(Value::as_u64).filter(|count| *count > 0)?;
    if text(value, "/status").is_some_and(|status| status.eq_ignore_ascii_case("resolved")) {
        return None;
    }
    let group = text(value, "/groupKey").unwrap_or_default();
    let problem = format!("{}|truncated|{group}", source.name());
    let event = format!("alert|{problem}|{}", origin.key(&value.to_string()));
    Some(Signal {
        title: format!("truncatedAlerts: {count} {group}").trim().to_owned(),
        reason: format!("truncatedAlerts: {count}\n{}", text(value, "/externalURL").unwrap_or_default()),
        severity: highest(text(value, "/commonLabels/severity")),
        labels: BTreeMap::from([("group_key".to_owned(), group.to_owned())]),
        link: address(text(value, "/externalURL")),
        ..blank(source, problem, event)
    })
}
