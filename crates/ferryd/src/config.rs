//! Configuration: one table of keys, each a line of the file, an environment variable and a flag.
//!
//! A flag goes before the environment, that before the file, that before the default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod data_dir;
mod logging;
mod values;

use crate::libvirt::link::LinkLimits;

pub use data_dir::{DataDir, DataDirError};
pub use logging::init as init_logging;
pub use values::{Days, Groups, Listen, LocalHost, LogFilter, LogFormat, Seconds, ValueError};

/// The file that is read when no other is named and this one exists.
pub const DEFAULT_FILE: &str = "/etc/ferry/ferryd.toml";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A path is none.
    #[error("{path:?} is not a path")]
    Path {
        /// What was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be; the text names the line and the key.
    #[error("the configuration file {} is wrong: {problem}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, where.
        problem: String,
    },
}

/// Makes of one table: the configuration, the file's and the flags' forms of it, and its documentation.
macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $env:literal;)*) => {
        /// The configuration in effect.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: $type,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// What the flags and the environment say.
        #[derive(Clone, Debug, Default, clap::Args)]
        pub struct Flags {
            $($(#[doc = $doc])+ #[arg(long, env = $env, global = true)] pub $name: Option<$type>,)*
        }

        /// What the file says.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            $($name: Option<$type>,)*
        }

        impl Config {
            fn from_parts(flags: Flags, file: File) -> Self {
                let default = Self::default();
                Self { $($name: flags.$name.or(file.$name).unwrap_or(default.$name),)* }
            }

            /// The configuration as a file that says the same, each key with its meaning above it.
            #[must_use]
            pub fn to_toml(&self) -> String {
                let mut text = String::new();
                $(push_key(&mut text, &[$($doc),+], stringify!($name), $env, toml::Value::try_from(&self.$name));)*
                text
            }
        }
    };
}

keys! {
    /// Directory of the database, the keys and the lock; created with mode 0700.
    data_dir: PathBuf = PathBuf::from("/var/lib/ferry"), "FERRYD_DATA_DIR";
    /// The Unix socket to listen on; its owner and its group may use it.
    socket: PathBuf = PathBuf::from("/run/ferry/ferry.sock"), "FERRYD_SOCKET";
    /// A loopback address and port to listen on besides (`127.0.0.1:PORT` or `[::1]:PORT`; port 0 takes a free one), or off.
    /// There one logs in as a user of this machine; on the socket nobody needs to.
    listen: Listen = Listen::Off, "FERRYD_LISTEN";
    /// Groups whose members may do everything when they log in, after commas; root may always, all others use the virtual machines
    /// that list them.
    admin_groups: Groups = Groups::sudoers(), "FERRYD_ADMIN_GROUPS";
    /// How the log is written to standard error: text or json.
    log_format: LogFormat = LogFormat::Text, "FERRYD_LOG_FORMAT";
    /// What is logged: error, warn, info, debug or trace, also for one module alone (info,ferryd::http=debug).
    log_level: LogFilter = LogFilter::default(), "FERRYD_LOG_LEVEL";
    /// Whether this machine's own libvirt (qemu:///system) is registered by itself where there is one: auto or off.
    local_host: LocalHost = LocalHost::Auto, "FERRYD_LOCAL_HOST";
    /// Seconds that connecting to a host may take (1 to 3600).
    connect_timeout_s: Seconds = Seconds::new_const(5), "FERRYD_CONNECT_TIMEOUT_S";
    /// Seconds that one call to a host's libvirt may take (1 to 6: a migration acts upon nothing that was asked longer ago).
    call_timeout_s: Seconds<6> = Seconds::new_const(5), "FERRYD_CALL_TIMEOUT_S";
    /// Seconds that the checks before a migration may take in all (1 to 3600).
    preflight_timeout_s: Seconds = Seconds::new_const(3), "FERRYD_PREFLIGHT_TIMEOUT_S";
    /// Seconds that a guest may stay frozen when its migration's other end is gone: then it goes on at the source (1 to 3600).
    recovery_timeout_s: Seconds = Seconds::new_const(15), "FERRYD_RECOVERY_TIMEOUT_S";
    /// Days that the events of ended tasks are kept; 0 keeps them for ever.
    event_retention_days: Days = Days(30), "FERRYD_EVENT_RETENTION_DAYS";
}

