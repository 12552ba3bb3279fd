//! Paths in the repository, and the lock on its `.local` folder.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::run;

/// The repository's folders; every download and all state is below `.local`.
#[derive(Clone, Debug)]
pub(crate) struct Repo {
    pub(crate) root: PathBuf,
    /// The purpose of the functions' build.
    pub(crate) build: Build,
}

/// The purpose of the functions' build.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Build {
    /// To run on a local cloud. Behaviour does not depend on size or speed, and the dev profile builds in a fraction of the
    /// time.
    Run,
    /// Like [`Build::Run`], with the tests' features, for which all dependencies are already compiled.
    Test,
    /// To measure: the release profile, as deployed.
    Measure,
}

impl Repo {
    /// The repository that contains this program's source.
    pub(crate) fn find() -> Result<Self> {
        // Set by `cargo run`; still correct if the checkout was moved after the build.
        let manifest = run::env("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest)
            .join("../..")
            .canonicalize()
            .context("the repository is not where this program was built; run it as `cargo xtask` inside the repository")?;
        Ok(Self { root, build: Build::Run })
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(crate) fn local(&self) -> PathBuf {
        self.at(".local")
    }

    /// The same repository with another purpose for the functions' build.
    pub(crate) fn building(&self, build: Build) -> Self {
        Self { build, ..self.clone() }
    }

    /// A program of the Python environment.
    pub(crate) fn venv(&self, program: &str) -> PathBuf {
        self.local().join("venv/bin").join(program)
    }

    /// The names of the functions: the folders of `functions` that hold a crate, sorted.
    pub(crate) fn functions(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.at("functions")).context("the folder functions/ cannot be read")? {
            let entry = entry?;
            if entry.path().join("Cargo.toml").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Waits until no other `cargo xtask` works in `.local`. Dropping the file releases the lock.
    pub(crate) fn lock(&self) -> Result<File> {
        fs::create_dir_all(self.local())?;
        let path = self.local().join("lock");
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        let mut reported = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => {
                    return Err(error).context(format!("cannot lock {}", path.display()));
                }
            }
            if !reported {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                eprintln!("waiting for another `cargo xtask` to end: {}", holder.trim());
                reported = true;
            }
            run::pause(Duration::from_millis(200))?;
        }
        file.set_len(0)?;
        file.rewind()?;
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        writeln!(file, "`{}`, process {}", arguments.join(" "), std::process::id())?;
        Ok(file)
    }
}

/// SHA-256 in hexadecimal over all parts, each preceded by its length so that different lists never collide.
pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_the_parts_apart() {
        assert_eq!(digest(&[b"a", b"b"]), digest(&[b"a", b"b"]));
        assert_ne!(digest(&[b"a", b"b"]), digest(&[b"ab"]));
        assert_ne!(digest(&[b"ab", b""]), digest(&[b"", b"ab"]));
        assert_eq!(digest(&[]).len(), 64);
    }

    #[test]
    fn the_functions_are_the_crates_of_their_folder() {
        let functions = Repo::find().unwrap().functions().unwrap();
        assert!(functions.iter().any(|name| name == "rotate-random"), "{functions:?}");
        assert!(functions.is_sorted());
    }
}
