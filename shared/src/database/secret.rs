//! Reads secrets that hold a login to PostgreSQL, and writes them with another user and password.
//!
//! A secret is a URL, AWS's JSON document (`username`, `password`, `host` …), or a JSON document that holds URLs, with
//! or without such fields. An application may read any of these places, so all places of the login change together. A
//! secret is refused if one of them is ambiguous or could keep an old password.
//!
//! Source: [JSON structure of Secrets Manager secrets](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html);
//! [connection URIs](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS) and libpq's
//! `conninfo_uri_parse_options`; RFC 3986, 3.2.

mod address;
mod document;
#[cfg(test)]
mod tests;
mod url;

use std::net::Ipv6Addr;
use std::ops::Range;

pub use address::{Address, Server, moved};
use document::{Document, Field, names_a_database};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use stringprep::tables;
use url::{Url, encode, is_url};

use crate::document::{quote, splice};

const DEFAULT_PORT: u16 = 5432;

/// The top-level field whose URL holds the login if a secret has several URLs.
const MAIN_URL: &str = "DATABASE_URL";

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
    /// A field names the server in a form that cannot be changed.
    #[error(
        "field {path} names the server in an unknown form and would keep the old address: make it a URL, or a field host beside a field port"
    )]
    Unmoved {
        /// The field.
        path: String,
    },
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

impl Login {
    /// This login with the system's names only. In a database that others may write, a session of its master would run
    /// their operators and functions: the owner can set any search path for the database.
    #[must_use]
    pub fn with_system_names(self) -> Self {
        Self { search_path: Some("pg_catalog, pg_temp".to_owned()), ..self }
    }
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
                Notation::Json => quote(text),
            };
            (slot.range.clone(), written)
        };
        let replacements: Vec<_> = self.slots.iter().map(new).collect();
        let text = splice(self.text.expose_secret(), &replacements);
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
