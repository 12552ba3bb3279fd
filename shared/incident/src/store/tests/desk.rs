//! What people ask, in every state.

use super::*;
use crate::incident::{Act, Called, Part};

const OTHER: &str = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-db";

/// People, customers, and a shift of the application's squad.
fn policy() -> Policy {
    let policy = json!({"incidents": {
        "people": {"Ana Souza": {"slack": "U0000000A"}, "Bia Lima": {"slack": "U0000000B"}},
        "customers": {"addresses": ["clientes@moveongs.example"]},
        "squads": {"Squad Infra": {"rotation": {"every": "daily", "at": "00:00", "starts": "2026-01-01",
            "people": ["Bia Lima"]}}}}});
    Policy::of(&policy).unwrap()
}

/// A state to ask in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum In {
    Triggered,
    Acknowledged,
    Mitigated,
    Resolved,
    Merged,
}

const ALL: [In; 5] = [In::Triggered, In::Acknowledged, In::Mitigated, In::Resolved, In::Merged];

/// A table with an incident in a state, by Caio, and another open one.
fn table(state: In) -> (Table, String, String) {
    let mut table = Table { policy: Some(policy()), ..Table::default() };
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    let other = table.arrives(&signal(Source::Alarm, OTHER, 0, Change::Triggered), 0).incident;
    let by = "Caio Reis";
    let said = match state {
        In::Triggered => None,
        In::Acknowledged => Some(json!({"acknowledge": {"incident": id, "by": by}})),
        In::Mitigated => Some(json!({"mitigate": {"incident": id, "by": by, "text": "mais tarefas"}})),
        In::Resolved => Some(json!({"resolve": {"incident": id, "by": by, "reason": "acabou"}})),
        In::Merged => Some(json!({"merge": {"incident": id, "by": by, "into": other}})),
    };
    if let Some(said) = said {
        table.asks(&said, 1).unwrap();
    }
    (table, id, other)
}

/// A request with an incident, of Ana.
fn request(verb: &str, id: &str, more: Value) -> Value {
    let mut fields = json!({"incident": id, "by": "Ana Souza"});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ verb: fields })
}

/// Every request about an incident.
fn requests(id: &str, other: &str) -> Vec<Value> {
    vec![
        request("acknowledge", id, json!({})),
        request("classify", id, json!({"severity": "S0"})),
        request("command", id, json!({})),
        request("call", id, json!({"squad": "squad dados"})),
        request("update", id, json!({"text": "metade voltou"})),
        request("mitigate", id, json!({"text": "todas voltaram"})),
        request("resolve", id, json!({"reason": "voltou"})),
        request("reopen", id, json!({"reason": "não voltou"})),
        request("false_alarm", id, json!({"reason": "teste de carga"})),
        request("merge", id, json!({"into": other})),
        request("sensitive_data", id, json!({"compromised": true, "reason": "CPFs no log"})),
        request("drill", id, json!({"drill": true, "reason": "exercício"})),
        request("runbook_wrong", id, json!({"reason": "o passo 3 não existe"})),
        request("tell_customers", id, json!({"text": "estamos vendo"})),
    ]
}

fn verb(event: &Value) -> &str {
    event.as_object().unwrap().keys().next().unwrap()
}

/// What a request did: the state after it, or why nothing was done.
fn outcome(result: &Result<Acted, Refusal>) -> String {
    match result {
        Ok(acted) if acted.plan.outcome == Outcome::Already => "already".to_owned(),
        Ok(acted) => format!("{:?}", acted.incident.state).to_lowercase(),
        Err(refusal) => refusal.kind().to_owned(),
    }
}

#[test]
fn every_request_in_every_state_does_what_the_table_says() {
    let (t, a, m, r) = ("triggered", "acknowledged", "mitigated", "resolved");
    let (over, part) = ("IncidentOver", "IncidentMerged");
    for (name, expected) in [
        ("acknowledge", [a, "already", "already", over, part]),
        ("classify", [t, a, m, r, part]),
        ("command", [a, a, m, over, part]),
        ("call", [t, a, m, over, part]),
        ("update", [t, a, m, r, part]),
        ("mitigate", [m, m, "already", over, part]),
        ("resolve", [r, r, r, "already", r]),
        ("reopen", ["already", "already", a, t, t]),
        ("false_alarm", [r, r, r, r, r]),
        ("merge", [a, a, m, over, "already"]),
        ("sensitive_data", [t, a, m, r, part]),
        ("drill", [t, a, m, r, part]),
        ("runbook_wrong", [t, a, m, r, a]),
        ("tell_customers", [t, a, m, r, part]),
    ] {
        for (state, expected) in ALL.into_iter().zip(expected) {
            let (mut table, id, other) = table(state);
            let (before, items) = (table.incident(&id), table.items.clone());
            let asked = requests(&id, &other).into_iter().find(|event| verb(event) == name).unwrap();
            let result = table.asks(&asked, 2);
            assert_eq!(outcome(&result), expected, "{name} in {state:?}: {result:?}");
            let Ok(acted) = result else {
                assert_eq!(table.items, items, "{name} in {state:?} is refused and changes nothing");
                continue;
            };
            if acted.plan.outcome == Outcome::Already {
                assert_eq!(table.items, items, "{name} in {state:?} makes no entry");
                continue;
            }
            assert_eq!(acted.incident.version, before.version + 1, "{name} in {state:?}");
            // The message shows it.
            assert_eq!(table.rows(&id)[0].wanted, acted.incident.version, "{name} in {state:?}");
            let lines = table.timeline(&id).len();
            // The same again: by the same person, then by another one.
            for (by, minutes) in [("Ana Souza", 3), ("Bia Lima", 4)] {
                let mut again = asked.clone();
                again[name]["by"] = json!(by);
                if name == "command" && by == "Bia Lima" {
                    again[name]["commander"] = json!("ana souza");
                }
                let result = table.asks(&again, minutes);
                let refused = ["merge", "acknowledge", "mitigate"].contains(&name) && result.is_err();
                assert!(refused || outcome(&result) == "already", "{name} in {state:?}, again: {result:?}");
                if let Ok(Acted { before, .. }) = result {
                    assert_eq!(
                        before,
                        Some(Act { by: "Ana Souza".to_owned(), at: at(2) }),
                        "{name} in {state:?}"
                    );
                }
                assert_eq!(table.timeline(&id).len(), lines, "{name} in {state:?}: once in the timeline");
            }
        }
    }
}

