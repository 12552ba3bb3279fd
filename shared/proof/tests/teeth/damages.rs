//! Damages that SQL can do, each with the checks that have to fail and a part of the objects' names.

use proof::Aspect::{
    Column, Constraint, DefaultPrivilege, Extension, Function, Index, MaterializedView, Policy, Privilege,
    Rule, Schema, Sequence, Statistics, Table, Trigger, Type, View,
};
use proof::Check::{self, Chain, Collation, Content, Critical, ForeignKey, Keys, Newest, Rows, Structure};

/// One damage to a copy.
pub(crate) struct Damage {
    pub(crate) name: &'static str,
    /// Done by a superuser.
    pub(crate) sql: &'static str,
    /// Every line that fails matches one of these by check and part of the object, and each of these matches a line.
    pub(crate) expected: &'static [(Check, &'static str)],
}

const fn damage(name: &'static str, sql: &'static str, expected: &'static [(Check, &'static str)]) -> Damage {
    Damage { name, sql, expected }
}

pub(crate) const DAMAGES: &[Damage] = &[
    // Rows.
    damage(
        "a truncated table",
        "TRUNCATE attendance",
        &[(Rows, "public.attendance"), (Content, "public.attendance"), (Keys, "public.attendance")],
    ),
    damage(
        "a truncated critical table",
        "TRUNCATE audit_logs CASCADE",
        &[
            (Rows, "public.audit_log"),
            (Content, "public.audit_log"),
            (Keys, "public.audit_log"),
            (Newest, "public.audit_logs"),
        ],
    ),
    damage(
        "one deleted row",
        "DELETE FROM household_members WHERE name = 'Familiar 77'",
        &[(Rows, "public.household_members"), (Content, "public.household_members")],
    ),
    damage(
        "one deleted row of a partition",
        "DELETE FROM extras.visits WHERE note = 'visita 300'",
        &[(Rows, "extras.visits_2026"), (Content, "extras.visits_2026")],
    ),
    damage(
        "one altered row",
        "UPDATE beneficiaries SET family_income = family_income + 0.01 WHERE code = 'B0042'",
        &[(Content, "public.beneficiaries")],
    ),
    damage(
        "one row altered by a space",
        "UPDATE posts SET body = body || ' ' WHERE body = 'Notícia 7'",
        &[(Content, "public.posts")],
    ),
    damage(
        "an empty text in place of none",
        "UPDATE beneficiaries SET notes = '' WHERE code = 'B0041'",
        &[(Content, "public.beneficiaries")],
    ),
    damage(
        "two values swapped between rows",
        "UPDATE beneficiaries b SET cpf = o.cpf FROM beneficiaries o
         WHERE (b.code, o.code) IN (('B0010', 'B0011'), ('B0011', 'B0010'))",
        &[(Content, "public.beneficiaries")],
    ),
    damage(
        "two values swapped between columns",
        "UPDATE beneficiaries SET phone = cpf, cpf = phone WHERE code = 'B0012'",
        &[(Content, "public.beneficiaries")],
    ),
    damage(
        "a row lost and another doubled, without a primary key",
        "DELETE FROM extras.movements WHERE ctid = (SELECT min(ctid) FROM extras.movements WHERE item = 'item 3');
         INSERT INTO extras.movements SELECT * FROM extras.movements WHERE item = 'item 5' LIMIT 1",
        &[(Content, "extras.movements")],
    ),
    damage(
        "one value that the server cannot hash",
        r#"UPDATE extras.odd SET document = '{"n": 7, "b": true}' WHERE id = 7"#,
        &[(Content, "extras.odd")],
    ),
    damage(
        "one byte of a value stored out of line",
        "UPDATE extras.odd SET content = set_byte(content, 6000, get_byte(content, 6000) # 1) WHERE id = 3",
        &[(Content, "extras.odd")],
    ),
    damage(
        "the last bit of a number",
        "UPDATE extras.odd SET amount = 0.14285714285714288 WHERE id = 1",
        &[(Content, "extras.odd")],
    ),
    damage(
        "stale data",
        "UPDATE audit_logs SET created_at = created_at - interval '3 days'",
        &[(Newest, "public.audit_logs.created_at"), (Content, "public.audit_logs")],
    ),
    damage(
        "a hidden row of a protected table",
        "DELETE FROM extras.private_notes WHERE id = 3",
        &[(Rows, "extras.private_notes"), (Content, "extras.private_notes")],
    ),
    // References and the digest chain.
    damage(
        "a reference to nothing",
        "SET session_replication_role = replica;
         UPDATE attendance SET enrollment_id = gen_random_uuid()
         WHERE id = (SELECT id FROM attendance ORDER BY id LIMIT 1)",
        &[(ForeignKey, "attendance_enrollment_id_fkey"), (Content, "public.attendance")],
    ),
    damage(
        "a referenced row deleted",
        "SET session_replication_role = replica; DELETE FROM users WHERE email = 'pessoa5@ong.example'",
        &[(ForeignKey, ""), (Rows, "public.users"), (Content, "public.users")],
    ),
    damage(
        "half of a key that is matched in full",
        "ALTER TABLE extras.movements DISABLE TRIGGER ALL;
         UPDATE extras.movements SET item = NULL
         WHERE ctid = (SELECT min(ctid) FROM extras.movements WHERE item = 'item 4');
         ALTER TABLE extras.movements ENABLE TRIGGER ALL",
        &[(ForeignKey, "extras.movements"), (Content, "extras.movements")],
    ),
    damage(
        "a partition's reference to nothing",
        "SET session_replication_role = replica;
         UPDATE extras.visits SET beneficiary_id = gen_random_uuid() WHERE note = 'visita 9'",
        &[(ForeignKey, "extras.visits"), (Content, "extras.visits_2025")],
    ),
    damage(
        "a broken digest chain",
        "UPDATE audit_log_digests SET previous_digest = repeat('0', 64) WHERE log_id = 9",
        &[(Chain, "audit_log"), (Content, "public.audit_log_digests")],
    ),
    damage(
        "a missing digest",
        "DELETE FROM audit_log_digests WHERE log_id = 20",
        &[
            (Chain, "audit_log"),
            (Rows, "public.audit_log_digests"),
            (Content, "public.audit_log_digests"),
            (Keys, "public.audit_log_digests"),
        ],
    ),
    // Sequences.
    damage(
        "a sequence behind its column",
        "SELECT setval('audit_logs_id_seq', 5)",
        &[(Check::Sequence, "public.audit_logs_id_seq")],
    ),
    damage(
        "a sequence that gives the newest value again",
        "SELECT setval('messages_id_seq', 50, false)",
        &[(Check::Sequence, "public.messages_id_seq")],
    ),
    damage(
        "an identity column's sequence behind",
        "SELECT setval(pg_get_serial_sequence('extras.cases', 'id'), 1)",
        &[(Check::Sequence, "extras.cases_id_seq")],
    ),
    damage(
        "a partitioned table's sequence behind",
        "SELECT setval('extras.visits_id_seq', 100)",
        &[(Check::Sequence, "extras.visits_id_seq")],
    ),
    damage(
        "a descending sequence behind",
        "SELECT setval('extras.debts', -3)",
        &[(Check::Sequence, "extras.debts")],
    ),
    damage(
        "a sequence behind that no column owns",
        "SELECT setval('extras.numbers', 50)",
        &[(Check::Sequence, "extras.numbers")],
    ),
    damage(
        "a changed increment",
        "ALTER SEQUENCE extras.numbers INCREMENT 5",
        &[(Structure(Sequence), "extras.numbers")],
    ),
    damage(
        "a missing sequence",
        "ALTER TABLE extras.invoices ALTER debt DROP DEFAULT; DROP SEQUENCE extras.debts",
        &[(Structure(Sequence), "extras.debts"), (Structure(Column), "extras.invoices")],
    ),
    // Tables and columns.
    damage(
        "a missing table",
        "DROP TABLE extras.cache",
        &[(Structure(Table), "extras.cache")],
    ),
    damage(
        "a critical table under another name",
        "ALTER TABLE attachments RENAME TO old_attachments",
        &[
            (Critical, "public.attachments"),
            (Structure(Table), "public.attachments"),
            (Structure(Table), "public.old_attachments"),
            (Newest, "public.attachments.created_at"),
        ],
    ),
    damage(
        "a column more",
        "ALTER TABLE comments ADD edited boolean",
        &[(Structure(Column), "public.comments"), (Content, "public.comments")],
    ),
    damage(
        "a column less",
        "ALTER TABLE posts DROP tags",
        &[(Structure(Column), "public.posts"), (Content, "public.posts")],
    ),
    damage(
        "a changed column type",
        "ALTER TABLE attendance ALTER justification TYPE varchar(200)",
        &[(Structure(Column), "public.attendance")],
    ),
    damage(
        "a narrower number",
        "ALTER TABLE household_members ALTER income TYPE numeric(10, 2)",
        &[(Structure(Column), "public.household_members")],
    ),
    damage(
        "a dropped default",
        "ALTER TABLE enrollments ALTER status DROP DEFAULT",
        &[(Structure(Column), "public.enrollments")],
    ),
    damage(
        "a dropped not null",
        "ALTER TABLE attachments ALTER file_path DROP NOT NULL",
        &[(Structure(Column), "public.attachments")],
    ),
    damage(
        "another collation of a column",
        r#"ALTER TABLE posts ALTER body TYPE text COLLATE "POSIX""#,
        &[(Structure(Column), "public.posts")],
    ),
    damage(
        "a generated column that is plain",
        "ALTER TABLE extras.cases ALTER days DROP EXPRESSION",
        &[(Structure(Column), "extras.cases")],
    ),
    damage(
        "an identity that anyone may set",
        "ALTER TABLE extras.cases ALTER id SET GENERATED BY DEFAULT",
        &[(Structure(Column), "extras.cases")],
    ),
    damage(
        "a table that a crash empties",
        "ALTER TABLE extras.odd SET UNLOGGED",
        &[(Structure(Table), "extras.odd")],
    ),
    damage(
        "a detached partition",
        "ALTER TABLE extras.visits DETACH PARTITION extras.visits_2026",
        &[
            (Structure(Table), "extras.visits_2026"),
            (Structure(Constraint), "extras.visits_2026"),
        ],
    ),
    damage(
        "a partition less",
        "DROP TABLE extras.visits_other",
        &[(Structure(Table), "extras.visits_other")],
    ),
    damage(
        "an heir that stands alone",
        "ALTER TABLE extras.urgent_notes NO INHERIT extras.notes",
        &[(Structure(Table), "extras.urgent_notes")],
    ),
    // Constraints and indexes.
    damage(
        "a missing index",
        "DROP INDEX idx_attendance_date",
        &[(Structure(Index), "public.attendance")],
    ),
    damage(
        "a missing unique index",
        "DROP INDEX uq_enrollments_active",
        &[(Structure(Index), "public.enrollments")],
    ),
    damage(
        "a unique index that is not",
        "DROP INDEX uq_enrollments_active;
         CREATE INDEX uq_enrollments_active ON enrollments (beneficiary_id, cohort_id) WHERE status = 'active'",
        &[(Structure(Index), "public.enrollments")],
    ),
    damage(
        "another condition of an index",
        "DROP INDEX extras.cases_open;
         CREATE INDEX cases_open ON extras.cases (situation, opened) WHERE closed IS NOT NULL",
        &[(Structure(Index), "extras.cases")],
    ),
    damage(
        "an invalid index",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_attendance_date'::regclass",
        &[(Structure(Index), "public.attendance")],
    ),
    damage(
        "a missing primary key",
        "ALTER TABLE audit_log_digests DROP CONSTRAINT audit_log_digests_pkey",
        &[
            (Structure(Constraint), "public.audit_log_digests"),
            (Content, "public.audit_log_digests"),
            (Keys, "public.audit_log_digests"),
        ],
    ),
    damage(
        "a missing foreign key",
        "ALTER TABLE enrollments DROP CONSTRAINT enrollments_cohort_id_fkey",
        &[(Structure(Constraint), "public.enrollments")],
    ),
    damage(
        "a foreign key that was never checked",
        "ALTER TABLE enrollments DROP CONSTRAINT enrollments_cohort_id_fkey,
           ADD CONSTRAINT enrollments_cohort_id_fkey FOREIGN KEY (cohort_id) REFERENCES cohorts ON DELETE RESTRICT NOT VALID",
        &[(Structure(Constraint), "public.enrollments")],
    ),
    damage(
        "another effect of a deletion",
        "ALTER TABLE attendance DROP CONSTRAINT attendance_enrollment_id_fkey,
           ADD CONSTRAINT attendance_enrollment_id_fkey FOREIGN KEY (enrollment_id) REFERENCES enrollments",
        &[(Structure(Constraint), "public.attendance")],
    ),
    damage(
        "a constraint that cannot be deferred",
        "ALTER TABLE extras.movements ALTER CONSTRAINT movements_warehouse_item_fkey NOT DEFERRABLE",
        &[(Structure(Constraint), "extras.movements")],
    ),
    damage(
        "a missing check",
        "ALTER TABLE extras.cases DROP CONSTRAINT in_order",
        &[(Structure(Constraint), "extras.cases")],
    ),
    damage(
        "a missing exclusion",
        "ALTER TABLE extras.cases DROP CONSTRAINT cases_cpf_daterange_excl",
        &[(Structure(Constraint), "extras.cases")],
    ),
    damage("missing statistics", "DROP STATISTICS extras.cases_days", &[(Structure(Statistics), "cases")]),
    // Triggers, rules and policies.
    damage(
        "a dropped trigger",
        "DROP TRIGGER only_grows ON extras.protocol",
        &[(Structure(Trigger), "only_grows")],
    ),
    damage(
        "a disabled trigger",
        "ALTER TABLE extras.protocol DISABLE TRIGGER only_grows",
        &[(Structure(Trigger), "only_grows")],
    ),
    damage(
        "a trigger that fires on replicas only",
        "ALTER TABLE extras.protocol ENABLE REPLICA TRIGGER never_empty",
        &[(Structure(Trigger), "never_empty")],
    ),
    damage(
        "a foreign key's disabled triggers",
        "ALTER TABLE attendance DISABLE TRIGGER ALL",
        &[(Structure(Constraint), "public.attendance")],
    ),
    damage("a dropped rule", "DROP RULE ignored ON extras.open_cases", &[(Structure(Rule), "ignored")]),
    damage(
        "disabled row-level security",
        "ALTER TABLE extras.private_notes DISABLE ROW LEVEL SECURITY",
        &[(Structure(Table), "extras.private_notes")],
    ),
    damage(
        "row-level security that spares the owner",
        "ALTER TABLE extras.private_notes NO FORCE ROW LEVEL SECURITY",
        &[(Structure(Table), "extras.private_notes")],
    ),
    damage("a dropped policy", "DROP POLICY own ON extras.private_notes", &[(Structure(Policy), "own")]),
    damage(
        "a wider policy",
        "ALTER POLICY own ON extras.private_notes USING (true)",
        &[(Structure(Policy), "own")],
    ),
    // Views, functions, types, extensions.
    damage(
        "a changed view",
        "CREATE OR REPLACE VIEW view_neighborhood_counts AS
           SELECT coalesce(neighborhood, 'none') AS neighborhood, count(*) AS total FROM beneficiaries GROUP BY 1",
        &[(Structure(View), "view_neighborhood_counts")],
    ),
    damage(
        "a view without its barrier",
        "ALTER VIEW extras.open_cases RESET (security_barrier)",
        &[(Structure(View), "extras.open_cases")],
    ),
    damage(
        "a missing view",
        "DROP VIEW view_consents_status",
        &[(Structure(View), "public.view_consents_status")],
    ),
    damage(
        "an empty materialized view",
        "REFRESH MATERIALIZED VIEW extras.visits_by_month WITH NO DATA",
        &[(Structure(MaterializedView), "extras.visits_by_month")],
    ),
    damage(
        "a changed function",
        "CREATE OR REPLACE FUNCTION imm_series_new_enrollments(first_day date, last_day date)
         RETURNS TABLE (day date, total bigint) LANGUAGE sql STABLE AS 'SELECT NULL::date, 0::bigint'",
        &[(Structure(Function), "imm_series_new_enrollments")],
    ),
    damage(
        "a function with its owner's rights",
        "ALTER FUNCTION imm_age_distribution(date) SECURITY DEFINER",
        &[(Structure(Function), "imm_age_distribution")],
    ),
    damage(
        "a missing function",
        "DROP FUNCTION imm_attendance_rate_by_cohort(uuid, date, date)",
        &[(Structure(Function), "imm_attendance_rate_by_cohort")],
    ),
    damage(
        "a missing value of an enum",
        "DELETE FROM pg_enum WHERE enumlabel = 'nunca usada'",
        &[(Structure(Type), "extras.situation")],
    ),
    damage(
        "a domain without its check",
        "ALTER DOMAIN extras.cpf DROP CONSTRAINT cpf_check",
        &[(Structure(Type), "extras.cpf")],
    ),
    damage("a missing extension", "DROP EXTENSION pgcrypto", &[(Structure(Extension), "pgcrypto")]),
    damage(
        "a wrong collation version",
        "UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'portuguese'",
        &[(Collation, "portuguese")],
    ),
    damage(
        "a wrong collation version of the database",
        "UPDATE pg_database SET datcollversion = '1.0' WHERE datname = current_database()",
        &[(Collation, "database")],
    ),
    // Rights.
    damage(
        "a revoked privilege",
        "REVOKE SELECT ON beneficiaries FROM leitura",
        &[(Structure(Privilege), "beneficiaries")],
    ),
    damage(
        "a privilege for everyone",
        "GRANT SELECT ON beneficiaries TO PUBLIC",
        &[(Structure(Privilege), "beneficiaries")],
    ),
    damage(
        "a lost grant on a column",
        "REVOKE UPDATE (situation) ON extras.cases FROM leitura",
        &[(Structure(Privilege), "extras.cases")],
    ),
    damage(
        "a lost grant on a schema",
        "REVOKE USAGE ON SCHEMA extras FROM leitura",
        &[(Structure(Privilege), "extras")],
    ),
    damage(
        "lost rights to what is made later",
        "ALTER DEFAULT PRIVILEGES FOR ROLE moveongs IN SCHEMA extras REVOKE SELECT ON TABLES FROM leitura",
        &[(Structure(DefaultPrivilege), "moveongs extras")],
    ),
    damage(
        "another owner",
        "ALTER TABLE certificates OWNER TO postgres",
        &[(Structure(Table), "certificates"), (Structure(Privilege), "certificates")],
    ),
    damage(
        "a missing schema",
        "DROP SCHEMA extras CASCADE",
        &[(Structure(Schema), "extras"), (Structure(DefaultPrivilege), "moveongs extras")],
    ),
];

