//! Which orders fit where the restore stands, and what they change. No I/O, no clock.

use jiff::Timestamp;
use proof::Verdict;
use shared::command;
use shared::policy::is_same_name;

use super::choice::Contents;
use super::name;
use super::proved;
use super::restore::{Approval, Changed, Direction, Ending, Given, Phase, Restore, Target};
use super::settings::Settings;
use crate::error::RestoreError;
use crate::event::{Found, Order, Verb};

/// What the rules must know beside the restore.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Whether another person than the one who started it has to approve.
    pub needs_two: bool,
    /// The names of the policy's `incidents.people`.
    pub people: Vec<String>,
    /// When the order was given.
    pub now: Timestamp,
    /// For `choose`: what the source has, which was checked with RDS.
    pub contents: Option<Contents>,
    /// Whether the migration's task still runs.
    pub is_migrating: bool,
    /// For `reject`: whether a secret names the new database.
    pub is_moved: bool,
    /// For `close`: the secrets whose version in force is not the restore's.
    pub changed: Vec<Changed>,
}

/// Gives an order: checks that it fits, and changes the restore. The same order again, before the state machine went on,
/// changes nothing.
///
/// # Errors
///
/// [`RestoreError`]: `OtherRun`, `OrderNotPossible`, `SecondPersonNeeded`, `ProofNotGood` or `SecretChanged`.
pub(crate) fn give(restore: &mut Restore, order: &Order, context: &Context) -> Result<(), RestoreError> {
    if order.run != restore.run {
        return Err(RestoreError::OtherRun(restore.run.clone(), order.run.clone()));
    }
    if restore.has_order(order) {
        return Ok(());
    }
    let is_repeated = restore.orders.last().is_some_and(|given| given.order == *order);
    if is_repeated && !restore.waits() {
        return Ok(());
    }
    if !restore.waits() {
        return Err(not_possible("no order is awaited now; the order status tells where the restore stands"));
    }
    let Context { now, is_migrating, is_moved, .. } = *context;
    match order.order {
        Verb::Choose => choose(restore, order, context.contents.as_ref())?,
        Verb::Approve => approve(restore, order, context)?,
        Verb::Reject => {
            // Moves are noted before they are made; AWS may have refused the first one.
            let was_moved = is_moved || restore.times.contains_key(&Phase::Switch);
            if was_moved && !restore.moves.is_empty() {
                return Err(not_possible(
                    "the secrets were moved already: return with rollBack, or end the restore with close",
                ));
            }
            restore.moves.clear();
            restore.ended = Some(Ending::Rejected);
        }
        Verb::Retry => retry(restore, order, now)?,
        // A task that starts now reads the secret: after a turn it would migrate the other database.
        Verb::RollBack | Verb::Forward if is_migrating => {
            let task = restore.migration.as_ref().map(|it| it.task.as_str()).unwrap_or_default();
            // `arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID`.
            let cluster = task.split('/').nth(1).unwrap_or_default();
            let stop = command!("aws ecs stop-task --cluster {cluster} --task {task}", cluster, task);
            return Err(RestoreError::OrderNotPossible(format!(
                "the migration still runs: wait for its end, or stop it: {stop}"
            )));
        }
        Verb::RollBack => turn(restore, Direction::Old, now)?,
        Verb::Forward => turn(restore, Direction::New, now)?,
        Verb::Close => {
            let is_back = restore.direction == Direction::Old && !restore.moves.is_empty();
            // A failure in use, for example a lost guard, must not keep the restore open for ever.
            if restore.phase != Phase::Hold {
                let why = if restore.moves.is_empty() {
                    "nothing was switched yet: end the restore with reject"
                } else if is_back {
                    "the return has not ended: repeat it with retry"
                } else {
                    "the switch has not ended: repeat it with retry, or return with rollBack"
                };
                return Err(not_possible(why));
            }
            close(restore, &context.changed)?;
        }
        Verb::Status => return Ok(()),
    }
    restore.orders.push(Given { order: order.clone(), at: now });
    restore.wait.times = 0;
    Ok(())
}

fn not_possible(why: &str) -> RestoreError {
    RestoreError::OrderNotPossible(why.to_owned())
}

/// Chooses what to restore; after a failure or a bad proof, something else, which makes another instance.
fn choose(restore: &mut Restore, order: &Order, contents: Option<&Contents>) -> Result<(), RestoreError> {
    if restore.phase > Phase::Approve || restore.approval.is_some() || !restore.moves.is_empty() {
        return Err(not_possible("the restore was approved already, so nothing else can be chosen"));
    }
    restore.change_settings(order);
    if let (Some(source), Some(contents)) = (&order.source, contents) {
        restore.choose(source.clone(), contents);
    }
    Ok(())
}

