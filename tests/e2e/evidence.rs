//! The evidence, with IAM enforced: only the stack's deployer can hide, forge or restart a chain, and a damaged chain
//! gets no record until the advised commands have repaired it.

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketVersioningStatus, Destination, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleFilter, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockLegalHold,
    ObjectLockLegalHoldStatus, ObjectLockRetention, ObjectLockRetentionMode, ReplicationConfiguration,
    ReplicationRule, ReplicationRuleFilter, ReplicationRuleStatus, VersioningConfiguration,
};
use serde_json::{Value, json};
use shared::chain::anchor::{Anchors, next};
use shared::chain::{Folder, Listing, Notes, Pin, Stack, State, Verdict, Verifier};
use shared::run::objects::{self, Bytes};

use crate::advice::Advice;
use crate::cloud::{Cloud, EVIDENCE};
use crate::secret::Secret;

const RECORDS: &str = "evidence/rotate-random/";
const BEGUN: &str = "runs/rotate-random/begun.json";

async fn calm() -> Cloud {
    let cloud = Cloud::connect("rotate-random").await;
    cloud.calm().await;
    cloud
}

/// `denied`, `allowed`, or another refusal's code.
fn outcome<T, E: ProvideErrorMetadata + std::fmt::Debug>(answer: Result<T, SdkError<E>>) -> String {
    match answer {
        Ok(_) => "allowed".to_owned(),
        Err(error) if error.code() == Some("AccessDenied") => "denied".to_owned(),
        Err(error) => error.code().unwrap_or_default().to_owned(),
    }
}

/// Every version below a prefix, delete markers too: key, version, whether it is a marker.
async fn versions(cloud: &Cloud, prefix: &str) -> Vec<(String, String, bool)> {
    let listed = cloud.s3.list_object_versions().bucket(EVIDENCE).prefix(prefix).send().await.unwrap();
    assert_ne!(listed.is_truncated(), Some(true), "more than a page");
    let text = |text: Option<&str>| text.unwrap().to_owned();
    let objects = listed.versions().iter().map(|one| (text(one.key()), text(one.version_id()), false));
    let markers = listed.delete_markers().iter().map(|one| (text(one.key()), text(one.version_id()), true));
    objects.chain(markers).collect()
}

/// Hides a record as a lifecycle rule does. No bucket policy applies to such a rule, nor here to the account's root.
async fn expire(cloud: &Cloud, key: &str) {
    cloud.s3.delete_object().bucket(EVIDENCE).key(key).send().await.unwrap();
}

/// Rotates successfully despite the damaged chain: the damage is reported and logged with its kind, and no record is
/// added. Returns the advice.
async fn rotates_unrecorded(secret: &Secret<'_>, kind: &str) -> Advice {
    let cloud = secret.cloud;
    let before = versions(cloud, RECORDS).await;
    let token = secret.rotate().await;
    assert_eq!(secret.labelled("AWSCURRENT").await.as_ref(), Some(&token));
    assert_eq!(versions(cloud, RECORDS).await, before, "{kind}: a record was added");
    let reported = cloud.messages(&token).await;
    let [reported] = reported.as_slice() else { panic!("{reported:?}") };
    for part in [&format!("*{kind}*: "), "Segredo rotacionado", "quem publica a stack (DeployerArns)"] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
    let lost = cloud.log_lines("\"error_type\":\"EvidenceFailed\"").await;
    let lost: Vec<_> = lost.iter().filter(|line| line.contains(&token) && line.contains(kind)).collect();
    assert!(lost.iter().any(|line| line.contains("aws s3api delete-object")), "{lost:?}");
    let record: Value = serde_json::from_str(lost.last().unwrap()).unwrap();
    assert!(record["undelivered"].as_str().unwrap().contains("\"run_id\""), "{record}");
    Advice::of(reported)
}

/// Rotates and expects a record after the previously newest one.
async fn rotates_recorded(secret: &Secret<'_>, newest: Option<&(String, Value)>) {
    let token = secret.rotate().await;
    let record = secret.cloud.record_of(&token).await.expect("a record");
    let sequence = newest.map_or(0, |(_, record)| record["sequence"].as_u64().unwrap());
    assert_eq!(record["sequence"], sequence + 1);
    assert_eq!(record["previous"]["key"], json!(newest.map(|(key, _)| key)));
    // Every record exists and holds the previous one's hash.
    assert_eq!(secret.cloud.evidence("rotate-random").await.last().unwrap().1["run_id"], token.as_str());
}

