//! What was seen: a resource, the Terraform states, and resources with the tag of the project. No I/O.

use std::collections::BTreeMap;

use super::settings::Setting;
use super::state::Managed;

/// The tag that CloudFormation gives to what a stack makes; nobody else can.
pub(crate) const STACK_TAG: &str = "aws:cloudformation:stack-id";

/// How a look at a resource ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Sight {
    /// There is none, or it is being deleted.
    Absent,
    /// It is there.
    Present {
        /// Its ARN.
        arn: String,
        /// Its tags, or why they were not seen.
        tags: Result<BTreeMap<String, String>, String>,
        /// What else was seen of it.
        more: More,
    },
    /// It is outside AWS, so that there is nothing to look at.
    Elsewhere,
    /// Nobody knows, and why.
    Unseen(String),
}

/// What AWS shows of a resource besides its tags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct More {
    /// Settings, or why they were not seen.
    pub settings: BTreeMap<Setting, Result<String, String>>,
    /// Whether a secret has a rotation.
    pub rotates: Option<bool>,
    /// Engine of a database.
    pub engine: Option<String>,
    /// The cluster that a database instance is a member of.
    pub cluster: Option<String>,
}

/// What is known of the Terraform states.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// The template does not name one.
    Undeclared,
    /// Those that were looked for.
    Read {
        /// What those hold that were read.
        managed: Managed,
        /// Those that were not: a name, and why. What is in none of the others can be in one of these.
        unread: Vec<(String, String)>,
    },
}

impl State {
    pub(crate) fn managed(&self) -> Option<&Managed> {
        match self {
            Self::Undeclared => None,
            Self::Read { managed, .. } => Some(managed),
        }
    }

    /// Whether what is in no state that was read is in none.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Read { unread, .. } if unread.is_empty())
    }
}

/// A resource that carries the project's tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tagged {
    /// Its ARN.
    pub arn: String,
    /// The environment that its tag names.
    pub environment: Option<String>,
    /// The CloudFormation stack that has made it.
    pub stack: Option<String>,
    /// What a look at it showed, if it is of a kind of the inventory.
    pub more: More,
}
