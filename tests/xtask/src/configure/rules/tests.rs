use super::*;
use crate::configure::facts::{
    Caller, Database, Secret, SecurityGroup, Service, Stack, StateBucket, Subnet, SubnetGroup, Target,
};
use crate::configure::names::place;
use crate::configure::template::ours;

/// An account as the application's Terraform makes it, with prod beside dev.
fn facts() -> Facts {
    let strings = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
    let database = |name: &str| Database {
        named: named(name),
        port: Some(5432),
        subnet_group: Some("private".to_owned()),
        groups: vec!["sg-db".to_owned()],
        parameter_group: Some("default.postgres15".to_owned()),
        ..Database::default()
    };
    Facts {
        caller: Caller { account: "111122223333".to_owned(), partition: "aws".to_owned(), arn: None },
        roles: Ok(Vec::new()),
        users: Ok(Vec::new()),
        groups: strings(&["moveongs-ops"]),
        databases: Ok(vec![database("moveongs-dev-db"), database("moveongs-prod-db")]),
        database_clusters: Ok(Vec::new()),
        clusters: Ok(vec![named("moveongs-dev-cluster")]),
        services: Ok(vec![Service {
            named: named("moveongs-dev-api"),
            cluster: "moveongs-dev-cluster".to_owned(),
            targets: vec![TARGET.to_owned()],
            secrets: vec![
                ("JWT_SECRET".to_owned(), arn("moveongs-dev-jwt")),
                ("DATABASE_URL".to_owned(), arn("moveongs-dev-database-url")),
                ("REDIS_URL".to_owned(), arn("moveongs-dev-redis-url")),
            ],
            log_groups: vec!["/aws/ecs/moveongs-dev-api".to_owned()],
            ..Service::default()
        }]),
        secrets: Ok(vec![
            secret("moveongs-dev-jwt"),
            secret("moveongs-dev-database-url"),
            secret("moveongs-dev-redis-url"),
            secret("moveongs-prod-jwt"),
            secret("/moveongs/dev/slack"),
        ]),
        buckets: strings(&["moveongs-dev-attachments", "moveongs-prod-attachments"]),
        states: Ok(Vec::new()),
        tables: Ok(Vec::new()),
        log_groups: strings(&["/aws/ecs/moveongs-dev-api"]),
        keys: Ok(BTreeMap::new()),
        targets: Ok(vec![Target { arn: TARGET.to_owned(), balancers: vec![BALANCER.to_owned()] }]),
        subnets: Ok(Vec::new()),
        security_groups: Ok(Vec::new()),
        subnet_groups: Ok(vec![subnet_group("private")]),
        senders: Ok(Vec::new()),
        stacks: Ok(Vec::new()),
    }
}

const TARGET: &str =
    "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/moveongs-dev-tg/943f017f100becff";
const BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/moveongs-dev-alb/50dc6c495c0c9188";

fn named(name: &str) -> Named {
    Named { name: name.to_owned(), tags: BTreeMap::new() }
}

/// A secret with a value.
fn secret(name: &str) -> Secret {
    Secret { named: named(name), arn: arn(name), has_value: true, key: None }
}

fn subnet_group(name: &str) -> SubnetGroup {
    SubnetGroup { name: name.to_owned(), vpc: "vpc-1".to_owned() }
}

fn arn(secret: &str) -> String {
    format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{secret}-AbCdEf")
}

fn planned(facts: &Facts, given: &[(&str, &str)]) -> Plan {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (place, required) = (place(), ours().required());
    let known =
        Known { facts, place: &place, given: &given, required: &required, language: Language::Portuguese };
    plan(&known)
}

fn value<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    plan.found.iter().find(|found| found.name == name).map(|found| found.value.as_str())
}

fn asked<'a>(plan: &'a Plan, name: &str) -> Option<&'a Ask> {
    plan.asks.iter().find(|ask| ask.name == name)
}

fn edit(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = facts();
    change(&mut facts);
    facts
}

fn add<T>(list: &mut Seen<T>, one: T) {
    if let Ok(list) = list {
        list.push(one);
    }
}

#[test]
fn an_account_as_the_terraform_makes_it_leaves_only_what_it_cannot_tell() {
    let plan = planned(&facts(), &[]);
    let found: Vec<_> = plan.found.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect();
    assert_eq!(
        found,
        [
            ("Environment", "dev"),
            ("DatabaseInstanceId", "moveongs-dev-db"),
            ("EcsClusterName", "moveongs-dev-cluster"),
            ("JwtSecretName", "moveongs-dev-jwt"),
            ("SlackSecretName", "/moveongs/dev/slack"),
            ("ApplicationLogGroupName", "/aws/ecs/moveongs-dev-api"),
            ("ApplicationLoadBalancerName", "app/moveongs-dev-alb/50dc6c495c0c9188"),
            ("ApplicationTargetGroupName", "targetgroup/moveongs-dev-tg/943f017f100becff"),
        ]
    );
    let asks: Vec<_> = plan.asks.iter().map(|ask| (ask.name.as_str(), ask.is_required)).collect();
    assert_eq!(
        asks,
        [
            ("DatabaseSecretName", false),
            ("AnchorBucketName", false),
            ("AppUrl", false),
            ("DeployerArns", true),
            ("PagingEmail", true)
        ]
    );
    for name in
        ["WebhookSecretName", "TerraformStateBucketName", "RestoreSubnetGroup", "GrafanaExportBucketName"]
    {
        assert!(plan.absent.iter().any(|one| one == name), "{name}: {:?}", plan.absent);
    }
    // What it proposes, the template accepts.
    for one in &plan.found {
        assert_eq!(ours().check(&one.name, &one.value), Ok(()), "{one:?}");
    }
}

