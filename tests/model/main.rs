//! The rotation protocol, checked in every state that retries, duplicates, deaths and edits lead to.
#![expect(clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod properties;
mod protocol;
mod world;

use std::collections::BTreeSet;
use std::time::Instant;

use properties::{
    CURRENT, CURRENT_OR_PENDING, ENDED, FINISHES, NOT_CHOSEN, NOT_EMPTY, NOT_PROMOTED, OVERWRITTEN, PREVIOUS,
    PROVED, SOME_LOGIN, UNDONE,
};
use protocol::{Guard, Protocol};
use stateright::{Checker, HasDiscoveries, Model};

/// Rotations, concurrent invocations, and edits; retries, deaths and duplicates are unlimited.
const BOUNDS: [(usize, usize, usize); 4] = [(2, 3, 0), (2, 3, 1), (3, 2, 1), (2, 2, 2)];

fn holds(users: usize) {
    for (rotations, invocations, edits) in BOUNDS {
        let begun = Instant::now();
        let protocol = Protocol { users, rotations, invocations, edits, forgeries: 0, without: None };
        let checker = protocol.checker().threads(2).spawn_bfs().join();
        println!("{protocol:?}: {} states in {:.1?}", checker.unique_state_count(), begun.elapsed());
        checker.assert_properties();
    }
}

#[test]
fn the_rotation_of_a_single_user_holds() {
    holds(1);
}

#[test]
fn the_rotation_of_alternating_users_holds() {
    holds(2);
}

/// Removes one guard and expects a property to fail.
#[track_caller]
fn needed(guard: Guard, users: usize, rotations: usize, edits: usize, property: &'static str) {
    let protocol = Protocol { users, rotations, invocations: 2, edits, forgeries: 0, without: Some(guard) };
    let found = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = protocol.checker().finish_when(found).spawn_bfs().join();
    assert!(checker.discovery(property).is_some(), "{property:?} holds without {guard:?}");
}

/// Rotations, concurrent invocations, a person's edits, and an adversary's writes.
const ATTACKED: [(usize, usize, usize, usize); 4] = [(1, 2, 0, 2), (2, 2, 0, 2), (1, 2, 1, 1), (1, 1, 0, 3)];

#[test]
fn an_adversary_who_may_write_the_secret_gets_no_login_of_its_choice() {
    for users in [1, 2] {
        for (rotations, invocations, edits, forgeries) in ATTACKED {
            let begun = Instant::now();
            let protocol = Protocol { users, rotations, invocations, edits, forgeries, without: None };
            let checker = protocol.checker().threads(2).spawn_bfs().join();
            println!("{protocol:?}: {} states in {:.1?}", checker.unique_state_count(), begun.elapsed());
            checker.assert_no_discovery(NOT_CHOSEN);
            checker.assert_no_discovery(NOT_PROMOTED);
            checker.assert_no_discovery(FINISHES);
        }
        for property in [NOT_CHOSEN, NOT_PROMOTED] {
            let protocol = Protocol {
                users,
                rotations: 1,
                invocations: 1,
                edits: 0,
                forgeries: 1,
                without: Some(Guard::Seal),
            };
            let found = HasDiscoveries::AllOf(BTreeSet::from([property]));
            let checker = protocol.checker().finish_when(found).spawn_bfs().join();
            assert!(checker.discovery(property).is_some(), "{property:?} holds without the seal");
        }
    }
}

#[test]
fn every_guard_is_needed() {
    for users in [1, 2] {
        needed(Guard::Immutable, users, 2, 1, SOME_LOGIN);
        needed(Guard::RotationToken, users, 1, 1, FINISHES);
        needed(Guard::TakenBack, users, 1, 1, OVERWRITTEN);
        needed(Guard::Rescue, users, 1, 1, FINISHES);
        needed(Guard::Lock, users, 2, 1, UNDONE);
        needed(Guard::Fence, users, 2, 1, UNDONE);
        needed(Guard::Proof, users, 1, 0, NOT_EMPTY);
        needed(Guard::Proof, users, 1, 0, PROVED);
        needed(Guard::RemoveFrom, users, 1, 1, OVERWRITTEN);
    }
    needed(Guard::NoteAtSet, 1, 1, 2, ENDED);
    needed(Guard::FenceCurrent, 1, 1, 2, ENDED);
    needed(Guard::NoteAtFinish, 1, 2, 1, OVERWRITTEN);
    needed(Guard::Proof, 1, 1, 0, CURRENT_OR_PENDING);
    // With alternating users, every second version has the same user: a failure may show only one rotation later.
    needed(Guard::Compare, 2, 2, 1, CURRENT);
    needed(Guard::FenceCurrent, 2, 2, 1, CURRENT);
    needed(Guard::NoteAtFinish, 2, 3, 1, OVERWRITTEN);
    needed(Guard::Immutable, 2, 2, 1, PREVIOUS);
}
