//! Rotation of secrets: audit, follow-up, generated values, databases and external providers.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{PolicyError, is_line, within};

/// Least randomness of a generated secret, in bits.
///
/// Source: NIST SP 800-131A, 2.1: security strength of at least 112 bits; 128 is the common floor.
const MIN_BITS: f64 = 128.0;

/// bcrypt ignores any bytes of a password after this many.
const BCRYPT_LIMIT: usize = 72;

/// Rotation of secrets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Thresholds of `rotation-audit`.
    pub audit: Audit,
    /// How `rotation-followup` brings a new value into use.
    pub followup: Followup,
    /// How database credentials are generated and proved, unless the secret's own entry overrides it.
    pub database: Database,
    /// How credentials of other issuers are generated and retired.
    pub external: External,
    /// The secrets: those that the template names by the application's variable (`JWT_SECRET`), all others by their own
    /// name.
    pub secrets: BTreeMap<String, Secret>,
}

/// Thresholds of `rotation-audit`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Days before the maximum age from which a secret is due and gets a task, capped at half the age: 1 to 90.
    pub due_days: u16,
    /// Hours after NextRotationDate from which a rotation is late: 1 to 168.
    pub late_hours: u16,
    /// Hours that a version may stay AWSPENDING: 1 to 168.
    pub stuck_hours: u16,
    /// Days without a read after which a secret counts as unused: 2 to 999; the service reports only the day.
    pub unused_days: u16,
}

/// Settings of the follow-up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Followup {
    /// Seconds that a change waits for others, so that secrets that change together need only one deployment: 1 to 900.
    pub settle_seconds: u16,
    /// Polling of the rollout.
    pub rollout: Polls,
    /// Failed task starts in a deployment from which the rollout counts as failed: 1 to 100.
    pub failed_tasks: u16,
    /// Polling of the application's proofs, before they count as failed.
    pub proof: Polls,
}

/// Polling until the answer is final.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Polls {
    /// Seconds between polls: 1 to 300.
    pub every_seconds: u16,
    /// Most polls: 1 to 200.
    pub times: u16,
}

/// When to end sessions that would outlive a token secret.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum EndSessions {
    /// Never by this stack.
    #[default]
    Never,
    /// If the rotation's reason was declared an incident.
    Incident,
    /// After every rotation.
    Always,
}

/// The responsible teams. Source: the guide, section 1.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Responsible {
    /// The team in charge.
    pub primary: String,
    /// The team that takes over when the first cannot act.
    pub backup: String,
}

/// The requirements for one secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Maximum age of the current value, in days: 1 to 999, Secrets Manager's own limit.
    pub max_age_days: u16,
    /// The responsible teams, if they differ from the inventory area's ([`Policy::secret_responsible`]).
    pub responsible: Option<Responsible>,
    /// How `rotate-random` generates the value; absent if another function rotates the secret.
    pub random: Option<Random>,
    /// Whether to move the label back to the previous value if the application does not work with the new one.
    #[serde(default)]
    pub roll_back: bool,
    /// When to revoke the application's refresh tokens, which outlive the secret that signs its access tokens.
    #[serde(default)]
    pub end_sessions: EndSessions,
    /// ECS services of the stack's cluster that read the secret although their task definitions do not name it.
    #[serde(default)]
    pub services: Vec<String>,
    /// SQL that proves the credential, if it differs from `rotation.database.test_sql`.
    pub test_sql: Option<Vec<String>>,
    /// The RDS instance where this database login uses IAM tokens, and so has no password to rotate.
    pub iam_login: Option<String>,
}

/// Settings for PostgreSQL credentials.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// How the password is generated.
    pub password: Random,
    /// SQL that proves that a new credential can read and write as the application does: one statement per entry, run
    /// in a single transaction that is rolled back.
    pub test_sql: Vec<String>,
}

/// Settings for credentials of other issuers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// Hours that an access key stays deactivated, and can be reactivated, before it is deleted: 1 to 720.
    pub delete_after_hours: u16,
    /// Fields of the secret with the access key that sends mail.
    pub ses: SesFields,
    /// How the administrator's password is generated.
    pub admin_password: Random,
}

/// Field names in a JSON document with an access key. The SMTP fields are updated if the document has them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SesFields {
    /// The access key's ID.
    pub access_key_id: String,
    /// The access key's secret.
    pub secret_access_key: String,
    /// The SMTP user name: the access key's ID.
    pub smtp_username: String,
    /// The SMTP password, derived from the access key's secret.
    pub smtp_password: String,
}

