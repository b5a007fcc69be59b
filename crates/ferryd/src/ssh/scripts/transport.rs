//! The script that tells what a host has for the ways that memory can travel.

use std::net::IpAddr;

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
}

/// A script that tells it; its output is read by [`parse_transport`]. `tls`: with the certificates, which are no secrets; of keys it
/// tells only whether they are there.
#[must_use]
pub fn transport(tls: bool) -> String {
    format!("WANT_TLS={}\n{}", u8::from(tls), include_str!("transport.sh"))
}

/// What [`transport`] printed; none if it is not whole.
#[must_use]
pub fn parse_transport(output: &str) -> Option<TransportAnswer> {
    let mut answer = TransportAnswer::default();
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
            ["end"] => return Some(answer),
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
        let output = Shell::local().run(&transport(true), Duration::from_secs(20)).await.expect("it runs");
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
