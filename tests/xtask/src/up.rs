//! `cargo xtask up`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::aws::Aws;
use crate::cloud::{Down, Place};
use crate::repo::Repo;
use crate::run::Progress;
use crate::{deploy, setup};

/// Number of steps in [`bring_up`].
pub(crate) const STEPS: usize = setup::PARTS.len() + 1 + deploy::PARTS.len();

/// A local cloud with the template deployed.
pub(crate) struct Running {
    pub(crate) aws: Aws,
    /// Takes the cloud down on drop, unless it ran before.
    pub(crate) down: Down,
}

/// Starts a cloud at `place`, or uses the running one, and deploys to it.
pub(crate) fn bring_up(
    repo: &Repo,
    place: &Place,
    port: Option<u16>,
    progress: &Progress,
) -> Result<Running> {
    for (name, part) in setup::PARTS {
        progress.step(name, |log| part(repo, log))?;
    }
    let running = place.running();
    let mut down = Down::of(place);
    if let Some(cloud) = &running {
        down.keep();
        if port.is_some_and(|port| !cloud.endpoint.ends_with(&format!(":{port}"))) {
            bail!("the local cloud runs at {}; `cargo xtask down` ends it", cloud.endpoint);
        }
    }
    let cloud = progress.step("starting the local cloud", |log| match running {
        Some(cloud) => log.line("it runs already").map(|()| cloud),
        None => place.start(repo, port, log),
    })?;
    let aws = Aws::new(repo, &cloud);
    for (name, part) in deploy::PARTS {
        progress.step(name, |log| part(repo, &aws, log))?;
    }
    Ok(Running { aws, down })
}

/// `cargo xtask up`.
pub(crate) fn up(repo: &Repo, port: Option<u16>, quiet: bool) -> Result<()> {
    let _lock = repo.lock()?;
    let progress = Progress::new(repo.local().join("logs/up"), STEPS, quiet);
    let mut running = bring_up(repo, &Place::new(repo, "cloud"), port, &progress)?;
    running.down.keep();
    let bin = repo.local().join("bin");
    write_cli(repo, &bin, &running.aws.cloud.endpoint)?;
    print!("{}", for_a_shell(&running.aws.environment(), &[&bin, &repo.local().join("venv/bin")]));
    Ok(())
}

/// Writes an `aws` that reaches only the local cloud. It outlives the cloud: otherwise, in a shell that still has the
/// environment, the next `aws` in PATH would reach the real AWS.
fn write_cli(repo: &Repo, bin: &Path, endpoint: &str) -> Result<()> {
    let python = quoted(&repo.venv("python").to_string_lossy());
    let program = quoted(&repo.at("tests/cloud/localcloud/cli.py").to_string_lossy());
    let path = bin.join("aws");
    fs::create_dir_all(bin)?;
    fs::write(&path, format!("#!/bin/sh\nexec {python} {program} {endpoint} \"$@\"\n"))
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The variables for a shell: of AWS only these, no proxy, and these folders first in PATH.
fn for_a_shell(environment: &[(&str, &str)], folders: &[&Path]) -> String {
    let mut lines = vec![
        "# The local cloud runs until `cargo xtask down`. In a shell: eval \"$(cargo xtask up --quiet)\""
            .to_owned(),
        "unset AWS_PROFILE $(env | sed -n 's/^\\(AWS_[A-Za-z0-9_]*\\)=.*/\\1/p')".to_owned(),
    ];
    lines.extend(environment.iter().map(|(name, value)| format!("export {name}={value}")));
    for name in ["NO_PROXY", "no_proxy"] {
        lines.push(format!("export {name}=\"127.0.0.1${{{name}:+,${name}}}\""));
    }
    let folders: Vec<String> = folders.iter().map(|folder| quoted(&folder.to_string_lossy())).collect();
    lines.push(format!("export PATH={}:\"$PATH\"", folders.join(":")));
    lines.push(String::new());
    lines.join("\n")
}

/// Quotes a string for a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn nothing_of_aws_but_the_local_cloud_is_left_in_a_shell() {
        let environment = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ACCESS_KEY_ID", "test")];
        let text = for_a_shell(&environment, &[Path::new("/a b/bin"), Path::new("/venv")]);
        let output = Command::new("sh")
            .args(["-euc", &format!("{text}env; echo after")])
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/home/x"), ("NO_PROXY", "internal.example")])
            .envs([("AWS_PROFILE", "prod"), ("AWS_ENDPOINT_URL_RDS", "https://rds.amazonaws.com")])
            .envs([("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"), ("AWS_ACCESS_KEY_ID", "AKIAREAL")])
            .envs([("AWS_SESSION_TOKEN", "real"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")])
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let mut of_aws: Vec<&str> = output.lines().filter(|line| line.starts_with("AWS_")).collect();
        of_aws.sort_unstable();
        assert_eq!(of_aws, ["AWS_ACCESS_KEY_ID=test", "AWS_ENDPOINT_URL=http://127.0.0.1:1"]);
        for line in [
            "HOME=/home/x",
            "NO_PROXY=127.0.0.1,internal.example",
            "no_proxy=127.0.0.1",
            "PATH=/a b/bin:/venv:/usr/bin:/bin",
            "after",
        ] {
            assert!(output.lines().any(|each| each == line), "{line} is not in {output}");
        }
    }

    #[test]
    fn a_path_stays_one_word_in_a_shell() {
        assert_eq!(quoted("/a b/c"), "'/a b/c'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
