//! Plans the statements that set up, repair and hand over a pair.

mod settings;

use std::collections::BTreeSet;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use shared::database::ErrorKind;

use self::settings::{PATH, SettingsMap, USER, literal, same, settings_of, split};
use crate::rules::observed::{Membership, Observed, Role};
use crate::rules::pair::Pair;

/// A statement of the plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    /// The login whose verifier is appended.
    pub(crate) password: Option<Whose>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whose {
    Current,
    Pending,
}

impl Statement {
    /// The statement without the verifier.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.sql, if self.password.is_some() { "'…'" } else { "" })
    }
}

/// Why the plan was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) kind: ErrorKind,
    pub(crate) reason: String,
}

fn identity<T>(reason: String) -> Result<T, Refusal> {
    Err(Refusal { kind: ErrorKind::Identity, reason })
}

fn permission<T>(reason: String) -> Result<T, Refusal> {
    Err(Refusal { kind: ErrorKind::Permission, reason })
}

/// The statements that bring the pair from its observed to its wanted state; always including the pending password's.
pub(crate) fn plan(observed: &Observed, pair: &Pair, current: &str) -> Result<Vec<Statement>, Refusal> {
    check_roles(observed, pair, current)?;
    let mut plan = Plan {
        observed,
        pair,
        current,
        other: pair.other(current),
        statements: Vec::new(),
        assumed: BTreeSet::new(),
    };
    if plan.is_first() {
        plan.first_set_up()?;
    } else {
        plan.check_owner()?;
        plan.owner();
    }
    plan.logins();
    let place = plan.statements.len();
    plan.memberships();
    plan.settings();
    plan.objects();
    let missing = [plan.privileges(), plan.granted()].concat();
    if !missing.is_empty() {
        return permission(format!(
            "{} may not grant {} everything that the logins have: {}",
            observed.admin.name,
            pair.owner,
            missing.join("; ")
        ));
    }
    plan.borrow(place);
    check_administered(observed, pair, &plan)?;
    Ok(plan.statements)
}

/// Refuses roles with more rights than an application user.
fn check_roles(observed: &Observed, pair: &Pair, current: &str) -> Result<(), Refusal> {
    let admin = &observed.admin.name;
    if !observed.roles.contains_key(current) {
        return identity(format!("there is no role {current}"));
    }
    for (name, role) in &observed.roles {
        if name == admin {
            return identity(format!("{name} is the administrator itself, not an ordinary application user"));
        }
        if role.elevated {
            return identity(format!(
                "{name} administers the server (SUPERUSER, CREATEROLE, REPLICATION or rds_superuser), so it is not an ordinary application user"
            ));
        }
        if role.iam {
            return identity(format!(
                "{name} logs in by IAM tokens (it is a member of rds_iam), so it has no password and needs no rotation: switch the secret's rotation off and name its instance in the policy (iam_login)"
            ));
        }
        let acts = acts_as(role);
        if *name != pair.owner
            && let Some(strange) = acts.iter().find(|acts| **acts != pair.owner && **acts != "none")
        {
            return identity(format!("{name} acts as {strange}, not as {}", pair.owner));
        }
    }
    if !observed.admin.superuser && !observed.admin.createrole {
        return permission(format!(
            "{admin} may not create roles; as a superuser or the master user: ALTER ROLE {} CREATEROLE",
            escape_identifier(admin)
        ));
    }
    Ok(())
}

/// The values of a role's setting `role`.
fn acts_as(role: &Role) -> Vec<&str> {
    let values = role.settings.iter().flat_map(|settings| &settings.values);
    values.filter_map(|value| value.strip_prefix("role=")).collect()
}

