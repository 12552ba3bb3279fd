//! The parameter that makes an engine refuse connections without TLS.

use shared::command;
use shared::run::command::Command;

use super::state::{is_multi_az_cluster, owns_backups};
use crate::rules::facts::{Form, Instance, Parameter};
use crate::rules::rule::{Context, Meta, Rule, Severity, Verdict, seen};

pub(super) const FORCE_SSL: Rule<Instance> = Rule {
    meta: Meta {
        id: "rds.force-ssl",
        severity: Severity::Medium,
        guide: "app 7",
        title: ["conexões sem TLS recusadas pelo banco", "the database refuses connections without TLS"],
        why: [
            "sem isso um cliente que não pede TLS manda a senha e os dados em claro",
            "otherwise a client that does not ask for TLS sends password and data in clear text",
        ],
    },
    check: forces_tls,
    command: |db, context| {
        let parameter = db.engine.as_deref().and_then(tls_parameter).unwrap_or("rds.force_ssl");
        let found = db.tls_parameter.as_ref().and_then(|found| found.as_ref().ok());
        let set = match (db.parameter_groups.first(), found.and_then(Option::as_ref)) {
            (Some(group), Some(found)) if !group.starts_with("default.") => {
                force_tls(db, group, parameter, found)
            }
            (Some(group), None) if !group.starts_with("default.") => {
                command!(
                    "# docs/backups.md#regras: {group} não tem / does not have {parameter}",
                    group,
                    parameter
                )
            }
            _ => command!(
                "# docs/backups.md#regras: rds.parameter-group, {parameter}=1, {project}-{environment}",
                parameter,
                project = context.project,
                environment = context.environment
            ),
        };
        command!("{set}  # {name}", set, name = db.name)
    },
};

/// The parameter that makes an engine refuse connections without TLS; none if it has no such parameter.
pub(crate) fn tls_parameter(engine: &str) -> Option<&'static str> {
    match engine {
        "postgres" | "aurora-postgresql" => Some("rds.force_ssl"),
        "mysql" | "aurora-mysql" | "mariadb" => Some("require_secure_transport"),
        engine if engine.starts_with("sqlserver-") => Some("rds.force_ssl"),
        _ => None,
    }
}

/// Whether an engine refuses connections without TLS if the parameter group does not set it; none if AWS does not
/// document the version's default. Sources, in the RDS and Aurora user guides: "Requiring SSL/TLS for all connections
/// to a MySQL DB instance" and "... to a MariaDB DB instance", "Requiring an SSL/TLS connection to an Aurora MySQL DB
/// cluster", "Forcing connections to your DB instance to use SSL" (SQL Server).
fn tls_default(engine: &str, version: (u16, u16)) -> Option<bool> {
    let changed = |last_off: (u16, u16), first_on: (u16, u16)| {
        (version <= last_off || version >= first_on).then_some(version >= first_on)
    };
    match engine {
        "postgres" => Some(version.0 >= 15),
        "aurora-postgresql" => Some(version.0 >= 17),
        "mysql" => changed((8, 4), (9, 7)),
        "mariadb" => changed((11, 4), (11, 8)),
        "aurora-mysql" => Some(false),
        engine if engine.starts_with("sqlserver-") => Some(false),
        _ => None,
    }
}

