//! The secrets, by what the application's services read and by their names.

use std::collections::BTreeSet;

use policy::tr;

use super::{Fit, Planner};
use crate::configure::facts::{Secret, Service};
use crate::configure::names::Owner;

/// How the secret of a parameter is recognised.
struct Wanted {
    parameter: &'static str,
    /// The application's variables that hold it.
    variables: &'static [&'static str],
    /// The words of a name beside project and environment.
    names: &'static [&'static str],
}

const SECRETS: [Wanted; 12] = [
    Wanted { parameter: "JwtSecretName", variables: &["JWT_SECRET"], names: &["jwt", "jwt-secret"] },
    Wanted {
        parameter: "WebhookSecretName",
        variables: &["NOTIFICATIONS_WEBHOOK_SECRET"],
        names: &["notifications-webhook", "notifications-webhook-secret", "webhook", "webhook-secret"],
    },
    Wanted {
        parameter: "SesSecretName",
        variables: &["NOTIFICATIONS_EMAIL_SES_ACCESS_KEY_ID", "NOTIFICATIONS_EMAIL_SES_SECRET_ACCESS_KEY"],
        names: &["ses", "email-ses", "notifications-email-ses"],
    },
    Wanted {
        parameter: "TwilioSecretName",
        variables: &["NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN"],
        names: &["twilio", "twilio-auth-token", "notifications-whatsapp-twilio-auth-token"],
    },
    Wanted {
        parameter: "SeedAdminSecretName",
        variables: &["SEED_ADMIN_PASSWORD"],
        names: &["seed-admin", "seed-admin-password"],
    },
    Wanted {
        parameter: "SlackSecretName",
        variables: &[],
        names: &["slack", "slack-bot", "slack-token", "slack-bot-token"],
    },
    Wanted {
        parameter: "SlackWebhookSecretName",
        variables: &[],
        names: &["slack-webhook", "slack-webhook-url", "slack-incoming-webhook"],
    },
    Wanted {
        parameter: "SlackSigningSecretName",
        variables: &[],
        names: &["slack-signing", "slack-signing-secret"],
    },
    Wanted {
        parameter: "PagerDutySecretName",
        variables: &[],
        names: &["pagerduty", "pagerduty-key", "pagerduty-integration-key"],
    },
    Wanted {
        parameter: "AlertWebhookSecretName",
        variables: &[],
        names: &["alert-webhook", "alertmanager", "alert-webhook-credentials"],
    },
    Wanted { parameter: "SmokeSecretName", variables: &[], names: &["smoke", "smoke-test", "smoke-account"] },
    Wanted {
        parameter: "SheetWebhookSecretName",
        variables: &[],
        names: &["sheet-webhook", "rotation-sheet-webhook"],
    },
];

const GRAFANA: Wanted =
    Wanted { parameter: "GrafanaSecretName", variables: &[], names: &["grafana", "grafana-token"] };

const GITHUB: Wanted =
    Wanted { parameter: "GitHubSecretName", variables: &[], names: &["github", "github-token"] };

const DATABASE: Wanted = Wanted {
    parameter: "DatabaseSecretName",
    variables: &["DATABASE_URL"],
    names: &["database-url", "database", "db", "db-url"],
};

/// Names of the secret of the login that manages the database's users.
const DATABASE_ADMIN: [&str; 5] =
    ["database-admin", "database-url-admin", "db-admin", "database-rotation", "db-rotation"];

/// Tags by which a secret says how its value is made.
const RANDOM_TAGS: [&str; 2] = ["rotation:bytes", "rotation:length"];

/// Tag by which a database secret names its administrator's.
const ADMIN_TAG: &str = "rotation:admin-secret";

/// The parameters that name one secret each.
fn parameters() -> impl Iterator<Item = &'static str> {
    SECRETS.iter().chain([&DATABASE, &GITHUB, &GRAFANA]).map(|one| one.parameter)
}

