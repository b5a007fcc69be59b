//! The command line as it is typed. Nothing here acts; [`crate::command`] does.

use std::path::PathBuf;

use api::client::Address;
use api::task::{Compression, PostCopy, Side, StorageMapping};
use api::vm::VmState;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::value::{self, TaskRef};

mod leaving;
mod mapping;

pub(crate) use leaving::LeavingArgs;
pub(crate) use mapping::MappingArgs;

const EXIT_CODES: &str = "\
Exit codes:
  0    done: for a migration, the virtual machine has moved
  1    failed: a migrated virtual machine runs on at the source; or any other failure
  2    the command line is wrong, or ferryd refused a value of it
  3    refused by the checks before anything moved, or the virtual machine is being moved already
  4    cancelled: the virtual machine is at the source as before
  5    a person must decide; the message says between what
  130  interrupted (Ctrl-C) and 143 terminated: what was begun goes on in ferryd";

const EXAMPLES: &str = "\
Examples:
  ferry host add kvm2 qemu+ssh://root@kvm2/system
  ferry migrate web1 --to kvm2
  ferry task list";

/// Moves virtual machines, running or stopped, between hosts under plain libvirt.
///
/// The work is done by ferryd, the controller; this command asks it and shows what it does. It finds ferryd by its
/// socket on this machine, or where --server says.
#[derive(Debug, Parser)]
#[command(name = "ferry", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), subcommand_required = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub(crate) global: Global,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Where ferryd is: unix:/run/ferry/ferry.sock or http://127.0.0.1:8070
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "FERRY_SERVER",
        hide_env_values = true,
        default_value = "unix:/run/ferry/ferry.sock"
    )]
    pub(crate) server: Address,
    /// Log in as this user of the machine that ferryd runs on, where --server is an http address; the Unix socket needs no login
    ///
    /// The user has to be an administrator (root, or in one of ferryd's admin_groups). The password is asked for on the terminal,
    /// unless --password-file says where it is.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "FERRY_USER",
        hide_env_values = true,
        value_parser = value::user_name
    )]
    pub(crate) user: Option<String>,
    /// Read the password of --user from this file (the first line); `-` is standard input
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    ///
    /// One JSON value on standard output, in the form of the REST interface; `task watch` prints one event per line.
    /// An error that ferryd reports is printed as its problem document.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The nouns and verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Register hosts and show them
    #[command(subcommand)]
    Host(HostCommand),
    /// Show the virtual machines on the registered hosts
    #[command(subcommand)]
    Vm(VmCommand),
    /// Move a virtual machine to another host, running or stopped
    ///
    /// One that runs goes on running while its memory is copied, and is paused only for the switch-over. Everything that
    /// speaks against the move is checked before anything is touched. Shows a live bar on a terminal, a line for each
    /// phase elsewhere. Ctrl-C on a terminal asks whether to cancel the migration or to leave it running; elsewhere it
    /// leaves it running.
    #[command(after_help = EXIT_CODES)]
    Migrate(MigrateArgs),
    /// Say whether a virtual machine can move, and everything that stands in the way
    ///
    /// Nothing on any host is changed. Each finding says what was seen and what mends it. Without --to, every registered host
    /// is checked, and the best one comes first. The exit code is 0 if it can move, and 3 if it cannot.
    #[command(after_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Show, watch and stop what ferryd does
    #[command(subcommand)]
    Task(TaskCommand),
    /// Print the completions for a shell
    ///
    /// For bash: ferry completions bash > /etc/bash_completion.d/ferry
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// The directory to write them to; it must exist.
        directory: PathBuf,
    },
}

/// What was mistyped is not answered with a command that is hidden.
pub(crate) fn without_hidden(mut error: clap::Error) -> clap::Error {
    let command = Cli::command();
    let is_hidden = |name: &String| command.find_subcommand(name).is_some_and(clap::Command::is_hide_set);
    let suggested = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(names)) => names.clone(),
        Some(ContextValue::String(name)) => vec![name.clone()],
        _ => return error,
    };
    if suggested.iter().any(is_hidden) {
        error.remove(ContextKind::SuggestedSubcommand);
        let shown: Vec<String> = suggested.into_iter().filter(|name| !is_hidden(name)).collect();
        if !shown.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
        }
    }
    error
}