/// Major and minor number of a version. For PostgreSQL only the first one matters.
fn numbers(version: &str) -> Option<(u16, u16)> {
    let mut parts = version.split('.').map(|part| part.parse::<u16>().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
}

pub(super) fn forces_tls(db: &Instance, _: &Context<'_>) -> Option<Verdict> {
    if !owns_backups(db) {
        return None;
    }
    let Some(engine) = db.engine.as_deref() else { return Some(Verdict::missing("Engine")) };
    let parameter = tls_parameter(engine)?;
    let Some(found) = &db.tls_parameter else {
        return Some(Verdict::Unknown(format!("{parameter} was not read")));
    };
    let expected = format!("{parameter} 1");
    Some(seen(found, |found| {
        if let Some(value) = found.as_ref().and_then(|found| found.value.as_deref()) {
            let is_on = matches!(value.to_ascii_lowercase().as_str(), "1" | "on" | "true");
            if is_on && db.waits_for_reboot {
                return Verdict::Unknown(format!(
                    "{parameter} {value}, but parameters of the group wait for a reboot (ParameterApplyStatus pending-reboot)"
                ));
            }
            return Verdict::of(is_on, format!("{parameter} {value}"), expected);
        }
        let Some(version) = db.version.as_deref().and_then(numbers) else {
            return Verdict::missing("EngineVersion");
        };
        match tls_default(engine, version) {
            Some(is_on) => Verdict::of(is_on, format!("{parameter} not set"), expected),
            None => Verdict::Unknown(format!(
                "the parameter group does not set {parameter}, and AWS documents no default for {engine} {}.{}",
                version.0, version.1
            )),
        }
    }))
}

/// Sets the parameter that forces TLS. RDS refuses `immediate` for a static parameter.
pub(super) fn force_tls(db: &Instance, group: &str, parameter: &str, found: &Parameter) -> Command {
    let of = (db.form == Form::Cluster).then(|| command!("cluster-"));
    let allowed = found.allowed.as_deref().unwrap_or_default();
    let mut allowed = allowed.split(',').map(str::trim);
    // Aurora MySQL takes `ON`, others `1`.
    let on = allowed.find(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "on")).unwrap_or("1");
    let method = if found.is_static == Some(false) { "immediate" } else { "pending-reboot" };
    let set = command!(
        "aws rds modify-db-{of}parameter-group --db-{of}parameter-group-name {group} --parameters ParameterName={parameter},ParameterValue={on},ApplyMethod={method}",
        of,
        group,
        parameter,
        on,
        method
    );
    if method == "immediate" {
        return set;
    }
    let reboot = match db.form {
        Form::Cluster if is_multi_az_cluster(db) => {
            command!("aws rds reboot-db-cluster --db-cluster-identifier {name}", name = db.name)
        }
        // Every member needs a reboot.
        Form::Cluster => command!("aws rds reboot-db-instance --db-instance-identifier …"),
        _ => command!("aws rds reboot-db-instance --db-instance-identifier {name}", name = db.name),
    };
    command!("{set}  # vale depois de reiniciar / takes effect after a reboot: {reboot}", set, reboot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rds::INSTANCE;
    use crate::rules::rds::tests::{instance, tls_of};
    use crate::rules::rule::tests::{DB, context, row};

    /// RDS refuses `immediate` for a static parameter.
    #[test]
    fn the_parameter_that_forces_tls_is_set_with_a_method_that_rds_accepts() {
        let set = "aws rds modify-db-parameter-group --db-parameter-group-name moveongs-prod-db --parameters ParameterName";
        let reboot = "# vale depois de reiniciar / takes effect after a reboot: aws rds reboot-db-instance --db-instance-identifier moveongs-prod-db";
        for (engine, is_static, allowed, expected) in [
            (
                "postgres",
                Some(false),
                Some("0,1"),
                format!("{set}=rds.force_ssl,ParameterValue=1,ApplyMethod=immediate  # {DB}"),
            ),
            (
                "sqlserver-se",
                Some(true),
                Some("0,1"),
                format!("{set}=rds.force_ssl,ParameterValue=1,ApplyMethod=pending-reboot  {reboot}  # {DB}"),
            ),
            (
                "mysql",
                None,
                None,
                format!(
                    "{set}=require_secure_transport,ParameterValue=1,ApplyMethod=pending-reboot  {reboot}  # {DB}"
                ),
            ),
            (
                "mysql",
                Some(false),
                Some("ON, OFF"),
                format!("{set}=require_secure_transport,ParameterValue=ON,ApplyMethod=immediate  # {DB}"),
            ),
        ] {
            let change = |db: &mut Instance| {
                db.engine = Some(engine.to_owned());
                let (value, allowed) = (Some("0".to_owned()), allowed.map(str::to_owned));
                db.tls_parameter = Some(Ok(Some(Parameter { value, is_static, allowed })));
            };
            let row = row(INSTANCE, "rds.force-ssl", DB, &instance(), change, &context()).unwrap();
            assert_eq!(row.next_step(), expected);
        }
        let lacks = |db: &mut Instance| {
            tls_of(db, "mariadb", "10.4.32", None);
            db.tls_parameter = Some(Ok(None));
        };
        let row = row(INSTANCE, "rds.force-ssl", DB, &instance(), lacks, &context()).unwrap();
        assert!(row.next_step().starts_with("# docs/backups.md#regras: "), "{}", row.next_step());
    }
}
