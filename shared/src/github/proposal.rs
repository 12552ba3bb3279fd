//! Proposes new content in a single pull request: that of a file, or of a folder.
//!
//! Source: [references](https://docs.github.com/en/rest/git/refs), [contents](https://docs.github.com/en/rest/repos/contents),
//! [pull requests](https://docs.github.com/en/rest/pulls/pulls); for a folder, [trees](https://docs.github.com/en/rest/git/trees)
//! and [commits](https://docs.github.com/en/rest/git/commits).

mod folder;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{File, GitHubError, Session, encoded, read};
use crate::run::markdown;
use folder::{Tree, Wanted};

/// Most attempts when another run changes the branch at the same time.
const TRIES: u32 = 4;

/// First pause between attempts: GitHub's reads may lag behind its writes.
const PAUSE: Duration = Duration::from_millis(100);

/// A file's complete new content, and how to propose it.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Base branch of the pull request; none for the repository's default branch.
    pub base: Option<&'a str>,
    /// Head branch, e.g. `governance/security-changelog`. It must belong to this proposal alone: it is created if
    /// missing, and force-reset to the base if it has no open pull request.
    pub branch: &'a str,
    /// The file, e.g. `docs/security/changelog.md`.
    pub path: &'a str,
    /// The complete new content, below 1 MB, the most that GitHub's contents API returns.
    pub content: &'a str,
    /// Commit message; may contain foreign text.
    pub message: &'a str,
    /// Title of a new pull request; an open one keeps its own. May contain foreign text.
    pub title: &'a str,
    /// Body of a new pull request, Markdown of at most 65,536 characters; an open one keeps its own. Escape foreign
    /// text in it with [`markdown`].
    pub body: &'a str,
}

/// A folder's complete new content, and how to propose it: files of the folder that are not among `files` are removed. For
/// the other fields, see [`Change`].
#[derive(Clone, Copy, Debug)]
pub struct Folder<'a> {
    /// Base branch of the pull request; none for the repository's default branch.
    pub base: Option<&'a str>,
    /// Head branch.
    pub branch: &'a str,
    /// The folder, e.g. `docs/observability/grafana/dev`. It must belong to this proposal alone.
    pub path: &'a str,
    /// The content of each file, by its path in the folder.
    pub files: &'a BTreeMap<String, String>,
    /// Commit message.
    pub message: &'a str,
    /// Title of a new pull request.
    pub title: &'a str,
    /// Body of a new pull request, Markdown.
    pub body: &'a str,
}

/// Outcome of a proposal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proposal {
    /// The open pull request with the content; none if the base already has it and there is nothing to propose.
    pub number: Option<u64>,
    /// Whether this call committed or opened the pull request.
    pub changed: bool,
}

/// Ensures that one open pull request from the change's branch to its base has the file's content. Does nothing if the
/// base already has it and no pull request is open.
///
/// Safe to repeat and to interrupt anywhere, since it acts on the current state. Of two concurrent calls, the later
/// one's content remains; the other's pull request may be closed and reopened. Commits by people to other files of the
/// branch survive while the pull request is open.
///
/// # Errors
///
/// [`GitHubError`]; [`GitHubError::Name`], before any change, if the branch is the base or the default branch, or a name is
/// not valid.
pub async fn propose(session: &Session<'_>, change: &Change<'_>) -> Result<Proposal, GitHubError> {
    propose_over(session, change, None).await
}

/// The same for a content that is based on `before`: a file that is neither is somebody else's change and stays as it is. A file
/// that is not there is made.
///
/// # Errors
///
/// As [`propose`]; for somebody else's change, [`GitHubError::Refused`] with 409.
pub async fn propose_over(
    session: &Session<'_>,
    change: &Change<'_>,
    before: Option<&str>,
) -> Result<Proposal, GitHubError> {
    let Change { base, branch, path, content, message, title, body } = *change;
    check(path)?;
    let content = Content::File { path, content, before };
    offer(session, base, Offer { branch, message, title, body, content }).await
}

/// The same for the content of a folder.
///
/// # Errors
///
/// [`GitHubError`]; [`GitHubError::Name`], before any change, if a name is not valid.
pub async fn propose_folder(session: &Session<'_>, folder: &Folder<'_>) -> Result<Proposal, GitHubError> {
    let Folder { base, branch, path, files, message, title, body } = *folder;
    files.keys().map(String::as_str).chain([path]).try_for_each(check)?;
    let content = Content::Folder(Wanted::new(path, files));
    offer(session, base, Offer { branch, message, title, body, content }).await
}

/// What is proposed, and how.
struct Offer<'a> {
    branch: &'a str,
    message: &'a str,
    title: &'a str,
    body: &'a str,
    content: Content<'a>,
}

enum Content<'a> {
    File {
        path: &'a str,
        content: &'a str,
        /// The only content that may be replaced; none for any.
        before: Option<&'a str>,
    },
    Folder(Wanted<'a>),
}

