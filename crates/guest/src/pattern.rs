//! The content of a page or block: random to a compressor, known to us from a few numbers.

/// Bytes of a page of memory, and of a block of the disk.
pub(crate) const PAGE_BYTES: usize = 4096;
/// 64-bit words of a page.
pub(crate) const PAGE_WORDS: usize = PAGE_BYTES / 8;

/// A stream of words that a page is filled with; the same seed gives the same words.
pub(crate) struct Words(u64);

impl Words {
    /// The words of page `index` in its `generation`-th content, for the boot (or region) named by `salt`.
    pub(crate) fn new(salt: u64, index: u64, generation: u64) -> Self {
        let seed = mix(salt ^ mix(index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ mix(generation)));
        // Zero is the one value that xorshift never leaves.
        Self(seed | 1)
    }
}

impl Iterator for Words {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut x = self.0;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = x;
        Some(x)
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A word that is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Index of the word in its page.
    pub(crate) word: usize,
    /// What was written there.
    pub(crate) want: u64,
    /// What is there.
    pub(crate) got: u64,
}

/// Writes the words over the page.
pub(crate) fn fill(page: &mut [u64], words: Words) {
    for (slot, word) in page.iter_mut().zip(words) {
        *slot = word;
    }
}

/// Compares the page with the words and tells the first difference.
pub(crate) fn check(page: &[u64], words: Words) -> Result<(), Mismatch> {
    for (word, (got, want)) in page.iter().zip(words).enumerate() {
        if *got != want {
            return Err(Mismatch { word, want, got: *got });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_page_checks_and_one_flipped_bit_does_not() {
        let mut page = vec![0_u64; PAGE_WORDS];
        fill(&mut page, Words::new(7, 3, 1));
        assert_eq!(check(&page, Words::new(7, 3, 1)), Ok(()));
        page[100] ^= 1 << 40;
        assert_eq!(check(&page, Words::new(7, 3, 1)).expect_err("one bit differs").word, 100);
    }

    #[test]
    fn every_generation_page_and_salt_differs_from_the_first_word_on() {
        let first = |salt, index, generation| Words::new(salt, index, generation).next();
        assert_ne!(first(1, 1, 1), first(1, 1, 2));
        assert_ne!(first(1, 1, 1), first(1, 2, 1));
        assert_ne!(first(1, 1, 1), first(2, 1, 1));
    }
}
