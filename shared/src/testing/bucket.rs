//! A bucket in memory that keeps every version, without tags. Conditional writes and reads are refused as S3 does.
#![expect(clippy::unwrap_used, clippy::panic, reason = "for tests")]

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use aws_smithy_types::body::SdkBody;

/// The bucket; clones share their objects.
#[derive(Clone, Default)]
pub struct Bucket(Arc<Mutex<BTreeMap<String, Vec<Version>>>>);

/// A version of an object; none for a delete marker.
type Version = Option<String>;

const FAILED: &str = "<Error><Code>PreconditionFailed</Code></Error>";

/// An answer of AWS, with the ETag that S3 gives: of the bytes that were written or read.
pub fn response(request: &http::Request<SdkBody>, status: u16, body: String) -> http::Response<SdkBody> {
    let etag = match request.method() == http::Method::PUT {
        true => etag(request.body().bytes().unwrap_or_default()),
        false => etag(body.as_bytes()),
    };
    http::Response::builder().status(status).header("etag", etag).body(SdkBody::from(body)).unwrap()
}

fn etag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

impl Bucket {
    /// The objects that are not hidden, by key.
    pub fn objects(&self) -> BTreeMap<String, String> {
        let objects = self.0.lock().unwrap();
        objects.iter().filter_map(|(key, versions)| Some((key.clone(), versions.last()?.clone()?))).collect()
    }

    /// Stores an object, as another process does.
    pub fn put(&self, key: &str, text: &str) {
        self.add(key, Some(text.to_owned()));
    }

    /// Hides an object behind a delete marker.
    pub fn hide(&self, key: &str) {
        self.add(key, None);
    }

    /// Exchanges an object's bytes, as nobody can in S3: it has no other version.
    pub fn exchange(&self, key: &str, text: &str) {
        self.0.lock().unwrap().insert(key.to_owned(), vec![Some(text.to_owned())]);
    }

    fn add(&self, key: &str, version: Version) {
        self.0.lock().unwrap().entry(key.to_owned()).or_default().push(version);
    }

    /// Answers a list, a list of versions, a read or a write of S3, with its status and body; [`response`] adds the ETag.
    pub fn answer(&self, request: &http::Request<SdkBody>) -> (u16, String) {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default();
        let key = uri.path().trim_start_matches('/').to_owned();
        let field = |name: &str| query.split('&').find_map(|field| field.strip_prefix(name));
        if let Some(prefix) = field("prefix=") {
            let prefix = prefix.replace("%2F", "/");
            let most = field("max-keys=").map_or(1000, |most| most.parse().unwrap());
            return (
                200,
                if query.contains("versions") {
                    self.versions(&prefix, most)
                } else {
                    self.list(&prefix, most)
                },
            );
        }
        let last = self.objects().remove(&key);
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let is_other = header("if-match")
            .is_some_and(|tag| last.as_ref().is_none_or(|text| tag != etag(text.as_bytes())));
        match request.method().as_str() {
            "GET" | "PUT" if is_other => (412, FAILED.to_owned()),
            "GET" => match last {
                Some(text) => (200, text),
                None => (404, "<Error><Code>NoSuchKey</Code></Error>".to_owned()),
            },
            "PUT" if header("if-none-match").is_some() && last.is_some() => (412, FAILED.to_owned()),
            "PUT" => {
                self.put(&key, &String::from_utf8_lossy(request.body().bytes().unwrap()));
                (200, String::new())
            }
            other => panic!("{other} {uri}"),
        }
    }

    fn list(&self, prefix: &str, most: usize) -> String {
        let entry = |(key, text): (String, String)| {
            let (etag, size) = (etag(text.as_bytes()), text.len());
            format!("<Contents><Key>{key}</Key><ETag>{etag}</ETag><Size>{size}</Size></Contents>")
        };
        let found = self.objects().into_iter().filter(|(key, _)| key.starts_with(prefix)).take(most);
        format!(
            "<ListBucketResult><Name>bucket</Name>{}</ListBucketResult>",
            found.map(entry).collect::<String>()
        )
    }

    fn versions(&self, prefix: &str, most: usize) -> String {
        let objects = self.0.lock().unwrap();
        let found = objects.iter().filter(|(key, _)| key.starts_with(prefix)).flat_map(|(key, versions)| {
            versions.iter().enumerate().rev().map(move |(number, version)| {
                let is_latest = number + 1 == versions.len();
                let one = format!(
                    "<Key>{key}</Key><VersionId>v{number}</VersionId><IsLatest>{is_latest}</IsLatest>"
                );
                match version {
                    Some(text) => {
                        let (etag, size) = (etag(text.as_bytes()), text.len());
                        format!("<Version>{one}<ETag>{etag}</ETag><Size>{size}</Size></Version>")
                    }
                    None => format!("<DeleteMarker>{one}</DeleteMarker>"),
                }
            })
        });
        let found: String = found.take(most).collect();
        format!("<ListVersionsResult><Name>bucket</Name>{found}</ListVersionsResult>")
    }
}
