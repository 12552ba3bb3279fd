//! Reads secrets that hold a login to PostgreSQL, and writes them with another user and password.
//!
//! A secret is a URL, AWS's JSON document (`username`, `password`, `host` …), or a JSON document that holds URLs, with
//! or without such fields. An application may read any of these places, so all places of the login change together. A
//! secret is refused if one of them is ambiguous or could keep an old password.
//!
//! Source: [JSON structure of Secrets Manager secrets](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html);
//! [connection URIs](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS) and libpq's
//! `conninfo_uri_parse_options`; RFC 3986, 3.2.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::ops::Range;

use crate::copies;
use crate::document::{self, Path, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use stringprep::tables;

const DEFAULT_PORT: u16 = 5432;

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

/// The top-level field whose URL holds the login if a secret has several URLs.
const MAIN_URL: &str = "DATABASE_URL";

/// URL parameters that override the login in the URL's other parts for some readers.
const OVERRIDES: [&str; 11] = [
    "database",
    "dbname",
    "host",
    "hostaddr",
    "passfile",
    "password",
    "port",
    "service",
    "servicefile",
    "user",
    "username",
];

/// All characters except the unreserved ones of RFC 3986, 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a secret's form is refused. No message contains a value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FormError {
    /// The secret is for something else, or has an unknown form.
    #[error("it is not a PostgreSQL secret: expected {expected}")]
    NotPostgres {
        /// The expected form.
        expected: &'static str,
    },
    /// Readers of the URL would disagree on the login.
    #[error("different programs read {at} differently: {cure}")]
    AmbiguousUrl {
        /// The URL, or the field that holds it.
        at: String,
        /// The necessary change.
        cure: String,
    },
    /// A part of the login is missing.
    #[error("{at} names no {part}")]
    Missing {
        /// The secret, the URL, or the field that holds it.
        at: String,
        /// The missing part.
        part: &'static str,
    },
    /// A field has the wrong type or form.
    #[error("field {path} is not {expected}")]
    Malformed {
        /// The field.
        path: String,
        /// The expected type or form.
        expected: &'static str,
    },
    /// A key occurs more than once in an object; which occurrence counts depends on the reader.
    #[error("field {path} occurs more than once in its object")]
    Twice {
        /// The field.
        path: String,
    },
    /// The document holds several logins and does not name its main one.
    #[error("its URLs name several logins, and none of them is in the top-level field {MAIN_URL}")]
    SeveralLogins,
    /// Two fields give different values for the same login; the application may read either.
    #[error("fields {path} and {other} disagree about the same login: correct or remove the wrong one")]
    Disagreement {
        /// The deviating field.
        path: String,
        /// The field that it should match.
        other: String,
    },
    /// A field holds the password in a form that cannot be kept in step.
    #[error(
        "field {path} holds the password in an unknown form and would keep the old password: remove it or make it a URL"
    )]
    Underived {
        /// The field.
        path: String,
    },
    /// A login at another server has the same user and password, and a rotation cannot change it there.
    #[error(
        "field {path} is the same login at another server: give that login its own password, or name the field after the database (DB_…)"
    )]
    Shared {
        /// The field.
        path: String,
    },
    /// Programs would disagree on the normalised form of the password.
    #[error(
        "different programs normalise the password in {at} differently (SASLprep): set an ASCII password"
    )]
    Unprepared {
        /// The secret, the URL, or the field that holds it.
        at: String,
    },
    /// The document already holds the new login in other fields.
    #[error("the new login cannot be distinguished from another one in the document")]
    Unwritable,
}

/// A login, as read from a secret.
#[derive(Clone, Debug)]
pub struct Login {
    /// Name or address of the server; an IPv6 address without brackets.
    pub host: String,
    /// TCP port of the server.
    pub port: u16,
    /// Name of the database, never empty.
    pub database: String,
    /// Name of the role, never empty.
    pub user: String,
    /// The role's password, never empty.
    pub password: SecretString,
    /// The search path from the application's URL, in PostgreSQL's syntax; none if the URL sets none.
    pub search_path: Option<String>,
}

