//! A DynamoDB in memory with the calls that the functions of incidents make, and Secrets Manager's one. Strict: what it
//! does not know is a panic.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "for tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_smithy_types::body::SdkBody;
use serde_json::{Map, Value, json};

/// Items by partition and sort key, in DynamoDB's JSON.
pub type Items = BTreeMap<(String, String), Map<String, Value>>;

/// What happens to a call instead of its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It has no effect, and no answer.
    Before,
    /// It has effect, and no answer.
    After,
    /// It is refused for good.
    Refused,
    /// Another transaction of the same items is under way.
    Conflict,
    /// The process dies before it has effect.
    DiesBefore,
    /// It has effect, and the process dies.
    DiesAfter,
}

/// Answers a call of a service other than DynamoDB and Secrets Manager with a status and a body, by its request.
pub type Other = Box<dyn FnMut(&http::Request<SdkBody>) -> (u16, String) + Send>;

/// The fault of a call, by its number from 0, its name and its body.
pub type Faults = Box<dyn Fn(usize, &str, &Value) -> Option<Fault> + Send>;

/// What another invocation does.
pub type Meanwhile = Box<dyn FnOnce(&mut Items) + Send>;

/// The state that the fake and a test share.
#[derive(Default)]
pub struct State {
    /// What the table has.
    pub items: Items,
    /// Names of the calls, in order. The SDK's own retries count.
    pub calls: Vec<String>,
    /// The value of any secret that `secrets` does not have; none for one that cannot be read.
    pub secret: Option<String>,
    /// Values of secrets, by name.
    pub secrets: BTreeMap<String, String>,
    /// Answers for other services.
    pub other: Option<Other>,
    /// What goes wrong.
    pub fault: Option<Faults>,
    /// Runs once, just before the next transaction is checked: another invocation was faster.
    pub meanwhile: Option<Meanwhile>,
    tokens: BTreeMap<String, String>,
}

/// The fake; clones share one state.
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

impl Fake {
    /// Looks at the state, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// What the table has now.
    pub fn items(&self) -> Items {
        self.with(|state| state.items.clone())
    }

    /// Sort keys of the items whose partition key begins with a text.
    pub fn keys(&self, begin: &str) -> Vec<String> {
        let items = self.items();
        items.keys().filter(|(pk, _)| pk.starts_with(begin)).map(|(_, sk)| sk.clone()).collect()
    }

    /// The incidents, as they are stored.
    pub fn incidents(&self) -> Vec<Value> {
        let items = self.items();
        let states = items.iter().filter(|((_, sk), _)| sk == "STATE");
        states.map(|(_, item)| serde_json::from_str(item["body"]["S"].as_str().unwrap()).unwrap()).collect()
    }

    /// Client configuration that reaches this fake.
    pub fn config(&self) -> SdkConfig {
        let fake = self.clone();
        super::answered(move |request| {
            let (status, body, dies) = fake.with(|state| state.received(request));
            // Not while others wait for the state.
            assert!(!dies, "the process dies");
            super::bucket::response(request, status, body)
        })
    }
}

