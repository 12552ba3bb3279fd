//! Settings of onboarding: what a new person of the operations team reads and sees, until when, and how long the data about
//! the person is kept.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{PolicyError, is_line, within};

/// Most documents, and most reminders.
const MOST: usize = 20;

/// Settings of `onboarding` (guide, 5).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Onboarding {
    /// Days from a person's first day until everything is to be done: 1 to 365.
    pub due_days: u16,
    /// Days before that day on which the mentor is reminded: each 0 to 365, and 0 is the day itself.
    pub remind_days: Vec<u16>,
    /// What the person reads: paths in the application's repository, or titles; one line each.
    pub documents: Vec<String>,
    /// What the person is shown.
    pub shadowing: Vec<Shadowing>,
    /// Environments in which a restore and a rotation are exercises: some of dev, staging and prod.
    pub test_environments: Vec<String>,
    /// Days after a person's leaving after which the data about the person is deleted: 1 to 3650.
    pub forget_days: u16,
    /// IAM users that are no person's, such as one for emergencies or of a pipeline, with the reason and who keeps it, in one
    /// line.
    pub accounts: BTreeMap<String, String>,
}

/// Work of the team that a new person accompanies, with the evidence that it was done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shadowing {
    /// A deployment: a record of `snapshot-create` or of `rotation-followup`.
    Deploy,
    /// The restore of a snapshot, as an exercise: a record of `restore-test`.
    Restore,
    /// A rotation of `JWT_SECRET`, as an exercise: a record of `rotate-random`.
    Rotation,
}

impl Onboarding {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.due_days"), self.due_days, 1, 365)?;
        within(format!("{path}.forget_days"), self.forget_days, 1, 3650)?;
        for (field, count) in [("remind_days", self.remind_days.len()), ("documents", self.documents.len())] {
            if count > MOST {
                let reason = format!("expected at most {MOST}, found {count}");
                return Err(PolicyError::at(format!("{path}.{field}"), reason));
            }
        }
        for (index, days) in self.remind_days.iter().enumerate() {
            within(format!("{path}.remind_days[{index}]"), *days, 0, 365)?;
        }
        let mut known = BTreeSet::new();
        for (index, document) in self.documents.iter().enumerate() {
            let path = format!("{path}.documents[{index}]");
            if !is_line(document, 200) {
                return Err(PolicyError::at(path, "expected one line of at most 200 characters"));
            }
            if !known.insert(document) {
                return Err(PolicyError::at(path, "is there twice"));
            }
        }
        let mut shown = BTreeSet::new();
        if let Some(index) = self.shadowing.iter().position(|one| !shown.insert(*one)) {
            return Err(PolicyError::at(format!("{path}.shadowing[{index}]"), "is there twice"));
        }
        let mut users = BTreeSet::new();
        for (user, reason) in &self.accounts {
            let path = format!("{path}.accounts.{user}");
            if !is_iam_user(user) {
                return Err(PolicyError::at(path, "expected the name of an IAM user, without a path"));
            }
            if !is_line(reason, 200) {
                let expected =
                    "expected why it is no person's and who keeps it, one line of at most 200 characters";
                return Err(PolicyError::at(path, expected));
            }
            if !users.insert(user.to_ascii_lowercase()) {
                return Err(PolicyError::at(path, "is there twice: IAM's names have no case"));
            }
        }
        let is_known = |name: &String| ["dev", "staging", "prod"].contains(&name.as_str());
        match self.test_environments.iter().position(|name| !is_known(name)) {
            Some(index) => {
                let path = format!("{path}.test_environments[{index}]");
                Err(PolicyError::at(path, "expected dev, staging or prod"))
            }
            None => Ok(()),
        }
    }
}

/// Whether IAM accepts a text as the name of a user.
/// Source: [CreateUser](https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html).
pub fn is_iam_user(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Policy;

    #[test]
    fn a_refusal_has_the_path_of_the_field() {
        for (patch, path) in [
            (json!({"due_days": 0}), "due_days"),
            (json!({"due_days": 366}), "due_days"),
            (json!({"forget_days": 0}), "forget_days"),
            (json!({"forget_days": 3651}), "forget_days"),
            (json!({"remind_days": [7, 366]}), "remind_days[1]"),
            (json!({"remind_days": vec![1; 21]}), "remind_days"),
            (json!({"documents": ["a", "b\n"]}), "documents[1]"),
            (json!({"documents": ["a", "a"]}), "documents[1]"),
            (json!({"shadowing": ["deploy", "deploy"]}), "shadowing[1]"),
            (json!({"shadowing": ["deploys"]}), "shadowing[0]"),
            (json!({"test_environments": ["test"]}), "test_environments[0]"),
            (json!({"people": {}}), "people"),
            (json!({"accounts": ["ci"]}), "accounts"),
            (json!({"accounts": {"ci": 1}}), "accounts.ci"),
            (json!({"accounts": {"ci": ""}}), "accounts.ci"),
            (json!({"accounts": {"ci": " "}}), "accounts.ci"),
            (json!({"accounts": {"ci": "x".repeat(201)}}), "accounts.ci"),
            (json!({"accounts": {"a/ci": "x"}}), "accounts.a/ci"),
            (json!({"accounts": {"": "x"}}), "accounts."),
            (json!({"accounts": {"CI": "x", "ci": "y"}}), "accounts.ci"),
        ] {
            let refused = Policy::of(&json!({"onboarding": patch})).unwrap_err();
            assert_eq!(refused.path, format!("onboarding.{path}"), "{refused}");
        }
    }

    #[test]
    fn the_defaults_are_the_guides_list() {
        let policy: Policy = "".parse().unwrap();
        let Onboarding { documents, shadowing, test_environments, .. } = &policy.onboarding;
        assert_eq!(documents.len(), 3);
        assert_eq!(shadowing, &[Shadowing::Deploy, Shadowing::Restore, Shadowing::Rotation]);
        assert_eq!(test_environments, &["dev", "staging"]);
        assert!(policy.onboarding.accounts.is_empty());
        // Where nothing is to be shown or read, such as in an environment for production alone.
        Policy::of(&json!({"onboarding": {"shadowing": [], "documents": [], "remind_days": []}})).unwrap();
    }
}
