//! A deploy's request.

use serde::Deserialize;

/// A deploy that wants a snapshot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// What names the deploy, and the idempotency key: the same twice gets the same snapshot. E.g. the run of a pipeline.
    pub deploy: String,
    /// Why, one line.
    pub reason: String,
    /// Who or what asks, one line.
    pub by: String,
    /// The commit that is deployed.
    #[serde(default)]
    pub commit: Option<String>,
    /// Identifier of the database's instance or cluster; the template's when it is absent.
    #[serde(default, alias = "cluster")]
    pub instance: Option<String>,
}
