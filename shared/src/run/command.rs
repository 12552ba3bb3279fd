//! Shell commands that messages, pages and reports advise.

pub mod secrets;
pub mod snapshots;

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

use crate::run::markdown::is_hidden;
use crate::runtime::settings::Settings;

/// A command that an operator pastes into a POSIX shell. Build one with [`command!`](crate::command).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Command(String);

impl Command {
    /// A command from text that is quoted already; for [`command!`](crate::command).
    #[doc(hidden)]
    pub fn from_quoted(text: String) -> Self {
        Self(text)
    }

    /// Invokes a Lambda function with an event and prints its answer. Versions 1 and 2 of the AWS CLI read a payload
    /// alike only from a file or standard input. The CLI waits longer than a function runs: after a time-out it would
    /// invoke the function once more, beside the first.
    pub fn invoke(function: &str, event: &Value) -> Self {
        let event = event.to_string();
        // The `echo` of some shells replaces a backslash and the letter after it.
        let echo = if event.contains('\\') { crate::command!("printf %s") } else { crate::command!("echo") };
        crate::command!(
            "{echo} {event} | aws lambda invoke --function-name {function} --payload fileb:///dev/stdin /dev/stdout --cli-read-timeout 910",
            echo,
            event,
            function
        )
    }

    /// Starts the state machine that has the function's name. The command looks up its ARN, because the function does
    /// not know its account.
    pub fn start(settings: &Settings, input: &Value) -> Self {
        crate::command!(
            r#"aws stepfunctions start-execution --state-machine-arn "$(aws stepfunctions list-state-machines --query "stateMachines[?name=='{function}'].stateMachineArn" --output text)" --input {input}"#,
            function = settings.function,
            input = input.to_string()
        )
    }

    /// This command, then `next` if this one succeeds.
    #[must_use]
    pub fn and(self, next: &Self) -> Self {
        Self(format!("{self} && {next}"))
    }

    /// The command as code in a message. No argument can end the code, because none has a backquote.
    pub fn code(&self) -> String {
        format!("`{self}`")
    }
}

