//! For random users, passwords, URL parameters and documents: after a rotation, to a password of the policy or to any
//! other, every reader of the secret logs in, and nothing else in the secret has changed.

use std::cell::RefCell;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use postgres_protocol::escape::escape_identifier as ident;
use postgres_protocol::password::scram_sha_256;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestError, TestRunner};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::cloud::Cloud;
use crate::credential::{self, BOTH};
use crate::matrix::is_full;
use crate::readers::{self, Login, NODE_POSTGRES, Reader};
use crate::secret::Secret;
use crate::server::Server;

/// Cases of each server, form and strategy; with `--full`, twice as many.
const CASES: u32 = 3;

/// Name of the reader that refuses a URL with a parameter that it does not know.
const LIBPQ: &str = "libpq";

/// Maximum bytes of a PostgreSQL name, and of a user's name before the suffix of alternating users.
const NAME_BYTES: usize = 63;
const STEM_BYTES: usize = NAME_BYTES - "_clone".len();

/// Minimum bytes of a random password that does not occur elsewhere by chance.
const SEARCHED: usize = 16;

/// The databases that a secret names. They have no reserved characters, because node-postgres does not decode them
/// there.
const DATABASES: [&str; 2] = ["postgres", "mové ongs"];

#[derive(Clone, Copy, Debug)]
enum Form {
    /// The URL alone.
    Url,
    /// AWS's JSON document.
    Fields,
    /// AWS's JSON document with a `DATABASE_URL`.
    FieldsAndUrl,
}

/// A secret before its first rotation.
#[derive(Clone, Debug)]
struct Case {
    user: String,
    password: String,
    /// The password of the last rotation.
    last_password: String,
    database: &'static str,
    /// Parameters of the URL, encoded, without the CA's.
    parameters: Vec<String>,
    /// A parameter that only the application knows, encoded.
    own_parameter: Option<String>,
    /// Meaningless members of the document.
    members: Vec<(String, String)>,
    /// Ranks of the URL's parameters, and of the document's members.
    order: [u8; 24],
    /// Chooses among equal notations.
    mask: u64,
}

/// A piece of the secret's text.
enum Piece {
    /// A part that a rotation leaves unchanged.
    Fixed(String),
    /// A user or a password.
    Slot(Part, Notation),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    User,
    Password,
}

#[derive(Clone, Copy)]
enum Notation {
    /// In a URL.
    Url,
    /// In a URL that is a JSON string.
    UrlInJson,
    /// As a JSON string, quotes included.
    Json,
}

/// The context of all cases.
struct Stage {
    cloud: Cloud,
    rootcert: String,
    readers: [Reader; 3],
    made: usize,
    /// By reader: number of questions about a secret of random parts, and number of answers that did not count.
    asked: BTreeMap<&'static str, (usize, usize)>,
}

