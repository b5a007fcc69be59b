//! The doors: the Unix socket, and the loopback address where one is configured.
//!
//! Connections are accepted here and not by axum, which waits for a request as long as a client likes, for any number of clients.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Who may use the socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;
/// The socket's directory, where it was not there: the socket's own mode decides.
const DIRECTORY_MODE: u32 = 0o755;

/// Why a door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens on the socket.
    #[error("another process listens on {}", .0.display())]
    InUse(PathBuf),
    /// Something else than a socket is in the way; it is not removed.
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot listen on {what}")]
    Io {
        /// The socket or address.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Listens on a Unix socket. One that a dead process left is removed first; one that somebody listens on never.
///
/// # Errors
/// See [`ListenError`].
pub async fn unix(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |source| ListenError::Io { what: path.display().to_string(), source };
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        std::fs::create_dir_all(parent).map_err(failed)?;
        std::fs::set_permissions(parent, Permissions::from_mode(DIRECTORY_MODE)).map_err(failed)?;
    }
    remove_stale(path).await?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Until here, the process's umask kept everybody else out.
    std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(listener)
}

async fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Io { what: path.display().to_string(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(ListenError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "removing the socket that an earlier run left");
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Listens on an address of this machine.
///
/// # Errors
/// [`ListenError::Io`].
pub async fn tcp(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError::Io { what: address.to_string(), source })
}

/// What a door takes at once, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that are open at once; who comes beyond that waits outside, until one of them ends.
    pub connections: u32,
    /// How long a client may take to send the head of a request, also of the next one on a connection that stays open.
    pub head: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // Of both doors together far fewer than the files that `docs/ferryd.service` lets be open.
        Self { connections: 512, head: Duration::from_secs(30) }
    }
}

/// Serves until the token is cancelled and the requests under way are answered.
///
/// # Errors
/// None for now: what a listener cannot accept is tried again.
pub async fn serve<L: Listener>(listener: L, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    serve_within(Limits::default(), listener, router, shutdown).await
}

/// The same within other limits.
///
/// # Errors
/// As [`serve`].
pub async fn serve_within<L: Listener>(
    limits: Limits,
    mut listener: L,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let open =
        Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(Semaphore::MAX_PERMITS)));
    // Once, and not for every request.
    let router = router.with_state(());
    let next = async |listener: &mut L| {
        // Before it is accepted: what waits in the system's queue costs no file.
        let place = open.clone().acquire_owned().await.map_err(io::Error::other)?;
        io::Result::Ok((place, listener.accept().await.0))
    };
    loop {
        let (place, stream) = tokio::select! {
            next = next(&mut listener) => next?,
            () = shutdown.cancelled() => break,
        };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        tokio::spawn(async move {
            let _place = place;
            converse(stream, router, limits.head, shutdown).await;
        });
    }
    drop(listener);
    // Every connection has ended when all places are free.
    open.acquire_many(limits.connections).await.map(drop).map_err(io::Error::other)
}

/// Answers the requests of one connection, after the token is cancelled only the one under way.
async fn converse<S>(stream: S, router: Router, head: Duration, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(
        router.map_request(|request: hyper::Request<Incoming>| request.map(Body::new)),
    );
    // Without a timer hyper waits for ever.
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut conversation = pin!(conversation);
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        () = shutdown.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        // The client's: it went, was too slow, or spoke no HTTP.
        tracing::debug!(%error, "a connection was broken off");
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::WebSocketUpgrade;
    use axum::routing::get;
    use futures_util::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: ferry\r\n\r\n";

    /// A door that is open until the token is cancelled.
    async fn door(limits: Limits) -> (tempfile::TempDir, CancellationToken, JoinHandle<io::Result<()>>) {
        let upgraded = async |upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async |mut socket| drop(socket.send("here".into()).await))
        };
        let router = Router::new().route("/", get(async || "here")).route("/line", get(upgraded));
        let dir = tempfile::tempdir().unwrap();
        let listener = unix(&dir.path().join("door")).await.unwrap();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve_within(limits, listener, router, shutdown.clone()));
        (dir, shutdown, serving)
    }

    async fn connect(dir: &tempfile::TempDir) -> UnixStream {
        UnixStream::connect(dir.path().join("door")).await.unwrap()
    }

    async fn answered(stream: &mut UnixStream) {
        let mut answer = String::new();
        while !answer.ends_with("here") {
            answer.push(char::from(stream.read_u8().await.unwrap()));
        }
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }

    // Here the clock stands, and goes on when everybody waits for it.
    #[tokio::test(start_paused = true)]
    async fn who_does_not_send_a_request_is_cut_off() {
        let (dir, shutdown, serving) = door(Limits::default()).await;
        for sent in [&b""[..], b"GET / HTTP/1.1\r\nHost: fer"] {
            let mut slow = connect(&dir).await;
            slow.write_all(sent).await.unwrap();
            assert!(timeout(HOUR, slow.read_to_end(&mut Vec::new())).await.is_ok(), "{sent:?}");
        }
        let mut idle = connect(&dir).await;
        idle.write_all(REQUEST).await.unwrap();
        answered(&mut idle).await;
        assert_eq!(timeout(HOUR, idle.read_to_end(&mut Vec::new())).await.unwrap().unwrap(), 0);
        shutdown.cancel();
        serving.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_all_places_are_taken_waits_outside() {
        let (dir, shutdown, serving) = door(Limits { connections: 1, head: HOUR }).await;
        let mut first = connect(&dir).await;
        first.write_all(REQUEST).await.unwrap();
        answered(&mut first).await;
        let mut second = connect(&dir).await;
        second.write_all(REQUEST).await.unwrap();
        assert!(timeout(HOUR / 2, second.readable()).await.is_err());
        drop(first);
        answered(&mut second).await;
        shutdown.cancel();
        serving.await.unwrap().unwrap();
        assert_eq!(second.read(&mut [0]).await.unwrap(), 0, "an idle connection is closed at the end");
    }

    #[tokio::test]
    async fn a_line_can_be_made_of_a_connection() {
        let (dir, _shutdown, _serving) = door(Limits::default()).await;
        let stream = connect(&dir).await;
        let (mut line, _) = tokio_tungstenite::client_async("ws://ferry/line", stream).await.unwrap();
        assert_eq!(line.next().await.unwrap().unwrap().into_text().unwrap(), "here");
    }
}
