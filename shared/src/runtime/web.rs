//! HTTP requests to web services: no redirects, with time and size limits.

use std::time::Duration;

use reqwest::{Client, Response};

use crate::runtime::failure::chain;

/// Longest body that is read, in bytes: an endless one would exhaust the memory, and the time left for evidence.
const MOST: usize = 4 * 1024 * 1024;

/// Why a response body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke, or the body did not end in time.
    #[error("{0}")]
    Broken(String),
    /// Longer than any documented response of the service.
    #[error("the answer is longer than {most} bytes")]
    TooLong {
        /// The size limit, in bytes.
        most: usize,
    },
}

/// A client with a timeout of `patience` for a whole response, including its body.
///
/// # Errors
///
/// The reason why the client could not be built.
pub fn client(patience: Duration) -> Result<Client, String> {
    // A redirect could send a token, or posted data, to an address that is not configured.
    let http = Client::builder().timeout(patience).redirect(reqwest::redirect::Policy::none());
    http.build().map_err(|error| chain(&error))
}

/// A response's whole body.
///
/// # Errors
///
/// [`BodyError`].
pub async fn body(answer: Response) -> Result<Vec<u8>, BodyError> {
    let (body, is_whole) = beginning(answer, MOST).await?;
    if is_whole { Ok(body) } else { Err(BodyError::TooLong { most: MOST }) }
}

/// At most `most` bytes of a body, and whether they are all of it.
///
/// # Errors
///
/// [`BodyError::Broken`].
pub async fn beginning(mut answer: Response, most: usize) -> Result<(Vec<u8>, bool), BodyError> {
    let broken = |error: reqwest::Error| BodyError::Broken(chain(&error.without_url()));
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(broken)? {
        let room = most - body.len();
        body.extend_from_slice(part.get(..room).unwrap_or(&part));
        if part.len() > room {
            return Ok((body, false));
        }
    }
    Ok((body, true))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// The address of a server that answers one request with `head`, then repeats `part` until the client disconnects.
    async fn server(head: String, part: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            while !part.is_empty() && stream.write_all(part).await.is_ok() {}
        });
        address
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let head =
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n";
        let address = server(head.to_owned(), b"").await;
        let answer = client(PATIENCE).unwrap().post(address).bearer_auth("token").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 307);
        assert_eq!(body(answer).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_left() {
        let endless = "HTTP/1.1 200 OK\r\n\r\n";
        let address = server(endless.to_owned(), &[b'x'; 65_536]).await;
        let answer = client(PATIENCE).unwrap().get(address).send().await.unwrap();
        let error = body(answer).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLong { most: MOST }), "{error}");
        let address = server(endless.to_owned(), &[b'x'; 65_536]).await;
        let answer = client(PATIENCE).unwrap().get(address).send().await.unwrap();
        let (text, is_whole) = beginning(answer, 100).await.unwrap();
        assert_eq!((text.len(), is_whole), (100, false));
    }

    #[tokio::test]
    async fn a_body_that_stops_is_not_waited_for_longer_than_the_patience() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let held = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            stream
        });
        let answer = client(Duration::from_millis(300)).unwrap().get(address).send().await.unwrap();
        assert!(matches!(body(answer).await, Err(BodyError::Broken(_))));
        drop(held);
    }
}
