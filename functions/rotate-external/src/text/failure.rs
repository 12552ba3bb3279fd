//! The texts of a failure: cause, value in force, next step.

#[cfg(test)]
mod tests;

use shared::command;
use shared::rotation::{Advice, InForce, Request};
use shared::run::ledger::retire_command;
use shared::runtime::language::Language;
use shared::runtime::time;

use crate::error::RotateError;
use crate::rules::in_force;

/// Names and commands that the texts insert.
pub(crate) struct Names<'a> {
    /// Name of the secret.
    pub secret: &'a str,
    /// Name of the function.
    pub function: &'a str,
    /// The IAM user with the keys; empty if the stack names none.
    pub user: &'a str,
    /// Whether the secret is the administrator's password, which the database accepts from setSecret on.
    pub is_admin: bool,
    /// Stores a value from a file as AWSCURRENT and rotates it. AWS abandons a running rotation if a person makes
    /// another version.
    pub adopt_commands: String,
    /// Abandons the waiting rotation and switches rotation off.
    pub off_commands: String,
    /// Abandons the waiting rotation and starts another; empty if no rotation step failed.
    pub again_commands: String,
}

impl Names<'_> {
    /// Retires old credentials at once.
    pub(crate) fn retire(&self) -> String {
        retire_command(self.function).code()
    }

    /// Lists the IAM user's keys.
    fn list_keys(&self) -> String {
        command!("aws iam list-access-keys --user-name {user}", user = self.user).code()
    }

    /// Shows who used a key last.
    pub(crate) fn last_use(key: &str) -> String {
        command!("aws iam get-access-key-last-used --access-key-id {key}", key).code()
    }

    /// Deletes a key.
    pub(crate) fn delete_key(&self, key: &str) -> String {
        command!("aws iam delete-access-key --user-name {user} --access-key-id {key}", user = self.user, key)
            .code()
    }

    /// Activates a key.
    pub(crate) fn activate_key(&self, key: &str) -> String {
        command!(
            "aws iam update-access-key --user-name {user} --access-key-id {key} --status Active",
            user = self.user,
            key
        )
        .code()
    }
}

impl RotateError {
    /// The message about a failed step.
    pub(crate) fn advise(&self, language: Language, request: &Request, names: &Names<'_>) -> Advice {
        let in_force = match names.is_admin {
            true => in_force::of_password(self, language, request),
            // Issuers accept both the old and the new credential; the administrator's new password replaces the old
            // one.
            false => match self {
                Self::Rotation(error) => error.advise(language, request).in_force,
                _ => InForce::Current,
            },
        };
        let (cause, next) = match self {
            Self::Rotation(error) => {
                let advice = error.advise(language, request);
                (advice.cause, advice.next)
            }
            _ => (self.cause(language), self.next_step(language, names)),
        };
        Advice { cause, in_force, next }
    }

