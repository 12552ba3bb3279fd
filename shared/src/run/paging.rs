//! Pages: what wakes somebody, published to the stack's paging topic once a day.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sns::types::MessageAttributeValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run::evidence::{Evidence, Step};
use crate::run::report::Reporter;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::{CallError, chain};
use crate::runtime::lambda::Invocation;

/// Longest subject that SNS takes is below 100 characters of ASCII.
const SUBJECT_LIMIT: usize = 99;

/// What is published to the paging topic.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Page {
    /// One line.
    pub subject: String,
    /// What happened to which secret, and the next command.
    pub text: String,
    /// What makes repetitions the same page: the same every day until it is mended.
    pub dedup_key: String,
    /// Name of the secret, or of what else it is about.
    pub secret: String,
}

/// A subject that SNS takes: of ASCII, and not too long.
pub fn subject(text: &str) -> String {
    text.chars().filter(char::is_ascii).take(SUBJECT_LIMIT).collect()
}

/// What came of the pages of a run.
#[derive(Debug, Default)]
pub struct Paged {
    /// Dedup keys of those that were published.
    pub keys: Vec<String>,
    /// How many could not be.
    pub failed: usize,
    /// One for each page.
    pub steps: Vec<Step>,
}

/// The paging topic.
pub struct Pager {
    client: aws_sdk_sns::Client,
    topic: String,
}

impl Pager {
    /// Reads `PAGING_TOPIC_ARN`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] when it is missing.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        Ok(Self { client: aws_sdk_sns::Client::new(aws), topic: env.required("PAGING_TOPIC_ARN")? })
    }

    /// Publishes a page unless it was on `day`, within the invocation's time but `reserve`; `false` when it was.
    ///
    /// # Errors
    ///
    /// Why not. The page stands whole in the log then, and the metric `PageFailures` counts it, which raises its alarm.
    pub async fn page(
        &self,
        reporter: &Reporter,
        day: &str,
        page: &Page,
        reserve: Duration,
        invocation: &Invocation,
    ) -> Result<bool, String> {
        let paged = invocation.before_deadline(reserve, self.page_once(&reporter.evidence, day, page)).await;
        let paged = paged.map_err(|late| chain(&late)).and_then(|paged| paged.map_err(|error| chain(&error)));
        if let Err(reason) = &paged {
            reporter.lost("PageFailures", "PageFailed", reason, &page.text);
        }
        paged
    }

    /// Publishes each page, as [`Pager::page`] does.
    pub async fn all(
        &self,
        reporter: &Reporter,
        day: &str,
        pages: impl IntoIterator<Item = Page>,
        reserve: Duration,
        invocation: &Invocation,
    ) -> Paged {
        let mut paged = Paged::default();
        for page in pages {
            let outcome = match self.page(reporter, day, &page, reserve, invocation).await {
                Ok(true) => {
                    paged.keys.push(page.dedup_key.clone());
                    "succeeded".to_owned()
                }
                Ok(false) => "was paged today already".to_owned(),
                Err(reason) => {
                    paged.failed += 1;
                    format!("failed: {reason}")
                }
            };
            paged.steps.push(Step::now(format!("page {}", page.dedup_key), outcome));
        }
        paged
    }

    /// Publishes a page unless it was on `day`, by the note of it in `evidence`; `false` when it was.
    ///
    /// The note is written afterwards: a run that dies between the two pages again, under the same dedup key.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of SNS; the page may still have been taken when there was no answer.
    async fn page_once(&self, evidence: &Evidence, day: &str, page: &Page) -> Result<bool, CallError> {
        let note = format!("{day}/{}", page.dedup_key);
        match evidence.get::<Value>(&note).await {
            Ok(Some(_)) => return Ok(false),
            Ok(None) => {}
            // Twice rather than never.
            Err(error) => {
                tracing::warn!(message = format!("not known whether it was paged: {}", chain(&error)));
            }
        }
        self.publish(page).await?;
        if let Err(error) = evidence.put_new(&note, &page.dedup_key).await {
            tracing::warn!(message = format!("that it was paged was not noted: {}", chain(&error)));
        }
        Ok(true)
    }

    /// Who reads mail reads the text, who is a program the attributes.
    async fn publish(&self, page: &Page) -> Result<(), CallError> {
        let attributes = [("dedup_key", &page.dedup_key), ("secret", &page.secret)];
        // SNS refuses an empty one, and with it the page.
        let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
        let attributes = attributes.filter_map(|(name, value)| {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            Some((name.to_owned(), value.ok()?))
        });
        let publish = self.client.publish().topic_arn(&self.topic).subject(&page.subject).message(&page.text);
        let publish = publish.set_message_attributes(Some(attributes.collect()));
        publish.send().await.map_err(CallError::during("sns:Publish"))?;
        Ok(())
    }
}
