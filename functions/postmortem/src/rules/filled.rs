//! What people wrote into the document. Sections are found by their marks, which Markdown does not show, not by their
//! headings, which people may change.

use jiff::civil::Date;

/// Begins each mark.
const MARK: &str = "<!-- governance:postmortem:";

/// Texts that ask people to write, in both languages; they count as nothing.
pub(crate) const TO_FILL: [&str; 2] = ["_A preencher._", "_To be filled in._"];

/// A part of the document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Section {
    /// The facts, which this function writes.
    Facts,
    /// The end of the facts: from here on, people write.
    End,
    /// Who was affected, and how.
    Impact,
    /// The root cause.
    Cause,
    /// The five whys.
    Whys,
    /// The table of actions.
    Actions,
}

impl Section {
    /// The sections that people write, all of which the document needs.
    const OF_PEOPLE: [Self; 4] = [Self::Impact, Self::Cause, Self::Whys, Self::Actions];

    /// The section's mark, in a line of its own.
    pub(crate) fn mark(self) -> String {
        let name = match self {
            Self::Facts => "facts",
            Self::End => "end",
            Self::Impact => "impact",
            Self::Cause => "cause",
            Self::Whys => "whys",
            Self::Actions => "actions",
        };
        format!("{MARK}{name} -->")
    }
}

/// What people wrote.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Filled {
    /// The root cause; empty if nobody wrote one.
    pub cause: String,
    /// The actions.
    pub actions: Vec<Action>,
    /// Text beside the table: why there are no actions.
    pub remark: String,
}

/// A row of the table of actions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Action {
    /// Its number: the row's place, from 1.
    pub number: u32,
    /// What is to be done.
    pub what: String,
    /// Who does it.
    pub owner: String,
    /// By when; `Err` has what was written instead of a date.
    pub due: Result<Date, String>,
}

/// What a document lacks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Missing {
    /// The root cause.
    Cause,
    /// Actions, or the reason why there are none.
    Actions,
    /// What this action is.
    What(u32),
    /// This action's owner.
    Owner(u32),
    /// This action's date.
    Due(u32),
    /// This action's date is none: its words.
    NoDate(u32, String),
}

/// Reads a document.
///
/// # Errors
///
/// The mark of a section that is no longer there.
pub(crate) fn read(document: &str) -> Result<Filled, String> {
    if let Some(gone) = Section::OF_PEOPLE.iter().find(|section| !document.contains(&section.mark())) {
        return Err(gone.mark());
    }
    let rows = section(document, Section::Actions);
    let (table, beside): (Vec<&str>, Vec<&str>) =
        rows.lines().partition(|line| line.trim_start().starts_with('|'));
    // After the header and the line below it.
    let rows = table.iter().skip(2).map(|line| cells(line)).filter(|cells| {
        // An empty row is one that nobody needed. Its number is printed.
        cells.iter().skip(1).any(|cell| !cell.is_empty())
    });
    let action = |(number, cells): (u32, Vec<String>)| {
        let cell = |place: usize| cells.get(place).cloned().unwrap_or_default();
        Action { number, what: cell(1), owner: cell(2), due: date(&cell(3)) }
    };
    Ok(Filled {
        cause: written(section(document, Section::Cause)),
        actions: (1..).zip(rows).map(action).collect(),
        remark: written(&beside.join("\n")),
    })
}

impl Filled {
    /// What has to be written before the post-mortem can be closed.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        if self.cause.is_empty() {
            missing.push(Missing::Cause);
        }
        if self.actions.is_empty() && self.remark.is_empty() {
            missing.push(Missing::Actions);
        }
        for Action { number, what, owner, due } in &self.actions {
            if what.is_empty() {
                missing.push(Missing::What(*number));
            }
            if owner.is_empty() {
                missing.push(Missing::Owner(*number));
            }
            match due {
                Ok(_) => {}
                Err(text) if text.is_empty() => missing.push(Missing::Due(*number)),
                Err(text) => missing.push(Missing::NoDate(*number, text.clone())),
            }
        }
        missing
    }
}

/// The document with other facts; none if the marks of the facts are gone, so that nothing of people's is replaced.
pub(crate) fn with_facts(document: &str, facts: &str) -> Option<String> {
    let (begin, end) = (Section::Facts.mark(), Section::End.mark());
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{facts}\n{end}{after}"))
}

/// The text of a section: from its mark to the next mark or the next heading.
fn section(document: &str, section: Section) -> &str {
    let rest = document.split_once(&section.mark()).map_or("", |(_, rest)| rest);
    let ends = [MARK, "\n# ", "\n## "].into_iter().filter_map(|end| rest.find(end));
    rest.get(..ends.min().unwrap_or(rest.len())).unwrap_or_default()
}

