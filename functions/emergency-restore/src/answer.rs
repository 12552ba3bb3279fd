//! The answers to the state machine and to orders.

use serde::Serialize;
use shared::workflow;

/// The answer: the state machine branches on its status; people read the rest.
pub type Answer = workflow::Answer<Status, Fields>;

/// What comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The step's work goes on; poll it again.
    Running,
    /// List what can be restored.
    Choices,
    /// A person has to choose.
    Choose,
    /// Restore to the new instance.
    Restore,
    /// Give its logins the passwords of the secrets.
    Align,
    /// Read and judge it.
    Prove,
    /// A person has to approve.
    Approve,
    /// Keep the application from deleting at its start.
    Guard,
    /// Move the secrets.
    Switch,
    /// Run the migration.
    Migrate,
    /// Deploy the services.
    Deploy,
    /// Check the application.
    Smoke,
    /// In use; a person may go back, forward, or close.
    Hold,
    /// A step failed; a person has to say how to go on.
    Repair,
    /// A person ended it; report.
    Finish,
    /// A person was asked.
    Asked,
    /// It was closed with a database in use.
    Closed,
    /// It was ended before anything was switched.
    Rejected,
    /// It never began.
    Refused,
    /// Another execution goes on with it.
    Replaced,
    /// No restore is open.
    Nothing,
}

/// Fields of an answer for people.
#[derive(Debug, Default, Serialize)]
pub struct Fields {
    /// The restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// How it stands, or what follows, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub says: Vec<String>,
}

shared::check_definition!(crate::event::Step, Status);