/// Since PostgreSQL 16, CREATEROLE alone gives no right to alter an existing role.
fn check_administered(observed: &Observed, pair: &Pair, plan: &Plan<'_>) -> Result<(), Refusal> {
    let touched = |name: &&String| {
        let quoted = escape_identifier(name);
        let named = |statement: &Statement| {
            ["ALTER ROLE ", "GRANT "]
                .iter()
                .any(|verb| statement.sql.strip_prefix(verb).is_some_and(|rest| rest.starts_with(&quoted)))
        };
        plan.statements.iter().any(named)
    };
    let missing: Vec<_> = [&pair.stem, &pair.clone, &pair.owner]
        .into_iter()
        .filter(|name| observed.roles.get(*name).is_some_and(|role| !role.administered))
        .filter(touched)
        .map(|name| escape_identifier(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    permission(format!(
        "{} may not alter or grant {}; as a role that may: GRANT {} TO {} WITH ADMIN OPTION",
        observed.admin.name,
        missing.join(", "),
        missing.join(", "),
        escape_identifier(&observed.admin.name)
    ))
}

struct Plan<'a> {
    observed: &'a Observed,
    pair: &'a Pair,
    current: &'a str,
    other: &'a str,
    statements: Vec<Statement>,
    /// Roles that the administrator must be able to act as.
    assumed: BTreeSet<String>,
}

impl<'a> Plan<'a> {
    fn add(&mut self, sql: String) {
        self.statements.push(Statement { sql, password: None });
    }

    fn role(&self, name: &str) -> Option<&'a Role> {
        self.observed.roles.get(name)
    }

    fn membership(&self, member: &str, role: &str) -> Option<&'a Membership> {
        self.observed.memberships.iter().find(|found| found.member == member && found.role == role)
    }

    fn is_first(&self) -> bool {
        self.role(&self.pair.owner).is_none()
    }

    /// The role that becomes the owner at the first set-up. It keeps its objects and privileges in all databases.
    fn base(&self) -> &'a str {
        if self.role(&self.pair.stem).is_some() { &self.pair.stem } else { &self.pair.clone }
    }

    fn first_set_up(&mut self) -> Result<(), Refusal> {
        let base = self.base();
        let clone = &self.pair.clone;
        if base != clone
            && self.role(clone).is_some()
            && self.membership(clone, base).is_none()
            && self.membership(base, clone).is_none()
        {
            return identity(format!("{clone} exists and has nothing to do with {base}"));
        }
        // Open sessions continue, but under the role's new name, so "$user" changes its meaning.
        let (_, explicit) = self.wanted_settings();
        if explicit && self.observed.connected.iter().any(|login| login == base) {
            return identity(format!(
                "{base} is connected and finds schema {base} through \"$user\" in its search path, which the rename would break; \
                 name the schema with ALTER ROLE … SET search_path, reconnect the application, and rotate again"
            ));
        }
        let owner = escape_identifier(&self.pair.owner);
        self.add(format!("ALTER ROLE {} RENAME TO {owner}", escape_identifier(base)));
        self.add(format!(
            "ALTER ROLE {owner} NOLOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD NULL"
        ));
        for settings in self.role(base).iter().flat_map(|role| &role.settings) {
            self.add(format!("ALTER ROLE {owner}{} RESET ALL", in_database(settings.database.as_deref())));
        }
        Ok(())
    }

    /// Refuses an unrelated role with the owner's name.
    fn check_owner(&self) -> Result<(), Refusal> {
        let owner = &self.pair.owner;
        let member = |login: &str| self.membership(login, owner).is_some();
        let acts = |login: &str| self.role(login).is_some_and(|role| acts_as(role).contains(&owner.as_str()));
        let (current, other) = (self.current, self.other);
        // A login can set its own `role` without being a member, so the setting alone is no proof.
        let is_pairs = member(current) || (acts(current) && member(other));
        if !is_pairs {
            return identity(format!("role {owner} exists, and {current} is not a member of it"));
        }
        if self.role(owner).is_some_and(|role| role.login) && !acts(current) {
            return identity(format!("role {owner} exists and can log in"));
        }
        if self.role(other).is_some() && !member(other) && !acts(other) {
            let related = self.membership(other, current).or(self.membership(current, other));
            if related.is_none() {
                return identity(format!("{other} exists and has nothing to do with {owner}"));
            }
        }
        Ok(())
    }

    /// Repairs an owner that may log in, or that lacks an attribute of a login that acts as it.
    fn owner(&mut self) {
        let Some(owner) = self.role(&self.pair.owner) else { return };
        let logins: Vec<_> = [self.current, self.other].iter().filter_map(|name| self.role(name)).collect();
        let mut attributes = Vec::new();
        if owner.login {
            attributes.push("NOLOGIN PASSWORD NULL");
        }
        if !owner.createdb && logins.iter().any(|login| login.createdb) {
            attributes.push("CREATEDB");
        }
        if !owner.bypassrls && logins.iter().any(|login| login.bypassrls) {
            attributes.push("BYPASSRLS");
        }
        if !attributes.is_empty() {
            self.add(format!("ALTER ROLE {} {}", escape_identifier(&self.pair.owner), attributes.join(" ")));
        }
    }

    /// Whether a login must be created: it is missing, or its role becomes the owner.
    fn is_new(&self, login: &str) -> bool {
        self.role(login).is_none() || (self.is_first() && self.base() == login)
    }

    /// The connection limit and expiry for both logins.
    fn limits(&self) -> (i32, Option<String>) {
        let current = self.role(self.current);
        let limit = current.map_or(-1, |role| role.limit);
        // AWS's functions create the clone without the original's limit.
        let limit = if self.is_first() && limit == -1 {
            self.role(self.base()).map_or(-1, |role| role.limit)
        } else {
            limit
        };
        (limit, current.and_then(|role| role.until.clone()))
    }

    fn logins(&mut self) {
        let (limit, until) = self.limits();
        let expiry = format!("VALID UNTIL {}", escape_literal(until.as_deref().unwrap_or("infinity")));
        let made = [self.current, self.other].into_iter().filter(|login| self.is_new(login)).count();
        if made > 0 && self.observed.major >= 16 {
            // Overrides the administrator's setting, which may make it a member of each role that it creates.
            self.add("SET LOCAL createrole_self_grant = ''".to_owned());
        }
        for (login, whose) in [(self.current, Whose::Current), (self.other, Whose::Pending)] {
            let name = escape_identifier(login);
            let Some(role) = self.role(login).filter(|_| !self.is_new(login)) else {
                let expiry = if until.is_some() { format!("{expiry} ") } else { String::new() };
                let sql =
                    format!("CREATE ROLE {name} LOGIN INHERIT CONNECTION LIMIT {limit} {expiry}PASSWORD ");
                self.statements.push(Statement { sql, password: Some(whose) });
                continue;
            };
            let mut attributes = Vec::new();
            if !role.login {
                attributes.push("LOGIN".to_owned());
            }
            if !role.inherit {
                attributes.push("INHERIT".to_owned());
            }
            if role.limit != limit {
                attributes.push(format!("CONNECTION LIMIT {limit}"));
            }
            let infinite = |until: &Option<String>| until.as_deref().unwrap_or("infinity").to_owned();
            if infinite(&role.until) != infinite(&until) {
                attributes.push(expiry.clone());
            }
            if !attributes.is_empty() {
                self.add(format!("ALTER ROLE {name} {}", attributes.join(" ")));
            }
            if whose == Whose::Pending {
                let sql = format!("ALTER ROLE {name} PASSWORD ");
                self.statements.push(Statement { sql, password: Some(whose) });
            }
        }
    }

    fn memberships(&mut self) {
        let owner = &self.pair.owner;
        for login in [self.current, self.other] {
            // At the first set-up the clone may already be a member of the role that becomes the owner.
            let role = if self.is_first() { self.base() } else { owner };
            let found = self.membership(login, role).filter(|_| !self.is_new(login));
            if found.is_none_or(|found| !(found.inherit && found.set)) {
                let options = if self.observed.major >= 16 { " WITH INHERIT TRUE, SET TRUE" } else { "" };
                let sql =
                    format!("GRANT {} TO {}{options}", escape_identifier(owner), escape_identifier(login));
                self.add(sql);
            }
        }
    }

    fn settings(&mut self) {
        let (wanted, _) = self.wanted_settings();
        for login in [self.current, self.other] {
            let name = escape_identifier(login);
            let role = self.role(login).filter(|_| !self.is_new(login));
            let found = role.map(settings_of).unwrap_or_default();
            for ((database, setting), value) in &wanted {
                let place = (database.clone(), setting.clone());
                if found.get(&place).is_none_or(|found| !same(setting, found, value)) {
                    let place = in_database(database.as_deref());
                    let setting_name = escape_identifier(setting);
                    self.add(format!(
                        "ALTER ROLE {name}{place} SET {setting_name} = {}",
                        literal(setting, value)
                    ));
                }
            }
            for (database, setting) in found.keys().filter(|place| !wanted.contains_key(place)) {
                let place = in_database(database.as_deref());
                self.add(format!("ALTER ROLE {name}{place} RESET {}", escape_identifier(setting)));
            }
            self.acting(login, role);
        }
    }

    /// Makes a login act as the owner, in every database.
    fn acting(&mut self, login: &str, role: Option<&Role>) {
        let name = escape_identifier(login);
        let settings = role.map(|role| role.settings.as_slice()).unwrap_or_default();
        let ours = format!("role={}", self.pair.owner);
        let is_role = |value: &&String| value.starts_with("role=");
        for one in settings {
            if let (Some(database), Some(value)) = (&one.database, one.values.iter().find(is_role))
                && *value != ours
            {
                self.add(format!("ALTER ROLE {name}{} RESET \"role\"", in_database(Some(database))));
            }
        }
        if !settings.iter().any(|one| one.database.is_none() && one.values.contains(&ours)) {
            // The server requires that this session could act as the owner itself.
            self.assumed.insert(self.pair.owner.clone());
            self.add(format!("ALTER ROLE {name} SET \"role\" = {}", escape_literal(&self.pair.owner)));
        }
    }

    /// The settings for both logins, taken from the login in use, and whether a search path had to be rewritten.
    fn wanted_settings(&self) -> (SettingsMap, bool) {
        let mut wanted = SettingsMap::new();
        if self.is_first() {
            // AWS's functions create the clone without the original's settings.
            wanted.extend(self.role(self.base()).map(settings_of).unwrap_or_default());
        }
        wanted.extend(self.role(self.current).map(settings_of).unwrap_or_default());
        // "$user" means the acting role, so the search path must name a login's schema explicitly.
        if self.observed.schemas.is_empty() {
            return (wanted, false);
        }
        let path = |value: &str| {
            let parts = split(PATH, value);
            parts.iter().any(|part| part == USER).then(|| {
                let replace = |part: String| {
                    if part == USER { self.observed.schemas.clone() } else { vec![part] }
                };
                let parts: Vec<_> = parts.into_iter().flat_map(replace).collect();
                parts.iter().map(|part| escape_identifier(part)).collect::<Vec<_>>().join(", ")
            })
        };
        let here = Some(self.observed.database.clone());
        let own =
            [&here, &None].iter().any(|place| wanted.contains_key(&((*place).clone(), PATH.to_owned())));
        let mut changed = false;
        for ((_, setting), value) in &mut wanted {
            if setting == PATH
                && let Some(explicit) = path(value)
            {
                *value = explicit;
                changed = true;
            }
        }
        if !own && let Some(explicit) = path(&self.observed.search_path) {
            wanted.insert((here, PATH.to_owned()), explicit);
            changed = true;
        }
        (wanted, changed)
    }

    /// Gives a login's own objects to the owner.
    fn objects(&mut self) {
        for login in [self.current, self.other] {
            if self.role(login).is_some_and(|role| role.owns) && !self.is_new(login) {
                let (name, owner) = (escape_identifier(login), escape_identifier(&self.pair.owner));
                self.as_login(login, format!("REASSIGN OWNED BY {name} TO {owner}"));
            }
        }
    }

    fn as_login(&mut self, login: &str, sql: String) {
        self.assumed.insert(login.to_owned());
        self.add(format!("SET LOCAL ROLE {}", escape_identifier(login)));
        self.add(sql);
        self.add("SET LOCAL ROLE NONE".to_owned());
    }

    /// Grants a login's privileges to the owner too. Returns the grants that the administrator may not make, each with
    /// a role that may.
    fn privileges(&mut self) -> Vec<String> {
        let owner = escape_identifier(&self.pair.owner);
        let mut missing = Vec::new();
        for one in &self.observed.privileges {
            let option = if one.grantable { " WITH GRANT OPTION" } else { "" };
            let sql = if one.kind == "DEFAULT" {
                let schema = one.part.as_ref().map(|part| format!(" IN SCHEMA {part}")).unwrap_or_default();
                let role = escape_identifier(&one.owner);
                let (privilege, target) = (&one.privilege, &one.target);
                format!(
                    "ALTER DEFAULT PRIVILEGES FOR ROLE {role}{schema} GRANT {privilege} ON {target} TO {owner}{option}"
                )
            } else {
                let part = one.part.as_ref().map(|part| format!(" ({part})")).unwrap_or_default();
                format!("GRANT {}{part} ON {} {} TO {owner}{option}", one.privilege, one.kind, one.target)
            };
            if one.may {
                self.add(sql);
            } else if one.grantable && one.kind != "DEFAULT" {
                self.as_login(&one.holder, sql);
            } else {
                missing.push(format!("{sql} (as {}, or a role that may)", one.owner));
            }
        }
        missing
    }

    /// Gives a login's memberships to the owner too. Returns like [`Self::privileges`].
    fn granted(&mut self) -> Vec<String> {
        let owner = escape_identifier(&self.pair.owner);
        let mut missing = Vec::new();
        for one in &self.observed.granted {
            let options = match (self.observed.major >= 16, one.admin) {
                (true, admin) => {
                    let word = |yes: bool| if yes { "TRUE" } else { "FALSE" };
                    let (admin, inherit, set) = (word(admin), word(one.inherit), word(one.set));
                    format!(" WITH ADMIN {admin}, INHERIT {inherit}, SET {set}")
                }
                (false, true) => " WITH ADMIN OPTION".to_owned(),
                (false, false) => String::new(),
            };
            let sql = format!("GRANT {} TO {owner}{options}", escape_identifier(&one.role));
            if one.may {
                self.add(sql);
            } else {
                missing.push(format!("{sql} (as a role that may)"));
            }
        }
        missing
    }

    /// Lets the administrator act as the assumed roles from statement `place` on, and revokes that at the end.
    fn borrow(&mut self, place: usize) {
        let admin = escape_identifier(&self.observed.admin.name);
        let newer = self.observed.major >= 16;
        let (mut lent, mut returned) = (Vec::new(), Vec::new());
        for name in &self.assumed {
            let first_owner = self.is_first() && *name == self.pair.owner;
            let Some(role) = self.role(if first_owner { self.base() } else { name }) else { continue };
            if role.assumable {
                continue;
            }
            let name = escape_identifier(name);
            // Keep a grant that the administrator made to itself earlier, with its options.
            let (options, revoked) = match (newer, role.self_granted) {
                (true, false) => (" WITH INHERIT FALSE, SET TRUE", ""),
                (true, true) => (" WITH SET TRUE", "SET OPTION FOR "),
                (false, _) => ("", ""),
            };
            lent.push(Statement { sql: format!("GRANT {name} TO {admin}{options}"), password: None });
            returned.push(Statement { sql: format!("REVOKE {revoked}{name} FROM {admin}"), password: None });
        }
        self.statements.splice(place..place, lent);
        self.statements.extend(returned);
    }
}

fn in_database(database: Option<&str>) -> String {
    database.map(|name| format!(" IN DATABASE {}", escape_identifier(name))).unwrap_or_default()
}

#[cfg(test)]
mod tests;
