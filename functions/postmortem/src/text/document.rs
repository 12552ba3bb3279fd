//! The document: facts, which this function writes, and sections for people. Foreign text is escaped for Markdown.

use std::collections::BTreeSet;

use incident::text::slack::action as action_name;
use incident::{Action, Entry, Incident};
use jiff::civil::Date;
use shared::run::markdown;
use shared::runtime::language::Language;
use shared::runtime::time;

use crate::rules::filled::{Filled, Section, TO_FILL, plain};
use crate::rules::times::{shown, times};

/// Most lines of the timeline in the document, half from its beginning and half from its end; the table has all. With
/// [`LONGEST`], the facts stay well below what people may send, and what GitHub returns.
const MOST_LINES: usize = 200;

/// Longest foreign text in the document, in characters.
const LONGEST: usize = 300;

/// Longest name of a person, in characters.
const LONGEST_NAME: usize = 100;

/// Most names of people; the timeline has all.
const MOST_NAMES: usize = 50;

/// Rows of an empty table of actions.
const EMPTY_ROWS: usize = 3;

/// What the document is about.
pub(crate) struct Facts<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// Its timeline, the oldest first.
    pub timeline: &'a [Entry],
    /// The day by which the post-mortem is to be closed.
    pub due: Date,
    /// Holidays that moved that day, with their names.
    pub holidays: &'a [(Date, &'static str)],
}

/// Foreign text for the document, cut to what one can read there.
fn text(foreign: &str) -> String {
    cut(foreign, LONGEST)
}

/// A person's name for the document.
fn name(foreign: &str) -> String {
    cut(foreign, LONGEST_NAME)
}

fn cut(foreign: &str, most: usize) -> String {
    let mut characters = foreign.chars();
    let short: String = characters.by_ref().take(most).collect();
    markdown::text(&short) + if characters.next().is_some() { " […]" } else { "" }
}

/// Foreign text in a code span, which ends no cell and begins no comment: nothing is escaped in it.
fn code(foreign: &str) -> String {
    let other = |character| match character {
        '|' => '¦',
        '<' => '‹',
        '>' => '›',
        character => character,
    };
    markdown::code(&foreign.chars().take(LONGEST).map(other).collect::<String>())
}

/// The definitions of the times, as they stand beside every number.
pub(crate) fn definitions(language: Language) -> [(&'static str, &'static str); 4] {
    [
        (
            "TTA",
            language.pick(
                "do primeiro evento até a primeira pessoa assumir",
                "from the first event until the first person acknowledged it",
            ),
        ),
        (
            "TTM",
            language.pick("do primeiro evento até o fim do impacto", "from the first event until the impact ended"),
        ),
        (
            "TTR",
            language.pick(
                "do primeiro evento até o encerramento",
                "from the first event until it was resolved",
            ),
        ),
        (
            "impact",
            language.pick(
                "do início do impacto (dito por uma pessoa; sem isso, o primeiro evento) até o encerramento",
                "from the beginning of the impact (as a person said; otherwise the first event) until it was resolved",
            ),
        ),
    ]
}

/// The whole document of an incident, for people to fill in.
pub(crate) fn draft(facts: &Facts<'_>, language: Language) -> String {
    let pick = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let [portuguese, english] = TO_FILL;
    let to_fill = language.pick(portuguese, english);
    let mark = |section: Section| section.mark();
    let incident = facts.incident;
    let mut lines = vec![
        format!("# Post-mortem {}: {}", incident.id, text(&incident.title)),
        String::new(),
        mark(Section::Facts),
        facts_of(facts, language),
        mark(Section::End),
        String::new(),
        format!("## {}", pick("Impacto", "Impact")),
        mark(Section::Impact),
        String::new(),
        format!(
            "{}: {to_fill}",
            pick("Quem foi afetado e o que não pôde fazer", "Who was affected, and what they could not do")
        ),
        String::new(),
        format!("## {}", pick("Causa raiz", "Root cause")),
        mark(Section::Cause),
        String::new(),
        to_fill.to_owned(),
        String::new(),
        format!("## {}", pick("Cinco porquês", "Five whys")),
        mark(Section::Whys),
        String::new(),
    ];
    lines.extend((1..=5).map(|number| format!("{number}. {} {to_fill}", pick("Por quê?", "Why?"))));
    lines.extend([
        String::new(),
        format!("## {}", pick("O que ajudou, o que atrapalhou", "What helped, what hindered")),
        String::new(),
        to_fill.to_owned(),
        String::new(),
        format!("## {}", pick("Ações", "Actions")),
        mark(Section::Actions),
        String::new(),
        // A comment: other text beside the table is the reason for no actions.
        format!(
            "<!-- {} -->",
            pick(
                "Cada ação tem uma pessoa e uma data (AAAA-MM-DD). Linhas vazias não contam. Sem ações: escreva o motivo abaixo da tabela.",
                "Each action has one person and one date (YYYY-MM-DD). Empty rows do not count. No actions: write the reason below the table.",
            )
        ),
        String::new(),
        pick("| Nº | Ação | Responsável | Prazo |", "| No. | Action | Owner | Due |").to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ]);
    let first = runbook_actions(incident, "", &Filled::default(), language);
    let rows = first.into_iter().chain(std::iter::repeat_n(String::new(), EMPTY_ROWS));
    lines.extend((1..).zip(rows).map(|(number, what)| format!("| {number} | {what} | | |")));
    lines.push(String::new());
    lines.join("\n")
}

