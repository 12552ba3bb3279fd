//! From what the account has to the stack's parameters: found, asked or left out. No clock, no account.
//!
//! A value is taken only if one resource of this project and environment fits. Two that fit, or one of which nothing says
//! whose it is, are a question; what is another environment's is not even a candidate.

mod infrastructure;
mod secrets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use policy::language::Language;
use policy::tr;

use super::facts::{Database, Facts, Named, Seen};
use super::names::{Owner, Place};

/// A parameter's value and why it is that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) why: String,
}

/// A question about a parameter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ask {
    pub(crate) name: String,
    /// The account's resources for it, in the order of likelihood.
    pub(crate) candidates: Vec<String>,
    pub(crate) why: String,
    /// Whether the stack needs a value; otherwise an empty answer leaves it out.
    pub(crate) is_required: bool,
}

/// The parameters as far as they are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Plan {
    pub(crate) found: Vec<Found>,
    pub(crate) asks: Vec<Ask>,
    /// For the deployer: unseen lists, foreign resources, different values.
    pub(crate) notices: Vec<String>,
    /// Optional parameters for which the account has nothing.
    pub(crate) absent: Vec<String>,
}

/// A resource that fits a parameter.
#[derive(Clone, Debug)]
struct Fit {
    value: String,
    owner: Owner,
    why: String,
}

/// Parameters that the template's rules tie together: without the second, the first is left out.
const NEEDS: [(&str, &str); 8] = [
    ("GitHubSecretName", "GitHubRepository"),
    ("GrafanaSecretName", "GrafanaUrl"),
    ("RestoreSubnetGroup", "RestoreSecurityGroups"),
    ("SesSecretName", "SesFromAddress"),
    ("SesSecretName", "SesUserName"),
    ("TwilioSecretName", "TwilioAccountSid"),
    ("VpcSecurityGroupIds", "VpcSubnetIds"),
    ("VpcSubnetIds", "VpcSecurityGroupIds"),
];

/// The template's default of `OpsGroupName`.
const OPS_GROUP: &str = "moveongs-ops";

/// The knowledge about one deployment.
pub(crate) struct Known<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) place: &'a Place,
    /// Answers of people, and what the environment's file says. An empty one leaves the parameter out.
    pub(crate) given: &'a BTreeMap<String, String>,
    /// The parameters without a default, but for `CodeVersion`.
    pub(crate) required: &'a BTreeSet<String>,
    pub(crate) language: Language,
}

/// Plans the parameters.
pub(crate) fn plan(known: &Known<'_>) -> Plan {
    let mut planner = Planner { known, plan: Plan::default(), told: BTreeSet::new() };
    planner.environment();
    planner.database();
    planner.cluster();
    planner.secrets();
    planner.keys();
    planner.buckets();
    planner.terraform();
    planner.locks();
    planner.monitoring();
    planner.network();
    planner.restores();
    planner.people();
    let Known { required, language, .. } = *known;
    for name in required {
        if !planner.is_settled(name) {
            let why =
                tr!(language, "nada do que se viu na conta diz qual é", "nothing seen in the account tells");
            planner.ask(name, Vec::new(), why);
        }
    }
    let absent = std::mem::take(&mut planner.plan.absent);
    let is_absent = |name: &String| !planner.is_settled(name) && !planner.told.contains(name);
    planner.plan.absent = absent.into_iter().filter(is_absent).collect();
    planner.plan
}

/// Whether the name is that of a database that was restored from another, as restore tests do.
fn is_restored(name: &str) -> bool {
    super::names::words(name).iter().any(|word| word == "restore" || word == "restored")
}

struct Planner<'a> {
    known: &'a Known<'a>,
    plan: Plan,
    /// The parameters of which a notice says why they are not found: not read, or not usable. They are not absent.
    told: BTreeSet<String>,
}

