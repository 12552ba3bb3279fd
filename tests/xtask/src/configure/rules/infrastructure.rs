//! Keys, buckets, Terraform, monitoring, network and the restore tests' place.

use std::collections::{BTreeMap, BTreeSet};

use policy::tr;

use super::{Fit, Planner};
use crate::configure::facts::{Database, SecurityGroup, StateBucket};
use crate::configure::names::{Owner, words};

/// Most keys of `TerraformStateKey`.
const MOST_STATES: usize = 8;

impl Planner<'_> {
    /// The database that the stack governs.
    fn chosen_database(&self) -> Option<&Database> {
        let id = self.value("DatabaseInstanceId")?;
        self.known.facts.databases.as_deref().unwrap_or_default().iter().find(|one| one.named.name == id)
    }

    pub(super) fn keys(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let list = facts.keys.as_ref().map(|_| Vec::<()>::new()).map_err(Clone::clone);
        self.seen(&list, ["as chaves do KMS", "the KMS keys"], &["AppKmsKeyArn", "DatabaseKmsKeyArn"]);
        let own: Vec<String> = self.keys_of_secrets().into_iter().collect();
        match own.as_slice() {
            [] => {}
            [only] => {
                let why = tr!(
                    language,
                    "a chave com que os segredos são cifrados",
                    "the key that encrypts the secrets"
                );
                self.find("SecretsKmsKeyArn", only.clone(), why);
            }
            several => {
                let why = tr!(
                    language,
                    "os segredos têm chaves diferentes, e a stack só conhece uma: cifre todos com a mesma",
                    "the secrets have different keys, and the stack knows only one: encrypt them all with the same"
                );
                self.ask("SecretsKmsKeyArn", several.to_vec(), why);
            }
        }
        let Ok(keys) = &facts.keys else { return };
        let alias = format!("alias/{}-app", self.known.place.prefix());
        match keys.get(&alias) {
            Some(arn) => self.find("AppKmsKeyArn", arn.clone(), alias),
            None => self.plan.absent.push("AppKmsKeyArn".to_owned()),
        }
        let database = self.chosen_database().and_then(|database| database.key.clone());
        if let Some(key) =
            database.filter(|key| key.contains(":key/") && keys.get("alias/aws/rds") != Some(key))
        {
            let why =
                tr!(language, "a chave com que o banco é cifrado", "the key that encrypts the database");
            self.find("DatabaseKmsKeyArn", key, why);
        }
    }

    pub(super) fn buckets(&mut self) {
        let facts = self.known.facts;
        let parameters =
            ["AttachmentsBucketName", "UploadsBucketName", "GrafanaExportBucketName", "AnchorBucketName"];
        let buckets = self.seen(&facts.buckets, ["os buckets", "the buckets"], &parameters);
        let prefix = self.known.place.prefix();
        let why = tr!(self.language(), "pelo nome do bucket", "by the bucket's name");
        let of = |planner: &Self, about: &[&str]| -> Vec<Fit> {
            let is_it = |name: &&String| words(name).iter().any(|word| about.contains(&word.as_str()));
            let fit = |name: &String| Fit {
                value: name.clone(),
                owner: planner.known.place.owner(name, &BTreeMap::new()),
                why: why.clone(),
            };
            buckets.iter().filter(is_it).map(fit).collect()
        };
        for (parameter, own, about) in [
            ("AttachmentsBucketName", "attachments", &["attachments", "anexos"][..]),
            ("UploadsBucketName", "uploads", &["uploads"][..]),
        ] {
            // The stack's own default.
            if buckets.contains(&format!("{prefix}-{own}")) {
                continue;
            }
            if parameter == "AttachmentsBucketName"
                && let Some((name, service)) = self.plain("S3_BUCKET")
                && self.known.place.owner(&name, &BTreeMap::new()) != Owner::Other
            {
                let why = tr!(self.language(), "S3_BUCKET de {service}", "S3_BUCKET of {service}");
                self.find(parameter, name, why);
                continue;
            }
            let fits = of(self, about);
            self.choose(parameter, fits);
        }
        for (parameter, about) in
            [("GrafanaExportBucketName", &["grafana"][..]), ("AnchorBucketName", &["anchors", "ancoras"])]
        {
            let fits = of(self, about);
            self.choose(parameter, fits);
        }
    }

    pub(super) fn terraform(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let parameters = ["TerraformStateBucketName", "TerraformStateKey"];
        let states = self.seen(&facts.states, ["os buckets de estado", "the state buckets"], &parameters);
        for unseen in states.iter().filter(|bucket| bucket.keys.is_none()) {
            let name = &unseen.name;
            self.plan.notices.push(tr!(
                language,
                "não foi possível listar {name} (s3:ListBucket): os estados dele não foram procurados",
                "{name} could not be listed (s3:ListBucket): its states were not looked for"
            ));
        }
        let held = |planner: &Self, bucket: &StateBucket| -> Vec<String> {
            let is_ours = planner.known.place.owner(&bucket.name, &BTreeMap::new()) == Owner::Ours;
            let all = bucket.keys.as_deref().unwrap_or_default();
            let is_key = |key: &&String| planner.is_state(key, is_ours);
            all.iter().filter(is_key).cloned().collect()
        };
        let why = tr!(
            language,
            "o bucket com estados do Terraform deste ambiente",
            "the bucket with Terraform states of this environment"
        );
        let fits = states.iter().filter(|bucket| !held(self, bucket).is_empty()).map(|bucket| Fit {
            value: bucket.name.clone(),
            // The states in it say whose it is; it may serve several environments.
            owner: Owner::Ours,
            why: why.clone(),
        });
        let fits = fits.collect();
        self.choose("TerraformStateBucketName", fits);
        let Some(bucket) = self.value("TerraformStateBucketName").map(str::to_owned) else { return };
        if let Some(bucket) = states.iter().find(|one| one.name == bucket) {
            let keys = held(self, bucket);
            let why = tr!(language, "os estados que estão nele", "the states that are in it");
            if let Some(keys) = one_value(bucket, &keys) {
                self.find("TerraformStateKey", keys, why);
            } else if !keys.is_empty() {
                let (count, most) = (keys.len(), MOST_STATES);
                let why = tr!(
                    language,
                    "são {count} estados, mais que {most}, e nenhum prefixo é só deles",
                    "there are {count} states, more than {most}, and no prefix is only theirs"
                );
                self.ask("TerraformStateKey", keys, why);
            }
            if let Some(key) = bucket.key_arn.clone() {
                let why =
                    tr!(language, "a chave com que o bucket cifra", "the key with which the bucket encrypts");
                self.find("TerraformStateKmsKeyArn", key, why);
            }
        }
    }

    pub(super) fn locks(&mut self) {
        let facts = self.known.facts;
        let tables = self.seen(
            &facts.tables,
            ["as tabelas do DynamoDB", "the DynamoDB tables"],
            &["TerraformLockTableName"],
        );
        let is_lock = |name: &&String| {
            let words = words(name);
            let has = |about: &[&str]| words.iter().any(|word| about.contains(&word.as_str()));
            has(&["terraform", "tf", "tofu"]) && has(&["lock", "locks"])
        };
        let why = tr!(self.language(), "pelo nome da tabela", "by the table's name");
        let fits = tables.iter().filter(is_lock).map(|name| Fit {
            value: name.clone(),
            owner: self.known.place.owner(name, &BTreeMap::new()),
            why: why.clone(),
        });
        let fits = fits.collect();
        self.choose("TerraformLockTableName", fits);
    }

    /// Whether a state is this environment's: by its key, or in a bucket of its own by no word of another.
    fn is_state(&self, key: &str, is_ours: bool) -> bool {
        let place = self.known.place;
        // The project may be in the bucket's name only.
        match place.owner(&format!("{}/{key}", place.project), &BTreeMap::new()) {
            Owner::Ours => true,
            Owner::Unknown => is_ours,
            Owner::Other => false,
        }
    }

    /// The log, the load balancer and the target group of the services, and the application's address.
    pub(super) fn monitoring(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let place = self.known.place;
        let mut logs: Vec<Fit> = Vec::new();
        let mut targets: BTreeSet<String> = BTreeSet::new();
        for service in self.watched() {
            let name = &service.named.name;
            let why = tr!(language, "o log de {name}", "the log of {name}");
            logs.extend(service.log_groups.iter().map(|group| Fit {
                value: group.clone(),
                owner: place.owner(group, &BTreeMap::new()),
                why: why.clone(),
            }));
            targets.extend(service.targets.iter().cloned());
        }
        if logs.is_empty() {
            let groups = self.seen(
                &facts.log_groups,
                ["os grupos de log", "the log groups"],
                &["ApplicationLogGroupName"],
            );
            let own = format!("/aws/ecs/{}-api", place.prefix());
            let why = tr!(language, "o nome que o Terraform lhe dá", "the name that the Terraform gives it");
            let fits = groups.iter().filter(|group| **group == own);
            logs = fits
                .map(|group| Fit { value: group.clone(), owner: Owner::Ours, why: why.clone() })
                .collect();
        }
        self.choose("ApplicationLogGroupName", logs);
        let parameters = ["ApplicationLoadBalancerName", "ApplicationTargetGroupName"];
        let arns = self.seen(&facts.balancers, ["os target groups", "the target groups"], &parameters);
        let why = tr!(language, "em que o serviço se registra", "with which the service registers");
        let fit = |value: String| Fit { value, owner: Owner::Ours, why: why.clone() };
        let balancers: Vec<Fit> = arns
            .iter()
            .filter_map(|arn| arn.split_once(":loadbalancer/"))
            .filter(|(_, name)| name.starts_with("app/"))
            .map(|(_, name)| fit(name.to_owned()))
            .collect();
        self.choose("ApplicationLoadBalancerName", balancers);
        if self.value("ApplicationLoadBalancerName").is_some() {
            let ends = targets.iter().filter_map(|arn| arn.rsplit(':').next());
            let fits = ends.map(|end| fit(end.to_owned())).collect();
            self.choose("ApplicationTargetGroupName", fits);
        }
        let why = tr!(
            language,
            "nada na conta diz qual é; com ele a aplicação prova que usa um segredo novo",
            "nothing in the account tells; by it the application proves that it uses a new secret"
        );
        self.ask("AppUrl", Vec::new(), why);
    }

    /// The private subnets of the database's VPC that have NAT, and the functions' group, which the database admits.
    pub(super) fn network(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let parameters = ["VpcSubnetIds", "VpcSecurityGroupIds"];
        if parameters.iter().any(|name| self.is_given(name)) {
            return;
        }
        let subnets = self.seen(&facts.subnets, ["as sub-redes", "the subnets"], &parameters);
        let groups =
            self.seen(&facts.security_groups, ["os grupos de segurança", "the security groups"], &parameters);
        let Some((vpc, port, of_database)) = self
            .chosen_database()
            .and_then(|database| Some((database.vpc.clone()?, database.port, database.groups.clone())))
        else {
            return;
        };
        let private: Vec<&str> =
            subnets.iter().filter(|one| one.vpc == vpc && one.has_nat).map(|one| one.id.as_str()).collect();
        let is_function = |group: &&SecurityGroup| {
            group.vpc == vpc
                && self.owner(&group.named) == Owner::Ours
                && words(&group.named.name)
                    .iter()
                    .any(|word| ["governance", "governanca", "lambda", "functions"].contains(&word.as_str()))
        };
        let functions: Vec<&SecurityGroup> = groups.iter().filter(is_function).collect();
        let is_admitted = |id: &str| {
            groups.iter().filter(|group| of_database.contains(&group.id)).flat_map(|group| &group.admits).any(
                |(ports, from)| {
                    from == id
                        && ports.is_none_or(|(first, last)| {
                            port.is_none_or(|port| (first..=last).contains(&port))
                        })
                },
            )
        };
        let admitted: Vec<String> =
            functions.iter().filter(|group| is_admitted(&group.id)).map(|group| group.id.clone()).collect();
        match (private.as_slice(), admitted.as_slice()) {
            ([], _) => self.plan.notices.push(tr!(
                language,
                "VpcSubnetIds fica vazio: nenhuma sub-rede de {vpc}, a VPC do banco, sai por um NAT. As funções só chegam ao banco se ele for público (implantacao.md, Rede)",
                "VpcSubnetIds stays empty: no subnet of {vpc}, the database's VPC, goes out by a NAT. The functions reach the database only if it is public (implantacao.md, Rede)"
            )),
            (_, []) => self.plan.notices.push(tr!(
                language,
                "VpcSubnetIds fica vazio: nenhum grupo de segurança das funções (…-governance) de {vpc} é admitido pelo do banco (implantacao.md, Rede; terraform/rede.tf)",
                "VpcSubnetIds stays empty: no security group of the functions (…-governance) of {vpc} is admitted by the database's (implantacao.md, Rede; terraform/rede.tf)"
            )),
            (_, [group]) => {
                let why = tr!(
                    language,
                    "as sub-redes da VPC do banco ({vpc}) que saem por um NAT",
                    "the subnets of the database's VPC ({vpc}) that go out by a NAT"
                );
                self.find("VpcSubnetIds", private.join(","), why);
                let why = tr!(
                    language,
                    "o grupo das funções, que o do banco admite",
                    "the functions' group, which the database's admits"
                );
                self.find("VpcSecurityGroupIds", group.clone(), why);
            }
            (_, several) => {
                let why = tr!(
                    language,
                    "o banco admite mais de um grupo que pode ser o das funções",
                    "the database admits more than one group that may be the functions'"
                );
                self.ask("VpcSecurityGroupIds", several.to_vec(), why.clone());
                self.ask("VpcSubnetIds", vec![private.join(",")], why);
            }
        }
    }

    /// Where restore tests make their instances: only in a subnet group and security groups made for it.
    pub(super) fn restores(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let parameters = ["RestoreSubnetGroup", "RestoreSecurityGroups"];
        let groups = self.seen(
            &facts.subnet_groups,
            ["os grupos de sub-redes do RDS", "RDS's subnet groups"],
            &parameters,
        );
        let is_restore =
            |name: &str| words(name).iter().any(|word| word == "restore" || word == "restauracao");
        let place = self.known.place;
        let why = tr!(language, "feito para os testes de restauração", "made for the restore tests");
        let fits: Vec<Fit> = groups
            .iter()
            .filter(|name| is_restore(name))
            .map(|name| Fit {
                value: name.clone(),
                owner: place.owner(name, &BTreeMap::new()),
                why: why.clone(),
            })
            .collect();
        let security =
            self.seen(&facts.security_groups, ["os grupos de segurança", "the security groups"], &parameters);
        let of_security: Vec<Fit> = security
            .iter()
            .filter(|group| is_restore(&group.named.name))
            .map(|group| Fit { value: group.id.clone(), owner: self.owner(&group.named), why: why.clone() })
            .collect();
        if fits.iter().all(|fit| fit.owner == Owner::Other) {
            self.plan.absent.push("RestoreSubnetGroup".to_owned());
            return;
        }
        let lacks = if self.value("DatabaseSecretName").is_none() {
            Some("DatabaseSecretName")
        } else if of_security.iter().all(|fit| fit.owner == Owner::Other)
            && !self.is_given("RestoreSecurityGroups")
        {
            Some("RestoreSecurityGroups")
        } else {
            None
        };
        if let Some(lacks) = lacks {
            if !self.is_given("RestoreSubnetGroup") {
                self.plan.notices.push(tr!(
                    language,
                    "RestoreSubnetGroup fica vazio, e não há testes de restauração: falta {lacks} (restauracao.md, Preparar)",
                    "RestoreSubnetGroup stays empty, and there are no restore tests: {lacks} is missing (restauracao.md, Preparar)"
                ));
            }
            return;
        }
        self.choose("RestoreSubnetGroup", fits);
        if self.value("RestoreSubnetGroup").is_none() {
            return;
        }
        self.choose("RestoreSecurityGroups", of_security);
        let own = self.chosen_database().and_then(|database| database.parameter_group.clone());
        if let Some(group) = own.filter(|group| !group.starts_with("default.")) {
            let why = tr!(language, "o grupo de parâmetros do banco", "the database's parameter group");
            self.find("RestoreParameterGroup", group, why);
        }
    }
}

/// The states as one value: at most eight keys, else a prefix below which the bucket has no other state.
fn one_value(bucket: &StateBucket, keys: &[String]) -> Option<String> {
    if keys.is_empty() {
        return None;
    }
    if keys.len() <= MOST_STATES {
        return Some(keys.join(","));
    }
    let first = keys.first()?;
    let mut folders = first.match_indices('/').map(|(at, _)| first.get(..=at).unwrap_or_default());
    let common = folders.rfind(|folder| keys.iter().all(|key| key.starts_with(folder)))?;
    let below = bucket.keys.as_deref().unwrap_or_default().iter().filter(|key| key.starts_with(common));
    (below.count() == keys.len()).then(|| common.to_owned())
}
