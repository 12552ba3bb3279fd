//! Coverage of an audit's sections.

use std::collections::{BTreeMap, BTreeSet};

use shared::runtime::failure::CallError;

use super::audit::UNSEEN;
use super::rule::{Row, Verdict};

/// Most names shown of resources whose reading was started and not finished.
const SHOWN: usize = 20;

/// Sections of an audit, as service and kind.
pub(crate) const SECTIONS: [&str; 8] = [
    "rds:snapshots",
    "rds:instances",
    "rds:cluster-snapshots",
    "rds:clusters",
    "s3:buckets",
    "terraform:lock",
    "ecs:services",
    "account:resources",
];

/// Progress of a section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    /// Number of resources that were judged.
    pub seen: usize,
    /// Names of resources that are being read.
    pub started: BTreeSet<String>,
    /// The result; none while it is read.
    pub end: Option<Result<(), CallError>>,
}

/// Progress of all sections. It outlives a sweep that runs out of time.
#[derive(Debug, Default)]
pub(crate) struct Progress(BTreeMap<&'static str, Section>);

impl Progress {
    pub(crate) fn of(&mut self, section: &'static str) -> &mut Section {
        self.0.entry(section).or_default()
    }

    /// Coverage of each section, as a rule's verdict.
    pub(crate) fn coverage(&self) -> Vec<Row> {
        SECTIONS.iter().map(|name| coverage(name, &self.0.get(name).cloned().unwrap_or_default())).collect()
    }

    /// Services that were not read to their end, as the first segments of their rules' ids.
    pub(crate) fn unseen(&self) -> Vec<&'static str> {
        let is_whole = |section: &Section| matches!(section.end, Some(Ok(())));
        let names = SECTIONS.iter().filter(|name| !self.0.get(*name).is_some_and(is_whole));
        names.flat_map(|name| services(name)).copied().collect()
    }

    /// Unreadable services, with the reason. If only some sections of a service failed, the first of these.
    pub(crate) fn unreadable(&self) -> Vec<(&'static str, String)> {
        let failed = |name: &&'static str| {
            let section = self.0.get(*name)?;
            let Some(Err(call)) = &section.end else { return None };
            (section.seen == 0).then(|| (*name, call.to_string()))
        };
        let mut failures = BTreeMap::<&'static str, Vec<(&'static str, String)>>::new();
        for (name, why) in SECTIONS.iter().filter_map(failed) {
            failures.entry(service(name)).or_default().push((name, why));
        }
        let page = |(service_name, parts): (&'static str, Vec<(&'static str, String)>)| {
            let all = SECTIONS.iter().filter(|other| service(other) == service_name).count();
            let (first, why) = parts.first()?;
            if parts.len() == all {
                return Some((service_name, why.clone()));
            }
            // One page for each service: its sections usually fail for the same reason.
            let others = parts.iter().skip(1).map(|(name, why)| format!("; {name}: {why}"));
            Some((*first, format!("{why}{}", others.collect::<String>())))
        };
        failures.into_iter().filter_map(page).collect()
    }
}

/// The service of a section.
pub(crate) fn service(section: &str) -> &str {
    section.split(':').next().unwrap_or(section)
}

/// First segments of the ids of a section's rules.
fn services(section: &str) -> &'static [&'static str] {
    match section {
        "s3:buckets" => &["s3", "grafana"],
        "terraform:lock" => &["terraform"],
        "ecs:services" => &["ecs", "iam"],
        "account:resources" => &["account"],
        _ => &["rds"],
    }
}

