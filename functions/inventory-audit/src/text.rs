//! What people read: in the channel, in a page, in the record. Nothing of a state's content is known here.

mod change;
mod page;
mod sentence;
mod step;
mod summary;
#[cfg(test)]
mod tests;

pub(crate) use change::change;
pub(crate) use page::page;
pub(crate) use sentence::line;
pub(crate) use summary::{Summary, summary};
