//! Whom a secret's resource policy lets in. No I/O.

use serde_json::Value;

/// Condition keys that bind a request to an account.
const ACCOUNT_KEYS: [&str; 2] = ["aws:principalaccount", "aws:sourceaccount"];
/// Condition keys that bind a request to an organisation. Ours is not known here, so any one named in full counts.
const ORGANISATION_KEYS: [&str; 2] = ["aws:principalorgid", "aws:sourceorgid"];
/// Condition keys that bind a request to something with an ARN.
const ARN_KEYS: [&str; 2] = ["aws:principalarn", "aws:sourcearn"];

/// The first principal outside the secret's own account that a statement admits without a condition that binds it to
/// this account or to an organisation; `Err` with what is wrong when the text is no policy.
pub(crate) fn admitted(policy: &str, secret_arn: &str) -> Result<Option<String>, &'static str> {
    let policy: Value = serde_json::from_str(policy).map_err(|_| "the resource policy is not JSON")?;
    let own = secret_arn.split(':').nth(4).unwrap_or_default();
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err("the resource policy has no statement"),
    };
    let open = statements.iter().filter(|statement| {
        statement.get("Effect").and_then(Value::as_str) == Some("Allow") && !is_bound(statement, own)
    });
    Ok(open.filter_map(|statement| stranger(statement, own)).next())
}

/// The first principal of a statement that is not this account's.
fn stranger(statement: &Value, own: &str) -> Option<String> {
    if statement.get("NotPrincipal").is_some() {
        return Some("NotPrincipal".to_owned());
    }
    match statement.get("Principal")? {
        Value::String(principal) => (principal == "*").then(|| principal.clone()),
        // A service acts for an account; which one, only a condition tells, and most services' policies have none.
        Value::Object(kinds) => kinds
            .iter()
            .filter(|(kind, _)| *kind != "Service")
            .flat_map(|(_, principals)| texts(principals))
            .find(|principal| account(principal) != own)
            .map(str::to_owned),
        _ => None,
    }
}

/// The account of a principal: an ARN's, or the principal itself.
fn account(principal: &str) -> &str {
    if principal.starts_with("arn:") { principal.split(':').nth(4).unwrap_or_default() } else { principal }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect(),
    }
}

/// Whether one of the conditions, all of which must hold, binds the statement to this account or an organisation.
fn is_bound(statement: &Value, own: &str) -> bool {
    let operators = statement.get("Condition").and_then(Value::as_object);
    operators.into_iter().flatten().any(|(operator, keys)| {
        // One with IfExists, with ForAllValues or for the contrary holds for a stranger too.
        let positive = ["StringEquals", "StringLike", "StringEqualsIgnoreCase", "ArnEquals", "ArnLike"];
        let binds = positive.contains(&operator.as_str());
        binds
            && keys.as_object().into_iter().flatten().any(|(key, values)| {
                let (key, values) = (key.to_ascii_lowercase(), texts(values));
                let all = |holds: &dyn Fn(&str) -> bool| {
                    !values.is_empty() && values.iter().all(|value| holds(value))
                };
                (ACCOUNT_KEYS.contains(&key.as_str()) && all(&|value| value == own))
                    || (ORGANISATION_KEYS.contains(&key.as_str())
                        && all(&|value| value.starts_with("o-") && !value.contains(['*', '?'])))
                    || (ARN_KEYS.contains(&key.as_str()) && all(&|value| account(value) == own))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:jwt-a1B2c3";

    #[track_caller]
    fn check(principal: &str, condition: &str, expected: Option<&str>) {
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", {principal}, "Action": "secretsmanager:GetSecretValue", "Resource": "*" {condition}}}]}}"#
        );
        assert_eq!(admitted(&policy, ARN), Ok(expected.map(str::to_owned)), "{policy}");
    }

    #[test]
    fn who_is_let_in() {
        check(r#""Principal": "*""#, "", Some("*"));
        check(r#""Principal": {"AWS": "*"}"#, "", Some("*"));
        check(r#""Principal": {"AWS": ["123456789012", "*"]}"#, "", Some("*"));
        check(r#""Principal": {"AWS": "210987654321"}"#, "", Some("210987654321"));
        let foreign = "arn:aws:iam::210987654321:root";
        check(&format!(r#""Principal": {{"AWS": "{foreign}"}}"#), "", Some(foreign));
        check(r#""Principal": {"AWS": "arn:aws:iam::123456789012:role/api"}"#, "", None);
        check(r#""Principal": {"Service": "lambda.amazonaws.com"}"#, "", None);
        check(r#""NotPrincipal": {"AWS": "210987654321"}"#, "", Some("NotPrincipal"));
    }

    #[test]
    fn what_a_condition_binds() {
        let everybody = r#""Principal": "*""#;
        let bound = |operator: &str, key: &str, value: &str| {
            format!(r#", "Condition": {{"{operator}": {{"{key}": {value}}}}}"#)
        };
        for (operator, key, value) in [
            ("StringEquals", "aws:PrincipalAccount", r#""123456789012""#),
            ("StringEquals", "AWS:SourceAccount", r#"["123456789012"]"#),
            ("StringEquals", "aws:PrincipalOrgID", r#""o-a1b2c3""#),
            ("ArnLike", "aws:PrincipalArn", r#""arn:aws:iam::123456789012:role/*""#),
        ] {
            check(everybody, &bound(operator, key, value), None);
        }
        for (operator, key, value) in [
            ("StringEquals", "aws:PrincipalAccount", r#""210987654321""#),
            ("StringEquals", "aws:PrincipalAccount", r#"["123456789012", "210987654321"]"#),
            ("StringNotEquals", "aws:PrincipalAccount", r#""123456789012""#),
            ("StringEqualsIfExists", "aws:PrincipalAccount", r#""123456789012""#),
            ("StringLike", "aws:PrincipalOrgID", r#""o-*""#),
            ("ArnLike", "aws:PrincipalArn", r#""arn:aws:iam::*:role/x""#),
            ("StringEquals", "aws:PrincipalAccount", "[]"),
            ("Bool", "aws:SecureTransport", r#""true""#),
        ] {
            check(everybody, &bound(operator, key, value), Some("*"));
        }
    }

    #[test]
    fn what_is_no_policy_is_not_taken_for_a_closed_one() {
        assert!(admitted("{", ARN).is_err());
        assert!(admitted("{}", ARN).is_err());
        let deny = r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}"#;
        assert_eq!(admitted(deny, ARN), Ok(None));
    }
}
