//! Reads the account with the caller's AWS CLI: only calls that list and describe, and no secret's value.
//!
//! A list that cannot be read is kept as such, so that nothing is said of what was not seen.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::facts::{
    Caller, Database, Facts, Named, PLAIN, Secret, SecurityGroup, Seen, Service, Stack, StateBucket, Subnet,
    SubnetGroup, Target,
};
use super::names::{Owner, Place, words};
use crate::aws::text;

/// The error for a bucket without settings for its encryption.
const UNENCRYPTED: &str = "ServerSideEncryptionConfigurationNotFoundError";

/// Calls the AWS CLI. The error is the CLI's own message.
pub(crate) type Aws<'a> = &'a dyn Fn(&[&str]) -> Result<Value>;

/// Most services of one DescribeServices.
const MOST_SERVICES: usize = 10;

/// Most target groups of one DescribeTargetGroups that keeps the command short.
const MOST_TARGETS: usize = 20;

/// The caller. Needs `sts:GetCallerIdentity`, which every principal has, and for a role `iam:GetRole`.
pub(crate) fn caller(aws: Aws<'_>) -> Result<Caller> {
    let found = aws(&["sts", "get-caller-identity"])?;
    let part =
        |at: &str| text(&found, at).with_context(|| format!("`aws sts get-caller-identity` has no {at}"));
    let (account, arn) = (part("/Account")?.to_owned(), part("/Arn")?);
    let partition = arn.split(':').nth(1).unwrap_or("aws").to_owned();
    // arn:aws:sts::111122223333:assumed-role/NAME/SESSION, which has no path of the role.
    let assumed = arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split('/').next());
    let arn = match assumed {
        Some(name) => aws(&["iam", "get-role", "--role-name", name])
            .ok()
            .and_then(|role| text(&role, "/Role/Arn").map(str::to_owned)),
        None => arn.contains(":user/").then(|| arn.to_owned()),
    };
    Ok(Caller { account, partition, arn })
}

/// Reads everything else.
pub(crate) fn read(aws: Aws<'_>, caller: Caller, place: &Place) -> Facts {
    let (clusters, services) = match services(aws, place) {
        Ok((clusters, services)) => (Ok(clusters), Ok(services)),
        Err(why) => (Err(why.clone()), Err(why)),
    };
    let targets = services.clone().and_then(|services| targets(aws, &services));
    let buckets = buckets(aws);
    let states = buckets.clone().map(|buckets| states(aws, place, &buckets));
    Facts {
        caller,
        // iam:ListRoles
        roles: strings(aws, &["iam", "list-roles", "--query", "Roles[].Arn"]),
        // iam:ListUsers
        users: strings(aws, &["iam", "list-users", "--query", "Users[].UserName"]),
        // iam:ListGroups
        groups: strings(aws, &["iam", "list-groups", "--query", "Groups[].GroupName"]),
        databases: databases(aws),
        database_clusters: database_clusters(aws),
        services,
        clusters,
        secrets: secrets(aws),
        buckets,
        states,
        // dynamodb:ListTables
        tables: strings(aws, &["dynamodb", "list-tables", "--query", "TableNames"]),
        // logs:DescribeLogGroups
        log_groups: strings(aws, &["logs", "describe-log-groups", "--query", "logGroups[].logGroupName"]),
        keys: keys(aws),
        targets,
        subnets: subnets(aws),
        security_groups: security_groups(aws),
        subnet_groups: subnet_groups(aws),
        senders: senders(aws),
        stacks: stacks(aws, place),
    }
}