/// `ferry host …`
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Register a host
    ///
    /// ferryd connects to it before it is registered. The first time, the fingerprint of the host's ssh key is shown and
    /// must be confirmed, or be given with --fingerprint. Where ferryd has no key that the host accepts, a password is
    /// used once to put Ferry's own key there; it is not stored.
    Add(HostAdd),
    /// List the registered hosts
    List,
    /// Show one host
    Show {
        /// The host's registered name
        #[arg(value_name = "NAME", value_parser = value::host_name)]
        name: String,
    },
    /// Forget a host; nothing on it is changed
    Remove {
        /// The host's registered name
        #[arg(value_name = "NAME", value_parser = value::host_name)]
        name: String,
        /// Also where something that a migration left there is to be removed yet: it stays then
        #[arg(long)]
        force: bool,
    },
}

/// `ferry host add`
#[derive(Debug, Args)]
pub(crate) struct HostAdd {
    /// The name to register the host under: letters, digits, '.', '_' and '-'
    #[arg(value_parser = value::host_name)]
    pub(crate) name: String,
    /// libvirt's connection URI: qemu+ssh://root@kvm2/system, or qemu:///system for the machine ferryd runs on
    #[arg(value_parser = value::uri)]
    pub(crate) uri: String,
    /// The libvirt URI by which the other hosts reach this one, where it differs from URI
    #[arg(long, value_name = "URI", value_parser = value::uri)]
    pub(crate) peer_uri: Option<String>,
    /// Where migrations to this host send the memory: an address of its own, like 10.1.0.2, or a network that it has one in, like
    /// 10.1.0.0/24 [without it: by its host name]
    #[arg(long, value_name = "ADDRESS|CIDR", value_parser = value::via)]
    pub(crate) migrate_via: Option<String>,
    /// Read a password for the ssh login from standard input (the first line)
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Trust the host's ssh key if it has this fingerprint (SHA256:…)
    #[arg(long, value_name = "FINGERPRINT", value_parser = value::fingerprint)]
    pub(crate) fingerprint: Option<String>,
}

/// `ferry vm …`
#[derive(Debug, Subcommand)]
pub(crate) enum VmCommand {
    /// List virtual machines
    List {
        /// Only those on this host
        #[arg(long, value_name = "HOST", value_parser = value::host_name)]
        host: Option<String>,
        /// Only those in this state
        #[arg(long, value_name = "STATE", value_parser = states())]
        state: Option<VmState>,
    },
    /// Show one virtual machine
    Show {
        /// Its name or UUID
        #[arg(value_name = "VM", value_parser = value::vm_name)]
        vm: String,
        /// The host it is on, where several hosts have one of that name
        #[arg(long, value_name = "HOST", value_parser = value::host_name)]
        host: Option<String>,
    },
}

