//! Texts for people: channel, board, pages, record. No secret value reaches this module.

mod item;
mod page;
mod sentence;
mod step;
mod summary;
mod task;

pub(crate) use page::pages;
pub(crate) use sentence::line;
pub(crate) use summary::{failed, summary};
pub(crate) use task::{task_body, task_done, task_title, tasks};

#[cfg(test)]
mod tests;
