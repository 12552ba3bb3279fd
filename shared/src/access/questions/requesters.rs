//! The requesters that a policy distinguishes, with their accounts, ARNs and names.

use std::collections::{BTreeMap, BTreeSet};

use super::{ANY, Place, Question, Requester, States, Who, filled};
use crate::access::document::{account, is_account};
use crate::access::{Pattern, Policy, Principal, Statement, Token, Tri};

/// Keys with account IDs as values.
const OF_ACCOUNTS: [&str; 5] = [
    "aws:principalaccount",
    "aws:sourceaccount",
    "aws:sourceowner",
    "aws:vpceaccount",
    "s3:dataaccesspointaccount",
];

impl Policy {
    /// All requesters that the policy distinguishes.
    pub(super) fn requesters(&self, place: &Place<'_>, question: Question) -> Vec<Requester> {
        let is_own = |account: &str| {
            question == Question::FromOutside
                && (account == place.account || place.trusted.iter().any(|trusted| trusted == account))
        };
        let named: BTreeSet<&Principal> =
            self.statements.iter().flat_map(|statement| &statement.principals.items).collect();
        let mut accounts = self.accounts(|_| true);
        let mut meant = self.accounts(|statement| statement.allows);
        accounts.insert(place.account.to_owned());
        let is_free = |account: &String| !accounts.contains(account) && !place.trusted.contains(account);
        let stranger =
            (0..1000).map(|n| format!("{}", 999_988_887_777_u64 - n)).find(is_free).unwrap_or_default();
        accounts.insert(stranger.clone());
        let alike = self.accounts_alike(|_| true, &is_own);
        meant.extend(self.accounts_alike(|statement| statement.allows, &is_own).into_keys());
        accounts.extend(alike.keys().cloned());
        accounts.retain(|account| !is_own(account));
        let who = |account: &str| match alike.get(account) {
            _ if account == stranger => Who::Everyone,
            Some(pattern) => Who::Account(pattern.clone()),
            None => Who::Account(account.to_owned()),
        };
        let absent = || vec![None];
        let is = |value: &str| vec![Some(vec![value.to_owned()])];
        let from = |keys: &[(&str, States)]| {
            let keys = keys.iter().map(|(key, states)| (key.to_ascii_lowercase(), states.clone()));
            keys.collect::<BTreeMap<_, _>>()
        };
        let direct = [
            ("aws:SourceAccount", absent()),
            ("aws:SourceArn", absent()),
            ("aws:SourceOrgID", absent()),
            ("aws:SourceOrgPaths", absent()),
            ("aws:PrincipalServiceName", absent()),
            ("aws:PrincipalServiceNamesList", absent()),
        ];
        let mut all = Vec::new();
        let mut anonymous = from(&direct);
        anonymous.extend(from(&[
            ("aws:PrincipalAccount", absent()),
            ("aws:PrincipalArn", absent()),
            ("aws:PrincipalIsAWSService", absent()),
            ("aws:PrincipalType", is("Anonymous")),
        ]));
        all.push(Requester { who: Who::Everyone, names: Vec::new(), keys: anonymous, is_meant: false });
        for account in &accounts {
            let mut arns =
                BTreeSet::from(["user", "role"].map(|kind| format!("arn:aws:iam::{account}:{kind}/{ANY}")));
            arns.insert(format!("arn:aws:iam::{account}:root"));
            arns.extend(named.iter().filter_map(|principal| match principal {
                Principal::Arn(arn) if self::account(arn) == account => Some(arn.clone()),
                _ => None,
            }));
            arns.extend(self.arns("aws:principalarn", account, account == &stranger, question));
            for arn in arns {
                let mut keys = from(&direct);
                keys.extend(from(&[
                    ("aws:PrincipalAccount", is(account)),
                    ("aws:PrincipalArn", is(&role(&arn).unwrap_or_else(|| arn.clone()))),
                    ("aws:PrincipalIsAWSService", is("false")),
                ]));
                all.push(Requester {
                    who: who(account),
                    names: names_of(&arn),
                    keys,
                    is_meant: meant.contains(account),
                });
            }
        }
        let other = format!("{ANY}.amazonaws.com");
        let services = named.iter().filter_map(|principal| match principal {
            Principal::Service(name) => Some(name.as_str()),
            _ => None,
        });
        let mut services: BTreeSet<String> = services.map(str::to_owned).collect();
        let conditions = self.statements.iter().flat_map(|statement| &statement.conditions);
        let conditions = conditions.filter(|condition| condition.key == "aws:principalservicename");
        services.extend(conditions.flat_map(|one| one.patterns()).map(|pattern| filled(pattern, ANY)));
        services.insert(other.clone());
        for service in &services {
            let service = service.as_str();
            for account in accounts.iter().filter(|account| is_account(account)) {
                let mut arns: States = self
                    .arns("aws:sourcearn", account, account == &stranger, question)
                    .into_iter()
                    .chain([format!("arn:aws:{ANY}:{ANY}:{account}:{ANY}")])
                    .map(|arn| Some(vec![arn]))
                    .collect();
                arns.push(None);
                let keys = from(&[
                    ("aws:PrincipalAccount", absent()),
                    ("aws:PrincipalArn", absent()),
                    ("aws:PrincipalIsAWSService", is("true")),
                    ("aws:PrincipalServiceName", is(service)),
                    ("aws:SourceAccount", vec![Some(vec![account.clone()]), None]),
                    ("aws:SourceArn", arns),
                ]);
                let who = match who(account) {
                    Who::Everyone if service != other => Who::Service(service.to_owned()),
                    who => who,
                };
                all.push(Requester {
                    who,
                    names: vec![Principal::Service(service.to_owned())],
                    keys,
                    is_meant: meant.contains(account),
                });
            }
        }
        for principal in &named {
            let who = match principal {
                Principal::Federated(name) if !is_own(self::account(name)) => Who::Federated(name.clone()),
                Principal::Canonical(id)
                    if question == Question::InClear || place.owner != Some(id.as_str()) =>
                {
                    Who::Canonical(id.clone())
                }
                _ => continue,
            };
            let mut keys = from(&direct);
            if matches!(principal, Principal::Canonical(_)) {
                // The canonical ID's account is unknown: it may be any of the accounts in question.
                let numbers = accounts.iter().filter(|account| is_account(account));
                let numbers = numbers.map(|account| Some(vec![account.clone()])).collect();
                keys.insert("aws:principalaccount".to_owned(), numbers);
            }
            all.push(Requester { who, names: vec![(*principal).clone()], keys, is_meant: true });
        }
        all
    }

