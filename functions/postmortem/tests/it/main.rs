//! The function against the wire protocols of AWS, with a table and a bucket in memory. The repository and the board are tested
//! on the local cloud.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cloud;
mod death;

use incident::{Action, Incident, Severity, State};
use jiff::SignedDuration;
use postmortem::PostmortemError;
use serde_json::{Value, json};
use shared::runtime::failure::Failure;

use cloud::{Cloud, ID, NOW, at, incident};

fn document() -> Value {
    json!({"document": {"incident": ID}})
}

fn state(state: &str) -> Value {
    json!({"postmortem": {"incident": ID, "state": state, "by": "Ana Souza"}})
}

fn text(text: &str) -> Value {
    json!({"postmortem": {"incident": ID, "text": text, "by": "Rui Lima"}})
}

/// A document that people have filled in.
fn filled(document: &str) -> String {
    let cause = "<!-- governance:postmortem:cause -->\n\n_A preencher._";
    assert!(document.contains(cause), "{document}");
    let document = document.replace(cause, "<!-- governance:postmortem:cause -->\n\nFaltava um índice.");
    let (before, after) = document.split_once("| 1 | ").unwrap();
    let (first, rest) = after.split_once(" | | |\n").unwrap();
    let second = rest.replacen("| 2 |  | | |", "| 2 | Criar o índice | Rui Lima | 04/12/2026 |", 1);
    format!("{before}| 1 | {first} | Ana Souza | 2026-12-11 |\n{second}")
}

fn stored() -> Cloud {
    let cloud = Cloud::new();
    cloud.store(&incident());
    cloud.line(ID, 0, "alarm", Action::Triggered, "5xx <script>");
    cloud.line(ID, 4, "Ana Souza", Action::Acknowledged, "");
    cloud.line(ID, 30, "Rui Lima", Action::Update, "subindo a versão anterior | já");
    for minute in 5..12 {
        cloud.line(ID, minute, "alarm", Action::Event, "de novo");
    }
    cloud
}

#[tokio::test]
async fn a_document_has_the_facts_and_leaves_the_rest_to_people() {
    let cloud = stored();
    let one = cloud.one(document(), NOW).await;
    assert_eq!((one.outcome, one.state, one.due.as_deref()), ("begun", Some("draft"), Some("2026-12-04")));
    let document_ = cloud.document();
    for part in [
        "# Post-mortem INC-20261129-7Q2MZK4A: Ninguém entra &lt;b&gt;\\| @",
        "| Severidade | S1 (confirmada por Ana Souza) |",
        "| Participaram | Ana Souza, Rui Lima |",
        "| TTA | 4 min | do primeiro evento até a primeira pessoa assumir |",
        "| TTM | 40 min |",
        "| TTR | 1 h 30 min |",
        "| 2026-11-29 19:00:00 | Acionado | alarm | 5xx &lt;script&gt; |",
        "| 19:30:00 | Atualização | Rui Lima | subindo a versão anterior \\| já |",
        "Não estão aqui: 7 evento(s)",
        "| 1 | Atualizar este guia ou runbooks `docs/plantao.md`: o passo 3 apaga a fila | | |",
        "<!-- governance:postmortem:whys -->",
    ] {
        assert!(document_.contains(part), "{part} is not in {document_}");
    }
    let page = cloud.object(&format!("postmortems/{ID}/postmortem.html"));
    assert!(page.contains("<table>") && !page.contains("<script>"), "{page}");
    let told = cloud.told();
    assert_eq!(told, [format!("rascunho em postmortems/{ID}/postmortem.md; encerrar até 2026-12-04")]);
    // The thread of the incident's message is told.
    assert!(cloud.fake.keys("INCIDENT#").contains(&"SEND#slack#post".to_owned()));
    assert_eq!(cloud.records(), [format!("{ID}/begun/{}", at("2026-11-29T23:30:00Z").as_second())]);

    // Delivered again, or asked for by a person.
    let again = json!({"document": {"incident": ID, "by": "Ana"}});
    for event in [document(), again] {
        assert_eq!(cloud.one(event, NOW).await.outcome, "unchanged");
    }
    assert_eq!((cloud.told().len(), cloud.records().len()), (1, 1));
}

