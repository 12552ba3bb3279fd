//! A condition: an operator, a key, and the values to compare the key with.

use std::cmp::Ordering;
use std::net::IpAddr;

use jiff::Timestamp;

use super::{FOREIGN, Keys, Malformed, OTHER, Pattern, Token, Tri, any, every};

#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// Lower case.
    pub(super) key: String,
    test: Test,
    is_negated: bool,
    if_exists: bool,
    set: Option<Set>,
}

/// Set operator of a key with several values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Set {
    All,
    Any,
}

#[derive(Clone, Debug)]
enum Test {
    Text(Vec<Pattern>),
    IgnoringCase(Vec<Pattern>),
    Like(Vec<Pattern>),
    Arn(Vec<Pattern>),
    Number(Order, Vec<f64>),
    /// In seconds since 1970.
    Date(Order, Vec<f64>),
    Bool(Vec<bool>),
    Address(Vec<Network>),
    /// Whether the key must be absent; several values contradict each other.
    Null(Vec<bool>),
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds(self, found: f64, wanted: f64) -> bool {
        match found.partial_cmp(&wanted) {
            None => false,
            Some(Ordering::Less) => matches!(self, Self::Less | Self::LessOrEqual),
            Some(Ordering::Equal) => matches!(self, Self::Equal | Self::LessOrEqual | Self::GreaterOrEqual),
            Some(Ordering::Greater) => matches!(self, Self::Greater | Self::GreaterOrEqual),
        }
    }

    fn read(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "equals" => (Self::Equal, false),
            "notequals" => (Self::Equal, true),
            "lessthan" => (Self::Less, false),
            "lessthanequals" => (Self::LessOrEqual, false),
            "greaterthan" => (Self::Greater, false),
            "greaterthanequals" => (Self::GreaterOrEqual, false),
            _ => return None,
        })
    }
}

/// A range of IP addresses.
#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn read(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    fn range(self) -> (u128, u128) {
        let width = if self.address.is_ipv4() { 32 } else { 128 };
        let rest = u32::from(width - self.bits);
        let mask = if rest >= 128 { u128::MAX } else { (1_u128 << rest) - 1 };
        let first = number(self.address) & !mask;
        (first, first | mask)
    }

    fn holds(self, address: IpAddr) -> bool {
        let (first, last) = self.range();
        self.address.is_ipv4() == address.is_ipv4() && (first..=last).contains(&number(address))
    }

    /// Whether AWS considers the range public because it is too wide ("The meaning of public").
    fn is_wide(self) -> bool {
        self.bits < if self.address.is_ipv4() { 8 } else { 32 }
    }

    /// The first and last address of the range, and their neighbors outside it.
    fn edges(self) -> Vec<String> {
        let (first, last) = self.range();
        let is_four = self.address.is_ipv4();
        let text = |number: u128| match (is_four, u32::try_from(number)) {
            (true, Ok(number)) => Some(IpAddr::V4(number.into()).to_string()),
            (true, Err(_)) => None,
            (false, _) => Some(IpAddr::V6(number.into()).to_string()),
        };
        let all = [Some(first), Some(last), first.checked_sub(1), last.checked_add(1)];
        all.into_iter().flatten().filter_map(text).collect()
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// Parses an instant as IAM does: ISO 8601, a date, or seconds since 1970.
fn seconds(text: &str) -> Option<f64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_duration().as_secs_f64());
    }
    if let Ok(at) = format!("{text}T00:00:00Z").parse::<Timestamp>() {
        return Some(at.as_duration().as_secs_f64());
    }
    text.parse().ok()
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

