//! Messages in Slack: one for each incident, updated in place, one reply in its thread for each timeline entry, and one
//! for each hand-over.
//!
//! Foreign text is in `plain_text` objects, which have no markup, or in a code block, whose only markup is its own end.
//! `mrkdwn` outside of code blocks is ours. `<…>` is escaped in both, so the only mention is the one that the caller
//! passes, from the policy.
//!
//! Sources: [blocks](https://docs.slack.dev/reference/block-kit/blocks),
//! [text objects](https://docs.slack.dev/reference/block-kit/composition-objects/text-object),
//! [formatting](https://docs.slack.dev/messaging/formatting-message-text),
//! [metadata](https://docs.slack.dev/messaging/message-metadata).

use jiff::Timestamp;
use policy::oncall::{Shift, Why};
use policy::time::local;
use policy::tr;
use serde_json::{Value, json};

use crate::incident::{Action, Entry, Incident, State};
use crate::text::{self, Language, Role, block, cut, desk, https, line};

/// Slack's limits, in characters. It refuses the whole message beyond them. Counted in UTF-16 units after escaping, which
/// is never less than what Slack counts.
const HEADER_LIMIT: usize = 150;
pub(super) const SECTION_LIMIT: usize = 3_000;

/// Most rows of a table: Slack takes ten fields in a section.
const MOST_ROWS: usize = 5;

/// Most users that a message mentions: a squad's contacts may be many.
const MOST_MENTIONS: usize = 20;

/// Most characters of the notification's text.
pub(super) const FALLBACK_LIMIT: usize = 1_000;

/// Most characters of all blocks as JSON. Slack refuses a message somewhat above 13,000 (`msg_blocks_too_long`, which its
/// documentation does not mention); what it counts besides texts is not known.
pub(super) const BLOCKS_LIMIT: usize = 12_500;

/// Most characters of a value, the reason and the command; the first that fits in [`BLOCKS_LIMIT`] is used.
const SIZES: [Size; 3] = [
    Size { value: 200, reason: 2_800, command: 2_000 },
    Size { value: 120, reason: 1_200, command: 1_000 },
    Size { value: 40, reason: 400, command: 200 },
];

#[derive(Clone, Copy)]
struct Size {
    value: usize,
    reason: usize,
    command: usize,
}

/// A Slack user or a group of users, as the policy names them: `U024BE7LH`, `S0614TZR7`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserId(String);

impl UserId {
    /// Reads an id; `None` if it is none, such as a name or a whole mention.
    pub fn parse(id: &str) -> Option<Self> {
        let rest = id.strip_prefix(['U', 'W', 'S'])?;
        let is_id = (2..=30).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        is_id.then(|| Self(id.to_owned()))
    }

    fn mention(&self) -> String {
        let Self(id) = self;
        if id.starts_with('S') { format!("<!subteam^{id}>") } else { format!("<@{id}>") }
    }
}

/// The mentions; none without users.
fn mentions(users: &[UserId]) -> Option<Value> {
    let all = users.iter().take(MOST_MENTIONS).map(UserId::mention).collect::<Vec<_>>();
    (!all.is_empty()).then(|| mrkdwn(&all.join(" ")))
}

/// The incident's message: the body of `chat.postMessage` and `chat.update` without `channel` and `ts`.
///
/// `on_call` are mentioned, and so notified, until the incident is acknowledged. An update notifies nobody. `has_desk`: the
/// desk's buttons are shown, which lead nowhere in a stack without its address.
pub fn message(
    incident: &Incident,
    language: Language,
    now: Timestamp,
    on_call: &[UserId],
    has_desk: bool,
) -> Value {
    let all = SIZES.iter().map(|size| blocks(incident, language, now, on_call, *size, has_desk));
    let mut blocks = Value::Null;
    for candidate in all {
        blocks = candidate;
        if blocks.to_string().encode_utf16().count() <= BLOCKS_LIMIT {
            break;
        }
    }
    let fallback = format!("{} {}", text::mark(incident), text::headline(incident, language));
    json!({
        "text": escaped(&fallback, FALLBACK_LIMIT),
        "parse": "none",
        "link_names": false,
        "blocks": blocks,
        "metadata": {
            "event_type": "incident",
            "event_payload": {"incident": key(&incident.id), "version": incident.version},
        },
    })
}

/// The incident's message without blocks: what Slack accepts if it finds fault with them.
pub fn plain_message(incident: &Incident, language: Language) -> Value {
    let headline = format!("{} {}", text::mark(incident), text::headline(incident, language));
    let id = text::id(incident, language);
    let text = format!("{}\n{}", escaped(&headline, FALLBACK_LIMIT), escape(&id));
    json!({"text": text, "parse": "none", "link_names": false, "mrkdwn": false})
}

