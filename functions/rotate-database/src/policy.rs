//! The rules: which strategy, which password and proof, and what a pending value may differ in. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use shared::policy::{Generator, Rotation};
use shared::rotation::{InForce, RotationError, Step, invalid_tag};

use crate::alternating::Pair;
use crate::error::Why;
use shared::database::secret::Secret;
use shared::ledger::{self, InUse, NotInUse, Row};
use shared::secrets::Listed;

/// The tag by which a person vouches that a version is in use; it says nothing of the versions after it.
pub(crate) const IN_USE: &str = "rotation:in-use";

/// How long a version that was rotated waits for its follow-up: a sweep finds each within a day. After that there is none,
/// and a rotation that waits for it would wait for ever.
const FOLLOWED_WITHIN: SignedDuration = SignedDuration::from_hours(48);

/// Whether a version is in use: as the ledger says, or as a person vouches by a tag for this version.
pub(crate) fn in_use(
    arn: &str,
    current: &str,
    vouched: Option<&String>,
    rows: &[Row],
    now: Timestamp,
) -> Result<InUse, NotInUse> {
    let label = BTreeSet::from(["AWSCURRENT".to_owned()]);
    let labels = BTreeMap::from([(current.to_owned(), label)]);
    let listed = Listed { arn: arn.to_owned(), labels, ..Listed::default() };
    ledger::in_use(&listed, rows, vouched.is_some_and(|vouched| vouched == current), now)
}

/// Whether the current version may be replaced although it is not known to be in use. The next rotation changes the password
/// of the version before it, which tasks may use that were not deployed again. `age` is that of a version that was rotated.
pub(crate) fn may_replace(
    why: NotInUse,
    newest: Option<&Row>,
    age: Option<SignedDuration>,
) -> Result<(), NotInUse> {
    match why {
        // The version before is in use again, and that was proved.
        NotInUse::FollowupFailed if newest.is_some_and(|row| row.outcome == "rolled back") => Ok(()),
        // Nobody is left without a password.
        NotInUse::NoReader => Ok(()),
        NotInUse::NotFollowed if age.is_none_or(|age| age > FOLLOWED_WITHIN) => Ok(()),
        NotInUse::NotFollowed | NotInUse::FollowupFailed | NotInUse::Pinned => Err(why),
    }
}

/// How a credential is replaced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Strategy {
    /// The user changes its own password; the old one is dead at that moment.
    SingleUser,
    /// Two logins take turns; the old one lives until the next rotation.
    AlternatingUsers {
        /// ARN of the secret of the role that manages them.
        admin: String,
    },
}

/// The strategy of a secret: what its tags `rotation:strategy` and `rotation:admin-secret` say; else, with an admin
/// secret (`masterarn` of the secret itself, or the function's own), alternating users; else a single user.
pub(crate) fn strategy(
    tags: &BTreeMap<String, String>,
    masterarn: Option<&str>,
    default_admin: Option<&str>,
) -> Result<Strategy, RotationError> {
    if let Some(key) = tags.keys().find(|key| !matches!(key.as_str(), "strategy" | "admin-secret" | "in-use"))
    {
        return Err(invalid_tag(key, "unknown; expected strategy, admin-secret or in-use"));
    }
    let admin = tags.get("admin-secret").map(String::as_str).or(masterarn).or(default_admin);
    if admin.is_some_and(|admin| !admin.starts_with("arn:")) {
        return Err(invalid_tag("admin-secret", "expected the ARN of a secret"));
    }
    match (tags.get("strategy").map(String::as_str), admin) {
        (Some("single-user"), _) | (None, None) => Ok(Strategy::SingleUser),
        (Some("alternating-users") | None, Some(admin)) => {
            Ok(Strategy::AlternatingUsers { admin: admin.to_owned() })
        }
        (Some("alternating-users"), None) => Err(invalid_tag(
            "strategy",
            "alternating-users needs an admin secret: the stack's DatabaseAdminSecretArn or the tag rotation:admin-secret",
        )),
        (Some(_), _) => Err(invalid_tag("strategy", "expected single-user or alternating-users")),
    }
}

/// How the password of a secret is made, and the statements that prove a login; `name` is the policy's key.
pub(crate) fn rule<'a>(
    rotation: &'a Rotation,
    name: &str,
) -> Result<(Generator, &'a [String]), RotationError> {
    // The policy has been checked when it was read; what it says now cannot be wrong.
    let password = rotation.database.password.generator();
    let password = password.map_err(|error| RotationError::WrongForm { reason: error.to_string() })?;
    let entry = rotation.secrets.get(name).and_then(|secret| secret.test_sql.as_deref());
    Ok((password, entry.unwrap_or(&rotation.database.test_sql)))
}

