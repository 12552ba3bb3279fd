//! The requests of a question: actions and resources, one of each kind that the policy distinguishes.

use std::collections::BTreeSet;

use super::{ANY, Kind, Parts, filled};
use crate::access::{Pattern, Policy, Scope, Statement, Token, Tri};

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
pub(super) const OF_SECRETS: &str = "\
    cancelrotatesecret deleteresourcepolicy deletesecret describesecret getresourcepolicy getsecretvalue \
    listsecretversionids putresourcepolicy putsecretvalue removeregionsfromreplication \
    replicatesecrettoregions restoresecret rotatesecret stopreplicationtoreplica tagresource \
    untagresource updatesecret updatesecretversionstage validateresourcepolicy";

/// Most pattern middles that are combined into object names.
const MOST_MIDDLES: usize = 8;

/// Most object names built from beginnings, middles and ends. A 20 KB policy could produce millions.
const MOST_OBJECTS: usize = 50_000;

impl Policy {
    /// A bucket's actions and resources, and whether they cover everything that the policy distinguishes.
    pub(super) fn of_bucket(&self, bucket: &str, further: &[String]) -> (Parts, bool) {
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
    pub(super) fn actions(&self, service: &str) -> Vec<String> {
        let patterns = self.statements.iter().flat_map(|statement| &statement.actions.items);
        let is_listed = |name: &str| {
            [OF_BUCKETS, OF_OBJECTS, OF_SECRETS]
                .iter()
                .any(|names| names.split_whitespace().any(|one| one == name))
        };
        let is_new = |action: &String| action.strip_prefix(service).is_some_and(|name| !is_listed(name));
        patterns.filter_map(Pattern::literal).filter(is_new).collect()
    }

    pub(super) fn kinds(&self, parts: Parts) -> Vec<Kind> {
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
}

pub(super) fn listed(service: &str, names: &str) -> Vec<String> {
    names.split_whitespace().map(|name| format!("{service}{name}")).collect()
}
