//! The function against the wire protocols of AWS, with a table and a bucket in memory. The repository and the board are tested
//! on the local cloud.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cloud;
mod death;

use incident::{Action, Incident, Severity, State};
use jiff::SignedDuration;
use postmortem::PostmortemError;
use serde_json::{Value, json};

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
    assert_eq!(cloud.records(), [format!("{ID}/begun/1/{}", at("2026-11-29T23:30:00Z").as_second())]);

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
        assert!(cloud.bucket.objects().is_empty(), "{outcome}");
        // A person may ask for one of a small one, and of an exercise.
        let asked = cloud.one(json!({"document": {"incident": ID, "by": "Ana"}}), NOW).await;
        let is_begun = reason.is_some_and(|reason| ["severity", "drill"].contains(&reason));
        assert_eq!(asked.outcome == "begun", is_begun, "{reason:?}");
    }
    // The clock's is a failure: nobody reads its answer.
    let failed = Cloud::new().ask(document(), NOW).await.unwrap_err();
    assert_eq!(failed, PostmortemError::NoIncident(ID.to_owned()));
    let asked = json!({"document": {"incident": ID, "by": "Ana"}});
    assert_eq!(Cloud::new().refused(asked).await.0, "NoIncident");
    for (event, is_of_a_person) in [
        (json!({"document": {"incident": "x"}}), false),
        (json!({"document": {"incident": "x", "by": "Ana"}}), true),
        (json!({"postmortem": {"incident": ID, "by": "Ana", "state": "done"}}), true),
        (json!({"postmorten": {}}), true),
    ] {
        let answer = Cloud::new().ask(event.clone(), NOW).await;
        assert_eq!(answer.is_ok(), is_of_a_person, "{event}: {answer:?}");
    }
}

#[tokio::test]
async fn it_is_closed_once_it_is_complete_and_each_change_is_told_once() {
    let cloud = stored();
    assert_eq!(cloud.refused(state("in_review")).await.0, "NoPostmortem");
    cloud.one(document(), NOW).await;
    assert_eq!(cloud.refused(state("closed")).await.0, "WrongState");
    assert_eq!(cloud.one(state("in_review"), NOW).await.outcome, "changed");
    let again = cloud.one(state("in_review"), NOW).await;
    assert_eq!((again.outcome, again.by.as_str()), ("unchanged", "Ana Souza"));

    let (kind, missing) = cloud.refused(state("closed")).await;
    assert_eq!(kind, "Incomplete");
    let expected = "falta a causa raiz; a ação 1 não tem responsável; a ação 1 não tem prazo";
    assert!(missing.ends_with(expected), "{missing}");
    let broken = cloud.document().replace("<!-- governance:postmortem:cause -->", "");
    let (kind, gone) = cloud.refused(text(&broken)).await;
    assert_eq!(kind, "MarkGone");
    assert!(gone.contains("<!-- governance:postmortem:cause -->"), "{gone}");

    let complete = filled(&cloud.document());
    assert_eq!(cloud.one(text(&complete), NOW).await.outcome, "changed");
    assert_eq!(cloud.one(text(&complete), NOW).await.outcome, "unchanged");
    assert_eq!(cloud.document(), complete);
    let closed = cloud.one(state("closed"), NOW).await;
    assert_eq!((closed.outcome, closed.state), ("changed", Some("closed")));
    assert_eq!(cloud.one(state("closed"), "2026-11-30T13:00:00Z").await.outcome, "unchanged");
    for (event, kind) in [(state("draft"), "WrongState"), (text(&complete), "WrongState")] {
        assert_eq!(cloud.refused(event).await.0, kind);
    }
    let told = cloud.told();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&"encerrado por Ana Souza, com 2 ação(ões)".to_owned()), "{told:?}");
    let records = cloud.records();
    let begun = format!("{ID}/begun/1/{}", at("2026-11-29T23:30:00Z").as_second());
    let changed = format!("{ID}/text/2");
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
    assert_eq!(cloud.refused(no).await.0, "NoAction");
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
    // The channel hears of each change, and of everything on Mondays.
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
    // What changes on the same day has its record and its message, too.
    let again = cloud.daily("2026-12-01T15:30:00Z").await;
    assert!(again.findings.is_empty() && again.run_id != found.run_id, "{again:?}");
    assert!(cloud.records().contains(&again.run_id), "{:?}", cloud.records());
    let resolved = format!("Resolvido: NotBegun {ID}");
    assert!(cloud.messages().last().unwrap().contains(&resolved), "{:?}", cloud.messages());
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
    // A person can ask for one.
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
    assert_eq!(cloud.daily("2026-12-02T12:30:00Z").await.findings, [format!("Repeated {ID}/{ID}")]);
}

