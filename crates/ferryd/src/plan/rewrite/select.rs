//! The selectors of a patch: the part of XPath that names one node of a definition.
//!
//! ```text
//! selector  = ["/"] step *("/" step) ["/" ("@" name / "text()")]
//! step      = name / "*"  *( "[" number "]" / "[" inner "=" literal "]" / "[" inner "]" )
//! inner     = "@" name / "text()" / name *("/" name) ["/" ("@" name / "text()")]
//! literal   = "'" … "'" / '"' … '"'
//! ```
//! The first step is the document's own element (`domain`). Names are as they are written, with their prefix. A number counts what
//! the step has found so far among the children of one element, from 1.

use roxmltree::Node;

use super::edit::written_name;

/// Which node is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    steps: Vec<Step>,
    /// What of the element.
    pub(super) last: Last,
}

/// What of an element is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// The element itself.
    Element,
    /// Its attribute of this name.
    Attribute(String),
    /// Its text.
    Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    name: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Place(usize),
    Has(Inner, Option<String>),
}

/// Something within an element that a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    names: Vec<String>,
    last: Last,
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// What it does not understand, in words.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text.trim() };
        reader.takes("/");
        let mut steps = vec![reader.step()?];
        let mut last = Last::Element;
        while reader.takes("/") {
            if let Some(end) = reader.end_of_path()? {
                last = end;
                break;
            }
            steps.push(reader.step()?);
        }
        if reader.rest.is_empty() { Ok(Self { steps, last }) } else { Err(reader.unexpected()) }
    }

    /// The elements that its steps lead to; whether they have the attribute or text that is meant is not looked at.
    pub(super) fn elements<'a, 'i>(&self, xml: &str, root: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
        let Some((first, rest)) = self.steps.split_first() else { return Vec::new() };
        let mut found = first.among(xml, vec![root]);
        for step in rest {
            let below =
                |node: Node<'a, 'i>| step.among(xml, node.children().filter(Node::is_element).collect());
            found = found.into_iter().flat_map(below).collect();
        }
        found
    }
}

impl Step {
    fn among<'a, 'i>(&self, xml: &str, nodes: Vec<Node<'a, 'i>>) -> Vec<Node<'a, 'i>> {
        let named = |node: &Node<'_, '_>| self.name == "*" || written_name(xml, *node) == self.name;
        let mut found: Vec<_> = nodes.into_iter().filter(named).collect();
        for condition in &self.conditions {
            match condition {
                Condition::Place(place) => {
                    found = found.get(place.wrapping_sub(1)).copied().into_iter().collect();
                }
                Condition::Has(inner, value) => {
                    found.retain(|node| inner.is_in(xml, *node, value.as_deref()))
                }
            }
        }
        found
    }
}

impl Inner {
    fn is_in(&self, xml: &str, node: Node<'_, '_>, value: Option<&str>) -> bool {
        let mut at = vec![node];
        for name in &self.names {
            let of_name = |node: &Node<'_, '_>| node.is_element() && written_name(xml, *node) == name;
            at = at.into_iter().flat_map(|node| node.children().filter(of_name)).collect();
        }
        at.into_iter().any(|node| {
            let found = match &self.last {
                Last::Attribute(name) => node.attribute(name.as_str()),
                Last::Element | Last::Text => Some(node.text().unwrap_or_default().trim()),
            };
            found.is_some_and(|found| value.is_none_or(|value| value == found))
        })
    }
}

