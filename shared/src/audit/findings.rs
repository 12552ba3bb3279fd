//! Findings of an audit, compared with those of the last run and grouped for a message.
//!
//! A record has a line for each finding: its key, `: ` and a sentence. The key is the kind, a space and the subject.

use std::collections::BTreeSet;

use crate::runtime::language::Language;

/// Placeholder for the name in a command that several resources share.
pub const NAME: &str = "NOME";

/// Most characters of a paragraph without its next step; with the step, it fits into a Slack section.
const LISTED: usize = 1_800;

/// The key in a record's line.
pub fn key_of(line: &str) -> &str {
    line.split(": ").next().unwrap_or(line)
}

/// The verdict in a record's line, if lines have one before the key, and the kind or rule, with which the key begins.
pub(super) fn labels(line: &str, has_verdict: bool) -> (Option<&str>, Option<&str>) {
    let mut words = line.split(' ');
    let verdict = if has_verdict { words.next() } else { None };
    (verdict, words.next())
}

/// Differences between two audits.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Keys that the last record did not have.
    pub new: BTreeSet<String>,
    /// Keys that only the last record has.
    pub resolved: BTreeSet<String>,
}

/// The key's subject; empty if it has none.
pub fn about_of(key: &str) -> &str {
    key.split_once(' ').map_or("", |(_, about)| about)
}

/// Begins the role of a line's subject.
const ROLE: &str = ", role: ";

/// Ends a record's line with its subject's role, for a reader who knows the role and not the name.
pub fn with_role(line: &str, role: &str) -> String {
    format!("{line}{ROLE}{role}")
}

/// The role that ends a record's line, or its sentence; none without one.
pub fn role_of(line: &str) -> Option<&str> {
    line.rsplit_once(ROLE).map(|(_, role)| role)
}

/// The keys of a record's lines, and how many findings it had no room for.
pub(super) fn recorded(lines: &[String]) -> (BTreeSet<&str>, usize) {
    let (others, keys): (BTreeSet<&str>, BTreeSet<&str>) =
        lines.iter().map(|line| key_of(line)).partition(|key| key.starts_with('+'));
    let more = others.iter().filter_map(|other| other.strip_prefix('+')?.parse::<usize>().ok());
    (keys, more.sum())
}

/// Compares the keys with those of the last record's lines. `is_unseen` is true for a key of the last record that could
/// not be checked again: its absence does not count as resolved.
pub fn changes(before: &[String], now: &BTreeSet<String>, is_unseen: impl Fn(&str) -> bool) -> Changes {
    let (before, more) = recorded(before);
    let resolved = before.iter().filter(|key| !now.contains(**key) && !is_unseen(key));
    let new: BTreeSet<String> = now.iter().filter(|key| !before.contains(key.as_str())).cloned().collect();
    Changes {
        resolved: resolved.map(|key| (*key).to_owned()).collect(),
        // As many as the record had no room for may be those.
        new: if new.len() > more { new } else { BTreeSet::new() },
    }
}

/// One finding, as text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// The finding's kind, or its rule.
    pub kind: String,
    /// The subject.
    pub about: String,
    /// The problem, in a sentence.
    pub sentence: String,
    /// The next step.
    pub step: String,
    /// The step with placeholders such as [`NAME`]; equal for all findings that the same step cures.
    pub pattern: String,
}

impl Item {
    /// The finding's key: findings of two runs with the same key are the same finding.
    pub fn key(&self) -> String {
        format!("{} {}", self.kind, self.about)
    }
}

/// Findings of one kind with the same next step; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group<'a>(Vec<&'a Item>);

impl Group<'_> {
    /// Their kind.
    pub fn kind(&self) -> &str {
        self.0.first().map_or("", |reported| &reported.kind)
    }

    /// How many findings there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Kind, subject, sentence and next step; `mark` `*` makes the kind bold.
    pub fn text(&self, language: Language, mark: &str) -> String {
        let Some(first) = self.0.first() else { return String::new() };
        let next = language.next_step();
        if self.0.len() == 1 {
            let Item { kind, about, sentence, step, .. } = first;
            return format!("{mark}{kind}{mark} `{about}`: {sentence}. {next}: {step}.");
        }
        let is_same = self.0.iter().all(|reported| reported.sentence == first.sentence);
        let each = |reported: &Item| match is_same {
            true => format!("`{}`", reported.about),
            false => format!("`{}` ({})", reported.about, reported.sentence),
        };
        let listed = listed(self.0.iter().map(|reported| each(reported)), LISTED);
        let sentence = if is_same { format!("{}: ", first.sentence) } else { String::new() };
        let next = match (first.pattern == first.step, language) {
            (true, _) => next.to_owned(),
            (false, Language::Portuguese) => format!("{next}, em cada um, no lugar de {NAME} o nome dele"),
            (false, Language::English) => format!("{next}, for each, its name in place of {NAME}"),
        };
        format!(
            "{mark}{}{mark} ({}): {sentence}{listed}. {next}: {}.",
            first.kind,
            self.0.len(),
            first.pattern
        )
    }
}

