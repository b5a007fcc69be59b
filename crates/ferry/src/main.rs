//! Ferry's command line.
//!
//! * [`cli`], [`value`] – what is typed: parsing, nothing acts;
//! * [`command`] – what is done, one file per noun;
//! * [`watch`], [`screen`], [`prompt`] – waiting for a task, showing it, asking the person;
//! * [`render`] – what people read: pure functions;
//! * [`say`] – the only place that writes;
//! * [`exit`] – how it ends.

mod cli;
mod command;
mod exit;
mod prompt;
mod render;
mod say;
mod screen;
mod value;
mod watch;

use std::process::ExitCode;

use api::client::ClientError;
use clap::Parser;

use crate::cli::Cli;
use crate::exit::Failure;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| cli::without_hidden(error).exit());
    let json = cli.global.json;
    match command::run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            report(&failure, json);
            failure.exit().into()
        }
    }
}

/// Says why it failed: for people always, and the problem document too where JSON was asked for.
fn report(failure: &Failure, json: bool) {
    let Failure::Client { error, hint } = failure else {
        return say::err(&format!("ferry: {failure}"));
    };
    if let ClientError::Problem(problem) = error {
        if json && let Err(failure) = say::json(problem) {
            say::err(&format!("ferry: {failure}"));
        }
        say::err(&format!("ferry: {}", render::problem::problem(problem)));
    } else {
        say::err(&format!("ferry: {error}"));
    }
    if let Some(hint) = hint {
        say::err(hint);
    }
}
