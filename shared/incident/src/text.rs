//! Texts of an incident, for each channel, in both languages.
//!
//! Most of an incident's text is foreign: senders of alarms, alert labels and log lines write it, and an attacker may
//! write a log line. `line` and `block` remove what reorders, hides or breaks text on every screen; each channel
//! then escapes by its own rules and cuts to its own limits.

pub mod customers;
pub mod desk;
pub mod mail;
pub mod pagerduty;
pub mod preview;
pub mod slack;
pub mod sms;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use policy::time::local;
use policy::tr;

use crate::incident::{Incident, Part, State};
use crate::{Severity, is_own_drill};

pub use policy::language::Language;

/// Longest address that becomes a link. A longer one is shown as text: a cut address leads elsewhere.
const LONGEST_URL: usize = 2_000;

/// Most labels that a text shows.
const MOST_LABELS: usize = 50;

/// Most characters that may belong to one visible character, such as a family emoji.
const LONGEST_CLUSTER: usize = 16;

// Foreign text.

/// Foreign text as one line; empty if nothing in it is visible.
fn line(text: &str) -> String {
    block(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Foreign text with its line breaks and indentation; empty if nothing in it is visible.
fn block(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut breaks = 0;
    for c in text.replace("\r\n", "\n").chars() {
        let c = match c {
            '\t' => '\t',
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
            c if c.is_control() || is_hidden(c) => continue,
            c => c,
        };
        breaks = if c == '\n' { breaks + 1 } else { 0 };
        // One empty line separates as well as a hundred, which would push the rest off the screen.
        if breaks <= 2 {
            kept.push(c);
        }
    }
    if !kept.chars().any(is_visible) {
        return String::new();
    }
    kept.trim_end().trim_start_matches('\n').to_owned()
}

/// Returns true for characters that reorder the text around them, are never visible, or carry hidden text.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_visible(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '\u{200c}' | '\u{200d}' | '\u{2800}' | '\u{fe00}'..='\u{fe0f}')
}

/// Returns true for characters that change the one before them: accents, skin tones, parts of an emoji.
fn joins(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{200c}' | '\u{200d}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// The longest beginning of `text` that costs at most `limit`, ending in `ellipsis` if the text was cut.
fn cut(text: &str, limit: usize, ellipsis: &str, cost: fn(char) -> usize) -> String {
    let total = |text: &str| text.chars().map(cost).sum::<usize>();
    if total(text) <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(total(ellipsis));
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += cost(*c);
        used > room
    });
    let end = end.map_or(text.len(), |(at, _)| at);
    let kept = text.get(..boundary(text, end)).unwrap_or_default();
    format!("{}{ellipsis}", kept.trim_end())
}

/// The last place at or before `end` that does not split a visible character.
fn boundary(text: &str, end: usize) -> usize {
    let mut at = end;
    for _ in 0..LONGEST_CLUSTER {
        let Some((before, after)) = text.split_at_checked(at) else { break };
        if !after.starts_with(joins) && !before.ends_with('\u{200d}') {
            return at;
        }
        let Some(last) = before.chars().next_back() else { break };
        at -= last.len_utf8();
    }
    end
}

/// Each character costs one.
fn one(_: char) -> usize {
    1
}

/// An https address that is safe to link: complete, without a login in front of the host, without quotes or blanks.
fn https(url: &str) -> Option<&str> {
    let url = url.trim();
    let rest = url.strip_prefix("https://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let name = host.split(':').next()?;
    let is_host = !name.is_empty()
        && !name.starts_with(['.', '-'])
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
    let is_clean =
        url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'`' | b'|'));
    (is_host && is_clean && url.len() <= LONGEST_URL).then_some(url)
}

