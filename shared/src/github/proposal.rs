//! A file's new content as a pull request, of which there is one.
//!
//! Source: [references](https://docs.github.com/en/rest/git/refs), [contents](https://docs.github.com/en/rest/repos/contents),
//! [pull requests](https://docs.github.com/en/rest/pulls/pulls).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{File, GitHubError, Session, encoded, read};
use crate::run::markdown;

/// How often everything is looked at again because somebody was faster.
const TRIES: u32 = 4;

/// What is waited before, the first time: GitHub may not show at once what it has taken.
const PAUSE: Duration = Duration::from_millis(100);

/// A file's whole new content, and how it is proposed.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The branch that it is proposed for; none for the repository's default branch.
    pub base: Option<&'a str>,
    /// The branch that it is proposed from, e.g. `governance/security-changelog`. It belongs to this proposal alone: it is
    /// made when it is missing, and set back to the base, whatever is on it, when no pull request of it is open.
    pub branch: &'a str,
    /// The file, e.g. `docs/security/changelog.md`.
    pub path: &'a str,
    /// What the file is to hold; below 1 MB, the most that GitHub shows of a file here.
    pub content: &'a str,
    /// The commit's message; may hold foreign text.
    pub message: &'a str,
    /// The title of a new pull request; one that is open keeps its own. May hold foreign text.
    pub title: &'a str,
    /// The text of a new pull request, Markdown of at most 65,536 characters; one that is open keeps its own. Foreign text
    /// in it goes through [`markdown`].
    pub body: &'a str,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proposal {
    /// The open pull request whose file has the content; none when the base has it and there is nothing to propose.
    pub number: Option<u64>,
    /// Whether this call has committed something or opened the pull request.
    pub changed: bool,
}

/// Makes sure that one pull request is open from the change's branch to its base, and that its file has the content;
/// does nothing when the base has it and no pull request is open.
///
/// May be repeated and may die anywhere: it goes by what there is. Of two at a time, the one that is later has its content
/// there; a pull request of the other may be closed and opened anew. Whatever a person commits to the branch beside
/// the file stays as long as the pull request is open.
///
/// # Errors
///
/// [`GitHubError`]; [`GitHubError::Name`] before anything is changed, when the branch is the base or the default branch.
pub async fn propose(session: &Session<'_>, change: &Change<'_>) -> Result<Proposal, GitHubError> {
    let repository: Described = read(session.ask(Method::GET, &session.url(""), None).await?).await?;
    let base = change.base.unwrap_or(&repository.default_branch);
    check(change, base, &repository.default_branch)?;
    let work = Work { session, change, base };
    let (mut changed, mut is_stale, mut tried) = (false, false, 1);
    loop {
        match work.settle(&mut changed, is_stale).await {
            // The branch's commits are the base's: it starts anew.
            Err(GitHubError::Refused { status: 422, message, .. })
                if tried < TRIES && message.contains("No commits between") =>
            {
                is_stale = true;
            }
            // A branch that is gone, a file or a reference that is another by now, a pull request that is there already.
            Err(GitHubError::Refused { status: 404 | 409 | 422, message, .. }) if tried < TRIES => {
                tracing::warn!(message = format!("GitHub is looked at again: {message}"));
                tokio::time::sleep(PAUSE * tried).await;
            }
            settled => return settled.map(|number| Proposal { number, changed }),
        }
        tried += 1;
    }
}

#[derive(Deserialize)]
struct Described {
    default_branch: String,
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
    /// None when the fork that it comes from is gone.
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
    change: &'a Change<'a>,
    base: &'a str,
}

