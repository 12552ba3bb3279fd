//! The strategy, the password rule, the proof, and the permitted differences of a pending value. No I/O, no clock.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use shared::database::secret::Secret;
use shared::policy::{Generator, Rotation};
use shared::rotation::{InForce, RotationError, Step, invalid_tag};
use shared::run::ledger::{InUse, NotInUse};

use crate::error::Why;
use crate::rules::pair::Pair;

/// How a credential is replaced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Strategy {
    /// The user changes its own password; the old one is refused from then on.
    SingleUser,
    /// Two logins take turns; the old one stays valid until the next rotation.
    AlternatingUsers {
        /// ARN of the secret of the administrator role.
        admin: String,
    },
}

/// The strategy of a secret: its tags `rotation:strategy` and `rotation:admin-secret`; else alternating users if it has
/// an admin secret (its own `masterarn`, or the function's default); else a single user.
///
/// For the secret that the template names, the template's parameters decide: a principal who may tag or write the
/// secret must not be able to stop the alternation or to choose the administrator.
pub(crate) fn strategy(
    tags: &BTreeMap<String, String>,
    masterarn: Option<&str>,
    default_admin: Option<&str>,
    is_the_templates: bool,
) -> Result<Strategy, RotationError> {
    let asked = asked(tags, masterarn, default_admin)?;
    if !is_the_templates {
        return Ok(asked);
    }
    let decided = without_tags(default_admin);
    match ["strategy", "admin-secret"].into_iter().find(|key| tags.contains_key(*key)) {
        _ if asked == decided => Ok(decided),
        Some(key) => Err(invalid_tag(
            key,
            "contradicts the stack, which decides how the secret that it names is rotated (DatabaseAdminSecretArn); remove the tag",
        )),
        None => Err(RotationError::WrongForm {
            reason: "its field masterarn names another admin secret than the stack's DatabaseAdminSecretArn, or that is empty; remove the field"
                .to_owned(),
        }),
    }
}

fn without_tags(admin: Option<&str>) -> Strategy {
    match admin {
        Some(admin) => Strategy::AlternatingUsers { admin: admin.to_owned() },
        None => Strategy::SingleUser,
    }
}

fn asked(
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
        (Some("single-user"), _) => Ok(Strategy::SingleUser),
        (Some("alternating-users"), Some(_)) | (None, _) => Ok(without_tags(admin)),
        (Some("alternating-users"), None) => Err(invalid_tag(
            "strategy",
            "alternating-users needs an admin secret: the stack's DatabaseAdminSecretArn or the tag rotation:admin-secret",
        )),
        (Some(_), _) => Err(invalid_tag("strategy", "expected single-user or alternating-users")),
    }
}

/// Whether a blue/green deployment with this status still has two databases, either of which may end up in use. Logical
/// replication does not copy roles and passwords, and RDS does not report the kind of replication.
///
/// Sources: BlueGreenDeployment in RDS's model; «PostgreSQL replication methods for blue/green deployments» in its
/// guide.
pub(crate) fn is_open(status: &str) -> bool {
    !matches!(status, "SWITCHOVER_COMPLETED" | "DELETING")
}

/// The password generator of a secret and the statements that prove its login; `name` is the secret's key in the
/// policy.
pub(crate) fn rule<'a>(
    rotation: &'a Rotation,
    name: &str,
) -> Result<(Generator, &'a [String]), RotationError> {
    // The policy was validated when it was read, so this cannot fail.
    let password = rotation.database.password.generator();
    let password = password.map_err(|error| RotationError::WrongForm { reason: error.to_string() })?;
    let entry = rotation.secrets.get(name).and_then(|secret| secret.test_sql.as_deref());
    Ok((password, entry.unwrap_or(&rotation.database.test_sql)))
}

/// The tag by which an operator confirms that a version is in use. It does not cover later versions.
pub(crate) const IN_USE: &str = "rotation:in-use";

/// How long a version may wait for its follow-up, whose sweep runs every day.
const FOLLOWED: SignedDuration = SignedDuration::from_hours(24);

/// Why a new rotation must wait: tasks may still use the login whose password it would change.
///
/// `made` is the time when a rotation made the current version; none if no rotation did. A version without a follow-up
/// blocks rotations for one day only.
pub(crate) fn waits_for(
    in_use: Result<InUse, NotInUse>,
    made: Option<Timestamp>,
    now: Timestamp,
) -> Option<NotInUse> {
    match in_use {
        Ok(_) | Err(NotInUse::NoReader) => None,
        Err(why @ NotInUse::NotFollowed) => {
            made.filter(|made| now.duration_since(*made) < FOLLOWED).map(|_| why)
        }
        Err(why @ (NotInUse::FollowupFailed | NotInUse::Pinned)) => Some(why),
    }
}

/// The pair of a user.
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