#[test]
fn two_databases_of_the_environment_are_asked_and_another_environments_is_no_candidate() {
    let other = |name: &str| Database {
        named: Named { name: name.to_owned(), tags: BTreeMap::new() },
        ..Database::default()
    };
    let facts = edit(|facts| add(&mut facts.databases, other("moveongs-dev-db-2")));
    let plan = planned(&facts, &[]);
    assert_eq!(value(&plan, "DatabaseInstanceId"), None);
    let ask = asked(&plan, "DatabaseInstanceId").unwrap();
    assert_eq!(ask.candidates, ["moveongs-dev-db", "moveongs-dev-db-2"]);
    assert!(ask.is_required);
    // The answer ends the question.
    let plan = planned(&facts, &[("DatabaseInstanceId", "moveongs-dev-db-2")]);
    assert_eq!(asked(&plan, "DatabaseInstanceId"), None);

    // One that nothing assigns is asked too; with only prod's, nothing is proposed.
    let facts = edit(|facts| facts.databases = Ok(vec![other("database-1"), other("moveongs-prod-db")]));
    assert_eq!(asked(&planned(&facts, &[]), "DatabaseInstanceId").unwrap().candidates, ["database-1"]);
    let facts = edit(|facts| facts.databases = Ok(vec![other("moveongs-prod-db")]));
    assert!(asked(&planned(&facts, &[]), "DatabaseInstanceId").unwrap().candidates.is_empty());
}

#[test]
fn what_could_not_be_read_is_said_and_never_taken_as_nothing() {
    let denied = |what: &str| format!("AccessDenied: {what}");
    let facts = edit(|facts| {
        facts.databases = Err(denied("instances"));
        facts.database_clusters = Err(denied("clusters"));
        facts.services = Err(denied("services"));
        facts.targets = Err(denied("services"));
        facts.secrets = Err(denied("secrets"));
        facts.buckets = Err(denied("buckets"));
        facts.states = Err(denied("buckets"));
        facts.tables = Err(denied("tables"));
        facts.log_groups = Err(denied("logs"));
        facts.keys = Err(denied("keys"));
        facts.subnet_groups = Err(denied("subnets"));
        facts.groups = Err(denied("groups"));
    });
    let plan = planned(&facts, &[]);
    assert!(asked(&plan, "DatabaseInstanceId").is_some() && asked(&plan, "JwtSecretName").is_some());
    for (said, parameter) in [
        ("instances", "DatabaseInstanceId"),
        ("clusters", "DatabaseInstanceId"),
        ("services", "ApplicationTargetGroupName"),
        ("secrets", "DatabaseSecretName"),
        ("secrets", "GitHubSecretName"),
        ("secrets", "SecretsKmsKeyArn"),
        ("keys", "SecretsKmsKeyArn"),
        ("buckets", "AttachmentsBucketName"),
        ("buckets", "TerraformStateBucketName"),
        ("tables", "TerraformLockTableName"),
        ("logs", "ApplicationLogGroupName"),
        ("subnets", "RestoreSubnetGroup"),
        ("groups", "OpsGroupName"),
    ] {
        let is_it = |one: &&String| one.contains(&denied(said)) && one.contains(parameter);
        assert!(plan.notices.iter().any(|one| is_it(&one)), "{said} {parameter}: {:?}", plan.notices);
    }
    // What depends on a list that was not read is not said to be missing.
    assert!(plan.absent.is_empty(), "{:?}", plan.absent);
    // An account that was read wholly has nothing for these.
    let read = edit(|facts| facts.buckets = Ok(Vec::new()));
    assert!(planned(&read, &[]).absent.iter().any(|one| one == "AttachmentsBucketName"));
}

#[test]
fn clusters_that_may_not_be_seen_hide_no_instance() {
    let facts = edit(|facts| facts.database_clusters = Err("AccessDenied: clusters".to_owned()));
    let plan = planned(&facts, &[]);
    assert_eq!(value(&plan, "DatabaseInstanceId"), Some("moveongs-dev-db"));
    assert!(plan.notices.iter().any(|one| one.contains("AccessDenied: clusters")), "{:?}", plan.notices);
}

#[test]
fn a_secret_without_a_value_is_said_and_not_taken() {
    let facts = edit(|facts| {
        for name in ["/moveongs/dev/twilio", "/moveongs/dev/database-admin"] {
            add(&mut facts.secrets, Secret { has_value: false, ..secret(name) });
        }
        if let Ok(secrets) = &mut facts.secrets {
            secrets[0].has_value = false;
        }
    });
    let plan = planned(&facts, &[("DatabaseSecretName", "moveongs-dev-database-url")]);
    // The first of all is the one that the service reads as JWT_SECRET.
    assert_eq!(value(&plan, "JwtSecretName"), None);
    assert!(asked(&plan, "JwtSecretName").is_some());
    for (name, parameter) in [
        ("moveongs-dev-jwt", "JwtSecretName"),
        ("/moveongs/dev/twilio", "TwilioSecretName"),
        ("/moveongs/dev/database-admin", "DatabaseAdminSecretArn"),
    ] {
        let is_it = |one: &&String| one.starts_with(&format!("{name} existe, mas sem valor: {parameter} "));
        assert_eq!(plan.notices.iter().filter(is_it).count(), 1, "{name}: {:?}", plan.notices);
        assert_eq!(value(&plan, parameter), None);
        assert!(!plan.absent.iter().any(|one| one == parameter), "{parameter}");
    }
}

