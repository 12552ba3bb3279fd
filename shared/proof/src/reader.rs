//! Reads a server in pieces: lists what is left, and divides it among sessions.

mod apply;
mod snapshot;

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::chain::{self, Chain};
use crate::content::{self, Content, KeyRange, Sample, Source, Span};
use crate::foreign_key::{self, Key};
use crate::newest::Newest;
use crate::physical::{self, Pages, Physical};
use crate::plan::Plan;
use crate::reading::{Failure, FailureKind, Outcome, Part, Parts, Reading, Server, Table};
use crate::sequence::{self, Filling, Sequence};
use crate::session::{flag, row, set_up, value};
use crate::{ROLE, Role, structure};

/// From this version on, a range of blocks is read without reading the blocks before it.
const RANGES: u32 = 14;

/// Times that one object may break the connection before it is left out: a server can crash over damaged data.
const BREAKS: u32 = 2;

/// Why a piece ended before its time. The reading keeps what was read until then.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E: Error + 'static> {
    /// No session could be opened.
    #[error("cannot open a session for the proof")]
    Connect(#[source] E),
    /// A session could not be set up. On a copy: [`crate::PREPARE`] has not run.
    #[error("cannot set up a session for the proof")]
    SetUp(#[source] tokio_postgres::Error),
    /// The catalog could not be read.
    #[error("cannot list the database's objects (SQLSTATE {})", .0.sqlstate.as_deref().unwrap_or("unknown"))]
    Catalog(Failure),
}

/// The catalog's objects that the reading has or will have.
struct Catalog {
    major: u32,
    tables: Vec<Source>,
    keys: Vec<Key>,
    sequences: Vec<Filling>,
    pages: Vec<Pages>,
    /// Schema of amcheck's functions.
    amcheck: Option<String>,
}

/// One statement's work; numbers are places in the [`Catalog`] or the [`Plan`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Work {
    Rows(usize, Span),
    Keys(usize),
    Sample(usize),
    Newest(usize),
    Chain,
    Sequence(usize),
    ForeignKey(usize, Span),
    Heap(usize, Span),
    Index(usize),
}

/// What a statement found.
enum Found {
    Rows(Content),
    Keys(Option<KeyRange>),
    Sample(Option<Sample>),
    Newest(Newest),
    Chain(Chain),
    Sequence(Sequence),
    /// Orphans.
    ForeignKey(u64),
    /// Problems, and the first of them.
    Heap(u64, Option<String>),
    Index(Physical),
}

/// The sessions' common state.
struct Piece<'a, C> {
    connect: &'a C,
    plan: &'a Plan,
    role: Role,
    catalog: Catalog,
    /// The server's clock when `begun` was taken.
    clock: Timestamp,
    begun: Instant,
    until: Instant,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    reading: &'a mut Reading,
    queue: VecDeque<Work>,
}

