//! The event: a step of the state machine, or an event of CloudTrail.

use serde::Deserialize;
use serde_json::Value;
use shared::run::ledger::Line;
use shared::runtime::event::{Broken, InvalidEvent, is_line, parse};

pub(crate) mod trail;

use crate::error::FollowupError;
use crate::rules::change::{Declared, Reason};
use crate::rules::failure::Failed;
use trail::{Session, TrailEvent};

/// A request to the function.
#[derive(Debug)]
pub(crate) enum Request {
    /// From the state machine.
    Step {
        /// Name of its execution.
        execution: String,
        /// The step.
        step: Step,
    },
    /// From EventBridge, with an event of CloudTrail.
    Trail(TrailEvent),
}

/// A step of the state machine.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Notice changed secrets.
    Note(Source),
    /// Take the waiting changes.
    Take,
    /// Deploy the services again.
    Deploy,
    /// Check the rollout, for the n-th time.
    Watch(u16),
    /// Prove that the application uses the new values, for the n-th time.
    Prove(u16),
    /// Move the labels back, where that helps.
    RollBack,
    /// Record that the new values are in use, for the functions that retire the old ones.
    Record,
    /// Report, record and close. With the error that broke the execution, if there is one, and the source of that execution; and with
    /// the answers of the functions that retire old credentials.
    Finish(Option<(Failed, Option<Source>)>, Vec<Line>),
}

/// The trigger of an execution.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// AWSCURRENT of a secret has moved. The event may come late, twice or never.
    Moved(String),
    /// The daily sweep: compare all secrets.
    Sweep,
    /// A person asks to follow up this secret now.
    Asked(String, Declared),
}

#[derive(Deserialize)]
struct Raw {
    step: String,
    execution: String,
    #[serde(default)]
    source: Value,
    #[serde(default)]
    poll: u16,
    #[serde(default)]
    failure: Option<Broken>,
    #[serde(default)]
    retired: Retired,
}

/// Answers of the functions that retire old credentials; empty for one that failed or was not called.
#[derive(Default, Deserialize)]
struct Retired {
    #[serde(default)]
    database: Lines,
    #[serde(default)]
    external: Lines,
}

/// JSONata can turn a list of one element into that element.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lines {
    One(Line),
    Many(Vec<Line>),
}

