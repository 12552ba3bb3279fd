//! Evaluates resource policies as IAM does: the requests they deny and the requesters they allow. No I/O.
//!
//! Questions cover many requests: "is every request without TLS denied?", "may a stranger do anything?". Each is asked
//! for one request of every kind that the policy distinguishes (`questions.rs`). A condition that a kind leaves open
//! evaluates to [`Tri::Maybe`], which neither denies nor narrows. A document that IAM would reject is [`Malformed`]:
//! neither open nor closed.
//!
//! Sources: IAM User Guide, "Grammar of the IAM JSON policy language", "IAM JSON policy elements: Condition operators",
//! "… Multivalued context keys", "… Variables and tags", "… Principal".

mod condition;
mod document;
mod questions;

use std::collections::BTreeMap;
use std::fmt;

pub use questions::{Clear, Place, Who};

use condition::Condition;

/// A truth value; `Maybe` if the result depends on facts that the question leaves open.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Tri {
    No,
    Maybe,
    Yes,
}

impl From<bool> for Tri {
    fn from(is_so: bool) -> Self {
        if is_so { Self::Yes } else { Self::No }
    }
}

impl std::ops::Not for Tri {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

/// Whether at least one holds.
fn any(all: impl IntoIterator<Item = Tri>) -> Tri {
    all.into_iter().max().unwrap_or(Tri::No)
}

/// Whether all of several hold.
fn every(all: impl IntoIterator<Item = Tri>) -> Tri {
    all.into_iter().min().unwrap_or(Tri::Yes)
}

/// The reason why a policy could not be parsed or understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Malformed(String);

impl Malformed {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot interpret the policy: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// A resource policy.
#[derive(Clone, Debug)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    allows: bool,
    principals: Scope<Principal>,
    actions: Scope<Pattern>,
    resources: Scope<Pattern>,
    conditions: Vec<Condition>,
}

/// An element or its negation, e.g. `Action` and `NotAction`.
#[derive(Clone, Debug)]
struct Scope<T> {
    is_not: bool,
    items: Vec<T>,
}

impl<T> Scope<T> {
    fn holds(&self, matches: impl Fn(&T) -> Tri) -> Tri {
        let found = any(self.items.iter().map(matches));
        if self.is_not { !found } else { found }
    }
}

/// A principal that a statement names.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Principal {
    Everyone,
    /// A whole account, by its number or its root's ARN.
    Account(String),
    /// A user, a role or a session.
    Arn(String),
    /// The unique ID that replaces a deleted user or role in a policy. It matches nothing.
    Gone,
    Service(String),
    Federated(String),
    Canonical(String),
}

/// A text with wildcards and policy variables.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Pattern(Vec<Token>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    Char(char),
    /// `*`
    Many,
    /// `?`
    One,
    /// `${key}` in lower case, and its default for requests without the key.
    Variable(String, Option<String>),
    /// A variable with an unknown value.
    Unknown,
}

/// Prefix of a value that the policy does not name.
const OTHER: char = '\u{e000}';

/// Prefix of a stranger's value for a key that binds requests to a trusted party.
const FOREIGN: char = '\u{e001}';

/// The condition keys of one kind of request, in lower case, with their values. A missing key is absent from the
/// request.
type Keys = BTreeMap<String, Vec<String>>;

impl Pattern {
    /// Parses a pattern in which `*` and `?` are wildcards.
    fn wild(text: &str, has_variables: bool) -> Self {
        Self::read(text, has_variables, true)
    }

    /// Parses a pattern in which `*` and `?` are ordinary characters.
    fn plain(text: &str, has_variables: bool) -> Self {
        Self::read(text, has_variables, false)
    }