impl Condition {
    pub(super) fn new(
        operator: &str,
        key: &str,
        values: &[String],
        has_variables: bool,
    ) -> Result<Self, Malformed> {
        let unknown = || Malformed::new(format!("{operator:.40} is not an operator"));
        let lower = operator.to_ascii_lowercase();
        let (set, name) = match lower.split_once(':') {
            Some(("forallvalues", name)) => (Some(Set::All), name),
            Some(("foranyvalue", name)) => (Some(Set::Any), name),
            Some(_) => return Err(unknown()),
            None => (None, lower.as_str()),
        };
        let (name, if_exists) = match name.strip_suffix("ifexists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        if name == "null" && (if_exists || set.is_some()) {
            return Err(unknown());
        }
        let wrong =
            |value: &String| Malformed::new(format!("{value:.60} is not a valid value for {operator:.40}"));
        fn read<T>(
            values: &[String],
            wrong: impl Fn(&String) -> Malformed,
            one: impl Fn(&str) -> Option<T>,
        ) -> Result<Vec<T>, Malformed> {
            values.iter().map(|value| one(value).ok_or_else(|| wrong(value))).collect()
        }
        let wild = || values.iter().map(|value| Pattern::wild(value, has_variables)).collect();
        let plain = || values.iter().map(|value| Pattern::plain(value, has_variables)).collect();
        let (test, is_negated) = match name {
            "stringequals" | "binaryequals" => (Test::Text(plain()), false),
            "stringnotequals" => (Test::Text(plain()), true),
            "stringequalsignorecase" => (Test::IgnoringCase(plain()), false),
            "stringnotequalsignorecase" => (Test::IgnoringCase(plain()), true),
            "stringlike" => (Test::Like(wild()), false),
            "stringnotlike" => (Test::Like(wild()), true),
            "arnequals" | "arnlike" => (Test::Arn(wild()), false),
            "arnnotequals" | "arnnotlike" => (Test::Arn(wild()), true),
            "bool" => (Test::Bool(read(values, wrong, boolean)?), false),
            "null" => (Test::Null(read(values, wrong, boolean)?), false),
            "ipaddress" => (Test::Address(read(values, wrong, Network::read)?), false),
            "notipaddress" => (Test::Address(read(values, wrong, Network::read)?), true),
            _ => match (name.strip_prefix("numeric"), name.strip_prefix("date")) {
                (Some(order), _) => {
                    let (order, is_negated) = Order::read(order).ok_or_else(unknown)?;
                    (Test::Number(order, read(values, wrong, |text| text.parse().ok())?), is_negated)
                }
                (_, Some(order)) => {
                    let (order, is_negated) = Order::read(order).ok_or_else(unknown)?;
                    (Test::Date(order, read(values, wrong, seconds)?), is_negated)
                }
                _ => return Err(unknown()),
            },
        };
        Ok(Self { key: key.to_ascii_lowercase(), test, is_negated, if_exists, set })
    }

    /// Whether the condition holds for a request.
    pub(super) fn holds(&self, keys: &Keys) -> Tri {
        let found = keys.get(&self.key).filter(|values| !values.is_empty());
        if let Test::Null(wanted) = &self.test {
            return wanted.contains(&found.is_none()).into();
        }
        let Some(found) = found else {
            let of_none = self.set == Some(Set::All) || (self.is_negated && self.set != Some(Set::Any));
            return (self.if_exists || of_none).into();
        };
        let one = |value: &String| {
            let matches = self.test.matches(value, keys, self.is_negated);
            if self.is_negated { !matches } else { matches }
        };
        match self.set {
            Some(Set::All) => every(found.iter().map(one)),
            None if self.is_negated => every(found.iter().map(one)),
            Some(Set::Any) | None => any(found.iter().map(one)),
        }
    }

    /// The values of its key that the condition distinguishes, each as a set. An absent key is not included.
    pub(super) fn values(&self) -> Vec<Vec<String>> {
        let other = format!("{OTHER}{}", self.key);
        let ones: Vec<String> = match &self.test {
            // `Null` distinguishes only presence, which the values of any other condition cover.
            Test::Null(_) => Vec::new(),
            Test::Bool(_) => vec!["true".to_owned(), "false".to_owned()],
            Test::Text(patterns) | Test::Like(patterns) | Test::Arn(patterns) => {
                patterns.iter().filter_map(Pattern::literal).chain([other]).collect()
            }
            Test::IgnoringCase(patterns) => {
                let literals = patterns.iter().filter_map(Pattern::literal);
                let both = literals.flat_map(|text| [text.to_lowercase(), text.to_uppercase(), text]);
                both.chain([other]).collect()
            }
            Test::Number(_, wanted) => {
                wanted.iter().flat_map(|at| [at - 0.001, *at, at + 0.001]).map(|at| at.to_string()).collect()
            }
            Test::Date(_, wanted) => {
                wanted.iter().flat_map(|at| [at - 1.0, *at, at + 1.0]).map(|at| at.to_string()).collect()
            }
            Test::Address(networks) => networks.iter().flat_map(|network| network.edges()).collect(),
        };
        let mut sets: Vec<Vec<String>> = ones.iter().map(|one| vec![one.clone()]).collect();
        if self.set.is_some() && ones.len() > 1 {
            let (last, literals) =
                ones.split_last().map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
            sets.extend(
                literals.iter().zip(last.into_iter().cycle()).map(|(a, b)| vec![a.clone(), b.clone()]),
            );
            sets.push(literals.to_vec());
            sets.push(ones);
        }
        sets
    }

