//! A run compared with the last one: the pages that wait in the first week, and findings that could not be checked again. No
//! I/O, no clock.

use shared::audit::course::{Before, Last};
use shared::audit::findings::{about_of, key_of};

use super::row::{Problem, Row, problems};
use super::runbook::ALARMS;

/// Whether a page waits until the first week is over: a resource missing since the first audit usually has another
/// name. A resource that existed in the last run pages at once; so does any resource if the last record could not be
/// read.
pub(crate) fn waits(before: &Before, key: &str, problem: &Problem) -> bool {
    let was_missing = |before: &Last| before.findings.iter().any(|line| key_of(line) == key);
    let before = before.as_ref().map(Option::as_ref);
    matches!(problem, Problem::Missing { .. }) && before.is_ok_and(|before| before.is_none_or(was_missing))
}

/// Whether a key's resource or runbook, or the state or list that it is compared with, could not be read.
pub(crate) fn is_unseen(rows: &[Row], key: &str) -> bool {
    let unread = |kind: &str| problems(rows).any(|(_, problem)| problem.kind() == kind);
    let is_blind = unread("StateUndeclared") || unread("StateUnreadable") || unread("ListUnread");
    let compared = ["Drift ", "InTwoStates ", "NotInInventory ", "NotInState ", "ValueInState "];
    // The key of a drift ends with the setting.
    let is_of = |about: &str, each: &str| {
        about.strip_prefix(each).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    (is_blind && compared.iter().any(|kind| key.starts_with(kind)))
        || problems(rows).any(|(row, problem)| {
            let is_unknown =
                matches!(problem, Problem::InsufficientData { .. } | Problem::RunbookUnchecked { .. });
            let is_list = row.kind == ALARMS && key.starts_with("Runbook");
            is_unknown && (is_list || is_of(about_of(key), &row.about()))
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::audit::findings;
    use shared::run::report::Unread;

    use super::*;
    use crate::rules::facts::{Observation, States};
    use crate::rules::policy::{self, Stack};
    use crate::rules::runbook::{self, Found, Runbook};

    fn keys(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    fn before(run_id: &str, findings: &[&str]) -> Last {
        Last { run_id: run_id.to_owned(), findings: findings.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn in_the_first_week_only_a_deleted_resource_pages() {
        let missing = Problem::Missing { is_in_state: None };
        let (empty, known) = (before("x", &[]), before("x", &["Missing a b: gone: long ago"]));
        for (before, problem, expected) in [
            (Ok(None), &missing, true),
            (Ok(Some(known)), &missing, true),
            (Ok(Some(empty)), &missing, false),
            (Err(Unread("S3 did not answer".to_owned())), &missing, false),
            (Ok(None), &Problem::NothingRead, false),
        ] {
            assert_eq!(waits(&before, "Missing a b", problem), expected);
        }
    }

    #[test]
    fn a_runbook_that_was_not_looked_up_is_not_found_again() {
        let policy: shared::policy::Policy = "".parse().unwrap();
        let stack = Stack { policy: &policy, project: "moveongs", environment: "dev", own: "own" };
        let runbook =
            |found: Found| Runbook { link: "docs/api.md".to_owned(), alarms: ["a".to_owned()].into(), found };
        let (missing, other) = ("RunbookMissing runbook docs/api.md", "RunbookMissing runbook docs/db.md");
        for (runbooks, unseen) in [
            (Ok(vec![runbook(Found::Present)]), [false, false]),
            (Ok(vec![runbook(Found::Unchecked(String::new()))]), [true, false]),
            (Err("AccessDenied".to_owned()), [true, true]),
        ] {
            let rows = runbook::rows(stack, &runbooks);
            assert_eq!([missing, other].map(|key| is_unseen(&rows, key)), unseen, "{runbooks:?}");
            assert!(!is_unseen(&rows, "Missing secret a"));
        }
    }

    #[test]
    fn an_unchecked_finding_is_not_resolved() {
        let lines =
            ["NotInState secret a: x", "Missing secret b: x", "Missing secret c: x"].map(str::to_owned);
        let policy: shared::policy::Policy = "".parse().unwrap();
        let stack = Stack { policy: &policy, project: "moveongs", environment: "dev", own: "own" };
        let wanted = policy::wanted(stack, &[("c", "c")].into_iter().collect(), None);
        let unseen = wanted.into_iter().filter(|each| each.name == "c");
        let unseen = unseen.map(|each| (each, Observation::Unknown(String::new()))).collect();
        let rows = policy::decide(stack, unseen, &States::Undeclared, &Ok(Vec::new()));
        let found: BTreeSet<String> = problems(&rows).map(|(row, problem)| row.key(problem)).collect();
        let changes = findings::changes(&lines, &found, |key| is_unseen(&rows, key));
        assert_eq!(changes.resolved, keys(&["Missing secret b"]));
        assert_eq!(
            changes.new,
            keys(&[
                "InsufficientData secret c",
                "NothingRead inventory moveongs-dev",
                "StateUndeclared terraform-state moveongs-dev"
            ])
        );
    }
}
