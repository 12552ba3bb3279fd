//! Events of EventBridge.

use serde_json::Value;

use super::json::text;
use super::{Origin, alarm, health, unread};
use crate::Signal;

/// The signals of an event; `None` if it is none.
pub(super) fn signals(value: &Value, origin: Origin<'_>) -> Option<Vec<Signal>> {
    let (kind, source) = (text(value, "/detail-type"), text(value, "/source"));
    if kind.is_none() && (source.is_none() || !value.get("detail").is_some_and(Value::is_object)) {
        return None;
    }
    let origin = Origin { id: text(value, "/id").unwrap_or(origin.id), ..origin };
    let (kind, source) = (kind.unwrap_or_default(), source.unwrap_or_default());
    let has = |pointer: &str| text(value, pointer).is_some();
    let is_health = source == "aws.health" || kind.starts_with("AWS Health") || has("/detail/eventTypeCode");
    let is_alarm =
        source == "aws.cloudwatch" || kind.starts_with("CloudWatch Alarm") || has("/detail/alarmName");
    let known = if is_health {
        health::signal(value, origin)
    } else if is_alarm {
        alarm::event(value, origin)
    } else {
        None
    };
    let unknown = || {
        let title = [kind, source].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        Signal { title: title.to_owned(), ..unread(origin, &value.to_string()) }
    };
    Some(vec![known.unwrap_or_else(unknown)])
}
