//! The filters of a list: arguments after the `?` that name a key and the value wanted of it.

use regex::Regex;
use serde::Serialize;
use serde_json::Value;

/// What is wanted of the things in a list: of every key one of its values.
pub(super) struct Filter(Vec<(String, Vec<Wanted>)>);

/// A value that is wanted: this very one, or one that begins as the regular expression says.
struct Wanted {
    text: String,
    pattern: Option<Regex>,
}

impl Wanted {
    fn new(text: String) -> Self {
        // What is no expression can still be the value itself.
        let pattern = Regex::new(&format!("^(?:{text})")).ok();
        Self { text, pattern }
    }

    fn is(&self, value: &str) -> bool {
        self.text == value || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(value))
    }
}

impl Filter {
    /// Takes the arguments of a request. Those that begin with an underscore were never filters, and are none.
    pub(super) fn new(arguments: Vec<(String, String)>) -> Self {
        let mut keys: Vec<(String, Vec<Wanted>)> = Vec::new();
        for (key, value) in arguments.into_iter().filter(|(key, _)| !key.starts_with('_')) {
            match keys.iter_mut().find(|(known, _)| *known == key) {
                Some((_, wanted)) => wanted.push(Wanted::new(value)),
                None => keys.push((key, vec![Wanted::new(value)])),
            }
        }
        Self(keys)
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
        ] {
            let owned = arguments.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            assert_eq!(Filter::new(owned.collect()).passes(&vm), passes, "{arguments:?}");
        }
    }
}
