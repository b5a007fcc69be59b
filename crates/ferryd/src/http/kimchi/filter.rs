//! The filters of a list: arguments after the `?` that name a key and the value wanted of it.
//!
//! Whoever may ask at all may send them, and an expression of a few letters can be a large machine. So they are few, short, and
//! compiled within a limit; matching takes time in proportion to the text (the `regex` crate never goes back).

use regex::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::Value;

use super::reasons::Refusal;
use crate::http::problem::shortened;
use crate::messages::Message;

/// How many filters a request may have.
const MOST: usize = 16;
/// How many characters the key and the value of a filter may have, each.
const LONGEST: usize = 256;
/// How large an expression may become, in bytes.
const SIZE_LIMIT_BYTES: usize = 64 << 10;

/// What is wanted of the things in a list: of every key one of its values.
#[derive(Debug)]
pub(super) struct Filter(Vec<(String, Vec<Wanted>)>);

/// A value that is wanted: this very one, or one that begins as the regular expression says.
#[derive(Debug)]
struct Wanted {
    text: String,
    pattern: Option<Regex>,
}

impl Wanted {
    fn new(text: String) -> Result<Self, Refusal> {
        let built =
            RegexBuilder::new(&text).size_limit(SIZE_LIMIT_BYTES).dfa_size_limit(SIZE_LIMIT_BYTES).build();
        match built {
            Ok(pattern) => Ok(Self { text, pattern: Some(pattern) }),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err(Refusal::schema(Message::FERRYSCHEMA0017I { value: shortened(&text).into() }))
            }
            // What is no expression can still be the value itself.
            Err(_) => Ok(Self { text, pattern: None }),
        }
    }

    fn is(&self, value: &str) -> bool {
        self.text == value || self.pattern.as_ref().is_some_and(|pattern| begins(pattern, value))
    }
}

/// Whether the expression matches from the value's beginning. Of all matches the leftmost one is found; nothing is put around the
/// expression, which could close it.
fn begins(pattern: &Regex, value: &str) -> bool {
    pattern.find(value).is_some_and(|found| found.start() == 0)
}

impl Filter {
    /// Takes the arguments of a request. Those that begin with an underscore were never filters, and are none.
    pub(super) fn new(arguments: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut keys: Vec<(String, Vec<Wanted>)> = Vec::new();
        let filters = arguments.into_iter().filter(|(key, _)| !key.starts_with('_'));
        for (at, (key, value)) in filters.enumerate() {
            if at >= MOST || [&key, &value].into_iter().any(|text| text.chars().count() > LONGEST) {
                let (most, longest) = (MOST.to_string().into(), LONGEST.to_string().into());
                return Err(Refusal::schema(Message::FERRYSCHEMA0016I { most, longest }));
            }
            let wanted = Wanted::new(value)?;
            match keys.iter_mut().find(|(known, _)| *known == key) {
                Some((_, others)) => others.push(wanted),
                None => keys.push((key, vec![wanted])),
            }
        }
        Ok(Self(keys))
    }

    /// Whether a thing passes; one that has no such key does not.
    pub(super) fn passes(&self, thing: &impl Serialize) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let thing = serde_json::to_value(thing).unwrap_or_default();
        self.0.iter().all(|(key, wanted)| match thing.get(key) {
            Some(Value::String(text)) => wanted.iter().any(|wanted| wanted.is(text)),
            Some(other) => {
                let text = other.to_string();
                wanted.iter().any(|wanted| wanted.is(&text))
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(arguments: Vec<(String, String)>) -> Filter {
        Filter::new(arguments).unwrap_or_else(|refusal| panic!("{}", refusal.reason()))
    }

    #[test]
    fn values_are_the_same_or_match_from_their_beginning() {
        let vm = json!({"name": "web1", "state": "running", "persistent": true, "autostart": 0, "a[": "x["});
        for (arguments, passes) in [
            (&[][..], true),
            (&[("state", "running")], true),
            (&[("state", "run")], true),
            (&[("state", "unning")], false),
            (&[("state", "running"), ("name", "db")], false),
            (&[("name", "db"), ("name", "web")], true),
            (&[("name", "db|we")], true),
            (&[("name", "^web1$")], true),
            (&[("name", "[")], false),
            (&[("a[", "x[")], true),
            (&[("persistent", "true"), ("autostart", "0")], true),
            (&[("nonsense", "")], false),
            (&[("_x", "y")], true),
            // Nothing of it leaves the beginning.
            (&[("name", "a)|(?:eb1")], false),
            (&[("name", "a)|(eb1")], false),
            (&[("name", "a|eb1")], false),
            (&[("name", "(?x)web # 1")], true),
            (&[("name", r"\w+\d")], true),
            (&[("name", "(?m)^eb|^w.b")], true),
        ] {
            let owned = arguments.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            assert_eq!(filter(owned.collect()).passes(&vm), passes, "{arguments:?}");
        }
    }

    #[test]
    fn too_many_too_long_and_too_large_ones_are_refused() {
        let of = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let refused = |arguments| Filter::new(arguments).err().map(|refusal| refusal.reason());
        let (long, longer) = ("\u{e4}".repeat(LONGEST), "x".repeat(LONGEST + 1));
        for fits in [vec![of("name", "x"); MOST], vec![of("name", &long)], vec![of("_x", &longer); 99]] {
            assert_eq!(refused(fits), None);
        }
        for unfit in [vec![of("name", "x"); MOST + 1], vec![of("name", &longer)], vec![of(&longer, "x")]] {
            let reason = refused(unfit).unwrap();
            assert!(reason.contains("at most 16 filters of at most 256 characters"), "{reason}");
        }
        for large in [r"\w{99}", "(?:a{99}){99}", "(?:(?:a?){50}){50}"] {
            let reason = refused(vec![of("name", large)]).unwrap();
            assert!(reason.starts_with("WOKAPI0008E") && reason.contains(large), "{reason}");
        }
    }
}
