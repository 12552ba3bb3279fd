//! Starts a function and serves its events, each under the policy in force.

use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;

use aws_config::{BehaviorVersion, SdkConfig};
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use tracing::Instrument;

use crate::run::in_force::{self, InForce, Source};
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::{Failure, chain, diagnostic};
use crate::runtime::lambda::{Invocation, timeouts};

/// What a process does that has no policy yet and cannot read it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unread {
    /// It fails, and the caller retries: thresholds would be wrong.
    Fails,
    /// It goes on with the defaults, and reads again a minute later: a page must not wait until S3 answers.
    Defaults,
    /// The same, and it does not announce a broken version either, for which it would wait for Slack before it serves. Other
    /// functions announce it.
    DefaultsUnannounced,
}

/// The app for the current policy, rebuilt when the policy changes.
struct Apps<'a, A, B> {
    env: &'a Env<'a>,
    aws: &'a SdkConfig,
    source: Source,
    unread: Unread,
    build: B,
    /// The app with the default policy, built at startup; the first read usually needs no other.
    defaults: Cell<Option<A>>,
    built: RefCell<Option<Built<A>>>,
}

/// An app and the policy it was built with.
struct Built<A> {
    app: Rc<A>,
    policy: InForce,
    /// When the policy was last read.
    looked: Timestamp,
}

impl<A, B> Apps<'_, A, B>
where
    B: AsyncFn(&Env<'_>, &SdkConfig) -> Result<A, EnvError>,
{
    /// The app for the policy in force at `now`, as read within the last minute.
    async fn under_the_policy(&self, now: Timestamp) -> Result<Rc<A>, Diagnostic> {
        let before = self.built.borrow_mut().take();
        let built = match before {
            Some(before) if now.duration_since(before.looked) < in_force::HOLDS => before,
            Some(before) => match self.source.again(&before.policy).await {
                None => Built { looked: now, ..before },
                Some(policy) => {
                    self.announce(&policy, now).await;
                    match self.app(&policy).await {
                        Ok(app) => Built { app, policy, looked: now },
                        Err(_) => Built { policy, looked: now, ..before },
                    }
                }
            },
            None => {
                let policy = match self.source.first().await {
                    Ok(policy) => policy,
                    Err(unread) => {
                        tracing::error!(message = chain(&unread), error_type = unread.kind());
                        let defaults = InForce::defaults().filter(|_| self.unread != Unread::Fails);
                        defaults.ok_or_else(|| diagnostic(&unread))?
                    }
                };
                self.announce(&policy, now).await;
                Built { app: self.app(&policy).await?, policy, looked: now }
            }
        };
        if built.looked == now {
            in_force::count(&built.policy, self.env);
        }
        let app = built.app.clone();
        self.built.replace(Some(built));
        Ok(app)
    }

    async fn announce(&self, policy: &InForce, now: Timestamp) {
        if self.unread != Unread::DefaultsUnannounced {
            in_force::announce(policy, self.env, self.aws, now).await;
        }
    }

    async fn app(&self, policy: &InForce) -> Result<Rc<A>, Diagnostic> {
        let made = match (&policy.version, self.defaults.take()) {
            _ if policy.is_unread => (self.build)(&self.env.without_policy(), self.aws).await,
            (None, Some(app)) => Ok(app),
            _ => (self.build)(&self.env.with_policy(policy.policy.clone()), self.aws).await,
        };
        match made {
            Ok(app) => {
                tracing::info!(message = "policy in force", policy_version = policy.version);
                Ok(Rc::new(app))
            }
            Err(error) => {
                let error_type = "InvalidConfiguration".to_owned();
                tracing::error!(message = chain(&error), error_type);
                Err(Diagnostic { error_type, error_message: chain(&error) })
            }
        }
    }
}

/// Builds the app, then serves events until Lambda stops the process.
///
/// `build` gets the environment, including the policy, and the AWS configuration. It is called again when the policy
/// changes; if it rejects the new policy, the previous app stays. `handle` gets the app, the event as JSON, and its
/// invocation. Each invocation has one span with the fields of Powertools for AWS Lambda; `run_id` and `correlation_id`
/// are empty until the handler records them. A failure is logged once, here.
///
/// Exits with code 1 and one log line if a setting is missing or invalid, so that a bad deployment fails in its init
/// phase and not in the middle of a procedure.
pub async fn serve<A, R, X>(
    procedure: &'static str,
    build: impl AsyncFn(&Env<'_>, &SdkConfig) -> Result<A, EnvError>,
    handle: impl AsyncFn(&A, Value, &Invocation) -> Result<R, X>,
    unread: Unread,
) -> ExitCode
where
    R: Serialize,
    X: Failure,
{
    crate::runtime::log::init();
    let env = Env::new(&crate::runtime::env::process);
    let aws = aws_config::defaults(BehaviorVersion::v2026_01_12()).timeout_config(timeouts()).load().await;
    let started = async {
        let function: String = env.required("AWS_LAMBDA_FUNCTION_NAME")?;
        let environment: String = env.required("ENVIRONMENT")?;
        let source = Source::new(&env, &aws)?;
        Ok::<_, EnvError>((function, environment, source, build(&env, &aws).await?))
    };
    let (function, environment, source, defaults) = match started.await {
        Ok(parts) => parts,
        Err(error) => {
            tracing::error!(
                service = procedure,
                message = chain(&error),
                error_type = "InvalidConfiguration"
            );
            return ExitCode::FAILURE;
        }
    };
    let apps = Apps {
        env: &env,
        aws: &aws,
        source,
        unread,
        build,
        defaults: Cell::new(Some(defaults)),
        built: RefCell::default(),
    };
    let (apps, handle, cold) = (&apps, &handle, Cell::new(true));
    let served = lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let span = tracing::info_span!(
            "invocation",
            service = function,
            procedure,
            environment,
            cold_start = cold.replace(false),
            function_name = function,
            function_request_id = event.context.request_id,
            xray_trace_id = event.context.xray_trace_id,
            correlation_id = tracing::field::Empty,
            run_id = tracing::field::Empty,
        );
        let answer = async {
            let invocation = Invocation::from_context(&event.context, crate::runtime::time::now());
            let app = apps.under_the_policy(invocation.now).await?;
            handle(&app, event.payload, &invocation).await.map_err(|failure| {
                tracing::error!(message = chain(&failure), error_type = failure.kind());
                diagnostic(&failure)
            })
        };
        // Boxed: a procedure's calls nest deeper than the compiler analyzes in one future.
        Box::pin(answer).instrument(span).await
    }))
    .await;
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(service = function, message = chain(&*error), error_type = "RuntimeApi");
            ExitCode::FAILURE
        }
    }
}