    /// The condition's key and the keys of its variables.
    pub(super) fn keys(&self) -> Vec<&str> {
        let tokens = self.patterns().iter().flat_map(|pattern| &pattern.0);
        let variables = tokens.filter_map(|token| match token {
            Token::Variable(key, _) => Some(key.as_str()),
            _ => None,
        });
        [self.key.as_str()].into_iter().chain(variables).collect()
    }

    /// The patterns of a string or ARN condition.
    pub(super) fn patterns(&self) -> &[Pattern] {
        match &self.test {
            Test::Text(patterns)
            | Test::IgnoringCase(patterns)
            | Test::Like(patterns)
            | Test::Arn(patterns) => patterns,
            _ => &[],
        }
    }
}

impl Test {
    /// Whether a value matches one of the wanted values. An unresolved variable matches nothing; AWS does not document
    /// whether it satisfies a negated operator.
    fn matches(&self, value: &str, keys: &Keys, is_negated: bool) -> Tri {
        let is_other = value.starts_with([OTHER, FOREIGN]);
        let of_other = |found: Option<bool>| match found {
            _ if is_other => Tri::Maybe,
            found => found.unwrap_or_default().into(),
        };
        let one = |wanted: &Pattern, matches: &dyn Fn(&Pattern) -> Tri| {
            let wanted = wanted.resolved(keys);
            match wanted.0.contains(&Token::Unknown) {
                true if is_negated => Tri::Maybe,
                true => Tri::No,
                false => matches(&wanted),
            }
        };
        match self {
            Self::Text(wanted) | Self::Like(wanted) => {
                any(wanted.iter().map(|wanted| one(wanted, &|wanted| wanted.matches(value))))
            }
            Self::IgnoringCase(wanted) => {
                let value = value.to_lowercase();
                any(wanted.iter().map(|wanted| one(wanted, &|wanted| wanted.to_lowercase().matches(&value))))
            }
            Self::Arn(wanted) => any(wanted.iter().map(|wanted| one(wanted, &|wanted| arn(wanted, value)))),
            Self::Number(order, wanted) => of_other(
                value.parse().ok().map(|value| wanted.iter().any(|wanted| order.holds(value, *wanted))),
            ),
            Self::Date(order, wanted) => {
                of_other(seconds(value).map(|value| wanted.iter().any(|wanted| order.holds(value, *wanted))))
            }
            Self::Bool(wanted) => of_other(boolean(value).map(|value| wanted.contains(&value))),
            // An unnamed requester is outside every range except the nearly unlimited ones.
            Self::Address(wanted) if is_other => {
                if wanted.iter().any(|network| network.is_wide()) {
                    Tri::Maybe
                } else {
                    Tri::No
                }
            }
            Self::Address(wanted) => {
                of_other(value.parse().ok().map(|value| wanted.iter().any(|network| network.holds(value))))
            }
            Self::Null(_) => Tri::No,
        }
    }
}

/// Whether an ARN matches a pattern, segment by segment: wildcards do not cross colons except in the last segment.
fn arn(pattern: &Pattern, value: &str) -> Tri {
    let parts: Vec<&[Token]> = pattern.0.splitn(6, |token| *token == Token::Char(':')).collect();
    let values: Vec<&str> = value.splitn(6, ':').collect();
    if parts.len() < 6 || values.len() < 6 {
        return pattern.matches(value);
    }
    every(parts.iter().zip(values).map(|(part, value)| Pattern(part.to_vec()).matches(value)))
}