    /// Account IDs that the statements name.
    pub(super) fn accounts(&self, are_asked: impl Fn(&&Statement) -> bool) -> BTreeSet<String> {
        let mut accounts = BTreeSet::new();
        let asked = || self.statements.iter().filter(&are_asked);
        for principal in asked().flat_map(|statement| &statement.principals.items) {
            match principal {
                Principal::Account(account) => drop(accounts.insert(account.clone())),
                Principal::Arn(arn) => drop(accounts.insert(account(arn).to_owned())),
                _ => {}
            }
        }
        let conditions = asked().flat_map(|statement| &statement.conditions);
        for pattern in conditions.flat_map(|condition| condition.patterns()) {
            let text = filled(pattern, "");
            let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| is_account(digits));
            accounts.extend(numbers.map(str::to_owned));
        }
        accounts
    }

    /// Representative accounts for each pattern of account IDs: maps account ID to pattern. A pattern has several,
    /// since another pattern may exclude some of them. Excludes accounts named by ID and those for which `is_own` is
    /// true.
    fn accounts_alike(
        &self,
        are_asked: impl Fn(&&Statement) -> bool,
        is_own: &impl Fn(&str) -> bool,
    ) -> BTreeMap<String, String> {
        let named = self.accounts(|_| true);
        let conditions = self.statements.iter().filter(are_asked).flat_map(|statement| &statement.conditions);
        let patterns = conditions.flat_map(|condition| {
            let is_number = OF_ACCOUNTS.contains(&condition.key.as_str());
            condition.patterns().iter().filter_map(move |pattern| match is_number {
                true => Some(pattern.clone()),
                false => pattern
                    .0
                    .splitn(6, |token| *token == Token::Char(':'))
                    .nth(4)
                    .map(|part| Pattern(part.to_vec())),
            })
        });
        let is_free = |account: &String| !named.contains(account) && !is_own(account);
        let of = |pattern: Pattern| {
            let shown = shown(&pattern);
            numbers_of(&pattern, is_free).into_iter().map(move |number| (number, shown.clone()))
        };
        patterns.flat_map(of).collect()
    }

    /// Possible ARNs in an account for a key, from the patterns it is compared with.
    fn arns(&self, key: &str, account: &str, is_stranger: bool, question: Question) -> Vec<String> {
        let conditions = self.statements.iter().flat_map(|statement| &statement.conditions);
        let patterns = conditions.filter(|condition| condition.key == key).flat_map(|one| one.patterns());
        let of = |pattern| {
            let whole = instance(pattern, account, is_stranger, question);
            loose(pattern, account).into_iter().chain(whole)
        };
        patterns.flat_map(of).collect()
    }
}

