//! A Slack message as a page, to look at without Slack.

use serde_json::Value;

use crate::text::{html as escape, https};

const STYLE: &str = "body{font:15px/1.5 sans-serif;color:#1d1c1d;max-width:680px;margin:24px auto;padding:0 12px}\
h1{font-size:18px;margin:8px 0}pre{background:#f6f6f6;border:1px solid #ddd;border-radius:4px;padding:8px;\
white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0}table{border-collapse:collapse}\
td{padding:1px 16px 1px 0;vertical-align:top;overflow-wrap:anywhere}\
.context{color:#616061;font-size:13px}.mention{background:#fdf2d5;color:#1264a3}\
.button{display:inline-block;border:1px solid #bbb;border-radius:4px;padding:4px 12px;margin:4px 8px 4px 0;\
color:#1d1c1d;text-decoration:none;font-weight:bold}\
h2{font-size:13px;color:#616061;margin:32px 0 4px}\
.message{border-left:4px solid #ddd;padding:2px 0 2px 12px}";

/// A message as one page that loads nothing.
pub fn html(message: &Value) -> String {
    page(&unescape(string(message, "text")), &part(message))
}

/// The blocks of a message, or its text if it has none, as a part of a page.
///
/// It shows the blocks that this crate writes; others appear as their type.
pub fn part(message: &Value) -> String {
    match message.get("blocks").and_then(Value::as_array) {
        Some(blocks) => blocks.iter().map(block).collect(),
        None => format!("<p>{}</p>\n", escape(&unescape(string(message, "text")))),
    }
}

/// Several messages under one title, each with its own caption, as one page that loads nothing.
pub fn several<'a>(title: &str, messages: impl IntoIterator<Item = (&'a str, &'a Value)>) -> String {
    let parts = messages.into_iter().map(|(caption, message)| {
        format!("<h2>{}</h2>\n<div class=\"message\">\n{}</div>\n", escape(caption), part(message))
    });
    page(title, &parts.collect::<String>())
}

fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html>\n<head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body>\n{body}</body>\n</html>\n"
    )
}

fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn block(block: &Value) -> String {
    let text = block.get("text").map(object);
    match string(block, "type") {
        "header" => format!("<h1>{}</h1>\n", text.unwrap_or_default()),
        "section" => {
            let rows = items(block, "fields").chunks(2).map(|row| {
                let cells = row.iter().map(|cell| format!("<td>{}</td>", object(cell)));
                format!("<tr>{}</tr>", cells.collect::<String>())
            });
            let rows = rows.collect::<String>();
            let table = if rows.is_empty() { rows } else { format!("<table>{rows}</table>\n") };
            let text = text.map(|text| format!("<div>{text}</div>\n")).unwrap_or_default();
            text + &table
        }
        "context" => {
            let texts = items(block, "elements").iter().map(object).collect::<Vec<_>>();
            format!("<p class=\"context\">{}</p>\n", texts.join(" · "))
        }
        "actions" => {
            let buttons = items(block, "elements").iter().map(button);
            format!("<p>{}</p>\n", buttons.collect::<String>())
        }
        "divider" => "<hr>\n".to_owned(),
        other => format!("<p>({})</p>\n", escape(other)),
    }
}

fn button(button: &Value) -> String {
    let label = button.get("text").map(object).unwrap_or_default();
    match https(string(button, "url")) {
        Some(url) => format!("<a class=\"button\" href=\"{}\" rel=\"noreferrer\">{label}</a>", escape(url)),
        None => format!("<span class=\"button\">{label}</span>"),
    }
}

/// A text object.
fn object(object: &Value) -> String {
    let text = string(object, "text");
    if string(object, "type") != "mrkdwn" {
        return format!("<bdi>{}</bdi>", lines(text));
    }
    let parts = text.split("```").enumerate().map(|(place, part)| {
        if place % 2 == 1 {
            format!("<pre>{}</pre>", escape(&unescape(part.trim_matches('\n'))))
        } else {
            marked(part)
        }
    });
    parts.collect()
}

/// Bold text and mentions outside of code blocks.
fn marked(text: &str) -> String {
    let mut page = String::new();
    // A group is mentioned in another form; whatever else has this form is escaped.
    let text = text.replace("<!subteam^", "<@");
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("<@") {
        let Some((user, after)) = after.split_once('>') else { break };
        page.push_str(&bold(before));
        page.push_str(&format!("<span class=\"mention\">@{}</span>", escape(user)));
        rest = after;
    }
    page + &bold(rest)
}

fn bold(text: &str) -> String {
    let parts = text
        .split('*')
        .enumerate()
        .map(|(place, part)| if place % 2 == 1 { format!("<b>{}</b>", lines(part)) } else { lines(part) });
    parts.collect()
}

fn lines(text: &str) -> String {
    escape(&unescape(text)).trim_matches('\n').replace('\n', "<br>")
}

/// Slack's three escapes.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
