//! Requests that are signals.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Declare, Resolve};
use crate::signal::{blank, presentable};
use crate::{Change, Incident, Signal, Source};

impl Declare {
    /// The signal that opens its incident, or joins the open one of the same problem. `cause` is the id of the
    /// invocation: Lambda's own repetition of an invocation has the same.
    pub fn signal(&self, cause: &str, now: Timestamp) -> Signal {
        let default = || format!("person|{}|{}", self.resource, self.title);
        let problem = self.problem.clone().unwrap_or_else(default);
        let event = format!("declare|{problem}|{cause}");
        let labels = [("declared_by", &self.by), ("resource", &self.resource)];
        let drill = self.drill.then(|| ("drill".to_owned(), "true".to_owned()));
        presentable(Signal {
            changed_at: Some(now),
            title: self.title.clone(),
            reason: self.reason.clone().unwrap_or_default(),
            severity: Some(self.severity),
            labels: labels
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.clone()))
                .chain(drill)
                .collect(),
            runbook: self.runbook.clone(),
            ..blank(Source::Person, problem, event)
        })
    }
}

impl Resolve {
    /// The signal that resolves the incident that it names; see [`Declare::signal`] for `cause`.
    pub fn signal(&self, incident: &Incident, cause: &str, now: Timestamp) -> Signal {
        let problem = incident.problem.clone();
        let event = format!("resolve|{problem}|{cause}");
        presentable(Signal {
            change: Change::Resolved,
            changed_at: Some(now),
            title: incident.title.clone(),
            reason: format!("{}: {}", self.by, self.reason),
            labels: BTreeMap::from([("resolved_by".to_owned(), self.by.clone())]),
            ..blank(Source::Person, problem, event)
        })
    }
}
