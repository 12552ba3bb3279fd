//! The AWS calls. The only files that name SDK operations of this function alone.

pub(crate) mod application;
pub(crate) mod rds;
pub(crate) mod s3;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use std::time::Duration;

use jiff::Timestamp;

/// A page of a list, and where the next one begins.
pub(crate) type Page<T> = (Vec<T>, Option<String>);

/// The clients that read, which slow down when AWS asks for it, and do not give up soon: what is given up is not audited.
pub(crate) fn patient(aws: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(120))
        .build();
    let retries = RetryConfig::adaptive().with_max_attempts(10);
    aws.to_builder().timeout_config(timeouts).retry_config(retries).build()
}

fn instant(at: Option<aws_smithy_types::DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}
