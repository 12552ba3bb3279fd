//! Keys, buckets, Terraform, monitoring, network and the restore tests' place.

use std::collections::BTreeMap;

use policy::tr;

use super::{Fit, Planner};
use crate::configure::facts::{Database, SecurityGroup, StateBucket, Subnet};
use crate::configure::names::{Owner, words};

/// Most keys of `TerraformStateKey`.
const MOST_STATES: usize = 8;

impl Planner<'_> {
    /// The database that the stack governs.
    fn chosen_database(&self) -> Option<&Database> {
        self.known.facts.database(self.value("DatabaseInstanceId")?)
    }

    pub(super) fn keys(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let list = facts.keys.as_ref().map(|_| Vec::<()>::new()).map_err(Clone::clone);
        let parameters = ["AppKmsKeyArn", "DatabaseKmsKeyArn", "SecretsKmsKeyArn"];
        self.seen(&list, ["as chaves do KMS", "the KMS keys"], &parameters);
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
        let language = self.language();
        let place = self.known.place;
        let parameters = [
            "AttachmentsBucketName",
            "UploadsBucketName",
            "GrafanaExportBucketName",
            "AnchorBucketName",
            "OtherEvidenceBuckets",
        ];
        let buckets = self.seen(&facts.buckets, ["os buckets", "the buckets"], &parameters);
        let why = tr!(language, "pelo nome do bucket", "by the bucket's name");
        let of = |about: &[&str]| -> Vec<Fit> {
            let is_it = |name: &&String| words(name).iter().any(|word| about.contains(&word.as_str()));
            let fit = |name: &String| Fit {
                value: name.clone(),
                owner: place.owner(name, &BTreeMap::new()),
                why: why.clone(),
            };
            buckets.iter().filter(is_it).map(fit).collect()
        };
        self.attachments(buckets, of(&["attachments", "anexos"]));
        if !buckets.contains(&format!("{}-uploads", place.prefix())) {
            self.choose("UploadsBucketName", of(&["uploads"]));
        }
        self.choose("GrafanaExportBucketName", of(&["grafana"]));
        let anchors = of(&["anchors", "ancoras"]).into_iter().filter(|fit| fit.owner != Owner::Other);
        let why = tr!(
            language,
            "guarda as pontas das cadeias de evidência, melhor em outra conta, que daqui não se vê; vazio: nenhum",
            "keeps the heads of the chains of evidence, better in another account, which is not seen from here; empty: none"
        );
        self.ask("AnchorBucketName", anchors.map(|fit| fit.value).collect(), why);
        if self.value("AnchorBucketName").is_some() && self.value("GitHubRepository").is_some() {
            let why = tr!(
                language,
                "pasta em que GitHubRepository guarda a âncora mais nova; vazio: nenhuma",
                "folder in which GitHubRepository keeps the newest anchor; empty: none"
            );
            self.ask("AnchorFolder", vec!["governance/anchors".to_owned()], why);
        }
        // The one place where another environment's resource is wanted: so a person says it.
        let evidence =
            |environment: &str| format!("{}-{environment}-evidence-{}", place.project, place.account);
        let others = ["dev", "staging", "prod"].into_iter().filter(|one| *one != place.environment);
        let others: Vec<String> = others.map(evidence).filter(|name| buckets.contains(name)).collect();
        if !others.is_empty() {
            let why = tr!(
                language,
                "para ver os outros ambientes na mesma página, cujo papel então lê deles só report/controls.json",
                "to see the other environments on the same page, whose role then reads only their report/controls.json"
            );
            self.ask("OtherEvidenceBuckets", vec![others.join(",")], why);
        }
    }

    /// The attachments' bucket: that of the services, else the stack's default if there is one, else by name.
    fn attachments(&mut self, buckets: &[String], by_name: Vec<Fit>) {
        let language = self.language();
        let parameter = "AttachmentsBucketName";
        let own = format!("{}-attachments", self.known.place.prefix());
        let Some((name, service)) = self.plain("S3_BUCKET") else {
            if !buckets.contains(&own) {
                self.choose(parameter, by_name);
            }
            return;
        };
        if self.known.place.owner(&name, &BTreeMap::new()) == Owner::Other {
            self.told.insert(parameter.to_owned());
            self.plan.notices.push(tr!(
                language,
                "S3_BUCKET de {service} é {name}, que é de outro ambiente: não proposto",
                "S3_BUCKET of {service} is {name}, which is another environment's: not proposed"
            ));
        } else if name != own || self.is_given(parameter) {
            if name != own && buckets.contains(&own) {
                self.plan.notices.push(tr!(
                    language,
                    "{own} existe, e não é o S3_BUCKET de {service}, que é {name}",
                    "{own} exists, and is not the S3_BUCKET of {service}, which is {name}"
                ));
            }
            let why = tr!(language, "S3_BUCKET de {service}", "S3_BUCKET of {service}");
            self.find(parameter, name, why);
        }
    }

    pub(super) fn terraform(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let parameters = ["TerraformStateBucketName", "TerraformStateKey"];
        let states = self.seen(&facts.states, ["os buckets de estado", "the state buckets"], &parameters);
        for unseen in states.iter().filter(|bucket| bucket.keys.is_none()) {
            let name = &unseen.name;
            self.told.extend(parameters.map(str::to_owned));
            self.plan.notices.push(tr!(
                language,
                "não foi possível listar {name} (s3:ListBucket): os estados dele não foram procurados",
                "{name} could not be listed (s3:ListBucket): its states were not looked for"
            ));
        }
        let place = self.known.place;
        // A state's key says whose it is, else the bucket's name. The project may be in that only.
        let held = |bucket: &StateBucket, owner: Owner| -> Vec<String> {
            let of_bucket = place.owner(&bucket.name, &BTreeMap::new());
            let of_key = |key: &str| place.owner(&format!("{}/{key}", place.project), &BTreeMap::new());
            let all = bucket.keys.as_deref().unwrap_or_default();
            all.iter().filter(|key| of_key(key).or(of_bucket) == owner).cloned().collect()
        };
        let why = tr!(
            language,
            "o bucket com estados do Terraform deste ambiente",
            "the bucket with Terraform states of this environment"
        );
        // The states in it say whose it is; it may serve several environments.
        let owner = |bucket: &StateBucket| {
            [Owner::Ours, Owner::Unknown].into_iter().find(|owner| !held(bucket, *owner).is_empty())
        };
        let fits = states.iter().filter_map(|bucket| {
            Some(Fit { value: bucket.name.clone(), owner: owner(bucket)?, why: why.clone() })
        });
        let fits = fits.collect();
        self.choose("TerraformStateBucketName", fits);
        let Some(bucket) = self.value("TerraformStateBucketName").map(str::to_owned) else { return };
        if let Some(bucket) = states.iter().find(|one| one.name == bucket) {
            let keys = held(bucket, Owner::Ours);
            let doubtful = held(bucket, Owner::Unknown);
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
            } else if !doubtful.is_empty() {
                let environment = &place.environment;
                let why = tr!(
                    language,
                    "nem a chave nem o bucket dizem se o estado é de {environment}",
                    "neither key nor bucket says whether the state is of {environment}"
                );
                self.ask("TerraformStateKey", doubtful, why);
            }
            self.key_of_states(bucket);
        }
    }

    /// The key with which the states' bucket encrypts, unless it is S3's own.
    fn key_of_states(&mut self, bucket: &StateBucket) {
        let (language, parameter, name) = (self.language(), "TerraformStateKmsKeyArn", &bucket.name);
        let notice = match &bucket.key {
            Ok(None) => return,
            Ok(Some(key)) if key.ends_with("alias/aws/s3") => return,
            Ok(Some(key)) => {
                let keys = self.known.facts.keys.as_ref();
                // The bucket may be another region's, whose key of this id is not here.
                let is_sure =
                    |arn: &String| arn == key || keys.is_ok_and(|keys| keys.values().any(|one| one == arn));
                let arn = self.key_arn(key).filter(is_sure);
                let own = self.key_arn("alias/aws/s3");
                match arn {
                    Some(arn) if Some(&arn) == own.as_ref() => return,
                    Some(arn) if key.starts_with("alias/") => {
                        let region = &self.known.place.region;
                        let why = tr!(
                            language,
                            "{name} cifra com {key}, um alias da região do bucket: em {region}, é esta chave; em outra região, a de lá",
                            "{name} encrypts with {key}, an alias of the bucket's region: in {region}, it is this key; in another region, the one there"
                        );
                        return self.ask(parameter, vec![arn], why);
                    }
                    Some(arn) => {
                        let why = tr!(
                            language,
                            "a chave com que o bucket cifra",
                            "the key with which the bucket encrypts"
                        );
                        return self.find(parameter, arn, why);
                    }
                    None => tr!(
                        language,
                        "{name} cifra com a chave {key}, cujo ARN não se vê: responda {parameter}",
                        "{name} encrypts with the key {key}, whose ARN is not seen: answer {parameter}"
                    ),
                }
            }
            Err(error) => tr!(
                language,
                "não foi possível ver a chave de {name}: {error}. Depende disso: {parameter}",
                "the key of {name} could not be seen: {error}. On it depends: {parameter}"
            ),
        };
        if !self.is_given(parameter) {
            self.plan.notices.push(notice);
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

    /// The log, the load balancer and the target group of the services, and the application's address.
    pub(super) fn monitoring(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let place = self.known.place;
        let parameters = ["ApplicationLoadBalancerName", "ApplicationTargetGroupName"];
        let listed = self.seen(&facts.targets, ["os target groups", "the target groups"], &parameters);
        let mut logs: Vec<Fit> = Vec::new();
        let mut targets: Vec<Fit> = Vec::new();
        let mut balancers: Vec<Fit> = Vec::new();
        let registers = tr!(language, "em que o serviço se registra", "with which the service registers");
        for service in self.watched() {
            let name = &service.named.name;
            let why = tr!(language, "o log de {name}", "the log of {name}");
            logs.extend(service.log_groups.iter().map(|group| Fit {
                value: group.clone(),
                owner: place.owner(group, &BTreeMap::new()),
                why: why.clone(),
            }));
            let owner = self.owner_of(service);
            let fit = |name: &str| Fit {
                value: name.to_owned(),
                owner: place.owner(name, &BTreeMap::new()).or(owner),
                why: registers.clone(),
            };
            for target in listed.iter().filter(|one| service.targets.contains(&one.arn)) {
                targets.extend(target.arn.rsplit(':').next().map(fit));
                let names = target.balancers.iter().filter_map(|arn| arn.split_once(":loadbalancer/"));
                balancers
                    .extend(names.map(|(_, name)| name).filter(|name| name.starts_with("app/")).map(fit));
            }
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
        self.choose("ApplicationLoadBalancerName", balancers);
        if self.value("ApplicationLoadBalancerName").is_some() {
            self.choose("ApplicationTargetGroupName", targets);
        }
        let why = tr!(
            language,
            "nada na conta diz qual é; com ele a aplicação prova que usa um segredo novo",
            "nothing in the account tells; by it the application proves that it uses a new secret"
        );
        self.ask("AppUrl", Vec::new(), why);
    }

    /// The private subnets of the database's VPC that have NAT and are not another environment's, and the functions'
    /// group, which the database admits. One that a person gave needs the other.
    pub(super) fn network(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let parameters = ["VpcSubnetIds", "VpcSecurityGroupIds"];
        let given = parameters.map(|name| self.known.given.get(name).cloned());
        if given.iter().all(Option::is_some) || given.iter().flatten().any(String::is_empty) {
            return;
        }
        let subnets = self.seen(&facts.subnets, ["as sub-redes", "the subnets"], &parameters);
        let groups =
            self.seen(&facts.security_groups, ["os grupos de segurança", "the security groups"], &parameters);
        let subnet_groups = self.seen(
            &facts.subnet_groups,
            ["os grupos de sub-redes do RDS", "RDS's subnet groups"],
            &parameters,
        );
        let Some(id) = self.value("DatabaseInstanceId").map(str::to_owned) else { return };
        let database = self.chosen_database().cloned().unwrap_or_default();
        let vpc = subnet_groups.iter().find(|one| Some(&one.name) == database.subnet_group.as_ref());
        let vpc = vpc.map(|one| one.vpc.clone()).unwrap_or_default();
        let [given_subnets, given_group] = given;
        // A VPC may serve several environments.
        let is_private =
            |one: &&Subnet| one.vpc == vpc && one.has_nat && self.owner(&one.named) != Owner::Other;
        let private: Vec<&str> = subnets.iter().filter(is_private).map(|one| one.id.as_str()).collect();
        let private = given_subnets.clone().unwrap_or_else(|| private.join(","));
        let is_function = |group: &&SecurityGroup| {
            group.vpc == vpc
                && self.owner(&group.named) == Owner::Ours
                && words(&group.named.name)
                    .iter()
                    .any(|word| ["governance", "governanca", "lambda", "functions"].contains(&word.as_str()))
        };
        let is_admitted = |group: &&SecurityGroup| {
            let of_database = groups.iter().filter(|one| database.groups.contains(&one.id));
            of_database.flat_map(|one| &one.admits).any(|(ports, from)| {
                *from == group.id
                    && ports.is_none_or(|(first, last)| {
                        database.port.is_none_or(|port| (first..=last).contains(&port))
                    })
            })
        };
        let functions = groups.iter().filter(is_function).filter(is_admitted);
        let admitted: Vec<String> = match &given_group {
            Some(group) => vec![group.clone()],
            None => functions.map(|group| group.id.clone()).collect(),
        };
        match (private.as_str(), admitted.as_slice()) {
            ("", _) if given_group.is_some() => {
                let why = tr!(
                    language,
                    "as sub-redes privadas, com NAT, do grupo de VpcSecurityGroupIds",
                    "the private subnets, with NAT, of the group in VpcSecurityGroupIds"
                );
                self.ask("VpcSubnetIds", Vec::new(), why);
            }
            (_, []) if given_subnets.is_some() => {
                let why = tr!(
                    language,
                    "o grupo das funções, que o do banco admite",
                    "the functions' group, which the database's admits"
                );
                self.ask("VpcSecurityGroupIds", Vec::new(), why);
            }
            // What could not be seen is said already.
            _ if parameters.iter().any(|name| self.told.contains(*name)) => {}
            _ if vpc.is_empty() && given_group.is_none() && given_subnets.is_none() => self.plan.notices.push(tr!(
                language,
                "VpcSubnetIds fica vazio: a VPC de {id} (DatabaseInstanceId) não é conhecida. As funções só chegam ao banco se ele for público (implantacao.md, Rede)",
                "VpcSubnetIds stays empty: the VPC of {id} (DatabaseInstanceId) is not known. The functions reach the database only if it is public (implantacao.md, Rede)"
            )),
            ("", _) => self.plan.notices.push(tr!(
                language,
                "VpcSubnetIds fica vazio: nenhuma sub-rede de {vpc}, a VPC do banco, sai por um NAT sem ser de outro ambiente ou projeto. As funções só chegam ao banco se ele for público (implantacao.md, Rede)",
                "VpcSubnetIds stays empty: no subnet of {vpc}, the database's VPC, goes out by a NAT and is not another environment's or project's. The functions reach the database only if it is public (implantacao.md, Rede)"
            )),
            (_, []) => self.plan.notices.push(tr!(
                language,
                "VpcSubnetIds fica vazio: nenhum grupo de segurança das funções (…-governance) de {vpc} é admitido pelo do banco (implantacao.md, Rede; terraform/novo/rede.tf)",
                "VpcSubnetIds stays empty: no security group of the functions (…-governance) of {vpc} is admitted by the database's (implantacao.md, Rede; terraform/novo/rede.tf)"
            )),
            (private, [group]) => {
                let why = tr!(
                    language,
                    "as sub-redes da VPC do banco ({vpc}) que saem por um NAT",
                    "the subnets of the database's VPC ({vpc}) that go out by a NAT"
                );
                self.find("VpcSubnetIds", private, why);
                let why = tr!(
                    language,
                    "o grupo das funções, que o do banco admite",
                    "the functions' group, which the database's admits"
                );
                self.find("VpcSecurityGroupIds", group.clone(), why);
            }
            // The answer brings the subnets.
            (_, several) => {
                let why = tr!(
                    language,
                    "o banco admite mais de um grupo que pode ser o das funções",
                    "the database admits more than one group that may be the functions'"
                );
                self.ask("VpcSecurityGroupIds", several.to_vec(), why);
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
            .filter(|group| is_restore(&group.name))
            .map(|group| Fit {
                value: group.name.clone(),
                owner: place.owner(&group.name, &BTreeMap::new()),
                why: why.clone(),
            })
            .collect();
        let security =
            self.seen(&facts.security_groups, ["os grupos de segurança", "the security groups"], &parameters);
        let security_is_unseen = facts.security_groups.is_err();
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
            let is_unseen = lacks == "RestoreSecurityGroups" && security_is_unseen;
            if !self.is_given("RestoreSubnetGroup") && !is_unseen {
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
