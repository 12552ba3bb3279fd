//! Why a rotation step or the retiring of an old credential failed, and what an operator does next.

use jiff::Timestamp;
use shared::database::DatabaseError;
use shared::database::secret::FormError;
use shared::evidence::EvidenceError;
use shared::failure::{CallError, Failure, chain};
use shared::github::GitHubError;
use shared::language::Language;
use shared::rotation::{Advice, InForce, Request, RotationError, Step};
use shared::time;

/// Why something failed; a variant for each thing that an operator does next.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotateError {
    /// What any rotation may fail of.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The event is neither a rotation step nor one that asks to retire old credentials.
    #[error("event field {field} is not {expected}")]
    InvalidEvent {
        /// Name of the field.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// The template does not name the secret.
    #[error("secret {name} is none of those that the template gives this function")]
    NotOurs {
        /// Name of the secret.
        name: String,
    },
    /// What is remembered of the secret could not be read or written, and without that nothing is made.
    #[error("what is remembered of the secret could not be read or written")]
    Desk(#[from] EvidenceError),
    /// Another attempt of the same step may still be at work.
    #[error("another attempt at making the credential may be at work until {}", time::local(*until))]
    Busy {
        /// When it cannot be any more.
        until: Timestamp,
    },
    /// The credential before the current one is still in use, as far as anybody knows.
    #[error(
        "the credential before the current one is not put out of use yet, so there is no room for a new one"
    )]
    NotRetired,
    /// The credential that was put out of use is accepted still, or no definite refusal was seen.
    #[error("the old credential was put out of use, and no refusal of it was seen yet")]
    StillAccepted,
    /// AWSCURRENT holds a key that the template's user does not have.
    #[error("access key {key} of AWSCURRENT is not one of the IAM user's")]
    NotTheUsersKey {
        /// Id of the key.
        key: String,
    },
    /// The user has a second key that is in no version of the secret.
    #[error("the IAM user has a second access key, {key}, that is not in the secret")]
    ForeignKey {
        /// Id of the key.
        key: String,
    },
    /// A call to IAM failed.
    #[error("the call to IAM failed")]
    Iam(#[source] CallError),
    /// SES refused a mail, or did not answer.
    #[error("the test mail was not sent with the {which} key")]
    Mail {
        /// `pending` or `current`.
        which: &'static str,
        /// What SES said.
        #[source]
        call: CallError,
    },
    /// A key that is no key to AWS.
    #[error("AWS does not know the {which} key, or its secret is another one")]
    KeyRefused {
        /// `pending` or `current`.
        which: &'static str,
    },
    /// Twilio does not take a token.
    #[error("Twilio refuses the {which} token of the account")]
    TokenRefused {
        /// `pending` or `current`.
        which: &'static str,
    },
    /// The account has a secondary token that is in no version of the secret.
    #[error("the Twilio account has a secondary auth token that is not in the secret")]
    ForeignToken,
    /// The account cannot be used.
    #[error("the Twilio account is {status}")]
    AccountClosed {
        /// Twilio's word.
        status: String,
    },
    /// Twilio refused the call for its rate.
    #[error("Twilio asks to be asked less often")]
    TwilioLimited,
    /// Twilio did not answer, or in a way that it does not document.
    #[error("Twilio did not answer as documented: {reason}")]
    Twilio {
        /// What was seen; nothing secret.
        reason: String,
    },
    /// The CI's secret was not changed.
    #[error("the secret of GitHub Actions was not changed")]
    Repository(#[from] GitHubError),
    /// GitHub said that it stored the value, and its date says otherwise.
    #[error("GitHub took the value of {name}, and its updated_at still is {updated_at}")]
    NotUpdated {
        /// Name of the secret of GitHub Actions.
        name: String,
        /// What GitHub says.
        updated_at: Timestamp,
    },
    /// The key for sealing is not one.
    #[error("GitHub's public key for secrets is not one, or nothing could be sealed with it")]
    Seal,
    /// The database secret has no login in it.
    #[error("the application's database secret cannot be used")]
    DatabaseForm(#[source] FormError),
    /// The application's database refused, or was not reached.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// setSecret has not run, or did not come to its end.
    #[error("the pending password was not given to anybody yet: setSecret has left no note")]
    NotSet,
    /// The stored hash of the administrator's password is not one of bcrypt.
    #[error("the administrator's password cannot be hashed, or its stored hash is not one of bcrypt")]
    Hash,
    /// The administrator's hash changed between two looks.
    #[error("somebody changed the administrator's password at the same moment")]
    HashMoved,
    /// The administrator's password is in no version of the secret, so a person set it.
    #[error("the password of {email} in the application is in no version of the secret; it was left alone")]
    PasswordOfOthers {
        /// The administrator's address.
        email: String,
    },
    /// The application compares addresses in lower case, and does not say which of several users logs in.
    #[error("{count} users have the administrator's address, in different letter case")]
    SeveralUsers {
        /// Number of users.
        count: usize,
    },
    /// The application's login does not take the new password.
    #[error("the application refuses the administrator's new password: {said}")]
    LoginRefused {
        /// Its answer.
        said: String,
    },
    /// The application's answer to the login proves nothing.
    #[error("the application's answer to the administrator's login proves nothing: {said}")]
    LoginUnclear {
        /// Its answer, or why there was none.
        said: String,
    },
    /// A call that only the retiring makes failed.
    #[error("an old credential could not be looked at")]
    Call(#[from] CallError),
    /// Some secret's old credential could not be retired.
    #[error("the old credential of {secrets} could not be retired; the channel has each cause")]
    Retire {
        /// Names of the secrets.
        secrets: String,
    },
    /// The ledger is not what the follow-up writes.
    #[error("the rotation ledger cannot be read: {reason}")]
    Ledger {
        /// Where it is wrong.
        reason: String,
    },
}

impl Failure for RotateError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rotation(error) => error.kind(),
            Self::InvalidEvent { .. } => "InvalidEvent",
            Self::NotOurs { .. } => "NotOurs",
            Self::Desk(_) => "DeskFailed",
            Self::Busy { .. } => "Busy",
            Self::NotRetired => "NotRetired",
            Self::StillAccepted => "StillAccepted",
            Self::NotTheUsersKey { .. } => "NotTheUsersKey",
            Self::ForeignKey { .. } => "ForeignKey",
            Self::Iam(_) => "IamCall",
            Self::Mail { .. } => "MailFailed",
            Self::KeyRefused { .. } => "KeyRefused",
            Self::TokenRefused { .. } => "TokenRefused",
            Self::ForeignToken => "ForeignToken",
            Self::AccountClosed { .. } => "AccountClosed",
            Self::TwilioLimited => "TwilioLimited",
            Self::Twilio { .. } => "TwilioFailed",
            Self::Repository(_) => "GitHubFailed",
            Self::NotUpdated { .. } => "NotUpdated",
            Self::Seal => "SealFailed",
            Self::DatabaseForm(_) => "DatabaseForm",
            Self::Database(error) => error.kind.name(),
            Self::NotSet => "NotSet",
            Self::Hash => "HashFailed",
            Self::HashMoved => "HashMoved",
            Self::PasswordOfOthers { .. } => "PasswordOfOthers",
            Self::SeveralUsers { .. } => "SeveralUsers",
            Self::LoginRefused { .. } => "LoginRefused",
            Self::LoginUnclear { .. } => "LoginUnclear",
            Self::Call(_) => "AwsCall",
            Self::Retire { .. } => "RetireFailed",
            Self::Ledger { .. } => "LedgerUnreadable",
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Rotation(error) => error.fingerprint(),
            Self::Iam(call) | Self::Call(call) | Self::Mail { call, .. } => {
                format!("{}/{}/{}", self.kind(), call.operation, call.code)
            }
            _ => self.kind().to_owned(),
        }
    }
}