fn error(name: &str) -> (u16, Value) {
    (400, json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": "told"}))
}

fn cancelled(codes: &[&str]) -> (u16, Value) {
    let reasons: Vec<Value> = codes.iter().map(|code| json!({"Code": code})).collect();
    let name = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    (400, json!({"__type": name, "message": "told", "CancellationReasons": reasons}))
}

fn key(of: &Value) -> (String, String) {
    let text = |name: &str| of[name]["S"].as_str().unwrap().to_owned();
    (text("pk"), text("sk"))
}

impl State {
    /// Status and body of the answer, and whether the process dies instead of receiving it.
    fn received(&mut self, request: &http::Request<SdkBody>) -> (u16, String, bool) {
        let bytes = request.body().bytes().unwrap();
        let target = request.headers().get("x-amz-target").map(|target| target.to_str().unwrap());
        let call = match target {
            Some(target) => target.split('.').nth(1).unwrap().to_owned(),
            None => other_call(request.uri().path(), bytes),
        };
        let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let number = self.calls.len();
        self.calls.push(call.clone());
        let fault = self.fault.as_ref().and_then(|fault| fault(number, &call, &body));
        let unanswered = || (500, json!({"__type": "InternalServerError"}).to_string());
        let json = |(status, body): (u16, Value)| (status, body.to_string());
        let is_own = target
            .is_some_and(|target| ["DynamoDB_", "secretsmanager."].iter().any(|own| target.starts_with(own)));
        let serve = |state: &mut Self| match is_own {
            true => json(state.serve(&call, &body)),
            false => state.other.as_mut().unwrap_or_else(|| panic!("{call}"))(request),
        };
        let (status, body) = match fault {
            Some(Fault::Before | Fault::DiesBefore) => unanswered(),
            Some(Fault::Refused) => json(error("ValidationException")),
            Some(Fault::Conflict) => json(cancelled(&["None", "TransactionConflict"])),
            Some(Fault::After | Fault::DiesAfter) => {
                serve(self);
                unanswered()
            }
            None => serve(self),
        };
        (status, body, matches!(fault, Some(Fault::DiesBefore | Fault::DiesAfter)))
    }

    fn serve(&mut self, call: &str, body: &Value) -> (u16, Value) {
        match call {
            "BatchGetItem" => self.read(body),
            "TransactWriteItems" => self.transact(body),
            "PutItem" | "UpdateItem" => self.write(call, body),
            "Query" => self.query(body),
            "GetSecretValue" => {
                let own = body["SecretId"].as_str().and_then(|name| self.secrets.get(name));
                match own.or(self.secret.as_ref()) {
                    Some(secret) => (200, json!({"SecretString": secret})),
                    None => error("ResourceNotFoundException"),
                }
            }
            other => panic!("{other}: {body}"),
        }
    }

    fn write(&mut self, call: &str, body: &Value) -> (u16, Value) {
        let key = key(if call == "PutItem" { &body["Item"] } else { &body["Key"] });
        let stored = self.items.get(&key).cloned();
        if !holds(body, stored.as_ref()) {
            return error("ConditionalCheckFailedException");
        }
        let item = match call {
            "PutItem" => body["Item"].as_object().unwrap().clone(),
            _ => updated(body, stored),
        };
        self.items.insert(key, item);
        (200, json!({}))
    }

    /// Items of an index with their keys only, or of a partition.
    fn query(&self, body: &Value) -> (u16, Value) {
        let condition = body["KeyConditionExpression"].as_str().unwrap();
        let index = body["IndexName"].as_str();
        let sort = match index {
            Some("due") => "due",
            Some("open") => "opened_at",
            Some(other) => panic!("no index {other}"),
            None => "sk",
        };
        assert_eq!(body["ConsistentRead"] == json!(true), index.is_none(), "an index is never consistent");
        let matches = |item: &Map<String, Value>| {
            item.contains_key(sort)
                && condition.split(" AND ").all(|check| condition_holds(body, check, item))
        };
        let order = |item: &Map<String, Value>| {
            let number = item[sort]["N"].as_str().map_or(0, |number| number.parse::<i64>().unwrap());
            (number, key(&json!(item)))
        };
        let mut found: Vec<_> = self.items.values().filter(|item| matches(item)).cloned().collect();
        found.sort_by_key(order);
        if body["ScanIndexForward"] == json!(false) {
            found.reverse();
        }
        let start = body["ExclusiveStartKey"].as_object().map(|_| key(&body["ExclusiveStartKey"]));
        if let Some(start) = start {
            let place = found.iter().position(|item| key(&json!(item)) == start);
            found.drain(..=place.unwrap());
        }
        let limit = body["Limit"].as_u64().map_or(found.len(), |limit| usize::try_from(limit).unwrap());
        let is_more = found.len() > limit;
        found.truncate(limit);
        if index.is_some() {
            found.iter_mut().for_each(|item| {
                item.retain(|name, _| ["pk", "sk", "queue", "open", sort].contains(&name.as_str()))
            });
        }
        let mut answer = json!({"Items": found, "Count": found.len()});
        if is_more {
            let last = found.last().unwrap();
            answer["LastEvaluatedKey"] = json!({"pk": last["pk"], "sk": last["sk"]});
        }
        (200, answer)
    }

    fn read(&self, body: &Value) -> (u16, Value) {
        let tables = body["RequestItems"].as_object().unwrap();
        let (table, asked) = tables.iter().next().unwrap();
        assert_eq!((tables.len(), &asked["ConsistentRead"]), (1, &json!(true)));
        let keys: Vec<_> = asked["Keys"].as_array().unwrap().iter().map(key).collect();
        let found: Vec<_> = keys.iter().filter_map(|key| self.items.get(key)).collect();
        (200, json!({"Responses": {table: found}, "UnprocessedKeys": {}}))
    }

    fn transact(&mut self, body: &Value) -> (u16, Value) {
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile(&mut self.items);
        }
        let token = body["ClientRequestToken"].as_str().unwrap().to_owned();
        let whole = body["TransactItems"].to_string();
        if let Some(before) = self.tokens.get(&token) {
            assert_eq!(*before, whole, "the token of another request");
            return (200, json!({}));
        }
        let mut next = self.items.clone();
        let mut codes = Vec::new();
        for part in body["TransactItems"].as_array().unwrap() {
            let (action, part) = part.as_object().unwrap().iter().next().unwrap();
            let key = key(if action == "Put" { &part["Item"] } else { &part["Key"] });
            let stored = self.items.get(&key).cloned();
            if !holds(part, stored.as_ref()) {
                codes.push("ConditionalCheckFailed");
                continue;
            }
            codes.push("None");
            let item = match action.as_str() {
                "Put" => part["Item"].as_object().unwrap().clone(),
                "Update" => updated(part, stored),
                other => panic!("{other}"),
            };
            next.insert(key, item);
        }
        if codes.contains(&"ConditionalCheckFailed") {
            return cancelled(&codes);
        }
        self.items = next;
        self.tokens.insert(token, whole);
        (200, json!({}))
    }
}

