//! One shell for many quick commands, so that each costs a round trip and not a login.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::live::{Broken, Errors, Live};
use super::shell::{Output, Shell, ShellError};

/// A shell that stays open. Commands wait for each other; standard error is folded into the output.
///
/// The connection is made by the first command (or [`open`](Self::open)). Whatever leaves it in doubt – a time limit, a
/// caller that stopped waiting, a lost connection – throws it away, and the next command makes a new one.
#[derive(Debug)]
pub struct Session {
    shell: Shell,
    live: Mutex<Option<Live>>,
}

impl Session {
    /// A session on this shell, not connected yet.
    pub fn new(shell: Shell) -> Self {
        Self { shell, live: Mutex::new(None) }
    }

    /// Where its commands run.
    pub fn shell(&self) -> &Shell {
        &self.shell
    }

    /// Connects, if it is not connected, so that the next command is quick.
    ///
    /// # Errors
    /// Any [`ShellError`].
    pub async fn open(&self, limit: Duration) -> Result<(), ShellError> {
        self.run(":", limit).await.map(|_| ())
    }

    /// Runs one script; `limit` covers the wait for earlier commands, the connection and the script. A script runs at
    /// most once: only one that cannot have reached the host is sent again, over a new connection.
    ///
    /// # Errors
    /// Any [`ShellError`]; a script that ran and failed is no error but an [`Output`] with its exit code.
    pub async fn run(&self, script: &str, limit: Duration) -> Result<Output, ShellError> {
        timeout(limit, self.run_unlimited(script)).await.unwrap_or(Err(ShellError::TimedOut(limit)))
    }

    async fn run_unlimited(&self, script: &str) -> Result<Output, ShellError> {
        let mut slot = self.live.lock().await;
        // Taken out while in use: if this future is dropped, the connection goes with it.
        let mut kept = slot.take();
        loop {
            let (mut live, fresh) = match kept.take().and_then(Live::unless_ended) {
                Some(live) => (live, false),
                None => (Live::start(&self.shell).await?, true),
            };
            match live.exchange(script, Errors::Folded).await {
                Ok(output) => {
                    *slot = Some(live);
                    return Ok(output);
                }
                // It was lost while nobody looked.
                Err(Broken::NotSent) if !fresh => {}
                Err(broken) => return Err(live.error(broken).await),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn pid(session: &Session) -> String {
        // `$$` is the long-lived shell itself, also within the script's own subshell.
        session.run("echo $$", LIMIT).await.expect("run").stdout.trim().to_owned()
    }

    #[tokio::test]
    async fn commands_share_one_shell() {
        let session = Session::new(Shell::local());
        let output = session.run("echo out; echo err >&2; exit 3", LIMIT).await.expect("run");
        assert_eq!((output.status, output.stdout.as_str()), (3, "out\nerr\n"));
        assert_eq!(pid(&session).await, pid(&session).await);
    }

    #[tokio::test]
    async fn a_session_recovers_from_a_time_limit() {
        let session = Session::new(Shell::local());
        let one = pid(&session).await;
        assert!(matches!(
            session.run("sleep 1000", Duration::from_millis(50)).await,
            Err(ShellError::TimedOut(_))
        ));
        assert_ne!(one, pid(&session).await);
    }

    #[tokio::test]
    async fn a_session_recovers_from_whatever_breaks_it() {
        let session = Session::new(Shell::local());
        assert!(matches!(session.run("kill -9 $$", LIMIT).await, Err(ShellError::Lost(_))));
        assert!(session.run("true", LIMIT).await.expect("run").success());
        assert!(matches!(session.run("if", LIMIT).await, Err(ShellError::Lost(_))));
        assert!(session.run("true", LIMIT).await.expect("run").success());
        assert!(matches!(session.run("exec cat /dev/zero", LIMIT).await, Err(ShellError::TooMuchOutput)));
        assert!(session.run("true", LIMIT).await.expect("run").success());
    }

    #[tokio::test]
    async fn a_shell_that_died_between_commands_is_replaced() {
        let session = Session::new(Shell::local());
        let one = pid(&session).await;
        // A zombie has closed its files: nothing can be sent to it any more.
        let kill = format!("kill -9 {one}; while grep -sq '^State:.[^ZX]' /proc/{one}/status; do :; done");
        assert!(Shell::local().run(&kill, LIMIT).await.expect("kill").success());
        assert_ne!(one, pid(&session).await);
    }
}
