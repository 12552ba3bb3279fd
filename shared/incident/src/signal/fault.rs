//! Faults in log lines: what a line says, which problem it belongs to, and what of it may be shown.
//!
//! The application writes one JSON object a line (pino): `level`, `message`, and the error in `err`, or in `error` if the
//! database pool has it. A line is a fault if its level is error or fatal, if it has an error at level warn, or if it has
//! one of the guide's words, `AppError` and `Unhandled error`, in any case. A client's mistake is none: an answer 400 to
//! 499 of `AppError`, its subclasses or Fastify. A line of another shape is a fault, as it may be one. One notification
//! that failed is a warning.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};
use serde_json::Value;

use super::json::{scalar_at, text};
use super::{MOST_CHARACTERS, first_line};
use crate::Severity;

/// Most characters of a message that distinguish faults.
const LONGEST_MESSAGE: usize = 300;

/// Most characters of a line that are shown.
const LONGEST_LINE: usize = 1_500;

/// The guide's words, in lower case, and those of other faults that nothing caught.
const WORDS: [&str; 4] = ["apperror", "unhandled error", "unhandled rejection", "uncaught exception"];

/// Ends of the messages about a notification that failed, in lower case. An alarm rings when they are many.
const NOTIFICATIONS: [&str; 2] = ["notification job failed permanently", "notification dispatch failed"];

/// Classes of errors with which the application refuses a request.
const REFUSALS: [&str; 5] =
    ["AppError", "FastifyError", "ForbiddenError", "NotFoundError", "UnauthorizedError"];

/// The problem that a line, or the text of several, belongs to: class of the error, code, message without numbers, ids,
/// quotations and addresses, and the first frame of the stack that is neither a library's nor Node's, without its line
/// numbers, so that a deployment does not make a new problem of it.
pub fn signature(line: &str) -> String {
    Fault::read(line).signature()
}

/// A line, or the text of several.
#[derive(Clone)]
pub(super) struct Fault {
    /// Class of the error; may be empty.
    pub(super) class: String,
    /// Code of the error, such as a SQLSTATE; may be empty.
    pub(super) code: String,
    /// The error's message; without one, the line's.
    message: String,
    /// First frame of our own; may be empty.
    frame: String,
    /// The request, by its `correlation_id`.
    pub(super) request: Option<String>,
    /// What is shown, not masked yet.
    pub(super) shown: String,
    /// Whether it is a fault.
    pub(super) pages: bool,
    /// What it proposes, if it is not as bad as others.
    pub(super) severity: Option<Severity>,
    /// Whether it is the line that ends a request which the server failed.
    pub(super) is_access: bool,
    /// Whether the line has a known shape.
    pub(super) understood: bool,
}

impl Fault {
    /// Reads a line, or the text of several.
    pub(super) fn read(line: &str) -> Self {
        Self::from_json(line).unwrap_or_else(|| Self::from_text(line))
    }

    /// See [`signature`].
    pub(super) fn signature(&self) -> String {
        // A problem is shown, and stands in logs. Masked before it is cut: half of a token is not recognised as one.
        let message = without_secrets(&beginning(&self.message, MOST_CHARACTERS));
        let message: String = message.chars().take(LONGEST_MESSAGE).collect();
        format!("{}|{}|{}|{}", masked(&self.class), masked(&self.code), normalized(&message), self.frame)
    }

    /// Class, code and message in one line, not masked yet.
    pub(super) fn title(&self) -> String {
        let code = if self.code.is_empty() { String::new() } else { format!("[{}]", self.code) };
        let name = format!("{} {code}", self.class);
        let message: String = first_line(&self.message).chars().take(LONGEST_MESSAGE).collect();
        match name.trim() {
            "" => message,
            name => format!("{name}: {message}"),
        }
    }