#[test]
fn after_a_rotation_every_reader_logs_in_and_nothing_else_has_changed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cloud = runtime.block_on(Cloud::connect("rotate-database"));
    let rootcert = cloud.facts["rds_ca"].as_str().unwrap().to_owned();
    let stage =
        RefCell::new(Stage { cloud, rootcert, readers: readers::start(), made: 0, asked: BTreeMap::new() });
    for major in [15, 18] {
        let server = runtime.block_on(prepared(&stage.borrow().cloud, major));
        for form in [Form::Url, Form::Fields, Form::FieldsAndUrl] {
            for strategy in BOTH {
                let alternating = strategy == credential::Strategy::Alternating;
                let mut runner = TestRunner::new(Config {
                    cases: if is_full() { 2 * CASES } else { CASES },
                    // A counterexample gets its own test.
                    failure_persistence: None,
                    max_shrink_iters: 32,
                    ..Config::default()
                });
                let outcome = runner.run(&case(if alternating { STEM_BYTES } else { NAME_BYTES }), |case| {
                    runtime.block_on(stage.borrow_mut().rotates(&server, form, alternating, &case));
                    Ok(())
                });
                match outcome {
                    Ok(()) => {}
                    Err(TestError::Fail(reason, case)) => {
                        panic!("PostgreSQL {major}, {form:?}, {strategy:?}: {reason}\n{case:?}")
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    let asked = stage.into_inner().asked;
    assert!(
        asked.len() == 3 && asked.values().all(|(asked, skipped)| skipped * 2 < *asked),
        "most answers of a reader did not count: {asked:?}"
    );
}

/// A server with the databases that a secret names.
async fn prepared(cloud: &Cloud, major: u32) -> Server {
    let server = Server::of(cloud, major).await;
    let master = server.master("postgres").await;
    for database in DATABASES {
        let found = master.query("SELECT FROM pg_database WHERE datname = $1", &[&database]).await.unwrap();
        if found.is_empty() {
            master.batch_execute(&format!("CREATE DATABASE {}", ident(database))).await.unwrap();
        }
    }
    server
}

impl Stage {
    /// Rotates the secret of a case to passwords of the policy, twice when users alternate, then to the case's own, and
    /// checks it each time.
    async fn rotates(&mut self, server: &Server, form: Form, alternating: bool, case: &Case) {
        let Self { cloud, rootcert, readers, made, asked } = self;
        let manager = server.manager("postgres").await;
        let [user, clone, owner] = ["", "_clone", "_owner"].map(|suffix| format!("{}{suffix}", case.user));
        let drop_roles =
            [&user, &clone, &owner].map(|role| format!("DROP ROLE IF EXISTS {};", ident(role))).concat();
        manager.batch_execute(&drop_roles).await.unwrap();
        let verifier = scram_sha_256(case.password.as_bytes());
        let create = format!("CREATE ROLE {} LOGIN PASSWORD '{verifier}'", ident(&user));
        manager.batch_execute(&create).await.unwrap();

        let template = case.template(form, server, rootcert);
        let first = case.text(&template);
        let places = if let Form::FieldsAndUrl = form { 2 } else { 1 };
        let unknown = case.own_parameter.is_some() && !matches!(form, Form::Fields);
        let mut log_in = |secret: &str, password: &str, session_user: &str, current_user: &str| {
            let login =
                Login { session_user: session_user.to_owned(), current_user: current_user.to_owned() };
            for (reader, answer) in answers(readers, secret, rootcert) {
                // node-postgres prepares even a password that SASLprep refuses; PostgreSQL uses it unchanged.
                let skipped = reader == NODE_POSTGRES && stringprep::saslprep(password).is_err()
                    || reader == LIBPQ && unknown;
                let random = [&case.password, &case.last_password].iter().any(|known| *known == password);
                let (asked, skips) = asked.entry(reader).or_default();
                *asked += usize::from(random);
                *skips += usize::from(random && skipped);
                if !skipped {
                    assert_eq!(answer, Ok(vec![login.clone(); places]), "{reader}: {secret}");
                }
            }
        };
        log_in(&first, &case.password, &user, &user);

        *made += 1;
        // A failed case leaves its secret behind, and another run on the same cloud must not use its name.
        let name = format!("property-{}-{made}", std::process::id());
        let tags: &[_] = if alternating {
            &[("rotation:strategy", "alternating-users"), ("rotation:admin-secret", &server.admin_secret)]
        } else {
            &[("rotation:strategy", "single-user")]
        };
        let secret = Secret::new(cloud, &name, &first, tags).await;
        let turns: &[_] = if alternating {
            &[(&user, &clone, None), (&clone, &user, None), (&user, &clone, Some(&case.last_password))]
        } else {
            &[(&user, &user, None), (&user, &user, Some(&case.last_password))]
        };
        let mut previous = first.clone();
        let mut passwords = vec![case.password.clone()];
        for (old, new, chosen) in turns {
            let token = match chosen {
                None => secret.rotate().await,
                Some(password) => rotate_to(&secret, &previous, new, password).await,
            };
            assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&token));
            let current = secret.value(&token).await;
            let password = written(&template, &current, new)
                .unwrap_or_else(|| panic!("not the same with another login:\n{previous}\n{current}"));
            assert!(!passwords.contains(&password), "a password that was used before");
            assert!(chosen.is_none_or(|chosen| *chosen == password), "not the staged password: {current}");
            if alternating {
                log_in(&current, &password, new, &owner);
                log_in(&previous, passwords.last().unwrap(), old, &owner);
            } else {
                log_in(&current, &password, new, new);
            }
            passwords.push(password);
            previous = current;
        }
        if !alternating {
            for (reader, answer) in answers(readers, &first, rootcert) {
                if reader == LIBPQ && unknown {
                    continue;
                }
                let refusal = answer.expect_err(reader);
                assert!(refusal.contains("password authentication failed"), "{reader}: {refusal}");
            }
        }

        // The search for leaked values would find the secret's short names and members everywhere; it gets the passwords
        // instead.
        let delete = cloud.secrets.delete_secret().secret_id(&secret.arn).force_delete_without_recovery(true);
        delete.send().await.unwrap();
        passwords.retain(|password| password.len() >= SEARCHED);
        let kept = json!(
            passwords
                .iter()
                .enumerate()
                .map(|(at, password)| (at.to_string(), password))
                .collect::<BTreeMap<_, _>>()
        );
        let keep = cloud.secrets.create_secret().name(format!("{}{name}-passwords", cloud.prefix()));
        keep.secret_string(kept.to_string()).send().await.unwrap();
        manager.batch_execute(&drop_roles).await.unwrap();
    }
}

/// Rotates a secret to this login, as if createSecret had made it.
async fn rotate_to(secret: &Secret<'_>, current: &str, user: &str, password: &str) -> String {
    let token = secret.staged().await;
    let current = shared::database::secret::Secret::parse(&SecretString::from(current)).unwrap();
    let pending = current.with(user, &SecretString::from(password)).unwrap();
    secret.put_sealed(&token, pending.expose_secret()).await;
    for step in ["setSecret", "testSecret", "finishSecret"] {
        let done = secret.step(step, &token).await;
        assert!(done.is_ok(), "{step}: {done:?}");
    }
    secret.retry().await;
    secret.settled(&["succeeded"]).await;
    token
}

/// Each reader's answer for a secret.
fn answers(
    readers: &mut [Reader],
    secret: &str,
    rootcert: &str,
) -> Vec<(&'static str, Result<Vec<Login>, String>)> {
    readers.iter_mut().for_each(|reader| reader.ask(secret, rootcert));
    readers.iter_mut().map(|reader| (reader.name, reader.answer())).collect()
}

impl Case {
    fn template(&self, form: Form, server: &Server, rootcert: &str) -> Vec<Piece> {
        let fixed = |text: String| vec![Piece::Fixed(text)];
        if let Form::Url = form {
            return self.url(server, rootcert, Notation::Url);
        }
        let quoted = |text: &str| quoted(text, self.mask);
        let port = server.port;
        let port = if self.mask & 1 == 0 { port.to_string() } else { quoted(&port.to_string()) };
        let mut members = vec![
            ("engine".to_owned(), fixed(quoted("postgres"))),
            ("host".to_owned(), fixed(quoted(&server.host))),
            ("port".to_owned(), fixed(port)),
            ("dbname".to_owned(), fixed(quoted(self.database))),
            ("username".to_owned(), vec![Piece::Slot(Part::User, Notation::Json)]),
            ("password".to_owned(), vec![Piece::Slot(Part::Password, Notation::Json)]),
        ];
        if let Form::FieldsAndUrl = form {
            let mut url = fixed("\"".to_owned());
            url.extend(self.url(server, rootcert, Notation::UrlInJson));
            url.extend(fixed("\"".to_owned()));
            members.push(("DATABASE_URL".to_owned(), url));
        }
        if self.mask & 2 == 0 {
            let other = other_login(&format!("{}:{}", server.host, server.port));
            members.extend(other.map(|(key, value)| (key.to_owned(), fixed(quoted(&value)))));
        }
        // The number makes each key unique; the letter keeps it from being a known one.
        let more = self.members.iter().enumerate();
        members.extend(more.map(|(at, (key, value))| (format!("{at}{key}x"), fixed(value.clone()))));
        let members = self.ordered(members);

        let space = |at: usize| [" ", "", "\n\t", "\r\n  "][(self.mask >> (at % 31) & 3) as usize];
        let mut pieces = fixed(format!("{}{{", space(0)));
        for (at, (key, value)) in members.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            pieces.extend(fixed(format!(
                "{comma}{}{}{}:{}",
                space(at),
                quoted(&key),
                space(at + 1),
                space(at + 2)
            )));
            pieces.extend(value);
            pieces.extend(fixed(space(at + 3).to_owned()));
        }
        pieces.extend(fixed(format!("}}{}", space(1))));
        pieces
    }

    fn url(&self, server: &Server, rootcert: &str, notation: Notation) -> Vec<Piece> {
        let mut parameters = [self.parameters.clone(), self.own_parameter.iter().cloned().collect()].concat();
        parameters.push(format!("sslrootcert={}", percent(rootcert, self.mask)));
        let end = format!(
            "@{}:{}/{}?{}",
            server.host,
            server.port,
            percent(self.database, 0),
            self.ordered(parameters).join("&"),
        );
        let scheme = ["postgres://", "postgresql://"][(self.mask >> 2 & 1) as usize];
        let fixed = |text: &str| {
            Piece::Fixed(match notation {
                Notation::UrlInJson => escaped(text, self.mask >> 3),
                _ => text.to_owned(),
            })
        };
        vec![
            fixed(scheme),
            Piece::Slot(Part::User, notation),
            fixed(":"),
            Piece::Slot(Part::Password, notation),
            fixed(&end),
        ]
    }

    /// The secret's text before its first rotation.
    fn text(&self, template: &[Piece]) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Fixed(text) => text.clone(),
            Piece::Slot(part, notation) => {
                let text = if *part == Part::User { &self.user } else { &self.password };
                match notation {
                    Notation::Url => percent(text, self.mask),
                    Notation::UrlInJson => escaped(&percent(text, self.mask), self.mask >> 1),
                    Notation::Json => quoted(text, self.mask),
                }
            }
        };
        template.iter().map(piece).collect()
    }

    fn ordered<T>(&self, mut items: Vec<T>) -> Vec<T> {
        let mut ranks = self.order.iter().cycle();
        items.sort_by_cached_key(|_| ranks.next());
        items
    }
}

