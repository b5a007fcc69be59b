//! The one time that a password is used: to put Ferry's public key where later logins find it.
//!
//! The password goes from the caller's memory into the encrypted connection, to a host whose key the caller has named,
//! and nowhere else: no command line, file, environment or log sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::{ChannelMsg, Disconnect, Error, MethodKind, MethodSet};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::endpoint::{Endpoint, ReachError};
use super::hostkey::{Look, algorithms, config, taken};
use super::keys::PublicLine;
use super::scripts;

/// How many rounds of questions a host may ask.
const MAX_ROUNDS: usize = 5;
/// Most bytes of a host's complaint that are kept.
const MAX_COMPLAINT: usize = 4 << 10;

/// A secret that shows in no log and is overwritten when it is dropped. Copies that the protocol makes to send it are
/// not in our hands.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over; its memory is the one that is overwritten later.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for what it has to be handed to.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}

/// Why the key could not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The host could not be reached.
    #[error(transparent)]
    Unreachable(#[from] ReachError),
    /// The host shows another key than the one named; the password was not sent.
    #[error("the host's key has the fingerprint {shown}, not {expected}; the password was not sent")]
    HostKeyMismatch {
        /// The fingerprint that was named.
        expected: String,
        /// The fingerprint of the key that the host shows.
        shown: String,
    },
    /// The password is wrong, or this user may not log in with one (for root that is the default of many systems, and the
    /// host does not tell which it is).
    #[error("the host does not accept the password, or does not let this user log in with one")]
    WrongPassword,
    /// The host takes no passwords, or asks for more than one.
    #[error("the host does not accept a password alone; it offers: {offered}")]
    PasswordLoginNotAllowed {
        /// What it offers.
        offered: String,
    },
    /// The login worked, but the key could not be written.
    #[error("the key could not be written on the host (exit code {status:?}): {stderr}")]
    Remote {
        /// The exit code, if one came.
        status: Option<u32>,
        /// What the host said.
        stderr: String,
    },
}

/// Logs in with a password, once, and lets `key` log in from then on. The host must show the key with the fingerprint
/// `expected`. Doing it again changes nothing.
///
/// # Errors
/// Any [`LoginError`].
pub async fn install_key(
    endpoint: &Endpoint,
    password: &Secret,
    expected: &str,
    key: &PublicLine,
    limit: Duration,
) -> Result<(), LoginError> {
    let install = install(endpoint, password, expected, key);
    timeout(limit, install).await.unwrap_or(Err(ReachError::TimedOut(limit).into()))
}

async fn install(
    endpoint: &Endpoint,
    password: &Secret,
    expected: &str,
    key: &PublicLine,
) -> Result<(), LoginError> {
    let seen = Arc::default();
    let (stream, way) = endpoint.open().await?;
    let look = Look { expected: Some(expected.to_owned()), seen: Arc::clone(&seen) };
    let mut handle = match client::connect_stream(config(algorithms()), stream, look).await {
        Ok(handle) => handle,
        Err(error) => match taken(&seen).filter(|key| !key.has_fingerprint(expected)) {
            Some(key) => {
                let (expected, shown) = (expected.to_owned(), key.fingerprint().to_owned());
                return Err(LoginError::HostKeyMismatch { expected, shown });
            }
            None => return Err(way.error(&error).await.into()),
        },
    };
    authenticate(&mut handle, endpoint.user(), password).await?;
    let result = run(&handle, &scripts::authorize(key)).await.map_err(protocol)?;
    // Said out of politeness; the work is done.
    let _ = handle.disconnect(Disconnect::ByApplication, "", "").await;
    drop(way);
    result
}

fn protocol(error: Error) -> LoginError {
    ReachError::Protocol(error.to_string()).into()
}

async fn authenticate(handle: &mut Handle<Look>, user: &str, password: &Secret) -> Result<(), LoginError> {
    let offered = match handle.authenticate_none(user).await.map_err(protocol)? {
        AuthResult::Success => return Ok(()),
        AuthResult::Failure { remaining_methods, .. } => remaining_methods,
    };
    if offered.contains(&MethodKind::Password) {
        let answer = handle.authenticate_password(user, password.reveal()).await.map_err(protocol)?;
        return match answer {
            AuthResult::Success => Ok(()),
            AuthResult::Failure { partial_success: false, .. } => Err(LoginError::WrongPassword),
            AuthResult::Failure { remaining_methods, .. } => Err(not_allowed(&remaining_methods)),
        };
    }
    if offered.contains(&MethodKind::KeyboardInteractive) {
        return converse(handle, user, password).await;
    }
    Err(not_allowed(&offered))
}

/// Answers the one question for a password, in the way of hosts that ask instead of taking one.
async fn converse(handle: &mut Handle<Look>, user: &str, password: &Secret) -> Result<(), LoginError> {
    use KeyboardInteractiveAuthResponse as Answer;
    let mut answer = handle.authenticate_keyboard_interactive_start(user, None).await.map_err(protocol)?;
    let mut told = false;
    for _ in 0..MAX_ROUNDS {
        let prompts = match answer {
            Answer::Success => return Ok(()),
            Answer::Failure { partial_success: false, .. } if told => return Err(LoginError::WrongPassword),
            Answer::Failure { remaining_methods, .. } => return Err(not_allowed(&remaining_methods)),
            Answer::InfoRequest { prompts, .. } => prompts,
        };
        let replies = match prompts.as_slice() {
            [] => Vec::new(),
            [Prompt { echo: false, .. }] if !told => vec![password.reveal().to_owned()],
            // Asked again for the same: it was wrong. Anything else is a question that we have no answer to.
            [Prompt { echo: false, .. }] => return Err(LoginError::WrongPassword),
            _ => return Err(LoginError::PasswordLoginNotAllowed { offered: "several questions".to_owned() }),
        };
        told |= !replies.is_empty();
        answer = handle.authenticate_keyboard_interactive_respond(replies).await.map_err(protocol)?;
    }
    Err(LoginError::PasswordLoginNotAllowed { offered: "too many questions".to_owned() })
}

fn not_allowed(methods: &MethodSet) -> LoginError {
    let names: Vec<&str> = methods.iter().map(Into::into).collect();
    LoginError::PasswordLoginNotAllowed { offered: names.join(", ") }
}

/// Runs a script on the connection; the outer error is the protocol's.
async fn run(handle: &Handle<Look>, script: &str) -> Result<Result<(), LoginError>, Error> {
    let mut channel = handle.channel_open_session().await?;
    channel.exec(true, "exec sh -s").await?;
    channel.data_bytes(format!("{{ :\n{script}\n}} </dev/null\n").into_bytes()).await?;
    channel.eof().await?;
    let (mut status, mut complaint) = (None, Vec::new());
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => {
                let room = MAX_COMPLAINT.saturating_sub(complaint.len()).min(data.len());
                complaint.extend_from_slice(data.get(..room).unwrap_or_default());
            }
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            _ => {}
        }
    }
    let stderr = String::from_utf8_lossy(&complaint).trim().to_owned();
    Ok(if status == Some(0) { Ok(()) } else { Err(LoginError::Remote { status, stderr }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
