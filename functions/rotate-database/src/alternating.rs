//! Hands over between two logins that take turns, both acting as one owner.
//!
//! The owner cannot log in and owns everything. Each login is a member of it and acts as it from the first statement on
//! (`ALTER ROLE … SET role`), so each login can use the objects that the other creates. A rotation changes the password
//! of the unused login; the one in use stays valid until the next rotation.

use postgres_protocol::escape::escape_literal;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use shared::database::secret::Login;
use shared::database::{DatabaseError, ErrorKind, Quotes, Session, verifier};
use tokio_postgres::types::{ToSql, Type};

use crate::rules::observed::Observed;
pub use crate::rules::pair::Pair;
use crate::rules::plan::{Refusal, Statement, Whose, plan};

/// The result of a hand-over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HandedOver {
    /// The executed statements in order, with `…` for verifiers. A settled pair needs one, which sets the pending
    /// login's password; all others set up or repair the pair.
    pub statements: Vec<String>,
}

/// Gives the pair's other login the pending password, and sets up or repairs both logins. `session` is the
/// administrator's, in the application's database; `current` must have logged in before. All changes happen in one
/// transaction, and `current` can log in throughout.
///
/// `fence` is called as in [`Session::set_own_password`]. A second call changes only the verifier's salt.
///
/// # Errors
///
/// [`DatabaseError`], or the fence's error: `Identity` if a role is not the expected one; `Permission`, with the
/// statement that grants it, if the administrator lacks a right. After a `Network` error the changes may have been
/// committed.
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
            // PostgreSQL only warns when a GRANT has no effect.
            let left = plan(&observe(session, pair).await?, pair, &current.user).map_err(refused)?;
            if let Some(left) = left.iter().find(|statement| statement.password.is_none()) {
                let reason =
                    format!("the server accepted this statement, but it had no effect: {}", left.sql);
                return Err(refused(Refusal { kind: ErrorKind::Permission, reason }).into());
            }
            session.run(DURING, "COMMIT", Quotes::Nothing).await?;
            Ok(HandedOver { statements: statements.iter().map(Statement::shown).collect() })
        })
        .await
}

async fn observe(session: &Session, pair: &Pair) -> Result<Observed, DatabaseError> {
    const DURING: &str = "read the pair's roles";
    let sql = query(session.major);
    let names: [&(dyn ToSql + Sync); 3] = [&pair.stem, &pair.clone, &pair.owner];
    let names = names.map(|name| (name, Type::TEXT));
    let row =
        tokio::time::timeout(shared::database::STATEMENT_LIMIT, session.client.query_typed(&sql, &names));
    let rows = session.answered(DURING, row.await, Quotes::Nothing)?;
    let text = rows.first().and_then(|row| row.try_get::<_, String>(0).ok());
    let strange = || session.error(ErrorKind::Other, DURING, "the answer has an unexpected form".to_owned());
    let observed: Observed = serde_json::from_str(&text.ok_or_else(strange)?).map_err(|_| strange())?;
    Ok(Observed { major: session.major, ..observed })
}

/// The passwords for a plan's verifiers.
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

/// The query for [`Observed`], with the parameters stem, clone and owner.
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

/// `own` is the owner, or at the first set-up the role that becomes the owner. Every name resolves in the catalog,
/// because the transaction sets the search path. Objects of the pair's roles are ignored: they go to the owner anyway.
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
