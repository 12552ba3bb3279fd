//! The application's infrastructure, as AWS shows it. Source: the application's facts, section 7.

use serde_json::json;
use shared::command;
use shared::run::command::Command;

use super::facts::{Account, Protected, Seen, Service, Vault};
use super::plans::select;
use super::rule::{Context, Meta, Rule, Severity, Verdict, matches, seen, switch};

/// The cluster has a service.
pub(crate) static NO_SERVICE: Meta = Meta {
    id: "ecs.exists",
    severity: Severity::High,
    guide: "app 7",
    title: ["o cluster tem um serviço", "the cluster has a service"],
    why: [
        "num cluster vazio, ou no cluster errado, nenhuma regra da aplicação é verificada",
        "in an empty or wrong cluster no rule about the application is checked",
    ],
};

/// Log group of the application's tasks.
pub(crate) fn log_group(context: &Context<'_>) -> String {
    format!("/aws/ecs/{}-{}-api", context.project, context.environment)
}

fn update(service: &Service, context: &Context<'_>, change: &Command) -> Command {
    command!(
        "aws ecs update-service --cluster {cluster} --service {service} {change}",
        cluster = context.cluster,
        service = service.name,
        change
    )
}

/// Every rule for a service.
pub(crate) static SERVICE: &[Rule<Service>] = &[
    Rule {
        meta: Meta {
            id: "ecs.circuit-breaker",
            severity: Severity::Medium,
            guide: "app 7",
            title: ["disjuntor de deployment", "deployment circuit breaker"],
            why: [
                "sem ele um deployment que falha tenta para sempre e não volta",
                "without it a failing deployment retries for ever and is not rolled back",
            ],
        },
        check: |service, _| {
            Some(switch(service.has_circuit_breaker, "deploymentCircuitBreaker.enable and .rollback", true))
        },
        command: |service, context| {
            update(
                service,
                context,
                &command!(
                    "--deployment-configuration 'deploymentCircuitBreaker={{enable=true,rollback=true}}'"
                ),
            )
        },
    },
    Rule {
        meta: Meta {
            id: "ecs.grace-period",
            severity: Severity::Low,
            guide: "app 7",
            title: ["carência da verificação de saúde", "health check grace period"],
            why: [
                "sem ela uma tarefa que demora a subir é morta antes",
                "without it a task that starts slowly is stopped too early",
            ],
        },
        check: |service, _| {
            service.is_balanced.then(|| match service.grace_seconds {
                None => Verdict::missing("healthCheckGracePeriodSeconds"),
                Some(seconds) => {
                    Verdict::of(seconds > 0, format!("healthCheckGracePeriodSeconds {seconds}"), "≥ 1")
                }
            })
        },
        command: |service, context| {
            update(service, context, &command!("--health-check-grace-period-seconds 60"))
        },
    },
    Rule {
        meta: Meta {
            id: "ecs.variables",
            severity: Severity::Medium,
            guide: "app 7",
            title: ["variáveis que a aplicação precisa receber", "variables that the application requires"],
            why: [
                "sem AUDIT_LOG_SIGNING_KEY, por exemplo, a trilha de auditoria não é assinada",
                "without AUDIT_LOG_SIGNING_KEY, for example, the audit trail is not signed",
            ],
        },
        check: |service, context| {
            Some(seen(&service.task, |task| {
                let is_given = |wanted: &&String| {
                    task.plain.iter().chain(&task.secret).any(|name| matches(wanted, name))
                };
                let missing: Vec<_> =
                    context.policy.variables.iter().filter(|wanted| !is_given(wanted)).cloned().collect();
                Verdict::of(
                    missing.is_empty(),
                    format!("missing: {}", missing.join(", ")),
                    "backups.audit.variables",
                )
            }))
        },
        command: |service, _| {
            command!("# infra/terraform: aws_ecs_task_definition {service}", service = service.name)
        },
    },
    Rule {
        meta: Meta {
            id: "ecs.secrets",
            severity: Severity::High,
            guide: "app 7",
            title: ["segredos fora das variáveis em claro", "no secrets in clear-text variables"],
            why: [
                "quem descreve a task definition lê a variável",
                "anyone who may describe the task definition can read the variable",
            ],
        },
        check: |service, context| {
            Some(seen(&service.task, |task| {
                let in_clear: Vec<_> = context
                    .policy
                    .secret_variables
                    .iter()
                    .filter(|name| task.plain.contains(*name))
                    .cloned()
                    .collect();
                Verdict::of(
                    in_clear.is_empty(),
                    format!("environment: {}", in_clear.join(", ")),
                    "secrets[].valueFrom",
                )
            }))
        },
        command: |service, _| {
            command!(
                "# infra/terraform: aws_ecs_task_definition {service}: environment → secrets",
                service = service.name
            )
        },
    },
    Rule {
        meta: Meta {
            id: "iam.object-versions",
            severity: Severity::Low,
            guide: "app 7",
            title: [
                "a aplicação pode ler versões antigas dos anexos",
                "the application may read old versions of attachments",
            ],
            why: [
                "sem s3:GetObjectVersion a restauração de um anexo passa por uma pessoa",
                "without s3:GetObjectVersion restoring an attachment needs a person",
            ],
        },
        check: |service, _| {
            Some(seen(&service.reads_versions, |reads| match reads {
                None => Verdict::fail("no taskRoleArn", "a task role with s3:GetObjectVersion"),
                Some(reads) => Verdict::of(*reads, "s3:GetObjectVersion denied", "allowed"),
            }))
        },
        command: |service, context| {
            let role = service.task.as_ref().ok().and_then(|task| task.role.as_deref());
            let objects = format!("arn:aws:s3:::{}/*", context.attachments);
            let allow = json!({"Effect": "Allow", "Action": "s3:GetObjectVersion", "Resource": objects});
            let document = json!({"Version": "2012-10-17", "Statement": [allow]}).to_string();
            command!(
                "aws iam put-role-policy --role-name {role} --policy-name attachment-versions --policy-document {document}",
                role = role.and_then(|role| role.rsplit('/').next()).unwrap_or("…"),
                document
            )
        },
    },
];