    /// Reads a line that is a JSON object.
    pub(super) fn from_json(line: &str) -> Option<Self> {
        if !line.trim_start().starts_with('{') {
            return None;
        }
        let value: Value = serde_json::from_str(line).ok()?;
        let level = level(&value);
        let said = text(&value, "/message").or_else(|| text(&value, "/msg")).unwrap_or_default();
        let is_error =
            |error: &&Value| error.is_object() || error.as_str().is_some_and(|said| !said.is_empty());
        let error = ["err", "error"].into_iter().filter_map(|name| value.get(name)).find(is_error);
        let has_error = error.is_some();
        let error = error.unwrap_or(&Value::Null);

        let stack = text(error, "/stack").unwrap_or_default();
        let head = head(first_line(stack));
        let class = text(error, "/type").or_else(|| text(error, "/name")).map(str::to_owned);
        let class = class.or_else(|| head.as_ref().map(|head| head.class.to_owned())).unwrap_or_default();
        let code = scalar_at(error, "/code").unwrap_or_default();
        let detail = error.as_str().or_else(|| text(error, "/message"));
        let detail = detail.or_else(|| head.map(|head| head.message)).unwrap_or_default().trim();
        let status = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
        let failed = error.get("statusCode").and_then(Value::as_u64);
        let is_access = !has_error && status("/res/statusCode").is_some_and(|status| status >= 500);

        let is_refusal = REFUSALS.contains(&class.as_str())
            || said.eq_ignore_ascii_case("application error")
            || code.starts_with("FST_")
            || detail.starts_with("Rate limit exceeded");
        let is_mistake = is_refusal && failed.is_some_and(|status| (400..500).contains(&status));
        let spoken = [said, &class, detail, stack].iter().any(|text| has_words(text))
            || said.eq_ignore_ascii_case("application error");
        let pages = match level {
            _ if is_mistake => false,
            _ if spoken || is_access => true,
            Some(level) => level >= 50 || (level >= 40 && has_error),
            None => true,
        };
        let is_notification = NOTIFICATIONS.iter().any(|end| said.to_lowercase().ends_with(end));
        let understood = level.is_some() || has_error || spoken;
        let frame = own_frame(stack).unwrap_or_default();
        let message = [detail, said].into_iter().find(|text| !text.is_empty());
        let request = scalar_at(&value, "/correlation_id");
        let fields = [
            text(&value, "/level").unwrap_or_default(),
            said,
            &class,
            &code,
            &failed.or(status("/res/statusCode")).map(|status| status.to_string()).unwrap_or_default(),
            detail,
            &frame,
            &request.as_ref().map(|request| format!("correlation_id={request}")).unwrap_or_default(),
        ]
        .map(str::to_owned);
        let fields: Vec<String> = fields.into_iter().filter(|field| !field.is_empty()).collect();
        let shown = if understood { fields.join(" | ") } else { line.to_owned() };
        Some(Self {
            code: if is_access { status("/res/statusCode").unwrap_or_default().to_string() } else { code },
            message: message.unwrap_or(line).to_owned(),
            class,
            frame,
            request,
            shown: beginning(&shown, LONGEST_LINE),
            pages,
            severity: is_notification.then_some(Severity::S2),
            is_access,
            understood,
        })
    }

    /// Reads what is not JSON, such as the stack of a failed start.
    fn from_text(all: &str) -> Self {
        let head = all.lines().find_map(head);
        let code = all.lines().map(str::trim).find_map(|line| line.strip_prefix("code:"));
        let code = code.map(|code| code.trim_matches([' ', '\'', '"', ',']));
        let code = head.as_ref().map(|head| head.code).filter(|code| !code.is_empty()).or(code);
        Self {
            class: head.as_ref().map(|head| head.class).unwrap_or_default().to_owned(),
            code: code.unwrap_or_default().to_owned(),
            message: head.as_ref().map_or_else(|| first_line(all), |head| head.message).to_owned(),
            frame: own_frame(all).unwrap_or_default(),
            request: None,
            shown: beginning(all, LONGEST_LINE),
            pages: !all.lines().all(is_noise),
            severity: None,
            is_access: false,
            understood: head.is_some() || has_words(all),
        }
    }
}

/// The level's number in pino; the application writes the word.
fn level(value: &Value) -> Option<u64> {
    let level = value.get("level")?;
    let word = level.as_str().unwrap_or_default().to_lowercase();
    match word.as_str() {
        "trace" => Some(10),
        "debug" => Some(20),
        "info" => Some(30),
        "warn" | "warning" => Some(40),
        "error" => Some(50),
        "fatal" | "critical" => Some(60),
        _ => level.as_u64().filter(|number| [10, 20, 30, 40, 50, 60].contains(number)),
    }
}

fn has_words(text: &str) -> bool {
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// The line of a stack that names the error.
struct Head<'a> {
    class: &'a str,
    code: &'a str,
    message: &'a str,
}

/// Reads `Class: message`, `Class [CODE]: message`, `Class` and each of them after a word such as `Uncaught`.
fn head(line: &str) -> Option<Head<'_>> {
    let (name, message) = line.trim().split_once(':').unwrap_or((line.trim(), ""));
    let (name, code) = name.split_once('[').unwrap_or((name, ""));
    let mut words = name.split_whitespace();
    let class = words.next_back()?;
    let is_class = class.ends_with("Error") || class.ends_with("Exception");
    let is_name = class.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.' || c == '$');
    let is_short = words.all(|word| ["Uncaught", "Unhandled", "Caused", "by"].contains(&word));
    let head = Head { class, code: code.trim_end().trim_end_matches(']'), message: message.trim() };
    (is_class && is_name && is_short).then_some(head)
}

