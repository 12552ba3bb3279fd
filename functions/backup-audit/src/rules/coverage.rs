//! How far the sections of an audit were read.

use std::collections::{BTreeMap, BTreeSet};

use shared::runtime::failure::CallError;

use super::audit::UNSEEN;
use super::rule::{Row, Verdict};

/// Most names of what was begun and not seen that are told.
const SHOWN: usize = 20;

/// The parts of an audit: service and kind.
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

/// How far a part is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub seen: usize,
    /// What was begun and is not judged yet.
    pub begun: BTreeSet<String>,
    /// Its end; none while it lasts.
    pub end: Option<Result<(), CallError>>,
}

/// How far all parts are. It outlives a sweep that is given up.
#[derive(Debug, Default)]
pub(crate) struct Progress(BTreeMap<&'static str, Section>);

impl Progress {
    pub(crate) fn of(&mut self, section: &'static str) -> &mut Section {
        self.0.entry(section).or_default()
    }

    /// What was seen of each part, as the verdict of a rule.
    pub(crate) fn coverage(&self) -> Vec<Row> {
        SECTIONS.iter().map(|name| coverage(name, &self.0.get(name).cloned().unwrap_or_default())).collect()
    }

    /// The services that were not seen to their end: what the ids of their rules begin with.
    pub(crate) fn unseen(&self) -> Vec<&'static str> {
        let is_whole = |section: &Section| matches!(section.end, Some(Ok(())));
        let names = SECTIONS.iter().filter(|name| !self.0.get(*name).is_some_and(is_whole));
        names.flat_map(|name| services(name)).copied().collect()
    }

    /// The services of which nothing was seen, and why; or the first such part, where the service has others that were seen.
    pub(crate) fn unreadable(&self) -> Vec<(&'static str, String)> {
        let failed = |name: &&'static str| {
            let section = self.0.get(*name)?;
            let Some(Err(call)) = &section.end else { return None };
            (section.seen == 0).then(|| (*name, call.to_string()))
        };
        let mut reported = BTreeMap::<&'static str, Vec<(&'static str, String)>>::new();
        for (name, why) in SECTIONS.iter().filter_map(failed) {
            reported.entry(service(name)).or_default().push((name, why));
        }
        let page = |(service_name, parts): (&'static str, Vec<(&'static str, String)>)| {
            let all = SECTIONS.iter().filter(|other| service(other) == service_name).count();
            let (first, why) = parts.first()?;
            if parts.len() == all {
                return Some((service_name, why.clone()));
            }
            // One page for a service: the same call is mostly why its other parts failed.
            let others = parts.iter().skip(1).map(|(name, why)| format!("; {name}: {why}"));
            Some((*first, format!("{why}{}", others.collect::<String>())))
        };
        reported.into_iter().filter_map(page).collect()
    }
}

/// The service that a part is of.
pub(crate) fn service(section: &str) -> &str {
    section.split(':').next().unwrap_or(section)
}

/// What the ids of a part's rules begin with.
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
        Some(Err(call)) => Verdict::Unknown(format!("{call}; {seen} were seen before it, and nothing after")),
        None => {
            let named: Vec<_> = section.begun.iter().take(SHOWN).map(String::as_str).collect();
            let begun = if named.is_empty() {
                String::new()
            } else {
                format!("; begun and not judged: {}", named.join(", "))
            };
            Verdict::Unknown(format!("the time was over: {seen} were seen, and nothing after{begun}"))
        }
    };
    Row { rule: &UNSEEN, resource: name.to_owned(), arn: String::new(), verdict, command: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rule::tests::unread;

    fn call() -> CallError {
        unread::<()>().unwrap_err()
    }

    fn section(seen: usize, begun: &[&str], end: Option<Result<(), CallError>>) -> Section {
        Section { seen, begun: begun.iter().map(|name| (*name).to_owned()).collect(), end }
    }

    fn progress(ends: &[(&'static str, Section)]) -> Progress {
        let whole = SECTIONS.map(|name| (name, section(1, &[], Some(Ok(())))));
        Progress(whole.into_iter().chain(ends.iter().cloned()).collect())
    }

    #[test]
    fn a_part_says_how_far_it_was_seen() {
        let many: Vec<_> = (0..25).map(|n| format!("b-{n:02}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let twenty = many[..SHOWN].join(", ");
        for (section, expected) in [
            (section(0, &[], Some(Ok(()))), None),
            (
                section(3, &[], Some(Err(call()))),
                Some("x:Get failed (AccessDenied): not authorized; 3 were seen before it, and nothing after"),
            ),
            (section(2, &[], None), Some("the time was over: 2 were seen, and nothing after")),
            (
                section(2, &["b", "a"], None),
                Some("the time was over: 2 were seen, and nothing after; begun and not judged: a, b"),
            ),
            (
                section(0, &many, None),
                Some(&*format!(
                    "the time was over: 0 were seen, and nothing after; begun and not judged: {twenty}"
                )),
            ),
        ] {
            let row = coverage("rds:instances", &section);
            let expected = expected.map_or(Verdict::Pass, |why| Verdict::Unknown(why.to_owned()));
            assert_eq!(row.verdict, expected);
            assert_eq!(row.key(), "audit.coverage rds:instances");
        }
    }

    #[test]
    fn a_part_that_was_never_begun_is_not_verified() {
        let rows = Progress::default().coverage();
        assert_eq!(rows.len(), SECTIONS.len());
        assert!(rows.iter().all(|row| row.verdict.word() == "unknown"));
        assert!(Progress::default().unreadable().is_empty());
    }

    #[test]
    fn the_services_of_parts_that_have_no_end_are_unseen() {
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
    fn every_rule_is_of_a_service_that_a_part_stands_for() {
        let services: Vec<_> = SECTIONS.iter().flat_map(|name| services(name)).collect();
        for rule in crate::rules::all().filter(|rule| rule.service() != "audit") {
            assert!(services.contains(&&rule.service()), "{}", rule.id);
        }
    }

    #[test]
    fn a_service_is_unreadable_when_its_first_call_failed() {
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
