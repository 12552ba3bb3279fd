//! Runs of the protocol that a test can perform for real: one invocation at a time, to its end or its death.

use std::collections::{BTreeSet, VecDeque};

use stateright::Model;

use super::protocol::{Id, Next, Protocol, Step};
use super::world::{Action, Edit, State};

/// One action performed for real.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Start,
    Edit(Edit),
    /// A step is called.
    Step {
        token: Id,
        step: Step,
        /// Whether it is the service's call, in its turn.
        awaited: bool,
        /// The call at which the invocation dies, and whether that call still has its effect.
        death: Option<(Next, bool)>,
    },
}

/// An event and the resulting state.
pub(crate) type Stage = (Event, State);

/// Traces from the start that together cover every class of event within the bounds.
pub(crate) fn traces(protocol: &Protocol) -> Vec<Vec<Stage>> {
    let (mut done, mut traces) = (BTreeSet::new(), Vec::new());
    loop {
        let mut trace: Vec<Stage> = Vec::new();
        let mut state = protocol.init_states().remove(0);
        while let Some(path) = path_to_new(protocol, &state, &done) {
            for (event, after) in path {
                done.insert(class(&state, event));
                state = after.clone();
                trace.push((event, after));
            }
        }
        if trace.is_empty() {
            return traces;
        }
        traces.push(trace);
    }
}

/// The shortest path from a state through an event of an uncovered class.
fn path_to_new(protocol: &Protocol, from: &State, done: &BTreeSet<String>) -> Option<Vec<Stage>> {
    let mut queue = VecDeque::from([(from.clone(), Vec::new())]);
    let mut met = BTreeSet::from([situation(from)]);
    while let Some((state, path)) = queue.pop_front() {
        for (event, after) in events(protocol, &state) {
            let mut longer: Vec<Stage> = path.clone();
            longer.push((event, after.clone()));
            if !done.contains(&class(&state, event)) {
                return Some(longer);
            }
            if met.insert(situation(&after)) {
                queue.push_back((after, longer));
            }
        }
    }
    None
}

/// A trace as text, one event per line.
pub(crate) fn reported(trace: &[Stage]) -> String {
    trace.iter().map(|(event, _)| format!("{event:?}\n")).collect()
}

fn events(protocol: &Protocol, state: &State) -> Vec<Stage> {
    let mut actions = Vec::new();
    protocol.actions(state, &mut actions);
    // Events that use up the bounds come last.
    actions.sort_by_key(|action| matches!(action, Action::Start | Action::Edit(_)));
    let mut all = Vec::new();
    for action in actions {
        let mut now = protocol.next_state(state, action).unwrap_or_else(|| state.clone());
        let (token, step, awaited) = match action {
            Action::Start => {
                all.push((Event::Start, now));
                continue;
            }
            Action::Edit(edit) => {
                all.push((Event::Edit(edit), now));
                continue;
            }
            Action::Forge(_) => continue,
            Action::Again(step, token) => (token, step, false),
            _ => {
                let Some((token, step)) = state.rotation else { continue };
                (token, step, true)
            }
        };
        let event = |death| Event::Step { token, step, awaited, death };
        while let Some(me) = now.invocations.first().copied() {
            let run = |action| protocol.next_state(&now, action).unwrap_or_else(|| now.clone());
            all.push((event(Some((me.next, false))), run(Action::Die(me))));
            if matches!(me.next, Next::Put | Next::Commit | Next::Promote) {
                all.push((event(Some((me.next, true))), run(Action::LastCall(me))));
            }
            now = run(Action::Advance(me));
        }
        all.push((event(None), now));
    }
    all
}

fn situation(state: &State) -> String {
    let State { versions, current, previous, pending, database, rotation, edits, .. } = state;
    let versions: Vec<_> = versions.iter().map(|version| (version.value, version.note)).collect();
    format!("{versions:?} {current} {previous:?} {pending:?} {database:?} {rotation:?} {edits}")
}

/// An event's class: its situation, regardless of the versions.
fn class(state: &State, event: Event) -> String {
    let about = |id: Id| {
        let labels = [state.current == id, state.previous == Some(id), state.pending == Some(id)];
        let noted = state.versions[id].note.map(|from| from == state.current);
        (labels, state.login(id).is_some(), state.takes(id), noted)
    };
    let (what, id) = match event {
        Event::Start => ("Start".to_owned(), state.current),
        Event::Edit(Edit::Move(id)) => ("Move".to_owned(), id),
        Event::Edit(edit) => (format!("{edit:?}"), state.pending.unwrap_or(state.current)),
        Event::Step { token, step, awaited, death } => (format!("{step:?} {awaited} {death:?}"), token),
    };
    format!("{what} {:?} {:?}", about(id), state.takes(state.current))
}
