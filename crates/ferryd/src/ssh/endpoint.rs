//! Where an ssh target really lies once the person's ssh configuration has spoken, and a byte stream to it.
//!
//! OpenSSH itself carries everything that runs for long. Two things it cannot do unattended: show a host's key before it
//! is trusted, and log in once with a password that is not typed. Those speak ssh over the stream opened here, which
//! goes the way that OpenSSH would go: aliases, ports, jump hosts and proxy commands are asked of `ssh -G`.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::child::{Complaint, OwnedChild, Streams, finished};
use super::classify::{ConnectFailure, classify};
use super::uri::SshTarget;

/// Why a host's ssh server could not be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The way there failed.
    #[error("{failure}: {text}")]
    Connect {
        /// The kind of failure.
        failure: ConnectFailure,
        /// What the system or ssh said.
        text: String,
    },
    /// The caller's time limit passed.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// Something answers, but does not speak ssh, or not in a way that Ferry can follow.
    #[error("the host's ssh server answers in a way that Ferry does not understand: {0}")]
    Protocol(String),
    /// The ssh configuration of the user that runs Ferry cannot be read.
    #[error("the ssh configuration cannot be used: {0}")]
    Configuration(String),
    /// A helper program of OpenSSH could not be started.
    #[error("ssh could not be started: {0}")]
    Start(#[from] io::Error),
}

impl ReachError {
    /// The kind of connection failure that this is or amounts to.
    pub fn failure(&self) -> ConnectFailure {
        match self {
            Self::Connect { failure, .. } => *failure,
            Self::TimedOut(_) => ConnectFailure::TimedOut,
            Self::Protocol(_) | Self::Configuration(_) | Self::Start(_) => ConnectFailure::Other,
        }
    }

    fn from_io(error: &io::Error) -> Self {
        let failure = match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ConnectFailure::NoRoute,
            io::ErrorKind::TimedOut => ConnectFailure::TimedOut,
            _ => classify(&error.to_string()),
        };
        Self::Connect { failure, text: error.to_string() }
    }
}

/// How OpenSSH gets to a host that it does not connect to by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Proxy {
    /// Through other hosts.
    Jump(String),
    /// Through a program of the person's choice.
    Command(String),
}

/// What the ssh configuration makes of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    target: SshTarget,
    hostname: String,
    port: u16,
    user: String,
    key_alias: Option<String>,
    proxy: Option<Proxy>,
    system_known_hosts: Vec<PathBuf>,
}

impl Endpoint {
    /// Asks OpenSSH.
    ///
    /// # Errors
    /// [`ReachError::Configuration`], [`ReachError::Start`] or [`ReachError::TimedOut`].
    pub async fn resolve(target: &SshTarget, limit: Duration) -> Result<Self, ReachError> {
        let mut arguments = vec!["-G".to_owned()];
        arguments.extend(target.arguments());
        let asked = timeout(limit, finished("ssh", &arguments)).await;
        let (status, output, complaint) = asked.map_err(|_| ReachError::TimedOut(limit))??;
        if !status.success() {
            return Err(ReachError::Configuration(complaint.trim().to_owned()));
        }
        Self::parse(target, &output)
            .ok_or_else(|| ReachError::Configuration("ssh -G gave no answer".to_owned()))
    }

    fn parse(target: &SshTarget, output: &str) -> Option<Self> {
        let value = |key: &str| {
            let of_key = |line: &&str| line.split_once(' ').is_some_and(|(k, v)| k == key && v != "none");
            output
                .lines()
                .find(of_key)
                .and_then(|line| line.split_once(' '))
                .map(|(_, value)| value.to_owned())
        };
        let jump = value("proxyjump").map(Proxy::Jump);
        Some(Self {
            target: target.clone(),
            hostname: value("hostname")?,
            port: value("port")?.parse().ok()?,
            user: value("user")?,
            key_alias: value("hostkeyalias"),
            proxy: jump.or_else(|| value("proxycommand").map(Proxy::Command)),
            system_known_hosts: value("globalknownhostsfile")
                .map(|files| files.split(' ').map(PathBuf::from).collect())
                .unwrap_or_default(),
        })
    }

    /// The target as given.
    pub fn target(&self) -> &SshTarget {
        &self.target
    }

    /// The host name or address that is connected to.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// The port that is connected to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user that logs in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The name under which OpenSSH keeps the host's key: `host`, `[host]:port`, or an alias from the configuration.
    pub fn key_name(&self) -> String {
        let name = self.key_alias.as_deref().unwrap_or(&self.hostname).to_lowercase();
        if self.key_alias.is_some() || self.port == 22 { name } else { format!("[{name}]:{}", self.port) }
    }

    /// The files of known hosts that hold for every user.
    pub(super) fn system_known_hosts(&self) -> &[PathBuf] {
        &self.system_known_hosts
    }

