//! A login in a PostgreSQL URL.

use std::net::Ipv6Addr;
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::{DEFAULT_PORT, FormError, Login, Notation, Part, Slot, port, prepared_alike};

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
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A PostgreSQL URL that all readers interpret alike.
pub(super) struct Url {
    /// Its name in an error.
    pub(super) at: String,
    /// The URL's bytes that hold the user; empty if it names none.
    pub(super) user: Range<usize>,
    /// The URL's bytes that hold the password; empty if it names none.
    pub(super) password: Range<usize>,
    /// Its login; missing parts are empty.
    pub(super) login: Login,
}

impl Url {
    /// Reads a URL as libpq does, and refuses it if RFC 3986 or the WHATWG standard would read it differently.
    pub(super) fn parse(text: &str, at: String) -> Result<Self, FormError> {
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

    pub(super) fn names_login(&self) -> bool {
        !self.user.is_empty() && !self.password.is_empty()
    }

    /// The login, if the URL names all of it.
    pub(super) fn complete(&self) -> Result<&Login, FormError> {
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

    pub(super) fn is_of(&self, user: &str, password: &str) -> bool {
        self.login.user == user && self.login.password.expose_secret() == password
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        let (one, other) = (&self.login, &other.login);
        self.is_of(&other.user, other.password.expose_secret())
            && one.host.eq_ignore_ascii_case(&other.host)
            && (one.port, &one.database) == (other.port, &other.database)
    }

    /// The slots of user and password; `place` maps a range of the URL to a range of the secret.
    pub(super) fn slots(&self, place: impl Fn(Range<usize>) -> Option<Range<usize>>) -> Option<Vec<Slot>> {
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
        let (c, is_end) = if c == '\\' { (chars.next()?, false) } else { (c, crate::database::is_blank(c)) };
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

const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// Whether a text looks like a PostgreSQL URL.
pub(super) fn is_url(text: &str) -> bool {
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

/// Percent-encodes a part of a URL for every reader: a space is `%20`, a plus `%2B`.
pub(super) fn encode(text: &str) -> Zeroizing<String> {
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
