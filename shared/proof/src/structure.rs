//! Definitions of all objects, as the server prints them, without names that do not matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::reading::{Failure, FailureKind};
use crate::session::{optional, rows, value};

/// Schemas of users.
pub(crate) const USERS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Definitions by kind and name, and the collations' versions.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Structure {
    /// Objects by name; indexes and constraints by their definition, since their names do not matter.
    pub objects: BTreeMap<Aspect, BTreeMap<String, String>>,
    /// Collations in use whose version the server records.
    pub collations: BTreeMap<String, CollationVersion>,
    /// Kinds that could not be read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<Aspect, Failure>,
}

/// The kinds of definitions.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// Encoding and locale of the database.
    Database,
    /// Schemas.
    Schema,
    /// Extensions with their versions.
    Extension,
    /// Enums, domains, ranges and composite types.
    Type,
    /// Tables of all kinds: persistence, row-level security, partitions, owner.
    Table,
    /// Columns: type, collation, not null, default, identity, generation.
    Column,
    /// Constraints.
    Constraint,
    /// Indexes that belong to no constraint.
    Index,
    /// Triggers.
    Trigger,
    /// Policies of row-level security.
    Policy,
    /// Views.
    View,
    /// Materialized views.
    MaterializedView,
    /// Functions, procedures and aggregates.
    Function,
    /// Sequences' settings.
    Sequence,
    /// Rules.
    Rule,
    /// Event triggers.
    EventTrigger,
    /// Publications.
    Publication,
    /// Extended statistics.
    Statistics,
    /// Rights per object and role.
    Privilege,
    /// Default rights.
    DefaultPrivilege,
}

/// The version that indexes were built with, and the library's own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CollationVersion {
    /// Recorded in the catalog.
    pub recorded: String,
    /// Of the library that sorts now; `None` if the library does not say.
    pub actual: Option<String>,
}

/// Reads all definitions. Each kind is one statement, so that a lock that another session holds costs one kind.
pub(crate) async fn read(client: &Client, major: u32) -> Structure {
    let mut structure = Structure::default();
    for (aspect, sql) in queries(major) {
        match objects(client, &sql).await {
            Ok(objects) => {
                structure.objects.insert(aspect, objects);
            }
            Err(failure) => {
                structure.failed.insert(aspect, failure);
            }
        }
    }
    match collations(client, major).await {
        Ok(collations) => structure.collations = collations,
        Err(failure) => {
            structure.failed.entry(Aspect::Database).or_insert(failure);
        }
    }
    structure
}

/// Once more after a failure for a lock.
async fn objects(client: &Client, sql: &str) -> Result<BTreeMap<String, String>, Failure> {
    let found = match rows(client, sql).await.map_err(Failure::from) {
        Err(failure) if failure.kind == FailureKind::Locked => rows(client, sql).await?,
        found => found?,
    };
    let mut objects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &found {
        objects.entry(value(row, 0)?).or_default().push(optional(row, 1)?.unwrap_or_default());
    }
    let joined = |(name, mut all): (String, Vec<String>)| {
        // The server's order is that of its pages.
        all.sort_unstable();
        (name, all.join("; "))
    };
    Ok(objects.into_iter().map(joined).collect())
}

async fn collations(client: &Client, major: u32) -> Result<BTreeMap<String, CollationVersion>, Failure> {
    let mut sql = format!(
        "SELECT k.collnamespace::regnamespace || '.' || quote_ident(k.collname), k.collversion,
            pg_collation_actual_version(k.oid)
        FROM pg_collation k
        WHERE k.collversion IS NOT NULL AND EXISTS (
            SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE a.attcollation = k.oid AND NOT a.attisdropped AND {USERS})
            OR k.collversion IS NOT NULL AND EXISTS (SELECT FROM pg_index i WHERE k.oid = ANY (i.indcollation))"
    );
    if major >= 15 {
        sql.push_str(
            " UNION ALL SELECT 'database', datcollversion, pg_database_collation_actual_version(oid)
            FROM pg_database WHERE datname = current_database() AND datcollversion IS NOT NULL",
        );
    }
    let version =
        |row| Ok((value(row, 0)?, CollationVersion { recorded: value(row, 1)?, actual: optional(row, 2)? }));
    rows(client, &sql).await?.iter().map(version).collect()
}

