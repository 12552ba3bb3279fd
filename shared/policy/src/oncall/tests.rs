use serde_json::{Value, json};

use super::*;
use crate::tests::refused;
use crate::{Area, Policy, Responsible};

const BACKEND: &str = "Squad Backend";
const DADOS: &str = "Squad Dados";
const INFRA: &str = "Squad Infra";

/// Five people who can be reached, and these squads.
fn policy(squads: Value) -> Policy {
    Policy::of(&json!({"incidents": {"people": people(), "squads": squads}})).unwrap()
}

fn people() -> Value {
    json!({
        "Ana": {"slack": "U00000ANA"},
        "Bruno": {"slack": "U00000BRUNO"},
        "Carla": {"slack": "W00000CARLA"},
        "Davi": {"email": "davi@example.org"},
        "Eva": {"phone": "+5511912345678", "phone_verified": true}
    })
}

fn weekly(people: Value, second: Value) -> Value {
    json!({
        "every": "weekly", "weekday": "monday", "at": "09:00", "starts": "2026-11-30",
        "people": people, "second": second
    })
}

fn daily(at: &str, starts: &str, people: Value) -> Value {
    json!({"every": "daily", "at": at, "starts": starts, "people": people})
}

fn cover(from: &str, until: &str, person: &str) -> Value {
    json!({"from": from, "until": until, "person": person, "reason": "férias"})
}

/// An instant: of UTC with a `Z`, otherwise of São Paulo.
fn at(text: &str) -> Timestamp {
    if text.ends_with('Z') { text.parse().unwrap() } else { instant(text.parse().unwrap()) }
}

fn local(at: Option<Timestamp>) -> String {
    let text = |at: Timestamp| at.to_zoned_datetime(SAO_PAULO).strftime("%Y-%m-%dT%H:%M").to_string();
    at.map(text).unwrap_or_default()
}

fn line(shift: &Shift<'_>) -> String {
    let why = match shift.why {
        Why::Rotation => "rotation",
        Why::Override { reason } => reason,
        Why::Contacts => "contacts",
    };
    let (person, second) = (shift.person.unwrap_or("nobody"), shift.second.unwrap_or("nobody"));
    format!("{person}, {second}: {} to {}, {why}", local(shift.from), local(shift.until))
}

/// Each row: an instant and Squad Backend's shift.
#[track_caller]
fn shifts(squad: Value, table: &[(&str, &str)]) {
    let policy = policy(json!({BACKEND: squad}));
    for (now, expected) in table {
        assert_eq!(line(&on_call(&policy, BACKEND, at(now))), *expected, "{now}");
    }
}

#[test]
fn a_weekly_rotation_changes_at_the_instant_of_its_hand_over() {
    let rotation = weekly(json!(["Ana", "Bruno", "Carla"]), json!(["Bruno", "Carla", "Ana"]));
    shifts(
        json!({"rotation": rotation}),
        &[
            ("2020-01-01T00:00:00", "nobody, nobody:  to 2026-11-30T09:00, contacts"),
            ("2026-11-30T00:00:00", "nobody, nobody:  to 2026-11-30T09:00, contacts"),
            ("2026-11-30T08:59:59", "nobody, nobody:  to 2026-11-30T09:00, contacts"),
            ("2026-11-30T09:00:00", "Ana, Bruno: 2026-11-30T09:00 to 2026-12-07T09:00, rotation"),
            ("2026-11-30T11:59:59Z", "nobody, nobody:  to 2026-11-30T09:00, contacts"),
            ("2026-11-30T12:00:00Z", "Ana, Bruno: 2026-11-30T09:00 to 2026-12-07T09:00, rotation"),
            ("2026-12-06T23:59:59", "Ana, Bruno: 2026-11-30T09:00 to 2026-12-07T09:00, rotation"),
            ("2026-12-07T08:59:59", "Ana, Bruno: 2026-11-30T09:00 to 2026-12-07T09:00, rotation"),
            ("2026-12-07T09:00:00", "Bruno, Carla: 2026-12-07T09:00 to 2026-12-14T09:00, rotation"),
            ("2026-12-14T09:00:00", "Carla, Ana: 2026-12-14T09:00 to 2026-12-21T09:00, rotation"),
            ("2026-12-21T08:59:59", "Carla, Ana: 2026-12-14T09:00 to 2026-12-21T09:00, rotation"),
            ("2026-12-21T09:00:00", "Ana, Bruno: 2026-12-21T09:00 to 2026-12-28T09:00, rotation"),
            // The year changes inside a turn.
            ("2026-12-31T23:59:59", "Bruno, Carla: 2026-12-28T09:00 to 2027-01-04T09:00, rotation"),
            ("2027-01-01T00:00:00", "Bruno, Carla: 2026-12-28T09:00 to 2027-01-04T09:00, rotation"),
            ("2027-01-04T08:59:59", "Bruno, Carla: 2026-12-28T09:00 to 2027-01-04T09:00, rotation"),
            ("2027-01-04T09:00:00", "Carla, Ana: 2027-01-04T09:00 to 2027-01-11T09:00, rotation"),
        ],
    );
}

