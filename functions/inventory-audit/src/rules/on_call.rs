//! Findings about who is on call, before a page would find nobody: `policy::oncall` has the rules. No I/O, no clock.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use shared::policy::oncall::{self, Finding};
use shared::policy::{Area, Responsible};

use super::policy::Stack;
use super::row::{Problem, Row, plain};

/// Kind of these rows.
pub(crate) const KIND: &str = "on-call";

/// How far ahead findings are looked for, as `cargo xtask oncall` does.
const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A row for each squad and person with a finding, in the days after `now`.
pub(crate) fn rows(stack: Stack<'_>, now: Timestamp) -> Vec<Row> {
    let end = now.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
    let mut rows: BTreeMap<(&str, Option<&str>), Row> = BTreeMap::new();
    for finding in oncall::findings(stack.policy, now, end) {
        let Finding { kind, squad, person, from, until } = finding;
        let row = rows.entry((squad, person)).or_insert_with(|| {
            let name = person.map_or_else(|| squad.to_owned(), |person| format!("{squad}/{person}"));
            Row::general(KIND, plain(&name), &responsible(stack, &finding), Vec::new())
        });
        let same = row.problems.iter_mut().find_map(|problem| match problem {
            Problem::OnCall { kind: known, more, .. } if *known == kind => Some(more),
            _ => None,
        });
        match same {
            // A rotation may have several gaps. The first one is the most urgent.
            Some(more) => *more += 1,
            None => row.problems.push(Problem::OnCall { kind, from, until, more: 0 }),
        }
    }
    rows.into_values().collect()
}

/// The squad itself, and the infrastructure's as its backup; if the policy does not know the squad, the infrastructure's.
fn responsible(stack: Stack<'_>, finding: &Finding<'_>) -> Responsible {
    let infrastructure = stack.policy.responsible(Area::Infrastructure);
    if finding.kind == oncall::Kind::SquadUnknown {
        return infrastructure.clone();
    }
    let is_its_own = infrastructure.primary == finding.squad;
    let backup = if is_its_own { &infrastructure.backup } else { &infrastructure.primary };
    Responsible { primary: finding.squad.to_owned(), backup: backup.clone() }
}

#[cfg(test)]
mod tests {
    use shared::policy::Policy;

    use super::*;

    fn found(policy: &Policy) -> Vec<String> {
        let stack = Stack { policy, project: "moveongs", environment: "dev", own: "own" };
        let rows = rows(stack, "2026-11-30T12:00:00Z".parse().unwrap());
        let line = |row: &Row| {
            let kinds: Vec<_> = row.problems.iter().map(Problem::kind).collect();
            let Responsible { primary, backup } = &row.responsible;
            format!("{}: {} ({primary}, {backup})", row.about(), kinds.join(" "))
        };
        rows.iter().map(line).collect()
    }

    #[test]
    fn the_defaults_reach_nobody() {
        assert_eq!(
            found(&"".parse().unwrap()),
            [
                "on-call Squad Backend: SquadUnreachable (Squad Backend, Squad Infra)",
                "on-call Squad Dados: SquadUnreachable (Squad Dados, Squad Infra)",
                "on-call Squad Infra: SquadUnreachable (Squad Infra, Squad Security)",
                "on-call Squad Observability: SquadUnreachable (Squad Observability, Squad Infra)",
                "on-call Squad Security: SquadUnreachable (Squad Security, Squad Infra)",
            ]
        );
    }

    #[test]
    fn each_squad_and_person_has_one_row_and_each_kind_one_finding() {
        let contact = r#"{"contacts": [{"email": "squad@example.org"}]}"#;
        let policy = r#"{"incidents": {
            "people": {
                "Ana: `x`": {"phone": "+5511912345678"},
                "Bia": {"slack": "U00000BIA"}
            },
            "squads": {
                "Squad Backend": {
                    "rotation": {"every": "daily", "at": "09:00", "starts": "2026-12-05", "people": ["Bia"]},
                    "overrides": [
                        {"from": "2026-12-01T09:00", "until": "2026-12-02T09:00", "person": "Ana: `x`", "reason": "x"},
                        {"from": "2026-12-03T09:00", "until": "2026-12-04T09:00", "person": "Bia", "reason": "x"}
                    ]
                },
                "Squad Dados": null, "Squad Infra": CONTACT, "Squad Observability": CONTACT, "Squad Security": CONTACT
            }
        }}"#;
        let policy: Policy = policy.replace("CONTACT", contact).parse().unwrap();
        assert_eq!(
            found(&policy),
            [
                "on-call Squad Backend: RotationGap (Squad Backend, Squad Infra)",
                "on-call Squad Backend/Ana:?x?: PersonUnreachable PhoneUnverified (Squad Backend, Squad Infra)",
                "on-call Squad Dados: SquadUnknown (Squad Infra, Squad Security)",
            ]
        );
        let stack = Stack { policy: &policy, project: "moveongs", environment: "dev", own: "own" };
        let rows = rows(stack, "2026-11-30T12:00:00Z".parse().unwrap());
        let first = Problem::OnCall {
            kind: oncall::Kind::RotationGap,
            from: "2026-11-30T12:00:00Z".parse().unwrap(),
            until: "2026-12-01T12:00:00Z".parse().unwrap(),
            more: 2,
        };
        assert_eq!(rows[0].problems, [first]);
    }
}
