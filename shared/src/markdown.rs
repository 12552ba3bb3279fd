//! Foreign text in Markdown: names, tags, and what other services answer.
//!
//! Source: [GitHub Flavored Markdown](https://github.github.com/gfm/), 2.3 insecure characters, 6.1 backslash escapes,
//! 6.9 autolinks (extension).

/// Text that begins no block, and holds no link, image, mention, code or HTML.
pub fn text(foreign: &str) -> String {
    let mut safe = String::with_capacity(foreign.len());
    for character in line(foreign).chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '[' | ']' | '|' | '~' => safe.extend(['\\', character]),
            // A mention is found after the escapes are gone, so one needs a character between.
            '@' => safe.push_str("@\u{2060}"),
            _ => safe.push(character),
        }
    }
    // So are addresses.
    safe.replace("://", ":\u{2060}//").replace("www.", "www\u{2060}.")
}

/// Text in a code span, where nothing is Markdown but the end of the span.
pub fn code(foreign: &str) -> String {
    format!("`{}`", line(foreign).replace('`', "'"))
}

/// In one line: a line break would begin a heading or an entry of its own.
fn line(foreign: &str) -> String {
    let is_break = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    foreign.split(is_break).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
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
            ("`*a*`", "\\`\\*a\\*\\`"),
        ] {
            assert_eq!(text(foreign), safe);
        }
        assert_eq!(code("a`b\n# c"), "`a'b # c`");
    }
}
