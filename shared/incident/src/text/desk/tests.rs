//! The desk's modals and answers, within Slack's limits whatever people and senders write.

use jiff::Timestamp;
use policy::Policy;
use policy::incidents::Who;
use serde_json::{Value, json};

use super::*;
use crate::Severity;
use crate::incident::Act;
use crate::person::Request;
use crate::store::{Outcome, Refusal};
use crate::text::tests::{extremes, limits, nasty};

const LANGUAGES: [Language; 2] = [Language::Portuguese, Language::English];
const ID: &str = "INC-20261129-7Q2MZK4A";

fn now() -> Timestamp {
    "2026-11-29T12:41:00Z".parse().unwrap()
}

#[test]
fn a_form_has_one_name_and_titles_that_slack_takes() {
    for form in Form::ALL {
        assert_eq!(Form::from_name(form.name()), Some(form));
        assert_eq!(serde_json::to_value(form).unwrap(), form.name());
        for language in LANGUAGES {
            let length = form.label(language).chars().count();
            assert!(length <= TITLE_LIMIT, "{}: {length}", form.label(language));
        }
    }
    assert_eq!(Form::from_name("dance"), None);
}

#[test]
fn every_modal_passes_slacks_limits_for_every_extreme() {
    let texts = nasty();
    for (turn, (incident, language)) in extremes().into_iter().enumerate() {
        let text = texts.get(turn % texts.len()).unwrap();
        let restore = Restore {
            run: "r20261130-999".to_owned(),
            instance: "d".repeat(63),
            verdict: text.clone(),
            is_good: turn % 2 == 0,
            needs_two: turn % 3 == 0,
            by: text.clone(),
            proof: text.clone(),
        };
        let restore: Restore = serde_json::from_str(&restore.value()).unwrap();
        let many: Vec<String> =
            (0..turn % 3 * 60).map(|number| format!("squad {number} {}", "é".repeat(80))).collect();
        let told = crate::text::customers::Told { words: text, is_first: turn % 2 == 0 };
        let mail = crate::text::customers::message(&incident, told, language, now());
        for form in Form::ALL {
            let is_restore = form.name().ends_with("_restore");
            let subject = Subject {
                incident: (!is_restore && turn % 5 > 0).then_some(&incident),
                squads: many.iter().map(String::as_str).collect(),
                restore: is_restore.then_some(&restore),
                words: text,
                preview: if form == Form::TellCustomers {
                    crate::text::customers::preview(&mail)
                } else {
                    vec![]
                },
            };
            let made = view(form, &subject, "{}", language);
            limits::modal(&made).unwrap_or_else(|problem| {
                panic!("{} {:?}: {problem}", form.name(), text.chars().take(40).collect::<String>())
            });
        }
    }
}

#[test]
fn a_restores_button_holds_what_its_modal_shows() {
    for text in nasty() {
        let long = Restore {
            run: "r20261130-999".to_owned(),
            instance: "d".repeat(63),
            verdict: text.clone(),
            is_good: false,
            needs_two: true,
            by: text.clone(),
            proof: text.clone(),
        };
        let value = long.value();
        assert!(value.encode_utf16().count() <= VALUE_LIMIT, "{} units", value.encode_utf16().count());
        let read: Restore = serde_json::from_str(&value).unwrap();
        assert_eq!((read.run, read.is_good, read.needs_two), (long.run, false, true));
    }
    let restore = Restore {
        run: "r20261130-1".to_owned(),
        instance: "moveongs-prod-db-r20261130-1".to_owned(),
        verdict: "good".to_owned(),
        is_good: true,
        needs_two: false,
        by: "Ana".to_owned(),
        proof: "Prova: good\n12 linhas".to_owned(),
    };
    assert_eq!(serde_json::from_str::<Restore>(&restore.value()).unwrap(), restore);
}

