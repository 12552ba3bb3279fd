//! CloudWatch alarms: through SNS, through EventBridge, and by their own Lambda action.
//!
//! All three give the same problem and the same key. INSUFFICIENT_DATA triggers only if the state before it is unknown:
//! an alarm that was OK is still no problem, and one that was in ALARM has paged already, and is not over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::json::{arn, instant_at, list, map, one_of, pairs, scalar, scalar_at, text, texts};
use super::{Origin, address, blank, highest};
use crate::{Change, Signal, Source};

/// Most metrics, or children of a composite alarm, that are shown.
const MOST_SHOWN: usize = 10;

/// Names of a tag, or of a word of the description, whose value is the runbook.
const RUNBOOK: [&str; 2] = ["runbook_url", "runbook"];

/// Fields of a message by which it is recognised as an alarm's.
const FIELDS: [&str; 6] =
    ["AlarmArn", "AlarmName", "NewStateReason", "NewStateValue", "OldStateValue", "StateChangeTime"];

/// An alarm's change, as each transport tells it.
#[derive(Default)]
struct Alarm<'a> {
    arn: Option<String>,
    name: Option<&'a str>,
    account: Option<&'a str>,
    region: Option<&'a str>,
    /// Of an alarm that watches several time series, the one that changed.
    contributor: Option<&'a str>,
    state: Option<&'a str>,
    previous: Option<&'a str>,
    reason: Option<&'a str>,
    at: Option<Timestamp>,
    /// Less exact than `at`, and not the same on every transport.
    sent_at: Option<Timestamp>,
    description: Option<&'a str>,
    suppressed: Option<&'a str>,
    is_configuration: bool,
    tags: BTreeMap<String, String>,
    labels: BTreeMap<&'static str, String>,
}

/// The signal of an alarm's notification; `None` if it is none.
pub(super) fn message(value: &Value, origin: Origin<'_>) -> Option<Signal> {
    if texts(value, &FIELDS) < 2 {
        return None;
    }
    let field = |name: &str| text(value, &format!("/{name}"));
    let trigger = value.get("Trigger").unwrap_or(&Value::Null);
    let children = list(value, "/TriggeringChildren").iter().filter_map(|child| text(child, "/Arn"));
    let alarm = Alarm {
        arn: field("AlarmArn").and_then(arn),
        name: field("AlarmName"),
        account: field("AWSAccountId"),
        region: field("Region"),
        contributor: one_of(value, &["/AlarmContributorId", "/AlarmContributor/Id"]),
        state: field("NewStateValue"),
        previous: field("OldStateValue"),
        reason: field("NewStateReason"),
        at: instant_at(value, "/StateChangeTime"),
        sent_at: origin.at,
        description: field("AlarmDescription"),
        suppressed: field("ActionsSuppressedBy"),
        tags: tags(&[value, trigger]),
        labels: labels(&[trigger], list(trigger, "/Metrics"), children, field("AlarmRule")),
        ..Alarm::default()
    };
    alarm.signal(value, origin)
}

/// The signal of an alarm's event; `None` without anything that identifies the alarm.
pub(super) fn event(value: &Value, origin: Origin<'_>) -> Option<Signal> {
    let mut named = list(value, "/resources").iter().filter_map(Value::as_str).filter_map(arn);
    let named = named.find(|arn| arn.contains(":alarm:"));
    let alarm = detail(value, value.get("detail").unwrap_or(&Value::Null), named, text(value, "/account"));
    alarm.signal(value, origin)
}

/// The signal of an alarm's Lambda action; `None` if it is none.
pub(super) fn action(value: &Value, origin: Origin<'_>) -> Option<Signal> {
    let arn = text(value, "/alarmArn").and_then(arn);
    let data = value.get("alarmData").filter(|data| data.is_object());
    if arn.is_none() && data.is_none() {
        return None;
    }
    let alarm = detail(value, data.unwrap_or(&Value::Null), arn, text(value, "/accountId"));
    alarm.signal(value, origin)
}