/// A chain with at least these records, and the person who repairs it.
async fn world<'a>(cloud: &'a Cloud, name: &str, least: usize) -> (Secret<'a>, Credentials) {
    let secret = Secret::plain(cloud, name).await;
    for _ in cloud.evidence("rotate-random").await.len()..least {
        secret.rotate().await;
    }
    cloud.calm().await;
    (secret, cloud.deployer().await)
}

#[tokio::test]
async fn only_the_deployer_changes_what_could_hide_or_forge_a_record_and_nobody_a_record() {
    let cloud = calm().await;
    let (_, key) = world(&cloud, "evidence-policy", 1).await;
    let deployer = cloud.s3_as(key);
    let administrator = cloud.administrator("administrator-of-no-deployment").await;
    let (record, version, _) = versions(&cloud, RECORDS).await.remove(0);

    let rule = LifecycleRule::builder().id("all").status(ExpirationStatus::Enabled);
    let rule = rule.filter(LifecycleRuleFilter::builder().prefix("evidence/").build());
    let rule = rule.expiration(LifecycleExpiration::builder().days(1).build()).build().unwrap();
    let lifecycle = BucketLifecycleConfiguration::builder().rules(rule).build().unwrap();
    let rule = ReplicationRule::builder().id("all").priority(1).status(ReplicationRuleStatus::Enabled);
    let rule = rule.filter(ReplicationRuleFilter::builder().prefix("").build());
    let rule = rule.destination(Destination::builder().bucket("arn:aws:s3:::elsewhere").build().unwrap());
    let role = "arn:aws:iam::000000000000:role/replication";
    let replication = ReplicationConfiguration::builder().role(role).rules(rule.build().unwrap()).build();
    let replication = replication.unwrap();
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let read = cloud.s3.get_bucket_policy().bucket(EVIDENCE).send().await.unwrap();
    let policy = read.policy.unwrap();
    let lock = ObjectLockConfiguration::builder().object_lock_enabled(ObjectLockEnabled::Enabled).build();

    for (who, client) in [("administrator", &administrator), ("deployer", &deployer)] {
        let configuring = if who == "deployer" { "allowed" } else { "denied" };
        // The deployer's changes are reverted after each call.
        let put = client.put_bucket_lifecycle_configuration().bucket(EVIDENCE);
        let put = put.lifecycle_configuration(lifecycle.clone()).send().await;
        assert_eq!(outcome(put), configuring, "{who}: lifecycle");
        let delete = client.delete_bucket_lifecycle().bucket(EVIDENCE).send().await;
        assert_eq!(outcome(delete), configuring, "{who}: lifecycle");
        let put = client.put_bucket_replication().bucket(EVIDENCE);
        let put = put.replication_configuration(replication.clone()).send().await;
        assert_eq!(outcome(put) == "denied", who == "administrator", "{who}: replication");
        let delete = client.delete_bucket_replication().bucket(EVIDENCE).send().await;
        assert_eq!(outcome(delete), configuring, "{who}: replication");
        let put = client.put_bucket_versioning().bucket(EVIDENCE).versioning_configuration(on.clone());
        assert_eq!(outcome(put.send().await), configuring, "{who}: versioning");
        let put = client.put_object_lock_configuration().bucket(EVIDENCE);
        let put = put.object_lock_configuration(lock.clone()).send().await;
        assert_eq!(outcome(put) == "denied", who == "administrator", "{who}: lock");
        let delete = client.delete_bucket_policy().bucket(EVIDENCE).send().await;
        assert_eq!(outcome(delete), configuring, "{who}: policy");
        let put = client.put_bucket_policy().bucket(EVIDENCE).policy(&policy).send().await;
        assert_eq!(outcome(put), configuring, "{who}: policy");

        // No one may change the objects.
        let delete = client.delete_object().bucket(EVIDENCE).key(&record);
        assert_eq!(outcome(delete.clone().send().await), "denied", "{who}: hides a record");
        let forced = delete.version_id(&version).bypass_governance_retention(true).send().await;
        assert_eq!(outcome(forced), "denied", "{who}: removes a record by force");
        let put = |key: &str| client.put_object().bucket(EVIDENCE).key(key).body(b"{}".to_vec().into());
        assert_eq!(outcome(put(&record).send().await), "denied", "{who}: replaces a record");
        let put = put(&format!("{RECORDS}0000000001.json")).if_none_match("*").send().await;
        assert_eq!(outcome(put), "denied", "{who}: forges a record");
        // Neither in a chain that no function has.
        for key in
            ["evidence/incident-page/9999999998.json", "evidence/x", "runs/incident-page/begun.json", "x/y"]
        {
            let put = client.put_object().bucket(EVIDENCE).key(key).body(b"{}".to_vec().into());
            assert_eq!(outcome(put.if_none_match("*").send().await), "denied", "{who}: {key}");
        }
        let soon =
            aws_sdk_s3::primitives::DateTime::from_secs(shared::runtime::time::now().as_second() + 3600);
        let short = ObjectLockRetention::builder().mode(ObjectLockRetentionMode::Governance);
        let shorten = client.put_object_retention().bucket(EVIDENCE).key(&record);
        let shorten = shorten.retention(short.retain_until_date(soon).build());
        assert_eq!(outcome(shorten.bypass_governance_retention(true).send().await), "denied", "{who}: lock");
        let off = ObjectLockLegalHold::builder().status(ObjectLockLegalHoldStatus::Off).build();
        let hold = client.put_object_legal_hold().bucket(EVIDENCE).key(&record).legal_hold(off);
        assert_eq!(outcome(hold.send().await), "denied", "{who}: hold");
    }
    // The deployer's permissions to repair a chain. In AWS, object lock protects a record's versions; the local bucket has
    // none.
    let delete = |key: &str| administrator.delete_object().bucket(EVIDENCE).key(key);
    assert_eq!(outcome(delete(&record).version_id(&version).send().await), "denied");
    assert_eq!(outcome(delete(BEGUN).send().await), "denied");
    assert!(versions(&cloud, RECORDS).await.contains(&(record, version, false)));
}