impl Work<'_> {
    /// The number of the open pull request whose file has the content; none when the base has it.
    async fn settle(&self, changed: &mut bool, is_stale: bool) -> Result<Option<u64>, GitHubError> {
        let change = self.change;
        if let Some(number) = self.open().await? {
            let held = self.file(change.branch).await?;
            if self.is_new(held.as_ref()) {
                return Ok(Some(number));
            }
            self.commit(held, changed).await?;
            // Had it been merged in between, the commit would stand there alone.
            if self.open().await? == Some(number) {
                return Ok(Some(number));
            }
        }
        let Some(base) = self.head(self.base).await? else { return Err(self.no_base()) };
        let of_base = self.file(&base).await?;
        if self.is_new(of_base.as_ref()) {
            return Ok(None);
        }
        let held = match self.head(change.branch).await? {
            Some(own) if own == base => of_base,
            Some(_) => match self.file(change.branch).await? {
                // An attempt that died before it opened its pull request, unless the base has that commit long since.
                held if self.is_new(held.as_ref()) && !is_stale => held,
                _ => {
                    let path = format!("/git/refs/heads/{}", encoded(change.branch));
                    self.ask(Method::PATCH, &path, &json!({"sha": base, "force": true})).await?;
                    of_base
                }
            },
            None => {
                let reference = json!({"ref": format!("refs/heads/{}", change.branch), "sha": base});
                self.ask(Method::POST, "/git/refs", &reference).await?;
                of_base
            }
        };
        if !self.is_new(held.as_ref()) {
            self.commit(held, changed).await?;
        }
        let title = markdown::title(change.title);
        let pull = json!({"title": title, "body": change.body, "head": change.branch, "base": self.base});
        let opened: Numbered = read(self.ask(Method::POST, "/pulls", &pull).await?).await?;
        *changed = true;
        Ok(Some(opened.number))
    }

    fn is_new(&self, held: Option<&File>) -> bool {
        held.is_some_and(|held| held.content == self.change.content.as_bytes())
    }

    /// The open pull request from the branch to the base.
    async fn open(&self) -> Result<Option<u64>, GitHubError> {
        let name = &self.session.repository.name;
        let owner = name.split('/').next().unwrap_or_default();
        let head = encoded(&format!("{owner}:{}", self.change.branch));
        let path = format!("/pulls?state=open&base={}&head={head}&per_page=100", encoded(self.base));
        let pulls: Vec<Pull> =
            read(self.session.ask(Method::GET, &self.session.url(&path), None).await?).await?;
        // A fork of the same owner has the same head.
        let is_own = |pull: &Pull| {
            let repository = pull.head.repo.as_ref();
            pull.head.branch == self.change.branch
                && repository.is_some_and(|repository| repository.full_name.eq_ignore_ascii_case(name))
        };
        Ok(pulls.into_iter().find(is_own).map(|pull| pull.number))
    }

    /// The commit that a branch is at.
    async fn head(&self, branch: &str) -> Result<Option<String>, GitHubError> {
        let reference: Option<Reference> =
            self.session.find(&format!("/git/ref/heads/{}", encoded(branch))).await?;
        Ok(reference.map(|reference| reference.object.sha))
    }

    /// The file at a commit or on a branch.
    async fn file(&self, at: &str) -> Result<Option<File>, GitHubError> {
        self.session.file(self.change.path, at).await
    }

    /// Puts the content on the branch, in place of what is held there; refused with 409 or 422 when that is another by now.
    async fn commit(&self, held: Option<File>, changed: &mut bool) -> Result<(), GitHubError> {
        let change = self.change;
        let fields = [
            ("message", markdown::title(change.message)),
            ("content", STANDARD.encode(change.content)),
            ("branch", change.branch.to_owned()),
        ];
        let file: Value = fields.into_iter().chain(held.map(|held| ("sha", held.sha))).collect();
        self.ask(Method::PUT, &format!("/contents/{}", encoded(change.path)), &file).await?;
        *changed = true;
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Response, GitHubError> {
        self.session.ask(method, &self.session.url(path), Some(body)).await
    }

    /// GitHub does not say which of the two it is.
    fn no_base(&self) -> GitHubError {
        let permissions = self.session.repository.setup.permissions;
        GitHubError::Refused {
            status: 404,
            message: format!("no branch {}", self.base),
            hint: format!("see that the branch exists, and that the token has {permissions}"),
        }
    }
}

/// Refuses names that would lead a call elsewhere: the branch is set back by force.
fn check(change: &Change<'_>, base: &str, default_branch: &str) -> Result<(), GitHubError> {
    for name in [change.branch, base, change.path] {
        if name.split('/').any(|part| ["", ".", ".."].contains(&part)) {
            return Err(GitHubError::Name(format!("`{name}` is no name of a branch or a file")));
        }
    }
    if [base, default_branch].iter().any(|other| other.eq_ignore_ascii_case(change.branch)) {
        return Err(GitHubError::Name(format!(
            "the branch {} is not the proposal's own: name another one",
            change.branch
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
        let refused = |branch: &str, path: &str, base: &str| {
            let (content, message, title, body) = ("", "", "", "");
            let change = Change { base: None, branch, path, content, message, title, body };
            check(&change, base, "main").is_err()
        };
        assert!(!refused("governance/x", "docs/x.md", "main"));
        assert!(!refused("governance/x", "docs/..x.md", "release/1"));
        for branch in ["main", "Main", "develop", "a/../main", "", "/a", "a/"] {
            assert!(refused(branch, "docs/x.md", "develop"), "{branch}");
        }
        for path in ["", "../x", "/x", "docs//x", "docs/./x"] {
            assert!(refused("governance/x", path, "main"), "{path}");
        }
    }
}
