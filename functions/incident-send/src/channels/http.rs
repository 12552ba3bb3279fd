//! Requests over verified TLS, without redirects, and what is known if there is no clear answer.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::RETRY_AFTER;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use shared::runtime::failure::chain;
use shared::runtime::web;

use crate::rules::answer::Answer;

/// Timeout for a whole answer. A lease lasts much longer than all requests of one row.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer that are read.
const MOST: usize = 1024 * 1024;

/// A client; the reason if it could not be built.
pub(crate) struct Http(Result<reqwest::Client, String>);

/// An answer.
pub(crate) struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body's beginning.
    pub body: Vec<u8>,
    /// What `Retry-After` asks for.
    pub after: Option<SignedDuration>,
}

impl Http {
    pub(crate) fn new() -> Self {
        Self(web::client(PATIENCE))
    }

    /// Posts JSON. Neither the address, which may be a secret, nor the token is in any text.
    ///
    /// # Errors
    ///
    /// [`Answer::Later`] if the request certainly was not sent, otherwise [`Answer::Unclear`].
    pub(crate) async fn post(
        &self,
        url: &str,
        token: Option<&SecretString>,
        body: &Value,
    ) -> Result<Reply, Answer> {
        let http = self.0.as_ref().map_err(|why| Answer::Later { why: why.clone(), after: None })?;
        let request = http.post(url).json(body);
        let request = match token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        };
        let answer = http.execute(request.build().map_err(unanswered)?).await.map_err(unanswered)?;
        let status = answer.status().as_u16();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let after = after.map(SignedDuration::from_secs).filter(|after| !after.is_negative());
        match web::beginning(answer, MOST).await {
            Ok((body, _)) => Ok(Reply { status, body, after }),
            Err(error) => Err(Answer::Unclear { why: error.to_string() }),
        }
    }
}

/// What is known without an answer.
fn unanswered(error: reqwest::Error) -> Answer {
    let was_not_sent = error.is_builder() || error.is_connect();
    let why = chain(&error.without_url());
    if was_not_sent { Answer::Later { why, after: None } } else { Answer::Unclear { why } }
}

impl Reply {
    /// The meaning of a status that is the same for all services; none for one that the service's body explains.
    ///
    /// A server that fails after it did its work answers 500 or 502, and one that waits for another server 504: the
    /// message may be there. 503 is refused in front of the work.
    pub(crate) fn meaning(&self) -> Option<Answer> {
        let why = format!("HTTP {}", self.status);
        match self.status {
            429 | 503 => Some(Answer::Later { why, after: self.after }),
            500.. => Some(Answer::Unclear { why }),
            300..=399 => Some(Answer::Refused { why }),
            _ => None,
        }
    }

    /// The body as text, cut.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_the_message_may_be_there() {
        let meaning = |status, after| Reply { status, body: vec![], after }.meaning();
        let seconds = Some(SignedDuration::from_secs(7));
        for status in [429, 503] {
            let why = format!("HTTP {status}");
            assert_eq!(meaning(status, seconds), Some(Answer::Later { why, after: seconds }), "{status}");
        }
        for status in [500, 502, 504, 599] {
            assert!(matches!(meaning(status, seconds), Some(Answer::Unclear { .. })), "{status}");
        }
        assert!(matches!(meaning(302, None), Some(Answer::Refused { .. })));
        for status in [200, 202, 400, 401, 403, 404, 410] {
            assert_eq!(meaning(status, None), None, "{status}");
        }
    }
}
