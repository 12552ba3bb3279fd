//! Tables of policies, each with AWS's expected decision.

use serde_json::{Value, json};

use super::*;

const OWN: &str = "111122223333";
const BUCKET: &str = "moveongs-dev-attachments";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:111122223333:secret:jwt-a1B2c3";

fn place() -> Place<'static> {
    Place { account: OWN, trusted: &[], owner: Some("0wner"), now: "2026-11-26T12:00:00Z".parse().unwrap() }
}

fn policy(statements: &Value) -> Policy {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string().parse().unwrap()
}

/// The statement that denies requests without TLS, with some elements replaced, or removed if null.
fn tls(changed: &Value) -> Value {
    let mut statement = json!({
        "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [format!("arn:aws:s3:::{BUCKET}"), format!("arn:aws:s3:::{BUCKET}/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    });
    for (element, value) in changed.as_object().unwrap() {
        match value {
            Value::Null => drop(statement.as_object_mut().unwrap().remove(element)),
            value => statement[element] = value.clone(),
        }
    }
    statement
}

#[track_caller]
fn refuses(statements: &Value, expected: bool) {
    let found = policy(statements).in_clear(BUCKET, &place()).unwrap();
    assert_eq!(found.is_none(), expected, "{statements}: {found:?}");
}

#[track_caller]
fn one(changed: Value, expected: bool) {
    refuses(&json!([tls(&changed)]), expected);
    refuses(&tls(&changed), expected);
    let allow = tls(&json!({"Effect": "Allow", "Condition": null}));
    refuses(&json!([allow, tls(&changed)]), expected);
}

#[test]
fn case_10a_bool_if_exists_refuses_requests_without_tls() {
    let text = include_str!("../../../tests/cases/10a-bucket-policy-boolifexists.json");
    assert_eq!(text.parse::<Policy>().unwrap().in_clear(BUCKET, &place()), Ok(None));
    let other = text.parse::<Policy>().unwrap().in_clear("another", &place()).unwrap();
    assert!(other.is_some());
}

