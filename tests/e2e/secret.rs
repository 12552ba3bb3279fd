//! One secret of a test, and its rotation as Secrets Manager runs it.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::types::Tag;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cloud::{Cloud, EVIDENCE, eventually};

/// A secret, with rotation configured and nothing rotated yet.
pub(crate) struct Secret<'a> {
    pub(crate) cloud: &'a Cloud,
    pub(crate) arn: String,
    /// Version that was current at the start.
    pub(crate) first: String,
    /// Field of the JSON document that holds the value.
    pub(crate) field: Option<&'static str>,
}

impl<'a> Secret<'a> {
    /// A secret whose tags ask for 48 random bytes in base64.
    pub(crate) async fn plain(cloud: &'a Cloud, name: &str) -> Self {
        Self::new(
            cloud,
            name,
            "dev-secret-change-me",
            &[("rotation:bytes", "48"), ("rotation:encoding", "base64")],
        )
        .await
    }

    /// A JSON document whose tags ask for 48 random bytes in base64 in one field.
    pub(crate) async fn field(cloud: &'a Cloud, name: &str) -> Self {
        let document =
            "{ \"url\": \"https://example.org\",\t\"key\" : \"dev-secret-change-me\",\"n\":1e2 }\n";
        let tags = [("rotation:bytes", "48"), ("rotation:encoding", "base64"), ("rotation:field", "key")];
        Self { field: Some("key"), ..Self::new(cloud, name, document, &tags).await }
    }

    /// A secret with a value and tags; rotation is switched on and has not run.
    pub(crate) async fn new(cloud: &'a Cloud, name: &str, value: &str, tags: &[(&str, &str)]) -> Self {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
        let made = cloud
            .secrets
            .create_secret()
            .name(format!("{}{name}", cloud.prefix()))
            .secret_string(value)
            .set_tags(Some(tags));
        let made = made.send().await.unwrap();
        let secret = Self { cloud, arn: made.arn.unwrap(), first: made.version_id.unwrap(), field: None };
        secret.rotate_request(false).await;
        secret.settled(&["tested", "test-failed"]).await;
        secret
    }

    /// One of the stack's secrets.
    pub(crate) async fn of_the_stack(cloud: &'a Cloud, name: &str) -> Self {
        let found = cloud.secrets.describe_secret().secret_id(name).send().await.unwrap();
        let mut secret = Self { cloud, arn: found.arn.unwrap(), first: String::new(), field: None };
        secret.first = secret.labelled("AWSCURRENT").await.unwrap();
        secret
    }

    /// Tests the set-up without rotating; returns the rotation at its end.
    pub(crate) async fn test(&self) -> Value {
        self.rotate_request(false).await;
        self.settled(&["tested", "test-failed"]).await
    }

    async fn rotate_request(&self, immediately: bool) -> String {
        let function = format!("arn:aws:lambda:us-east-1:000000000000:function:{}", self.cloud.function());
        let rules =
            aws_sdk_secretsmanager::types::RotationRulesType::builder().automatically_after_days(90).build();
        let request = self.cloud.secrets.rotate_secret().secret_id(&self.arn).rotate_immediately(immediately);
        let answer = request.rotation_lambda_arn(function).rotation_rules(rules).send().await.unwrap();
        answer.version_id.unwrap_or_default()
    }

    /// Starts a rotation and returns its token.
    pub(crate) async fn start(&self) -> String {
        self.rotate_request(true).await
    }

    /// Confirms as a person that the current version is in use, so that the next rotation waits for no follow-up.
    pub(crate) async fn vouch(&self) {
        let current = self.labelled("AWSCURRENT").await.unwrap_or_default();
        let tag = Tag::builder().key("rotation:in-use").value(current).build();
        self.cloud.secrets.tag_resource().secret_id(&self.arn).tags(tag).send().await.unwrap();
    }

    /// The latest rotation, once it is in one of `states`.
    pub(crate) async fn settled(&self, states: &[&str]) -> Value {
        eventually(&format!("rotation of {} in {states:?}", self.arn), async || {
            let rotation =
                self.cloud.admin(Method::GET, &format!("rotations?secret={}", self.arn), None).await;
            states.contains(&rotation["state"].as_str().unwrap()).then_some(rotation)
        })
        .await
    }

