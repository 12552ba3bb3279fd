//! Progress and outcome of a deployment. No I/O, no clock.

use std::collections::BTreeSet;

use crate::policy::Followup;
use jiff::{SignedDuration, Timestamp};

/// Longest time to watch one direction's rollout, regardless of the service's settings: both directions and the proofs
/// must fit into the state machine's four days.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(36);

/// Seconds between two polls of a slow rollout, or of a busy batch: each poll adds events to the execution, which may
/// have 25,000.
pub const PATIENT_SECONDS: u16 = 300;

/// A service as ECS shows it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Whether it starts tasks; false for a service that is being deleted.
    pub is_active: bool,
    /// Its deployment controller: `ECS`, `CODE_DEPLOY` or `EXTERNAL`.
    pub controller: String,
    /// Minutes in which a deployment shifts traffic and bakes, by the service's own settings; none for a rolling
    /// deployment.
    pub shift_minutes: Option<u32>,
    /// ARNs of the task definitions of its next tasks.
    pub next: BTreeSet<String>,
    /// ARNs of the task definitions that its present tasks may have.
    pub in_flight: BTreeSet<String>,
    /// Number of running tasks.
    pub running: i32,
    /// When its task sets with tasks were created; empty for ECS's own controller.
    pub sets: Vec<Timestamp>,
    /// Its deployments.
    pub deployments: Vec<Deployment>,
}

/// A service deployment as ECS shows it: how traffic moves from one revision to the next.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceDeployment {
    /// ECS's status, e.g. `IN_PROGRESS`.
    pub status: String,
    /// ECS's lifecycle stage, e.g. `BAKE_TIME`.
    pub stage: String,
    /// ECS's reason for the status.
    pub reason: String,
}

/// A deployment as ECS shows it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// Whether it is the newest deployment.
    pub is_primary: bool,
    /// When it began.
    pub created: Timestamp,
    /// `COMPLETED`, `FAILED` or `IN_PROGRESS`.
    pub state: String,
    /// ECS's reason for the state.
    pub reason: String,
    /// Desired number of tasks.
    pub desired: i32,
    /// Number of running tasks.
    pub running: i32,
    /// Number of tasks that failed to start.
    pub failed: i32,
}

/// State of a rollout.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rollout {
    /// Old tasks still exist, or new ones have not started.
    Running,
    /// Every task was started after the change.
    Steady,
    /// It failed, or did not end in time.
    Failed(String),
    /// It did not end in the time of the service's own settings, but no task failed. This does not implicate the
    /// secret.
    Unfinished(String),
    /// Another deployment replaced it and failed. This does not implicate the secret.
    OthersFailed(String),
}

impl Service {
    /// Whether all task sets were created at `since` or later.
    pub fn others_since(&self, since: Timestamp) -> bool {
        !self.sets.is_empty() && self.sets.iter().all(|made| *made >= since)
    }

    /// The newest deployment, if it began at `since` or later: its tasks have the current values.
    pub fn deployed_since(&self, since: Timestamp) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.is_primary && deployment.created >= since)
    }
}

/// Number of steps in which a linear deployment shifts all traffic, by `percent` each.
pub fn steps(percent: f64) -> u32 {
    (1..=1000).find(|step| f64::from(*step) * percent >= 100.0).unwrap_or(1000)
}

/// Seconds to wait after the `poll`-th poll.
pub fn wait_seconds(poll: u16, policy: &Followup) -> u16 {
    let every = policy.rollout.every_seconds;
    if policy.rollout.is_last(poll) { every.max(PATIENT_SECONDS) } else { every }
}

/// One poll of a rollout.
#[derive(Clone, Copy)]
pub struct Poll<'a> {
    /// Start of the batch's current direction.
    pub since: Timestamp,
    /// When the poll was made.
    pub now: Timestamp,
    /// Number of the poll, from 1.
    pub number: u16,
    /// The policy's limits.
    pub policy: &'a Followup,
}

