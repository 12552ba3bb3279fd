//! A bucket in memory, as the evidence needs it: without versions before the newest and without tags.
#![expect(clippy::unwrap_used, clippy::panic, reason = "for tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_smithy_types::body::SdkBody;

/// The bucket; clones share their objects.
#[derive(Clone, Default)]
pub struct Bucket(Arc<Mutex<BTreeMap<String, String>>>);

impl Bucket {
    /// The objects, by key.
    pub fn objects(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap().clone()
    }

    /// Answers a list, a list of versions, a read or a write of S3, with its status and body.
    pub fn answer(&self, request: &http::Request<SdkBody>) -> (u16, String) {
        let (uri, mut objects) = (request.uri(), self.0.lock().unwrap());
        let query = uri.query().unwrap_or_default();
        let key = uri.path().trim_start_matches('/').to_owned();
        let field = |name: &str| query.split('&').find_map(|field| field.strip_prefix(name));
        if let Some(prefix) = field("prefix=") {
            let prefix = prefix.replace("%2F", "/");
            let most = field("max-keys=").map_or(1000, |most| most.parse().unwrap());
            let found = objects.iter().filter(|(key, _)| key.starts_with(&prefix)).take(most);
            let (list, one) = if query.contains("versions") {
                ("ListVersionsResult", "Version")
            } else {
                ("ListBucketResult", "Contents")
            };
            let entry = |(key, text): (&String, &String)| {
                let size = text.len();
                format!(
                    "<{one}><Key>{key}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><ETag>e</ETag><Size>{size}</Size></{one}>"
                )
            };
            let found: String = found.map(entry).collect();
            return (200, format!("<{list}><Name>bucket</Name>{found}</{list}>"));
        }
        match request.method().as_str() {
            "GET" => match objects.get(&key) {
                Some(text) => (200, text.clone()),
                None => (404, "<Error><Code>NoSuchKey</Code></Error>".to_owned()),
            },
            "PUT" if request.headers().contains_key("if-none-match") && objects.contains_key(&key) => {
                (412, "<Error><Code>PreconditionFailed</Code></Error>".to_owned())
            }
            "PUT" => {
                let body = String::from_utf8_lossy(request.body().bytes().unwrap()).into_owned();
                objects.insert(key, body);
                (200, String::new())
            }
            other => panic!("{other} {uri}"),
        }
    }
}
