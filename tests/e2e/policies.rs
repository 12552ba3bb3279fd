//! The evaluator of policies (`shared::access`) compared with ministack's, on random policies and requests.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use shared::access::{Decision, Policy};

/// Number of policies, each with one request.
const POLICIES: usize = 20_000;

const ACCOUNT: &str = "111122223333";

/// Known differences with their reasons, by a word in the policy. Any other difference is a bug.
const DIFFERENCES: [(&str, &str); 3] = [
    (
        "NotPrincipal",
        "ministack takes no statement with NotPrincipal for one that is about the requester (its own comment: unsupported)",
    ),
    (
        "Arn",
        "ministack holds the whole ARN against the whole pattern; IAM each of the six parts by itself, so that no wildcard goes over a colon (\"Amazon Resource Name (ARN) condition operators\")",
    ),
    ("${", "ministack puts nothing in the place of a policy variable"),
];

fn condition() -> impl Strategy<Value = (String, Map<String, Value>)> {
    let texts = select(vec![
        json!("false"),
        json!("true"),
        json!(["true", "False"]),
        json!("a*"),
        json!(["abc", "x"]),
        json!("A?C"),
        json!("${aws:PrincipalAccount}"),
        json!(ACCOUNT),
    ]);
    let arns = select(vec![
        json!("arn:aws:iam::111122223333:role/*"),
        json!("arn:aws:iam::*:user/x"),
        json!("arn:*:x"),
        json!(["arn:aws:iam::444455556666:user/y", "arn:aws:iam::111122223333:user/x"]),
    ]);
    let key = select(vec![
        "aws:SecureTransport",
        "AWS:securetransport",
        "s3:prefix",
        "aws:PrincipalAccount",
        "s3:missing",
    ]);
    let text = select(vec![
        "StringEquals",
        "StringNotEquals",
        "StringLike",
        "StringNotLike",
        "StringEqualsIgnoreCase",
        "StringNotEqualsIgnoreCase",
        "StringEqualsIfExists",
        "StringNotLikeIfExists",
        "ForAnyValue:StringLike",
        "ForAllValues:StringEquals",
        "ForAnyValue:StringNotEquals",
        "ForAllValues:StringNotEquals",
    ]);
    let arn = select(vec!["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLikeIfExists"]);
    let boolean = select(vec!["Bool", "BoolIfExists", "Null"]);
    let number = select(vec![
        "NumericLessThan",
        "NumericEquals",
        "NumericNotEquals",
        "NumericGreaterThanEquals",
        "NumericLessThanEqualsIfExists",
        "NumericGreaterThan",
    ]);
    let date = select(vec!["DateLessThan", "DateGreaterThanEquals", "DateNotEquals", "DateEquals"]);
    let address = select(vec!["IpAddress", "NotIpAddress", "IpAddressIfExists"]);
    let of = |operator: &str, key: &str, value: Value| {
        (operator.to_owned(), Map::from_iter([(key.to_owned(), value)]))
    };
    prop_oneof![
        (text, key.clone(), texts).prop_map(move |(operator, key, value)| of(operator, key, value)),
        (arn, arns).prop_map(move |(operator, value)| of(operator, "aws:PrincipalArn", value)),
        (boolean, key, select(vec![json!("true"), json!(false)]))
            .prop_map(move |(operator, key, value)| of(operator, key, value)),
        (number, select(vec![json!("10"), json!(9.5), json!(["1", 10])]))
            .prop_map(move |(operator, value)| of(operator, "s3:max-keys", value)),
        (date, select(vec![json!("2026-01-01T00:00:00Z"), json!("2026-06-01T00:00:00Z")]))
            .prop_map(move |(operator, value)| of(operator, "s3:object-lock-retain-until-date", value)),
        (
            address,
            select(vec![json!("10.0.0.0/8"), json!(["203.0.113.7", "10.1.0.0/16"]), json!("2001:db8::/32")])
        )
            .prop_map(move |(operator, value)| of(operator, "aws:SourceIp", value)),
    ]
}

