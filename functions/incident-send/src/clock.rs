//! The time within an invocation that waits: its start and what has passed since.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A clock that starts with the invocation.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    start: Timestamp,
    began: Instant,
}

impl Clock {
    /// A clock that shows `start` now.
    pub(crate) fn new(start: Timestamp) -> Self {
        Self { start, began: Instant::now() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        self.start.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// Waits until a time.
    pub(crate) async fn until(&self, at: Timestamp) {
        // Rounded up: a row is due at its millisecond, not before.
        let left = at.duration_since(self.now()).as_millis().max(0) + 1;
        tokio::time::sleep(std::time::Duration::from_millis(u64::try_from(left).unwrap_or_default())).await;
    }
}
