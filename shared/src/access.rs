//! What a resource's policy refuses and whom it lets in, judged as IAM evaluates it. No I/O.
//!
//! A question is not about one request: "is every request without TLS refused", "may a stranger do anything". It is put for
//! one request of each kind that the policy can tell apart (`questions.rs`), and what a kind leaves open is [`Tri::Maybe`],
//! which neither refuses nor narrows. What IAM would not take as a policy is [`Malformed`], and so neither open nor closed.
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

/// The answer of what may depend on something that the question leaves open.
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

/// Whether one of several holds.
fn any(all: impl IntoIterator<Item = Tri>) -> Tri {
    all.into_iter().max().unwrap_or(Tri::No)
}

/// Whether all of several hold.
fn every(all: impl IntoIterator<Item = Tri>) -> Tri {
    all.into_iter().min().unwrap_or(Tri::Yes)
}

/// Why a text is no policy, or one that is not understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Malformed(String);

impl Malformed {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the policy is not understood: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// A policy of a resource.
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

/// An element and its contrary: `Action` and `NotAction`.
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

/// Whom a statement names.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Principal {
    Everyone,
    /// All of an account, by its number or its root's ARN.
    Account(String),
    /// A user, a role or a session.
    Arn(String),
    /// The id that stays in a policy when its user or role is deleted; it matches nothing any more.
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
    /// `${key}`, lower case, and what stands for it where the request has no such key.
    Variable(String, Option<String>),
    /// A variable whose value is not known.
    Unknown,
}

/// Stands before a value that is none of those which the policy names.
const OTHER: char = '\u{e000}';

/// Stands before what a stranger has where the policy binds requests to something that it trusts.
const FOREIGN: char = '\u{e001}';

/// The keys of one kind of request, lower case, with their values. A key that is not here is absent.
type Keys = BTreeMap<String, Vec<String>>;

impl Pattern {
    /// A text whose wildcards count.
    fn wild(text: &str, has_variables: bool) -> Self {
        Self::read(text, has_variables, true)
    }

    /// A text whose wildcards are characters.
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

    /// The pattern with its variables in place.
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

    /// Whether a text is of the pattern, whose variables are in place or unknown.
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

    /// Whether its wildcards leave open only what its owner decides: an organisation's paths, an account's access points.
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

    /// The text of a pattern without wildcards and variables.
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

/// Whether a text is of a pattern; what is unknown may be anything.
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
    /// Whether it names a requester, who goes by several names.
    fn names(&self, requester: &[Principal]) -> Tri {
        self.principals
            .holds(|principal| (*principal == Principal::Everyone || requester.contains(principal)).into())
    }

    fn conditions_hold(&self, keys: &Keys) -> Tri {
        every(self.conditions.iter().map(|condition| condition.holds(keys)))
    }
}

/// What a policy says of one request that is known whole.
#[cfg(feature = "testing")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// A statement allows it, and none denies it.
    Allow,
    /// A statement denies it.
    Deny,
    /// No statement is about it.
    Nothing,
    /// It depends on what is not known.
    Open,
}

#[cfg(feature = "testing")]
impl Policy {
    /// What the policy says of a request by a user or a role's session, which is held against other evaluators.
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
    /// Whether it is about an action on a resource.
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
