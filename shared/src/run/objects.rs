//! Whole folders of a bucket: every version, and the objects' bytes, for the verification of chains.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use chain::{Entry, MOST_BYTES, Version};
use futures_util::{Stream, StreamExt, stream};

use crate::runtime::failure::{CallError, chain};
use crate::runtime::time;

/// Objects that are read at the same time.
const AT_ONCE: usize = 16;

/// An object's bytes, or why there are none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Bytes {
    /// All of them.
    Read(Vec<u8>),
    /// More than [`MOST_BYTES`]: this number, or more.
    Large(u64),
    /// The read failed, for this reason.
    Unread(String),
}

/// Every version and delete marker of the keys with a prefix.
///
/// # Errors
///
/// The [`CallError`] of S3. A part of a list is not returned, because it would look like a shorter chain.
pub async fn versions(client: &Client, bucket: &str, prefix: &str) -> Result<Vec<Version>, CallError> {
    const LIST: &str = "s3:ListBucketVersions";
    let (mut found, mut next) = (Vec::new(), (None, None));
    loop {
        let asked = client.list_object_versions().bucket(bucket).prefix(prefix);
        let asked = asked.set_key_marker(next.0.clone()).set_version_id_marker(next.1.clone());
        let listed = asked.send().await.map_err(CallError::during("s3:ListBucketVersions"))?;
        if listed.name.is_none() {
            return Err(CallError::empty(LIST));
        }
        for one in listed.versions.unwrap_or_default() {
            let (Some(key), Some(id)) = (one.key, one.version_id) else { return Err(CallError::empty(LIST)) };
            found.push(Version {
                key,
                id,
                etag: one.e_tag.unwrap_or_default(),
                size: one.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                is_latest: one.is_latest.unwrap_or_default(),
                is_marker: false,
                modified: time::instant(one.last_modified),
            });
        }
        for one in listed.delete_markers.unwrap_or_default() {
            let (Some(key), Some(id)) = (one.key, one.version_id) else { return Err(CallError::empty(LIST)) };
            let is_latest = one.is_latest.unwrap_or_default();
            let modified = time::instant(one.last_modified);
            found.push(Version { key, id, is_latest, is_marker: true, modified, ..Version::default() });
        }
        if listed.is_truncated != Some(true) {
            return Ok(found);
        }
        let after = (listed.next_key_marker, listed.next_version_id_marker);
        if after.0.is_none() || after == next {
            return Err(CallError::empty(LIST));
        }
        next = after;
    }
}

/// The bytes of objects as listed, in the list's order, several read at the same time.
pub fn all<'a>(
    client: &'a Client,
    bucket: &'a str,
    listed: &'a [Entry],
) -> impl Stream<Item = (&'a Entry, Bytes)> + Unpin {
    let reads =
        listed.iter().map(move |entry| async move { (entry, bytes(client, bucket, &entry.version).await) });
    stream::iter(reads).buffered(AT_ONCE)
}

/// The bytes of an object as listed. An object that has changed since is not read.
pub async fn bytes(client: &Client, bucket: &str, listed: &Version) -> Bytes {
    if listed.size > MOST_BYTES {
        return Bytes::Large(listed.size);
    }
    let asked = client.get_object().bucket(bucket).key(&listed.key).if_match(&listed.etag).send().await;
    let object = match asked.map_err(CallError::during("s3:GetObject")) {
        Ok(object) => object,
        Err(error) => return Bytes::Unread(chain(&error)),
    };
    whole(object.body).await
}

/// A body, as far as it is read.
pub(super) async fn whole(mut body: ByteStream) -> Bytes {
    let mut bytes = Vec::new();
    loop {
        match body.try_next().await {
            Ok(Some(part)) => bytes.extend_from_slice(&part),
            Ok(None) => return Bytes::Read(bytes),
            Err(error) => return Bytes::Unread(chain(&error)),
        }
        match u64::try_from(bytes.len()) {
            Ok(length) if length <= MOST_BYTES => {}
            length => return Bytes::Large(length.unwrap_or(u64::MAX)),
        }
    }
}