/// A secret's parsed value.
#[derive(Debug)]
pub struct Secret {
    text: SecretString,
    login: Login,
    admin_secret: Option<String>,
    slots: Vec<Slot>,
}

/// A range of a secret's text that holds the login's user or password.
#[derive(Clone, Debug)]
struct Slot {
    range: Range<usize>,
    part: Part,
    notation: Notation,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    User,
    Password,
}

/// The notation of a user or password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Notation {
    /// Percent-encoded.
    Url,
    /// A JSON string, including quotes.
    Json,
}

impl Secret {
    /// Parses a secret's value.
    ///
    /// # Errors
    ///
    /// [`FormError`] for a form that is unknown, ambiguous, or cannot be kept in step.
    pub fn parse(text: &SecretString) -> Result<Self, FormError> {
        let exposed = text.expose_secret();
        let (login, admin_secret, slots) = if is_url(exposed) {
            let url = Url::parse(exposed, "the URL".to_owned())?;
            (url.complete()?.clone(), None, url.slots(Some).unwrap_or_default())
        } else {
            let document = Document::read(exposed)?;
            let (mut login, source) = document.login(None)?;
            let path = document.url(|url| url.is_of(&login.user, login.password.expose_secret()));
            if let Ok(Some(url)) = path
                && login.search_path.is_none()
            {
                login.search_path.clone_from(&url.login.search_path);
            }
            let slots = document.slots(&login, &source)?;
            (login, document.top_level("masterarn")?.map(str::to_owned), slots)
        };
        Ok(Self { text: text.clone(), login, admin_secret, slots })
    }

    /// The secret's login.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// ARN of the admin's secret: `masterarn` of AWS's form.
    pub fn admin_secret(&self) -> Option<&str> {
        self.admin_secret.as_deref()
    }

    /// The secret with another user and password in every place of the login; every other byte is unchanged.
    ///
    /// # Errors
    ///
    /// [`FormError`] if the result would not be a secret of this form with exactly that login: an empty name or
    /// password, a NUL character, or another login of the document.
    pub fn with(&self, user: &str, password: &SecretString) -> Result<SecretString, FormError> {
        let new = |slot: &Slot| {
            let text = match slot.part {
                Part::User => user,
                Part::Password => password.expose_secret(),
            };
            let written = match slot.notation {
                Notation::Url => encode(text),
                Notation::Json => document::quote(text),
            };
            (slot.range.clone(), written)
        };
        let replacements: Vec<_> = self.slots.iter().map(new).collect();
        let text = document::splice(self.text.expose_secret(), &replacements);
        let result = Self::parse(&text)?;
        let as_asked = result.login.user == user
            && result.login.password.expose_secret() == password.expose_secret()
            && result.differs_only_in_login(self)
            && (user == self.login.user || !result.names_elsewhere(user));
        if as_asked { Ok(text) } else { Err(FormError::Unwritable) }
    }

    /// Whether a user occurs in fields other than the login's, which would keep their own password.
    fn names_elsewhere(&self, user: &str) -> bool {
        let Ok(document) = Document::read(self.text.expose_secret()) else { return false };
        let is_slot =
            |field: &Field<'_>| self.slots.iter().any(|slot| field.value.range().contains(&slot.range.start));
        document.groups().iter().any(|((object, prefix), group)| {
            let other = group.users.iter().find(|field| field.text() == Some(user) && !is_slot(field));
            // Without further evidence, the fields belong to another service and stay unchanged, unless the user has
            // the suffix that only this function uses.
            let is_of_the_database = |field: &Field<'_>| {
                let is_named = names_a_database(&field.path()) || user.ends_with(super::CLONE);
                document.is_at(object, prefix, &self.login).unwrap_or(is_named)
            };
            !group.passwords.is_empty() && other.is_some_and(|field| is_of_the_database(field))
        })
    }

    /// Whether two secrets differ only in user and password, and have them in the same places.
    pub fn differs_only_in_login(&self, other: &Self) -> bool {
        self.fixed().eq(other.fixed())
    }

    /// The pieces of text between the slots, each with the kind of the slot after it.
    fn fixed(&self) -> impl Iterator<Item = (&str, Option<(Part, Notation)>)> {
        let text = self.text.expose_secret();
        let starts = [0].into_iter().chain(self.slots.iter().map(|slot| slot.range.end));
        let next = self.slots.iter().map(Some).chain([None]);
        starts.zip(next).map(move |(start, next)| {
            let end = next.map_or(text.len(), |slot| slot.range.start);
            (text.get(start..end).unwrap_or_default(), next.map(|slot| (slot.part, slot.notation)))
        })
    }
}

