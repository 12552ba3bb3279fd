//! The texts as people read them.

use serde_json::json;
use shared::runtime::language::Language;
use shared::testing::{settings, words};

use super::sentence::number;
use super::*;
use crate::TestError;
use crate::rules::line::{Check, Cure, Line, Outcome};
use crate::rules::progress::Progress;
use crate::rules::row::{Digest, Place, Row, Stratum};

const FUNCTION: &str = "moveongs-prod-attachment-restore-test";

fn every_outcome() -> Vec<Outcome> {
    let (text, digest) = (String::from("x"), Digest { bytes: 1, sha256: "ab".repeat(32) });
    vec![
        Outcome::Sound { bytes: 3 },
        Outcome::NoSize,
        Outcome::NoChecksum,
        Outcome::OddChecksum,
        Outcome::OtherBucket { bucket: text.clone() },
        Outcome::UnknownPlace,
        Outcome::Unreadable { why: text.clone() },
        Outcome::TooLarge { bytes: 1, expected: None },
        Outcome::NotAllListed { pages: 1 },
        Outcome::NotConfirmed { why: text.clone() },
        Outcome::Changed,
        Outcome::NoUploads { bucket: text.clone() },
        Outcome::NotDue,
        Outcome::NoApplication,
        Outcome::NoAccount { why: text.clone() },
        Outcome::MaskedLogin,
        Outcome::SecondFactor,
        Outcome::LoginFailed { answer: text.clone() },
        Outcome::RateLimited,
        Outcome::NotServed { status: 503 },
        Outcome::NotChecked,
        Outcome::Missing,
        Outcome::Absent { why: text.clone() },
        Outcome::Hidden { marker: "m".to_owned() },
        Outcome::KeyUnusable { code: "KMS.DisabledException".to_owned(), kms_key: None },
        Outcome::BrokenOff { why: text.clone(), cure: None },
        Outcome::Archived { is_tier: true, version: None },
        Outcome::WrongSize { expected: 1, found: 2, cure: None },
        Outcome::WrongContent { expected: text.clone(), found: text.clone(), cure: None },
        Outcome::RestoreDiffers { version: text.clone() },
        Outcome::NotSent { bucket: text.clone() },
        Outcome::SentDiffers { bucket: text },
        Outcome::ServedDiffers { found: digest },
        Outcome::ServedJson,
        Outcome::ServeFailed { status: 500 },
    ]
}

fn progress(outcomes: &[Outcome], sample: usize) -> Progress {
    let place = Place::of_path("s3://moveongs-prod-attachments/a b.pdf");
    let row = |n: usize| Row {
        id: format!("id-{n:03}"),
        place: place.clone(),
        size: Some(1),
        checksum: Some("x".to_owned()),
        has_odd_checksum: false,
        created: None,
        strata: [Stratum::Random].into(),
    };
    let mut progress = Progress {
        seed: "2026-11-30".to_owned(),
        population: 8_000,
        sample: (0..sample).map(row).collect(),
        deleted: Some(Vec::new()),
        is_confirmed: true,
        ..Progress::default()
    };
    for row in &progress.sample {
        let line = |outcome: &Outcome| Line {
            object: row.id.clone(),
            place: row.place.clone(),
            check: Check::Checksum,
            outcome: outcome.clone(),
        };
        progress.done.insert(row.id.clone(), outcomes.iter().map(line).collect());
    }
    progress
}

#[test]
fn every_outcome_has_its_sentence_in_both_languages() {
    for outcome in every_outcome() {
        let [portuguese, english] =
            [Language::Portuguese, Language::English].map(|language| sentence(&outcome, language));
        assert_ne!(portuguese, english, "{outcome:?}");
        for language in [Language::Portuguese, Language::English] {
            let message = summary(
                &settings(FUNCTION, language),
                "r",
                &progress(std::slice::from_ref(&outcome), 1),
                None,
            );
            assert!(message.text().contains(&sentence(&outcome, language)) || outcome.kind() == "Sound");
        }
    }
}

