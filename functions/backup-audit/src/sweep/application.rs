//! The section of the application's services.

use shared::command;

use super::{Stop, Sweep};
use crate::App;
use crate::aws;
use crate::rules::Context;
use crate::rules::application::{NO_SERVICE, SERVICE};
use crate::rules::facts::{Seen, Service};
use crate::rules::rule::{declared, judge};

impl Sweep<'_> {
    /// Judges the services of the cluster, and whether it has any.
    pub(super) async fn services(&self) -> Result<(), Stop> {
        let (mut has_service, mut unread, mut token) = (false, None, None);
        loop {
            let (arns, next) = aws::application::services(&self.app.ecs, self.context.cluster, token).await?;
            has_service |= !arns.is_empty();
            for service in described(self.app, self.context, arns).await? {
                match service {
                    Ok(service) => {
                        let rows = judge(SERVICE, (&service.name, &service.arn), &service, self.context);
                        self.judged("ecs:services", &rows)?;
                    }
                    Err(call) => unread = Some(call),
                }
            }
            token = next;
            if token.is_none() {
                break;
            }
        }
        if let Some(call) = unread {
            return Err(call.into());
        }
        let cluster = self.context.cluster;
        let command = command!("aws ecs list-services --cluster {cluster}", cluster);
        let rule = &NO_SERVICE;
        let row = declared(rule, cluster, has_service, ("no service", &command), self.context);
        Ok(self.judged("ecs:services", &[row])?)
    }
}

/// Services by their ARNs or names, as far as the rules need them.
pub(super) async fn described(
    app: &App,
    context: &Context<'_>,
    arns: Vec<String>,
) -> Seen<Vec<Seen<Service>>> {
    let objects = format!("arn:aws:s3:::{}/*", context.attachments);
    aws::application::describe(&app.ecs, &app.iam, context.cluster, arns, &objects).await
}
