//! Which secrets belong to this environment: those named by the template or the policy, those with its tags, and those
//! with its naming convention and no contradicting tags.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::Rotation;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::settings::Settings;

/// The policy's names for the secrets that the template names.
pub const VARIABLES: [&str; 6] = [
    "JWT_SECRET",
    "NOTIFICATIONS_WEBHOOK_SECRET",
    "DATABASE_URL",
    "NOTIFICATIONS_EMAIL_SES",
    "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN",
    "SEED_ADMIN_PASSWORD",
];

/// The environments that the template allows.
const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

/// Why a secret that neither the template nor the policy names concerns this environment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Mark {
    /// Its tags match, and its name does not contradict them.
    #[default]
    Tagged,
    /// Its name matches. Lists the tags that are missing or have a value of no known stack, with their expected values.
    Untagged(Vec<(&'static str, String)>),
    /// Tags and name contradict each other; the tags win.
    Contradicted {
        /// The tag.
        tag: &'static str,
        /// Its value.
        value: String,
        /// The value that the name implies.
        named: String,
        /// Whether the tags name this environment. If not, the secret belongs elsewhere, and only the contradiction is
        /// reported here.
        is_here: bool,
    },
}

/// The secrets that the template names: maps each secret's name to the application's variable.
pub struct Scope {
    variables: BTreeMap<String, &'static str>,
}

impl Scope {
    /// Reads `JWT_SECRET_NAME`, and the optional `WEBHOOK_SECRET_NAME`, `DATABASE_SECRET_NAME`, `SES_SECRET_NAME`,
    /// `TWILIO_SECRET_NAME` and `SEED_ADMIN_SECRET_NAME`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] if `JWT_SECRET_NAME` is missing.
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

    /// A secret's key in the policy: the application's variable for a secret that the template names, otherwise the
    /// secret's name.
    pub fn key<'a>(&self, name: &'a str) -> &'a str {
        self.variables.get(name).copied().unwrap_or(name)
    }

    /// The name of the secret with this policy key; none if the template does not name it.
    pub fn name(&self, key: &str) -> Option<&str> {
        self.variables.iter().find(|(_, known)| **known == key).map(|(name, _)| name.as_str())
    }

    /// Names of the secrets that must exist: those of the template and the policy.
    pub fn named<'a>(&'a self, rotation: &'a Rotation) -> BTreeSet<&'a str> {
        let of_policy = rotation.secrets.keys().map(String::as_str).filter(|name| !VARIABLES.contains(name));
        self.variables.keys().map(String::as_str).chain(of_policy).collect()
    }

    /// Whether a secret's tags name the stack's project and environment.
    pub fn is_tagged(settings: &Settings, tags: &BTreeMap<String, String>) -> bool {
        let tagged = |key: &str, value: &str| tags.get(key).is_some_and(|tag| tag == value);
        tagged("Project", &settings.project) && tagged("Environment", &settings.environment)
    }
}

/// Why an unnamed secret concerns this environment; none if it does not.
pub fn mark(settings: &Settings, name: &str, tags: &BTreeMap<String, String>) -> Option<Mark> {
    let named = environment(&settings.project, name);
    if Scope::is_tagged(settings, tags) {
        let other = named.filter(|named| ENVIRONMENTS.contains(named) && *named != settings.environment);
        return Some(other.map_or(Mark::Tagged, |other| Mark::Contradicted {
            tag: "Environment",
            value: settings.environment.clone(),
            named: other.to_owned(),
            is_here: true,
        }));
    }
    named.filter(|named| named.eq_ignore_ascii_case(&settings.environment))?;
    let mut missing = Vec::new();
    for (tag, expected) in [("Project", &settings.project), ("Environment", &settings.environment)] {
        match tags.get(tag).map(|value| value.trim()).filter(|value| !value.is_empty()) {
            Some(value) if value == expected => {}
            // If an unknown environment counted as a contradiction, no audit would cover the secret.
            Some(value)
                if !value.eq_ignore_ascii_case(expected)
                    && (tag == "Project" || ENVIRONMENTS.contains(&value)) =>
            {
                return Some(Mark::Contradicted {
                    tag,
                    value: value.to_owned(),
                    named: expected.clone(),
                    is_here: false,
                });
            }
            _ => missing.push((tag, expected.clone())),
        }
    }
    Some(Mark::Untagged(missing))
}

