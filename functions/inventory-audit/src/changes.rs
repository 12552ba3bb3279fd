//! Changes of the policy: each version of its document gets a record, a message and a check of its commit.
//!
//! Trigger: EventBridge after the document is put or removed, and a daily schedule, so that a lost event delays the
//! record by at most a day. Each audit also checks for changes. The event's content is ignored.
//!
//! S3 does not record the writer of an object, so author and commit are only the document's claims. The bucket's policy
//! lets only the deployer write it; the commit is verified on GitHub, and the patch is compared with the commit's file.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use shared::aws::secrets;
use shared::github::{GitHubError, Repository, Session, Setup, read};
use shared::policy::{self, Document, KEY};
use shared::run::evidence::{Draft, Step};
use shared::run::in_force::{self, Broken, Source, Version, Versions};
use shared::run::report::Reporter;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::{CallError, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::settings::Settings;

use crate::rules::change::{Became, MAIN, Merge, Recorded, compared, is_new, judged};
use crate::text;

/// Chain of these records.
const CHAIN: &str = "policy";

const SETUP: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permission Contents: read",
};

/// The clients that read and record changes.
pub(crate) struct Changes {
    source: Source,
    reporter: Reporter,
    /// The repository that holds the policy, and the name of its token's secret.
    repository: Option<(Repository, String)>,
    secrets: Client,
}

#[derive(Deserialize)]
struct Before {
    run_id: String,
}

#[derive(Deserialize)]
struct Compared {
    status: String,
}

impl Changes {
    /// Reads `GITHUB_REPOSITORY`, which may be empty, and with it `GITHUB_API_URL` and `GITHUB_SECRET_NAME`.
    pub(crate) fn new(settings: &Settings, env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        Ok(Self {
            source: Source::new(env, aws)?,
            reporter: Reporter::of_audit(CHAIN, settings, env, aws)?,
            repository: Repository::optional(env, SETUP)?,
            secrets: Client::new(aws),
        })
    }

    /// Records each version that has no record yet, oldest first; returns the versions.
    ///
    /// The version is the run's id, so a repeated event finds the record.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of S3. A record or message that could not be stored or sent is counted and logged, as in every
    /// report.
    pub(crate) async fn record(
        &self,
        settings: &Settings,
        invocation: &Invocation,
    ) -> Result<Vec<String>, CallError> {
        let before = self.reporter.before::<Before>().await;
        let before = before.map(|before| before.map(|before| before.run_id));
        let before = before.as_ref().map(Option::as_deref).map_err(|_| ());
        let (mut versions, mut new) = (Versions::default(), 0);
        while let Some(version) = self.source.version(&mut versions, new).await?
            && is_new(&version.id, new, before)
        {
            new += 1;
        }
        let mut recorded = Vec::new();
        for place in (0..new).rev() {
            let Some(version) = self.source.version(&mut versions, place).await?.cloned() else { continue };
            let begun = self.reporter.begin(&version.id).await;
            if begun.is_recorded() && !begun.was_left_open() {
                continue;
            }
            let found = self.look(&version, &mut versions, place, invocation).await?;
            let mut draft = draft(settings, &version, &found, invocation);
            // All functions that read a broken version try to announce it; only the first succeeds.
            if let Became::Broken(error, in_force) = &found.became {
                let broken = Broken { version: version.id.clone(), error: error.clone() };
                let announced = in_force::announce_once(
                    &self.reporter,
                    settings,
                    &broken,
                    in_force.as_deref(),
                    invocation.now,
                );
                draft.steps.push(Step::now("announce that it is broken", announced.await));
            }
            let message = text::change(settings, &version, &found);
            // A later record would hide that this version has none: the newest record marks the versions before it as
            // recorded.
            if !self.reporter.report(draft, message.as_ref(), begun, invocation).await {
                break;
            }
            recorded.push(version.id);
        }
        Ok(recorded)
    }

    async fn look(
        &self,
        version: &Version,
        versions: &mut Versions,
        place: usize,
        invocation: &Invocation,
    ) -> Result<Recorded, CallError> {
        let read = if version.is_marker { None } else { Some(self.source.document(version).await?) };
        let (mut before, mut place) = (None, place + 1);
        while let Some(one) = self.source.version(versions, place).await?
            && !one.is_marker
        {
            if let Ok(document) = self.source.document(one).await? {
                before = Some((one.id.clone(), document.patch));
                break;
            }
            place += 1;
        }
        let (became, patch) = match read {
            None => (Became::Removed, json!({})),
            Some(Ok(document)) => {
                let patch = document.patch.clone();
                let merge = self.merge(&document, invocation).await;
                (Became::Changed(document, merge), patch)
            }
            Some(Err(error)) => {
                let became = Became::Broken(error.to_string(), before.map(|(id, _)| id));
                return Ok(Recorded { became, changes: Vec::new() });
            }
        };
        let effective = |patch| policy::effective(patch).unwrap_or_default();
        let before = before.map_or_else(|| json!({}), |(_, patch)| patch);
        let changes = policy::changes(&effective(&before), &effective(&patch));
        Ok(Recorded { became, changes })
    }

