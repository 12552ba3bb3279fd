//! Proofs: the meaning of the application's answers. No I/O, no clock.
//!
//! Source for the answers: observed on the running application; [JWT](https://www.rfc-editor.org/rfc/rfc7519),
//! [HS256](https://www.rfc-editor.org/rfc/rfc7518#section-3.2).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use shared::application::{Answer, Answered, Login};

use super::failure::Failed;
use super::kind::Kind;

/// Requests per proof: a load balancer distributes them, and every task must give the same answer.
pub(crate) const ROUNDS: usize = 5;

/// Lifetime of a token that this function signs, in seconds.
const TOKEN_SECONDS: i64 = 120;

/// One check against the application or its database.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Proof {
    /// Name of the check, in English.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Stable name of the reason why it was not proved; empty if it passed.
    pub kind: Kind,
    /// The answer, without secrets.
    pub detail: String,
    /// The policy's key of the secret that it concerns; empty for the application as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
}

impl Proof {
    /// Assigns the proof to one secret.
    pub(crate) fn of(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    /// Renames a token's proof for a secret whose label moved back: its value in force is the restored one.
    pub(crate) fn of_restored(self) -> Self {
        let name = match self.name.as_str() {
            NEW_TOKEN => "token of the restored secret",
            OLD_TOKEN => "token of the withdrawn secret",
            other => other,
        };
        Self { name: name.to_owned(), ..self }
    }

    /// Whether it belongs in a secret's row: it concerns that secret or the application as a whole.
    pub(crate) fn concerns(&self, key: &str) -> bool {
        self.key.is_empty() || self.key == key
    }

    /// Whether the application's rate limit prevented the proof, which does not implicate a value.
    pub(crate) fn is_limited(&self) -> bool {
        self.kind == Kind::RateLimited
    }

    /// Whether it failed because the application accepted or refused a token unexpectedly.
    pub(crate) fn is_about_tokens(&self) -> bool {
        matches!(self.kind, Kind::NewTokenRefused | Kind::OldTokenAccepted)
    }

    /// Whether it shows that the application refuses a token signed with the old key.
    pub(crate) fn is_refusal_of_old(&self) -> bool {
        self.name == OLD_TOKEN && self.outcome == Outcome::Passed
    }

    /// Marks a failed proof as unproved, because the value did not cause the failure.
    pub(crate) fn excuse(&mut self) {
        if self.outcome == Outcome::Failed {
            self.outcome = Outcome::Unproved;
        }
    }

    /// Marks a rate-limited proof as unproved, at the last attempt.
    pub(crate) fn give_up(&mut self) {
        if self.is_limited() {
            self.excuse();
        }
    }
}

/// Why a login with a credential failed, without secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    /// Stable name.
    pub kind: Kind,
    /// The answer.
    pub why: String,
    /// Whether the application certainly cannot log in with it either, from any network.
    pub is_certain: bool,
}

/// How a proof ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected. This may change while tasks are replaced and connections drain.
    Failed,
    /// Unknown, for a reason other than the secret.
    Unproved,
}

/// Verdict on all proofs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing failed.
    Proved,
    /// A proof failed, and is tried again.
    Again,
    /// A proof failed at the last attempt.
    Failed(Failed),
}

const NEW_TOKEN: &str = "token of the new secret";

const OLD_TOKEN: &str = "token of the old secret";

/// Shortest signing key with which the application starts, in UTF-16 code units. Source: observed on the running
/// application.
const KEY_LENGTH: usize = 32;

/// The reason why the application does not start with a signing key, if the key is too short.
pub(crate) fn too_short(key: &SecretString) -> Option<String> {
    let length = key.expose_secret().encode_utf16().count();
    (length < KEY_LENGTH).then(|| format!("length {length} < {KEY_LENGTH}"))
}

/// A text field of a JSON value, if it exists.
pub(crate) fn field(value: &SecretString, name: &str) -> Option<SecretString> {
    let document: BTreeMap<String, Value> = serde_json::from_str(value.expose_secret()).ok()?;
    document.get(name).and_then(Value::as_str).map(SecretString::from)
}

/// A failed proof for proofs that ran out of time.
pub(crate) fn late(why: &str) -> Proof {
    proof("proofs", Outcome::Failed, Kind::Unreachable, why)
}