/// State of the rollout of `deployment`, or of the newer one that replaced it. `shifted` is the newest service
/// deployment of a service with another strategy than rolling.
pub fn judge(
    service: &Service,
    deployment: &str,
    shifted: Option<&ServiceDeployment>,
    poll: &Poll<'_>,
) -> Rollout {
    let Poll { since, now, number, policy } = *poll;
    let name = &service.name;
    let own = service.deployments.iter().find(|each| each.id == deployment);
    // A circuit breaker replaces the failed deployment with its own.
    if let Some(failed) = own.filter(|own| own.state == "FAILED") {
        return Rollout::Failed(format!("{name}: {}", failed.reason));
    }
    let newest = service.deployed_since(since);
    let failed = |detail| match newest {
        Some(newest) if newest.id != deployment => Rollout::OthersFailed(detail),
        _ => Rollout::Failed(detail),
    };
    if let Some(shifted) =
        shifted.filter(|it| matches!(&*it.status, "STOPPED" | "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED"))
    {
        return failed(format!("{name}: {}: {}", shifted.status, shifted.reason));
    }
    let is_going_back = shifted.is_some_and(|shifted| shifted.status.starts_with("ROLLBACK_"));
    let Some(newest) = newest else {
        // A service deployment that rolls itself back makes the former deployment primary before it ends.
        if is_going_back && now < deadline(service, since, policy) {
            return Rollout::Running;
        }
        return Rollout::Failed(format!("{name}: {deployment}: INACTIVE"));
    };
    if newest.state == "FAILED" {
        return failed(format!("{name}: {}", newest.reason));
    }
    if newest.failed >= i32::from(policy.failed_tasks) {
        return failed(format!("{name}: failedTasks {}", newest.failed));
    }
    let is_alone = service.deployments.len() == 1;
    let are_new = is_alone && newest.running >= newest.desired;
    let has_ended = match service.shift_minutes {
        None => newest.state == "COMPLETED",
        Some(_) => shifted.is_some_and(|shifted| shifted.status == "SUCCESSFUL"),
    };
    if are_new && has_ended {
        return Rollout::Steady;
    }
    if service.shift_minutes.is_some() {
        if now < deadline(service, since, policy) {
            return Rollout::Running;
        }
        let (status, stage) =
            shifted.map_or(("PENDING", ""), |shifted| (shifted.status.as_str(), shifted.stage.as_str()));
        return Rollout::Unfinished(format!("{name}: {status} {stage}"));
    }
    if policy.rollout.is_last(number) {
        let minutes = policy.rollout.seconds() / 60;
        let detail = format!("{name}: {}/{} tasks, {minutes} min", newest.running, newest.desired);
        // A rolling deployment with alarms bakes too, with new tasks only.
        return if are_new { Rollout::Unfinished(detail) } else { failed(detail) };
    }
    Rollout::Running
}

/// Number of tasks of a service by the value that they were started with, as far as the start of their deployment
/// shows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Runs {
    /// The service.
    pub service: String,
    /// Tasks started before the change.
    pub before: i32,
    /// Tasks with the new value.
    pub new: i32,
    /// Tasks started after the label moved back.
    pub restored: i32,
}

/// Counts a service's tasks; AWSCURRENT changed at `forward` and moved back at `back`.
pub fn runs(service: &Service, forward: Timestamp, back: Option<Timestamp>) -> Runs {
    let mut runs = Runs { service: service.name.clone(), ..Runs::default() };
    for deployment in &service.deployments {
        let count = if back.is_some_and(|back| deployment.created >= back) {
            &mut runs.restored
        } else if deployment.created >= forward {
            &mut runs.new
        } else {
            &mut runs.before
        };
        *count += deployment.running;
    }
    runs
}

