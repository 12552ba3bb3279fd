//! Lambda entry point: build the app once, then serve events.

use std::process::ExitCode;

use inventory_audit::{App, PROCEDURE, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::lambda::serve(PROCEDURE, async |env, aws| App::new(env, aws), handle).await
}