fn approve(restore: &mut Restore, order: &Order, context: &Context) -> Result<(), RestoreError> {
    let now = context.now;
    let present = &restore.target.instance;
    if let Some(seen) = order.instance.as_ref().filter(|seen| *seen != present) {
        return Err(RestoreError::OrderNotPossible(format!(
            "the question is an old one: the approval is of {seen}, and the present new instance is {present}; read its proof first"
        )));
    }
    if let Some(failure) = &restore.failure
        && restore.phase == Phase::Smoke
        && matches!(failure.kind.as_str(), "SmokeFailed" | "NotInUse")
    {
        if order.despite_smoke.is_none() {
            return Err(not_possible(
                "the application failed its check: say why it is accepted in despiteSmoke",
            ));
        }
        restore.failure = None;
        if restore.direction == Direction::New {
            restore.worked.get_or_insert(now);
        }
        restore.advance(Phase::Smoke, Phase::Hold, now);
        return Ok(());
    }
    // A proof that cannot be made must not keep good data from use.
    let is_unprovable = restore.phase == Phase::Prove && restore.failure.is_some();
    let is_awaited = restore.phase == Phase::Approve && restore.failure.is_none();
    if order.despite_smoke.is_some() || !(is_awaited || is_unprovable) {
        return Err(not_possible("no approval is awaited; the order status tells where the restore stands"));
    }
    let are_two = are_two(&order.by, &restore.by, &context.people);
    if context.needs_two && !are_two && order.alone.is_none() {
        return Err(RestoreError::SecondPersonNeeded(restore.by.clone()));
    }
    let verdict = restore.proof.as_ref().map_or(Verdict::Unverified, |proof| proof.verdict);
    let word = proved::word(verdict);
    let reason = order.despite_proof.as_deref().and_then(|text| text.split_once(':'));
    let is_named = reason.is_some_and(|(named, reason)| named.trim() == word && !reason.trim().is_empty());
    if !proved::is_good(verdict) && !is_named {
        return Err(RestoreError::ProofNotGood(word.to_owned()));
    }
    restore.approval = Some(Approval {
        by: order.by.clone(),
        at: now,
        instance: restore.target.instance.clone(),
        alone: order.alone.clone().filter(|_| !are_two),
        despite: order.despite_proof.clone().filter(|_| !proved::is_good(verdict)),
    });
    restore.failure = None;
    restore.advance(restore.phase, Phase::Guard, now);
    Ok(())
}

/// Ends the restore as it is, unless others put a version in force of which the person was not told.
fn close(restore: &mut Restore, changed: &[Changed]) -> Result<(), RestoreError> {
    let has_told = restore.failure.as_ref().is_some_and(|failure| failure.kind == "SecretChanged");
    let is_told = |it: &Changed| {
        has_told && restore.foreign.get(&it.secret).is_some_and(|found| found.version == it.current)
    };
    let untold = changed.iter().filter(|it| !is_told(it));
    let untold: Vec<_> = untold.map(|it| format!("{} (the way back: {})", it.name, it.put_back())).collect();
    if !untold.is_empty() {
        return Err(RestoreError::SecretChanged(untold.join(", ")));
    }
    restore.overrule();
    restore.ended = Some(Ending::Closed);
    Ok(())
}

/// Whether two names are certainly two people's. Slack vouches for a name of the policy, beside which any other name, such
/// as a login, may be the same person's: where the policy has people, both have to be of them.
fn are_two(one: &str, other: &str, people: &[String]) -> bool {
    if people.is_empty() {
        return !is_same_name(one, other);
    }
    let both = [one, other].map(|name| person(name, people));
    matches!(both, [Some(one), Some(other)] if one != other)
}

/// The person of the policy whom a name is.
pub(crate) fn person<'a>(name: &str, people: &'a [String]) -> Option<&'a String> {
    people.iter().find(|known| is_same_name(known, name))
}

