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

/// Keeps the checkpoints of verified chains. One that another run has advanced further stays, and so does what another run has
/// meanwhile said of a complete reading. Checkpoints that cannot be interpreted are replaced: the run has read everything again
/// without them.
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
    documents.renew(INDEX, |index: &mut Index| renew(index, looked, anchored, now)).await?;
    Ok(())
}

fn renew(index: &mut Index, looked: &Looked, anchored: Option<&anchors::Known>, now: Timestamp) {
    index.adopt();
    if looked.is_full {
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
        let reading = |known: &Known| (known.full_at, known.again.clone());
        let kept = index.chains.entry(procedure.clone()).or_insert_with(|| known.clone());
        let is_as_before = looked.before.get(procedure).map(reading) == Some(reading(kept));
        let next = reading(if is_as_before { known } else { kept });
        if sequence(kept) <= sequence(known) {
            kept.clone_from(known);
        }
        (kept.full_at, kept.again) = next;
    }
    // A reading from the checkpoints on may not show what was found or not read: the next run reads all records again.
    for (procedure, resume) in &looked.unproved {
        if let Some(known) = index.chains.get_mut(procedure) {
            (known.full_at, known.again) = (None, resume.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chain::Head;

    use crate::chains::{Again, FORM};

    use super::*;

    #[test]
    fn what_another_run_has_kept_meanwhile_stays() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let head = |sequence| {
            Some(Head { sequence, sha256: String::new(), ended: Timestamp::UNIX_EPOCH, checkpoint: None })
        };
        let known = |sequence, full_at: Option<i64>, again: Option<u64>| Known {
            head: head(sequence),
            full_at: full_at.map(at),
            again: again.map(|sequence| Again { head: head(sequence), since: at(2) }),
            ..Known::default()
        };
        let chains = |known: &Known| BTreeMap::from([("x".to_owned(), known.clone())]);
        let before = known(10, Some(1), None);
        for (meanwhile, own, expected) in [
            (before.clone(), known(11, Some(3), None), known(11, Some(3), None)),
            // Of two checkpoints the further one, with the time of the complete reading.
            (known(11, Some(1), None), known(10, Some(3), None), known(11, Some(3), None)),
            // It found something.
            (known(10, None, None), known(11, Some(1), None), known(11, None, None)),
            // It ran out of time.
            (known(10, Some(1), Some(5)), known(11, Some(1), None), known(11, Some(1), Some(5))),
        ] {
            let mut index = Index { form: FORM, chains: chains(&meanwhile), ..Index::default() };
            let looked = Looked { before: chains(&before), known: chains(&own), ..Looked::default() };
            renew(&mut index, &looked, None, at(4));
            assert_eq!(index.chains, chains(&expected), "{meanwhile:?} {own:?}");
            // Found by this run, or not compared with the anchors.
            let resume = known(0, None, Some(7)).again;
            let unproved = BTreeMap::from([("x".to_owned(), resume.clone())]);
            renew(&mut index, &Looked { unproved, ..looked }, None, at(4));
            assert_eq!((index.chains["x"].full_at, &index.chains["x"].again), (None, &resume));
        }
    }
}
