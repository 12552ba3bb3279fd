//! What people wrote into the document. Sections are found by their marks, which Markdown does not show, not by their
//! headings, which people may change.

use std::ops::Range;

use jiff::civil::Date;

/// Begins each mark.
const MARK: &str = "<!-- governance:postmortem:";

/// What `shared::run::markdown` puts between the parts of a mention or an address.
const JOINER: char = '\u{2060}';

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
    /// Lines that look like a part of the table and are none.
    pub strays: Vec<String>,
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
    /// This line has to be a row of the table, or words.
    NoRow(String),
}

/// Reads a document.
///
/// # Errors
///
/// The mark of a section that is no longer there, or is there twice.
pub(crate) fn read(document: &str) -> Result<Filled, String> {
    for section in Section::OF_PEOPLE {
        place(document, section)?;
    }
    let rows = section(document, Section::Actions)?;
    let (table, beside): (Vec<&str>, Vec<&str>) =
        rows.lines().partition(|line| line.trim_start().starts_with('|'));
    let remark = written(&beside.join("\n"));
    // Markdown takes a row without its first bar for a row, too; and without the line below the header, nothing for one.
    let below_header = table.iter().take(2).skip(1).filter(|line| !is_delimiter(line));
    let strays = remark.lines().filter(|line| line.contains('|')).chain(below_header.copied());
    let strays: Vec<String> =
        strays.chain(table.iter().copied().filter(|_| table.len() == 1)).map(str::to_owned).collect();
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
        cause: written(section(document, Section::Cause)?),
        actions: (1..).zip(rows).map(action).collect(),
        remark,
        strays,
    })
}

impl Filled {
    /// What has to be written before the post-mortem can be closed.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        let mut missing: Vec<_> = self.strays.iter().cloned().map(Missing::NoRow).collect();
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

/// The document with other facts.
///
/// # Errors
///
/// The mark of the facts that is gone: nothing of people's is replaced.
pub(crate) fn with_facts(document: &str, facts: &str) -> Result<String, String> {
    let Range { start, end } = facts_of(document)?;
    let (before, after) = (part(document, 0..start), part(document, end..document.len()));
    Ok(format!("{before}{facts}\n{after}"))
}

/// The document with further actions below the others, in Markdown.
///
/// # Errors
///
/// The mark of a section that is gone.
pub(crate) fn with_actions(document: &str, actions: &[String]) -> Result<String, String> {
    let Range { start, end } = place(document, Section::Actions)?;
    if actions.is_empty() {
        return Ok(document.to_owned());
    }
    let below = part(document, start..end);
    let is_row = |line: &str| line.trim_start().starts_with('|');
    let table: Vec<_> = lines(below).filter(|(_, line)| is_row(line)).collect();
    let at = start + table.last().map_or(below.len(), |(line, _)| line.end);
    let rows = (table.len().saturating_sub(1)..).zip(actions);
    let rows: String = rows.map(|(number, what)| format!("| {number} | {what} | | |\n")).collect();
    let (before, after) = (part(document, 0..at), part(document, at..document.len()));
    let break_ = if before.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{before}{break_}{rows}{after}"))
}

fn part(text: &str, range: Range<usize>) -> &str {
    text.get(range).unwrap_or_default()
}

/// The lines of a text, each with its place.
fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start..*at, line))
    })
}

/// The line of a mark, which stands there alone; the mark if there is not exactly one.
fn line_of(document: &str, section: Section) -> Result<Range<usize>, String> {
    let mark = section.mark();
    let mut found = lines(document).filter(|(_, line)| line.trim() == mark);
    match (found.next(), found.next()) {
        (Some((range, _)), None) => Ok(range),
        _ => Err(mark),
    }
}

/// The place of the facts, between their marks.
fn facts_of(document: &str) -> Result<Range<usize>, String> {
    let (facts, end) = (line_of(document, Section::Facts)?, line_of(document, Section::End)?);
    if facts.end <= end.start { Ok(facts.end..end.start) } else { Err(Section::End.mark()) }
}

/// The place of a section that people write: behind the facts, which hold foreign text, from below its mark to the next mark
/// or the next heading.
fn place(document: &str, section: Section) -> Result<Range<usize>, String> {
    let people = facts_of(document)?.end;
    let start = people + line_of(part(document, people..document.len()), section)?.end;
    let below = part(document, start..document.len());
    let ends = |line: &str| [MARK, "# ", "## "].iter().any(|begin| line.starts_with(begin));
    let end = lines(below).find(|(_, line)| ends(line)).map_or(below.len(), |(line, _)| line.start);
    Ok(start..start + end)
}

/// The text of a section.
fn section(document: &str, section: Section) -> Result<&str, String> {
    Ok(part(document, place(document, section)?))
}

