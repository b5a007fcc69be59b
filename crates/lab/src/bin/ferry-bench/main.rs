//! `ferry-bench`: measured comparisons on real libvirt and QEMU, and the account that the demo gives of its guest.
//!
//! * `api` – what it costs to ask for all machines.
//! * `controller` – Ferry in a lab: `ferryd` on the machine without libvirt, hosts registered.
//! * `overhead` – `ferry migrate` against `virsh migrate`.
//! * `preflight` – what the checks say against what really happens.
//! * `storage` – moving with a disk against what others do.
//! * `soak` – guests to and fro with faults drawn by lot (`strike`).
//! * `table` – the table of the matrix of faults, from the rows of a run.
//! * `proof` – what a guest's own logs say of the moves behind it.
//! * `figures` – minimum, median, maximum.
#![allow(clippy::print_stderr)]

mod api;
mod controller;
mod figures;
mod overhead;
mod preflight;
mod proof;
mod soak;
mod storage;
mod strike;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures Ferry in a lab of its own. Needs root.
#[derive(Debug, Parser)]
#[command(name = "ferry-bench", version)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Compare ferry migrate with virsh migrate: whole process to whole process, and the pause seen from outside.
    Overhead(overhead::Options),
    /// Move guests to and fro with faults drawn by lot: nothing may be lost, doubled, damaged or left over.
    Soak(soak::Options),
    /// Compare moving a machine with its disk by Ferry, by virsh and by qemu-img with rsync: time, and bytes on the wire.
    Storage(storage::Options),
    /// Ask for all machines, of which there are more and more: time, answers a second, memory, idle processor time, freshness.
    Api(api::Options),
    /// Build situations in which a migration fails or does not, and compare what the checks say with what happens.
    Preflight(preflight::Options),
    /// Write docs/faults.json and docs/faults.md from the rows that a run of the matrix of faults left.
    FaultTable(table::Options),
    /// Tell what became of a guest of a lab that is up, from its own logs and the hosts' processes.
    ///
    /// Reads the tasks of its moves from standard input, as `ferry task list --all --json` prints them.
    Proof(proof::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().bench) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ferry-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all was well.
fn run(bench: Bench) -> Result<bool> {
    match bench {
        Bench::Overhead(options) => overhead::run(&options),
        Bench::Storage(options) => storage::run(&options),
        Bench::Soak(options) => soak::run(&options),
        Bench::Api(options) => api::run(&options),
        Bench::Preflight(options) => preflight::run(&options),
        Bench::FaultTable(options) => table::run(&options),
        Bench::Proof(options) => proof::run(&options),
    }
}
