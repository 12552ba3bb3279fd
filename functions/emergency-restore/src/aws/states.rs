//! The Terraform states in their bucket.

use aws_sdk_s3::Client;
use shared::aws::buckets::moved;
use shared::runtime::failure::{CallError, chain};

use crate::rules::state::{Known, find};

/// Size limit of a state, in bytes.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Most states that are searched.
const MOST_STATES: usize = 50;

/// Suffix of a state's key in Terraform's documentation.
const SUFFIX: &str = ".tfstate";

/// Finds an instance in the states of a key, or of a prefix that ends with a slash. Returns the state's key too; none if
/// no state has the instance. The bytes hold secrets and are dropped after the search.
pub(crate) async fn instance(
    client: &Client,
    bucket: &str,
    declared: &str,
    identifier: &str,
) -> Result<Option<(String, Known)>, CallError> {
    let mut client = client.clone();
    let mut listed = list(&client, bucket, declared).await;
    if let Err(Refused { elsewhere: Some(other), .. }) = listed {
        client = other;
        listed = list(&client, bucket, declared).await;
    }
    for key in listed.map_err(|refused| refused.call)? {
        let object = client.get_object().bucket(bucket).key(&key).send().await;
        let mut object = object.map_err(CallError::during("s3:GetObject"))?;
        let broken =
            |message: String| CallError { operation: "s3:GetObject", code: "BrokenBody".to_owned(), message };
        let mut bytes = Vec::new();
        while let Some(part) = object.body.try_next().await.map_err(|error| broken(chain(&error)))? {
            if bytes.len() + part.len() > MOST_BYTES {
                return Err(broken(format!("the state is larger than {} MiB", MOST_BYTES / (1024 * 1024))));
            }
            bytes.extend_from_slice(&part);
        }
        if let Some(known) = find(&bytes, identifier) {
            return Ok(Some((key, known)));
        }
    }
    Ok(None)
}

/// A refused list, and a client for the region that S3 names.
struct Refused {
    call: CallError,
    elsewhere: Option<Client>,
}

async fn list(client: &Client, bucket: &str, declared: &str) -> Result<Vec<String>, Refused> {
    let found = client.list_objects_v2().bucket(bucket).prefix(declared).send().await;
    let elsewhere = found.as_ref().err().and_then(|error| moved(client, error));
    let found =
        found.map_err(CallError::during("s3:ListBucket")).map_err(|call| Refused { call, elsewhere })?;
    let keys = found.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
    let is_it = |key: &String| if declared.ends_with('/') { key.ends_with(SUFFIX) } else { key == declared };
    Ok(keys.filter(is_it).take(MOST_STATES).collect())
}