/// Goes on with `reading` until all is read or `until` has come. `connect` opens a session to the same database each
/// time, as the same role.
///
/// Each session finishes the statement that it began, so the call may outlast `until` by [`Plan::statement`]. A call
/// always makes progress. At the source, a table larger than 64 MiB is read in one snapshot if one call has the time for
/// it; otherwise [`Content::one_snapshot`] is false.
///
/// # Errors
///
/// [`ReadError`] if no session can be opened or the catalog cannot be read. What one object refuses is in the reading.
pub async fn read<S: Borrow<Client>, E: Error + 'static>(
    connect: impl AsyncFn() -> Result<S, E>,
    plan: &Plan,
    role: Role,
    reading: &mut Reading,
    until: Instant,
) -> Result<(), ReadError<E>> {
    let begun = Instant::now();
    let first = open(&connect, plan, role).await?;
    let (clock, server) = server(first.borrow()).await.map_err(ReadError::Catalog)?;
    let major = server.major;
    reading.times.started.get_or_insert(clock);
    reading.times.pieces += 1;
    reading.server.get_or_insert(server);
    let catalog = Catalog::read(first.borrow(), major, role).await.map_err(ReadError::Catalog)?;
    if reading.structure.pending() {
        let started = Instant::now();
        let structure = structure::read(first.borrow(), major).await;
        if first.borrow().is_closed() {
            return Err(ReadError::Catalog(Failure::answer()));
        }
        reading.times.add(Part::Structure, started.elapsed());
        catalog.register(reading, plan, role);
        reading.structure = Outcome::Read(structure);
    }
    catalog.strike_out(reading);
    sizes(first.borrow(), &catalog, reading).await;

    let queue = catalog.queue(reading, plan, role);
    let state = Mutex::new(State { reading, queue });
    let piece = Piece { connect: &connect, plan, role, catalog, clock, begun, until, state };
    let mut sessions = vec![first];
    let more = plan.connections.saturating_sub(1).min(piece.state().queue.len().max(1));
    // With fewer sessions the piece only takes longer.
    sessions.extend(join_all((0..more).map(|_| open(&connect, plan, role))).await.into_iter().flatten());
    let large = piece.large();
    let began_large = !large.is_empty();
    for (place, table) in large.into_iter().enumerate() {
        if place > 0 && Instant::now() >= until {
            return Ok(());
        }
        piece.one_snapshot(&sessions, table, place == 0).await;
    }
    if !began_large || Instant::now() < until {
        for result in join_all(sessions.into_iter().map(|session| piece.work(session))).await {
            result?;
        }
    }
    let now = piece.now();
    let state = &mut *piece.state();
    if state.reading.complete() {
        state.reading.times.finished.get_or_insert(now);
    }
    Ok(())
}

async fn open<S: Borrow<Client>, E: Error + 'static>(
    connect: &impl AsyncFn() -> Result<S, E>,
    plan: &Plan,
    role: Role,
) -> Result<S, ReadError<E>> {
    let session = connect().await.map_err(ReadError::Connect)?;
    set_up(session.borrow(), plan, role).await.map_err(ReadError::SetUp)?;
    Ok(session)
}

async fn server(client: &Client) -> Result<(Timestamp, Server), Failure> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8, current_setting('server_version'),
            current_setting('server_version_num')::int4 / 10000, current_database(), current_user,
            current_setting('data_checksums')::bool AND NOT current_setting('ignore_checksum_failure')::bool
                AND NOT current_setting('zero_damaged_pages')::bool, EXISTS (SELECT FROM pg_extension WHERE extname = 'amcheck')";
    let row = row(client, sql).await?;
    let clock = Timestamp::from_microsecond(value(&row, 0)?).map_err(|_| Failure::answer())?;
    // Debian's has a name behind the number.
    let version: String = value(&row, 1)?;
    let server = Server {
        version: version.split(' ').next().unwrap_or_default().to_owned(),
        major: value(&row, 2)?,
        database: value(&row, 3)?,
        reader: value(&row, 4)?,
        data_checksums: flag(&row, 5),
        amcheck: flag(&row, 6),
    };
    Ok((clock, server))
}

/// Reads the sizes of tables that are new. A table whose lock another session holds counts as small.
async fn sizes(client: &Client, catalog: &Catalog, reading: &mut Reading) {
    for table in &catalog.tables {
        let Some(entry) = reading.tables.get_mut(&table.name) else { continue };
        if entry.blocks.is_none() && entry.content.pending() {
            let (bytes, blocks) = content::size(client, table.oid).await.unwrap_or_default();
            entry.bytes = bytes;
            entry.blocks = Some(blocks);
        }
    }
}

impl Catalog {
    async fn read(client: &Client, major: u32, role: Role) -> Result<Self, Failure> {
        let tables = content::tables(client).await?;
        let sequences = sequence::sequences(client).await?;
        let mut catalog =
            Self { major, tables, keys: Vec::new(), sequences, pages: Vec::new(), amcheck: None };
        if role == Role::Copy {
            catalog.keys = foreign_key::keys(client, major).await?;
            catalog.pages = physical::pages(client).await?;
            catalog.amcheck = physical::schema(client).await?;
        }
        Ok(catalog)
    }

