//! The messages of a failed rotation step: the cause and the next step.

use serde_json::json;
use shared::command;
use shared::database::{DatabaseError, ErrorKind};
use shared::rotation::{Advice, InForce, Request, RotationError, Step};
use shared::run::command::{Command, secrets};
use shared::run::ledger::follow_command;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::error::{RotateError, Seen, Why};
use crate::rules::policy::IN_USE;

/// The finding for a rotation that continued although AWSCURRENT did not log in.
pub(crate) fn rescued(language: Language, version: &str) -> String {
    shared::tr!(
        language,
        "*Atenção*: o AWSCURRENT de antes não entrava no banco; a rotação usou a credencial da versão `{version}`. Descobrir quem mudou o segredo ou a senha, e conferir as tasks que ainda usam a credencial antiga.",
        "*Warning*: the previous AWSCURRENT did not log in; the rotation used the credential of version `{version}`. Find out who changed the secret or the password, and check the tasks that still use the old credential.",
    )
}

/// The manual fix if no credential logs in.
fn by_hand(language: Language) -> String {
    let urgent = language.pick(
        "*urgente*: nenhuma das duas credenciais entra. Entrar como administrador e dar ao usuário a senha do AWSCURRENT com `\\password` no psql.",
        "*urgent*: neither credential logs in. Log in as an administrator and give the user the password of AWSCURRENT with psql's `\\password`.",
    );
    urgent.to_owned()
}

impl RotateError {
    /// The operator's text for the failure.
    pub(crate) fn advise(&self, settings: &Settings, request: &Request) -> Advice {
        let language = settings.language;
        let advice = match &self.why {
            Why::Rotation(error) => error.advise(language, request),
            other => Advice {
                cause: other.cause(language),
                in_force: self.in_force,
                next: self.next_step(settings, request),
            },
        };
        let urgent = match &self.seen {
            None | Some(Seen::Current | Seen::NotCurrent) => None,
            // Its own text names the credential that the database accepts.
            _ if matches!(self.why, Why::CurrentMoved { .. }) => None,
            Some(Seen::Another(version)) => {
                let urgent = language.pick(
                    "*urgente*: o AWSCURRENT não entra no banco, e a aplicação não abre conexões novas; a credencial de outra versão entra. Torná-la a atual:",
                    "*urgent*: AWSCURRENT does not log in, and the application cannot open new connections; another version's credential does. Make it the current one:",
                );
                let current = self.current.as_deref().unwrap_or("—");
                Some(format!("{urgent} {}.", secrets::restore(&request.secret_id, version, current).code()))
            }
            Some(Seen::Nothing) => Some(by_hand(language)),
        };
        if let Some(urgent) = urgent {
            let next = format!("{urgent} {}", advice.next);
            return Advice { in_force: self.in_force, next, ..advice };
        }
        match &self.why {
            // A value that is already in force must keep its label.
            Why::Rotation(RotationError::CurrentChanged | RotationError::PendingRejected { .. })
                if self.in_force != InForce::Current =>
            {
                Advice { in_force: self.in_force, next: self.way_out(language, request), ..advice }
            }
            // Staged before values had seals, and already set in the database.
            Why::Rotation(RotationError::ForeignPending { .. }) if self.in_force != InForce::Current => {
                Advice { in_force: self.in_force, next: self.giving_up(language, request), ..advice }
            }
            Why::Rotation(_) if self.in_force != InForce::Current => {
                Advice { in_force: self.in_force, ..advice }
            }
            _ => advice,
        }
    }

    /// Steps that end a rotation whose pending value no longer matches the current one.
    fn way_out(&self, language: Language, request: &Request) -> String {
        let next = match self.in_force {
            InForce::Current => language.pick(
                "o valor pendente não pode mais ser alterado; nada foi mudado no banco.",
                "the pending value can no longer be changed; nothing was changed in the database.",
            ),
            _ => language.pick(
                "desfazer a mudança no segredo, e a próxima tentativa termina.",
                "revert the change to the secret, and the next attempt finishes.",
            ),
        };
        format!("{next} {}", self.giving_up(language, request))
    }