/// Repeats the failed phase.
fn retry(restore: &mut Restore, order: &Order, now: Timestamp) -> Result<(), RestoreError> {
    if order.settings.is_some() && restore.phase != Phase::Restore {
        return Err(not_possible("the new instance has its settings already: choose makes another one"));
    }
    let Some(failure) = restore.failure.clone() else {
        return Err(not_possible("nothing failed, so nothing can be repeated"));
    };
    let found = match (failure.kind == "MigrationUnknown", order.migration) {
        (true, None) => {
            return Err(not_possible(
                "nobody knows whether the migration was done: find out, and say it in migration: done or again",
            ));
        }
        (false, Some(_)) => return Err(not_possible("the migration's end is not in doubt")),
        (_, found) => found,
    };
    restore.failure = None;
    restore.overrule();
    restore.change_settings(order);
    match restore.phase {
        // What others deployed since the switch counts.
        Phase::Deploy if failure.kind == "ServiceNotDeployed" => {}
        Phase::Guard | Phase::Deploy => {
            restore.redeploy(now);
            // A person may have deployed a corrected revision, which the guard's must be made from.
            if restore.phase == Phase::Guard && failure.kind == "RolloutFailed" {
                restore.guards.clear();
            }
        }
        Phase::Migrate => match found {
            Some(Found::Done) => {
                restore.migration.iter_mut().for_each(|migration| migration.exit = Some(0));
                restore.advance(Phase::Migrate, Phase::Deploy, now);
            }
            Some(Found::Again) => restore.forget_task(),
            None => restore.forget_migration(&failure.kind),
        },
        // RDS keeps what failed, so another instance is needed; but not for one that was in use: it has data that no other
        // has, and nobody approved another one.
        Phase::Restore | Phase::Align
            if restore.moves.is_empty()
                && (failure.kind == "InstanceFailed" || failure.kind == "InstanceGone") =>
        {
            restore.another_instance();
        }
        _ => {}
    }
    // Another caller changed a password or a secret since the logins were aligned.
    if failure.kind == "DatabaseRefused"
        && restore.phase == Phase::Switch
        && restore.direction == Direction::New
    {
        restore.phase = Phase::Align;
    }
    // Another caller put its version in force after the move.
    if failure.kind == "SecretChanged" && restore.phase > Phase::Switch {
        restore.redeploy(now);
        restore.phase = Phase::Switch;
    }
    // A deploy by others replaced the task definition with the guard.
    if failure.kind == "GuardLost" && restore.phase >= Phase::Guard {
        restore.redeploy(now);
        restore.guards.clear();
        restore.phase = Phase::Guard;
    }
    Ok(())
}

/// Turns to the other database, from the phase in use or after a failure behind the switch.
fn turn(restore: &mut Restore, to: Direction, now: Timestamp) -> Result<(), RestoreError> {
    if restore.moves.is_empty() {
        return Err(not_possible("no secret was moved yet: there is nothing to return from"));
    }
    if to == Direction::New && !restore.is_approved() {
        return Err(not_possible("nobody approved the present new instance: stay with the old database"));
    }
    if restore.direction == to && restore.failure.is_none() {
        return Err(not_possible(match to {
            Direction::Old => "the old database is in use already",
            Direction::New => "the new database is in use already",
        }));
    }
    if let Some(failure) = restore.failure.take() {
        restore.forget_migration(&failure.kind);
    }
    restore.overrule();
    restore.direction = to;
    restore.redeploy(now);
    restore.phase = Phase::Switch;
    Ok(())
}

impl Restore {
    /// Whether this very order was given before, by its id.
    pub(crate) fn has_order(&self, order: &Order) -> bool {
        order.id.is_some() && self.orders.iter().any(|given| given.order.id == order.id)
    }

    /// Notes the choice. Another choice than before needs another instance.
    pub(crate) fn choose(&mut self, source: crate::event::Source, contents: &Contents) {
        if self.target.requested.is_some() {
            self.another_instance();
        }
        self.source = Some(source);
        self.data = Some(contents.until);
        self.data_resource.clone_from(&contents.resource);
        self.data_major = contents.major;
        self.failure = None;
        self.phase = Phase::Restore;
    }

    /// Notes settings that a person gives instead of refused ones.
    fn change_settings(&mut self, order: &Order) {
        if let Some(given) = &order.settings {
            self.settings = Settings::given(given).or(std::mem::take(&mut self.settings));
            self.settings_from = format!("order, {}", self.settings_from);
        }
    }

    /// Goes on in spite of the versions that others put in force, which the person was told of.
    fn overrule(&mut self) {
        self.foreign.values_mut().for_each(|found| found.overruled = true);
    }

    /// Begins with another instance; the one before stays.
    fn another_instance(&mut self) {
        self.former.push(self.target.instance.clone());
        let attempt = self.target.attempt + 1;
        // The lost one's name may lack the prefix that the role demands.
        let instance = name::instance(&self.target.instance, &self.run, attempt);
        self.target = Target { instance, attempt, ..Target::default() };
        self.proof = None;
        // Both were for the instance before.
        self.approval = None;
        if self.migration.take().is_some() {
            self.migrations = self.migrations.saturating_add(1);
        }
        self.phase = Phase::Restore;
    }

    /// Whether a person approved the present instance.
    pub(crate) fn is_approved(&self) -> bool {
        self.approval.as_ref().is_some_and(|approval| approval.instance == self.target.instance)
    }

    /// Forgets the migration's task if it failed, so that another one can start. A task whose end is unknown may still
    /// run, and stays.
    fn forget_migration(&mut self, kind: &str) {
        if matches!(kind, "MigrationFailed" | "MigrationNotStarted") {
            self.forget_task();
        }
    }