/// A timeline entry: the body of `chat.postMessage` without `channel` and `thread_ts`. It mentions `notify`, such as the
/// next person of an escalation.
pub fn reply(incident_id: &str, entry: &Entry, language: Language, notify: &[UserId]) -> Value {
    let text = sentence(entry, language);
    let shown_id = cut(&line(incident_id), 64, "…", cost);
    let mut small = vec![plain(&local(entry.at), SECTION_LIMIT)];
    if !shown_id.is_empty() {
        small.push(plain(&shown_id, SECTION_LIMIT));
    }
    let mention = mentions(notify).map(section).into_iter();
    let entry_blocks = [section(plain(&text, SECTION_LIMIT)), json!({"type": "context", "elements": small})];
    let blocks = mention.chain(entry_blocks);
    json!({
        "text": escaped(&text, FALLBACK_LIMIT),
        "parse": "none",
        "link_names": false,
        "blocks": blocks.collect::<Value>(),
        "metadata": {
            "event_type": "incident_entry",
            "event_payload": {"incident": key(incident_id), "at": entry.at.as_millisecond(), "action": entry.action},
        },
    })
}

/// [`reply`] without blocks, for a reply with which Slack finds fault.
pub fn plain_reply(entry: &Entry, language: Language, notify: &[UserId]) -> Value {
    let mut words: Vec<String> = notify.iter().take(MOST_MENTIONS).map(UserId::mention).collect();
    words.push(escaped(&sentence(entry, language), FALLBACK_LIMIT));
    json!({"text": words.join(" "), "parse": "none", "link_names": false})
}

/// A timeline entry as one sentence.
fn sentence(entry: &Entry, language: Language) -> String {
    let (mark, word) = action(entry.action, language);
    let (by, words) = (cut(&line(&entry.by), 100, "…", cost), block(&entry.text));
    let by = if by.is_empty() { by } else { tr!(language, " por {by}", " by {by}") };
    let words = if words.is_empty() { words } else { format!(": {words}") };
    format!("{mark} {word}{by}{words}")
}

/// What the channel reads when other people of a squad are on call.
#[derive(Clone, Copy, Debug)]
pub struct HandOver<'a> {
    /// Name of the environment.
    pub environment: &'a str,
    /// The squad.
    pub squad: &'a str,
    /// The present shift.
    pub shift: Shift<'a>,
    /// The next shift of other people, and when it begins.
    pub change: Option<(Timestamp, Shift<'a>)>,
    /// Why the squad's user group was not changed; none if it was, or if there is none.
    pub group_unchanged: Option<&'a str>,
    /// Whether an earlier attempt may be in the channel.
    pub is_repetition: bool,
}

/// A hand-over's message: the body of `chat.postMessage` without `channel`. It mentions the person who is on call now.
pub fn hand_over(told: &HandOver<'_>, language: Language, on_call: Option<&UserId>) -> Value {
    let name = |text: &str| {
        let shown = cut(&line(text), 200, "…", cost);
        if shown.is_empty() { "?".to_owned() } else { shown }
    };
    let nobody = language.pick(
        "ninguém; um page vai para os contatos do squad",
        "nobody; a page goes to the squad's contacts",
    );
    let person = told.shift.person.map_or_else(|| nobody.to_owned(), name);
    let (environment, squad) = (cut(&line(told.environment), 20, "…", cost), name(told.squad));
    let text = tr!(
        language,
        "📟 [{environment}] {squad}: agora de plantão: {person}",
        "📟 [{environment}] {squad}: on call now: {person}"
    );
    let mention = on_call.map(|user| mrkdwn(&user.mention()));
    let mut facts =
        vec![(Role::OnCall.label(language), mention.unwrap_or_else(|| plain(&person, SECTION_LIMIT)))];
    let second_label = language.pick("Segunda pessoa", "Second");
    facts.extend(told.shift.second.map(|second| (second_label, plain(&name(second), SECTION_LIMIT))));
    if let Why::Override { reason } = told.shift.why {
        let label = language.pick("Substituição", "Override");
        facts.push((label, plain(&name(reason), SECTION_LIMIT)));
    }
    if let Some((until, next)) = told.change {
        let after = next.person.map_or_else(|| nobody.to_owned(), name);
        facts.push((language.pick("Até", "Until"), plain(&local(until), SECTION_LIMIT)));
        facts.push((language.pick("Depois", "Next"), plain(&after, SECTION_LIMIT)));
    }
    let group = told.group_unchanged.map(|why| {
        let why = name(why);
        tr!(
            language,
            "⚠️ O grupo do Slack não foi mudado: {why}",
            "⚠️ The Slack user group was not changed: {why}"
        )
    });
    let repeated =
        language.pick("🔁 Enviado de novo: pode estar repetido", "🔁 Sent again: it may be a duplicate");
    let repeated = told.is_repetition.then(|| repeated.to_owned());
    let notices = group.into_iter().chain(repeated).map(|notice| section(plain(&notice, SECTION_LIMIT)));
    let blocks = [section(plain(&text, SECTION_LIMIT)), rows(facts)].into_iter().chain(notices);
    json!({
        "text": escaped(&text, FALLBACK_LIMIT),
        "parse": "none",
        "link_names": false,
        "blocks": blocks.collect::<Value>(),
        "metadata": {"event_type": "hand_over", "event_payload": {"squad": squad}},
    })
}

