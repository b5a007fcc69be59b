//! A patch of a definition, in the form of RFC 5261: a `<diff>` of `<add>`, `<replace>` and `<remove>`, one after the other.
//!
//! Each has its selector in `sel` (see [`super::select`]), and that must match exactly one node: a patch that was written for
//! another definition shall not do half of what it was meant to. What a domain is known by, its UUID and its name, no patch touches.

use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

use super::edit::{Edits, escaped};
use super::select::{Last, Selector};

/// Largest text of a patch.
pub(super) const PATCH_LIMIT_BYTES: usize = 32 * 1024;

/// Most changes of a patch: after each the definition is read anew.
const CHANGES_LIMIT: usize = 100;

/// A patch: its text, which was read once and understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch(String);

/// Why a patch cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// It is not XML.
    #[error("the patch is not XML: {0}")]
    NotXml(roxmltree::Error),
    /// It is too long.
    #[error("the patch is longer than {} KiB", PATCH_LIMIT_BYTES / 1024)]
    TooLong,
    /// It is XML, but not a patch.
    #[error("the patch cannot be read: {0}")]
    Form(String),
    /// A selector is none.
    #[error("the patch's selector `{selector}` cannot be read: {why}")]
    Selector {
        /// The selector.
        selector: String,
        /// What is wrong with it.
        why: String,
    },
    /// A selector does not match exactly one node.
    #[error("the patch's selector `{selector}` matches {found} nodes of the definition; it must match one")]
    Matches {
        /// The selector.
        selector: String,
        /// How many it matches.
        found: usize,
    },
    /// What would be added is there.
    #[error("`{selector}` of the patch adds {what}, which is there already: replace it")]
    There {
        /// The selector.
        selector: String,
        /// What.
        what: String,
    },
    /// It would change what the domain is known by.
    #[error("`{selector}` of the patch would change the UUID of the virtual machine, by which it is known")]
    Identity {
        /// The selector.
        selector: String,
    },
    /// It would change the name.
    #[error(
        "`{selector}` of the patch would change the name of the virtual machine: that is done by --rename"
    )]
    Name {
        /// The selector.
        selector: String,
    },
    /// What comes out is not a domain's XML.
    #[error("`{selector}` of the patch leaves nothing that is a definition: {why}")]
    Broken {
        /// The selector.
        selector: String,
        /// What is wrong with it.
        why: String,
    },
}

/// One change.
struct Change {
    /// The selector as it was written.
    written: String,
    selector: Selector,
    what: What,
}

enum What {
    /// XML is added at a place.
    Add(Place, String),
    /// An attribute is added: name and value.
    AddAttribute(String, String),
    /// An element is replaced by this XML, an attribute or a text by this text.
    Replace(String),
    Remove,
}

#[derive(Clone, Copy)]
enum Place {
    Last,
    First,
    Before,
    After,
}

