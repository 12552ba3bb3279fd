//! The AWS calls of this function alone. No other file names SDK operations.

use aws_sdk_iam::types::StatusType;
use aws_sdk_sesv2::config::{Credentials, Region};
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use shared::runtime::failure::CallError;
use shared::runtime::time;

use crate::rules::ses::{Credential, Key};

type Iam = aws_sdk_iam::Client;

/// An address that accepts all mail and delivers none. Source:
/// [mailbox simulator](https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html).
const SIMULATOR: &str = "success@simulator.amazonses.com";

/// Lists the access keys of a user.
pub(crate) async fn keys(client: &Iam, user: &str) -> Result<Vec<Key>, CallError> {
    let mut pages = client.list_access_keys().user_name(user).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("iam:ListAccessKeys"))?;
        keys.extend(page.access_key_metadata.into_iter().filter_map(|key| {
            Some(Key {
                is_active: key.status == Some(StatusType::Active),
                made: time::instant(key.create_date),
                id: key.access_key_id?,
            })
        }));
    }
    Ok(keys)
}

/// Creates an access key. Only this answer contains its secret.
pub(crate) async fn make_key(client: &Iam, user: &str) -> Result<Credential, CallError> {
    let made = client.create_access_key().user_name(user).send().await;
    let made = made.map_err(CallError::during("iam:CreateAccessKey"))?.access_key;
    let made = made.ok_or_else(|| CallError {
        operation: "iam:CreateAccessKey",
        code: "NoServiceCode".to_owned(),
        message: "the answer has no key".to_owned(),
    })?;
    Ok(Credential { secret: SecretString::from(made.secret_access_key), id: made.access_key_id })
}

/// Deactivates a key, which can be activated again.
pub(crate) async fn deactivate(client: &Iam, user: &str, key: &str) -> Result<(), CallError> {
    let change = client.update_access_key().user_name(user).access_key_id(key).status(StatusType::Inactive);
    change.send().await.map_err(CallError::during("iam:UpdateAccessKey"))?;
    Ok(())
}

/// Deletes a key; succeeds if it does not exist.
pub(crate) async fn delete_key(client: &Iam, user: &str, key: &str) -> Result<(), CallError> {
    match client.delete_access_key().user_name(user).access_key_id(key).send().await {
        Err(error) if error.code() != Some("NoSuchEntity") => {
            Err(CallError::during("iam:DeleteAccessKey")(error))
        }
        _ => Ok(()),
    }
}

/// Reads when a key was last used. IAM's answer may lag by hours.
pub(crate) async fn last_used(client: &Iam, key: &str) -> Result<Option<Timestamp>, CallError> {
    let used = client.get_access_key_last_used().access_key_id(key).send().await;
    let used = used.map_err(CallError::during("iam:GetAccessKeyLastUsed"))?;
    Ok(used.access_key_last_used.and_then(|used| time::instant(used.last_used_date)))
}

/// Sends a mail to the simulator with a key, as the application sends its mail.
pub(crate) async fn send_mail(
    aws: &aws_config::SdkConfig,
    region: &str,
    from: &str,
    key: &Credential,
) -> Result<(), CallError> {
    let credentials = Credentials::new(&key.id, key.secret.expose_secret(), None, None, "rotation");
    let config = aws_sdk_sesv2::config::Builder::from(aws)
        .credentials_provider(credentials)
        .region(Region::new(region.to_owned()))
        .build();
    let text = |text: &str| Content::builder().data(text).build().ok();
    let body = Body::builder().set_text(text("Teste de rotação / rotation test")).build();
    let message = Message::builder().set_subject(text("rotate-external")).body(body).build();
    let mail = aws_sdk_sesv2::Client::from_conf(config)
        .send_email()
        .from_email_address(from)
        .destination(Destination::builder().to_addresses(SIMULATOR).build())
        .content(EmailContent::builder().simple(message).build());
    mail.send().await.map_err(CallError::during("ses:SendEmail"))?;
    Ok(())
}
