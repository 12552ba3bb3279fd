//! A DynamoDB in memory with the calls that the function makes, and Secrets Manager's one. Strict: what it does not know
//! is a panic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_smithy_types::body::SdkBody;
use serde_json::{Map, Value, json};

/// Items by partition and sort key, in DynamoDB's JSON.
pub(crate) type Items = BTreeMap<(String, String), Map<String, Value>>;

/// What happens to a call instead of its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// It has no effect, and no answer.
    Before,
    /// It has effect, and no answer.
    After,
    /// It is refused for good.
    Refused,
    /// Another transaction of the same items is under way.
    Conflict,
}

/// The state that the fake and a test share.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) items: Items,
    /// Names of the calls, in order. The SDK's own retries count.
    pub(crate) calls: Vec<String>,
    /// The webhooks' secret; none for one that cannot be read.
    pub(crate) secret: Option<String>,
    /// The fault of a call, by its number from 0 and its name.
    pub(crate) fault: Option<Box<dyn Fn(usize, &str, &Value) -> Option<Fault> + Send>>,
    /// Runs once, just before the next transaction is checked: another invocation was faster.
    pub(crate) meanwhile: Option<Box<dyn FnOnce(&mut Items) + Send>>,
    tokens: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

impl Fake {
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    pub(crate) fn items(&self) -> Items {
        self.with(|state| state.items.clone())
    }

    /// Sort keys of the items whose partition key begins with a text.
    pub(crate) fn keys(&self, begin: &str) -> Vec<String> {
        let items = self.items();
        items.keys().filter(|(pk, _)| pk.starts_with(begin)).map(|(_, sk)| sk.clone()).collect()
    }

    /// The incidents, as they are stored.
    pub(crate) fn incidents(&self) -> Vec<Value> {
        let items = self.items();
        let states = items.iter().filter(|((_, sk), _)| sk == "STATE");
        states.map(|(_, item)| serde_json::from_str(item["body"]["S"].as_str().unwrap()).unwrap()).collect()
    }

    pub(crate) fn config(&self) -> SdkConfig {
        let fake = self.clone();
        shared::testing::answered(move |request| {
            let target = request.headers().get("x-amz-target").unwrap().to_str().unwrap();
            let call = target.split('.').nth(1).unwrap().to_owned();
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let (status, body) = fake.with(|state| state.answer(&call, &body));
            let answer = http::Response::builder().status(status);
            answer.body(SdkBody::from(body.to_string())).unwrap()
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
    fn answer(&mut self, call: &str, body: &Value) -> (u16, Value) {
        let number = self.calls.len();
        self.calls.push(call.to_owned());
        let fault = self.fault.as_ref().and_then(|fault| fault(number, call, body));
        let unanswered = (500, json!({"__type": "InternalServerError"}));
        match fault {
            Some(Fault::Before) => unanswered,
            Some(Fault::Refused) => error("ValidationException"),
            Some(Fault::Conflict) => cancelled(&["None", "TransactionConflict"]),
            Some(Fault::After) => {
                self.serve(call, body);
                unanswered
            }
            None => self.serve(call, body),
        }
    }

    fn serve(&mut self, call: &str, body: &Value) -> (u16, Value) {
        match call {
            "BatchGetItem" => self.read(body),
            "TransactWriteItems" => self.transact(body),
            "GetSecretValue" => match &self.secret {
                Some(secret) => (200, json!({"SecretString": secret})),
                None => error("ResourceNotFoundException"),
            },
            other => panic!("{other}: {body}"),
        }
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

/// The value of a placeholder.
fn value<'a>(part: &'a Value, kind: &str, name: &str) -> &'a Value {
    let value = &part[kind][name];
    assert!(!value.is_null(), "{name} in {part}");
    value
}

fn holds(part: &Value, stored: Option<&Map<String, Value>>) -> bool {
    let Some(condition) = part["ConditionExpression"].as_str() else { return true };
    condition.split(" AND ").all(|check| {
        let name = |name: &str| value(part, "ExpressionAttributeNames", name).as_str().unwrap().to_owned();
        if let Some(absent) = check.strip_prefix("attribute_not_exists(") {
            let name = name(absent.trim_end_matches(')'));
            return stored.is_none_or(|item| !item.contains_key(&name));
        }
        let (left, right) = check.split_once(" = ").unwrap();
        let expected = value(part, "ExpressionAttributeValues", right);
        stored.and_then(|item| item.get(&name(left))) == Some(expected)
    })
}

fn updated(part: &Value, stored: Option<Map<String, Value>>) -> Map<String, Value> {
    let mut item = stored.unwrap_or_else(|| part["Key"].as_object().unwrap().clone());
    let sets = part["UpdateExpression"].as_str().unwrap().strip_prefix("SET ").unwrap();
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
    item
}