/// The environment in a secret's name: `/{project}/{environment}/…`, with or without the leading slash,
/// `{project}-{environment}-…` (or with `_` or `.`), and `{project}-{environment}/…`.
fn environment<'a>(project: &str, name: &'a str) -> Option<&'a str> {
    let path = name.strip_prefix('/').unwrap_or(name);
    path.get(..project.len()).filter(|start| start.eq_ignore_ascii_case(project))?;
    let rest = path.get(project.len()..)?;
    let separator = rest.chars().next().filter(|c| "/-_.".contains(*c))?;
    let (environment, below) = rest.get(1..)?.split_at_checked(rest.get(1..)?.find(['/', separator])?)?;
    if environment.is_empty() || below.len() < 2 {
        return None;
    }
    if separator != '/' {
        // `/moveongs-dev-tools/x` and `moveongs-dev-tools/prod/x` belong to another project.
        let is_flat = below.starts_with('/') || path == name;
        let mut parts = below.split('/').skip(1);
        if !is_flat || parts.any(|part| ENVIRONMENTS.contains(&part) && part != environment) {
            return None;
        }
    }
    Some(environment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::language::Language;

    fn settings() -> Settings {
        crate::testing::settings("moveongs-dev-f", Language::English)
    }

    fn marked(name: &str, tags: &[(&str, &str)]) -> String {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        match mark(&settings(), name, &tags) {
            None => "not ours".to_owned(),
            Some(Mark::Tagged) => "tagged".to_owned(),
            Some(Mark::Untagged(missing)) => {
                let missing: Vec<_> = missing.iter().map(|(tag, value)| format!("{tag}={value}")).collect();
                missing.join(" ")
            }
            Some(Mark::Contradicted { tag, value, named, is_here }) => {
                let place = if is_here { "here" } else { "elsewhere" };
                format!("{place}: {tag}={value}, not {named}")
            }
        }
    }

    #[test]
    fn a_name_of_this_environment_counts_where_no_tag_says_otherwise() {
        let both = "Project=moveongs Environment=dev";
        for (name, expected) in [
            ("/moveongs/dev/jwt", both),
            ("moveongs/dev/jwt", both),
            ("/MoveONgs/Dev/jwt", both),
            ("/moveongs/dev/prod/mirror", both),
            ("moveongs-dev-webhook", both),
            ("moveongs_dev_webhook", both),
            ("moveongs.dev.webhook", both),
            ("moveongs-dev/webhook", both),
            ("/moveongs-dev/webhook", both),
            ("moveongs-dev-db/password", both),
            // Nothing after the environment.
            ("/moveongs/dev", "not ours"),
            ("/moveongs/dev/", "not ours"),
            ("moveongs-dev", "not ours"),
            ("moveongs-dev-", "not ours"),
            // Another environment, another project.
            ("/moveongs/prod/jwt", "not ours"),
            ("/moveongs/development/jwt", "not ours"),
            ("moveongs-prod-dev-jwt", "not ours"),
            ("moveongs-development-jwt", "not ours"),
            ("/moveongs-dev-tools/x", "not ours"),
            ("moveongs-dev-tools/prod/x", "not ours"),
            ("/other/moveongs/dev/jwt", "not ours"),
            ("/moveongs2/dev/jwt", "not ours"),
            ("amoveongs-dev-x", "not ours"),
            ("rds!db-1", "not ours"),
            ("é", "not ours"),
            ("", "not ours"),
        ] {
            assert_eq!(marked(name, &[]), expected, "{name}");
        }
    }

    #[test]
    fn a_tag_wins_over_the_name_and_a_contradiction_is_reported() {
        let (project, dev, prod) = (("Project", "moveongs"), ("Environment", "dev"), ("Environment", "prod"));
        for (name, tags, expected) in [
            ("/moveongs/dev/jwt", &[project, dev][..], "tagged"),
            ("legacy", &[project, dev], "tagged"),
            ("legacy", &[project], "not ours"),
            ("legacy", &[project, prod], "not ours"),
            ("/moveongs/dev/jwt", &[project], "Environment=dev"),
            ("/moveongs/dev/jwt", &[dev], "Project=moveongs"),
            ("/moveongs/dev/jwt", &[project, ("Environment", "DEV")], "Environment=dev"),
            ("/moveongs/dev/jwt", &[project, ("Environment", " ")], "Environment=dev"),
            ("/moveongs/dev/jwt", &[project, ("Environment", "production")], "Environment=dev"),
            ("/moveongs/dev/jwt", &[project, ("Environment", "development")], "Environment=dev"),
            ("/moveongs/dev/jwt", &[project, ("Environment", "PROD")], "Environment=dev"),
            ("/moveongs/dev/jwt", &[("Environment", "production")], "Project=moveongs Environment=dev"),
            ("/moveongs/prod/jwt", &[project, ("Environment", "production")], "not ours"),
            ("/moveongs/dev/jwt", &[project, prod], "elsewhere: Environment=prod, not dev"),
            ("/moveongs/dev/jwt", &[("Project", "other"), dev], "elsewhere: Project=other, not moveongs"),
            ("/moveongs/prod/jwt", &[project, dev], "here: Environment=dev, not prod"),
            ("moveongs-staging-jwt", &[project, dev], "here: Environment=dev, not staging"),
            // An unknown environment in the name is no contradiction.
            ("/moveongs/shared/jwt", &[project, dev], "tagged"),
        ] {
            assert_eq!(marked(name, tags), expected, "{name} {tags:?}");
        }
    }
}
