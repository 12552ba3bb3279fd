//! Buckets (guide, 2.2 and 2.3).

pub(crate) mod access;
mod command;
pub(crate) mod lifecycle;

use jiff::SignedDuration;
use serde_json::json;
use shared::command;
use shared::runtime::failure::CallError;

use access::{acl, block, foreign, named_strangers, outsiders, over_tls, public, tls_statement};
use command::{close, lifecycle, plan_or, put};
use lifecycle::{expiration, noncurrent};

use super::facts::{Bucket, Newest, Role};
use super::rule::{Context, Meta, Row, Rule, Severity, Verdict, declared, seen, utc};

/// A bucket that the stack names exists.
pub(crate) static MISSING: Meta = Meta {
    id: "s3.exists",
    severity: Severity::Critical,
    guide: "1",
    title: ["o bucket existe", "the bucket exists"],
    why: ["sem ele, o que ele guarda não está em lugar nenhum", "without it its content is stored nowhere"],
};

/// Grafana is exported: by this stack, or into a bucket that it names.
pub(crate) static GRAFANA_DECLARED: Meta = Meta {
    id: "grafana.declared",
    severity: Severity::Medium,
    guide: "2.3",
    title: ["exportação do Grafana", "export of Grafana"],
    why: [
        "o guia pede a exportação de dashboards e alertas a cada release",
        "the guide requires an export of dashboards and alerts with each release",
    ],
};

/// The bucket of the uploads exists under its usual name, if the stack does not name it.
pub(crate) static UPLOADS_DECLARED: Meta = Meta {
    id: "uploads.declared",
    severity: Severity::Medium,
    guide: "2.2",
    title: ["bucket dos uploads on-prem", "bucket of the on-prem uploads"],
    why: [
        "o guia pede o envio diário de UPLOADS_DIR; um bucket que some leva as próprias regras",
        "the guide requires UPLOADS_DIR to be sent every day; no rule can report on a bucket that has disappeared",
    ],
};

/// Whether the uploads' bucket exists under its usual name; unknown if the list was not read.
pub(crate) fn uploads(is_listed: Result<bool, &CallError>, context: &Context<'_>) -> Row {
    let name = format!("{}-{}-uploads", context.project, context.environment);
    let command = command!("parameter UploadsBucketName; docs/backups.md#envio-diário-on-prem");
    let there = |is_there| declared(&UPLOADS_DECLARED, &name, is_there, ("no bucket", &command), context);
    match is_listed {
        Ok(is_listed) => there(is_listed),
        Err(call) => Row { verdict: Verdict::Unknown(call.to_string()), ..there(true) },
    }
}

/// Whether the guide's retention applies to a bucket.
fn holds_files(bucket: &Bucket) -> bool {
    matches!(bucket.role, Role::Attachments | Role::Uploads | Role::Other)
}

