//! The crash matrix: the function is killed before and after every outside call of a rotation, the service
//! repeats the rotation with the same token, and the end state must be that of an undisturbed rotation.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::cloud::{Cloud, ROTATE_RANDOM};
use crate::secret::Secret;

#[tokio::test]
async fn every_crash_point_of_rotate_random_recovers() {
    let cloud = Cloud::connect().await;
    cloud.calm().await;
    let undisturbed = Secret::plain(&cloud, "matrix-undisturbed").await;
    let before = cloud.last_call().await;
    undisturbed.rotate().await;
    let calls = cloud.calls(before).await.0;
    // Describe and three more, Describe, Describe and two more, Describe and three more; then evidence and channel.
    assert!(calls.len() > 15, "{calls:?}");

    let mut points = Vec::new();
    for when in ["before", "after"] {
        for nth in 1.. {
            let name = format!("matrix-{when}-{nth}");
            let Some(point) = crash(&cloud, &name, when, nth).await else {
                assert!(nth > calls.len(), "only {} of {calls:?} were killed {when}", nth - 1);
                break;
            };
            points.push(point);
        }
    }
    // A crash may leave neither a gap nor a fork in the chain, nor a run with two records.
    let records = cloud.evidence("rotate-random").await;
    let runs: BTreeSet<_> = records.iter().map(|(_, record)| record["run_id"].as_str().unwrap()).collect();
    assert_eq!(runs.len(), records.len());
    assert!(records.len() > points.len());
    write("rotate-random", &calls, &points);
}

/// Kills the function at its `nth` call of a rotation; `None` when the rotation makes fewer calls.
async fn crash(cloud: &Cloud, name: &str, when: &str, nth: usize) -> Option<Value> {
    cloud.calm().await;
    let secret = Secret::plain(cloud, name).await;
    cloud.calm().await;
    let before = cloud.last_call().await;
    cloud.fault(json!({"effect": "kill", "when": when, "nth": nth})).await;
    let token = secret.start().await;
    let rotation = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
    if cloud.hits().await == 0 {
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
        return None;
    }
    assert_eq!(rotation["state"], "waiting", "a killed step is a failed step: {rotation}");
    let current = secret.labelled("AWSCURRENT").await;
    let moved = current.as_ref() == Some(&token);
    assert!(moved || current.as_ref() == Some(&secret.first), "AWSCURRENT is on neither version");
    let killed = cloud.calls(before).await.0.last().cloned();
    let step = rotation["error"]["step"].clone();

    secret.retry().await;
    let rotation = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
    assert_eq!(rotation["state"], "succeeded", "{when} call {nth}: {rotation}");
    secret.finished(&token, &secret.first).await;
    // Told once; twice only where the crash fell between the message and its record.
    let told = cloud.messages(&token).await.len();
    assert!((1..=2).contains(&told), "{when} call {nth}: told {told} times");
    Some(json!({
        "when": when,
        "call": nth,
        "operation": killed,
        "step": step,
        "end": rotation["state"],
        "attempts": rotation["attempts"],
        "told": told,
    }))
}

/// Writes the counts to `target/matrix/<function>.json`.
fn write(function: &str, calls: &[String], points: &[Value]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/matrix");
    std::fs::create_dir_all(&folder).unwrap();
    let report = json!({
        "function": ROTATE_RANDOM,
        "calls": calls,
        "points": points.len(),
        "recovered": points.iter().filter(|point| point["end"] == "succeeded").count(),
        "each": points,
    });
    std::fs::write(folder.join(format!("{function}.json")), format!("{report:#}\n")).unwrap();
}
