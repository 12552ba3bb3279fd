//! The runbooks that alarms name: where they are, and findings about those that are not there. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use shared::policy::Area;

use super::change::MAIN;
use super::policy::Stack;
use super::row::{Problem, Row, plain};

/// Kind of the row about the list of alarms.
pub(crate) const ALARMS: &str = "alarms";

/// Most alarms that a finding names.
const MOST_ALARMS: usize = 3;

/// An alarm, as far as its runbook goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Alarm {
    /// Its name.
    pub name: String,
    /// The runbook that it names, as a page shows it.
    pub runbook: Option<String>,
}

/// What is known about a runbook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// The repository has it.
    Present,
    /// The repository does not have it.
    Absent,
    /// Not known; the reason.
    Unchecked(String),
}

/// A runbook, with the alarms that name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Runbook {
    /// The link, as the alarms name it.
    pub link: String,
    /// The alarms' names.
    pub alarms: BTreeSet<String>,
    pub found: Found,
}

/// The alarms' names by the link to their runbook.
pub(crate) fn named(alarms: Vec<Alarm>) -> BTreeMap<String, BTreeSet<String>> {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Alarm { name, runbook } in alarms {
        if let Some(link) = runbook {
            named.entry(link).or_default().insert(name);
        }
    }
    named
}

/// A file of the repository `owner/name` that a link leads to: its path, and its commit or branch. A link without a scheme
/// is a path on the main branch.
///
/// # Errors
///
/// Why the link cannot be looked up there.
pub(crate) fn place<'a>(link: &'a str, repository: &str) -> Result<(&'a str, &'a str), String> {
    let link = link.split(['#', '?']).next().unwrap_or_default();
    let (path, at) = match link.split_once("://") {
        None => (link.strip_prefix("./").unwrap_or(link), MAIN),
        Some((_, address)) => {
            let mut parts = address.splitn(6, '/');
            let mut part = || parts.next().unwrap_or_default();
            let (host, owner, name, view, at, path) = (part(), part(), part(), part(), part(), part());
            let is_here = ["github.com", "www.github.com"].contains(&host)
                && format!("{owner}/{name}").eq_ignore_ascii_case(repository);
            if !is_here || view != "blob" {
                return Err(format!("it is not a file of {repository} on GitHub"));
            }
            (path, at)
        }
    };
    // The branch of a link ends at its first slash, although a branch's name may have more of them.
    let is_commit = at.len() == 40 && at.bytes().all(|byte| byte.is_ascii_hexdigit());
    if at != MAIN && !is_commit {
        return Err(format!("only {MAIN} and commits are looked up, not {at}"));
    }
    let is_part = |part: &str| !["", ".", ".."].contains(&part);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/+@,()".contains(c) || !c.is_ascii();
    let is_path = path.contains(['/', '.']) && path.split('/').all(is_part) && path.chars().all(is_plain);
    if is_path { Ok((path, at)) } else { Err("it is neither a path nor an address of a file".to_owned()) }
}

/// The rows of runbooks that are missing or not checked; or that of the list of alarms, if it could not be read.
pub(crate) fn rows(stack: Stack<'_>, runbooks: &Result<Vec<Runbook>, String>) -> Vec<Row> {
    let responsible = stack.policy.responsible(Area::Observability);
    let row = |kind: &str, name: String, problem: Problem| {
        let row = Row::general(kind, name, responsible, vec![problem]);
        Row { area: Some(Area::Observability), ..row }
    };
    let runbooks = match runbooks {
        Ok(runbooks) => runbooks,
        Err(why) => {
            let name = format!("{}-{}", stack.project, stack.environment);
            return vec![row(ALARMS, name, Problem::InsufficientData { why: why.clone() })];
        }
    };
    let problem = |runbook: &Runbook| {
        let alarms = alarms(&runbook.alarms);
        match &runbook.found {
            Found::Present => None,
            Found::Absent => Some(Problem::RunbookMissing { alarms }),
            Found::Unchecked(why) => Some(Problem::RunbookUnchecked { alarms, why: why.clone() }),
        }
    };
    let rows = runbooks.iter().filter_map(|one| Some(row("runbook", plain(&one.link), problem(one)?)));
    rows.collect()
}

