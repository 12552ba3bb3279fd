//! The board: issues of one repository that have a label, each opened once.
//!
//! Source: [issues](https://docs.github.com/en/rest/issues/issues).

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::{HeaderMap, LINK};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{GitHubError, Session, read};
use crate::run::documents::{DocumentError, Documents};
use crate::run::markdown;
use crate::runtime::failure::{CallError, chain};
use crate::runtime::lambda::DeadlineExceeded;

/// Most pages of a hundred issues; more would mean a loop of pages.
const PAGES: usize = 100;

/// Time for which a claim protects a task without an open issue; far longer than a function's timeout.
const CLAIM_TIME: SignedDuration = SignedDuration::from_mins(15);

/// Why a task could not be opened, read or closed. No text contains the token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BoardError {
    /// The token could not be read.
    #[error("the GitHub token could not be read; check the secret that the parameter GitHubSecretName names")]
    Token(#[source] CallError),
    /// GitHub refused or failed.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// The issue was opened without its label, so later runs cannot find it.
    #[error(
        "issue #{number} was opened without its label, so later audits cannot find it: the token's owner may not set labels; add the label by hand, and give the owner the right to push or to triage"
    )]
    LabelDropped {
        /// The issue.
        number: u64,
    },
    /// The task could not be claimed, so another run might open it too.
    #[error("the task could not be claimed: {0}")]
    Claim(String),
    /// The run ran out of time.
    #[error("the task was not reached in time")]
    Late(#[from] DeadlineExceeded),
}

/// An issue with the label.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Issue {
    /// Number within the repository.
    pub number: u64,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// `open` or `closed`.
    pub state: String,
    /// Why it is closed: `completed`, `not_planned` or `duplicate`; none where GitHub does not say.
    pub state_reason: Option<String>,
    /// Markdown.
    pub body: Option<String>,
    #[serde(default)]
    labels: Vec<Label>,
    /// Present only for a pull request.
    pull_request: Option<Value>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
struct Label {
    name: String,
}

/// An issue to open.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The text in the issue's body that identifies the task; Markdown does not show it. It begins with `<!--`.
    pub marker: &'a str,
    /// Title; may contain foreign text.
    pub title: &'a str,
    /// Markdown, without the marker. Escape foreign text in it with [`markdown`].
    pub body: &'a str,
}

/// The issues of one repository with one label, for one run.
pub struct Board<'a> {
    session: Session<'a>,
    label: &'static str,
}

/// The claim on a task, stored before its issue is opened, so that only one of two runs opens it. Claims of older
/// versions have other names for the task.
#[derive(Debug, Deserialize, Serialize)]
struct Claim {
    #[serde(default)]
    task: String,
    taken: Timestamp,
    /// The issue; none until it is open, or if the run that claimed the task died.
    issue: Option<u64>,
}

impl<'a> Board<'a> {
    /// The board of a repository: its issues with a label.
    pub fn new(session: Session<'a>, label: &'static str) -> Self {
        Self { session, label }
    }

    fn url(&self, path: &str) -> String {
        self.session.url(&format!("/issues{path}"))
    }

    /// All issues with the label, open and closed, oldest first. Does not use the search API, which lags.
    ///
    /// # Errors
    ///
    /// [`GitHubError`].
    pub async fn issues(&self) -> Result<Vec<Issue>, GitHubError> {
        let label = self.label;
        let mut url = self.url(&format!("?labels={label}&state=all&sort=created&direction=asc&per_page=100"));
        let mut issues = Vec::new();
        for _ in 0..PAGES {
            let answer = self.session.ask(Method::GET, &url, None).await?;
            let next = next_page(answer.headers());
            let page: Vec<Issue> = read(answer).await?;
            issues.extend(page.into_iter().filter(|issue| issue.pull_request.is_none()));
            match next {
                None => return Ok(issues),
                Some(next) if next.starts_with(&format!("{}/", self.session.api())) => url = next,
                Some(_) => {
                    return Err(GitHubError::Unreadable("its next page is on another host".to_owned()));
                }
            }
        }
        Err(GitHubError::Unreadable(format!("more than {PAGES} pages of issues")))
    }

    /// One issue, whatever its labels.
    ///
    /// # Errors
    ///
    /// [`GitHubError`].
    pub async fn issue(&self, number: u64) -> Result<Issue, GitHubError> {
        read(self.session.ask(Method::GET, &self.url(&format!("/{number}")), None).await?).await
    }

    /// Gives an issue another title and body, both as GitHub had them but for a part.
    ///
    /// # Errors
    ///
    /// [`GitHubError`].
    pub async fn edit(&self, number: u64, title: &str, body: &str) -> Result<(), GitHubError> {
        let change = json!({"title": title, "body": body});
        self.session.ask(Method::PATCH, &self.url(&format!("/{number}")), Some(&change)).await?;
        Ok(())
    }

