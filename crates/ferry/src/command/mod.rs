//! What the commands do, one file per noun.

mod check;
mod host;
mod login;
mod migrate;
mod pages;
mod task;
mod vm;

use std::io::{self, IsTerminal};
use std::time::{SystemTime, UNIX_EPOCH};

use api::client::Client;

use crate::cli::{Cli, Command, Global};
use crate::exit::{Exit, Failure};

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// `ferryd`.
    pub(crate) client: Client,
    /// JSON was asked for.
    pub(crate) json: bool,
    /// A person can be asked: standard input and standard error are a terminal.
    pub(crate) can_ask: bool,
    /// A live bar can be drawn on standard error.
    pub(crate) can_draw: bool,
}

impl Context {
    /// With the login that was asked for.
    async fn open(global: &Global) -> Result<Self, Failure> {
        let mut context = Self::new(Client::new(global.server.clone()), global.json);
        context.client = login::logged_in(&context, global).await?;
        Ok(context)
    }

    fn new(client: Client, json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        // Any value that is not empty counts (no-color.org); a dumb terminal cannot move its cursor.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { client, json, can_ask: terminal && io::stdin().is_terminal(), can_draw: terminal && !plain }
    }
}

/// Runs a command.
///
/// # Errors
/// Why it was not done; [`Failure::exit`] has the code to end with.
pub(crate) fn run(cli: Cli) -> Result<Exit, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Host(command) => asking(&global, async |context| host::run(context, command).await),
        Command::Vm(command) => asking(&global, async |context| vm::run(context, command).await),
        Command::Migrate(args) => asking(&global, async |context| migrate::run(context, args).await),
        Command::Check(args) => asking(&global, async |context| check::run(context, args).await),
        Command::Task(command) => asking(&global, async |context| task::run(context, command).await),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { directory } => pages::man(&directory),
    }
}

/// Runs what asks `ferryd`.
fn asking(
    global: &Global,
    work: impl AsyncFnOnce(&Context) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    block_on(async {
        let context = Context::open(global).await?;
        work(&context).await.map_err(|failure| login::hinted(failure, global))
    })
}

/// Runs on this thread alone: starting others would cost more than they bring.
fn block_on(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| Failure::Io { what: "starting", source })?.block_on(work)
}

/// The time of day in milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