/// Every rule for a bucket.
pub(crate) static BUCKET: &[Rule<Bucket>] = &[
    Rule {
        meta: Meta {
            id: "s3.versioning",
            severity: Severity::High,
            guide: "2.2",
            title: ["versionamento", "versioning"],
            why: [
                "só ele traz de volta o que foi apagado ou trocado",
                "nothing else restores a deleted or replaced object",
            ],
        },
        check: |bucket, _| {
            Some(seen(&bucket.versioning, |status| {
                let status = status.as_deref().unwrap_or("never enabled");
                Verdict::of(status == "Enabled", format!("Versioning {status}"), "Enabled")
            }))
        },
        command: |bucket, _| {
            put(bucket, "put-bucket-versioning", &command!("--versioning-configuration Status=Enabled"))
        },
    },
    Rule {
        meta: Meta {
            id: "s3.noncurrent",
            severity: Severity::Medium,
            guide: "2.2",
            title: ["retenção das versões antigas", "retention of old versions"],
            why: [
                "o guia pede versões antigas por 30 dias; sem regra elas ficam para sempre, com uma curta demais somem antes",
                "the guide requires old versions for 30 days; without a rule they stay for ever, with a shorter one they are deleted early",
            ],
        },
        check: |bucket, context| {
            holds_files(bucket).then(|| seen(&bucket.lifecycle, |rules| noncurrent(bucket, rules, context)))
        },
        command: |bucket, context| lifecycle(bucket, "s3.noncurrent", context),
    },
    Rule {
        meta: Meta {
            id: "s3.expiration",
            severity: Severity::High,
            guide: "2.2",
            title: ["nada que é atual expira", "current objects do not expire"],
            why: [
                "uma regra que apaga objetos atuais apaga os próprios anexos, ou esconde as evidências",
                "a rule that deletes current objects deletes attachments, or hides evidence",
            ],
        },
        check: |bucket, context| {
            let is_asked =
                matches!(bucket.role, Role::Attachments | Role::Evidence | Role::State | Role::Uploads);
            is_asked.then(|| seen(&bucket.lifecycle, |rules| expiration(bucket, rules, context)))
        },
        command: |bucket, _| {
            command!("aws s3api get-bucket-lifecycle-configuration --bucket {bucket}", bucket = bucket.name)
        },
    },
    Rule {
        meta: Meta {
            id: "s3.incomplete-uploads",
            severity: Severity::Low,
            guide: "2.2",
            title: ["uploads incompletos abortados", "incomplete uploads aborted"],
            why: ["as partes deles se pagam e ninguém as vê", "their parts cost money and are invisible"],
        },
        check: |bucket, context| {
            let most = i32::from(context.policy.incomplete_upload_days);
            holds_files(bucket).then(|| {
                seen(&bucket.lifecycle, |rules| {
                    let days = rules
                        .iter()
                        .filter(|rule| rule.is_enabled && rule.is_whole())
                        .filter_map(|rule| rule.incomplete_days)
                        .min();
                    let found =
                        days.map_or_else(|| "none".to_owned(), |days| format!("DaysAfterInitiation {days}"));
                    Verdict::of(
                        days.is_some_and(|days| days <= most),
                        format!("AbortIncompleteMultipartUpload {found}"),
                        format!("≤ {most} d"),
                    )
                })
            })
        },
        command: |bucket, context| lifecycle(bucket, "s3.incomplete-uploads", context),
    },
    Rule {
        meta: Meta {
            id: "s3.public-access-block",
            severity: Severity::Critical,
            guide: "2.2",
            title: ["bloqueio de acesso público", "public access block"],
            why: [
                "anexos e estado guardam dados pessoais e senhas",
                "attachments and state contain personal data and passwords",
            ],
        },
        check: |bucket, _| Some(block(bucket)),
        command: |bucket, _| close(bucket),
    },
    Rule {
        meta: Meta {
            id: "s3.public",
            severity: Severity::Critical,
            guide: "2.2",
            title: ["aberto a todos", "open to everyone"],
            why: [
                "a política ou a ACL dá a qualquer pessoa os anexos, o estado ou as evidências",
                "the policy or the ACL lets anyone read attachments, state or evidence",
            ],
        },
        check: |bucket, context| Some(public(bucket, context)),
        command: |bucket, _| close(bucket),
    },
    Rule {
        meta: Meta {
            id: "s3.foreign-access",
            severity: Severity::High,
            guide: "2.2",
            title: ["acesso de outras contas", "access by other accounts"],
            why: [
                "quem tem o acesso não responde a esta conta; as contas combinadas ficam na política",
                "other accounts are outside this one's control; the policy lists the agreed ones",
            ],
        },
        check: |bucket, context| Some(foreign(bucket, context)),
        command: |bucket, context| {
            let of_policy = named_strangers(bucket, context).is_ok_and(|strangers| !strangers.is_empty());
            let of_policy = of_policy.then(|| {
                command!(
                    "aws s3api get-bucket-policy --bucket {bucket} --query Policy --output text > policy.json && ${{EDITOR:-vi}} policy.json && aws s3api put-bucket-policy --bucket {bucket} --policy file://policy.json",
                    bucket = bucket.name
                )
            });
            let of_acl = acl(bucket).is_ok_and(|acl| !outsiders(acl).is_empty());
            let of_acl = of_acl.then(|| put(bucket, "put-bucket-acl", &command!("--acl private")));
            let both = of_policy.into_iter().chain(of_acl);
            both.reduce(|all, next| command!("{all}; {next}", all, next)).unwrap_or_default()
        },
    },
    Rule {
        meta: Meta {
            id: "s3.encryption",
            severity: Severity::High,
            guide: "2.2",
            title: ["cifra com a chave esperada", "encryption with the expected key"],
            why: [
                "quem lê o bucket sem a chave não lê o conteúdo",
                "without the key, access to the bucket is not enough to read its content",
            ],
        },
        check: encryption,
        command: |bucket, context| {
            let key = context.key.unwrap_or("…");
            let by_default = json!({"KMSMasterKeyID": key, "SSEAlgorithm": "aws:kms"});
            let rule = json!({"ApplyServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": true});
            let rule = json!({"Rules": [rule]}).to_string();
            put(
                bucket,
                "put-bucket-encryption",
                &command!("--server-side-encryption-configuration {rule}", rule),
            )
        },
    },
    Rule {
        meta: Meta {
            id: "s3.tls-only",
            severity: Severity::Medium,
            guide: "2.2",
            title: ["só por TLS", "over TLS only"],
            why: [
                "sem a política o bucket aceita pedidos em claro",
                "without the policy the bucket accepts requests in clear text",
            ],
        },
        check: |bucket, context| {
            Some(seen(&bucket.policy, |policy| over_tls(policy.as_deref(), bucket, context)))
        },
        command: |bucket, context| {
            let by_hand = command!(
                "aws s3api get-bucket-policy --bucket {bucket}; acrescentar / add: {statement}; aws s3api put-bucket-policy --bucket {bucket} --policy file://policy.json",
                bucket = bucket.name,
                statement = tls_statement(&bucket.name).to_string()
            );
            plan_or(bucket, "s3.tls-only", &by_hand, context)
        },
    },
    Rule {
        meta: Meta {
            id: "s3.evidence-lock",
            severity: Severity::High,
            guide: "2.1.3",
            title: ["Object Lock na evidência", "Object Lock on the evidence"],
            why: [
                "evidência que se pode apagar não convence auditor nenhum",
                "evidence that can be deleted does not convince an auditor",
            ],
        },
        check: |bucket, context| {
            let required = context.evidence_lock;
            (bucket.role == Role::Evidence).then(|| lock(bucket, &required.mode, required.days))
        },
        command: |bucket, _| {
            command!(
                "# template.yaml, EvidenceBucket: sam deploy; aws s3api get-object-lock-configuration --bucket {bucket}",
                bucket = bucket.name
            )
        },
    },
    Rule {
        meta: Meta {
            id: "s3.object-lock",
            severity: Severity::Low,
            guide: "app 7",
            title: ["Object Lock nos anexos", "Object Lock on the attachments"],
            why: [
                "sem ele quem tem a conta apaga também as versões antigas",
                "without it anyone with control of the account can delete old versions too",
            ],
        },
        check: |bucket, _| (bucket.role == Role::Attachments).then(|| lock(bucket, "GOVERNANCE", 1)),
        command: |bucket, context| {
            put(
                bucket,
                "put-object-lock-configuration",
                &command!(
                    r#"--object-lock-configuration '{{"ObjectLockEnabled":"Enabled","Rule":{{"DefaultRetention":{{"Mode":"GOVERNANCE","Days":{days}}}}}}}'"#,
                    days = context.noncurrent_days
                ),
            )
        },
    },
    Rule {
        meta: Meta {
            id: "s3.replication",
            severity: Severity::Low,
            guide: "app 7",
            title: ["réplica dos anexos", "replica of the attachments"],
            why: [
                "versões no mesmo bucket não sobrevivem à perda da região",
                "versions in the same bucket do not survive the loss of the region",
            ],
        },
        check: |bucket, _| {
            (bucket.role == Role::Attachments).then(|| match &bucket.replicates {
                None => Verdict::Unknown("the replication was not read".to_owned()),
                Some(fact) => seen(fact, |on| {
                    Verdict::of(*on, "no enabled replication rule", "an enabled replication rule")
                }),
            })
        },
        command: |bucket, _| {
            put(
                bucket,
                "put-bucket-replication",
                &command!("--replication-configuration file://replication.json"),
            )
        },
    },
    Rule {
        meta: Meta {
            id: "s3.access-logging",
            severity: Severity::Low,
            guide: "app 7",
            title: ["registro de acessos", "access logging"],
            why: [
                "depois de um vazamento se pergunta quem leu o quê",
                "after a leak it shows which objects were read, and by whom",
            ],
        },
        check: |bucket, _| {
            (bucket.role == Role::Attachments).then(|| match &bucket.logs {
                None => Verdict::Unknown("the logging was not read".to_owned()),
                Some(fact) => seen(fact, |on| Verdict::of(*on, "no LoggingEnabled", "LoggingEnabled")),
            })
        },
        command: |bucket, _| {
            put(bucket, "put-bucket-logging", &command!("--bucket-logging-status file://logging.json"))
        },
    },
    Rule {
        meta: Meta {
            id: "s3.uploads-fresh",
            severity: Severity::High,
            guide: "2.2",
            title: ["idade da sincronização on-prem", "age of the on-prem synchronisation"],
            why: [
                "o guia pede o envio diário de UPLOADS_DIR",
                "the guide requires UPLOADS_DIR to be sent every day",
            ],
        },
        check: |bucket, context| {
            (bucket.role == Role::Uploads)
                .then(|| fresh(bucket, i64::from(context.policy.uploads_hours), context))
        },
        command: |bucket, context| {
            command!(
                "aws s3 sync \"$UPLOADS_DIR\" s3://{bucket}/ && date -u | aws s3 cp - s3://{bucket}/{marker}",
                bucket = bucket.name,
                marker = context.marker
            )
        },
    },
    Rule {
        meta: Meta {
            id: "grafana.fresh",
            severity: Severity::Medium,
            guide: "2.3",
            title: ["idade da exportação do Grafana", "age of Grafana's export"],
            why: [
                "dashboards e alertas se exportam a cada release",
                "dashboards and alerts are exported with each release",
            ],
        },
        check: |bucket, context| {
            (bucket.role == Role::Grafana)
                .then(|| fresh(bucket, 24 * i64::from(context.policy.grafana_days), context))
        },
        command: |bucket, _| {
            command!(
                "# docs/backups.md#grafana: aws s3 cp --recursive docs/observability/ s3://{bucket}/",
                bucket = bucket.name
            )
        },
    },
];

