//! One organization of a Grafana, through its HTTP API.
//!
//! Source: [authentication](https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/authentication/),
//! [service accounts](https://grafana.com/docs/grafana/latest/administration/service-accounts/).

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client, Method};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::runtime::endpoint::Endpoint;
use crate::runtime::failure::chain;
use crate::runtime::web::{self, BodyError};

/// Timeout of one request.
const PATIENCE: Duration = Duration::from_secs(15);

/// Most attempts at a read: a proxy in front of Grafana may be busy.
const TRIES: u32 = 3;

/// First pause between attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Longest answer that is read, in bytes: the list of alert rules has no pages.
const MOST: usize = 16 * 1024 * 1024;

/// Most weight of an answer that is parsed, in bytes.
const HEAVIEST: usize = 256 * 1024 * 1024;

/// Most characters of a message of Grafana in an error.
const SHOWN: usize = 200;

/// What stands for a message of Grafana that may quote a secret, as in Grafana's own answers.
const REDACTED: &str = "[REDACTED]";

/// Unreserved URL characters. Source: RFC 3986, 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a call of Grafana failed. No message contains the token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GrafanaError {
    /// The secret does not contain a token.
    #[error("the secret named by GrafanaSecretName must contain only a token of a Grafana service account")]
    NotAToken,
    /// Grafana did not answer in time.
    #[error("Grafana did not answer {what}: {reason}")]
    Unreachable {
        /// Method and path.
        what: String,
        /// The reason.
        reason: String,
    },
    /// Grafana refused the call.
    #[error("Grafana answered {status} to {what} ({message}); {hint}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Method and path.
        what: String,
        /// Grafana's message.
        message: String,
        /// The operator's next step.
        hint: &'static str,
    },
    /// Grafana's answer does not have the documented form.
    #[error("cannot interpret Grafana's answer to {what}: {reason}")]
    Unreadable {
        /// Method and path.
        what: String,
        /// The reason.
        reason: String,
    },
}

impl GrafanaError {
    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A Grafana.
pub struct Grafana {
    http: Client,
    address: Endpoint,
}

/// A Grafana and the token of a service account, for one run.
pub struct Session<'a> {
    grafana: &'a Grafana,
    headers: HeaderMap,
}

impl Grafana {
    /// The Grafana at an address.
    ///
    /// # Errors
    ///
    /// The reason why the HTTP client could not be built.
    pub fn new(address: Endpoint) -> Result<Self, String> {
        Ok(Self { http: web::client(PATIENCE)?, address })
    }

    /// Its address.
    pub fn address(&self) -> &Endpoint {
        &self.address
    }

    /// Opens a session with the secret's value. Makes no call.
    ///
    /// # Errors
    ///
    /// [`GrafanaError::NotAToken`].
    pub fn session(&self, token: &SecretString) -> Result<Session<'_>, GrafanaError> {
        let token = token.expose_secret().trim();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.=+/".contains(&byte);
        if token.is_empty() || !token.bytes().all(is_token) {
            return Err(GrafanaError::NotAToken);
        }
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut bearer = bearer.map_err(|_| GrafanaError::NotAToken)?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, bearer),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static("moveongs-governance")),
            // People may change in Grafana what the provisioning API writes.
            (HeaderName::from_static("x-disable-provenance"), HeaderValue::from_static("true")),
        ]);
        Ok(Session { grafana: self, headers })
    }
}