/// The id in the metadata, by which a sender finds a message whose answer was lost.
fn key(incident_id: &str) -> String {
    incident_id.chars().take(255).collect()
}

fn blocks(
    incident: &Incident,
    language: Language,
    now: Timestamp,
    on_call: &[UserId],
    size: Size,
    has_desk: bool,
) -> Value {
    let headline = format!("{} {}", text::mark(incident), text::headline(incident, language));
    let mut blocks = vec![json!({"type": "header", "text": plain(&headline, HEADER_LIMIT)})];

    let state = text::capitalized(text::state(incident.state, language));
    let mut status = format!("*{state}*, {}", text::since(incident, language, now));
    if let Some(events) = text::events(incident, language) {
        status = format!("{status}\n{events}");
    }
    blocks.push(section(mrkdwn(&status)));

    let notices = text::notices(incident, language, now).into_iter();
    blocks.extend(notices.map(|(mark, text)| section(plain(&format!("{mark} {text}"), size.value * 3))));

    blocks.extend(tables(people(incident, language, on_call, size)));
    let facts = text::facts(incident, language).into_iter();
    blocks.extend(tables(facts.map(|(label, value)| (label, plain(&value, size.value * 2))).collect()));

    let reason = block(&incident.reason);
    if !reason.is_empty() {
        // A run of three would end the code block.
        let reason = cut(&reason.replace("```", "'''"), size.reason, "…", cost);
        blocks.push(code(text::reason_label(incident, language), &reason));
    }
    let command = block(&incident.command);
    if !command.is_empty() {
        let cost = command.chars().map(cost).sum::<usize>();
        // Half a command does something else.
        if cost <= size.command && !command.contains("```") {
            blocks.push(code(text::command_label(language), &command));
        } else {
            let text = language.pick(
                "O próximo comando não cabe aqui inteiro: está no e-mail e no runbook.",
                "The whole next command does not fit here: see the mail and the runbook.",
            );
            blocks.push(section(plain(text, SECTION_LIMIT)));
        }
    }

    let desk = if has_desk { desk::buttons(incident, language) } else { Vec::new() };
    if !desk.is_empty() {
        blocks.push(json!({"type": "actions", "elements": desk}));
    }
    let buttons = [
        ("runbook", "Runbook", &incident.runbook),
        ("link", language.pick("Abrir o alerta", "Open the alert"), &incident.link),
    ];
    let buttons = buttons.into_iter().filter_map(|(id, label, url)| {
        let text = plain(label, SECTION_LIMIT);
        https(url).map(|url| json!({"type": "button", "action_id": id, "text": text, "url": url}))
    });
    let buttons = buttons.collect::<Vec<_>>();
    if !buttons.is_empty() {
        blocks.push(json!({"type": "actions", "elements": buttons}));
    }

    let source = line(&incident.source);
    let mut small = vec![text::id(incident, language), line(&incident.environment)];
    if !source.is_empty() {
        small.push(tr!(language, "Origem: {source}", "Source: {source}"));
    }
    if incident.is_drill {
        small.push(text::drill(language).to_owned());
    }
    let small = small.iter().filter(|text| !text.is_empty()).map(|text| plain(text, size.value));
    blocks.push(json!({"type": "context", "elements": small.collect::<Vec<_>>()}));
    Value::Array(blocks)
}

/// The people, with mentions in place of the name of the person on call.
fn people(
    incident: &Incident,
    language: Language,
    on_call: &[UserId],
    size: Size,
) -> Vec<(&'static str, Value)> {
    let mention = mentions(on_call).filter(|_| incident.state == State::Triggered);
    let mut people = text::people(incident, language);
    if mention.is_some() && !people.iter().any(|(role, _)| *role == Role::OnCall) {
        people.push((Role::OnCall, String::new()));
    }
    let people = people.into_iter().map(|(role, name)| {
        let shown = mention.clone().filter(|_| role == Role::OnCall);
        (role.label(language), shown.unwrap_or_else(|| plain(&name, size.value)))
    });
    people.collect()
}

