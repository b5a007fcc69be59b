//! What the bodies of requests must be: the JSON Schemas that are published are those that requests are checked against.
//!
//! They stand in `schemas.json`, and from there in the description of the whole inherited interface, `openapi.json`. The keywords
//! in use there are few, and are all that is understood here; a test sees that no other one slips in. `error`, an annotation
//! that Kimchi's schemas had too, is the id of what is told when a value does not fit.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Number, Value, json};

use crate::messages::{Message, Text};

/// Up to here a float tells every integer from the next (2 to the power of 53).
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// The schemas of request bodies, by name.
static SCHEMAS: LazyLock<Map<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("schemas.json")).unwrap_or_default());

/// The patterns in them, each compiled once.
static PATTERNS: LazyLock<HashMap<String, Regex>> = LazyLock::new(|| {
    let mut found = HashMap::new();
    SCHEMAS.values().for_each(|schema| patterns(schema, &mut found));
    found
});

/// Adds the patterns of a schema and of all within it. (A property of the name `pattern` would be an object, and is no text.)
fn patterns(schema: &Value, found: &mut HashMap<String, Regex>) {
    if let Some(pattern) = schema["pattern"].as_str()
        && let Ok(compiled) = Regex::new(pattern)
    {
        found.insert(pattern.to_owned(), compiled);
    }
    match schema {
        Value::Object(parts) => parts.values().for_each(|part| patterns(part, found)),
        Value::Array(parts) => parts.iter().for_each(|part| patterns(part, found)),
        _ => {}
    }
}

/// The description of the inherited interface.
static OPENAPI: LazyLock<Value> = LazyLock::new(|| {
    let mut document: Value = serde_json::from_str(include_str!("openapi.json")).unwrap_or_default();
    if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") {
        schemas.extend(SCHEMAS.clone());
    }
    tell_denials(&mut document);
    document
});

/// What any operation can answer, before it is one: somebody is not logged in, may not, or could not be recognised.
fn tell_denials(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let items = paths.values_mut().filter_map(Value::as_object_mut);
    for operation in items.flat_map(|item| item.values_mut()).filter_map(Value::as_object_mut) {
        let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
        for (status, name) in [("401", "LoginRequired"), ("403", "NotAllowed"), ("503", "NotChecked")] {
            let reference = || json!({ "$ref": format!("#/components/responses/{name}") });
            responses.entry(status).or_insert_with(reference);
        }
    }
}

/// What does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The id that the schema gives it.
    pub(super) id: Option<String>,
    /// What does not fit, in words.
    pub(super) what: Text,
}

/// The description of the inherited interface, with all schemas in it.
pub(super) fn openapi() -> &'static Value {
    &OPENAPI
}

/// The schemas of request bodies, as they are published.
pub(super) fn published() -> Value {
    let schemas = SCHEMAS.iter().map(|(name, schema)| {
        let mut schema = schema.clone();
        schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        (name.clone(), schema)
    });
    Value::Object(schemas.collect())
}

/// Checks a body against the schema of this name.
pub(super) fn check(name: &str, body: &Value) -> Result<(), Violation> {
    match SCHEMAS.get(name) {
        Some(schema) => fits(schema, body),
        None => Err(Violation { id: None, what: format!("there is no schema {name}").into() }),
    }
}

fn fits(schema: &Value, value: &Value) -> Result<(), Violation> {
    let wrong = |what| violation(schema, what);
    type_fits(schema, value).map_err(wrong)?;
    match value {
        Value::String(text) => text_fits(schema, text).map_err(wrong)?,
        Value::Number(number) => number_fits(schema, number).map_err(wrong)?,
        Value::Array(items) => {
            items.iter().try_for_each(|item| fits(&schema["items"], item))?;
            if schema["maxItems"].as_u64().is_some_and(|most| items.len() as u64 > most) {
                // The ids of lists say that it is none.
                let what = Message::FERRYSCHEMA0015I { value: told(value) }.into();
                return Err(Violation { id: None, what });
            }
            let twice = items.iter().enumerate().any(|(at, item)| items[..at].contains(item));
            if twice && schema["uniqueItems"] == true {
                return Err(wrong(Message::FERRYSCHEMA0007I { value: told(value) }));
            }
        }
        // What is missing is told before what is wrong, and that before what is unknown, as it was.
        Value::Object(object) => {
            nothing_is_missing(schema, object)?;
            combined_fits(schema, value)?;
            return parts_fit(schema, object);
        }
        Value::Null | Value::Bool(_) => {}
    }
    combined_fits(schema, value)
}

/// What the schema says to a value that does not fit.
fn violation(schema: &Value, what: Message) -> Violation {
    Violation { id: schema["error"].as_str().map(str::to_owned), what: what.into() }
}

