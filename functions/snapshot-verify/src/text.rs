//! Texts for people: in the channel, in pages, in the evidence.

mod action;
mod page;
mod sentence;
mod step;
mod summary;
#[cfg(test)]
mod tests;

pub(crate) use action::outcome;
#[cfg(test)]
use action::sentence_of_action;
pub(crate) use page::page;
pub(crate) use sentence::line;
pub(crate) use summary::{Summary, failed, summary};
