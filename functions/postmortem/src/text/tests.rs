use incident::{Incident, SensitiveData};
use shared::runtime::language::Language;

use super::document::{Facts, draft, facts_of};
use super::finding::{item, pages};
use super::task;
use crate::rules::filled::{Missing, read, with_facts};
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
        runbook_wrong: FOREIGN.to_owned(),
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
        for absent in ["<img", "](http://", "@time", "\n## c"] {
            assert!(!document.contains(absent), "{absent} is in {document}");
        }
        // The action that the wrong runbook asks for is one row, with the text as it was written.
        let filled = read(&document).unwrap();
        assert_eq!(filled.actions.len(), 1, "{document}");
        assert!(filled.actions[0].what.contains("a | b"), "{:?}", filled.actions[0]);
        let again = with_facts(&document, &facts_of(&facts(&incident), language)).unwrap();
        assert_eq!(again, document);
    }
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
        (Finding::ActionDueSoon(task), "Ana"),
        (Finding::NotBegun("why".to_owned()), "why"),
        (Finding::NotSeen("why".to_owned()), "why"),
        (Finding::Repeated("INC-2".to_owned()), "INC-2"),
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