#[test]
fn a_daily_rotation_may_change_at_either_end_of_a_day() {
    // A leap day.
    shifts(
        json!({"rotation": daily("00:00", "2028-02-28", json!(["Ana", "Bruno", "Carla"]))}),
        &[
            ("2028-02-27T23:59:59", "nobody, nobody:  to 2028-02-28T00:00, contacts"),
            ("2028-02-28T00:00:00", "Ana, nobody: 2028-02-28T00:00 to 2028-02-29T00:00, rotation"),
            ("2028-02-28T23:59:59", "Ana, nobody: 2028-02-28T00:00 to 2028-02-29T00:00, rotation"),
            ("2028-02-29T00:00:00", "Bruno, nobody: 2028-02-29T00:00 to 2028-03-01T00:00, rotation"),
            ("2028-02-29T23:59:59", "Bruno, nobody: 2028-02-29T00:00 to 2028-03-01T00:00, rotation"),
            ("2028-03-01T00:00:00", "Carla, nobody: 2028-03-01T00:00 to 2028-03-02T00:00, rotation"),
        ],
    );
    shifts(
        json!({"rotation": daily("23:59", "2026-12-30", json!(["Ana", "Bruno"]))}),
        &[
            ("2026-12-30T23:58:59", "nobody, nobody:  to 2026-12-30T23:59, contacts"),
            ("2026-12-30T23:59:00", "Ana, nobody: 2026-12-30T23:59 to 2026-12-31T23:59, rotation"),
            ("2026-12-31T00:00:00", "Ana, nobody: 2026-12-30T23:59 to 2026-12-31T23:59, rotation"),
            ("2026-12-31T23:58:59", "Ana, nobody: 2026-12-30T23:59 to 2026-12-31T23:59, rotation"),
            ("2026-12-31T23:59:00", "Bruno, nobody: 2026-12-31T23:59 to 2027-01-01T23:59, rotation"),
            ("2027-01-01T00:00:00", "Bruno, nobody: 2026-12-31T23:59 to 2027-01-01T23:59, rotation"),
            ("2027-01-01T23:59:00", "Ana, nobody: 2027-01-01T23:59 to 2027-01-02T23:59, rotation"),
        ],
    );
}

/// São Paulo last changed its clocks in February 2019.
#[test]
fn a_hand_over_follows_the_clocks_of_the_zone() {
    // 2018-11-04 begins at 01:00.
    shifts(
        json!({"rotation": daily("00:00", "2018-11-03", json!(["Ana", "Bruno"]))}),
        &[
            ("2018-11-04T02:59:59Z", "Ana, nobody: 2018-11-03T00:00 to 2018-11-04T01:00, rotation"),
            ("2018-11-04T03:00:00Z", "Bruno, nobody: 2018-11-04T01:00 to 2018-11-05T00:00, rotation"),
            ("2018-11-05T01:59:59Z", "Bruno, nobody: 2018-11-04T01:00 to 2018-11-05T00:00, rotation"),
            ("2018-11-05T02:00:00Z", "Ana, nobody: 2018-11-05T00:00 to 2018-11-06T00:00, rotation"),
        ],
    );
    // 2019-02-16 has the hour from 23:00 twice.
    shifts(
        json!({"rotation": daily("23:30", "2019-02-16", json!(["Ana", "Bruno"]))}),
        &[
            ("2019-02-17T01:29:59Z", "nobody, nobody:  to 2019-02-16T23:30, contacts"),
            ("2019-02-17T01:30:00Z", "Ana, nobody: 2019-02-16T23:30 to 2019-02-17T23:30, rotation"),
            ("2019-02-17T02:00:00Z", "Ana, nobody: 2019-02-16T23:30 to 2019-02-17T23:30, rotation"),
            ("2019-02-18T02:29:59Z", "Ana, nobody: 2019-02-16T23:30 to 2019-02-17T23:30, rotation"),
            ("2019-02-18T02:30:00Z", "Bruno, nobody: 2019-02-17T23:30 to 2019-02-18T23:30, rotation"),
        ],
    );
}

#[test]
fn a_rotation_may_have_one_person_or_nobody() {
    shifts(
        json!({"rotation": weekly(json!(["Ana"]), json!(["Ana"]))}),
        &[
            ("2026-12-07T08:59:59", "Ana, nobody: 2026-11-30T09:00 to 2026-12-07T09:00, rotation"),
            ("2026-12-07T09:00:00", "Ana, nobody: 2026-12-07T09:00 to 2026-12-14T09:00, rotation"),
        ],
    );
    let nobody = "nobody, nobody:  to , contacts";
    let empty = json!({"rotation": weekly(json!([]), json!(["Ana"]))});
    shifts(empty, &[("2026-11-30T09:00:00", nobody), ("2027-01-01T00:00:00", nobody)]);
    shifts(json!({}), &[("2026-11-30T09:00:00", nobody)]);
    assert_eq!(line(&on_call(&policy(json!({})), "Squad Nova", at("2026-11-30T09:00:00"))), nobody);
}

#[test]
fn the_second_is_never_the_person_on_call() {
    shifts(
        json!({"rotation": weekly(json!(["Ana", "Bruno", "Carla"]), json!(["Ana", "Davi"]))}),
        &[
            ("2026-11-30T09:00:00", "Ana, nobody: 2026-11-30T09:00 to 2026-12-07T09:00, rotation"),
            ("2026-12-07T09:00:00", "Bruno, Davi: 2026-12-07T09:00 to 2026-12-14T09:00, rotation"),
            ("2026-12-14T09:00:00", "Carla, Ana: 2026-12-14T09:00 to 2026-12-21T09:00, rotation"),
            ("2026-12-21T09:00:00", "Ana, Davi: 2026-12-21T09:00 to 2026-12-28T09:00, rotation"),
        ],
    );
}

