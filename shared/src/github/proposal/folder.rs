//! A folder's files in git, compared and committed as trees.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::github::{GitHubError, Session, read};
use crate::runtime::hex::hex;

/// Most bytes of files in one request; a larger file has a request of its own.
const MOST: usize = 1_000_000;

/// An ordinary file's mode in git.
const MODE: &str = "100644";

/// The files that a folder is to have.
pub(super) struct Wanted<'a> {
    path: &'a str,
    files: BTreeMap<&'a str, File<'a>>,
}

struct File<'a> {
    content: &'a str,
    /// SHA-1 of its blob.
    sha: String,
}

/// The files that a folder has at a commit.
pub(super) struct Tree {
    commit: String,
    /// The whole tree of the commit.
    tree: String,
    /// [`Entry::content`] of each file, by its path in the folder.
    files: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Commit {
    tree: Named,
}

#[derive(Deserialize)]
struct Named {
    sha: String,
}

#[derive(Deserialize)]
struct Listing {
    tree: Vec<Entry>,
    truncated: bool,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    sha: String,
}

impl Entry {
    /// What tells its content from another one. A symbolic link is none to a file with its target as text.
    fn content(self) -> String {
        if self.mode == MODE { self.sha } else { format!("{} {}", self.mode, self.sha) }
    }
}

impl<'a> Wanted<'a> {
    pub(super) fn new(path: &'a str, files: &'a BTreeMap<String, String>) -> Self {
        let file = |content: &'a str| File { content, sha: blob(content) };
        Self { path, files: files.iter().map(|(path, content)| (path.as_str(), file(content))).collect() }
    }

    /// Whether the folder has these files and no other.
    pub(super) fn is_held(&self, tree: &Tree) -> bool {
        let wanted = self.files.iter().map(|(path, file)| (*path, file.sha.as_str()));
        wanted.eq(tree.files.iter().map(|(path, sha)| (path.as_str(), sha.as_str())))
    }

    /// What the folder has at a commit.
    pub(super) async fn tree(&self, session: &Session<'_>, commit: &str) -> Result<Tree, GitHubError> {
        let Commit { tree: Named { sha: tree } } = got(session, &format!("/git/commits/{commit}")).await?;
        let listing: Listing = got(session, &format!("/git/trees/{tree}?recursive=1")).await?;
        if listing.truncated {
            return Err(GitHubError::Unreadable(
                "the repository has more files than GitHub lists at once".to_owned(),
            ));
        }
        let prefix = format!("{}/", self.path);
        let own = |entry: Entry| {
            let path = entry.path.strip_prefix(&prefix).filter(|_| entry.kind == "blob")?.to_owned();
            Some((path, entry.content()))
        };
        let files = listing.tree.into_iter().filter_map(own).collect();
        Ok(Tree { commit: commit.to_owned(), tree, files })
    }

    /// Makes a commit on top of another one, in which the folder has these files. No branch has it yet.
    pub(super) async fn commit(
        &self,
        session: &Session<'_>,
        held: &Tree,
        message: &str,
    ) -> Result<String, GitHubError> {
        let mut tree = held.tree.clone();
        for part in self.parts(held) {
            let body = json!({"base_tree": tree, "tree": part});
            tree = made(session, "/git/trees", &body).await?;
        }
        let body = json!({"message": message, "tree": tree, "parents": [held.commit]});
        made(session, "/git/commits", &body).await
    }

