//! Downloads through the application's API, as a user makes them.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared::application::{Account, Application, Login};
use shared::runtime::failure::chain;
use shared::runtime::hex::hex;
use tokio::time::Instant;

use crate::rules::judge::Served;
use crate::rules::line::Outcome;
use crate::rules::row::Digest;

/// Limit of one download. The application reads a whole file into its memory first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Beginning of a body that is kept, to recognise the row's JSON.
const KEPT: usize = 64 * 1024;

/// The longest wait that the application may ask for. Source: `retry-after` of its rate limit, observed.
const LONGEST_WAIT: u64 = 60;

/// Attempts of one request while the application limits the rate.
const ATTEMPTS: u8 = 3;

/// Downloads in a row without an answer, limited, or without a session, after which no other is asked for.
const GIVE_UP: u8 = 3;

/// A session of the account for smoke tests.
pub(crate) struct Session<'a> {
    application: &'a Application,
    account: &'a Account,
    token: RefCell<SecretString>,
    /// Such downloads in a row.
    failed: Cell<u8>,
    /// Time between two downloads: behind its load balancer, the application counts all users as one.
    pause: Duration,
    /// The earliest time of the next download.
    next: Cell<Instant>,
}

/// An answer without a whole file, and the seconds that the application asks to wait.
struct Waiting {
    served: Served,
    seconds: u64,
}

impl<'a> Session<'a> {
    /// Logs in, for at most so many downloads per minute.
    ///
    /// # Errors
    ///
    /// The outcome of every download if the login gives no token.
    pub(crate) async fn open(
        application: &'a Application,
        account: &'a Account,
        per_minute: u16,
    ) -> Result<Self, Outcome> {
        let token = RefCell::new(log_in(application, account).await?);
        let pause = Duration::from_secs(60) / u32::from(per_minute.max(1));
        let next = Cell::new(Instant::now());
        Ok(Self { application, account, token, failed: Cell::new(0), pause, next })
    }

    /// Downloads an attachment. Waits as the application asks while it limits the rate, and logs in again if it no longer
    /// knows the session.
    pub(crate) async fn download(&self, id: &str) -> Served {
        if self.failed.get() >= GIVE_UP {
            return Served::Broken(format!(
                "the last {GIVE_UP} downloads had no usable answer, so this one was not tried"
            ));
        }
        let mut served = self.ask_for(id).await;
        if matches!(served, Served::Refused { status: 401, .. }) {
            match log_in(self.application, self.account).await {
                Ok(token) => {
                    self.token.replace(token);
                    served = self.ask_for(id).await;
                }
                Err(outcome) => tracing::warn!(message = "no second login", outcome = outcome.kind()),
            }
        }
        let is_gone = matches!(
            &served,
            Served::Broken(_)
                | Served::Refused { is_limited: true, .. }
                | Served::Refused { status: 401, .. }
        );
        self.failed.set(if is_gone { self.failed.get() + 1 } else { 0 });
        served
    }

    /// Waits for the next request's time.
    async fn turn(&self) {
        tokio::time::sleep_until(self.next.get()).await;
        self.next.set(Instant::now() + self.pause);
    }

    fn bearer(&self, path: &str) -> RequestBuilder {
        let request = self.application.request(Method::GET, path);
        request.bearer_auth(self.token.borrow().expose_secret())
    }

    /// Whether the application answers the row of an attachment.
    async fn has_row(&self, id: &str) -> bool {
        self.turn().await;
        let answer = self.application.ask(self.bearer(&format!("/attachments/{id}"))).await;
        answer.is_ok_and(|answer| answer.status == 200 && is_row(&answer.json()))
    }

