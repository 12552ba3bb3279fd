//! A test's database secret: its user, its value, and logins with it.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cloud::Cloud;
use crate::secret::Secret;
use crate::server::Server;

/// The strategy that replaces the credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Strategy {
    Single,
    Alternating,
}

pub(crate) const BOTH: [Strategy; 2] = [Strategy::Single, Strategy::Alternating];

/// All characters reserved by RFC 3986 in a part of a URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Facts about a pair that an administrator without superuser rights can read: the roles with attributes, settings and
/// memberships, their own and granted objects in the database, and the owners and grants of the database's objects.
const OF_THE_PAIR: &str = r"
WITH pair AS (
    SELECT oid FROM pg_roles WHERE rolname::text = ANY($1::text[])
), here AS (
    SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database()
)
SELECT jsonb_build_object(
    'roles', (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.oid) FROM pg_roles r WHERE r.oid IN (SELECT oid FROM pair)),
    'settings', (
        SELECT jsonb_agg(to_jsonb(s) ORDER BY s.setdatabase, s.setrole) FROM pg_db_role_setting s
        WHERE s.setrole IN (SELECT oid FROM pair)
    ),
    'memberships', (
        SELECT jsonb_agg(to_jsonb(m) ORDER BY m.roleid, m.member, m.grantor) FROM pg_auth_members m
        WHERE m.roleid IN (SELECT oid FROM pair) OR m.member IN (SELECT oid FROM pair)
    ),
    'dependent', (
        SELECT jsonb_agg(to_jsonb(d) ORDER BY d.dbid, d.classid, d.objid, d.objsubid, d.refobjid, d.deptype)
        FROM pg_shdepend d
        WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid IN (SELECT oid FROM pair)
            AND d.dbid IN (SELECT oid FROM here UNION ALL SELECT 0)
    ),
    'relations', (
        SELECT jsonb_agg(
            jsonb_build_array(c.oid::regclass::text, c.relowner::regrole::text, c.relacl::text) ORDER BY c.oid
        )
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ),
    'schemas', (
        SELECT jsonb_agg(jsonb_build_array(n.nspname, n.nspowner::regrole::text, n.nspacl::text) ORDER BY n.oid)
        FROM pg_namespace n WHERE n.nspname !~ '^pg_'
    ),
    'database', (SELECT jsonb_build_array(datdba::regrole::text, datacl::text) FROM here)
)::text";

/// The state that a step without changes preserves.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Snapshot {
    /// The secret's versions.
    pub(crate) versions: BTreeMap<String, Staged>,
    /// The pair's facts in its own database.
    pub(crate) database: Value,
}

/// A version of a secret.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Staged {
    pub(crate) labels: BTreeSet<String>,
    /// The server's answer to the version's credential: `welcome` or an SQLSTATE. None if the version has no value.
    pub(crate) answer: Option<String>,
}

/// A secret with the URL of its own database, not yet rotated.
pub(crate) struct Credential<'a> {
    pub(crate) secret: Secret<'a>,
    pub(crate) server: Server,
    pub(crate) strategy: Strategy,
    /// Name of the user at the start.
    pub(crate) user: String,
    /// Name of its database.
    pub(crate) database: String,
}

impl<'a> Credential<'a> {
    /// A user with a database of the same name, and a secret in URL form.
    pub(crate) async fn new(cloud: &'a Cloud, major: u32, strategy: Strategy, name: &str) -> Self {
        let server = Server::of(cloud, major).await;
        let user = format!("{name}_{major}_{strategy:?}_{}", std::process::id()).to_lowercase();
        server.application(&user, &user, "first-Password.of_the~app").await;
        let (host, port) = (&server.host, server.port);
        let url = format!("postgres://{user}:first-Password.of_the~app@{host}:{port}/{user}?sslmode=require");
        Self::with_value(cloud, server, strategy, &user, &url).await
    }