#[test]
fn a_request_that_is_delivered_twice_is_done_once() {
    for state in ALL {
        let (_, id, other) = table(state);
        for asked in requests(&id, &other) {
            let (mut table, ..) = table(state);
            let request = Request::try_from(asked.clone()).unwrap();
            let actor = Actor::claim(request.by(), &table.policy());
            let Ok(first) = table.asks_as(&request, &actor, "r1", 2) else { continue };
            let items = table.items.clone();
            let again = table.asks_as(&request, &actor, "r1", 9).unwrap();
            let expected = match first.plan.outcome {
                Outcome::Already => Outcome::Already,
                _ => Outcome::Repeated,
            };
            assert_eq!((again.plan.outcome, &table.items), (expected, &items), "{asked} in {state:?}");
        }
    }
}

#[test]
fn of_two_people_at_once_the_second_hears_who_was_first() {
    for (name, state) in [
        ("acknowledge", In::Triggered),
        ("classify", In::Triggered),
        ("call", In::Acknowledged),
        ("mitigate", In::Acknowledged),
        ("resolve", In::Acknowledged),
        ("reopen", In::Resolved),
        ("false_alarm", In::Acknowledged),
        ("merge", In::Triggered),
        ("sensitive_data", In::Acknowledged),
        ("drill", In::Acknowledged),
        ("runbook_wrong", In::Triggered),
        ("tell_customers", In::Triggered),
    ] {
        let (mut table, id, other) = table(state);
        let asked = requests(&id, &other).into_iter().find(|event| verb(event) == name).unwrap();
        let of = |by: &str| {
            let mut own = asked.clone();
            own[name]["by"] = json!(by);
            let request = Request::try_from(own).unwrap();
            (Actor::claim(by, &policy()), request)
        };
        let (ana, bia) = (of("Ana Souza"), of("Bia Lima"));
        let policy = policy();
        // Both decide on the same items.
        let decide = |table: &Table, (actor, request): &(Actor, Request), cause: &str, minutes: i64| {
            act(request, &table.found(request, cause), actor, cause, &context(&policy, at(minutes))).unwrap()
        };
        let (first, second) = (decide(&table, &ana, "r1", 2), decide(&table, &bia, "r2", 2));
        assert!(table.write(&first.plan.writes), "{name}");
        assert!(!table.write(&second.plan.writes), "{name}: the condition on the version");
        let second = decide(&table, &bia, "r2", 2);
        assert_eq!(second.plan.outcome, Outcome::Already, "{name}");
        assert_eq!(second.before, Some(Act { by: "Ana Souza".to_owned(), at: at(2) }), "{name}");
    }
}

#[test]
fn what_a_person_resolves_comes_back_if_the_source_says_so() {
    let (mut table, id, _) = table(In::Triggered);
    table.asks(&request("resolve", &id, json!({"reason": "voltou"})), 10).unwrap();
    let resolved = table.incident(&id);
    assert_eq!(
        (resolved.resolved_at, &resolved.acts[&Action::Resolved].by),
        (Some(at(10)), &"Ana Souza".to_owned())
    );
    // It happened before, and arrives late.
    let plan = table.arrives(&alarm(9, "ALARM", "OK"), 11);
    assert_eq!((plan.outcome, plan.incident), (Outcome::Reopened, id));
}

#[test]
fn a_person_takes_an_incident_once_and_the_first_time_stays() {
    let (mut table, id, _) = table(In::Triggered);
    assert_eq!(acknowledge_it(&mut table, &id, 2), Outcome::Updated);
    let taken = table.incident(&id);
    assert_eq!((taken.state, taken.acknowledged_by.as_str()), (State::Acknowledged, "Ana"));
    assert_eq!((taken.acknowledged_at, taken.untaken_since, taken.version), (Some(at(2)), None, 2));
    assert_eq!(table.timeline(&id), [Action::Triggered, Action::Acknowledged]);
    // Worse than what was taken.
    let worse = Signal { severity: Some(Severity::S0), ..alarm(5, "ALARM", "ALARM") };
    table.arrives(&worse, 5);
    acknowledge_it(&mut table, &id, 7);
    let again = table.incident(&id);
    assert_eq!((again.acknowledged_at, again.first_acknowledged_at), (Some(at(7)), Some(at(2))));
    assert_eq!(again.severity_changed_at, Some(at(5)));
}

#[test]
fn a_severity_is_confirmed_or_changed_with_both_values() {
    let (mut table, id, _) = table(In::Acknowledged);
    let classify =
        |severity: &str| request("classify", &id, json!({"severity": severity, "reason": "três unidades"}));
    table.asks(&classify("S1"), 2).unwrap();
    let confirmed = table.incident(&id);
    assert_eq!(
        (confirmed.severity_confirmed_by.as_str(), confirmed.severity_changed_at),
        ("Ana Souza", None)
    );
    table.asks(&classify("S3"), 3).unwrap();
    let changed = table.incident(&id);
    assert_eq!((changed.severity, changed.severity_changed_at), (Severity::S3, Some(at(3))));
    assert_eq!(texts(&table, &id, Action::SeverityChanged), ["S1 → S3: três unidades"]);
    assert_eq!(texts(&table, &id, Action::SeverityConfirmed), ["S1: três unidades"]);
}

