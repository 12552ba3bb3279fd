//! Mail: a subject that SNS accepts, plain text, and HTML that loads nothing.

use jiff::Timestamp;

use crate::incident::Incident;
use crate::text::{self, Call, Language, ascii, block, cut, html, https, line, one};

/// Longest subject that SNS accepts: ASCII, without line breaks.
const SUBJECT_LIMIT: usize = 99;

/// Most characters of the environment and the id in the subject.
const ENVIRONMENT_LIMIT: usize = 15;
const ID_LIMIT: usize = 30;

/// Most characters of a value, the reason and the command. A message of SNS has at most 256 KB.
const VALUE_LIMIT: usize = 1_000;
const REASON_LIMIT: usize = 20_000;
const COMMAND_LIMIT: usize = 10_000;

/// A mail about an incident.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mail {
    /// One line of ASCII, for SNS and SES.
    pub subject: String,
    /// Everything, as plain text.
    pub text: String,
    /// The same as a page without scripts, pictures or styles from elsewhere.
    pub html: String,
}

/// The mail that shows an incident at `now`.
pub fn message(incident: &Incident, language: Language, now: Timestamp) -> Mail {
    let content = Content::new(incident, language, now);
    let subject = subject(incident, text::state(incident.state, language), language);
    Mail { subject, text: content.text(), html: content.html() }
}

/// The mail that calls somebody beside the page: the same, with `words` before everything else.
pub fn call(incident: &Incident, call: Call, words: &str, language: Language, now: Timestamp) -> Mail {
    let word = call.word(language);
    let words = cut(&block(words), REASON_LIMIT, "…", one);
    let mut content = Content::new(incident, language, now);
    content.call = (!words.is_empty()).then(|| (text::capitalized(word), words));
    Mail { subject: subject(incident, word, language), text: content.text(), html: content.html() }
}

/// `[prod] S1 acionado INC-20261129-7Q2MZK4A: API fora do ar`: the title is last and takes the room that is left.
fn subject(incident: &Incident, word: &str, language: Language) -> String {
    let short = |text: &str, limit: usize| cut(&ascii(text), limit, "...", one);
    let drill = if incident.is_drill { format!("[{}] ", text::drill(language)) } else { String::new() };
    let environment = short(&line(&incident.environment), ENVIRONMENT_LIMIT);
    let environment = if environment.is_empty() { environment } else { format!("[{environment}] ") };
    let level = text::level(incident.severity);
    let (word, id) = (ascii(word), short(&text::id(incident, language), ID_LIMIT));
    let title = ascii(&text::title(incident, language));
    cut(&format!("{drill}{environment}{level} {word} {id}: {title}"), SUBJECT_LIMIT, "...", one)
}