impl Config {
    /// Puts the configuration together. A file that was named must exist; the default one need not.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(flags: Flags, file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let file = match std::fs::read_to_string(path) {
            Ok(text) => parse(path, &text)?,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        let config = Self::from_parts(flags, file);
        // Absolute, since what is told to other programs (ssh, libvirt) is not told from where we were started.
        Ok(Self { data_dir: absolute(config.data_dir)?, socket: absolute(config.socket)?, ..config })
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("ferry.db")
    }

    /// The loopback address to listen on.
    #[must_use]
    pub fn listen_address(&self) -> Option<SocketAddr> {
        match self.listen {
            Listen::Off => None,
            Listen::At(address) => Some(address),
        }
    }

    /// The limits of the connections to hosts. A frozen daemon is noticed after four probes of three seconds.
    #[must_use]
    pub fn link_limits(&self) -> LinkLimits {
        LinkLimits {
            connect: self.connect_timeout_s.duration(),
            call: self.call_timeout_s.duration(),
            keep_alive_s: 3,
            keep_alive_count: 4,
        }
    }

    /// How long events of ended tasks are kept; none means for ever.
    #[must_use]
    pub fn event_retention(&self) -> Option<Duration> {
        (self.event_retention_days.0 > 0)
            .then(|| Duration::from_secs(u64::from(self.event_retention_days.0) * 86_400))
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&path).map_err(|source| ConfigError::Path { path, source })
}

fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Parse {
        path: path.to_owned(),
        problem: error.to_string().trim_end().to_owned(),
    })
}

fn push_key(
    text: &mut String,
    doc: &[&str],
    name: &str,
    env: &str,
    value: Result<toml::Value, toml::ser::Error>,
) {
    for line in doc {
        text.push_str(&format!("#{line}\n"));
    }
    let flag = name.replace('_', "-");
    match value {
        Ok(value) => text.push_str(&format!("# (--{flag}, {env})\n{name} = {value}\n\n")),
        // A path that is not UTF-8 has no TOML form; it can be given by flag or environment only.
        Err(error) => text.push_str(&format!("# (--{flag}, {env})\n# {name}: {error}\n\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_before_the_file_and_that_before_the_default() {
        let file =
            parse(Path::new("x"), "connect_timeout_s = 7\ncall_timeout_s = 4\nlisten = \"[::1]:0\"").unwrap();
        let flags = Flags { call_timeout_s: Some(Seconds::new_const(6)), ..Flags::default() };
        let config = Config::from_parts(flags, file);
        assert_eq!(config.connect_timeout_s, Seconds::new_const(7));
        assert_eq!(config.call_timeout_s, Seconds::new_const(6));
        assert_eq!(config.preflight_timeout_s, Seconds::new_const(3));
        assert_eq!(config.listen_address(), Some("[::1]:0".parse().unwrap()));
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        for config in [
            Config::default(),
            Config {
                listen: "127.0.0.1:8080".parse().unwrap(),
                admin_groups: "".parse().unwrap(),
                log_format: LogFormat::Json,
                log_level: "info,ferryd::http=debug".parse().unwrap(),
                local_host: LocalHost::Off,
                data_dir: PathBuf::from("/srv/a \"b\"\\\nc"),
                event_retention_days: Days(0),
                ..Config::default()
            },
        ] {
            let text = config.to_toml();
            let read = parse(Path::new("x"), &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(Config::from_parts(Flags::default(), read), config);
        }
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named() {
        for (text, told) in [
            ("conect_timeout_s = 1", "unknown field `conect_timeout_s`"),
            ("call_timeout_s = 0", "1 to 6"),
            ("call_timeout_s = 7", "1 to 6"),
            ("call_timeout_s = \"5\"", "call_timeout_s"),
            ("listen = \"0.0.0.0:80\"", "no TLS yet"),
            ("admin_groups = \"a,b c\"", "`b c`"),
            ("log_format = \"xml\"", "text or json"),
            ("log_level = \"loud\"", "loud"),
            ("local_host = \"yes\"", "auto or off"),
            ("data_dir = 5", "data_dir"),
            ("event_retention_days = -1", "event_retention_days"),
            ("data_dir", "line 1"),
        ] {
            let error = parse(Path::new("/etc/x.toml"), text).unwrap_err().to_string();
            assert!(error.contains("/etc/x.toml") && error.contains(told), "{text}: {error}");
        }
    }
}
