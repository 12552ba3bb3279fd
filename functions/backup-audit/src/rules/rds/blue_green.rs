//! Blue/green deployments.

use shared::command;

use crate::rules::facts::{Deployment, Instance, Pair, Side};
use crate::rules::rule::{Meta, Rule, Severity, Verdict, seen};

pub(super) const BLUE_GREEN: Rule<Instance> = Rule {
    meta: Meta {
        id: "rds.blue-green",
        severity: Severity::Low,
        guide: "2.1.1",
        title: ["sem implantação azul/verde em aberto", "no open blue/green deployment"],
        why: [
            "até a troca há dois bancos, e depois dela sobra o antigo; as regras de backup valem para o que está em produção",
            "until the switchover there are two databases, and after it the old one remains; the backup rules apply to the one in production",
        ],
    },
    check: |db, _| {
        Some(match &db.deployment {
            None => Verdict::Unknown("the blue/green deployments were not read".to_owned()),
            Some(deployment) => seen(deployment, |deployment| match deployment {
                None => Verdict::Pass,
                Some(Deployment { id, status, side }) => {
                    let side = match side {
                        Side::Blue => "blue",
                        Side::Green => "green",
                        Side::Old => "old blue",
                    };
                    Verdict::fail(format!("{side} of {id} ({status})"), "no deployment")
                }
            }),
        })
    },
    command: |db, _| {
        let id = match &db.deployment {
            Some(Ok(Some(deployment))) => deployment.id.as_str(),
            _ => "…",
        };
        command!(
            "aws rds describe-blue-green-deployments --blue-green-deployment-identifier {id}  # {name}",
            id,
            name = db.name
        )
    },
};

/// A database's part in a blue/green deployment. After the switchover the previous production database keeps running
/// under a name that ends in `-old` and a number.
pub(crate) fn deployment(arn: &str, pairs: &[Pair]) -> Option<Deployment> {
    let is = |side: &Option<String>| side.as_deref() == Some(arn);
    let has_old_name = |arn: &str| {
        arn.rsplit_once("-old")
            .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_old = has_old_name(arn);
    pairs.iter().find_map(|pair| {
        // After the switchover the status may go on, e.g. to DELETING, but the names stay. Before it, a database in
        // production may have such a name by chance.
        let is_before = matches!(pair.status.as_str(), "PROVISIONING" | "AVAILABLE");
        let is_done = pair.status == "SWITCHOVER_COMPLETED"
            || (!is_before && pair.blue.as_deref().is_some_and(has_old_name));
        let side = match (is(&pair.blue), is(&pair.green)) {
            (true, _) if !is_done => Side::Blue,
            (_, true) if !is_done => Side::Green,
            (true, _) if is_old => Side::Old,
            _ => return None,
        };
        Some(Deployment { id: pair.id.clone(), status: pair.status.clone(), side })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_of_a_database_follows_from_status_and_name() {
        let arn = |name: &str| format!("arn:aws:rds:us-east-1:111122223333:db:{name}");
        let pairs = |status: &str, blue: &str| {
            vec![Pair {
                blue: Some(arn(blue)),
                green: Some(arn("db-green-abc123")),
                id: "bgd-1".to_owned(),
                status: status.to_owned(),
            }]
        };
        for (name, status, blue, expected) in [
            ("db", "AVAILABLE", "db", Some(Side::Blue)),
            ("db-green-abc123", "AVAILABLE", "db", Some(Side::Green)),
            ("db-green-abc123", "PROVISIONING", "db", Some(Side::Green)),
            ("db-green-abc123", "SWITCHOVER_FAILED", "db", Some(Side::Green)),
            ("db-old1", "SWITCHOVER_COMPLETED", "db-old1", Some(Side::Old)),
            ("db-old12", "SWITCHOVER_COMPLETED", "db-old12", Some(Side::Old)),
            // The production name counts, even if RDS still shows another ARN as the source.
            ("db", "SWITCHOVER_COMPLETED", "db", None),
            // Deleted after the switchover, or before it.
            ("db-green-abc123", "DELETING", "db-old1", None),
            ("db-old1", "DELETING", "db-old1", Some(Side::Old)),
            ("db-green-abc123", "INVALID_CONFIGURATION", "db-old1", None),
            ("db-green-abc123", "DELETING", "db", Some(Side::Green)),
            ("db", "DELETING", "db", Some(Side::Blue)),
            ("db-old1", "AVAILABLE", "db-old1", Some(Side::Blue)),
            ("db-olden", "SWITCHOVER_COMPLETED", "db-olden", None),
            ("db-green-abc123", "SWITCHOVER_COMPLETED", "db", None),
            ("another", "AVAILABLE", "db", None),
        ] {
            let found = deployment(&arn(name), &pairs(status, blue));
            assert_eq!(found.map(|found| found.side), expected, "{name} {status} {blue}");
        }
    }
}
