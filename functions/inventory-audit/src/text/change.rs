//! The channel's message about a change of the policy.

use shared::run::in_force::Version;
use shared::run::notify::Message;
use shared::runtime::settings::Settings;

use crate::rules::change::{Became, Merge, Recorded};

/// Most changes that a message lists; the record has all.
const MOST_LINES: usize = 20;

/// The message; none for a broken version, which [`shared::run::in_force::announce_once`] announces.
pub(crate) fn change(settings: &Settings, version: &Version, found: &Recorded) -> Option<Message> {
    let pick = |portuguese: &'static str, english: &'static str| settings.language.pick(portuguese, english);
    let next = settings.language.next_step();
    let mut lines: Vec<String> =
        found.changes.iter().take(MOST_LINES).map(|change| format!("• {change}")).collect();
    if found.changes.len() > MOST_LINES {
        lines.push(format!("… +{}", found.changes.len() - MOST_LINES));
    }
    let title = match &found.became {
        Became::Changed(document, merge) => {
            if found.changes.is_empty() {
                lines.push(pick("Nenhum valor mudou.", "No value changed.").to_owned());
            }
            lines.push(format!(
                "{}: {} · commit {}{}",
                pick("Autor, segundo o documento", "Author, according to the document"),
                document.author,
                document.commit,
                document.reason.as_ref().map(|reason| format!(" · {reason}")).unwrap_or_default()
            ));
            match merge {
                Merge::Merged => lines.push(
                    pick(
                        "O commit está na main, e o arquivo dele é o que foi aplicado.",
                        "The commit is on main, and its file is the applied policy.",
                    )
                    .to_owned(),
                ),
                Merge::Differs(how) => lines.push(format!(
                    "*policy.differs*: {}: {how}. *{next}*: {}",
                    pick(
                        "o commit está na main, mas o que foi aplicado não é o arquivo dele",
                        "the commit is on main, but its file is not the applied policy"
                    ),
                    pick(
                        "aplicar de novo o arquivo da main com `cargo xtask policy apply`; ver no CloudTrail quem gravou.",
                        "apply main's file again with `cargo xtask policy apply`; look in CloudTrail for the writer."
                    )
                )),
                Merge::Unmerged(status) => lines.push(format!(
                    "*policy.unmerged*: {} ({status}). *{next}*: {}",
                    pick("o commit não está na main", "the commit is not on main"),
                    pick(
                        "fazer o merge e avisar as equipes, ou aplicar de novo o arquivo da main com `cargo xtask policy apply`: uma mudança operacional só vale depois do merge.",
                        "merge it and notify the teams, or apply main's file again with `cargo xtask policy apply`: an operational change is valid only after the merge."
                    )
                )),
                Merge::Unknown(why) => lines.push(format!(
                    "*policy.unverified*: {}: {why}. *{next}*: {}",
                    pick(
                        "não se sabe se o commit está na main com este conteúdo",
                        "unknown whether the commit is on main with this content"
                    ),
                    pick(
                        "conferir no GitHub; se falta o arquivo, aplicar de novo com `cargo xtask policy apply`.",
                        "look it up on GitHub; if the file is missing, apply it again with `cargo xtask policy apply`."
                    )
                )),
            }
            pick("Política alterada", "Policy changed")
        }
        Became::Removed => {
            lines.push(format!(
                "*policy.unmerged*: {} *{next}*: {}",
                pick(
                    "o documento foi removido, e valem os padrões; nenhum commit da main diz isso.",
                    "the document was removed, so the defaults are in force; no commit on main removes it.",
                ),
                pick(
                    "aplicar de novo o arquivo da main com `cargo xtask policy apply`. Se são os padrões que devem valer, fazer o merge de um arquivo com `{}` e aplicá-lo.",
                    "apply main's file again with `cargo xtask policy apply`. If the defaults should be in force, merge a file with `{}` and apply it."
                )
            ));
            pick("Política removida", "Policy removed")
        }
        Became::Broken(..) => return None,
    };
    Some(Message::new(settings, title, lines, &version.id))
}

#[cfg(test)]
mod tests {
    use shared::runtime::language::Language;

    use super::*;

    #[test]
    fn a_removal_is_a_finding_with_a_next_step() {
        let found = Recorded { became: Became::Removed, changes: Vec::new() };
        let expected =
            "policy.unmerged policy/current.json: it was removed, but no commit on main removes it";
        assert_eq!(found.finding().as_deref(), Some(expected));
        let version = Version::default();
        for language in [Language::Portuguese, Language::English] {
            let settings = shared::testing::settings("moveongs-dev-inventory-audit", language);
            let text = change(&settings, &version, &found).unwrap().text();
            for part in ["*policy.unmerged*", "`cargo xtask policy apply`"] {
                assert!(text.contains(part), "{text}");
            }
        }
    }
}
