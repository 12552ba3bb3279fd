//! Names of snapshots: `moveongs-{env}-{AAAAMMDD}`, with `-2`, `-3` for further deploys of the same day. Source: the
//! guide, 2.1 step 2.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared::runtime::time::SAO_PAULO;

/// The name of a day's first snapshot; the day is São Paulo's.
pub(crate) fn of_day(project: &str, environment: &str, at: Timestamp) -> String {
    let day = at.to_zoned_datetime(SAO_PAULO);
    format!("{project}-{environment}-{}", day.strftime("%Y%m%d"))
}

/// The first of a day's names that is not taken.
pub(crate) fn first_free(of_day: &str, taken: &BTreeSet<String>) -> String {
    let mut name = of_day.to_owned();
    let mut number = 1;
    while taken.contains(&name) {
        number += 1;
        name = format!("{of_day}-{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_sao_paulo() {
        for (at, name) in [
            ("2026-11-26T02:59:59Z", "moveongs-prod-20261125"),
            ("2026-11-26T03:00:00Z", "moveongs-prod-20261126"),
            ("2027-01-01T02:59:59Z", "moveongs-prod-20261231"),
        ] {
            assert_eq!(of_day("moveongs", "prod", at.parse().unwrap()), name, "{at}");
        }
    }

    #[test]
    fn a_deploy_gets_the_first_free_name() {
        for (taken, name) in [
            (&[][..], "a-1"),
            (&["a-1"][..], "a-1-2"),
            (&["a-1", "a-1-2"][..], "a-1-3"),
            // A deleted snapshot's name is free again.
            (&["a-1-2"][..], "a-1"),
            (&["a-1", "a-1-3", "a-10"][..], "a-1-2"),
        ] {
            let taken = taken.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(first_free("a-1", &taken), name, "{taken:?}");
        }
    }
}