#[test]
fn an_override_replaces_the_rotation_from_its_first_instant_until_its_end() {
    let mut inside = cover("2026-12-02T18:00", "2026-12-03T08:00", "Carla");
    inside["second"] = "Davi".into();
    shifts(
        json!({"rotation": weekly(json!(["Ana", "Bruno", "Carla"]), json!([])), "overrides": [
            cover("2026-12-24T18:00", "2027-01-05T10:00", "Eva"),
            inside,
            cover("2026-12-07T09:00", "2026-12-14T09:00", "Davi"),
        ]}),
        &[
            // Inside a turn.
            ("2026-12-02T17:59:59", "Ana, nobody: 2026-11-30T09:00 to 2026-12-02T18:00, rotation"),
            ("2026-12-02T18:00:00", "Carla, Davi: 2026-12-02T18:00 to 2026-12-03T08:00, férias"),
            ("2026-12-03T07:59:59", "Carla, Davi: 2026-12-02T18:00 to 2026-12-03T08:00, férias"),
            ("2026-12-03T08:00:00", "Ana, nobody: 2026-12-03T08:00 to 2026-12-07T09:00, rotation"),
            // From one hand-over to the next.
            ("2026-12-07T08:59:59", "Ana, nobody: 2026-12-03T08:00 to 2026-12-07T09:00, rotation"),
            ("2026-12-07T09:00:00", "Davi, nobody: 2026-12-07T09:00 to 2026-12-14T09:00, férias"),
            ("2026-12-14T08:59:59", "Davi, nobody: 2026-12-07T09:00 to 2026-12-14T09:00, férias"),
            ("2026-12-14T09:00:00", "Carla, nobody: 2026-12-14T09:00 to 2026-12-21T09:00, rotation"),
            // Over two hand-overs and the change of the year; the turns go on meanwhile.
            ("2026-12-24T17:59:59", "Ana, nobody: 2026-12-21T09:00 to 2026-12-24T18:00, rotation"),
            ("2026-12-24T18:00:00", "Eva, nobody: 2026-12-24T18:00 to 2027-01-05T10:00, férias"),
            ("2026-12-28T09:00:00", "Eva, nobody: 2026-12-24T18:00 to 2027-01-05T10:00, férias"),
            ("2027-01-05T09:59:59", "Eva, nobody: 2026-12-24T18:00 to 2027-01-05T10:00, férias"),
            ("2027-01-05T10:00:00", "Carla, nobody: 2027-01-05T10:00 to 2027-01-11T09:00, rotation"),
        ],
    );
}

#[test]
fn an_override_has_its_own_second_or_those_of_the_turns() {
    shifts(
        json!({
            "rotation": weekly(json!(["Ana", "Bruno", "Carla"]), json!(["Davi", "Eva"])),
            "overrides": [cover("2026-12-24T18:00", "2027-01-05T10:00", "Eva")]
        }),
        &[
            ("2026-12-24T17:59:59", "Ana, Eva: 2026-12-21T09:00 to 2026-12-24T18:00, rotation"),
            ("2026-12-24T18:00:00", "Eva, nobody: 2026-12-24T18:00 to 2026-12-28T09:00, férias"),
            ("2026-12-28T09:00:00", "Eva, Davi: 2026-12-28T09:00 to 2027-01-04T09:00, férias"),
            ("2027-01-04T09:00:00", "Eva, nobody: 2027-01-04T09:00 to 2027-01-05T10:00, férias"),
            ("2027-01-05T10:00:00", "Carla, Eva: 2027-01-05T10:00 to 2027-01-11T09:00, rotation"),
        ],
    );
    let mut own = cover("2026-12-24T18:00", "2027-01-05T10:00", "Eva");
    own["second"] = "Carla".into();
    let whole = "Eva, Carla: 2026-12-24T18:00 to 2027-01-05T10:00, férias";
    shifts(
        json!({"rotation": weekly(json!(["Ana", "Bruno"]), json!(["Davi"])), "overrides": [own]}),
        &[("2026-12-24T18:00:00", whole), ("2026-12-28T09:00:00", whole), ("2027-01-05T09:59:59", whole)],
    );
}

#[test]
fn an_override_needs_no_rotation() {
    let overrides = json!([
        cover("2026-12-01T00:00", "2026-12-02T00:00", "Ana"),
        cover("2026-12-02T00:00", "2026-12-03T00:00", "Bruno")
    ]);
    shifts(
        json!({"overrides": overrides}),
        &[
            ("2026-11-30T23:59:59", "nobody, nobody:  to 2026-12-01T00:00, contacts"),
            ("2026-12-01T00:00:00", "Ana, nobody: 2026-12-01T00:00 to 2026-12-02T00:00, férias"),
            ("2026-12-02T00:00:00", "Bruno, nobody: 2026-12-02T00:00 to 2026-12-03T00:00, férias"),
            ("2026-12-03T00:00:00", "nobody, nobody: 2026-12-03T00:00 to , contacts"),
        ],
    );
    shifts(
        json!({"rotation": daily("09:00", "2026-12-07", json!(["Carla"])), "overrides": overrides}),
        &[
            ("2026-12-02T23:59:59", "Bruno, nobody: 2026-12-02T00:00 to 2026-12-03T00:00, férias"),
            ("2026-12-03T00:00:00", "nobody, nobody: 2026-12-03T00:00 to 2026-12-07T09:00, contacts"),
            ("2026-12-07T09:00:00", "Carla, nobody: 2026-12-07T09:00 to 2026-12-08T09:00, rotation"),
        ],
    );
}

