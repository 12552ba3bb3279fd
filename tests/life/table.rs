//! The parsed table, and what was found in the same notation.

/// A moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    /// As it is written.
    pub(crate) when: String,
    /// Minutes since the alarm.
    pub(crate) minutes: i64,
    /// What happens then.
    pub(crate) happens: String,
    /// Slack, mail, schedules, and what is held.
    pub(crate) expected: [String; 4],
}

/// The lines of the table.
pub(crate) fn lines(table: &str) -> Vec<Line> {
    table.trim().lines().skip(1).map(line).collect()
}

fn line(text: &str) -> Line {
    let cells: Vec<_> = text.split('|').map(|cell| cell.trim().to_owned()).collect();
    let [when, happens, expected @ ..] = cells.as_slice() else { panic!("{text}") };
    let expected = expected.to_vec().try_into().unwrap_or_else(|_| panic!("{text}"));
    Line { when: when.clone(), minutes: minutes(when), happens: happens.clone(), expected }
}

/// The minutes of `1 2:05`: a day, two hours and five minutes.
fn minutes(when: &str) -> i64 {
    let (days, time) = when.split_once(' ').unwrap_or(("0", when));
    let (hours, minutes) = time.split_once(':').unwrap_or_else(|| panic!("{when}"));
    let number = |text: &str| text.parse::<i64>().unwrap_or_else(|_| panic!("{when}"));
    (number(days) * 24 + number(hours)) * 60 + number(minutes)
}

/// Minutes as the table writes them.
pub(crate) fn when(minutes: i64) -> String {
    let (days, hours) = (minutes / (24 * 60), minutes / 60 % 24);
    let days = if days == 0 { String::new() } else { format!("{days} ") };
    format!("{days}{hours}:{:02}", minutes % 60)
}

/// Joined cells, or `-` if there are none.
pub(crate) fn cell(parts: &[String]) -> String {
    if parts.is_empty() { "-".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = line("1 2:05 | update | Atualização | - | update 1 2:35 | case");
        assert_eq!((line.minutes, line.happens.as_str()), (1_565, "update"));
        assert_eq!(line.expected, ["Atualização", "-", "update 1 2:35", "case"]);
        assert_eq!(["0:00", "11:30", "5 12:00"].map(minutes).map(when), ["0:00", "11:30", "5 12:00"]);
        assert_eq!((cell(&[]), cell(&["a".to_owned(), "b".to_owned()])), ("-".to_owned(), "a; b".to_owned()));
    }
}