fn type_fits(schema: &Value, value: &Value) -> Result<(), Message> {
    let Some(wanted) = schema["type"].as_str() else { return Ok(()) };
    let is = match wanted {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_number().is_some_and(is_whole),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    if is { Ok(()) } else { Err(Message::FERRYSCHEMA0001I { value: told(value), kind: wanted.into() }) }
}

/// Whether a number is an integer: also one that is written with a fraction of zero is (JSON Schema 2020-12, validation, section 6.1.1).
fn is_whole(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// A body in which every integer is written as one: what reads it then need not know that `1.0` is 1, too.
pub(super) fn with_integers(body: Value) -> Value {
    match body {
        Value::Number(number) if number.is_f64() && is_whole(&number) => {
            // Bounds of their schemas are within these, and what is without stays as it is.
            let whole = number.as_f64().filter(|number| number.abs() < LARGEST_EXACT);
            Value::Number(whole.map_or(number, |whole| Number::from(whole as i64)))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(with_integers).collect()),
        Value::Object(parts) => {
            Value::Object(parts.into_iter().map(|(key, part)| (key, with_integers(part))).collect())
        }
        other => other,
    }
}

fn number_fits(schema: &Value, number: &Number) -> Result<(), Message> {
    let value = || Text::from(number.to_string());
    // Bounds are far below what a float tells apart.
    let Some(is) = number.as_f64() else { return Ok(()) };
    if let Some(least) = schema["minimum"].as_f64()
        && is < least
    {
        return Err(Message::FERRYSCHEMA0002I { value: value(), least: least.to_string().into() });
    }
    if let Some(most) = schema["maximum"].as_f64()
        && is > most
    {
        return Err(Message::FERRYSCHEMA0003I { value: value(), most: most.to_string().into() });
    }
    Ok(())
}

fn text_fits(schema: &Value, text: &str) -> Result<(), Message> {
    let value = || Text::from(text);
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    if schema["minLength"].as_u64().is_some_and(|least| length < least) {
        return Err(Message::FERRYSCHEMA0004I { value: value() });
    }
    if schema["maxLength"].as_u64().is_some_and(|most| length > most) {
        return Err(Message::FERRYSCHEMA0005I { value: value() });
    }
    match schema["pattern"].as_str() {
        Some(pattern) if PATTERNS.get(pattern).is_some_and(|pattern| !pattern.is_match(text)) => {
            Err(Message::FERRYSCHEMA0006I { value: value(), pattern: pattern.into() })
        }
        _ => Ok(()),
    }
}

fn nothing_is_missing(schema: &Value, object: &Map<String, Value>) -> Result<(), Violation> {
    let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = required.find(|name| !object.contains_key(*name));
    missing.map_or(Ok(()), |name| Err(violation(schema, Message::FERRYSCHEMA0009I { key: name.into() })))
}

fn parts_fit(schema: &Value, object: &Map<String, Value>) -> Result<(), Violation> {
    let property = |name: &String| schema["properties"].get(name);
    let known = object.iter().filter_map(|(name, value)| Some((property(name)?, value)));
    known.into_iter().try_for_each(|(property, value)| fits(property, value))?;
    let unknown: Vec<&str> =
        object.keys().filter(|name| property(name).is_none()).map(String::as_str).collect();
    if unknown.is_empty() || schema["additionalProperties"] != false {
        return Ok(());
    }
    let count = u64::try_from(unknown.len()).unwrap_or(u64::MAX).into();
    let keys = crate::http::problem::shortened(&unknown.join("', '")).into();
    Err(violation(schema, Message::FERRYSCHEMA0008I { keys, count }))
}

/// `oneOf` and `not`.
fn combined_fits(schema: &Value, value: &Value) -> Result<(), Violation> {
    let wrong = |what| violation(schema, what);
    if let Some(choices) = schema["oneOf"].as_array() {
        let results = choices.iter().map(|choice| fits(choice, value)).collect::<Vec<_>>();
        match results.iter().filter(|result| result.is_ok()).count() {
            1 => {}
            // The first choice is the one that is meant to be taken.
            0 => return results.into_iter().next().unwrap_or(Ok(())),
            _ => return Err(wrong(Message::FERRYSCHEMA0010I { choices: told(&schema["oneOf"]) })),
        }
    }
    match schema.get("not") {
        Some(unwanted) if fits(unwanted, value).is_ok() => {
            Err(wrong(Message::FERRYSCHEMA0011I { keys: told(&unwanted["required"]) }))
        }
        _ => Ok(()),
    }
}

/// A value as it stands in an answer.
fn told(value: &Value) -> Text {
    crate::http::problem::shortened(&written(value)).into()
}

/// A value as Python writes it, and Kimchi told it.
fn written(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let mut escaped = String::new();
            for letter in text.chars() {
                match letter {
                    '\'' | '"' if letter != quote => escaped.push(letter),
                    _ => escaped.extend(letter.escape_debug()),
                }
            }
            format!("{quote}{escaped}{quote}")
        }
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Object(parts) => {
            let part = |(key, value): (&String, &Value)| {
                format!("{}: {}", written(&Value::from(key.as_str())), written(value))
            };
            format!("{{{}}}", parts.iter().map(part).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The message of a schema's id. Kimchi's own words say what they mean, but for those of what a machine is made of.
pub(super) fn wrong_value(id: &str, what: &Text) -> Option<Message> {
    let details = || what.clone();
    Some(match id {
        "KCHCPUINF0008E" => Message::KCHCPUINF0008E,
        "KCHTMPL0012E" => Message::KCHTMPL0012E { details: details() },
        "KCHTMPL0013E" => Message::KCHTMPL0013E { details: details() },
        "KCHTMPL0014E" => Message::KCHTMPL0014E,
        "KCHTMPL0015E" => Message::KCHTMPL0015E { details: details() },
        "KCHTMPL0017E" => Message::KCHTMPL0017E,
        "KCHTMPL0022E" => Message::KCHTMPL0022E { details: details() },
        "KCHTMPL0027E" => Message::KCHTMPL0027E { details: details() },
        "KCHTMPL0028E" => Message::KCHTMPL0028E { details: details() },
        "KCHTMPL0030E" => Message::KCHTMPL0030E { details: details() },
        "KCHVM0011E" => Message::KCHVM0011E,
        "KCHVM0014E" => Message::KCHVM0014E,
        "KCHVM0015E" => Message::KCHVM0015E,
        "KCHVM0023E" => Message::KCHVM0023E,
        "KCHVM0024E" => Message::KCHVM0024E,
        "KCHVM0025E" => Message::KCHVM0025E,
        "KCHVM0026E" => Message::KCHVM0026E,
        "KCHVM0059E" => Message::KCHVM0059E,
        "KCHVM0060E" => Message::KCHVM0060E,
        "KCHVM0069E" => Message::KCHVM0069E,
        "KCHVM0085E" => Message::KCHVM0085E,
        "KCHVM0086E" => Message::KCHVM0086E,
        "KCHVM0091E" => Message::KCHVM0091E,
        "KCHVMHDEV0004E" => Message::KCHVMHDEV0004E,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every keyword that is understood here, and the annotations.
    const KEYWORDS: [&str; 17] = [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "minLength",
        "maxLength",
        "pattern",
        "minimum",
        "maximum",
        "items",
        "maxItems",
        "uniqueItems",
        "oneOf",
        "not",
        "title",
        "description",
        "error",
    ];

    fn walk(schema: &Value) {
        let object = schema.as_object().unwrap();
        for (key, value) in object {
            assert!(KEYWORDS.contains(&key.as_str()), "{key} would not be checked");
            match key.as_str() {
                "properties" => value.as_object().unwrap().values().for_each(walk),
                "items" | "not" => walk(value),
                "oneOf" => value.as_array().unwrap().iter().for_each(walk),
                "pattern" => assert!(PATTERNS.contains_key(value.as_str().unwrap()), "{value} is compiled"),
                "minimum" | "maximum" => assert!(value.as_f64().unwrap().abs() < LARGEST_EXACT),
                "type" => {
                    let kinds = ["string", "boolean", "integer", "array", "object"];
                    assert!(kinds.contains(&value.as_str().unwrap()));
                    let bounded = object.contains_key("minimum") && object.contains_key("maximum");
                    assert!(value != "integer" || bounded, "{schema}: what is too large would not be read");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn the_schemas_say_nothing_that_is_not_checked() {
        assert_eq!(SCHEMAS.len(), 7);
        SCHEMAS.values().for_each(walk);
    }

    fn refused(name: &str, body: Value) -> (Option<String>, String) {
        let violation = check(name, &body).unwrap_err();
        (violation.id, violation.what.to_string())
    }

    #[test]
    fn a_wrong_change_is_told_with_its_id() {
        for (body, id, what) in [
            (json!([]), None, "[] is not of type 'object'"),
            (json!({"name": "a/b"}), Some("KCHVM0011E"), "'a/b' does not match"),
            (json!({"name": ""}), Some("KCHVM0011E"), "too short"),
            (json!({"name": "a".repeat(300)}), Some("KCHVM0011E"), "too long"),
            (json!({"title": "a\nb"}), Some("KCHVM0085E"), "does not match"),
            (json!({"description": 1}), Some("KCHVM0086E"), "1 is not of type 'string'"),
            (json!({"users": "joe"}), Some("KCHVM0023E"), "not of type 'array'"),
            (json!({"users": ["joe", 5]}), Some("KCHVM0024E"), "5 is not of type 'string'"),
            (json!({"groups": ["a", "a"]}), Some("KCHVM0025E"), "non-unique"),
            (json!({"groups": many(257)}), None, "too long"),
            (json!({"users": many(257)}), None, "too long"),
            (json!({"groups": [[]]}), Some("KCHVM0026E"), "[] is not of type 'string'"),
            (json!({"autostart": 1}), None, "1 is not of type 'boolean'"),
            (json!({"autostart": "yes"}), None, "'yes' is not of type 'boolean'"),
            (
                json!({"autostart": ["it's", null, {"a": true}]}),
                None,
                r#"["it's", None, {'a': True}] is not"#,
            ),
            (json!({"autostart": "\\a'\"\n"}), None, r#"'\\a\'"\n' is not of type"#),
            (json!({"memory": 512}), Some("KCHTMPL0030E"), "512 is not of type 'object'"),
            (json!({"memory": {"current": 0}}), Some("KCHTMPL0013E"), "0 is less than the minimum of 1"),
            (json!({"memory": {"current": 1.5}}), Some("KCHTMPL0013E"), "1.5 is not of type 'integer'"),
            (json!({"memory": {"current": 0.0}}), Some("KCHTMPL0013E"), "0.0 is less than the minimum of 1"),
            (
                json!({"memory": {"current": 1e300}}),
                Some("KCHTMPL0013E"),
                "greater than the maximum of 1073741824",
            ),
            (json!({"memory": {"current": u64::MAX}}), Some("KCHTMPL0013E"), "greater than the maximum"),
            (json!({"memory": {"current": i64::MIN}}), Some("KCHTMPL0013E"), "less than the minimum of 1"),
            (json!({"memory": {"x": 1}}), Some("KCHTMPL0030E"), "('x' was unexpected)"),
            (json!({"cpu_info": {"vcpus": -1}}), Some("KCHTMPL0012E"), "less than"),
            (json!({"cpu_info": {"maxvcpus": 1_000_000}}), Some("KCHTMPL0012E"), "greater than"),
            (json!({"nonsense": 1}), None, "('nonsense' was unexpected)"),
            (json!({"b": 1, "x": 1}), None, "('b', 'x' were unexpected)"),
        ] {
            let (said_id, said) = refused("vm_update", body.clone());
            assert_eq!(said_id.as_deref(), id, "{body}: {said}");
            assert!(said.contains(what), "{body}: {said}");
        }
        let all = json!({
            "name": "web2", "title": "", "description": "a\nb", "users": ["joe"], "groups": [], "autostart": true,
            "memory": {"current": 256, "maxmemory": 512}, "cpu_info": {"vcpus": 1, "maxvcpus": 2},
        });
        assert_eq!(check("vm_update", &all), Ok(()));
        assert_eq!(check("vm_update", &json!({})), Ok(()));
        assert_eq!(check("vm_update", &json!({"users": many(256), "groups": many(256)})), Ok(()));
    }

    fn many(count: usize) -> Vec<String> {
        (0..count).map(|number| number.to_string()).collect()
    }

    #[test]
    fn an_integer_may_be_written_with_a_fraction_of_zero() {
        let body = json!({"memory": {"current": 256.0, "maxmemory": 1e3}, "cpu_info": {"vcpus": -0.0}});
        assert!(refused("vm_update", body.clone()).1.contains("less than"), "of the processors alone");
        let body = with_integers(body);
        assert_eq!(body, json!({"memory": {"current": 256, "maxmemory": 1000}, "cpu_info": {"vcpus": 0}}));
        assert_eq!(body["memory"]["current"].as_u64(), Some(256));
        for stays in [json!([1.5, "1.0", -7, 1e300, null]), json!({"1.0": u64::MAX})] {
            assert_eq!(with_integers(stays.clone()), stays);
        }
    }

    #[test]
    fn one_spelling_of_the_destination_is_needed_and_no_more() {
        assert_eq!(check("vm_migrate", &json!({"remote_host": "a"})), Ok(()));
        assert_eq!(check("vm_migrate", &json!({"remoteHost": "a", "password": "b"})), Ok(()));
        let (id, what) = refused("vm_migrate", json!({"user": "root"}));
        assert_eq!((id, what.as_str()), (None, "'remote_host' is a required property"));
        assert!(
            refused("vm_migrate", json!({"remote_host": "a", "remoteHost": "a"})).1.contains("more than one")
        );
        let twice = json!({"remote_host": "a", "password": "p", "passwd": "p"});
        assert!(refused("vm_migrate", twice).1.contains("must not be given together"));
    }
}
