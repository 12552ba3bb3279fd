//! Access to a bucket by strangers or without TLS: bucket policy, ACL and public access blocks.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::access::{Clear, Place, Policy, Who};
use shared::runtime::failure::CallError;

use crate::rules::facts::{Acl, BLOCKS, Bucket};
use crate::rules::rule::{Context, Verdict};

/// Whether a block is on for the bucket or for its account: for each block S3 applies the stricter one.
fn is_on(bucket: &Bucket, setting: &str) -> Result<bool, CallError> {
    match (&bucket.open, &bucket.account_open) {
        (Ok(open), _) if !open.contains(&setting) => Ok(true),
        (_, Ok(open)) if !open.contains(&setting) => Ok(true),
        (Err(call), _) | (_, Err(call)) => Err(call.clone()),
        (Ok(_), Ok(_)) => Ok(false),
    }
}

pub(super) fn block(bucket: &Bucket) -> Verdict {
    let mut unread = None;
    let mut open = Vec::new();
    for setting in BLOCKS {
        match is_on(bucket, setting) {
            Ok(true) => {}
            Ok(false) => open.push(setting),
            Err(call) => unread = Some(call),
        }
    }
    match unread {
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

/// Strangers that the bucket policy admits; the error is the reason why they are unknown.
fn strangers(bucket: &Bucket, context: &Context<'_>) -> Result<BTreeSet<Who>, String> {
    let Some(policy) = bucket.policy.as_ref().map_err(ToString::to_string)? else {
        return Ok(BTreeSet::new());
    };
    let found = policy.parse::<Policy>();
    let found = found.and_then(|policy| policy.strangers_to_bucket(&bucket.name, &place(bucket, context)));
    let found = found.map_err(|error| error.to_string())?;
    // Only the ACL shows whether a canonical id is the bucket's own account.
    match acl(bucket) {
        Err(why) if found.iter().any(|who| matches!(who, Who::Canonical(_))) => Err(why),
        _ => Ok(found),
    }
}

/// Strangers that the bucket policy admits by name. If it is public and public buckets are restricted, S3 only admits
/// services.
pub(super) fn named_strangers(bucket: &Bucket, context: &Context<'_>) -> Result<BTreeSet<Who>, String> {
    let mut found = strangers(bucket, context)?;
    if found.remove(&Who::Everyone) && is_on(bucket, "RestrictPublicBuckets") == Ok(true) {
        found.retain(|who| matches!(who, Who::Service(_)));
    }
    Ok(found)
}

/// The ACL; an error if the answer lacks the owner.
pub(super) fn acl(bucket: &Bucket) -> Result<&Acl, String> {
    match &bucket.acl {
        Err(call) => Err(call.to_string()),
        Ok(Acl { owner: None, .. }) => Err("AWS's answer has no Owner".to_owned()),
        Ok(acl) => Ok(acl),
    }
}

/// Accounts other than the owner to which the ACL grants anything.
pub(super) fn outsiders(acl: &Acl) -> Vec<&str> {
    acl.accounts.iter().filter(|id| acl.owner.as_ref() != Some(*id)).map(String::as_str).collect()
}

/// An opening, unless a block closes it; an error if the block is unknown.
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

/// The verdict on the openings of the policy and of the ACL.
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
        "no one outside the account".to_owned(),
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

/// Checks that the policy refuses every request without TLS; otherwise names one that it does not refuse.
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

    /// Whether `s3.tls-only` passes on a policy.
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

    /// `shared::access` evaluates policies as IAM does; this tests the audit's verdicts on the result.
    #[test]
    fn case_10a_another_spelling_of_tls_only_passes_and_a_request_not_refused_is_named() {
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
            // The public access blocks keep strangers out, even with a malformed policy.
            with_policy("s3.public", broken, "pass");
        }
    }

    /// A bucket whose policy allows everything to a principal, with some blocks off for it and for the account.
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

    /// Account-level blocks of the case that are off.
    fn blocks_of_case_07() -> Seen<Vec<&'static str>> {
        let case = include_str!("../../../../../tests/cases/07-s3-account-level-block.json");
        let case: serde_json::Value = serde_json::from_str(case).unwrap();
        let account = &case["s3control:GetPublicAccessBlock (account 123456789012)"];
        Ok(BLOCKS.into_iter().filter(|name| account[*name] != true).collect())
    }

    #[test]
    fn case_07_the_account_level_block_counts_setting_by_setting() {
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
    fn strangers_in_a_bucket_policy_are_found_unless_blocked() {
        let (all, on) = (BLOCKS.to_vec(), Ok(Vec::new()));
        let off = Ok(all.clone());
        let (everyone, another) = (json!("*"), json!({"AWS": "777788889999"}));
        let service = json!({"Service": "logging.s3.amazonaws.com"});
        access(&opened(&everyone, &all, &off), "fail", "pass");
        access(&opened(&everyone, &[], &off), "pass", "pass");
        access(&opened(&everyone, &all, &on), "pass", "pass");
        access(&opened(&everyone, &["RestrictPublicBuckets"], &off), "fail", "pass");
        access(&opened(&everyone, &["IgnorePublicAcls"], &off), "pass", "pass");
        access(&opened(&everyone, &all, &unread()), "unknown", "pass");
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
            access(&Bucket { role, ..opened(&everyone, &all, &off) }, "fail", "pass");
        }
    }

    #[test]
    fn strangers_in_an_acl_are_found_unless_blocked() {
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
        assert_eq!(acl_only.next_step(), format!("aws s3api put-bucket-acl --bucket {FILES} --acl private"));
        let both = Bucket { acl: other.acl, ..opened(&json!({"AWS": "777788889999"}), &[], &on) };
        let both = row(BUCKET, "s3.foreign-access", FILES, &both, |_| (), &context()).unwrap();
        assert_eq!(
            both.verdict,
            Verdict::fail("bucket policy: 777788889999; ACL: 0ther", "only 111122223333, 444455556666")
        );
        assert!(
            both.next_step().contains("put-bucket-policy") && both.next_step().contains("put-bucket-acl"),
            "{both:?}"
        );
    }
}