/// The credential in force after a step failed with setSecret's note present; `single_user` if the noted change ends
/// the current password.
pub(crate) fn in_force(step: Step, single_user: bool) -> InForce {
    match step {
        _ if !single_user => InForce::Current,
        // Secrets Manager repeats a rotation from its first step, even after setSecret.
        Step::CreateSecret | Step::SetSecret => InForce::Unsure,
        Step::TestSecret | Step::FinishSecret => InForce::Pending,
    }
}

/// Checks that the pending value differs from the current one only in user and password, and that the user is the next.
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
        strategy(&tags, masterarn, default, false).map_err(|error| error.to_string())
    }

    #[test]
    fn the_stack_decides_for_the_secret_that_it_names() {
        let of = |tags: &[(&str, &str)], masterarn, default| {
            let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            strategy(&tags, masterarn, default, true).map_err(|error| error.to_string())
        };
        let two = |admin: &str| Ok(Strategy::AlternatingUsers { admin: admin.to_owned() });
        assert_eq!(of(&[], None, None), Ok(Strategy::SingleUser));
        assert_eq!(of(&[], None, Some(ADMIN)), two(ADMIN));
        // A tag that repeats the stack's choice is harmless.
        assert_eq!(of(&[("strategy", "alternating-users")], Some(ADMIN), Some(ADMIN)), two(ADMIN));
        assert_eq!(of(&[("strategy", "single-user")], None, None), Ok(Strategy::SingleUser));
        assert_eq!(of(&[("admin-secret", ADMIN), ("in-use", "v1")], None, Some(ADMIN)), two(ADMIN));
        for (tags, masterarn, default, part) in [
            (&[("strategy", "single-user")][..], None, Some(ADMIN), "tag rotation:strategy"),
            (&[("admin-secret", OTHER)], None, Some(ADMIN), "tag rotation:admin-secret"),
            (&[("admin-secret", OTHER)], None, None, "tag rotation:admin-secret"),
            (&[], Some(OTHER), Some(ADMIN), "field masterarn"),
            (&[], Some(ADMIN), None, "field masterarn"),
        ] {
            let error = of(tags, masterarn, default).unwrap_err();
            assert!(error.contains(part) && error.contains("DatabaseAdminSecretArn"), "{error}");
        }
    }

    #[test]
    fn a_blue_green_deployment_is_open_until_it_is_switched_over_or_given_up() {
        // The statuses of RDS's model, and one that it may add.
        for open in ["PROVISIONING", "AVAILABLE", "SWITCHOVER_IN_PROGRESS", "INVALID_CONFIGURATION"] {
            assert!(is_open(open), "{open}");
        }
        assert!(is_open("SWITCHOVER_FAILED") && is_open("PAUSED") && is_open(""));
        assert!(!is_open("SWITCHOVER_COMPLETED") && !is_open("DELETING"));
    }

    #[test]
    fn a_rotation_waits_until_the_current_version_is_in_use() {
        let at = |hours: i64| Timestamp::from_second(1_772_366_400 + 3600 * hours).unwrap();
        let used = Ok(InUse { since: at(0), is_incident: false });
        let wait = |in_use, made, now| waits_for(in_use, made, at(now));
        assert_eq!(wait(used, Some(at(0)), 1), None);
        assert_eq!(wait(Err(NotInUse::NoReader), Some(at(0)), 1), None);
        let unfollowed = Err(NotInUse::NotFollowed);
        assert_eq!(wait(unfollowed, Some(at(0)), 23), Some(NotInUse::NotFollowed));
        assert_eq!(wait(unfollowed, Some(at(0)), 24), None);
        // Made by hand, or before the follow-up was deployed.
        assert_eq!(wait(unfollowed, None, 1), None);
        for why in [NotInUse::FollowupFailed, NotInUse::Pinned] {
            assert_eq!(wait(Err(why), None, 999), Some(why));
        }
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
    fn a_pending_value_differs_only_in_user_and_password() {
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
            // Secrets Manager repeats a rotation from its first step.
            (Step::CreateSecret, InForce::Unsure, InForce::Current),
            (Step::SetSecret, InForce::Unsure, InForce::Current),
            (Step::TestSecret, InForce::Pending, InForce::Current),
            (Step::FinishSecret, InForce::Pending, InForce::Current),
        ] {
            assert_eq!((in_force(step, true), in_force(step, false)), (single, pair), "{step}");
        }
    }

    #[test]
    fn a_secret_without_a_proof_of_its_own_gets_the_general_one() {
        let policy: shared::policy::Policy = "".parse().unwrap();
        let (_, own) = rule(&policy.rotation, "DATABASE_URL").unwrap();
        assert!(own.iter().any(|statement| statement.contains("beneficiaries")));
        let (password, general) = rule(&policy.rotation, "moveongs-dev-reports").unwrap();
        assert_eq!(general, policy.rotation.database.test_sql);
        // Characters that need no percent-encoding in a URL.
        let Generator::Characters { length, alphabet } = password else { panic!("not of characters") };
        assert!(length == 40 && alphabet.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)));
    }
}