/// How to generate a random value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// Number of random bytes, with `encoding`; excludes `length`.
    pub bytes: Option<u16>,
    /// How to encode the bytes as text.
    pub encoding: Option<Encoding>,
    /// Number of characters, with `alphabet`; excludes `bytes`.
    pub length: Option<u16>,
    /// The characters to choose from: printable ASCII, each once.
    pub alphabet: Option<String>,
    /// Least length that the consumer accepts, in characters.
    #[serde(default)]
    pub min_length: u16,
    /// Field of the secret's JSON document with the value; absent if the whole secret is the value.
    pub field: Option<String>,
}

/// How random bytes are encoded as text.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// RFC 4648 section 4, with padding, as printed by `openssl rand -base64`.
    Base64,
    /// RFC 4648 section 5, without padding.
    Base64url,
    /// Lower-case hexadecimal.
    Hex,
}

/// The rule for a value: its characters and length.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Generator {
    /// Random bytes as text.
    Bytes {
        /// Number of bytes.
        bytes: u16,
        /// Encoding of the bytes.
        encoding: Encoding,
    },
    /// Characters chosen uniformly from an alphabet.
    Characters {
        /// Number of characters.
        length: u16,
        /// The alphabet, ASCII.
        alphabet: String,
    },
}

impl Rotation {
    /// Whether a secret is a database credential: the application's, or one that the policy proves with SQL.
    pub fn is_database(&self, key: &str) -> bool {
        key == "DATABASE_URL" || self.secrets.get(key).is_some_and(|entry| entry.test_sql.is_some())
    }
}

impl Audit {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.due_days"), self.due_days, 1, 90)?;
        within(format!("{path}.late_hours"), self.late_hours, 1, 168)?;
        within(format!("{path}.stuck_hours"), self.stuck_hours, 1, 168)?;
        within(format!("{path}.unused_days"), self.unused_days, 2, 999)
    }
}

impl External {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.delete_after_hours"), self.delete_after_hours, 1, 720)?;
        let path = format!("{path}.admin_password");
        self.admin_password.check(&path)?;
        if self.admin_password.field.is_some() {
            return Err(PolicyError::at(format!("{path}.field"), "the whole secret is the password"));
        }
        let length = self.admin_password.generator().map(|generator| generator.text_length());
        if length.is_ok_and(|length| length > BCRYPT_LIMIT) {
            let reason = format!("makes more than {BCRYPT_LIMIT} characters; bcrypt ignores the rest");
            return Err(PolicyError::at(path, reason));
        }
        Ok(())
    }
}

impl Followup {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.settle_seconds"), self.settle_seconds, 1, 900)?;
        within(format!("{path}.failed_tasks"), self.failed_tasks, 1, 100)?;
        self.rollout.check(&format!("{path}.rollout"))?;
        self.proof.check(&format!("{path}.proof"))
    }
}

impl Polls {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.every_seconds"), self.every_seconds, 1, 300)?;
        within(format!("{path}.times"), self.times, 1, 200)
    }

    /// Whether the policy allows no poll after this one, counted from 1. The number may exceed the limit if that was
    /// lowered.
    pub fn is_last(&self, poll: u16) -> bool {
        poll >= self.times
    }

    /// Total duration of all polls, in seconds.
    pub fn seconds(&self) -> u32 {
        u32::from(self.every_seconds) * u32::from(self.times)
    }
}

impl Responsible {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        for (field, team) in [("primary", &self.primary), ("backup", &self.backup)] {
            if !is_line(team, 100) {
                let reason = "expected the name of a team, one line of at most 100 characters";
                return Err(PolicyError::at(format!("{path}.{field}"), reason));
            }
        }
        Ok(())
    }
}

impl Database {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        self.password.check(&format!("{path}.password"))?;
        if self.password.field.is_some() {
            let reason = "the password's fields are found in the secret itself";
            return Err(PolicyError::at(format!("{path}.password.field"), reason));
        }
        check_test_sql(&format!("{path}.test_sql"), &self.test_sql)
    }
}

