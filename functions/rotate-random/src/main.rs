//! Lambda entry point: build the app once, then serve events.

use std::process::ExitCode;

use rotate_random::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::lambda::serve(
        rotate_random::PROCEDURE,
        async |env, aws| App::new(env, aws),
        shared::rotation::handle,
    )
    .await
}
