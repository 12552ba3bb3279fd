//! The document with the access key for mail, and the keys of its IAM user.
//!
//! Source: [access keys](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html),
//! [SMTP credentials](https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html).

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use shared::copies;
use shared::document::{self, field, quote, splice};
use shared::policy::SesFields;
use shared::rotation::RotationError;

use crate::error::RotateError;
use crate::rules::issuance::Making;

/// IAM reports a key's creation time in whole seconds, by its own clock.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// An access key of the user, without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Key {
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
    pub secret: SecretString,
}

/// Reads the key in a secret's document.
///
/// # Errors
///
/// [`RotationError::WrongForm`], which does not quote the document.
pub(crate) fn read(text: &SecretString, fields: &SesFields) -> Result<Credential, RotationError> {
    let value = |name: &str| {
        let text = text.expose_secret();
        let place = field(text, name).map_err(|reason| RotationError::WrongForm { reason })?;
        let value = text.get(place).and_then(|quoted| serde_json::from_str::<String>(quoted).ok());
        let value = value.filter(|value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic()));
        value.map(Zeroizing::new).ok_or_else(|| RotationError::WrongForm {
            reason: format!("field {name} of its JSON document does not hold part of an access key"),
        })
    };
    Ok(Credential {
        id: value(&fields.access_key_id)?.to_string(),
        secret: SecretString::from(value(&fields.secret_access_key)?.as_str()),
    })
}

/// The document with another key; every other byte is unchanged. An SMTP credential derived from the old key is
/// replaced, too.
pub(crate) fn replace(
    text: &SecretString,
    key: &Credential,
    fields: &SesFields,
    region: &str,
) -> Result<SecretString, RotationError> {
    let current = read(text, fields)?;
    let text = text.expose_secret();
    let mut changes = vec![
        (field(text, &fields.access_key_id).map_err(wrong_form)?, quote(&key.id)),
        (field(text, &fields.secret_access_key).map_err(wrong_form)?, quote(key.secret.expose_secret())),
    ];
    if let Some(smtp) = smtp(text, &current, fields, region)? {
        changes.extend(smtp.user.map(|place| (place, quote(&key.id))));
        changes.push((smtp.password, quote(&smtp_password(&key.secret, &smtp.region))));
    }
    changes.sort_by_key(|(place, _)| place.start);
    Ok(splice(text, &changes))
}