#[tokio::test]
async fn a_hidden_record_is_reported_and_nothing_is_added_until_it_is_seen_again() {
    let cloud = calm().await;
    let (secret, deployer) = world(&cloud, "evidence-hidden", 3).await;
    let newest = cloud.evidence("rotate-random").await.pop().unwrap();
    expire(&cloud, &newest.0).await;
    let advice = rotates_unrecorded(&secret, "EvidenceHidden").await;
    let (key, marker, _) = versions(&cloud, RECORDS).await.into_iter().find(|one| one.2).unwrap();
    let administrator = cloud.administrator("administrator-who-repairs").await;
    let removed = administrator.delete_object().bucket(EVIDENCE).key(key).version_id(marker).send().await;
    assert_eq!(outcome(removed), "denied");
    advice.run_as(&cloud, &deployer, "aws s3api delete-object");
    rotates_recorded(&secret, Some(&newest)).await;
}

#[tokio::test]
async fn an_empty_list_is_no_new_chain_where_every_record_is_hidden() {
    let cloud = calm().await;
    let (secret, deployer) = world(&cloud, "evidence-emptied", 3).await;
    let records = cloud.evidence("rotate-random").await;
    for (key, _) in &records {
        expire(&cloud, key).await;
    }
    assert_eq!(cloud.keys(RECORDS).await, Vec::<String>::new());
    let advice = rotates_unrecorded(&secret, "EvidenceHidden").await;
    advice.run_as(&cloud, &deployer, "aws s3api delete-object");
    let one = advice.commands().iter().find(|command| command.contains("delete-object")).unwrap();
    assert!(one.contains(&format!(" --key {} ", records.last().unwrap().0)), "{one}");
    // The other versions, listed by the second command.
    let listed = advice.run_as(&cloud, &deployer, "aws s3api list-object-versions");
    let others: Vec<_> = listed.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(others.len(), records.len() - 1, "{listed}");
    let deployer = cloud.s3_as(deployer);
    for (key, version) in others {
        let delete = deployer.delete_object().bucket(EVIDENCE).key(key).version_id(version);
        assert_eq!(outcome(delete.send().await), "allowed");
    }
    rotates_recorded(&secret, records.last()).await;
}

