//! One GitHub repository, through the REST API.
//!
//! Source: [rate limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api),
//! [troubleshooting](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api),
//! [contents](https://docs.github.com/en/rest/repos/contents).

#[cfg(feature = "evidence")]
pub mod board;
pub mod copy;
pub mod proposal;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Method, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::runtime::endpoint::Endpoint;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::chain;
use crate::runtime::lambda::Invocation;
use crate::runtime::web::{self, BodyError};

/// Timeout per request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time reserved for the rest of the run when waiting for the rate limit.
const RESERVE: Duration = Duration::from_secs(30);

/// Most attempts per call under rate limiting.
const WAITS: u32 = 3;

/// Unreserved URL characters. Source: RFC 3986, 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A procedure's GitHub configuration, as error messages name it.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Template parameter with the repository, e.g. `GitHubRepository`.
    pub repository: &'static str,
    /// Template parameter with the name of the token's secret, e.g. `GitHubSecretName`.
    pub secret: &'static str,
    /// Permissions the token needs, e.g. `the permission Issues: read and write`.
    pub permissions: &'static str,
}

impl Setup {
    /// The operator's next step after a refusal with this status.
    fn hint(&self, status: u16) -> String {
        let Self { repository, permissions, .. } = self;
        match status {
            401 => "the token is wrong or has expired: store a new one".to_owned(),
            403 => format!("the token needs {permissions} on this repository"),
            404 => format!("check {repository}, and that the token has access to this repository"),
            410 => "enable issues in the repository".to_owned(),
            301 | 307 | 308 => format!("the repository has moved: correct {repository}"),
            422 => "see the message".to_owned(),
            _ => "the next run tries again".to_owned(),
        }
    }
}

/// Why a GitHub call failed. No message contains the token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GitHubError {
    /// The secret does not contain a token.
    #[error("the secret named by {secret} must contain only a GitHub token")]
    NotAToken {
        /// The template's parameter.
        secret: &'static str,
    },
    /// GitHub did not answer in time.
    #[error("GitHub did not answer: {0}")]
    Unreachable(String),
    /// GitHub asks to wait longer than the invocation can last.
    #[error("GitHub asks to wait {seconds} s, longer than this run may last; the next run tries again")]
    RateLimited {
        /// Requested wait, in seconds.
        seconds: u64,
    },
    /// GitHub refused the call.
    #[error("GitHub answered {status} ({message}); {hint}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// GitHub's message, with its reasons if there are any.
        message: String,
        /// The operator's next step.
        hint: String,
    },
    /// GitHub's answer does not have the documented form.
    #[error("cannot interpret GitHub's answer: {0}")]
    Unreadable(String),
    /// An unusable branch or file name.
    #[error("cannot write to the repository: {0}")]
    Name(String),
}

/// A repository.
pub struct Repository {
    http: Client,
    api: Endpoint,
    name: String,
    setup: Setup,
}

/// A repository and its token, for one run.
pub struct Session<'a> {
    repository: &'a Repository,
    headers: HeaderMap,
    invocation: &'a Invocation,
}

/// A file at a commit or on a branch.
pub struct File {
    /// The blob's SHA, which an update must name as the content it replaces.
    pub sha: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

#[derive(Deserialize)]
struct Described {
    default_branch: String,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(rename = "type")]
    kind: String,
    encoding: String,
    content: String,
    sha: String,
}

impl Repository {
    /// The repository `name`, given as `owner/name`.
    ///
    /// # Errors
    ///
    /// The reason why the HTTP client could not be built.
    pub fn new(api: Endpoint, name: String, setup: Setup) -> Result<Self, String> {
        Ok(Self { http: web::client(PATIENCE)?, api, name, setup })
    }

