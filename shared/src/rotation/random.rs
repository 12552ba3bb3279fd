//! Makes and recognises random values by a rule of the policy. Nothing here is printable, and buffers are wiped.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::RotationError;
use crate::policy::{Encoding, Generator};

/// Checks length and characters of a value against the rule.
///
/// # Errors
///
/// [`RotationError::PendingRejected`] with the difference, never the value.
pub fn made_by(generator: &Generator, value: &str) -> Result<(), RotationError> {
    let (found, expected) = (value.chars().count(), generator.text_length());
    if found != expected {
        return Err(rejected(format!("{found} characters, expected {expected}")));
    }
    let is_valid = match generator {
        Generator::Bytes { bytes, encoding } => {
            let decoded = match encoding {
                Encoding::Base64 => STANDARD.decode(value).ok(),
                Encoding::Base64url => URL_SAFE_NO_PAD.decode(value).ok(),
                Encoding::Hex => value
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                    .then(|| vec![0; value.len() / 2]),
            };
            decoded.map(Zeroizing::new).is_some_and(|decoded| decoded.len() == usize::from(*bytes))
        }
        Generator::Characters { alphabet, .. } => value.chars().all(|c| alphabet.contains(c)),
    };
    if is_valid { Ok(()) } else { Err(rejected("characters that the rule does not produce")) }
}

/// Makes a value by the rule, from the operating system's random generator.
///
/// # Errors
///
/// [`RotationError::NoRandomness`].
pub fn generate(generator: &Generator) -> Result<SecretString, RotationError> {
    let text = match generator {
        Generator::Bytes { bytes, encoding } => {
            let mut random = Zeroizing::new(vec![0; usize::from(*bytes)]);
            fill(&mut random)?;
            match encoding {
                Encoding::Base64 => STANDARD.encode(&*random),
                Encoding::Base64url => URL_SAFE_NO_PAD.encode(&*random),
                Encoding::Hex => {
                    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
                    let mut text = String::with_capacity(random.len() * 2);
                    text.extend(random.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
                    text
                }
            }
        }
        Generator::Characters { length, alphabet } => {
            let alphabet = alphabet.as_bytes();
            // Bytes at or above the largest multiple of the alphabet's size would make its first characters more
            // likely.
            let even = 256 - 256 % alphabet.len().max(1);
            let mut text = String::with_capacity(usize::from(*length));
            let mut random = Zeroizing::new([0; 256]);
            while text.len() < usize::from(*length) {
                fill(&mut *random)?;
                let fair = random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < even);
                let chosen =
                    fair.filter_map(|byte| alphabet.get(byte % alphabet.len()).map(|b| char::from(*b)));
                text.extend(chosen.take(usize::from(*length) - text.len()));
            }
            text
        }
    };
    Ok(SecretString::from(text))
}

fn fill(buffer: &mut [u8]) -> Result<(), RotationError> {
    getrandom::fill(buffer).map_err(|_| RotationError::NoRandomness)
}

fn rejected(reason: impl Into<String>) -> RotationError {
    RotationError::PendingRejected { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn every_character_of_an_alphabet_is_as_likely() {
        // 90 does not divide 256: a plain remainder would make the first 76 characters 1.5 times as likely.
        let alphabet: String = (' '..='~').take(90).collect();
        let generator = Generator::Characters { length: 4096, alphabet: alphabet.clone() };
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..20 {
            for c in generate(&generator).unwrap().expose_secret().chars() {
                *counts.entry(c).or_insert(0_u32) += 1;
            }
        }
        // 81,920 draws: 910 each, with a standard deviation of 30. Seven deviations do not happen by chance.
        assert_eq!(counts.len(), alphabet.len());
        assert!(counts.values().all(|count| (700..1120).contains(count)), "{counts:?}");
    }
}
