//! Pages: messages to the person on call, published to the stack's paging topic once a day.
//!
//! Source: [Publish](https://docs.aws.amazon.com/sns/latest/api/API_Publish.html),
//! [message attributes](https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html).

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sns::types::MessageAttributeValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::policy::Responsible;

use crate::run::documents::Documents;
use crate::run::evidence::Step;
use crate::run::notify::cut;
use crate::run::report::Reporter;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::failure::{CallError, chain};
use crate::runtime::lambda::Invocation;
use crate::runtime::settings::Settings;

/// Longest subject that SNS accepts.
const SUBJECT_LIMIT: usize = 99;

/// Most bytes of a message with its attributes.
const MESSAGE_LIMIT: usize = 262_144;

/// A message to the person on call. Readers of mail get `subject` and `text`; programs get the rest as attributes, and
/// all of it as JSON in the attribute `page`.
///
/// Build one with [`Page::new`]. Fields with a default are absent from pages that older versions stored.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Page {
    /// One line: environment, kind and resource.
    pub subject: String,
    /// The whole text.
    pub text: String,
    /// Pages with the same key are the same problem, every day until it is resolved.
    pub dedup_key: String,
    /// Names of the resources, with commas between them, or the procedure's name.
    pub secret: String,
    /// Stable name of the finding or the failure.
    #[serde(default)]
    pub kind: String,
    /// Severity.
    #[serde(default)]
    pub severity: Severity,
    /// Environment of the stack.
    #[serde(default)]
    pub environment: String,
    /// The responsible teams, with commas between them.
    #[serde(default)]
    pub owner: String,
    /// Their backups.
    #[serde(default)]
    pub backup: String,
    /// Page and section of the documentation.
    #[serde(default)]
    pub runbook: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Data, access or a service may be lost now.
    Critical,
    /// It becomes critical if it is not resolved.
    #[default]
    Warning,
}

impl Severity {
    /// The word in the page's attributes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// The parts of a page.
pub struct Alert<'a> {
    /// Stable name of the finding or the failure.
    pub kind: &'a str,
    /// Severity.
    pub severity: Severity,
    /// Names of the resources, with commas between them.
    pub resource: &'a str,
    /// The problem and the next command.
    pub text: String,
    /// The responsible teams: one for each resource; [`Page::new`] drops repetitions.
    pub owners: Vec<&'a Responsible>,
    /// Page and section of the documentation, such as `docs/backups.md#regras`.
    pub runbook: &'a str,
    /// See [`Page::dedup_key`].
    pub dedup_key: String,
}

impl Page {
    /// A page; its text ends with owner, runbook and dedup key.
    pub fn new(settings: &Settings, alert: Alert<'_>) -> Self {
        let Alert { kind, severity, resource, text, mut owners, runbook, dedup_key } = alert;
        let mut known = Vec::new();
        owners.retain(|owner| {
            !known.contains(owner) && {
                known.push(owner);
                true
            }
        });
        let who = settings.language.pick("Responsável", "Owner");
        let lines = owners.iter().map(|owner| format!("{who}: {}, backup: {}.", owner.primary, owner.backup));
        let lines =
            std::iter::once(text).chain(lines).chain([format!("Runbook: {runbook}"), dedup_key.clone()]);
        let names = |name: fn(&Responsible) -> &str| {
            owners.iter().map(|owner| name(owner)).collect::<Vec<_>>().join(", ")
        };
        Self {
            subject: subject(&format!("[{}] {kind}: {resource}", settings.environment)),
            text: lines.collect::<Vec<_>>().join("\n"),
            secret: resource.to_owned(),
            kind: kind.to_owned(),
            severity,
            environment: settings.environment.clone(),
            owner: names(|owner| &owner.primary),
            backup: names(|owner| &owner.backup),
            runbook: runbook.to_owned(),
            dedup_key,
        }
    }

