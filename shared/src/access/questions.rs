//! The two questions, each asked for every kind of request that the policy distinguishes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use super::condition::Condition;
use super::document::{account, is_account};
use super::{FOREIGN, Keys, Malformed, OTHER, Pattern, Policy, Principal, Scope, Statement, Token, Tri, any};

/// Bucket actions except its creation.
const OF_BUCKETS: &str = "\
    allowvendedlogdeliveryforresource createbucketmetadatatableconfiguration deletebucket \
    deletebucketmetadatatableconfiguration deletebucketpolicy deletebucketwebsite \
    getaccelerateconfiguration getanalyticsconfiguration getbucketabac getbucketacl getbucketcors \
    getbucketlocation getbucketlogging getbucketmetadatatableconfiguration getbucketnotification \
    getbucketobjectlockconfiguration getbucketownershipcontrols getbucketpolicy getbucketpolicystatus \
    getbucketpublicaccessblock getbucketrequestpayment getbuckettagging getbucketversioning \
    getbucketwebsite getencryptionconfiguration getintelligenttieringconfiguration \
    getinventoryconfiguration getlifecycleconfiguration getmetricsconfiguration \
    getreplicationconfiguration listbucket listbucketmultipartuploads listbucketversions \
    listtagsforresource pausereplication putaccelerateconfiguration putanalyticsconfiguration \
    putbucketabac putbucketacl putbucketcors putbucketlogging putbucketnotification \
    putbucketobjectlockconfiguration putbucketownershipcontrols putbucketpolicy \
    putbucketpublicaccessblock putbucketrequestpayment putbuckettagging putbucketversioning \
    putbucketwebsite putencryptionconfiguration putintelligenttieringconfiguration \
    putinventoryconfiguration putlifecycleconfiguration putmetricsconfiguration \
    putreplicationconfiguration tagresource untagresource \
    updatebucketmetadataannotationtableconfiguration updatebucketmetadatainventorytableconfiguration \
    updatebucketmetadatajournaltableconfiguration";

/// Object actions.
const OF_OBJECTS: &str = "\
    abortmultipartupload bypassgovernanceretention deleteobject deleteobjectannotation \
    deleteobjecttagging deleteobjectversion deleteobjectversionannotation deleteobjectversiontagging \
    getobject getobjectacl getobjectannotation getobjectattributes getobjectlegalhold getobjectretention \
    getobjecttagging getobjecttorrent getobjectversion getobjectversionacl getobjectversionannotation \
    getobjectversionannotationforreplication getobjectversionattributes getobjectversionforreplication \
    getobjectversiontagging getobjectversiontorrent initiatereplication listmultipartuploadparts \
    listobjectannotations listobjectversionannotations objectowneroverridetobucketowner putobject \
    putobjectacl putobjectannotation putobjectlegalhold putobjectretention putobjecttagging \
    putobjectversionacl putobjectversionannotation putobjectversiontagging replicatedelete \
    replicateobject replicateobjectannotation replicatetags restoreobject updateobjectencryption";

/// Secret actions except its creation.
const OF_SECRETS: &str = "\
    cancelrotatesecret deleteresourcepolicy deletesecret describesecret getresourcepolicy getsecretvalue \
    listsecretversionids putresourcepolicy putsecretvalue removeregionsfromreplication \
    replicatesecrettoregions restoresecret rotatesecret stopreplicationtoreplica tagresource \
    untagresource updatesecret updatesecretversionstage validateresourcepolicy";

/// Keys whose fixed values bind a request to a party that the owner chose to trust. A stranger has another value or
/// none (Amazon S3 User Guide, "The meaning of public"; IAM User Guide, "AWS global condition context keys").
const BINDING: [&str; 16] = [
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:userid",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

/// Keys present in every request.
const ALWAYS: [&str; 3] = ["aws:securetransport", "aws:currenttime", "aws:epochtime"];

/// Keys with account IDs as values.
const OF_ACCOUNTS: [&str; 5] = [
    "aws:principalaccount",
    "aws:sourceaccount",
    "aws:sourceowner",
    "aws:vpceaccount",
    "s3:dataaccesspointaccount",
];

/// Most pattern middles that are combined into object names.
const MOST_MIDDLES: usize = 8;

/// Most object names built from beginnings, middles and ends. A 20 KB policy could produce millions.
const MOST_OBJECTS: usize = 50_000;

/// Most combinations of condition keys evaluated per question.
const MOST: usize = 100_000;

/// Text that fills a wildcard.
const ANY: &str = "zq";

/// A requester that the policy allows or does not deny.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Who {
    /// Everyone, even anonymous requesters.
    Everyone,
    /// An account, including its users and roles.
    Account(String),
    /// An AWS service acting for any account.
    Service(String),
    /// An identity from another provider.
    Federated(String),
    /// An account, by its canonical S3 user ID.
    Canonical(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("*"),
            Self::Account(name) | Self::Service(name) | Self::Federated(name) | Self::Canonical(name) => {
                f.write_str(name)
            }
        }
    }
}