/// The texts of an incident's entries of an action.
fn texts(table: &Table, id: &str, action: Action) -> Vec<String> {
    let own = format!("INCIDENT#{id}");
    let lines = table.items.iter().filter(|(key, _)| key.pk == own && key.sk.starts_with(Key::LINES));
    let entries = lines.map(|(_, item)| entry(item).unwrap());
    entries.filter(|entry| entry.action == action).map(|entry| entry.text).collect()
}

#[test]
fn command_is_taken_handed_over_and_backed_up() {
    let (mut table, id, _) = table(In::Triggered);
    let command = |by: &str, more: Value| {
        let mut asked = request("command", &id, more);
        asked["command"]["by"] = json!(by);
        asked
    };
    let people = |table: &Table| {
        let incident = table.incident(&id);
        (incident.commander, incident.commander_backup, incident.acknowledged_by)
    };
    let is =
        |commander: &str, backup: &str, has: &str| (commander.to_owned(), backup.to_owned(), has.to_owned());
    // Naming somebody is not taking it.
    table.asks(&command("Ana Souza", json!({"commander": "bia lima"})), 1).unwrap();
    assert_eq!(people(&table), is("Bia Lima", "", ""), "as the policy spells it");
    // A backup alone changes no commander.
    table.asks(&command("Ana Souza", json!({"backup": "Caio"})), 2).unwrap();
    assert_eq!(people(&table), is("Bia Lima", "Caio", ""));
    let own = table.asks(&command("Ana Souza", json!({"commander": "Bia Lima", "backup": "BIA LIMA"})), 3);
    assert_eq!(own, Err(Refusal::OwnBackup("Bia Lima".to_owned())));
    // The backup takes over, and then has none; who commands has taken it.
    table.asks(&command("Caio", json!({})), 4).unwrap();
    assert_eq!(people(&table), is("Caio", "", "Caio"));
    assert_eq!(table.timeline(&id).iter().filter(|action| **action == Action::Acknowledged).count(), 1);
    table.asks(&command("Caio", json!({"backup": "Ana Souza", "reason": "vou dormir"})), 5).unwrap();
    assert_eq!(
        texts(&table, &id, Action::CommanderAssigned).last().unwrap(),
        "Caio (backup: Ana Souza): vou dormir"
    );
}

#[test]
fn who_is_named_to_command_is_called_and_has_to_be_of_the_policy() {
    let (mut table, id, _) = table(In::Triggered);
    let command = |by: &str, commander: &str| json!({"command": {"incident": id, "by": by, "commander": commander, "reason": "vou dormir"}});
    let called = |table: &Table| {
        let rows = table.rows(&id).into_iter().filter(|row| row.purpose == Purpose::Commander);
        rows.map(|row| (row.channel, row.wanted)).collect::<Vec<_>>()
    };
    for (name, known) in [("Bia", &["Bia Lima"][..]), ("U0UNKNOWN", &["Ana Souza", "Bia Lima"])] {
        let known = known.iter().map(|name| (*name).to_owned()).collect();
        let refused = table.asks(&command("Ana Souza", name), 1).unwrap_err();
        assert_eq!(refused, Refusal::UnknownPerson { name: name.to_owned(), known });
    }
    // Oneself needs no call, whatever the name.
    table.asks(&command("Caio", "caio"), 2).unwrap();
    assert_eq!((table.incident(&id).commander.as_str(), called(&table)), ("Caio", vec![]));
    let version = table.asks(&command("Caio", "bia lima"), 3).unwrap().incident.version;
    assert_eq!(called(&table), [(Channel::Slack, version), (Channel::Ses, version)]);
    let [told] = texts(&table, &id, Action::Reminded).try_into().unwrap();
    assert!(told.starts_with("Bia Lima: você comanda INC-") && told.ends_with(": vou dormir"), "{told}");
    // Without people in the policy, nobody is unknown.
    table.policy = None;
    table.asks(&command("Caio", "Davi"), 4).unwrap();
    assert_eq!(table.incident(&id).commander, "Davi");
}

#[test]
fn a_squad_is_called_again_once_it_had_its_time_or_the_incident_pages_anew() {
    let (mut table, id, _) = table(In::Acknowledged);
    let call = request("call", &id, json!({"squad": "Squad Infra"}));
    let wanted = |table: &Table| {
        let rows = table.rows(&id).into_iter().filter(|row| row.purpose == Purpose::Called);
        rows.map(|row| row.wanted).max().unwrap()
    };
    table.asks(&call, 2).unwrap();
    assert_eq!(texts(&table, &id, Action::SquadCalled), ["Squad Infra"], "Bia can be reached");
    assert_eq!(outcome(&table.asks(&call, 6)), "already");
    let again = table.asks(&call, 7).unwrap().incident;
    assert_eq!((again.called.len(), again.called[0].at, wanted(&table)), (1, at(7), again.version));
    for (request, minutes) in [
        (request("resolve", &id, json!({"reason": "voltou"})), 8),
        (request("reopen", &id, json!({"reason": "não voltou"})), 9),
    ] {
        table.asks(&request, minutes).unwrap();
    }
    let again = table.asks(&call, 10).unwrap().incident;
    assert_eq!((again.called.len(), wanted(&table)), (1, again.version));
}