/// The first alarms' names, and how many more there are.
fn alarms(names: &BTreeSet<String>) -> String {
    let shown: Vec<_> = names.iter().take(MOST_ALARMS).map(|name| format!("`{}`", plain(name))).collect();
    let more = names.len().saturating_sub(MOST_ALARMS);
    let more = if more > 0 { format!(" (+{more})") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_the_repository_is_looked_up() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let of_commit = format!("https://github.com/o/n/blob/{commit}/a/b.md");
        for (link, expected) in [
            ("docs/observability/runbooks/api.md", Some(("docs/observability/runbooks/api.md", "main"))),
            ("./docs/api.md#passos", Some(("docs/api.md", "main"))),
            ("README.md?plain=1", Some(("README.md", "main"))),
            ("docs/latência.md", Some(("docs/latência.md", "main"))),
            ("https://github.com/o/n/blob/main/docs/a%20b.md", None),
            ("https://github.com/o/n/blob/main/docs/api.md#l1", Some(("docs/api.md", "main"))),
            ("https://www.github.com/O/N/blob/main/docs/api.md", Some(("docs/api.md", "main"))),
            (&of_commit, Some(("a/b.md", commit))),
            ("https://github.com/o/n/blob/feature/x/docs/api.md", None),
            ("https://github.com/o/n/tree/main/docs", None),
            ("https://github.com/o/n/blob/main/", None),
            ("https://github.com/o/n", None),
            ("https://github.com/o/other/blob/main/docs/api.md", None),
            ("https://github.com.evil.example/o/n/blob/main/docs/api.md", None),
            ("https://wiki.example.org/api", None),
            ("/docs/api.md", None),
            ("../docs/api.md", None),
            ("docs//api.md", None),
            ("wiki", None),
            ("ver o wiki.", None),
            ("", None),
        ] {
            assert_eq!(place(link, "o/n").ok(), expected, "{link}");
        }
    }

    #[test]
    fn a_runbook_has_one_row_however_many_alarms_name_it_and_what_was_not_checked_is_said() {
        let alarm = |name: &str, runbook: Option<&str>| Alarm {
            name: name.to_owned(),
            runbook: runbook.map(str::to_owned),
        };
        let alarms = vec![
            alarm("e", Some("docs/gone.md")),
            alarm("a", Some("docs/gone.md")),
            alarm("b`x`", Some("docs/gone.md")),
            alarm("c", Some("docs/gone.md")),
            alarm("d", Some("docs/api.md")),
            alarm("f", Some("https://wiki.example.org")),
            alarm("g", None),
        ];
        let named = named(alarms);
        let links: Vec<_> = named.iter().map(|(link, alarms)| (link.as_str(), alarms.len())).collect();
        assert_eq!(links, [("docs/api.md", 1), ("docs/gone.md", 4), ("https://wiki.example.org", 1)]);
        let runbooks: Vec<_> = named
            .into_iter()
            .zip([Found::Present, Found::Absent, Found::Unchecked("x".to_owned())])
            .map(|((link, alarms), found)| Runbook { link, alarms, found })
            .collect();
        let policy = "".parse().unwrap();
        let stack = Stack { policy: &policy, project: "moveongs", environment: "dev", own: "own" };
        let rows_of = |runbooks: &Result<Vec<Runbook>, String>| -> Vec<_> {
            let rows = rows(stack, runbooks).into_iter();
            rows.map(|row| (row.about(), row.responsible.primary.clone(), row.problems)).collect()
        };
        let squad = || "Squad Observability".to_owned();
        let missing = Problem::RunbookMissing { alarms: "`a`, `b?x?`, `c` (+1)".to_owned() };
        let unchecked = Problem::RunbookUnchecked { alarms: "`f`".to_owned(), why: "x".to_owned() };
        assert_eq!(
            rows_of(&Ok(runbooks)),
            [
                ("runbook docs/gone.md".to_owned(), squad(), vec![missing]),
                ("runbook https://wiki.example.org".to_owned(), squad(), vec![unchecked]),
            ]
        );
        let unread = Problem::InsufficientData { why: "AccessDenied".to_owned() };
        assert_eq!(
            rows_of(&Err("AccessDenied".to_owned())),
            [("alarms moveongs-dev".to_owned(), squad(), vec![unread])]
        );
    }
}