/// A text without comments and without requests to write.
fn written(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(begin) = text.find("<!--") {
        let end =
            text.get(begin..).and_then(|rest| rest.find("-->")).map_or(text.len(), |end| begin + end + 3);
        text.replace_range(begin..end, "");
    }
    for to_fill in TO_FILL {
        text = text.replace(to_fill, "");
    }
    text.trim().to_owned()
}

/// The cells of a table's row.
fn cells(row: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_escaped = false;
    for character in row.trim().trim_start_matches('|').chars() {
        match character {
            '|' if !is_escaped => cells.push(String::new()),
            character => cells.last_mut().into_iter().for_each(|cell| cell.push(character)),
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    cells.into_iter().map(|cell| written(&cell.replace("\\|", "|"))).collect()
}

/// A date as the document asks for it, `2026-12-07`, or as people in Brazil write it, `07/12/2026`.
fn date(text: &str) -> Result<Date, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let standard = match parts.as_slice() {
        [day, month, year] => format!("{year}-{month:0>2}-{day:0>2}"),
        _ => text.to_owned(),
    };
    let is_form = standard.len() == 10 && standard.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    standard.parse().ok().filter(|_| is_form).ok_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(cause: &str, actions: &str) -> String {
        let [facts, end, impact, cause_mark, whys, actions_mark] =
            [Section::Facts, Section::End, Section::Impact, Section::Cause, Section::Whys, Section::Actions]
                .map(Section::mark);
        format!(
            "# t\n\n{facts}\nold facts\n{end}\n\n## Impacto\n{impact}\n\n## Causa\n{cause_mark}\n{cause}\n\n## Porquês\n{whys}\n1. x\n\n## Ações\n{actions_mark}\n\n| Nº | Ação | Responsável | Prazo |\n| --- | --- | --- | --- |\n{actions}\n\n## Notas\n\ntexto\n"
        )
    }

    #[test]
    fn what_is_missing_is_named() {
        use Missing::{Actions, Cause, Due, NoDate, Owner, What};
        let row = "| 1 | Trocar a chave | Ana | 2026-12-07 |";
        for (cause, actions, expected) in [
            ("Faltou índice.", row, vec![]),
            ("_A preencher._", row, vec![Cause]),
            ("  _To be filled in._ <!-- nota -->", row, vec![Cause]),
            ("x", "| 1 | | | |\n| 2 | | | |", vec![Actions]),
            ("x", "| 1 | | | |\n\nNenhuma: a causa foi de fora.", vec![]),
            ("x", "| 1 | Trocar | | |", vec![Owner(1), Due(1)]),
            ("x", "| 1 | | Ana | logo |", vec![What(1), NoDate(1, "logo".to_owned())]),
            (
                "x",
                "| 1 | Trocar | _A preencher._ | 31/02/2026 |",
                vec![Owner(1), NoDate(1, "31/02/2026".to_owned())],
            ),
            ("x", "| 1 | a | b | 2026-12-07 |\n| | | | |\n| 3 | c | | 7/12/2026 |", vec![Owner(2)]),
        ] {
            let read = read(&document(cause, actions)).unwrap();
            assert_eq!(read.missing(), expected, "{cause} {actions}");
        }
    }

    #[test]
    fn a_table_is_read_as_people_write_it() {
        let read =
            read(&document("x", "|1|Usar `a \\| b`|Ana e Rui|7/1/2027|\n| 2 | b | c | 2027-01-08T10:00 |"))
                .unwrap();
        let [first, second] = read.actions.as_slice() else { panic!("{read:?}") };
        assert_eq!(
            (first.number, first.what.as_str(), first.owner.as_str()),
            (1, "Usar `a | b`", "Ana e Rui")
        );
        assert_eq!(first.due, Ok("2027-01-07".parse().unwrap()));
        assert_eq!(second.due, Err("2027-01-08T10:00".to_owned()));
        assert_eq!(read.remark, "");
    }

    #[test]
    fn a_mark_that_is_gone_is_named_and_the_rest_of_people_stays() {
        let whole = document("minha causa", "");
        let broken = whole.replace(&Section::Whys.mark(), "");
        assert_eq!(read(&broken), Err(Section::Whys.mark()));
        let fresh = with_facts(&whole, "new facts").unwrap();
        assert!(fresh.contains("\nnew facts\n") && !fresh.contains("old facts"));
        assert_eq!(read(&fresh).unwrap().cause, "minha causa");
        assert_eq!(with_facts(&whole.replace(&Section::End.mark(), ""), "x"), None);
    }
}
