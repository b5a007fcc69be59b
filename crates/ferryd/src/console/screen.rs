//! The way to a machine's screen: bytes of VNC or SPICE, as they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::refused::Refused;
use crate::inventory::member::Member;
use crate::libvirt::console::{Line, local_screen};
use crate::libvirt::error::HostError;
use crate::messages::{Message, Text};
use crate::model::definition::Graphics;
use crate::model::{DomainUuid, HostName};
use crate::ssh::{SshDir, Transport};

/// How long the other end may take to take a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How much is taken at once.
const AT_ONCE: usize = 1 << 16;

/// How a screen is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// By this machine's libvirt, wherever it listens.
    Local,
    /// Through ssh, at an address as the host sees it.
    Ssh(IpAddr, u16),
    /// Straight.
    Tcp(String, u16),
}

/// How a screen is reached by whoever reaches its host so; why not, where not.
fn way(screen: &Graphics, transport: &Transport) -> Result<Way, Text> {
    let host = match transport {
        Transport::Local => return Ok(Way::Local),
        Transport::Ssh(target) => target.host(),
        Transport::Tls { host, .. } | Transport::Tcp { host, .. } => host,
    };
    let Some(port) = screen.port else {
        return Err(Message::FERRYWHY0065I.into());
    };
    let listen = screen.listen.as_deref().unwrap_or("127.0.0.1");
    let Ok(address) = listen.parse::<IpAddr>() else {
        return Err(Message::FERRYWHY0066I { listen: listen.into() }.into());
    };
    if let Transport::Ssh(_) = transport {
        return Ok(Way::Ssh(as_seen_there(address), port));
    }
    match address {
        address if address.is_loopback() => {
            Err(Message::FERRYWHY0067I { address: address.to_string().into() }.into())
        }
        address if address.is_unspecified() => Ok(Way::Tcp(host.to_owned(), port)),
        address => Ok(Way::Tcp(address.to_string(), port)),
    }
}

/// An address that means all addresses, as one of them.
fn as_seen_there(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// Connects to a screen; `keep` outlives the connection.
pub(super) async fn open<K: Send + 'static>(
    member: &Member,
    ssh: &SshDir,
    domain: DomainUuid,
    (index, screen): (u32, Graphics),
    keep: K,
) -> Result<Line, Refused> {
    let out_of_reach = |how: Text| Refused::OutOfReach { host: member.name().to_owned(), how };
    let failed = |what: String, error: std::io::Error| {
        Refused::from(HostError::Unreachable {
            host: member.name().to_owned(),
            reason: format!("{what}: {error}"),
        })
    };
    match way(&screen, member.uri().transport()).map_err(out_of_reach)? {
        Way::Local => {
            let opening = member.link().long_call_within("graphics", CONNECT_LIMIT, move |connect| {
                local_screen(connect, domain, index)
            });
            let socket = std::os::unix::net::UnixStream::from(opening.await?);
            let socket = socket.set_nonblocking(true).and_then(|()| UnixStream::from_std(socket));
            let (reader, writer) =
                socket.map_err(|error| failed("its screen".to_owned(), error))?.into_split();
            Ok(over(reader, writer, async || (), keep))
        }
        Way::Ssh(address, port) => {
            let Transport::Ssh(target) = member.uri().transport() else { return Err(Refused::NoScreen) };
            let host =
                member.name().parse::<HostName>().map_err(|error| out_of_reach(error.to_string().into()))?;
            let (reader, writer, mut forward) = ssh
                .forward(&host, target, address, port)
                .map_err(|error| failed("ssh could not be started".to_owned(), error))?;
            let host = member.name().to_owned();
            let at_end = async move || {
                let said = forward.complaint().await;
                if !said.trim().is_empty() {
                    tracing::warn!(host, port, said = said.trim(), "a screen was not reached through ssh");
                }
            };
            Ok(over(reader, writer, at_end, keep))
        }
        Way::Tcp(address, port) => {
            let connecting = TcpStream::connect((address.as_str(), port));
            let connected = tokio::time::timeout(CONNECT_LIMIT, connecting).await;
            let connected = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            let socket =
                connected.map_err(|error| failed(format!("its screen at {address}:{port}"), error))?;
            let (reader, writer) = socket.into_split();
            Ok(over(reader, writer, async || (), keep))
        }
    }
}

/// A line over a connection. `at_end` is awaited where the far end ends it.
fn over<K: Send + 'static, F: Future<Output = ()> + Send>(
    mut reader: impl AsyncRead + Unpin + Send + 'static,
    mut writer: impl AsyncWrite + Unpin + Send + 'static,
    at_end: impl FnOnce() -> F + Send + 'static,
    keep: K,
) -> Line {
    let (line, mut far) = Line::pair();
    let read = async move {
        let mut buffer = vec![0; AT_ONCE];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            if far.to.send(buffer[..count].to_vec()).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some(bytes) = far.from.recv().await {
            if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                break;
            }
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = read => at_end().await,
            () = write => {}
        }
        drop(keep);
    });
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::LibvirtUri;

    fn to(uri: &str, listen: Option<&str>, port: Option<u16>) -> Result<Way, Text> {
        let screen = Graphics { listen: listen.map(str::to_owned), port, ..Graphics::default() };
        way(&screen, uri.parse::<LibvirtUri>().unwrap().transport())
    }

    #[test]
    fn a_screen_is_reached_as_its_host_is() {
        let port = Some(5900);
        let v4 = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(to("qemu:///system", None, None), Ok(Way::Local));
        let ssh = "qemu+ssh://root@kvm2/system";
        assert_eq!(to(ssh, None, port), Ok(Way::Ssh(v4("127.0.0.1"), 5900)));
        assert_eq!(to(ssh, Some("0.0.0.0"), port), Ok(Way::Ssh(v4("127.0.0.1"), 5900)));
        assert_eq!(to(ssh, Some("::"), port), Ok(Way::Ssh(v4("::1"), 5900)));
        assert_eq!(to(ssh, Some("10.0.0.2"), port), Ok(Way::Ssh(v4("10.0.0.2"), 5900)));
        assert!(to(ssh, Some("-oProxyCommand=id"), port).is_err());
        assert!(to(ssh, None, None).unwrap_err().to_string().contains("no port"));
        let tls = "qemu+tls://kvm2/system";
        assert_eq!(to(tls, Some("0.0.0.0"), port), Ok(Way::Tcp("kvm2".to_owned(), 5900)));
        assert_eq!(to(tls, Some("10.0.0.2"), port), Ok(Way::Tcp("10.0.0.2".to_owned(), 5900)));
        assert!(to(tls, Some("127.0.0.1"), port).unwrap_err().to_string().contains("that host alone"));
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_either_end_ends_it() {
        let (ours, theirs) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(ours);
        let (keep, mut kept) = tokio::sync::oneshot::channel::<()>();
        let mut line = over(reader, writer, async || (), keep);
        let (mut reader, mut writer) = tokio::io::split(theirs);
        line.to.send(b"ping".to_vec()).await.unwrap();
        let mut got = [0; 4];
        reader.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ping");
        writer.write_all(b"pong").await.unwrap();
        assert_eq!(line.from.recv().await.as_deref(), Some(&b"pong"[..]));
        assert!(kept.try_recv().is_err());
        drop(line);
        assert!(kept.await.is_err(), "what it held is let go");

        let (ours, theirs) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(ours);
        let mut line = over(reader, writer, async || (), ());
        drop(theirs);
        assert_eq!(line.from.recv().await, None);
    }
}
