use super::*;
use crate::rules::settings::Setting;
use crate::rules::state::parse;

const DB: &str = "arn:aws:rds:us-east-1:123456789012:db:moveongs-dev-db";

fn policy() -> Policy {
    "".parse().unwrap()
}

fn stack(policy: &Policy) -> Stack<'_> {
    Stack { policy, project: "moveongs", environment: "dev", own: "own" }
}

fn read(managed: Managed) -> States {
    States::Read { managed, unread: Vec::new() }
}

fn unreadable() -> States {
    States::Read { managed: Managed::default(), unread: vec![("x".to_owned(), "y".to_owned())] }
}

/// The application's state, without its secret values, which another test covers.
fn state() -> States {
    let mut managed = parse("x", include_str!("../../../tests/terraform.tfstate").as_bytes()).unwrap();
    managed.values.clear();
    read(managed)
}

fn tags(values: [&str; 3]) -> BTreeMap<String, String> {
    let named = ["Project", "Environment", "ManagedBy"].into_iter().zip(values);
    named.filter(|(_, value)| *value != "-").map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn tagged(arn: &str, environment: Option<&str>, stack: Option<&str>) -> Tagged {
    let [environment, stack] = [environment, stack].map(|value| value.map(str::to_owned));
    Tagged { arn: arn.to_owned(), environment, stack, details: Details::default() }
}

fn good() -> BTreeMap<String, String> {
    tags(["moveongs", "dev", "terraform"])
}

fn database() -> Wanted {
    let policy = policy();
    wanted(stack(&policy), &BTreeMap::new(), None)
        .into_iter()
        .find(|each| each.kind == Kind::RdsInstance)
        .unwrap()
}

#[track_caller]
fn check(observation: Observation, state: &States, verdicts: [Verdict; 3], problems: &[&str]) {
    let policy = policy();
    let row = judge(stack(&policy), database(), observation, state);
    assert_eq!([row.exists, row.tags, row.state], verdicts, "{row:?}");
    assert_eq!(row.problems.iter().map(Problem::kind).collect::<Vec<_>>(), problems, "{row:?}");
}

fn present(tags: Result<BTreeMap<String, String>, String>) -> Observation {
    Observation::Present { arn: DB.to_owned(), tags, details: Details::default() }
}

#[test]
fn each_question_has_three_answers() {
    use Verdict::{Fail, NotAsked, Pass, Unknown};
    let unread = unreadable();
    let other = read(Managed::default());
    check(present(Ok(good())), &state(), [Pass, Pass, Pass], &[]);
    check(present(Ok(good())), &other, [Pass, Pass, Fail], &["NotInState"]);
    // An unread state has its own row; the resources do not repeat it.
    check(present(Ok(good())), &unread, [Pass, Pass, Unknown], &[]);
    check(present(Ok(good())), &States::Undeclared, [Pass, Pass, Unknown], &[]);
    check(present(Err("x".to_owned())), &state(), [Pass, Unknown, Pass], &["InsufficientData"]);
    check(present(Ok(BTreeMap::new())), &other, [Pass, Fail, Fail], &["TagsMissing", "NotInState"]);
    check(Observation::Absent, &state(), [Fail, NotAsked, NotAsked], &["Missing"]);
    let unseen = || Observation::Unknown("x".to_owned());
    check(unseen(), &state(), [Unknown, Unknown, Unknown], &["InsufficientData"]);
    // Terraform does not manage a stack's resources.
    let mut stacks = good();
    stacks.insert(STACK_TAG.to_owned(), "arn".to_owned());
    check(present(Ok(stacks)), &other, [Pass, Pass, NotAsked], &[]);
}

#[test]
fn the_three_tags() {
    let policy = policy();
    for (values, expected) in [
        (["moveongs", "dev", "terraform"], vec![]),
        (["moveongs", "dev", "ana"], vec![]),
        (["moveongs", "dev", " "], vec!["ManagedBy"]),
        (["moveongs", "prod", "terraform"], vec!["Environment"]),
        (["Moveongs", "dev", "-"], vec!["Project", "ManagedBy"]),
        (["-", "-", "-"], vec!["Project", "Environment", "ManagedBy"]),
    ] {
        let lacks = missing_tags(stack(&policy), &tags(values), true);
        assert_eq!(lacks.iter().map(|(key, _)| *key).collect::<Vec<_>>(), expected, "{values:?}");
    }
}

#[test]
fn a_missing_resource_says_whether_a_state_has_it() {
    let policy = policy();
    for (state, expected) in
        [(state(), Some(true)), (read(Managed::default()), Some(false)), (States::Undeclared, None)]
    {
        let row = judge(stack(&policy), database(), Observation::Absent, &state);
        assert_eq!(row.problems, [Problem::Missing { is_in_state: expected }]);
    }
}

#[test]
fn the_wanted_resources_come_from_policy_and_template() {
    let policy: Policy =
        r#"{"rotation": {"secrets": {"reports": {"max_age_days": 9, "test_sql": ["SELECT 1"]}}}}"#
            .parse()
            .unwrap();
    let secrets = BTreeMap::from([
        ("/moveongs/dev/jwt", "JWT_SECRET"),
        ("/moveongs/dev/db", "DATABASE_URL"),
        ("moveongs-dev-redis-url", "moveongs-dev-redis-url"),
        ("reports", "reports"),
    ]);
    let wanted = wanted(stack(&policy), &secrets, Some("states"));
    let lines: Vec<_> = wanted
        .iter()
        .map(|each| {
            format!("{} {} {} {}", each.area.name(), each.kind.name(), each.name, each.responsible.primary)
        })
        .collect();
    let expected = [
        "application ecs-cluster moveongs-dev-cluster Squad Backend",
        "application ecs-service moveongs-dev-cluster/moveongs-dev-api Squad Backend",
        "database rds-instance moveongs-dev-db Squad Dados",
        "attachments s3-bucket moveongs-dev-attachments Squad Infra",
        "observability log-group /aws/ecs/moveongs-dev-api Squad Observability",
        "secrets secret /moveongs/dev/db Squad Dados",
        "secrets secret /moveongs/dev/jwt Squad Infra",
        "secrets secret moveongs-dev-redis-url Squad Infra",
        "secrets secret reports Squad Dados",
        "infrastructure s3-bucket states Squad Infra",
    ];
    assert_eq!(lines, expected);
    // Terraform does not manage its own state's bucket.
    assert_eq!(wanted.iter().filter(|each| !each.must_be_managed).count(), 1);
}

#[test]
fn other_resources_are_judged_by_their_kind() {
    let policy = policy();
    let arn = |rest: &str| tagged(&format!("arn:aws:{rest}"), Some("dev"), None);
    let account = "us-east-1:123456789012";
    let listed = BTreeSet::from([(Kind::RdsInstance, "moveongs-dev-db".to_owned())]);
    for (rest, expected) in [
        // In the inventory.
        (format!("rds:{account}:db:moveongs-dev-db"), None),
        // AWS creates these.
        (format!("rds:{account}:snapshot:moveongs-dev-20260301"), None),
        (format!("ecs:{account}:task/moveongs-dev-cluster/0123"), None),
        (format!("ecs:{account}:task-definition/moveongs-dev-api:7"), None),
        (format!("rds:{account}:cluster-snapshot:x"), None),
        // Kinds of the inventory.
        (
            "s3:::moveongs-dev-attachments".to_owned(),
            Some(("s3-bucket moveongs-dev-attachments", vec!["NotInInventory"])),
        ),
        (
            "s3:::moveongs-dev-copies".to_owned(),
            Some(("s3-bucket moveongs-dev-copies", vec!["NotInState", "NotInInventory"])),
        ),
        (
            format!("logs:{account}:log-group:/aws/x:*"),
            Some(("log-group /aws/x", vec!["NotInState", "NotInInventory"])),
        ),
        (
            format!("secretsmanager:{account}:secret:/m/dev/key-AbCdEf"),
            Some(("secret /m/dev/key", vec!["NotInState", "NotInInventory"])),
        ),
        (
            format!("ecs:{account}:service/c/web"),
            Some(("ecs-service c/web", vec!["NotInState", "NotInInventory"])),
        ),
        (
            format!("rds:{account}:cluster:moveongs-dev"),
            Some(("rds-cluster moveongs-dev", vec!["NotInState", "NotInInventory"])),
        ),
        (
            format!("elasticfilesystem:{account}:file-system/fs-1"),
            Some(("efs-file-system fs-1", vec!["NotInState", "NotInInventory"])),
        ),
        (
            format!("grafana:{account}:/workspaces/g-1"),
            Some(("grafana-workspace g-1", vec!["NotInState", "NotInInventory"])),
        ),
        (
            format!("aps:{account}:workspace/ws-1"),
            Some(("prometheus-workspace ws-1", vec!["NotInState", "NotInInventory"])),
        ),
        // Other kinds: only the state is checked.
        (
            format!("ec2:{account}:subnet/subnet-0aaaaaaaaaaaaaaa1"),
            Some(("ec2:subnet subnet/subnet-0aaaaaaaaaaaaaaa1", vec![])),
        ),
        (format!("sns:{account}:byhand"), Some(("sns:topic byhand", vec!["NotInState"]))),
        (
            "apigateway:us-east-1::/restapis/abc".to_owned(),
            Some(("apigateway:restapis /restapis/abc", vec!["NotInState"])),
        ),
    ] {
        let row = judge_other(stack(&policy), &arn(&rest), &listed, &state());
        let seen = row.as_ref().map(|row| (row.about(), row.problems.iter().map(Problem::kind).collect()));
        assert_eq!(seen, expected.map(|(about, kinds)| (about.to_owned(), kinds)), "{rest}");
    }
    // Without a state the verdict is unknown, not a finding.
    let row =
        judge_other(stack(&policy), &arn(&format!("sns:{account}:byhand")), &listed, &States::Undeclared);
    assert_eq!(row.map(|row| (row.state, row.problems)), Some((Verdict::Unknown, vec![])));
}

#[test]
fn an_unseen_resource_never_passes() {
    let policy = policy();
    let kinds = |seen: Vec<(Wanted, Observation)>, state: &States, tagged: &Result<Vec<Tagged>, String>| {
        let rows = decide(stack(&policy), seen, state, tagged);
        rows.iter().flat_map(|row| row.problems.iter().map(Problem::kind)).collect::<Vec<_>>()
    };
    let seen = |observation: Observation| vec![(database(), observation)];
    let (none, unread) = (Ok(Vec::new()), Err("x".to_owned()));
    assert_eq!(kinds(seen(present(Ok(good()))), &state(), &none), [""; 0]);
    assert_eq!(kinds(seen(present(Ok(good()))), &States::Undeclared, &none), ["StateUndeclared"]);
    let lost = unreadable();
    assert_eq!(kinds(seen(present(Ok(good()))), &lost, &none), ["StateUnreadable"]);
    assert_eq!(kinds(seen(present(Ok(good()))), &state(), &unread), ["ListUnread"]);
    let unseen = || seen(Observation::Unknown("x".to_owned()));
    assert_eq!(kinds(unseen(), &state(), &none), ["NothingRead", "InsufficientData"]);
    let both = vec![(database(), Observation::Unknown("x".to_owned())), (database(), present(Ok(good())))];
    assert_eq!(kinds(both, &state(), &none), ["InsufficientData"]);
    assert_eq!(kinds(unseen(), &state(), &unread), ["NothingRead", "InsufficientData", "ListUnread"]);
    // Resources of this product's own stack belong neither to the inventory nor to Terraform.
    let own = tagged("arn:aws:s3:::evidence", Some("dev"), Some("own"));
    assert_eq!(kinds(Vec::new(), &state(), &Ok(vec![own])), [""; 0]);
}

#[test]
fn a_resource_without_an_environment_is_reported_and_another_environments_is_not() {
    let policy = policy();
    let (bucket, alarm) =
        ("arn:aws:s3:::copies", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:API: `y`\n");
    for (found, expected) in [
        (tagged(bucket, Some("dev"), None), Some(("s3-bucket copies", vec!["NotInState", "NotInInventory"]))),
        (tagged(bucket, None, None), Some(("s3-bucket copies", vec!["TagsMissing"]))),
        (tagged(bucket, Some(" "), None), Some(("s3-bucket copies", vec!["TagsMissing"]))),
        (tagged(bucket, Some("Dev"), None), Some(("s3-bucket copies", vec!["TagsMissing"]))),
        (tagged(bucket, Some("prod"), None), None),
        // CloudFormation manages it, but no team is responsible for it.
        (tagged(bucket, Some("dev"), Some("other")), Some(("s3-bucket copies", vec!["NotInInventory"]))),
        (tagged(bucket, None, Some("own")), None),
        // A name can neither end its key nor break out of its place in a message.
        (tagged(alarm, Some("dev"), None), Some(("cloudwatch:alarm alarm:API:?y??", vec!["NotInState"]))),
    ] {
        let row = judge_other(stack(&policy), &found, &BTreeSet::new(), &state());
        let seen = row.as_ref().map(|row| (row.about(), row.problems.iter().map(Problem::kind).collect()));
        assert_eq!(seen, expected.map(|(about, kinds)| (about.to_owned(), kinds)), "{found:?}");
    }
}

#[test]
fn tagged_resources_outside_the_inventory_are_looked_at() {
    let policy = policy();
    let listed = BTreeSet::from([(Kind::S3Bucket, "a".to_owned())]);
    let is_looked_at = |found: &Tagged| unlisted(stack(&policy), found, &listed).is_some();
    assert!(is_looked_at(&tagged("arn:aws:s3:::b", Some("dev"), None)));
    assert!(is_looked_at(&tagged("arn:aws:s3:::b", None, Some("other"))));
    for found in [
        tagged("arn:aws:s3:::a", Some("dev"), None),
        tagged("arn:aws:s3:::b", Some("prod"), None),
        tagged("arn:aws:s3:::b", Some("dev"), Some("own")),
        tagged("arn:aws:sns:us-east-1:123456789012:b", Some("dev"), None),
    ] {
        assert!(!is_looked_at(&found), "{found:?}");
    }
}

#[test]
fn a_bucket_of_states_can_serve_several_environments() {
    let policy = policy();
    let wanted = wanted(stack(&policy), &BTreeMap::new(), Some("states")).pop().unwrap();
    let kinds = |values: [&str; 3]| {
        let observation = Observation::Present {
            arn: "arn:aws:s3:::states".to_owned(),
            tags: Ok(tags(values)),
            details: Details::default(),
        };
        let row = judge(stack(&policy), wanted.clone(), observation, &state());
        row.problems.iter().map(Problem::kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(["moveongs", "prod", "ana"]), [""; 0]);
    assert_eq!(kinds(["moveongs", "-", "ana"]), ["TagsMissing"]);
    assert_eq!(kinds(["other", "dev", "ana"]), ["TagsMissing"]);
}

#[test]
fn an_area_without_resources_is_reported_and_a_secret_has_two_teams_too() {
    let policy: Policy = r#"{"inventory": {"areas": {"database": {"resources": {"rds-instance": []}}}},
        "rotation": {"secrets": {"JWT_SECRET": {"responsible": {"primary": "Squad Infra", "backup": " squad infra"}}}}}"#
        .parse()
        .unwrap();
    let secrets = BTreeMap::from([("jwt", "JWT_SECRET")]);
    let seen = wanted(stack(&policy), &secrets, None).into_iter().filter(|each| each.name == "jwt");
    let seen = seen.map(|each| (each, present(Ok(good())))).collect();
    let rows = decide(stack(&policy), seen, &read(Managed::default()), &Ok(Vec::new()));
    let keys: BTreeSet<_> =
        rows.iter().flat_map(|row| row.problems.iter().map(|problem| row.key(problem))).collect();
    let expected = ["EmptyArea area database", "NotInState secret jwt", "OneTeam secret jwt"];
    assert_eq!(keys, expected.map(str::to_owned).into());
}

#[test]
fn an_area_with_one_team_has_no_backup() {
    let one = r#"{"inventory": {"areas": {"database": {"responsible": {"backup": "Squad Dados"}}}}}"#;
    let policy: Policy = one.parse().unwrap();
    let rows = decide(stack(&policy), Vec::new(), &state(), &Ok(Vec::new()));
    assert_eq!(
        rows.iter().map(|row| row.key(&row.problems[0])).collect::<Vec<_>>(),
        ["OneTeam area database"]
    );
    assert_eq!(rows[0].area, Some(Area::Database));
}

/// The states of the case: one resource for each type of the inventory that a line names.
fn split() -> Vec<(&'static str, Managed)> {
    let case = include_str!("../../../../../tests/cases/12-terraform-states-split.md");
    let lines = case.lines().filter_map(|line| line.strip_prefix("s3://moveongs-tfstate/")?.split_once(' '));
    let arns = [
        ("aws_db_instance", DB),
        ("aws_s3_bucket", "arn:aws:s3:::moveongs-dev-attachments"),
        ("aws_vpc", "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1"),
    ];
    let state = |(key, holds): (&'static str, &str)| {
        let held = arns.iter().filter(|(kind, _)| holds.contains(kind)).map(|(kind, arn)| {
            serde_json::json!({"mode": "managed", "type": kind, "name": "x", "instances": [{"attributes": {"arn": arn}}]})
        });
        let held: Vec<_> = held.collect();
        (
            key,
            parse(key, serde_json::json!({"version": 4, "resources": held}).to_string().as_bytes()).unwrap(),
        )
    };
    lines.map(state).collect()
}

#[test]
fn a_resource_that_an_unread_state_may_hold_is_not_verified() {
    let policy = policy();
    let bucket = wanted(stack(&policy), &BTreeMap::new(), None)
        .into_iter()
        .find(|each| each.kind == Kind::S3Bucket)
        .unwrap();
    let judged = |wanted: &Wanted, arn: &str, state: &States| {
        let observation =
            Observation::Present { arn: arn.to_owned(), tags: Ok(good()), details: Details::default() };
        let row = judge(stack(&policy), wanted.clone(), observation, state);
        (row.state, row.problems.iter().map(Problem::kind).collect::<Vec<_>>())
    };
    let merged = |unread: &[&str]| {
        let mut managed = Managed::default();
        for (_, held) in split().into_iter().filter(|(key, _)| !unread.contains(key)) {
            managed.merge(held);
        }
        States::Read {
            managed,
            unread: unread.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect(),
        }
    };
    let attachments = "arn:aws:s3:::moveongs-dev-attachments";
    let (fine, unverified) = ((Verdict::Pass, vec![]), (Verdict::Unknown, vec![]));
    let all = merged(&[]);
    assert_eq!(
        [judged(&database(), DB, &all), judged(&bucket, attachments, &all)],
        [fine.clone(), fine.clone()]
    );
    let partly = merged(&["dev/database/terraform.tfstate"]);
    assert_eq!([judged(&database(), DB, &partly), judged(&bucket, attachments, &partly)], [unverified, fine]);
    let missing = judge(stack(&policy), database(), Observation::Absent, &partly);
    assert_eq!(missing.problems, [Problem::Missing { is_in_state: None }]);
    // Each unread state is reported by its name.
    let rows = decide(stack(&policy), Vec::new(), &partly, &Ok(Vec::new()));
    let keys: Vec<_> = rows.iter().map(|row| row.key(&row.problems[0])).collect();
    assert_eq!(keys, ["StateUnreadable terraform-state dev/database/terraform.tfstate"]);
    // If every state was read, a resource in none of them is a finding.
    let mut apart = Managed::default();
    apart.merge(split().remove(2).1);
    assert_eq!(judged(&database(), DB, &read(apart)), (Verdict::Fail, vec!["NotInState"]));
}

#[test]
fn a_member_of_a_cluster_is_imported_by_its_engine() {
    let policy = policy();
    let details = |engine: &str, cluster: Option<&str>| Details {
        engine: Some(engine.to_owned()),
        cluster: cluster.map(str::to_owned),
        ..Details::default()
    };
    for (details, expected) in [
        (details("postgres", None), ("aws_db_instance", "moveongs-dev-db")),
        (details("aurora-postgresql", Some("moveongs-dev")), ("aws_rds_cluster_instance", "moveongs-dev-db")),
        // Terraform has no resource for a member of a Multi-AZ cluster.
        (details("postgres", Some("moveongs-dev")), ("aws_rds_cluster", "moveongs-dev")),
        (details("docdb", Some("moveongs-dev")), ("aws_docdb_cluster_instance", "moveongs-dev-db")),
    ] {
        let observation = Observation::Present { arn: DB.to_owned(), tags: Ok(good()), details };
        let row = judge(stack(&policy), database(), observation, &read(Managed::default()));
        assert_eq!(row.problems, [Problem::NotInState]);
        assert_eq!(row.import.as_ref().map(|(kind, id)| (*kind, id.as_str())), Some(expected));
    }
    // The state holds the member itself, or its Multi-AZ cluster.
    let case = include_str!("../../../../../tests/cases/11b-terraform-state-aurora-member.json");
    let cluster = r#"{"version": 4, "resources": [{"mode": "managed", "type": "aws_rds_cluster", "name": "x",
        "instances": [{"attributes": {"arn": "arn:aws:rds:us-east-1:123456789012:cluster:moveongs-dev"}}]}]}"#;
    for (engine, state, verdict) in [
        ("aurora-postgresql", case, Verdict::Pass),
        ("aurora-postgresql", cluster, Verdict::Fail),
        ("postgres", cluster, Verdict::Pass),
    ] {
        let observation = Observation::Present {
            arn: DB.to_owned(),
            tags: Ok(good()),
            details: details(engine, Some("moveongs-dev")),
        };
        let state = read(parse("k", state.as_bytes()).unwrap());
        assert_eq!(judge(stack(&policy), database(), observation, &state).state, verdict, "{engine}");
    }
}