    /// Steps that give up a rotation. Removing AWSPENDING from a password in force loses the password.
    fn giving_up(&self, language: Language, request: &Request) -> String {
        let Request { secret_id: secret, token, .. } = request;
        let clear = secrets::clear(secret, token).code();
        let restore = secrets::restore(secret, token, self.current.as_deref().unwrap_or("—")).code();
        let rotate = secrets::rotate(secret).code();
        match (self.in_force, language) {
            (InForce::Current, Language::Portuguese) => {
                format!("Para desistir desta rotação: {clear}; para rotacionar de novo: {rotate}.")
            }
            (InForce::Current, Language::English) => {
                format!("To give up this rotation: {clear}; to rotate again: {rotate}.")
            }
            (InForce::Unsure, Language::Portuguese) => format!(
                "Antes de desistir, ver com o psql qual senha entra. Se a do AWSCURRENT: {clear}. Se só a do AWSPENDING, *não* removê-lo: torná-lo o atual com {restore}."
            ),
            (InForce::Unsure, Language::English) => format!(
                "Before giving up, check with psql which password logs in. If it is AWSCURRENT's: {clear}. If it is only AWSPENDING's, do *not* remove it: make it the current one with {restore}."
            ),
            (InForce::Pending, Language::Portuguese) => format!(
                "*Não* remover o AWSPENDING, a única senha que entra; se as tentativas acabarem, torná-lo o atual: {restore}."
            ),
            (InForce::Pending, Language::English) => format!(
                "Do *not* remove AWSPENDING, the only password that logs in; if the retries have ended, make it the current one: {restore}."
            ),
            (InForce::Nothing, _) => String::new(),
        }
    }