#[test]
fn the_report_states_the_confidence_of_its_sample() {
    let sound = progress(&[Outcome::Sound { bytes: 1 }], 60);
    assert_eq!(
        result(&sound, Language::Portuguese),
        "60 de 8.000 anexos testados (semente 2026-11-30); com 60 sorteados de 8.000 íntegros, no máximo 4,9 % estão danificados, com 95 % de confiança"
    );
    assert!(
        result(&sound, Language::English).contains("with 60 randomly chosen of 8,000 sound, at most 4.9 %")
    );
    let damaged = progress(&[Outcome::Missing], 60);
    assert!(result(&damaged, Language::Portuguese).contains("60 com dano: no máximo 100,0 % de todos"));
    // Those that were not compared may be the damaged ones.
    let mut partly = progress(&[Outcome::Sound { bytes: 1 }], 60);
    for id in ["id-000", "id-001"] {
        partly.done.get_mut(id).unwrap()[0].outcome = Outcome::Archived { is_tier: false, version: None };
        partly.done.get_mut(id).unwrap()[0].check = Check::Download;
    }
    let said = result(&partly, Language::Portuguese);
    assert!(
        said.contains("de 60 sorteados, 58 comparados, 0 com dano; contando como danificados os 2 sem"),
        "{said}"
    );
    assert!(said.contains("no máximo 10,1 % de todos"), "{said}");
    let unknown = progress(&[Outcome::NoChecksum], 60);
    assert!(result(&unknown, Language::English).contains("says nothing about the others"));
    assert_eq!(number(1_234_567, Language::English), "1,234,567");
    assert_eq!(number(999, Language::Portuguese), "999");
}

#[test]
fn the_command_for_damage_is_one_that_a_shell_reads() {
    let settings = settings(FUNCTION, Language::Portuguese);
    let hidden = Outcome::Hidden { marker: "m1".to_owned() };
    let altered = Outcome::WrongContent {
        expected: "a".to_owned(),
        found: "b".to_owned(),
        cure: Some(Cure { version: "v1".to_owned(), kms_key: Some("arn:k".to_owned()) }),
    };
    let message = summary(&settings, "r", &progress(&[hidden, altered], 1), None).text();
    let commands: Vec<_> =
        message.split('`').skip(1).step_by(2).filter(|code| code.contains("aws s3api")).map(words).collect();
    assert_eq!(
        commands,
        [
            &[
                "s3api",
                "delete-object",
                "--bucket",
                "moveongs-prod-attachments",
                "--key",
                "a b.pdf",
                "--version-id",
                "m1"
            ][..],
            &[
                "s3api",
                "copy-object",
                "--bucket",
                "moveongs-prod-attachments",
                "--key",
                "a b.pdf",
                "--copy-source",
                "moveongs-prod-attachments/a b.pdf?versionId=v1",
                "--server-side-encryption",
                "aws:kms",
                "--ssekms-key-id",
                "arn:k"
            ][..],
        ]
    );
    let again = json!({"seed": "2026-11-30"}).to_string();
    assert!(message.contains(&format!("echo '{again}' | aws lambda invoke --function-name {FUNCTION}")));
    assert!(message.contains("/dev/stdout --cli-read-timeout 910`"), "{message}");
}

#[test]
fn a_key_that_is_of_no_use_is_told_with_the_command_for_its_state() {
    let settings = settings(FUNCTION, Language::Portuguese);
    let commands = |code: &str, kms_key: Option<&str>| -> Vec<String> {
        let outcome = Outcome::KeyUnusable { code: code.to_owned(), kms_key: kms_key.map(str::to_owned) };
        let text = summary(&settings, "r", &progress(&[outcome], 1), None).text();
        let codes = text.split('`').skip(1).step_by(2).map(str::to_owned);
        codes.filter(|code| code.starts_with("aws kms") || code.starts_with("aws s3api")).collect()
    };
    let look = "aws s3api head-object --bucket moveongs-prod-attachments --key 'a b.pdf' --query SSEKMSKeyId --output text";
    let enable = "aws kms enable-key --key-id arn:k";
    assert_eq!(commands("KMS.DisabledException", Some("arn:k")), [enable, look]);
    let both = format!("aws kms cancel-key-deletion --key-id arn:k && {enable}");
    assert_eq!(commands("KMS.KMSInvalidStateException", Some("arn:k")), [both.as_str(), look]);
    assert_eq!(commands("KMS.NotFoundException", Some("arn:k")), [look]);
    assert_eq!(commands("KMS.DisabledException", None), [look]);
}

