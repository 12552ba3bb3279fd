//! Texts for people: channel, pages, record. No content of a state reaches this module.

mod change;
mod page;
mod sentence;
mod step;
mod summary;

pub(crate) use change::change;
pub(crate) use page::page;
pub(crate) use sentence::line;
pub(crate) use summary::summary;

#[cfg(test)]
mod tests;
