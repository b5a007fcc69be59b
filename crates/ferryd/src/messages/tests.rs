use std::collections::{BTreeMap, BTreeSet};

use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};
use fluent_syntax::parser;

use super::*;

type Variables = BTreeSet<String>;

fn of_pattern(pattern: &Pattern<&str>, found: &mut Variables) {
    for element in &pattern.elements {
        let PatternElement::Placeable { expression } = element else { continue };
        match expression {
            Expression::Inline(inline) => of_inline(inline, found),
            Expression::Select { selector, variants } => {
                of_inline(selector, found);
                variants.iter().for_each(|variant| of_pattern(&variant.value, found));
            }
        }
    }
}

fn of_inline(inline: &InlineExpression<&str>, found: &mut Variables) {
    match inline {
        InlineExpression::VariableReference { id } => drop(found.insert(id.name.to_owned())),
        // Another message's words, which are whole by themselves.
        InlineExpression::MessageReference { id, attribute: None } => {
            let whole =
                Message::ALL.iter().any(|(other, variables)| *other == id.name && variables.is_empty());
            assert!(whole, "{} would not be whole", id.name);
        }
        other => panic!("{other:?} is not expected"),
    }
}

/// The messages of a language with the variables that they insert.
fn written(language: Language) -> BTreeMap<String, Variables> {
    let resource =
        parser::parse(source(language)).unwrap_or_else(|(_, errors)| panic!("{language:?}: {errors:?}"));
    let mut messages = BTreeMap::new();
    for entry in resource.body {
        match entry {
            Entry::Message(message) => {
                let mut variables = Variables::new();
                of_pattern(&message.value.expect("a value"), &mut variables);
                assert!(message.attributes.is_empty(), "{language:?}: {}", message.id.name);
                let twice = messages.insert(message.id.name.to_owned(), variables);
                assert!(twice.is_none(), "{language:?}: {} is there twice", message.id.name);
            }
            Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) => {}
            other => panic!("{language:?}: {other:?}"),
        }
    }
    messages
}

/// With the compiler, which tells what the code does not use, this is why no text falls back on another one.
#[test]
fn every_language_has_every_message_with_all_its_variables_and_no_other() {
    let wanted: BTreeMap<String, Variables> = Message::ALL
        .iter()
        .map(|(id, variables)| {
            ((*id).to_owned(), variables.iter().map(|variable| (*variable).to_owned()).collect())
        })
        .collect();
    assert_eq!(wanted.len(), Message::ALL.len());
    for language in Language::ALL {
        assert_eq!(written(language), wanted, "{language:?}");
    }
}

#[test]
fn every_message_is_translated() {
    let words = |language: Language, id: &str| {
        let message = BUNDLES[language as usize].get_message(id).unwrap();
        let variables: FluentArgs<'_> =
            Message::ALL.iter().flat_map(|(_, names)| names.iter()).map(|name| (*name, "X")).collect();
        let mut errors = Vec::new();
        let bundle = &BUNDLES[language as usize];
        let words =
            bundle.format_pattern(message.value().unwrap(), Some(&variables), &mut errors).into_owned();
        assert!(errors.is_empty(), "{language:?}: {id}: {errors:?}");
        words
    };
    for (id, _) in Message::ALL.iter().filter(|(id, _)| *id != "FERRYTASK0010I") {
        let all: BTreeSet<String> = Language::ALL.into_iter().map(|language| words(language, id)).collect();
        assert_eq!(all.len(), Language::ALL.len(), "{id}: {all:?}");
    }
}

#[test]
fn ids_stand_in_front_and_what_is_inserted_stays_as_it_is() {
    let message = || Message::KCHVM0019E {
        name: "{ $name } <web1>".into(),
        details: Message::FERRYWHY0005I { state: "paused".into() }.into(),
    };
    let text = Text::from(message());
    assert_eq!(
        text.to_string(),
        "KCHVM0019E: Unable to start virtual machine { $name } <web1>. Details: it is paused; nothing was done"
    );
    assert_eq!(
        text.told(Language::German),
        "KCHVM0019E: Die virtuelle Maschine „{ $name } <web1>“ konnte nicht gestartet werden. Einzelheiten: sie ist angehalten; es \
         wurde nichts getan"
    );
    let key = Message::FERRYVM0003E { host: "a".into(), user: "b".into(), details: "c".into() };
    assert!(Text::from(key).told(Language::French).starts_with("KCHVM0056E: Pour "));
    assert_eq!(Text::from(Message::FERRYAPI0002E).to_string(), "Nothing matches the given URI");
    let all = Text::all(vec!["a".into(), Message::FERRYWHY0060I.into()]);
    assert_eq!(all.told(Language::German), "a; sie läuft nicht");
}

#[test]
fn numbers_have_their_plural() {
    let wait = |seconds: u64| Text::from(Message::WOKAUTH0004E { seconds: seconds.into() });
    assert!(wait(30).to_string().ends_with("wait for 30 seconds to try again."));
    assert!(wait(1).told(Language::German).contains("Bitte warten Sie eine Sekunde, bevor"));
    assert!(wait(30).told(Language::German).contains("Bitte warten Sie 30 Sekunden, bevor"));
    assert!(wait(1).told(Language::French).contains("attendre 1 seconde avant"));
    assert!(wait(1000).told(Language::French).contains("attendre 1000 secondes avant"));
}

#[test]
fn every_state_has_words_of_its_own() {
    use api::vm::VmState::{Blocked, Crashed, NoState, Paused, PmSuspended, Running, Shutdown, Shutoff};
    let states = [NoState, Running, Blocked, Paused, Shutdown, Shutoff, Crashed, PmSuspended];
    for language in Language::ALL {
        let told = states.map(|state| {
            Text::from(Message::FERRYWHY0005I { state: state.as_str().into() }).told(language).into_owned()
        });
        let different: BTreeSet<&String> = told.iter().collect();
        assert_eq!(different.len(), states.len(), "{told:?}");
    }
}