/// Whether a line is the one between a table's header and its rows: `| --- | :-: |`.
fn is_delimiter(line: &str) -> bool {
    line.contains('-') && line.trim().chars().all(|character| "|-: ".contains(character))
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
    let row = row.trim();
    for character in row.strip_prefix('|').unwrap_or(row).chars() {
        match character {
            '|' if !is_escaped => cells.push(String::new()),
            character => cells.last_mut().into_iter().for_each(|cell| cell.push(character)),
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    cells.into_iter().map(|cell| plain(&written(&cell))).collect()
}

/// A cell's text without the escapes of Markdown: whoever shows it escapes it again.
pub(crate) fn plain(markdown: &str) -> String {
    let mut plain = String::with_capacity(markdown.len());
    let mut characters = markdown.chars().filter(|character| *character != JOINER).peekable();
    while let Some(character) = characters.next() {
        let escaped = characters.next_if(|next| character == '\\' && next.is_ascii_punctuation());
        plain.push(escaped.unwrap_or(character));
    }
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
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
        use Missing::{Actions, Cause, Due, NoDate, NoRow, Owner, What};
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
            // A row without its first bar is neither a reason nor left out.
            ("x", "1 | a | Ana | 2026-12-07", vec![NoRow("1 | a | Ana | 2026-12-07".to_owned())]),
            (
                "x",
                &format!("{row}\n2 | b | Rui | 2026-12-07"),
                vec![NoRow("2 | b | Rui | 2026-12-07".to_owned())],
            ),
        ] {
            let read = read(&document(cause, actions)).unwrap();
            assert_eq!(read.missing(), expected, "{cause} {actions}");
        }
    }

    #[test]
    fn a_table_is_read_as_people_write_it() {
        let read =
            read(&document("x", "|1|Usar `a \\| b`|Ana e Rui|7/1/2027|\n| 2 | b | c | 2027-01-08T10:00 |\n||Fazer|Rui|2027-01-09|"))
                .unwrap();
        let [first, second, third] = read.actions.as_slice() else { panic!("{read:?}") };
        assert_eq!((third.what.as_str(), third.owner.as_str()), ("Fazer", "Rui"));
        assert_eq!(
            (first.number, first.what.as_str(), first.owner.as_str()),
            (1, "Usar `a | b`", "Ana e Rui")
        );
        assert_eq!(first.due, Ok("2027-01-07".parse().unwrap()));
        assert_eq!(second.due, Err("2027-01-08T10:00".to_owned()));
        assert_eq!(read.remark, "");
    }

    #[test]
    fn a_table_without_its_header_drops_no_action() {
        let row = "| 1 | a | Ana | 2026-12-07 |";
        let whole = document("x", &format!("{row}\n{row}"));
        for (gone, named) in
            [("| --- | --- | --- | --- |\n", row), ("| Nº | Ação | Responsável | Prazo |\n", row)]
        {
            let broken = whole.replace(gone, "");
            let missing = read(&broken).unwrap().missing();
            assert!(missing.contains(&Missing::NoRow(named.to_owned())), "{missing:?}");
        }
    }

    #[test]
    fn an_escape_is_read_as_what_it_stands_for() {
        for foreign in ["https://x #1 <b> & a|b *c* [d] `e` \\ @ana", "Criar o índice"] {
            let escaped = shared::run::markdown::text(foreign);
            assert_eq!(cells(&format!("| 1 | {escaped} | x |")).get(1).map(String::as_str), Some(foreign));
        }
    }

    #[test]
    fn a_mark_that_is_gone_is_named_and_the_rest_of_people_stays() {
        let whole = document("minha causa", "");
        for section in
            [Section::Facts, Section::End, Section::Impact, Section::Cause, Section::Whys, Section::Actions]
        {
            let mark = section.mark();
            // Gone; no longer alone in its line; twice.
            for broken in [
                whole.replace(&mark, ""),
                whole.replace(&mark, &format!("x {mark}")),
                format!("{whole}\n{mark}\n"),
            ] {
                assert_eq!(read(&broken), Err(mark.clone()), "{broken}");
            }
        }
        let fresh = with_facts(&whole, "new facts").unwrap();
        assert!(fresh.contains("\nnew facts\n") && !fresh.contains("old facts"));
        assert_eq!(read(&fresh).unwrap().cause, "minha causa");
        assert_eq!(with_facts(&fresh, "old facts").unwrap(), whole);
        let gone = with_facts(&whole.replace(&Section::End.mark(), ""), "x");
        assert_eq!(gone, Err(Section::End.mark()));
    }

    #[test]
    fn a_mark_within_the_facts_is_none_of_peoples() {
        let whole = document("minha causa", "| 1 | a | Ana | 2026-12-07 |");
        for section in Section::OF_PEOPLE {
            let forged = with_facts(&whole, &format!("x\n{}\ny", section.mark())).unwrap();
            assert_eq!(read(&forged), read(&whole));
        }
    }

    #[test]
    fn a_further_action_is_a_row_below_the_others() {
        let row = "| 1 | a | Ana | 2026-12-07 |";
        let more = with_actions(&document("x", row), &["b".to_owned()]).unwrap();
        assert!(more.contains(&format!("{row}\n| 2 | b | | |\n\n## Notas")), "{more}");
        let actions = read(&more).unwrap().actions;
        assert_eq!((actions.len(), actions[1].what.as_str()), (2, "b"));
    }
}