/// Excludes what belongs to an extension.
pub(crate) fn own(catalog: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_depend x
            WHERE x.classid = '{catalog}'::regclass AND x.objid = {oid} AND x.deptype = 'e')"
    )
}

/// Rights of each role on each object, whether granted or by default. PostgreSQL prints the same for both.
fn privileges(name: &str, acl: &str, default: &str, from: &str) -> String {
    format!(
        "SELECT {name} || ': ' || CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END,
            string_agg(DISTINCT g.privilege_type || CASE WHEN g.is_grantable THEN '*' ELSE '' END, ' ')
        FROM {from}, aclexplode(coalesce({acl}, {default})) g WHERE {{where}} GROUP BY 1"
    )
}

/// Each kind's query for name and definition. `search_path` is empty, so that the server qualifies all names.
fn queries(major: u32) -> Vec<(Aspect, String)> {
    let class = own("pg_class", "c.oid");
    let process = own("pg_proc", "p.oid");
    let kind = own("pg_type", "t.oid");
    let schema = own("pg_namespace", "n.oid");
    let relations = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace";
    let options = "(SELECT 'with ' || string_agg(o, ' ' ORDER BY o) FROM unnest(c.reloptions) o
        WHERE o !~ '^(fillfactor|autovacuum_|vacuum_|toast|parallel_workers|log_autovacuum)')";
    let provider = if major >= 15 { "datlocprovider" } else { "'c'" };
    let enforced = if major >= 18 { "CASE WHEN NOT k.conenforced THEN 'not enforced' END" } else { "NULL" };
    let body = if major >= 14 { "pg_get_function_sqlbody(p.oid)" } else { "NULL" };
    // From 18 on, each NOT NULL is a constraint too; the column says so already. Likewise of domains from 17 on.
    let not_null = "(k.contype <> 'n' OR NOT k.convalidated)";
    let table_acl = "acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner)";

    let rights = [
        privileges(
            "CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE '' END || c.oid::regclass",
            "c.relacl",
            table_acl,
            relations,
        )
        .replace("{where}", &format!("c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {USERS} AND {class}")),
        privileges(
            "c.oid::regclass || '.' || quote_ident(a.attname)",
            "a.attacl",
            "'{}'",
            &format!("{relations} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL"),
        )
        .replace("{where}", &format!("NOT a.attisdropped AND {USERS} AND {class}")),
        privileges(
            "'function ' || p.oid::regprocedure",
            "p.proacl",
            "acldefault('f', p.proowner)",
            "pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace",
        )
        .replace("{where}", &format!("{USERS} AND {process}")),
        privileges(
            "'type ' || t.oid::regtype",
            "t.typacl",
            "acldefault('T', t.typowner)",
            "pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid",
        )
        .replace(
            "{where}",
            &format!(
                "(t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c') AND {USERS} AND {kind}"
            ),
        ),
        privileges("'schema ' || quote_ident(n.nspname)", "n.nspacl", "acldefault('n', n.nspowner)", "pg_namespace n")
            .replace("{where}", &format!("{USERS} AND {schema}")),
        privileges("'database'", "d.datacl", "acldefault('d', d.datdba)", "pg_database d")
            .replace("{where}", "d.datname = current_database()"),
    ]
    .join(" UNION ALL ");

    vec![
        (
            Aspect::Database,
            format!(
                "SELECT 'database', concat_ws(', ', pg_encoding_to_char(encoding), datcollate, datctype,
                    'provider ' || {provider}::text)
                FROM pg_database WHERE datname = current_database()"
            ),
        ),
        (
            Aspect::Schema,
            format!(
                "SELECT quote_ident(n.nspname), 'owner ' || pg_get_userbyid(n.nspowner) FROM pg_namespace n
                WHERE {USERS} AND {schema}"
            ),
        ),
        (
            Aspect::Extension,
            "SELECT quote_ident(extname), concat_ws(', ', 'version ' || extversion, 'schema ' || extnamespace::regnamespace)
            FROM pg_extension"
                .to_owned(),
        ),
        (
            Aspect::Type,
            format!(
                "SELECT t.oid::regtype, concat_ws(', ', 'owner ' || pg_get_userbyid(t.typowner), CASE t.typtype
                    WHEN 'e' THEN 'enum ' || (SELECT string_agg(quote_literal(e.enumlabel), ' ' ORDER BY e.enumsortorder)
                        FROM pg_enum e WHERE e.enumtypid = t.oid)
                    WHEN 'd' THEN concat_ws(', ', 'domain of ' || format_type(t.typbasetype, t.typtypmod),
                        CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,
                        (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname) FROM pg_constraint k
                            WHERE k.contypid = t.oid AND {not_null}))
                    WHEN 'r' THEN 'range of ' || (SELECT r.rngsubtype::regtype FROM pg_range r WHERE r.rngtypid = t.oid)
                    ELSE 'composite ' || (SELECT string_agg(quote_ident(a.attname) || ' '
                            || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
                        FROM pg_attribute a WHERE a.attrelid = t.typrelid AND NOT a.attisdropped)
                    END)
                FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
                WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c') AND {USERS} AND {kind}"
            ),
        ),
        (
            Aspect::Table,
            format!(
                "SELECT c.oid::regclass, concat_ws(', ',
                    CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' ELSE 'foreign table' END,
                    'owner ' || pg_get_userbyid(c.relowner),
                    CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,
                    CASE WHEN c.relrowsecurity THEN 'row-level security' END,
                    CASE WHEN c.relforcerowsecurity THEN 'forced row-level security' END,
                    'partitioned by ' || pg_get_partkeydef(c.oid),
                    (SELECT 'child of ' || string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
                        FROM pg_inherits i WHERE i.inhrelid = c.oid),
                    pg_get_expr(c.relpartbound, c.oid),
                    CASE c.relreplident WHEN 'f' THEN 'replica identity full' WHEN 'n' THEN 'replica identity nothing' END,
                    {options})
                FROM {relations} WHERE c.relkind IN ('r', 'p', 'f') AND {USERS} AND {class}"
            ),
        ),
        (
            Aspect::Column,
            format!(
                "SELECT c.oid::regclass || '.' || quote_ident(a.attname), concat_ws(', ',
                    format_type(a.atttypid, a.atttypmod),
                    CASE WHEN a.attcollation <> t.typcollation THEN 'collation ' || k.collnamespace::regnamespace || '.'
                        || quote_ident(k.collname) END,
                    CASE WHEN a.attnotnull THEN 'not null' END,
                    CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
                    CASE a.attgenerated WHEN 's' THEN 'generated stored' WHEN 'v' THEN 'generated virtual' END,
                    CASE WHEN d.oid IS NOT NULL THEN 'default ' || pg_get_expr(d.adbin, d.adrelid) END)
                FROM {relations} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation k ON k.oid = a.attcollation
                LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND {USERS} AND {class}"
            ),
        ),
        (
            Aspect::Constraint,
            format!(
                "SELECT k.conrelid::regclass || ': ' || regexp_replace(pg_get_constraintdef(k.oid),
                        '( NOT DEFERRABLE| DEFERRABLE| INITIALLY DEFERRED| NOT VALID| NOT ENFORCED)+$', ''),
                    concat_ws(', ', CASE WHEN k.convalidated THEN 'validated' ELSE 'not validated' END,
                    CASE WHEN k.condeferrable THEN 'deferrable' END, CASE WHEN k.condeferred THEN 'deferred' END, {enforced},
                    CASE WHEN NOT i.indisvalid AND k.contype IN ('p', 'u', 'x') THEN 'index not valid' END,
                    CASE WHEN NOT i.indisready AND k.contype IN ('p', 'u', 'x') THEN 'index not ready' END,
                    (SELECT 'triggers ' || string_agg(DISTINCT CASE t.tgenabled WHEN 'D' THEN 'disabled' ELSE 'changed' END,
                            ' ')
                        FROM pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgisinternal AND t.tgenabled <> 'O'))
                FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                LEFT JOIN pg_index i ON i.indexrelid = k.conindid
                WHERE k.contype <> 't' AND {not_null} AND NOT (k.contype = 'f' AND k.conparentid <> 0)
                    AND {USERS} AND {class}"
            ),
        ),
        (
            Aspect::Index,
            format!(
                "SELECT c.oid::regclass || ': ' || regexp_replace(replace(pg_get_indexdef(i.indexrelid),
                        ' ' || quote_ident(x.relname) || ' ON ', ' ON '), ' WITH \\(fillfactor=''?\\d+''?\\)', ''),
                    concat_ws(', ', CASE WHEN i.indisvalid THEN 'valid' ELSE 'not valid' END,
                    CASE WHEN i.indisready THEN 'ready' ELSE 'not ready' END,
                    CASE WHEN i.indisreplident THEN 'replica identity' END)
                FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
                JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid
                    AND k.contype IN ('p', 'u', 'x')) AND {USERS} AND {class}"
            ),
        ),
        (
            Aspect::Trigger,
            format!(
                "SELECT t.tgrelid::regclass || '.' || quote_ident(t.tgname), concat_ws(', ', CASE t.tgenabled
                    WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'on replicas' ELSE 'always' END,
                    pg_get_triggerdef(t.oid))
                FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND {USERS} AND {class}"
            ),
        ),
        (
            Aspect::Policy,
            format!(
                "SELECT l.polrelid::regclass || '.' || quote_ident(l.polname), concat_ws(', ',
                    CASE WHEN l.polpermissive THEN 'permissive' ELSE 'restrictive' END, 'for ' || l.polcmd::text,
                    (SELECT 'to ' || string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r) END, ' ' ORDER BY
                        CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r) END) FROM unnest(l.polroles) r),
                    'using ' || pg_get_expr(l.polqual, l.polrelid), 'check ' || pg_get_expr(l.polwithcheck, l.polrelid))
                FROM pg_policy l JOIN pg_class c ON c.oid = l.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE {USERS} AND {class}"
            ),
        ),
        (
            Aspect::View,
            format!(
                "SELECT c.oid::regclass, concat_ws(', ', 'owner ' || pg_get_userbyid(c.relowner), {options},
                    pg_get_viewdef(c.oid))
                FROM {relations} WHERE c.relkind = 'v' AND {USERS} AND {class}"
            ),
        ),
        (
            Aspect::MaterializedView,
            format!(
                "SELECT c.oid::regclass, concat_ws(', ', 'owner ' || pg_get_userbyid(c.relowner),
                    CASE WHEN c.relispopulated THEN 'populated' ELSE 'not populated' END, {options}, pg_get_viewdef(c.oid))
                FROM {relations} WHERE c.relkind = 'm' AND {USERS} AND {class}"
            ),
        ),
        (
            Aspect::Function,
            format!(
                "SELECT p.oid::regprocedure, concat_ws(', ', 'owner ' || pg_get_userbyid(p.proowner), 'kind ' || p.prokind::text,
                    'arguments ' || regexp_replace(pg_get_function_arguments(p.oid), '(^|, )IN ', '\\1', 'g'), 'returns ' || pg_get_function_result(p.oid),
                    'language ' || l.lanname, 'volatility ' || p.provolatile::text, 'parallel ' || p.proparallel::text,
                    CASE WHEN p.proisstrict THEN 'strict' END, CASE WHEN p.prosecdef THEN 'security definer' END,
                    CASE WHEN p.proleakproof THEN 'leakproof' END, 'set ' || array_to_string(p.proconfig, ' '),
                    'library ' || p.probin, 'body ' || md5(p.prosrc), {body},
                    (SELECT 'aggregate ' || concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.agginitval)
                        FROM pg_aggregate g WHERE g.aggfnoid = p.oid))
                FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
                WHERE {USERS} AND {process}"
            ),
        ),
        (
            Aspect::Sequence,
            format!(
                "SELECT c.oid::regclass, concat_ws(', ', 'owner ' || pg_get_userbyid(c.relowner),
                    format_type(s.seqtypid, NULL), 'start ' || s.seqstart, 'increment ' || s.seqincrement,
                    'from ' || s.seqmin, 'to ' || s.seqmax, 'cache ' || s.seqcache, CASE WHEN s.seqcycle THEN 'cycle' END,
                    (SELECT 'owned by ' || d.refobjid::regclass || '.' || quote_ident(a.attname) FROM pg_depend d
                        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                            AND d.refclassid = 'pg_class'::regclass))
                FROM {relations} JOIN pg_sequence s ON s.seqrelid = c.oid WHERE {USERS} AND {class}"
            ),
        ),
        (
            Aspect::Rule,
            format!(
                "SELECT r.ev_class::regclass || '.' || quote_ident(r.rulename),
                    concat_ws(', ', r.ev_enabled::text, pg_get_ruledef(r.oid))
                FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE r.rulename <> '_RETURN' AND {USERS} AND {class}"
            ),
        ),
        (
            Aspect::EventTrigger,
            format!(
                "SELECT quote_ident(e.evtname), concat_ws(', ', e.evtenabled::text, e.evtevent, e.evtfoid::regprocedure,
                    array_to_string(e.evttags, ' '))
                FROM pg_event_trigger e WHERE {}",
                own("pg_event_trigger", "e.oid")
            ),
        ),
        (
            Aspect::Publication,
            "SELECT quote_ident(b.pubname), concat_ws(', ', CASE WHEN b.puballtables THEN 'all tables' END,
                CASE WHEN b.pubinsert THEN 'insert' END, CASE WHEN b.pubupdate THEN 'update' END,
                CASE WHEN b.pubdelete THEN 'delete' END, CASE WHEN b.pubtruncate THEN 'truncate' END,
                (SELECT string_agg(r.prrelid::regclass::text, ' ' ORDER BY r.prrelid::regclass::text)
                    FROM pg_publication_rel r WHERE r.prpubid = b.oid))
            FROM pg_publication b"
                .to_owned(),
        ),
        (
            Aspect::Statistics,
            format!(
                "SELECT s.stxnamespace::regnamespace || '.' || quote_ident(s.stxname), pg_get_statisticsobjdef(s.oid)
                FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {USERS}"
            ),
        ),
        (Aspect::Privilege, rights),
        (
            Aspect::DefaultPrivilege,
            "SELECT concat_ws(' ', pg_get_userbyid(d.defaclrole), d.defaclnamespace::regnamespace, d.defaclobjtype::text)
                || ': ' || CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END,
                string_agg(DISTINCT g.privilege_type || CASE WHEN g.is_grantable THEN '*' ELSE '' END, ' ')
            FROM pg_default_acl d, aclexplode(d.defaclacl) g GROUP BY 1"
                .to_owned(),
        ),
    ]
}

impl Aspect {
    /// All of them.
    pub(crate) const ALL: [Self; 20] = [
        Self::Database,
        Self::Schema,
        Self::Extension,
        Self::Type,
        Self::Table,
        Self::Column,
        Self::Constraint,
        Self::Index,
        Self::Trigger,
        Self::Policy,
        Self::View,
        Self::MaterializedView,
        Self::Function,
        Self::Sequence,
        Self::Rule,
        Self::EventTrigger,
        Self::Publication,
        Self::Statistics,
        Self::Privilege,
        Self::DefaultPrivilege,
    ];
}
