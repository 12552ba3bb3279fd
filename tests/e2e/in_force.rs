//! The credential in force and the advice after a failed step of `rotate-database`: a table of (step, failure,
//! strategy), each cell against a real database, with the advice followed to its end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::advice::Advice;
use crate::cloud::Cloud;
use crate::credential::{Credential, Strategy, encoded, kind};

const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// A password that no user has.
const BY_HAND: &str = "set-By.hand_in~the database";

/// The credential in force according to a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum InForce {
    Current,
    Pending,
    /// The answer to a change was lost.
    Unsure,
    Nothing,
}

impl InForce {
    fn sentence(self) -> &'static str {
        match self {
            Self::Current => "O valor atual (AWSCURRENT) continua valendo",
            Self::Pending => "Só o valor pendente (AWSPENDING) está valendo",
            Self::Unsure => "O valor novo pode já estar valendo",
            Self::Nothing => "Nem o valor atual (AWSCURRENT) nem o pendente está valendo",
        }
    }
}

/// The cause of a step's failure.
#[derive(Clone, Debug)]
enum Scene {
    /// A fault of one of the function's calls.
    Fault(Value),
    /// The answer to setSecret's COMMIT is lost, and this fault fails the next try.
    AfterALostAnswer(Value),
    /// The rotation is repeated from its first step after setSecret, with this fault.
    AfterSetSecret(Value),
    /// The server refused the change, and then a blue/green deployment of the database started.
    BlueGreenAfterARefusal,
    /// A person has put a value that does not log in, and the server refuses with this fault.
    AfterAWrongValue(Value),
    /// A person has put a value that does not log in, and changed the password.
    NoLogin,
    /// A person has put the value with a line end.
    LineEnd,
    /// The database is in a blue/green deployment.
    BlueGreen,
    /// A person has changed the password of the pending version's user.
    PasswordByHand,
    /// A person has changed the password of the pending version's user to that of AWSCURRENT.
    PasswordBack,
    /// A person has put a value with another password, which the database refuses.
    ValueByHand,
    /// A person has put a value with another password, which the database accepts.
    ValueAndPasswordByHand,
    /// A person has put a value and changed the password; the database accepts neither version.
    EverythingByHand,
}

/// The operator's action and its result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cure {
    /// Corrects the cause; the service's next try succeeds.
    Retry,
    /// Corrects the value, which ends the rotation, and rotates again with the message's command.
    Rotate,
    /// Removes AWSPENDING with one of the message's commands and rotates again with the other.
    GiveUp,
    /// Makes the version in the message's command current; a new rotation succeeds.
    MakeCurrent,
    /// Makes the version in the message's command current; the message of the next try has the commands that abandon the
    /// rotation.
    MakeCurrentThenGiveUp,
    /// Gives the user the password of AWSCURRENT; the next try succeeds.
    PasswordThenRetry,
    /// Gives the user the password of AWSCURRENT; the message of the next try has the commands that abandon the rotation.
    PasswordThenGiveUp,
}

type Expected = Option<(InForce, Cure)>;

struct Cell {
    step: &'static str,
    scene: Scene,
    kind: &'static str,
    single: Expected,
    alternating: Expected,
}

