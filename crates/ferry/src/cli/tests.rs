//! What is read of a command line.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_full_migrate_is_read() {
    let line =
        "ferry migrate web1 --to kvm2 --from kvm1 --max-downtime 300ms --bandwidth 1GiB/s --secure --json";
    let cli = parse(line).unwrap();
    let Command::Migrate(args) = cli.command else { panic!("not migrate") };
    assert_eq!((args.vm.as_str(), args.to.as_str(), args.from.as_deref()), ("web1", "kvm2", Some("kvm1")));
    assert_eq!(
        (args.max_downtime, args.bandwidth, args.secure, args.detach),
        (Some(300), Some(1024), true, false)
    );
    assert!(cli.global.json);
}

#[test]
fn places_of_disks_are_read() {
    let cli =
        parse("ferry migrate web1 --to kvm2 --storage vda=fast/web1.img --storage *=slow --flatten").unwrap();
    let Command::Migrate(args) = cli.command else { panic!("not migrate") };
    let read: Vec<_> =
        args.storage.iter().map(|it| (it.disk.as_str(), it.pool.as_str(), it.volume.as_deref())).collect();
    assert_eq!(read, [("vda", "fast", Some("web1.img")), ("*", "slow", None)]);
    assert!(args.flatten);
    let line = "ferry check web1 --to kvm2 --shared vda --shared vdb --max-downtime 1.5s";
    let Command::Check(args) = parse(line).unwrap().command else { panic!("not check") };
    assert_eq!((args.shared, args.max_downtime), (vec!["vda".to_owned(), "vdb".to_owned()], Some(1500)));
    assert!(parse("ferry migrate web1 --to kvm2 --shared *").is_err(), "each by itself");
}

#[test]
fn how_memory_travels_is_read() {
    let line = "ferry migrate web1 --to kvm2 --tls --parallel 4 --via 10.1.0.0/24 --compress zstd --direct";
    let Command::Migrate(args) = parse(line).unwrap().command else { panic!("not migrate") };
    let TransportArgs { tls, parallel, via, compress, zerocopy, rdma, direct } = args.transport;
    assert_eq!((tls, parallel, via.as_deref()), (true, Some(4), Some("10.1.0.0/24")));
    assert_eq!((compress, zerocopy, rdma, direct), (Some(Compression::Zstd), false, false, true));
    for wrong in ["--parallel 0", "--parallel 256", "--via kvm2", "--via 10.1.0.0/33", "--compress lz4"] {
        assert!(parse(&format!("ferry migrate web1 --to kvm2 {wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn words_of_the_api_are_taken() {
    for word in ["running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended", "nostate"] {
        let cli = parse(&format!("ferry vm list --state {word}")).unwrap();
        let Command::Vm(VmCommand::List { state: Some(state), .. }) = cli.command else { panic!("{word}") };
        assert_eq!(state.as_str(), word);
    }
    let cli = parse("ferry task resolve 0198 --keep destination --fenced").unwrap();
    let Command::Task(TaskCommand::Resolve(args)) = cli.command else { panic!("not resolve") };
    assert_eq!((args.keep, args.fenced), (Side::Destination, true));
}

#[test]
fn what_could_be_an_option_is_refused() {
    for line in [
        "ferry vm show -- -x",
        "ferry host add -- -x qemu:///system",
        "ferry migrate v --to=-x",
        "ferry host show -x",
    ] {
        let error = parse(line).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::UnknownArgument),
            "{line}: {error}"
        );
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn https_is_refused_plainly() {
    let error = parse("ferry host list --server https://kvm1").unwrap_err();
    assert!(error.to_string().contains("https is not offered yet"), "{error}");
}