    /// Opens a stream to the ssh server.
    pub(super) async fn open(&self) -> Result<(Stream, Way), ReachError> {
        match &self.proxy {
            None => Ok((Box::pin(self.connect().await?), Way(None))),
            Some(proxy) => {
                let (program, arguments) = self.proxy_command(proxy);
                let (child, Streams { stdin, stdout, stderr }) = OwnedChild::start(program, &arguments)?;
                let stream: tokio::io::Join<ChildStdout, ChildStdin> = tokio::io::join(stdout, stdin);
                Ok((Box::pin(stream), Way(Some((child, Complaint::collect(stderr))))))
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, ReachError> {
        let unresolved = |text: String| ReachError::Connect { failure: ConnectFailure::Resolve, text };
        let addresses = lookup_host((self.hostname.as_str(), self.port)).await;
        let mut failed = unresolved(format!("{} has no address", self.hostname));
        for address in addresses.map_err(|error| unresolved(error.to_string()))? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failed = ReachError::from_io(&error),
            }
        }
        Err(failed)
    }

    /// The program that OpenSSH itself would start. The command is the person's own, from their own configuration.
    fn proxy_command(&self, proxy: &Proxy) -> (&'static str, Vec<String>) {
        match proxy {
            Proxy::Command(command) => {
                ("sh", vec!["-c".to_owned(), format!("exec {}", self.expanded(command))])
            }
            Proxy::Jump(jumps) => {
                let (before, last) =
                    jumps.rsplit_once(',').map_or((None, jumps.as_str()), |(b, l)| (Some(b), l));
                let mut arguments = vec!["-o".to_owned(), "BatchMode=yes".to_owned()];
                if let Some(before) = before {
                    arguments.extend(["-J".to_owned(), before.to_owned()]);
                }
                arguments.extend([
                    "-W".to_owned(),
                    format!("[{}]:{}", self.hostname, self.port),
                    "--".to_owned(),
                ]);
                let bare = last.strip_prefix("ssh://").unwrap_or(last);
                arguments.push(format!("ssh://{bare}"));
                ("ssh", arguments)
            }
        }
    }

    /// A proxy command with its `%` marks replaced.
    fn expanded(&self, command: &str) -> String {
        let mut expanded = String::new();
        let mut characters = command.chars();
        while let Some(character) = characters.next() {
            match (character, if character == '%' { characters.next() } else { None }) {
                ('%', Some('%')) => expanded.push('%'),
                ('%', Some('h')) => expanded.push_str(&self.hostname),
                ('%', Some('n')) => expanded.push_str(self.target.host()),
                ('%', Some('p')) => expanded.push_str(&self.port.to_string()),
                ('%', Some('r')) => expanded.push_str(&self.user),
                (_, Some(other)) => expanded.extend(['%', other]),
                (_, None) => expanded.push(character),
            }
        }
        expanded
    }
}

/// Both directions of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// A connection to an ssh server, by whatever way.
pub(super) type Stream = Pin<Box<dyn Duplex>>;

/// What keeps a connection up, and knows what went wrong on the way.
pub(super) struct Way(Option<(OwnedChild, Complaint)>);

impl Way {
    /// The error for a connection on which ssh could not be spoken.
    pub(super) async fn error(mut self, error: &russh::Error) -> ReachError {
        if let Some((_, complaint)) = &mut self.0 {
            let text = complaint.text().await.trim().to_owned();
            if !text.is_empty() {
                return ReachError::Connect { failure: classify(&text), text };
            }
        }
        not_spoken(error)
    }
}

/// The error for a connection that was taken, and on which no ssh was spoken.
fn not_spoken(error: &russh::Error) -> ReachError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        russh::Error::Disconnect | russh::Error::HUP => {
            ReachError::Connect { failure: ConnectFailure::Dropped, text: error.to_string() }
        }
        russh::Error::IO(io)
            if matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof) =>
        {
            ReachError::Connect { failure: ConnectFailure::Dropped, text: io.to_string() }
        }
        russh::Error::IO(error) => ReachError::from_io(error),
        other => ReachError::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> SshTarget {
        SshTarget::new(None, "kvm2", None).expect("target")
    }

    #[test]
    fn the_configuration_is_read() {
        let text = "host kvm2\nuser ro ot\nhostname 10.0.0.2\nport 2222\nproxycommand none\n\
                    globalknownhostsfile /etc/a /etc/b\n";
        let endpoint = Endpoint::parse(&target(), text).expect("parse");
        assert_eq!((endpoint.hostname(), endpoint.port(), endpoint.user()), ("10.0.0.2", 2222, "ro ot"));
        assert_eq!(endpoint.key_name(), "[10.0.0.2]:2222");
        assert_eq!(endpoint.proxy, None);
        assert_eq!(endpoint.system_known_hosts().len(), 2);
        let alias = Endpoint::parse(&target(), &format!("{text}hostkeyalias Web\n")).expect("parse");
        assert_eq!(alias.key_name(), "web");
        assert_eq!(Endpoint::parse(&target(), "hostname x\n"), None);
    }

    #[test]
    fn proxies_go_where_openssh_would() {
        let text = "user root\nhostname 10.0.0.2\nport 22\n";
        let command = format!("{text}proxycommand nc %h %p %r %n 100%% %x %\n");
        let endpoint = Endpoint::parse(&target(), &command).expect("parse");
        let expected = vec!["-c".to_owned(), "exec nc 10.0.0.2 22 root kvm2 100% %x %".to_owned()];
        assert_eq!(endpoint.proxy.as_ref().map(|p| endpoint.proxy_command(p)), Some(("sh", expected)));
        let jump = Endpoint::parse(&target(), &format!("{text}proxyjump a,me@b:2222\n")).expect("parse");
        let (program, arguments) = jump.proxy.as_ref().map(|p| jump.proxy_command(p)).expect("proxy");
        assert_eq!(program, "ssh");
        assert_eq!(arguments[2..], ["-J", "a", "-W", "[10.0.0.2]:22", "--", "ssh://me@b:2222"]);
    }

    #[tokio::test]
    async fn openssh_is_asked() {
        let target = SshTarget::new(Some("someone"), "no-such-alias.invalid", Some(2222)).expect("target");
        let endpoint = Endpoint::resolve(&target, Duration::from_secs(10)).await.expect("resolve");
        assert_eq!(endpoint.user(), "someone");
        assert_eq!(endpoint.key_name(), "[no-such-alias.invalid]:2222");
    }
}