#[test]
fn the_check_of_modals_finds_each_breach() {
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let good = view(Form::Classify, &Subject::default(), "{}", Language::Portuguese);
    assert_eq!(limits::modal(&good), Ok(()));
    let element = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed["blocks"][0]["element"][name] = value;
        changed
    };
    let change = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let option = |text: &str, value: &str| json!({"text": plain(text), "value": value});
    for bad in [
        change("title", plain(&"a".repeat(25))),
        change("submit", plain("")),
        change("private_metadata", json!("a".repeat(3_001))),
        change("callback_id", json!("a".repeat(256))),
        change("blocks", json!([])),
        change("blocks", json!(vec![json!({"type": "divider"}); 101])),
        change("hash", json!("1")),
        element("options", json!([])),
        element("options", json!(vec![option("a", "a"); 101])),
        element("options", json!([option(&"a".repeat(76), "a")])),
        element("options", json!([option("a", &"a".repeat(151))])),
        element("options", json!([option("a", "")])),
        element("initial_option", option("none of them", "x")),
        element("type", json!("external_select")),
        element("action_id", json!("")),
    ] {
        assert!(limits::modal(&bad).is_err(), "{bad}");
    }
    let text = view(Form::Resolve, &Subject { words: "a", ..Subject::default() }, "{}", Language::English);
    for (name, value) in [
        ("max_length", json!(0)),
        ("max_length", json!(3_001)),
        ("initial_value", json!("")),
        ("initial_value", json!("a".repeat(201))),
    ] {
        let mut bad = text.clone();
        bad["blocks"][0]["element"][name] = value;
        assert!(limits::modal(&bad).is_err(), "{bad}");
    }
}

