//! What the run itself finds: controls that are not proved, and evidence that is damaged. Lines, message and pages.

use shared::audit::course::News;
use shared::audit::findings::{self, Item};
use shared::policy::Area;
use shared::run::notify::Message;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::rules::view::{Fault, Row, State, Verdict, View, Why};
use crate::text::{requirement, why};

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
    let anchors = (!view.anchor_faults.is_empty()).then_some(("anchors", &view.anchor_faults));
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
                    State::Overdue => shared::tr!(
                        language,
                        "ver por que {procedure} não provou a tempo (log da função, schedule), e executar à mão",
                        "find out why {procedure} did not prove it in time (the function's log, its schedule), and run it by hand",
                    ),
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

    /// Whether nobody else pages about it: damage, and a procedure that does not run any more.
    fn pages(&self) -> bool {
        match self {
            Self::Damage(..) => true,
            Self::Control(row) => matches!(row.why, Why::LateSince(_)),
        }
    }
}

/// The pages: one for each damaged chain, one for each control that is late because nothing ran.
pub(crate) fn pages(settings: &Settings, view: &View) -> Vec<Page> {
    let all = found(view);
    let mut pages = Vec::new();
    let mut chains: Vec<&str> = Vec::new();
    for one in all.iter().filter(|one| one.pages()) {
        match one {
            Found::Damage(procedure, _) if chains.contains(procedure) => {}
            Found::Damage(procedure, _) => {
                chains.push(procedure);
                let of = all.iter().filter(|one| matches!(one, Found::Damage(name, _) if name == procedure));
                let items: Vec<Item> = of.map(|one| one.item(settings.language)).collect();
                pages.push(page(
                    settings,
                    one.kind(),
                    procedure,
                    Severity::Critical,
                    &items,
                    Area::Infrastructure,
                ));
            }
            Found::Control(row) => {
                let items = [one.item(settings.language)];
                pages.push(page(
                    settings,
                    one.kind(),
                    &row.id,
                    Severity::Warning,
                    &items,
                    Area::Infrastructure,
                ));
            }
        }
    }
    pages
}

fn page(
    settings: &Settings,
    kind: &str,
    about: &str,
    severity: Severity,
    items: &[Item],
    area: Area,
) -> Page {
    let groups = findings::groups(items);
    let text = groups.iter().map(|group| group.text(settings.language, "")).collect::<Vec<_>>().join("\n");
    let alert = Alert {
        kind,
        severity,
        resource: about,
        text,
        owners: vec![settings.policy.responsible(area)],
        runbook: if kind == "EvidenceDamaged" { "docs/auditor.md" } else { "docs/governanca.md#estados" },
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
