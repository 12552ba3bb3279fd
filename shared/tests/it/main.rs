//! Proposals on GitHub, against a strict model of its API.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod copy;
mod folder;
mod in_force;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::github::proposal::{Change, Proposal, propose};
use shared::github::{GitHubError, Repository, Setup};
use shared::runtime::lambda::Invocation;
use shared::testing::Web;
use tokio::task::JoinSet;

const BRANCH: &str = "governance/log";
const CHANGE: Change<'_> = Change {
    base: None,
    branch: BRANCH,
    path: "docs/a b.md",
    // Long enough for GitHub to wrap its base64.
    content: "# Mudanças\n\n* the newest of the entries, which is a long one\n",
    message: "Log it",
    title: "The log",
    body: "Read it.",
};

#[derive(Clone)]
struct Commit {
    parents: Vec<usize>,
    file: Option<String>,
}

#[derive(Clone)]
struct Pull {
    number: u64,
    base: String,
    is_open: bool,
}

/// A repository with one file, and the pull requests from one branch.
#[derive(Clone)]
struct Model {
    commits: Vec<Commit>,
    branches: BTreeMap<String, usize>,
    pulls: Vec<Pull>,
}

type Refusal = (u16, Value);

fn refusal(status: u16, message: &str) -> Refusal {
    (status, json!({"message": message}))
}

fn invalid(reason: &str) -> Refusal {
    let reason = json!({"resource": "PullRequest", "code": "custom", "message": reason});
    (422, json!({"message": "Validation Failed", "errors": [reason]}))
}

fn blob(text: &str) -> String {
    format!("blob-{}", STANDARD.encode(text))
}

impl Model {
    fn new() -> Self {
        let branches = [("main".to_owned(), 0), ("release".to_owned(), 0)].into();
        Self { commits: vec![Commit { parents: vec![], file: None }], branches, pulls: vec![] }
    }

    fn file(&self, branch: &str) -> Option<&str> {
        self.commits[*self.branches.get(branch)?].file.as_deref()
    }

    fn commit(&mut self, branch: &str, more: Option<usize>, text: &str) {
        let parents = std::iter::once(self.branches[branch]).chain(more).collect();
        self.commits.push(Commit { parents, file: Some(text.to_owned()) });
        self.branches.insert(branch.to_owned(), self.commits.len() - 1);
    }

    fn history(&self, commit: usize) -> BTreeSet<usize> {
        let parents = self.commits[commit].parents.iter();
        parents.flat_map(|parent| self.history(*parent)).chain([commit]).collect()
    }

    fn has_commits(&self, base: &str) -> bool {
        !self.history(self.branches[base]).contains(&self.branches[BRANCH])
    }

    fn open(&mut self, base: &str) -> Result<u64, Refusal> {
        if self.pulls.iter().any(|pull| pull.is_open && pull.base == base) {
            return Err(invalid("A pull request already exists for o:governance/log."));
        }
        if !self.branches.contains_key(BRANCH) {
            let reason = json!({"resource": "PullRequest", "field": "head", "code": "invalid"});
            return Err((422, json!({"message": "Validation Failed", "errors": [reason]})));
        }
        if !self.has_commits(base) {
            return Err(invalid(&format!("No commits between {base} and {BRANCH}")));
        }
        let number = self.pulls.len() as u64 + 7;
        self.pulls.push(Pull { number, base: base.to_owned(), is_open: true });
        Ok(number)
    }

    fn close(&mut self) {
        self.pulls.iter_mut().for_each(|pull| pull.is_open = false);
    }

    fn merge(&mut self) {
        if self.pulls.iter().any(|pull| pull.is_open) {
            let text = self.file(BRANCH).unwrap().to_owned();
            self.commit("main", Some(self.branches[BRANCH]), &text);
            self.close();
        }
    }

    fn open_pulls(&self) -> Vec<u64> {
        self.pulls.iter().filter(|pull| pull.is_open).map(|pull| pull.number).collect()
    }