/// The incident, resolved that many hours after its first event.
fn again(hours: i64, version: u64) -> Incident {
    let resolved_at = Some(incident().first_at + SignedDuration::from_hours(hours));
    Incident { resolved_at, version, ..incident() }
}

#[tokio::test]
async fn what_was_not_needed_and_is_needed_after_all_is_begun_again() {
    let cloud = stored();
    cloud.one(document(), NOW).await;
    cloud.one(text(&filled(&cloud.document())), NOW).await;
    cloud.store(&Incident { is_false_alarm: true, version: 9, ..incident() });
    cloud.daily(NOW).await;
    assert_eq!(cloud.refused(state("in_review")).await.0, "WrongState");
    // The same end, and later another one.
    cloud.store(&incident());
    assert_eq!(cloud.daily("2026-12-01T12:30:00Z").await.begun, [ID]);
    assert!(cloud.document().contains("Faltava um índice."));
    cloud.store(&Incident { merged_into: "INC-1".to_owned(), version: 10, ..incident() });
    cloud.daily("2026-12-02T12:30:00Z").await;
    cloud.store(&again(60, 11));
    let begun = cloud.one(document(), "2026-12-02T13:00:00Z").await;
    assert_eq!((begun.outcome, begun.state), ("begun_again", Some("draft")));
    // Each is told, and in the evidence.
    let told = cloud.told();
    assert_eq!(told.iter().filter(|text| text.starts_with("rascunho")).count(), 3, "{told:?}");
    assert_eq!(told.iter().filter(|text| text.starts_with("dispensado")).count(), 2, "{told:?}");
    let begun = cloud.records().into_iter().filter(|run| run.contains("/begun"));
    assert_eq!(begun.count(), 3);
}

#[tokio::test]
async fn what_nobody_asked_for_is_dropped_when_it_becomes_an_exercise_or_small() {
    for (changed, why) in [
        (Incident { is_drill: true, version: 9, ..incident() }, "dispensado: simulado"),
        (Incident { severity: Severity::S3, version: 9, ..incident() }, "dispensado: severidade"),
    ] {
        let cloud = stored();
        cloud.one(document(), NOW).await;
        cloud.store(&changed);
        let late = cloud.daily("2026-12-10T12:30:00Z").await;
        assert!(late.findings.is_empty() && late.paged.is_empty(), "{late:?}");
        assert!(cloud.told().contains(&why.to_owned()), "{:?}", cloud.told());
        // A person can ask for it; then it stays.
        let asked = json!({"document": {"incident": ID, "by": "Ana"}});
        assert_eq!(cloud.one(asked, "2026-12-10T13:00:00Z").await.outcome, "begun_again");
        let kept = cloud.daily("2026-12-11T12:30:00Z").await;
        assert_eq!(kept.findings, [format!("PostmortemOverdue {ID}")]);
        // It was asked for before it became that.
        let cloud = stored();
        cloud.one(document(), NOW).await;
        assert_eq!(
            cloud.one(json!({"document": {"incident": ID, "by": "Ana"}}), NOW).await.outcome,
            "unchanged"
        );
        cloud.store(&changed);
        cloud.daily(NOW).await;
        assert_eq!(cloud.one(state("in_review"), NOW).await.outcome, "changed");
    }
}