/// The password in a text that equals the template with this user and one password.
fn written(template: &[Piece], text: &str, user: &str) -> Option<String> {
    let mut rest = text;
    let mut password = None;
    for piece in template {
        let (part, notation) = match piece {
            Piece::Fixed(text) => {
                rest = rest.strip_prefix(text.as_str())?;
                continue;
            }
            Piece::Slot(part, notation) => (part, notation),
        };
        let (found, length) = match notation {
            Notation::Json => {
                let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                (strings.next()?.ok()?, strings.byte_offset())
            }
            Notation::Url | Notation::UrlInJson => {
                let written = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
                let length = rest.find(|c| !written(c))?;
                (percent_decode_str(&rest[..length]).decode_utf8().ok()?.into_owned(), length)
            }
        };
        match part {
            Part::User if found == user => {}
            Part::Password if password.as_ref().is_none_or(|known| *known == found) => password = Some(found),
            _ => return None,
        }
        rest = &rest[length..];
    }
    password.filter(|_| rest.is_empty())
}

/// A JSON string in which some characters, chosen by the mask, are escaped.
fn quoted(text: &str, mask: u64) -> String {
    format!("\"{}\"", escaped(text, mask))
}

/// The content of a JSON string, in which some characters, chosen by the mask, are escaped.
fn escaped(text: &str, mask: u64) -> String {
    let character = |(at, character): (usize, char)| {
        if mask.rotate_right(at as u32) & 4 == 0 {
            let string = serde_json::to_string(&character).unwrap();
            return string[1..string.len() - 1].to_owned();
        }
        character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
    };
    text.chars().enumerate().map(character).collect()
}

