//! A database whose functions, operators, casts and names are made to mislead whoever reads it with greater rights.

use proof::{Check, PREPARE, Role};

use crate::server::{SOURCE, Server};
use crate::{PREPARED, compare, conclude, copy, failures, prepare, reading, source};

/// Made by the application's owner, who is no superuser. Whatever calls `evil.ran` or a function with its body fails.
const TRAPS: &str = r#"
    CREATE SCHEMA evil;
    CREATE FUNCTION evil.ran() RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$hostile code ran$$; END';

    CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE sql AS 'SELECT evil.ran()';
    CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE sql AS 'SELECT evil.ran()';
    CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE sql AS 'SELECT evil.ran()';
    CREATE FUNCTION public.format(text, regprocedure) RETURNS text LANGUAGE sql AS 'SELECT evil.ran()';
    CREATE FUNCTION public.has_schema_privilege(text, oid, text) RETURNS boolean LANGUAGE sql
        AS 'SELECT evil.ran() IS NULL';
    CREATE FUNCTION evil.hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT evil.ran()::int8';
    CREATE FUNCTION evil.match(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT evil.ran() IS NULL';
    CREATE OPERATOR public.!~ (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.match);

    CREATE FUNCTION public.verify_heapam(integer, check_toast boolean, startblock integer DEFAULT 0)
        RETURNS TABLE (blkno bigint, offnum integer, attnum integer, msg text) LANGUAGE sql AS 'SELECT 1, 1, 1, evil.ran()';
    CREATE FUNCTION public.verify_heapam(regclass, check_toast boolean)
        RETURNS TABLE (blkno bigint, offnum integer, attnum integer, msg text) LANGUAGE sql AS 'SELECT 1, 1, 1, evil.ran()';
    CREATE FUNCTION public.bt_index_parent_check(integer, boolean) RETURNS text LANGUAGE sql AS 'SELECT evil.ran()';
    CREATE FUNCTION public.bt_index_parent_check(integer, boolean, boolean, boolean) RETURNS text LANGUAGE sql
        AS 'SELECT evil.ran()';
    CREATE FUNCTION public.gin_index_check(integer) RETURNS text LANGUAGE sql AS 'SELECT evil.ran()';

    CREATE FUNCTION evil.shown(extras.place) RETURNS text LANGUAGE sql AS 'SELECT evil.ran()';
    CREATE CAST (extras.place AS text) WITH FUNCTION evil.shown(extras.place);
    CREATE FUNCTION evil.shown(extras.situation) RETURNS text LANGUAGE sql AS 'SELECT evil.ran()';
    CREATE CAST (extras.situation AS text) WITH FUNCTION evil.shown(extras.situation);

    CREATE TABLE extras."a ""b"" 'c' \ $$
Pass: all" (h integer, "t" integer UNIQUE, "x""y'z\
w" text DEFAULT 'a\b', PRIMARY KEY (h, "x""y'z\
w"), FOREIGN KEY (h) REFERENCES extras."a ""b"" 'c' \ $$
Pass: all" (t));
    INSERT INTO extras."a ""b"" 'c' \ $$
Pass: all" SELECT n, n FROM generate_series(1, 9) n;

    CREATE SEQUENCE extras.receipts;
    SELECT setval('extras.receipts', 700);
    SELECT lo_from_bytea(0, 'recibo');
    CREATE VIEW extras.trap AS SELECT length(evil.ran())::bigint AS n;
    ALTER VIEW extras.trap ALTER n SET DEFAULT nextval('extras.receipts');

    CREATE TABLE extras.people (cpf bigint PRIMARY KEY, name text);
    INSERT INTO extras.people VALUES (52998224725, 'Maria'), (11144477735, 'João');
    CREATE TABLE extras.named (email text PRIMARY KEY);
    INSERT INTO extras.named VALUES ('maria@ong.example');
"#;

/// What either role's own settings do to a session.
const SETTINGS: &str = "
    ALTER ROLE postgres SET search_path = evil, public, pg_catalog;
    ALTER ROLE governance SET search_path = evil, public, pg_catalog;
    ALTER ROLE governance SET standard_conforming_strings = off;
    ALTER ROLE governance SET IntervalStyle = 'iso_8601';
    ALTER ROLE governance SET quote_all_identifiers = on;
";

/// Statements that fall into the traps.
const CARELESS: [&str; 7] = [
    "SELECT quote_ident(nspname) FROM pg_namespace",
    "SELECT FROM pg_namespace WHERE nspname !~ '^pg_'",
    "SELECT hashtextextended('x', 0)",
    "SELECT (address::text) FROM extras.cases",
    "SELECT max(situation::text) FROM extras.cases",
    "SELECT public.verify_heapam(1259, check_toast => true)",
    "SELECT public.bt_index_parent_check(2662, true)",
];

async fn hostile_code_does_not_run(major: u32) {
    let server = Server::start(major).await;
    server.client(SOURCE, "moveongs").await.batch_execute(TRAPS).await.unwrap();
    server.admin("postgres").await.batch_execute(SETTINGS).await.unwrap();
    let admin = server.admin(SOURCE).await;
    for careless in CARELESS {
        let error = admin.batch_execute(careless).await.expect_err(careless);
        assert_eq!(error.as_db_error().unwrap().message(), "hostile code ran", "{careless}");
    }
    drop(admin);

    let source = source(&server).await;
    prepare(&server).await;
    let whole = copy(&server, PREPARED).await;
    assert!(whole.server.as_ref().unwrap().amcheck);
    let found = failures(&source, &whole);
    let mut cases = vec![("traps", found.clone(), compare("traps", &[], &found))];
    for reading in [&source, &whole] {
        let stored = serde_json::to_string(reading).unwrap();
        for personal in ["52998224725", "11144477735", "maria@", "Maria"] {
            assert!(!stored.contains(personal), "{personal}");
        }
    }

    let damages = "UPDATE extras.cases SET address = ROW('Rua', 1) WHERE id = 5;
        DELETE FROM extras.\"a \"\"b\"\" 'c' \\ $$\nPass: all\" WHERE h = 5;
        DELETE FROM extras.people WHERE cpf = 11144477735;
        SELECT setval('extras.receipts', 699);
        SELECT lo_unlink(oid), lo_from_bytea(0, 'recibo') FROM pg_largeobject_metadata";
    server.admin(PREPARED).await.batch_execute(damages).await.unwrap();
    let found = failures(&source, &copy(&server, PREPARED).await);
    let expected = [
        (Check::Content, "extras.cases"),
        (Check::Rows, "Pass: all"),
        (Check::Content, "Pass: all"),
        (Check::Rows, "extras.people"),
        (Check::Content, "extras.people"),
        (Check::Keys, "extras.people"),
        (Check::Sequence, "extras.receipts"),
        (Check::Content, "pg_largeobject_metadata"),
        (Check::Keys, "pg_largeobject_metadata"),
    ];
    cases.push(("damages among traps", found.clone(), compare("damages among traps", &expected, &found)));
    conclude("hostile databases", major, cases);

    // The owner, as which the application logs in, reads no more.
    let owner = reading(&server, SOURCE, "moveongs", Role::Source).await;
    assert_eq!(owner.tables["extras.cases"], source.tables["extras.cases"]);
    // Again without effect.
    server.admin(PREPARED).await.batch_execute(PREPARE).await.unwrap();
}

#[tokio::test]
async fn hostile_code_does_not_run_on_15() {
    hostile_code_does_not_run(15).await;
}

#[tokio::test]
async fn hostile_code_does_not_run_on_18() {
    hostile_code_does_not_run(18).await;
}
