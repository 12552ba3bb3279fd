//! The Terraform states in their bucket.

use shared::aws::buckets::moved;
use shared::runtime::failure::{CallError, chain};
use shared::runtime::time::instant;

use super::{Clients, S3, unclear};
use crate::rules::state::{MOST_BYTES, MOST_STATES, Managed, SUFFIX, StateError, parse};

/// Most pages of keys to search for states.
pub(super) const PAGES: usize = 10;

/// Why the Terraform state could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ReadError {
    /// S3 refused or failed.
    #[error("the object could not be read")]
    S3(#[from] CallError),
    /// The content is not a readable state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The key has no object, or the prefix has no state.
    #[error("the bucket has no state with this key, or no key below this prefix that ends in {SUFFIX}")]
    NoObject,
    /// More states or pages of keys than an audit reads.
    #[error(
        "the prefix has more than {MOST_STATES} states, or more than {PAGES} pages of keys; use narrower prefixes"
    )]
    TooMany,
}

impl Clients {
    /// The keys of the states that a declared key or prefix covers, and a client for the bucket's region.
    pub(crate) async fn states(&self, bucket: &str, declared: &str) -> Result<(S3, Vec<String>), ReadError> {
        let (mut client, mut has_moved) = (self.s3.clone(), false);
        let (mut keys, mut token, mut pages) = (Vec::new(), None, 0);
        let is_it = |key: &str| if declared.ends_with('/') { key.ends_with(SUFFIX) } else { key == declared };
        loop {
            let asked = client
                .list_objects_v2()
                .bucket(bucket)
                .prefix(declared)
                .set_continuation_token(token.clone());
            let found = asked.send().await;
            let other = found.as_ref().err().and_then(|error| moved(&client, error));
            if let Some(other) = other.filter(|_| !has_moved) {
                (client, has_moved) = (other, true);
                continue;
            }
            let page = found.map_err(CallError::during("s3:ListBucket"))?;
            if page.key_count.is_none() {
                return Err(unclear("s3:ListBucket").into());
            }
            let found = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            keys.extend(found.filter(|key| is_it(key)));
            pages += 1;
            // Keys are sorted: the exact key comes before the keys that it is a prefix of.
            let is_over = !declared.ends_with('/') || page.next_continuation_token.is_none();
            if keys.len() > MOST_STATES || pages == PAGES && !is_over {
                return Err(ReadError::TooMany);
            }
            if is_over {
                break;
            }
            token = page.next_continuation_token;
        }
        if keys.is_empty() { Err(ReadError::NoObject) } else { Ok((client, keys)) }
    }

    /// Reads a Terraform state; also returns its serial, S3 version and date for the record. The bytes hold secrets and
    /// are dropped after parsing.
    pub(crate) async fn state(client: &S3, bucket: &str, key: &str) -> Result<(Managed, String), ReadError> {
        let object = client.get_object().bucket(bucket).key(key).send().await;
        let mut object = object.map_err(CallError::during("s3:GetObject"))?;
        let broken =
            |message: String| CallError { operation: "s3:GetObject", code: "BrokenBody".to_owned(), message };
        let mut bytes = Vec::new();
        while let Some(part) = object.body.try_next().await.map_err(|error| broken(chain(&error)))? {
            if bytes.len() + part.len() > MOST_BYTES {
                return Err(StateError::TooLarge.into());
            }
            bytes.extend_from_slice(&part);
        }
        let managed = parse(key, &bytes)?;
        let version = object.version_id.as_deref().unwrap_or("-");
        let written = instant(object.last_modified).map_or_else(|| "?".to_owned(), |at| at.to_string());
        let which = format!("serial {}, S3 version {version}, written {written}", managed.serial);
        Ok((managed, which))
    }
}
