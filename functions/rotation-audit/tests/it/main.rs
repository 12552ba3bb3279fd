//! The function against the wire protocols of AWS: real SDK, real signing, recorded answers. The board and the channel
//! are tested on the local cloud.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use aws_smithy_http_client::test_util::StaticReplayClient;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use rotation_audit::{App, AuditError, Report, handle};
use serde_json::{Value, json};
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;
use shared::testing::{aws, replies, variables};

const EVENT: &str = include_str!("../../../../events/rotation-audit/daily.json");
/// A Tuesday.
const NOW: &str = "2026-03-03T12:00:00Z";
const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3";

const NO_OBJECT: &str = "<ListBucketResult></ListBucketResult>";
const NO_VERSION: &str = "<ListVersionsResult></ListVersionsResult>";
/// Answers about a run that is neither noted nor recorded, in a chain that never began.
const LOOK: [&str; 3] = [NO_OBJECT, NO_VERSION, NO_OBJECT];
/// No last record; then the beginning of a chain that never began.
const NEVER: [&str; 5] = [NO_VERSION, NO_OBJECT, NO_OBJECT, NO_VERSION, NO_OBJECT];
/// No last record; then the beginning of a chain that is older than a week.
const LONG_AGO: [&str; 4] = [
    NO_VERSION,
    NO_OBJECT,
    "<ListBucketResult><Contents><Key>runs/rotation-audit/begun.json</Key></Contents></ListBucketResult>",
    r#"{"run_id": "x", "channel": "sent", "started": {"utc": "2026-02-24T12:00:00Z"}}"#,
];
/// The run's note, its record, and the note that the chain has begun.
const STORED: [&str; 3] = [""; 3];
const NO_POLICY: &str = r#"{"ARN": "arn", "Name": "/moveongs/dev/jwt"}"#;
/// Created ten days before `NOW`.
const VERSIONS: &str =
    r#"{"Versions": [{"VersionId": "v1", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1771675200}]}"#;
/// Created on 2025-11-01.
const OLD_VERSIONS: &str =
    r#"{"Versions": [{"VersionId": "v1", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1761998400}]}"#;

/// A page of the list: with a token, another environment's secret; on the last page, this environment's.
fn listed(token: Option<&str>) -> String {
    let other = json!({"Name": "other", "ARN": "arn:other", "Tags": [{"Key": "Project", "Value": "moveongs"},
        {"Key": "Environment", "Value": "prod"}]});
    let jwt = json!({"Name": "/moveongs/dev/jwt", "ARN": ARN, "RotationEnabled": true, "LastRotatedDate": 1771675200,
        "LastAccessedDate": 1772409600, "NextRotationDate": 1779451200,
        "RotationLambdaARN": "arn:aws:lambda:us-east-1:123456789012:function:moveongs-dev-rotate-random",
        "SecretVersionsToStages": {"v1": ["AWSCURRENT"]}});
    match token {
        Some(token) => json!({"SecretList": [other], "NextToken": token}).to_string(),
        None => json!({"SecretList": [jwt]}).to_string(),
    }
}

fn app_with(wire: &StaticReplayClient, more: &[(&str, &str)]) -> Result<App, EnvError> {
    let own = [
        ("JWT_SECRET_NAME", "/moveongs/dev/jwt"),
        ("ENVIRONMENT", "dev"),
        ("PAGING_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:moveongs-dev-paging"),
        ("WEBHOOK_SECRET_NAME", ""),
        ("DATABASE_SECRET_NAME", ""),
        ("SES_SECRET_NAME", ""),
        ("TWILIO_SECRET_NAME", ""),
        ("SEED_ADMIN_SECRET_NAME", ""),
        ("GITHUB_REPOSITORY", ""),
        ("GITHUB_SECRET_NAME", ""),
    ];
    let variables = variables(&[more, &own].concat());
    let policy = more.iter().find(|(given, _)| *given == "the policy").map_or("", |(_, policy)| policy);
    App::new(&Env::new(&variables).with_policy(policy.parse().unwrap()), &aws(wire))
}