/// A cluster of no environment, with a service of dev and one of prod.
fn shared_cluster() -> Facts {
    edit(|facts| {
        let cluster = "moveongs-cluster".to_owned();
        facts.clusters = Ok(vec![named(&cluster)]);
        let plain = |bucket: &str| BTreeMap::from([("S3_BUCKET".to_owned(), bucket.to_owned())]);
        let target = |name: &str| format!("arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/{name}/1");
        let service = |name: &str, secret: &str| Service {
            named: named(name),
            cluster: cluster.clone(),
            targets: vec![target(name)],
            secrets: vec![("JWT_SECRET".to_owned(), arn(secret))],
            plain: plain(&format!("{name}-files")),
            log_groups: Vec::new(),
        };
        facts.services = Ok(vec![
            service("moveongs-prod-api", "jwt-of-prod"),
            service("moveongs-dev-api", "signing-material"),
        ]);
        for name in ["signing-material", "jwt-of-prod"] {
            add(&mut facts.secrets, secret(name));
        }
        let with_balancer = |name: &str| Target {
            arn: target(name),
            balancers: vec![format!("arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/{name}/2")],
        };
        facts.targets = Ok(vec![with_balancer("moveongs-prod-api"), with_balancer("moveongs-dev-api")]);
    })
}

#[test]
fn the_services_of_another_environment_in_a_shared_cluster_say_nothing() {
    let given = [("EcsClusterName", "moveongs-cluster")];
    let plan = planned(&shared_cluster(), &given);
    assert_eq!(value(&plan, "JwtSecretName"), Some("signing-material"));
    assert_eq!(value(&plan, "AttachmentsBucketName"), Some("moveongs-dev-api-files"));
    assert_eq!(value(&plan, "ApplicationLoadBalancerName"), Some("app/moveongs-dev-api/2"));
    assert_eq!(value(&plan, "ApplicationTargetGroupName"), Some("targetgroup/moveongs-dev-api/1"));

    // A service of which nothing says whose it is: what it names is a question, not an answer.
    let mut facts = shared_cluster();
    if let Ok(services) = &mut facts.services {
        services.remove(0);
        services[0].named = named("api");
        services[0].targets = vec!["arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/api/1".to_owned()];
    }
    if let Ok(secrets) = &mut facts.secrets {
        secrets.retain(|secret| secret.named.name != "moveongs-dev-jwt");
    }
    let balancers = vec!["arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/alb/2".to_owned()];
    let arn = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/api/1".to_owned();
    facts.targets = Ok(vec![Target { arn, balancers }]);
    let plan = planned(&facts, &given);
    assert_eq!(asked(&plan, "JwtSecretName").unwrap().candidates, ["signing-material"]);
    assert_eq!(asked(&plan, "ApplicationLoadBalancerName").unwrap().candidates, ["app/alb/2"]);
    assert_eq!(value(&plan, "AttachmentsBucketName"), None);
}

#[test]
fn a_load_balancer_of_another_environment_is_not_taken() {
    let facts = edit(|facts| {
        if let Ok(targets) = &mut facts.targets {
            targets[0].balancers = vec![BALANCER.replace("dev", "prod")];
        }
    });
    assert_eq!(value(&planned(&facts, &[]), "ApplicationLoadBalancerName"), None);
}

#[test]
fn the_bucket_that_the_services_write_to_is_the_attachments() {
    let with = |bucket: &str| {
        edit(|facts| {
            if let Ok(services) = &mut facts.services {
                services[0].plain = BTreeMap::from([("S3_BUCKET".to_owned(), bucket.to_owned())]);
            }
        })
    };
    // The default is not written.
    let plan = planned(&with("moveongs-dev-attachments"), &[]);
    assert_eq!(value(&plan, "AttachmentsBucketName"), None);
    assert!(!plan.absent.iter().any(|one| one == "AttachmentsBucketName"));
    // Another one is, although a bucket has the default's name.
    let plan = planned(&with("moveongs-files"), &[]);
    assert_eq!(value(&plan, "AttachmentsBucketName"), Some("moveongs-files"));
    assert!(plan.notices.iter().any(|one| one.contains("moveongs-dev-attachments")), "{:?}", plan.notices);
    // Prod's is told and not taken.
    let plan = planned(&with("moveongs-prod-attachments"), &[]);
    assert_eq!(value(&plan, "AttachmentsBucketName"), None);
    assert!(plan.notices.iter().any(|one| one.contains("moveongs-prod-attachments")), "{:?}", plan.notices);
    // The file's other bucket stays, and the difference is told.
    let plan = planned(&with("moveongs-dev-attachments"), &[("AttachmentsBucketName", "moveongs-files")]);
    assert!(plan.notices.iter().any(|one| one.contains("moveongs-dev-attachments")), "{:?}", plan.notices);
}

#[test]
fn what_is_left_out_takes_with_it_what_needs_it_and_what_a_person_chose_must_have_it() {
    let template = ours();
    for (one, need) in NEEDS {
        let values = BTreeMap::from([(one.to_owned(), "x".to_owned())]);
        let broken = template.broken(&values).unwrap();
        assert!(broken.iter().any(|text| text.contains(need)), "{one} does not need {need}: {broken:?}");
    }
    let facts = edit(|facts| {
        for name in ["ses", "twilio", "github", "grafana"] {
            add(&mut facts.secrets, secret(&format!("/moveongs/dev/{name}")));
        }
        facts.subnet_groups = Ok(vec![subnet_group("moveongs-dev-restore")]);
        let group = SecurityGroup { named: named("moveongs-dev-restore"), ..SecurityGroup::default() };
        facts.security_groups = Ok(vec![group]);
    });
    let database = ("DatabaseSecretName", "moveongs-dev-database-url");
    for (one, need) in NEEDS.into_iter().filter(|(one, _)| !one.starts_with("Vpc")) {
        assert!(value(&planned(&facts, &[database]), one).is_some(), "{one}");
        let plan = planned(&facts, &[database, (need, "")]);
        assert_eq!((value(&plan, one), asked(&plan, one)), (None, None), "{one} without {need}");
        let is_told = |notice: &String| notice.contains(one) && notice.contains(need);
        assert!(plan.notices.iter().any(is_told), "{one} without {need}: {:?}", plan.notices);
        if let Some(ask) = asked(&planned(&facts, &[database, (one, "chosen")]), need) {
            assert!(ask.is_required, "{need}, which {one} needs");
        }
    }
}

