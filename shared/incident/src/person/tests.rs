use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::{Change, Signal, Source};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sample(verb: &str) -> Value {
    let path = format!("../../events/incident-desk/person-{}.json", verb.replace('_', "-"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn read(event: Value) -> Result<Request, InvalidEvent> {
    assert!(Request::is(&event), "{event}");
    Request::try_from(event)
}

/// The field that a refusal names.
fn field(event: Value) -> String {
    read(event).unwrap_err().field
}

fn mute(event: &Value) -> Mute {
    match read(event.clone()) {
        Ok(Request::Mute(mute)) => mute,
        other => panic!("{other:?}"),
    }
}

/// A sample with one field changed, or removed.
fn with(name: &str, field: &str, value: Option<Value>) -> Value {
    let mut event = sample(name);
    let (_, fields) = event.as_object_mut().unwrap().iter_mut().next().unwrap();
    let fields = fields.as_object_mut().unwrap();
    match value {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
    event
}

#[test]
fn every_sample_is_read() {
    for verb in VERBS {
        let request = read(sample(verb)).unwrap_or_else(|error| panic!("{verb}: {error}"));
        assert_eq!((request.verb(), request.by()), (verb, "Ana Souza"));
        let is_about_one = !["declare", "mute", "unmute"].contains(&verb);
        assert_eq!(request.incident(), is_about_one.then_some("INC-20261129-7Q2MZK4A"), "{verb}");
        let written = serde_json::to_value(&request).unwrap();
        assert_eq!(read(written).unwrap(), request, "as it was written");
    }
}

#[test]
fn every_payload_of_the_page_is_accepted() {
    let page = include_str!("../../../../docs/incidentes.md");
    let lines: Vec<_> = page.lines().collect();
    let after_a_command = lines.windows(2).filter_map(|two| {
        let [command, payload] = two else { return None };
        command.contains("--function-name moveongs-dev-incident-desk ").then_some(*payload)
    });
    let listed = page.split("```json\n").skip(1).filter_map(|block| block.split("```").next());
    let payloads: Vec<_> = after_a_command.chain(listed.flat_map(str::lines)).collect();
    for payload in &payloads {
        let request = read(serde_json::from_str(payload).unwrap());
        assert!(request.is_ok(), "{payload}: {request:?}");
    }
    for verb in VERBS {
        let is_shown = payloads.iter().any(|payload| payload.starts_with(&format!("{{\"{verb}\"")));
        assert!(is_shown, "docs/incidentes.md does not show {verb}");
    }
}

#[test]
fn other_events_are_no_requests() {
    for event in [
        json!({}),
        json!(null),
        json!("declare"),
        json!(["mute"]),
        json!({"Records": []}),
        json!({"awslogs": {"data": ""}}),
        json!({"alarmArn": "arn"}),
        json!({"mutes": {}}),
    ] {
        assert!(!Request::is(&event), "{event}");
    }
}

#[test]
fn a_declaration_needs_title_severity_resource_and_person() {
    for name in ["title", "severity", "resource", "by"] {
        let error = read(with("declare", name, None)).unwrap_err();
        assert_eq!((error.field.as_str(), error.reason), ("declare", format!("missing field `{name}`")));
    }
    for name in ["reason", "runbook", "problem"] {
        assert!(read(with("declare", name, None)).is_ok(), "{name}");
    }
    let line = |length: usize| Some(json!("é".repeat(length)));
    for (name, most) in [
        ("title", 200),
        ("resource", 200),
        ("by", 100),
        ("reason", 4_000),
        ("runbook", 1_000),
        ("problem", 2_000),
    ] {
        assert!(read(with("declare", name, line(most))).is_ok(), "{name}");
        for wrong in [line(most + 1), line(0), Some(json!(" \n"))] {
            assert_eq!(field(with("declare", name, wrong)), format!("declare.{name}"));
        }
        assert_eq!(field(with("declare", name, Some(json!(7)))), format!("declare.{name}"));
    }
    for name in ["title", "resource", "by", "runbook", "problem"] {
        assert_eq!(field(with("declare", name, Some(json!("a\nb")))), format!("declare.{name}"));
    }
    assert!(read(with("declare", "reason", Some(json!("a\nb")))).is_ok());
    for severity in ["S0", "S1", "S2", "S3"] {
        assert!(read(with("declare", "severity", Some(json!(severity)))).is_ok(), "{severity}");
    }
    for severity in [json!("s1"), json!("S4"), json!("critical"), json!(1), json!(null)] {
        assert_eq!(field(with("declare", "severity", Some(severity))), "declare.severity");
    }
    assert_eq!(field(with("declare", "problem", Some(json!("*")))), "declare.problem");
    assert_eq!(field(with("declare", "owner", Some(json!("x")))), "declare.owner");
    assert_eq!(field(json!({"declare": {}, "mute": {}})), ".");
    assert_eq!(field(json!({"declare": {}, "by": "Ana"})), ".");
    assert_eq!(field(json!({"declare": "API"})), "declare");
    assert_eq!(field(json!({"mute": null})), "mute");
}

#[test]
fn only_an_id_names_an_incident() {
    for name in ["acknowledge", "resolve"] {
        let of = |id: &str| with(name, "incident", Some(json!(id)));
        for id in ["INC-20261129-7Q2MZK4A", "INC-20261129-00000000"] {
            assert!(read(of(id)).is_ok(), "{id}");
        }
        for id in [
            "",
            "INC-",
            "INC-20261129-7Q2MZK4",
            "INC-20261129-7Q2MZK4AB",
            "inc-20261129-7Q2MZK4A",
            "INC-20261129-7q2mzk4a",
            "INC-2026112A-7Q2MZK4A",
            "INC-20261129_7Q2MZK4A",
            "INC-20261129-7Q2MZK4#",
            "INC-20261129-7Q2MZKé",
            " INC-20261129-7Q2MZK4A",
        ] {
            assert_eq!(field(of(id)), format!("{name}.incident"), "{id}");
        }
        assert_eq!(field(with(name, "by", Some(json!("")))), format!("{name}.by"));
        assert_eq!(field(with(name, "by", None)), name);
        assert_eq!(field(with(name, "until", Some(json!("x")))), format!("{name}.until"));
    }
    assert_eq!(field(with("resolve", "reason", None)), "resolve");
    assert_eq!(field(with("resolve", "reason", Some(json!("a\nb")))), "resolve.reason");
}

#[test]
fn a_mute_ends_within_a_day() {
    let now = at("2026-11-29T12:00:00Z");
    let with_until = |text: &str| {
        let mut event = with("mute", "until", Some(json!(text)));
        event["mute"].as_object_mut().unwrap().remove("minutes");
        event
    };
    let until = |text: &str| mute(&with_until(text)).order(now);
    for (text, expected) in [
        ("2026-11-29T12:00:00.001Z", true),
        ("2026-11-29T09:00:01-03:00", true),
        ("2026-11-30T12:00:00Z", true),
        ("2026-11-30T09:00:00-03:00", true),
        ("2026-11-29T12:00:00Z", false),
        ("2026-11-29T09:00:00-03:00", false),
        ("2026-11-30T12:00:00.001Z", false),
        ("2020-01-01T00:00:00Z", false),
        ("9999-12-30T22:00:00Z", false),
    ] {
        let order = until(text);
        match order {
            Ok(order) => assert!(expected && order.until == at(text), "{text}"),
            Err(error) => assert!(!expected && error.field == "mute.until", "{text}"),
        }
    }
    for text in ["", "2026-11-29", "2026-11-29T18:00", "2026-11-29T18:00:00", "18:00", "tomorrow"] {
        let error = read(with_until(text)).unwrap_err();
        assert_eq!(error.field, "mute.until", "{text}");
        assert!(error.reason.starts_with("expected an instant with its offset"), "{error}");
    }
    for (minutes, end) in
        [(1, "2026-11-29T12:01:00Z"), (30, "2026-11-29T12:30:00Z"), (1440, "2026-11-30T12:00:00Z")]
    {
        let order = mute(&with("mute", "minutes", Some(json!(minutes)))).order(now).unwrap();
        let expected = crate::Mute {
            by: "Ana Souza".to_owned(),
            reason: "deploy da versão 2.4".to_owned(),
            until: at(end),
        };
        assert_eq!(order, expected);
    }
    for minutes in [json!(0), json!(1441), json!(-1), json!(70_000), json!("30"), json!(1.5)] {
        assert_eq!(field(with("mute", "minutes", Some(minutes))), "mute.minutes");
    }
}

#[test]
fn a_mute_needs_problem_reason_person_and_one_end() {
    assert_eq!(field(with("mute", "minutes", None)), "mute");
    assert_eq!(field(with("mute", "until", Some(json!("2026-11-29T18:00:00Z")))), "mute");
    for name in ["problem", "reason", "by"] {
        assert_eq!(field(with("mute", name, None)), "mute", "{name}");
        for wrong in ["", " ", "a\nb"] {
            assert_eq!(field(with("mute", name, Some(json!(wrong)))), format!("mute.{name}"));
        }
    }
    let of =
        |problem: &str| mute(&with("mute", "problem", Some(json!(problem)))).problem().map(str::to_owned);
    assert_eq!(of("*"), None);
    assert_eq!(of("**").as_deref(), Some("**"));
}

#[test]
fn an_unmute_is_a_mute_that_is_over() {
    let now = at("2026-11-29T12:00:00Z");
    let Ok(Request::Unmute(unmute)) = read(sample("unmute")) else { panic!("not an unmute") };
    assert_eq!(unmute.problem(), mute(&sample("mute")).problem());
    assert_eq!(
        unmute.order(now),
        crate::Mute { by: "Ana Souza".to_owned(), reason: String::new(), until: now }
    );
    let Ok(Request::Unmute(all)) = read(with("unmute", "problem", Some(json!("*")))) else {
        panic!("not one")
    };
    assert_eq!(all.problem(), None);
    for name in ["problem", "by"] {
        assert_eq!(field(with("unmute", name, Some(json!("")))), format!("unmute.{name}"));
    }
    assert_eq!(field(with("unmute", "minutes", Some(json!(5)))), "unmute.minutes");
}

#[test]
fn a_declaration_is_a_signal_that_pages() {
    let now = at("2026-11-29T12:00:00Z");
    let of = |event: Value| match read(event).unwrap() {
        Request::Declare(declare) => declare,
        other => panic!("{other:?}"),
    };
    let declare = of(sample("declare"));
    let signal = declare.signal("request-1", now);
    let expected = Signal {
        source: Source::Person,
        problem: "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-api-5xx".to_owned(),
        event: "declare|arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-api-5xx|request-1"
            .to_owned(),
        change: Change::Triggered,
        changed_at: Some(now),
        title: "Ninguém consegue entrar".to_owned(),
        reason: "Três unidades ligaram.\nA tela de login fica em branco.".to_owned(),
        severity: Some(Severity::S1),
        labels: BTreeMap::from([
            ("declared_by".to_owned(), "Ana Souza".to_owned()),
            ("resource".to_owned(), "moveongs-prod-api".to_owned()),
        ]),
        runbook: Some("docs/incidentes.md".to_owned()),
        owner: None,
        link: None,
        muted_by_source: None,
        understood: true,
        is_vouched: true,
    };
    assert_eq!(signal, expected);
    // Another invocation is another event of the same problem.
    assert_ne!(declare.signal("request-2", now).event, signal.event);
    let plain = of(with("declare", "problem", None)).signal("request-1", now);
    assert_eq!(plain.problem, "person|moveongs-prod-api|Ninguém consegue entrar");
    let odd = of(with("declare", "reason", Some(json!("a\u{1b}[31m\u{202e}b\nc")))).signal("r", now);
    assert_eq!(odd.reason, "a [31m b\nc");
    let none = of(with("declare", "reason", None)).signal("r", now);
    assert_eq!((none.reason.as_str(), none.understood), ("", true));
}

#[test]
fn a_declared_drill_is_one() {
    let Ok(Request::Declare(drill)) = read(with("declare", "drill", Some(json!(true)))) else { panic!() };
    let signal = drill.signal("r", at("2026-11-29T12:00:00Z"));
    assert_eq!(signal.labels.get("drill").map(String::as_str), Some("true"));
}

#[test]
fn what_is_said_of_an_incident_has_its_form() {
    let long = |length: usize| json!("é".repeat(length));
    for (verb, name, good, wrong) in [
        ("classify", "severity", json!("S3"), json!("s3")),
        ("classify", "reason", long(200), long(201)),
        ("command", "commander", long(100), json!("a\nb")),
        ("command", "backup", long(100), json!(" ")),
        ("command", "reason", json!("x"), json!("")),
        ("call", "squad", long(200), json!("")),
        ("call", "reason", json!("x"), long(201)),
        ("update", "text", long(3_000), long(3_001)),
        ("update", "impact_since", json!("2026-11-29T12:00:00Z"), json!("09:20")),
        ("mitigate", "text", json!("a\nb"), json!(" \n")),
        ("reopen", "reason", long(200), json!("a\nb")),
        ("false_alarm", "reason", long(200), json!("")),
        ("merge", "into", json!("INC-20261129-00000000"), json!("INC-1")),
        ("merge", "into", json!("INC-20261129-00000001"), json!("INC-20261129-7Q2MZK4A")),
        ("merge", "reason", json!("x"), long(201)),
        ("sensitive_data", "compromised", json!(false), json!("yes")),
        ("sensitive_data", "reason", json!("x"), json!("")),
        ("drill", "drill", json!(false), json!(1)),
        ("drill", "reason", json!("x"), json!("")),
        ("runbook_wrong", "reason", long(200), long(201)),
        ("tell_customers", "text", long(3_000), json!("")),
    ] {
        let accepted = read(with(verb, name, Some(good)));
        assert!(accepted.is_ok(), "{verb}.{name}: {accepted:?}");
        assert_eq!(field(with(verb, name, Some(wrong))), format!("{verb}.{name}"));
        let is_optional = [
            ("classify", "reason"),
            ("command", "commander"),
            ("command", "backup"),
            ("command", "reason"),
            ("call", "reason"),
            ("update", "impact_since"),
            ("merge", "reason"),
        ];
        let without = read(with(verb, name, None));
        assert_eq!(
            without.is_ok(),
            is_optional.contains(&(verb, name)),
            "{verb} without {name}: {without:?}"
        );
        assert_eq!(field(with(verb, "because", Some(json!("x")))), format!("{verb}.because"));
    }
}

#[test]
fn an_impact_begins_neither_in_the_future_nor_long_before_the_first_event() {
    let Ok(Request::Update(update)) = read(sample("update")) else { panic!("not an update") };
    let since = at("2026-11-29T12:20:00Z");
    for (first_at, now, is_accepted) in [
        (since, since, true),
        (since, at("2026-11-29T12:19:59Z"), false),
        (at("2026-12-06T12:20:00Z"), at("2026-12-30T12:20:00Z"), true),
        (at("2026-12-06T12:20:01Z"), at("2026-12-30T12:20:00Z"), false),
    ] {
        let read = update.impact_since(first_at, now).map_err(|error| error.field);
        let refused = Err("update.impact_since".to_owned());
        assert_eq!(read, if is_accepted { Ok(Some(since)) } else { refused }, "{first_at} {now}");
    }
}

#[test]
fn the_policy_says_who_may_do_what() {
    let policy: policy::Policy = "".parse().unwrap();
    let who = |event: Value| read(event).unwrap().who(&policy.incidents.desk);
    let commander = ["false_alarm", "merge", "drill"];
    let anyone = ["declare", "acknowledge", "update", "runbook_wrong"];
    for verb in VERBS {
        let expected = if commander.contains(&verb) {
            Who::Commander
        } else if anyone.contains(&verb) {
            Who::Anyone
        } else {
            Who::People
        };
        let sample = if verb == "update" { with(verb, "impact_since", None) } else { sample(verb) };
        assert_eq!(who(sample), expected, "{verb}");
    }
    assert_eq!(who(sample("update")), Who::People, "with another beginning of the impact");
    let no = who(with("sensitive_data", "compromised", Some(json!(false))));
    assert_eq!(no, Who::Commander, "a «yes» is for everybody: when in doubt, yes");
}