/// A failed proof for requests not sent because of the application's rate limit.
pub(crate) fn limited() -> Proof {
    proof("application", Outcome::Failed, Kind::RateLimited, "")
}

fn proof(name: &str, outcome: Outcome, kind: impl Into<Kind>, detail: impl Into<String>) -> Proof {
    Proof { name: name.to_owned(), outcome, kind: kind.into(), detail: detail.into(), key: String::new() }
}

/// A proof that cannot be made, for a reason other than the secret.
pub(crate) fn unproved(name: &str, kind: Kind, detail: &str) -> Proof {
    proof(name, Outcome::Unproved, kind, detail)
}

/// Combines the answers of all rounds into one proof: passed if all satisfy `is_good`; otherwise the clearest bad
/// answer counts.
fn all(
    name: &str,
    kind: impl Fn(&Answer) -> Kind,
    answers: &[Answered],
    is_good: impl Fn(&Answer) -> bool,
) -> Proof {
    let is_bad = |answered: &&Answered| !answered.as_ref().is_ok_and(&is_good);
    let bad = answers.iter().filter(is_bad).count();
    // Prefer a definite refusal over an unclear answer.
    let is_unclear = |answered: &&Answered| !matches!(answered, Ok(answer) if !answer.is_limited && kind(answer) != Kind::UnclearAnswer);
    match answers.iter().filter(is_bad).min_by_key(is_unclear) {
        None => {
            let detail = answers.iter().flatten().next().map(Answer::says);
            proof(name, Outcome::Passed, "", detail.unwrap_or_default())
        }
        Some(Err(why)) => {
            proof(name, Outcome::Failed, Kind::Unreachable, format!("{why} ({bad}/{})", answers.len()))
        }
        Some(Ok(answer)) => {
            let kind = if answer.is_limited { Kind::RateLimited } else { kind(answer) };
            let detail = format!("{} ({bad}/{})", answer.says(), answers.len());
            proof(name, Outcome::Failed, kind, detail)
        }
    }
}

/// `GET /health`. Only the application's own JSON counts, because a proxy may answer in its place.
pub(crate) fn health(answers: &[Answered]) -> Proof {
    all(
        "health",
        |_| Kind::HealthFailed,
        answers,
        |answer| answer.status == 200 && answer.json().get("status").is_some_and(|status| status == "ok"),
    )
}

/// A request with a powerless token signed with the new key: a task that knows the key answers 403, any other task 401.
pub(crate) fn new_token(answers: &[Answered]) -> Proof {
    let kind =
        |answer: &Answer| if answer.status == 401 { Kind::NewTokenRefused } else { Kind::UnclearAnswer };
    all(NEW_TOKEN, kind, answers, |answer| is_accepted(answer.status))
}

/// The same with a token signed with the old key.
pub(crate) fn old_token(answers: &[Answered]) -> Proof {
    let kind = |answer: &Answer| {
        if is_accepted(answer.status) { Kind::OldTokenAccepted } else { Kind::UnclearAnswer }
    };
    all(OLD_TOKEN, kind, answers, |answer| answer.status == 401)
}

fn is_accepted(status: u16) -> bool {
    matches!(status, 200 | 403)
}

/// `POST /auth/login` with an account that does not exist. The application must read its database to refuse it.
pub(crate) fn nobodys_login(answers: &[Answered]) -> Proof {
    let kind =
        |answer: &Answer| if answer.status == 500 { Kind::DatabaseRefused } else { Kind::UnclearAnswer };
    all("login of nobody", kind, answers, |answer| answer.status == 401)
}

