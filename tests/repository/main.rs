//! Promises across folders: template and code agree, layers stay apart, samples parse.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod adoption;
mod advice;
mod alarms;
mod builds;
mod deployment;
mod documents;
mod layers;
mod samples;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Names of the folders in a folder of the repository, in order.
fn folders(of: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(of)).unwrap().map(Result::unwrap);
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no folder in {of}");
    names
}

/// A file's text up to the module of tests at its end.
fn without_tests(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |pair: &[&str]| {
        let [condition, module] = pair else { return false };
        let module = module.strip_prefix("pub(crate) ").unwrap_or(module);
        condition.starts_with("#[cfg(")
            && condition.contains("test")
            && module.starts_with("mod ")
            && module.ends_with('{')
    };
    let end = lines.windows(2).position(begins).unwrap_or(lines.len());
    lines.get(..end).unwrap_or_default().join("\n")
}

/// The Rust files of a folder, with their text up to the tests at its end. Not what is called `tests`, files and folders.
fn sources(of: &str) -> Vec<(String, String)> {
    let folder = root().join(of);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let entries = entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("tests"));
    let (folders, entries): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut files: Vec<(String, String)> = entries
        .into_iter()
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs")
        })
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = without_tests(&text);
            (path.strip_prefix(root()).unwrap().display().to_string(), code)
        })
        .collect();
    for folder in folders {
        files.extend(sources(&folder.strip_prefix(root()).unwrap().display().to_string()));
    }
    files.sort();
    assert!(!files.is_empty() || folder.join("tests.rs").exists(), "no source in {of}");
    files
}

/// Every text in double quotes that follows `before`.
fn quoted_after(text: &str, before: &str) -> Vec<String> {
    let pieces = text.split(before).skip(1);
    pieces
        .filter_map(|piece| piece.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned))
        .collect()
}
