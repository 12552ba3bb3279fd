//! The S3 calls. The only file that names SDK operations.

use std::collections::BTreeMap;

use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{MetadataDirective, ServerSideEncryption, TaggingDirective};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use shared::aws::buckets;
use shared::runtime::failure::{CallError, chain};
use shared::runtime::hex::hex;
use shared::runtime::lambda::unhurried;

use crate::rules::judge::MOST_READ;
use crate::rules::row::{Digest, Found, Read, Version};

type S3 = aws_sdk_s3::Client;

/// Characters of a key that a copy's source must encode.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Attempts to read an object whose body breaks off.
const ATTEMPTS: u8 = 3;

/// A bucket.
pub(crate) struct Bucket {
    client: S3,
    pub name: String,
}

/// A place of a list of versions: the next key and version.
type Place = (Option<String>, Option<String>);

impl Bucket {
    pub(crate) fn new(client: S3, name: String) -> Self {
        Self { client, name }
    }

    /// The keys of the bucket, at most `pages` of 1,000, and whether these are all.
    pub(crate) async fn keys(&self, pages: u16) -> Result<(Vec<String>, bool), CallError> {
        let (mut keys, mut next) = (Vec::new(), None);
        for _ in 0..pages {
            let listed = self.client.list_objects_v2().bucket(&self.name).set_continuation_token(next);
            let listed = listed.send().await.map_err(CallError::during("s3:ListBucket"))?;
            keys.extend(listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
            next = listed.next_continuation_token;
            if next.is_none() {
                return Ok((keys, true));
            }
        }
        Ok((keys, false))
    }

    /// The versions and delete markers of the keys with a prefix, at most `pages` of 1,000, and whether these are all.
    pub(crate) async fn versions(
        &self,
        prefix: &str,
        pages: u16,
    ) -> Result<(BTreeMap<String, Vec<Version>>, bool), CallError> {
        let mut found: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        let (mut key, mut version): Place = (None, None);
        for _ in 0..pages {
            let listed = self.client.list_object_versions().bucket(&self.name).prefix(prefix);
            let listed = listed.set_key_marker(key).set_version_id_marker(version);
            let listed = listed.send().await.map_err(CallError::during("s3:ListBucketVersions"))?;
            for one in listed.versions.unwrap_or_default() {
                let (Some(key), Some(id)) = (one.key, one.version_id) else { continue };
                found.entry(key).or_default().push(Version {
                    id,
                    is_latest: one.is_latest.unwrap_or_default(),
                    is_marker: false,
                    bytes: one.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                    written: one.last_modified.map_or(0, |at| at.secs()),
                });
            }
            for one in listed.delete_markers.unwrap_or_default() {
                let (Some(key), Some(id)) = (one.key, one.version_id) else { continue };
                found.entry(key).or_default().push(Version {
                    id,
                    is_latest: one.is_latest.unwrap_or_default(),
                    is_marker: true,
                    bytes: 0,
                    written: one.last_modified.map_or(0, |at| at.secs()),
                });
            }
            (key, version) = (listed.next_key_marker, listed.next_version_id_marker);
            if key.is_none() {
                return Ok((found, true));
            }
        }
        Ok((found, false))
    }

    /// Reads an object, or one version of it, to its end. Only a digest stays in memory.
    pub(crate) async fn read(&self, key: &str, version: Option<&str>) -> Found {
        let mut found = self.read_anywhere(key, version).await;
        for _ in 1..ATTEMPTS {
            let Read::BrokenOff(why) = &found.read else { break };
            tracing::warn!(message = why);
            found = self.read_anywhere(key, version).await;
        }
        found
    }

    async fn read_anywhere(&self, key: &str, version: Option<&str>) -> Found {
        match self.read_once(&self.client, key, version).await {
            Ok(read) => read,
            Err(Broken::Elsewhere(client)) => match self.read_once(&client, key, version).await {
                Ok(read) => read,
                Err(Broken::Elsewhere(_)) => {
                    Read::Failed("S3 does not say the bucket's region".to_owned()).into()
                }
                Err(Broken::Call(call)) => Read::Failed(chain(&call)).into(),
            },
            Err(Broken::Call(call)) => Read::Failed(chain(&call)).into(),
        }
    }

    async fn read_once(&self, client: &S3, key: &str, version: Option<&str>) -> Result<Found, Broken> {
        let asked = client.get_object().bucket(&self.name).key(key);
        let answer = match version {
            None => asked.send().await,
            Some(version) => asked.version_id(version).send().await,
        };
        let error = match answer {
            Ok(object) => {
                let (kms_key, version) = (object.ssekms_key_id, object.version_id);
                let bytes = object.content_length.and_then(|bytes| u64::try_from(bytes).ok());
                let read = match bytes.filter(|bytes| *bytes > MOST_READ) {
                    Some(bytes) => Read::TooLarge(bytes),
                    None => digest(object.body).await.map_or_else(Read::BrokenOff, Read::Whole),
                };
                return Ok(Found { read, kms_key, version });
            }
            Err(error) => error,
        };
        match error.code() {
            // The last is S3's answer about the version of a delete marker.
            Some("NoSuchKey" | "NoSuchVersion" | "MethodNotAllowed") => return Ok(Read::Absent.into()),
            Some("NoSuchBucket") => return Ok(Read::NoBucket.into()),
            Some("InvalidObjectState") => {
                let state = error.as_service_error();
                let is_tier = matches!(state, Some(GetObjectError::InvalidObjectState(state)) if state.access_tier.is_some());
                return Ok(Read::Archived { is_tier }.into());
            }
            // KMS's refusals in S3's form. Source: S3's API reference, troubleshooting of KMS errors.
            Some(
                code @ ("KMS.DisabledException" | "KMS.KMSInvalidStateException" | "KMS.NotFoundException"),
            ) => return Ok(Read::Locked(code.to_owned()).into()),
            _ => {}
        }
        if let Some(elsewhere) = buckets::moved(client, &error) {
            return Err(Broken::Elsewhere(elsewhere));
        }
        Err(Broken::Call(match version {
            None => CallError::during("s3:GetObject")(error),
            Some(_) => CallError::during("s3:GetObjectVersion")(error),
        }))
    }

    /// Copies a version of an object to another key of the bucket, encrypted with KMS as the bucket's policy demands;
    /// returns the copy's version. Without a key, S3 takes its own and not the bucket's.
    pub(crate) async fn copy(
        &self,
        key: &str,
        version: &str,
        to: &str,
        kms_key: Option<&str>,
    ) -> Result<String, CallError> {
        let source = format!(
            "{}/{}?versionId={}",
            self.name,
            utf8_percent_encode(key, ENCODED),
            utf8_percent_encode(version, ENCODED)
        );
        // Without the tags, whose copy would need two more permissions.
        let copied = self.client.copy_object().bucket(&self.name).key(to).copy_source(source);
        let copied = copied
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .set_ssekms_key_id(kms_key.map(str::to_owned));
        let copied =
            copied.metadata_directive(MetadataDirective::Copy).tagging_directive(TaggingDirective::Replace);
        let patience = Builder::new().timeout_config(unhurried());
        let copied = copied.customize().config_override(patience).send().await;
        let copied = copied.map_err(CallError::during("s3:PutObject"))?;
        // A bucket without versions has this one.
        Ok(copied.version_id.unwrap_or_else(|| "null".to_owned()))
    }

    /// Deletes a version, or a delete marker, for good.
    pub(crate) async fn delete(&self, key: &str, version: &str) -> Result<(), CallError> {
        let deleted = self.client.delete_object().bucket(&self.name).key(key).version_id(version);
        deleted.send().await.map_err(CallError::during("s3:DeleteObjectVersion"))?;
        Ok(())
    }
}

/// Why an object was not read.
enum Broken {
    /// The bucket is in another region.
    Elsewhere(S3),
    Call(CallError),
}

async fn digest(mut body: ByteStream) -> Result<Digest, String> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    while let Some(part) = body.next().await {
        let part = part.map_err(|error| format!("s3:GetObject: the body broke off: {}", chain(&error)))?;
        bytes += u64::try_from(part.len()).unwrap_or_default();
        hash.update(&part);
    }
    Ok(Digest { bytes, sha256: hex(&hash.finalize()) })
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use shared::testing::replies;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn config() -> aws_sdk_s3::config::Builder {
        aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
    }

