use incident::{Action, Entry, Incident, SensitiveData};
use shared::runtime::language::Language;

use super::document::{Facts, draft, facts_of, runbook_actions};
use super::finding::{item, pages};
use super::task;
use crate::rules::filled::{Filled, Missing, read, with_facts};
use crate::rules::finding::{Finding, Found};
use crate::rules::journal::{Postmortem, State, Task};

const LANGUAGES: [Language; 2] = [Language::Portuguese, Language::English];

/// Text that would be a row, a heading, a mention, a link and HTML of its own.
const FOREIGN: &str =
    "a | b\n## c @time [x](http://y.example) <img src=z> <!-- governance:postmortem:cause -->";

fn facts(incident: &Incident) -> Facts<'_> {
    Facts { incident, timeline: &[], due: "2026-12-07".parse().unwrap(), holidays: &[] }
}

#[test]
fn a_draft_reads_back_as_empty_in_both_languages() {
    let incident = Incident { id: "INC-1".to_owned(), title: "t".to_owned(), ..Incident::default() };
    let drafts = LANGUAGES.map(|language| draft(&facts(&incident), language));
    assert_ne!(drafts[0], drafts[1]);
    for draft in &drafts {
        assert_eq!(read(draft).unwrap().missing(), [Missing::Cause, Missing::Actions], "{draft}");
    }
}

#[test]
fn foreign_text_is_text_and_no_mark() {
    let incident = Incident {
        title: FOREIGN.to_owned(),
        resource: FOREIGN.to_owned(),
        runbook: format!("{FOREIGN} a|Rui|2030-01-01 \\"),
        runbook_wrong: FOREIGN.replace('\n', " "),
        sensitive_data: Some(SensitiveData {
            by: FOREIGN.to_owned(),
            reason: FOREIGN.to_owned(),
            ..SensitiveData::default()
        }),
        ..Incident::default()
    };
    for language in LANGUAGES {
        let document = draft(&facts(&incident), language);
        assert_eq!(document.matches("governance:postmortem:cause -->").count(), 1, "{document}");
        // In a code span, nothing but its end and HTML comments would count.
        let outside: String = document.split('`').step_by(2).collect();
        for absent in ["<img", "](http://", "@time", "\n## c"] {
            assert!(!outside.contains(absent), "{absent} is in {document}");
        }
        assert!(!document.contains("<img"), "{document}");
        // The action that the wrong runbook asks for is one row, with the text as it was written.
        let filled = read(&document).unwrap();
        assert_eq!(filled.actions.len(), 1, "{document}");
        assert_eq!((filled.actions[0].owner.as_str(), filled.actions[0].due.is_err()), ("", true));
        assert_eq!((filled.cause.as_str(), filled.strays.len()), ("", 0), "{document}");
        assert!(filled.actions[0].what.contains("a | b"), "{:?}", filled.actions[0]);
        let again = with_facts(&document, &facts_of(&facts(&incident), language)).unwrap();
        assert_eq!(again, document);
    }
}

#[test]
fn a_wrong_runbook_is_one_action_for_each_reason_until_people_change_it() {
    let of = |reasons: &str| Incident {
        id: "INC-1".to_owned(),
        runbook_wrong: reasons.to_owned(),
        ..Incident::default()
    };
    let language = Language::Portuguese;
    let document = draft(&facts(&of("não há passo 3 <b>\nlink morto https://x")), language);
    let filled = read(&document).unwrap();
    assert_eq!(filled.actions.len(), 2, "{document}");
    assert!(filled.actions[1].what.ends_with("link morto https://x"), "{:?}", filled.actions[1]);
    for (reasons, before, filled, expected) in [
        ("não há passo 3 <b>\nlink morto https://x\nmais um", "", &filled, 1),
        ("não há passo 3 <b>", "", &filled, 0),
        // People have put it in other words.
        ("não há passo 3 <b>", "não há passo 3 <b>", &Filled::default(), 0),
        ("", "", &filled, 0),
    ] {
        assert_eq!(runbook_actions(&of(reasons), before, filled, language).len(), expected, "{reasons}");
    }
}