async fn audit(wire: &StaticReplayClient, now: &str) -> Result<Report, AuditError> {
    let app = app_with(wire, &[]).unwrap_or_else(|error| panic!("{error}"));
    let event = serde_json::from_str(EVENT).unwrap();
    handle(&app, event, &Invocation::new(now.parse().unwrap(), Duration::from_secs(240))).await
}

/// Operation of a request: that of a JSON service, the action of a form, else method and path.
fn operation(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().unwrap().to_owned();
    }
    let body = request.body().bytes().unwrap_or_default();
    if let Some(form) = std::str::from_utf8(body).ok().and_then(|body| body.strip_prefix("Action=")) {
        return form.split('&').next().unwrap().to_owned();
    }
    let path = request.uri().split(".com").nth(1).unwrap_or_default();
    format!("{} {}", request.method(), path.split(['?', '&']).next().unwrap_or_default())
}

fn operations(wire: &StaticReplayClient) -> Vec<String> {
    wire.actual_requests().map(operation).collect()
}

fn body(wire: &StaticReplayClient, place: usize) -> Value {
    serde_json::from_slice(wire.actual_requests().nth(place).unwrap().body().bytes().unwrap()).unwrap()
}

#[tokio::test]
async fn a_quiet_day_reads_no_value_sends_no_message_and_leaves_a_record() {
    let pages = [listed(Some("more")), listed(None)];
    let seen = [&pages[0], &pages[1], VERSIONS, NO_POLICY];
    let wire = replies(&[&seen[..], &NEVER, &LOOK, &STORED].concat());
    let report = audit(&wire, NOW).await.unwrap();
    assert_eq!((report.run_id.as_str(), report.result), ("2026-03-03", "succeeded"));
    let [row] = report.secrets.as_slice() else { panic!("{:?}", report.secrets) };
    assert_eq!(
        (row.name.as_str(), row.age_days, row.max_age_days),
        ("/moveongs/dev/jwt", Some(10), Some(90))
    );
    assert!(row.findings.is_empty(), "{:?}", row.findings);

    let operations = operations(&wire);
    assert_eq!(operations[..4], ["ListSecrets", "ListSecrets", "ListSecretVersionIds", "GetResourcePolicy"]);
    assert!(operations[4..12].iter().all(|each| each.starts_with("GET ")), "{operations:?}");
    assert_eq!(operations.len(), 15, "{operations:?}");
    assert_eq!(body(&wire, 1)["NextToken"], "more");
    assert_eq!(body(&wire, 2), json!({"SecretId": ARN, "IncludeDeprecated": true}));
    let record = body(&wire, 13);
    assert_eq!((&record["run_id"], &record["channel"]), (&json!("2026-03-03"), &json!("nothing to tell")));
    assert_eq!((&record["result"], &record["findings"]), (&json!("succeeded"), &json!([])));
}

#[tokio::test]
async fn on_mondays_the_channel_gets_a_message_even_if_nothing_is_wrong() {
    let page = listed(None);
    let token = r#"{"SecretString": "xoxb-1"}"#;
    let seen = [&page, VERSIONS, NO_POLICY];
    // Not in the first week, which reports only findings.
    let monday = "2026-03-09T12:00:00Z";
    for (began, is_reported) in [(&NEVER[..], false), (&LONG_AGO, true)] {
        let token = is_reported.then_some(token);
        let wire = replies(&[&seen[..], began, &LOOK, token.as_slice(), &STORED].concat());
        audit(&wire, monday).await.unwrap();
        assert_eq!(operations(&wire).contains(&"GetSecretValue".to_owned()), is_reported);
        if is_reported {
            assert_eq!(body(&wire, 10), json!({"SecretId": "x"}));
        }
    }
    // At half past midnight in UTC it is still Sunday in São Paulo.
    let wire = replies(&[&seen[..], &LONG_AGO, &LOOK, &STORED].concat());
    let report = audit(&wire, "2026-03-09T00:30:00Z").await.unwrap();
    assert_eq!(report.run_id, "2026-03-08");
    assert_eq!(operations(&wire).len(), 13);
}