/// `ferry migrate`
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The virtual machine's name or UUID
    #[arg(value_name = "VM", value_parser = value::vm_name)]
    pub(crate) vm: String,
    /// The registered host to move it to
    #[arg(long, visible_alias = "destination", value_name = "HOST", value_parser = value::host_name)]
    pub(crate) to: String,
    /// The registered host it is on, where several hosts have one of that name
    #[arg(long, visible_alias = "source", value_name = "HOST", value_parser = value::host_name)]
    pub(crate) from: Option<String>,
    /// The longest pause allowed at the switch-over, like 300ms or 1.5s [without it: libvirt's, 300ms]
    #[arg(long, value_name = "TIME", value_parser = value::downtime_ms)]
    pub(crate) max_downtime: Option<u64>,
    /// The most bandwidth to use, for the memory and for each disk copied meanwhile, like 100MiB/s or 1.5GiB/s [without it: as much as
    /// there is]
    #[arg(long, value_name = "RATE", value_parser = value::bandwidth_mib_s)]
    pub(crate) bandwidth: Option<u64>,
    /// Send the memory encrypted, through libvirt's own connection; costs speed
    #[arg(long)]
    pub(crate) secure: bool,
    /// Let the guest go on at the destination before all of its memory is there: when-stuck (only if the copy does not converge), or
    /// now (after one pass). Should either host or its QEMU fail then, its memory is lost
    #[arg(long, value_name = "WHEN", value_parser = post_copies(), conflicts_with = "secure")]
    pub(crate) post_copy: Option<PostCopy>,
    /// How the memory travels.
    #[command(flatten)]
    pub(crate) transport: TransportArgs,
    /// Leave out the warning or note of the checks with this code; may be given several times
    #[arg(long, value_name = "CODE", value_parser = value::code)]
    pub(crate) ignore: Vec<String>,
    /// Make the image of DISK (`*`: of every disk) in this storage pool of the destination; may be given several times
    #[arg(long, value_name = "DISK=POOL[/NAME]", value_parser = value::storage)]
    pub(crate) storage: Vec<StorageMapping>,
    /// You know that DISK is one and the same on both hosts, where that cannot be proven; may be given several times. If it is not, the
    /// guest goes on with other data
    #[arg(long, value_name = "DISK", value_parser = value::disk)]
    pub(crate) shared: Vec<String>,
    /// Have each disk that is copied arrive as one image, with nothing below it
    #[arg(long)]
    pub(crate) flatten: bool,
    /// What stays on the host it leaves.
    #[command(flatten)]
    pub(crate) leaving: LeavingArgs,
    /// Only start the migration; do not wait for its end
    #[arg(long)]
    pub(crate) detach: bool,
    /// Say everything that it would do, and do nothing
    #[arg(long, conflicts_with = "detach")]
    pub(crate) plan: bool,
    /// What is to be another on the destination. (The last: its heading is for what follows, too.)
    #[command(flatten)]
    pub(crate) mapping: MappingArgs,
}

/// How the memory travels. Which of them exclude each other ferryd knows, and says before anything begins.
#[derive(Debug, Args)]
#[command(next_help_heading = "How the memory travels")]
pub(crate) struct TransportArgs {
    /// Encrypt it between the two QEMUs: both hosts need certificates, see `ferryd tls init`
    #[arg(long)]
    pub(crate) tls: bool,
    /// Over this many connections at once, 1 to 255
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) parallel: Option<u8>,
    /// By this address of the destination, like 10.1.0.2, or by its address in this network, like 10.1.0.0/24
    #[arg(long, value_name = "ADDRESS|CIDR", value_parser = value::via)]
    pub(crate) via: Option<String>,
    /// Compress it: xbzrle, mt (QEMU before 9.1), zlib or zstd (the last two with --parallel)
    #[arg(long, value_name = "METHOD", value_parser = compressions())]
    pub(crate) compress: Option<Compression>,
    /// Without copying it before it is sent; needs --parallel
    #[arg(long)]
    pub(crate) zerocopy: bool,
    /// By RDMA
    #[arg(long)]
    pub(crate) rdma: bool,
    /// With ferryd between the two libvirts, for a source that does not reach the destination's; the memory goes straight there
    #[arg(long)]
    pub(crate) direct: bool,
}

