//! Moves a secret to another server: its address is replaced in every place, and every other byte stays.

use std::net::Ipv6Addr;
use std::ops::Range;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{DEFAULT_PORT, FormError, Login, port};
use crate::copies;
use crate::document::{self, Value, quote, splice};

/// Endings of keys for a server's name; the prefix before the ending groups them with the port.
const HOSTS: [&str; 6] = ["hostname", "host", "server", "address", "addr", "endpoint"];

/// The key of AWS's form for the instance.
const INSTANCE: &str = "dbInstanceIdentifier";

/// The address of a server.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Address {
    /// Name or IP address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Address {
    /// Whether both are the same server, as far as their text shows.
    pub fn is(&self, host: &str, port: u16) -> bool {
        self.port == port && self.host.eq_ignore_ascii_case(host.trim_end_matches('.'))
    }

    /// The text in a URL, with the port if it has to be named.
    fn written(&self, with_port: bool) -> String {
        let host = match self.host.parse::<Ipv6Addr>() {
            Ok(_) => format!("[{}]", self.host),
            Err(_) => self.host.clone(),
        };
        if with_port || self.port != DEFAULT_PORT { format!("{host}:{}", self.port) } else { host }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.written(true))
    }
}

impl Login {
    /// The server's address.
    pub fn address(&self) -> Address {
        Address { host: self.host.trim_end_matches('.').to_owned(), port: self.port }
    }

    /// Refuses a login to another server than an instance's endpoint, as RDS reports it: behind an alias or a proxy may
    /// be another database.
    ///
    /// # Errors
    ///
    /// The reason, for a report.
    pub fn must_be_at(&self, instance: &str, endpoint: Option<&Address>) -> Result<(), String> {
        if endpoint.is_some_and(|endpoint| endpoint.is(&self.host, self.port)) {
            return Ok(());
        }
        let endpoint = endpoint.map_or_else(|| "none".to_owned(), Address::to_string);
        let Self { host, port, .. } = self;
        Err(format!("the secret names {host}:{port}, the endpoint of {instance} is {endpoint}"))
    }
}

/// A server and the instance that has it.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The address.
    pub address: &'a Address,
    /// The instance's identifier.
    pub instance: &'a str,
}

/// The secret with the address of another server in every place of the first one's; none if it does not name the first.
/// The secret is a URL or a JSON document; URLs may have any scheme.
///
/// # Errors
///
/// [`FormError`] if a place names the server in a form that cannot be changed, and would keep the old address.
pub fn moved(
    text: &SecretString,
    from: Server<'_>,
    to: Server<'_>,
) -> Result<Option<SecretString>, FormError> {
    let exposed = text.expose_secret();
    let values = document::values(exposed)
        .ok()
        .filter(|values| values.first().is_some_and(|root| root.json().starts_with('{')));
    let replacements = match &values {
        None => in_url(exposed, from.address, to.address).into_iter().collect(),
        Some(values) => in_document(values, from, to)?,
    };
    let result = splice(exposed, &replacements);
    // A different port of the same host cannot be told apart in other texts.
    let is_elsewhere = !from.address.host.eq_ignore_ascii_case(&to.address.host);
    if is_elsewhere {
        let host = from.address.host.as_str();
        let left = match &values {
            None => copies::holds(result.expose_secret(), &[host]).then(|| "of the URL".to_owned()),
            Some(_) => copies::fields(result.expose_secret(), &[host], |_| false).into_iter().next(),
        };
        if let Some(path) = left {
            return Err(FormError::Unmoved { path });
        }
    }
    Ok((!replacements.is_empty()).then_some(result))
}

type Replacement = (Range<usize>, Zeroizing<String>);

/// The replacement of the address in a URL, if it names the server.
fn in_url(url: &str, from: &Address, to: &Address) -> Option<Replacement> {
    let (range, host, named) = authority(url)?;
    let port = named.or_else(|| url.contains("postgres").then_some(DEFAULT_PORT))?;
    from.is(&host, port).then(|| (range, Zeroizing::new(to.written(named.is_some()))))
}