    /// The commit that `text` names by SHA or branch.
    fn at(&self, text: &str) -> Option<usize> {
        text.strip_prefix("commit-").map_or_else(|| self.branches.get(text).copied(), |at| at.parse().ok())
    }

    fn answer(&mut self, request: &Request<Value>) -> Result<Refusal, Refusal> {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let path = path.strip_prefix("/repos/o/n").unwrap_or_else(|| panic!("{path}"));
        let body = request.body();
        let word = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{name} of {body}")).to_owned();
        let missing = || refusal(404, "Not Found");
        match (request.method().as_str(), path) {
            ("GET", "") => Ok((200, json!({"full_name": "o/n", "default_branch": "main"}))),
            ("GET", "/pulls") => {
                let base = query.strip_prefix("state=open&base=").unwrap();
                let base = base.strip_suffix("&head=o%3Agovernance/log&per_page=100").unwrap();
                let pull = |number: u64, fork: &str| json!({"number": number, "head": {"ref": BRANCH, "repo": {"full_name": fork}}});
                let open = self.pulls.iter().filter(|pull| pull.is_open && pull.base == base);
                let open = open.map(|each| pull(each.number, "O/n"));
                // From a fork by the same owner, and from a deleted fork.
                let gone = json!({"number": 2, "head": {"ref": BRANCH, "repo": null}});
                Ok((200, [pull(1, "o/fork"), gone].into_iter().chain(open).collect()))
            }
            ("GET", path) if path.starts_with("/git/ref/heads/") => {
                let commit = self.at(&path["/git/ref/heads/".len()..]).ok_or_else(missing)?;
                Ok((200, json!({"object": {"type": "commit", "sha": format!("commit-{commit}")}})))
            }
            ("POST", "/git/refs") => {
                assert_eq!(word("ref"), format!("refs/heads/{BRANCH}"));
                if self.branches.contains_key(BRANCH) {
                    return Err(refusal(422, "Reference already exists"));
                }
                self.branches.insert(BRANCH.to_owned(), self.at(&word("sha")).unwrap());
                Ok((201, json!({})))
            }
            ("PATCH", "/git/refs/heads/governance/log") => {
                assert_eq!(body["force"], json!(true));
                let at = self.at(&word("sha")).unwrap();
                *self.branches.get_mut(BRANCH).ok_or(refusal(422, "Reference does not exist"))? = at;
                // GitHub closes a pull request without commits.
                let empty: Vec<bool> = self.pulls.iter().map(|pull| !self.has_commits(&pull.base)).collect();
                self.pulls.iter_mut().zip(empty).for_each(|(pull, empty)| pull.is_open &= !empty);
                Ok((200, json!({})))
            }
            ("GET", "/contents/docs/a%20b.md") => {
                let at = self.at(query.strip_prefix("ref=").unwrap()).ok_or_else(missing)?;
                let text = self.commits[at].file.as_deref().ok_or_else(missing)?;
                let encoded = STANDARD.encode(text);
                let lines: Vec<&str> =
                    encoded.as_bytes().chunks(60).map(|line| str::from_utf8(line).unwrap()).collect();
                let content = lines.join("\n") + "\n";
                Ok((
                    200,
                    json!({"type": "file", "encoding": "base64", "content": content, "sha": blob(text)}),
                ))
            }
            ("PUT", "/contents/docs/a%20b.md") => {
                assert_eq!((word("branch"), word("message")), (BRANCH.to_owned(), "Log it".to_owned()));
                if !self.branches.contains_key(BRANCH) {
                    return Err(refusal(404, "Branch governance/log not found"));
                }
                match (self.file(BRANCH), body.get("sha")) {
                    (Some(_), None) => {
                        return Err(refusal(422, "Invalid request.\n\n\"sha\" wasn't supplied."));
                    }
                    (Some(held), Some(sha)) if *sha != json!(blob(held)) => {
                        return Err(refusal(409, "docs/a b.md does not match"));
                    }
                    _ => {}
                }
                let text = String::from_utf8(STANDARD.decode(word("content")).unwrap()).unwrap();
                self.commit(BRANCH, None, &text);
                Ok((200, json!({})))
            }
            ("POST", "/pulls") => {
                assert_eq!((word("head"), word("title")), (BRANCH.to_owned(), "The log".to_owned()));
                assert_eq!(word("body"), "Read it.");
                self.open(&word("base")).map(|number| (201, json!({"number": number})))
            }
            (method, path) => panic!("{method} {path}"),
        }
    }
}