impl Patch {
    /// Reads a patch.
    ///
    /// # Errors
    /// What of it is not understood.
    pub fn read(text: &str) -> Result<Self, PatchError> {
        changes(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The definition with all changes made, one after the other.
    ///
    /// # Errors
    /// A selector that does not match exactly one node, or a change that no patch may make.
    pub(super) fn apply(&self, xml: &str) -> Result<String, PatchError> {
        let mut xml = xml.to_owned();
        for change in changes(&self.0)? {
            xml = change.make(&xml)?;
        }
        Ok(xml)
    }
}

fn changes(text: &str) -> Result<Vec<Change>, PatchError> {
    if text.len() > PATCH_LIMIT_BYTES {
        return Err(PatchError::TooLong);
    }
    let document = Document::parse(text).map_err(PatchError::NotXml)?;
    let root = document.root_element();
    if root.tag_name().name() != "diff" {
        return Err(PatchError::Form(format!("its element is <{}>, not <diff>", root.tag_name().name())));
    }
    if root.children().any(|node| node.is_text() && !node.text().unwrap_or_default().trim().is_empty()) {
        return Err(PatchError::Form("there is text between its changes".to_owned()));
    }
    let changes = root.children().filter(Node::is_element).map(|node| change(text, node));
    let changes = changes.collect::<Result<Vec<_>, _>>()?;
    match changes.len() {
        0 => Err(PatchError::Form("it changes nothing".to_owned())),
        1..=CHANGES_LIMIT => Ok(changes),
        more => Err(PatchError::Form(format!("it has {more} changes, and at most {CHANGES_LIMIT} are made"))),
    }
}

fn change(text: &str, node: Node<'_, '_>) -> Result<Change, PatchError> {
    let kind = node.tag_name().name();
    let known: &[&str] = match kind {
        "add" => &["sel", "pos", "type"],
        "replace" | "remove" => &["sel"],
        other => {
            return Err(PatchError::Form(format!("<{other}> is none of <add>, <replace> and <remove>")));
        }
    };
    if let Some(unknown) = node.attributes().find(|attribute| !known.contains(&attribute.name())) {
        return Err(PatchError::Form(format!("<{kind}> takes no `{}`", unknown.name())));
    }
    let written =
        node.attribute("sel").ok_or_else(|| PatchError::Form(format!("a <{kind}> has no `sel`")))?;
    let selector =
        Selector::read(written).map_err(|why| PatchError::Selector { selector: written.to_owned(), why })?;
    let what = match kind {
        "add" => addition(text, node, &selector)?,
        "replace" => What::Replace(match selector.last {
            Last::Element => one_element(text, node, written)?,
            Last::Attribute(_) | Last::Text => plain_text(node, written)?,
        }),
        _ if node.has_children() => {
            return Err(PatchError::Form(format!("<remove> of `{written}` holds something")));
        }
        _ => What::Remove,
    };
    Ok(Change { written: written.to_owned(), selector, what })
}

fn addition(text: &str, node: Node<'_, '_>, selector: &Selector) -> Result<What, PatchError> {
    let written = node.attribute("sel").unwrap_or_default();
    if selector.last != Last::Element {
        return Err(PatchError::Form(format!("<add> to `{written}`, which is no element")));
    }
    let (place, kind) = (node.attribute("pos"), node.attribute("type"));
    if let Some(kind) = kind {
        let name = match (kind.strip_prefix('@'), kind.strip_prefix("namespace::")) {
            (Some(attribute), _) => attribute.to_owned(),
            (_, Some(prefix)) => format!("xmlns:{prefix}"),
            _ => return Err(PatchError::Form(format!("<add> of the type `{kind}`: `@name` is meant"))),
        };
        let is_name = |found: char| found.is_alphanumeric() || matches!(found, '_' | '-' | '.' | ':');
        if place.is_some() || !name.chars().all(is_name) || name.is_empty() || name.ends_with(':') {
            return Err(PatchError::Form(format!("<add> of the attribute `{name}` to `{written}`")));
        }
        return Ok(What::AddAttribute(name, plain_text(node, written)?));
    }
    let place = match place {
        None => Place::Last,
        Some("prepend") => Place::First,
        Some("before") => Place::Before,
        Some("after") => Place::After,
        Some(other) => {
            let known = "prepend, before and after";
            return Err(PatchError::Form(format!("`pos` of <add> is {other}, which is none of {known}")));
        }
    };
    match content(text, node) {
        Some(content) => Ok(What::Add(place, content)),
        None => Err(PatchError::Form(format!("<add> to `{written}` adds nothing"))),
    }
}

/// What an element holds, as it is written.
fn content(text: &str, node: Node<'_, '_>) -> Option<String> {
    let range = node.first_child()?.range().start..node.last_child()?.range().end;
    Some(text[range].to_owned()).filter(|content| !content.trim().is_empty())
}

fn one_element(text: &str, node: Node<'_, '_>, written: &str) -> Result<String, PatchError> {
    let mut elements = node.children().filter(Node::is_element);
    match (elements.next(), elements.next()) {
        (Some(element), None) => Ok(text[element.range()].to_owned()),
        _ => Err(PatchError::Form(format!("<replace> of the element `{written}` holds not one element"))),
    }
}

fn plain_text(node: Node<'_, '_>, written: &str) -> Result<String, PatchError> {
    if node.children().any(|child| child.is_element()) {
        return Err(PatchError::Form(format!("what is to stand in `{written}` is an element, not a text")));
    }
    let texts = node.children().filter(Node::is_text).filter_map(|child| child.text());
    Ok(texts.collect::<String>().trim().to_owned())
}

impl Change {
    fn make(&self, xml: &str) -> Result<String, PatchError> {
        let broken = |why: String| PatchError::Broken { selector: self.written.clone(), why };
        let document = Document::parse(xml).map_err(|error| broken(error.to_string()))?;
        let mut edits = Edits::of(xml);
        self.edit(self.target(xml, &document)?, &mut edits)?;
        let made = edits.apply();
        let after = Document::parse(&made).map_err(|error| broken(error.to_string()))?;
        if !after.root_element().has_tag_name("domain") {
            return Err(broken("its element is no <domain>".to_owned()));
        }
        if known_by(&document, "uuid") != known_by(&after, "uuid") {
            return Err(PatchError::Identity { selector: self.written.clone() });
        }
        if known_by(&document, "name") != known_by(&after, "name") {
            return Err(PatchError::Name { selector: self.written.clone() });
        }
        Ok(made)
    }

    /// The one element that is meant, or whose attribute or text is.
    fn target<'a, 'i>(&self, xml: &str, document: &'a Document<'i>) -> Result<Node<'a, 'i>, PatchError> {
        let mut found = self.selector.elements(xml, document.root_element());
        match &self.selector.last {
            Last::Element => {}
            Last::Attribute(name) => found.retain(|node| node.has_attribute(name.as_str())),
            Last::Text => found.retain(|node| node.text().is_some()),
        }
        match found.as_slice() {
            [one] => Ok(*one),
            other => Err(PatchError::Matches { selector: self.written.clone(), found: other.len() }),
        }
    }

    fn edit(&self, node: Node<'_, '_>, edits: &mut Edits<'_>) -> Result<(), PatchError> {
        match (&self.what, &self.selector.last) {
            (What::Add(place, content), _) => match place {
                Place::Last => edits.append(node, content),
                Place::First => edits.prepend(node, content),
                Place::Before => edits.put(node.range().start..node.range().start, content.clone()),
                Place::After => edits.put(node.range().end..node.range().end, content.clone()),
            },
            (What::AddAttribute(name, value), _) => {
                let prefix = name.strip_prefix("xmlns:");
                let declared = prefix.is_some_and(|prefix| node.lookup_namespace_uri(Some(prefix)).is_some());
                if declared || node.has_attribute(name.as_str()) {
                    let what = format!("the attribute {name}");
                    return Err(PatchError::There { selector: self.written.clone(), what });
                }
                edits.set_attribute(node, name, value);
            }
            (What::Replace(new), Last::Element) => edits.put(node.range(), new.clone()),
            (What::Replace(new), Last::Attribute(name)) => edits.set_attribute(node, name, new),
            (What::Replace(new), Last::Text) => put_text(node, escaped(new), edits),
            (What::Remove, Last::Element) => edits.remove(node),
            (What::Remove, Last::Attribute(name)) => edits.remove_attribute(node, name),
            (What::Remove, Last::Text) => put_text(node, String::new(), edits),
        }
        Ok(())
    }
}

/// The first text of an element becomes another one; elements in it stay.
fn put_text(node: Node<'_, '_>, text: String, edits: &mut Edits<'_>) {
    if let Some(old) = node.children().find(Node::is_text) {
        edits.put(old.range(), text);
    }
}

/// What a domain is known by.
fn known_by(document: &Document<'_>, name: &str) -> Vec<String> {
    let children = document.root_element().children().filter(|node| node.has_tag_name(name));
    children.map(|node| node.text().unwrap_or_default().trim().to_owned()).collect()
}
