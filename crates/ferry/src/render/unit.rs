//! Amounts with units that fit them.

/// A number of bytes: `512 B`, `1.5 GiB`, `256 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.6 would be shown as 1024.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let number = if value >= 99.95 { format!("{value:.0}") } else { format!("{value:.1}") };
    format!("{} {}", number.strip_suffix(".0").unwrap_or(&number), UNITS[unit])
}

/// A speed: `310 MiB/s`.
pub(crate) fn speed(bytes_s: u64) -> String {
    format!("{}/s", bytes(bytes_s))
}

/// A length of time: `23 ms`, `2.31 s`, `1 min 4 s`, `3 h 20 min`, `2 d 3 h`.
pub(crate) fn span(ms: u64) -> String {
    let s = ms / 1000;
    let pair = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{s}.{:02} s", ms % 1000 / 10),
        60..3600 => pair(s / 60, "min", s % 60, "s"),
        3600..86400 => pair(s / 3600, "h", s % 3600 / 60, "min"),
        _ => pair(s / 86400, "d", s % 86400 / 3600, "h"),
    }
}

/// How long ago a time was: `just now`, `3 min ago`. Both in milliseconds since the Unix epoch.
pub(crate) fn ago(at_ms: u64, now_ms: u64) -> String {
    // A clock of another machine may be ahead of ours.
    let s = now_ms.saturating_sub(at_ms) / 1000;
    match s {
        0..5 => "just now".to_owned(),
        5..60 => format!("{s} s ago"),
        60..3600 => format!("{} min ago", s / 60),
        3600..86400 => format!("{} h ago", s / 3600),
        86400..172_800 => "1 day ago".to_owned(),
        _ => format!("{} days ago", s / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_fits() {
        const MIB: u64 = 1 << 20;
        for (value, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (256 * MIB, "256 MiB"),
            (MIB - 1, "1 MiB"),
            (100 * MIB + MIB / 3, "100 MiB"),
            (8 << 30, "8 GiB"),
            ((3 << 30) / 2, "1.5 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(value), text, "{value}");
        }
        assert_eq!(speed(310 * MIB), "310 MiB/s");
    }

    #[test]
    fn times_are_short() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (2319, "2.31 s"),
            (59_999, "59.99 s"),
            (60_000, "1 min"),
            (64_000, "1 min 4 s"),
            (12_000_000, "3 h 20 min"),
            (183_600_000, "2 d 3 h"),
        ] {
            assert_eq!(span(ms), text, "{ms}");
        }
    }

    #[test]
    fn ages_are_rough() {
        for (s, text) in [
            (0, "just now"),
            (5, "5 s ago"),
            (200, "3 min ago"),
            (7300, "2 h ago"),
            (90_000, "1 day ago"),
            (180_000, "2 days ago"),
        ] {
            assert_eq!(ago(1000, 1000 + s * 1000), text, "{s}");
        }
        assert_eq!(ago(9_000, 1_000), "just now");
    }
}
