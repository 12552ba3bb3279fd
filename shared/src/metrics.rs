//! Metrics in CloudWatch's embedded metric format: a log line that CloudWatch counts.
//!
//! Source: [Embedded metric format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::time::now;

/// CloudWatch namespace of all the product's metrics; alarms in `template.yaml` name it too.
pub const NAMESPACE: &str = "Governance";

/// The line that counts `name` once at `now` for `service` (the function's name).
fn line(name: &str, service: &str, now: Timestamp) -> Value {
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["service"]],
                "Metrics": [{"Name": name, "Unit": "Count"}],
            }],
        },
        "service": service,
    });
    if let Some(fields) = line.as_object_mut() {
        fields.insert(name.to_owned(), json!(1));
    }
    line
}

/// Counts `name` once, now: a metric of the start of a long run is older than its alarm looks back.
#[expect(clippy::print_stdout, reason = "the format is a line on standard output")]
pub fn count(name: &str, service: &str) {
    println!("{}", line(name, service, now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_the_documented_shape() {
        let line = line("EvidenceFailures", "moveongs-dev-x", "2026-03-01T12:00:00Z".parse().unwrap());
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
    }
}