/// A fault at a request: before or after it takes effect.
type Fault = Box<dyn FnMut(usize, &mut Model) -> Option<When> + Send>;

enum When {
    /// The request is lost.
    Before,
    /// The answer is lost.
    After,
    Instead(Response<Value>),
}

/// A repository behind its API, used by one client after another.
struct World {
    web: Web,
    repository: Repository,
    state: Arc<Mutex<State>>,
    /// Number of earlier requests to ignore.
    forgotten: usize,
}

struct State {
    model: Model,
    fault: Fault,
    asked: usize,
}

fn response((status, body): Refusal) -> Response<Value> {
    Response::builder().status(status).body(body).unwrap()
}

impl World {
    fn new(model: Model, fault: Fault) -> Self {
        let state = Arc::new(Mutex::new(State { model, fault, asked: 0 }));
        let shared = Arc::clone(&state);
        let web = Web::new(move |request| {
            for (name, value) in [
                ("authorization", "Bearer github_pat_1"),
                ("accept", "application/vnd.github+json"),
                ("x-github-api-version", "2022-11-28"),
                ("user-agent", "moveongs-governance"),
            ] {
                assert_eq!(request.headers().get(name).unwrap(), value);
            }
            let State { model, fault, asked } = &mut *shared.lock().unwrap();
            *asked += 1;
            let happens = fault(*asked, model);
            match happens {
                Some(When::Before) => return None,
                Some(When::Instead(answer)) => return Some(answer),
                _ => {}
            }
            let answer = model.answer(request).unwrap_or_else(|refused| refused);
            happens.is_none().then(|| response(answer))
        });
        let setup = Setup { repository: "GitHubRepository", secret: "S", permissions: "the permission X" };
        let repository = Repository::new(web.url().parse().unwrap(), "o/n".to_owned(), setup).unwrap();
        Self { web, repository, state, forgotten: 0 }
    }

    /// Replaces the model behind the same API.
    fn renew(&mut self, model: &Model, fault: Fault) {
        self.forgotten = self.web.asked().len();
        *self.state.lock().unwrap() = State { model: model.clone(), fault, asked: 0 };
    }

    fn model(&self) -> Model {
        self.state.lock().unwrap().model.clone()
    }

    async fn propose(&self, change: &Change<'_>) -> Result<Proposal, GitHubError> {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let invocation = Invocation::new(now, Duration::from_secs(60));
        let session = self.repository.session(&SecretString::from("github_pat_1\n"), &invocation).unwrap();
        propose(&session, change).await
    }

    /// The requests, without their queries.
    fn asked(&self) -> Vec<String> {
        let line = |request: Request<Value>| {
            let path = percent_decode_str(request.uri().path()).decode_utf8().unwrap().into_owned();
            format!("{} {}", request.method(), path.strip_prefix("/repos/o/n").unwrap())
        };
        self.web.asked().into_iter().skip(self.forgotten).map(line).collect()
    }
}

fn calm() -> Fault {
    Box::new(|_, _| None)
}

