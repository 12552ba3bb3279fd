//! Real PostgreSQL behind RDS instances of the local cloud, and logins to it independent of the function's code.

use std::sync::Arc;

use postgres_protocol::escape::escape_identifier as ident;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::cloud::{Cloud, eventually};

const MASTER: &str = "imm";
const MASTER_PASSWORD: &str = "master-Password_of.the.tests~1";
const ADMIN: &str = "rotation_admin";
const ADMIN_PASSWORD: &str = "admin-Password_of.the.tests~1";

/// An RDS instance of one major version that logs every statement.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) major: u32,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// ARN of the secret of the role that manages users.
    pub(crate) admin_secret: String,
    tls: MakeRustlsConnect,
}

impl Server {
    /// The instance of a major version, created by the first test that needs it.
    pub(crate) async fn of(cloud: &Cloud, major: u32) -> Self {
        let name = format!("test-pg{major}");
        let tls = tls(cloud);
        let there = cloud.rds.describe_db_instances().send().await.unwrap();
        if !there.db_instances().iter().any(|instance| instance.db_instance_identifier() == Some(&name)) {
            Self::create(cloud, &name, major).await;
        }
        let endpoint = eventually(&format!("{name} available"), async || {
            let found = cloud.rds.describe_db_instances().db_instance_identifier(&name).send().await.unwrap();
            let instance = &found.db_instances()[0];
            let available = instance.db_instance_status() == Some("available");
            available.then(|| instance.endpoint().cloned()).flatten()
        })
        .await;
        let mut server = Self {
            host: endpoint.address().unwrap().to_owned(),
            port: u16::try_from(endpoint.port().unwrap()).unwrap(),
            admin_secret: String::new(),
            name,
            major,
            tls,
        };
        server.admin_secret = server.admin(cloud).await;
        server
    }

    async fn create(cloud: &Cloud, name: &str, major: u32) {
        let parameter = aws_sdk_rds::types::Parameter::builder()
            .parameter_name("log_statement")
            .parameter_value("all")
            .apply_method(aws_sdk_rds::types::ApplyMethod::Immediate)
            .build();
        let group = cloud.rds.create_db_parameter_group().db_parameter_group_name(name);
        let group = group.db_parameter_group_family(format!("postgres{major}")).description("logs all");
        group.send().await.unwrap();
        let modify = cloud.rds.modify_db_parameter_group().db_parameter_group_name(name);
        modify.parameters(parameter).send().await.unwrap();
        let version = match major {
            15 => "15.18",
            18 => "18.4",
            other => panic!("no server of {other}"),
        };
        let create = cloud.rds.create_db_instance().db_instance_identifier(name).engine("postgres");
        let create = create.engine_version(version).db_instance_class("db.t4g.small").allocated_storage(20);
        let create = create.db_parameter_group_name(name).backup_retention_period(1);
        create.master_username(MASTER).master_user_password(MASTER_PASSWORD).send().await.unwrap();
    }

    /// The role that manages users, as `docs/rotacao-banco.md` makes it, and its secret.
    async fn admin(&self, cloud: &Cloud) -> String {
        let name = format!("/moveongs/dev/test-admin/{}", self.name);
        if let Ok(found) = cloud.secrets.describe_secret().secret_id(&name).send().await {
            return found.arn.unwrap();
        }
        let verifier = verifier(ADMIN_PASSWORD);
        let create = format!(
            "CREATE ROLE {ADMIN} LOGIN CREATEROLE PASSWORD '{verifier}'; CREATE EXTENSION pg_stat_statements"
        );
        self.master("postgres").await.batch_execute(&create).await.unwrap();
        let value = serde_json::json!({"username": ADMIN, "password": ADMIN_PASSWORD}).to_string();
        cloud.secrets.create_secret().name(name).secret_string(value).send().await.unwrap().arn.unwrap()
    }

    /// A session of the master user.
    pub(crate) async fn master(&self, database: &str) -> Client {
        self.login(database, MASTER, MASTER_PASSWORD).await.unwrap()
    }

    /// A session of the role that manages users.
    pub(crate) async fn manager(&self, database: &str) -> Client {
        self.login(database, ADMIN, ADMIN_PASSWORD).await.unwrap()
    }

    /// Logs in over verified TLS, with channel binding.
    pub(crate) async fn login(
        &self,
        database: &str,
        user: &str,
        password: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host(&self.host).port(self.port).dbname(database).user(user).password(password);
        config.ssl_mode(SslMode::Require).channel_binding(ChannelBinding::Require);
        let (client, connection) = config.connect(self.tls.clone()).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Breaks the connection to the instance; `none` restores it.
    pub(crate) async fn fault(&self, cloud: &Cloud, mode: &str) -> Value {
        let body = serde_json::json!({"instance": self.name, "mode": mode});
        cloud.admin(reqwest::Method::POST, "rds/fault", Some(body)).await
    }

    /// Makes an application user whom the managing role may manage, with its own database and a table with one row.
    pub(crate) async fn application(&self, name: &str, user: &str, password: &str) {
        let master = self.master("postgres").await;
        let (quoted, database) = (ident(user), ident(name));
        let verifier = verifier(password);
        let mut create = format!("CREATE ROLE {quoted} LOGIN PASSWORD '{verifier}';");
        if self.major >= 16 {
            create += &format!("GRANT {quoted} TO {ADMIN} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;");
        }
        master.batch_execute(&create).await.unwrap();
        master.batch_execute(&format!("GRANT {quoted} TO {MASTER}")).await.unwrap();
        master.batch_execute(&format!("CREATE DATABASE {database} OWNER {quoted}")).await.unwrap();
        master.batch_execute(&format!("REVOKE {quoted} FROM {MASTER}")).await.unwrap();
        let owner = self.login(name, user, password).await.unwrap();
        owner.batch_execute("CREATE TABLE first (id int); INSERT INTO first VALUES (1)").await.unwrap();
    }
}

/// A session like the application's, with the value of its database secret.
pub(crate) async fn as_the_application(cloud: &Cloud, secret: &str) -> Client {
    let url = cloud.secrets.get_secret_value().secret_id(secret).send().await.unwrap().secret_string.unwrap();
    with_the_value(cloud, &url).await.unwrap()
}

/// A session of any client that knows a secret's value.
pub(crate) async fn with_the_value(cloud: &Cloud, value: &str) -> Result<Client, tokio_postgres::Error> {
    let secret = shared::database::secret::Secret::parse(&SecretString::from(value)).unwrap();
    let login = secret.login();
    let mut config = Config::new();
    config.host(&login.host).port(login.port).dbname(&login.database).user(&login.user);
    config.password(login.password.expose_secret()).ssl_mode(SslMode::Require);
    let (client, connection) = config.connect(tls(cloud)).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The verifier of a password, as psql's `\password` sends it: the tests' servers log every statement, and their log
/// must not have a test's own password.
fn verifier(password: &str) -> String {
    postgres_protocol::password::scram_sha_256(password.as_bytes())
}

/// TLS that trusts the local cloud's authority alone.
fn tls(cloud: &Cloud) -> MakeRustlsConnect {
    let pem = std::fs::read(cloud.facts["rds_ca"].as_str().unwrap()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    MakeRustlsConnect::new(config.unwrap().with_root_certificates(roots).with_no_client_auth())
}