/// Two squads: one changes weekly, the other daily with an override; a third has nobody.
fn two_rotations() -> Policy {
    policy(json!({
        BACKEND: {"rotation": weekly(json!(["Ana", "Bruno"]), json!(["Bruno", "Ana"]))},
        DADOS: {
            "rotation": daily("09:00", "2026-12-05", json!(["Carla", "Davi"])),
            "overrides": [cover("2026-12-06T12:00", "2026-12-07T12:00", "Eva")]
        },
        INFRA: {"contacts": [{"slack": "S0000INFRA"}]}
    }))
}

#[test]
fn next_is_the_shift_that_begins_when_this_one_ends() {
    let policy = two_rotations();
    let next = |squad: &str, now: &str| next(&policy, squad, at(now)).as_ref().map(line).unwrap_or_default();
    for (squad, now, expected) in [
        (BACKEND, "2026-11-30T08:59:59", "Ana, Bruno: 2026-11-30T09:00 to 2026-12-07T09:00, rotation"),
        (BACKEND, "2026-11-30T09:00:00", "Bruno, Ana: 2026-12-07T09:00 to 2026-12-14T09:00, rotation"),
        (DADOS, "2026-12-05T09:00:00", "Davi, nobody: 2026-12-06T09:00 to 2026-12-06T12:00, rotation"),
        (DADOS, "2026-12-06T11:59:59", "Eva, nobody: 2026-12-06T12:00 to 2026-12-07T12:00, férias"),
        (DADOS, "2026-12-06T12:00:00", "Carla, nobody: 2026-12-07T12:00 to 2026-12-08T09:00, rotation"),
        (INFRA, "2026-12-06T12:00:00", ""),
        ("Squad Nova", "2026-12-06T12:00:00", ""),
    ] {
        assert_eq!(next(squad, now), expected, "{squad} {now}");
    }
}

#[test]
fn a_change_is_the_next_shift_of_other_people() {
    let policy = policy(json!({
        BACKEND: {"rotation": weekly(json!(["Ana", "Bruno"]), json!(["Bruno", "Ana"]))},
        DADOS: {
            "rotation": daily("09:00", "2026-12-05", json!(["Carla", "Carla", "Davi"])),
            "overrides": [cover("2026-12-06T12:00", "2026-12-07T12:00", "Carla")]
        },
        INFRA: {"rotation": daily("09:00", "2026-12-05", json!(["Eva"]))}
    }));
    for (squad, now, expected) in [
        (BACKEND, "2026-11-30T08:59:59", "2026-11-30T09:00 Ana, Bruno"),
        (BACKEND, "2026-11-30T09:00:00", "2026-12-07T09:00 Bruno, Ana"),
        // Carla's two turns, and then an override of hers, which begins before Davi's turn and ends in it.
        (DADOS, "2026-12-05T09:00:00", "2026-12-07T12:00 Davi, nobody"),
        (DADOS, "2026-12-07T11:59:59", "2026-12-07T12:00 Davi, nobody"),
        (DADOS, "2026-12-07T12:00:00", "2026-12-08T09:00 Carla, nobody"),
        // Before the first turn nobody is on call, and a rotation of one never changes.
        (INFRA, "2026-12-05T08:59:59", "2026-12-05T09:00 Eva, nobody"),
        (INFRA, "2026-12-05T09:00:00", ""),
        ("Squad Nova", "2026-12-05T09:00:00", ""),
    ] {
        let found = change(&policy, squad, at(now)).map(|(from, shift)| {
            let (person, second) = shift.people();
            let (person, second) = (person.unwrap_or("nobody"), second.unwrap_or("nobody"));
            format!("{} {person}, {second}", local(Some(from)))
        });
        assert_eq!(found.unwrap_or_default(), expected, "{squad} {now}");
    }
}

#[test]
fn a_group_is_refused_that_is_none_or_has_other_uses() {
    let squads = |backend: Value, infra: Value| {
        json!({"incidents": {"people": people(), "squads": {BACKEND: backend, INFRA: infra}}}).to_string()
    };
    let with = |group: &str| json!({"group": group});
    let path = "incidents.squads.Squad Backend.group";
    assert!(squads(with("S0000GROUP"), with("S0001GROUP")).parse::<Policy>().is_ok());
    for wrong in ["", "U00000ANA", "@plantao", "<!subteam^S0000GROUP>"] {
        refused(&squads(with(wrong), json!({})), path, "begins with S");
    }
    let contact = json!({"contacts": [{"email": "infra@example.org"}, {"slack": "S0000GROUP"}]});
    refused(&squads(with("S0000GROUP"), contact), path, "is also a contact");
    let infra = "incidents.squads.Squad Infra.group";
    refused(&squads(with("S0000GROUP"), with("S0000GROUP")), infra, "another squad's");
}

/// Each row: the local time, minutes since the page, and whom it must have reached.
#[track_caller]
fn pages(policy: &Policy, primary: &str, backup: &str, table: &[(&str, u32, &str)]) {
    let responsible = Responsible { primary: primary.to_owned(), backup: backup.to_owned() };
    for (now, minutes, expected) in table {
        let page =
            Page { responsible: &responsible, minutes: *minutes, wait_minutes: 5, is_acknowledged: false };
        let found: Vec<String> = targets(policy, &page, at(now))
            .iter()
            .map(|target| {
                let (squad, contact) = (target.squad.trim_start_matches("Squad "), target.contact);
                let address = contact.slack.as_deref().or(contact.email.as_deref());
                let who = target.person.or(address).or(contact.phone.as_deref()).unwrap();
                format!("{:?} {who} of {squad}", target.role)
            })
            .collect();
        assert_eq!(found.join(", "), *expected, "{now} {minutes}");
        let acknowledged = Page { is_acknowledged: true, ..page };
        assert!(targets(policy, &acknowledged, at(now)).is_empty(), "{now} {minutes}");
    }
}

