//! The size of a record. Its lines hold other people's text, and no record may be longer than what a verification reads.

use std::borrow::Cow;

use serde::Serialize;

use super::{Draft, Step};
use crate::run::documents::bytes;

/// Bytes above which a record is cut: a quarter of what a verification reads.
const MOST_BYTES: usize = 1024 * 1024;

/// Most characters of a text in a record that is cut.
const LINE: usize = 500;

/// Bytes for the steps, and as many for the findings, of a record that is cut.
const ROOM: usize = 480 * 1024;

/// Most bytes by which a list's line is indented.
const INDENT: usize = 64;

impl Draft {
    /// The draft as it is stored: the same for every attempt. One that is too large keeps the beginning of each text, and as
    /// many of its steps and findings as there is room for; the last line of each list then begins with `+` and the number of
    /// the others.
    pub(super) fn fitted(&self) -> Cow<'_, Self> {
        if bytes(self).len() <= MOST_BYTES {
            return Cow::Borrowed(self);
        }
        let mut fitted = self.clone();
        for text in [&mut fitted.trigger, &mut fitted.subject, &mut fitted.channel] {
            cut(text);
        }
        for Step { name, outcome, .. } in &mut fitted.steps {
            cut(name);
            cut(outcome);
        }
        fitted.findings.iter_mut().for_each(cut);
        let more = keep(&mut fitted.steps);
        if more > 0 {
            let outcome = "not in this record, which would be too large".to_owned();
            fitted.steps.push(Step { name: format!("+{more}"), at: fitted.ended.clone(), outcome });
        }
        let more = keep(&mut fitted.findings);
        if more > 0 {
            fitted.findings.push(format!("+{more}: not in this record, which would be too large"));
        }
        Cow::Owned(fitted)
    }
}

/// Keeps the beginning of a text.
fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(LINE) {
        text.truncate(at);
        text.push('…');
    }
}

/// Keeps the lines for which there is room, and returns the number of the others.
fn keep<T: Serialize>(lines: &mut Vec<T>) -> usize {
    let mut room = ROOM;
    let fits = |line: &&T| match room.checked_sub(bytes(line).len() + INDENT) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    let kept = lines.iter().take_while(fits).count();
    let more = lines.len() - kept;
    lines.truncate(kept);
    more
}

#[cfg(test)]
mod tests {
    use super::super::tests::draft;
    use super::*;

    fn found(findings: Vec<String>) -> Draft {
        Draft { findings, ..draft() }
    }

    #[test]
    fn a_record_is_whole_up_to_its_largest_size() {
        let blank = bytes(&found(vec![String::new()])).len();
        let full = found(vec!["x".repeat(MOST_BYTES - blank)]);
        assert_eq!(bytes(&full).len(), MOST_BYTES);
        assert!(matches!(full.fitted(), Cow::Borrowed(_)));
        let larger = found(vec!["x".repeat(MOST_BYTES - blank + 1)]);
        assert_eq!(larger.fitted().findings, [format!("{}…", "x".repeat(LINE))]);
    }

    #[test]
    fn a_record_that_is_too_large_keeps_the_beginning_of_every_text_first() {
        let long = |length| "ç".repeat(length);
        let at = draft().ended;
        let given = Draft {
            run_id: long(LINE + 1),
            channel: format!("failed: {}", long(LINE)),
            steps: vec![Step { name: long(LINE), at, outcome: long(LINE + 1) }],
            ..found(vec![long(LINE), long(LINE + 1), long(MOST_BYTES / 2)])
        };
        let fitted = given.fitted();
        let cut = format!("{}…", long(LINE));
        assert_eq!(fitted.findings, [long(LINE), cut.clone(), cut.clone()]);
        assert_eq!((&fitted.steps[0].name, &fitted.steps[0].outcome), (&long(LINE), &cut));
        assert_eq!(fitted.channel.chars().count(), LINE + 1);
        // By it, a retry finds the record.
        assert_eq!(fitted.run_id, given.run_id);
    }

    #[test]
    fn a_record_that_is_still_too_large_says_how_many_lines_it_leaves_out() {
        // The longest form of a character in JSON, and the shortest lines.
        for line in ["\u{1}".repeat(LINE), String::new()] {
            let at = draft().ended;
            let count = if line.is_empty() { 90_000 } else { 3_000 };
            let step = Step { name: line.clone(), at, outcome: line.clone() };
            let given = Draft { steps: vec![step; count], ..found(vec![line.clone(); count]) };
            let fitted = given.fitted();
            let length = bytes(&fitted).len();
            assert!(length <= MOST_BYTES && length > MOST_BYTES / 8, "{length}");
            let more = |last: &str, lines: usize| {
                assert_eq!(last.split(':').next(), Some(format!("+{}", count - (lines - 1)).as_str()));
            };
            more(fitted.findings.last().unwrap(), fitted.findings.len());
            more(&fitted.steps.last().unwrap().name, fitted.steps.len());
            // Of the same run, the same bytes.
            assert_eq!(bytes(&fitted), bytes(&given.fitted()));
        }
    }
}
