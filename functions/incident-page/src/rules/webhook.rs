//! Requests of Alertmanager and Grafana: verified before they are parsed.
//!
//! Alertmanager cannot sign; it sends a bearer or basic credential. Grafana can do that too, or sign the body with a key:
//! HMAC-SHA256 over `timestamp:body`, or over the body alone, which then is a JSON object, where no header for the timestamp
//! is set. A repeated request is no attack: its alerts are stored already. Only a signature with an old timestamp is
//! refused.
//!
//! Source: [webhook notifier](https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/),
//! [http_config](https://prometheus.io/docs/alerting/latest/configuration/#http_config).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use incident::signal;
use incident::{Signal, Transport};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shared::runtime::url::{Texts, is_signed};

/// Largest body that is parsed, in bytes. Alertmanager's are some kilobytes; a larger one pages with its first
/// characters.
const MOST_BYTES: usize = 1024 * 1024;

/// How far a signature's timestamp may be from now, in either direction.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// Least characters of a credential. An empty one would let everybody in.
pub(crate) const LEAST: usize = 16;

/// A request that is not served. The text says nothing about the credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It is none of the two paths, or the stack has no webhooks.
    #[error("no such path; use /alertmanager or /grafana")]
    Path,
    /// It is no POST or PUT.
    #[error("use POST")]
    Method,
    /// It has no credential, or a wrong one.
    #[error("the credential or the signature is missing or wrong")]
    Credential,
    /// Its signature is right, but its timestamp is too old or too new.
    #[error("the signature's timestamp is more than 5 minutes away; check the sender's clock")]
    Stale,
}

impl Refusal {
    /// HTTP status.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Path => 404,
            Self::Method => 405,
            Self::Credential | Self::Stale => 401,
        }
    }

    /// Whether it may have been an alert of a sender whose settings are wrong. Whoever finds the address asks for other
    /// paths, too, and must ring no alarm.
    pub(crate) fn may_be_an_alert(self) -> bool {
        matches!(self, Self::Credential | Self::Stale)
    }
}

/// The accepted credentials. Several of a kind, so that a new one can be set before its sender uses it.
#[derive(Default)]
pub(crate) struct Credentials {
    bearer: Vec<SecretString>,
    /// `user:password`.
    basic: Vec<SecretString>,
    hmac: Vec<SecretString>,
}

impl Credentials {
    /// Reads the secret's value; `None` if it does not have the documented form, or has no credential.
    pub(crate) fn read(value: &SecretString) -> Option<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Document {
            bearer: Texts,
            basic: Texts,
            hmac: Texts,
        }
        let document: Document = serde_json::from_str(value.expose_secret()).ok()?;
        let read = Self {
            bearer: document.bearer.secrets(LEAST)?,
            basic: document.basic.secrets(LEAST)?,
            hmac: document.hmac.secrets(LEAST)?,
        };
        let is_empty = read.bearer.is_empty() && read.basic.is_empty() && read.hmac.is_empty();
        (!is_empty).then_some(read)
    }

    /// Whether an `Authorization` header has one of the credentials.
    fn allow(&self, authorization: &str) -> bool {
        let Some((scheme, given)) = authorization.trim().split_once(' ') else { return false };
        let given = given.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return is_one_of(given.as_bytes(), &self.bearer);
        }
        let decoded = STANDARD.decode(given);
        scheme.eq_ignore_ascii_case("basic") && decoded.is_ok_and(|pair| is_one_of(&pair, &self.basic))
    }

    /// Whether a signature over a timestamp, if there is one, and a body was made with one of the keys.
    fn signed(&self, signature: &str, timestamp: Option<&str>, body: &[u8]) -> bool {
        let timestamp = timestamp.map_or_else(Vec::new, |timestamp| format!("{timestamp}:").into_bytes());
        is_signed(&self.hmac, &[&timestamp, body], signature.trim())
    }
}

/// Whether a text is one of the secrets. Compares hashes, and all of them, so that the time says nothing about them.
fn is_one_of(given: &[u8], secrets: &[SecretString]) -> bool {
    let given = Sha256::digest(given);
    let is_same = |secret: &SecretString| {
        let secret = Sha256::digest(secret.expose_secret().as_bytes());
        given.iter().zip(secret.iter()).fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
    };
    secrets.iter().fold(false, |found, secret| found | is_same(secret))
}

/// A request of the function URL.
pub(crate) struct Request {
    /// The URL's own id of the request.
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// `Authorization`.
    pub(crate) authorization: Option<String>,
    /// `X-Grafana-Alerting-Signature`, in hexadecimal.
    pub(crate) signature: Option<String>,
    /// `X-Grafana-Alerting-Timestamp`, in seconds.
    pub(crate) timestamp: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Who sends it, by its path.
    pub(crate) fn transport(&self) -> Result<Transport, Refusal> {
        let transport = match self.path.trim_end_matches('/') {
            "/alertmanager" => Transport::Alertmanager,
            "/grafana" => Transport::Grafana,
            _ => return Err(Refusal::Path),
        };
        if ["POST", "PUT"].contains(&self.method.as_str()) { Ok(transport) } else { Err(Refusal::Method) }
    }

