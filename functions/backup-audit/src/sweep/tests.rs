use std::collections::{BTreeMap, BTreeSet};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use shared::runtime::env::Env;
use shared::runtime::language::Language;
use shared::testing::{aws, replies, variables};

use super::find::{find, owns_snapshot};
use super::*;
use crate::aws::rds::Listed;
use crate::rules::finding::Worst;
use crate::rules::rule::tests::context;

/// A DB instance: its name, its cluster, and whether it has the environment's tags.
type Db = (&'static str, Option<&'static str>, bool);

/// A cluster: its name, whether it has the environment's tags, and its members.
type Cluster = (&'static str, bool, &'static [&'static str]);

const ONE: &[Db] = &[("moveongs-prod-db", None, false)];

/// A fake of AWS: one action of RDS hangs, instances are listed, clusters too if given, no snapshot has a requested
/// name, and everything else is denied.
#[derive(Clone, Copy, Debug)]
struct Fake {
    hanging: &'static str,
    instances: &'static [Db],
    clusters: Option<&'static [Cluster]>,
}

fn tags(has: bool) -> &'static str {
    if has {
        "<TagList><Tag><Key>Project</Key><Value>moveongs</Value></Tag><Tag><Key>Environment</Key><Value>prod</Value></Tag></TagList>"
    } else {
        ""
    }
}

/// The tags of a restore test's instance, before or past its deadline.
fn tags_of_test(name: &str) -> &'static str {
    if name.ends_with("-late") {
        "<TagList><Tag><Key>ManagedBy</Key><Value>restore-test</Value></Tag><Tag><Key>DeleteAfter</Key><Value>2020-01-01T00:00:00Z</Value></Tag></TagList>"
    } else if name.contains("-restore-test-") {
        "<TagList><Tag><Key>ManagedBy</Key><Value>restore-test</Value></Tag><Tag><Key>DeleteAfter</Key><Value>2026-11-26T20:00:00Z</Value></Tag></TagList>"
    } else {
        ""
    }
}

fn instance((name, cluster, is_tagged): &Db) -> String {
    let cluster = cluster.map(|of| format!("<DBClusterIdentifier>{of}</DBClusterIdentifier>"));
    format!(
        "<DBInstance><DBInstanceIdentifier>{name}</DBInstanceIdentifier>{}{}<DBInstanceStatus>available</DBInstanceStatus><PubliclyAccessible>true</PubliclyAccessible><BackupRetentionPeriod>30</BackupRetentionPeriod></DBInstance>",
        cluster.unwrap_or_default(),
        if *is_tagged { tags(true) } else { tags_of_test(name) }
    )
}

fn cluster((name, is_tagged, members): &Cluster) -> String {
    let members = members.iter().map(|member| {
        format!("<DBClusterMember><DBInstanceIdentifier>{member}</DBInstanceIdentifier></DBClusterMember>")
    });
    format!(
        "<DBCluster><DBClusterIdentifier>{name}</DBClusterIdentifier>{}<Status>available</Status><DeletionProtection>false</DeletionProtection><DBClusterMembers>{}</DBClusterMembers></DBCluster>",
        tags(*is_tagged),
        members.collect::<String>()
    )
}

impl HttpConnector for Fake {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
        let is = |action: &str| body.contains(&format!("Action={action}&"));
        if is(self.hanging) {
            return HttpConnectorFuture::new(std::future::pending());
        }
        let requested = |parameter: &str| {
            let (_, rest) = body.split_once(&format!("&{parameter}="))?;
            rest.split('&').next().map(str::to_owned)
        };
        let is_asked = |parameter, name: &str| requested(parameter).is_none_or(|requested| requested == name);
        let list = |kind: &str, found: Vec<String>| {
            if found.is_empty() && requested(&format!("{kind}Identifier")).is_some() {
                let code = format!("{kind}NotFound{}", if kind == "DBCluster" { "Fault" } else { "" });
                return (404, format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>"));
            }
            let found = found.concat();
            let answer = format!("Describe{kind}s");
            (
                200,
                format!(
                    "<{answer}Response><{answer}Result><{kind}s>{found}</{kind}s></{answer}Result></{answer}Response>"
                ),
            )
        };
        let (status, answer) = match self.clusters {
            _ if is("DescribeDBInstances") => {
                let found = self.instances.iter().filter(|one| is_asked("DBInstanceIdentifier", one.0));
                list("DBInstance", found.map(instance).collect())
            }
            Some(clusters) if is("DescribeDBClusters") => {
                let found = clusters.iter().filter(|one| is_asked("DBClusterIdentifier", one.0));
                list("DBCluster", found.map(cluster).collect())
            }
            _ if requested("DBSnapshotIdentifier").is_some() => list("DBSnapshot", Vec::new()),
            _ if requested("DBClusterSnapshotIdentifier").is_some() => list("DBClusterSnapshot", Vec::new()),
            _ => (403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>".to_owned()),
        };
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), answer.into())))
    }
}

