//! Tells a waiting task of the state machine how to go on.

use aws_sdk_sfn::Client;
use shared::runtime::failure::CallError;

/// Ends the task that waits with this token. Returns `false` if no task waits with it any more.
pub(crate) async fn succeed(client: &Client, token: &str, output: &str) -> Result<bool, CallError> {
    let sent = client.send_task_success().task_token(token).output(output).send().await;
    match sent.map_err(CallError::during("states:SendTaskSuccess")) {
        Ok(_) => Ok(true),
        Err(call) if ["InvalidToken", "TaskDoesNotExist", "TaskTimedOut"].contains(&call.code.as_str()) => {
            Ok(false)
        }
        Err(call) => Err(call),
    }
}