    /// Reads `GITHUB_API_URL`, `GITHUB_REPOSITORY` and `GITHUB_SECRET_NAME`: the repository, and the name of the secret with
    /// its token.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn from_env(env: &Env<'_>, setup: Setup) -> Result<(Self, String), EnvError> {
        let (api, name) = (env.required("GITHUB_API_URL")?, env.required("GITHUB_REPOSITORY")?);
        let repository = Self::new(api, name, setup)
            .map_err(|reason| EnvError::Invalid { name: "GITHUB_API_URL", reason })?;
        Ok((repository, env.required("GITHUB_SECRET_NAME")?))
    }

    /// The same; none if `GITHUB_REPOSITORY` is empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn optional(env: &Env<'_>, setup: Setup) -> Result<Option<(Self, String)>, EnvError> {
        let name: Option<String> = env.optional("GITHUB_REPOSITORY")?;
        name.map(|_| Self::from_env(env, setup)).transpose()
    }

    /// Opens a session with the secret's value. Makes no call.
    ///
    /// # Errors
    ///
    /// [`GitHubError::NotAToken`].
    pub fn session<'a>(
        &'a self,
        token: &SecretString,
        invocation: &'a Invocation,
    ) -> Result<Session<'a>, GitHubError> {
        let not_a_token = || GitHubError::NotAToken { secret: self.setup.secret };
        let token = token.expose_secret().trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(not_a_token());
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| not_a_token())?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, bearer),
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
            (USER_AGENT, HeaderValue::from_static("moveongs-governance")),
        ]);
        Ok(Session { repository: self, headers, invocation })
    }
}