fn requests() -> Vec<Request> {
    let about = |verb: &str, more: Value| {
        let mut fields = json!({"incident": ID, "by": "Ana"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Request::try_from(json!({verb: fields})).unwrap()
    };
    vec![
        Request::try_from(json!({"declare": {"title": "a", "severity": "S1", "resource": "r", "by": "Ana"}}))
            .unwrap(),
        about("acknowledge", json!({})),
        about("classify", json!({"severity": "S0"})),
        about("command", json!({})),
        about("command", json!({"commander": "Bia"})),
        about("command", json!({"backup": "Bia"})),
        about("call", json!({"squad": "é".repeat(200)})),
        about("update", json!({"text": "a"})),
        about("mitigate", json!({"text": "a"})),
        about("resolve", json!({"reason": "a"})),
        about("reopen", json!({"reason": "a"})),
        about("false_alarm", json!({"reason": "a"})),
        about("merge", json!({"into": "INC-20261129-AAAAAAAA"})),
        about("sensitive_data", json!({"compromised": true, "reason": "a"})),
        about("sensitive_data", json!({"compromised": false, "reason": "a"})),
        about("drill", json!({"drill": true, "reason": "a"})),
        about("drill", json!({"drill": false, "reason": "a"})),
        about("runbook_wrong", json!({"reason": "a"})),
        about("tell_customers", json!({"text": "a"})),
    ]
}

fn refusals(text: &str) -> Vec<Refusal> {
    let text = || text.to_owned();
    let who = [Who::Anyone, Who::People, Who::OnCall, Who::Commander];
    let may = |who| Refusal::NotAllowed { by: text(), verb: "resolve", who, may: vec![text(); 3] };
    let others = vec![
        Refusal::NoIncident(text()),
        Refusal::Over { incident: text(), at: Some(now()) },
        Refusal::Over { incident: text(), at: None },
        Refusal::Part { incident: text(), into: text() },
        Refusal::Newer { incident: text(), newer: text() },
        Refusal::HasParts { incident: text(), parts: vec![text(); 30] },
        Refusal::Silent { incident: text(), into: text() },
        Refusal::DrillAndReal { incident: text(), into: text() },
        Refusal::UnknownPerson { name: text(), known: vec![text(); 30] },
        Refusal::UnknownSquad { squad: text(), known: vec![text(); 30] },
        Refusal::OwnBackup(text()),
        Refusal::NoCustomers,
        Refusal::DrillTold(text()),
        Refusal::Invalid(policy::event::InvalidEvent { field: text(), reason: text() }),
    ];
    who.map(may).into_iter().chain(others).collect()
}

#[test]
fn every_answer_passes_slacks_limits_for_every_extreme() {
    let requests = requests();
    let texts = nasty();
    for (turn, (incident, language)) in extremes().into_iter().enumerate() {
        let text = texts.get(turn % texts.len()).unwrap();
        let request = requests.get(turn % requests.len()).unwrap();
        let before = Act { by: text.clone(), at: now() };
        let refusals = refusals(text);
        let crowd = vec![incident.clone(); turn % 50];
        for lines in [
            told(request, Outcome::Already, Some(&incident), Some(&before), language),
            told(request, Outcome::Updated, Some(&incident), None, language),
            told(request, Outcome::Recorded, None, None, language),
            refused(refusals.get(turn % refusals.len()).unwrap(), language),
            later(text, language),
            unclear(text, language),
            unopened(Form::Update, text, language),
            vec![only_people(language)],
            ordered(text, Ok(std::slice::from_ref(text)), language),
            ordered(text, Err(text), language),
            ordered_again(text, text, language),
            standing(&incident, language, now()),
            incidents(&crowd, language, now()),
            help(language),
            vec![text.clone(); 9],
            vec![],
        ] {
            limits::answer(&ephemeral(&lines)).unwrap_or_else(|problem| {
                panic!("{:?}: {problem}", lines.first().map(|line| line.chars().take(60).collect::<String>()))
            });
        }
    }
}

#[test]
fn both_of_two_people_read_what_happened() {
    let request = Request::try_from(json!({"acknowledge": {"incident": ID, "by": "Bia"}})).unwrap();
    let incident = Incident {
        id: ID.to_owned(),
        title: "API fora".to_owned(),
        environment: "prod".to_owned(),
        severity: Severity::S1,
        state: State::Acknowledged,
        ..Incident::default()
    };
    let ana = Act { by: "Ana Souza".to_owned(), at: now() };
    let first = told(&request, Outcome::Updated, Some(&incident), None, Language::Portuguese);
    assert_eq!(
        first,
        [
            "Feito: assumido; a escalação parou.",
            "👀 INC-20261129-7Q2MZK4A [prod] S1 alta, assumido: API fora"
        ]
    );
    let second = told(&request, Outcome::Already, Some(&incident), Some(&ana), Language::Portuguese);
    let said = second.first().unwrap();
    assert!(said.starts_with("Já estava feito por Ana Souza, ") && said.ends_with("Nada mudou."), "{said}");
    let refusal = Refusal::NotAllowed {
        by: "Bia".to_owned(),
        verb: "merge",
        who: Who::Commander,
        may: vec!["Ana".to_owned()],
    };
    let refusal = refused(&refusal, Language::Portuguese);
    assert!(refusal[0].contains("quem comanda o incidente") && refusal[0].ends_with("(Ana)."), "{refusal:?}");
}

#[test]
fn the_buttons_are_those_of_the_state_and_lead_to_forms() {
    let names = |state: State| {
        let incident = Incident { id: ID.to_owned(), state, ..Incident::default() };
        let buttons = buttons(&incident, Language::Portuguese);
        buttons
            .iter()
            .map(|button| {
                assert_eq!(button["value"], ID);
                button["action_id"].as_str().unwrap().strip_prefix(ACTION).unwrap().to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names(State::Triggered), ["acknowledge", "update", "classify", "mitigate", "resolve", "more"]);
    assert_eq!(names(State::Acknowledged), ["update", "classify", "mitigate", "resolve", "more"]);
    assert_eq!(names(State::Mitigated), ["update", "resolve", "reopen", "more"]);
    assert_eq!(names(State::Resolved), ["reopen", "more"]);
    for name in names(State::Triggered).iter().filter(|name| *name != ACKNOWLEDGE) {
        assert!(Form::from_name(name).is_some(), "{name}");
    }
    let own = Incident { id: ID.to_owned(), problem: format!("{}x", crate::DRILL), ..Incident::default() };
    assert!(buttons(&own, Language::Portuguese).is_empty(), "nobody has to do anything");
}

#[test]
fn who_is_on_call_now_and_next_is_told_for_each_squad() {
    let policy: Policy = r#"{"incidents": {
        "people": {"Ana Souza": {"slack": "U024BE7LH"}, "Bia Lima": {"slack": "U0BIA00001"}},
        "squads": {"Banco": {"rotation": {"every": "weekly", "weekday": "monday", "at": "09:00", "starts": "2026-11-23",
            "people": ["Ana Souza", "Bia Lima"], "second": ["Bia Lima", "Ana Souza"]}}, "API": {}}}}"#
        .parse()
        .unwrap();
    let now = "2026-11-24T12:00:00Z".parse().unwrap();
    let lines = on_call(&policy, now, Language::Portuguese);
    let banco = lines.iter().find(|line| line.starts_with("Banco")).unwrap();
    assert!(
        banco.contains("Ana Souza (segunda pessoa: Bia Lima), até ") && banco.contains("depois Bia Lima"),
        "{banco}"
    );
    assert!(lines.iter().any(|line| line.starts_with("API: ninguém")), "{lines:?}");
}