/// What event and action have in common.
fn detail<'a>(
    value: &'a Value,
    detail: &'a Value,
    named: Option<String>,
    account: Option<&'a str>,
) -> Alarm<'a> {
    let field = |name: &str| text(detail, name);
    let configuration = detail.get("configuration").unwrap_or(&Value::Null);
    let (name, region) = (field("/alarmName"), text(value, "/region"));
    let from_parts = || Some(made(region?, account?, name?));
    let data: Value =
        field("/state/reasonData").and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
    let children = list(&data, "/triggeringAlarms").iter().filter_map(|child| text(child, "/arn"));
    Alarm {
        arn: named.or_else(from_parts),
        name,
        account,
        region,
        contributor: field("/alarmContributor/id"),
        state: field("/state/value"),
        previous: field("/previousState/value"),
        reason: field("/state/reason"),
        at: instant_at(detail, "/state/timestamp"),
        sent_at: instant_at(value, "/time"),
        description: text(configuration, "/description"),
        suppressed: field("/state/actionsSuppressedBy"),
        is_configuration: text(value, "/detail-type")
            .is_some_and(|kind| kind.contains("Configuration Change")),
        tags: tags(&[value, detail, configuration]),
        labels: labels(
            &[configuration, &data],
            list(configuration, "/metrics"),
            children,
            text(configuration, "/alarmRule"),
        ),
    }
}

/// An alarm's ARN, from its parts.
fn made(region: &str, account: &str, name: &str) -> String {
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}")
}

/// The alarm's tags, if it propagates them: a list of keys and values, or a map.
fn tags(places: &[&Value]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for place in places {
        for name in ["/AlarmTags", "/alarmTags", "/Tags", "/tags"] {
            found.extend(map(place, name));
            let pairs = list(place, name).iter().filter_map(|tag| {
                let value = scalar_at(tag, "/Value").or_else(|| scalar_at(tag, "/value"))?;
                Some((one_of(tag, &["/Key", "/key"])?.to_owned(), value))
            });
            found.extend(pairs);
        }
    }
    found
}

/// What the alarm watches. SNS spells the names of fields differently from the other transports.
fn labels<'a>(
    places: &[&Value],
    metrics: &[Value],
    children: impl Iterator<Item = &'a str>,
    rule: Option<&str>,
) -> BTreeMap<&'static str, String> {
    let of_math = metrics.iter().filter_map(|metric| {
        metric.pointer("/MetricStat/Metric").or_else(|| metric.pointer("/metricStat/metric"))
    });
    let all = places.iter().copied().chain(of_math).take(MOST_SHOWN);
    let mut watched: Vec<String> = all.filter_map(metric).collect();
    watched.dedup();
    let expressions = metrics.iter().filter_map(|metric| one_of(metric, &["/Expression", "/expression"]));
    let expressions: Vec<&str> = expressions.take(MOST_SHOWN).collect();
    let threshold =
        |place: &&Value| scalar_at(place, "/Threshold").or_else(|| scalar_at(place, "/threshold"));
    let children: Vec<&str> = children.take(MOST_SHOWN).collect();
    BTreeMap::from([
        ("children", children.join(", ")),
        ("expression", expressions.join("; ")),
        ("metric", watched.join("; ")),
        ("rule", rule.unwrap_or_default().to_owned()),
        ("threshold", places.iter().find_map(threshold).unwrap_or_default()),
    ])
}

/// A metric with its dimensions, which SNS gives as a list and the others as a map.
fn metric(value: &Value) -> Option<String> {
    let name = one_of(value, &["/MetricName", "/name"])?;
    let namespace = one_of(value, &["/Namespace", "/namespace"]).unwrap_or_default();
    let pair = |(name, value): (String, String)| format!("{name}={value}");
    let mut dimensions: Vec<String> = map(value, "/dimensions").into_iter().map(pair).collect();
    dimensions.extend(list(value, "/Dimensions").iter().filter_map(|dimension| {
        let value = dimension.get("value").and_then(scalar)?;
        Some(pair((text(dimension, "/name")?.to_owned(), value)))
    }));
    Some(format!("{namespace} {name} {}", dimensions.join(" ")).trim().to_owned())
}

/// The values of tags and of a description's words with one of these names, tags first.
fn tagged<'a>(
    tags: &'a BTreeMap<String, String>,
    words: &[(String, &'a str)],
    names: &[&str],
) -> Vec<&'a str> {
    let is_named = |key: &str| names.iter().any(|name| key.eq_ignore_ascii_case(name));
    let tags = tags.iter().filter(|(key, _)| is_named(key)).map(|(_, value)| value.as_str());
    tags.chain(words.iter().filter(|(key, _)| is_named(key)).map(|(_, value)| *value)).collect()
}

