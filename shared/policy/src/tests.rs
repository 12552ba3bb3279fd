use super::*;

#[test]
fn what_differs_is_named_field_by_field() {
    let changed = |before: &str, after: &str| -> Vec<String> {
        let of = |text: &str| effective(&serde_json::from_str(text).unwrap()).unwrap();
        changes(&of(before), &of(after)).iter().map(ToString::to_string).collect()
    };
    assert_eq!(changed("{}", "{}"), [""; 0]);
    assert_eq!(
        changed("{}", r#"{"incidents": {"update_minutes": 15}, "backups": {"audit": {"grafana_days": 7}}}"#),
        [
            "backups.audit.grafana_days: 31 → 7",
            r#"incidents.update_minutes: {"S0":30,"S1":30,"S2":30,"S3":30} → 15"#,
        ]
    );
    let accepted =
        |rule: &str| format!(r#"{{"backups": {{"audit": {{"exceptions": [{{"rule": "{rule}"}}]}}}}}}"#);
    assert_eq!(
        changed(&accepted("a"), &accepted("b")),
        [r#"backups.audit.exceptions[]: - {"rule":"a"}"#, r#"backups.audit.exceptions[]: + {"rule":"b"}"#]
    );
    let zones = |list: &str| format!(r#"{{"backups": {{"audit": {{"multi_az": {list}}}}}}}"#);
    let (one, other) = (zones(r#"["dev", "prod"]"#), zones(r#"["prod", "dev"]"#));
    assert_eq!(changed(&one, &other), [r#"backups.audit.multi_az: ["dev","prod"] → ["prod","dev"]"#]);
    let secret =
        r#"{"rotation": {"secrets": {"x": {"max_age_days": 1}, "DATABASE_URL": {"roll_back": null}}}}"#;
    assert_eq!(
        changed("{}", secret),
        ["rotation.secrets.DATABASE_URL.roll_back: - true", r#"rotation.secrets.x: + {"max_age_days":1}"#]
    );
}

#[test]
fn the_defaults_are_the_guides_numbers() {
    let policy: Policy = "".parse().unwrap();
    let jwt = &policy.rotation.secrets["JWT_SECRET"];
    assert_eq!(jwt.max_age_days, 90);
    assert_eq!(
        jwt.random.as_ref().unwrap().generator(),
        Ok(Generator::Bytes { bytes: 48, encoding: Encoding::Base64 })
    );
    for name in [
        "NOTIFICATIONS_WEBHOOK_SECRET",
        "NOTIFICATIONS_EMAIL_SES",
        "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN",
        "SEED_ADMIN_PASSWORD",
    ] {
        assert_eq!(policy.rotation.secrets[name].max_age_days, 180);
    }
    let days: Vec<_> =
        policy.backups.retention_days.iter().map(|(name, days)| (name.as_str(), *days)).collect();
    assert_eq!(days, [("dev", 7), ("prod", 30), ("staging", 7)]);
    let snapshots = &policy.backups.snapshots;
    assert_eq!(snapshots.retention_days, policy.backups.retention_days);
    assert_eq!((snapshots.instance.seconds(), snapshots.creation.seconds()), (1200, 3600));
    let verify = Verify { creation_hours: 6, copy_hours: 12, least_percent: 50, most_percent: 200 };
    assert_eq!(snapshots.verify, verify);
    assert_eq!(policy.backups.attachment_noncurrent_days, 30);
    let audit = Audit { due_days: 14, late_hours: 24, stuck_hours: 24, unused_days: 90 };
    assert_eq!(policy.rotation.audit, audit);
    let incidents = &policy.incidents;
    assert_eq!(Severity::ALL.map(|one| one.update_minutes(incidents.update_minutes)), [30; 4]);
    assert_eq!(policy.incidents.support_case_minutes, 60);
    assert_eq!(policy.incidents.postmortem_business_days, 5);
    assert_eq!(policy.incidents.flap_minutes, 10);
    let wait = policy.incidents.acknowledge_minutes;
    assert_eq!((wait.critical, wait.warning), (5, 30));
    let heartbeats: Vec<_> =
        policy.incidents.heartbeats.iter().map(|(name, after)| (name.as_str(), *after)).collect();
    assert_eq!(heartbeats, [("Watchdog", 15)]);
}

#[test]
fn every_area_of_the_guide_has_its_two_teams() {
    let policy: Policy = "".parse().unwrap();
    let teams = Area::ALL.map(|area| {
        let team = policy.responsible(area);
        (area.name(), team.primary.as_str(), team.backup.as_str())
    });
    let expected = [
        ("application", "Squad Backend", "Squad Infra"),
        ("database", "Squad Dados", "Squad Infra"),
        ("attachments", "Squad Infra", "Squad Backend"),
        ("observability", "Squad Observability", "Squad Infra"),
        ("secrets", "Squad Infra", "Squad Security"),
        ("infrastructure", "Squad Infra", "Squad Security"),
    ];
    assert_eq!(teams, expected);
    let resources = |area: Area| &policy.inventory.areas.holding(area).resources;
    let database = &resources(Area::Database)[&Kind::RdsInstance][0];
    assert_eq!(resolve(database, "moveongs", "dev"), "moveongs-dev-db");
    let service = &resources(Area::Application)[&Kind::EcsService][0];
    assert_eq!(resolve(service, "moveongs", "dev"), "moveongs-dev-cluster/moveongs-dev-api");
}

#[test]
fn a_secrets_people_are_its_own_or_its_areas() {
    let policy: Policy = r#"{
        "inventory": {"areas": {"secrets": {"responsible": {"primary": "Squad Security"}}}},
        "rotation": {"secrets": {
            "reports": {"max_age_days": 30, "test_sql": ["SELECT 1"]},
            "key": {"max_age_days": 30, "responsible": {"primary": "Squad Backend", "backup": "Squad Dados"}}
        }}
    }"#
    .parse()
    .unwrap();
    for (key, primary) in [
        ("DATABASE_URL", "Squad Dados"),
        ("reports", "Squad Dados"),
        ("key", "Squad Backend"),
        ("JWT_SECRET", "Squad Security"),
        ("unknown", "Squad Security"),
    ] {
        assert_eq!(policy.secret_responsible(key).primary, primary, "{key}");
    }
}

#[test]
fn a_kind_without_a_name_of_its_own_has_its_id_or_address() {
    for (kind, name, is_one) in [
        (Kind::EfsFileSystem, "fs-0123456789abcdef0", true),
        (Kind::EfsFileSystem, "uploads", false),
        (Kind::GrafanaWorkspace, "g-0123456789", true),
        (Kind::GrafanaWorkspace, "ws-0123", false),
        (Kind::PrometheusWorkspace, "ws-01234567-89ab-cdef-0123-456789abcdef", true),
        (Kind::PrometheusWorkspace, "ws-", false),
        (Kind::Url, "https://grafana.{project}.example.org:3000/d", true),
        (Kind::Url, "http://10.0.0.7:9090", true),
        (Kind::Url, "grafana.example.org", false),
        (Kind::Url, "https://", false),
        (Kind::Url, "https://user:password@grafana.example.org", false),
        (Kind::Url, "https://grafana.example.org/?token=x", false),
    ] {
        assert_eq!(kind.check(name).is_ok(), is_one, "{kind:?} {name}");
    }
}

#[test]
fn a_wrong_inventory_is_refused_with_the_path() {
    let area = |area: &str, patch: &str| format!(r#"{{"inventory": {{"areas": {{"{area}": {patch}}}}}}}"#);
    let listed = |kind: &str, name: &str| {
        area("secrets", &format!(r#"{{"resources": {{"{kind}": ["a", "{name}"]}}}}"#))
    };
    let path = "inventory.areas.secrets";
    refused(&area("secrets", "null"), "inventory.areas", "missing field");
    refused(&area("billing", "{}"), "inventory.areas.billing", "unknown field");
    refused(
        &area("secrets", r#"{"responsible": {"backup": " "}}"#),
        &format!("{path}.responsible.backup"),
        "name of a team",
    );
    refused(
        &area("secrets", r#"{"responsible": {"primary": null}}"#),
        &format!("{path}.responsible"),
        "missing field",
    );
    refused(&listed("lambda", "b"), &format!("{path}.resources.?"), "unknown variant `lambda`");
    for name in ["", " ", "a b", "{region}-b", "{project", "b}", "é", "*"] {
        refused(
            &listed("secret", name),
            &format!("{path}.resources.secret[1]"),
            "expected a resource's name",
        );
    }
    for kind in ["ecs-cluster", "rds-cluster", "rds-instance", "s3-bucket"] {
        refused(&listed(kind, "b/c"), &format!("{path}.resources.{kind}[1]"), "without a slash");
    }
    let service = |name: &str| area("secrets", &format!(r#"{{"resources": {{"ecs-service": ["{name}"]}}}}"#));
    for name in ["api", "/api", "cluster/", "a/b/c"] {
        refused(&service(name), &format!("{path}.resources.ecs-service[0]"), "expected cluster/service");
    }
    refused(
        &listed("secret", "a"),
        &format!("{path}.resources.secret[1]"),
        "also listed at inventory.areas.secrets.resources.secret[0]",
    );
    for kind in ["snapshot", "rds:", ":snapshot", "rds:db:x", "rds:*"] {
        refused(
            &format!(r#"{{"inventory": {{"untracked": ["{kind}"]}}}}"#),
            "inventory.untracked[0]",
            "as in an ARN",
        );
    }
}

#[test]
fn an_override_replaces_adds_and_removes() {
    let policy: Policy = r#"{"rotation": {"secrets": {
        "JWT_SECRET": {"max_age_days": 30},
        "NOTIFICATIONS_WEBHOOK_SECRET": null,
        "moveongs-dev-reports": {"max_age_days": 365, "random": {"length": 40, "alphabet": "abcdefghijkmnpqrstuvwxyz23456789"}}
    }}}"#
    .parse()
    .unwrap();
    let secrets = &policy.rotation.secrets;
    assert_eq!(
        secrets.keys().collect::<Vec<_>>(),
        [
            "DATABASE_URL",
            "JWT_SECRET",
            "NOTIFICATIONS_EMAIL_SES",
            "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN",
            "SEED_ADMIN_PASSWORD",
            "moveongs-dev-reports"
        ]
    );
    assert_eq!(secrets["JWT_SECRET"].max_age_days, 30);
    assert_eq!(secrets["JWT_SECRET"].random.as_ref().unwrap().bytes, Some(48));
}

#[track_caller]
pub(crate) fn refused(overrides: &str, path: &str, reason: &str) {
    let error = overrides.parse::<Policy>().unwrap_err();
    assert_eq!(error.path, path, "{error}");
    assert!(error.reason.contains(reason), "{error}");
}

#[track_caller]
fn refused_jwt(random: &str, field: &str, reason: &str) {
    let overrides = format!(r#"{{"rotation": {{"secrets": {{"JWT_SECRET": {{"random": {random}}}}}}}}}"#);
    refused(&overrides, &format!("rotation.secrets.JWT_SECRET.random.{field}"), reason);
}

#[test]
fn a_wrong_policy_is_refused_with_the_path() {
    refused("{", ".", "EOF");
    refused("[]", ".", "expected a JSON object");
    refused(r#"{"rotations": {}}"#, "rotations", "unknown field");
    refused(r#"{"incidents": {"update_minutes": "30"}}"#, "incidents.update_minutes", "expected minutes, or");
    refused(
        r#"{"incidents": {"update_minutes": {"S1": 1441}}}"#,
        "incidents.update_minutes.S1",
        "expected 0 to 1440, found 1441",
    );
    refused(r#"{"incidents": {"update_minutes": 65536}}"#, "incidents.update_minutes", "out of range");
    refused(
        r#"{"incidents": {"update_minutes": {"S4": 1}}}"#,
        "incidents.update_minutes.S4",
        "unknown field",
    );
    refused(
        r#"{"incidents": {"update_minutes": {"S3": null}}}"#,
        "incidents.update_minutes",
        "missing field",
    );
    refused(
        r#"{"incidents": {"update_backup_minutes": 0}}"#,
        "incidents.update_backup_minutes",
        "expected 1",
    );
    refused(r#"{"incidents": {"desk": {"merge": "nobody"}}}"#, "incidents.desk.merge", "unknown variant");
    refused(r#"{"incidents": {"desk": {"merge": null}}}"#, "incidents.desk", "missing field");
    refused(r#"{"incidents": {"desk": {"restore": "people"}}}"#, "incidents.desk.restore", "unknown field");
    refused(
        r#"{"incidents": {"customers": {"addresses": ["a@b.example", "a b"]}}}"#,
        "incidents.customers.addresses[1]",
        "expected an e-mail address",
    );
    refused(
        r#"{"incidents": {"customers": {"severities": ["S4"]}}}"#,
        "incidents.customers.severities[0]",
        "unknown variant",
    );
    refused(r#"{"incidents": {"customers": {"language": "pt"}}}"#, "incidents.customers.language", "unknown");
    refused(r#"{"incidents": {"support": {"plan": "free"}}}"#, "incidents.support.plan", "unknown variant");
    refused(r#"{"incidents": {"lgpd": {"business_days": 0}}}"#, "incidents.lgpd.business_days", "expected 1");
    refused(
        r#"{"incidents": {"calendar": {"state": "XX"}}}"#,
        "incidents.calendar.state",
        "expected a state",
    );
    refused(r#"{"incidents": {"update_minutes": null}}"#, "incidents", "missing field");
    refused(
        r#"{"backups": {"retention_days": {"prod": 36}}}"#,
        "backups.retention_days.prod",
        "expected 1 to 35",
    );
    refused(
        r#"{"rotation": {"secrets": {"JWT_SECRET": {"max_age_days": 1000}}}}"#,
        "rotation.secrets.JWT_SECRET.max_age_days",
        "expected 1 to 999",
    );
    let iam = |key: &str, value: &str| {
        format!(r#"{{"rotation": {{"secrets": {{"{key}": {{"iam_login": {value}}}}}}}}}"#)
    };
    for value in [r#""""#, r#""*""#, r#""Moveongs""#, r#""arn:aws:rds:x""#] {
        refused(&iam("DATABASE_URL", value), "rotation.secrets.DATABASE_URL.iam_login", "RDS instance");
    }
    refused(&iam("DATABASE_URL", "true"), "rotation.secrets.DATABASE_URL.iam_login", "invalid type");
    let jwt = iam("JWT_SECRET", r#""moveongs-dev-db""#);
    refused(&jwt, "rotation.secrets.JWT_SECRET.iam_login", "only a database login");
    for (field, value) in [("due_days", 0), ("due_days", 91), ("late_hours", 169), ("stuck_hours", 0)] {
        let overrides = format!(r#"{{"rotation": {{"audit": {{"{field}": {value}}}}}}}"#);
        refused(&overrides, &format!("rotation.audit.{field}"), "expected 1 to");
    }
    for (patch, field) in [
        (r#"{"settle_seconds": 0}"#, "settle_seconds"),
        (r#"{"settle_seconds": 901}"#, "settle_seconds"),
        (r#"{"failed_tasks": 101}"#, "failed_tasks"),
        (r#"{"rollout": {"every_seconds": 301}}"#, "rollout.every_seconds"),
        (r#"{"proof": {"times": 0}}"#, "proof.times"),
    ] {
        let patch = format!(r#"{{"rotation": {{"followup": {patch}}}}}"#);
        refused(&patch, &format!("rotation.followup.{field}"), "expected 1 to");
    }
    for (patch, field, reason) in [
        (r#"{"retention_days": {"prod": 0}}"#, "retention_days.prod", "expected 1 to 3650"),
        (r#"{"instance": {"every_seconds": 0}}"#, "instance.every_seconds", "expected 1 to 300"),
        (r#"{"creation": {"times": 201}}"#, "creation.times", "expected 1 to 200"),
        (r#"{"verify": {"creation_hours": 49}}"#, "verify.creation_hours", "expected 1 to 48"),
        (r#"{"verify": {"copy_hours": 0}}"#, "verify.copy_hours", "expected 1 to 168"),
        (r#"{"verify": {"least_percent": 101}}"#, "verify.least_percent", "expected 1 to 100"),
        (r#"{"verify": {"most_percent": 99}}"#, "verify.most_percent", "expected 100 to 10000"),
        (
            r#"{"creation": {"every_seconds": 300, "times": 73}}"#,
            "creation",
            "21900 s, expected at most 21600",
        ),
    ] {
        let patch = format!(r#"{{"backups": {{"snapshots": {patch}}}}}"#);
        refused(&patch, &format!("backups.snapshots.{field}"), reason);
    }
    let longest = r#"{"backups": {"snapshots": {"creation": {"every_seconds": 300, "times": 72}}}}"#;
    assert!(longest.parse::<Policy>().is_ok());
    let audit = r#"{"rotation": {"audit": {"unused_days": 1}}}"#;
    refused(audit, "rotation.audit.unused_days", "expected 2 to 999");
    refused(r#"{"rotation": {"responsible": {}}}"#, "rotation.responsible", "unknown field");
    refused(
        r#"{"rotation": {"secrets": {"JWT_SECRET": {"responsible": {"primary": "a", "backup": "b\nc"}}}}}"#,
        "rotation.secrets.JWT_SECRET.responsible.backup",
        "one line",
    );
    refused_jwt(r#"{"bites": 4}"#, "bites", "unknown field");
    refused_jwt(r#"{"encoding": "base32"}"#, "encoding", "unknown variant");
    refused_jwt(r#"{"encoding": null}"#, "encoding", "required with bytes");
    refused_jwt(r#"{"bytes": null}"#, "bytes", "required with encoding");
    refused_jwt(r#"{"length": 40}"#, "bytes", "either");
    refused_jwt(r#"{"bytes": 15}"#, "bytes", "120 bits");
    refused_jwt(r#"{"bytes": 16}"#, "bytes", "makes 24 characters, but the consumer's min_length is 32");
    refused_jwt(r#"{"min_length": 31}"#, "min_length", "expected 32 to");
    refused_jwt(r#"{"bytes": null, "encoding": null, "length": 40}"#, "alphabet", "required with length");
    refused_jwt(r#"{"bytes": null, "encoding": null, "alphabet": "ab"}"#, "length", "required with alphabet");
    refused_jwt(
        r#"{"bytes": null, "encoding": null, "length": 200, "alphabet": "abca"}"#,
        "alphabet",
        "twice",
    );
    refused_jwt(r#"{"bytes": null, "encoding": null, "length": 200, "alphabet": "aé"}"#, "alphabet", "ASCII");
    refused_jwt(
        r#"{"bytes": null, "encoding": null, "length": 127, "alphabet": "01"}"#,
        "length",
        "127 bits",
    );
    refused_jwt(r#"{"bytes": null, "encoding": null, "length": 40, "alphabet": ""}"#, "length", "0 bits");
}

#[track_caller]
fn refused_sql(statements: &str, place: &str, reason: &str) {
    let generic = format!(r#"{{"rotation": {{"database": {{"test_sql": {statements}}}}}}}"#);
    refused(&generic, &format!("rotation.database.test_sql{place}"), reason);
    let own = format!(r#"{{"rotation": {{"secrets": {{"DATABASE_URL": {{"test_sql": {statements}}}}}}}}}"#);
    refused(&own, &format!("rotation.secrets.DATABASE_URL.test_sql{place}"), reason);
}

#[test]
fn a_proof_that_could_keep_what_it_writes_is_refused() {
    refused_sql("[]", "", "nothing would be proved");
    for statement in
        ["COMMIT", "  commit", "End", "ROLLBACK", "abort", "begin;", "START TRANSACTION", "SAVEPOINT a"]
    {
        let keyword = statement.trim().split([' ', ';']).next().unwrap().to_ascii_uppercase();
        refused_sql(&format!(r#"["SELECT 1", "{statement}"]"#), "[1]", &keyword);
    }
    refused_sql(r#"["RELEASE a"]"#, "[0]", "RELEASE");
    refused_sql(r#"["PREPARE TRANSACTION 'a'"]"#, "[0]", "PREPARE");
    refused_sql(r#"["/* sly */ COMMIT"]"#, "[0]", "begins with its keyword");
    refused_sql(r#"["-- sly\nCOMMIT"]"#, "[0]", "begins with its keyword");
    refused_sql(r#"[""]"#, "[0]", "begins with its keyword");
    let path = "rotation.database.password";
    refused(r#"{"rotation": {"database": {"password": {"length": 12}}}}"#, &format!("{path}.length"), "bits");
    refused(
        r#"{"rotation": {"database": {"password": {"field": "a"}}}}"#,
        &format!("{path}.field"),
        "found in the secret",
    );
    let path = "rotation.external.admin_password";
    let long = r#"{"rotation": {"external": {"admin_password": {"length": 73}}}}"#;
    refused(long, path, "bcrypt ignores");
    let longest = r#"{"rotation": {"external": {"admin_password": {"length": 72}}}}"#;
    assert!(longest.parse::<Policy>().is_ok());
    let keyed = r#"{"rotation": {"external": {"admin_password": {"field": "a"}}}}"#;
    refused(keyed, &format!("{path}.field"), "whole secret");
    for hours in [0, 721] {
        let patch = format!(r#"{{"rotation": {{"external": {{"delete_after_hours": {hours}}}}}}}"#);
        refused(&patch, "rotation.external.delete_after_hours", "expected 1 to 720");
    }
    // Different words with the same beginning.
    let fine = r#"{"rotation": {"database": {"test_sql": ["SELECT 1", "endow()", "WITH a AS (SELECT 1) SELECT 2"]}}}"#;
    assert!(fine.parse::<Policy>().is_ok());
}

#[test]
fn the_smallest_accepted_sizes() {
    for (random, length) in [
        (r#"{"bytes": 24}"#, 32),
        (r#"{"bytes": 16, "encoding": "hex"}"#, 32),
        (r#"{"bytes": 24, "encoding": "base64url"}"#, 32),
        (r#"{"bytes": null, "encoding": null, "length": 128, "alphabet": "01"}"#, 128),
    ] {
        let overrides = format!(r#"{{"rotation": {{"secrets": {{"JWT_SECRET": {{"random": {random}}}}}}}}}"#);
        let policy: Policy = overrides.parse().unwrap();
        let random = policy.rotation.secrets["JWT_SECRET"].random.clone().unwrap();
        assert_eq!(random.generator().unwrap().text_length(), length);
    }
}

#[test]
fn the_numbers_of_the_backup_audit_are_refused_outside_their_ranges() {
    for (field, least, most) in [
        ("snapshot_hours", 1, 168),
        ("point_in_time_minutes", 1, 1440),
        ("certificate_days", 1, 365),
        ("engine_support_days", 1, 730),
        ("incomplete_upload_days", 1, 365),
        ("uploads_hours", 1, 720),
        ("grafana_days", 1, 366),
    ] {
        let patch = |value| format!(r#"{{"backups": {{"audit": {{"{field}": {value}}}}}}}"#);
        let expected = format!("expected {least} to {most}");
        for outside in [least - 1, most + 1] {
            refused(&patch(outside), &format!("backups.audit.{field}"), &expected);
        }
        for inside in [least, most] {
            assert!(patch(inside).parse::<Policy>().is_ok(), "{field} {inside}");
        }
    }
}

#[test]
fn a_wrong_policy_of_the_backup_audit_is_refused_with_the_path() {
    let patch = |patch: &str| format!(r#"{{"backups": {{"audit": {patch}}}}}"#);
    let exception = |field: &str, value: &str| {
        let mut exception = serde_json::json!({
            "rule": "rds.public", "resource": "*", "reason": "r", "owner": "o", "until": "2026-12-31"
        });
        exception[field] = value.into();
        patch(&format!(r#"{{"exceptions": [{exception}]}}"#))
    };
    let long = "x".repeat(201);
    let place = |field: &str| format!("backups.audit.exceptions[0].{field}");
    for field in ["rule", "resource", "reason", "owner"] {
        for value in ["", " ", "a\nb", &long] {
            refused(&exception(field, value), &place(field), "one line");
        }
        let is_rule = field == "rule";
        assert_eq!(exception(field, &long[..200]).parse::<Policy>().is_ok(), !is_rule, "{field}");
    }
    refused(&exception("rule", "rds.typo"), &place("rule"), "unknown rule rds.typo");
    refused(&exception("until", "2026-02-30"), &place("until"), "");
    refused(&exception("by", "x"), &place("by"), "unknown field");
    refused(
        &patch(r#"{"exceptions": [{"rule": "rds.public", "resource": "*"}]}"#),
        "backups.audit.exceptions[0]",
        "missing field `reason`",
    );
    for (from, to) in [(8, 8), (20, 8), (8, 25)] {
        let hours = patch(&format!(r#"{{"business_hours": {{"from": {from}, "to": {to}}}}}"#));
        refused(&hours, "backups.audit.business_hours", "the second later than the first");
    }
    assert!(patch(r#"{"business_hours": {"from": 0, "to": 24}}"#).parse::<Policy>().is_ok());
    refused(&patch(r#"{"backup_window": "05:00-05:29"}"#), "backups.audit.backup_window", "30 minutes");
    for account in ["44445555666", "4444555566667", "44445555666a", "all"] {
        let accounts = patch(&format!(r#"{{"shared_with": ["444455556666", "{account}"]}}"#));
        refused(&accounts, "backups.audit.shared_with[1]", "twelve digits");
    }
    for prefix in ["", " ", "a\\nb"] {
        let prefixes = format!(r#"{{"expiring_prefixes": {{"attachments": ["tmp/", "{prefix}"]}}}}"#);
        refused(&patch(&prefixes), "backups.audit.expiring_prefixes.attachments[1]", "beginning of a key");
    }
    for bucket in ["state", "evidence"] {
        let prefixes = format!(r#"{{"expiring_prefixes": {{"{bucket}": ["tmp/"]}}}}"#);
        let path = format!("backups.audit.expiring_prefixes.{bucket}");
        refused(&patch(&prefixes), &path, "unknown field");
    }
    refused(&patch(r#"{"multi_az": "prod"}"#), "backups.audit.multi_az", "expected a sequence");
    refused(&patch(r#"{"hours": 1}"#), "backups.audit.hours", "unknown field");
}

#[test]
fn a_window_is_two_times_of_a_day_half_an_hour_apart_at_least() {
    for (text, expected) in [
        ("05:00-06:00", Some((300, 360))),
        ("05:00-05:30", Some((300, 330))),
        ("05:00-05:29", None),
        ("00:00-23:59", Some((0, 1439))),
        ("23:30-00:30", Some((1410, 30))),
        ("23:45-00:15", Some((1425, 15))),
        ("23:45-00:14", None),
        ("05:00-05:00", None),
        ("24:00-01:00", None),
        ("05:60-07:00", None),
        ("5:00-06:00", None),
        ("+5:00-06:00", None),
        ("05:+5-06:00", None),
        ("05:00", None),
        ("05:00-06:00-07:00", None),
        ("mon:05:00-mon:06:00", None),
        ("", None),
    ] {
        assert_eq!(window(text), expected, "{text}");
    }
}

#[test]
fn updates_are_due_by_severity_or_by_one_number() {
    let minutes = |value: &str| {
        let policy: Policy = format!(r#"{{"incidents": {{"update_minutes": {value}}}}}"#).parse().unwrap();
        Severity::ALL.map(|severity| severity.update_minutes(policy.incidents.update_minutes))
    };
    assert_eq!(minutes("15"), [15; 4]);
    assert_eq!(minutes("0"), [0; 4]);
    assert_eq!(minutes(r#"{"S0": 15, "S3": 0}"#), [15, 30, 30, 0]);
}

#[test]
fn a_line_says_something_and_ends() {
    for (text, is) in
        [("ana", true), ("é", true), ("12345", true), ("123456", false), (" ", false), ("a\nb", false)]
    {
        assert_eq!(is_line(text, 5), is, "{text}");
    }
}
