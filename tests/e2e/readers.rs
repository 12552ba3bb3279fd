//! The programs that log in with a secret as applications do: `tests/readers`.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A reader that runs until it is dropped.
pub(crate) struct Reader {
    /// Its display name.
    pub(crate) name: &'static str,
    process: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// The server's answer about the session's roles.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Login {
    /// The user of the secret.
    pub(crate) session_user: String,
    /// The role whose rights it has.
    pub(crate) current_user: String,
}

/// Name of the reader that is the application's own driver.
pub(crate) const NODE_POSTGRES: &str = "node-postgres";

/// Every reader, started.
pub(crate) fn start() -> [Reader; 3] {
    [
        Reader::start("libpq", "python", "libpq.py"),
        Reader::start("RFC 3986", "python", "rfc_3986.py"),
        Reader::start(NODE_POSTGRES, "node", "node_postgres.cjs"),
    ]
}

impl Reader {
    fn start(name: &'static str, program: &str, script: &str) -> Self {
        let mut command = Command::new(program);
        // Node warns on the standard error that it verifies servers where libpq with `sslmode=require` may not.
        command.env("NODE_NO_WARNINGS", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("readers").join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}: run this through `cargo xtask test`"));
        let (requests, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { name, process, requests, answers: BufReader::new(answers).lines() }
    }

    /// Asks it to log in with every place of a secret; [`Reader::answer`] waits for the answer.
    pub(crate) fn ask(&mut self, secret: &str, rootcert: &str) {
        writeln!(self.requests, "{}", json!({"secret": secret, "rootcert": rootcert})).unwrap();
    }

    /// The login of each place, or the reason for a failed one.
    pub(crate) fn answer(&mut self) -> Result<Vec<Login>, String> {
        let line =
            self.answers.next().unwrap_or_else(|| panic!("{} has ended: see above", self.name)).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        if let Some(error) = answer["error"].as_str() {
            return Err(error.to_owned());
        }
        let text = |login: &Value, field: &str| login[field].as_str().unwrap().to_owned();
        let login = |login: &Value| Login {
            session_user: text(login, "session_user"),
            current_user: text(login, "current_user"),
        };
        Ok(answer["logins"].as_array().unwrap().iter().map(login).collect())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
