//! Running `ferry`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::Server;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Standard output as one JSON value.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// The command, with nothing of the tester's own environment in it.
pub(crate) fn command(server: &Server, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
    command.env_clear().env("FERRY_SERVER", server.address()).args(line.split_whitespace());
    command.stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn ferry(server: &Server, line: &str) -> Output {
    finish(command(server, line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Runs it to its end with something to read on standard input.
pub(crate) fn ferry_with(server: &Server, line: &str, input: &str) -> Output {
    let mut command = command(server, line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that ends without reading is one of the things tested.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    finish(child)
}

fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code().expect("ended by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A run under way, without a terminal.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    seen: String,
}

impl Running {
    pub(crate) fn start(server: &Server, line: &str) -> Self {
        let mut child = command(server, line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, seen: String::new() }
    }

    /// Waits for the next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        self.seen.push_str(&line);
        line
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Output {
        while !self.line().is_empty() {}
        Output { stdout: self.seen, ..finish(self.child) }
    }
}
