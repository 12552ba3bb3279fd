//! Rotates the PostgreSQL credential inside a database URL, one step per invocation.
//!
//! The course of a rotation is `shared::rotation`'s. Decisions: `policy.rs` (strategy, what may differ) and
//! `alternating.rs` (what the database lacks). Forms of the secret: `secret.rs`. The database: `database.rs`. What an
//! operator reads: `error.rs`.

pub mod alternating;
mod aws;
mod error;
mod policy;
mod retire;

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::aws::secrets::Listed;
use shared::database::secret::{self, Login, Secret};
use shared::database::{Database, DatabaseError, ErrorKind, Expected, Session};
use shared::rotation::{
    Advice, Aftermath, Attempt, Base, InForce, Outcome, Proof, Request, Rotation, RotationError, Step,
    generate,
};
use shared::run::evidence::EvidenceError;
use shared::run::ledger::{self, Line, NotInUse};
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

pub use error::{RotateError, Seen, Why};
pub use policy::Strategy;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotate-database";

/// The policy's key of the application's secret.
const DATABASE: &str = "DATABASE_URL";

/// How many versions without a label are tried when no label's credential logs in: each costs a login.
const STRAYS: usize = 5;

/// Longest that a failure waits for the note that says what it leaves in force.
const PATIENCE: Duration = Duration::from_secs(2);

/// What an invocation needs besides its event; built once per cold start.
pub struct App {
    base: Base,
    rds: aws_sdk_rds::Client,
    database: Database,
    /// Name of the secret that the application reads `DATABASE_URL` from.
    database_secret: Option<String>,
    /// ARN of the secret of the role that manages users, for secrets that name none themselves.
    admin_secret: Option<String>,
    /// ARNs of the other secrets that this function rotates, as the template has them.
    other_secrets: Vec<String>,
}

/// What setSecret keeps for finishSecret before it changes anything.
#[derive(Deserialize, Serialize)]
struct Change {
    /// Version that was current, from which the pending value was made.
    from: String,
    /// When the change was about to be made first.
    at: Timestamp,
    /// Version whose credential logged in instead of the current one.
    rescued_by: Option<String>,
    /// Whether the change ends the current password: the strategy may be another one by the next step.
    single_user: bool,
}

