//! The course of a workflow: a function that a state machine calls step by step.
//!
//! The state machine defines order, waits and retries; the function decides each step from what it finds. This module
//! has the parts common to all workflows: the event of a step ([`Run`]), the answer that the state machine branches on
//! ([`Answer`]), and the report of an execution that broke or failed ([`Failed`]). Steps, statuses, input and texts are
//! the function's own. Why: `docs/decisions/workflows.md`.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run::base::Base;
use crate::run::evidence::Draft;
use crate::run::notify::Message;
use crate::run::paging::Page;
use crate::runtime::event::{InvalidEvent, parse};
use crate::runtime::failure::{Failure, chain};
use crate::runtime::lambda::Invocation;

/// Reserved for the message and the record after the page.
const RECORDING: Duration = Duration::from_secs(15);

/// One call of the function by the state machine. `S` has the names of the steps, `I` is the execution's input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Run<S, I> {
    /// The step.
    pub step: S,
    /// Name of the execution.
    pub execution: String,
    /// Number of the poll, from 1; see [`Polls::is_last`](crate::policy::Polls::is_last).
    pub poll: u16,
    /// The error that broke the execution; the last step then reports it.
    pub broken: Option<Broken>,
    /// The execution's input. None if the state passes none, or if the execution broke and its input is invalid: the
    /// input may be the cause.
    pub input: Option<I>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<S> {
    step: S,
    execution: String,
    /// Executions of `rotation-followup` from before 2026-11-29 say `source`. An execution keeps its definition, even
    /// if it is redriven: up to 22 days.
    #[serde(default, alias = "source")]
    input: Option<Value>,
    #[serde(default = "first")]
    poll: u16,
    #[serde(default)]
    failure: Option<Broken>,
}

fn first() -> u16 {
    1
}

impl<S: DeserializeOwned, I> Run<S, I> {
    /// Reads an event; `input` reads the execution's input.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] with the first invalid field; for an unknown step, with the names of the known ones. The input
    /// of an execution that broke may be invalid.
    pub fn read(
        event: Value,
        input: impl FnOnce(Value) -> Result<I, InvalidEvent>,
    ) -> Result<Self, InvalidEvent> {
        let Envelope { step, execution, input: given, poll, failure: broken } = parse(event)?;
        let input = match given.map(input).transpose() {
            Err(_) if broken.is_some() => None,
            input => input?,
        };
        Ok(Self { step, execution, poll, broken, input })
    }
}

impl<S, I> Run<S, I> {
    /// The execution's input, for a step that requires it.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] if there is none.
    pub fn input(self) -> Result<I, InvalidEvent> {
        self.input.ok_or_else(|| InvalidEvent::at("input", "expected the execution's input"))
    }
}

/// A step's answer: the state machine branches on it. `S` is the step's outcome; `F` has fields for readers.
#[derive(Debug, Serialize)]
pub struct Answer<S, F = ()> {
    /// The step's outcome.
    pub status: S,
    /// Seconds to wait before the next state.
    pub wait_seconds: u16,
    /// The function's own fields.
    #[serde(flatten)]
    pub fields: F,
}

impl<S, F: Default> Answer<S, F> {
    /// An answer after which the next state follows at once.
    pub fn now(status: S) -> Self {
        Self::after(0, status)
    }

    /// An answer after which the state machine waits.
    pub fn after(wait_seconds: u16, status: S) -> Self {
        Self { status, wait_seconds, fields: F::default() }
    }
}

/// The error output of the state that ended the state machine's execution.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(from = "ErrorOutput")]
pub struct Broken {
    /// The stable kind of a function's failure, or Step Functions' own error name, e.g. `States.Timeout`.
    pub kind: String,
    /// The error's message.
    pub detail: String,
}

impl Broken {
    /// The same for an error that does not come from a state machine.
    pub fn by(error: &impl Failure) -> Self {
        Self { kind: error.kind().to_owned(), detail: chain(error) }
    }
}

#[derive(Deserialize)]
struct ErrorOutput {
    #[serde(rename = "Error")]
    error: String,
    #[serde(rename = "Cause", default)]
    cause: String,
}

impl From<ErrorOutput> for Broken {
    /// For a function's error, the cause is its error response as JSON text.
    fn from(ErrorOutput { error, cause }: ErrorOutput) -> Self {
        let answer: Value = serde_json::from_str(&cause).unwrap_or_default();
        let said = answer.get("errorMessage").and_then(Value::as_str).map(str::to_owned);
        Self { kind: error, detail: said.unwrap_or(cause) }
    }
}

/// The report of an execution that broke, or that ended without its result.
pub struct Failed<'a> {
    /// The page.
    pub page: &'a Page,
    /// The page is published once for this name, e.g. the day, and its dedup key.
    pub once: &'a str,
    /// The channel's message.
    pub message: &'a Message,
    /// The record. Its run id names the run: a run has one message and one record.
    pub draft: Draft,
}

/// The page was not published. The step fails, and its retry repeats only the page.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the page was not published; the log has it with error_type PageFailed")]
pub struct PageFailed;

impl Failed<'_> {
    /// Pages, then reports and records, so that a lost message or record hides no page.
    ///
    /// # Errors
    ///
    /// [`PageFailed`], after the report.
    pub async fn report(self, base: &Base, invocation: &Invocation) -> Result<(), PageFailed> {
        let Self { page, once, message, draft } = self;
        let paged = base.pager.page(&base.reporter, once, page, RECORDING, invocation).await;
        base.reporter.report_once(draft, Some(message), invocation).await;
        paged.map(drop).map_err(|_| PageFailed)
    }
}

