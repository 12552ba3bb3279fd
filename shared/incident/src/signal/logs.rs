//! Subscription filters of CloudWatch Logs: one signal for each signature among a batch's lines, of the most frequent ones,
//! and one for all others: ten thousand different errors have one cause, and must not be ten thousand incidents.
//!
//! A signal's key is the id of the first event with its signature: a redelivered batch has the same events, so the same
//! keys. Lines that are not JSON, such as the stack of a failed start, come as one event each and are put together
//! again: a line joins the text before it unless it begins another error, or comes more than [`GAP_SECONDS`] later.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::Value;

use super::fault::{Fault, is_head, is_noise, masked};
use super::json::{hash, list, text};
use super::{Origin, blank, unread};
use crate::{Signal, Source, Transport};

/// Most bytes that a batch is inflated to. A longer one is not understood, and pages with its beginning.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// Most seconds between the lines of one text.
const GAP_SECONDS: i64 = 5;

/// Most signatures of a batch that have a signal of their own.
const MOST_SIGNATURES: usize = 20;

/// Most of the other signatures that are named.
const MOST_NAMED: usize = 20;

/// Most lines of one signature that are shown.
const MOST_LINES: usize = 3;

/// Most bytes of a text that is put together from several events.
const LONGEST_TEXT: usize = 64 * 1024;

/// The signals of a subscription's event.
pub(super) fn subscription(value: &Value, origin: Origin<'_>) -> Vec<Signal> {
    let origin = Origin { transport: Transport::Logs, ..origin };
    let unknown = |raw: &str| vec![unread(origin, raw)];
    let Some(data) = text(value, "/awslogs/data") else { return unknown(&value.to_string()) };
    let compact: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let Ok(zipped) = STANDARD.decode(compact) else { return unknown(&value.to_string()) };
    let inflated = inflated(&zipped);
    let bytes = if inflated.is_empty() { zipped } else { inflated };
    let found = serde_json::from_slice(&bytes).ok().and_then(|value: Value| batch(&value));
    found.unwrap_or_else(|| unknown(&String::from_utf8_lossy(&bytes)))
}

/// At most [`MOST_BYTES`] of the text; of a damaged one, what can be read.
fn inflated(zipped: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // An error ends the text early; what was read before it stays.
    let _ = GzDecoder::new(zipped).take(MOST_BYTES).read_to_end(&mut bytes);
    bytes
}

/// The lines of one JSON object, or several events' lines of one text.
struct Block {
    id: String,
    at: Option<Timestamp>,
    last_at: Option<Timestamp>,
    text: String,
    has_head: bool,
    fault: Option<Fault>,
}

/// All blocks with one signature.
struct Group {
    place: usize,
    fault: Fault,
    id: String,
    at: Option<Timestamp>,
    count: usize,
    lines: Vec<String>,
}

/// The signals of a batch; `None` if it is none, or says nothing at all.
pub(super) fn batch(value: &Value) -> Option<Vec<Signal>> {
    if text(value, "/messageType") == Some("CONTROL_MESSAGE") {
        return Some(Vec::new());
    }
    let events = list(value, "/logEvents");
    if events.is_empty() {
        return None;
    }
    let log_group = text(value, "/logGroup").unwrap_or_default();
    let (blocks, is_understood) = blocks(events);
    let mut faults: Vec<(Fault, Block)> = Vec::new();
    for mut block in blocks {
        let fault = block.fault.take().unwrap_or_else(|| Fault::read(&block.text));
        if fault.pages {
            faults.push((fault, block));
        }
    }
    if faults.is_empty() {
        return is_understood.then(Vec::new);
    }
    // A request that failed has a line of its own beside that of the fault.
    let explained: BTreeSet<String> = faults
        .iter()
        .filter(|(fault, _)| !fault.is_access)
        .filter_map(|(fault, _)| fault.request.clone())
        .collect();
    faults.retain(|(fault, _)| {
        !fault.is_access || !fault.request.as_ref().is_some_and(|request| explained.contains(request))
    });
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (place, (fault, block)) in faults.into_iter().enumerate() {
        let group = groups.entry(fault.signature()).or_insert_with(|| Group {
            place,
            fault: fault.clone(),
            id: block.id,
            at: block.at,
            count: 0,
            lines: Vec::new(),
        });
        group.count += 1;
        // The worst of them counts, which is the one that proposes nothing.
        group.fault.severity = group.fault.severity.and(fault.severity);
        if group.lines.len() < MOST_LINES {
            group.lines.push(fault.shown);
        }
    }
    let mut groups: Vec<(String, Group)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| (Reverse(group.count), group.place));
    // One more is shown as it is.
    let is_storm = groups.len() > MOST_SIGNATURES + 1;
    let others = if is_storm { groups.split_off(MOST_SIGNATURES) } else { Vec::new() };
    groups.sort_by_key(|(_, group)| group.place);
    let signals = groups.into_iter().map(|(signature, group)| signal(value, log_group, &signature, group));
    Some(signals.chain(remaining(value, log_group, &others)).collect())
}