#[test]
fn a_squad_is_called_by_the_name_that_the_policy_has() {
    let (mut table, id, _) = table(In::Acknowledged);
    let acted =
        table.asks(&request("call", &id, json!({"squad": "squad dados", "reason": "banco"})), 2).unwrap();
    let called = Called { squad: "Squad Dados".to_owned(), by: "Ana Souza".to_owned(), at: at(2) };
    assert_eq!(acted.incident.called, [called]);
    let nobody = " (a política não alcança ninguém deste squad; the policy reaches nobody of it)";
    assert_eq!(texts(&table, &id, Action::SquadCalled), [format!("Squad Dados: banco{nobody}")]);
    let rows: Vec<_> = table.rows(&id).into_iter().filter(|row| row.purpose == Purpose::Called).collect();
    let told: Vec<_> = rows.iter().map(|row| (row.channel, row.wanted, row.due)).collect();
    let version = acted.incident.version;
    assert_eq!(told, [(Channel::Slack, version, Some(at(2))), (Channel::Ses, version, Some(at(3)))]);
    let unknown = table.asks(&request("call", &id, json!({"squad": "Squad X"})), 3).unwrap_err();
    assert!(unknown.to_string().contains("Squad Backend, Squad Dados"), "{unknown}");
}

#[test]
fn an_update_keeps_its_lines_and_says_since_when_users_are_affected() {
    let (mut table, id, _) = table(In::Acknowledged);
    let update = |more: Value| request("update", &id, more);
    table
        .asks(&update(json!({"text": "metade\nvoltou", "impact_since": "2026-11-29T11:40:00Z"})), 2)
        .unwrap();
    let said = table.incident(&id);
    assert_eq!((said.updates, said.updated_at, said.impact_began()), (1, Some(at(2)), at(-20)));
    assert_eq!(texts(&table, &id, Action::Update), ["metade\nvoltou"]);
    // The same words with another beginning are news.
    table
        .asks(&update(json!({"text": "metade\nvoltou", "impact_since": "2026-11-29T11:50:00Z"})), 3)
        .unwrap();
    assert_eq!(table.incident(&id).impact_began(), at(-10));
    let late =
        table.asks(&update(json!({"text": "x", "impact_since": "2026-11-29T12:05:00Z"})), 4).unwrap_err();
    assert_eq!(late.kind(), "InvalidEvent");
    table.asks(&request("mitigate", &id, json!({"text": "voltou"})), 5).unwrap();
    let mitigated = table.incident(&id);
    assert_eq!(
        (mitigated.updates, mitigated.updated_at, mitigated.mitigated_at),
        (3, Some(at(5)), Some(at(5)))
    );
}

#[test]
fn the_same_words_are_a_repetition_for_some_minutes_only() {
    let (mut table, id, _) = table(In::Acknowledged);
    let same = request("update", &id, json!({"text": "sem novidades"}));
    for (minutes, expected, updates) in [
        (0, Outcome::Updated, 1),
        (5, Outcome::Already, 1),
        // What a reminder asks for: that nothing has changed.
        (30, Outcome::Updated, 2),
        (34, Outcome::Already, 2),
        (60, Outcome::Updated, 3),
    ] {
        assert_eq!(table.asks(&same, 2 + minutes).unwrap().plan.outcome, expected, "{minutes}");
        assert_eq!(table.incident(&id).updates, updates, "{minutes}");
    }
    assert_eq!(table.incident(&id).updated_at, Some(at(62)));
    // «It is back» may be said to customers after each end.
    let tell = request("tell_customers", &id, json!({"text": "voltou"}));
    assert_eq!(table.asks(&tell, 63).unwrap().plan.outcome, Outcome::Updated);
    assert_eq!(table.asks(&tell, 80).unwrap().plan.outcome, Outcome::Already);
    table.asks(&request("resolve", &id, json!({"reason": "voltou"})), 81).unwrap();
    table.asks(&request("reopen", &id, json!({"reason": "caiu"})), 82).unwrap();
    assert_eq!(table.asks(&tell, 90).unwrap().plan.outcome, Outcome::Updated);
    table.asks(&request("resolve", &id, json!({"reason": "voltou"})), 91).unwrap();
    table.arrives(&alarm(95, "ALARM", "OK"), 95);
    assert_eq!(table.incident(&id).state, State::Triggered, "its source has it again");
    assert_eq!(table.asks(&tell, 96).unwrap().plan.outcome, Outcome::Updated);
}

#[test]
fn what_a_stranger_does_is_vouched_for_by_nobody_until_somebody_known_does_something() {
    let stranger = Actor::slack("U0000000Z", &policy());
    let ana = Actor::slack("U0000000A", &policy());
    let (mut table, id, _) = table(In::Triggered);
    let ask = |table: &mut Table, event: Value, actor: &Actor, minutes: i64| {
        let request = Request::try_from(event).unwrap();
        table.asks_as(&request, actor, &format!("{request:?} {minutes}"), minutes).unwrap().incident
    };
    let taken = ask(&mut table, request("acknowledge", &id, json!({})), &stranger, 1);
    assert_eq!((taken.state, taken.vouched_at), (State::Acknowledged, None));
    let updated = ask(&mut table, request("update", &id, json!({"text": "a"})), &stranger, 2);
    assert_eq!((updated.updates, updated.known_updates, updated.vouched_at), (1, 0, None));
    let updated = ask(&mut table, request("update", &id, json!({"text": "b"})), &ana, 3);
    assert_eq!((updated.updates, updated.known_updates, updated.vouched_at), (2, 1, Some(at(3))));
    let claim = Actor::claim("Caio", &policy());
    let updated = ask(&mut table, request("update", &id, json!({"text": "c"})), &claim, 4);
    assert_eq!((updated.known_updates, updated.vouched_at), (2, Some(at(3))), "since the first");
}

