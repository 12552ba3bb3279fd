//! The functions' dependencies and build settings.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::{folders, root};

/// Each package in a function's build, with its requested features.
fn packages(function: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--package", function, "--edges", "normal,build"]);
    tree.args(["--prefix", "none", "--no-dedupe", "--format", "{p}\t{f}"]);
    let output = tree.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{function}: {}", String::from_utf8_lossy(&output.stderr));
    let mut packages: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (package, features) = line.split_once('\t').unwrap();
        // A package of this workspace is listed with its folder.
        if !package.contains("(/") {
            packages.entry(package.to_owned()).or_default().insert(features.to_owned());
        }
    }
    packages
}

#[test]
fn one_build_of_the_sdk_is_enough_for_all_functions() {
    let functions: Vec<_> = folders("functions").into_iter().map(|name| (packages(&name), name)).collect();
    let (first, name) = functions.first().unwrap();
    let in_all = first
        .iter()
        .filter(|(package, _)| functions.iter().all(|(packages, _)| packages.contains_key(package.as_str())));
    let mut compared = 0;
    for (package, features) in in_all {
        for (packages, other) in &functions {
            assert_eq!(
                packages.get(package),
                Some(features),
                "{other} and {name} ask for other features of {package}: see shared/Cargo.toml"
            );
        }
        compared += 1;
    }
    assert!(compared > 100, "only {compared} packages are in all functions");
}

#[test]
fn a_build_leaves_out_what_takes_most_of_a_first_connection() {
    // Cargo passes it to rustc and to build scripts; a variable of the caller takes precedence.
    assert_eq!(option_env!("AWS_LC_SYS_NO_JITTER_ENTROPY"), Some("1"), "see docs/decisions/entropy.md");
    // Cargo searches for its settings upwards from the folder in which SAM builds a function. No others may come first.
    for function in folders("functions") {
        let folder = root().join("functions").join(&function);
        assert!(!folder.join(".cargo").exists(), "{function} has settings of its own");
    }
}
