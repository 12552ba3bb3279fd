//! Texts for people: the channel's messages and the page.

mod failure;

use jiff::SignedDuration;
use proof::{Line, Verdict};
use serde_json::json;
use shared::policy::Area;
use shared::run::command::Command;
use shared::run::notify::{self, Message};
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time::local;
use shared::workflow::Broken;

use crate::PROCEDURE;
use crate::error::FailureKind;
use crate::rules::case::Case;
use crate::rules::run::Run;

/// Checks that a message lists; the record has all.
const LISTED: usize = 12;

/// The message about a green test.
pub(crate) fn passed(settings: &Settings, case: &Case) -> Message {
    let language = settings.language;
    let title = language.pick("Restauração provada", "Restore proved");
    let mut lines = figures(case, language);
    lines.push(format!(
        "*{}*: {}",
        language.next_step(),
        language.pick(
            "nenhum; o registro é a evidência do teste trimestral.",
            "none; the record is the evidence of the quarterly test.",
        )
    ));
    Message::new(settings, &format!("{title}: {}", of(case)), lines, &case.execution)
}

/// The message about a baseline that lacks tables.
pub(crate) fn incomplete(settings: &Settings, database: &str, unread: &[String], run_id: &str) -> Message {
    let language = settings.language;
    let title = language.pick("Leitura da origem incompleta", "Reading of the source incomplete");
    let mut lines: Vec<String> =
        unread.iter().take(LISTED).map(|table| format!("• {}", table.replace('`', "'"))).collect();
    let more = unread.len().saturating_sub(LISTED);
    if more > 0 {
        lines.push(shared::tr!(language, "… e mais {more} no registro", "… and {more} more in the record"));
    }
    lines.push(notify::next_step(
        language,
        &format!(
            "{} {}",
            language.pick(
                "dar ao usuário de DatabaseSecretName o direito de ler estas tabelas (GRANT SELECT), ou curar o erro, e ler de novo; até lá o teste não as verifica.",
                "give the user of DatabaseSecretName the right to read these tables (GRANT SELECT), or cure the error, and read again; until then the test does not verify them.",
            ),
            Command::start(settings, &json!({"baseline": true})).code()
        ),
    ));
    Message::new(settings, &format!("{title}: {database}"), lines, run_id)
}

/// The message about a test that is not green.
pub(crate) fn failed(settings: &Settings, case: &Case, broken: &Broken, run_id: &str) -> Message {
    let language = settings.language;
    let title = match (&case.baseline, FailureKind::from(broken.kind.as_str())) {
        (Some(_), _) => language.pick("Leitura da origem falhou", "Reading the source failed"),
        (None, FailureKind::ProofFailed) => language.pick("Restauração reprovada", "Restore not sound"),
        (None, FailureKind::NotVerified | FailureKind::NotFinished) => {
            language.pick("Restauração não verificada", "Restore not verified")
        }
        (None, FailureKind::Outlived | FailureKind::NotRemoved | FailureKind::InstanceNotOurs) => {
            language.pick("Instância de teste não apagada", "Test instance not removed")
        }
        (None, _) => language.pick("Teste de restauração falhou", "Restore test failed"),
    };
    let mut lines = vec![format!("*{}*: {}", broken.kind, broken.detail)];
    lines.extend(figures(case, language));
    lines.extend(left(case, language));
    let listed: Vec<&Line> = worst_first(case).take(LISTED).collect();
    let more = worst_first(case).count().saturating_sub(listed.len());
    for line in listed {
        lines.push(format!("• *{}*: {}", verdict(line.verdict, language), sentence(line, language)));
    }
    if more > 0 {
        lines.push(shared::tr!(language, "… e mais {more} no registro", "… and {more} more in the record"));
    }
    lines
        .push(notify::next_step(language, &failure::next_step(settings, case, &broken.kind.as_str().into())));
    Message::new(settings, &format!("{title}: {}", of(case)), lines, run_id)
}

