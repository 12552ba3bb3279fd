//! Next steps after a run that failed, which Lambda tries twice more.

use crate::runtime::failure::CallError;
use crate::runtime::language::Language;

/// The next step after a call that failed.
pub fn of_call(call: &CallError, language: Language) -> String {
    let operation = call.operation;
    crate::tr!(
        language,
        "a Lambda tenta mais duas vezes. Se a falha se repetir, conferir a permissão (IAM) para {operation}.",
        "Lambda tries twice more. If the failure repeats, check the IAM permission for {operation}.",
    )
}

/// The next step after pages that were not published.
pub fn of_pages(language: Language) -> &'static str {
    language.pick(
        "avisar o plantão com o texto que está no log, campo `undelivered`, e conferir o tópico de paging.",
        "page the on-call engineer with the text in the log (field `undelivered`), and check the paging topic.",
    )
}

/// The next step after a failure whose cause only the log has.
pub fn of_log(language: Language) -> &'static str {
    language.pick(
        "a Lambda tenta mais duas vezes. Se a falha se repetir, ver a causa no log da função.",
        "Lambda tries twice more. If the failure repeats, see the cause in the function's log.",
    )
}
