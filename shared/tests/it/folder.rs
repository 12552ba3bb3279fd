//! A folder's files in one pull request: whichever request or answer is lost, the next run ends with the same files and one
//! pull request, and nothing outside of the folder changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::github::proposal::{Folder, Proposal, propose_folder};
use shared::github::{GitHubError, Repository, Setup};
use shared::runtime::lambda::Invocation;
use shared::testing::Web;

const BRANCH: &str = "governance/x";

type Files = BTreeMap<String, String>;

/// A repository: files of each commit with its parent, trees, branches, and whether the pull request is open.
#[derive(Clone, Default)]
struct Model {
    commits: Vec<(Files, Option<usize>)>,
    trees: Vec<Files>,
    branches: BTreeMap<String, usize>,
    pulls: usize,
    asked: usize,
    /// The request whose answer is lost, and whether it took effect.
    lost: Option<(usize, bool)>,
    /// Moves the branch between the tree and its commit, once.
    is_overtaken: bool,
}

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

fn blob(content: &str) -> String {
    // Any name of a content serves: the real one is compared on the local cloud.
    use sha1::{Digest, Sha1};
    let digest = Sha1::digest(format!("blob {}\0{content}", content.len()));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(text: &str) -> usize {
    text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).parse().unwrap()
}

impl Model {
    fn is_below(&self, ancestor: usize, commit: usize) -> bool {
        ancestor == commit || self.commits[commit].1.is_some_and(|parent| self.is_below(ancestor, parent))
    }

    fn answer(&mut self, request: &Request<Value>) -> (u16, Value) {
        let (path, body) = (request.uri().path().to_owned(), request.body());
        let path = path.strip_prefix("/repos/o/n").unwrap();
        let word = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{name} of {body}")).to_owned();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method().as_str(), parts.as_slice()) {
            ("GET", [""]) => (200, json!({"default_branch": "main"})),
            ("GET", ["pulls"]) => {
                let pull = json!({"number": 7, "head": {"ref": BRANCH, "repo": {"full_name": "o/n"}}});
                (200, if self.pulls > 0 { json!([pull]) } else { json!([]) })
            }
            ("POST", ["pulls"]) if self.pulls > 0 => {
                (422, json!({"message": "A pull request already exists"}))
            }
            ("POST", ["pulls"]) => {
                self.pulls += 1;
                (201, json!({"number": 7}))
            }
            ("GET", ["git", "ref", "heads", name @ ..]) => match self.branches.get(&name.join("/")) {
                None => (404, json!({"message": "Not Found"})),
                Some(commit) => (200, json!({"object": {"sha": format!("c{commit}")}})),
            },
            ("POST", ["git", "refs"]) => {
                self.branches.insert(BRANCH.to_owned(), number(&word("sha")));
                (201, json!({}))
            }
            ("PATCH", ["git", "refs", "heads", ..]) => {
                let (to, is_forced) = (number(&word("sha")), body["force"] == json!(true));
                if std::mem::take(&mut self.is_overtaken) {
                    let (mut of, at) = (self.commits[self.branches[BRANCH]].0.clone(), self.branches[BRANCH]);
                    of.insert("docs/x/theirs.json".to_owned(), "9".to_owned());
                    self.commits.push((of, Some(at)));
                    self.branches.insert(BRANCH.to_owned(), self.commits.len() - 1);
                }
                if !is_forced && !self.is_below(self.branches[BRANCH], to) {
                    return (422, json!({"message": "Update is not a fast forward"}));
                }
                self.branches.insert(BRANCH.to_owned(), to);
                (200, json!({}))
            }
            ("GET", ["git", "commits", sha]) => {
                self.trees.push(self.commits[number(sha)].0.clone());
                (200, json!({"tree": {"sha": format!("t{}", self.trees.len() - 1)}}))
            }
            ("GET", ["git", "trees", sha]) => {
                let entry = |(path, content): (&String, &String)| json!({"path": path, "mode": "100644", "type": "blob", "sha": blob(content)});
                let entries: Vec<Value> = self.trees[number(sha)].iter().map(entry).collect();
                let folder = json!({"path": "docs/x", "mode": "040000", "type": "tree", "sha": "0"});
                (
                    200,
                    json!({"tree": entries.into_iter().chain([folder]).collect::<Vec<_>>(), "truncated": false}),
                )
            }
            ("POST", ["git", "trees"]) => {
                let mut tree = self.trees[number(&word("base_tree"))].clone();
                for entry in body["tree"].as_array().unwrap() {
                    let path = entry["path"].as_str().unwrap().to_owned();
                    match entry.get("content") {
                        Some(content) => drop(tree.insert(path, content.as_str().unwrap().to_owned())),
                        None => assert!(entry["sha"].is_null() && tree.remove(&path).is_some(), "{entry}"),
                    }
                }
                self.trees.push(tree);
                (201, json!({"sha": format!("t{}", self.trees.len() - 1)}))
            }
            ("POST", ["git", "commits"]) => {
                let parent = number(body["parents"][0].as_str().unwrap());
                self.commits.push((self.trees[number(&word("tree"))].clone(), Some(parent)));
                (201, json!({"sha": format!("c{}", self.commits.len() - 1)}))
            }
            (method, path) => panic!("{method} {path:?}"),
        }
    }
}

