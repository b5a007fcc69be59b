//! What of a virtual machine is to be another on the destination.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::exit::Failure;
use crate::value;

/// What is to be another on the destination.
#[derive(Debug, Args)]
#[command(next_help_heading = "Another definition on the destination")]
pub(crate) struct MappingArgs {
    /// Connect what is connected to the network OLD of libvirt's to NEW there; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = value::mapping)]
    network: Vec<(String, String)>,
    /// Connect what is connected to the bridge OLD to NEW there; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = value::mapping)]
    bridge: Vec<(String, String)>,
    /// Have screens that listen on the address OLD listen on NEW there; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = value::mapping)]
    graphics_listen: Vec<(String, String)>,
    /// Send clients that look at its SPICE screen to this place when it moves [without it: to the destination's host name]
    #[arg(long, value_name = "spice://HOST[:PORT]")]
    graphics_uri: Option<String>,
    /// Have this CD-ROM or floppy drive empty there; may be given several times
    #[arg(long, value_name = "DISK", value_parser = value::disk)]
    eject: Vec<String>,
    /// Give it this name there
    #[arg(long, value_name = "NAME", value_parser = value::new_name)]
    rename: Option<String>,
    /// Change its definition there by this file, a diff as in RFC 5261: see docs/moving.md
    #[arg(long, value_name = "FILE")]
    xml_patch: Option<PathBuf>,
}

/// The same as it is sent.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    pub(crate) network: BTreeMap<String, String>,
    pub(crate) bridge: BTreeMap<String, String>,
    pub(crate) graphics_listen: BTreeMap<String, String>,
    pub(crate) graphics_uri: Option<String>,
    pub(crate) eject: Vec<String>,
    pub(crate) rename: Option<String>,
    pub(crate) xml_patch: Option<String>,
}

impl MappingArgs {
    /// Reads the patch, where one is named.
    ///
    /// # Errors
    /// It cannot be read; or something is mapped to two things.
    pub(crate) fn read(self) -> Result<Mapping, Failure> {
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path)
                .map_err(|error| Failure::Plain(format!("{}: {error}", path.display())))
        };
        Ok(Mapping {
            network: once("--network", self.network)?,
            bridge: once("--bridge", self.bridge)?,
            graphics_listen: once("--graphics-listen", self.graphics_listen)?,
            graphics_uri: self.graphics_uri,
            eject: self.eject,
            rename: self.rename,
            xml_patch: self.xml_patch.map(read).transpose()?,
        })
    }
}

/// Each is mapped once.
fn once(option: &str, pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let mut map = BTreeMap::new();
    for (old, new) in pairs {
        if let Some(other) = map.insert(old.clone(), new.clone()).filter(|other| *other != new) {
            return Err(Failure::Plain(format!("{option}: {old} is mapped to both {other} and {new}")));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn read(options: &[&str]) -> Result<Mapping, String> {
        let line = ["ferry", "migrate", "web1", "--to", "kvm2"].iter().chain(options);
        let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        let Command::Migrate(args) = cli.command else { panic!("not migrate") };
        args.mapping.read().map_err(|error| error.to_string())
    }

    #[test]
    fn mappings_are_read() {
        let options = ["--network", "default=lan", "--network", "dmz=lan", "--bridge", "br0=br1"];
        let more = ["--graphics-listen", "::1=::", "--rename", "web2", "--eject", "sda", "--eject", "fda"];
        let mapping = read(&[&options[..], &more].concat()).unwrap();
        assert_eq!(mapping.eject, ["sda", "fda"]);
        assert_eq!(mapping.network["dmz"], "lan");
        assert_eq!((mapping.network.len(), mapping.bridge["br0"].as_str()), (2, "br1"));
        assert_eq!(
            (mapping.graphics_listen["::1"].as_str(), mapping.rename.as_deref()),
            ("::", Some("web2"))
        );
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for wrong in [
            &["--network", "default"][..],
            &["--network", "=lan"],
            &["--network", "default="],
            &["--bridge", "br0=br1", "--bridge", "br0=br2"],
            &["--rename", ""],
            &["--rename", "a b"],
            &["--rename", "a/b"],
            &["--rename=-a"],
            &["--xml-patch", "/no/such/file"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
