//! What Kimchi 3.0 was recorded to answer, and how an answer of Ferry's is compared with it.
//!
//! `recorded.json` holds all that were recorded: method, path, body, status, the headers that matter and the answer. [`DIFFERENCES`] and
//! [`ENDS`] are every way in which Ferry answers otherwise; `docs/kimchi.md` tells the reasons. [`EXCLUDED`] are those that no test asks
//! for again.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A request and what was answered.
#[derive(Clone, Debug, Deserialize)]
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
    ("14-vm-get-on-source-after-migration", 200, ""),
    ("15-start-source-copy-while-running-on-dest", 400, "KCHVM0048E: "),
    ("20a-localhost", 409, "KCHVM0055E: "),
    ("20b-127001", 409, "KCHVM0055E: "),
    ("21a-unknown-host", 409, "KCHVM0066E: "),
    ("21b-host-unreachable", 409, "KCHVM0066E: "),
    ("21c-no-such-address", 409, "KCHVM0066E: "),
    ("21d-cable-cut", 409, "KCHVM0066E: "),
    ("22a-no-login", 409, "KCHVM0056E: "),
    ("27a-bad-json", 400, "WOKAPI0006E: "),
    ("27b-missing-remote-host", 400, REQUIRED),
    ("27c-empty-object", 400, REQUIRED),
    ("27d-no-body", 411, "Client must specify Content-Length"),
    ("27h-json-array", 400, "WOKAPI0008E: "),
    ("27i-text-plain", 415, "WOKAPI0007E: "),
    ("27j-form", 415, "WOKAPI0007E: "),
    ("30d-noauth-html", 303, ""),
    ("30f-basic-malformed", 401, "WOKAUTH0002E: "),
    ("30g-login", 200, ""),
    ("30j-cookie-cross-origin-post-no-csrf", 403, "WOKAPI0009E: "),
    ("32a-accept-none", 200, ""),
    ("32b-accept-star", 200, ""),
    ("32c-accept-xml", 303, ""),
    ("32f-no-content-type", 409, "KCHVM0055E: "),
    ("33-config-capabilities", 200, ""),
    ("40-already-running-on-dest-post", 409, "KCHVM0058E: "),
    ("40r1-already-running-on-dest-post", 409, "KCHVM0058E: "),
    ("40r2-already-running-on-dest-post", 409, "KCHVM0058E: "),
    ("41-already-defined-on-dest-post", 409, "KCHVM0058E: "),
    ("45-shutoff-again-post", 409, "KCHVM0058E: "),
    ("50b-simultaneous-second-post", 409, "KCHVM0058E: "),
    ("51b-delete-running-task", 204, ""),
    ("51d-poweroff-during", 409, "KCHVM0038E: "),
    ("51e-delete-vm-during", 409, "KCHVM0021E: "),
    ("52a-task-after-restart", 200, ""),
    ("52b-tasks-after-restart", 200, ""),
    ("55-starve-1", 409, "KCHVM0066E: "),
    ("60e-password-wrong", 409, "KCHVM0056E: "),
    ("60f-user-nonroot-local-home", 409, "KCHVM0056E: "),
    ("62a-noauth-tasks", 401, "WOKAUTH0002E: "),
    ("62b-noauth-task-of-another-user", 401, "WOKAUTH0002E: "),
    ("62c-noauth-delete-task", 401, "WOKAUTH0002E: "),
    ("70c-delete-source-copy-after-migration-shared-disk", 409, "KCHVM0021E: "),
    ("71r-nonshared-disk-retry-post", 409, "KCHVM0058E: "),
    ("72b-shutoff-local-disk-retry-post", 409, "KCHVM0058E: "),
];

/// What a body without a destination is told: the first line of what Kimchi told.
const REQUIRED: &str =
    "WOKAPI0008E: Parameters does not match requirement in schema: 'remote_host' is a required property";

/// Tasks that ended otherwise than Ferry's do where the same was asked for: the exchange that told it, status and message of Ferry's,
/// or how that begins.
pub(crate) const ENDS: &[(&str, &str, &str)] = &[
    ("51f-task-end", "finished", "Migrate finished"),
    ("53-dest-killed-task", "failed", FAILED),
    ("54-source-libvirtd-killed-task", "failed", FAILED),
    ("70a-shared-disk-task", "finished", "Migrate finished"),
    ("71-nonshared-disk-task", "finished", "Migrate finished"),
    ("72a-shutoff-local-disk-task", "finished", "Migrate finished"),
];

/// What a migration's failure begins with; libvirt's words about it are Ferry's own after that.
const FAILED: &str = "KCHVM0058E: Failed to migrate virtual machine vm1 due error: ";

/// Tasks that failed, as was recorded, where Ferry refuses what was asked for: it has none.
pub(crate) const NO_TASK: &[&str] = &[
    "40-already-running-on-dest-task",
    "40r1-already-running-on-dest-task",
    "40r2-already-running-on-dest-task",
    "41-already-defined-on-dest-task",
    "45-shutoff-again-task",
    "50b-simultaneous-second-task",
    "71r-nonshared-disk-retry-task",
    "72b-shutoff-local-disk-retry-task",
];

/// Requests that do nothing to a machine, and what they are told.
pub(crate) const DO_NOTHING: &[&str] = &[
    "27a-bad-json",
    "27b-missing-remote-host",
    "27c-empty-object",
    "27d-no-body",
    "27f-remote-host-number",
    "27h-json-array",
    "27i-text-plain",
    "27j-form",
    "27k-rdma-string",
    "28a-get-migrate",
    "28c-delete-migrate",
    "28d-post-vm",
    "28g-vm-absent",
    "28h-unknown-uri",
];