/// Text for HTML, in an element or in a quoted attribute.
fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text in ASCII: letters lose their accents, symbols become words or disappear, other letters become `?`.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => plain.push(c),
            c if c.is_whitespace() => plain.push(' '),
            c => match transliterate(c) {
                Some(letters) => plain.push_str(letters),
                None if c.is_alphanumeric() && !plain.ends_with('?') => plain.push('?'),
                None => {}
            },
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn transliterate(c: char) -> Option<&'static str> {
    let letters = match c {
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' => "A",
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ª' => "a",
        'Æ' => "AE",
        'æ' => "ae",
        'Ç' | 'Ć' | 'Ĉ' | 'Ċ' | 'Č' => "C",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'Ð' | 'Ď' | 'Đ' => "D",
        'ð' | 'ď' | 'đ' => "d",
        'È'..='Ë' | 'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' | 'Ẽ' => "E",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẽ' => "e",
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' => "G",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'Ĥ' | 'Ħ' => "H",
        'ĥ' | 'ħ' => "h",
        'Ì'..='Ï' | 'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' => "I",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'Ĵ' => "J",
        'ĵ' => "j",
        'Ķ' => "K",
        'ķ' => "k",
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ŀ' | 'Ł' => "L",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'Ñ' | 'Ń' | 'Ņ' | 'Ň' => "N",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ŏ' | 'Ő' => "O",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'º' | '°' => "o",
        'Œ' => "OE",
        'œ' => "oe",
        'Ŕ' | 'Ŗ' | 'Ř' => "R",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'Ś' | 'Ŝ' | 'Ş' | 'Š' | 'Ș' => "S",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'Ţ' | 'Ť' | 'Ŧ' | 'Ț' => "T",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'Þ' => "Th",
        'þ' => "th",
        'Ù'..='Ü' | 'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ű' | 'Ų' => "U",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'µ' | 'μ' => "u",
        'Ŵ' => "W",
        'ŵ' => "w",
        'Ý' | 'Ŷ' | 'Ÿ' => "Y",
        'ý' | 'ŷ' | 'ÿ' => "y",
        'Ź' | 'Ż' | 'Ž' => "Z",
        'ź' | 'ż' | 'ž' => "z",
        '¹' => "1",
        '²' => "2",
        '³' => "3",
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '‐'..='―' | '−' | '·' | '•' => "-",
        '‘'..='‛' | '′' | '´' => "'",
        '“'..='‟' | '″' | '«' | '»' => "\"",
        '…' => "...",
        '×' => "x",
        '÷' => "/",
        '±' => "+-",
        '≤' => "<=",
        '≥' => ">=",
        '≠' => "!=",
        '→' => "->",
        '←' => "<-",
        '€' => "EUR",
        _ => return None,
    };
    Some(letters)
}

// Facts.

/// A number's words: `1 evento`, `3 eventos`.
fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// A duration, rounded down: `12 min`, `1 h 05 min`, `2 d 3 h`.
fn duration(minutes: i64, language: Language) -> String {
    let (hours, days) = (minutes / 60, minutes / (24 * 60));
    match (minutes, hours, days) {
        (..=0, ..) => language.pick("menos de 1 min", "less than 1 min").to_owned(),
        (_, 0, _) => format!("{minutes} min"),
        (_, _, 0) if minutes % 60 == 0 => format!("{hours} h"),
        (_, _, 0) => format!("{hours} h {:02} min", minutes % 60),
        _ if hours % 24 == 0 => format!("{days} d"),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A word that begins a line: `acionado` becomes `Acionado`.
fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn state(state: State, language: Language) -> &'static str {
    match state {
        State::Triggered => language.pick("acionado", "triggered"),
        State::Acknowledged => language.pick("assumido", "acknowledged"),
        State::Mitigated => language.pick("mitigado", "mitigated"),
        State::Resolved => language.pick("resolvido", "resolved"),
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::S0 => "S0",
        Severity::S1 => "S1",
        Severity::S2 => "S2",
        Severity::S3 => "S3",
    }
}

/// The level and its word: `S1 alta`.
fn severity(severity: Severity, language: Language) -> String {
    let word = match severity {
        Severity::S0 => language.pick("crítica", "critical"),
        Severity::S1 => language.pick("alta", "high"),
        Severity::S2 => language.pick("média", "medium"),
        Severity::S3 => language.pick("baixa", "low"),
    };
    format!("{} {word}", level(severity))
}

/// The mark in front of a message: the severity while nobody has taken it, then the state.
fn mark(incident: &Incident) -> &'static str {
    match (incident.state, incident.severity) {
        (State::Triggered, Severity::S0) => "🔴",
        (State::Triggered, Severity::S1) => "🟠",
        (State::Triggered, Severity::S2) => "🟡",
        (State::Triggered, Severity::S3) => "🔵",
        (State::Acknowledged, _) => "👀",
        (State::Mitigated, _) => "🩹",
        (State::Resolved, _) => "✅",
    }
}