/// A credential of one of the secret's versions.
struct Known {
    version: String,
    login: Login,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base::new`], and `DATABASE_SECRET_NAME`,
    /// `DATABASE_ADMIN_SECRET_ARN`, `OTHER_DATABASE_SECRET_ARNS` (joined by commas) and `RDS_CA_FILE`, each of which may be empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong, the authorities' file included.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let database = Database::from_env(PROCEDURE, env)?;
        let others: Option<String> = env.optional("OTHER_DATABASE_SECRET_ARNS")?;
        Ok(Self {
            base: Base::new(PROCEDURE, env, aws)?,
            rds: aws_sdk_rds::Client::new(aws),
            database,
            database_secret: env.optional("DATABASE_SECRET_NAME")?,
            admin_secret: env.optional("DATABASE_ADMIN_SECRET_ARN")?,
            other_secrets: others
                .map(|arns| arns.split(',').map(|arn| arn.trim().to_owned()).collect())
                .unwrap_or_default(),
        })
    }

    fn strategy(&self, attempt: &Attempt<'_>, secret: &Secret) -> Result<Strategy, RotationError> {
        let is_the_templates = self.variable(attempt) == DATABASE;
        let tags = &attempt.described.tags;
        policy::strategy(tags, secret.admin_secret(), self.admin_secret.as_deref(), is_the_templates)
    }

    fn strategy_of(&self, listed: &Listed, secret: &Secret) -> Result<Strategy, RotationError> {
        let tags = shared::rotation::tags(listed.tags.clone());
        let is_the_templates = self.database_secret.as_ref() == Some(&listed.name);
        policy::strategy(&tags, secret.admin_secret(), self.admin_secret.as_deref(), is_the_templates)
    }

    /// The policy's key of a secret: the application's variable where the template names the secret, else the
    /// secret's own name.
    fn variable<'a>(&self, attempt: &'a Attempt<'_>) -> &'a str {
        let name = &attempt.described.name;
        if self.database_secret.as_ref() == Some(name) { DATABASE } else { name }
    }

    async fn current(&self, attempt: &Attempt<'_>) -> Result<Secret, Why> {
        Self::read(attempt.current().await?.as_ref())
    }

    fn read(current: Option<&SecretString>) -> Result<Secret, Why> {
        let reason = || "it has no value yet, so there is no credential to replace".to_owned();
        Ok(Secret::parse(current.ok_or_else(|| RotationError::WrongForm { reason: reason() })?)?)
    }

    /// Refuses what this function must not rotate.
    async fn check(&self, attempt: &Attempt<'_>) -> Result<(), Why> {
        if let Some(owner) = &attempt.described.owner {
            return Err(Why::ManagedSecret { owner: owner.clone() });
        }
        let current = self.current(attempt).await?;
        let strategy = self.strategy(attempt, &current)?;
        policy::next_user(&strategy, &current.login().user)?;
        let host = aws::host(&self.rds, current.login()).await.map_err(Why::Rds)?;
        let Some(host) = host else { return Ok(()) };
        if host.is_managed {
            let user = current.login().user.clone();
            return Err(Why::ManagedMaster { user, kind: host.kind, id: host.id });
        }
        let Some(open) = self.blue_green(&host).await? else { return Ok(()) };
        let is_begun = self.saved_change(attempt.request).await.is_some_and(|change| change.single_user);
        // Once a single user's password has changed, only finishing the rotation makes a working credential current.
        if is_begun && (attempt.request.step != Step::SetSecret || self.takes_pending(attempt).await?) {
            return Ok(());
        }
        Err(open)
    }

    /// Whether the pending credential logs in.
    async fn takes_pending(&self, attempt: &Attempt<'_>) -> Result<bool, Why> {
        let pending = Secret::parse(&attempt.pending().await?.value)?;
        let session = self.try_login(pending.login()).await?;
        let takes = session.is_some();
        if let Some(session) = session {
            session.close().await;
        }
        Ok(takes)
    }

    /// The refusal for an open blue/green deployment of the server; none where there is no such deployment.
    async fn blue_green(&self, host: &aws::Host) -> Result<Option<Why>, Why> {
        let found = aws::blue_green(&self.rds, host).await.map_err(Why::Rds)?;
        let open = found.into_iter().find(|(_, status)| policy::is_open(status));
        Ok(open.map(|(deployment, status)| Why::BlueGreen { server: host.id.clone(), deployment, status }))
    }

    /// Refuses a rotation that would change the password of a login that tasks may still use.
    async fn must_be_in_use(&self, attempt: &Attempt<'_>) -> Result<(), Why> {
        // Of other secrets no follow-up is certain to come.
        let version = attempt.labelled("AWSCURRENT").filter(|_| self.variable(attempt) == DATABASE);
        let Some(version) = version else { return Ok(()) };
        let (evidence, arn) = (&self.base.reporter.evidence, &attempt.request.secret_id);
        let rows = ledger::rows(&evidence.client, &evidence.bucket).await.map_err(RotationError::from)?;
        let rows = rows.map_err(|reason| Why::Ledger { reason })?;
        let labels = attempt.described.versions.clone();
        let listed = Listed { arn: arn.clone(), labels, ..Listed::default() };
        if attempt.described.tags.get("in-use").is_some_and(|vouched| vouched == version) {
            return Ok(());
        }
        // The value before is in use again, and that was proved.
        if rows.iter().find(|row| row.arn == *arn).is_some_and(|row| row.outcome == "rolled back") {
            return Ok(());
        }
        let in_use = ledger::in_use(&listed, &rows, false, attempt.now);
        let made = match in_use {
            Err(NotInUse::NotFollowed) if attempt.was_made(version).await? => {
                attempt.version(version, Some("AWSCURRENT")).await?.and_then(|version| version.created)
            }
            _ => None,
        };
        let Some(why) = policy::waits_for(in_use, made, attempt.now) else { return Ok(()) };
        let place: Vec<_> = arn.split(':').skip(1).take(4).collect();
        let machine = match place[..] {
            [partition, _, region, account] => format!(
                "arn:{partition}:states:{region}:{account}:stateMachine:{}-{}-rotation-followup",
                self.base.settings.project, self.base.settings.environment
            ),
            _ => String::new(),
        };
        Err(Why::NotInUse { version: version.to_owned(), why: why.name(), machine })
    }

    async fn next_value(
        &self,
        attempt: &Attempt<'_>,
        current: Option<&SecretString>,
    ) -> Result<SecretString, Why> {
        let current = Self::read(current)?;
        self.must_be_in_use(attempt).await?;
        let strategy = self.strategy(attempt, &current)?;
        let user = policy::next_user(&strategy, &current.login().user)?;
        let (password, _) = policy::rule(&self.base.settings.policy.rotation, self.variable(attempt))?;
        Ok(current.with(&user, &generate(&password)?)?)
    }

    /// Sets the pending password. `seen` holds the credential that logged in, as long as it is certainly still valid.
    async fn change(&self, attempt: &Attempt<'_>, seen: &mut Option<Seen>) -> Result<Outcome, Why> {
        let pending = Secret::parse(&attempt.pending().await?.value)?;
        let current = self.current(attempt).await?;
        let strategy = self.strategy(attempt, &current)?;
        policy::compare(&strategy, &pending, &current)?;
        let from = attempt.labelled("AWSCURRENT").unwrap_or_default().to_owned();
        let known = Known { version: from.clone(), login: current.login().clone() };
        let single_user = strategy == Strategy::SingleUser;
        let Some((session, known)) = self.enter(attempt, known, pending.login(), seen).await? else {
            if single_user {
                // An earlier attempt changed the password, and its note may be missing.
                let change = Change { from, at: shared::runtime::time::now(), rescued_by: None, single_user };
                self.save_change(attempt, &change).await?;
            }
            return Ok(Outcome::AlreadySet);
        };
        let rescued_by = (known.version != from).then_some(known.version);
        *seen = Some(rescued_by.clone().map_or(Seen::Current, Seen::Another));
        session.must_be_direct().await?;
        if single_user {
            // What the policy asks for must hold before the only password is changed: the rights are the same.
            self.prove_session(attempt, &strategy, &known.login, &session).await?;
        }
        let change = Change { from, at: shared::runtime::time::now(), rescued_by, single_user };
        let is_first = match self.save_change(attempt, &change).await {
            // Without the note, a later failure would report the old password as valid.
            Err(error) if single_user => return Err(error),
            kept => kept.unwrap_or(true),
        };
        if !is_first && Self::has_moved(attempt, &self.saved_change(attempt.request).await) {
            // finishSecret would refuse, and a single user's AWSCURRENT would be dead until somebody came.
            session.close().await;
            return Err(self.moved(pending.login(), current.login()).await?);
        }
        // Whoever holds the database's lock asks again: an invocation that was slow to come here may be of a rotation
        // that was abandoned meanwhile, and would undo the next one, or a person's choice of AWSCURRENT.
        let fence = async || attempt.must_be_unmoved().await.map_err(Why::from);
        match &strategy {
            Strategy::SingleUser => {
                let changed = session.set_own_password(&pending.login().password, fence).await;
                let is_refused =
                    |why: &Why| matches!(why, Why::Database(error) if error.is_refused_statement());
                if changed.as_ref().is_err_and(|why| !is_refused(why)) {
                    *seen = None;
                }
                session.close().await;
                changed?;
            }
            Strategy::AlternatingUsers { admin } => {
                session.close().await;
                let admin = self.admin(admin, &known.login).await?;
                let session = self.database.login_bound(&admin).await?;
                let pair = policy::pair(&known.login.user)?;
                alternating::hand_over(&session, &pair, &known.login, pending.login(), fence).await?;
                session.close().await;
            }
        }
        Ok(Outcome::Set)
    }

    /// Logs in as the current user; none when the pending password is the user's already.
    ///
    /// A changed AWSCURRENT that logs in no more does not end the matter: the credential that the database takes may
    /// stand in another version of the same secret, above all in AWSPREVIOUS.
    async fn enter(
        &self,
        attempt: &Attempt<'_>,
        current: Known,
        pending: &Login,
        seen: &mut Option<Seen>,
    ) -> Result<Option<(Session, Known)>, Why> {
        let refused = match self.database.login(&current.login).await {
            Ok(session) => return Ok(Some((session, current))),
            Err(error) if error.kind == ErrorKind::Auth => Box::new(error),
            Err(error) => return Err(error.into()),
        };
        *seen = Some(Seen::NotCurrent);
        if let Some(session) = self.try_login(pending).await? {
            session.close().await;
            return Ok(None);
        }
        let mut strays: Vec<_> = attempt.labelled("AWSPREVIOUS").map(str::to_owned).into_iter().collect();
        let all = aws::all_versions(&self.base.secrets, &attempt.request.secret_id).await;
        strays.extend(all.map_err(RotationError::from)?);
        let mut seen = vec![attempt.request.token.clone(), current.version.clone()];
        let mut another_user = None;
        for version in strays {
            if seen.contains(&version) || seen.len() >= STRAYS + 2 {
                continue;
            }
            seen.push(version.clone());
            let Some(found) = attempt.version(&version, None).await? else { continue };
            let Ok(secret) = Secret::parse(&found.value) else { continue };
            let login = secret.login().clone();
            if login.host != current.login.host || login.port != current.login.port {
                continue;
            }
            if let Some(session) = self.try_login(&login).await? {
                // The pending password is not for the user who comes after this one; a person can make the version
                // the current one again.
                if login.user != current.login.user {
                    session.close().await;
                    another_user.get_or_insert(version);
                    continue;
                }
                tracing::warn!(
                    message = format!(
                        "AWSCURRENT does not log in, version {version} does; the rotation goes on with it"
                    ),
                    error_type = "Auth",
                );
                return Ok(Some((session, Known { version, login })));
            }
        }
        Err(Why::NoLogin { refused, tried: seen.len(), another_user })
    }

    /// Logs in; none when the server refuses the credential.
    async fn try_login(&self, login: &Login) -> Result<Option<Session>, DatabaseError> {
        match self.database.login(login).await {
            Ok(session) => Ok(Some(session)),
            Err(error) if error.kind == ErrorKind::Auth => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn admin(&self, arn: &str, of: &Login) -> Result<Login, Why> {
        let value = aws::admin_secret(&self.base.secrets, arn).await.map_err(RotationError::from)?;
        let reason = || "the admin secret has no text value".to_owned();
        let value = value.ok_or_else(|| RotationError::WrongForm { reason: reason() })?;
        let admin = secret::admin_login(&value, of).map_err(Why::AdminForm)?;
        if !admin.host.eq_ignore_ascii_case(&of.host) || admin.port != of.port {
            let reason = "the admin secret and the secret itself name different hosts".to_owned();
            return Err(Why::Identity { reason });
        }
        // Objects and grants are those of the application's database, whichever the admin's secret names.
        Ok(Login { database: of.database.clone(), ..admin })
    }

    async fn try_out(&self, attempt: &Attempt<'_>) -> Result<Outcome, Why> {
        let pending_text = attempt.pending().await?.value;
        let pending = Secret::parse(&pending_text)?;
        let strategy = self.strategy(attempt, &pending)?;
        let current = attempt.current().await?;
        if current.is_some_and(|current| current.expose_secret() == pending_text.expose_secret()) {
            // A test of the set-up; before the first rotation there is no owner yet to act as.
            self.prove_login(attempt, &Strategy::SingleUser, pending.login()).await?;
            return Ok(Outcome::TestedCopy);
        }
        self.prove_login(attempt, &strategy, pending.login()).await?;
        Ok(Outcome::Tested)
    }

    async fn prove_login(
        &self,
        attempt: &Attempt<'_>,
        strategy: &Strategy,
        login: &Login,
    ) -> Result<(), Why> {
        let session = self.database.login(login).await?;
        self.prove_session(attempt, strategy, login, &session).await?;
        session.close().await;
        Ok(())
    }

    async fn prove_session(
        &self,
        attempt: &Attempt<'_>,
        strategy: &Strategy,
        login: &Login,
        session: &Session,
    ) -> Result<(), Why> {
        let (_, test_sql) = policy::rule(&self.base.settings.policy.rotation, self.variable(attempt))?;
        let owner = match strategy {
            Strategy::SingleUser => None,
            Strategy::AlternatingUsers { .. } => Some(policy::pair(&login.user)?.owner),
        };
        let expected = Expected { login: login.user.clone(), owner };
        Ok(session.prove(&expected, test_sql).await?)
    }

    async fn prove_again(&self, attempt: &Attempt<'_>) -> Result<Proof, Why> {
        let version = attempt.pending().await?;
        let pending = Secret::parse(&version.value)?;
        let current = self.current(attempt).await?;
        let strategy = self.strategy(attempt, &current)?;
        let change = self.saved_change(attempt.request).await;
        if Self::has_moved(attempt, &change) {
            return Err(self.moved(pending.login(), current.login()).await?);
        }
        policy::compare(&strategy, &pending, &current)?;
        self.prove_login(attempt, &strategy, pending.login()).await?;
        Ok(Proof {
            staged: version.created,
            what: "log in with the pending credential, read and write",
            aftermath: self.reported(change),
        })
    }

    /// What setSecret's note adds to what is told at the end.
    fn reported(&self, change: Option<Change>) -> Aftermath {
        let Some(change) = change else { return Aftermath::default() };
        let rescued = change.rescued_by.map(|version| error::rescued(self.base.settings.language, &version));
        Aftermath {
            window_from: change.single_user.then_some(change.at),
            findings: rescued.into_iter().collect(),
        }
    }

    /// Whether AWSCURRENT is on another version than when the change was first about to be made.
    fn has_moved(attempt: &Attempt<'_>, change: &Option<Change>) -> bool {
        let current = attempt.labelled("AWSCURRENT").unwrap_or_default();
        change.as_ref().is_some_and(|change| change.from != current)
    }

    /// That labels are on other versions than at setSecret, and which of the two the database takes.
    async fn moved(&self, pending: &Login, current: &Login) -> Result<Why, Why> {
        let [takes_pending, takes_current] = self.takes([pending, current]).await?;
        Ok(Why::CurrentMoved { takes_pending, takes_current })
    }

    /// Which of two credentials the database takes.
    async fn takes(&self, logins: [&Login; 2]) -> Result<[bool; 2], Why> {
        let mut takes = [false; 2];
        for (takes, login) in takes.iter_mut().zip(logins) {
            if let Some(session) = self.try_login(login).await? {
                session.close().await;
                *takes = true;
            }
        }
        Ok(takes)
    }

    async fn diagnose(&self, attempt: &Attempt<'_>, error: RotationError) -> Result<Why, Why> {
        // Without the note nothing was changed, and the database is not asked for a token that anybody may have made up.
        let change = self.saved_change(attempt.request).await;
        if change.is_none() {
            return Ok(error.into());
        }
        // A late step of a rotation that ended well is no news, unless somebody took its end back.
        let taken_back = matches!(error, RotationError::CurrentMoved { .. });
        let token = &attempt.request.token;
        if !taken_back && self.base.reporter.look(token).await.is_recorded() {
            return Ok(error.into());
        }
        let Some(version) = attempt.version(token, None).await? else {
            return Ok(error.into());
        };
        let pending = Secret::parse(&version.value)?;
        let current = self.current(attempt).await?;
        let given_up = !taken_back && !Self::has_moved(attempt, &change);
        match self.takes([pending.login(), current.login()]).await? {
            // Somebody took AWSPENDING off, or another rotation has it, and the application can log in as before.
            [false, true] if given_up => Ok(error.into()),
            [takes_pending, takes_current] => Ok(Why::CurrentMoved { takes_pending, takes_current }),
        }
    }

    /// A failure after setSecret. If the database refused the pending credential, somebody changed the password by hand, which
    /// setSecret's note cannot show, so AWSCURRENT is tried as well.
    async fn look_again(&self, attempt: &Attempt<'_>, why: Why) -> RotateError {
        let is_refused = matches!(&why, Why::Database(error) if error.kind == ErrorKind::Auth);
        let seen = match self.current(attempt).await {
            Ok(current) if is_refused => match self.try_login(current.login()).await {
                Ok(Some(session)) => {
                    session.close().await;
                    Some(Seen::Current)
                }
                Ok(None) => Some(Seen::Nothing),
                Err(_) => None,
            },
            _ => None,
        };
        RotateError { seen, ..at(attempt)(why) }
    }

    fn note(request: &Request) -> String {
        format!("{}/setSecret", request.token)
    }

    /// Whether this is the first note. Without a note the length of the window is unknown, and a moved AWSCURRENT goes
    /// unnoticed.
    async fn save_change(&self, attempt: &Attempt<'_>, change: &Change) -> Result<bool, Why> {
        let kept = self.base.reporter.evidence.put_new(&Self::note(attempt.request), change).await;
        kept.map_err(|error| {
            tracing::warn!(message = chain(&error), error_type = "EvidenceFailed");
            RotationError::from(error).into()
        })
    }

    async fn saved_change(&self, request: &Request) -> Option<Change> {
        self.look(request).await.unwrap_or_else(|error| {
            tracing::warn!(message = chain(&error), error_type = "EvidenceFailed");
            None
        })
    }

    async fn look(&self, request: &Request) -> Result<Option<Change>, EvidenceError> {
        self.base.reporter.evidence.get(&Self::note(request)).await
    }

    /// What a failed step leaves in force, and setSecret's note: a single user's old password is dead once setSecret
    /// has run.
    async fn in_force(&self, request: &Request, error: &RotateError) -> (InForce, Option<Change>) {
        match (error.why.in_force(), &error.seen) {
            (Some(known), _) => return (known, None),
            (None, Some(Seen::Current)) => return (InForce::Current, None),
            (None, Some(Seen::Another(_) | Seen::Nothing)) => return (InForce::Nothing, None),
            (None, Some(Seen::NotCurrent)) => return (InForce::Unsure, None),
            (None, None) => {}
        }
        match tokio::time::timeout(PATIENCE, self.look(request)).await {
            Ok(Ok(None)) => (InForce::Current, None),
            Ok(Ok(Some(change))) => (policy::in_force(request.step, change.single_user), Some(change)),
            Ok(Err(_)) | Err(_) => (InForce::Unsure, None),
        }
    }
}

/// The answer to a rotation step, or of retiring.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// What the step did.
    Step(Outcome),
    /// What became of the login that leaked.
    Retired(Vec<Line>),
}

/// Whether an event that is no rotation step is one that the function takes.
///
/// # Errors
///
/// [`RotationError::InvalidEvent`] names the field.
pub fn check(event: &Value) -> Result<(), RotationError> {
    retire::check(event)
}

/// Handles one event: a rotation step, or the wish to end a login that leaked.
///
/// # Errors
///
/// Those of the rotation; what kept the login from being ended or from being proved dead, which Lambda tries again.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, RotateError> {
    if retire::is_asked(&event) {
        retire::check(&event)?;
        return retire::retire(app, invocation).await.map(Answer::Retired);
    }
    shared::rotation::handle(app, event, invocation).await.map(Answer::Step)
}

/// A failure with the version that was AWSCURRENT then.
fn at(attempt: &Attempt<'_>) -> impl FnOnce(Why) -> RotateError {
    let current = attempt.labelled("AWSCURRENT").map(str::to_owned);
    |why| RotateError { why, in_force: InForce::Current, seen: None, current }
}

impl Rotation for App {
    type Error = RotateError;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn admit(&self, attempt: &Attempt<'_>) -> Result<(), RotateError> {
        self.check(attempt).await.map_err(at(attempt))
    }

    async fn compose(
        &self,
        attempt: &Attempt<'_>,
        current: Option<&SecretString>,
    ) -> Result<SecretString, RotateError> {
        Ok(self.next_value(attempt, current).await?)
    }

    async fn set(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let mut seen = None;
        self.change(attempt, &mut seen).await.map_err(|why| RotateError { seen, ..at(attempt)(why) })
    }

    async fn test(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        match self.try_out(attempt).await {
            Ok(outcome) => Ok(outcome),
            Err(why) => Err(self.look_again(attempt, why).await),
        }
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Proof, RotateError> {
        match self.prove_again(attempt).await {
            Ok(proof) => Ok(proof),
            Err(why) => Err(self.look_again(attempt, why).await),
        }
    }

    async fn aftermath(&self, attempt: &Attempt<'_>) -> Aftermath {
        self.reported(self.saved_change(attempt.request).await)
    }

    async fn abandoned(&self, attempt: &Attempt<'_>, error: RotationError) -> RotateError {
        at(attempt)(self.diagnose(attempt, error).await.unwrap_or_else(|why| why))
    }

    async fn look_into(&self, request: &Request, error: RotateError) -> RotateError {
        let (in_force, change) = self.in_force(request, &error).await;
        let current = error.current.or(change.map(|change| change.from));
        RotateError { in_force, current, ..error }
    }

    fn advise(&self, request: &Request, error: &RotateError) -> Advice {
        error.advise(self.base.settings.language, request)
    }
}
