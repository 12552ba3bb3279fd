//! `attachment-restore-test` against the local cloud: real versions in a real-shaped bucket, rows in the application's
//! PostgreSQL, downloads through the application's API. Every kind of damage with its page, its message and the command
//! that cures it; no copy is left; the state after a crash.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, ServerSideEncryption, StorageClass};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::advice::Advice;
use crate::cloud::{Cloud, eventually, sha256};
use crate::matrix::{self, Kill};
use crate::server::as_the_application;

const PROCEDURE: &str = "attachment-restore-test";
const BUCKET: &str = "moveongs-dev-attachments";
const UPLOADS: &str = "moveongs-dev-uploads";
const QUEUE: &str = "attachment-restore-test-pages";
/// The application's key.
const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";
const DATABASE: &str = "/moveongs/dev/db";

/// The rows of the application's seed, which other tests compare.
const KEPT: &str = "attachments_kept";

/// Number of the next attachment, for ids and keys of their own.
static NEXT: AtomicU32 = AtomicU32::new(1);

struct World {
    cloud: Cloud,
    database: Client,
    /// Number of pages before the test.
    pages: usize,
}

/// An attachment with its row.
#[derive(Clone, Debug)]
struct Attachment {
    id: String,
    key: String,
    content: Vec<u8>,
}

