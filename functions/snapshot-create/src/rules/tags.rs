//! A snapshot's tags.

use shared::aws::snapshots::{CREATOR, Database, ENVIRONMENT, EXPIRES_ON, MANAGED_BY, PROJECT, Snapshot};
use shared::runtime::settings::Settings;

use super::request::Request;

/// Tag with the deploy, which identifies its snapshot.
pub(crate) const DEPLOY: &str = "Deploy";

/// Longest value of a tag, in characters.
const LONGEST: usize = 256;

/// The tags of a deploy's snapshot.
pub(crate) fn tags(settings: &Settings, request: &Request, expires: &str) -> Vec<(&'static str, String)> {
    let mut tags = vec![
        (PROJECT, settings.project.clone()),
        (ENVIRONMENT, settings.environment.clone()),
        (MANAGED_BY, CREATOR.to_owned()),
        (DEPLOY, request.deploy.clone()),
        ("Reason", clean(&request.reason)),
        ("CreatedBy", clean(&request.by)),
        (EXPIRES_ON, expires.to_owned()),
    ];
    if let Some(commit) = &request.commit {
        tags.push(("Commit", commit.clone()));
    }
    tags
}

/// Returns true if the snapshot was made for this deploy of this database.
pub(crate) fn is_of(snapshot: &Snapshot, database: &Database, deploy: &str) -> bool {
    snapshot.is_of(database) && snapshot.tag(DEPLOY) == Some(deploy)
}

/// Reduces a text to what RDS accepts in a tag: letters, digits, spaces and `_.:/=+-@`, without one of AWS's reserved
/// prefixes.
fn clean(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "_.:/=+-@".contains(c) { c } else { ' ' };
    let words: String = text.chars().map(plain).collect();
    let mut cleaned = words.split_whitespace().collect::<Vec<_>>().join(" ");
    while is_reserved(&cleaned) {
        cleaned = cleaned.replacen(':', " ", 1);
    }
    cleaned.chars().take(LONGEST).collect()
}

/// Returns true if the value begins with a prefix that AWS reserves.
pub(crate) fn is_reserved(value: &str) -> bool {
    let lower = value.to_lowercase();
    ["aws:", "rds:"].iter().any(|prefix| lower.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use shared::aws::snapshots::Kind;

    use super::*;

    #[test]
    fn whose_snapshot_it_is() {
        let database = |id: &str| Database { id: id.to_owned(), ..Database::default() };
        let mut own = Snapshot { instance: "db".to_owned(), ..Snapshot::example("n") };
        assert!(!is_of(&own, &database("db"), ""));
        own.tags.insert(DEPLOY.to_owned(), "d".to_owned());
        let (db, other) = (database("db"), database("db2"));
        assert!(is_of(&own, &db, "d") && !is_of(&own, &db, "d2") && !is_of(&own, &other, "d"));
        // A cluster may have an instance's name.
        assert!(!is_of(&own, &Database { kind: Kind::Cluster, ..db }, "d"));
    }

    #[test]
    fn a_text_is_reduced_to_what_rds_accepts() {
        for (text, expected) in [
            ("Migração extensa; tabela enrollments (v2)", "Migração extensa tabela enrollments v2"),
            ("a\u{1F600}b  c", "a b c"),
            ("ana.souza@moveongs.org", "ana.souza@moveongs.org"),
            ("AWS:rds:x", "AWS rds:x"),
            ("!!", ""),
        ] {
            assert_eq!(clean(text), expected);
        }
        assert_eq!(clean(&"é".repeat(300)).chars().count(), 256);
    }
}