#[tokio::test]
async fn an_overdue_secret_is_paged_before_anything_is_written_and_then_noted() {
    let page = listed(None);
    let published =
        "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    let token = r#"{"SecretString": "xoxb-1"}"#;
    let seen = [&page, OLD_VERSIONS, NO_POLICY];
    let paged = [NO_OBJECT, published, ""];
    let wire = replies(&[&seen[..], &LONG_AGO, &paged, &LOOK, &[token], &STORED].concat());
    let report = audit(&wire, NOW).await.unwrap();
    assert_eq!(
        (report.result, report.paged.as_slice()),
        ("failed", ["rotation-audit/dev/Overdue".to_owned()].as_slice())
    );
    let operations = operations(&wire);
    assert_eq!(operations[8], "Publish");
    assert!(operations[9].starts_with("PUT "), "{operations:?}");
    let publish = wire.actual_requests().nth(8).unwrap();
    let form = String::from_utf8(publish.body().bytes().unwrap().to_vec()).unwrap();
    for part in ["TopicArn=arn%3Aaws%3Asns", "dedup_key", "rotation-audit%2Fdev%2FOverdue"] {
        assert!(form.contains(part), "{part} is not in {form}");
    }
    let note = wire.actual_requests().nth(9).unwrap();
    assert_eq!(note.headers().get("if-none-match"), Some("*"));
}

#[tokio::test]
async fn only_changes_since_the_last_record_are_reported() {
    let (page, key) = (listed(None), "evidence/rotation-audit/9999999998.json");
    let newest = format!("<ListVersionsResult><Version><Key>{key}</Key></Version></ListVersionsResult>");
    let before = |findings: &[&str]| {
        json!({"run_id": "2026-03-02", "channel": "sent", "findings": findings}).to_string()
    };
    let token = r#"{"SecretString": "xoxb-1"}"#;
    let published =
        "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    for (versions, known, is_reported) in [
        (VERSIONS, [].as_slice(), false),
        // The finding is resolved.
        (VERSIONS, &["Overdue /moveongs/dev/jwt: overdue since 2026-02-01"], true),
        // The same finding with another sentence.
        (OLD_VERSIONS, &["Overdue /moveongs/dev/jwt: overdue since 2026-02-01"], false),
        // A worse finding.
        (OLD_VERSIONS, &["DueSoon /moveongs/dev/jwt: due by 2026-03-02"], true),
    ] {
        let known = before(known);
        let mut answers = vec![page.as_str(), versions, NO_POLICY, &newest, &known, LONG_AGO[2], LONG_AGO[3]];
        if versions == OLD_VERSIONS {
            answers.extend([NO_OBJECT, published, ""]);
        }
        answers.extend([NO_OBJECT, &newest, &known]);
        if is_reported {
            answers.push(token);
        }
        answers.extend(STORED);
        let wire = replies(&answers);
        audit(&wire, NOW).await.unwrap();
        let operations = operations(&wire);
        assert_eq!(operations.len(), answers.len(), "{operations:?}");
        assert_eq!(operations.contains(&"GetSecretValue".to_owned()), is_reported, "{known}: {operations:?}");
        assert_eq!(body(&wire, answers.len() - 2)["sequence"], 2);
    }
}