/// Refuses a document in which another field would keep the current key, before any key is made.
///
/// A copy is the id, the secret, or the SMTP password derived from the secret, for any region and in any form; also a
/// password beside a field that holds the id.
pub(crate) fn admit(text: &SecretString, fields: &SesFields, region: &str) -> Result<(), RotationError> {
    let key = read(text, fields)?;
    let text = text.expose_secret();
    let smtp = smtp(text, &key, fields, region)?;
    let is_replaced = |value: &document::Value<'_>| {
        let is_smtp = |name| smtp.is_some() && value.path.top_level_key() == Some(name);
        [&fields.access_key_id, &fields.secret_access_key]
            .into_iter()
            .any(|name| value.path.top_level_key() == Some(name))
            || is_smtp(&fields.smtp_username)
            || is_smtp(&fields.smtp_password)
    };
    let derived: Vec<_> =
        regions(text, region).iter().map(|region| smtp_password(&key.secret, region)).collect();
    let outdated = outdated_smtp_password(&key.secret);
    let mut copies = vec![key.id.as_str(), key.secret.expose_secret(), outdated.as_str()];
    copies.extend(derived.iter().map(|password| password.as_str()));
    let mut stale = copies::fields(text, &copies, is_replaced);
    for path in passwords_beside(text, &key.id, is_replaced) {
        if !stale.contains(&path) {
            stale.push(path);
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(wrong_form(format!(
        "fields {} hold the current key, or a password derived from it, and a rotation would not replace it: remove them, or name the SMTP fields in the policy (rotation.external.ses)",
        stale.join(", ")
    )))
}

/// The place of an SMTP password derived from the document's key.
struct Smtp {
    /// The place of the user name, if the document has one.
    user: Option<Range<usize>>,
    password: Range<usize>,
    /// The region of the password.
    region: String,
}

/// Finds the SMTP credential in the fields that the policy names; none if they are absent or belong to another service.
fn smtp(
    text: &str,
    key: &Credential,
    fields: &SesFields,
    region: &str,
) -> Result<Option<Smtp>, RotationError> {
    let part = |name: &str| {
        let place = field(text, name).ok()?;
        let value: String = serde_json::from_str(text.get(place.clone())?).ok()?;
        Some((place, Zeroizing::new(value)))
    };
    let (user, password) = (part(&fields.smtp_username), part(&fields.smtp_password));
    let is_this_key = user.as_ref().map(|(_, user)| user.as_str() == key.id || user.is_empty());
    let Some((place, password)) = password else { return Ok(None) };
    let derived = regions(text, region)
        .into_iter()
        .find(|region| *smtp_password(&key.secret, region) == *password)
        .or_else(|| password.is_empty().then(|| region.to_owned()));
    match (is_this_key, derived) {
        (Some(true) | None, Some(region)) => {
            Ok(Some(Smtp { user: user.map(|(place, _)| place), password: place, region }))
        }
        (Some(true), None) => Err(wrong_form(format!(
            "field {} is not the SMTP password of the current key in any region, so its new value is unknown: correct it, or remove it",
            fields.smtp_password
        ))),
        // The credential of another service.
        (Some(false) | None, _) => Ok(None),
    }
}

/// Fields named like passwords in an object that also holds the key's id: SMTP passwords derived in an unknown way.
fn passwords_beside(text: &str, id: &str, is_replaced: impl Fn(&document::Value<'_>) -> bool) -> Vec<String> {
    let values = document::values(text).unwrap_or_default();
    let others = || values.iter().filter(|value| value.is_string() && !is_replaced(value));
    let has_id = |value: &document::Value<'_>| value.text().is_some_and(|text| copies::holds(&text, &[id]));
    let around: Vec<_> = others().filter(|value| has_id(value)).map(|value| value.path.parent()).collect();
    let is_password = |value: &document::Value<'_>| {
        let key = value.path.key().unwrap_or_default().to_ascii_lowercase();
        ["pass", "pwd", "secret"].iter().any(|word| key.contains(word))
    };
    let beside = others().filter(|value| is_password(value) && around.contains(&value.path.parent()));
    beside.map(|value| value.path.to_string()).collect()
}

/// Regions for which a password may be derived: SES's, the function's, and those that the document names.
fn regions(text: &str, own: &str) -> Vec<String> {
    const KNOWN: &str = "us-east-1 us-east-2 us-west-1 us-west-2 af-south-1 ap-east-1 ap-east-2 ap-south-1 ap-south-2 \
        ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 \
        ap-northeast-1 ap-northeast-2 ap-northeast-3 ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-west-1 eu-west-2 \
        eu-west-3 eu-north-1 eu-south-1 eu-south-2 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 \
        us-gov-east-1 us-gov-west-1 cn-north-1 cn-northwest-1";
    let named = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| is_region(word));
    let mut regions: Vec<String> =
        [own].into_iter().chain(named).chain(KNOWN.split_whitespace()).map(str::to_owned).collect();
    let mut seen = std::collections::BTreeSet::new();
    regions.retain(|region| seen.insert(region.clone()));
    regions
}

