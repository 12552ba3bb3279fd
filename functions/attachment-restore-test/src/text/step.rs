//! The operator's next step for each outcome.

use serde_json::json;
use shared::command;
use shared::run::command::Command;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::tr;

use crate::rules::line::{Check, Line, Outcome};
use crate::rules::progress::Progress;
use crate::rules::row::Place;

/// The next step; none for what is sound.
pub(super) fn next_step(line: &Line, language: Language) -> Option<String> {
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english).to_owned();
    let step = match &line.outcome {
        Outcome::Sound { .. } | Outcome::Changed | Outcome::NotDue => return None,
        Outcome::TooLarge { expected: Some(expected), .. } => of_object(line, |bucket, key| {
            let read = command!("aws s3 cp s3://{bucket}/{key} - | sha256sum", bucket, key).code();
            tr!(
                language,
                "comparar à mão: {read} tem de responder o SHA-256 do banco, {expected}",
                "compare it by hand: {read} must answer the database's SHA-256, {expected}",
            )
        })?,
        Outcome::TooLarge { expected: None, .. } if line.check == Check::Object => say(
            "a linha também não tem SHA-256 com que comparar; aos donos da aplicação: gravar o checksum de cada anexo",
            "nor has the row a SHA-256 to compare with; for the application's owners: store the checksum of each attachment",
        ),
        Outcome::TooLarge { expected: None, .. } => say(
            "nada: o teste não copia uma versão deste tamanho, e a restauração dela não é provada",
            "none: the test copies no version of this size, whose restore is not proved",
        ),
        Outcome::NotAllListed { .. } => say(
            "aumentar attachments.listing_pages na política",
            "raise attachments.listing_pages in the policy",
        ),
        Outcome::NotConfirmed { .. } => say(
            "conferir o banco (rede, login), e repetir antes de restaurar",
            "check the database (network, login), and repeat before you restore anything",
        ),
        Outcome::Absent { .. } => of_object(line, |bucket, key| {
            let list =
                command!("aws s3api list-object-versions --bucket {bucket} --prefix {key}", bucket, key)
                    .code();
            tr!(
                language,
                "listar as versões: {list}. Com um marcador de exclusão por cima, apagar o marcador; sem versão, AWS Backup, uma réplica ou quem enviou o arquivo",
                "list the versions: {list}. If a delete marker is on top, delete the marker; without a version, AWS Backup, a replica or the file's sender",
            )
        })?,
        Outcome::KeyUnusable { code, kms_key } => of_key(line, code, kms_key.as_deref(), language)?,
        Outcome::Archived { is_tier, version } => of_object(line, |bucket, key| {
            let version = version.as_ref().map(|version| command!(" --version-id {version}", version));
            if *is_tier {
                // S3 refuses days for a tier, which an object leaves for good. Source: S3's user guide, "Restoring an
                // archived object".
                let restore = command!(
                    "aws s3api restore-object --bucket {bucket} --key {key}{version} --restore-request 'GlacierJobParameters={{Tier=Standard}}'",
                    bucket,
                    key,
                    version
                );
                let restore = restore.code();
                return tr!(
                    language,
                    "trazê-lo de volta, o que leva de 3 a 12 horas: {restore}. Ver a configuração de Intelligent-Tiering do bucket que o arquivou",
                    "bring it back, which takes 3 to 12 hours: {restore}. Check the bucket's Intelligent-Tiering configuration that archived it",
                );
            }
            let restore = command!(
                "aws s3api restore-object --bucket {bucket} --key {key}{version} --restore-request Days=7",
                bucket,
                key,
                version
            );
            let restore = restore.code();
            tr!(
                language,
                "trazê-lo de volta por 7 dias, o que leva de 3 a 12 horas: {restore}. Ver a regra de lifecycle que o arquivou",
                "bring it back for 7 days, which takes 3 to 12 hours: {restore}. Check the lifecycle rule that archived it",
            )
        })?,
        Outcome::Missing => of_object(line, |bucket, key| {
            let list =
                command!("aws s3api list-object-versions --bucket {bucket} --prefix {key}", bucket, key)
                    .code();
            tr!(
                language,
                "ver quem apagou as versões ({list} já não mostra nenhuma; CloudTrail) e buscar o arquivo no AWS Backup, numa réplica ou com quem o enviou",
                "find out who deleted the versions ({list} shows none any more; CloudTrail), and get the file from AWS Backup, a replica or its sender",
            )
        })?,
        Outcome::Hidden { marker } => of_object(line, |bucket, key| {
            let undelete = command!(
                "aws s3api delete-object --bucket {bucket} --key {key} --version-id {marker}",
                bucket,
                key,
                marker
            );
            let undelete = undelete.code();
            tr!(
                language,
                "apagar o marcador, e o objeto volta: {undelete}. Ver no CloudTrail quem o apagou",
                "delete the marker, and the object is back: {undelete}. Find out in CloudTrail who deleted it",
            )
        })?,
        Outcome::WrongSize { cure: Some(cure), .. }
        | Outcome::WrongContent { cure: Some(cure), .. }
        | Outcome::BrokenOff { cure: Some(cure), .. } => of_object(line, |bucket, key| {
            let version = &cure.version;
            let kms_key = cure.kms_key.as_ref().map(|arn| command!(" --ssekms-key-id {arn}", arn));
            let source = format!("{bucket}/{key}?versionId={version}");
            let restore = command!(
                "aws s3api copy-object --bucket {bucket} --key {key} --copy-source {source} --server-side-encryption aws:kms{kms_key}",
                bucket,
                key,
                source,
                kms_key
            );
            let restore = restore.code();
            tr!(
                language,
                "a versão {version} tem o conteúdo do banco; restaurá-la: {restore}. Ver no CloudTrail quem gravou a atual",
                "the version {version} has the database's content; restore it: {restore}. Find out in CloudTrail who wrote the current one",
            )
        })?,
        Outcome::WrongSize { .. } | Outcome::WrongContent { .. } | Outcome::BrokenOff { .. } => {
            of_object(line, |bucket, key| {
                let list =
                    command!("aws s3api list-object-versions --bucket {bucket} --prefix {key}", bucket, key)
                        .code();
                tr!(
                    language,
                    "nenhuma das últimas versões tem o conteúdo do banco: ver as outras ({list}), o AWS Backup, uma réplica, ou quem enviou o arquivo; e no CloudTrail quem gravou a atual",
                    "none of the last versions has the database's content: see the others ({list}), AWS Backup, a replica, or the file's sender; and in CloudTrail who wrote the current one",
                )
            })?
        }
        Outcome::RestoreDiffers { .. } => say(
            "repetir o teste; se a cópia difere de novo, abrir um caso no AWS Support com bucket, chave e versão",
            "repeat the test; if the copy differs again, open a case at AWS Support with bucket, key and version",
        ),
        Outcome::NotSent { .. } => say(
            "ver o job de envio (docs/backups.md#envio-diário-on-prem), e se o arquivo ainda está no disco",
            "check the synchronisation job (docs/backups.md#envio-diário-on-prem), and whether the file is still on the disk",
        ),
        Outcome::SentDiffers { .. } => say(
            "comparar com o arquivo do disco (`sha256sum`); o certo é o que tem o SHA-256 do banco; enviar de novo ou buscar a versão anterior no bucket",
            "compare with the file on the disk (`sha256sum`); the right one has the database's SHA-256; send it again, or take the bucket's earlier version",
        ),
        Outcome::ServedDiffers { .. } | Outcome::ServedJson | Outcome::ServeFailed { .. } => say(
            "se o objeto do mesmo anexo também falhou, curar o objeto; senão ver no log da aplicação (ENOENT, NoSuchKey) em que bucket ou disco ela procura (ATTACHMENTS_STORAGE, S3_BUCKET, UPLOADS_DIR)",
            "if the object of the same attachment failed, too, cure the object; otherwise check in the application's log (ENOENT, NoSuchKey) in which bucket or disk it looks (ATTACHMENTS_STORAGE, S3_BUCKET, UPLOADS_DIR)",
        ),
        Outcome::NoSize | Outcome::NoChecksum | Outcome::OddChecksum => say(
            "aos donos da aplicação: gravar size_bytes e checksum de cada anexo",
            "for the application's owners: store size_bytes and checksum of each attachment",
        ),
        Outcome::OtherBucket { .. } => say(
            "conferir AttachmentsBucketName, e se a linha é de antes de uma mudança de bucket",
            "check AttachmentsBucketName, and whether the row is from before a change of the bucket",
        ),
        Outcome::UnknownPlace => {
            say("ver a linha no banco (file_path, id)", "check the row in the database (file_path, id)")
        }
        Outcome::Unreadable { .. } if line.check == Check::Download => say(
            "conferir a aplicação e a conta de SmokeSecretName (role leitura_externa), e repetir",
            "check the application and the account of SmokeSecretName (role leitura_externa), and repeat",
        ),
        Outcome::Unreadable { .. } => say(
            "conferir a permissão e a chave (AppKmsKeyArn precisa ser o ARN da chave do bucket, não um alias), e repetir",
            "check the permission and the key (AppKmsKeyArn must be the ARN of the bucket's key, not an alias), and repeat",
        ),
        Outcome::NoUploads { .. } => say(
            "informar UploadsBucketName, ou montar o envio diário (docs/backups.md#envio-diário-on-prem)",
            "set UploadsBucketName, or set up the daily synchronisation (docs/backups.md#envio-diário-on-prem)",
        ),
        Outcome::NoApplication | Outcome::NoAccount { .. } | Outcome::SecondFactor => say(
            "informar AppUrl e SmokeSecretName, com uma conta leitura_externa sem segundo fator",
            "set AppUrl and SmokeSecretName, with an account leitura_externa without a second factor",
        ),
        Outcome::MaskedLogin => say(
            "aos donos da aplicação: RESPONSE_MASKING_ENABLED=false na definição da task",
            "for the application's owners: RESPONSE_MASKING_ENABLED=false in the task definition",
        ),
        Outcome::LoginFailed { .. } | Outcome::NotServed { .. } => say(
            "conferir a aplicação e a conta de SmokeSecretName (role leitura_externa), e repetir",
            "check the application and the account of SmokeSecretName (role leitura_externa), and repeat",
        ),
        Outcome::RateLimited => say(
            "repetir fora do horário de uso, ou aumentar RATE_LIMIT_MAX",
            "repeat outside of busy hours, or raise RATE_LIMIT_MAX",
        ),
        Outcome::NotChecked => say(
            "repetir; se de novo não der tempo, diminuir attachments.sample na política",
            "repeat; if there is not enough time again, lower attachments.sample in the policy",
        ),
    };
    Some(step)
}

