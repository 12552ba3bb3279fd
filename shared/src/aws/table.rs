//! The table of incidents. What its items mean, and what is written when: `incident::store`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem, Update};
use incident::store::{
    Attribute, Attributes, Channel, Context, Event, Expressions, Key, Latest, Outcome, Plan, Stored, Write,
    decide, incident, mute_of,
};
use incident::{Incident, Signal};
use jiff::Timestamp;

use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::CallError;
use crate::runtime::settings::Settings;

/// Most attempts to decide and write. A storm of events of one problem changes the same items again and again.
const ATTEMPTS: u32 = 10;

/// Most requests for keys that DynamoDB leaves unprocessed, as it may when it is busy.
const MOST_READS: usize = 5;

/// Why a write had no effect, or why it is not known to have had one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// A condition does not hold, or another write of the same items got in between: read again.
    #[error("the items changed meanwhile")]
    Changed,
    /// The call failed. Without an answer, it may have had effect.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Other writers changed the same items at every attempt, of which there were this many. Nothing is written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the items changed at each of {0} attempts")]
pub struct Busy(pub u32);

impl Settings {
    /// The stack's settings for a decision about an incident.
    pub fn context<'a>(&'a self, channels: &'a [Channel], now: Timestamp, attempt: u32) -> Context<'a> {
        let Self { policy, project, environment, .. } = self;
        Context { policy, project, environment, channels, now, attempt }
    }
}

/// The table.
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// The table `INCIDENT_TABLE`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] if the variable is missing.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        Ok(Self { client: Client::new(aws), name: env.required("INCIDENT_TABLE")? })
    }

    /// The client, for calls that only one function makes.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The items of at most 100 different keys, as they are now; those that do not exist are absent.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of BatchGetItem.
    pub async fn read(&self, keys: &[Key]) -> Result<BTreeMap<Key, Attributes>, CallError> {
        let mut found = BTreeMap::new();
        let mut asked: Vec<_> = keys.iter().map(|key| stored(&key.attributes())).collect();
        for _ in 0..MOST_READS {
            if asked.is_empty() {
                return Ok(found);
            }
            let wanted = KeysAndAttributes::builder().set_keys(Some(asked)).consistent_read(true).build();
            let wanted = wanted.map_err(CallError::before("dynamodb:BatchGetItem"))?;
            let answer = self.client.batch_get_item().request_items(&self.name, wanted).send().await;
            let mut answer = answer.map_err(CallError::during("dynamodb:BatchGetItem"))?;
            let items = answer.responses.as_mut().and_then(|tables| tables.remove(&self.name));
            let items = items.ok_or_else(|| CallError::empty("dynamodb:BatchGetItem"))?;
            for item in items.iter().map(read) {
                found.extend(Key::of(&item).map(|key| (key, item)));
            }
            let left = answer.unprocessed_keys.as_mut().and_then(|tables| tables.remove(&self.name));
            asked = left.map(|left| left.keys).unwrap_or_default();
        }
        if asked.is_empty() { Ok(found) } else { Err(CallError::empty("dynamodb:BatchGetItem")) }
    }

    /// What the table has about a signal.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of BatchGetItem.
    pub async fn facts(&self, signal: &Signal) -> Result<Stored, CallError> {
        let keys = Stored::keys(signal);
        let items = self.read(&keys).await?;
        let [event, latest, own, all] = keys;
        let latest = items.get(&latest).map(Latest::read);
        let mutes = [own, all].into_iter().filter_map(|key| mute_of(items.get(&key)?));
        let named = latest.as_ref().map(|latest| latest.incident.as_str()).filter(|id| !id.is_empty());
        let event = items.get(&event).map(Event::read);
        let incident = match named {
            // A repetition needs no incident.
            Some(id) if event.is_none() => self.incident(id).await?,
            _ => None,
        };
        let whole = match &incident {
            Some(part) if part.is_merged() => self.incident(&part.merged_into).await?,
            _ => None,
        };
        Ok(Stored { event, incident, mute: mutes.max_by_key(|mute| mute.until), latest, whole })
    }

    /// The incident with an id.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of BatchGetItem.
    pub async fn incident(&self, id: &str) -> Result<Option<Incident>, CallError> {
        let key = Key::incident(id);
        Ok(self.read(std::slice::from_ref(&key)).await?.get(&key).and_then(incident))
    }

    /// Reads and decides, by `decide`, and writes; again from the beginning if an item changed in between. `decide` gets the
    /// number of attempts before.
    ///
    /// # Errors
    ///
    /// [`Busy`], the call's error, or those of `decide`. Without an answer of the table, the writes may have had effect.
    pub async fn settle<T: AsRef<Plan>, E: From<CallError> + From<Busy>>(
        &self,
        request_id: &str,
        decide: impl AsyncFn(u32) -> Result<T, E>,
    ) -> Result<T, E> {
        for attempt in 0..ATTEMPTS {
            let decided = decide(attempt).await?;
            let plan = decided.as_ref();
            if plan.writes.is_empty() {
                return Ok(decided);
            }
            match self.transact(&plan.writes).await {
                Ok(()) => return Ok(decided),
                // A later one is noted, or another is noted at this moment.
                Err(WriteError::Changed) if plan.outcome == Outcome::Heard => return Ok(decided),
                Err(WriteError::Changed) => tokio::time::sleep(pause(attempt, request_id)).await,
                Err(WriteError::Call(call)) => return Err(call.into()),
            }
        }
        Err(Busy(ATTEMPTS).into())
    }

    /// Stores what a signal changes; `context` has the settings of an attempt.
    ///
    /// # Errors
    ///
    /// As [`Table::settle`].
    pub async fn store<'a, E: From<CallError> + From<Busy>>(
        &self,
        signal: &Signal,
        request_id: &str,
        context: impl Fn(u32) -> Context<'a>,
    ) -> Result<Plan, E> {
        self.settle(request_id, async |attempt| {
            let facts = self.facts(signal).await?;
            Ok(decide(signal, &facts, &context(attempt)))
        })
        .await
    }

    /// Writes all or nothing: at most 100 writes, to different items.
    ///
    /// The SDK repeats a request that had no answer with the same token, and DynamoDB then does nothing twice.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub async fn transact(&self, writes: &[Write]) -> Result<(), WriteError> {
        let items: Result<Vec<_>, _> = writes.iter().map(|write| self.part(write)).collect();
        let sent = self.client.transact_write_items().set_transact_items(Some(items?)).send().await;
        let Err(error) = sent else { return Ok(()) };
        let is_in_between = error.as_service_error().is_some_and(|error| match error {
            TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                let reasons = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
                reasons.into_iter().any(|code| {
                    ["ConditionalCheckFailed", "ThrottlingError", "TransactionConflict"].contains(&code)
                })
            }
            error => error.is_transaction_in_progress_exception(),
        });
        if is_in_between {
            return Err(WriteError::Changed);
        }
        Err(CallError::during("dynamodb:TransactWriteItems")(error).into())
    }

    /// Writes one item.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub async fn write(&self, write: &Write) -> Result<(), WriteError> {
        let Expressions { condition, update, names, values } = write.expressions();
        let condition = some(condition);
        let (names, values) = (placeholders(names), some_values(&values));
        let failed = match write {
            Write::Put { item, .. } => {
                let put = self.client.put_item().table_name(&self.name).set_item(Some(stored(item)));
                let put = put.set_condition_expression(condition).set_expression_attribute_names(names);
                let put = put.set_expression_attribute_values(values).send().await;
                put.map_err(CallError::during("dynamodb:PutItem")).err()
            }
            Write::Update { key, .. } => {
                let change = self.client.update_item().table_name(&self.name);
                let change =
                    change.set_key(Some(stored(&key.attributes()))).set_update_expression(some(update));
                let change = change.set_condition_expression(condition).set_expression_attribute_names(names);
                let change = change.set_expression_attribute_values(values).send().await;
                change.map_err(CallError::during("dynamodb:UpdateItem")).err()
            }
        };
        match failed {
            None => Ok(()),
            Some(call)
                if ["ConditionalCheckFailedException", "TransactionConflictException"]
                    .contains(&call.code.as_str()) =>
            {
                Err(WriteError::Changed)
            }
            Some(call) => Err(call.into()),
        }
    }

    /// A write as a part of a transaction.
    fn part(&self, write: &Write) -> Result<TransactWriteItem, CallError> {
        let before = CallError::before("dynamodb:TransactWriteItems");
        let Expressions { condition, update, names, values } = write.expressions();
        let condition = some(condition);
        let (names, values) = (placeholders(names), some_values(&values));
        let part = TransactWriteItem::builder();
        Ok(match write {
            Write::Put { item, .. } => {
                let put = Put::builder().table_name(&self.name).set_item(Some(stored(item)));
                let put = put.set_condition_expression(condition).set_expression_attribute_names(names);
                part.put(put.set_expression_attribute_values(values).build().map_err(before)?).build()
            }
            Write::Update { key, .. } => {
                let change = Update::builder().table_name(&self.name).update_expression(update);
                let change =
                    change.set_key(Some(stored(&key.attributes()))).set_condition_expression(condition);
                let change = change.set_expression_attribute_names(names);
                part.update(change.set_expression_attribute_values(values).build().map_err(before)?).build()
            }
        })
    }
}