#[test]
fn what_only_people_know_is_asked_where_it_is_of_use() {
    let ask = |given: &[(&str, &str)], facts: &Facts, name: &str| {
        asked(&planned(facts, given), name).map(|ask| ask.candidates.clone())
    };
    let none: Option<Vec<String>> = None;
    let facts = edit(|facts| {
        for name in
            ["moveongs-dev-evidence-111122223333", "moveongs-prod-evidence-111122223333", "moveongs-anchors"]
        {
            add(&mut facts.buckets, name.to_owned());
        }
    });
    // Another environment's evidence is seen only if a person says so.
    assert_eq!(ask(&[], &facts, "OtherEvidenceBuckets").unwrap(), ["moveongs-prod-evidence-111122223333"]);
    assert_eq!(ask(&[], &facts, "AnchorBucketName").unwrap(), ["moveongs-anchors"]);
    assert_eq!(ask(&[], &self::facts(), "OtherEvidenceBuckets"), none);
    for (name, needs) in [
        ("ManagerEmail", &[("SesFromAddress", "a@b.org")][..]),
        ("AnchorFolder", &[("AnchorBucketName", "b"), ("GitHubRepository", "a/b")]),
        ("GrafanaExportPath", &[("GrafanaUrl", "https://g"), ("GitHubRepository", "a/b")]),
    ] {
        assert!(ask(needs, &facts, name).is_some(), "{name}");
        assert_eq!(ask(&needs[1..], &facts, name), none, "{name}");
    }
    // The group of the operations team.
    assert_eq!(ours().default("OpsGroupName"), Some(OPS_GROUP));
    let without = edit(|facts| facts.groups = Ok(vec!["admins".to_owned()]));
    let is_told = |given: &[(&str, &str)]| {
        planned(&without, given).notices.iter().any(|notice| notice.contains("OpsGroupName"))
    };
    assert!(is_told(&[]) && is_told(&[("OpsGroupName", "ops")]));
    assert!(!is_told(&[("OpsGroupName", "admins")]) && !is_told(&[("OpsGroupName", "")]));
    assert!(planned(&self::facts(), &[]).notices.iter().all(|notice| !notice.contains("OpsGroupName")));
}

#[test]
fn the_variable_that_a_service_reads_names_the_secret() {
    // By name, another one would fit.
    let facts = edit(|facts| {
        add(&mut facts.secrets, secret("/moveongs/dev/jwt"));
        add(&mut facts.secrets, secret("signing-material"));
        if let Ok(services) = &mut facts.services {
            services[0].secrets[0].1 = arn("signing-material");
        }
    });
    assert_eq!(value(&planned(&facts, &[]), "JwtSecretName"), Some("signing-material"));

    // A service of dev that reads a secret of prod is told, and the secret not taken.
    let facts = edit(|facts| {
        if let Ok(services) = &mut facts.services {
            services[0].secrets[0].1 = arn("moveongs-prod-jwt");
        }
    });
    let plan = planned(&facts, &[]);
    assert_eq!(value(&plan, "JwtSecretName"), Some("moveongs-dev-jwt"));
    assert!(plan.notices.iter().any(|notice| notice.contains("moveongs-prod-jwt")), "{:?}", plan.notices);
}

#[test]
fn a_field_of_a_secret_and_an_arn_without_its_suffix_are_the_secret() {
    let secret = Secret { arn: arn("moveongs-dev-ses"), ..Secret::default() };
    for (from, expected) in [
        (arn("moveongs-dev-ses"), true),
        (format!("{}:KEY::", arn("moveongs-dev-ses")), true),
        ("arn:aws:secretsmanager:us-east-1:111122223333:secret:moveongs-dev-ses".to_owned(), true),
        (arn("moveongs-dev-ses-other"), false),
        ("arn:aws:ssm:us-east-1:111122223333:parameter/moveongs-dev-ses".to_owned(), false),
    ] {
        assert_eq!(super::secrets::names(&from, &secret), expected, "{from}");
    }
}

#[test]
fn the_database_secret_is_taken_only_with_its_administrators() {
    assert_eq!(
        asked(&planned(&facts(), &[]), "DatabaseSecretName").unwrap().candidates,
        ["moveongs-dev-database-url"]
    );
    let facts = edit(|facts| {
        let name = "moveongs-dev-database-admin";
        add(&mut facts.secrets, secret(name));
    });
    let plan = planned(&facts, &[]);
    assert_eq!(value(&plan, "DatabaseSecretName"), Some("moveongs-dev-database-url"));
    assert_eq!(value(&plan, "DatabaseAdminSecretArn"), Some(arn("moveongs-dev-database-admin").as_str()));
    // Left out by the person: neither.
    let plan = planned(&facts, &[("DatabaseSecretName", "")]);
    assert_eq!((value(&plan, "DatabaseSecretName"), value(&plan, "DatabaseAdminSecretArn")), (None, None));
}

