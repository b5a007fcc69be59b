//! Names of the marks by which two hosts show that they see the same directory.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// What they begin with; hidden, so that nobody takes one for an image.
pub const PREFIX: &str = ".ferry-share-";

/// A name that nobody else has, and that tells when it was made.
#[must_use]
pub fn new_name() -> String {
    format!("{PREFIX}{}", Uuid::now_v7().simple())
}

/// How long ago a mark was named, by this machine's clock, in milliseconds; none for what is no mark.
#[must_use]
pub fn age_ms(name: &str) -> Option<u64> {
    let (seconds, nanoseconds) = Uuid::try_parse(name.strip_prefix(PREFIX)?).ok()?.get_timestamp()?.to_unix();
    let made_ms = seconds * 1000 + u64::from(nanoseconds) / 1_000_000;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_sub(made_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_its_age_and_nothing_else_does() {
        assert!(age_ms(&new_name()).is_some_and(|age_ms| age_ms < 60_000));
        let old = format!(
            "{PREFIX}{}",
            Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_000, 0)).simple()
        );
        assert!(age_ms(&old).is_some_and(|age_ms| age_ms > 1_000_000_000_000));
        assert_eq!(age_ms("web1.qcow2"), None);
        assert_eq!(age_ms(".ferry-share-x"), None);
    }
}