#[test]
fn an_archived_object_is_asked_back_as_its_archive_requires() {
    let settings = settings(FUNCTION, Language::Portuguese);
    let restore = |is_tier: bool, version: Option<&str>| {
        let outcome = Outcome::Archived { is_tier, version: version.map(str::to_owned) };
        let text = summary(&settings, "r", &progress(&[outcome], 1), None).text();
        assert!(text.contains("leva de 3 a 12 horas"), "{text}");
        let mut codes = text.split('`').filter(|code| code.contains("restore-object"));
        words(codes.next().unwrap()).split_off(6)
    };
    assert_eq!(restore(false, None), ["--restore-request", "Days=7"]);
    assert_eq!(restore(false, Some("v")), ["--version-id", "v", "--restore-request", "Days=7"]);
    assert_eq!(restore(true, None), ["--restore-request", "GlacierJobParameters={Tier=Standard}"]);
}

#[test]
fn what_is_too_large_is_compared_with_the_rows_checksum() {
    let settings = settings(FUNCTION, Language::Portuguese);
    let told = |expected: Option<&str>, check: Check| {
        let outcome = Outcome::TooLarge { bytes: 1 << 31, expected: expected.map(str::to_owned) };
        let mut progress = progress(&[outcome], 1);
        progress.done.get_mut("id-000").unwrap()[0].check = check;
        summary(&settings, "r", &progress, None).text()
    };
    let hash = "ab".repeat(32);
    let text = told(Some(&hash), Check::Object);
    assert!(text.contains("- | sha256sum` tem de responder") && text.contains(&hash), "{text}");
    for (check, part) in [(Check::Object, "gravar o checksum"), (Check::Restore, "não é provada")] {
        let text = told(None, check);
        assert!(text.contains(part) && !text.contains("sha256sum"), "{text}");
    }
}

#[test]
fn foreign_text_begins_no_line_and_no_format() {
    let settings = settings(FUNCTION, Language::Portuguese);
    let forged = Outcome::LoginFailed { answer: "500\n*Tudo certo* `aws s3 rb` \u{202e}".to_owned() };
    let text = summary(&settings, "r", &progress(&[forged], 1), None).text();
    assert!(text.contains("500??Tudo certo? ?aws s3 rb? ?"), "{text}");
}

#[test]
fn copies_that_were_not_removed_are_the_first_line() {
    let settings = settings(FUNCTION, Language::Portuguese);
    let line = Some("*cópias*".to_owned());
    let text = summary(&settings, "r", &progress(&[Outcome::Missing], 30), line).text();
    assert!(text.find("*cópias*").unwrap() < text.find("anexos testados").unwrap(), "{text}");
}

#[test]
fn many_failures_are_counted_and_paged_once() {
    let settings = settings(FUNCTION, Language::Portuguese);
    let progress = progress(&[Outcome::Missing], 30);
    let message = summary(&settings, "r", &progress, None).text();
    assert_eq!(message.matches("*Missing*").count(), 8);
    assert!(message.contains("E mais 22"));
    let page = page(&settings, "moveongs-prod-attachments", &progress);
    assert_eq!(page.dedup_key, "attachment-restore-test/moveongs-prod-attachments/AttachmentsDamaged");
    assert!(page.text.contains("docs/restauracao.md#anexos"), "{}", page.text);
}

#[test]
fn a_failed_run_has_a_next_step() {
    for language in [Language::Portuguese, Language::English] {
        let message = failed(&settings(FUNCTION, language), "r", &TestError::NoDatabaseSecret).text();
        assert!(message.contains("DatabaseSecretName"), "{message}");
    }
}