#[test]
fn what_a_rotation_also_needs_is_found_or_asked_with_it() {
    let with = |more: &dyn Fn(&mut Facts)| {
        edit(|facts| {
            for name in ["moveongs-dev-ses", "moveongs-dev-twilio", "moveongs-dev-github"] {
                add(&mut facts.secrets, secret(name));
            }
            more(facts);
        })
    };
    let plan = planned(&with(&|_| {}), &[]);
    for name in ["SesUserName", "SesFromAddress", "TwilioAccountSid", "GitHubRepository"] {
        assert!(asked(&plan, name).is_some(), "{name}");
        assert!(!plan.absent.iter().any(|one| one == name), "{name}");
    }
    let plan = planned(
        &with(&|facts| {
            facts.users = Ok(vec!["moveongs-dev-mail".to_owned(), "moveongs-prod-mail".to_owned()]);
            if let Ok(services) = &mut facts.services {
                services[0].plain = [
                    ("NOTIFICATIONS_EMAIL_FROM", "alerts@moveongs.org"),
                    ("NOTIFICATIONS_EMAIL_SES_REGION", "sa-east-1"),
                    ("NOTIFICATIONS_WHATSAPP_TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000000"),
                ]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            }
        }),
        &[],
    );
    assert_eq!(value(&plan, "SesUserName"), Some("moveongs-dev-mail"));
    assert_eq!(value(&plan, "SesFromAddress"), Some("alerts@moveongs.org"));
    assert_eq!(value(&plan, "SesRegion"), Some("sa-east-1"));
    assert_eq!(value(&plan, "TwilioAccountSid"), Some("AC00000000000000000000000000000000"));
    // Without the rotation, nothing of it is asked.
    let plan =
        planned(&with(&|_| {}), &[("SesSecretName", ""), ("TwilioSecretName", ""), ("GitHubSecretName", "")]);
    for name in ["SesUserName", "SesFromAddress", "TwilioAccountSid", "GitHubRepository"] {
        assert_eq!((asked(&plan, name), value(&plan, name)), (None, None), "{name}");
    }
}

#[test]
fn an_admin_secret_that_a_tag_names_is_taken_only_if_it_is_this_environments() {
    let tagged = |name: &str, admin: &str| {
        let mut one = secret(name);
        one.named.tags.insert("rotation:admin-secret".to_owned(), admin.to_owned());
        one
    };
    let foreign = [arn("moveongs-prod-admin"), arn("not-in-the-list"), "moveongs-dev-admin".to_owned()];
    let facts = edit(|facts| {
        for name in ["moveongs-dev-admin", "moveongs-prod-admin"] {
            add(&mut facts.secrets, secret(name));
        }
        add(&mut facts.secrets, tagged("moveongs-dev-reports-url", &arn("moveongs-dev-admin")));
        for (name, admin) in
            ["moveongs-dev-a-url", "moveongs-dev-b-url", "moveongs-dev-c-url"].into_iter().zip(&foreign)
        {
            add(&mut facts.secrets, tagged(name, admin));
        }
        // What another environment's secret names is not looked at.
        add(&mut facts.secrets, tagged("moveongs-prod-url", &arn("moveongs-dev-jwt")));
    });
    let plan = planned(&facts, &[]);
    assert_eq!(value(&plan, "OtherDatabaseAdminSecretArns"), Some(arn("moveongs-dev-admin").as_str()));
    assert_eq!(value(&plan, "OtherDatabaseSecretArns").map(|arns| arns.split(',').count()), Some(4));
    for admin in foreign {
        let is_it =
            |one: &&String| one.starts_with(&format!("{admin}, da tag rotation:admin-secret, fica fora"));
        assert_eq!(plan.notices.iter().filter(is_it).count(), 1, "{admin}: {:?}", plan.notices);
    }
}

