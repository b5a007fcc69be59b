//! A shell under way, and the frame in which scripts travel to it and answers back.
//!
//! Scripts are given to `sh -s` on its standard input, never on a command line: nothing of them is parsed twice, shown in
//! a process list or cut to a length.
//!
//! ```text
//! we   set up; print TOKEN
//! it   …whatever a talkative login printed, thrown away…  TOKEN
//! we   { ( script 1 ); print TOKEN-1 CODE; }
//! it   output  TOKEN-1 CODE
//! we   { ( script 2 ); …
//! ```
//!
//! Two promises follow, which the callers of [`Shell`] rely on:
//! * No script is sent before TOKEN came back. A failure to connect is therefore proof that nothing ran.
//! * A script is one compound command, so that the shell reads all of it before it runs any of it: a connection that
//!   breaks in the middle of sending runs nothing.
//!
//! After a script was sent whole, a missing end line means that nobody knows how far it came ([`ShellError::Lost`]).

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use uuid::Uuid;

use super::child::{Complaint, OwnedChild, Streams};
use super::shell::{Output, Shell, ShellError};

/// Most bytes of one script's output that are kept; more is an error.
const MAX_OUTPUT: usize = 1 << 20;
/// Longest line of a followed script, in bytes, and most of what a login may print of itself.
pub(super) const MAX_LINE: usize = 64 << 10;

/// What a script gets as its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Nothing.
    Null,
    /// The rest of the stream that the script came on: it ends when this side lets go.
    Lifeline,
}

/// Where a script's standard error goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errors {
    /// To standard error.
    Apart,
    /// Among the output.
    Folded,
}

/// How an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The script did not get there whole; it cannot have run.
    NotSent,
    /// The end line did not come.
    NotAnswered,
    /// There was too much output.
    Flooded,
}

/// A shell that has answered its greeting.
#[derive(Debug)]
pub(super) struct Live {
    shell: Shell,
    child: OwnedChild,
    complaint: Complaint,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    token: String,
    sent: u64,
    /// What was read of a line whose end has not come.
    partial: Vec<u8>,
}

impl Live {
    /// Starts the shell and waits for its greeting.
    pub(super) async fn start(shell: &Shell) -> Result<Self, ShellError> {
        let (child, Streams { stdin, stdout, stderr }) = shell.start()?;
        let mut live = Self {
            shell: shell.clone(),
            child,
            complaint: Complaint::collect(stderr),
            stdin: Some(stdin),
            stdout: BufReader::new(stdout),
            token: format!("ferry-{}", Uuid::new_v4().simple()),
            sent: 0,
            partial: Vec::new(),
        };
        // The places of administrators' programs are added, which a login without a terminal often lacks.
        let set_up = format!(
            "LC_ALL=C; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH; printf '\\n%s\\n' '{}'\n",
            live.token
        );
        // If this fails, the shell has ended and says why.
        let _ = live.write(&set_up).await;
        loop {
            match live.line().await? {
                Some(line) if line == live.token.as_bytes() => return Ok(live),
                Some(_) => {}
                None => return Err(live.refused().await),
            }
        }
    }

    /// Itself, unless the shell has ended, so that nothing need be sent to it.
    pub(super) fn unless_ended(mut self) -> Option<Self> {
        if self.child.has_ended() { None } else { Some(self) }
    }

    /// Sends a script. Its end line is the one that [`closes`](Self::closes) then knows.
    pub(super) async fn send(&mut self, script: &str, input: Input, errors: Errors) -> Result<(), Broken> {
        self.sent += 1;
        let text = self.framed(script, input, errors);
        self.write(&text).await.map_err(|_| Broken::NotSent)
    }