    fn next_step(&self, settings: &Settings, request: &Request) -> String {
        let language = settings.language;
        let say = |portuguese: &str, english: &str| language.pick(portuguese, english).to_owned();
        let again = say(
            "O Secrets Manager tenta de novo com a mesma versão; nada a desfazer.",
            "Secrets Manager tries again with the same version; nothing needs to be reverted.",
        );
        let (secret, token) = (&request.secret_id, &request.token);
        let current = self.current.as_deref().unwrap_or("—");
        match &self.why {
            Why::Rotation(error) => error.advise(language, request).next,
            Why::Database(error) => self.database_step(error, language, request, &again),
            Why::Form(_) => {
                let next = say(
                    "corrigir o valor do segredo como diz a linha miúda. Gravar um valor encerra esta rotação.",
                    "correct the secret's value as described in the small print. Storing a value ends this rotation.",
                );
                format!("{next} {}", self.giving_up(language, request))
            }
            Why::AdminForm(_) => {
                say(
                    "corrigir o segredo do administrador como diz a linha miúda.",
                    "correct the admin secret as described in the small print.",
                ) + " "
                    + &again
            }
            Why::Identity { .. } => self.way_out(language, request),
            Why::NameTooLong { .. } => say(
                "renomear o usuário no banco (ALTER ROLE … RENAME TO) e no segredo, ou usar um usuário único: na stack, DatabaseAdminSecretArn vazio; em outro segredo que não o dela, a tag rotation:strategy=single-user.",
                "rename the user in the database (ALTER ROLE … RENAME TO) and in the secret, or use a single user: leave the stack's DatabaseAdminSecretArn empty; for any other secret, set the tag rotation:strategy=single-user.",
            ),
            Why::NoLogin { another_user: Some(version), .. } => format!(
                "{} {}. {}",
                say(
                    "*urgente*: a aplicação também não abre conexões novas. Outro usuário entra; torná-lo o atual:",
                    "*urgent*: the application cannot open new connections either. Another user logs in; make it the current one:",
                ),
                secrets::restore(secret, version, current).code(),
                RotateError { in_force: InForce::Current, ..self.clone() }.giving_up(language, request),
            ),
            Why::NoLogin { .. } => format!(
                "{} `ALTER ROLE … PASSWORD` {}",
                say(
                    "*urgente*: a aplicação também não abre conexões novas. Entrar como administrador e dar ao usuário a senha do AWSCURRENT com `\\password` no psql (não com",
                    "*urgent*: the application cannot open new connections either. Log in as an administrator and give the user the password of AWSCURRENT with psql's `\\password` (not with",
                ),
                say(
                    "em texto claro, que vai para o log). Depois a próxima tentativa termina sozinha.",
                    "in clear text, which ends up in the log). The next attempt then finishes by itself.",
                ),
            ),
            Why::CurrentMoved { takes_pending: true, takes_current: false } => format!(
                "{} {}",
                say(
                    "só a credencial desta rotação entra no banco. Torná-la a atual:",
                    "only this rotation's credential logs in. Make it the current one:",
                ),
                secrets::restore(secret, token, current).code(),
            ),
            Why::CurrentMoved { takes_current: true, .. } => format!(
                "{} {}. {} {}",
                say(
                    "o AWSCURRENT escolhido à mão entra no banco e fica. Se o AWSPENDING ainda estiver na versão desta rotação, removê-lo com",
                    "the AWSCURRENT chosen by hand logs in and stays. If AWSPENDING is still on this rotation's version, remove it with",
                ),
                secrets::clear(secret, token).code(),
                say("Quando quiser, rotacionar de novo:", "When convenient, rotate again:"),
                secrets::rotate(secret).code(),
            ),
            Why::CurrentMoved { .. } => by_hand(language),
            Why::ManagedMaster { kind, id, .. } => format!(
                "{} {}",
                say(
                    "o RDS guarda e troca essa senha sozinho. O certo é a aplicação ter um usuário próprio (docs/rotacao-banco.md). Se este deve mesmo ser rotacionado aqui, tirar a senha da gestão do RDS:",
                    "RDS stores and rotates that password itself. Give the application its own user instead (docs/rotacao-banco.md). If this user must be rotated here, stop RDS from managing its password:",
                ),
                command!(
                    "aws rds modify-db-{kind} --db-{kind}-identifier {id} --no-manage-master-user-password --master-user-password … --apply-immediately",
                    kind,
                    id
                )
                .code()
            ),
            Why::ManagedSecret { .. } => say(
                "desligar a rotação por esta função: o serviço dono do segredo já o rotaciona. A aplicação deve usar um usuário próprio (docs/rotacao-banco.md).",
                "turn off rotation by this function: the service that owns the secret rotates it. Give the application its own user (docs/rotacao-banco.md).",
            ),
            Why::BlueGreen { deployment, .. } => format!(
                "{} {}. {again} {}",
                say(
                    "terminar a troca (switchover) ou apagar o deployment blue/green antes de rotacionar; o estado dele:",
                    "switch over or delete the blue/green deployment before rotating; show its status with",
                ),
                command!(
                    "aws rds describe-blue-green-deployments --blue-green-deployment-identifier {deployment}",
                    deployment
                )
                .code(),
                self.giving_up(language, request),
            ),
            Why::RestoreInProgress { .. } => format!(
                "{} {}. {again}",
                say(
                    "esperar o fim da restauração de emergência (docs/restauracao-emergencia.md). Como ela está:",
                    "wait until the emergency restore has ended (docs/restauracao-emergencia.md). Its state:",
                ),
                Command::invoke(
                    &format!("{}-{}-emergency-restore", settings.project, settings.environment),
                    &json!({"order": "status"})
                )
                .code(),
            ),
            Why::NotInUse { version, .. } => {
                format!(
                    "{} {}. {again}",
                    say(
                        "esperar a mensagem do acompanhamento (rotation-followup); se ela não vem ou se ele falhou, corrigir o que ela diz e acompanhar de novo:",
                        "wait for the follow-up's message (rotation-followup); if it does not arrive, or reports a failure, fix the cause and start the follow-up again:",
                    ),
                    follow_command(settings, secret, request.secret_name(), false).code(),
                ) + &format!(
                    " {} {}",
                    say(
                        "Se todos os leitores já usam a versão atual, ou nenhum serviço do ECS a lê, confirmar isso para esta versão:",
                        "If all readers use the current version, or no ECS service reads it, confirm this version:",
                    ),
                    command!(
                        "aws secretsmanager tag-resource --secret-id {secret} --tags {pairs}",
                        secret,
                        // As JSON: the CLI's shorthand gives commas and quotes a meaning.
                        pairs = json!([{"Key": IN_USE, "Value": version}]).to_string()
                    )
                    .code()
                )
            }
            // Only retiring fails with these, and it has its own messages.
            Why::StillAccepted { .. }
            | Why::LeakUnknown { .. }
            | Why::SessionsLive { .. }
            | Why::RotationBegan
            | Why::Retire { .. }
            | Why::Ledger { .. } => again,
            Why::MasterChanging { kind, id, .. } => format!(
                "{} {}. {} {again}",
                say(
                    "esperar o RDS trocar a senha: PendingModifiedValues fica vazio. Conferir com",
                    "wait for RDS to set the password: PendingModifiedValues becomes empty. Check with",
                ),
                command!("aws rds describe-db-{kind}s --db-{kind}-identifier {id}", kind, id).code(),
                say(
                    "Se a senha pedida não é a do segredo, gravá-la antes no segredo, o que encerra esta rotação.",
                    "If the requested password is not the secret's, store it in the secret first, which ends this rotation.",
                ),
            ),
            Why::Rds(call) => format!(
                "{} {}. {again}",
                say("conferir a permissão (IAM) para", "check the permission (IAM) for"),
                call.operation
            ),
        }
    }