    /// A secret with this value, for an existing user.
    pub(crate) async fn with_value(
        cloud: &'a Cloud,
        server: Server,
        strategy: Strategy,
        user: &str,
        value: &str,
    ) -> Self {
        let admin = server.admin_secret.clone();
        let tags: &[(&str, &str)] = match strategy {
            Strategy::Single => &[("rotation:strategy", "single-user")],
            Strategy::Alternating => {
                &[("rotation:strategy", "alternating-users"), ("rotation:admin-secret", &admin)]
            }
        };
        let secret = Secret::new(cloud, &format!("{user}-{}", std::process::id()), value, tags).await;
        Self { secret, server, strategy, user: user.to_owned(), database: user.to_owned() }
    }

    /// Another secret of the same user.
    pub(crate) async fn beside(&self, name: &str, value: &str) -> Self {
        let name = format!("{}-{name}", self.database);
        let other = Self::with_value(self.cloud(), self.server.clone(), self.strategy, &name, value).await;
        Self { user: self.user.clone(), database: self.database.clone(), ..other }
    }

    pub(crate) fn cloud(&self) -> &'a Cloud {
        self.secret.cloud
    }

    /// The user after the first rotation.
    pub(crate) fn next_user(&self) -> String {
        match self.strategy {
            Strategy::Single => self.user.clone(),
            Strategy::Alternating => format!("{}_clone", self.user),
        }
    }

    /// User and password of a version.
    pub(crate) async fn login_of(&self, version: &str) -> (String, String) {
        parts(&self.secret.value(version).await)
    }

    /// A session with a version's credential.
    pub(crate) async fn enter(&self, version: &str) -> Result<Client, tokio_postgres::Error> {
        let (user, password) = self.login_of(version).await;
        self.server.login(&self.database, &user, &password).await
    }

    /// Whether a version's credential works; any failure other than a refusal fails the test.
    pub(crate) async fn logs_in(&self, version: &str) -> bool {
        match self.enter(version).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.code().map(|code| code.code()), Some("28P01"), "{error}");
                false
            }
        }
    }

    /// Asserts that a version's session writes and reads the application's first table.
    pub(crate) async fn works(&self, version: &str) {
        let session = self.enter(version).await.unwrap();
        session.batch_execute("INSERT INTO first VALUES (2); SELECT id FROM first").await.unwrap();
    }

    /// Checks the end state of a rotation from the version `from` to `token`: labels, logins, the text, the record.
    pub(crate) async fn finished(&self, token: &str, from: &str) {
        let labels = self.secret.labels().await;
        let label = |version: &str| labels[version].iter().cloned().collect::<Vec<_>>();
        assert_eq!(label(token), ["AWSCURRENT"]);
        assert_eq!(label(from), ["AWSPREVIOUS"]);
        self.works(token).await;
        assert_eq!(self.logs_in(from).await, self.strategy == Strategy::Alternating);
        let (old, new) = (self.secret.value(from).await, self.secret.value(token).await);
        let ((old_user, old_password), (new_user, new_password)) = (parts(&old), parts(&new));
        assert_ne!(old_password, new_password);
        assert_eq!(new_password.len(), 40);
        let turns = [self.user.clone(), format!("{}_clone", self.user)];
        match self.strategy {
            Strategy::Single => assert_eq!(new_user, old_user),
            Strategy::Alternating => {
                assert!(new_user != old_user && turns.contains(&new_user), "{new_user} after {old_user}");
            }
        }
        if old.starts_with("postgres") {
            let login = |user: &str, password: &str| format!("://{}:{}@", encoded(user), encoded(password));
            let (before, after) = (login(&old_user, &old_password), login(&new_user, &new_password));
            assert!(old.contains(&before));
            assert_eq!(new, old.replacen(&before, &after, 1));
        }
        let record = self.cloud().record_of(token).await.expect("the rotation has its record");
        assert_eq!(record["result"], "succeeded");
    }

    /// The current state of the secret and the pair.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        let mut versions = self.secret.labels().await;
        let listed = self.cloud().secrets.list_secret_version_ids().secret_id(&self.secret.arn);
        let listed = listed.include_deprecated(true).send().await.unwrap();
        let mut answers = BTreeMap::new();
        for version in listed.versions() {
            let id = version.version_id().unwrap().to_owned();
            let answer = match self.enter(&id).await {
                Ok(_) => "welcome".to_owned(),
                Err(error) => error.code().unwrap_or_else(|| panic!("{error}")).code().to_owned(),
            };
            versions.entry(id.clone()).or_default();
            answers.insert(id, answer);
        }
        let staged = |(id, labels)| {
            let answer = answers.remove(&id);
            (id, Staged { labels, answer })
        };
        let versions = versions.into_iter().map(staged).collect();
        let stem = self.user.strip_suffix("_clone").unwrap_or(&self.user);
        let pair = [stem.to_owned(), format!("{stem}_clone"), format!("{stem}_owner")];
        let master = self.server.master(&self.database).await;
        let found = master.query_one(OF_THE_PAIR, &[&pair.as_slice()]).await.unwrap();
        Snapshot { versions, database: serde_json::from_str(found.get(0)).unwrap() }
    }

    /// Asserts that nothing has changed since the snapshot.
    pub(crate) async fn untouched(&self, since: &Snapshot) {
        assert_eq!(&self.snapshot().await, since);
    }

    /// Calls these steps as the service does, and expects each to succeed.
    pub(crate) async fn steps(&self, token: &str, steps: &[&str]) {
        for step in steps {
            let done = self.secret.step(step, token).await;
            assert!(done.is_ok(), "{step}: {done:?}");
        }
    }

    /// A session that holds the lock of setSecret.
    pub(crate) async fn lock_holder(&self) -> Client {
        let session = self.server.master(&self.database).await;
        // The function's key: FNV-1a, 64 bits, over this name.
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let key = format!("rotate-database/{}", self.user).bytes().fold(0xcbf2_9ce4_8422_2325, fold);
        session.execute("SELECT pg_advisory_lock($1)", &[&key.cast_signed()]).await.unwrap();
        session
    }

    /// Waits until `count` sessions wait for the lock of setSecret.
    pub(crate) async fn waiting(&self, count: i64) {
        let session = self.server.master(&self.database).await;
        crate::cloud::eventually("invocations that wait for the lock", async || {
            let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            let found: i64 = session.query_one(waiting, &[]).await.unwrap().get(0);
            (found == count).then_some(())
        })
        .await;
    }

    /// Puts a value as a person does, which makes it current; returns its version.
    pub(crate) async fn put(&self, value: String) -> String {
        let put = self.cloud().secrets.put_secret_value().secret_id(&self.secret.arn).secret_string(value);
        put.send().await.unwrap().version_id.unwrap()
    }

    /// Moves a label as a person does.
    pub(crate) async fn move_label(&self, label: &str, to: Option<&str>, from: Option<&str>) {
        let change = self.cloud().secrets.update_secret_version_stage().secret_id(&self.secret.arn);
        let change = change.version_stage(label).set_move_to_version_id(to.map(str::to_owned));
        change.set_remove_from_version_id(from.map(str::to_owned)).send().await.unwrap();
    }
}

