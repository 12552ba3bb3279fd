//! The lost instance in a Terraform state: its settings and its address. No I/O.
//!
//! A state holds secrets in plaintext. Only the fields below are stored, and no text quotes a state. Source: Terraform's
//! `internal/states/statefile/version4.go`; the attributes are those of the AWS provider's `aws_db_instance`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::settings::Settings;

/// Terraform's type of an instance.
const TYPE: &str = "aws_db_instance";

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    resources: Vec<Resource<'a>>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(default)]
    module: Option<String>,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    name: String,
    #[serde(borrow, default)]
    instances: Vec<Instance<'a>>,
}

#[derive(Deserialize)]
struct Instance<'a> {
    #[serde(default)]
    index_key: Option<Value>,
    #[serde(default)]
    deposed: Option<String>,
    /// Read only for an instance of RDS: other types give the same names other types.
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    identifier: Option<String>,
    resource_id: Option<String>,
    instance_class: Option<String>,
    multi_az: Option<bool>,
    db_subnet_group_name: Option<String>,
    vpc_security_group_ids: Option<Vec<String>>,
    parameter_group_name: Option<String>,
    option_group_name: Option<String>,
    port: Option<i32>,
    storage_type: Option<String>,
    allocated_storage: Option<i32>,
    max_allocated_storage: Option<i32>,
    iops: Option<i32>,
    storage_throughput: Option<i32>,
    iam_database_authentication_enabled: Option<bool>,
    enabled_cloudwatch_logs_exports: Option<Vec<String>>,
    copy_tags_to_snapshot: Option<bool>,
    auto_minor_version_upgrade: Option<bool>,
    ca_cert_identifier: Option<String>,
    backup_retention_period: Option<i32>,
    backup_window: Option<String>,
    maintenance_window: Option<String>,
    monitoring_interval: Option<i32>,
    monitoring_role_arn: Option<String>,
    performance_insights_enabled: Option<bool>,
    performance_insights_kms_key_id: Option<String>,
    performance_insights_retention_period: Option<i32>,
    tags_all: Option<BTreeMap<String, Option<String>>>,
}

/// The instance as a state has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Known {
    /// Its address, for `terraform state rm` and `terraform import`.
    pub address: String,
    /// RDS's id of it.
    pub resource: Option<String>,
    /// Its settings.
    pub settings: Settings,
}

/// Finds an instance in a state by its identifier; none if the state does not have it, or is not a state.
pub(crate) fn find(bytes: &[u8], identifier: &str) -> Option<Known> {
    let file: File<'_> = serde_json::from_slice(bytes).ok()?;
    let instances = file.resources.into_iter().filter(|it| it.r#type == TYPE && it.mode != "data");
    instances
        .flat_map(|resource| {
            let Resource { module, r#type: kind, name, instances, .. } = resource;
            let base = module.into_iter().chain([kind, name]).collect::<Vec<_>>().join(".");
            instances.into_iter().map(move |instance| (base.clone(), instance))
        })
        .filter(|(_, instance)| instance.deposed.is_none())
        .find_map(|(base, instance)| {
            let attributes: Attributes = serde_json::from_str(instance.attributes?.get()).ok()?;
            (attributes.identifier.as_deref() == Some(identifier)).then(|| Known {
                address: addressed(base, instance.index_key.as_ref()),
                resource: text(attributes.resource_id.clone()),
                settings: settings(attributes),
            })
        })
}

fn addressed(base: String, index: Option<&Value>) -> String {
    match index {
        Some(Value::Number(number)) => format!("{base}[{number}]"),
        // A JSON string is an HCL string, but for templates.
        Some(Value::String(key)) => {
            format!("{base}[{}]", Value::from(key.replace("${", "$${").replace("%{", "%%{")))
        }
        _ => base,
    }
}

fn text(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn settings(found: Attributes) -> Settings {
    // The provider writes 0 for what is not set.
    let positive = |number: Option<i32>| number.filter(|number| *number > 0);
    let tags = found.tags_all.unwrap_or_default().into_iter();
    Settings {
        class: text(found.instance_class),
        multi_az: found.multi_az,
        subnet_group: text(found.db_subnet_group_name),
        security_groups: found.vpc_security_group_ids.unwrap_or_default(),
        parameter_group: text(found.parameter_group_name),
        option_group: text(found.option_group_name),
        port: positive(found.port),
        storage_type: text(found.storage_type),
        storage: positive(found.allocated_storage),
        max_storage: positive(found.max_allocated_storage),
        iops: positive(found.iops),
        throughput: positive(found.storage_throughput),
        iam_login: found.iam_database_authentication_enabled,
        log_exports: found.enabled_cloudwatch_logs_exports.unwrap_or_default(),
        copy_tags: found.copy_tags_to_snapshot,
        minor_upgrades: found.auto_minor_version_upgrade,
        certificate: text(found.ca_cert_identifier),
        retention: found.backup_retention_period,
        backup_window: text(found.backup_window),
        maintenance_window: text(found.maintenance_window),
        monitoring: positive(found.monitoring_interval),
        monitoring_role: text(found.monitoring_role_arn),
        insights: found.performance_insights_enabled,
        insights_key: text(found.performance_insights_kms_key_id),
        insights_retention: positive(found.performance_insights_retention_period),
        tags: tags.filter_map(|(key, value)| Some((key, value?))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(index: Value) -> Vec<u8> {
        let attributes = json!({"identifier": "moveongs-dev-db", "instance_class": "db.t4g.small", "multi_az": false,
            "db_subnet_group_name": "db", "vpc_security_group_ids": ["sg-1"], "parameter_group_name": "pg15", "iops": 0,
            "resource_id": "db-A", "password": "never-stored", "tags_all": {"Project": "moveongs"}, "replicas": []});
        let resource = json!({"module": "module.rds.module.db_instance", "mode": "managed", "type": "aws_db_instance",
            "name": "this", "instances": [{"index_key": 0, "deposed": "x", "attributes": attributes}, {"index_key": index, "attributes": attributes}]});
        let other = json!({"mode": "managed", "type": "aws_s3_bucket", "name": "b", "instances": [{"attributes": {"identifier": 7}}]});
        json!({"version": 4, "resources": [other, resource]}).to_string().into_bytes()
    }

    #[test]
    fn the_lost_instance_is_found_with_its_settings() {
        let base = "module.rds.module.db_instance.aws_db_instance.this";
        for (index, address) in [
            (json!(0), format!("{base}[0]")),
            (json!("a${b}"), format!(r#"{base}["a$${{b}}"]"#)),
            (Value::Null, base.to_owned()),
        ] {
            let known = find(&state(index), "moveongs-dev-db").unwrap();
            assert_eq!((known.address, known.resource.as_deref()), (address, Some("db-A")));
            assert_eq!((known.settings.missing(), known.settings.iops), (vec![], None));
            assert_eq!(known.settings.class.as_deref(), Some("db.t4g.small"));
            assert!(!format!("{:?}", known.settings).contains("never-stored"));
        }
        assert_eq!(find(&state(Value::Null), "other"), None);
        assert_eq!(find(b"{}", "moveongs-dev-db"), None);
        assert_eq!(find(b"binary", "moveongs-dev-db"), None);
    }
}