/// The pair that a user is of.
pub(crate) fn pair(user: &str) -> Result<Pair, Why> {
    Pair::of(user).map_err(|reason| Why::NameTooLong { reason })
}

/// The user of the next credential.
pub(crate) fn next_user(strategy: &Strategy, current: &str) -> Result<String, Why> {
    match strategy {
        Strategy::SingleUser => Ok(current.to_owned()),
        Strategy::AlternatingUsers { .. } => Ok(pair(current)?.other(current).to_owned()),
    }
}

/// Which credential a step that failed after setSecret's note leaves in force; `single_user` when the note says that
/// the change ends the current password.
pub(crate) fn in_force(step: Step, single_user: bool) -> InForce {
    match step {
        _ if !single_user => InForce::Current,
        Step::CreateSecret => InForce::Current,
        Step::SetSecret => InForce::Unsure,
        Step::TestSecret | Step::FinishSecret => InForce::Pending,
    }
}

/// Checks that the pending value is the current one but for user and password, and names the user whose turn it is.
pub(crate) fn compare(strategy: &Strategy, pending: &Secret, current: &Secret) -> Result<(), Why> {
    let (new, old) = (pending.login(), current.login());
    let place =
        |field: &str| Why::Identity { reason: format!("AWSPENDING and AWSCURRENT name different {field}") };
    if !new.host.eq_ignore_ascii_case(&old.host) || new.port != old.port {
        return Err(place("hosts"));
    }
    if new.database != old.database {
        return Err(place("databases"));
    }
    if new.user != next_user(strategy, &old.user)? {
        return Err(place("users, and not the two that take turns"));
    }
    if new.password.expose_secret() == old.password.expose_secret() {
        let reason = "its password is the current one".to_owned();
        return Err(RotationError::PendingRejected { reason }.into());
    }
    if !pending.differs_only_in_login(current) {
        return Err(RotationError::CurrentChanged.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    const ADMIN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:admin-a1B2c3";
    const OTHER: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:other-a1B2c3";

    fn strategy_of(
        tags: &[(&str, &str)],
        masterarn: Option<&str>,
        default: Option<&str>,
    ) -> Result<Strategy, String> {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        strategy(&tags, masterarn, default).map_err(|error| error.to_string())
    }

    #[test]
    fn the_strategy_of_a_secret() {
        let two = |admin: &str| Ok(Strategy::AlternatingUsers { admin: admin.to_owned() });
        assert_eq!(strategy_of(&[], None, None), Ok(Strategy::SingleUser));
        assert_eq!(strategy_of(&[], None, Some(ADMIN)), two(ADMIN));
        assert_eq!(strategy_of(&[], Some(OTHER), Some(ADMIN)), two(OTHER));
        assert_eq!(strategy_of(&[("admin-secret", ADMIN)], Some(OTHER), None), two(ADMIN));
        assert_eq!(strategy_of(&[("strategy", "alternating-users")], None, Some(ADMIN)), two(ADMIN));
        let one = strategy_of(&[("strategy", "single-user")], Some(OTHER), Some(ADMIN));
        assert_eq!(one, Ok(Strategy::SingleUser));
        for (tags, reason) in [
            ([("strategy", "alternating-users")], "needs an admin secret"),
            ([("strategy", "two-users")], "expected single-user or alternating-users"),
            ([("admin-secret", "moveongs-dev-db-admin")], "expected the ARN"),
            ([("colour", "red")], "tag rotation:colour of the secret: unknown"),
        ] {
            let error = strategy_of(&tags, None, None).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_version_is_replaced_when_no_running_task_needs_the_one_before_it() {
        let row = |outcome: &str| Row {
            arn: "arn".to_owned(),
            version: "v2".to_owned(),
            previous: Some("v1".to_owned()),
            started: None,
            ended: Timestamp::UNIX_EPOCH,
            outcome: outcome.to_owned(),
            services: vec!["api".to_owned()],
            pinned: Vec::new(),
            reason: "manual".to_owned(),
        };
        let hours = |hours| Some(SignedDuration::from_hours(hours));
        for (rows, vouched, age, expected) in [
            (vec![row("proved")], None, hours(0), Ok(())),
            (vec![], None, hours(0), Err(NotInUse::NotFollowed)),
            (vec![], None, hours(48), Err(NotInUse::NotFollowed)),
            // No follow-up will come: it is switched off, or knows nothing of the secret.
            (vec![], None, hours(49), Ok(())),
            // A person's value, or the one from before the first rotation.
            (vec![], None, None, Ok(())),
            (vec![], Some("v2"), hours(0), Ok(())),
            (vec![], Some("v1"), hours(0), Err(NotInUse::NotFollowed)),
            (vec![row("failed")], None, hours(99), Err(NotInUse::FollowupFailed)),
            (vec![row("rolled back")], None, hours(0), Ok(())),
            (vec![Row { services: Vec::new(), ..row("unproved") }], None, hours(0), Ok(())),
            (
                vec![Row { pinned: vec!["api".to_owned()], ..row("proved") }],
                None,
                hours(0),
                Err(NotInUse::Pinned),
            ),
        ] {
            let vouched = vouched.map(str::to_owned);
            let found = in_use("arn", "v2", vouched.as_ref(), &rows, Timestamp::UNIX_EPOCH)
                .map(drop)
                .or_else(|why| may_replace(why, rows.first(), age));
            assert_eq!(found, expected, "{rows:?} {vouched:?} {age:?}");
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::parse(&SecretString::from(text.to_owned())).unwrap()
    }

    #[track_caller]
    fn check(strategy: &Strategy, pending: &str, current: &str, expected: Option<&str>) {
        let found = compare(strategy, &secret(pending), &secret(current)).map_err(|why| why.to_string());
        match expected {
            None => assert_eq!(found, Ok(())),
            Some(reason) => assert!(found.as_ref().is_err_and(|found| found.contains(reason)), "{found:?}"),
        }
    }

    #[test]
    fn what_a_pending_value_may_differ_in() {
        const CURRENT: &str = "postgres://imm:old-password@db.example:5432/app?sslmode=require";
        let one = &Strategy::SingleUser;
        let two = &Strategy::AlternatingUsers { admin: ADMIN.to_owned() };
        let with =
            |from: &str, to: &str| CURRENT.replace("old-password", "new-password").replacen(from, to, 1);
        let clone = CURRENT.replacen("imm", "imm_clone", 1);
        check(one, &with("", ""), CURRENT, None);
        check(two, &with("imm", "imm_clone"), CURRENT, None);
        check(two, &with("", ""), &clone, None);
        check(one, &with("imm", "imm_clone"), CURRENT, Some("users"));
        check(two, &with("", ""), CURRENT, Some("users"));
        check(two, &with("imm", "root"), CURRENT, Some("users"));
        check(one, &with("db.example", "db.attacker"), CURRENT, Some("hosts"));
        check(one, &with("5432", "5433"), CURRENT, Some("hosts"));
        check(one, &with("/app", "/other"), CURRENT, Some("databases"));
        check(one, &with("sslmode=require", "sslmode=disable"), CURRENT, Some("another part of the secret"));
        check(one, CURRENT, CURRENT, Some("its password is the current one"));
        check(two, &clone, CURRENT, Some("its password is the current one"));
    }

    #[test]
    fn a_single_users_current_password_is_dead_after_setsecret() {
        for (step, single, pair) in [
            (Step::CreateSecret, InForce::Current, InForce::Current),
            (Step::SetSecret, InForce::Unsure, InForce::Current),
            (Step::TestSecret, InForce::Pending, InForce::Current),
            (Step::FinishSecret, InForce::Pending, InForce::Current),
        ] {
            assert_eq!((in_force(step, true), in_force(step, false)), (single, pair), "{step}");
        }
    }

    #[test]
    fn the_proof_of_a_secret_is_its_own_or_everybodys() {
        let policy: shared::policy::Policy = "".parse().unwrap();
        let (_, own) = rule(&policy.rotation, "DATABASE_URL").unwrap();
        assert!(own.iter().any(|statement| statement.contains("beneficiaries")));
        let (password, general) = rule(&policy.rotation, "moveongs-dev-reports").unwrap();
        assert_eq!(general, policy.rotation.database.test_sql);
        // What needs no percent-encoding in a URL.
        let Generator::Characters { length, alphabet } = password else { panic!("not of characters") };
        assert!(length == 40 && alphabet.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)));
    }
}
