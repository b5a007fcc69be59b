//! Files of the hosts: the guest's image, and somebody else's.

use ferryd::hypervisor::{FileSight, NewFile, Span};
use ferryd::libvirt::error::{NO_VOLUME, VOLUME_EXISTS};

use super::links::{Told, refusal};
use super::{NAMES, World};

/// The path of the guest's image, on either host.
pub const IMAGE: &str = "/images/web1";
/// How long it is: some spans.
pub const LENGTH: usize = 40;
/// How much of a file is carried at once.
pub const SPAN: u64 = 16;
/// What is in it.
const CONTENT: u8 = 7;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimFile {
    /// What is in it.
    content: Vec<u8>,
    /// Something was written into it.
    written: bool,
    /// It is somebody else's, and nothing of the guest's.
    foreign: bool,
}

impl SimFile {
    fn is_whole(&self) -> bool {
        !self.foreign && self.content == [CONTENT; LENGTH]
    }
}

impl World {
    /// Puts the guest's image where it is, where this history is about one.
    pub(super) fn furnish_files(&mut self) {
        if self.scenario.files {
            let image = SimFile { content: vec![CONTENT; LENGTH], written: true, foreign: false };
            self.hosts[super::SOURCE].files.insert(IMAGE.to_owned(), image);
        }
    }

    /// What is seen of a file.
    #[must_use]
    pub fn file(&self, host: usize, path: &str) -> Option<FileSight> {
        let file = self.hosts[host].files.get(path)?;
        Some(FileSight {
            length_bytes: file.content.len() as u64,
            allocated_bytes: if file.written { 64 << 20 } else { 0 },
            modified_ns: 1,
        })
    }

    /// Makes one.
    pub fn make_file(&mut self, host: usize, file: &NewFile) -> Told<()> {
        if self.hosts[host].files.contains_key(&file.path) {
            return Err(refusal(VOLUME_EXISTS, "storage volume exists already"));
        }
        let length = usize::try_from(file.capacity_bytes).unwrap_or(0);
        let made = SimFile { content: vec![0; length], written: false, foreign: false };
        self.tell(|| format!("{}: {} is made", NAMES[host], file.path));
        self.hosts[host].files.insert(file.path.clone(), made);
        Ok(())
    }

    /// Removes one.
    pub fn remove_file(&mut self, host: usize, path: &str) {
        let Some(file) = self.hosts[host].files.remove(path) else { return };
        self.tell(|| format!("{}: {path} is removed", NAMES[host]));
        if file.foreign {
            self.violate(format!("somebody else's file on {} was removed", NAMES[host]));
        }
        if self.qemu_of(host).is_some() {
            self.violate(format!("the image of a copy that is on {} was removed", NAMES[host]));
        }
        if host == super::SOURCE && !self.once_more {
            let there = self.hosts[super::DESTINATION].files.get(path).map(|file| file.is_whole());
            if !self.scenario.deletes || !there.unwrap_or(self.hosts[super::DESTINATION].gone) {
                self.violate("the source's image was removed");
            }
        }
    }

    /// Reads a part of one.
    pub fn read_file(&mut self, host: usize, path: &str, span: Span) -> Told<Vec<u8>> {
        let Some(file) = self.hosts[host].files.get(path) else { return no_volume() };
        let bytes = file.content.iter().skip(usize::try_from(span.offset).unwrap_or(0));
        Ok(bytes.take(usize::try_from(span.length).unwrap_or(0)).copied().collect())
    }

    /// Writes a part of one, which ends with a hole: there libvirt cuts the file off, and what was behind it is zeros when it grows again.
    /// What comes late so does harm, though it is the same.
    pub fn write_file(&mut self, host: usize, path: &str, span: Span, bytes: &[u8]) -> Told<()> {
        let Some(file) = self.hosts[host].files.get_mut(path) else { return no_volume() };
        file.written = true;
        let foreign = file.foreign;
        let there = file.content.iter_mut().skip(usize::try_from(span.offset).unwrap_or(0));
        there.zip(bytes).for_each(|(there, byte)| *there = *byte);
        let behind = usize::try_from(span.offset).unwrap_or(0).saturating_add(bytes.len());
        file.content.iter_mut().skip(behind).for_each(|byte| *byte = 0);
        if foreign {
            self.violate(format!("somebody else's file on {} was written to", NAMES[host]));
        }
        Ok(())
    }

    /// Makes what one holds the content of another.
    pub fn flatten_file(&mut self, host: usize, from: &str, into: &str) -> Told<()> {
        let Some(file) = self.hosts[host].files.get(from) else { return no_volume() };
        let content = file.content.clone();
        let length = content.len() as u64;
        self.write_file(host, into, Span { offset: 0, length }, &content)
    }

    /// QEMU has filled the image that was made for it.
    pub(super) fn image_arrives(&mut self, host: usize) {
        if let Some(file) = self.hosts[host].files.get_mut(IMAGE) {
            (file.content, file.written) = (vec![CONTENT; LENGTH], true);
        }
    }

    /// Somebody puts a file of their own where the guest's image would come.
    pub(super) fn somebodys_file(&mut self, host: usize) {
        let theirs = SimFile { content: vec![1; 5], written: true, foreign: true };
        self.hosts[host].files.entry(IMAGE.to_owned()).or_insert(theirs);
    }

    /// What is wrong about the images at the end, `owner` having the guest.
    pub(crate) fn image_faults(&self, source: usize, owner: usize) -> Option<String> {
        let image = |host: usize| self.hosts[host].files.get(IMAGE);
        if !self.scenario.files {
            return None;
        }
        if !image(owner).is_some_and(SimFile::is_whole) {
            return Some(format!("the image on {} is not whole: {:?}", NAMES[owner], image(owner)));
        }
        // What the copy there may have written stays, where a person decided against it.
        let left =
            owner == source && !self.resume_intended && image(1 - source).is_some_and(|file| !file.foreign);
        left.then(|| format!("an image is left over on {}", NAMES[1 - source]))
    }

    /// The image that the guest left behind goes by hand, before it is sent back.
    pub fn clear_old_image(&mut self, host: usize) {
        self.hosts[host].files.remove(IMAGE);
    }
}

fn no_volume<T>() -> Told<T> {
    Err(refusal(NO_VOLUME, "Storage volume not found"))
}