/// The states that a run may find.
fn states() -> Vec<(&'static str, Model)> {
    let base =
        files(&[("README.md", "r"), ("docs/x/a.json", "1"), ("docs/x/old.json", "0"), ("docs/xy.json", "y")]);
    let mut fresh = Model { commits: vec![(base.clone(), None)], ..Model::default() };
    fresh.branches.insert("main".to_owned(), 0);
    let mut open = fresh.clone();
    let mut changed = base;
    changed.insert("docs/x/a.json".to_owned(), "5".to_owned());
    open.commits.push((changed, Some(0)));
    open.branches.insert(BRANCH.to_owned(), 1);
    let closed = open.clone();
    open.pulls = 1;
    vec![("fresh", fresh), ("open", open), ("closed", closed)]
}

async fn propose(model: &Arc<Mutex<Model>>, files: &Files) -> Result<Proposal, GitHubError> {
    let shared = Arc::clone(model);
    let web = Web::new(move |request| {
        let mut model = shared.lock().unwrap();
        model.asked += 1;
        let lost = model.lost.filter(|(at, _)| *at == model.asked);
        if matches!(lost, Some((_, false))) {
            return None;
        }
        let (status, body) = model.answer(request);
        lost.is_none().then(|| Response::builder().status(status).body(body).unwrap())
    });
    let setup = Setup { repository: "R", secret: "S", permissions: "P" };
    let repository = Repository::new(web.url().parse().unwrap(), "o/n".to_owned(), setup).unwrap();
    let invocation = Invocation::new("2026-03-01T12:00:00Z".parse().unwrap(), Duration::from_secs(60));
    let session = repository.session(&SecretString::from("github_pat_1"), &invocation).unwrap();
    let (message, title, body) = ("m", "t", "b");
    let folder = Folder { base: None, branch: BRANCH, path: "docs/x", files, message, title, body };
    propose_folder(&session, &folder).await
}

fn end(model: &Arc<Mutex<Model>>) -> (Files, usize) {
    let model = model.lock().unwrap();
    (model.commits[model.branches[BRANCH]].0.clone(), model.pulls)
}

fn wanted() -> (Files, Files) {
    let own = files(&[("a.json", "2"), ("b/c.json", "3")]);
    let all =
        files(&[("README.md", "r"), ("docs/x/a.json", "2"), ("docs/x/b/c.json", "3"), ("docs/xy.json", "y")]);
    (own, all)
}

#[tokio::test]
async fn whatever_is_lost_the_next_run_ends_with_one_pull_request_of_the_same_files() {
    let (own, all) = wanted();
    for (name, state) in states() {
        for took_effect in [false, true] {
            let mut deaths = 0;
            for at in 1.. {
                let model = Arc::new(Mutex::new(Model { lost: Some((at, took_effect)), ..state.clone() }));
                let is_lost = propose(&model, &own).await.is_err();
                deaths += usize::from(is_lost);
                model.lock().unwrap().lost = None;
                let again = propose(&model, &own).await.unwrap();
                assert_eq!(again.number, Some(7), "{name} {at} {took_effect}");
                assert_eq!(end(&model), (all.clone(), 1), "{name} {at} {took_effect}");
                // Once it is there, nothing is done.
                let third = propose(&model, &own).await.unwrap();
                assert_eq!(third, Proposal { number: Some(7), changed: false }, "{name} {at} {took_effect}");
                if !is_lost {
                    break;
                }
            }
            assert!(deaths >= 8, "{name}: {deaths}");
        }
    }
}

#[tokio::test]
async fn a_faster_commit_is_seen_and_not_undone_before_it_is_read() {
    let (own, all) = wanted();
    let (_, open) = states().remove(1);
    let model = Arc::new(Mutex::new(Model { is_overtaken: true, ..open }));
    assert!(propose(&model, &own).await.unwrap().changed);
    // The folder belongs to the proposal: what another put into it is removed.
    assert_eq!(end(&model), (all, 1));
}

#[tokio::test]
async fn nothing_is_proposed_that_the_base_has() {
    let (_, fresh) = states().remove(0);
    let model = Arc::new(Mutex::new(fresh));
    let same = files(&[("a.json", "1"), ("old.json", "0")]);
    assert_eq!(propose(&model, &same).await.unwrap(), Proposal { number: None, changed: false });
    assert_eq!(model.lock().unwrap().branches.len(), 1);
}

#[tokio::test]
async fn a_name_that_would_leave_the_folder_is_refused_before_any_request() {
    let (_, fresh) = states().remove(0);
    let model = Arc::new(Mutex::new(fresh));
    for bad in ["../a.json", "/a.json", "a//b.json", ""] {
        let refused = propose(&model, &files(&[(bad, "1")])).await.unwrap_err();
        assert!(matches!(refused, GitHubError::Name(_)), "{bad}: {refused}");
    }
    assert_eq!(model.lock().unwrap().asked, 0);
}