#[test]
fn a_page_reaches_the_person_on_call_then_the_second_then_the_backup() {
    let policy = two_rotations();
    let all = "OnCall Ana of Backend, Second Bruno of Backend, Backup Davi of Dados";
    pages(
        &policy,
        BACKEND,
        DADOS,
        &[
            ("2026-12-06T10:00:00", 0, "OnCall Ana of Backend"),
            ("2026-12-06T10:00:00", 4, "OnCall Ana of Backend"),
            ("2026-12-06T10:00:00", 5, "OnCall Ana of Backend, Second Bruno of Backend"),
            ("2026-12-06T10:00:00", 9, "OnCall Ana of Backend, Second Bruno of Backend"),
            ("2026-12-06T10:00:00", 10, all),
            ("2026-12-06T10:00:00", u32::MAX, all),
            // An unanswered page goes to those on call now.
            (
                "2026-12-07T08:59:59",
                10,
                "OnCall Ana of Backend, Second Bruno of Backend, Backup Eva of Dados",
            ),
            (
                "2026-12-07T09:00:00",
                10,
                "OnCall Bruno of Backend, Second Ana of Backend, Backup Eva of Dados",
            ),
        ],
    );
    // Without a second, the backup takes its place; without a rotation, the contacts.
    pages(
        &policy,
        DADOS,
        INFRA,
        &[
            ("2026-12-06T12:00:00", 4, "OnCall Eva of Dados"),
            ("2026-12-06T12:00:00", 5, "OnCall Eva of Dados, Backup S0000INFRA of Infra"),
            ("2026-12-06T12:00:00", 99, "OnCall Eva of Dados, Backup S0000INFRA of Infra"),
        ],
    );
    pages(
        &policy,
        INFRA,
        BACKEND,
        &[
            ("2026-12-06T12:00:00", 0, "OnCall S0000INFRA of Infra"),
            ("2026-12-06T12:00:00", 5, "OnCall S0000INFRA of Infra, Backup Ana of Backend"),
        ],
    );
    // A squad that nobody can reach costs no time.
    let security = "Squad Security";
    pages(
        &policy,
        security,
        BACKEND,
        &[
            ("2026-12-06T12:00:00", 0, "Backup Ana of Backend"),
            ("2026-12-06T12:00:00", 99, "Backup Ana of Backend"),
        ],
    );
    pages(&policy, "Squad Nova", security, &[("2026-12-06T12:00:00", 0, "")]);
    pages(&policy, INFRA, INFRA, &[("2026-12-06T12:00:00", 99, "OnCall S0000INFRA of Infra")]);
}

#[test]
fn contacts_stand_in_for_whoever_cannot_be_reached() {
    let mut people = people();
    people["Ana"] = json!({});
    people["Bruno"] = json!({"phone": "+5511900000000"});
    let policy = Policy::of(&json!({"incidents": {"people": people, "squads": {
        BACKEND: {
            "rotation": weekly(json!(["Ana", "Bruno", "Carla"]), json!(["Bruno", "Ana", "Davi"])),
            "contacts": [{"email": "backend@example.org"}, {"phone": "+551133334444"}]
        },
        DADOS: {"rotation": weekly(json!(["Carla"]), json!([])), "contacts": [{"slack": "S0000DADOS"}]}
    }}}))
    .unwrap();
    let contacts = "OnCall backend@example.org of Backend, OnCall +551133334444 of Backend";
    let (ana, bruno) = ("2026-11-30T09:00:00", "2026-12-07T09:00:00");
    let carla = "2026-12-14T09:00:00";
    pages(
        &policy,
        BACKEND,
        DADOS,
        &[
            // Before the first hand-over.
            ("2026-11-30T08:59:59", 0, contacts),
            // Without any address.
            (ana, 0, contacts),
            // An unverified number is tried, but nobody waits for it.
            (ana, 5, &format!("{contacts}, Second Bruno of Backend, Backup Carla of Dados")),
            (bruno, 0, &format!("OnCall Bruno of Backend, {contacts}")),
            (bruno, 5, &format!("OnCall Bruno of Backend, {contacts}, Backup Carla of Dados")),
            // The backup's person was paged already: that squad's contacts.
            (carla, 0, "OnCall Carla of Backend"),
            (carla, 5, "OnCall Carla of Backend, Second Davi of Backend"),
            (carla, 10, "OnCall Carla of Backend, Second Davi of Backend, Backup S0000DADOS of Dados"),
        ],
    );
    // Contacts do not stand in for an absent second.
    let backup =
        "Backup Bruno of Backend, Backup backend@example.org of Backend, Backup +551133334444 of Backend";
    pages(
        &policy,
        DADOS,
        BACKEND,
        &[(bruno, 4, "OnCall Carla of Dados"), (bruno, 5, &format!("OnCall Carla of Dados, {backup}"))],
    );
}

#[track_caller]
fn found(policy: &Policy, from: &str, until: &str, expected: &[&str]) {
    let squads = [BACKEND, DADOS, "Squad Nova"];
    let text = |one: &Finding<'_>| {
        let (kind, person) = (one.kind.name(), one.person.unwrap_or("-"));
        format!("{kind} {} {person} {} {}", one.squad, local(Some(one.from)), local(Some(one.until)))
    };
    let found = findings(policy, at(from), at(until));
    let found: Vec<_> = found.iter().filter(|one| squads.contains(&one.squad)).map(text).collect();
    assert_eq!(found, expected);
}

