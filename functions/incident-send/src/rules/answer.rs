//! What a channel answered, and what becomes of the row.

use incident::signal::hash;
use incident::store::Row;
use jiff::{SignedDuration, Timestamp};

use super::row::Relief;

/// The wait after the first failed attempt; each further one doubles it.
const FIRST: SignedDuration = SignedDuration::from_secs(5);

/// The longest wait that we choose.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// The longest `Retry-After` that is honoured.
const LONGEST_ASKED: SignedDuration = SignedDuration::from_hours(1);

/// The wait after an answer that a person has to mend: a token, a permission, a channel.
const MENDED: SignedDuration = SignedDuration::from_mins(15);

/// Most characters of an answer that are kept.
const LONGEST_TEXT: usize = 300;

/// A channel's answer to one attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// It has the message.
    Accepted {
        /// What it said.
        said: String,
    },
    /// It does not have the message, and may take it later.
    Later {
        /// Its reason.
        why: String,
        /// How long it asked to wait.
        after: Option<SignedDuration>,
    },
    /// It may have the message or not.
    Unclear {
        /// What is known.
        why: String,
    },
    /// It takes nothing from us until a person mends something.
    Refused {
        /// Its reason.
        why: String,
    },
    /// It never takes this message, or there is nobody whom it could reach.
    Rejected {
        /// Its reason.
        why: String,
    },
}

impl Answer {
    /// What is known about it.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Accepted { said } => said,
            Self::Later { why, .. }
            | Self::Unclear { why }
            | Self::Refused { why }
            | Self::Rejected { why } => why,
        }
    }

    /// Whether the channel has the message.
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    /// Whether the next channel need not wait for its turn.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Rejected { .. })
    }

    /// How long the channel is left alone, other rows included: it is busy, or it does not answer.
    pub(crate) fn pause(&self) -> Option<SignedDuration> {
        match self {
            Self::Later { after, .. } => Some(after.unwrap_or(FIRST).min(LONGEST_ASKED)),
            Self::Unclear { .. } => Some(FIRST),
            Self::Accepted { .. } | Self::Refused { .. } | Self::Rejected { .. } => None,
        }
    }
}

/// The row after an attempt that showed the version `shown`.
pub(crate) fn settled(row: &Row, answer: &Answer, shown: u64, relief: Relief, now: Timestamp) -> Row {
    let mut next = Row { answer: answer.text().chars().take(LONGEST_TEXT).collect(), ..row.clone() };
    if answer.is_accepted() {
        next.sent = next.sent.max(shown);
        next.accepted_at = next.accepted_at.or(Some(now));
        (next.attempts, next.unclear, next.due) = (0, 0, None);
        return next;
    }
    next.attempts = next.attempts.saturating_add(1);
    let wait = match answer {
        Answer::Later { after, .. } => Some(wait(&next, *after)),
        Answer::Unclear { .. } => {
            next.unclear = next.unclear.saturating_add(1);
            Some(wait(&next, None))
        }
        Answer::Rejected { .. } if relief != Relief::None => None,
        Answer::Accepted { .. } | Answer::Refused { .. } | Answer::Rejected { .. } => Some(MENDED),
    };
    let wait = wait.filter(|_| relief != Relief::Old);
    next.due = wait.map(|wait| now.checked_add(wait).unwrap_or(now));
    next
}