    fn forget_task(&mut self) {
        self.migration = None;
        self.migrations = self.migrations.saturating_add(1);
    }

    /// Forgets the present deployments, so that the next step begins others.
    pub(crate) fn redeploy(&mut self, now: Timestamp) {
        self.deployments.clear();
        for guard in self.guards.values_mut() {
            guard.deployment = None;
        }
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::runtime::failure::Failure as _;

    use super::super::proved::Proved;
    use super::super::restore::tests::{approved, at, restore};
    use super::super::restore::{Failure, Foreign, Guarded, Migration};
    use super::*;
    use crate::answer::Status;
    use crate::event::Event;

    fn order(more: Value) -> Order {
        let mut event = json!({"run": "r20261130-1", "by": "bia"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match Event::try_from(event).unwrap() {
            Event::Order(order) => *order,
            other => panic!("{other:?}"),
        }
    }

    fn context() -> Context {
        let contents = Contents { until: at(-3), resource: "db-A".to_owned(), major: Some(15) };
        Context {
            needs_two: true,
            people: Vec::new(),
            now: at(10),
            contents: Some(contents),
            is_migrating: false,
            is_moved: true,
            changed: Vec::new(),
        }
    }

    fn failed(phase: Phase, kind: &str) -> Restore {
        let failure = Failure { kind: kind.to_owned(), detail: String::new(), at: at(1) };
        Restore { phase, failure: Some(failure), ..restore() }
    }

    fn proved(verdict: Verdict) -> Restore {
        let proof = Some(Proved { verdict, ..Proved::default() });
        Restore { phase: Phase::Approve, moves: Vec::new(), proof, ..restore() }
    }

    #[track_caller]
    fn check(mut restore: Restore, more: Value, expected: Result<Status, &str>) -> Restore {
        let given = give(&mut restore, &order(more.clone()), &context());
        match (given, expected) {
            (Ok(()), Ok(status)) => assert_eq!(restore.next(), status, "{more}"),
            (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{more}: {error}"),
            (other, expected) => panic!("{more}: {other:?}, not {expected:?}"),
        }
        restore
    }

    #[test]
    fn an_approval_needs_a_second_person_or_a_reason() {
        let approve = |more: Value| {
            let mut order = json!({"order": "approve"});
            order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            order
        };
        let good = || proved(Verdict::Pass);
        let approved = check(good(), approve(json!({})), Ok(Status::Guard));
        assert_eq!(approved.approval.unwrap().by, "bia");
        // An older question was about another instance.
        let seen = approved.target.instance;
        check(good(), approve(json!({"instance": seen})), Ok(Status::Guard));
        check(good(), approve(json!({"instance": format!("{seen}-2")})), Err("OrderNotPossible"));
        for same in ["ana", " Ana", "@ANA"] {
            check(good(), approve(json!({"by": same})), Err("SecondPersonNeeded"));
            let alone = check(good(), approve(json!({"by": same, "override": "alone"})), Ok(Status::Guard));
            assert_eq!(alone.approval.unwrap().alone.as_deref(), Some("alone"));
        }
        // Outside production one person suffices.
        let mut restore = good();
        let one = Context { needs_two: false, ..context() };
        give(&mut restore, &order(approve(json!({"by": "ana"}))), &one).unwrap();
        assert_eq!(restore.next(), Status::Guard);
    }

    #[test]
    fn where_the_policy_has_people_only_two_of_them_are_two() {
        let people = ["Ana Souza", "Bia Lima"].map(str::to_owned).to_vec();
        for (starter, by, alone, expected) in [
            ("Ana Souza", "Bia Lima", None, Ok(None)),
            ("@ana souza", "bia lima", None, Ok(None)),
            ("Ana Souza", "ana souza", None, Err("SecondPersonNeeded")),
            // The login of the same person, or of another one.
            ("ana", "Ana Souza", None, Err("SecondPersonNeeded")),
            ("ana", "Bia Lima", None, Err("SecondPersonNeeded")),
            ("Ana Souza", "bia", None, Err("SecondPersonNeeded")),
            ("ana", "bia", None, Err("SecondPersonNeeded")),
            ("ana", "Ana Souza", Some("só eu"), Ok(Some("só eu"))),
            ("Ana Souza", "Bia Lima", Some("só eu"), Ok(None)),
        ] {
            let mut restore = Restore { by: starter.to_owned(), ..proved(Verdict::Pass) };
            let order = order(json!({"order": "approve", "by": by, "override": alone}));
            let context = Context { people: people.clone(), ..context() };
            let given = give(&mut restore, &order, &context).map_err(|error| error.kind());
            let given = given.map(|()| restore.approval.unwrap().alone);
            assert_eq!(given, expected.map(|alone: Option<&str>| alone.map(str::to_owned)), "{starter} {by}");
        }
    }

    #[test]
    fn an_approval_of_a_bad_proof_names_its_verdict() {
        for (verdict, despite, expected) in [
            (Verdict::Pass, None, Ok(Status::Guard)),
            (Verdict::Unavailable, None, Ok(Status::Guard)),
            (Verdict::Unverified, None, Err("ProofNotGood")),
            (Verdict::Unverified, Some("unverified: known"), Ok(Status::Guard)),
            (Verdict::NotFinished, Some("unverified: known"), Err("ProofNotGood")),
            (Verdict::NotFinished, Some("not_finished: known"), Ok(Status::Guard)),
            (Verdict::Fail, Some("fail:"), Err("ProofNotGood")),
            (Verdict::Fail, Some("fail"), Err("ProofNotGood")),
            (Verdict::Fail, Some("fail: one audit row"), Ok(Status::Guard)),
        ] {
            check(proved(verdict), json!({"order": "approve", "despiteProof": despite}), expected);
        }
        // Without a proof, nothing is known.
        check(
            Restore { proof: None, ..proved(Verdict::Pass) },
            json!({"order": "approve"}),
            Err("ProofNotGood"),
        );
    }

    #[test]
    fn an_order_fits_where_the_restore_stands() {
        let hold = || Restore { phase: Phase::Hold, ..restore() };
        let unmoved = |restore: Restore| Restore { moves: Vec::new(), ..restore };
        let choose = || Restore { phase: Phase::Choose, moves: Vec::new(), ..restore() };
        for (restore, verb, expected) in [
            (choose(), "approve", Err("OrderNotPossible")),
            (choose(), "reject", Ok(Status::Finish)),
            (choose(), "rollBack", Err("OrderNotPossible")),
            (choose(), "close", Err("OrderNotPossible")),
            (proved(Verdict::Pass), "reject", Ok(Status::Finish)),
            (proved(Verdict::Pass), "retry", Err("OrderNotPossible")),
            (hold(), "approve", Err("OrderNotPossible")),
            (hold(), "reject", Err("OrderNotPossible")),
            (hold(), "rollBack", Ok(Status::Switch)),
            (hold(), "forward", Err("OrderNotPossible")),
            (hold(), "close", Ok(Status::Finish)),
            (Restore { direction: Direction::Old, ..hold() }, "forward", Err("OrderNotPossible")),
            (
                Restore { direction: Direction::Old, phase: Phase::Hold, ..approved() },
                "forward",
                Ok(Status::Switch),
            ),
            (Restore { direction: Direction::Old, ..hold() }, "rollBack", Err("OrderNotPossible")),
            (Restore { direction: Direction::Old, ..hold() }, "close", Ok(Status::Finish)),
            // While a step works, no order is awaited.
            (Restore { phase: Phase::Deploy, ..restore() }, "rollBack", Err("OrderNotPossible")),
            (failed(Phase::Deploy, "RolloutFailed"), "retry", Ok(Status::Deploy)),
            (failed(Phase::Deploy, "RolloutFailed"), "rollBack", Ok(Status::Switch)),
            (failed(Phase::Deploy, "RolloutFailed"), "close", Err("OrderNotPossible")),
            (failed(Phase::Hold, "GuardLost"), "close", Ok(Status::Finish)),
            (failed(Phase::Hold, "GuardLost"), "retry", Ok(Status::Guard)),
            (failed(Phase::Hold, "EcsCall"), "retry", Ok(Status::Hold)),
            (failed(Phase::Smoke, "GuardLost"), "retry", Ok(Status::Guard)),
            (failed(Phase::Switch, "DatabaseRefused"), "retry", Ok(Status::Align)),
            (
                Restore { direction: Direction::Old, ..failed(Phase::Switch, "DatabaseRefused") },
                "retry",
                Ok(Status::Switch),
            ),
            (failed(Phase::Deploy, "SecretChanged"), "retry", Ok(Status::Switch)),
            (failed(Phase::Hold, "SecretChanged"), "retry", Ok(Status::Switch)),
            (failed(Phase::Align, "InstanceGone"), "retry", Ok(Status::Align)),
            (failed(Phase::Align, "InstanceGone"), "rollBack", Ok(Status::Switch)),
            (unmoved(failed(Phase::Restore, "InstanceFailed")), "retry", Ok(Status::Restore)),
            (unmoved(failed(Phase::Align, "InstanceGone")), "retry", Ok(Status::Restore)),
            (unmoved(failed(Phase::Restore, "RestoreRefused")), "rollBack", Err("OrderNotPossible")),
            (unmoved(failed(Phase::Restore, "RestoreRefused")), "reject", Ok(Status::Finish)),
        ] {
            check(restore, json!({"order": verb}), expected);
        }
    }

    #[test]
    fn another_choice_makes_another_instance() {
        let first = Restore { phase: Phase::Choose, moves: Vec::new(), ..restore() };
        let chosen = check(first, json!({"order": "choose", "source": "latest"}), Ok(Status::Restore));
        assert_eq!((chosen.target.attempt, chosen.data), (1, Some(at(-3))));
        assert_eq!((chosen.data_resource.as_str(), chosen.data_major), ("db-A", Some(15)));
        let mut requested = Restore { phase: Phase::Approve, ..chosen };
        requested.target.requested = Some(at(2));
        requested.proof = Some(Proved::default());
        let other =
            check(requested, json!({"order": "choose", "source": {"snapshot": "s"}}), Ok(Status::Restore));
        assert_eq!(other.target.instance, "moveongs-dev-db-r20261130-1-2");
        assert_eq!(other.proof, None);
        assert_eq!(other.former, ["moveongs-dev-db-r20261130-1"]);
        let hold = Restore { phase: Phase::Hold, ..restore() };
        check(hold, json!({"order": "choose", "source": "latest"}), Err("OrderNotPossible"));
    }

    #[test]
    fn an_approval_is_for_one_instance() {
        let approved = check(proved(Verdict::Pass), json!({"order": "approve"}), Ok(Status::Guard));
        assert!(approved.is_approved());
        // Its logins are aligned again, which leads before the approval.
        let refused = |kind: &str| Some(Failure { kind: kind.to_owned(), detail: String::new(), at: at(3) });
        let switching = Restore { phase: Phase::Switch, failure: refused("DatabaseRefused"), ..approved };
        let mut aligning = check(switching, json!({"order": "retry"}), Ok(Status::Align));
        assert!(aligning.is_approved());
        aligning.failure = refused("LoginFailed");
        let other = json!({"order": "choose", "source": "latest"});
        check(aligning.clone(), other, Err("OrderNotPossible"));
        aligning.failure = refused("InstanceGone");
        aligning.migration = Some(Migration { task: "task/1".to_owned(), exit: Some(0) });
        let another = check(aligning, json!({"order": "retry"}), Ok(Status::Restore));
        assert_eq!((&another.approval, &another.proof, &another.migration), (&None, &None, &None));
        assert!(!another.is_approved());
    }

    #[test]
    fn an_instance_that_was_in_use_is_neither_replaced_nor_forgotten() {
        for kind in ["InstanceFailed", "InstanceGone"] {
            let failure = Some(Failure { kind: kind.to_owned(), detail: String::new(), at: at(3) });
            let in_use = Restore { phase: Phase::Align, failure, ..approved() };
            let again = check(in_use.clone(), json!({"order": "retry"}), Ok(Status::Align));
            assert_eq!((&again.target, again.former.len()), (&in_use.target, 0), "{kind}");
            assert!(again.is_approved(), "{kind}");
        }
    }

    #[test]
    fn nobody_goes_forward_to_an_instance_that_was_not_approved() {
        for phase in [Phase::Switch, Phase::Deploy, Phase::Hold] {
            let back = |restore| Restore { direction: Direction::Old, phase, ..restore };
            let failure = failed(phase, "EcsCall").failure;
            let mut other = back(Restore { failure, ..approved() });
            check(other.clone(), json!({"order": "forward"}), Ok(Status::Switch));
            other.target.instance = "moveongs-dev-db-r20261130-1-2".to_owned();
            check(other.clone(), json!({"order": "forward"}), Err("OrderNotPossible"));
            check(Restore { approval: None, ..other }, json!({"order": "forward"}), Err("OrderNotPossible"));
        }
    }

    #[test]
    fn a_version_of_others_is_closed_only_after_it_was_told() {
        let close = order(json!({"order": "close"}));
        let found = |version: &str| Foreign { version: version.to_owned(), overruled: false };
        let hold = || Restore { phase: Phase::Hold, ..restore() };
        let told = |version: &str| {
            let mut told = failed(Phase::Hold, "SecretChanged");
            told.foreign.insert("arn".to_owned(), found(version));
            told
        };
        let mut unpaged = hold();
        unpaged.foreign.insert("arn".to_owned(), found("3"));
        for (mut open, current, is_closed) in [
            (hold(), "2", true),
            (hold(), "3", false),
            (unpaged, "3", false),
            (told("3"), "3", true),
            (told("3"), "4", false),
        ] {
            let it = open.moves[0].clone();
            let changed = open.changed(&it, current).into_iter().collect();
            let given = give(&mut open, &close, &Context { changed, ..context() });
            assert_eq!(given.is_ok(), is_closed, "{current} {:?}", open.foreign);
            if let Err(error) = given {
                assert_eq!((error.kind(), open.ended), ("SecretChanged", None));
                let back = format!("--move-to-version-id 2 --remove-from-version-id {current}");
                assert!(error.to_string().contains(&back), "{error}");
            }
        }
    }

    #[test]
    fn a_corrected_revision_gets_the_guard_when_its_rollout_is_repeated() {
        let guard = Guarded { with: "b".to_owned(), deployment: Some("x".to_owned()) };
        for (kind, is_kept) in [("RolloutFailed", false), ("EcsCall", true)] {
            let mut failing = failed(Phase::Guard, kind);
            failing.guards.insert("api".to_owned(), guard.clone());
            failing.unguarded.insert("api".to_owned(), "a".to_owned());
            let again = check(failing, json!({"order": "retry"}), Ok(Status::Guard));
            assert_eq!((again.guards.is_empty(), again.since), (!is_kept, Some(at(10))), "{kind}");
            assert_eq!(again.unguarded["api"], "a", "{kind}");
        }
    }

    #[test]
    fn a_migration_whose_end_nobody_knows_is_decided_by_a_person() {
        let migration = Some(Migration { task: "t".to_owned(), exit: None });
        let unknown =
            || Restore { migration: migration.clone(), ..failed(Phase::Migrate, "MigrationUnknown") };
        check(unknown(), json!({"order": "retry"}), Err("OrderNotPossible"));
        let done = check(unknown(), json!({"order": "retry", "migration": "done"}), Ok(Status::Deploy));
        assert_eq!((done.migration.unwrap().exit, done.migrations), (Some(0), 0));
        let again = check(unknown(), json!({"order": "retry", "migration": "again"}), Ok(Status::Migrate));
        assert_eq!((again.migration, again.migrations), (None, 1));
        let back = check(unknown(), json!({"order": "rollBack"}), Ok(Status::Switch));
        assert_eq!((back.migration, back.migrations), (migration.clone(), 0));
        let failing = Restore { migration, ..failed(Phase::Migrate, "MigrationFailed") };
        check(failing, json!({"order": "retry", "migration": "done"}), Err("OrderNotPossible"));
    }

    #[test]
    fn what_cannot_be_proved_is_approved_by_name() {
        let broken = || Restore { proof: None, moves: Vec::new(), ..failed(Phase::Prove, "ProofBroken") };
        check(broken(), json!({"order": "approve"}), Err("ProofNotGood"));
        let named = |by: &str| json!({"order": "approve", "by": by, "despiteProof": "unverified: amcheck"});
        check(broken(), named("ana"), Err("SecondPersonNeeded"));
        let approved = check(broken(), named("bia"), Ok(Status::Guard));
        assert_eq!(approved.approval.unwrap().despite.as_deref(), Some("unverified: amcheck"));
        check(Restore { failure: None, ..broken() }, named("bia"), Err("OrderNotPossible"));
    }

    #[test]
    fn a_failed_check_is_accepted_with_a_reason() {
        let failing = || failed(Phase::Smoke, "SmokeFailed");
        check(failing(), json!({"order": "approve"}), Err("OrderNotPossible"));
        let despite = || json!({"order": "approve", "despiteSmoke": "the proxy answers 503 to us"});
        let accepted = check(failing(), despite(), Ok(Status::Hold));
        assert_eq!((accepted.worked, accepted.orders.len()), (Some(at(10)), 1));
        check(failed(Phase::Smoke, "GuardLost"), despite(), Err("OrderNotPossible"));
        check(proved(Verdict::Pass), despite(), Err("OrderNotPossible"));
    }

    #[test]
    fn a_migration_that_may_still_run_is_kept() {
        let task = "arn:aws:ecs:us-east-1:000000000000:task/moveongs-dev-cluster/1";
        let migration = Migration { task: task.to_owned(), exit: None };
        for (kind, verb, is_kept) in [
            ("MigrationSlow", "retry", true),
            ("EcsCall", "retry", true),
            ("MigrationSlow", "rollBack", true),
            ("MigrationFailed", "retry", false),
            ("MigrationFailed", "rollBack", false),
        ] {
            let restore = Restore { migration: Some(migration.clone()), ..failed(Phase::Migrate, kind) };
            let mut given = restore.clone();
            give(&mut given, &order(json!({"order": verb})), &context()).unwrap();
            assert_eq!(
                (given.migration.is_some(), given.migrations == 0),
                (is_kept, is_kept),
                "{kind} {verb}"
            );
            let mut running = restore;
            let migrates = Context { is_migrating: true, ..context() };
            let given = give(&mut running, &order(json!({"order": verb})), &migrates);
            assert_eq!(given.is_ok(), verb == "retry", "{kind} {verb}");
            if let Err(error) = given {
                let stop = format!("aws ecs stop-task --cluster moveongs-dev-cluster --task {task}");
                assert!(error.to_string().ends_with(&stop), "{error}");
            }
        }
    }

    #[test]
    fn refused_settings_are_given_with_the_repetition() {
        let mut refused = Restore { moves: Vec::new(), ..failed(Phase::Restore, "RestoreRefused") };
        refused.settings.class = Some("db.r6g.large".to_owned());
        refused.settings.port = Some(5432);
        let retry = json!({"order": "retry", "settings": {"class": "db.t4g.medium", "parameterGroup": "p"}});
        let again = check(refused, retry.clone(), Ok(Status::Restore));
        let settings = &again.settings;
        assert_eq!((settings.class.as_deref(), settings.port), (Some("db.t4g.medium"), Some(5432)));
        assert_eq!(settings.parameter_group.as_deref(), Some("p"));
        check(failed(Phase::Deploy, "RolloutFailed"), retry, Err("OrderNotPossible"));
    }

    #[test]
    fn moves_that_aws_refused_do_not_keep_a_restore_open() {
        let refused = || failed(Phase::Switch, "SecretsManagerCall");
        check(refused(), json!({"order": "reject"}), Err("OrderNotPossible"));
        let unmoved = Context { is_moved: false, ..context() };
        let mut restore = refused();
        give(&mut restore, &order(json!({"order": "reject"})), &unmoved).unwrap();
        assert_eq!((restore.next(), restore.moves.len()), (Status::Finish, 0));
        // Back on the old database after a switch, the way to the end is close.
        let mut back = refused();
        back.times.insert(Phase::Switch, at(1));
        let error = give(&mut back, &order(json!({"order": "reject"})), &unmoved).unwrap_err();
        assert_eq!(error.kind(), "OrderNotPossible");
    }

    #[test]
    fn a_foreign_version_is_replaced_only_by_an_order_after_it_was_told() {
        let found = Foreign { version: "3".to_owned(), overruled: false };
        let mut restore = Restore { direction: Direction::Old, ..failed(Phase::Switch, "SecretChanged") };
        restore.foreign.insert("arn".to_owned(), found);
        let it = restore.moves[0].clone();
        assert!(restore.may_replace(&it, "2") && !restore.may_replace(&it, "3"));
        for order in ["retry", "rollBack"] {
            let told = check(restore.clone(), json!({"order": order}), Ok(Status::Switch));
            assert!(told.may_replace(&it, "3") && !told.may_replace(&it, "4"), "{order}");
        }
    }

    #[test]
    fn the_same_order_twice_is_one_order() {
        let order = order(json!({"order": "rollBack"}));
        let mut restore = Restore { phase: Phase::Hold, ..restore() };
        give(&mut restore, &order, &context()).unwrap();
        give(&mut restore, &order, &context()).unwrap();
        assert_eq!((restore.orders.len(), restore.direction), (1, Direction::Old));
        let other = Order { run: "r20261130-2".to_owned(), ..order };
        assert_eq!(give(&mut restore, &other, &context()).unwrap_err().kind(), "OtherRun");
    }

    #[test]
    fn an_order_with_an_id_is_one_order_whatever_came_in_between() {
        let back = order(json!({"order": "rollBack", "id": "slack|V1"}));
        let mut restore = Restore { phase: Phase::Hold, ..approved() };
        give(&mut restore, &back, &context()).unwrap();
        restore.phase = Phase::Hold;
        give(&mut restore, &order(json!({"order": "forward", "by": "bia"})), &context()).unwrap();
        restore.phase = Phase::Hold;
        let before = restore.clone();
        give(&mut restore, &back, &context()).unwrap();
        assert_eq!(restore, before, "it does not turn back once more");
        give(&mut restore, &Order { id: Some("slack|V2".to_owned()), ..back }, &context()).unwrap();
        assert_eq!((restore.direction, restore.orders.len()), (Direction::Old, 3));
    }

    #[test]
    fn a_turn_and_a_repetition_begin_new_deployments() {
        let mut restore = failed(Phase::Deploy, "RolloutFailed");
        restore.deployments.insert("api".to_owned(), "ecs-svc/1".to_owned());
        let guard = Guarded { with: "b".to_owned(), deployment: Some("x".to_owned()) };
        restore.guards.insert("api".to_owned(), guard);
        let again = check(restore, json!({"order": "retry"}), Ok(Status::Deploy));
        assert!(again.deployments.is_empty() && again.guards["api"].deployment.is_none());
        assert_eq!((again.guards["api"].with.as_str(), again.since), ("b", Some(at(10))));
    }
}
