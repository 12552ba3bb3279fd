//! The board: issues of one GitHub repository.
//!
//! Source: [issues](https://docs.github.com/en/rest/issues/issues).

use reqwest::Method;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::github::{GitHubError, Session, Setup, read};
use shared::run::markdown;

/// The template's parameters for the board.
pub(crate) const SETUP: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permission Issues: read and write",
};

/// Label of the tasks, by which their issues are listed.
pub(crate) const LABEL: &str = "governance-rotation";

/// Most pages of a hundred issues; more would mean a loop of pages.
const PAGES: usize = 100;

/// An issue with the label.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct Issue {
    /// Number within the repository.
    pub number: u64,
    /// `open` or `closed`.
    pub state: String,
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

/// The issues of one repository, for one run.
pub(crate) struct Board<'a>(pub Session<'a>);

impl Board<'_> {
    fn url(&self, path: &str) -> String {
        self.0.url(&format!("/issues{path}"))
    }

    /// All issues with the label, open and closed, oldest first. Does not use the search API, which lags.
    pub(crate) async fn issues(&self) -> Result<Vec<Issue>, GitHubError> {
        let mut url = self.url(&format!("?labels={LABEL}&state=all&sort=created&direction=asc&per_page=100"));
        let mut issues = Vec::new();
        for _ in 0..PAGES {
            let answer = self.0.ask(Method::GET, &url, None).await?;
            let next = next_page(answer.headers());
            let page: Vec<Issue> = read(answer).await?;
            issues.extend(page.into_iter().filter(|issue| issue.pull_request.is_none()));
            match next {
                None => return Ok(issues),
                Some(next) if next.starts_with(&format!("{}/", self.0.api())) => url = next,
                Some(_) => {
                    return Err(GitHubError::Unreadable("its next page is on another host".to_owned()));
                }
            }
        }
        Err(GitHubError::Unreadable(format!("more than {PAGES} pages of issues")))
    }

    /// Opens an issue with the label.
    pub(crate) async fn open(&self, title: &str, body: &str) -> Result<Issue, GitHubError> {
        let issue = json!({"title": markdown::title(title), "body": body, "labels": [LABEL]});
        read(self.0.ask(Method::POST, &self.url(""), Some(&issue)).await?).await
    }

    /// Comments on an issue.
    pub(crate) async fn comment(&self, number: u64, text: &str) -> Result<(), GitHubError> {
        let url = self.url(&format!("/{number}/comments"));
        self.0.ask(Method::POST, &url, Some(&json!({"body": text}))).await?;
        Ok(())
    }

    /// Closes an issue as completed.
    pub(crate) async fn close(&self, number: u64) -> Result<(), GitHubError> {
        let change = json!({"state": "closed", "state_reason": "completed"});
        self.0.ask(Method::PATCH, &self.url(&format!("/{number}")), Some(&change)).await?;
        Ok(())
    }
}

impl Issue {
    /// Whether it has the label, so that later audits find it.
    pub(crate) fn has_label(&self) -> bool {
        self.labels.iter().any(|label| label.name == LABEL)
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
}