impl Default for Lines {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Retired {
    fn lines(self) -> Vec<Line> {
        let lines = [self.database, self.external].into_iter().map(|lines| match lines {
            Lines::One(line) => vec![line],
            Lines::Many(lines) => lines,
        });
        lines.flatten().collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    secret: String,
    #[serde(default = "manual")]
    reason: Reason,
    by: String,
}

fn manual() -> Reason {
    Reason::Manual
}

#[derive(Deserialize)]
struct Moved {
    resources: Vec<String>,
    detail: Label,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Label {
    label_updated: String,
}

impl Request {
    /// Reads an event; `own` are the sessions of this stack's functions.
    ///
    /// # Errors
    ///
    /// [`FollowupError::InvalidEvent`] names the field.
    pub(crate) fn read(event: Value, own: &[Session]) -> Result<Self, FollowupError> {
        if event.get("detail-type").is_some() {
            return Ok(Self::Trail(trail::parse(event, own)?));
        }
        let raw: Raw = parse(event)?;
        let step = match raw.step.as_str() {
            "note" => Step::Note(source(raw.source)?),
            "take" => Step::Take,
            "deploy" => Step::Deploy,
            "watch" => Step::Watch(raw.poll),
            "prove" => Step::Prove(raw.poll),
            "rollBack" => Step::RollBack,
            "record" => Step::Record,
            "finish" => Step::Finish(
                // An invalid source may be the very error that broke the execution.
                raw.failure
                    .map(|Broken { kind, detail }| (Failed::new(&kind, detail), source(raw.source).ok())),
                raw.retired.lines(),
            ),
            _ => {
                let expected = "expected note, take, deploy, watch, prove, record, rollBack or finish";
                return Err(InvalidEvent::at("step", expected).into());
            }
        };
        Ok(Self::Step { execution: raw.execution, step })
    }
}

fn source(value: Value) -> Result<Source, InvalidEvent> {
    if value.get("detail-type").is_some_and(|kind| kind == "Secret Label Updated") {
        let moved: Moved = parse(value)?;
        if moved.detail.label_updated != "AWSCURRENT" {
            return Err(InvalidEvent::at("source.detail.labelUpdated", "expected AWSCURRENT"));
        }
        let [secret] = moved.resources.as_slice() else {
            return Err(InvalidEvent::at("source.resources", "expected the ARN of one secret"));
        };
        return Ok(Source::Moved(secret.clone()));
    }
    if value.get("sweep").is_some_and(|sweep| sweep == true) {
        return Ok(Source::Sweep);
    }
    let asked: Asked = parse(value)?;
    if !is_line(&asked.by, 100) {
        return Err(InvalidEvent::at(
            "source.by",
            "expected the name of a person, one line of at most 100 characters",
        ));
    }
    // The name ends up in commands that people paste into a shell.
    let is_name = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c);
    if !is_line(&asked.secret, 2048) || !asked.secret.chars().all(is_name) {
        return Err(InvalidEvent::at("source.secret", "expected the name or ARN of a secret"));
    }
    Ok(Source::Asked(asked.secret, Declared { reason: asked.reason, by: asked.by }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(event: Value) -> Result<Step, FollowupError> {
        Request::read(event, &[]).map(|request| match request {
            Request::Step { step, .. } => step,
            Request::Trail(_) => panic!("not a step"),
        })
    }

    fn noted(source: &Value) -> Result<Step, FollowupError> {
        step(json!({"step": "note", "execution": "e", "source": source}))
    }

    #[test]
    fn each_source_starts_an_execution() {
        let moved = json!({"detail-type": "Secret Label Updated", "source": "aws.secretsmanager", "resources": ["arn:1"],
            "detail": {"name": "n", "labelUpdated": "AWSCURRENT", "versionId": "v"}});
        assert_eq!(noted(&moved), Ok(Step::Note(Source::Moved("arn:1".to_owned()))));
        assert_eq!(noted(&json!({"sweep": true})), Ok(Step::Note(Source::Sweep)));
        let declared = |reason| Declared { reason, by: "ana".to_owned() };
        let asked = |reason| Ok(Step::Note(Source::Asked("/a".to_owned(), declared(reason))));
        assert_eq!(noted(&json!({"secret": "/a", "by": "ana"})), asked(Reason::Manual));
        assert_eq!(
            noted(&json!({"secret": "/a", "by": "ana", "reason": "incident"})),
            asked(Reason::Incident)
        );
    }

    #[test]
    fn a_refused_event_names_the_field() {
        let field = |asked: Result<Step, FollowupError>| match asked.unwrap_err() {
            FollowupError::InvalidEvent(InvalidEvent { field, .. }) => field,
            other => panic!("{other}"),
        };
        let label = |label: &str, resources: Value| json!({"detail-type": "Secret Label Updated", "resources": resources, "detail": {"labelUpdated": label}});
        assert_eq!(field(noted(&label("AWSPENDING", json!(["a"])))), "source.detail.labelUpdated");
        assert_eq!(field(noted(&label("AWSCURRENT", json!(["a", "b"])))), "source.resources");
        assert_eq!(field(noted(&json!({"secret": "/a", "by": "a\nb"}))), "source.by");
        for secret in [" ", "/a'; echo"] {
            assert_eq!(field(noted(&json!({"secret": secret, "by": "a"}))), "source.secret");
        }
        assert_eq!(field(noted(&json!({"secret": "/a", "by": "a", "reason": "fun"}))), "reason");
        assert_eq!(field(noted(&json!({"secret": "/a", "by": "a", "other": 1}))), "other");
        assert_eq!(field(step(json!({"step": "jump", "execution": "e"}))), "step");
        assert_eq!(field(step(json!({"step": "take"}))), ".");
    }

    #[test]
    fn the_error_that_broke_an_execution_reaches_finish() {
        let broken =
            json!({"step": "finish", "execution": "e", "failure": {"Error": "EcsCall", "Cause": "why"}});
        let failed = || Failed::new("EcsCall", "why");
        assert_eq!(step(broken.clone()), Ok(Step::Finish(Some((failed(), None)), Vec::new())));
        let mut swept = broken;
        swept["source"] = json!({"sweep": true});
        assert_eq!(step(swept), Ok(Step::Finish(Some((failed(), Some(Source::Sweep))), Vec::new())));
        assert_eq!(step(json!({"step": "finish", "execution": "e"})), Ok(Step::Finish(None, Vec::new())));
    }

    #[test]
    fn the_answers_about_old_credentials_reach_finish() {
        let line = json!({"secret": "/a", "did": "ended", "why": ""});
        let whole = Line { secret: "/a".to_owned(), did: "ended".to_owned(), why: String::new() };
        for (retired, expected) in [
            (json!({"database": [line], "external": []}), vec![whole.clone()]),
            (json!({"database": line, "external": [line]}), vec![whole.clone(), whole]),
            // The path through RollBack calls neither function.
            (json!({"status": "stays", "wait_seconds": 0}), Vec::new()),
        ] {
            let finish = json!({"step": "finish", "execution": "e", "retired": retired});
            assert_eq!(step(finish), Ok(Step::Finish(None, expected)));
        }
    }
}