#[test]
fn findings_name_what_would_keep_a_page_from_arriving() {
    let mut people = people();
    people["Ana"] = json!({});
    people["Bruno"] = json!({"phone": "+5511900000000"});
    people["Carla"] = json!({"email": "carla@example.org", "phone": "+5511900000001"});
    let of = |squads: Value| Policy::of(&json!({"incidents": {"people": people, "squads": squads}})).unwrap();
    let fine = json!({"contacts": [{"slack": "S0000DADOS"}]});
    let (from, until) = ("2026-11-30T12:00", "2026-12-14T12:00");

    let two = json!({"rotation": weekly(json!(["Ana", "Bruno", "Davi"]), json!(["Eva", "Ana", "Carla"]))});
    let policy = of(json!({BACKEND: two, DADOS: fine}));
    found(
        &policy,
        from,
        until,
        &[
            "PersonUnreachable Squad Backend Ana 2026-11-30T12:00 2026-12-07T09:00",
            "PersonUnreachable Squad Backend Bruno 2026-12-07T09:00 2026-12-14T09:00",
            "PhoneUnverified Squad Backend Bruno 2026-12-07T09:00 2026-12-14T09:00",
            "PhoneUnverified Squad Backend Carla 2026-12-14T09:00 2026-12-14T12:00",
        ],
    );
    // The end does not belong to the time, and who is not on call in it does not matter.
    let ana = "PersonUnreachable Squad Backend Ana 2026-11-30T12:00 2026-12-07T09:00";
    found(&policy, from, "2026-12-07T09:00", &[ana]);
    found(
        &policy,
        "2026-11-30T08:59:59",
        "2026-11-30T09:00:00",
        &["RotationGap Squad Backend - 2026-11-30T08:59 2026-11-30T09:00"],
    );

    // A gap before the first hand-over, around an override; one of an empty rotation.
    let late = json!({
        "rotation": daily("09:00", "2026-12-05", json!(["Davi"])),
        "overrides": [cover("2026-12-01T00:00", "2026-12-02T00:00", "Eva")]
    });
    found(
        &of(json!({BACKEND: late, DADOS: {"rotation": weekly(json!([]), json!([]))}})),
        from,
        until,
        &[
            "RotationGap Squad Backend - 2026-11-30T12:00 2026-12-01T00:00",
            "RotationGap Squad Backend - 2026-12-02T00:00 2026-12-05T09:00",
            "RotationGap Squad Dados - 2026-11-30T12:00 2026-12-14T12:00",
        ],
    );

    // Contacts alone are enough if one of them can be reached.
    let number =
        |verified: bool| json!({"contacts": [{"phone": "+551133334444", "phone_verified": verified}]});
    found(&of(json!({BACKEND: number(true), DADOS: fine})), from, until, &[]);
    found(
        &of(json!({BACKEND: number(false), DADOS: {}})),
        from,
        until,
        &[
            "PhoneUnverified Squad Backend - 2026-11-30T12:00 2026-12-14T12:00",
            "SquadUnreachable Squad Backend - 2026-11-30T12:00 2026-12-14T12:00",
            "SquadUnreachable Squad Dados - 2026-11-30T12:00 2026-12-14T12:00",
        ],
    );
}

#[test]
fn a_squad_that_the_policy_does_not_list_is_a_finding() {
    let patch = json!({
        "inventory": {"areas": {"database": {"responsible": {"primary": "Squad Nova"}}}},
        "rotation": {"secrets": {"key": {
            "max_age_days": 30, "responsible": {"primary": "Squad Um", "backup": "Squad Dois"}
        }}},
        "incidents": {"squads": {"Squad Backend": null}}
    });
    let policy = Policy::of(&patch).unwrap();
    let found = findings(&policy, at("2026-11-30T00:00"), at("2026-12-01T00:00"));
    let unknown: Vec<_> =
        found.iter().filter(|one| one.kind == Kind::SquadUnknown).map(|one| one.squad).collect();
    assert_eq!(unknown, [BACKEND, "Squad Dois", "Squad Nova", "Squad Um"]);
}

#[test]
fn the_defaults_list_the_inventorys_squads_and_invent_nobody() {
    let policy: Policy = "".parse().unwrap();
    assert!(policy.incidents.people.is_empty());
    assert!(policy.incidents.squads.values().all(|squad| *squad == Squad::default()));
    for team in Area::ALL.map(|area| policy.responsible(area)) {
        for squad in [&team.primary, &team.backup] {
            assert!(policy.incidents.squads.contains_key(squad), "{squad}");
        }
    }
    let found = findings(&policy, at("2026-11-30T00:00"), at("2026-12-01T00:00"));
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|one| one.kind == Kind::SquadUnreachable), "{found:?}");
}

/// The page's example is accepted as it stands, and each finding has its row.
#[test]
fn the_page_for_operators_is_right() {
    let page = include_str!("../../../../docs/politica.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Quem está de plantão")).unwrap();
    let example = section.split("```").nth(1).unwrap().strip_prefix("json").unwrap();
    let policy: Policy = example.parse().unwrap();
    let found = findings(&policy, at("2026-12-07T09:00"), at("2026-12-28T09:00"));
    let kinds: Vec<_> =
        found.iter().filter(|one| one.squad == INFRA).map(|one| (one.kind, one.person)).collect();
    assert_eq!(kinds, [(Kind::PhoneUnverified, Some("Carla Souza"))]);
    let christmas = on_call(&policy, INFRA, at("2026-12-24T18:00"));
    assert_eq!((christmas.person, christmas.second), (Some("Carla Souza"), Some("Bruno Reis")));
    for kind in Kind::ALL {
        assert!(section.contains(&format!("| `{}` |", kind.name())), "{kind:?}");
    }
}

