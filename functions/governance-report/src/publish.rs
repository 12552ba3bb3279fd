//! Writes the page: one stored document, and its forms below `report/`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::run::documents::{DocumentError, Documents};
use shared::runtime::language::Language;

use crate::chains::{INDEX, Index, Known};
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

/// Stores the page, unless a newer one is stored, and shows what is stored. Returns it.
///
/// # Errors
///
/// [`DocumentError`]; a repeated run writes it again.
pub(crate) async fn publish(
    documents: &Documents,
    view: &View,
    language: Language,
) -> Result<View, DocumentError> {
    let change = |stored: &mut View| {
        if stored.made_at <= view.made_at {
            let mut next = view.clone();
            next.succeed(stored);
            *stored = next;
        }
        stored.clone()
    };
    let stored = documents.update(PAGE, change).await?;
    for form in FORMS {
        let make = |view: &View| (form.make)(view, language);
        documents.show(PAGE, form.key, form.content_type, make).await?;
    }
    Ok(stored)
}

/// Keeps the checkpoints of verified chains. One that another run has advanced further stays.
///
/// # Errors
///
/// [`DocumentError`]; the next run reads more records again.
pub(crate) async fn keep(
    documents: &Documents,
    known: &BTreeMap<String, Known>,
    anchor: Option<u64>,
    full_at: Option<Timestamp>,
) -> Result<(), DocumentError> {
    let change = |index: &mut Index| {
        index.anchor = index.anchor.max(anchor);
        index.full_at = index.full_at.max(full_at);
        for (procedure, known) in known {
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
    documents.update(INDEX, change).await
}