/// The actions that a wrong runbook asks for, one for each reason: not those `before`, which had theirs, and people may have
/// changed that; nor those in a row of the document.
pub(crate) fn runbook_actions(
    incident: &Incident,
    before: &str,
    filled: &Filled,
    language: Language,
) -> Vec<String> {
    let runbook =
        if incident.runbook.is_empty() { String::new() } else { format!(" {}", code(&incident.runbook)) };
    let what = language.pick("Atualizar este guia ou runbooks", "Update this guide or the runbooks");
    let is_new = |why: &&str| {
        let shown = plain(&text(why));
        !before.lines().any(|known| known == *why)
            && !filled.actions.iter().any(|action| action.what.contains(&shown))
    };
    let reasons = incident.runbook_wrong.lines().filter(is_new);
    reasons.map(|why| format!("{what}{runbook}: {}", text(why))).collect()
}

/// The facts: what happened, how long it took, who took part, in order.
pub(crate) fn facts_of(facts: &Facts<'_>, language: Language) -> String {
    let Facts { incident, timeline, due, holidays } = facts;
    let pick = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let own = |text: &str| if text.is_empty() { "—".to_owned() } else { self::text(text) };
    let unknown = || "—".to_owned();
    let mut lines = vec![
        format!(
            "_{}_",
            pick(
                "Este trecho é escrito pela função postmortem, de novo ao encerrar; mudanças nele se perdem.",
                "The function postmortem writes this part, again when it is closed; changes of it are lost."
            )
        ),
        String::new(),
        format!("| {} | |", pick("Fato", "Fact")),
        "| --- | --- |".to_owned(),
    ];
    let mut row = |name: &str, value: String| lines.push(format!("| {name} | {value} |"));
    let confirmed = match incident.severity_confirmed_by.as_str() {
        "" => shared::tr!(language, "proposta por uma regra", "proposed by a rule"),
        by => {
            let by = text(by);
            shared::tr!(language, "confirmada por {by}", "confirmed by {by}")
        }
    };
    row(pick("Severidade", "Severity"), format!("{} ({confirmed})", incident.severity.name()));
    row(pick("Ambiente", "Environment"), own(&incident.environment));
    row(pick("Recurso", "Resource"), own(&incident.resource));
    row(pick("Fonte", "Source"), own(&incident.source));
    row(
        pick("Responsável, backup", "Owner, backup"),
        format!("{}, {}", own(&incident.owner), own(&incident.backup)),
    );
    row("Incident commander", own(&incident.commander));
    row(pick("Participaram", "Participants"), participants(incident, timeline));
    row(
        pick("Squads chamados", "Squads called in"),
        own(&incident.called.iter().map(|one| one.squad.as_str()).collect::<Vec<_>>().join(", ")),
    );
    row(pick("Eventos, voltas", "Events, returns"), format!("{}, {}", incident.count, incident.flaps));
    let data = match &incident.sensitive_data {
        None => pick("ninguém disse", "nobody said").to_owned(),
        Some(data) => {
            let word = if data.is_compromised { pick("sim", "yes") } else { pick("não", "no") };
            format!("{word} ({}: {})", text(&data.by), text(&data.reason))
        }
    };
    row(pick("Dados pessoais comprometidos", "Personal data compromised"), data);
    row("Runbook", if incident.runbook.is_empty() { unknown() } else { code(&incident.runbook) });
    if !incident.runbook_wrong.is_empty() {
        let reasons: Vec<_> = incident.runbook_wrong.lines().map(text).collect();
        row(pick("Runbook errado", "Wrong runbook"), reasons.join("; "));
    }
    let days: Vec<_> = holidays.iter().map(|(date, name)| format!("{date} {name}")).collect();
    let moved = match days.as_slice() {
        [] => String::new(),
        days => format!(" ({}: {})", pick("feriado no meio", "holiday in between"), days.join(", ")),
    };
    row(pick("Prazo deste post-mortem", "This post-mortem is due"), format!("{due}{moved}"));
    lines.extend([
        String::new(),
        format!("## {}", pick("Tempos", "Times")),
        String::new(),
        format!(
            "| {} | {} | {} |",
            pick("Tempo", "Time"),
            pick("Valor", "Value"),
            pick("Definição", "Definition")
        ),
        "| --- | --- | --- |".to_owned(),
    ]);
    let own = times(incident);
    let values = [own.acknowledge, own.mitigate, own.resolve, own.impact];
    for ((name, definition), value) in definitions(language).into_iter().zip(values) {
        let name = if name == "impact" { pick("Impacto", "Impact") } else { name };
        let value = value.map_or_else(unknown, shown);
        lines.push(format!("| {name} | {value} | {definition} |"));
    }
    lines.extend([
        String::new(),
        format!("| {} | {} |", pick("Momento", "Moment"), pick("Hora de São Paulo", "Time in São Paulo")),
        "| --- | --- |".to_owned(),
    ]);
    for (name, at) in [
        (pick("Início do impacto", "Beginning of the impact"), Some(incident.impact_began())),
        (pick("Primeiro evento", "First event"), Some(incident.first_at)),
        (pick("Assumido", "Acknowledged"), incident.first_acknowledged_at.or(incident.acknowledged_at)),
        (pick("Fim do impacto", "End of the impact"), incident.mitigated_at),
        (pick("Encerrado", "Resolved"), incident.resolved_at),
    ] {
        lines.push(format!("| {name} | {} |", at.map_or_else(unknown, time::local)));
    }
    lines.extend([String::new(), format!("## {}", pick("Linha do tempo", "Timeline")), String::new()]);
    lines.extend(timeline_of(timeline, language));
    lines.join("\n")
}

