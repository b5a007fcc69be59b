//! What Kimchi 3.0 was recorded to answer, and how an answer of Ferry's is compared with it.
//!
//! `recorded.json` holds the exchanges that concern `vms`, `migrate`, `tasks`, `config/capabilities` and `login`: method, path, body, status, the
//! headers that matter and the answer (of a long `reason` its first line). [`DIFFERENCES`] is every way in which Ferry answers
//! otherwise; `docs/kimchi.md` tells the reasons.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A request and what was answered.
#[derive(Debug, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Headers of the request that say who asks, for what and from where; with none it was root who asked.
    #[serde(default)]
    pub(crate) asks: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) answer: Option<Value>,
}

/// An exchange that Ferry answers otherwise: its name, Ferry's status, and how its reason begins, where it gives one.
pub(crate) const DIFFERENCES: &[(&str, u16, &str)] = &[
    ("15-start-source-copy-while-running-on-dest", 400, "KCHVM0048E: "),
    ("20a-localhost", 409, "KCHVM0055E: "),
    ("20b-127001", 409, "KCHVM0055E: "),
    ("21a-unknown-host", 409, "KCHVM0066E: "),
    ("21c-no-such-address", 409, "KCHVM0066E: "),
    ("22a-no-login", 409, "KCHVM0056E: "),
    ("27a-bad-json", 400, "WOKAPI0006E: "),
    ("27d-no-body", 411, "Client must specify Content-Length"),
    ("27h-json-array", 400, "WOKAPI0008E: "),
    ("27i-text-plain", 415, "WOKAPI0007E: "),
    ("27j-form", 415, "WOKAPI0007E: "),
    ("30d-noauth-html", 303, ""),
    ("30f-basic-malformed", 401, "WOKAUTH0002E: "),
    ("30g-login", 200, ""),
    ("30j-cookie-cross-origin-post-no-csrf", 403, ""),
    ("32a-accept-none", 200, ""),
    ("32b-accept-star", 200, ""),
    ("32c-accept-xml", 303, ""),
    ("32f-no-content-type", 409, "KCHVM0055E: "),
    ("33-config-capabilities", 200, ""),
    ("50b-simultaneous-second-post", 409, "KCHVM0058E: "),
    ("51b-delete-running-task", 204, ""),
    ("51d-poweroff-during", 409, "KCHVM0038E: "),
    ("51e-delete-vm-during", 409, "KCHVM0021E: "),
    ("60e-password-wrong", 409, "KCHVM0056E: "),
    ("60f-user-nonroot-local-home", 409, "KCHVM0056E: "),
    ("62a-noauth-tasks", 401, "WOKAUTH0002E: "),
    ("62b-noauth-task-of-another-user", 401, "WOKAUTH0002E: "),
    ("62c-noauth-delete-task", 401, "WOKAUTH0002E: "),
    ("70c-delete-source-copy-after-migration-shared-disk", 409, "KCHVM0021E: "),
];

/// All exchanges, by name.
pub(crate) fn all() -> BTreeMap<String, Exchange> {
    let all: Vec<Exchange> = serde_json::from_str(include_str!("recorded.json")).expect("recorded.json");
    all.into_iter().map(|exchange| (exchange.name.clone(), exchange)).collect()
}

/// An answer of Ferry's.
pub(crate) struct Given<'a> {
    pub(crate) status: u16,
    pub(crate) header: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) body: &'a [u8],
}

impl Exchange {
    /// Ferry has answered as it was recorded, or as the listed difference says.
    #[track_caller]
    pub(crate) fn assert_kept(&self, given: &Given<'_>) {
        let name = &self.name;
        let told = String::from_utf8_lossy(given.body);
        let body = || -> Value {
            serde_json::from_slice(given.body).unwrap_or_else(|error| panic!("{name}: {error}: {told}"))
        };
        if let Some((_, status, reason)) = DIFFERENCES.iter().find(|(other, ..)| other == name) {
            assert_eq!(given.status, *status, "{name}: {told}");
            if !reason.is_empty() {
                let body = body();
                assert!(
                    body["reason"].as_str().is_some_and(|said| said.starts_with(reason)),
                    "{name}: {body}"
                );
            }
            return;
        }
        assert_eq!(given.status, self.status, "{name}: {told}");
        let Some(recorded) = &self.answer else { return assert!(given.body.is_empty(), "{name}: {told}") };
        for (header, value) in &self.headers {
            assert_eq!((given.header)(header).as_ref(), Some(value), "{name}: {header}");
        }
        let body = body();
        assert_like(name, recorded, &body);
        if let Some(reason) = recorded["reason"].as_str() {
            assert_eq!(body["code"], recorded["code"], "{name}");
            let said = body["reason"].as_str().unwrap_or_default();
            assert!(said.starts_with(reason), "{name}: {said}");
        }
    }
}

/// The same keys with values of the same kinds, and elements of the same kinds.
#[track_caller]
fn assert_like(place: &str, recorded: &Value, given: &Value) {
    match (recorded, given) {
        (Value::Object(recorded), Value::Object(given)) => {
            let keys = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(given), keys(recorded), "{place}");
            for (key, value) in recorded {
                assert_like(&format!("{place}.{key}"), value, &given[key]);
            }
        }
        (Value::Array(recorded), Value::Array(given)) => {
            for element in given {
                // Of an empty list nothing is known of its elements.
                if let Some(first) = recorded.first() {
                    assert_like(&format!("{place}[]"), first, element);
                }
            }
        }
        (Value::Number(recorded), Value::Number(given)) => {
            assert_eq!(given.is_f64(), recorded.is_f64(), "{place}: {given} for {recorded}");
        }
        _ => {
            let same = std::mem::discriminant(recorded) == std::mem::discriminant(given);
            assert!(same, "{place}: {given} for {recorded}");
        }
    }
}