#[test]
fn conditions_that_refuse_every_request_without_tls() {
    let when = |condition: Value| json!({"Condition": condition});
    one(json!({}), true);
    for condition in [
        json!({"Bool": {"aws:SecureTransport": false}}),
        json!({"Bool": {"aws:SecureTransport": ["false"]}}),
        json!({"Bool": {"aws:securetransport": "False"}}),
        json!({"bool": {"AWS:SecureTransport": "false"}}),
        json!({"BoolIfExists": {"aws:SecureTransport": "false"}}),
        json!({"ForAnyValue:Bool": {"aws:SecureTransport": "false"}}),
        json!({"StringEquals": {"aws:SecureTransport": "false"}}),
        json!({"StringNotEquals": {"aws:SecureTransport": "true"}}),
        json!({"StringLike": {"aws:SecureTransport": "f*"}}),
        json!({"NumericLessThanIfExists": {"s3:TlsVersion": "1.2"}}),
        json!({"NumericLessThanIfExists": {"s3:TlsVersion": 1.2}}),
        json!({"Null": {"s3:TlsVersion": "true"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "Null": {"aws:SecureTransport": "false"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "StringEquals": {"aws:ResourceAccount": OWN}}),
        json!({"Bool": {"aws:SecureTransport": ["false", "true"]}}),
    ] {
        one(when(condition), true);
    }
    one(json!({"Condition": null}), true);
    for condition in [
        json!({"Bool": {"aws:SecureTransport": "true"}}),
        json!({"StringEquals": {"aws:SecureTransport": "False"}}),
        json!({"Null": {"aws:SecureTransport": "true"}}),
        json!({"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        json!({"Null": {"s3:TlsVersion": "false"}}),
        json!({"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "StringNotEquals": {"aws:SourceVpc": "vpc-1"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/old"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "StringNotEquals": {"aws:PrincipalAccount": OWN}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "DateLessThan": {"aws:CurrentTime": "2026-11-26"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "StringEquals": {"aws:UserAgent": "${aws:username}"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "StringLike": {"s3:prefix": "*"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "StringNotLike": {"aws:PrincipalArn": "*/admin"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "StringNotEquals": {"aws:SourceArn": "arn:aws:s3:::log"}}),
        json!({"Bool": {"aws:SecureTransport": "false"}, "StringNotEquals": {"aws:PrincipalServiceName": "logging.s3.amazonaws.com"}}),
    ] {
        one(when(condition), false);
    }
}

#[test]
fn elements_that_cover_every_request_or_let_some_through() {
    let both = tls(&json!({}))["Resource"].clone();
    let (bucket, objects) = (both[0].as_str().unwrap(), both[1].as_str().unwrap());
    for changed in [
        json!({"Principal": {"AWS": "*"}}),
        json!({"Principal": {"AWS": [OWN, "*"]}}),
        json!({"Principal": null, "NotPrincipal": {"AWS": "AIDAJ45Q7YFFAREXAMPLE"}}),
        json!({"Action": "*"}),
        json!({"Action": "S3:*"}),
        json!({"Action": ["s3:GetObject", "s3:*"]}),
        json!({"Action": ["s3:a*", "s3:B*", "s3:D*", "s3:[*", "s3:g*", "s3:in*", "s3:L*", "s3:ob*", "s3:p*", "s3:R*", "s3:t*", "s3:u*", "s3:c*"]}),
        json!({"Action": null, "NotAction": "s3:ListAllMyBuckets"}),
        json!({"Action": null, "NotAction": ["ec2:*", "iam:PassRole"]}),
        json!({"Resource": "*"}),
        json!({"Resource": "arn:aws:s3:::*"}),
        json!({"Resource": format!("{bucket}*")}),
        json!({"Resource": [bucket, format!("{bucket}/?*")]}),
        json!({"Resource": "arn:aws:s3:::moveongs-???-attachments*"}),
        json!({"Resource": null, "NotResource": "arn:aws:s3:::another/*"}),
    ] {
        one(changed, true);
    }
    for changed in [
        json!({"Effect": "Allow"}),
        json!({"Effect": "Allow", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}),
        json!({"Principal": {"AWS": OWN}}),
        json!({"Principal": {"AWS": "arn:aws:iam::111122223333:role/x"}}),
        json!({"Principal": {"Service": "cloudtrail.amazonaws.com"}}),
        json!({"Principal": null, "NotPrincipal": {"AWS": OWN}}),
        json!({"Principal": null, "NotPrincipal": {"Service": "cloudtrail.amazonaws.com"}}),
        json!({"Principal": null, "NotPrincipal": {"CanonicalUser": "abc"}}),
        json!({"Action": "s3:GetObject"}),
        json!({"Action": ["s3:Get*", "s3:Put*", "s3:List*", "s3:Delete*"]}),
        json!({"Action": null, "NotAction": "s3:GetObject"}),
        json!({"Action": null, "NotAction": "S3:getobject"}),
        json!({"Resource": bucket}),
        json!({"Resource": objects}),
        json!({"Resource": [bucket, format!("{bucket}/??*")]}),
        json!({"Resource": [bucket, format!("{bucket}/private/*")]}),
        json!({"Resource": [bucket.to_uppercase().replace("ARN:AWS:S3", "arn:aws:s3"), objects]}),
        json!({"Resource": ["arn:aws:s3:::another", "arn:aws:s3:::another/*"]}),
        json!({"Resource": null, "NotResource": format!("{bucket}/public/*")}),
        json!({"Resource": null, "NotResource": format!("{bucket}/*.jpg")}),
        json!({"Resource": [bucket, format!("{bucket}/${{aws:username}}*")]}),
    ] {
        one(changed, false);
    }
}

#[test]
fn several_statements_refuse_together() {
    let part = |changed: Value| tls(&changed);
    let (bucket, objects) = (format!("arn:aws:s3:::{BUCKET}"), format!("arn:aws:s3:::{BUCKET}/*"));
    let further = |condition: Value| {
        let mut all = json!({"Bool": {"aws:SecureTransport": "false"}});
        all.as_object_mut().unwrap().extend(condition.as_object().unwrap().clone());
        part(json!({"Condition": all}))
    };
    for (statements, expected) in [
        (vec![part(json!({"Resource": bucket})), part(json!({"Resource": objects}))], true),
        (
            vec![part(json!({"Action": "s3:Get*"})), part(json!({"Action": null, "NotAction": "s3:get*"}))],
            true,
        ),
        (
            vec![part(json!({"Action": "s3:GetB*"})), part(json!({"Action": null, "NotAction": "s3:get*"}))],
            false,
        ),
        (
            vec![
                part(json!({"Principal": {"AWS": OWN}})),
                part(json!({"Principal": null, "NotPrincipal": {"AWS": OWN}})),
            ],
            true,
        ),
        (
            vec![
                further(json!({"StringEquals": {"aws:SourceVpc": "vpc-1"}})),
                further(json!({"StringNotEquals": {"aws:SourceVpc": "vpc-1"}})),
            ],
            true,
        ),
        (
            vec![
                further(json!({"StringEquals": {"aws:SourceVpc": "vpc-1"}})),
                further(json!({"StringNotEquals": {"aws:SourceVpc": "vpc-2"}})),
            ],
            false,
        ),
        (
            vec![
                further(json!({"StringEquals": {"aws:SourceVpc": ["vpc-1", "vpc-2"]}})),
                further(json!({"StringNotEquals": {"aws:SourceVpc": ["vpc-2", "vpc-3"]}})),
            ],
            false,
        ),
        (
            vec![
                further(json!({"StringNotEquals": {"aws:PrincipalAccount": OWN}})),
                part(json!({"Principal": {"AWS": OWN}})),
            ],
            true,
        ),
        (
            vec![
                further(json!({"NumericLessThan": {"s3:max-keys": 10}})),
                further(json!({"NumericGreaterThanEquals": {"s3:max-keys": 10}})),
                further(json!({"Null": {"s3:max-keys": true}})),
            ],
            true,
        ),
        (
            vec![
                further(json!({"NumericLessThan": {"s3:max-keys": 10}})),
                further(json!({"NumericGreaterThanIfExists": {"s3:max-keys": 10}})),
            ],
            false,
        ),
        (
            vec![
                part(json!({"Resource": null, "NotResource": format!("{bucket}/a*")})),
                part(json!({"Resource": null, "NotResource": format!("{bucket}/*b")})),
            ],
            false,
        ),
        (
            vec![
                part(json!({"Resource": null, "NotResource": format!("{bucket}/a*")})),
                part(json!({"Resource": format!("{bucket}/a*")})),
            ],
            true,
        ),
        // Objects that match both patterns escape the denial.
        (
            vec![
                part(json!({"Resource": null, "NotResource": format!("{bucket}/*aa*")})),
                part(json!({"Resource": null, "NotResource": format!("{bucket}/*bb*")})),
            ],
            false,
        ),
        (
            vec![
                part(json!({"Resource": null, "NotResource": format!("{bucket}/x*aa*c")})),
                part(json!({"Resource": null, "NotResource": format!("{bucket}/*bb*")})),
                part(json!({"Resource": null, "NotResource": "*/*cc*"})),
            ],
            false,
        ),
        (
            vec![
                part(json!({"Resource": null, "NotResource": format!("{bucket}/*aa*")})),
                part(json!({"Resource": format!("{bucket}/*a*")})),
            ],
            true,
        ),
    ] {
        refuses(&json!(statements), expected);
    }
    refuses(&json!([]), false);
}

#[track_caller]
fn lets_in(statements: &Value, expected: &[&str]) {
    let found = policy(statements).strangers_to_bucket(BUCKET, &place()).unwrap();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{statements}");
}

fn allow(changed: &Value) -> Value {
    let mut statement = tls(&json!({"Effect": "Allow", "Condition": null}));
    for (element, value) in changed.as_object().unwrap() {
        match value {
            Value::Null => drop(statement.as_object_mut().unwrap().remove(element)),
            value => statement[element] = value.clone(),
        }
    }
    statement
}

#[test]
fn principals_that_are_strangers() {
    for (principal, expected) in [
        (json!("*"), vec!["*"]),
        (json!({"AWS": "*"}), vec!["*"]),
        (json!({"AWS": OWN}), vec![]),
        (json!({"AWS": "arn:aws:iam::111122223333:root"}), vec![]),
        (json!({"AWS": "arn:aws:iam::111122223333:role/path/api"}), vec![]),
        (json!({"AWS": "arn:aws:sts::111122223333:assumed-role/api/session"}), vec![]),
        (json!({"AWS": "AROAJ45Q7YFFAREXAMPLE"}), vec![]),
        (json!({"AWS": "444455556666"}), vec!["444455556666"]),
        (json!({"AWS": ["arn:aws:iam::444455556666:root", OWN]}), vec!["444455556666"]),
        (json!({"AWS": "arn:aws:iam::444455556666:user/x"}), vec!["444455556666"]),
        (json!({"AWS": "arn:aws-cn:iam::444455556666:role/a/b"}), vec!["444455556666"]),
        (json!({"AWS": "arn:aws:sts::444455556666:assumed-role/r/s"}), vec!["444455556666"]),
        (
            json!({"AWS": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1"}),
            vec!["cloudfront"],
        ),
        (json!({"AWS": ["444455556666", "*"]}), vec!["*", "444455556666"]),
        (json!({"Service": "logging.s3.amazonaws.com"}), vec!["logging.s3.amazonaws.com"]),
        (json!({"Federated": "accounts.google.com"}), vec!["accounts.google.com"]),
        (json!({"Federated": "arn:aws:iam::111122223333:saml-provider/p"}), vec![]),
        (
            json!({"Federated": "arn:aws:iam::444455556666:saml-provider/p"}),
            vec!["arn:aws:iam::444455556666:saml-provider/p"],
        ),
        (json!({"CanonicalUser": "0wner"}), vec![]),
        (json!({"CanonicalUser": "0ther"}), vec!["0ther"]),
    ] {
        lets_in(&json!([allow(&json!({"Principal": principal}))]), &expected);
    }
    lets_in(&json!([allow(&json!({"Principal": null, "NotPrincipal": {"AWS": OWN}}))]), &["*"]);
    let trusted = ["444455556666".to_owned()];
    let place = Place { trusted: &trusted, ..place() };
    let both = allow(&json!({"Principal": {"AWS": ["444455556666", "777788889999"]}}));
    let found = policy(&both).strangers_to_bucket(BUCKET, &place).unwrap();
    assert_eq!(found, std::collections::BTreeSet::from([Who::Account("777788889999".into())]));
}

#[test]
fn conditions_that_bind_a_request_or_leave_it_open() {
    let everybody = |condition: Value, expected: &[&str]| {
        lets_in(&json!([allow(&json!({"Principal": "*", "Condition": condition}))]), expected);
    };
    for condition in [
        json!({"StringEquals": {"aws:PrincipalAccount": OWN}}),
        json!({"StringEquals": {"AWS:principalaccount": [OWN]}}),
        json!({"StringEquals": {"aws:SourceAccount": OWN}}),
        json!({"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3"}}),
        json!({"ForAnyValue:StringEquals": {"aws:PrincipalOrgPaths": "o-a1b2c3/r-ab12/ou-1/"}}),
        json!({"StringEquals": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}}),
        json!({"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}}),
        json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*"}}),
        json!({"ArnEquals": {"aws:SourceArn": "arn:aws:sns:*:111122223333:*"}}),
        json!({"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::our-bucket"}}),
        json!({"StringEquals": {"aws:SourceVpc": "vpc-1"}}),
        json!({"StringEquals": {"aws:SourceVpce": ["vpce-1", "vpce-2"]}}),
        json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
        json!({"StringEquals": {"s3:DataAccessPointAccount": OWN}}),
        json!({"StringEquals": {"aws:userid": "AROAEXAMPLEID:session"}}),
        json!({"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"aws:PrincipalOrgID": "o-a"}}),
        json!({"DateLessThan": {"aws:CurrentTime": "2026-11-26T11:59:59Z"}}),
        json!({"Null": {"aws:SecureTransport": "true"}}),
        json!({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-a1b2c3d4e5/r-ab12/ou-x/*"}}),
        json!({"ArnLike": {"s3:DataAccessPointArn": "arn:aws:s3:us-east-1:111122223333:accesspoint/*"}}),
        json!({"ArnLike": {"aws:SourceVpcArn": "arn:aws:ec2:us-east-1:111122223333:vpc/*"}}),
    ] {
        everybody(condition, &[]);
    }
    for condition in [
        json!({"StringNotEquals": {"aws:PrincipalAccount": OWN}}),
        json!({"StringEqualsIfExists": {"aws:PrincipalAccount": OWN}}),
        json!({"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}),
        json!({"StringLike": {"aws:PrincipalOrgID": "o-*"}}),
        json!({"StringLike": {"aws:SourceVpc": "vpc-*"}}),
        json!({"StringLike": {"aws:userid": "AROAEXAMPLEID:*"}}),
        json!({"ForAllValues:StringEquals": {"aws:PrincipalOrgPaths": "o-a1b2c3/*"}}),
        json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/x"}}),
        json!({"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}),
        json!({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}),
        json!({"ArnLike": {"aws:SourceArn": "arn:aws:sns:us-east-1:*:topic"}}),
        json!({"StringLike": {"aws:PrincipalAccount": "*"}}),
        json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}),
        json!({"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/1"]}}),
        json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        json!({"Bool": {"aws:SecureTransport": "true"}}),
        json!({"StringEquals": {"s3:x-amz-acl": "public-read"}}),
        json!({"StringEquals": {"aws:PrincipalTag/team": "data"}}),
        json!({"StringLike": {"aws:Referer": "https://example.com/*"}}),
        json!({"Null": {"aws:PrincipalAccount": "false"}}),
        json!({"DateGreaterThan": {"aws:CurrentTime": "2026-11-26T11:59:59Z"}}),
        // Private addresses exist in every VPC, and every request has the resource's organization.
        json!({"IpAddress": {"aws:VpcSourceIp": "10.0.1.0/24"}}),
        json!({"StringEquals": {"aws:ResourceOrgID": "o-abcdefghij"}}),
        json!({"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}}),
        json!({"StringLike": {"s3:prefix": "home/${aws:PrincipalAccount}"}}),
        json!({"StringLike": {"aws:PrincipalArn": "*:role/deploy-*"}}),
        json!({"StringLike": {"aws:PrincipalArn": "*/deploy"}}),
    ] {
        everybody(condition, &["*"]);
    }
    // A statement that names a requester deliberately accepts that requester's other attributes.
    let named = json!({"AWS": "arn:aws:iam::444455556666:role/r"});
    for condition in [
        json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
        json!({"StringEquals": {"aws:SourceVpce": "vpce-1"}}),
        json!({"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3"}}),
    ] {
        lets_in(&json!([allow(&json!({"Principal": named, "Condition": condition}))]), &["444455556666"]);
    }
    let of_id = |account: &str, expected: &[&str]| {
        let condition = json!({"StringEquals": {"aws:PrincipalAccount": account}});
        let principal = json!({"CanonicalUser": "0ther"});
        lets_in(&json!([allow(&json!({"Principal": principal, "Condition": condition}))]), expected);
    };
    of_id(OWN, &[]);
    of_id("444455556666", &["0ther"]);
    let but = |condition: Value| {
        let refusal = json!({"Effect": "Deny", "Principal": "*", "Condition": condition});
        json!([allow(&json!({"Principal": named})), allow(&refusal)])
    };
    lets_in(&but(json!({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}})), &["444455556666"]);
    let organization = json!({"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3"}});
    let closed = [
        allow(&json!({"Principal": "*", "Condition": organization})),
        allow(&json!({"Effect": "Deny", "Principal": {"AWS": "444455556666"}, "Action": "s3:DeleteObject"})),
    ];
    lets_in(&json!(closed), &[]);
    everybody(json!({"StringEquals": {"aws:PrincipalAccount": [OWN, "444455556666"]}}), &["444455556666"]);
    // A pattern of account IDs names foreign accounts even if it also matches the own account.
    for (condition, pattern) in [
        (json!({"StringLike": {"aws:PrincipalAccount": "4444*"}}), "4444*"),
        (json!({"StringLike": {"aws:PrincipalAccount": "11112222333?"}}), "11112222333?"),
        (json!({"StringLike": {"aws:PrincipalAccount": [OWN, "*6666"]}}), "*6666"),
        (json!({"StringLike": {"aws:SourceAccount": "4444*"}}), "4444*"),
        (json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::4444????6666:role/*"}}), "4444????6666"),
    ] {
        everybody(condition, &[pattern]);
    }
    everybody(
        json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::444455556666:role/x-*"}}),
        &["444455556666"],
    );
    let service = |condition: Value, expected: &[&str]| {
        let principal = json!({"Service": "cloudtrail.amazonaws.com"});
        lets_in(&json!([allow(&json!({"Principal": principal, "Condition": condition}))]), expected);
    };
    let name = "cloudtrail.amazonaws.com";
    service(json!({"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}), &[name]);
    service(json!({"StringEquals": {"aws:SourceAccount": OWN}}), &[]);
    service(json!({"StringEqualsIfExists": {"aws:SourceAccount": OWN}}), &[name]);
    service(json!({"StringEquals": {"aws:SourceAccount": [OWN, "444455556666"]}}), &["444455556666"]);
    service(
        json!({"StringEquals": {"aws:SourceArn": "arn:aws:cloudtrail:us-east-1:111122223333:trail/t"}}),
        &[],
    );
    service(json!({"ArnLike": {"aws:SourceArn": "arn:aws:cloudtrail:*:*:trail/*"}}), &[name]);
    service(json!({"StringEquals": {"aws:SourceOrgID": "o-a1b2c3"}}), &[]);
}

#[test]
fn what_a_statement_takes_away_or_does_not_give() {
    let everybody = allow(&json!({}));
    let deny = |changed: Value| {
        let mut deny = allow(&changed);
        deny["Effect"] = json!("Deny");
        deny
    };
    let outside = json!({"StringNotEquals": {"aws:PrincipalAccount": OWN}});
    for (statements, expected) in [
        (vec![everybody.clone(), deny(json!({}))], vec![]),
        (vec![everybody.clone(), deny(json!({"Condition": outside}))], vec![]),
        (vec![everybody.clone(), deny(json!({"Principal": null, "NotPrincipal": {"AWS": OWN}}))], vec![]),
        (vec![everybody.clone(), deny(json!({"Principal": {"AWS": "444455556666"}}))], vec!["*"]),
        (vec![everybody.clone(), deny(json!({"Action": "s3:Get*"}))], vec!["*"]),
        (vec![allow(&json!({"Action": "s3:GetObject"})), deny(json!({"Action": "S3:getO*"}))], vec![]),
        (
            vec![everybody.clone(), deny(json!({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}))],
            vec!["*"],
        ),
        (
            vec![
                allow(&json!({"Condition": {"StringEquals": {"s3:prefix": "abc"}}})),
                deny(json!({"Condition": {"StringLike": {"s3:prefix": "a*"}}})),
            ],
            vec![],
        ),
        (
            vec![
                allow(&json!({"Principal": {"AWS": "444455556666"}})),
                deny(json!({"Principal": {"AWS": "arn:aws:iam::444455556666:role/r"}})),
            ],
            vec!["444455556666"],
        ),
        // An object action on a bucket, another bucket, another service.
        (
            vec![allow(&json!({"Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{BUCKET}")}))],
            vec![],
        ),
        (vec![allow(&json!({"Resource": "arn:aws:s3:::another/*"}))], vec![]),
        (vec![allow(&json!({"Action": "sqs:*"}))], vec![]),
        (vec![allow(&json!({"Action": null, "NotAction": "s3:GetObject"}))], vec!["*"]),
        (vec![allow(&json!({"Action": "s3:NotYetKnown"}))], vec!["*"]),
        (vec![allow(&json!({"Resource": format!("arn:aws:s3:::{BUCKET}/public/*")}))], vec!["*"]),
    ] {
        lets_in(&json!(statements), &expected);
    }
}

#[test]
fn whom_a_secrets_policy_lets_in() {
    let read = |principal: Value| json!({"Effect": "Allow", "Principal": principal, "Action": "secretsmanager:GetSecretValue", "Resource": "*"});
    let found = |statement: &Value| {
        let found = policy(statement).strangers_to_secret(SECRET, &place()).unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found(&read(json!("*"))), ["*"]);
    assert_eq!(found(&read(json!({"AWS": "210987654321"}))), ["210987654321"]);
    assert!(found(&read(json!({"AWS": OWN}))).is_empty());
    for (resource, expected) in [
        ("arn:aws:secretsmanager:*:111122223333:secret:jwt-??????", 1),
        ("arn:aws:secretsmanager:us-east-1:111122223333:secret:JWT-*", 0),
    ] {
        let mut statement = read(json!("*"));
        statement["Resource"] = json!(resource);
        assert_eq!(found(&statement).len(), expected, "{resource}");
    }
}

#[test]
fn what_is_no_policy_is_neither_open_nor_closed() {
    let good = || tls(&json!({}));
    let with = |element: &str, value: Value| tls(&json!({element: value}));
    let document = |statement: Value| json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    for text in [
        "{".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        json!({"Statement": "x"}).to_string(),
        json!({"Statement": ["x"]}).to_string(),
        json!({"Version": "2020-01-01", "Statement": good()}).to_string(),
        json!({"Version": 2012, "Statement": good()}).to_string(),
        json!({"Statement": good(), "Statements": []}).to_string(),
        document(with("Effect", json!("deny"))),
        document(with("Effect", json!(null))),
        document(with("Principal", json!(null))),
        document(with("Principal", json!("arn:aws:iam::111122223333:root"))),
        document(with("Principal", json!({}))),
        document(with("Principal", json!({"AWS": []}))),
        document(with("Principal", json!({"AWS": "arn:aws:iam::111122223333:role/*"}))),
        document(with("Principal", json!({"AWS": "somebody"}))),
        document(with("Principal", json!({"Service": "*"}))),
        document(with("Principal", json!({"User": "x"}))),
        document(with("NotPrincipal", json!("*"))),
        document(with("Action", json!(null))),
        document(with("Action", json!([]))),
        document(with("Action", json!("GetObject"))),
        document(with("Action", json!(7))),
        document(with("NotAction", json!("s3:*"))),
        document(with("Resource", json!(null))),
        document(with("Resource", json!([""]))),
        document(with("Effekt", json!("Deny"))),
        document(with("Condition", json!("x"))),
        document(with("Condition", json!({"Bool": "x"}))),
        document(with("Condition", json!({"Bool": {"aws:SecureTransport": []}}))),
        document(with("Condition", json!({"Bool": {"aws:SecureTransport": "no"}}))),
        document(with("Condition", json!({"Bool": {"aws:SecureTransport": {}}}))),
        document(with("Condition", json!({"Bools": {"aws:SecureTransport": "false"}}))),
        document(with("Condition", json!({"NullIfExists": {"aws:SecureTransport": "false"}}))),
        document(with("Condition", json!({"ForSome:Bool": {"aws:SecureTransport": "false"}}))),
        document(with("Condition", json!({"NumericBelow": {"s3:TlsVersion": "1.2"}}))),
        document(with("Condition", json!({"NumericLessThan": {"s3:TlsVersion": "TLS"}}))),
        document(with("Condition", json!({"DateLessThan": {"aws:CurrentTime": "soon"}}))),
        document(with("Condition", json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/40"}}))),
    ] {
        let refused = text.parse::<Policy>().err();
        assert!(refused.is_some(), "{text}");
        assert!(refused.unwrap().to_string().starts_with("cannot interpret the policy: "));
    }
}

#[test]
fn variables_are_of_the_newer_version_only() {
    let itself = json!({"Condition": {"StringEquals": {"aws:SecureTransport": "${aws:securetransport}"}}});
    for (version, expected) in [("2012-10-17", true), ("2008-10-17", false)] {
        let document = json!({"Version": version, "Statement": tls(&itself)}).to_string();
        let found = document.parse::<Policy>().unwrap().in_clear(BUCKET, &place()).unwrap();
        assert_eq!(found.is_none(), expected, "{version}");
    }
    let unversioned = json!({"Statement": tls(&itself)}).to_string().parse::<Policy>().unwrap();
    assert!(unversioned.in_clear(BUCKET, &place()).unwrap().is_some());
    // A literal star in a key name, and a default for a missing key.
    let star =
        json!({"Resource": [format!("arn:aws:s3:::{BUCKET}"), format!("arn:aws:s3:::{BUCKET}/${{*}}")]});
    refuses(&tls(&star), false);
    let missing =
        json!({"Condition": {"StringEquals": {"aws:SecureTransport": "${s3:TlsVersion, 'false'}"}}});
    refuses(&tls(&missing), true);
}

#[test]
fn a_policy_that_is_too_large_to_look_at_is_not_understood() {
    let keys: serde_json::Map<_, _> =
        (0..30).map(|n| (format!("aws:PrincipalTag/{n}"), json!("x"))).collect();
    let deny =
        tls(&json!({"Condition": {"StringNotEquals": keys, "Bool": {"aws:SecureTransport": "false"}}}));
    let allow = tls(&json!({"Condition": {"StringEquals": {"aws:PrincipalTag/a": "x"}}}));
    let found = policy(&json!([deny, allow])).in_clear(BUCKET, &place()).unwrap();
    assert!(found.is_some(), "the first that passes ends the search");
    let all: Vec<Value> = (0..20)
        .map(|n| {
            let key = format!("aws:PrincipalTag/{n}");
            tls(&json!({"Condition": {"StringEquals": {key: "x"}, "Bool": {"aws:SecureTransport": "false"}}}))
        })
        .chain(["StringEquals", "StringNotEquals"].map(|operator| {
            let condition =
                json!({operator: {"aws:SourceVpc": "vpc-1"}, "Bool": {"aws:SecureTransport": "false"}});
            tls(&json!({"Condition": condition}))
        }))
        .collect();
    let too_many = policy(&json!(all)).in_clear(BUCKET, &place());
    assert!(too_many.unwrap_err().to_string().contains("too many"));
}

#[test]
fn many_patterns_of_objects_hide_no_access_of_everyone() {
    let object = |key: String| format!("arn:aws:s3:::{BUCKET}/{key}");
    let open = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": object("*".to_owned())});
    let named = json!({"Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": "s3:GetObject", "Resource": object("x".to_owned())});
    let deny = |resources: &[String]| json!({"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "NotResource": resources});
    let middles: Vec<String> = (0..9).map(|n| object(format!("*a{n}*"))).collect();
    let ends: Vec<String> = (0..450).map(|n| object(format!("{n:x}*{n:x}"))).collect();
    let crossed: Vec<String> = (0..8).map(|n| object(format!("*b{n}*c{n}"))).chain(ends).collect();
    for resources in [middles, crossed] {
        let strangers = |statement: &Value| {
            policy(&json!([statement, deny(&resources)])).strangers_to_bucket(BUCKET, &place())
        };
        assert!(strangers(&open).unwrap().contains(&Who::Everyone));
        // Other strangers cannot be determined for certain.
        assert!(strangers(&named).unwrap_err().to_string().contains("too many"));
        let in_clear = policy(&json!([deny(&resources)])).in_clear(BUCKET, &place()).unwrap();
        assert!(in_clear.is_some());
    }
}

#[test]
fn a_pattern_of_accounts_is_not_closed_by_a_pattern_of_some_of_them() {
    let statement = |effect: &str, pattern: &str| {
        json!({"Effect": effect, "Principal": "*", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{BUCKET}/*"),
            "Condition": {"StringLike": {"aws:PrincipalAccount": pattern}}})
    };
    for (denied, expected) in [("49*", vec!["4*"]), ("4*", vec![])] {
        let found = policy(&json!([statement("Allow", "4*"), statement("Deny", denied)]));
        let found = found.strangers_to_bucket(BUCKET, &place()).unwrap();
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{denied}");
    }
}