/// What no test asks for again, and why.
pub(crate) const EXCLUDED: &[(&str, &str)] = &[(
    "10-migrate-UNPATCHED",
    "a slip in three lines of the program that was recorded, mended before all others were: the same request is 11-migrate",
)];

/// What is another machine's, or another moment's: of these values the kinds are compared.
const VOLATILE: &[&str] = &["id", "uuid", "stats"];

/// Exchanges by their names.
pub(crate) type Recorded = BTreeMap<String, Exchange>;

/// All of them.
pub(crate) fn all() -> Recorded {
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
            assert_dressed(name, given);
            if !reason.is_empty() {
                let body = body();
                let said = body["reason"].as_str();
                assert!(said.is_some_and(|said| said.starts_with(reason)), "{name}: {body}");
                assert!(
                    body["code"].as_str().is_some_and(|code| code.starts_with(&status.to_string())),
                    "{name}: {body}"
                );
            }
            // Other values alone.
            if let Some(Value::Object(recorded)) = self.answer.as_ref().filter(|_| *status == self.status) {
                assert_keys(name, recorded, body().as_object().unwrap_or_else(|| panic!("{name}: {told}")));
            }
            return;
        }
        assert_eq!(given.status, self.status, "{name}: {told}");
        // Nothing is of no type.
        let matters = |header: &str| self.answer.is_some() || header != "content-type";
        for (header, value) in self.headers.iter().filter(|(header, _)| matters(header)) {
            assert_eq!((given.header)(header).as_ref(), Some(value), "{name}: {header}");
        }
        match &self.answer {
            Some(recorded) => assert_same(name, recorded, &body()),
            None => assert!(given.body.is_empty(), "{name}: {told}"),
        }
    }

    /// A migration's task has ended as this exchange told it, or as the listed difference says.
    #[track_caller]
    pub(crate) fn assert_ended(&self, told: &Value) {
        let mut expected = self.answer.clone().unwrap_or_else(|| panic!("{} tells of no task", self.name));
        if let Some((_, status, message)) = ENDS.iter().find(|(other, ..)| *other == self.name) {
            let said = told["message"].as_str().filter(|said| said.starts_with(message));
            expected["status"] = (*status).into();
            expected["message"] = said.unwrap_or(message).into();
        }
        expected["id"] = told["id"].clone();
        assert_eq!(told, &expected, "{}", self.name);
    }
}

/// The headers that every answer had, and every error: also where it is another one.
#[track_caller]
fn assert_dressed(name: &str, given: &Given<'_>) {
    let header = |name: &str| (given.header)(name).unwrap_or_default();
    assert!(header("cache-control").starts_with("no-store, no-cache, must-revalidate"), "{name}");
    if !given.body.is_empty() {
        assert_eq!(header("content-type"), "application/json;charset=utf-8", "{name}");
    }
    if given.status >= 400 {
        assert_eq!(header("content-security-policy"), "default-src 'self'", "{name}");
    }
}

type Object = serde_json::Map<String, Value>;

#[track_caller]
fn assert_keys(place: &str, recorded: &Object, given: &Object) {
    assert_eq!(given.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>(), "{place}");
}

/// The names of what is in a list of things that have names.
fn names(list: &[Value]) -> Option<Vec<&str>> {
    list.iter()
        .map(|element| element["name"].as_str())
        .collect::<Option<Vec<_>>>()
        .filter(|all| !all.is_empty())
}

/// The same keys with the same values, but for those that are [`VOLATILE`]. Of a list of things with names all are compared; of
/// one of tasks, which is as long as much was done before, the kinds.
#[track_caller]
fn assert_same(place: &str, recorded: &Value, given: &Value) {
    match (recorded, given) {
        (Value::Object(recorded), Value::Object(given)) => {
            assert_keys(place, recorded, given);
            for (key, value) in recorded {
                let compare = if VOLATILE.contains(&key.as_str()) { assert_kind } else { assert_same };
                compare(&format!("{place}.{key}"), value, &given[key]);
            }
        }
        (Value::Array(recorded), Value::Array(given)) if names(recorded).is_some() => {
            assert_eq!(names(given), names(recorded), "{place}");
            for (recorded, given) in recorded.iter().zip(given) {
                assert_same(&format!("{place}[{}]", recorded["name"]), recorded, given);
            }
        }
        (Value::Array(list), Value::Array(_)) if list.iter().any(Value::is_object) => {
            assert_kind(place, recorded, given);
        }
        _ => assert_eq!(given, recorded, "{place}"),
    }
}

/// The same keys with values of the same kinds, and elements of the same kinds: none where there was none, some where there were some.
#[track_caller]
fn assert_kind(place: &str, recorded: &Value, given: &Value) {
    match (recorded, given) {
        (Value::Object(recorded), Value::Object(given)) => {
            assert_keys(place, recorded, given);
            for (key, value) in recorded {
                assert_kind(&format!("{place}.{key}"), value, &given[key]);
            }
        }
        (Value::Array(recorded), Value::Array(given)) => {
            assert_eq!(given.is_empty(), recorded.is_empty(), "{place}: {given:?}");
            for element in given {
                assert_kind(&format!("{place}[]"), &recorded[0], element);
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