/// All states that a run may find, by name.
fn states() -> Vec<(&'static str, Model)> {
    let fresh = Model::new();
    let mut there = fresh.clone();
    there.commit("main", None, "by hand");
    let mut open = there.clone();
    open.branches.insert(BRANCH.to_owned(), open.branches["main"]);
    open.commit(BRANCH, None, "old");
    let mut unopened = open.clone();
    unopened.commit(BRANCH, None, CHANGE.content);
    open.open("main").unwrap();
    let mut merged = open.clone();
    merged.merge();
    let mut closed = open.clone();
    closed.close();
    let mut reverted = unopened.clone();
    reverted.open("main").unwrap();
    reverted.merge();
    reverted.commit("main", None, "reverted");
    let mut done = unopened.clone();
    done.open("main").unwrap();
    let mut empty = there.clone();
    empty.branches.insert(BRANCH.to_owned(), 0);
    vec![
        ("fresh", fresh),
        ("there", there),
        ("open", open),
        ("unopened", unopened),
        ("merged", merged),
        ("closed", closed),
        ("reverted", reverted),
        ("done", done),
        ("empty", empty),
    ]
}

/// Asserts that one open pull request has the content, or that the base does.
fn assert_settled(model: &Model, number: Option<u64>, case: &str) {
    match number {
        Some(number) => {
            assert_eq!(model.open_pulls(), [number], "{case}");
            assert_eq!(model.file(BRANCH), Some(CHANGE.content), "{case}");
        }
        None => {
            assert_eq!(model.file("main"), Some(CHANGE.content), "{case}");
            assert!(model.open_pulls().is_empty(), "{case}");
        }
    }
}

#[tokio::test]
async fn a_first_proposal_makes_branch_commit_and_pull_request_and_a_second_only_looks() {
    let world = World::new(Model::new(), calm());
    assert_eq!(world.propose(&CHANGE).await, Ok(Proposal { number: Some(7), changed: true }));
    let first = [
        "GET ",
        "GET /pulls",
        "GET /git/ref/heads/main",
        "GET /contents/docs/a b.md",
        "GET /git/ref/heads/governance/log",
        "POST /git/refs",
        "PUT /contents/docs/a b.md",
        "POST /pulls",
    ];
    assert_eq!(world.asked(), first);
    assert_eq!(world.propose(&CHANGE).await, Ok(Proposal { number: Some(7), changed: false }));
    assert_eq!(world.asked()[first.len()..], ["GET ", "GET /pulls", "GET /contents/docs/a b.md"]);

    // After a merge there is nothing to propose; after the next change, the branch restarts from the base.
    world.state.lock().unwrap().model.merge();
    assert_eq!(world.propose(&CHANGE).await, Ok(Proposal { number: None, changed: false }));
    let newer = Change { content: "newer", ..CHANGE };
    let before = world.asked().len();
    assert_eq!(world.propose(&newer).await, Ok(Proposal { number: Some(8), changed: true }));
    let asked = world.asked();
    assert_eq!(
        asked[before + 4..],
        [
            "GET /git/ref/heads/governance/log",
            "GET /contents/docs/a b.md",
            "PATCH /git/refs/heads/governance/log",
            "PUT /contents/docs/a b.md",
            "POST /pulls"
        ]
    );
    assert_eq!(world.model().file(BRANCH), Some("newer"));
    assert_eq!(world.model().file("main"), Some(CHANGE.content));
}

#[tokio::test]
async fn an_open_pull_request_gets_the_new_content() {
    let mut model = Model::new();
    model.branches.insert(BRANCH.to_owned(), 0);
    model.commit(BRANCH, None, "old");
    model.open("release").unwrap();
    let world = World::new(model, calm());
    let change = Change { base: Some("release"), ..CHANGE };
    assert_eq!(world.propose(&change).await, Ok(Proposal { number: Some(7), changed: true }));
    let asked = [
        "GET ",
        "GET /pulls",
        "GET /contents/docs/a b.md",
        "PUT /contents/docs/a b.md",
        // Checks whether it was merged in between.
        "GET /pulls",
    ];
    assert_eq!(world.asked(), asked);
    assert_eq!(world.model().file(BRANCH), Some(CHANGE.content));
}