    /// Enters all objects as not read, and those that will not be read with the reason.
    fn register(&self, reading: &mut Reading, plan: &Plan, role: Role) {
        fn unavailable<T>(reason: &str) -> Outcome<T> {
            Outcome::Failed(Failure::new(FailureKind::Unavailable, reason))
        }
        for source in &self.tables {
            let mut table = Table { unlogged: source.unlogged, ..Table::default() };
            if source.foreign {
                table.content = unavailable("foreign table");
                table.keys = Outcome::Read(None);
                table.sample = Outcome::Read(None);
            }
            reading.tables.insert(source.name.clone(), table);
        }
        for column in &plan.newest {
            reading.newest.insert(column.name(), Outcome::Pending);
        }
        for sequence in &self.sequences {
            reading.sequences.insert(sequence.name.clone(), Outcome::Pending);
        }
        if role == Role::Source {
            return;
        }
        for key in &self.keys {
            let outcome = if key.unenforced {
                unavailable("not enforced")
            } else if key.period {
                unavailable("period")
            } else {
                Outcome::Pending
            };
            reading.foreign_keys.insert(key.name.clone(), outcome);
        }
        reading.chain = plan.chain.as_ref().map(|_| Outcome::Pending);
        let database = reading.server.as_ref().map(|server| server.database.clone()).unwrap_or_default();
        if self.amcheck.is_none() {
            let absent = Failure::new(FailureKind::Other, "extension amcheck is absent");
            reading.heaps.insert(database.clone(), Outcome::Failed(absent.clone()));
            reading.indexes.insert(database, Outcome::Failed(absent));
            return;
        }
        if self.major < RANGES {
            reading.heaps.insert(database, unavailable("verify_heapam"));
        }
        for pages in &self.pages {
            if !pages.heap() {
                reading.indexes.insert(pages.name.clone(), Outcome::Pending);
            } else if self.major >= RANGES {
                reading.heaps.insert(pages.name.clone(), Outcome::Pending);
            }
        }
    }

    /// Objects that went away between two pieces.
    fn strike_out(&self, reading: &mut Reading) {
        let vanished = || Failure::new(FailureKind::Vanished, "");
        let here: Vec<&String> = self.tables.iter().map(|table| &table.name).collect();
        for (name, table) in &mut reading.tables {
            if !here.contains(&name) {
                table.content.fail(vanished);
                table.keys.fail(vanished);
                table.sample.fail(vanished);
            }
        }
        let here: Vec<&String> = self.keys.iter().map(|key| &key.name).collect();
        reading
            .foreign_keys
            .iter_mut()
            .filter(|(name, _)| !here.contains(name))
            .for_each(|(_, key)| key.fail(vanished));
        let here: Vec<&String> = self.sequences.iter().map(|sequence| &sequence.name).collect();
        reading
            .sequences
            .iter_mut()
            .filter(|(name, _)| !here.contains(name))
            .for_each(|(_, one)| one.fail(vanished));
        let here: Vec<&String> = self.pages.iter().map(|pages| &pages.name).collect();
        for (name, outcome) in reading.heaps.iter_mut().chain(&mut reading.indexes) {
            if !here.contains(&name) {
                outcome.fail(vanished);
            }
        }
    }

