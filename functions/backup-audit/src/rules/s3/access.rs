//! Access to a bucket by strangers and without TLS: its policy, its ACL and the blocks of public access.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::access::{Clear, Place, Policy, Who};
use shared::runtime::failure::CallError;

use crate::rules::facts::{Acl, BLOCKS, Bucket};
use crate::rules::rule::{Context, Verdict};

/// Whether a setting is on, for the bucket or for its account: S3 goes by the stricter of both, setting by setting.
fn is_on(bucket: &Bucket, setting: &str) -> Result<bool, CallError> {
    match (&bucket.open, &bucket.account_open) {
        (Ok(open), _) if !open.contains(&setting) => Ok(true),
        (_, Ok(open)) if !open.contains(&setting) => Ok(true),
        (Err(call), _) | (_, Err(call)) => Err(call.clone()),
        (Ok(_), Ok(_)) => Ok(false),
    }
}

pub(super) fn block(bucket: &Bucket) -> Verdict {
    let mut untold = None;
    let mut open = Vec::new();
    for setting in BLOCKS {
        match is_on(bucket, setting) {
            Ok(true) => {}
            Ok(false) => open.push(setting),
            Err(call) => untold = Some(call),
        }
    }
    match untold {
        Some(call) if open.is_empty() => Verdict::Unknown(call.to_string()),
        _ => Verdict::of(open.is_empty(), format!("{} false", open.join(", ")), "all four true"),
    }
}

fn place<'a>(bucket: &'a Bucket, context: &Context<'a>) -> Place<'a> {
    Place {
        account: context.account,
        trusted: &context.policy.shared_with,
        owner: bucket.acl.as_ref().ok().and_then(|acl| acl.owner.as_deref()),
        now: context.now,
    }
}

/// Whom the bucket's policy lets in; the error is why that is not known.
fn strangers(bucket: &Bucket, context: &Context<'_>) -> Result<BTreeSet<Who>, String> {
    let Some(policy) = bucket.policy.as_ref().map_err(ToString::to_string)? else {
        return Ok(BTreeSet::new());
    };
    let found = policy.parse::<Policy>();
    let found = found.and_then(|policy| policy.strangers_to_bucket(&bucket.name, &place(bucket, context)));
    let found = found.map_err(|error| error.to_string())?;
    // Whether an id is the bucket's own account's, only its ACL says.
    match acl(bucket) {
        Err(why) if found.iter().any(|who| matches!(who, Who::Canonical(_))) => Err(why),
        _ => Ok(found),
    }
}

/// Whom the bucket's policy lets in by name. Where public buckets are restricted, S3 lets in services alone.
pub(super) fn named_strangers(bucket: &Bucket, context: &Context<'_>) -> Result<BTreeSet<Who>, String> {
    let mut found = strangers(bucket, context)?;
    if found.remove(&Who::Everyone) && is_on(bucket, "RestrictPublicBuckets") == Ok(true) {
        found.retain(|who| matches!(who, Who::Service(_)));
    }
    Ok(found)
}

/// The ACL, where the answer has whose the bucket is.
pub(super) fn acl(bucket: &Bucket) -> Result<&Acl, String> {
    match &bucket.acl {
        Err(call) => Err(call.to_string()),
        Ok(Acl { owner: None, .. }) => Err("the answer of AWS has no Owner".to_owned()),
        Ok(acl) => Ok(acl),
    }
}

/// The accounts whom the ACL gives anything, besides the owner.
pub(super) fn outsiders(acl: &Acl) -> Vec<&str> {
    acl.accounts.iter().filter(|id| acl.owner.as_ref() != Some(*id)).map(String::as_str).collect()
}

/// What is so where nothing blocks it, and what is not known because of it.
fn unless_blocked(
    found: Result<Option<String>, String>,
    is_blocked: Result<bool, CallError>,
) -> Result<Option<String>, String> {
    match (found, is_blocked) {
        (Ok(None), _) | (_, Ok(true)) => Ok(None),
        (found, Ok(false)) | (found @ Err(_), _) => found,
        (Ok(Some(_)), Err(call)) => Err(call.to_string()),
    }
}

