use jiff::Timestamp;
use shared::database::{DatabaseError, ErrorKind};
use shared::rotation::{RotationError, Step};
use shared::run::command::secrets;
use shared::run::documents::DocumentError;
use shared::runtime::failure::{CallError, Failure};

use super::*;

const CLEAR: &str = "--version-stage AWSPENDING --remove-from-version-id 4f1c2a7e";
const ROTATE: &str = "aws secretsmanager rotate-secret --secret-id arn:";
const PUT: &str = "put-secret-value --secret-id /moveongs/dev/x --secret-string file://valor.txt";
const LIST: &str = "iam list-access-keys --user-name mailer";

fn advice(error: &RotateError, step: Step, is_admin: bool, language: Language) -> Advice {
    let request = Request {
        secret_id: "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/x-a1B2c3".to_owned(),
        token: "4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10".to_owned(),
        rotation_token: None,
        step,
    };
    let clear = secrets::clear(&request.secret_id, &request.token).code();
    let rotate = secrets::rotate(&request.secret_id).code();
    let names = Names {
        secret: "/moveongs/dev/x",
        function: "moveongs-dev-rotate-external",
        user: "mailer",
        is_admin,
        adopt_commands: format!("`aws secretsmanager {PUT}`, {rotate}"),
        off_commands: format!("`aws secretsmanager cancel-rotate-secret --secret-id arn:x`, {clear}"),
        again_commands: format!("{clear}, {rotate}"),
    };
    error.advise(language, &request, &names)
}

fn database(sqlstate: Option<&str>) -> RotateError {
    RotateError::Database(DatabaseError {
        kind: ErrorKind::Permission,
        during: "change the administrator's password",
        target: "app@db:5432/app".to_owned(),
        sqlstate: sqlstate.map(str::to_owned),
        reason: "permission denied for table users".to_owned(),
    })
}

fn database_login(sqlstate: &str) -> RotateError {
    RotateError::Database(DatabaseError {
        kind: ErrorKind::ConnectionLimit,
        during: "log in",
        target: "app@db:5432/app".to_owned(),
        sqlstate: Some(sqlstate.to_owned()),
        reason: "too many connections".to_owned(),
    })
}

fn call(operation: &'static str, code: &str) -> CallError {
    CallError { operation, code: code.to_owned(), message: "no".to_owned() }
}