    /// What is left, rows first: reading them brings a restored volume's blocks from the snapshot's storage. In each
    /// part the largest comes first, so that no session waits long for the last one.
    fn queue(&self, reading: &Reading, plan: &Plan, role: Role) -> VecDeque<Work> {
        let mut queue: Vec<(Part, u64, Work)> = Vec::new();
        for (place, source) in self.tables.iter().enumerate() {
            let Some(table) = reading.tables.get(&source.name) else { continue };
            let spans = if table.content.pending() { self.spans(table) } else { Vec::new() };
            // Those of the source are read in one snapshot each, before the queue.
            if role == Role::Copy || spans.len() == 1 {
                let bytes = table.bytes / u64::try_from(spans.len()).unwrap_or(1).max(1);
                queue.extend(spans.into_iter().map(|span| (Part::Tables, bytes, Work::Rows(place, span))));
            }
            if table.keys.pending() {
                queue.push((Part::Tables, 0, Work::Keys(place)));
            }
            if table.sample.pending() {
                queue.push((Part::Tables, 0, Work::Sample(place)));
            }
        }
        for (place, column) in plan.newest.iter().enumerate() {
            if reading.newest.get(&column.name()).is_some_and(Outcome::pending) {
                queue.push((Part::Newest, 0, Work::Newest(place)));
            }
        }
        if reading.chain.as_ref().is_some_and(Outcome::pending) {
            queue.push((Part::Chain, 0, Work::Chain));
        }
        for (place, sequence) in self.sequences.iter().enumerate() {
            if reading.sequences.get(&sequence.name).is_some_and(Outcome::pending) {
                queue.push((Part::Sequences, 0, Work::Sequence(place)));
            }
        }
        for (place, key) in self.keys.iter().enumerate() {
            if reading.foreign_keys.get(&key.name).is_some_and(Outcome::pending) {
                let left =
                    reading.key_parts.get(&key.name).map_or(vec![Span::ALL], |parts| parts.left.clone());
                queue.extend(
                    left.into_iter().map(|span| (Part::ForeignKeys, 0, Work::ForeignKey(place, span))),
                );
            }
        }
        for (place, pages) in self.pages.iter().enumerate() {
            let outcome = if pages.heap() { &reading.heaps } else { &reading.indexes }.get(&pages.name);
            if !outcome.is_some_and(Outcome::pending) {
                continue;
            }
            if !pages.heap() {
                // Every index also reads its table.
                queue.push((Part::Physical, pages.bytes.saturating_mul(4), Work::Index(place)));
                continue;
            }
            let left =
                reading.heap_parts.get(&pages.name).map_or(vec![Span::ALL], |parts| parts.left.clone());
            let spans = Span::steps(&left, pages.bytes, pages.blocks);
            let bytes = pages.bytes / u64::try_from(spans.len()).unwrap_or(1).max(1);
            queue.extend(spans.into_iter().map(|span| (Part::Physical, bytes, Work::Heap(place, span))));
        }
        queue.sort_by_key(|(part, bytes, _)| (*part, std::cmp::Reverse(*bytes)));
        queue.into_iter().map(|(_, _, work)| work).collect()
    }

    /// Ranges of a table that are left.
    fn spans(&self, table: &Table) -> Vec<Span> {
        let left = table.progress.as_ref().map_or(vec![Span::ALL], |progress| progress.left.clone());
        if self.major < RANGES {
            return left;
        }
        Span::steps(&left, table.bytes, table.blocks.unwrap_or(0))
    }
}

