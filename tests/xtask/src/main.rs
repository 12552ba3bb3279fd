//! `cargo xtask`: the command for developers. See `cargo xtask --help`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people in a terminal")]

mod apply;
mod aws;
mod bench;
mod cloud;
mod configure;
mod demo;
mod deploy;
mod draw;
mod drill;
mod function;
mod http;
mod incident;
mod oncall;
mod page;
mod permissions;
mod procs;
mod repo;
mod run;
mod runtime_api;
mod setup;
mod table;
mod test;
mod up;
mod verify_evidence;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::Timestamp;

use crate::repo::Repo;

/// Sets up, deploys, shows and tests MoveONgs's governance functions on this machine.
///
/// All downloads and state are in the repository's folder `.local`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start the local cloud and deploy the template to it
    ///
    /// Sets up missing tools, starts the local cloud unless one is running, builds the functions and deploys the
    /// template. Prints what an AWS CLI or SDK needs: eval "$(cargo xtask up)"
    Up {
        /// Port of the AWS endpoint on 127.0.0.1 [default: 4566 when it is free, else any]
        #[arg(long)]
        port: Option<u16>,
        /// Show no progress
        #[arg(long, short)]
        quiet: bool,
    },
    /// End the local cloud and all its processes, and remove its state
    Down,
    /// Run every procedure once on real input and show the results
    ///
    /// Sets up missing tools, deploys to a fresh local cloud (or to the running one), and writes
    /// target/demo/results.json. Exits with 0 only if every result is right.
    Demo {
        /// Leave the local cloud running
        #[arg(long)]
        keep: bool,
    },
    /// Run all checks and tests
    ///
    /// Sets up missing tools. The summary names the checks that could not run.
    Test {
        /// Only the checks whose name contains this text, and their prerequisites; or a procedure, such as rotate-random
        #[arg(long)]
        filter: Option<String>,
        /// All parts of the checks that otherwise take turns from day to day
        #[arg(long)]
        full: bool,
    },
    /// Invoke a deployed function once
    ///
    /// Prints the answer, and the log's tail on standard error. Exits with 1 if the function failed.
    Invoke {
        /// Folder name of the function, e.g. rotate-random
        function: String,
        /// JSON file with the event; - reads standard input
        event: PathBuf,
    },
    /// Print the log of a deployed function
    Logs {
        /// Folder name of the function, e.g. rotate-random
        function: String,
        /// Follow the log until Ctrl-C
        #[arg(long, short)]
        follow: bool,
    },
    /// Show, check or apply the policy of an environment
    ///
    /// Uses the caller's own AWS CLI and credentials: reaches a real account, or the local cloud after
    /// eval "$(cargo xtask up)".
    Policy {
        #[command(subcommand)]
        action: apply::Action,
    },
    /// Propose an environment's parameters from what the account has, and write them
    ///
    /// Uses the caller's own AWS CLI and credentials, and only lists and describes: reads no secret's value. Asks what
    /// the account cannot tell; without a terminal, prints the questions and exits with 1. Writes ENVIRONMENT.yaml, a
    /// section of samconfig.toml and policy/ENVIRONMENT.json, and keeps what is in them.
    Configure {
        #[command(flatten)]
        options: Box<configure::Options>,
    },
    /// Show who is on call, now and next, and what would keep a page from reaching somebody
    ///
    /// Reads a file, and no account.
    Oncall {
        /// The JSON merge patch over shared/policy.json [default: none]
        file: Option<PathBuf>,
        /// Time in São Paulo, e.g. 2026-12-24T18:00, or instant with its offset [default: now]
        #[arg(long, value_parser = oncall::instant)]
        at: Option<Timestamp>,
    },
    /// Download an environment's governance page, and open it
    ///
    /// Uses the caller's own AWS CLI and credentials: reaches a real account, or the local cloud after
    /// eval "$(cargo xtask up)". docs/governanca.md explains the page.
    Page {
        #[command(flatten)]
        options: page::Options,
    },
    /// Send a marked event through every entry of an environment's pager, and show when each hop had it
    ///
    /// Uses the caller's own AWS CLI and credentials: reaches a real account, or the local cloud after
    /// eval "$(cargo xtask up)". Calls nobody by name, and resolves its incidents. The webhooks' credentials come from
    /// the stack's secret, or from DRILL_CREDENTIALS in the same form. Exits with 0 only if every event came back.
    Drill {
        #[command(flatten)]
        options: drill::Options,
    },
    /// List, show and change an environment's incidents, as the buttons in Slack do
    ///
    /// Uses the caller's own AWS CLI and credentials: reaches a real account, or the local cloud after
    /// eval "$(cargo xtask up)". What each request does: docs/incidentes.md.
    Incident {
        #[command(flatten)]
        options: Box<incident::Options>,
    },
    /// Verify a copy of the evidence bucket offline: name what is missing, altered, reordered, forged, hidden or cut off
    ///
    /// Reads files, and no account. Without --copy, prints how to make a copy. What each finding means:
    /// docs/auditor.md. Exits with 0 only if every chain is verified.
    VerifyEvidence {
        #[command(flatten)]
        options: verify_evidence::Options,
    },
    /// Draw the state machines into docs/estados, and write the roles' permissions to docs/permissions.md
    Draw,
    /// Measure the functions' time, memory and requests
    ///
    /// Runs on a separate local cloud and writes target/bench/NAME.json. `page` measures notify_slack.py too, of
    /// terraform-aws-notify-slack, if NOTIFY_SLACK is its path. `restore-proof` has a server of its own, and PROOF_ROWS
    /// is another number of rows than a million and ten.
    Bench {
        /// Only this benchmark: rotation, audit, page, restore-proof, report
        name: Option<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run::catch_interrupts()
        .and_then(|()| Repo::find())
        .and_then(|repo| perform(arguments.command, &repo))
    {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.is::<run::Interrupted>() => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all results are right. An error means that the command could not run.
fn perform(task: Task, repo: &Repo) -> anyhow::Result<bool> {
    match task {
        Task::Up { port, quiet } => up::up(repo, port, quiet).map(|()| true),
        Task::Down => cloud::down(repo).map(|()| true),
        Task::Demo { keep } => demo::demo(repo, keep),
        Task::Test { filter, full } => test::test(repo, filter.as_deref(), full),
        Task::Invoke { function, event } => function::invoke(repo, &function, &event),
        Task::Logs { function, follow } => function::logs(repo, &function, follow).map(|()| true),
        Task::Policy { action } => apply::policy(repo, action).map(|()| true),
        Task::Configure { options } => configure::configure(repo, &options),
        Task::Oncall { file, at } => oncall::oncall(file.as_deref(), at).map(|()| true),
        Task::Page { options } => page::page(repo, &options).map(|()| true),
        Task::Drill { options } => drill::drill(&options),
        Task::Incident { options } => incident::incident(*options).map(|()| true),
        Task::VerifyEvidence { options } => verify_evidence::verify(&options),
        Task::Draw => draw::draw(repo).map(|()| true),
        Task::Bench { name } => bench::bench(repo, name.as_deref()).map(|()| true),
    }
}
