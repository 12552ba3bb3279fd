//! What the server has of a pair: the answer to the query in `alternating.rs`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the server has of a pair, in one database.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Observed {
    /// The server's major version.
    pub(crate) major: u32,
    pub(crate) database: String,
    pub(crate) admin: Admin,
    /// The pair's roles that exist, by name.
    pub(crate) roles: BTreeMap<String, Role>,
    /// Which of them is a member of which.
    pub(crate) memberships: Vec<Membership>,
    /// Privileges of the logins that the owner, or the role that will be it, lacks.
    pub(crate) privileges: Vec<Privilege>,
    /// Other roles that the logins are members of and the owner is not.
    pub(crate) granted: Vec<Granted>,
    /// Schemas that are named as one of the logins.
    pub(crate) schemas: Vec<String>,
    /// The search path of a login that has none of its own.
    pub(crate) search_path: String,
    /// Logins that others than we are connected as, in this database.
    pub(crate) connected: Vec<String>,
}

/// The role that does the work.
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
    /// Superuser, CREATEROLE or REPLICATION, itself or through a role that it is a member of; RDS's administrators.
    pub(crate) elevated: bool,
    /// Logs in by IAM tokens, and so by no password.
    pub(crate) iam: bool,
    pub(crate) limit: i32,
    pub(crate) until: Option<String>,
    /// The admin may alter and grant it.
    pub(crate) administered: bool,
    /// The admin may act as it.
    pub(crate) assumable: bool,
    /// The admin has granted it to itself.
    pub(crate) self_granted: bool,
    /// Something in this database, or a database, belongs to it.
    pub(crate) owns: bool,
    pub(crate) settings: Vec<Settings>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Settings {
    /// All databases when there is none.
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
    /// Quoted name of the object; the kind of objects for default privileges.
    pub(crate) target: String,
    /// Quoted name of the column, or of the schema for default privileges.
    pub(crate) part: Option<String>,
    /// Whose object, or whose default privileges.
    pub(crate) owner: String,
    /// Whose privilege.
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
