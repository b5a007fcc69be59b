//! Whether a picture of a screen shows a text.
//!
//! Of a screen in text mode QEMU knows the letters: they stand in the memory of its graphics card. What they look like is the font's matter;
//! but on a true picture each letter looks everywhere the same, and no two look alike.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use lab::Host;

/// Columns and rows of a screen in text mode.
const COLUMNS: usize = 80;
const ROWS: usize = 25;
/// Bytes of a pixel.
const PIXEL: usize = 3;

/// The letters on the screen of a machine, row after row, by the memory of its graphics card.
pub(crate) fn text_on_screen(host: &Host, name: &str) -> Vec<u8> {
    let words = COLUMNS * ROWS;
    let read = format!("xp /{words}hx 0xb8000");
    let told = host.virsh(&["qemu-monitor-command", name, "--hmp", &read]).expect("QEMU's monitor");
    let words =
        told.lines().filter_map(|line| line.split_once(':')).flat_map(|(_, words)| words.split_whitespace());
    // A letter and its colours.
    let letter = |word: &str| {
        u16::from_str_radix(word.trim_start_matches("0x"), 16).ok().map(|word| word.to_le_bytes()[0])
    };
    let text: Vec<u8> =
        words.map(|word| letter(word).unwrap_or_else(|| panic!("{word:?} in {told}"))).collect();
    assert_eq!(text.len(), COLUMNS * ROWS, "{told}");
    text
}

/// A picture, taken apart.
pub(crate) struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// Reads a PNG.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let frame = reader.next_frame(&mut pixels).expect("a whole picture");
        assert_eq!(
            (frame.color_type, frame.bit_depth),
            (png::ColorType::Rgb, png::BitDepth::Eight),
            "{frame:?}"
        );
        assert!(frame.width >= 320 && frame.height >= 200, "{frame:?}");
        let of = |size: u32| usize::try_from(size).expect("a size");
        Self { width: of(frame.width), height: of(frame.height), pixels }
    }

    /// Whether it shows these letters, each in its place; why not.
    pub(crate) fn shows(&self, text: &[u8]) -> Result<(), String> {
        if !self.width.is_multiple_of(COLUMNS) || !self.height.is_multiple_of(ROWS) {
            return Err(format!("{} x {} pixels are no text screen", self.width, self.height));
        }
        let mut looks: BTreeMap<u8, Vec<bool>> = BTreeMap::new();
        for (place, &letter) in text.iter().enumerate().filter(|(_, letter)| letter.is_ascii_graphic()) {
            let told = |what: &str| format!("{:?} in place {place} {what}", char::from(letter));
            let seen = self.seen_at(place);
            if !seen.contains(&true) {
                return Err(told("is not drawn"));
            }
            match looks.entry(letter) {
                Entry::Vacant(first) => drop(first.insert(seen)),
                Entry::Occupied(first) if *first.get() == seen => {}
                Entry::Occupied(_) => return Err(told("looks otherwise than elsewhere")),
            }
        }
        match looks.values().collect::<BTreeSet<_>>().len() == looks.len() {
            true => Ok(()),
            false => Err("two letters look alike".to_owned()),
        }
    }

    /// The pixels in a place that are not of its background, the colour that most of them have.
    fn seen_at(&self, place: usize) -> Vec<bool> {
        let (wide, high) = (self.width / COLUMNS, self.height / ROWS);
        let (left, top) = (place % COLUMNS * wide, place / COLUMNS * high);
        let rows = (top..top + high).map(|row| (row * self.width + left) * PIXEL);
        let pixels: Vec<&[u8]> =
            rows.flat_map(|begin| self.pixels[begin..begin + wide * PIXEL].chunks(PIXEL)).collect();
        let mut colours: BTreeMap<&[u8], usize> = BTreeMap::new();
        pixels.iter().for_each(|pixel| *colours.entry(pixel).or_default() += 1);
        let background = colours.into_iter().max_by_key(|(_, count)| *count).map(|(colour, _)| colour);
        pixels.iter().map(|pixel| Some(*pixel) != background).collect()
    }
}
