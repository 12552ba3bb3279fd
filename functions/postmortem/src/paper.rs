//! The text of a post-mortem: a document in the evidence bucket, shown there as Markdown and as a page; and, where the stack has
//! a folder in a repository, a file in a pull request, which then is where people write.

use serde::{Deserialize, Serialize};
use shared::github::Session;
use shared::github::board::BoardError;
use shared::github::proposal::{Change, open, propose_over};
use shared::run::documents::DocumentError;
use shared::runtime::lambda::Invocation;

use crate::error::PostmortemError;
use crate::text::html;
use crate::{App, Place};

/// Prefix of the branch of a pull request; only this function uses it.
const BRANCH: &str = "governance/postmortem";

/// A text as stored.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
struct Paper {
    /// Markdown.
    text: String,
    /// Who wrote it: a person, this function, or the repository.
    by: String,
    /// How often it changed.
    changes: u32,
}

/// A text that a person gave, as it was stored.
pub(crate) struct Written {
    /// Who gave it.
    pub by: String,
    /// How often the text has changed.
    pub changes: u32,
    /// SHA-256 of the object that holds it, in hexadecimal.
    pub sha256: String,
}

/// Where the text that counts is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Held {
    /// In the bucket only.
    Bucket,
    /// In the repository's default branch.
    Merged,
    /// In this open pull request.
    PullRequest(u64),
}

/// Key of the document in the bucket, as `md` or `html`.
pub(crate) fn key(id: &str, form: &str) -> String {
    format!("postmortems/{id}/postmortem.{form}")
}

fn name(id: &str) -> String {
    format!("document/{id}")
}

/// The stored text; empty if there is none.
pub(crate) async fn stored(app: &App, id: &str) -> Result<String, DocumentError> {
    Ok(app.documents().get::<Paper>(&name(id)).await?.unwrap_or_default().text)
}

/// The stored text's last change, for the record.
pub(crate) async fn written(app: &App, id: &str) -> Result<Option<Written>, DocumentError> {
    let sealed = app.documents().sealed::<Paper>(&name(id)).await?;
    Ok(sealed.map(|(Paper { by, changes, .. }, sha256)| Written { by, changes, sha256 }))
}

/// Stores a text, and shows it.
pub(crate) async fn store(app: &App, id: &str, text: &str, by: &str) -> Result<(), DocumentError> {
    let (documents, language) = (app.documents(), app.base.settings.language);
    let change = |paper: &mut Paper| {
        if paper.text != text {
            *paper = Paper { text: text.to_owned(), by: by.to_owned(), changes: paper.changes + 1 };
        }
    };
    documents.update(&name(id), change).await?;
    let markdown = |paper: &Paper| paper.text.clone();
    documents.show(&name(id), &key(id, "md"), "text/markdown; charset=utf-8", markdown).await?;
    let page = |paper: &Paper| html::page(&format!("Post-mortem {id}"), &paper.text, language);
    documents.show(&name(id), &key(id, "html"), "text/html; charset=utf-8", page).await
}

/// The text that counts, and where it is; the stored one is brought up to date.
pub(crate) async fn current(
    app: &App,
    id: &str,
    invocation: &Invocation,
) -> Result<(String, Held), PostmortemError> {
    let stored = stored(app, id).await?;
    let Some((place, folder)) = app.folder() else { return Ok((stored, Held::Bucket)) };
    let session = place.session(app, invocation).await?;
    let Some((text, held)) = in_repository(&session, app, folder, id).await? else {
        return Ok((stored, Held::Bucket));
    };
    if text != stored {
        store(app, id, &text, "repository").await?;
    }
    Ok((text, held))
}

/// The file: while its pull request is open, that of its branch; otherwise as it was merged. The branch of a pull request that
/// was closed holds what nobody wants.
async fn in_repository(
    session: &Session<'_>,
    app: &App,
    folder: &str,
    id: &str,
) -> Result<Option<(String, Held)>, BoardError> {
    let (path, branch) = (app.file(folder, id), app.branch(id));
    let base = session.default_branch().await?;
    let offered = open(session, &branch, &base).await?.map(|number| (branch, Held::PullRequest(number)));
    for (at, held) in offered.into_iter().chain([(base, Held::Merged)]) {
        if let Some(file) = session.file(&path, &at).await? {
            return Ok(Some((String::from_utf8_lossy(&file.content).into_owned(), held)));
        }
    }
    Ok(None)
}

/// Makes sure that a pull request proposes a text, or that the text was merged. Its number, if one is open. What people wrote
/// since `before` was read is not replaced: the repository then refuses.
pub(crate) async fn offer(
    app: &App,
    id: &str,
    title: &str,
    text: &str,
    before: &str,
    invocation: &Invocation,
) -> Result<Option<u64>, BoardError> {
    let Some((place, folder)) = app.folder() else { return Ok(None) };
    let session = place.session(app, invocation).await?;
    let language = app.base.settings.language;
    let environment = &app.base.settings.environment;
    let title = format!("Post-mortem {id} ({environment}): {title}");
    let body = language.pick(
        "Preencham neste pull request a causa raiz, os cinco porquês e as ações, cada uma com responsável e data. As linhas `<!-- governance:postmortem:… -->` ficam. Encerrar: `docs/postmortem.md`.",
        "Fill in the root cause, the five whys and the actions in this pull request, each action with an owner and a date. The lines `<!-- governance:postmortem:… -->` stay. Closing: `docs/postmortem.md`.",
    );
    let change = Change {
        base: None,
        branch: &app.branch(id),
        path: &app.file(folder, id),
        content: text,
        message: &title,
        title: &title,
        body,
    };
    Ok(propose_over(&session, &change, Some(before)).await?.number)
}

impl App {
    /// The repository and the folder for documents, if the stack has them.
    fn folder(&self) -> Option<(&Place, &str)> {
        let place = self.place.as_ref()?;
        Some((place, place.folder.as_deref()?))
    }

    /// Whether documents are in a repository.
    pub(crate) fn has_folder(&self) -> bool {
        self.folder().is_some()
    }

    fn branch(&self, id: &str) -> String {
        format!("{BRANCH}-{}-{id}", self.base.settings.environment)
    }

    /// Stacks may share a repository.
    fn file(&self, folder: &str, id: &str) -> String {
        format!("{folder}/{}/{id}.md", self.base.settings.environment)
    }
}
