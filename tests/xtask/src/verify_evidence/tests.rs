use chain::anchor::{Anchor, Newest, next};
use chain::sha256;
use clap::Parser;
use serde_json::json;
use tempfile::TempDir;

use super::*;

const BUCKET: &str = "moveongs-dev-evidence-000000000000";

const BEGUN: &str = "runs/rotate-random/begun.json";

/// A copy of a bucket in a temporary folder, as it is after `aws s3 sync`.
struct Copy(TempDir);

impl Copy {
    /// Two chains with these lengths, with the notes of their runs.
    fn of(lengths: [(&str, u64); 2]) -> Self {
        let copy = Self(TempDir::new().unwrap());
        for (procedure, length) in lengths {
            let folder = Folder::records(procedure);
            let mut previous = Value::Null;
            for sequence in 1..=length {
                let record = record(procedure, sequence, &previous);
                let key = folder.key(sequence);
                copy.write(&key, &record);
                let link = json!({"key": key, "sha256": sha256(record.as_bytes())});
                let run = sha256(format!("run-{sequence}").as_bytes());
                copy.write(&format!("runs/{procedure}/{run}.json"), &json!({"key": key}).to_string());
                if sequence == 1 {
                    let mark = json!({"sequence": 1, "key": link["key"], "sha256": link["sha256"]});
                    copy.write(&format!("runs/{procedure}/begun.json"), &mark.to_string());
                }
                previous = link;
            }
        }
        copy.write("runs/rotate-random/journal.json", r#"{"rows": []}"#);
        copy
    }

    fn path(&self, key: &str) -> PathBuf {
        self.0.path().join(key)
    }

    fn write(&self, key: &str, text: &str) {
        fs::create_dir_all(self.path(key).parent().unwrap()).unwrap();
        fs::write(self.path(key), text).unwrap();
    }

    fn key(sequence: u64) -> String {
        Folder::records("rotate-random").key(sequence)
    }

    /// Key of the note of the run that wrote a record.
    fn note(sequence: u64) -> String {
        format!("runs/rotate-random/{}.json", sha256(format!("run-{sequence}").as_bytes()))
    }

    /// Deletes an object, or all below a prefix.
    fn remove(&self, key: &str) {
        let path = self.path(key);
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.unwrap();
    }

    /// The list of versions that S3 would print for this copy.
    fn listed(&self) -> Value {
        self.listed_below("evidence")
    }

    fn listed_below(&self, folder: &str) -> Value {
        let versions: Vec<Value> = objects(&self.path(folder), folder)
            .unwrap()
            .into_iter()
            .map(|Object { key, path }| {
                json!({"Key": key, "VersionId": "v1", "IsLatest": true, "ETag": "\"x\"",
                    "Size": fs::metadata(path).unwrap().len(), "LastModified": "2026-03-20T12:00:00+00:00"})
            })
            .collect();
        json!({"Versions": versions})
    }

    /// The anchors of the stack as it is, one after the other.
    fn anchor(&self, newest: Option<Anchor>) -> Anchor {
        let judged = judged(self.0.path(), &options(&[])).unwrap();
        let newest = newest.map(Newest::from);
        let now = "2026-03-20T12:00:00Z".parse().unwrap();
        next(newest.as_ref(), &judged.stack, BUCKET, &judged.verdicts, now).unwrap().unwrap()
    }

    /// Whether everything is verified, and what is said.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> (bool, String) {
        let judged = judged(self.0.path(), &options(arguments)).unwrap();
        (judged.is_verified(), judged.text(Language::English))
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], expected: &[&str]) {
        let (is_verified, said) = self.told(arguments);
        assert!(!is_verified && said.ends_with("\nNOT VERIFIED"), "{said}");
        for part in expected {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

fn options(arguments: &[&str]) -> Options {
    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }
    Command::try_parse_from(std::iter::once("x").chain(arguments.iter().copied())).unwrap().options
}

fn record(procedure: &str, sequence: u64, previous: &Value) -> String {
    let instant = json!({"utc": format!("2026-03-{:02}T12:00:00Z", sequence), "local": "x"});
    let record = json!({
        "schema": 1, "procedure": procedure, "sequence": sequence, "previous": previous,
        "run_id": format!("run-{sequence}"), "project": "moveongs", "environment": "dev", "trigger": "x",
        "subject": "x", "started": instant, "ended": instant, "steps": [], "findings": [],
        "result": "succeeded", "code_version": "x", "channel": "sent"
    });
    serde_json::to_string_pretty(&record).unwrap()
}

fn whole() -> Copy {
    Copy::of([("backup-audit", 3), ("rotate-random", 9)])
}

#[test]
fn a_whole_copy_is_verified_and_its_limits_are_told() {
    let copy = whole();
    let (is_verified, said) = copy.told(&[]);
    assert!(is_verified, "{said}");
    let table = "stack: moveongs, dev

chain          state     read  newest  ended              SHA-256       anchored
─────────────  ────────  ────  ──────  ─────────────────  ────────────  ────────
backup-audit   verified  3     3       2026-03-03 12:00Z  ";
    assert!(said.starts_with(table), "{said}");
    assert!(said.ends_with("\nverified: 2 chains, 12 objects"), "{said}");
    for limit in ["(--versions)", "(--anchors)", "(--project, --environment)"] {
        assert!(said.contains(limit), "{said}");
    }
    for limit in ["not compared with runs", "a run noted", "not compared with their run's note"] {
        assert!(!said.contains(limit), "{said}");
    }
    // With everything, what is left is what no anchor can know yet, and that S3 stored some records late.
    let anchor = copy.anchor(None);
    copy.write(&anchor.key(), std::str::from_utf8(&anchor.bytes()).unwrap());
    copy.write("anchor.json", std::str::from_utf8(&anchor.bytes()).unwrap());
    copy.write("versions.json", &copy.listed().to_string());
    copy.write("anchor-versions.json", &copy.listed_below("anchors").to_string());
    let path = |name: &str| copy.path(name).display().to_string();
    let (versions, folder, file) = (path("versions.json"), path("anchors"), path("anchor.json"));
    let (_, said) = copy.told(&["--versions", &versions, "--anchors", &folder]);
    assert!(said.contains("(--versions of the anchors' bucket)"), "{said}");
    let of_anchors = path("anchor-versions.json");
    let all = ["--versions", &versions, "--versions", &of_anchors, "--anchors", &folder, "--anchors", &file];
    let all = [&all[..], &["--project", "moveongs", "--environment", "dev", "--bucket", BUCKET]].concat();
    let (is_verified, said) = copy.told(&all);
    assert!(is_verified && said.contains("verified: 3 chains, 13 objects"), "{said}");
    assert!(said.contains("9 (2026-03-20 12:00Z)"), "{said}");
    for limit in ["--versions", "--anchors", "--project", "not compared"] {
        assert!(!said.contains(limit), "{said}");
    }
    assert!(said.contains("written after the newest anchor (2026-03-20 12:00Z)"), "{said}");
    assert!(said.contains("S3 stored 9 records up to 456 h"), "{said}");
    // The same with the anchors' own folder.
    let folder = path("anchors/moveongs/dev");
    assert!(copy.told(&["--anchors", &folder]).0);
    // Another stack or bucket than the records and anchors are of.
    copy.fails(&["--project", "moveongs", "--environment", "prod"], &["EvidenceOfOtherStack"]);
    copy.fails(&["--anchors", &path("anchors"), "--bucket", "other"], &["EvidenceOfOtherBucket"]);
}

#[test]
fn what_a_copy_shows_alone_is_named_with_its_key() {
    /// A change to the copy, and parts of what is said then.
    type Case = (fn(&Copy), &'static [&'static str]);
    let cases: [Case; 12] = [
        (
            |copy| fs::remove_file(copy.path(&Copy::key(4))).unwrap(),
            &[
                "EvidenceMissing: record 4 of rotate-random is missing",
                "rotate-random  WRONG",
                "change nothing",
            ],
        ),
        (
            |copy| {
                let text = fs::read_to_string(copy.path(&Copy::key(4))).unwrap();
                copy.write(&Copy::key(4), &text.replace("succeeded", "failed"));
            },
            &["EvidenceAltered: record 4 of rotate-random is not the one that number 5 names"],
        ),
        (
            |copy| {
                let other = Folder::records("backup-audit").key(3);
                fs::copy(copy.path(&other), copy.path(&Copy::key(3))).unwrap();
            },
            &[
                "EvidenceOfOtherProcedure: in the place of record 3 of rotate-random is a record of backup-audit",
            ],
        ),
        (
            |copy| copy.write("evidence/readme\u{1b}[2J.txt", "x"),
            &["EvidenceForeign: evidence/readme?[2J.txt is no object of the chain"],
        ),
        (
            |copy| copy.write("evidence/rotate-random/x/y.json", "x"),
            &["evidence/rotate-random/x/y.json is no"],
        ),
        (
            |copy| {
                let last = Copy::key(9);
                [9, 8].into_iter().for_each(|one| fs::remove_file(copy.path(&Copy::key(one))).unwrap());
                assert!(!copy.path(&last).exists());
            },
            &["EvidenceTruncated: rotate-random ends at number 7", "copy the bucket again"],
        ),
        (
            |copy| {
                let previous = json!({"key": Copy::key(9),
                    "sha256": sha256(&fs::read(copy.path(&Copy::key(9))).unwrap())});
                copy.write(&Copy::key(10), &record("rotate-random", 10, &previous));
            },
            &["EvidenceUnnoted: no run noted record 10"],
        ),
        (
            |copy| fs::remove_dir_all(copy.path("evidence/rotate-random")).unwrap(),
            &["EvidenceGone: nothing of rotate-random is left, and the note runs/rotate-random/"],
        ),
        // The notes of single runs name the chain without the note that it has begun, or with one that is padded.
        (
            |copy| {
                fs::remove_dir_all(copy.path("evidence/rotate-random")).unwrap();
                fs::remove_file(copy.path(BEGUN)).unwrap();
            },
            &["EvidenceGone: nothing of rotate-random is left, and the note runs/rotate-random/"],
        ),
        (
            |copy| {
                let mark = fs::read_to_string(copy.path(BEGUN)).unwrap();
                fs::remove_dir_all(copy.path("evidence/rotate-random")).unwrap();
                fs::remove_dir_all(copy.path("runs/rotate-random")).unwrap();
                copy.write(BEGUN, &format!("{mark}{}", " ".repeat(10_000)));
            },
            &["EvidenceGone: nothing of rotate-random is left, and the note runs/rotate-random/begun.json"],
        ),
        (
            |copy| {
                fs::remove_dir_all(copy.path("evidence/rotate-random")).unwrap();
                fs::remove_dir_all(copy.path("runs/rotate-random")).unwrap();
                copy.write(BEGUN, &" ".repeat(usize::try_from(MOST_BYTES).unwrap() + 1));
            },
            &[
                "rotate-random  UNKNOWN",
                "runs/rotate-random/begun.json could not be read: it has 4194305 bytes",
            ],
        ),
        // Whole in itself, of a procedure that keeps no chain.
        (
            |copy| {
                let forged = record("incident-page", 1, &Value::Null);
                copy.write(&Folder::records("incident-page").key(1), &forged);
            },
            &[
                "EvidenceOfNoProcedure: evidence/incident-page/: the product has no procedure incident-page",
                "incident-page  verified",
            ],
        ),
    ];
    for (change, expected) in cases {
        let copy = whole();
        change(&copy);
        copy.fails(&[], expected);
    }
    assert!(judged(TempDir::new().unwrap().path(), &options(&[])).is_err());
    // Of all chains, the notes are left, which name no stack.
    let copy = whole();
    copy.remove("evidence");
    assert!(judged(copy.0.path(), &options(&[])).is_err());
    copy.fails(
        &["--project", "moveongs", "--environment", "dev"],
        &["EvidenceGone: nothing of rotate-random", "EvidenceGone: nothing of backup-audit"],
    );
}