/// `ferry check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The virtual machine's name or UUID
    #[arg(value_name = "VM", value_parser = value::vm_name)]
    pub(crate) vm: String,
    /// The registered host to move it to [without it: all of them]
    #[arg(long, visible_alias = "destination", value_name = "HOST", value_parser = value::host_name)]
    pub(crate) to: Option<String>,
    /// The registered host it is on, where several hosts have one of that name
    #[arg(long, visible_alias = "source", value_name = "HOST", value_parser = value::host_name)]
    pub(crate) from: Option<String>,
    /// Check the way home as well, after a reboot of the guest on the other host; the exit code is 0 where both go
    #[arg(long)]
    pub(crate) come_back: bool,
    /// Leave out the warning or note with this code; may be given several times
    #[arg(long, value_name = "CODE", value_parser = value::code)]
    pub(crate) ignore: Vec<String>,
    /// As for a migration with --secure
    #[arg(long)]
    pub(crate) secure: bool,
    /// As for a migration with this --post-copy
    #[arg(long, value_name = "WHEN", value_parser = post_copies(), conflicts_with = "secure")]
    pub(crate) post_copy: Option<PostCopy>,
    /// As for a migration whose memory travels so.
    #[command(flatten)]
    pub(crate) transport: TransportArgs,
    /// As for a migration with this longest pause at the switch-over; no check depends on it yet
    #[arg(long, value_name = "TIME", value_parser = value::downtime_ms)]
    pub(crate) max_downtime: Option<u64>,
    /// As for a migration with this limit of the bandwidth
    #[arg(long, value_name = "RATE", value_parser = value::bandwidth_mib_s)]
    pub(crate) bandwidth: Option<u64>,
    /// As for a migration with the image of DISK in this storage pool; may be given several times
    #[arg(long, value_name = "DISK=POOL[/NAME]", value_parser = value::storage)]
    pub(crate) storage: Vec<StorageMapping>,
    /// As for a migration with DISK known to be one and the same on both hosts; may be given several times
    #[arg(long, value_name = "DISK", value_parser = value::disk)]
    pub(crate) shared: Vec<String>,
    /// As for a migration with --flatten
    #[arg(long)]
    pub(crate) flatten: bool,
    /// The same as for a migration.
    #[command(flatten)]
    pub(crate) leaving: LeavingArgs,
    /// The same as for a migration.
    #[command(flatten)]
    pub(crate) mapping: MappingArgs,
}

/// `ferry task …`
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List the tasks under way, newest first
    List {
        /// Those that have ended, too
        #[arg(long)]
        all: bool,
    },
    /// Show one task
    Show {
        /// Its id, or the beginning of it
        #[arg(value_name = "ID", value_parser = value::task_ref)]
        id: TaskRef,
    },
    /// Watch a task until it ends; the exit code is that of its end
    #[command(after_help = EXIT_CODES)]
    Watch {
        /// Its id, or the beginning of it
        #[arg(value_name = "ID", value_parser = value::task_ref)]
        id: TaskRef,
    },
    /// Change a migration that is under way
    ///
    /// The new limit of the bandwidth holds at once for what is being copied, memory or disks. A migration that does not copy any more is
    /// left as it is, and the exit code is 1.
    Set {
        /// Its id, or the beginning of it
        #[arg(value_name = "ID", value_parser = value::task_ref)]
        id: TaskRef,
        /// The most bandwidth to use from now on, like 100MiB/s or 1.5GiB/s
        #[arg(long, value_name = "RATE", value_parser = value::bandwidth_mib_s)]
        bandwidth: u64,
    },
    /// Ask a task to stop; the virtual machine stays at the source
    Cancel {
        /// Its id, or the beginning of it
        #[arg(value_name = "ID", value_parser = value::task_ref)]
        id: TaskRef,
    },
    /// Decide for a task that needs a person
    ///
    /// The other side's copy is destroyed, and that is verified, before the kept one runs.
    Resolve(ResolveArgs),
}

/// `ferry task resolve`
#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// Its id, or the beginning of it
    #[arg(value_name = "ID", value_parser = value::task_ref)]
    pub(crate) id: TaskRef,
    /// Which side's copy to keep
    #[arg(long, value_name = "SIDE", value_parser = sides())]
    pub(crate) keep: Side,
    /// The other host is powered off and stays so until it was cleaned; you vouch for that
    #[arg(long)]
    pub(crate) fenced: bool,
}

/// One of the words of an enum of the API, read back from the word itself.
fn words<T>(all: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: serde::de::DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(all).try_map(|word| serde_json::from_value(serde_json::Value::String(word)))
}

fn states() -> impl TypedValueParser<Value = VmState> {
    words(&["running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended", "nostate"])
}

fn post_copies() -> impl TypedValueParser<Value = PostCopy> {
    words(&["when-stuck", "now"])
}

fn compressions() -> impl TypedValueParser<Value = Compression> {
    words(&["xbzrle", "mt", "zlib", "zstd"])
}

fn sides() -> impl TypedValueParser<Value = Side> {
    words(&["source", "destination"])
}

#[cfg(test)]
mod tests;