#[test]
fn a_long_incident_has_its_beginning_and_its_end_in_a_document_that_people_can_send() {
    let worst = "&".repeat(5000);
    let entry = |place: i64| Entry {
        at: jiff::Timestamp::from_second(1_790_000_000 + place).unwrap(),
        by: format!("{place} {worst}"),
        action: Action::Update,
        text: worst.clone(),
    };
    let timeline: Vec<_> = (0..1000).map(entry).collect();
    let incident = Incident { runbook: worst.clone(), title: worst.clone(), ..Incident::default() };
    let document = draft(&Facts { timeline: &timeline, ..facts(&incident) }, Language::Portuguese);
    assert!(document.len() < crate::event::MOST_BYTES * 9 / 10, "{}", document.len());
    for (place, is_shown) in [(0, true), (99, true), (100, false), (899, false), (900, true), (999, true)] {
        assert_eq!(document.contains(&format!(" Atualização | {place} &amp;")), is_shown, "{place}");
    }
    assert!(document.contains("800 linha(s) do meio"), "{document}");
}

#[test]
fn every_finding_has_a_sentence_and_a_next_step_in_both_languages() {
    let due = "2026-12-07".parse().unwrap();
    let task = Task { number: 2, what: "medir".to_owned(), owner: "Ana".to_owned(), due, ..Task::default() };
    let postmortem =
        Postmortem { title: "t".to_owned(), owner: "Squad A".to_owned(), ..Postmortem::default() };
    for (finding, part) in [
        (Finding::PostmortemOverdue { due, state: State::Draft }, "2026-12-07"),
        (Finding::PostmortemDueSoon { due, state: State::InReview }, "2026-12-07"),
        (Finding::ActionOverdue(task.clone()), "medir"),
        (Finding::ActionDueSoon(task.clone()), "Ana"),
        (Finding::ActionRejected(task, "not_planned".to_owned()), "not_planned"),
        (Finding::NotBegun("why".to_owned()), "why"),
        (Finding::NotSeen("why".to_owned()), "why"),
        (Finding::Repeated("INC-2".to_owned()), "INC-2"),
        (Finding::Repeated("INC-1".to_owned()), "INC-1"),
    ] {
        let found = Found { incident: "INC-1".to_owned(), postmortem: Some(postmortem.clone()), finding };
        let [portuguese, english] = LANGUAGES.map(|language| item(&found, language));
        assert_ne!(portuguese.sentence, english.sentence);
        assert_ne!(portuguese.step, english.step);
        assert!(portuguese.sentence.contains(part) && english.sentence.contains(part), "{portuguese:?}");
        let settings = shared::testing::settings("moveongs-dev-postmortem", Language::Portuguese);
        let pages = pages(&settings, std::slice::from_ref(&found));
        assert_eq!(pages.len(), usize::from(found.finding.pages()));
        assert!(pages.iter().all(|page| page.text.contains("Squad A") && page.owner == "Squad A"));
    }
}

#[test]
fn a_task_says_who_by_when_and_from_where() {
    let due = "2026-12-07".parse().unwrap();
    let task =
        Task { number: 2, what: FOREIGN.to_owned(), owner: "Ana @x".to_owned(), due, ..Task::default() };
    for language in LANGUAGES {
        let settings = shared::testing::settings("moveongs-dev-postmortem", language);
        let body = task::body(&settings, "INC-1", &task);
        for part in ["2026-12-07", "INC-1", "Ana @\u{2060}x"] {
            assert!(body.contains(part), "{part} is not in {body}");
        }
        assert!(!body.contains("<img") && !body.contains("@time") && !body.contains("<!--"), "{body}");
        assert!(task::title(&settings, &task).contains("2026-12-07"));
    }
}
