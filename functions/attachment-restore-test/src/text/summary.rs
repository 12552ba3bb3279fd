//! The channel's message, and the page.

use std::collections::BTreeMap;

use shared::policy::Area;
use shared::run::notify::{Message, next_step as labelled};
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::failure::chain;
use shared::runtime::settings::Settings;
use shared::tr;

use super::sentence::{notes, result, sentence, word};
use super::step::{again, next_step};
use crate::rules::line::{Check, Line, Verdict};
use crate::rules::progress::Progress;
use crate::{PROCEDURE, TestError};

/// Most failures that a message describes one by one.
const DESCRIBED: usize = 8;

/// The channel's message: the result, each failure with its next step, and what was not verified, grouped by cause.
pub(crate) fn summary(
    settings: &Settings,
    run_id: &str,
    progress: &Progress,
    left: Option<String>,
) -> Message {
    let language = settings.language;
    let verdict = word(progress.verdict(), language);
    let title = tr!(
        language,
        "Teste de restauração dos anexos: {verdict}",
        "Restore test of the attachments: {verdict}"
    );
    // First, because a long message is cut at its end.
    let mut lines: Vec<_> = left.into_iter().collect();
    lines.extend([format!("{}.", capital(&result(progress, language))), checks(settings, progress)]);
    lines.extend(failures(settings, progress));
    lines.extend(open(settings, progress));
    lines.extend(notes(progress, language).into_iter().map(|note| format!("{}.", capital(&note))));
    if progress.verdict() != Verdict::Pass {
        let again = again(settings, progress).code();
        lines.push(tr!(
            language,
            "Outra vez com a mesma semente (os sorteados se repetem; recentes e grandes são os de agora): {again}",
            "Again with the same seed (the random ones are the same; the recent and large ones are those of now): {again}",
        ));
    }
    Message::new(settings, &title, lines, run_id)
}

/// How many lines of each check are sound.
fn checks(settings: &Settings, progress: &Progress) -> String {
    let language = settings.language;
    let count = |check: Check| {
        let of: Vec<&Line> = progress.lines().filter(|line| line.check == check).collect();
        let sound = of.iter().filter(|line| line.verdict() == Verdict::Pass).count();
        let name = match check {
            Check::Object => language.pick("legível", "readable"),
            Check::Size => language.pick("tamanho", "size"),
            Check::Checksum => "SHA-256",
            Check::Restore => language.pick("versão restaurada", "version restored"),
            Check::OnPrem => language.pick("cópia on-prem", "on-premises copy"),
            Check::Download => language.pick("download pela API", "download through the API"),
            // These have a line only if they failed.
            Check::Deleted | Check::Confirmation => return None,
        };
        (!of.is_empty()).then(|| format!("{name} {sound}/{}", of.len()))
    };
    let counts: Vec<_> = Check::ALL.into_iter().filter_map(count).collect();
    if counts.is_empty() {
        return language.pick("Nada foi verificado.", "Nothing was checked.").to_owned();
    }
    format!("{}.", capital(&counts.join(", ")))
}

/// The failures, each with its next step.
fn failures(settings: &Settings, progress: &Progress) -> Vec<String> {
    let language = settings.language;
    let failing: Vec<&Line> = progress.lines().filter(|line| line.verdict() == Verdict::Fail).collect();
    let mut lines: Vec<_> = failing
        .iter()
        .take(DESCRIBED)
        .map(|line| {
            let (kind, check, object) = (line.outcome.kind(), line.check.word(), &line.object);
            let text = format!("*{kind}* `{object}` ({check}): {}.", sentence(&line.outcome, language));
            match next_step(line, language) {
                Some(step) => format!("{text} {}: {step}.", language.next_step()),
                None => text,
            }
        })
        .collect();
    if failing.len() > DESCRIBED {
        let more = failing.len() - DESCRIBED;
        lines.push(tr!(
            language,
            "E mais {more}: o registro tem todos.",
            "And {more} more: the record has all."
        ));
    }
    lines
}

/// What was not verified or not finished, by kind, each with the first one's sentence.
fn open(settings: &Settings, progress: &Progress) -> Vec<String> {
    let language = settings.language;
    let mut by_kind: BTreeMap<(Verdict, &str), Vec<&Line>> = BTreeMap::new();
    for line in progress.lines() {
        let verdict = line.verdict();
        if [Verdict::Unverified, Verdict::NotFinished].contains(&verdict) {
            by_kind.entry((verdict, line.outcome.kind())).or_default().push(line);
        }
    }
    let text = |((_, kind), lines): ((Verdict, &str), Vec<&Line>)| {
        let first = lines.first()?;
        let (count, what) = (lines.len(), sentence(&first.outcome, language));
        let text = tr!(
            language,
            "*{kind}* ({count} não verificados): {what}.",
            "*{kind}* ({count} not verified): {what}."
        );
        Some(match next_step(first, language) {
            Some(step) => format!("{text} {}: {step}.", language.next_step()),
            None => text,
        })
    };
    by_kind.into_iter().filter_map(text).collect()
}

/// The page about damage.
pub(crate) fn page(settings: &Settings, bucket: &str, progress: &Progress) -> Page {
    const KIND: &str = "AttachmentsDamaged";
    let language = settings.language;
    let mut lines = vec![format!("{}.", capital(&result(progress, language)))];
    lines.extend(failures(settings, progress));
    let again = again(settings, progress).code();
    lines.push(tr!(
        language,
        "Depois, outra vez com a mesma semente: {again}",
        "Afterwards, again with the same seed: {again}"
    ));
    let alert = Alert {
        kind: KIND,
        severity: Severity::Critical,
        resource: bucket,
        text: lines.join("\n"),
        owners: vec![settings.policy.responsible(Area::Attachments)],
        runbook: "docs/restauracao.md#anexos",
        dedup_key: format!("{PROCEDURE}/{bucket}/{KIND}"),
    };
    Page::new(settings, alert)
}

/// The line about copies that are still there.
pub(crate) fn left(settings: &Settings, error: &TestError) -> String {
    let language = settings.language;
    let why = chain(error);
    let text = tr!(
        language,
        "*As cópias do teste não foram apagadas*: {why}.",
        "*The test's copies were not removed*: {why}.",
    );
    format!("{text} {}", labelled(language, &error.next_step(language)))
}

/// The message about a failed run.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &TestError) -> Message {
    let language = settings.language;
    let title = language
        .pick("O teste de restauração dos anexos falhou", "The restore test of the attachments failed");
    Message::failed(settings, title, &chain(error), &error.next_step(language), run_id)
}

/// The text with its first letter in upper case.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}