/// The people of an incident, each once.
fn participants(incident: &Incident, timeline: &[Entry]) -> String {
    let is_of_a_person = |entry: &&Entry| {
        matches!(
            entry.action,
            Action::Acknowledged
                | Action::SeverityConfirmed
                | Action::SeverityChanged
                | Action::CommanderAssigned
                | Action::SquadCalled
                | Action::Update
                | Action::Mitigated
                | Action::SensitiveData
                | Action::RunbookWrong
                | Action::Merged
                | Action::Drill
        )
    };
    let named = [&incident.commander, &incident.commander_backup, &incident.acknowledged_by];
    let acted = timeline.iter().filter(is_of_a_person).map(|entry| &entry.by);
    let mut seen = BTreeSet::new();
    let all = named.into_iter().chain(acted).filter(|name| !name.is_empty() && seen.insert(name.as_str()));
    let mut names: Vec<String> = all.map(|one| name(one)).collect();
    if names.len() > MOST_NAMES {
        names.truncate(MOST_NAMES);
        names.push("…".to_owned());
    }
    if names.is_empty() { "—".to_owned() } else { names.join(", ") }
}

/// The table of the timeline. Events and how sending went were counted only: a storm has thousands. What it says about the
/// post-mortem itself is not about the incident.
fn timeline_of(timeline: &[Entry], language: Language) -> Vec<String> {
    let is_counted = |entry: &&Entry| {
        matches!(entry.action, Action::Event | Action::Sent | Action::SendFailed | Action::Suppressed)
    };
    let of_incident = timeline.iter().filter(|entry| entry.action != Action::PostMortem);
    let (counted, listed): (Vec<_>, Vec<_>) = of_incident.partition(is_counted);
    let header = language.pick("| Hora | O quê | Quem | |", "| Time | What | Who | |");
    let mut lines = vec![header.to_owned(), "| --- | --- | --- | --- |".to_owned()];
    let mut day = String::new();
    let half = MOST_LINES / 2;
    let left_out = if listed.len() > MOST_LINES { half..listed.len() - half } else { 0..0 };
    for (place, entry) in listed.iter().enumerate() {
        if left_out.contains(&place) {
            if place == left_out.start {
                lines.push("| … | | | |".to_owned());
            }
            continue;
        }
        let local = time::local(entry.at);
        let (date, clock) = (local.get(..10).unwrap_or_default(), local.get(11..19).unwrap_or_default());
        let shown = if day == date { clock.to_owned() } else { format!("{date} {clock}") };
        day = date.to_owned();
        let (_, what) = action_name(entry.action, language);
        lines.push(format!("| {shown} | {what} | {} | {} |", name(&entry.by), text(&entry.text)));
    }
    let (more, counted) = (left_out.len(), counted.len());
    if more + counted > 0 {
        lines.extend([
            String::new(),
            shared::tr!(
                language,
                "Não estão aqui: {counted} evento(s) e envio(s), e {more} linha(s) do meio. Tudo está na tabela de incidentes.",
                "Not here: {counted} event(s) and message(s), and {more} line(s) of the middle. The table of incidents has everything.",
            ),
        ]);
    }
    lines
}