/// The wait before a row's next attempt: what the channel asked for, but not less than the back-off of its attempts; and
/// up to a quarter more, by the row's name, so that rows that failed together do not come back together.
fn wait(row: &Row, asked: Option<SignedDuration>) -> SignedDuration {
    let doubled = FIRST.saturating_mul(1_i32 << row.attempts.saturating_sub(1).min(16));
    let wait = doubled.min(LONGEST).max(asked.unwrap_or_default().min(LONGEST_ASKED));
    let key = row.key();
    let digits = hash(&format!("{}{}{}", key.pk, key.sk, row.attempts));
    let share = digits.get(..4).and_then(|digits| i64::from_str_radix(digits, 16).ok()).unwrap_or_default();
    let more = wait.as_millis() / 4 * i128::from(share) / 0xffff;
    wait.saturating_add(SignedDuration::from_millis(i64::try_from(more).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use incident::store::{Channel, Purpose};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        "2026-11-29T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn row(attempts: u32) -> Row {
        Row {
            wanted: 3,
            sent: 1,
            attempts,
            unclear: 1,
            due: Some(at(60)),
            ..Row::new("INC-1", Channel::Slack, Purpose::Post)
        }
    }

    fn later(after: Option<i64>) -> Answer {
        Answer::Later { why: "429".to_owned(), after: after.map(SignedDuration::from_secs) }
    }

    /// Seconds until the next attempt.
    fn waits(row: &Row, answer: &Answer, relief: Relief) -> Option<i64> {
        Some(settled(row, answer, 3, relief, at(0)).due?.duration_since(at(0)).as_secs())
    }

    #[test]
    fn what_was_accepted_waits_for_nothing_and_forgets_its_failures() {
        let answer = Answer::Accepted { said: "ok".to_owned() };
        let next = settled(&row(4), &answer, 5, Relief::None, at(0));
        assert_eq!((next.sent, next.attempts, next.unclear, next.due), (5, 0, 0, None));
        assert_eq!((next.accepted_at, next.answer.as_str()), (Some(at(0)), "ok"));
        let again = settled(&Row { sent: 7, ..next }, &answer, 6, Relief::None, at(9));
        assert_eq!(
            (again.sent, again.accepted_at),
            (7, Some(at(0))),
            "the first time counts, the newest version"
        );
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_five_minutes() {
        for (attempts, least) in [(0, 5), (1, 10), (2, 20), (5, 160), (6, 300), (40, 300)] {
            for answer in [later(None), Answer::Unclear { why: String::new() }] {
                let waits = waits(&row(attempts), &answer, Relief::None).unwrap();
                assert!((least..=least + least / 4 + 1).contains(&waits), "{attempts}: {waits}");
            }
        }
        let most = Row { attempts: u32::MAX, unclear: u32::MAX, ..row(0) };
        assert!(
            settled(&most, &Answer::Unclear { why: String::new() }, 3, Relief::None, at(0)).due.is_some()
        );
    }

    #[test]
    fn what_the_channel_asks_for_is_honoured_within_an_hour() {
        for (attempts, asked, least) in
            [(0, 30, 30), (0, 1, 5), (9, 30, 300), (0, 3_600, 3_600), (0, 86_400, 3_600)]
        {
            let waits = waits(&row(attempts), &later(Some(asked)), Relief::None).unwrap();
            assert!((least..=least + least / 4 + 1).contains(&waits), "{attempts} {asked}: {waits}");
        }
        assert_eq!(later(Some(30)).pause(), Some(SignedDuration::from_secs(30)));
        assert_eq!(later(Some(86_400)).pause(), Some(SignedDuration::from_hours(1)));
        assert_eq!(later(None).pause(), Some(SignedDuration::from_secs(5)));
    }

    #[test]
    fn rows_that_failed_together_come_back_apart_and_always_at_the_same_time() {
        let due = |id: &str| {
            let row = Row { incident: id.to_owned(), ..row(5) };
            settled(&row, &later(None), 3, Relief::None, at(0)).due
        };
        let all: std::collections::BTreeSet<_> =
            (0..50).map(|number| due(&format!("INC-{number}"))).collect();
        assert!(all.len() > 45, "{}", all.len());
        assert_eq!(due("INC-1"), due("INC-1"));
    }

    #[test]
    fn what_a_person_has_to_mend_is_tried_again_and_what_never_fits_is_not_unless_nobody_else_tells() {
        let refused = Answer::Refused { why: "invalid_auth".to_owned() };
        let rejected = Answer::Rejected { why: "msg_too_long".to_owned() };
        for (answer, relief, expected) in [
            (&refused, Relief::None, Some(900)),
            (&refused, Relief::Other, Some(900)),
            (&refused, Relief::Old, None),
            (&rejected, Relief::None, Some(900)),
            (&rejected, Relief::Other, None),
            (&rejected, Relief::Old, None),
            (&later(None), Relief::Old, None),
        ] {
            assert_eq!(waits(&row(0), answer, relief), expected, "{answer:?} {relief:?}");
        }
        assert!(refused.is_final() && rejected.is_final() && !later(None).is_final());
        assert_eq!((refused.pause(), rejected.pause()), (None, None));
    }

    #[test]
    fn only_an_unclear_answer_counts_as_unclear() {
        let unclear = |answer: Answer| {
            let next = settled(&row(0), &answer, 3, Relief::None, at(0));
            (next.attempts, next.unclear, next.sent)
        };
        assert_eq!(unclear(Answer::Unclear { why: String::new() }), (1, 2, 1));
        assert_eq!(unclear(later(None)), (1, 1, 1));
        let long = settled(&row(0), &Answer::Refused { why: "é".repeat(900) }, 3, Relief::None, at(0));
        assert_eq!(long.answer.chars().count(), 300);
    }
}
