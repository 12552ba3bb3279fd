//! What the stack's own functions, logs and alarms cost in a month, from the last days' metrics and the policy's prices.
//!
//! compute = invocations' duration × memory; requests = invocations; logs = bytes that were taken in; alarms = metric alarms.
//! Storage, DynamoDB, Step Functions, CloudWatch's custom metrics, restore tests' instances and the free tier are not in it.

use shared::policy::Prices;

use super::view::{Cost, CostLine};

/// Days of a month.
const MONTH: f64 = 30.0;

/// What a function used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Used {
    /// Memory, in MB.
    pub memory_mb: f64,
    /// Whether its processor is arm64.
    pub is_arm: bool,
    /// Invocations.
    pub invocations: f64,
    /// Sum of their durations, in milliseconds.
    pub duration_ms: f64,
    /// Bytes of its logs.
    pub log_bytes: f64,
}

/// The cost of a month, extrapolated from `days`.
pub(crate) fn cost(used: &[Used], alarms: usize, days: u16, prices: &Prices) -> Cost {
    let month = MONTH / f64::from(days.max(1));
    let sum = |each: &dyn Fn(&Used) -> f64| used.iter().map(each).sum::<f64>() * month;
    // Lambda's own unit: 1 GB is 1,024 MB.
    let gb_seconds = |one: &Used| one.duration_ms / 1000.0 * one.memory_mb / 1024.0;
    let of = |is_arm: bool| sum(&|one| if one.is_arm == is_arm { gb_seconds(one) } else { 0.0 });
    let line = |what: &str, amount: f64, unit: &str, price: f64| CostLine {
        what: what.to_owned(),
        amount,
        unit: unit.to_owned(),
        price,
        usd: amount * price,
    };
    // An alarm is paid for by the month, whatever was measured.
    let alarms = u32::try_from(alarms).map_or(f64::MAX, f64::from);
    let lines = [
        line("compute-arm64", of(true), "GB-s", prices.gb_second_arm64),
        line("compute-x86_64", of(false), "GB-s", prices.gb_second_x86_64),
        line("requests", sum(&|one| one.invocations) / 1e6, "1e6", prices.million_requests),
        line("logs", sum(&|one| one.log_bytes) / 1e9, "GB", prices.log_gb),
        line("alarms", alarms, "1", prices.alarm),
    ];
    let lines: Vec<_> = lines.into_iter().filter(|line| line.amount > 0.0).collect();
    Cost {
        unread: None,
        days,
        usd: lines.iter().map(|line| line.usd).sum(),
        lines,
        prices_as_of: prices.as_of.to_string(),
        source: prices.source.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_extrapolated_and_alarms_are_not() {
        let policy: shared::policy::Policy = "".parse().unwrap();
        let prices = Prices {
            gb_second_arm64: 0.00001,
            gb_second_x86_64: 0.00002,
            million_requests: 0.2,
            log_gb: 0.5,
            alarm: 0.1,
            ..policy.report.prices
        };
        let one = Used { memory_mb: 512.0, is_arm: true, invocations: 1e6, duration_ms: 2e8, log_bytes: 1e9 };
        let cost = cost(&[one.clone(), Used { is_arm: false, ..one }], 10, 15, &prices);
        let usd: Vec<_> =
            cost.lines.iter().map(|line| (line.what.as_str(), (line.usd * 100.0).round())).collect();
        assert_eq!(
            usd,
            [
                ("compute-arm64", 200.0),
                ("compute-x86_64", 400.0),
                ("requests", 80.0),
                ("logs", 200.0),
                ("alarms", 100.0)
            ]
        );
        assert_eq!((cost.usd * 100.0).round(), 980.0);
    }
}
