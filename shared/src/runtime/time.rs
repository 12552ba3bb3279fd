//! Times are UTC internally, and America/Sao_Paulo in texts for people.

use aws_smithy_types::DateTime;
use jiff::Timestamp;

pub use policy::time::{SAO_PAULO, local, local_date};

/// A service's timestamp, truncated to seconds.
pub fn instant(at: Option<DateTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::from_second(at.secs()).ok())
}

/// Reads the clock. Handlers call this once and pass the instant on; rules take it as an argument.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