#[test]
fn kinds_keep_their_names() {
    let names = Kind::ALL.map(Kind::name);
    let expected =
        ["PersonUnreachable", "PhoneUnverified", "RotationGap", "SquadUnreachable", "SquadUnknown"];
    assert_eq!(names, expected);
}

/// A patch with the people, and this squad.
fn squad(squad: Value) -> String {
    json!({"incidents": {"people": people(), "squads": {BACKEND: squad}}}).to_string()
}

#[test]
fn a_patch_changes_one_thing_and_keeps_the_rest() {
    let mut base = json!({"incidents": {"people": people(), "squads": {
        BACKEND: {"rotation": weekly(json!(["Ana", "Bruno"]), json!(["Bruno"]))}
    }}});
    crate::merge(
        &mut base,
        json!({"incidents": {
            "people": {"Ana": {"email": "ana@example.org"}},
            "squads": {BACKEND: {"rotation": {"at": "10:30", "second": null}}, "Squad Nova": {}}
        }}),
    );
    let incidents = Policy::of(&base).unwrap().incidents;
    let ana = &incidents.people["Ana"];
    assert_eq!((ana.slack.as_deref(), ana.email.as_deref()), (Some("U00000ANA"), Some("ana@example.org")));
    let rotation = incidents.squads[BACKEND].rotation.as_ref().unwrap();
    assert_eq!((rotation.people.len(), rotation.second.len()), (2, 0));
    assert_eq!(rotation.at.to_string(), "10:30:00");
    assert_eq!(incidents.squads.len(), 6);
}

