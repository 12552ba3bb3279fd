//! The text of a post-mortem: a document in the evidence bucket, shown there as Markdown and as a page; and, where the stack has
//! a folder in a repository, a file in a pull request, which then is where people write.

use serde::{Deserialize, Serialize};
use shared::github::Session;
use shared::github::board::BoardError;
use shared::github::proposal::{Change, propose};
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

/// Stores a text, and shows it.
pub(crate) async fn store(app: &App, id: &str, text: &str, by: &str) -> Result<(), DocumentError> {
    let (documents, language) = (app.documents(), app.base.settings.language);
    let new = Paper { text: text.to_owned(), by: by.to_owned() };
    let change = |paper: &mut Paper| {
        if paper.text != new.text {
            *paper = new.clone();
        }
    };
    documents.update(&name(id), change).await?;
    let markdown = |paper: &Paper| paper.text.clone();
    documents.show(&name(id), &key(id, "md"), "text/markdown; charset=utf-8", markdown).await?;
    let page = |paper: &Paper| html::page(&format!("Post-mortem {id}"), &paper.text, language);
    documents.show(&name(id), &key(id, "html"), "text/html; charset=utf-8", page).await
}

/// The text that counts: the repository's if it has the file, otherwise the stored one, which is brought up to date. Also
/// whether it is the repository's.
pub(crate) async fn current(
    app: &App,
    id: &str,
    invocation: &Invocation,
) -> Result<(String, bool), PostmortemError> {
    let stored = stored(app, id).await?;
    let Some((place, folder)) = app.folder() else { return Ok((stored, false)) };
    let session = place.session(app, invocation).await?;
    match in_repository(&session, app, folder, id).await? {
        Some(text) => {
            if text != stored {
                store(app, id, &text, "repository").await?;
            }
            Ok((text, true))
        }
        None => Ok((stored, false)),
    }
}

/// The file as it was merged; otherwise as it is in the pull request.
async fn in_repository(
    session: &Session<'_>,
    app: &App,
    folder: &str,
    id: &str,
) -> Result<Option<String>, BoardError> {
    let path = app.file(folder, id);
    let merged = session.file(&path, &session.default_branch().await?).await?;
    let found = match merged {
        Some(merged) => Some(merged),
        None => session.file(&path, &app.branch(id)).await?,
    };
    Ok(found.map(|file| String::from_utf8_lossy(&file.content).into_owned()))
}

/// Makes sure that a pull request proposes a text, or that the text was merged. Its number, if one is open.
pub(crate) async fn offer(
    app: &App,
    id: &str,
    title: &str,
    text: &str,
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
    Ok(propose(&session, &change).await?.number)
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
