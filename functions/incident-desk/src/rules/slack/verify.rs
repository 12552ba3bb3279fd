//! Whether a request is Slack's: verified on its raw body, before anything in it is read.
//!
//! Source: [verifying requests](https://docs.slack.dev/authentication/verifying-requests-from-slack).

use incident::store::{Attribute, Check, Key, Write};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use shared::runtime::url::{Request, Texts, is_signed};

/// The path of the address that Slack is given.
const PATH: &str = "/slack";

/// How far a request's timestamp may be from now, in either direction: Slack's own advice.
pub(crate) const WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// How long a request is remembered: far longer than its timestamp is accepted.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Least characters of a signing secret; Slack's have 32. An empty one would let everybody in.
pub(crate) const LEAST: usize = 16;

/// Largest body, in bytes. Slack's are some kilobytes; a message shortcut has the whole message.
const MOST_BYTES: usize = 1024 * 1024;

/// Length of a signature, in hexadecimal digits.
const DIGITS: usize = 64;

/// A request that is not served. The text says nothing about the keys.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It is not the path, or the stack has no desk in Slack.
    #[error("no such path; use /slack")]
    Path,
    /// It is no POST.
    #[error("use POST")]
    Method,
    /// Its body is longer than any of Slack's.
    #[error("the body is too long")]
    TooLong,
    /// It has no signature, or not the form of one.
    #[error("the signature is missing or malformed")]
    Unsigned,
    /// Its signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// Its timestamp is too old or too new.
    #[error("the timestamp is more than 5 minutes away")]
    Stale,
    /// It was served before.
    #[error("the request was served before")]
    Replayed,
    /// Slack sent something that the desk does not use.
    #[error("this app does not use {0}")]
    Unused(String),
    /// A field is missing or wrong, which Slack does not send so.
    #[error("{0} is missing or not as documented")]
    Field(&'static str),
}

impl Refusal {
    /// HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Path => 404,
            Self::Method => 405,
            Self::TooLong => 413,
            Self::Unsigned | Self::Signature | Self::Stale | Self::Replayed => 401,
            Self::Unused(_) | Self::Field(_) => 400,
        }
    }

    /// Whether it may have been Slack's, so that our settings are wrong. Whoever finds the address asks for other paths, too,
    /// or repeats old requests, and must ring no alarm.
    pub(crate) fn may_be_slacks(&self) -> bool {
        matches!(self, Self::Signature | Self::Unused(_) | Self::Field(_))
    }
}

/// The claim of a request: who signed it, and when. To be checked with [`Claim::verify`].
pub(crate) struct Claim<'a> {
    timestamp: &'a str,
    digits: &'a str,
    body: &'a [u8],
}

impl<'a> Claim<'a> {
    /// Checks what needs no key: reading the secret for nothing costs money.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub(crate) fn of(request: &'a Request, now: Timestamp) -> Result<Self, Refusal> {
        if request.path.trim_end_matches('/') != PATH {
            return Err(Refusal::Path);
        }
        if request.method != "POST" {
            return Err(Refusal::Method);
        }
        if request.body.len() > MOST_BYTES {
            return Err(Refusal::TooLong);
        }
        let timestamp = request.header("x-slack-request-timestamp").ok_or(Refusal::Unsigned)?;
        let signature = request.header("x-slack-signature").ok_or(Refusal::Unsigned)?;
        let digits = signature.strip_prefix("v0=").ok_or(Refusal::Unsigned)?;
        let is_hash = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        if !is_hash || !is_number {
            return Err(Refusal::Unsigned);
        }
        let at = timestamp.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        if at.is_none_or(|at| now.duration_since(at).abs() > WINDOW) {
            return Err(Refusal::Stale);
        }
        Ok(Self { timestamp, digits, body: &request.body })
    }

    /// Checks the signature.
    ///
    /// # Errors
    ///
    /// [`Refusal::Signature`].
    pub(crate) fn verify(&self, keys: &[SecretString]) -> Result<(), Refusal> {
        let parts: [&[u8]; 4] = [b"v0:", self.timestamp.as_bytes(), b":", self.body];
        if is_signed(keys, &parts, self.digits) { Ok(()) } else { Err(Refusal::Signature) }
    }

    /// The write by which a repetition is known: it fails if the request was served. The same signature in other letters is
    /// the same.
    pub(crate) fn once(&self, now: Timestamp) -> Write {
        let event = format!("slack|{}|{}", self.timestamp, self.digits.to_ascii_lowercase());
        let mut item = Key::event(&event).attributes();
        let forgotten = now.as_second() + REMEMBERED.as_secs();
        item.insert("expires_at".to_owned(), Attribute::Number(forgotten));
        Write::Put { item, only_if: vec![Check::Absent("pk")] }
    }
}