fn encryption(bucket: &Bucket, context: &Context<'_>) -> Option<Verdict> {
    let needs_key = matches!(bucket.role, Role::Attachments | Role::Uploads);
    Some(seen(&bucket.encryption, |encryption| {
        let Some(encryption) = encryption else { return Verdict::fail("no default encryption", "SSE") };
        let key = encryption.key.as_deref().unwrap_or("aws/s3");
        let is_kms = encryption.algorithm.starts_with("aws:kms");
        let found =
            if is_kms { format!("{} {key}", encryption.algorithm) } else { encryption.algorithm.clone() };
        match context.key.filter(|_| needs_key) {
            // S3 does not resolve an alias; only AWS's own aliases are certainly another key.
            Some(_) if is_kms && key.contains("alias/") && !key.contains("alias/aws/") => {
                Verdict::Unknown(format!("{found} is an alias; configure the key's ARN instead"))
            }
            Some(expected) => {
                Verdict::of(is_kms && is_key(expected, key), found, format!("aws:kms {expected}"))
            }
            // The application refuses to store attachments without aws:kms, so their bucket must have it.
            None if bucket.role == Role::Attachments => Verdict::of(is_kms, found, "aws:kms"),
            None => Verdict::Pass,
        }
    }))
}

/// Whether a key, as ARN or bare id, is the expected one.
fn is_key(expected: &str, found: &str) -> bool {
    found == expected || (!found.contains(['/', ':']) && expected.ends_with(&format!(":key/{found}")))
}

