//! Whose a resource is, by its name and its tags.

use std::collections::BTreeMap;

/// The environments, each with the words that people use for it.
const ENVIRONMENTS: [&[&str]; 3] = [
    &["dev", "development", "desenvolvimento"],
    &["staging", "stage", "stg", "homolog", "homologacao", "hml"],
    &["prod", "production", "prd", "producao"],
];

/// The environment that is configured.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) project: String,
    /// `dev`, `staging` or `prod`.
    pub(crate) environment: String,
    pub(crate) region: String,
    /// Id of the account.
    pub(crate) account: String,
    /// `aws`, or the partition of GovCloud or China.
    pub(crate) partition: String,
}

/// Whose a resource is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Owner {
    /// Of this project and environment, by name or tags.
    Ours,
    /// Neither name nor tags say: a candidate for a question, never an answer.
    Unknown,
    /// Of another environment or project. Never shown as a candidate.
    Other,
}

impl Owner {
    /// The owner, or where nothing says whose the resource is, that of what uses or holds it.
    pub(crate) fn or(self, of_its_user: Self) -> Self {
        if self == Self::Unknown { of_its_user } else { self }
    }
}

impl Place {
    /// Beginning of the resources' names: `moveongs-dev`.
    pub(crate) fn prefix(&self) -> String {
        format!("{}-{}", self.project, self.environment)
    }

    /// Whose a resource is. One word of another environment outweighs everything: a name with `prod` is not taken for dev,
    /// whatever its tags say.
    pub(crate) fn owner(&self, name: &str, tags: &BTreeMap<String, String>) -> Owner {
        let words = words(name);
        let tag =
            |key: &str| tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value);
        let environments =
            words.iter().filter_map(|word| environment(word)).chain(tag("Environment").map(|value| {
                // An environment that the list does not know is another one.
                environment(&value.to_lowercase()).unwrap_or("")
            }));
        let environments: Vec<&str> = environments.collect();
        if environments.iter().any(|one| *one != self.environment) {
            return Owner::Other;
        }
        let project = match tag("Project") {
            Some(project) if !project.eq_ignore_ascii_case(&self.project) => return Owner::Other,
            Some(_) => true,
            None => without(&words, &self::words(&self.project)).is_none_or(|rest| rest.len() != words.len()),
        };
        if project && !environments.is_empty() { Owner::Ours } else { Owner::Unknown }
    }

    /// The words of a name beside project and environment, joined by hyphens: `jwt` of `/moveongs/dev/jwt`.
    pub(crate) fn rest(&self, name: &str) -> String {
        let all = words(name);
        let rest = without(&all, &words(&self.project)).unwrap_or(all);
        let rest: Vec<String> = rest.into_iter().filter(|word| environment(word).is_none()).collect();
        rest.join("-")
    }
}

/// The environment that a word means.
fn environment(word: &str) -> Option<&'static str> {
    ENVIRONMENTS.iter().find(|words| words.contains(&word)).and_then(|words| words.first().copied())
}

/// The words of a name, in lower case: what stands between characters that are neither letters nor digits.
pub(crate) fn words(name: &str) -> Vec<String> {
    let parts = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    parts.map(str::to_lowercase).collect()
}

/// The words without the first place where the others stand together; all of them if there is none. None without words
/// to look for.
fn without(all: &[String], these: &[String]) -> Option<Vec<String>> {
    if these.is_empty() {
        return None;
    }
    let Some(at) = all.windows(these.len()).position(|window| window == these) else {
        return Some(all.to_vec());
    };
    Some(all.iter().take(at).chain(all.iter().skip(at + these.len())).cloned().collect())
}

#[cfg(test)]
pub(crate) fn place() -> Place {
    Place {
        project: "moveongs".to_owned(),
        environment: "dev".to_owned(),
        region: "us-east-1".to_owned(),
        account: "111122223333".to_owned(),
        partition: "aws".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_ours_only_if_name_or_tags_say_project_and_environment() {
        let tags = |tags: &[(&str, &str)]| -> BTreeMap<String, String> {
            tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let none: &[(&str, &str)] = &[];
        for (name, given, expected) in [
            ("moveongs-dev-db", none, Owner::Ours),
            ("/moveongs/dev/jwt", none, Owner::Ours),
            ("moveongs_development_db", none, Owner::Ours),
            ("database-1", &[("Project", "moveongs"), ("Environment", "dev")], Owner::Ours),
            ("database-1", &[("project", "MoveONgs"), ("environment", "Dev")], Owner::Ours),
            ("moveongs-db", &[("Environment", "dev")], Owner::Ours),
            // Nothing says which environment, or which project.
            ("moveongs-db", none, Owner::Unknown),
            ("dev-db", none, Owner::Unknown),
            ("database-1", none, Owner::Unknown),
            ("moveongsdev", none, Owner::Unknown),
            ("database-1", &[("Environment", "dev")], Owner::Unknown),
            // Another environment, by name or tag, also against the other.
            ("moveongs-prod-db", none, Owner::Other),
            ("moveongs-dev-copy-of-prod", none, Owner::Other),
            ("moveongs-prod-db", &[("Environment", "dev"), ("Project", "moveongs")], Owner::Other),
            ("moveongs-dev-db", &[("Environment", "prod")], Owner::Other),
            ("moveongs-dev-db", &[("Environment", "sandbox")], Owner::Other),
            ("moveongs-homolog-db", none, Owner::Other),
            ("moveongs-dev-db", &[("Project", "another")], Owner::Other),
        ] {
            assert_eq!(place().owner(name, &tags(given)), expected, "{name} {given:?}");
        }
    }

    #[test]
    fn a_project_of_several_words_is_found_as_such() {
        let place = Place { project: "my-ngo".to_owned(), environment: "prod".to_owned(), ..place() };
        let none = BTreeMap::new();
        assert_eq!(place.owner("my-ngo-prod-db", &none), Owner::Ours);
        assert_eq!(place.owner("my-prod-ngo", &none), Owner::Unknown);
        assert_eq!(place.rest("/my-ngo/prod/slack-signing"), "slack-signing");
    }

    #[test]
    fn the_rest_of_a_name_is_what_it_is_for() {
        for (name, expected) in [
            ("/moveongs/dev/jwt", "jwt"),
            ("moveongs-dev-database-url", "database-url"),
            ("moveongs-slack", "slack"),
            ("JWT_SECRET", "jwt-secret"),
        ] {
            assert_eq!(place().rest(name), expected);
        }
    }
}
