//! Base addresses of web APIs that receive a token.

use std::fmt;
use std::str::FromStr;

/// Base address of a web API without a trailing slash: `https`, or a stand-in on this machine.
#[derive(Clone, Debug)]
pub struct Endpoint(String);

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let local = url.strip_prefix("http://127.0.0.1:").is_some_and(|rest| {
            rest.split('/')
                .next()
                .is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
        });
        if url.starts_with("https://") || local {
            return Ok(Self(url.trim_end_matches('/').to_owned()));
        }
        Err("expected an https:// address: a token is sent there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_https_or_this_machine_only() {
        for good in ["https://slack.com/api", "http://127.0.0.1:8080/api", "http://127.0.0.1:8080"] {
            assert!(good.parse::<Endpoint>().is_ok(), "{good}");
        }
        for bad in [
            "http://slack.com/api",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1:80@evil.example/",
            "ftp://x",
            "",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