fn coverage(name: &str, section: &Section) -> Row {
    let seen = section.seen;
    let verdict = match &section.end {
        Some(Ok(())) => Verdict::Pass,
        Some(Err(call)) => Verdict::Unknown(format!("{call}; {seen} were read before it, none after")),
        None => {
            let named: Vec<_> = section.started.iter().take(SHOWN).map(String::as_str).collect();
            let started = if named.is_empty() {
                String::new()
            } else {
                format!("; started and not judged: {}", named.join(", "))
            };
            Verdict::Unknown(format!("out of time: {seen} were read, none after{started}"))
        }
    };
    Row { rule: &UNSEEN, resource: name.to_owned(), arn: String::new(), verdict, command: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rule::tests::unread;

    fn call() -> CallError {
        unread::<()>().unwrap_err()
    }

    fn section(seen: usize, started: &[&str], end: Option<Result<(), CallError>>) -> Section {
        Section { seen, started: started.iter().map(|name| (*name).to_owned()).collect(), end }
    }

    fn progress(ends: &[(&'static str, Section)]) -> Progress {
        let whole = SECTIONS.map(|name| (name, section(1, &[], Some(Ok(())))));
        Progress(whole.into_iter().chain(ends.iter().cloned()).collect())
    }

    #[test]
    fn coverage_shows_how_far_a_section_was_read() {
        let many: Vec<_> = (0..25).map(|n| format!("b-{n:02}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let twenty = many[..SHOWN].join(", ");
        for (section, expected) in [
            (section(0, &[], Some(Ok(()))), None),
            (
                section(3, &[], Some(Err(call()))),
                Some("x:Get failed (AccessDenied): not authorized; 3 were read before it, none after"),
            ),
            (section(2, &[], None), Some("out of time: 2 were read, none after")),
            (
                section(2, &["b", "a"], None),
                Some("out of time: 2 were read, none after; started and not judged: a, b"),
            ),
            (
                section(0, &many, None),
                Some(&*format!("out of time: 0 were read, none after; started and not judged: {twenty}")),
            ),
        ] {
            let row = coverage("rds:instances", &section);
            let expected = expected.map_or(Verdict::Pass, |why| Verdict::Unknown(why.to_owned()));
            assert_eq!(row.verdict, expected);
            assert_eq!(row.key(), "audit.coverage rds:instances");
        }
    }

    #[test]
    fn a_section_that_never_started_is_unknown() {
        let rows = Progress::default().coverage();
        assert_eq!(rows.len(), SECTIONS.len());
        assert!(rows.iter().all(|row| row.verdict.word() == "unknown"));
        assert!(Progress::default().unreadable().is_empty());
    }

    #[test]
    fn services_of_unfinished_sections_are_unseen() {
        assert!(progress(&[]).unseen().is_empty());
        for (name, end, unseen) in [
            ("rds:snapshots", None, &["rds"][..]),
            ("rds:instances", Some(Err(call())), &["rds"]),
            ("rds:clusters", None, &["rds"]),
            ("rds:cluster-snapshots", Some(Err(call())), &["rds"]),
            ("s3:buckets", None, &["s3", "grafana"]),
            ("terraform:lock", None, &["terraform"]),
            ("ecs:services", Some(Err(call())), &["ecs", "iam"]),
            ("account:resources", None, &["account"]),
        ] {
            assert_eq!(progress(&[(name, section(5, &[], end))]).unseen(), unseen, "{name}");
        }
    }

    #[test]
    fn every_rule_belongs_to_a_section() {
        let services: Vec<_> = SECTIONS.iter().flat_map(|name| services(name)).collect();
        for rule in crate::rules::all().filter(|rule| rule.service() != "audit") {
            assert!(services.contains(&&rule.service()), "{}", rule.id);
        }
    }

    #[test]
    fn a_service_is_unreadable_if_its_first_call_failed() {
        for (seen, end, expected) in
            [(0, Some(Err(call())), 1), (1, Some(Err(call())), 0), (0, None, 0), (0, Some(Ok(())), 0)]
        {
            let unreadable = progress(&[("ecs:services", section(seen, &[], end))]).unreadable();
            assert_eq!(unreadable.len(), expected);
            assert!(unreadable.iter().all(|(service, why)| *service == "ecs" && why.contains("x:Get")));
        }
        let denied = |name| (name, section(0, &[], Some(Err(call()))));
        for (parts, expected) in [
            (vec![denied("rds:snapshots")], "rds:snapshots"),
            (vec![denied("rds:instances")], "rds:instances"),
            (vec![denied("rds:instances"), denied("rds:clusters")], "rds:instances"),
            (
                SECTIONS.iter().filter(|name| name.starts_with("rds:")).map(|name| denied(name)).collect(),
                "rds",
            ),
        ] {
            let unreadable = progress(&parts).unreadable();
            let names: Vec<_> = unreadable.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [expected]);
        }
    }
}
