//! Makes definitions of different major versions comparable.

use std::collections::BTreeMap;

use super::Definitions;
use crate::structure::Aspect;

/// An object: how it is compared, and how it is shown.
pub(super) struct Object {
    pub(super) compared: String,
    pub(super) name: String,
    pub(super) definition: String,
}

/// Objects by the name under which they are compared. Versions print the same definition differently: 16 leaves out the
/// table before a column where there is only one, 17 has one more right, and an upgrade may bring an extension's newer
/// version.
pub(super) fn objects(aspect: Aspect, objects: &Definitions, same_major: bool) -> BTreeMap<String, Object> {
    let mut all: BTreeMap<String, Object> = BTreeMap::new();
    for (name, definition) in objects {
        let (key, compared) = match aspect {
            _ if same_major => (name.clone(), definition.clone()),
            Aspect::View
            | Aspect::MaterializedView
            | Aspect::Rule
            | Aspect::Policy
            | Aspect::Trigger
            | Aspect::Column
            | Aspect::Function
            | Aspect::Type
            | Aspect::Statistics => (name.clone(), loose(definition)),
            Aspect::Constraint | Aspect::Index => (keyed(name), definition.clone()),
            Aspect::Privilege | Aspect::DefaultPrivilege => (name.clone(), without_maintain(definition)),
            Aspect::Extension => (name.clone(), without_version(definition)),
            // How a locale is named and provided changes with the version.
            Aspect::Database => {
                (name.clone(), definition.split(", provider").next().unwrap_or_default().to_owned())
            }
            _ => (name.clone(), definition.clone()),
        };
        let object = Object { compared, name: name.clone(), definition: definition.clone() };
        match all.get_mut(&key) {
            // Two that differ in what does not matter only.
            Some(other) => other.compared = format!("{}; {}", other.compared, object.compared),
            None => {
                all.insert(key, object);
            }
        }
    }
    all
}

/// `table: definition` with a loose definition.
fn keyed(name: &str) -> String {
    match name.split_once(": ") {
        Some((table, definition)) => format!("{table}: {}", loose(definition)),
        None => loose(name),
    }
}

/// The text without qualifiers of names, parentheses and blanks, outside literals.
fn loose(definition: &str) -> String {
    let mut text = String::with_capacity(definition.len());
    // Where the last name begins.
    let mut name = 0;
    let mut quoted = false;
    for character in definition.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                text.push(character);
                name = text.len();
            }
            _ if quoted => text.push(character),
            '.' if text.len() > name && !text[name..].starts_with(|c: char| c.is_ascii_digit()) => {
                text.truncate(name)
            }
            '(' | ')' => name = text.len(),
            _ if character.is_whitespace() => name = text.len(),
            _ if character.is_alphanumeric() || matches!(character, '_' | '"' | '$') => text.push(character),
            _ => {
                text.push(character);
                name = text.len();
            }
        }
    }
    text
}

fn without_maintain(rights: &str) -> String {
    let rights: Vec<&str> = rights.split(' ').filter(|right| !right.starts_with("MAINTAIN")).collect();
    rights.join(" ")
}

fn without_version(extension: &str) -> String {
    let parts: Vec<&str> = extension.split(", ").filter(|part| !part.starts_with("version ")).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(aspect: Aspect, definitions: &[(&str, &str)], same_major: bool) -> Vec<String> {
        let owned = |(name, definition): &(&str, &str)| ((*name).to_owned(), (*definition).to_owned());
        let definitions: Definitions = definitions.iter().map(owned).collect();
        objects(aspect, &definitions, same_major).into_values().map(|object| object.compared).collect()
    }

    #[test]
    fn versions_print_the_same_view_differently() {
        let old = " SELECT t.id,\n    (t.name)::text AS name\n   FROM public.t\n  WHERE (t.rate > 1.50);";
        let new = " SELECT id,\n    name::text AS name\n   FROM public.t\n  WHERE rate > 1.50;";
        assert_eq!(loose(old), loose(new));
        for changed in [
            new.replace("rate > 1.50", "rate > 1.51"),
            new.replace("rate >", "rate <"),
            new.replace("name::text", "name::varchar"),
            new.replace("public.t", "public.u"),
        ] {
            assert_ne!(loose(old), loose(&changed), "{changed}");
        }
    }

    #[test]
    fn literals_stay_as_they_are() {
        assert_ne!(loose("CHECK ((a = 'x y'::text))"), loose("CHECK ((a = 'x  y'::text))"));
        assert_ne!(loose("'public.a'"), loose("'other.a'"));
        assert_eq!(loose("CHECK ((a = 'it''s (so)'))"), "CHECKa='it''s (so)'");
    }

    #[test]
    fn only_other_major_versions_are_loosened() {
        for (aspect, old, new) in [
            (Aspect::Privilege, "DELETE INSERT", "DELETE INSERT MAINTAIN"),
            (Aspect::DefaultPrivilege, "SELECT", "MAINTAIN* SELECT"),
            (Aspect::Extension, "version 1.3, schema public", "version 1.4, schema public"),
            (Aspect::Database, "UTF8, C, C, provider c", "UTF8, C, C, provider b"),
            (Aspect::View, "SELECT t.id FROM t", "SELECT id FROM t"),
        ] {
            let of = |definition: &str, same| compared(aspect, &[("x", definition)], same);
            assert_eq!(of(old, false), of(new, false), "{aspect:?}");
            assert_ne!(of(old, true), of(new, true), "{aspect:?}");
        }
        let rights = |rights: &str| compared(Aspect::Privilege, &[("t: app", rights)], false);
        assert_ne!(rights("DELETE"), rights("DELETE INSERT"), "a lost right is found");
    }

    #[test]
    fn definitions_that_become_equal_are_counted() {
        let indexes = [
            ("t: CREATE INDEX ON t USING btree (a)", "valid"),
            ("t: CREATE INDEX ON t USING btree ((a))", "valid"),
        ];
        assert_eq!(compared(Aspect::Index, &indexes, false), ["valid; valid"]);
    }
}
