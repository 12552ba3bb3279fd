//! The pull request's texts, and the index of its folder. Names of Grafana are foreign text.

use std::collections::BTreeSet;

use shared::run::markdown;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::rules::bundle::{Bundle, Changes, dashboard_path, group_file, panel_path};

/// Most files that the body lists of one kind.
const LISTED: usize = 100;

/// The pull request's title, and the commit's message.
pub(crate) fn title(settings: &Settings) -> String {
    let environment = &settings.environment;
    shared::tr!(
        settings.language,
        "Exportação do Grafana ({environment})",
        "Export of Grafana ({environment})"
    )
}

/// The pull request's body. `left_out` are files of objects that are as they were before, or not there.
pub(crate) fn body(changes: &Changes, left_out: &BTreeSet<String>, key: &str, language: Language) -> String {
    let mut body = vec![
        language
            .pick(
                "O que está no Grafana. Revisar e fazer merge: uma diferença aqui é uma mudança feita lá. Segredos foram retirados. As listas abaixo são do dia em que este pull request foi aberto, e comparam com a última exportação antes dele; o diff mostra tudo o que o repositório não tem.",
                "What Grafana has. Review and merge it: a difference here is a change that was made there. Secrets were taken out. The lists below are of the day when this pull request was opened, and compare with the last export before it; the diff shows all that the repository does not have.",
            )
            .to_owned(),
        shared::tr!(language, "No bucket de evidências: `{key}`.", "In the evidence bucket: `{key}`."),
    ];
    for (label, files) in [
        (language.pick("Novos", "New"), &changes.added),
        (language.pick("Mudados", "Changed"), &changes.changed),
        (language.pick("Apagados", "Removed"), &changes.removed),
        (
            language.pick(
                "Na forma anterior, ou de fora: não foram lidos, ou têm um segredo",
                "In their earlier form, or left out: they could not be read, or have a secret",
            ),
            left_out,
        ),
    ] {
        body.extend(list(label, files));
    }
    body.join("\n\n")
}

fn list(label: &str, files: &BTreeSet<String>) -> Option<String> {
    let more = files.len().saturating_sub(LISTED);
    let lines = files.iter().take(LISTED).map(|path| format!("* {}", markdown::code(path)));
    let more = (more > 0).then(|| format!("* +{more}"));
    let lines: Vec<String> = lines.chain(more).collect();
    (!lines.is_empty()).then(|| format!("**{label}**\n\n{}", lines.join("\n")))
}

/// The index: which file is which dashboard, panel and group of alert rules.
pub(crate) fn index(bundle: &Bundle, language: Language) -> String {
    let mut lines = vec![
        language.pick("# Exportação do Grafana", "# Export of Grafana").to_owned(),
        String::new(),
        language
            .pick(
                "Escrita pela função `grafana-export`; não editar à mão. Como restaurar: `docs/grafana.md` do repositório de governança.",
                "Written by the function `grafana-export`; do not edit it. How to restore it: `docs/grafana.md` of the governance repository.",
            )
            .to_owned(),
        String::new(),
        language.pick("| objeto | pasta | arquivo |", "| object | folder | file |").to_owned(),
        "| --- | --- | --- |".to_owned(),
    ];
    let folder = |uid: Option<&str>| {
        let title = uid.and_then(|uid| bundle.folders.get(uid)).map(|folder| folder.title.as_str());
        markdown::text(title.or(uid).unwrap_or("General"))
    };
    let row = |object: &str, of: Option<&str>, path: &str| {
        format!("| {} | {} | [{path}]({path}) |", markdown::text(object), folder(of))
    };
    for (uid, dashboard) in &bundle.dashboards {
        let of = dashboard.folder.as_deref();
        lines.push(row(dashboard.title(), of, &dashboard_path(uid, of)));
    }
    for (uid, panel) in &bundle.library_panels {
        let text = |field: &str| panel.get(field).and_then(serde_json::Value::as_str);
        let of = text("folderUid").filter(|folder| !folder.is_empty());
        lines.push(row(text("name").unwrap_or_default(), of, &panel_path(uid)));
    }
    for key in bundle.rule_groups.keys() {
        let (of, title) = key.split_once('/').unwrap_or_default();
        lines.push(row(title, Some(of), &group_file(of, title)));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::bundle::{Dashboard, Folder};

    #[test]
    fn names_of_grafana_stay_text() {
        let folder = Folder { title: "API | @team".to_owned(), parent: None };
        let model = json!({"title": "<script> [x](http://evil.example)\n# y"});
        let bundle = Bundle {
            folders: [("f1".to_owned(), folder)].into(),
            dashboards: [(
                "d1".to_owned(),
                Dashboard { folder: Some("f1".to_owned()), version: None, model },
            )]
            .into(),
            ..Bundle::default()
        };
        let index = index(&bundle, Language::Portuguese);
        let row = index.lines().find(|line| line.contains("d1.json")).unwrap();
        assert!(row.starts_with("| &lt;script&gt; \\[x\\]("), "{row}");
        assert!(row.contains("API \\| @\u{2060}team") && row.ends_with("(dashboards/f1/d1.json) |"), "{row}");
        let changes = Changes { added: ["a`b.json".to_owned()].into(), ..Changes::default() };
        let left_out = ["dashboards/general/x.json".to_owned()].into();
        let body = body(&changes, &left_out, "grafana/exports/x.json", Language::English);
        assert!(body.contains("compare with the last export before it; the diff shows all"), "{body}");
        assert!(body.contains("**New**\n\n* `a'b.json`") && !body.contains("**Removed**"), "{body}");
        assert!(body.contains("have a secret**\n\n* `dashboards/general/x.json`"), "{body}");
    }
}