fn sql(action: &str, more: &Value) -> Value {
    let mut rule = json!({"service": "postgres", "action": action});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

fn refused(action: &str, code: &str, nth: u32) -> Value {
    sql(action, &json!({"effect": "error", "code": code, "nth": nth}))
}

fn table() -> Vec<Cell> {
    use Cure::{
        GiveUp, MakeCurrent, MakeCurrentThenGiveUp, PasswordThenGiveUp, PasswordThenRetry, Retry, Rotate,
    };
    use InForce::{Current, Nothing, Pending, Unsure};
    use Scene::*;
    let cell = |step, scene, kind, single, alternating| Cell { step, scene, kind, single, alternating };
    let current = |cure| Some((Current, cure));
    let drop = |action| sql(action, &json!({"effect": "drop"}));
    let lost = sql("COMMIT", &json!({"effect": "drop", "when": "after"}));
    let busy = json!({"effect": "error", "code": "XX000", "message": "tuple concurrently updated"});
    let denied = |service: &str, action: &str| json!({"service": service, "action": action, "effect": "error", "status": 400, "code": "AccessDeniedException"});
    let label = denied("secretsmanager", "UpdateSecretVersionStage");
    let (create, set, test, finish) = (STEPS[0], STEPS[1], STEPS[2], STEPS[3]);
    vec![
        cell(create, LineEnd, "WrongForm", current(Rotate), current(Rotate)),
        cell(create, Fault(denied("rds", "DescribeDBInstances")), "RdsCall", current(Retry), current(Retry)),
        cell(create, BlueGreen, "BlueGreen", current(Retry), current(GiveUp)),
        // The service repeats a rotation from its first step.
        cell(
            create,
            AfterSetSecret(denied("rds", "DescribeDBInstances")),
            "RdsCall",
            Some((Unsure, Retry)),
            current(Retry),
        ),
        // The server answered: nothing changed.
        cell(set, BlueGreen, "BlueGreen", current(GiveUp), current(Retry)),
        cell(set, Fault(refused("login", "53300", 1)), "ConnectionLimit", current(GiveUp), current(Retry)),
        cell(set, Fault(refused("ALTER ROLE", "42501", 1)), "Permission", current(GiveUp), current(GiveUp)),
        cell(set, Fault(refused("ALTER ROLE", "28000", 1)), "Permission", current(Retry), current(Retry)),
        cell(set, Fault(sql("ALTER ROLE", &busy)), "Busy", current(Retry), current(Retry)),
        cell(set, Fault(refused("ALTER ROLE", "P0001", 1)), "Database", current(Retry), current(Retry)),
        cell(set, Fault(refused("SELECT", "42P01", 2)), "ProofFailed", current(Retry), None),
        // The server did not answer.
        cell(set, Fault(drop("ALTER ROLE")), "Network", Some((Unsure, GiveUp)), current(Retry)),
        cell(set, Fault(lost.clone()), "Network", Some((Unsure, MakeCurrent)), current(GiveUp)),
        cell(
            set,
            AfterALostAnswer(refused("login", "53300", 1)),
            "ConnectionLimit",
            Some((Unsure, MakeCurrent)),
            current(Retry),
        ),
        cell(set, BlueGreenAfterARefusal, "BlueGreen", Some((Unsure, GiveUp)), current(Retry)),
        // The note cannot be written; without it, a later failure could not know which change was made.
        cell(set, Fault(denied("s3", "PutObject")), "EvidenceFailed", current(Retry), None),
        // AWSCURRENT does not log in.
        cell(
            set,
            AfterAWrongValue(refused("login", "53300", 2)),
            "ConnectionLimit",
            Some((Unsure, GiveUp)),
            Some((Unsure, GiveUp)),
        ),
        cell(
            set,
            AfterAWrongValue(refused("ALTER ROLE", "42501", 1)),
            "Permission",
            Some((Nothing, MakeCurrentThenGiveUp)),
            Some((Nothing, MakeCurrentThenGiveUp)),
        ),
        cell(set, NoLogin, "Auth", Some((Nothing, PasswordThenRetry)), None),
        // The pending password is set.
        cell(test, Fault(drop("login")), "Network", Some((Pending, MakeCurrent)), current(GiveUp)),
        cell(
            test,
            Fault(refused("SELECT", "42P01", 1)),
            "ProofFailed",
            Some((Pending, Retry)),
            current(Retry),
        ),
        cell(
            test,
            Fault(refused("SELECT", "42501", 1)),
            "Permission",
            Some((Pending, Retry)),
            current(Retry),
        ),
        cell(test, BlueGreen, "BlueGreen", None, current(Retry)),
        cell(test, PasswordByHand, "Auth", Some((Nothing, PasswordThenRetry)), current(Retry)),
        cell(test, PasswordBack, "Auth", current(GiveUp), None),
        cell(finish, Fault(drop("login")), "Network", Some((Pending, MakeCurrent)), current(Retry)),
        cell(finish, BlueGreen, "BlueGreen", None, current(GiveUp)),
        cell(finish, PasswordByHand, "Auth", Some((Nothing, PasswordThenRetry)), current(GiveUp)),
        cell(finish, Fault(label), "SecretsManagerCall", Some((Pending, Retry)), current(Retry)),
        cell(finish, ValueByHand, "CurrentMoved", Some((Pending, MakeCurrent)), Some((Pending, MakeCurrent))),
        cell(finish, ValueAndPasswordByHand, "CurrentMoved", current(GiveUp), None),
        cell(finish, EverythingByHand, "CurrentMoved", Some((Nothing, PasswordThenGiveUp)), None),
    ]
}

#[expect(clippy::print_stdout, reason = "shown where the test fails: the cell that was tried last")]
#[tokio::test]
async fn every_message_says_what_is_in_force_and_its_advice_cures() {
    let cloud = Cloud::connect("rotate-database").await;
    cloud.calm().await;
    for (number, cell) in table().iter().enumerate() {
        for (strategy, major, reported) in
            [(Strategy::Single, 18, cell.single), (Strategy::Alternating, 15, cell.alternating)]
        {
            let Some((in_force, cure)) = reported else { continue };
            println!("{number}: {} {:?} {strategy:?}: {in_force:?}, {cure:?}", cell.step, cell.scene);
            check(&cloud, number, cell, (strategy, major), (in_force, cure)).await;
        }
    }
    cloud.admin(Method::POST, "rds/blue-green", Some(json!({"deployments": []}))).await;
}

async fn check(
    cloud: &Cloud,
    number: usize,
    cell: &Cell,
    (strategy, major): (Strategy, u32),
    (in_force, cure): (InForce, Cure),
) {
    let credential = Credential::new(cloud, major, strategy, &format!("in_force_{number}")).await;
    let secret = &credential.secret;
    if strategy == Strategy::Alternating {
        // Both logins exist.
        secret.rotate().await;
    }
    match cell.scene {
        Scene::AfterAWrongValue(_) | Scene::NoLogin => {
            put_with(&credential, BY_HAND).await;
        }
        Scene::LineEnd => {
            let current = secret.labelled("AWSCURRENT").await.unwrap();
            credential.put(secret.value(&current).await + "\n").await;
        }
        _ => {}
    }
    let token = secret.staged().await;
    let before = STEPS.iter().take_while(|step| **step != cell.step).copied().collect::<Vec<_>>();
    credential.steps(&token, &before).await;
    bring_about(&credential, &cell.scene, &token).await;
    let message = kind(secret.step(cell.step, &token).await, cell.kind);
    cloud.admin(Method::DELETE, "faults", None).await;
    let reported = reported(cloud, cell.step, cell.kind, &token).await;
    assert!(reported.contains(in_force.sentence()), "{message}: {reported}");
    is_true(&credential, in_force, &token).await;
    let advice = Advice::of(&reported);
    match cure {
        Cure::Retry => {
            correct(&credential, &cell.scene).await;
            retried(&credential).await;
        }
        Cure::Rotate => {
            correct(&credential, &cell.scene).await;
            advice.run(cloud, "rotate-secret");
            retried_if_waiting(&credential).await;
        }
        Cure::GiveUp => give_up(&credential, &cell.scene, &advice).await,
        Cure::MakeCurrent => {
            advice.run(cloud, "--version-stage AWSCURRENT");
            is_current(&credential).await;
            secret.rotate().await;
        }
        Cure::MakeCurrentThenGiveUp => {
            advice.run(cloud, "--version-stage AWSCURRENT");
            is_current(&credential).await;
            again(&credential, cell, &token).await;
        }
        Cure::PasswordThenRetry => {
            give_password(&credential).await;
            retried(&credential).await;
        }
        Cure::PasswordThenGiveUp => {
            give_password(&credential).await;
            again(&credential, cell, &token).await;
        }
    }
    is_current(&credential).await;
    let labels = secret.labels().await;
    let pending = labels.values().filter(|labels| labels.contains("AWSPENDING"));
    assert!(pending.clone().all(|labels| labels.contains("AWSCURRENT")), "{labels:?}");
}

async fn bring_about(credential: &Credential<'_>, scene: &Scene, token: &str) {
    let cloud = credential.cloud();
    match scene {
        Scene::Fault(rule) | Scene::AfterAWrongValue(rule) => cloud.fault(rule.clone()).await,
        Scene::AfterALostAnswer(rule) => {
            cloud.fault(sql("COMMIT", &json!({"effect": "drop", "when": "after"}))).await;
            kind(credential.secret.step("setSecret", token).await, "Network");
            cloud.admin(Method::DELETE, "faults", None).await;
            cloud.fault(rule.clone()).await;
        }
        Scene::AfterSetSecret(rule) => {
            credential.steps(token, &["createSecret", "setSecret"]).await;
            cloud.fault(rule.clone()).await;
        }
        Scene::BlueGreenAfterARefusal => {
            cloud.fault(refused("ALTER ROLE", "42501", 1)).await;
            kind(credential.secret.step("setSecret", token).await, "Permission");
            cloud.admin(Method::DELETE, "faults", None).await;
            blue_green(credential, "AVAILABLE").await;
        }
        Scene::LineEnd => {}
        Scene::NoLogin => {
            set_password(credential, &credential.user, "another-By.hand_in~the database").await;
        }
        Scene::BlueGreen => blue_green(credential, "AVAILABLE").await,
        Scene::PasswordByHand => {
            let (user, _) = credential.login_of(token).await;
            set_password(credential, &user, "another-By.hand_in~the database").await;
        }
        Scene::PasswordBack => give_password(credential).await,
        Scene::ValueByHand => {
            put_with(credential, BY_HAND).await;
        }
        Scene::ValueAndPasswordByHand => {
            put_with(credential, BY_HAND).await;
            give_password(credential).await;
        }
        Scene::EverythingByHand => {
            put_with(credential, BY_HAND).await;
            set_password(credential, &credential.user, "another-By.hand_in~the database").await;
        }
    }
}

/// Removes the cause, as the message asks.
async fn correct(credential: &Credential<'_>, scene: &Scene) {
    match scene {
        Scene::LineEnd => {
            let current = credential.secret.labelled("AWSCURRENT").await.unwrap();
            let value = credential.secret.value(&current).await;
            credential.put(value.trim_end().to_owned()).await;
        }
        Scene::BlueGreen | Scene::BlueGreenAfterARefusal => {
            blue_green(credential, "SWITCHOVER_COMPLETED").await;
        }
        _ => {}
    }
}

async fn give_up(credential: &Credential<'_>, scene: &Scene, advice: &Advice) {
    let (cloud, secret) = (credential.cloud(), &credential.secret);
    // A value put by a person ends the rotation and removes the label.
    if secret.labelled("AWSPENDING").await.is_some() {
        advice.run(cloud, "--version-stage AWSPENDING");
    }
    correct(credential, scene).await;
    if advice.commands().iter().any(|command| command.contains("rotate-secret")) {
        advice.run(cloud, "rotate-secret");
        retried_if_waiting(credential).await;
    } else {
        secret.rotate().await;
    }
}

/// Makes the next try, whose message has the command that abandons the rotation.
async fn again(credential: &Credential<'_>, cell: &Cell, token: &str) {
    let cloud = credential.cloud();
    kind(credential.secret.step(cell.step, token).await, "CurrentMoved");
    let reported = reported(cloud, cell.step, "CurrentMoved", token).await;
    assert!(reported.contains(InForce::Current.sentence()), "{reported}");
    is_true(credential, InForce::Current, token).await;
    give_up(credential, &cell.scene, &Advice::of(&reported)).await;
}

async fn retried(credential: &Credential<'_>) {
    credential.secret.retry().await;
    retried_if_waiting(credential).await;
}

async fn retried_if_waiting(credential: &Credential<'_>) {
    let rotation = credential.secret.settled(&["succeeded", "waiting", "failed", "abandoned"]).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
}

/// The channel's newest message about this failure of a step.
async fn reported(cloud: &Cloud, step: &str, kind: &str, token: &str) -> String {
    let messages = cloud.messages(&format!("{step}: *{kind}*")).await;
    let found = messages.into_iter().rfind(|message| message.contains(token));
    found.unwrap_or_else(|| panic!("no message: {step}: {kind}"))
}

/// Asserts that the database accepts the credential that a message names.
async fn is_true(credential: &Credential<'_>, in_force: InForce, token: &str) {
    let secret = &credential.secret;
    let current = secret.labelled("AWSCURRENT").await.unwrap();
    let current = credential.logs_in(&current).await;
    let versions = secret.cloud.secrets.list_secret_version_ids().secret_id(&secret.arn);
    let versions = versions.include_deprecated(true).send().await.unwrap();
    let is_filled = versions.versions().iter().any(|version| version.version_id() == Some(token));
    let pending = is_filled && credential.logs_in(token).await;
    let is_single = credential.strategy == Strategy::Single;
    assert!(
        match in_force {
            InForce::Current => current && !(is_single && pending),
            InForce::Pending => pending && !current,
            // Not both. This includes a refused AWSCURRENT with nothing else known.
            InForce::Unsure => !(current && pending),
            InForce::Nothing => !current && !pending,
        },
        "{in_force:?}, but AWSCURRENT logs in: {current}, AWSPENDING: {pending}"
    );
}

async fn is_current(credential: &Credential<'_>) {
    let current = credential.secret.labelled("AWSCURRENT").await.unwrap();
    credential.works(&current).await;
}

/// A value of the current version's user with another password.
async fn put_with(credential: &Credential<'_>, password: &str) -> String {
    let current = credential.secret.labelled("AWSCURRENT").await.unwrap();
    let value = credential.secret.value(&current).await;
    let (_, old) = credential.login_of(&current).await;
    let new = value.replace(&encoded(&old), &encoded(password));
    assert_ne!(new, value);
    credential.put(new).await
}

/// Sets a password as psql's `\password` does.
async fn set_password(credential: &Credential<'_>, user: &str, password: &str) {
    let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
    let manager = credential.server.manager("postgres").await;
    manager.batch_execute(&format!("ALTER ROLE \"{user}\" PASSWORD '{verifier}'")).await.unwrap();
}

/// Sets the password of AWSCURRENT's user to that of AWSCURRENT.
async fn give_password(credential: &Credential<'_>) {
    let current = credential.secret.labelled("AWSCURRENT").await.unwrap();
    let (user, password) = credential.login_of(&current).await;
    set_password(credential, &user, &password).await;
}

/// Gives the server the blue/green deployment of the case file, with this status.
pub(crate) async fn blue_green(credential: &Credential<'_>, status: &str) {
    let case: Value = serde_json::from_str(include_str!("../cases/22-rds-blue-green.json")).unwrap();
    let mut deployments = case["BlueGreenDeployments"].clone();
    let arn = format!("arn:aws:rds:us-east-1:000000000000:db:{}", credential.server.name);
    deployments[0]["Source"] = json!(arn);
    deployments[0]["Status"] = json!(status);
    let body = json!({"deployments": deployments});
    credential.cloud().admin(Method::POST, "rds/blue-green", Some(body)).await;
}