/// What a branch or a commit holds in its place.
enum Held {
    File(Option<File>),
    Folder(Tree),
}

async fn offer(session: &Session<'_>, base: Option<&str>, offer: Offer<'_>) -> Result<Proposal, GitHubError> {
    let default_branch = session.default_branch().await?;
    let base = base.unwrap_or(&default_branch);
    check_branch(offer.branch, base, &default_branch)?;
    let work = Work { session, offer, base };
    let (mut changed, mut is_stale, mut tried) = (false, false, 1);
    loop {
        match work.settle(&mut changed, is_stale).await {
            // The branch has no commits of its own: reset it to the base.
            Err(GitHubError::Refused { status: 422, message, .. })
                if tried < TRIES && message.contains("No commits between") =>
            {
                is_stale = true;
            }
            // The branch is gone, the content or reference changed in between, or the pull request already exists.
            Err(GitHubError::Refused { status: 404 | 409 | 422, message, .. }) if tried < TRIES => {
                tracing::warn!(message = format!("reading GitHub's state again: {message}"));
                tokio::time::sleep(PAUSE * tried).await;
            }
            settled => return settled.map(|number| Proposal { number, changed }),
        }
        tried += 1;
    }
}

#[derive(Deserialize)]
struct Reference {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    sha: String,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "ref")]
    branch: String,
    /// None if the fork was deleted.
    repo: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    full_name: String,
}

#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

struct Work<'a> {
    session: &'a Session<'a>,
    offer: Offer<'a>,
    base: &'a str,
}

impl Work<'_> {
    /// Number of the open pull request with the content; none if the base has it.
    async fn settle(&self, changed: &mut bool, is_stale: bool) -> Result<Option<u64>, GitHubError> {
        let branch = self.offer.branch;
        if let Some(number) = self.open().await? {
            let held = self.held(branch).await?;
            if self.is_new(&held) {
                return Ok(Some(number));
            }
            self.commit(held, changed).await?;
            // The pull request may have been merged in between, leaving the commit without one.
            if self.open().await? == Some(number) {
                return Ok(Some(number));
            }
        }
        let Some(base) = self.head(self.base).await? else { return Err(self.no_base()) };
        let of_base = self.held_at(&base).await?;
        if self.is_new(&of_base) {
            return Ok(None);
        }
        let held = match self.head(branch).await? {
            Some(own) if own == base => of_base,
            Some(own) => match self.held_of(branch, &own).await? {
                // Left by an attempt that died before it opened the pull request, unless the base has had that commit
                // for long.
                held if self.is_new(&held) && !is_stale => held,
                _ => {
                    let path = format!("/git/refs/heads/{}", encoded(branch));
                    self.ask(Method::PATCH, &path, &json!({"sha": base, "force": true})).await?;
                    of_base
                }
            },
            None => {
                let reference = json!({"ref": format!("refs/heads/{branch}"), "sha": base});
                self.ask(Method::POST, "/git/refs", &reference).await?;
                of_base
            }
        };
        if !self.is_new(&held) {
            self.commit(held, changed).await?;
        }
        let title = markdown::title(self.offer.title);
        let pull = json!({"title": title, "body": self.offer.body, "head": branch, "base": self.base});
        let opened: Numbered = read(self.ask(Method::POST, "/pulls", &pull).await?).await?;
        *changed = true;
        Ok(Some(opened.number))
    }

    fn is_new(&self, held: &Held) -> bool {
        match (&self.offer.content, held) {
            (Content::File { content, .. }, Held::File(file)) => {
                file.as_ref().is_some_and(|file| file.content == content.as_bytes())
            }
            (Content::Folder(wanted), Held::Folder(tree)) => wanted.is_held(tree),
            _ => false,
        }
    }

    /// The open pull request from the branch to the base.
    async fn open(&self) -> Result<Option<u64>, GitHubError> {
        open(self.session, self.offer.branch, self.base).await
    }

    /// The commit at a branch's head.
    async fn head(&self, branch: &str) -> Result<Option<String>, GitHubError> {
        let reference: Option<Reference> =
            self.session.find(&format!("/git/ref/heads/{}", encoded(branch))).await?;
        Ok(reference.map(|reference| reference.object.sha))
    }

    /// What a branch holds. GitHub answers 404 if it is gone, unless a file is asked for.
    async fn held(&self, branch: &str) -> Result<Held, GitHubError> {
        let Content::Folder(_) = self.offer.content else { return self.held_of(branch, branch).await };
        let head = self.head(branch).await?.ok_or_else(|| no_branch(branch, String::new()))?;
        self.held_at(&head).await
    }

    /// What a branch with this head holds. A file is read from the branch, which may have moved on.
    async fn held_of(&self, branch: &str, head: &str) -> Result<Held, GitHubError> {
        match self.offer.content {
            Content::File { .. } => self.held_at(branch).await,
            Content::Folder(_) => self.held_at(head).await,
        }
    }

    /// What a commit, or for a file also a branch, holds.
    async fn held_at(&self, at: &str) -> Result<Held, GitHubError> {
        match &self.offer.content {
            Content::File { path, .. } => Ok(Held::File(self.session.file(path, at).await?)),
            Content::Folder(wanted) => Ok(Held::Folder(wanted.tree(self.session, at).await?)),
        }
    }

    /// Commits the content to the branch, replacing `held`. GitHub refuses with 409 or 422 if it has changed since.
    async fn commit(&self, held: Held, changed: &mut bool) -> Result<(), GitHubError> {
        let (branch, message) = (self.offer.branch, markdown::title(self.offer.message));
        match (&self.offer.content, held) {
            (Content::File { path, content, before }, Held::File(file)) => {
                if let (Some(held), Some(before)) = (&file, before)
                    && held.content != before.as_bytes()
                {
                    return Err(GitHubError::Refused {
                        status: 409,
                        message: format!("{path} has changed since it was read"),
                        hint: "the next run reads it again".to_owned(),
                    });
                }
                let fields = [
                    ("message", message),
                    ("content", STANDARD.encode(content)),
                    ("branch", branch.to_owned()),
                ];
                let file: Value = fields.into_iter().chain(file.map(|held| ("sha", held.sha))).collect();
                self.ask(Method::PUT, &format!("/contents/{}", encoded(path)), &file).await?;
            }
            (Content::Folder(wanted), Held::Folder(tree)) => {
                let commit = wanted.commit(self.session, &tree, &message).await?;
                let path = format!("/git/refs/heads/{}", encoded(branch));
                self.ask(Method::PATCH, &path, &json!({"sha": commit, "force": false})).await?;
            }
            _ => {}
        }
        *changed = true;
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Response, GitHubError> {
        self.session.ask(method, &self.session.url(path), Some(body)).await
    }

    /// GitHub answers 404 in both cases.
    fn no_base(&self) -> GitHubError {
        let permissions = self.session.repository.setup.permissions;
        no_branch(self.base, format!("check that the branch exists, and that the token has {permissions}"))
    }
}