    /// Rotates once and expects it to succeed at the first attempt; returns the token.
    pub(crate) async fn rotate(&self) -> String {
        let token = self.start().await;
        let rotation = self.settled(&["succeeded", "waiting", "failed", "abandoned"]).await;
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
        token
    }

    /// Lets the service retry a waiting rotation.
    pub(crate) async fn retry(&self) {
        self.cloud.admin(Method::POST, "rotations/retry", Some(json!({"secret": self.arn}))).await;
    }

    /// Starts a rotation that stops before its first step has read anything: the version is staged and empty.
    pub(crate) async fn staged(&self) -> String {
        let refusal = json!({"service": "secretsmanager", "action": "DescribeSecret", "effect": "error", "status": 400, "code": "InvalidRequestException", "count": 0});
        self.cloud.fault(refusal).await;
        let token = self.start().await;
        self.settled(&["waiting"]).await;
        self.cloud.calm().await;
        token
    }

    /// Calls one step of a rotation as the service does.
    pub(crate) async fn step(&self, step: &str, token: &str) -> Result<Value, Value> {
        self.cloud.invoke(json!({"Step": step, "SecretId": self.arn, "ClientRequestToken": token})).await
    }

    /// Fills the pending version and writes its seal, as createSecret does for its own value.
    pub(crate) async fn put_sealed(&self, token: &str, value: &str) {
        let sha256 = |text: String| -> String {
            Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let note = sha256(format!("{token}/made/{}", self.arn));
        let seals = json!({"seals": [sha256(format!("{token}\0{value}"))]}).to_string();
        let key = format!("runs/{}/{note}.json", self.cloud.procedure);
        let put = self.cloud.s3.put_object().bucket(EVIDENCE).key(key).body(seals.into_bytes().into());
        put.send().await.unwrap();
        let put = self.cloud.secrets.put_secret_value().secret_id(&self.arn).client_request_token(token);
        put.secret_string(value).version_stages("AWSPENDING").send().await.unwrap();
    }

    /// Versions and their labels.
    pub(crate) async fn labels(&self) -> BTreeMap<String, BTreeSet<String>> {
        let described = self.cloud.secrets.describe_secret().secret_id(&self.arn).send().await.unwrap();
        let versions = described.version_ids_to_stages.unwrap_or_default();
        versions.into_iter().map(|(id, labels)| (id, labels.into_iter().collect())).collect()
    }

    /// The version with a label.
    pub(crate) async fn labelled(&self, label: &str) -> Option<String> {
        self.labels().await.into_iter().find(|(_, labels)| labels.contains(label)).map(|(id, _)| id)
    }

    /// The value of a version.
    pub(crate) async fn value(&self, version: &str) -> String {
        let found =
            self.cloud.secrets.get_secret_value().secret_id(&self.arn).version_id(version).send().await;
        found.unwrap().secret_string.unwrap()
    }

    /// Checks the end state of a finished rotation: labels, a new value of 48 bytes, one record.
    #[track_caller]
    pub(crate) fn finished(&self, token: &str, from: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let labels =
                |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
            let expected = BTreeMap::from([
                (token.to_owned(), labels(&["AWSCURRENT"])),
                (from.to_owned(), labels(&["AWSPREVIOUS"])),
            ]);
            assert_eq!(self.labels().await, expected, "{place}");
            let stored = self.value(token).await;
            let value = match self.field {
                Some(field) => {
                    let document: Value = serde_json::from_str(&stored).unwrap();
                    let value = document[field].as_str().unwrap().to_owned();
                    assert_eq!(
                        stored,
                        self.value(from).await.replace("dev-secret-change-me", &value),
                        "{place}"
                    );
                    value
                }
                None => stored.clone(),
            };
            assert_eq!(decoded_length(&value), Some(48), "{place}");
            assert_ne!(stored, self.value(from).await, "{place}");
            let record = self.cloud.record_of(token).await.unwrap_or_else(|| panic!("{place}: no record"));
            assert_eq!(record["result"], "succeeded", "{place}");
            assert_eq!(record["subject"], self.arn, "{place}");
        }
    }
}

/// Number of bytes encoded in a base64 text.
fn decoded_length(text: &str) -> Option<usize> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok().map(|bytes| bytes.len())
}
