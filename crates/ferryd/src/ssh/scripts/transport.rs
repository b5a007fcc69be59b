//! The script that tells what a host has for the ways that memory can travel.

use std::net::IpAddr;

use super::super::wrapper::shell_quoted;
use crate::model::facts::QemuOffers;

/// What a host said of the ways that memory can travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportAnswer {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its RDMA devices.
    pub rdma_devices: Vec<String>,
    /// Where QEMU's certificates are to be.
    pub tls_directory: String,
    /// `ca-cert.pem`, as it stands there; empty where it is not there. So for the two after it.
    pub authorities: String,
    /// `server-cert.pem`
    pub server: String,
    /// `client-cert.pem`
    pub client: String,
    /// The keys that are there (`server-key`).
    pub keys: Vec<String>,
    /// What the QEMU that was asked can do; none where none was, or it did not answer.
    pub qemu: Option<QemuOffers>,
}

/// Whose QEMU is asked what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmulatorOf<'a> {
    /// The path of its emulator.
    pub path: &'a str,
    /// The architecture of its CPU, as QEMU names it.
    pub architecture: &'a str,
}

/// A script that tells it; its output is read by [`parse_transport`]. `tls`: with the certificates, which are no secrets; of keys it
/// tells only whether they are there. `emulator`: with what that QEMU can do, for which it is started without a machine.
#[must_use]
pub fn transport(tls: bool, emulator: Option<EmulatorOf<'_>>) -> String {
    let (path, architecture) = emulator.map(|of| (of.path, of.architecture)).unwrap_or_default();
    format!(
        "WANT_TLS={} EMULATOR={} ARCHITECTURE={}\n{}",
        u8::from(tls),
        shell_quoted(path),
        shell_quoted(architecture),
        include_str!("transport.sh")
    )
}

/// What [`transport`] printed; none if it is not whole.
#[must_use]
pub fn parse_transport(output: &str) -> Option<TransportAnswer> {
    let (mut answer, mut offers) = (TransportAnswer::default(), QemuOffers::default());
    for line in output.lines() {
        match line.splitn(3, '\t').collect::<Vec<_>>().as_slice() {
            // (An address of a link may have the link's name behind it.)
            ["address", address] => answer.addresses.extend(address.split('%').next()?.parse::<IpAddr>()),
            ["rdma", device] => answer.rdma_devices.push((*device).to_owned()),
            ["tls-directory", directory] => answer.tls_directory = (*directory).to_owned(),
            ["pem", file, text] => {
                let whole = match *file {
                    "ca-cert" => &mut answer.authorities,
                    "server-cert" => &mut answer.server,
                    _ => &mut answer.client,
                };
                whole.push_str(text.trim_end_matches('\r'));
                whole.push('\n');
            }
            ["key", name] => answer.keys.push((*name).to_owned()),
            ["capability", name] => offers.capabilities.push((*name).to_owned()),
            ["multifd-compression", name] => offers.multifd_compressions.push((*name).to_owned()),
            ["emulator", path] => offers.emulator = (*path).to_owned(),
            ["end"] => {
                // One that said nothing of what every one has did not answer.
                answer.qemu = (!offers.capabilities.is_empty()).then_some(offers);
                return Some(answer);
            }
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

    #[tokio::test]
    async fn this_machine_tells_its_addresses_and_where_certificates_would_be() {
        let output =
            Shell::local().run(&transport(true, None), Duration::from_secs(20)).await.expect("it runs");
        assert!(output.success(), "{output:?}");
        let answer = parse_transport(&output.stdout).expect("it is whole");
        assert!(answer.addresses.iter().any(IpAddr::is_loopback), "{answer:?}");
        assert!(answer.tls_directory.starts_with('/'), "{answer:?}");
        assert_eq!(
            parse_transport(output.stdout.trim_end().trim_end_matches("end")),
            None,
            "half an answer is none"
        );
    }

    /// A program that answers as QEMU does: it wants a machine of the kind `none`, and ends when its language is asked for no longer.
    #[tokio::test]
    async fn a_qemu_tells_what_it_was_built_with() {
        let scratch = tempfile::tempdir().expect("a directory");
        let program = scratch.path().join("qemu it's");
        let said = r#"{"return": [{"name": "1", "values": ["xbzrle", "rdma-pin-all", "multifd"], "meta-type": "enum"}, {"name": "2", "members": [{"name": "none"}, {"name": "zlib"}], "values": ["none", "zlib", "zstd"]}, {"values": ["zlib", "zstd"]}]}"#;
        let script =
            format!("#!/bin/sh\ncase \"$*\" in *'-machine none'*) cat >/dev/null; echo '{said}' ;; esac\n");
        std::fs::write(&program, script).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("it can be run");
        let path = program.to_str().expect("UTF-8");
        let script = transport(false, Some(EmulatorOf { path, architecture: "x86_64" }));
        let output = Shell::local().run(&script, Duration::from_secs(20)).await.expect("it runs");
        let offers = parse_transport(&output.stdout).expect("it is whole").qemu.expect("it answered");
        assert_eq!(offers.emulator, path);
        assert_eq!(offers.capabilities, ["xbzrle", "rdma-pin-all", "multifd"]);
        assert_eq!(offers.multifd_compressions, ["none", "zlib", "zstd"]);
        std::fs::write(&program, "#!/bin/sh\nexit 1\n").expect("written");
        let output = Shell::local().run(&script, Duration::from_secs(20)).await.expect("it runs");
        assert_eq!(parse_transport(&output.stdout).expect("it is whole").qemu, None, "{output:?}");
    }

    #[test]
    fn files_are_put_together_again() {
        let said = "address\t10.1.0.2\ntls-directory\t/etc/pki/qemu\npem\tca-cert\t-----BEGIN\r\npem\tca-cert\tA\tB\n\
                    pem\tclient-cert\tC\nkey\tclient-key\nend\n";
        let answer = parse_transport(said).expect("it is whole");
        assert_eq!(answer.authorities, "-----BEGIN\nA\tB\n");
        assert_eq!((answer.client.as_str(), answer.server.as_str()), ("C\n", ""));
        assert_eq!(answer.keys, ["client-key"]);
    }
}
