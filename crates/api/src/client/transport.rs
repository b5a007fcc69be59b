//! One HTTP/1.1 exchange per connection. Connecting to a local socket costs less than keeping connections would.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::address::Address;
use super::error::ClientError;

/// An answer whose body can be read as it comes. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Answer {
    /// Status, headers and body.
    pub(super) response: Response<Incoming>,
    // Kept until the body was read: when it goes, hyper sees no use in the connection any more.
    _sender: SendRequest<Full<Bytes>>,
    _driver: Driver,
}

/// The task that moves the bytes of a connection; ends with its owner.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects, sends a request and waits for the head of the answer. Has no time limit of its own.
///
/// # Errors
/// [`ClientError::Unreachable`] or [`ClientError::Broken`].
pub(super) async fn send(address: &Address, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
    let unreachable = |source| ClientError::Unreachable { address: address.clone(), source };
    match address {
        Address::Unix(path) => {
            exchange(address, UnixStream::connect(path).await.map_err(unreachable)?, request).await
        }
        Address::Http { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
            stream.set_nodelay(true).map_err(unreachable)?;
            exchange(address, stream, request).await
        }
    }
}

async fn exchange<S>(
    address: &Address,
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Answer, ClientError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken =
        |source: hyper::Error| ClientError::Broken { address: address.clone(), source: source.into() };
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // A failure of the connection also reaches whoever waits for the answer or its body; here it would say nothing new.
    let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok(Answer { response, _sender: sender, _driver: driver })
}
