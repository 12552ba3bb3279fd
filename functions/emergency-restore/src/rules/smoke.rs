//! The meaning of the application's answers after the switch. No I/O, no clock.
//!
//! Source: observed on the running application.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::application::{Answered, Login};

/// One check of the application.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Check {
    /// Its name: `health`, `login`, `list`.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer, without secrets.
    pub detail: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// As expected.
    Passed,
    /// Not known, for a reason other than the database.
    Unproved,
    /// Not as expected.
    Failed,
}

pub(crate) fn check(name: &str, outcome: Outcome, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), outcome, detail: detail.into() }
}

/// `GET /health`. Only the application's own JSON counts: a proxy may answer in its place.
pub(crate) fn health(answered: &Answered) -> Check {
    const NAME: &str = "health";
    match answered {
        Ok(answer) => {
            let is_good = answer.status == 200 && answer.json().get("status").is_some_and(|it| it == "ok");
            check(NAME, if is_good { Outcome::Passed } else { Outcome::Failed }, answer.says())
        }
        Err(why) => check(NAME, Outcome::Failed, why),
    }
}

/// `POST /auth/login` with the account for smoke tests. The application reads the users from the database.
pub(crate) fn login(answered: &Answered) -> Check {
    const NAME: &str = "login";
    let answer = match answered {
        Ok(answer) => answer,
        Err(why) => return check(NAME, Outcome::Failed, why),
    };
    match answer.login() {
        Login::Token(_) => check(NAME, Outcome::Passed, answer.says()),
        Login::Masked => check(
            NAME,
            Outcome::Unproved,
            "the password was accepted, but the token is masked: RESPONSE_MASKING_ENABLED is on, so no one can log in",
        ),
        Login::SecondFactor => {
            check(NAME, Outcome::Unproved, "the password was accepted; the login requires a second factor")
        }
        // The restored data may be older than the account's last change of password.
        Login::Refused => check(NAME, Outcome::Unproved, "the account for smoke tests was refused: 401"),
        Login::NoToken => check(NAME, Outcome::Failed, "200 without a token"),
        Login::Limited | Login::Failed | Login::Unclear => check(NAME, Outcome::Failed, answer.says()),
    }
}

/// `POST /auth/login` with an account that does not exist: to refuse it, the application must read its database.
pub(crate) fn nobodys_login(answered: &Answered) -> Check {
    const NAME: &str = "login";
    match answered {
        Ok(answer) if answer.status == 401 => check(NAME, Outcome::Passed, "nobody was refused: 401"),
        Ok(answer) => check(NAME, Outcome::Failed, answer.says()),
        Err(why) => check(NAME, Outcome::Failed, why),
    }
}

/// `GET /beneficiaries` with the token of the login.
pub(crate) fn list(answered: &Answered) -> Check {
    const NAME: &str = "list";
    match answered {
        Ok(answer) if answer.status == 200 && answer.json().get("data").is_some_and(Value::is_array) => {
            check(NAME, Outcome::Passed, "200")
        }
        Ok(answer) if answer.status == 403 => check(
            NAME,
            Outcome::Unproved,
            "the account for smoke tests may not list beneficiaries; give it the role leitura_externa",
        ),
        Ok(answer) => check(NAME, Outcome::Failed, answer.says()),
        Err(why) => check(NAME, Outcome::Failed, why),
    }
}

/// Name of the check whether the application uses the new database.
pub(crate) const SESSIONS: &str = "sessions";

/// Sessions of the application's login at the new instance: most at once, or why they could not be counted.
pub(crate) fn sessions(user: &str, instance: &str, seen: Result<usize, String>) -> Check {
    match seen {
        Ok(0) => check(SESSIONS, Outcome::Failed, format!("the login {user} has no session at {instance}")),
        Ok(seen) => check(SESSIONS, Outcome::Passed, format!("{seen} of {user} at {instance}")),
        Err(why) => check(SESSIONS, Outcome::Failed, format!("at {instance} none could be counted: {why}")),
    }
}

/// The first failed check.
pub(crate) fn failed(checks: &[Check]) -> Option<&Check> {
    checks.iter().find(|check| check.outcome == Outcome::Failed)
}

#[cfg(test)]
mod tests {
    use shared::application::Answer;

    use super::*;

    fn answer(status: u16, body: &str) -> Answered {
        Ok(Answer { status, body: body.to_owned(), is_limited: false })
    }

    #[test]
    fn only_the_applications_own_answers_pass() {
        let refused = || Err("connection refused".to_owned());
        for (check, expected) in [
            (health(&answer(200, r#"{"status":"ok"}"#)), Outcome::Passed),
            (health(&answer(200, "OK")), Outcome::Failed),
            (health(&answer(503, "")), Outcome::Failed),
            (health(&refused()), Outcome::Failed),
            (login(&answer(200, r#"{"token":"aa.bb.cc"}"#)), Outcome::Passed),
            (login(&answer(200, r#"{"token":"******6789"}"#)), Outcome::Unproved),
            (login(&answer(202, "{}")), Outcome::Unproved),
            (login(&answer(401, "{}")), Outcome::Unproved),
            (login(&answer(500, "{}")), Outcome::Failed),
            (login(&refused()), Outcome::Failed),
            (nobodys_login(&answer(401, "{}")), Outcome::Passed),
            (nobodys_login(&answer(500, "{}")), Outcome::Failed),
            (nobodys_login(&answer(200, "{}")), Outcome::Failed),
            (nobodys_login(&refused()), Outcome::Failed),
            (list(&answer(200, r#"{"data":[]}"#)), Outcome::Passed),
            (list(&answer(200, "[]")), Outcome::Failed),
            (list(&answer(403, "{}")), Outcome::Unproved),
            (list(&answer(500, "{}")), Outcome::Failed),
            (list(&refused()), Outcome::Failed),
        ] {
            assert_eq!(check.outcome, expected, "{check:?}");
            assert!(!check.detail.contains("aa.bb"));
        }
        for (seen, expected, told) in [
            (Ok(0), Outcome::Failed, "no session at new"),
            (Ok(3), Outcome::Passed, "3 of imm at new"),
            (Err("refused".to_owned()), Outcome::Failed, "none could be counted: refused"),
        ] {
            let check = sessions("imm", "new", seen);
            assert!(check.outcome == expected && check.detail.contains(told), "{check:?}");
        }
        assert_eq!(failed(&[health(&answer(200, r#"{"status":"ok"}"#))]), None);
        assert!(
            failed(&[list(&answer(403, "")), login(&answer(500, ""))]).is_some_and(|it| it.name == "login")
        );
    }
}
