//! `ferryd`: Ferry's controller.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::{Parser, Subcommand};
use ferryd::access::Access;
use ferryd::access::pam::Pam;
use ferryd::config::{self, Config, DataDir, Flags, LocalHost};
use ferryd::console::Consoles;
use ferryd::http::{AppState, Door, listen, router};
use ferryd::inventory::Fleet;
use ferryd::libvirt;
use ferryd::lifecycle::device_mover::DeviceMover;
use ferryd::lifecycle::snapshotter::Snapshotter;
use ferryd::lifecycle::{Cloner, Creator};
use ferryd::migration::Migrations;
use ferryd::migration::debts::Sweeper;
use ferryd::migration::steps::{Hosts, Mover};
use ferryd::migration::timing::Timing;
use ferryd::model::HostName;
use ferryd::ssh::SshDir;
use ferryd::store::Store;
use ferryd::store::sqlite::SqliteStore;
use ferryd::task::{Clock, Engine, Runners};
use ferryd::tls::{self, TlsHost};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long requests under way may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(5);
/// How often old events are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Ferry's controller: moves virtual machines between hosts with plain libvirt.
#[derive(Parser)]
#[command(name = "ferryd", version)]
struct Cli {
    /// The configuration file [default: /etc/ferry/ferryd.toml, where it exists].
    #[arg(long, env = "FERRYD_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the configuration in effect, as a file that says the same.
    Config,
    /// Certificates for migrations that are encrypted by QEMU (`ferry migrate --tls`).
    #[command(subcommand)]
    Tls(TlsCommand),
}

#[derive(Subcommand)]
enum TlsCommand {
    /// Make a small certificate authority, and certificates for hosts
    ///
    /// An authority that is in DIR already is used and never written over; hosts get new certificates from it each time. What is to be
    /// copied to which host is said.
    Init {
        /// The directory to make them in; the authority's key stays there.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// A host: the name that it calls itself, and after commas other names and addresses of it (kvm2,10.1.0.2).
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<TlsHost>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Tls(TlsCommand::Init { dir, hosts })) = &cli.command {
        return match tls::init(dir, hosts, SystemTime::now()) {
            Ok(told) => print(&format!("{told}\n")),
            Err(error) => fail(&error.into(), 1),
        };
    }
    let config = match Config::load(cli.flags, cli.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return fail(&error.into(), 2),
    };
    if let Some(Command::Config) = cli.command {
        return print(&config.to_toml());
    }
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

/// Tells why it cannot go on, in the terminal's words, also where nothing is logged yet.
#[expect(clippy::print_stderr, reason = "the last word of a program that ends")]
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("ferryd: {error:#}");
    ExitCode::from(code)
}

fn print(text: &str) -> ExitCode {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.into(), 1),
    }
}

fn run(config: &Config) -> anyhow::Result<()> {
    // Whatever is created here, the database, the keys, the socket before it gets its mode, is nobody else's.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    config::init_logging(config).map_err(|error| anyhow::anyhow!("the log cannot be begun: {error}"))?;
    let data_dir = DataDir::lock(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config, &data_dir));
    // A thread that hangs in a call to a host must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(config: &Config, data_dir: &DataDir) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let mut signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let store = SqliteStore::open(&config.database())
        .await
        .with_context(|| format!("the database {} cannot be opened", config.database().display()))?;
    // Bound before anything begins: a socket that is in use costs nothing, and clients wait rather than fail.
    let socket = listen::unix(&config.socket).await?;
    let loopback = match config.listen_address() {
        Some(address) => Some(listen::tcp(address).await?),
        None => None,
    };
    let app = build(config, Arc::new(store.clone()), shutdown.clone()).await?;
    let mut doors = open_doors(&app, socket, loopback)?;
    let pruning = tokio::spawn(prune(Arc::clone(&app.store), config.event_retention()));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        socket = %config.socket.display(),
        data_dir = %data_dir.path().display(),
        "ready",
    );
    notify("READY=1");

    let [terminate, interrupt] = &mut signals;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("asked to end (SIGTERM)"),
        _ = interrupt.recv() => tracing::info!("asked to end (SIGINT)"),
        Some(door) = doors.join_next() => door.context("a listener fell")?.context("a listener failed")?,
    }
    notify("STOPPING=1");
    shutdown.cancel();
    pruning.abort();
    if tokio::time::timeout(GRACE, async { while doors.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("requests under way were cut off");
    }
    remove_socket(config);
    store.close().await;
    Ok(())
}