/// The first line of an error.
fn why(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

fn strings(aws: Aws<'_>, arguments: &[&str]) -> Seen<String> {
    let found = aws(arguments).map_err(|error| why(&error))?;
    Ok(items(&found, "").iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The list at a place; empty if there is none.
fn items<'a>(value: &'a Value, at: &str) -> &'a [Value] {
    value.pointer(at).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn owned(value: &Value, at: &str) -> String {
    text(value, at).unwrap_or_default().to_owned()
}

/// Tags in any of AWS's three spellings.
fn tags(list: &[Value]) -> BTreeMap<String, String> {
    let part =
        |tag: &Value, names: [&str; 2]| names.iter().find_map(|name| text(tag, name)).map(str::to_owned);
    list.iter()
        .filter_map(|tag| Some((part(tag, ["/Key", "/key"])?, part(tag, ["/Value", "/value"])?)))
        .collect()
}

/// The instances. Needs `rds:DescribeDBInstances`.
fn databases(aws: Aws<'_>) -> Seen<Database> {
    aws(&["rds", "describe-db-instances"]).map(|found| instances(&found)).map_err(|error| why(&error))
}

/// The clusters. Needs `rds:DescribeDBClusters`.
fn database_clusters(aws: Aws<'_>) -> Seen<Database> {
    aws(&["rds", "describe-db-clusters"]).map(|found| clusters(&found)).map_err(|error| why(&error))
}

/// The instances that are no replica and no member of a cluster.
fn instances(found: &Value) -> Vec<Database> {
    let is_own = |one: &&Value| {
        is_postgres(one)
            && text(one, "/DBClusterIdentifier").is_none()
            && text(one, "/ReadReplicaSourceDBInstanceIdentifier").is_none()
    };
    let own = items(found, "/DBInstances").iter().filter(is_own);
    own.map(|one| Database {
        port: one.pointer("/Endpoint/Port").and_then(Value::as_u64),
        subnet_group: text(one, "/DBSubnetGroup/DBSubnetGroupName").map(str::to_owned),
        parameter_group: text(one, "/DBParameterGroups/0/DBParameterGroupName").map(str::to_owned),
        ..database(one, "/DBInstanceIdentifier")
    })
    .collect()
}

fn clusters(found: &Value) -> Vec<Database> {
    let members = |one: &Value| {
        items(one, "/DBClusterMembers").iter().map(|member| owned(member, "/DBInstanceIdentifier")).collect()
    };
    let all = items(found, "/DBClusters").iter().filter(is_postgres);
    all.map(|one| Database {
        is_cluster: true,
        members: members(one),
        port: one.get("Port").and_then(Value::as_u64),
        subnet_group: text(one, "/DBSubnetGroup").map(str::to_owned),
        ..database(one, "/DBClusterIdentifier")
    })
    .collect()
}

/// The fields that instances and clusters share.
fn database(one: &Value, name: &str) -> Database {
    let groups = items(one, "/VpcSecurityGroups").iter();
    Database {
        named: Named { name: owned(one, name), tags: tags(items(one, "/TagList")) },
        groups: groups.map(|group| owned(group, "/VpcSecurityGroupId")).collect(),
        key: text(one, "/KmsKeyId").map(str::to_owned),
        ..Database::default()
    }
}

fn is_postgres(one: &&Value) -> bool {
    text(one, "/Engine").is_some_and(|engine| engine.contains("postgres"))
}

/// Needs `rds:DescribeDBSubnetGroups`.
fn subnet_groups(aws: Aws<'_>) -> Seen<SubnetGroup> {
    let found = aws(&["rds", "describe-db-subnet-groups"]).map_err(|error| why(&error))?;
    let one =
        |group: &Value| SubnetGroup { name: owned(group, "/DBSubnetGroupName"), vpc: owned(group, "/VpcId") };
    Ok(items(&found, "/DBSubnetGroups").iter().map(one).collect())
}

/// The clusters that are not another environment's, and their services. Needs `ecs:ListClusters`,
/// `ecs:DescribeClusters`, `ecs:ListServices`, `ecs:DescribeServices` and `ecs:DescribeTaskDefinition`.
fn services(aws: Aws<'_>, place: &Place) -> Result<(Vec<Named>, Vec<Service>), String> {
    let read = || -> Result<(Vec<Named>, Vec<Service>)> {
        let arns = aws(&["ecs", "list-clusters", "--query", "clusterArns"])?;
        let mut clusters = Vec::new();
        let mut services = Vec::new();
        for arn in items(&arns, "").iter().filter_map(Value::as_str) {
            let described = aws(&["ecs", "describe-clusters", "--clusters", arn, "--include", "TAGS"])?;
            let cluster = described.pointer("/clusters/0").cloned().unwrap_or_default();
            let named = Named { name: owned(&cluster, "/clusterName"), tags: tags(items(&cluster, "/tags")) };
            if place.owner(&named.name, &named.tags) == Owner::Other {
                continue;
            }
            let names = aws(&["ecs", "list-services", "--cluster", arn, "--query", "serviceArns"])?;
            let names: Vec<&str> = items(&names, "").iter().filter_map(Value::as_str).collect();
            for some in names.chunks(MOST_SERVICES) {
                let describe =
                    ["ecs", "describe-services", "--cluster", arn, "--include", "TAGS", "--services"];
                let described = aws(&[&describe[..], some].concat())?;
                for one in items(&described, "/services") {
                    let definition = text(one, "/taskDefinition").unwrap_or_default();
                    let definition = aws(&[
                        "ecs",
                        "describe-task-definition",
                        "--task-definition",
                        definition,
                        "--query",
                        &of_containers(),
                    ])?;
                    services.push(service(&named.name, one, &definition));
                }
            }
            clusters.push(named);
        }
        Ok((clusters, services))
    };
    read().map_err(|error| why(&error))
}

/// The part of a task definition that the AWS CLI hands on: of the variables in clear only [`PLAIN`].
fn of_containers() -> String {
    let plain = PLAIN.map(|name| format!("\"{name}\"")).join(",");
    format!(
        "taskDefinition.containerDefinitions[].{{secrets: secrets, \
         group: logConfiguration.options.\"awslogs-group\", plain: environment[?contains(`[{plain}]`, name)]}}"
    )
}

fn service(cluster: &str, service: &Value, containers: &Value) -> Service {
    let containers = items(containers, "");
    let secrets = containers.iter().flat_map(|one| items(one, "/secrets"));
    let plain = containers.iter().flat_map(|one| items(one, "/plain"));
    let groups: BTreeSet<String> =
        containers.iter().filter_map(|one| text(one, "/group")).map(str::to_owned).collect();
    Service {
        named: Named { name: owned(service, "/serviceName"), tags: tags(items(service, "/tags")) },
        cluster: cluster.to_owned(),
        targets: items(service, "/loadBalancers")
            .iter()
            .filter_map(|one| text(one, "/targetGroupArn").map(str::to_owned))
            .collect(),
        secrets: secrets.map(|one| (owned(one, "/name"), owned(one, "/valueFrom"))).collect(),
        plain: plain
            .filter(|one| text(one, "/value").is_some_and(|value| !value.is_empty()))
            .map(|one| (owned(one, "/name"), owned(one, "/value")))
            .collect(),
        log_groups: groups.into_iter().collect(),
    }
}

/// The services' target groups. Needs `elasticloadbalancing:DescribeTargetGroups`.
fn targets(aws: Aws<'_>, services: &[Service]) -> Seen<Target> {
    let arns: BTreeSet<&str> =
        services.iter().flat_map(|service| &service.targets).map(String::as_str).collect();
    let arns: Vec<&str> = arns.into_iter().collect();
    let mut targets = Vec::new();
    for some in arns.chunks(MOST_TARGETS) {
        let describe = ["elbv2", "describe-target-groups", "--target-group-arns"];
        let found = aws(&[&describe[..], some].concat()).map_err(|error| why(&error))?;
        targets.extend(items(&found, "/TargetGroups").iter().map(|one| {
            let balancers = items(one, "/LoadBalancerArns").iter().filter_map(Value::as_str);
            Target { arn: owned(one, "/TargetGroupArn"), balancers: balancers.map(str::to_owned).collect() }
        }));
    }
    Ok(targets)
}

/// Names, keys and tags of the secrets. Needs `secretsmanager:ListSecrets`, which returns no value.
fn secrets(aws: Aws<'_>) -> Seen<Secret> {
    let found = aws(&["secretsmanager", "list-secrets"]).map_err(|error| why(&error))?;
    let kept = items(&found, "/SecretList").iter().filter(|one| one.get("DeletedDate").is_none());
    Ok(kept
        .map(|one| Secret {
            named: Named { name: owned(one, "/Name"), tags: tags(items(one, "/Tags")) },
            arn: owned(one, "/ARN"),
            has_value: has_value(one),
            key: text(one, "/KmsKeyId").map(str::to_owned),
        })
        .collect())
}

fn has_value(secret: &Value) -> bool {
    let versions = secret.get("SecretVersionsToStages").and_then(Value::as_object);
    let mut labels =
        versions.into_iter().flat_map(|versions| versions.values()).flat_map(|all| items(all, ""));
    labels.any(|label| label == "AWSCURRENT")
}

/// Needs `s3:ListAllMyBuckets`.
fn buckets(aws: Aws<'_>) -> Seen<String> {
    strings(aws, &["s3api", "list-buckets", "--query", "Buckets[].Name"])
}

/// The buckets whose name is that of Terraform states. Needs `s3:ListBucket` and `s3:GetEncryptionConfiguration` on
/// them; the states themselves are not read.
fn states(aws: Aws<'_>, place: &Place, buckets: &[String]) -> Vec<StateBucket> {
    let is_state = |name: &str| {
        let words = words(name);
        words.iter().any(|word| ["terraform", "tfstate", "tfstates", "tofu"].contains(&word.as_str()))
            && place.owner(name, &BTreeMap::new()) != Owner::Other
    };
    let one = |name: &String| {
        let list = ["s3api", "list-objects-v2", "--bucket", name, "--query"];
        // Without objects there is no Contents, and the query's answer is null.
        let query = "Contents[?ends_with(Key, '.tfstate')].Key";
        let keys = aws(&[&list[..], &[query]].concat());
        let keys = keys
            .ok()
            .map(|keys| items(&keys, "").iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let rule =
            "/ServerSideEncryptionConfiguration/Rules/0/ApplyServerSideEncryptionByDefault/KMSMasterKeyID";
        let key = match aws(&["s3api", "get-bucket-encryption", "--bucket", name]) {
            Ok(found) => Ok(text(&found, rule).map(str::to_owned)),
            Err(error) => Some(why(&error)).filter(|why| !why.contains(UNENCRYPTED)).map_or(Ok(None), Err),
        };
        StateBucket { name: name.clone(), keys, key }
    };
    buckets.iter().filter(|name| is_state(name)).map(one).collect()
}

/// Needs `kms:ListAliases`.
fn keys(aws: Aws<'_>) -> Result<BTreeMap<String, String>, String> {
    let found = aws(&["kms", "list-aliases"]).map_err(|error| why(&error))?;
    let aliases = items(&found, "/Aliases").iter();
    Ok(aliases
        .filter_map(|alias| {
            let (name, arn) = (text(alias, "/AliasName")?, text(alias, "/AliasArn")?);
            let key = text(alias, "/TargetKeyId")?;
            let (place, _) = arn.split_once(":alias/")?;
            Some((name.to_owned(), format!("{place}:key/{key}")))
        })
        .collect())
}

/// Needs `ec2:DescribeSubnets` and `ec2:DescribeRouteTables`.
fn subnets(aws: Aws<'_>) -> Seen<Subnet> {
    let subnets = aws(&["ec2", "describe-subnets"]).map_err(|error| why(&error))?;
    let tables = aws(&["ec2", "describe-route-tables"]).map_err(|error| why(&error))?;
    Ok(of_vpc(&subnets, &tables))
}

/// The subnets with their way to the internet: that of their own route table, or of the VPC's main one.
fn of_vpc(subnets: &Value, tables: &Value) -> Vec<Subnet> {
    let tables = items(tables, "/RouteTables");
    let of = |subnet: &str, vpc: &str| {
        let holds =
            |table: &&Value, is_it: &dyn Fn(&Value) -> bool| items(table, "/Associations").iter().any(is_it);
        let own = tables.iter().find(|table| holds(table, &|one| text(one, "/SubnetId") == Some(subnet)));
        let main = || {
            tables.iter().find(|table| {
                text(table, "/VpcId") == Some(vpc)
                    && holds(table, &|one| one.get("Main") == Some(&Value::Bool(true)))
            })
        };
        own.or_else(main)
    };
    let one = |subnet: &Value| {
        let (id, vpc) = (owned(subnet, "/SubnetId"), owned(subnet, "/VpcId"));
        let has_nat = of(&id, &vpc).is_some_and(|table| {
            items(table, "/Routes").iter().any(|route| {
                text(route, "/DestinationCidrBlock") == Some("0.0.0.0/0")
                    && text(route, "/NatGatewayId").is_some()
            })
        });
        let tags = tags(items(subnet, "/Tags"));
        let named = Named { name: tags.get("Name").cloned().unwrap_or_default(), tags };
        Subnet { id, named, vpc, has_nat }
    };
    items(subnets, "/Subnets").iter().map(one).collect()
}

/// Needs `ec2:DescribeSecurityGroups`.
fn security_groups(aws: Aws<'_>) -> Seen<SecurityGroup> {
    let found = aws(&["ec2", "describe-security-groups"]).map_err(|error| why(&error))?;
    let one = |group: &Value| {
        let admits = items(group, "/IpPermissions").iter().flat_map(|rule| {
            let port = |at: &str| rule.get(at).and_then(Value::as_u64);
            let ports = port("FromPort").zip(port("ToPort"));
            items(rule, "/UserIdGroupPairs").iter().map(move |pair| (ports, owned(pair, "/GroupId")))
        });
        SecurityGroup {
            id: owned(group, "/GroupId"),
            named: Named { name: owned(group, "/GroupName"), tags: tags(items(group, "/Tags")) },
            vpc: owned(group, "/VpcId"),
            admits: admits.collect(),
        }
    };
    Ok(items(&found, "/SecurityGroups").iter().map(one).collect())
}

/// The mail addresses from which SES may send. Needs `ses:ListEmailIdentities`, of which the AWS CLI reads one page only.
fn senders(aws: Aws<'_>) -> Seen<String> {
    let is_address = |one: &&Value| {
        text(one, "/IdentityType") == Some("EMAIL_ADDRESS")
            && one.get("SendingEnabled").and_then(Value::as_bool) != Some(false)
    };
    let mut senders = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let of_page = next.iter().flat_map(|token| ["--next-token", token.as_str()]);
        let list: Vec<&str> = ["sesv2", "list-email-identities"].into_iter().chain(of_page).collect();
        let found = aws(&list).map_err(|error| why(&error))?;
        let addresses = items(&found, "/EmailIdentities").iter().filter(is_address);
        senders.extend(addresses.map(|one| owned(one, "/IdentityName")));
        let token = text(&found, "/NextToken").map(str::to_owned);
        if token.is_none() || token == next {
            return Ok(senders);
        }
        next = token;
    }
}

/// The stacks of other environments. Needs `cloudformation:DescribeStacks`.
fn stacks(aws: Aws<'_>, place: &Place) -> Seen<Stack> {
    // Other parameters of other stacks may be secret.
    let query = "Stacks[].{name: StackName, health: Parameters[?ParameterKey=='PageHealthEvents'].ParameterValue | [0]}";
    let found = aws(&["cloudformation", "describe-stacks", "--query", query]).map_err(|error| why(&error))?;
    let own = super::stack(place);
    Ok(items(&found, "")
        .iter()
        .filter(|stack| text(stack, "/name") != Some(own.as_str()))
        .filter_map(|stack| {
            let pages_health = text(stack, "/health")? == "true";
            Some(Stack { name: owned(stack, "/name"), pages_health })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use serde_json::json;

    use super::super::names::place;
    use super::super::tests::only_reads;
    use super::*;

    #[test]
    fn the_databases_of_an_application_are_instances_and_clusters_of_postgresql() {
        let instance = |id: &str, more: Value| {
            let mut one = json!({"DBInstanceIdentifier": id, "Engine": "postgres", "Endpoint": {"Port": 5432},
                "DBSubnetGroup": {"DBSubnetGroupName": "private"}, "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-db"}],
                "DBParameterGroups": [{"DBParameterGroupName": "default.postgres15"}],
                "TagList": [{"Key": "Environment", "Value": "dev"}]});
            if let (Some(one), Some(more)) = (one.as_object_mut(), more.as_object()) {
                one.extend(more.clone());
            }
            one
        };
        let of_instances = json!({"DBInstances": [
            instance("moveongs-dev-db", json!({"KmsKeyId": "arn:aws:kms:us-east-1:1:key/k"})),
            instance("moveongs-dev-db-replica", json!({"ReadReplicaSourceDBInstanceIdentifier": "moveongs-dev-db"})),
            instance("moveongs-dev-restore-test-20260101", json!({})),
            instance("moveongs-dev-aurora-1", json!({"DBClusterIdentifier": "moveongs-dev-aurora", "Engine": "aurora-postgresql"})),
            instance("moveongs-dev-blog", json!({"Engine": "mysql"})),
        ]});
        let of_clusters = json!({"DBClusters": [{"DBClusterIdentifier": "moveongs-dev-aurora", "Engine": "aurora-postgresql",
            "Port": 5433, "DBSubnetGroup": "private", "DBClusterMembers": [{"DBInstanceIdentifier": "moveongs-dev-aurora-1"}]}]});
        let found = instances(&of_instances);
        let aurora = clusters(&of_clusters);
        let names: Vec<_> = found
            .iter()
            .chain(&aurora)
            .map(|one| (one.named.name.as_str(), one.is_cluster, one.port, one.subnet_group.as_deref()))
            .collect();
        assert_eq!(
            names,
            [
                ("moveongs-dev-db", false, Some(5432), Some("private")),
                ("moveongs-dev-restore-test-20260101", false, Some(5432), Some("private")),
                ("moveongs-dev-aurora", true, Some(5433), Some("private"))
            ]
        );
        assert_eq!(aurora[0].members, ["moveongs-dev-aurora-1"]);
        assert_eq!(found[0].groups, ["sg-db"]);
        assert_eq!(found[0].named.tags.get("Environment").map(String::as_str), Some("dev"));
    }

    #[test]
    fn a_subnet_without_a_table_of_its_own_has_the_vpcs_route() {
        let subnet = |id: &str, vpc: &str| {
            let name = format!("moveongs-dev-{id}");
            json!({"SubnetId": id, "VpcId": vpc, "Tags": [
                {"Key": "Name", "Value": name}, {"Key": "Environment", "Value": "dev"}]})
        };
        let subnets = json!({"Subnets": [subnet("a", "v"), subnet("b", "v"), subnet("c", "w")]});
        let route = |key: &str, value: &str| json!([{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}, {"DestinationCidrBlock": "0.0.0.0/0", key: value}]);
        let tables = json!({"RouteTables": [
            {"VpcId": "v", "Associations": [{"Main": true}], "Routes": route("NatGatewayId", "nat-1")},
            {"VpcId": "v", "Associations": [{"Main": false, "SubnetId": "b"}], "Routes": route("GatewayId", "igw-1")},
        ]});
        let found = of_vpc(&subnets, &tables);
        assert_eq!((found[0].named.name.as_str(), found[0].named.tags.len()), ("moveongs-dev-a", 2));
        let found: Vec<_> = found.into_iter().map(|one| (one.id, one.has_nat)).collect();
        assert_eq!(found, [("a".to_owned(), true), ("b".to_owned(), false), ("c".to_owned(), false)]);
    }

    #[test]
    fn a_role_is_named_with_its_path_and_the_root_not_at_all() {
        let of = |arn: &str| {
            let asked = arn.to_owned();
            caller(&move |arguments| match arguments {
                ["sts", "get-caller-identity"] => Ok(json!({"Account": "111122223333", "Arn": asked})),
                ["iam", "get-role", "--role-name", "Deployer"] => {
                    Ok(json!({"Role": {"Arn": "arn:aws:iam::111122223333:role/team/Deployer"}}))
                }
                other => bail!("AccessDenied: {other:?}"),
            })
            .unwrap()
            .arn
        };
        for (arn, expected) in [
            (
                "arn:aws:sts::111122223333:assumed-role/Deployer/ana",
                Some("arn:aws:iam::111122223333:role/team/Deployer"),
            ),
            ("arn:aws:sts::111122223333:assumed-role/Unseen/ana", None),
            ("arn:aws:iam::111122223333:user/ana", Some("arn:aws:iam::111122223333:user/ana")),
            ("arn:aws:iam::111122223333:root", None),
        ] {
            assert_eq!(of(arn).as_deref(), expected, "{arn}");
        }
    }

    /// Answers as the AWS CLI does, and fails on whatever could change something or return a secret's value.
    fn cli(arguments: &[&str]) -> Result<Value> {
        match arguments {
            ["ecs", "list-clusters", ..] => Ok(json!([
                "arn:aws:ecs:us-east-1:1:cluster/moveongs-dev-cluster",
                "arn:aws:ecs:us-east-1:1:cluster/moveongs-prod-cluster"
            ])),
            ["ecs", "describe-clusters", "--clusters", arn, ..] => {
                let name = arn.rsplit('/').next().unwrap();
                Ok(
                    json!({"clusters": [{"clusterName": name, "tags": [{"key": "Project", "value": "moveongs"}]}]}),
                )
            }
            ["ecs", "list-services", "--cluster", arn, ..] => {
                assert!(!arn.contains("prod"), "another environment's cluster is looked into");
                Ok(json!([format!("{arn}/api")]))
            }
            ["ecs", "describe-services", ..] => Ok(json!({"services": [{"serviceName": "moveongs-dev-api",
                "taskDefinition": "moveongs-dev-api:3", "loadBalancers": [{"targetGroupArn": "arn:tg"}]}]})),
            ["ecs", "describe-task-definition", .., "--query", query] => {
                assert!(query.contains("environment[?contains(`[\"NOTIFICATIONS_EMAIL_FROM\""), "{query}");
                Ok(
                    json!([{"secrets": [{"name": "JWT_SECRET", "valueFrom": "arn:jwt"}], "group": "/aws/ecs/moveongs-dev-api",
                    "plain": [{"name": "S3_BUCKET", "value": "moveongs-dev-attachments"}]}]),
                )
            }
            ["elbv2", "describe-target-groups", "--target-group-arns", "arn:tg"] => {
                Ok(json!({"TargetGroups": [{"TargetGroupArn": "arn:tg", "LoadBalancerArns": ["arn:lb"]}]}))
            }
            ["secretsmanager", "list-secrets"] => Ok(json!({"SecretList": [
                {"Name": "/moveongs/dev/jwt", "ARN": "arn:jwt", "Tags": [{"Key": "Environment", "Value": "dev"}],
                    "SecretVersionsToStages": {"v1": ["AWSPREVIOUS"], "v2": ["AWSCURRENT", "AWSPENDING"]}},
                {"Name": "/moveongs/dev/slack", "ARN": "arn:slack"},
                {"Name": "/moveongs/dev/old", "ARN": "arn:old", "DeletedDate": "2026-01-01"}]})),
            ["s3api", "list-buckets", ..] => {
                Ok(json!(["moveongs-terraform-state", "moveongs-prod-terraform-state", "logs"]))
            }
            ["s3api", "list-objects-v2", "--bucket", bucket, ..] => {
                assert_eq!(*bucket, "moveongs-terraform-state");
                Ok(json!(["dev/terraform.tfstate"]))
            }
            ["s3api", "get-bucket-encryption", ..] => bail!("An error occurred (AccessDenied)"),
            ["kms", "list-aliases"] => Ok(json!({"Aliases": [{"AliasName": "alias/moveongs-dev-app",
                "AliasArn": "arn:aws:kms:us-east-1:1:alias/moveongs-dev-app", "TargetKeyId": "k"}]})),
            ["cloudformation", "describe-stacks", ..] => {
                Ok(json!([{"name": "moveongs-governance-staging", "health": "true"},
                {"name": "moveongs-governance-dev", "health": "true"}, {"name": "other", "health": null}]))
            }
            ["rds", "describe-db-instances"] => Ok(json!({"DBInstances": [
                {"DBInstanceIdentifier": "moveongs-dev-db", "Engine": "postgres"}]})),
            ["sesv2", "list-email-identities"] => Ok(json!({"NextToken": "2", "EmailIdentities": [
                {"IdentityType": "EMAIL_ADDRESS", "IdentityName": "a@moveongs.org"},
                {"IdentityType": "DOMAIN", "IdentityName": "moveongs.org"}]})),
            ["sesv2", "list-email-identities", "--next-token", "2"] => Ok(json!({"EmailIdentities": [
                {"IdentityType": "EMAIL_ADDRESS", "IdentityName": "b@moveongs.org"}]})),
            ["rds" | "ec2" | "iam" | "dynamodb" | "logs", verb, ..] if only_reads(verb) => {
                bail!("An error occurred (AccessDenied)\nwhen calling")
            }
            other => bail!("unexpected: {other:?}"),
        }
    }

    #[test]
    fn only_lists_are_read_and_what_cannot_be_read_is_not_empty() {
        let caller = Caller { account: "1".to_owned(), partition: "aws".to_owned(), arn: None };
        let facts = read(&cli, caller, &place());
        let services = facts.services.unwrap();
        assert_eq!(services.len(), 1);
        assert_eq!(services[0].secrets, [("JWT_SECRET".to_owned(), "arn:jwt".to_owned())]);
        assert_eq!(services[0].plain.get("S3_BUCKET").unwrap(), "moveongs-dev-attachments");
        let targets = facts.targets.unwrap();
        assert_eq!(
            (targets[0].arn.as_str(), targets[0].balancers.as_slice()),
            ("arn:tg", &["arn:lb".to_owned()][..])
        );
        let has_value: Vec<bool> = facts.secrets.unwrap().iter().map(|secret| secret.has_value).collect();
        assert_eq!(has_value, [true, false]);
        // Every page, and addresses only.
        assert_eq!(facts.senders.unwrap(), ["a@moveongs.org", "b@moveongs.org"]);
        let states = facts.states.unwrap();
        assert_eq!(states.len(), 1);
        assert_eq!(states[0].keys.as_deref().unwrap(), ["dev/terraform.tfstate"]);
        assert_eq!(states[0].key, Err("An error occurred (AccessDenied)".to_owned()));
        assert_eq!(
            facts.keys.unwrap().get("alias/moveongs-dev-app").unwrap(),
            "arn:aws:kms:us-east-1:1:key/k"
        );
        assert_eq!(facts.stacks.unwrap().len(), 1);
        for unseen in [facts.roles, facts.users, facts.groups, facts.tables, facts.log_groups] {
            assert_eq!(unseen.unwrap_err(), "An error occurred (AccessDenied)");
        }
        assert!(facts.subnet_groups.is_err() && facts.subnets.is_err() && facts.security_groups.is_err());
        // Clusters that may not be seen hide no instance.
        assert!(facts.database_clusters.is_err());
        assert_eq!(facts.databases.unwrap().len(), 1);
    }

    #[test]
    fn the_key_of_a_state_bucket_is_as_s3_names_it() {
        let sse = |key: Value| {
            let rule = json!({"ApplyServerSideEncryptionByDefault": key});
            Ok(json!({"ServerSideEncryptionConfiguration": {"Rules": [rule]}}))
        };
        for (answer, expected) in [
            (sse(json!({"SSEAlgorithm": "AES256"})), Ok(None)),
            (sse(json!({"SSEAlgorithm": "aws:kms"})), Ok(None)),
            (sse(json!({"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/a"})), Ok(Some("alias/a"))),
            (Err(format!("An error occurred ({UNENCRYPTED}) when calling")), Ok(None)),
            (Err("AccessDenied".to_owned()), Err("AccessDenied")),
        ] {
            let aws = |arguments: &[&str]| match arguments {
                ["s3api", "get-bucket-encryption", ..] => answer.clone().map_err(anyhow::Error::msg),
                other => cli(other),
            };
            let states = states(&aws, &place(), &["moveongs-terraform-state".to_owned()]);
            let key = states[0].key.as_ref().map(Option::as_deref).map_err(String::as_str);
            assert_eq!(key, expected);
        }
    }

    #[test]
    fn without_the_services_their_target_groups_are_unseen_too() {
        let caller = Caller { account: "1".to_owned(), partition: "aws".to_owned(), arn: None };
        let denied = |arguments: &[&str]| match arguments {
            ["ecs", ..] => bail!("AccessDenied: ecs"),
            other => cli(other),
        };
        let facts = read(&denied, caller, &place());
        assert_eq!(facts.targets.unwrap_err(), "AccessDenied: ecs");
    }
}