#[test]
fn what_deletions_leave_verified_is_said_not_to_be_compared() {
    /// Objects that are deleted, and what is said then, verified as it is.
    type Case = (fn(&Copy), &'static [&'static str]);
    let cases: [Case; 7] = [
        (
            |copy| {
                ["evidence", "runs"].iter().for_each(|folder| copy.remove(&format!("{folder}/rotate-random")))
            },
            &["verified: 1 chains", "or one deleted with its notes: only anchors", ", rotate-random, "],
        ),
        (|copy| copy.remove("runs"), &["not compared with runs/, which the copy does not have"]),
        (
            |copy| copy.remove("runs/rotate-random"),
            &[
                "rotate-random: the first 9 records were not compared with their run's note",
                "rotate-random: not compared with runs/rotate-random/begun.json, which is missing",
            ],
        ),
        // The notes of the first runs alone.
        (
            |copy| [1, 2].into_iter().for_each(|one| copy.remove(&Copy::note(one))),
            &["rotate-random: the first 2 records were not compared"],
        ),
        (|copy| copy.remove(BEGUN), &["rotate-random: not compared with runs/rotate-random/begun.json"]),
        (|copy| copy.remove(&Copy::key(9)), &["rotate-random: a run noted record 9, which is not there"]),
        // Everything but the first run's note, which a run that died before its record leaves too.
        (
            |copy| {
                let first = fs::read_to_string(copy.path(&Copy::note(1))).unwrap();
                ["evidence", "runs"]
                    .iter()
                    .for_each(|folder| copy.remove(&format!("{folder}/rotate-random")));
                copy.write(&Copy::note(1), &first);
            },
            &["rotate-random: a run noted record 1, which is not there", ", rotate-random, "],
        ),
    ];
    for (change, expected) in cases {
        let copy = whole();
        let before = copy.told(&[]).1;
        change(&copy);
        let (is_verified, said) = copy.told(&[]);
        assert!(is_verified, "{said}");
        for part in expected {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(expected.iter().any(|part| !before.contains(part)), "{before}");
    }
    // A record and its note, with all that knows more.
    let copy = whole();
    [Copy::key(9), Copy::note(9)].iter().for_each(|key| copy.remove(key));
    let (is_verified, said) = copy.told(&[]);
    assert!(is_verified && said.contains("a chain cut or changed at its end"), "{said}");
    assert!(said.contains("whether the evidence is that of the stack that is meant"), "{said}");
}

