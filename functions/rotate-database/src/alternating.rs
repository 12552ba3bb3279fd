//! Two logins that take turns, both acting as one owner: what the server has, what is missing, and how to get there.
//!
//! The owner may not log in and owns everything; each login is its member and acts as it from the first statement on
//! (`ALTER ROLE … SET role`). So what one login makes the other can use, and a rotation changes the password of the
//! login that is not in use: the one in use stays valid until the next rotation.

use std::collections::{BTreeMap, BTreeSet};

use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use shared::database::secret::Login;
use shared::database::{CLONE, DatabaseError, ErrorKind, Quotes, Session, stem, verifier};

const OWNER: &str = "_owner";

/// PostgreSQL cuts longer names off, in bytes.
const NAME_LIMIT: usize = 63;

/// The names of an alternating pair.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pair {
    /// The login that was there first.
    pub stem: String,
    /// The other login, `<stem>_clone`, as AWS's own functions call it.
    pub clone: String,
    /// The role that both act as, `<stem>_owner`.
    pub owner: String,
}

impl Pair {
    /// The pair that a login belongs to.
    ///
    /// # Errors
    ///
    /// What is wrong with the name.
    pub fn of(user: &str) -> Result<Self, String> {
        let stem = stem(user);
        let longest = NAME_LIMIT - CLONE.len().max(OWNER.len());
        if stem.len() > longest {
            return Err(format!(
                "{stem} is longer than {longest} bytes, so {CLONE} and {OWNER} do not fit behind it"
            ));
        }
        Ok(Self { stem: stem.to_owned(), clone: format!("{stem}{CLONE}"), owner: format!("{stem}{OWNER}") })
    }

    /// The login that takes its turn after `user`.
    pub fn other(&self, user: &str) -> &str {
        if user == self.clone { &self.stem } else { &self.clone }
    }
}

/// What a hand-over did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HandedOver {
    /// The statements in their order, with `…` for verifiers. A settled pair gets one, which sets the pending login's
    /// password; the others set up or repair.
    pub statements: Vec<String>,
}

/// What the server has of a pair, in one database.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Observed {
    /// The server's major version.
    major: u32,
    database: String,
    admin: Admin,
    /// The pair's roles that exist, by name.
    roles: BTreeMap<String, Role>,
    /// Which of them is a member of which.
    memberships: Vec<Membership>,
    /// Privileges of the logins that the owner, or the role that will be it, lacks.
    privileges: Vec<Privilege>,
    /// Other roles that the logins are members of and the owner is not.
    granted: Vec<Granted>,
    /// Schemas that are named as one of the logins.
    schemas: Vec<String>,
    /// The search path of a login that has none of its own.
    search_path: String,
    /// Logins that others than we are connected as, in this database.
    connected: Vec<String>,
}

