//! What makes a snapshot restorable whose name the functions' roles do not allow: a copy under another name.

use super::Command;
use crate::aws::snapshots::{Kind, prefix};
use crate::command;
use crate::runtime::language::Language;
use crate::runtime::settings::Settings;

/// Name of the copy: the environment's prefix, then the snapshot's name. RDS accepts no colon in it, e.g. that of `rds:…`.
///
/// Source: [CopyDBSnapshot](https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html).
pub fn name_of_copy(settings: &Settings, snapshot: &str) -> String {
    let name = format!("{}{}", prefix(settings), snapshot.replace(':', "-"));
    let name: String = name.chars().take(Kind::Instance.longest_name()).collect();
    name.trim_end_matches('-').to_owned()
}

/// Makes the copy and waits until it can be restored; in the default region if none is named.
pub fn copy(settings: &Settings, snapshot: &str, region: Option<&str>) -> Command {
    let target = name_of_copy(settings, snapshot);
    let region = region.map(|region| command!(" --region {region}", region));
    let copy = command!(
        "aws rds copy-db-snapshot --source-db-snapshot-identifier {snapshot} --target-db-snapshot-identifier {target}{region}",
        snapshot,
        target,
        region
    );
    let wait = command!(
        "aws rds wait db-snapshot-available --db-snapshot-identifier {target}{region}",
        target,
        region
    );
    copy.and(&wait)
}

/// Why a copy is needed; the command follows.
pub fn reason(language: Language) -> &'static str {
    language.pick(
        "o papel só restaura snapshots com o prefixo do ambiente. Copiar com um nome assim:",
        "the role only restores snapshots with the environment's prefix. Copy it under such a name:",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::settings;

    #[test]
    fn a_copy_has_a_name_that_rds_and_the_roles_accept() {
        let settings = settings("moveongs-dev-f", Language::English);
        for (snapshot, name) in [
            ("before-a-migration", "moveongs-dev-before-a-migration"),
            ("rds:main-2026-11-30-05-10", "moveongs-dev-rds-main-2026-11-30-05-10"),
        ] {
            assert_eq!(name_of_copy(&settings, snapshot), name);
        }
        let long = format!("{}-{}", "x".repeat(241), "y".repeat(13));
        assert_eq!(name_of_copy(&settings, &long), format!("moveongs-dev-{}", "x".repeat(241)));
        let copy = copy(&settings, "a", Some("sa-east-1")).to_string();
        assert_eq!(copy.matches(" --region sa-east-1").count(), 2, "{copy}");
    }
}