/// What is left of a selector's text.
struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn takes(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn unexpected(&self) -> String {
        match self.rest {
            "" => "it ends too soon".to_owned(),
            rest => format!("it cannot be read from `{rest}` on"),
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let belongs = |found: char| found.is_alphanumeric() || matches!(found, '_' | '-' | '.' | ':');
        let end = self.rest.find(|found: char| !belongs(found)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() {
            return Err(self.unexpected());
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    /// `@name` or `text()`, where a path ends with one.
    fn end_of_path(&mut self) -> Result<Option<Last>, String> {
        if self.takes("@") {
            return Ok(Some(Last::Attribute(self.name()?)));
        }
        Ok(self.takes("text()").then_some(Last::Text))
    }

    fn step(&mut self) -> Result<Step, String> {
        let name = if self.takes("*") { "*".to_owned() } else { self.name()? };
        let mut conditions = Vec::new();
        while self.takes("[") {
            conditions.push(self.condition()?);
            if !self.takes("]") {
                return Err(self.unexpected());
            }
        }
        Ok(Step { name, conditions })
    }

    fn condition(&mut self) -> Result<Condition, String> {
        let digits = self.rest.find(|found: char| !found.is_ascii_digit()).unwrap_or(self.rest.len());
        if digits > 0 {
            let (number, rest) = self.rest.split_at(digits);
            let place = number.parse().ok().filter(|place| *place > 0);
            let place = place.ok_or_else(|| format!("`{number}` is no place that can be counted from 1"))?;
            self.rest = rest;
            return Ok(Condition::Place(place));
        }
        let inner = self.inner()?;
        let value = if self.takes("=") { Some(self.literal()?) } else { None };
        Ok(Condition::Has(inner, value))
    }

    fn inner(&mut self) -> Result<Inner, String> {
        let mut names = Vec::new();
        loop {
            if let Some(last) = self.end_of_path()? {
                return Ok(Inner { names, last });
            }
            names.push(self.name()?);
            if !self.takes("/") {
                return Ok(Inner { names, last: Last::Element });
            }
        }
    }

    fn literal(&mut self) -> Result<String, String> {
        for quote in ["'", "\""] {
            if self.takes(quote) {
                let (literal, rest) = self.rest.split_once(quote).ok_or("a quote in it does not end")?;
                self.rest = rest;
                return Ok(literal.to_owned());
            }
        }
        Err(self.unexpected())
    }
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;

    const XML: &str = "<domain xmlns:qemu='urn:q'><devices><disk type='file'><target dev='vda'/></disk>\
                       <disk type='block'><target dev='vdb'/></disk><disk type='file'><target dev='vdc'/></disk>\
                       <emulator> /usr/bin/qemu </emulator></devices><qemu:commandline/></domain>";

    fn count(selector: &str) -> usize {
        let document = Document::parse(XML).unwrap();
        Selector::read(selector).unwrap().elements(XML, document.root_element()).len()
    }

    #[test]
    fn elements_are_found() {
        assert_eq!(count("/domain"), 1);
        assert_eq!(count("domain/devices/disk"), 3);
        assert_eq!(count("/domain/devices/*"), 4);
        assert_eq!(count("/*/devices/disk[2]"), 1);
        assert_eq!(count("/domain/devices/disk[4]"), 0);
        assert_eq!(count("/domain/devices/disk[@type='file']"), 2);
        assert_eq!(count("/domain/devices/disk[@type='file'][2][target/@dev=\"vdc\"]"), 1);
        assert_eq!(count("/domain/devices/disk[target]"), 3);
        assert_eq!(count("/domain/devices/disk[@device]"), 0);
        assert_eq!(count("/domain/devices[emulator='/usr/bin/qemu']"), 1);
        assert_eq!(count("/domain/devices/emulator[text()='/usr/bin/qemu']/text()"), 1);
        assert_eq!(count("/domain/qemu:commandline"), 1);
        assert_eq!(count("/network"), 0);
    }

    #[test]
    fn ends_are_told_apart() {
        assert_eq!(Selector::read("/domain/@type").unwrap().last, Last::Attribute("type".to_owned()));
        assert_eq!(Selector::read("/domain/name/text()").unwrap().last, Last::Text);
        assert_eq!(Selector::read("/domain/name").unwrap().last, Last::Element);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for wrong in [
            "",
            "/",
            "//disk",
            "/domain//disk",
            "/domain/",
            "/domain/disk[",
            "/domain/disk[0]",
            "/domain/disk[99999999999999999999999]",
            "/domain/disk[@type='file]",
            "/domain/disk[@type=file]",
            "/domain/disk[position()=1]",
            "/domain/@type/name",
            "/domain/disk | /domain/name",
            "id('x')",
            "/domain/disk[@]",
        ] {
            assert!(Selector::read(wrong).is_err(), "{wrong}");
        }
    }
}
