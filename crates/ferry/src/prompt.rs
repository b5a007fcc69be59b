//! Questions to a person at the terminal, and lines from standard input.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use zeroize::{Zeroize, Zeroizing};

use crate::exit::Failure;
use crate::say;

/// Longest line that is read.
const LINE_LIMIT_BYTES: usize = 4096;

/// A line that is being read from standard input; none at the end of the input.
pub(crate) type Line = oneshot::Receiver<io::Result<Option<Zeroizing<String>>>>;

/// Begins to read one line. The thread that waits for it is left alone when nobody wants the line any more.
pub(crate) fn begin_line() -> Line {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || drop(sender.send(read_line(io::stdin()))));
    receiver
}

/// Forgets what was typed before anything was asked.
pub(crate) fn forget_typed() {
    // Standard input that is no terminal has nothing to forget.
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
}

/// Asks, and reads the answer; empty at the end of the input.
///
/// # Errors
/// [`Failure::Interrupted`] after Ctrl-C; or when standard input cannot be read.
pub(crate) async fn line(question: &str) -> Result<Zeroizing<String>, Failure> {
    let interrupt = interrupt()?;
    say::ask(question);
    Ok(await_line(interrupt).await?.unwrap_or_default())
}

/// Asks for a password and reads it without showing it; where standard input is no terminal, reads its first line. The caller
/// wipes it after use.
///
/// # Errors
/// As [`line()`], and when there is none.
pub(crate) async fn password(question: &str) -> Result<String, Failure> {
    let interrupt = interrupt()?;
    let echo = Echo::off();
    if echo.is_some() {
        say::ask(question);
    }
    let line = await_line(interrupt).await;
    if echo.is_some() {
        // The person's own line feed was not shown.
        say::ask("\n");
    }
    drop(echo);
    not_empty(line?)
}

/// Reads a password from the first line of a file, which may be a pipe. The caller wipes it after use.
///
/// # Errors
/// [`Failure::Interrupted`] after Ctrl-C; when the file cannot be read, or its first line is empty.
pub(crate) async fn password_in(file: &Path) -> Result<String, Failure> {
    let mut interrupt = interrupt()?;
    let (sender, receiver) = oneshot::channel();
    let path = file.to_owned();
    std::thread::spawn(move || drop(sender.send(File::open(path).and_then(read_line))));
    let line = tokio::select! {
        line = receiver => line,
        _ = interrupt.recv() => return Err(Failure::Interrupted),
    };
    let line = line.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()));
    let line = line.map_err(|error| {
        Failure::Plain(format!("the password cannot be read from {}: {error}", file.display()))
    });
    not_empty(line?)
}

fn not_empty(line: Option<Zeroizing<String>>) -> Result<String, Failure> {
    match line {
        Some(mut line) if !line.is_empty() => Ok(std::mem::take(&mut *line)),
        _ => Err(Failure::Plain("no password was given".to_owned())),
    }
}

/// Ctrl-C; caught before anything is asked or the terminal is changed, so that it cannot end the process in between.
fn interrupt() -> Result<Signal, Failure> {
    signal(SignalKind::interrupt()).map_err(|source| Failure::Io { what: "catching signals", source })
}

async fn await_line(mut interrupt: Signal) -> Result<Option<Zeroizing<String>>, Failure> {
    let line = tokio::select! {
        line = begin_line() => line,
        _ = interrupt.recv() => return Err(Failure::Interrupted),
    };
    let line = line.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()));
    line.map_err(|source| Failure::Io { what: "standard input", source })
}

/// Reads byte by byte, so that nothing of a password stays behind in a buffer and what follows the line is left unread.
fn read_line(from: impl AsFd) -> io::Result<Option<Zeroizing<String>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_LIMIT_BYTES));
    let mut byte = [0];
    loop {
        match rustix::io::read(&from, &mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == LINE_LIMIT_BYTES => return Err(io::ErrorKind::InvalidData.into()),
            Ok(_) => line.push(byte[0]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    byte.zeroize();
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match std::str::from_utf8(&line) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// While it lives, the terminal does not show what is typed.
struct Echo(Termios);

impl Echo {
    /// None where standard input is no terminal.
    fn off() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