    /// The cause in a sentence. The technical detail, in English, is in the message's small print.
    pub(crate) fn cause(&self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        let say = match self {
            Self::Rotation(error) => return error.cause(language),
            Self::InvalidEvent { field, .. } => {
                return format!("o evento não é um que a função conhece (campo {field})");
            }
            Self::NotOurs { name } => return format!("o segredo {name} não está nos parâmetros da stack"),
            Self::Issuance(_) => "o bucket de evidências não respondeu, e sem a anotação nada é criado",
            Self::Busy { until } => {
                return format!(
                    "outra tentativa deste passo pode estar em curso até {}",
                    time::local(*until)
                );
            }
            Self::NotRetired => {
                "a credencial anterior ainda não foi desativada, e não há lugar para uma nova"
            }
            Self::StillAccepted => {
                "a credencial antiga foi desativada, e ainda não se viu que ela é recusada"
            }
            Self::NotVerified(call) => {
                return format!(
                    "a credencial antiga foi desativada, e a resposta do SES ({}) não mostra se a AWS já a recusa",
                    call.code
                );
            }
            Self::NotTheUsersKey { key } => {
                return format!("a chave {key} do AWSCURRENT não é do usuário IAM da stack (SesUserName)");
            }
            Self::PendingKeyGone { key } => {
                return format!(
                    "a chave {key} do AWSPENDING não existe mais no usuário IAM da stack (SesUserName)"
                );
            }
            Self::ForeignKey { key } => {
                return format!("o usuário IAM tem uma segunda chave, {key}, que não está no segredo");
            }
            Self::Iam(call) => return format!("a chamada {} falhou ({})", call.operation, call.code),
            Self::Mail { call, .. } => return format!("o SES não aceitou o e-mail de teste ({})", call.code),
            Self::KeyRefused { .. } => "a AWS não aceita a chave: id desconhecido, inativo ou segredo errado",
            Self::TokenRefused { which: "current" } => "o Twilio não aceita o token do AWSCURRENT",
            Self::TokenRefused { .. } => "o Twilio não aceita o token pendente",
            Self::ForeignToken => "a conta do Twilio tem um token secundário que não está no segredo",
            Self::AccountClosed { status } => return format!("a conta do Twilio está em {status}"),
            Self::TwilioLimited => "o Twilio pediu menos chamadas",
            Self::Twilio { .. } => "o Twilio não respondeu como documentado",
            Self::Repository(_) => "o segredo do GitHub Actions não foi trocado",
            Self::NotUpdated { .. } => "o GitHub aceitou o valor, mas o updated_at dele não mudou",
            Self::Seal => "a chave pública do GitHub não serve para cifrar",
            Self::DatabaseForm(_) => "o segredo DATABASE_URL não tem um login que se entenda",
            Self::Database(error) => {
                return format!("o banco da aplicação não fez o que foi pedido ({})", error.kind.name());
            }
            Self::NotSet => "a senha pendente ainda não foi dada a ninguém (setSecret não terminou)",
            Self::Hash => "o hash guardado do administrador não é de bcrypt",
            Self::HashMoved => "alguém trocou a senha do administrador no mesmo instante",
            Self::PasswordOfOthers { email } => {
                return format!(
                    "a senha de {email} na aplicação não é a de nenhuma versão do segredo: uma pessoa a trocou, e ela ficou como está"
                );
            }
            Self::SeveralUsers { count } => {
                return format!("{count} usuários têm o e-mail do administrador, com maiúsculas diferentes");
            }
            Self::UserInactive { email } => {
                return format!(
                    "o administrador {email} está inativo na aplicação, e nenhum login prova uma senha"
                );
            }
            Self::LoginRefused { .. } => "a aplicação recusa a senha nova do administrador",
            Self::LoginLimited { .. } => {
                "a aplicação respondeu pelo limite de chamadas (rate limit), e o login não prova nada"
            }
            Self::LoginUnclear { .. } => "a resposta da aplicação ao login não prova nada",
            Self::Call(call) => return format!("a chamada {} falhou ({})", call.operation, call.code),
            Self::Retire { secrets } => {
                return format!("a credencial antiga de {secrets} não foi desativada");
            }
            Self::Ledger { .. } => "o ledger de rotações não se lê",
        };
        say.to_owned()
    }