#[tokio::test]
async fn what_was_merged_before_the_commit_is_proposed_anew() {
    let (_, open) = states().swap_remove(2);
    let merges = |asked, model: &mut Model| {
        if asked == 4 {
            model.merge();
        }
        None
    };
    let world = World::new(open, Box::new(merges));
    assert_eq!(world.propose(&CHANGE).await, Ok(Proposal { number: Some(8), changed: true }));
    assert_eq!(world.asked()[3], "PUT /contents/docs/a b.md");
    assert_settled(&world.model(), Some(8), "merged");
    assert_eq!(world.model().file("main"), Some("old"));
}

#[tokio::test]
async fn whatever_state_it_finds_and_wherever_it_dies_one_pull_request_has_the_content_in_the_end() {
    let mut world = World::new(Model::new(), calm());
    for (name, model) in states() {
        world.renew(&model, calm());
        let settled = world.propose(&CHANGE).await.unwrap();
        assert_settled(&world.model(), settled.number, name);
        for call in 1..=world.asked().len() {
            for is_after in [false, true] {
                let case = format!("{name}, dies {} call {call}", if is_after { "after" } else { "before" });
                let dies = move |asked, _: &mut Model| {
                    (asked == call).then_some(if is_after { When::After } else { When::Before })
                };
                world.renew(&model, Box::new(dies));
                let died = world.propose(&CHANGE).await;
                assert!(matches!(died, Err(GitHubError::Unreachable(_))), "{case}: {died:?}");
                let settled = world.propose(&CHANGE).await.unwrap();
                assert_settled(&world.model(), settled.number, &case);
                assert!(!world.propose(&CHANGE).await.unwrap().changed, "{case}");
            }
        }
    }
}

/// A concurrent change by another party.
type Act = fn(&mut Model);

/// Concurrent changes that may happen between two requests.
fn rivals() -> Vec<(&'static str, Act)> {
    vec![
        ("merges", Model::merge),
        ("closes", Model::close),
        ("deletes the branch", |model| {
            model.close();
            model.branches.remove(BRANCH);
        }),
        ("commits to the base", |model| model.commit("main", None, "by another")),
        ("commits to the branch", |model| {
            if model.branches.contains_key(BRANCH) {
                model.commit(BRANCH, None, "by another");
            }
        }),
        ("proposes the same", |model| {
            let base = model.branches["main"];
            model.branches.entry(BRANCH.to_owned()).or_insert(base);
            if model.file(BRANCH) != Some(CHANGE.content) {
                model.commit(BRANCH, None, CHANGE.content);
            }
            let _ = model.open("main");
        }),
        ("is about to propose", |model| {
            let base = model.branches["main"];
            if model.open_pulls().is_empty() {
                model.branches.insert(BRANCH.to_owned(), base);
            }
        }),
    ]
}

#[tokio::test]
async fn whatever_another_does_in_between_one_pull_request_has_the_content_in_the_end() {
    let each = states().into_iter().map(|(name, model)| disturbed(name, model));
    each.collect::<JoinSet<()>>().join_all().await;
}

async fn disturbed(name: &str, model: Model) {
    let mut world = World::new(model.clone(), calm());
    world.propose(&CHANGE).await.unwrap();
    for call in 2..=world.asked().len() {
        for (rival, act) in rivals() {
            let case = format!("{name}, another {rival} before call {call}");
            let acts = move |asked, model: &mut Model| {
                if asked == call {
                    act(model);
                }
                None
            };
            world.renew(&model, Box::new(acts));
            world.propose(&CHANGE).await.unwrap_or_else(|error| panic!("{case}: {error}"));
            // A change after the last look goes unnoticed until the next run.
            let settled = world.propose(&CHANGE).await.unwrap();
            assert_settled(&world.model(), settled.number, &case);
        }
    }
}

