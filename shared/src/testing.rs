//! Support for the functions' wire tests: recorded answers instead of AWS, behind the real SDK with real signing; and a
//! local web API.
#![expect(clippy::unwrap_used, reason = "for tests")]

pub mod bucket;
#[cfg(feature = "table")]
pub mod table;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, HttpClient, SharedCredentialsProvider};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient, infallible_client_fn};
use aws_smithy_types::body::SdkBody;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::runtime::language::Language;
use crate::runtime::settings::Settings;

/// Settings of a function `PROJECT-ENVIRONMENT-PROCEDURE` under the default policy.
pub fn settings(function: &str, language: Language) -> Settings {
    let mut names = function.split('-').map(str::to_owned);
    Settings {
        function: function.to_owned(),
        project: names.next().unwrap_or_default(),
        environment: names.next().unwrap_or_default(),
        code_version: "4f2c1b7".to_owned(),
        language,
        policy: "".parse().unwrap(),
    }
}

/// The variables of a function: the `given` ones, the first of a name; then those of an environment; `x` for any other
/// name. An empty one counts as unset.
pub fn variables(given: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let common = [
        ("PROJECT", "moveongs"),
        ("MESSAGE_LANGUAGE", "pt-BR"),
        // No server listens on this port.
        ("SLACK_API_URL", "http://127.0.0.1:1/api"),
    ];
    let all = given.iter().chain(&common).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let all: Vec<_> = all.collect();
    move |name| {
        Some(all.iter().find(|(known, _)| known == name).map_or("x", |(_, value)| value.as_str()).to_owned())
    }
}

/// The HMAC-SHA256 of a text, in hexadecimal: the signature of a request.
#[cfg(feature = "url")]
pub fn hmac_sha256(key: &str, text: &[u8]) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The words that the AWS CLI gets when a command is pasted into a shell, and its standard input if it is invoked with
/// an event.
pub fn words(command: &str) -> Vec<String> {
    let aws = r#"aws() { printf '%s\0' "$@"; case $1 in lambda) cat ;; esac; }"#;
    let output = std::process::Command::new("sh").args(["-c", &format!("{aws}\n{command}")]).output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    output.split_terminator('\0').map(|word| word.trim_end().to_owned()).collect()
}

/// Checks a state machine's words; for [`check_definition!`](crate::check_definition).
pub fn check_words<S: DeserializeOwned, A: DeserializeOwned>(definition: &str) {
    let words = |mark: &str, end: char| -> Vec<Value> {
        let each = definition.split(mark).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0.into()));
        each.collect()
    };
    let (steps, statuses) = (words("\"step\": \"", '"'), words("status = '", '\''));
    assert!(!steps.is_empty() && !statuses.is_empty());
    for step in steps {
        serde_json::from_value::<S>(step).unwrap();
    }
    for status in statuses {
        serde_json::from_value::<A>(status).unwrap();
    }
}

/// A client that returns the answers in order and records the requests; a body with an error type becomes a 400.
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

/// RDS's refusal of a request, for [`replies`].
pub fn refusal(code: &str) -> String {
    format!(
        "<ErrorResponse __type='x'><Error><Code>{code}</Code><Message>told</Message></Error></ErrorResponse>"
    )
}

/// The bodies of the requests, in order.
pub fn bodies(wire: &StaticReplayClient) -> Vec<String> {
    let body = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    wire.actual_requests().map(|request| body(request.body().bytes().unwrap_or_default())).collect()
}

/// Client configuration that uses `wire`.
pub fn aws(wire: &StaticReplayClient) -> SdkConfig {
    configuration(wire.clone())
}

/// Client configuration with a function that answers the requests.
pub fn answered(
    answer: impl Fn(&http::Request<SdkBody>) -> http::Response<SdkBody> + Send + Sync + 'static,
) -> SdkConfig {
    configuration(infallible_client_fn(move |request| answer(&request)))
}

fn configuration(client: impl HttpClient + 'static) -> SdkConfig {
    let credentials = Credentials::new("key", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(client)
        .build()
}

/// A local JSON web API that runs as long as the process.
pub struct Web {
    url: String,
    asked: Arc<Mutex<Vec<http::Request<Value>>>>,
}

impl Web {
    /// An API that calls a function for each request, one at a time; `None` closes the connection without an answer. A
    /// text is sent as it is.
    pub fn new(
        mut answer: impl FnMut(&http::Request<Value>) -> Option<http::Response<Value>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let web = Self { url, asked: Arc::clone(&asked) };
        std::thread::spawn(move || {
            for connection in listener.incoming().map(Result::unwrap) {
                // A client may open a connection and not use it.
                let Some(request) = received(&connection) else { continue };
                let answer = answer(&request);
                asked.lock().unwrap().push(request);
                if let Some(answer) = answer {
                    send(&connection, &answer);
                }
            }
        });
        web
    }

    /// Base address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All requests so far, in order; an empty body is `null`.
    pub fn asked(&self) -> Vec<http::Request<Value>> {
        self.asked.lock().unwrap().clone()
    }
}

fn received(connection: &TcpStream) -> Option<http::Request<Value>> {
    let mut lines = BufReader::new(connection);
    let mut line = || {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut parts = first.split(' ');
    let mut request = http::Request::builder().method(parts.next()?).uri(parts.next()?);
    let mut length = 0;
    while let Some((name, value)) = line()?.split_once(": ") {
        request = request.header(name, value);
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    Some(request.body(body).unwrap())
}

fn send(mut connection: &TcpStream, answer: &http::Response<Value>) {
    let body = match answer.body() {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    let mut text = format!("HTTP/1.1 {}\r\n", answer.status());
    for (name, value) in answer.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    text += &format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    // The client may have given up.
    let _ = connection.write_all(text.as_bytes());
}
