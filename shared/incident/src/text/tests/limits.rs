//! What the channels accept, as strict as they may be.
//!
//! Slack's published limits are of its [blocks](https://docs.slack.dev/reference/block-kit/blocks) and
//! [block elements](https://docs.slack.dev/reference/block-kit/block-elements). Lengths are in UTF-16 units.

use serde_json::{Map, Value};

/// Checks a message for `chat.postMessage` and `chat.update`. Only `mentions` may be mentioned.
pub(in crate::text) fn slack(message: &Value, mentions: &[&str]) -> Result<(), String> {
    let mut check = Check { mentions, problems: Vec::new() };
    check.message(message);
    if check.problems.is_empty() { Ok(()) } else { Err(check.problems.join("\n")) }
}

/// Checks blocks of a modal that mention nobody.
pub(in crate::text) fn blocks(blocks: &[Value]) -> Result<(), String> {
    let mut check = Check { mentions: &[], problems: Vec::new() };
    check.require(blocks.len() <= 100, || format!("{} blocks", blocks.len()));
    let mut ids = Vec::new();
    for (place, block) in blocks.iter().enumerate() {
        check.block(block, &format!("block {place}"), &mut ids);
    }
    if check.problems.is_empty() { Ok(()) } else { Err(check.problems.join("\n")) }
}

/// Checks a modal for `views.open` and for `response_action`.
pub(in crate::text) fn modal(view: &Value) -> Result<(), String> {
    let mut check = Check { mentions: &[], problems: Vec::new() };
    check.modal(view);
    if check.problems.is_empty() { Ok(()) } else { Err(check.problems.join("\n")) }
}

/// Checks a message for a response URL, or in the answer to a slash command.
pub(in crate::text) fn answer(message: &Value) -> Result<(), String> {
    let mut check = Check { mentions: &[], problems: Vec::new() };
    let known = ["response_type", "replace_original", "text", "blocks"];
    let message = check.object(message, &known, "answer");
    check.require(message.get("response_type") == Some(&"ephemeral".into()), || "response_type".to_owned());
    check.require(message.get("replace_original") == Some(&false.into()), || "replace_original".to_owned());
    let text = message.get("text").and_then(Value::as_str).unwrap_or_default();
    check.text(text, 4_000, "text");
    check.markup(text, &[], "text");
    check.blocks(message.get("blocks"), 50);
    if check.problems.is_empty() { Ok(()) } else { Err(check.problems.join("\n")) }
}

struct Check<'a> {
    mentions: &'a [&'a str],
    problems: Vec<String>,
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