    async fn ask_for(&self, id: &str) -> Served {
        let mut last = Served::Broken("the application was not asked".to_owned());
        for attempt in 1..=ATTEMPTS {
            self.turn().await;
            let answer = self.download_once(id).await;
            let Waiting { served, seconds } = match answer {
                Ok(served) => return served,
                Err(waiting) => waiting,
            };
            last = served;
            if attempt < ATTEMPTS {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
        }
        if let Served::Refused { status: 500, is_limited: false, has_row } = &mut last {
            *has_row = self.has_row(id).await;
        }
        last
    }

    async fn download_once(&self, id: &str) -> Result<Served, Waiting> {
        let broken = |why: String| Waiting { served: Served::Broken(why), seconds: 1 };
        let path = format!("/attachments/{id}?download=1");
        let request = self.bearer(&path).timeout(PATIENCE);
        let mut answer = self.application.begin(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        if status != 200 {
            let seconds = answer.headers().get("retry-after").map(|value| {
                let seconds = value.to_str().ok().and_then(|value| value.trim().parse::<f64>().ok());
                seconds.map_or(LONGEST_WAIT, whole).min(LONGEST_WAIT)
            });
            let served = Served::Refused { status, is_limited: seconds.is_some(), has_row: false };
            // A server error may be a task that stops: one more try shows.
            return match seconds {
                Some(seconds) => Err(Waiting { served, seconds }),
                None if status >= 500 => Err(Waiting { served, seconds: 1 }),
                None => Ok(served),
            };
        }
        let (mut hash, mut bytes, mut kept) = (Sha256::new(), 0, Vec::new());
        let broke_off = |error: reqwest::Error| broken(chain(&error.without_url()));
        while let Some(part) = answer.chunk().await.map_err(broke_off)? {
            bytes += u64::try_from(part.len()).unwrap_or_default();
            hash.update(&part);
            if kept.len() < KEPT {
                kept.extend_from_slice(&part);
            }
        }
        let digest = Digest { bytes, sha256: hex(&hash.finalize()) };
        let json: Option<Value> = serde_json::from_slice(&kept).ok();
        Ok(Served::Body { digest, is_row: json.is_some_and(|json| is_row(&json)) })
    }
}

/// Whether a body is the row of an attachment. Source: observed on the running application.
fn is_row(json: &Value) -> bool {
    json.get("attachment").is_some_and(Value::is_object)
}

/// Logs in; waits while the application limits the rate, has an error or does not answer.
///
/// # Errors
///
/// The outcome of every download if the login gives no token.
async fn log_in(application: &Application, account: &Account) -> Result<SecretString, Outcome> {
    let body = json!({"email": account.email, "password": account.password.expose_secret()});
    // The answer's own time is not read here. Together these are longer than the minute of the application's limit.
    let mut limited = [1, 9, 52].into_iter();
    let mut failed = [1, 5].into_iter();
    loop {
        let request = application.request(Method::POST, "/auth/login").json(&body);
        let (wait, outcome) = match application.ask(request).await {
            Err(answer) => (failed.next(), Outcome::LoginFailed { answer }),
            Ok(answer) => match answer.login() {
                Login::Token(token) => return Ok(token),
                Login::Masked => return Err(Outcome::MaskedLogin),
                Login::SecondFactor => return Err(Outcome::SecondFactor),
                Login::Limited => (limited.next(), Outcome::RateLimited),
                Login::Failed | Login::Unclear => {
                    (failed.next(), Outcome::LoginFailed { answer: answer.says() })
                }
                Login::Refused | Login::NoToken => {
                    return Err(Outcome::LoginFailed { answer: answer.says() });
                }
            },
        };
        let Some(seconds) = wait else { return Err(outcome) };
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

/// Seconds, rounded up; a cast stays within the integer's range.
fn whole(seconds: f64) -> u64 {
    seconds.ceil() as u64
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use shared::testing::Web;

    use super::*;

    fn answer(status: u16, body: Value) -> Response<Value> {
        Response::builder().status(status).body(body).unwrap()
    }

    fn account() -> Account {
        Account { email: "a@b".to_owned(), password: SecretString::from("p") }
    }

    /// Downloads attachments through an API that logs in with a new token each time.
    async fn downloaded(
        downloads: usize,
        mut api: impl FnMut(&Request<Value>) -> Response<Value> + Send + 'static,
    ) -> (Vec<Served>, Vec<String>) {
        let mut logins = 0;
        let web = Web::new(move |request| {
            if request.uri().path() == "/auth/login" {
                logins += 1;
                return Some(answer(200, json!({"token": format!("aa.bb.{logins}")})));
            }
            Some(api(request))
        });
        let (application, account) = (Application::new(web.url().parse().unwrap()).unwrap(), account());
        let session = Session::open(&application, &account, 600).await.unwrap();
        let mut served = Vec::new();
        for _ in 0..downloads {
            served.push(session.download("1").await);
        }
        let asked = web.asked().iter().map(|request| request.uri().to_string()).collect();
        (served, asked)
    }

    fn is_download(request: &Request<Value>) -> bool {
        request.uri().query() == Some("download=1")
    }

    #[tokio::test]
    async fn a_server_error_is_about_the_file_only_if_the_row_is_answered() {
        for (row, expected) in
            [(answer(200, json!({"attachment": {}})), true), (answer(500, json!({})), false)]
        {
            let (served, asked) =
                downloaded(
                    1,
                    move |request| {
                        if is_download(request) { answer(500, json!({})) } else { row.clone() }
                    },
                )
                .await;
            let refused = Served::Refused { status: 500, is_limited: false, has_row: expected };
            assert_eq!(served, [refused], "{asked:?}");
            assert_eq!(asked.last().unwrap(), "/attachments/1");
        }
    }

    #[tokio::test]
    async fn a_session_that_ended_is_opened_once_more() {
        let (served, asked) = downloaded(2, |request| {
            let is_new = request.headers()["authorization"] == "Bearer aa.bb.2";
            if is_new { answer(200, json!("file")) } else { answer(401, json!({})) }
        })
        .await;
        assert!(served.iter().all(|served| matches!(served, Served::Body { .. })), "{served:?}");
        assert_eq!(asked.iter().filter(|path| *path == "/auth/login").count(), 2, "{asked:?}");
    }

    #[tokio::test]
    async fn an_application_that_only_limits_is_not_asked_for_ever() {
        let (served, asked) = downloaded(10, |_| {
            let mut limited = answer(429, json!({}));
            limited.headers_mut().insert("retry-after", "0".parse().unwrap());
            limited
        })
        .await;
        assert!(matches!(served[2], Served::Refused { is_limited: true, .. }), "{served:?}");
        assert!(served[3..].iter().all(|served| matches!(served, Served::Broken(_))), "{served:?}");
        assert_eq!(asked.iter().filter(|path| path.starts_with("/attachments")).count(), 9, "{asked:?}");
    }

    #[tokio::test]
    async fn a_login_that_fails_once_is_tried_again() {
        let mut logins = 0;
        let web = Web::new(move |_| {
            logins += 1;
            if logins == 1 { None } else { Some(answer(200, json!({"token": "aa.bb.cc"}))) }
        });
        let application = Application::new(web.url().parse().unwrap()).unwrap();
        assert!(Session::open(&application, &account(), 600).await.is_ok());
    }
}