impl Display for Command {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Commands as code in a message, with commas.
pub fn codes(commands: impl IntoIterator<Item = Command>) -> String {
    commands.into_iter().map(|command| command.code()).collect::<Vec<_>>().join(", ")
}

/// An argument of [`command!`](crate::command).
pub trait Argument {
    /// The argument as the shell must read it.
    fn quoted(&self) -> String;
}

impl Argument for str {
    /// One word, without a backquote: the shell makes it, because it would end the code of a message. A control
    /// character, which no AWS name has and which a terminal may execute on paste, becomes `?`, as does a character that
    /// hides or reorders others. A text that the AWS CLI
    /// would replace with the content of the file or page that it names begins with `?`.
    fn quoted(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
        let is_read =
            ["file://", "fileb://", "http://", "https://"].iter().any(|start| self.starts_with(start));
        if !self.is_empty() && self.chars().all(plain) && !is_read {
            return self.to_owned();
        }
        let text: String =
            self.chars().map(|c| if c.is_control() || is_hidden(c) { '?' } else { c }).collect();
        let text = text.replace('\'', r"'\''").replace('`', r#"'"$(printf '\140')"'"#);
        format!("'{}{text}'", if is_read { "?" } else { "" })
    }
}

impl Argument for String {
    fn quoted(&self) -> String {
        self.as_str().quoted()
    }
}

impl Argument for Command {
    /// A part of the command, such as its options.
    fn quoted(&self) -> String {
        self.0.clone()
    }
}

impl Argument for Option<Command> {
    /// Nothing if there is none.
    fn quoted(&self) -> String {
        self.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl<T: Argument> Argument for Vec<T> {
    /// One word or part for each.
    fn quoted(&self) -> String {
        self.iter().map(Argument::quoted).collect::<Vec<_>>().join(" ")
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Argument for $number {
            fn quoted(&self) -> String {
                self.to_string()
            }
        })*
    };
}

numbers!(i32, u16);

impl<T: Argument + ?Sized> Argument for &T {
    fn quoted(&self) -> String {
        (**self).quoted()
    }
}

/// A [`Command`](crate::run::command::Command): `command!("aws rds … --db-instance-identifier {name} {options}", name,
/// options = of(db))`.
///
/// Text arguments are quoted for the shell: each is one word. The literal is not, nor is an argument that is itself a
/// command, e.g. a group of options. A placeholder whose argument is not listed is an error, because it would not be
/// quoted. `tests/commands` checks the literals against the AWS CLI.
#[macro_export]
macro_rules! command {
    (@value $name:ident) => { $name };
    (@value $name:ident $value:expr) => { $value };
    ($literal:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        // `concat!` refuses variables that are not arguments, which would not be quoted.
        $crate::run::command::Command::from_quoted(format!(
            concat!($literal)
            $(, $name = $crate::run::command::Argument::quoted(&$crate::command!(@value $name $($value)?)))*
        ))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_one_word_of_the_shell() {
        for (argument, word) in [
            ("moveongs-prod_db.1", "moveongs-prod_db.1"),
            ("arn:aws:rds:us-east-1:1:db:x", "arn:aws:rds:us-east-1:1:db:x"),
            ("Key=a,Value=b", "Key=a,Value=b"),
            ("", "''"),
            ("a b", "'a b'"),
            ("~root", "'~root'"),
            ("$(reboot)", "'$(reboot)'"),
            ("it's", r"'it'\''s'"),
            ("a\n\u{1b}b", "'a??b'"),
            ("a`'b", r#"'a'"$(printf '\140')"''\''b'"#),
            ("file:///etc/hosts", "'?file:///etc/hosts'"),
            ("s3://bucket", "s3://bucket"),
        ] {
            assert_eq!(argument.quoted(), word);
            let echoed = std::process::Command::new("sh").args(["-c", &format!("printf %s {word}")]).output();
            let echoed = String::from_utf8(echoed.unwrap().stdout).unwrap();
            assert_eq!(echoed, argument.replace(['\n', '\u{1b}'], "?").replace("file:", "?file:"));
        }
    }

    #[test]
    fn a_command_is_built_of_words_and_of_commands() {
        let name = String::from("a b");
        let options = command!("--deletion-protection --kms-key-id {key}", key = "k;");
        let change =
            command!("aws rds modify-db-{kind} --name {name} {options}", kind = "instance", name, options);
        assert_eq!(
            change.to_string(),
            "aws rds modify-db-instance --name 'a b' --deletion-protection --kms-key-id 'k;'"
        );
        assert_eq!(command!("true").and(&command!("false")).code(), "`true && false`");
        let words = vec!["a b", "c"];
        assert_eq!(command!("run {words}", words).to_string(), "run 'a b' c");
        let options = |is_on: bool| is_on.then(|| command!(" --days {days}", days = 30));
        for (is_on, expected) in [(true, "run --days 30"), (false, "run")] {
            assert_eq!(command!("run{options}", options = options(is_on)).to_string(), expected);
        }
    }

    #[test]
    fn no_argument_ends_the_code_of_a_message() {
        let text = codes([command!("a {x}", x = "` `b`"), command!("b")]);
        assert_eq!(text.matches('`').count(), 4, "{text}");
    }

    #[test]
    fn an_event_is_one_word_of_the_shell() {
        for by in ["o'neil $(id)", r#"a\","by":"b"#, "a`b\nc"] {
            let event = serde_json::json!({"by": by});
            let command = Command::invoke("a b", &event).to_string();
            let (echo, invoke) = command.rsplit_once(" | ").unwrap();
            let echoed = std::process::Command::new("sh").args(["-c", echo]).output().unwrap().stdout;
            assert_eq!(serde_json::from_slice::<Value>(&echoed).unwrap(), event);
            assert_eq!(
                invoke,
                "aws lambda invoke --function-name 'a b' --payload fileb:///dev/stdin /dev/stdout --cli-read-timeout 910"
            );
        }
    }
}