    /// Whether there is anything to verify: reading the secret for nothing costs money.
    pub(crate) fn has_credential(&self) -> bool {
        self.authorization.is_some() || self.signature.is_some()
    }

    /// Checks the signature if there is one, otherwise the credential.
    pub(crate) fn verify(&self, credentials: &Credentials, now: Timestamp) -> Result<(), Refusal> {
        let Some(signature) = &self.signature else {
            let is_allowed = self.authorization.as_deref().is_some_and(|given| credentials.allow(given));
            return if is_allowed { Ok(()) } else { Err(Refusal::Credential) };
        };
        let timestamp = self.timestamp.as_deref().map(str::trim);
        if !credentials.signed(signature, timestamp, &self.body) {
            return Err(Refusal::Credential);
        }
        let Some(timestamp) = timestamp else {
            // The same signature is that of `timestamp:body` without its header, which may be as old as it likes.
            let is_json = self.body.trim_ascii_start().starts_with(b"{");
            return if is_json { Ok(()) } else { Err(Refusal::Credential) };
        };
        let at = timestamp.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        let is_near = at.is_some_and(|at| now.duration_since(at).abs() <= WINDOW);
        if is_near { Ok(()) } else { Err(Refusal::Stale) }
    }

    /// The alerts of a verified request.
    pub(crate) fn signals(&self, transport: Transport) -> Vec<Signal> {
        if self.body.len() <= MOST_BYTES {
            return signal::read(transport, &self.id, &self.body);
        }
        let start = self.body.get(..MOST_BYTES).unwrap_or_default();
        // No JSON any more, so it pages as raw text, even if it says that all is well.
        signal::read(transport, &self.id, start)
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::hmac_sha256 as signature;

    use super::*;

    const BEARER: &str = "bearer-credential-1";
    const PAIR: &str = "alertmanager:a-long-password";
    const KEY: &str = "grafana-signing-key";

    fn credentials(json: &str) -> Option<Credentials> {
        Credentials::read(&SecretString::from(json))
    }

    fn request(path: &str, body: &[u8]) -> Request {
        Request {
            id: "r1".to_owned(),
            method: "POST".to_owned(),
            path: path.to_owned(),
            authorization: None,
            signature: None,
            timestamp: None,
            body: body.to_vec(),
        }
    }

    fn now() -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_secret_has_credentials_of_a_minimum_length() {
        for (json, is_read) in [
            (r#"{"bearer": "bearer-credential-1"}"#, true),
            (r#"{"basic": ["alertmanager:a-long-password", "alertmanager:another-one"]}"#, true),
            (r#"{"hmac": "grafana-signing-key", "bearer": []}"#, true),
            (r#"{"bearer": "sixteen letters."}"#, true),
            (r#"{"bearer": "fifteen letters"}"#, false),
            (r#"{"bearer": ["bearer-credential-1", ""]}"#, false),
            (r#"{"bearer": []}"#, false),
            (r#"{"bearer": 1}"#, false),
            (r#"{"token": "bearer-credential-1"}"#, false),
            ("{}", false),
            ("bearer-credential-1", false),
            ("", false),
        ] {
            assert_eq!(credentials(json).is_some(), is_read, "{json}");
        }
    }

    #[test]
    fn a_path_names_the_sender() {
        for (method, path, expected) in [
            ("POST", "/alertmanager", Ok(Transport::Alertmanager)),
            ("PUT", "/grafana/", Ok(Transport::Grafana)),
            ("GET", "/grafana", Err(Refusal::Method)),
            ("POST", "/", Err(Refusal::Path)),
            ("POST", "/Grafana", Err(Refusal::Path)),
        ] {
            let request = Request { method: method.to_owned(), ..request(path, b"") };
            assert_eq!(request.transport(), expected, "{method} {path}");
        }
    }

    #[test]
    fn only_a_credential_that_is_refused_may_be_a_lost_alert() {
        for (refusal, is_counted) in [
            (Refusal::Path, false),
            (Refusal::Method, false),
            (Refusal::Credential, true),
            (Refusal::Stale, true),
        ] {
            assert_eq!(refusal.may_be_an_alert(), is_counted, "{refusal:?}");
        }
    }

    #[test]
    fn a_credential_or_a_signature_is_worth_a_look_into_the_secret() {
        let given = |text: &str| Some(text.to_owned());
        let bare = || request("/grafana", b"{}");
        assert!(!bare().has_credential());
        assert!(!Request { timestamp: given("1"), ..bare() }.has_credential());
        assert!(Request { authorization: given(""), ..bare() }.has_credential());
        assert!(Request { signature: given("00"), ..bare() }.has_credential());
    }

    #[test]
    fn a_credential_is_one_of_those_that_are_accepted() {
        let json = format!(r#"{{"bearer": ["{BEARER}", "another-credential"], "basic": "{PAIR}"}}"#);
        let known = credentials(&json).unwrap();
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (given, is_right) in [
            (format!("Bearer {BEARER}"), true),
            (format!("bearer  {BEARER} "), true),
            ("Bearer another-credential".to_owned(), true),
            (basic(PAIR), true),
            (format!("Bearer {BEARER}2"), false),
            (format!("Bearer {PAIR}"), false),
            (basic(BEARER), false),
            ("Basic %%%".to_owned(), false),
            ("Bearer ".to_owned(), false),
            (BEARER.to_owned(), false),
            (String::new(), false),
        ] {
            let request = Request { authorization: Some(given.clone()), ..request("/alertmanager", b"{}") };
            assert_eq!(request.verify(&known, now()).is_ok(), is_right, "{given}");
        }
        assert_eq!(request("/alertmanager", b"{}").verify(&known, now()), Err(Refusal::Credential));
    }

    #[test]
    fn a_signature_covers_the_body_and_its_timestamp_is_not_old() {
        let known = credentials(&format!(r#"{{"hmac": ["an-older-signing-key", "{KEY}"]}}"#)).unwrap();
        let body = br#"{"alerts": []}"#;
        let at = now().as_second();
        let signed = |seconds: i64| signature(KEY, format!(r#"{seconds}:{{"alerts": []}}"#).as_bytes());
        let sent = |signature: String, timestamp: Option<String>| {
            let sent = Request { signature: Some(signature), timestamp, ..request("/grafana", body) };
            sent.verify(&known, now())
        };
        for (seconds, expected) in [
            (at, Ok(())),
            (at - 300, Ok(())),
            (at + 300, Ok(())),
            (at - 301, Err(Refusal::Stale)),
            (at + 301, Err(Refusal::Stale)),
        ] {
            assert_eq!(sent(signed(seconds), Some(seconds.to_string())), expected, "{}", seconds - at);
        }
        assert_eq!(sent(signature(KEY, body), None), Ok(()), "without a header for the timestamp");
        assert_eq!(sent(signature("an-older-signing-key", body), None), Ok(()));
        for (given, timestamp) in [
            // A timestamp that is not signed, or that was taken away.
            (signature(KEY, body), Some(at.to_string())),
            (signed(at), None),
            (signed(at), Some((at - 1).to_string())),
            (signature("some-other-key-of-length", body), None),
            ("zz".to_owned(), None),
            ("é".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(sent(given.clone(), timestamp), Err(Refusal::Credential), "{given}");
        }
        // A timestamp that was moved into the body, where nobody compares it with the clock.
        let moved = format!(r#"{}:{{"alerts": []}}"#, at - 86_400);
        for (body, expected) in [
            (moved.as_bytes(), Err(Refusal::Credential)),
            (b"  {\"alerts\": []}".as_slice(), Ok(())),
            (b"[]".as_slice(), Err(Refusal::Credential)),
            (b"".as_slice(), Err(Refusal::Credential)),
        ] {
            let sent = Request { signature: Some(signature(KEY, body)), ..request("/grafana", body) };
            assert_eq!(sent.verify(&known, now()), expected, "{body:?}");
        }
        let text = format!("soon:{}", r#"{"alerts": []}"#);
        assert_eq!(sent(signature(KEY, text.as_bytes()), Some("soon".to_owned())), Err(Refusal::Stale));
    }

    #[test]
    fn a_wrong_signature_is_not_outweighed_by_a_right_credential() {
        let known = credentials(&format!(r#"{{"bearer": "{BEARER}", "hmac": "{KEY}"}}"#)).unwrap();
        let sent = Request {
            authorization: Some(format!("Bearer {BEARER}")),
            signature: Some("00".to_owned()),
            ..request("/grafana", b"{}")
        };
        assert_eq!(sent.verify(&known, now()), Err(Refusal::Credential));
    }

    #[test]
    fn a_body_beyond_the_limit_pages_with_its_first_characters() {
        let padded = |size: usize| {
            let start = br#"{"alerts": [{"status": "resolved", "fingerprint": "a"}], "pad": ""#;
            let mut body = start.to_vec();
            body.resize(size - 2, b'x');
            body.extend(br#""}"#);
            request("/alertmanager", &body).signals(Transport::Alertmanager)
        };
        let read = padded(MOST_BYTES);
        assert_eq!(read.iter().map(|signal| signal.change).collect::<Vec<_>>(), [incident::Change::Resolved]);
        let read = padded(MOST_BYTES + 1);
        let [raw] = read.as_slice() else { panic!("one page") };
        assert!(!raw.understood && raw.change == incident::Change::Triggered);
        assert!(raw.reason.starts_with(r#"{"alerts""#) && raw.reason.chars().count() <= 4_000);
    }
}