/// A part of a URL with some bytes percent-encoded without need, chosen by the mask.
fn percent(text: &str, mask: u64) -> String {
    let byte = |(at, byte): (usize, u8)| {
        let chosen = mask.rotate_right(at as u32);
        // RFC 3986's unreserved and sub-delims.
        if byte.is_ascii_alphanumeric() || b"-._~!$'()*,;".contains(&byte) && chosen & 3 != 0 {
            return char::from(byte).to_string();
        }
        if chosen & 4 == 0 { format!("%{byte:02X}") } else { format!("%{byte:02x}") }
    };
    text.bytes().enumerate().map(byte).collect()
}

/// Any character of Unicode except NUL; troublesome ones more often.
fn character() -> impl Strategy<Value = char> {
    let troublesome = "'\"\\%:@/?#[] +&=;,$|`~^<>{}()*!_-.\u{1}\t\n\r\u{7f}";
    // Characters that SASLprep maps to a space, to nothing, or to others.
    let mapped = "\u{a0}\u{3000}\u{ad}\u{200b}\u{feff}\u{fe0f}ªﬁＡ½ẛ\u{1100}\u{1161}";
    let not_characters = ['\u{fdd0}', '\u{fffe}', '\u{ffff}', '\u{1ffff}', '\u{10fffe}', '\u{10ffff}'];
    prop_oneof![
        6 => select(troublesome.chars().collect::<Vec<_>>()),
        3 => prop::char::range('a', 'z'),
        2 => prop::char::range('A', 'Z'),
        1 => prop::char::range('0', '9'),
        1 => select(mapped.chars().collect::<Vec<_>>()),
        1 => prop::char::range('\u{300}', '\u{36f}'),
        1 => select("😀👩🏽\u{200d}🚀🇧🇷éÜçãßİı".chars().collect::<Vec<_>>()),
        1 => select("אבגשערب\u{202e}\u{200f}٣".chars().collect::<Vec<_>>()),
        1 => select(not_characters.to_vec()),
        3 => prop::char::range('\u{1}', char::MAX),
    ]
}

