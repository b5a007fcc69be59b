//! Changes to a text of XML at the places where its nodes are: everything else stays as it is.

use std::ops::Range;

use roxmltree::Node;

/// Changes to one document. Of two that overlap the one that begins first is made: what is taken away is not changed as well.
pub(super) struct Edits<'x> {
    xml: &'x str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'x> Edits<'x> {
    /// None yet. All nodes that are named later are of this document.
    pub(super) fn of(xml: &'x str) -> Self {
        Self { xml, edits: Vec::new() }
    }

    /// The document with all of them made.
    pub(super) fn apply(mut self) -> String {
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut made = String::with_capacity(self.xml.len());
        let mut at = 0;
        for (range, new) in &self.edits {
            if range.start < at {
                continue;
            }
            made.push_str(&self.xml[at..range.start]);
            made.push_str(new);
            at = range.end;
        }
        made.push_str(&self.xml[at..]);
        made
    }

    /// The element holds this text, and nothing else.
    pub(super) fn set_text(&mut self, element: Node<'_, '_>, text: &str) {
        match (element.first_child(), element.last_child()) {
            (Some(first), Some(last)) => self.put(first.range().start..last.range().end, escaped(text)),
            _ => self.fill(element, &escaped(text)),
        }
    }

    /// Puts XML after all that the element holds.
    pub(super) fn append(&mut self, element: Node<'_, '_>, content: &str) {
        match element.last_child() {
            Some(last) => {
                // In front of the space that the end tag is indented by.
                let indented = last.is_text() && self.xml[last.range()].trim().is_empty();
                let at = if indented { last.range().start } else { last.range().end };
                self.put(at..at, content.to_owned());
            }
            None => self.fill(element, content),
        }
    }

    /// Puts XML before all that the element holds.
    pub(super) fn prepend(&mut self, element: Node<'_, '_>, content: &str) {
        match element.first_child() {
            Some(first) => self.put(first.range().start..first.range().start, content.to_owned()),
            None => self.fill(element, content),
        }
    }

    /// Fills an element that holds nothing.
    fn fill(&mut self, element: Node<'_, '_>, content: &str) {
        let range = element.range();
        let raw = &self.xml[range.clone()];
        match raw.strip_suffix("/>") {
            Some(open) => {
                let filled = format!(">{content}</{}>", written_name(self.xml, element));
                self.put(range.start + open.trim_end().len()..range.end, filled);
            }
            None => {
                let end_tag = raw.rfind("</").map_or(range.end, |at| range.start + at);
                self.put(end_tag..end_tag, content.to_owned());
            }
        }
    }

    /// The attribute has this value, whether it was there or not.
    pub(super) fn set_attribute(&mut self, element: Node<'_, '_>, name: &str, value: &str) {
        match element.attributes().find(|attribute| attribute.name() == name) {
            Some(attribute) if attribute.value() == value => {}
            Some(attribute) => self.put(attribute.range_value(), escaped(value)),
            None => {
                let at = self.name_end(element);
                self.put(at..at, format!(" {name}='{}'", escaped(value)));
            }
        }
    }

    /// The attribute is not there.
    pub(super) fn remove_attribute(&mut self, element: Node<'_, '_>, name: &str) {
        if let Some(attribute) = element.attributes().find(|attribute| attribute.name() == name) {
            let range = attribute.range();
            self.put(self.xml[..range.start].trim_end().len()..range.end, String::new());
        }
    }

    /// The node is not there, nor the space in front of it.
    pub(super) fn remove(&mut self, node: Node<'_, '_>) {
        let range = node.range();
        self.put(self.xml[..range.start].trim_end().len()..range.end, String::new());
    }

    /// Something else stands in a range of the document.
    pub(super) fn put(&mut self, range: Range<usize>, new: String) {
        self.edits.push((range, new));
    }

    /// Where the name of an element ends in its start tag.
    fn name_end(&self, element: Node<'_, '_>) -> usize {
        element.range().start + 1 + written_name(self.xml, element).len()
    }
}

/// The name of an element as it is written, with its prefix.
pub(super) fn written_name<'x>(xml: &'x str, element: Node<'_, '_>) -> &'x str {
    let raw = &xml[element.range().start + 1..];
    let ends = |found: char| found.is_whitespace() || found == '/' || found == '>';
    &raw[..raw.find(ends).unwrap_or(raw.len())]
}

/// A text as it stands in XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&apos;")
        .replace('"', "&quot;")
}
