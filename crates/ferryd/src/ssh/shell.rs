//! Where commands of a registered host run: here, or there through OpenSSH.
//!
//! Three ways to run a script, dearest to cheapest per command: [`Shell::run`] starts a shell for one script,
//! [`Session`](super::session::Session) keeps one for many, [`Shell::spawn_lines`] follows what a long one prints.
//! Every script is `sh`, gets its text on standard input, and is bounded in time by its caller.

use crate::model::HostName;
use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::child::{OwnedChild, Streams};
use super::classify::{ConnectFailure, classify};
use super::keys::SshDir;
use super::lines::LineStream;
use super::live::{Errors, Live};
use super::uri::{LibvirtUri, Transport};
use super::wrapper::COMPRESSED;

/// What is run on the other side. `exec` saves the login shell's process; every login shell understands it.
const REMOTE: &str = "exec sh -s";

/// Why a script did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The host could not be reached or did not let Ferry in. Nothing ran.
    #[error("{failure}: {text}")]
    Connect {
        /// The kind of failure.
        failure: ConnectFailure,
        /// What ssh said.
        text: String,
    },
    /// The host let Ferry in, but gave it no shell. Nothing ran.
    #[error("the login gives no shell: {0}")]
    NoShell(String),
    /// The caller's time limit passed. Whether the script ran is not known.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The connection or the shell ended while the script ran, or the script is no valid shell program. How far it came
    /// is not known.
    #[error("the connection broke while a command ran: {0}")]
    Lost(String),
    /// The script printed more than a megabyte, or a line of more than 64 KiB.
    #[error("a command printed more than is accepted")]
    TooMuchOutput,
    /// ssh or sh could not be started, or a pipe to it failed.
    #[error("ssh or sh could not be started: {0}")]
    Start(#[from] io::Error),
}

impl ShellError {
    /// The kind of connection failure that this is or amounts to.
    pub fn failure(&self) -> ConnectFailure {
        match self {
            Self::Connect { failure, .. } => *failure,
            Self::NoShell(_) => ConnectFailure::Denied,
            Self::TimedOut(_) => ConnectFailure::TimedOut,
            Self::Lost(_) | Self::TooMuchOutput | Self::Start(_) => ConnectFailure::Other,
        }
    }
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit code.
    pub status: i32,
    /// What it printed; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// What it printed on standard error (empty from a [`Session`](super::session::Session), which folds it into
    /// `stdout`).
    pub stderr: String,
}

impl Output {
    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }
}

/// Where commands run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shell {
    program: &'static str,
    arguments: Vec<String>,
}

impl Shell {
    /// Commands run on this machine, as the user that runs this.
    pub fn local() -> Self {
        Self { program: "sh", arguments: vec!["-s".to_owned()] }
    }

    /// Commands run on a registered host, if its URI says how: through ssh or on this machine. None for TLS and TCP,
    /// which carry libvirt and nothing else.
    pub fn for_host(dir: &SshDir, host: &HostName, uri: &LibvirtUri) -> Option<Self> {
        match uri.transport() {
            Transport::Local => Some(Self::local()),
            Transport::Ssh(target) => {
                let mut arguments = dir.options(host);
                arguments.extend(["-o", COMPRESSED, "-T"].map(str::to_owned));
                arguments.extend(target.arguments());
                arguments.push(REMOTE.to_owned());
                Some(Self { program: "ssh", arguments })
            }
            Transport::Tls { .. } | Transport::Tcp { .. } => None,
        }
    }

    /// Whether commands run on this machine.
    pub fn is_local(&self) -> bool {
        self.program == "sh"
    }

