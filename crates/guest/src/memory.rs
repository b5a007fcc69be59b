//! The memory that is kept and checked.
//!
//! Two sets of pages: the *region* is written once and compared for ever; the *working set* is rewritten at a set
//! rate, each page being compared, before that, with what was written the last time. A page that a migration lost
//! keeps an older content, which is a content of another generation, which is an error.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use crate::pattern::{self, Mismatch, PAGE_BYTES, PAGE_WORDS, Words};
use crate::platform;
use crate::report::Report;
use crate::settings::MemoryPlan;

const SLICE: Duration = Duration::from_millis(20);
/// Work that a stopped or starved guest missed is not made up for beyond this.
const CATCH_UP_MAX: Duration = Duration::from_millis(100);
const REGION_SALT: u64 = 0x7265_6769_6f6e;
const WORK_SALT: u64 = 0x776f_726b;

/// Lays down both sets, then keeps checking for ever.
pub(crate) fn run(report: &Report, plan: MemoryPlan) {
    platform::lower_priority();
    let mut region = Pages::new(report.boot_id() ^ REGION_SALT, plan.region_mib);
    let mut work = Pages::new(report.boot_id() ^ WORK_SALT, plan.work_mib);
    report.line("S ready");
    let (mut verify, mut dirty) = (Pace::new(plan.verify_mib_s), Pace::new(plan.dirty_mib_s));
    let mut then = Instant::now();
    loop {
        thread::sleep(SLICE);
        let elapsed = then.elapsed().min(CATCH_UP_MAX);
        then = Instant::now();
        for _ in 0..verify.due(elapsed) {
            region.check_next(report);
        }
        for _ in 0..dirty.due(elapsed) {
            work.rewrite_next(report);
        }
    }
}

/// Turns a rate into pages per slice, carrying the fraction over.
struct Pace {
    pages_per_s: f64,
    owed: f64,
}

impl Pace {
    fn new(mib_s: usize) -> Self {
        Self { pages_per_s: (mib_s << 20) as f64 / PAGE_BYTES as f64, owed: 0.0 }
    }

    fn due(&mut self, elapsed: Duration) -> usize {
        self.owed += self.pages_per_s * elapsed.as_secs_f64();
        let whole = self.owed.floor();
        self.owed -= whole;
        whole as usize
    }
}

/// A set of pages that is walked round and round.
struct Pages {
    salt: u64,
    words: Vec<u64>,
    next: usize,
    generation: u64,
}

impl Pages {
    fn new(salt: u64, size_mib: usize) -> Self {
        let mut pages = Self { salt, words: vec![0; (size_mib << 20) / 8], next: 0, generation: 0 };
        for index in 0..pages.count() {
            let content = Words::new(salt, index as u64, 0);
            pattern::fill(pages.page(index), content);
        }
        pages
    }

    fn count(&self) -> usize {
        self.words.len() / PAGE_WORDS
    }

    fn page(&mut self, index: usize) -> &mut [u64] {
        // The compiler must not remember what it wrote: the question is what the memory says.
        black_box(&mut self.words[index * PAGE_WORDS..(index + 1) * PAGE_WORDS])
    }

    /// Compares the next page with its current content. A damaged page is told once and repaired.
    fn check_next(&mut self, report: &Report) {
        let (index, salt, generation) = (self.next, self.salt, self.generation);
        if self.count() == 0 {
            return;
        }
        if let Err(mismatch) = pattern::check(self.page(index), Words::new(salt, index as u64, generation)) {
            report.error(&describe("region", index, generation, &mismatch));
            pattern::fill(self.page(index), Words::new(salt, index as u64, generation));
        }
        if self.step() {
            report.region_passed();
        }
    }

    /// Compares the next page with what was written the last time, then writes its next content.
    fn rewrite_next(&mut self, report: &Report) {
        let (index, salt, generation) = (self.next, self.salt, self.generation);
        if self.count() == 0 {
            return;
        }
        let page = self.page(index);
        if let Err(mismatch) = pattern::check(page, Words::new(salt, index as u64, generation)) {
            report.error(&describe("work", index, generation, &mismatch));
        }
        pattern::fill(page, Words::new(salt, index as u64, generation + 1));
        if self.step() {
            self.generation += 1;
            report.work_passed();
        }
    }

    /// Goes to the next page; true when a whole pass was done.
    fn step(&mut self) -> bool {
        self.next += 1;
        let wrapped = self.next == self.count();
        if wrapped {
            self.next = 0;
        }
        wrapped
    }
}

fn describe(set: &str, index: usize, generation: u64, m: &Mismatch) -> String {
    let Mismatch { word, want, got } = m;
    format!("{set} page={index} generation={generation} word={word} want={want:016x} got={got:016x}")
}
