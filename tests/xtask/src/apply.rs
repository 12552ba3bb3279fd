//! `cargo xtask policy`: reads and applies the policy in the evidence bucket, with the caller's credentials and AWS
//! CLI.
//!
//! Unlike the other commands, this one reaches a real AWS account: that of the caller's `aws`.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use policy::{Change, Document, KEY, MOST_BYTES, Policy, PolicyError};
use serde_json::{Value, json};

use crate::aws::text;
use crate::repo::Repo;

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Print the policy in force: who applied it, and its changes to the defaults
    Show {
        #[command(flatten)]
        place: Place,
    },
    /// Check a file and print what it would change
    Check {
        #[command(flatten)]
        place: Place,
        /// The JSON merge patch over shared/policy.json
        file: PathBuf,
    },
    /// Check a file, print what it changes, and put it in force
    ///
    /// Applies only a committed file, under the commit's author. The functions use it within a minute.
    Apply {
        #[command(flatten)]
        place: Place,
        /// The JSON merge patch over shared/policy.json
        file: PathBuf,
        /// Commit that holds the file [default: the newest one that changed it]
        #[arg(long)]
        commit: Option<String>,
        /// Why, in one line
        #[arg(long)]
        reason: Option<String>,
    },
}

#[derive(Args)]
pub(crate) struct Place {
    /// Project of the stack
    #[arg(long, default_value = "moveongs")]
    project: String,
    /// Environment of the stack: dev, staging or prod
    #[arg(long)]
    pub(crate) environment: String,
    /// The evidence bucket [default: PROJECT-ENVIRONMENT-evidence-ACCOUNT]
    #[arg(long)]
    bucket: Option<String>,
}

/// Printed if S3 refuses a version and no older version can be parsed.
const REFUSED: &str =
    "no version is in force: the functions refuse to start (PolicyUnread); below, the defaults stand in";

/// State of the policy's document in the bucket.
struct Held {
    /// Entity tag of the newest version; none without a document.
    tag: Option<String>,
    /// The newest version, or its parse error.
    newest: Option<Result<Document, String>>,
    /// The document in force. None means the defaults, unless S3 refused a version.
    in_force: Option<Document>,
    /// Whether S3 refused a version newer than the one in force.
    is_refused: bool,
}

impl Held {
    fn patch(&self) -> Value {
        self.in_force.as_ref().map_or_else(|| json!({}), |document| document.patch.clone())
    }
}

/// A committed file.
#[derive(Debug, Eq, PartialEq)]
struct Committed {
    commit: String,
    author: String,
    /// Relative to the repository's root.
    path: String,
}

