//! What guests say on their serial lines.

/// Where the log of a guest lies in a host.
pub(crate) fn path_of(guest: &str) -> String {
    format!("/{}/{guest}.log", crate::furnish::GUEST_LOG_DIR)
}
