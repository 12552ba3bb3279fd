//! The access key of an IAM user with which the application sends mail. No I/O, no clock.
//!
//! Source: [access keys](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html),
//! [SMTP credentials](https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use shared::document::{field, quote, splice};
use shared::policy::SesFields;
use shared::rotation::RotationError;

use crate::desk::Making;
use crate::error::RotateError;

/// IAM tells when a key was made in whole seconds, by another clock than ours.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// An access key of the user; never its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Key {
    /// Its id.
    pub id: String,
    /// Whether it can be used.
    pub is_active: bool,
    /// When it was made.
    pub made: Option<Timestamp>,
}

/// A key with its secret.
pub(crate) struct Credential {
    /// The key's id.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

/// Reads the key in a secret's document.
pub(crate) fn read(text: &SecretString, fields: &SesFields) -> Result<Credential, RotationError> {
    let value = |name: &str| {
        let text = text.expose_secret();
        let place = field(text, name).map_err(|reason| RotationError::WrongForm { reason })?;
        let value = text.get(place).and_then(|quoted| serde_json::from_str::<String>(quoted).ok());
        let value = value.filter(|value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic()));
        value.map(Zeroizing::new).ok_or_else(|| RotationError::WrongForm {
            reason: format!("field {name} of its JSON document is not a part of an access key"),
        })
    };
    Ok(Credential {
        id: value(&fields.access_key_id)?.to_string(),
        secret: SecretString::from(value(&fields.secret_access_key)?.as_str()),
    })
}

/// The document with another key in it, everything else byte for byte; the SMTP credential follows where there is one.
pub(crate) fn with(
    text: &SecretString,
    key: &Credential,
    fields: &SesFields,
    region: &str,
) -> Result<SecretString, RotationError> {
    let text = text.expose_secret();
    let wrong = |reason| RotationError::WrongForm { reason };
    let mut changes = vec![
        (field(text, &fields.access_key_id).map_err(wrong)?, quote(&key.id)),
        (field(text, &fields.secret_access_key).map_err(wrong)?, quote(key.secret.expose_secret())),
    ];
    if let Ok(place) = field(text, &fields.smtp_username) {
        changes.push((place, quote(&key.id)));
    }
    if let Ok(place) = field(text, &fields.smtp_password) {
        changes.push((place, quote(&smtp_password(&key.secret, region))));
    }
    changes.sort_by_key(|(place, _)| place.start);
    Ok(splice(text, &changes))
}

/// The password for SMTP in a region that an access key's secret stands for.
fn smtp_password(secret: &SecretString, region: &str) -> Zeroizing<String> {
    const VERSION: u8 = 4;
    let mut key = Zeroizing::new(format!("AWS4{}", secret.expose_secret()).into_bytes());
    for part in ["11111111", region, "ses", "aws4_request", "SendRawEmail"] {
        // A key of any length is good for HMAC.
        if let Ok(mac) = Hmac::<Sha256>::new_from_slice(&key) {
            key = Zeroizing::new(mac.chain_update(part).finalize().into_bytes().to_vec());
        }
    }
    key.insert(0, VERSION);
    Zeroizing::new(STANDARD.encode(&*key))
}

/// Whether a pending document is the current one with another key.
pub(crate) fn examine(
    pending: &SecretString,
    current: &SecretString,
    fields: &SesFields,
    region: &str,
) -> Result<(), RotationError> {
    let key = read(pending, fields)?;
    if key.id == read(current, fields)?.id {
        return Err(RotationError::PendingRejected {
            reason: "it has the key of the current one".to_owned(),
        });
    }
    if with(current, &key, fields, region)?.expose_secret() == pending.expose_secret() {
        return Ok(());
    }
    Err(RotationError::CurrentChanged)
}

/// The user's other key: at most two exist.
pub(crate) fn other<'a>(keys: &'a [Key], current: &str) -> Result<Option<&'a Key>, RotateError> {
    if !keys.iter().any(|key| key.id == current) {
        return Err(RotateError::NotTheUsersKey { key: current.to_owned() });
    }
    Ok(keys.iter().find(|key| key.id != current))
}

