//! The second place of the chains' heads: a bucket, and with a folder also a branch of the repository. Neither can be rewritten
//! together with the evidence.

use std::time::Duration;

use chain::anchor::{Anchors, Newest};
use chain::{State, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::secrets;
use shared::github::{Repository, Session, Setup};
use shared::run::anchors::{Copied, Place};
use shared::run::evidence::Step;
use shared::runtime::failure::chain as causes;
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;

use crate::look::Looked;
use crate::rules::view::Fault;
use crate::{App, chains};

/// Time reserved from the reading of the anchors for all that follows it.
const READING: Duration = Duration::from_secs(400);

/// The template's parameters for the copy.
pub(crate) const SETUP: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permission Contents: read and write",
};

/// Where the heads are kept.
pub(crate) struct Anchoring {
    pub(crate) place: Place,
    pub(crate) copy: Option<Copy>,
}

impl Anchoring {
    /// What the next run knows of the newest anchor.
    pub(crate) fn known(&self, newest: &Newest) -> Known {
        let (sequence, sha256) = (newest.anchor.sequence, chain::sha256(&newest.bytes));
        Known { bucket: self.place.bucket.clone(), sequence, sha256 }
    }
}

/// The newest anchor that a run has verified or written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Known {
    /// Its bucket: in another one, anchors begin anew.
    pub bucket: String,
    pub sequence: u64,
    pub sha256: String,
}

/// A copy of the newest anchor in a repository.
pub(crate) struct Copy {
    pub(crate) repository: Repository,
    /// Name of the secret with its token.
    pub(crate) token: String,
    pub(crate) copied: Copied,
}

impl Copy {
    async fn session<'a>(&'a self, app: &App, invocation: &'a Invocation) -> Result<Session<'a>, String> {
        let token = secrets::value(&app.secrets, &self.token, None).await.map_err(|error| causes(&error))?;
        self.repository.session(&token, invocation).map_err(|error| causes(&error))
    }
}

/// What the anchors say.
pub(crate) struct Seen {
    /// None if they could not be listed.
    pub anchors: Option<Anchors>,
    /// What could not be read.
    pub unread: Vec<String>,
    /// Whether the copy in the repository is one of the witnesses.
    pub is_copy_read: bool,
}

/// Reads the anchors, all of them or from the one that the last run knew; none if the stack has no second place.
pub(crate) async fn read(
    app: &App,
    known: Option<&Known>,
    is_full: bool,
    invocation: &Invocation,
) -> Option<Seen> {
    let Anchoring { place, copy } = app.anchoring.as_ref()?;
    let (mut unread, mut is_copy_read) = (Vec::new(), copy.is_some());
    let known = known.filter(|known| known.bucket == place.bucket);
    let begin = || match known {
        Some(Known { sequence, sha256, .. }) => place.anchors().known(*sequence, sha256),
        None => place.anchors(),
    };
    let mut anchors = begin();
    if let Some(copy) = copy {
        let witnessed = match copy.session(app, invocation).await {
            Ok(session) => copy.copied.witness(&session, anchors).await.map_err(|error| causes(&error)),
            Err(why) => Err(why),
        };
        anchors = witnessed.unwrap_or_else(|why| {
            unread.push(why);
            is_copy_read = false;
            begin()
        });
    }
    if let Some(Known { sequence, .. }) = known.filter(|_| !is_full) {
        anchors = anchors.starting(*sequence);
    }
    let read = invocation.before_deadline(READING, Box::pin(place.read(anchors))).await;
    let read = read.map_err(|late| causes(&late)).and_then(|read| read.map_err(|error| causes(&error)));
    let anchors = read.map_err(|why| unread.push(why)).ok();
    Some(Seen { anchors, unread, is_copy_read })
}

/// What became of the anchors.
#[derive(Default)]
pub(crate) struct Kept {
    /// The newest anchor.
    pub newest: Option<Newest>,
    pub steps: Vec<Step>,
    /// Why the heads were not kept.
    pub failed: Option<String>,
}

/// Keeps the verified chains' heads. A failure is counted, and tried again by the next run.
pub(crate) async fn keep(app: &App, looked: &Looked, now: Timestamp, invocation: &Invocation) -> Kept {
    let mut kept = Kept::default();
    let Some(Anchoring { place, copy }) = app.anchoring.as_ref() else { return kept };
    let mut note = |what: &str, outcome: Result<String, String>| {
        let outcome = outcome.unwrap_or_else(|why| {
            app.base.reporter.lost("EvidenceFailures", "AnchorFailed", &why, what);
            kept.failed = Some(why.clone());
            format!("failed: {why}")
        });
        kept.steps.push(Step::now(what, outcome));
    };
    let Some(own) = looked.anchors.as_ref() else {
        note("anchor", Err("the anchors could not be read".to_owned()));
        return kept;
    };
    // An anchor after one that is not the true newest would hide what happened to it.
    if !matches!(own.state(), State::Verified | State::Empty) {
        note("anchor", Err("the anchors are not verified".to_owned()));
        return kept;
    }
    let written = place.write(looked.newest.as_ref(), &looked.verdicts, now).await;
    match written {
        Ok(written) => {
            let key = written.as_ref().map(|one| one.anchor.key()).unwrap_or_default();
            note("anchor", Ok(key));
            kept.newest = written;
        }
        Err(error) => {
            note("anchor", Err(causes(&error)));
            return kept;
        }
    }
    let (Some(copy), Some(newest)) = (copy, kept.newest.clone()) else { return kept };
    let committed = match copy.session(app, invocation).await {
        // It may be the only one that is true, and is not replaced unseen.
        _ if !looked.is_copy_read => Err("the copy in the repository could not be read".to_owned()),
        Ok(session) => copy.copied.commit(&session, &newest, own).await.map_err(|error| causes(&error)),
        Err(why) => Err(why),
    };
    let outcome = match committed {
        Ok(Some(commit)) => Ok(format!("{} ({})", commit.sha, commit.signature)),
        Ok(None) => Err("the copy in the repository is neither this anchor nor a newer one".to_owned()),
        Err(why) => Err(why),
    };
    match outcome {
        Ok(outcome) => kept.steps.push(Step::now("anchor's commit", outcome)),
        Err(why) => {
            app.base.reporter.lost("EvidenceFailures", "AnchorFailed", &why, "anchor's commit");
            kept.failed = Some(why.clone());
            kept.steps.push(Step::now("anchor's commit", format!("failed: {why}")));
        }
    }
    kept
}

/// The faults of the anchors' own chain, for the page.
pub(crate) fn faults(verdict: &Verdict, language: Language) -> Vec<Fault> {
    verdict.faults.iter().map(|fault| chains::fault(fault, language)).collect()
}