impl Check<'_> {
    fn require(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(problem());
        }
    }

    fn object(&mut self, value: &Value, known: &[&str], place: &str) -> Map<String, Value> {
        let Some(object) = value.as_object() else {
            self.problems.push(format!("{place}: not an object: {value}"));
            return Map::new();
        };
        for name in object.keys() {
            self.require(known.contains(&name.as_str()), || format!("{place}: unknown field {name}"));
        }
        object.clone()
    }

    fn items(&mut self, value: Option<&Value>, most: usize, place: &str) -> Vec<Value> {
        let items = value.and_then(Value::as_array).cloned().unwrap_or_default();
        self.require(!items.is_empty(), || format!("{place}: nothing in it"));
        self.require(items.len() <= most, || format!("{place}: {} items", items.len()));
        items
    }

    fn message(&mut self, message: &Value) {
        // Arguments that both methods know.
        let message = self.object(message, &["text", "parse", "link_names", "blocks", "metadata"], "message");
        self.require(message.get("parse") == Some(&"none".into()), || "parse".to_owned());
        self.require(message.get("link_names") == Some(&false.into()), || "link_names".to_owned());
        let text = message.get("text").and_then(Value::as_str).unwrap_or_default();
        self.text(text, 4_000, "text");
        self.markup(text, &[], "text");

        let metadata = message.get("metadata").cloned().unwrap_or_default();
        let metadata = self.object(&metadata, &["event_type", "event_payload"], "metadata");
        let name = metadata.get("event_type").and_then(Value::as_str).unwrap_or_default();
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        self.require(is_name, || format!("event_type {name:?}"));
        let payload = metadata.get("event_payload").and_then(Value::as_object);
        let scalars = payload.is_some_and(|payload| {
            payload.values().all(|value| value.is_string() || value.is_number() || value.is_boolean())
        });
        self.require(scalars, || "event_payload".to_owned());

        self.blocks(message.get("blocks"), 50);
    }

    fn blocks(&mut self, blocks: Option<&Value>, most: usize) {
        let blocks = self.items(blocks, most, "blocks");
        let mut ids = Vec::new();
        for (place, block) in blocks.iter().enumerate() {
            self.block(block, &format!("block {place}"), &mut ids);
        }
        let total = units(&Value::Array(blocks).to_string());
        self.require(most > 50 || total <= 13_000, || format!("all blocks: {total}"));
    }

    fn modal(&mut self, view: &Value) {
        let known = ["type", "title", "submit", "close", "blocks", "callback_id", "private_metadata"];
        let view = self.object(view, &known, "modal");
        self.require(view.get("type") == Some(&"modal".into()), || "not a modal".to_owned());
        for part in ["title", "submit", "close"] {
            self.text_object(view.get(part), Some("plain_text"), 24, part);
        }
        let notes = view.get("private_metadata").and_then(Value::as_str).unwrap_or_default();
        self.require(units(notes) <= 3_000, || format!("private_metadata: {}", units(notes)));
        self.id(view.get("callback_id"), "modal", &mut Vec::new());
        self.blocks(view.get("blocks"), 100);
        let size = Value::Object(view).to_string().len();
        // views.open: view_too_large.
        self.require(size <= 250_000, || format!("view of {size} bytes"));
    }

    fn input(&mut self, element: &Value, place: &str) {
        let kind = element["type"].as_str().unwrap_or_default();
        let known: &[&str] = match kind {
            "plain_text_input" => &["type", "action_id", "multiline", "max_length", "initial_value"],
            "static_select" => &["type", "action_id", "options", "initial_option"],
            "users_select" | "datetimepicker" => &["type", "action_id"],
            other => {
                self.problems.push(format!("{place}: unknown element {other:?}"));
                &[]
            }
        };
        let element = self.object(element, known, place);
        self.id(element.get("action_id"), place, &mut Vec::new());
        if kind == "plain_text_input" {
            let most = element.get("max_length").and_then(Value::as_u64).unwrap_or_default();
            self.require((1..=3_000).contains(&most), || format!("{place}: max_length {most}"));
            if let Some(given) = element.get("initial_value") {
                let length = units(given.as_str().unwrap_or_default());
                let is_within = length > 0 && u64::try_from(length).unwrap() <= most;
                self.require(is_within, || format!("{place}: initial_value of {length}"));
            }
        }
        if kind == "static_select" {
            let options = self.items(element.get("options"), 100, place);
            for option in &options {
                let option = self.object(option, &["text", "value"], place);
                self.text_object(option.get("text"), Some("plain_text"), 75, place);
                let length = units(option.get("value").and_then(Value::as_str).unwrap_or_default());
                self.require((1..=150).contains(&length), || format!("{place}: value of {length}"));
            }
            let chosen = element.get("initial_option");
            self.require(chosen.is_none_or(|chosen| options.contains(chosen)), || {
                format!("{place}: initial_option is none of the options")
            });
        }
    }

    fn block(&mut self, block: &Value, place: &str, ids: &mut Vec<String>) {
        let kind = block["type"].as_str().unwrap_or_default().to_owned();
        let place = &format!("{place} ({kind})");
        match kind.as_str() {
            "header" => {
                let block = self.object(block, &["type", "block_id", "text"], place);
                self.text_object(block.get("text"), Some("plain_text"), 150, place);
            }
            "section" => {
                let block = self.object(block, &["type", "block_id", "text", "fields"], place);
                let (text, fields) = (block.get("text"), block.get("fields"));
                self.require(text.is_some() || fields.is_some(), || {
                    format!("{place}: neither text nor fields")
                });
                if text.is_some() {
                    self.text_object(text, None, 3_000, place);
                }
                if fields.is_some() {
                    for field in self.items(fields, 10, place) {
                        self.text_object(Some(&field), None, 2_000, place);
                    }
                }
            }
            "context" => {
                let block = self.object(block, &["type", "block_id", "elements"], place);
                for element in self.items(block.get("elements"), 10, place) {
                    self.text_object(Some(&element), None, 3_000, place);
                }
            }
            "actions" => {
                let block = self.object(block, &["type", "block_id", "elements"], place);
                for element in self.items(block.get("elements"), 25, place) {
                    self.button(&element, place, ids);
                }
            }
            "divider" => {
                self.object(block, &["type", "block_id"], place);
            }
            "input" => {
                let known = ["type", "block_id", "label", "element", "hint", "optional"];
                let block = self.object(block, &known, place);
                self.text_object(block.get("label"), Some("plain_text"), 2_000, place);
                if block.contains_key("hint") {
                    self.text_object(block.get("hint"), Some("plain_text"), 2_000, place);
                }
                self.require(block.contains_key("block_id"), || format!("{place}: no block_id"));
                self.require(block.get("optional").is_none_or(Value::is_boolean), || {
                    format!("{place}: optional")
                });
                self.input(block.get("element").unwrap_or(&Value::Null), place);
            }
            other => self.problems.push(format!("unknown block {other:?}")),
        }
        self.id(block.get("block_id"), place, ids);
    }

    fn button(&mut self, button: &Value, place: &str, ids: &mut Vec<String>) {
        let known = ["type", "action_id", "text", "url", "value", "style"];
        let button = self.object(button, &known, place);
        self.require(button.get("type") == Some(&"button".into()), || format!("{place}: not a button"));
        self.text_object(button.get("text"), Some("plain_text"), 75, place);
        self.require(button.contains_key("action_id"), || format!("{place}: no action_id"));
        self.id(button.get("action_id"), place, ids);
        if let Some(url) = button.get("url") {
            let url = url.as_str().unwrap_or_default();
            self.require(units(url) <= 3_000, || format!("{place}: URL of {}", units(url)));
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let is_url =
                rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()));
            self.require(is_url, || format!("{place}: URL {url:?}"));
        }
        if let Some(value) = button.get("value") {
            let length = units(value.as_str().unwrap_or_default());
            self.require((1..=2_000).contains(&length), || format!("{place}: value of {length}"));
        }
        if let Some(style) = button.get("style") {
            self.require(["primary", "danger"].contains(&style.as_str().unwrap_or_default()), || {
                format!("{place}: style {style}")
            });
        }
    }

    fn id(&mut self, id: Option<&Value>, place: &str, ids: &mut Vec<String>) {
        if let Some(id) = id {
            let id = id.as_str().unwrap_or_default().to_owned();
            self.require((1..=255).contains(&units(&id)), || format!("{place}: id {id:?}"));
            self.require(!ids.contains(&id), || format!("{place}: id {id} twice"));
            ids.push(id);
        }
    }

    fn text_object(&mut self, object: Option<&Value>, kind: Option<&str>, most: usize, place: &str) {
        let object = object.cloned().unwrap_or_default();
        let found = object["type"].as_str().unwrap_or_default().to_owned();
        self.require(kind.is_none_or(|kind| kind == found), || format!("{place}: text of type {found:?}"));
        let text = object["text"].as_str().unwrap_or_default();
        match found.as_str() {
            "plain_text" => {
                self.object(&object, &["type", "text", "emoji"], place);
                self.require(object["emoji"] == false, || format!("{place}: emoji"));
                self.markup(text, &[], place);
            }
            "mrkdwn" => {
                self.object(&object, &["type", "text", "verbatim"], place);
                self.require(object["verbatim"] == true, || format!("{place}: not verbatim"));
                self.markup(text, self.mentions, place);
                self.formatting(text, place);
            }
            other => self.problems.push(format!("{place}: text of type {other:?}")),
        }
        self.text(text, most, place);
    }

    fn text(&mut self, text: &str, most: usize, place: &str) {
        self.require(text.chars().any(|c| !c.is_whitespace()), || format!("{place}: empty"));
        self.require(units(text) <= most, || format!("{place}: {} of {most}", units(text)));
        if let Some(c) = text.chars().find(|c| is_dangerous(*c)) {
            self.problems.push(format!("{place}: {c:?}"));
        }
    }

    /// `<…>` only for the mentions, and `&` only in the three escapes.
    fn markup(&mut self, text: &str, mentions: &[&str], place: &str) {
        let mut rest = text.to_owned();
        for mention in mentions {
            rest = rest.replace(&format!("<@{mention}>"), "").replace(&format!("<!subteam^{mention}>"), "");
        }
        for escape in ["&amp;", "&lt;", "&gt;"] {
            rest = rest.replace(escape, "");
        }
        if let Some(c) = rest.chars().find(|c| "<>&".contains(*c)) {
            self.problems.push(format!("{place}: bare {c} in {text:?}"));
        }
    }

    /// Outside of code blocks only our bold labels.
    fn formatting(&mut self, text: &str, place: &str) {
        let parts = text.split("```").collect::<Vec<_>>();
        self.require(parts.len() % 2 == 1, || format!("{place}: open code block in {text:?}"));
        for ours in parts.iter().step_by(2) {
            self.require(ours.matches('*').count() <= 2, || format!("{place}: bold in {ours:?}"));
            let foreign = ours.contains(['`', '_', '~']) || ours.contains("http") || ours.contains("&gt;");
            self.require(!foreign, || format!("{place}: formatting in {ours:?}"));
        }
    }
}

