//! The certificate authorities that database servers' certificates must come from.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// Amazon RDS's CAs of all commercial regions, as PEM; `certificates/README.md` has their provenance and limits.
pub const RDS: &[u8] = include_bytes!("../../certificates/rds-ca.pem");

/// Why a CA file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The file has no certificate. Without this error, every login would fail later for lack of roots.
    #[error("the CA file has no certificate; expected PEM: one or more `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// The PEM is broken.
    #[error("certificate {number} of the CA file is not well-formed PEM")]
    NotPem {
        /// Place among the file's certificates, from 1.
        number: usize,
        /// The PEM reader's error.
        source: pem::Error,
    },
    /// The PEM does not hold a certificate.
    #[error("certificate {number} of the CA file is PEM, but not an X.509 certificate")]
    NotX509 {
        /// Place among the file's certificates, from 1.
        number: usize,
        /// The certificate parser's error.
        source: rustls::Error,
    },
}

/// The trusted roots in a CA file.
///
/// `pem` is PEM text; lines between certificates are comments, and other kinds of sections are skipped. Validity
/// periods and signatures are not checked: TLS never checks them for a root.
///
/// # Errors
///
/// The first unreadable certificate, or [`CaError::NoCertificate`]. Broken certificates are never skipped: an
/// incomplete CA file would fail only when the server's certificate moves to another CA.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, CaError> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
        let certificate = certificate.map_err(|source| CaError::NotPem { number, source })?;
        roots.add(certificate).map_err(|source| CaError::NotX509 { number, source })?;
    }
    if roots.is_empty() {
        return Err(CaError::NoCertificate);
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first certificate of the shipped file, with its comment.
    fn one() -> String {
        let text = std::str::from_utf8(RDS).unwrap();
        let (first, _) = text.split_once("-----END CERTIFICATE-----").unwrap();
        format!("{first}-----END CERTIFICATE-----\n")
    }

    fn count(pem: &str) -> Result<usize, String> {
        roots(pem.as_bytes()).map(|roots| roots.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_operators_file_is_read_with_its_comments_and_line_ends() {
        let one = one();
        assert_eq!(count(&one), Ok(1));
        assert_eq!(count(&one.repeat(2)), Ok(2));
        assert_eq!(count(one.trim_end()), Ok(1), "no newline at the end");
        assert_eq!(count(&one.replace('\n', "\r\n")), Ok(1), "saved on Windows");
        assert_eq!(count(&format!("subject=CN = x\n\n{one}\nissued by nobody\n")), Ok(1));
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let expected =
            "the CA file has no certificate; expected PEM: one or more `-----BEGIN CERTIFICATE-----`";
        let key = one().replace("CERTIFICATE", "PRIVATE KEY");
        for pem in ["", "\n", "# a comment\n", "{\"not\": \"PEM\"}", &key] {
            assert_eq!(count(pem), Err(expected.into()), "{pem:.40}");
        }
        assert!(roots(b"\x30\x82\x01\x0a").is_err(), "DER");
    }

    #[test]
    fn a_broken_certificate_is_named_by_its_place() {
        let one = one();
        let cut = one.replace("-----END CERTIFICATE-----\n", "");
        let garbled = one.replacen("MII", "M*I", 1);
        let request = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n".to_owned();
        for (broken, reason) in [
            (&cut, "is not well-formed PEM"),
            (&garbled, "is not well-formed PEM"),
            (&request, "is PEM, but not an X.509 certificate"),
        ] {
            for (before, number) in [(String::new(), 1), (one.clone(), 2)] {
                let expected = format!("certificate {number} of the CA file {reason}");
                assert_eq!(count(&format!("{before}{broken}")), Err(expected));
            }
        }
    }
}