/// The events as blocks, and whether any of them was understood or left out as known noise.
fn blocks(events: &[Value]) -> (Vec<Block>, bool) {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_open = false;
    let mut is_understood = false;
    for event in events {
        let at = event.get("timestamp").and_then(Value::as_i64);
        let at = at.and_then(|time| Timestamp::from_millisecond(time).ok());
        let line = event.get("message").and_then(Value::as_str);
        let is_broken = line.is_none();
        // An event without a line is shown whole.
        let line = line.map_or_else(|| Cow::Owned(event.to_string()), Cow::Borrowed);
        let line: &str = &line;
        let is_indented = line.starts_with([' ', '\t']);
        let is_part = is_broken || (is_open && is_indented);
        if !is_part && let Some(fault) = Fault::from_json(line) {
            blocks.push(Block { fault: Some(fault), ..block(event, at, line) });
            is_understood = true;
            is_open = false;
            continue;
        }
        if is_noise(line) {
            is_understood |= !line.trim().is_empty();
            continue;
        }
        let is_head = !is_indented && is_head(line);
        let joined = blocks.last_mut().filter(|block| {
            let gap = block.last_at.zip(at).map_or(0, |(before, at)| at.as_second() - before.as_second());
            let is_other = is_head && block.has_head;
            is_open && gap <= GAP_SECONDS && !is_other && block.text.len() < LONGEST_TEXT
        });
        match joined {
            Some(block) => {
                block.text.push('\n');
                block.text.push_str(line);
                block.last_at = at.or(block.last_at);
                block.has_head |= is_head;
            }
            None => blocks.push(Block { has_head: is_head, ..block(event, at, line) }),
        }
        is_open = true;
    }
    (blocks, is_understood)
}

fn block(event: &Value, at: Option<Timestamp>, line: &str) -> Block {
    let id = text(event, "/id").map_or_else(|| hash(&event.to_string()), str::to_owned);
    Block { id, at, last_at: at, text: line.to_owned(), has_head: false, fault: None }
}

fn signal(value: &Value, log_group: &str, signature: &str, group: Group) -> Signal {
    let Group { fault, id, at, count, lines, .. } = group;
    let lines: Vec<String> = lines.iter().map(|line| masked(line)).collect();
    let mut labels = labels(value, log_group, count);
    labels.insert("class".to_owned(), masked(&fault.class));
    labels.insert("code".to_owned(), masked(&fault.code));
    Signal {
        changed_at: at,
        title: masked(&fault.title()),
        reason: format!("{count}×\n{}", lines.join("\n")),
        severity: fault.severity,
        labels,
        understood: fault.understood,
        ..blank(Source::Logs, format!("{log_group}|{signature}"), format!("log|{id}"))
    }
}

/// The signal of the signatures that have none of their own, most frequent first. All batches of a log have the same
/// problem for them.
fn remaining(value: &Value, log_group: &str, others: &[(String, Group)]) -> Option<Signal> {
    let (_, first) = others.iter().min_by_key(|(_, group)| group.place)?;
    let count: usize = others.iter().map(|(_, group)| group.count).sum();
    let named = others.iter().take(MOST_NAMED);
    let named = named.map(|(_, group)| format!("{}× {}", group.count, masked(&group.fault.title())));
    let named: Vec<String> = named.collect();
    let title = format!("+{} signatures: {log_group}", others.len());
    Some(Signal {
        changed_at: first.at,
        reason: format!("{count}×\n{}", named.join("\n")),
        title,
        labels: labels(value, log_group, count),
        ..blank(Source::Logs, format!("{log_group}|more"), format!("log|{}", first.id))
    })
}

fn labels(value: &Value, log_group: &str, count: usize) -> BTreeMap<String, String> {
    let labels = [
        ("account", text(value, "/owner").unwrap_or_default().to_owned()),
        ("count", count.to_string()),
        ("log_group", log_group.to_owned()),
        ("log_stream", text(value, "/logStream").unwrap_or_default().to_owned()),
    ];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
