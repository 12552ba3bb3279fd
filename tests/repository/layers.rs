//! The layers: which code may depend on which.

use std::fs;

use crate::{folders, root, sources};

/// The crates that link no SDK and no runtime.
const PURE: [&str; 3] = ["shared/chain", "shared/incident", "shared/policy"];

/// A crate's dependencies, those of its tests and its build among them.
fn dependencies(folder: &str) -> String {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    text.split("dependencies]").skip(1).collect()
}

#[test]
fn rules_know_neither_aws_nor_a_clock_nor_the_runtime() {
    let functions = folders("functions").into_iter().map(|name| format!("functions/{name}/src"));
    let is_rule = |path: &str| path.contains("/src/rules/") || path.ends_with("/src/rules.rs");
    let rules = functions.flat_map(|folder| sources(&folder)).filter(|(path, _)| is_rule(path));
    let pure = PURE.iter().flat_map(|folder| sources(&format!("{folder}/src")));
    for (path, code) in rules.chain(pure) {
        for word in ["aws_sdk_", "tokio", "async ", "::now()"] {
            assert!(!code.contains(word), "{path} names {word}");
        }
    }
    for folder in PURE {
        for name in ["aws", "lambda_runtime", "reqwest", "shared", "tokio"] {
            assert!(!dependencies(folder).contains(name), "{folder} depends on {name}");
        }
    }
}

#[test]
fn only_one_file_of_a_function_names_sdk_operations() {
    for function in folders("functions") {
        for (path, code) in sources(&format!("functions/{function}/src")) {
            if !path.contains("/aws") {
                assert!(!code.contains(".send()"), "{path} calls AWS; aws.rs does that");
            }
        }
    }
}

#[test]
fn no_function_knows_another_and_shared_knows_none() {
    let functions = folders("functions");
    let crates = functions.iter().map(|name| format!("functions/{name}"));
    for folder in crates.chain(["shared"].into_iter().chain(PURE).map(str::to_owned)) {
        let dependencies = dependencies(&folder);
        for function in &functions {
            assert!(!dependencies.contains(function.as_str()), "{folder} depends on {function}");
        }
    }
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    let functions = folders("functions").into_iter().map(|name| format!("functions/{name}"));
    let others = ["shared", "tests", "tests/xtask"].into_iter().chain(PURE).map(str::to_owned);
    for folder in functions.chain(others) {
        for line in dependencies(&folder).lines().filter(|line| line.contains('=')) {
            let inherits = line.contains("workspace = true") || line.starts_with('[');
            let is_feature = line.contains("[\"") && !line.contains("version");
            assert!(inherits || is_feature, "{folder}/Cargo.toml: {line}");
        }
    }
}

/// Allowed places that print `Debug`: a step's outcome, which is a bare name, and values that `tracing` passes that
/// way.
const DEBUG: [&str; 3] = [": {outcome:?}\"", "format!(\"{outcome:?}\")", "format!(\"{value:?}\")"];

#[test]
fn nothing_else_is_printed_with_debug() {
    let functions = folders("functions").into_iter().map(|name| format!("functions/{name}/src"));
    let others = ["shared"].into_iter().chain(PURE).map(|folder| format!("{folder}/src"));
    for (path, code) in functions.chain(others).flat_map(|folder| sources(&folder)) {
        for line in code.lines().filter(|line| line.contains(":?}") || line.contains("dbg!")) {
            assert!(
                DEBUG.iter().any(|allowed| line.contains(allowed)),
                "{path}: {line}: it may print a secret"
            );
        }
        for field in ["?error", "?event", "?request", "?err", "?secret", "?value"] {
            assert!(!code.contains(&format!("= {field}")), "{path} logs {field} with Debug");
        }
    }
}
