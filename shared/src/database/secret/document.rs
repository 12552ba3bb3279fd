//! Places of a login in a JSON document.

use std::collections::BTreeMap;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::url::{Url, is_url};
use super::{DEFAULT_PORT, FormError, Login, MAIN_URL, Notation, Part, Slot, checked, port};
use crate::copies;
use crate::document::{self, Path, Value};

/// The database if AWS's form names none.
const DEFAULT_DATABASE: &str = "postgres";

/// The values of AWS's `engine` for PostgreSQL.
const ENGINES: [&str; 3] = ["postgres", "postgresql", "aurora-postgresql"];

/// Descriptive fields of AWS's form. A weak password may be the same word as one of their values.
const DESCRIPTIVE: [&str; 8] = [
    "database",
    "dbClusterIdentifier",
    "dbInstanceIdentifier",
    "dbname",
    "engine",
    "host",
    "masterarn",
    "port",
];

/// Endings of keys for a user or a password; the prefix before the ending groups the fields.
const ENDINGS: [(&str, Part); 6] = [
    ("username", Part::User),
    ("user", Part::User),
    ("password", Part::Password),
    ("passwd", Part::Password),
    ("pwd", Part::Password),
    ("pass", Part::Password),
];

/// Endings of keys for a server.
const HOSTS: [&str; 8] = ["host", "hostname", "server", "address", "addr", "endpoint", "url", "uri"];

/// Words in a field's path that mark a PostgreSQL field: `DB_USER`, `pg.user`.
const OURS: [&str; 8] = ["database", "db", "jdbc", "pg", "pgsql", "postgres", "postgresql", "rds"];

/// Words that mark a field of another kind of database in spite of those: `MONGO_DB_USER`.
const OTHERS: [&str; 16] = [
    "cassandra",
    "clickhouse",
    "couch",
    "couchdb",
    "elastic",
    "influx",
    "influxdb",
    "maria",
    "mariadb",
    "mongo",
    "mongodb",
    "mssql",
    "mysql",
    "neo4j",
    "oracle",
    "redis",
];

/// A JSON document with logins in it.
pub(super) struct Document<'a>(Vec<Field<'a>>);

/// A value of the document, at any depth.
pub(super) struct Field<'a> {
    pub(super) value: Value<'a>,
    /// Its text if it is a string.
    text: Option<Zeroizing<String>>,
    /// The parsed URL, if it is a PostgreSQL URL.
    url: Option<Url>,
}

impl Field<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_ref().map(|text| text.as_str())
    }

    pub(super) fn path(&self) -> String {
        self.value.path.to_string()
    }

    /// The URL, unless it holds no login.
    fn login_url(&self) -> Option<&Url> {
        self.url.as_ref().filter(|url| url.names_login())
    }
}

/// Fields of one object that name user and password with the same prefix: `DB_USER` and `DB_PASSWORD`.
#[derive(Default)]
pub(super) struct Group<'a> {
    pub(super) users: Vec<&'a Field<'a>>,
    pub(super) passwords: Vec<&'a Field<'a>>,
}