fn app(database: &'static str, fake: Fake) -> App {
    let variables = variables(&[
        ("ENVIRONMENT", "prod"),
        ("DATABASE_INSTANCE_ID", database),
        ("EVIDENCE_LOCK_MODE", "GOVERNANCE"),
        ("EVIDENCE_LOCK_DAYS", "730"),
        ("BACKUP_REPAIRS", ""),
        ("ATTACHMENTS_BUCKET", ""),
        ("UPLOADS_BUCKET", ""),
        ("APP_KMS_KEY_ARN", ""),
        ("TERRAFORM_STATE_BUCKET", ""),
        ("TERRAFORM_LOCK_TABLE", ""),
        ("GRAFANA_BUCKET", ""),
    ]);
    let client = http_client_fn(move |_, _| SharedHttpConnector::new(fake));
    let aws = aws(&replies(&[])).to_builder().http_client(client).build();
    App::new(&Env::new(&variables), &aws).unwrap()
}

type Verdicts = BTreeMap<(String, String), String>;

/// The verdicts, by rule and resource, and whether the sections of instances and clusters are complete.
async fn judged(database: &'static str, fake: Fake) -> (Verdicts, [bool; 2]) {
    let (app, context) = (app(database, fake), context());
    let context = Context { database, ..context };
    let place = app.place.clone();
    let findings = Findings::new(context.now, Language::English, place, Vec::new()).unwrap();
    let (findings, progress) = (RefCell::new(findings), RefCell::<Progress>::default());
    Sweep::new(&app, &context, &findings, &progress).run().await.unwrap();
    let ends =
        ["rds:instances", "rds:clusters"].map(|part| progress.borrow_mut().of(part).end == Some(Ok(())));
    let outcome = findings.into_inner().finish(Worst::default()).unwrap();
    let found = outcome.worst.findings.into_iter();
    (found.map(|one| ((one.rule, one.resource), one.verdict)).collect(), ends)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_does_not_stop_the_judgement_of_instances() {
    for hanging in [
        "DescribeDBSnapshots",
        "DescribeDBSnapshotAttributes",
        "DescribeDBClusters",
        "DescribeDBClusterSnapshots",
        "DescribeEventSubscriptions",
        "DescribeBlueGreenDeployments",
    ] {
        let fake = Fake { hanging, instances: ONE, clusters: Some(&[]) };
        let (verdicts, ends) = judged("moveongs-prod-db", fake).await;
        assert_eq!(ends, [true, hanging != "DescribeDBClusters"], "{hanging}");
        let of = |rule: &str| &*verdicts[&(rule.to_owned(), "moveongs-prod-db".to_owned())];
        assert_eq!(of("rds.public"), "fail", "{hanging}");
        assert_eq!(of("rds.snapshot-fresh"), "unknown", "{hanging}");
        assert_eq!(of("rds.events"), "unknown", "{hanging}");
        assert!(!verdicts.keys().any(|(rule, _)| rule == "rds.exists"), "{hanging}");
    }
}

/// The database that the template names, the instances, the clusters, and the databases that are judged.
type Owned = (&'static str, &'static [Db], &'static [Cluster], &'static [&'static str]);

/// Ownership by name, by tags, and from either to the rest of the cluster.
const OWNED: [Owned; 7] = [
    (
        "legacy",
        &[("legacy-1", Some("legacy"), false), ("legacy-2", Some("legacy"), false), ("other", None, false)],
        &[("legacy", false, &["legacy-1", "legacy-2"])],
        &["legacy", "legacy-1", "legacy-2"],
    ),
    ("db", &[("a-1", Some("a"), false)], &[("a", true, &["a-1"])], &["a", "a-1"]),
    (
        "db",
        &[("a-1", Some("a"), true), ("a-2", Some("a"), false)],
        &[("a", false, &["a-1", "a-2"])],
        &["a", "a-1", "a-2"],
    ),
    (
        "a-1",
        &[("a-1", Some("a"), false), ("a-2", Some("a"), false)],
        &[("a", false, &["a-1", "a-2"])],
        &["a", "a-1", "a-2"],
    ),
    (
        "db",
        &[("x-1", Some("moveongs-prod"), false)],
        &[("moveongs-prod", false, &["x-1"])],
        &["moveongs-prod", "x-1"],
    ),
    (
        "db",
        &[("a-1", Some("a"), false), ("b-1", Some("b"), false)],
        &[("a", false, &["a-1"]), ("b", true, &["b-1"])],
        &["b", "b-1"],
    ),
    ("db", &[("a-1", Some("a"), false)], &[("a", false, &["a-1"])], &[]),
];

#[tokio::test]
async fn a_cluster_and_its_members_are_owned_together() {
    for (database, instances, clusters, expected) in OWNED {
        let fake = Fake { hanging: "-", instances, clusters: Some(clusters) };
        let (verdicts, ends) = judged(database, fake).await;
        assert_eq!(ends, [true; 2], "{expected:?}");
        let requested = ["rds.public", "rds.deletion-protection"];
        let judged: BTreeSet<_> = verdicts
            .keys()
            .filter(|(rule, _)| requested.contains(&rule.as_str()))
            .map(|(_, resource)| resource.as_str())
            .collect();
        assert_eq!(judged, BTreeSet::from_iter(expected.iter().copied()));
        let (app, context) = (app(database, fake), context());
        for name in instances.iter().map(|one| one.0).chain(clusters.iter().map(|one| one.0)) {
            let found = find(&app, name, Some("rds"), &context).await.unwrap();
            assert_eq!(found.len(), usize::from(expected.contains(&name)), "{name} of {expected:?}");
        }
    }
}

/// A list is only incomplete if one of its resources could belong to the environment through the missing list.
#[tokio::test(start_paused = true)]
async fn without_the_other_list_databases_owned_by_name_are_judged_and_the_rest_is_unknown() {
    let others: &[(&[Db], bool)] =
        &[(&[], true), (&[("y", None, false)], true), (&[("y-1", Some("y"), false)], false)];
    for (others, is_whole) in others {
        let own: &[Db] = &[("moveongs-prod-db", None, false), ("x-1", Some("moveongs-prod"), false)];
        let instances = Vec::leak([own, others].concat());
        let fake = Fake { hanging: "-", instances, clusters: None };
        let (verdicts, ends) = judged("moveongs-prod-db", fake).await;
        assert_eq!(ends, [*is_whole, false], "{others:?}");
        for name in ["moveongs-prod-db", "x-1"] {
            assert_eq!(verdicts[&("rds.public".to_owned(), name.to_owned())], "fail");
        }
    }
    let others: &[(&[Cluster], bool)] =
        &[(&[], true), (&[("y", false, &[])], true), (&[("y", false, &["y-1"])], false)];
    for (others, is_whole) in others {
        let own: &[Cluster] = &[("moveongs-prod", false, &["x-1"])];
        let clusters = Vec::leak([own, others].concat());
        let fake = Fake { hanging: "DescribeDBInstances", instances: &[], clusters: Some(clusters) };
        let (verdicts, ends) = judged("moveongs-prod-db", fake).await;
        assert_eq!(ends[1], *is_whole, "{others:?}");
        let of = |rule: &str| &*verdicts[&(rule.to_owned(), "moveongs-prod".to_owned())];
        assert_eq!(of("rds.deletion-protection"), "fail");
    }
}

#[tokio::test]
async fn a_snapshot_of_a_deleted_cluster_is_owned_by_the_clusters_name() {
    for (of, is_of_cluster, expected) in [
        ("moveongs-prod", true, true),
        ("moveongs-prod-2", true, true),
        ("moveongs-production", true, false),
        ("moveongs-prod", false, false),
    ] {
        let app = app("db", Fake { hanging: "-", instances: &[], clusters: Some(&[]) });
        let listed = Listed {
            name: "s".to_owned(),
            arn: String::new(),
            of: of.to_owned(),
            resource_id: None,
            is_of_cluster,
            engine: None,
            kind: "manual".to_owned(),
            is_available: true,
            made: None,
            is_encrypted: None,
            tags: BTreeMap::new(),
        };
        assert_eq!(owns_snapshot(&app, &listed).await, Ok(expected), "{of}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_test_in_progress_is_no_finding_and_one_past_its_deadline_is() {
    let instances: &[Db] = &[
        ("moveongs-prod-db", None, false),
        ("moveongs-prod-restore-test-0a1b", None, false),
        ("moveongs-prod-restore-test-late", None, false),
    ];
    let fake = Fake { hanging: "-", instances, clusters: Some(&[]) };
    let (found, _) = judged("moveongs-prod-db", fake).await;
    let judged: BTreeSet<&str> = found.keys().map(|(_, resource)| resource.as_str()).collect();
    assert!(judged.contains("moveongs-prod-db") && judged.contains("moveongs-prod-restore-test-late"));
    assert!(!judged.contains("moveongs-prod-restore-test-0a1b"), "{judged:?}");
}