    fn bucket(wire: &StaticReplayClient) -> Bucket {
        let client = S3::from_conf(config().http_client(wire.clone()).build());
        Bucket::new(client, "moveongs-prod-attachments".to_owned())
    }

    /// Largest resident memory of this process so far, in bytes.
    fn peak() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    #[tokio::test]
    async fn the_memory_does_not_grow_with_the_object() {
        const PART: usize = 1024 * 1024;
        const PARTS: usize = 200;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 8192]).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", PART * PARTS);
            stream.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..PARTS {
                stream.write_all(&[b'x'; PART]).await.unwrap();
            }
        });
        let client = S3::from_conf(config().endpoint_url(address).force_path_style(true).build());
        let before = peak();
        let read = Bucket::new(client, "b".to_owned()).read("k", None).await.read;
        let Read::Whole(digest) = read else { panic!("{read:?}") };
        server.await.unwrap();
        assert_eq!(digest.bytes, u64::try_from(PART * PARTS).unwrap());
        // The other tests of this process take a part of it.
        assert!(peak() - before < 64 * 1024 * 1024, "{} bytes more", peak() - before);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_an_error() {
        for (code, expected) in [
            ("NoSuchKey", Read::Absent),
            ("NoSuchVersion", Read::Absent),
            ("MethodNotAllowed", Read::Absent),
            ("NoSuchBucket", Read::NoBucket),
            ("InvalidObjectState", Read::Archived { is_tier: false }),
            ("KMS.DisabledException", Read::Locked("KMS.DisabledException".to_owned())),
            ("KMS.NotFoundException", Read::Locked("KMS.NotFoundException".to_owned())),
        ] {
            assert_eq!(
                bucket(&replies(&[&refusal_xml(code)])).read("k", None).await.read,
                expected,
                "{code}"
            );
        }
        let tiered = "<Error><Code>InvalidObjectState</Code><Message>m</Message>\
            <StorageClass>INTELLIGENT_TIERING</StorageClass><AccessTier>ARCHIVE_ACCESS</AccessTier></Error>";
        let answer = http::Response::builder().status(403).body(tiered.into()).unwrap();
        let wire = StaticReplayClient::new(vec![ReplayEvent::new(http::Request::new("".into()), answer)]);
        assert_eq!(bucket(&wire).read("k", None).await.read, Read::Archived { is_tier: true });
        let read = bucket(&replies(&[&refusal_xml("AccessDenied")])).read("k", Some("v")).await.read;
        assert!(
            matches!(&read, Read::Failed(why) if why.contains("s3:GetObjectVersion failed (AccessDenied)")),
            "{read:?}"
        );
    }

    /// An answer whose body does not have the checksum that S3 sends with it.
    fn corrupt() -> ReplayEvent {
        let answer = http::Response::builder().status(200).header("x-amz-checksum-crc32", "AAAAAA==");
        ReplayEvent::new(http::Request::new("".into()), answer.body("content".into()).unwrap())
    }

    #[tokio::test]
    async fn an_object_that_never_has_its_checksum_is_broken_off_and_once_is_none() {
        let wire = StaticReplayClient::new(vec![corrupt(), corrupt(), corrupt()]);
        let read = bucket(&wire).read("k", None).await.read;
        assert!(matches!(&read, Read::BrokenOff(why) if why.contains("broke off")), "{read:?}");
        assert_eq!(wire.actual_requests().count(), 3);
        let sound = http::Response::builder().status(200).header("x-amz-version-id", "v1");
        let sound = ReplayEvent::new(http::Request::new("".into()), sound.body("content".into()).unwrap());
        let found = bucket(&StaticReplayClient::new(vec![corrupt(), sound])).read("k", None).await;
        assert!(matches!(found.read, Read::Whole(_)), "{found:?}");
        assert_eq!(found.version.as_deref(), Some("v1"));
    }

    #[tokio::test]
    async fn a_huge_object_is_not_read() {
        let answer = http::Response::builder().status(200).header("content-length", "2000000000");
        let answer = ReplayEvent::new(http::Request::new("".into()), answer.body("x".into()).unwrap());
        let read = bucket(&StaticReplayClient::new(vec![answer])).read("k", None).await.read;
        assert_eq!(read, Read::TooLarge(2_000_000_000));
    }

    fn refusal_xml(code: &str) -> String {
        format!("<Error __type='x'><Code>{code}</Code><Message>m</Message></Error>")
    }

    #[tokio::test]
    async fn a_copy_names_the_version_and_asks_for_kms() {
        let answer = http::Response::builder().status(200).header("x-amz-version-id", "copy-1");
        let answer = answer.body("<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>".into()).unwrap();
        let wire = StaticReplayClient::new(vec![ReplayEvent::new(http::Request::new("".into()), answer)]);
        let copied = bucket(&wire).copy("a b/ç.pdf", "v+1", "restore-test/r/1", Some("arn:k")).await;
        assert_eq!(copied.unwrap(), "copy-1");
        let sent = wire.actual_requests().next().unwrap();
        let header = |name: &str| sent.headers().get(name);
        assert_eq!(
            header("x-amz-copy-source"),
            Some("moveongs-prod-attachments/a%20b/%C3%A7.pdf?versionId=v%2B1")
        );
        assert_eq!(header("x-amz-server-side-encryption"), Some("aws:kms"));
        assert_eq!(header("x-amz-server-side-encryption-aws-kms-key-id"), Some("arn:k"));
        assert_eq!(header("x-amz-tagging-directive"), Some("REPLACE"));
        assert!(sent.uri().contains("restore-test/r/1"));
    }

    #[tokio::test]
    async fn versions_and_markers_are_listed_page_by_page() {
        let first = "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>\
            <Version><Key>k</Key><VersionId>v</VersionId><IsLatest>false</IsLatest><Size>7</Size><LastModified>2026-03-01T12:00:00Z</LastModified></Version></ListVersionsResult>";
        let second = "<ListVersionsResult><IsTruncated>false</IsTruncated>\
            <DeleteMarker><Key>k</Key><VersionId>m</VersionId><IsLatest>true</IsLatest><LastModified>2026-03-01T13:00:00Z</LastModified></DeleteMarker></ListVersionsResult>";
        let wire = replies(&[first, second]);
        let (found, is_complete) = bucket(&wire).versions("k", 5).await.unwrap();
        assert!(is_complete);
        let found: Vec<_> =
            found["k"].iter().map(|one| (one.id.as_str(), one.is_marker, one.is_latest, one.bytes)).collect();
        assert_eq!(found, [("v", false, false, 7), ("m", true, true, 0)]);
        assert_eq!(wire.actual_requests().count(), 2);
        // No more pages than allowed.
        let wire = replies(&[first, second]);
        let (found, is_complete) = bucket(&wire).versions("k", 1).await.unwrap();
        assert_eq!((found["k"].len(), is_complete), (1, false));
    }
}
