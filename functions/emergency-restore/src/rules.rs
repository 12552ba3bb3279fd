//! Decisions: no AWS, no runtime, no clock.

pub(crate) mod choice;
pub(crate) mod guard;
pub(crate) mod instance;
pub(crate) mod name;
pub(crate) mod obstacle;
pub(crate) mod order;
pub(crate) mod proved;
pub(crate) mod restore;
pub(crate) mod settings;
pub(crate) mod smoke;
pub(crate) mod state;