/// Control characters, and characters that reorder or hide text.
fn is_dangerous(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || "\u{61c}\u{200b}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}\u{feff}"
            .contains(c)
}

/// One message of the basic GSM alphabet, every character of which counts once.
pub(in crate::text) fn sms(text: &str) -> Result<(), String> {
    const BASIC: &str = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡\
                         ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    match text.chars().find(|c| !BASIC.contains(*c)) {
        Some(c) => Err(format!("{c:?} in {text:?}")),
        None if text.chars().count() > 160 => Err(format!("{} characters", text.chars().count())),
        None => Ok(()),
    }
}

/// A subject of SNS: fewer than 100 characters of printable ASCII, the first one no blank.
pub(in crate::text) fn subject(text: &str) -> Result<(), String> {
    let is_subject = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
        && text.starts_with(|c: char| c.is_ascii_graphic())
        && text.len() < 100;
    if is_subject { Ok(()) } else { Err(format!("{text:?}")) }
}

/// A page of `tags` only, that loads nothing and links only https addresses.
pub(in crate::text) fn page(html: &str, tags: &[&str]) -> Result<(), String> {
    let mut parts = html.split('<');
    let mut open = parts.next().unwrap_or_default().len();
    for part in parts {
        let (tag, text) = part.split_once('>').ok_or_else(|| format!("open tag {part:?}"))?;
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if !tags.contains(&name.trim_start_matches('/')) {
            return Err(format!("tag {tag:?}"));
        }
        let loads = ["src", "url(", "@import", "javascript:", "on"];
        if name != "!doctype" && loads.iter().any(|word| attributes.starts_with(word)) {
            return Err(format!("attributes {attributes:?}"));
        }
        if name == "a"
            && !attributes.starts_with("class=\"button\" href=\"https://")
            && !attributes.starts_with("href=\"https://")
        {
            return Err(format!("link {attributes:?}"));
        }
        if text.contains('>') || (text.contains('"') && name != "style") {
            return Err(format!("bare text {text:?}"));
        }
        open += 1;
    }
    if let Some(c) = html.chars().find(|c| is_dangerous(*c)) {
        return Err(format!("{c:?}"));
    }
    if open > 0 { Ok(()) } else { Err("no page".to_owned()) }
}