/// COMPLIANCE also satisfies a requirement of GOVERNANCE, because it cannot be removed.
fn lock(bucket: &Bucket, mode: &str, days: i32) -> Verdict {
    match &bucket.lock {
        None => Verdict::Unknown("the Object Lock was not read".to_owned()),
        Some(fact) => seen(fact, |lock| {
            let expected = format!("{mode} ≥ {days} d");
            match lock {
                None => Verdict::fail("no default retention", expected),
                Some(lock) => {
                    let is_as_strong = lock.mode == mode || lock.mode == "COMPLIANCE";
                    let found = format!("{} {} d", lock.mode, lock.days);
                    Verdict::of(is_as_strong && lock.days >= days, found, expected)
                }
            }
        }),
    }
}

fn fresh(bucket: &Bucket, hours: i64, context: &Context<'_>) -> Verdict {
    let expected = format!("≤ {hours} h");
    match &bucket.newest {
        None => Verdict::Unknown("the objects were not read".to_owned()),
        Some(fact) => seen(fact, |newest| match newest {
            Newest::At(at) => Verdict::of(
                context.now.duration_since(*at) <= SignedDuration::from_hours(hours),
                format!("LastModified {}", utc(*at)),
                expected,
            ),
            Newest::Nothing => Verdict::fail("no object", expected),
            Newest::NotAll(count) => Verdict::Unknown(format!(
                "none of the first {count} objects is recent enough, and there are more; have the job write its marker"
            )),
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests;
