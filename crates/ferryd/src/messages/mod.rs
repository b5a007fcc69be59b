//! What is told to people who ask over HTTP: one catalogue of messages with stable ids, in several languages.
//!
//! * `catalogue` – every message with its variables; what they say stands in `en.ftl`, `de.ftl` and `fr.ftl` (Fluent).
//! * `language` – the languages, and which one a request asks for.
//! * `titles` – the titles of our own interface's problems.
//!
//! A [`Text`] is made where something happens, and put into words where it is known who is told it. Ids: those of Kimchi where it had
//! a word for it, `FERRY…` for all else. A new message takes a line in `catalogue.rs` and one in each `.ftl`; tests see that all are
//! complete, and the compiler that each is used.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

mod catalogue;
mod language;
mod titles;

pub(crate) use catalogue::Message;
pub use language::Language;
pub(crate) use titles::title;

type Bundle = FluentBundle<FluentResource>;

/// The messages of each language, at the place of its number.
static BUNDLES: LazyLock<[Bundle; Language::ALL.len()]> = LazyLock::new(|| Language::ALL.map(bundle));

fn source(language: Language) -> &'static str {
    match language {
        Language::English => include_str!("en.ftl"),
        Language::German => include_str!("de.ftl"),
        Language::French => include_str!("fr.ftl"),
    }
}

fn bundle(language: Language) -> Bundle {
    // By it numbers have their plurals.
    let id: LanguageIdentifier = language.tag().parse().unwrap_or_default();
    let mut bundle = Bundle::new_concurrent(vec![id]);
    // The marks around what is inserted would be in answers that programs read.
    bundle.set_use_isolating(false);
    // What cannot be read or is there twice is left out; a test sees that nothing is.
    let resource =
        FluentResource::try_new(source(language).to_owned()).unwrap_or_else(|(readable, _)| readable);
    if let Err(errors) = bundle.add_resource(resource) {
        tracing::error!(language = language.tag(), ?errors, "messages are there twice");
    }
    bundle
}

/// Something that is told, before it is put into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Inner);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inner {
    /// The same in every language: a name, a path, what libvirt said.
    Said(String),
    Number(u64),
    Message(Box<Message>),
    All(Vec<Text>),
}

impl Text {
    /// Several, one after the other.
    pub(crate) fn all(texts: Vec<Self>) -> Self {
        Self(Inner::All(texts))
    }

    /// Puts it into words.
    #[must_use]
    pub fn told(&self, language: Language) -> Cow<'_, str> {
        match &self.0 {
            Inner::Said(said) => Cow::Borrowed(said),
            Inner::Number(number) => Cow::Owned(number.to_string()),
            Inner::Message(message) => Cow::Owned(message.told(language)),
            Inner::All(texts) => {
                let told: Vec<_> = texts.iter().map(|text| text.told(language)).collect();
                Cow::Owned(told.join("; "))
            }
        }
    }

    fn value(&self, language: Language) -> FluentValue<'_> {
        match &self.0 {
            Inner::Number(number) => FluentValue::from(*number),
            Inner::Said(_) | Inner::Message(_) | Inner::All(_) => FluentValue::String(self.told(language)),
        }
    }
}

impl Message {
    /// Puts it into words, with its id in front where one is told.
    fn told(&self, language: Language) -> String {
        let words = self.words(language);
        match self.told_id() {
            "" => words,
            id => format!("{id}: {words}"),
        }
    }

    fn words(&self, language: Language) -> String {
        let bundle = &BUNDLES[language as usize];
        let Some(pattern) = bundle.get_message(self.id()).and_then(|message| message.value()) else {
            // A test sees that this does not happen.
            return self.id().to_owned();
        };
        let variables: FluentArgs<'_> =
            self.variables().into_iter().map(|(name, text)| (name, text.value(language))).collect();
        let mut errors = Vec::new();
        let words = bundle.format_pattern(pattern, Some(&variables), &mut errors).into_owned();
        if !errors.is_empty() {
            tracing::error!(id = self.id(), language = language.tag(), ?errors, "a message is not whole");
        }
        words
    }
}

impl fmt::Display for Text {
    /// In English, as it stands in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Language::English))
    }
}

impl From<Message> for Text {
    fn from(message: Message) -> Self {
        Self(Inner::Message(Box::new(message)))
    }
}

impl From<String> for Text {
    fn from(said: String) -> Self {
        Self(Inner::Said(said))
    }
}

impl From<&str> for Text {
    fn from(said: &str) -> Self {
        Self(Inner::Said(said.to_owned()))
    }
}

impl From<u64> for Text {
    fn from(number: u64) -> Self {
        Self(Inner::Number(number))
    }
}

#[cfg(test)]
mod tests;
