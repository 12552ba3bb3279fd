//! The copy of a document on a branch, against a strict model of GitHub's API.
//!
//! Source of the answers' form: [contents](https://docs.github.com/en/rest/repos/contents#create-or-update-file-contents),
//! [commits](https://docs.github.com/en/rest/commits/commits#get-a-commit),
//! [references](https://docs.github.com/en/rest/git/refs).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::chain::anchor::{Anchor, Anchors, Newest, next};
use shared::chain::{Head, Stack, State, Verdict, Verifier};
use shared::github::copy::{Commit, Place, Signature};
use shared::github::{GitHubError, Repository, Session, Setup};
use shared::run::anchors::Copied;
use shared::runtime::lambda::Invocation;
use shared::testing::Web;

const PLACE: Place<'_> = Place { branch: "governance/anchors", path: "docs/anchors/moveongs-dev.json" };

/// The branch: its commits of the file, oldest first; none if it does not exist.
#[derive(Clone, Default)]
struct Model {
    commits: Option<Vec<String>>,
    is_signed: bool,
    /// Answers of the next writes: `lost` after they took effect, or a refusal's status.
    faults: Vec<&'static str>,
}

impl Model {
    fn shown(&self, number: usize) -> Value {
        let reason = if self.is_signed { "valid" } else { "unsigned" };
        let verification = json!({"verified": self.is_signed, "reason": reason, "signature": null, "payload": null, "verified_at": null});
        json!({"sha": format!("commit-{number}"), "commit": {"message": "x", "verification": verification}})
    }

    fn answer(&mut self, request: &Request<Value>) -> Option<(u16, Value)> {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let path = path.strip_prefix("/repos/o/n").unwrap_or_else(|| panic!("{path}"));
        let body = request.body();
        let missing = || Some((404, json!({"message": "Not Found"})));
        match (request.method().as_str(), path) {
            ("GET", "") => Some((200, json!({"default_branch": "main"}))),
            ("GET", "/git/ref/heads/main") => Some((200, json!({"object": {"sha": "main-1"}}))),
            ("GET", "/git/ref/heads/governance/anchors") => match &self.commits {
                Some(_) => Some((200, json!({"object": {"sha": "x"}}))),
                None => missing(),
            },
            ("POST", "/git/refs") => {
                assert_eq!(*body, json!({"ref": "refs/heads/governance/anchors", "sha": "main-1"}));
                assert!(self.commits.is_none());
                self.commits = Some(Vec::new());
                Some((201, json!({})))
            }
            ("GET", "/contents/docs/anchors/moveongs-dev.json") => {
                assert_eq!(query, "ref=governance/anchors");
                match self.commits.as_deref() {
                    Some([.., newest]) => {
                        let content = STANDARD.encode(newest);
                        Some((
                            200,
                            json!({"type": "file", "encoding": "base64", "content": content, "sha": newest}),
                        ))
                    }
                    _ => missing(),
                }
            }
            ("PUT", "/contents/docs/anchors/moveongs-dev.json") => {
                assert_eq!(body["branch"], "governance/anchors");
                assert!(body["message"].as_str().unwrap().starts_with("Anchor"), "{body}");
                // An author or committer of our own would keep GitHub from signing.
                assert!(body.get("author").is_none() && body.get("committer").is_none(), "{body}");
                let fault = self.faults.pop();
                if let Some(status) = fault.and_then(|fault| fault.parse().ok()) {
                    return Some((status, json!({"message": "refused"})));
                }
                let commits = self.commits.as_mut().unwrap();
                assert_eq!(body.get("sha").and_then(Value::as_str), commits.last().map(String::as_str));
                let content = STANDARD.decode(body["content"].as_str().unwrap()).unwrap();
                commits.push(String::from_utf8(content).unwrap());
                let number = commits.len();
                (fault.is_none()).then(|| (201, json!({"commit": {"sha": format!("commit-{number}")}})))
            }
            ("GET", "/commits") => {
                assert_eq!(query, "sha=governance/anchors&path=docs/anchors/moveongs-dev.json&per_page=1");
                Some((200, json!([self.shown(self.commits.as_ref().unwrap().len())])))
            }
            ("GET", path) if path.starts_with("/commits/commit-") => {
                Some((200, self.shown(path["/commits/commit-".len()..].parse().unwrap())))
            }
            (method, path) => panic!("{method} {path}"),
        }
    }
}