    fn read(text: &str, has_variables: bool, is_wild: bool) -> Self {
        let (mut tokens, mut rest) = (Vec::new(), text);
        while let Some(c) = rest.chars().next() {
            if has_variables
                && let Some(inner) = rest.strip_prefix("${")
                && let Some((name, after)) = inner.split_once('}')
            {
                tokens.push(variable(name));
                rest = after;
                continue;
            }
            tokens.push(match c {
                '*' if is_wild => Token::Many,
                '?' if is_wild => Token::One,
                c => Token::Char(c),
            });
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        Self(tokens)
    }

    fn to_lowercase(&self) -> Self {
        let lower = |token: &Token| match token {
            Token::Char(c) => c.to_lowercase().map(Token::Char).collect(),
            token => vec![token.clone()],
        };
        Self(self.0.iter().flat_map(lower).collect())
    }

    /// The pattern with its variables replaced by their values.
    fn resolved(&self, keys: &Keys) -> Self {
        let value = |token: &Token| match token {
            Token::Variable(key, default) => match keys.get(key).map(Vec::as_slice) {
                Some([one]) => one.chars().map(Token::Char).collect(),
                None => default
                    .as_ref()
                    .map_or_else(|| vec![Token::Unknown], |text| text.chars().map(Token::Char).collect()),
                Some(_) => vec![Token::Unknown],
            },
            token => vec![token.clone()],
        };
        Self(self.0.iter().flat_map(value).collect())
    }

    /// Whether a text matches. Variables must already be resolved; unresolved ones match anything.
    fn matches(&self, text: &str) -> Tri {
        if self.0.iter().all(|token| *token == Token::Many) && !self.0.is_empty() {
            return Tri::Yes;
        }
        let is_open = match text.strip_prefix(FOREIGN) {
            Some(key) => !self.binds(key),
            None => text.starts_with(OTHER),
        };
        if is_open && self.is_wild() {
            return Tri::Maybe;
        }
        let text: Vec<char> = text.chars().collect();
        let is_unknown = |token: &Token| matches!(token, Token::Unknown | Token::Variable(..));
        match (glob(&self.0, &text), self.0.iter().any(is_unknown)) {
            (false, _) => Tri::No,
            (true, true) => Tri::Maybe,
            (true, false) => Tri::Yes,
        }
    }

    /// Whether the wildcards leave open only parts that the trusted owner controls: an organization's paths, an
    /// account's access points.
    fn binds(&self, key: &str) -> bool {
        let is_char = |token: &&Token| matches!(token, Token::Char(_));
        match key {
            "aws:principalorgpaths" | "aws:sourceorgpaths" | "aws:vpceorgpaths" => {
                self.0.iter().take_while(is_char).any(|token| *token == Token::Char('/'))
            }
            "s3:dataaccesspointarn" | "aws:sourcevpcarn" => {
                let account = self.0.splitn(6, |token| *token == Token::Char(':')).nth(4);
                account
                    .is_some_and(|account| !account.is_empty() && account.iter().all(|token| is_char(&token)))
            }
            _ => false,
        }
    }

    fn is_wild(&self) -> bool {
        self.0.iter().any(|token| !matches!(token, Token::Char(_)))
    }

    /// The pattern's text, if it has neither wildcards nor variables.
    fn literal(&self) -> Option<String> {
        let text = |token: &Token| if let Token::Char(c) = token { Some(*c) } else { None };
        self.0.iter().map(text).collect()
    }
}

fn variable(name: &str) -> Token {
    match name {
        "*" | "?" | "$" => Token::Char(name.chars().next().unwrap_or('$')),
        _ => {
            let (key, default) = match name.split_once(',') {
                Some((key, default)) => (key, Some(default.trim().trim_matches('\'').to_owned())),
                None => (name, None),
            };
            Token::Variable(key.trim().to_ascii_lowercase(), default)
        }
    }
}

/// Whether a text matches a pattern; unknown variables match anything.
fn glob(pattern: &[Token], text: &[char]) -> bool {
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Many | Token::Unknown | Token::Variable(..)) => {
                back = Some((p, t));
                p += 1;
            }
            Some(Token::One) => (p, t) = (p + 1, t + 1),
            Some(Token::Char(c)) if text.get(t) == Some(c) => (p, t) = (p + 1, t + 1),
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    (p, t) = (star + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|token| matches!(token, Token::Many | Token::Unknown | Token::Variable(..)))
}

impl Statement {
    /// Whether the statement names a requester, given all names of that requester.
    fn names(&self, requester: &[Principal]) -> Tri {
        self.principals
            .holds(|principal| (*principal == Principal::Everyone || requester.contains(principal)).into())
    }

    fn conditions_hold(&self, keys: &Keys) -> Tri {
        every(self.conditions.iter().map(|condition| condition.holds(keys)))
    }
}

/// A policy's decision on one fully known request.
#[cfg(feature = "testing")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// A statement allows it, and none denies it.
    Allow,
    /// A statement denies it.
    Deny,
    /// No statement applies.
    Nothing,
    /// The decision depends on unknown values.
    Open,
}

#[cfg(feature = "testing")]
impl Policy {
    /// Evaluates a request by a user or a role session. Tests compare the result with other evaluators.
    pub fn decide(&self, arn: &str, action: &str, resource: &str, keys: &[(&str, &str)]) -> Decision {
        let requester = questions::names_of(arn);
        let keys = keys.iter().map(|(key, value)| (key.to_ascii_lowercase(), vec![(*value).to_owned()]));
        let keys: Keys = keys.collect();
        let action = action.to_ascii_lowercase();
        let of = |allows: bool| {
            any(self.statements.iter().filter(|statement| statement.allows == allows).map(|statement| {
                let statement = statement.resolved(&keys);
                statement
                    .is_about(&action, resource)
                    .min(statement.names(&requester))
                    .min(statement.conditions_hold(&keys))
            }))
        };
        match (of(false), of(true)) {
            (Tri::Yes, _) => Decision::Deny,
            (Tri::No, Tri::Yes) => Decision::Allow,
            (Tri::No, Tri::No) => Decision::Nothing,
            _ => Decision::Open,
        }
    }
}

#[cfg(feature = "testing")]
impl Statement {
    /// Whether the statement applies to an action on a resource.
    fn is_about(&self, action: &str, resource: &str) -> Tri {
        let action = self.actions.holds(|pattern| pattern.matches(action));
        action.min(self.resources.holds(|pattern| pattern.matches(resource)))
    }

    fn resolved(&self, keys: &Keys) -> Self {
        let items = self.resources.items.iter().map(|pattern| pattern.resolved(keys)).collect();
        Self { resources: Scope { is_not: self.resources.is_not, items }, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
