//! The protocol of a rotation as the function performs it: each step's reads, and each changing or waiting call, one at
//! a time. `world.rs` has the other actors, `properties.rs` the properties that must hold.
//!
//! Simplified: a step's reads count as one, at its beginning, because a value read by id and label cannot be older than
//! the label. Left out: the secret's fields besides user and password; the limit of five unlabelled versions to try.

use super::world::{Invocation, Login, State, Version};

/// A version's number, in the order of creation.
pub(crate) type Id = usize;

/// A step of a rotation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Step {
    Create,
    Set,
    Test,
    Finish,
}

/// An invocation's next action.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Next {
    Seal,
    Put,
    Login,
    Note,
    Lock,
    Fence,
    Commit,
    Promote,
}

/// The invocation after a call.
pub(crate) enum Course {
    On(Next),
    Done,
    Failed,
}

use Course::{Done, Failed, On};

/// The design's guards; a check removes one and expects a property to fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Guard {
    /// createSecret keeps an existing value, and the service lets no one change it.
    Immutable,
    /// A pending value is used only if it has createSecret's seal.
    Seal,
    /// The service refuses PutSecretValue with the RotationToken of a rotation that is over.
    RotationToken,
    /// No step runs for a token with AWSPREVIOUS: a person has taken AWSCURRENT back from it.
    TakenBack,
    /// Pending and current belong to the same user, or to the two alternating users.
    Compare,
    /// If AWSCURRENT's credential is refused, another stored version's of the same user is used.
    Rescue,
    /// setSecret changes nothing if AWSCURRENT is on another version than in its note.
    NoteAtSet,
    /// One invocation at a time is between its fence and its COMMIT.
    Lock,
    /// Under the lock: AWSPENDING is still on the token.
    Fence,
    /// Under the lock: AWSCURRENT has not moved since the beginning.
    FenceCurrent,
    /// finishSecret moves nothing if AWSCURRENT is on another version than in setSecret's note.
    NoteAtFinish,
    /// finishSecret proves the pending login itself.
    Proof,
    /// finishSecret moves AWSCURRENT only from its version at the beginning.
    RemoveFrom,
}

/// The strategy, the bounds, and the removed guard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    /// 1: single user; 2: alternating users.
    pub(crate) users: usize,
    /// Rotations that the service starts.
    pub(crate) rotations: usize,
    /// Concurrent invocations.
    pub(crate) invocations: usize,
    /// A person's edits.
    pub(crate) edits: usize,
    /// Writes of an adversary, who may only write the secret.
    pub(crate) forgeries: usize,
    pub(crate) without: Option<Guard>,
}

impl Protocol {
    pub(crate) fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    fn other(&self, user: usize) -> usize {
        (user + 1) % self.users
    }

    fn fits(&self, pending: Option<Login>, current: Option<Login>) -> bool {
        let compared =
            |(new, old): (Login, Login)| new.user == self.other(old.user) && new.password != old.password;
        pending.zip(current).is_some_and(compared) || !self.has(Guard::Compare)
    }

    /// A step's beginning: its reads.
    pub(crate) fn begin(&self, state: &State, token: Id, step: Step) -> Course {
        let taken_back = state.previous == Some(token) && self.has(Guard::TakenBack);
        if state.current == token {
            return Done;
        }
        if state.pending != Some(token) || taken_back {
            return Failed;
        }
        let Version { value, note, .. } = state.versions[token];
        let ours = state.is_ours(token) || !self.has(Guard::Seal);
        let fits = ours && self.fits(value, state.login(state.current));
        let moved = note.is_some_and(|from| from != state.current);
        match step {
            Step::Create if value.is_some() && !ours => Failed,
            Step::Create if value.is_some() && self.has(Guard::Immutable) => Done,
            Step::Create => On(Next::Seal),
            Step::Set if fits => On(Next::Login),
            Step::Test if ours && state.takes(token) => Done,
            Step::Finish if !self.has(Guard::Proof) => On(Next::Promote),
            Step::Finish if moved && self.has(Guard::NoteAtFinish) => Failed,
            Step::Finish if fits && state.takes(token) => On(Next::Promote),
            Step::Set | Step::Test | Step::Finish => Failed,
        }
    }

    /// An invocation's next call.
    pub(crate) fn act(&self, state: &mut State, me: &Invocation) -> Course {
        let token = me.token;
        let still_pending = state.pending == Some(token) && state.current != token;
        match me.next {
            Next::Seal => {
                state.versions[token].sealed = true;
                On(Next::Put)
            }
            Next::Put if !state.rotating(token) && self.has(Guard::RotationToken) => Failed,
            Next::Put if state.login(token).is_some() && self.has(Guard::Immutable) => {
                if still_pending && (state.is_ours(token) || !self.has(Guard::Seal)) { Done } else { Failed }
            }
            Next::Put => {
                let user = self.other(state.login(me.current).map_or(0, |login| login.user));
                state.put_pending(token, user);
                Done
            }
            Next::Login if state.takes(me.current) => On(Next::Note),
            Next::Login if state.takes(token) => Done,
            Next::Login => {
                let rescued = state.rescues(me.current).is_some() && self.has(Guard::Rescue);
                if rescued { On(Next::Note) } else { Failed }
            }
            Next::Note => {
                let from = *state.versions[token].note.get_or_insert(me.current);
                if from == me.current || !self.has(Guard::NoteAtSet) { On(Next::Lock) } else { Failed }
            }
            Next::Lock => On(Next::Fence),
            Next::Fence => {
                let unmoved = state.current == me.current || !self.has(Guard::FenceCurrent);
                if still_pending && unmoved || !self.has(Guard::Fence) { On(Next::Commit) } else { Failed }
            }
            Next::Commit => {
                if let Some(login) = state.login(token) {
                    state.database[login.user] = Some(login.password);
                }
                Done
            }
            Next::Promote if state.current != me.current && self.has(Guard::RemoveFrom) => Failed,
            Next::Promote => {
                state.move_current(token);
                Done
            }
        }
    }

    /// Whether an invocation waits for the database's lock.
    pub(crate) fn waits(&self, state: &State, me: &Invocation) -> bool {
        let held = || state.invocations.iter().any(|other| matches!(other.next, Next::Fence | Next::Commit));
        me.next == Next::Lock && self.has(Guard::Lock) && held()
    }
}
