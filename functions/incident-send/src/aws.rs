//! The AWS calls of this function alone. Writes of the table, and reads by key, are in `shared::aws::table`.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use aws_sdk_sns::types::MessageAttributeValue;
use incident::store::{self, Attributes, Channel, DUE_INDEX, Key, Row};
use incident::text::mail::Mail;
use incident::{Action, Entry};
use jiff::Timestamp;
use shared::aws::table::{self, Table};
use shared::runtime::failure::CallError;

use crate::channels::aws::Failed;

/// Most rows of one channel that one look at the outbox finds; the oldest first, and the next look finds the others.
const MOST_OF_CHANNEL: usize = 100;

/// Most rows that one look passes, those of paused channels and those above [`MOST_OF_CHANNEL`] included.
const MOST_PASSED: usize = 10_000;

/// Most entries for a thread that are found, the newest: fewer than a row remembers ([`Row::MOST_TOLD`]), or one that it
/// has forgotten would be told again.
const MOST_LINES: usize = 100;

/// Most timeline entries that are looked at for them: between two of them, a storm may have written thousands of others.
const MOST_READ: usize = 3_000;

/// Timeline entries of one request.
const LINES_AT_ONCE: i32 = 500;

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Keys of the rows that are due by `until`, the oldest of each channel, without those of paused channels: thousands of
/// rows of one channel that is busy must not hide the others. The index may lag.
pub(crate) async fn due(
    table: &Table,
    until: Timestamp,
    is_paused: impl Fn(Channel) -> bool,
) -> Result<Vec<Key>, CallError> {
    let until = AttributeValue::N(until.as_millisecond().to_string());
    let ask = |query: QueryFluentBuilder| {
        let query = query.index_name(DUE_INDEX).key_condition_expression("#pk = :pk AND #due <= :until");
        let query =
            query.expression_attribute_names("#pk", Row::QUEUE).expression_attribute_names("#due", "due");
        query
            .expression_attribute_values(":pk", text("due"))
            .expression_attribute_values(":until", until.clone())
    };
    let mut found: BTreeMap<Channel, usize> = BTreeMap::new();
    let is_wanted = |item: &Attributes| {
        let Some(row) = Row::read(item).filter(|row| !is_paused(row.channel)) else { return false };
        let number = found.entry(row.channel).or_default();
        *number += 1;
        *number <= MOST_OF_CHANNEL
    };
    let items = query(table, ask, |found| found.len() >= MOST_PASSED).await?;
    Ok(items.into_iter().filter(is_wanted).filter_map(|item| Key::of(&item)).collect())
}

/// The rows of an incident, as they are now.
pub(crate) async fn rows(table: &Table, incident: &str) -> Result<Vec<Row>, CallError> {
    let ask = |query| of_incident(query, incident, Key::ROWS);
    Ok(query(table, ask, |_| false).await?.iter().filter_map(Row::read).collect())
}

/// The newest entries of an incident's timeline with a wanted action, with their sort keys, the oldest first, as they are
/// now. What is far before one that was told is not looked for.
pub(crate) async fn lines(
    table: &Table,
    incident: &str,
    told: &[String],
    is_wanted: impl Fn(Action) -> bool,
) -> Result<Vec<(String, Entry)>, CallError> {
    let ask = |query| of_incident(query, incident, Key::LINES).scan_index_forward(false).limit(LINES_AT_ONCE);
    let read = |items: &[Attributes]| {
        let lines = items.iter().filter_map(|item| Some((Key::of(item)?.sk, store::entry(item)?)));
        let mut lines: Vec<_> = lines.filter(|(_, entry)| is_wanted(entry.action)).collect();
        lines.truncate(MOST_LINES);
        lines.reverse();
        lines
    };
    let is_enough = |items: &[Attributes]| {
        let lines = read(items);
        items.len() >= MOST_READ
            || lines.len() >= MOST_LINES
            || lines.iter().any(|(key, _)| told.contains(key))
    };
    Ok(read(&query(table, ask, is_enough).await?))
}

/// The items of an incident whose sort key begins with a prefix.
fn of_incident(query: QueryFluentBuilder, incident: &str, prefix: &str) -> QueryFluentBuilder {
    let query = query.consistent_read(true).key_condition_expression("#pk = :pk AND begins_with(#sk, :sk)");
    let query = query.expression_attribute_names("#pk", "pk").expression_attribute_names("#sk", "sk");
    let pk = Key::incident(incident).pk;
    query.expression_attribute_values(":pk", text(&pk)).expression_attribute_values(":sk", text(prefix))
}

/// The items of a query, page by page, until there are enough.
async fn query(
    table: &Table,
    ask: impl Fn(QueryFluentBuilder) -> QueryFluentBuilder,
    is_enough: impl Fn(&[Attributes]) -> bool,
) -> Result<Vec<Attributes>, CallError> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let page = ask(table.client().query().table_name(table.name())).set_exclusive_start_key(next);
        let page = page.send().await.map_err(CallError::during("dynamodb:Query"))?;
        found.extend(page.items().iter().map(table::read));
        next = page.last_evaluated_key;
        if next.is_none() || is_enough(&found) {
            return Ok(found);
        }
    }
}

/// Publishes a mail to a topic.
pub(crate) async fn to_topic(sns: &aws_sdk_sns::Client, topic: &str, mail: &Mail) -> Result<(), Failed> {
    let publish = sns.publish().topic_arn(topic).subject(&mail.subject).message(&mail.text);
    publish.send().await.map_err(Failed::during("sns:Publish"))?;
    Ok(())
}

/// Sends an SMS.
pub(crate) async fn to_phone(sns: &aws_sdk_sns::Client, phone: &str, text: &str) -> Result<(), Failed> {
    // Delivered before others, and not cheapest first.
    let kind = MessageAttributeValue::builder().data_type("String").string_value("Transactional").build();
    let kind = kind.map_err(CallError::before("sns:Publish"))?;
    let publish = sns.publish().phone_number(phone).message(text);
    let publish = publish.message_attributes("AWS.SNS.SMS.SMSType", kind);
    publish.send().await.map_err(Failed::during("sns:Publish"))?;
    Ok(())
}

/// At most 50 addresses, each of which sees all: people who work together.
pub(crate) fn to(addresses: &[String]) -> Destination {
    Destination::builder().set_to_addresses(Some(first(addresses))).build()
}

/// At most 50 addresses, none of which sees another.
pub(crate) fn hidden(addresses: &[String]) -> Destination {
    Destination::builder().set_bcc_addresses(Some(first(addresses))).build()
}

/// What SES takes in one message.
fn first(addresses: &[String]) -> Vec<String> {
    addresses.iter().take(50).cloned().collect()
}

/// Sends a mail.
pub(crate) async fn by_mail(
    ses: &aws_sdk_sesv2::Client,
    from: &str,
    to: Destination,
    mail: &Mail,
) -> Result<(), Failed> {
    let part = |text: &str| {
        let part = Content::builder().data(text).charset("UTF-8").build();
        part.map_err(CallError::before("ses:SendEmail"))
    };
    let body = Body::builder().text(part(&mail.text)?).html(part(&mail.html)?).build();
    let message = Message::builder().subject(part(&mail.subject)?).body(body).build();
    let content = EmailContent::builder().simple(message).build();
    let send = ses.send_email().from_email_address(from).destination(to).content(content);
    send.send().await.map_err(Failed::during("ses:SendEmail"))?;
    Ok(())
}