/// The value in force after each failure, and the commands of its next step. `tests/e2e/rotate_external.rs` runs each
/// command in the state that its message describes.
#[test]
fn each_failure_names_the_value_in_force_and_its_commands() {
    use InForce::{Current, Nothing, Pending, Unsure};
    use Step::{CreateSecret, FinishSecret, SetSecret, TestSecret};
    let email = || "admin@imm.local".to_owned();
    let answer = || "500".to_owned();
    let late = || {
        RotationError::Deadline(shared::runtime::lambda::DeadlineExceeded {
            allowed: std::time::Duration::from_secs(20),
        })
    };
    let token = || "4f1c2a7e".to_owned();
    let at = Timestamp::UNIX_EPOCH;
    let (mail, admin) = (false, true);
    let rows: Vec<(RotateError, bool, Step, InForce, &[&str])> = vec![
        // The issuer accepts both credentials until the previous one is retired.
        (RotateError::NotOurs { name: "x".to_owned() }, mail, CreateSecret, Current, &[]),
        (RotateError::Issuance(DocumentError::Contended(String::new())), mail, CreateSecret, Current, &[]),
        (RotateError::Busy { until: at }, mail, CreateSecret, Current, &[]),
        (RotateError::NotRetired, mail, CreateSecret, Current, &["lambda invoke"]),
        (
            RotateError::NotTheUsersKey { key: "AKIA1".to_owned() },
            mail,
            CreateSecret,
            Current,
            &[LIST, PUT, ROTATE],
        ),
        (
            RotateError::ForeignKey { key: "AKIA2".to_owned() },
            mail,
            CreateSecret,
            Current,
            &[
                "get-access-key-last-used --access-key-id AKIA2",
                "delete-access-key --user-name mailer --access-key-id AKIA2",
            ],
        ),
        (RotateError::Iam(call("iam:CreateAccessKey", "AccessDenied")), mail, CreateSecret, Current, &[LIST]),
        (
            RotateError::PendingKeyGone { key: "AKIA3".to_owned() },
            mail,
            TestSecret,
            Current,
            &[CLEAR, ROTATE],
        ),
        (
            RotateError::KeyRefused { which: "pending", key: "AKIA4".to_owned() },
            mail,
            TestSecret,
            Current,
            &[LIST, CLEAR, ROTATE],
        ),
        (
            RotateError::Mail { which: "pending", call: call("ses:SendEmail", "MessageRejected") },
            mail,
            FinishSecret,
            Current,
            &[],
        ),
        (RotateError::TokenRefused { which: "current" }, mail, CreateSecret, Current, &[PUT, ROTATE]),
        (RotateError::TokenRefused { which: "pending" }, mail, TestSecret, Current, &[CLEAR, ROTATE]),
        (RotateError::ForeignToken, mail, CreateSecret, Current, &[]),
        (RotateError::AccountClosed { status: "suspended".to_owned() }, mail, TestSecret, Current, &[]),
        (RotateError::TwilioLimited, mail, FinishSecret, Current, &[]),
        (RotateError::Twilio { reason: "no".to_owned() }, mail, CreateSecret, Current, &[]),
        (
            RotationError::ForeignPending { token: token() }.into(),
            mail,
            TestSecret,
            Current,
            &[CLEAR, ROTATE],
        ),
        // setSecret stores the administrator's password at GitHub first, then in the database.
        (late().into(), admin, CreateSecret, Current, &[]),
        (RotateError::Seal, admin, SetSecret, Current, &[]),
        (
            RotateError::NotUpdated { name: "N".to_owned(), updated_at: at },
            admin,
            SetSecret,
            Current,
            &["gh secret list"],
        ),
        (RotateError::PasswordOfOthers { email: email() }, admin, SetSecret, Nothing, &[PUT, ROTATE]),
        (RotateError::Hash, admin, SetSecret, Nothing, &[PUT, ROTATE]),
        (RotateError::SeveralUsers { count: 2 }, admin, SetSecret, Current, &["SELECT id, email FROM users"]),
        (
            RotateError::UserInactive { email: email() },
            admin,
            SetSecret,
            Current,
            &["UPDATE users SET is_active", "cancel-rotate-secret", CLEAR],
        ),
        (database(Some("42501")), admin, SetSecret, Current, &[]),
        (database(None), admin, SetSecret, Unsure, &[]),
        // A refused login does not show an earlier attempt's changes.
        (database_login("53300"), admin, SetSecret, Unsure, &[]),
        (late().into(), admin, SetSecret, Unsure, &[]),
        (RotateError::HashMoved, admin, SetSecret, Unsure, &[]),
        (
            RotationError::ForeignPending { token: token() }.into(),
            admin,
            SetSecret,
            Current,
            &[CLEAR, ROTATE],
        ),
        (
            RotationError::ForeignPending { token: token() }.into(),
            admin,
            TestSecret,
            Current,
            &[CLEAR, ROTATE],
        ),
        (RotationError::CurrentMoved { token: token() }.into(), admin, SetSecret, Current, &[CLEAR, ROTATE]),
        (RotateError::NotSet, admin, TestSecret, Unsure, &[]),
        (RotateError::HashMoved, admin, TestSecret, Nothing, &[]),
        (RotateError::LoginRefused { answer: answer() }, admin, TestSecret, Nothing, &[]),
        (RotateError::LoginLimited { answer: answer() }, admin, TestSecret, Pending, &[]),
        (RotateError::LoginUnclear { answer: answer() }, admin, TestSecret, Pending, &[]),
        (database(None), admin, FinishSecret, Pending, &[]),
        (late().into(), admin, FinishSecret, Pending, &[]),
    ];
    for (error, is_admin, step, in_force, commands) in rows {
        if !matches!(error, RotateError::Rotation(_)) {
            let line = format!("\nrotate-external {} ", error.kind());
            let how =
                include_str!("../../../../../tests/e2e/advised.txt").split_once(&line).map(|(_, how)| how);
            assert!(
                how.is_some_and(|how| how.starts_with("-\n") == commands.is_empty()
                    || how.starts_with("rotate_external::")),
                "{line}"
            );
        }
        let [portuguese, english] = [Language::Portuguese, Language::English]
            .map(|language| advice(&error, step, is_admin, language));
        for advice in [&portuguese, &english] {
            assert_eq!(advice.in_force, in_force, "{step} {error}");
            for command in commands {
                assert!(advice.next.contains(command), "{step} {error}: {command} is not in {}", advice.next);
            }
            let found = advice.next.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains("aws "));
            let known = commands
                .iter()
                .filter(|command| !command.starts_with(['g', 'S', 'U']) || command.starts_with("get-"));
            assert_eq!(found.count(), known.count(), "{step} {error}: {}", advice.next);
        }
        assert_ne!(portuguese.cause, english.cause);
        assert_ne!(portuguese.next, english.next);
        // The technical detail is English, and belongs in the small print.
        assert!(!portuguese.cause.contains(&error.to_string()), "{}", portuguese.cause);
    }
}
