//! For the functions' wire tests: recorded answers in place of AWS, behind the real SDK with its real signing.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;

/// A client that gives the answers in order and keeps the requests; a body with an error type is a 400.
pub fn replies(bodies: &[&str]) -> StaticReplayClient {
    let event = |body: &&str| {
        let mut answer = http::Response::new(SdkBody::from(*body));
        if body.contains("__type") {
            *answer.status_mut() = http::StatusCode::BAD_REQUEST;
        }
        ReplayEvent::new(http::Request::new(SdkBody::empty()), answer)
    };
    StaticReplayClient::new(bodies.iter().map(event).collect())
}

/// The configuration of clients that speak to `wire`.
pub fn aws(wire: &StaticReplayClient) -> SdkConfig {
    let credentials = Credentials::new("key", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(wire.clone())
        .build()
}
