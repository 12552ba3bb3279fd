//! `cargo xtask invoke` and `cargo xtask logs`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::aws::{Aws, text};
use crate::cloud::Place;
use crate::deploy::PREFIX;
use crate::repo::Repo;
use crate::run;

/// The deployed name of the function in a folder of `functions`.
pub(crate) fn deployed_name(repo: &Repo, folder: &str) -> Result<String> {
    let known = repo.functions()?;
    if !known.iter().any(|name| name == folder) {
        bail!("there is no function `{folder}`; there are: {}", known.join(", "));
    }
    Ok(format!("{PREFIX}-{folder}"))
}

/// `cargo xtask invoke`: prints the answer to standard output, the log's tail to standard error. False if the function
/// failed.
pub(crate) fn invoke(repo: &Repo, function: &str, event: &Path) -> Result<bool> {
    let name = deployed_name(repo, function)?;
    let event = if event == Path::new("-") {
        let mut all = Vec::new();
        std::io::stdin().read_to_end(&mut all)?;
        all
    } else {
        fs::read(event).with_context(|| format!("cannot read the event {}", event.display()))?
    };
    serde_json::from_slice::<Value>(&event).context("the event is not JSON")?;
    let aws = Aws::new(repo, &Place::new(repo, "cloud").expect_running()?);
    aws.function(&name)?;
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let answer = aws.wire("lambda", "POST", &path, &[("X-Amz-Log-Type", "Tail")], &event)?;
    if let Some(log) = answer.header("x-amz-log-result").and_then(|log| STANDARD.decode(log).ok()) {
        eprintln!("{}", String::from_utf8_lossy(&log).trim_end());
    }
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(value) => println!("{value:#}"),
        Err(_) => println!("{}", answer.text()),
    }
    if answer.status >= 300 {
        bail!("the invocation was refused with status {}", answer.status);
    }
    Ok(answer.header("x-amz-function-error").is_none())
}

/// `cargo xtask logs`.
pub(crate) fn logs(repo: &Repo, function: &str, follow: bool) -> Result<()> {
    let name = deployed_name(repo, function)?;
    let aws = Aws::new(repo, &Place::new(repo, "cloud").expect_running()?);
    aws.function(&name)?;
    let mut printed = BTreeMap::new();
    loop {
        for event in fresh(&mut printed, events(&aws, &name)?) {
            println!("{}", event.message);
        }
        if !follow {
            return Ok(());
        }
        run::pause(Duration::from_secs(1))?;
    }
}

/// One line of a log.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Event {
    stream: String,
    timestamp: i64,
    pub(crate) message: String,
}

/// The events not printed yet. The local cloud gives events no id and equal lines can be different events, so equal
/// lines are counted.
fn fresh(printed: &mut BTreeMap<Event, usize>, events: Vec<Event>) -> Vec<Event> {
    let mut now = BTreeMap::new();
    let is_fresh = |event: &Event| {
        let count = now.entry(event.clone()).or_insert(0_usize);
        *count += 1;
        *count > printed.get(event).copied().unwrap_or_default()
    };
    let fresh = events.into_iter().filter(is_fresh).collect();
    *printed = now;
    fresh
}

/// A function's log events, oldest first; none before its first run.
pub(crate) fn events(aws: &Aws, name: &str) -> Result<Vec<Event>> {
    let mut all = Vec::new();
    let mut request = json!({"logGroupName": format!("/aws/lambda/{name}")});
    loop {
        let page = match aws.json("logs", "Logs_20140328.FilterLogEvents", &request) {
            Err(error) if error.to_string().contains("ResourceNotFoundException") => return Ok(all),
            page => page?,
        };
        for event in page.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
            all.push(Event {
                stream: text(event, "/logStreamName").unwrap_or_default().to_owned(),
                timestamp: event.get("timestamp").and_then(Value::as_i64).unwrap_or_default(),
                message: text(event, "/message").unwrap_or_default().trim_end().to_owned(),
            });
        }
        match page.get("nextToken") {
            Some(token) if request.get("nextToken") != Some(token) => {
                if let Some(request) = request.as_object_mut() {
                    request.insert("nextToken".to_owned(), token.clone());
                }
            }
            _ => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_printed_once_and_equal_events_as_often_as_they_are() {
        let event = |message: &str| Event { stream: "s".into(), timestamp: 1, message: message.into() };
        let mut printed = BTreeMap::new();
        assert_eq!(fresh(&mut printed, vec![event("a"), event("a")]).len(), 2);
        assert_eq!(fresh(&mut printed, vec![event("a"), event("a")]), []);
        let more = vec![event("a"), event("a"), event("b"), event("a")];
        assert_eq!(fresh(&mut printed, more), [event("b"), event("a")]);
    }

    #[test]
    fn an_unknown_function_is_reported_with_those_that_there_are() {
        let repo = Repo::find().unwrap();
        assert_eq!(deployed_name(&repo, "rotate-random").unwrap(), "moveongs-dev-rotate-random");
        let error = deployed_name(&repo, "rotate").unwrap_err().to_string();
        assert!(error.contains("rotate-random"), "{error}");
    }
}