#[test]
fn the_title_of_a_strangers_declaration_is_marked() {
    let mut table = Table::default();
    let declared = |title: &str, is_vouched, severity, minutes: i64| Signal {
        title: title.to_owned(),
        is_vouched,
        severity: Some(severity),
        ..signal(Source::Person, "person|api|x", minutes, Change::Triggered)
    };
    let marks = |table: &Table| {
        let [incident] = table.incidents().try_into().unwrap();
        (incident.has_foreign_title, incident.vouched_at)
    };
    table.arrives(&declared("x", false, Severity::S3, 0), 0);
    assert_eq!(marks(&table), (true, None));
    table.arrives(&declared("x", true, Severity::S3, 1), 1);
    assert_eq!(marks(&table), (false, Some(at(1))), "somebody known says the same");
    table.arrives(&declared("x", false, Severity::S3, 2), 2);
    assert_eq!(marks(&table), (false, Some(at(1))));
    table.arrives(&declared("y", false, Severity::S0, 3), 3);
    assert_eq!(marks(&table), (true, None), "other words, and worse");
}

#[test]
fn a_yes_has_the_clock_look_at_what_is_over() {
    for state in [In::Resolved, In::Acknowledged] {
        let (mut table, id, _) = table(state);
        let yes = request("sensitive_data", &id, json!({"compromised": true, "reason": "um dump"}));
        let version = table.asks(&yes, 2).unwrap().incident.version;
        let watched = |table: &Table| text(&table.items[&Key::watch(&id)], "open").map(str::to_owned);
        assert_eq!(watched(&table).as_deref(), Some(WATCHED), "{state:?}");
        // A look at an older version does not end it.
        let older = Incident { version: version - 1, ..table.incident(&id) };
        assert!(!table.write(&[older.unwatch()]));
        assert!(table.write(&[table.incident(&id).unwatch()]));
        assert_eq!(watched(&table), None);
        assert!(!table.write(&[table.incident(&id).unwatch()]), "once");
    }
}

#[test]
fn what_is_reopened_pages_and_waits_for_a_mute() {
    let (mut table, id, _) = table(In::Resolved);
    let mute = Mute { by: "Bia".to_owned(), reason: "deploy".to_owned(), until: at(30) };
    assert!(table.write(&[mute.write(Some(ALARM))]));
    let acted = table.asks(&request("reopen", &id, json!({"reason": "não voltou"})), 5).unwrap();
    let incident = acted.incident;
    assert_eq!(
        (incident.state, incident.paged_at, incident.muted),
        (State::Triggered, Some(at(30)), Some(mute))
    );
    assert_eq!((incident.resolved_at, incident.untaken_since), (None, Some(at(30))));
    assert_eq!(incident.awaited_since, Some(at(30)));
    // The next event finds it, and its end.
    assert_eq!(table.arrives(&alarm(6, "ALARM", "ALARM"), 6).incident, id);
    assert_eq!(table.arrives(&alarm(7, "OK", "ALARM"), 7).outcome, Outcome::Resolved);
    assert_eq!(table.incident(&id).acts[&Action::Resolved].by, "alarm");
}

#[test]
fn people_wait_for_updates_anew_only_after_the_impact_was_over() {
    for (state, awaited) in [(In::Acknowledged, 0), (In::Mitigated, 6)] {
        // The source said that it was over, or its next event implies it.
        for says_so in [true, false] {
            let (mut table, id, _) = table(state);
            if says_so {
                table.arrives(&alarm(5, "OK", "ALARM"), 5);
            }
            table.arrives(&alarm(6, "ALARM", "OK"), 6);
            let back = table.incident(&id);
            assert_eq!((back.state, back.paged_at), (State::Triggered, Some(at(6))), "{state:?} {says_so}");
            assert_eq!(back.awaited_since, Some(at(awaited)), "{state:?} {says_so}");
        }
    }
    // A person says that it is back.
    let (mut table, id, _) = table(In::Mitigated);
    let back = table.asks(&request("reopen", &id, json!({"reason": "não voltou"})), 7).unwrap().incident;
    assert_eq!((back.state, back.paged_at), (State::Acknowledged, Some(at(0))));
    assert_eq!(back.awaited_since, Some(at(7)));
}

#[test]
fn an_incident_with_a_newer_one_stays_over() {
    let (mut table, id, _) = table(In::Resolved);
    let newer = table.arrives(&alarm(60, "ALARM", "OK"), 60).incident;
    assert_ne!(newer, id);
    let refused = table.asks(&request("reopen", &id, json!({"reason": "de novo"})), 61).unwrap_err();
    assert_eq!(refused, Refusal::Newer { incident: id, newer });
}

#[test]
fn a_false_alarm_that_fires_again_is_none() {
    let (mut table, id, _) = table(In::Acknowledged);
    table.asks(&request("false_alarm", &id, json!({"reason": "teste de carga"})), 2).unwrap();
    let incident = table.incident(&id);
    assert!(incident.is_false_alarm && !incident.is_open());
    assert_eq!(incident.acts[&Action::Resolved].by, "Ana Souza");
    table.arrives(&alarm(5, "ALARM", "OK"), 5);
    let again = table.incident(&id);
    assert!(!again.is_false_alarm && again.state == State::Triggered && again.paged_at == Some(at(5)));
}