/// The color of the bar beside a message, readable on white.
fn color(incident: &Incident) -> &'static str {
    match (incident.state, incident.severity) {
        (State::Resolved, _) => "#1a7f37",
        (State::Mitigated, _) => "#57606a",
        (_, Severity::S0) => "#b3001b",
        (_, Severity::S1) => "#c2410c",
        (_, Severity::S2) => "#8a6100",
        (_, Severity::S3) => "#0b5cad",
    }
}

/// The mark of an exercise.
fn drill(language: Language) -> &'static str {
    language.pick("SIMULADO", "DRILL")
}

/// The id, which also identifies a repeated message.
fn id(incident: &Incident, language: Language) -> String {
    let id = cut(&line(&incident.id), 64, "…", one);
    if id.is_empty() { language.pick("(sem id)", "(no id)").to_owned() } else { id }
}

fn title(incident: &Incident, language: Language) -> String {
    let title = line(&incident.title);
    if title.is_empty() { language.pick("(sem título)", "(no title)").to_owned() } else { title }
}

fn owner(incident: &Incident, language: Language) -> String {
    let owner = line(&incident.owner);
    if owner.is_empty() { language.pick("sem responsável", "no owner").to_owned() } else { owner }
}

/// `[SIMULADO] [prod] S1 alta, assumido: title`. The foreign title comes last, where it can only displace itself.
fn headline(incident: &Incident, language: Language) -> String {
    let environment = cut(&line(&incident.environment), 20, "…", one);
    let mut text = String::new();
    if incident.is_drill {
        text = format!("[{}] ", drill(language));
    }
    if !environment.is_empty() {
        text = format!("{text}[{environment}] ");
    }
    let severity = severity(incident.severity, language);
    let state = match incident.state {
        State::Triggered => String::new(),
        other => format!(", {}", state(other, language)),
    };
    format!("{text}{severity}{state}: {}", title(incident, language))
}

/// Since when and how long.
fn since(incident: &Incident, language: Language, now: Timestamp) -> String {
    if incident.first_at == Timestamp::UNIX_EPOCH {
        return language.pick("início desconhecido", "start unknown").to_owned();
    }
    let from = local(incident.first_at);
    let lasted = duration(incident.lasted(now).as_mins(), language);
    match incident.resolved_at.filter(|_| !incident.is_open()) {
        None => tr!(language, "desde {from}, há {lasted}", "since {from}, for {lasted}"),
        Some(until) => {
            let until = local(until);
            tr!(language, "de {from} a {until}, durou {lasted}", "from {from} to {until}, lasted {lasted}")
        }
    }
}

/// How many events and returns there were, if more than one event.
fn events(incident: &Incident, language: Language) -> Option<String> {
    let (one, more) = (language.pick("evento", "event"), language.pick("eventos", "events"));
    let mut text = counted(incident.count.max(1), one, more);
    if incident.count > 1 && incident.last_at > incident.first_at {
        let last = local(incident.last_at);
        text = tr!(language, "{text}, o último em {last}", "{text}, the last at {last}");
    }
    if incident.flaps > 0 {
        let (one, more) = (language.pick("vez", "time"), language.pick("vezes", "times"));
        let times = counted(incident.flaps.into(), one, more);
        text = tr!(language, "{text}; voltou {times}", "{text}; came back {times}");
    }
    (incident.count > 1 || incident.flaps > 0).then_some(text)
}