impl Session<'_> {
    /// The repository, as `owner/name`.
    pub fn name(&self) -> &str {
        &self.repository.name
    }

    /// Base address of the API. [`Session::ask`] must be given no other.
    pub fn api(&self) -> &Endpoint {
        &self.repository.api
    }

    /// Address of `path` in the repository; `path` is empty or begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}/repos/{}{path}", self.repository.api, self.repository.name)
    }

    /// The repository's default branch.
    ///
    /// # Errors
    ///
    /// [`GitHubError`].
    pub async fn default_branch(&self) -> Result<String, GitHubError> {
        let described: Described = read(self.ask(Method::GET, &self.url(""), None).await?).await?;
        Ok(described.default_branch)
    }

    /// A file at a commit or on a branch, of at most 1 MB; none if GitHub answers 404.
    ///
    /// # Errors
    ///
    /// [`GitHubError`].
    pub async fn file(&self, path: &str, at: &str) -> Result<Option<File>, GitHubError> {
        let asked = format!("/contents/{}?ref={}", encoded(path), encoded(at));
        let Some(shown) = self.find::<Shown>(&asked).await? else { return Ok(None) };
        let unreadable = |why: &str| GitHubError::Unreadable(format!("{path} {why}"));
        if shown.kind != "file" {
            return Err(unreadable("is not a file"));
        }
        if shown.encoding != "base64" {
            return Err(unreadable("is larger than 1 MB, which GitHub does not return"));
        }
        let text: String = shown.content.split_ascii_whitespace().collect();
        let content = STANDARD.decode(text).map_err(|_| unreadable("is not valid base64"))?;
        Ok(Some(File { sha: shown.sha, content }))
    }

    /// The resource at a path; none if GitHub answers 404.
    async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GitHubError> {
        match self.ask(Method::GET, &self.url(path), None).await {
            Ok(answer) => Ok(Some(read(answer).await?)),
            Err(GitHubError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends one request, with a timeout of 10 s. Repeats it only after a rate-limit refusal, because a refused request
    /// had no effect; an unanswered one may have.
    ///
    /// # Errors
    /// [`GitHubError`] for every status except success.
    pub async fn ask(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Response, GitHubError> {
        let http = &self.repository.http;
        for _ in 0..WAITS {
            let mut request = http.request(method.clone(), url);
            request = request.headers(self.headers.clone());
            if let Some(body) = body {
                request = request.json(body);
            }
            let request = request.build().map_err(unreachable)?;
            let answer = http.execute(request).await.map_err(unreachable)?;
            let status = answer.status().as_u16();
            if answer.status().is_success() {
                return Ok(answer);
            }
            let Some(wait) = pause(status, answer.headers(), crate::runtime::time::now()) else {
                let body = web::body(answer).await.unwrap_or_default();
                let message = reported(&serde_json::from_slice(&body).unwrap_or_default());
                return Err(GitHubError::Refused {
                    status,
                    message,
                    hint: self.repository.setup.hint(status),
                });
            };
            if wait + RESERVE > self.invocation.left() {
                return Err(GitHubError::RateLimited { seconds: wait.as_secs() });
            }
            tracing::warn!(message = format!("GitHub asks to wait {} s", wait.as_secs()));
            tokio::time::sleep(wait).await;
        }
        Err(GitHubError::RateLimited { seconds: 60 })
    }
}

/// Reads an answer's JSON.
///
/// # Errors
///
/// [`GitHubError::Unreachable`] if the connection broke, [`GitHubError::Unreadable`] if the body is not the expected
/// JSON.
pub async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, GitHubError> {
    let bytes = web::body(answer).await.map_err(|error| match error {
        BodyError::Broken(reason) => GitHubError::Unreachable(reason),
        BodyError::TooLong { .. } => GitHubError::Unreadable(error.to_string()),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| GitHubError::Unreadable(error.to_string()))
}

/// A path or branch for use in a URL, encoded part by part.
fn encoded(path: &str) -> String {
    let parts: Vec<String> =
        path.split('/').map(|part| utf8_percent_encode(part, SEGMENT).to_string()).collect();
    parts.join("/")
}

fn unreachable(error: reqwest::Error) -> GitHubError {
    GitHubError::Unreachable(chain(&error.without_url()))
}

/// GitHub's message for a refusal, including the reasons that a 422 lists separately.
fn reported(answer: &Value) -> String {
    let message = answer.get("message").and_then(Value::as_str).unwrap_or("no message");
    let reasons = answer.get("errors").and_then(Value::as_array).into_iter().flatten();
    let reasons = reasons.filter_map(|error| error.get("message")?.as_str());
    std::iter::once(message).chain(reasons).collect::<Vec<_>>().join(": ").chars().take(200).collect()
}

/// How long to wait before repeating a refused call; none if waiting does not help.
fn pause(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if status != 403 && status != 429 {
        return None;
    }
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let seconds = match (number(RETRY_AFTER.as_str()), number("x-ratelimit-remaining")) {
        (Some(seconds), _) => seconds,
        // The reset time is in whole seconds, and clocks differ.
        (None, Some(0)) => number("x-ratelimit-reset")? - now.as_second() + 1,
        (None, _) if status == 429 => 60,
        (None, _) => return None,
    };
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default().max(1)))
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
        // A refusal for a missing permission has the same status.
        assert_eq!(pause(403, &[("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", "1010")]), None);
        assert_eq!(pause(422, &[("retry-after", "7")]), None);
    }

    #[test]
    fn a_token_is_distinguished_from_what_is_none() {
        let setup = Setup { repository: "R", secret: "S", permissions: "P" };
        let api = "https://api.example".parse().unwrap();
        let repository = Repository::new(api, "o/n".to_owned(), setup).unwrap();
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let invocation = Invocation::new(now, Duration::from_secs(1));
        let opens = |token: &str| repository.session(&SecretString::from(token), &invocation).is_ok();
        assert!(opens("github_pat_11AAA_bbb\n"));
        for bad in ["", "{\"token\": \"x\"}", "a\r\nHost: evil.example", "a b"] {
            assert!(!opens(bad), "{bad}");
        }
    }

    #[test]
    fn a_refusals_reasons_are_reported() {
        let plain = serde_json::json!({"message": "Not Found"});
        assert_eq!(reported(&plain), "Not Found");
        let reason = serde_json::json!({"code": "custom", "message": "No commits between a and b"});
        let refused = serde_json::json!({"message": "Validation Failed", "errors": [{"code": "x"}, reason]});
        assert_eq!(reported(&refused), "Validation Failed: No commits between a and b");
        assert_eq!(reported(&Value::Null), "no message");
    }
}
