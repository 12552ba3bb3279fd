//! The event: a step of the state machine, the reaper's schedule, or Step Functions' about an execution that ended.

use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, is_line, parse};
use shared::workflow::Run;

/// The event that invoked the function.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// One step of the state machine.
    Step(Run<Step, Input>),
    /// Remove what runs left behind.
    Reap,
    /// An execution ended without success; remove what it left behind.
    Ended {
        /// Name of the execution.
        execution: String,
        /// Step Functions' status, e.g. `ABORTED`.
        status: String,
    },
}

/// The steps of the state machine.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// Choose the snapshot and take the only place for a run.
    Choose,
    /// Request the instance.
    Restore,
    /// Poll the instance.
    Watch,
    /// Have RDS set the master's password, log in and prepare the proof.
    Open,
    /// Read the restored database, a piece in each call.
    Read,
    /// Read the source, a piece in each call.
    Source,
    /// Remove the instance and poll until it is gone.
    Remove,
    /// Judge, report and record.
    Finish,
    /// Read the source as a baseline, a piece in each call.
    Baseline,
}

impl Step {
    /// Its word in the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Choose => "choose",
            Self::Restore => "restore",
            Self::Watch => "watch",
            Self::Open => "open",
            Self::Read => "read",
            Self::Source => "source",
            Self::Remove => "remove",
            Self::Finish => "finish",
            Self::Baseline => "baseline",
        }
    }
}

/// The execution's input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Input {
    /// Test a snapshot.
    Test(Request),
    /// Read the source for later tests.
    Baseline(Cause),
}

/// A requested test.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Name of the snapshot; by default the newest automated one.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// Region to test in: the stack's, or that of its copies.
    #[serde(default)]
    pub region: Option<String>,
    /// The requesting person or schedule, one line.
    #[serde(default)]
    pub by: Option<String>,
    /// Reason, one line.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Why the source is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    /// The daily schedule, or a person.
    Asked,
    /// RDS's event about a snapshot with this name.
    Snapshot(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reap {
    reap: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    baseline: bool,
}

impl TryFrom<Value> for Event {
    type Error = InvalidEvent;

    fn try_from(event: Value) -> Result<Self, Self::Error> {
        if event.get("step").is_some() {
            return Ok(Self::Step(Run::read(event, input)?));
        }
        match event.get("detail-type").and_then(Value::as_str) {
            Some("Step Functions Execution Status Change") => ended(&event),
            Some(_) => Err(InvalidEvent::at(
                "detail-type",
                "expected Step Functions Execution Status Change; RDS's events start the state machine",
            )),
            None => match parse(event)? {
                Reap { reap: true } => Ok(Self::Reap),
                Reap { reap: false } => {
                    Err(InvalidEvent::at("reap", "expected true; tests are started by the state machine"))
                }
            },
        }
    }
}

fn ended(event: &Value) -> Result<Event, InvalidEvent> {
    let field = |name: &'static str| {
        let text = event.pointer(&format!("/detail/{name}")).and_then(Value::as_str);
        let text = text.filter(|text| is_line(text, 80));
        text.map(str::to_owned)
            .ok_or_else(|| InvalidEvent::at("detail", "expected name and status of an execution"))
    };
    Ok(Event::Ended { execution: field("name")?, status: field("status")? })
}

fn input(value: Value) -> Result<Input, InvalidEvent> {
    if let Some(kind) = value.get("detail-type").and_then(Value::as_str) {
        return match kind {
            "RDS DB Snapshot Event" => named(&value).map(|name| Input::Baseline(Cause::Snapshot(name))),
            _ => Err(InvalidEvent::at("detail-type", "expected RDS DB Snapshot Event")),
        };
    }
    if value.get("baseline").is_some() {
        return match parse(value)? {
            Asked { baseline: true } => Ok(Input::Baseline(Cause::Asked)),
            Asked { baseline: false } => Err(InvalidEvent::at("baseline", "expected true, or no such field")),
        };
    }
    request(value).map(Input::Test)
}

/// The snapshot of RDS's event. Prefers the resource's ARN, since AWS's samples disagree about `SourceIdentifier`.
fn named(event: &Value) -> Result<String, InvalidEvent> {
    let resource = event.pointer("/resources/0").and_then(Value::as_str);
    let of_arn = resource.and_then(|arn| Some(arn.split_once(":snapshot:")?.1));
    let name = of_arn.or_else(|| event.pointer("/detail/SourceIdentifier").and_then(Value::as_str));
    let name = name.filter(|name| is_line(name, 255));
    name.map(str::to_owned).ok_or_else(|| {
        InvalidEvent::at(
            "resources",
            "expected the ARN of a snapshot, or its name in detail.SourceIdentifier",
        )
    })
}

