//! Writes the page: one stored document, and its forms below `report/`.

use jiff::Timestamp;
use shared::run::documents::{DocumentError, Documents};
use shared::runtime::language::Language;

use crate::anchors;
use crate::chains::{INDEX, Index, Known};
use crate::look::Looked;
use crate::rules::view::View;
use crate::text::{feed, page, table};

/// Name of the stored document.
pub(crate) const PAGE: &str = "page";

/// A form of the page.
struct Form {
    key: &'static str,
    content_type: &'static str,
    make: fn(&View, Language) -> String,
}

const FORMS: [Form; 4] = [
    Form { key: "report/index.html", content_type: "text/html; charset=utf-8", make: page::page },
    Form { key: "report/controls.csv", content_type: "text/csv; charset=utf-8", make: table::controls },
    Form { key: "report/feed.atom", content_type: "application/atom+xml; charset=utf-8", make: feed::feed },
    // Last: the other forms are there when another environment sees a new one.
    Form { key: "report/controls.json", content_type: "application/json", make: json },
];

fn json(view: &View, _: Language) -> String {
    // Text, numbers and lists always serialize.
    serde_json::to_string(view).unwrap_or_default()
}

/// The page as it is stored.
pub(crate) struct Published {
    pub view: View,
    /// Why the one before could not be read, as after a rollback.
    pub replaced: Option<DocumentError>,
}

/// Stores the page, unless a newer one is stored, and shows what is stored. Returns it.
///
/// # Errors
///
/// [`DocumentError`]; a repeated run writes it again.
pub(crate) async fn publish(
    documents: &Documents,
    view: &View,
    language: Language,
) -> Result<Published, DocumentError> {
    let change = |stored: &mut View| {
        if stored.made_at <= view.made_at {
            let mut next = view.clone();
            next.succeed(stored);
            *stored = next;
        }
        stored.clone()
    };
    let (view, replaced) = documents.renew(PAGE, change).await?;
    for form in FORMS {
        let make = |view: &View| (form.make)(view, language);
        documents.show(PAGE, form.key, form.content_type, make).await?;
    }
    Ok(Published { view, replaced })
}

/// Keeps the checkpoints of verified chains. One that another run has advanced further stays. Checkpoints that cannot be
/// interpreted are replaced: the run has read everything again without them.
///
/// # Errors
///
/// [`DocumentError`]; the next run reads more records again.
pub(crate) async fn keep(
    documents: &Documents,
    looked: &Looked,
    anchored: Option<&anchors::Known>,
    now: Timestamp,
) -> Result<(), DocumentError> {
    let change = |index: &mut Index| {
        if looked.is_full {
            // What was found, or not read, may not show from the checkpoints on: the next run reads everything again.
            index.full_at = looked.is_whole().then_some(now);
        }
        let is_newer = |anchored: &&anchors::Known| {
            let kept = index.anchored.as_ref();
            kept.is_none_or(|kept| kept.bucket != anchored.bucket || kept.sequence < anchored.sequence)
        };
        if let Some(anchored) = anchored.filter(is_newer) {
            index.anchored = Some(anchored.clone());
        }
        for (procedure, known) in &looked.known {
            let sequence = |known: &Known| known.head.as_ref().map_or(0, |head| head.sequence);
            let is_older = index
                .chains
                .get(procedure)
                .is_some_and(|kept| sequence(kept) > sequence(known) && kept.full_at >= known.full_at);
            if !is_older {
                index.chains.insert(procedure.clone(), known.clone());
            }
        }
    };
    documents.renew(INDEX, change).await?;
    Ok(())
}
