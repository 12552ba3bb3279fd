//! Buckets in other regions. S3 serves a bucket only from its own region, and the SDK does not follow redirects there.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Region;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;

/// A client for another region; none if the region is unknown or the client's own.
pub fn elsewhere(client: &Client, region: Option<&str>) -> Option<Client> {
    let own = client.config().region().map(AsRef::as_ref);
    let region = region.filter(|region| !region.is_empty() && Some(*region) != own)?;
    Some(Client::from_conf(client.config().to_builder().region(Region::new(region.to_owned())).build()))
}

/// A client for the region that S3 names when it refuses a bucket of another region. Follow this only once: two regions
/// that name each other would cause an endless loop.
pub fn moved<E>(client: &Client, error: &SdkError<E, HttpResponse>) -> Option<Client> {
    elsewhere(client, error.raw_response()?.headers().get("x-amz-bucket-region"))
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, SdkConfig};

    use super::*;

    #[test]
    fn a_bucket_of_another_region_has_a_client_of_its_own() {
        let own = SdkConfig::builder().behavior_version(BehaviorVersion::v2026_01_12());
        let client = Client::new(&own.region(Region::new("us-east-1")).build());
        for (region, expected) in [
            (None, None),
            (Some(""), None),
            (Some("us-east-1"), None),
            (Some("sa-east-1"), Some("sa-east-1")),
        ] {
            let other = elsewhere(&client, region);
            let other = other.as_ref().and_then(|other| other.config().region()).map(AsRef::as_ref);
            assert_eq!(other, expected, "{region:?}");
        }
    }
}