/// The parameters that have ARNs of secrets.
const ARNS: [&str; 4] = [
    "DatabaseAdminSecretArn",
    "OtherRandomSecretArns",
    "OtherDatabaseSecretArns",
    "OtherDatabaseAdminSecretArns",
];

impl<'a> Planner<'a> {
    /// The services of the cluster that the stack watches. A cluster may serve several environments.
    pub(super) fn watched(&self) -> Vec<&Service> {
        let cluster = self.value("EcsClusterName");
        let services = self.known.facts.services.as_deref().unwrap_or_default().iter();
        services
            .filter(|one| cluster == Some(one.cluster.as_str()) && self.owner(&one.named) != Owner::Other)
            .collect()
    }

    /// Whose a service is: what neither its name nor its tags say, its cluster's do.
    pub(super) fn owner_of(&self, service: &Service) -> Owner {
        let clusters = self.known.facts.clusters.as_deref().unwrap_or_default();
        let cluster = clusters.iter().find(|one| one.name == service.cluster);
        self.owner(&service.named).or(cluster.map_or(Owner::Unknown, |cluster| self.owner(cluster)))
    }

    pub(super) fn secrets(&mut self) {
        let facts = self.known.facts;
        let names: Vec<&str> = parameters().chain(ARNS).chain(["SecretsKmsKeyArn"]).collect();
        self.seen(&facts.secrets, ["os segredos", "the secrets"], &names);
        for wanted in &SECRETS {
            let fits = self.fits(wanted);
            self.choose(wanted.parameter, fits);
        }
        self.database_secret();
        self.mail();
        self.others();
        let fits = self.fits(&GITHUB);
        self.choose(GITHUB.parameter, fits);
        if self.value("GitHubSecretName").is_some() {
            let why = tr!(
                self.language(),
                "o repositório (dono/nome) do token; com os dois vazios, não há board",
                "the repository (owner/name) of the token; with both empty there is no board"
            );
            self.ask("GitHubRepository", Vec::new(), why);
        }
        let fits = self.fits(&GRAFANA);
        self.choose(GRAFANA.parameter, fits);
        if self.value("GrafanaSecretName").is_some() {
            let why = tr!(
                self.language(),
                "o endereço do Grafana do token; com os dois vazios, nada é exportado",
                "the address of the token's Grafana; with both empty nothing is exported"
            );
            self.ask("GrafanaUrl", Vec::new(), why);
        }
        if self.value("GrafanaUrl").is_some() && self.value("GitHubRepository").is_some() {
            let why = tr!(
                self.language(),
                "onde a exportação do Grafana é proposta por pull request; vazio: só no bucket",
                "where the export of Grafana is proposed by pull request; empty: only in the bucket"
            );
            self.ask("GrafanaExportPath", vec!["docs/observability/grafana".to_owned()], why);
        }
    }

    /// The secrets that fit, by variable if a watched service reads one, else by name.
    fn fits(&mut self, wanted: &Wanted) -> Vec<Fit> {
        let secrets = self.known.facts.secrets.as_deref().unwrap_or_default();
        let language = self.language();
        let mut read: Vec<Fit> = Vec::new();
        let mut foreign: BTreeSet<String> = BTreeSet::new();
        let mut without_value: BTreeSet<&str> = BTreeSet::new();
        for service in self.watched() {
            let owner = self.owner_of(service);
            for (variable, from) in &service.secrets {
                if !wanted.variables.contains(&variable.as_str()) {
                    continue;
                }
                let Some(secret) = secrets.iter().find(|secret| names(from, secret)) else { continue };
                let (service, name) = (&service.named.name, &secret.named.name);
                if self.owner(&secret.named) == Owner::Other {
                    foreign.insert(tr!(
                        language,
                        "{service} lê {variable} de {name}, que é de outro ambiente: não proposto",
                        "{service} reads {variable} from {name}, which is another environment's: not proposed"
                    ));
                    continue;
                }
                if !secret.has_value {
                    without_value.insert(name);
                    continue;
                }
                let why = tr!(language, "{service} o lê como {variable}", "{service} reads it as {variable}");
                // A service of the environment says whose it is.
                read.push(Fit { value: name.clone(), owner: self.owner(&secret.named).or(owner), why });
            }
        }
        self.plan.notices.extend(foreign);
        if !read.iter().any(|fit| fit.owner == Owner::Ours) {
            let why = tr!(language, "pelo nome do segredo", "by the secret's name");
            for secret in self.named(wanted.names) {
                let name = &secret.named.name;
                if !secret.has_value {
                    without_value.insert(name);
                    continue;
                }
                read.push(Fit { value: name.clone(), owner: self.owner(&secret.named), why: why.clone() });
            }
        }
        self.tell_without_value(wanted.parameter, &without_value);
        read
    }