fn exists(fact: &Seen<bool>, what: &str) -> Option<Verdict> {
    Some(seen(fact, |found| Verdict::of(*found, format!("no {what}"), format!("one {what} or more"))))
}

/// Every rule for the account.
pub(crate) static ACCOUNT: &[Rule<Account>] = &[
    Rule {
        meta: Meta {
            id: "account.alarms",
            severity: Severity::Medium,
            guide: "app 7",
            title: ["alarmes do CloudWatch da aplicação", "CloudWatch alarms on the application"],
            why: [
                "sem alarmes da aplicação ninguém sabe que ela caiu",
                "without alarms for the application an outage goes unnoticed",
            ],
        },
        check: |account, _| exists(&account.has_alarms, "alarm"),
        command: |_, _| command!("# docs/observability/alertas.md: aws cloudwatch put-metric-alarm …"),
    },
    Rule {
        meta: Meta {
            id: "account.log-filters",
            severity: Severity::Medium,
            guide: "4.1",
            title: [
                "filtro de métrica nos logs da aplicação, com alarme que age",
                "metric filter on the application's logs, with an alarm that has an action",
            ],
            why: [
                "o guia pede filtros para erros críticos nos logs; um que nenhum alarme olha não acorda ninguém",
                "the guide requires filters for critical errors in the logs; one without an alarm notifies no one",
            ],
        },
        check: |account, context| {
            Some(seen(&account.log_watch, |watch| {
                let group = log_group(context);
                let found = if watch.counted.is_empty() {
                    format!("no metric filter on {group}")
                } else {
                    let all = watch.counted.iter().map(|(namespace, name)| format!("{namespace} {name}"));
                    format!("no alarm with an action on {}", all.collect::<Vec<_>>().join(", "))
                };
                let expected =
                    format!("a metric filter on {group}, and an alarm with an action on its metric");
                Verdict::of(!watch.alarmed.is_empty(), found, expected)
            }))
        },
        command: |account, context| {
            let Context { project, environment, .. } = context;
            // If a filter exists, its metric only lacks the alarm.
            let counted = account.log_watch.iter().find_map(|watch| watch.counted.first());
            let alarm = |namespace: &str, name: &str| {
                command!(
                    "aws cloudwatch put-metric-alarm --alarm-name {project}-{environment}-api-unhandled-error --namespace {namespace} --metric-name {name} --statistic Sum --period 300 --evaluation-periods 1 --threshold 1 --comparison-operator GreaterThanOrEqualToThreshold --treat-missing-data notBreaching --alarm-actions \"$(aws sns list-topics --query \"Topics[?ends_with(TopicArn, ':{project}-{environment}-paging')].TopicArn\" --output text)\"",
                    project,
                    environment,
                    namespace,
                    name
                )
            };
            match counted {
                Some((namespace, name)) => alarm(namespace, name),
                None => command!(
                    "aws logs put-metric-filter --log-group-name {group} --filter-name unhandled-error --filter-pattern '{{ $.level = \"error\" && $.message = \"unhandled error\" }}' --metric-transformations metricName=UnhandledErrors,metricNamespace={project}/{environment},metricValue=1; {alarm}",
                    group = log_group(context),
                    project,
                    environment,
                    alarm = alarm(&format!("{project}/{environment}"), "UnhandledErrors")
                ),
            }
        },
    },
    Rule {
        meta: Meta {
            id: "account.backup-plan",
            severity: Severity::Low,
            guide: "app 7",
            title: ["algum plano do AWS Backup", "an AWS Backup plan exists"],
            why: [
                "uma segunda via dos backups, com cofre próprio",
                "a second copy of the backups, in a separate vault",
            ],
        },
        check: |account, _| exists(&account.has_backup_plan, "plan"),
        command: |_, _| command!("aws backup create-backup-plan --backup-plan file://plan.json"),
    },
    Rule {
        meta: Meta {
            id: "account.vpc-endpoints",
            severity: Severity::Low,
            guide: "app 7",
            title: ["endpoints da VPC", "VPC endpoints"],
            why: [
                "sem eles o tráfego para o S3 e os segredos sai da VPC",
                "without them traffic to S3 and Secrets Manager leaves the VPC",
            ],
        },
        check: |account, _| exists(&account.has_endpoints, "endpoint"),
        command: |_, _| command!("aws ec2 create-vpc-endpoint --vpc-id … --service-name com.amazonaws.…"),
    },
];