#[tokio::test]
async fn while_the_incident_goes_on_nobody_closes_it_and_nobody_is_paged_for_that() {
    let cloud = stored();
    cloud.one(document(), NOW).await;
    cloud.one(text(&filled(&cloud.document())), NOW).await;
    cloud.one(state("in_review"), NOW).await;
    cloud.store(&Incident { state: State::Triggered, version: 9, ..incident() });
    let (kind, message) = cloud.refused(state("closed")).await;
    assert_eq!(kind, "NotOver");
    let late = cloud.daily("2026-12-10T12:30:00Z").await;
    assert!(late.findings.is_empty() && late.paged.is_empty(), "{late:?}");
    // Over again, and the document has the facts of the first end: what the message advises cures.
    cloud.store(&again(20, 10));
    assert_eq!(cloud.refused(state("closed")).await.0, "NotOver");
    assert!(message.contains("\"document\""), "{message}");
    let asked = json!({"document": {"incident": ID, "by": "Ana"}});
    assert_eq!(cloud.one(asked, NOW).await.outcome, "begun_again");
    assert_eq!(cloud.one(state("closed"), NOW).await.outcome, "changed");
}

#[tokio::test]
async fn what_is_closed_has_the_facts_of_that_moment_and_every_wrong_runbook_as_an_action() {
    let cloud = stored();
    cloud.one(document(), NOW).await;
    let complete = filled(&cloud.document());
    cloud.one(text(&complete), NOW).await;
    let reasons = format!("{}\no link não abre", incident().runbook_wrong);
    let changed = Incident { severity: Severity::S0, runbook_wrong: reasons, version: 9, ..incident() };
    cloud.store(&changed);
    // Somebody sends what they downloaded before, with another duration in it.
    cloud.one(text(&complete.replace("| TTR | 1 h 30 min |", "| TTR | 2 min |")), NOW).await;
    let document_ = cloud.document();
    for part in ["| Severidade | S0", "| TTR | 1 h 30 min |", "Faltava um índice.", "o link não abre | | |"]
    {
        assert!(document_.contains(part), "{part} is not in {document_}");
    }
    cloud.one(state("in_review"), NOW).await;
    let (kind, missing) = cloud.refused(state("closed")).await;
    assert_eq!(kind, "Incomplete");
    assert!(missing.contains("a ação 3 não tem responsável"), "{missing}");
    // In other words it is the same action.
    let row = document_.lines().find(|line| line.contains("o link não abre | | |")).unwrap();
    cloud.one(text(&document_.replace(row, "| 5 | Trocar o link | Rui | 2026-12-11 |")), NOW).await;
    // Nothing of the document changes but its facts.
    cloud.store(&Incident { severity: Severity::S1, version: 10, ..changed });
    let closed = cloud.one(state("closed"), NOW).await;
    assert_eq!(closed.outcome, "changed");
    assert!(cloud.told().iter().any(|text| text.contains("com 3 ação(ões)")), "{:?}", cloud.told());
    assert!(cloud.document().contains("| Severidade | S1") && cloud.document().contains("Trocar o link"));
}

