//! A Lambda Runtime API for one process: hands out events and reports the process's polls and answers. Written by hand,
//! because the benchmark would also measure a server with its own async runtime.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};

use crate::run;

/// An action of the process.
#[derive(Debug)]
enum Act {
    /// It asks for the next event.
    Polled(Instant),
    Answered(Instant),
    Failed(String),
}

/// The Runtime API of one process.
pub(crate) struct RuntimeApi {
    /// Value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) address: String,
    events: Sender<String>,
    acts: Receiver<Act>,
    limit: Duration,
}

impl RuntimeApi {
    /// A Runtime API whose invocations may take up to `limit`.
    pub(crate) fn start(limit: Duration) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?.to_string();
        let (events, next) = channel();
        let (acts, done) = channel();
        let next = Arc::new(Mutex::new(next));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (next, acts) = (Arc::clone(&next), acts.clone());
                std::thread::spawn(move || serve(&stream, &next, &acts, limit));
            }
        });
        Ok(Self { address, events, acts: done, limit })
    }

    /// The instant at which the process asked for an event.
    pub(crate) fn polled(&self) -> Result<Instant> {
        match self.act()? {
            Act::Polled(at) => Ok(at),
            other => bail!("the function was expected to poll: {other:?}"),
        }
    }

    /// Sends the process an event and waits for its answer, which must not be an error.
    pub(crate) fn invoke(&self, event: &str) -> Result<Instant> {
        self.events.send(event.to_owned())?;
        match self.act()? {
            Act::Answered(at) => Ok(at),
            Act::Failed(error) => bail!("the function failed: {error}"),
            Act::Polled(_) => bail!("the function polled again without an answer"),
        }
    }

    fn act(&self) -> Result<Act> {
        let end = Instant::now() + self.limit;
        loop {
            run::check()?;
            match self.acts.recv_timeout(Duration::from_millis(100)) {
                Ok(act) => return Ok(act),
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => {}
                Err(_) => bail!("the function did nothing for {} s", self.limit.as_secs()),
            }
        }
    }
}

/// Serves one connection until the process closes it.
fn serve(
    stream: &TcpStream,
    events: &Mutex<Receiver<String>>,
    acts: &Sender<Act>,
    limit: Duration,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (line, body) = read_request(&mut reader)?;
        let at = Instant::now();
        let (head, answer) = if line.contains("/runtime/invocation/next") {
            acts.send(Act::Polled(at)).ok()?;
            let event = events.lock().ok()?.recv().ok()?;
            (format!("HTTP/1.1 200 OK\r\n{}", event_headers(limit)), event)
        } else {
            let act = if line.contains("/response ") {
                Act::Answered(at)
            } else {
                Act::Failed(String::from_utf8_lossy(&body).into_owned())
            };
            acts.send(act).ok()?;
            ("HTTP/1.1 202 Accepted\r\n".to_owned(), r#"{"status":"OK"}"#.to_owned())
        };
        let length = answer.len();
        let all = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}");
        let mut writer = stream;
        writer.write_all(all.as_bytes()).ok()?;
    }
}

fn event_headers(limit: Duration) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let deadline = (now + limit).as_millis();
    format!(
        "Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-{:012x}\r\n\
         Lambda-Runtime-Deadline-Ms: {deadline}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n",
        now.as_nanos() & 0xffff_ffff_ffff
    )
}

/// The request line and the body; none at the end of the stream.
pub(crate) fn read_request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if first.is_empty() {
            line.clone_into(&mut first);
        } else if let Some((name, value)) = line.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
    }
    let mut body = Vec::new();
    if !chunked {
        reader.take(length).read_to_end(&mut body).ok()?;
        return Some((first, body));
    }
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = u64::from_str_radix(size.trim(), 16).ok()?;
        reader.by_ref().take(size).read_to_end(&mut body).ok()?;
        reader.read_line(&mut String::new()).ok()?;
        if size == 0 {
            return Some((first, body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_with_and_without_chunks() {
        let text = b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiPOST /b HTTP/1.1\r\n\
            Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /c HTTP/1.1\r\n\r\n";
        let mut reader = BufReader::new(&text[..]);
        assert_eq!(read_request(&mut reader).unwrap(), ("POST /a HTTP/1.1".into(), b"hi".to_vec()));
        assert_eq!(read_request(&mut reader).unwrap(), ("POST /b HTTP/1.1".into(), b"abc".to_vec()));
        assert_eq!(read_request(&mut reader).unwrap(), ("GET /c HTTP/1.1".into(), Vec::new()));
        assert!(read_request(&mut reader).is_none());
    }

    #[test]
    fn an_event_is_polled_and_answered() {
        let api = RuntimeApi::start(Duration::from_secs(30)).unwrap();
        let mut process = TcpStream::connect(&api.address).unwrap();
        process.write_all(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n").unwrap();
        api.polled().unwrap();
        process.write_all(b"POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\n\r\n").unwrap();
        api.invoke(r#"{"an": "event"}"#).unwrap();
        process.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answers = String::new();
        process.read_to_string(&mut answers).unwrap();
        assert!(answers.contains("Lambda-Runtime-Deadline-Ms"), "{answers}");
        assert!(answers.contains(r#"{"an": "event"}HTTP/1.1 202"#), "{answers}");
    }
}
