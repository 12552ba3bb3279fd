//! The actors on one secret: the service and its labels, the function's invocations, a person, the database.

use stateright::{Model, Property};

use super::properties::{Seen, properties};
use super::protocol::{Course, Id, Next, Protocol, Step};

/// A credential; a password is named after the version that it was made for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Login {
    pub(crate) user: usize,
    pub(crate) password: Id,
}

/// The password that an adversary chooses.
pub(crate) const CHOSEN: Id = 1_000_099;

/// A version without its labels.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Version {
    pub(crate) value: Option<Login>,
    /// Whether createSecret has stored the seal of its value for this version.
    pub(crate) sealed: bool,
    /// setSecret's note: the version that was current before it first changed the database.
    pub(crate) note: Option<Id>,
    /// Whether a person has moved AWSCURRENT away from the note's version, or back to it from this version.
    pub(crate) overruled: bool,
}

/// A running invocation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Invocation {
    pub(crate) token: Id,
    pub(crate) next: Next,
    /// AWSCURRENT at its beginning.
    pub(crate) current: Id,
    /// Whether a person or another late invocation acted after its last read.
    pub(crate) late: bool,
    /// Whether the service waits for it.
    pub(crate) awaited: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct State {
    pub(crate) versions: Vec<Version>,
    pub(crate) current: Id,
    pub(crate) previous: Option<Id>,
    pub(crate) pending: Option<Id>,
    /// The password of each user.
    pub(crate) database: [Option<Id>; 2],
    /// The current rotation and its next step.
    pub(crate) rotation: Option<(Id, Step)>,
    pub(crate) invocations: Vec<Invocation>,
    pub(crate) rotations: usize,
    pub(crate) edits: usize,
    pub(crate) forgeries: usize,
    pub(crate) seen: Seen,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Action {
    /// RotateSecret.
    Start,
    /// The service calls the next step; after a failure the first one.
    Call,
    /// A step is called again, out of turn or late; its answer is lost.
    Again(Step, Id),
    /// The service considers a running invocation failed.
    GiveUp,
    /// An invocation makes its next call.
    Advance(Invocation),
    /// An invocation makes its last call and dies.
    LastCall(Invocation),
    Die(Invocation),
    Edit(Edit),
    Forge(Forgery),
}

/// Actions of an adversary who may call PutSecretValue and UpdateSecretVersionStage.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Forgery {
    /// Puts a login of its choice into AWSPENDING: into the rotation's version while that is empty, otherwise into a
    /// version of its own.
    Pending(usize),
    /// Puts a login of its choice into AWSCURRENT.
    Current(usize),
    /// Moves AWSPENDING.
    MovePending(Id),
    /// Moves AWSCURRENT.
    MoveCurrent(Id),
}

/// A person's actions.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Edit {
    /// Puts a version with the database's current password.
    PutSame,
    /// Puts a version with another password than the database's.
    PutWrong,
    /// Changes the password in the database and puts it.
    PutReset,
    /// Moves AWSCURRENT.
    Move(Id),
    /// Removes AWSPENDING, which ends the rotation.
    Cancel,
}

impl State {
    pub(crate) fn login(&self, id: Id) -> Option<Login> {
        self.versions[id].value
    }

    /// Whether the database accepts a version's credential.
    pub(crate) fn takes(&self, id: Id) -> bool {
        self.login(id).is_some_and(|login| self.database[login.user] == Some(login.password))
    }

    /// Whether createSecret made a version's value. Such a password is named after the version, even if a missing guard let
    /// createSecret make it again.
    pub(crate) fn is_ours(&self, id: Id) -> bool {
        self.versions[id].sealed && self.login(id).is_some_and(|login| login.password % 100 == id)
    }

    /// A version whose credential logs in as the user of another's.
    pub(crate) fn rescues(&self, of: Id) -> Option<Id> {
        let user = |id| self.login(id).map(|login| login.user);
        (0..self.versions.len()).find(|id| self.takes(*id) && user(*id) == user(of))
    }

