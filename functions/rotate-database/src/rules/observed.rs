//! The state of a pair on the server, as the query in `alternating.rs` returns it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The state of a pair on the server, in one database.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Observed {
    /// The server's major version.
    pub(crate) major: u32,
    pub(crate) database: String,
    pub(crate) admin: Admin,
    /// The pair's existing roles, by name.
    pub(crate) roles: BTreeMap<String, Role>,
    /// Memberships between them.
    pub(crate) memberships: Vec<Membership>,
    /// The logins' privileges that the owner, or the role that will become the owner, lacks.
    pub(crate) privileges: Vec<Privilege>,
    /// Other roles of which the logins are members and the owner is not.
    pub(crate) granted: Vec<Granted>,
    /// Schemas named like one of the logins.
    pub(crate) schemas: Vec<String>,
    /// The search path of a login without a setting of its own.
    pub(crate) search_path: String,
    /// Logins with connections to this database other than this function's.
    pub(crate) connected: Vec<String>,
}

/// The administrator role.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Admin {
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) createrole: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Role {
    pub(crate) login: bool,
    pub(crate) inherit: bool,
    pub(crate) createdb: bool,
    pub(crate) bypassrls: bool,
    /// Has SUPERUSER or CREATEROLE, itself or through a membership, or is a member of `rds_superuser`; or has
    /// REPLICATION.
    pub(crate) elevated: bool,
    /// Logs in by IAM tokens, so not by password.
    pub(crate) iam: bool,
    pub(crate) limit: i32,
    pub(crate) until: Option<String>,
    /// The admin may alter and grant it.
    pub(crate) administered: bool,
    /// The admin may act as it.
    pub(crate) assumable: bool,
    /// The admin has granted it to itself.
    pub(crate) self_granted: bool,
    /// Owns an object in this database, or a database.
    pub(crate) owns: bool,
    pub(crate) settings: Vec<Settings>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Settings {
    /// All databases if none.
    pub(crate) database: Option<String>,
    /// Each as `name=value`.
    pub(crate) values: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Membership {
    pub(crate) role: String,
    pub(crate) member: String,
    pub(crate) inherit: bool,
    pub(crate) set: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Privilege {
    /// As in `GRANT … ON <kind>`; `DEFAULT` for default privileges.
    pub(crate) kind: String,
    /// Quoted name of the object; for default privileges, the kind of objects.
    pub(crate) target: String,
    /// Quoted name of the column; for default privileges, of the schema.
    pub(crate) part: Option<String>,
    /// Owner of the object or of the default privileges.
    pub(crate) owner: String,
    /// The login that holds the privilege.
    pub(crate) holder: String,
    pub(crate) privilege: String,
    pub(crate) grantable: bool,
    /// The admin may grant it.
    pub(crate) may: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Granted {
    pub(crate) role: String,
    pub(crate) admin: bool,
    pub(crate) inherit: bool,
    pub(crate) set: bool,
    pub(crate) may: bool,
}
