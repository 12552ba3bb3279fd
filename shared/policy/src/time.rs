//! Times for people, in America/Sao_Paulo.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The team's time zone, compiled in: the Lambda image has no zone files.
pub const SAO_PAULO: TimeZone = jiff::tz::get!("America/Sao_Paulo");

/// An instant in São Paulo with its offset, for display: `2026-03-01 09:00:00 -03:00`.
pub fn local(instant: Timestamp) -> String {
    instant.to_zoned_datetime(SAO_PAULO).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// An instant's date in São Paulo: `2026-03-01`.
pub fn local_date(instant: Timestamp) -> String {
    instant.to_zoned_datetime(SAO_PAULO).date().to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn sao_paulo_is_three_hours_behind_utc() {
        let instant = "2026-03-01T02:00:00Z".parse().unwrap();
        assert_eq!(super::local(instant), "2026-02-28 23:00:00 -03:00");
        assert_eq!(super::local_date(instant), "2026-02-28");
    }
}
