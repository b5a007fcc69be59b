//! Randomness that one number decides: the same seed throws the same dice for ever, on every machine.

/// A stream of numbers (SplitMix64, by its published constants).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream that belongs to a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        // The remainder's bias is far below what the histories could show.
        low + self.throw() % (high - low + 1)
    }

    /// True in so many of a hundred throws.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    /// True in so many of a thousand throws.
    pub fn per_mille(&mut self, count: u64) -> bool {
        self.between(1, 1000) <= count
    }

    /// One of several values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        let index = usize::try_from(self.throw() % values.len() as u64).unwrap_or(0);
        values[index]
    }
}