#[test]
fn a_part_is_quiet_until_it_is_worse_than_the_whole_or_the_whole_is_over() {
    let worse = Signal { severity: Some(Severity::S0), ..alarm(5, "ALARM", "ALARM") };
    let same = alarm(5, "ALARM", "ALARM");
    let back = alarm(5, "ALARM", "OK");
    let end = |table: &mut Table, other: &str| {
        table.asks(&request("resolve", other, json!({"reason": "voltou"})), 4).unwrap();
    };
    for (name, event, whole_is_over, pages) in [
        ("the same", &same, false, false),
        ("back", &back, false, false),
        ("worse", &worse, false, true),
        ("the whole is over", &same, true, true),
    ] {
        let (mut table, id, other) = table(In::Merged);
        assert_eq!(table.incident(&other).parts.len(), 1, "{name}");
        if whole_is_over {
            end(&mut table, &other);
            // It has had no end of its own, and the last message says so.
            let part = Part { incident: id.clone(), title: "moveongs-prod-5xx".to_owned() };
            assert_eq!(table.incident(&other).parts, [part], "{name}");
        }
        let mails = table.rows(&id)[1].wanted;
        table.arrives(event, 5);
        let (part, whole) = (table.incident(&id), table.incident(&other));
        assert_eq!(part.state == State::Triggered, pages, "{name}");
        assert_eq!((part.is_merged(), whole.parts.len()), (!pages, usize::from(!pages)), "{name}");
        assert_eq!(table.rows(&id)[1].wanted > mails, pages, "{name}: a mail");
        assert_eq!(part.paged_at == Some(at(5)), pages, "{name}");
    }
}

#[test]
fn a_part_whose_whole_is_over_calls_people_for_itself_after_the_window() {
    let separated = |table: &mut Table, id: &str, minutes| {
        let policy = table.policy();
        let part = table.incident(id);
        let whole = table.items.get(&Key::incident(&part.merged_into)).and_then(incident);
        let writes = separate(&part, whole.as_ref(), "incident-clock", &context(&policy, at(minutes)));
        assert!(table.write(&writes));
        !writes.is_empty()
    };
    let (mut table, id, other) = table(In::Merged);
    assert!(!separated(&mut table, &id, 90), "the whole is open");
    table.asks(&request("resolve", &other, json!({"reason": "voltou"})), 100).unwrap();
    assert!(!separated(&mut table, &id, 109), "it may be back");
    let mails = table.rows(&id)[1].wanted;
    assert!(separated(&mut table, &id, 110));
    let (part, whole) = (table.incident(&id), table.incident(&other));
    assert_eq!((part.state, part.is_merged(), part.paged_at), (State::Triggered, false, Some(at(110))));
    assert_eq!((part.acknowledged_at, part.untaken_since), (None, Some(at(110))));
    assert!(table.rows(&id)[1].wanted > mails && part.paged_version == part.version, "it calls people");
    assert_eq!((whole.is_open(), whole.parts.len()), (false, 0));
    assert_eq!(texts(&table, &id, Action::Reopened), [format!("no part of {other} any more, which is over")]);
    assert!(!separated(&mut table, &id, 120), "once");
    // A part that has ended, and one whose whole is gone.
    let (mut over, id, other) = super::desk::table(In::Merged);
    over.arrives(&alarm(5, "OK", "ALARM"), 5);
    over.asks(&request("resolve", &other, json!({"reason": "voltou"})), 6).unwrap();
    assert!(!separated(&mut over, &id, 120));
    let (mut alone, id, other) = super::desk::table(In::Merged);
    alone.items.remove(&Key::incident(&other));
    assert!(separated(&mut alone, &id, 2));
}

#[test]
fn what_is_muted_answers_for_nothing_that_has_called_people() {
    let (mut table, id, other) = table(In::Triggered);
    let mute = |table: &mut Table, id: &str, minutes| {
        let policy = table.policy();
        let order = Mute { by: "Bia".to_owned(), reason: "deploy".to_owned(), until: at(60) };
        let (open, context) = (table.incident(id), context(&policy, at(minutes)));
        let plan = mute(Some(&open.problem), Some(&open), &order, None, &format!("mute {id}"), &context);
        assert!(table.write(&plan.writes));
        assert!(!table.write(&plan.writes), "a repetition has no effect");
    };
    mute(&mut table, &other, 1);
    let merge = |id: &str, into: &str| request("merge", id, json!({"into": into}));
    let refused = table.asks(&merge(&id, &other), 2).unwrap_err();
    assert_eq!(refused, Refusal::Silent { incident: id.clone(), into: other.clone() });
    let mut other_way = table.clone();
    assert!(other_way.asks(&merge(&other, &id), 3).unwrap().incident.is_merged());
    // Once somebody has taken it, it is known.
    let mut taken = table.clone();
    taken.asks(&request("acknowledge", &other, json!({})), 3).unwrap();
    assert!(taken.asks(&merge(&id, &other), 4).unwrap().incident.is_merged());
    // Of two that are muted, nobody was called for either. The part's mute ends first, and its next event calls people.
    mute(&mut table, &id, 3);
    table.asks(&merge(&id, &other), 4).unwrap();
    let unmuted = Mute { until: at(5), ..Mute::default() };
    assert!(table.write(&[unmuted.write(Some(ALARM))]));
    table.arrives(&alarm(6, "ALARM", "ALARM"), 6);
    let part = table.incident(&id);
    assert_eq!((part.state, part.is_merged(), part.paged_at), (State::Triggered, false, Some(at(6))));
}

#[test]
fn the_end_of_a_part_is_quiet_and_shows_in_the_whole() {
    let (mut table, id, other) = table(In::Merged);
    let mails = table.rows(&id)[1].wanted;
    table.arrives(&alarm(5, "OK", "ALARM"), 5);
    let part = table.incident(&id);
    assert!(!part.is_open() && part.is_merged(), "it stays a part: it has no post-mortem of its own");
    assert_eq!((table.incident(&other).parts.len(), table.rows(&id)[1].wanted), (0, mails));
    assert_eq!(table.rows(&other)[0].wanted, table.incident(&other).version, "the whole shows it");
    // Back within the window: still a part.
    table.arrives(&alarm(7, "ALARM", "OK"), 7);
    let part = table.incident(&id);
    assert_eq!(
        (part.state, part.is_merged(), table.incident(&other).parts.len()),
        (State::Acknowledged, true, 1)
    );
    // And once the whole is over, its own.
    table.arrives(&alarm(8, "OK", "ALARM"), 8);
    table.asks(&request("resolve", &other, json!({"reason": "voltou"})), 9).unwrap();
    table.arrives(&alarm(10, "ALARM", "OK"), 10);
    let part = table.incident(&id);
    assert_eq!((part.state, part.is_merged(), part.paged_at), (State::Triggered, false, Some(at(10))));
}