impl World {
    /// A world without attachments, records, notes and faults; the API delivers what the rows name.
    async fn fresh() -> Self {
        let cloud = Cloud::connect(PROCEDURE).await;
        cloud.calm().await;
        let database = as_the_application(&cloud, DATABASE).await;
        let world = Self { pages: 0, database, cloud };
        world.api(json!({})).await;
        world.forget().await;
        world.sql(&format!("CREATE TABLE IF NOT EXISTS {KEPT} AS TABLE attachments")).await;
        world.sql("DELETE FROM attachments").await;
        world.empty(BUCKET).await;
        // As the application's Terraform has it.
        let resource = format!("arn:aws:s3:::{BUCKET}/*");
        let deny = json!({"Sid": "OnlyKms", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": resource,
            "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}});
        let tls = json!({"Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": [format!("arn:aws:s3:::{BUCKET}"), resource],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
        let policy = json!({"Version": "2012-10-17", "Statement": [tls, deny]}).to_string();
        world.cloud.s3.put_bucket_policy().bucket(BUCKET).policy(policy).send().await.unwrap();
        world.policy(json!({})).await;
        world.cloud.calm().await;
        Self { pages: world.cloud.listen_to_pages(QUEUE).await, ..world }
    }

    /// Puts the application's own rows back.
    async fn done(self) {
        self.cloud.forget_policy().await;
        self.api(json!({})).await;
        self.empty(BUCKET).await;
        self.sql("DELETE FROM attachments").await;
        self.sql(&format!("INSERT INTO attachments SELECT * FROM {KEPT}; DROP TABLE {KEPT}")).await;
        self.cloud.calm().await;
    }

    /// A policy whose pace a test can wait for, with these settings.
    async fn policy(&self, changed: Value) {
        let mut settings = json!({"downloads_per_minute": 600});
        settings.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        self.cloud.set_policy(&json!({"attachments": settings})).await;
    }

    async fn sql(&self, sql: &str) {
        self.database.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn forget(&self) {
        for folder in ["evidence", "runs"] {
            self.cloud.wipe(&format!("{folder}/{PROCEDURE}/")).await;
        }
    }

    /// The application's settings; those not given are the usual ones.
    async fn api(&self, changed: Value) {
        let mut settings = json!({"masking": false, "down": false, "mfa": false, "attachment_missing": false,
            "attachment_answer": "file", "rate_limit": 0, "attachment_broken": false});
        settings.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        self.cloud.admin(Method::POST, "moveongs/config", Some(settings)).await;
    }

    /// Removes every version of every object of a bucket.
    async fn empty(&self, bucket: &str) {
        for (key, version, _) in self.versions(bucket, "").await {
            let delete = self.cloud.s3.delete_object().bucket(bucket).key(key).version_id(version);
            delete.send().await.unwrap();
        }
    }

    /// Key and version of each version and marker with a prefix, and whether it is a marker.
    async fn versions(&self, bucket: &str, prefix: &str) -> Vec<(String, String, bool)> {
        let listed = self.cloud.s3.list_object_versions().bucket(bucket).prefix(prefix).send().await.unwrap();
        let versions = listed.versions().iter().map(|one| (one.key(), one.version_id(), false));
        let markers = listed.delete_markers().iter().map(|one| (one.key(), one.version_id(), true));
        let own = |(key, version, is_marker): (Option<&str>, Option<&str>, bool)| {
            (key.unwrap().to_owned(), version.unwrap().to_owned(), is_marker)
        };
        versions.chain(markers).map(own).collect()
    }

    async fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        self.storing(key, content, KEY).bucket(bucket).send().await.unwrap();
    }

    /// A request that stores an object of the bucket under a KMS key.
    fn storing(&self, key: &str, content: &[u8], kms_key: &str) -> PutObjectFluentBuilder {
        let put = self.cloud.s3.put_object().bucket(BUCKET).key(key).body(content.to_vec().into());
        put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(kms_key)
    }

    /// Inserts a row; `size` and `checksum` are SQL.
    async fn row(&self, id: &str, path: &str, size: &str, checksum: &str) {
        let sql = format!(
            "INSERT INTO attachments (id, owner_type, owner_id, file_path, file_name, mime_type, size_bytes, checksum) \
             VALUES ('{id}', 'beneficiary', gen_random_uuid(), '{path}', 'a.pdf', 'application/pdf', {size}, {checksum})"
        );
        self.sql(&sql).await;
    }

    /// A sound attachment in the bucket.
    async fn attachment(&self) -> Attachment {
        let attachment = self.unstored().await;
        self.put(BUCKET, &attachment.key, &attachment.content).await;
        attachment
    }

    /// The row of an attachment without its object.
    async fn unstored(&self) -> Attachment {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let content = format!("the content of attachment {number}").into_bytes();
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let attachment = Attachment { key: format!("{number:032x}.pdf"), id, content };
        let path = format!("s3://{BUCKET}/{}", attachment.key);
        let hash = format!("'{}'", sha256(&attachment.content));
        self.row(&attachment.id, &path, &attachment.content.len().to_string(), &hash).await;
        attachment
    }

    /// Deletes an object as the application does.
    async fn delete(&self, key: &str) {
        self.cloud.s3.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
    }

    async fn run(&self, event: Value) -> Value {
        self.cloud.invoke(event.clone()).await.unwrap_or_else(|error| panic!("{event}: {error}"))
    }

    /// Kinds of the open lines of one attachment, by check.
    async fn tested(&self, report: &Value) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for finding in report["findings"].as_array().unwrap() {
            let words: Vec<_> = finding.as_str().unwrap().split(' ').collect();
            let [check, object, kind] = words[..] else { panic!("{finding}") };
            found.entry(object.to_owned()).or_default().insert(check.to_owned(), kind.to_owned());
        }
        found
    }

    async fn nothing_is_left(&self) {
        assert_eq!(self.versions(BUCKET, "restore-test/").await, []);
    }

    async fn records(&self) -> Vec<Value> {
        self.cloud.evidence(PROCEDURE).await.into_iter().map(|(_, record)| record).collect()
    }

    async fn record_of(&self, run: &str) -> Value {
        let records = self.records().await;
        let found = records.iter().find(|record| record["run_id"] == run);
        found.unwrap_or_else(|| panic!("no record of {run}: {records:?}")).clone()
    }

    async fn pages(&self) -> Vec<String> {
        let pages = self.cloud.queued(QUEUE).await.into_iter().skip(self.pages);
        pages.map(|page| page.to_string()).collect()
    }

    /// Runs a test that finds this about an attachment's object; returns what its message advises.
    async fn advised(&self, attachment: &Attachment, kind: &str) -> Advice {
        let report = self.run(json!({})).await;
        let finding = json!(format!("object {} {kind}", attachment.id));
        assert!(report["findings"].as_array().unwrap().contains(&finding), "{report}");
        Advice::of(&self.cloud.messages(&format!("*{kind}*")).await.pop().unwrap())
    }

    /// Runs the test that a message advises, which finds nothing wrong with the attachment.
    async fn passes(&self, advice: &Advice, attachment: &Attachment) {
        advice.run(&self.cloud, "lambda invoke");
        let last = self.records().await.pop().unwrap();
        assert_eq!(last["result"], "succeeded", "{last}");
        for check in ["object", "size", "checksum", "restore", "download"] {
            let outcome = self.step(last["run_id"].as_str().unwrap(), check, &attachment.id).await;
            assert!(outcome.starts_with("pass"), "{check}: {outcome}");
        }
    }

    /// The outcome of a check in the record of a run.
    async fn step(&self, run: &str, check: &str, object: &str) -> String {
        let record = self.record_of(run).await;
        let name = format!("{check} {object}");
        let steps = record["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["name"] == name);
        step.unwrap_or_else(|| panic!("no step {name}: {record}"))["outcome"].as_str().unwrap().to_owned()
    }
}

/// The schedule's event of a day of December.
fn scheduled(day: u32) -> Value {
    let sample = include_str!("../../events/attachment-restore-test/monthly.json");
    let mut event: Value = serde_json::from_str(sample).unwrap();
    // Months of 28 days suffice.
    let (month, day) = (1 + day / 28, 1 + day % 28);
    event["time"] = json!(format!("2027-{month:02}-{day:02}T10:00:00Z"));
    event
}

fn day(event: &Value) -> String {
    event["time"].as_str().unwrap()[..10].to_owned()
}

#[tokio::test]
async fn a_sound_sample_is_tested_to_its_end_and_reported_with_its_confidence_once() {
    let world = World::fresh().await;
    let mut attachments = Vec::new();
    for _ in 0..6 {
        attachments.push(world.attachment().await);
    }
    // An earlier version, a deleted object, and a key that is no attachment.
    world.put(BUCKET, &attachments[0].key, b"a later, wrong content").await;
    world.put(BUCKET, &attachments[0].key, &attachments[0].content).await;
    world.put(BUCKET, "de1e7ed.pdf", b"deleted").await;
    world.delete("de1e7ed.pdf").await;
    world.put(BUCKET, "certificates/1.pdf", b"a certificate").await;
    // What a dead run left, and what another run may be using.
    for key in ["restore-test/dead/1", "restore-test/alive/1"] {
        world.put(BUCKET, key, b"a copy").await;
    }
    let old =
        json!({"bucket": BUCKET, "key": "restore-test/dead/1", "last_modified": "2026-11-01T00:00:00Z"});
    world.cloud.admin(Method::POST, "s3/object", Some(old)).await;
    let event = scheduled(0);
    let report = world.run(event.clone()).await;
    assert_eq!((&report["verdict"], &report["findings"]), (&json!("pass"), &json!([])), "{report}");
    assert_eq!((&report["population"], &report["tested"]), (&json!(6), &json!(6)));
    for (check, count) in [("object", 6), ("size", 6), ("checksum", 6), ("restore", 7), ("download", 6)] {
        assert_eq!(report["checks"][check], json!({"pass": count}), "{check}: {report}");
    }
    let left = world.versions(BUCKET, "restore-test/").await;
    assert_eq!(left.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>(), ["restore-test/alive/1"]);
    let messages = world.cloud.messages("Teste de restauração dos anexos: íntegros").await;
    assert_eq!(messages.len(), 1);
    for part in [
        "6 de 6 anexos testados",
        "no máximo 0,0 % estão danificados, com 95 % de confiança",
        "versão restaurada 7/7",
        "sem linha em attachments: 1 de 7",
        "certificates/1.pdf",
    ] {
        assert!(messages[0].contains(part), "{part}: {}", messages[0]);
    }
    assert_eq!(world.pages().await, Vec::<String>::new());
    let run = day(&event);
    assert_eq!(world.record_of(&run).await["result"], "succeeded");
    assert!(world.step(&run, "restore", "de1e7ed.pdf").await.starts_with("pass"));
    assert!(world.step(&run, "download", &attachments[0].id).await.starts_with("pass"));
    // The same event again.
    let again = world.run(event).await;
    assert_eq!(again["verdict"], "already");
    assert_eq!(world.records().await.len(), 1);
    assert_eq!(world.cloud.messages("Teste de restauração").await.len(), 1);
    world.done().await;
}

#[tokio::test]
async fn each_kind_of_damage_is_named_and_its_command_cures() {
    let world = World::fresh().await;
    let sound = world.attachment().await;
    let altered = world.attachment().await;
    let same_length: Vec<u8> = altered.content.iter().map(u8::to_ascii_uppercase).collect();
    world.put(BUCKET, &altered.key, &same_length).await;
    let longer = world.attachment().await;
    world.put(BUCKET, &longer.key, &[&longer.content[..], b" and more"].concat()).await;
    let hidden = world.attachment().await;
    world.delete(&hidden.key).await;
    let missing = world.unstored().await;
    let lost = world.attachment().await;
    world.delete(&lost.key).await;
    for (key, version, is_marker) in world.versions(BUCKET, &lost.key).await {
        if !is_marker {
            world.cloud.s3.delete_object().bucket(BUCKET).key(key).version_id(version).send().await.unwrap();
        }
    }
    let unsure = world.attachment().await;
    world
        .sql(&format!("UPDATE attachments SET checksum = NULL, size_bytes = NULL WHERE id = '{}'", unsure.id))
        .await;
    let odd = world.attachment().await;
    world
        .sql(&format!(
            "UPDATE attachments SET checksum = 'md5:x', created_at = 'infinity' WHERE id = '{}'",
            odd.id
        ))
        .await;
    let elsewhere = world.unstored().await;
    world
        .sql(&format!("UPDATE attachments SET file_path = 's3://other/x' WHERE id = '{}'", elsewhere.id))
        .await;
    let event = scheduled(1);
    let report = world.run(event.clone()).await;
    assert_eq!(report["verdict"], "fail", "{report}");
    let tested = world.tested(&report).await;
    let kinds = |attachment: &Attachment| -> Vec<(String, String)> {
        tested.get(&attachment.id).cloned().unwrap_or_default().into_iter().collect()
    };
    let expected = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(check, kind)| ((*check).to_owned(), (*kind).to_owned())).collect()
    };
    assert_eq!(kinds(&sound), []);
    let wrong = [("checksum", "WrongContent"), ("download", "ServedDiffers"), ("size", "WrongSize")];
    assert_eq!(kinds(&altered), expected(&wrong[..2]));
    assert_eq!(kinds(&longer), expected(&wrong));
    assert_eq!(kinds(&hidden), expected(&[("download", "ServeFailed"), ("object", "Hidden")]));
    assert_eq!(kinds(&missing), expected(&[("download", "ServeFailed"), ("object", "Missing")]));
    assert_eq!(kinds(&lost), expected(&[("download", "ServeFailed"), ("object", "Missing")]));
    assert_eq!(kinds(&unsure), expected(&[("checksum", "NoChecksum"), ("size", "NoSize")]));
    // The application's database driver in the local cloud does not read an infinite time, so it answers no row.
    assert_eq!(kinds(&odd), expected(&[("checksum", "OddChecksum"), ("download", "NotServed")]));
    let outside = [("download", "ServeFailed"), ("object", "OtherBucket")];
    assert_eq!(kinds(&elsewhere), expected(&outside));
    world.nothing_is_left().await;
    let record = world.record_of(&day(&event)).await;
    assert_eq!(record["result"], "failed");
    assert!(record["findings"].to_string().contains("rows of the database without an object"), "{record}");
    let pages =
        eventually("the page", async || Some(world.pages().await).filter(|pages| !pages.is_empty())).await;
    assert_eq!(pages.len(), 1);
    assert!(pages[0].contains("attachment-restore-test/moveongs-dev-attachments/AttachmentsDamaged"));
    let messages = world.cloud.messages("Teste de restauração dos anexos: há dano").await;
    assert_eq!(messages.len(), 1);
    // What the message advises, word by word; the page has the same.
    let advice = Advice::of(&messages[0]);
    for part in [&altered.key, &longer.key] {
        let restores: Vec<_> = advice
            .commands()
            .iter()
            .filter(|command| command.contains("copy-object") && command.contains(part.as_str()))
            .collect();
        assert_eq!(restores.len(), 1, "{:?}", advice.commands());
        crate::advice::run(&world.cloud, restores[0]);
    }
    crate::advice::run(
        &world.cloud,
        advice.commands().iter().find(|command| command.contains("delete-object")).unwrap(),
    );
    let again = advice.commands().iter().find(|command| command.contains("lambda invoke")).unwrap().clone();
    crate::advice::run(&world.cloud, &again);
    let records = world.records().await;
    let last = records.last().unwrap();
    assert_ne!(last["run_id"], json!(day(&event)));
    let seed = format!("seed {}", day(&event));
    assert!(last["steps"][0]["name"].as_str().unwrap().contains(&seed), "{last}");
    let run = last["run_id"].as_str().unwrap();
    for cured in [&altered, &longer, &hidden] {
        let check = if cured.id == hidden.id { "object" } else { "checksum" };
        assert!(world.step(run, check, &cured.id).await.starts_with("pass"), "{cured:?}");
        assert!(world.step(run, "download", &cured.id).await.starts_with("pass"), "{cured:?}");
    }
    assert!(world.step(run, "object", &missing.id).await.starts_with("fail"));
    world.done().await;
}

#[tokio::test]
async fn what_nobody_can_read_is_read_after_the_advised_commands() {
    let world = World::fresh().await;
    let made = world.cloud.json_call("kms", "TrentService.CreateKey", json!({})).await;
    let key = made["KeyMetadata"]["Arn"].as_str().unwrap();
    let own = world.cloud.variables().await;
    let mut variables = own.clone();
    variables.insert("APP_KMS_KEY_ARN".to_owned(), key.to_owned());
    world.cloud.set_variables(variables).await;
    let locked = world.unstored().await;
    world.storing(&locked.key, &locked.content, key).send().await.unwrap();
    for (operation, cure) in
        [("DisableKey", "kms enable-key"), ("ScheduleKeyDeletion", "kms cancel-key-deletion")]
    {
        world.cloud.json_call("kms", &format!("TrentService.{operation}"), json!({"KeyId": key})).await;
        let advice = world.advised(&locked, "KeyUnusable").await;
        // Whose key it is, is seen without it.
        assert_eq!(advice.run(&world.cloud, "head-object").trim(), key);
        advice.run(&world.cloud, cure);
        world.passes(&advice, &locked).await;
    }

    let archived = world.unstored().await;
    let put = world.storing(&archived.key, &archived.content, KEY);
    put.storage_class(StorageClass::Glacier).send().await.unwrap();
    let advice = world.advised(&archived, "Archived").await;
    advice.run(&world.cloud, "restore-object");
    eventually("that the object is back from the archive", async || {
        let head = world.cloud.s3.head_object().bucket(BUCKET).key(&archived.key).send().await.unwrap();
        head.restore()?.contains(r#"ongoing-request="false""#).then_some(())
    })
    .await;
    world.passes(&advice, &archived).await;

    // An archive tier refuses the request of an archive class.
    let tiered = world.unstored().await;
    let put = world.storing(&tiered.key, &tiered.content, KEY);
    put.storage_class(StorageClass::IntelligentTiering).send().await.unwrap();
    let tier = json!({"bucket": BUCKET, "key": tiered.key, "tier": "ARCHIVE_ACCESS"});
    world.cloud.admin(Method::POST, "s3/tier", Some(tier)).await;
    let advice = world.advised(&tiered, "Archived").await;
    advice.run(&world.cloud, "restore-object");
    eventually("that the object is back from the tier", async || {
        world.cloud.s3.get_object().bucket(BUCKET).key(&tiered.key).send().await.ok().map(drop)
    })
    .await;
    world.passes(&advice, &tiered).await;
    world.nothing_is_left().await;
    world.cloud.set_variables(own).await;
    world.done().await;
}

/// SHA-256 of 1 GiB and one byte, all zero.
const HUGE: &str = "6d9bfe50425f2dfe4e2ac07efee1f0bc9d567348ad4aed62704ffe6f5884e9a8";

#[tokio::test]
async fn an_object_that_is_too_large_to_read_is_compared_by_the_advised_command() {
    const PART: usize = 64 * 1024 * 1024;
    let world = World::fresh().await;
    let huge = Attachment { content: vec![0; PART], ..world.unstored().await };
    world
        .sql(&format!(
            "UPDATE attachments SET checksum = '{HUGE}', size_bytes = 1073741825 WHERE id = '{}'",
            huge.id
        ))
        .await;
    world.put(BUCKET, "part", &huge.content).await;
    let s3 = &world.cloud.s3;
    let upload = s3.create_multipart_upload().bucket(BUCKET).key(&huge.key);
    let upload = upload.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(KEY);
    let upload = upload.send().await.unwrap().upload_id.unwrap();
    let mut parts = Vec::new();
    for number in 1..=17 {
        let part = s3.upload_part_copy().bucket(BUCKET).key(&huge.key).upload_id(&upload).part_number(number);
        let part = part.copy_source(format!("{BUCKET}/part"));
        let part = if number == 17 { part.copy_source_range("bytes=0-0") } else { part };
        let tag = part.send().await.unwrap().copy_part_result.unwrap().e_tag;
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(tag).build());
    }
    let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = s3.complete_multipart_upload().bucket(BUCKET).key(&huge.key).upload_id(upload);
    complete.multipart_upload(whole).send().await.unwrap();
    // The download of such a file is no part of this test.
    world.api(json!({"down": true})).await;
    let advice = world.advised(&huge, "TooLarge").await;
    assert_eq!(advice.run(&world.cloud, "sha256sum").split(' ').next(), Some(HUGE));
    assert!(!world.cloud.messages(HUGE).await.is_empty(), "no message says what to find");
    world.nothing_is_left().await;
    world.done().await;
}

#[tokio::test]
async fn files_on_a_disk_are_compared_with_what_the_installation_sent() {
    let world = World::fresh().await;
    let made = world.cloud.s3.create_bucket().bucket(UPLOADS).send().await;
    assert!(made.is_ok() || made.unwrap_err().to_string().contains("service error"));
    let mut files = serde_json::Map::new();
    let mut ids = BTreeMap::new();
    for (name, sent) in [("sent", true), ("differs", true), ("absent", false), ("new", false)] {
        let content = format!("the file {name}").into_bytes();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (id, path) =
            (format!("00000000-0000-4000-8000-{number:012}"), format!("/srv/uploads/{name}.pdf"));
        let hash = format!("'{}'", sha256(&content));
        world.row(&id, &path, &content.len().to_string(), &hash).await;
        if sent {
            let content = if name == "differs" { b"another file".to_vec() } else { content.clone() };
            let put = world.cloud.s3.put_object().bucket(UPLOADS).key(format!("{name}.pdf"));
            put.body(content.into()).send().await.unwrap();
        }
        if name != "new" {
            world
                .sql(&format!(
                    "UPDATE attachments SET created_at = now() - interval '3 days' WHERE id = '{id}'"
                ))
                .await;
        }
        files.insert(path, json!(STANDARD.encode(&content)));
        ids.insert(name, id);
    }
    world.api(json!({"uploads": files})).await;
    let report = world.run(scheduled(2)).await;
    let tested = world.tested(&report).await;
    let kind = |name: &str| tested.get(&ids[name]).cloned().unwrap_or_default();
    let only = |check: &str, kind: &str| BTreeMap::from([(check.to_owned(), kind.to_owned())]);
    assert_eq!(kind("sent"), BTreeMap::new());
    assert_eq!(kind("differs"), only("on-prem", "SentDiffers"));
    assert_eq!(kind("absent"), only("on-prem", "NotSent"));
    assert_eq!(kind("new"), only("on-prem", "NotDue"));
    assert_eq!(report["checks"]["download"], json!({"pass": 4}));
    // The file is gone from the disk, too.
    world.api(json!({"uploads": {}})).await;
    let report = world.run(json!({})).await;
    assert_eq!(report["checks"]["download"], json!({"fail": 4}), "{report}");
    world.empty(UPLOADS).await;
    world.cloud.s3.delete_bucket().bucket(UPLOADS).send().await.unwrap();
    let report = world.run(json!({})).await;
    assert_eq!(report["checks"]["on-prem"], json!({"unverified": 4}), "{report}");
    assert!(report.to_string().contains("NoUploads"));
    world.done().await;
}

#[tokio::test]
async fn what_the_api_delivers_is_compared_and_its_defects_are_told_apart() {
    let world = World::fresh().await;
    let attachment = world.attachment().await;
    for (settings, kind, verdict) in [
        (json!({"attachment_answer": "json"}), "ServedJson", "fail"),
        (json!({"attachment_answer": "other"}), "ServedDiffers", "fail"),
        (json!({"attachment_missing": true}), "ServeFailed", "fail"),
        // Not the file's fault: the row is not answered, either.
        (json!({"attachment_broken": true}), "NotServed", "unverified"),
        (json!({"masking": true}), "MaskedLogin", "unverified"),
        (json!({"mfa": true}), "SecondFactor", "unverified"),
        (json!({"down": true}), "LoginFailed", "unverified"),
    ] {
        world.api(settings.clone()).await;
        let report = world.run(json!({})).await;
        let finding = format!("download {} {kind}", attachment.id);
        assert_eq!(report["findings"], json!([finding]), "{settings}: {report}");
        assert_eq!(report["verdict"], verdict, "{settings}");
        assert_eq!(report["checks"]["checksum"], json!({"pass": 1}), "{settings}");
    }
    world.api(json!({})).await;
    let masked = world.cloud.messages("MaskedLogin").await;
    assert_eq!(masked.len(), 1);
    assert!(masked[0].contains("RESPONSE_MASKING_ENABLED=false"), "{}", masked[0]);
    // The application limits the rate once, then always.
    let limit = |times: Value| {
        let mut rule = json!({"service": "moveongs", "action": "GET /attachments/{id}", "effect": "throttle",
            "seconds": 1});
        rule.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        rule
    };
    world.cloud.admin(Method::POST, "faults", Some(limit(json!({"count": 1})))).await;
    assert_eq!(world.run(json!({})).await["verdict"], "pass");
    world.cloud.admin(Method::POST, "faults", Some(limit(json!({"count": 0})))).await;
    let report = world.run(json!({})).await;
    assert_eq!(report["findings"], json!([format!("download {} RateLimited", attachment.id)]), "{report}");
    world.cloud.calm().await;
    world.done().await;
}

#[tokio::test]
async fn a_run_without_its_list_fails_with_the_cause_and_a_row_that_goes_meanwhile_is_no_damage() {
    let world = World::fresh().await;
    let attachment = world.attachment().await;
    world.sql("ALTER TABLE attachments RENAME TO attachments_away").await;
    let error = world.cloud.invoke(json!({})).await.unwrap_err();
    world.sql("ALTER TABLE attachments_away RENAME TO attachments").await;
    assert_eq!(error["errorType"], "NoTable", "{error}");
    assert_eq!(world.cloud.messages("O teste de restauração dos anexos falhou").await.len(), 1);
    // What S3 refuses is not verified, or ends the run if nothing can be tested.
    let denied = |action: &str| {
        json!({"service": "s3", "action": action, "resource": format!("arn:aws:s3:::{BUCKET}*"), "effect": "error",
            "status": 403, "code": "AccessDenied", "count": 0})
    };
    for (action, check) in [("CopyObject", "restore"), ("GetObject", "object")] {
        world.cloud.fault(denied(action)).await;
        let report = world.run(json!({})).await;
        world.cloud.calm().await;
        assert_eq!(report["verdict"], "unverified", "{report}");
        let finding = format!("{check} {} Unreadable", attachment.id);
        assert!(report["findings"].as_array().unwrap().contains(&json!(finding)), "{report}");
    }
    // Without the list of versions, what is found is still told and paged.
    let damaged = world.unstored().await;
    let listing = json!({"service": "s3", "action": "ListObjectVersions", "resource": format!("arn:aws:s3:::{BUCKET}*"),
        "effect": "error", "status": 403, "code": "AccessDenied", "count": 0});
    world.cloud.fault(listing).await;
    let error = world.cloud.invoke(json!({})).await.unwrap_err();
    assert_eq!(error["errorType"], "ScratchLeft", "{error}");
    let messages = world.cloud.messages("Teste de restauração dos anexos: há dano").await;
    assert_eq!(messages.len(), 1);
    let parts = ["As cópias do teste não foram apagadas", &damaged.id, "*Absent*", "*Unreadable*"];
    for part in parts {
        assert!(messages[0].contains(part), "{part}: {}", messages[0]);
    }
    let pages =
        eventually("the page", async || Some(world.pages().await).filter(|pages| !pages.is_empty())).await;
    assert_eq!(pages.len(), 1);
    world.cloud.calm().await;
    // A key that is of no use is damage: the object is there, and nobody can read it.
    world.sql(&format!("DELETE FROM attachments WHERE id = '{}'", damaged.id)).await;
    let mut disabled = denied("GetObject");
    disabled["status"] = json!(400);
    disabled["code"] = json!("KMS.DisabledException");
    world.cloud.fault(disabled).await;
    let report = world.run(json!({})).await;
    world.cloud.calm().await;
    assert_eq!(report["verdict"], "fail", "{report}");
    let finding = json!(format!("object {} KeyUnusable", attachment.id));
    assert!(report["findings"].as_array().unwrap().contains(&finding), "{report}");
    world.nothing_is_left().await;
    world.done().await;
}

#[tokio::test]
async fn copies_that_cannot_be_removed_fail_the_run_and_the_next_attempt_removes_them() {
    let world = World::fresh().await;
    let attachment = world.attachment().await;
    let denied = json!({"service": "s3", "action": "DeleteObject", "effect": "error", "status": 403,
        "code": "AccessDenied", "count": 0});
    world.cloud.fault(denied).await;
    let event = scheduled(3);
    let error = world.cloud.invoke(event.clone()).await.unwrap_err();
    assert_eq!(error["errorType"], "ScratchLeft", "{error}");
    let messages = world.cloud.messages("Teste de restauração dos anexos: íntegros").await;
    assert_eq!(messages.len(), 1);
    assert!(messages[0].contains("As cópias do teste não foram apagadas"), "{}", messages[0]);
    assert_eq!(world.versions(BUCKET, "restore-test/").await.len(), 1);
    world.cloud.calm().await;
    assert_eq!(world.run(event).await["verdict"], "already");
    world.nothing_is_left().await;
    // The role reads attachments, and changes none.
    let role = world.cloud.s3_as(world.cloud.own_role().await);
    let [(_, version, _)] = &world.versions(BUCKET, &attachment.key).await[..] else { panic!() };
    role.get_object().bucket(BUCKET).key(&attachment.key).version_id(version).send().await.unwrap();
    let delete = role.delete_object().bucket(BUCKET).key(&attachment.key);
    assert!(delete.clone().send().await.is_err());
    assert!(delete.version_id(version).send().await.is_err());
    let put = |key: &str| {
        let put = role.put_object().bucket(BUCKET).key(key).body(b"x".to_vec().into());
        put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(KEY).send()
    };
    assert!(put(&attachment.key).await.is_err());
    let copy = put("restore-test/role/1").await.unwrap();
    let delete = role.delete_object().bucket(BUCKET).key("restore-test/role/1");
    delete.set_version_id(copy.version_id).send().await.unwrap();
    world.done().await;
}

#[tokio::test]
async fn a_hidden_object_of_a_row_outside_of_the_sample_is_damage_and_not_a_deletion_that_was_meant() {
    let world = World::fresh().await;
    let hidden = world.attachment().await;
    world.delete(&hidden.key).await;
    // More rows than a run compares with the whole bucket.
    world
        .sql(
            "INSERT INTO attachments (id, owner_type, owner_id, file_path, file_name, mime_type) \
             SELECT gen_random_uuid(), 'beneficiary', gen_random_uuid(), '/srv/uploads/' || n || '.pdf', 'a', 'b' \
             FROM generate_series(1, 1000) AS n",
        )
        .await;
    let sample = json!({"recent": 0, "old": 0, "large": 0, "random": 1, "deleted": 5});
    world.policy(json!({"sample": sample, "listing_pages": 1})).await;
    let report = world.run(json!({"seed": "a"})).await;
    assert_eq!((&report["population"], &report["verdict"]), (&json!(1001), &json!("fail")), "{report}");
    assert!(report["findings"].to_string().contains(&format!("object {} Hidden", hidden.id)), "{report}");
    world.done().await;
}

#[tokio::test]
async fn a_seed_chooses_the_same_attachments_again() {
    let world = World::fresh().await;
    for _ in 0..25 {
        world.attachment().await;
    }
    let sample = json!({"recent": 0, "old": 0, "large": 0, "random": 5, "deleted": 0});
    world.policy(json!({"sample": sample})).await;
    let mut tested = Vec::new();
    for seed in ["a", "a", "b"] {
        let report = world.run(json!({"seed": seed})).await;
        assert_eq!((&report["population"], &report["tested"]), (&json!(25), &json!(5)), "{report}");
        let record = world.record_of(report["run_id"].as_str().unwrap()).await;
        let steps = record["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap());
        let objects: Vec<String> =
            steps.filter_map(|name| name.strip_prefix("object ").map(str::to_owned)).collect();
        assert_eq!(objects.len(), 5);
        tested.push(objects);
    }
    assert_eq!(tested[0], tested[1]);
    assert_ne!(tested[0], tested[2]);
    // 5 of 25: with 11 damaged ones, five sound ones have a probability of 3.8 %, with 10 of 5.7 %.
    let messages =
        world.cloud.messages("com 5 sorteados de 25 íntegros, no máximo 40,0 % estão danificados").await;
    assert_eq!(messages.len(), 3);
    world.done().await;
}

#[tokio::test]
async fn every_crash_point_of_attachment_restore_test_recovers() {
    let world = World::fresh().await;
    let sound = world.attachment().await;
    world.put(BUCKET, &sound.key, b"wrong").await;
    world.put(BUCKET, &sound.key, &sound.content).await;
    let damaged = world.attachment().await;
    world.put(BUCKET, &damaged.key, b"wrong").await;
    let next = AtomicU32::new(30);
    let points = matrix::points_and_reads(8, async |kill| {
        let event = scheduled(next.fetch_add(1, Ordering::Relaxed));
        crash(&world, &event, &damaged, kill).await
    })
    .await;
    let records = world.records().await;
    let runs: std::collections::BTreeSet<_> =
        records.iter().map(|record| record["run_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(runs.len(), records.len());
    matrix::write(PROCEDURE, &points, json!({}));
    world.done().await;
}

/// Kills the function at a call of a run, and delivers the event again; `None` when it makes fewer calls.
async fn crash(world: &World, event: &Value, damaged: &Attachment, kill: Kill) -> Option<Value> {
    let cloud = &world.cloud;
    cloud.calm().await;
    let before = cloud.last_call().await;
    cloud.fault(kill.rule()).await;
    let first = cloud.invoke(event.clone()).await;
    let is_killed = cloud.hits("kill").await > 0;
    let killed = cloud.calls(before).await.0.last().cloned();
    cloud.admin(Method::DELETE, "faults", None).await;
    let report = if is_killed { world.run(event.clone()).await } else { first.unwrap() };
    let verdict = report["verdict"].as_str().unwrap();
    assert!(["fail", "already"].contains(&verdict), "{kill} ({killed:?}): {report}");
    world.nothing_is_left().await;
    let run = day(event);
    let outcome = world.step(&run, "checksum", &damaged.id).await;
    assert!(outcome.starts_with("fail"), "{kill} ({killed:?}): {outcome}");
    // Reported once, or twice if the crash fell between the message and its record.
    let reported = cloud.messages(&run).await.len();
    assert!((1..=2).contains(&reported), "{kill} ({killed:?}): reported {reported} times");
    is_killed.then(|| json!({"operation": killed, "reported": reported, "end": "succeeded"}))
}