/// Which key has to be deleted before a new one can be made; none when there is room.
///
/// `previous` is the key of AWSPREVIOUS, `making` what an attempt at making a key has noted, `deactivated` the key that was
/// put out of use after the one in use was proved.
pub(crate) fn in_the_way(
    keys: &[Key],
    current: &str,
    previous: Option<&str>,
    making: Option<&Making>,
    deactivated: Option<&str>,
) -> Result<Option<String>, RotateError> {
    let Some(other) = other(keys, current)? else { return Ok(None) };
    let id = other.id.clone();
    if previous == Some(&*id) {
        return match !other.is_active && deactivated == Some(&*id) {
            true => Ok(Some(id)),
            false => Err(RotateError::NotRetired),
        };
    }
    // Made by an attempt that died before it could store it: nobody has its secret.
    let is_lost = making.is_some_and(|making| {
        let since = making.began.checked_sub(SKEW).unwrap_or(making.began);
        let until = making.until.checked_add(SKEW).unwrap_or(making.until);
        !making.before.contains(&id) && other.made.is_some_and(|made| (since..=until).contains(&made))
    });
    if is_lost { Ok(Some(id)) } else { Err(RotateError::ForeignKey { key: id }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> SesFields {
        "".parse::<shared::policy::Policy>().unwrap().rotation.external.ses
    }

    fn document(id: &str, secret: &str, more: &str) -> SecretString {
        SecretString::from(format!(
            "{{ \"NOTIFICATIONS_EMAIL_SES_SECRET_ACCESS_KEY\":\"{secret}\",{more} \"a\": 1e2, \"NOTIFICATIONS_EMAIL_SES_ACCESS_KEY_ID\" : \"{id}\"}}\n"
        ))
    }

    fn key(id: &str, secret: &str) -> Credential {
        Credential { id: id.to_owned(), secret: SecretString::from(secret) }
    }

    #[test]
    fn a_key_is_replaced_and_everything_else_kept() {
        let current = document("AKIA1", "old/secret", "");
        let new = with(&current, &key("AKIA2", "new+secret"), &fields(), "us-east-1").unwrap();
        assert_eq!(new.expose_secret(), document("AKIA2", "new+secret", "").expose_secret());
        let read = read(&new, &fields()).unwrap();
        assert_eq!((read.id.as_str(), read.secret.expose_secret()), ("AKIA2", "new+secret"));
        assert_eq!(examine(&new, &current, &fields(), "us-east-1"), Ok(()));
        let edited = document("AKIA1", "old/secret", " \"b\": 1,");
        assert_eq!(examine(&new, &edited, &fields(), "us-east-1"), Err(RotationError::CurrentChanged));
        let same = examine(&current, &current, &fields(), "us-east-1").unwrap_err();
        assert!(matches!(same, RotationError::PendingRejected { .. }));
    }

    #[test]
    fn the_smtp_credential_follows() {
        // Made with the program of AWS's documentation.
        let secret = SecretString::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        assert_eq!(*smtp_password(&secret, "us-east-1"), "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9");
        assert_eq!(*smtp_password(&secret, "sa-east-1"), "BMaY55NZ29oKHOmwPeGZOue+QPW4b9Vwt4rVGhRfAK+4");
        let smtp = r#" "NOTIFICATIONS_EMAIL_SMTP_USERNAME": "x", "NOTIFICATIONS_EMAIL_SMTP_PASSWORD": "y","#;
        let current = document("AKIA1", "s", smtp);
        let new = key("AKIA2", secret.expose_secret());
        let new = with(&current, &new, &fields(), "us-east-1").unwrap();
        let filled = smtp
            .replace("\"x\"", "\"AKIA2\"")
            .replace("\"y\"", "\"BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9\"");
        assert_eq!(new.expose_secret(), document("AKIA2", secret.expose_secret(), &filled).expose_secret());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in ["", "[]", "AKIA1", r#"{"NOTIFICATIONS_EMAIL_SES_ACCESS_KEY_ID": "AKIA1"}"#] {
            let error = read(&SecretString::from(text), &fields()).err().unwrap();
            assert!(matches!(error, RotationError::WrongForm { .. }), "{text}: {error}");
        }
        let error = read(&document("AKIA1", "a b", ""), &fields()).err().unwrap();
        assert!(!error.to_string().contains("a b"), "{error}");
        assert!(read(&document("", "s", ""), &fields()).is_err());
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400 + seconds).unwrap()
    }

    #[test]
    fn which_key_is_in_the_way() {
        let known = |id: &str, is_active, made| Key { id: id.to_owned(), is_active, made: Some(at(made)) };
        let current = known("current", true, -9000);
        let making = Making {
            token: "t".to_owned(),
            began: at(0),
            until: at(20),
            before: vec!["current".to_owned(), "seen".to_owned()],
        };
        let plan = |other: Option<Key>, previous, making: Option<&Making>, deactivated| {
            let keys: Vec<_> = other.into_iter().chain([current.clone()]).collect();
            in_the_way(&keys, "current", previous, making, deactivated)
        };
        assert_eq!(plan(None, None, None, None), Ok(None));
        let foreign = |id: &str| Err(RotateError::ForeignKey { key: id.to_owned() });
        let deleted = |id: &str| Ok(Some(id.to_owned()));
        // The one before: deleted only after it was put out of use, by us.
        let before = |active| Some(known("before", active, -5000));
        assert_eq!(plan(before(true), Some("before"), None, None), Err(RotateError::NotRetired));
        assert_eq!(plan(before(false), Some("before"), None, None), Err(RotateError::NotRetired));
        assert_eq!(plan(before(true), Some("before"), None, Some("before")), Err(RotateError::NotRetired));
        assert_eq!(plan(before(false), Some("before"), None, Some("before")), deleted("before"));
        // One that an attempt made and lost.
        for (made, expected) in [
            (-31, foreign("x")),
            (-30, deleted("x")),
            (20, deleted("x")),
            (50, deleted("x")),
            (51, foreign("x")),
        ] {
            assert_eq!(plan(Some(known("x", true, made)), None, Some(&making), None), expected, "{made}");
        }
        assert_eq!(plan(Some(known("x", true, 5)), None, None, None), foreign("x"));
        // It was there before the attempt began.
        assert_eq!(plan(Some(known("seen", true, 5)), None, Some(&making), None), foreign("seen"));
        // Made by us, current once, and gone back from: it may be in use.
        let gone_back = plan(Some(known("x", true, 5)), Some("x"), Some(&making), None);
        assert_eq!(gone_back, Err(RotateError::NotRetired));
        let strange = in_the_way(&[], "current", None, None, None);
        assert_eq!(strange, Err(RotateError::NotTheUsersKey { key: "current".to_owned() }));
    }
}
