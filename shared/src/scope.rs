//! Which secrets are this environment's: those that template or policy name, and those that carry its tags.

use std::collections::{BTreeMap, BTreeSet};

use crate::env::{Env, EnvError};
use crate::policy::Rotation;
use crate::settings::Settings;

/// The names by which the policy knows the secrets that the template names.
pub const VARIABLES: [&str; 6] = [
    "JWT_SECRET",
    "NOTIFICATIONS_WEBHOOK_SECRET",
    "DATABASE_URL",
    "NOTIFICATIONS_EMAIL_SES",
    "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN",
    "SEED_ADMIN_PASSWORD",
];

/// The secrets that the template names: the application's name of each, by the secret's own.
pub struct Scope {
    variables: BTreeMap<String, &'static str>,
}

impl Scope {
    /// Reads `JWT_SECRET_NAME`, and `WEBHOOK_SECRET_NAME`, `DATABASE_SECRET_NAME`, `SES_SECRET_NAME`, `TWILIO_SECRET_NAME`
    /// and `SEED_ADMIN_SECRET_NAME`, which may be empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] when the first is missing.
    pub fn from_env(env: &Env<'_>) -> Result<Self, EnvError> {
        let jwt_secret: String = env.required("JWT_SECRET_NAME")?;
        let names = [
            Some(jwt_secret),
            env.optional("WEBHOOK_SECRET_NAME")?,
            env.optional("DATABASE_SECRET_NAME")?,
            env.optional("SES_SECRET_NAME")?,
            env.optional("TWILIO_SECRET_NAME")?,
            env.optional("SEED_ADMIN_SECRET_NAME")?,
        ];
        let variables =
            names.into_iter().zip(VARIABLES).filter_map(|(name, key)| Some((name?, key))).collect();
        Ok(Self { variables })
    }

    /// The policy's key of a secret: the application's name for one that the template names, the secret's own for others.
    pub fn key<'a>(&self, name: &'a str) -> &'a str {
        self.variables.get(name).copied().unwrap_or(name)
    }

    /// The name of the secret that the policy knows by `key`; none when the template names none.
    pub fn name(&self, key: &str) -> Option<&str> {
        self.variables.iter().find(|(_, known)| **known == key).map(|(name, _)| name.as_str())
    }

    /// Names of the secrets that must exist: the template's and the policy's.
    pub fn named<'a>(&'a self, rotation: &'a Rotation) -> BTreeSet<&'a str> {
        let of_policy = rotation.secrets.keys().map(String::as_str).filter(|name| !VARIABLES.contains(name));
        self.variables.keys().map(String::as_str).chain(of_policy).collect()
    }

    /// Whether a secret with these tags is of the stack's environment.
    pub fn is_tagged(settings: &Settings, tags: &BTreeMap<String, String>) -> bool {
        let tagged = |key: &str, value: &str| tags.get(key).is_some_and(|tag| tag == value);
        tagged("Project", &settings.project) && tagged("Environment", &settings.environment)
    }
}
