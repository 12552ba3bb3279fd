//! `cargo xtask up`.

use anyhow::{Result, bail};

use crate::aws::Aws;
use crate::cloud::{Down, Place};
use crate::repo::Repo;
use crate::run::Progress;
use crate::{deploy, setup};

/// How many steps [`bring_up`] has.
pub(crate) const STEPS: usize = setup::PARTS.len() + 1 + deploy::PARTS.len();

/// A local cloud with the template deployed.
pub(crate) struct Running {
    pub(crate) aws: Aws,
    /// Takes the cloud down, unless it was up before.
    pub(crate) down: Down,
}

/// Starts a cloud at `place`, or takes the one that runs there, and deploys to it.
pub(crate) fn bring_up(
    repo: &Repo,
    place: &Place,
    port: Option<u16>,
    progress: &mut Progress,
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
    let mut progress = Progress::new(repo.local().join("logs/up"), STEPS, quiet);
    let mut running = bring_up(repo, &Place::new(repo, "cloud"), port, &mut progress)?;
    running.down.keep();
    println!(
        "# The local cloud runs until `cargo xtask down`. In a shell: eval \"$(cargo xtask up --quiet)\""
    );
    println!("unset AWS_PROFILE AWS_SESSION_TOKEN");
    for (name, value) in running.aws.environment() {
        println!("export {name}={value}");
    }
    println!("export PATH={}:\"$PATH\"", quoted(&repo.local().join("venv/bin").to_string_lossy()));
    Ok(())
}

/// A text for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_path_stays_one_word_in_a_shell() {
        assert_eq!(quoted("/a b/c"), "'/a b/c'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