/// Number of the open pull request from a branch of the repository itself to a base.
///
/// # Errors
///
/// [`GitHubError`].
pub async fn open(session: &Session<'_>, branch: &str, base: &str) -> Result<Option<u64>, GitHubError> {
    let name = &session.repository.name;
    let owner = name.split('/').next().unwrap_or_default();
    let head = encoded(&format!("{owner}:{branch}"));
    let path = format!("/pulls?state=open&base={}&head={head}&per_page=100", encoded(base));
    let pulls: Vec<Pull> = read(session.ask(Method::GET, &session.url(&path), None).await?).await?;
    // A fork by the same owner has the same head.
    let is_own = |pull: &Pull| {
        let repository = pull.head.repo.as_ref();
        pull.head.branch == branch
            && repository.is_some_and(|repository| repository.full_name.eq_ignore_ascii_case(name))
    };
    Ok(pulls.into_iter().find(is_own).map(|pull| pull.number))
}

fn no_branch(branch: &str, hint: String) -> GitHubError {
    GitHubError::Refused { status: 404, message: format!("no branch {branch}"), hint }
}

/// Rejects names that would redirect a call.
pub(super) fn check(name: &str) -> Result<(), GitHubError> {
    if name.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return Err(GitHubError::Name(format!("`{name}` is not a valid branch or file name")));
    }
    Ok(())
}

/// The same for branches, and that the one which is reset by force is the proposal's own.
fn check_branch(branch: &str, base: &str, default_branch: &str) -> Result<(), GitHubError> {
    [branch, base].into_iter().try_for_each(check)?;
    if [base, default_branch].iter().any(|other| other.eq_ignore_ascii_case(branch)) {
        return Err(GitHubError::Name(format!(
            "the branch {branch} is not reserved for the proposal: choose another"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_name_is_encoded() {
        assert_eq!(encoded("docs/a b/ação?#%.md"), "docs/a%20b/a%C3%A7%C3%A3o%3F%23%25.md");
        assert_eq!(encoded("o:governance/x"), "o%3Agovernance/x");
    }

    #[test]
    fn a_branch_that_is_not_the_proposals_own_is_refused() {
        let refused = |branch: &str, base: &str| check_branch(branch, base, "main").is_err();
        assert!(!refused("governance/x", "main"));
        assert!(!refused("governance/x", "release/1"));
        for branch in ["main", "Main", "develop", "a/../main", "", "/a", "a/"] {
            assert!(refused(branch, "develop"), "{branch}");
        }
        assert!(check("docs/..x.md").is_ok());
        for path in ["", "../x", "/x", "docs//x", "docs/./x"] {
            assert!(check(path).is_err(), "{path}");
        }
    }
}