/// The context in which a policy is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The account that owns the resource.
    pub account: &'a str,
    /// Other accounts that may have access.
    pub trusted: &'a [String],
    /// The account's canonical S3 user ID, if known.
    pub owner: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// A request without TLS that a bucket policy does not deny.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Clear {
    /// The requester.
    pub who: Who,
    /// The action, in lower case.
    pub action: String,
    /// The ARN of the bucket or an object.
    pub resource: String,
}

/// The requests of a question: groups of actions with the resources they apply to.
type Parts = Vec<(Vec<String>, Vec<String>)>;

/// An action on a resource, and whether each statement applies to it. One representative is enough for all requests to
/// which the same statements apply.
struct Kind {
    action: String,
    resource: String,
    about: Vec<Tri>,
}

/// The possible states of a key: absent, or present with these values.
type States = Vec<Option<Vec<String>>>;

/// A possible requester.
struct Requester {
    who: Who,
    names: Vec<Principal>,
    keys: BTreeMap<String, States>,
    /// Whether an allowing statement names it; the statement's conditions then count as deliberate.
    is_meant: bool,
}

impl Requester {
    /// Whether the requester cannot have a value that the owner trusts for a binding key.
    fn lacks(&self, key: &str, question: Question) -> bool {
        question == Question::FromOutside && !self.is_meant && BINDING.contains(&key)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Question {
    /// Can a request without TLS pass undenied?
    InClear,
    /// Is a stranger's request allowed?
    FromOutside,
}

fn too_many() -> Malformed {
    Malformed::new("too many object patterns to evaluate")
}

impl Policy {
    /// Finds a request without TLS that the bucket policy does not deny. Returns none if the policy denies all of them:
    /// every S3 action on the bucket and its objects, by any requester, regardless of the other condition keys.
    ///
    /// Assumes that `s3:TlsVersion` is absent from a request without TLS, which AWS does not document.
    ///
    /// # Errors
    ///
    /// Fails if there are too many kinds of requests to evaluate.
    pub fn in_clear(&self, bucket: &str, place: &Place<'_>) -> Result<Option<Clear>, Malformed> {
        let mut left = MOST;
        let requesters = self.requesters(place, Question::InClear);
        let (parts, is_whole) = self.of_bucket(bucket, &[]);
        for kind in self.kinds(parts) {
            for requester in &requesters {
                if self.may_pass(&kind, requester, Question::InClear, place, &mut left)? {
                    let Kind { action, resource, .. } = kind;
                    return Ok(Some(Clear { who: requester.who.clone(), action, resource }));
                }
            }
        }
        if is_whole { Ok(None) } else { Err(too_many()) }
    }

    /// Strangers with any access to the bucket or its objects under the bucket policy.
    ///
    /// # Errors
    ///
    /// Fails if there are too many kinds of requests to evaluate.
    pub fn strangers_to_bucket(&self, bucket: &str, place: &Place<'_>) -> Result<BTreeSet<Who>, Malformed> {
        let (parts, is_whole) = self.of_bucket(bucket, &self.actions("s3:"));
        let found = self.strangers(parts, place)?;
        // Access for everyone is certain even if only some objects were checked.
        if is_whole || found.contains(&Who::Everyone) { Ok(found) } else { Err(too_many()) }
    }

    /// Strangers with any access to a secret under its policy.
    ///
    /// # Errors
    ///
    /// Fails if there are too many kinds of requests to evaluate.
    pub fn strangers_to_secret(&self, arn: &str, place: &Place<'_>) -> Result<BTreeSet<Who>, Malformed> {
        let mut actions = listed("secretsmanager:", OF_SECRETS);
        actions.extend(self.actions("secretsmanager:"));
        self.strangers(vec![(actions, vec![arn.to_owned()])], place)
    }

    fn strangers(&self, parts: Parts, place: &Place<'_>) -> Result<BTreeSet<Who>, Malformed> {
        let (mut left, mut found) = (MOST, BTreeSet::new());
        let requesters = self.requesters(place, Question::FromOutside);
        for kind in self.kinds(parts) {
            for requester in &requesters {
                if !found.contains(&requester.who)
                    && self.may_pass(&kind, requester, Question::FromOutside, place, &mut left)?
                {
                    found.insert(requester.who.clone());
                }
            }
        }
        // With access for everyone, only accounts that an allowing statement names may have more.
        if found.contains(&Who::Everyone) {
            let meant = self.accounts(|statement| statement.allows);
            found.retain(|who| !matches!(who, Who::Account(account) if !meant.contains(account)));
        }
        Ok(found)
    }

    /// A bucket's actions and resources, and whether they cover everything that the policy distinguishes.
    fn of_bucket(&self, bucket: &str, further: &[String]) -> (Parts, bool) {
        let arn = format!("arn:aws:s3:::{bucket}");
        let (objects, is_whole) = self.objects(&format!("{arn}/"));
        let of = |names| listed("s3:", names).into_iter().chain(further.iter().cloned()).collect();
        (vec![(of(OF_BUCKETS), vec![arn]), (of(OF_OBJECTS), objects)], is_whole)
    }

    /// Object names that the policy's resources distinguish: every pattern's beginning with every pattern's end, and
    /// any combination of pattern middles in between. One object may match the patterns of several `NotResource`
    /// elements at once. The flag is false if there are too many combinations.
    fn objects(&self, beginning: &str) -> (Vec<String>, bool) {
        let (mut begins, mut ends) =
            (BTreeSet::from([beginning.to_owned()]), BTreeSet::from([String::new()]));
        let mut found = BTreeSet::from([format!("{beginning}\u{3a9}"), format!("{beginning}{ANY}/{ANY}")]);
        let mut middles = BTreeSet::new();
        for pattern in self.statements.iter().flat_map(|statement| &statement.resources.items) {
            let is_char = |token: &&Token| matches!(token, Token::Char(_));
            let char = |token: &Token| if let Token::Char(c) = token { *c } else { 'z' };
            let begin: String = pattern.0.iter().take_while(is_char).map(char).collect();
            let is_open = |token: &Token| !matches!(token, Token::Char(_));
            let first = pattern.0.iter().position(is_open);
            let last = pattern.0.iter().rposition(is_open);
            let between = first.zip(last).and_then(|(first, last)| pattern.0.get(first..=last));
            if begin.starts_with(beginning) || beginning.starts_with(&begin) {
                middles.extend(between.map(|between| filled(&Pattern(between.to_vec()), ANY)));
            }
            begins.insert(begin);
            let end: Vec<char> = pattern.0.iter().rev().take_while(is_char).map(char).collect();
            ends.insert(end.into_iter().rev().collect());
            for filling in ["", ANY] {
                found.insert(filled(pattern, filling));
            }
        }
        middles.retain(|middle| !middle.replace(ANY, "").replace('z', "").is_empty());
        begins.retain(|begin| begin.starts_with(beginning));
        let pairs = begins.len().saturating_mul(ends.len());
        let is_whole =
            middles.len() <= MOST_MIDDLES && pairs.saturating_mul(2 << middles.len()) <= MOST_OBJECTS;
        if !is_whole {
            middles.clear();
        }
        let mut inner = vec![String::new(), ANY.to_owned()];
        for middle in &middles {
            let longer: Vec<String> = inner.iter().map(|before| format!("{before}{middle}")).collect();
            inner.extend(longer);
        }
        let are_few = pairs.saturating_mul(inner.len()) <= MOST_OBJECTS;
        for begin in begins.iter().filter(|_| are_few) {
            for end in &ends {
                found.extend(inner.iter().map(|inner| format!("{begin}{inner}{end}")));
            }
        }
        found.retain(|arn| arn.strip_prefix(beginning).is_some_and(|key| !key.is_empty()));
        (found.into_iter().collect(), is_whole)
    }

    /// Actions of a service that the policy names but the lists above lack.
    fn actions(&self, service: &str) -> Vec<String> {
        let patterns = self.statements.iter().flat_map(|statement| &statement.actions.items);
        let is_listed = |name: &str| {
            [OF_BUCKETS, OF_OBJECTS, OF_SECRETS]
                .iter()
                .any(|names| names.split_whitespace().any(|one| one == name))
        };
        let is_new = |action: &String| action.strip_prefix(service).is_some_and(|name| !is_listed(name));
        patterns.filter_map(Pattern::literal).filter(is_new).collect()
    }

    fn kinds(&self, parts: Parts) -> Vec<Kind> {
        let (mut seen, mut kinds) = (BTreeSet::new(), Vec::new());
        for (actions, resources) in parts {
            let actions = self.apart(actions, |statement| &statement.actions);
            for (resource, of_resource) in self.apart(resources, |statement| &statement.resources) {
                for (action, of_action) in &actions {
                    let about: Vec<_> = of_action.iter().zip(&of_resource).map(|(a, b)| *a.min(b)).collect();
                    if seen.insert(about.clone()) {
                        kinds.push(Kind { action: action.clone(), resource: resource.clone(), about });
                    }
                }
            }
        }
        kinds
    }

    /// One representative of all texts for which an element has the same result in every statement.
    fn apart(&self, all: Vec<String>, of: impl Fn(&Statement) -> &Scope<Pattern>) -> Vec<(String, Vec<Tri>)> {
        let mut seen = BTreeSet::new();
        let holds = |text: &String| -> Vec<Tri> {
            self.statements
                .iter()
                .map(|statement| of(statement).holds(|pattern| pattern.matches(text)))
                .collect()
        };
        let reported = all.into_iter().map(|text| (holds(&text), text));
        reported.filter(|(holds, _)| seen.insert(holds.clone())).map(|(holds, text)| (text, holds)).collect()
    }

    /// Whether the question's answer is yes for some request of a kind.
    fn may_pass(
        &self,
        kind: &Kind,
        requester: &Requester,
        question: Question,
        place: &Place<'_>,
        left: &mut usize,
    ) -> Result<bool, Malformed> {
        let about = self.statements.iter().zip(&kind.about);
        let about = about.filter(|(statement, _)| question == Question::FromOutside || !statement.allows);
        let named =
            about.map(|(statement, about)| (statement, statement.names(&requester.names).min(*about)));
        let mut of: Vec<_> = named.filter(|(_, is)| *is != Tri::No).collect();
        let all = |of: &[(&Statement, Tri)]| -> Vec<(String, States)> {
            let keys = keys(of.iter().map(|(statement, _)| *statement)).into_iter();
            keys.map(|key| (key.clone(), states(&key, of, requester, question, place))).collect()
        };
        // Keys with a single state decide most statements, and leave fewer combinations to try.
        let (common, rest): (Vec<_>, Vec<_>) =
            all(&of).into_iter().partition(|(_, states)| states.len() == 1);
        let common = common.into_iter().filter_map(|(key, states)| Some((key, states.into_iter().next()??)));
        let common: Keys = common.collect();
        let is_common = |condition: &Condition| {
            condition.keys().iter().all(|key| rest.iter().all(|(open, _)| open != key))
        };
        of.retain(|(statement, _)| {
            let decided = statement.conditions.iter().filter(|condition| is_common(condition));
            decided.map(|condition| condition.holds(&common)).all(|holds| holds != Tri::No)
        });
        let is_refused = of.iter().any(|(statement, is)| {
            !statement.allows
                && statement.conditions.iter().all(is_common)
                && (*is).min(statement.conditions_hold(&common)) == Tri::Yes
        });
        let is_allowed = question == Question::InClear || of.iter().any(|(statement, _)| statement.allows);
        if is_refused || !is_allowed {
            return Ok(false);
        }
        let open = all(&of);
        let mut turn = vec![0; open.len()];
        loop {
            *left = left.checked_sub(1).ok_or_else(|| Malformed::new("too many conditions to evaluate"))?;
            let state = |((key, states), turn): (&(String, States), &usize)| {
                Some((key.clone(), states.get(*turn).cloned().flatten()?))
            };
            let keys: Keys = open.iter().zip(&turn).filter_map(state).collect();
            let holds = |allows: bool| {
                let of = of.iter().filter(|(statement, _)| statement.allows == allows);
                any(of.map(|(statement, is)| (*is).min(statement.conditions_hold(&keys))))
            };
            let is_asked = question == Question::InClear || holds(true) != Tri::No;
            if is_asked && holds(false) != Tri::Yes {
                return Ok(true);
            }
            if !next(&mut turn, &open) {
                return Ok(false);
            }
        }
    }

    /// All requesters that the policy distinguishes.
    fn requesters(&self, place: &Place<'_>, question: Question) -> Vec<Requester> {
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
    fn accounts(&self, are_asked: impl Fn(&&Statement) -> bool) -> BTreeSet<String> {
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

/// A text that matches a pattern, with its wildcards filled.
fn filled(pattern: &Pattern, filling: &str) -> String {
    let text = |token: &Token| match token {
        Token::Char(c) => c.to_string(),
        Token::One => "z".to_owned(),
        _ => filling.to_owned(),
    };
    pattern.0.iter().map(text).collect()
}

fn listed(service: &str, names: &str) -> Vec<String> {
    names.split_whitespace().map(|name| format!("{service}{name}")).collect()
}

/// The role of a role session. Its path is unknown.
fn role(arn: &str) -> Option<String> {
    let (before, after) = arn.split_once(":assumed-role/")?;
    let name = after.split('/').next()?;
    Some(format!("{}:role/{name}", before.replacen(":sts:", ":iam:", 1)))
}

/// All names by which a policy may refer to a user, role or session.
pub(super) fn names_of(arn: &str) -> Vec<Principal> {
    let mut names = vec![Principal::Account(account(arn).to_owned()), Principal::Arn(arn.to_owned())];
    names.extend(role(arn).map(Principal::Arn));
    names
}

/// Keys in the conditions and variables of statements.
fn keys<'a>(of: impl Iterator<Item = &'a Statement>) -> BTreeSet<String> {
    let conditions = of.flat_map(|statement| &statement.conditions);
    conditions.flat_map(|condition| condition.keys()).map(str::to_owned).collect()
}

/// The possible states of a key in a requester's requests.
fn states(
    key: &str,
    of: &[(&Statement, Tri)],
    requester: &Requester,
    question: Question,
    place: &Place<'_>,
) -> States {
    let states = of_key(key, of, requester, question, place);
    let is_of_owner = (key, question) == ("aws:resourceorgid", Question::FromOutside);
    if is_of_owner || requester.lacks(key, question) || fixed(key, requester, question, place).is_some() {
        return states;
    }
    // A requester who can choose a key's value can make it equal to the key it is compared with.
    let mut states: BTreeSet<Option<Vec<String>>> = states.into_iter().collect();
    for condition in of.iter().flat_map(|(statement, _)| &statement.conditions) {
        for pattern in condition.patterns() {
            for variable in pattern
                .0
                .iter()
                .filter_map(|token| match token {
                    Token::Variable(variable, _) if variable != key => Some(variable.as_str()),
                    _ => None,
                })
                .filter(|_| condition.key == key)
            {
                for value in of_key(variable, of, requester, question, place).into_iter().flatten() {
                    let keys = Keys::from([(variable.to_owned(), value)]);
                    states.insert(Some(vec![filled(&pattern.resolved(&keys), ANY)]));
                }
            }
            if matches!(&pattern.0[..], [Token::Variable(variable, _)] if variable == key) {
                states.extend(of_key(&condition.key, of, requester, question, place));
            }
        }
    }
    states.into_iter().collect()
}

/// The states of a key whose value the question or the requester determines.
fn fixed(key: &str, requester: &Requester, question: Question, place: &Place<'_>) -> Option<States> {
    let is = |value: &str| vec![Some(vec![value.to_owned()])];
    match (key, question) {
        ("aws:currenttime", _) => Some(is(&place.now.to_string())),
        ("aws:epochtime", _) => Some(is(&place.now.as_second().to_string())),
        ("aws:securetransport", Question::InClear) => Some(is("false")),
        ("s3:tlsversion", Question::InClear) => Some(vec![None]),
        ("aws:resourceaccount" | "s3:resourceaccount", _) => Some(is(place.account)),
        _ => requester.keys.get(key).cloned(),
    }
}

/// The possible states of a key, considering only conditions on that key.
fn of_key(
    key: &str,
    of: &[(&Statement, Tri)],
    requester: &Requester,
    question: Question,
    place: &Place<'_>,
) -> States {
    if let Some(fixed) = fixed(key, requester, question, place) {
        return fixed;
    }
    if requester.lacks(key, question) {
        return vec![None, Some(vec![format!("{FOREIGN}{key}")])];
    }
    let conditions = of.iter().flat_map(|(statement, _)| &statement.conditions);
    let conditions: Vec<_> = conditions.filter(|condition| condition.key == key).collect();
    let mut states: BTreeSet<Option<Vec<String>>> =
        conditions.iter().flat_map(|condition| condition.values()).map(Some).collect();
    if states.is_empty() {
        states.insert(Some(vec![format!("{OTHER}{key}")]));
    }
    // The resource's organization is unknown, but a stranger does not belong to it.
    let is_there = ALWAYS.contains(&key) || (key, question) == ("aws:resourceorgid", Question::FromOutside);
    if !is_there {
        states.insert(None);
    }
    states.into_iter().collect()
}

/// Advances to the next combination; returns false after the last one.
fn next(turn: &mut [usize], open: &[(String, States)]) -> bool {
    for (place, (_, states)) in turn.iter_mut().zip(open) {
        *place += 1;
        if *place < states.len() {
            return true;
        }
        *place = 0;
    }
    false
}
