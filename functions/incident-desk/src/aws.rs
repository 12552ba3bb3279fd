//! The AWS calls of this function alone. The table's are in `shared::aws::table`.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use serde_json::Value;
use shared::runtime::failure::CallError;

use crate::DeskError;

/// The refusals of an order, by `emergency-restore`'s kinds: each comes before anything is noted. After any other error, the
/// order may be noted.
const REFUSALS: [&str; 7] = [
    "InvalidEvent",
    "NoOpenRestore",
    "OtherRun",
    "OrderNotPossible",
    "SecondPersonNeeded",
    "ProofNotGood",
    "SecretChanged",
];

/// How long an order about a restore may take.
const ORDER: Duration = Duration::from_secs(40);

/// A client that waits for the answer of an order.
pub(crate) fn lambda(aws: &SdkConfig) -> Client {
    let patient = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(ORDER)
        .operation_timeout(ORDER)
        .build();
    Client::new(&aws.to_builder().timeout_config(patient).build())
}

/// Invokes a function without waiting for it. Lambda repeats the invocation if it fails.
///
/// # Errors
///
/// [`DeskError::Invoke`].
pub(crate) async fn invoke_later(client: &Client, function: &str, event: &Value) -> Result<(), DeskError> {
    let event = Blob::new(event.to_string());
    let sent = client.invoke().function_name(function).invocation_type(InvocationType::Event).payload(event);
    let sent = sent.send().await.map_err(CallError::during("lambda:InvokeFunction"));
    sent.map(drop).map_err(DeskError::Invoke)
}

/// Gives an order about a restore: the lines of its answer, or the refusal, for people. The same order again does no harm.
///
/// # Errors
///
/// [`DeskError::Invoke`] and [`DeskError::OrderUnclear`] if nobody knows whether it was noted, or if it may succeed later.
pub(crate) async fn order(
    client: &Client,
    function: &str,
    order: &Value,
) -> Result<Result<Vec<String>, String>, DeskError> {
    let sent = client.invoke().function_name(function).payload(Blob::new(order.to_string()));
    let answer = sent.send().await.map_err(CallError::during("lambda:InvokeFunction"));
    let answer = answer.map_err(DeskError::Invoke)?;
    let payload = answer.payload().map(|payload| payload.as_ref().to_vec()).unwrap_or_default();
    let payload: Value = serde_json::from_slice(&payload).unwrap_or_default();
    let text = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if answer.function_error().is_some() || payload.get("errorType").is_some() {
        let (kind, message) = (text("errorType"), text("errorMessage"));
        let said = format!("{kind}: {message}");
        let is_refusal = REFUSALS.contains(&kind.as_str());
        return if is_refusal { Ok(Err(said)) } else { Err(DeskError::OrderUnclear(said)) };
    }
    let lines = payload.get("says").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(Ok(lines.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
}