/// `POST /auth/login` with the account for smoke tests. Also returns the token.
pub(crate) fn login(answered: &Answered) -> (Proof, Option<SecretString>) {
    const NAME: &str = "login";
    let answer = match answered {
        Ok(answer) => answer,
        Err(why) => return (proof(NAME, Outcome::Failed, Kind::Unreachable, why), None),
    };
    let detail = answer.says();
    let found = match answer.login() {
        Login::Token(token) => return (proof(NAME, Outcome::Passed, "", detail), Some(token)),
        Login::Masked => unproved(
            NAME,
            Kind::MaskedLogin,
            "the password was accepted, but the token is masked: RESPONSE_MASKING_ENABLED is on, so no one can log in",
        ),
        Login::SecondFactor => unproved(
            NAME,
            Kind::SecondFactor,
            "the password was accepted, but the login requires a second factor",
        ),
        Login::Refused => unproved(
            NAME,
            Kind::SmokeLoginRefused,
            "the login with the account for smoke tests was refused: check the secret of the template's SmokeSecretName",
        ),
        Login::NoToken => proof(NAME, Outcome::Failed, Kind::LoginFailed, "200 without a token"),
        Login::Limited => proof(NAME, Outcome::Failed, Kind::RateLimited, detail),
        Login::Failed => proof(NAME, Outcome::Failed, Kind::LoginFailed, detail),
        Login::Unclear => proof(NAME, Outcome::Failed, Kind::UnclearAnswer, detail),
    };
    (found, None)
}

/// `GET /beneficiaries` with the token of that login.
pub(crate) fn list(answered: &Answered) -> Proof {
    const NAME: &str = "list of beneficiaries";
    match answered {
        Ok(answer) if answer.status == 200 && answer.json().get("data").is_some_and(Value::is_array) => {
            proof(NAME, Outcome::Passed, "", "200")
        }
        Ok(answer) if answer.status == 403 => unproved(
            NAME,
            Kind::NotPermitted,
            "the account for smoke tests may not list beneficiaries; give it the role leitura_externa",
        ),
        Ok(answer) if answer.is_limited => proof(NAME, Outcome::Failed, Kind::RateLimited, answer.says()),
        // A task has just signed this token, so another task does not know the key.
        Ok(answer) if answer.status == 401 => {
            proof(NAME, Outcome::Failed, Kind::NewTokenRefused, answer.says())
        }
        Ok(answer) if matches!(answer.status, 200 | 500) => {
            proof(NAME, Outcome::Failed, Kind::ListFailed, answer.says())
        }
        Ok(answer) => proof(NAME, Outcome::Failed, Kind::UnclearAnswer, answer.says()),
        Err(why) => proof(NAME, Outcome::Failed, Kind::Unreachable, why),
    }
}

/// A login to the database with the current value, as the application does it. A database that this function cannot
/// reach does not implicate the value: the application may have another route.
pub(crate) fn database_login(answered: Result<(), Refused>) -> Proof {
    const NAME: &str = "login to the database";
    match answered {
        Ok(()) => proof(NAME, Outcome::Passed, "", "AWSCURRENT"),
        Err(Refused { kind: kind @ (Kind::Network | Kind::Tls | Kind::ConnectionLimit), why, .. }) => {
            proof(NAME, Outcome::Unproved, kind, why)
        }
        Err(Refused { kind, why, .. }) => proof(NAME, Outcome::Failed, kind, why),
    }
}

/// The verdict on all proofs; `is_last` at the last attempt.
pub(crate) fn verdict(proofs: &[Proof], is_last: bool) -> Verdict {
    // Prefer a failure that implicates a value over one of the route to the application.
    let failed = proofs.iter().filter(|proof| proof.outcome == Outcome::Failed);
    let is_vague = |proof: &&Proof| {
        [Kind::HealthFailed, Kind::Unreachable, Kind::RateLimited, Kind::UnclearAnswer].contains(&proof.kind)
    };
    match failed.min_by_key(is_vague) {
        None => Verdict::Proved,
        Some(_) if !is_last => Verdict::Again,
        Some(failed) => Verdict::Failed(Failed::of(
            &failed.key,
            failed.kind.clone(),
            format!("{}: {}", failed.name, failed.detail),
        )),
    }
}