#[test]
fn what_is_newer_than_the_anchors_is_said_not_to_be_compared() {
    let copy = whole();
    let [folder, file, list] =
        ["anchors", "anchor.json", "list.json"].map(|name| copy.path(name).display().to_string());
    let text = |anchor: &Anchor| String::from_utf8(anchor.bytes()).unwrap();
    copy.remove(&Copy::key(9));
    let first = copy.anchor(None);
    copy.write(&first.key(), &text(&first));
    let told = |copy: &Copy| {
        let (is_verified, said) = copy.told(&["--anchors", &folder]);
        assert!(
            is_verified && said.contains("written after the newest anchor (2026-03-20 12:00Z)"),
            "{said}"
        );
        said
    };
    assert!(!told(&copy).contains("not compared with an anchor"));
    let whole = whole();
    copy.write(&Copy::key(9), &fs::read_to_string(whole.path(&Copy::key(9))).unwrap());
    let mut previous = Value::Null;
    for sequence in 1..=2 {
        let record = record("policy", sequence, &previous);
        let key = Folder::records("policy").key(sequence);
        copy.write(&key, &record);
        previous = json!({"key": key, "sha256": sha256(record.as_bytes())});
    }
    let said = told(&copy);
    assert!(
        said.contains("not compared with an anchor: policy from 1 on, rotate-random from 9 on"),
        "{said}"
    );
    // The last anchor, deleted: only a copy elsewhere knows it.
    let second = copy.anchor(Some(first));
    copy.write("anchor.json", &text(&second));
    assert!(
        told(&copy).contains("not compared with a copy elsewhere, such as the repository's (--anchors FILE)")
    );
    copy.fails(
        &["--anchors", &folder, "--anchors", &file],
        &["EvidenceTruncated: anchors ends at number 1", "anchor.json) shows that number 2 existed"],
    );
    // All of them: the folder is not one of anchors.
    copy.remove("anchors");
    fs::create_dir(copy.path("anchors")).unwrap();
    copy.fails(&["--anchors", &folder], &["anchors        EMPTY"]);
    copy.fails(&["--anchors", &folder, "--anchors", &file], &["EvidenceGone: nothing of anchors is left"]);
    // What a list shows of them is never left unread.
    copy.write(&second.key(), &text(&second));
    copy.write("list.json", &copy.listed_below("anchors").to_string());
    for arguments in [&["--versions", &list][..], &["--versions", &list, "--anchors", &file]] {
        assert!(judged(copy.0.path(), &options(arguments)).is_err(), "{arguments:?}");
    }
}