    pub(crate) fn rotating(&self, token: Id) -> bool {
        self.rotation.is_some_and(|(rotating, _)| rotating == token)
    }

    /// PutSecretValue of a rotation: moves the label too, and abandons any other rotation.
    pub(crate) fn put_pending(&mut self, token: Id, user: usize) {
        // An existing value changes only if its guard is removed.
        let password = self.login(token).map_or(token, |stored| stored.password + 100);
        self.versions[token].value = Some(Login { user, password });
        self.pending = Some(token);
        if !self.rotating(token) {
            self.end();
        }
    }

    /// Moves AWSCURRENT; AWSPREVIOUS follows it.
    pub(crate) fn move_current(&mut self, to: Id) {
        self.previous = Some(std::mem::replace(&mut self.current, to));
    }

    /// Ends the rotation; the service no longer waits for running invocations.
    fn end(&mut self) {
        self.rotation = None;
        self.invocations.iter_mut().for_each(|invocation| invocation.awaited = false);
    }

    /// Gives the service a step's outcome.
    fn hear(&mut self, done: bool) {
        let Some((token, step)) = &mut self.rotation else { return };
        *step = match (done, *step) {
            (true, Step::Create) => Step::Set,
            (true, Step::Set) => Step::Test,
            (true, Step::Test) => Step::Finish,
            (true, Step::Finish) if self.current == *token => {
                self.pending = None;
                return self.end();
            }
            (true, Step::Finish) | (false, _) => Step::Create,
        };
    }

    fn leave(&mut self, me: &Invocation) -> Option<Invocation> {
        let place = self.invocations.iter().position(|other| other == me)?;
        Some(self.invocations.remove(place))
    }

    fn forge(&mut self, forgery: Forgery) {
        self.forgeries += 1;
        let chosen = |user| Some(Login { user, password: CHOSEN });
        match forgery {
            Forgery::Pending(user) => {
                let empty = self.pending.filter(|pending| self.login(*pending).is_none());
                let id = empty.unwrap_or_else(|| {
                    self.versions.push(Version::default());
                    self.versions.len() - 1
                });
                self.versions[id].value = chosen(user);
                self.stage(id);
            }
            Forgery::MovePending(id) => self.stage(id),
            Forgery::Current(user) => {
                self.versions.push(Version { value: chosen(user), ..Version::default() });
                self.edit(Edit::Move(self.versions.len() - 1));
                self.pending = None;
                self.end();
            }
            Forgery::MoveCurrent(id) => self.edit(Edit::Move(id)),
        }
        self.seen.moved |= self.pending.is_some();
    }

    /// Moves AWSPENDING; a rotation that loses it is abandoned.
    fn stage(&mut self, id: Id) {
        self.overtake();
        self.pending = Some(id);
        if !self.rotating(id) {
            self.end();
        }
    }

    fn edit(&mut self, edit: Edit) {
        self.edits += 1;
        self.overtake();
        let id = self.versions.len();
        let user = self.login(self.current).map_or(0, |login| login.user);
        let password = match edit {
            Edit::Move(to) => {
                self.move_current(to);
                return self.judge_edit();
            }
            Edit::Cancel => {
                self.pending = None;
                return self.end();
            }
            Edit::PutSame => self.database[user].unwrap_or(id),
            Edit::PutWrong => id,
            Edit::PutReset => *self.database[user].insert(id),
        };
        self.versions.push(Version { value: Some(Login { user, password }), ..Version::default() });
        self.move_current(id);
        if self.rotation.is_some() {
            self.pending = None;
        }
        self.end();
        self.judge_edit();
    }
}

impl Protocol {
    /// RotateSecret refuses while AWSPENDING is on another version than AWSCURRENT.
    pub(crate) fn may_start(state: &State) -> bool {
        state.rotation.is_none() && state.pending.is_none_or(|pending| pending == state.current)
    }

