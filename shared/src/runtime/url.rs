//! Requests of a function's URL, and the signatures that they carry.
//!
//! Source: [payloads of a function URL](https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

/// A request of a function URL, as it arrived: not verified.
pub struct Request {
    /// The URL's own id of the request.
    pub id: String,
    /// Method, in capitals.
    pub method: String,
    /// Path, as it was sent.
    pub path: String,
    /// Body, as it was sent.
    pub body: Vec<u8>,
    headers: Value,
}

impl Request {
    /// Returns true if the event is a request of a function URL.
    pub fn is(event: &Value) -> bool {
        event.pointer("/requestContext/http").is_some_and(Value::is_object)
    }

    /// Reads a request; what it lacks is empty.
    pub fn read(event: &Value) -> Self {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let body = text("/body").unwrap_or_default();
        let is_encoded = event.get("isBase64Encoded").and_then(Value::as_bool) == Some(true);
        let decoded = if is_encoded { STANDARD.decode(&body).ok() } else { None };
        Self {
            id: text("/requestContext/requestId").unwrap_or_default(),
            method: text("/requestContext/http/method").unwrap_or_default(),
            path: text("/rawPath").unwrap_or_default(),
            body: decoded.unwrap_or_else(|| body.into_bytes()),
            headers: event.get("headers").cloned().unwrap_or_default(),
        }
    }

    /// The value of a header, by its name in lower case: Lambda writes all names so.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(Value::as_str)
    }
}

/// One text, or a list: a credential, and the ones that replace it.
#[derive(Default, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    /// Absent.
    #[default]
    None,
    /// One.
    One(String),
    /// All that are accepted.
    Several(Vec<String>),
}

impl Texts {
    /// The texts; `None` if one has fewer than `least` characters. An empty one would let everybody in.
    pub fn secrets(self, least: usize) -> Option<Vec<SecretString>> {
        let texts = match self {
            Self::None => Vec::new(),
            Self::One(text) => vec![text],
            Self::Several(texts) => texts,
        };
        let is_long = texts.iter().all(|text| text.chars().count() >= least);
        is_long.then(|| texts.into_iter().map(SecretString::from).collect())
    }
}

/// The HMAC-SHA256 of the parts, one after the other, made with a key: in hexadecimal digits.
pub fn sign(key: &SecretString, parts: &[&[u8]]) -> String {
    // A key of any length will do.
    let digits =
        |mac: Hmac<Sha256>| mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    mac(key, parts).map(digits).unwrap_or_default()
}

fn mac(key: &SecretString, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac)
}

/// Whether hexadecimal digits are the HMAC-SHA256 of the parts, one after the other, made with one of the keys. The time
/// says nothing about the keys.
pub fn is_signed(keys: &[SecretString], parts: &[&[u8]], digits: &str) -> bool {
    let Some(signature) = bytes(digits) else { return false };
    keys.iter().any(|key| mac(key, parts).is_some_and(|mac| mac.verify_slice(&signature).is_ok()))
}

/// The bytes that hexadecimal digits stand for.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_read_as_it_was_sent() {
        let event = |body: &str, is_encoded: bool| {
            json!({"rawPath": "/slack", "headers": {"x-a": "1"}, "body": body, "isBase64Encoded": is_encoded,
                "requestContext": {"requestId": "r1", "http": {"method": "POST"}}})
        };
        for (body, is_encoded, expected) in [
            ("a=%C3%A9", false, "a=%C3%A9"),
            ("YT0x", true, "a=1"),
            ("YT0x", false, "YT0x"),
            ("%", true, "%"),
        ] {
            let event = event(body, is_encoded);
            assert!(Request::is(&event));
            let request = Request::read(&event);
            assert_eq!(request.body, expected.as_bytes(), "{body}");
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/slack"));
            assert_eq!((request.header("x-a"), request.header("x-b")), (Some("1"), None));
        }
        let empty = Request::read(&json!({}));
        assert!(empty.body.is_empty() && empty.method.is_empty() && !Request::is(&json!({})));
    }

    #[test]
    fn a_signature_is_made_with_one_of_the_keys_over_all_parts() {
        // Slack's published example.
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let digits = "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let keys = |texts: &[&str]| texts.iter().map(|text| SecretString::from(*text)).collect::<Vec<_>>();
        let right = "8f742231b10e8888abcd99yyyzzz85a5";
        let parts: [&[u8]; 4] = [b"v0:", b"1531420618", b":", body.as_bytes()];
        assert_eq!(sign(&SecretString::from(right), &parts), digits);
        for (known, digits, expected) in [
            (keys(&[right]), digits.to_owned(), true),
            (keys(&["another-signing-key", right]), digits.to_uppercase(), true),
            (keys(&["another-signing-key"]), digits.to_owned(), false),
            (keys(&[]), digits.to_owned(), false),
            (keys(&[right]), digits.replace('a', "b"), false),
            (keys(&[right]), digits[..62].to_owned(), false),
            (keys(&[right]), format!("+{}", &digits[1..]), false),
            (keys(&[right]), "é".to_owned(), false),
            (keys(&[right]), String::new(), false),
        ] {
            assert_eq!(is_signed(&known, &parts, &digits), expected, "{digits}");
        }
        assert!(!is_signed(&keys(&[right]), &parts[1..], digits));
    }
}