    /// Runs one script and waits for its end, all within `limit`. Its standard input is empty.
    ///
    /// # Errors
    /// Any [`ShellError`]; a script that ran and failed is no error but an [`Output`] with its exit code.
    pub async fn run(&self, script: &str, limit: Duration) -> Result<Output, ShellError> {
        let run = async {
            let mut live = Live::start(self).await?;
            match live.exchange(script, Errors::Apart).await {
                Ok(output) => Ok(Output { stderr: live.close().await, ..output }),
                Err(broken) => Err(live.error(broken).await),
            }
        };
        timeout(limit, run).await.unwrap_or(Err(ShellError::TimedOut(limit)))
    }

    /// Starts a script whose output is read line by line while it runs. Returns when the host has let us in and the
    /// script was sent, which must be within `limit`. The script's standard input ends when the [`LineStream`] is
    /// dropped: the script must end then, by itself or by means of [`super::scripts::until_end_of_input`].
    ///
    /// # Errors
    /// Any [`ShellError`].
    pub async fn spawn_lines(&self, script: &str, limit: Duration) -> Result<LineStream, ShellError> {
        timeout(limit, LineStream::open(self, script)).await.unwrap_or(Err(ShellError::TimedOut(limit)))
    }

    /// Starts the shell.
    pub(super) fn start(&self) -> io::Result<(OwnedChild, Streams)> {
        OwnedChild::start(self.program, &self.arguments)
    }

    /// The error for a shell that ended before it answered.
    pub(super) fn refused(&self, status: Option<i32>, text: String) -> ShellError {
        // 255 is ssh's own status for "could not get there". A login shell that is missing or refuses ends otherwise.
        if self.is_local() || status.is_some_and(|status| status != 255) {
            return ShellError::NoShell(text);
        }
        ShellError::Connect { failure: classify(&text), text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_script_runs_here() {
        let output = Shell::local()
            .run("echo out; echo err >&2; printf 'no newline'; exit 7", LIMIT)
            .await
            .expect("run");
        assert_eq!(
            output,
            Output { status: 7, stdout: "out\nno newline".to_owned(), stderr: "err\n".to_owned() }
        );
        let silent = Shell::local().run("", LIMIT).await.expect("run");
        assert_eq!(silent, Output { status: 0, stdout: String::new(), stderr: String::new() });
    }

    #[tokio::test]
    async fn a_script_does_not_eat_its_own_text() {
        let output = Shell::local().run("cat\necho after", LIMIT).await.expect("run");
        assert_eq!((output.status, output.stdout.as_str()), (0, "after\n"));
    }

    #[tokio::test]
    async fn a_slow_script_is_ended_in_time() {
        let limit = Duration::from_millis(50);
        let result = Shell::local().run("exec sleep 1000", limit).await;
        assert!(matches!(result, Err(ShellError::TimedOut(l)) if l == limit), "{result:?}");
    }

    #[tokio::test]
    async fn a_flood_is_refused() {
        let result = Shell::local().run("exec cat /dev/zero", LIMIT).await;
        assert!(matches!(result, Err(ShellError::TooMuchOutput)), "{result:?}");
    }

    #[tokio::test]
    async fn a_broken_script_runs_nothing_of_itself() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mark = dir.path().join("mark");
        let result = Shell::local().run(&format!("touch {}\nif", mark.display()), LIMIT).await;
        assert!(matches!(&result, Err(ShellError::Lost(text)) if text.contains("yntax error")), "{result:?}");
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn long_scripts_and_long_answers_do_not_block_each_other() {
        let script = "echo 0123456789012345678901234567890123456789\n".repeat(10_000);
        let output = Shell::local().run(&script, LIMIT).await.expect("run");
        assert_eq!(output.stdout.len(), 410_000);
    }

    #[test]
    fn what_ssh_says_becomes_the_kind_of_failure() {
        let remote = Shell { program: "ssh", arguments: Vec::new() };
        let refused = remote.refused(Some(255), "Host key verification failed.".to_owned());
        assert_eq!(refused.failure(), ConnectFailure::HostKeyUnknown);
        let refused = remote.refused(Some(1), "This account is currently not available.".to_owned());
        assert!(matches!(refused, ShellError::NoShell(_)));
    }
}