/// Begins to serve.
fn open_doors(
    app: &AppState,
    socket: UnixListener,
    loopback: Option<TcpListener>,
) -> anyhow::Result<JoinSet<std::io::Result<()>>> {
    let mut doors = JoinSet::new();
    doors.spawn(listen::serve(socket, router(app.clone(), Door::Socket), app.shutdown.clone()));
    if let Some(listener) = loopback {
        tracing::info!(address = %listener.local_addr()?, "listening");
        doors.spawn(listen::serve(listener, router(app.clone(), Door::Loopback), app.shutdown.clone()));
    }
    Ok(doors)
}

/// Puts the parts together and has them begin.
async fn build(
    config: &Config,
    store: Arc<dyn Store>,
    shutdown: CancellationToken,
) -> anyhow::Result<AppState> {
    libvirt::ffi::start_event_loop().context("libvirt's event loop could not be started")?;
    let ssh = Arc::new(SshDir::open(&config.data_dir.join("ssh"))?);
    let clock = Clock::system();
    let fleet = Fleet::open(store.clone(), clock.clone(), ssh.clone(), config.link_limits()).await?;
    let engine = Engine::new(store.clone(), clock, uuid::Uuid::new_v4().to_string());
    let limit = config.preflight_timeout_s.duration();
    let members = fleet.clone();
    let hosts: Hosts = Arc::new(move |name| members.hypervisor(name));
    let sweeper = Sweeper::new(engine.clone(), store.clone(), hosts.clone());
    let migrations =
        Arc::new(Migrations::new(fleet.clone(), engine.clone(), store.clone(), sweeper.clone(), limit));
    // The lock on the data directory says that every controller that held a lease here is gone.
    store.drop_leases().await?;
    let timing = Timing::with_bound(config.recovery_timeout_s.duration());
    let runners = Runners {
        migration: Arc::new(Mover::new(hosts, timing)),
        snapshot: Arc::new(Snapshotter::new(fleet.clone())),
        clone: Arc::new(Cloner::new(fleet.clone())),
        creation: Arc::new(Creator::new(fleet.clone())),
        device: Arc::new(DeviceMover::new(fleet.clone())),
    };
    tokio::spawn(engine.clone().serve(Arc::new(runners)));
    tokio::spawn(sweeper.serve());
    if config.local_host == LocalHost::Auto {
        tokio::spawn(register_local(fleet.clone()));
    }
    let consoles = Arc::new(Consoles::new(fleet.clone(), ssh));
    let access = Access::new(Arc::new(Pam), config.admin_groups.0.clone())?;
    Ok(AppState { fleet, migrations, consoles, engine, access, store, shutdown })
}

/// The sockets of libvirt's daemons on this machine: the one for all, and QEMU's own.
const LOCAL_SOCKETS: [&str; 2] = ["/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"];

/// Registers this machine where it has libvirt. Failing is no fault: it may be a controller and nothing else.
async fn register_local(fleet: Arc<Fleet>) {
    if !LOCAL_SOCKETS.iter().any(|socket| std::path::Path::new(socket).exists()) {
        return;
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = if HostName::new(name.as_str()).is_ok() { name } else { "localhost".to_owned() };
    match fleet.register_local(&name).await {
        Ok(host) => tracing::info!(host = host.name, "this machine is registered"),
        Err(problem) => tracing::warn!(error = %problem, "this machine was not registered"),
    }
}

fn remove_socket(config: &Config) {
    if let Err(error) = std::fs::remove_file(&config.socket) {
        tracing::warn!(%error, socket = %config.socket.display(), "the socket stays behind");
    }
}

/// Removes old events, now and then.
async fn prune(store: Arc<dyn Store>, keep: Option<Duration>) {
    let Some(keep) = keep else { return };
    let mut every = tokio::time::interval(PRUNE_EVERY);
    loop {
        every.tick().await;
        let before =
            SystemTime::now().checked_sub(keep).and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        let Some(before_ms) = before.and_then(|before| u64::try_from(before.as_millis()).ok()) else {
            continue;
        };
        match store.prune_events(before_ms).await {
            Ok(0) => {}
            Ok(events) => tracing::info!(events, "removed old events"),
            Err(error) => tracing::error!(error = %ferryd::http::problem::chain(&error), "old events stay"),
        }
    }
}

/// Tells the service manager, where one asks for it (systemd's `sd_notify`).
fn notify(state: &str) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send_state(&address, state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

fn send_state(address: &std::ffi::OsStr, state: &str) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let address = match address.as_bytes() {
        // An `@` stands for the zero byte of an abstract address.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}
