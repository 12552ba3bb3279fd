//! The account's resources, as far as the caller may see them.

use std::collections::BTreeMap;

/// A list, or why it could not be read.
pub(crate) type Seen<T> = Result<Vec<T>, String>;

/// The account's answers.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) caller: Caller,
    /// ARNs of the roles.
    pub(crate) roles: Seen<String>,
    /// Names of the IAM users.
    pub(crate) users: Seen<String>,
    /// Names of the IAM groups.
    pub(crate) groups: Seen<String>,
    /// Instances that are in no cluster.
    pub(crate) databases: Seen<Database>,
    pub(crate) database_clusters: Seen<Database>,
    pub(crate) services: Seen<Service>,
    pub(crate) clusters: Seen<Named>,
    pub(crate) secrets: Seen<Secret>,
    /// Names.
    pub(crate) buckets: Seen<String>,
    /// The buckets that may hold Terraform states.
    pub(crate) states: Seen<StateBucket>,
    /// Names.
    pub(crate) tables: Seen<String>,
    /// Names.
    pub(crate) log_groups: Seen<String>,
    /// ARN of the key by alias.
    pub(crate) keys: Result<BTreeMap<String, String>, String>,
    /// The services' target groups.
    pub(crate) targets: Seen<Target>,
    pub(crate) subnets: Seen<Subnet>,
    pub(crate) security_groups: Seen<SecurityGroup>,
    pub(crate) subnet_groups: Seen<SubnetGroup>,
    /// Verified mail addresses.
    pub(crate) senders: Seen<String>,
    /// The other governance stacks.
    pub(crate) stacks: Seen<Stack>,
}

impl Facts {
    /// The database with this identifier, or the cluster that it is a member of.
    pub(crate) fn database(&self, id: &str) -> Option<&Database> {
        let mut all = [&self.databases, &self.database_clusters].into_iter().flatten().flatten();
        all.find(|one| one.named.name == id || one.members.iter().any(|member| member == id))
    }
}

/// The caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) partition: String,
    /// ARN of the IAM role or user; none for the account's root, or a role whose path could not be read.
    pub(crate) arn: Option<String>,
}

/// A name, with its tags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A PostgreSQL instance or cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Database {
    pub(crate) named: Named,
    pub(crate) is_cluster: bool,
    /// Identifiers of a cluster's instances.
    pub(crate) members: Vec<String>,
    pub(crate) port: Option<u64>,
    /// Name of its DB subnet group.
    pub(crate) subnet_group: Option<String>,
    /// Ids of its security groups.
    pub(crate) groups: Vec<String>,
    pub(crate) parameter_group: Option<String>,
    /// ARN of the key that encrypts it.
    pub(crate) key: Option<String>,
}

/// An ECS service and what its task definition names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    pub(crate) named: Named,
    /// Name of its cluster.
    pub(crate) cluster: String,
    /// ARNs of its target groups.
    pub(crate) targets: Vec<String>,
    /// Variable and `valueFrom` of each secret.
    pub(crate) secrets: Vec<(String, String)>,
    /// The settings of [`PLAIN`] by name.
    pub(crate) plain: BTreeMap<String, String>,
    pub(crate) log_groups: Vec<String>,
}

/// The variables of the application that are read from task definitions. No other one leaves the AWS CLI: teams keep
/// passwords there.
pub(crate) const PLAIN: [&str; 5] = [
    "NOTIFICATIONS_EMAIL_FROM",
    "NOTIFICATIONS_EMAIL_SES_REGION",
    "NOTIFICATIONS_WHATSAPP_TWILIO_ACCOUNT_SID",
    "S3_BUCKET",
    "SEED_ADMIN_EMAIL",
];

/// A target group of a load balancer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    pub(crate) arn: String,
    /// ARNs of the load balancers before it.
    pub(crate) balancers: Vec<String>,
}

/// A secret, never its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secret {
    pub(crate) named: Named,
    pub(crate) arn: String,
    /// Whether it has a value in use, a version labelled AWSCURRENT.
    pub(crate) has_value: bool,
    /// Its key, in the form that Secrets Manager has it: id, ARN or alias.
    pub(crate) key: Option<String>,
}

/// A bucket that may hold Terraform states.
#[derive(Clone, Debug)]
pub(crate) struct StateBucket {
    pub(crate) name: String,
    /// Keys that end in `.tfstate`, or why they could not be listed.
    pub(crate) keys: Option<Vec<String>>,
    /// Its own key, if it has one, in the form that S3 has it: id, ARN or alias. Or why it could not be read.
    pub(crate) key: Result<Option<String>, String>,
}

/// A subnet, and whether its route to the internet is a NAT gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    /// By its tag `Name`.
    pub(crate) named: Named,
    pub(crate) vpc: String,
    pub(crate) has_nat: bool,
}

/// A group of subnets for databases.
#[derive(Clone, Debug, Default)]
pub(crate) struct SubnetGroup {
    pub(crate) name: String,
    pub(crate) vpc: String,
}

/// A security group.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecurityGroup {
    pub(crate) id: String,
    pub(crate) named: Named,
    pub(crate) vpc: String,
    /// Ports, from and to, that another group may reach; none for all ports.
    pub(crate) admits: Vec<(Option<(u64, u64)>, String)>,
}

/// Another governance stack of this account and region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) pages_health: bool,
}