/// A session with the model behind GitHub's API; what it was asked and became.
struct World {
    web: Web,
    model: Arc<Mutex<Model>>,
    repository: Repository,
    invocation: Invocation,
}

impl World {
    fn new(model: Model) -> Self {
        let model = Arc::new(Mutex::new(model));
        let shared = Arc::clone(&model);
        let web = Web::new(move |request| {
            let answer = shared.lock().unwrap().answer(request);
            answer.map(|(status, body)| Response::builder().status(status).body(body).unwrap())
        });
        let setup = Setup { repository: "R", secret: "S", permissions: "P" };
        let repository = Repository::new(web.url().parse().unwrap(), "o/n".to_owned(), setup).unwrap();
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        Self { web, model, repository, invocation: Invocation::new(now, Duration::from_secs(60)) }
    }

    fn session(&self) -> Session<'_> {
        self.repository.session(&SecretString::from("github_pat_1"), &self.invocation).unwrap()
    }

    fn model(&self) -> Model {
        self.model.lock().unwrap().clone()
    }

    /// Number of requests that may change something.
    fn writes(&self) -> usize {
        self.web.asked().iter().filter(|request| request.method() != "GET").count()
    }
}

/// Commits a content and returns the outcome, the model afterwards and the number of writes.
async fn commit(model: Model, content: &str) -> (Result<Commit, GitHubError>, Model, usize) {
    let world = World::new(model);
    let is_newer = |held: &[u8]| held > content.as_bytes();
    let done = PLACE.commit(&world.session(), content.as_bytes(), "Anchor", is_newer).await;
    let done = done.map(|(commit, held)| {
        assert!(held >= content.as_bytes().to_vec());
        commit
    });
    (done, world.model(), world.writes())
}

fn with(commits: &[&str]) -> Model {
    Model { commits: Some(commits.iter().map(|&text| text.to_owned()).collect()), ..Model::default() }
}

#[tokio::test]
async fn a_copy_is_committed_once_and_never_replaces_a_newer_one() {
    let unsigned = |number: usize| {
        let signature = Signature::Unverified("unsigned".to_owned());
        Ok(Commit { sha: format!("commit-{number}"), signature })
    };
    for (name, model, committed, writes, expected) in [
        ("no branch", Model::default(), unsigned(1), 2, &["2"][..]),
        ("no file", with(&[]), unsigned(1), 1, &["2"]),
        ("an older one", with(&["1"]), unsigned(2), 1, &["1", "2"]),
        ("the same", with(&["1", "2"]), unsigned(2), 0, &["1", "2"]),
        ("a newer one", with(&["1", "2", "3"]), unsigned(3), 0, &["1", "2", "3"]),
    ] {
        let (done, after, asked) = commit(model, "2").await;
        assert_eq!((done, asked), (committed, writes), "{name}");
        assert_eq!(after.commits.as_deref().unwrap(), expected, "{name}");
        // Twice as once.
        let (_, again, asked) = commit(after, "2").await;
        assert_eq!(
            (again.commits.unwrap(), asked),
            (expected.iter().map(|&text| text.to_owned()).collect(), 0)
        );
    }
}

#[tokio::test]
async fn a_commit_counts_as_signed_only_if_github_says_so() {
    let (done, ..) = commit(Model { is_signed: true, ..with(&["1"]) }, "2").await;
    assert_eq!(done.unwrap().signature, Signature::Verified);
    let (done, ..) = commit(with(&["1"]), "2").await;
    assert_eq!(done.unwrap().signature, Signature::Unverified("unsigned".to_owned()));
}

#[tokio::test]
async fn a_commit_that_was_refused_is_tried_again_and_one_that_was_lost_is_found() {
    for refused in ["409", "422"] {
        let (done, after, _) = commit(Model { faults: vec![refused], ..with(&["1"]) }, "2").await;
        assert_eq!((done.unwrap().sha, after.commits.unwrap().len()), ("commit-2".to_owned(), 2));
    }
    let (done, ..) = commit(Model { faults: vec!["409"; 9], ..with(&["1"]) }, "2").await;
    assert!(matches!(done, Err(GitHubError::Refused { status: 409, .. })), "{done:?}");
    // The process dies, or the answer is lost, after the commit: the next run finds it.
    let (done, after, _) = commit(Model { faults: vec!["lost"], ..with(&["1"]) }, "2").await;
    assert!(matches!(done, Err(GitHubError::Unreachable(_))), "{done:?}");
    let (done, after, writes) = commit(after, "2").await;
    assert_eq!((done.unwrap().sha, writes, after.commits.unwrap().len()), ("commit-2".to_owned(), 0, 2));
}

