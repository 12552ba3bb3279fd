//! The guard: variables with which the application deletes nothing at its start. No I/O, no clock.
//!
//! At every start the application deletes attachments, and empties personal data of beneficiaries, that are older than
//! these variables say. Restored data is old, so no task may see it without them. Source: observed on the running
//! application.

use std::collections::BTreeMap;

/// A container's variables, as far as the guard needs them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Container {
    /// Its name.
    pub name: String,
    /// Variables with their values in clear.
    pub environment: Vec<(String, String)>,
    /// Names of the variables that ECS fills from secrets.
    pub secrets: Vec<String>,
}

/// Whether a container has the guard.
pub(crate) fn has(container: &Container, guard: &BTreeMap<String, String>) -> bool {
    guard.iter().all(|(name, value)| {
        let mut values = container.environment.iter().filter(|(known, _)| known == name);
        // Given twice, the last one would count.
        values.next().is_some_and(|(_, known)| known == value)
            && values.next().is_none()
            && !container.secrets.contains(name)
    })
}

/// The container's variables with the guard. Variables of the guard that ECS fills from a secret go: ECS accepts each
/// name once.
pub(crate) fn with(container: &Container, guard: &BTreeMap<String, String>) -> Container {
    let kept = container.environment.iter().filter(|(name, _)| !guard.contains_key(name)).cloned();
    let own = guard.iter().map(|(name, value)| (name.clone(), value.clone()));
    Container {
        name: container.name.clone(),
        environment: kept.chain(own).collect(),
        secrets: container.secrets.iter().filter(|name| !guard.contains_key(*name)).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_gets_the_guard_once() {
        let guard: BTreeMap<_, _> = [("DATA_RETENTION_DAYS", "36500")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let container = |environment: &[(&str, &str)], secrets: &[&str]| Container {
            name: "api".to_owned(),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            secrets: secrets.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (before, is_guarded) in [
            (container(&[], &[]), false),
            (container(&[("A", "1")], &["JWT_SECRET"]), false),
            (container(&[("DATA_RETENTION_DAYS", "365")], &[]), false),
            (container(&[("DATA_RETENTION_DAYS", "36500")], &[]), true),
            (container(&[("DATA_RETENTION_DAYS", "36500"), ("DATA_RETENTION_DAYS", "1")], &[]), false),
            (container(&[("DATA_RETENTION_DAYS", "36500")], &["DATA_RETENTION_DAYS"]), false),
        ] {
            assert_eq!(has(&before, &guard), is_guarded, "{before:?}");
            let after = with(&before, &guard);
            assert!(has(&after, &guard), "{after:?}");
            let kept = |it: &Container| it.environment.iter().filter(|(name, _)| name == "A").count();
            assert_eq!(
                (kept(&before), before.secrets.contains(&"JWT_SECRET".to_owned())),
                (kept(&after), after.secrets.contains(&"JWT_SECRET".to_owned()))
            );
        }
    }
}