/// Bytes of the server in a URL, its host, and its port if the URL names one.
fn authority(url: &str) -> Option<(Range<usize>, String, Option<u16>)> {
    let start = url.find("://")? + 3;
    let rest = url.get(start..)?;
    let authority = rest.get(..rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
    let at = authority.rfind('@').map_or(0, |at| at + 1);
    let server = authority.get(at..)?;
    let (host, digits) = split(server)?;
    let named = if digits.is_empty() { None } else { Some(port(digits)?) };
    Some((start + at..start + authority.len(), host.to_owned(), named))
}

/// Host and digits of the port in `host`, `host:port` or `[host]:port`.
fn split(server: &str) -> Option<(&str, &str)> {
    if let Some((host, after)) = server.strip_prefix('[').and_then(|server| server.split_once(']')) {
        return Some((host, after.strip_prefix(':').unwrap_or(after)));
    }
    Some(server.split_once(':').unwrap_or((server, ""))).filter(|(host, _)| !host.contains(','))
}

/// The replacements in a JSON document, in order.
fn in_document(
    values: &[Value<'_>],
    from: Server<'_>,
    to: Server<'_>,
) -> Result<Vec<Replacement>, FormError> {
    let mut found: Vec<Replacement> = Vec::new();
    for value in values.iter().filter(|value| value.is_string()) {
        let Some(text) = value.text() else { continue };
        if value.path.top_level_key() == Some(INSTANCE) {
            if text.as_str() == from.instance {
                found.push((value.range(), quote(to.instance)));
            }
            continue;
        }
        if let Some((range, address)) = in_url(&text, from.address, to.address) {
            found.extend(value.range_of(range).map(|range| (range, address)));
            continue;
        }
        let Some(key) = value.path.key().map(str::to_ascii_lowercase) else { continue };
        let Some(prefix) = HOSTS.iter().find_map(|ending| key.strip_suffix(ending)) else { continue };
        let Some((host, digits)) = split(&text) else { continue };
        if !digits.is_empty() {
            if port(digits).is_some_and(|port| from.address.is(host, port)) {
                found.push((value.range(), quote(&to.address.written(true))));
            }
            continue;
        }
        let beside = values.iter().find(|other| {
            other.path.parent() == value.path.parent()
                && other.path.key().is_some_and(|key| key.to_ascii_lowercase() == format!("{prefix}port"))
        });
        let named = beside.map(|other| match other.text() {
            Some(text) => text.to_string(),
            None => other.json().to_owned(),
        });
        let has = named.as_deref().map_or(Some(DEFAULT_PORT), port);
        if !has.is_some_and(|port| from.address.is(host, port)) {
            continue;
        }
        found.push((value.range(), quote(&to.address.host)));
        match beside {
            Some(other) if has != Some(to.address.port) => {
                let digits = to.address.port.to_string();
                let written = if other.is_string() { quote(&digits) } else { Zeroizing::new(digits) };
                found.push((other.range(), written));
            }
            Some(_) => {}
            None if to.address.port == DEFAULT_PORT => {}
            None => return Err(FormError::Unmoved { path: value.path.to_string() }),
        }
    }
    found.sort_by_key(|(range, _)| range.start);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "moveongs-dev-db.abc.us-east-1.rds.amazonaws.com";
    const NEW: &str = "moveongs-dev-db-r20261130-1.abc.us-east-1.rds.amazonaws.com";

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    fn move_it(text: &str, from: &Address, to: &Address) -> Result<Option<String>, String> {
        let from = Server { address: from, instance: "moveongs-dev-db" };
        let to = Server { address: to, instance: "moveongs-dev-db-r20261130-1" };
        match moved(&SecretString::from(text), from, to) {
            Ok(moved) => Ok(moved.map(|moved| moved.expose_secret().to_owned())),
            Err(FormError::Unmoved { path }) => Err(path),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn only_the_endpoint_of_the_instance_is_the_instance() {
        let of = |host: &str| {
            let text = SecretString::from(format!("postgres://imm:pw@{host}:5432/immdb"));
            crate::database::secret::Secret::parse(&text).unwrap().login().clone()
        };
        let endpoint = address("db.rds", 5432);
        for (host, endpoint, expected) in [
            ("db.rds", Some(&endpoint), Ok(())),
            ("DB.rds.", Some(&endpoint), Ok(())),
            (
                "alias.internal",
                Some(&endpoint),
                Err("the secret names alias.internal:5432, the endpoint of main is db.rds:5432"),
            ),
            ("db.rds", None, Err("the secret names db.rds:5432, the endpoint of main is none")),
        ] {
            assert_eq!(of(host).must_be_at("main", endpoint), expected.map_err(str::to_owned), "{host}");
        }
        let other = address("db.rds", 5433);
        assert!(of("db.rds").must_be_at("main", Some(&other)).is_err());
    }

    #[test]
    fn the_address_changes_and_every_other_byte_stays() {
        let (old, new) = (address(OLD, 5432), address(NEW, 5432));
        for text in [
            "postgres://imm:p%40ss@OLD:5432/moveongs_dev_db?sslmode=require",
            "postgresql+asyncpg://imm:pw@OLD/db",
            r#"{ "username":"imm", "password" : "pw\u0021","host":"OLD" , "port":5432,"dbInstanceIdentifier":"ID"}"#,
            r#"{"DATABASE_URL": "postgres:\/\/imm:pw@OLD:5432\/db", "DB_HOST": "OLD", "DB_PORT": "5432"}"#,
            r#"{"jdbc": "jdbc:postgresql://OLD:5432/db", "a": ["postgres://x:y@OLD/db"], "db_endpoint": "OLD:5432"}"#,
            r#"{"pg": {"hostname": "OLD"}, "redis": "redis://cache:6379"}"#,
        ] {
            let of = |host: &str, id: &str| text.replace("OLD", host).replace("ID", id);
            let result = move_it(&of(OLD, "moveongs-dev-db"), &old, &new).unwrap().unwrap();
            assert_eq!(result, of(NEW, "moveongs-dev-db-r20261130-1"));
            // And back again.
            let (from, to) = (
                Server { address: &new, instance: "moveongs-dev-db-r20261130-1" },
                Server { address: &old, instance: "moveongs-dev-db" },
            );
            let back = moved(&SecretString::from(result), from, to).unwrap().unwrap();
            assert_eq!(back.expose_secret(), of(OLD, "moveongs-dev-db"));
        }
        assert!(move_it(&format!("postgres://u:p@{}/d", OLD.to_uppercase()), &old, &new).unwrap().is_some());
    }

    #[test]
    fn a_port_of_the_same_host_changes() {
        let (old, new) = (address("localhost", 5001), address("localhost", 5002));
        for (text, expected) in [
            ("postgres://u:p@localhost:5001/d", Some("postgres://u:p@localhost:5002/d")),
            (r#"{"host":"localhost","port":5001}"#, Some(r#"{"host":"localhost","port":5002}"#)),
            (r#"{"host":"localhost","port":"5001"}"#, Some(r#"{"host":"localhost","port":"5002"}"#)),
            (r#"{"host":"localhost","port":5003}"#, None),
            ("postgres://u:p@localhost:5003/d", None),
            ("postgres://u:p@localhost/d", None),
        ] {
            assert_eq!(move_it(text, &old, &new), Ok(expected.map(str::to_owned)), "{text}");
        }
        let default = address("localhost", 5432);
        assert_eq!(
            move_it("postgres://u:p@localhost/d", &default, &new),
            Ok(Some("postgres://u:p@localhost:5002/d".to_owned()))
        );
        assert_eq!(move_it(r#"{"host":"localhost"}"#, &default, &new), Err("host".to_owned()));
        assert_eq!(address("::1", 5432).to_string(), "[::1]:5432");
        assert_eq!(
            move_it("postgres://u:p@[::1]:5001/d", &address("::1", 5001), &new),
            Ok(Some("postgres://u:p@localhost:5002/d".to_owned()))
        );
    }

    #[test]
    fn a_secret_of_another_server_stays_and_an_unknown_form_is_refused() {
        let (old, new) = (address(OLD, 5432), address(NEW, 5432));
        for text in
            ["postgres://u:p@other/d", "redis://cache:6379", r#"{"username":"a","password":"b"}"#, "word"]
        {
            assert_eq!(move_it(text, &old, &new), Ok(None), "{text}");
        }
        for (text, path) in [
            (format!(r#"{{"dsn": "host={OLD} port=5432"}}"#), "dsn"),
            (format!(r#"{{"a": {{"url": "postgres://u:p@{OLD},other/d"}}}}"#), "a.url"),
            (format!("postgres://u:p@{OLD},other/d"), "of the URL"),
            (format!(r#"{{"host": "{OLD}", "port": 1}}"#), "host"),
        ] {
            assert_eq!(move_it(&text, &old, &new), Err(path.to_owned()), "{text}");
        }
    }
}