impl<'a, C> Piece<'a, C> {
    fn state(&self) -> MutexGuard<'_, State<'a>> {
        // Each change is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's clock.
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.begun.elapsed()).unwrap_or_default();
        self.clock.saturating_add(elapsed).unwrap_or(self.clock)
    }

    /// Works off the queue until it is empty or the time is up.
    async fn work<S: Borrow<Client>, E: Error + 'static>(&self, mut session: S) -> Result<(), ReadError<E>>
    where
        C: AsyncFn() -> Result<S, E>,
    {
        loop {
            let Some(work) = self.state().queue.pop_front() else { return Ok(()) };
            let started = Instant::now();
            let mut found = self.find(session.borrow(), work).await;
            if matches!(&found, Err(failure) if failure.kind == FailureKind::Locked) {
                found = self.find(session.borrow(), work).await;
            }
            if self.role == Role::Copy && matches!(&found, Err(failure) if work.may_be_the_logins(failure)) {
                found = self.find_as_login(session.borrow(), work).await;
            }
            if session.borrow().is_closed() {
                if self.broke(work) >= BREAKS {
                    self.apply(work, found, None, started.elapsed());
                }
                session = open(self.connect, self.plan, self.role).await?;
            } else {
                let blocks = self.blocks(session.borrow(), work, &found).await;
                self.apply(work, found, blocks, started.elapsed());
            }
            if Instant::now() >= self.until {
                return Ok(());
            }
        }
    }

    /// Once more as the role that logged in: it may have the owner's rights, which row-level security exempts, or a right
    /// to amcheck that it cannot give on.
    async fn find_as_login(&self, client: &Client, work: Work) -> Result<Found, Failure> {
        client.batch_execute("RESET ROLE").await?;
        let found = self.find(client, work).await;
        client.batch_execute(&format!("SET ROLE {ROLE}")).await?;
        found
    }

    /// Counts how often this work broke the connection; a first time it comes again in the next piece.
    fn broke(&self, work: Work) -> u32 {
        let label = self.label(work);
        let state = &mut *self.state();
        let breaks = state.reading.breaks.entry(label).or_default();
        *breaks += 1;
        *breaks
    }

    /// A name of the work that is the same in the next piece.
    fn label(&self, work: Work) -> String {
        let Catalog { tables, keys, sequences, pages, .. } = &self.catalog;
        let name = match work {
            Work::Rows(place, _) | Work::Keys(place) | Work::Sample(place) => {
                tables.get(place).map(|table| table.name.as_str())
            }
            Work::ForeignKey(place, _) => keys.get(place).map(|key| key.name.as_str()),
            Work::Sequence(place) => sequences.get(place).map(|sequence| sequence.name.as_str()),
            Work::Heap(place, _) | Work::Index(place) => pages.get(place).map(|pages| pages.name.as_str()),
            Work::Newest(_) | Work::Chain => None,
        };
        let from = match work {
            Work::Rows(_, span) | Work::ForeignKey(_, span) | Work::Heap(_, span) => span.from,
            _ => 0,
        };
        format!("{} {} {from}", work.name(), name.unwrap_or_default())
    }

    /// Size in blocks of the table whose range took too long; `None` if it cannot be divided.
    async fn blocks(&self, client: &Client, work: Work, found: &Result<Found, Failure>) -> Option<u32> {
        let timed_out = matches!(found, Err(failure) if failure.kind == FailureKind::TimedOut);
        if !timed_out || self.catalog.major < RANGES {
            return None;
        }
        let oid = match work {
            Work::Rows(place, _) => self.catalog.tables.get(place)?.oid,
            Work::ForeignKey(place, _) => self.catalog.keys.get(place).filter(|key| key.divisible)?.oid,
            Work::Heap(place, _) => self.catalog.pages.get(place)?.oid,
            _ => return None,
        };
        content::size(client, oid).await.ok().map(|(_, blocks)| blocks)
    }

    async fn find(&self, client: &Client, work: Work) -> Result<Found, Failure> {
        let Catalog { major, tables, keys, sequences, pages, amcheck } = &self.catalog;
        fn at<T>(all: &[T], place: usize) -> Result<&T, Failure> {
            all.get(place).ok_or_else(Failure::answer)
        }
        let schema = amcheck.as_deref().unwrap_or_default();
        Ok(match work {
            Work::Rows(place, span) => Found::Rows(at(tables, place)?.read(client, span).await?),
            Work::Keys(place) => Found::Keys(at(tables, place)?.keys(client).await?),
            Work::Sample(place) => {
                Found::Sample(at(tables, place)?.sample(client, self.plan.sample_rows).await?)
            }
            Work::Newest(place) => Found::Newest(at(&self.plan.newest, place)?.read(client).await?),
            Work::Chain => {
                let chain = self.plan.chain.as_ref().ok_or_else(Failure::answer)?;
                Found::Chain(chain::read(client, chain).await?)
            }
            Work::Sequence(place) => Found::Sequence(at(sequences, place)?.read(client, self.role).await?),
            Work::ForeignKey(place, span) => Found::ForeignKey(at(keys, place)?.orphans(client, span).await?),
            Work::Heap(place, span) => {
                let (problems, first) = at(pages, place)?.verify(client, schema, span).await?;
                Found::Heap(problems, first)
            }
            Work::Index(place) => Found::Index(at(pages, place)?.check(client, schema, *major).await?),
        })
    }
}
