use percent_encoding::{percent_decode_str, utf8_percent_encode};
use proptest::prelude::*;
use tokio_postgres::config::Host;

use super::url::RESERVED;
use super::*;

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn parse(text: &str) -> Result<Secret, FormError> {
    Secret::parse(&secret(text))
}

fn parts(login: &Login) -> (&str, u16, &str, &str, &str) {
    (&login.host, login.port, &login.database, &login.user, login.password.expose_secret())
}

/// Checks that `text` is read as `login` and, written with `new user` and `n/w "pass"`, becomes `expected`.
#[track_caller]
fn kept(text: &str, login: (&str, u16, &str, &str, &str), expected: &str) {
    let current = parse(text).unwrap();
    assert_eq!(parts(current.login()), login);
    let new = current.with("new user", &secret("n/w \"pass\"")).unwrap();
    assert_eq!(new.expose_secret(), expected);
    let pending = Secret::parse(&new).unwrap();
    assert_eq!(parts(pending.login()), (login.0, login.1, login.2, "new user", "n/w \"pass\""));
    assert!(pending.differs_only_in_login(&current) && current.differs_only_in_login(&pending));
}

#[test]
fn another_services_user_of_the_same_name_is_unchanged() {
    let text =
        include_str!("../../../../tests/cases/02b-secret-user-name-of-another-service-with-password.json");
    let new = parse(text).unwrap().with("moveongs_clone", &secret("new")).unwrap();
    let expected = text
        .replace(r#""username": "moveongs""#, r#""username": "moveongs_clone""#)
        .replace(r#""password": "Old-pw-0123456789""#, r#""password": "new""#);
    assert_eq!(new.expose_secret(), expected);
    let own = r#""username":"app","password":"s3cret-s3cret","host":"db""#;
    let changed = r#""username":"new","password":"n","host":"db""#;
    let back = |text: &SecretString, expected: &str| {
        let current = Secret::parse(text).unwrap();
        let again = current.with("app", &secret("an0ther-s3cret")).unwrap();
        assert!(again.expose_secret().contains(expected), "{expected}");
    };
    for (others, expected) in [
        // A message broker's user without a password, and one in its own object.
        (r#""MQ_HOST":"mq","MQ_USER":"app""#, r#""MQ_HOST":"mq","MQ_USER":"app""#),
        (r#""mq":{"host":"mq","user":"app"}"#, r#""mq":{"host":"mq","user":"app"}"#),
        (r#""mq":{"user":"app","password":"another"}"#, r#""mq":{"user":"app","password":"another"}"#),
        (r#""mqHost":"mq","mqUser":"app""#, r#""mqHost":"mq","mqUser":"app""#),
        // The same if nothing identifies the service, or a word identifies another kind of database.
        (r#""SMTP_USER":"app""#, r#""SMTP_USER":"app""#),
        (r#""credentials":{"user":"app"}"#, r#""credentials":{"user":"app"}"#),
        (r#""mq":{"host":"mq","login":{"user":"app"}}"#, r#""mq":{"host":"mq","login":{"user":"app"}}"#),
        (r#""MONGO_DB_USER":"app""#, r#""MONGO_DB_USER":"app""#),
        (r#""MQ_URL":"amqp://mq:5672/v","MQ_USER":"app""#, r#""MQ_URL":"amqp://mq:5672/v","MQ_USER":"app""#),
        // Fields of the database's own host, in any notation, or fields named after a database.
        (r#""DB_HOST":"DB","DB_USER":"app""#, r#""DB_HOST":"DB","DB_USER":"new""#),
        (r#""APP_HOST":"db:5432","APP_USER":"app""#, r#""APP_HOST":"db:5432","APP_USER":"new""#),
        (
            r#""A_URL":"jdbc:postgresql://db/m","A_USER":"app""#,
            r#""A_URL":"jdbc:postgresql://db/m","A_USER":"new""#,
        ),
        (r#""PGUSER":"app""#, r#""PGUSER":"new""#),
        (r#""appDbUser":"app""#, r#""appDbUser":"new""#),
        (r#""db":{"login":{"user":"app"}}"#, r#""db":{"login":{"user":"new"}}"#),
        (r#""DB_USER":"app""#, r#""DB_USER":"new""#),
        (r#""DB_USER":"app","DB_PASSWORD":"s3cret-s3cret""#, r#""DB_USER":"new","DB_PASSWORD":"n""#),
    ] {
        let current = parse(&format!("{{{own},{others}}}")).unwrap();
        let new = current.with("new", &secret("n")).unwrap();
        assert_eq!(new.expose_secret(), format!("{{{changed},{expected}}}"));
        // And back, because the two users take turns.
        back(&new, others.split_once("USER").map_or(others, |(start, _)| start));
    }
    // The URL holds the login; the field names decide about the users beside it.
    let url = r#"{"DATABASE_URL":"postgres://app:s3cret@db/m","DATABASE_USER":"app","SMTP_USER":"app"}"#;
    let new = parse(url).unwrap().with("new", &secret("n")).unwrap();
    let expected = r#"{"DATABASE_URL":"postgres://new:n@db/m","DATABASE_USER":"new","SMTP_USER":"app"}"#;
    assert_eq!(new.expose_secret(), expected);
}

#[test]
fn the_same_login_at_another_server_is_refused() {
    let own = r#""username":"app","password":"s3cret-s3cret","host":"db""#;
    for others in [
        r#""MQ_HOSTNAME":"mq","MQ_USER":"app","MQ_PASSWORD":"s3cret-s3cret""#,
        r#""MQ_URL":"amqp://mq:5672","MQ_USER":"app","MQ_PASSWORD":"s3cret-s3cret""#,
    ] {
        refused(&format!("{{{own},{others}}}"), &FormError::Shared { path: "MQ_PASSWORD".to_owned() });
    }
    // A replica has the roles of its source.
    let replica = r#""DB_READ_HOST":"replica","DB_READ_USER":"app","DB_READ_PASSWORD":"s3cret-s3cret""#;
    let new = parse(&format!("{{{own},{replica}}}")).unwrap().with("new", &secret("an0ther-s3cret")).unwrap();
    let expected = r#""DB_READ_USER":"new","DB_READ_PASSWORD":"an0ther-s3cret"}"#;
    assert!(new.expose_secret().ends_with(expected));
}

#[test]
fn an_unreadable_login_is_named() {
    let case = include_str!("../../../../tests/cases/14a-secret-host-with-port.json");
    let host = |expected| FormError::Malformed { path: "host".to_owned(), expected };
    refused(case, &host("a host name without a port: the port has the field port"));
    for (name, expected) in [
        ("/var/run/postgresql", "a host name: a socket is not reached from here"),
        ("one,two", "one host name: it names several"),
        ("db.example/app", "a host name alone, without scheme, user or path"),
        ("app@db.example", "a host name alone, without scheme, user or path"),
        ("https://db.example", "a host name alone, without scheme, user or path"),
        ("db.example\\n", "a host name without blanks and line ends"),
        (" db.example", "a host name without blanks and line ends"),
    ] {
        let text = format!(r#"{{"username":"app","password":"s3cret","host":"{name}"}}"#);
        refused(&text, &host(expected));
    }
    let number =
        |path: &str| FormError::Malformed { path: path.to_owned(), expected: "a string: put it into quotes" };
    refused(r#"{"username":"app","password":12345678,"host":"db"}"#, &number("password"));
    refused(r#"{"username":7,"password":"s3cret","host":"db"}"#, &number("username"));
    let url = |cure: &str| FormError::AmbiguousUrl { at: "the URL".to_owned(), cure: cure.to_owned() };
    let line_end = "it ends with a line end or a blank: store it without";
    refused(include_str!("../../../../tests/cases/19a-secret-trailing-newline.txt"), &url(line_end));
    refused("postgres://app:s3cret@db/m\r\n", &url(line_end));
    refused("postgres://app:s3cret@db/m ", &url(line_end));
    let hosts = "it names several hosts: name the one that is written to";
    refused("postgres://app:s3cret@one:5432,two:5432/m", &url(hosts));
    let before = "let it begin with postgres:// or postgresql://, without anything before";
    refused("jdbc:postgresql://app:s3cret@db/m", &url(before));
    refused("\u{feff}postgres://app:s3cret@db/m", &url(before));
    let scheme = FormError::Malformed {
        path: "DATABASE_URL".to_owned(),
        expected: "a URL that begins with postgres:// or postgresql://, with or without a dialect (postgresql+psycopg://)",
    };
    refused(r#"{"DATABASE_URL":"mysql://app:s3cret@db/m"}"#, &scheme);
}

#[test]
fn a_dialect_in_the_scheme_is_kept() {
    let text = include_str!("../../../../tests/cases/18-secret-dialect-scheme.json");
    let new = parse(text).unwrap().with("app", &secret("new")).unwrap();
    assert_eq!(new.expose_secret(), text.replace("moveongs:Old-pw-0123456789", "app:new"));
    for scheme in ["postgresql+psycopg2", "postgresql+pg8000", "postgres+asyncpg"] {
        assert!(parse(&format!("{scheme}://app:s3cret@db/m")).is_ok(), "{scheme}");
    }
    assert!(parse("postgresql+://app:s3cret@db/m").is_err());
}

#[test]
fn the_search_path_is_the_applications() {
    let lines = include_str!("../../../../tests/cases/13-database-url-schema.txt").lines();
    let urls: Vec<_> = lines.filter(|line| line.starts_with("postgres")).collect();
    let paths: Vec<_> = urls.iter().map(|url| parse(url).unwrap().login().search_path.clone()).collect();
    assert_eq!(paths, [Some(r#""app""#.to_owned()), Some("app".to_owned())]);
    let path = |query: &str| {
        parse(&format!("postgres://app:s3cret@db/m?{query}")).unwrap().login().search_path.clone()
    };
    assert_eq!(path("connect_timeout=3"), None);
    assert_eq!(path("schema="), None);
    assert_eq!(path("schema=My%20Schema").as_deref(), Some(r#""My Schema""#));
    assert_eq!(path("options=--search_path%3Da%2Cb").as_deref(), Some("a,b"));
    assert_eq!(path("options=-c%20search_path%3Dapp%2C%5C%20public").as_deref(), Some("app, public"));
    assert_eq!(path("options=-c%20%20SEARCH_PATH%3Da").as_deref(), Some("a"));
    assert_eq!(path("options=--search-path%3Da%20-x").as_deref(), Some("a"));
    assert_eq!(path("options=-c%20search_path"), None);
    assert_eq!(path("currentSchema=a%0B-crole%3Dx"), None);
    assert_eq!(path("currentSchema=app,public").as_deref(), Some("app,public"));
    assert_eq!(path("search_path=app").as_deref(), Some("app"));
    assert_eq!(path("options=-c%20statement_timeout%3D0%20-csearch_path%3Da").as_deref(), Some("a"));
    let json = r#"{"username":"app","password":"s3cret","host":"db","DATABASE_URL":"postgres://app:s3cret@db/postgres?schema=app"}"#;
    assert_eq!(parse(json).unwrap().login().search_path.as_deref(), Some(r#""app""#));
}

#[test]
fn an_administrator_of_the_same_server_is_at_its_port() {
    let of = parse("postgres://app:s3cret@db.example:6432/m").unwrap();
    let port = |text: &str| admin_login(&secret(text), of.login()).unwrap().port;
    assert_eq!(port(r#"{"username":"admin","password":"s3cret","host":"DB.example"}"#), 6432);
    assert_eq!(port(r#"{"username":"admin","password":"s3cret","host":"another"}"#), 5432);
    assert_eq!(port(r#"{"username":"admin","password":"s3cret","host":"db.example","port":5432}"#), 5432);
}

#[test]
fn a_password_that_programs_prepare_differently_is_refused() {
    for (password, alike) in [
        ("plain ASCII ~", true),
        ("çã½ İ", true),
        // Refused both before and after normalising, so used unchanged.
        ("tab\there", true),
        ("\u{e000}", true),
        ("a\u{5d0}", true),
        ("\u{5d0}1\u{5d0}", true),
        // Deprecated, assigned after Unicode 3.2, mapped to nothing: each normalises to allowed characters.
        ("s3cret\u{340}", false),
        ("s3cret\u{1d2c}", false),
        ("\u{ad}", false),
    ] {
        assert_eq!(prepared_alike(password), alike, "{password:?}");
    }
    let encoded = utf8_percent_encode("s3cret\u{340}", RESERVED).to_string();
    let url = |at: &str| FormError::Unprepared { at: at.to_owned() };
    refused(&format!("postgres://app:{encoded}@db/m"), &url("the URL"));
    refused(r#"{"username":"app","password":"s3cret\u0340","host":"db"}"#, &url("it"));
}

/// Checks that a form is refused, by a message that holds no value.
#[track_caller]
fn refused(text: &str, expected: &FormError) {
    let error = parse(text).unwrap_err();
    assert_eq!(&error, expected);
    let message = error.to_string();
    assert!(!message.contains("s3cret"), "{message}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}

const NEW: &str = "new%20user:n%2Fw%20%22pass%22";

#[test]
fn a_url_is_read_and_written() {
    let rows = [
        (
            "postgres://",
            "app:s3cret",
            "@db.example:6432/moveongs",
            ("db.example", 6432, "moveongs", "app", "s3cret"),
        ),
        (
            "postgresql://",
            "%C3%9cser%40x:a%3Ab+c%2bd%25",
            "@DB_1.example/m%20v?sslmode=require&application_name=a%26user%3Db&&x",
            ("DB_1.example", 5432, "m v", "Üser@x", "a:b+c+d%"),
        ),
        (
            "postgres://",
            "a!$&'()*+,;=b:!$&'()*+,;=:",
            "@h:/d?",
            ("h", 5432, "d", "a!$&'()*+,;=b", "!$&'()*+,;=:"),
        ),
        (
            "postgres://",
            "u:p",
            "@[2001:db8::1]:65535/d:e?options=-c%20a=b",
            ("2001:db8::1", 65535, "d:e", "u", "p"),
        ),
        ("postgres://", "u:p", "@[::ffff:10.0.0.1]/d", ("::ffff:10.0.0.1", 5432, "d", "u", "p")),
        ("postgres://", "u:p", "@10.0.0.1:/d?user_name=x", ("10.0.0.1", 5432, "d", "u", "p")),
    ];
    for (scheme, userinfo, rest, login) in rows {
        kept(&format!("{scheme}{userinfo}{rest}"), login, &format!("{scheme}{NEW}{rest}"));
    }
}

#[test]
fn a_url_that_names_no_full_login_is_refused() {
    for (text, part) in [
        ("postgres://db/moveongs", "user"),
        ("postgres://:s3cret@db/moveongs", "user"),
        ("postgres://app@db/moveongs", "password"),
        ("postgres://app:@db/moveongs", "password"),
        ("postgres://app:s3cret@db", "database"),
        ("postgres://app:s3cret@db/", "database"),
        ("postgres://app:s3cret@db?sslmode=require", "database"),
    ] {
        refused(text, &FormError::Missing { at: "the URL".to_owned(), part });
    }
}

#[test]
fn a_url_that_readers_read_differently_is_refused() {
    let scheme = "write its scheme in lower case";
    let ascii = "percent-encode # as %23, spaces and all that is not ASCII; leave out fragments";
    let at = "percent-encode @ as %40, / as %2F and ? as %3F everywhere but where they separate its parts";
    let hosts = "name one host, by name or address, and no socket";
    let several = "it names several hosts: name the one that is written to";
    let port = "name a port from 1 to 65535, and percent-encode : as %3A elsewhere";
    let encode = |part| {
        format!("in its {part}, percent-encode all but letters, digits and -._~ as UTF-8, and leave out %00")
    };
    let (user, password, database) = (encode("user"), encode("password"), encode("database"));
    for (text, cure) in [
        ("Postgres://app:s3cret@db/d", scheme),
        ("POSTGRESQL://app:s3cret@db/d", scheme),
        // Characters that end the authority or the user.
        ("postgres://app:s3cret#@db/d", ascii),
        ("postgres://app:s3cret@db/d#fragment", ascii),
        ("postgres://app:s3cret @db/d", ascii),
        ("postgres://app:s3cré@db/d", ascii),
        ("postgres://app:s3\tcret@db/d", ascii),
        ("postgres://app:s3cret@x@db/d", at),
        ("postgres://app:s3cret/x@db/d", at),
        ("postgres://app:1/s3cret@db/d", at),
        ("postgres://app:s3cret?x@db/d", at),
        ("postgres://app:s3cret@x/y@db/d", at),
        ("postgres://app:s3cret@x?y@db/d", at),
        ("postgres://app:s3cret@db/d@e", at),
        ("postgres://db/d?password=s3cret@x", at),
        // Characters that a part must not hold.
        ("postgres://a[b:s3cret@db/d", &user),
        ("postgres://a%FFb:s3cret@db/d", &user),
        ("postgres://a%00b:s3cret@db/d", &user),
        ("postgres://app:s3cret%@db/d", &password),
        ("postgres://app:s3cret%4@db/d", &password),
        ("postgres://app:s3cret%4g@db/d", &password),
        ("postgres://app:s3cret%+4@db/d", &password),
        ("postgres://app:s3cret%c3@db/d", &password),
        ("postgres://app:s3cret%ED%A0%80@db/d", &password),
        ("postgres://app:s3cret%00@db/d", &password),
        ("postgres://app:s3cret^@db/d", &password),
        ("postgres://app:s3cret\\@db/d", &password),
        ("postgres://app:s3cret[@db/d", &password),
        ("postgres://app:s3cret@db/d/e", &database),
        ("postgres://app:s3cret@db/..", &database),
        ("postgres://app:s3cret@db/%2e", &database),
        ("postgres://app:s3cret@db/%zz", &database),
        // The server.
        ("postgres://app:s3cret@h1,h2/d", several),
        ("postgres://app:s3cret@h1:5432,h2:5432/d", several),
        ("postgres://app:s3cret@/d", hosts),
        ("postgres://app:s3cret@:5432/d", hosts),
        ("postgres://app:s3cret@%2Fvar%2Frun/d", hosts),
        ("postgres://app:s3cret@[db]/d", hosts),
        ("postgres://app:s3cret@[fe80::1%25eth0]/d", hosts),
        ("postgres://app:s3cret@[::1/d", hosts),
        ("postgres://app:s3cret@[::1]5/d", "name one host and, after a colon, one port"),
        ("postgres://app:s3cret@db:0/d", port),
        ("postgres://app:s3cret@db:65536/d", port),
        ("postgres://app:s3cret@db:+1/d", port),
        ("postgres://app:s3cret:x/d", port),
        // Parameters that override the login.
        ("postgres://app:s3cret@db/d?user=s3cret", "remove its parameter user"),
        ("postgres://app:s3cret@db/d?a=b&p%61ssword=s3cret", "remove its parameter password"),
        ("postgres://app:s3cret@db/d?host=s3cret", "remove its parameter host"),
        ("postgres://app:s3cret@db/d?hostaddr=s3cret", "remove its parameter hostaddr"),
        ("postgres://app:s3cret@db/d?PORT=1", "remove its parameter port"),
        ("postgres://app:s3cret@db/d?dbname=s3cret", "remove its parameter dbname"),
        ("postgres://app:s3cret@db/d?database=s3cret", "remove its parameter database"),
        ("postgres://app:s3cret@db/d?service=s3cret", "remove its parameter service"),
        ("postgres://app:s3cret@db/d?servicefile=s3cret", "remove its parameter servicefile"),
        ("postgres://app:s3cret@db/d?passfile=s3cret", "remove its parameter passfile"),
        ("postgres://app:s3cret@db/d?username=s3cret", "remove its parameter username"),
    ] {
        refused(text, &FormError::AmbiguousUrl { at: "the URL".to_owned(), cure: cure.to_owned() });
    }
}

#[test]
fn awss_document_is_read_and_written() {
    kept(
        "{\"engine\": \"postgres\", \"z\": 1e2, \"host\":\"db\",\n\"username\":\"\\u0061pp\",\"password\":\"s3\\\"cret\",\"port\":6432,\"dbname\":\"m\",\"ü\":\"\\u00fc\"} ",
        ("db", 6432, "m", "app", "s3\"cret"),
        "{\"engine\": \"postgres\", \"z\": 1e2, \"host\":\"db\",\n\"username\":\"new user\",\"password\":\"n/w \\\"pass\\\"\",\"port\":6432,\"dbname\":\"m\",\"ü\":\"\\u00fc\"} ",
    );
    let written = r#""username": "new user", "password": "n/w \"pass\"""#;
    for (rest, port, database) in [
        (r#""host": "db""#, 5432, "postgres"),
        (r#""host": "db", "port": "6432", "database": "m""#, 6432, "m"),
        (r#""host": "db", "port": null, "dbname": null, "engine": null"#, 5432, "postgres"),
        (r#""host": "db", "port": "", "dbname": "", "engine": """#, 5432, "postgres"),
        (r#""host": "db", "engine": "aurora-postgresql", "dbname": "m", "database": "m""#, 5432, "m"),
        (r#""host": "db", "engine": "postgresql""#, 5432, "postgres"),
    ] {
        kept(
            &format!(r#"{{"username": "app", "password": "s3cret", {rest}}}"#),
            ("db", port, database, "app", "s3cret"),
            &format!("{{{written}, {rest}}}"),
        );
    }
}

#[test]
fn a_weak_password_is_rotated_away() {
    // A common first set-up: the password is a word that also occurs in unrelated fields.
    kept(
        r#"{"engine":"postgres","username":"postgres","password":"postgres","host":"postgres","dbname":"postgres","dbInstanceIdentifier":"postgres-1"}"#,
        ("postgres", 5432, "postgres", "postgres", "postgres"),
        r#"{"engine":"postgres","username":"new user","password":"n/w \"pass\"","host":"postgres","dbname":"postgres","dbInstanceIdentifier":"postgres-1"}"#,
    );
    let held = |note: &str| format!(r#"{{"username":"a","password":"s3cret7","host":"h","note":"{note}"}}"#);
    let base64 = "cG9zdGdyZXM6Ly9hOnMzY3JldDdAaC9k";
    for note in [
        "s3cret7",
        "jdbc:postgresql://h/d?user=a&password=s3cret7",
        "{\\\"p\\\": \\\"s3cret\\\\u0037\\\"}",
        base64,
    ] {
        refused(&held(note), &FormError::Underived { path: "note".to_owned() });
    }
    assert!(parse(&held("s3cret77")).is_ok());
}

#[test]
fn the_admins_secret_is_named_by_its_arn() {
    let named = |text| parse(text).unwrap().admin_secret().map(str::to_owned);
    let text = r#"{"username":"a","password":"p","host":"h","masterarn":"arn:admin"}"#;
    assert_eq!(named(text).as_deref(), Some("arn:admin"));
    assert_eq!(named(r#"{"username":"a","password":"p","host":"h","x":{"masterarn":"arn"}}"#), None);
    assert_eq!(named("postgres://a:p@h/d"), None);
}

#[test]
fn every_place_of_the_login_is_kept_in_step() {
    // The document names the login and its server; URLs and fields follow at any depth.
    kept(
        r#"{"username":"app","password":"s3cret","host":"db","DATABASE_URL":"postgres:\/\/app:s3cret@db\/m?a=b\u0026c=d",
            "replica":[{"PGUSER":"app","PGPASSWORD":"s3cret","PGHOST":"ro"},"postgresql://%61pp:s3cr%65t@ro/m"],
            "DB_USER":"app","DB_PASS":"s3cret","dbUsername":"app","dbPassword":"s3cret","pwd":"s3cret",
            "admin":{"username":"root","password":"other"},"REPORT_URL":"postgres://report:x@db/m",
            "OLD_URL":"postgres://app:other@elsewhere/m","PUBLIC_URL":"postgres://app@db","REPORTS_USER":"app","MAIL_USER":"mail","MAIL":"smtp://app:x@mx"}"#,
        ("db", 5432, "postgres", "app", "s3cret"),
        r#"{"username":"new user","password":"n/w \"pass\"","host":"db","DATABASE_URL":"postgres:\/\/new%20user:n%2Fw%20%22pass%22@db\/m?a=b\u0026c=d",
            "replica":[{"PGUSER":"new user","PGPASSWORD":"n/w \"pass\"","PGHOST":"ro"},"postgresql://new%20user:n%2Fw%20%22pass%22@ro/m"],
            "DB_USER":"new user","DB_PASS":"n/w \"pass\"","dbUsername":"new user","dbPassword":"n/w \"pass\"","pwd":"n/w \"pass\"",
            "admin":{"username":"root","password":"other"},"REPORT_URL":"postgres://report:x@db/m",
            "OLD_URL":"postgres://app:other@elsewhere/m","PUBLIC_URL":"postgres://new%20user@db","REPORTS_USER":"app","MAIL_USER":"mail","MAIL":"smtp://app:x@mx"}"#,
    );
}

#[test]
fn the_login_is_distinguished_from_others_in_the_document() {
    let other = r#""REPORT_URL":"postgres://report:x@ro:1/r""#;
    let app = r#""postgres://app:s3cret@db:6432/m""#;
    let expected = ("db", 6432, "m", "app", "s3cret");
    for (text, login) in [
        // By user and password, and by the server of the same login's URL.
        (format!(r#"{{"username":"app","password":"s3cret",{other},"x":{{"y":{app}}}}}"#), expected),
        (
            format!(
                r#"{{"user":"app","pass":"s3cret",{other},"A":"postgres://app:s3cret@ro/m","DATABASE_URL":{app}}}"#
            ),
            expected,
        ),
        // By the host, though the login's URLs point to several.
        (
            format!(
                r#"{{"username":"app","password":"s3cret","host":"db","port":6432,"dbname":"m","RW":{app},"RO":"postgres://app:s3cret@ro/m"}}"#
            ),
            expected,
        ),
        // The fields are another service's.
        (format!(r#"{{"username":"smtp","password":"x",{other},"DATABASE_URL":{app}}}"#), expected),
        (format!(r#"{{{other},"DATABASE_URL":{app}}}"#), expected),
        (format!(r#"{{"a":{{"b":[{app}]}}}}"#), expected),
        (format!(r#"{{"a":{app},"b":"postgresql://app:s3cret@DB:6432/m?x=y"}}"#), expected),
        (format!(r#"{{"a":{app},"DATABASE_URL":"mysql://app:x@db/m"}}"#), expected),
    ] {
        assert_eq!(parts(parse(&text).unwrap().login()), login, "{text}");
    }
}

#[test]
fn a_document_without_one_login_is_refused() {
    let form = FormError::NotPostgres {
        expected: "a URL that begins with postgres:// or postgresql://, or a JSON object",
    };
    for text in ["", "s3cret", "mysql://app:s3cret@db/d", r#"["s3cret"]"#, r#"{"password": "s3cret""#] {
        refused(text, &form);
    }
    let before = FormError::AmbiguousUrl {
        at: "the URL".to_owned(),
        cure: "let it begin with postgres:// or postgresql://, without anything before".to_owned(),
    };
    refused(" postgres://app:s3cret@db/d", &before);
    refused(r#""postgres://app:s3cret@db/d""#, &before);
    let engine = FormError::NotPostgres {
        expected: "the field engine to be postgres, postgresql or aurora-postgresql",
    };
    refused(r#"{"username":"app","password":"s3cret","host":"db","engine":"mysql"}"#, &engine);
    let missing = |part| FormError::Missing { at: "it".to_owned(), part };
    let login = missing("login: expected username, password and host, or a URL in the field DATABASE_URL");
    refused("{}", &login);
    refused(r#"{"username":"app","host":"db"}"#, &login);
    refused(r#"{"x":{"username":"app","password":"s3cret","host":"db"}}"#, &login);
    refused(r#"{"DATABASE_URL":"postgres://app@db/d"}"#, &login);
    refused(r#"{"username":"app","password":"s3cret"}"#, &missing("host"));
    refused(r#"{"username":"","password":"s3cret","host":"db"}"#, &missing("username"));
    refused(r#"{"username":"app","password":"","host":"db"}"#, &missing("password"));
    let several = [
        r#"{"A":"postgres://app:s3cret@db/d","B":"postgres://report:s3cret@db/d"}"#,
        r#"{"A":"postgres://app:s3cret@db/d","B":"postgres://app:s3cret@ro/d"}"#,
        r#"{"A":"postgres://app:s3cret@db/d","B":"postgres://app:s3cret@db:1/d"}"#,
        r#"{"A":"postgres://app:s3cret@db/d","B":"postgres://app:s3cret@db/e"}"#,
        r#"{"username":"app","password":"s3cret","A":"postgres://app:s3cret@db/d","B":"postgres://app:s3cret@ro/d"}"#,
    ];
    for text in several {
        refused(text, &FormError::SeveralLogins);
    }
}

#[test]
fn a_field_that_is_not_what_it_should_be_is_refused() {
    let malformed = |path: &str, expected| FormError::Malformed { path: path.to_owned(), expected };
    for (rest, path, expected) in [
        (r#""port": 0"#, "port", "a port from 1 to 65535"),
        (r#""port": "65536""#, "port", "a port from 1 to 65535"),
        (r#""port": 1e2"#, "port", "a port from 1 to 65535"),
        (r#""port": "s3cret""#, "port", "a port from 1 to 65535"),
        (r#""port": [5432]"#, "port", "a port from 1 to 65535"),
        (r#""dbname": 5"#, "dbname", "a string"),
        (r#""engine": {}"#, "engine", "a string"),
        (r#""masterarn": ["arn"]"#, "masterarn", "a string"),
        (r#""a": ["\ud800s3cret"]"#, "a[0]", "text: it holds half a surrogate pair"),
        (r#""dbname": "\u0000""#, "dbname", "text without NUL characters"),
    ] {
        let text = format!(r#"{{"username":"app","password":"s3cret","host":"db",{rest}}}"#);
        refused(&text, &malformed(path, expected));
    }
    refused(r#"{"username":"app","password":"s3cret","host":5}"#, &malformed("host", "a string"));
    refused(
        r#"{"username":"app","password":"s3cret\u0000","host":"db"}"#,
        &malformed("password", "text without NUL characters"),
    );
    refused(
        r#"{"username":"app","password":"s3cret","host":"db","pass\u0077ord":"other"}"#,
        &FormError::Twice { path: "password".to_owned() },
    );
    refused(
        r#"{"a":{"DATABASE_URL":"postgres://app:s3cret@h1,h2/d"}}"#,
        &FormError::AmbiguousUrl {
            at: "a.DATABASE_URL".to_owned(),
            cure: "it names several hosts: name the one that is written to".to_owned(),
        },
    );
    refused(
        r#"{"username":"app","password":"s3cret","host":"db","u":["postgres://app:s3cret@db"]}"#,
        &FormError::Missing { at: "u[0]".to_owned(), part: "database" },
    );
}

#[test]
fn fields_that_disagree_about_the_login_are_refused() {
    let disagreement =
        |path: &str, other: &str| FormError::Disagreement { path: path.to_owned(), other: other.to_owned() };
    let document = |rest: &str| format!(r#"{{"username":"app","password":"s3cret","host":"db",{rest}}}"#);
    for (rest, path) in [
        // The result of AWS's own function: it changes the password but not the URL.
        (r#""DATABASE_URL":"postgres://app:dead-s3cret@db/m""#, "DATABASE_URL"),
        (r#""a":[{"url":"postgres://app:dead@DB:1/m"}]"#, "a[0].url"),
        (r#""pass":"dead-s3cret""#, "pass"),
        (r#""user":"other""#, "user"),
    ] {
        refused(&document(rest), &disagreement(path, "password"));
    }
    refused(&document(r#""dbname":"a","database":"b""#), &disagreement("database", "dbname"));
    refused(
        r#"{"username":"app","password":"dead","DATABASE_URL":"postgres://app:s3cret@db/m"}"#,
        &disagreement("password", "DATABASE_URL"),
    );
}

#[test]
fn a_password_in_an_unknown_form_is_refused() {
    for derived in [
        "jdbc:postgresql://db/m?user=app&password=s3cret/word",
        "host=db user=app password=s3cret/word",
        "mysql://report:s3cret%2Fword@db/m",
        "s3cret/word",
    ] {
        let text = format!(
            r#"{{"username":"app","password":"s3cret\/word","host":"db","a":{{"DSN":"{derived}"}}}}"#
        );
        refused(&text, &FormError::Underived { path: "a.DSN".to_owned() });
    }
    // Another login with the same password would keep it, too.
    refused(
        r#"{"username":"app","password":"s3cret12","host":"db","ro_user":"ro","ro_password":"s3cret12"}"#,
        &FormError::Underived { path: "ro_password".to_owned() },
    );
}

#[test]
fn a_login_that_the_form_cannot_hold_is_not_written() {
    let url = parse("postgres://app:s3cret@db/m").unwrap();
    let fields = parse(r#"{"username":"app","password":"s3cret","host":"db"}"#).unwrap();
    for (user, password) in [("", "x"), ("app", ""), ("a\0", "x"), ("app", "x\0")] {
        for current in [&url, &fields] {
            assert!(current.with(user, &secret(password)).is_err(), "{user:?} {password:?}");
        }
    }
    // The other login of a pair has fields of its own.
    let pair = parse(
        r#"{"username":"app","password":"s3cret","host":"db","b_user":"app_clone","b_password":"other"}"#,
    )
    .unwrap();
    assert_eq!(pair.with("app_clone", &secret("new")).unwrap_err(), FormError::Unwritable);
    assert_eq!(pair.with("app_clone", &secret("other")).unwrap_err(), FormError::Unwritable);
}

#[test]
fn a_difference_outside_the_login_is_seen() {
    let base = r#"{"username":"app","password":"s3cret","host":"db","a":1,"u":"postgres://app:s3cret@db/m"}"#;
    let differs = |text: &str| !parse(text).unwrap().differs_only_in_login(&parse(base).unwrap());
    assert!(!differs(&base.replace("app", "app_clone").replace("s3cret", "other")));
    assert!(differs(&base.replace("\"db\"", "\"other\"")));
    assert!(differs(&base.replace("\"a\":1", "\"a\": 1")));
    assert!(differs(&base.replace("/m", "/n")));
    assert!(differs(&base.replace(r#","u":"postgres://app:s3cret@db/m""#, "")));
    assert!(differs(&base.replace("app:s3cret@db", "report:x@db")));
    assert!(differs("postgres://app:s3cret@db/m"));
}

#[test]
fn an_admins_login_is_completed_by_the_database_that_it_is_for() {
    let of = parse("postgres://app:pw@db:6432/m").unwrap().login;
    let login = |text: &str| admin_login(&secret(text), &of);
    for (text, expected) in [
        // The secret that RDS manages.
        (r#"{"username":"imm","password":"s3cret"}"#, ("db", 6432, "m", "imm", "s3cret")),
        (r#"{"username":"imm","password":"s3cret","dbname":"x","port":1}"#, ("db", 1, "x", "imm", "s3cret")),
        (r#"{"username":"imm","password":"s3cret","host":"h"}"#, ("h", 5432, "postgres", "imm", "s3cret")),
        (
            r#"{"username":"imm","password":"s3cret","u":"postgres://imm:s3cret@h/d"}"#,
            ("h", 5432, "d", "imm", "s3cret"),
        ),
        ("postgres://imm:s3cret@h/d", ("h", 5432, "d", "imm", "s3cret")),
    ] {
        assert_eq!(parts(&login(text).unwrap()), expected, "{text}");
    }
    assert!(matches!(login("postgres://imm@h/d"), Err(FormError::Missing { .. })));
    assert!(matches!(login(r#"{"password":"s3cret"}"#), Err(FormError::Missing { .. })));
    assert!(matches!(
        login(r#"{"username":"imm","password":"s3cret","engine":"mysql"}"#),
        Err(FormError::NotPostgres { .. })
    ));
}

#[test]
fn nothing_prints_a_password() {
    let read = parse(r#"{"username":"app","password":"s3cret","host":"db"}"#).unwrap();
    assert!(!format!("{read:?} {:?}", read.login()).contains("s3cret"));
}

/// Percent-encoding, implemented without the crate that the code uses.
fn encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let byte = |byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

/// A JSON string in which some characters, chosen by the mask, are escaped.
fn string(text: &str, mask: u64) -> String {
    let quoted = |(at, character): (usize, char)| {
        let mut units = [0; 2];
        match (mask >> (at % 64) & 1, character) {
            (1, '/') => "\\/".to_owned(),
            (1, _) => {
                character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }
            _ => {
                let quoted = serde_json::to_string(&character).unwrap();
                quoted[1..quoted.len() - 1].to_owned()
            }
        }
    };
    text.chars().enumerate().map(quoted).collect()
}

/// JSON of any shape, in any notation.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["1e2", "-0.0", "1E+9", "12345678901234567890", "true", "null"])
            .prop_map(str::to_owned),
        (any::<String>(), any::<u64>()).prop_map(|(text, mask)| format!("\"{}\"", string(&text, mask))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let members = prop::collection::vec((any::<String>(), any::<u64>(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[ {}]", items.join("\n,"))),
            members.prop_map(|members| format!("{{{}\t}}", object(&members, ""))),
        ]
    })
}

/// An object's members. A leading number makes keys unique, and trailing letters make them meaningless.
fn object(members: &[(String, u64, String)], prefix: &str) -> String {
    let member = |(at, (key, mask, value)): (usize, &(String, u64, String))| {
        format!(" \"{}\" :{value}", string(&format!("{prefix}{at}{key}x"), *mask))
    };
    members.iter().enumerate().map(member).collect::<Vec<_>>().join(", ")
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[^\0]{1,15}", "[!-~]{1,63}", "[a-z_]{1,20}"]
}

fn password() -> impl Strategy<Value = String> {
    prop_oneof!["[^\0]{8,40}", "[ -~]{8,64}"]
        .prop_filter("prepared differently", |password| prepared_alike(password))
}

/// A part of a URL that nearly all readers interpret alike.
fn almost_legal() -> impl Strategy<Value = String> {
    let legal = prop::sample::select(vec!["a", "B", "1", "-", ".", "+", "=", "%40", "%2f", "%C3%A9", "%25"]);
    let other = prop::sample::select(vec![
        ":",
        "@",
        "/",
        "?",
        "#",
        "%",
        "%4",
        "%00",
        "%ff",
        "%ED%A0%80",
        "[",
        "]",
        ",",
        " ",
        "\t",
        "\\",
        "é",
        "^",
    ]);
    prop::collection::vec(prop_oneof![12 => legal, 1 => other], 1..4).prop_map(|pieces| pieces.concat())
}

fn parameters() -> impl Strategy<Value = String> {
    let value = any::<String>().prop_map(|text| encoded(&text.replace('\0', "")));
    let parameter = prop_oneof![
        value.prop_map(|name| format!("application_name={name}")),
        prop::sample::select(vec![
            "sslmode=require",
            "connect_timeout=5",
            "target_session_attrs=read-write",
            "options=-c%20role%3Dx",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(parameter, 0..4).prop_map(|all| match all.as_slice() {
        [] => String::new(),
        all => format!("?{}", all.join("&")),
    })
}

proptest! {
    #[test]
    fn every_parser_reads_the_login_that_was_written(
        old in (name(), password()),
        user in name(),
        password in password(),
        host in prop::sample::select(vec!["db.example", "10.0.0.1", "[2001:db8::1]"]),
        port in prop::option::of(1_u16..),
        database in "[^\0]{1,9}",
        parameters in parameters(),
    ) {
        prop_assume!(database != "." && database != "..");
        let at = port.map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let rest = format!("@{at}/{}{parameters}", encoded(&database));
        let current = parse(&format!("postgres://{}:{}{rest}", encoded(&old.0), encoded(&old.1))).unwrap();
        let host = host.trim_matches(['[', ']']);
        prop_assert_eq!(parts(current.login()), (host, port.unwrap_or(5432), &*database, &*old.0, &*old.1));

        let new = current.with(&user, &secret(&password)).unwrap();
        let text = new.expose_secret();
        prop_assert_eq!(text, &format!("postgres://{}:{}{rest}", encoded(&user), encoded(&password)));
        let pending = Secret::parse(&new).unwrap();
        prop_assert_eq!(parts(pending.login()), (host, port.unwrap_or(5432), &*database, &*user, &*password));
        prop_assert!(pending.differs_only_in_login(&current));

        // The WHATWG standard's parser.
        let url = ::url::Url::parse(text).unwrap();
        let read = |part: &str| percent_decode_str(part).decode_utf8().unwrap().into_owned();
        prop_assert_eq!(read(url.username()), user.as_str());
        prop_assert_eq!(read(url.password().unwrap()), password.as_str());
        prop_assert_eq!(url.host_str().unwrap().trim_matches(['[', ']']), host);
        prop_assert_eq!(url.port(), port);
        prop_assert_eq!(read(url.path()), format!("/{database}"));
        // The driver's parser, which follows libpq's.
        let config: tokio_postgres::Config = text.parse().unwrap();
        prop_assert_eq!(config.get_user(), Some(&*user));
        prop_assert_eq!(config.get_password(), Some(password.as_bytes()));
        prop_assert_eq!(config.get_hosts(), [Host::Tcp(host.to_owned())]);
        prop_assert_eq!(config.get_ports(), [port.unwrap_or(5432)]);
        prop_assert_eq!(config.get_dbname(), Some(&*database));
    }

    #[test]
    fn a_text_is_read_as_other_parsers_read_it_or_refused(
        user in almost_legal(),
        password in almost_legal(),
        server in prop_oneof![Just("db:5432".to_owned()), almost_legal()],
        database in almost_legal(),
    ) {
        let text = format!("postgres://{user}:{password}@{server}/{database}");
        if let Ok(read) = parse(&text) {
            let login = read.login();
            // The driver accepts only its own parameters.
            let config: tokio_postgres::Config = text.split('?').next().unwrap().parse().unwrap();
            prop_assert_eq!(config.get_user(), Some(&*login.user));
            prop_assert_eq!(config.get_password(), Some(login.password.expose_secret().as_bytes()));
            prop_assert_eq!(config.get_hosts(), [Host::Tcp(login.host.clone())]);
            prop_assert_eq!(config.get_dbname(), Some(&*login.database));
            let url = ::url::Url::parse(&text).unwrap();
            let read = |part: &str| percent_decode_str(part).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(read(url.username()), login.user.as_str());
            prop_assert_eq!(read(url.password().unwrap()), login.password.expose_secret());
            prop_assert_eq!(url.host_str(), Some(&*login.host));
            prop_assert_eq!(read(url.path()), format!("/{}", login.database));
        }
    }

    #[test]
    fn every_place_of_any_document_is_kept_and_nothing_else_changes(
        around in prop::collection::vec((any::<String>(), any::<u64>(), json()), 0..4),
        nested in json(),
        masks in any::<[u64; 6]>(),
        old in (name(), password()),
        new in (name(), password()),
        parameters in parameters(),
    ) {
        let document = |user: &str, password: &str, url: &str, url_password: &str| {
            let tail = string(&format!("@db/m{parameters}"), masks[4]);
            let url = format!("{}{url}:{url_password}{tail}\"", string("postgres://", masks[5]));
            format!(
                " {{ {},\"username\" : {user},\"host\":\"db\",\"password\":{password} ,\"u\": \"{url},\"in\":[{nested}, \"{url},{{\"PG_\\u0055SER\":{user},\"pg_pwd\"\n:{password}}}] }}\n",
                object(&around, "k") + if around.is_empty() { "\"k\":1" } else { "" },
            )
        };
        let quoted = |text: &str, mask| format!("\"{}\"", string(text, mask));
        let current = parse(&document(
            &quoted(&old.0, masks[0]),
            &quoted(&old.1, masks[1]),
            &string(&encoded(&old.0), masks[2]),
            &string(&encoded(&old.1), masks[3]),
        ))
        .unwrap();
        prop_assert_eq!(parts(current.login()), ("db", 5432, "postgres", &*old.0, &*old.1));

        let pending = current.with(&new.0, &secret(&new.1)).unwrap();

        let (user, password) = (quote(&new.0), quote(&new.1));
        prop_assert_eq!(
            pending.expose_secret(),
            &document(&user, &password, &encoded(&new.0), &encoded(&new.1))
        );
        prop_assert!(Secret::parse(&pending).unwrap().differs_only_in_login(&current));
    }
}