/// The admin's login for the database of `of`.
///
/// If the admin's secret is a JSON document without a host, missing parts come from `of`: the secret that RDS manages
/// holds only `username` and `password`.
///
/// # Errors
///
/// [`FormError`] as for [`Secret::parse`], except the errors that concern only writing.
pub fn admin_login(text: &SecretString, of: &Login) -> Result<Login, FormError> {
    let text = text.expose_secret();
    if is_url(text) {
        return Url::parse(text, "the URL".to_owned())?.complete().cloned();
    }
    Document::read(text)?.login(Some(of)).map(|(login, _)| login)
}

/// A JSON document with logins in it.
struct Document<'a>(Vec<Field<'a>>);

/// A value of the document, at any depth.
struct Field<'a> {
    value: Value<'a>,
    /// Its text if it is a string.
    text: Option<Zeroizing<String>>,
    /// The parsed URL, if it is a PostgreSQL URL.
    url: Option<Url>,
}

impl Field<'_> {
    fn text(&self) -> Option<&str> {
        self.text.as_ref().map(|text| text.as_str())
    }

    fn path(&self) -> String {
        self.value.path.to_string()
    }

    /// The URL, unless it holds no login.
    fn login_url(&self) -> Option<&Url> {
        self.url.as_ref().filter(|url| url.names_login())
    }
}

/// Fields of one object that name user and password with the same prefix: `DB_USER` and `DB_PASSWORD`.
#[derive(Default)]
struct Group<'a> {
    users: Vec<&'a Field<'a>>,
    passwords: Vec<&'a Field<'a>>,
}