/// The step for an object, with its bucket and key.
fn of_object(line: &Line, step: impl FnOnce(&str, &str) -> String) -> Option<String> {
    match &line.place {
        Place::Object { bucket, key } => Some(step(bucket, key)),
        Place::Disk { .. } | Place::Unknown => None,
    }
}

/// The step for an object whose KMS key is of no use.
fn of_key(line: &Line, code: &str, kms_key: Option<&str>, language: Language) -> Option<String> {
    let lost = code == "KMS.NotFoundException";
    of_object(line, |bucket, key| {
        let look = command!(
            "aws s3api head-object --bucket {bucket} --key {key} --query SSEKMSKeyId --output text",
            bucket,
            key
        );
        let look = look.code();
        let Some(arn) = kms_key.filter(|_| !lost) else {
            return tr!(
                language,
                "ver a chave ({look}); desativada ou com exclusão marcada, reativá-la no KMS; apagada, o conteúdo se perdeu: AWS Backup, uma réplica ou quem enviou o arquivo",
                "see the key ({look}); if it is disabled or about to be deleted, enable it in KMS; if it is gone, so is the content: AWS Backup, a replica or the file's sender",
            );
        };
        let enable = command!("aws kms enable-key --key-id {arn}", arn);
        let keep = command!("aws kms cancel-key-deletion --key-id {arn}", arn);
        let cure = if code == "KMS.DisabledException" { enable } else { keep.and(&enable) };
        let cure = cure.code();
        tr!(
            language,
            "já: {cure}. É a chave da stack; a do objeto: {look}. Ver no CloudTrail quem a desativou",
            "now: {cure}. That is the stack's key; the object's: {look}. Find out in CloudTrail who disabled it",
        )
    })
}

/// The command that tests with the same seed again.
pub(super) fn again(settings: &Settings, progress: &Progress) -> Command {
    Command::invoke(&settings.function, &json!({"seed": progress.seed}))
}