/// The verdict on what was found of the policy and of the ACL.
fn both(found: [Result<Option<String>, String>; 2], expected: String) -> Verdict {
    let open: Vec<_> = found.iter().filter_map(|found| found.clone().ok().flatten()).collect();
    match found.into_iter().find_map(Result::err) {
        Some(why) if open.is_empty() => Verdict::Unknown(why),
        _ => Verdict::of(open.is_empty(), open.join("; "), expected),
    }
}

pub(super) fn public(bucket: &Bucket, context: &Context<'_>) -> Verdict {
    let of_policy = strangers(bucket, context)
        .map(|strangers| strangers.contains(&Who::Everyone).then(|| "bucket policy: *".to_owned()));
    let of_acl = acl(bucket).map(|acl| {
        let groups: Vec<_> = acl.groups.iter().map(String::as_str).collect();
        (!groups.is_empty()).then(|| format!("ACL: {}", groups.join(", ")))
    });
    both(
        [
            unless_blocked(of_policy, is_on(bucket, "RestrictPublicBuckets")),
            unless_blocked(of_acl, is_on(bucket, "IgnorePublicAcls")),
        ],
        "nobody outside the account".to_owned(),
    )
}

pub(super) fn foreign(bucket: &Bucket, context: &Context<'_>) -> Verdict {
    let of_policy = named_strangers(bucket, context).map(|strangers| {
        let named: Vec<_> = strangers.iter().map(ToString::to_string).collect();
        (!named.is_empty()).then(|| format!("bucket policy: {}", named.join(", ")))
    });
    let of_acl = acl(bucket).map(|acl| {
        let others = outsiders(acl);
        (!others.is_empty()).then(|| format!("ACL: {}", others.join(", ")))
    });
    let accounts = [&[context.account.to_owned()], context.policy.shared_with.as_slice()].concat();
    both([of_policy, of_acl], format!("only {}", accounts.join(", ")))
}

/// Whether the policy refuses every request without TLS, and else one that it does not refuse.
pub(super) fn over_tls(policy: Option<&str>, bucket: &Bucket, context: &Context<'_>) -> Verdict {
    let expected = "every request without TLS is denied";
    let Some(policy) = policy else { return Verdict::fail("no bucket policy", expected) };
    match policy.parse::<Policy>().and_then(|policy| policy.in_clear(&bucket.name, &place(bucket, context))) {
        Err(error) => Verdict::Unknown(error.to_string()),
        Ok(None) => Verdict::Pass,
        Ok(Some(Clear { who, action, resource })) => {
            Verdict::fail(format!("without TLS {action} of {resource} is not denied to {who}"), expected)
        }
    }
}