impl<'a> Document<'a> {
    fn read(text: &'a str) -> Result<Self, FormError> {
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
    fn top_level(&self, key: &str) -> Result<Option<&str>, FormError> {
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
    fn groups(&self) -> BTreeMap<(Path, String), Group<'_>> {
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
    fn login(&self, of: Option<&Login>) -> Result<(Login, String), FormError> {
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
    fn url(&self, wanted: impl Fn(&Url) -> bool) -> Result<Option<&Url>, FormError> {
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
    fn is_at(&self, object: &Path, prefix: &str, login: &Login) -> Option<bool> {
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
    fn slots(&self, login: &Login, source: &str) -> Result<Vec<Slot>, FormError> {
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

/// A PostgreSQL URL that all readers interpret alike.
struct Url {
    /// Its name in an error.
    at: String,
    /// The URL's bytes that hold the user; empty if it names none.
    user: Range<usize>,
    /// The URL's bytes that hold the password; empty if it names none.
    password: Range<usize>,
    /// Its login; missing parts are empty.
    login: Login,
}

impl Url {
    /// Reads a URL as libpq does, and refuses it if RFC 3986 or the WHATWG standard would read it differently.
    fn parse(text: &str, at: String) -> Result<Self, FormError> {
        let ambiguous = |cure: &str| Err(FormError::AmbiguousUrl { at: at.clone(), cure: cure.to_owned() });
        let illegal = |part: &str| FormError::AmbiguousUrl {
            at: at.clone(),
            cure: format!(
                "in its {part}, percent-encode all but letters, digits and -._~ as UTF-8, and leave out %00"
            ),
        };
        if text.ends_with(|c: char| c.is_whitespace() || c.is_control()) {
            return ambiguous("it ends with a line end or a blank: store it without");
        }
        let Some(rest) = after_scheme(text).filter(|rest| {
            let scheme = text.strip_suffix(rest).unwrap_or_default();
            !scheme.contains(|c: char| c.is_ascii_uppercase())
        }) else {
            return ambiguous("write its scheme in lower case");
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return ambiguous(
                "percent-encode # as %23, spaces and all that is not ASCII; leave out fragments",
            );
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (userinfo, server) = authority.split_once('@').unwrap_or(("", authority));
        if server.contains('@') || tail.contains('@') {
            return ambiguous(
                "percent-encode @ as %40, / as %2F and ? as %3F everywhere but where they separate its parts",
            );
        }
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let (host, digits) = match server.strip_prefix('[').and_then(|server| server.split_once(']')) {
            Some((host, after)) if host.parse::<Ipv6Addr>().is_ok() => match after.strip_prefix(':') {
                Some(digits) => (host, digits),
                None if after.is_empty() => (host, ""),
                None => return ambiguous("name one host and, after a colon, one port"),
            },
            _ => {
                let (host, digits) = server.split_once(':').unwrap_or((server, ""));
                let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                if server.contains(',') {
                    return ambiguous("it names several hosts: name the one that is written to");
                }
                if host.is_empty() || !host.chars().all(legal) {
                    return ambiguous("name one host, by name or address, and no socket");
                }
                (host, digits)
            }
        };
        let port = match digits {
            "" => DEFAULT_PORT,
            digits => match port(digits) {
                Some(port) => port,
                None => {
                    return ambiguous("name a port from 1 to 65535, and percent-encode : as %3A elsewhere");
                }
            },
        };
        let database = path.strip_prefix('/').unwrap_or_default();
        let database = decode(database, ":")
            // The WHATWG standard treats these as path steps.
            .filter(|database| !matches!(database.as_str(), "." | ".."))
            .ok_or_else(|| illegal("database"))?;
        for parameter in query.split('&') {
            let key = percent_decode_str(parameter.split('=').next().unwrap_or_default()).decode_utf8_lossy();
            if let Some(key) = OVERRIDES.iter().find(|name| key.eq_ignore_ascii_case(name)) {
                return ambiguous(&format!("remove its parameter {key}"));
            }
        }
        let start = text.len() - rest.len();
        let colon = start + user.len();
        let login = Login {
            host: host.to_owned(),
            port,
            database: database.to_string(),
            user: decode(user, "").ok_or_else(|| illegal("user"))?.to_string(),
            password: SecretString::from(decode(password, ":").ok_or_else(|| illegal("password"))?.as_str()),
            search_path: search_path(query),
        };
        Ok(Self {
            user: start..colon,
            password: (start + userinfo.len() - password.len())..(start + userinfo.len()),
            login,
            at,
        })
    }

    fn names_login(&self) -> bool {
        !self.user.is_empty() && !self.password.is_empty()
    }

    /// The login, if the URL names all of it.
    fn complete(&self) -> Result<&Login, FormError> {
        let missing = |part| Err(FormError::Missing { at: self.at.clone(), part });
        if self.user.is_empty() {
            return missing("user");
        }
        if self.password.is_empty() {
            return missing("password");
        }
        if self.login.database.is_empty() {
            // libpq would default to the user's name, which changes with the user.
            return missing("database");
        }
        if !prepared_alike(self.login.password.expose_secret()) {
            return Err(FormError::Unprepared { at: self.at.clone() });
        }
        Ok(&self.login)
    }

    fn is_of(&self, user: &str, password: &str) -> bool {
        self.login.user == user && self.login.password.expose_secret() == password
    }

    fn is_same(&self, other: &Self) -> bool {
        let (one, other) = (&self.login, &other.login);
        self.is_of(&other.user, other.password.expose_secret())
            && one.host.eq_ignore_ascii_case(&other.host)
            && (one.port, &one.database) == (other.port, &other.database)
    }

    /// The slots of user and password; `place` maps a range of the URL to a range of the secret.
    fn slots(&self, place: impl Fn(Range<usize>) -> Option<Range<usize>>) -> Option<Vec<Slot>> {
        let slot = |range: &Range<usize>, part| {
            Some(Slot { range: place(range.clone())?, part, notation: Notation::Url })
        };
        Some(vec![slot(&self.user, Part::User)?, slot(&self.password, Part::Password)?])
    }
}

/// The search path in a URL's parameters: Prisma's `schema`, other drivers' own parameters, or libpq's `options`
/// (`-c search_path=…`).
fn search_path(query: &str) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
    let is_path = |text: &str| !text.is_empty() && !text.contains(char::is_control);
    let mut found = None;
    for parameter in query.split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match key {
            "schema" => {
                let schema = decoded(value).filter(|schema| is_path(schema));
                found = schema.map(|schema| postgres_protocol::escape::escape_identifier(&schema)).or(found);
            }
            "options" => {
                let options = decoded(value).unwrap_or_default();
                found = search_path_of(&options).filter(|path| is_path(path)).or(found);
            }
            // In PostgreSQL's syntax: pgjdbc, pgx and lib/pq, Rails.
            "currentSchema" | "search_path" | "schema_search_path" => {
                found = decoded(value).filter(|path| is_path(path)).or(found);
            }
            _ => {}
        }
    }
    found
}

/// The search path in the server's command-line options, as `pg_split_opts` and `ParseLongOption` of PostgreSQL read
/// them.
fn search_path_of(options: &str) -> Option<String> {
    let mut words = vec![String::new()];
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        let (c, is_end) = if c == '\\' { (chars.next()?, false) } else { (c, super::is_blank(c)) };
        if is_end {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut found = None;
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or(word.strip_prefix("-c")) {
            Some("") => words.next()?,
            Some(setting) => setting.to_owned(),
            None => continue,
        };
        let (name, value) = setting.split_once('=').unwrap_or((&setting, ""));
        if name.replace('-', "_").eq_ignore_ascii_case("search_path") {
            found = Some(value.to_owned());
        }
    }
    found
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
fn names_a_database(path: &str) -> bool {
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

const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// Whether a text looks like a PostgreSQL URL.
fn is_url(text: &str) -> bool {
    after_scheme(text).is_some()
}

/// The part of a PostgreSQL URL after the scheme, in any letter case. SQLAlchemy puts a driver's name into the scheme
/// (`postgresql+asyncpg`), which does not affect the rest.
fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let (name, dialect) = scheme.split_once('+').unwrap_or((scheme, "any"));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_known = SCHEMES.iter().any(|known| name.eq_ignore_ascii_case(known));
    (is_known && !dialect.is_empty() && dialect.chars().all(is_word)).then_some(rest)
}

/// The prefix of a key, in lower case, and the part that the field holds.
fn role(key: &str) -> Option<(String, Part)> {
    let key = key.to_ascii_lowercase();
    ENDINGS.iter().find_map(|(ending, part)| Some((key.strip_suffix(ending)?.to_owned(), *part)))
}

fn port(digits: &str) -> Option<u16> {
    let port = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    port.filter(|port| *port != 0)
}

/// Checks that PostgreSQL's protocol can carry the login: it terminates texts with NUL.
fn checked(login: Login) -> Result<Login, FormError> {
    let texts = [
        ("username", login.user.as_str()),
        ("password", login.password.expose_secret()),
        ("host", &login.host),
        ("dbname", &login.database),
    ];
    for (part, text) in texts {
        if text.is_empty() {
            return Err(FormError::Missing { at: "it".to_owned(), part });
        }
        if text.contains('\0') {
            return Err(FormError::Malformed {
                path: part.to_owned(),
                expected: "text without NUL characters",
            });
        }
    }
    if let Some(expected) = wrong_host(&login.host) {
        return Err(FormError::Malformed { path: "host".to_owned(), expected });
    }
    if !prepared_alike(login.password.expose_secret()) {
        return Err(FormError::Unprepared { at: "it".to_owned() });
    }
    Ok(login)
}

/// The expected form of a field `host`, if its value is invalid.
fn wrong_host(host: &str) -> Option<&'static str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.parse::<Ipv6Addr>().is_ok() || host.chars().all(legal) {
        None
    } else if host.starts_with(['/', '@']) {
        Some("a host name: a socket is not reached from here")
    } else if host.contains(',') {
        Some("one host name: it names several")
    } else if host.contains("://") || host.contains(['/', '@', '?']) {
        Some("a host name alone, without scheme, user or path")
    } else if host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("a host name without blanks and line ends")
    } else if host.contains(':') {
        Some("a host name without a port: the port has the field port")
    } else {
        Some("a host name of letters, digits, hyphens and dots")
    }
}

/// Whether PostgreSQL's own programs and programs that follow RFC 4013, like this function's driver, prepare a password
/// alike.
///
/// Both use a password unchanged if SASLprep refuses it. But PostgreSQL (`saslprep.c`) checks for prohibited and
/// unassigned characters before normalising, RFC 4013 after it: U+0340 is prohibited, but normalises to U+0300, which
/// is allowed.
pub fn prepared_alike(password: &str) -> bool {
    let mapped = || {
        let space = |c| if tables::non_ascii_space_character(c) { ' ' } else { c };
        password.chars().map(space).filter(|c| !tables::commonly_mapped_to_nothing(*c))
    };
    let prohibited = |c| {
        tables::ascii_control_character(c)
            || tables::non_ascii_control_character(c)
            || tables::private_use(c)
            || tables::non_character_code_point(c)
            || tables::inappropriate_for_plain_text(c)
            || tables::inappropriate_for_canonical_representation(c)
            || tables::change_display_properties_or_deprecated(c)
            || tables::tagging_character(c)
            || tables::unassigned_code_point(c)
    };
    let from_the_right = |c: Option<char>| c.is_some_and(tables::bidi_r_or_al);
    let mixed = mapped().any(tables::bidi_r_or_al)
        && (mapped().any(tables::bidi_l)
            || !from_the_right(mapped().next())
            || !from_the_right(mapped().next_back()));
    let refused = mapped().next().is_none() || mapped().any(prohibited) || mixed;
    match stringprep::saslprep(password) {
        Ok(prepared) => !refused || Zeroizing::new(prepared.into_owned()).as_str() == password,
        Err(_) => refused,
    }
}

/// Percent-encodes a part of a URL for every reader: a space is `%20`, a plus `%2B`.
fn encode(text: &str) -> Zeroizing<String> {
    let pieces = || utf8_percent_encode(text, RESERVED);
    // Sized in advance: a buffer that grows leaves unwiped copies behind.
    let mut encoded = Zeroizing::new(String::with_capacity(pieces().map(str::len).sum()));
    encoded.extend(pieces());
    encoded
}

/// Decodes a URL's part, in which RFC 3986's unreserved characters, its `sub-delims` and `raw` may be unescaped.
///
/// `None` if it holds other characters, or escapes that are NUL or not UTF-8. A plus is a plus.
fn decode(part: &str, raw: &str) -> Option<Zeroizing<String>> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=%".contains(c) || raw.contains(c);
    let is_escape =
        |after: &str| after.get(..2).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if !part.chars().all(legal) || !part.split('%').skip(1).all(is_escape) {
        return None;
    }
    let mut decoded = Zeroizing::new(Vec::with_capacity(part.len()));
    decoded.extend(percent_decode_str(part));
    let text = Zeroizing::new(str::from_utf8(&decoded).ok()?.to_owned());
    (!text.contains('\0')).then_some(text)
}