/// Whether a line names an error.
pub(super) fn is_head(line: &str) -> bool {
    head(line).is_some()
}

/// Whether a line that is not JSON says nothing of interest: blank, the banners of dotenv and npm, warnings of Node.
pub(super) fn is_noise(line: &str) -> bool {
    let line = line.trim();
    let is_warning = line.starts_with("(node:") && line.contains("Warning: ") && !has_unhandled(line);
    line.is_empty()
        || is_warning
        || line.starts_with("(Use `node --trace-")
        || (line.starts_with("[dotenv@") && line.contains("injecting env"))
        || (line.starts_with("> ") && !has_unhandled(line))
}

fn has_unhandled(line: &str) -> bool {
    line.to_lowercase().contains("unhandled") || line.contains("Error")
}

/// The first frame of a stack that is neither a library's nor Node's, without line and column.
fn own_frame(stack: &str) -> Option<String> {
    let mut frames = stack.lines().filter_map(|line| line.trim().strip_prefix("at "));
    let foreign = ["node_modules", "node:", "(internal/"];
    let is_own =
        |frame: &&str| frame.contains(['/', '\\']) && !foreign.iter().any(|part| frame.contains(part));
    // The frame before an error's fields ends with a brace.
    let frame = frames.find(is_own)?.trim_end_matches([' ', '{']);
    let place = frame.trim_end_matches(')').trim_end_matches(|c: char| c == ':' || c.is_ascii_digit());
    Some(if frame.ends_with(')') { format!("{place})") } else { place.to_owned() })
}

/// A text without what differs from one occurrence to the next: numbers, ids, quotations, addresses.
pub(super) fn normalized(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || "._%+-@".contains(c);
    let mut kept = String::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let tail = rest.get(first.len_utf8()..).unwrap_or_default();
        let quoted =
            if "\"'`".contains(first) && !before.is_alphanumeric() { tail.split_once(first) } else { None };
        if let Some((_, after)) = quoted {
            kept.push_str("\"…\"");
            before = first;
            rest = after;
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = rest.get(..end).unwrap_or_default();
            kept.push_str(general(word));
            before = word.chars().next_back().unwrap_or(' ');
            rest = rest.get(end..).unwrap_or_default();
        } else {
            let shown = if first.is_whitespace() { ' ' } else { first };
            if shown != ' ' || before != ' ' {
                kept.push(shown);
            }
            before = shown;
            rest = tail;
        }
    }
    kept.trim().to_owned()
}

/// What stands for a word.
fn general(word: &str) -> &str {
    let is_hex = word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    if word.trim_matches('@').contains('@') {
        "<e-mail>"
    } else if is_hex || word.contains(|c: char| c.is_ascii_digit()) {
        "#"
    } else {
        word
    }
}

/// What has a form of its own: secrets with their names, tokens, addresses.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let parts = [
        // A value after the name of a secret, in quotation marks or not.
        r#"(?P<name>(?i:password|passwd|senha|secret|token|authorization|cookie|api[_-]?key|access[_-]?key|private[_-]?key|cpf)[A-Za-z_]*["'\\]*\s*[:=]\s*)(?:(?i:bearer|basic)\s+[^\s"',;]+|\\?"[^"]*"?|\\?'[^']*'?|[^\s"',;&)}\]]+)"#,
        // The value in PostgreSQL's "Key (column)=(value)".
        r#"(?P<column>\([A-Za-z_", ]+\)=)\([^)]*\)"#,
        r"(?P<scheme>://)[^\s/:@]*:[^\s]*@",
        r"(?P<bearer>\b(?i:bearer)\s+)[A-Za-z0-9._~+/=-]{6,}",
        r"(?P<token>eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){0,4}|(?:AKIA|ASIA)[A-Z0-9]{12,})",
        r#"(?P<email>[^\s@<>"'(),:;=\[\]\\/]+(?:@|%40)(?:[^\s@<>"'(),:;=\[\]\\/.]+\.)+[^\s@<>"'(),:;=\[\]\\/.0-9]{2,})"#,
    ];
    Regex::new(&parts.join("|")).ok()
});

/// Long runs of the characters of Base64 and hexadecimal.
static LONG: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("[A-Za-z0-9+/_=-]{20,}").ok());

const UUID: &str = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}";

static ID: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(UUID).ok());

