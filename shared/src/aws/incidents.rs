//! Lists of the table of incidents: the incidents, by its index, and an incident's timeline. Apart from `table`, because an
//! alert's way needs no permission to list.

use aws_sdk_dynamodb::types::AttributeValue;
use incident::Entry;
use incident::store::{Key, OPEN, OPEN_INDEX, entry, over};
use jiff::civil::Date;

use super::table::{Table, read};
use crate::runtime::failure::CallError;

impl Table {
    /// Keys of the open incidents, the oldest first. The index may lag.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of Query.
    pub async fn open(&self) -> Result<Vec<Key>, CallError> {
        self.listed(OPEN).await
    }

    /// Keys of the incidents that are over and began in the month of a date, by São Paulo's calendar; the oldest first. The
    /// index may lag.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of Query.
    pub async fn of_month(&self, date: Date) -> Result<Vec<Key>, CallError> {
        self.listed(&over(date)).await
    }

    /// Keys of the items that the index of incidents has at a place; the oldest first. The index may lag.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of Query.
    pub async fn listed(&self, place: &str) -> Result<Vec<Key>, CallError> {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let page = self.client().query().table_name(self.name()).index_name(OPEN_INDEX);
            let page = page.key_condition_expression("#pk = :pk").expression_attribute_names("#pk", "open");
            let page = page.expression_attribute_values(":pk", AttributeValue::S(place.to_owned()));
            let page = page.set_exclusive_start_key(next).send().await;
            let page = page.map_err(CallError::during("dynamodb:Query"))?;
            found.extend(page.items().iter().filter_map(|item| Key::of(&read(item))));
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// An incident's timeline as it is now, the oldest entry first.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of Query.
    pub async fn timeline(&self, incident: &str) -> Result<Vec<Entry>, CallError> {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let page = self.client().query().table_name(self.name()).consistent_read(true);
            let page = page.key_condition_expression("#pk = :pk AND begins_with(#sk, :sk)");
            let page = page.expression_attribute_names("#pk", "pk").expression_attribute_names("#sk", "sk");
            let pk = AttributeValue::S(Key::incident(incident).pk);
            let page = page.expression_attribute_values(":pk", pk);
            let page = page.expression_attribute_values(":sk", AttributeValue::S(Key::LINES.to_owned()));
            let page = page.set_exclusive_start_key(next).send().await;
            let page = page.map_err(CallError::during("dynamodb:Query"))?;
            found.extend(page.items().iter().filter_map(|item| entry(&read(item))));
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(found);
            }
        }
    }
}
