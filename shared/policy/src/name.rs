//! Names of people, as people type them.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Returns true if two names are one person's, as far as names show. Case, blanks, a leading `@`, characters that Unicode says
/// are not shown, and the form of Unicode, in which a letter and its accent are one character or two, make no difference. All
/// names of which nothing is left without these are one, and not the empty name.
pub fn is_same_name(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(name: &str) -> String {
    let seen = name.chars().filter(|character| !is_hidden(*character));
    let plain: String = seen.flat_map(char::to_lowercase).nfc().collect();
    let plain = plain.trim().trim_start_matches('@').split_whitespace().collect::<Vec<_>>().join(" ");
    // Not the empty name, which is nobody's.
    if plain.is_empty() && !name.trim().is_empty() { "@".to_owned() } else { plain }
}

/// Whether a character is one of Unicode's `Default_Ignorable_Code_Point`, or formats others.
fn is_hidden(character: char) -> bool {
    // The marks, letters and reserved ones are in no category of their own.
    let is_ignorable = matches!(
        character,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2065}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    is_ignorable || character.general_category() == GeneralCategory::Format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_however_they_were_typed() {
        for (one, other, expected) in [
            ("Bia Lima", " bia  LIMA ", true),
            ("@bia", "Bia", true),
            ("Ângela", "ângela", true),
            ("José", "Jose\u{301}", true),
            ("Ângela", "A\u{302}NGELA", true),
            ("Bia\u{200b} Lima\u{feff}", "Bia Lima", true),
            ("Bia\u{fe0f} L\u{34f}ima\u{3164}", "Bia Lima", true),
            ("Bia\u{a0}Lima", "Bia Lima", true),
            ("José", "Jose", false),
            ("Bia Lima", "Bia", false),
            ("Bia Lima", "Ana Lima", false),
            ("", "Bia", false),
            ("", "@", false),
            ("", "\u{200b}", false),
            ("", "\u{fe0f}", false),
            ("@", "@", true),
            (" @", "\u{200b}", true),
        ] {
            assert_eq!(is_same_name(one, other), expected, "{one} {other}");
        }
    }
}