/// How long to wait before the next attempt: less than a second, and not the same for two invocations.
fn pause(attempt: u32, request_id: &str) -> Duration {
    let own = request_id
        .bytes()
        .fold(u64::from(attempt), |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let most = 20 << attempt.min(5);
    Duration::from_millis(most / 2 + own % most)
}

/// DynamoDB refuses an empty expression, and empty lists of names and values.
fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn placeholders(names: BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    Some(names.into_iter().collect()).filter(|names: &HashMap<_, _>| !names.is_empty())
}

fn some_values(values: &Attributes) -> Option<HashMap<String, AttributeValue>> {
    Some(stored(values)).filter(|values| !values.is_empty())
}

/// Attributes in DynamoDB's form.
fn stored(item: &Attributes) -> HashMap<String, AttributeValue> {
    let value = |attribute: &Attribute| match attribute {
        Attribute::Text(text) => AttributeValue::S(text.clone()),
        Attribute::Number(number) => AttributeValue::N(number.to_string()),
    };
    item.iter().map(|(name, attribute)| (name.clone(), value(attribute))).collect()
}

/// Attributes from DynamoDB's form, without those of other types.
pub fn read(item: &HashMap<String, AttributeValue>) -> Attributes {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => Some(Attribute::Text(text.clone())),
        AttributeValue::N(number) => number.parse().ok().map(Attribute::Number),
        _ => None,
    };
    item.iter().filter_map(|(name, attribute)| Some((name.clone(), value(attribute)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_stay_far_below_the_invocations_time() {
        let total: Duration = (0..ATTEMPTS).map(|attempt| pause(attempt, "8f5ee0d3-3f22")).sum();
        assert!(total < Duration::from_secs(8), "{total:?}");
        assert!(pause(0, "a") >= Duration::from_millis(10) && pause(0, "a") < Duration::from_millis(30));
        assert_ne!(pause(3, "a"), pause(3, "b"));
    }
}
