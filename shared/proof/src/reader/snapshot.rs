//! Reads a large table of the source in one snapshot, on all sessions.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::{Outcome, Part, Piece, RANGES};
use crate::Role;
use crate::content::{self, Content, Progress, Source, Span};
use crate::reading::{Failure, FailureKind};
use crate::session::{row, value};

/// One table's ranges while its snapshot is held.
struct Ranges {
    queue: VecDeque<Span>,
    progress: Progress,
    failure: Option<Failure>,
}

impl<C> Piece<'_, C> {
    /// Places of the source's tables that one statement does not read, largest first. A copy does not change, so its
    /// ranges need no common snapshot.
    pub(super) fn large(&self) -> Vec<usize> {
        if self.role == Role::Copy {
            return Vec::new();
        }
        let state = self.state();
        let large = |(place, source): (usize, &Source)| {
            let table = state.reading.tables.get(&source.name)?;
            let large = table.content.pending() && self.catalog.spans(table).len() > 1;
            large.then_some((table.bytes, place))
        };
        let mut tables: Vec<(u64, usize)> =
            self.catalog.tables.iter().enumerate().filter_map(large).collect();
        tables.sort_unstable_by(|one, other| other.cmp(one));
        tables.into_iter().map(|(_, place)| place).collect()
    }

    /// Reads one table. If the time is up before its end: a table that had the whole piece goes on with another
    /// snapshot in the next one and is not exact; any other begins again.
    pub(super) async fn one_snapshot<S: Borrow<Client>>(
        &self,
        sessions: &[S],
        place: usize,
        whole_piece: bool,
    ) {
        let Some(source) = self.catalog.tables.get(place) else { return };
        let started = Instant::now();
        let (spans, progress) = {
            let state = self.state();
            let Some(table) = state.reading.tables.get(&source.name) else { return };
            (self.catalog.spans(table), table.progress.clone().unwrap_or_else(Progress::new))
        };
        let ranges = Mutex::new(Ranges { queue: spans.into(), progress, failure: None });
        let read = self.share(sessions, source, &ranges).await;
        for session in sessions {
            // A broken connection shows itself at the next statement.
            let _ = session.borrow().batch_execute("ROLLBACK").await;
        }
        let Ranges { queue, mut progress, failure } =
            ranges.into_inner().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let state = &mut *self.state();
        let reading = &mut *state.reading;
        reading.times.add(Part::Tables, started.elapsed());
        reading.times.first_query.get_or_insert(now);
        let Some(table) = reading.tables.get_mut(&source.name) else { return };
        if let Some(failure) = failure.or(read.err()) {
            table.content = Outcome::Failed(failure);
            table.progress = None;
        } else if queue.is_empty() && progress.left.is_empty() {
            table.content = Outcome::Read(std::mem::take(&mut progress.content));
            table.progress = None;
        } else if whole_piece {
            progress.content.one_snapshot = false;
            table.progress = Some(progress);
        }
        if reading.tables.values().all(|table| !table.content.pending()) {
            reading.times.tables_read.get_or_insert(now);
        }
    }

    /// Opens a transaction with the same snapshot on each session, and works off the ranges.
    async fn share<S: Borrow<Client>>(
        &self,
        sessions: &[S],
        source: &Source,
        ranges: &Mutex<Ranges>,
    ) -> Result<(), Failure> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let Some((first, others)) = sessions.split_first() else { return Ok(()) };
        first.borrow().batch_execute(BEGIN).await?;
        let snapshot: String = value(&row(first.borrow(), "SELECT pg_export_snapshot()").await?, 0)?;
        for session in others {
            let import = format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{snapshot}'");
            session.borrow().batch_execute(&import).await?;
        }
        join_all(sessions.iter().map(|session| self.ranges(session.borrow(), source, ranges))).await;
        Ok(())
    }

    async fn ranges(&self, client: &Client, source: &Source, ranges: &Mutex<Ranges>) {
        loop {
            let lock = || ranges.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(span) = lock().queue.pop_front() else { return };
            let found = self.range(client, source, span).await;
            let shared = &mut *lock();
            match found {
                Ok((content, None)) => {
                    shared.progress.content.add(&content);
                    Span::remove(&mut shared.progress.left, span);
                }
                Ok((_, Some(narrowed))) => {
                    shared.queue.extend(narrowed.iter().copied());
                    Span::replace(&mut shared.progress.left, span, Some(narrowed));
                }
                Err(failure) => {
                    shared.failure.get_or_insert(failure);
                    shared.queue.clear();
                }
            }
            if Instant::now() >= self.until {
                return;
            }
        }
    }

    /// A range's content, or the smaller ranges to read instead. A savepoint keeps the snapshot over a time-out.
    async fn range(
        &self,
        client: &Client,
        source: &Source,
        span: Span,
    ) -> Result<(Content, Option<Vec<Span>>), Failure> {
        client.batch_execute("SAVEPOINT range").await?;
        match source.read(client, span).await {
            Ok(content) => Ok((content, None)),
            Err(failure) if failure.kind == FailureKind::TimedOut && self.catalog.major >= RANGES => {
                client.batch_execute("ROLLBACK TO SAVEPOINT range").await?;
                let (_, blocks) = content::size(client, source.oid).await?;
                Ok((Content::default(), Some(span.narrowed(blocks).ok_or(failure)?)))
            }
            Err(failure) => Err(failure),
        }
    }
}
