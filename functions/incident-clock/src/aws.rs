//! The AWS calls of this function alone. The table's are in `shared::aws::table`, the register's in `shared::run`.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, Target,
};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::CallError;

use crate::rules::support::{Case, Service};

/// How long Scheduler tries to reach the function: the sweep is there as well.
const RETRY_SECONDS: i32 = 3_600;
const RETRIES: i32 = 10;

/// One-time schedules of the stack's group.
pub(crate) struct Schedules {
    client: aws_sdk_scheduler::Client,
    group: String,
    role: String,
    dead_letters: String,
    /// This function.
    clock: String,
    /// The function that a post-mortem begins with.
    postmortem: String,
}

/// Whom a schedule invokes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Invokes {
    /// This function.
    Clock,
    /// `postmortem`.
    PostMortem,
}

impl Schedules {
    /// Reads `SCHEDULE_GROUP`, `SCHEDULE_ROLE_ARN`, `SCHEDULE_DEAD_LETTERS_ARN`, `CLOCK_ARN` and `POSTMORTEM_ARN`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first one missing.
    pub(crate) fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        Ok(Self {
            client: aws_sdk_scheduler::Client::new(aws),
            group: env.required("SCHEDULE_GROUP")?,
            role: env.required("SCHEDULE_ROLE_ARN")?,
            dead_letters: env.required("SCHEDULE_DEAD_LETTERS_ARN")?,
            clock: env.required("CLOCK_ARN")?,
            postmortem: env.required("POSTMORTEM_ARN")?,
        })
    }

    /// Makes a schedule that invokes a function once, at a time, and then is gone. One with the name that is there already
    /// stays: the name says what it is for.
    pub(crate) async fn once(
        &self,
        name: &str,
        at: Timestamp,
        invokes: Invokes,
        input: String,
    ) -> Result<(), CallError> {
        let before = CallError::before("scheduler:CreateSchedule");
        let arn = match invokes {
            Invokes::Clock => &self.clock,
            Invokes::PostMortem => &self.postmortem,
        };
        let retry = RetryPolicy::builder().maximum_event_age_in_seconds(RETRY_SECONDS);
        let target = Target::builder().arn(arn).role_arn(&self.role).input(input);
        let target = target.retry_policy(retry.maximum_retry_attempts(RETRIES).build());
        let target = target.dead_letter_config(DeadLetterConfig::builder().arn(&self.dead_letters).build());
        let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
        let schedule = self.client.create_schedule().group_name(&self.group).name(name);
        let schedule = schedule.schedule_expression(expression(at));
        let schedule = schedule.target(target.build().map_err(&before)?);
        let schedule = schedule.flexible_time_window(window.map_err(&before)?);
        let schedule = schedule.action_after_completion(ActionAfterCompletion::Delete);
        match schedule.send().await.map_err(CallError::during("scheduler:CreateSchedule")) {
            Ok(_) => Ok(()),
            Err(call) if call.code == "ConflictException" => Ok(()),
            Err(call) => Err(call),
        }
    }

    /// The names of the schedules that wait.
    pub(crate) async fn names(&self) -> Result<BTreeSet<String>, CallError> {
        let mut names = BTreeSet::new();
        let mut next = None;
        loop {
            let page = self.client.list_schedules().group_name(&self.group).max_results(100);
            let page = page.set_next_token(next).send().await;
            let page = page.map_err(CallError::during("scheduler:ListSchedules"))?;
            names.extend(page.schedules().iter().filter_map(|schedule| schedule.name().map(str::to_owned)));
            next = page.next_token;
            if next.is_none() {
                return Ok(names);
            }
        }
    }
}

/// A schedule for a whole second, not before `at`: one that fires early finds nothing due.
fn expression(at: Timestamp) -> String {
    let up = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    at.round(up).unwrap_or(at).strftime("at(%Y-%m-%dT%H:%M:%S)").to_string()
}

/// AWS Support, which has one endpoint for the whole partition.
pub(crate) struct Support {
    client: aws_sdk_support::Client,
}

/// Where AWS Support is.
const SUPPORT_REGION: &str = "us-east-1";

/// What became of a request to open a case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Opened {
    /// The case's id.
    Case(String),
    /// The request is valid; it was a trial.
    Tried,
    /// The account's plan has no API.
    NotSubscribed,
    /// AWS refuses it, and would again.
    Refused(String),
}

/// A request to open a case.
pub(crate) struct Asked<'a> {
    pub(crate) case: &'a Case,
    /// Code of the severity.
    pub(crate) severity: Option<&'a str>,
    /// Codes of service and category.
    pub(crate) service: Option<(&'a str, &'a str)>,
    /// Code of the language.
    pub(crate) language: &'a str,
    /// Whether it is only a trial.
    pub(crate) is_dry_run: bool,
}