#[tokio::test]
async fn a_file_that_always_is_another_by_now_is_given_up() {
    let conflict = |asked: usize, model: &mut Model| {
        if asked % 3 == 1 && asked > 1 {
            model.commit(BRANCH, None, &asked.to_string());
        }
        None
    };
    let (_, open) = states().swap_remove(2);
    let world = World::new(open, Box::new(conflict));
    let refused = world.propose(&CHANGE).await;
    assert!(matches!(refused, Err(GitHubError::Refused { status: 409, .. })), "{refused:?}");
    let puts = world.asked().iter().filter(|line| line.starts_with("PUT ")).count();
    assert_eq!((puts, world.asked().len()), (4, 13));
}

#[tokio::test]
async fn refusals_say_what_to_do_and_nothing_else_was_tried() {
    let refused = async |call: usize, answer: fn() -> Response<Value>, change: Change<'_>| {
        let instead = move |asked, _: &mut Model| (asked == call).then(|| When::Instead(answer()));
        let world = World::new(Model::new(), Box::new(instead));
        let error = world.propose(&change).await.unwrap_err().to_string();
        (error, world.asked().len())
    };
    let denied = || response(refusal(403, "Resource not accessible by personal access token"));
    let text = "GitHub answered 403 (Resource not accessible by personal access token); the token needs the permission X on this repository";
    assert_eq!(refused(6, denied, CHANGE).await, (text.to_owned(), 6));
    assert_eq!(refused(8, denied, CHANGE).await, (text.to_owned(), 8));
    let missing = || response(refusal(404, "Not Found"));
    let text = "GitHub answered 404 (Not Found); check GitHubRepository, and that the token has access to this repository";
    assert_eq!(refused(1, missing, CHANGE).await, (text.to_owned(), 1));
    let moved = || {
        let mut moved = response(refusal(301, "Moved Permanently"));
        moved.headers_mut().insert("location", "http://127.0.0.1:1/".parse().unwrap());
        moved
    };
    let text = "GitHub answered 301 (Moved Permanently); the repository has moved: correct GitHubRepository";
    assert_eq!(refused(1, moved, CHANGE).await, (text.to_owned(), 1));
    let busy = || {
        let mut busy = response(refusal(403, "You have exceeded a secondary rate limit"));
        busy.headers_mut().insert("retry-after", "60".parse().unwrap());
        busy
    };
    let text = "GitHub asks to wait 60 s, longer than this run may last; the next run tries again";
    assert_eq!(refused(7, busy, CHANGE).await, (text.to_owned(), 7));
    let large = || response((200, json!({"type": "file", "encoding": "none", "content": "", "sha": "x"})));
    let text =
        "cannot interpret GitHub's answer: docs/a b.md is larger than 1 MB, which GitHub does not return";
    assert_eq!(refused(4, large, CHANGE).await, (text.to_owned(), 4));
    let calm = || response((200, json!({"default_branch": "main"})));
    let own = Change { branch: "main", base: Some("release"), ..CHANGE };
    let text =
        "cannot write to the repository: the branch main is not reserved for the proposal: choose another";
    assert_eq!(refused(1, calm, own).await, (text.to_owned(), 1));
    let other = Change { base: Some("other"), ..CHANGE };
    let text = "GitHub answered 404 (no branch other); check that the branch exists, and that the token has the permission X";
    assert_eq!(refused(1, calm, other).await.0, text);
}

#[tokio::test]
async fn a_short_wait_that_github_asks_for_is_kept() {
    let busy = |asked, _: &mut Model| {
        let answer = Response::builder().status(429).header("retry-after", "1").body(json!({})).unwrap();
        (asked == 7).then_some(When::Instead(answer))
    };
    let world = World::new(Model::new(), Box::new(busy));
    assert_eq!(world.propose(&CHANGE).await, Ok(Proposal { number: Some(7), changed: true }));
    assert_eq!(world.asked().len(), 9);
}