/// The message about an instance that the reaper removed after its run had reported it.
pub(crate) fn removed(settings: &Settings, case: &Case, run_id: &str) -> Message {
    let language = settings.language;
    let title = language.pick("Instância de teste apagada", "Test instance removed");
    let name = case.run.as_ref().map_or("?", |run| run.instance.as_str());
    let line = shared::tr!(
        language,
        "`{name}` não existe mais; o teste seguinte pode começar.",
        "`{name}` no longer exists; the next test can begin."
    );
    Message::new(settings, &format!("{title}: {}", of(case)), vec![line], run_id)
}

/// The page about a test that is not green.
pub(crate) fn page(settings: &Settings, case: &Case, broken: &Broken) -> Page {
    let language = settings.language;
    let kind = FailureKind::from(broken.kind.as_str());
    let mut text =
        vec![format!("{} ({}): {}: {}.", of(case), settings.environment, broken.kind, broken.detail)];
    text.extend(
        worst_first(case)
            .take(LISTED)
            .map(|line| format!("{}: {}", verdict(line.verdict, language), sentence(line, language))),
    );
    text.extend(left(case, language));
    text.push(format!("{}: {}", language.next_step(), failure::next_step(settings, case, &kind)));
    let alert = Alert {
        kind: &broken.kind,
        // The backup that exists may be of no use.
        severity: if kind == FailureKind::ProofFailed { Severity::Critical } else { Severity::Warning },
        resource: &case.database,
        text: text.join("\n"),
        owners: vec![settings.policy.responsible(Area::Database)],
        runbook: "docs/restauracao.md#o-que-cada-falha-significa",
        dedup_key: dedup_key(case, &kind),
    };
    Page::new(settings, alert)
}

