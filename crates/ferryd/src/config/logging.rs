//! The log: structured, to standard error.

use super::{Config, LogFormat};

/// Begins to log as configured.
///
/// # Errors
/// When something in this process logs already.
pub fn init(config: &Config) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(config.log_level.to_filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match config.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    }
}
