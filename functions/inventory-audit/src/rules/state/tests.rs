use super::*;

/// The application's state in the form of `terraform state pull`: modules, indexes, a data source, an older provider's
/// attributes, a deposed instance, attributes of other types, and secret values.
const STATE: &str = include_str!("../../../tests/terraform.tfstate");

#[test]
fn a_part_of_a_resource_is_not_the_resource() {
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf";
    let state = |kind: &str| {
        let resource = format!(
            r#"{{"version": 4, "serial": 12, "resources": [{{"mode": "managed", "type": "{kind}", "instances": [{{"attributes": {{"arn": "{arn}"}}}}]}}]}}"#
        );
        parse("x", resource.as_bytes()).unwrap()
    };
    let version = state("aws_secretsmanager_secret_version");
    assert!(!version.has_arn(Some(Kind::Secret), arn) && version.has_arn(None, arn));
    assert!(state("aws_secretsmanager_secret").has_arn(Some(Kind::Secret), arn));
    assert!(state("awscc_secretsmanager_secret").has_arn(Some(Kind::Secret), arn));
    assert_eq!(version.serial, 12);
}

#[test]
fn managed_resources_are_found_by_arn() {
    let managed = parse("x", STATE.as_bytes()).unwrap();
    let arn = |rest: &str| format!("arn:aws:{rest}");
    for (rest, is) in [
        ("rds:us-east-1:123456789012:db:moveongs-dev-db", true),
        ("s3:::moveongs-dev-attachments", true),
        ("ecs:us-east-1:123456789012:cluster/moveongs-dev-cluster", true),
        // Its id is its ARN.
        ("ecs:us-east-1:123456789012:service/moveongs-dev-cluster/moveongs-dev-api", true),
        // AWS calls return it with and without `:*`.
        ("logs:us-east-1:123456789012:log-group:/aws/ecs/moveongs-dev-api", true),
        ("logs:us-east-1:123456789012:log-group:/aws/ecs/moveongs-dev-api:*", true),
        ("secretsmanager:us-east-1:123456789012:secret:moveongs-dev-redis-url-AbCdEf", true),
        // From for_each, from count, in a module, deposed.
        ("ec2:us-east-1:123456789012:subnet/subnet-0aaaaaaaaaaaaaaa1", true),
        ("ec2:us-east-1:123456789012:subnet/subnet-0aaaaaaaaaaaaaaa2", true),
        ("ec2:us-east-1:123456789012:natgateway/nat-0cccccccccccccccc", true),
        ("elasticloadbalancing:us-east-1:123456789012:targetgroup/moveongs-dev-tg/0123456789abcdef", true),
        // A data source only reads its resource.
        ("kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000", false),
        ("ec2:us-east-1:123456789012:subnet/subnet-0bbbbbbbbbbbbbbbb", false),
        // An instance of the same name in another region.
        ("rds:sa-east-1:123456789012:db:moveongs-dev-db", false),
    ] {
        assert_eq!(managed.has_arn(None, &arn(rest)), is, "{rest}");
    }
}

#[test]
fn managed_resources_are_found_by_name() {
    let managed = parse("x", STATE.as_bytes()).unwrap();
    for (kind, name, is) in [
        (Kind::RdsInstance, "moveongs-dev-db", true),
        (Kind::RdsInstance, "dev-db", false),
        (Kind::S3Bucket, "moveongs-dev-attachments", true),
        (Kind::EcsCluster, "moveongs-dev-cluster", true),
        (Kind::EcsService, "moveongs-dev-cluster/moveongs-dev-api", true),
        (Kind::EcsService, "moveongs-dev-cluster/moveongs-dev-web", false),
        (Kind::LogGroup, "/aws/ecs/moveongs-dev-api", true),
        (Kind::Secret, "moveongs-dev-redis-url", true),
        // A log group has this name, but no bucket.
        (Kind::S3Bucket, "/aws/ecs/moveongs-dev-api", false),
    ] {
        assert_eq!(managed.has_name(kind, name), is, "{kind:?} {name}");
    }
}

fn values(state: &str) -> Vec<(String, String, Option<String>)> {
    let values = parse("k", state.as_bytes()).unwrap().values.into_iter();
    let line = |value: Value| {
        let names: Vec<_> = value.attributes.into_iter().collect();
        (value.place.address, names.join(" "), value.arn)
    };
    values.map(line).collect()
}

fn resource(mode: &str, kind: &str, attributes: &str, marked: &str) -> String {
    format!(
        r#"{{"version": 4, "resources": [{{"mode": "{mode}", "type": "{kind}", "name": "x", "instances": [{{"attributes": {attributes}, "sensitive_attributes": {marked}}}]}}]}}"#
    )
}