/// The two enums of [`kinds!`](crate::kinds), with the errors that every workflow has.
#[macro_export]
macro_rules! workflow_errors {
    (
        $(#[$meta:meta])* $vis:vis enum $kinds:ident { $($kind:tt)* }
        $(#[$of_error:meta])* $seen:vis enum $errors:ident { $($error:tt)* }
    ) => {
        $crate::kinds! {
            $(#[$meta])* $vis enum $kinds { $($kind)* }

            $(#[$of_error])* $seen enum $errors {
                $($error)*
                /// The event is invalid.
                #[error("{0}")]
                InvalidEvent($crate::runtime::event::InvalidEvent),
                /// Publishing the page failed.
                #[error("{0}")]
                PageFailed($crate::workflow::PageFailed),
                /// The step did not finish in time.
                #[error("the step did not finish within the invocation's time")]
                DeadlineExceeded(#[from] $crate::runtime::lambda::DeadlineExceeded),
            }
        }

        impl ::std::convert::From<$crate::runtime::event::InvalidEvent> for $errors {
            fn from(invalid: $crate::runtime::event::InvalidEvent) -> Self {
                Self::InvalidEvent(invalid)
            }
        }

        impl ::std::convert::From<$crate::workflow::PageFailed> for $errors {
            fn from(failed: $crate::workflow::PageFailed) -> Self {
                Self::PageFailed(failed)
            }
        }
    };
}

/// Tests that the definition beside the crate calls only these steps and compares only these statuses. Without it, a
/// misspelt status would silently take a choice's default branch.
#[macro_export]
macro_rules! check_definition {
    ($steps:ty, $statuses:ty) => {
        #[cfg(test)]
        mod definition {
            use super::*;

            #[test]
            fn the_state_machine_uses_the_words_of_this_function() {
                let definition = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/statemachine.asl.json"));
                $crate::testing::check_words::<$steps, $statuses>(definition);
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, Eq, PartialEq)]
    #[serde(rename_all = "camelCase")]
    enum Step {
        Ask,
        RollBack,
    }

    fn read(event: Value) -> Result<Run<Step, u8>, InvalidEvent> {
        Run::read(event, parse)
    }

    fn with(more: Value) -> Value {
        let mut event = json!({"step": "rollBack", "execution": "e"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    }

    #[test]
    fn a_step_has_its_input_and_its_poll() {
        let run = read(with(json!({"input": 7, "poll": 3}))).unwrap();
        assert_eq!((&run.step, run.execution.as_str(), run.poll), (&Step::RollBack, "e", 3));
        assert_eq!(run.input(), Ok(7));
        let run = read(with(json!({}))).unwrap();
        assert_eq!((run.poll, &run.broken), (1, &None));
        assert_eq!(run.input().unwrap_err().field, "input");
        // From an execution that began before an upgrade.
        assert_eq!(read(with(json!({"source": 7}))).unwrap().input(), Ok(7));
    }

    #[test]
    fn a_refusal_names_the_field_and_an_unknown_step_the_known_ones() {
        for (event, field, reason) in [
            (with(json!({"step": "jump"})), "step", "unknown variant `jump`, expected `ask` or `rollBack`"),
            (with(json!({"poll": "x"})), "poll", "u16"),
            (with(json!({"polls": 1})), "polls", "unknown field"),
            (with(json!({"failure": {"Cause": "why"}})), "failure", "Error"),
            (with(json!({"input": 256})), ".", "u8"),
            (json!({"step": "ask"}), ".", "execution"),
            (json!("ask"), ".", "invalid type"),
        ] {
            let refused = read(event).unwrap_err();
            assert_eq!(refused.field, field);
            assert!(refused.reason.contains(reason), "{refused}");
        }
    }

    #[test]
    fn an_execution_whose_input_was_refused_still_ends() {
        let failure = json!({"Error": "InvalidEvent", "Cause": "why"});
        let run = read(with(json!({"input": 256, "failure": failure}))).unwrap();
        assert_eq!(run.input, None);
        assert_eq!(run.broken, Some(Broken { kind: "InvalidEvent".to_owned(), detail: "why".to_owned() }));
        let run = read(with(json!({"input": 7, "failure": failure}))).unwrap();
        assert_eq!(run.input, Some(7));
    }

    #[test]
    fn an_execution_that_did_not_break_has_no_error() {
        assert_eq!(read(with(json!({"failure": null}))).unwrap().broken, None);
    }

    #[test]
    fn the_message_of_a_functions_error_is_the_detail() {
        for cause in ["why", r#"{"errorType":"EcsCall","errorMessage":"why"}"#] {
            let broken = parse::<Broken>(json!({"Error": "EcsCall", "Cause": cause}));
            assert_eq!(broken, Ok(Broken { kind: "EcsCall".to_owned(), detail: "why".to_owned() }));
        }
        assert_eq!(parse::<Broken>(json!({"Cause": "why"})).unwrap_err().field, ".");
    }

    #[test]
    fn an_answer_is_one_object() {
        #[derive(Default, Serialize)]
        struct Fields {
            arn: &'static str,
        }
        let answer = Answer { fields: Fields { arn: "arn" }, ..Answer::after(5, "waiting") };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"status":"waiting","wait_seconds":5,"arn":"arn"}"#
        );
        let answer = Answer::<_>::now("done");
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"status":"done","wait_seconds":0}"#);
    }
}