/// Differences that are none: nothing may fail.
pub(crate) const HARMLESS: &[(&str, &str)] = &[
    ("other statistics of the planner", "ANALYZE"),
    (
        "settings of the planner",
        "ALTER TABLE attendance ALTER date SET STATISTICS 500;
         ALTER ROLE moveongs SET random_page_cost = 1.1",
    ),
    ("a table packed anew", "VACUUM (FULL) attendance"),
    ("rows marked as old", "VACUUM (FREEZE)"),
    ("rows in another order", "CLUSTER attendance USING idx_attendance_date"),
    (
        "rows at other places, beside dead ones",
        "UPDATE beneficiaries SET notes = notes; UPDATE extras.odd SET id = id",
    ),
    ("indexes built anew", "REINDEX SCHEMA public"),
    ("another name of an index", "ALTER INDEX idx_attendance_date RENAME TO attendance_by_day"),
    (
        "another name of a constraint's index",
        "ALTER INDEX attendance_enrollment_id_date_key RENAME TO one_a_day",
    ),
    (
        "a gap left by a dropped column",
        "ALTER TABLE attendance ADD gone text; ALTER TABLE attendance DROP gone",
    ),
    ("room for updates", "ALTER TABLE attendance SET (fillfactor = 70)"),
    ("a comment", "COMMENT ON TABLE extras.cases IS 'outro'; COMMENT ON COLUMN users.email IS 'e-mail'"),
    ("a sequence further ahead", "SELECT setval('audit_logs_id_seq', 5000), setval('extras.debts', -900)"),
    ("numbers that were given and not used", "SELECT nextval('messages_id_seq') FROM generate_series(1, 33)"),
    ("a sequence that begins again", "SELECT setval('extras.turns', 2)"),
    ("an unlogged table that the snapshot emptied", "TRUNCATE extras.cache"),
    ("a materialized view made anew", "REFRESH MATERIALIZED VIEW extras.visits_by_month"),
    ("the proof's own preparation again", proof::PREPARE),
    ("a value rewritten with the same content", "UPDATE extras.odd SET content = content || '' WHERE id = 4"),
];
