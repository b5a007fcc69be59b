//! The script that asks a QEMU what it can do.

use uuid::Uuid;

use super::super::wrapper::shell_quoted;
use crate::model::facts::QemuOffers;

/// Which QEMU is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichQemu<'a> {
    /// The one that a domain runs in; or else the program at this path, its emulator.
    Of(Uuid, &'a str),
    /// The program at this path.
    At(&'a str),
}

/// A script that asks it; its output is read by [`parse_offers`]. The program is started without a machine for a moment.
#[must_use]
pub fn offers(which: WhichQemu<'_>) -> String {
    let (uuid, program) = match which {
        WhichQemu::Of(uuid, path) => (uuid.to_string(), path),
        WhichQemu::At(path) => (String::new(), path),
    };
    format!(
        "UUID={uuid} PROGRAM={}\nfind_qemu() (\n{})\n{}",
        shell_quoted(program),
        include_str!("find_qemu.sh"),
        include_str!("offers.sh")
    )
}

/// What [`offers`] printed; none where no QEMU answered, or not wholly.
#[must_use]
pub fn parse_offers(output: &str) -> Option<QemuOffers> {
    let mut offers = QemuOffers::default();
    for line in output.lines() {
        match line.splitn(2, '\t').collect::<Vec<_>>().as_slice() {
            ["capability", name] => offers.capabilities.push((*name).to_owned()),
            ["multifd-compression", name] => offers.multifd_compressions.push((*name).to_owned()),
            ["program", path] => (*path).clone_into(&mut offers.program),
            // One that says nothing of what every one has did not answer.
            ["end"] => return Some(offers).filter(|offers| !offers.capabilities.is_empty()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ssh::Shell;

    /// What a program that begins like this (it wants a machine of the kind `none`) is taken to offer.
    async fn asked(program: &str) -> Option<QemuOffers> {
        let scratch = tempfile::tempdir().expect("a directory");
        let path = scratch.path().join("qemu it's");
        let script = format!("#!/bin/sh\ncase \"$*\" in *'-machine none'*) {program} ;; esac\n");
        std::fs::write(&path, script).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("it can be run");
        let script = offers(WhichQemu::At(path.to_str().expect("UTF-8")));
        let output = Shell::local().run(&script, Duration::from_secs(20)).await.expect("it runs");
        assert!(output.success() && output.stdout.ends_with("end\n"), "{output:?}");
        parse_offers(&output.stdout)
    }

    const SCHEMA: &str = r#"{"return": [{"name": "1", "values": ["xbzrle", "rdma-pin-all", "multifd"], "meta-type": "enum"}, {"members": [{"name": "none"}], "values": ["none", "zlib", "zstd"]}, {"values": ["zlib", "zstd"]}]}"#;

    #[tokio::test]
    async fn a_qemu_tells_what_it_was_built_with() {
        let offers = asked(&format!("cat >/dev/null; echo '{SCHEMA}'")).await.expect("it answered");
        assert!(offers.program.ends_with("/qemu it's"), "{offers:?}");
        assert_eq!(offers.capabilities, ["xbzrle", "rdma-pin-all", "multifd"]);
        assert_eq!(offers.multifd_compressions, ["none", "zlib", "zstd"]);
    }

    #[tokio::test]
    async fn one_that_does_not_answer_wholly_has_not_answered() {
        assert_eq!(asked("exit 1").await, None);
        let (part, _) = SCHEMA.split_at(SCHEMA.len() - 30);
        assert_eq!(asked(&format!("cat >/dev/null; printf '%s' '{part}'")).await, None);
        assert_eq!(asked("exec sleep 60").await, None, "one that hangs is given up");
        assert_eq!(parse_offers("capability\txbzrle\n"), None, "half an answer is none");
    }

    #[tokio::test]
    async fn a_domain_that_does_not_run_has_no_qemu() {
        let script = offers(WhichQemu::Of(Uuid::from_u128(0x5eed), ""));
        let output = Shell::local().run(&script, Duration::from_secs(20)).await.expect("it runs");
        assert_eq!(output.stdout, "end\n");
    }
}