/// The runbook that an alarm names in its tags or its description, as a page of it shows.
pub fn runbook(alarm_tags: &BTreeMap<String, String>, description: &str) -> Option<String> {
    tagged(alarm_tags, &pairs(description), &RUNBOOK).first().map(|link| (*link).to_owned())
}

impl Alarm<'_> {
    fn signal(self, value: &Value, origin: Origin<'_>) -> Option<Signal> {
        let Self { account, region, name, .. } = self;
        let part = |place| self.arn.as_deref().and_then(|arn| arn.splitn(7, ':').nth(place));
        // The region of a notification is a name for people, such as "US East (N. Virginia)".
        let code = part(3).filter(|code| !code.is_empty());
        let name = name.or_else(|| part(6));
        let mut problem = match (&self.arn, name) {
            (Some(arn), _) => arn.clone(),
            (None, Some(name)) => {
                format!("{}|{}|{name}", account.unwrap_or_default(), region.unwrap_or_default())
            }
            (None, None) => return None,
        };
        if let Some(contributor) = self.contributor {
            problem = format!("{problem}|{contributor}");
        }
        let state = self.state.unwrap_or_default().to_uppercase();
        let previous = self.previous.unwrap_or_default().to_uppercase();
        let change = match (state.as_str(), previous.as_str()) {
            _ if self.is_configuration => Some(Change::Note),
            ("OK", _) => Some(Change::Resolved),
            ("ALARM", _) => Some(Change::Triggered),
            ("INSUFFICIENT_DATA", "OK" | "ALARM" | "INSUFFICIENT_DATA") => Some(Change::Note),
            ("INSUFFICIENT_DATA", _) => Some(Change::Triggered),
            _ => None,
        };
        let time = self.at.map(|at| at.as_millisecond().to_string());
        let time = time.unwrap_or_else(|| origin.key(&value.to_string()));
        let kind = if self.is_configuration { "configuration" } else { "alarm" };
        // The same change comes again once its actions are no longer suppressed, and then pages.
        let suppressed = if self.suppressed.is_some() { "|suppressed" } else { "" };
        let event = format!("{kind}|{problem}|{state}|{time}{suppressed}");

        let words = self.description.map(pairs).unwrap_or_default();
        let tagged = |names: &[&str]| tagged(&self.tags, &words, names);
        let first = |names: &[&str]| tagged(names).first().map(|text| (*text).to_owned());
        let facts = [
            ("account", part(4).or(account).unwrap_or_default().to_owned()),
            ("description", self.description.unwrap_or_default().to_owned()),
            ("previous_state", previous),
            ("region", code.or(region).unwrap_or_default().to_owned()),
            ("state", state),
        ];
        let facts = self.labels.iter().map(|(name, value)| (*name, value.clone())).chain(facts);
        let labels = self.tags.clone().into_iter().chain(facts.map(|(name, value)| (name.to_owned(), value)));
        let reason = self.reason.or(self.description).unwrap_or_default().to_owned();
        Some(Signal {
            change: change.unwrap_or(Change::Triggered),
            changed_at: self.at.or(self.sent_at),
            title: name.unwrap_or(&problem).to_owned(),
            reason: if change.is_some() { reason } else { value.to_string() },
            severity: highest(tagged(&["severity"])),
            labels: labels.collect(),
            runbook: first(&RUNBOOK),
            owner: first(&["owner", "team"]),
            link: address(code.zip(name).and_then(|(code, name)| console(code, name)).as_deref()),
            muted_by_source: self.suppressed.map(str::to_owned),
            understood: change.is_some(),
            ..blank(Source::Alarm, problem, event)
        })
    }
}

/// The alarm's page in the console of the partition `aws`.
fn console(region: &str, name: &str) -> Option<String> {
    let is_plain = region.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit());
    if !is_plain || region.starts_with("cn-") || region.starts_with("us-gov-") {
        return None;
    }
    let encoded = name.bytes().map(|byte| match byte {
        b'-' | b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    let encoded: String = encoded.collect();
    let host = format!("https://{region}.console.aws.amazon.com");
    Some(format!("{host}/cloudwatch/home?region={region}#alarmsV2:alarm/{encoded}"))
}
