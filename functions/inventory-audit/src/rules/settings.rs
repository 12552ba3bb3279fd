//! Settings in a Terraform state and in AWS, in a form that can be compared. No I/O.

use std::collections::BTreeMap;

/// A compared setting.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Setting {
    /// Days that an instance or cluster retains automated backups.
    BackupRetention,
    /// Whether an instance or cluster is protected against deletion.
    DeletionProtection,
    /// Whether an instance has a standby.
    MultiAz,
    /// Days that a log group retains events; 0 means no expiry.
    LogRetention,
    /// Versioning of a bucket: `Enabled`, `Suspended` or `Disabled`.
    Versioning,
    /// Lifecycle rules of a bucket, as [`lifecycle`] writes them.
    Lifecycle,
    /// ARN, `family:revision` or family of the task definition that a service runs.
    TaskDefinition,
}

impl Setting {
    /// Terraform's name of the setting.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BackupRetention => "backup_retention_period",
            Self::DeletionProtection => "deletion_protection",
            Self::MultiAz => "multi_az",
            Self::LogRetention => "retention_in_days",
            Self::Versioning => "versioning",
            Self::Lifecycle => "lifecycle",
            Self::TaskDefinition => "task_definition",
        }
    }

    /// The values in AWS and in the state, shortened to their difference; none if they agree.
    pub(crate) fn difference(self, found: &str, expected: &str) -> Option<(String, String)> {
        let pair = |found: &str, expected: &str| Some((found.to_owned(), expected.to_owned()));
        match self {
            Self::TaskDefinition => {
                let [found, expected] = [found, expected].map(|arn| arn.rsplit('/').next().unwrap_or(arn));
                // A family without a revision means the newest one.
                let is_same = match expected.split_once(':') {
                    Some(_) => found == expected,
                    None => found.split(':').next() == Some(expected),
                };
                if is_same { None } else { pair(found, expected) }
            }
            Self::Lifecycle => {
                let rules = |text: &str| -> BTreeMap<String, String> {
                    let lines = text.lines().filter_map(|line| line.split_once('\t'));
                    lines.map(|(id, rule)| (id.to_owned(), rule.to_owned())).collect()
                };
                let (has, wants) = (rules(found), rules(expected));
                if has == wants {
                    return None;
                }
                let only = |these: &BTreeMap<String, String>, those: &BTreeMap<String, String>| {
                    let differing = these.iter().filter(|(id, rule)| those.get(*id) != Some(rule));
                    let lines: Vec<_> =
                        differing.map(|(id, rule)| format!("{id}: {rule}").replace(": ", ":")).collect();
                    if lines.is_empty() { "-".to_owned() } else { lines.join("; ") }
                };
                pair(&only(&has, &wants), &only(&wants, &has))
            }
            _ if found == expected => None,
            _ => pair(found, expected),
        }
    }
}

/// The compared part of a bucket's lifecycle rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rule {
    pub id: String,
    /// Whether it is enabled.
    pub is_enabled: bool,
    /// Prefix of the keys that it applies to; empty for the whole bucket.
    pub prefix: String,
    /// Days until current versions expire.
    pub expires: Option<i32>,
    /// Days until noncurrent versions expire.
    pub noncurrent: Option<i32>,
    /// Days until incomplete uploads are aborted.
    pub incomplete: Option<i32>,
}

/// Rules as text, one per line in a fixed order: id, tab, the rest.
pub(crate) fn lifecycle(rules: impl IntoIterator<Item = Rule>) -> String {
    let line = |rule: Rule| {
        let days =
            |name: &str, days: Option<i32>| days.map(|days| format!(" {name}={days}")).unwrap_or_default();
        let clean = |text: &str| text.replace(char::is_control, "?");
        let prefix = clean(&rule.prefix);
        format!(
            "{}\t{}{}{}{}{}",
            clean(&rule.id),
            if rule.is_enabled { "Enabled" } else { "Disabled" },
            if prefix.is_empty() { prefix } else { format!(" prefix={prefix}") },
            days("expiration", rule.expires),
            days("noncurrent", rule.noncurrent),
            days("incomplete", rule.incomplete),
        )
    };
    let mut lines: Vec<_> = rules.into_iter().map(line).collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_differs_where_its_meaning_does() {
        let rule = |id: &str, noncurrent| Rule {
            id: id.to_owned(),
            is_enabled: true,
            prefix: String::new(),
            expires: None,
            noncurrent,
            incomplete: None,
        };
        let (a, b) = (rule("a", Some(365)), rule("b", None));
        let both = lifecycle([a.clone(), b.clone()]);
        for (setting, found, expected, differs) in [
            (Setting::BackupRetention, "7", "7", None),
            (Setting::BackupRetention, "1", "7", Some(("1", "7"))),
            (Setting::LogRetention, "0", "30", Some(("0", "30"))),
            (
                Setting::TaskDefinition,
                "arn:aws:ecs:r:1:task-definition/api:7",
                "arn:aws:ecs:r:1:task-definition/api:7",
                None,
            ),
            (Setting::TaskDefinition, "arn:aws:ecs:r:1:task-definition/api:7", "api:7", None),
            (Setting::TaskDefinition, "arn:aws:ecs:r:1:task-definition/api:7", "api", None),
            (
                Setting::TaskDefinition,
                "arn:aws:ecs:r:1:task-definition/api:8",
                "api:7",
                Some(("api:8", "api:7")),
            ),
            (Setting::TaskDefinition, "arn:aws:ecs:r:1:task-definition/web:7", "api", Some(("web:7", "api"))),
            (Setting::Lifecycle, &lifecycle([b.clone(), a.clone()]), &both, None),
            (
                Setting::Lifecycle,
                &lifecycle([]),
                &lifecycle([a.clone()]),
                Some(("-", "a:Enabled noncurrent=365")),
            ),
            (Setting::Lifecycle, &both, &lifecycle([a.clone()]), Some(("b:Enabled", "-"))),
            (
                Setting::Lifecycle,
                &lifecycle([rule("a", Some(30)), b.clone()]),
                &both,
                Some(("a:Enabled noncurrent=30", "a:Enabled noncurrent=365")),
            ),
            (
                Setting::Lifecycle,
                &lifecycle([a.clone()]),
                &lifecycle([Rule { prefix: "tmp/".to_owned(), ..a.clone() }]),
                Some(("a:Enabled noncurrent=365", "a:Enabled prefix=tmp/ noncurrent=365")),
            ),
        ] {
            let difference = setting.difference(found, expected);
            let difference = difference.as_ref().map(|(found, expected)| (found.as_str(), expected.as_str()));
            assert_eq!(difference, differs, "{setting:?} {found} {expected}");
        }
    }
}
