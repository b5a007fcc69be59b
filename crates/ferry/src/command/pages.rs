//! Completions and manual pages, both made from the definition of the command line.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::say;

pub(super) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ferry", &mut script);
    say::raw(&script)?;
    Ok(Exit::Done)
}

pub(super) fn man(directory: &Path) -> Result<Exit, Failure> {
    clap_mangen::generate_to(Cli::command(), directory)
        .map_err(|source| Failure::Io { what: "writing the manual pages", source })?;
    Ok(Exit::Done)
}
