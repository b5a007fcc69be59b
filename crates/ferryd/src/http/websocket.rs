//! A line carried over a WebSocket: binary messages, as the bytes come.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::libvirt::console::Line;

/// No message of a client's is larger: what is pasted at once.
pub(super) const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// How long a client may take to take a message: what the guest says meanwhile waits in memory.
const TAKES_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take to take the last one.
const BYE_WITHIN: Duration = Duration::from_secs(1);

/// Carries bytes both ways until either side ends, or `shutdown`.
pub(super) async fn carry(socket: WebSocket, line: Line, shutdown: CancellationToken) {
    let (mut out, mut inward) = socket.split();
    let Line { mut from, to } = line;
    let typed = async {
        while let Some(Ok(message)) = inward.next().await {
            let bytes = match message {
                Message::Binary(bytes) => Vec::from(bytes),
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Ping(_) | Message::Pong(_) => continue,
                Message::Close(_) => break,
            };
            if to.send(bytes).await.is_err() {
                break;
            }
        }
    };
    let said = async {
        while let Some(bytes) = from.recv().await {
            let sent = timeout(TAKES_WITHIN, out.send(Message::Binary(bytes.into()))).await;
            if !matches!(sent, Ok(Ok(()))) {
                break;
            }
        }
    };
    let code = tokio::select! {
        () = typed => close_code::NORMAL,
        () = said => close_code::NORMAL,
        () = shutdown.cancelled() => close_code::AWAY,
    };
    let bye = Message::Close(Some(CloseFrame { code, reason: "".into() }));
    // The client may be gone already.
    let _ = timeout(BYE_WITHIN, out.send(bye)).await;
}