/// The role that does the work.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
struct Admin {
    name: String,
    superuser: bool,
    createrole: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Role {
    login: bool,
    inherit: bool,
    createdb: bool,
    bypassrls: bool,
    /// Superuser, CREATEROLE or REPLICATION, itself or through a role that it is a member of; RDS's administrators.
    elevated: bool,
    /// Logs in by IAM tokens, and so by no password.
    iam: bool,
    limit: i32,
    until: Option<String>,
    /// The admin may alter and grant it.
    administered: bool,
    /// The admin may act as it.
    assumable: bool,
    /// The admin has granted it to itself.
    self_granted: bool,
    /// Something in this database, or a database, belongs to it.
    owns: bool,
    settings: Vec<Settings>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
struct Settings {
    /// All databases when there is none.
    database: Option<String>,
    /// Each as `name=value`.
    values: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
struct Membership {
    role: String,
    member: String,
    inherit: bool,
    set: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
struct Privilege {
    /// As in `GRANT … ON <kind>`; `DEFAULT` for default privileges.
    kind: String,
    /// Quoted name of the object; the kind of objects for default privileges.
    target: String,
    /// Quoted name of the column, or of the schema for default privileges.
    part: Option<String>,
    /// Whose object, or whose default privileges.
    owner: String,
    /// Whose privilege.
    holder: String,
    privilege: String,
    grantable: bool,
    /// The admin may grant it.
    may: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
struct Granted {
    role: String,
    admin: bool,
    inherit: bool,
    set: bool,
    may: bool,
}

/// A statement of the plan.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Statement {
    sql: String,
    /// Whose verifier is to stand at its end.
    password: Option<Whose>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whose {
    Current,
    Pending,
}

impl Statement {
    /// The statement without the verifier.
    fn shown(&self) -> String {
        format!("{}{}", self.sql, if self.password.is_some() { "'…'" } else { "" })
    }
}

/// Why nothing was planned.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Refusal {
    kind: ErrorKind,
    reason: String,
}

fn identity<T>(reason: String) -> Result<T, Refusal> {
    Err(Refusal { kind: ErrorKind::Identity, reason })
}

fn permission<T>(reason: String) -> Result<T, Refusal> {
    Err(Refusal { kind: ErrorKind::Permission, reason })
}

/// Gives the pair's other login the pending password, and sets up or repairs what both logins need. The session is
/// the administrator's, in the application's database; `current` must have been seen to log in. Either everything
/// happens or nothing, and there is no moment in which `current` cannot log in.
///
/// `fence` is asked as in [`Session::set_own_password`]. A second call changes nothing but the verifier's salt.
///
/// # Errors
///
/// [`DatabaseError`], or the fence's error: `Identity` when a role is not what it should be, `Permission` with the
/// statement that cures it when the administrator lacks a right. After a `Network` error it may have happened.
pub async fn hand_over<E: From<DatabaseError>>(
    session: &Session,
    pair: &Pair,
    current: &Login,
    pending: &Login,
    fence: impl AsyncFnOnce() -> Result<(), E>,
) -> Result<HandedOver, E> {
    const DURING: &str = "hand over to the other login";
    let refused = |refusal: Refusal| session.error(refusal.kind, DURING, refusal.reason);
    if (current.user != pair.stem && current.user != pair.clone) || pending.user != pair.other(&current.user)
    {
        let reason = format!("{} and {} do not take turns", current.user, pending.user);
        return Err(refused(Refusal { kind: ErrorKind::Identity, reason }).into());
    }
    session
        .in_transaction(&pair.stem, async || {
            let observed = observe(session, pair).await?;
            let statements = plan(&observed, pair, &current.user).map_err(refused)?;
            let verifiers = Verifiers { current: &current.password, pending: &pending.password };
            let sql = verifiers.script(&statements);
            fence().await?;
            session.run(DURING, &sql, Quotes::Verifier).await?;
            // A GRANT that may grant nothing only warns.
            let left = plan(&observe(session, pair).await?, pair, &current.user).map_err(refused)?;
            if let Some(left) = left.iter().find(|statement| statement.password.is_none()) {
                let reason = format!("the server accepted this and did not do it: {}", left.sql);
                return Err(refused(Refusal { kind: ErrorKind::Permission, reason }).into());
            }
            session.run(DURING, "COMMIT", Quotes::Nothing).await?;
            Ok(HandedOver { statements: statements.iter().map(Statement::shown).collect() })
        })
        .await
}

async fn observe(session: &Session, pair: &Pair) -> Result<Observed, DatabaseError> {
    const DURING: &str = "look at the pair's roles";
    let sql = query(session.major);
    let names: [&(dyn ToSql + Sync); 3] = [&pair.stem, &pair.clone, &pair.owner];
    let names = names.map(|name| (name, Type::TEXT));
    let row =
        tokio::time::timeout(shared::database::STATEMENT_LIMIT, session.client.query_typed(&sql, &names));
    let rows = session.answered(DURING, row.await, Quotes::Nothing)?;
    let text = rows.first().and_then(|row| row.try_get::<_, String>(0).ok());
    let strange = || session.error(ErrorKind::Other, DURING, "the answer has another form".to_owned());
    let observed: Observed = serde_json::from_str(&text.ok_or_else(strange)?).map_err(|_| strange())?;
    Ok(Observed { major: session.major, ..observed })
}

/// The passwords whose verifiers a plan asks for.
struct Verifiers<'a> {
    current: &'a SecretString,
    pending: &'a SecretString,
}

impl Verifiers<'_> {
    fn script(&self, statements: &[Statement]) -> Zeroizing<String> {
        let mut script = Zeroizing::new(String::with_capacity(4096));
        for statement in statements {
            script.push_str(&statement.sql);
            if let Some(whose) = statement.password {
                let password = match whose {
                    Whose::Current => self.current,
                    Whose::Pending => self.pending,
                };
                script.push_str(&Zeroizing::new(escape_literal(&verifier(password))));
            }
            script.push_str(";\n");
        }
        script
    }
}

/// The statements that bring the pair from what was observed to what it should be; at least the pending password's.
fn plan(observed: &Observed, pair: &Pair, current: &str) -> Result<Vec<Statement>, Refusal> {
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
            "{} may not pass on to {} all that the logins have: {}",
            observed.admin.name,
            pair.owner,
            missing.join("; ")
        ));
    }
    plan.borrow(place);
    check_administered(observed, pair, &plan)?;
    Ok(plan.statements)
}

/// Refuses roles that are more than an application's user.
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
            "{admin} may not make roles; as a superuser or the master user: ALTER ROLE {} CREATEROLE",
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

