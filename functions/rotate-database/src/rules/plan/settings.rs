//! A role's settings, as the server stores them and as `SET` takes them.

use std::collections::BTreeMap;

use postgres_protocol::escape::escape_literal;

use crate::rules::observed::Role;

/// Settings by database and name.
pub(super) type SettingsMap = BTreeMap<(Option<String>, String), String>;

pub(super) const PATH: &str = "search_path";
pub(super) const USER: &str = "$user";

/// A role's settings without `role`.
pub(super) fn settings_of(role: &Role) -> SettingsMap {
    let each = role.settings.iter().flat_map(|one| one.values.iter().map(|value| (&one.database, value)));
    each.filter_map(|(database, value)| {
        let (name, value) = value.split_once('=')?;
        (name != "role").then(|| ((database.clone(), name.to_owned()), value.to_owned()))
    })
    .collect()
}

/// Settings whose value is a list of quoted names (`GUC_LIST_QUOTE`). The server stores the list as one text, but `SET`
/// takes it only as a list. Extensions cannot add such settings.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    PATH,
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// A stored value in the syntax of `SET`.
pub(super) fn literal(setting: &str, value: &str) -> String {
    if !LISTS.contains(&setting) {
        return escape_literal(value);
    }
    let parts = split(setting, value);
    if parts.is_empty() {
        return escape_literal("");
    }
    parts.iter().map(|part| escape_literal(part)).collect::<Vec<_>>().join(", ")
}

/// Whether two stored values mean the same.
pub(super) fn same(setting: &str, one: &str, other: &str) -> bool {
    literal(setting, one) == literal(setting, other)
}

/// The names in a stored list.
pub(super) fn split(setting: &str, value: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        let mut part = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let Some((before, after)) = quoted.split_once('"') else {
                    part.push_str(quoted);
                    rest = "";
                    break;
                };
                part.push_str(before);
                match after.strip_prefix('"') {
                    Some(more) => {
                        part.push('"');
                        quoted = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            rest = rest.split_once(',').map_or("", |(_, after)| after).trim_start();
        } else {
            let (name, after) = rest.split_once(',').unwrap_or((rest, ""));
            // Names fold to lower case as in SQL; file names do not.
            let folds = matches!(setting, PATH | "temp_tablespaces");
            let name = name.trim_end();
            part.push_str(&if folds { name.to_ascii_lowercase() } else { name.to_owned() });
            rest = after.trim_start();
        }
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_list_is_split_as_the_server_splits_it() {
        for (setting, value, parts) in [
            (PATH, "", vec![]),
            (PATH, "\"\"", vec![""]),
            (PATH, "\"$user\", public", vec!["$user", "public"]),
            (PATH, "\"We\"\"ird, one\" ,Folded , x", vec!["We\"ird, one", "folded", "x"]),
            ("session_preload_libraries", "Lib, \"a b\"", vec!["Lib", "a b"]),
            (PATH, "\"open", vec!["open"]),
        ] {
            assert_eq!(split(setting, value), parts, "{value}");
        }
        assert!(same(PATH, "a, \"b\"", "\"a\",b"));
        assert!(!same("application_name", "a, \"b\"", "\"a\",b"));
    }
}
