//! Progress for whoever waits at a terminal.
#![allow(clippy::print_stderr)]

/// Prints one line of progress to standard error.
pub(crate) fn say(text: &str) {
    eprintln!("lab: {text}");
}
