//! The two questions, each asked for every kind of request that the policy distinguishes.

mod keys;
mod requesters;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

#[cfg(feature = "testing")]
pub(super) use requesters::names_of;

use super::condition::Condition;
use super::{Keys, Malformed, Pattern, Policy, Principal, Statement, Token, Tri, any};
use keys::{keys, states};
use requests::{OF_SECRETS, listed};

/// Most combinations of condition keys evaluated per question.
const MOST: usize = 100_000;

/// Text that fills a wildcard.
const ANY: &str = "zq";

/// A requester that the policy allows or does not deny.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Who {
    /// Everyone, even anonymous requesters.
    Everyone,
    /// An account, including its users and roles.
    Account(String),
    /// An AWS service acting for any account.
    Service(String),
    /// An identity from another provider.
    Federated(String),
    /// An account, by its canonical S3 user ID.
    Canonical(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("*"),
            Self::Account(name) | Self::Service(name) | Self::Federated(name) | Self::Canonical(name) => {
                f.write_str(name)
            }
        }
    }
}

/// The context in which a policy is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The account that owns the resource.
    pub account: &'a str,
    /// Other accounts that may have access.
    pub trusted: &'a [String],
    /// The account's canonical S3 user ID, if known.
    pub owner: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// A request without TLS that a bucket policy does not deny.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Clear {
    /// The requester.
    pub who: Who,
    /// The action, in lower case.
    pub action: String,
    /// The ARN of the bucket or an object.
    pub resource: String,
}

/// The requests of a question: groups of actions with the resources they apply to.
type Parts = Vec<(Vec<String>, Vec<String>)>;

/// An action on a resource, and whether each statement applies to it. One representative is enough for all requests to
/// which the same statements apply.
struct Kind {
    action: String,
    resource: String,
    about: Vec<Tri>,
}

/// The possible states of a key: absent, or present with these values.
type States = Vec<Option<Vec<String>>>;

/// A possible requester.
struct Requester {
    who: Who,
    names: Vec<Principal>,
    keys: BTreeMap<String, States>,
    /// Whether an allowing statement names it; the statement's conditions then count as deliberate.
    is_meant: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Question {
    /// Can a request without TLS pass undenied?
    InClear,
    /// Is a stranger's request allowed?
    FromOutside,
}

fn too_many() -> Malformed {
    Malformed::new("too many object patterns to evaluate")
}

impl Policy {
    /// Finds a request without TLS that the bucket policy does not deny. Returns none if the policy denies all of them:
    /// every S3 action on the bucket and its objects, by any requester, regardless of the other condition keys.
    ///
    /// Assumes that `s3:TlsVersion` is absent from a request without TLS, which AWS does not document.
    ///
    /// # Errors
    ///
    /// Fails if there are too many kinds of requests to evaluate.
    pub fn in_clear(&self, bucket: &str, place: &Place<'_>) -> Result<Option<Clear>, Malformed> {
        let mut left = MOST;
        let requesters = self.requesters(place, Question::InClear);
        let (parts, is_whole) = self.of_bucket(bucket, &[]);
        for kind in self.kinds(parts) {
            for requester in &requesters {
                if self.may_pass(&kind, requester, Question::InClear, place, &mut left)? {
                    let Kind { action, resource, .. } = kind;
                    return Ok(Some(Clear { who: requester.who.clone(), action, resource }));
                }
            }
        }
        if is_whole { Ok(None) } else { Err(too_many()) }
    }

    /// Strangers with any access to the bucket or its objects under the bucket policy.
    ///
    /// # Errors
    ///
    /// Fails if there are too many kinds of requests to evaluate.
    pub fn strangers_to_bucket(&self, bucket: &str, place: &Place<'_>) -> Result<BTreeSet<Who>, Malformed> {
        let (parts, is_whole) = self.of_bucket(bucket, &self.actions("s3:"));
        let found = self.strangers(parts, place)?;
        // Access for everyone is certain even if only some objects were checked.
        if is_whole || found.contains(&Who::Everyone) { Ok(found) } else { Err(too_many()) }
    }

    /// Strangers with any access to a secret under its policy.
    ///
    /// # Errors
    ///
    /// Fails if there are too many kinds of requests to evaluate.
    pub fn strangers_to_secret(&self, arn: &str, place: &Place<'_>) -> Result<BTreeSet<Who>, Malformed> {
        let mut actions = listed("secretsmanager:", OF_SECRETS);
        actions.extend(self.actions("secretsmanager:"));
        self.strangers(vec![(actions, vec![arn.to_owned()])], place)
    }

