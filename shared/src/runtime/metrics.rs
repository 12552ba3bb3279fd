//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch counts.
//!
//! Source: [Embedded metric format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::runtime::time::now;

/// CloudWatch namespace of all metrics; `template.yaml`'s alarms name it too.
pub const NAMESPACE: &str = "Governance";

/// The log line that counts `name` once at `now` for a dimension's value.
fn line(name: &str, (dimension, value): (&str, &str), now: Timestamp) -> Value {
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[dimension]],
                "Metrics": [{"Name": name, "Unit": "Count"}],
            }],
        },
    });
    if let Some(fields) = line.as_object_mut() {
        fields.insert(dimension.to_owned(), json!(value));
        fields.insert(name.to_owned(), json!(1));
    }
    line
}

/// Counts a function's metric `name` once, at the current time: the start of a long run may lie before the alarm's
/// window.
#[expect(clippy::print_stdout, reason = "the format is a line on standard output")]
pub fn count(name: &str, service: &str) {
    println!("{}", line(name, ("service", service), now()));
}

/// Counts a stack's metric `name` once, at the current time: one alarm covers all functions.
#[expect(clippy::print_stdout, reason = "the format is a line on standard output")]
pub fn count_for_stack(name: &str, project: &str, environment: &str) {
    println!("{}", line(name, ("stack", &format!("{project}-{environment}")), now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_the_documented_shape() {
        let line =
            line("EvidenceFailures", ("service", "moveongs-dev-x"), "2026-03-01T12:00:00Z".parse().unwrap());
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
        let of_stack = super::line("PolicyBroken", ("stack", "moveongs-dev"), Timestamp::UNIX_EPOCH);
        assert_eq!(of_stack.pointer("/_aws/CloudWatchMetrics/0/Dimensions"), Some(&json!([["stack"]])));
        assert_eq!(of_stack.pointer("/stack"), Some(&json!("moveongs-dev")));
    }
}
