//! What the run itself finds: controls that are not proved, and evidence that is damaged. Lines, message and pages.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::audit::course::News;
use shared::audit::findings::{self, Item, about_of};
use shared::policy::Area;
use shared::run::notify::Message;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::rules::state::ANCHORS;
use crate::rules::view::{Fault, Row, State, Verdict, View, Why};
use crate::text::{minute, requirement, why};

/// A finding.
pub(crate) enum Found<'a> {
    /// A control that is not proved.
    Control(&'a Row),
    /// A fault of a procedure's chain, or of the anchors.
    Damage(&'a str, &'a Fault),
}

/// Every finding, the worst first. A control whose case never arose is none.
pub(crate) fn found(view: &View) -> Vec<Found<'_>> {
    let chains = view.chains.iter().filter_map(|chain| match &chain.verdict {
        Verdict::Damaged(faults) => Some((chain.procedure.as_str(), faults)),
        _ => None,
    });
    let anchors = (!view.anchor_faults.is_empty()).then_some((ANCHORS, &view.anchor_faults));
    let damage = chains
        .chain(anchors)
        .flat_map(|(name, faults)| faults.iter().map(move |fault| Found::Damage(name, fault)));
    let is_found = |row: &&Row| !row.state.is_good() && row.why != Why::NoCase;
    let mut controls: Vec<_> = view.controls.iter().filter(is_found).collect();
    controls.sort_by_key(|row| row.state);
    damage.chain(controls.into_iter().map(Found::Control)).collect()
}

impl Found<'_> {
    /// Stable name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Damage(..) => "EvidenceDamaged",
            Self::Control(row) => match row.state {
                State::Failing => "ControlFailing",
                State::Overdue => "ControlOverdue",
                State::Unknown | State::Due | State::Ok => "ControlUnknown",
            },
        }
    }

    fn about(&self) -> String {
        match self {
            Self::Damage(procedure, fault) => format!("{procedure}/{}/{}", fault.kind, fault.key),
            Self::Control(row) => row.id.clone(),
        }
    }

    /// Key of the finding.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.kind(), self.about())
    }

    fn sentence(&self, language: Language) -> String {
        match self {
            Self::Damage(_, fault) => fault.what.clone(),
            Self::Control(row) => {
                format!("{}: {}", requirement(&row.id, language), why(&row.why, language))
            }
        }
    }

    fn step(&self, language: Language) -> String {
        match self {
            Self::Damage(_, fault) => fault.next.clone(),
            Self::Control(row) => {
                let procedure = &row.procedure;
                match row.state {
                    State::Overdue => overdue_step(procedure, language),
                    State::Unknown => shared::tr!(
                        language,
                        "ver na página o que não pôde ser lido (docs/governanca.md#estados)",
                        "see on the page what could not be read (docs/governanca.md#estados)",
                    ),
                    State::Failing | State::Due | State::Ok => shared::tr!(
                        language,
                        "ver os achados de {procedure} na página (docs/governanca.md#baixar)",
                        "see the findings of {procedure} on the page (docs/governanca.md#baixar)",
                    ),
                }
            }
        }
    }

    /// The record's line.
    pub(crate) fn line(&self) -> String {
        format!("{}: {}", self.key(), self.sentence(Language::English))
    }

    fn item(&self, language: Language) -> Item {
        let step = self.step(language);
        Item {
            kind: self.kind().to_owned(),
            about: self.about(),
            sentence: self.sentence(language),
            pattern: step.clone(),
            step,
        }
    }
}

/// Whether a key of the last run could not be checked again: its absence is no good news.
pub(crate) fn is_unseen(view: &View, key: &str) -> bool {
    let about = about_of(key);
    let row = view.controls.iter().find(|row| row.id == about);
    match (key.starts_with("EvidenceDamaged "), about.split('/').next()) {
        (true, Some(ANCHORS)) => !view.has_anchors || !view.anchors_unread.is_empty(),
        (true, name) => {
            let chain = view.chains.iter().find(|chain| Some(chain.procedure.as_str()) == name);
            // It may be an anchor that contradicted the chain.
            chain.is_none_or(|chain| chain.verdict == Verdict::Unknown) || !view.anchors_unread.is_empty()
        }
        _ => row.is_none_or(|row| row.state == State::Unknown),
    }
}