    fn fields(&self) -> [(&'static str, &str); 9] {
        [
            ("action", "trigger"),
            ("backup", &self.backup),
            ("dedup_key", &self.dedup_key),
            ("environment", &self.environment),
            ("kind", &self.kind),
            ("owner", &self.owner),
            ("runbook", &self.runbook),
            ("secret", &self.secret),
            ("severity", self.severity.word()),
        ]
    }

    /// The page as JSON: its fields, of which `secret` is called `resource`, with `version`, `subject` and `text`. The
    /// version changes when a field changes its meaning or goes.
    fn body(&self, text: &str) -> String {
        let name = |name: &'static str| if name == "secret" { "resource" } else { name };
        let mut body: Map<_, _> =
            self.fields().into_iter().map(|(field, value)| (name(field).to_owned(), value.into())).collect();
        body.insert("version".to_owned(), 1.into());
        body.insert("subject".to_owned(), self.subject.as_str().into());
        body.insert("text".to_owned(), text.into());
        Value::Object(body).to_string()
    }

    /// The attributes: the fields, and `page` with this text. SQS delivers raw messages with at most ten; SNS refuses a
    /// message with an empty one.
    fn attributes(&self, text: &str) -> Vec<(&'static str, String)> {
        let fields = self.fields().map(|(name, value)| (name, value.to_owned()));
        let all = fields.into_iter().chain([("page", self.body(text))]);
        all.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Bytes of the message that count against SNS's limit.
    fn size(&self, text: &str) -> usize {
        let attributes = self.attributes(text);
        let attributes = attributes.iter().map(|(name, value)| name.len() + value.len() + "String".len());
        self.text.len() + attributes.sum::<usize>()
    }

    /// The page, and the text of its JSON, as SNS accepts them. The JSON's text and the list of resources are cut before
    /// the text of the mail, whose end has owner, runbook and key.
    fn fitted(&self) -> (Self, String) {
        let (mut page, mut text) = (self.clone(), self.text.clone());
        while page.size(&text) > MESSAGE_LIMIT {
            let part = if text.len() >= page.secret.len() { &mut text } else { &mut page.secret };
            let part = if part.len() > SUBJECT_LIMIT { part } else { &mut page.text };
            if part.len() <= SUBJECT_LIMIT {
                // SNS refuses the page, and the log then has it.
                break;
            }
            *part = cut(part, part.chars().count() * 3 / 4);
        }
        (page, text)
    }
}

/// Limits a subject to what SNS accepts: ASCII, fewer than 100 characters.
pub(crate) fn subject(text: &str) -> String {
    text.chars().filter(char::is_ascii).take(SUBJECT_LIMIT).collect()
}

/// The outcome of a run's pages.
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
    /// [`EnvError`] if it is missing.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        Ok(Self { client: aws_sdk_sns::Client::new(aws), topic: env.required("PAGING_TOPIC_ARN")? })
    }

