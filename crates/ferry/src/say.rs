//! The only place that writes: text and JSON to standard output, diagnostics to standard error.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Writes text and a line feed to standard output.
///
/// # Errors
/// When it cannot be written; a reader that went away (`ferry vm list | head -1`) is no error.
pub(crate) fn out(text: &str) -> Result<(), Failure> {
    write_out(format!("{}\n", clean(text)).as_bytes())
}

/// Writes bytes to standard output as they are.
///
/// # Errors
/// As [`out`].
pub(crate) fn raw(bytes: &[u8]) -> Result<(), Failure> {
    write_out(bytes)
}

/// Writes one JSON value and a line feed to standard output.
///
/// # Errors
/// As [`out`].
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::Plain(error.to_string()))?;
    write_out(format!("{text}\n").as_bytes())
}

fn write_out(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text).and_then(|()| stdout.flush());
    match written {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Io { what: "standard output", source })
        }
        _ => Ok(()),
    }
}

/// Writes text and a line feed to standard error. That it cannot be written has nowhere to be said.
pub(crate) fn err(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(clean(text).as_bytes()).and_then(|()| stderr.write_all(b"\n")));
}

/// Writes a question to standard error, without a line feed.
pub(crate) fn ask(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(clean(text).as_bytes()).and_then(|()| stderr.flush()));
}

/// Takes the power out of control characters: names and messages come from elsewhere, and a terminal obeys what it is shown.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\n' || !c.is_control();
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_lose_their_power() {
        assert_eq!(clean("a\nb ü"), "a\nb ü");
        assert_eq!(clean("a\u{1b}[31mb\r\u{9b}c"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c");
    }
}
