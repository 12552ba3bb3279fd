//! The incident pager in the local cloud, as tests use it: the table, the ways in, the sender, and what each channel has.
//!
//! Start with [`Pager::fresh`]: no faults, no incidents, nothing in the queues, the settings as deployed; or with
//! [`Pager::held`], where only the test invokes the functions. Then:
//!
//! * in: [`Pager::publish`] (SNS), [`Pager::enqueue`] (the queue, many at once), [`Pager::intake`] (the function itself),
//!   with [`alarm`], [`notification`] and [`delivery`] to make events
//! * the table: [`Pager::incidents`], [`Pager::incident`], [`Pager::events`], [`Pager::table`] for any other call
//! * the sender: [`Pager::sweep`], [`Pager::stream`]
//! * time: [`Pager::pass_time`] makes the next row of each incident due, [`Pager::expire_leases`] ends the leases of dead
//!   senders, [`Pager::finish`] does it until no row is due
//! * [`Pager::quiet`] waits until the queues are empty and no row is due now; [`Pager::flow`] turns the queue's and the
//!   stream's mapping off and on, so that only the test invokes a function
//! * channels: [`Pager::posts`], [`Pager::replies`], [`Pager::webhooks`], [`Pager::mails`] since the last [`Pager::reset`];
//!   [`Pager::log`] of everything that was accepted since the test began; [`Pager::set`] gives the
//!   functions other settings, such as `PAGE_CHANNELS`, [`Pager::channel_id`] is the name of Slack's channel by which it can
//!   be searched
//! * faults: [`Pager::outage`], [`Cloud::fault`] of `page` or `send`, [`Pager::calm`].
//!
//! No clock is moved: the sender's times (60 s to the next channel, 60 s of a lease, minutes of back-off) are real, so a
//! test writes earlier ones into the rows, as the account's root. The schedule of the sweep is off, since a sweep at any
//! moment would meet the faults that are armed for another one. The sender's time is cut to [`BRISK`], so that a sweep does
//! not wait for what is due within the next minute.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_lambda::types::Environment;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::now;

use crate::cloud::{Cloud, eventually, sha256};

/// The table.
pub(crate) const TABLE: &str = "moveongs-dev-incidents";

/// The intake's queue.
pub(crate) const QUEUE: &str = "moveongs-dev-incident-page";

/// The paging topic.
pub(crate) const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:moveongs-dev-paging";

/// Seconds of an invocation of the sender that does not wait: it keeps 70 for one more row.
pub(crate) const BRISK: i32 = 75;

const DEAD_LETTERS: [&str; 2] =
    ["moveongs-dev-incident-page-dead-letters", "moveongs-dev-incident-send-dead-letters"];

/// The topic of the channel `sns`, and a queue that gets what is published there.
const MAIL_TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:moveongs-dev-pager";
const MAILS: &str = "incident-mails";

/// The variable of a function that has other settings than deployed; its value are those.
const DEPLOYED: &str = "DEPLOYED_SETTINGS";

/// Everything that Slack's bot and webhook posted or changed, as a route of the local cloud.
pub(crate) const SLACK: &str = "slack/messages?all=1";

/// Everything that PagerDuty accepted.
pub(crate) const PAGERDUTY: &str = "pagerduty/events";

/// Everything that SES sent.
pub(crate) const SES: &str = "ses/messages";

/// The SMS that SNS took.
pub(crate) const SMS: &str = "sns/sms";

/// What the channels accepted.
const LOGS: [&str; 4] = [SLACK, PAGERDUTY, SES, SMS];

/// The pager, without a trace of earlier tests.
pub(crate) struct Pager {
    /// The intake.
    pub(crate) page: Cloud,
    /// The desk.
    pub(crate) desk: Cloud,
    /// The sender.
    pub(crate) send: Cloud,
    /// How long each log was when the test began.
    before: BTreeMap<&'static str, usize>,
}

/// An incident as the table has it.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    /// Its id.
    pub(crate) id: String,
    /// The incident itself; its fields are those of `incident::Incident`.
    pub(crate) body: Value,
    /// Its outbox rows by `channel#purpose`, with the attributes of `incident::store::Row`; times in milliseconds.
    pub(crate) rows: BTreeMap<String, Value>,
    /// Its timeline, in order.
    pub(crate) lines: Vec<Value>,
}