/// The statement that refuses requests without TLS.
pub(crate) fn tls_statement(bucket: &str) -> Value {
    serde_json::json!({
        "Sid": "OnlyOverTls", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::facts::{Role, Seen};
    use crate::rules::rule::Row;
    use crate::rules::rule::tests::{FILES, context, row, unread, word};
    use crate::rules::s3::BUCKET;
    use crate::rules::s3::tests::bucket;

    /// Whether the rule takes a policy for one that refuses every request without TLS.
    pub(crate) fn denies_clear(policy: &str) -> bool {
        let change = |bucket: &mut Bucket| bucket.policy = Ok(Some(policy.to_owned()));
        let row = row(BUCKET, "s3.tls-only", FILES, &bucket(Role::Attachments), change, &context());
        word(row.as_ref()) == "pass"
    }

    #[track_caller]
    fn with_policy(rule: &str, policy: &str, expected: &str) -> Row {
        let change = |bucket: &mut Bucket| {
            bucket.policy = Ok(Some(policy.replace("moveongs-dev-attachments", FILES)));
        };
        let row = row(BUCKET, rule, FILES, &bucket(Role::Attachments), change, &context());
        assert_eq!(word(row.as_ref()), expected, "{policy}: {row:?}");
        row.unwrap()
    }

    /// What IAM makes of a policy is a matter of `shared::access`; here is what the audit makes of that.
    #[test]
    fn case_10a_another_spelling_of_tls_only_passes_and_what_is_not_refused_is_named() {
        with_policy(
            "s3.tls-only",
            include_str!("../../../../../tests/cases/10a-bucket-policy-boolifexists.json"),
            "pass",
        );
        let mut reading = tls_statement(FILES);
        reading["Action"] = json!(["s3:get*", "s3:Put*"]);
        let row = with_policy("s3.tls-only", &json!({"Statement": reading}).to_string(), "fail");
        let Verdict::Fail { found, .. } = row.verdict else { panic!() };
        assert!(found.starts_with("without TLS s3:"), "{found}");
        assert!(
            found.contains(&format!("of arn:aws:s3:::{FILES}")) && found.ends_with("is not denied to *"),
            "{found}"
        );
        for broken in ["{", r#"{"Statement": [{"Effect": "Deny"}]}"#] {
            for rule in ["s3.tls-only", "s3.foreign-access"] {
                with_policy(rule, broken, "unknown");
            }
            // Whatever it says, S3 gives strangers nothing by it.
            with_policy("s3.public", broken, "pass");
        }
    }

    /// A bucket whose policy allows everything to a principal, with the blocks that are off for it and for the account.
    pub(crate) fn opened(
        principal: &serde_json::Value,
        open: &[&'static str],
        account: &Seen<Vec<&'static str>>,
    ) -> Bucket {
        let mut statement = json!({"Effect": "Allow", "Action": "s3:*", "Principal": principal});
        statement["Resource"] = json!([format!("arn:aws:s3:::{FILES}"), format!("arn:aws:s3:::{FILES}/*")]);
        Bucket {
            policy: Ok(Some(json!({"Statement": [statement]}).to_string())),
            open: Ok(open.to_vec()),
            account_open: account.clone(),
            ..bucket(Role::Attachments)
        }
    }

    #[track_caller]
    fn access(bucket: &Bucket, public: &str, foreign: &str) {
        let of = |rule| row(BUCKET, rule, FILES, bucket, |_| (), &context());
        assert_eq!(word(of("s3.public").as_ref()), public, "{bucket:?}: {:?}", of("s3.public"));
        assert_eq!(
            word(of("s3.foreign-access").as_ref()),
            foreign,
            "{bucket:?}: {:?}",
            of("s3.foreign-access")
        );
    }

    /// The account's block of the case, as S3 Control tells it.
    fn blocks_of_case_07() -> Seen<Vec<&'static str>> {
        let case = include_str!("../../../../../tests/cases/07-s3-account-level-block.json");
        let case: serde_json::Value = serde_json::from_str(case).unwrap();
        let account = &case["s3control:GetPublicAccessBlock (account 123456789012)"];
        Ok(BLOCKS.into_iter().filter(|name| account[*name] != true).collect())
    }

    #[test]
    fn case_07_the_accounts_block_counts_setting_by_setting() {
        const RESTRICT: &str = "RestrictPublicBuckets";
        let (all, none) = (BLOCKS.to_vec(), Vec::new());
        for (open, account, expected) in [
            (Ok(all.clone()), blocks_of_case_07(), "pass"),
            (Ok(all.clone()), Ok(all.clone()), "fail"),
            (Ok(none.clone()), Ok(all.clone()), "pass"),
            (Ok(none.clone()), unread(), "pass"),
            (unread(), Ok(none.clone()), "pass"),
            (unread(), Ok(all.clone()), "unknown"),
            (unread(), unread(), "unknown"),
            (Ok(vec![RESTRICT]), unread(), "unknown"),
            (
                Ok(vec![RESTRICT]),
                Ok(vec!["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy"]),
                "pass",
            ),
            (Ok(vec![RESTRICT]), Ok(vec![RESTRICT]), "fail"),
            (Ok(vec![RESTRICT, "BlockPublicAcls"]), Ok(vec![RESTRICT]), "fail"),
        ] {
            let change = |bucket: &mut Bucket| {
                (bucket.open, bucket.account_open) = (open.clone(), account.clone());
            };
            let row =
                row(BUCKET, "s3.public-access-block", FILES, &bucket(Role::Attachments), change, &context());
            assert_eq!(word(row.as_ref()), expected, "{open:?} {account:?}: {row:?}");
        }
        let change = |bucket: &mut Bucket| {
            (bucket.open, bucket.account_open) = (Ok(vec![RESTRICT, "BlockPublicAcls"]), Ok(vec![RESTRICT]));
        };
        let row =
            row(BUCKET, "s3.public-access-block", FILES, &bucket(Role::Attachments), change, &context());
        assert_eq!(row.unwrap().verdict, Verdict::fail("RestrictPublicBuckets false", "all four true"));
    }

    #[test]
    fn whom_a_buckets_policy_lets_in_and_what_blocks_it() {
        let (all, on) = (BLOCKS.to_vec(), Ok(Vec::new()));
        let off = Ok(all.clone());
        let (everybody, another) = (json!("*"), json!({"AWS": "777788889999"}));
        let service = json!({"Service": "logging.s3.amazonaws.com"});
        access(&opened(&everybody, &all, &off), "fail", "pass");
        access(&opened(&everybody, &[], &off), "pass", "pass");
        access(&opened(&everybody, &all, &on), "pass", "pass");
        access(&opened(&everybody, &["RestrictPublicBuckets"], &off), "fail", "pass");
        access(&opened(&everybody, &["IgnorePublicAcls"], &off), "pass", "pass");
        access(&opened(&everybody, &all, &unread()), "unknown", "pass");
        access(&opened(&another, &[], &on), "pass", "fail");
        access(&opened(&service, &[], &on), "pass", "fail");
        access(&opened(&json!({"AWS": "111122223333"}), &all, &off), "pass", "pass");
        access(&opened(&json!({"AWS": "arn:aws:iam::444455556666:role/agreed"}), &all, &off), "pass", "pass");
        let mut unseen = bucket(Role::Attachments);
        unseen.policy = unread();
        access(&unseen, "pass", "unknown");
        (unseen.open, unseen.account_open) = (Ok(all.clone()), off.clone());
        access(&unseen, "unknown", "unknown");
        unseen.policy = Ok(None);
        access(&unseen, "pass", "pass");
        for role in [Role::Evidence, Role::State, Role::Grafana, Role::Uploads, Role::Other] {
            access(&Bucket { role, ..opened(&everybody, &all, &off) }, "fail", "pass");
        }
    }

    #[test]
    fn whom_a_buckets_acl_lets_in_and_what_blocks_it() {
        let (all, on) = (BLOCKS.to_vec(), Ok(Vec::new()));
        let off = Ok(all.clone());
        let acl = |account: Option<&str>, group: Option<&str>| {
            let mut acl = bucket(Role::Attachments).acl.unwrap();
            acl.accounts.extend(account.map(str::to_owned));
            acl.groups.extend(group.map(str::to_owned));
            Ok(acl)
        };
        let with = |acl, open: &[&'static str], account: &Seen<Vec<&'static str>>| Bucket {
            acl,
            open: Ok(open.to_vec()),
            account_open: account.clone(),
            ..bucket(Role::Attachments)
        };
        for group in ["AllUsers", "AuthenticatedUsers"] {
            access(&with(acl(None, Some(group)), &all, &off), "fail", "pass");
            access(&with(acl(None, Some(group)), &["IgnorePublicAcls"], &off), "fail", "pass");
            access(&with(acl(None, Some(group)), &["RestrictPublicBuckets"], &off), "pass", "pass");
            access(&with(acl(None, Some(group)), &all, &on), "pass", "pass");
            access(&with(acl(None, Some(group)), &all, &unread()), "unknown", "pass");
        }
        access(&with(acl(Some("0wner"), None), &all, &off), "pass", "pass");
        access(&with(acl(Some("0ther"), None), &[], &on), "pass", "fail");
        access(&with(unread(), &[], &on), "pass", "unknown");
        access(&with(unread(), &all, &off), "unknown", "unknown");
        access(&with(Ok(Acl::default()), &all, &off), "unknown", "unknown");
        let other = with(acl(Some("0ther"), None), &[], &on);
        let acl_only = row(BUCKET, "s3.foreign-access", FILES, &other, |_| (), &context()).unwrap();
        assert_eq!(acl_only.command, format!("aws s3api put-bucket-acl --bucket {FILES} --acl private"));
        let both = Bucket { acl: other.acl, ..opened(&json!({"AWS": "777788889999"}), &[], &on) };
        let both = row(BUCKET, "s3.foreign-access", FILES, &both, |_| (), &context()).unwrap();
        assert_eq!(
            both.verdict,
            Verdict::fail("bucket policy: 777788889999; ACL: 0ther", "only 111122223333, 444455556666")
        );
        assert!(
            both.command.contains("put-bucket-policy") && both.command.contains("put-bucket-acl"),
            "{both:?}"
        );
    }
}
