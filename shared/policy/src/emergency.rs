//! Emergency restores: who approves, how long steps may take, and what protects the restored data.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::rotation::Polls;
use crate::{PolicyError, is_line, within};

/// Longest wait of `emergency-restore` for one thing, in seconds.
pub const LONGEST_EMERGENCY_SECONDS: u32 = 43_200;

/// Days after which the application deletes and makes anonymous, by its variables.
const RETENTION: [&str; 2] = ["DATA_RETENTION_DAYS", "DATA_RETENTION_ANONYMIZE_DAYS"];

/// Least days in a guard: no restored row is that old.
const LEAST_RETENTION_DAYS: u32 = 3650;

/// Settings of `emergency-restore` (guide, 2.1 step 4).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// Environments in which another person approves than the one who started the restore.
    pub two_persons: Vec<String>,
    /// Polling of the new instance: at most twelve hours.
    pub instance: Polls,
    /// Polling of its settings and of the master's password: at most twelve hours.
    pub password: Polls,
    /// Most calls of the function that read the new instance, each up to 15 minutes: 1 to 24.
    pub pieces: u16,
    /// Variables with which the application deletes nothing at its start, with their values.
    pub guard: BTreeMap<String, String>,
    /// The migration; absent if none is run.
    pub migration: Option<Migration>,
    /// Polling of the migration's task: at most twelve hours.
    pub task: Polls,
    /// Polling of the application's checks: at most twelve hours.
    pub smoke: Polls,
}

/// A task of ECS that runs on the restored database, before the services are deployed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// The service whose network and task definition it uses.
    pub service: String,
    /// The family of its task definition, if it is not the service's.
    pub task_definition: Option<String>,
    /// The container whose exit code counts, and whose command is replaced.
    pub container: String,
    /// The command; the container's own if empty.
    pub command: Vec<String>,
}

impl Emergency {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        for (index, environment) in self.two_persons.iter().enumerate() {
            if !["dev", "staging", "prod"].contains(&environment.as_str()) {
                let path = format!("{path}.two_persons[{index}]");
                return Err(PolicyError::at(path, "expected dev, staging or prod"));
            }
        }
        let polled = [
            ("instance", &self.instance),
            ("password", &self.password),
            ("task", &self.task),
            ("smoke", &self.smoke),
        ];
        for (field, polls) in polled {
            polls.check(&format!("{path}.{field}"))?;
            if polls.seconds() > LONGEST_EMERGENCY_SECONDS {
                let reason = format!(
                    "every_seconds × times is {} s, expected at most {LONGEST_EMERGENCY_SECONDS}",
                    polls.seconds()
                );
                return Err(PolicyError::at(format!("{path}.{field}"), reason));
            }
        }
        within(format!("{path}.pieces"), self.pieces, 1, 24)?;
        for (name, value) in &self.guard {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) || !is_line(value, 200) {
                let reason = "expected the name of a variable and its value in one line";
                return Err(PolicyError::at(format!("{path}.guard.{name}"), reason));
            }
        }
        self.keeps_data(&format!("{path}.guard"))?;
        let Some(migration) = &self.migration else { return Ok(()) };
        let path = format!("{path}.migration");
        let named = [
            ("service", Some(&migration.service)),
            ("container", Some(&migration.container)),
            ("task_definition", migration.task_definition.as_ref()),
        ];
        for (field, name) in named {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if name.is_some_and(|name| name.is_empty() || name.len() > 255 || !name.chars().all(is_name)) {
                let reason = "expected a name of letters, digits, hyphens and underscores";
                return Err(PolicyError::at(format!("{path}.{field}"), reason));
            }
        }
        match migration.command.iter().position(|word| !is_line(word, 500)) {
            Some(index) => Err(PolicyError::at(
                format!("{path}.command[{index}]"),
                "expected a word, one line of at most 500 characters",
            )),
            None => Ok(()),
        }
    }

    /// Refuses a guard that is none: an empty one, or one with which the application would delete after less than ten
    /// years.
    fn keeps_data(&self, path: &str) -> Result<(), PolicyError> {
        if self.guard.is_empty() {
            return Err(PolicyError::at(path, "expected at least one variable"));
        }
        for name in RETENTION {
            let Some(days) = self.guard.get(name) else { continue };
            if days.parse::<u32>().is_ok_and(|days| days >= LEAST_RETENTION_DAYS) {
                continue;
            }
            let reason = format!("expected a number of days of at least {LEAST_RETENTION_DAYS}");
            return Err(PolicyError::at(format!("{path}.{name}"), reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Policy;

    #[test]
    fn a_refusal_has_the_path_of_the_field() {
        let migration = |field: &str, value: serde_json::Value| {
            let mut migration = json!({"service": "api", "container": "api", "command": ["true"]});
            migration[field] = value;
            json!({"migration": migration})
        };
        for (patch, path) in [
            (json!({"two_persons": ["production"]}), "two_persons[0]"),
            (json!({"instance": {"every_seconds": 300, "times": 200}}), "instance"),
            (json!({"password": {"times": 0}}), "password.times"),
            (json!({"pieces": 0}), "pieces"),
            (json!({"guard": {"A-B": "1"}}), "guard.A-B"),
            (json!({"guard": {"A": ""}}), "guard.A"),
            (json!({"guard": {"DATA_RETENTION_DAYS": "3649"}}), "guard.DATA_RETENTION_DAYS"),
            (
                json!({"guard": {"DATA_RETENTION_ANONYMIZE_DAYS": "never"}}),
                "guard.DATA_RETENTION_ANONYMIZE_DAYS",
            ),
            (json!({"guard": {"DATA_RETENTION_DAYS": null, "DATA_RETENTION_ANONYMIZE_DAYS": null}}), "guard"),
            (migration("service", json!("")), "migration.service"),
            (migration("container", json!("a b")), "migration.container"),
            (migration("task_definition", json!("a:1")), "migration.task_definition"),
            (migration("command", json!(["a", "b\n"])), "migration.command[1]"),
            (migration("cluster", json!("c")), "migration.cluster"),
        ] {
            let refused = Policy::of(&json!({"emergency": patch})).unwrap_err();
            assert_eq!(refused.path, format!("emergency.{path}"), "{refused}");
        }
        assert!(Policy::of(&json!({"emergency": migration("command", json!([]))})).is_ok());
        assert!(Policy::of(&json!({"emergency": {"guard": {"DATA_RETENTION_DAYS": "3650"}}})).is_ok());
    }

    #[test]
    fn two_persons_approve_in_production() {
        let policy: Policy = "".parse().unwrap();
        assert_eq!(policy.emergency.two_persons, ["prod"]);
        assert_eq!(policy.emergency.guard["DATA_RETENTION_DAYS"], "36500");
    }
}
