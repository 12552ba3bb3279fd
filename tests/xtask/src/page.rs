//! `cargo xtask page`: downloads an environment's governance page with the caller's credentials, and opens it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::apply::{Place, bucket, printed};
use crate::repo::Repo;

/// What is below `report/`.
const FILES: [&str; 4] = ["index.html", "controls.csv", "controls.json", "feed.atom"];

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Folder for the page and its tables [default: target/page/ENVIRONMENT]
    #[arg(long)]
    output: Option<PathBuf>,
    /// Only download
    #[arg(long)]
    no_open: bool,
}

/// Downloads the page, and opens it unless that was declined.
pub(crate) fn page(repo: &Repo, options: &Options) -> Result<()> {
    let bucket = bucket(&options.place)?;
    let own = repo.at("target/page").join(&options.place.environment);
    let folder = options.output.clone().unwrap_or(own);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for file in FILES {
        let into = folder.join(file);
        let into = into.to_str().context("the folder's path is not UTF-8")?;
        printed(&["s3", "cp", "--only-show-errors", &format!("s3://{bucket}/report/{file}"), into])
            .with_context(|| {
                format!("report/{file} could not be downloaded; has governance-report run once?")
            })?;
    }
    let page = folder.join("index.html");
    println!("{}", page.display());
    if !options.no_open && !opens(&page) {
        println!("No program opened it; open it in a browser.");
    }
    Ok(())
}

/// Whether a program of this system opens the file.
fn opens(page: &std::path::Path) -> bool {
    let openers: [&[&str]; 3] = [&["xdg-open"], &["open"], &["cmd", "/C", "start", ""]];
    openers.iter().any(|opener| {
        let Some((program, arguments)) = opener.split_first() else { return false };
        let mut command = Command::new(program);
        command.args(arguments).arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}