#[tokio::test]
async fn in_the_first_week_a_public_secret_pages_and_an_old_one_waits() {
    let (page, token) = (listed(None), r#"{"SecretString": "xoxb-1"}"#);
    let published =
        "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    let wide = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]});
    let wide =
        json!({"ARN": ARN, "Name": "/moveongs/dev/jwt", "ResourcePolicy": wide.to_string()}).to_string();
    for (policy, paged) in [(NO_POLICY, None), (&wide, Some("rotation-audit/dev/WidePolicy/"))] {
        let mut answers = vec![page.as_str(), OLD_VERSIONS, policy];
        answers.extend(NEVER);
        answers.extend(paged.iter().flat_map(|_| [NO_OBJECT, published, ""]));
        answers.extend(LOOK);
        answers.push(token);
        answers.extend(STORED);
        let wire = replies(&answers);
        let report = audit(&wire, NOW).await.unwrap();
        assert_eq!(report.result, "failed");
        assert_eq!(report.paged.len(), usize::from(paged.is_some()));
        assert!(
            report.paged.iter().zip(paged).all(|(key, kind)| key.starts_with(kind)),
            "{:?}",
            report.paged
        );
        assert_eq!(operations(&wire).len(), answers.len());
        let record = body(&wire, answers.len() - 2);
        let held = "1 pages and 0 tasks held back until 2026-03-10T11:00:00Z";
        assert!(record["steps"].to_string().contains(held), "{record}");
        assert!(record["findings"].to_string().contains("Overdue /moveongs/dev/jwt"), "{record}");
    }
}

#[tokio::test]
async fn an_unread_last_record_makes_no_finding_new() {
    let (page, key) = (listed(None), "evidence/rotation-audit/9999999998.json");
    let newest = format!("<ListVersionsResult><Version><Key>{key}</Key></Version></ListVersionsResult>");
    let token = r#"{"SecretString": "xoxb-1"}"#;
    let published =
        "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    let known = r#"{"run_id": "2026-03-02", "channel": "sent", "findings": []}"#;
    // The first read of the last record fails; the later one succeeds.
    let mut answers = vec![page.as_str(), OLD_VERSIONS, NO_POLICY, &newest, "{", LONG_AGO[2], LONG_AGO[3]];
    answers.extend([NO_OBJECT, published, "", NO_OBJECT, &newest, known]);
    answers.push(token);
    answers.extend(STORED);
    let wire = replies(&answers);
    let app = app_with(&wire, &[("SLACK_API_URL", "http://127.0.0.1:1/api")]).ok().unwrap();
    let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(240));
    handle(&app, json!({}), &invocation).await.unwrap();
    assert_eq!(operations(&wire).len(), answers.len());
    assert!(operations(&wire).contains(&"GetSecretValue".to_owned()));
}