pub(super) fn check_test_sql(path: &str, statements: &[String]) -> Result<(), PolicyError> {
    if statements.is_empty() {
        return Err(PolicyError::at(
            path,
            "expected at least one statement: without any, nothing would be proved",
        ));
    }
    for (place, statement) in statements.iter().enumerate() {
        one_statement(statement).map_err(|reason| PolicyError::at(format!("{path}[{place}]"), reason))?;
    }
    Ok(())
}

/// Rejects statements that could end the proof's transaction and thereby keep its writes. PostgreSQL itself rejects
/// several statements in one text, in the protocol that the proof uses.
fn one_statement(text: &str) -> Result<(), String> {
    let keyword: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    match keyword.to_ascii_uppercase().as_str() {
        "" => Err("expected an SQL statement that begins with its keyword".to_owned()),
        keyword @ ("ABORT" | "BEGIN" | "COMMIT" | "END" | "PREPARE" | "RELEASE" | "ROLLBACK"
        | "SAVEPOINT" | "START") => Err(format!(
            "{keyword} controls the transaction, but the proof must run in one that is rolled back"
        )),
        _ => Ok(()),
    }
}

impl Random {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        self.generator().map_err(|error| PolicyError::at(format!("{path}.{}", error.path), error.reason))?;
        Ok(())
    }

    /// The rule for generating the value.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the field's name relative to this entry, if fields contradict each other, or the value
    /// would be shorter than `min_length` or have fewer than 128 bits of randomness.
    pub fn generator(&self) -> Result<Generator, PolicyError> {
        let generator = match (self.bytes, self.encoding, self.length, &self.alphabet) {
            (Some(bytes), Some(encoding), None, None) => {
                within("bytes", bytes, 1, 1024)?;
                Generator::Bytes { bytes, encoding }
            }
            (None, None, Some(length), Some(alphabet)) => {
                within("length", length, 1, 4096)?;
                let mut characters: Vec<char> = alphabet.chars().collect();
                characters.sort_unstable();
                if let Some(bad) = characters.iter().position(|c| !matches!(c, ' '..='~')) {
                    return Err(PolicyError::at(
                        "alphabet",
                        format!("character {} is not printable ASCII", bad + 1),
                    ));
                }
                if characters.windows(2).any(|pair| pair.first() == pair.last()) {
                    return Err(PolicyError::at(
                        "alphabet",
                        "a character appears twice, which would make it more likely",
                    ));
                }
                Generator::Characters { length, alphabet: alphabet.clone() }
            }
            (Some(_), None, None, None) => return Err(PolicyError::at("encoding", "required with bytes")),
            (None, Some(_), None, None) => return Err(PolicyError::at("bytes", "required with encoding")),
            (None, None, Some(_), None) => return Err(PolicyError::at("alphabet", "required with length")),
            (None, None, None, Some(_)) => return Err(PolicyError::at("length", "required with alphabet")),
            _ => {
                return Err(PolicyError::at(
                    "bytes",
                    "give either bytes and encoding, or length and alphabet",
                ));
            }
        };
        let size = match generator {
            Generator::Bytes { .. } => "bytes",
            Generator::Characters { .. } => "length",
        };
        if generator.bits() < MIN_BITS {
            let reason =
                format!("{:.0} bits of randomness, expected at least {MIN_BITS}", generator.bits().floor());
            return Err(PolicyError::at(size, reason));
        }
        if generator.text_length() < usize::from(self.min_length) {
            let reason = format!(
                "makes {} characters, but the consumer's min_length is {}",
                generator.text_length(),
                self.min_length
            );
            return Err(PolicyError::at(size, reason));
        }
        Ok(generator)
    }
}

impl Generator {
    /// Length of every value of this rule, in characters.
    pub fn text_length(&self) -> usize {
        match self {
            Self::Bytes { bytes, encoding } => {
                let bytes = usize::from(*bytes);
                match encoding {
                    Encoding::Base64 => bytes.div_ceil(3) * 4,
                    Encoding::Base64url => (bytes * 4).div_ceil(3),
                    Encoding::Hex => bytes * 2,
                }
            }
            Self::Characters { length, .. } => usize::from(*length),
        }
    }

    /// Randomness of a value, in bits.
    fn bits(&self) -> f64 {
        match self {
            Self::Bytes { bytes, .. } => f64::from(*bytes) * 8.0,
            Self::Characters { length, alphabet } => {
                let size = u8::try_from(alphabet.len()).map_or(1.0, f64::from).max(1.0);
                f64::from(*length) * size.log2()
            }
        }
    }
}