fn text(characters: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = String> {
    vec(character(), characters).prop_map(|characters| characters.into_iter().collect())
}

/// A name that PostgreSQL accepts, of at most `bytes` bytes; about half of the names are nearly that long.
fn user(bytes: usize) -> impl Strategy<Value = String> {
    let whole = move |text: String| {
        let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= bytes;
        text.char_indices().take_while(fits).map(|(_, c)| c).collect::<String>()
    };
    let possible = |name: &String| {
        !name.starts_with("pg_")
            && !["public", "none", "report"].contains(&name.as_str())
            && !["_clone", "_owner"].iter().any(|suffix| name.ends_with(suffix))
    };
    prop_oneof![text(1..=12), text(NAME_BYTES..=NAME_BYTES)].prop_map(whole).prop_filter("reserved", possible)
}

/// A password that SASLprep does not empty, usually one that it accepts.
fn password() -> impl Strategy<Value = String> {
    let left = |password: &String| stringprep::saslprep(password).map_or(true, |left| !left.is_empty());
    let prepared = text(1..=40).prop_map(|password| {
        // Between letters, because SASLprep refuses characters written from the right among them.
        let taken = |c: &char| stringprep::saslprep(&format!("a{c}a")).is_ok();
        password.chars().filter(taken).chain(['a']).collect()
    });
    // The product refuses the others: libpq and this test's driver would not agree on them either.
    let alike = move |password: &String| left(password) && shared::database::secret::prepared_alike(password);
    prop_oneof![text(1..=40), "[ -~]{1,64}", prepared].prop_filter("programs would not agree on it", alike)
}

/// Parameters that libpq knows and node-postgres accepts, with some letters of their names encoded.
fn parameters() -> impl Strategy<Value = Vec<String>> {
    let known = [
        "channel_binding=prefer",
        "client_encoding=UTF8",
        "connect_timeout=20",
        "gssencmode=disable",
        "keepalives=1",
        "options=-c%20statement_timeout%3D20000",
        "options=-c%20lock_timeout%3D9s%20-c%20search_path%3Dpublic",
        "require_auth=scram-sha-256",
        "sslsni=1",
        "target_session_attrs=read-write",
        "tcp_user_timeout=30000",
    ];
    let mode =
        select(vec!["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full", "sslmode=verify-full"]);
    let named = (select(vec!["application_name", "fallback_application_name", "krbsrvname"]), text(0..=24));
    let named =
        (named, any::<u64>()).prop_map(|((key, value), mask)| format!("{key}={}", percent(&value, mask)));
    let times = select(vec!["keepalives_idle", "keepalives_interval"]);
    let timed = (times, 30..=32_767_u16).prop_map(|(key, value)| format!("{key}={value}"));
    let more = (vec(named, 0..3), vec(timed, 0..3));
    (prop::sample::subsequence(known.to_vec(), 0..4), mode, more, any::<u64>()).prop_map(
        |(known, mode, (named, timed), mask)| {
            let known = known.into_iter().chain([mode]).map(str::to_owned);
            known.chain(named).chain(timed).map(|parameter| respelled(&parameter, mask)).collect()
        },
    )
}

/// A parameter with some letters of its name, chosen by the mask, percent-encoded.
fn respelled(parameter: &str, mask: u64) -> String {
    let (key, value) = parameter.split_once('=').unwrap();
    let letter = |(at, c): (usize, char)| {
        if mask.rotate_right(at as u32) & 7 == 0 { format!("%{:02X}", u32::from(c)) } else { c.to_string() }
    };
    format!("{}={value}", key.chars().enumerate().map(letter).collect::<String>())
}

/// A parameter of any name and any value. Its first letter keeps the name from being a known one.
fn own_parameter() -> impl Strategy<Value = Option<String>> {
    let parameter = (text(0..=12), text(0..=24), any::<u64>());
    let parameter = parameter
        .prop_map(|(key, value, mask)| format!("x{}={}", percent(&key, mask), percent(&value, mask >> 5)));
    prop_oneof![3 => Just(None), 1 => parameter.prop_map(Some)]
}

/// Another login at the same server, unrelated to the secret.
fn other_login(server: &str) -> [(&'static str, String); 3] {
    [
        ("REPORT_URL", format!("postgres://report:n%6Ft%20ours@{server}/postgres")),
        ("report_user", "report".to_owned()),
        ("report_password", "n\u{f6}t ours".to_owned()),
    ]
}

/// JSON of any shape, in any notation.
fn json() -> impl Strategy<Value = String> {
    let literals = ["1e2", "-0.0", "1E+9", "12345678901234567890", "true", "null", "\"\"", "\"\\/\""];
    let leaf = prop_oneof![
        select(literals.to_vec()).prop_map(str::to_owned),
        (text(0..=12), any::<u64>()).prop_map(|(text, mask)| quoted(&text, mask)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let members = vec((text(0..=6), any::<u64>(), inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[ {}]", items.join("\n,"))),
            members.prop_map(|members| {
                let member = |(at, (key, mask, value)): (usize, &(String, u64, String))| {
                    format!(" {} :{value}", quoted(&format!("{at}{key}x"), *mask))
                };
                format!("{{{}\t}}", members.iter().enumerate().map(member).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn case(name_bytes: usize) -> impl Strategy<Value = Case> {
    let members = vec((text(0..=6), json()), 0..4);
    let login = (user(name_bytes), password(), password(), select(DATABASES.to_vec()));
    let parameters = (parameters(), own_parameter());
    let case = (login, parameters, members, any::<[u8; 24]>(), any::<u64>());
    let case = case.prop_map(|(login, (parameters, own_parameter), members, order, mask)| {
        let (user, password, last_password, database) = login;
        Case { user, password, last_password, database, parameters, own_parameter, members, order, mask }
    });
    // PostgreSQL's form of a password.
    let prepared = |password: &str| {
        stringprep::saslprep(password).map_or_else(|_| password.to_owned(), std::borrow::Cow::into_owned)
    };
    let case = case.prop_filter("the same password", move |case| {
        prepared(&case.password) != prepared(&case.last_password)
    });
    // The product refuses a document that holds the password in an unknown form, which a short password does by chance.
    case.prop_filter("another field holds a password", |case| {
        let members = case.members.iter().map(|(_, value)| value.clone());
        let others =
            members.chain(other_login("db:1").map(|(_, value)| quoted(&value, 0))).collect::<Vec<_>>();
        let passwords = [case.password.as_str(), case.last_password.as_str()];
        shared::copies::fields(&format!("[{}]", others.join(",")), &passwords, |_| false).is_empty()
    })
}

#[test]
fn a_text_with_any_other_difference_is_not_the_template() {
    let fixed = |text: &str| Piece::Fixed(text.to_owned());
    let template = [
        fixed("{\"u\":\"pg://"),
        Piece::Slot(Part::User, Notation::UrlInJson),
        fixed(":"),
        Piece::Slot(Part::Password, Notation::UrlInJson),
        fixed("@h\",\"p\": "),
        Piece::Slot(Part::Password, Notation::Json),
        fixed("}"),
    ];
    let password = |text: &str| written(&template, text, "a b");
    assert_eq!(password(r#"{"u":"pg://a%20b:c%22@h","p": "c\""}"#).as_deref(), Some("c\""));
    for other in [
        r#"{"u":"pg://a%20c:c%22@h","p": "c\""}"#,
        r#"{"u":"pg://a%20b:c%23@h","p": "c\""}"#,
        r#"{"u":"pg://a%20b:c%22@h","p":"c\""}"#,
        r#"{"u":"pg://a%20b:c%22@i","p": "c\""}"#,
        r#"{"u":"pg://a%20b:c%22@h","p": "c\""} "#,
        r#"{"u":"pg://a b:c%22@h","p": "c\""}"#,
        r#"{"u":"pg://a%20b:c%22@h","p": "c\"","x":1}"#,
    ] {
        assert_eq!(password(other), None, "{other}");
    }
}