/// An event for PagerDuty.
pub(in crate::text) fn pagerduty(event: &Value) -> Result<(), String> {
    let known = ["event_action", "dedup_key", "payload", "links", "client"];
    let in_payload =
        ["summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"];
    let names = |value: &Value, known: &[&str]| {
        value.as_object().is_some_and(|object| object.keys().all(|name| known.contains(&name.as_str())))
    };
    let payload = &event["payload"];
    let length = |value: &Value| units(value.as_str().unwrap_or_default());
    let is_time = payload["timestamp"].as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok());
    let links = event["links"].as_array().cloned().unwrap_or_default();
    let checks = [
        ("fields", names(event, &known) && names(payload, &in_payload)),
        (
            "action",
            ["trigger", "acknowledge", "resolve"].iter().any(|action| event["event_action"] == **action),
        ),
        ("key", event["dedup_key"].is_string() && length(&event["dedup_key"]) <= 255 * 2),
        ("summary", (1..=1_024).contains(&length(&payload["summary"]))),
        ("source", length(&payload["source"]) > 0),
        (
            "severity",
            ["critical", "error", "warning", "info"].iter().any(|word| payload["severity"] == **word),
        ),
        ("timestamp", is_time),
        ("details", payload["custom_details"].is_object()),
        (
            "links",
            links.iter().all(|link| link["href"].as_str().is_some_and(|url| url.starts_with("https://"))),
        ),
        ("size", event.to_string().len() < 512 * 1024),
    ];
    match checks.iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(format!("{what}: {event}")),
        None => Ok(()),
    }
}