    /// The operator's next step.
    pub(crate) fn next_step(&self, language: Language, names: &Names<'_>) -> String {
        let say = |portuguese: &str, english: &str| language.pick(portuguese, english).to_owned();
        match self {
            // Only for retiring: for a rotation's errors, `advise` takes the next step from `shared::rotation`.
            Self::Rotation(_) => names.retire(),
            Self::InvalidEvent { .. } => say(
                "invocar com {\"retire\": true}, ou deixar o Secrets Manager chamar.",
                "invoke with {\"retire\": true}, or let Secrets Manager call the function.",
            ),
            Self::NotOurs { .. } => say(
                "pôr o nome do segredo no parâmetro certo da stack (SesSecretName, TwilioSecretName ou SeedAdminSecretName), ou ligar a rotação dele a outra função.",
                "put the secret's name in the right stack parameter (SesSecretName, TwilioSecretName or SeedAdminSecretName), or assign its rotation to another function.",
            ),
            Self::Issuance(_) | Self::Call(_) => say(
                "ver a mensagem no rodapé e a permissão da função; a próxima tentativa continua.",
                "see the message in the small print and check the function's permissions; the next attempt continues.",
            ),
            Self::Busy { .. } => {
                say("nada: a próxima tentativa continua.", "nothing: the next attempt continues.")
            }
            Self::NotRetired => format!(
                "{} {}",
                say(
                    "a credencial anterior só é desativada depois que o acompanhamento (rotation-followup) pôs a atual em uso. Ver a mensagem dele e então:",
                    "the previous credential is retired only after the follow-up (rotation-followup) has brought the current one into use. See its message, then:",
                ),
                names.retire()
            ),
            Self::StillAccepted => format!(
                "{} {}",
                say(
                    "a desativação pode levar alguns minutos até valer em toda parte; a próxima hora prova de novo. Para provar agora:",
                    "retiring may take some minutes to take effect everywhere; the next hourly run checks it again. To check it now:",
                ),
                names.retire()
            ),
            Self::NotVerified(_) => format!(
                "{} {}",
                say(
                    "a próxima hora prova de novo. Para provar agora:",
                    "the next hourly run checks it again. To check it now:",
                ),
                names.retire()
            ),
            Self::NotTheUsersKey { .. } => format!(
                "{} {}. {} {}",
                say("conferir SesUserName e as chaves do usuário:", "check SesUserName and the user's keys:"),
                names.list_keys(),
                say(
                    "Guardar no segredo o documento com uma chave dele, num arquivo sem fim de linha, e rotacionar de novo:",
                    "Store the document with one of this user's keys in the secret, from a file without a trailing line end, and rotate again:",
                ),
                names.adopt_commands
            ),
            Self::PendingKeyGone { .. } => format!(
                "{} {}",
                say(
                    "a rotação não pode terminar com essa chave. Descartá-la e rotacionar de novo:",
                    "the rotation cannot finish with this key. Discard it and rotate again:",
                ),
                names.again_commands
            ),
            Self::ForeignKey { key } => format!(
                "{} {} {} {}",
                say("descobrir de quem é:", "find its owner:"),
                Names::last_use(key),
                say(
                    "e, se ninguém a usa, apagá-la; a próxima tentativa continua:",
                    "and delete it if it is unused; the next attempt continues:",
                ),
                names.delete_key(key)
            ),
            Self::Iam(_) => format!(
                "{} {}",
                say(
                    "ver a permissão da função e as chaves; a próxima tentativa continua:",
                    "check the function's permissions and the keys; the next attempt continues:",
                ),
                names.list_keys()
            ),
            Self::Mail { .. } => say(
                "o usuário IAM precisa de ses:SendEmail, e o remetente (SesFromAddress) de uma identidade verificada na região SesRegion; a próxima tentativa continua.",
                "the IAM user needs ses:SendEmail, and the sender (SesFromAddress) needs a verified identity in the region SesRegion; the next attempt continues.",
            ),
            Self::KeyRefused { which: "pending", .. } => format!(
                "{} {}. {} {}",
                say(
                    "uma chave nova pode levar alguns segundos até valer, e a próxima tentativa continua. Se repetir, ver se a chave está ativa:",
                    "a new key may take some seconds to become valid; the next attempt continues. If this repeats, check that the key is active:",
                ),
                names.list_keys(),
                say(
                    "Se não estiver, descartá-la e rotacionar de novo:",
                    "If it is not, discard it and rotate again:"
                ),
                names.again_commands
            ),
            Self::KeyRefused { key, .. } => format!(
                "{} {}. {} {}. {} {}",
                say(
                    "ver se a chave do AWSCURRENT está ativa:",
                    "check that the key of AWSCURRENT is active:",
                ),
                names.list_keys(),
                say("Se não estiver, ativá-la:", "If it is not, activate it:"),
                names.activate_key(key),
                say(
                    "Se estiver, o segredo dela é outro: guardar o documento com uma chave ativa, num arquivo sem fim de linha, e rotacionar de novo:",
                    "If it is, its stored secret is wrong: store the document with an active key, from a file without a trailing line end, and rotate again:",
                ),
                names.adopt_commands
            ),
            Self::TokenRefused { which: "current" } => format!(
                "{} {}",
                say(
                    "conferir TwilioAccountSid e guardar no segredo o token primário que o console do Twilio mostra (Account > API keys & tokens), num arquivo sem fim de linha, e rotacionar de novo:",
                    "check TwilioAccountSid, store in the secret the primary token from Twilio's console (Account > API keys & tokens), from a file without a trailing line end, and rotate again:",
                ),
                names.adopt_commands
            ),
            Self::TokenRefused { .. } => format!(
                "{} {}",
                say(
                    "o token secundário foi apagado ou trocado no Twilio. Descartar o valor pendente e rotacionar de novo:",
                    "the secondary token was deleted or replaced in Twilio. Discard the pending value and rotate again:",
                ),
                names.again_commands
            ),
            Self::ForeignToken => say(
                "se ninguém usa o token secundário, apagá-lo no console do Twilio (Account > API keys & tokens); a próxima tentativa continua.",
                "if the secondary token is unused, delete it in Twilio's console (Account > API keys & tokens); the next attempt continues.",
            ),
            Self::AccountClosed { .. } => say(
                "reativar a conta no console do Twilio; a próxima tentativa continua.",
                "reactivate the account in Twilio's console; the next attempt continues.",
            ),
            Self::TwilioLimited | Self::Twilio { .. } => say(
                "nada agora: a próxima tentativa continua. Se repetir, ver status.twilio.com.",
                "nothing now: the next attempt continues. If this repeats, see status.twilio.com.",
            ),
            Self::Repository(_) | Self::Seal => say(
                "o token do GitHub (GitHubSecretName) precisa de Secrets: read and write no repositório (de um ambiente, Environments: read and write); a próxima tentativa continua.",
                "the GitHub token (GitHubSecretName) needs Secrets: read and write on the repository (for an environment, Environments: read and write); the next attempt continues.",
            ),
            Self::NotUpdated { name, .. } => format!(
                "{} `gh secret list` ({name})",
                say(
                    "conferir no repositório; a próxima tentativa grava de novo:",
                    "check it in the repository; the next attempt stores it again:",
                ),
            ),
            Self::DatabaseForm(_) | Self::Database(_) => say(
                "ver se a função alcança o banco (VpcSubnetIds, grupo de segurança) e se DatabaseSecretName está em uso; a próxima tentativa continua.",
                "check that the function reaches the database (VpcSubnetIds, security group) and that the secret DatabaseSecretName is in use; the next attempt continues.",
            ),
            Self::Hash => format!(
                "{} {}",
                say(
                    "redefinir a senha do administrador por /auth/password/forgot e guardá-la no segredo, num arquivo sem fim de linha, e rotacionar de novo:",
                    "reset the administrator's password through /auth/password/forgot, store it in the secret, from a file without a trailing line end, and rotate again:",
                ),
                names.adopt_commands
            ),
            Self::NotSet | Self::HashMoved => {
                say("nada: a próxima tentativa olha de novo.", "nothing: the next attempt checks again.")
            }
            Self::PasswordOfOthers { .. } => format!(
                "{} {}",
                say(
                    "guardar no segredo a senha que o administrador usa (quem não a sabe redefine por /auth/password/forgot), num arquivo sem fim de linha, e rotacionar de novo:",
                    "store the administrator's real password in the secret (/auth/password/forgot sets a new one), from a file without a trailing line end, and rotate again:",
                ),
                names.adopt_commands
            ),
            Self::SeveralUsers { .. } => format!(
                "{} `SELECT id, email FROM users WHERE lower(email) = lower('…')`. {}",
                say(
                    "a aplicação não distingue maiúsculas, então não se sabe quem entra. Deixar um só:",
                    "the application ignores letter case, so any of them may log in. Keep only one:",
                ),
                say("A próxima tentativa continua.", "The next attempt continues."),
            ),
            // Retiring does not read the hash.
            Self::LoginRefused { .. } if names.again_commands.is_empty() => format!(
                "{} {}",
                say(
                    "ver se AppUrl é desta aplicação e se o usuário está ativo. Se alguém trocou a senha dele, guardar no segredo a que vale, num arquivo sem fim de linha, e rotacionar de novo:",
                    "check that AppUrl is this application's and that the user is active. If a person changed the user's password, store the valid one in the secret, from a file without a trailing line end, and rotate again:",
                ),
                names.adopt_commands
            ),
            Self::LoginRefused { .. } => say(
                "o hash no banco confere com a senha nova e o login não: ver se AppUrl é desta aplicação e se o usuário está ativo; a próxima tentativa continua.",
                "the hash in the database matches the new password, but the login refuses it: check that AppUrl is this application's and that the user is active; the next attempt continues.",
            ),
            Self::UserInactive { .. } => format!(
                "{} `UPDATE users SET is_active = true WHERE lower(email) = lower('…')`. {} {}",
                say(
                    "ativar o usuário; a próxima tentativa continua:",
                    "activate the user; the next attempt continues:"
                ),
                say(
                    "Se ele deve ficar inativo, desligar a rotação do segredo:",
                    "If the user must stay inactive, switch off the secret's rotation:",
                ),
                names.off_commands
            ),
            Self::LoginLimited { .. } => say(
                "nada agora: a próxima tentativa, minutos depois, continua. Se repetir, ver quem chama a aplicação tanto (o limite é por endereço, RATE_LIMIT_MAX por minuto).",
                "nothing now: the next attempt, minutes later, continues. If this repeats, find the caller that floods the application (the limit is per address, RATE_LIMIT_MAX per minute).",
            ),
            Self::LoginUnclear { .. } => say(
                "ver nos logs da aplicação o erro do login (`unhandled error`; err.code 28P01 é a senha do banco) e se há tasks saudáveis; GET /health não consulta o banco. A próxima tentativa continua.",
                "look for the login's error in the application's logs (`unhandled error`; err.code 28P01 means a wrong database password), and check that healthy tasks are running; GET /health does not query the database. The next attempt continues.",
            ),
            Self::Retire { .. } => names.retire(),
            Self::Ledger { .. } => say(
                "ver ledger/rotation.json no bucket de evidências; o rotation-followup o escreve inteiro na próxima rotação.",
                "see ledger/rotation.json in the evidence bucket; rotation-followup rewrites it after the next rotation.",
            ),
        }
    }
}