fn stack() -> Stack {
    Stack { project: "moveongs".to_owned(), environment: "dev".to_owned() }
}

/// Anchors of a chain with these heads, one after the other.
fn anchors(heads: &[(u64, &str)]) -> Vec<Newest> {
    let mut anchors: Vec<Newest> = Vec::new();
    for (sequence, sha256) in heads {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let head = Head { sequence: *sequence, sha256: (*sha256).to_owned(), ended: now, checkpoint: None };
        let verdict = Verdict { head: Some(head), ..Verifier::new("rotate-random").finish() };
        let anchor: Anchor = next(anchors.last(), &stack(), "evidence", [&verdict], now).unwrap().unwrap();
        anchors.push(anchor.into());
    }
    anchors
}

/// The newest of these anchors is copied, after the copy was taken as a witness. Returns whether it was, the state of the
/// anchors, and the copies afterwards.
async fn copied(held: &[&Newest], anchors: &[Newest]) -> (Option<Commit>, State, Vec<String>) {
    let text = |newest: &Newest| String::from_utf8(newest.bytes.clone()).unwrap();
    let held: Vec<String> = held.iter().map(|newest| text(newest)).collect();
    let world = World::new(with(&held.iter().map(String::as_str).collect::<Vec<_>>()));
    let (session, copy) = (world.session(), Copied::new("/docs/anchors/", &stack()));
    let mut read = copy.witness(&session, Anchors::new(stack(), Some("evidence"))).await.unwrap();
    anchors.iter().for_each(|newest| read.anchor(&newest.anchor.key(), &newest.bytes));
    let verdict = read.finish();
    let commit = copy.commit(&session, anchors.last().unwrap(), &verdict).await.unwrap();
    (commit, verdict.state(), world.model().commits.unwrap())
}

#[tokio::test]
async fn the_newest_anchor_is_copied_and_a_copy_that_contradicts_the_anchors_stays() {
    let own = anchors(&[(3, "a"), (5, "b"), (8, "c")]);
    for held in [&[][..], &[&own[0]], &[&own[1]]] {
        let (commit, state, copies) = copied(held, &own).await;
        assert_eq!((commit.unwrap().sha, state), (format!("commit-{}", held.len() + 1), State::Verified));
        assert_eq!(copies.last().unwrap().as_bytes(), own[2].bytes);
    }
    let (commit, state, copies) = copied(&[&own[2]], &own).await;
    assert_eq!((commit.unwrap().sha.as_str(), state, copies.len()), ("commit-1", State::Verified, 1));
    // The bucket of the anchors was rewritten, or cut, or the copy is none.
    let rewritten = anchors(&[(3, "a"), (5, "x"), (8, "y")]);
    let garbage = Newest { bytes: b"x".to_vec(), ..own[0].clone() };
    for (held, anchors) in [(&own[1], &rewritten[..]), (&own[2], &own[..2]), (&garbage, &own[..])] {
        let (commit, state, copies) = copied(&[held], anchors).await;
        assert_eq!((commit, state, copies.len()), (None, State::Damaged, 1));
    }
    // What the branch holds changed after it was taken as a witness: a newer one of another run is as good, and what is no
    // anchor, or another of this number, is not.
    let verdict = {
        let mut read = Anchors::new(stack(), Some("evidence"));
        own.iter().for_each(|newest| read.anchor(&newest.anchor.key(), &newest.bytes));
        read.finish()
    };
    for (held, is_as_good) in [(&own[2], true), (&garbage, false), (&rewritten[1], false)] {
        let text = String::from_utf8(held.bytes.clone()).unwrap();
        let world = World::new(with(&[&text]));
        let (session, copy) = (world.session(), Copied::new("docs/anchors", &stack()));
        let commit = copy.commit(&session, &own[1], &verdict).await.unwrap();
        assert_eq!((commit.is_some(), world.writes()), (is_as_good, 0));
    }
}