#[test]
fn the_check_of_slacks_limits_finds_each_breach() {
    use serde_json::json;

    let message = |block: Value| {
        json!({"text": "a", "parse": "none", "link_names": false, "blocks": [block],
            "metadata": {"event_type": "incident", "event_payload": {"incident": "x"}}})
    };
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let mrkdwn = |text: &str| json!({"type": "mrkdwn", "text": text, "verbatim": true});
    let section = |text: Value| json!({"type": "section", "text": text});
    let button = |change: Value| {
        let mut button = json!({"type": "button", "action_id": "a", "text": plain("a"), "url": "https://a"});
        for (name, value) in change.as_object().unwrap() {
            button[name] = value.clone();
        }
        json!({"type": "actions", "elements": [button]})
    };

    let good = [
        section(plain(&"a".repeat(3_000))),
        section(mrkdwn("*a*\n```\n*b* _c_ &lt;!channel&gt;\n```")),
        section(mrkdwn("<@U1>")),
        json!({"type": "header", "text": plain(&"é".repeat(150))}),
        json!({"type": "section", "fields": vec![plain("a"); 10]}),
        json!({"type": "context", "elements": vec![mrkdwn("a"); 10]}),
        json!({"type": "divider", "block_id": "a"}),
        button(json!({"value": "v", "style": "danger"})),
    ];
    for block in good {
        assert_eq!(slack(&message(block.clone()), &["U1"]), Ok(()), "{block}");
    }
    let bad = [
        section(plain(&"a".repeat(3_001))),
        section(plain("")),
        section(plain(" \n")),
        section(plain("a\0b")),
        section(plain("a\u{202e}b")),
        section(plain("<@U1>")),
        section(plain("a & b")),
        section(mrkdwn("<@U2>")),
        section(mrkdwn("<!channel>")),
        section(mrkdwn("<https://a|b>")),
        section(mrkdwn("*a* *b*")),
        section(mrkdwn("_a_")),
        section(mrkdwn("```a")),
        section(mrkdwn("https://a")),
        section(json!({"type": "mrkdwn", "text": "a"})),
        section(json!({"type": "plain_text", "text": "a"})),
        section(json!({"type": "markdown", "text": "a"})),
        json!({"type": "section"}),
        json!({"type": "section", "fields": []}),
        json!({"type": "section", "fields": vec![plain("a"); 11]}),
        json!({"type": "section", "fields": [plain(&"a".repeat(2_001))]}),
        json!({"type": "header", "text": plain(&"a".repeat(151))}),
        json!({"type": "header", "text": mrkdwn("a")}),
        json!({"type": "context", "elements": vec![plain("a"); 11]}),
        json!({"type": "context", "elements": []}),
        json!({"type": "divider", "block_id": "a".repeat(256)}),
        json!({"type": "divider", "text": "a"}),
        json!({"type": "image"}),
        button(json!({"text": plain(&"a".repeat(76))})),
        button(json!({"url": "javascript:alert(1)"})),
        button(json!({"url": format!("https://{}", "a".repeat(3_000))})),
        button(json!({"url": "https://a b"})),
        button(json!({"value": "a".repeat(2_001)})),
        button(json!({"action_id": "a".repeat(256)})),
        button(json!({"style": "big"})),
    ];
    for block in bad {
        assert!(slack(&message(block.clone()), &["U1"]).is_err(), "{block}");
    }

    let change = |name: &str, value: Value| {
        let mut message = message(section(plain("a")));
        message[name] = value;
        message
    };
    assert_eq!(slack(&change("text", "b".into()), &[]), Ok(()));
    let bad = [
        change("blocks", json!(vec![section(plain("a")); 51])),
        change("blocks", json!(vec![section(plain(&"a".repeat(2_800))); 5])),
        change("blocks", json!([])),
        change("text", "a".repeat(4_001).into()),
        change("text", "<!here>".into()),
        change("text", "".into()),
        change("parse", "full".into()),
        change("username", "a".into()),
        change("metadata", json!({"event_type": "a b", "event_payload": {}})),
        change("metadata", json!({"event_type": "a", "event_payload": {"a": [1]}})),
    ];
    for message in bad {
        assert!(slack(&message, &[]).is_err(), "{message}");
    }
}