#[tokio::test]
async fn each_text_and_each_new_day_is_in_the_evidence() {
    let cloud = stored();
    cloud.one(document(), NOW).await;
    let complete = filled(&cloud.document());
    let other = complete.replace("Faltava um índice.", "Faltava outro índice.");
    // The same again is a change of its own.
    for text_ in [&complete, &other, &complete] {
        assert_eq!(cloud.one(text(text_), NOW).await.outcome, "changed");
    }
    let texts = cloud.records().into_iter().filter(|run| run.contains("/text/"));
    assert_eq!(texts.count(), 3);
    cloud.one(state("in_review"), NOW).await;
    cloud.one(state("closed"), NOW).await;
    for (due, reason) in [("2026-12-20", "peça"), ("2026-12-10", "chegou"), ("2026-12-20", "quebrou")] {
        let due = json!({"action": {"incident": ID, "number": 2, "due": due, "reason": reason, "by": "Ana"}});
        for outcome in ["changed", "unchanged"] {
            assert_eq!(cloud.one(due.clone(), NOW).await.outcome, outcome);
        }
    }
    let done = json!({"action": {"incident": ID, "number": 1, "done": true, "reason": "não será feita", "by": "Ana"}});
    cloud.one(done, NOW).await;
    let objects = cloud.bucket.objects();
    let records: String = objects
        .iter()
        .filter(|(key, _)| key.starts_with("evidence/"))
        .map(|(_, text)| text.as_str())
        .collect();
    for part in [
        "2026-12-20 instead of 2026-12-04: peça",
        "2026-12-10 instead of 2026-12-20: chegou",
        "2026-12-20 instead of 2026-12-10: quebrou",
        "done: não será feita",
    ] {
        assert!(records.contains(part), "{part} is not in {records}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_done_fails_the_day() {
    // An incident whose item is damaged is in no number, and may need a document.
    let cloud = stored();
    cloud.one(document(), NOW).await;
    cloud.fake.with(|state| {
        let item = state.items.get_mut(&(format!("INCIDENT#{ID}"), "STATE".to_owned())).unwrap();
        item.insert("body".to_owned(), json!({"S": "{"}));
    });
    let unread = cloud.daily(NOW).await;
    assert_eq!((unread.result, unread.findings), ("failed", vec![format!("NotSeen {ID}")]));
    // A step that fails: people have removed the mark of the facts, and there are new ones.
    let cloud = stored();
    cloud.one(document(), NOW).await;
    for (key, text) in cloud.bucket.objects() {
        cloud.bucket.put(&key, &text.replace("<!-- governance:postmortem:end -->", ""));
    }
    cloud.store(&again(10, 9));
    let failed = cloud.daily("2026-11-30T13:00:00Z").await;
    assert_eq!((failed.result, failed.findings.len(), failed.begun.len()), ("failed", 0, 0), "{failed:?}");
}

#[tokio::test]
async fn a_beginning_that_cannot_be_read_opens_no_backlog() {
    let cloud = stored();
    let first = "evidence/postmortem/9999999998.json";
    let note = "runs/postmortem/begun.json";
    for (key, text) in [(first, "{"), (note, "{}")] {
        cloud.bucket.put(key, text);
    }
    let report = cloud.daily("2026-12-10T12:30:00Z").await;
    assert!(report.begun.is_empty(), "{report:?}");
    assert_eq!((report.result, report.findings), ("failed", vec![format!("NotSeen {ID}")]));
}

#[tokio::test]
async fn a_month_is_written_until_none_of_its_incidents_is_open() {
    let cloud = Cloud::new();
    let open = Incident { state: State::Triggered, resolved_at: None, ..incident() };
    cloud.store(&open);
    assert!(cloud.daily("2027-03-01T12:30:00Z").await.months.contains(&"2026-11".to_owned()));
    // Resolved after the window: the month is no longer among the last three.
    let resolved_at = Some(at("2027-03-01T20:00:00Z"));
    cloud.store(&Incident { resolved_at, version: 9, severity: Severity::S3, ..incident() });
    assert!(cloud.daily("2027-03-02T12:30:00Z").await.months.contains(&"2026-11".to_owned()));
    let json: Value = serde_json::from_str(&cloud.object("metrics/incidents-2026-11.json")).unwrap();
    assert_eq!((&json["open"], &json["rows"][0]["ttr"]["count"]), (&json!([]), &json!(1)));
    assert_eq!(cloud.daily("2027-03-03T12:30:00Z").await.months, ["2027-03"]);
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
