//! Has a deployment ended, and how? No I/O, no clock.

use jiff::Timestamp;
use shared::policy::Followup;

/// A service as ECS shows it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Service {
    /// Its name.
    pub name: String,
    /// ARN of its task definition.
    pub task_definition: String,
    /// Its deployments.
    pub deployments: Vec<Deployment>,
}

/// A deployment as ECS shows it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Deployment {
    /// Its id.
    pub id: String,
    /// Whether it is the newest one.
    pub is_primary: bool,
    /// When it began.
    pub created: Timestamp,
    /// `COMPLETED`, `FAILED` or `IN_PROGRESS`.
    pub state: String,
    /// Why.
    pub reason: String,
    /// Tasks that it is to have.
    pub desired: i32,
    /// Tasks that it has.
    pub running: i32,
    /// Tasks that failed to start.
    pub failed: i32,
}

/// How far a rollout is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rollout {
    /// Tasks of before are still there.
    Running,
    /// Every task was started after the change.
    Steady,
    /// It has failed, or does not end.
    Failed(String),
    /// Somebody else's deployment has taken its place and fails, which says nothing of the secret.
    OthersFailed(String),
}

impl Service {
    /// The deployment that began at `since` or later, if the newest did: its tasks have the values of now.
    pub(crate) fn deployed_since(&self, since: Timestamp) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.is_primary && deployment.created >= since)
    }
}

/// How far the rollout of `deployment` is, or that of a newer one which has taken its place. `poll` counts from 1.
pub(crate) fn judge(
    service: &Service,
    deployment: &str,
    since: Timestamp,
    poll: u16,
    policy: &Followup,
) -> Rollout {
    let own = service.deployments.iter().find(|each| each.id == deployment);
    // A circuit breaker puts its own deployment in the place of the one that failed.
    if let Some(failed) = own.filter(|own| own.state == "FAILED") {
        return Rollout::Failed(format!("{}: {}", service.name, failed.reason));
    }
    let Some(newest) = service.deployed_since(since) else {
        return Rollout::Failed(format!("{}: the deployment {deployment} is gone", service.name));
    };
    let failed = |detail| {
        if newest.id == deployment { Rollout::Failed(detail) } else { Rollout::OthersFailed(detail) }
    };
    if newest.state == "FAILED" {
        return failed(format!("{}: {}", service.name, newest.reason));
    }
    if newest.failed >= i32::from(policy.failed_tasks) {
        return failed(format!("{}: {} tasks failed to start", service.name, newest.failed));
    }
    let is_alone = service.deployments.len() == 1;
    if is_alone && newest.state == "COMPLETED" && newest.running >= newest.desired {
        return Rollout::Steady;
    }
    if poll >= policy.rollout.times {
        let seconds = u32::from(policy.rollout.times) * u32::from(policy.rollout.every_seconds);
        return failed(format!(
            "{}: not steady within {} min: {} of {} tasks are new",
            service.name,
            seconds / 60,
            newest.running,
            newest.desired
        ));
    }
    Rollout::Running
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
        let policy: shared::policy::Policy = "".parse().unwrap();
        let service = Service { name: "api".to_owned(), task_definition: String::new(), deployments };
        let judged = match judge(&service, "ecs-svc/2", at(0), poll, &policy.rotation.followup) {
            Rollout::Running => "running".to_owned(),
            Rollout::Steady => "steady".to_owned(),
            Rollout::Failed(why) => why,
            Rollout::OthersFailed(why) => format!("others: {why}"),
        };
        assert_eq!(judged, expected);
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
        check(vec![going(), old()], 80, "api: not steady within 20 min: 1 of 2 tasks are new");
        // Nothing is to run: nothing has an old value.
        check(vec![Deployment { desired: 0, running: 0, ..new() }], 1, "steady");
    }

    #[test]
    fn a_rollout_that_fails() {
        let failed = |failed| Deployment { state: "IN_PROGRESS".to_owned(), running: 0, failed, ..new() };
        check(vec![failed(2), old()], 1, "running");
        check(vec![failed(3), old()], 1, "api: 3 tasks failed to start");
        let broken = |state: &str| Deployment {
            state: state.to_owned(),
            reason: "tasks failed to start".to_owned(),
            ..new()
        };
        check(vec![broken("FAILED"), old()], 1, "api: tasks failed to start");
        // The circuit breaker's own deployment is newer, and does well.
        let back = Deployment { id: "ecs-svc/3".to_owned(), created: at(9), ..new() };
        let ours = Deployment { is_primary: false, ..broken("FAILED") };
        check(vec![back.clone(), ours], 1, "api: tasks failed to start");
        // Somebody else's newer deployment has the values of now too.
        check(vec![back.clone(), Deployment { is_primary: false, ..new() }], 1, "running");
        check(vec![Deployment { failed: 3, ..back.clone() }], 1, "others: api: 3 tasks failed to start");
        check(vec![back], 1, "steady");
        check(vec![Deployment { is_primary: true, ..old() }], 1, "api: the deployment ecs-svc/2 is gone");
    }
}