/// Deadline of a deployment that shifts traffic: the policy's time for the tasks plus the service's own for traffic and
/// bake.
fn deadline(service: &Service, since: Timestamp, policy: &Followup) -> Timestamp {
    let own = i64::from(service.shift_minutes.unwrap_or_default());
    let wanted = SignedDuration::from_secs(policy.rollout.seconds().into()) + SignedDuration::from_mins(own);
    since.checked_add(wanted.min(LONGEST)).unwrap_or(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400 + seconds).unwrap()
    }

    fn new() -> Deployment {
        Deployment {
            id: "ecs-svc/2".to_owned(),
            is_primary: true,
            created: at(5),
            state: "COMPLETED".to_owned(),
            reason: String::new(),
            desired: 2,
            running: 2,
            failed: 0,
        }
    }

    fn old() -> Deployment {
        Deployment { id: "ecs-svc/1".to_owned(), is_primary: false, created: at(-500), ..new() }
    }

    #[track_caller]
    fn check(deployments: Vec<Deployment>, poll: u16, expected: &str) {
        let policy: crate::policy::Policy = "".parse().unwrap();
        let service = Service { name: "api".to_owned(), deployments, ..Service::default() };
        let poll = Poll { since: at(0), now: at(60), number: poll, policy: &policy.rotation.followup };
        let judged = judge(&service, "ecs-svc/2", None, &poll);
        assert_eq!(shown(judged), expected);
    }

    fn shown(judged: Rollout) -> String {
        match judged {
            Rollout::Running => "running".to_owned(),
            Rollout::Steady => "steady".to_owned(),
            Rollout::Failed(why) => why,
            Rollout::Unfinished(why) => format!("unfinished: {why}"),
            Rollout::OthersFailed(why) => format!("others: {why}"),
        }
    }

    /// A service that bakes for an hour, with the service deployment's status, `minutes` after the change.
    #[track_caller]
    fn bakes(deployments: Vec<Deployment>, status: Option<&str>, minutes: i64, expected: &str) {
        let policy: crate::policy::Policy = "".parse().unwrap();
        let service =
            Service { name: "api".to_owned(), deployments, shift_minutes: Some(60), ..Service::default() };
        let shifted = status.map(|status| ServiceDeployment {
            status: status.to_owned(),
            stage: "BAKE_TIME".to_owned(),
            reason: "alarm".to_owned(),
        });
        let policy = &policy.rotation.followup;
        let poll = Poll { since: at(0), now: at(60 * minutes), number: 200, policy };
        let judged = judge(&service, "ecs-svc/2", shifted.as_ref(), &poll);
        assert_eq!(shown(judged), expected, "{status:?} {minutes}");
    }

    #[test]
    fn a_deployment_that_bakes_is_followed_by_its_own_stage_and_time() {
        // ECS reports a rollout state for rolling deployments only.
        let green = || Deployment { state: String::new(), ..new() };
        bakes(vec![green(), old()], None, 1, "running");
        bakes(vec![green(), old()], Some("PENDING"), 1, "running");
        // More than the policy's 20 minutes and polls.
        bakes(vec![green(), old()], Some("IN_PROGRESS"), 79, "running");
        bakes(vec![green(), old()], Some("IN_PROGRESS"), 80, "unfinished: api: IN_PROGRESS BAKE_TIME");
        bakes(vec![green(), old()], None, 80, "unfinished: api: PENDING ");
        // The former tasks are being stopped.
        bakes(vec![green(), old()], Some("SUCCESSFUL"), 61, "running");
        bakes(vec![green()], Some("SUCCESSFUL"), 61, "steady");
        bakes(vec![green()], Some("IN_PROGRESS"), 61, "running");
        bakes(vec![green(), old()], Some("STOP_REQUESTED"), 61, "running");
        bakes(vec![green(), old()], Some("ROLLBACK_IN_PROGRESS"), 61, "running");
        for status in ["STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"] {
            bakes(vec![green(), old()], Some(status), 61, &format!("api: {status}: alarm"));
        }
        // The service deployment's own rollback made the former deployment primary.
        let before = || Deployment { is_primary: true, ..old() };
        bakes(vec![before()], Some("ROLLBACK_IN_PROGRESS"), 61, "running");
        bakes(vec![before()], Some("ROLLBACK_SUCCESSFUL"), 61, "api: ROLLBACK_SUCCESSFUL: alarm");
        bakes(vec![Deployment { failed: 3, ..green() }, old()], Some("IN_PROGRESS"), 1, "api: failedTasks 3");
        let others = Deployment { id: "ecs-svc/3".to_owned(), ..green() };
        bakes(vec![others], Some("STOPPED"), 61, "others: api: STOPPED: alarm");
    }

    #[test]
    fn the_tasks_are_counted_by_the_values_that_they_were_started_with() {
        let service = Service {
            name: "api".to_owned(),
            deployments: vec![Deployment { created: at(90), running: 1, ..new() }, new(), old()],
            ..Service::default()
        };
        let counted = |back| {
            let runs = runs(&service, at(0), back);
            [runs.before, runs.new, runs.restored]
        };
        assert_eq!(counted(None), [2, 3, 0]);
        assert_eq!(counted(Some(at(60))), [2, 2, 1]);
        assert_eq!(counted(Some(at(90))), [2, 2, 1]);
    }

    #[test]
    fn a_slow_rollout_is_polled_less_often_and_not_for_ever() {
        let policy: crate::policy::Policy = "".parse().unwrap();
        let followup = &policy.rotation.followup;
        assert_eq!([1, 79, 80, 500].map(|poll| wait_seconds(poll, followup)), [15, 15, 300, 300]);
        assert_eq!([100.0, 50.0, 33.4, 33.3, 10.0, 3.0].map(steps), [1, 2, 3, 4, 10, 34]);
        let service = Service { shift_minutes: Some(100_000), ..Service::default() };
        assert_eq!(deadline(&service, at(0), followup), at(36 * 3600));
        // All polls of both directions, eleven events each, stay below an execution's limit.
        let polls = followup.rollout.times as i64 + LONGEST.as_secs() / i64::from(PATIENT_SECONDS);
        assert!(2 * 11 * polls < 20_000);
    }

    #[test]
    fn the_end_of_a_rollout() {
        let going = || Deployment { state: "IN_PROGRESS".to_owned(), running: 1, ..new() };
        check(vec![new()], 1, "steady");
        check(vec![new()], 80, "steady");
        check(vec![Deployment { created: at(0), ..new() }], 1, "steady");
        check(vec![new(), old()], 1, "running");
        check(vec![going()], 1, "running");
        check(vec![Deployment { running: 1, ..new() }], 1, "running");
        check(vec![going(), old()], 79, "running");
        check(vec![going(), old()], 80, "api: 1/2 tasks, 20 min");
        // Every task is new, and the alarms bake.
        check(vec![Deployment { running: 2, ..going() }], 79, "running");
        check(vec![Deployment { running: 2, ..going() }], 80, "unfinished: api: 2/2 tasks, 20 min");
        // No task is desired, so none has an old value.
        check(vec![Deployment { desired: 0, running: 0, ..new() }], 1, "steady");
    }

    #[test]
    fn a_rollout_that_fails() {
        let failed = |failed| Deployment { state: "IN_PROGRESS".to_owned(), running: 0, failed, ..new() };
        check(vec![failed(2), old()], 1, "running");
        check(vec![failed(3), old()], 1, "api: failedTasks 3");
        let broken = |state: &str| Deployment {
            state: state.to_owned(),
            reason: "tasks failed to start".to_owned(),
            ..new()
        };
        check(vec![broken("FAILED"), old()], 1, "api: tasks failed to start");
        // The circuit breaker's own deployment is newer and healthy.
        let back = Deployment { id: "ecs-svc/3".to_owned(), created: at(9), ..new() };
        let ours = Deployment { is_primary: false, ..broken("FAILED") };
        check(vec![back.clone(), ours], 1, "api: tasks failed to start");
        // Another, newer deployment has the current values too.
        check(vec![back.clone(), Deployment { is_primary: false, ..new() }], 1, "running");
        check(vec![Deployment { failed: 3, ..back.clone() }], 1, "others: api: failedTasks 3");
        check(vec![back], 1, "steady");
        check(vec![Deployment { is_primary: true, ..old() }], 1, "api: ecs-svc/2: INACTIVE");
    }
}
