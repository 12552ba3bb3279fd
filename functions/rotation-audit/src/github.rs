//! The board: issues of one GitHub repository.
//!
//! Source: [issues](https://docs.github.com/en/rest/issues/issues), [rate limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::endpoint::Endpoint;
use shared::failure::chain;
use shared::lambda::Invocation;

use crate::error::BoardError;

/// The label that tasks are listed by.
pub(crate) const LABEL: &str = "governance-rotation";

/// Time that a wait for the rate limit leaves to the rest of the run.
const RESERVE: Duration = Duration::from_secs(30);

/// How often a call is made again because GitHub asked to wait.
const WAITS: u32 = 3;

/// Pages of a hundred issues; more would mean that something goes round in circles.
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
    /// Present when it is no issue but a pull request.
    pull_request: Option<Value>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
struct Label {
    name: String,
}

/// The issues of one repository.
pub(crate) struct Board {
    http: Client,
    api: Endpoint,
    repository: String,
}

/// The board with a token, for one run.
pub(crate) struct Session<'a> {
    board: &'a Board,
    headers: HeaderMap,
    invocation: &'a Invocation,
}

impl Board {
    /// The board of `repository`, given as `owner/name`.
    pub(crate) fn new(api: Endpoint, repository: String) -> Result<Self, String> {
        // A redirected POST would become a GET; and the token goes nowhere else.
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self { http: http.map_err(|error| chain(&error))?, api, repository })
    }

    /// Opens a session with the value of the token's secret.
    pub(crate) fn session<'a>(
        &'a self,
        token: &SecretString,
        invocation: &'a Invocation,
    ) -> Result<Session<'a>, BoardError> {
        let token = token.expose_secret().trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(BoardError::NotAToken);
        }
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| BoardError::NotAToken)?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, bearer),
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
            (reqwest::header::USER_AGENT, HeaderValue::from_static("moveongs-governance")),
        ]);
        Ok(Session { board: self, headers, invocation })
    }
}

impl Session<'_> {
    fn url(&self, path: &str) -> String {
        format!("{}/repos/{}/issues{path}", self.board.api, self.board.repository)
    }

    /// Every issue with the label, open and closed, oldest first. Not the search API, which lags behind.
    pub(crate) async fn issues(&self) -> Result<Vec<Issue>, BoardError> {
        let mut url = self.url(&format!("?labels={LABEL}&state=all&sort=created&direction=asc&per_page=100"));
        let mut issues = Vec::new();
        for _ in 0..PAGES {
            let answer = self.ask(Method::GET, &url, None).await?;
            let next = next_page(answer.headers());
            let page: Vec<Issue> = read(answer).await?;
            issues.extend(page.into_iter().filter(|issue| issue.pull_request.is_none()));
            match next {
                None => return Ok(issues),
                Some(next) if next.starts_with(&format!("{}/", self.board.api)) => url = next,
                Some(_) => return Err(BoardError::Unreadable("its next page is on another host".to_owned())),
            }
        }
        Err(BoardError::Unreadable(format!("more than {PAGES} pages of issues")))
    }

    /// Opens an issue with the label.
    pub(crate) async fn open(&self, title: &str, body: &str) -> Result<Issue, BoardError> {
        let issue = json!({"title": title, "body": body, "labels": [LABEL]});
        read(self.ask(Method::POST, &self.url(""), Some(&issue)).await?).await
    }

    /// Says something in an issue.
    pub(crate) async fn comment(&self, number: u64, text: &str) -> Result<(), BoardError> {
        let url = self.url(&format!("/{number}/comments"));
        self.ask(Method::POST, &url, Some(&json!({"body": text}))).await?;
        Ok(())
    }

    /// Closes an issue as done.
    pub(crate) async fn close(&self, number: u64) -> Result<(), BoardError> {
        let change = json!({"state": "closed", "state_reason": "completed"});
        self.ask(Method::PATCH, &self.url(&format!("/{number}")), Some(&change)).await?;
        Ok(())
    }

    /// One call. It is made again only when GitHub has refused it for its rate, for then it had no effect; a call that
    /// was not answered may have had one.
    async fn ask(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Response, BoardError> {
        let unreachable = |error: reqwest::Error| BoardError::Unreachable(chain(&error.without_url()));
        for _ in 0..WAITS {
            let mut request = self.board.http.request(method.clone(), url);
            request = request.timeout(Duration::from_secs(10)).headers(self.headers.clone());
            if let Some(body) = body {
                request = request.json(body);
            }
            let request = request.build().map_err(unreachable)?;
            let answer = self.board.http.execute(request).await.map_err(unreachable)?;
            let status = answer.status().as_u16();
            if answer.status().is_success() {
                return Ok(answer);
            }
            let Some(wait) = pause(status, answer.headers(), shared::time::now()) else {
                let told: Value = answer.json().await.unwrap_or_default();
                let message = told.get("message").and_then(Value::as_str).unwrap_or("no message");
                return Err(BoardError::Refused { status, message: message.chars().take(200).collect() });
            };
            if wait + RESERVE > self.invocation.left() {
                return Err(BoardError::RateLimited { seconds: wait.as_secs() });
            }
            tracing::warn!(message = format!("GitHub asks to wait {} s", wait.as_secs()));
            tokio::time::sleep(wait).await;
        }
        Err(BoardError::RateLimited { seconds: 60 })
    }
}