/// An ARN in an account that matches a pattern. An ARN without an account, such as a bucket's, counts as a stranger's
/// only if the pattern leaves its owner open.
fn instance(pattern: &Pattern, account: &str, is_stranger: bool, question: Question) -> Option<String> {
    let parts: Vec<_> = pattern.0.splitn(6, |token| *token == Token::Char(':')).collect();
    let part = |at: usize| parts.get(at).map(|part| Pattern(part.to_vec()));
    let (of, name) = (part(4)?, part(5)?);
    let is_of_account = match of.literal() {
        Some(of) if of.is_empty() => is_stranger && (question == Question::InClear || name.is_wild()),
        Some(of) => of == account,
        None => true,
    };
    if !is_of_account {
        return None;
    }
    let text = |at: usize| part(at).map(|part| filled(&part, ANY)).unwrap_or_default();
    let of = if of.0.is_empty() { "" } else { account };
    Some(format!("{}:{}:{}:{}:{of}:{}", text(0), text(1), text(2), text(3), text(5)))
}

/// ARNs in an account that match a pattern whose wildcards may cross colons: the first wildcard replaces several ARN
/// segments.
fn loose(pattern: &Pattern, account: &str) -> Vec<String> {
    let at = pattern.0.iter().position(|token| matches!(token, Token::Many));
    let Some((head, [_, tail @ ..])) = at.and_then(|at| pattern.0.split_at_checked(at)) else {
        return Vec::new();
    };
    if pattern.0.iter().filter(|token| **token == Token::Char(':')).count() >= 5 {
        return Vec::new();
    }
    let [head, tail] = [head, tail].map(|tokens| filled(&Pattern(tokens.to_vec()), ANY));
    let mut found = BTreeSet::new();
    for base in ["iam::?:role/", "iam::?:user/", "zq:zq:?:zq"] {
        let base = format!("arn:aws:{}", base.replace('?', account));
        let cuts =
            base.char_indices().filter(|(_, c)| matches!(c, ':' | '/')).flat_map(|(at, _)| [at, at + 1]);
        let cuts: BTreeSet<usize> = cuts.chain([0, base.len()]).collect();
        for from in &cuts {
            for to in cuts.range(from..) {
                found.insert(format!("{head}{}{tail}", base.get(*from..*to).unwrap_or_default()));
            }
        }
    }
    found.retain(|arn| {
        let is_whole = arn.starts_with("arn:") && arn.splitn(6, ':').count() == 6;
        is_whole && self::account(arn) == account && pattern.matches(arn) == Tri::Yes
    });
    found.into_iter().collect()
}

/// Account IDs that match a pattern with digits and wildcards: one per digit that fills the wildcards.
fn numbers_of(pattern: &Pattern, is_free: impl Fn(&String) -> bool) -> Vec<String> {
    let is_digit = |token: &Token| matches!(token, Token::Char(c) if c.is_ascii_digit());
    if !pattern.is_wild() || !pattern.0.iter().any(is_digit) {
        return Vec::new();
    }
    let first = pattern.0.iter().position(|token| *token == Token::Many);
    let fixed = pattern.0.iter().filter(|token| **token != Token::Many).count();
    let Some(open) = 12_usize.checked_sub(fixed) else { return Vec::new() };
    let numbers = ('0'..='9').rev().map(|digit| {
        let text = |(at, token): (usize, &Token)| match token {
            Token::Char(c) => c.to_string(),
            Token::One => digit.to_string(),
            _ if Some(at) == first => digit.to_string().repeat(open),
            _ => String::new(),
        };
        pattern.0.iter().enumerate().map(text).collect::<String>()
    });
    let numbers = numbers.filter(|number| is_account(number) && pattern.matches(number) == Tri::Yes);
    numbers.filter(is_free).collect()
}

/// The pattern as written in the policy.
fn shown(pattern: &Pattern) -> String {
    let text = |token: &Token| match token {
        Token::Char(c) => *c,
        Token::One => '?',
        _ => '*',
    };
    pattern.0.iter().map(text).collect()
}

/// The role of a role session. Its path is unknown.
fn role(arn: &str) -> Option<String> {
    let (before, after) = arn.split_once(":assumed-role/")?;
    let name = after.split('/').next()?;
    Some(format!("{}:role/{name}", before.replacen(":sts:", ":iam:", 1)))
}

/// All names by which a policy may refer to a user, role or session.
pub(in crate::access) fn names_of(arn: &str) -> Vec<Principal> {
    let mut names = vec![Principal::Account(account(arn).to_owned()), Principal::Arn(arn.to_owned())];
    names.extend(role(arn).map(Principal::Arn));
    names
}