impl Session<'_> {
    /// Reads a resource; `path` begins with a slash, and its foreign parts are [`segment`]s. Repeats a call that was not
    /// answered, or that a busy proxy refused.
    ///
    /// # Errors
    ///
    /// [`GrafanaError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, GrafanaError> {
        self.get_as(path, path).await
    }

    async fn get_as<T: DeserializeOwned>(&self, path: &str, shown: &str) -> Result<T, GrafanaError> {
        let mut tried = 1;
        loop {
            match self.send(Method::GET, path, shown, None).await {
                Err(error) if tried < TRIES && is_passing(&error) => {
                    tracing::warn!(message = format!("asking Grafana again: {}", chain(&error)));
                    tokio::time::sleep(PAUSE * tried).await;
                }
                answered => return read(shown, &answered?),
            }
            tried += 1;
        }
    }

    /// The same; none if Grafana answers 404.
    ///
    /// # Errors
    ///
    /// [`GrafanaError`].
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GrafanaError> {
        self.find_as(path, path).await
    }

    /// The same, of a path that may have a secret: errors and the log have `shown` in its place. If the two differ, they do not
    /// have Grafana's message either, which may quote it.
    ///
    /// # Errors
    ///
    /// [`GrafanaError`].
    pub async fn find_as<T: DeserializeOwned>(
        &self,
        path: &str,
        shown: &str,
    ) -> Result<Option<T>, GrafanaError> {
        match self.get_as(path, shown).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends one request that changes something, once.
    ///
    /// # Errors
    ///
    /// [`GrafanaError`]; without an answer, it may have taken effect.
    pub async fn change(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(), GrafanaError> {
        self.send(method, path, path, body).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        shown: &str,
        body: Option<&Value>,
    ) -> Result<Vec<u8>, GrafanaError> {
        let what = format!("{method} {shown}");
        let unreachable = |error: reqwest::Error| GrafanaError::Unreachable {
            what: what.clone(),
            reason: chain(&error.without_url()),
        };
        let request = self.grafana.http.request(method, format!("{}{path}", self.grafana.address));
        let mut request = request.headers(self.headers.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        let request = request.build().map_err(unreachable)?;
        // A `..` in a foreign name would lead to another call, which the token may well make.
        if !request.url().as_str().ends_with(path) {
            return Err(GrafanaError::Unreadable { what, reason: "a name in it leads elsewhere".to_owned() });
        }
        let answer = self.grafana.http.execute(request).await.map_err(unreachable)?;
        let status = answer.status();
        let (body, is_whole) = web::beginning(answer, MOST).await.map_err(|error: BodyError| {
            GrafanaError::Unreachable { what: what.clone(), reason: error.to_string() }
        })?;
        if !status.is_success() {
            let status = status.as_u16();
            let message = if shown == path { message(&body) } else { REDACTED.to_owned() };
            return Err(GrafanaError::Refused { status, what, message, hint: hint(status) });
        }
        if !is_whole {
            return Err(GrafanaError::Unreadable { what, reason: format!("it is longer than {MOST} bytes") });
        }
        Ok(body)
    }
}

/// One segment of a path, encoded.
pub fn segment(foreign: &str) -> String {
    utf8_percent_encode(foreign, SEGMENT).to_string()
}

/// Whether a read may succeed soon.
fn is_passing(error: &GrafanaError) -> bool {
    matches!(error, GrafanaError::Unreachable { .. }) || matches!(error.status(), Some(429 | 502 | 503 | 504))
}

/// The memory that JSON takes when it is parsed, in bytes, at most: a [`Value`] may take a hundred times the length of its text.
pub fn weight(json: &[u8]) -> usize {
    let allocated = |byte: &u8| match byte {
        // A node of a map, with room for eleven fields.
        b'{' => 640,
        // One more value; in a map, with its name.
        b',' | b'[' => 128,
        _ => 0,
    };
    json.len() + json.iter().map(allocated).sum::<usize>()
}

fn read<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, GrafanaError> {
    if weight(body) > HEAVIEST {
        let reason = format!("parsed, it would take more than {} MiB", HEAVIEST / (1024 * 1024));
        return Err(GrafanaError::Unreadable { what: format!("GET {path}"), reason });
    }
    serde_json::from_slice(body).map_err(|error| GrafanaError::Unreadable {
        what: format!("GET {path}"),
        // Serde's own message may quote a value.
        reason: format!("unknown form at line {}, column {}", error.line(), error.column()),
    })
}

/// Grafana's message for a refusal, on one line.
fn message(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = answer.get("message").and_then(Value::as_str).unwrap_or("no message");
    let line = message.chars().map(|character| if character.is_control() { ' ' } else { character });
    line.take(SHOWN).collect()
}

/// The operator's next step after a refusal with this status.
fn hint(status: u16) -> &'static str {
    match status {
        401 => "the token is wrong or has expired: store a new one in the secret named by GrafanaSecretName",
        403 => "the token's service account needs the role Admin in its organization",
        404 => "check GrafanaUrl, and that the object is still there",
        301 | 302 | 307 | 308 => "the address has moved: correct GrafanaUrl",
        _ => "see the message; the next run tries again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_distinguished_from_what_is_none() {
        let grafana = Grafana::new("https://grafana.example".parse().unwrap()).unwrap();
        let opens = |token: &str| grafana.session(&SecretString::from(token)).is_ok();
        // A service account's token, and an API key of earlier versions.
        for good in [
            "glsa_5bgPmBqS1hMv1CmFxl7XxjNVcYBDrgf2_9a0a5c9e\n",
            "eyJrIjoiT0tTcG1pUlY2RnVKZTFVaDFsNFZXdE9ZWmNrMkZYbk==",
        ] {
            assert!(opens(good), "{good}");
        }
        for bad in ["", "{\"token\": \"x\"}", "a\r\nHost: evil.example", "a b"] {
            assert!(!opens(bad), "{bad}");
        }
    }

    #[test]
    fn what_would_take_too_much_memory_is_not_parsed() {
        let of = |each: &str, count: usize| format!("[{}0]", each.repeat(count)).into_bytes();
        for (each, most) in [("{},", HEAVIEST / 771), ("0,", HEAVIEST / 130)] {
            // The brackets and the last number take some bytes, too.
            assert!(
                weight(&of(each, most - 2)) <= HEAVIEST && weight(&of(each, most + 1)) > HEAVIEST,
                "{each}"
            );
        }
        let error = read::<Value>("/api/x", &of("{},", HEAVIEST / 771 + 1)).unwrap_err();
        let expected = "parsed, it would take more than 256 MiB";
        assert!(matches!(&error, GrafanaError::Unreadable { reason, .. } if reason == expected), "{error}");
        assert_eq!(read::<Value>("/api/x", b"[{}]"), Ok(serde_json::json!([{}])));
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_never_sent() {
        let grafana = Grafana::new("http://127.0.0.1:1/grafana".parse().unwrap()).unwrap();
        let session = grafana.session(&SecretString::from("glsa_x")).unwrap();
        let groups = "/api/v1/provisioning/folder/f/rule-groups";
        for path in [
            "/apis/dashboard.grafana.app/../../api/org/invites?x=/namespaces/default/dashboards".to_owned(),
            format!("{groups}/{}", segment("..")),
            format!("{groups}/{}", segment(".")),
            "/api/%2e%2E/org".to_owned(),
            r"/api/x\..\org".to_owned(),
        ] {
            let refused = session.change(Method::POST, &path, None).await.unwrap_err();
            assert!(matches!(refused, GrafanaError::Unreadable { .. }), "{path}: {refused}");
        }
        for path in [format!("{groups}/{}", segment("a/../b: ç")), "/api/search?limit=1&page=2".to_owned()] {
            let sent = session.change(Method::POST, &path, None).await.unwrap_err();
            assert!(matches!(sent, GrafanaError::Unreachable { .. }), "{path}: {sent}");
        }
    }

    #[test]
    fn foreign_text_stays_in_its_segment_and_in_one_line() {
        assert_eq!(segment("a/../b?c#d é"), "a%2F..%2Fb%3Fc%23d%20%C3%A9");
        assert_eq!(message(br#"{"message": "Folder\nnot found", "status": "x"}"#), "Folder not found");
        assert_eq!(message(b"<html>"), "no message");
        assert_eq!(message(format!(r#"{{"message": "{}"}}"#, "x".repeat(999)).as_bytes()).len(), SHOWN);
    }
}
