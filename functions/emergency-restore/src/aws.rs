//! The AWS calls. The only files that name SDK operations.

pub(crate) mod ecs;
pub(crate) mod rds;
pub(crate) mod secrets;
pub(crate) mod states;
pub(crate) mod workflow;
