//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch counts.
//!
//! Source: [Embedded metric format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::runtime::time::now;

/// CloudWatch namespace of all metrics; `template.yaml`'s alarms name it too.
pub const NAMESPACE: &str = "Governance";

/// Most values of a metric in one line.
const MOST_VALUES: usize = 100;

/// The log line with a metric's values at `now` for the values of its dimensions.
fn line((name, unit): (&str, &str), values: Value, dimensions: &[(&str, &str)], now: Timestamp) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [names],
                "Metrics": [{"Name": name, "Unit": unit}],
            }],
        },
    });
    if let Some(fields) = line.as_object_mut() {
        fields.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        fields.insert(name.to_owned(), values);
    }
    line
}

/// Counts a function's metric `name` once, at the current time: the start of a long run may lie before the alarm's
/// window.
#[expect(clippy::print_stdout, reason = "the format is a line on standard output")]
pub fn count(name: &str, service: &str) {
    println!("{}", line((name, "Count"), json!(1), &[("service", service)], now()));
}

/// Notes durations of a function's metric `name`, in milliseconds; CloudWatch gives their percentiles.
#[expect(clippy::print_stdout, reason = "the format is a line on standard output")]
pub fn durations(name: &str, service: &str, milliseconds: &[i64]) {
    for values in milliseconds.chunks(MOST_VALUES) {
        println!("{}", line((name, "Milliseconds"), json!(values), &[("service", service)], now()));
    }
}

/// Notes a value of a function's metric `name` for one channel; `unit` is CloudWatch's word.
#[expect(clippy::print_stdout, reason = "the format is a line on standard output")]
pub fn of_channel(name: &str, unit: &str, service: &str, channel: &str, value: i64) {
    println!("{}", line((name, unit), json!(value), &[("service", service), ("channel", channel)], now()));
}

/// Counts a stack's metric `name` once, at the current time: one alarm covers all functions.
#[expect(clippy::print_stdout, reason = "the format is a line on standard output")]
pub fn count_for_stack(name: &str, project: &str, environment: &str) {
    let stack = format!("{project}-{environment}");
    println!("{}", line((name, "Count"), json!(1), &[("stack", &stack)], now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_the_documented_shape() {
        let at = "2026-03-01T12:00:00Z".parse().unwrap();
        let line = line(("EvidenceFailures", "Count"), json!(1), &[("service", "moveongs-dev-x")], at);
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 1_772_366_400_000_u64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Governance",
                        "Dimensions": [["service"]],
                        "Metrics": [{"Name": "EvidenceFailures", "Unit": "Count"}],
                    }],
                },
                "service": "moveongs-dev-x",
                "EvidenceFailures": 1,
            })
        );
        let stack = &[("stack", "moveongs-dev")];
        let of_stack = super::line(("PolicyBroken", "Count"), json!(1), stack, Timestamp::UNIX_EPOCH);
        assert_eq!(of_stack.pointer("/_aws/CloudWatchMetrics/0/Dimensions"), Some(&json!([["stack"]])));
        assert_eq!(of_stack.pointer("/stack"), Some(&json!("moveongs-dev")));
        let waits = super::line(("Wait", "Milliseconds"), json!([3, 5]), stack, Timestamp::UNIX_EPOCH);
        assert_eq!(waits.pointer("/_aws/CloudWatchMetrics/0/Metrics/0/Unit"), Some(&json!("Milliseconds")));
        assert_eq!(waits.pointer("/Wait"), Some(&json!([3, 5])));
        let both = &[("service", "x"), ("channel", "slack")];
        let of_channel = super::line(("Wait", "Milliseconds"), json!(3), both, Timestamp::UNIX_EPOCH);
        let names = of_channel.pointer("/_aws/CloudWatchMetrics/0/Dimensions");
        assert_eq!(names, Some(&json!([["service", "channel"]])));
        assert_eq!(of_channel.pointer("/channel"), Some(&json!("slack")));
    }
}