fn statement() -> impl Strategy<Value = Value> {
    let principals = select(vec![
        json!("*"),
        json!({"AWS": "*"}),
        json!({"AWS": ACCOUNT}),
        json!({"AWS": ["arn:aws:iam::444455556666:root", "arn:aws:iam::111122223333:user/x"]}),
        json!({"AWS": "arn:aws:iam::111122223333:role/r"}),
        json!({"AWS": "arn:aws:sts::111122223333:assumed-role/r/s"}),
    ]);
    let actions =
        subsequence(vec!["s3:*", "S3:getobject", "s3:Get*", "s3:P?tObject", "*", "s3:ListBucket"], 1..3);
    let resources = subsequence(
        vec![
            "*",
            "arn:aws:s3:::files",
            "arn:aws:s3:::files/*",
            "arn:aws:s3:::fil??/a*",
            "arn:aws:s3:::FILES/*",
        ],
        1..3,
    );
    let name = |name: &'static str, contrary: &'static str| select(vec![name, name, name, contrary]);
    let names =
        (name("Principal", "NotPrincipal"), name("Action", "NotAction"), name("Resource", "NotResource"));
    let conditions = prop::collection::vec(condition(), 0..3);
    (select(vec!["Allow", "Deny"]), names, principals, actions, resources, conditions).prop_map(
        |(effect, (principal, action, resource), principals, actions, resources, conditions)| {
            json!({"Effect": effect, principal: principals, action: actions, resource: resources,
                "Condition": Map::from_iter(conditions.into_iter().map(|(name, keys)| (name, keys.into())))})
        },
    )
}

fn case() -> impl Strategy<Value = Value> {
    let arn = select(vec![
        "arn:aws:iam::111122223333:user/x",
        "arn:aws:iam::444455556666:user/y",
        "arn:aws:sts::111122223333:assumed-role/r/s",
    ]);
    let action = select(vec!["s3:GetObject", "s3:PutObject", "s3:ListBucket"]);
    let resource = select(vec!["arn:aws:s3:::files", "arn:aws:s3:::files/a.txt", "arn:aws:s3:::files/b/c"]);
    let optional = subsequence(
        vec![
            ("s3:prefix", "abc"),
            ("s3:max-keys", "10"),
            ("s3:object-lock-retain-until-date", "2026-01-01T00:00:00Z"),
        ],
        0..=3,
    );
    let sources = select(vec!["10.1.2.3", "203.0.113.7", "2001:db8::1"]);
    let statements = prop::collection::vec(statement(), 1..4);
    (statements, arn, action, resource, optional, sources, any::<bool>(), any::<Index>()).prop_map(
        |(statements, arn, action, resource, optional, source, secure, at)| {
            let mut keys =
                Map::from_iter(optional.into_iter().map(|(key, value)| (key.to_owned(), json!(value))));
            let account = arn.split(':').nth(4).unwrap();
            for (key, value) in [
                ("aws:SourceIp", source),
                ("aws:SecureTransport", if secure { "true" } else { "false" }),
                ("aws:PrincipalArn", arn),
                ("aws:PrincipalAccount", account),
            ] {
                keys.insert(key.to_owned(), json!(value));
            }
            let statement = if statements.len() == 1 && at.index(2) == 0 {
                statements[0].clone()
            } else {
                json!(statements)
            };
            let policy = json!({"Version": "2012-10-17", "Statement": statement});
            json!({"policy": policy, "arn": arn, "action": action, "resource": resource, "keys": keys})
        },
    )
}

fn ours(case: &Value) -> Decision {
    let text = |field: &str| case[field].as_str().unwrap();
    let keys: Vec<_> = case["keys"].as_object().unwrap().iter().collect();
    let keys: Vec<_> = keys.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap())).collect();
    let policy: Policy = case["policy"].to_string().parse().unwrap();
    policy.decide(text("arn"), text("action"), text("resource"), &keys)
}

#[test]
fn another_evaluator_decides_alike_but_where_it_is_known_to_differ() {
    let mut runner = TestRunner::deterministic();
    let cases: Vec<_> = (0..POLICIES).map(|_| case().new_tree(&mut runner).unwrap().current()).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("readers/policy_evaluator.py");
    let mut other = Command::new("python")
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = other.stdin.take().unwrap();
    let asked = cases.iter().map(|case| format!("{case}\n")).collect::<String>();
    let asking = std::thread::spawn(move || lines.write_all(asked.as_bytes()).unwrap());
    let output = other.wait_with_output().unwrap();
    asking.join().unwrap();
    let theirs: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    assert_eq!(theirs.len(), cases.len());
    let (mut seen, mut known) = (BTreeSet::new(), BTreeSet::<&(&str, &str)>::new());
    for (case, theirs) in cases.iter().zip(theirs) {
        let ours = format!("{:?}", ours(case));
        seen.insert(ours.clone());
        if ours != theirs {
            let policy = case["policy"].to_string();
            let why = DIFFERENCES.iter().find(|(word, _)| policy.contains(word));
            assert!(why.is_some(), "{ours}, and ministack {theirs}: {case}");
            known.extend(why);
        }
    }
    assert!(["Allow", "Deny", "Nothing"].iter().all(|decision| seen.contains(*decision)), "{seen:?}");
    assert_eq!(known.len(), DIFFERENCES.len(), "a difference is no more: {known:?}");
}