/// The problem that a page is about: of the snapshot or, past the deadline, of the instance, since each has its own.
fn dedup_key(case: &Case, kind: &FailureKind) -> String {
    let object = if *kind == FailureKind::Outlived { Some(case.execution.as_str()) } else { case.snapshot() };
    let parts = [Some(PROCEDURE), Some(case.database.as_str()), object, Some(kind.as_str())];
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// The line about an instance that still exists, whatever else is reported; the reaper goes on with it.
fn left(case: &Case, language: Language) -> Option<String> {
    let name = case.run.as_ref().filter(|_| case.is_left).map(|run| run.instance.as_str())?;
    if case.is_foreign {
        return Some(shared::tr!(
            language,
            "A instância `{name}` existe, sem as tags do teste: o removedor não a apaga.",
            "The instance `{name}` exists without the test's tags: the reaper does not remove it."
        ));
    }
    Some(shared::tr!(
        language,
        "A instância `{name}` ainda existe; o removedor tenta a cada hora.",
        "The instance `{name}` still exists; the reaper tries every hour."
    ))
}

/// A check's sentence, without backquotes: one of a table's definition could end a code span and add another command.
fn sentence(line: &Line, language: Language) -> String {
    proof::text::sentence(line, language).replace('`', "'")
}

/// What a message is about: the snapshot, else the database.
fn of(case: &Case) -> &str {
    case.run.as_ref().map_or(case.database.as_str(), |run| run.snapshot.name.as_str())
}

/// The lines that do not hold, worst first.
fn worst_first(case: &Case) -> impl Iterator<Item = &Line> {
    [Verdict::Fail, Verdict::NotFinished, Verdict::Unverified]
        .into_iter()
        .flat_map(|verdict| case.of_verdict(verdict))
}

/// The figures of a test: snapshot, recovery point, recovery time, checks, rows.
fn figures(case: &Case, language: Language) -> Vec<String> {
    let Some(run) = &case.run else { return Vec::new() };
    let mut lines = vec![snapshot(run, language)];
    let mut times = Vec::new();
    times.extend(case.recovery_point().map(|lost| format!("*RPO* {}", span(lost))));
    let recovery = case.recovery();
    if !recovery.is_empty() {
        let parts =
            recovery.into_iter().map(|(part, time)| format!("{} {}", name(part, language), span(time)));
        times.push(format!("*RTO* {}", parts.collect::<Vec<_>>().join(", ")));
    }
    lines.extend((!times.is_empty()).then(|| times.join(" · ")));
    if !case.lines.is_empty() {
        let count = |of: Verdict| case.of_verdict(of).count();
        let counts =
            [Verdict::Pass, Verdict::Unavailable, Verdict::Unverified, Verdict::NotFinished, Verdict::Fail];
        let counts = counts.into_iter().filter(|of| count(*of) > 0);
        let counts: Vec<_> = counts.map(|of| format!("{} {}", count(of), verdict(of, language))).collect();
        let checks = language.pick("verificações", "checks");
        lines.push(format!("*{} {checks}*: {}", case.lines.len(), counts.join(", ")));
    }
    if let Some(restored) = &case.restored {
        let (tables, rows) = (restored.tables.len(), restored.rows());
        lines.push(shared::tr!(
            language,
            "{tables} tabelas, {rows} linhas lidas",
            "{tables} tables, {rows} rows read"
        ));
    }
    if let Some(reason) = &run.source_unread {
        lines.push(shared::tr!(
            language,
            "A origem não pôde ser lida: {reason}",
            "The source could not be read: {reason}"
        ));
    }
    lines
}

fn snapshot(run: &Run, language: Language) -> String {
    let mut parts = vec![format!("Snapshot `{}`", run.snapshot.name)];
    parts.extend(run.data_time().map(|at| format!("{} {}", language.pick("de", "of"), local(at))));
    parts.push(format!("PostgreSQL {}", run.snapshot.engine_version));
    parts.extend(run.snapshot.allocated_gib.map(|size| format!("{size} GiB")));
    parts.extend(run.is_away.then(|| run.region.clone()));
    parts.join(" · ")
}

/// A part of the recovery time, in words.
fn name(part: &'static str, language: Language) -> &'static str {
    match (part, language) {
        (part, Language::English) => part,
        ("available", _) => "disponível",
        ("password set", _) => "senha trocada",
        ("first query", _) => "primeira consulta",
        ("all tables read", _) => "tudo lido",
        ("deleted", _) => "apagada",
        (part, _) => part,
    }
}

/// A verdict, in words.
pub(crate) fn verdict(verdict: Verdict, language: Language) -> &'static str {
    match verdict {
        Verdict::Pass => language.pick("certo", "pass"),
        Verdict::Unavailable => language.pick("não existe nesta versão", "unavailable"),
        Verdict::Unverified => language.pick("não verificado", "not verified"),
        Verdict::NotFinished => language.pick("não terminado", "not finished"),
        Verdict::Fail => language.pick("errado", "fail"),
    }
}

/// A duration in its two largest units.
fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use proof::{Check, Figure, Reading};

    use super::*;
    use crate::rules::choice::Chosen;
    use crate::rules::run::tests::at;

    pub(super) fn settings(language: Language) -> Settings {
        shared::testing::settings("moveongs-dev-restore-test", language)
    }

    pub(super) fn case() -> Case {
        let mut case = Case::of("7e1c", "moveongs-dev-db");
        let mut run = Run::begin("7e1c", "moveongs-dev-restore-test-", 12, at(0));
        run.asked = Some(at(1));
        run.available = Some(at(13));
        run.removed = Some(at(44));
        run.snapshot = Chosen {
            name: "rds:moveongs-dev-db-2023-11-14-05-10".to_owned(),
            arn: "arn:aws:rds:r:1:snapshot:rds:moveongs-dev-db-2023-11-14-05-10".to_owned(),
            database_time: Some(at(-90)),
            engine_version: "15.8".to_owned(),
            allocated_gib: Some(20),
            ..Chosen::default()
        };
        case.run = Some(run);
        let line = |verdict, object: &str| Line {
            check: Check::Content,
            object: object.to_owned(),
            verdict,
            figure: Figure::None,
        };
        case.lines = vec![line(Verdict::Pass, "public.a"), line(Verdict::Pass, "public.b")];
        case.verdict = Some(Verdict::Pass);
        case.restored = Some(Reading::default());
        case
    }

    #[test]
    fn a_green_test_is_reported_with_its_figures() {
        let message = passed(&settings(Language::Portuguese), &case());
        assert_eq!(message.title(), "Restauração provada: rds:moveongs-dev-db-2023-11-14-05-10 (dev)");
        assert_eq!(
            message.lines(),
            [
                "Snapshot `rds:moveongs-dev-db-2023-11-14-05-10` · de 2023-11-14 17:43:20 -03:00 · PostgreSQL 15.8 · 20 GiB",
                "*RPO* 1 h 30 min · *RTO* disponível 12 min 0 s, apagada 43 min 0 s",
                "*2 verificações*: 2 certo",
                "0 tabelas, 0 linhas lidas",
                "*Próximo passo*: nenhum; o registro é a evidência do teste trimestral.",
            ]
        );
    }

    #[test]
    fn a_failed_proof_names_the_damage_first_and_not_everything() {
        let mut case = case();
        let line = |verdict, object: &str| Line {
            check: Check::Content,
            object: object.to_owned(),
            verdict,
            figure: Figure::None,
        };
        case.lines.extend((0..14).map(|n| line(Verdict::Unverified, &format!("public.u{n}"))));
        case.lines.push(line(Verdict::Fail, "public.enrollments"));
        case.verdict = Some(Verdict::Fail);
        let broken = Broken { kind: "ProofFailed".to_owned(), detail: "1 checks failed".to_owned() };
        for language in [Language::Portuguese, Language::English] {
            let message = failed(&settings(language), &case, &broken, "7e1c");
            let listed: Vec<_> = message.lines().iter().filter(|line| line.starts_with("• ")).collect();
            assert_eq!(listed.len(), LISTED);
            assert!(listed[0].contains("public.enrollments"), "{listed:?}");
            assert!(message.text().contains(language.pick("mais 3 no registro", "3 more in the record")));
            let page = page(&settings(language), &case, &broken);
            assert!(!page.text.contains("-restore-test-"), "{}", page.text);
            let left = Case { is_left: true, ..self::case() };
            let left = self::page(&settings(language), &left, &broken);
            assert!(left.text.contains("`moveongs-dev-restore-test-"), "{}", left.text);
            assert_eq!(page.severity, Severity::Critical);
            assert_eq!(
                page.dedup_key,
                "restore-test/moveongs-dev-db/rds:moveongs-dev-db-2023-11-14-05-10/ProofFailed"
            );
            assert!(page.text.contains("public.enrollments"), "{}", page.text);
            let foreign = Case { is_left: true, is_foreign: true, ..self::case() };
            let foreign = self::page(&settings(language), &foreign, &broken).text;
            assert!(foreign.contains(language.pick("sem as tags", "without the test's tags")), "{foreign}");
            // Each instance past its deadline has its own page, as has each snapshot.
            let outlived = Case::of("moveongs-dev-restore-test-1", "moveongs-dev-db");
            let late = Broken { kind: "Outlived".to_owned(), detail: "why".to_owned() };
            let key = self::page(&settings(language), &outlived, &late).dedup_key;
            assert_eq!(key, "restore-test/moveongs-dev-db/moveongs-dev-restore-test-1/Outlived");
        }
    }

    #[test]
    fn an_incomplete_baseline_names_its_tables_and_how_to_read_again() {
        let tables: Vec<String> = (0..14).map(|n| format!("public.t{n}: the role may not read it")).collect();
        for language in [Language::Portuguese, Language::English] {
            let text = incomplete(&settings(language), "moveongs-dev-db", &tables, "e").text();
            assert!(text.contains("• public.t11: ") && !text.contains("public.t12"), "{text}");
            assert!(text.contains(language.pick("mais 2 no registro", "2 more in the record")), "{text}");
            assert!(text.contains(r#"start-execution"#) && text.contains(r#"{"baseline":true}"#), "{text}");
        }
    }

    #[test]
    fn a_duration_has_two_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
            (-5, "0 s"),
        ] {
            assert_eq!(span(SignedDuration::from_secs(seconds)), expected);
        }
    }
}