/// What the texts need to know of the stack.
pub(crate) struct Names<'a> {
    /// The function.
    pub function: &'a str,
    /// The IAM user with the keys; empty where there is none.
    pub user: &'a str,
    /// Whether the secret is the administrator's password, which the database takes from setSecret on.
    pub is_admin: bool,
    /// Makes a value of a person's the current one, and rotates from there.
    pub adopt_commands: String,
}

impl Names<'_> {
    /// Retires old credentials at once.
    pub(crate) fn retire_command(&self) -> String {
        format!(
            "`echo '{{\"retire\": true}}' | aws lambda invoke --function-name {} --payload fileb:///dev/stdin /dev/stdout`",
            self.function
        )
    }
}

impl RotateError {
    /// What an operator reads of the failure of a step.
    pub(crate) fn advise(&self, language: Language, request: &Request, names: &Names<'_>) -> Advice {
        let step = request.step;
        let in_force = match (self, step) {
            // Only the administrator's password is taken from the one who has the old one.
            (Self::Rotation(error), _) if !names.is_admin => error.advise(language, request).in_force,
            _ if !names.is_admin || step == Step::CreateSecret => InForce::Current,
            // GitHub is asked first, and the application never before both.
            (
                Self::Repository(_)
                | Self::NotUpdated { .. }
                | Self::Seal
                | Self::PasswordOfOthers { .. }
                | Self::SeveralUsers { .. },
                Step::SetSecret,
            ) => InForce::Current,
            (_, Step::SetSecret) => InForce::Unsure,
            _ => InForce::Pending,
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

    /// What went wrong, in a sentence. The technical detail, in English, stands in the message's small print.
    pub(crate) fn cause(&self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        let say = match self {
            Self::Rotation(error) => return chain(error),
            Self::InvalidEvent { field, .. } => {
                return format!("o evento não é um que a função conhece (campo {field})");
            }
            Self::NotOurs { name } => return format!("o segredo {name} não está nos parâmetros da stack"),
            Self::Desk(_) => "o bucket de evidências não respondeu, e sem a anotação nada é criado",
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
            Self::NotTheUsersKey { key } => {
                return format!("a chave {key} do AWSCURRENT não é do usuário IAM da stack (SesUserName)");
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
            Self::Database(error) => return format!("o banco da aplicação: {error}"),
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
            Self::LoginRefused { .. } => "a aplicação recusa a senha nova do administrador",
            Self::LoginUnclear { .. } => "a resposta da aplicação ao login não prova nada",
            Self::Call(call) => return format!("a chamada {} falhou ({})", call.operation, call.code),
            Self::Retire { secrets } => {
                return format!("a credencial antiga de {secrets} não foi desativada");
            }
            Self::Ledger { .. } => "o ledger de rotações não se lê",
        };
        say.to_owned()
    }

    /// What to do next.
    pub(crate) fn next_step(&self, language: Language, names: &Names<'_>) -> String {
        let say = |portuguese: &str, english: &str| language.pick(portuguese, english).to_owned();
        let user = names.user;
        match self {
            // Of a rotation step the rotation itself says it; this is what retiring says.
            Self::Rotation(_) => names.retire_command(),
            Self::InvalidEvent { .. } => say(
                "invocar com {\"retire\": true}, ou deixar o Secrets Manager chamar.",
                "invoke with {\"retire\": true}, or leave the calls to Secrets Manager.",
            ),
            Self::NotOurs { .. } => say(
                "pôr o nome do segredo no parâmetro certo da stack (SesSecretName, TwilioSecretName ou SeedAdminSecretName), ou ligar a rotação dele a outra função.",
                "put the secret's name into the right parameter of the stack (SesSecretName, TwilioSecretName or SeedAdminSecretName), or attach its rotation to another function.",
            ),
            Self::Desk(_) | Self::Call(_) => say(
                "ver a mensagem no rodapé e a permissão da função; a próxima tentativa continua.",
                "see the message in the small print and the function's permission; the next try goes on.",
            ),
            Self::Busy { .. } => say("nada: a próxima tentativa continua.", "nothing: the next try goes on."),
            Self::NotRetired => format!(
                "{} {}",
                say(
                    "a credencial anterior só é desativada depois que o acompanhamento (rotation-followup) pôs a atual em uso. Ver a mensagem dele e então:",
                    "the credential before is only put out of use after the follow-up (rotation-followup) has brought the current one into use. See its message, then:",
                ),
                names.retire_command()
            ),
            Self::StillAccepted => format!(
                "{} {}",
                say(
                    "a desativação pode levar alguns minutos até valer em toda parte; a próxima hora prova de novo. Para provar agora:",
                    "it may take some minutes until it holds everywhere; the next hour proves it again. To prove it now:",
                ),
                names.retire_command()
            ),
            Self::NotTheUsersKey { .. } => format!(
                "{} `aws iam list-access-keys --user-name {user}`",
                say(
                    "guardar no segredo uma chave do usuário (ou corrigir SesUserName); as chaves dele:",
                    "store a key of the user in the secret (or correct SesUserName); its keys:",
                ),
            ),
            Self::ForeignKey { key } => format!(
                "{} `aws iam get-access-key-last-used --access-key-id {key}` {} `aws iam delete-access-key --user-name {user} --access-key-id {key}`",
                say("descobrir de quem é:", "find out whose it is:"),
                say(
                    "e, se ninguém a usa, apagá-la; a próxima tentativa continua:",
                    "and delete it if nobody uses it; the next try goes on:",
                ),
            ),
            Self::Iam(_) => format!(
                "{} `aws iam list-access-keys --user-name {user}`",
                say(
                    "ver a permissão da função e as chaves; a próxima tentativa continua:",
                    "check the function's permission and the keys; the next try goes on:",
                ),
            ),
            Self::Mail { .. } => say(
                "o usuário IAM precisa de ses:SendEmail, e o remetente (SesFromAddress) de uma identidade verificada na região SesRegion; a próxima tentativa continua.",
                "the IAM user needs ses:SendEmail, and the sender (SesFromAddress) a verified identity in the region SesRegion; the next try goes on.",
            ),
            Self::KeyRefused { .. } => format!(
                "{} `aws iam list-access-keys --user-name {user}`",
                say(
                    "uma chave nova pode levar alguns segundos até valer, e a próxima tentativa continua. Se repetir, ver as chaves:",
                    "a new key may take some seconds until it is good, and the next try goes on. If it repeats, look at the keys:",
                ),
            ),
            Self::TokenRefused { which: "current" } => say(
                "guardar no segredo o token primário que o console do Twilio mostra (Account > API keys & tokens), e conferir TwilioAccountSid.",
                "store in the secret the primary token that Twilio's console shows (Account > API keys & tokens), and check TwilioAccountSid.",
            ),
            Self::TokenRefused { .. } => say(
                "alguém apagou o token secundário. Limpar o AWSPENDING (update-secret-version-stage --version-stage AWSPENDING --remove-from-version-id) e rotacionar de novo.",
                "somebody deleted the secondary token. Clear AWSPENDING (update-secret-version-stage --version-stage AWSPENDING --remove-from-version-id) and rotate again.",
            ),
            Self::ForeignToken => say(
                "se ninguém usa o token secundário, apagá-lo no console do Twilio (Account > API keys & tokens); a próxima tentativa continua.",
                "if nobody uses the secondary token, delete it in Twilio's console (Account > API keys & tokens); the next try goes on.",
            ),
            Self::AccountClosed { .. } => say(
                "reativar a conta no console do Twilio; a próxima tentativa continua.",
                "reactivate the account in Twilio's console; the next try goes on.",
            ),
            Self::TwilioLimited | Self::Twilio { .. } => say(
                "nada agora: a próxima tentativa continua. Se repetir, ver status.twilio.com.",
                "nothing now: the next try goes on. If it repeats, see status.twilio.com.",
            ),
            Self::Repository(_) | Self::Seal => say(
                "o token do GitHub (GitHubSecretName) precisa de Secrets: read and write no repositório (de um ambiente, Environments: read and write); a próxima tentativa continua.",
                "the GitHub token (GitHubSecretName) needs Secrets: read and write on the repository (for an environment, Environments: read and write); the next try goes on.",
            ),
            Self::NotUpdated { name, .. } => format!(
                "{} `gh secret list` ({name})",
                say(
                    "conferir no repositório; a próxima tentativa grava de novo:",
                    "check in the repository; the next try stores it again:",
                ),
            ),
            Self::DatabaseForm(_) | Self::Database(_) => say(
                "ver se a função alcança o banco (VpcSubnetIds, grupo de segurança) e se DatabaseSecretName está em uso; a próxima tentativa continua.",
                "check that the function reaches the database (VpcSubnetIds, security group) and that DatabaseSecretName is in use; the next try goes on.",
            ),
            Self::Hash => say(
                "redefinir a senha do administrador por /auth/password/forgot; depois a próxima tentativa continua.",
                "reset the administrator's password through /auth/password/forgot; then the next try goes on.",
            ),
            Self::NotSet | Self::HashMoved => {
                say("nada: a próxima tentativa olha de novo.", "nothing: the next try looks again.")
            }
            Self::PasswordOfOthers { .. } => format!(
                "{} {}",
                say(
                    "guardar no segredo a senha que o administrador usa (quem não a sabe redefine por /auth/password/forgot), num arquivo sem fim de linha, e rotacionar de novo:",
                    "store in the secret the password that the administrator uses (/auth/password/forgot sets a new one), from a file without a line end, and rotate again:",
                ),
                names.adopt_commands
            ),
            Self::SeveralUsers { .. } => format!(
                "{} `SELECT id, email FROM users WHERE lower(email) = lower('…')`. {}",
                say(
                    "a aplicação não distingue maiúsculas, então não se sabe quem entra. Deixar um só:",
                    "the application does not tell letter case apart, so nobody knows which one logs in. Leave one of them:",
                ),
                say("A próxima tentativa continua.", "The next try goes on."),
            ),
            Self::LoginRefused { .. } => say(
                "o hash no banco confere com a senha nova e o login não: ver se AppUrl é desta aplicação e se o usuário está ativo; a próxima tentativa continua.",
                "the hash in the database matches the new password and the login does not: check that AppUrl is this application's and that the user is active; the next try goes on.",
            ),
            Self::LoginUnclear { .. } => say(
                "ver se a aplicação responde (GET /health); a próxima tentativa continua.",
                "see whether the application answers (GET /health); the next try goes on.",
            ),
            Self::Retire { .. } => names.retire_command(),
            Self::Ledger { .. } => say(
                "ver ledger/rotation.json no bucket de evidências; o rotation-followup o escreve inteiro na próxima rotação.",
                "see ledger/rotation.json in the evidence bucket; rotation-followup writes it whole after the next rotation.",
            ),
        }
    }
}