    /// Opens the issue of a task, which none of `issues` has; once, whatever runs at the same time. Its number, or none
    /// if another run claimed the task, or if its issue was opened earlier and is no longer in the list.
    ///
    /// # Errors
    ///
    /// [`BoardError`].
    pub async fn open_once(
        &self,
        documents: &Documents,
        task: Task<'_>,
        now: Timestamp,
    ) -> Result<Option<u64>, BoardError> {
        let unclaimed = |error: DocumentError| BoardError::Claim(chain(&error));
        let mut claim = Claim { task: task.marker.to_owned(), taken: now, issue: None };
        let is_stale = |found: &Claim| found.issue.is_none() && now.duration_since(found.taken) >= CLAIM_TIME;
        let handle = documents.claim(task.marker, &claim, is_stale).await.map_err(unclaimed)?;
        let Some(handle) = handle else { return Ok(None) };
        let issue = self.open(task).await?;
        claim.issue = Some(issue.number);
        if let Err(error) = documents.settle(handle, &claim).await {
            // Not an error: the issue's marker identifies it too.
            tracing::warn!(
                message =
                    format!("the number of issue #{} could not be stored: {}", issue.number, chain(&error))
            );
        }
        if !issue.labels.iter().any(|label| label.name == self.label) {
            return Err(BoardError::LabelDropped { number: issue.number });
        }
        Ok(Some(issue.number))
    }

    async fn open(&self, task: Task<'_>) -> Result<Issue, GitHubError> {
        let title = markdown::title(task.title);
        let body = format!("{}\n\n{}\n", task.body, task.marker);
        let issue = json!({"title": title, "body": body, "labels": [self.label]});
        read(self.session.ask(Method::POST, &self.url(""), Some(&issue)).await?).await
    }

    /// Opens a closed issue again.
    ///
    /// # Errors
    ///
    /// [`GitHubError`].
    pub async fn reopen(&self, number: u64) -> Result<(), GitHubError> {
        let change = json!({"state": "open", "state_reason": "reopened"});
        self.session.ask(Method::PATCH, &self.url(&format!("/{number}")), Some(&change)).await?;
        Ok(())
    }

    /// Comments on an issue, then closes it as completed: if a run dies in between, the comment is repeated rather than
    /// lost.
    ///
    /// # Errors
    ///
    /// [`GitHubError`].
    pub async fn close(&self, number: u64, comment: &str) -> Result<(), GitHubError> {
        let url = self.url(&format!("/{number}/comments"));
        self.session.ask(Method::POST, &url, Some(&json!({"body": comment}))).await?;
        let change = json!({"state": "closed", "state_reason": "completed"});
        self.session.ask(Method::PATCH, &self.url(&format!("/{number}")), Some(&change)).await?;
        Ok(())
    }
}

impl Issue {
    /// Returns true if the issue is the task's with this marker.
    pub fn has(&self, marker: &str) -> bool {
        self.body.as_deref().is_some_and(|body| body.contains(marker))
    }

    /// Returns true if it is closed because its task is done.
    pub fn is_done(&self) -> bool {
        self.state == "closed" && matches!(self.state_reason.as_deref(), None | Some("completed"))
    }
}

/// Address of the next page. Source: RFC 8288.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(LINK)?.to_str().ok()?;
    links.split(',').find_map(|link| {
        let (address, parameters) = link.split_once(';')?;
        let is_next = parameters.split(';').any(|parameter| parameter.trim() == "rel=\"next\"");
        is_next.then(|| address.trim().trim_start_matches('<').trim_end_matches('>').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        let next = |link: &str| next_page(&HeaderMap::from_iter([(LINK, link.parse().unwrap())]));
        let both = "<https://api.github.com/x?page=1>; rel=\"prev\", <https://api.github.com/x?page=3>; rel=\"next\"";
        assert_eq!(next(both).as_deref(), Some("https://api.github.com/x?page=3"));
        assert_eq!(next("<https://api.github.com/x?page=1>; rel=\"first\""), None);
    }

    #[test]
    fn only_what_was_closed_as_completed_is_done() {
        for (state, reason, expected) in [
            ("open", Value::Null, false),
            ("open", json!("reopened"), false),
            ("closed", Value::Null, true),
            ("closed", json!("completed"), true),
            ("closed", json!("not_planned"), false),
            ("closed", json!("duplicate"), false),
        ] {
            let issue = json!({"number": 1, "state": state, "state_reason": reason});
            assert_eq!(
                serde_json::from_value::<Issue>(issue).unwrap().is_done(),
                expected,
                "{state} {reason}"
            );
        }
    }

    #[test]
    fn a_claim_of_an_older_version_still_holds() {
        let old = r#"{"secret": "a", "version": "1", "taken": "2026-03-01T12:00:00Z", "issue": 7}"#;
        assert_eq!(serde_json::from_str::<Claim>(old).unwrap().issue, Some(7));
    }
}
