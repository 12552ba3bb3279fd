//! The boundary to AWS Lambda: deadlines and call limits. `serve.rs` has the startup, log context and error responses.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use jiff::Timestamp;
use lambda_runtime::Context;
use tokio::time::Instant;

#[cfg(feature = "report")]
pub use crate::run::serve::{Unread, serve};

/// A handler's invocation, apart from the event.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// When the handler was called.
    pub now: Timestamp,
    /// Lambda's id of the request, the same for all tries of an asynchronous one; empty in tests that do not set it.
    pub request_id: String,
    /// When Lambda will kill the process.
    deadline: Instant,
}

/// The invocation's time is nearly over.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no answer within the {} s left of the invocation", allowed.as_secs())]
pub struct DeadlineExceeded {
    /// The time the work was allowed.
    pub allowed: Duration,
}

impl Invocation {
    /// An invocation that starts at `now` and may last `left`.
    pub fn new(now: Timestamp, left: Duration) -> Self {
        Self { now, request_id: String::new(), deadline: Instant::now() + left }
    }

    pub(crate) fn from_context(context: &Context, now: Timestamp) -> Self {
        let now_ms = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let left = Duration::from_millis(context.deadline.saturating_sub(now_ms));
        Self { request_id: context.request_id.clone(), ..Self::new(now, left) }
    }

    /// Time left until Lambda ends the invocation.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Awaits `work`, but stops it `reserve` before the deadline, so that the failure can still be reported.
    ///
    /// # Errors
    ///
    /// [`DeadlineExceeded`]; `work` is dropped at any of its await points, so it must be safe to stop there.
    pub async fn before_deadline<T>(
        &self,
        reserve: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, DeadlineExceeded> {
        let end = self.deadline.checked_sub(reserve).unwrap_or(self.deadline);
        let allowed = end.saturating_duration_since(Instant::now());
        tokio::time::timeout_at(end, work).await.map_err(|_| DeadlineExceeded { allowed })
    }
}

/// Limits for a call that creates something large and has no idempotency token: RDS's answer may take longer than its
/// work, and after a lost answer the outcome must be looked up.
pub fn unhurried() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(40))
        .operation_timeout(Duration::from_secs(75))
        .build()
}

/// Limits for every AWS call; the SDK sets none for a whole call. A hanging call leaves a 30 s step time for another
/// attempt.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(10))
        .build()
}

/// Client configuration for audits: retries for two minutes, since nothing is audited after giving up.
///
/// Not adaptive: that rate limiter drops to one request in two seconds and recovers slowly, which would use up the
/// audit's time. An audit has few requests in flight, and waits up to a second before each retry.
pub fn patient(aws: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(120))
        .build();
    let retries = RetryConfig::standard().with_max_attempts(300).with_max_backoff(Duration::from_secs(1));
    aws.to_builder().timeout_config(timeouts).retry_config(retries).build()
}

/// A client for an audit, with the configuration from [`patient`](crate::runtime::lambda::patient). Throttling does not
/// count against its retry quota; other errors soon exhaust it, so a service that is down is not waited for in every
/// call.
#[macro_export]
macro_rules! patient {
    ($sdk:ident, $aws:expr) => {{
        use $sdk::config::retry::{RetryPartition, TokenBucket};
        let quota =
            TokenBucket::builder().throttling_retry_cost(0).retry_cost(14).timeout_retry_cost(14).build();
        let partition = RetryPartition::custom("audit").token_bucket(quota).build();
        $sdk::Client::from_conf($sdk::config::Builder::from($aws).retry_partition(partition).build())
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_given_up_before_the_deadline_and_not_earlier() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let work = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        let reserve = Duration::from_secs(10);
        let invocation = Invocation::new(now, Duration::from_secs(30));
        assert_eq!(invocation.before_deadline(reserve, work(19)).await, Ok(()));
        let invocation = Invocation::new(now, Duration::from_secs(30));
        let late = invocation.before_deadline(reserve, work(21)).await.unwrap_err();
        assert_eq!(late.to_string(), "no answer within the 20 s left of the invocation");
        // Time left over after the work is still usable.
        assert_eq!(invocation.before_deadline(Duration::from_millis(500), work(9)).await, Ok(()));
    }

    #[test]
    fn the_time_left_is_read_from_the_runtimes_deadline() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut context = Context::default();
        context.deadline = u64::try_from(now.as_millisecond()).unwrap() + 30_000;
        let left = Invocation::from_context(&context, now).deadline.saturating_duration_since(Instant::now());
        assert!(left > Duration::from_secs(29) && left <= Duration::from_secs(30), "{left:?}");
    }
}