impl Planner<'_> {
    fn language(&self) -> Language {
        self.known.language
    }

    fn is_given(&self, name: &str) -> bool {
        self.known.given.contains_key(name)
    }

    /// Whether the parameter is given, found or asked.
    fn is_settled(&self, name: &str) -> bool {
        self.is_given(name)
            || self.plan.found.iter().any(|found| found.name == name)
            || self.plan.asks.iter().any(|ask| ask.name == name)
    }

    /// The value, given or found, unless it is empty.
    fn value(&self, name: &str) -> Option<&str> {
        let found =
            || self.plan.found.iter().find(|found| found.name == name).map(|found| found.value.as_str());
        self.known.given.get(name).map(String::as_str).or_else(found).filter(|value| !value.is_empty())
    }

    fn find(&mut self, name: &str, value: impl Into<String>, why: impl Into<String>) {
        let value = value.into();
        match self.known.given.get(name) {
            None => match self.left_out(name) {
                None => self.plan.found.push(Found { name: name.to_owned(), value, why: why.into() }),
                Some(need) => self.plan.notices.push(tr!(
                    self.language(),
                    "{name} fica de fora ({value}), porque {need}, sem o qual não vale, ficou",
                    "{name} is left out ({value}), because {need}, which it requires, was"
                )),
            },
            Some(given) if *given != value && !given.is_empty() => {
                let why = why.into();
                let notice = tr!(
                    self.language(),
                    "{name} fica {given}, como no arquivo ou na resposta; a conta tem {value} ({why})",
                    "{name} stays {given}, as in the file or the answer; the account has {value} ({why})"
                );
                self.plan.notices.push(notice);
            }
            Some(_) => {}
        }
    }

    /// The parameter that this one needs and a person left out.
    fn left_out(&self, name: &str) -> Option<&'static str> {
        let is_empty = |need: &str| self.known.given.get(need).is_some_and(String::is_empty);
        NEEDS.iter().find(|(one, need)| *one == name && is_empty(need)).map(|(_, need)| *need)
    }

    /// Whether a parameter that a person chose needs it.
    fn is_needed(&self, name: &str) -> bool {
        let is_chosen = |one: &str| self.known.given.get(one).is_some_and(|value| !value.is_empty());
        NEEDS.iter().any(|(one, need)| *need == name && is_chosen(one))
    }

    fn ask(&mut self, name: &str, candidates: Vec<String>, why: impl Into<String>) {
        if !self.is_settled(name) && self.left_out(name).is_none() {
            let is_required = self.known.required.contains(name) || self.is_needed(name);
            let ask = Ask { name: name.to_owned(), candidates, why: why.into(), is_required };
            self.plan.asks.push(ask);
        }
    }

    /// Takes the only resource of this environment, asks about several or doubtful ones, and leaves out what is not
    /// there.
    fn choose(&mut self, name: &str, fits: Vec<Fit>) {
        let mut fits: Vec<Fit> = fits.into_iter().filter(|fit| fit.owner != Owner::Other).collect();
        // The same value by two ways is one.
        let mut seen = BTreeSet::new();
        fits.retain(|fit| seen.insert(fit.value.clone()));
        let ours: Vec<&Fit> = fits.iter().filter(|fit| fit.owner == Owner::Ours).collect();
        match (ours.as_slice(), fits.as_slice()) {
            ([only], _) => {
                let (value, why) = (only.value.clone(), only.why.clone());
                self.find(name, value, why);
            }
            ([], []) => {
                if !self.known.required.contains(name) {
                    self.plan.absent.push(name.to_owned());
                }
            }
            ([], doubtful) => {
                let candidates = doubtful.iter().map(|fit| fit.value.clone()).collect();
                let environment = &self.known.place.environment;
                let why = tr!(
                    self.language(),
                    "nem o nome nem as tags dizem se é de {environment}",
                    "neither name nor tags say whether it is of {environment}"
                );
                self.ask(name, candidates, why);
            }
            (several, _) => {
                let candidates = several.iter().map(|fit| fit.value.clone()).collect();
                let environment = &self.known.place.environment;
                let why = tr!(
                    self.language(),
                    "mais de um recurso de {environment} serve",
                    "more than one resource of {environment} fits"
                );
                self.ask(name, candidates, why);
            }
        }
    }

    /// The list, or nothing and a notice that names the parameters that depend on it.
    fn seen<'f, T>(&mut self, list: &'f Seen<T>, what: [&str; 2], parameters: &[&str]) -> &'f [T] {
        match list {
            Ok(list) => list,
            Err(error) => {
                self.told.extend(parameters.iter().map(|name| (*name).to_owned()));
                let open: Vec<&str> =
                    parameters.iter().copied().filter(|name| !self.is_given(name)).collect();
                if !open.is_empty() {
                    let (what, open) = (self.language().pick(what[0], what[1]), open.join(", "));
                    self.plan.notices.push(tr!(
                        self.language(),
                        "não foi possível ver {what}: {error}. Dependem disso: {open}",
                        "{what} could not be seen: {error}. On it depend: {open}"
                    ));
                }
                &[]
            }
        }
    }

    fn owner(&self, named: &Named) -> Owner {
        self.known.place.owner(&named.name, &named.tags)
    }

    fn environment(&mut self) {
        let place = self.known.place;
        let asked = tr!(self.language(), "pedido na linha de comando", "asked for on the command line");
        if place.project != "moveongs" {
            self.find("Project", place.project.clone(), asked.clone());
        }
        self.find("Environment", place.environment.clone(), asked);
    }

    fn database(&mut self) {
        let facts = self.known.facts;
        let parameters = ["DatabaseInstanceId"];
        let instances =
            self.seen(&facts.databases, ["as instâncias do RDS", "the RDS instances"], &parameters);
        let clusters =
            self.seen(&facts.database_clusters, ["os clusters do RDS", "the RDS clusters"], &parameters);
        let why = tr!(
            self.language(),
            "o banco PostgreSQL deste ambiente",
            "this environment's PostgreSQL database"
        );
        let fit = |one: &Database| Fit {
            value: one.named.name.clone(),
            owner: self.owner(&one.named),
            why: why.clone(),
        };
        let (restored, own): (Vec<&Database>, Vec<&Database>) =
            instances.iter().chain(clusters).partition(|one| is_restored(&one.named.name));
        let (restored, own): (Vec<Fit>, Vec<Fit>) =
            (restored.into_iter().map(fit).collect(), own.into_iter().map(fit).collect());
        self.choose("DatabaseInstanceId", own);
        for Fit { value: name, owner, .. } in restored {
            if owner != Owner::Other && !self.is_given("DatabaseInstanceId") {
                self.plan.notices.push(tr!(
                    self.language(),
                    "{name} não é proposto, porque o nome diz que foi restaurado de outro; se é o banco deste ambiente, responda DatabaseInstanceId",
                    "{name} is not proposed, because its name says that it was restored from another; if it is this environment's database, answer DatabaseInstanceId"
                ));
            }
        }
    }

    /// The only cluster of the environment, or the only one whose services read `JWT_SECRET`.
    fn cluster(&mut self) {
        let facts = self.known.facts;
        let parameters = ["EcsClusterName"];
        let clusters = self.seen(&facts.clusters, ["os clusters do ECS", "the ECS clusters"], &parameters);
        let reads = |name: &str| {
            let services = facts.services.as_deref().unwrap_or_default();
            services.iter().any(|one| {
                one.cluster == name && one.secrets.iter().any(|(variable, _)| variable == "JWT_SECRET")
            })
        };
        let ours: Vec<&Named> = clusters.iter().filter(|one| self.owner(one) == Owner::Ours).collect();
        let readers: Vec<&&Named> = ours.iter().filter(|one| reads(&one.name)).collect();
        let is_told = ours.len() > 1 && readers.len() == 1;
        let why = if is_told {
            tr!(
                self.language(),
                "o cluster cujo serviço lê JWT_SECRET",
                "the cluster whose service reads JWT_SECRET"
            )
        } else {
            tr!(self.language(), "o cluster do ECS deste ambiente", "this environment's ECS cluster")
        };
        let fits = clusters.iter().filter(|one| !is_told || reads(&one.name)).map(|one| Fit {
            value: one.name.clone(),
            owner: self.owner(one),
            why: why.clone(),
        });
        let fits = fits.collect();
        self.choose("EcsClusterName", fits);
    }

    /// The deployers, the address that is paged, and the order of the channels.
    fn people(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        let roles = self.seen(&facts.roles, ["os papéis do IAM", "the IAM roles"], &["DeployerArns"]);
        let name = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
        // The path counts too: prod/deployer is prod's.
        let owner = |arn: &str| {
            let name = arn.split_once('/').map_or(arn, |(_, name)| name);
            self.known.place.owner(name, &BTreeMap::new())
        };
        let is_deployer =
            |arn: &&String| super::names::words(&name(arn)).iter().any(|word| word.starts_with("deploy"));
        let mut candidates: Vec<String> = roles.iter().filter(is_deployer).cloned().collect();
        candidates.sort_by_key(|arn| owner(arn) != Owner::Ours);
        candidates.extend(facts.caller.arn.clone().filter(|arn| !candidates.contains(arn)));
        candidates.retain(|arn| owner(arn) != Owner::Other);
        let why = tr!(
            language,
            "quem publica a stack, sempre o mesmo, e uma role que pessoas assumam, que põe a política em vigor: sem ele, só o root da conta desfaz a política do bucket de evidências",
            "who deploys the stack, always the same, and a role that people assume, which applies the policy: without it only the account's root undoes the evidence bucket's policy"
        );
        self.ask("DeployerArns", candidates, why);
        let why = tr!(
            language,
            "nada na conta diz qual é; none para nenhum",
            "nothing in the account tells; none for no one"
        );
        self.ask("PagingEmail", Vec::new(), why);
        if self.value("SesFromAddress").is_some() {
            let why = tr!(
                language,
                "nada na conta diz qual é; recebe o resumo do mês",
                "nothing in the account tells; gets the monthly summary"
            );
            self.ask("ManagerEmail", Vec::new(), why);
        }
        self.operations();
        let extra: Vec<&str> = [("SlackWebhookSecretName", "webhook"), ("PagerDutySecretName", "pagerduty")]
            .into_iter()
            .filter(|(secret, _)| self.value(secret).is_some())
            .map(|(_, channel)| channel)
            .collect();
        if !extra.is_empty() {
            let why = tr!(
                language,
                "os canais que têm segredo nesta conta, na ordem em que um substitui o anterior",
                "the channels that have a secret in this account, in the order in which one replaces the one before"
            );
            self.find("PageChannels", format!("slack,{},sns", extra.join(",")), why);
        }
        let stacks = self.seen(
            &facts.stacks,
            ["as stacks do CloudFormation", "the CloudFormation stacks"],
            &["PageHealthEvents"],
        );
        if let Some(other) = stacks.iter().find(|stack| stack.pages_health).map(|stack| stack.name.clone()) {
            let why = tr!(
                language,
                "os eventos do AWS Health são da conta, e {other} já avisa deles",
                "the events of AWS Health are the account's, and {other} pages about them"
            );
            self.find("PageHealthEvents", "false", why);
        }
    }

    /// Says it if the IAM group in which `onboarding` looks people up does not exist.
    fn operations(&mut self) {
        let facts = self.known.facts;
        self.seen(&facts.groups, ["os grupos do IAM", "the IAM groups"], &["OpsGroupName"]);
        let group = self.known.given.get("OpsGroupName").map_or(OPS_GROUP, String::as_str);
        if let Ok(groups) = &facts.groups
            && !group.is_empty()
            && !groups.iter().any(|one| one == group)
        {
            self.plan.notices.push(tr!(
                self.language(),
                "o IAM não tem o grupo {group} (OpsGroupName): crie-o, ponha o nome do que há, ou deixe-o vazio onde o acesso não é dado por um grupo (onboarding.md, A lista)",
                "IAM has no group {group} (OpsGroupName): create it, name the one that there is, or leave it empty where no group gives access (onboarding.md, A lista)"
            ));
        }
    }
}