#[test]
fn the_states_of_the_environment_are_found_in_a_bucket_that_serves_several() {
    let bucket = |name: &str, keys: &[&str]| StateBucket {
        name: name.to_owned(),
        keys: Some(keys.iter().map(|key| (*key).to_owned()).collect()),
        key: Ok(None),
    };
    let many: Vec<String> = (0..9).map(|number| format!("dev/part-{number}/terraform.tfstate")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let with_prod = [&many[..], &["prod/terraform.tfstate"]].concat();
    for (state, expected) in [
        (
            bucket("moveongs-terraform-state", &["dev/terraform.tfstate", "prod/terraform.tfstate"]),
            Some("dev/terraform.tfstate"),
        ),
        (
            bucket("tfstate-1", &["env:/dev/terraform.tfstate", "terraform.tfstate"]),
            Some("env:/dev/terraform.tfstate"),
        ),
        (
            bucket("moveongs-dev-terraform-state", &["terraform.tfstate", "old/prod.tfstate"]),
            Some("terraform.tfstate"),
        ),
        // Nothing says whose it is: a question.
        (bucket("moveongs-terraform-state", &["terraform.tfstate", "prod/terraform.tfstate"]), None),
        (bucket("moveongs-terraform-state", &with_prod), Some("dev/")),
        (bucket("moveongs-terraform-state", &["prod/terraform.tfstate"]), None),
    ] {
        let name = state.name.clone();
        let plan = planned(&edit(|facts| facts.states = Ok(vec![state])), &[]);
        assert_eq!(value(&plan, "TerraformStateKey"), expected, "{name}");
        assert_eq!(value(&plan, "TerraformStateBucketName"), expected.map(|_| name.as_str()));
        if let Some(key) = expected {
            assert_eq!(ours().check("TerraformStateKey", key), Ok(()));
        }
    }
    let two = edit(|facts| {
        facts.states = Ok(vec![
            bucket("moveongs-terraform-state", &["dev/a.tfstate"]),
            bucket("moveongs-dev-tfstate", &["a.tfstate"]),
        ]);
    });
    let plan = planned(&two, &[]);
    assert_eq!(asked(&plan, "TerraformStateBucketName").unwrap().candidates.len(), 2);
    let doubtful = edit(|facts| {
        facts.states =
            Ok(vec![bucket("moveongs-terraform-state", &["terraform.tfstate", "prod/terraform.tfstate"])]);
    });
    let plan = planned(&doubtful, &[]);
    assert_eq!(asked(&plan, "TerraformStateBucketName").unwrap().candidates, ["moveongs-terraform-state"]);
    let plan = planned(&doubtful, &[("TerraformStateBucketName", "moveongs-terraform-state")]);
    assert_eq!(asked(&plan, "TerraformStateKey").unwrap().candidates, ["terraform.tfstate"]);
    // A bucket that may not be listed is told.
    let unseen = edit(|facts| {
        facts.states = Ok(vec![StateBucket { keys: None, ..bucket("moveongs-terraform-state", &[]) }]);
    });
    let plan = planned(&unseen, &[]);
    assert!(!plan.absent.iter().any(|one| one == "TerraformStateBucketName"));
    assert!(
        plan.notices.iter().any(|notice| notice.contains("moveongs-terraform-state")),
        "{:?}",
        plan.notices
    );
}

#[test]
fn the_key_of_the_states_is_found_by_id_alias_or_arn_or_said_not_to_be_seen() {
    let arn = |id: &str| format!("arn:aws:kms:us-east-1:111122223333:key/{id}");
    let other = "arn:aws:kms:sa-east-1:111122223333:key/k".to_owned();
    let aliases =
        BTreeMap::from([("alias/state".to_owned(), arn("s")), ("alias/aws/s3".to_owned(), arn("own"))]);
    let denied = || Err("AccessDenied: keys".to_owned());
    let some = |key: &str| Ok(Some(key.to_owned()));
    for (key, keys, expected, said) in [
        (Ok(None), Ok(aliases.clone()), None, None),
        (some(&other), Ok(aliases.clone()), Some(other.clone()), None),
        (some(&other), denied(), Some(other.clone()), None),
        (some("arn:aws:kms:us-east-1:111122223333:alias/state"), Ok(aliases.clone()), Some(arn("s")), None),
        (some("s"), Ok(aliases.clone()), Some(arn("s")), None),
        // S3's own key.
        (some(&arn("own")), Ok(aliases.clone()), None, None),
        (some("alias/aws/s3"), denied(), None, None),
        // Not seen, or perhaps another region's.
        (some("s"), denied(), None, Some("cifra com a chave s,")),
        (some("unknown"), Ok(aliases.clone()), None, Some("cifra com a chave unknown,")),
        (
            some("arn:aws:kms:sa-east-1:111122223333:alias/state"),
            Ok(aliases.clone()),
            None,
            Some("alias/state,"),
        ),
        (some("alias/unknown"), Ok(aliases.clone()), None, Some("cifra com a chave alias/unknown,")),
        (
            Err("AccessDenied: encryption".to_owned()),
            Ok(aliases.clone()),
            None,
            Some("AccessDenied: encryption"),
        ),
    ] {
        let state = StateBucket {
            name: "moveongs-dev-tfstate".to_owned(),
            keys: Some(vec!["a.tfstate".to_owned()]),
            key: key.clone(),
        };
        let facts = edit(|facts| (facts.states, facts.keys) = (Ok(vec![state]), keys));
        let plan = planned(&facts, &[]);
        assert_eq!(value(&plan, "TerraformStateKmsKeyArn"), expected.as_deref(), "{key:?}");
        let notices = |plan: &Plan| -> Vec<String> {
            plan.notices.iter().filter(|one| one.contains("TerraformStateKmsKeyArn")).cloned().collect()
        };
        assert_eq!(notices(&plan).len(), usize::from(said.is_some()), "{key:?}: {:?}", plan.notices);
        assert!(said.is_none_or(|said| notices(&plan)[0].contains(said)), "{key:?}: {:?}", plan.notices);
        assert!(asked(&plan, "TerraformStateKmsKeyArn").is_none(), "{key:?}");
        // An answer ends it.
        if said.is_some() {
            assert!(notices(&planned(&facts, &[("TerraformStateKmsKeyArn", other.as_str())])).is_empty());
        }
    }
    // An alias alone is of the bucket's region, which may be another one.
    let state = StateBucket {
        name: "moveongs-dev-tfstate".to_owned(),
        keys: Some(vec!["a.tfstate".to_owned()]),
        key: some("alias/state"),
    };
    let facts = edit(|facts| (facts.states, facts.keys) = (Ok(vec![state]), Ok(aliases.clone())));
    let plan = planned(&facts, &[]);
    assert_eq!(value(&plan, "TerraformStateKmsKeyArn"), None);
    assert_eq!(asked(&plan, "TerraformStateKmsKeyArn").unwrap().candidates, [arn("s")]);
    let plan = planned(&facts, &[("TerraformStateKmsKeyArn", other.as_str())]);
    assert!(asked(&plan, "TerraformStateKmsKeyArn").is_none());
}

#[test]
fn a_database_that_looks_restored_is_named_and_not_proposed() {
    let restored = |name: &str| Database { named: named(name), ..Database::default() };
    let facts = edit(|facts| {
        add(&mut facts.databases, restored("moveongs-dev-db-restored"));
        add(&mut facts.databases, restored("moveongs-prod-restore-test-1"));
        add(&mut facts.database_clusters, restored("restore-1"));
    });
    let plan = planned(&facts, &[]);
    assert_eq!(value(&plan, "DatabaseInstanceId"), Some("moveongs-dev-db"));
    let said = |name: &str, plan: &Plan| {
        plan.notices.iter().any(|one| one.starts_with(&format!("{name} não é proposto")))
    };
    for (name, expected) in
        [("moveongs-dev-db-restored", true), ("restore-1", true), ("moveongs-prod-restore-test-1", false)]
    {
        assert_eq!(said(name, &plan), expected, "{name}: {:?}", plan.notices);
    }
    let answered = planned(&facts, &[("DatabaseInstanceId", "moveongs-dev-db-restored")]);
    assert!(!said("moveongs-dev-db-restored", &answered), "{:?}", answered.notices);
}

#[test]
fn the_functions_get_the_private_subnets_and_the_group_that_the_database_admits() {
    let subnet = |id: &str, vpc: &str, has_nat: bool| Subnet {
        id: id.to_owned(),
        named: named(""),
        vpc: vpc.to_owned(),
        has_nat,
    };
    let prods = |named: Named| Subnet { named, ..subnet("subnet-prod", "vpc-1", true) };
    let by_tag = Named { tags: BTreeMap::from([("Environment".to_owned(), "prod".to_owned())]), ..named("") };
    let group = |id: &str, name: &str, admits: &[(Option<(u64, u64)>, &str)]| SecurityGroup {
        id: id.to_owned(),
        named: Named { name: name.to_owned(), tags: BTreeMap::new() },
        vpc: "vpc-1".to_owned(),
        admits: admits.iter().map(|(ports, from)| (*ports, (*from).to_owned())).collect(),
    };
    let subnets = || {
        vec![
            subnet("subnet-a", "vpc-1", true),
            subnet("subnet-b", "vpc-1", true),
            subnet("subnet-public", "vpc-1", false),
            subnet("subnet-other", "vpc-2", true),
            prods(named("moveongs-prod-private-a")),
            prods(by_tag.clone()),
        ]
    };
    let network = |database: &[(Option<(u64, u64)>, &str)]| {
        edit(|facts| {
            facts.subnets = Ok(subnets());
            facts.security_groups = Ok(vec![
                group("sg-db", "moveongs-dev-db", database),
                group("sg-fn", "moveongs-dev-governance", &[]),
                group("sg-fn-prod", "moveongs-prod-governance", &[]),
            ]);
        })
    };
    for (admits, expected) in [
        (&[(Some((5432, 5432)), "sg-fn")][..], Some("sg-fn")),
        (&[(None, "sg-fn")], Some("sg-fn")),
        (&[(Some((443, 443)), "sg-fn")], None),
        (&[(Some((5432, 5432)), "sg-fn-prod")], None),
        (&[], None),
    ] {
        let plan = planned(&network(admits), &[]);
        assert_eq!(value(&plan, "VpcSecurityGroupIds"), expected, "{admits:?}");
        assert_eq!(value(&plan, "VpcSubnetIds"), expected.map(|_| "subnet-a,subnet-b"), "{admits:?}");
        assert_eq!(expected.is_none(), plan.notices.iter().any(|notice| notice.contains("VpcSubnetIds")));
    }
    // Two groups: the answer brings the subnets, and what is left out leaves the other out.
    let both = network(&[(None, "sg-fn"), (None, "sg-lambda")]);
    let both = Facts {
        security_groups: both.security_groups.map(|mut groups| {
            groups.push(group("sg-lambda", "moveongs-dev-lambda", &[]));
            groups
        }),
        ..both
    };
    let plan = planned(&both, &[]);
    assert_eq!(asked(&plan, "VpcSecurityGroupIds").unwrap().candidates, ["sg-fn", "sg-lambda"]);
    assert_eq!((asked(&plan, "VpcSubnetIds"), value(&plan, "VpcSubnetIds")), (None, None));
    let plan = planned(&both, &[("VpcSecurityGroupIds", "sg-lambda")]);
    assert_eq!(value(&plan, "VpcSubnetIds"), Some("subnet-a,subnet-b"));
    let plan = planned(&both, &[("VpcSecurityGroupIds", "")]);
    assert_eq!((asked(&plan, "VpcSubnetIds"), value(&plan, "VpcSubnetIds")), (None, None));
    // Subnets by hand find the group; a group by hand in a VPC without NAT needs them.
    let plan = planned(&network(&[(None, "sg-fn")]), &[("VpcSubnetIds", "subnet-x")]);
    assert_eq!(value(&plan, "VpcSecurityGroupIds"), Some("sg-fn"));
    let plan = planned(&facts(), &[("VpcSecurityGroupIds", "sg-x")]);
    assert!(asked(&plan, "VpcSubnetIds").unwrap().is_required);
    // A cluster has its VPC by its subnet group, and so has its member.
    let aurora = |id: &'static str| {
        let facts = network(&[(None, "sg-fn")]);
        let cluster = Database {
            named: named("moveongs-dev-aurora"),
            is_cluster: true,
            members: vec!["moveongs-dev-aurora-1".to_owned()],
            ..facts.databases.as_ref().unwrap()[0].clone()
        };
        let facts = Facts { database_clusters: Ok(vec![cluster]), ..facts };
        planned(&facts, &[("DatabaseInstanceId", id)])
    };
    for id in ["moveongs-dev-aurora", "moveongs-dev-aurora-1"] {
        assert_eq!(value(&aurora(id), "VpcSecurityGroupIds"), Some("sg-fn"), "{id}");
    }
    // A database that is not known is told.
    let plan = aurora("another");
    assert_eq!(value(&plan, "VpcSubnetIds"), None);
    assert!(plan.notices.iter().any(|one| one.contains("a VPC de another")), "{:?}", plan.notices);
}