/// The pages, about what nobody else pages: one for each damaged chain, and one for each procedure that does not run any more,
/// whatever its last run found.
pub(crate) fn pages(settings: &Settings, view: &View) -> Vec<Page> {
    let language = settings.language;
    let mut damaged: BTreeMap<&str, Vec<Item>> = BTreeMap::new();
    for one in found(view) {
        if let Found::Damage(name, _) = one {
            damaged.entry(name).or_default().push(one.item(language));
        }
    }
    let mut stopped: BTreeMap<&str, Item> = BTreeMap::new();
    for row in &view.controls {
        let Some(since) = row.stopped else { continue };
        stopped.entry(&row.procedure).or_insert_with(|| silence(&row.procedure, since, language));
    }
    let damaged = damaged.iter().map(|(name, items)| page(settings, name, Severity::Critical, items));
    let stopped = stopped.iter();
    let stopped =
        stopped.map(|(name, item)| page(settings, name, Severity::Warning, std::slice::from_ref(item)));
    damaged.chain(stopped).collect()
}

/// A procedure that does not run.
fn silence(procedure: &str, since: Timestamp, language: Language) -> Item {
    let since = minute(since);
    let step = overdue_step(procedure, language);
    Item {
        kind: "ControlOverdue".to_owned(),
        about: procedure.to_owned(),
        sentence: shared::tr!(language, "não roda desde {since}", "has not run since {since}"),
        pattern: step.clone(),
        step,
    }
}

fn overdue_step(procedure: &str, language: Language) -> String {
    shared::tr!(
        language,
        "ver por que {procedure} não provou a tempo (log da função, schedule), e executar à mão",
        "find out why {procedure} did not prove it in time (the function's log, its schedule), and run it by hand",
    )
}

fn page(settings: &Settings, about: &str, severity: Severity, items: &[Item]) -> Page {
    let groups = findings::groups(items);
    let text = groups.iter().map(|group| group.text(settings.language, "")).collect::<Vec<_>>().join("\n");
    let (kind, runbook) = match severity {
        Severity::Critical => ("EvidenceDamaged", "docs/auditor.md"),
        _ => ("ControlOverdue", "docs/governanca.md#estados"),
    };
    let alert = Alert {
        kind,
        severity,
        resource: about,
        text,
        owners: vec![settings.policy.responsible(Area::Infrastructure)],
        runbook,
        dedup_key: format!("{}/{about}/{kind}", crate::PROCEDURE),
    };
    Page::new(settings, alert)
}

/// The channel's message.
pub(crate) fn summary(settings: &Settings, view: &View, news: &News<'_>) -> Message {
    let language = settings.language;
    let all = found(view);
    let (good, count) = (view.count(State::Ok) + view.count(State::Due), view.controls.len());
    let title = shared::tr!(
        language,
        "Governança: {good} de {count} controles provados",
        "Governance: {good} of {count} controls proven",
    );
    let lists_all = news.is_weekly || news.unread.is_some();
    let is_new = |one: &&Found<'_>| lists_all || news.changes.new.contains(&one.key());
    let new: Vec<Item> = all.iter().filter(is_new).map(|one| one.item(language)).collect();
    let mut lines: Vec<String> = news.unread.iter().map(|unread| unread.text(language)).collect();
    lines.extend(findings::groups(&new).iter().map(|group| group.text(language, "*")));
    let listed = |label: &str, keys: Vec<String>| {
        (!keys.is_empty()).then(|| format!("{label} {}.", findings::listed(keys, 600)))
    };
    let unchanged: Vec<String> = all.iter().filter(|one| !is_new(one)).map(Found::key).collect();
    lines.extend(listed(language.pick("Continua:", "Unchanged:"), unchanged));
    lines.extend(listed(
        language.pick("Resolvido:", "Resolved:"),
        news.changes.resolved.iter().cloned().collect(),
    ));
    if lines.is_empty() {
        lines.push(language.pick("Tudo está provado.", "Everything is proven.").to_owned());
    }
    let bucket = &view.bucket;
    lines.push(shared::tr!(
        language,
        "Página: s3://{bucket}/report/index.html (`cargo xtask page`).",
        "Page: s3://{bucket}/report/index.html (`cargo xtask page`).",
    ));
    Message::new(settings, &title, lines, news.run_id)
}
