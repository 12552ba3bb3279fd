//! Facts shared by many databases: the account's plans, subscriptions and deployments, the parameters of a group, the
//! end of support of an engine's versions. Each is read once per run, when the first database needs it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::join;
use jiff::Timestamp;
use shared::runtime::failure::CallError;
use tokio::sync::OnceCell;

use crate::App;
use crate::aws;
use crate::rules::facts::{Form, Instance, Pair, Parameter, Seen, Subscription};
use crate::rules::plans::Plan;
use crate::rules::rds::blue_green::deployment;
use crate::rules::rds::engine::supported_until;
use crate::rules::rds::subscriptions::unsubscribed;
use crate::rules::rds::tls::tls_parameter;

/// Longest wait for one of these facts; after that, databases are judged without it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One kind of fact, by key.
type ByKey<K, T> = RefCell<BTreeMap<K, Rc<OnceCell<Seen<T>>>>>;

/// An engine's major versions, each with the end of standard support.
type Majors = Vec<(String, Option<Timestamp>)>;

/// Facts shared by many databases.
#[derive(Default)]
pub(crate) struct CommonFacts {
    plans: OnceCell<Seen<Vec<Arc<Plan>>>>,
    subscriptions: OnceCell<Seen<Vec<Subscription>>>,
    deployments: OnceCell<Seen<Vec<Pair>>>,
    parameters: ByKey<(bool, String), Option<Parameter>>,
    majors: ByKey<String, Majors>,
}

/// Limits the time of a read; an error if it takes longer.
pub(crate) async fn in_time<T>(
    operation: &'static str,
    patience: Duration,
    read: impl Future<Output = Seen<T>>,
) -> Seen<T> {
    let late = |_| CallError {
        operation,
        code: "Late".to_owned(),
        message: format!("no complete answer in {} s", patience.as_secs()),
    };
    tokio::time::timeout(patience, read).await.map_err(late)?
}

fn of<K: Ord, T>(answers: &ByKey<K, T>, key: K) -> Rc<OnceCell<Seen<T>>> {
    Rc::clone(answers.borrow_mut().entry(key).or_default())
}

impl CommonFacts {
    /// The account's AWS Backup plans.
    pub(crate) async fn plans(&self, app: &App) -> &Seen<Vec<Arc<Plan>>> {
        let read = async || {
            let plans = aws::application::plans(&app.control);
            let plans = in_time("cloudformation:ListResources", PATIENCE, plans).await?;
            Ok(plans.into_iter().map(Arc::new).collect())
        };
        self.plans.get_or_init(read).await
    }

    /// Adds the shared facts to a database with these tags.
    pub(crate) async fn complete(&self, app: &App, db: &mut Instance, tags: &BTreeMap<String, String>) {
        let subscriptions = self.subscriptions.get_or_init(async || {
            let read = aws::rds::subscriptions(&app.rds);
            in_time("rds:DescribeEventSubscriptions", PATIENCE, read).await
        });
        let deployments = self.deployments.get_or_init(async || {
            let read = aws::rds::deployments(&app.rds);
            in_time("rds:DescribeBlueGreenDeployments", PATIENCE, read).await
        });
        let (plans, subscriptions, deployments, parameter, until) = join!(
            self.plans(app),
            subscriptions,
            deployments,
            self.parameter(app, db),
            self.supported_until(app, db)
        );
        let select = |plans: &Vec<Arc<Plan>>| {
            plans.iter().filter(|plan| plan.selects(&db.arn, tags)).cloned().collect::<Vec<_>>()
        };
        let plans = plans.as_ref().map(select).map_err(Clone::clone);
        let unsubscribed = subscriptions.as_ref().map(|all| unsubscribed(db, all)).map_err(Clone::clone);
        let deployment = deployments.as_ref().map(|all| deployment(&db.arn, all)).map_err(Clone::clone);
        db.plans = Some(plans);
        db.unsubscribed = Some(unsubscribed);
        db.deployment = Some(deployment);
        (db.tls_parameter, db.supported_until) = (parameter, until);
    }

    /// The parameter that forces TLS, in a database's group; none for a member, whose cluster has it.
    async fn parameter(&self, app: &App, db: &Instance) -> Option<Seen<Option<Parameter>>> {
        if matches!(db.form, Form::Member(_)) {
            return None;
        }
        let name = db.engine.as_deref().and_then(tls_parameter)?;
        let group = db.parameter_groups.first()?;
        let is_cluster = db.form == Form::Cluster;
        let answer = of(&self.parameters, (is_cluster, group.clone()));
        let read = async || {
            let read = aws::rds::parameter(&app.rds, is_cluster, group, name);
            in_time("rds:DescribeDBParameters", PATIENCE, read).await
        };
        Some(answer.get_or_init(read).await.clone())
    }

    async fn supported_until(&self, app: &App, db: &Instance) -> Option<Seen<Option<Timestamp>>> {
        if matches!(db.form, Form::Member(_)) {
            return None;
        }
        let (engine, version) = (db.engine.as_deref()?, db.version.as_deref()?);
        let answer = of(&self.majors, engine.to_owned());
        let read = async || {
            let read = aws::rds::majors(&app.rds, engine);
            in_time("rds:DescribeDBMajorEngineVersions", PATIENCE, read).await
        };
        let majors = answer.get_or_init(read).await.as_ref().map_err(Clone::clone);
        Some(majors.and_then(|majors| {
            supported_until(version, majors).ok_or_else(|| CallError {
                operation: "rds:DescribeDBMajorEngineVersions",
                code: "NotListed".to_owned(),
                message: format!("the answer has no major version of {engine} {version}"),
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_ends_with_an_error() {
        let hangs = std::future::pending::<Seen<()>>();
        let late = in_time("rds:DescribeDBSnapshots", Duration::from_secs(5), hangs).await.unwrap_err();
        assert_eq!(late.to_string(), "rds:DescribeDBSnapshots failed (Late): no complete answer in 5 s");
        assert_eq!(in_time("x:Get", Duration::from_secs(5), async { Ok(7) }).await, Ok(7));
    }
}
