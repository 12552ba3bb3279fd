//! Texts for people: the channel's message, the page, the lines of the record.

mod sentence;
mod step;
mod summary;
#[cfg(test)]
mod tests;

pub(crate) use sentence::{line, notes, result, sentence};
pub(crate) use summary::{failed, left, page, summary};
