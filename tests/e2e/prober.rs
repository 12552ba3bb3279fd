//! A client that logs in with AWSCURRENT repeatedly during other work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::cloud::{Cloud, eventually};
use crate::credential::parts;
use crate::server::Server;

/// A prober's observations.
#[derive(Debug, Default)]
pub(crate) struct Probed {
    pub(crate) logins: u64,
    pub(crate) failures: Vec<String>,
    /// Longest time from the first refused login to the next successful one.
    pub(crate) longest_window: Duration,
}

impl Probed {
    /// Adds another prober's observations.
    pub(crate) fn add(&mut self, other: Self) {
        self.logins += other.logins;
        self.failures.extend(other.failures);
        self.longest_window = self.longest_window.max(other.longest_window);
    }
}

/// A running prober.
pub(crate) struct Prober {
    stop: Arc<AtomicBool>,
    attempts: Arc<AtomicU64>,
    thread: JoinHandle<Probed>,
}

impl Prober {
    /// Starts a prober for the secret `arn` of a database on `server`; returns after its first login.
    pub(crate) async fn start(server: &Server, arn: &str, database: &str) -> Self {
        let (stop, attempts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (server, arn, database) = (server.clone(), arn.to_owned(), database.to_owned());
        let (stopped, counted) = (stop.clone(), attempts.clone());
        let (first, begun) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(probe(&server, &arn, &database, (&stopped, &counted), first))
        });
        begun.await.unwrap();
        Self { stop, attempts, thread }
    }

    /// Waits for two more logins, the second with the current AWSCURRENT; returns the total number of attempts.
    pub(crate) async fn twice_more(&self) -> u64 {
        let before = self.attempts.load(Ordering::Relaxed);
        eventually("the prober's next logins", async || {
            let now = self.attempts.load(Ordering::Relaxed);
            (now >= before + 2).then_some(now)
        })
        .await
    }

    /// Stops it and returns its observations.
    pub(crate) fn end(self) -> Probed {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

async fn probe(
    server: &Server,
    arn: &str,
    database: &str,
    (stop, attempts): (&AtomicBool, &AtomicU64),
    first: tokio::sync::oneshot::Sender<()>,
) -> Probed {
    let cloud = Cloud::connect("rotate-database").await;
    let (mut probed, mut first, mut refused_since) = (Probed::default(), Some(first), None);
    while !stop.load(Ordering::Relaxed) {
        let current = cloud.secrets.get_secret_value().secret_id(arn).version_stage("AWSCURRENT");
        let (user, password) = parts(&current.send().await.unwrap().secret_string.unwrap());
        match server.login(database, &user, &password).await {
            Ok(_) => {
                probed.logins += 1;
                if let Some(since) = refused_since.take() {
                    probed.longest_window = probed.longest_window.max(Instant::elapsed(&since));
                }
            }
            Err(error) => {
                refused_since.get_or_insert_with(Instant::now);
                probed.failures.push(format!("{user}: {error}: {:?}", error.code().map(|code| code.code())));
            }
        }
        attempts.fetch_add(1, Ordering::Relaxed);
        if let Some(first) = first.take() {
            let _ = first.send(());
        }
        // A pause leaves processor time to the machine's other processes.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    probed
}