    /// Publishes a page once a day; stops `reserve` before the invocation's deadline. Returns `false` if it was already
    /// published on `day`.
    ///
    /// # Errors
    ///
    /// The reason why the page was not published. The whole page is then in the log, and the metric `PageFailures`
    /// counts it, which raises its alarm.
    pub async fn page(
        &self,
        reporter: &Reporter,
        day: &str,
        page: &Page,
        reserve: Duration,
        invocation: &Invocation,
    ) -> Result<bool, String> {
        let paged = invocation.before_deadline(reserve, self.page_once(&reporter.documents, day, page)).await;
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

    /// Publishes a page unless its note says that it was published on `day`; then returns `false`.
    ///
    /// The note is written after publishing: a run that dies in between publishes the page again, with the same dedup
    /// key.
    ///
    /// # Errors
    ///
    /// Those of [`Pager::publish`].
    async fn page_once(&self, documents: &Documents, day: &str, page: &Page) -> Result<bool, CallError> {
        let note = format!("{day}/{}", page.dedup_key);
        match documents.get::<Value>(&note).await {
            Ok(Some(_)) => return Ok(false),
            Ok(None) => {}
            // Publish it: twice is better than never.
            Err(error) => {
                tracing::warn!(message = format!("not known whether it was paged: {}", chain(&error)));
            }
        }
        self.publish(page).await?;
        if let Err(error) = documents.put_new(&note, &page.dedup_key).await {
            tracing::warn!(message = format!("that it was paged was not noted: {}", chain(&error)));
        }
        Ok(true)
    }

    /// Publishes a page.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of SNS; without an answer, SNS may still have accepted the page.
    pub async fn publish(&self, page: &Page) -> Result<(), CallError> {
        let (page, text) = {
            let (fitted, text) = page.fitted();
            if fitted != *page {
                tracing::warn!(message = format!("a page was cut to what SNS accepts: {}", page.text));
            }
            (fitted, text)
        };
        let attributes = page.attributes(&text).into_iter().filter_map(|(name, value)| {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            Some((name.to_owned(), value.ok()?))
        });
        let publish = self.client.publish().topic_arn(&self.topic).subject(&page.subject).message(&page.text);
        let publish = publish.set_message_attributes(Some(attributes.collect()));
        publish.send().await.map_err(CallError::during("sns:Publish"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::runtime::language::Language;

    #[test]
    fn a_page_ends_with_each_owner_once_the_runbook_and_the_key() {
        let settings = Settings {
            function: "moveongs-dev-x".to_owned(),
            project: "moveongs".to_owned(),
            environment: "dev".to_owned(),
            code_version: "x".to_owned(),
            language: Language::Portuguese,
            policy: "".parse().unwrap(),
        };
        let owner = |primary: &str| Responsible { primary: primary.to_owned(), backup: "Squad B".to_owned() };
        let (one, two) = (owner("Squad A"), owner("Squad C"));
        let alert = Alert {
            kind: "Overdue",
            severity: Severity::Warning,
            resource: "a, é",
            text: "a: vencido.".to_owned(),
            owners: vec![&one, &two, &one],
            runbook: "docs/x.md#y",
            dedup_key: "p/dev/Overdue".to_owned(),
        };
        let page = Page::new(&settings, alert);
        assert_eq!(
            page.text,
            "a: vencido.\nResponsável: Squad A, backup: Squad B.\nResponsável: Squad C, backup: Squad B.\nRunbook: docs/x.md#y\np/dev/Overdue"
        );
        assert_eq!((page.owner.as_str(), page.backup.as_str()), ("Squad A, Squad C", "Squad B, Squad B"));
        assert_eq!((page.subject.as_str(), page.secret.as_str()), ("[dev] Overdue: a, ", "a, é"));

        let expected = json!({
            "action": "trigger",
            "version": 1,
            "subject": "[dev] Overdue: a, ",
            "text": page.text,
            "kind": "Overdue",
            "severity": "warning",
            "environment": "dev",
            "resource": "a, é",
            "owner": "Squad A, Squad C",
            "backup": "Squad B, Squad B",
            "runbook": "docs/x.md#y",
            "dedup_key": "p/dev/Overdue",
        });
        let attributes: BTreeMap<_, _> = page.attributes(&page.text).into_iter().collect();
        assert_eq!(serde_json::from_str::<Value>(&attributes["page"]).unwrap(), expected);
        assert_eq!((attributes.len(), attributes["secret"].as_str()), (10, "a, é"));
        assert_eq!(page.fitted(), (page.clone(), page.text.clone()));
    }

    #[test]
    fn a_page_never_exceeds_what_sns_accepts() {
        // Characters of one to four bytes, and those that JSON escapes.
        for character in ["a", "é", "…", "🔑", "\"", "\\", "\n", "\u{1}"] {
            for (long, names) in [(60_000, 1), (1, 60_000), (60_000, 60_000)] {
                let page = Page {
                    text: character.repeat(long),
                    secret: character.repeat(names),
                    dedup_key: "p/dev/Overdue".to_owned(),
                    ..Page::default()
                };
                let (fitted, text) = page.fitted();
                let size = fitted.size(&text);
                assert!(size <= 262_144, "{character:?} {long} {names}: {size}");
                // A mail that fits by itself is whole.
                assert!(fitted.text == page.text || page.text.len() > 200_000, "{character:?}");
                assert_eq!(fitted.dedup_key, page.dedup_key);
                // No more than necessary is cut.
                assert!(text == page.text || size > 262_144 / 2, "{character:?} {size}");
            }
        }
    }
}