impl<'a> Document<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, FormError> {
        let values = document::values(text).unwrap_or_default();
        if !values.first().is_some_and(|root| root.json().starts_with('{')) {
            // A URL with something before it: a byte order mark, a blank, `jdbc:`.
            let at = text.find("postgres").filter(|at| (1..=8).contains(at));
            if at.and_then(|at| text.get(at..)).is_some_and(is_url) {
                return Err(FormError::AmbiguousUrl {
                    at: "the URL".to_owned(),
                    cure: "let it begin with postgres:// or postgresql://, without anything before"
                        .to_owned(),
                });
            }
            return Err(FormError::NotPostgres {
                expected: "a URL that begins with postgres:// or postgresql://, or a JSON object",
            });
        }
        let field = |value: Value<'a>| {
            let path = value.path.to_string();
            if value.twice {
                return Err(FormError::Twice { path });
            }
            let text = value.text();
            if value.is_string() && text.is_none() {
                return Err(FormError::Malformed { path, expected: "text: it holds half a surrogate pair" });
            }
            let url = text.as_ref().filter(|text| is_url(text));
            let url = url.map(|text| Url::parse(text, path)).transpose()?;
            Ok(Field { value, text, url })
        };
        values.into_iter().map(field).collect::<Result<_, _>>().map(Self)
    }

    /// The text of a top-level field; `None` if it is absent, `null` or empty.
    pub(super) fn top_level(&self, key: &str) -> Result<Option<&str>, FormError> {
        let Some(field) = self.0.iter().find(|field| field.value.path.top_level_key() == Some(key)) else {
            return Ok(None);
        };
        match field.text() {
            Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            None if field.value.json() == "null" => Ok(None),
            None => Err(FormError::Malformed { path: field.path(), expected: "a string" }),
        }
    }

    /// The top-level `port`, as a number or as a string of digits.
    fn port(&self) -> Result<Option<u16>, FormError> {
        let Some(field) = self.0.iter().find(|field| field.value.path.top_level_key() == Some("port")) else {
            return Ok(None);
        };
        match field.text().unwrap_or(field.value.json()) {
            "" | "null" => Ok(None),
            digits => port(digits).map(Some).ok_or_else(|| FormError::Malformed {
                path: field.path(),
                expected: "a port from 1 to 65535",
            }),
        }
    }

    fn database(&self) -> Result<Option<&str>, FormError> {
        match (self.top_level("dbname")?, self.top_level("database")?) {
            (Some(one), Some(other)) if one != other => {
                Err(FormError::Disagreement { path: "database".to_owned(), other: "dbname".to_owned() })
            }
            (one, other) => Ok(one.or(other)),
        }
    }

    /// Users and passwords that belong together, by object and prefix; a group may have only a user.
    pub(super) fn groups(&self) -> BTreeMap<(Path, String), Group<'_>> {
        let mut groups = BTreeMap::<_, Group<'_>>::new();
        for field in self.0.iter().filter(|field| field.text.is_some()) {
            let path = &field.value.path;
            let Some((object, (prefix, part))) = path.parent().zip(path.key().and_then(role)) else {
                continue;
            };
            let group = groups.entry((object, prefix)).or_default();
            match part {
                Part::User => group.users.push(field),
                Part::Password => group.passwords.push(field),
            }
        }
        groups.retain(|_, group| !group.users.is_empty());
        groups
    }

    /// The document's own login, and the field that holds its password.
    pub(super) fn login(&self, of: Option<&Login>) -> Result<(Login, String), FormError> {
        let groups = self.groups();
        let own = groups.get(&(Path::default(), String::new())).filter(|own| !own.passwords.is_empty());
        if let Some((user, password)) = own.and_then(|own| own.users.first().zip(own.passwords.first())) {
            let source = password.path();
            let (user, password) = (user.text().unwrap_or_default(), password.text().unwrap_or_default());
            let server = match self.top_level("host")? {
                // If the document names no port, the administrator of the same server uses the login's port.
                Some(host) => {
                    let same = of.filter(|of| of.host.eq_ignore_ascii_case(host)).map(|of| of.port);
                    Some((host, same.unwrap_or(DEFAULT_PORT), DEFAULT_DATABASE))
                }
                None => match self.url(|url| url.is_of(user, password))? {
                    Some(url) => return Ok((url.complete()?.clone(), source)),
                    None => of.map(|of| (of.host.as_str(), of.port, of.database.as_str())),
                },
            };
            if let Some((host, port, database)) = server {
                if self.top_level("engine")?.is_some_and(|engine| !ENGINES.contains(&engine)) {
                    return Err(FormError::NotPostgres {
                        expected: "the field engine to be postgres, postgresql or aurora-postgresql",
                    });
                }
                let login = Login {
                    host: host.to_owned(),
                    port: self.port()?.unwrap_or(port),
                    database: self.database()?.unwrap_or(database).to_owned(),
                    user: user.to_owned(),
                    password: SecretString::from(password),
                    search_path: None,
                };
                return Ok((checked(login)?, source));
            }
        }
        if let Some(url) = self.url(|_| true)? {
            return Ok((url.complete()?.clone(), url.at.clone()));
        }
        self.must_be_read()?;
        let part = match own {
            Some(_) => "host",
            None => "login: expected username, password and host, or a URL in the field DATABASE_URL",
        };
        Err(FormError::Missing { at: "it".to_owned(), part })
    }

    /// Refuses a document whose login is unreadable, to distinguish it from a document without a login.
    fn must_be_read(&self) -> Result<(), FormError> {
        for field in &self.0 {
            let Some(key) = field.value.path.top_level_key() else { continue };
            let malformed = |expected| Err(FormError::Malformed { path: field.path(), expected });
            let is_number = field.value.json().starts_with(|c: char| c.is_ascii_digit() || c == '-');
            if role(key).is_some_and(|(prefix, _)| prefix.is_empty()) && is_number {
                return malformed("a string: put it into quotes");
            }
            match field.text() {
                Some(text) if key == MAIN_URL && !text.is_empty() && field.url.is_none() => {
                    return malformed(
                        "a URL that begins with postgres:// or postgresql://, with or without a dialect (postgresql+psycopg://)",
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The one URL that names a wanted login: the main one, or the one on which all agree.
    pub(super) fn url(&self, wanted: impl Fn(&Url) -> bool) -> Result<Option<&Url>, FormError> {
        let candidates = || {
            let urls = self.0.iter().filter_map(|field| Some((field, field.login_url()?)));
            urls.filter(|(_, url)| wanted(url))
        };
        if let Some((_, main)) =
            candidates().find(|(field, _)| field.value.path.top_level_key() == Some(MAIN_URL))
        {
            return Ok(Some(main));
        }
        let mut urls = candidates().map(|(_, url)| url);
        let Some(first) = urls.next() else { return Ok(None) };
        if urls.all(|url| url.is_same(first)) { Ok(Some(first)) } else { Err(FormError::SeveralLogins) }
    }

    /// Whether the fields with a prefix name the login's server (`MQ_HOST` for `MQ_USER`); none if they name no server.
    /// They may name the same server several times, for example by name and by address.
    pub(super) fn is_at(&self, object: &Path, prefix: &str, login: &Login) -> Option<bool> {
        let of_group = |field: &&Field<'_>| {
            let key = field.value.path.key().map(str::to_ascii_lowercase);
            let rest = key.as_deref().and_then(|key| key.strip_prefix(prefix));
            field.value.path.parent().as_ref() == Some(object)
                && rest.is_some_and(|rest| HOSTS.contains(&rest))
        };
        let hosts = self.0.iter().filter(of_group).filter_map(Field::text).filter(|text| !text.is_empty());
        hosts.map(|text| host_in(text).eq_ignore_ascii_case(&login.host)).reduce(|one, other| one || other)
    }

    /// Every place that holds the login, in order.
    pub(super) fn slots(&self, login: &Login, source: &str) -> Result<Vec<Slot>, FormError> {
        let password = login.password.expose_secret();
        let disagreement = |path: String| FormError::Disagreement { path, other: source.to_owned() };
        let mut slots = Vec::new();
        for ((object, prefix), group) in self.groups() {
            if !group.users.iter().any(|user| user.text() == Some(&login.user)) {
                continue;
            }
            // A user without a password field names a login whose password is elsewhere.
            let alone = group.passwords.is_empty();
            let is_main = (&object, prefix.as_str()) == (&Path::default(), "");
            let is_at = self.is_at(&object, &prefix, login);
            let named = group.users.iter().any(|field| names_a_database(&field.path()));
            // Another service's user may have the same name; the password, the server or the field's name decides.
            let is_same_login = if alone {
                is_at.unwrap_or(named)
            } else {
                group.passwords.iter().any(|field| field.text() == Some(password))
            };
            if !is_main && !is_same_login {
                continue;
            }
            if let Some(field) = group.passwords.first()
                && !is_main
                && is_at == Some(false)
                && !named
            {
                return Err(FormError::Shared { path: field.path() });
            }
            let named = |user: &&Field<'_>| !alone || user.text() == Some(&login.user);
            let users =
                group.users.into_iter().filter(named).map(|field| (field, Part::User, login.user.as_str()));
            let passwords = group.passwords.into_iter().map(|field| (field, Part::Password, password));
            for (field, part, expected) in users.chain(passwords) {
                if field.text() != Some(expected) {
                    return Err(disagreement(field.path()));
                }
                slots.push(Slot { range: field.value.range(), part, notation: Notation::Json });
            }
        }
        for (field, url) in self.0.iter().filter_map(|field| Some((field, field.login_url()?))) {
            if url.is_of(&login.user, password) {
                url.complete()?;
                slots.extend(url.slots(|part| field.value.range_of(part)).unwrap_or_default());
            } else if url.login.user == login.user && url.login.host.eq_ignore_ascii_case(&login.host) {
                return Err(disagreement(field.path()));
            }
        }
        let urls = self.0.iter().filter_map(|field| Some((field, field.url.as_ref()?)));
        for (field, url) in urls.filter(|(_, url)| url.password.is_empty() && url.login.user == login.user) {
            let range = field.value.range_of(url.user.clone());
            slots.extend(range.map(|range| Slot { range, part: Part::User, notation: Notation::Url }));
        }
        slots.sort_by_key(|slot| slot.range.start);
        let kept = |field: &&Field<'_>| {
            let range = field.value.range();
            !slots.iter().any(|slot| range.contains(&slot.range.start))
                && !field.value.path.top_level_key().is_some_and(|key| DESCRIPTIVE.contains(&key))
        };
        match self
            .0
            .iter()
            .filter(kept)
            .find(|field| field.text().is_some_and(|text| copies::holds(text, &[password])))
        {
            Some(field) => Err(FormError::Underived { path: field.path() }),
            None => Ok(slots),
        }
    }
}

/// The host in a text that names a server: a URL of any kind, `host:port`, or the host alone.
fn host_in(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let server = authority.rsplit('@').next().unwrap_or(authority);
    match server.strip_prefix('[').and_then(|server| server.split_once(']')) {
        Some((host, _)) => host,
        // More than one colon is an IPv6 address without brackets.
        None => match server.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => server,
        },
    }
}

/// Whether a field's path marks it as a PostgreSQL field.
pub(super) fn names_a_database(path: &str) -> bool {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in path.chars() {
        if !c.is_ascii_alphanumeric() || before.is_ascii_lowercase() && c.is_ascii_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    // `PGUSER` is one word.
    let bare = |word: &str| role(word).map_or(word.to_owned(), |(prefix, _)| prefix);
    let says = |list: &[&str]| words.iter().any(|word| list.contains(&bare(word).as_str()));
    says(&OURS) && !says(&OTHERS)
}

/// The prefix of a key, in lower case, and the part that the field holds.
fn role(key: &str) -> Option<(String, Part)> {
    let key = key.to_ascii_lowercase();
    ENDINGS.iter().find_map(|(ending, part)| Some((key.strip_suffix(ending)?.to_owned(), *part)))
}
