//! The governance page.

use serde::Deserialize;

use crate::{PolicyError, within};

/// Settings of `governance-report`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Days before its due date from which a control is shown as due: 1 to 60.
    pub ahead_days: u16,
    /// Day of the month from which the mail to the manager is sent: 1 to 28.
    pub mail_day: u16,
    /// Prices for the cost estimate.
    pub prices: Prices,
}

/// List prices in US dollars.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The day on which somebody looked them up.
    pub as_of: jiff::civil::Date,
    /// Where.
    pub source: String,
    /// Lambda, arm64: one GB for one second.
    pub gb_second_arm64: f64,
    /// Lambda, x86_64: one GB for one second.
    pub gb_second_x86_64: f64,
    /// Lambda: one million requests.
    pub million_requests: f64,
    /// CloudWatch Logs: one GB taken in.
    pub log_gb: f64,
    /// CloudWatch: one metric alarm for one month.
    pub alarm: f64,
}

impl Report {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.ahead_days"), self.ahead_days, 1, 60)?;
        within(format!("{path}.mail_day"), self.mail_day, 1, 28)?;
        let Prices { gb_second_arm64, gb_second_x86_64, million_requests, log_gb, alarm, .. } = self.prices;
        let prices = [
            ("gb_second_arm64", gb_second_arm64),
            ("gb_second_x86_64", gb_second_x86_64),
            ("million_requests", million_requests),
            ("log_gb", log_gb),
            ("alarm", alarm),
        ];
        for (name, price) in prices {
            if !(0.0..=1000.0).contains(&price) {
                let reason = format!("expected US dollars, 0 to 1000, found {price}");
                return Err(PolicyError::at(format!("{path}.prices.{name}"), reason));
            }
        }
        if !crate::is_line(&self.prices.source, 200) {
            return Err(PolicyError::at(
                format!("{path}.prices.source"),
                "expected one line of 1 to 200 characters",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::refused;

    #[test]
    fn days_and_prices_have_bounds() {
        refused(r#"{"report": {"ahead_days": 0}}"#, "report.ahead_days", "expected 1 to 60, found 0");
        refused(r#"{"report": {"mail_day": 29}}"#, "report.mail_day", "expected 1 to 28, found 29");
        let negative = r#"{"report": {"prices": {"alarm": -0.1}}}"#;
        refused(negative, "report.prices.alarm", "expected US dollars, 0 to 1000, found -0.1");
    }
}
