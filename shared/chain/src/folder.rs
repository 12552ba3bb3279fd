//! A chain's place in its bucket.

use crate::Stack;

/// Keys count down from this number: the object with sequence 1 has the number 9999999998.
const LAST: u64 = 9_999_999_999;

/// The folder of a chain's objects. S3 lists in ascending order, so the numbers of the keys count down: one request
/// finds the newest object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Folder {
    /// Without a slash at its end.
    path: String,
    chain: String,
}

impl Folder {
    /// The folder of a procedure's records.
    pub fn records(procedure: &str) -> Self {
        Self { path: format!("evidence/{procedure}"), chain: procedure.to_owned() }
    }

    /// The folder of a stack's anchors. Its chain has the name `anchors`.
    pub fn anchors(stack: &Stack) -> Self {
        let Stack { project, environment } = stack;
        Self { path: format!("anchors/{project}/{environment}"), chain: "anchors".to_owned() }
    }

    /// Name of the chain: the procedure, or `anchors`.
    pub fn chain(&self) -> &str {
        &self.chain
    }

    /// Prefix of all keys of the folder; it ends with a slash.
    pub fn prefix(&self) -> String {
        format!("{}/", self.path)
    }

    /// Key of the object with a sequence.
    pub fn key(&self, sequence: u64) -> String {
        format!("{}/{:010}.json", self.path, LAST.saturating_sub(sequence))
    }

    /// The sequence that a key encodes; none if it is not the key of an object of this chain.
    pub fn sequence(&self, key: &str) -> Option<u64> {
        let number = key.strip_prefix(&self.path)?.strip_prefix('/')?.strip_suffix(".json")?;
        if number.len() != 10 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        LAST.checked_sub(number.parse().ok()?).filter(|sequence| *sequence > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_down_and_has_one_form() {
        let folder = Folder::records("p");
        for (sequence, key) in [
            (1, "evidence/p/9999999998.json"),
            (2, "evidence/p/9999999997.json"),
            (LAST, "evidence/p/0000000000.json"),
        ] {
            assert_eq!(folder.key(sequence), key);
            assert_eq!(folder.sequence(key), Some(sequence));
        }
        for key in [
            "evidence/p/9999999999.json",
            "evidence/p/99999999998.json",
            "evidence/p/999999998.json",
            "evidence/p/+999999998.json",
            "evidence/p/ 999999998.json",
            "evidence/p/9999999998.json ",
            "evidence/p/9999999998.JSON",
            "evidence/p/x/9999999998.json",
            "evidence/p9999999998.json",
            "evidence/pp/9999999998.json",
            "evidence/9999999998.json",
            "evidence/p/readme.txt",
            "evidence/p/",
            "",
        ] {
            assert_eq!(folder.sequence(key), None, "{key}");
        }
        let stack = Stack { project: "moveongs".to_owned(), environment: "dev".to_owned() };
        assert_eq!(Folder::anchors(&stack).key(1), "anchors/moveongs/dev/9999999998.json");
    }
}
