//! One shell for many quick commands, so that each costs a round trip and not a login; and one beside it for what is followed
//! for longer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::lines::LineStream;
use super::live::{Broken, Errors, Live};
use super::shell::{Output, Shell, ShellError};

/// How long a second shell stays open after it was used: long enough for one migration after another, short enough that a fleet
/// at rest costs one shell a host.
const SPARE_KEPT: Duration = Duration::from_secs(300);
/// How long a shell that was open already may take to show that it still answers.
const SPARE_ANSWERS: Duration = Duration::from_secs(1);

/// A shell that stays open. Commands wait for each other; standard error is folded into the output.
///
/// The connection is made by the first command (or [`open`](Self::open)). Whatever leaves it in doubt – a time limit, a
/// caller that stopped waiting, a lost connection – throws it away, and the next command makes a new one.
#[derive(Debug)]
pub struct Session {
    shell: Shell,
    live: Mutex<Option<Live>>,
    spare: Spare,
}

/// A shell that a script was followed over, and when that ended.
type Spare = Arc<Mutex<Option<(Live, Instant)>>>;

impl Session {
    /// A session on this shell, not connected yet.
    pub fn new(shell: Shell) -> Self {
        Self { shell, live: Mutex::new(None), spare: Spare::default() }
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

    /// Starts a script whose output is read line by line, as [`Shell::spawn_lines`] does; over the shell that
    /// [`keep`](Self::keep) kept, where it still answers, so that it costs no login.
    ///
    /// # Errors
    /// Any [`ShellError`].
    pub async fn follow(&self, script: &str, limit: Duration) -> Result<LineStream, ShellError> {
        let kept = self.spare.lock().await.take().and_then(|(live, _)| live.unless_ended());
        if let Some(mut live) = kept
            && let Ok(Ok(_)) = timeout(SPARE_ANSWERS, live.exchange(":", Errors::Folded)).await
        {
            return timeout(limit, LineStream::over(live, script))
                .await
                .unwrap_or(Err(ShellError::TimedOut(limit)));
        }
        self.shell.spawn_lines(script, limit).await
    }

    /// Keeps the shell of a script that was followed to its end, for the next one; for some minutes.
    pub async fn keep(&self, lines: LineStream) {
        let Some(live) = lines.into_live() else { return };
        let since = Instant::now();
        *self.spare.lock().await = Some((live, since));
        let spare = self.spare.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SPARE_KEPT).await;
            spare.lock().await.take_if(|(_, kept_since)| *kept_since == since);
        });
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
    async fn a_followed_scripts_shell_serves_the_next_one() {
        let session = Session::new(Shell::local());
        let follow = async |script: &str| {
            let mut lines = session.follow(script, LIMIT).await.expect("it starts");
            let first = lines.next(LIMIT).await.expect("a line").expect("a line");
            (first, lines)
        };
        let (one, mut lines) = follow("echo $$").await;
        assert_eq!(lines.next(LIMIT).await.expect("the end"), None);
        session.keep(lines).await;
        let (two, lines) = follow("echo $$; read -r _").await;
        assert_eq!(one, two);
        // One that is still at work is not kept.
        session.keep(lines).await;
        let (three, _lines) = follow("echo $$").await;
        assert_ne!(two, three);
    }

    #[tokio::test]
    async fn a_kept_shell_that_died_is_replaced() {
        let session = Session::new(Shell::local());
        let mut lines = session.follow("echo $$", LIMIT).await.expect("it starts");
        let pid = lines.next(LIMIT).await.expect("a line").expect("a line");
        assert_eq!(lines.next(LIMIT).await.expect("the end"), None);
        session.keep(lines).await;
        assert!(Shell::local().run(&format!("kill -9 {pid}"), LIMIT).await.expect("kill").success());
        let mut lines = session.follow("echo $$", LIMIT).await.expect("it starts");
        assert_ne!(lines.next(LIMIT).await.expect("a line"), Some(pid));
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