#[test]
fn a_secret_value_in_a_state_is_found_and_not_stored() {
    let case = include_str!("../../../../../tests/cases/09a-terraform-state-holds-the-value.json");
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3";
    let address = "aws_secretsmanager_secret_version.jwt".to_owned();
    assert_eq!(values(case), [(address, "secret_string".to_owned(), Some(arn.to_owned()))]);
    let stored = format!("{:?}", parse("k", case.as_bytes()).unwrap());
    assert!(case.contains("dev-secret-change-me") && !stored.contains("dev-secret-change-me"), "{stored}");
}

#[test]
fn a_secret_attribute_counts_if_it_is_neither_null_nor_empty() {
    let version = "aws_secretsmanager_secret_version";
    let marked = |name: &str| format!(r#"[[{{"type": "get_attr", "value": "{name}"}}]]"#);
    for (mode, kind, attributes, marks, found) in [
        ("managed", version, r#"{"secret_string": "in-clear"}"#, "[]".to_owned(), "secret_string"),
        ("managed", version, r#"{"secret_binary": "aW4="}"#, "[]".to_owned(), "secret_binary"),
        ("data", version, r#"{"secret_string": "in-clear"}"#, "[]".to_owned(), "secret_string"),
        // A write-only argument leaves no value.
        (
            "managed",
            version,
            r#"{"secret_string": null, "secret_string_wo": null, "secret_string_wo_version": 2}"#,
            "[]".to_owned(),
            "",
        ),
        ("managed", version, r#"{"secret_string": ""}"#, "[]".to_owned(), ""),
        ("managed", version, r#"{"secret_string": null}"#, marked("secret_string"), ""),
        ("managed", "aws_db_instance", r#"{"password": "in-clear"}"#, "[]".to_owned(), "password"),
        (
            "managed",
            "aws_db_instance",
            r#"{"password": null, "manage_master_user_password": true}"#,
            "[]".to_owned(),
            "",
        ),
        (
            "managed",
            "aws_rds_cluster",
            r#"{"master_password": "in-clear"}"#,
            "[]".to_owned(),
            "master_password",
        ),
        (
            "managed",
            "aws_iam_access_key",
            r#"{"secret": "in-clear", "ses_smtp_password_v4": "in-clear"}"#,
            "[]".to_owned(),
            "secret ses_smtp_password_v4",
        ),
        (
            "managed",
            "aws_iam_access_key",
            r#"{"secret": null, "encrypted_secret": "wcBM"}"#,
            "[]".to_owned(),
            "",
        ),
        ("managed", "random_password", r#"{"id": "none", "result": "in-clear"}"#, "[]".to_owned(), "result"),
        (
            "data",
            "aws_ssm_parameter",
            r#"{"type": "SecureString", "value": "in-clear"}"#,
            marked("value"),
            "value",
        ),
        ("data", "aws_ssm_parameter", r#"{"type": "String", "value": "ami-1"}"#, marked("value"), ""),
        (
            "managed",
            "awscc_secretsmanager_secret",
            r#"{"secret_string": "in-clear"}"#,
            "[]".to_owned(),
            "secret_string",
        ),
        // Marked by the configuration or the provider's schema.
        (
            "managed",
            "aws_lambda_function",
            r#"{"environment": [{"variables": {"KEY": "in-clear"}}]}"#,
            marked("environment"),
            "environment",
        ),
        ("managed", "aws_lambda_function", r#"{"environment": []}"#, marked("environment"), ""),
        (
            "managed",
            "aws_lambda_function",
            r#"{"environment": [{"variables": {"KEY": "x"}}]}"#,
            "null".to_owned(),
            "",
        ),
        ("managed", "twilio_key", r#"{"secret": "in-clear"}"#, marked("secret"), "secret"),
    ] {
        let state = resource(mode, kind, attributes, &marks);
        let all: Vec<_> = values(&state).into_iter().map(|(_, names, _)| names).collect();
        assert_eq!(all.join(","), found, "{state}");
        let stored = format!("{:?}", parse("k", state.as_bytes()).unwrap());
        assert!(!stored.contains("in-clear"), "{stored}");
    }
    let outputs = r#"{"version": 4, "outputs": {"a": {"value": "in-clear", "sensitive": true}, "b": {"value": "x"}, "c": {"value": null, "sensitive": true}}}"#;
    assert_eq!(values(r#"{"version": 4, "outputs": null}"#), []);
    assert_eq!(values(outputs), [("output.a".to_owned(), "value".to_owned(), None)]);
}

#[test]
fn an_address_is_terraforms_own() {
    let address = |module: &str, mode: &str, index: &str| {
        let state = format!(
            r#"{{"version": 4, "resources": [{{{module} "mode": "{mode}", "type": "random_password", "name": "x", "instances": [{{{index} "attributes": {{"result": "v"}}}}]}}]}}"#
        );
        values(&state).remove(0).0
    };
    for (module, mode, index, expected) in [
        ("", "managed", "", "random_password.x"),
        ("", "data", "", "data.random_password.x"),
        ("", "managed", r#""index_key": 0,"#, "random_password.x[0]"),
        (
            r#""module": "module.a[\"b\"].module.c","#,
            "managed",
            r#""index_key": "one","#,
            r#"module.a["b"].module.c.random_password.x["one"]"#,
        ),
        (
            r#""module": "module.a","#,
            "data",
            r#""index_key": "a\"b\\c${d}%{e}","#,
            r#"module.a.data.random_password.x["a\"b\\c$${d}%%{e}"]"#,
        ),
    ] {
        assert_eq!(address(module, mode, index), expected);
    }
}

#[test]
fn a_member_of_an_aurora_cluster_is_in_the_state() {
    let case = include_str!("../../../../../tests/cases/11b-terraform-state-aurora-member.json");
    let managed = parse("k", case.as_bytes()).unwrap();
    let arn = "arn:aws:rds:us-east-1:123456789012:db:moveongs-dev-db";
    assert!(managed.has_arn(Some(Kind::RdsInstance), arn));
    assert!(managed.has_name(Kind::RdsInstance, "moveongs-dev-db"));
    // A member does not prove that the state has its cluster.
    assert!(
        !managed.has_arn(Some(Kind::RdsCluster), "arn:aws:rds:us-east-1:123456789012:cluster:moveongs-dev")
    );
    assert!(!managed.has_name(Kind::RdsCluster, "moveongs-dev"));
}

#[test]
fn settings_come_from_the_resource_and_from_a_buckets_parts() {
    let (db, bucket) = ("arn:aws:rds:r:1:db:db", "arn:aws:s3:::b");
    let state = format!(
        r#"{{"version": 4, "resources": [
            {{"mode": "managed", "type": "aws_db_instance", "name": "db", "instances": [
                {{"attributes": {{"arn": "{db}", "backup_retention_period": 7, "deletion_protection": true, "multi_az": null}}}},
                {{"deposed": "0123abcd", "attributes": {{"arn": "{db}", "backup_retention_period": 1}}}}]}},
            {{"mode": "managed", "type": "aws_s3_bucket", "name": "b", "instances": [
                {{"attributes": {{"arn": "{bucket}", "bucket": "b", "versioning": [{{"enabled": false, "mfa_delete": false}}]}}}}]}},
            {{"mode": "managed", "type": "aws_s3_bucket_versioning", "name": "b", "instances": [
                {{"attributes": {{"id": "b", "bucket": "b", "versioning_configuration": [{{"status": "Enabled"}}]}}}}]}},
            {{"mode": "managed", "type": "aws_s3_bucket_lifecycle_configuration", "name": "b", "instances": [
                {{"attributes": {{"bucket": "b", "rule": [{{"id": "old", "status": "Enabled", "expiration": [],
                    "noncurrent_version_expiration": [{{"newer_noncurrent_versions": null, "noncurrent_days": 365}}]}},
                    {{"id": "one", "status": "Enabled", "filter": [{{"prefix": "tmp/", "and": []}}], "expiration": [{{"days": 3}}]}},
                    {{"id": "two", "status": "Enabled", "filter": [{{"prefix": "", "and": [{{"prefix": "log/", "tags": {{"a": "b"}}}}]}}]}},
                    {{"id": "three", "status": "Enabled", "filter": [], "prefix": "old/"}}]}}}}]}},
            {{"mode": "managed", "type": "aws_s3_bucket", "name": "c", "instances": [
                {{"attributes": {{"arn": "arn:aws:s3:::c", "bucket": "c", "versioning": [{{"enabled": true}}]}}}}]}},
            {{"mode": "managed", "type": "aws_s3_bucket", "name": "d", "instances": [
                {{"attributes_flat": {{"arn": "arn:aws:s3:::d", "bucket": "d", "versioning.0.enabled": "true"}}}}]}}
        ]}}"#
    );
    let managed = parse("k", state.as_bytes()).unwrap();
    let held = |kind, arn: &str, name: &str| {
        let all = managed.settings(kind, arn, name).into_iter();
        all.map(|(setting, (value, place))| format!("{} {value} {}", setting.name(), place.address))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        held(Kind::RdsInstance, db, "db"),
        ["backup_retention_period 7 aws_db_instance.db", "deletion_protection true aws_db_instance.db"]
    );
    assert_eq!(
        held(Kind::S3Bucket, bucket, "b"),
        [
            "versioning Enabled aws_s3_bucket_versioning.b",
            "lifecycle old\tEnabled noncurrent=365\none\tEnabled prefix=tmp/ expiration=3\nthree\tEnabled prefix=old/\ntwo\tEnabled prefix=log/ aws_s3_bucket_lifecycle_configuration.b"
        ]
    );
    assert_eq!(held(Kind::S3Bucket, "arn:aws:s3:::c", "c"), ["versioning Enabled aws_s3_bucket.c"]);
    assert_eq!(held(Kind::S3Bucket, "arn:aws:s3:::d", "d"), [""; 0]);
}

#[test]
fn a_resource_that_is_managed_twice_is_found_but_its_parts_do_not_count() {
    let of = |file: &str, kind: &str, id: &str, arn: &str| {
        let state = resource("managed", kind, &format!(r#"{{"id": "{id}", "arn": "{arn}"}}"#), "[]");
        parse(file, state.as_bytes()).unwrap()
    };
    let (db, secret) = ("arn:aws:rds:r:1:db:x", "arn:aws:secretsmanager:r:1:secret:x-AbCdEf");
    for (one, other, expected) in [
        (of("a", "aws_db_instance", "x", db), of("b", "aws_db_instance", "x", db), "a b"),
        // The id depends on the provider's version, and two types can describe the same resource.
        (of("a", "aws_db_instance", "x", db), of("b", "aws_db_instance", "db-ABC", db), "a b"),
        (of("a", "aws_db_instance", "x", db), of("b", "aws_rds_cluster_instance", "x", db), "a b"),
        (
            of("a", "aws_sns_topic", "arn:aws:sns:r:1:x", "arn:aws:sns:r:1:x"),
            of("b", "aws_sns_topic", "arn:aws:sns:r:1:x", "arn:aws:sns:r:1:x"),
            "a b",
        ),
        // A version beside its secret, and targets with the ARN of the function that they call.
        (
            of("a", "aws_secretsmanager_secret", secret, secret),
            of("b", "aws_secretsmanager_secret_version", &format!("{secret}|v"), secret),
            "",
        ),
        (
            of("a", "aws_cloudwatch_event_target", "rule-1", "arn:aws:lambda:r:1:function:x"),
            of("b", "aws_cloudwatch_event_target", "rule-2", "arn:aws:lambda:r:1:function:x"),
            "",
        ),
        // The same name in another region.
        (of("a", "aws_db_instance", "x", db), of("b", "aws_db_instance", "x", "arn:aws:rds:q:1:db:x"), ""),
    ] {
        let mut managed = one;
        managed.merge(other);
        let files: Vec<_> =
            managed.duplicates().into_values().flatten().map(|place| place.file.to_string()).collect();
        assert_eq!(files.join(" "), expected);
    }
}

#[test]
fn no_secret_value_is_stored() {
    assert!(STATE.contains("in-clear"), "the example holds no secret");
    assert!(!format!("{:?}", parse("x", STATE.as_bytes()).unwrap()).contains("in-clear"));
}

#[test]
fn other_content_than_a_version_4_state_is_refused_without_a_quotation() {
    let refused = |text: &str| parse("x", text.as_bytes()).unwrap_err();
    assert_eq!(refused(r#"{"version": 3, "modules": []}"#), StateError::Version(3));
    assert_eq!(refused(r#"{"version": 5}"#), StateError::Version(5));
    assert_eq!(refused(r#"{"serial": 1, "encrypted_data": "x"}"#), StateError::NoVersion);
    for text in
        ["", "<html>", "in-clear", r#"{"version": "in-clear"}"#, r#"{"version": 4, "resources": "in-clear"}"#]
    {
        let error = refused(text);
        assert!(matches!(error, StateError::NotAState { .. }), "{text}: {error}");
        assert!(!error.to_string().contains("in-clear"), "{error}");
    }
    assert_eq!(parse("x", &vec![b' '; MOST_BYTES + 1]), Err(StateError::TooLarge));
    assert_eq!(parse("x", br#"{"version": 4}"#), Ok(Managed::default()));
}