/// Why somebody is called beside the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call {
    /// Something is to be done by the incident's commander.
    Reminder,
    /// Their squad was called in.
    SquadCalled,
}

impl Call {
    /// The word in place of the state: `lembrete`.
    fn word(self, language: Language) -> &'static str {
        match self {
            Self::Reminder => language.pick("lembrete", "reminder"),
            Self::SquadCalled => language.pick("convocação", "call"),
        }
    }
}

/// A person or a team, by their role.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    Owner,
    Backup,
    OnCall,
    AcknowledgedBy,
    Commander,
    CommanderBackup,
    Called,
}

impl Role {
    fn label(self, language: Language) -> &'static str {
        match self {
            Self::Owner => language.pick("Responsável", "Owner"),
            Self::Backup => "Backup",
            Self::OnCall => language.pick("De plantão", "On call"),
            Self::AcknowledgedBy => language.pick("Assumido por", "Acknowledged by"),
            Self::Commander => "Incident commander",
            Self::CommanderBackup => language.pick("Commander substituto", "Backup commander"),
            Self::Called => language.pick("Squads convocados", "Squads called in"),
        }
    }
}

/// The people and teams; only the owner may be missing, and then it says so.
fn people(incident: &Incident, language: Language) -> Vec<(Role, String)> {
    let acknowledged_by = match (line(&incident.acknowledged_by), incident.acknowledged_at) {
        (name, Some(at)) if !name.is_empty() => format!("{name}, {}", local(at)),
        (name, _) => name,
    };
    let called: Vec<&str> = incident.called.iter().map(|called| called.squad.as_str()).collect();
    let people = [
        (Role::Owner, owner(incident, language)),
        (Role::Backup, line(&incident.backup)),
        (Role::OnCall, line(&incident.on_call)),
        (Role::AcknowledgedBy, acknowledged_by),
        (Role::Commander, line(&incident.commander)),
        (Role::CommanderBackup, line(&incident.commander_backup)),
        (Role::Called, line(&called.join(", "))),
    ];
    people.into_iter().filter(|(_, name)| !name.is_empty()).collect()
}

