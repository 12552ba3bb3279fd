//! The layers: which code may depend on which.

use std::fs;

use crate::{folders, root, sources};

#[test]
fn rules_know_neither_aws_nor_a_clock_nor_the_runtime() {
    for function in folders("functions") {
        for (path, code) in sources(&format!("functions/{function}/src")) {
            if path.contains("/src/rules/") || path.ends_with("/src/rules.rs") {
                for word in ["aws_sdk_", "tokio", "async ", "::now()"] {
                    assert!(!code.contains(word), "{path} names {word}");
                }
            }
        }
    }
    for (path, code) in sources("shared/incident/src") {
        for word in ["aws_sdk_", "tokio", "async ", "::now()"] {
            assert!(!code.contains(word), "{path} names {word}");
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
    let manifests = functions.iter().map(|name| format!("functions/{name}/Cargo.toml"));
    for manifest in manifests.chain(["shared/Cargo.toml".to_owned()]) {
        let text = fs::read_to_string(root().join(&manifest)).unwrap();
        let dependencies = text.split("dependencies]").skip(1).collect::<String>();
        for function in &functions {
            assert!(!dependencies.contains(function.as_str()), "{manifest} depends on {function}");
        }
    }
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    let functions = folders("functions").into_iter().map(|name| format!("functions/{name}"));
    let others = ["shared", "shared/incident", "shared/policy", "tests", "tests/xtask"];
    for crate_folder in functions.chain(others.map(str::to_owned)) {
        let text = fs::read_to_string(root().join(&crate_folder).join("Cargo.toml")).unwrap();
        let dependencies = text.split("dependencies]").skip(1).collect::<String>();
        for line in dependencies.lines().filter(|line| line.contains('=')) {
            let inherits = line.contains("workspace = true") || line.starts_with('[');
            let is_feature = line.contains("[\"") && !line.contains("version");
            assert!(inherits || is_feature, "{crate_folder}/Cargo.toml: {line}");
        }
    }
}

/// Allowed places that print `Debug`: a step's outcome, which is a bare name, and values that `tracing` passes that
/// way.
const DEBUG: [&str; 3] = [": {outcome:?}\"", "format!(\"{outcome:?}\")", "format!(\"{value:?}\")"];

#[test]
fn nothing_else_is_printed_with_debug() {
    let functions = folders("functions").into_iter().map(|name| format!("functions/{name}/src"));
    let all = functions.chain(["shared/src", "shared/incident/src", "shared/policy/src"].map(str::to_owned));
    for (path, code) in all.flat_map(|folder| sources(&folder)) {
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
