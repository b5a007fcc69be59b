//! The scripts about images: what lies below them, and marks next to them by which two hosts see that they share a directory.

use std::collections::BTreeMap;

use super::super::wrapper::shell_quoted;
use super::facts::arguments;
use crate::model::definition::{Backing, Source};

/// What lies below an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chain {
    /// These, from the nearest on.
    Read(Vec<Backing>),
    /// It could not be read: why.
    Unread(String),
}

impl Backing {
    /// An image by what names it: a path, or something else (`nbd://…`), which is no file.
    #[must_use]
    pub fn file(path: &str, format: Option<&str>) -> Self {
        let is_path = path.starts_with('/');
        let source = if is_path { Source::File(path.to_owned()) } else { Source::Other(path.to_owned()) };
        Self { source, format: format.map(str::to_owned), by_place: false }
    }
}

/// A script that tells what lies below these images; read by [`parse_chains`].
#[must_use]
pub fn chains(images: &[String]) -> String {
    format!("{}{}", arguments(images), include_str!("chains.sh"))
}

/// What [`chains`] printed, by image; none if it is not whole.
#[must_use]
pub fn parse_chains(output: &str) -> Option<BTreeMap<String, Chain>> {
    parse_places(output, |words| match words {
        ["chain", path, json] => Some((*path, read_chain(json))),
        ["unread", path, why] => Some((*path, Chain::Unread((*why).trim().to_owned()))),
        _ => None,
    })
}

/// What `qemu-img info --backing-chain` says: the image itself comes first.
fn read_chain(json: &str) -> Chain {
    #[derive(serde::Deserialize)]
    struct Image {
        filename: String,
        format: String,
        /// As the image itself names what lies below it.
        #[serde(default, rename = "backing-filename")]
        below: Option<String>,
        #[serde(default, rename = "format-specific")]
        specific: serde_json::Value,
    }
    match serde_json::from_str::<Vec<Image>>(json) {
        Ok(images) if images.iter().any(|image| !image.specific["data"]["data-file"].is_null()) => {
            Chain::Unread("its data lies in an external file (data-file)".to_owned())
        }
        Ok(images) => {
            let named = images.iter().map(|image| image.below.as_deref());
            let below = images.iter().skip(1).zip(named).map(|(image, named)| Backing {
                by_place: named.is_some_and(|named| !named.starts_with('/')),
                ..Backing::file(&image.filename, Some(&image.format))
            });
            Chain::Read(below.collect())
        }
        Err(error) => Chain::Unread(format!("qemu-img's answer makes no sense: {error}")),
    }
}

/// A script that writes what a guest sees of an image, with all that lies below it, into an empty image, and compares the two; its
/// lines are read by [`parse_flattening`]. `format`: that of both.
#[must_use]
pub fn flatten(from: &str, format: &str, into: &str) -> String {
    let (from, format, into) = (shell_quoted(from), shell_quoted(format), shell_quoted(into));
    format!("FROM={from} FORMAT={format} INTO={into}\n{}", include_str!("flatten.sh"))
}

/// What a line of [`flatten`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flattening {
    /// It goes on.
    Working,
    /// All of it is there, and equal.
    Done,
    /// It is not; why has been said before.
    Failed,
    /// What went wrong, in qemu-img's words.
    Says(String),
}

/// Reads a line of [`flatten`].
#[must_use]
pub fn parse_flattening(line: &str) -> Flattening {
    match line {
        "working" => Flattening::Working,
        "done" => Flattening::Done,
        "failed" => Flattening::Failed,
        other => Flattening::Says(other.trim().to_owned()),
    }
}

/// A script that writes a mark into each of these directories; read by [`parse_marked`].
#[must_use]
pub fn write_marks(mark: &str, directories: &[String]) -> String {
    format!("MARK={}\n{}{}", shell_quoted(mark), arguments(directories), include_str!("share.sh"))
}

/// A script that looks for a mark in each of these directories; read by [`parse_marks_found`].
#[must_use]
pub fn find_marks(mark: &str, directories: &[String]) -> String {
    format!("MARK={}\n{}{}", shell_quoted(mark), arguments(directories), include_str!("shared.sh"))
}

/// A script that removes what [`write_marks`] wrote.
#[must_use]
pub fn remove_marks(mark: &str, directories: &[String]) -> String {
    format!(
        "MARK={}\n{}for place; do rm -f -- \"$place/$MARK\"; done",
        shell_quoted(mark),
        arguments(directories)
    )
}

