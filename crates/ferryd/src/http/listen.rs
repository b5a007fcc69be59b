//! The doors: the Unix socket, and the loopback address where one is configured.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use axum::Router;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

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

/// Serves until the token is cancelled and the requests under way are answered.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve<L>(listener: L, router: Router, shutdown: CancellationToken) -> io::Result<()>
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}
