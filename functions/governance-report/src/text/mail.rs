//! The monthly mail to the NGO's manager: what was proven, what is overdue, what it needs. For a reader who knows no AWS.

use shared::runtime::language::Language;

use crate::rules::view::{Row, State, Verdict, View, Why};
use crate::text::{day, requirement, state, unmeasured, why};

/// Most controls that a paragraph lists.
const MOST: usize = 30;

/// A mail in plain text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mail {
    pub subject: String,
    pub text: String,
}

/// The mail about a month.
pub(crate) fn mail(view: &View, month: &str, language: Language) -> Mail {
    let (project, environment) = (&view.project, &view.environment);
    let of = |wanted: &[State]| -> Vec<&Row> {
        view.controls.iter().filter(|row| wanted.contains(&row.state)).collect()
    };
    let proved = of(&[State::Ok, State::Due]);
    let late = of(&[State::Overdue]);
    let failing = of(&[State::Failing]);
    let unknown = of(&[State::Unknown]);
    let (good, all) = (proved.len(), view.controls.len());
    let subject = shared::tr!(
        language,
        "[{project} {environment}] Governança {month}: {good} de {all} controles provados",
        "[{project} {environment}] Governance {month}: {good} of {all} controls proven",
    );
    let mut parts = vec![shared::tr!(
        language,
        "Este é o resumo mensal do sistema {project}, ambiente {environment}. São {all} controles do guia operacional; {good} estão provados por registros que ninguém pode alterar sem que apareça.",
        "This is the monthly summary of the system {project}, environment {environment}. There are {all} controls of the operations guide; {good} are proven by records that nobody can change unnoticed.",
    )];
    let sections = [
        (language.pick("Provado", "Proven"), &proved, false),
        (
            language.pick(
                "Vencido: a prova devia ter chegado e não chegou",
                "Overdue: the proof should be here and is not",
            ),
            &late,
            true,
        ),
        (
            language.pick(
                "Falhando: a última prova mostra um problema",
                "Failing: the last proof shows a problem",
            ),
            &failing,
            true,
        ),
        (
            language.pick("Não se sabe: não conta como em ordem", "Unknown: not counted as good"),
            &unknown,
            true,
        ),
    ];
    for (title, rows, has_why) in sections {
        if rows.is_empty() {
            continue;
        }
        let mut lines = vec![format!("{title} ({})", rows.len())];
        lines.extend(rows.iter().take(MOST).map(|row| line(row, has_why, language)));
        lines.extend((rows.len() > MOST).then(|| format!("- (+{})", rows.len() - MOST)));
        parts.push(lines.join("\n"));
    }
    parts.extend(gaps(view, language));
    parts.push(chains(view, language));
    parts.push(needs(&late, &failing, &unknown, language));
    parts.push(shared::tr!(
        language,
        "A página completa, com a prova de cada controle, é baixada pela equipe com um comando (docs/governanca.md). Este e-mail não tem links e ninguém precisa responder a ele.",
        "The whole page, with the proof of each control, is downloaded by the team with one command (docs/governanca.md). This mail has no links, and nobody needs to answer it.",
    ));
    Mail { subject, text: parts.join("\n\n") + "\n" }
}

fn line(row: &Row, has_why: bool, language: Language) -> String {
    let what = requirement(&row.id, language);
    if !has_why {
        let due = row.next_due.filter(|_| row.state == State::Due).map(|due| {
            let due = day(due);
            shared::tr!(language, " (vence em {due})", " (due on {due})")
        });
        return format!("- {what}{}", due.unwrap_or_default());
    }
    let (since, owner) = (day(row.since), &row.owner);
    // Its reader needs no names of calls and resources.
    let why = match &row.why {
        Why::Unread(_) => language.pick("não pôde ser lido", "could not be read").to_owned(),
        other => why(other, language),
    };
    let state = state(row.state, language);
    shared::tr!(
        language,
        "- {what}: {state} desde {since} ({why}). Responsável: {owner}.",
        "- {what}: {state} since {since} ({why}). Owner: {owner}.",
    )
}

/// What the guide requires and no control measures; none if there is nothing.
fn gaps(view: &View, language: Language) -> Option<String> {
    let count = view.unmeasured.len();
    let title = shared::tr!(
        language,
        "Não medido ({count}): o guia também pede, e nenhum registro mostra se foi feito. Não entra na conta acima",
        "Not measured ({count}): the guide asks for it, too, and no record shows whether it was done. Not counted above",
    );
    let lines = view.unmeasured.iter().map(|gap| {
        let (what, why) = unmeasured(gap, language);
        format!("- {what} ({why}).")
    });
    (count > 0).then(|| std::iter::once(title).chain(lines).collect::<Vec<_>>().join("\n"))
}

fn chains(view: &View, language: Language) -> String {
    let damaged = view.chains.iter().filter(|chain| matches!(chain.verdict, Verdict::Damaged(_))).count();
    let damaged = damaged + usize::from(!view.anchor_faults.is_empty());
    let unknown = view.chains.iter().filter(|chain| chain.verdict == Verdict::Unknown).count();
    let unknown = unknown + usize::from(!view.anchors_unread.is_empty());
    match (damaged, unknown) {
        (0, 0) => language
            .pick(
                "Os registros foram conferidos: nenhum falta, nenhum mudou.",
                "The records were checked: none is missing, none has changed.",
            )
            .to_owned(),
        (0, unknown) => shared::tr!(
            language,
            "{unknown} cadeia(s) de registros não puderam ser conferidas até o fim.",
            "{unknown} chain(s) of records could not be checked to their end.",
        ),
        (damaged, _) => shared::tr!(
            language,
            "ATENÇÃO: {damaged} cadeia(s) de registros estão danificadas. Alguém mexeu nos registros, ou falta algum; a equipe foi chamada.",
            "ATTENTION: {damaged} chain(s) of records are damaged. Somebody changed records, or some are missing; the team was paged.",
        ),
    }
}

fn needs(late: &[&Row], failing: &[&Row], unknown: &[&Row], language: Language) -> String {
    let title = language.pick("O que se precisa", "What is needed");
    let mut owners: Vec<&str> = failing
        .iter()
        .chain(late)
        .chain(unknown)
        .map(|row| row.owner.as_str())
        .filter(|owner| !owner.is_empty())
        .collect();
    owners.sort_unstable();
    owners.dedup();
    if owners.is_empty() {
        let nothing = language.pick(
            "nada: tudo o que é medido está em dia.",
            "nothing: everything that is measured is up to date.",
        );
        return format!("{title}: {nothing}");
    }
    let lines = owners.iter().map(|owner| {
        let own = |rows: &[&Row]| rows.iter().filter(|row| row.owner == **owner).count();
        let (failing, late, unknown) = (own(failing), own(late), own(unknown));
        shared::tr!(
            language,
            "- {owner}: tempo para {failing} falhando, {late} vencido(s), {unknown} sem prova",
            "- {owner}: time for {failing} failing, {late} overdue, {unknown} without proof",
        )
    });
    format!("{title}:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