/// For each directory, whether the mark could be written, or why not; none if the output is not whole.
#[must_use]
pub fn parse_marked(output: &str) -> Option<BTreeMap<String, Result<(), String>>> {
    parse_places(output, |words| match words {
        ["marked", place] => Some((*place, Ok(()))),
        ["refused", place, why] => Some((*place, Err((*why).to_owned()))),
        _ => None,
    })
}

/// For each directory, whether the mark is there; none if the output is not whole.
#[must_use]
pub fn parse_marks_found(output: &str) -> Option<BTreeMap<String, bool>> {
    parse_places(output, |words| match words {
        ["there", place] => Some((*place, true)),
        ["absent", place] => Some((*place, false)),
        _ => None,
    })
}

fn parse_places<T>(
    output: &str,
    read: impl for<'a> Fn(&[&'a str]) -> Option<(&'a str, T)>,
) -> Option<BTreeMap<String, T>> {
    let mut places = BTreeMap::new();
    for line in output.lines() {
        if line == "end" {
            return Some(places);
        }
        let words: Vec<&str> = line.split('\t').collect();
        if let Some((place, value)) = read(&words) {
            places.insert(place.to_owned(), value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::Shell;
    use std::time::Duration;

    async fn run(script: &str) -> String {
        let output = Shell::local().run(script, Duration::from_secs(20)).await.expect("it runs");
        assert!(output.success(), "{output:?}");
        output.stdout
    }

    #[test]
    fn a_chain_is_read() {
        let told = "chain\t/a\t[{\"filename\": \"/a\", \"format\": \"qcow2\"}, {\"filename\": \"/b\", \"format\": \"raw\"}]\n\
                    chain\t/n\t[{\"filename\": \"/n\", \"format\": \"qcow2\"}, {\"filename\": \"nbd://x\", \"format\": \"raw\"}]\n\
                    chain\t/d\t[{\"filename\": \"/d\", \"format\": \"qcow2\", \"format-specific\": {\"data\": {\"data-file\": \"/e\"}}}]\n\
                    chain\t/i/r\t[{\"filename\": \"/i/r\", \"format\": \"qcow2\", \"backing-filename\": \"b\"}, {\"filename\": \"/i/b\", \"format\": \"raw\"}]\n\
                    unread\t/x\tno such file\nend\n";
        let chains = parse_chains(told).expect("whole");
        assert_eq!(chains["/a"], Chain::Read(vec![Backing::file("/b", Some("raw"))]));
        let by_place = Backing { by_place: true, ..Backing::file("/i/b", Some("raw")) };
        assert_eq!(chains["/i/r"], Chain::Read(vec![by_place]), "it is named by its place beside the other");
        let Chain::Read(below) = &chains["/n"] else { panic!("{chains:?}") };
        assert_eq!(below[0].source.path(), None, "a server is no file");
        assert!(matches!(&chains["/d"], Chain::Unread(why) if why.contains("data-file")));
        assert_eq!(chains["/x"], Chain::Unread("no such file".to_owned()));
        assert_eq!(parse_chains("chain\t/a\t[]\n"), None, "half an answer is none");
    }

    #[tokio::test]
    async fn what_flattens_says_how_it_ended() {
        let dir = tempfile::tempdir().expect("a directory");
        let nothing = dir.path().join("no 'image'").display().to_string();
        let said = run(&flatten(&nothing, "qcow2", &nothing)).await;
        let lines: Vec<Flattening> = said.lines().map(parse_flattening).collect();
        assert_eq!(lines.last(), Some(&Flattening::Failed), "{said}");
        assert!(lines.iter().any(|line| matches!(line, Flattening::Says(_))), "it says why: {said}");
        assert_eq!(parse_flattening("done"), Flattening::Done);
    }

    #[tokio::test]
    async fn marks_are_written_found_and_removed() {
        let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory")];
        let places: Vec<String> = dirs.iter().map(|dir| dir.path().display().to_string()).collect();
        let mark = crate::model::mark::new_name();
        let nowhere = format!("{}/nowhere", places[0]);
        let marked = parse_marked(&run(&write_marks(&mark, &[places[0].clone(), nowhere.clone()])).await)
            .expect("whole");
        assert_eq!(marked[&places[0]], Ok(()));
        assert!(marked[&nowhere].is_err());
        let found = parse_marks_found(&run(&find_marks(&mark, &places)).await).expect("whole");
        assert_eq!((found[&places[0]], found[&places[1]]), (true, false));
        run(&remove_marks(&mark, &places)).await;
        assert_eq!(std::fs::read_dir(dirs[0].path()).expect("it is there").count(), 0);
    }
}
