//! The mail to internal customers: what an incident means for them, by a template, in both languages.
//!
//! Of the incident it shows the title, the state, the severity, the environment and the times, and what a person wrote for
//! customers. It does not show what only operators need (the reason, labels, commands, addresses), who works on it, or
//! whether personal data is concerned: of that, the notice of the LGPD tells.

use jiff::Timestamp;
use policy::time::local;
use policy::tr;
use serde_json::Value;

use crate::Severity;
use crate::incident::{Incident, State};
use crate::text::mail::{Content, Mail};
use crate::text::{self, Language, block, cut, line, one, slack};

/// Most characters of the subject: more than a list of mails shows.
const SUBJECT_LIMIT: usize = 150;

/// Most characters of the title, and of the words.
const TITLE_LIMIT: usize = 200;
const WORDS_LIMIT: usize = 4_000;

/// What customers read besides the incident.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Told<'a> {
    /// What a person wrote for them; empty for the template's own sentence.
    pub words: &'a str,
    /// Whether they have had no mail about this incident.
    pub is_first: bool,
}

/// What the mail is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Moment {
    Opened,
    Updated,
    Back,
    Mitigated,
    Resolved,
}

impl Moment {
    /// By the state that the mail shows: one that was ordered before the end and sent after it tells the end.
    fn of(incident: &Incident, is_first: bool) -> Self {
        match incident.state {
            State::Resolved => Self::Resolved,
            State::Mitigated => Self::Mitigated,
            State::Triggered | State::Acknowledged if is_first => Self::Opened,
            State::Triggered | State::Acknowledged if incident.flaps > 0 => Self::Back,
            State::Triggered | State::Acknowledged => Self::Updated,
        }
    }

    fn name(self, language: Language) -> &'static str {
        match self {
            Self::Opened => language.pick("Problema em andamento", "Ongoing problem"),
            Self::Updated | Self::Back => language.pick("Atualização", "Update"),
            Self::Mitigated => language.pick("Impacto encerrado", "Impact over"),
            Self::Resolved => language.pick("Resolvido", "Resolved"),
        }
    }

    fn sentence(self, language: Language) -> &'static str {
        match self {
            Self::Opened => language.pick(
                "Identificamos um problema e estamos trabalhando nele.",
                "We have found a problem and are working on it.",
            ),
            Self::Updated => language.pick(
                "O problema continua, e estamos trabalhando nele.",
                "The problem continues, and we are working on it.",
            ),
            Self::Back => language.pick(
                "O problema voltou, e estamos trabalhando nele.",
                "The problem is back, and we are working on it.",
            ),
            Self::Mitigated => language.pick(
                "O sistema voltou a funcionar. Ainda trabalhamos na causa.",
                "The system works again. We are still working on the cause.",
            ),
            Self::Resolved => language.pick("O problema foi resolvido.", "The problem is resolved."),
        }
    }

    fn state(self, language: Language) -> &'static str {
        match self {
            Self::Opened | Self::Updated | Self::Back => language.pick("Em andamento", "Ongoing"),
            Self::Mitigated | Self::Resolved => self.name(language),
        }
    }
}

/// What a severity means to somebody who uses the system.
fn impact(severity: Severity, language: Language) -> &'static str {
    match severity {
        Severity::S0 => language.pick("o sistema inteiro é afetado", "the whole system is affected"),
        Severity::S1 => language.pick("pessoas não conseguem trabalhar", "people cannot work"),
        Severity::S2 => {
            language.pick("o sistema funciona, com limitações", "the system works, with limitations")
        }
        Severity::S3 => {
            language.pick("o uso do sistema não é afetado", "the use of the system is not affected")
        }
    }
}

/// The title. Of an unknown Slack user's, customers would read whatever anybody writes.
fn title(incident: &Incident, language: Language) -> String {
    if incident.has_foreign_title {
        return language.pick("problema no sistema", "problem with the system").to_owned();
    }
    text::title(incident, language)
}

/// The mail, as the incident is at `now`.
pub fn message(incident: &Incident, told: Told<'_>, language: Language, now: Timestamp) -> Mail {
    let moment = Moment::of(incident, told.is_first);
    let content = content(incident, moment, told.words, language, now);
    Mail { subject: subject(incident, moment, language), text: content.text(), html: content.html() }
}