#[test]
fn a_part_that_comes_back_after_the_window_is_a_new_incident() {
    let (mut table, id, other) = table(In::Merged);
    let plan = table.arrives(&alarm(60, "ALARM", "OK"), 60);
    assert_eq!(plan.outcome, Outcome::Opened);
    assert_ne!(plan.incident, id);
    assert!(!table.incident(&id).is_open() && table.incident(&other).parts.is_empty());
}

#[test]
fn the_whole_is_at_least_as_bad_as_its_parts() {
    let (mut table, id, other) = table(In::Acknowledged);
    table.asks(&request("classify", &id, json!({"severity": "S0"})), 2).unwrap();
    table.asks(&request("merge", &id, json!({"into": other, "reason": "o banco"})), 3).unwrap();
    let whole = table.incident(&other);
    assert_eq!((whole.severity, whole.severity_changed_at), (Severity::S0, Some(at(3))));
    assert_eq!(texts(&table, &other, Action::SeverityChanged), [format!("S1 → S0: {id}")]);
    assert_eq!(texts(&table, &other, Action::Merged), [format!("← {id} moveongs-prod-5xx: o banco")]);
    assert_eq!(texts(&table, &id, Action::Merged), [format!("→ {other}: o banco")]);
}

#[test]
fn what_cannot_be_a_part_is_refused_with_what_to_do() {
    let merge = |id: &str, into: &str| request("merge", id, json!({"into": into}));
    // Into one that is over.
    let (mut over, id, other) = table(In::Resolved);
    assert_eq!(over.asks(&merge(&other, &id), 2).unwrap_err().kind(), "IncidentOver");
    // Into a part, and of one that has parts.
    let (mut parts, id, other) = table(In::Merged);
    let third = parts.arrives(&signal(Source::Logs, "log", 2, Change::Triggered), 2).incident;
    assert_eq!(
        parts.asks(&merge(&third, &id), 3),
        Err(Refusal::Part { incident: id.clone(), into: other.clone() })
    );
    assert_eq!(
        parts.asks(&merge(&other, &third), 3),
        Err(Refusal::HasParts { incident: other.clone(), parts: vec![id.clone()] })
    );
    // An exercise would hide a real one.
    let (mut drill, id, other) = table(In::Acknowledged);
    drill.asks(&request("drill", &other, json!({"drill": true, "reason": "x"})), 2).unwrap();
    assert_eq!(drill.asks(&merge(&id, &other), 3).unwrap_err().kind(), "DrillAndReal");
    let none = merge(&id, "INC-20261129-00000000");
    assert_eq!(drill.asks(&none, 4).unwrap_err().kind(), "NoIncident");
}

#[test]
fn a_separated_part_pages_and_leaves_the_whole() {
    let (mut table, id, other) = table(In::Merged);
    let acted = table.asks(&request("reopen", &id, json!({"reason": "outra causa"})), 2).unwrap();
    assert_eq!((acted.plan.outcome, acted.incident.is_merged()), (Outcome::Reopened, false));
    assert_eq!((acted.incident.paged_at, table.incident(&other).parts.len()), (Some(at(2)), 0));
}

#[test]
fn the_first_yes_counts_for_personal_data() {
    let (mut table, id, _) = table(In::Resolved);
    let say = |compromised: bool| {
        request("sensitive_data", &id, json!({"compromised": compromised, "reason": "log"}))
    };
    for (minutes, compromised, known_since) in [(2, true, 2), (3, false, 2), (4, true, 2)] {
        table.asks(&say(compromised), minutes).unwrap();
        let data = table.incident(&id).sensitive_data.unwrap();
        assert_eq!((data.is_compromised, data.at), (compromised, at(minutes)));
        assert_eq!(data.known_since, Some(at(known_since)));
    }
    assert_eq!(texts(&table, &id, Action::SensitiveData)[..2], ["sim (yes): log", "não (no): log"]);
}

#[test]
fn what_is_no_drill_has_to_be_taken_as_what_it_is() {
    let (mut table, id, _) = table(In::Acknowledged);
    let say = |drill: bool| request("drill", &id, json!({"drill": drill, "reason": "x"}));
    table.asks(&say(true), 2).unwrap();
    assert_eq!((table.incident(&id).is_drill, table.incident(&id).state), (true, State::Acknowledged));
    assert_eq!(
        table.asks(&request("tell_customers", &id, json!({"text": "x"})), 3).unwrap_err().kind(),
        "DrillTold"
    );
    table.asks(&say(false), 4).unwrap();
    let real = table.incident(&id);
    assert_eq!((real.is_drill, real.state, real.paged_at), (false, State::Triggered, Some(at(4))));
}

#[test]
fn instructions_may_be_wrong_for_several_reasons() {
    let (mut table, id, _) = table(In::Acknowledged);
    for (minutes, reason) in [(2, "o passo 3 não existe"), (3, "falta a permissão")] {
        table.asks(&request("runbook_wrong", &id, json!({"reason": reason})), minutes).unwrap();
    }
    assert_eq!(table.incident(&id).runbook_wrong, "o passo 3 não existe\nfalta a permissão");
}