/// The accepted signing secrets: the secret's whole text, or a JSON list of several, so that a new one and the one before
/// it are accepted at the same time. `None` if one is too short to be one.
pub(crate) fn keys(value: &SecretString) -> Option<Vec<SecretString>> {
    let text = value.expose_secret().trim();
    let texts =
        if text.starts_with('[') { serde_json::from_str(text).ok()? } else { Texts::One(text.to_owned()) };
    texts.secrets(LEAST).filter(|keys| !keys.is_empty())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};
    use shared::testing::hmac_sha256;

    use super::*;

    pub(crate) const KEY: &str = "8f742231b10e8888abcd99yyyzzz85a5";

    /// A request at a time, with the signature that a key makes.
    pub(crate) fn signed(key: &str, at: i64, body: &str) -> Value {
        let signature = hmac_sha256(key, format!("v0:{at}:{body}").as_bytes());
        event(Some(&format!("v0={signature}")), Some(&at.to_string()), body)
    }

    fn event(signature: Option<&str>, timestamp: Option<&str>, body: &str) -> Value {
        let mut event = json!({"rawPath": "/slack", "headers": {}, "body": body,
            "requestContext": {"requestId": "r1", "http": {"method": "POST"}}});
        for (name, value) in [("x-slack-signature", signature), ("x-slack-request-timestamp", timestamp)] {
            if let Some(value) = value {
                event["headers"][name] = json!(value);
            }
        }
        event
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn checked(event: &Value, now: Timestamp, known: &[SecretString]) -> Result<(), Refusal> {
        let request = Request::read(event);
        Claim::of(&request, now)?.verify(known)
    }

    /// The example of Slack's page.
    const PUBLISHED: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const SECONDS: i64 = 1_531_420_618;

    #[test]
    fn slacks_published_example_is_accepted_for_five_minutes_and_no_change_of_it() {
        let known = [secret("an-older-signing-secret"), secret(KEY)];
        let stamp = SECONDS.to_string();
        let published = event(Some(SIGNATURE), Some(&stamp), PUBLISHED);
        for (now, expected) in [
            (SECONDS, Ok(())),
            (SECONDS + 300, Ok(())),
            (SECONDS - 300, Ok(())),
            (SECONDS + 301, Err(Refusal::Stale)),
            (SECONDS - 301, Err(Refusal::Stale)),
        ] {
            assert_eq!(checked(&published, at(now), &known), expected, "{}", now - SECONDS);
        }
        assert_eq!(checked(&published, at(SECONDS), &known[..1]), Err(Refusal::Signature));
        for (signature, timestamp, body, refusal) in [
            (Some(SIGNATURE), Some("1531420619"), PUBLISHED.to_owned(), Refusal::Signature),
            (Some(SIGNATURE), Some(stamp.as_str()), format!("{PUBLISHED}&a=b"), Refusal::Signature),
            (Some(SIGNATURE), Some(&stamp), PUBLISHED.replace("U2CERLKJA", "U2CERLKJB"), Refusal::Signature),
            (Some(SIGNATURE), Some(&stamp), String::new(), Refusal::Signature),
            (None, Some(&stamp), PUBLISHED.to_owned(), Refusal::Unsigned),
            (Some(SIGNATURE), None, PUBLISHED.to_owned(), Refusal::Unsigned),
            (Some(&SIGNATURE[3..]), Some(&stamp), PUBLISHED.to_owned(), Refusal::Unsigned),
            (Some(&SIGNATURE[..66]), Some(&stamp), PUBLISHED.to_owned(), Refusal::Unsigned),
            (Some("v0="), Some(&stamp), PUBLISHED.to_owned(), Refusal::Unsigned),
            (Some(SIGNATURE), Some(""), PUBLISHED.to_owned(), Refusal::Unsigned),
            (Some(SIGNATURE), Some("+1531420618"), PUBLISHED.to_owned(), Refusal::Unsigned),
            (Some(SIGNATURE), Some("99999999999999999999"), PUBLISHED.to_owned(), Refusal::Stale),
        ] {
            let altered = event(signature, timestamp, &body);
            assert_eq!(checked(&altered, at(SECONDS), &known), Err(refusal), "{signature:?} {timestamp:?}");
        }
    }

    #[test]
    fn only_posts_to_the_path_are_read() {
        let request = |path: &str, method: &str, body: &str| {
            let mut event = signed(KEY, SECONDS, body);
            event["rawPath"] = json!(path);
            event["requestContext"]["http"]["method"] = json!(method);
            checked(&event, at(SECONDS), &[secret(KEY)])
        };
        assert_eq!(request("/slack", "POST", "a=b"), Ok(()));
        assert_eq!(request("/slack/", "POST", "a=b"), Ok(()));
        assert_eq!(request("/", "POST", "a=b"), Err(Refusal::Path));
        assert_eq!(request("/slack", "GET", "a=b"), Err(Refusal::Method));
        assert_eq!(request("/slack", "POST", &"a".repeat(MOST_BYTES + 1)), Err(Refusal::TooLong));
    }

    #[test]
    fn a_repetition_has_the_same_event_in_other_letters_too() {
        let stamp = SECONDS.to_string();
        let key_of = |signature: &str, now: i64| {
            let event = event(Some(signature), Some(&stamp), PUBLISHED);
            let request = Request::read(&event);
            let claim = Claim::of(&request, at(now)).unwrap();
            claim.once(at(now)).key()
        };
        let loud = format!("v0={}", SIGNATURE[3..].to_uppercase());
        assert_eq!(key_of(&loud, SECONDS), key_of(SIGNATURE, SECONDS + 7));
        let other = format!("v0={}", SIGNATURE[3..].replace('a', "b"));
        assert_ne!(key_of(&other, SECONDS), key_of(SIGNATURE, SECONDS));
    }

    #[test]
    fn a_secret_has_one_key_or_a_list() {
        let read = |text: &str| {
            keys(&secret(text)).map(|keys| keys.iter().map(|key| key.expose_secret().to_owned()).collect())
        };
        let expected = |keys: &[&str]| Some(keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
        for (text, found) in [
            (KEY.to_owned(), expected(&[KEY])),
            (format!("{KEY}\n"), expected(&[KEY])),
            (
                format!("[\"{KEY}\", \"an-older-signing-secret\"]"),
                expected(&[KEY, "an-older-signing-secret"]),
            ),
            // Only digits, which would be a number of JSON.
            ("12345678901234567890123456789012".to_owned(), expected(&["12345678901234567890123456789012"])),
            (format!("[\"{KEY}\", \"\"]"), None),
            ("[]".to_owned(), None),
            ("[1]".to_owned(), None),
            ("fifteen letters".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(read(&text), found, "{text}");
        }
    }

    #[test]
    fn only_what_slack_may_have_sent_rings() {
        for (refusal, status, rings) in [
            (Refusal::Path, 404, false),
            (Refusal::Method, 405, false),
            (Refusal::TooLong, 413, false),
            (Refusal::Unsigned, 401, false),
            (Refusal::Stale, 401, false),
            (Refusal::Replayed, 401, false),
            (Refusal::Signature, 401, true),
            (Refusal::Unused("block_suggestion".to_owned()), 400, true),
            (Refusal::Field("payload"), 400, true),
        ] {
            assert_eq!((refusal.status(), refusal.may_be_slacks()), (status, rings), "{refusal}");
        }
    }
}