#[tokio::test]
async fn a_chain_that_is_gone_is_begun_anew_only_knowingly() {
    let cloud = calm().await;
    let (secret, deployer) = world(&cloud, "evidence-gone", 1).await;
    let begun = cloud.json(BEGUN).await.expect("the note that the chain has begun");
    let noted = begun["sequence"].as_u64().unwrap();
    assert!(noted.is_power_of_two(), "{begun}");
    let records = cloud.evidence("rotate-random").await;
    let (key, _) = &records[usize::try_from(noted).unwrap() - 1];
    assert_eq!(begun["key"], key.as_str());
    assert_eq!(begun["sha256"], crate::cloud::sha256(cloud.text(key).await.as_bytes()));

    cloud.wipe(RECORDS).await;
    let advice = rotates_unrecorded(&secret, "EvidenceGone").await;
    assert_eq!(cloud.json(BEGUN).await.as_ref(), Some(&begun));
    let administrator = cloud.administrator("administrator-who-restarts").await;
    let restart = administrator.delete_object().bucket(EVIDENCE).key(BEGUN).send().await;
    assert_eq!(outcome(restart), "denied");
    advice.run_as(&cloud, &deployer, "aws s3api delete-object");
    rotates_recorded(&secret, None).await;
    let begun = cloud.json(BEGUN).await.expect("the new chain's note");
    assert_eq!(begun["sequence"], 1);
    assert_eq!(begun["key"], cloud.evidence("rotate-random").await[0].0);
}

#[tokio::test]
async fn a_record_that_was_written_again_is_reported_and_nothing_is_added() {
    let cloud = calm().await;
    let (secret, deployer) = world(&cloud, "evidence-replaced", 2).await;
    let newest = cloud.evidence("rotate-random").await.pop().unwrap();
    let forged = json!({"run_id": "forged", "channel": "sent"}).to_string().into_bytes();
    cloud.s3.put_object().bucket(EVIDENCE).key(&newest.0).body(forged.into()).send().await.unwrap();
    let advice = rotates_unrecorded(&secret, "EvidenceReplaced").await;
    advice.run_as(&cloud, &deployer, "aws s3api delete-object");
    rotates_recorded(&secret, Some(&newest)).await;
}

#[tokio::test]
async fn the_note_that_the_chain_has_begun_can_fail_and_is_made_up_for() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "evidence-begun").await;
    for prefix in [RECORDS, BEGUN] {
        cloud.wipe(prefix).await;
    }
    let note = format!("arn:aws:s3:::{EVIDENCE}/{BEGUN}");
    let refused = json!({"service": "s3", "action": "PutObject", "resource": note, "effect": "error", "status": 403, "code": "AccessDenied", "count": 0});
    cloud.calm().await;
    let left = async || cloud.log_lines("the chain's beginning was not noted").await.len();
    let before = left().await;
    cloud.fault(refused).await;
    let token = secret.rotate().await;
    assert_eq!(cloud.record_of(&token).await.unwrap()["sequence"], 1);
    assert_eq!(cloud.messages(&token).await.len(), 1);
    assert_eq!(cloud.json(BEGUN).await, None);
    assert_eq!(left().await, before + 1);
    cloud.calm().await;
    rotates_recorded(&secret, cloud.evidence("rotate-random").await.last()).await;
    assert_eq!(cloud.json(BEGUN).await.unwrap()["sequence"], 2);
}

fn stack() -> Stack {
    Stack { project: "moveongs".to_owned(), environment: "dev".to_owned() }
}

/// The verdict on the chain as it is in the bucket, with its notes and versions, and these witnesses.
async fn verdict(cloud: &Cloud, pins: &[Pin]) -> Verdict {
    let folder = Folder::records("rotate-random");
    let listing = Listing::of(&folder, objects::versions(&cloud.s3, EVIDENCE, RECORDS).await.unwrap());
    let mut notes = Notes::new("rotate-random");
    for key in cloud.keys("runs/rotate-random/").await {
        notes.note(&key, cloud.text(&key).await.as_bytes());
    }
    let verifier = Verifier::new("rotate-random").of(stack()).listed(&listing).noted(notes);
    let mut verifier = verifier.witnessed(pins.iter().cloned());
    for entry in &listing.objects {
        let read = objects::bytes(&cloud.s3, EVIDENCE, &entry.version).await;
        let Bytes::Read(bytes) = read else { panic!("{}: {read:?}", entry.version.key) };
        verifier.record(&entry.version.key, &bytes, entry.version.modified);
    }
    verifier.finish()
}