/// A token in the application's format, for no user and without any right, valid for two minutes.
pub(crate) fn powerless_token(secret: &SecretString, now: Timestamp) -> SecretString {
    let issued = now.as_second();
    let claims = json!({
        "sub": "00000000-0000-0000-0000-000000000000",
        "email": "rotation-followup@governance.invalid",
        "name": "rotation-followup",
        "roles": [],
        "projectScopes": [],
        "permissions": [],
        "iat": issued,
        "exp": issued + TOKEN_SECONDS,
    });
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(&claims));
    // HMAC accepts a key of any length.
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    let signature = mac.map(|mac| mac.chain_update(&signed).finalize().into_bytes());
    SecretString::from(format!(
        "{signed}.{}",
        signature.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use shared::application::is_jwt;

    use super::*;

    fn answer(status: u16, body: &str) -> Answered {
        Ok(Answer { status, body: body.to_owned(), is_limited: false })
    }

    fn result(proof: &Proof) -> (Outcome, &str) {
        (proof.outcome, proof.kind.as_str())
    }

    const UNAUTHORIZED: &str = r#"{"message":"Unauthorized"}"#;
    const FORBIDDEN: &str = r#"{"message":"Insufficient permissions"}"#;

    #[test]
    fn only_the_applications_own_health_counts() {
        assert_eq!(result(&health(&[answer(200, r#"{"status":"ok"}"#)])), (Outcome::Passed, ""));
        assert_eq!(result(&health(&[answer(200, "OK")])), (Outcome::Failed, "HealthFailed"));
        assert_eq!(result(&health(&[answer(503, "<html>")])), (Outcome::Failed, "HealthFailed"));
        assert_eq!(result(&health(&[Err("refused".to_owned())])), (Outcome::Failed, "Unreachable"));
        let limited = Ok(Answer { status: 500, body: String::new(), is_limited: true });
        assert_eq!(result(&health(&[limited])), (Outcome::Failed, "RateLimited"));
    }

    #[test]
    fn every_task_must_accept_or_refuse_a_token() {
        let (yes, no) = (answer(403, FORBIDDEN), answer(401, UNAUTHORIZED));
        let proof = new_token(&[yes.clone(), yes.clone()]);
        assert_eq!(
            (result(&proof), proof.detail.as_str()),
            ((Outcome::Passed, ""), r#"403 {"message":"Insufficient permissions"}"#)
        );
        let mixed = new_token(&[yes.clone(), no.clone(), yes.clone()]);
        assert_eq!(result(&mixed), (Outcome::Failed, "NewTokenRefused"));
        assert!(mixed.detail.ends_with("(1/3)"), "{}", mixed.detail);
        let slow = new_token(&[Err("late".to_owned()), answer(503, ""), no.clone()]);
        assert_eq!(result(&slow), (Outcome::Failed, "NewTokenRefused"));
        assert_eq!(result(&list(&no)), (Outcome::Failed, "NewTokenRefused"));
        let refused = old_token(&[no.clone(), no.clone()]);
        assert_eq!(
            (result(&refused), refused.detail.as_str()),
            ((Outcome::Passed, ""), r#"401 {"message":"Unauthorized"}"#)
        );
        assert_eq!(result(&old_token(&[no, yes])), (Outcome::Failed, "OldTokenAccepted"));
        for unclear in
            [old_token(&[answer(503, "")]), new_token(&[answer(503, "")]), nobodys_login(&[answer(503, "")])]
        {
            assert_eq!(result(&unclear), (Outcome::Failed, "UnclearAnswer"));
        }
    }

    #[test]
    fn a_login_fails_only_for_reasons_of_the_application() {
        let (proof, token) = login(&answer(200, r#"{"token":"aa.bb-_.cc","refreshToken":"x"}"#));
        assert_eq!(result(&proof), (Outcome::Passed, ""));
        assert_eq!(token.unwrap().expose_secret(), "aa.bb-_.cc");
        assert!(!format!("{proof:?}").contains("aa.bb"));
        for (status, body, outcome, kind) in [
            (200, r#"{"token":"**********6789"}"#, Outcome::Unproved, "MaskedLogin"),
            (200, r#"{"token":"a.b"}"#, Outcome::Failed, "LoginFailed"),
            (202, r#"{"mfaRequired":true}"#, Outcome::Unproved, "SecondFactor"),
            (401, r#"{"message":"Invalid credentials"}"#, Outcome::Unproved, "SmokeLoginRefused"),
            (500, r#"{"message":"Internal server error"}"#, Outcome::Failed, "LoginFailed"),
        ] {
            let (proof, token) = login(&answer(status, body));
            assert_eq!(result(&proof), (outcome, kind), "{status} {body}");
            assert!(token.is_none());
        }
    }

    #[test]
    fn the_database_behind_the_application() {
        assert_eq!(result(&nobodys_login(&[answer(401, "")])), (Outcome::Passed, ""));
        assert_eq!(result(&nobodys_login(&[answer(500, "")])), (Outcome::Failed, "DatabaseRefused"));
        assert_eq!(result(&list(&answer(200, r#"{"data":[]}"#))), (Outcome::Passed, ""));
        assert_eq!(result(&list(&answer(200, "{}"))), (Outcome::Failed, "ListFailed"));
        assert_eq!(result(&list(&answer(403, FORBIDDEN))), (Outcome::Unproved, "NotPermitted"));
        assert_eq!(result(&list(&answer(500, ""))), (Outcome::Failed, "ListFailed"));
        assert_eq!(result(&database_login(Ok(()))), (Outcome::Passed, ""));
        let refused = |kind| database_login(Err(Refused { kind, why: "why".to_owned(), is_certain: false }));
        assert_eq!(result(&refused(Kind::Auth)), (Outcome::Failed, "Auth"));
        assert_eq!(result(&refused(Kind::Network)), (Outcome::Unproved, "Network"));
    }

    #[test]
    fn a_failed_proof_is_repeated_until_the_last_attempt() {
        let bad = old_token(&[answer(200, "")]);
        let fine = unproved("login", Kind::MaskedLogin, "masked");
        assert_eq!(verdict(std::slice::from_ref(&fine), true), Verdict::Proved);
        assert_eq!(verdict(&[fine.clone(), bad.clone()], false), Verdict::Again);
        let Verdict::Failed(failed) = verdict(&[fine, bad], true) else { panic!("not failed") };
        assert_eq!(
            (failed.kind.as_str(), failed.detail.as_str()),
            ("OldTokenAccepted", "token of the old secret: 200 (1/1)")
        );
    }

    #[test]
    fn a_lasting_rate_limit_neither_proves_nor_disproves() {
        let limited = Answer { status: 500, body: String::new(), is_limited: true };
        let mut proofs = vec![health(&[Ok(limited)]), unproved("login", Kind::SecondFactor, "")];
        assert_eq!(verdict(&proofs, false), Verdict::Again);
        proofs.iter_mut().for_each(Proof::give_up);
        assert_eq!(result(&proofs[0]), (Outcome::Unproved, "RateLimited"));
        assert_eq!(verdict(&proofs, true), Verdict::Proved);
        // Other failures still count.
        proofs.push(new_token(&[answer(401, UNAUTHORIZED)]));
        proofs.iter_mut().for_each(Proof::give_up);
        assert!(matches!(verdict(&proofs, true), Verdict::Failed(_)));
    }

    #[test]
    fn a_short_key_keeps_the_application_from_starting() {
        let short = |key: &str| too_short(&SecretString::from(key));
        assert_eq!(short(&"a".repeat(31)).unwrap(), "length 31 < 32");
        assert_eq!((short(&"a".repeat(32)), short(&"é".repeat(32))), (None, None));
        // JavaScript counts this character as two.
        assert_eq!(short(&"𝄞".repeat(16)), None);
        let value = SecretString::from(r#"{"key": "k", "number": 5}"#);
        assert_eq!(field(&value, "key").unwrap().expose_secret(), "k");
        assert!(field(&value, "number").is_none() && field(&value, "other").is_none());
        assert!(field(&SecretString::from("plain"), "key").is_none());
    }

    #[test]
    fn a_token_is_signed_as_the_standard_says() {
        let token = powerless_token(
            &SecretString::from("a".repeat(40)),
            Timestamp::from_second(1_772_366_400).unwrap(),
        );
        let token = token.expose_secret();
        assert!(is_jwt(token));
        let parts: Vec<_> = token.split('.').collect();
        assert_eq!(URL_SAFE_NO_PAD.decode(parts[0]).unwrap(), br#"{"alg":"HS256","typ":"JWT"}"#);
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!((&claims["roles"], &claims["exp"]), (&json!([]), &json!(1_772_366_520)));
        assert_eq!(URL_SAFE_NO_PAD.decode(parts[2]).unwrap().len(), 32);
    }
}
