//! The three roles of two logins that take turns.

use shared::database::{CLONE, stem};

const OWNER: &str = "_owner";

/// Maximum length of a PostgreSQL name, in bytes; longer names are truncated.
const NAME_LIMIT: usize = 63;

/// The names of an alternating pair.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pair {
    /// The original login.
    pub stem: String,
    /// The other login, `<stem>_clone`, as AWS's own functions name it.
    pub clone: String,
    /// The role that both act as, `<stem>_owner`.
    pub owner: String,
}

impl Pair {
    /// The pair that a login belongs to.
    ///
    /// # Errors
    ///
    /// The reason why the name is too long.
    pub fn of(user: &str) -> Result<Self, String> {
        let stem = stem(user);
        let longest = NAME_LIMIT - CLONE.len().max(OWNER.len());
        if stem.len() > longest {
            return Err(format!(
                "{stem} is longer than {longest} bytes, so {CLONE} and {OWNER} do not fit behind it"
            ));
        }
        Ok(Self { stem: stem.to_owned(), clone: format!("{stem}{CLONE}"), owner: format!("{stem}{OWNER}") })
    }

    /// The login whose turn comes after `user`.
    pub fn other(&self, user: &str) -> &str {
        if user == self.clone { &self.stem } else { &self.clone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_three_names_of_at_most_63_bytes() {
        for (user, stem, other) in [
            ("imm", "imm", "imm_clone"),
            ("imm_clone", "imm", "imm"),
            ("a_clone_clone", "a_clone", "a_clone"),
            ("_clone", "_clone", "_clone_clone"),
            ("Ünï \"x\"", "Ünï \"x\"", "Ünï \"x\"_clone"),
        ] {
            let pair = Pair::of(user).unwrap();
            assert_eq!((pair.stem.as_str(), pair.other(user)), (stem, other), "{user}");
            assert_eq!(pair.owner, format!("{stem}_owner"));
            assert_eq!(pair.other(pair.other(user)), user);
        }
        assert!(Pair::of(&"x".repeat(57)).is_ok());
        assert!(Pair::of(&("x".repeat(57) + "_clone")).is_ok());
        assert!(Pair::of(&"x".repeat(58)).is_err());
        assert!(Pair::of(&"é".repeat(29)).is_err());
    }
}