    /// The entries that turn the folder's tree into the wanted one, in parts for one request each.
    fn parts(&self, held: &Tree) -> Vec<Vec<Value>> {
        let entry =
            |path: &str| json!({"path": format!("{}/{path}", self.path), "mode": MODE, "type": "blob"});
        let with = |path: &str, field: &str, value: Value| {
            let mut entry = entry(path);
            if let Some(fields) = entry.as_object_mut() {
                fields.insert(field.to_owned(), value);
            }
            entry
        };
        let gone = held.files.keys().filter(|path| !self.files.contains_key(path.as_str()));
        let gone = gone.map(|path| (0, with(path, "sha", Value::Null)));
        let is_other = |path: &str, file: &File<'_>| held.files.get(path) != Some(&file.sha);
        let new = self.files.iter().filter(|(path, file)| is_other(path, file));
        let new = new.map(|(path, file)| (file.content.len(), with(path, "content", file.content.into())));
        let mut parts = Vec::<Vec<Value>>::new();
        let mut length = MOST;
        for (bytes, entry) in gone.chain(new) {
            match parts.last_mut() {
                Some(part) if length + bytes <= MOST => part.push(entry),
                _ => {
                    parts.push(vec![entry]);
                    length = 0;
                }
            }
            length += bytes;
        }
        parts
    }
}

async fn got<T: DeserializeOwned>(session: &Session<'_>, path: &str) -> Result<T, GitHubError> {
    read(session.ask(Method::GET, &session.url(path), None).await?).await
}

/// Makes an object of git; its SHA.
async fn made(session: &Session<'_>, path: &str, body: &Value) -> Result<String, GitHubError> {
    let answer = session.ask(Method::POST, &session.url(path), Some(body)).await?;
    let Named { sha } = read(answer).await?;
    Ok(sha)
}

/// The SHA-1 by which git knows a file's content.
fn blob(content: &str) -> String {
    let mut sha = Sha1::new_with_prefix(format!("blob {}\0", content.len()));
    sha.update(content);
    hex(&sha.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), blob(content)));
        Tree { commit: "c".to_owned(), tree: "t".to_owned(), files: files.collect() }
    }

    #[test]
    fn a_files_name_in_git_is_that_of_git() {
        // `printf 'what is up, doc?' | git hash-object --stdin`, from the book "Pro Git", 10.2.
        assert_eq!(blob("what is up, doc?"), "bd9dbf5aae1a3862dd1526723246b20206e5fc37");
        assert_eq!(blob(""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }

    #[test]
    fn only_what_differs_is_sent_and_what_vanished_is_removed() {
        let wanted = files(&[("a.json", "1"), ("b/c.json", "2"), ("d.json", "3")]);
        let wanted = Wanted::new("docs/x", &wanted);
        assert!(wanted.is_held(&tree(&[("a.json", "1"), ("b/c.json", "2"), ("d.json", "3")])));
        let held = tree(&[("a.json", "1"), ("b/c.json", "9"), ("old.json", "0")]);
        assert!(!wanted.is_held(&held));
        let file = |path: &str, field: &str, value: Value| json!({"path": path, "mode": "100644", "type": "blob", field: value});
        let expected = [
            file("docs/x/old.json", "sha", Value::Null),
            file("docs/x/b/c.json", "content", "2".into()),
            file("docs/x/d.json", "content", "3".into()),
        ];
        assert_eq!(wanted.parts(&held), [expected.to_vec()]);
        assert!(wanted.parts(&tree(&[("a.json", "1"), ("b/c.json", "2"), ("d.json", "3")])).is_empty());
    }

    #[test]
    fn a_symbolic_link_is_no_file() {
        let listed = |mode: &str| {
            let entry = json!({"path": "docs/x/a", "mode": mode, "type": "blob", "sha": blob("1")});
            let entry: Entry = serde_json::from_value(entry).unwrap();
            let files = [("a".to_owned(), entry.content())].into();
            Tree { commit: "c".to_owned(), tree: "t".to_owned(), files }
        };
        let wanted = files(&[("a", "1")]);
        let wanted = Wanted::new("docs/x", &wanted);
        for (mode, is_held) in [("100644", true), ("120000", false), ("100755", false)] {
            assert_eq!(wanted.is_held(&listed(mode)), is_held, "{mode}");
            assert_eq!(wanted.parts(&listed(mode)).is_empty(), is_held, "{mode}");
        }
    }

    #[test]
    fn a_request_has_a_limit() {
        let (large, small) = ("x".repeat(MOST + 1), "y".repeat(MOST / 2));
        let wanted = files(&[("a", &small), ("b", &large), ("c", &small), ("d", &small), ("e", "z")]);
        let parts = Wanted::new("p", &wanted).parts(&tree(&[]));
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 2, 1]);
    }
}