/// What both forms of the mail show.
pub(super) struct Content {
    pub language: Language,
    pub headline: String,
    pub color: &'static str,
    pub notices: Vec<String>,
    /// Why this reader in particular gets it.
    pub call: Option<(String, String)>,
    pub rows: Vec<(&'static str, String)>,
    pub reason: Option<(&'static str, String)>,
    pub command: Option<(&'static str, String)>,
    pub links: Vec<(&'static str, String)>,
    /// The last line.
    pub id: String,
}

impl Content {
    fn new(incident: &Incident, language: Language, now: Timestamp) -> Self {
        let value = |text: String| cut(&text, VALUE_LIMIT, "…", one);
        let state = text::capitalized(text::state(incident.state, language));
        let since = text::since(incident, language, now);
        let mut rows = vec![(language.pick("Estado", "State"), format!("{state}, {since}"))];
        rows.extend(
            text::events(incident, language).map(|events| (language.pick("Eventos", "Events"), events)),
        );
        rows.extend(
            text::people(incident, language).into_iter().map(|(role, name)| (role.label(language), name)),
        );
        rows.extend(text::facts(incident, language));
        rows.push((language.pick("Origem", "Source"), line(&incident.source)));
        rows.push((language.pick("Problema", "Problem"), line(&incident.problem)));
        let rows = rows.into_iter().filter(|(_, text)| !text.is_empty());

        let reason = cut(&block(&incident.reason), REASON_LIMIT, "…", one);
        let command = block(&incident.command);
        // Half a command does something else.
        let command = if command.chars().count() <= COMMAND_LIMIT { command } else { String::new() };
        let some = |label: &'static str, text: String| (!text.is_empty()).then_some((label, text));
        let links = [
            ("Runbook", https(&incident.runbook)),
            (language.pick("Alerta", "Alert"), https(&incident.link)),
        ];
        let links = links.into_iter().filter_map(|(label, url)| Some((label, url?.to_owned())));
        Self {
            language,
            headline: value(text::headline(incident, language)),
            color: text::color(incident),
            notices: text::notices(incident, language, now)
                .into_iter()
                .map(|(_, text)| value(text))
                .collect(),
            call: None,
            rows: rows.map(|(label, text)| (label, value(text))).collect(),
            reason: some(text::reason_label(incident, language), reason),
            command: some(text::command_label(language), command),
            links: links.collect(),
            id: text::id(incident, language),
        }
    }

    /// Foreign text with line breaks is indented, so that it cannot pass for a line of ours.
    pub(super) fn text(&self) -> String {
        let mut parts = vec![self.headline.clone()];
        parts.extend((!self.notices.is_empty()).then(|| self.notices.join("\n")));
        let indented = |label: &str, text: &str| {
            let lines = text.lines().map(|line| format!("  {line}").trim_end().to_owned());
            format!("{label}:\n{}", lines.collect::<Vec<_>>().join("\n"))
        };
        parts.extend(self.call.iter().map(|(label, text)| indented(label, text)));
        let rows = self.rows.iter().map(|(label, value)| format!("{label}: {value}"));
        parts.push(rows.collect::<Vec<_>>().join("\n"));
        let blocks = [&self.reason, &self.command].into_iter().flatten();
        parts.extend(blocks.map(|(label, text)| indented(label, text)));
        let links = self.links.iter().map(|(label, url)| format!("{label}: {url}")).collect::<Vec<_>>();
        parts.extend((!links.is_empty()).then(|| links.join("\n")));
        parts.push(self.id.clone());
        parts.join("\n\n") + "\n"
    }

    /// `bdi` keeps text that is written from right to left from moving what is around it.
    pub(super) fn html(&self) -> String {
        const CELL: &str = "padding:2px 12px 2px 0;vertical-align:top;text-align:left";
        const CODE: &str = "background:#f6f8fa;padding:8px;white-space:pre-wrap;overflow-wrap:anywhere";
        let language = self.language.pick("pt-BR", "en");
        let (headline, color) = (html(&self.headline), self.color);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"{language}\">\n<head><meta charset=\"utf-8\"><title>{headline}</title></head>\n\
             <body style=\"font-family:sans-serif;color:#1f2328;border-left:8px solid {color};padding-left:16px\">\n\
             <h1 style=\"font-size:20px\"><bdi>{headline}</bdi></h1>\n"
        );
        for notice in &self.notices {
            page.push_str(&format!("<p><strong><bdi>{}</bdi></strong></p>\n", html(notice)));
        }
        let code = |label: &str, text: &str| {
            let (label, text) = (html(label), html(text));
            format!("<h2 style=\"font-size:16px\">{label}</h2>\n<pre style=\"{CODE}\">\n{text}</pre>\n")
        };
        page.extend(self.call.iter().map(|(label, text)| code(label, text)));
        page.push_str("<table style=\"border-collapse:collapse\">\n");
        for (label, value) in &self.rows {
            let (label, value) = (html(label), html(value));
            page.push_str(&format!(
                "<tr><th style=\"{CELL}\">{label}</th><td style=\"{CELL}\"><bdi>{value}</bdi></td></tr>\n"
            ));
        }
        page.push_str("</table>\n");
        let blocks = [&self.reason, &self.command].into_iter().flatten();
        page.extend(blocks.map(|(label, text)| code(label, text)));
        for (label, url) in &self.links {
            let (label, url) = (html(label), html(url));
            page.push_str(&format!("<p>{label}: <a href=\"{url}\" rel=\"noreferrer\">{url}</a></p>\n"));
        }
        page + &format!("<p style=\"color:#57606a\">{}</p>\n</body>\n</html>\n", html(&self.id))
    }
}
