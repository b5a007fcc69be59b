//! A child process that does not outlive its owner.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// Most bytes of standard error that are kept; the rest is read and dropped.
const MAX_COMPLAINT: u64 = 64 << 10;
/// How long to wait for the end of standard error once the child has nothing more to do: a program that a script left
/// running in the background may hold it open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A child in a process group of its own; dropping it kills the group.
#[derive(Debug)]
pub(super) struct OwnedChild(Child);

/// The three streams of a child.
pub(super) struct Streams {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl OwnedChild {
    /// Starts a program with piped streams and English messages.
    pub(super) fn start(program: &str, arguments: &[String]) -> io::Result<(Self, Streams)> {
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("a piped stream is missing");
        let streams = Streams {
            stdin: child.stdin.take().ok_or_else(missing)?,
            stdout: child.stdout.take().ok_or_else(missing)?,
            stderr: child.stderr.take().ok_or_else(missing)?,
        };
        Ok((Self(child), streams))
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        // `id` is none once the child was waited for, so the number cannot have passed to another process. The child
        // itself is killed and reaped by tokio; this reaches what it has started (proxy commands, a script's programs).
        if let Some(group) = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a program to its end with this standard input, and returns its status, output and standard error (bounded).
/// Dropping the future kills the program.
pub(super) async fn finished(
    program: &str,
    arguments: &[String],
) -> io::Result<(ExitStatus, String, String)> {
    let (mut child, Streams { stdin, stdout, stderr }) = OwnedChild::start(program, arguments)?;
    drop(stdin);
    let mut complaint = Complaint::collect(stderr);
    let mut output = Vec::new();
    stdout.take(MAX_COMPLAINT).read_to_end(&mut output).await?;
    let status = child.wait().await?;
    Ok((status, String::from_utf8_lossy(&output).into_owned(), complaint.text().await))
}

/// Collects what a child says on standard error, while something else is awaited.
#[derive(Debug)]
pub(super) struct Complaint(tokio::task::JoinHandle<String>);

impl Complaint {
    pub(super) fn collect(stream: ChildStderr) -> Self {
        Self(tokio::spawn(async move {
            let (mut stream, mut kept) = (stream, Vec::new());
            // A failed read ends the collection as an end of file would.
            let _ = (&mut stream).take(MAX_COMPLAINT).read_to_end(&mut kept).await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            String::from_utf8_lossy(&kept).into_owned()
        }))
    }

    /// What was said until the stream ended; nothing if it does not end.
    pub(super) async fn text(&mut self) -> String {
        match tokio::time::timeout(LAST_WORDS, &mut self.0).await {
            Ok(Ok(text)) => text,
            _ => String::new(),
        }
    }
}

impl Drop for Complaint {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dropping_a_child_kills_what_it_started() {
        let script = "sleep 1000 & echo started; wait".to_owned();
        let (child, mut streams) = OwnedChild::start("sh", &["-c".to_owned(), script]).expect("start");
        let mut buffer = [0; 32];
        assert_eq!(streams.stdout.read(&mut buffer).await.expect("read"), 8);
        drop(child);
        // The grandchild holds the other end of the pipe: end of file is the proof that it is gone.
        assert_eq!(streams.stdout.read(&mut buffer).await.expect("read"), 0);
    }
}