/// Whether a word has the form of `sa-east-1`.
fn is_region(word: &str) -> bool {
    let parts: Vec<_> = word.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    matches!(&parts[..], [first, middle @ .., number] if !middle.is_empty()
        && letters(first) && middle.iter().all(letters)
        && word.len() <= 20 && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn wrong_form(reason: String) -> RotationError {
    RotationError::WrongForm { reason }
}

/// The SMTP password as derived until 2019, valid in every region. Source:
/// [SMTP credentials](https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html).
fn outdated_smtp_password(secret: &SecretString) -> Zeroizing<String> {
    let mut password = vec![2];
    if let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) {
        password.extend(mac.chain_update("SendRawEmail").finalize().into_bytes());
    }
    Zeroizing::new(STANDARD.encode(&*Zeroizing::new(password)))
}

/// Derives the SMTP password of an access key's secret for a region.
fn smtp_password(secret: &SecretString, region: &str) -> Zeroizing<String> {
    const VERSION: u8 = 4;
    let mut key = Zeroizing::new(format!("AWS4{}", secret.expose_secret()).into_bytes());
    for part in ["11111111", region, "ses", "aws4_request", "SendRawEmail"] {
        // Cannot fail: HMAC accepts a key of any length.
        if let Ok(mac) = Hmac::<Sha256>::new_from_slice(&key) {
            key = Zeroizing::new(mac.chain_update(part).finalize().into_bytes().to_vec());
        }
    }
    key.insert(0, VERSION);
    Zeroizing::new(STANDARD.encode(&*key))
}

/// Checks that a pending document differs from the current one only in the key.
pub(crate) fn examine(
    pending: &SecretString,
    current: &SecretString,
    fields: &SesFields,
    region: &str,
) -> Result<(), RotationError> {
    let key = read(pending, fields)?;
    if key.id == read(current, fields)?.id {
        return Err(RotationError::PendingRejected { reason: "it has the current key".to_owned() });
    }
    if replace(current, &key, fields, region)?.expose_secret() == pending.expose_secret() {
        return Ok(());
    }
    Err(RotationError::CurrentChanged)
}

/// The user's other key: IAM allows two.
pub(crate) fn other<'a>(keys: &'a [Key], current: &str) -> Result<Option<&'a Key>, RotateError> {
    if !keys.iter().any(|key| key.id == current) {
        return Err(RotateError::NotTheUsersKey { key: current.to_owned() });
    }
    Ok(keys.iter().find(|key| key.id != current))
}