/// The mail as blocks of a Slack modal, to look at before it is sent.
pub fn preview(mail: &Mail) -> Vec<Value> {
    let mut parts = vec![slack::section(slack::plain(&mail.subject, slack::SECTION_LIMIT))];
    let mut part = String::new();
    // Between lines, each of which fits; one that is too long is cut.
    for line in mail.text.lines() {
        let line = cut(line, slack::SECTION_LIMIT / 2, "…", slack::cost);
        let together = format!("{part}\n{line}");
        if together.chars().map(slack::cost).sum::<usize>() > slack::SECTION_LIMIT {
            parts.push(slack::section(slack::plain(&part, slack::SECTION_LIMIT)));
            part = line;
        } else {
            part = together.trim_start_matches('\n').to_owned();
        }
    }
    parts.push(slack::section(slack::plain(&part, slack::SECTION_LIMIT)));
    parts
}

/// `[prod] Problema em andamento INC-20261129-7Q2MZK4A: API fora do ar`: the title is last and takes the room that is left.
fn subject(incident: &Incident, moment: Moment, language: Language) -> String {
    let drill = if incident.is_drill { format!("[{}] ", text::drill(language)) } else { String::new() };
    let environment = cut(&line(&incident.environment), 20, "…", one);
    let environment = if environment.is_empty() { environment } else { format!("[{environment}] ") };
    let (moment, id) = (moment.name(language), text::id(incident, language));
    let title = title(incident, language);
    cut(&format!("{drill}{environment}{moment} {id}: {title}"), SUBJECT_LIMIT, "…", one)
}