    /// The secrets with one of these names, but for another environment's.
    fn named(&self, names: &[&str]) -> Vec<&'a Secret> {
        let secrets = self.known.facts.secrets.as_deref().unwrap_or_default().iter();
        secrets
            .filter(|secret| names.contains(&self.known.place.rest(&secret.named.name).as_str()))
            .filter(|secret| self.owner(&secret.named) != Owner::Other)
            .collect()
    }

    /// A secret without a value is one to finish, not one to use.
    fn tell_without_value(&mut self, parameter: &str, names: &BTreeSet<&str>) {
        let given = self.known.given.get(parameter);
        for name in names.iter().filter(|name| given.is_none_or(|given| given == **name)) {
            self.told.insert(parameter.to_owned());
            self.plan.notices.push(tr!(
                self.language(),
                "{name} existe, mas sem valor: {parameter} não o recebe. Grave o valor (adotar.md, 2) e repita",
                "{name} exists, but has no value: it is not taken for {parameter}. Put the value (adotar.md, 2) and run it again"
            ));
        }
    }

    /// With an administrator's secret two users alternate, so nothing breaks; without one, a person decides.
    fn database_secret(&mut self) {
        let language = self.language();
        let fits = self.fits(&DATABASE);
        let why = tr!(
            language,
            "o login que troca os usuários do banco",
            "the login that changes the database's users"
        );
        let (admins, empty): (Vec<&Secret>, Vec<&Secret>) =
            self.named(&DATABASE_ADMIN).into_iter().partition(|secret| secret.has_value);
        let empty: BTreeSet<&str> = empty.iter().map(|secret| secret.named.name.as_str()).collect();
        self.tell_without_value("DatabaseAdminSecretArn", &empty);
        let admins: Vec<Fit> = admins
            .into_iter()
            .map(|secret| Fit {
                value: secret.arn.clone(),
                owner: self.owner(&secret.named),
                why: why.clone(),
            })
            .collect();
        let ours = admins.iter().filter(|fit| fit.owner == Owner::Ours).count();
        if ours == 1 || self.is_given("DatabaseAdminSecretArn") || self.is_given("DatabaseSecretName") {
            self.choose("DatabaseSecretName", fits);
        } else if fits.iter().any(|fit| fit.owner != Owner::Other) {
            let candidates = fits.iter().filter(|fit| fit.owner != Owner::Other).map(|fit| fit.value.clone());
            let candidates = candidates.collect();
            let why = tr!(
                language,
                "sem segredo de administrador (DatabaseAdminSecretArn), um usuário só troca a própria senha e a aplicação falha até o deployment; leia rotacao-banco.md. Vazio: não rotacionar ainda",
                "without an admin secret (DatabaseAdminSecretArn) a single user changes its own password, and the application fails until its deployment; read rotacao-banco.md. Empty: not rotated yet"
            );
            self.ask("DatabaseSecretName", candidates, why);
        } else {
            self.choose("DatabaseSecretName", fits);
        }
        if self.value("DatabaseSecretName").is_some() {
            self.choose("DatabaseAdminSecretArn", admins);
        }
    }

    /// What a rotation of the mail key, of Twilio's token and of the administrator's password also needs.
    fn mail(&mut self) {
        let facts = self.known.facts;
        let language = self.language();
        if self.value("SesSecretName").is_some() {
            let users = self.seen(&facts.users, ["os usuários do IAM", "the IAM users"], &["SesUserName"]);
            let why = tr!(language, "o usuário do IAM que envia e-mail", "the IAM user that sends mail");
            let is_mail = |name: &&String| {
                ["mail", "email", "ses", "smtp"].contains(&self.known.place.rest(name).as_str())
            };
            let fits = users.iter().filter(is_mail).map(|name| Fit {
                value: name.clone(),
                owner: self.known.place.owner(name, &Default::default()),
                why: why.clone(),
            });
            let fits = fits.collect();
            self.choose("SesUserName", fits);
            let why = tr!(
                language,
                "o usuário do IAM cuja chave SesSecretName guarda; com SesSecretName vazio, a chave não é rotacionada",
                "the IAM user whose key SesSecretName holds; with SesSecretName empty the key is not rotated"
            );
            self.ask("SesUserName", Vec::new(), why);
            self.setting("SesFromAddress", "NOTIFICATIONS_EMAIL_FROM");
            if !self.is_settled("SesFromAddress") {
                let senders = self.seen(
                    &facts.senders,
                    ["as identidades do SES", "SES's identities"],
                    &["SesFromAddress"],
                );
                let why = tr!(
                    language,
                    "o remetente do e-mail que prova uma chave nova",
                    "the sender of the mail that proves a new key"
                );
                // An account's identities are of all its environments.
                let fit = |address: &String| Fit {
                    value: address.clone(),
                    owner: self.known.place.owner(address, &Default::default()),
                    why: why.clone(),
                };
                let fits = senders.iter().map(fit).collect();
                self.choose("SesFromAddress", fits);
                self.ask("SesFromAddress", Vec::new(), why);
            }
            let region = self.known.place.region.clone();
            if self.plain("NOTIFICATIONS_EMAIL_SES_REGION").is_some_and(|(value, _)| value != region) {
                self.setting("SesRegion", "NOTIFICATIONS_EMAIL_SES_REGION");
            }
        }
        if self.value("TwilioSecretName").is_some() {
            self.setting("TwilioAccountSid", "NOTIFICATIONS_WHATSAPP_TWILIO_ACCOUNT_SID");
            let why = tr!(
                language,
                "a conta do Twilio (AC…); com TwilioSecretName vazio, o token não é rotacionado",
                "Twilio's account (AC…); with TwilioSecretName empty the token is not rotated"
            );
            self.ask("TwilioAccountSid", Vec::new(), why);
        }
        if self.value("SeedAdminSecretName").is_some()
            && self.plain("SEED_ADMIN_EMAIL").is_some_and(|(value, _)| value != "admin@imm.local")
        {
            self.setting("SeedAdminEmail", "SEED_ADMIN_EMAIL");
        }
    }

    /// The only value that the environment's services have for one of the application's settings, and one that has it.
    pub(super) fn plain(&self, variable: &str) -> Option<(String, String)> {
        let values: Vec<(&String, &String)> = self
            .watched()
            .into_iter()
            .filter(|service| self.owner_of(service) == Owner::Ours)
            .filter_map(|service| Some((service.plain.get(variable)?, &service.named.name)))
            .collect();
        let (first, service) = values.first().copied()?;
        let is_one = values.iter().all(|(value, _)| *value == first);
        is_one.then(|| (first.clone(), service.clone()))
    }

    /// Takes a setting of the application as the parameter's value.
    pub(super) fn setting(&mut self, parameter: &str, variable: &str) {
        if let Some((value, service)) = self.plain(variable) {
            let why = tr!(self.language(), "{variable} de {service}", "{variable} of {service}");
            self.find(parameter, value, why);
        }
    }

    /// The secrets that say by tag that they are to be rotated.
    fn others(&mut self) {
        let secrets = self.known.facts.secrets.as_deref().unwrap_or_default();
        let named: BTreeSet<&str> = parameters().filter_map(|name| self.value(name)).collect();
        let tagged = |tags: &[&str]| {
            let is_one = |secret: &&Secret| {
                self.owner(&secret.named) == Owner::Ours
                    && !named.contains(secret.named.name.as_str())
                    && tags.iter().any(|tag| secret.named.tags.contains_key(*tag))
            };
            let arns: Vec<&str> = secrets.iter().filter(is_one).map(|secret| secret.arn.as_str()).collect();
            arns.join(",")
        };
        let (random, database) = (tagged(&RANDOM_TAGS), tagged(&[ADMIN_TAG]));
        let ours: Vec<&Secret> =
            secrets.iter().filter(|secret| self.owner(&secret.named) == Owner::Ours).collect();
        let admins: BTreeSet<&str> =
            ours.iter().filter_map(|secret| secret.named.tags.get(ADMIN_TAG)).map(String::as_str).collect();
        // A tag is anybody's word: the stack may read only a secret that is this environment's by itself.
        let (admins, foreign): (Vec<&str>, Vec<&str>) =
            admins.into_iter().partition(|arn| ours.iter().any(|secret| secret.arn == *arn));
        let foreign = foreign.into_iter().map(|arn| {
            tr!(
                self.language(),
                "{arn}, da tag {ADMIN_TAG}, fica fora de OtherDatabaseAdminSecretArns: não é o ARN de um segredo deste ambiente nesta conta",
                "{arn}, of the tag {ADMIN_TAG}, is left out of OtherDatabaseAdminSecretArns: it is not the ARN of a secret of this environment in this account"
            )
        });
        let foreign: Vec<String> = foreign.collect();
        let admins = admins.join(",");
        if !self.is_given("OtherDatabaseAdminSecretArns") {
            self.plan.notices.extend(foreign);
        }
        let tags = tr!(self.language(), "pelas tags dos segredos", "by the secrets' tags");
        for (parameter, arns) in [
            ("OtherRandomSecretArns", random),
            ("OtherDatabaseSecretArns", database.clone()),
            ("OtherDatabaseAdminSecretArns", if database.is_empty() { String::new() } else { admins }),
        ] {
            if !arns.is_empty() {
                self.find(parameter, arns, tags.clone());
            }
        }
    }

    /// ARNs of the keys that encrypt the secrets of the stack's parameters.
    pub(super) fn keys_of_secrets(&self) -> BTreeSet<String> {
        let secrets = self.known.facts.secrets.as_deref().unwrap_or_default();
        let values = parameters().chain(ARNS).filter_map(|name| self.value(name));
        let named: BTreeSet<&str> = values.flat_map(|value| value.split(',')).collect();
        let is_named = |secret: &&Secret| {
            [&secret.named.name, &secret.arn].iter().any(|one| named.contains(one.as_str()))
        };
        let own = secrets.iter().filter(is_named);
        let default = self.key_arn("alias/aws/secretsmanager");
        own.filter_map(|secret| self.key_arn(secret.key.as_deref()?))
            .filter(|arn| default.as_ref() != Some(arn))
            .collect()
    }

    /// ARN of a key of this region, by its ARN, alias or id; none for an unknown alias.
    pub(super) fn key_arn(&self, key: &str) -> Option<String> {
        let place = self.known.place;
        if key.contains(":key/") {
            return Some(key.to_owned());
        }
        match key.split_once("alias/") {
            // The ARN of an alias has the region and the account.
            Some((place, alias)) => {
                let keys = self.known.facts.keys.as_ref().ok()?;
                keys.get(&format!("alias/{alias}")).filter(|arn| arn.starts_with(place)).cloned()
            }
            None => Some(format!("arn:{}:kms:{}:{}:key/{key}", place.partition, place.region, place.account)),
        }
    }
}

/// Whether a container's `valueFrom` is this secret: its ARN, which a field, label and version may follow, or the ARN
/// without the six characters that Secrets Manager adds.
pub(super) fn names(from: &str, secret: &Secret) -> bool {
    let rest =
        |arn: &str| from.strip_prefix(arn).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
    let bare = secret.arn.rsplit_once('-').map(|(bare, _)| bare);
    rest(&secret.arn) || bare.is_some_and(rest)
}