/// The entry point of a function: [`serve`](crate::runtime::lambda::serve) with its crate's `PROCEDURE`, `App::new` and
/// `handle`. With `Defaults` or `DefaultsUnannounced`, it works with the default policy while it cannot read the policy; see
/// [`Unread`](crate::runtime::lambda::Unread).
#[macro_export]
macro_rules! main {
    ($function:ident) => {
        $crate::main!($function, Fails);
    };
    ($function:ident, $unread:ident) => {
        #[tokio::main(flavor = "current_thread")]
        async fn main() -> ::std::process::ExitCode {
            $crate::runtime::lambda::serve(
                $function::PROCEDURE,
                async |env, aws| $function::App::new(env, aws),
                $function::handle,
                $crate::runtime::lambda::Unread::$unread,
            )
            .await
        }
    };
}

#[cfg(feature = "testing")]
#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::StaticReplayClient;

    use super::*;
    use crate::testing::{aws, replies};

    const NONE: &str = "<ListVersionsResult><Name>b</Name></ListVersionsResult>";

    fn list(version: &str, size: usize) -> String {
        format!(
            "<ListVersionsResult><Name>b</Name><Version><Key>policy/current.json</Key><VersionId>{version}</VersionId><IsLatest>true</IsLatest><Size>{size}</Size></Version></ListVersionsResult>"
        )
    }

    fn document(days: u16) -> String {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        format!(
            r#"{{"format": 1, "author": "a", "commit": "{commit}", "applied_at": "2026-03-01T12:00:00Z", "patch": {{"rotation": {{"audit": {{"due_days": {days}}}}}}}}}"#
        )
    }

    /// The policies that a process sees at these seconds, and the total number of requests.
    async fn seen(answers: &[&str], seconds: &[i64], unread: Unread) -> (Vec<Result<u16, String>>, usize) {
        let wire: StaticReplayClient = replies(answers);
        let lookup = |name: &str| (name == "EVIDENCE_BUCKET").then(|| "b".to_owned());
        let (env, aws) = (Env::new(&lookup), aws(&wire));
        let build =
            async |env: &Env<'_>, _: &SdkConfig| Ok::<_, EnvError>(env.policy()?.rotation.audit.due_days);
        let apps = Apps {
            env: &env,
            aws: &aws,
            source: Source::new(&env, &aws).unwrap(),
            unread,
            build,
            defaults: Cell::new(Some(14)),
            built: RefCell::default(),
        };
        let mut seen = Vec::new();
        for second in seconds {
            let app = apps.under_the_policy(Timestamp::from_second(1_772_366_400 + second).unwrap()).await;
            seen.push(app.map(|app| *app).map_err(|diagnostic| diagnostic.error_type));
        }
        (seen, wire.actual_requests().count())
    }

    #[tokio::test]
    async fn a_policy_is_looked_at_once_a_minute() {
        let (seven, nine) = (document(7), document(9));
        let (first, second) = (list("v1", seven.len()), list("v2", nine.len()));
        let unread = || Err("PolicyUnread".to_owned());
        for (answers, seconds, expected, requests) in [
            // Four steps of a rotation without a document.
            (vec![NONE], vec![0, 1, 2, 59], vec![Ok(14); 4], 1),
            (vec![&first, &seven], vec![0, 59], vec![Ok(7); 2], 2),
            // Read again: first unchanged, then changed.
            (
                vec![&first, &seven, &first, &second, &nine],
                vec![0, 60, 119, 120],
                vec![Ok(7), Ok(7), Ok(7), Ok(9)],
                5,
            ),
            // Applied while the process had the defaults, then deleted again.
            (vec![NONE, &first, &seven, NONE], vec![0, 60, 120], vec![Ok(14), Ok(7), Ok(14)], 4),
            // S3 does not answer: the previous policy stays, and is read again a minute later.
            (
                vec![&first, &seven, "", &second, &nine],
                vec![0, 60, 119, 120],
                vec![Ok(7), Ok(7), Ok(7), Ok(9)],
                5,
            ),
            // A process without a policy reads again at once.
            (vec!["", &first, &seven], vec![0, 1], vec![unread(), Ok(7)], 3),
        ] {
            let seen = seen(&answers, &seconds, Unread::Fails).await;
            assert_eq!(seen, (expected, requests), "{answers:?}");
        }
    }

    #[tokio::test]
    async fn what_cannot_wait_goes_on_with_the_defaults_and_reads_again() {
        let seven = document(7);
        let first = list("v1", seven.len());
        let answers = ["", &first, &seven];
        for unread in [Unread::Defaults, Unread::DefaultsUnannounced] {
            let seen = seen(&answers, &[0, 59, 60], unread).await;
            assert_eq!(seen, (vec![Ok(14), Ok(14), Ok(7)], 3), "{unread:?}");
        }
    }

    #[tokio::test]
    async fn an_app_knows_whether_its_defaults_stand_in_for_an_unread_policy() {
        let lookup = |name: &str| (name == "EVIDENCE_BUCKET").then(|| "b".to_owned());
        // At first S3 does not answer; then there is no document.
        let wire = replies(&["", NONE, NONE]);
        let (env, aws) = (Env::new(&lookup), aws(&wire));
        let apps = Apps {
            env: &env,
            aws: &aws,
            source: Source::new(&env, &aws).unwrap(),
            unread: Unread::Defaults,
            build: async |env: &Env<'_>, _: &SdkConfig| Ok::<_, EnvError>(env.is_policy_read()),
            defaults: Cell::new(Some(true)),
            built: RefCell::default(),
        };
        for (second, expected) in [(0, false), (59, false), (60, true), (120, true)] {
            let now = Timestamp::from_second(1_772_366_400 + second).unwrap();
            assert_eq!(*apps.under_the_policy(now).await.unwrap(), expected, "{second}");
        }
    }
}