#[tokio::test]
async fn a_value_that_no_rotation_made_is_as_old_as_the_ledger_says() {
    // Created on 2026-02-21 without a rotation: the service last rotated the year before.
    let mut page: Value = serde_json::from_str(&listed(None)).unwrap();
    page["SecretList"][0]["LastRotatedDate"] = json!(1_740_000_000);
    let page = page.to_string();
    let ledger = "<ListBucketResult><Contents><Key>ledger/rotation.json</Key></Contents></ListBucketResult>";
    let row = |version: &str, value_made: &str| {
        json!([{"arn": ARN, "version": version, "ended": "2026-02-21T13:00:00Z", "outcome": "unproved", "services": [],
            "same_as": "v0", "value_made": value_made}])
        .to_string()
    };
    for (rows, age, findings) in [
        (row("v1", "2025-11-20T12:00:00Z"), 103, &["Overdue"][..]),
        // The row is about another version.
        (row("v7", "2025-11-20T12:00:00Z"), 10, &[]),
    ] {
        let mut answers = vec![page.as_str(), VERSIONS, NO_POLICY, ledger, &rows];
        answers.extend(NEVER);
        answers.extend(LOOK);
        if !findings.is_empty() {
            answers.push(r#"{"SecretString": "xoxb-1"}"#);
        }
        answers.extend(STORED);
        let wire = replies(&answers);
        let report = audit(&wire, NOW).await.unwrap();
        assert_eq!(operations(&wire).len(), answers.len());
        let row = &report.secrets[0];
        assert_eq!((row.age_days, row.findings.as_slice()), (Some(age), findings));
    }
}

#[tokio::test]
async fn an_unreadable_ledger_makes_the_age_unknown() {
    let mut page: Value = serde_json::from_str(&listed(None)).unwrap();
    page["SecretList"][0]["LastRotatedDate"] = json!(1_740_000_000);
    let page = page.to_string();
    let ledger = "<ListBucketResult><Contents><Key>ledger/rotation.json</Key></Contents></ListBucketResult>";
    let mut answers = vec![page.as_str(), VERSIONS, NO_POLICY, ledger, "{"];
    answers.extend(LONG_AGO);
    answers.extend(LOOK);
    answers.push(r#"{"SecretString": "xoxb-1"}"#);
    answers.extend(STORED);
    let report = audit(&replies(&answers), NOW).await.unwrap();
    assert_eq!((report.result, report.secrets[0].findings.as_slice()), ("failed", &["InsufficientData"][..]));
}

#[tokio::test]
async fn throttled_calls_are_retried() {
    let throttled = r#"{"__type": "ThrottlingException", "Message": "Rate exceeded"}"#;
    let page = listed(None);
    let mut answers = vec![throttled; 20];
    answers.extend([page.as_str(), throttled, throttled, throttled, VERSIONS, NO_POLICY]);
    answers.extend(LONG_AGO);
    answers.extend(LOOK);
    answers.extend(STORED);
    let wire = replies(&answers);
    tokio::time::pause();
    let report = audit(&wire, NOW).await.unwrap();
    assert_eq!(report.result, "succeeded");
    assert!(report.secrets[0].findings.is_empty(), "{:?}", report.secrets);
    assert_eq!(operations(&wire).len(), answers.len());
}

#[tokio::test]
async fn a_refused_list_fails_the_audit() {
    let denied = r#"{"__type": "AccessDeniedException", "Message": "no"}"#;
    let token = r#"{"SecretString": "xoxb-1"}"#;
    let wire = replies(&[denied, NO_OBJECT, NO_VERSION, NO_OBJECT, token, "", "", ""]);
    let error = audit(&wire, NOW).await.unwrap_err();
    assert!(
        matches!(&error, AuditError::SecretsManager(call) if call.operation == "secretsmanager:ListSecrets")
    );
    let record = body(&wire, 6);
    assert_eq!(
        (&record["run_id"], &record["result"]),
        (&json!("2026-03-03/SecretsManagerCall"), &json!("failed"))
    );
}

#[tokio::test]
async fn an_empty_answer_never_passes() {
    // A list without its field, and a resource policy without its secret.
    let token = r#"{"SecretString": "xoxb-1"}"#;
    let wire = replies(&["{}", NO_OBJECT, NO_VERSION, NO_OBJECT, token, "", "", ""]);
    let error = audit(&wire, NOW).await.unwrap_err();
    assert!(matches!(&error, AuditError::SecretsManager(call) if call.code == "EmptyAnswer"), "{error}");
    let page = listed(None);
    let mut answers = vec![page.as_str(), VERSIONS, "{}"];
    answers.extend(LONG_AGO);
    answers.extend(LOOK);
    answers.push(token);
    answers.extend(STORED);
    let report = audit(&replies(&answers), NOW).await.unwrap();
    assert_eq!((report.result, report.secrets[0].findings.as_slice()), ("failed", &["InsufficientData"][..]));
}

/// Audits a database secret that is 122 days old and has a login by IAM according to the policy; returns its row and
/// the record.
async fn audit_of_iam(instance: &str) -> (Value, Value) {
    let jwt: Value = serde_json::from_str(&listed(None)).unwrap();
    let mut database = jwt["SecretList"][0].clone();
    database["Name"] = json!("/moveongs/dev/db");
    database["RotationEnabled"] = json!(false);
    let page = json!({"SecretList": [database, jwt["SecretList"][0]]}).to_string();
    let answer = format!(
        "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance>{instance}</DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"
    );
    let published =
        "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    let is_accepted = instance.contains("true");
    let mut answers = vec![page.as_str(), OLD_VERSIONS, NO_POLICY, &answer, VERSIONS, NO_POLICY];
    answers.extend(LONG_AGO);
    if !is_accepted {
        answers.extend([NO_OBJECT, published, ""]);
    }
    answers.extend(LOOK);
    if !is_accepted {
        answers.push(r#"{"SecretString": "xoxb-1"}"#);
    }
    answers.extend(STORED);
    let wire = replies(&answers);
    let policy = r#"{"rotation": {"secrets": {"DATABASE_URL": {"iam_login": "moveongs-dev-db"}}}}"#;
    let settings = [("the policy", policy), ("DATABASE_SECRET_NAME", "/moveongs/dev/db")];
    let app = app_with(&wire, &settings).unwrap_or_else(|error| panic!("{error}"));
    let invocation = Invocation::new(NOW.parse().unwrap(), Duration::from_secs(240));
    let report = handle(&app, json!({}), &invocation).await.unwrap();
    let operations = operations(&wire);
    assert_eq!(operations.len(), answers.len(), "{operations:?}");
    // One call, for the instance of the only secret with a login by IAM.
    let asked = wire.actual_requests().nth(3).unwrap().body().bytes().unwrap();
    let asked = std::str::from_utf8(asked).unwrap();
    assert!(
        asked.starts_with("Action=DescribeDBInstances&")
            && asked.contains("DBInstanceIdentifier=moveongs-dev-db")
    );
    assert_eq!(operations.iter().filter(|each| *each == "DescribeDBInstances").count(), 1);
    let row = report.secrets.iter().find(|row| row.name == "/moveongs/dev/db").unwrap();
    (serde_json::to_value(row).unwrap(), body(&wire, answers.len() - 2))
}

#[tokio::test]
async fn a_login_by_iam_passes_only_if_rds_accepts_it() {
    let enabled =
        |is_on: &str| format!("<IAMDatabaseAuthenticationEnabled>{is_on}</IAMDatabaseAuthenticationEnabled>");
    let (row, record) = audit_of_iam(&enabled("true")).await;
    assert_eq!((&row["findings"], &row["iam_login"]), (&json!([]), &json!("moveongs-dev-db")));
    assert_eq!(record["result"], "succeeded");
    assert!(
        record["steps"].to_string().contains("membership in rds_iam is declared by the policy, not checked"),
        "{record}"
    );
    for (instance, finding) in [(enabled("false"), "IamLoginOff"), (String::new(), "InsufficientData")] {
        let (row, record) = audit_of_iam(&instance).await;
        assert_eq!(row["findings"], json!(["Overdue", finding, "RotationOff"]), "{row}");
        assert_eq!((row.get("iam_login"), &record["result"]), (None, &json!("failed")));
    }
}

#[test]
fn a_wrong_deployment_names_the_setting() {
    let wire = replies(&[]);
    let board = [("GITHUB_REPOSITORY", "o/n"), ("GITHUB_API_URL", "https://api.example")];
    let refused = |more: &[(&str, &str)]| app_with(&wire, more).err().map(|error| error.to_string());
    assert_eq!(
        refused(&board).as_deref(),
        Some("environment variable GITHUB_SECRET_NAME is missing: set it in template.yaml")
    );
    let open =
        [("GITHUB_REPOSITORY", "o/n"), ("GITHUB_API_URL", "http://api.example"), ("GITHUB_SECRET_NAME", "s")];
    assert!(refused(&open).unwrap().contains("GITHUB_API_URL is invalid: expected an https:// address"));
    assert_eq!(refused(&[]), None);
}

#[tokio::test]
async fn a_record_of_bc640d8_is_the_last_one() {
    let (page, key) = (listed(None), "evidence/rotation-audit/9999999997.json");
    let newest = format!("<ListVersionsResult><Version><Key>{key}</Key></Version></ListVersionsResult>");
    let recorded = include_str!("../../../../tests/recorded/rotation-audit-record.json");
    let published =
        "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    let mut answers =
        vec![page.as_str(), OLD_VERSIONS, NO_POLICY, &newest, recorded, LONG_AGO[2], LONG_AGO[3]];
    answers.extend([NO_OBJECT, published, "", NO_OBJECT, &newest, recorded]);
    // A later record finds the note that the chain has begun.
    answers.extend(&STORED[..2]);
    let wire = replies(&answers);
    audit(&wire, "2026-03-04T12:00:00Z").await.unwrap();
    // The overdue secret is not new, so the channel gets no message, and the chain continues.
    let operations = operations(&wire);
    assert_eq!(operations.len(), answers.len(), "{operations:?}");
    assert_eq!(body(&wire, answers.len() - 1)["sequence"], 3);
}
