//! Escapes foreign text for Markdown: names, tags, and answers of other services.
//!
//! Source: [GitHub Flavored Markdown](https://github.github.com/gfm/), 2.3 insecure characters, 6.1 backslash escapes,
//! 6.9 autolinks (extension).

/// Longest title that GitHub accepts, in characters; it refuses the whole issue or pull request beyond that.
const TITLE_LIMIT: usize = 256;

/// An invisible separator. GitHub looks for mentions, references and addresses after resolving Markdown escapes, so
/// only a character in between breaks them.
const JOINER: char = '\u{2060}';

/// Text that starts no block and contains no link, image, mention, reference, code or HTML.
pub fn text(foreign: &str) -> String {
    let mut safe = String::with_capacity(foreign.len());
    for character in plain(foreign).chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '[' | ']' | '|' | '~' => safe.extend(['\\', character]),
            _ => safe.push(character),
        }
    }
    safe
}

/// Text in a code span, where only the end of the span is special.
pub fn code(foreign: &str) -> String {
    let line = line(foreign).replace('`', "'");
    // Two adjacent backquotes would open a span.
    if line.is_empty() { "` `".to_owned() } else { format!("`{line}`") }
}

/// A title or commit message: one line that GitHub accepts, without mentions and without references that close issues.
pub fn title(foreign: &str) -> String {
    let plain = plain(foreign);
    if plain.chars().count() <= TITLE_LIMIT {
        return plain;
    }
    plain.chars().take(TITLE_LIMIT - 1).chain(['…']).collect()
}

/// Text on one line, without mentions (`@team`), references (`#1`, `GH-1`) and addresses.
fn plain(foreign: &str) -> String {
    let line = line(foreign);
    let mut safe = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        safe.push(character);
        let is_before_digit = characters.peek().is_some_and(char::is_ascii_digit);
        let is_gh = || {
            safe.len() >= 3 && safe.get(safe.len() - 3..).is_some_and(|end| end.eq_ignore_ascii_case("gh-"))
        };
        if character == '@' || (is_before_digit && (character == '#' || is_gh())) {
            safe.push(JOINER);
        }
    }
    safe.replace("://", ":\u{2060}//").replace("www.", "www\u{2060}.")
}

/// Text on one line, since a line break could begin a heading or entry, with hidden characters replaced.
fn line(foreign: &str) -> String {
    let is_break = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    let parts: Vec<_> = foreign.split(is_break).filter(|part| !part.is_empty()).collect();
    parts.join(" ").replace(is_hidden, "\u{fffd}")
}

/// Whether a character is invisible or reorders others: a text could then read as a different one.
pub(crate) fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_text_and_nothing_else() {
        for (foreign, safe) in [
            ("moveongs-dev-api", "moveongs-dev-api"),
            ("x\r\n## 2026 — proved\n", "x ## 2026 — proved"),
            ("x\u{2028}# y\u{85}z", "x # y z"),
            ("[now](https://evil.example)", "\\[now\\](https:\u{2060}//evil.example)"),
            ("![x](y) <img src=z>", "!\\[x\\](y) &lt;img src=z&gt;"),
            ("@team www.evil.example", "@\u{2060}team www\u{2060}.evil.example"),
            ("fixes #1, o/r#12, gh-3 and GH-", "fixes #\u{2060}1, o/r#\u{2060}12, gh-\u{2060}3 and GH-"),
            ("#x gh 1", "#x gh 1"),
            ("a\u{202e}b\u{2066}c\u{200b}d\u{e0041}", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}"),
            ("é@ção\0\u{1b}[31m", "é@\u{2060}ção \\[31m"),
            ("`*a*`", "\\`\\*a\\*\\`"),
        ] {
            assert_eq!(text(foreign), safe);
        }
        assert_eq!(code("a`b\n# c"), "`a'b # c`");
        assert_eq!(code("\n"), "` `");
        assert_eq!(code("a\u{202e}b"), "`a\u{fffd}b`");
    }

    #[test]
    fn a_title_is_one_line_that_github_takes() {
        for (foreign, safe) in [
            (
                "Rotacionar /moveongs/dev/db (dev) até 2026-03-01",
                "Rotacionar /moveongs/dev/db (dev) até 2026-03-01",
            ),
            ("a\n\nCloses #7 @team", "a Closes #\u{2060}7 @\u{2060}team"),
            ("a\u{202e}b", "a\u{fffd}b"),
            ("<b> & *", "<b> & *"),
        ] {
            assert_eq!(title(foreign), safe);
        }
        assert_eq!(title(&"ã".repeat(256)), "ã".repeat(256));
        assert_eq!(title(&"ã".repeat(257)), "ã".repeat(255) + "…");
    }
}