fn request(value: Value) -> Result<Request, InvalidEvent> {
    let request: Request = parse(value)?;
    let is_name = |text: &String| {
        text.len() <= 255
            && !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-:".contains(c))
    };
    if !request.snapshot.as_ref().is_none_or(is_name) {
        return Err(InvalidEvent::at(
            "snapshot",
            "expected the name of a snapshot, e.g. moveongs-dev-20261126",
        ));
    }
    let is_region = |text: &String| {
        text.len() <= 30 && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if !request.region.as_ref().is_none_or(is_region) {
        return Err(InvalidEvent::at("region", "expected a region, e.g. sa-east-1"));
    }
    for (field, text) in [("by", &request.by), ("reason", &request.reason)] {
        if text.as_ref().is_some_and(|text| !is_line(text, 200)) {
            return Err(InvalidEvent::at(field, "expected one line of at most 200 characters"));
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::policy::{LONGEST_RESTORE_SECONDS, MOST_PIECES, PIECE_SECONDS};

    use super::*;

    fn input_of(value: Value) -> Result<Input, InvalidEvent> {
        let event = json!({"step": "choose", "execution": "e", "input": value});
        match Event::try_from(event)? {
            Event::Step(run) => run.input(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_input_is_a_test_or_a_baseline() {
        let arn = "arn:aws:rds:us-east-1:123456789012:snapshot:rds:moveongs-dev-db-2026-11-26-03-10";
        let test = |snapshot: Option<&str>, region: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            Input::Test(Request { snapshot: text(snapshot), region: text(region), ..Request::default() })
        };
        let of = |name: &str| Input::Baseline(Cause::Snapshot(name.to_owned()));
        for (input, expected) in [
            (json!({}), test(None, None)),
            (json!({"snapshot": "rds:a-1"}), test(Some("rds:a-1"), None)),
            (json!({"region": "sa-east-1"}), test(None, Some("sa-east-1"))),
            (json!({"baseline": true}), Input::Baseline(Cause::Asked)),
            (
                json!({"detail-type": "RDS DB Snapshot Event", "resources": [arn], "detail": {"SourceIdentifier": "b"}}),
                of("rds:moveongs-dev-db-2026-11-26-03-10"),
            ),
            (
                json!({"detail-type": "RDS DB Snapshot Event", "resources": [], "detail": {"SourceIdentifier": "b"}}),
                of("b"),
            ),
        ] {
            assert_eq!(input_of(input.clone()), Ok(expected), "{input}");
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (input, field) in [
            (json!({"snapshot": ""}), "snapshot"),
            (json!({"snapshot": "a b"}), "snapshot"),
            (json!({"region": "SA"}), "region"),
            (json!({"by": "a\nb"}), "by"),
            (json!({"reason": "x".repeat(201)}), "reason"),
            (json!({"force": true}), "force"),
            (json!({"baseline": false}), "baseline"),
            (json!({"baseline": true, "snapshot": "a"}), "snapshot"),
            (json!({"detail-type": "RDS DB Instance Event"}), "detail-type"),
            (json!({"detail-type": "RDS DB Snapshot Event", "detail": {}}), "resources"),
        ] {
            assert_eq!(input_of(input.clone()).unwrap_err().field, field, "{input}");
        }
        for (event, field) in [
            (json!({"reap": false}), "reap"),
            (json!({}), "."),
            (json!({"detail-type": "Scheduled Event"}), "detail-type"),
            (
                json!({"detail-type": "Step Functions Execution Status Change", "detail": {"name": "e"}}),
                "detail",
            ),
            (json!({"step": "jump", "execution": "e"}), "step"),
        ] {
            assert_eq!(Event::try_from(event.clone()).unwrap_err().field, field, "{event}");
        }
    }

    #[test]
    fn the_reaper_is_called_by_the_schedule_and_by_an_execution_that_ended() {
        assert_eq!(Event::try_from(json!({"reap": true})), Ok(Event::Reap));
        let detail = json!({"name": "e", "status": "ABORTED", "stateMachineArn": "arn"});
        let event = json!({"detail-type": "Step Functions Execution Status Change", "detail": detail});
        let expected = Event::Ended { execution: "e".to_owned(), status: "ABORTED".to_owned() };
        assert_eq!(Event::try_from(event), Ok(expected));
    }

    #[test]
    fn a_refused_input_is_still_removed_and_reported() {
        let failure = json!({"Error": "InvalidEvent", "Cause": "field by"});
        for step in ["remove", "finish"] {
            let event = json!({"step": step, "execution": "e", "input": {"by": ""}, "failure": failure});
            let Ok(Event::Step(run)) = Event::try_from(event) else { panic!() };
            assert_eq!((run.input, run.broken.unwrap().detail.as_str()), (None, "field by"));
        }
    }

    #[test]
    fn an_execution_may_take_as_long_as_its_greatest_limits() {
        let definition: Value = serde_json::from_str(include_str!("../statemachine.asl.json")).unwrap();
        let polls = 3 * LONGEST_RESTORE_SECONDS;
        let pieces = 2 * u32::from(MOST_PIECES) * PIECE_SECONDS;
        assert!(definition["TimeoutSeconds"].as_u64().unwrap() > u64::from(polls + pieces));
    }
}