#[test]
fn a_value_in_a_state_is_a_finding_of_its_secret() {
    let policy = policy();
    let case = include_str!("../../../../../tests/cases/09a-terraform-state-holds-the-value.json");
    let state = read(parse("dev.tfstate", case.as_bytes()).unwrap());
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3";
    let secrets = BTreeMap::from([("/moveongs/dev/jwt", "JWT_SECRET")]);
    for rotates in [true, false] {
        let details = Details { rotates: Some(rotates), ..Details::default() };
        let seen = wanted(stack(&policy), &secrets, None)
            .into_iter()
            .filter(|each| each.name == "/moveongs/dev/jwt")
            .map(|each| {
                (
                    each,
                    Observation::Present { arn: arn.to_owned(), tags: Ok(good()), details: details.clone() },
                )
            });
        let rows = decide(stack(&policy), seen.collect(), &state, &Ok(Vec::new()));
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!(row.key(&row.problems[0]), "ValueInState secret /moveongs/dev/jwt");
        let Problem::ValueInState { rotates: reported, .. } = &row.problems[0] else { panic!("{row:?}") };
        assert_eq!(*reported, Some(rotates));
    }
    // A value of a secret without a row gets its own row; the secret is read for its rotation.
    let unseen_secrets = unseen_secrets(&state, &[], &Ok(Vec::new()));
    assert_eq!(unseen_secrets, BTreeMap::from([(arn.to_owned(), "/moveongs/dev/jwt".to_owned())]));
    let States::Read { mut managed, .. } = state else { panic!("the state is read") };
    managed.note_rotation(arn, true);
    let state = read(managed);
    let rows = decide(stack(&policy), Vec::new(), &state, &Ok(Vec::new()));
    let keys: Vec<_> = rows.iter().map(|row| row.key(&row.problems[0])).collect();
    assert_eq!(keys, ["ValueInState terraform-value dev.tfstate aws_secretsmanager_secret_version.jwt"]);
    assert!(matches!(rows[0].problems[0], Problem::ValueInState { rotates: Some(true), .. }), "{rows:?}");
}

