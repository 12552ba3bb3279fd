//! Enters what a statement found into the reading.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Found, Outcome, Part, Parts, Piece, Work};
use crate::Role;
use crate::content::{Progress, Span};
use crate::physical::Physical;
use crate::reading::{Failure, FailureKind};

impl<C> Piece<'_, C> {
    /// Enters a result. `blocks` is the table's size if a range of it took too long and can be divided.
    pub(super) fn apply(
        &self,
        work: Work,
        found: Result<Found, Failure>,
        blocks: Option<u32>,
        took: Duration,
    ) {
        let now = self.now();
        let state = &mut *self.state();
        let reading = &mut *state.reading;
        reading.times.add(work.part(), took);
        let narrowed = narrowed(work, &found, blocks);
        let divided = narrowed.is_some();
        if let Some(spans) = &narrowed {
            for span in spans.iter().rev() {
                state.queue.push_front(work.with(*span));
            }
        }
        match work {
            Work::Rows(place, span) => {
                let Some(source) = self.catalog.tables.get(place) else { return };
                let Some(table) = reading.tables.get_mut(&source.name) else { return };
                reading.times.first_query.get_or_insert(now);
                if !table.content.pending() {
                    // Another range failed.
                    return;
                }
                let progress = table.progress.get_or_insert_with(Progress::new);
                match found {
                    Err(_) if divided => {
                        // Each part has a snapshot of its own.
                        progress.content.one_snapshot &= self.role == Role::Copy;
                        Span::replace(&mut progress.left, span, narrowed);
                    }
                    Err(failure) => table.content.fail(|| failure),
                    Ok(Found::Rows(content)) => {
                        progress.content.add(&content);
                        Span::remove(&mut progress.left, span);
                        if progress.left.is_empty() && table.content.pending() {
                            table.content = Outcome::Read(std::mem::take(&mut progress.content));
                        }
                    }
                    Ok(_) => {}
                }
                if !table.content.pending() {
                    table.progress = None;
                }
                if reading.tables.values().all(|table| !table.content.pending()) {
                    reading.times.tables_read.get_or_insert(now);
                }
            }
            Work::Keys(place) => {
                let Some(source) = self.catalog.tables.get(place) else { return };
                let Some(table) = reading.tables.get_mut(&source.name) else { return };
                table.keys =
                    outcome(found, |found| if let Found::Keys(keys) = found { Some(keys) } else { None });
            }
            Work::Sample(place) => {
                let Some(source) = self.catalog.tables.get(place) else { return };
                let Some(table) = reading.tables.get_mut(&source.name) else { return };
                table.sample =
                    outcome(
                        found,
                        |found| if let Found::Sample(sample) = found { Some(sample) } else { None },
                    );
            }
            Work::Newest(place) => {
                let Some(column) = self.plan.newest.get(place) else { return };
                let newest =
                    outcome(found, |found| if let Found::Newest(one) = found { Some(one) } else { None });
                reading.newest.insert(column.name(), newest);
            }
            Work::Chain => {
                let chain =
                    outcome(found, |found| if let Found::Chain(chain) = found { Some(chain) } else { None });
                reading.chain = Some(chain);
            }
            Work::Sequence(place) => {
                let Some(sequence) = self.catalog.sequences.get(place) else { return };
                let figures =
                    outcome(found, |found| if let Found::Sequence(one) = found { Some(one) } else { None });
                reading.sequences.insert(sequence.name.clone(), figures);
            }
            Work::ForeignKey(place, span) => {
                let Some(key) = self.catalog.keys.get(place) else { return };
                if !reading.foreign_keys.get(&key.name).is_some_and(Outcome::pending) {
                    return;
                }
                let found = found.map(|found| match found {
                    Found::ForeignKey(orphans) => (orphans, None),
                    _ => (0, None),
                });
                if let Some(result) = part(&mut reading.key_parts, &key.name, span, narrowed, found) {
                    let figures = result.map(|(orphans, _)| key.figures(orphans));
                    reading.foreign_keys.insert(key.name.clone(), figures.into());
                }
            }
            Work::Heap(place, span) => {
                let Some(pages) = self.catalog.pages.get(place) else { return };
                if !reading.heaps.get(&pages.name).is_some_and(Outcome::pending) {
                    return;
                }
                let found = found.map(|found| match found {
                    Found::Heap(problems, first) => (problems, first),
                    _ => (0, None),
                });
                if let Some(result) = part(&mut reading.heap_parts, &pages.name, span, narrowed, found) {
                    let physical = |(problems, first)| Physical { bytes: pages.bytes, problems, first };
                    reading.heaps.insert(pages.name.clone(), result.map(physical).into());
                }
            }
            Work::Index(place) => {
                let Some(pages) = self.catalog.pages.get(place) else { return };
                let found =
                    outcome(found, |found| if let Found::Index(one) = found { Some(one) } else { None });
                reading.indexes.insert(pages.name.clone(), found);
            }
        }
    }
}

