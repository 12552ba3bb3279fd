//! Keeps the newest copy of a document as a file on a branch, by one commit for each change.
//!
//! GitHub signs a commit that its API makes for a GitHub App, and none that it makes for a person's token. Whether it did
//! is read back from GitHub, never assumed.
//!
//! Source: [contents](https://docs.github.com/en/rest/repos/contents),
//! [commits](https://docs.github.com/en/rest/commits/commits) (`verification`),
//! [signatures of bots](https://docs.github.com/en/authentication/managing-commit-signature-verification/about-commit-signature-verification#signature-verification-for-bots).

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::proposal::check;
use super::{GitHubError, Session, encoded, read};
use crate::run::markdown;

/// Most attempts when another run changes the branch at the same time.
const TRIES: u32 = 4;

/// First pause between attempts: GitHub's reads may lag behind its writes.
const PAUSE: Duration = Duration::from_millis(100);

/// A document's place in the repository.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The branch; created from the default branch if missing, and never reset.
    pub branch: &'a str,
    /// The file, e.g. `anchors/moveongs/dev.json`.
    pub path: &'a str,
}

/// The commit that made a file what it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Commit {
    /// Its SHA.
    pub sha: String,
    /// Whether GitHub has verified its signature.
    pub signature: Signature,
}

/// What GitHub says about a commit's signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Signature {
    /// It is signed, and GitHub has verified the signature.
    Verified,
    /// It is not signed, or the signature is not valid: GitHub's reason, such as `unsigned`.
    Unverified(String),
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => formatter.write_str("signed, as GitHub verified"),
            Self::Unverified(reason) => write!(formatter, "not verified by GitHub: {reason}"),
        }
    }
}

#[derive(Deserialize)]
struct Shown {
    sha: String,
    commit: Inner,
}

#[derive(Deserialize)]
struct Inner {
    verification: Verification,
}

#[derive(Deserialize)]
struct Verification {
    verified: bool,
    reason: String,
}

#[derive(Deserialize)]
struct Written {
    commit: Named,
}

#[derive(Deserialize)]
struct Named {
    sha: String,
}

#[derive(Deserialize)]
struct Reference {
    object: Named,
}

impl From<Shown> for Commit {
    fn from(Shown { sha, commit: Inner { verification } }: Shown) -> Self {
        let Verification { verified, reason } = verification;
        let signature = if verified { Signature::Verified } else { Signature::Unverified(reason) };
        Self { sha, signature }
    }
}

impl Place<'_> {
    /// The copy that the branch holds; none without one.
    ///
    /// # Errors
    ///
    /// [`GitHubError`].
    pub async fn held(&self, session: &Session<'_>) -> Result<Option<Vec<u8>>, GitHubError> {
        self.check()?;
        Ok(session.file(self.path, self.branch).await?.map(|file| file.content))
    }

    /// Commits the document's new content, of less than 1 MB, unless the branch holds it, or a copy that
    /// `is_kept`. Returns the newest commit of the file, and what the file holds. The same content twice makes one commit.
    ///
    /// # Errors
    ///
    /// [`GitHubError`]; the content was not committed, or its commit was not confirmed.
    pub async fn commit(
        &self,
        session: &Session<'_>,
        content: &[u8],
        message: &str,
        is_kept: impl Fn(&[u8]) -> bool,
    ) -> Result<(Commit, Vec<u8>), GitHubError> {
        self.check()?;
        let mut tried = 1;
        loop {
            match self.attempt(session, content, message, &is_kept).await {
                // The branch or the file has changed since it was read.
                Err(GitHubError::Refused { status: 404 | 409 | 422, message, .. }) if tried < TRIES => {
                    tracing::warn!(message = format!("reading GitHub's state again: {message}"));
                    tokio::time::sleep(PAUSE * tried).await;
                }
                done => return done,
            }
            tried += 1;
        }
    }

    fn check(&self) -> Result<(), GitHubError> {
        [self.branch, self.path].into_iter().try_for_each(check)
    }

    async fn attempt(
        &self,
        session: &Session<'_>,
        content: &[u8],
        message: &str,
        is_kept: impl Fn(&[u8]) -> bool,
    ) -> Result<(Commit, Vec<u8>), GitHubError> {
        let held = session.file(self.path, self.branch).await?;
        if let Some(file) = &held
            && (file.content == content || is_kept(&file.content))
        {
            return Ok((self.newest(session).await?, file.content.clone()));
        }
        if held.is_none() {
            self.begin(session).await?;
        }
        let fields = [
            ("message", markdown::title(message)),
            ("content", STANDARD.encode(content)),
            ("branch", self.branch.to_owned()),
        ];
        let file: Value = fields.into_iter().chain(held.map(|held| ("sha", held.sha))).collect();
        let url = session.url(&format!("/contents/{}", encoded(self.path)));
        let written: Written = read(session.ask(Method::PUT, &url, Some(&file)).await?).await?;
        let url = session.url(&format!("/commits/{}", encoded(&written.commit.sha)));
        let commit: Shown = read(session.ask(Method::GET, &url, None).await?).await?;
        Ok((commit.into(), content.to_vec()))
    }

    /// Creates the branch if it is missing.
    async fn begin(&self, session: &Session<'_>) -> Result<(), GitHubError> {
        let branch = format!("/git/ref/heads/{}", encoded(self.branch));
        if session.find::<Reference>(&branch).await?.is_some() {
            return Ok(());
        }
        let base = session.default_branch().await?;
        let url = session.url(&format!("/git/ref/heads/{}", encoded(&base)));
        let base: Reference = read(session.ask(Method::GET, &url, None).await?).await?;
        let reference = json!({"ref": format!("refs/heads/{}", self.branch), "sha": base.object.sha});
        session.ask(Method::POST, &session.url("/git/refs"), Some(&reference)).await?;
        Ok(())
    }

    /// The newest commit that changed the file.
    async fn newest(&self, session: &Session<'_>) -> Result<Commit, GitHubError> {
        let (branch, path) = (encoded(self.branch), encoded(self.path));
        let url = session.url(&format!("/commits?sha={branch}&path={path}&per_page=1"));
        let commits: Vec<Shown> = read(session.ask(Method::GET, &url, None).await?).await?;
        let newest = commits.into_iter().next();
        let missing = || GitHubError::Unreadable(format!("no commit has {}", self.path));
        newest.map(Commit::from).ok_or_else(missing)
    }
}