/// From 16 on CREATEROLE alone is no right to a role that exists.
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

    /// The role that becomes the owner at the first set-up: what it owns and may do, in all databases, stays with it.
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
        // What is connected goes on, but as a role of another name, which "$user" then means.
        let (_, explicit) = self.wanted_settings();
        if explicit && self.observed.connected.iter().any(|login| login == base) {
            return identity(format!(
                "{base} is connected and finds schema {base} through \"$user\" in its search path, which would end; \
                 name the schema with ALTER ROLE … SET search_path, have the application connect anew, and rotate again"
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

    /// Refuses an owner that is not ours: a role that only has its name.
    fn check_owner(&self) -> Result<(), Refusal> {
        let owner = &self.pair.owner;
        let member = |login: &str| self.membership(login, owner).is_some();
        let acts = |login: &str| self.role(login).is_some_and(|role| acts_as(role).contains(&owner.as_str()));
        let (current, other) = (self.current, self.other);
        // A login can have itself act as a role that it is no member of, so that alone is no evidence.
        let ours = member(current) || (acts(current) && member(other));
        if !ours {
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

    /// An owner that somebody let log in, or that lacks an attribute of a login that now acts as it.
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

    /// Whether a login is made anew: it is not there, or it was and has become the owner.
    fn is_new(&self, login: &str) -> bool {
        self.role(login).is_none() || (self.is_first() && self.base() == login)
    }

    /// Limit and expiry that both logins should have.
    fn limits(&self) -> (i32, Option<String>) {
        let current = self.role(self.current);
        let limit = current.map_or(-1, |role| role.limit);
        // AWS's functions make the clone without the limit of the original.
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
            // The administrator's own wish to be a member of what it makes.
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
            // At the first set-up the clone may be a member of the role that becomes the owner.
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

    /// Has a login act as the owner, in every database.
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
            // The server checks that the session that says so could act as the owner itself.
            self.assumed.insert(self.pair.owner.clone());
            self.add(format!("ALTER ROLE {name} SET \"role\" = {}", escape_literal(&self.pair.owner)));
        }
    }

    /// The settings that both logins should have: those of the login in use, and whether a search path had to be
    /// changed for that.
    fn wanted_settings(&self) -> (SettingsMap, bool) {
        let mut wanted = SettingsMap::new();
        if self.is_first() {
            // AWS's functions make the clone without the settings of the original.
            wanted.extend(self.role(self.base()).map(settings_of).unwrap_or_default());
        }
        wanted.extend(self.role(self.current).map(settings_of).unwrap_or_default());
        // "$user" is the acting role, so a schema named as a login must be named itself.
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

    /// What a login made for itself goes to the owner.
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

    /// What somebody granted to a login goes to the owner too. What the administrator may not pass on is returned, each
    /// with who may.
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

    /// What a login is a member of the owner becomes a member of. Returns as [`Self::privileges`] does.
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

    /// Lets the administrator act as a role from `place` on, and takes away what that added at the end.
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
            // A grant of the administrator's to itself stays, with the options that it had.
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

/// Settings by database and name.
type SettingsMap = BTreeMap<(Option<String>, String), String>;

const PATH: &str = "search_path";
const USER: &str = "$user";

/// A role's settings without `role`.
fn settings_of(role: &Role) -> SettingsMap {
    let each = role.settings.iter().flat_map(|one| one.values.iter().map(|value| (&one.database, value)));
    each.filter_map(|(database, value)| {
        let (name, value) = value.split_once('=')?;
        (name != "role").then(|| ((database.clone(), name.to_owned()), value.to_owned()))
    })
    .collect()
}

fn in_database(database: Option<&str>) -> String {
    database.map(|name| format!(" IN DATABASE {}", escape_identifier(name))).unwrap_or_default()
}

/// Settings whose value is a list of quoted names (`GUC_LIST_QUOTE`); the server stores the list as one text, and takes
/// it only as a list. No extension can add one.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    PATH,
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// A stored value as `SET` takes it.
fn literal(setting: &str, value: &str) -> String {
    if !LISTS.contains(&setting) {
        return escape_literal(value);
    }
    let parts = split(setting, value);
    if parts.is_empty() {
        return escape_literal("");
    }
    parts.iter().map(|part| escape_literal(part)).collect::<Vec<_>>().join(", ")
}

/// Whether two stored values mean the same.
fn same(setting: &str, one: &str, other: &str) -> bool {
    literal(setting, one) == literal(setting, other)
}

/// The names in a stored list.
fn split(setting: &str, value: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        let mut part = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let Some((before, after)) = quoted.split_once('"') else {
                    part.push_str(quoted);
                    rest = "";
                    break;
                };
                part.push_str(before);
                match after.strip_prefix('"') {
                    Some(more) => {
                        part.push('"');
                        quoted = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            rest = rest.split_once(',').map_or("", |(_, after)| after).trim_start();
        } else {
            let (name, after) = rest.split_once(',').unwrap_or((rest, ""));
            // Names fold as in SQL; files do not.
            let folds = matches!(setting, PATH | "temp_tablespaces");
            let name = name.trim_end();
            part.push_str(&if folds { name.to_ascii_lowercase() } else { name.to_owned() });
            rest = after.trim_start();
        }
        parts.push(part);
    }
    parts
}

/// The query for [`Observed`]; its parameters are stem, clone and owner.
fn query(major: u32) -> String {
    let newer = major >= 16;
    QUERY
        .replace("{parameters}", if major >= 15 { PARAMETERS } else { "" })
        .replace(
            "{administers}",
            if newer { "AND pg_has_role(me.oid, r.oid, 'MEMBER WITH ADMIN OPTION')" } else { "" },
        )
        .replace("{assumes}", if newer { "SET" } else { "MEMBER" })
        .replace("{inherit}", if newer { "m.inherit_option" } else { "member.rolinherit" })
        .replace("{set}", if newer { "m.set_option" } else { "true" })
        .replace("{createrole_grants}", if newer { "false" } else { "me.rolcreaterole AND NOT r.rolsuper" })
}

const PARAMETERS: &str =
    "UNION ALL SELECT 'PARAMETER', quote_ident(parname), NULL, 10, paracl FROM pg_parameter_acl";

/// `own` is the owner, or at the first set-up the role that becomes it. Every name is one of the catalog's: the
/// transaction sets the search path. What belongs to one of the pair is not looked at: it comes to the owner anyway.
const QUERY: &str = "
WITH me AS (
    SELECT oid, rolname, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = session_user
), named AS (
    SELECT * FROM pg_roles WHERE rolname IN ($1, $2, $3)
), own AS (
    SELECT oid FROM named ORDER BY array_position(ARRAY[$3, $1, $2], rolname::text) LIMIT 1
), logins AS (
    SELECT oid, rolname FROM named WHERE oid NOT IN (SELECT oid FROM own)
), acls (kind, target, part, owner, acl) AS (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, oid::regclass::text, NULL, relowner, relacl
    FROM pg_class
    UNION ALL
    SELECT 'TABLE', attrelid::regclass::text, quote_ident(attname), relowner, attacl
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE NOT attisdropped AND attacl IS NOT NULL
    UNION ALL SELECT 'SCHEMA', quote_ident(nspname), NULL, nspowner, nspacl FROM pg_namespace
    UNION ALL SELECT 'ROUTINE', oid::regprocedure::text, NULL, proowner, proacl FROM pg_proc
    UNION ALL SELECT 'TYPE', oid::regtype::text, NULL, typowner, typacl FROM pg_type
    UNION ALL SELECT 'LANGUAGE', quote_ident(lanname), NULL, lanowner, lanacl FROM pg_language
    UNION ALL SELECT 'FOREIGN DATA WRAPPER', quote_ident(fdwname), NULL, fdwowner, fdwacl FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'FOREIGN SERVER', quote_ident(srvname), NULL, srvowner, srvacl FROM pg_foreign_server
    UNION ALL SELECT 'LARGE OBJECT', oid::text, NULL, lomowner, lomacl FROM pg_largeobject_metadata
    UNION ALL
    SELECT 'DATABASE', quote_ident(datname), NULL, datdba, datacl FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT
        'DEFAULT',
        CASE defaclobjtype
            WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES'
            WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS'
        END,
        quote_ident(nspname), defaclrole, defaclacl
    FROM pg_default_acl LEFT JOIN pg_namespace ON pg_namespace.oid = defaclnamespace
    {parameters}
), privileges AS (
    SELECT DISTINCT ON (kind, target, part, owner, privilege)
        kind, target, part, pg_get_userbyid(acls.owner) AS owner, logins.rolname AS holder,
        item.privilege_type AS privilege, item.is_grantable AS grantable,
        pg_has_role(me.oid, acls.owner, 'USAGE') OR EXISTS (
            SELECT FROM aclexplode(acls.acl) AS mine
            WHERE acls.kind <> 'DEFAULT' AND mine.privilege_type = item.privilege_type AND mine.is_grantable
                AND mine.grantee <> 0 AND pg_has_role(me.oid, mine.grantee, 'USAGE')
        ) AS may
    FROM acls CROSS JOIN me CROSS JOIN own
        CROSS JOIN LATERAL aclexplode(acls.acl) AS item
        JOIN logins ON logins.oid = item.grantee
    WHERE acls.acl IS NOT NULL AND acls.owner NOT IN (SELECT oid FROM named)
        -- The owner of a database is that of its schema public too, without a grant.
        AND NOT pg_has_role(own.oid, acls.owner, 'USAGE')
        AND NOT EXISTS (
            SELECT FROM aclexplode(acls.acl) AS has
            WHERE has.grantee = own.oid AND has.privilege_type = item.privilege_type
                AND (has.is_grantable OR NOT item.is_grantable)
        )
    ORDER BY kind, target, part, owner, privilege, item.is_grantable DESC, logins.rolname
), granted AS (
    SELECT
        r.rolname AS role, bool_or(m.admin_option) AS admin, bool_or({inherit}) AS inherit, bool_or({set}) AS set,
        bool_or(me.rolsuper OR pg_has_role(me.oid, r.oid, 'MEMBER WITH ADMIN OPTION') OR {createrole_grants}) AS may
    FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid JOIN pg_roles AS member ON member.oid = m.member
        CROSS JOIN me CROSS JOIN own
    WHERE m.member IN (SELECT oid FROM logins) AND m.roleid NOT IN (SELECT oid FROM named)
        AND NOT pg_has_role(r.oid, own.oid, 'MEMBER')
        AND NOT EXISTS (
            SELECT FROM pg_auth_members AS has
            WHERE has.roleid = m.roleid AND has.member = own.oid AND (has.admin_option OR NOT m.admin_option)
        )
    GROUP BY r.rolname
), roles AS (
    SELECT
        r.rolname AS name, r.rolcanlogin AS login, r.rolinherit AS inherit, r.rolcreatedb AS createdb,
        r.rolbypassrls AS bypassrls,
        r.rolreplication OR EXISTS (
            SELECT FROM pg_roles AS power
            WHERE (power.rolsuper OR power.rolcreaterole OR power.rolname = 'rds_superuser')
                AND pg_has_role(r.oid, power.oid, 'MEMBER')
        ) AS elevated,
        EXISTS (
            SELECT FROM pg_roles AS iam WHERE iam.rolname = 'rds_iam' AND pg_has_role(r.oid, iam.oid, 'MEMBER')
        ) AS iam,
        r.rolconnlimit AS limit,
        CASE
            WHEN isfinite(r.rolvaliduntil)
            THEN to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'
            ELSE r.rolvaliduntil::text
        END AS until,
        me.rolsuper OR (me.rolcreaterole {administers}) AS administered,
        pg_has_role(me.oid, r.oid, '{assumes}') AS assumable,
        EXISTS (
            SELECT FROM pg_auth_members WHERE roleid = r.oid AND member = me.oid AND grantor = me.oid
        ) AS self_granted,
        EXISTS (
            SELECT FROM pg_shdepend
            WHERE refclassid = 'pg_authid'::regclass AND refobjid = r.oid AND deptype = 'o'
                AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                AND classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)
        ) AS owns,
        (
            SELECT coalesce(json_agg(json_build_object('database', datname, 'values', setconfig)), '[]')
            FROM pg_db_role_setting LEFT JOIN pg_database ON pg_database.oid = setdatabase
            WHERE setrole = r.oid
        ) AS settings
    FROM named AS r CROSS JOIN me
), memberships AS (
    SELECT
        r.rolname AS role, member.rolname AS member, bool_or({inherit}) AS inherit, bool_or({set}) AS set
    FROM pg_auth_members AS m JOIN named AS r ON r.oid = m.roleid JOIN named AS member ON member.oid = m.member
    GROUP BY r.rolname, member.rolname
)
SELECT json_build_object(
    'database', current_database(),
    'admin', (SELECT json_build_object('name', rolname, 'superuser', rolsuper, 'createrole', rolcreaterole) FROM me),
    'roles', (SELECT coalesce(json_object_agg(name, to_json(roles)), '{}') FROM roles),
    'memberships', (SELECT coalesce(json_agg(memberships), '[]') FROM memberships),
    'privileges', (SELECT coalesce(json_agg(privileges), '[]') FROM privileges),
    'granted', (SELECT coalesce(json_agg(granted), '[]') FROM granted),
    'schemas', (
        SELECT coalesce(json_agg(nspname ORDER BY nspname), '[]') FROM pg_namespace WHERE nspname IN ($1, $2)
    ),
    'connected', (
        SELECT coalesce(json_agg(DISTINCT usename), '[]') FROM pg_stat_activity
        WHERE usename IN ($1, $2) AND datname = current_database() AND application_name IS DISTINCT FROM 'rotate-database'
    ),
    'search_path', coalesce(
        (
            SELECT substr(value, length('search_path=') + 1)
            FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS value
            WHERE setrole = 0 AND starts_with(value, 'search_path=')
                AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            ORDER BY setdatabase DESC LIMIT 1
        ),
        (
            SELECT CASE WHEN EXISTS (
                SELECT FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS value CROSS JOIN me
                WHERE setrole = me.oid AND starts_with(value, 'search_path=')
            ) THEN boot_val ELSE reset_val END
            FROM pg_settings WHERE name = 'search_path'
        )
    )
)::text
";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const OWNED: &str = "role=imm_owner";

    /// A pair as a hand-over leaves it, with `changes` merged into it.
    fn settled(changes: &Value) -> Observed {
        let login = json!({
            "login": true, "inherit": true, "limit": -1, "administered": true,
            "settings": [{"database": null, "values": [OWNED]}]
        });
        let member = |member| json!({"role": "imm_owner", "member": member, "inherit": true, "set": true});
        let mut document = json!({
            "major": 16, "database": "app", "search_path": "\"$user\", public",
            "admin": {"name": "admin", "superuser": false, "createrole": true},
            "roles": {
                "imm": login, "imm_clone": login,
                "imm_owner": {"inherit": true, "limit": -1, "administered": true}
            },
            "memberships": [member("imm"), member("imm_clone")]
        });
        merge(&mut document, changes);
        serde_json::from_value(document).unwrap()
    }

    /// An application's user before the first set-up, with `changes` merged into it.
    fn fresh(changes: &Value) -> Observed {
        let mut document = json!({
            "major": 16, "database": "app", "search_path": "\"$user\", public",
            "admin": {"name": "admin", "superuser": false, "createrole": true},
            "roles": {"imm": {"login": true, "inherit": true, "limit": -1, "administered": true}}
        });
        merge(&mut document, changes);
        serde_json::from_value(document).unwrap()
    }

    /// JSON merge patch.
    fn merge(document: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else { return };
        for (key, value) in patch {
            if value.is_null() {
                document.as_object_mut().unwrap().remove(key);
            } else if value.is_object() {
                merge(document.as_object_mut().unwrap().entry(key).or_insert_with(|| json!({})), value);
            } else {
                document[key] = value.clone();
            }
        }
    }

    fn imm() -> Pair {
        Pair::of("imm").unwrap()
    }

    #[track_caller]
    fn planned(observed: &Observed, current: &str, expected: &[&str]) {
        let statements = plan(observed, &imm(), current).unwrap();
        let shown: Vec<_> = statements.iter().map(Statement::shown).collect();
        assert_eq!(shown, expected);
    }

    #[track_caller]
    fn refused(observed: &Observed, current: &str, kind: ErrorKind, reason: &str) {
        let refusal = plan(observed, &imm(), current).unwrap_err();
        assert_eq!(refusal.kind, kind, "{}", refusal.reason);
        assert!(refusal.reason.contains(reason), "{}", refusal.reason);
    }

    #[test]
    fn a_pair_has_three_names_of_at_most_63_bytes() {
        for (user, stem, other) in [
            ("imm", "imm", "imm_clone"),
            ("imm_clone", "imm", "imm"),
            ("a_clone_clone", "a_clone", "a_clone"),
            ("_clone", "_clone", "_clone_clone"),
            ("Ünï \"x\"", "Ünï \"x\"", "Ünï \"x\"_clone"),
        ] {
            let pair = Pair::of(user).unwrap();
            assert_eq!((pair.stem.as_str(), pair.other(user)), (stem, other), "{user}");
            assert_eq!(pair.owner, format!("{stem}_owner"));
            assert_eq!(pair.other(pair.other(user)), user);
        }
        assert!(Pair::of(&"x".repeat(57)).is_ok());
        assert!(Pair::of(&("x".repeat(57) + "_clone")).is_ok());
        assert!(Pair::of(&"x".repeat(58)).is_err());
        assert!(Pair::of(&"é".repeat(29)).is_err());
    }

    #[test]
    fn a_settled_pair_gets_a_password_and_nothing_else() {
        planned(&settled(&json!({})), "imm", &["ALTER ROLE \"imm_clone\" PASSWORD '…'"]);
        planned(&settled(&json!({})), "imm_clone", &["ALTER ROLE \"imm\" PASSWORD '…'"]);
        let explicit = json!([{"database": null, "values": [OWNED, "search_path=imm, public"]}]);
        let explicit = json!({"imm": {"settings": explicit}, "imm_clone": {"settings": explicit}});
        let observed = settled(&json!({"schemas": ["imm"], "roles": explicit}));
        planned(&observed, "imm", &["ALTER ROLE \"imm_clone\" PASSWORD '…'"]);
    }

    #[test]
    fn the_first_set_up_makes_the_user_the_owner() {
        let settings = json!([
            {"database": null, "values": ["search_path=\"$user\", public", "work_mem=8MB"]},
            {"database": "other db", "values": ["work_mem=9MB"]}
        ]);
        let user = json!({"limit": 5, "until": "2030-01-01 00:00:00+00", "settings": settings});
        let set_up = |login: &str, other: &str, made: [&str; 2]| {
            let mut lines = vec![
                format!("ALTER ROLE \"{login}\" RENAME TO \"imm_owner\""),
                "ALTER ROLE \"imm_owner\" NOLOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD NULL"
                    .to_owned(),
                "ALTER ROLE \"imm_owner\" RESET ALL".to_owned(),
                "ALTER ROLE \"imm_owner\" IN DATABASE \"other db\" RESET ALL".to_owned(),
                "SET LOCAL createrole_self_grant = ''".to_owned(),
            ];
            let create = "LOGIN INHERIT CONNECTION LIMIT 5 VALID UNTIL '2030-01-01 00:00:00+00' PASSWORD '…'";
            lines.extend(made.map(|login| format!("CREATE ROLE \"{login}\" {create}")));
            lines.push("GRANT \"imm_owner\" TO \"admin\" WITH INHERIT FALSE, SET TRUE".to_owned());
            for login in [login, other] {
                lines.push(format!("GRANT \"imm_owner\" TO \"{login}\" WITH INHERIT TRUE, SET TRUE"));
            }
            for login in [login, other] {
                lines.push(format!("ALTER ROLE \"{login}\" SET \"search_path\" = '$user', 'public'"));
                lines.push(format!("ALTER ROLE \"{login}\" SET \"work_mem\" = '8MB'"));
                lines.push(format!(
                    "ALTER ROLE \"{login}\" IN DATABASE \"other db\" SET \"work_mem\" = '9MB'"
                ));
                lines.push(format!("ALTER ROLE \"{login}\" SET \"role\" = 'imm_owner'"));
            }
            lines.push("REVOKE \"imm_owner\" FROM \"admin\"".to_owned());
            lines
        };
        let check = |observed: &Observed, login: &str, lines: Vec<String>| {
            planned(observed, login, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        };
        check(
            &fresh(&json!({"roles": {"imm": user}})),
            "imm",
            set_up("imm", "imm_clone", ["imm", "imm_clone"]),
        );
        // The first login was dropped by hand.
        let only = json!({"login": true, "inherit": true, "administered": true});
        let mut only_clone = fresh(&json!({"roles": {"imm": null, "imm_clone": only}}));
        let role = only_clone.roles.get_mut("imm_clone").unwrap();
        (role.limit, role.until) = (5, Some("2030-01-01 00:00:00+00".to_owned()));
        role.settings = serde_json::from_value(settings).unwrap();
        check(&only_clone, "imm_clone", set_up("imm_clone", "imm", ["imm_clone", "imm"]));
        // Each new login has the verifier of its own password.
        let statements = plan(&only_clone, &imm(), "imm_clone").unwrap();
        let whose: Vec<_> = statements.iter().filter_map(|one| one.password).collect();
        assert_eq!(whose, [Whose::Current, Whose::Pending]);
    }

    #[test]
    fn roles_that_are_not_what_they_should_be_are_refused() {
        let identity = ErrorKind::Identity;
        for (changes, reason) in [
            (json!({"roles": {"imm": null}}), "there is no role imm"),
            (json!({"admin": {"name": "imm"}}), "the administrator itself"),
            (json!({"roles": {"imm_clone": {"elevated": true}}}), "imm_clone administers"),
            (json!({"roles": {"imm_owner": {"elevated": true}}}), "imm_owner administers"),
            (json!({"roles": {"imm": {"iam": true}}}), "rds_iam"),
            (json!({"memberships": []}), "not a member"),
            (json!({"roles": {"imm": {"settings": []}, "imm_owner": {"login": true}}}), "can log in"),
            (
                json!({"roles": {"imm": {"settings": [{"database": "d", "values": ["role=x"]}]}}}),
                "acts as x, not as imm_owner",
            ),
        ] {
            refused(&settled(&changes), "imm", identity, reason);
        }
        // A login can say of itself whom it acts as, so without any membership that counts for nothing.
        let stranger = json!({
            "memberships": [{"role": "imm_owner", "member": "imm", "inherit": true, "set": true}],
            "roles": {"imm_clone": {"settings": []}}
        });
        refused(&settled(&stranger), "imm", identity, "imm_clone exists");
        let unrelated = json!({"roles": {"imm_clone": {"login": true, "administered": true}}});
        refused(&fresh(&unrelated), "imm", identity, "imm_clone exists");
        let schema = json!({"schemas": ["imm"], "connected": ["imm"]});
        refused(&fresh(&schema), "imm", identity, "imm is connected");
        let disconnected = json!({"schemas": ["imm"], "connected": ["imm_clone"]});
        assert!(plan(&fresh(&disconnected), &imm(), "imm").is_ok());
    }

    #[test]
    fn an_administrator_that_lacks_a_right_is_reported_which() {
        let permission = ErrorKind::Permission;
        refused(
            &settled(&json!({"admin": {"createrole": false}})),
            "imm",
            permission,
            "ALTER ROLE \"admin\" CREATEROLE",
        );
        let none = json!({"roles": {"imm": {"administered": false}}});
        let cure = "GRANT \"imm\" TO \"admin\" WITH ADMIN OPTION";
        refused(&fresh(&none), "imm", permission, cure);
        refused(&settled(&none), "imm_clone", permission, cure);
        // Nothing is to be done with the login in use.
        assert!(plan(&settled(&none), &imm(), "imm").is_ok());
        let privilege = json!([{
            "kind": "TABLE", "target": "public.audit", "part": null, "owner": "dba", "holder": "imm",
            "privilege": "SELECT", "grantable": false, "may": false
        }]);
        let reported = "GRANT SELECT ON TABLE public.audit TO \"imm_owner\" (as dba";
        refused(&settled(&json!({"privileges": privilege})), "imm", permission, reported);
        let granted = json!([{"role": "group", "admin": true, "inherit": true, "set": false, "may": false}]);
        let reported = "GRANT \"group\" TO \"imm_owner\" WITH ADMIN TRUE, INHERIT TRUE, SET FALSE";
        refused(&settled(&json!({"granted": granted})), "imm", permission, reported);
        // One message has all: who mends them one by one waits for a retry each time.
        let both = settled(&json!({"privileges": privilege, "granted": granted}));
        refused(&both, "imm", permission, "(as dba, or a role that may); GRANT \"group\"");
    }

    #[test]
    fn each_damage_has_its_repair() {
        let lent = "GRANT \"imm_owner\" TO \"admin\" WITH INHERIT FALSE, SET TRUE";
        let returned = "REVOKE \"imm_owner\" FROM \"admin\"";
        let password = "ALTER ROLE \"imm_clone\" PASSWORD '…'";
        let member = json!([{"role": "imm_owner", "member": "imm_clone", "inherit": true, "set": false}]);
        for (changes, expected) in [
            (
                json!({"roles": {"imm_owner": {"login": true}}}),
                vec!["ALTER ROLE \"imm_owner\" NOLOGIN PASSWORD NULL", password],
            ),
            (
                json!({"roles": {"imm": {"createdb": true, "bypassrls": true}}}),
                vec!["ALTER ROLE \"imm_owner\" CREATEDB BYPASSRLS", password],
            ),
            (
                json!({"roles": {"imm_clone": {"login": false, "inherit": false, "limit": 3, "until": "infinity"}}}),
                vec!["ALTER ROLE \"imm_clone\" LOGIN INHERIT CONNECTION LIMIT -1", password],
            ),
            (
                json!({"roles": {"imm": {"until": "2030-01-01 00:00:00+00"}}}),
                vec!["ALTER ROLE \"imm_clone\" VALID UNTIL '2030-01-01 00:00:00+00'", password],
            ),
            (
                json!({"memberships": member}),
                vec![
                    password,
                    "GRANT \"imm_owner\" TO \"imm\" WITH INHERIT TRUE, SET TRUE",
                    "GRANT \"imm_owner\" TO \"imm_clone\" WITH INHERIT TRUE, SET TRUE",
                ],
            ),
            (
                json!({"roles": {"imm_clone": {"settings": []}}}),
                vec![password, lent, "ALTER ROLE \"imm_clone\" SET \"role\" = 'imm_owner'", returned],
            ),
            (
                json!({"roles": {"imm_clone": {"settings": []}, "imm_owner": {"self_granted": true}}}),
                vec![
                    password,
                    "GRANT \"imm_owner\" TO \"admin\" WITH SET TRUE",
                    "ALTER ROLE \"imm_clone\" SET \"role\" = 'imm_owner'",
                    "REVOKE SET OPTION FOR \"imm_owner\" FROM \"admin\"",
                ],
            ),
            (
                json!({"major": 15, "roles": {"imm_clone": {"settings": []}}}),
                vec![
                    password,
                    "GRANT \"imm_owner\" TO \"admin\"",
                    "ALTER ROLE \"imm_clone\" SET \"role\" = 'imm_owner'",
                    returned,
                ],
            ),
            (
                json!({"roles": {"imm_clone": {"assumable": true, "owns": true}}}),
                vec![
                    password,
                    "SET LOCAL ROLE \"imm_clone\"",
                    "REASSIGN OWNED BY \"imm_clone\" TO \"imm_owner\"",
                    "SET LOCAL ROLE NONE",
                ],
            ),
            (
                json!({"roles": {"imm": {"settings": [
                    {"database": null, "values": [OWNED, "a.b=it's \\"]},
                    {"database": "d", "values": ["role=none"]}
                ]}}}),
                vec![
                    password,
                    "ALTER ROLE \"imm\" IN DATABASE \"d\" RESET \"role\"",
                    "ALTER ROLE \"imm_clone\" SET \"a.b\" =  E'it''s \\\\'",
                ],
            ),
            (
                json!({"roles": {"imm_clone": {"settings": [{"database": null, "values": [OWNED, "work_mem=1MB"]}]}}}),
                vec![password, "ALTER ROLE \"imm_clone\" RESET \"work_mem\""],
            ),
            (
                json!({"schemas": ["imm", "imm_clone"]}),
                vec![
                    password,
                    "ALTER ROLE \"imm\" IN DATABASE \"app\" SET \"search_path\" = 'imm', 'imm_clone', 'public'",
                    "ALTER ROLE \"imm_clone\" IN DATABASE \"app\" SET \"search_path\" = 'imm', 'imm_clone', 'public'",
                ],
            ),
            (
                json!({"privileges": [
                    {"kind": "TABLE", "target": "t", "part": "\"c\"", "owner": "dba", "holder": "imm",
                     "privilege": "SELECT", "grantable": true, "may": true},
                    {"kind": "DEFAULT", "target": "TABLES", "part": "s", "owner": "dba", "holder": "imm",
                     "privilege": "SELECT", "grantable": false, "may": true},
                    {"kind": "SCHEMA", "target": "s", "part": null, "owner": "dba", "holder": "imm",
                     "privilege": "USAGE", "grantable": true, "may": false}
                ]}),
                vec![
                    password,
                    "GRANT \"imm\" TO \"admin\" WITH INHERIT FALSE, SET TRUE",
                    "GRANT SELECT (\"c\") ON TABLE t TO \"imm_owner\" WITH GRANT OPTION",
                    "ALTER DEFAULT PRIVILEGES FOR ROLE \"dba\" IN SCHEMA s GRANT SELECT ON TABLES TO \"imm_owner\"",
                    "SET LOCAL ROLE \"imm\"",
                    "GRANT USAGE ON SCHEMA s TO \"imm_owner\" WITH GRANT OPTION",
                    "SET LOCAL ROLE NONE",
                    "REVOKE \"imm\" FROM \"admin\"",
                ],
            ),
        ] {
            planned(&settled(&changes), "imm", &expected);
        }
    }

    #[test]
    fn a_stored_list_is_taken_apart_as_the_server_does() {
        for (setting, value, parts) in [
            (PATH, "", vec![]),
            (PATH, "\"\"", vec![""]),
            (PATH, "\"$user\", public", vec!["$user", "public"]),
            (PATH, "\"We\"\"ird, one\" ,Folded , x", vec!["We\"ird, one", "folded", "x"]),
            ("session_preload_libraries", "Lib, \"a b\"", vec!["Lib", "a b"]),
            (PATH, "\"open", vec!["open"]),
        ] {
            assert_eq!(split(setting, value), parts, "{value}");
        }
        assert!(same(PATH, "a, \"b\"", "\"a\",b"));
        assert!(!same("application_name", "a, \"b\"", "\"a\",b"));
    }
}