#[test]
fn a_setting_that_differs_between_state_and_aws_is_a_finding() {
    let policy = policy();
    let held = format!(
        r#"{{"version": 4, "resources": [{{"mode": "managed", "type": "aws_db_instance", "name": "db", "instances": [
            {{"attributes": {{"arn": "{DB}", "backup_retention_period": 7, "deletion_protection": true}}}}]}}]}}"#
    );
    let state = read(parse("k", held.as_bytes()).unwrap());
    let shown = |retention: Result<&str, &str>, protection: Option<&str>| {
        let retention = retention.map(str::to_owned).map_err(str::to_owned);
        let protection = protection.map(|value| (Setting::DeletionProtection, Ok(value.to_owned())));
        let settings = [(Setting::BackupRetention, retention)].into_iter().chain(protection).collect();
        let observation = Observation::Present {
            arn: DB.to_owned(),
            tags: Ok(good()),
            details: Details { settings, ..Details::default() },
        };
        let row = judge(stack(&policy), database(), observation, &state);
        let keys = row.problems.iter().map(|problem| row.key(problem)).collect::<Vec<_>>();
        (row.settings, keys)
    };
    let key = |key: &str| format!("{key} rds-instance moveongs-dev-db");
    let retention = format!("{} backup_retention_period", key("Drift"));
    let protection = format!("{} deletion_protection", key("Drift"));
    assert_eq!(shown(Ok("7"), Some("true")), (Verdict::Pass, vec![]));
    assert_eq!(shown(Ok("1"), Some("true")), (Verdict::Fail, vec![retention.clone()]));
    assert_eq!(shown(Ok("1"), Some("false")), (Verdict::Fail, vec![retention, protection]));
    // A setting that was not read is not verified.
    assert_eq!(shown(Err("x"), Some("true")), (Verdict::Unknown, vec![key("InsufficientData")]));
    assert_eq!(shown(Ok("7"), None), (Verdict::Unknown, vec![key("InsufficientData")]));
}

#[test]
fn a_url_is_not_looked_at() {
    let url: Policy = r#"{"inventory": {"areas": {"observability": {"resources": {"log-group": [],
        "url": ["https://grafana.example.org"], "grafana-workspace": ["g-0123456789"]}}}}}"#
        .parse()
        .unwrap();
    let all = wanted(stack(&url), &BTreeMap::new(), None);
    let grafana = all.iter().find(|each| each.kind == Kind::Url).unwrap().clone();
    let row = judge(stack(&url), grafana, Observation::OutsideAws, &state());
    assert_eq!([row.exists, row.tags, row.state, row.settings], [Verdict::NotAsked; 4]);
    assert!(row.problems.is_empty() && all.iter().any(|each| each.kind == Kind::GrafanaWorkspace));
}

#[test]
fn only_a_missing_resource_pages() {
    let pages = |problem: Problem| problem.pages();
    assert!(pages(Problem::NothingRead) && pages(Problem::Missing { is_in_state: None }));
    for quiet in [
        Problem::NotInState,
        Problem::StateUndeclared,
        Problem::InsufficientData { why: String::new() },
        Problem::OneTeam,
    ] {
        assert!(!pages(quiet));
    }
}