impl Support {
    pub(crate) fn new(aws: &SdkConfig) -> Self {
        let config = aws_sdk_support::config::Builder::from(aws);
        // CreateCase has no token: the SDK's own repetition would open a second case.
        let config = config.retry_config(aws_config::retry::RetryConfig::disabled());
        let config = config.region(aws_sdk_support::config::Region::new(SUPPORT_REGION)).build();
        Self { client: aws_sdk_support::Client::from_conf(config) }
    }

    /// The severities that the account's plan has.
    pub(crate) async fn severities(&self, language: &str) -> Result<Vec<String>, CallError> {
        let levels = self.client.describe_severity_levels().language(language).send().await;
        let levels = levels.map_err(CallError::during("support:DescribeSeverityLevels"))?;
        let codes = levels.severity_levels().iter().filter_map(|level| level.code().map(str::to_owned));
        Ok(codes.collect())
    }

    /// The services that a case can be about.
    pub(crate) async fn services(&self, language: &str) -> Result<Vec<Service>, CallError> {
        let services = self.client.describe_services().language(language).send().await;
        let services = services.map_err(CallError::during("support:DescribeServices"))?;
        let service = |service: &aws_sdk_support::types::Service| Service {
            code: service.code().unwrap_or_default().to_owned(),
            name: service.name().unwrap_or_default().to_owned(),
            categories: service.categories().iter().filter_map(|one| one.code().map(str::to_owned)).collect(),
        };
        Ok(services.services().iter().map(service).collect())
    }

    /// The case whose subject begins with a text, of those since a time, resolved ones included.
    pub(crate) async fn find(&self, begins: &str, since: Timestamp) -> Result<Option<String>, CallError> {
        let mut next = None;
        loop {
            let page = self.client.describe_cases().include_resolved_cases(true);
            let page = page
                .include_communications(false)
                .after_time(since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            let page = page.max_results(100).set_next_token(next).send().await;
            let page = page.map_err(CallError::during("support:DescribeCases"))?;
            let is_it = |case: &&aws_sdk_support::types::CaseDetails| {
                case.subject().is_some_and(|subject| subject.starts_with(begins))
            };
            if let Some(id) = page.cases().iter().find(is_it).and_then(|case| case.case_id()) {
                return Ok(Some(id.to_owned()));
            }
            next = page.next_token;
            if next.is_none() {
                return Ok(None);
            }
        }
    }

    /// Opens a case.
    ///
    /// # Errors
    ///
    /// [`CallError`] if the request may be repeated, after a look whether it had effect.
    pub(crate) async fn open(&self, asked: &Asked<'_>) -> Result<Opened, CallError> {
        let create = self.client.create_case().subject(&asked.case.subject);
        let create = create.communication_body(&asked.case.body).language(asked.language);
        let create = create.issue_type("technical").set_severity_code(asked.severity.map(str::to_owned));
        let create = create
            .set_service_code(asked.service.map(|(service, _)| service.to_owned()))
            .set_category_code(asked.service.map(|(_, category)| category.to_owned()))
            .set_dry_run(asked.is_dry_run.then_some(true));
        match create.send().await.map_err(CallError::during("support:CreateCase")) {
            Ok(answer) => match answer.case_id {
                Some(id) if !id.is_empty() => Ok(Opened::Case(id)),
                _ => Err(CallError::empty("support:CreateCase")),
            },
            Err(call) => refusal(call),
        }
    }
}

/// What an error of AWS Support means: final, or worth another attempt.
pub(crate) fn refusal(call: CallError) -> Result<Opened, CallError> {
    match call.code.as_str() {
        "SubscriptionRequiredException" => Ok(Opened::NotSubscribed),
        "DryRunOperationException" => Ok(Opened::Tried),
        "CaseCreationLimitExceeded" | "ValidationException" | "SerializationException" => {
            Ok(Opened::Refused(call.code))
        }
        _ if call.is_denied() => Ok(Opened::Refused(call.code)),
        _ => Err(call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_fires_not_before_its_time() {
        for (at, expected) in [
            ("2030-12-31T23:59:59Z", "at(2030-12-31T23:59:59)"),
            ("2030-12-31T23:59:59.000000001Z", "at(2031-01-01T00:00:00)"),
            ("2030-12-31T23:59:58.999Z", "at(2030-12-31T23:59:59)"),
        ] {
            assert_eq!(expression(at.parse().unwrap()), expected);
        }
    }
}