#[tokio::test]
async fn an_incident_that_goes_on_or_needs_none_has_none() {
    for (changed, outcome, reason) in [
        (Incident { state: State::Triggered, ..incident() }, "overtaken", None),
        (Incident { severity: Severity::S3, ..incident() }, "not_needed", Some("severity")),
        (Incident { is_drill: true, ..incident() }, "not_needed", Some("drill")),
        (Incident { is_false_alarm: true, ..incident() }, "not_needed", Some("false_alarm")),
        (Incident { merged_into: "INC-1".to_owned(), ..incident() }, "not_needed", Some("merged")),
    ] {
        let cloud = Cloud::new();
        cloud.store(&changed);
        let one = cloud.one(document(), NOW).await;
        assert_eq!((one.outcome, one.reason), (outcome, reason));
        assert!(cloud.objects.lock().unwrap().is_empty(), "{outcome}");
        // A person may ask for one of a small one, and of an exercise.
        let asked = cloud.one(json!({"document": {"incident": ID, "by": "Ana"}}), NOW).await;
        let is_begun = reason.is_some_and(|reason| ["severity", "drill"].contains(&reason));
        assert_eq!(asked.outcome == "begun", is_begun, "{reason:?}");
    }
    let refused = Cloud::new().ask(document(), NOW).await.unwrap_err();
    assert_eq!(refused, PostmortemError::NoIncident(ID.to_owned()));
}

#[tokio::test]
async fn it_is_closed_once_it_is_complete_and_each_change_is_told_once() {
    let cloud = stored();
    let early = cloud.ask(state("in_review"), NOW).await.unwrap_err();
    assert_eq!(early.kind(), "NoPostmortem");
    cloud.one(document(), NOW).await;
    assert_eq!(cloud.ask(state("closed"), NOW).await.unwrap_err().kind(), "WrongState");
    assert_eq!(cloud.one(state("in_review"), NOW).await.outcome, "changed");
    let again = cloud.one(state("in_review"), NOW).await;
    assert_eq!((again.outcome, again.by.as_str()), ("unchanged", "Ana Souza"));

    let lacking = cloud.ask(state("closed"), NOW).await.unwrap_err();
    let PostmortemError::Incomplete { missing, .. } = &lacking else { panic!("{lacking:?}") };
    assert_eq!(missing, "falta a causa raiz; a ação 1 não tem responsável; a ação 1 não tem prazo");
    let broken = cloud.document().replace("<!-- governance:postmortem:cause -->", "");
    let gone = cloud.ask(text(&broken), NOW).await.unwrap_err();
    assert!(gone.to_string().contains("<!-- governance:postmortem:cause -->"), "{gone}");

    let complete = filled(&cloud.document());
    assert_eq!(cloud.one(text(&complete), NOW).await.outcome, "changed");
    assert_eq!(cloud.one(text(&complete), NOW).await.outcome, "unchanged");
    assert_eq!(cloud.document(), complete);
    let closed = cloud.one(state("closed"), NOW).await;
    assert_eq!((closed.outcome, closed.state), ("changed", Some("closed")));
    assert_eq!(cloud.one(state("closed"), "2026-11-30T13:00:00Z").await.outcome, "unchanged");
    for (event, kind) in [(state("draft"), "WrongState"), (text(&complete), "WrongState")] {
        assert_eq!(cloud.ask(event, NOW).await.unwrap_err().kind(), kind);
    }
    let told = cloud.told();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&"encerrado por Ana Souza, com 2 ação(ões)".to_owned()), "{told:?}");
    let records = cloud.records();
    let begun = format!("{ID}/begun/{}", at("2026-11-29T23:30:00Z").as_second());
    let changed = format!("{ID}/text/{}", at(NOW).as_second());
    assert_eq!(records, [begun, format!("{ID}/in_review/1"), changed, format!("{ID}/closed/2")]);
}

