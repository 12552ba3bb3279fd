//! The second place of the chains' heads: a bucket, and with a folder also a branch of the repository. Neither can be rewritten
//! together with the evidence.

use chain::anchor::{Anchors, Newest};
use chain::{State, Verdict};
use jiff::Timestamp;
use shared::aws::secrets;
use shared::github::{Repository, Session, Setup};
use shared::run::anchors::{Copied, Place};
use shared::run::evidence::Step;
use shared::runtime::failure::chain as causes;
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;

use crate::rules::view::Fault;
use crate::{App, chains};

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
}

/// Reads the anchors, from the one that the last run knew, or all of them; none if the stack has no second place.
pub(crate) async fn read(app: &App, from: Option<u64>, invocation: &Invocation) -> Option<Seen> {
    let Anchoring { place, copy } = app.anchoring.as_ref()?;
    let mut unread = Vec::new();
    let begin = || from.into_iter().fold(place.anchors(), Anchors::starting);
    let mut anchors = begin();
    if let Some(copy) = copy {
        let witnessed = match copy.session(app, invocation).await {
            Ok(session) => copy.copied.witness(&session, anchors).await.map_err(|error| causes(&error)),
            Err(why) => Err(why),
        };
        anchors = witnessed.unwrap_or_else(|why| {
            unread.push(why);
            begin()
        });
    }
    match place.read(anchors).await {
        Ok(anchors) => Some(Seen { anchors: Some(anchors), unread }),
        Err(error) => {
            unread.push(causes(&error));
            Some(Seen { anchors: None, unread })
        }
    }
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
pub(crate) async fn keep(
    app: &App,
    newest: Option<&Newest>,
    own: Option<&Verdict>,
    verdicts: &[Verdict],
    now: Timestamp,
    invocation: &Invocation,
) -> Kept {
    let mut kept = Kept::default();
    let (Some(Anchoring { place, copy }), Some(own)) = (app.anchoring.as_ref(), own) else { return kept };
    let mut note = |what: &str, outcome: Result<String, String>| {
        let outcome = outcome.unwrap_or_else(|why| {
            app.base.reporter.lost("EvidenceFailures", "AnchorFailed", &why, what);
            kept.failed = Some(why.clone());
            format!("failed: {why}")
        });
        kept.steps.push(Step::now(what, outcome));
    };
    // An anchor after one that is not the true newest would hide what happened to it.
    if !matches!(own.state(), State::Verified | State::Empty) {
        note("anchor", Err("the anchors are not verified".to_owned()));
        return kept;
    }
    let written = place.write(newest, verdicts, now).await;
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
        Ok(session) => copy.copied.commit(&session, &newest, own).await.map_err(|error| causes(&error)),
        Err(why) => Err(why),
    };
    let outcome = match committed {
        Ok(Some(commit)) => Ok(format!("{} ({})", commit.sha, commit.signature)),
        Ok(None) => Err("the anchors are not verified".to_owned()),
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