impl Incident {
    /// The actions of the timeline, in order.
    pub(crate) fn actions(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line["action"].as_str().unwrap()).collect()
    }

    /// How many entries of the timeline record an action.
    pub(crate) fn count_of(&self, action: &str) -> usize {
        self.actions().iter().filter(|one| **one == action).count()
    }

    /// A row, by `channel#purpose`.
    pub(crate) fn row(&self, name: &str) -> &Value {
        self.rows.get(name).unwrap_or_else(|| panic!("{name}: {:?}", self.rows))
    }

    /// The next attempt of a row, in milliseconds; none if nothing is left to do.
    pub(crate) fn due(&self, name: &str) -> Option<i64> {
        self.row(name)["due"].as_i64()
    }
}

impl Pager {
    /// The pager, without a trace of earlier tests.
    pub(crate) async fn fresh() -> Self {
        Self::begin(true).await
    }

    /// The same with both mappings off, so that only the test invokes the functions.
    pub(crate) async fn held() -> Self {
        Self::begin(false).await
    }

    async fn begin(flows: bool) -> Self {
        let (page, send) = (Cloud::connect("incident-page").await, Cloud::connect("incident-send").await);
        let desk = Cloud::connect("incident-desk").await;
        let mut pager = Self { page, desk, send, before: BTreeMap::new() };
        pager.calm().await;
        pager.page.admin(Method::POST, "slack/channels", Some(json!({"archived": []}))).await;
        pager.page.admin(Method::POST, "queues", Some(json!({"deliver": 1}))).await;
        pager.stop_schedule().await;
        // A page of another test may be on its way; one whose reader was killed stays for a minute.
        for _ in 0..50 {
            if pager.waiting(QUEUE).await == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        pager.flow(flows).await;
        for queue in [QUEUE].into_iter().chain(DEAD_LETTERS) {
            pager.purge(queue).await;
        }
        pager.configure(&pager.page, Some(&[]), None).await;
        pager.configure(&pager.desk, Some(&[]), None).await;
        pager.configure(&pager.send, Some(&[]), Some(BRISK)).await;
        if !pager.page.keys("policy/").await.is_empty() {
            pager.page.forget_policy().await;
            pager.send.restart().await;
            pager.desk.restart().await;
        }
        pager.listen_to_mails().await;
        pager.reset().await;
        for route in LOGS {
            pager.before.insert(route, pager.whole_log(route).await.len());
        }
        pager
    }

    /// No faults, incidents or messages; the rest is as it is.
    pub(crate) async fn reset(&self) {
        self.calm().await;
        self.empty().await;
        self.page.admin(Method::DELETE, "slack/messages", None).await;
        self.purge(MAILS).await;
    }

    // Settings.

    /// Gives the functions other settings until the next test: all that are not named are as deployed.
    pub(crate) async fn set(&self, changes: &[(&str, &str)]) {
        self.configure(&self.page, Some(changes), None).await;
        self.configure(&self.desk, Some(changes), None).await;
        self.configure(&self.send, Some(changes), None).await;
    }

    /// Puts a policy in force for the functions; the next [`Pager::fresh`] removes it.
    pub(crate) async fn policy(&self, patch: &Value) {
        self.page.set_policy(patch).await;
        self.send.restart().await;
        self.desk.restart().await;
    }

    /// Makes a service outside AWS refuse connections.
    pub(crate) async fn outage(&self, service: &str) {
        self.page.admin(Method::POST, "outages", Some(json!({"service": service}))).await;
    }

    /// Ends all outages and removes all faults.
    pub(crate) async fn calm(&self) {
        self.page.admin(Method::DELETE, "outages", None).await;
        self.page.admin(Method::DELETE, "faults", None).await;
    }

    /// The id of Slack's channel, for `SLACK_CHANNEL`: only by its id can it be searched for a lost message.
    pub(crate) fn channel_id() -> String {
        format!("C{}", sha256(b"#incidentes-moveongs")[..10].to_uppercase())
    }

    /// Gives a function the settings as deployed, with changes; or leaves them as they are.
    async fn configure(&self, cloud: &Cloud, changes: Option<&[(&str, &str)]>, timeout: Option<i32>) {
        let found =
            cloud.lambda.get_function_configuration().function_name(cloud.function()).send().await.unwrap();
        let old = found.environment().and_then(|environment| environment.variables()).cloned().unwrap();
        let mut new = old.clone();
        if let Some(changes) = changes {
            let deployed: Option<HashMap<String, String>> =
                old.get(DEPLOYED).map(|deployed| serde_json::from_str(deployed).unwrap());
            new = deployed.unwrap_or(new);
            if !changes.is_empty() {
                let deployed = serde_json::to_string(&new).unwrap();
                new.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
                new.insert(DEPLOYED.to_owned(), deployed);
            }
        }
        let timeout = timeout.or(found.timeout()).unwrap();
        if new != old || found.timeout() != Some(timeout) {
            let environment = Environment::builder().set_variables(Some(new)).build();
            let update = cloud.lambda.update_function_configuration().function_name(cloud.function());
            update.environment(environment).timeout(timeout).send().await.unwrap();
        }
    }

    /// Turns the mappings of the queue and of the table's stream on or off.
    pub(crate) async fn flow(&self, is_on: bool) {
        self.queue_flow(is_on).await;
        self.stream_flow(is_on).await;
    }

    /// Turns the queue's mapping on or off.
    pub(crate) async fn queue_flow(&self, is_on: bool) {
        mapping(&self.page, is_on).await;
    }

    /// Turns the mapping of the table's stream on or off. What happens meanwhile comes later.
    pub(crate) async fn stream_flow(&self, is_on: bool) {
        mapping(&self.send, is_on).await;
    }

    async fn stop_schedule(&self) {
        let path = "/schedules/moveongs-dev-incident-send";
        let mut schedule = self.send.rest("scheduler", Method::GET, path, Value::Null).await;
        if schedule["State"] != "DISABLED" {
            schedule["State"] = json!("DISABLED");
            self.send.rest("scheduler", Method::PUT, path, schedule).await;
        }
    }

    // The table.

    /// Calls DynamoDB.
    pub(crate) async fn table(&self, operation: &str, mut body: Value) -> Value {
        if body.get("TableName").is_none() && !operation.starts_with("Batch") {
            body["TableName"] = json!(TABLE);
        }
        self.page.json_call("dynamodb", &format!("DynamoDB_20120810.{operation}"), body).await
    }

    /// All items, with plain values; `body` is parsed.
    pub(crate) async fn items(&self) -> Vec<Value> {
        let (mut items, mut next) = (Vec::new(), Value::Null);
        loop {
            let mut scan = json!({"ConsistentRead": true});
            if !next.is_null() {
                scan["ExclusiveStartKey"] = next;
            }
            let page = self.table("Scan", scan).await;
            items.extend(page["Items"].as_array().unwrap().iter().map(plain));
            next = page["LastEvaluatedKey"].clone();
            if next.is_null() {
                return items;
            }
        }
    }

    /// Deletes all items.
    async fn empty(&self) {
        loop {
            let items = self.items().await;
            if items.is_empty() {
                return;
            }
            for part in items.chunks(25) {
                let delete = |item: &Value| json!({"DeleteRequest": {"Key": {"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}}}});
                let all: Vec<_> = part.iter().map(delete).collect();
                self.table("BatchWriteItem", json!({"RequestItems": {TABLE: all}})).await;
            }
        }
    }

    /// All incidents, the oldest first.
    pub(crate) async fn incidents(&self) -> Vec<Incident> {
        let mut found: BTreeMap<String, Incident> = BTreeMap::new();
        // The sort keys of a timeline are in order.
        let mut items = self.items().await;
        items.sort_by_key(|item| item["sk"].as_str().unwrap().to_owned());
        for item in items {
            let Some(id) = item["pk"].as_str().unwrap().strip_prefix("INCIDENT#") else { continue };
            let incident = found.entry(id.to_owned()).or_insert_with(|| Incident {
                id: id.to_owned(),
                body: Value::Null,
                rows: BTreeMap::new(),
                lines: Vec::new(),
            });
            match item["sk"].as_str().unwrap() {
                "STATE" => incident.body = item["body"].clone(),
                // What the clock did last.
                "CLOCK" => {}
                // It has to look, whether or not the change reaches it.
                "WATCH" => {}
                line if line.starts_with("LINE#") => incident.lines.push(item["body"].clone()),
                row => {
                    let name = row.strip_prefix("SEND#").unwrap_or_else(|| panic!("{row}"));
                    incident.rows.insert(name.to_owned(), item);
                }
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        let first_at = |incident: &Incident| incident.body["first_at"].as_str().map(str::to_owned);
        found.sort_by_key(|incident| (first_at(incident), incident.id.clone()));
        found
    }

    /// The only incident.
    pub(crate) async fn incident(&self) -> Incident {
        let mut found = self.incidents().await;
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// The stored events.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let items = self.items().await.into_iter();
        items.filter(|item| item["sk"] == "EVENT").map(|item| item["body"].clone()).collect()
    }

    /// Sets whole numbers of an outbox row.
    pub(crate) async fn set_row(&self, id: &str, name: &str, numbers: &[(&str, i64)]) {
        let key = json!({"pk": {"S": format!("INCIDENT#{id}")}, "sk": {"S": format!("SEND#{name}")}});
        let (mut names, mut values, mut parts) = (json!({}), json!({}), Vec::new());
        for (place, (attribute, number)) in numbers.iter().enumerate() {
            names[format!("#{place}")] = json!(attribute);
            values[format!(":{place}")] = json!({"N": number.to_string()});
            parts.push(format!("#{place} = :{place}"));
        }
        let update = json!({"Key": key, "UpdateExpression": format!("SET {}", parts.join(", ")),
            "ExpressionAttributeNames": names, "ExpressionAttributeValues": values});
        self.table("UpdateItem", update).await;
    }

    /// Makes an incident page since some minutes ago, for its escalation.
    pub(crate) async fn page_began(&self, incident: &Incident, minutes_ago: i64) {
        let mut body = incident.body.clone();
        body["paged_at"] = json!(now() - SignedDuration::from_mins(minutes_ago));
        let key = json!({"pk": {"S": format!("INCIDENT#{}", incident.id)}, "sk": {"S": "STATE"}});
        let update = json!({"Key": key, "UpdateExpression": "SET body = :body",
            "ExpressionAttributeValues": {":body": {"S": body.to_string()}}});
        self.table("UpdateItem", update).await;
    }

    // Ways in.

    /// Publishes to the paging topic; returns the message's id.
    pub(crate) async fn publish(&self, message: &str, subject: Option<&str>) -> String {
        let mut publish = vec![("Version", "2010-03-31"), ("TopicArn", TOPIC), ("Message", message)];
        publish.extend(subject.map(|subject| ("Subject", subject)));
        let answer = self.page.query("sns", "Publish", &publish).await;
        let id = answer.split("<MessageId>").nth(1).and_then(|rest| rest.split('<').next());
        id.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Puts messages into the queue, ten at a time.
    pub(crate) async fn enqueue(&self, bodies: &[String]) {
        for part in bodies.chunks(10) {
            let entry =
                |(place, body): (usize, &String)| json!({"Id": place.to_string(), "MessageBody": body});
            let entries: Vec<_> = part.iter().enumerate().map(entry).collect();
            let batch = json!({"QueueUrl": self.page.queue_url(QUEUE), "Entries": entries});
            let answer = self.page.json_call("sqs", "AmazonSQS.SendMessageBatch", batch).await;
            assert_eq!(answer["Successful"].as_array().map(Vec::len), Some(part.len()), "{answer}");
        }
    }

    /// Invokes the intake.
    pub(crate) async fn intake(&self, event: &Value) -> Result<Value, Value> {
        self.page.invoke(event.clone()).await
    }

    /// Asks the desk, as a person who may invoke it.
    pub(crate) async fn asks(&self, event: &Value) -> Result<Value, Value> {
        self.desk.invoke(event.clone()).await
    }

    // The sender.

    /// Invokes the sender as the schedule does.
    pub(crate) async fn sweep(&self) -> Result<Value, Value> {
        self.send.invoke(sample("incident-send/sweep")).await
    }

    /// Invokes the sender as the table's stream does, for rows by incident and `channel#purpose`.
    pub(crate) async fn stream(&self, rows: &[(&str, &str)]) -> Result<Value, Value> {
        let mut event = sample("incident-send/stream");
        let record = event["Records"][0].take();
        let of_row = |(id, name): &(&str, &str)| {
            let mut record = record.clone();
            let key = json!({"pk": {"S": format!("INCIDENT#{id}")}, "sk": {"S": format!("SEND#{name}")}});
            record["dynamodb"]["Keys"] = key;
            record
        };
        event["Records"] = rows.iter().map(of_row).collect();
        self.send.invoke(event).await
    }

    // Time.

    /// Makes the row of each incident due whose time would come first, unless a sender is at work on that incident; false if
    /// no row waits.
    pub(crate) async fn pass_time(&self) -> bool {
        let (mut waits, past) = (false, now().as_millisecond() - 1);
        for incident in self.incidents().await {
            let waiting = incident.rows.iter().filter(|(_, row)| row["due"].is_i64());
            let Some((name, row)) = waiting.min_by_key(|(_, row)| row["due"].as_i64()) else { continue };
            waits = true;
            // Otherwise the next channel would begin while this one is asked.
            let is_taken = incident.rows.values().any(|row| !row["lease_owner"].is_null());
            if !is_taken && row["due"].as_i64() > Some(past) {
                self.set_row(&incident.id, name, &[("due", past)]).await;
            }
        }
        waits
    }

    /// Ends all leases, as after a minute. Their senders must be dead.
    pub(crate) async fn expire_leases(&self) {
        for incident in self.incidents().await {
            for (name, _) in incident.rows.iter().filter(|(_, row)| !row["lease_owner"].is_null()) {
                let past = now().as_millisecond() - 1;
                self.set_row(&incident.id, name, &[("due", past), ("lease_until", past)]).await;
            }
        }
    }

    /// Lets time pass, and sweeps, until no row waits.
    pub(crate) async fn finish(&self) {
        for _ in 0..40 {
            if !self.pass_time().await {
                return;
            }
            self.sweep().await.unwrap_or_else(|error| panic!("{error}"));
        }
        panic!("rows are left: {:?}", self.incidents().await);
    }

    /// Waits until the queue is empty, nobody has a row, and no row is due now.
    pub(crate) async fn quiet(&self) {
        eventually("a quiet pager", async || {
            if self.waiting(QUEUE).await > 0 {
                return None;
            }
            let at = now().as_millisecond();
            let incidents = self.incidents().await;
            let mut rows = incidents.iter().flat_map(|incident| incident.rows.values());
            let is_busy = |row: &Value| {
                !row["lease_owner"].is_null() || row["due"].as_i64().is_some_and(|due| due <= at)
            };
            (!rows.any(is_busy)).then_some(())
        })
        .await;
    }

    /// Number of messages in a queue, those included that somebody reads.
    pub(crate) async fn waiting(&self, queue: &str) -> u64 {
        let ask = json!({"QueueUrl": self.page.queue_url(queue), "AttributeNames": ["All"]});
        let answer = self.page.json_call("sqs", "AmazonSQS.GetQueueAttributes", ask).await;
        let count = |name: &str| answer["Attributes"][name].as_str().unwrap().parse::<u64>().unwrap();
        count("ApproximateNumberOfMessages")
            + count("ApproximateNumberOfMessagesNotVisible")
            + count("ApproximateNumberOfMessagesDelayed")
    }

    /// Number of messages in both functions' dead-letter queues.
    pub(crate) async fn dead_letters(&self) -> u64 {
        self.waiting(DEAD_LETTERS[0]).await + self.waiting(DEAD_LETTERS[1]).await
    }

    async fn purge(&self, queue: &str) {
        self.page.purge(queue).await;
    }

    // Channels.

    /// What a channel accepted since the test began: [`SLACK`], [`PAGERDUTY`], [`SES`].
    pub(crate) async fn log(&self, route: &'static str) -> Vec<Value> {
        let before = self.before.get(route).copied().unwrap_or_else(|| panic!("{route}"));
        self.whole_log(route).await.split_off(before)
    }

    async fn whole_log(&self, route: &str) -> Vec<Value> {
        let answer = self.page.admin(Method::GET, route, None).await;
        let list = answer.as_object().and_then(|answer| answer.values().find_map(Value::as_array));
        list.unwrap_or_else(|| panic!("{route}: {answer}")).clone()
    }

    /// Slack's messages as they are now.
    pub(crate) async fn messages(&self) -> Vec<Value> {
        self.whole_log("slack/messages").await
    }

    /// The bot's messages about something that are no replies.
    pub(crate) async fn posts(&self, about: &str) -> Vec<Value> {
        let own = |message: &Value| is_post(message) && message.to_string().contains(about);
        self.messages().await.into_iter().filter(own).collect()
    }

    /// The replies in the threads of the bot's messages about something.
    pub(crate) async fn replies(&self, about: &str) -> Vec<Value> {
        let all = self.messages().await;
        let own = |message: &&Value| is_post(message) && message.to_string().contains(about);
        all.iter().filter(own).flat_map(|post| thread(post, &all)).cloned().collect()
    }

    /// The messages of Slack's webhook.
    pub(crate) async fn webhooks(&self, about: &str) -> Vec<Value> {
        let own = |message: &Value| message["webhook"] == true && message.to_string().contains(about);
        self.messages().await.into_iter().filter(own).collect()
    }

    /// What the channel `sns` published.
    pub(crate) async fn mails(&self, about: &str) -> Vec<Value> {
        let all = self.page.queued(MAILS).await.into_iter();
        all.filter(|mail| mail.to_string().contains(about)).collect()
    }

    async fn listen_to_mails(&self) {
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{MAILS}");
        let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}});
        let made = json!({"QueueName": MAILS, "Attributes": {"Policy": policy.to_string()}});
        self.page.json_call("sqs", "AmazonSQS.CreateQueue", made).await;
        let subscription =
            [("Version", "2010-03-31"), ("TopicArn", MAIL_TOPIC), ("Protocol", "sqs"), ("Endpoint", &arn)];
        self.page.query("sns", "Subscribe", &subscription).await;
    }
}

/// Whether a message of Slack is the bot's, and no reply.
pub(crate) fn is_post(message: &Value) -> bool {
    message["thread_ts"].is_null() && message["webhook"] != true
}

/// Whether a message of any channel says that it may be a repetition.
pub(crate) fn may_repeat(message: &Value) -> bool {
    message.to_string().contains("pode estar repetido")
}

/// The replies to a message.
pub(crate) fn thread<'a>(post: &'a Value, all: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    all.iter().filter(|message| message["thread_ts"] == post["ts"])
}

/// Turns a function's event source mapping on or off.
async fn mapping(cloud: &Cloud, is_on: bool) {
    let found =
        cloud.lambda.list_event_source_mappings().function_name(cloud.function()).send().await.unwrap();
    let [one] = found.event_source_mappings() else { panic!("{found:?}") };
    if one.state() != Some(if is_on { "Enabled" } else { "Disabled" }) {
        let update = cloud.lambda.update_event_source_mapping().uuid(one.uuid().unwrap());
        update.enabled(is_on).send().await.unwrap();
    }
}

/// An item with plain values; `body` is parsed.
fn plain(item: &Value) -> Value {
    let value = |(name, value): (&String, &Value)| {
        let plain = match (value["S"].as_str(), value["N"].as_str()) {
            (Some(text), _) if name == "body" => serde_json::from_str(text).unwrap(),
            (Some(text), _) => json!(text),
            (_, Some(number)) => json!(number.parse::<i64>().unwrap()),
            _ => panic!("{name}: {value}"),
        };
        (name.clone(), plain)
    };
    Value::Object(item.as_object().unwrap().iter().map(value).collect())
}

/// An event in `events/`.
pub(crate) fn sample(name: &str) -> Value {
    let path = format!("{}/../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
        .unwrap()
}

/// The message that an alarm of this stack publishes when its state changes.
pub(crate) fn alarm(name: &str, state: &str, previous: &str, at: Timestamp) -> Value {
    json!({
        "AlarmName": name,
        "AlarmDescription": "Share of 5xx. severity=critical",
        "AWSAccountId": "000000000000",
        "NewStateValue": state,
        "NewStateReason": "Threshold Crossed: 1 datapoint [7.0] was greater than the threshold (5.0).",
        "StateChangeTime": at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string(),
        "Region": "US East (N. Virginia)",
        "AlarmArn": format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}"),
        "OldStateValue": previous,
        "Trigger": {"MetricName": "HTTPCode_Target_5XX_Count", "Namespace": "AWS/ApplicationELB",
            "StatisticType": "Statistic", "Statistic": "SUM", "Unit": null, "Dimensions": [], "Period": 60,
            "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 5.0},
    })
}

/// A notification of the paging topic, as the queue has it.
pub(crate) fn notification(id: &str, message: &str, subject: Option<&str>) -> Value {
    let mut made = json!({"Type": "Notification", "MessageId": id, "TopicArn": TOPIC, "Message": message,
        "Timestamp": now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), "SignatureVersion": "1"});
    if let Some(subject) = subject {
        made["Subject"] = json!(subject);
    }
    made
}

/// Messages of the queue, as Lambda delivers them; the ids are the places.
pub(crate) fn delivery(bodies: &[String]) -> Value {
    let record = |(place, body): (usize, &String)| json!({"messageId": format!("m{place}"), "eventSource": "aws:sqs", "body": body});
    json!({"Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>()})
}
