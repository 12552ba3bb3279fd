//! The properties of a rotation that must hold in every state.

use stateright::{Model, Property};

use super::protocol::{Next, Protocol};
use super::world::{Action, CHOSEN, Edit, Invocation, State};

pub(crate) const SOME_LOGIN: &str = "some stored version logs in";
pub(crate) const CURRENT_OR_PENDING: &str = "AWSCURRENT or AWSPENDING logs in, unless a person came";
pub(crate) const CURRENT: &str = "AWSCURRENT logs in, unless a person broke it";
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS logs in until the next setSecret, unless a person came";
pub(crate) const NOT_EMPTY: &str = "AWSCURRENT has a value";
pub(crate) const PROVED: &str = "what a rotation makes AWSCURRENT logs in";
pub(crate) const OVERWRITTEN: &str = "a person's AWSCURRENT is not overwritten";
pub(crate) const ENDED: &str = "setSecret ends no AWSCURRENT that finishSecret would not replace";
pub(crate) const UNDONE: &str = "an old invocation does not undo a newer rotation";
pub(crate) const FINISHES: &str = "every run can still finish";
pub(crate) const NOT_CHOSEN: &str = "an adversary who may write the secret gets no login of its choice";
pub(crate) const NOT_PROMOTED: &str = "no rotation makes a value of an adversary's choice AWSCURRENT";
/// No read before a call can exclude these two. Such a run must be able to finish, as any other.
pub(crate) const LATE_COMMIT: &str = "a COMMIT comes after the person who ended its rotation";
pub(crate) const LATE_PROMOTION: &str = "a promotion comes after the person who took it back";

/// Forbidden events, and their excuses.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Seen {
    overwritten: bool,
    unproved: bool,
    ended: bool,
    undone: bool,
    late_commit: bool,
    late_promotion: bool,
    /// A rotation has made a chosen value AWSCURRENT.
    promoted: bool,
    /// AWSCURRENT does not log in because of a person's action, directly or through a late invocation.
    broken: bool,
    /// A person has moved AWSCURRENT during the current rotation.
    pub(crate) moved: bool,
}

impl State {
    /// Marks as late the invocations that have made their last read.
    pub(crate) fn overtake(&mut self) {
        for invocation in &mut self.invocations {
            invocation.late |= matches!(invocation.next, Next::Commit | Next::Promote);
        }
    }

    /// Judges a person's move of AWSCURRENT.
    ///
    /// A person who reverts a promotion in two moves leaves no trace, and does not count.
    pub(crate) fn judge_edit(&mut self) {
        self.seen.moved |= self.rotation.is_some();
        self.seen.broken = !self.takes(self.current);
        for (id, version) in self.versions.iter_mut().enumerate() {
            let taken_back = self.previous == Some(id);
            version.overruled = version.note.is_some_and(|from| from != self.current || taken_back);
        }
    }

    /// Judges an invocation's call.
    pub(crate) fn judge(&mut self, before: &State, me: &Invocation) {
        let token = me.token;
        let ended = |after: &State, id| before.takes(id) && !after.takes(id);
        if me.next == Next::Commit {
            let mut newer = (token + 1..self.versions.len()).filter(|id| self.versions[*id].note.is_some());
            let undone = newer.any(|id| ended(self, id));
            let current = ended(self, self.current);
            let replaced = self.versions[token].note == Some(self.current);
            self.seen.undone |= undone;
            self.seen.ended |= current && !replaced && !me.late;
            self.seen.late_commit |= current && me.late;
            self.seen.broken |= me.late;
        }
        if self.current != before.current {
            self.seen.promoted |= self.login(self.current).is_some_and(|login| login.password == CHOSEN);
            let overruled = before.versions[token].overruled;
            self.seen.overwritten |= overruled && !me.late || before.current != me.current;
            self.seen.unproved |= !self.takes(token) && !me.late;
            self.seen.late_promotion |= overruled && me.late;
            self.seen.broken = me.late;
            self.seen.moved |= me.late;
            self.versions.iter_mut().for_each(|version| version.overruled = false);
            if me.late {
                self.overtake();
            }
        }
    }

    fn pending_logs_in(&self) -> bool {
        self.pending.is_some_and(|pending| self.takes(pending))
    }
}

pub(crate) fn properties(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let (always, sometimes) = (Property::<Protocol>::always, Property::<Protocol>::sometimes);
    let mut all = vec![
        always(SOME_LOGIN, |_, state| (0..state.versions.len()).any(|id| state.takes(id))),
        always(NOT_EMPTY, |_, state| state.login(state.current).is_some()),
        always(PROVED, |_, state| !state.seen.unproved),
        always(OVERWRITTEN, |_, state| !state.seen.overwritten),
        always(ENDED, |_, state| !state.seen.ended),
        always(UNDONE, |_, state| !state.seen.undone),
        always(FINISHES, finishes),
        always(NOT_CHOSEN, |_, state| !state.database.contains(&Some(CHOSEN))),
        always(NOT_PROMOTED, |_, state| !state.seen.promoted),
    ];
    if protocol.edits > 0 {
        all.push(sometimes(LATE_COMMIT, |_, state| state.seen.late_commit));
        all.push(sometimes(LATE_PROMOTION, |_, state| state.seen.late_promotion));
    }
    if protocol.users == 1 {
        all.push(always(CURRENT_OR_PENDING, |_, state| {
            state.edits > 0 || state.takes(state.current) || state.pending_logs_in()
        }));
    } else {
        all.push(always(CURRENT, |_, state| state.seen.broken || state.takes(state.current)));
        all.push(always(PREVIOUS, |_, state| {
            let previous = state.previous.is_none_or(|previous| state.takes(previous));
            state.edits > 0 || previous || state.pending_logs_in()
        }));
    }
    all
}

/// Whether the current rotation and the next one succeed from here without further faults. Only if a person has moved
/// AWSCURRENT, a person may be needed, with the commands in the messages: to remove AWSPENDING if the move came during
/// the rotation, and to move AWSCURRENT to another user's version if no stored credential of its own user logs in.
fn finishes(protocol: &Protocol, state: &State) -> bool {
    if !state.invocations.is_empty() {
        // Their ends are actions with checked outcomes.
        return true;
    }
    let run = |state: State, action| protocol.next_state(&state, action).unwrap_or(state);
    let mut state = state.clone();
    for _ in 0..2 {
        // The rest of an attempt, and two whole ones.
        for _ in 0..40 {
            if state.rotation.is_some() {
                let action = state.invocations.first().map_or(Action::Call, |only| Action::Advance(*only));
                state = run(state, action);
            }
        }
        let other = (0..state.versions.len()).find(|id| state.takes(*id));
        if let (true, None, Some(other)) = (state.seen.broken, state.rescues(state.current), other) {
            state = run(state, Action::Edit(Edit::Move(other)));
        }
        if state.seen.moved && (state.rotation.is_some() || !Protocol::may_start(&state)) {
            state = run(state, Action::Edit(Edit::Cancel));
        }
        if !Protocol::may_start(&state) {
            return false;
        }
        state = run(state, Action::Start);
    }
    // The last rotation has only started; the previous one has finished.
    state.takes(state.current) && state.versions[state.current].note.is_some()
}