/// A part of a URL, percent-encoded.
pub(crate) fn encoded(part: &str) -> String {
    utf8_percent_encode(part, RESERVED).to_string()
}

/// User and password of a URL, or of a JSON document with `username` and `password`.
pub(crate) fn parts(text: &str) -> (String, String) {
    if let Ok(document) = serde_json::from_str::<Value>(text) {
        let field = |name: &str| document[name].as_str().unwrap().to_owned();
        return (field("username"), field("password"));
    }
    let (_, rest) = text.split_once("://").unwrap();
    let (user, rest) = rest.split_once(':').unwrap();
    let (password, _) = rest.split_once('@').unwrap();
    let decoded = |part: &str| percent_decode_str(part).decode_utf8().unwrap().into_owned();
    (decoded(user), decoded(password))
}

/// The message of a refused step, whose kind is asserted.
#[track_caller]
pub(crate) fn kind(refused: Result<Value, Value>, expected: &str) -> String {
    let error = refused.expect_err("the step should have been refused");
    assert_eq!(error["errorType"], expected, "{error}");
    error["errorMessage"].as_str().unwrap().to_owned()
}

/// AWS's form of a database secret.
pub(crate) fn aws_form(server: &Server, user: &str, password: &str) -> Value {
    json!({
        "engine": "postgres", "host": server.host, "port": server.port,
        "username": user, "password": password, "dbname": user,
    })
}
