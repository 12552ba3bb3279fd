//! HTTP/1.1 to the local cloud: one request per connection, no TLS, no redirects.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// An answer with any status.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request to `endpoint` (`http://host:port`) and reads the whole answer.
pub(crate) fn request(
    endpoint: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    limit: Duration,
) -> Result<Answer> {
    let host = endpoint.strip_prefix("http://").context("the endpoint does not start with http://")?;
    let host = host.trim_end_matches('/');
    let address = host.to_socket_addrs()?.next().with_context(|| format!("{host} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
        .with_context(|| format!("nothing listens on {host}"))?;
    stream.set_read_timeout(Some(limit))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).with_context(|| format!("no answer to {method} {path} from {host}"))?;
    parse(&all, method == "HEAD").with_context(|| format!("the answer to {method} {path} from {host}"))
}

/// An answer to HEAD has a body's headers, but no body.
fn parse(all: &[u8], head_only: bool) -> Result<Answer> {
    let split = all.windows(4).position(|window| window == b"\r\n\r\n").context("has no end of its head")?;
    let (head, rest) = all.split_at(split);
    let rest = rest.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).context("has a head that is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).context("has no status")?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let answer = Answer { status, headers, body: Vec::new() };
    if head_only {
        return Ok(answer);
    }
    let body =
        if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            dechunk(rest)?
        } else {
            rest.to_vec()
        };
    if let Some(length) = answer.header("content-length").and_then(|length| length.parse::<usize>().ok())
        && body.len() < length
    {
        bail!("ended after {} of {length} bytes", body.len());
    }
    Ok(Answer { body, ..answer })
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end =
            rest.windows(2).position(|window| window == b"\r\n").context("has a chunk without a size")?;
        let (size, after) = rest.split_at(end);
        let size = std::str::from_utf8(size)?.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("has a chunk without a size")?;
        if size == 0 {
            return Ok(body);
        }
        let after = after.get(2..).unwrap_or_default();
        body.extend_from_slice(after.get(..size).context("ended within a chunk")?);
        rest = after.get(size + 2..).context("ended behind a chunk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_answer() {
        let answer =
            parse(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-A:  b\r\n\r\nno", false).unwrap();
        assert_eq!((answer.status, answer.text().as_str(), answer.header("x-a")), (404, "no", Some("b")));
    }

    #[test]
    fn a_chunked_answer() {
        let answer = parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            false,
        );
        assert_eq!(answer.unwrap().text(), "abcde");
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    }

    #[test]
    fn an_answer_that_broke_off_is_an_error() {
        for cut in
            ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "nonsense\r\n\r\n"]
        {
            assert!(parse(cut.as_bytes(), false).is_err(), "{cut}");
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc";
        assert!(parse(chunked.as_bytes(), false).is_err());
    }
}