/// Every rule for resources, other than databases, that an AWS Backup plan should select.
pub(crate) static PROTECTED: &[Rule<Protected>] = &[Rule {
    meta: Meta {
        id: "account.in-backup-plan",
        severity: Severity::Low,
        guide: "app 7",
        title: ["bucket ou tabela num plano do AWS Backup", "bucket or table in an AWS Backup plan"],
        why: [
            "um plano que não escolhe o recurso não guarda nada dele",
            "a plan does not back up a resource that it does not select",
        ],
    },
    check: |resource, _| {
        Some(seen(&resource.plans, |plans| Verdict::of(!plans.is_empty(), "no plan", "one plan or more")))
    },
    command: |resource, _| select(&resource.name, &resource.arn),
}];

/// Every rule for a vault that an AWS Backup plan uses. Recovery points of RDS keep the key of their database.
pub(crate) static VAULT: &[Rule<Vault>] = &[
    Rule {
        meta: Meta {
            id: "account.backup-vault-key",
            severity: Severity::Low,
            guide: "app 7",
            title: ["cofre do AWS Backup cifrado", "encrypted AWS Backup vault"],
            why: [
                "uma cópia sob a chave padrão aws/backup não pode ir para outra conta",
                "a backup under the default key aws/backup cannot be copied to another account",
            ],
        },
        check: |vault, context| {
            Some(seen(&vault.key, |key| match (key.as_deref(), context.key) {
                (None, _) => Verdict::fail("no EncryptionKeyArn", context.key.unwrap_or("EncryptionKeyArn")),
                (Some(_), None) => Verdict::Pass,
                (Some(found), Some(expected)) => {
                    Verdict::of(found == expected, format!("EncryptionKeyArn {found}"), expected)
                }
            }))
        },
        // A vault's key cannot be changed.
        command: |vault, context| {
            command!(
                "aws backup create-backup-vault --backup-vault-name {vault}-2 --encryption-key-arn {key}",
                vault = vault.name,
                key = context.key.unwrap_or("…")
            )
        },
    },
    Rule {
        meta: Meta {
            id: "account.backup-vault-lock",
            severity: Severity::Low,
            guide: "app 7",
            title: ["cofre do AWS Backup com trava", "locked AWS Backup vault"],
            why: [
                "sem a trava quem tem a conta apaga os pontos de recuperação antes do prazo",
                "without the lock anyone with control of the account can delete recovery points early",
            ],
        },
        check: |vault, _| {
            Some(seen(&vault.locked_days, |days| {
                Verdict::of(days.is_some_and(|days| days > 0), "no LockConfiguration", "MinRetentionDays ≥ 1")
            }))
        },
        command: |vault, context| {
            command!(
                "aws backup put-backup-vault-lock-configuration --backup-vault-name {vault} --min-retention-days {days}",
                vault = vault.name,
                days = context.retention_days.unwrap_or(7)
            )
        },
    },
];

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::rules::facts::{LogWatch, Task};
    use crate::rules::plans::tests::plan;
    use crate::rules::rule::tests::Case::{Broken, Dark, Edge, Holds};
    use crate::rules::rule::tests::{FILES, KEY, Rows, check, context, row, unread};

    fn service() -> Service {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Service {
            name: "moveongs-prod-api".to_owned(),
            arn: "arn:aws:ecs:us-east-1:111122223333:service/moveongs-prod-cluster/moveongs-prod-api"
                .to_owned(),
            has_circuit_breaker: Some(true),
            is_balanced: true,
            grace_seconds: Some(60),
            task: Ok(Task {
                plain: names(&["ANTIVIRUS_HOST"]),
                secret: names(&["KEY", "JWT_SECRET"]),
                role: Some("arn:aws:iam::111122223333:role/moveongs-prod-task".to_owned()),
            }),
            reads_versions: Ok(Some(true)),
        }
    }

    fn watched(is_alarmed: bool) -> LogWatch {
        let metric = BTreeSet::from([("moveongs/prod".to_owned(), "UnhandledErrors".to_owned())]);
        LogWatch { alarmed: if is_alarmed { metric.clone() } else { BTreeSet::new() }, counted: metric }
    }

    fn account() -> Account {
        Account {
            has_alarms: Ok(true),
            log_watch: Ok(watched(true)),
            has_backup_plan: Ok(true),
            has_endpoints: Ok(true),
        }
    }

    fn protected() -> Protected {
        let plans = Ok(vec![Arc::new(plan(json!({}), None))]);
        Protected { name: FILES.to_owned(), arn: format!("arn:aws:s3:::{FILES}"), plans }
    }

    fn vault() -> Vault {
        let arn = "arn:aws:backup:us-east-1:111122223333:backup-vault:main".to_owned();
        Vault { name: "main".to_owned(), arn, key: Ok(Some(KEY.to_owned())), locked_days: Ok(Some(7)) }
    }

    pub(crate) const SERVICES: Rows<Service> = &[
        ("ecs.circuit-breaker", Holds, |_| ()),
        ("ecs.circuit-breaker", Broken, |service| service.has_circuit_breaker = Some(false)),
        ("ecs.circuit-breaker", Dark, |service| service.has_circuit_breaker = None),
        ("ecs.circuit-breaker", Edge("pass"), |service| service.task = unread()),
        ("ecs.grace-period", Holds, |_| ()),
        ("ecs.grace-period", Edge("pass"), |service| service.grace_seconds = Some(1)),
        ("ecs.grace-period", Broken, |service| service.grace_seconds = Some(0)),
        ("ecs.grace-period", Dark, |service| service.grace_seconds = None),
        ("ecs.grace-period", Edge("-"), |service| {
            (service.is_balanced, service.grace_seconds) = (false, Some(0))
        }),
        ("ecs.variables", Holds, |_| ()),
        ("ecs.variables", Edge("pass"), |service| given(service, &["KEY"], &["ANTIVIRUS_"])),
        ("ecs.variables", Edge("fail"), |service| given(service, &["KEYS"], &["ANTIVIRUS_HOST"])),
        ("ecs.variables", Broken, |service| given(service, &[], &[])),
        ("ecs.variables", Dark, |service| service.task = unread()),
        ("ecs.secrets", Holds, |_| ()),
        ("ecs.secrets", Edge("pass"), |service| given(service, &["JWT_SECRET_TTL"], &["JWT_SECRET"])),
        ("ecs.secrets", Edge("fail"), |service| given(service, &["JWT_SECRET"], &["JWT_SECRET"])),
        ("ecs.secrets", Broken, |service| given(service, &["DATABASE_URL", "REDIS_URL"], &[])),
        ("ecs.secrets", Dark, |service| service.task = unread()),
        ("iam.object-versions", Holds, |_| ()),
        ("iam.object-versions", Broken, |service| service.reads_versions = Ok(Some(false))),
        ("iam.object-versions", Edge("fail"), |service| service.reads_versions = Ok(None)),
        ("iam.object-versions", Dark, |service| service.reads_versions = unread()),
    ];

    fn given(service: &mut Service, plain: &[&str], secret: &[&str]) {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        service.task = Ok(Task { plain: names(plain), secret: names(secret), role: None });
    }

    pub(crate) const ACCOUNTS: Rows<Account> = &[
        ("account.alarms", Holds, |_| ()),
        ("account.alarms", Broken, |account| account.has_alarms = Ok(false)),
        ("account.alarms", Dark, |account| account.has_alarms = unread()),
        ("account.alarms", Edge("pass"), |account| account.log_watch = unread()),
        ("account.log-filters", Holds, |_| ()),
        ("account.log-filters", Broken, |account| account.log_watch = Ok(LogWatch::default())),
        ("account.log-filters", Broken, |account| account.log_watch = Ok(watched(false))),
        ("account.log-filters", Dark, |account| account.log_watch = unread()),
        ("account.log-filters", Edge("pass"), |account| account.has_alarms = unread()),
        ("account.backup-plan", Holds, |_| ()),
        ("account.backup-plan", Broken, |account| account.has_backup_plan = Ok(false)),
        ("account.backup-plan", Dark, |account| account.has_backup_plan = unread()),
        ("account.backup-plan", Edge("pass"), |account| account.has_endpoints = unread()),
        ("account.vpc-endpoints", Holds, |_| ()),
        ("account.vpc-endpoints", Broken, |account| account.has_endpoints = Ok(false)),
        ("account.vpc-endpoints", Dark, |account| account.has_endpoints = unread()),
        ("account.vpc-endpoints", Edge("pass"), |account| account.has_backup_plan = unread()),
    ];

    pub(crate) const PROTECTEDS: Rows<Protected> = &[
        ("account.in-backup-plan", Holds, |_| ()),
        ("account.in-backup-plan", Broken, |resource| resource.plans = Ok(Vec::new())),
        ("account.in-backup-plan", Dark, |resource| resource.plans = unread()),
        ("account.in-backup-plan", Edge("pass"), |resource| {
            resource.plans = Ok(vec![Arc::new(plan(json!({}), None)), Arc::new(plan(json!({}), None))]);
        }),
    ];

    pub(crate) const VAULTS: Rows<Vault> = &[
        ("account.backup-vault-key", Holds, |_| ()),
        ("account.backup-vault-key", Broken, |vault| vault.key = Ok(None)),
        ("account.backup-vault-key", Edge("fail"), |vault| vault.key = Ok(Some(format!("{KEY}-another")))),
        ("account.backup-vault-key", Dark, |vault| vault.key = unread()),
        ("account.backup-vault-lock", Holds, |_| ()),
        ("account.backup-vault-lock", Broken, |vault| vault.locked_days = Ok(None)),
        ("account.backup-vault-lock", Edge("pass"), |vault| vault.locked_days = Ok(Some(1))),
        ("account.backup-vault-lock", Edge("fail"), |vault| vault.locked_days = Ok(Some(0))),
        ("account.backup-vault-lock", Dark, |vault| vault.locked_days = unread()),
    ];

    #[test]
    fn every_rule_of_a_service() {
        check(SERVICE, "moveongs-prod-api", &service(), SERVICES);
    }

    #[test]
    fn every_rule_of_protected_resources_and_vaults() {
        check(PROTECTED, FILES, &protected(), PROTECTEDS);
        check(VAULT, "main", &vault(), VAULTS);
    }

    #[test]
    fn every_rule_of_the_account() {
        check(ACCOUNT, "111122223333", &account(), ACCOUNTS);
    }

    #[test]
    fn a_metric_that_exists_only_gets_an_alarm() {
        let command = |namespace: &str| {
            let counted = BTreeSet::from([(namespace.to_owned(), "Errors".to_owned())]);
            let change = |account: &mut Account| {
                account.log_watch = Ok(LogWatch { counted: counted.clone(), alarmed: BTreeSet::new() });
            };
            let row = row(ACCOUNT, "account.log-filters", "account", &account(), change, &context());
            row.unwrap().next_step()
        };
        let shown = command("shop/api");
        assert!(shown.starts_with("aws cloudwatch put-metric-alarm "), "{shown}");
        assert!(shown.contains(" --namespace shop/api --metric-name Errors "), "{shown}");
        // The name is foreign text.
        let shown = command("$(curl example.org) 'x");
        assert!(shown.contains(r" --namespace '$(curl example.org) '\''x' --metric-name Errors "), "{shown}");
    }

    #[test]
    fn a_foreign_name_is_one_word_of_a_command() {
        let change = |service: &mut Service| {
            (service.name, service.has_circuit_breaker) = ("a $(reboot)".to_owned(), Some(false));
        };
        let row = row(SERVICE, "ecs.circuit-breaker", "a", &service(), change, &context()).unwrap();
        assert!(row.next_step().contains(" --service 'a $(reboot)' --"), "{row:?}");
    }
}
