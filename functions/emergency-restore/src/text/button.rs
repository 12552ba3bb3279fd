//! The buttons under a question, where the stack has a desk in Slack. The desk gives the order that the message's command
//! gives; `rules/order.rs` decides about both.

use incident::text::desk::{self, ACTION, Form};
use shared::run::notify::Button;
use shared::runtime::language::Language;

use super::ask::proved_lines;
use crate::rules::proved;
use crate::rules::restore::{Direction, Phase, Restore};

/// The buttons of the question that a restore asks, if nothing failed.
pub(crate) fn buttons(language: Language, restore: &Restore, needs_two: bool) -> Vec<Button> {
    let forms: &[Form] = match (&restore.failure, restore.phase, restore.direction) {
        (Some(_), ..) => &[],
        (None, Phase::Approve, _) => &[Form::ApproveRestore, Form::RejectRestore],
        (None, Phase::Hold, Direction::New) => &[Form::RollBackRestore],
        (None, ..) => &[],
    };
    let asked = desk::Restore {
        run: restore.run.clone(),
        instance: restore.target.instance.clone(),
        by: restore.by.clone(),
        ..desk::Restore::default()
    };
    let button = |form: &Form| {
        let approval =
            (*form == Form::ApproveRestore).then(|| approval(language, restore, needs_two, &asked));
        Button {
            action_id: format!("{ACTION}{}", form.name()),
            label: form.label(language).to_owned(),
            value: approval.unwrap_or_else(|| asked.clone()).value(),
            is_primary: *form == Form::ApproveRestore,
        }
    };
    forms.iter().map(button).collect()
}

/// What an approval is about: the proof as the message shows it.
fn approval(language: Language, restore: &Restore, needs_two: bool, asked: &desk::Restore) -> desk::Restore {
    let proof = restore.proof.clone().unwrap_or_default();
    desk::Restore {
        verdict: proved::word(proof.verdict).to_owned(),
        is_good: proved::is_good(proof.verdict),
        needs_two,
        proof: proved_lines(language, &proof).join("\n").replace(['*', '`'], ""),
        ..asked.clone()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proof::Verdict;

    use super::*;
    use crate::rules::proved::Proved;
    use crate::rules::restore::{Failure, Target};

    #[test]
    fn a_question_has_the_buttons_of_its_answers() {
        let restore = |phase, verdict| Restore {
            run: "r20261130-1".to_owned(),
            by: "ana".to_owned(),
            phase,
            target: Target { instance: "moveongs-prod-db-r20261130-1".to_owned(), ..Target::default() },
            proof: Some(Proved { verdict, rows: 12, ..Proved::default() }),
            ..Restore::default()
        };
        let names = |restore: &Restore| {
            let buttons = buttons(Language::Portuguese, restore, true);
            buttons.into_iter().map(|button| button.action_id).collect::<Vec<_>>()
        };
        let hold = restore(Phase::Hold, Verdict::Fail);
        let failure =
            Failure { kind: "GuardLost".to_owned(), detail: String::new(), at: Timestamp::UNIX_EPOCH };
        let failed = Restore { failure: Some(failure), ..restore(Phase::Approve, Verdict::Fail) };
        for (asked, expected) in [
            (restore(Phase::Approve, Verdict::Fail), vec!["desk/approve_restore", "desk/reject_restore"]),
            (hold.clone(), vec!["desk/roll_back_restore"]),
            (Restore { direction: Direction::Old, ..hold }, vec![]),
            (restore(Phase::Choose, Verdict::Fail), vec![]),
            (failed, vec![]),
        ] {
            assert_eq!(names(&asked), expected, "{:?}", asked.phase);
        }
        let asked = restore(Phase::Approve, Verdict::Fail);
        let [approve, reject] = buttons(Language::Portuguese, &asked, true).try_into().unwrap();
        let read: desk::Restore = serde_json::from_str(&approve.value).unwrap();
        assert_eq!(
            (read.verdict.as_str(), read.is_good, read.needs_two),
            (proved::word(Verdict::Fail), false, true)
        );
        // An older question is about another instance.
        assert_eq!(read.instance, asked.target.instance);
        assert!(read.proof.starts_with("Prova: ") && !read.proof.contains('*'), "{}", read.proof);
        assert!(approve.is_primary && !reject.is_primary);
        assert!(approve.value.len() <= 2_000 && approve.label == "Aprovar a restauração");
    }
}
