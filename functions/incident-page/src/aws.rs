//! The AWS calls of this function alone. The table's are in `shared::aws::table`.

use shared::aws::secrets;

use crate::error::PageError;
use crate::rules::webhook::{Credentials, LEAST};

/// The webhooks' credentials, read for each request so that a new one is used at once.
pub(crate) async fn credentials(
    client: &aws_sdk_secretsmanager::Client,
    secret_id: &str,
) -> Result<Credentials, PageError> {
    let value = secrets::value(client, secret_id, None).await.map_err(PageError::Credentials)?;
    Credentials::read(&value).ok_or(PageError::CredentialsForm { least: LEAST })
}