    fn database_step(
        &self,
        error: &DatabaseError,
        language: Language,
        request: &Request,
        again: &str,
    ) -> String {
        let say = |portuguese: &str, english: &str| language.pick(portuguese, english).to_owned();
        let next = match error.kind {
            ErrorKind::Network => say(
                "conferir se o banco está no ar e se as subnets e o security group da função chegam a ele (parâmetros VpcSubnetIds e VpcSecurityGroupIds).",
                "check that the database is up and reachable from the function's subnets and security group (parameters VpcSubnetIds and VpcSecurityGroupIds).",
            ),
            ErrorKind::Tls => say(
                "conferir o certificado do banco: o host do segredo deve ser o endpoint do RDS e o servidor deve oferecer TLS. Uma autoridade própria entra pelo parâmetro RdsCaFile. Nada foi enviado sem TLS.",
                "check the database's certificate: the secret's host must be the RDS endpoint, and the server must offer TLS. For your own CA, set the parameter RdsCaFile. Nothing was sent without TLS.",
            ),
            ErrorKind::Auth => say(
                "o banco recusou a credencial: conferir a senha do usuário (ou do administrador, que só entra com scram-sha-256) que a linha miúda nomeia, e se a validade dele passou, o que o banco diz com as mesmas palavras (`SELECT rolvaliduntil FROM pg_roles WHERE rolname = 'USUARIO'`).",
                "the database refused the credential: check the password of the user (or the administrator, who logs in with scram-sha-256 only) that the small print names, and whether the role has expired, which the database reports in the same words (`SELECT rolvaliduntil FROM pg_roles WHERE rolname = 'USER'`).",
            ),
            ErrorKind::ConnectionLimit => say(
                "o limite de conexões está esgotado: fechar conexões ociosas ou aumentar o limite do usuário (ALTER ROLE … CONNECTION LIMIT) ou do servidor; deixar uma de folga para a rotação.",
                "the connection limit is reached: close idle connections or raise the user's limit (ALTER ROLE … CONNECTION LIMIT) or the server's; leave one free for the rotation.",
            ),
            ErrorKind::ReadOnly => say(
                "o host do segredo é uma réplica ou está em recuperação: apontar o segredo para o endpoint de escrita.",
                "the secret's host is a replica or in recovery: point the secret to the writer endpoint.",
            ),
            ErrorKind::Permission => say(
                "dar a permissão que a linha miúda nomeia (docs/rotacao-banco.md tem o SQL).",
                "grant the permission that the small print names (docs/rotacao-banco.md has the SQL).",
            ),
            ErrorKind::Identity => say(
                "os papéis do banco não são os que a rotação espera; a linha miúda diz qual e o que fazer (docs/rotacao-banco.md).",
                "the database's roles are not the expected ones; the small print names the role and the fix (docs/rotacao-banco.md).",
            ),
            ErrorKind::Busy => say(
                "outra invocação ou uma migração segura uma trava no banco.",
                "another invocation or a migration holds a lock in the database.",
            ),
            // setSecret proves the current login before changing its password.
            ErrorKind::ProofFailed if request.step == Step::SetSecret => say(
                "a credencial *de antes* entra, mas não passa no SQL de prova da política (test_sql), e por isso nada foi mudado: corrigir a permissão ou a política (`cargo xtask policy apply`).",
                "the *previous* credential logs in, but does not pass the policy's test SQL (test_sql), so nothing was changed: correct the permission or the policy (`cargo xtask policy apply`).",
            ),
            ErrorKind::ProofFailed => say(
                "a credencial nova entra, mas não passa no SQL de prova da política (test_sql): corrigir a permissão ou a política (`cargo xtask policy apply`).",
                "the new credential logs in, but does not pass the policy's test SQL (test_sql): correct the permission or the policy (`cargo xtask policy apply`).",
            ),
            ErrorKind::Pooler => say(
                "apontar o segredo para o endpoint da própria instância (o de RDS): por um pooler (PgBouncer, pgcat) nenhuma senha é trocada, porque ele guarda as senhas à parte. A aplicação pode usar o pooler por um campo ou segredo próprio.",
                "point the secret to the instance's own RDS endpoint: passwords are never changed through a pooler (PgBouncer, pgcat), because it keeps its own. The application may reach the pooler through a separate field or secret.",
            ),
            ErrorKind::Other => say(
                "ver o log do banco no horário do erro.",
                "check the database's log at the time of the error.",
            ),
        };
        format!("{next} {again} {}", self.giving_up(language, request))
    }
}

