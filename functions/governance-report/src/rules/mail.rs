//! When the manager's mail is due, and when the sheet is sent again.

use jiff::Timestamp;
use shared::runtime::time::SAO_PAULO;

/// The month whose mail is due at `now`: `2026-11`; none before its day.
pub(crate) fn month(now: Timestamp, day: u16) -> Option<String> {
    let date = now.to_zoned_datetime(SAO_PAULO).date();
    (i32::from(date.day()) >= i32::from(day)).then(|| date.strftime("%Y-%m").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_due_from_its_day_on_by_sao_paulos_calendar() {
        for (now, day, expected) in [
            ("2026-12-01T02:59:59Z", 1, Some("2026-11")),
            ("2026-12-01T03:00:00Z", 1, Some("2026-12")),
            ("2026-12-04T12:00:00Z", 5, None),
            ("2026-12-05T12:00:00Z", 5, Some("2026-12")),
            ("2026-12-31T12:00:00Z", 5, Some("2026-12")),
        ] {
            assert_eq!(month(now.parse().unwrap(), day).as_deref(), expected, "{now} {day}");
        }
    }
}