#[test]
fn the_procedures_with_a_chain_are_those_that_may_write_one() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let template = fs::read_to_string(template).unwrap();
    let policy = template.split("\n  EvidenceBucketPolicy:").nth(1).unwrap();
    let policy = policy.split("\n  # ").next().unwrap();
    let written: BTreeSet<&str> = policy
        .split("${EvidenceBucket.Arn}/evidence/")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("/*")?.0))
        .filter(|name| name.chars().all(|one| one.is_ascii_lowercase() || one == '-'))
        .collect();
    assert_eq!(written, BTreeSet::from(PROCEDURES));
}

#[test]
fn what_only_the_list_of_versions_shows_is_named() {
    let with = |change: fn(&Copy, &mut Value), expected: &[&str]| {
        let copy = whole();
        let mut listed = copy.listed();
        change(&copy, &mut listed);
        copy.write("versions.json", &listed.to_string());
        copy.fails(&["--versions", &copy.path("versions.json").display().to_string()], expected);
    };
    with(
        |copy, listed| {
            fs::remove_file(copy.path(&Copy::key(9))).unwrap();
            let versions = listed["Versions"].as_array_mut().unwrap();
            let hidden = versions.iter_mut().find(|one| one["Key"] == Copy::key(9)).unwrap();
            hidden["IsLatest"] = false.into();
            listed["DeleteMarkers"] = json!([{"Key": Copy::key(9), "VersionId": "m", "IsLatest": true,
                "LastModified": "2026-03-21T12:00:00+00:00"}]);
        },
        &["EvidenceHidden: a delete marker hides record 9 of rotate-random (version m)"],
    );
    with(
        |_, listed| {
            let versions = listed["Versions"].as_array_mut().unwrap();
            let mut again = versions.iter_mut().find(|one| one["Key"] == Copy::key(9)).unwrap().clone();
            again["IsLatest"] = false.into();
            again["VersionId"] = "v0".into();
            versions.push(again);
        },
        &["EvidenceReplaced: record 9 of rotate-random was written more than once"],
    );
    with(
        |copy, _| fs::remove_file(copy.path(&Copy::key(9))).unwrap(),
        &["rotate-random  UNKNOWN", "the list of versions has it, and the copy does not"],
    );
    with(
        |copy, _| copy.write(&Copy::key(9), "{}"),
        &["rotate-random  UNKNOWN", "the copy has another size than the list of versions"],
    );
    with(
        |_, listed| listed["Versions"].as_array_mut().unwrap().retain(|one| one["Key"] != Copy::key(4)),
        &["EvidenceMissing: record 4", "the copy has it, and the list of versions does not"],
    );
    with(
        |_, listed| {
            let planted = json!({"Key": "evidence/x", "VersionId": "v", "IsLatest": true, "Size": 1,
                "LastModified": "2026-03-21T12:00:00+00:00"});
            listed["Versions"].as_array_mut().unwrap().push(planted);
        },
        &["EvidenceForeign: evidence/x is no object of the chain"],
    );
    // A record that was written between the list and the copy.
    let copy = whole();
    let mut listed = copy.listed();
    listed["Versions"].as_array_mut().unwrap().retain(|one| one["Key"] != Copy::key(9));
    copy.write("versions.json", &listed.to_string());
    let (is_verified, said) = copy.told(&["--versions", &copy.path("versions.json").display().to_string()]);
    assert!(is_verified && said.contains("other versions of 1 records that are newer"), "{said}");
    copy.write("cut.json", r#"{"Versions": [], "NextToken": "x"}"#);
    assert!(
        judged(copy.0.path(), &options(&["--versions", &copy.path("cut.json").display().to_string()]))
            .is_err()
    );
}

#[test]
fn a_list_of_something_else_is_refused() {
    let copy = whole();
    let file = copy.path("versions.json").display().to_string();
    copy.write("report/index.html", "page");
    for listed in [json!({}), json!({"Versions": []}), copy.listed_below("report")] {
        copy.write("versions.json", &listed.to_string());
        assert!(judged(copy.0.path(), &options(&["--versions", &file])).is_err(), "{listed}");
    }
}

#[test]
fn a_file_that_is_no_anchor_of_the_stack_verifies_nothing() {
    let copy = whole();
    let own = copy.anchor(None);
    let mut other = own.clone();
    other.stack.environment = "prod".to_owned();
    let text = |anchor: &Anchor| String::from_utf8(anchor.bytes()).unwrap();
    let file = copy.path("anchor.json").display().to_string();
    for (held, named) in [
        (String::new(), "EvidenceInvalid"),
        ("x".to_owned(), "EvidenceInvalid"),
        (text(&other), "EvidenceOfOtherStack"),
    ] {
        copy.write("anchor.json", &held);
        copy.fails(&["--anchors", &file], &[named, "anchor.json", "(--anchors)"]);
    }
    // One that names no chain shows nothing.
    let mut none = own.clone();
    none.heads.clear();
    copy.write("anchor.json", &text(&none));
    assert!(copy.told(&["--anchors", &file]).1.contains("(--anchors)"));
    copy.write("anchor.json", &text(&own));
    let (is_verified, said) = copy.told(&["--anchors", &file]);
    assert!(is_verified && !said.contains("(--anchors)"), "{said}");
}

#[test]
fn what_only_the_list_of_the_anchors_versions_shows_is_named() {
    let copy = whole();
    let first = copy.anchor(None);
    copy.write(&first.key(), std::str::from_utf8(&first.bytes()).unwrap());
    let [folder, file] = ["anchors", "versions.json"].map(|name| copy.path(name).display().to_string());
    let with = |change: fn(&mut Value), expected: &str| {
        let mut listed = copy.listed_below("anchors");
        change(&mut listed);
        copy.write("versions.json", &listed.to_string());
        copy.fails(&["--anchors", &folder, "--versions", &file], &[expected]);
    };
    with(
        |listed| {
            let mut again = listed["Versions"][0].clone();
            again["IsLatest"] = false.into();
            again["VersionId"] = "v0".into();
            listed["Versions"].as_array_mut().unwrap().push(again);
        },
        "EvidenceReplaced: number 1 of anchors was written more than once",
    );
    with(
        |listed| listed["Versions"][0]["Key"] = "anchors/moveongs/dev/9999999997.json".into(),
        "the list of versions has it, and the copy does not",
    );
}

#[test]
fn a_copy_that_is_consistent_in_itself_is_contradicted_by_anchors() {
    let copy = whole();
    let first = copy.anchor(None);
    let [folder, file] = ["anchors", "anchor.json"].map(|name| copy.path(name).display().to_string());
    copy.write(&first.key(), std::str::from_utf8(&first.bytes()).unwrap());
    copy.write("anchor.json", std::str::from_utf8(&first.bytes()).unwrap());
    // Rewritten from record 4 on, with all links made anew.
    let mut previous =
        json!({"key": Copy::key(3), "sha256": sha256(&fs::read(copy.path(&Copy::key(3))).unwrap())});
    for sequence in 4..=9 {
        let forged = record("rotate-random", sequence, &previous).replace("succeeded", "failed");
        copy.write(&Copy::key(sequence), &forged);
        previous = json!({"key": Copy::key(sequence), "sha256": sha256(forged.as_bytes())});
    }
    assert!(copy.told(&[]).0);
    let named = "EvidenceContradicted: record 9 of rotate-random is not the one that the anchor of 2026-03-20 12:00:00Z";
    copy.fails(&["--anchors", &folder], &[named, "anchors        verified"]);
    copy.fails(&["--anchors", &file], &[named, "anchor.json) names"]);
    // The whole bucket, its notes too.
    for folder in ["evidence/rotate-random", "runs/rotate-random"] {
        fs::remove_dir_all(copy.path(folder)).unwrap();
    }
    assert!(copy.told(&[]).0);
    copy.fails(&["--anchors", &folder], &["EvidenceGone: nothing of rotate-random is left"]);
    // No anchor where some were expected, or an unreadable one, is not verified.
    fs::remove_file(copy.path(&first.key())).unwrap();
    copy.fails(&["--anchors", &folder], &["anchors       EMPTY"]);
    copy.write(&first.key(), "x");
    copy.fails(&["--anchors", &folder], &["EvidenceInvalid: number 1 of anchors"]);
    // Nothing of the bucket is left.
    copy.write(&first.key(), std::str::from_utf8(&first.bytes()).unwrap());
    ["evidence", "runs"].iter().for_each(|folder| copy.remove(folder));
    copy.fails(
        &["--anchors", &folder, "--project", "moveongs", "--environment", "dev"],
        &["EvidenceGone: nothing of backup-audit is left", "EvidenceGone: nothing of rotate-random is left"],
    );
}

#[test]
fn the_way_to_a_copy_is_told_in_both_languages() {
    for language in [Language::English, Language::Portuguese] {
        let said = how(Some(BUCKET), language);
        for part in [
            &format!("aws s3api list-object-versions --bucket {BUCKET} --prefix evidence/"),
            &format!("aws s3 sync --exact-timestamps s3://{BUCKET}/evidence/"),
            "cargo xtask verify-evidence --copy copy",
        ] {
            assert!(said.contains(part), "{said}");
        }
        // A run during the copy makes no witness know more than the copy.
        let order = [
            "git fetch",
            "git show",
            "--prefix anchors/",
            "/anchors/",
            "--prefix evidence/",
            "/evidence/ ",
            "/runs/ ",
        ];
        let places = order.map(|part| said.find(part).unwrap());
        assert!(places.is_sorted(), "{places:?}: {said}");
    }
    let judged = judged(whole().0.path(), &options(&[])).unwrap();
    let said = judged.text(Language::Portuguese);
    assert!(said.ends_with("\nconfere: 2 cadeias, 12 objetos"), "{said}");
}