#[test]
fn restore_tests_need_a_place_made_for_them() {
    let facts = |groups: &[&str], security: &[&str]| {
        edit(|facts| {
            facts.subnet_groups = Ok(groups.iter().map(|name| subnet_group(name)).collect());
            let group = |name: &&str| SecurityGroup {
                id: "sg-1".to_owned(),
                named: Named { name: (*name).to_owned(), tags: BTreeMap::new() },
                ..SecurityGroup::default()
            };
            facts.security_groups = Ok(security.iter().map(group).collect());
        })
    };
    let database = [("DatabaseSecretName", "moveongs-dev-database-url")];
    let plan = planned(&facts(&["moveongs-dev-restore"], &["moveongs-dev-restore"]), &database);
    assert_eq!(value(&plan, "RestoreSubnetGroup"), Some("moveongs-dev-restore"));
    assert_eq!(value(&plan, "RestoreSecurityGroups"), Some("sg-1"));
    for (groups, security, given) in [
        (&["moveongs-dev-restore"][..], &[][..], &database[..]),
        (&["moveongs-dev-restore"], &["moveongs-prod-restore"], &database),
        (&["moveongs-dev-restore"], &["moveongs-dev-restore"], &[("DatabaseSecretName", "")]),
        (&["moveongs-prod-restore"], &["moveongs-dev-restore"], &database),
        (&["default"], &["moveongs-dev-restore"], &database),
    ] {
        let plan = planned(&facts(groups, security), given);
        assert_eq!(value(&plan, "RestoreSubnetGroup"), None, "{groups:?} {security:?} {given:?}");
        assert_eq!(value(&plan, "RestoreSecurityGroups"), None);
    }
}