/// The findings in groups, in the order of their first ones.
pub fn groups(reported: &[Item]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for one in reported {
        let is_like = |group: &&mut Group<'_>| {
            group.0.first().is_some_and(|first| first.kind == one.kind && first.pattern == one.pattern)
        };
        match groups.iter_mut().find(is_like) {
            Some(group) => group.0.push(one),
            None => groups.push(Group(vec![one])),
        }
    }
    groups
}

/// Joins parts with commas, as many as fit into `most` characters, and adds the number of the others.
pub fn listed(parts: impl IntoIterator<Item = String>, most: usize) -> String {
    let (mut text, mut length, mut more) = (String::new(), 0, 0);
    for part in parts {
        let characters = part.chars().count() + 2;
        if more > 0 || (length > 0 && length + characters > most) {
            more += 1;
            continue;
        }
        if length > 0 {
            text.push_str(", ");
        }
        text.push_str(&part);
        length += characters;
    }
    if more > 0 {
        text.push_str(&format!(" (+{more})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(kind: &str, about: &str, sentence: &str, step: &str) -> Item {
        Item {
            kind: kind.to_owned(),
            about: about.to_owned(),
            sentence: sentence.to_owned(),
            step: step.to_owned(),
            pattern: step.replace(about, NAME),
        }
    }

    #[test]
    fn a_line_has_its_kind_or_rule_and_perhaps_a_verdict() {
        assert_eq!(labels("Overdue /moveongs/dev/jwt: old", false), (None, Some("Overdue")));
        assert_eq!(labels("fail rds.public db: is public", true), (Some("fail"), Some("rds.public")));
    }

    #[test]
    fn the_role_of_a_subject_ends_its_line() {
        let line = "fail s3.exists b: is x, role: y, since z";
        assert_eq!(role_of(&with_role(line, "state")), Some("state"));
        assert_eq!(key_of(&with_role(line, "state")), key_of(line));
        assert_eq!(role_of("fail s3.exists b: x"), None);
    }

    #[test]
    fn thirty_like_findings_are_one_paragraph() {
        let all: Vec<_> = (0..30)
            .map(|number| format!("/moveongs/dev/secret-{number:02}"))
            .map(|name| reported("Overdue", &name, "old", &format!("`rotate '{name}'`")))
            .chain([
                reported("Missing", "x-1", "gone", "make it"),
                reported("Overdue", "y-1", "old", "issue a new one"),
            ])
            .collect();
        let groups = groups(&all);
        let counts: Vec<_> = groups.iter().map(Group::count).collect();
        assert_eq!(counts, [30, 1, 1]);
        let text = groups[0].text(Language::Portuguese, "*");
        assert!(text.starts_with("*Overdue* (30): old: `/moveongs/dev/secret-00`, "), "{text}");
        assert!(text.contains("`/moveongs/dev/secret-29`. Próximo passo, em cada um"), "{text}");
        assert!(text.ends_with("no lugar de NOME o nome dele: `rotate 'NOME'`."), "{text}");
        assert_eq!(text.matches("rotate").count(), 1);
        let one = groups[2].text(Language::English, "");
        assert_eq!(one, "Overdue `y-1`: old. Next step: issue a new one.");
    }

    #[test]
    fn what_differs_is_said_of_each_and_a_paragraph_has_an_end() {
        let differ =
            [reported("Unused", "a-1", "since May", "wait"), reported("Unused", "b-1", "since June", "wait")];
        assert_eq!(
            groups(&differ)[0].text(Language::English, "*"),
            "*Unused* (2): `a-1` (since May), `b-1` (since June). Next step: wait."
        );
        let many: Vec<_> =
            (0..400).map(|number| reported("Unused", &format!("secret-{number}"), "s", "wait")).collect();
        let text = groups(&many)[0].text(Language::English, "*");
        assert!(text.chars().count() < 2_000 && text.contains(" (+"), "{text}");
        for (most, expected) in [(9, "aaa (+2)"), (10, "aaa, bbb (+1)"), (15, "aaa, bbb, ccc")] {
            assert_eq!(listed(["aaa", "bbb", "ccc"].map(str::to_owned), most), expected);
        }
        assert_eq!(listed(["longer than all".to_owned()], 3), "longer than all");
        assert_eq!(listed([], 3), "");
    }

    #[test]
    fn what_is_new_and_what_is_resolved() {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        let before = ["NoPolicy a: x", "Missing b: y: z", "Overdue c: old"].map(str::to_owned);
        let now = keys(&["NoPolicy a", "Missing a", "InsufficientData c"]);
        let changes = |before: &[String]| super::changes(before, &now, |key| about_of(key) == "c");
        let expected =
            Changes { new: keys(&["InsufficientData c", "Missing a"]), resolved: keys(&["Missing b"]) };
        assert_eq!(changes(&before), expected);
        // The record had no room for others.
        let cut: Vec<_> = before.clone().into_iter().chain(["+2: not in this record".to_owned()]).collect();
        assert_eq!(changes(&cut), Changes { new: BTreeSet::new(), ..expected.clone() });
        // More than it had no room for: at least one is new.
        let cut: Vec<_> = before.into_iter().chain(["+1: not in this record".to_owned()]).collect();
        assert_eq!(changes(&cut), expected);
        assert_eq!(changes(&[]), Changes { new: now.clone(), resolved: BTreeSet::new() });
    }
}