#[tokio::test]
async fn actions_are_chased_until_they_are_done_or_have_another_day() {
    let cloud = stored();
    cloud.one(document(), NOW).await;
    cloud.one(text(&filled(&cloud.document())), NOW).await;
    cloud.one(state("in_review"), NOW).await;
    cloud.one(state("closed"), NOW).await;
    // Friday: the second action is due today. Monday: it is overdue, every day.
    let friday = cloud.daily("2026-12-04T12:30:00Z").await;
    assert_eq!(
        (friday.result, friday.findings.as_slice()),
        ("succeeded", [format!("ActionDueSoon {ID}/2")].as_slice())
    );
    let monday = cloud.daily("2026-12-07T12:30:00Z").await;
    assert_eq!(
        (monday.result, monday.findings.as_slice()),
        ("failed", [format!("ActionOverdue {ID}/2")].as_slice())
    );
    assert_eq!(monday.paged.len(), 1);
    assert!(monday.paged[0].starts_with("postmortem/dev/ActionOverdue/"), "{:?}", monday.paged);
    let page = cloud.published.lock().unwrap().join("");
    for part in ["Rui+Lima", "Squad+Backend", "docs%2Fpostmortem.md"] {
        assert!(page.contains(part) || page.contains(&part.replace('+', "%20")), "{part} is not in {page}");
    }
    let no = json!({"action": {"incident": ID, "number": 9, "done": true, "by": "Ana"}});
    assert_eq!(cloud.ask(no, NOW).await.unwrap_err().kind(), "NoAction");
    let due =
        json!({"action": {"incident": ID, "number": 2, "due": "2026-12-18", "reason": "peça", "by": "Ana"}});
    for outcome in ["changed", "unchanged"] {
        assert_eq!(cloud.one(due.clone(), "2026-12-07T13:00:00Z").await.outcome, outcome);
    }
    let tuesday = cloud.daily("2026-12-08T12:30:00Z").await;
    assert_eq!((tuesday.result, tuesday.findings.len(), tuesday.paged.len()), ("succeeded", 0, 0));
    for number in [1, 2] {
        let done = json!({"action": {"incident": ID, "number": number, "done": true, "by": "Ana"}});
        for outcome in ["changed", "unchanged"] {
            assert_eq!(cloud.one(done.clone(), "2026-12-09T13:00:00Z").await.outcome, outcome);
        }
    }
    assert!(cloud.daily("2027-02-01T12:30:00Z").await.findings.is_empty());
    // Whoever reads the channel learns of each change, and on Mondays.
    let messages = cloud.messages();
    assert!(messages.iter().any(|message| message.contains("ActionOverdue")), "{messages:?}");
    assert!(messages.iter().any(|message| message.contains("Resolvido: ActionOverdue")), "{messages:?}");
}

#[tokio::test]
async fn the_daily_run_begins_what_was_lost_and_pages_what_is_late() {
    let cloud = stored();
    // Too early: the problem may come back within the flap window, and then the clock begins it.
    let early = cloud.daily("2026-11-29T23:35:00Z").await;
    assert!(early.begun.is_empty() && early.findings.is_empty(), "{early:?}");
    let found = cloud.daily("2026-12-01T12:30:00Z").await;
    assert_eq!(found.begun, [ID]);
    assert_eq!(found.findings, [format!("NotBegun {ID}")]);
    let due = cloud.daily("2026-12-03T12:30:00Z").await;
    assert_eq!(
        (due.result, due.findings.as_slice()),
        ("succeeded", [format!("PostmortemDueSoon {ID}")].as_slice())
    );
    let late = cloud.daily("2026-12-05T12:30:00Z").await;
    assert_eq!(late.findings, [format!("PostmortemOverdue {ID}")]);
    assert_eq!((late.result, late.paged.len()), ("failed", 1));
    // Once a day.
    assert!(cloud.daily("2026-12-05T15:30:00Z").await.paged.is_empty());
    // It never was an incident: nothing is late any more.
    cloud.store(&Incident { is_false_alarm: true, version: 9, ..incident() });
    let dropped = cloud.daily("2026-12-06T12:30:00Z").await;
    assert!(dropped.findings.is_empty() && dropped.paged.is_empty(), "{dropped:?}");
    assert!(cloud.told().contains(&"dispensado: alarme falso".to_owned()), "{:?}", cloud.told());
}