    /// Sends a script and reads its answer.
    pub(super) async fn exchange(&mut self, script: &str, errors: Errors) -> Result<Output, Broken> {
        self.sent += 1;
        let text = self.framed(script, Input::Null, errors);
        let end = self.end();
        let Some(stdin) = self.stdin.as_mut() else { return Err(Broken::NotSent) };
        let mut answer = std::mem::take(&mut self.partial);
        // Both at once, or a long script and a long answer would wait for each other.
        let (sent, read) =
            tokio::join!(stdin.write_all(text.as_bytes()), read_answer(&mut self.stdout, &mut answer, &end));
        match (sent, read) {
            (Err(_), _) => Err(Broken::NotSent),
            (Ok(()), Err(broken)) => Err(broken),
            (Ok(()), Ok((length, status))) => {
                let stdout = String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned();
                Ok(Output { status, stdout, stderr: String::new() })
            }
        }
    }

    /// Lets the shell end and returns what was said on standard error.
    pub(super) async fn close(mut self) -> String {
        self.stdin = None;
        self.complaint.text().await
    }

    /// The error for an exchange that failed.
    pub(super) async fn error(mut self, broken: Broken) -> ShellError {
        self.stdin = None;
        match broken {
            Broken::Flooded => ShellError::TooMuchOutput,
            Broken::NotSent | Broken::NotAnswered => {
                ShellError::Lost(self.complaint.text().await.trim().to_owned())
            }
        }
    }

    /// What was said on standard error by the time the stream has ended.
    pub(super) async fn last_words(&mut self) -> String {
        self.complaint.text().await.trim().to_owned()
    }

    /// The next line without its newline; none at the end of the stream. When the future is dropped, what was read of a
    /// line is kept.
    pub(super) async fn line(&mut self) -> Result<Option<Vec<u8>>, ShellError> {
        let room = (MAX_LINE + 1).saturating_sub(self.partial.len()) as u64;
        (&mut self.stdout).take(room).read_until(b'\n', &mut self.partial).await?;
        if self.partial.last() == Some(&b'\n') {
            self.partial.pop();
            return Ok(Some(std::mem::take(&mut self.partial)));
        }
        if self.partial.len() > MAX_LINE { Err(ShellError::TooMuchOutput) } else { Ok(None) }
    }

    /// The exit code of the script sent last, if this is its end line.
    pub(super) fn closes(&self, line: &[u8]) -> Option<i32> {
        exit_code(line, &self.end())
    }

    fn end(&self) -> String {
        format!("{}-{} ", self.token, self.sent)
    }

    fn framed(&self, script: &str, input: Input, errors: Errors) -> String {
        let input = if input == Input::Null { " </dev/null" } else { "" };
        let errors = if errors == Errors::Folded { " 2>&1" } else { "" };
        format!("{{ ( :\n{script}\n){input}{errors}\nprintf '\\n%s%d\\n' '{}' \"$?\"; }}\n", self.end())
    }

    async fn write(&mut self, text: &str) -> std::io::Result<()> {
        match self.stdin.as_mut() {
            Some(stdin) => stdin.write_all(text.as_bytes()).await,
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    async fn refused(&mut self) -> ShellError {
        let text = self.last_words().await;
        match self.child.wait().await {
            Ok(status) => self.shell.refused(status.code(), text),
            Err(error) => ShellError::Start(error),
        }
    }
}

/// Reads until the end line; returns the length of the output before it and the exit code in it.
async fn read_answer(
    stdout: &mut BufReader<ChildStdout>,
    answer: &mut Vec<u8>,
    end: &str,
) -> Result<(usize, i32), Broken> {
    let mut line_start = 0;
    loop {
        while let Some(length) = answer.iter().skip(line_start).position(|byte| *byte == b'\n') {
            if let Some(code) =
                exit_code(answer.get(line_start..line_start + length).unwrap_or_default(), end)
            {
                // The end line begins with a newline of its own, for output that does not end in one.
                return Ok((line_start.saturating_sub(1), code));
            }
            line_start += length + 1;
        }
        match stdout.read_buf(answer).await {
            Ok(0) | Err(_) => return Err(Broken::NotAnswered),
            Ok(_) if answer.len() > MAX_OUTPUT => return Err(Broken::Flooded),
            Ok(_) => {}
        }
    }
}

fn exit_code(line: &[u8], end: &str) -> Option<i32> {
    std::str::from_utf8(line.strip_prefix(end.as_bytes())?).ok()?.parse().ok()
}
