//! The `ferry-lab` program as a helper of the library: namespaces are entered by fresh, single-threaded processes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::ProcessId;
use crate::state::Places;

const NAME: &str = "ferry-lab";

/// Where `ferry-lab` is: named by `FERRY_LAB_BIN`, this program itself, or near it (a test program lies in
/// `target/debug/deps`, the command in `target/debug`).
pub(crate) fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("FERRY_LAB_BIN") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe().context("who am I?")?;
    let near = own.ancestors().skip(1).take(3).map(|directory| directory.join(NAME));
    match near.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("{NAME} is not near {}: build it, or name it in FERRY_LAB_BIN", own.display()),
    }
}

/// A process of the lab: it carries the mark by which `down` finds it even if nobody noted its pid.
pub(crate) fn marked(places: &Places, verb: &str) -> Result<Command> {
    let mut command = Command::new(program()?);
    let mark = places.mark();
    let (key, value) = mark.split_once('=').context("a mark has a value")?;
    command.arg(verb).args(["--lab", &places.lab]).env(key, value).current_dir("/");
    Ok(command)
}

/// `name` of the machine itself, in the network namespace of `process`.
pub(crate) fn in_network_of(process: &ProcessId, name: &str) -> Result<Command> {
    let mut command = Command::new(program()?);
    command.arg("_net").arg(process.pid.to_string()).arg("--").arg(name);
    Ok(command)
}