#[test]
fn a_wrong_contact_is_refused_with_the_path() {
    let person =
        |field: &str, value: Value| json!({"incidents": {"people": {"Ana": {field: value}}}}).to_string();
    let contact =
        |field: &str, value: Value| squad(json!({"contacts": [{"slack": "U00000ANA"}, {field: value}]}));
    let group = json!("S0000GROUP");
    refused(&person("slack", group.clone()), "incidents.people.Ana.slack", "begins with U or W");
    assert!(contact("slack", group).parse::<Policy>().is_ok());
    let table: [(&str, &str, &[&str], &[&str]); 3] = [
        (
            "slack",
            "a Slack id",
            &["U0123ABCD", "W0123ABCDEF"],
            &[
                "",
                "U",
                "U0123ABC",
                "u0123abcd",
                "C0123ABCD",
                "@ana.lima",
                "U0123 ABC",
                "U0123ABCD0123ABCD0123",
            ],
        ),
        (
            "email",
            "an e-mail address",
            &["ana@example.org", "ana.lima+plantao@mail.example.org", "o'neil@example.org"],
            &[
                "",
                "ana",
                "ana@",
                "@example.org",
                "ana@example",
                "ana@@example.org",
                "ana@example..org",
                "ana lima@example.org",
                ".ana@example.org",
                "ana@example.org\n",
                "Ana <ana@example.org>",
                "ana@example.org,b@example.org",
                "aná@example.org",
            ],
        ),
        (
            "phone",
            "E.164",
            &["+5511912345678", "+12025550123", "+12345678", "+123456789012345"],
            &[
                "",
                "+",
                "5511912345678",
                "+0511912345678",
                "+55 11 91234-5678",
                "+1234567",
                "+1234567890123456",
                "+55119123456a8",
                "+५५११९१२३४५६७८",
            ],
        ),
    ];
    for (field, reason, fine, wrong) in table {
        for value in fine {
            for patch in [person(field, json!(value)), contact(field, json!(value))] {
                let parsed = patch.parse::<Policy>();
                assert!(parsed.is_ok(), "{value}: {:?}", parsed.err());
            }
        }
        for value in wrong {
            refused(&person(field, json!(value)), &format!("incidents.people.Ana.{field}"), reason);
            let path = format!("incidents.squads.Squad Backend.contacts[1].{field}");
            refused(&contact(field, json!(value)), &path, reason);
        }
    }
    refused(
        &person("phone_verified", json!(true)),
        "incidents.people.Ana.phone_verified",
        "there is no phone",
    );
    let twice =
        json!({"incidents": {"people": {"Ana": {"slack": "U024BE7LH"}, "Bia": {"slack": "U024BE7LH"}}}});
    refused(&twice.to_string(), "incidents.people.Bia.slack", "is also another person's");
    refused(&person("pager", json!("x")), "incidents.people.Ana.pager", "unknown field");
    let path = "incidents.squads.Squad Backend.contacts[0]";
    refused(&squad(json!({"contacts": [{}]})), path, "expected slack, email or phone");
    for (name, path) in [(" ", "incidents.people. "), ("a\nb", "incidents.people.a\nb")] {
        refused(&json!({"incidents": {"people": {name: {}}}}).to_string(), path, "expected a name");
    }
    refused(r#"{"incidents": {"squads": {"": {}}}}"#, "incidents.squads.", "expected a name");
}

#[test]
fn a_wrong_rotation_is_refused_with_the_path() {
    let path = |field: &str| format!("incidents.squads.Squad Backend.rotation{field}");
    let with = |field: &str, value: Value| {
        let mut rotation = weekly(json!(["Ana"]), json!(["Bruno"]));
        rotation[field] = value;
        squad(json!({"rotation": rotation}))
    };
    for (field, value, place, reason) in [
        ("every", json!("monthly"), ".every", "unknown variant"),
        ("every", json!("daily"), ".weekday", "only with weekly"),
        ("every", Value::Null, "", "missing field `every`"),
        ("weekday", Value::Null, ".weekday", "required with weekly"),
        ("weekday", json!("segunda"), ".weekday", "unknown variant"),
        ("weekday", json!("sunday"), ".starts", "not on the rotation's weekday"),
        ("starts", json!("2026-12-01"), ".starts", "not on the rotation's weekday"),
        ("starts", json!("2026-02-30"), ".starts", ""),
        ("people", json!(["Ana", "Zeca"]), ".people[1]", "incidents.people has no Zeca"),
        ("second", json!(["Zeca"]), ".second[0]", "incidents.people has no Zeca"),
        ("people", Value::Null, "", "missing field `people`"),
        ("hours", json!(8), ".hours", "unknown field"),
    ] {
        refused(&with(field, value), &path(place), reason);
    }
    for time in ["", "9:00", "24:00", "09:60", "09:00:00", "0900", "T0900", "+9:00", "09h00"] {
        refused(&with("at", json!(time)), &path(".at"), "expected a time of day");
    }
    for time in ["00:00", "23:59"] {
        assert!(with("at", json!(time)).parse::<Policy>().is_ok(), "{time}");
    }
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    for (number, day) in days.iter().enumerate() {
        let mut rotation = weekly(json!(["Ana"]), json!([]));
        (rotation["weekday"], rotation["starts"]) = (json!(day), json!(format!("2026-12-{:02}", 7 + number)));
        assert!(squad(json!({"rotation": rotation})).parse::<Policy>().is_ok(), "{day}");
    }
}

#[test]
fn a_wrong_override_is_refused_with_the_path() {
    let path = |place: &str| format!("incidents.squads.Squad Backend.overrides{place}");
    let with = |field: &str, value: Value| {
        let mut one = cover("2026-12-24T18:00", "2026-12-26T09:00", "Ana");
        one[field] = value;
        squad(json!({"overrides": [one]}))
    };
    for (field, value, place, reason) in [
        ("until", json!("2026-12-24T18:00"), "[0].until", "a time after from"),
        ("until", json!("2026-12-24T17:59"), "[0].until", "a time after from"),
        ("person", json!("Zeca"), "[0].person", "incidents.people has no Zeca"),
        ("second", json!("Zeca"), "[0].second", "incidents.people has no Zeca"),
        ("reason", json!(" "), "[0].reason", "one line"),
        ("reason", json!("a\nb"), "[0].reason", "one line"),
        ("reason", json!("x".repeat(201)), "[0].reason", "one line"),
        ("reason", Value::Null, "[0].reason", "invalid type"),
        ("by", json!("Ana"), "[0].by", "unknown field"),
    ] {
        refused(&with(field, value), &path(place), reason);
    }
    // An offset would be ignored, and a date alone is ambiguous.
    for time in [
        "2026-12-24",
        "2026-12-24 18:00",
        "2026-12-24T18:00Z",
        "2026-12-24T18:00-03:00",
        "2026-12-32T18:00",
        "",
    ] {
        refused(&with("from", json!(time)), &path("[0].from"), "expected a time in São Paulo");
    }
    for (from, until, overlapped) in [
        ("2026-12-24T18:00", "2026-12-26T09:00", true),
        ("2026-12-23T00:00", "2026-12-24T18:01", true),
        ("2026-12-26T08:59", "2026-12-27T00:00", true),
        ("2026-12-25T00:00", "2026-12-25T01:00", true),
        ("2026-12-20T00:00", "2026-12-30T00:00", true),
        ("2026-12-23T00:00", "2026-12-24T18:00", false),
        ("2026-12-26T09:00", "2026-12-27T00:00", false),
    ] {
        let other = cover("2027-03-01T00:00", "2027-03-02T00:00", "Carla");
        let one = cover("2026-12-24T18:00", "2026-12-26T09:00", "Ana");
        let patch = squad(json!({"overrides": [other, one, cover(from, until, "Bruno")]}));
        if overlapped {
            refused(&patch, &path("[2]"), "overlaps overrides[1]");
        } else {
            assert!(patch.parse::<Policy>().is_ok(), "{from} {until}");
        }
    }
}

#[test]
fn the_numbers_of_incidents_are_refused_outside_their_ranges() {
    for (field, least, most) in [
        ("acknowledge_minutes.critical", 1, 240),
        ("acknowledge_minutes.warning", 1, 240),
        ("flap_minutes", 0, 1440),
        ("heartbeats.Watchdog", 1, 1440),
    ] {
        let patch = |value: i32| {
            let inner = field.rsplit('.').fold(json!(value), |inner, name| json!({name: inner}));
            json!({"incidents": inner}).to_string()
        };
        for inside in [least, most] {
            assert!(patch(inside).parse::<Policy>().is_ok(), "{field} {inside}");
        }
        refused(&patch(most + 1), &format!("incidents.{field}"), &format!("expected {least} to {most}"));
        if least > 0 {
            refused(&patch(0), &format!("incidents.{field}"), &format!("expected {least} to {most}"));
        }
    }
    let wait = r#"{"incidents": {"acknowledge_minutes": {"info": 5}}}"#;
    refused(wait, "incidents.acknowledge_minutes.info", "unknown field");
    refused(r#"{"incidents": {"heartbeats": {" ": 5}}}"#, "incidents.heartbeats. ", "expected a name");
    assert!(r#"{"incidents": {"heartbeats": {"Watchdog": null}}}"#.parse::<Policy>().is_ok());
}
