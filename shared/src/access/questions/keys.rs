//! Condition keys, and the states that they can have in a requester's requests.

use std::collections::BTreeSet;

use super::{ANY, Place, Question, Requester, States, filled};
use crate::access::{FOREIGN, Keys, OTHER, Statement, Token, Tri};

/// Keys whose fixed values bind a request to a party that the owner chose to trust. A stranger has another value or
/// none (Amazon S3 User Guide, "The meaning of public"; IAM User Guide, "AWS global condition context keys").
const BINDING: [&str; 16] = [
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:userid",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

/// Keys present in every request.
const ALWAYS: [&str; 3] = ["aws:securetransport", "aws:currenttime", "aws:epochtime"];

impl Requester {
    /// Whether the requester cannot have a value that the owner trusts for a binding key.
    fn lacks(&self, key: &str, question: Question) -> bool {
        question == Question::FromOutside && !self.is_meant && BINDING.contains(&key)
    }
}

/// Keys in the conditions and variables of statements.
pub(super) fn keys<'a>(of: impl Iterator<Item = &'a Statement>) -> BTreeSet<String> {
    let conditions = of.flat_map(|statement| &statement.conditions);
    conditions.flat_map(|condition| condition.keys()).map(str::to_owned).collect()
}

/// The possible states of a key in a requester's requests.
pub(super) fn states(
    key: &str,
    of: &[(&Statement, Tri)],
    requester: &Requester,
    question: Question,
    place: &Place<'_>,
) -> States {
    let states = of_key(key, of, requester, question, place);
    let is_of_owner = (key, question) == ("aws:resourceorgid", Question::FromOutside);
    if is_of_owner || requester.lacks(key, question) || fixed(key, requester, question, place).is_some() {
        return states;
    }
    // A requester who can choose a key's value can make it equal to the key it is compared with.
    let mut states: BTreeSet<Option<Vec<String>>> = states.into_iter().collect();
    for condition in of.iter().flat_map(|(statement, _)| &statement.conditions) {
        for pattern in condition.patterns() {
            for variable in pattern
                .0
                .iter()
                .filter_map(|token| match token {
                    Token::Variable(variable, _) if variable != key => Some(variable.as_str()),
                    _ => None,
                })
                .filter(|_| condition.key == key)
            {
                for value in of_key(variable, of, requester, question, place).into_iter().flatten() {
                    let keys = Keys::from([(variable.to_owned(), value)]);
                    states.insert(Some(vec![filled(&pattern.resolved(&keys), ANY)]));
                }
            }
            if matches!(&pattern.0[..], [Token::Variable(variable, _)] if variable == key) {
                states.extend(of_key(&condition.key, of, requester, question, place));
            }
        }
    }
    states.into_iter().collect()
}

/// The states of a key whose value the question or the requester determines.
fn fixed(key: &str, requester: &Requester, question: Question, place: &Place<'_>) -> Option<States> {
    let is = |value: &str| vec![Some(vec![value.to_owned()])];
    match (key, question) {
        ("aws:currenttime", _) => Some(is(&place.now.to_string())),
        ("aws:epochtime", _) => Some(is(&place.now.as_second().to_string())),
        ("aws:securetransport", Question::InClear) => Some(is("false")),
        ("s3:tlsversion", Question::InClear) => Some(vec![None]),
        ("aws:resourceaccount" | "s3:resourceaccount", _) => Some(is(place.account)),
        _ => requester.keys.get(key).cloned(),
    }
}

/// The possible states of a key, considering only conditions on that key.
fn of_key(
    key: &str,
    of: &[(&Statement, Tri)],
    requester: &Requester,
    question: Question,
    place: &Place<'_>,
) -> States {
    if let Some(fixed) = fixed(key, requester, question, place) {
        return fixed;
    }
    if requester.lacks(key, question) {
        return vec![None, Some(vec![format!("{FOREIGN}{key}")])];
    }
    let conditions = of.iter().flat_map(|(statement, _)| &statement.conditions);
    let conditions: Vec<_> = conditions.filter(|condition| condition.key == key).collect();
    let mut states: BTreeSet<Option<Vec<String>>> =
        conditions.iter().flat_map(|condition| condition.values()).map(Some).collect();
    if states.is_empty() {
        states.insert(Some(vec![format!("{OTHER}{key}")]));
    }
    // The resource's organization is unknown, but a stranger does not belong to it.
    let is_there = ALWAYS.contains(&key) || (key, question) == ("aws:resourceorgid", Question::FromOutside);
    if !is_there {
        states.insert(None);
    }
    states.into_iter().collect()
}