    fn invoke(&self, state: &mut State, token: Id, step: Step, awaited: bool) {
        let current = state.current;
        match self.begin(state, token, step) {
            Course::On(next) => {
                state.invocations.push(Invocation { token, next, current, late: false, awaited });
            }
            course if awaited => state.hear(matches!(course, Course::Done)),
            Course::Done | Course::Failed => {}
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let value = Some(Login { user: 0, password: 0 });
        vec![State {
            versions: vec![Version { value, ..Version::default() }],
            current: 0,
            previous: None,
            pending: None,
            database: [Some(0), None],
            rotation: None,
            invocations: Vec::new(),
            rotations: 0,
            edits: 0,
            forgeries: 0,
            seen: Seen::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if Self::may_start(state) && state.rotations < self.rotations {
            actions.push(Action::Start);
        }
        let awaited = state.invocations.iter().any(|invocation| invocation.awaited);
        if awaited {
            actions.push(Action::GiveUp);
        }
        if state.invocations.len() < self.invocations {
            if state.rotation.is_some() && !awaited {
                actions.push(Action::Call);
            }
            for token in 1..state.versions.len() {
                actions
                    .extend([Step::Create, Step::Set, Step::Finish].map(|step| Action::Again(step, token)));
            }
        }
        for me in &state.invocations {
            if !self.waits(state, me) {
                actions.push(Action::Advance(*me));
                if me.awaited && matches!(me.next, Next::Put | Next::Commit | Next::Promote) {
                    actions.push(Action::LastCall(*me));
                }
            }
            actions.push(Action::Die(*me));
        }
        if state.forgeries < self.forgeries {
            let users = 0..self.users;
            actions.extend(users.clone().map(|user| Action::Forge(Forgery::Pending(user))));
            actions.extend(users.map(|user| Action::Forge(Forgery::Current(user))));
            let valued = (0..state.versions.len()).filter(|id| state.login(*id).is_some());
            for id in valued {
                actions.push(Action::Forge(Forgery::MovePending(id)));
                if id != state.current {
                    actions.push(Action::Forge(Forgery::MoveCurrent(id)));
                }
            }
        }
        if state.edits < self.edits {
            actions.extend([Edit::PutSame, Edit::PutWrong, Edit::PutReset].map(Action::Edit));
            let others = (0..state.versions.len()).filter(|id| *id != state.current);
            let valued = others.filter(|id| state.login(*id).is_some());
            actions.extend(valued.map(|id| Action::Edit(Edit::Move(id))));
            if state.pending.is_some() {
                actions.push(Action::Edit(Edit::Cancel));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Start => {
                let token = state.versions.len();
                state.versions.push(Version::default());
                state.pending = Some(token);
                state.rotation = Some((token, Step::Create));
                state.rotations += 1;
                state.seen.moved = false;
            }
            Action::Call => {
                let (token, step) = state.rotation?;
                self.invoke(&mut state, token, step, true);
            }
            Action::Again(step, token) => self.invoke(&mut state, token, step, false),
            Action::GiveUp => {
                state.invocations.iter_mut().for_each(|invocation| invocation.awaited = false);
                state.hear(false);
            }
            Action::Advance(me) | Action::LastCall(me) => {
                state.leave(&me)?;
                let course = self.act(&mut state, &me);
                state.judge(last, &me);
                match course {
                    Course::On(next) => state.invocations.push(Invocation { next, ..me }),
                    course if me.awaited && state.rotating(me.token) => {
                        state.hear(matches!((course, action), (Course::Done, Action::Advance(_))));
                    }
                    Course::Done | Course::Failed => {}
                }
            }
            Action::Die(me) => {
                if state.leave(&me)?.awaited {
                    state.hear(false);
                }
            }
            Action::Edit(edit) => state.edit(edit),
            Action::Forge(forgery) => state.forge(forgery),
        }
        state.invocations.sort_unstable();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties(self)
    }
}