/// Numbers: those that are kept, then those that are not.
static NUMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let kept = format!(
        r"(?P<kept>{UUID}\b|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[T ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]{{1,9}})?)?(?:Z|\b)|\b))"
    );
    let parts = [
        kept.as_str(),
        r"(?P<ip>[0-9]{1,3}(?:\.[0-9]{1,3}){3})",
        r"(?P<cpf>[0-9]{3}[. ]?[0-9]{3}[. ]?[0-9]{3}[-./ ]?[0-9]{2})",
        r"(?P<phone>(?:\+?[0-9]{1,3}[ .-]?)?\(?[0-9]{2}\)?[ .-]?[0-9]{4,5}[ .-]?[0-9]{4}|[0-9]{4,5}-[0-9]{4})",
        r"(?P<number>[0-9]{9,})",
    ];
    Regex::new(&parts.join("|")).ok()
});

/// A text without personal data and secrets: e-mail addresses, CPFs, telephone numbers, IPv4 addresses, tokens, long
/// secrets, and values after a name such as `password`. UUIDs and times stay. When in doubt, it masks.
pub fn masked(text: &str) -> String {
    let Some(numbers) = &*NUMBERS else { return "[…]".to_owned() };
    let text = without_secrets(text);
    let all: &str = &text;
    let text = numbers.replace_all(all, |found: &Captures<'_>| {
        let kept = found.name("kept").filter(|kept| {
            // Nothing that goes on is a time or an id.
            let mut after = all.get(kept.end()..).unwrap_or_default().chars();
            let next = after.next().is_some_and(|c| ".-/".contains(c));
            !(next && after.next().is_some_and(|c| c.is_ascii_digit()))
        });
        let masks = [("ip", "[ip]"), ("cpf", "[cpf]"), ("phone", "[phone]")];
        let mask = masks.into_iter().find_map(|(name, mask)| found.name(name).map(|_| mask));
        kept.map_or_else(|| mask.unwrap_or("[number]").to_owned(), |kept| kept.as_str().to_owned())
    });
    text.into_owned()
}

/// A text without what [`masked`] masks, except for numbers: whether those are masked depends on their length, and a
/// signature leaves them out anyway.
fn without_secrets(text: &str) -> String {
    let (Some(named), Some(long), Some(id)) = (&*NAMED, &*LONG, &*ID) else { return "[…]".to_owned() };
    let text = named.replace_all(text, |found: &Captures<'_>| {
        let before = ["name", "column", "scheme", "bearer"].iter().find_map(|name| found.name(name));
        let mask = if found.name("email").is_some() { "[e-mail]" } else { "[secret]" };
        match (before, found.name("scheme")) {
            (Some(before), Some(_)) => format!("{}{mask}@", before.as_str()),
            (Some(before), None) => format!("{}{mask}", before.as_str()),
            (None, _) => mask.to_owned(),
        }
    });
    let text = long.replace_all(&text, |found: &Captures<'_>| {
        let run = found.get(0).map(|run| run.as_str()).unwrap_or_default();
        let other = id.replace_all(run, "/");
        if is_secret(&other) { "[secret]".to_owned() } else { run.to_owned() }
    });
    text.into_owned()
}

/// The beginning of a raw text, masked: as much as is shown.
pub(super) fn masked_start(text: &str) -> String {
    masked(&beginning(text, MOST_CHARACTERS))
}

/// The beginning of a text. Ends between words: half of a number or a token may not be recognised as one.
fn beginning(text: &str, limit: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(limit) else { return text.to_owned() };
    let cut = text.get(..end).unwrap_or_default();
    let end = cut.rfind(char::is_whitespace).unwrap_or(end);
    format!("{} …", cut.get(..end).unwrap_or_default())
}

/// Whether a run of characters looks random: it changes between letters and digits, or capitals and small letters, more
/// often than names and paths do.
fn is_secret(run: &str) -> bool {
    let plain: Vec<char> = run.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let has_digit = plain.iter().any(char::is_ascii_digit);
    if !has_digit || plain.len() < 16 {
        return false;
    }
    if plain.len() >= 32 && plain.iter().all(char::is_ascii_hexdigit) {
        return true;
    }
    let kind = |c: char| match c {
        '0'..='9' => 1,
        'A'..='Z' => 2,
        'a'..='z' => 3,
        _ => 0,
    };
    let mut changes = 0;
    let mut before = 0;
    for now in run.chars().map(kind) {
        // A word may begin with a capital.
        if now != 0 && now != before && (before, now) != (2, 3) {
            changes += 1;
        }
        before = now;
    }
    // Words and dates have runs of four characters and more, on average.
    changes * 7 > plain.len() * 2
}
