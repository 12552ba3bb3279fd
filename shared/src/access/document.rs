//! Parses a policy document with IAM's rules.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::condition::Condition;
use super::{Malformed, Pattern, Policy, Principal, Scope, Statement};

impl FromStr for Policy {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let document: Value = serde_json::from_str(text).map_err(|_| Malformed::new("it is not JSON"))?;
        let document = document.as_object().ok_or_else(|| Malformed::new("it is not an object"))?;
        known(document, &["Version", "Id", "Statement"])?;
        let has_variables = match document.get("Version").map(Value::as_str) {
            None | Some(Some("2008-10-17")) => false,
            Some(Some("2012-10-17")) => true,
            Some(_) => return Err(Malformed::new("IAM has no such Version")),
        };
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.as_slice(),
            Some(one @ Value::Object(_)) => std::slice::from_ref(one),
            _ => return Err(Malformed::new("it has no Statement")),
        };
        let statements = statements.iter().map(|one| statement(one, has_variables)).collect::<Result<_, _>>();
        Ok(Self { statements: statements? })
    }
}

fn known(object: &Map<String, Value>, fields: &[&str]) -> Result<(), Malformed> {
    match object.keys().find(|key| !fields.contains(&key.as_str())) {
        Some(key) => Err(Malformed::new(format!("{key:.40} is not a policy element"))),
        None => Ok(()),
    }
}

fn statement(value: &Value, has_variables: bool) -> Result<Statement, Malformed> {
    let object = value.as_object().ok_or_else(|| Malformed::new("a Statement is not an object"))?;
    known(
        object,
        &[
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ],
    )?;
    let allows = match object.get("Effect").and_then(Value::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(Malformed::new("an Effect is neither Allow nor Deny")),
    };
    let (is_not, named) = element(object, "Principal", "NotPrincipal")?;
    let principals = Scope { is_not, items: principals(named)? };
    let (is_not, named) = element(object, "Action", "NotAction")?;
    let action = |text: &str| match text {
        "*" => Ok(Pattern::wild(text, false)),
        _ if text.contains(':') => Ok(Pattern::wild(text, false).to_lowercase()),
        _ => Err(Malformed::new(format!("the action {text:.60} has no service prefix"))),
    };
    let actions = texts(named, "Action")?.into_iter().map(action).collect::<Result<_, _>>()?;
    let actions = Scope { is_not, items: actions };
    let (is_not, named) = element(object, "Resource", "NotResource")?;
    let resources = texts(named, "Resource")?;
    let resources =
        Scope { is_not, items: resources.iter().map(|text| Pattern::wild(text, has_variables)).collect() };
    let conditions = match object.get("Condition") {
        None => Vec::new(),
        Some(conditions) => self::conditions(conditions, has_variables)?,
    };
    Ok(Statement { allows, principals, actions, resources, conditions })
}

/// An element or its negation; a statement must have exactly one of them.
fn element<'a>(
    object: &'a Map<String, Value>,
    is: &str,
    is_not: &str,
) -> Result<(bool, &'a Value), Malformed> {
    match (object.get(is), object.get(is_not)) {
        (Some(value), None) => Ok((false, value)),
        (None, Some(value)) => Ok((true, value)),
        (None, None) => Err(Malformed::new(format!("a Statement has no {is}"))),
        (Some(_), Some(_)) => Err(Malformed::new(format!("a Statement has both {is} and {is_not}"))),
    }
}

/// One string or a non-empty list of strings.
fn texts<'a>(value: &'a Value, of: &str) -> Result<Vec<&'a str>, Malformed> {
    let texts: Option<Vec<_>> = match value {
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        value => value.as_str().map(|text| vec![text]),
    };
    texts
        .filter(|texts| !texts.is_empty() && texts.iter().all(|text| !text.is_empty()))
        .ok_or_else(|| Malformed::new(format!("{of} is neither a string nor a list of strings")))
}

fn principals(value: &Value) -> Result<Vec<Principal>, Malformed> {
    let kinds = match value {
        Value::String(text) if text == "*" => return Ok(vec![Principal::Everyone]),
        Value::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err(Malformed::new("a Principal is neither * nor an object")),
    };
    let mut principals = Vec::new();
    for (kind, named) in kinds {
        for name in texts(named, "Principal")? {
            principals.push(match kind.as_str() {
                "AWS" => of_aws(name)?,
                "Service" if !name.contains(['*', '?']) => Principal::Service(name.to_ascii_lowercase()),
                "Federated" if !name.contains(['*', '?']) => Principal::Federated(name.to_owned()),
                "CanonicalUser" if !name.contains(['*', '?']) => Principal::Canonical(name.to_owned()),
                _ => return Err(Malformed::new(format!("{kind:.20} {name:.80} is not a valid principal"))),
            });
        }
    }
    Ok(principals)
}

pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The account ID in an ARN.
pub(super) fn account(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

fn of_aws(name: &str) -> Result<Principal, Malformed> {
    let is_id =
        name.len() >= 16 && name.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    let is_arn = name.starts_with("arn:") && name.split(':').count() >= 6 && !account(name).is_empty();
    match name {
        "*" => Ok(Principal::Everyone),
        _ if is_account(name) => Ok(Principal::Account(name.to_owned())),
        _ if is_arn && !name.contains(['*', '?']) => Ok(match name.strip_suffix(":root") {
            Some(_) => Principal::Account(account(name).to_owned()),
            None => Principal::Arn(name.to_owned()),
        }),
        _ if is_id => Ok(Principal::Gone),
        _ => Err(Malformed::new(format!("AWS {name:.80} is not a valid principal"))),
    }
}

fn conditions(value: &Value, has_variables: bool) -> Result<Vec<Condition>, Malformed> {
    let operators = value.as_object().ok_or_else(|| Malformed::new("a Condition is not an object"))?;
    let mut all = Vec::new();
    for (operator, keys) in operators {
        let keys = keys.as_object().ok_or_else(|| Malformed::new(format!("{operator:.40} has no keys")))?;
        for (key, values) in keys {
            let values = match values {
                Value::Array(values) => values.as_slice(),
                one => std::slice::from_ref(one),
            };
            let text = |value: &Value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
                _ => None,
            };
            let values: Option<Vec<String>> = values.iter().map(text).collect();
            let values = values
                .filter(|values| !values.is_empty())
                .ok_or_else(|| Malformed::new(format!("{operator:.40} of {key:.60} has no values")))?;
            all.push(Condition::new(operator, key, &values, has_variables)?);
        }
    }
    Ok(all)
}
