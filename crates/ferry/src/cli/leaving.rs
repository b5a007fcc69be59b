//! What stays on the host that a virtual machine leaves.

use api::task::SnapshotsWish;
use clap::Args;
use clap::builder::TypedValueParser;

use super::words;

/// What stays on the host it leaves, and what goes along of what libvirt keeps there.
#[derive(Debug, Args)]
pub(crate) struct LeavingArgs {
    /// What becomes of what libvirt knows of its snapshots; one that runs and has some is not moved without it [of a stopped one: keep]
    #[arg(long, value_name = "WHAT", value_parser = snapshot_wishes())]
    pub(crate) snapshots: Option<SnapshotsWish>,
    /// Leave a copy on the host it leaves: stopped, under another name and UUID, with the disks that are there
    #[arg(long, conflicts_with = "delete_source_disks")]
    pub(crate) copy: bool,
    /// Remove the images that were copied from the host it leaves, once it is proven to be on the other
    #[arg(long)]
    pub(crate) delete_source_disks: bool,
}

fn snapshot_wishes() -> impl TypedValueParser<Value = SnapshotsWish> {
    words(&["keep", "drop"])
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use clap::error::ErrorKind;

    use super::super::{Cli, Command};
    use super::*;

    fn read(line: &str) -> (Option<SnapshotsWish>, bool, bool) {
        let of = |args: LeavingArgs| (args.snapshots, args.copy, args.delete_source_disks);
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Migrate(args) => of(args.leaving),
            Command::Check(args) => of(args.leaving),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_is_read_for_a_check_as_for_a_migration() {
        for begun in ["ferry migrate v --to k", "ferry check v --to k", "ferry check v"] {
            assert_eq!(read(begun), (None, false, false));
            let copy = format!("{begun} --snapshots drop --copy");
            assert_eq!(read(&copy), (Some(SnapshotsWish::Drop), true, false));
            assert_eq!(read(&format!("{begun} --delete-source-disks")), (None, false, true));
            let both = format!("{begun} --copy --delete-source-disks");
            let refused = Cli::try_parse_from(both.split(' ')).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ArgumentConflict);
        }
    }
}