/// Tables of at most [`MOST_ROWS`] rows each.
fn tables(mut all: Vec<(&str, Value)>) -> Vec<Value> {
    let mut tables = Vec::new();
    while !all.is_empty() {
        let rest = all.split_off(all.len().min(MOST_ROWS));
        tables.push(rows(std::mem::replace(&mut all, rest)));
    }
    tables
}

/// A table of labels and values; Slack shows fields in two columns. At most [`MOST_ROWS`] rows.
fn rows(rows: Vec<(&str, Value)>) -> Value {
    let fields = rows.into_iter().flat_map(|(label, value)| [mrkdwn(&format!("*{label}*")), value]);
    json!({"type": "section", "fields": fields.collect::<Vec<_>>()})
}

pub(super) fn section(text: Value) -> Value {
    json!({"type": "section", "text": text})
}

/// A label and a code block.
fn code(label: &str, text: &str) -> Value {
    section(mrkdwn(&format!("*{label}*\n```\n{}\n```", escape(text))))
}

/// Our own markup, or escaped text in a code block. Without `verbatim`, Slack links addresses and names.
fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// Text without markup. Without `"emoji": false`, Slack turns `:fire:` into a picture.
pub(super) fn plain(text: &str, limit: usize) -> Value {
    json!({"type": "plain_text", "text": escaped(text, limit), "emoji": false})
}

/// Escaped text of at most `limit` characters, escapes included.
pub(super) fn escaped(text: &str, limit: usize) -> String {
    escape(&cut(text, limit, "…", cost))
}

/// Escapes `<…>`, which Slack reads as links and mentions.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Length of a character after [`escape`].
pub(super) fn cost(c: char) -> usize {
    match c {
        '&' => "&amp;".len(),
        '<' | '>' => "&lt;".len(),
        c => c.len_utf16(),
    }
}

/// An action's sign and its name.
pub fn action(action: Action, language: Language) -> (&'static str, &'static str) {
    match action {
        Action::Triggered => ("🚨", language.pick("Acionado", "Triggered")),
        Action::Event => ("🔔", language.pick("Novo evento", "New event")),
        Action::Reopened => ("🔄", language.pick("Reaberto", "Reopened")),
        Action::Flapping => ("🔄", language.pick("Continua indo e voltando", "Still comes and goes")),
        Action::Acknowledged => ("👀", language.pick("Assumido", "Acknowledged")),
        Action::Escalated => ("📣", language.pick("Escalado", "Escalated")),
        Action::SeverityConfirmed => ("⚖️", language.pick("Severidade confirmada", "Severity confirmed")),
        Action::SeverityChanged => ("⚖️", language.pick("Severidade alterada", "Severity changed")),
        Action::CommanderAssigned => {
            ("🧭", language.pick("Incident commander definido", "Incident commander assigned"))
        }
        Action::SquadCalled => ("📞", language.pick("Squad convocado", "Squad called in")),
        Action::Update => ("💬", language.pick("Atualização", "Update")),
        Action::Mitigated => ("🩹", language.pick("Mitigado", "Mitigated")),
        Action::Resolved => ("✅", language.pick("Resolvido", "Resolved")),
        Action::Muted => ("🔇", language.pick("Silenciado", "Muted")),
        Action::Unmuted => ("🔊", language.pick("Silêncio encerrado", "Unmuted")),
        Action::Suppressed => ("🔕", language.pick("Evento sem page", "Event without a page")),
        Action::Sent => ("📤", language.pick("Mensagem enviada", "Message sent")),
        Action::SendFailed => ("⚠️", language.pick("Mensagem não enviada", "Message not sent")),
        Action::FalseAlarm => ("🟢", language.pick("Alarme falso", "False alarm")),
        Action::Merged => ("🔗", language.pick("Unido", "Merged")),
        Action::SensitiveData => ("🔐", language.pick("Dados pessoais", "Personal data")),
        Action::Drill => ("🎯", language.pick("Simulado", "Drill")),
        Action::RunbookWrong => ("📕", language.pick("Runbook errado", "Wrong runbook")),
        Action::Reminded => ("⏰", language.pick("Lembrete", "Reminder")),
        Action::SupportCase => ("🛟", language.pick("AWS Support", "AWS Support")),
        Action::CustomersTold => ("✉️", language.pick("Aviso aos clientes", "Mail to customers")),
        Action::CustomersNotTold => {
            ("⚠️", language.pick("O aviso aos clientes não saiu", "The mail to customers was not sent"))
        }
        Action::PostMortem => ("📓", language.pick("Post-mortem", "Post-mortem")),
        Action::Restore => ("💾", language.pick("Restauração", "Restore")),
        Action::Note => ("📝", language.pick("Nota", "Note")),
        Action::Other => ("•", language.pick("Registro", "Entry")),
    }
}