#[tokio::test]
async fn a_chain_of_real_runs_is_verified_and_what_the_accounts_root_does_to_it_is_named() {
    let cloud = calm().await;
    let secret = Secret::plain(&cloud, "evidence-verified").await;
    let wipe = async || {
        for prefix in [RECORDS, "runs/rotate-random/"] {
            cloud.wipe(prefix).await;
        }
    };
    wipe().await;
    for _ in 0..4 {
        secret.rotate().await;
    }
    let verified = verdict(&cloud, &[]).await;
    let anchor = next(None, &stack(), EVIDENCE, [&verified], shared::runtime::time::now()).unwrap().unwrap();
    assert_eq!((verified.state(), verified.faults, verified.late), (State::Verified, vec![], None));
    assert_eq!(verified.read, 4);
    let mut anchors = Anchors::new(stack(), Some(EVIDENCE));
    anchors.anchor(&anchor.key(), &anchor.bytes());
    let pins = anchors.pins("rotate-random");
    let key = |sequence| Folder::records("rotate-random").key(sequence);
    let named_by = async |pins: &[Pin]| -> Vec<_> {
        let faults = verdict(&cloud, pins).await.faults;
        faults.into_iter().map(|fault| (fault.kind(), fault.sequence)).collect()
    };
    let named = async || named_by(&[]).await;
    let store = async |sequence: u64, text: &str| {
        cloud.wipe(&key(sequence)).await;
        let put = cloud.s3.put_object().bucket(EVIDENCE).key(key(sequence));
        put.body(text.as_bytes().to_vec().into()).send().await.unwrap();
    };
    // One byte; two in each other's place; all from a point on, with the links made anew.
    let [second, third, fourth] =
        [cloud.text(&key(2)).await, cloud.text(&key(3)).await, cloud.text(&key(4)).await];
    store(2, &second.replace("succeeded", "succeedeD")).await;
    assert_eq!(named().await, [("EvidenceAltered", Some(2))]);
    store(2, &third).await;
    store(3, &second).await;
    assert_eq!(named().await, [("EvidenceMisplaced", Some(2)), ("EvidenceMisplaced", Some(3))]);
    store(2, &second).await;
    let forged = third.replace("succeeded", "failed");
    store(3, &forged).await;
    let sha256 = |text: &str| crate::cloud::sha256(text.as_bytes());
    store(4, &fourth.replace(&sha256(&third), &sha256(&forged))).await;
    assert_eq!(named().await, []);
    assert_eq!(named_by(&pins).await, [("EvidenceContradicted", Some(4))]);
    store(3, &third).await;
    store(4, &fourth).await;
    assert_eq!(named_by(&pins).await, []);
    // A forger who knows the form, and is not the function.
    let mut forged: Value = serde_json::from_str(&fourth).unwrap();
    forged["sequence"] = 5.into();
    forged["run_id"] = "forged".into();
    forged["previous"] = json!({"key": key(4), "sha256": crate::cloud::sha256(fourth.as_bytes())});
    let put = cloud.s3.put_object().bucket(EVIDENCE).key(key(5)).body(forged.to_string().into_bytes().into());
    put.send().await.unwrap();
    assert_eq!(named().await, [("EvidenceUnnoted", Some(5))]);
    cloud.wipe(&key(5)).await;
    expire(&cloud, &key(3)).await;
    assert_eq!(named().await, [("EvidenceHidden", Some(3))]);
    cloud.wipe(&key(3)).await;
    assert_eq!(named().await, [("EvidenceMissing", Some(3))]);
    // The notes know that a fourth run followed the third.
    cloud.wipe(&key(4)).await;
    assert_eq!(named().await, [("EvidenceTruncated", Some(3))]);
    wipe().await;
}