#[tokio::test]
async fn what_ended_before_this_function_was_there_is_no_backlog() {
    let cloud = stored();
    let first = cloud.daily("2026-12-01T12:30:00Z").await;
    let second = cloud.daily("2026-12-02T12:30:00Z").await;
    for report in [first, second] {
        assert_eq!((report.begun.len(), report.findings.len(), report.result), (0, 0, "succeeded"));
    }
    // Whoever wants one asks for it.
    let asked = json!({"document": {"incident": ID, "by": "Ana"}});
    assert_eq!(cloud.one(asked, "2026-12-02T13:00:00Z").await.outcome, "begun");
}

#[tokio::test]
async fn an_incident_that_was_reopened_gets_new_facts_and_keeps_what_people_wrote() {
    let cloud = stored();
    cloud.one(document(), NOW).await;
    cloud.one(text(&filled(&cloud.document())), NOW).await;
    let resolved_at = Some(incident().first_at + SignedDuration::from_hours(20));
    cloud.store(&Incident { resolved_at, version: 9, ..incident() });
    let again = cloud.one(document(), "2026-12-01T12:30:00Z").await;
    assert_eq!((again.outcome, again.due.as_deref()), ("begun_again", Some("2026-12-07")));
    let document_ = cloud.document();
    assert!(document_.contains("Faltava um índice.") && document_.contains("| TTR | 20 h 00 min |"));
    assert!(!document_.contains("1 h 30 min"));
    assert_eq!(cloud.told().len(), 2);
    // Once it is closed, a return is a finding, and the document stays.
    cloud.one(state("in_review"), "2026-12-01T13:00:00Z").await;
    cloud.one(state("closed"), "2026-12-01T13:00:00Z").await;
    let resolved_at = Some(at("2026-12-02T10:00:00Z"));
    cloud.store(&Incident { resolved_at, version: 20, ..incident() });
    assert_eq!(cloud.one(document(), "2026-12-02T12:30:00Z").await.outcome, "unchanged");
    assert_eq!(cloud.daily("2026-12-02T12:30:00Z").await.findings, [format!("Repeated {ID}")]);
}

#[tokio::test]
async fn the_months_numbers_are_written_with_their_definitions() {
    let cloud = stored();
    let first_at = incident().first_at;
    cloud.store(&Incident {
        id: "INC-20261129-AAAAAAAA".to_owned(),
        problem: "another".to_owned(),
        state: State::Triggered,
        acknowledged_at: None,
        first_acknowledged_at: None,
        mitigated_at: None,
        resolved_at: None,
        ..incident()
    });
    cloud.store(&Incident {
        id: "INC-20261129-BBBBBBBB".to_owned(),
        is_drill: true,
        first_acknowledged_at: Some(first_at + SignedDuration::from_mins(30)),
        ..incident()
    });
    let report = cloud.daily(NOW).await;
    assert_eq!(report.months, ["2026-11"]);
    let json: Value = serde_json::from_str(&cloud.object("metrics/incidents-2026-11.json")).unwrap();
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((&rows[0]["group"], &rows[0]["incidents"]), (&json!("incident"), &json!(2)));
    assert_eq!(rows[0]["tta"], json!({"count": 1, "median_seconds": 240, "p90_seconds": 240}));
    assert_eq!((&rows[1]["group"], &rows[1]["tta"]["median_seconds"]), (&json!("drill"), &json!(1800)));
    assert_eq!(json["unacknowledged"][0]["incident"], "INC-20261129-AAAAAAAA");
    assert_eq!(json["definitions"]["tta"], "do primeiro evento até a primeira pessoa assumir");
    let csv = cloud.object("metrics/incidents-2026-11.csv");
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some("month,group,severity,incidents,time,count,median_seconds,p90_seconds,definition")
    );
    let first = "2026-11,incident,S1,2,tta,1,240,240,do primeiro evento até a primeira pessoa assumir";
    assert_eq!(lines.next(), Some(first));
    assert_eq!(lines.count(), 7);
}
