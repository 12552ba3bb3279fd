//! The principals that a secret's resource policy admits. No I/O.

use jiff::Timestamp;
use shared::access::{Malformed, Place, Policy};

/// The first stranger that a secret's policy admits: everyone (`*`), another account, or a service acting for any
/// account.
pub(crate) fn admitted(policy: &str, secret_arn: &str, now: Timestamp) -> Result<Option<String>, Malformed> {
    let account = secret_arn.split(':').nth(4).unwrap_or_default();
    let place = Place { account, trusted: &[], owner: None, now };
    let strangers = policy.parse::<Policy>()?.strangers_to_secret(secret_arn, &place)?;
    Ok(strangers.first().map(ToString::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:jwt-a1B2c3";

    fn of(policy: &str) -> Result<Option<String>, Malformed> {
        admitted(policy, ARN, "2026-11-26T12:00:00Z".parse().unwrap())
    }

    #[track_caller]
    fn check(principal: &str, condition: &str, expected: Option<&str>) {
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", {principal}, "Action": "secretsmanager:GetSecretValue", "Resource": "*" {condition}}}]}}"#
        );
        assert_eq!(of(&policy), Ok(expected.map(str::to_owned)), "{policy}");
    }

    #[test]
    fn strangers_are_admitted_or_not() {
        check(r#""Principal": "*""#, "", Some("*"));
        check(r#""Principal": {"AWS": "*"}"#, "", Some("*"));
        check(r#""Principal": {"AWS": ["123456789012", "*"]}"#, "", Some("*"));
        check(r#""Principal": {"AWS": "210987654321"}"#, "", Some("210987654321"));
        let foreign = "arn:aws:iam::210987654321:root";
        check(&format!(r#""Principal": {{"AWS": "{foreign}"}}"#), "", Some("210987654321"));
        check(r#""Principal": {"AWS": "arn:aws:iam::123456789012:role/api"}"#, "", None);
        let service = r#""Principal": {"Service": "lambda.amazonaws.com"}"#;
        check(service, "", Some("lambda.amazonaws.com"));
        let own = r#", "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}"#;
        check(service, own, None);
        check(r#""NotPrincipal": {"AWS": "210987654321"}"#, "", Some("*"));
    }

    #[test]
    fn a_condition_can_limit_a_statement_to_this_account() {
        let everyone = r#""Principal": "*""#;
        let bound = |operator: &str, key: &str, value: &str| {
            format!(r#", "Condition": {{"{operator}": {{"{key}": {value}}}}}"#)
        };
        for (operator, key, value) in [
            ("StringEquals", "aws:PrincipalAccount", r#""123456789012""#),
            ("StringEquals", "AWS:SourceAccount", r#"["123456789012"]"#),
            ("StringEquals", "aws:PrincipalOrgID", r#""o-a1b2c3""#),
            ("ArnLike", "aws:PrincipalArn", r#""arn:aws:iam::123456789012:role/*""#),
        ] {
            check(everyone, &bound(operator, key, value), None);
        }
        for (operator, key, value) in [
            ("StringNotEquals", "aws:PrincipalAccount", r#""123456789012""#),
            ("StringEqualsIfExists", "aws:PrincipalAccount", r#""123456789012""#),
            ("StringLike", "aws:PrincipalOrgID", r#""o-*""#),
            ("ArnLike", "aws:PrincipalArn", r#""arn:aws:iam::*:role/x""#),
            ("Bool", "aws:SecureTransport", r#""true""#),
        ] {
            check(everyone, &bound(operator, key, value), Some("*"));
        }
        for accounts in [r#""210987654321""#, r#"["123456789012", "210987654321"]"#] {
            let condition = bound("StringEquals", "aws:PrincipalAccount", accounts);
            check(everyone, &condition, Some("210987654321"));
        }
    }

    #[test]
    fn a_malformed_policy_is_an_error() {
        assert!(of("{").is_err());
        assert!(of("{}").is_err());
        let deny = r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}"#;
        assert_eq!(of(deny), Ok(None));
    }
}
