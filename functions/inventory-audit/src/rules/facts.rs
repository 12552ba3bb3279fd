//! Facts: the inventory's resources, the Terraform states, and resources with the project's tag. No I/O.

use std::collections::BTreeMap;

use super::settings::Setting;
use super::state::Managed;

/// The tag that CloudFormation sets on a stack's resources. Only AWS can set it: the prefix `aws:` is reserved.
pub(crate) const STACK_TAG: &str = "aws:cloudformation:stack-id";

/// Result of reading a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Observation {
    /// It does not exist, or is being deleted.
    Absent,
    /// It exists.
    Present {
        /// Its ARN.
        arn: String,
        /// Its tags, or why they could not be read.
        tags: Result<BTreeMap<String, String>, String>,
        /// Other facts.
        details: Details,
    },
    /// It is outside AWS, which is not checked.
    OutsideAws,
    /// Reading failed; the reason.
    Unknown(String),
}

/// Facts about a resource besides its tags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Details {
    /// Settings, or why they could not be read.
    pub settings: BTreeMap<Setting, Result<String, String>>,
    /// For a secret: whether rotation is on.
    pub rotates: Option<bool>,
    /// For a database: its engine.
    pub engine: Option<String>,
    /// For a database instance: the cluster that it belongs to.
    pub cluster: Option<String>,
}

/// The Terraform states.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum States {
    /// The stack's parameters name none.
    Undeclared,
    /// The states that the stack's parameters name.
    Read {
        /// Contents of the readable states.
        managed: Managed,
        /// Names of the unreadable states, with the reasons. A resource that is in no readable state may be in one of
        /// them.
        unread: Vec<(String, String)>,
    },
}

impl States {
    pub(crate) fn managed(&self) -> Option<&Managed> {
        match self {
            Self::Undeclared => None,
            Self::Read { managed, .. } => Some(managed),
        }
    }

    /// Whether every state was read, so that a resource not found is in none.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self, Self::Read { unread, .. } if unread.is_empty())
    }
}

/// A resource that carries the project's tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tagged {
    pub arn: String,
    /// The environment that its tag names.
    pub environment: Option<String>,
    /// The CloudFormation stack that created it.
    pub stack: Option<String>,
    /// Facts from reading it, if the inventory has its kind.
    pub details: Details,
}
