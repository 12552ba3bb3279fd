//! Reads this environment's resources, section by section, and judges each.

mod account;
mod application;
mod buckets;
mod common;
mod databases;
pub(crate) mod find;
mod terraform;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;

use common::CommonFacts;
use futures_util::{StreamExt, join, stream};
use shared::runtime::failure::CallError;
use tokio::sync::OnceCell;

use crate::App;
use crate::findings::Findings;
use crate::rules::coverage::Progress;
use crate::rules::facts::Seen;
use crate::rules::{Context, Row};

/// Number of resources of a kind that are read at once.
const AT_ONCE: usize = 8;

/// Why a section ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A call to AWS failed.
    Call(CallError),
    /// A report could not be written.
    File(io::Error),
}

impl From<CallError> for Stop {
    fn from(call: CallError) -> Self {
        Self::Call(call)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// One sweep over everything.
pub(crate) struct Sweep<'a> {
    app: &'a App,
    context: &'a Context<'a>,
    findings: &'a RefCell<Findings>,
    progress: &'a RefCell<Progress>,
    common: CommonFacts,
    instances: OnceCell<Seen<BTreeSet<String>>>,
    clusters: OnceCell<Seen<BTreeSet<String>>>,
}

impl<'a> Sweep<'a> {
    pub(crate) fn new(
        app: &'a App,
        context: &'a Context<'a>,
        findings: &'a RefCell<Findings>,
        progress: &'a RefCell<Progress>,
    ) -> Self {
        let common = CommonFacts::default();
        Self {
            app,
            context,
            findings,
            progress,
            common,
            instances: OnceCell::new(),
            clusters: OnceCell::new(),
        }
    }

    /// Reads all sections concurrently. A section that fails does not stop the others; its coverage shows the failure.
    pub(crate) async fn run(&self) -> io::Result<()> {
        // Boxed: together the sections' futures are too large for the stack.
        let databases = async {
            let is_seen = Cell::new(false);
            let (instances, clusters) = join!(
                self.section("rds:instances", Box::pin(self.databases(false, &is_seen))),
                self.section("rds:clusters", Box::pin(self.databases(true, &is_seen)))
            );
            self.exists(is_seen.get(), &instances?, &clusters?)
        };
        let (databases, snapshots, cluster_snapshots, buckets, lock, services, account) = join!(
            databases,
            self.section("rds:snapshots", Box::pin(self.snapshots(false))),
            self.section("rds:cluster-snapshots", Box::pin(self.snapshots(true))),
            self.section("s3:buckets", Box::pin(self.buckets())),
            self.section("terraform:lock", Box::pin(self.terraform())),
            self.section("ecs:services", Box::pin(self.services())),
            self.section("account:resources", Box::pin(self.account()))
        );
        databases?;
        for ended in [snapshots, cluster_snapshots, buckets, lock, services, account] {
            drop(ended?);
        }
        Ok(())
    }

    async fn section<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> io::Result<Seen<T>> {
        let ended = match work.await {
            Ok(found) => Ok(found),
            Err(Stop::Call(call)) => Err(call),
            Err(Stop::File(error)) => return Err(error),
        };
        self.progress.borrow_mut().of(name).end = Some(ended.as_ref().map(drop).map_err(Clone::clone));
        Ok(ended)
    }

    fn judged(&self, section: &'static str, rows: &[Row]) -> io::Result<()> {
        self.progress.borrow_mut().of(section).seen += 1;
        rows.iter().try_for_each(|row| self.findings.borrow_mut().push(row))
    }

    /// Reads and judges several resources at once.
    async fn each<T>(
        &self,
        section: &'static str,
        items: Vec<(String, T)>,
        read: impl AsyncFn(&str, T) -> Vec<Row>,
    ) -> io::Result<()> {
        let read = &read;
        let mut done = stream::iter(items)
            .map(|(name, item)| async move {
                self.progress.borrow_mut().of(section).started.insert(name.clone());
                let rows = read(&name, item).await;
                (name, rows)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, rows)) = done.next().await {
            self.judged(section, &rows)?;
            self.progress.borrow_mut().of(section).started.remove(&name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