#[test]
fn customers_are_written_to_if_there_are_any() {
    let (mut table, id, _) = table(In::Triggered);
    let tell = request("tell_customers", &id, json!({"text": "estamos\nvendo"}));
    let acted = table.asks(&tell, 2).unwrap();
    let mail = table.rows(&id).into_iter().find(|row| row.purpose == Purpose::Customers).unwrap();
    assert_eq!((mail.channel, mail.wanted, mail.due), (Channel::Ses, acted.incident.version, Some(at(2))));
    assert_eq!(texts(&table, &id, Action::CustomersTold), ["estamos\nvendo"]);
    table.policy = None;
    let refused = table.asks(&request("tell_customers", &id, json!({"text": "outra"})), 3).unwrap_err();
    assert_eq!(refused, Refusal::NoCustomers);
}

#[test]
fn the_policy_decides_who_may() {
    let slack = |id: &str| Actor::slack(id, &policy());
    let (ana, bia, unknown) = (slack("U0000000A"), slack("U0000000B"), slack("U0000000Z"));
    assert_eq!(
        (ana.name.as_str(), unknown.name.as_str(), unknown.how),
        ("Ana Souza", "U0000000Z", How::Unknown)
    );
    let claim = Actor::claim(" ana souza ", &policy());
    assert_eq!((claim.name.as_str(), claim.how), ("Ana Souza", How::Claim));
    let is_let = |table: &mut Table, asked: &Value, actor: &Actor| {
        let request = Request::try_from(asked.clone()).unwrap();
        let policy = table.policy();
        let incident = table.incident(request.incident().unwrap());
        may(&request, Some(&incident), actor, &context(&policy, at(9))).is_ok()
    };
    let (mut table, id, other) = table(In::Triggered);
    for asked in requests(&id, &other) {
        let is_for_anyone = ["acknowledge", "update", "runbook_wrong"].contains(&verb(&asked));
        assert_eq!(is_let(&mut table, &asked, &unknown), is_for_anyone, "{asked}");
        for actor in [&ana, &bia, &claim] {
            assert!(is_let(&mut table, &asked, actor), "nobody commands yet: {asked}");
        }
    }
    table.asks(&request("command", &id, json!({"commander": "Ana Souza", "backup": "Caio"})), 2).unwrap();
    let merge = request("merge", &id, json!({"into": other}));
    for (actor, expected) in [
        (&ana, true),
        (&claim, true),
        (&bia, false),
        (&unknown, false),
        (&Actor::claim("CAIO", &policy()), true),
        (&Actor { name: "Ana Souza".to_owned(), how: How::Unknown }, false),
    ] {
        assert_eq!(is_let(&mut table, &merge, actor), expected, "{actor:?}");
    }
    let refused = table.asks_as(&Request::try_from(merge).unwrap(), &bia, "r", 3).unwrap_err();
    assert_eq!(refused.kind(), "NotAllowed");
    assert!(refused.to_string().contains("Bia Lima may not merge"), "{refused}");
    assert!(refused.to_string().contains("(Ana Souza, Caio)"), "{refused}");
    let no = request("sensitive_data", &id, json!({"compromised": false, "reason": "x"}));
    assert!(!is_let(&mut table, &no, &bia));
}

#[test]
fn who_is_on_call_may_where_the_policy_says_so() {
    let policy_with = |squads: Value| {
        let mut patch = json!({"incidents": {"desk": {"resolve": "on_call"},
            "people": {"Ana Souza": {"slack": "U0000000A"}, "Bia Lima": {"slack": "U0000000B"}}}});
        patch["incidents"]["squads"] = squads;
        Policy::of(&patch).unwrap()
    };
    let shift = json!({"Squad Infra": {"rotation": {"every": "daily", "at": "00:00", "starts": "2026-01-01",
        "people": ["Bia Lima"]}}});
    for (squads, ana, bia) in [(shift, false, true), (json!({}), true, true)] {
        let policy = policy_with(squads);
        let (mut table, id, _) = table(In::Triggered);
        table.policy = Some(policy.clone());
        let request = Request::try_from(request("resolve", &id, json!({"reason": "x"}))).unwrap();
        let incident = table.incident(&id);
        assert_eq!(incident.owner, "Squad Infra");
        for (slack, expected) in [("U0000000A", ana), ("U0000000B", bia), ("U0000000Z", false)] {
            let actor = Actor::slack(slack, &policy);
            let result = may(&request, Some(&incident), &actor, &context(&policy, at(2)));
            assert_eq!(result.is_ok(), expected, "{slack}");
        }
    }
}

#[test]
fn a_note_is_one_entry() {
    let (mut table, id, _) = table(In::Resolved);
    let policy = policy();
    let incident = table.incident(&id);
    let plan =
        note(&incident, Action::PostMortem, "postmortem", "PR 12\nprazo", "pm|1", &context(&policy, at(5)));
    assert!(table.write(&plan.writes));
    assert!(!table.write(&plan.writes), "its event is there");
    assert!(table.items.contains_key(&Key::act("pm|1")));
    let noted = table.incident(&id);
    assert_eq!((noted.version, noted.state), (incident.version + 1, State::Resolved));
    assert_eq!(texts(&table, &id, Action::PostMortem), ["PR 12\nprazo"]);
    assert_eq!(noted.acts[&Action::PostMortem].by, "postmortem");
}

#[test]
fn the_index_has_what_is_over_by_its_month() {
    let (table, id, _) = table(In::Resolved);
    let place = |id: &str| table.items[&Key::incident(id)].get("open").cloned();
    assert_eq!(place(&id), Some(Attribute::Text("over-2026-11".to_owned())));
    // São Paulo's month, not that of UTC.
    let late = Incident {
        id: "INC-1".to_owned(),
        state: State::Resolved,
        first_at: "2026-12-01T02:59:59Z".parse().unwrap(),
        ..Incident::default()
    };
    let Write::Put { item, .. } = late.write() else { panic!("no put") };
    assert_eq!(text(&item, "open"), Some("over-2026-11"));
    assert_eq!(over("2026-11-01"), "over-2026-11");
}
