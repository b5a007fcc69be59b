//! Following what a long-running script prints.

use std::time::Duration;

use tokio::time::timeout;

use super::live::{Errors, Input, Live};
use super::shell::{Shell, ShellError};

/// The lines that a running script prints. Dropping it closes the script's standard input and the connection.
#[derive(Debug)]
pub struct LineStream {
    live: Live,
    ended: Option<i32>,
}

impl LineStream {
    pub(super) async fn open(shell: &Shell, script: &str) -> Result<Self, ShellError> {
        Self::over(Live::start(shell).await?, script).await
    }

    /// The same over a shell that is open already.
    pub(super) async fn over(mut live: Live, script: &str) -> Result<Self, ShellError> {
        match live.send(script, Input::Lifeline, Errors::Apart).await {
            Ok(()) => Ok(Self { live, ended: None }),
            Err(broken) => Err(live.error(broken).await),
        }
    }

    /// The shell, free for another script; none while this one may still be running.
    pub(super) fn into_live(self) -> Option<Live> {
        self.ended.map(|_| self.live)
    }

    /// The next line without its newline; none when the script has come to its end. Empty lines are passed over. May be
    /// given up at any moment without losing a line.
    ///
    /// # Errors
    /// [`ShellError::TimedOut`] when no line came within `limit` (the stream stays usable), [`ShellError::Lost`] when the
    /// connection ended and the script had not, [`ShellError::TooMuchOutput`] for a line of more than 64 KiB.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<String>, ShellError> {
        timeout(limit, self.next_unlimited()).await.unwrap_or(Err(ShellError::TimedOut(limit)))
    }

    /// The next line, as [`next`](Self::next) but for as long as it takes.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_unlimited(&mut self) -> Result<Option<String>, ShellError> {
        while self.ended.is_none() {
            let Some(line) = self.live.line().await? else {
                return Err(ShellError::Lost(self.live.last_words().await));
            };
            match self.live.closes(&line) {
                Some(code) => self.ended = Some(code),
                None if line.is_empty() => {}
                None => return Ok(Some(String::from_utf8_lossy(&line).into_owned())),
            }
        }
        Ok(None)
    }

    /// The script's exit code, once [`next`](Self::next) has said that it ended.
    pub fn status(&self) -> Option<i32> {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn lines_come_as_they_are_printed() {
        let mut lines =
            Shell::local().spawn_lines("echo one; read -r _; echo never", LIMIT).await.expect("spawn");
        assert_eq!(lines.next(LIMIT).await.expect("line").as_deref(), Some("one"));
        // The script waits for its input, so nothing comes, and nothing is lost by having waited.
        assert!(matches!(lines.next(Duration::from_millis(20)).await, Err(ShellError::TimedOut(_))));
        assert_eq!(lines.status(), None);
    }

    #[tokio::test]
    async fn the_end_of_a_script_is_told_from_its_loss() {
        let mut lines = Shell::local().spawn_lines("printf one; exit 4", LIMIT).await.expect("spawn");
        assert_eq!(lines.next(LIMIT).await.expect("line").as_deref(), Some("one"));
        assert_eq!(lines.next(LIMIT).await.expect("end"), None);
        assert_eq!((lines.next(LIMIT).await.expect("end"), lines.status()), (None, Some(4)));

        let mut lines = Shell::local().spawn_lines("echo one; kill -9 $$", LIMIT).await.expect("spawn");
        assert_eq!(lines.next(LIMIT).await.expect("line").as_deref(), Some("one"));
        assert!(matches!(lines.next(LIMIT).await, Err(ShellError::Lost(_))));
    }

    #[tokio::test]
    async fn an_endless_line_is_refused() {
        let mut lines = Shell::local().spawn_lines("exec cat /dev/zero", LIMIT).await.expect("spawn");
        assert!(matches!(lines.next(LIMIT).await, Err(ShellError::TooMuchOutput)));
    }
}