/// Smaller ranges for work that took too long.
fn narrowed(work: Work, found: &Result<Found, Failure>, blocks: Option<u32>) -> Option<Vec<Span>> {
    match (work, found) {
        (Work::Rows(_, span) | Work::ForeignKey(_, span) | Work::Heap(_, span), Err(failure))
            if failure.kind == FailureKind::TimedOut =>
        {
            span.narrowed(blocks?)
        }
        _ => None,
    }
}

/// Adds a range's result to those before it, and gives the sum after the last, or the first failure.
fn part(
    parts: &mut BTreeMap<String, Parts>,
    name: &str,
    span: Span,
    narrowed: Option<Vec<Span>>,
    found: Result<(u64, Option<String>), Failure>,
) -> Option<Result<(u64, Option<String>), Failure>> {
    let progress = parts.entry(name.to_owned()).or_default();
    match found {
        Err(_) if narrowed.is_some() => Span::replace(&mut progress.left, span, narrowed),
        Err(failure) => {
            parts.remove(name);
            return Some(Err(failure));
        }
        Ok((problems, first)) => {
            progress.found = progress.found.saturating_add(problems);
            progress.first = progress.first.take().or(first);
            Span::remove(&mut progress.left, span);
        }
    }
    if !progress.left.is_empty() {
        return None;
    }
    parts.remove(name).map(|parts| Ok((parts.found, parts.first)))
}

/// The value of the right kind; each kind of work finds its own.
fn outcome<T>(found: Result<Found, Failure>, pick: impl FnOnce(Found) -> Option<T>) -> Outcome<T> {
    found.and_then(|found| pick(found).ok_or_else(Failure::answer)).into()
}

impl Work {
    fn part(self) -> Part {
        match self {
            Self::Rows(..) | Self::Keys(_) | Self::Sample(_) => Part::Tables,
            Self::Newest(_) => Part::Newest,
            Self::Chain => Part::Chain,
            Self::Sequence(_) => Part::Sequences,
            Self::ForeignKey(..) => Part::ForeignKeys,
            Self::Heap(..) | Self::Index(_) => Part::Physical,
        }
    }

    /// Whether the role that logged in may have the right that is missing.
    pub(super) fn may_be_the_logins(self, failure: &Failure) -> bool {
        failure.hidden()
            || failure.kind == FailureKind::Denied && matches!(self, Self::Heap(..) | Self::Index(_))
    }

    /// What it reads, in a word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rows(..) => "rows",
            Self::Keys(_) => "keys",
            Self::Sample(_) => "sample",
            Self::Newest(_) => "newest",
            Self::Chain => "chain",
            Self::Sequence(_) => "sequence",
            Self::ForeignKey(..) => "foreign key",
            Self::Heap(..) => "heap",
            Self::Index(_) => "index",
        }
    }

    /// The same work on another range.
    fn with(self, span: Span) -> Self {
        match self {
            Self::Rows(place, _) => Self::Rows(place, span),
            Self::ForeignKey(place, _) => Self::ForeignKey(place, span),
            Self::Heap(place, _) => Self::Heap(place, span),
            other => other,
        }
    }
}