/// Facts about the problem: labels and values.
fn facts(incident: &Incident, language: Language) -> Vec<(&'static str, String)> {
    let level = severity(incident.severity, language);
    let (confirmed, proposed) = (line(&incident.severity_confirmed_by), line(&incident.severity_proposed_by));
    let severity = match (confirmed.as_str(), proposed.as_str()) {
        ("", "") => tr!(language, "{level}, proposta", "{level}, proposed"),
        ("", _) => tr!(language, "{level}, proposta por {proposed}", "{level}, proposed by {proposed}"),
        _ => tr!(language, "{level}, confirmada por {confirmed}", "{level}, confirmed by {confirmed}"),
    };
    let update = incident.update_due.map(local);
    let update = update.map(|until| tr!(language, "até {until}", "by {until}"));
    // An address that cannot be linked is shown.
    let shown = |url: &str| if https(url).is_some() { String::new() } else { line(url) };
    let labels = incident.labels.iter().take(MOST_LABELS).map(|(name, value)| (line(name), line(value)));
    let labels = labels.filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let labels = labels.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    let facts = [
        (language.pick("Severidade", "Severity"), severity),
        (language.pick("Próxima atualização", "Next update"), update.unwrap_or_default()),
        (language.pick("Recurso", "Resource"), line(&incident.resource)),
        ("Runbook", shown(&incident.runbook)),
        (language.pick("Endereço", "Address"), shown(&incident.link)),
        (language.pick("Rótulos", "Labels"), labels.join(", ")),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// What a reader has to know first: a mark and a sentence.
fn notices(incident: &Incident, language: Language, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut notices = Vec::new();
    if incident.is_drill {
        let text = match is_own_drill(&incident.source, &incident.problem) {
            true => language.pick(
                "Isto é um simulado do pager: ninguém precisa fazer nada.",
                "This is a drill of the pager: nobody has to do anything.",
            ),
            false => language.pick(
                "Isto é um simulado: responda como num incidente, sem mexer na produção.",
                "This is a drill: respond as in an incident, without touching production.",
            ),
        };
        notices.push(("🧪", text.to_owned()));
    }
    notices.extend(said(incident, language));
    if !incident.understood {
        let text = language.pick(
            "O alerta não foi entendido; o motivo é o texto como chegou.",
            "The alert was not understood; the reason is the text as it arrived.",
        );
        notices.push(("❓", text.to_owned()));
    }
    if incident.attempts.may_repeat() {
        notices.push(("🔁", repeated(language).to_owned()));
    }
    if let Some(mute) = incident.muted.as_ref().filter(|mute| mute.until > now) {
        let (until, by, reason) = (local(mute.until), line(&mute.by), line(&mute.reason));
        let by = if by.is_empty() { String::new() } else { tr!(language, " por {by}", " by {by}") };
        let reason = if reason.is_empty() { ".".to_owned() } else { format!(": {reason}") };
        notices.push((
            "🔇",
            tr!(language, "Silenciado até {until}{by}{reason}", "Muted until {until}{by}{reason}"),
        ));
    }
    notices
}

/// What people have said that changes what is to be done.
fn said(incident: &Incident, language: Language) -> Vec<(&'static str, String)> {
    let mut notices = Vec::new();
    if let Some(data) = incident.sensitive_data.as_ref().filter(|data| data.is_compromised) {
        let by = line(&data.by);
        let by = if by.is_empty() { by } else { tr!(language, ", segundo {by}", ", as {by} said") };
        let what = language.pick("Dados pessoais comprometidos", "Personal data compromised");
        notices.push(("🔐", because(&format!("{what}{by}"), &data.reason)));
    }
    if incident.is_merged() {
        let other = line(&incident.merged_into);
        notices.push((
            "🔗",
            tr!(
                language,
                "É parte de {other}: lá estão os avisos e a conversa.",
                "It is a part of {other}: pages and conversation are there."
            ),
        ));
    }
    let parts: Vec<String> = incident.parts.iter().map(part).collect();
    if !parts.is_empty() {
        let parts = parts.join("; ");
        notices.push((
            "🔗",
            tr!(language, "Partes que não acabaram: {parts}", "Parts that are not over: {parts}"),
        ));
    }
    if incident.is_false_alarm {
        let text = language.pick("Alarme falso: não conta nas médias.", "A false alarm: it is in no mean.");
        notices.push(("🟢", text.to_owned()));
    }
    if !incident.runbook_wrong.is_empty() {
        let what = language.pick("O runbook está errado", "The runbook is wrong");
        notices.push(("📕", because(what, &incident.runbook_wrong)));
    }
    notices
}

/// `INC-20261129-7Q2MZK4A (API fora do ar)`.
fn part(part: &Part) -> String {
    let (id, title) = (line(&part.incident), cut(&line(&part.title), 60, "…", one));
    if title.is_empty() { id } else { format!("{id} ({title})") }
}

/// A sentence with its reason, if there is one.
fn because(what: &str, reason: &str) -> String {
    let reason = line(reason);
    if reason.is_empty() { format!("{what}.") } else { format!("{what}: {reason}") }
}

fn repeated(language: Language) -> &'static str {
    language.pick(
        "Enviado de novo, porque a primeira resposta não foi clara: pode estar repetido.",
        "Sent again, because the first answer was unclear: it may be a duplicate.",
    )
}

fn reason_label(incident: &Incident, language: Language) -> &'static str {
    if incident.understood {
        language.pick("Motivo", "Reason")
    } else {
        language.pick("Texto recebido", "Text received")
    }
}

fn command_label(language: Language) -> &'static str {
    language.pick("Próximo comando", "Next command")
}
