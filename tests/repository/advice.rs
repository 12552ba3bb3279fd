//! `tests/e2e/advised.txt` names each kind of failure of the rotation functions, and existing tests. This check only
//! verifies that the test names the kind; a reviewer must verify that the test runs the commands.

use std::collections::BTreeSet;
use std::fs;

use crate::root;

/// The kinds in a file of errors: in the arms of `fn kind`, or of the function for database errors.
fn kinds(path: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let named = if path == "shared/src/database/error.rs" { "pub fn name(" } else { "fn kind(" };
    let body = text.split(named).nth(1).unwrap().split("\n    }\n").next().unwrap().to_owned();
    let mut kinds: BTreeSet<_> = crate::quoted_after(&body, "=>").into_iter().collect();
    // The variants of an enum of kinds.
    let variants = body.split("=> &Kind::").skip(1);
    kinds.extend(
        variants.filter_map(|rest| Some(rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?.to_owned())),
    );
    assert!(!kinds.is_empty(), "{path}");
    kinds
}

#[test]
fn every_kind_of_failure_of_a_rotation_says_which_test_runs_its_commands() {
    let list = fs::read_to_string(root().join("tests/e2e/advised.txt")).unwrap();
    let lines: Vec<Vec<&str>> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.splitn(3, ' ').collect())
        .collect();
    for (section, path) in [
        ("rotation", "shared/src/rotation/error.rs"),
        ("rotate-random", "functions/rotate-random/src/error.rs"),
        ("rotate-database", "functions/rotate-database/src/error.rs"),
        ("database", "shared/src/database/error.rs"),
        ("rotate-external", "functions/rotate-external/src/error.rs"),
        ("broken", "functions/rotation-followup/src/error.rs"),
    ] {
        let listed: BTreeSet<_> =
            lines.iter().filter(|line| line[0] == section).map(|line| line[1].to_owned()).collect();
        let missing: Vec<_> = kinds(path).difference(&listed).cloned().collect();
        assert!(missing.is_empty(), "{section}: {missing:?} stand in no line of tests/e2e/advised.txt");
    }
    for line in &lines {
        let [section, kind, how] = line[..] else { panic!("{line:?}") };
        if how == "-" || how.starts_with("untested: ") {
            continue;
        }
        if let Some(other) = how.strip_prefix("as ") {
            assert!(lines.iter().any(|line| line[..2] == [section, other]), "{line:?}");
            continue;
        }
        let (module, test) = how.split_once("::").unwrap();
        let text = fs::read_to_string(root().join(format!("tests/e2e/{module}.rs"))).unwrap();
        let body = text.split(&format!("\nasync fn {test}(")).nth(1);
        let body = body.unwrap_or_else(|| panic!("{how} is no test")).split("\n}\n").next().unwrap();
        // A test with a table has its kinds there.
        let table = text.split("\nfn table(").nth(1).filter(|_| body.contains("table()"));
        let table = table.and_then(|table| table.split("\n}\n").next()).unwrap_or_default();
        assert!(body.contains(kind) || table.contains(kind), "{how} does not name {kind}");
    }
}