/// The name of a call of SNS or SES.
fn other_call(path: &str, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let action = text.split('&').find_map(|field| field.strip_prefix("Action="));
    action.unwrap_or(path).to_owned()
}

/// The value of a placeholder.
fn value<'a>(part: &'a Value, kind: &str, name: &str) -> &'a Value {
    let value = &part[kind][name];
    assert!(!value.is_null(), "{name} in {part}");
    value
}

fn holds(part: &Value, stored: Option<&Map<String, Value>>) -> bool {
    let Some(condition) = part["ConditionExpression"].as_str() else { return true };
    let nothing = Map::new();
    condition.split(" AND ").all(|check| condition_holds(part, check, stored.unwrap_or(&nothing)))
}

/// Whether one condition holds for an item.
fn condition_holds(part: &Value, check: &str, item: &Map<String, Value>) -> bool {
    if let Some(either) = check.strip_prefix('(') {
        return either.trim_end_matches(')').split(" OR ").any(|check| condition_holds(part, check, item));
    }
    let name = |name: &str| {
        let name = name.trim_end_matches(')');
        value(part, "ExpressionAttributeNames", name).as_str().unwrap().to_owned()
    };
    if let Some(absent) = check.strip_prefix("attribute_not_exists(") {
        return !item.contains_key(&name(absent));
    }
    if let Some(present) = check.strip_prefix("attribute_exists(") {
        return item.contains_key(&name(present));
    }
    if let Some(prefixed) = check.strip_prefix("begins_with(") {
        let (of, prefix) = prefixed.trim_end_matches(')').split_once(", ").unwrap();
        let prefix = value(part, "ExpressionAttributeValues", prefix)["S"].as_str().unwrap();
        return item.get(&name(of)).is_some_and(|value| value["S"].as_str().unwrap().starts_with(prefix));
    }
    if let Some((left, right)) = check.split_once(" <= ") {
        let number = |value: &Value| value["N"].as_str().unwrap().parse::<i64>().unwrap();
        let most = number(value(part, "ExpressionAttributeValues", right));
        return item.get(&name(left)).is_some_and(|value| number(value) <= most);
    }
    let (left, right) = check.split_once(" = ").unwrap();
    item.get(&name(left)) == Some(value(part, "ExpressionAttributeValues", right))
}

fn updated(part: &Value, stored: Option<Map<String, Value>>) -> Map<String, Value> {
    let mut item = stored.unwrap_or_else(|| part["Key"].as_object().unwrap().clone());
    let update = part["UpdateExpression"].as_str().unwrap();
    let (sets, removed) = update.split_once(" REMOVE ").unwrap_or((update, ""));
    let sets = sets.strip_prefix("SET ").unwrap();
    let old = item.clone();
    // A comma within if_not_exists has its name before it, and no equals sign after.
    for set in sets.replace(", :", ",:").split(", ") {
        let (name, to) = set.split_once(" = ").unwrap();
        let name = value(part, "ExpressionAttributeNames", name).as_str().unwrap();
        let (if_absent, to) = match to.strip_prefix("if_not_exists(") {
            Some(inner) => (true, inner.trim_end_matches(')').split_once(',').unwrap().1),
            None => (false, to),
        };
        if !(if_absent && old.contains_key(name)) {
            item.insert(name.to_owned(), value(part, "ExpressionAttributeValues", to).clone());
        }
    }
    for name in removed.split(", ").filter(|name| !name.is_empty()) {
        item.remove(value(part, "ExpressionAttributeNames", name).as_str().unwrap());
    }
    item
}