    fn strangers(&self, parts: Parts, place: &Place<'_>) -> Result<BTreeSet<Who>, Malformed> {
        let (mut left, mut found) = (MOST, BTreeSet::new());
        let requesters = self.requesters(place, Question::FromOutside);
        for kind in self.kinds(parts) {
            for requester in &requesters {
                if !found.contains(&requester.who)
                    && self.may_pass(&kind, requester, Question::FromOutside, place, &mut left)?
                {
                    found.insert(requester.who.clone());
                }
            }
        }
        // With access for everyone, only accounts that an allowing statement names may have more.
        if found.contains(&Who::Everyone) {
            let meant = self.accounts(|statement| statement.allows);
            found.retain(|who| !matches!(who, Who::Account(account) if !meant.contains(account)));
        }
        Ok(found)
    }

    /// Whether the question's answer is yes for some request of a kind.
    fn may_pass(
        &self,
        kind: &Kind,
        requester: &Requester,
        question: Question,
        place: &Place<'_>,
        left: &mut usize,
    ) -> Result<bool, Malformed> {
        let about = self.statements.iter().zip(&kind.about);
        let about = about.filter(|(statement, _)| question == Question::FromOutside || !statement.allows);
        let named =
            about.map(|(statement, about)| (statement, statement.names(&requester.names).min(*about)));
        let mut of: Vec<_> = named.filter(|(_, is)| *is != Tri::No).collect();
        let all = |of: &[(&Statement, Tri)]| -> Vec<(String, States)> {
            let keys = keys(of.iter().map(|(statement, _)| *statement)).into_iter();
            keys.map(|key| (key.clone(), states(&key, of, requester, question, place))).collect()
        };
        // Keys with a single state decide most statements, and leave fewer combinations to try.
        let (common, rest): (Vec<_>, Vec<_>) =
            all(&of).into_iter().partition(|(_, states)| states.len() == 1);
        let common = common.into_iter().filter_map(|(key, states)| Some((key, states.into_iter().next()??)));
        let common: Keys = common.collect();
        let is_common = |condition: &Condition| {
            condition.keys().iter().all(|key| rest.iter().all(|(open, _)| open != key))
        };
        of.retain(|(statement, _)| {
            let decided = statement.conditions.iter().filter(|condition| is_common(condition));
            decided.map(|condition| condition.holds(&common)).all(|holds| holds != Tri::No)
        });
        let is_refused = of.iter().any(|(statement, is)| {
            !statement.allows
                && statement.conditions.iter().all(is_common)
                && (*is).min(statement.conditions_hold(&common)) == Tri::Yes
        });
        let is_allowed = question == Question::InClear || of.iter().any(|(statement, _)| statement.allows);
        if is_refused || !is_allowed {
            return Ok(false);
        }
        let open = all(&of);
        let mut turn = vec![0; open.len()];
        loop {
            *left = left.checked_sub(1).ok_or_else(|| Malformed::new("too many conditions to evaluate"))?;
            let state = |((key, states), turn): (&(String, States), &usize)| {
                Some((key.clone(), states.get(*turn).cloned().flatten()?))
            };
            let keys: Keys = open.iter().zip(&turn).filter_map(state).collect();
            let holds = |allows: bool| {
                let of = of.iter().filter(|(statement, _)| statement.allows == allows);
                any(of.map(|(statement, is)| (*is).min(statement.conditions_hold(&keys))))
            };
            let is_asked = question == Question::InClear || holds(true) != Tri::No;
            if is_asked && holds(false) != Tri::Yes {
                return Ok(true);
            }
            if !next(&mut turn, &open) {
                return Ok(false);
            }
        }
    }
}

/// A text that matches a pattern, with its wildcards filled.
fn filled(pattern: &Pattern, filling: &str) -> String {
    let text = |token: &Token| match token {
        Token::Char(c) => c.to_string(),
        Token::One => "z".to_owned(),
        _ => filling.to_owned(),
    };
    pattern.0.iter().map(text).collect()
}

/// Advances to the next combination; returns false after the last one.
fn next(turn: &mut [usize], open: &[(String, States)]) -> bool {
    for (place, (_, states)) in turn.iter_mut().zip(open) {
        *place += 1;
        if *place < states.len() {
            return true;
        }
        *place = 0;
    }
    false
}