#[test]
fn the_keys_are_those_that_encrypt_and_not_aws_own() {
    let key = |id: &str| format!("arn:aws:kms:us-east-1:111122223333:key/{id}");
    let with = |of_jwt: Option<&str>, of_slack: Option<&str>, of_database: &str| {
        edit(|facts| {
            facts.keys = Ok([
                ("alias/aws/rds".to_owned(), key("rds")),
                ("alias/aws/secretsmanager".to_owned(), key("secrets")),
                ("alias/moveongs-dev-app".to_owned(), key("app")),
                ("alias/moveongs-prod-app".to_owned(), key("prod")),
            ]
            .into());
            if let Ok(secrets) = &mut facts.secrets {
                for secret in secrets {
                    secret.key = match secret.named.name.as_str() {
                        "moveongs-dev-jwt" => of_jwt.map(str::to_owned),
                        "/moveongs/dev/slack" => of_slack.map(str::to_owned),
                        _ => None,
                    };
                }
            }
            if let Ok(databases) = &mut facts.databases {
                databases[0].key = Some(key(of_database));
            }
        })
    };
    let plan = planned(&with(Some("alias/moveongs-dev-app"), Some("app"), "app"), &[]);
    for name in ["AppKmsKeyArn", "SecretsKmsKeyArn", "DatabaseKmsKeyArn"] {
        assert_eq!(value(&plan, name), Some(key("app").as_str()), "{name}");
        assert_eq!(ours().check(name, &key("app")), Ok(()));
    }
    let plan = planned(&with(Some("alias/aws/secretsmanager"), Some(&key("secrets")), "rds"), &[]);
    assert_eq!((value(&plan, "SecretsKmsKeyArn"), value(&plan, "DatabaseKmsKeyArn")), (None, None));
    // A secret that is only told something counts too.
    let slack = planned(&with(None, Some("app"), "rds"), &[]);
    assert_eq!(value(&slack, "SecretsKmsKeyArn"), Some(key("app").as_str()));
    let facts = edit(|facts| {
        for name in ["/moveongs/dev/grafana", "/moveongs/dev/database-admin"] {
            add(&mut facts.secrets, Secret { key: Some(key(name)), ..secret(name) });
        }
    });
    let plan =
        planned(&facts, &[("DatabaseSecretName", "moveongs-dev-database-url"), ("GrafanaUrl", "https://g")]);
    assert_eq!(asked(&plan, "SecretsKmsKeyArn").unwrap().candidates.len(), 2);
    let plan = planned(&with(Some("app"), Some("other"), "rds"), &[]);
    assert_eq!(asked(&plan, "SecretsKmsKeyArn").unwrap().candidates.len(), 2);
}

#[test]
fn who_deploys_is_always_asked() {
    let facts = edit(|facts| {
        let names = [
            "deployer-dev",
            "deployer-prod",
            "prod/deployer",
            "team/moveongs-dev-deploy",
            "moveongs-dev-task",
        ];
        facts.roles = Ok(names.map(|name| format!("arn:aws:iam::111122223333:role/{name}")).to_vec());
        facts.caller.arn = Some("arn:aws:iam::111122223333:user/ana".to_owned());
    });
    let plan = planned(&facts, &[]);
    let names: Vec<&str> = asked(&plan, "DeployerArns")
        .unwrap()
        .candidates
        .iter()
        .map(|arn| arn.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(names, ["moveongs-dev-deploy", "deployer-dev", "ana"]);
    // The caller is no candidate either where its name is another environment's.
    for caller in ["role/deployer-prod", "user/prod/ana"] {
        let facts = edit(|facts| facts.caller.arn = Some(format!("arn:aws:iam::111122223333:{caller}")));
        assert!(asked(&planned(&facts, &[]), "DeployerArns").unwrap().candidates.is_empty(), "{caller}");
    }
}

#[test]
fn channels_with_a_secret_are_used_and_one_stack_pages_about_health() {
    let facts = edit(|facts| {
        for name in ["/moveongs/dev/slack-webhook", "/moveongs/dev/pagerduty"] {
            add(&mut facts.secrets, secret(name));
        }
        facts.stacks = Ok(vec![Stack { name: "moveongs-governance-staging".to_owned(), pages_health: true }]);
    });
    let plan = planned(&facts, &[]);
    assert_eq!(value(&plan, "PageChannels"), Some("slack,webhook,pagerduty,sns"));
    assert_eq!(value(&plan, "PageHealthEvents"), Some("false"));
    let silent = edit(|facts| {
        facts.stacks =
            Ok(vec![Stack { name: "moveongs-governance-staging".to_owned(), pages_health: false }]);
    });
    let plan = planned(&silent, &[]);
    assert_eq!((value(&plan, "PageHealthEvents"), value(&plan, "PageChannels")), (None, None));
}

#[test]
fn a_value_of_the_file_stays_and_the_difference_is_told() {
    let plan = planned(&facts(), &[("JwtSecretName", "moveongs-dev-other")]);
    assert_eq!(value(&plan, "JwtSecretName"), None);
    let told = plan.notices.iter().find(|notice| notice.contains("moveongs-dev-other")).unwrap();
    assert!(told.contains("moveongs-dev-jwt"), "{told}");
}