/// The key that must be deleted before a new one can be made; none if there is room.
///
/// `previous` is the key of AWSPREVIOUS, `making` the last noted attempt to make a key, `deactivated` the key that was
/// deactivated after its successor was proved.
///
/// # Errors
///
/// [`RotateError::NotRetired`] and [`RotateError::ForeignKey`] if the other key must stay.
pub(crate) fn to_delete(
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
    // An attempt made it and died before storing it: its secret is lost.
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
        let new = replace(&current, &key("AKIA2", "new+secret"), &fields(), "us-east-1").unwrap();
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
        // Values made with the program in AWS's documentation.
        let secret = SecretString::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        assert_eq!(*smtp_password(&secret, "us-east-1"), "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9");
        assert_eq!(*smtp_password(&secret, "sa-east-1"), "BMaY55NZ29oKHOmwPeGZOue+QPW4b9Vwt4rVGhRfAK+4");
        let fields_of = |user: &str, password: &str| {
            format!(
                r#" "NOTIFICATIONS_EMAIL_SMTP_USERNAME": "{user}", "NOTIFICATIONS_EMAIL_SMTP_PASSWORD": "{password}","#
            )
        };
        let followed = |before: &str, region: &str, after: &str| {
            let old = SecretString::from("old/secret");
            let before = before.replace("DERIVED", &smtp_password(&old, region));
            let current = document("AKIA1", "old/secret", &before);
            assert_eq!(admit(&current, &fields(), "us-east-1"), Ok(()), "{before}");
            let new =
                replace(&current, &key("AKIA2", secret.expose_secret()), &fields(), "us-east-1").unwrap();
            let expected = document("AKIA2", secret.expose_secret(), after);
            assert_eq!(new.expose_secret(), expected.expose_secret());
        };
        let virginia = "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9";
        let sao_paulo = "BMaY55NZ29oKHOmwPeGZOue+QPW4b9Vwt4rVGhRfAK+4";
        followed(&fields_of("AKIA1", "DERIVED"), "us-east-1", &fields_of("AKIA2", virginia));
        // The password keeps its own region, regardless of SES's.
        followed(&fields_of("AKIA1", "DERIVED"), "sa-east-1", &fields_of("AKIA2", sao_paulo));
        // Fields that are still empty.
        followed(&fields_of("", ""), "us-east-1", &fields_of("AKIA2", virginia));
        // The credential of another service.
        followed(&fields_of("apikey", "SG.x"), "us-east-1", &fields_of("apikey", "SG.x"));
        // Derived in an unknown way, so its new value is unknown.
        let current = document("AKIA1", "old/secret", &fields_of("AKIA1", "derived-from-the-old-secret"));
        let error = admit(&current, &fields(), "us-east-1").unwrap_err();
        assert!(error.to_string().contains("NOTIFICATIONS_EMAIL_SMTP_PASSWORD is not"), "{error}");
    }

    #[test]
    fn another_field_with_the_key_is_refused_by_name() {
        let case = include_str!("../../../../tests/cases/04a-ses-secret-smtp-fields-of-other-names.json");
        let error = admit(&SecretString::from(case), &fields(), "us-east-1").unwrap_err();
        assert!(error.to_string().contains("fields SMTP_USERNAME, SMTP_PASSWORD hold"), "{error}");

        let secret = SecretString::from("old/secret+of40characters");
        let (here, there) = (smtp_password(&secret, "us-east-1"), smtp_password(&secret, "eu-west-3"));
        let (future, outdated) = (smtp_password(&secret, "xx-new-9"), outdated_smtp_password(&secret));
        let url = "smtp://AKIA1EXAMPLE:old%2Fsecret%2Bof40characters@email-smtp.us-east-1.amazonaws.com:587";
        let nested = serde_json::json!({"auth": {"pass": &*here}}).to_string();
        let base64 = STANDARD.encode(format!("\0AKIA1EXAMPLE\0{}", &*there));
        for (more, named) in [
            (serde_json::json!({"user": "AKIA1EXAMPLE"}), "more.user"),
            (serde_json::json!({"x": secret.expose_secret()}), "more.x"),
            (serde_json::json!({"x": format!(" {}\n", &*here)}), "more.x"),
            (serde_json::json!({"x": &*there}), "more.x"),
            (serde_json::json!({"host": "email-smtp.xx-new-9.amazonaws.com", "x": &*future}), "more.x"),
            (serde_json::json!({"x": &*outdated}), "more.x"),
            (serde_json::json!({"url": url}), "more.url"),
            (serde_json::json!({"url": url.replace('A', "%41")}), "more.url"),
            (serde_json::json!({"list": [1, {"config": nested}]}), "more.list[1].config"),
            (serde_json::json!({"plain": base64}), "more.plain"),
            (serde_json::json!({"AKIA1EXAMPLE": "x"}), "more.AKIA1EXAMPLE"),
        ] {
            let current = document("AKIA1EXAMPLE", secret.expose_secret(), &format!(" \"more\": {more},"));
            let error = admit(&current, &fields(), "us-east-1").unwrap_err().to_string();
            assert!(error.contains(&format!("fields {named} hold")), "{more}: {error}");
            assert!(!error.contains("old/secret") && !error.contains(here.as_str()), "{error}");
        }
        let others = r#" "host": "email-smtp.us-east-1.amazonaws.com", "user": "AKIA2", "password": "another", "n": 587,"#;
        let current = document("AKIA1EXAMPLE", secret.expose_secret(), others);
        assert_eq!(admit(&current, &fields(), "us-east-1"), Ok(()));
    }

    #[test]
    fn a_document_without_a_key_is_refused_without_being_quoted() {
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
    fn only_a_retired_or_lost_key_is_deleted() {
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
            to_delete(&keys, "current", previous, making, deactivated)
        };
        assert_eq!(plan(None, None, None, None), Ok(None));
        let foreign = |id: &str| Err(RotateError::ForeignKey { key: id.to_owned() });
        let deleted = |id: &str| Ok(Some(id.to_owned()));
        // The previous key is deleted only after this function deactivated it.
        let before = |active| Some(known("before", active, -5000));
        assert_eq!(plan(before(true), Some("before"), None, None), Err(RotateError::NotRetired));
        assert_eq!(plan(before(false), Some("before"), None, None), Err(RotateError::NotRetired));
        assert_eq!(plan(before(true), Some("before"), None, Some("before")), Err(RotateError::NotRetired));
        assert_eq!(plan(before(false), Some("before"), None, Some("before")), deleted("before"));
        // A key that an attempt made and lost.
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
        // It existed before the attempt began.
        assert_eq!(plan(Some(known("seen", true, 5)), None, Some(&making), None), foreign("seen"));
        // An attempt made it, and AWSCURRENT moved back from it, so it may be in use.
        let gone_back = plan(Some(known("x", true, 5)), Some("x"), Some(&making), None);
        assert_eq!(gone_back, Err(RotateError::NotRetired));
        let strange = to_delete(&[], "current", None, None, None);
        assert_eq!(strange, Err(RotateError::NotTheUsersKey { key: "current".to_owned() }));
    }
}