pub(crate) fn policy(repo: &Repo, action: Action) -> Result<()> {
    match action {
        Action::Show { place } => show(&held(repo, &bucket(&place)?, aws)?),
        Action::Check { place, file } => {
            let patch = checked(&file)?;
            if differences(&held(repo, &bucket(&place)?, aws)?, &patch)?.is_empty() {
                println!("nothing changes");
            }
            Ok(())
        }
        Action::Apply { place, file, commit, reason } => {
            let patch = checked(&file)?;
            let Committed { commit, author, path } = committed(&file, commit.as_deref())?;
            let bucket = bucket(&place)?;
            let held = held(repo, &bucket, aws)?;
            let changes = differences(&held, &patch)?;
            let is_sound = held.newest.as_ref().is_none_or(Result::is_ok);
            // After a squash merge the same file has another commit, and the one in force is not on main. A document that differs
            // from its commit's file stays a finding until it is applied again.
            let is_file = |document: &Document| {
                document.path.as_ref() == Some(&path)
                    && is_ancestor(&file, &document.commit, &commit)
                    && held_by(&file, &document.commit).as_ref() == Some(&document.patch)
            };
            if changes.is_empty() && is_sound && held.in_force.as_ref().is_none_or(is_file) {
                println!("nothing changes");
                return Ok(());
            }
            let mut document = Document::new(author, commit, patch, now());
            document.path = Some(path);
            document.reason = reason;
            put(repo, &bucket, held.tag.as_deref(), &document)?;
            println!("applied {} of {}: in force within a minute", document.commit, document.author);
            Ok(())
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program for people")]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn show(held: &Held) -> Result<()> {
    if let Some(Err(error)) = &held.newest {
        println!("the newest version is not in force: {error}");
    }
    match &held.in_force {
        Some(document) => {
            println!("commit {}", document.commit);
            if let Some(path) = &document.path {
                println!("file {path}");
            }
            println!("author {}", document.author);
            println!("applied {}", document.applied_at);
            if let Some(reason) = &document.reason {
                println!("reason {reason}");
            }
        }
        None if held.is_refused => println!("{REFUSED}"),
        None => println!("the defaults are in force"),
    }
    let changes = policy::changes(&policy::effective(&json!({}))?, &policy::effective(&held.patch())?);
    changes.iter().for_each(|change| println!("{change}"));
    Ok(())
}

/// Prints and returns a patch's changes to the policy in force.
fn differences(held: &Held, patch: &Value) -> Result<Vec<Change>> {
    if let Some(Err(error)) = &held.newest {
        println!("the newest version is not in force: {error}");
    }
    if held.in_force.is_none() && held.is_refused {
        println!("{REFUSED}");
    }
    let changes = policy::changes(&policy::effective(&held.patch())?, &policy::effective(patch)?);
    changes.iter().for_each(|change| println!("{change}"));
    Ok(changes)
}

/// The patch in a file, checked as the functions check it.
pub(crate) fn checked(file: &Path) -> Result<Value> {
    let read = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let patch = serde_json::from_str(&read).with_context(|| format!("{} is not JSON", file.display()))?;
    Policy::of(&patch).with_context(|| format!("{} is refused", file.display()))?;
    Ok(patch)
}

/// The commit that contains the file unchanged, and its author.
fn committed(file: &Path, commit: Option<&str>) -> Result<Committed> {
    let path = file.canonicalize().with_context(|| format!("{} cannot be read", file.display()))?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        bail!("{} is not a file", file.display());
    };
    let git = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).output();
        let output = output.context("git cannot be started")?;
        if !output.status.success() {
            bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let asked = match commit {
        Some(commit) => commit.to_owned(),
        None => git(&["log", "-1", "--format=%H", "--", name])?,
    };
    if asked.is_empty() {
        bail!("{} is not committed: commit it, merge it into main, and apply it then", file.display());
    }
    let commit = git(&["rev-parse", "--verify", "--end-of-options", &format!("{asked}^{{commit}}")])?;
    let held = git(&["rev-parse", "--verify", "--end-of-options", &format!("{commit}:./{name}")])
        .with_context(|| format!("{} is not in {commit}", file.display()))?;
    if held != git(&["hash-object", "--", name])? {
        bail!("{} is not as in {commit}: commit it, merge it into main, and apply it then", file.display());
    }
    let author = git(&["show", "-s", "--format=%an <%ae>", &commit])?;
    let path = format!("{}{name}", git(&["rev-parse", "--show-prefix"])?);
    Ok(Committed { commit, author, path })
}

/// Whether a commit equals another or is its ancestor; false if git does not know both.
fn is_ancestor(file: &Path, commit: &str, of: &str) -> bool {
    let Some(folder) = file.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned)) else {
        return false;
    };
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(["merge-base", "--is-ancestor", commit, of]);
    git.stdin(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The patch in a commit's version of a file; none if git cannot show it as JSON.
fn held_by(file: &Path, commit: &str) -> Option<Value> {
    let path = file.canonicalize().ok()?;
    let mut git = Command::new("git");
    git.arg("-C").arg(path.parent()?).arg("show").arg(format!("{commit}:./{}", path.file_name()?.to_str()?));
    let output = git.stdin(Stdio::null()).output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

/// Calls the caller's AWS CLI. The error is the CLI's own message.
pub(crate) fn aws(arguments: &[&str]) -> Result<Value> {
    let printed = printed(&[arguments, &["--output", "json"]].concat())?;
    if printed.is_empty() {
        return Ok(Value::Null);
    }
    Ok(serde_json::from_str(&printed)?)
}

/// What the caller's AWS CLI prints, trimmed. The error is the CLI's own message.
pub(crate) fn printed(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("aws");
    command.args(arguments).env("AWS_PAGER", "").stdin(Stdio::null());
    let output = command.output().context("`aws` cannot be started; install the AWS CLI")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The evidence bucket of an environment.
pub(crate) fn bucket(place: &Place) -> Result<String> {
    if let Some(bucket) = &place.bucket {
        return Ok(bucket.clone());
    }
    let caller = aws(&["sts", "get-caller-identity"])?;
    let account = text(&caller, "/Account").context("`aws sts get-caller-identity` names no account")?;
    Ok(format!("{}-{}-evidence-{account}", place.project, place.environment))
}

/// Path of a temporary file, which is removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new(repo: &Repo) -> Result<Self> {
        fs::create_dir_all(repo.local())?;
        Ok(Self(repo.local().join(format!("policy-{}.json", std::process::id()))))
    }

    fn path(&self) -> Result<&str> {
        self.0.to_str().context("the repository's path is not UTF-8")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The file may not exist.
        let _ = fs::remove_file(&self.0);
    }
}

/// Reads the newest version and the newest one that can be parsed, as the functions do. The AWS CLI lists all pages.
fn held(repo: &Repo, bucket: &str, aws: impl Fn(&[&str]) -> Result<Value>) -> Result<Held> {
    let listed = aws(&["s3api", "list-object-versions", "--bucket", bucket, "--prefix", KEY])?;
    let mut held = Held { tag: None, newest: None, in_force: None, is_refused: false };
    for version in versions(&listed) {
        let Some((id, tag, size)) = version else { break };
        let read = read(repo, bucket, id, size, &aws)?;
        held.is_refused |= matches!(read, Err(Unfit::Refused(_)));
        let read = read.map_err(|(Unfit::Refused(why) | Unfit::Broken(why))| why);
        if held.newest.is_none() {
            held.tag = Some(tag.to_owned());
            held.newest = Some(read.clone());
        }
        if let Ok(document) = read {
            held.in_force = Some(document);
            break;
        }
    }
    Ok(held)
}

/// The reason for skipping a version.
enum Unfit {
    /// S3 refused to return it.
    Refused(String),
    /// It cannot be parsed.
    Broken(String),
}

fn read(
    repo: &Repo,
    bucket: &str,
    id: &str,
    size: u64,
    aws: impl Fn(&[&str]) -> Result<Value>,
) -> Result<Result<Document, Unfit>> {
    if usize::try_from(size).is_ok_and(|size| size > MOST_BYTES) {
        return Ok(Err(Unfit::Broken(PolicyError::too_large(size).to_string())));
    }
    let scratch = Scratch::new(repo)?;
    let got =
        aws(&["s3api", "get-object", "--bucket", bucket, "--key", KEY, "--version-id", id, scratch.path()?]);
    match got.map_err(|error| error.to_string()) {
        Ok(_) => {}
        Err(said) if is_refusal(&said) => return Ok(Err(Unfit::Refused(said))),
        Err(said) => bail!(said),
    }
    let read = Document::read(&fs::read(&scratch.0)?);
    Ok(read.map(|(document, _)| document).map_err(|error| Unfit::Broken(error.to_string())))
}

/// Whether the AWS CLI reports a permanent refusal by S3; a retry does not help.
fn is_refusal(said: &str) -> bool {
    ["(AccessDenied)", "(InvalidObjectState)"].iter().any(|code| said.contains(code))
}

/// Ids, entity tags and sizes of the document's versions, newest first; none for a delete marker.
fn versions(listed: &Value) -> Vec<Option<(&str, &str, u64)>> {
    let of = |kind: &str| listed.get(kind).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let at = |one: &Value| text(one, "/LastModified").unwrap_or_default().to_owned();
    let is_latest = |one: &Value| one.get("IsLatest") == Some(&Value::Bool(true));
    let mut all: Vec<_> = of("Versions")
        .iter()
        .map(|one| {
            let size = one.get("Size").and_then(Value::as_u64).unwrap_or_default();
            let (id, tag) = (text(one, "/VersionId").unwrap_or("null"), text(one, "/ETag").unwrap_or(""));
            (one, Some((id, tag, size)))
        })
        .chain(of("DeleteMarkers").iter().map(|one| (one, None)))
        .filter(|(one, _)| text(one, "/Key") == Some(KEY))
        .collect();
    // A stable sort: versions of the same second keep S3's order.
    all.sort_by_key(|(one, _)| Reverse((is_latest(one), at(one))));
    all.into_iter().map(|(_, version)| version).collect()
}

/// Writes the document, unless another one was written since `tag` was read.
fn put(repo: &Repo, bucket: &str, tag: Option<&str>, document: &Document) -> Result<()> {
    let scratch = Scratch::new(repo)?;
    let bytes = serde_json::to_vec_pretty(document)?;
    Document::read(&bytes)?;
    fs::write(&scratch.0, bytes)?;
    let (condition, value) = match tag {
        Some(tag) => ("--if-match", tag),
        None => ("--if-none-match", "*"),
    };
    let arguments = ["s3api", "put-object", "--bucket", bucket, "--key", KEY, "--body", scratch.path()?];
    let more = ["--content-type", "application/json", "--checksum-algorithm", "SHA256", condition, value];
    let put = aws(&[&arguments[..], &more].concat());
    put.map(|_| ()).context(
        "nothing was applied. PreconditionFailed: another policy was applied meanwhile; look at it and try again. \
         AccessDenied: only the roles in the stack's DeployerArns may",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Build;

    fn run(folder: &Path, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder).args(["-c", "user.name=Ana", "-c", "user.email=ana@example.org"]);
        let output = git.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn only_what_is_committed_is_applied_under_its_author() {
        let folder = std::env::temp_dir().join(format!("xtask-policy-{}", std::process::id()));
        fs::create_dir_all(folder.join("policy")).unwrap();
        let file = folder.join("policy/prod.json");
        run(&folder, &["init", "--quiet"]);
        fs::write(&file, "{}").unwrap();
        assert!(committed(&file, None).is_err());
        run(&folder, &["add", "."]);
        run(&folder, &["commit", "--quiet", "-m", "first"]);
        let first = run(&folder, &["rev-parse", "HEAD"]);
        let expected = |commit: &str| Committed {
            commit: commit.to_owned(),
            author: "Ana <ana@example.org>".to_owned(),
            path: "policy/prod.json".to_owned(),
        };
        assert_eq!(committed(&file, None).unwrap(), expected(&first));
        // Through a link in another folder, it is still this repository's.
        let other = folder.with_extension("other");
        fs::create_dir_all(&other).unwrap();
        std::os::unix::fs::symlink(folder.join("policy"), other.join("policy")).unwrap();
        assert_eq!(committed(&other.join("policy/prod.json"), None).unwrap(), expected(&first));
        fs::remove_dir_all(&other).unwrap();
        // A commit that does not touch the file does not count.
        run(&folder, &["commit", "--quiet", "--allow-empty", "-m", "second"]);
        assert_eq!(committed(&file, None).unwrap(), expected(&first));
        let second = run(&folder, &["rev-parse", "HEAD"]);
        assert_eq!(committed(&file, Some("HEAD")).unwrap(), expected(&second));
        assert_eq!(held_by(&file, &first), Some(json!({})));
        assert_eq!(held_by(&file, "5eed00c0ffee5eed00c0ffee5eed00c0ffee5eed"), None);
        fs::write(&file, r#"{"incidents": {}}"#).unwrap();
        for commit in [None, Some("HEAD")] {
            let error = committed(&file, commit).unwrap_err();
            assert!(error.to_string().contains("is not as in"), "{error:#}");
        }
        assert!(committed(&file, Some("--upload-pack=x")).is_err());
        // After a squash merge, the applied commit is not on the branch.
        run(&folder, &["checkout", "--quiet", "--orphan", "other"]);
        run(&folder, &["commit", "--quiet", "--allow-empty", "-m", "squashed"]);
        let squashed = run(&folder, &["rev-parse", "HEAD"]);
        for (commit, of, expected) in [
            (&first, &first, true),
            (&first, &second, true),
            (&second, &first, false),
            (&second, &squashed, false),
            (&"5eed00c0ffee5eed00c0ffee5eed00c0ffee5eed".to_owned(), &second, false),
        ] {
            assert_eq!(is_ancestor(&file, commit, of), expected, "{commit} {of}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_versions_are_read_newest_first() {
        let version = |id: &str, at: &str, is_latest: bool| json!({"Key": KEY, "VersionId": id, "ETag": format!("e{id}"), "LastModified": at, "IsLatest": is_latest, "Size": 7});
        let other = json!({"Key": "policy/current.json.bak", "VersionId": "x", "LastModified": "9", "IsLatest": true});
        let listed = json!({"Versions": [version("2", "b", true), version("1", "a", false), other], "DeleteMarkers": []});
        assert_eq!(versions(&listed), [Some(("2", "e2", 7)), Some(("1", "e1", 7))]);
        let deleted =
            json!({"Versions": [version("1", "a", false)], "DeleteMarkers": [version("m", "a", true)]});
        assert_eq!(versions(&deleted), [None, Some(("1", "e1", 7))]);
        assert_eq!(versions(&json!({"RequestCharged": null})), []);
    }

    /// The state after these answers of S3 to versions 3, 2 and 1, newest first: a refusal's code or a content.
    fn held_of(answers: [Result<&str, &str>; 3], name: &str) -> Result<Held> {
        let root = std::env::temp_dir().join(format!("xtask-held-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let content = |id: &str| answers[3 - id.parse::<usize>().unwrap()];
        let held = held(&Repo { root: root.clone(), build: Build::Run }, "b", |arguments| match arguments {
            ["s3api", "list-object-versions", ..] => {
                let version = |id: &str| {
                    let size = content(id).map_or(9, str::len);
                    json!({"Key": KEY, "VersionId": id, "ETag": format!("e{id}"), "LastModified": id, "IsLatest": id == "3", "Size": size})
                };
                let all = ["3", "2", "1"].map(version);
                Ok(json!({"Versions": all}))
            }
            ["s3api", "get-object", .., "--version-id", id, path] => match content(id) {
                Ok(text) => Ok(fs::write(path, text).map(|()| Value::Null)?),
                Err(code) => bail!("An error occurred ({code}) when calling the GetObject operation: Denied"),
            },
            other => bail!("unexpected: {other:?}"),
        });
        fs::remove_dir_all(&root).unwrap();
        held
    }

    #[test]
    fn behind_a_version_that_s3_refuses_the_last_good_one_is_shown() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let commit = "5eed00c0ffee5eed00c0ffee5eed00c0ffee5eed".to_owned();
        let good = serde_json::to_string(&Document::new("Ana".to_owned(), commit, json!({}), now)).unwrap();
        for (case, answers, in_force, is_refused, said) in [
            ("denied", [Err("AccessDenied"), Ok(good.as_str()), Ok("")], true, true, "AccessDenied"),
            (
                "archived",
                [Err("InvalidObjectState"), Ok("{}"), Ok(good.as_str())],
                true,
                true,
                "InvalidObjectState",
            ),
            ("broken", [Ok("{}"), Ok(good.as_str()), Err("AccessDenied")], true, false, "missing field"),
            // The functions then refuse to start; the defaults are not in force.
            ("none", [Ok("{}"), Err("AccessDenied"), Ok("{}")], false, true, "missing field"),
        ] {
            let held = held_of(answers, case).unwrap();
            assert_eq!((held.in_force.is_some(), held.is_refused), (in_force, is_refused), "{case}");
            assert_eq!(held.tag.as_deref(), Some("e3"), "{case}");
            let newest = held.newest.unwrap().unwrap_err();
            assert!(newest.contains(said), "{case}: {newest}");
        }
        // An error that a retry may fix decides nothing.
        for code in ["SlowDown", "ExpiredToken"] {
            let error = held_of([Err(code), Ok(good.as_str()), Ok("")], code).err().unwrap();
            assert!(error.to_string().contains(code), "{error:#}");
        }
    }

    #[test]
    fn what_s3_refuses_stops_no_apply_and_a_failure_does() {
        let of =
            |code: &str| format!("An error occurred ({code}) when calling the GetObject operation: Denied");
        for (code, expected) in [
            ("AccessDenied", true),
            ("InvalidObjectState", true),
            ("SlowDown", false),
            ("ExpiredToken", false),
        ] {
            assert_eq!(is_refusal(&of(code)), expected, "{code}");
        }
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_fields_path() {
        let file = std::env::temp_dir().join(format!("xtask-wrong-policy-{}.json", std::process::id()));
        fs::write(&file, r#"{"backups": {"audit": {"grafana_days": 0}}}"#).unwrap();
        let error = format!("{:#}", checked(&file).unwrap_err());
        fs::remove_file(&file).unwrap();
        assert!(error.contains("backups.audit.grafana_days"), "{error}");
    }
}