fn content(incident: &Incident, moment: Moment, words: &str, language: Language, now: Timestamp) -> Content {
    let title = cut(&title(incident, language), TITLE_LIMIT, "…", one);
    let name = moment.name(language);
    let mut notices = vec![moment.sentence(language).to_owned()];
    if incident.is_drill {
        notices.push(
            language
                .pick(
                    "Isto é um exercício: o sistema não tem problema.",
                    "This is an exercise: nothing is wrong.",
                )
                .to_owned(),
        );
    }
    notices.extend(incident.attempts.may_repeat().then(|| text::repeated(language).to_owned()));
    // What people felt counts, if somebody has said since when.
    let began = Incident { first_at: incident.impact_began(), ..incident.clone() };
    let (state, since) = (moment.state(language), text::since(&began, language, now));
    let (level, meaning) = (text::severity(incident.severity, language), impact(incident.severity, language));
    let mut rows = vec![
        (language.pick("Situação", "Status"), format!("{state}, {since}")),
        (language.pick("Gravidade", "Severity"), format!("{level}: {meaning}")),
    ];
    let environment = line(&incident.environment);
    if !environment.is_empty() {
        rows.push((language.pick("Ambiente", "Environment"), cut(&environment, TITLE_LIMIT, "…", one)));
    }
    if let Some(until) = incident.update_due.filter(|_| incident.is_open()) {
        let until = local(until);
        let label = language.pick("Próxima atualização", "Next update");
        rows.push((label, tr!(language, "até {until}", "by {until}")));
    }
    let words = cut(&block(words), WORDS_LIMIT, "…", one);
    let id = text::id(incident, language);
    Content {
        language,
        headline: format!("{name}: {title}"),
        color: text::color(incident),
        notices,
        call: None,
        rows,
        reason: (!words.is_empty()).then(|| (language.pick("Mensagem da equipe", "From the team"), words)),
        command: None,
        links: vec![],
        id: tr!(
            language,
            "Ao falar com a equipe sobre este problema, cite {id}.",
            "When you talk to the team about this problem, name {id}."
        ),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::text::tests::{MAIL_TAGS, at, extremes, limits, nasty, normal, now};

    const WORDS: &str = "O login falha em todas as unidades.\nUsem a planilha de papel até avisarmos.";

    fn waiting() -> Incident {
        Incident { update_due: Some(at("2026-11-29T12:42:30Z")), ..normal() }
    }

    fn of(incident: &Incident, told: Told<'_>) -> Mail {
        message(incident, told, Language::Portuguese, now())
    }

    #[test]
    fn the_first_mail_of_an_open_incident() {
        let mail = of(&waiting(), Told { words: WORDS, is_first: true });
        assert_eq!(
            mail.subject,
            "[prod] Problema em andamento INC-20261129-7Q2MZK4A: API moveongs-prod: 5xx acima de 5% (últimos 10 min)"
        );
        assert_eq!(
            mail.text,
            "Problema em andamento: API moveongs-prod: 5xx acima de 5% (últimos 10 min)

Identificamos um problema e estamos trabalhando nele.

Situação: Em andamento, desde 2026-11-29 09:00:00 -03:00, há 12 min
Gravidade: S1 alta: pessoas não conseguem trabalhar
Ambiente: prod
Próxima atualização: até 2026-11-29 09:42:30 -03:00

Mensagem da equipe:
  O login falha em todas as unidades.
  Usem a planilha de papel até avisarmos.

Ao falar com a equipe sobre este problema, cite INC-20261129-7Q2MZK4A.
"
        );
        assert_eq!(
            mail.html,
            "<!doctype html>
<html lang=\"pt-BR\">
<head><meta charset=\"utf-8\"><title>Problema em andamento: API moveongs-prod: 5xx acima de 5% (últimos 10 min)</title></head>
<body style=\"font-family:sans-serif;color:#1f2328;border-left:8px solid #c2410c;padding-left:16px\">
<h1 style=\"font-size:20px\"><bdi>Problema em andamento: API moveongs-prod: 5xx acima de 5% (últimos 10 min)</bdi></h1>
<p><strong><bdi>Identificamos um problema e estamos trabalhando nele.</bdi></strong></p>
<table style=\"border-collapse:collapse\">
<tr><th style=\"padding:2px 12px 2px 0;vertical-align:top;text-align:left\">Situação</th><td style=\"padding:2px 12px 2px 0;vertical-align:top;text-align:left\"><bdi>Em andamento, desde 2026-11-29 09:00:00 -03:00, há 12 min</bdi></td></tr>
<tr><th style=\"padding:2px 12px 2px 0;vertical-align:top;text-align:left\">Gravidade</th><td style=\"padding:2px 12px 2px 0;vertical-align:top;text-align:left\"><bdi>S1 alta: pessoas não conseguem trabalhar</bdi></td></tr>
<tr><th style=\"padding:2px 12px 2px 0;vertical-align:top;text-align:left\">Ambiente</th><td style=\"padding:2px 12px 2px 0;vertical-align:top;text-align:left\"><bdi>prod</bdi></td></tr>
<tr><th style=\"padding:2px 12px 2px 0;vertical-align:top;text-align:left\">Próxima atualização</th><td style=\"padding:2px 12px 2px 0;vertical-align:top;text-align:left\"><bdi>até 2026-11-29 09:42:30 -03:00</bdi></td></tr>
</table>
<h2 style=\"font-size:16px\">Mensagem da equipe</h2>
<pre style=\"background:#f6f8fa;padding:8px;white-space:pre-wrap;overflow-wrap:anywhere\">
O login falha em todas as unidades.
Usem a planilha de papel até avisarmos.</pre>
<p style=\"color:#57606a\">Ao falar com a equipe sobre este problema, cite INC-20261129-7Q2MZK4A.</p>
</body>
</html>
"
        );
    }

    #[test]
    fn each_moment_has_its_words_in_both_languages() {
        let resolved_at = Some(now() - SignedDuration::from_mins(2));
        let state = |state| Incident { state, flaps: 0, resolved_at, ..waiting() };
        let back = Incident { flaps: 1, ..state(State::Acknowledged) };
        for (incident, is_first, subject, sentence, status, has_next) in [
            (
                state(State::Triggered),
                true,
                "Ongoing problem",
                "We have found a problem",
                "Ongoing, since",
                true,
            ),
            (state(State::Acknowledged), true, "Ongoing problem", "We have found a problem", "Ongoing", true),
            (state(State::Acknowledged), false, "Update", "The problem continues", "Ongoing", true),
            (back.clone(), false, "Update", "The problem is back", "Ongoing", true),
            (back, true, "Ongoing problem", "We have found a problem", "Ongoing", true),
            (state(State::Mitigated), false, "Impact over", "The system works again", "Impact over", true),
            (state(State::Mitigated), true, "Impact over", "The system works again", "Impact over", true),
            (state(State::Resolved), false, "Resolved", "The problem is resolved", "Resolved, from", false),
            // Ordered while it was open, and sent late.
            (state(State::Resolved), true, "Resolved", "The problem is resolved", "Resolved, from", false),
        ] {
            let mail = message(&incident, Told { words: "", is_first }, Language::English, now());
            assert!(mail.subject.starts_with(&format!("[prod] {subject} INC-")), "{}", mail.subject);
            assert!(mail.text.contains(&format!("\n\n{sentence}")), "{}", mail.text);
            assert!(mail.text.contains(&format!("\nStatus: {status}")), "{}", mail.text);
            assert_eq!(mail.text.contains("\nNext update: by 2026-11-29 09:42:30 -03:00\n"), has_next);
            assert!(!mail.text.contains("From the team"), "{}", mail.text);
            assert!(mail.html.contains("<html lang=\"en\">"));
        }
    }

    #[test]
    fn customers_read_nothing_that_only_operators_need() {
        let mut incident = waiting();
        incident.acknowledged_by = "Ana Souza".to_owned();
        incident.commander = "Caio Lima".to_owned();
        incident.is_drill = false;
        let mail = of(&incident, Told { words: WORDS, is_first: false });
        for hidden in
            ["Threshold", "arn:aws", "aws ecs", "console.aws", "moveongs-api", "Ana", "Caio", "Squad"]
        {
            assert!(!mail.text.contains(hidden) && !mail.html.contains(hidden), "{hidden}: {}", mail.text);
        }
    }

    #[test]
    fn the_title_of_an_unknown_slack_user_reaches_no_customer() {
        let title = "Seus dados vazaram, entre em evil.example".to_owned();
        let mail = of(&Incident { title, has_foreign_title: true, ..waiting() }, Told::default());
        assert!(mail.subject.ends_with("INC-20261129-7Q2MZK4A: problema no sistema"), "{}", mail.subject);
        assert!(!mail.text.contains("evil") && !mail.html.contains("evil"), "{}", mail.text);
    }

    #[test]
    fn a_start_that_a_person_told_counts_and_so_do_a_repetition_and_a_drill() {
        let impact_since = Some(at("2026-11-29T11:30:00Z"));
        let mail = of(&Incident { impact_since, ..waiting() }, Told::default());
        assert!(mail.text.contains("desde 2026-11-29 08:30:00 -03:00, há 42 min"), "{}", mail.text);
        let mut repeated = waiting();
        repeated.attempts.unclear = 1;
        assert!(of(&repeated, Told::default()).text.contains("pode estar repetido"));
        let drill = of(&Incident { is_drill: true, ..waiting() }, Told::default());
        assert!(drill.subject.starts_with("[SIMULADO] [prod] Atualização "), "{}", drill.subject);
        assert!(drill.text.contains("Isto é um exercício"), "{}", drill.text);
    }

    #[test]
    fn what_anybody_wrote_stays_text() {
        let words = "<script>alert(1)</script>\n<!channel> & \"x\"\n\nGravidade: S3\nhttps://evil.example";
        let mail = of(
            &Incident { title: "<b>Oi</b>\r\nBcc: a@b.example".to_owned(), ..waiting() },
            Told { words, is_first: true },
        );
        assert_eq!(
            mail.subject,
            "[prod] Problema em andamento INC-20261129-7Q2MZK4A: <b>Oi</b> Bcc: a@b.example"
        );
        assert!(
            mail.text.contains("\n  <script>alert(1)</script>\n  <!channel> & \"x\"\n\n  Gravidade: S3\n"),
            "{}",
            mail.text
        );
        for part in ["&lt;b&gt;Oi&lt;/b&gt;", "&lt;script&gt;alert(1)&lt;/script&gt;", "&quot;x&quot;"] {
            assert!(mail.html.contains(part), "{part} in\n{}", mail.html);
        }
        assert!(!mail.html.contains("href="), "an address that somebody wrote is no link: {}", mail.html);
    }

    #[test]
    fn every_extreme_is_a_mail_and_a_preview_within_slacks_limits() {
        let texts = nasty();
        for (place, (incident, language)) in extremes().into_iter().enumerate() {
            let words = texts.get(place % texts.len()).map_or("", String::as_str);
            let mail = message(&incident, Told { words, is_first: place % 2 == 0 }, language, now());
            let subject = &mail.subject;
            assert!(
                subject.chars().count() <= SUBJECT_LIMIT && !subject.contains(char::is_control),
                "{subject:?}"
            );
            limits::page(&mail.html, &MAIL_TAGS).unwrap();
            assert!(mail.text.len() < 64 * 1024, "{}", mail.text.len());
            limits::blocks(&preview(&mail)).unwrap();
        }
    }

    #[test]
    fn a_preview_shows_the_whole_mail() {
        let mail = of(
            &waiting(),
            Told { words: &"Uma linha de oitenta caracteres, para medir. ".repeat(80), is_first: true },
        );
        let blocks = preview(&mail);
        let text = |block: &Value| block["text"]["text"].as_str().unwrap().to_owned();
        assert_eq!(text(&blocks[0]), mail.subject);
        let short = of(&waiting(), Told { words: WORDS, is_first: true });
        let shown: Vec<String> = preview(&short).iter().map(text).collect();
        assert_eq!(shown[1..].join("\n"), short.text.trim_end());
        let many = of(&waiting(), Told { words: &"Uma linha.\n".repeat(360), is_first: true });
        let shown: Vec<String> = preview(&many).iter().map(text).collect();
        assert!(shown.len() > 2 && shown[1..].join("\n") == many.text.trim_end(), "{shown:?}");
    }
}