impl Issue {
    /// Whether it is found again.
    pub(crate) fn has_label(&self) -> bool {
        self.labels.iter().any(|label| label.name == LABEL)
    }
}

async fn read<T: serde::de::DeserializeOwned>(answer: Response) -> Result<T, BoardError> {
    let bytes = answer.bytes().await.map_err(|error| BoardError::Unreachable(chain(&error.without_url())))?;
    serde_json::from_slice(&bytes).map_err(|error| BoardError::Unreadable(error.to_string()))
}

/// How long a refused call has to wait; none when waiting does not help.
fn pause(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if status != 403 && status != 429 {
        return None;
    }
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let seconds = match (number(RETRY_AFTER.as_str()), number("x-ratelimit-remaining")) {
        (Some(seconds), _) => seconds,
        // The reset is in whole seconds, and clocks differ.
        (None, Some(0)) => number("x-ratelimit-reset")? - now.as_second() + 1,
        (None, _) if status == 429 => 60,
        (None, _) => return None,
    };
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default().max(1)))
}

/// The address of the next page. Source: RFC 8288; GitHub's have the relation as their first parameter.
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

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn how_long_to_wait() {
        let now = Timestamp::from_second(1_000).unwrap();
        let pause = |status, fields: &[(&'static str, &str)]| {
            pause(status, &headers(fields), now).map(|wait| wait.as_secs())
        };
        assert_eq!(pause(403, &[("retry-after", "7")]), Some(7));
        assert_eq!(pause(429, &[("retry-after", "0")]), Some(1));
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1010")];
        assert_eq!(pause(403, &spent), Some(11));
        assert_eq!(pause(429, &[]), Some(60));
        // A refusal for want of a permission has the same status.
        assert_eq!(pause(403, &[("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", "1010")]), None);
        assert_eq!(pause(422, &[("retry-after", "7")]), None);
    }

    #[test]
    fn the_next_page_is_found() {
        let next = |link: &str| next_page(&headers(&[("link", link)]));
        let both = "<https://api.github.com/x?page=1>; rel=\"prev\", <https://api.github.com/x?page=3>; rel=\"next\"";
        assert_eq!(next(both).as_deref(), Some("https://api.github.com/x?page=3"));
        assert_eq!(next("<https://api.github.com/x?page=1>; rel=\"first\""), None);
    }

    #[test]
    fn a_token_is_told_from_what_is_none() {
        let board = Board::new("https://api.example".parse().unwrap(), "o/n".to_owned()).unwrap();
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let invocation = Invocation::new(now, Duration::from_secs(1));
        let opens = |token: &str| board.session(&SecretString::from(token), &invocation).is_ok();
        assert!(opens("github_pat_11AAA_bbb\n"));
        for bad in ["", "{\"token\": \"x\"}", "a\r\nHost: evil.example", "a b"] {
            assert!(!opens(bad), "{bad}");
        }
    }
}