    /// A session with the repository.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn session<'a>(&'a self, invocation: &'a Invocation) -> Result<Session<'a>, String> {
        let Some((repository, token)) = &self.repository else {
            return Err("GitHubRepository is not set".to_owned());
        };
        let token = secrets::value(&self.secrets, token, None).await.map_err(|error| chain(&error))?;
        repository.session(&token, invocation).map_err(|error| chain(&error))
    }

    /// Whether the document's commit is on the branch, and the commit's file has the document's patch.
    async fn merge(&self, document: &Document, invocation: &Invocation) -> Merge {
        let session = match self.session(invocation).await {
            Ok(session) => session,
            Err(why) => return Merge::Unknown(why),
        };
        let merge = Self::merge_by(&session, document).await;
        merge.unwrap_or_else(|error| Merge::Unknown(chain(&error)))
    }

    /// Asks for the second page of the comparison, which has the status but no files.
    ///
    /// Source: [compare two commits](https://docs.github.com/en/rest/commits/commits#compare-two-commits).
    async fn merge_by(session: &Session<'_>, document: &Document) -> Result<Merge, GitHubError> {
        let commit = &document.commit;
        let compare = session.url(&format!("/compare/{MAIN}...{commit}?per_page=1&page=2"));
        let status = match session.ask(Method::GET, &compare, None).await {
            Ok(answer) => read::<Compared>(answer).await?.status,
            Err(GitHubError::Refused { status: 404, .. }) => {
                // Either the commit is unknown, or the token cannot see the repository. In the latter case the branch
                // is refused too.
                has_main(session).await?;
                "unknown to the repository".to_owned()
            }
            Err(error) => return Err(error),
        };
        let merge = judged(&status);
        if merge != Merge::Merged {
            return Ok(merge);
        }
        let Some(path) = &document.path else {
            return Ok(Merge::Unknown("the document does not say which file was applied".to_owned()));
        };
        let file = session.file(path, commit).await?;
        Ok(compared(&document.patch, path, file.as_ref().map(|file| file.content.as_slice())))
    }
}

/// Whether the token can see the repository's branch [`MAIN`]; otherwise GitHub answers 404 for anything in it.
///
/// # Errors
///
/// [`GitHubError`] if it cannot.
pub(crate) async fn has_main(session: &Session<'_>) -> Result<(), GitHubError> {
    let branch = session.url(&format!("/git/ref/heads/{MAIN}"));
    session.ask(Method::GET, &branch, None).await?;
    Ok(())
}

fn draft(settings: &Settings, version: &Version, found: &Recorded, invocation: &Invocation) -> Draft {
    let mut steps = Vec::new();
    if let Became::Changed(document, merge) = &found.became {
        steps.push(Step::now("author, according to the document", document.author.clone()));
        steps.push(Step::now("commit, according to the document", document.commit.clone()));
        if let Some(reason) = &document.reason {
            steps.push(Step::now("reason, according to the document", reason.clone()));
        }
        if let Some(path) = &document.path {
            steps.push(Step::now("file, according to the document", path.clone()));
        }
        let merged = match merge {
            Merge::Merged => "yes".to_owned(),
            Merge::Differs(how) => format!("yes, and its file differs: {how}"),
            Merge::Unmerged(status) => format!("no: {status}"),
            Merge::Unknown(why) => format!("unknown: {why}"),
        };
        steps.push(Step::now(format!("is the commit on {MAIN}, with this content"), merged));
    }
    if matches!(found.became, Became::Removed) {
        steps.push(Step::now("the document was removed", "the defaults are in force"));
    }
    steps.extend(found.changes.iter().map(|change| Step::now("change", change.to_string())));
    let findings: Vec<_> = found.finding().into_iter().collect();
    Draft {
        trigger: "s3:PutObject".to_owned(),
        subject: format!("{KEY} {}", version.id),
        findings: findings.clone(),
        steps,
        ..Draft::of(
            settings,
            &version.id,
            if findings.is_empty() { "succeeded" } else { "failed" },
            invocation.now,
        )
    }
}