impl Why {
    /// The cause, in a sentence. The message's small print has the technical detail, in English.
    pub(crate) fn cause(&self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        match self {
            Self::Rotation(error) => error.to_string(),
            Self::Database(error) => match error.kind {
                ErrorKind::Network => "o banco não respondeu",
                ErrorKind::Tls => "a conexão TLS com o banco não pôde ser verificada",
                ErrorKind::Auth => "o banco recusou a credencial",
                ErrorKind::ConnectionLimit => "não há conexão livre no banco",
                ErrorKind::ReadOnly => "o banco só aceita leitura",
                ErrorKind::Permission => "falta permissão no banco",
                ErrorKind::Identity => "os papéis do banco não são os esperados",
                ErrorKind::Busy => "uma trava no banco não foi liberada a tempo",
                ErrorKind::ProofFailed => "o login não passou na prova",
                ErrorKind::Pooler => "o host do segredo é um pooler de conexões, e não o banco",
                ErrorKind::Other => "o banco recusou um comando",
            }
            .to_owned(),
            Self::Form(_) => "o segredo, como está, não pode ser rotacionado".to_owned(),
            Self::AdminForm(_) => "o segredo do administrador não pode ser usado".to_owned(),
            Self::Identity { .. } => {
                "as credenciais não são do mesmo lugar ou do mesmo par de usuários".to_owned()
            }
            Self::NameTooLong { .. } => {
                "o nome do usuário é longo demais para dois usuários alternados".to_owned()
            }
            Self::NoLogin { another_user: None, .. } => {
                "nenhuma credencial guardada entra no banco".to_owned()
            }
            Self::NoLogin { .. } => {
                "nenhuma credencial guardada do usuário do AWSCURRENT entra no banco".to_owned()
            }
            Self::CurrentMoved { takes_pending, takes_current } => format!(
                "alguém moveu o AWSCURRENT ou o AWSPENDING durante a rotação; entram no banco: {}",
                match (takes_pending, takes_current) {
                    (true, true) => "as duas credenciais",
                    (true, false) => "só a credencial desta rotação",
                    (false, true) => "só a credencial do AWSCURRENT de agora",
                    (false, false) => "nenhuma das duas credenciais",
                }
            ),
            Self::ManagedMaster { user, id, .. } => {
                format!("{user} é o usuário mestre de {id} no RDS, com senha gerida pelo RDS")
            }
            Self::MasterChanging { user, id, .. } => {
                format!(
                    "o RDS ainda não trocou a senha pedida para {user}, o usuário mestre de {id}, e sobrescreveria a rotação"
                )
            }
            Self::ManagedSecret { owner } => format!("o segredo é gerido pelo serviço {owner}"),
            Self::BlueGreen { server, deployment, status } => format!(
                "{server} participa do deployment blue/green {deployment} ({status}): uma senha trocada em um dos bancos pode não chegar ao outro"
            ),
            Self::RestoreInProgress { run } => {
                format!("a restauração de emergência {run} do banco está aberta")
            }
            Self::StillAccepted { user } => format!("a credencial vazada de {user} ainda entra no banco"),
            Self::LeakUnknown { version } => {
                format!("a versão vazada ({version}) não tem mais valor, e nada prova que ela está morta")
            }
            Self::SessionsLive { .. } => {
                "o login vazado não entra mais, mas sessões abertas dele não terminaram".to_owned()
            }
            Self::RotationBegan => {
                "uma rotação começou no mesmo instante e pode ter dado ao login a senha seguinte".to_owned()
            }
            Self::Retire { secrets } => format!("a credencial vazada de {secrets} não foi encerrada"),
            Self::Ledger { .. } => "o ledger de rotações não pôde ser lido".to_owned(),
            Self::NotInUse { version, .. } => format!(
                "ainda não se sabe se a versão atual ({version}) está em uso em todas as tasks; rotacionar agora poderia derrubar as que usam a outra credencial"
            ),
            Self::Rds(call) => format!("a chamada {} falhou ({})", call.operation, call.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::database::secret::FormError;
    use shared::runtime::failure::CallError;

    use super::*;

    fn request() -> Request {
        Request {
            secret_id: "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/db-a1B2c3"
                .to_owned(),
            token: "4f1c2a7e-8d4b-4c55-9b0e-2f6f3a9d7c10".to_owned(),
            rotation_token: None,
            step: Step::TestSecret,
        }
    }

    fn of_database(kind: ErrorKind) -> DatabaseError {
        DatabaseError {
            kind,
            during: "log in",
            target: "imm@db.example:5432/moveongs".to_owned(),
            sqlstate: None,
            reason: "why".to_owned(),
        }
    }

    fn advice(why: Why, in_force: InForce, language: Language) -> Advice {
        let settings = shared::testing::settings("moveongs-dev-rotate-database", language);
        RotateError { why, in_force, seen: None, current: Some("old".to_owned()) }
            .advise(&settings, &request())
    }

    const KINDS: [ErrorKind; 11] = [
        ErrorKind::Network,
        ErrorKind::Tls,
        ErrorKind::Auth,
        ErrorKind::ConnectionLimit,
        ErrorKind::ReadOnly,
        ErrorKind::Permission,
        ErrorKind::Identity,
        ErrorKind::Busy,
        ErrorKind::ProofFailed,
        ErrorKind::Pooler,
        ErrorKind::Other,
    ];

    #[test]
    fn every_failure_has_a_cause_and_a_next_step_in_both_languages() {
        let call = CallError {
            operation: "rds:DescribeDBInstances",
            code: "AccessDenied".to_owned(),
            message: "why".to_owned(),
        };
        let form = || FormError::SeveralLogins;
        let managed =
            |kind| Why::ManagedMaster { user: "imm".to_owned(), kind, id: "moveongs-dev-db".to_owned() };
        let no_login = |another_user| Why::NoLogin {
            refused: Box::new(of_database(ErrorKind::Auth)),
            tried: 3,
            another_user,
        };
        let moved = |takes_pending, takes_current| Why::CurrentMoved { takes_pending, takes_current };
        let others = [
            (Why::Form(form()), "secret"),
            (Why::AdminForm(form()), "small print"),
            (Why::Identity { reason: "why".to_owned() }, "--version-stage AWSPENDING"),
            (Why::NameTooLong { reason: "why".to_owned() }, "rotation:strategy=single-user"),
            (no_login(None), "\\password"),
            (no_login(Some("v1".to_owned())), "--move-to-version-id v1 --remove-from-version-id old"),
            (moved(true, false), "--version-stage AWSCURRENT --move-to-version-id 4f1c2a7e"),
            (moved(true, true), "--version-stage AWSPENDING --remove-from-version-id 4f1c2a7e"),
            (moved(false, true), "--version-stage AWSPENDING --remove-from-version-id 4f1c2a7e"),
            (moved(false, false), "\\password"),
            (
                managed("instance"),
                "modify-db-instance --db-instance-identifier moveongs-dev-db --no-manage-master-user-password",
            ),
            (
                managed("cluster"),
                "modify-db-cluster --db-cluster-identifier moveongs-dev-db --no-manage-master-user-password",
            ),
            (Why::ManagedSecret { owner: "rds".to_owned() }, "rotacao-banco.md"),
            (
                Why::MasterChanging {
                    user: "imm".to_owned(),
                    kind: "cluster",
                    id: "moveongs-dev-db".to_owned(),
                },
                "describe-db-clusters --db-cluster-identifier moveongs-dev-db",
            ),
            (Why::Rds(call), "rds:DescribeDBInstances"),
            (
                Why::BlueGreen {
                    server: "moveongs-dev-db".to_owned(),
                    deployment: "bgd-abc".to_owned(),
                    status: "AVAILABLE".to_owned(),
                },
                "describe-blue-green-deployments --blue-green-deployment-identifier bgd-abc",
            ),
            (Why::RestoreInProgress { run: "r20261130-1".to_owned() }, r#"'{"order":"status"}'"#),
        ];
        let databases = KINDS.map(|kind| (Why::Database(of_database(kind)), "tries again"));
        for (why, part) in others.into_iter().chain(databases) {
            let english = advice(why.clone(), InForce::Current, Language::English);
            let portuguese = advice(why, InForce::Current, Language::Portuguese);
            assert!(english.next.contains(part), "{part} is not in: {}", english.next);
            assert!(!portuguese.next.is_empty() && portuguese.next != english.next, "{}", portuguese.next);
            assert!(
                !portuguese.cause.is_empty() && portuguese.cause != english.cause,
                "{}",
                portuguese.cause
            );
        }
    }

    #[test]
    fn a_version_id_stays_one_word_of_the_command() {
        let version = "'; id `id` $(id)".to_owned();
        let why = Why::NotInUse { version: version.clone(), why: "no_reader" };
        let next = advice(why, InForce::Current, Language::English).next;
        let command = next.split('`').find(|code| code.contains("tag-resource")).unwrap();
        let pairs = shared::testing::words(command).pop().unwrap();
        let pairs: serde_json::Value = serde_json::from_str(&pairs).unwrap();
        assert_eq!(pairs, json!([{"Key": IN_USE, "Value": version}]));
    }

    #[test]
    fn the_only_accepted_password_is_never_cleared() {
        let Request { secret_id, token, .. } = request();
        let clear = secrets::clear(&secret_id, &token).code();
        let mut failures: Vec<Why> = KINDS.map(|kind| Why::Database(of_database(kind))).into();
        failures.push(Why::Form(FormError::SeveralLogins));
        failures.push(Why::Identity { reason: "why".to_owned() });
        failures.push(RotationError::CurrentChanged.into());
        failures.push(RotationError::ForeignPending { token: request().token }.into());
        failures.push(RotationError::PendingRejected { reason: "why".to_owned() }.into());
        for why in failures {
            for language in [Language::Portuguese, Language::English] {
                let next = advice(why.clone(), InForce::Current, language).next;
                assert!(next.contains(&clear), "{why}: {next}");
                let restore = secrets::restore(&secret_id, &token, "old").code();
                for in_force in [InForce::Unsure, InForce::Pending] {
                    let advice = advice(why.clone(), in_force, language);
                    assert_eq!(
                        advice.next.contains(&clear),
                        in_force == InForce::Unsure,
                        "{why}: {}",
                        advice.next
                    );
                    assert!(advice.next.contains(&restore), "{why}: {}", advice.next);
                    assert!(advice.next.contains("psql") == (in_force == InForce::Unsure), "{}", advice.next);
                    assert_eq!(advice.in_force, in_force);
                }
            }
        }
    }
}
