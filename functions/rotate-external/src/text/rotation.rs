//! The findings of a rotation that succeeded.

use shared::runtime::language::Language;

use crate::rules::password::{Applied, InDatabase, PasswordProof};

/// The finding that the previous credential is still valid.
pub(crate) fn to_come(language: Language) -> String {
    language
        .pick(
            "A credencial anterior continua valendo até o acompanhamento pôr a nova em uso; depois a função a desativa e avisa aqui.",
            "The previous credential stays valid until the follow-up has brought the new one into use; then this function retires it and reports that here.",
        )
        .to_owned()
}

/// The state of the administrator's password outside Secrets Manager.
pub(crate) fn password(language: Language, applied: &Applied) -> Vec<String> {
    let database = match applied.database {
        None => language.pick(
            "*Sem prova*: a stack não conhece o banco da aplicação (DatabaseSecretName está vazio), então a senha do administrador na aplicação não foi trocada. *Próximo passo*: preencher DatabaseSecretName e rotacionar de novo, ou redefinir a senha por /auth/password/forgot com o valor do segredo.",
            "*Not proved*: the stack does not know the application's database (DatabaseSecretName is empty), so the administrator's password in the application was not changed. *Next step*: set DatabaseSecretName and rotate again, or reset the password to the secret's value through /auth/password/forgot.",
        ),
        Some(InDatabase::New) => language.pick(
            "Banco da aplicação: a senha do administrador foi trocada, e os refresh tokens dele foram revogados. Os tokens de acesso que ele já tem valem até vencerem (`JWT_EXPIRES_IN`, um dia se não foi mudado); para encerrá-los já, rotacionar o JWT_SECRET.",
            "Application's database: the administrator's password was changed, and their refresh tokens were revoked. Access tokens issued before stay valid until they expire (`JWT_EXPIRES_IN`, one day by default); to end them now, rotate JWT_SECRET.",
        ),
        Some(InDatabase::NoUser) => language.pick(
            "*Sem prova*: a aplicação não tem usuário com o e-mail de SeedAdminEmail, então nenhum login prova a senha. Se o administrador usa outro e-mail, corrigir SeedAdminEmail e rotacionar de novo; se a aplicação ainda não foi semeada, o seed o criará com a senha do segredo.",
            "*Not proved*: the application has no user with the address in SeedAdminEmail, so no login can prove the password. If the administrator has another address, correct SeedAdminEmail and rotate again; if the application is not seeded yet, the seed will create the user with the secret's password.",
        ),
    };
    let stored = applied.stored.map(|at| {
        let at = shared::runtime::time::local(at);
        shared::tr!(
            language,
            "GitHub Actions: segredo gravado, updated_at {at}.",
            "GitHub Actions: secret stored, updated_at {at}.",
        )
    });
    [database.to_owned()].into_iter().chain(stored).collect()
}

/// The gap in a proof of the administrator's password; none if there is no gap.
pub(crate) fn not_covered(language: Language, proof: PasswordProof) -> Option<String> {
    let open = match proof {
        PasswordProof::Login | PasswordProof::Nothing => return None,
        PasswordProof::Masked => language.pick(
            "*Atenção*: a aplicação aceita a senha, mas mascara os tokens na resposta do login (RESPONSE_MASKING_ENABLED): nenhum cliente consegue entrar. *Próximo passo*: RESPONSE_MASKING_ENABLED=false na task definition.",
            "*Attention*: the application accepts the password, but masks the tokens in its answer to the login (RESPONSE_MASKING_ENABLED), so no client can log in. *Next step*: set RESPONSE_MASKING_ENABLED=false in the task definition.",
        ),
        PasswordProof::SecondFactor => language.pick(
            "O login foi provado até o segundo fator, que a função não tem. *Próximo passo*: quem tem o segundo fator entra uma vez com a senha do segredo.",
            "The login is proved up to the second factor, which this function does not have. *Next step*: have the holder of the second factor log in once with the secret's password.",
        ),
        PasswordProof::Hash => language.pick(
            "*Sem prova por login*: AppUrl está vazio; só o hash no banco foi conferido. *Próximo passo*: entrar uma vez com a senha do segredo, ou preencher AppUrl para as próximas rotações.",
            "*Not proved by a login*: AppUrl is empty, so only the hash in the database was checked. *Next step*: log in once with the secret's password, or set AppUrl for the next rotations.",
        ),
    };
    Some(open.to_owned())
}
